//! JSON Schemas, compared as what callers send or get. Types, required members, members that come or
//! go, enumerations and bounds are told apart; what else differs is risky, since only its author can
//! say.

use std::collections::BTreeSet;

use serde_json::{Map, Value as Json};

use super::{Difference, Weight};

/// How deep schemas are looked at.
const DEPTH: usize = 24;

/// In which direction values go.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Way {
    Request,
    Response,
}

/// What is found of one operation.
#[derive(Default)]
pub(super) struct Found {
    part: &'static str,
    pub(super) differences: Vec<Difference>,
}

impl Found {
    /// What follows is in this field of the operation.
    pub(super) fn at(&mut self, part: &'static str) {
        self.part = part;
    }

    pub(super) fn add(&mut self, weight: Weight, text: impl Into<String>) {
        self.differences.push(Difference {
            weight,
            part: self.part,
            text: text.into(),
        });
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
    found: &mut Found,
) {
    let (Some(was), Some(is)) = (was, is) else {
        match (was, is, way) {
            (None, Some(_), Way::Request) => found.add(Weight::Risky, format!("{what} has a schema now")),
            (Some(_), None, Way::Response) => {
                found.add(Weight::Risky, format!("{what} has no schema any more"));
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
            found.add(Weight::Risky, format!("{what}: `{key}` is another one"));
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

fn types(was: &Map<String, Json>, is: &Map<String, Json>, way: Way, what: &str, found: &mut Found) {
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
    let weight = if fits { Weight::Safe } else { Weight::Breaks };
    found.add(
        weight,
        format!("{what} is {}, was {}", show(&after), show(&before)),
    );
}

fn enumeration(was: &Map<String, Json>, is: &Map<String, Json>, way: Way, what: &str, found: &mut Found) {
    let of = |schema: &Map<String, Json>| schema.get("enum").and_then(Json::as_array).cloned();
    let (before, after) = match (of(was), of(is)) {
        (None, None) => return,
        (None, Some(_)) => {
            let weight = if way == Way::Request {
                Weight::Breaks
            } else {
                Weight::Safe
            };
            return found.add(weight, format!("{what} is one of a list now"));
        }
        (Some(_), None) => {
            let weight = if way == Way::Request {
                Weight::Safe
            } else {
                Weight::Risky
            };
            return found.add(weight, format!("{what} is not one of a list any more"));
        }
        (Some(before), Some(after)) => (before, after),
    };
    for value in before.iter().filter(|value| !after.contains(value)) {
        let weight = if way == Way::Request {
            Weight::Breaks
        } else {
            Weight::Safe
        };
        found.add(weight, format!("{what} is never {value} any more"));
    }
    for value in after.iter().filter(|value| !before.contains(value)) {
        // A caller may not know what to make of it.
        let weight = if way == Way::Request {
            Weight::Safe
        } else {
            Weight::Risky
        };
        found.add(weight, format!("{what} may be {value}"));
    }
}

fn bounds(was: &Map<String, Json>, is: &Map<String, Json>, way: Way, what: &str, found: &mut Found) {
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
            let weight = match (way, narrower) {
                (Way::Request, true) => Weight::Breaks,
                (Way::Response, false) => Weight::Risky,
                _ => Weight::Safe,
            };
            let show = |value: Option<&Json>| value.map_or_else(|| "none".to_owned(), Json::to_string);
            found.add(
                weight,
                format!("{what}: {name} {} → {}", show(before), show(after)),
            );
        }
    }
    for name in ["pattern", "format"] {
        if was.get(name) != is.get(name) {
            found.add(Weight::Risky, format!("{what}: another {name}"));
        }
    }
}

fn members(
    (was, is): (&Map<String, Json>, &Map<String, Json>),
    documents: (Document<'_>, Document<'_>),
    way: Way,
    what: &str,
    depth: usize,
    found: &mut Found,
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
                found.add(Weight::Breaks, format!("{member} is new and required"));
            }
            (None, Some(_)) => found.add(Weight::Safe, format!("{member} is new")),
            (Some(_), None) => {
                let weight = if way == Way::Response {
                    Weight::Breaks
                } else {
                    Weight::Risky
                };
                found.add(weight, format!("{member} is gone"));
            }
            (Some(old), Some(new)) => {
                match (needs(was, name), needs(is, name), way) {
                    (false, true, Way::Request) => {
                        found.add(Weight::Breaks, format!("{member} is required"));
                    }
                    (true, false, Way::Request) => found.add(Weight::Safe, format!("{member} is optional")),
                    (true, false, Way::Response) => {
                        found.add(Weight::Breaks, format!("{member} is not always there"));
                    }
                    (false, true, Way::Response) => {
                        found.add(Weight::Safe, format!("{member} is always there"));
                    }
                    _ => {}
                }
                schemas((Some(old), Some(new)), documents, way, &member, depth + 1, found);
            }
            (None, None) => {}
        }
    }
}
