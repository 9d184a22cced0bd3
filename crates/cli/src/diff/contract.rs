//! The contract of an operation, as its OpenAPI document says it: what a caller must and may send,
//! and what it gets. The direction decides: of a request it breaks to ask for more, of an answer to
//! give less.

use std::collections::{BTreeMap, BTreeSet};

use serde_json::Value as Json;
use turnpike_policy::Operation;

use super::change::Class;
use super::schema::{Document, Found, Way, schemas};

/// Compares an operation in two documents.
pub(super) fn compare(
    (old, old_operation): (&Json, &Operation),
    (new, new_operation): (&Json, &Operation),
    found: &mut Found<'_>,
) {
    let (old, new) = (Document(old), Document(new));
    let (Some(was), Some(is)) = (find(old, old_operation), find(new, new_operation)) else {
        return;
    };
    parameters(&was, &is, (old, new), found);
    body(&was, &is, (old, new), found);
    responses(&was, &is, (old, new), found);
    let security = |document: Document<'_>, part: &Part<'_>| {
        let own = part.operation.get("security");
        own.or_else(|| document.0.get("security")).cloned()
    };
    if security(old, &was) != security(new, &is) {
        found.add(
            Class::Risky,
            "the document asks for other credentials (`security`)",
        );
    }
    if was.operation.get("deprecated") != is.operation.get("deprecated")
        && is.operation.get("deprecated") == Some(&Json::Bool(true))
    {
        found.add(Class::Safe, "is deprecated in its document");
    }
}

/// An operation, and the path item around it.
struct Part<'d> {
    item: &'d Json,
    operation: &'d Json,
}

fn find<'d>(document: Document<'d>, operation: &Operation) -> Option<Part<'d>> {
    let item = document.0.get("paths")?.get(&operation.path)?;
    let item = document.follow(item);
    let method = operation.method.name().to_ascii_lowercase();
    Some(Part {
        item,
        operation: item.get(&method)?,
    })
}

/// Parameters by place and name; those of the operation win.
fn all_parameters<'d>(document: Document<'d>, part: &Part<'d>) -> BTreeMap<(String, String), &'d Json> {
    let lists = [part.item.get("parameters"), part.operation.get("parameters")];
    lists
        .into_iter()
        .flatten()
        .filter_map(Json::as_array)
        .flatten()
        .map(|parameter| document.follow(parameter))
        .filter_map(|parameter| {
            let text = |name: &str| parameter.get(name).and_then(Json::as_str).map(str::to_owned);
            Some(((text("in")?, text("name")?), parameter))
        })
        .collect()
}

fn parameters(
    was: &Part<'_>,
    is: &Part<'_>,
    (old, new): (Document<'_>, Document<'_>),
    found: &mut Found<'_>,
) {
    let (before, after) = (all_parameters(old, was), all_parameters(new, is));
    let names: BTreeSet<_> = before.keys().chain(after.keys()).collect();
    for key in names {
        let (place, name) = key;
        // A path that has other parameters is another path, and that was said. Only its types count.
        let path = place == "path";
        let what = format!("the {place} parameter `{name}`");
        match (before.get(key), after.get(key)) {
            (None, Some(parameter)) if required(parameter) && !path => {
                found.add(found.breaks(), &format!("{what} is new and required"));
            }
            (None, Some(_)) if !path => found.add(Class::Safe, &format!("{what} is new and optional")),
            (Some(_), None) if !path => found.add(Class::Risky, &format!("{what} is gone: it is ignored")),
            (Some(was), Some(is)) => {
                match (required(was), required(is)) {
                    (false, true) => found.add(found.breaks(), &format!("{what} is required")),
                    (true, false) => found.add(Class::Safe, &format!("{what} is optional")),
                    _ => {}
                }
                let pair = (was.get("schema"), is.get("schema"));
                schemas(pair, (old, new), Way::Request, &what, 0, found);
            }
            _ => {}
        }
    }
}

fn required(part: &Json) -> bool {
    part.get("required") == Some(&Json::Bool(true))
}

fn body(was: &Part<'_>, is: &Part<'_>, (old, new): (Document<'_>, Document<'_>), found: &mut Found<'_>) {
    let before = was.operation.get("requestBody").map(|body| old.follow(body));
    let after = is.operation.get("requestBody").map(|body| new.follow(body));
    match (before, after) {
        (None, Some(body)) if required(body) => found.add(found.breaks(), "a body is required"),
        (Some(was), Some(is)) => {
            match (required(was), required(is)) {
                (false, true) => found.add(found.breaks(), "the body is required"),
                (true, false) => found.add(Class::Safe, "the body is optional"),
                _ => {}
            }
            // Media types that come or go are a rule of the gateway, and compared there.
            content(was, is, (old, new), Way::Request, "the body", found);
        }
        _ => {}
    }
}

fn content(
    was: &Json,
    is: &Json,
    documents: (Document<'_>, Document<'_>),
    way: Way,
    what: &str,
    found: &mut Found<'_>,
) {
    let none = serde_json::Map::new();
    let of = |part: &Json| part.get("content").and_then(Json::as_object).cloned();
    let (before, after) = (of(was).unwrap_or_else(|| none.clone()), of(is).unwrap_or(none));
    for (kind, was) in &before {
        match after.get(kind) {
            Some(is) => {
                let what = if before.len() > 1 {
                    format!("{what} ({kind})")
                } else {
                    what.to_owned()
                };
                schemas(
                    (was.get("schema"), is.get("schema")),
                    documents,
                    way,
                    &what,
                    0,
                    found,
                );
            }
            None if way == Way::Response => {
                found.add(found.breaks(), &format!("{what} is no more given as {kind}"));
            }
            None => {}
        }
    }
    if way == Way::Response {
        for kind in after.keys().filter(|kind| !before.contains_key(*kind)) {
            found.add(Class::Safe, &format!("{what} is given as {kind} too"));
        }
    }
}

fn responses(was: &Part<'_>, is: &Part<'_>, (old, new): (Document<'_>, Document<'_>), found: &mut Found<'_>) {
    let of = |part: &Part<'_>| {
        part.operation
            .get("responses")
            .and_then(Json::as_object)
            .cloned()
            .unwrap_or_default()
    };
    let (before, after) = (of(was), of(is));
    for (status, was) in &before {
        let what = format!("the answer {status}");
        match after.get(status) {
            Some(is) => content(
                old.follow(was),
                new.follow(is),
                (old, new),
                Way::Response,
                &what,
                found,
            ),
            None if status.starts_with('2') => found.add(found.breaks(), &format!("{what} is gone")),
            None => found.add(Class::Safe, &format!("{what} is gone")),
        }
    }
    for status in after.keys().filter(|status| !before.contains_key(*status)) {
        let class = if status.starts_with('2') {
            Class::Risky
        } else {
            Class::Safe
        };
        found.add(class, &format!("the answer {status} is new"));
    }
}
