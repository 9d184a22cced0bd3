//! What values are made of: the members of objects, by their names or by patterns, and the items of lists.

use std::collections::BTreeSet;

use super::Weight;
use super::flat::Flat;
use super::schema::{Walk, Way};

impl<'d> Walk<'d, '_> {
    /// Members that are told by their names.
    pub(super) fn members(&mut self, (was, is): (&Flat<'d>, &Flat<'d>), way: Way, what: &str) {
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

    /// Members that must be there where another one is.
    pub(super) fn dependents(&mut self, (was, is): (&Flat<'d>, &Flat<'d>), way: Way, what: &str) {
        let key = "dependentRequired";
        let (Some(before), Some(after)) = (was.dependents(), is.dependents()) else {
            if was.values(key) != is.values(key) {
                self.another(Weight::Risky, what, key);
            }
            return;
        };
        self.known.budget.spend(before.len() + after.len());
        // What must be there anyhow must be there with others.
        let (needed, needs) = (was.required(), is.required());
        let new = after.difference(&before);
        for (name, member) in new.filter(|(_, member)| !needed.contains(member)) {
            let (weight, now) = match way {
                Way::Request => (Weight::Breaks, "required"),
                Way::Response => (Weight::Safe, "always there"),
            };
            self.add(weight, format!("{what}.{member} is {now} where {name} is there"));
        }
        let gone = before.difference(&after);
        for (name, member) in gone.filter(|(_, member)| !needs.contains(member)) {
            let (weight, now) = match way {
                Way::Request => (Weight::Safe, "optional"),
                Way::Response => (Weight::Breaks, "not always there"),
            };
            self.add(weight, format!("{what}.{member} is {now} where {name} is there"));
        }
    }

    /// Members that are not told by their names.
    pub(super) fn others(
        &mut self,
        (was, is): (&Flat<'d>, &Flat<'d>),
        keys: &BTreeSet<&str>,
        way: Way,
        what: &str,
    ) {
        for key in ["additionalProperties", "unevaluatedProperties"] {
            if !keys.contains(key) {
                continue;
            }
            let (before, after) = (was.values(key), is.values(key));
            match (self.is_any(self.old, &before), self.is_any(self.new, &after)) {
                (false, false) => self.schemas((&before, &after), way, &format!("{what}.*")),
                (true, true) => {}
                (_, wider) => {
                    if self.differ(&before, &after) {
                        let weight = way.weigh(wider, Weight::Breaks, Weight::Risky);
                        self.another(weight, what, key);
                    }
                }
            }
        }
    }

    /// The items of a list.
    pub(super) fn items(
        &mut self,
        (was, is): (&Flat<'d>, &Flat<'d>),
        keys: &BTreeSet<&str>,
        way: Way,
        what: &str,
    ) {
        if keys.contains("items") {
            let (before, after) = (was.values("items"), is.values("items"));
            self.maybe((&before, &after), way, &format!("{what}[]"));
        }
    }

    /// Items that are told by their position.
    pub(super) fn positions(&mut self, (was, is): (&Flat<'d>, &Flat<'d>), way: Way, what: &str) {
        let key = "prefixItems";
        let (before, after) = (was.values(key), is.values(key));
        let mut differs = before.len() != after.len();
        for (was, is) in before.into_iter().zip(after) {
            let (Some(was), Some(is)) = (was.as_array(), is.as_array()) else {
                differs |= was != is;
                continue;
            };
            differs |= was.len() != is.len();
            for (at, (was, is)) in was.iter().zip(is).enumerate() {
                self.maybe((&[was], &[is]), way, &format!("{what}[{at}]"));
            }
        }
        if differs {
            self.another(Weight::Risky, what, key);
        }
    }

    /// Members that are told by a pattern.
    pub(super) fn patterns(&mut self, (was, is): (&Flat<'d>, &Flat<'d>), way: Way, what: &str) {
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
}
