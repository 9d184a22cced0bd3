//! Which keyword of a schema is compared in which way. None is passed over: what nobody knows here is risky where it
//! differs, since only its author can say what it means.

use std::collections::BTreeSet;

use serde_json::Value as Json;

use super::Weight;
use super::flat::Flat;
use super::schema::{Walk, Way};

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
const KNOWN: [&str; 29] = [
    "$ref",
    "additionalProperties",
    "allOf",
    "anyOf",
    "const",
    "dependentRequired",
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
    "multipleOf",
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

impl<'d> Walk<'d, '_> {
    /// Compares all that two schemas say.
    pub(super) fn keywords(&mut self, (was, is): (&Flat<'d>, &Flat<'d>), way: Way, what: &str) {
        self.types((was, is), way, what);
        let keys: BTreeSet<_> = was.keys().union(&is.keys()).copied().collect();
        if keys.is_empty() || (keys.len() == 1 && keys.contains("type")) {
            return;
        }
        self.listed((was, is), way, what);
        self.bounds((was, is), way, what);
        if keys.contains("multipleOf") {
            self.multiples((was, is), way, what);
        }
        self.members((was, is), way, what);
        if keys.contains("dependentRequired") {
            self.dependents((was, is), way, what);
        }
        self.items((was, is), &keys, way, what);
        self.others((was, is), &keys, way, what);
        self.positions((was, is), way, what);
        self.patterns((was, is), way, what);
        for key in ["oneOf", "anyOf"] {
            if keys.contains(key) && self.alternatives((was.values(key), is.values(key))) {
                self.another(Weight::Risky, what, key);
            }
        }
        for key in ASKED.into_iter().filter(|key| keys.contains(key)) {
            let (before, after) = (was.values(key), is.values(key));
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

    /// Something is another one, and what that means only its author can say.
    pub(super) fn another(&mut self, weight: Weight, what: &str, key: &str) {
        self.add(weight, format!("{what}: `{key}` is another one"));
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
