//! The servers that a document names: where clients that are made from it send their calls. Those of an operation win,
//! then those of its path, then those of the document, of which what changed is said once.

use std::collections::{BTreeMap, BTreeSet};

use serde_json::Value as Json;

use super::Weight;
use super::call::{Both, Part, others};
use super::flat::Document;
use super::schema::Walk;

/// The servers of an operation, and whether they are those of the whole document.
fn of<'d>(document: Document<'d>, part: &Part<'d>) -> (Vec<(&'d str, Option<&'d Json>)>, bool) {
    let mut own = [part.operation, part.item].into_iter();
    let own = own.find_map(|part| part.get("servers"));
    let servers = own.or_else(|| document.0.get("servers"));
    let listed = servers.and_then(Json::as_array).into_iter().flatten();
    let mut all: Vec<_> = listed
        .filter_map(|server| Some((server.get("url")?.as_str()?, Some(server))))
        .collect();
    if all.is_empty() {
        all.push(("/", None));
    }
    (all, own.is_none())
}

/// Compares the servers of an operation.
pub(super) fn compare<'d>((was, is): Both<'_, 'd>, walk: &mut Walk<'d, '_>) {
    let ((before, general), (after, still)) = (of(walk.old, was), of(walk.new, is));
    let whole = general && still;
    if whole && std::mem::replace(&mut walk.known.servers, true) {
        return;
    }
    walk.known.budget.spend(before.len() + after.len());
    let owner = if whole { " of the document" } else { "" };
    let what = |url: &str| format!("the server `{url}`{owner}");
    if let (Some((first, _)), Some((now, _))) = (before.first(), after.first())
        && first != now
    {
        // That is where clients call, unless they are told otherwise.
        let text = format!("the first server{owner} is `{now}`, was `{first}`");
        walk.add(Weight::Risky, text);
    }
    let (before, after): (BTreeMap<_, _>, BTreeMap<_, _>) =
        (before.into_iter().collect(), after.into_iter().collect());
    for (url, was) in &before {
        match (*was, after.get(url).copied()) {
            (_, None) => walk.add(Weight::Risky, format!("{} is gone", what(url))),
            (Some(was), Some(Some(is))) => one((was, is), &what(url), walk),
            _ => {}
        }
    }
    for url in after.keys().filter(|url| !before.contains_key(*url)) {
        walk.add(Weight::Safe, format!("{} is new", what(url)));
    }
}

fn one((was, is): (&Json, &Json), what: &str, walk: &mut Walk<'_, '_>) {
    others((was, is), &["url", "variables"], what, walk);
    let variables = |server: &Json| -> BTreeMap<String, Json> {
        let named = server.get("variables").and_then(Json::as_object);
        named.cloned().into_iter().flatten().collect()
    };
    let (before, after) = (variables(was), variables(is));
    walk.known.budget.spend(before.len() + after.len());
    let names: BTreeSet<_> = before.keys().chain(after.keys()).collect();
    for name in names {
        let what = format!("{what}: the variable `{name}`");
        let (was, is) = match (before.get(name), after.get(name)) {
            (Some(was), Some(is)) => (was, is),
            (None, _) => {
                walk.add(Weight::Risky, format!("{what} is new"));
                continue;
            }
            (_, None) => {
                walk.add(Weight::Risky, format!("{what} is gone"));
                continue;
            }
        };
        others((was, is), &["default", "enum"], &what, walk);
        let usual = |variable: &Json| variable.get("default").map(Json::to_string);
        if usual(was) != usual(is) {
            let show = |usual: Option<String>| usual.unwrap_or_else(|| "nothing".to_owned());
            let text = format!(
                "{what} is {} by default, was {}",
                show(usual(is)),
                show(usual(was))
            );
            walk.add(Weight::Risky, text);
        }
        values((was, is), &what, walk);
    }
}

/// The values that a variable may have: any, where none are listed.
fn values((was, is): (&Json, &Json), what: &str, walk: &mut Walk<'_, '_>) {
    let listed = |variable: &Json| -> Option<BTreeSet<String>> {
        let list = variable.get("enum")?.as_array()?;
        Some(list.iter().map(Json::to_string).collect())
    };
    match (listed(was), listed(is)) {
        (None, Some(_)) => walk.add(Weight::Risky, format!("{what} is one of a list now")),
        (Some(_), None) => walk.add(Weight::Safe, format!("{what} is not one of a list any more")),
        (Some(before), Some(after)) => {
            walk.known.budget.spend(before.len() + after.len());
            for value in before.difference(&after) {
                walk.add(Weight::Risky, format!("{what} is never {value} any more"));
            }
            for value in after.difference(&before) {
                walk.add(Weight::Safe, format!("{what} may be {value}"));
            }
        }
        (None, None) => {}
    }
}
