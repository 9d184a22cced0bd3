//! OpenAPI documents: each read once, and shown to the rules about documents.

use std::collections::{BTreeMap, BTreeSet};

use super::super::contract::{agree, numbers};
use super::super::diagnostic::{Code, Report, Span};
use super::super::openapi::Document;
use super::super::secrets::quote;
use super::super::yaml::Node;
use super::{Judge, Notes, security};
use crate::Operation;

/// A document, opened.
pub(super) struct Opened<'d> {
    pub(super) document: Document<'d>,
    pub(super) root: &'d Node,
    pub(super) operations: Vec<Described<'d>>,
}

/// An operation as its document describes it, references followed.
pub(super) struct Described<'d> {
    pub(super) method: &'d str,
    pub(super) path: &'d str,
    pub(super) path_at: Span,
    /// The key of the method.
    pub(super) at: Span,
    pub(super) node: &'d Node,
    /// Its own parameters and those of its path.
    pub(super) parameters: Vec<&'d Node>,
    /// By status.
    pub(super) responses: Vec<(&'d str, &'d Node)>,
    pub(super) body: Option<&'d Node>,
    /// What it is when it runs, if it is published.
    pub(super) published: Option<&'d Operation>,
}

impl Described<'_> {
    /// Whether it changes something.
    pub(super) fn writes(&self) -> bool {
        matches!(self.method, "post" | "put" | "patch" | "delete")
    }

    /// Its name, for messages.
    pub(super) fn shown(&self) -> String {
        match self.node.get("operationId").and_then(Node::text) {
            Some(id) => quote(id),
            None => quote(&format!("{} {}", self.method.to_uppercase(), self.path)),
        }
    }
}

const METHODS: [&str; 5] = ["get", "put", "post", "patch", "delete"];

pub(super) fn judge(judge: &mut Judge<'_>) {
    let compiled = judge.subject.compiled;
    let mut published: BTreeMap<(&str, &str), BTreeMap<&str, &Operation>> = BTreeMap::new();
    for operation in &compiled.operations {
        let api = usize::try_from(operation.api)
            .ok()
            .and_then(|api| compiled.apis.get(api));
        if let Some(api) = api {
            let of = published.entry((&api.name, &api.version)).or_default();
            of.insert(&operation.id, operation);
        }
    }
    let nothing = BTreeMap::new();
    let mut seen = BTreeSet::new();
    for (name, api) in &judge.subject.known.apis.here {
        for (version, fields) in api.versions.iter().flat_map(|map| &map.here) {
            let Some(path) = &fields.openapi else { continue };
            let full = format!("apis/{name}/{}", path.0);
            let Some(node) = judge.files.read_document(&full) else {
                continue;
            };
            if judge.faulty.contains(&node.span.file) {
                continue;
            }
            drift(&version.value, version.span, &node, judge);
            if !seen.insert(full.clone()) {
                continue;
            }
            let of = published
                .get(&(name.as_str(), version.value.as_str()))
                .unwrap_or(&nothing);
            // That it is a document was said by the check.
            let Some(document) = Document::open(&node, path.span, &mut Report::default()) else {
                continue;
            };
            let opened = open(document, &node, of);
            // What is open to everybody needs to describe less.
            let closed = of.values().all(|operation| operation.open_until.is_none());
            match judge.files.checked(&full).filter(|_| closed) {
                Some(checked) => judge.take(&checked.notes),
                None => {
                    let mut notes = Notes::default();
                    notes.judge(&opened);
                    judge.take(&notes);
                }
            }
            security::judge(&opened, judge);
        }
    }
}

/// Finds the operations of a document, with what runs of them.
pub(super) fn open<'d>(
    document: Document<'d>,
    root: &'d Node,
    published: &BTreeMap<&str, &'d Operation>,
) -> Opened<'d> {
    let mut operations = Vec::new();
    for (key, item) in root.get("paths").map(Node::entries).unwrap_or_default() {
        let Some(path) = key.text().filter(|path| path.starts_with('/')) else {
            continue;
        };
        let Ok(item) = document.try_resolve(item) else {
            continue;
        };
        let shared = item.get("parameters").map(Node::items).unwrap_or_default();
        for (method_key, node) in item.entries() {
            let Some(method) = method_key.text().filter(|method| METHODS.contains(method)) else {
                continue;
            };
            let own = node.get("parameters").map(Node::items).unwrap_or_default();
            let responses = node.get("responses").map(Node::entries).unwrap_or_default();
            operations.push(Described {
                method,
                path,
                path_at: key.span,
                at: method_key.span,
                node,
                parameters: shared
                    .iter()
                    .chain(own)
                    .filter_map(|parameter| document.try_resolve(parameter).ok())
                    .collect(),
                responses: responses
                    .iter()
                    .filter_map(|(status, response)| {
                        Some((status.text()?, document.try_resolve(response).ok()?))
                    })
                    .collect(),
                body: node
                    .get("requestBody")
                    .and_then(|body| document.try_resolve(body).ok()),
                published: node
                    .get("operationId")
                    .and_then(Node::text)
                    .and_then(|id| published.get(id).copied()),
            });
        }
    }
    Opened {
        document,
        root,
        operations,
    }
}

/// Whether a document has the number under which it is published.
fn drift(version: &str, at: Span, root: &Node, judge: &mut Judge<'_>) {
    let info = root.get("info").and_then(|info| info.get("version"));
    let Some((node, text)) = info.and_then(|node| Some((node, node.text()?))) else {
        return;
    };
    let (Some(own), Some(its)) = (numbers(version), numbers(text)) else {
        return;
    };
    if agree(&own, &its) {
        return;
    }
    judge
        .say(
            Code::VersionDrift,
            node.span,
            format!(
                "the document is of version {}, and is published as {}",
                quote(text),
                quote(version)
            ),
        )
        .label(at, "published here")
        .help("give the version a document of its own, or correct the number");
}
