//! Typed reading of nodes. Each field is declared once (name, type, meaning, default), by
//! [`record!`](super::declare); what is wrong is reported and reading goes on, so that one run names every fault.

use std::collections::{BTreeMap, BTreeSet};
use std::ops::Deref;

use super::blanks;
use super::declare::{FieldInfo, Shape};
use super::diagnostic::{Code, Report, Span};
use super::names::{self, misspelt, nearest};
use super::secrets::{self, quote};
use super::yaml::{self, Node, Value};

/// A value that was read, and where it stands.
#[derive(Clone, Debug)]
pub(crate) struct Spanned<T> {
    pub(crate) value: T,
    pub(crate) span: Span,
    /// Where the key stands that it was read from; itself, if there is none.
    pub(crate) key_span: Span,
}

impl<T> Spanned<T> {
    /// A value that no key stands before.
    pub(crate) fn new(value: T, span: Span) -> Self {
        Self {
            value,
            span,
            key_span: span,
        }
    }
}

impl<T> Spanned<T> {
    /// Whether it was written, and is not the default of its field.
    pub(crate) fn is_written(&self) -> bool {
        self.key_span != self.span
    }
}

impl<T> Deref for Spanned<T> {
    type Target = T;

    fn deref(&self) -> &T {
        &self.value
    }
}

/// A field: nothing if it is absent without a default, or was wrong (and reported).
pub(crate) type Field<T> = Option<Spanned<T>>;

/// The field that limits an item to some environments.
const ENVIRONMENTS: &str = "environments";

/// What can be read from a node.
pub(crate) trait Read: Sized {
    /// What is expected, for messages and the reference: "a duration such as `30s`".
    fn expects() -> String;

    /// Reads it; nothing if it is wrong, and then that was reported.
    fn read(node: &Node, reader: &mut Reader) -> Option<Self>;

    /// Its JSON Schema; of what has none of its own, one that takes everything.
    fn schema() -> serde_json::Value {
        serde_json::json!({})
    }

    /// Its JSON Schema as an item, which may be limited to environments.
    fn item_schema() -> serde_json::Value {
        Self::schema()
    }

    /// The records that it is made of, itself first.
    fn shapes(_: &mut Vec<&'static Shape>) {}

    /// Values of the language that are not enforced yet.
    fn later() -> &'static [&'static str] {
        &[]
    }
}

/// What is written as one scalar.
pub(crate) trait Scalar: Sized {
    /// What is expected.
    const EXPECTS: &'static str;
    /// Whether the value may be shown when it is wrong.
    const SHOWN: bool = true;
    /// Whether quotes make it something else (numbers and booleans are never quoted).
    const PLAIN: bool = false;
    /// Values of the language that are not enforced yet.
    const LATER: &'static [&'static str] = &[];

    /// Its JSON Schema.
    fn schema() -> serde_json::Value {
        super::schema::scalar(Self::EXPECTS)
    }

    /// Parses its text.
    fn parse(text: &str) -> Result<Self, Fault>;
}

/// Why a scalar is wrong.
pub(crate) struct Fault {
    pub(crate) code: Code,
    pub(crate) message: String,
    pub(crate) help: Option<String>,
}

impl Fault {
    pub(crate) fn new(code: Code, message: impl Into<String>) -> Self {
        Self {
            code,
            message: message.into(),
            help: None,
        }
    }

    pub(crate) fn help(mut self, help: impl Into<String>) -> Self {
        self.help = Some(help.into());
        self
    }
}

/// Values that differ by environment.
#[derive(Debug, Default)]
pub(crate) struct Variables {
    /// The file that sets them, for messages.
    pub(crate) file: String,
    pub(crate) values: BTreeMap<String, Spanned<String>>,
    pub(crate) used: BTreeSet<String>,
    /// That file could not be read: nothing is known about what it sets.
    pub(crate) broken: bool,
}

/// The parameters of the template that is read.
#[derive(Debug, Default)]
pub(crate) enum Parameters {
    /// None is.
    #[default]
    None,
    /// They are not known yet: what refers to one is not judged.
    Open,
    /// By name, with where the value stands; nothing for one whose value is wrong, which was reported.
    Given(BTreeMap<String, Option<(String, Span)>>),
}

/// Reads nodes, for one environment.
#[derive(Debug)]
pub(crate) struct Reader {
    pub(crate) report: Report,
    /// The environment that is built.
    pub(crate) environment: String,
    /// Every environment there is; nothing if that is not known.
    pub(crate) environments: Option<Vec<String>>,
    pub(crate) variables: Variables,
    parameters: Parameters,
    /// Where the value of a parameter was given that was filled in last, by where it was filled in.
    given: BTreeMap<Span, Span>,
    /// Values that are not known, as something was reported elsewhere: of what is wrong there, nothing follows here.
    unset: Vec<Span>,
    /// How many items around this place belong to other environments only.
    dormant: u32,
    /// Whether the next record is an item and may carry `environments`.
    item: bool,
}

/// The fields of one map.
pub(crate) struct Fields<'n> {
    at: Span,
    /// By name, with the key as it was written.
    found: BTreeMap<&'static str, (Span, &'n Node)>,
}

impl Reader {
    pub(crate) fn new(report: Report, environment: &str) -> Self {
        Self {
            report,
            environment: environment.to_owned(),
            environments: None,
            variables: Variables::default(),
            parameters: Parameters::None,
            given: BTreeMap::new(),
            unset: Vec::new(),
            dormant: 0,
            item: false,
        }
    }

    /// Whether what is read exists in the environment that is built.
    pub(crate) fn is_here(&self) -> bool {
        self.dormant == 0
    }

    /// Reads what belongs to other environments: its shape is checked.
    pub(crate) fn elsewhere<T>(&mut self, read: impl FnOnce(&mut Self) -> T) -> T {
        self.dormant += 1;
        let read = read(self);
        self.dormant -= 1;
        read
    }

    /// Reads with the parameters of a template.
    pub(crate) fn with<T>(&mut self, parameters: Parameters, read: impl FnOnce(&mut Self) -> T) -> T {
        let before = std::mem::replace(&mut self.parameters, parameters);
        let read = read(self);
        self.parameters = before;
        read
    }

    /// Where the value was given, beside a template, that stands in this place of it since it was read last.
    pub(crate) fn given(&self, span: Span) -> Option<Span> {
        self.given.get(&span).copied()
    }

    /// Where the values come from that a text refers to.
    fn origins(&self, text: &str) -> Vec<Span> {
        let names = text
            .split("${")
            .skip(1)
            .filter_map(|rest| Some(rest.split_once('}')?.0));
        let found = names.filter_map(|name| match &self.parameters {
            Parameters::Given(given) if given.contains_key(name) => Some(given.get(name)?.as_ref()?.1),
            _ => Some(self.variables.values.get(name)?.span),
        });
        found.collect()
    }

    /// The text of a scalar, with its variables filled in.
    pub(crate) fn text(&mut self, node: &Node, expects: &str) -> Option<String> {
        let Some(text) = node.text().filter(|_| !node.is_null()) else {
            self.wrong_type(node, expects);
            return None;
        };
        if text.contains("${") {
            self.fill_in(text, node.span)
        } else {
            Some(text.to_owned())
        }
    }

    fn fill_in(&mut self, text: &str, span: Span) -> Option<String> {
        let (mut filled, mut rest, mut whole) = (String::new(), text, true);
        while let Some((before, after)) = rest.split_once("${") {
            // `$${` stands for `${` itself.
            if let Some(before) = before.strip_suffix('$') {
                filled.push_str(before);
                filled.push_str("${");
                rest = after;
                continue;
            }
            filled.push_str(before);
            let Some((name, after)) = after.split_once('}') else {
                self.report
                    .error(Code::UnsetVariable, span, "`${` is not closed")
                    .help("write `$${` where the two characters themselves are meant");
                return None;
            };
            if let Parameters::Given(given) = &self.parameters
                && let Some(value) = given.get(name)
            {
                match value {
                    Some((value, at)) => {
                        filled.push_str(value);
                        self.given.insert(span, *at);
                    }
                    None => {
                        whole = false;
                        self.unset.push(span);
                    }
                }
                rest = after;
                continue;
            }
            self.variables.used.insert(name.to_owned());
            match self.variables.values.get(name) {
                Some(value) => filled.push_str(&value.value),
                None => {
                    whole = false;
                    let open = matches!(self.parameters, Parameters::Open);
                    if self.variables.broken {
                        self.unset.push(span);
                    }
                    if self.dormant == 0 && !self.variables.broken && !open {
                        let message = format!("the variable {} is not set", quote(name));
                        let near = nearest(name, self.variables.values.keys().map(String::as_str));
                        let help = near.map_or_else(
                            || format!("set it under `vars` in `{}`", self.variables.file),
                            |near| format!("did you mean `${{{near}}}`?"),
                        );
                        self.report.error(Code::UnsetVariable, span, message).help(help);
                    }
                }
            }
            rest = after;
        }
        filled.push_str(rest);
        whole.then_some(filled)
    }

    pub(crate) fn wrong_type(&mut self, node: &Node, expects: &str) {
        let found = node.kind();
        let listed = node
            .text()
            .filter(|text| expects.starts_with("a list") && !node.is_null() && is_plain(text));
        let alone = listed.map(|text| format!("write `[{text}]`: a list of one"));
        let blank = blanks::remedy(node, expects);
        let help = match found {
            _ if blank.is_some() => blank.as_deref().unwrap_or_default(),
            _ if alone.is_some() => alone.as_deref().unwrap_or_default(),
            "nothing" => "leave the field out, or give it a value",
            "quoted text" => "write it without quotes",
            _ if expects.starts_with("a list") => "a list is written `[a, b]`, or with `- ` before each item",
            _ if expects.starts_with("a map") => {
                "a map is written `key: value`, one a line, or `{ a: 1, b: 2 }`"
            }
            _ => "docs/policy.md shows how each field is written",
        };
        self.report
            .error(
                Code::WrongType,
                node.span,
                format!("expected {expects}, found {found}"),
            )
            .help(help);
    }

    /// Reads an item of a list or a named item: nothing if it is wrong or belongs to other
    /// environments only. Its shape is checked in any case.
    pub(crate) fn item<T: Read>(&mut self, node: &Node) -> Option<Spanned<T>> {
        let list = node.get("environments").or_else(|| misspelt(node, ENVIRONMENTS));
        let here = list.is_none_or(|list| self.exists_here(list));
        self.dormant += u32::from(!here);
        self.item = true;
        let value = T::read(node, self);
        self.item = false;
        self.dormant -= u32::from(!here);
        value.filter(|_| here).map(|value| Spanned::new(value, node.span))
    }

    /// Whether a list of environments names the one that is built.
    fn exists_here(&mut self, list: &Node) -> bool {
        if !matches!(list.value, Value::List(_)) {
            self.wrong_type(list, "a list of environments");
            return true;
        }
        if list.items().is_empty() {
            self.report
                .error(Code::EmptyList, list.span, "an item for no environment at all")
                .help("name the environments, or leave `environments` out for all of them");
        }
        let mut here = false;
        let mut seen = BTreeSet::new();
        for item in list.items() {
            // What cannot be read, or is spelt in another way, may be the one that is built.
            let Some(name) = item.text() else {
                self.wrong_type(item, "the name of an environment");
                here = true;
                continue;
            };
            here |= name == self.environment;
            if !seen.insert(name.to_owned()) {
                self.report
                    .error(
                        Code::Repeated,
                        item.span,
                        format!("{} is listed twice", quote(name)),
                    )
                    .help("remove one");
            }
            let Some(known) = &self.environments else { continue };
            if !known.iter().any(|known| known == name) {
                let known = known.iter().map(String::as_str);
                here |= nearest(name, known.clone()) == Some(self.environment.as_str());
                self.report
                    .error(
                        Code::UnknownEnvironment,
                        item.span,
                        format!("there is no environment {}", quote(name)),
                    )
                    .help(names::remedy(name, "environment", known));
            }
        }
        here
    }

    /// The fields of a record; reports what has no place in it.
    pub(crate) fn fields<'n>(&mut self, node: &'n Node, shape: &Shape) -> Option<Fields<'n>> {
        let item = std::mem::take(&mut self.item);
        let Value::Map(entries) = &node.value else {
            let names: Vec<_> = shape
                .fields
                .iter()
                .take(3)
                .map(|field| format!("`{}`", field.name))
                .collect();
            self.wrong_type(node, &format!("a map with {}", names.join(", ")));
            return None;
        };
        let at = entries.first().map_or(node.span, |(key, _)| key.span);
        let mut found = BTreeMap::new();
        let mut strangers = Vec::new();
        for (key, value) in entries {
            let Some(name) = key.text() else { continue };
            if let Some(field) = shape.fields.iter().find(|field| field.name == name) {
                found.entry(field.name).or_insert((key.span, value));
            } else if shape.later.contains(&name) {
                self.not_built(key.span, &format!("`{name}`"));
            } else if !(item && name == ENVIRONMENTS) && name != "<<" && !secrets::is_secret(name) {
                // Merge keys and secrets were reported as the file was read.
                strangers.push((key, name, value));
            }
        }
        let mut seen = BTreeSet::new();
        for (key, name, value) in strangers {
            // The second one of a name was reported as the file was read.
            if !seen.insert(name) {
                continue;
            }
            let known = shape.fields.iter().map(|field| field.name);
            let all = known.clone().chain(item.then_some(ENVIRONMENTS));
            let near = nearest(name, all.clone().chain(shape.later.iter().copied()));
            // It is read as what it was probably meant for, so that this is said and no more: not
            // that the field is missing, nor what follows from that.
            if let Some(field) = known.into_iter().find(|field| Some(*field) == near) {
                found.entry(field).or_insert((key.span, value));
            }
            let help = near.map_or_else(
                || {
                    let all: Vec<_> = all.map(|name| format!("`{name}`")).collect();
                    format!("the fields here are {}", all.join(", "))
                },
                |near| format!("did you mean `{near}`?"),
            );
            self.report
                .error(
                    Code::UnknownField,
                    key.span,
                    format!("unknown field {}", quote(name)),
                )
                .help(help);
        }
        Some(Fields { at, found })
    }

    /// One field of a record.
    pub(crate) fn field<T: Read>(&mut self, fields: &Fields<'_>, info: &FieldInfo) -> Field<T> {
        if let Some((key, node)) = fields.found.get(info.name) {
            let value = T::read(node, self)?;
            return Some(Spanned {
                value,
                span: node.span,
                key_span: *key,
            });
        }
        if info.required {
            self.report
                .error(
                    Code::MissingField,
                    fields.at,
                    format!("`{}` is missing", info.name),
                )
                .help(format!("it is {}", T::expects()));
        }
        let node = yaml::parse(u32::MAX, info.default?, &mut self.report)?.moved(fields.at);
        let value = T::read(&node, self)?;
        Some(Spanned::new(value, fields.at))
    }

    /// Whether something was reported inside a place, or of a value that stands there, so that what follows
    /// from it is not.
    pub(crate) fn reported_within(&self, span: Span) -> bool {
        let within = |one: &Span| one.file == span.file && one.start >= span.start && one.end <= span.end;
        self.report.any_within(span) || self.unset.iter().any(within)
    }

    /// Something of the language that this build does not enforce.
    pub(crate) fn not_built(&mut self, span: Span, what: &str) {
        self.report
            .error(Code::NotBuilt, span, format!("{what} is not built yet"))
            .help("nothing is accepted and then ignored: leave it out until it is enforced");
    }

    /// Reports a name that stands for nothing known.
    pub(crate) fn unknown<'k>(
        &mut self,
        span: Span,
        what: &str,
        name: &str,
        known: impl Iterator<Item = &'k str> + Clone,
    ) {
        self.report
            .error(
                Code::UnknownReference,
                span,
                format!("there is no {what} {}", quote(name)),
            )
            .help(names::remedy(name, what, known));
    }
}

/// Whether a text can be repeated in a suggestion as it is: one that is short, reads as one item of a list, and is no
/// secret.
fn is_plain(text: &str) -> bool {
    let plain = |c: char| c.is_ascii_alphanumeric() || "._-/:+*".contains(c);
    !text.is_empty() && text.len() <= 64 && text.chars().all(plain) && !secrets::is_secret(text)
}

impl<T: Scalar> Read for T {
    fn expects() -> String {
        T::EXPECTS.to_owned()
    }

    fn schema() -> serde_json::Value {
        <T as Scalar>::schema()
    }

    fn later() -> &'static [&'static str] {
        T::LATER
    }

    fn read(node: &Node, reader: &mut Reader) -> Option<Self> {
        reader.item = false;
        let quoted = matches!(&node.value, Value::Scalar { plain: false, .. });
        // In `{ }` a variable can only be written in quotes.
        let variable = node.text().is_some_and(|text| text.contains("${"));
        if T::PLAIN && quoted && !variable {
            reader.wrong_type(node, T::EXPECTS);
            return None;
        }
        let text = reader.text(node, T::EXPECTS)?;
        match T::parse(&text) {
            Ok(value) => Some(value),
            Err(fault) => {
                if !T::SHOWN {
                    reader.report.redact(node.span);
                }
                // That a secret stands here was reported; that it is no valid value follows.
                if secrets::is_secret(&text) {
                    return None;
                }
                let origins = reader.origins(node.text().unwrap_or(""));
                let draft = reader.report.error(fault.code, node.span, fault.message);
                draft.help(fault.help.unwrap_or_else(|| format!("write {}", T::EXPECTS)));
                for origin in origins {
                    draft.label(origin, "the value comes from here");
                }
                None
            }
        }
    }
}
