//! Typed reading of nodes. Each field is declared once (name, type, meaning, default), by
//! [`record!`](super::declare); what is wrong is reported and reading goes on, so that one run names every fault.

mod fields;
mod filled;
mod meant;

use std::collections::BTreeMap;
use std::ops::Deref;

use super::blanks;
use super::declare::Shape;
use super::diagnostic::{Code, Report, Span};
use super::look_alikes;
use super::names;
use super::secrets::{self, quote};
use super::yaml::{Node, Value};
pub(crate) use filled::{Parameters, Variables};

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
    /// Where a field has nothing, as what belongs in it is not indented, and where that begins.
    unindented: BTreeMap<Span, Span>,
    /// How many items around this place belong to other environments only.
    dormant: u32,
    /// Whether the next record is an item and may carry `environments`.
    item: bool,
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
            unindented: BTreeMap::new(),
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

    pub(crate) fn wrong_type(&mut self, node: &Node, expects: &str) {
        if let Some(first) = self.unindented.get(&node.span).copied() {
            let message = format!("expected {expects}, found nothing: what stands below it is not indented");
            self.report
                .error(Code::WrongType, node.span, message)
                .label(first, "this stands beside it, and not in it")
                .help("indent what belongs to it with two spaces more than its key has");
            return;
        }
        let found = node.kind();
        let listed = node
            .text()
            .filter(|text| listable(expects) && !node.is_null() && is_plain(text));
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
                format!("there is no {what} {}{}", quote(name), look_alikes::told(name)),
            )
            .help(names::remedy(name, what, known));
    }
}

/// Whether a list is what is expected, or may be.
fn listable(expects: &str) -> bool {
    expects.starts_with("a list") || expects.starts_with("`all`, or a list")
}

/// Whether a text can be repeated in a suggestion as it is: one that is short, reads as one item of a list, and is no
/// secret.
fn is_plain(text: &str) -> bool {
    let plain = |c: char| c.is_ascii_alphanumeric() || "._-/:+*".contains(c);
    !text.is_empty() && text.len() <= 64 && text.chars().all(plain) && !secrets::is_secret(text)
}

/// What would help where a variable was written as shells have it: `$BODY`.
fn variable_meant(text: &str) -> Option<String> {
    let name = text.strip_prefix('$')?;
    // `$5` is an amount. The name is not repeated: what stands here may be a secret.
    let begins = name
        .bytes()
        .next()
        .is_some_and(|b| b.is_ascii_alphabetic() || b == b'_');
    let word = begins && name.bytes().all(|b| b.is_ascii_alphanumeric() || b == b'_');
    word.then(|| "a variable is written `${name}`, and set under `vars` of an environment".to_owned())
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
        if !T::SHOWN && blanks::other_quotes(node).is_some() {
            reader.report.redact(node.span);
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
                let variable = variable_meant(&text);
                let help = variable.or(fault.help);
                draft.help(help.unwrap_or_else(|| format!("write {}", T::EXPECTS)));
                for origin in origins {
                    draft.label(origin, "the value comes from here");
                }
                None
            }
        }
    }
}
