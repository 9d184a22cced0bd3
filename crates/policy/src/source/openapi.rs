//! OpenAPI 3.0 and 3.1 documents, as far as the gateway uses them: paths, methods, operation ids,
//! parameters, request bodies, and the examples of responses. What it does not use is not judged.

use std::cell::Cell;
use std::collections::BTreeMap;

use super::diagnostic::{Code, Report, Span};
use super::examples;
use super::reader::Scalar;
use super::scalars::{Header, Token};
use super::secrets::quote;
use super::yaml::{Node, Value};
use crate::{Method, MockResponse};

/// How many references may lead to one another.
const MAX_REFERENCES: usize = 32;

/// How long a path may be. A platform's URL has at most 16 KiB, and the tree of paths is walked.
const MAX_PATH: usize = 1024;
const MAX_SEGMENTS: usize = 32;

/// A document.
pub(crate) struct Document<'d> {
    root: &'d Node,
    /// How many values may still be made from its schemas.
    pub(super) samples: Cell<usize>,
}

/// An operation of a document.
#[derive(Debug)]
pub(crate) struct Found {
    pub(crate) id: String,
    pub(crate) method: Method,
    pub(crate) path: String,
    /// Header parameters, lower case, sorted.
    pub(crate) headers: Vec<(String, Span)>,
    /// Query parameters, sorted.
    pub(crate) query: Vec<String>,
    pub(crate) accepts_body: bool,
    pub(crate) content_types: Vec<String>,
    /// What a mock answers; empty unless it was asked for.
    pub(crate) responses: Vec<MockResponse>,
    pub(crate) span: Span,
}

/// The operations of a document.
#[derive(Debug, Default)]
pub(crate) struct Operations {
    /// Sorted by id.
    pub(crate) list: Vec<Found>,
    /// Some could not be read, and that was reported.
    pub(crate) broken: bool,
}

impl<'d> Document<'d> {
    /// Opens a document, if it is one that the gateway knows.
    pub(crate) fn open(root: &'d Node, from: Span, report: &mut Report) -> Option<Self> {
        let version = root.get("openapi");
        let text = version.and_then(Node::text).unwrap_or("");
        let known = ["3.0", "3.1"].iter().any(|known| {
            text == *known || text.strip_prefix(known).is_some_and(|rest| rest.starts_with('.'))
        });
        if known {
            return Some(Self {
                root,
                samples: Cell::new(examples::MAX_IN_DOCUMENT),
            });
        }
        let span = version.map_or(root.span, |version| version.span);
        if text.starts_with("3.2") {
            report
                .error(Code::NotBuilt, span, "OpenAPI 3.2 is not built yet")
                .help("write `openapi: 3.1.1` if the document uses nothing newer");
        } else if let Some(old) = root.get("swagger") {
            report
                .error(Code::NotOpenApi, old.span, "this is Swagger 2")
                .help("convert it to OpenAPI 3.1");
        } else {
            report
                .error(
                    Code::NotOpenApi,
                    span,
                    "this is not an OpenAPI document of version 3.0 or 3.1",
                )
                .label(from, "referred to here")
                .help("it begins with `openapi: 3.1.1`");
        }
        None
    }

    /// Follows `$ref`s until there is none. Reports one that leads nowhere.
    pub(crate) fn resolve<'n>(&self, node: &'n Node, report: &mut Report) -> Option<&'n Node>
    where
        'd: 'n,
    {
        match self.try_resolve(node) {
            Ok(found) => Some(found),
            Err((span, why)) => {
                report.error(Code::BadReference, span, why);
                None
            }
        }
    }

    /// As [`Document::resolve`], with the reason instead of a report.
    pub(crate) fn try_resolve<'n>(&self, node: &'n Node) -> Result<&'n Node, (Span, String)>
    where
        'd: 'n,
    {
        let mut node = node;
        for _ in 0..MAX_REFERENCES {
            let Some(reference) = node.get("$ref") else {
                return Ok(node);
            };
            let Some(text) = reference.text() else {
                return Err((reference.span, "a `$ref` is text".to_owned()));
            };
            let Some(pointer) = text.strip_prefix('#') else {
                return Err((
                    reference.span,
                    format!(
                        "{} leads out of the document: bundle it into one file",
                        quote(text)
                    ),
                ));
            };
            let Some(found) = self.follow(pointer) else {
                return Err((reference.span, format!("{} leads nowhere", quote(text))));
            };
            node = found;
        }
        Err((node.span, "this `$ref` leads in a circle".to_owned()))
    }

    /// What a JSON pointer (RFC 6901, in a fragment) points to.
    fn follow(&self, pointer: &str) -> Option<&'d Node> {
        if pointer.is_empty() {
            return Some(self.root);
        }
        let mut node = self.root;
        for part in pointer.strip_prefix('/')?.split('/') {
            let part = percent_decode(part)?.replace("~1", "/").replace("~0", "~");
            node = match &node.value {
                Value::Map(_) => node.get(&part)?,
                Value::List(items) => items.get(part.parse::<usize>().ok()?)?,
                Value::Scalar { .. } => return None,
            };
        }
        Some(node)
    }
}

/// Finds the operations of a document; with their answers if they are mocked.
pub(crate) fn operations(document: &Document<'_>, mocked: bool, report: &mut Report) -> Operations {
    let mut operations = Operations::default();
    let Some(paths) = document.root.get("paths") else {
        if document.root.get("webhooks").is_none() && document.root.get("components").is_none() {
            report.error(
                Code::MalformedDocument,
                document.root.span,
                "the document has no `paths`",
            );
            operations.broken = true;
        }
        return operations;
    };
    if !matches!(paths.value, Value::Map(_)) {
        report.error(
            Code::MalformedDocument,
            paths.span,
            format!("expected a map of paths, found {}", paths.kind()),
        );
        operations.broken = true;
        return operations;
    }
    let mut ids: BTreeMap<String, Span> = BTreeMap::new();
    for (key, item) in paths.entries() {
        let Some(path) = key.text().filter(|path| !path.starts_with("x-")) else {
            continue;
        };
        let good = check_template(path, key.span, report);
        let Some(item) = document.resolve(item, report) else {
            operations.broken = true;
            continue;
        };
        for (method_key, operation) in item.entries() {
            let Some(word) = method_key.text() else { continue };
            let method = match method(word) {
                Word::Method(method) => method,
                Word::Own => {
                    report.warning(
                        Code::NotPublished,
                        method_key.span,
                        format!("`{word}` is not published: the gateway answers it itself"),
                    );
                    continue;
                }
                Word::Later => {
                    report.error(
                        Code::NotBuilt,
                        method_key.span,
                        format!("the method `{word}` is not built yet"),
                    );
                    operations.broken = true;
                    continue;
                }
                Word::Other => continue,
            };
            let found = good
                .then(|| {
                    read_operation(
                        document, path, method, item, method_key, operation, mocked, report,
                    )
                })
                .flatten();
            let Some(found) = found else {
                operations.broken = true;
                continue;
            };
            if let Some(first) = ids.get(&found.id) {
                report
                    .error(
                        Code::DuplicateOperation,
                        found.span,
                        format!("there is an operation {} already", quote(&found.id)),
                    )
                    .label(*first, "the other one");
                continue;
            }
            ids.insert(found.id.clone(), found.span);
            operations.list.push(found);
        }
    }
    operations.list.sort_by(|a, b| a.id.cmp(&b.id));
    operations
}

enum Word {
    Method(Method),
    /// The gateway's own business.
    Own,
    Later,
    Other,
}

fn method(word: &str) -> Word {
    match word {
        "get" => Word::Method(Method::Get),
        "put" => Word::Method(Method::Put),
        "post" => Word::Method(Method::Post),
        "patch" => Word::Method(Method::Patch),
        "delete" => Word::Method(Method::Delete),
        "head" | "options" | "trace" => Word::Own,
        "query" | "additionalOperations" => Word::Later,
        _ => Word::Other,
    }
}

#[expect(
    clippy::too_many_arguments,
    reason = "one place of a document, with what stands around it"
)]
fn read_operation(
    document: &Document<'_>,
    path: &str,
    method: Method,
    item: &Node,
    key: &Node,
    operation: &Node,
    mocked: bool,
    report: &mut Report,
) -> Option<Found> {
    let name = format!("{} {}", method.name(), quote(path));
    if !matches!(operation.value, Value::Map(_)) {
        report.error(
            Code::MalformedDocument,
            operation.span,
            format!("expected an operation, found {}", operation.kind()),
        );
        return None;
    }
    let (headers, query) = parameters(document, item, operation, report);
    let (accepts_body, content_types) = request_body(document, operation, report);
    let responses = if mocked {
        examples::responses(document, &name, key.span, operation, report)
    } else {
        Vec::new()
    };
    let Some(id) = operation.get("operationId") else {
        let near = suggest_id(method, path);
        report
            .error(
                Code::NoOperationId,
                key.span,
                format!("the operation {name} has no `operationId`"),
            )
            .help(format!(
                "grants and rules name it by that: write for example `operationId: {near}`"
            ));
        return None;
    };
    let text = id.text().unwrap_or("");
    if let Err(fault) = Token::parse(text) {
        report.error(
            Code::NoOperationId,
            id.span,
            format!("the `operationId` of {name}: {}", fault.message),
        );
        return None;
    }
    if text == "all" {
        report.error(
            Code::NoOperationId,
            id.span,
            "an operation cannot be called `all`: grants mean every operation by it",
        );
        return None;
    }
    Some(Found {
        id: text.to_owned(),
        method,
        path: path.to_owned(),
        headers,
        query,
        accepts_body,
        content_types,
        responses,
        span: key.span,
    })
}

/// `GET /pets/{petId}` as `getPetsPetId`.
fn suggest_id(method: Method, path: &str) -> String {
    let mut id = method.name().to_ascii_lowercase();
    for word in path
        .split(|c: char| !c.is_ascii_alphanumeric())
        .filter(|word| !word.is_empty())
    {
        let (first, rest) = word.split_at_checked(1).unwrap_or((word, ""));
        id.push_str(&first.to_ascii_uppercase());
        id.push_str(rest);
    }
    id
}

/// The names of header and query parameters, those of the path's item included.
fn parameters(
    document: &Document<'_>,
    item: &Node,
    operation: &Node,
    report: &mut Report,
) -> (Vec<(String, Span)>, Vec<String>) {
    let mut headers: BTreeMap<String, Span> = BTreeMap::new();
    let mut query: BTreeMap<String, Span> = BTreeMap::new();
    for list in [item.get("parameters"), operation.get("parameters")]
        .into_iter()
        .flatten()
    {
        for parameter in list.items() {
            let Some(parameter) = document.resolve(parameter, report) else {
                continue;
            };
            let (place, name) = (parameter.get("in").and_then(Node::text), parameter.get("name"));
            let (Some(place), Some((name, text))) = (place, name.and_then(|name| Some((name, name.text()?))))
            else {
                report.error(
                    Code::MalformedDocument,
                    parameter.span,
                    "a parameter has `name` and `in`",
                );
                continue;
            };
            match place {
                "header" => match Header::parse(text) {
                    Ok(header) => {
                        headers.insert(header.0, name.span);
                    }
                    Err(fault) => {
                        report.error(fault.code, name.span, fault.message);
                    }
                },
                "query" => {
                    query.insert(text.to_owned(), name.span);
                }
                "cookie" => {
                    report.warning(
                        Code::NotPublished,
                        name.span,
                        format!("the cookie {} never reaches an upstream", quote(text)),
                    );
                }
                _ => {}
            }
        }
    }
    (headers.into_iter().collect(), query.into_keys().collect())
}

/// Whether there may be a body, and of which types.
fn request_body(document: &Document<'_>, operation: &Node, report: &mut Report) -> (bool, Vec<String>) {
    let Some(body) = operation.get("requestBody") else {
        return (false, Vec::new());
    };
    let Some(body) = document.resolve(body, report) else {
        return (false, Vec::new());
    };
    let mut types = Vec::new();
    for (key, _) in body.get("content").map(Node::entries).unwrap_or_default() {
        let Some(text) = key.text() else { continue };
        match media_type(text) {
            Some(kind) if kind == "*/*" => return (true, Vec::new()),
            Some(kind) if kind.ends_with("/*") => {
                report
                    .error(
                        Code::NotBuilt,
                        key.span,
                        format!("the range of media types {} is not built yet", quote(text)),
                    )
                    .help("list the types that the operation takes");
            }
            Some(kind) => types.push(kind),
            None => {
                report.error(
                    Code::MalformedDocument,
                    key.span,
                    format!("{} is not a media type", quote(text)),
                );
            }
        }
    }
    types.sort();
    types.dedup();
    (true, types)
}

/// A media type in lower case, without parameters.
pub(crate) fn media_type(text: &str) -> Option<String> {
    let kind = text.split(';').next().unwrap_or("").trim().to_ascii_lowercase();
    let (top, sub) = kind.split_once('/')?;
    let token = |part: &str| {
        !part.is_empty()
            && part
                .bytes()
                .all(|b| b.is_ascii_alphanumeric() || b"!#$&-^_.+*".contains(&b))
    };
    (token(top) && token(sub)).then_some(kind)
}

/// Checks a path template; reports what the gateway cannot route.
fn check_template(path: &str, span: Span, report: &mut Report) -> bool {
    let mut fault = |message: String, help: &str| {
        report.error(Code::BadTemplate, span, message).help(help);
        false
    };
    let Some(rest) = path.strip_prefix('/') else {
        return fault(
            format!("the path {} does not begin with `/`", quote(path)),
            "write `/` before it",
        );
    };
    if rest.is_empty() {
        return true;
    }
    if path.len() > MAX_PATH || rest.split('/').count() > MAX_SEGMENTS {
        return fault(
            "the path is too long to be routed".to_owned(),
            "a path has at most 1024 bytes and 32 segments",
        );
    }
    let mut seen = Vec::new();
    for segment in rest.split('/') {
        if segment.is_empty() {
            return fault(
                format!("the path {} has an empty segment", quote(path)),
                "a path has no `//` and does not end with `/`: those are other paths to some servers and the same to others",
            );
        }
        let inner = segment.strip_prefix('{').and_then(|rest| rest.strip_suffix('}'));
        if let Some(name) = inner.filter(|name| !name.is_empty() && !name.contains(['{', '}'])) {
            if seen.contains(&name) {
                return fault(
                    format!("{} occurs twice in {}", quote(name), quote(path)),
                    "give each parameter its own name",
                );
            }
            seen.push(name);
            continue;
        }
        if segment.contains(['{', '}']) {
            return fault(
                format!("the parameter in {} is not a whole segment", quote(segment)),
                "a parameter stands for a whole segment, as in `/pets/{petId}`",
            );
        }
        let good = |b: u8| b.is_ascii_alphanumeric() || b"-._~!$&'()*+,;=:@".contains(&b);
        if matches!(segment, "." | "..") || !segment.bytes().all(good) {
            return fault(
                format!("the segment {} cannot be routed", quote(segment)),
                "literal segments are letters, digits and `-._~!$&'()*+,;=:@`, never `.` or `..`",
            );
        }
    }
    true
}

fn percent_decode(text: &str) -> Option<String> {
    if !text.contains('%') {
        return Some(text.to_owned());
    }
    let mut bytes = Vec::with_capacity(text.len());
    let mut rest = text.bytes();
    while let Some(byte) = rest.next() {
        if byte == b'%' {
            let pair = [rest.next()?, rest.next()?];
            bytes.push(u8::from_str_radix(std::str::from_utf8(&pair).ok()?, 16).ok()?);
        } else {
            bytes.push(byte);
        }
    }
    String::from_utf8(bytes).ok()
}
