//! Typed reading of nodes. Each field is declared once (name, type, meaning, default), by
//! [`record!`](super::declare); what is wrong is reported and reading goes on, so that one run names every fault.

use std::collections::{BTreeMap, BTreeSet};
use std::ops::Deref;

use super::declare::{FieldInfo, Shape};
use super::diagnostic::{Code, Report, Span};
use super::secrets::quote;
use super::yaml::{self, Node, Value};

/// A value that was read, and where it stands.
#[derive(Clone, Debug)]
pub(crate) struct Spanned<T> {
    pub(crate) value: T,
    pub(crate) span: Span,
}

impl<T> Deref for Spanned<T> {
    type Target = T;

    fn deref(&self) -> &T {
        &self.value
    }
}

/// A field: nothing if it is absent without a default, or was wrong (and reported).
pub(crate) type Field<T> = Option<Spanned<T>>;

/// What can be read from a node.
pub(crate) trait Read: Sized {
    /// What is expected, for messages and the reference: "a duration such as `30s`".
    fn expects() -> String;

    /// Reads it; nothing if it is wrong, and then that was reported.
    fn read(node: &Node, reader: &mut Reader) -> Option<Self>;

    /// The records that it is made of, itself first.
    fn shapes(_: &mut Vec<&'static Shape>) {}
}

/// What is written as one scalar.
pub(crate) trait Scalar: Sized {
    /// What is expected.
    const EXPECTS: &'static str;
    /// Whether the value may be shown when it is wrong.
    const SHOWN: bool = true;
    /// Whether quotes make it something else (numbers and booleans are never quoted).
    const PLAIN: bool = false;

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

/// Reads nodes, for one environment.
#[derive(Debug)]
pub(crate) struct Reader {
    pub(crate) report: Report,
    /// The environment that is built.
    pub(crate) environment: String,
    /// Every environment there is; nothing if that is not known.
    pub(crate) environments: Option<Vec<String>>,
    pub(crate) variables: Variables,
    /// How many items around this place belong to other environments only.
    dormant: u32,
    /// Whether the next record is an item and may carry `environments`.
    item: bool,
}

/// The fields of one map.
pub(crate) struct Fields<'n> {
    at: Span,
    found: BTreeMap<&'n str, &'n Node>,
}

impl Reader {
    pub(crate) fn new(report: Report, environment: &str) -> Self {
        Self {
            report,
            environment: environment.to_owned(),
            environments: None,
            variables: Variables::default(),
            dormant: 0,
            item: false,
        }
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
            self.variables.used.insert(name.to_owned());
            match self.variables.values.get(name) {
                Some(value) => filled.push_str(&value.value),
                None => {
                    whole = false;
                    if self.dormant == 0 && !self.variables.broken {
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
        let help = (found == "nothing").then(|| "leave the field out, or give it a value".to_owned());
        self.report
            .error(
                Code::WrongType,
                node.span,
                format!("expected {expects}, found {found}"),
            )
            .maybe_help(help);
    }

    /// Reads an item of a list or a named item: nothing if it is wrong or belongs to other
    /// environments only. Its shape is checked in any case.
    pub(crate) fn item<T: Read>(&mut self, node: &Node) -> Option<Spanned<T>> {
        let here = node.get("environments").is_none_or(|list| self.exists_here(list));
        self.dormant += u32::from(!here);
        self.item = true;
        let value = T::read(node, self);
        self.item = false;
        self.dormant -= u32::from(!here);
        value.filter(|_| here).map(|value| Spanned {
            value,
            span: node.span,
        })
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
            let Some(name) = item.text() else {
                self.wrong_type(item, "the name of an environment");
                continue;
            };
            here |= name == self.environment;
            if !seen.insert(name.to_owned()) {
                self.report.error(
                    Code::Repeated,
                    item.span,
                    format!("{} is listed twice", quote(name)),
                );
            }
            let Some(known) = &self.environments else { continue };
            if !known.iter().any(|known| known == name) {
                let near = nearest(name, known.iter().map(String::as_str));
                self.report
                    .error(
                        Code::UnknownEnvironment,
                        item.span,
                        format!("there is no environment {}", quote(name)),
                    )
                    .maybe_help(near.map(|near| format!("did you mean `{near}`?")));
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
        for (key, value) in entries {
            let Some(name) = key.text() else { continue };
            if shape.fields.iter().any(|field| field.name == name) {
                found.entry(name).or_insert(value);
            } else if shape.later.contains(&name) {
                self.not_built(key.span, &format!("`{name}`"));
            } else if !(item && name == "environments") {
                let known = shape.fields.iter().map(|field| field.name);
                let near = nearest(name, known.clone().chain(shape.later.iter().copied()));
                let all: Vec<_> = known.map(|name| format!("`{name}`")).collect();
                let help = near.map_or_else(
                    || format!("the fields here are {}", all.join(", ")),
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
        }
        Some(Fields { at, found })
    }

    /// One field of a record.
    pub(crate) fn field<T: Read>(&mut self, fields: &Fields<'_>, info: &FieldInfo) -> Field<T> {
        if let Some(node) = fields.found.get(info.name) {
            let value = T::read(node, self)?;
            return Some(Spanned {
                value,
                span: node.span,
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
        Some(Spanned {
            value,
            span: fields.at,
        })
    }

    /// Whether something was reported inside a place, so that what follows from it is not.
    pub(crate) fn reported_within(&self, span: Span) -> bool {
        self.report.any_within(span)
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
        known: impl Iterator<Item = &'k str>,
    ) {
        let near = nearest(name, known);
        self.report
            .error(
                Code::UnknownReference,
                span,
                format!("there is no {what} {}", quote(name)),
            )
            .maybe_help(near.map(|near| format!("did you mean `{near}`?")));
    }
}

/// With so many words a name is compared, to find out what was meant.
const MAX_COMPARED: usize = 5_000;

/// The known word that is nearest to what was written, if it is near.
pub(crate) fn nearest<'k>(name: &str, known: impl Iterator<Item = &'k str>) -> Option<&'k str> {
    let length = name.chars().count();
    if length > 64 {
        return None;
    }
    let allowed = (length / 3).max(1);
    let name = name.to_lowercase();
    known
        .take(MAX_COMPARED)
        .filter(|word| word.len().abs_diff(name.len()) <= allowed)
        .map(|word| (strsim::damerau_levenshtein(&name, &word.to_lowercase()), word))
        .filter(|(distance, word)| *distance <= allowed && *distance < word.chars().count())
        .min()
        .map(|(_, word)| word)
}

impl<T: Scalar> Read for T {
    fn expects() -> String {
        T::EXPECTS.to_owned()
    }

    fn read(node: &Node, reader: &mut Reader) -> Option<Self> {
        reader.item = false;
        let quoted = matches!(&node.value, Value::Scalar { plain: false, .. });
        if T::PLAIN && quoted {
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
                reader
                    .report
                    .error(fault.code, node.span, fault.message)
                    .maybe_help(fault.help);
                None
            }
        }
    }
}
