//! APIs and their operations: what is published, by which rules, and the contract of each.

use std::collections::{BTreeMap, BTreeSet};

use serde_json::Value as Json;
use turnpike_policy::{Api, Compiled, Handler, Operation, Rule, State, Timestamp, claim_name};

use super::change::{Changes, Class};
use super::gateway::{limits, pairs};
use super::side::Side;
use super::{contract, schema};
use crate::words::{self, at};

/// A normal form, and where it is from.
type From<'a> = (&'a Compiled, &'a Side);

/// Documents that were read, by place; nothing for what cannot be read.
type Documents = BTreeMap<String, Option<Json>>;

pub(super) fn compare(was: From<'_>, is: From<'_>, now: Timestamp, environment: &str, changes: &mut Changes) {
    let name = |api: &Api| (api.name.clone(), api.version.clone());
    let (mut before, mut after) = (Documents::new(), Documents::new());
    for ((api, version), old, new) in pairs(&was.0.apis, &is.0.apis, name) {
        changes.begin(format!("API {api}/{version}"), environment);
        match (old, new) {
            (Some(old), Some(new)) => {
                self::api(old, new, now, changes);
                operations((was, old, &mut before), (is, new, &mut after), now, changes);
                if changes.breaks() {
                    let was = number(&mut before, was, old);
                    let is = number(&mut after, is, new);
                    if let (Some(was), Some(is)) = (was, is)
                        && major(&was) == major(&is)
                    {
                        let still = if was == is { "still" } else { "only" };
                        let what = format!("what breaks is {still} version {is} of its document");
                        changes.add(Class::Risky, &new.origin, what);
                    }
                }
            }
            (None, Some(new)) => {
                let count = of(is.0, new).len();
                changes.add(
                    Class::Safe,
                    &new.origin,
                    format!("is new, with {}", words::count(count, "operation")),
                );
            }
            (Some(old), None) => changes.add(ending(old, now), &old.origin, "is gone"),
            (None, None) => {}
        }
    }
}

/// What the end of something in a version means: nothing, once it has ended; little, before it was
/// promised.
fn ending(api: &Api, now: Timestamp) -> Class {
    let over = api.lifecycle.sunset.is_some_and(|sunset| now >= sunset);
    match api.lifecycle.state {
        State::Retired => Class::Safe,
        _ if over => Class::Safe,
        State::Preview => Class::Risky,
        State::Active | State::Deprecated => Class::Breaking,
    }
}

fn api(was: &Api, is: &Api, now: Timestamp, changes: &mut Changes) {
    let origin = &is.origin;
    changes.value(
        Class::Safe,
        origin,
        "title",
        (&was.title, &is.title),
        Clone::clone,
    );
    changes.value(
        Class::Safe,
        origin,
        "owner",
        (&was.owner, &is.owner),
        Clone::clone,
    );
    changes.value(
        ending(was, now),
        origin,
        "path",
        (&was.base, &is.base),
        Clone::clone,
    );
    let (old, new) = (&was.lifecycle, &is.lifecycle);
    if old.state != new.state {
        let class = match new.state {
            State::Retired => ending(was, now),
            State::Preview => Class::Risky,
            State::Active | State::Deprecated if old.state == State::Retired => Class::Loosening,
            State::Active | State::Deprecated => Class::Safe,
        };
        let (was, is) = (words::state(old.state), words::state(new.state));
        changes.add(class, origin, format!("state: {was} → {is}"));
    }
    if old.sunset != new.sunset {
        let until = |sunset: Option<Timestamp>| sunset.unwrap_or(u64::MAX);
        let earlier = until(new.sunset) < until(old.sunset);
        let class = if earlier { Class::Risky } else { Class::Safe };
        let show = |sunset: Option<Timestamp>| sunset.map_or_else(|| "none".to_owned(), words::date);
        changes.add(
            class,
            origin,
            format!("sunset: {} → {}", show(old.sunset), show(new.sunset)),
        );
    }
    let date = |at: &Option<Timestamp>| at.map_or_else(|| "none".to_owned(), words::date);
    changes.value(
        Class::Safe,
        origin,
        "deprecated",
        (&old.deprecated, &new.deprecated),
        date,
    );
    changes.value(
        Class::Safe,
        origin,
        "successor",
        (&old.successor, &new.successor),
        |successor| successor.clone().unwrap_or_else(|| "none".to_owned()),
    );
    limits(&was.limits, &is.limits, changes);
    let told = |api: &Api| -> Vec<String> {
        let told = api.upstream_headers.iter();
        told.map(|told| format!("{}: {}", told.header, claim_name(&told.claim)))
            .collect()
    };
    // Whoever reads it may decide by it.
    let both = (Class::Risky, Class::Risky);
    changes.list(origin, "telling the upstream", (&told(was), &told(is)), both);
}

/// The operations of a version.
fn of<'a>(compiled: &'a Compiled, api: &Api) -> Vec<&'a Operation> {
    let is = |operation: &&Operation| {
        at(&compiled.apis, operation.api)
            .is_some_and(|known| known.name == api.name && known.version == api.version)
    };
    compiled.operations.iter().filter(is).collect()
}

fn operations(
    (was, old_api, before): (From<'_>, &Api, &mut Documents),
    (is, new_api, after): (From<'_>, &Api, &mut Documents),
    now: Timestamp,
    changes: &mut Changes,
) {
    let breaks = ending(old_api, now);
    let (old, new) = (of(was.0, old_api), of(is.0, new_api));
    let names = called(&old, &new);
    let mut same = BTreeMap::new();
    let name = |operation: &&Operation| {
        // One that is called otherwise is the one that it was.
        let id = names.get(operation.id.as_str()).copied();
        id.unwrap_or(operation.id.as_str()).to_owned()
    };
    for (id, old, new) in pairs(&old, &new, name) {
        match (old, new) {
            (Some(old), Some(new)) => {
                if old.id != new.id {
                    // Callers do not send it; clients that are made from the document have it as a name.
                    let class = if breaks == Class::Safe {
                        Class::Safe
                    } else {
                        Class::Risky
                    };
                    changes.add(class, &new.origin, format!("{} is called {id} now", old.id));
                }
                operation(old, new, breaks, changes);
                // Most documents are what they were: those need not be taken apart.
                let files = (file(&old.origin), file(&new.origin));
                let same = same.entry(files).or_insert_with(|| {
                    let before = was.1.text(&old.origin);
                    before.is_some() && before == is.1.text(&new.origin)
                });
                if *same {
                    continue;
                }
                let documents = (
                    document(before, was.1, &old.origin),
                    document(after, is.1, &new.origin),
                );
                if let (Some(old_document), Some(new_document)) = documents {
                    contract::compare(
                        (old_document, old),
                        (new_document, new),
                        &mut schema::Found::new(&id, breaks, &new.origin, changes),
                    );
                }
            }
            (None, Some(new)) => changes.add(Class::Safe, &new.origin, format!("the operation {id} is new")),
            (Some(old), None) => changes.add(breaks, &old.origin, format!("the operation {id} is gone")),
            (None, None) => {}
        }
    }
}

/// What operations are called now that were called otherwise: by the old id, those that answer the same requests
/// as one that is gone.
fn called<'o>(old: &[&'o Operation], new: &[&'o Operation]) -> BTreeMap<&'o str, &'o str> {
    let ids =
        |these: &[&'o Operation]| -> BTreeSet<&'o str> { these.iter().map(|one| one.id.as_str()).collect() };
    let (before, after) = (ids(old), ids(new));
    let requests = |operation: &Operation| (operation.method, shape(&operation.path));
    let come = new.iter().filter(|one| !before.contains(one.id.as_str()));
    let come: Vec<_> = come.map(|one| (requests(one), one.id.as_str())).collect();
    let gone = old.iter().filter(|one| !after.contains(one.id.as_str()));
    gone.filter_map(|one| {
        let now = come.iter().find(|(known, _)| *known == requests(one))?;
        Some((one.id.as_str(), now.1))
    })
    .collect()
}

/// As [`called`], of all APIs: by name (`petstore/v1#listPets`), what each is called now.
pub(super) fn all_called(was: &Compiled, is: &Compiled) -> BTreeMap<String, String> {
    let name = |api: &Api| (api.name.clone(), api.version.clone());
    let mut all = BTreeMap::new();
    let (before, after) = (by_api(was), by_api(is));
    for ((api, version), old, new) in pairs(&was.apis, &is.apis, name) {
        let key = (api.as_str(), version.as_str());
        let (Some(_), Some(_), Some(old), Some(new)) = (old, new, before.get(&key), after.get(&key)) else {
            continue;
        };
        for (old, new) in called(old, new) {
            all.insert(format!("{api}/{version}#{old}"), format!("{api}/{version}#{new}"));
        }
    }
    all
}

/// The operations of each version, by the names of API and version.
fn by_api(compiled: &Compiled) -> BTreeMap<(&str, &str), Vec<&Operation>> {
    let mut all: BTreeMap<_, Vec<_>> = BTreeMap::new();
    for operation in &compiled.operations {
        if let Some(api) = at(&compiled.apis, operation.api) {
            let key = (api.name.as_str(), api.version.as_str());
            all.entry(key).or_default().push(operation);
        }
    }
    all
}

/// The number that the document of a version has; nothing where it cannot be read.
fn number(documents: &mut Documents, from: From<'_>, api: &Api) -> Option<String> {
    let operation = of(from.0, api).into_iter().next()?;
    let document = document(documents, from.1, &operation.origin)?;
    match document.get("info")?.get("version")? {
        Json::String(number) => Some(number.clone()),
        Json::Number(number) => Some(number.to_string()),
        _ => None,
    }
}

/// What callers who know a version may rely on: its first number (of `0.3`, which promises nothing else, the second
/// too).
fn major(number: &str) -> String {
    let mut parts = number.trim_start_matches('v').split('.');
    match (parts.next().unwrap_or_default(), parts.next()) {
        ("0", Some(second)) => format!("0.{second}"),
        (first, _) => first.to_owned(),
    }
}

/// The file of a place.
fn file(origin: &str) -> &str {
    origin.rsplit_once(':').map_or(origin, |(file, _)| file)
}

/// The document in which an operation is written.
fn document<'d>(documents: &'d mut Documents, side: &Side, origin: &str) -> Option<&'d Json> {
    documents
        .entry(file(origin).to_owned())
        .or_insert_with(|| {
            side.text(origin)
                .and_then(|text| serde_saphyr::from_str(&text).ok())
        })
        .as_ref()
}

/// What the gateway does with an operation.
fn operation(was: &Operation, is: &Operation, breaks: Class, changes: &mut Changes) {
    let (id, origin) = (&is.id, &is.origin);
    let route = |operation: &Operation| format!("{} {}", operation.method.name(), operation.path);
    // Nobody sends the name of a parameter of the path.
    let shape = |operation: &Operation| (operation.method, shape(&operation.path));
    let class = if shape(was) == shape(is) {
        Class::Safe
    } else {
        breaks
    };
    changes.value(class, origin, id, (&route(was), &route(is)), Clone::clone);
    let both = (Class::Tightening, Class::Loosening);
    changes.list(
        origin,
        &format!("{id}: the scope"),
        (&was.scopes, &is.scopes),
        both,
    );
    rules(was, is, changes);
    relation(was, is, changes);
    match (was.open_until, is.open_until) {
        (None, Some(until)) => changes.add(
            Class::Loosening,
            origin,
            format!("{id} is open to everybody until {}", words::date(until)),
        ),
        (Some(_), None) => changes.add(Class::Tightening, origin, format!("{id} needs a credential")),
        (Some(was), Some(is)) => {
            changes.bound(origin, &format!("{id} is open until"), (was, is), words::date);
        }
        (None, None) => {}
    }
    changes.bound(
        origin,
        &format!("{id}: max_body"),
        (was.max_body, is.max_body),
        words::size,
    );
    if was.accepts_body != is.accepts_body {
        let (class, takes) = if is.accepts_body {
            (Class::Safe, "takes a body")
        } else {
            (breaks, "takes no body")
        };
        changes.add(class, origin, format!("{id} {takes} now"));
    } else if was.content_types != is.content_types {
        let what = format!("{id}: the media type of bodies");
        changes.list(
            origin,
            &what,
            (&was.content_types, &is.content_types),
            (Class::Safe, breaks),
        );
    }
    let passed = (Class::Safe, Class::Risky);
    let what = format!("{id}: passing on the header");
    changes.list(origin, &what, (&was.forward_headers, &is.forward_headers), passed);
    let what = format!("{id}: passing on the query parameter");
    changes.list(origin, &what, (&was.forward_query, &is.forward_query), passed);
    handler(was, is, changes);
}

/// A path without the names of its parameters.
fn shape(path: &str) -> String {
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

/// Conditions: one that is gone and one that is new are taken for one that was changed, in their order.
fn rules(was: &Operation, is: &Operation, changes: &mut Changes) {
    let without = |these: &'_ [Rule], others: &[Rule]| -> Vec<(String, String)> {
        let missing = |rule: &&Rule| !others.iter().any(|other| other.when == rule.when);
        let shown = |rule: &Rule| (rule.when.to_string(), rule.origin.clone());
        these.iter().filter(missing).map(shown).collect()
    };
    let gone = without(&was.rules, &is.rules);
    let new = without(&is.rules, &was.rules);
    let id = &is.id;
    for place in 0..gone.len().max(new.len()) {
        match (gone.get(place), new.get(place)) {
            (Some((old, _)), Some((new, origin))) => {
                changes.add(
                    Class::Risky,
                    origin,
                    format!("{id}: the condition `{old}` → `{new}`"),
                );
            }
            (None, Some((new, origin))) => {
                changes.add(
                    Class::Tightening,
                    origin,
                    format!("{id}: the condition `{new}` is added"),
                );
            }
            (Some((old, origin)), None) => {
                changes.add(
                    Class::Loosening,
                    origin,
                    format!("{id}: the condition `{old}` is removed"),
                );
            }
            (None, None) => {}
        }
    }
}

/// What a decision point is asked.
fn relation(was: &Operation, is: &Operation, changes: &mut Changes) {
    let id = &is.id;
    match (&was.relation, &is.relation) {
        (None, Some(new)) => changes.add(
            Class::Tightening,
            &new.origin,
            format!("{id}: the relation `{new}` is asked for"),
        ),
        (Some(old), None) => changes.add(
            Class::Loosening,
            &old.origin,
            format!("{id}: the relation `{old}` is not asked for any more"),
        ),
        (Some(old), Some(new)) if old.to_string() != new.to_string() => changes.add(
            Class::Risky,
            &new.origin,
            format!("{id}: the relation `{old}` → `{new}`"),
        ),
        _ => {}
    }
}

fn handler(was: &Operation, is: &Operation, changes: &mut Changes) {
    let (id, origin) = (&is.id, &is.origin);
    match (&was.handler, &is.handler) {
        (
            Handler::Proxy {
                url: old_url,
                timeouts: old_timeouts,
                credential: old_credential,
            },
            Handler::Proxy {
                url,
                timeouts,
                credential,
            },
        ) => {
            changes.value(
                Class::Risky,
                origin,
                &format!("{id}: upstream"),
                (old_url, url),
                Clone::clone,
            );
            let what = format!("{id}: timeout");
            changes.value(
                Class::Risky,
                origin,
                &what,
                (&old_timeouts.first, &timeouts.first),
                |ms| words::duration(*ms),
            );
            if old_credential != credential {
                changes.add(
                    Class::Risky,
                    origin,
                    format!("{id}: another credential is sent to the upstream"),
                );
            }
        }
        (Handler::Mock(old), Handler::Mock(new)) => {
            if old != new {
                changes.add(
                    Class::Safe,
                    origin,
                    format!("{id}: its examples answer otherwise"),
                );
            }
        }
        (Handler::Mock(_), Handler::Proxy { url, .. }) => {
            changes.add(
                Class::Risky,
                origin,
                format!("{id}: answered by {url}, no more by a mock"),
            );
        }
        (Handler::Proxy { url, .. }, Handler::Mock(_)) => {
            changes.add(
                Class::Risky,
                origin,
                format!("{id}: answered by a mock, no more by {url}"),
            );
        }
    }
}
