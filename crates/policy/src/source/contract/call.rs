//! What a call carries: parameters, a body, the answers to it and their headers. Calls go two ways: an operation is
//! called by the caller, its callbacks call the caller back. So a parameter is what a caller sends, or what a caller
//! gets; an answer is the other.

use std::collections::{BTreeMap, BTreeSet};

use serde_json::Value as Json;

use super::Weight;
use super::flat::{Document, Flat};
use super::keywords::is_word;
use super::links;
use super::schema::{Walk, Way};

/// An operation, and the path item around it.
pub(super) struct Part<'d> {
    /// Its path, as the document has it.
    pub(super) path: &'d str,
    pub(super) item: &'d Json,
    pub(super) operation: &'d Json,
}

/// The same call in two documents.
pub(super) type Both<'p, 'd> = (&'p Part<'d>, &'p Part<'d>);

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

/// Compares the parameters of a call. `of` says whose they are: nothing of an operation itself.
pub(super) fn parameters<'d>((was, is): Both<'_, 'd>, way: Way, of: &str, walk: &mut Walk<'d, '_>) {
    let (before, after) = (all_parameters(walk.old, was), all_parameters(walk.new, is));
    walk.known.budget.spend(before.len() + after.len());
    let names: BTreeSet<_> = before.keys().chain(after.keys()).collect();
    for key in names {
        let (place, name) = key;
        let (was, is) = (before.get(key).copied(), after.get(key).copied());
        let now = is.or(was).and_then(|parameter| parameter.get("name")?.as_str());
        let what = format!("the {place} parameter `{}`{of}", now.unwrap_or(name));
        named((was, is), way, place, &what, walk);
    }
}

/// Compares a parameter or a header.
fn named<'d>(
    (was, is): (Option<&'d Json>, Option<&'d Json>),
    way: Way,
    place: &str,
    what: &str,
    walk: &mut Walk<'d, '_>,
) {
    // A path that has other parameters is another path, and that was said. Only its types count.
    let path = place == "path";
    match (was, is) {
        (None, Some(new)) if !path => match (way, required(new)) {
            (Way::Request, true) => walk.add(Weight::Breaks, format!("{what} is new and required")),
            (Way::Request, false) => walk.add(Weight::Safe, format!("{what} is new and optional")),
            (Way::Response, _) => walk.add(Weight::Safe, format!("{what} is new")),
        },
        (Some(_), None) if !path => match way {
            Way::Request => walk.add(Weight::Risky, format!("{what} is gone: it is ignored")),
            Way::Response => walk.add(Weight::Breaks, format!("{what} is gone")),
        },
        (Some(was), Some(is)) => {
            needed((was, is), way, what, walk);
            written((was, is), place, what, walk);
            walk.root((schema_of(was), schema_of(is)), way, what);
        }
        _ => {}
    }
}

/// Whether something must be there, or always is.
fn needed((was, is): (&Json, &Json), way: Way, what: &str, walk: &mut Walk<'_, '_>) {
    let (weight, text) = match (required(was), required(is), way) {
        (false, true, Way::Request) => (Weight::Breaks, "required"),
        (true, false, Way::Request) => (Weight::Safe, "optional"),
        (true, false, Way::Response) => (Weight::Breaks, "not always there"),
        (false, true, Way::Response) => (Weight::Safe, "always there"),
        _ => return,
    };
    walk.add(weight, format!("{what} is {text}"));
}

/// Whether a parameter or a header is one word, which is written in the same way in most styles.
fn is_word_alone(document: Document<'_>, part: &Json, walk: &mut Walk<'_, '_>) -> bool {
    let schema: Vec<_> = schema_of(part).into_iter().collect();
    let kinds = Flat::of(document, &schema, &mut walk.known.budget).kinds();
    let list = |kind: &&str| matches!(*kind, "array" | "object");
    kinds.is_some_and(|kinds| !kinds.iter().any(list))
}

/// How a parameter or a header is written, apart from its schema. Who writes it in another way is not understood.
fn written<'d>((was, is): (&'d Json, &'d Json), place: &str, what: &str, walk: &mut Walk<'d, '_>) {
    let words = is_word_alone(walk.old, was, walk) && is_word_alone(walk.new, is, walk);
    let same = |style: &str| words && !matches!(style, "label" | "matrix");
    let weight = |same| if same { Weight::Safe } else { Weight::Breaks };
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
        walk.add(weight(same(&style(was)) && same(&style(is))), text);
    }
    let explode = |part: &Json| {
        let own = part.get("explode").and_then(Json::as_bool);
        own.unwrap_or_else(|| style(part) == "form")
    };
    if explode(was) != explode(is) {
        let text = format!("{what}: explode {} → {}", explode(was), explode(is));
        walk.add(weight(words), text);
    }
    let kind = |part: &Json| Some(part.get("content")?.as_object()?.keys().next()?.to_owned());
    if kind(was) != kind(is) {
        let show = |kind: Option<String>| kind.unwrap_or_else(|| "no media type".to_owned());
        let text = format!("{what}: {} → {}", show(kind(was)), show(kind(is)));
        walk.add(Weight::Breaks, text);
    }
    let known = ["name", "in", "required", "schema", "content", "style", "explode"];
    others((was, is), &known, what, walk);
}

/// Fields that are compared in no way of their own. `false` is what holds where nothing is said.
pub(super) fn others((was, is): (&Json, &Json), known: &[&str], what: &str, walk: &mut Walk<'_, '_>) {
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

/// Compares the bodies of a call. `kinds` is what one more media type means; nothing: media types are compared
/// elsewhere.
pub(super) fn body<'d>(
    (was, is): Both<'_, 'd>,
    way: Way,
    kinds: Option<Weight>,
    of: &str,
    walk: &mut Walk<'d, '_>,
) {
    let what = format!("the body{of}");
    let before = was.operation.get("requestBody").map(|body| walk.old.follow(body));
    let after = is.operation.get("requestBody").map(|body| walk.new.follow(body));
    match (before, after, way) {
        (None, Some(body), Way::Request) if required(body) => {
            walk.add(Weight::Breaks, format!("a body{of} is required"));
        }
        (None, Some(_), Way::Response) => walk.add(Weight::Safe, format!("{what} is new")),
        (Some(_), None, Way::Response) => walk.add(Weight::Breaks, format!("{what} is gone")),
        (Some(was), Some(is), _) => {
            needed((was, is), way, &what, walk);
            content((was, is), way, kinds, &what, walk);
        }
        _ => {}
    }
}

fn content<'d>(
    (was, is): (&'d Json, &'d Json),
    way: Way,
    kinds: Option<Weight>,
    what: &str,
    walk: &mut Walk<'d, '_>,
) {
    let of = |part: &'d Json| -> BTreeMap<&'d String, &'d Json> {
        let kinds = part.get("content").and_then(Json::as_object);
        kinds.into_iter().flatten().collect()
    };
    let (before, after) = (of(was), of(is));
    walk.known.budget.spend(before.len() + after.len());
    let done = match way {
        Way::Request => "taken",
        Way::Response => "given",
    };
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
            None if kinds.is_some() => {
                walk.add(Weight::Breaks, format!("{what} is no more {done} as {kind}"));
            }
            None => {}
        }
    }
    if let Some(weight) = kinds {
        for kind in after.keys().filter(|kind| !before.contains_key(*kind)) {
            walk.add(weight, format!("{what} is {done} as {kind} too"));
        }
    }
}

/// Compares the answers to a call.
pub(super) fn answers<'d>((was, is): Both<'_, 'd>, way: Way, of: &str, walk: &mut Walk<'d, '_>) {
    let all = |part: &Part<'d>| -> BTreeMap<&'d String, &'d Json> {
        let answers = part.operation.get("responses").and_then(Json::as_object);
        answers.into_iter().flatten().collect()
    };
    let (before, after) = (all(was), all(is));
    walk.known.budget.spend(before.len() + after.len());
    for (status, was) in &before {
        let what = format!("the answer {status}{of}");
        let Some(is) = after.get(status) else {
            let weight = match way {
                _ if status.starts_with('2') => Weight::Breaks,
                // Whoever gave it is not understood any more.
                Way::Request => Weight::Risky,
                Way::Response => Weight::Safe,
            };
            walk.add(weight, format!("{what} is gone"));
            continue;
        };
        let (was, is) = (walk.old.follow(was), walk.new.follow(is));
        // Who asks says which media types it reads.
        content((was, is), way, Some(Weight::Safe), &what, walk);
        headers((was, is), way, &what, walk);
        links::compare((was, is), &what, walk);
    }
    for status in after.keys().filter(|status| !before.contains_key(*status)) {
        let weight = if way == Way::Response && status.starts_with('2') {
            Weight::Risky
        } else {
            Weight::Safe
        };
        walk.add(weight, format!("the answer {status}{of} is new"));
    }
}

/// The headers of an answer, whose names have no case.
fn headers<'d>((was, is): (&'d Json, &'d Json), way: Way, what: &str, walk: &mut Walk<'d, '_>) {
    fn of<'d>(document: Document<'d>, answer: &'d Json) -> BTreeMap<String, &'d Json> {
        let headers = answer.get("headers").and_then(Json::as_object);
        let named = headers.into_iter().flatten();
        named
            .map(|(name, header)| (name.to_ascii_lowercase(), document.follow(header)))
            .collect()
    }
    let (before, after) = (of(walk.old, was), of(walk.new, is));
    walk.known.budget.spend(before.len() + after.len());
    let names: BTreeSet<_> = before.keys().chain(after.keys()).collect();
    for name in names {
        let both = (before.get(name).copied(), after.get(name).copied());
        named(
            both,
            way,
            "header",
            &format!("the header `{name}` of {what}"),
            walk,
        );
    }
}
