//! What an operation says around its schemas: parameters, bodies, answers and their headers.

use std::collections::{BTreeMap, BTreeSet};

use serde_json::Value as Json;

use super::Weight;
use super::flat::Document;
use super::schema::{Walk, Way, is_word};
use crate::Operation;

/// Compares an operation in two documents.
pub(super) fn operation<'d>((old, new): (&'d Operation, &'d Operation), walk: &mut Walk<'d, '_>) {
    let (Some(was), Some(is)) = (find(walk.old, old), find(walk.new, new)) else {
        return;
    };
    walk.at("parameters");
    parameters(&was, &is, walk);
    walk.at("requestBody");
    body(&was, &is, walk);
    walk.at("responses");
    responses(&was, &is, walk);
    walk.at("security");
    let security = |document: Document<'d>, part: &Part<'d>| {
        let own = part.operation.get("security");
        own.or_else(|| document.0.get("security"))
    };
    if security(walk.old, &was) != security(walk.new, &is) {
        walk.add(
            Weight::Risky,
            "the document asks for other credentials (`security`)",
        );
    }
    if was.operation.get("deprecated") != is.operation.get("deprecated")
        && is.operation.get("deprecated") == Some(&Json::Bool(true))
    {
        walk.at("deprecated");
        walk.add(Weight::Safe, "is deprecated in its document");
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

fn parameters<'d>(was: &Part<'d>, is: &Part<'d>, walk: &mut Walk<'d, '_>) {
    let (before, after) = (all_parameters(walk.old, was), all_parameters(walk.new, is));
    walk.known.budget.spend(before.len() + after.len());
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
                walk.add(Weight::Breaks, format!("{what} is new and required"));
            }
            (None, Some(_)) if !path => walk.add(Weight::Safe, format!("{what} is new and optional")),
            (Some(_), None) if !path => walk.add(Weight::Risky, format!("{what} is gone: it is ignored")),
            (Some(was), Some(is)) => {
                match (required(was), required(is)) {
                    (false, true) => walk.add(Weight::Breaks, format!("{what} is required")),
                    (true, false) => walk.add(Weight::Safe, format!("{what} is optional")),
                    _ => {}
                }
                written((was, is), place, &what, walk);
                walk.root((schema_of(was), schema_of(is)), Way::Request, &what);
            }
            _ => {}
        }
    }
}

/// How a parameter or a header is written, apart from its schema.
fn written((was, is): (&Json, &Json), place: &str, what: &str, walk: &mut Walk<'_, '_>) {
    let usual = if matches!(place, "query" | "cookie") {
        "form"
    } else {
        "simple"
    };
    let style = |part: &Json| {
        let own = part.get("style").and_then(Json::as_str);
        own.unwrap_or(usual).to_owned()
    };
    if style(was) != style(is) {
        let text = format!("{what}: style {} → {}", style(was), style(is));
        walk.add(Weight::Risky, text);
    }
    let explode = |part: &Json| {
        let own = part.get("explode").and_then(Json::as_bool);
        own.unwrap_or_else(|| style(part) == "form")
    };
    if explode(was) != explode(is) {
        let text = format!("{what}: explode {} → {}", explode(was), explode(is));
        walk.add(Weight::Risky, text);
    }
    let kind = |part: &Json| Some(part.get("content")?.as_object()?.keys().next()?.to_owned());
    if kind(was) != kind(is) {
        let show = |kind: Option<String>| kind.unwrap_or_else(|| "no media type".to_owned());
        let text = format!("{what}: {} → {}", show(kind(was)), show(kind(is)));
        walk.add(Weight::Risky, text);
    }
    let known = ["name", "in", "required", "schema", "content", "style", "explode"];
    others((was, is), &known, what, walk);
}

/// Fields that are compared in no way of their own. `false` is what holds where nothing is said.
fn others((was, is): (&Json, &Json), known: &[&str], what: &str, walk: &mut Walk<'_, '_>) {
    let fields = [was, is].into_iter().filter_map(Json::as_object);
    let fields: BTreeSet<&String> = fields.flat_map(serde_json::Map::keys).collect();
    for field in fields {
        let said = |part: &'_ Json| {
            part.get(field)
                .filter(|value| **value != Json::Bool(false))
                .cloned()
        };
        if !known.contains(&field.as_str()) && !is_word(field) && said(was) != said(is) {
            walk.add(Weight::Risky, format!("{what}: `{field}` is another one"));
        }
    }
}

fn required(part: &Json) -> bool {
    part.get("required") == Some(&Json::Bool(true))
}

fn body<'d>(was: &Part<'d>, is: &Part<'d>, walk: &mut Walk<'d, '_>) {
    let before = was.operation.get("requestBody").map(|body| walk.old.follow(body));
    let after = is.operation.get("requestBody").map(|body| walk.new.follow(body));
    match (before, after) {
        (None, Some(body)) if required(body) => walk.add(Weight::Breaks, "a body is required"),
        (Some(was), Some(is)) => {
            match (required(was), required(is)) {
                (false, true) => walk.add(Weight::Breaks, "the body is required"),
                (true, false) => walk.add(Weight::Safe, "the body is optional"),
                _ => {}
            }
            // Media types that come or go are a rule of the gateway, and compared there.
            content((was, is), Way::Request, "the body", walk);
        }
        _ => {}
    }
}

fn content<'d>((was, is): (&'d Json, &'d Json), way: Way, what: &str, walk: &mut Walk<'d, '_>) {
    let of = |part: &'d Json| -> BTreeMap<&'d String, &'d Json> {
        let kinds = part.get("content").and_then(Json::as_object);
        kinds.into_iter().flatten().collect()
    };
    let (before, after) = (of(was), of(is));
    walk.known.budget.spend(before.len() + after.len());
    for (kind, was) in &before {
        match after.get(kind) {
            Some(is) => {
                let what = if before.len() > 1 {
                    format!("{what} ({kind})")
                } else {
                    what.to_owned()
                };
                others((was, is), &["schema"], &what, walk);
                walk.root((was.get("schema"), is.get("schema")), way, &what);
            }
            None if way == Way::Response => {
                walk.add(Weight::Breaks, format!("{what} is no more given as {kind}"));
            }
            None => {}
        }
    }
    if way == Way::Response {
        for kind in after.keys().filter(|kind| !before.contains_key(*kind)) {
            walk.add(Weight::Safe, format!("{what} is given as {kind} too"));
        }
    }
}

fn responses<'d>(was: &Part<'d>, is: &Part<'d>, walk: &mut Walk<'d, '_>) {
    let of = |part: &Part<'d>| -> BTreeMap<&'d String, &'d Json> {
        let answers = part.operation.get("responses").and_then(Json::as_object);
        answers.into_iter().flatten().collect()
    };
    let (before, after) = (of(was), of(is));
    for (status, was) in &before {
        let what = format!("the answer {status}");
        match after.get(status) {
            Some(is) => {
                let (was, is) = (walk.old.follow(was), walk.new.follow(is));
                content((was, is), Way::Response, &what, walk);
                headers((was, is), &what, walk);
            }
            None if status.starts_with('2') => walk.add(Weight::Breaks, format!("{what} is gone")),
            None => walk.add(Weight::Safe, format!("{what} is gone")),
        }
    }
    for status in after.keys().filter(|status| !before.contains_key(*status)) {
        let weight = if status.starts_with('2') {
            Weight::Risky
        } else {
            Weight::Safe
        };
        walk.add(weight, format!("the answer {status} is new"));
    }
}

/// The headers of an answer, whose names have no case.
fn headers<'d>((was, is): (&'d Json, &'d Json), what: &str, walk: &mut Walk<'d, '_>) {
    fn of<'d>(document: Document<'d>, answer: &'d Json) -> BTreeMap<String, &'d Json> {
        let headers = answer.get("headers").and_then(Json::as_object);
        let named = headers.into_iter().flatten();
        named
            .map(|(name, header)| (name.to_ascii_lowercase(), document.follow(header)))
            .collect()
    }
    let (before, after) = (of(walk.old, was), of(walk.new, is));
    walk.known.budget.spend(before.len() + after.len());
    for (name, was) in &before {
        let what = format!("the header `{name}` of {what}");
        let Some(is) = after.get(name) else {
            walk.add(Weight::Breaks, format!("{what} is gone"));
            continue;
        };
        if required(was) && !required(is) {
            walk.add(Weight::Breaks, format!("{what} is not always there"));
        }
        written((was, is), "header", &what, walk);
        walk.root((schema_of(was), schema_of(is)), Way::Response, &what);
    }
    for name in after.keys().filter(|name| !before.contains_key(*name)) {
        walk.add(Weight::Safe, format!("the header `{name}` of {what} is new"));
    }
}
