//! Where a change is written: the line of the field itself, where the files are at hand; else that of the item
//! that has it, which the bundle knows. So it is shown beside the line that a reviewer looks at.

use super::side::Side;
use crate::lines::Lines;

/// The files of both sides, in an environment.
pub(super) struct Places {
    old: Option<Lines>,
    new: Option<Lines>,
}

impl Places {
    /// Of each side, and the environment on it.
    pub(super) fn new((old, before): (&Side, &str), (new, environment): (&Side, &str)) -> Self {
        let lines = |side: &Side, environment: &str| side.root().map(|root| Lines::new(root, environment));
        Self {
            old: lines(old, before),
            new: lines(new, environment),
        }
    }

    /// Where something is written now; `otherwise`, if that is not to be found.
    pub(super) fn now(&self, otherwise: &str, find: impl FnOnce(&Lines) -> Option<String>) -> String {
        let found = self.new.as_ref().and_then(find);
        found.unwrap_or_else(|| otherwise.to_owned())
    }

    /// Where it was written.
    pub(super) fn before(&self, otherwise: &str, find: impl FnOnce(&Lines) -> Option<String>) -> String {
        let found = self.old.as_ref().and_then(find);
        found.unwrap_or_else(|| otherwise.to_owned())
    }
}
