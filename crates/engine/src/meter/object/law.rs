//! What a subject owes under one limit, and what of it is stored.

use serde::{Deserialize, Serialize};
use turnpike_policy::{LimitKind, Rate, Timestamp, Unit, Window};

use crate::meter::Held;
use crate::meter::gcra::Tat;
use crate::meter::quota::{Used, span};

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
}

impl Law {
    /// Whether an ask for `kind` is judged by this law.
    pub(super) fn judges(&self, kind: &LimitKind) -> bool {
        match (self, kind) {
            (Self::Rate { rate, .. }, LimitKind::Rate(asked)) => rate == asked,
            (Self::Quota { window, .. }, LimitKind::Quota { window: asked, .. }) => window == asked,
            (
                Self::Budget { unit, window, .. },
                LimitKind::Budget {
                    unit: asked_unit,
                    window: asked,
                    ..
                },
            ) => unit == asked_unit && window == asked,
            _ => false,
        }
    }

    /// Whether what is owed under this law means something under a law of `kind`.
    pub(super) fn counts_for(&self, kind: &LimitKind) -> bool {
        match (self, kind) {
            (Self::Rate { .. } | Self::Quota { .. }, LimitKind::Rate(_) | LimitKind::Quota { .. }) => true,
            (Self::Budget { unit, .. }, LimitKind::Budget { unit: asked, .. }) => unit == asked,
            _ => false,
        }
    }

    /// The law of `kind` for a subject that owes so much; none: it is not kept here.
    pub(super) fn new(kind: &LimitKind, now: Timestamp, owed: u64) -> Option<Self> {
        let used = |window| Used {
            start: span(window, now).start,
            count: owed,
        };
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

    /// The same law after so much was given back that a window had been charged with.
    pub(super) fn refund(self, start: Timestamp, amount: u64) -> Self {
        match self {
            Self::Budget { unit, window, used } => Self::Budget {
                unit,
                window,
                used: used.refund(start, amount),
            },
            other => other,
        }
    }

    /// The same law after requests were given back that had been taken in advance at an instant. A rate
    /// pays them off by itself.
    pub(super) fn give_back(self, taken: Timestamp, requests: u32) -> Self {
        match self {
            Self::Quota { window, used } => Self::Quota {
                window,
                used: used.refund(span(window, taken).start, requests.into()),
            },
            other => other,
        }
    }

    /// What the subject owes, in the law's unit.
    pub(super) fn owed(&self, now: Timestamp) -> u64 {
        match self {
            Self::Rate { rate, tat, .. } => tat.owed(rate, now),
            Self::Quota { window, used } | Self::Budget { window, used, .. } => used.at(*window, now).0.count,
        }
    }

    /// From when on this law may be forgotten, here and in what is stored.
    pub(super) fn over(&self) -> Timestamp {
        match self {
            Self::Rate { rate, tat, mark } => (*tat).max(*mark).paid_at(rate),
            Self::Quota { used, .. } | Self::Budget { used, .. } if used.count == 0 => 0,
            Self::Quota { window, used } | Self::Budget { window, used, .. } => span(*window, used.start).end,
        }
    }

    /// Whether what is stored would admit more than this.
    pub(super) fn outran_storage(&self) -> bool {
        match self {
            Self::Rate { tat, mark, .. } => tat > mark,
            // Written in each call that charges it.
            Self::Quota { .. } | Self::Budget { .. } => true,
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
                span(*window, used.start).start == used.start
            }
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
