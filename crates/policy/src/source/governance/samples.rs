//! Whether the examples of a document fit their schemas: mocks answer with them, and people copy them.

use super::super::diagnostic::{Code, Span};
use super::super::openapi::Document;
use super::super::secrets::quote;
use super::super::yaml::{Node, Value};
use super::documents::Opened;
use super::notes::Notes;

/// How deep an example is compared.
const MOST_LEVELS: usize = 16;
/// How many values of a document are compared.
const MOST_VALUES: usize = 100_000;

pub(super) fn judge(opened: &Opened<'_>, notes: &mut Notes) {
    let mut values = 0;
    for operation in &opened.operations {
        let answers = operation.responses.iter().map(|(_, response)| *response);
        let content = answers
            .chain(operation.body)
            .filter_map(|holder| holder.get("content"));
        let media = content.flat_map(Node::entries).map(|(_, media)| media);
        for holder in media.chain(operation.parameters.iter().copied()) {
            let Some(schema) = holder.get("schema") else {
                continue;
            };
            for example in examples(&opened.document, holder) {
                if let Some((at, why)) = fits(&opened.document, example, schema, 0, &mut values) {
                    notes
                        .say(
                            Code::ExampleType,
                            at,
                            format!("the example does not fit its schema: {why}"),
                        )
                        .help("correct the example, or the schema");
                }
            }
        }
    }
}

fn examples<'n, 'd: 'n>(document: &Document<'d>, holder: &'n Node) -> Vec<&'n Node> {
    let named = holder.get("examples").map(Node::entries).unwrap_or_default();
    let named = named
        .iter()
        .filter_map(|(_, example)| document.try_resolve(example).ok()?.get("value"));
    holder.get("example").into_iter().chain(named).collect()
}

/// Whether a value is of a type of JSON Schema.
pub(super) fn is_of(value: &Node, kind: &str) -> bool {
    let (plain, text) = match &value.value {
        Value::Scalar { text, plain } => (*plain, text.as_str()),
        Value::List(_) => return kind == "array",
        Value::Map(_) => return kind == "object",
    };
    let number = plain && text.parse::<f64>().is_ok();
    let boolean = plain && matches!(text, "true" | "false");
    match kind {
        "null" => value.is_null(),
        "boolean" => boolean,
        "number" => number,
        // 1.0 is a whole number (JSON Schema 2020-12, 6.1.1).
        "integer" => number && text.parse::<f64>().is_ok_and(|number| number.fract() == 0.0),
        "string" => !number && !boolean && !value.is_null(),
        // What is no type is not judged here.
        _ => true,
    }
}

/// Where and why a value is certainly not what its schema says; most of JSON Schema is not asked.
fn fits<'n, 'd: 'n>(
    document: &Document<'d>,
    value: &Node,
    schema: &'n Node,
    level: usize,
    values: &mut usize,
) -> Option<(Span, String)> {
    *values += 1;
    if level > MOST_LEVELS || *values > MOST_VALUES {
        return None;
    }
    let schema = document.try_resolve(schema).ok()?;
    let types = match schema.get("type") {
        Some(node) if node.text().is_some() => node.text().into_iter().collect(),
        Some(node) => node.items().iter().filter_map(Node::text).collect(),
        None => Vec::new(),
    };
    let nullable = value.is_null() && schema.get("nullable").and_then(Node::text) == Some("true");
    if nullable {
        return None;
    }
    if !types.is_empty() && !types.iter().any(|kind| is_of(value, kind)) {
        let why = format!("expected {}, found {}", types.join(" or "), value.kind());
        return Some((value.span, why));
    }
    let words = schema.get("enum").map(Node::items).unwrap_or_default();
    if let Some(text) = value.text()
        && !words.is_empty()
        && !words.iter().any(|word| word.text() == Some(text))
    {
        return Some((value.span, format!("{} is not one of its words", quote(text))));
    }
    if matches!(value.value, Value::Map(_)) {
        for name in schema.get("required").map(Node::items).unwrap_or_default() {
            if let Some(name) = name.text().filter(|name| value.get(name).is_none()) {
                return Some((value.span, format!("{} is missing", quote(name))));
            }
        }
    }
    for part in schema.get("allOf").map(Node::items).unwrap_or_default() {
        if let Some(fault) = fits(document, value, part, level + 1, values) {
            return Some(fault);
        }
    }
    if let Some(items) = schema
        .get("items")
        .filter(|items| matches!(items.value, Value::Map(_)))
    {
        for item in value.items() {
            if let Some(fault) = fits(document, item, items, level + 1, values) {
                return Some(fault);
            }
        }
    }
    let properties = schema.get("properties")?;
    value.entries().iter().find_map(|(key, member)| {
        let schema = properties.get(key.text()?)?;
        fits(document, member, schema, level + 1, values)
    })
}
