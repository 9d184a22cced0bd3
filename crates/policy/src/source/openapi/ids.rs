//! Ids for operations that have none: made of method and path, as a person would write them.
//!
//! The checker names them where one is missing, and the commands that bring a document into a tree write them into
//! its copy: both mean the same ones. They depend on the operations of a document and on the ids that it has, not on
//! the order in which it tells them, so that a document that was sorted anew keeps them.

use std::collections::{BTreeMap, BTreeSet};
use std::ops::Range;

use super::super::diagnostic::{Report, Span};
use super::super::yaml::{self, Node, Value};
use super::{Document, Word, grammar, method};
use crate::Method;

/// So many characters of a path are taken: an id has at most 256 bytes, with the number that may be put after it.
const LONGEST: usize = 200;

/// An operation of an OpenAPI document that has no `operationId`, and where it stands in the text.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Unnamed {
    /// The method, as on the wire.
    pub method: &'static str,
    /// The path, as the document has it.
    pub path: String,
    /// The id that the checker names for it; no operation has it.
    pub id: String,
    /// The bytes of the key that is its method.
    pub key: Range<usize>,
    /// The bytes of what it says; in a block they begin with its first key, else with a brace.
    pub says: Range<usize>,
    /// The bytes of its first key; nothing: it is empty.
    pub first: Option<Range<usize>>,
    /// The byte of an alias that stands for it or for what it is part of: then it has no text of its own here.
    pub alias: Option<usize>,
}

/// An operation without an `operationId`.
pub(super) struct Missing<'d> {
    method: Method,
    path: &'d str,
    /// The id that it would get.
    pub(super) id: String,
    key: &'d Node,
    pub(super) operation: &'d Node,
    /// Where it, its path and all paths are written; of an alias, that place.
    written: [Span; 3],
}

/// The operations of an OpenAPI document that have no `operationId`, in the order in which it tells them. A text that
/// is no such document has none.
pub fn unnamed(text: &str) -> Vec<Unnamed> {
    let mut report = Report::default();
    let file = report.add_file(String::new(), text);
    let Some(root) = yaml::parse(file, text, &mut report) else {
        return Vec::new();
    };
    let Some(document) = Document::open(&root, root.span, &mut report) else {
        return Vec::new();
    };
    let bytes = |node: &Node| node.span.start..node.span.end;
    // No value that is written out begins so, unless in quotes.
    let alias = |span: &&Span| text.as_bytes().get(span.start) == Some(&b'*');
    missing(&document)
        .into_iter()
        .map(|one| Unnamed {
            method: one.method.name(),
            path: one.path.to_owned(),
            key: bytes(one.key),
            says: bytes(one.operation),
            first: one.operation.entries().first().map(|(key, _)| bytes(key)),
            alias: one.written.iter().find(alias).map(|span| span.start),
            id: one.id,
        })
        .collect()
}

/// `GET /pets/{petId}` as `getPetsByPetId`: letters and digits, and never more than 256 bytes with a number after it.
/// Several operations may come to the same.
pub fn operation_id(method: &str, path: &str) -> String {
    let mut id = method.to_ascii_lowercase();
    let bare = id.len();
    for segment in path.split('/') {
        let parameter = segment.starts_with('{');
        if parameter {
            id.push_str("By");
        }
        let before = id.len();
        for word in segment.split(|c: char| !c.is_ascii_alphanumeric()) {
            let mut letters = word.chars();
            id.extend(letters.next().map(|first| first.to_ascii_uppercase()));
            id.push_str(letters.as_str());
        }
        // A name in another script.
        if parameter && id.len() == before {
            id.push_str("Parameter");
        }
    }
    if id.len() == bare {
        id.push_str("Root");
    }
    id.chars().take(LONGEST).collect()
}

/// Finds the operations that have no `operationId`, each with the one that it would get.
pub(super) fn missing<'d>(document: &Document<'d>) -> Vec<Missing<'d>> {
    let Some(paths) = document.root.get("paths") else {
        return Vec::new();
    };
    let mut seen = BTreeSet::new();
    let mut all = Vec::new();
    for (key, written) in paths.entries() {
        let Some(path) = key.text().filter(|path| !path.starts_with("x-")) else {
            continue;
        };
        // Those of another path belong to that one.
        let Ok(item) = document.try_resolve(written) else {
            continue;
        };
        if !seen.insert(std::ptr::from_ref(item)) {
            continue;
        }
        for (key, operation) in item.entries() {
            if let Some(Word::Method(method)) = key.text().map(method)
                && is_unnamed(operation)
            {
                all.push(Missing {
                    method,
                    path,
                    id: String::new(),
                    key,
                    operation,
                    written: [operation.span, written.span, paths.span],
                });
            }
        }
    }
    if !all.is_empty() {
        name(&mut all, document);
    }
    all
}

/// Whether an operation has no `operationId`, and that is all that is wrong with its id.
pub(super) fn is_unnamed(operation: &Node) -> bool {
    matches!(operation.value, Value::Map(_))
        && operation.get("operationId").is_none()
        && operation.get("$ref").is_none()
        && !grammar::OPERATION.misspelt(operation, "operationId")
}

/// Gives each its id: the plain one, or with a number where another operation has that.
fn name(all: &mut [Missing<'_>], document: &Document<'_>) {
    let mut taken = taken(document.root);
    let mut order: Vec<_> = all.iter_mut().collect();
    order.sort_by(|a, b| (a.path, a.method.name()).cmp(&(b.path, b.method.name())));
    let mut others = Vec::new();
    for one in order {
        one.id = operation_id(one.method.name(), one.path);
        if !taken.insert(one.id.clone()) {
            others.push(one);
        }
    }
    let mut numbers: BTreeMap<String, usize> = BTreeMap::new();
    for one in others {
        let number = numbers.entry(one.id.clone()).or_insert(1);
        let mut free = one.id.clone();
        while !taken.insert(free.clone()) {
            *number += 1;
            free = format!("{}{number}", one.id);
        }
        one.id = free;
    }
}

/// Every id that a document names anywhere: those of operations that the gateway does not publish too, and what links
/// refer to.
fn taken(root: &Node) -> BTreeSet<String> {
    let mut taken = BTreeSet::new();
    let mut rest = vec![root];
    while let Some(node) = rest.pop() {
        rest.extend(node.items());
        for (key, value) in node.entries() {
            if key.text() == Some("operationId")
                && let Some(id) = value.text()
            {
                taken.insert(id.to_owned());
            }
            rest.push(value);
        }
    }
    taken
}

#[cfg(test)]
mod tests {
    use super::*;

    #[track_caller]
    fn ids(paths: &str) -> Vec<String> {
        let text = format!("openapi: 3.1.1\npaths:\n{paths}\n");
        unnamed(&text).into_iter().map(|one| one.id).collect()
    }

    #[test]
    fn as_a_person_would_write_them() {
        for (method, path, id) in [
            ("GET", "/pets/{petId}", "getPetsByPetId"),
            ("GET", "/pets", "getPets"),
            (
                "DELETE",
                "/v1/pet-types/{pet_type_id}/",
                "deleteV1PetTypesByPetTypeId",
            ),
            (
                "POST",
                "/orgs/{org}/repos/{repo}:merge",
                "postOrgsByOrgReposByRepoMerge",
            ),
            ("GET", "/users/@me/a.b", "getUsersMeAB"),
            ("GET", "/2/größe/{größe}", "get2GrEByGrE"),
            ("GET", "/{名}", "getByParameter"),
            ("GET", "/", "getRoot"),
            ("GET", "/-", "getRoot"),
        ] {
            assert_eq!(operation_id(method, path), id, "{method} {path}");
        }
        assert_eq!(operation_id("GET", &"/a".repeat(1000)).len(), LONGEST);
    }

    #[test]
    fn each_its_own_in_whatever_order_they_stand() {
        let [one, two, three] = [
            "  /a-b: { get: {} }",
            "  /a/b: { get: {} }",
            "  /a.b: { get: {} }",
        ];
        assert_eq!(ids(&[one, two, three].join("\n")), ["getAB", "getAB3", "getAB2"]);
        assert_eq!(ids(&[three, two, one].join("\n")), ["getAB2", "getAB3", "getAB"]);
        // A number that another path comes to by itself is left to it.
        assert_eq!(
            ids("  /a/b: { get: {} }\n  /a-b: { get: {} }\n  /a/b2: { get: {} }"),
            ["getAB3", "getAB", "getAB2"]
        );
    }

    #[test]
    fn none_that_the_document_names_anywhere() {
        for other in [
            "  /x: { get: { operationId: getA } }",
            "  /x: { head: { operationId: getA } }",
            "webhooks: { x: { post: { operationId: getA } } }",
            "components: { links: { x: { operationId: getA } } }",
        ] {
            assert_eq!(
                ids(&format!("  /a: {{ get: {{}} }}\n{other}")),
                ["getA2"],
                "{other}"
            );
        }
    }

    #[test]
    fn what_has_one_or_needs_none() {
        for paths in [
            "  /a: { get: { operationId: '' } }",
            "  /a: { get: { operationID: a } }",
            "  /a: { get: { $ref: '#/x' } }",
            "  /a: { get: , post: [] }",
            "  /a: { head: {}, options: {}, trace: {}, x-get: {} }",
            "  x-a: { get: {} }",
            "  /a: { $ref: '#/paths/~1b' }",
        ] {
            assert_eq!(ids(paths), [""; 0], "{paths}");
        }
        assert_eq!(unnamed("swagger: '2.0'\npaths: { /a: { get: {} } }"), []);
        assert_eq!(unnamed("a: ["), []);
    }

    #[test]
    fn where_they_stand() {
        let text = "openapi: 3.1.1\npaths:\n  /a: &a\n    get: &b\n      tags: [x]\n    put: &c { }\n    post: *b\n  /b: *a\n";
        let found: Vec<_> = unnamed(text)
            .into_iter()
            .map(|one| {
                (
                    text.get(one.says).unwrap().to_owned(),
                    one.first.map(|key| text.get(key).unwrap()),
                    one.alias.map(|at| text.get(at..at + 2).unwrap()),
                )
            })
            .collect();
        let expected = [
            ("tags: [x]", Some("tags"), None),
            ("{ }", None, None),
            ("*b", Some("tags"), Some("*b")),
            ("tags: [x]", Some("tags"), Some("*a")),
            ("{ }", None, Some("*a")),
            ("*b", Some("tags"), Some("*b")),
        ];
        assert_eq!(
            found,
            expected.map(|(says, first, alias)| (says.to_owned(), first, alias))
        );
    }
}
