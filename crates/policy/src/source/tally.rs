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

#[cfg(test)]
mod tests {
    use super::*;

    /// How many of so many findings are shown.
    fn shown(tally: &mut Tally, file: u32, code: Code, times: usize) -> usize {
        (0..times).filter(|_| tally.shows(file, code)).count()
    }

    #[test]
    fn no_flood_hides_the_first_of_another_rule_or_file() {
        let mut tally = Tally::default();
        assert_eq!(shown(&mut tally, 0, Code::Unused, 3 * MAX_SHOWN), MAX_SHOWN);
        // Another rule in the same file, and the same rule in another file.
        assert_eq!(shown(&mut tally, 0, Code::Syntax, 100), ALWAYS_SHOWN);
        assert_eq!(shown(&mut tally, 1, Code::Unused, 100), ALWAYS_SHOWN);
        assert_eq!(tally.found, 3 * MAX_SHOWN + 200);
        assert_eq!(tally.shown, MAX_SHOWN + 2 * ALWAYS_SHOWN);
    }

    #[test]
    fn what_is_shown_is_bounded_however_many_files_there_are() {
        let mut tally = Tally::default();
        let each = (0..100_000).map(|file| shown(&mut tally, file, Code::Unused, 20));
        let each: Vec<_> = each.collect();
        // The first of each file is shown for long after the second of any is not.
        let first_without = each.iter().position(|shown| *shown == 0);
        let first_alone = each.iter().position(|shown| *shown == 1);
        assert!(
            first_alone.is_some() && first_alone < first_without,
            "{first_without:?}"
        );
        assert_eq!(tally.shown, 4 * MAX_SHOWN);
    }
}
