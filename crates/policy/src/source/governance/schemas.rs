//! Schemas: what a request may hold, and whether what is described can be.
//!
//! Bounds are asked for where values come from callers. What is not met is said once for a document,
//! with its first places: a document of a thousand schemas is one thing to be told about.

use std::collections::BTreeSet;

use super::super::diagnostic::{Code, Span};
use super::super::secrets::quote;
use super::super::yaml::Node;
use super::documents::Opened;
use super::notes::Notes;

/// Keys of a schema under which other schemas stand.
const ONE: [&str; 9] = [
    "items",
    "additionalProperties",
    "not",
    "if",
    "then",
    "else",
    "contains",
    "propertyNames",
    "unevaluatedProperties",
];
const LISTS: [&str; 4] = ["allOf", "anyOf", "oneOf", "prefixItems"];
const MAPS: [&str; 4] = ["properties", "patternProperties", "dependentSchemas", "$defs"];

/// Places where a rule is not met.
#[derive(Default)]
struct Found {
    arrays: Vec<Span>,
    texts: Vec<Span>,
    free: Vec<Span>,
    numbers: Vec<Span>,
    formats: Vec<Span>,
    open: Vec<Span>,
}

pub(super) fn judge(opened: &Opened<'_>, notes: &mut Notes) {
    let mut found = Found::default();
    let mut seen = BTreeSet::new();
    let mut rest: Vec<(&Node, bool)> = Vec::new();
    for operation in &opened.operations {
        let parameters = operation
            .parameters
            .iter()
            .filter_map(|parameter| parameter.get("schema"));
        rest.extend(parameters.map(|schema| (schema, false)));
        let content = operation.body.and_then(|body| body.get("content"));
        let media = content.map(Node::entries).unwrap_or_default().iter();
        rest.extend(media.filter_map(|(_, media)| Some((media.get("schema")?, true))));
    }
    while let Some((schema, body)) = rest.pop() {
        let Ok(schema) = opened.document.try_resolve(schema) else {
            continue;
        };
        if !seen.insert(std::ptr::from_ref(schema)) {
            continue;
        }
        bounds(schema, body, &mut found);
        rest.extend(below(schema).map(|schema| (schema, body)));
    }
    found.say(notes);
    sound(opened, notes);
    unused(opened, notes);
}

/// The schemas that a schema is made of.
fn below(schema: &Node) -> impl Iterator<Item = &Node> {
    let one = ONE.iter().filter_map(|key| schema.get(key));
    let lists = LISTS
        .iter()
        .filter_map(|key| schema.get(key))
        .flat_map(Node::items);
    let maps = MAPS
        .iter()
        .filter_map(|key| schema.get(key))
        .flat_map(Node::entries)
        .map(|(_, value)| value);
    one.chain(lists).chain(maps)
}

/// The types that a schema names: one, or a list since OpenAPI 3.1.
fn types(schema: &Node) -> Vec<&str> {
    match schema.get("type") {
        Some(node) if node.text().is_some() => node.text().into_iter().collect(),
        Some(node) => node.items().iter().filter_map(Node::text).collect(),
        None => Vec::new(),
    }
}

fn bounds(schema: &Node, body: bool, found: &mut Found) {
    let has = |keys: &[&str]| keys.iter().any(|key| schema.get(key).is_some());
    let types = types(schema);
    let at = schema.get("type").map_or(schema.span, |node| node.span);
    if types.contains(&"array") && !has(&["maxItems"]) {
        found.arrays.push(at);
    }
    if types.contains(&"string") {
        if !has(&["maxLength", "enum", "const", "format"]) {
            found.texts.push(at);
        }
        if !has(&["pattern", "enum", "const", "format"]) {
            found.free.push(at);
        }
    }
    if types.contains(&"integer") {
        let least = has(&["minimum", "exclusiveMinimum", "enum", "const"]);
        let most = has(&["maximum", "exclusiveMaximum", "enum", "const"]);
        if !least || !most {
            found.numbers.push(at);
        }
        if !has(&["format", "enum", "const"]) {
            found.formats.push(at);
        }
    }
    if body
        && types.contains(&"object")
        && has(&["properties"])
        && !has(&["additionalProperties", "unevaluatedProperties"])
    {
        found.open.push(at);
    }
}

impl Found {
    fn say(&self, notes: &mut Notes) {
        notes
            .say_once(Code::UnboundedArray, &self.arrays, |count| {
                format!("lists in requests have no upper bound in {count}")
            })
            .help("write `maxItems`");
        notes
            .say_once(Code::UnboundedText, &self.texts, |count| {
                format!("texts in requests have no upper bound in {count}")
            })
            .help("write `maxLength`, `enum` or `format`");
        notes
            .say_once(Code::UnrestrictedText, &self.free, |count| {
                format!("texts in requests may hold anything in {count}")
            })
            .help("write `pattern`, `enum` or `format`");
        notes
            .say_once(Code::UnboundedNumber, &self.numbers, |count| {
                format!("whole numbers in requests have no bounds in {count}")
            })
            .help("write `minimum` and `maximum`");
        notes
            .say_once(Code::NumberWithoutFormat, &self.formats, |count| {
                format!("whole numbers in requests have no format in {count}")
            })
            .help("write `format: int32` or `format: int64`");
        notes
            .say_once(Code::OpenObject, &self.open, |count| {
                format!("objects in request bodies may have other members in {count}")
            })
            .help("write `additionalProperties: false`");
    }
}

/// Whether what schemas say can be: all of them, wherever they stand.
fn sound(opened: &Opened<'_>, notes: &mut Notes) {
    let mut seen = BTreeSet::new();
    let mut rest: Vec<&Node> = Vec::new();
    let named = opened
        .root
        .get("components")
        .and_then(|components| components.get("schemas"));
    rest.extend(
        named
            .map(Node::entries)
            .unwrap_or_default()
            .iter()
            .map(|(_, schema)| schema),
    );
    for operation in &opened.operations {
        rest.extend(
            operation
                .parameters
                .iter()
                .filter_map(|parameter| parameter.get("schema")),
        );
        let answers = operation.responses.iter().map(|(_, response)| *response);
        let content = answers
            .chain(operation.body)
            .filter_map(|holder| holder.get("content"));
        rest.extend(
            content
                .flat_map(Node::entries)
                .filter_map(|(_, media)| media.get("schema")),
        );
    }
    while let Some(schema) = rest.pop() {
        // What it refers to stands among the components, and is judged there.
        if schema.get("$ref").is_some() || !seen.insert(schema.span) {
            continue;
        }
        judge_one(schema, notes);
        rest.extend(below(schema));
    }
}

fn judge_one(schema: &Node, notes: &mut Notes) {
    let types = types(schema);
    if types.contains(&"array") && schema.get("items").is_none() && schema.get("prefixItems").is_none() {
        notes
            .say(
                Code::NoItems,
                schema.span,
                "this list does not say what its items are",
            )
            .help("write `items`");
    }
    let mut values = BTreeSet::new();
    for value in schema.get("enum").map(Node::items).unwrap_or_default() {
        let Some(text) = value.text() else { continue };
        if !values.insert((text, value.kind() == "quoted text")) {
            notes
                .say(
                    Code::RepeatedEnum,
                    value.span,
                    format!("{} is listed twice", quote(text)),
                )
                .help("remove one, or write what was meant");
        }
        if !types.is_empty()
            && !types.iter().any(|kind| super::samples::is_of(value, kind))
            && !is_nullable(schema, value)
        {
            notes
                .say(
                    Code::EnumType,
                    value.span,
                    format!("{} is no {}", quote(text), types.join(" or ")),
                )
                .help("correct the value, or the `type`; quotes make a value text");
        }
    }
    // With `allOf` and the like the property may be described elsewhere.
    let alone = LISTS.iter().all(|key| schema.get(key).is_none()) && schema.get("$ref").is_none();
    let described = schema
        .get("properties")
        .filter(|_| alone && types.contains(&"object"));
    if let Some(described) = described {
        let names: BTreeSet<&str> = described
            .entries()
            .iter()
            .filter_map(|(key, _)| key.text())
            .collect();
        for name in schema.get("required").map(Node::items).unwrap_or_default() {
            if let Some(text) = name.text().filter(|text| !names.contains(text)) {
                notes
                    .say(
                        Code::UndefinedRequired,
                        name.span,
                        format!("{} is required and not described", quote(text)),
                    )
                    .help("describe it under `properties`");
            }
        }
    }
}

/// OpenAPI 3.0 says that a value may be absent by `nullable`.
fn is_nullable(schema: &Node, value: &Node) -> bool {
    value.is_null() && schema.get("nullable").and_then(Node::text) == Some("true")
}

/// Components that no `$ref` of the document names.
fn unused(opened: &Opened<'_>, notes: &mut Notes) {
    let mut named = BTreeSet::new();
    let mut rest = vec![opened.root];
    while let Some(node) = rest.pop() {
        rest.extend(node.items());
        for (key, value) in node.entries() {
            if key.text() == Some("$ref") || node.get("propertyName").is_some() {
                named.extend(value.text());
            }
            if key.text() == Some("mapping") {
                named.extend(value.entries().iter().filter_map(|(_, value)| value.text()));
            }
            rest.push(value);
        }
    }
    let mut idle = Vec::new();
    for (kind, of) in opened
        .root
        .get("components")
        .map(Node::entries)
        .unwrap_or_default()
    {
        // Security schemes are named by `security`, not by references.
        let Some(kind) = kind
            .text()
            .filter(|kind| *kind != "securitySchemes" && !kind.starts_with("x-"))
        else {
            continue;
        };
        for (name, _) in of.entries() {
            let Some(text) = name.text() else { continue };
            let pointer = format!(
                "#/components/{kind}/{}",
                text.replace('~', "~0").replace('/', "~1")
            );
            let below = format!("{pointer}/");
            let used = named.contains(pointer.as_str())
                || named
                    .range(below.as_str()..)
                    .next()
                    .is_some_and(|next| next.starts_with(&below))
                || named.contains(text);
            if !used {
                idle.push(name.span);
            }
        }
    }
    notes
        .say_once(Code::UnusedComponent, &idle, |count| {
            format!("components are used by nothing in {count}")
        })
        .help("use it or remove it");
}
