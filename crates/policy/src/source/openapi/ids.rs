//! Ids for operations that have none: made of method and path, as a person would write them.
//!
//! The checker names them where one is missing, and the commands that bring a document into a tree write them into
//! its copy: both mean the same ones. Grants name operations by them, so none may come to be that of another
//! operation: where several would have the same, none of them has it, and each gets one that only its own method and
//! path make. What stands before or beside an operation makes no difference, but that versions which are there
//! already keep theirs: see [`Earlier`].

use std::collections::{BTreeMap, BTreeSet};
use std::ops::Range;

use sha2::{Digest, Sha256};

use super::super::contract::shape;
use super::super::diagnostic::{Report, Span};
use super::super::yaml::{self, Node, Value};
use super::{Document, Word, grammar, method};
use crate::Method;

/// So many characters of a path are taken: an id has at most 256 bytes, with what may be put after it.
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

/// The ids of the versions of an API that are there already: a request keeps its id in the next one, and no other gets
/// it there.
#[derive(Clone, Debug, Default)]
pub struct Earlier {
    /// By method and shape of the path.
    ids: BTreeMap<(&'static str, String), String>,
    used: BTreeSet<String>,
}

impl Earlier {
    /// Adds the document of a version; later versions come first, and say it where two differ. A text that is no
    /// OpenAPI document adds nothing.
    pub fn add(&mut self, text: &str) {
        read_as(text, |document| self.add_document(document));
    }

    /// The same of a document that was read.
    pub(crate) fn add_read(&mut self, root: &Node) {
        if let Some(document) = Document::open(root, root.span, &mut Report::default()) {
            self.add_document(&document);
        }
    }

    fn add_document(&mut self, document: &Document<'_>) {
        let named = all(document).into_iter().filter_map(|one| {
            let id = one.operation.get("operationId")?.text()?;
            Some(((one.method.name(), shape(one.path)), id.to_owned()))
        });
        let found: Vec<_> = named.collect();
        for (request, id) in &found {
            // What a later version calls so is another one.
            if !self.used.contains(id) {
                self.ids.entry(request.clone()).or_insert_with(|| id.clone());
            }
        }
        self.used.extend(found.into_iter().map(|(_, id)| id));
    }

    /// Whether a request has this id in one of them.
    pub(super) fn has(&self, method: Method, path: &str, id: &str) -> bool {
        let known = self.ids.get(&(method.name(), shape(path)));
        known.is_some_and(|known| known == id)
    }
}

/// An operation of a document, and where it stands.
struct Stands<'d> {
    method: Method,
    path: &'d str,
    key: &'d Node,
    operation: &'d Node,
    written: [Span; 3],
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
pub fn unnamed(text: &str, earlier: &Earlier) -> Vec<Unnamed> {
    read_as(text, |document| listed(text, document, earlier)).unwrap_or_default()
}

/// What is read of a text, if it is an OpenAPI document.
fn read_as<T>(text: &str, read: impl FnOnce(&Document<'_>) -> T) -> Option<T> {
    let mut report = Report::default();
    let file = report.add_file(String::new(), text);
    let root = yaml::parse(file, text, &mut report)?;
    let document = Document::open(&root, root.span, &mut report)?;
    Some(read(&document))
}

fn listed(text: &str, document: &Document<'_>, earlier: &Earlier) -> Vec<Unnamed> {
    let bytes = |node: &Node| node.span.start..node.span.end;
    // No value that is written out begins so, unless in quotes.
    let alias = |span: &&Span| text.as_bytes().get(span.start) == Some(&b'*');
    missing(document, earlier)
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

/// `GET /pets/{petId}` as `getPetsByPetId`: letters and digits, and never more than 256 bytes with what may be put after it.
/// Several operations may come to the same.
pub(super) fn operation_id(method: &str, path: &str) -> String {
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
pub(super) fn missing<'d>(document: &Document<'d>, earlier: &Earlier) -> Vec<Missing<'d>> {
    let unnamed = all(document).into_iter().filter(|one| is_unnamed(one.operation));
    let mut all: Vec<_> = unnamed
        .map(|one| Missing {
            method: one.method,
            path: one.path,
            id: String::new(),
            key: one.key,
            operation: one.operation,
            written: one.written,
        })
        .collect();
    if !all.is_empty() {
        name(&mut all, document, earlier);
    }
    all
}

/// The operations of a document, each once.
fn all<'d>(document: &Document<'d>) -> Vec<Stands<'d>> {
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
            if let Some(Word::Method(method)) = key.text().map(method) {
                all.push(Stands {
                    method,
                    path,
                    key,
                    operation,
                    written: [operation.span, written.span, paths.span],
                });
            }
        }
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

/// Gives each its id: the one that it has in an earlier version, else the plain one, or, where that could be taken for
/// another operation, one of its own.
fn name(all: &mut [Missing<'_>], document: &Document<'_>, earlier: &Earlier) {
    let mut taken = taken(document.root);
    let mut others: Vec<&mut Missing<'_>> = Vec::new();
    for one in all {
        let known = earlier.ids.get(&(one.method.name(), shape(one.path)));
        match known.filter(|id| !taken.contains(*id)) {
            Some(id) => {
                one.id.clone_from(id);
                taken.insert(id.clone());
            }
            None => others.push(one),
        }
    }
    taken.extend(earlier.used.iter().cloned());
    let requests: Vec<_> = others.iter().map(|one| (one.method.name(), one.path)).collect();
    for (one, id) in others.into_iter().zip(distinct(&requests, taken)) {
        one.id = id;
    }
}

/// Ids for operations that are all that there are, by method and path: those that they would get in a document.
pub fn operation_ids(requests: &[(&str, &str)]) -> Vec<String> {
    distinct(requests, BTreeSet::new())
}

/// The plain id of each request, or where another one comes to the same or it is taken, one of its own.
fn distinct(requests: &[(&str, &str)], mut taken: BTreeSet<String>) -> Vec<String> {
    let plain = requests.iter().map(|(method, path)| operation_id(method, path));
    let plain: Vec<_> = plain.collect();
    let mut wanted: BTreeMap<&str, usize> = BTreeMap::new();
    for id in &plain {
        *wanted.entry(id).or_default() += 1;
    }
    let mut ids = Vec::with_capacity(plain.len());
    for ((method, path), id) in requests.iter().zip(&plain) {
        let many = wanted.get(id.as_str()).is_some_and(|many| *many > 1);
        if many || taken.contains(id) {
            let own = own(id, method, path, &taken);
            taken.insert(own.clone());
            ids.push(own);
        } else {
            ids.push(id.clone());
        }
    }
    ids
}

/// An id that no other method and path come to: a plain one has no `_`.
fn own(plain: &str, method: &str, path: &str, taken: &BTreeSet<String>) -> String {
    let hash = crate::hex(&Sha256::digest(format!("{method} {path}")));
    // Only whoever means it to be taken makes the short one so.
    let mut ids = [8, 16, 32]
        .into_iter()
        .map(|digits| format!("{plain}_{}", hash.get(..digits).unwrap_or(&hash)));
    let free = ids.find(|id| !taken.contains(id));
    let mut id = free.unwrap_or_else(|| format!("{plain}_{}", hash.get(..32).unwrap_or(&hash)));
    while taken.contains(&id) {
        id.push('_');
    }
    id
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
        let earlier = Earlier::default();
        unnamed(&text, &earlier).into_iter().map(|one| one.id).collect()
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

    const A_B: &str = "getAB_3c8680cc";
    const AB: &str = "getAB_ed734d13";

    #[test]
    fn each_its_own_in_whatever_order_they_stand() {
        let [one, two, three] = [
            "  /a-b: { get: {} }",
            "  /a/b: { get: {} }",
            "  /a.b: { get: {} }",
        ];
        assert_eq!(ids(&[one, two, three].join("\n")), [A_B, "getAB_840b7118", AB]);
        assert_eq!(ids(&[three, two, one].join("\n")), [AB, "getAB_840b7118", A_B]);
        // What has been taken all the same is not given again.
        let taken = format!("  /x: {{ get: {{ operationId: {A_B} }} }}");
        assert_eq!(
            ids(&[one, two, &taken].join("\n")),
            ["getAB_3c8680cc5c740395", "getAB_840b7118"]
        );
    }

    #[test]
    fn those_of_earlier_versions_stay_with_their_requests() {
        let mut earlier = Earlier::default();
        for version in [
            "/b: { get: { operationId: x } }, /a: { get: { operationId: getB } }",
            "/a/b: { get: { operationId: getAB } }, '/p/{a}': { get: { operationId: one } }",
            // What was called so later is the one.
            "/c: { get: { operationId: x } }",
        ] {
            earlier.add(&format!("openapi: 3.1.1\npaths: {{ {version} }}"));
        }
        earlier.add("a: [");
        let ids = |paths: &str| -> Vec<String> {
            let text = format!("openapi: 3.1.1\npaths: {{ {paths} }}");
            let found = unnamed(&text, &earlier).into_iter();
            found.map(|one| one.id).collect()
        };
        assert_eq!(
            ids("/a-b: { get: {} }, /a/b: { get: {} }, '/p/{b}': { get: {}, put: {} }"),
            ["getAB_3c8680cc", "getAB", "one", "putPByB"]
        );
        assert_eq!(
            ids("/c: { get: {} }, /b: { get: {} }, /a: { get: {} }"),
            ["getC", "x", "getB"]
        );
        // One that the document gives to another request itself is left to that.
        assert_eq!(
            ids("/a/b: { get: {} }, /z: { get: { operationId: getAB } }"),
            ["getAB_840b7118"]
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
                ["getA_f302dfbc"],
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
        let unnamed = |text| unnamed(text, &Earlier::default());
        assert_eq!(unnamed("swagger: '2.0'\npaths: { /a: { get: {} } }"), []);
        assert_eq!(unnamed("a: ["), []);
    }

    #[test]
    fn where_they_stand() {
        let text = "openapi: 3.1.1\npaths:\n  /a: &a\n    get: &b\n      tags: [x]\n    put: &c { }\n    post: *b\n  /b: *a\n";
        let found: Vec<_> = unnamed(text, &Earlier::default())
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
