//! JSON Schemas, compared as what callers send or get. Types, required members, members that come or
//! go, enumerations and bounds are told apart; what else differs is risky, since only its author can
//! say.

use std::collections::BTreeSet;

use serde_json::{Map, Value as Json};

use super::change::{Changes, Class};

/// How deep schemas are looked at.
const DEPTH: usize = 24;

/// In which direction values go.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Way {
    Request,
    Response,
}

/// What is found of one operation.
pub(super) struct Found<'a> {
    operation: &'a str,
    breaks: Class,
    origin: String,
    changes: &'a mut Changes,
}

impl<'a> Found<'a> {
    pub(super) fn new(operation: &'a str, breaks: Class, origin: &'a str, changes: &'a mut Changes) -> Self {
        Self {
            operation,
            breaks,
            origin: origin.to_owned(),
            changes,
        }
    }

    /// What follows is written there.
    pub(super) fn at(&mut self, origin: String) {
        self.origin = origin;
    }

    /// What a break of the contract amounts to, where the version is in its life.
    pub(super) const fn breaks(&self) -> Class {
        self.breaks
    }

    pub(super) fn add(&mut self, class: Class, text: &str) {
        let class = if self.breaks == Class::Safe {
            Class::Safe
        } else {
            class
        };
        self.changes
            .add(class, &self.origin, format!("{}: {text}", self.operation));
    }
}

/// A document, in which references are followed.
#[derive(Clone, Copy)]
pub(super) struct Document<'d>(pub(super) &'d Json);

impl<'d> Document<'d> {
    /// What a part is, its references followed.
    pub(super) fn follow(self, mut part: &'d Json) -> &'d Json {
        for _ in 0..DEPTH {
            let target = part
                .get("$ref")
                .and_then(Json::as_str)
                .and_then(|reference| reference.strip_prefix('#'))
                .and_then(|pointer| self.0.pointer(pointer));
            match target {
                Some(target) => part = target,
                None => break,
            }
        }
        part
    }

    /// A schema with its references followed and its `allOf` put together.
    fn flat(self, schema: &'d Json, depth: usize) -> Map<String, Json> {
        let Json::Object(own) = self.follow(schema) else {
            return Map::new();
        };
        let mut flat = own.clone();
        let Some(Json::Array(parts)) = own.get("allOf").filter(|_| depth < DEPTH) else {
            return flat;
        };
        flat.remove("allOf");
        for part in parts {
            for (key, value) in self.flat(part, depth + 1) {
                match (flat.get_mut(&key), value) {
                    (Some(Json::Object(known)), Json::Object(more)) => known.extend(more),
                    (Some(Json::Array(known)), Json::Array(more)) => known.extend(more),
                    (Some(_), _) => {}
                    (None, value) => {
                        flat.insert(key, value);
                    }
                }
            }
        }
        flat
    }
}

/// Compares two schemas.
pub(super) fn schemas(
    (was, is): (Option<&Json>, Option<&Json>),
    documents: (Document<'_>, Document<'_>),
    way: Way,
    what: &str,
    depth: usize,
    found: &mut Found<'_>,
) {
    let (Some(was), Some(is)) = (was, is) else {
        match (was, is, way) {
            (None, Some(_), Way::Request) => found.add(Class::Risky, &format!("{what} has a schema now")),
            (Some(_), None, Way::Response) => {
                found.add(Class::Risky, &format!("{what} has no schema any more"));
            }
            _ => {}
        }
        return;
    };
    if depth > DEPTH {
        return;
    }
    let (was, is) = (documents.0.flat(was, 0), documents.1.flat(is, 0));
    if was == is && !refers(&was) {
        return;
    }
    types(&was, &is, way, what, found);
    enumeration(&was, &is, way, what, found);
    bounds(&was, &is, way, what, found);
    members((&was, &is), documents, way, what, depth, found);
    let items = (was.get("items"), is.get("items"));
    if items.0.is_some() || items.1.is_some() {
        schemas(items, documents, way, &format!("{what}[]"), depth + 1, found);
    }
    for key in [
        "oneOf",
        "anyOf",
        "not",
        "additionalProperties",
        "discriminator",
        "const",
    ] {
        if was.get(key) != is.get(key) {
            found.add(Class::Risky, &format!("{what}: `{key}` is another one"));
        }
    }
}

/// Whether something in a schema refers elsewhere, where it may differ.
fn refers(schema: &Map<String, Json>) -> bool {
    fn any(value: &Json) -> bool {
        match value {
            Json::Object(map) => map.contains_key("$ref") || map.values().any(any),
            Json::Array(list) => list.iter().any(any),
            _ => false,
        }
    }
    schema.values().any(any)
}

/// The types that a schema allows; of 3.0, `nullable` is one.
fn kinds(schema: &Map<String, Json>) -> BTreeSet<String> {
    let mut kinds: BTreeSet<String> = match schema.get("type") {
        Some(Json::String(kind)) => BTreeSet::from([kind.clone()]),
        Some(Json::Array(list)) => list
            .iter()
            .filter_map(|kind| kind.as_str().map(str::to_owned))
            .collect(),
        _ => BTreeSet::new(),
    };
    if schema.get("nullable") == Some(&Json::Bool(true)) {
        kinds.insert("null".to_owned());
    }
    kinds
}

fn types(was: &Map<String, Json>, is: &Map<String, Json>, way: Way, what: &str, found: &mut Found<'_>) {
    let (before, after) = (kinds(was), kinds(is));
    if before == after {
        return;
    }
    // No type at all allows every one; an integer is a number.
    let within = |some: &BTreeSet<String>, others: &BTreeSet<String>| {
        let has = |kind: &String| others.contains(kind) || (kind == "integer" && others.contains("number"));
        others.is_empty() || (!some.is_empty() && some.iter().all(has))
    };
    let fits = match way {
        Way::Request => within(&before, &after),
        Way::Response => within(&after, &before),
    };
    let show = |kinds: &BTreeSet<String>| {
        if kinds.is_empty() {
            "any".to_owned()
        } else {
            kinds.iter().map(String::as_str).collect::<Vec<_>>().join(" or ")
        }
    };
    let class = if fits { Class::Safe } else { found.breaks() };
    found.add(
        class,
        &format!("{what} is {}, was {}", show(&after), show(&before)),
    );
}

fn enumeration(was: &Map<String, Json>, is: &Map<String, Json>, way: Way, what: &str, found: &mut Found<'_>) {
    let of = |schema: &Map<String, Json>| schema.get("enum").and_then(Json::as_array).cloned();
    let (before, after) = match (of(was), of(is)) {
        (None, None) => return,
        (None, Some(_)) => {
            let class = if way == Way::Request {
                found.breaks()
            } else {
                Class::Safe
            };
            return found.add(class, &format!("{what} is one of a list now"));
        }
        (Some(_), None) => {
            let class = if way == Way::Request {
                Class::Safe
            } else {
                Class::Risky
            };
            return found.add(class, &format!("{what} is not one of a list any more"));
        }
        (Some(before), Some(after)) => (before, after),
    };
    for value in before.iter().filter(|value| !after.contains(value)) {
        let class = if way == Way::Request {
            found.breaks()
        } else {
            Class::Safe
        };
        found.add(class, &format!("{what} is never {value} any more"));
    }
    for value in after.iter().filter(|value| !before.contains(value)) {
        // A caller may not know what to make of it.
        let class = if way == Way::Request {
            Class::Safe
        } else {
            Class::Risky
        };
        found.add(class, &format!("{what} may be {value}"));
    }
}

fn bounds(was: &Map<String, Json>, is: &Map<String, Json>, way: Way, what: &str, found: &mut Found<'_>) {
    const LEAST: [&str; 5] = [
        "minimum",
        "exclusiveMinimum",
        "minLength",
        "minItems",
        "minProperties",
    ];
    const MOST: [&str; 5] = [
        "maximum",
        "exclusiveMaximum",
        "maxLength",
        "maxItems",
        "maxProperties",
    ];
    for (names, sign) in [(LEAST, 1.0), (MOST, -1.0)] {
        for name in names {
            let (before, after) = (was.get(name), is.get(name));
            if before == after {
                continue;
            }
            let number = |value: Option<&Json>| {
                value
                    .and_then(Json::as_f64)
                    .map_or(f64::NEG_INFINITY, |value| value * sign)
            };
            let narrower = number(after) > number(before);
            let class = match (way, narrower) {
                (Way::Request, true) => found.breaks(),
                (Way::Response, false) => Class::Risky,
                _ => Class::Safe,
            };
            let show = |value: Option<&Json>| value.map_or_else(|| "none".to_owned(), Json::to_string);
            found.add(
                class,
                &format!("{what}: {name} {} → {}", show(before), show(after)),
            );
        }
    }
    for name in ["pattern", "format"] {
        if was.get(name) != is.get(name) {
            found.add(Class::Risky, &format!("{what}: another {name}"));
        }
    }
}

fn members(
    (was, is): (&Map<String, Json>, &Map<String, Json>),
    documents: (Document<'_>, Document<'_>),
    way: Way,
    what: &str,
    depth: usize,
    found: &mut Found<'_>,
) {
    let none = Map::new();
    let of = |schema: &Map<String, Json>| schema.get("properties").and_then(Json::as_object).cloned();
    let (before, after) = (of(was).unwrap_or_else(|| none.clone()), of(is).unwrap_or(none));
    let needs = |schema: &Map<String, Json>, name: &str| {
        let list = schema.get("required").and_then(Json::as_array);
        list.is_some_and(|list| list.iter().any(|item| item.as_str() == Some(name)))
    };
    let names: BTreeSet<&String> = before.keys().chain(after.keys()).collect();
    for name in names {
        let member = format!("{what}.{name}");
        match (before.get(name), after.get(name)) {
            (None, Some(_)) if way == Way::Request && needs(is, name) => {
                found.add(found.breaks(), &format!("{member} is new and required"));
            }
            (None, Some(_)) => found.add(Class::Safe, &format!("{member} is new")),
            (Some(_), None) => {
                let class = if way == Way::Response {
                    found.breaks()
                } else {
                    Class::Risky
                };
                found.add(class, &format!("{member} is gone"));
            }
            (Some(old), Some(new)) => {
                match (needs(was, name), needs(is, name), way) {
                    (false, true, Way::Request) => {
                        found.add(found.breaks(), &format!("{member} is required"));
                    }
                    (true, false, Way::Request) => found.add(Class::Safe, &format!("{member} is optional")),
                    (true, false, Way::Response) => {
                        found.add(found.breaks(), &format!("{member} is not always there"));
                    }
                    (false, true, Way::Response) => {
                        found.add(Class::Safe, &format!("{member} is always there"));
                    }
                    _ => {}
                }
                schemas((Some(old), Some(new)), documents, way, &member, depth + 1, found);
            }
            (None, None) => {}
        }
    }
}
