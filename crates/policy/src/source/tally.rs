//! What of all that was found is shown: as much as a person reads, and of each rule and file the first, so that no flood
//! of the one hides the other.

use std::collections::{BTreeMap, BTreeSet};
use std::hash::{DefaultHasher, Hash as _, Hasher as _};

use super::codes::Code;
use super::diagnostic::{Severity, Span};

/// More than this are counted, not shown: a bound on memory, far above what a person reads. Errors and
/// what is less are counted apart, so that the one cannot hide the other.
pub(super) const MAX_SHOWN: usize = 10_000;

/// As many of each code are shown all the same, and of each code in each file as far as twice the bound goes: one file,
/// or one rule, must not hide what is wrong elsewhere.
const ALWAYS_SHOWN: usize = 10;

/// So many are known again. Beyond it each counts, be it as another: no tree that somebody mends has as many.
const MAX_SEEN: usize = 1 << 20;

/// How often something was found and is not shown, by how bad it is, and by its file.
pub(super) type Hidden = BTreeMap<(Severity, u32), BTreeMap<Code, usize>>;

/// What was found already. Aliases and references lead to the same place again and again, and what is wrong there is one
/// fault.
#[derive(Clone, Debug, Default)]
pub(super) struct Seen(BTreeSet<u64>);

impl Seen {
    /// Whether this is found for the first time.
    pub(super) fn is_new(&mut self, code: Code, span: Span, message: &str) -> bool {
        let mut hasher = DefaultHasher::new();
        (code, span, message).hash(&mut hasher);
        let known = hasher.finish();
        if self.0.len() < MAX_SEEN {
            self.0.insert(known)
        } else {
            !self.0.contains(&known)
        }
    }
}

/// How much was found that is as bad, and how much of it is shown.
#[derive(Clone, Debug, Default)]
pub(super) struct Tally {
    /// However often the same was found.
    pub(super) found: usize,
    pub(super) shown: usize,
    pub(super) seen: Seen,
    /// How much of each code is shown.
    codes: BTreeMap<Code, usize>,
    /// The same in each file.
    files: BTreeMap<(u32, Code), usize>,
}

impl Tally {
    /// Whether one more is shown.
    pub(super) fn shows(&mut self, file: u32, code: Code) -> bool {
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
    use crate::source::diagnostic::Report;

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
        assert_eq!(tally.shown, MAX_SHOWN + 2 * ALWAYS_SHOWN);
    }

    /// Notes that are not shown are notes: no build that denies warnings fails for them.
    #[test]
    fn what_is_not_shown_is_as_bad_as_it_is() {
        let untold = |worst: Severity| {
            let mut report = Report::default();
            let file = report.add_file("a.yaml".to_owned(), &"\n".repeat(MAX_SHOWN + 1));
            for at in 0..=MAX_SHOWN {
                let severity = if at == MAX_SHOWN { worst } else { Severity::Note };
                // Nor does it count twice what is found twice.
                for _ in 0..2 {
                    report.found(severity, Code::Unused, Span::new(file, at, at), "unused");
                }
            }
            let last = report.finish("").pop();
            last.map(|last| (last.code, last.severity, last.message))
        };
        let message = "1 more warnings and notes are not shown".to_owned();
        for severity in [Severity::Note, Severity::Warning] {
            assert_eq!(
                untold(severity),
                Some((Code::TooManyErrors, severity, message.clone()))
            );
        }
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
