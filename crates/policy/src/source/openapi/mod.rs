//! OpenAPI 3.0 and 3.1 documents, as far as the gateway uses them: paths, methods, operation ids,
//! parameters, request bodies, and the examples of responses. Around these, keys that OpenAPI does
//! not know and references that lead nowhere are errors too; what schemas say is not judged.

mod check;
mod circles;
mod grammar;
mod ids;
mod parameters;
mod places;
mod pointer;
mod template;

use std::cell::{Cell, OnceCell};
use std::collections::BTreeMap;
use std::sync::Arc;

pub(crate) use check::{check, is_status};
pub(crate) use grammar::{misspelt_example, unclear_responses};
use ids::operation_id;
pub use ids::{Earlier, Unnamed, operation_ids, unnamed};
pub(crate) use places::find;
pub(crate) use pointer::Dangling;

use super::blanks;
use super::diagnostic::{Code, Report, Span};
use super::examples;
use super::reader::Scalar;
use super::scalars::Token;
use super::secrets::quote;
use super::yaml::{Node, Value};
use crate::{Method, MockResponse};

/// What documents may hold and nothing enforces yet. Each is refused where it is read.
pub(crate) const LATER: [&str; 4] = [
    "OpenAPI 3.2",
    "its methods (`query`, `additionalOperations`)",
    "ranges of media types for bodies (`image/*`)",
    "members beside the `$ref` of a path",
];

/// A document.
pub(crate) struct Document<'d> {
    root: &'d Node,
    memory: pointer::Memory<'d>,
    /// The ids that operations without one would get, once that is asked for.
    ids: OnceCell<BTreeMap<*const Node, String>>,
    /// The ids of all versions that it is one of, where they are known.
    versions: Arc<Earlier>,
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
                memory: pointer::Memory::default(),
                ids: OnceCell::new(),
                versions: Arc::default(),
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
                .help(CONVERT);
        } else if let Some(message) = version.and_then(blanks::other_quotes) {
            report.error(Code::NotOpenApi, span, message).help(blanks::QUOTES);
        } else if version.is_some() && !text.is_empty() {
            let message = format!("{} is no version of OpenAPI that is read here", quote(text));
            report
                .error(Code::NotOpenApi, span, message)
                .label(from, "referred to here")
                .help("write the one that the document is of: `openapi: 3.1.1`, or `openapi: 3.0.4`");
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

    /// The same as one of these versions: their requests keep their ids in it, and no other gets those.
    pub(crate) fn among(mut self, versions: Arc<Earlier>) -> Self {
        self.versions = versions;
        self
    }

    /// Whether an operation of it has no id.
    pub(crate) fn lacks_ids(&self) -> bool {
        let lacks = |item: &Node| {
            let mut members = item.entries().iter();
            members.any(|(key, operation)| {
                matches!(key.text().map(method), Some(Word::Method(_))) && ids::is_unnamed(operation)
            })
        };
        let paths = self.root.get("paths").map(Node::entries).unwrap_or_default();
        paths
            .iter()
            .any(|(_, item)| self.try_resolve(item).is_ok_and(lacks))
    }

    /// The id that an operation of it would get: no other has it.
    fn id_for(&self, method: Method, path: &str, operation: &Node) -> String {
        let ids = self.ids.get_or_init(|| {
            let missing = ids::missing(self, &self.versions).into_iter();
            missing
                .map(|one| (std::ptr::from_ref(one.operation), one.id))
                .collect()
        });
        let own = ids.get(&std::ptr::from_ref(operation));
        own.map_or_else(|| operation_id(method.name(), path), String::clone)
    }
}

/// What helps against Swagger 2.
const CONVERT: &str =
    "convert it to OpenAPI 3, for example by `npx swagger2openapi swagger.yaml -o openapi.yaml`";

/// Why a document is none that the gateway reads, where it does not say `openapi`.
pub(crate) fn other(document: &serde_json::Value) -> Option<(String, &'static str)> {
    let keys = || {
        document
            .as_object()
            .into_iter()
            .flatten()
            .map(|(key, _)| key.as_str())
    };
    let none = |why: &str| format!("no OpenAPI document: {why}");
    if document.get("openapi").is_some() {
        return None;
    }
    if document.get("swagger").is_some() {
        return Some((none("it is Swagger 2, and does not say `openapi: 3...`"), CONVERT));
    }
    if let Some(key) = keys().find(|key| key.eq_ignore_ascii_case("openapi")) {
        let why = format!("it says {}, and not `openapi: 3...`", quote(key));
        return Some((none(&why), "write the key in small letters: `openapi: 3.1.1`"));
    }
    let why = none("it does not say `openapi: 3...`");
    Some((
        why,
        "it begins with `openapi: 3.1.1`, or with the 3.0 that it is of",
    ))
}

/// Finds the operations of a document; with their answers if they are mocked.
pub(crate) fn operations(document: &Document<'_>, mocked: bool, report: &mut Report) -> Operations {
    let mut operations = Operations::default();
    let Some(paths) = document.root.get("paths") else {
        let other = |part: &str| document.root.get(part).is_some();
        operations.broken = !other("webhooks") && !other("components");
        if operations.broken && !grammar::DOCUMENT.misspelt(document.root, "paths") {
            report
                .error(
                    Code::MalformedDocument,
                    document.root.span,
                    "the document has no `paths`",
                )
                .help("write for example `paths: { /pets: { get: { operationId: listPets } } }`");
        }
        return operations;
    };
    // Another shape was reported as the document was checked.
    operations.broken = !matches!(paths.value, Value::Map(_));
    let mut used: BTreeMap<*const Node, Span> = BTreeMap::new();
    let mut ids: BTreeMap<String, Span> = BTreeMap::new();
    for (key, item) in paths.entries() {
        let Some(path) = key.text().filter(|path| !path.starts_with("x-")) else {
            continue;
        };
        let good = template::check_template(path, key.span, report);
        let Some(item) = document.resolve(item, report) else {
            operations.broken = true;
            continue;
        };
        if let Some(first) = used.insert(std::ptr::from_ref(item), key.span) {
            report
                .error(
                    Code::DuplicateOperation,
                    key.span,
                    format!("the operations of {} are those of another path", quote(path)),
                )
                .label(first, "the other one")
                .help("write the operations out, each with an `operationId` of its own");
            continue;
        }
        for (method_key, operation) in item.entries() {
            let Some(word) = method_key.text() else { continue };
            let method = match method(word) {
                Word::Method(method) => method,
                Word::Own => {
                    report
                        .warning(
                            Code::NotPublished,
                            method_key.span,
                            format!("`{word}` is not published: the gateway answers it itself"),
                        )
                        .help("remove it from the document to be rid of this warning");
                    continue;
                }
                Word::Later => {
                    report
                        .error(
                            Code::NotBuilt,
                            method_key.span,
                            format!("the method `{word}` is not built yet"),
                        )
                        .help("it is part of OpenAPI 3.2: leave it out until it is enforced");
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
                    .label(*first, "the other one")
                    .help("grants and rules name an operation by its id: give each its own");
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
    // Another shape was reported as the document was checked.
    if !matches!(operation.value, Value::Map(_)) {
        return None;
    }
    let (headers, query) = parameters::forwarded(document, item, operation, report);
    let (accepts_body, content_types) = request_body(document, operation, report);
    let responses = if mocked {
        examples::responses(document, &name, key.span, operation, report)
    } else {
        Vec::new()
    };
    let Some(id) = operation.get("operationId") else {
        if !ids::is_unnamed(operation) {
            return None;
        }
        let id = document.id_for(method, path, operation);
        let plain = operation_id(method.name(), path);
        let why = if document.versions.has(method, path, &id) {
            "; another version of the API calls it so".to_owned()
        } else if id != plain {
            format!("; `{plain}` would be the id of another operation too")
        } else {
            String::new()
        };
        report
            .error(
                Code::NoOperationId,
                key.span,
                format!("the operation {name} has no `operationId`"),
            )
            .help(format!(
                "grants and rules name it by that: write `operationId: {id}`, as `turnpike new api` and `turnpike \
                 import openapi` do in their copy of a document{why}"
            ));
        return None;
    };
    let text = id.text().unwrap_or("");
    if let Some(message) = blanks::other_quotes(id) {
        report
            .error(Code::NoOperationId, id.span, message)
            .help(blanks::QUOTES);
        return None;
    }
    if let Err(fault) = Token::parse(text) {
        report
            .error(
                Code::NoOperationId,
                id.span,
                format!("the `operationId` of {name}: {}", fault.message),
            )
            .help(format!(
                "write for example `operationId: {}`",
                operation_id(method.name(), path)
            ));
        return None;
    }
    if text == "all" {
        report
            .error(
                Code::NoOperationId,
                id.span,
                "an operation cannot be called `all`: grants mean every operation by it",
            )
            .help(format!(
                "write for example `operationId: {}`",
                operation_id(method.name(), path)
            ));
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
            None => not_a_media_type(key, report),
        }
    }
    types.sort();
    types.dedup();
    (true, types)
}

/// Reports a key of `content` that is no media type.
pub(crate) fn not_a_media_type(key: &Node, report: &mut Report) {
    let text = key.text().unwrap_or("");
    report
        .error(
            Code::MalformedDocument,
            key.span,
            format!("{} is not a media type", quote(text)),
        )
        .help("write for example `application/json`");
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
