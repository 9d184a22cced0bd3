//! Looks through a document for what is certainly wrong: keys that OpenAPI does not know, values of
//! the wrong shape, references that lead nowhere. What is accepted here and not understood would
//! be ignored when a request comes.
//!
//! The walk follows references without recursion and visits each place once, so that no document
//! makes it go on for ever.

use std::collections::BTreeSet;

use super::super::declare::unknown_word;
use super::super::diagnostic::{Code, Report, Span};
use super::super::look_alikes;
use super::super::secrets::quote;
use super::super::yaml::{Node, Value};
use super::circles::Circles;
use super::grammar::{self, Holds, Kind, Others};
use super::{Document, template};

/// What must hold of an object besides its keys.
pub(super) type Rule = fn(&Document<'_>, &Node, &mut Report);

/// Checks a document. Says whether something may hide operations that were meant to be there.
pub(crate) fn check(document: &Document<'_>, report: &mut Report) -> bool {
    let mut walk = Walk {
        document,
        report,
        rest: vec![(document.root, &grammar::DOCUMENT, false)],
        elsewhere: false,
        seen: BTreeSet::new(),
        said: BTreeSet::new(),
        circles: Circles::default(),
        hidden: false,
    };
    while let Some((node, kind, elsewhere)) = walk.rest.pop() {
        walk.elsewhere = elsewhere;
        walk.visit(node, kind);
    }
    let hidden = walk.hidden;
    walk.circles.say(document, report);
    template::check_parameters(document, report);
    hidden
}

struct Walk<'w, 'd> {
    document: &'w Document<'d>,
    report: &'w mut Report,
    /// What is still to be looked at, what it is taken for, and whether references begin elsewhere there.
    rest: Vec<(&'d Node, &'static Kind, bool)>,
    /// Whether what is looked at stands below an `$id`, where references begin (JSON Schema 2020-12, 8.2.1).
    elsewhere: bool,
    /// Places that were looked at, by what they were taken for. An alias shows the places of its
    /// anchor, so what it stands for is judged once.
    seen: BTreeSet<(Span, *const Kind)>,
    /// Keys that something was said about.
    said: BTreeSet<Span>,
    circles: Circles<'d>,
    /// Whether something was found around operations.
    hidden: bool,
}

impl<'d> Walk<'_, 'd> {
    fn visit(&mut self, node: &'d Node, kind: &'static Kind) {
        if !self.seen.insert((node.span, std::ptr::from_ref(kind))) {
            return;
        }
        if !matches!(node.value, Value::Map(_)) {
            if kind.judged() {
                self.shape(node, kind, kind.name);
            }
            return;
        }
        let schema = std::ptr::eq(kind, &raw const grammar::SCHEMA);
        self.elsewhere |= schema && node.get("$id").and_then(Node::text).is_some();
        if kind.reference
            && let Some(reference) = node.get("$ref")
        {
            self.refer(node, reference, kind);
            // What stands beside it is ignored (OpenAPI 3.1.1, 4.8.23), but in schemas and path items.
            if kind.judged() && !std::ptr::eq(kind, &raw const grammar::PATH_ITEM) {
                return;
            }
        }
        for (key, value) in node.entries() {
            // A key that is not text was reported as it was parsed.
            if let Some(name) = key.text() {
                self.entry(key, name, value, kind);
            }
        }
        if let Some(rule) = kind.rule {
            rule(self.document, node, self.report);
        }
    }

    fn entry(&mut self, key: &Node, name: &str, value: &'d Node, kind: &'static Kind) {
        match kind.field(name) {
            Some(Holds::Data) => {}
            Some(Holds::One(of)) => match &value.value {
                // Older drafts of JSON Schema have a list of schemas under `items`.
                Value::List(items) if !of.judged() => self.all(items, of),
                _ => self.all(std::slice::from_ref(value), of),
            },
            Some(Holds::List(of)) => match &value.value {
                Value::List(items) => self.all(items, of),
                _ if kind.judged() => self.shape(value, kind, &format!("a list under `{name}`")),
                _ => {}
            },
            Some(Holds::Map(of)) => match &value.value {
                Value::Map(entries) => self.all(entries.iter().map(|(_, value)| value), of),
                _ if kind.judged() => self.shape(value, kind, &format!("a map under `{name}`")),
                _ => {}
            },
            None => match kind.others {
                Others::Each(of) if !name.starts_with("x-") => self.all(std::slice::from_ref(value), of),
                _ if kind.lacks(name) => self.unknown(key, name, kind),
                _ => {}
            },
        }
    }

    fn all(&mut self, items: impl IntoIterator<Item = &'d Node>, of: &'static Kind) {
        let elsewhere = self.elsewhere;
        self.rest
            .extend(items.into_iter().map(|item| (item, of, elsewhere)));
    }

    fn unknown(&mut self, key: &Node, name: &str, kind: &'static Kind) {
        self.hides(kind);
        if !self.said.insert(key.span) {
            return;
        }
        let near = if self.report.is_full() {
            None
        } else {
            kind.meant(name)
        };
        let help = match (near, instead(name, kind)) {
            (_, Some(instead)) => instead.to_owned(),
            (Some(near), None) => format!("did you mean `{near}`?"),
            (None, None) => {
                let all: Vec<_> = kind
                    .fields
                    .iter()
                    .map(|(field, _)| format!("`{field}`"))
                    .collect();
                format!("{} has {}; extensions begin with `x-`", kind.name, all.join(", "))
            }
        };
        let message = format!(
            "unknown field {} in {}{}",
            quote(name),
            kind.name,
            look_alikes::told(name)
        );
        self.report
            .error(Code::UnknownField, key.span, message)
            .help(help);
    }

    fn shape(&mut self, node: &Node, kind: &'static Kind, expected: &str) {
        self.hides(kind);
        let help = if node.is_null() {
            "leave the key out, or give it a value"
        } else {
            "the shape of each object is described at https://spec.openapis.org/oas/"
        };
        self.report
            .error(
                Code::MalformedDocument,
                node.span,
                format!("expected {expected}, found {}", node.kind()),
            )
            .help(help);
    }

    fn hides(&mut self, kind: &'static Kind) {
        let around = [
            &raw const grammar::DOCUMENT,
            &raw const grammar::PATHS,
            &raw const grammar::PATH_ITEM,
            &raw const grammar::OPERATION,
        ];
        self.hidden |= around.contains(&std::ptr::from_ref(kind));
    }

    /// Follows one `$ref` for a step; the rest is followed from where it leads.
    fn refer(&mut self, node: &'d Node, reference: &'d Node, kind: &'static Kind) {
        let text = reference.text().unwrap_or_default();
        if self.elsewhere && text.starts_with('#') {
            return;
        }
        match self.document.step(reference) {
            Ok(found) => {
                self.circles.note(node, found, kind);
                // It may lead to where nobody else looks; nearly all lead to where everybody does.
                let name = text.strip_prefix("#/components/schemas/");
                if kind.judged() || name.is_none_or(|name| name.contains('/')) {
                    self.rest.push((found, kind, false));
                }
            }
            Err(dangling) => {
                if dangling.local && self.said.insert(reference.span) {
                    dangling.say(self.report);
                }
            }
        }
    }
}

/// What Swagger 2, or JSON Schema, has in this place, and what OpenAPI 3 has instead.
fn instead(name: &str, kind: &Kind) -> Option<&'static str> {
    const SCHEMA_WORDS: [&str; 14] = [
        "type",
        "format",
        "items",
        "enum",
        "default",
        "pattern",
        "minimum",
        "maximum",
        "minLength",
        "maxLength",
        "minItems",
        "maxItems",
        "properties",
        "collectionFormat",
    ];
    let has = |field: &str| kind.field(field).is_some();
    match name {
        "$ref" if has("operationId") => {
            Some("a `$ref` may stand for a whole path item, not for one operation")
        }
        "consumes" if has("requestBody") => {
            Some("write the types under `requestBody: { content: { application/json: ... } }`")
        }
        "produces" if has("responses") => {
            Some("write the types under `content` of each response: `content: { application/json: ... }`")
        }
        "schema" if has("content") => {
            Some("write it below a media type: `content: { application/json: { schema: ... } }`")
        }
        "definitions" if has("schemas") => Some("did you mean `schemas`?"),
        "definitions" | "securityDefinitions" if has("components") => {
            Some("write them under `components`: `schemas` and `securitySchemes`")
        }
        _ if SCHEMA_WORDS.contains(&name) && has("schema") => Some("it belongs under `schema`"),
        _ => None,
    }
}

/// A path item that is a reference is that reference: what stands beside it would be ignored.
pub(super) fn path_item(document: &Document<'_>, item: &Node, report: &mut Report) {
    super::parameters::listed_twice(document, item, report);
    if item.get("$ref").is_none() {
        return;
    }
    for (key, _) in item.entries() {
        let counts = |name: &&str| !matches!(grammar::PATH_ITEM.field(name), None | Some(Holds::Data));
        if let Some(name) = key.text().filter(counts) {
            report
                .error(
                    Code::NotBuilt,
                    key.span,
                    format!("`{name}` beside the `$ref` of a path is not built yet"),
                )
                .help("write it where the `$ref` leads, or write the path out here");
        }
    }
}

/// A body of which nothing is known would let every type pass.
pub(super) fn request_body(_: &Document<'_>, body: &Node, report: &mut Report) {
    if body.get("content").is_none() && !grammar::REQUEST_BODY.misspelt(body, "content") {
        report
            .error(
                Code::MalformedDocument,
                body.span,
                "a request body needs `content`, the media types that it may have",
            )
            .help("write for example `content: { application/json: {} }`");
    }
}

/// The keys of `responses` are statuses.
pub(super) fn responses(_: &Document<'_>, responses: &Node, report: &mut Report) {
    for (key, _) in responses.entries() {
        let Some(name) = key.text() else { continue };
        if name.starts_with("x-") || is_status(name) {
            continue;
        }
        let fault = unknown_word(
            name,
            "a status such as `200`, a class such as `2XX`, or `default`",
            &["default"],
            &[],
        );
        let help = fault.help.unwrap_or_else(|| {
            "a status is three digits, from 100 to 599; `2XX` stands for all that begin with 2".to_owned()
        });
        report.error(fault.code, key.span, fault.message).help(help);
    }
}

/// Whether a key of `responses` is one that OpenAPI knows. `2xx` is read as `2XX`.
pub(crate) fn is_status(text: &str) -> bool {
    let class = text.strip_suffix("XX").or_else(|| text.strip_suffix("xx"));
    match (class, text.as_bytes()) {
        _ if text == "default" => true,
        (Some(class), _) => matches!(class, "1" | "2" | "3" | "4" | "5"),
        (None, [b'1'..=b'5', rest @ ..]) => rest.len() == 2 && rest.iter().all(u8::is_ascii_digit),
        _ => false,
    }
}
