//! A quota is a count that belongs to a window of the calendar.
//!
//! Windows are those of UTC: a minute, an hour, a day or a month that begins when the clock on the
//! wall says so. Leap seconds do not exist in Unix time, so all but months have one length.

use serde::{Deserialize, Serialize};
use turnpike_policy::{Millis, Timestamp, Window};

use super::{Level, rolling};

const MINUTE: Millis = 60_000;
const HOUR: Millis = 60 * MINUTE;
const DAY: Millis = 24 * HOUR;

/// One window: from its first millisecond up to the first of the next.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Span {
    /// Its first millisecond (Unix time).
    pub start: Timestamp,
    /// The first millisecond of the next window.
    pub end: Timestamp,
}

impl Span {
    /// Its length, in milliseconds.
    pub const fn length(self) -> Millis {
        self.end.saturating_sub(self.start)
    }
}

/// The window in which `at` lies.
pub fn span(window: Window, at: Timestamp) -> Span {
    let length = match window {
        Window::Minute => MINUTE,
        Window::Hour => HOUR,
        Window::Day => DAY,
        Window::Month => return month(at),
        Window::DayAt(offset) => return shifted(Window::Day, offset, at),
        Window::MonthAt(offset) => return shifted(Window::Month, offset, at),
        Window::Rolling(length) => return rolling::span(length, at),
    };
    let start = at - at % length;
    Span {
        start,
        end: start.saturating_add(length),
    }
}

/// The window of a place whose clocks are so many seconds ahead.
///
/// On a day on which clocks are set, its begin or end is told as they are set now, up to two hours off: who knows the
/// zone puts it right ([`super::zoned`]).
fn shifted(window: Window, offset: i32, at: Timestamp) -> Span {
    let ms = i64::from(offset).saturating_mul(1_000);
    let local = span(window, at.saturating_add_signed(ms));
    let utc = |local: Timestamp| local.saturating_add_signed(ms.saturating_neg());
    Span {
        start: utc(local.start),
        end: utc(local.end),
    }
}

/// Whether two begins are those of one window: where clocks are set, it is told in two ways.
fn same(window: Window, one: Timestamp, other: Timestamp) -> bool {
    match window {
        Window::DayAt(_) | Window::MonthAt(_) => one.abs_diff(other) < DAY / 2,
        _ => one == other,
    }
}

/// From when on a window that began at `start` is certainly over.
pub fn over(window: Window, start: Timestamp) -> Timestamp {
    match window {
        // Its begin may have been told before clocks were set.
        Window::DayAt(_) | Window::MonthAt(_) => span(window, start.saturating_add(DAY / 2))
            .end
            .saturating_add(2 * HOUR),
        _ => span(window, start).end,
    }
}

/// The month in which `at` lies.
///
/// Years are counted from March, so that the leap day is the last day of its year, and in cycles of
/// 400 years, which all have the same number of days.
fn month(at: Timestamp) -> Span {
    /// Days of 400, 100, 4 years and of one, leap days as the Gregorian calendar has them.
    const CYCLE: u64 = 146_097;
    const CENTURY: u64 = 36_524;
    const FOUR: u64 = 1_461;
    const YEAR: u64 = 365;
    /// From 1 March 2000, where a cycle begins, back to 1 March 1600, and from there to 1970.
    const SINCE_1600: u64 = CYCLE - 11_017;
    /// The first day of each month in a year that begins with March.
    const MONTHS: [u64; 12] = [0, 31, 61, 92, 122, 153, 184, 214, 245, 275, 306, 337];

    let today = at / DAY;
    let in_cycle = (today + SINCE_1600) % CYCLE;
    // The last day of a cycle (or of four years) belongs to what came before, hence the bounds.
    let in_century = in_cycle - (in_cycle / CENTURY).min(3) * CENTURY;
    let in_four = in_century % FOUR;
    let in_year = in_four - (in_four / YEAR).min(3) * YEAR;
    let first = MONTHS
        .into_iter()
        .rev()
        .find(|first| *first <= in_year)
        .unwrap_or(0);
    // February is the last month of such a year, so it alone has no next one in the table. A leap
    // day ends it when it lies in the last year of a block of four, unless that block is cut short
    // by a century that is no multiple of 400.
    let leap =
        in_four - in_year == 3 * YEAR && (in_century < 24 * FOUR || in_cycle - in_century == 3 * CENTURY);
    let february = if leap { 29 } else { 28 };
    let next = MONTHS.into_iter().find(|next| *next > in_year);
    let length = next.map_or(february, |next| next - first);
    // 1970 begins with a month, so no window starts before it.
    let start = today.saturating_sub(in_year - first);
    Span {
        start: start.saturating_mul(DAY),
        end: start.saturating_add(length).saturating_mul(DAY),
    }
}

/// What was used of a quota, and in which window.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Used {
    /// The start of the window (Unix milliseconds).
    pub start: Timestamp,
    /// How many requests passed in it, or how much was charged.
    pub count: u64,
}

impl Used {
    /// Nothing, ever.
    pub const NONE: Self = Self { start: 0, count: 0 };

    /// The window that counts at `now`, and what was used in it.
    ///
    /// A clock that was set back does not open a window anew, neither this one nor those on the wall of a place:
    /// the latest window seen goes on.
    pub fn at(self, window: Window, now: Timestamp) -> (Self, Span) {
        let told = span(window, now.max(self.start));
        if same(window, told.start, self.start) {
            (self, told)
        } else if told.start < self.start {
            // Somebody to whom it was later already has begun it.
            (self, span(window, self.start.saturating_add(DAY / 2)))
        } else {
            let span = told;
            (
                Self {
                    start: span.start,
                    count: 0,
                },
                span,
            )
        }
    }

    /// Charges `cost`, or tells after how many milliseconds the next window begins.
    ///
    /// A cost above the quota passes in no window.
    pub fn take(self, window: Window, quota: u64, now: Timestamp, cost: u64) -> Result<Self, Millis> {
        let (used, span) = self.at(window, now);
        match used.count.checked_add(cost) {
            Some(count) if cost == 0 || count <= quota => Ok(Self { count, ..used }),
            _ => Err(span.end.saturating_sub(now)),
        }
    }

    /// Books what another law let pass.
    #[must_use]
    pub fn book(self, window: Window, now: Timestamp, cost: u64) -> Self {
        let (used, _) = self.at(window, now);
        Self {
            count: used.count.saturating_add(cost),
            ..used
        }
    }

    /// Gives back what was charged in the window that began at `start`, if that still counts.
    #[must_use]
    pub fn refund(self, window: Window, start: Timestamp, amount: u64) -> Self {
        if same(window, self.start, start) {
            Self {
                count: self.count.saturating_sub(amount),
                ..self
            }
        } else {
            self
        }
    }

    /// What could pass at `now`, and when more could.
    pub fn level(self, window: Window, quota: u64, now: Timestamp) -> Level {
        let (used, span) = self.at(window, now);
        let left = if used.count == 0 {
            0
        } else {
            span.end.saturating_sub(now)
        };
        Level {
            remaining: quota.saturating_sub(used.count),
            next_ms: left,
            full_ms: left,
        }
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn every_month_of_five_centuries() {
        let mut day = 0_u64;
        for year in 1970_u64..2470 {
            let leap = (year % 4 == 0 && year % 100 != 0) || year % 400 == 0;
            let february = if leap { 29 } else { 28 };
            for length in [31, february, 31, 30, 31, 30, 31, 31, 30, 31, 30, 31] {
                let expected = Span {
                    start: day * DAY,
                    end: (day + length) * DAY,
                };
                for inside in [0, 1, DAY, 14 * DAY + 5, (length - 1) * DAY, length * DAY - 1] {
                    assert_eq!(span(Window::Month, day * DAY + inside), expected, "{year}");
                }
                day += length;
            }
        }
    }

    #[test]
    fn windows() {
        // 2026-11-17T13:45:30.250Z
        let at = 1_794_923_130_250;
        for (window, start, length) in [
            (Window::Minute, 1_794_923_100_000, MINUTE),
            (Window::Hour, 1_794_920_400_000, HOUR),
            (Window::Day, 1_794_873_600_000, DAY),
            (Window::Month, 1_793_491_200_000, 30 * DAY),
        ] {
            assert_eq!(
                span(window, at),
                Span {
                    start,
                    end: start + length
                },
                "{window:?}"
            );
            assert_eq!(span(window, start).start, start);
            assert_eq!(span(window, start + length).start, start + length);
        }
    }

    #[test]
    fn a_quota_is_exact_in_its_window() {
        let mut used = Used::NONE;
        let end = 1_800_000_000_000 / DAY * DAY + DAY;
        let mut passed = 0;
        for _ in 0..1_022 {
            if let Ok(next) = used.take(Window::Day, 100, end - 1, 1) {
                used = next;
                passed += 1;
            }
        }
        assert_eq!(passed, 100);
        assert_eq!(used.take(Window::Day, 100, end - 1, 1), Err(1));
        assert_eq!(used.level(Window::Day, 100, end - 1).remaining, 0);
        assert_eq!(used.level(Window::Day, 100, end).remaining, 100);
        let next = used.take(Window::Day, 100, end, 1).unwrap();
        assert_eq!(next, Used { start: end, count: 1 });
        // The clock is set back: the new window goes on.
        let back = next.take(Window::Day, 100, end - 5, 1).unwrap();
        assert_eq!(back, Used { start: end, count: 2 });
        assert_eq!(back.take(Window::Day, 2, end - 5, 1), Err(DAY + 5));
    }

    proptest! {
        #[test]
        fn no_number_makes_it_panic(
            start: u64, count: u64, now: u64, quota: u64, cost: u64,
            window in prop::sample::select(
                vec![Window::Minute, Window::Hour, Window::Day, Window::Month]),
        ) {
            let used = Used { start, count };
            let _ = used.take(window, quota, now, cost);
            let _ = used.book(window, now, cost);
            let _ = used.level(window, quota, now);
            let found = span(window, now);
            prop_assert!(found.start <= now && (now < found.end || found.end == u64::MAX));
        }
    }
}
