//! What a mocked operation answers: the examples of its document, or one made from its schema.

use std::collections::BTreeMap;

use serde_json::{Map, Value as Json};

use super::diagnostic::{Code, Report, Span};
use super::json;
use super::openapi::{
    Dangling, Document, is_status, media_type, misspelt_example, not_a_media_type, unclear_responses,
};
use super::secrets::quote;
use super::yaml::Node;
use crate::MockResponse;

/// How deep, and how large, an example made from a schema may grow. What is optional beyond that depth is left out.
const MAX_DEPTH: usize = 12;
const MAX_VALUES: usize = 10_000;
/// How deep it may grow where what is required lies deeper.
const MAX_NESTED: usize = 64;
/// How many values all examples of one document may have that are made from its schemas.
pub(crate) const MAX_IN_DOCUMENT: usize = 1_000_000;

/// The answers of an operation, sorted by status, then media type (JSON first), then name.
pub(crate) fn responses(
    document: &Document<'_>,
    name: &str,
    at: Span,
    operation: &Node,
    report: &mut Report,
) -> Vec<MockResponse> {
    let entries = operation.get("responses").map(Node::entries).unwrap_or_default();
    let statuses: Vec<_> = entries.iter().filter_map(|(key, _)| key.text()).collect();
    let mut answers = Vec::new();
    let mut broken = unclear_responses(operation);
    for (key, response) in entries {
        let Some(text) = key.text().filter(|text| !text.starts_with("x-")) else {
            continue;
        };
        let Some(status) = status(text, &statuses) else {
            // What is no status at all was reported as the document was checked.
            if is_status(text) {
                report
                    .error(
                        Code::MalformedDocument,
                        key.span,
                        format!("{} is no status that a mock can answer", quote(text)),
                    )
                    .help("a final status is from 200 to 599");
            }
            broken = true;
            continue;
        };
        // `2XX` says what holds of the others beside a `200`.
        let exact = status.to_string();
        if text != exact && statuses.contains(&exact.as_str()) {
            continue;
        }
        let Some(response) = document.resolve(response, report) else {
            broken = true;
            continue;
        };
        let content = response.get("content").map(Node::entries).unwrap_or_default();
        if content.is_empty() {
            let empty = MockResponse {
                status,
                name: String::new(),
                content_type: String::new(),
                body: Vec::new(),
            };
            answers.push(empty);
        }
        for (kind, media) in content {
            let Some(kind_text) = kind.text().and_then(media_type) else {
                not_a_media_type(kind, report);
                broken = true;
                continue;
            };
            match of_media(document, &kind_text, media, report) {
                Ok(list) => answers.extend(list.into_iter().map(|(name, body)| MockResponse {
                    status,
                    name,
                    content_type: kind_text.clone(),
                    body,
                })),
                Err(Some(why)) => {
                    broken = true;
                    report
                        .error(
                            Code::NothingToAnswer,
                            kind.span,
                            format!("{name} has no example for {status} ({kind_text}): {why}"),
                        )
                        .help("write an `example` beside the schema");
                }
                Err(None) => broken = true,
            }
        }
    }
    answers.sort_by(|a, b| {
        let json_first = |answer: &MockResponse| answer.content_type != "application/json";
        (a.status, json_first(a))
            .cmp(&(b.status, json_first(b)))
            .then_with(|| a.content_type.cmp(&b.content_type))
            .then_with(|| a.name.cmp(&b.name))
            // A type with parameters and one without are the same type.
            .then_with(|| a.body.cmp(&b.body))
    });
    if !broken && !answers.iter().any(|answer| answer.status < 400) {
        report
            .error(
                Code::NothingToAnswer,
                at,
                format!("{name} is mocked, and its document has no successful response"),
            )
            .help("write a response with an example, for instance under `responses: { \"200\": ... }`");
    }
    answers
}

/// The status that a key of `responses` stands for, among all of them.
fn status(text: &str, all: &[&str]) -> Option<u16> {
    if text == "default" {
        // Beside others it is the description of errors; alone it is all there is.
        return Some(if all.iter().any(|other| other.starts_with('2')) {
            500
        } else {
            200
        });
    }
    let exact = text.len() == 3 && text.bytes().all(|b| b.is_ascii_digit());
    let range = text.strip_suffix("XX").or_else(|| text.strip_suffix("xx"));
    let status = match range {
        Some(class) => class.parse::<u16>().ok()? * 100,
        None if exact => text.parse().ok()?,
        None => return None,
    };
    (200..600).contains(&status).then_some(status)
}

/// Why there is no example; nothing if that was reported.
type Why = Option<String>;

/// A reference within the document that leads nowhere was reported as the document was checked.
fn unresolved(dangling: Dangling) -> Why {
    (!dangling.local).then_some(dangling.why)
}

/// The named bodies of a media type.
fn of_media(
    document: &Document<'_>,
    kind: &str,
    media: &Node,
    report: &mut Report,
) -> Result<Vec<(String, Vec<u8>)>, Why> {
    if let Some(example) = media.get("example") {
        return Ok(vec![(String::new(), body(kind, example)?)]);
    }
    if let Some(examples) = media
        .get("examples")
        .filter(|examples| !examples.entries().is_empty())
    {
        let mut list = Vec::new();
        for (name, example) in examples.entries() {
            let Some(example) = document.resolve(example, report) else {
                return Err(None);
            };
            let Some(name) = name.text() else { continue };
            match example.get("value") {
                Some(value) => list.push((name.to_owned(), body(kind, value)?)),
                // Its value stands under another key, and that was reported.
                None if report.any_within(example.span) => return Err(None),
                None => return Err(Some(format!("the example {} has no `value`", quote(name)))),
            }
        }
        return Ok(list);
    }
    let Some(schema) = media.get("schema") else {
        if misspelt_example(media) {
            return Err(None);
        }
        return Err(Some("it has no schema either".to_owned()));
    };
    let value = sample(document, schema)?;
    Ok(vec![(String::new(), bytes(kind, &value))])
}

/// An example of a schema, cut at a depth that is enough for nearly all. Where something required lies deeper it is
/// followed as far as it goes, and only a schema that stands inside itself is cut.
fn sample(document: &Document<'_>, schema: &Node) -> Result<Json, Why> {
    for within in [None, Some(Vec::new())] {
        let mut sampler = Sampler {
            document,
            left: MAX_VALUES,
            within,
        };
        if let Some(value) = sampler.sample(schema, 0)? {
            return Ok(value);
        }
    }
    Err(Some("its schema contains itself".to_owned()))
}

fn body(kind: &str, example: &Node) -> Result<Vec<u8>, Why> {
    let value =
        json::value(example).ok_or_else(|| Some("the example is nothing that JSON can hold".to_owned()))?;
    Ok(bytes(kind, &value))
}

/// JSON as JSON; a text of any other type as it is.
fn bytes(kind: &str, value: &Json) -> Vec<u8> {
    let is_json = kind == "application/json" || kind.ends_with("+json");
    match value {
        Json::String(text) if !is_json => text.clone().into_bytes(),
        value => json::text(value).into_bytes(),
    }
}

/// Makes an example from a schema: always the same one.
struct Sampler<'a, 'd> {
    document: &'a Document<'d>,
    left: usize,
    /// The schemas that what is made stands in, where these end it and not its depth.
    within: Option<Vec<*const Node>>,
}

/// The key words that say what a string is, and a value that is one.
const FORMATS: [(&str, &str); 10] = [
    ("date", "2026-01-01"),
    ("date-time", "2026-01-01T00:00:00Z"),
    ("time", "00:00:00Z"),
    ("duration", "PT1H"),
    ("uuid", "00000000-0000-4000-8000-000000000000"),
    ("email", "user@example.com"),
    ("hostname", "example.com"),
    ("ipv4", "192.0.2.1"),
    ("ipv6", "2001:db8::1"),
    ("uri", "https://example.com/"),
];

impl Sampler<'_, '_> {
    /// An example; nothing where the schema goes too deep, or stands inside itself, so that what is optional can be
    /// left out.
    fn sample(&mut self, schema: &Node, depth: usize) -> Result<Option<Json>, Why> {
        let spent = || Some("its schema is too large to make one from".to_owned());
        self.left = self.left.checked_sub(1).ok_or_else(spent)?;
        let samples = &self.document.samples;
        samples.set(samples.get().checked_sub(1).ok_or_else(spent)?);
        if self.within.is_none() && depth > MAX_DEPTH {
            return Ok(None);
        }
        let schema = self.document.try_resolve(schema).map_err(unresolved)?;
        if let Some(within) = &mut self.within {
            let this = std::ptr::from_ref(schema);
            if within.contains(&this) {
                return Ok(None);
            }
            if depth > MAX_NESTED {
                let why = format!("its schema is nested more than {MAX_NESTED} levels deep");
                return Err(Some(why));
            }
            within.push(this);
        }
        let made = self.of_schema(schema, depth);
        if let Some(within) = &mut self.within {
            within.pop();
        }
        made
    }

    fn of_schema(&mut self, schema: &Node, depth: usize) -> Result<Option<Json>, Why> {
        for word in ["example", "const", "default"] {
            if let Some(value) = schema.get(word).and_then(json::value) {
                return Ok(Some(value));
            }
        }
        for word in ["examples", "enum"] {
            if let Some(value) = schema
                .get(word)
                .and_then(|list| list.items().first())
                .and_then(json::value)
            {
                return Ok(Some(value));
            }
        }
        if let Some(parts) = schema.get("allOf") {
            return self.all_of(schema, parts, depth);
        }
        for word in ["oneOf", "anyOf"] {
            if let Some(first) = schema.get(word).and_then(|list| list.items().first()) {
                return self.sample(first, depth + 1);
            }
        }
        match kind_of(schema) {
            Some("object") => self.object(schema, depth),
            Some("array") => self.array(schema, depth),
            Some("string") => Ok(Some(string(schema))),
            Some("integer") => Ok(Some(number(schema, Json::from(1)))),
            Some("number") => Ok(Some(number(schema, Json::from(1.5)))),
            Some("boolean") => Ok(Some(Json::Bool(true))),
            Some("null") => Ok(Some(Json::Null)),
            _ => Err(Some("its schema does not say of which type it is".to_owned())),
        }
    }

    fn all_of(&mut self, schema: &Node, parts: &Node, depth: usize) -> Result<Option<Json>, Why> {
        let mut merged = Map::new();
        let own = schema.get("properties").map(|_| schema);
        for part in parts.items() {
            match self.sample(part, depth + 1)? {
                Some(Json::Object(fields)) => merged.extend(fields),
                Some(other) if parts.items().len() == 1 => return Ok(Some(other)),
                _ => {}
            }
        }
        if let Some(Json::Object(fields)) = own.map(|own| self.object(own, depth)).transpose()?.flatten() {
            merged.extend(fields);
        }
        Ok(Some(sorted(merged)))
    }

    fn object(&mut self, schema: &Node, depth: usize) -> Result<Option<Json>, Why> {
        let required: Vec<_> = schema
            .get("required")
            .map(Node::items)
            .unwrap_or_default()
            .iter()
            .filter_map(Node::text)
            .collect();
        let mut fields = Map::new();
        for (key, property) in schema.get("properties").map(Node::entries).unwrap_or_default() {
            let Some(name) = key.text() else { continue };
            let resolved = self.document.try_resolve(property).map_err(unresolved)?;
            if resolved.get("writeOnly").and_then(Node::text) == Some("true") {
                continue;
            }
            match self.sample(property, depth + 1)? {
                Some(value) => {
                    fields.insert(name.to_owned(), value);
                }
                None if required.contains(&name) => return Ok(None),
                None => {}
            }
        }
        Ok(Some(sorted(fields)))
    }

    fn array(&mut self, schema: &Node, depth: usize) -> Result<Option<Json>, Why> {
        let Some(items) = schema.get("items") else {
            return Ok(Some(Json::Array(Vec::new())));
        };
        let item = self.sample(items, depth + 1)?;
        let least = schema
            .get("minItems")
            .and_then(Node::text)
            .and_then(|text| text.parse::<usize>().ok())
            .unwrap_or(0);
        match item {
            Some(item) => Ok(Some(Json::Array(vec![item; least.clamp(1, 16)]))),
            None if least == 0 => Ok(Some(Json::Array(Vec::new()))),
            None => Ok(None),
        }
    }
}

fn sorted(fields: Map<String, Json>) -> Json {
    let fields: BTreeMap<_, _> = fields.into_iter().collect();
    Json::Object(fields.into_iter().collect())
}

/// The type that a schema says, or shows.
fn kind_of(schema: &Node) -> Option<&str> {
    match schema.get("type") {
        Some(kind) => kind.text().or_else(|| {
            kind.items()
                .iter()
                .filter_map(Node::text)
                .find(|kind| *kind != "null")
        }),
        None if schema.get("properties").is_some() => Some("object"),
        None if schema.get("items").is_some() => Some("array"),
        None => None,
    }
}

fn string(schema: &Node) -> Json {
    let format = schema.get("format").and_then(Node::text).unwrap_or("");
    if let Some((_, value)) = FORMATS.iter().find(|(known, _)| *known == format) {
        return Json::from(*value);
    }
    let bound = |word: &str| {
        schema
            .get(word)
            .and_then(Node::text)
            .and_then(|text| text.parse::<usize>().ok())
    };
    let (least, most) = (
        bound("minLength").unwrap_or(0).min(1024),
        bound("maxLength").unwrap_or(1024),
    );
    let mut text = "string".to_owned();
    while text.len() < least {
        text.push_str("string");
    }
    let length = if least > 6 { least } else { 6 };
    Json::from(text.get(..length.min(most)).unwrap_or(""))
}

fn number(schema: &Node, usual: Json) -> Json {
    let least = schema
        .get("minimum")
        .and_then(json::value)
        .filter(Json::is_number);
    let most = schema
        .get("maximum")
        .and_then(json::value)
        .filter(Json::is_number);
    let as_f64 = |value: &Json| value.as_f64().unwrap_or(0.0);
    match (least, most) {
        (Some(least), _) if as_f64(&least) > as_f64(&usual) => least,
        (_, Some(most)) if as_f64(&most) < as_f64(&usual) => most,
        _ => usual,
    }
}
