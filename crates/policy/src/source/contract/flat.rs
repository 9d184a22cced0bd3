//! What a schema says in all: its own keywords, those of what it refers to, and those of what its `allOf` puts
//! together. All of them hold at once, so a schema is the set of the objects that say something of it: each counts
//! once, however often it is referred to, and none is copied.

use std::collections::{BTreeMap, BTreeSet};

use serde_json::{Map, Value as Json};

use super::budget::Budget;
use super::keywords::is_word;

/// How many references in a row are followed.
const REFERENCES: usize = 24;

/// A document, in which references are followed.
#[derive(Clone, Copy)]
pub(super) struct Document<'d>(pub(super) &'d Json);

impl<'d> Document<'d> {
    /// What a part is, its references followed.
    pub(super) fn follow(self, mut part: &'d Json) -> &'d Json {
        for _ in 0..REFERENCES {
            match part.get("$ref").and_then(|reference| self.target(reference)) {
                Some(target) => part = target,
                None => break,
            }
        }
        part
    }

    fn target(self, reference: &Json) -> Option<&'d Json> {
        self.0.pointer(reference.as_str()?.strip_prefix('#')?)
    }
}

/// Schemas that hold at once.
pub(super) type All<'d> = Vec<&'d Json>;

/// Two sets of objects, told by where they lie: what was compared with what.
pub(super) type Key = (Vec<usize>, Vec<usize>);

/// What schemas that hold at once say.
pub(super) struct Flat<'d> {
    parts: Vec<&'d Map<String, Json>>,
    /// References that lead nowhere.
    pub(super) lost: BTreeSet<String>,
    /// Whether one of them is `false`, which no value is right for.
    pub(super) never: bool,
}

/// The least or the most that a value may be.
pub(super) struct Bound<'d> {
    pub(super) name: &'static str,
    pub(super) value: &'d Json,
    /// As numbers of which the greater one allows less.
    pub(super) weight: (f64, bool),
}

impl<'d> Flat<'d> {
    pub(super) fn of(document: Document<'d>, all: &[&'d Json], budget: &mut Budget) -> Self {
        let mut flat = Self {
            parts: Vec::new(),
            lost: BTreeSet::new(),
            never: false,
        };
        let (mut seen, mut lost) = (BTreeSet::new(), 0);
        let mut open: All<'d> = all.iter().rev().copied().collect();
        while let Some(schema) = open.pop() {
            budget.spend(1);
            if budget.is_spent() {
                break;
            }
            let map = match schema {
                Json::Bool(false) => {
                    flat.never = true;
                    continue;
                }
                Json::Object(map) if seen.insert(address(map)) => map,
                _ => continue,
            };
            budget.spend(map.len());
            if let Some(Json::Array(parts)) = map.get("allOf") {
                budget.spend(parts.len());
                open.extend(parts.iter().rev());
            }
            let reference = map.get("$ref");
            let target = reference.and_then(|reference| document.target(reference));
            open.extend(target);
            if let (Some(reference), None) = (reference, target) {
                flat.lost.insert(reference.to_string());
            }
            // What only leads elsewhere is what it leads to.
            let leads = |key: &str| matches!(key, "allOf" | "$ref") || is_word(key);
            if !map.keys().all(|key| leads(key)) || flat.lost.len() > lost {
                lost = flat.lost.len();
                flat.parts.push(map);
            }
        }
        flat
    }

    /// Whether nothing is said.
    pub(super) const fn is_any(&self) -> bool {
        self.parts.is_empty() && !self.never
    }

    /// The objects that it is made of.
    pub(super) fn key(&self) -> Vec<usize> {
        let mut key: Vec<_> = self.parts.iter().map(|part| address(part)).collect();
        key.sort_unstable();
        key
    }

    /// What is said under a keyword.
    pub(super) fn values(&self, key: &str) -> All<'d> {
        self.parts.iter().filter_map(|part| part.get(key)).collect()
    }

    /// Every keyword that it has.
    pub(super) fn keys(&self) -> BTreeSet<&'d str> {
        self.parts
            .iter()
            .flat_map(|part| part.keys())
            .map(String::as_str)
            .collect()
    }

    /// The schemas under a keyword that has them by name.
    pub(super) fn named(&self, key: &str) -> BTreeMap<&'d str, All<'d>> {
        let mut named: BTreeMap<_, All<'d>> = BTreeMap::new();
        for (name, schema) in self.values(key).into_iter().filter_map(Json::as_object).flatten() {
            named.entry(name.as_str()).or_default().push(schema);
        }
        named
    }

    /// The members that must be there.
    pub(super) fn required(&self) -> BTreeSet<&'d str> {
        let lists = self.values("required").into_iter().filter_map(Json::as_array);
        lists.flatten().filter_map(Json::as_str).collect()
    }

    /// The members that must be there where another one is, each after that one; nothing, where that is not how it is
    /// written.
    pub(super) fn dependents(&self) -> Option<BTreeSet<(&'d str, &'d str)>> {
        let mut all = BTreeSet::new();
        for said in self.values("dependentRequired") {
            for (name, members) in said.as_object()? {
                for member in members.as_array()? {
                    all.insert((name.as_str(), member.as_str()?));
                }
            }
        }
        Some(all)
    }

    /// What numbers are multiples of, an integer of 1; nothing, where that is not how it is written.
    pub(super) fn multiples(&self) -> Option<Vec<f64>> {
        let said = self.values("multipleOf").into_iter();
        let mut all: Vec<f64> = said
            .map(|value| value.as_f64().filter(|number| *number > 0.0))
            .collect::<Option<_>>()?;
        if self
            .kinds()
            .is_some_and(|kinds| kinds == BTreeSet::from(["integer"]))
        {
            all.push(1.0);
        }
        Some(all)
    }

    /// The types that it allows; nothing: every one. Of 3.0, `nullable` is one.
    pub(super) fn kinds(&self) -> Option<BTreeSet<&'d str>> {
        let kinds = self.parts.iter().filter_map(|part| {
            let mut kinds: BTreeSet<&str> = match part.get("type")? {
                Json::String(kind) => BTreeSet::from([kind.as_str()]),
                Json::Array(list) => list.iter().filter_map(Json::as_str).collect(),
                _ => return None,
            };
            if part.get("nullable") == Some(&Json::Bool(true)) {
                kinds.insert("null");
            }
            Some(kinds)
        });
        // An integer is a number.
        let allows = |kinds: &BTreeSet<&str>, kind: &str| {
            kinds.contains(kind) || (kind == "integer" && kinds.contains("number"))
        };
        kinds.reduce(|some, others| {
            let both = some.iter().filter(|kind| allows(&others, kind));
            let back = others.iter().filter(|kind| allows(&some, kind));
            both.chain(back).copied().collect()
        })
    }

    /// Whether it says `nullable` where it says no type.
    pub(super) fn nullable_alone(&self) -> bool {
        let mut parts = self.parts.iter();
        parts.any(|part| part.get("nullable") == Some(&Json::Bool(true)) && !part.contains_key("type"))
    }

    /// The values that it lists, as JSON; nothing: it lists none.
    pub(super) fn listed(&self) -> Option<BTreeSet<String>> {
        let list = |list: &Vec<Json>| list.iter().map(Json::to_string).collect::<BTreeSet<_>>();
        let lists = self
            .values("enum")
            .into_iter()
            .filter_map(Json::as_array)
            .map(list);
        let constants = self.values("const").into_iter();
        let constants = constants.map(|value| BTreeSet::from([value.to_string()]));
        lists
            .chain(constants)
            .reduce(|some, others| some.intersection(&others).cloned().collect())
    }

    /// The closest of its bounds at one end. `sign` is 1 for the least and -1 for the most. Of 3.0, the exclusive one is
    /// a boolean beside the other.
    pub(super) fn bound(
        &self,
        (name, exclusive): (&'static str, &'static str),
        sign: f64,
    ) -> Option<Bound<'d>> {
        let bound = |value: &'d Json, name, is_exclusive| {
            let number = value.as_f64()?;
            // No length is below that.
            let says_nothing = number == 0.0 && exclusive.is_empty() && sign > 0.0;
            (!says_nothing).then_some(Bound {
                name,
                value,
                weight: (number * sign, is_exclusive),
            })
        };
        let bounds = self.parts.iter().flat_map(|part| {
            let beside = part.get(exclusive);
            let open = beside == Some(&Json::Bool(true));
            let shown = if open { exclusive } else { name };
            let own = part.get(name).and_then(|value| bound(value, shown, open));
            let other = beside.and_then(|value| bound(value, exclusive, true));
            [own, other].into_iter().flatten()
        });
        bounds.reduce(|one, other| if other.weight > one.weight { other } else { one })
    }
}

/// Where a part of a document lies, which tells it from all others for as long as the document is held.
fn address(map: &Map<String, Json>) -> usize {
    std::ptr::from_ref(map) as usize
}
