//! How much was found in all: what is shown, and what is too much to be.
//!
//! What is shown of several environments is told apart, and what is not is only counted in each. The same is nearly
//! always wrong in all of them, so of each file and code there is as much as in the environment with the most.

use std::collections::BTreeMap;

use turnpike_policy::source::{Code, Severity};

use super::Finding;

/// What is counted together.
type Group = (String, Code, Severity);

/// What is not shown, by the environment.
#[derive(Debug, Default)]
pub(super) struct Hidden(BTreeMap<Group, BTreeMap<String, usize>>);

/// How much there is that is as bad.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Totals {
    pub(super) errors: usize,
    pub(super) warnings: usize,
    pub(super) notes: usize,
}

impl Hidden {
    pub(super) fn add(&mut self, environment: &str, hidden: BTreeMap<Group, usize>) {
        for (group, count) in hidden {
            let of_group = self.0.entry(group).or_default();
            of_group.insert(environment.to_owned(), count);
        }
    }

    /// All that was found, of which these are shown.
    pub(super) fn and(self, findings: &[Finding]) -> Totals {
        let mut totals = Totals::default();
        let mut groups: BTreeMap<Group, Shown> = self
            .0
            .into_iter()
            .map(|(group, in_each)| (group, Shown { count: 0, in_each }))
            .collect();
        for Finding {
            diagnostic: found,
            environments,
        } in findings
        {
            // It says how much is not shown, and is nothing by itself.
            if found.code == Code::TooManyErrors {
                continue;
            }
            *totals.of(found.severity) += 1;
            if groups.is_empty() {
                continue;
            }
            if let Some(group) = groups.get_mut(&(found.file.clone(), found.code, found.severity)) {
                group.count += 1;
                for environment in environments {
                    *group.in_each.entry(environment.clone()).or_default() += 1;
                }
            }
        }
        for ((.., severity), group) in groups {
            let most = group.in_each.into_values().max().unwrap_or_default();
            *totals.of(severity) += most.saturating_sub(group.count);
        }
        totals
    }
}

/// What is shown of a group.
struct Shown {
    count: usize,
    /// All of it in each environment, shown or not.
    in_each: BTreeMap<String, usize>,
}

impl Totals {
    fn of(&mut self, severity: Severity) -> &mut usize {
        match severity {
            Severity::Error => &mut self.errors,
            Severity::Warning => &mut self.warnings,
            Severity::Note => &mut self.notes,
        }
    }
}
