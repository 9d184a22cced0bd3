//! JSON Schemas, compared as what callers send or get. Types, required members, members that come or
//! go, enumerations and bounds are told apart; what else differs is risky, since only its author can
//! say. Two schemas are compared once below one root, so that those which contain themselves come to an end.

use std::collections::{BTreeMap, BTreeSet};

use serde_json::Value as Json;

use super::budget::Budget;
use super::flat::{Bound, Document, Flat, Key};
use super::{Difference, Weight};

/// How deep schemas are looked at.
const DEPTH: usize = 64;

/// What it costs to compare two schemas, however little they say.
const STEP: usize = 16;

/// Keywords that allow and refuse nothing: words for people, and schemas that only count where they are referred to.
const WORDS: [&str; 11] = [
    "$comment",
    "$defs",
    "$schema",
    "definitions",
    "deprecated",
    "description",
    "example",
    "examples",
    "externalDocs",
    "summary",
    "title",
];

/// Keywords that are compared each in its own way.
const KNOWN: [&str; 27] = [
    "$ref",
    "additionalProperties",
    "allOf",
    "anyOf",
    "const",
    "dependentSchemas",
    "enum",
    "exclusiveMaximum",
    "exclusiveMinimum",
    "items",
    "maxItems",
    "maxLength",
    "maxProperties",
    "maximum",
    "minItems",
    "minLength",
    "minProperties",
    "minimum",
    "nullable",
    "oneOf",
    "patternProperties",
    "prefixItems",
    "properties",
    "required",
    "type",
    "unevaluatedProperties",
    "uniqueItems",
];

/// Keywords with a schema of which it is only asked whether it is another one.
const ASKED: [&str; 9] = [
    "additionalItems",
    "contains",
    "contentSchema",
    "else",
    "if",
    "not",
    "propertyNames",
    "then",
    "unevaluatedItems",
];

/// In which direction values go.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Way {
    Request,
    Response,
}

impl Way {
    /// What it means that values are allowed which were not (wider), or that some are not any more; `otherwise` where
    /// a caller need not notice.
    const fn weigh(self, wider: bool, narrower: Weight, wider_answer: Weight) -> Weight {
        match (self, wider) {
            (Self::Request, false) => narrower,
            (Self::Response, true) => wider_answer,
            _ => Weight::Safe,
        }
    }
}

/// What is known of two documents, from one operation to the next.
#[derive(Default)]
pub(super) struct Known {
    pub(super) budget: Budget,
    /// Schemas that say the same, whatever way they go.
    same: BTreeSet<Key>,
}

/// An operation in two documents, and what is found of it.
pub(super) struct Walk<'d, 'k> {
    pub(super) old: Document<'d>,
    pub(super) new: Document<'d>,
    pub(super) known: &'k mut Known,
    part: &'static str,
    pub(super) differences: Vec<Difference>,
    /// What was compared below this root.
    told: BTreeSet<Key>,
    /// What of that contains the place that is looked at.
    open: Vec<Key>,
    /// While it is only asked whether schemas differ: whether they do.
    asked: Option<bool>,
    /// What was asked of before, below this root.
    answers: BTreeMap<Key, bool>,
    /// Those of which it is only assumed that they are the same, in the order in which that was.
    assumed: Vec<Key>,
    depth: usize,
}

impl<'d, 'k> Walk<'d, 'k> {
    pub(super) const fn new((old, new): (Document<'d>, Document<'d>), known: &'k mut Known) -> Self {
        Self {
            old,
            new,
            known,
            part: "",
            differences: Vec::new(),
            told: BTreeSet::new(),
            open: Vec::new(),
            asked: None,
            answers: BTreeMap::new(),
            assumed: Vec::new(),
            depth: 0,
        }
    }

    /// What follows is in this field of the operation.
    pub(super) const fn at(&mut self, part: &'static str) {
        self.part = part;
    }

    pub(super) fn add(&mut self, weight: Weight, text: impl Into<String>) {
        if let Some(differs) = &mut self.asked {
            *differs = true;
            return;
        }
        self.differences.push(Difference {
            weight,
            part: self.part,
            text: text.into(),
        });
    }

    /// Compares what is said of a parameter, a body, an answer or a header.
    pub(super) fn root(&mut self, pair: (Option<&'d Json>, Option<&'d Json>), way: Way, what: &str) {
        self.told.clear();
        self.answers.clear();
        self.assumed.clear();
        let before = self.differences.len();
        self.maybe((&list(pair.0), &list(pair.1)), way, what);
        if self.differences.len() == before && !self.known.budget.is_spent() {
            self.known.same.append(&mut self.told);
        }
    }

    /// Compares schemas that need not be there.
    fn maybe(&mut self, (was, is): (&[&'d Json], &[&'d Json]), way: Way, what: &str) {
        match (was.is_empty(), is.is_empty()) {
            (true, false) if !says_nothing(is) => {
                let weight = way.weigh(false, Weight::Risky, Weight::Risky);
                self.add(weight, format!("{what} has a schema now"));
            }
            (false, true) if !says_nothing(was) => {
                let weight = way.weigh(true, Weight::Risky, Weight::Risky);
                self.add(weight, format!("{what} has no schema any more"));
            }
            (false, false) => self.schemas((was, is), way, what),
            _ => {}
        }
    }

    fn schemas(&mut self, (was, is): (&[&'d Json], &[&'d Json]), way: Way, what: &str) {
        if self.asked == Some(true) {
            return;
        }
        if self.depth >= DEPTH {
            return self.known.budget.too_deep(what);
        }
        let budget = &mut self.known.budget;
        budget.spend(STEP + what.len() / 32);
        let was = Flat::of(self.old, was, budget);
        let is = Flat::of(self.new, is, budget);
        if budget.is_spent() {
            return;
        }
        if was.never || is.never {
            if was.never != is.never {
                let weight = way.weigh(was.never, Weight::Breaks, Weight::Risky);
                let no = if is.never { "no value" } else { "values" };
                self.add(weight, format!("{what} takes {no} now"));
            }
            return;
        }
        let key = (was.key(), is.key());
        if self.known.same.contains(&key) {
            return;
        }
        if self.asked.is_some() {
            if self.open.contains(&key) {
                return;
            }
            if let Some(differs) = self.answers.get(&key) {
                self.asked = Some(*differs);
                return;
            }
            self.answers.insert(key.clone(), false);
            self.assumed.push(key.clone());
        } else if !self.told.insert(key.clone()) {
            return;
        } else {
            self.open.push(key.clone());
        }
        self.depth += 1;
        self.keywords((&was, &is), way, what);
        self.depth -= 1;
        match self.asked {
            Some(true) => {
                self.answers.insert(key, true);
            }
            Some(false) => {}
            None => {
                self.open.pop();
            }
        }
    }

    /// Whether schemas say different things.
    fn differ(&mut self, was: &[&'d Json], is: &[&'d Json]) -> bool {
        let around = self.asked.replace(false);
        let assumed = self.assumed.len();
        self.maybe((was, is), Way::Request, "");
        let differ = self.asked == Some(true);
        self.asked = around;
        if differ {
            // What was held to be the same may have been so only if these were.
            for key in self.assumed.drain(assumed..) {
                if self.answers.get(&key) == Some(&false) {
                    self.answers.remove(&key);
                }
            }
        }
        differ
    }

    fn keywords(&mut self, (was, is): (&Flat<'d>, &Flat<'d>), way: Way, what: &str) {
        self.types((was, is), way, what);
        let keys: BTreeSet<_> = was.keys().union(&is.keys()).copied().collect();
        if keys.is_empty() || (keys.len() == 1 && keys.contains("type")) {
            return;
        }
        self.listed((was, is), way, what);
        self.bounds((was, is), way, what);
        self.members((was, is), way, what);
        let pair = |key: &str| (was.values(key), is.values(key));
        if keys.contains("items") {
            let (before, after) = pair("items");
            self.maybe((&before, &after), way, &format!("{what}[]"));
        }
        for key in ["additionalProperties", "unevaluatedProperties"] {
            if !keys.contains(key) {
                continue;
            }
            let (before, after) = pair(key);
            match (says_nothing(&before), says_nothing(&after)) {
                (false, false) => self.schemas((&before, &after), way, &format!("{what}.*")),
                (true, true) => {}
                (_, wider) => {
                    let weight = way.weigh(wider, Weight::Risky, Weight::Risky);
                    self.another(weight, what, key);
                }
            }
        }
        self.positions((was, is), way, what);
        self.patterns((was, is), way, what);
        for key in ["oneOf", "anyOf"] {
            if keys.contains(key) && self.alternatives(pair(key)) {
                self.another(Weight::Risky, what, key);
            }
        }
        for key in ASKED.into_iter().filter(|key| keys.contains(key)) {
            let (before, after) = pair(key);
            let both = || before.iter().zip(&after);
            if before.len() != after.len() || both().any(|(was, is)| self.differ(&[*was], &[*is])) {
                self.another(Weight::Risky, what, key);
            }
        }
        let (before, after) = (was.named("dependentSchemas"), is.named("dependentSchemas"));
        let mut both = before.values().zip(after.values());
        if !before.keys().eq(after.keys()) || both.any(|(was, is)| self.differ(was, is)) {
            self.another(Weight::Risky, what, "dependentSchemas");
        }
        if was.lost != is.lost {
            self.add(Weight::Risky, format!("{what} refers to something else"));
        }
        self.rest((was, is), &keys, what);
    }

    fn another(&mut self, weight: Weight, what: &str, key: &str) {
        self.add(weight, format!("{what}: `{key}` is another one"));
    }

    fn types(&mut self, (was, is): (&Flat<'d>, &Flat<'d>), way: Way, what: &str) {
        let (before, after) = (was.kinds(), is.kinds());
        if before == after {
            if was.nullable_alone() != is.nullable_alone() {
                self.another(Weight::Risky, what, "nullable");
            }
            return;
        }
        // An integer is a number.
        let within = |some: &Option<BTreeSet<&str>>, others: &Option<BTreeSet<&str>>| {
            let Some(others) = others else { return true };
            let has =
                |kind: &&str| others.contains(kind) || (*kind == "integer" && others.contains("number"));
            some.as_ref().is_some_and(|some| some.iter().all(has))
        };
        let fits = match way {
            Way::Request => within(&before, &after),
            Way::Response => within(&after, &before),
        };
        let show = |kinds: &Option<BTreeSet<&str>>| match kinds {
            None => "any".to_owned(),
            Some(kinds) if kinds.is_empty() => "of no type".to_owned(),
            Some(kinds) => kinds.iter().copied().collect::<Vec<_>>().join(" or "),
        };
        let weight = if fits { Weight::Safe } else { Weight::Breaks };
        self.add(
            weight,
            format!("{what} is {}, was {}", show(&after), show(&before)),
        );
    }

    fn listed(&mut self, (was, is): (&Flat<'d>, &Flat<'d>), way: Way, what: &str) {
        let (before, after) = match (was.listed(), is.listed()) {
            (None, None) => return,
            (None, Some(_)) => {
                let weight = way.weigh(false, Weight::Breaks, Weight::Risky);
                return self.add(weight, format!("{what} is one of a list now"));
            }
            (Some(_), None) => {
                let weight = way.weigh(true, Weight::Breaks, Weight::Risky);
                return self.add(weight, format!("{what} is not one of a list any more"));
            }
            (Some(before), Some(after)) => (before, after),
        };
        self.known.budget.spend(before.len() + after.len());
        for value in before.difference(&after) {
            let weight = way.weigh(false, Weight::Breaks, Weight::Risky);
            self.add(weight, format!("{what} is never {value} any more"));
        }
        for value in after.difference(&before) {
            // A caller may not know what to make of it.
            let weight = way.weigh(true, Weight::Breaks, Weight::Risky);
            self.add(weight, format!("{what} may be {value}"));
        }
    }

    fn bounds(&mut self, (was, is): (&Flat<'d>, &Flat<'d>), way: Way, what: &str) {
        const LEAST: [(&str, &str); 4] = [
            ("minimum", "exclusiveMinimum"),
            ("minLength", ""),
            ("minItems", ""),
            ("minProperties", ""),
        ];
        const MOST: [(&str, &str); 4] = [
            ("maximum", "exclusiveMaximum"),
            ("maxLength", ""),
            ("maxItems", ""),
            ("maxProperties", ""),
        ];
        for (names, sign) in [(LEAST, 1.0), (MOST, -1.0)] {
            for name in names {
                let (before, after) = (was.bound(name, sign), is.bound(name, sign));
                let weight = |bound: &Option<Bound<'_>>| {
                    let none = (f64::NEG_INFINITY, false);
                    bound.as_ref().map_or(none, |bound| bound.weight)
                };
                let (least, now) = (weight(&before), weight(&after));
                if least == now {
                    continue;
                }
                let weight = way.weigh(now < least, Weight::Breaks, Weight::Risky);
                let name = |bound: &Option<Bound<'_>>| bound.as_ref().map(|bound| bound.name);
                let first = name(&before).or(name(&after)).unwrap_or_default();
                let show = |bound: &Option<Bound<'_>>| match bound {
                    None => "none".to_owned(),
                    Some(bound) if bound.name == first => bound.value.to_string(),
                    Some(bound) => format!("{} {}", bound.name, bound.value),
                };
                self.add(
                    weight,
                    format!("{what}: {first} {} → {}", show(&before), show(&after)),
                );
            }
        }
        let unique = |flat: &Flat<'_>| flat.values("uniqueItems").contains(&&Json::Bool(true));
        match (unique(was), unique(is)) {
            (false, true) => {
                let weight = way.weigh(false, Weight::Breaks, Weight::Risky);
                self.add(weight, format!("{what}: no item may be there twice now"));
            }
            (true, false) => {
                let weight = way.weigh(true, Weight::Breaks, Weight::Risky);
                self.add(weight, format!("{what}: an item may be there twice now"));
            }
            _ => {}
        }
    }

    fn members(&mut self, (was, is): (&Flat<'d>, &Flat<'d>), way: Way, what: &str) {
        let (before, after) = (was.named("properties"), is.named("properties"));
        let (needed, needs) = (was.required(), is.required());
        let described: BTreeSet<&str> = before.keys().chain(after.keys()).copied().collect();
        let lists = needed.iter().chain(&needs).copied();
        let names: BTreeSet<&str> = described.iter().copied().chain(lists).collect();
        self.known.budget.spend(names.len());
        for name in names {
            let member = format!("{what}.{name}");
            let required = (needed.contains(name), needs.contains(name));
            match (before.get(name), after.get(name)) {
                (None, Some(_)) if way == Way::Request && required == (false, true) => {
                    self.add(Weight::Breaks, format!("{member} is new and required"));
                    continue;
                }
                (None, Some(_)) => self.add(Weight::Safe, format!("{member} is new")),
                (Some(_), None) => {
                    let weight = if way == Way::Response {
                        Weight::Breaks
                    } else {
                        Weight::Risky
                    };
                    self.add(weight, format!("{member} is gone"));
                    if way == Way::Response {
                        continue;
                    }
                }
                _ => {}
            }
            match (required, way) {
                ((false, true), Way::Request) => self.add(Weight::Breaks, format!("{member} is required")),
                ((true, false), Way::Request) => self.add(Weight::Safe, format!("{member} is optional")),
                ((true, false), Way::Response) => {
                    self.add(Weight::Breaks, format!("{member} is not always there"));
                }
                ((false, true), Way::Response) => self.add(Weight::Safe, format!("{member} is always there")),
                _ => {}
            }
            if let (Some(old), Some(new)) = (before.get(name), after.get(name)) {
                self.schemas((old, new), way, &member);
            }
        }
    }

    /// Items that are told by their position.
    fn positions(&mut self, (was, is): (&Flat<'d>, &Flat<'d>), way: Way, what: &str) {
        let key = "prefixItems";
        match (was.values(key).as_slice(), is.values(key).as_slice()) {
            ([], []) => {}
            ([Json::Array(before)], [Json::Array(after)]) => {
                if before.len() != after.len() {
                    self.another(Weight::Risky, what, key);
                }
                for (at, (was, is)) in before.iter().zip(after).enumerate() {
                    self.maybe((&[was], &[is]), way, &format!("{what}[{at}]"));
                }
            }
            (before, after) => {
                if before != after {
                    self.another(Weight::Risky, what, key);
                }
            }
        }
    }

    /// Members that are told by a pattern.
    fn patterns(&mut self, (was, is): (&Flat<'d>, &Flat<'d>), way: Way, what: &str) {
        let key = "patternProperties";
        let (before, after) = (was.named(key), is.named(key));
        if !before.keys().eq(after.keys()) {
            self.another(Weight::Risky, what, key);
        }
        for (pattern, was) in before {
            if let Some(is) = after.get(pattern) {
                self.maybe((&was, is), way, &format!("{what}./{pattern}/"));
            }
        }
    }

    /// Whether there are other alternatives; their order means nothing.
    fn alternatives(&mut self, (was, is): (Vec<&'d Json>, Vec<&'d Json>)) -> bool {
        was.len() != is.len()
            || was.into_iter().zip(is).any(|(was, is)| {
                let (Some(was), Some(is)) = (was.as_array(), is.as_array()) else {
                    return was != is;
                };
                if was.len() != is.len() {
                    return true;
                }
                let (mut before, mut after) = (Vec::new(), Vec::new());
                for (was, is) in was.iter().zip(is) {
                    if self.differ(&[was], &[is]) {
                        before.push(was);
                        after.push(is);
                    }
                }
                before.into_iter().any(|was| {
                    let same = after.iter().position(|is| !self.differ(&[was], &[*is]));
                    same.map(|at| after.swap_remove(at)).is_none()
                })
            })
    }

    /// Every other keyword.
    fn rest(&mut self, (was, is): (&Flat<'d>, &Flat<'d>), keys: &BTreeSet<&str>, what: &str) {
        for key in keys.iter().copied() {
            if KNOWN.contains(&key) || ASKED.contains(&key) || is_word(key) {
                continue;
            }
            let said = |flat: &Flat<'d>| {
                let mut said = flat.values(key);
                // That is what holds where nothing is said.
                said.retain(|value| {
                    !(matches!(key, "readOnly" | "writeOnly") && **value == Json::Bool(false))
                });
                said
            };
            let (before, after) = (said(was), said(is));
            let has = |some: &[&Json], others: &[&Json]| some.iter().all(|value| others.contains(value));
            if before == after || (has(&before, &after) && has(&after, &before)) {
                continue;
            }
            if matches!(key, "pattern" | "format") {
                self.add(Weight::Risky, format!("{what}: another {key}"));
            } else {
                self.another(Weight::Risky, what, key);
            }
        }
    }
}

/// Whether a keyword is for people alone.
pub(super) fn is_word(key: &str) -> bool {
    WORDS.contains(&key) || key.starts_with("x-")
}

fn list(schema: Option<&Json>) -> Vec<&Json> {
    schema.into_iter().collect()
}

/// Whether every value is right for schemas.
fn says_nothing(schemas: &[&Json]) -> bool {
    schemas.iter().all(|schema| match schema {
        Json::Bool(all) => *all,
        Json::Object(map) => map.is_empty(),
        _ => true,
    })
}
