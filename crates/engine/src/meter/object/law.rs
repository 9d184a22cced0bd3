//! What a subject owes under one limit, and what of it is stored.

use serde::{Deserialize, Serialize};
use turnpike_policy::{LimitKind, Millis, Rate, Timestamp, Unit, Window};

use crate::meter::Held;
use crate::meter::gcra::Tat;
use crate::meter::lease;
use crate::meter::quota::{Used, over, span};
use crate::meter::rolling::{self, Rolled};

/// What is known under one law of one limit. Which one judges an ask is a matter of its numbers: see the
/// parent module.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(super) enum Law {
    /// Its whole rate is the law's identity: a TAT means nothing under another. `mark` is the TAT
    /// that is stored; stored itself, both are the mark.
    Rate { rate: Rate, tat: Tat, mark: Tat },
    /// The law's identity is its window; how many it allows is asked anew each time.
    Quota { window: Window, used: Used },
    /// The same for what is counted in another unit than requests.
    Budget { unit: Unit, window: Window, used: Used },
    /// A quota (no unit) or a budget over the last so many milliseconds.
    Rolling {
        unit: Option<Unit>,
        length: Millis,
        used: Rolled,
    },
}

/// Of a quota or a budget: what it counts and when.
const fn counted(kind: &LimitKind) -> Option<(Option<Unit>, Window)> {
    match kind {
        LimitKind::Quota { window, .. } => Some((None, *window)),
        LimitKind::Budget { unit, window, .. } => Some((Some(*unit), *window)),
        LimitKind::Rate(_) | LimitKind::Concurrency { .. } => None,
    }
}

/// By how much clocks of one place are set at the most, in seconds.
const SET: u32 = 3 * 3_600;

/// Whether two windows are the same, however clocks are set now. Those of places that are far apart are not: who
/// changes the zone of a limit begins a new law.
const fn alike(one: Window, other: Window) -> bool {
    match (one, other) {
        (Window::DayAt(one), Window::DayAt(other)) | (Window::MonthAt(one), Window::MonthAt(other)) => {
            one.abs_diff(other) <= SET
        }
        (Window::Rolling(one), Window::Rolling(other)) => one == other,
        (Window::Minute, Window::Minute)
        | (Window::Hour, Window::Hour)
        | (Window::Day, Window::Day)
        | (Window::Month, Window::Month) => true,
        _ => false,
    }
}

impl Law {
    /// Whether an ask for `kind` is judged by this law.
    pub(super) fn judges(&self, kind: &LimitKind) -> bool {
        match (self, kind, counted(kind)) {
            (Self::Rate { rate, .. }, LimitKind::Rate(asked), _) => rate == asked,
            (Self::Rolling { unit, length, .. }, _, Some((of, Window::Rolling(asked)))) => {
                (*unit, *length) == (of, asked)
            }
            (Self::Quota { window, .. }, _, Some((None, asked))) => alike(*window, asked),
            (Self::Budget { unit, window, .. }, _, Some((Some(of), asked))) => {
                *unit == of && alike(*window, asked)
            }
            _ => false,
        }
    }

    /// Takes over how clocks are set now.
    pub(super) fn adopt(&mut self, kind: &LimitKind) {
        if let (Self::Quota { window, .. } | Self::Budget { window, .. }, Some((_, asked))) =
            (self, counted(kind))
        {
            *window = asked;
        }
    }

    /// What it counts; none: requests.
    const fn unit(&self) -> Option<Unit> {
        match self {
            Self::Rate { .. } | Self::Quota { .. } => None,
            Self::Budget { unit, .. } => Some(*unit),
            Self::Rolling { unit, .. } => *unit,
        }
    }

    /// Whether what is owed under this law means something under a law of `kind`.
    pub(super) fn counts_for(&self, kind: &LimitKind) -> bool {
        match kind {
            LimitKind::Rate(_) | LimitKind::Quota { .. } => self.unit().is_none(),
            LimitKind::Budget { unit, .. } => self.unit() == Some(*unit),
            LimitKind::Concurrency { .. } => false,
        }
    }

    /// Whether it is the law of a budget or, without a unit, of a quota.
    pub(super) fn is_of(&self, unit: Option<Unit>, window: Window) -> bool {
        match self {
            Self::Rate { .. } => false,
            Self::Quota { window: of, .. } => unit.is_none() && alike(*of, window),
            Self::Budget {
                unit: its,
                window: of,
                ..
            } => unit == Some(*its) && alike(*of, window),
            Self::Rolling {
                unit: its, length, ..
            } => *its == unit && window == Window::Rolling(*length),
        }
    }

    /// What a settlement is booked to, when nothing is known any more of what it was charged to.
    pub(super) fn booked(unit: Unit, window: Window, now: Timestamp, amount: u64) -> Self {
        match window {
            Window::Rolling(length) => Self::Rolling {
                unit: Some(unit),
                length,
                used: Rolled::owing(length, now, amount),
            },
            window => Self::Budget {
                unit,
                window,
                used: Used::NONE.book(window, now, amount),
            },
        }
    }

    /// The law of `kind` for a subject that owes so much; none: it is not kept here.
    pub(super) fn new(kind: &LimitKind, now: Timestamp, owed: u64) -> Option<Self> {
        let used = |window| Used {
            start: span(window, now).start,
            count: owed,
        };
        if let Some((unit, Window::Rolling(length))) = counted(kind) {
            let used = Rolled::owing(length, now, owed);
            return Some(Self::Rolling { unit, length, used });
        }
        Some(match *kind {
            LimitKind::Rate(rate) => {
                let tat = match owed.min(u64::from(rate.burst)) {
                    0 => Tat::IDLE,
                    owed => Tat::owing(&rate, now, owed),
                };
                Self::Rate {
                    rate,
                    tat,
                    mark: Tat::IDLE,
                }
            }
            LimitKind::Quota { window, .. } => Self::Quota {
                window,
                used: used(window),
            },
            LimitKind::Budget { window, unit, .. } => Self::Budget {
                unit,
                window,
                used: used(window),
            },
            LimitKind::Concurrency { .. } => return None,
        })
    }

    pub(super) const fn held(&self) -> Held {
        match self {
            Self::Rate { tat, .. } => Held::Rate(*tat),
            Self::Quota { used, .. } | Self::Budget { used, .. } => Held::Quota(*used),
            Self::Rolling { used, .. } => Held::Rolling(*used),
        }
    }

    /// The same law after a request that was admitted, by it or by another one.
    pub(super) fn book(self, now: Timestamp, cost: u64) -> Self {
        match self {
            Self::Rate { rate, tat, mark } => Self::Rate {
                rate,
                tat: tat.book(&rate, now, u32::try_from(cost).unwrap_or(u32::MAX)),
                mark,
            },
            Self::Quota { window, used } => Self::Quota {
                window,
                used: used.book(window, now, cost),
            },
            Self::Budget { unit, window, used } => Self::Budget {
                unit,
                window,
                used: used.book(window, now, cost),
            },
            Self::Rolling { unit, length, used } => Self::Rolling {
                unit,
                length,
                used: used.book(length, now, cost),
            },
        }
    }

    pub(super) const fn is_rate(&self) -> bool {
        matches!(self, Self::Rate { .. })
    }

    /// As [`Self::book`], of a rate alone.
    pub(super) fn book_rate(self, now: Timestamp, requests: u32) -> Self {
        match self {
            Self::Rate { .. } if requests > 0 => self.book(now, requests.into()),
            other => other,
        }
    }

    /// The same law after leases of a rate ended that may have been spent at their very end.
    pub(super) fn book_late(self, at: Timestamp) -> Self {
        match self {
            Self::Rate { rate, .. } => self.book_rate(at, lease::late(&rate)),
            other => other,
        }
    }

    /// The same law after so much was given back that a window had been charged with.
    pub(super) fn refund(self, start: Timestamp, amount: u64) -> Self {
        match self {
            Self::Budget { unit, window, used } => Self::Budget {
                unit,
                window,
                used: used.refund(window, start, amount),
            },
            Self::Quota { window, used } => Self::Quota {
                window,
                used: used.refund(window, start, amount),
            },
            Self::Rolling { unit, length, used } => Self::Rolling {
                unit,
                length,
                used: used.refund(length, start, amount),
            },
            rate @ Self::Rate { .. } => rate,
        }
    }

    /// The same law after so much was given back of what is owed now.
    pub(super) fn credit(self, now: Timestamp, amount: u64) -> Self {
        match self {
            Self::Rolling { unit, length, used } => Self::Rolling {
                unit,
                length,
                used: used.credit(length, now, amount),
            },
            Self::Quota { window, used } => Self::Quota {
                window,
                used: used.refund(window, used.start, amount),
            },
            Self::Budget { unit, window, used } => Self::Budget {
                unit,
                window,
                used: used.refund(window, used.start, amount),
            },
            rate @ Self::Rate { .. } => rate,
        }
    }

    /// When what is owed now is forgotten.
    pub(super) fn ends(&self, now: Timestamp) -> Timestamp {
        match self {
            Self::Quota { window, .. } | Self::Budget { window, .. } => {
                over(*window, span(*window, now).start)
            }
            Self::Rolling { length, .. } => {
                now.saturating_add(*length).saturating_add(rolling::part(*length))
            }
            Self::Rate { .. } => self.over(),
        }
    }

    /// The same law after requests were given back that had been taken in advance at an instant. A rate
    /// pays them off by itself.
    pub(super) fn give_back(self, taken: Timestamp, requests: u32) -> Self {
        match self {
            Self::Quota { window, used } => Self::Quota {
                window,
                used: used.refund(window, span(window, taken).start, requests.into()),
            },
            other => other,
        }
    }

    /// What the subject owes, in the law's unit.
    pub(super) fn owed(&self, now: Timestamp) -> u64 {
        match self {
            Self::Rate { rate, tat, .. } => tat.owed(rate, now),
            Self::Quota { window, used } | Self::Budget { window, used, .. } => used.at(*window, now).0.count,
            Self::Rolling { length, used, .. } => used.total(*length, now),
        }
    }

    /// From when on this law may be forgotten, here and in what is stored.
    pub(super) fn over(&self) -> Timestamp {
        match self {
            Self::Rate { rate, tat, mark } => (*tat).max(*mark).paid_at(rate),
            Self::Quota { used, .. } | Self::Budget { used, .. } if used.count == 0 => 0,
            Self::Quota { window, used } | Self::Budget { window, used, .. } => over(*window, used.start),
            Self::Rolling { length, used, .. } => used.over(*length),
        }
    }

    /// Whether what is stored would admit more than this.
    pub(super) fn outran_storage(&self) -> bool {
        match self {
            Self::Rate { tat, mark, .. } => tat > mark,
            // Written in each call that charges it.
            Self::Quota { .. } | Self::Budget { .. } | Self::Rolling { .. } => true,
        }
    }

    /// Sets the mark, as it is about to be stored: ahead of the TAT, or right at it.
    pub(super) fn set_mark(&mut self, now: Timestamp, ahead: bool) {
        if let Self::Rate { rate, tat, mark } = self
            && (*tat > *mark || tat.paid_at(rate) > now)
        {
            *mark = if ahead { tat.ahead(rate, chunk(rate)) } else { *tat };
        }
    }

    /// As it is stored.
    pub(super) const fn stored(self) -> Self {
        match self {
            Self::Rate { rate, mark, .. } => Self::Rate {
                rate,
                tat: mark,
                mark,
            },
            other => other,
        }
    }

    /// Whether it is a law that this module could have written.
    pub(super) fn sound(&self) -> bool {
        match self {
            Self::Rate { rate, tat, mark } => {
                rate.count > 0 && rate.period > 0 && rate.burst > 0 && tat <= mark
            }
            Self::Quota { window, used } | Self::Budget { window, used, .. } => {
                // Somewhere a day may have begun before clocks were set.
                matches!(window, Window::DayAt(_) | Window::MonthAt(_))
                    || span(*window, used.start).start == used.start
            }
            Self::Rolling { length, .. } => *length > 0,
        }
    }
}

/// How many requests the mark of a rate is ahead of its TAT: at most a tenth of the burst, and at
/// most a second's worth, so that an object that was idle for ten finds nearly all of it paid. A
/// rate that is slower than one a second is written each time.
pub(super) fn chunk(rate: &Rate) -> u64 {
    let second = u64::from(rate.count).saturating_mul(1_000) / rate.period.max(1);
    second.min(u64::from(rate.burst) / 10)
}
