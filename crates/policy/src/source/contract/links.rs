//! Links of answers: which operation takes what an answer says further. Nothing of them is on the wire: a call that
//! worked works without one, but clients that are made from the document follow them.

use std::collections::BTreeMap;

use serde_json::Value as Json;

use super::Weight;
use super::call::others;
use super::flat::Document;
use super::schema::Walk;
use super::shape;

/// Where operations are, by their ids: `GET /pets/{}`.
pub(super) type Ids = BTreeMap<String, String>;

/// Compares the links of an answer.
pub(super) fn compare<'d>((was, is): (&'d Json, &'d Json), what: &str, walk: &mut Walk<'d, '_>) {
    fn of<'d>(document: Document<'d>, answer: &'d Json) -> BTreeMap<&'d String, &'d Json> {
        let links = answer.get("links").and_then(Json::as_object);
        let named = links.into_iter().flatten();
        named.map(|(name, link)| (name, document.follow(link))).collect()
    }
    let (before, after) = (of(walk.old, was), of(walk.new, is));
    walk.known.budget.spend(before.len() + after.len());
    for (name, was) in &before {
        let what = format!("the link `{name}` of {what}");
        let Some(is) = after.get(name) else {
            walk.add(Weight::Risky, format!("{what} is gone"));
            continue;
        };
        let (old, new) = (walk.old, walk.new);
        let ids = walk.known.ids((old, new));
        let (from, to) = (target(was, &ids.0), target(is, &ids.1));
        if from != to {
            let show = |target: Option<String>| target.unwrap_or_else(|| "nothing".to_owned());
            let text = format!("{what} leads to {}, was {}", show(to), show(from));
            walk.add(Weight::Risky, text);
        }
        others((was, is), &["operationId", "operationRef"], &what, walk);
    }
    for name in after.keys().filter(|name| !before.contains_key(*name)) {
        walk.add(Weight::Safe, format!("the link `{name}` of {what} is new"));
    }
}

/// Which operation a link leads to, whatever that is called and however it is written.
fn target(link: &Json, ids: &Ids) -> Option<String> {
    let text = |field: &str| link.get(field).and_then(Json::as_str);
    if let Some(id) = text("operationId") {
        return Some(ids.get(id).cloned().unwrap_or_else(|| id.to_owned()));
    }
    let reference = text("operationRef")?;
    let local = || {
        let (path, method) = reference.strip_prefix("#/paths/")?.split_once('/')?;
        Some(route(method, &path.replace("~1", "/").replace("~0", "~")))
    };
    Some(local().unwrap_or_else(|| reference.to_owned()))
}

fn route(method: &str, path: &str) -> String {
    format!("{} {}", method.to_ascii_uppercase(), shape(path))
}

/// The ids of the operations of a document.
pub(super) fn ids(document: Document<'_>) -> Ids {
    let mut ids = Ids::new();
    let paths = document.0.get("paths").and_then(Json::as_object);
    for (path, item) in paths.into_iter().flatten() {
        let fields = document.follow(item).as_object();
        for (method, operation) in fields.into_iter().flatten() {
            if let Some(id) = operation.get("operationId").and_then(Json::as_str) {
                ids.insert(id.to_owned(), route(method, path));
            }
        }
    }
    ids
}
