//! What was charged and may still be given back: one hold for each admitted request that will settle.
//!
//! The charge is made when the request is admitted. A hold only remembers it, so whatever is lost, a
//! settlement or the hold itself, leaves the charge in full; a place under a limit of concurrency is free
//! again when its hold is over.

use serde::{Deserialize, Serialize};
use turnpike_policy::{LimitKind, Timestamp, Unit, Window};

use super::Record;
use super::law::Law;
use crate::meter::quota::{Used, span};
use crate::meter::{Ask, MeterError, Settle};

/// The most holds that one object keeps.
pub const MAX_HELD: usize = 4_096;

/// What one request may still give back.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct Hold<'a> {
    request: &'a str,
    /// When it is over.
    until: Timestamp,
    #[serde(borrow)]
    parts: Vec<Part<'a>>,
}

/// What it was charged under one limit.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
enum Part<'a> {
    Budget {
        id: &'a str,
        unit: Unit,
        window: Window,
        /// The window that was charged.
        start: Timestamp,
        amount: u64,
    },
    Place {
        id: &'a str,
        places: u32,
    },
}

/// How many places are taken under a limit.
pub(super) fn taken(holds: &[Hold<'_>], id: &str) -> u64 {
    let parts = holds.iter().flat_map(|hold| &hold.parts);
    parts
        .map(|part| match part {
            Part::Place { id: taken, places } if *taken == id => u64::from(*places),
            _ => 0,
        })
        .sum()
}

/// When the last hold is over; 0: there is none.
pub(super) fn over(holds: &[Hold<'_>]) -> Timestamp {
    holds.iter().map(|hold| hold.until).max().unwrap_or(0)
}

/// Forgets what is over. Whether there was any.
pub(super) fn prune(holds: &mut Vec<Hold<'_>>, now: Timestamp) -> bool {
    let before = holds.len();
    holds.retain(|hold| hold.until > now);
    holds.len() < before
}

/// Remembers what an admitted request was charged. Asked again, it was charged more.
pub(super) fn add<'a>(holds: &mut Vec<Hold<'a>>, ask: &Ask<'a>, now: Timestamp) -> Result<(), MeterError> {
    if ask.hold == 0 {
        return Ok(());
    }
    let parts: Vec<Part<'a>> = ask
        .limits
        .iter()
        .filter_map(|asked| match asked.kind {
            LimitKind::Budget { window, unit, .. } if asked.amount > 0 => Some(Part::Budget {
                id: asked.id,
                unit,
                window,
                start: span(window, now).start,
                amount: asked.amount,
            }),
            LimitKind::Concurrency { .. } if ask.cost > 0 => Some(Part::Place {
                id: asked.id,
                places: ask.cost,
            }),
            _ => None,
        })
        .collect();
    if parts.is_empty() {
        return Ok(());
    }
    let until = now.saturating_add(ask.hold);
    if let Some(hold) = holds.iter_mut().find(|hold| hold.request == ask.request) {
        hold.until = hold.until.max(until);
        hold.parts.extend(parts);
        return Ok(());
    }
    if holds.len() >= MAX_HELD {
        return Err(MeterError::Crowded);
    }
    holds.push(Hold {
        request: ask.request,
        until,
        parts,
    });
    Ok(())
}

/// Ends a request's hold: gives its places back and corrects its charges. Whether there was one.
pub(super) fn settle<'a>(
    holds: &mut Vec<Hold<'a>>,
    records: &mut Vec<Record<'a>>,
    settle: &Settle<'_>,
    now: Timestamp,
) -> bool {
    let Some(place) = holds.iter().position(|hold| hold.request == settle.request) else {
        return false;
    };
    let hold = holds.swap_remove(place);
    for (id, used) in &settle.used {
        let mut left = *used;
        let mut last = None;
        for part in &hold.parts {
            let Part::Budget {
                id: charged,
                unit,
                window,
                start,
                amount,
            } = part
            else {
                continue;
            };
            if charged != id {
                continue;
            }
            let kept = left.min(*amount);
            left -= kept;
            last = Some((*charged, *unit, *window));
            for law in laws(records, id, *unit, *window) {
                *law = law.refund(*start, *amount - kept);
            }
        }
        // More than any bound that was announced: taken from what follows.
        if let Some((id, unit, window)) = last.filter(|_| left > 0) {
            let mut known = false;
            for law in laws(records, id, unit, window) {
                known = true;
                *law = law.book(now, left);
            }
            if !known {
                // Its window was over, and forgotten.
                let used = Used::NONE.book(window, now, left);
                let law = Law::Budget { unit, window, used };
                records.push(Record { id, law });
            }
        }
    }
    true
}

/// The laws of a budget.
fn laws<'r>(
    records: &'r mut [Record<'_>],
    id: &'r str,
    unit: Unit,
    window: Window,
) -> impl Iterator<Item = &'r mut Law> {
    records
        .iter_mut()
        .filter(move |record| record.id == id)
        .map(|record| &mut record.law)
        .filter(
            move |law| matches!(law, Law::Budget { unit: u, window: w, .. } if (*u, *w) == (unit, window)),
        )
}
