//! The contract of an operation, as its OpenAPI document says it: what a caller must and may send,
//! and what it gets. The direction decides: of a request it breaks to ask for more, of an answer to
//! give less.

mod schema;

use std::collections::{BTreeMap, BTreeSet};

use serde_json::Value as Json;

use crate::Operation;
use schema::{Document, Found, Way, schemas};

/// What a difference means to a caller who relied on what was.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Weight {
    /// A call that worked fails, or its answer cannot be read.
    Breaks,
    /// Its author alone can say.
    Risky,
    /// Nothing.
    Safe,
}

/// A difference between two contracts.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Difference {
    /// What it means.
    pub weight: Weight,
    /// The field of the operation in which it is: `parameters`, `responses`.
    pub part: &'static str,
    /// What it is: `the query parameter `limit` is required`.
    pub text: String,
}

/// Compares an operation in two documents: what the second one says otherwise.
pub fn compare(
    (old, old_operation): (&Json, &Operation),
    (new, new_operation): (&Json, &Operation),
) -> Vec<Difference> {
    let (old, new) = (Document(old), Document(new));
    let (Some(was), Some(is)) = (find(old, old_operation), find(new, new_operation)) else {
        return Vec::new();
    };
    let mut all = Found::default();
    let found = &mut all;
    found.at("parameters");
    parameters(&was, &is, (old, new), found);
    found.at("requestBody");
    body(&was, &is, (old, new), found);
    found.at("responses");
    responses(&was, &is, (old, new), found);
    found.at("security");
    let security = |document: Document<'_>, part: &Part<'_>| {
        let own = part.operation.get("security");
        own.or_else(|| document.0.get("security")).cloned()
    };
    if security(old, &was) != security(new, &is) {
        found.add(
            Weight::Risky,
            "the document asks for other credentials (`security`)",
        );
    }
    if was.operation.get("deprecated") != is.operation.get("deprecated")
        && is.operation.get("deprecated") == Some(&Json::Bool(true))
    {
        found.at("deprecated");
        found.add(Weight::Safe, "is deprecated in its document");
    }
    all.differences
}

/// What callers who know a version by its number may rely on: its first part (of `0.3`, which promises nothing else,
/// the second too).
pub fn promise(number: &str) -> String {
    let mut parts = number.trim_start_matches('v').split('.');
    match (parts.next().unwrap_or_default(), parts.next()) {
        ("0", Some(second)) => format!("0.{second}"),
        (first, _) => first.to_owned(),
    }
}

/// The parts of a number: of `v2.1.0-rc.1` 2, 1 and 0. Nothing of what is no number of a version: a year is none.
pub(crate) fn numbers(number: &str) -> Option<Vec<u32>> {
    let number = number.strip_prefix('v').unwrap_or(number);
    let core = number.split(['-', '+']).next().unwrap_or(number);
    let parts: Vec<u32> = core
        .split('.')
        .map(|part| part.parse().ok())
        .collect::<Option<_>>()?;
    parts.first().is_some_and(|first| *first < 1900).then_some(parts)
}

/// Whether two numbers can be of one version: `v2` and `2.1.0` can, and `v2.1` and `2.1.0`; `v2` and `1.4.0` cannot.
pub(crate) fn agree(one: &[u32], other: &[u32]) -> bool {
    one.iter().zip(other).all(|(one, other)| one == other)
}

/// A path without the names of its parameters, which no caller sends.
pub fn shape(path: &str) -> String {
    let mut shape = String::with_capacity(path.len());
    let mut inside = false;
    for character in path.chars() {
        match character {
            '{' => inside = true,
            '}' => inside = false,
            _ if inside => continue,
            _ => {}
        }
        shape.push(character);
    }
    shape
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

fn parameters(was: &Part<'_>, is: &Part<'_>, (old, new): (Document<'_>, Document<'_>), found: &mut Found) {
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
                found.add(Weight::Breaks, format!("{what} is new and required"));
            }
            (None, Some(_)) if !path => found.add(Weight::Safe, format!("{what} is new and optional")),
            (Some(_), None) if !path => found.add(Weight::Risky, format!("{what} is gone: it is ignored")),
            (Some(was), Some(is)) => {
                match (required(was), required(is)) {
                    (false, true) => found.add(Weight::Breaks, format!("{what} is required")),
                    (true, false) => found.add(Weight::Safe, format!("{what} is optional")),
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

fn body(was: &Part<'_>, is: &Part<'_>, (old, new): (Document<'_>, Document<'_>), found: &mut Found) {
    let before = was.operation.get("requestBody").map(|body| old.follow(body));
    let after = is.operation.get("requestBody").map(|body| new.follow(body));
    match (before, after) {
        (None, Some(body)) if required(body) => found.add(Weight::Breaks, "a body is required"),
        (Some(was), Some(is)) => {
            match (required(was), required(is)) {
                (false, true) => found.add(Weight::Breaks, "the body is required"),
                (true, false) => found.add(Weight::Safe, "the body is optional"),
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
    found: &mut Found,
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
                found.add(Weight::Breaks, format!("{what} is no more given as {kind}"));
            }
            None => {}
        }
    }
    if way == Way::Response {
        for kind in after.keys().filter(|kind| !before.contains_key(*kind)) {
            found.add(Weight::Safe, format!("{what} is given as {kind} too"));
        }
    }
}

fn responses(was: &Part<'_>, is: &Part<'_>, (old, new): (Document<'_>, Document<'_>), found: &mut Found) {
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
            None if status.starts_with('2') => found.add(Weight::Breaks, format!("{what} is gone")),
            None => found.add(Weight::Safe, format!("{what} is gone")),
        }
    }
    for status in after.keys().filter(|status| !before.contains_key(*status)) {
        let weight = if status.starts_with('2') {
            Weight::Risky
        } else {
            Weight::Safe
        };
        found.add(weight, format!("the answer {status} is new"));
    }
}

/// The headers of an answer, whose names have no case.
fn headers(was: &Json, is: &Json, (old, new): (Document<'_>, Document<'_>), what: &str, found: &mut Found) {
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
            found.add(Weight::Breaks, format!("{what} is gone"));
            continue;
        };
        if required(was) && !required(is) {
            found.add(Weight::Breaks, format!("{what} is not always there"));
        }
        let pair = (schema_of(was), schema_of(is));
        schemas(pair, (old, new), Way::Response, &what, 0, found);
    }
    for name in after.keys().filter(|name| !before.contains_key(*name)) {
        found.add(Weight::Safe, format!("the header `{name}` of {what} is new"));
    }
}
