//! Whether a place that a rule names can stand in the files that it is about.
//!
//! A rule about a field that does not exist is never broken, and looks as if it were kept. The schemas of
//! the kinds and the grammar of OpenAPI know which places there are: what only an author can tell, such as the
//! names in a map, may be anything.

use std::collections::BTreeSet;

use serde_json::{Map, Value as Json};

use super::super::{names, openapi, schema};
use super::custom::Kind;

/// Why there is no such place: what is wrong, and what would help.
pub(super) struct Nowhere {
    pub(super) message: String,
    pub(super) help: String,
}

/// Looks for a place; keys with `*` for every one of them.
pub(super) fn find(kind: Kind, path: &[String]) -> Result<(), Nowhere> {
    let (folder, result) = match kind {
        Kind::Documents => ("documents", openapi::find(path)),
        Kind::Gateway => ("gateway", in_schema("gateway", path)),
        Kind::Apis => ("apis", in_schema("apis", path)),
        Kind::Items(kind) => (kind, in_schema(kind, path)),
    };
    result.map_err(|lost| lost.tell(folder, path))
}

/// Where a path ends that leads nowhere.
pub(crate) struct Lost {
    /// Which part of the path it is.
    pub(crate) part: usize,
    /// What there is in its place.
    pub(crate) known: Vec<String>,
    /// Whether that is a list.
    pub(crate) list: bool,
}

impl Lost {
    fn tell(self, folder: &str, path: &[String]) -> Nowhere {
        let name = path.get(self.part).map_or("", String::as_str);
        let quoted = super::quote(name);
        let above = path.get(..self.part).unwrap_or_default().join(".");
        let of = if above.is_empty() {
            format!("files of `{folder}`")
        } else {
            format!("{} of `{folder}`", super::quote(&above))
        };
        let known = self.known.iter().map(String::as_str);
        let help = match (self.list, self.known.is_empty()) {
            (true, _) => format!("a list has no keys: `{above}.*.{name}` is that of each of its items"),
            (false, true) => format!("nothing stands below {}", super::quote(&above)),
            (false, false) => names::remedy(name, "field", known),
        };
        Nowhere {
            message: format!("there is no {quoted} in {of}"),
            help,
        }
    }
}

/// Follows a path through the schema of a kind.
fn in_schema(kind: &str, path: &[String]) -> Result<(), Lost> {
    let root = schema::of(kind);
    let mut here = vec![&root];
    for (part, name) in path.iter().enumerate() {
        // Each once: by several ways to the same shape, a few `*` would come to more than can be counted.
        let mut seen = BTreeSet::new();
        let objects: Vec<_> = here
            .iter()
            .flat_map(|schema| alternatives(schema, &root))
            .filter(|object| seen.insert(std::ptr::from_ref(*object)))
            .collect();
        // What has no shape may hold anything.
        if objects.iter().any(|object| is_free(object)) {
            return Ok(());
        }
        let next: Vec<_> = objects.iter().flat_map(|object| below(object, name)).collect();
        if next.is_empty() {
            let properties = objects
                .iter()
                .filter_map(|object| object.get("properties")?.as_object());
            return Err(Lost {
                part,
                known: properties.flat_map(Map::keys).cloned().collect(),
                list: objects.iter().any(|object| object.contains_key("items")),
            });
        }
        here = next;
    }
    Ok(())
}

/// What a schema stands for: the one that it refers to, each of which one applies.
fn alternatives<'s>(schema: &'s Json, root: &'s Json) -> Vec<&'s Map<String, Json>> {
    let mut found = Vec::new();
    let mut rest = vec![schema];
    // References of these schemas lead from a record into its fields, and never in a circle by themselves.
    while let Some(Json::Object(object)) = rest.pop() {
        let target = object.get("$ref").and_then(Json::as_str);
        let target = target.and_then(|target| root.pointer(target.strip_prefix('#')?));
        match (target, object.get("anyOf")) {
            (Some(target), _) => rest.push(target),
            (None, Some(Json::Array(these))) => rest.extend(these),
            _ => found.push(object),
        }
    }
    found
}

fn is_free(object: &Map<String, Json>) -> bool {
    let shaped = ["type", "enum", "const", "pattern", "properties", "items"];
    let open = object.get("type").is_some_and(|kind| kind == "object")
        && !object.contains_key("properties")
        && !object.contains_key("additionalProperties");
    open || !shaped.iter().any(|word| object.contains_key(*word))
}

/// What stands under a key of an object; under `*`, under each, and each item of a list.
fn below<'s>(object: &'s Map<String, Json>, name: &str) -> Vec<&'s Json> {
    let properties = object.get("properties").and_then(Json::as_object);
    let others = object
        .get("additionalProperties")
        .filter(|others| others.is_object());
    if name == "*" {
        let all = properties.into_iter().flatten();
        // As a rule walks: where an item exists is no part of what it says.
        let all = all
            .filter(|(key, _)| *key != "environments")
            .map(|(_, value)| value);
        return all.chain(others).chain(object.get("items")).collect();
    }
    let own = properties.and_then(|properties| properties.get(name));
    own.or(others).into_iter().collect()
}
