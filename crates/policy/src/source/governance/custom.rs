//! `governance/<name>.yaml`: rules of an organization's own, as data.
//!
//! A rule names a kind, a place in its files, and what must or must not stand there. It looks at what
//! was written, before variables are filled in and defaults are added: not at what it stands for. What stands
//! in the files of environments is what rules about them look at.

use regex_lite::{Regex, RegexBuilder};

use super::super::containers::List;
use super::super::declare::{choice, record};
use super::super::diagnostic::{Code, Span};
use super::super::files::Item;
use super::super::names;
use super::super::reader::{Fault, Scalar, Spanned};
use super::super::scalars::{Flag, Name, Text};
use super::super::secrets::quote;
use super::super::yaml::{Node, Value};
use super::{Judge, Level, places};

/// How large a pattern may be as it is written, and as it is compiled.
const MAX_PATTERN: usize = 1024;
const MAX_PROGRAM: usize = 256 * 1024;
/// How many places of the tree all rules together may look at; a long text counts as several.
const MAX_PLACES: usize = 5_000_000;
/// How much of a text counts as one place more: the time that a comparison takes grows with the text.
const PLACE_OF_TEXT: usize = 64;

record! {
    /// A rule of one's own: what must, or must not, stand in a place of every file of a kind.
    GovernanceFile = "governance" {
        /// Its name, as the file is called.
        rule: required Name,
        /// The files that it is about: `gateway`, `apis`, `documents` (the OpenAPI documents of APIs),
        /// `consumers`, `models`, `plans`, `providers`, `mocks`, `templates`, `tests` or `environments`.
        kind as "for": required Kind,
        /// The place: keys with `.` between them. `*` stands for every key and every item, as in
        /// `versions.*.upstream` or `paths.*.*.responses.*.description`. Below a `*`, the last key is asked for
        /// only where what holds it is there.
        field: required FieldPath,
        /// What must hold there.
        must: optional Demand,
        /// What must not hold there.
        must_not: optional Demand,
        /// Items that it does not hold for, by name; of documents, the names of their APIs.
        except: default "[]" List<Name>,
        /// What is said where it is not met.
        message: required Text,
        /// What would help.
        help: optional Text,
        /// How bad that is: `note`, `warning` or `error`.
        severity: default "warning" Level,
    }
}

record! {
    /// What a rule of one's own asks of a place: all that is written.
    Demand = "demand" {
        /// Something is written there (`true`).
        exist: optional Flag,
        /// The text fits this regular expression, in whole or in part.
        matches: optional Pattern,
        /// The text is one of these.
        one_of: optional List<Text>,
    }
}

/// The files that a rule is about.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Kind {
    Gateway,
    Apis,
    Documents,
    Items(&'static str),
}
choice!(Kind: "gateway" => Self::Gateway, "apis" => Self::Apis, "documents" => Self::Documents,
    "consumers" => Self::Items("consumers"), "models" => Self::Items("models"), "plans" => Self::Items("plans"),
    "providers" => Self::Items("providers"), "mocks" => Self::Items("mocks"),
    "templates" => Self::Items("templates"), "tests" => Self::Items("tests"),
    "environments" => Self::Items("environments"));

/// A place in a file.
#[derive(Clone, Debug)]
pub(crate) struct FieldPath(Vec<String>);

impl Scalar for FieldPath {
    const EXPECTS: &'static str = "a place such as `versions.*.upstream`";

    fn parse(text: &str) -> Result<Self, Fault> {
        let parts: Vec<String> = text.split('.').map(str::to_owned).collect();
        if parts.len() > 32 || parts.iter().any(String::is_empty) || text.len() > 512 {
            return Err(Fault::new(
                Code::BadPath,
                format!("{} is no place in a file", quote(text)),
            ));
        }
        Ok(Self(parts))
    }
}

/// A regular expression.
#[derive(Clone, Debug)]
pub(crate) struct Pattern(Regex);

impl Scalar for Pattern {
    const EXPECTS: &'static str = "a regular expression such as `^team-`";

    fn parse(text: &str) -> Result<Self, Fault> {
        if text.len() > MAX_PATTERN {
            return Err(Fault::new(
                Code::BadText,
                format!("the expression is longer than {MAX_PATTERN} bytes"),
            ));
        }
        match RegexBuilder::new(text).size_limit(MAX_PROGRAM).build() {
            Ok(regex) => Ok(Self(regex)),
            Err(error) => Err(Fault::new(
                Code::BadText,
                format!("{} is no regular expression: {error}", quote(text)),
            )
            .help("it is written as in Rust's `regex`, without look-around and back references")),
        }
    }
}

pub(super) fn judge(judge: &mut Judge<'_>) {
    let mut places = 0;
    for (name, rule) in &judge.subject.custom.here {
        apply(name, rule, &mut places, judge);
        if places > MAX_PLACES {
            judge
                .report
                .error(
                    Code::TooLarge,
                    rule.span,
                    format!("the rules look at more than {MAX_PLACES} places of the tree"),
                )
                .help("name places with fewer `*`, or write fewer rules");
            return;
        }
    }
}

/// Reports what is wrong with a rule itself.
pub(crate) fn check(rules: &[(String, Spanned<GovernanceFile>)], checker: &mut super::Checker) {
    for (_, rule) in rules {
        if let (Some(kind), Some(field)) = (&rule.kind, &rule.field)
            && let Err(nowhere) = places::find(kind.value, &field.0)
        {
            checker
                .report()
                .error(Code::UnknownField, field.span, nowhere.message)
                .help(nowhere.help);
        }
        let demands = [&rule.must, &rule.must_not];
        if demands.iter().all(|demand| demand.is_none()) && !checker.reader.reported_within(rule.span) {
            checker
                .report()
                .error(
                    Code::MissingField,
                    rule.span,
                    "a rule says what `must` or `must_not` stand there",
                )
                .help("write for example `must: { matches: \"^team-\" }`");
        }
        for demand in demands.into_iter().flatten() {
            let empty = demand.exist.is_none() && demand.matches.is_none() && demand.one_of.is_none();
            if empty && !checker.reader.reported_within(demand.span) {
                checker
                    .report()
                    .error(Code::MissingField, demand.span, "this asks for nothing")
                    .help("write `exist: true`, `matches: ...` or `one_of: [...]`");
            }
            if let Some(flag) = demand.exist.as_ref().filter(|flag| !flag.0) {
                checker
                    .report()
                    .error(
                        Code::UnknownWord,
                        flag.span,
                        "`exist` is `true`, or is not written",
                    )
                    .help("write the demand under `must_not` to say that nothing may stand there");
            }
        }
        if let Some(off) = rule.severity.as_ref().filter(|level| level.value == Level::Off) {
            checker
                .report()
                .error(Code::UnknownWord, off.span, "a rule that is off is no rule")
                .help("remove the file, or write `note`, `warning` or `error`");
        }
    }
}

fn apply(name: &str, rule: &GovernanceFile, places: &mut usize, judge: &mut Judge<'_>) {
    let (Some(kind), Some(field), Some(message)) = (&rule.kind, &rule.field, &rule.message) else {
        return;
    };
    // Of a place that there is not, nothing follows.
    if places::find(kind.value, &field.0).is_err() {
        return;
    }
    let tree = judge.subject.tree;
    refer(rule, kind.value, judge);
    let excepted = |item: &str| {
        rule.except
            .iter()
            .flat_map(|list| &list.0)
            .any(|name| name.0 == item)
    };
    let items = match kind.value {
        Kind::Gateway => tree.gateway.iter().collect(),
        Kind::Apis => tree.apis.iter().collect(),
        Kind::Items(kind) => tree.kinds.get(kind).into_iter().flatten().collect(),
        Kind::Documents => Vec::new(),
    };
    let files = judge.files;
    let documents: Vec<_> = match kind.value {
        Kind::Documents => files
            .documents_of()
            .filter(|(api, _)| !excepted(api))
            .map(|(_, node)| node)
            .collect(),
        _ => Vec::new(),
    };
    let nodes = items
        .into_iter()
        .filter(|item| !excepted(&item.name))
        .filter_map(|item| {
            // An item that this environment does not have is judged where it is.
            let node = item.node.as_deref()?;
            if kind.value == Kind::Items("environments") && item.name != judge.environment {
                return None;
            }
            let list = node.get("environments").filter(|_| kind.value != Kind::Gateway);
            let here = list.is_none_or(|list| {
                list.items()
                    .iter()
                    .any(|one| one.text() == Some(&judge.environment))
            });
            here.then_some(node)
        });
    let mut unmet: Vec<(Span, Vec<&'static str>)> = Vec::new();
    for root in nodes.chain(documents.iter().map(AsRef::as_ref)) {
        walk(root, root.span, (&field.0, false), places, &mut |node, at| {
            let why = rule.unmet(node);
            if !why.is_empty() {
                unmet.push((node.map_or(at, |node| node.span), why));
            }
        });
    }
    let severity = rule.severity.as_ref().and_then(|level| level.severity());
    for (at, why) in unmet {
        let Some(severity) = severity else { return };
        let help = rule.help.as_ref().map_or_else(
            || {
                format!(
                    "`governance/{name}.yaml` asks that `{}` {}",
                    field.0.join("."),
                    why.join(" and ")
                )
            },
            |help| help.0.clone(),
        );
        judge
            .weigh(severity, Code::CustomRule, at, format!("{} ({name})", message.0))
            .help(help);
    }
}

/// Reports items that a rule does not hold for and that there are not, in any environment.
fn refer(rule: &GovernanceFile, kind: Kind, judge: &mut Judge<'_>) {
    let tree = judge.subject.tree;
    let (folder, what, items): (_, _, Vec<&Item>) = match kind {
        Kind::Gateway => ("gateway", "gateway", tree.gateway.iter().collect()),
        Kind::Apis | Kind::Documents => ("apis", "API", tree.apis.iter().collect()),
        Kind::Items(kind) => {
            let items = tree.kinds.get(kind).into_iter().flatten().collect();
            (kind, kind.trim_end_matches('s'), items)
        }
    };
    let misplaced = tree.misplaced.get(folder).into_iter().flatten();
    let known: Vec<&str> = items
        .iter()
        .map(|item| item.name.as_str())
        .chain(misplaced.map(|(name, _)| name.as_str()))
        .collect();
    for name in rule.except.iter().flat_map(|list| &list.0) {
        if !known.contains(&name.0.as_str()) {
            let help = names::remedy(&name.0, what, known.iter().copied());
            judge
                .report
                .error(
                    Code::UnknownReference,
                    name.span,
                    format!("there is no {what} {}", quote(&name.0)),
                )
                .help(help);
        }
    }
}

impl GovernanceFile {
    /// What is not met in a place; nothing stands there, if it has no node.
    fn unmet(&self, node: Option<&Node>) -> Vec<&'static str> {
        let mut why = Vec::new();
        if let Some(must) = &self.must {
            match node {
                None if must.exist.is_some() => why.push("be written"),
                // What need not be there, and is not, is not asked for more.
                None => {}
                Some(_) => {
                    let (matches, one_of) = must.judged(node);
                    why.extend((matches == Some(false)).then_some("match a pattern"));
                    why.extend((one_of == Some(false)).then_some("be one of certain words"));
                }
            }
        }
        if let (Some(must_not), Some(_)) = (&self.must_not, node) {
            let (matches, one_of) = must_not.judged(node);
            why.extend(must_not.exist.is_some().then_some("not be written"));
            why.extend((matches == Some(true)).then_some("not match a pattern"));
            why.extend((one_of == Some(true)).then_some("not be one of certain words"));
        }
        why
    }
}

impl Demand {
    /// Whether a text fits what is asked of it; nothing where nothing is asked.
    fn judged(&self, node: Option<&Node>) -> (Option<bool>, Option<bool>) {
        let text = node.and_then(Node::text);
        let matches = self.matches.as_ref().map(|pattern| {
            // All of it: what stands far behind is as wrong as what stands in front.
            text.is_some_and(|text| pattern.0.is_match(text))
        });
        let one_of = self
            .one_of
            .as_ref()
            .map(|words| words.0.iter().any(|word| text == Some(word.0.as_str())));
        (matches, one_of)
    }
}

/// Visits every place that a path names below a node; one that is missing, with where it would stand. `below` says
/// whether a `*` led here: of its items, one may be of another sort than the rule is about, as credentials are, and
/// then has no place for what is asked.
fn walk(
    node: &Node,
    at: Span,
    (path, below): (&[String], bool),
    places: &mut usize,
    visit: &mut impl FnMut(Option<&Node>, Span),
) {
    *places += 1 + node.text().map_or(0, |text| text.len() / PLACE_OF_TEXT);
    if *places > MAX_PLACES {
        return;
    }
    let Some((first, rest)) = path.split_first() else {
        return visit(Some(node), at);
    };
    if first == "*" {
        for (key, value) in node
            .entries()
            .iter()
            .filter(|(key, _)| key.text() != Some("environments"))
        {
            walk(value, key.span, (rest, true), places, visit);
        }
        for item in node.items() {
            walk(item, item.span, (rest, true), places, visit);
        }
        return;
    }
    match node.entries().iter().find(|(key, _)| key.text() == Some(first)) {
        Some((key, value)) => walk(value, key.span, (rest, below), places, visit),
        // Where a map could hold it and does not, it is missing; in other values it has no place.
        None if rest.is_empty() && matches!(node.value, Value::Map(_)) => visit(None, at),
        None if !below && matches!(node.value, Value::Map(_)) && rest.iter().all(|part| part != "*") => {
            visit(None, at);
        }
        None => {}
    }
}
