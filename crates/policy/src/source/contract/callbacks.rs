//! Callbacks: calls that an API makes to its caller, at an address that the caller gave. The caller gets what they
//! carry and gives the answers, so their directions are those of an operation the other way round.

use std::collections::BTreeMap;

use serde_json::Value as Json;

use super::Weight;
use super::call::{self, Both, Part};
use super::flat::Document;
use super::schema::{Walk, Way};

/// How deep callbacks of callbacks are looked at.
const DEPTH: usize = 8;

/// What it costs to compare two callbacks, however little they say.
const STEP: usize = 16;

/// The methods of a path item.
const METHODS: [&str; 9] = [
    "delete", "get", "head", "options", "patch", "post", "put", "query", "trace",
];

/// Fields of a callback's operation that are compared each in its own way, and those that its callers never see.
const KNOWN: [&str; 6] = [
    "callbacks",
    "operationId",
    "parameters",
    "requestBody",
    "responses",
    "tags",
];

/// Callbacks by name, by the address that they are made to, and by method.
type Callbacks<'d> = BTreeMap<(&'d str, &'d str, &'static str), Part<'d>>;

fn all<'d>(document: Document<'d>, part: &Part<'d>) -> Callbacks<'d> {
    let named = part.operation.get("callbacks").and_then(Json::as_object);
    let mut all = Callbacks::new();
    for (name, callback) in named.into_iter().flatten() {
        let addresses = document.follow(callback).as_object();
        for (path, item) in addresses.into_iter().flatten() {
            let (name, path, item) = (name.as_str(), path.as_str(), document.follow(item));
            for method in METHODS {
                if let Some(operation) = item.get(method) {
                    let part = Part {
                        path,
                        item,
                        operation,
                    };
                    all.insert((name, path, method), part);
                }
            }
        }
    }
    all
}

/// Compares the callbacks of an operation. `way` is which way their requests go: to the caller (as answers do), unless
/// they are callbacks of a callback. `of` says whose they are: nothing of an operation itself.
pub(super) fn compare<'d>((was, is): Both<'_, 'd>, way: Way, of: &str, walk: &mut Walk<'d, '_>) {
    let (before, after) = (all(walk.old, was), all(walk.new, is));
    walk.known.budget.spend(before.len() + after.len());
    let what = |(name, path, method): &(&str, &str, &str)| {
        format!(
            "the callback `{name}` ({} {path}){of}",
            method.to_ascii_uppercase()
        )
    };
    for (key, was) in &before {
        let what = what(key);
        match after.get(key) {
            // Who waited for it waits for ever.
            None => walk.add(Weight::Breaks, format!("{what} is gone")),
            Some(is) => one((was, is), way, &what, walk),
        }
    }
    for key in after.keys().filter(|key| !before.contains_key(*key)) {
        let weight = match way {
            Way::Request => Weight::Safe,
            // A caller may not know what to make of it.
            Way::Response => Weight::Risky,
        };
        walk.add(weight, format!("{} is new", what(key)));
    }
}

fn one<'d>((was, is): Both<'_, 'd>, way: Way, what: &str, walk: &mut Walk<'d, '_>) {
    if walk.known.budget.is_spent() || !walk.begin((was.operation, is.operation), way) {
        return;
    }
    if walk.calls() > DEPTH {
        walk.known.budget.too_deep(what);
    } else {
        walk.known.budget.spend(STEP + what.len() / 32);
        let (both, of) = ((was, is), format!(" of {what}"));
        call::parameters(both, way, &of, walk);
        // Nobody asks which media types a caller reads.
        let kinds = match way {
            Way::Request => Weight::Safe,
            Way::Response => Weight::Risky,
        };
        call::body(both, way, Some(kinds), &of, walk);
        call::answers(both, way.back(), &of, walk);
        call::others((was.operation, is.operation), &KNOWN, what, walk);
        compare(both, way.back(), &of, walk);
    }
    walk.end();
}
