//! What of all that was found is shown: as much as a person reads, and of each rule and file the first, so that no flood
//! of the one hides the other.

use std::collections::BTreeMap;

use super::codes::Code;

/// More than this are counted, not shown: a bound on memory, far above what a person reads. Errors and
/// what is less are counted apart, so that the one cannot hide the other.
pub(super) const MAX_SHOWN: usize = 10_000;

/// As many of each code are shown all the same, and of each code in each file as far as twice the bound goes: one file,
/// or one rule, must not hide what is wrong elsewhere.
const ALWAYS_SHOWN: usize = 10;

/// How often something was found and is not shown, by whether it is an error, and by its file.
pub(super) type Hidden = BTreeMap<(bool, u32), BTreeMap<Code, usize>>;

/// How much was found that is as bad, and how much of it is shown.
#[derive(Clone, Debug, Default)]
pub(super) struct Tally {
    pub(super) found: usize,
    pub(super) shown: usize,
    /// How much of each code is shown.
    codes: BTreeMap<Code, usize>,
    /// The same in each file.
    files: BTreeMap<(u32, Code), usize>,
}

impl Tally {
    /// Counts one more, and tells whether it is shown.
    pub(super) fn shows(&mut self, file: u32, code: Code) -> bool {
        self.found += 1;
        let of_code = self.codes.entry(code).or_default();
        let in_file = self.files.entry((file, code)).or_default();
        let shows = self.shown < MAX_SHOWN
            || *of_code < ALWAYS_SHOWN
            || (*in_file < ALWAYS_SHOWN && self.shown < 2 * MAX_SHOWN)
            // Many files share what is left, the first of each before the second of any.
            || (*in_file == 0 && self.shown < 4 * MAX_SHOWN);
        if shows {
            *of_code += 1;
            *in_file += 1;
            self.shown += 1;
        }
        shows
    }
}
