//! Changes: what changed, how much it matters, and where.

use std::collections::BTreeMap;

use clap::ValueEnum;
use serde::Serialize;
use serde_json::Value as Json;
use turnpike_policy::Rule as Condition;
use turnpike_policy::source::{Code, Severity};

/// How much a change matters, worst first.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, ValueEnum)]
pub(super) enum Class {
    /// A call that worked fails
    Breaking,
    /// A call may behave otherwise
    Risky,
    /// Somebody may do more
    Loosening,
    /// Somebody may do less
    Tightening,
    /// Nobody notices who does not look
    Safe,
}

impl Class {
    pub(super) const ALL: [Self; 5] = [
        Self::Breaking,
        Self::Risky,
        Self::Loosening,
        Self::Tightening,
        Self::Safe,
    ];

    pub(super) const fn name(self) -> &'static str {
        match self {
            Self::Breaking => "breaking",
            Self::Risky => "risky",
            Self::Loosening => "loosening",
            Self::Tightening => "tightening",
            Self::Safe => "safe",
        }
    }
}

/// One change of a rule.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Change {
    /// What it is of: `API petstore/v1`.
    pub(super) group: String,
    pub(super) class: Class,
    pub(super) text: String,
    /// Where it is written, or was.
    pub(super) origin: String,
    /// Where it holds.
    pub(super) environments: Vec<String>,
    /// The rule of governance that it does not meet.
    pub(super) rule: Option<Rule>,
}

/// A rule of governance, and how bad it is that it is not met.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Rule {
    pub(super) code: Code,
    pub(super) severity: Severity,
}

/// The place of a group, the group, and what was found in it.
type Key = (usize, String, Class, String);

/// Where a change is written, where it holds, and the rule that it does not meet.
type Found = (String, Vec<String>, Option<Rule>);

/// Changes as they are found.
#[derive(Debug, Default)]
pub(super) struct Changes {
    found: BTreeMap<Key, Found>,
    told: usize,
    group: String,
    environment: String,
}

impl Changes {
    /// What follows is of this group in this environment.
    pub(super) fn begin(&mut self, group: impl Into<String>, environment: &str) {
        self.group = group.into();
        environment.clone_into(&mut self.environment);
    }

    pub(super) fn add(&mut self, class: Class, origin: &str, text: impl Into<String>) {
        self.found(class, origin, text.into(), None);
    }

    /// A change that does not meet a rule of governance.
    pub(super) fn against(&mut self, rule: Rule, origin: &str, text: impl Into<String>) {
        self.found(Class::Risky, origin, text.into(), Some(rule));
    }

    fn found(&mut self, class: Class, origin: &str, text: String, rule: Option<Rule>) {
        let key = (order(&self.group), self.group.clone(), class, text);
        let (_, environments, _) = self
            .found
            .entry(key)
            .or_insert_with(|| (origin.to_owned(), Vec::new(), rule));
        if environments.last() != Some(&self.environment) {
            environments.push(self.environment.clone());
        }
        self.told += 1;
    }

    /// How many changes were told so far, to know later whether there are more.
    pub(super) const fn told(&self) -> usize {
        self.told
    }

    /// Says that a thing is another one, where nothing has been told since `before`, when it was not looked at yet:
    /// better to say too little than that there is nothing. Whatever is numbered must be numbered alike on both sides;
    /// where it is written makes no difference.
    pub(super) fn rest<T: PartialEq + Serialize>(
        &mut self,
        before: usize,
        origin: &str,
        what: &str,
        (was, is): (&T, &T),
    ) {
        if self.told == before && was != is && placeless(was) != placeless(is) {
            self.add(Class::Risky, origin, format!("{what} {UNTOLD}"));
        }
    }

    /// A value that is another one now.
    pub(super) fn value<T: PartialEq>(
        &mut self,
        class: Class,
        origin: &str,
        what: &str,
        (was, is): (&T, &T),
        show: impl Fn(&T) -> String,
    ) {
        if was != is {
            self.add(class, origin, format!("{what}: {} → {}", show(was), show(is)));
        }
    }

    /// A value of which more allows more.
    pub(super) fn bound(
        &mut self,
        origin: &str,
        what: &str,
        (was, is): (u64, u64),
        show: impl Fn(u64) -> String,
    ) {
        if was != is {
            let class = if is > was {
                Class::Loosening
            } else {
                Class::Tightening
            };
            self.add(class, origin, format!("{what}: {} → {}", show(was), show(is)));
        }
    }

    /// A list of which each member matters by itself.
    pub(super) fn list(
        &mut self,
        origin: &str,
        what: &str,
        (was, is): (&[String], &[String]),
        (added, removed): (Class, Class),
    ) {
        for new in is.iter().filter(|item| !was.contains(item)) {
            self.add(added, origin, format!("{what} `{new}` is added"));
        }
        for old in was.iter().filter(|item| !is.contains(item)) {
            self.add(removed, origin, format!("{what} `{old}` is removed"));
        }
    }

    /// Conditions: one that is gone and one that is new are taken for one that was changed, in their order.
    pub(super) fn conditions(&mut self, what: &str, (was, is): (&[Condition], &[Condition])) {
        let without = |these: &'_ [Condition], others: &[Condition]| -> Vec<(String, String)> {
            let missing = |rule: &&Condition| !others.iter().any(|other| other.when == rule.when);
            let shown = |rule: &Condition| (rule.when.to_string(), rule.origin.clone());
            these.iter().filter(missing).map(shown).collect()
        };
        let gone = without(was, is);
        let new = without(is, was);
        for place in 0..gone.len().max(new.len()) {
            match (gone.get(place), new.get(place)) {
                (Some((old, _)), Some((new, origin))) => {
                    self.add(
                        Class::Risky,
                        origin,
                        format!("{what}the condition `{old}` → `{new}`"),
                    );
                }
                (None, Some((new, origin))) => {
                    self.add(
                        Class::Tightening,
                        origin,
                        format!("{what}the condition `{new}` is added"),
                    );
                }
                (Some((old, origin)), None) => {
                    self.add(
                        Class::Loosening,
                        origin,
                        format!("{what}the condition `{old}` is removed"),
                    );
                }
                (None, None) => {}
            }
        }
    }

    /// How much breaks in the group that was begun last.
    pub(super) fn breaks(&self) -> usize {
        let breaking = self
            .found
            .iter()
            .filter(|((_, group, class, _), (_, environments, _))| {
                *group == self.group && *class == Class::Breaking && environments.contains(&self.environment)
            });
        breaking.count()
    }

    /// Whether anything was found in an environment.
    pub(super) fn any_in(&self, environment: &str) -> bool {
        self.found
            .values()
            .any(|(_, environments, _)| environments.iter().any(|name| name == environment))
    }

    /// All changes: by group, worst first.
    pub(super) fn finish(self) -> Vec<Change> {
        self.found
            .into_iter()
            .map(|((_, group, class, text), (origin, environments, rule))| Change {
                group,
                class,
                text,
                origin,
                environments,
                rule,
            })
            .collect()
    }
}

/// What is said of a change for which there are no words.
pub(super) const UNTOLD: &str = "is another than it was, in a way that is not told here";

/// A thing without the places where it was written.
fn placeless<T: Serialize>(thing: &T) -> Option<Json> {
    fn clear(value: &mut Json) {
        match value {
            Json::Object(members) => {
                members.retain(|name, _| !matches!(name.as_str(), "origin" | "scopes_origin"));
                members.values_mut().for_each(clear);
            }
            Json::Array(items) => items.iter_mut().for_each(clear),
            _ => {}
        }
    }
    let mut value = serde_json::to_value(thing).ok()?;
    clear(&mut value);
    Some(value)
}

/// Groups in the order in which a reviewer wants them.
fn order(group: &str) -> usize {
    let kinds = [
        "gateway",
        "governance",
        "issuer",
        "decision",
        "API",
        "model",
        "provider",
        "mock",
        "plan",
        "consumer",
    ];
    let kind = group.split(' ').next().unwrap_or_default();
    kinds
        .iter()
        .position(|known| *known == kind)
        .unwrap_or(kinds.len())
}
