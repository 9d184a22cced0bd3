//! Names and paths of a tree, out of those that another gateway had.

use std::collections::{BTreeMap, BTreeSet};

use serde_json::Value as Json;
use turnpike_policy::source::operation_ids;

use super::{Call, text};

/// A name as items of the tree have them, which no other has yet.
pub(super) fn named(text: &str, taken: &mut BTreeSet<String>) -> String {
    let mut name = String::new();
    for c in text.chars().flat_map(char::to_lowercase).take(56) {
        if c.is_ascii_lowercase() || c.is_ascii_digit() {
            name.push(c);
        } else if !name.is_empty() && !name.ends_with('-') {
            name.push('-');
        }
    }
    let name = name.trim_end_matches('-');
    let name = if name.is_empty() { "unnamed" } else { name };
    let mut free = name.to_owned();
    let mut number = 2;
    while !taken.insert(free.clone()) {
        free = format!("{name}-{number}");
        number += 1;
    }
    free
}

/// A text of the file, as it may be shown: short, and without what steers a terminal.
pub(super) fn shown(text: &str) -> String {
    text.chars().filter(|c| !c.is_control()).take(80).collect()
}

/// Where something of a list stands, with its name: `services[0] (orders)`.
pub(super) fn place(before: &str, list: &str, index: usize, item: &Json) -> String {
    let names = ["name", "username", "endpoint", "id"];
    let name = names.iter().find_map(|name| text(item, name));
    let name = name.map_or_else(String::new, |name| format!(" ({})", shown(name)));
    let dot = if before.is_empty() { "" } else { "." };
    format!("{before}{dot}{list}[{index}]{name}")
}

/// A path cut into what its API is called by and its version: `/a/v1` is `/a` and `v1`; `/v1` has no name.
pub(super) fn versioned(path: &str) -> Option<(String, String)> {
    let (before, last) = path.trim_end_matches('/').rsplit_once('/')?;
    let version = last.strip_prefix('v').is_some_and(|number| {
        !number.is_empty()
            && number.len() < 6
            && number.bytes().all(|byte| byte.is_ascii_digit() || byte == b'.')
            && !number.ends_with('.')
    });
    version.then(|| (before.to_owned(), last.to_owned()))
}

/// What paths begin with, up to a version: it can stand in the upstream's address.
pub(super) fn shared<'a>(mut paths: impl Iterator<Item = &'a str>) -> Option<String> {
    let first = paths.next()?;
    let end = first
        .match_indices('/')
        .map(|(at, _)| at)
        .chain([first.len()])
        .find(|end| first.get(..*end).and_then(versioned).is_some())?;
    let shared = first.get(..end).filter(|shared| !shared.contains('{'))?;
    let fits = |path: &str| {
        let rest = path.strip_prefix(shared);
        rest.is_some_and(|rest| rest.is_empty() || rest.starts_with('/'))
    };
    paths.all(fits).then(|| shared.to_owned())
}

/// A path below what is shared.
pub(super) fn below(path: &str, shared: &str) -> String {
    let rest = path.strip_prefix(shared).unwrap_or(path);
    if rest.is_empty() { "/" } else { rest }.to_owned()
}

/// Where an API lies: under the prefix where all callers found it, if that has the form of one and no other API has
/// it; else under the API's name.
pub(super) fn base<'a>(
    name: &str,
    version: Option<&str>,
    prefixes: impl Iterator<Item = Option<&'a str>>,
    taken: &mut BTreeSet<String>,
) -> (String, String) {
    let mut prefixes: Vec<_> = prefixes.collect();
    prefixes.dedup();
    let found = match prefixes.as_slice() {
        [Some(one)] => versioned(one),
        _ => None,
    };
    let named = |segment: &str| {
        segment.starts_with(|c: char| c.is_ascii_lowercase() || c.is_ascii_digit())
            && segment
                .bytes()
                .all(|b| b.is_ascii_lowercase() || b.is_ascii_digit() || b"._-".contains(&b))
    };
    if let Some((path, version)) = &found
        && path.len() <= 256
        && path
            .strip_prefix('/')
            .is_some_and(|path| path.split('/').all(named))
        && taken.insert(path.clone())
    {
        return (path.clone(), version.clone());
    }
    let version = version
        .map(str::to_owned)
        .or(found.map(|(_, version)| version))
        .unwrap_or_else(|| "v1".to_owned());
    let mut path = format!("/{name}");
    let mut number = 2;
    while !taken.insert(path.clone()) {
        path = format!("/{name}-{number}");
        number += 1;
    }
    (path, version)
}

/// Whether a path can be that of an operation: plain segments; parameters whole, each named once.
pub(super) fn plain(path: &str) -> bool {
    let mut parameters = BTreeSet::new();
    path.len() <= 1_000
        && path
            .strip_prefix('/')
            .is_some_and(|rest| rest.split('/').count() <= 30)
        && !path.contains("//")
        && path.split('/').all(|segment| {
            let inner = segment
                .strip_prefix('{')
                .and_then(|rest| rest.strip_suffix('}'))
                .filter(|inner| !inner.is_empty());
            segment != "."
                && segment != ".."
                && inner.is_none_or(|inner| parameters.insert(inner))
                && inner
                    .unwrap_or(segment)
                    .chars()
                    .all(|c| c.is_ascii_alphanumeric() || "-._~".contains(c))
        })
}

/// The parameters of a path.
pub(super) fn parameters(path: &str) -> impl Iterator<Item = &str> {
    path.split('/')
        .filter_map(|segment| segment.strip_prefix('{')?.strip_suffix('}'))
}

/// Calls parameters alike that stand in the same place: `/a/{id}` and `/a/{key}/b` cannot both be routed by name, and
/// a document describes a path once.
pub(super) fn align(calls: &mut [Call]) {
    let mut known: BTreeMap<String, String> = BTreeMap::new();
    for call in calls {
        let mut before = String::new();
        let mut path = String::new();
        for segment in call.path.split('/').skip(1) {
            let parameter = segment.starts_with('{');
            before.push('/');
            before.push_str(if parameter { "{}" } else { segment });
            path.push('/');
            if parameter {
                path.push_str(known.entry(before.clone()).or_insert_with(|| segment.to_owned()));
            } else {
                path.push_str(segment);
            }
        }
        if plain(&path) {
            call.path = path;
        }
    }
}

/// Gives each call an id that no other has: `GET /pets/{id}` is `getPetsById`.
pub(super) fn identify(calls: &mut [Call]) {
    let requests = calls.iter().map(|call| (&*call.method, &*call.path));
    let ids = operation_ids(&requests.collect::<Vec<_>>());
    for (call, id) in calls.iter_mut().zip(ids) {
        call.id = id;
    }
}
