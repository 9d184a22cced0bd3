//! Which values a schema lets through by themselves: their types, the lists that they are of, and their bounds.

use std::collections::BTreeSet;

use serde_json::Value as Json;

use super::Weight;
use super::flat::{Bound, Flat};
use super::schema::{Walk, Way};

impl<'d> Walk<'d, '_> {
    /// What kinds of values there are.
    pub(super) fn types(&mut self, (was, is): (&Flat<'d>, &Flat<'d>), way: Way, what: &str) {
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

    /// The values that are listed one by one.
    pub(super) fn listed(&mut self, (was, is): (&Flat<'d>, &Flat<'d>), way: Way, what: &str) {
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

    /// The least and the most that values may be.
    pub(super) fn bounds(&mut self, (was, is): (&Flat<'d>, &Flat<'d>), way: Way, what: &str) {
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

    /// What numbers are multiples of: of 6 is of 3 as well.
    pub(super) fn multiples(&mut self, (was, is): (&Flat<'d>, &Flat<'d>), way: Way, what: &str) {
        let key = "multipleOf";
        let (before, after) = (was.values(key), is.values(key));
        let (Some(old), Some(new)) = (was.multiples(), is.multiples()) else {
            if before != after {
                self.another(Weight::Risky, what, key);
            }
            return;
        };
        self.known
            .budget
            .spend(old.len().saturating_mul(new.len()).saturating_add(1));
        if self.known.budget.is_spent() {
            return;
        }
        let whole = |ratio: f64| (ratio - ratio.round()).abs() <= 1e-9 * ratio.abs().max(1.0);
        let within = |some: &[f64], others: &[f64]| {
            let follows = |of: &f64| some.iter().any(|one| whole(one / of));
            others.iter().all(follows)
        };
        let (narrower, wider) = (!within(&old, &new), !within(&new, &old));
        if !narrower && !wider {
            return;
        }
        let weight = match way {
            Way::Request if narrower => Weight::Breaks,
            Way::Response if wider => Weight::Risky,
            Way::Request | Way::Response => Weight::Safe,
        };
        let show = |values: &[&Json]| match values {
            [] => "none".to_owned(),
            some => some
                .iter()
                .map(ToString::to_string)
                .collect::<Vec<_>>()
                .join(" and "),
        };
        self.add(
            weight,
            format!("{what}: {key} {} → {}", show(&before), show(&after)),
        );
    }
}
