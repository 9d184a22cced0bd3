//! APIs and their operations: what is published, by which rules, and the contract of each.

use std::collections::BTreeMap;
use std::sync::Arc;

use serde_json::Value as Json;
use turnpike_policy::source::contract::{Contracts, Weight, is_no_news, promise, shape};
use turnpike_policy::source::{Code, Severity};
use turnpike_policy::{Api, Compiled, Lifecycle, Operation, State, Timestamp, UpstreamHeader, claim_name};

use super::change::{Changes, Class, Rule};
use super::gateway::pairs;
use super::limits::{Told, limits};
use super::operations;
use super::place::Places;
use super::side::Side;
use crate::Failure;
use crate::lines::Lines;
use crate::words::{self, at};

/// A normal form, and where it is from.
type From<'a> = (&'a Compiled, &'a Side);

/// Documents that were read, by place; nothing for those of bundles, which have none.
type Documents = BTreeMap<String, Option<Arc<Json>>>;

pub(super) fn compare(
    (was, is): (From<'_>, From<'_>),
    (now, drift): (Timestamp, Option<Severity>),
    environment: &str,
    places: &Places,
    changes: &mut Changes,
) -> Result<(), Failure> {
    let name = |api: &Api| (api.name.clone(), api.version.clone());
    let (were, are) = (by_api(was.0), by_api(is.0));
    let (mut before, mut after) = (Documents::new(), Documents::new());
    for ((api, version), old, new) in pairs(&was.0.apis, &is.0.apis, name) {
        changes.begin(format!("API {api}/{version}"), environment);
        let key = (api.as_str(), version.as_str());
        let before_ones = were.get(&key).map_or(&[][..], Vec::as_slice);
        let after_ones = are.get(&key).map_or(&[][..], Vec::as_slice);
        match (old, new) {
            (Some(old), Some(new)) => {
                let told = changes.told();
                self::api(old, new, now, places, changes);
                changes.rest(told, &new.origin, "it", (old, new));
                let ones = (before_ones, after_ones);
                let sides = ((was, old, &mut before), (is, new, &mut after));
                let breaks = changes.breaks();
                of_version(ones, sides, now, places, changes)?;
                if changes.breaks() > breaks
                    && let Some(severity) = drift
                {
                    let was = number(&mut before, was.1, before_ones)?;
                    let is = number(&mut after, is.1, after_ones)?;
                    if let (Some(was), Some(is)) = (was, is)
                        && is_no_news(&was, &is)
                    {
                        let code = Code::BrokenPromise;
                        let at = places.now(&new.origin, |lines| numbered(lines, after_ones));
                        let still = if was == is { "still" } else { "only" };
                        let after = if promise(&was) == promise(&is) {
                            String::new()
                        } else {
                            format!(", which was {was}")
                        };
                        let what = format!("what breaks is {still} version {is} of its document{after}");
                        changes.against(Rule { code, severity }, &at, what);
                    }
                }
            }
            (None, Some(new)) => {
                let count = after_ones.len();
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
    Ok(())
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

/// Whoever is told of an end later than this before it has no time to move: the build warns as early of what expires.
const NOTICE: Timestamp = 30 * 24 * 60 * 60 * 1000;

fn api(was: &Api, is: &Api, now: Timestamp, places: &Places, changes: &mut Changes) {
    let moved = Api {
        origin: is.origin.clone(),
        ..was.clone()
    };
    if moved == *is {
        return;
    }
    let Api {
        name: _,
        version: _,
        title: _,
        owner: _,
        base: _,
        lifecycle: _,
        limits: is_limits,
        upstream_headers: _,
        until,
        origin: _,
    } = is;
    let line = |field: &str| places.now(&is.origin, |lines| lines.api(is, &[field]));
    let version = |field: &str| places.now(&is.origin, |lines| lines.version(is, field));
    changes.value(
        Class::Safe,
        &line("title"),
        "title",
        (&was.title, &is.title),
        Clone::clone,
    );
    changes.value(
        Class::Safe,
        &line("owner"),
        "owner",
        (&was.owner, &is.owner),
        Clone::clone,
    );
    changes.value(
        ending(was, now),
        &line("path"),
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
        changes.add(class, &version("state"), format!("state: {was} → {is}"));
    }
    dates((old, new), (now, ending(was, now)), version, changes);
    limits((&was.limits, is_limits), Told::default(), changes);
    asked_until((was.until, *until), &version("upstream"), changes);
    let told = |api: &Api| -> Vec<String> {
        let told = api.upstream_headers.iter();
        told.map(|UpstreamHeader { header, claim }| format!("{header}: {}", claim_name(claim)))
            .collect()
    };
    // Whoever reads it may decide by it.
    let both = (Class::Risky, Class::Risky);
    changes.list(
        &line("upstream_headers"),
        "telling the upstream",
        (&told(was), &told(is)),
        both,
    );
}

/// Until when an upstream may be asked that is reached without TLS. Where there was no such end, or is none any more, it
/// depends on what is asked, which is told beside it.
pub(super) fn asked_until(
    (was, is): (Option<Timestamp>, Option<Timestamp>),
    at: &str,
    changes: &mut Changes,
) {
    let what = "upstream may be asked without TLS until";
    match (was, is) {
        (Some(was), Some(is)) => changes.bound(at, what, (was, is), words::last),
        _ => changes.value(Class::Risky, at, what, (&was, &is), |end| {
            end.map_or_else(|| "no day of an exception".to_owned(), words::last)
        }),
    }
}

/// When something ends, and what follows it; its state is told by what the end means.
///
/// `breaks` is what its end means as of `now`. An end that was promised for later, or that comes without notice, is one.
pub(super) fn dates(
    (old, new): (&Lifecycle, &Lifecycle),
    (now, breaks): (Timestamp, Class),
    line: impl Fn(&str) -> String,
    changes: &mut Changes,
) {
    let Lifecycle {
        state: _,
        deprecated: _,
        sunset: _,
        successor: _,
    } = new;
    if old.sunset != new.sunset {
        let over = |sunset: Option<Timestamp>| sunset.is_some_and(|sunset| now >= sunset);
        let class = match (old.sunset, new.sunset) {
            _ if old.state == State::Retired => Class::Safe,
            (was, is) if over(was) && !over(is) => Class::Loosening,
            (Some(was), Some(is)) if is < was => breaks,
            (None, Some(is)) if is < now.saturating_add(NOTICE) => breaks,
            (None, Some(_)) if breaks != Class::Safe => Class::Risky,
            _ => Class::Safe,
        };
        let show = |sunset: Option<Timestamp>| sunset.map_or_else(|| "none".to_owned(), words::date);
        changes.add(
            class,
            &line("sunset"),
            format!("sunset: {} → {}", show(old.sunset), show(new.sunset)),
        );
    }
    let date = |at: &Option<Timestamp>| at.map_or_else(|| "none".to_owned(), words::date);
    changes.value(
        Class::Safe,
        &line("deprecated"),
        "deprecated",
        (&old.deprecated, &new.deprecated),
        date,
    );
    changes.value(
        Class::Safe,
        &line("successor"),
        "successor",
        (&old.successor, &new.successor),
        |successor| successor.clone().unwrap_or_else(|| "none".to_owned()),
    );
}

/// One side of a version: the tree, the version in it, and the documents of the tree.
type Version<'v> = (From<'v>, &'v Api, &'v mut Documents);

/// The operations of a version.
fn of_version(
    (old, new): (&[&Operation], &[&Operation]),
    (((from, was), old_api, before), ((to, is), new_api, after)): (Version<'_>, Version<'_>),
    now: Timestamp,
    places: &Places,
    changes: &mut Changes,
) -> Result<(), Failure> {
    let breaks = ending(old_api, now);
    let (mut same, mut contracts) = (BTreeMap::new(), BTreeMap::new());
    for (old, new) in paired(old, new) {
        if let Some(new) = new {
            operations::own_words(old_api, (new, new_api), places, changes);
        }
        match (old, new) {
            (Some(old), Some(new)) => {
                let id = &new.id;
                if old.id != *id {
                    // Callers do not send it; clients that are made from the document have it as a name.
                    let class = if breaks == Class::Safe {
                        Class::Safe
                    } else {
                        Class::Risky
                    };
                    changes.add(class, &new.origin, format!("{} is called {id} now", old.id));
                }
                let points = (from.points.as_slice(), to.points.as_slice());
                operations::compare((old, old_api), (new, new_api), points, breaks, places, changes);
                // Most documents are what they were: those need not be taken apart.
                let files = (file(&old.origin), file(&new.origin));
                let same = same.entry(files).or_insert_with(|| {
                    let before = was.text(&old.origin);
                    before.is_some() && before == is.text(&new.origin)
                });
                if *same {
                    continue;
                }
                let documents = (
                    document(before, was, &old.origin)?,
                    document(after, is, &new.origin)?,
                );
                if let (Some(old_document), Some(new_document)) = documents {
                    let contracts = contracts
                        .entry(files)
                        .or_insert_with(|| Contracts::new(old_document, new_document));
                    for found in contracts.compare(old, new) {
                        let class = match found.weight {
                            Weight::Breaks => breaks,
                            Weight::Risky if breaks != Class::Safe => Class::Risky,
                            Weight::Loosens if breaks != Class::Safe => Class::Loosening,
                            Weight::Risky | Weight::Loosens | Weight::Safe => Class::Safe,
                        };
                        let at = places.now(&new.origin, |lines| lines.document(new, found.part));
                        changes.add(class, &at, format!("{id}: {}", found.text));
                    }
                }
            }
            (None, Some(new)) => {
                let what = format!("the operation {} is new", new.id);
                changes.add(Class::Safe, &new.origin, what);
            }
            (Some(old), None) => {
                let what = format!("the operation {} is gone", old.id);
                changes.add(breaks, &old.origin, what);
            }
            (None, None) => {}
        }
    }
    Ok(())
}

/// Operations before and after: those that answer the same requests, whatever they are called, else those of an id, which
/// answer others now. An id says nothing where what it named is there: it may have been given to another one.
fn paired<'o>(
    old: &[&'o Operation],
    new: &[&'o Operation],
) -> Vec<(Option<&'o Operation>, Option<&'o Operation>)> {
    let requests = |operation: &&Operation| (operation.method, shape(&operation.path));
    let (mut gone, mut come, mut all) = (Vec::new(), Vec::new(), Vec::new());
    for (_, old, new) in pairs(old, new, requests) {
        match (old, new) {
            (Some(old), None) => gone.push(*old),
            (None, Some(new)) => come.push(*new),
            _ => all.push((old.copied(), new.copied())),
        }
    }
    let moved = pairs(&gone, &come, |operation| operation.id.clone());
    all.extend(
        moved
            .into_iter()
            .map(|(_, old, new)| (old.copied(), new.copied())),
    );
    all
}

/// The operations of each version, by the names of API and version.
type Operations<'o> = BTreeMap<(&'o str, &'o str), Vec<&'o Operation>>;

fn by_api(compiled: &Compiled) -> Operations<'_> {
    let mut all: BTreeMap<_, Vec<_>> = BTreeMap::new();
    for operation in &compiled.operations {
        if let Some(api) = at(&compiled.apis, operation.api) {
            let key = (api.name.as_str(), api.version.as_str());
            all.entry(key).or_default().push(operation);
        }
    }
    all
}

/// The number that the document of a version has; nothing where it has none.
fn number(
    documents: &mut Documents,
    side: &Side,
    operations: &[&Operation],
) -> Result<Option<String>, Failure> {
    let Some(first) = operations.first() else {
        return Ok(None);
    };
    let document = document(documents, side, &first.origin)?;
    let info = document.as_ref().and_then(|document| document.get("info"));
    Ok(match info.and_then(|info| info.get("version")) {
        Some(Json::String(number)) => Some(number.clone()),
        Some(Json::Number(number)) => Some(number.to_string()),
        _ => None,
    })
}

/// The line of that number.
fn numbered(lines: &Lines, operations: &[&Operation]) -> Option<String> {
    lines.field(&operations.first()?.origin, &["info", "version"])
}

/// The file of a place.
fn file(origin: &str) -> &str {
    origin.rsplit_once(':').map_or(origin, |(file, _)| file)
}

/// The document in which an operation is written; nothing for a bundle, which has none.
fn document(documents: &mut Documents, side: &Side, origin: &str) -> Result<Option<Arc<Json>>, Failure> {
    if let Some(known) = documents.get(file(origin)) {
        return Ok(known.clone());
    }
    let document = side.document(origin)?.map(Arc::new);
    documents.insert(file(origin).to_owned(), document.clone());
    Ok(document)
}
