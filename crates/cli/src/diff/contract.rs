//! The contract of an operation, as its OpenAPI document says it: what a caller must and may send,
//! and what it gets. The direction decides: of a request it breaks to ask for more, of an answer to
//! give less.

use std::collections::{BTreeMap, BTreeSet};

use serde_json::Value as Json;
use turnpike_policy::Operation;

use super::change::Class;
use super::place::Places;
use super::schema::{Document, Found, Way, schemas};

/// Compares an operation in two documents.
pub(super) fn compare(
    (old, old_operation): (&Json, &Operation),
    (new, new_operation): (&Json, &Operation),
    places: &Places,
    found: &mut Found<'_>,
) {
    let (old, new) = (Document(old), Document(new));
    let (Some(was), Some(is)) = (find(old, old_operation), find(new, new_operation)) else {
        return;
    };
    let origin = &new_operation.origin;
    let place = |field: &str| places.now(origin, |lines| lines.document(new_operation, field));
    found.at(place("parameters"));
    parameters(&was, &is, (old, new), found);
    found.at(place("requestBody"));
    body(&was, &is, (old, new), found);
    found.at(place("responses"));
    responses(&was, &is, (old, new), found);
    found.at(place("security"));
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
        found.at(place("deprecated"));
        found.add(Class::Safe, "is deprecated in its document");
    }
}

/// An operation, and the path item around it.
struct Part<'d> {
    /// Its path, as the document has it.
    path: &'d str,
    item: &'d Json,
    operation: &'d Json,
}

fn find<'d>(document: Document<'d>, operation: &'d Operation) -> Option<Part<'d>> {
    let item = document.0.get("paths")?.get(&operation.path)?;
    let item = document.follow(item);
    let method = operation.method.name().to_ascii_lowercase();
    Some(Part {
        path: &operation.path,
        item,
        operation: item.get(&method)?,
    })
}

/// Parameters by place and name, those of the path by which of its segments they are: what these are called is
/// nobody's business. Those of the operation win.
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
            let (place, name) = (text("in")?, text("name")?);
            let name = match place.as_str() {
                "path" => segment(part.path, &name).unwrap_or(name),
                _ => name,
            };
            Some(((place, name), parameter))
        })
        .collect()
}

/// Which of the parameters of a path has a name.
fn segment(path: &str, name: &str) -> Option<String> {
    let names = path
        .split('{')
        .skip(1)
        .filter_map(|rest| Some(rest.split_once('}')?.0));
    let at = names.into_iter().position(|known| known == name)?;
    Some(at.to_string())
}

/// The schema of a parameter or a header: its own, or that of the one media type that it has.
fn schema_of(part: &Json) -> Option<&Json> {
    let content = || part.get("content")?.as_object()?.values().next()?.get("schema");
    part.get("schema").or_else(content)
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
        let now = after.get(key).or_else(|| before.get(key));
        let now = now.and_then(|parameter| parameter.get("name")?.as_str());
        let what = format!("the {place} parameter `{}`", now.unwrap_or(name));
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
                let pair = (schema_of(was), schema_of(is));
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
            Some(is) => {
                let (was, is) = (old.follow(was), new.follow(is));
                content(was, is, (old, new), Way::Response, &what, found);
                headers(was, is, (old, new), &what, found);
            }
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

/// The headers of an answer, whose names have no case.
fn headers(
    was: &Json,
    is: &Json,
    (old, new): (Document<'_>, Document<'_>),
    what: &str,
    found: &mut Found<'_>,
) {
    fn of<'d>(document: Document<'d>, answer: &'d Json) -> BTreeMap<String, &'d Json> {
        let headers = answer.get("headers").and_then(Json::as_object);
        let named = headers.into_iter().flatten();
        named
            .map(|(name, header)| (name.to_ascii_lowercase(), document.follow(header)))
            .collect()
    }
    let (before, after) = (of(old, was), of(new, is));
    for (name, was) in &before {
        let what = format!("the header `{name}` of {what}");
        let Some(is) = after.get(name) else {
            found.add(found.breaks(), &format!("{what} is gone"));
            continue;
        };
        if required(was) && !required(is) {
            found.add(found.breaks(), &format!("{what} is not always there"));
        }
        let pair = (schema_of(was), schema_of(is));
        schemas(pair, (old, new), Way::Response, &what, 0, found);
    }
    for name in after.keys().filter(|name| !before.contains_key(*name)) {
        found.add(Class::Safe, &format!("the header `{name}` of {what} is new"));
    }
}
