//! What was charged and may still be given back: one hold for each admitted request that will settle, and
//! one for each that is only tried.
//!
//! The charge is made when the request is admitted. A hold only remembers it, so whatever is lost, a
//! settlement or the hold itself, leaves the charge in full; a place under a limit of concurrency is free
//! again when its hold is over.
//!
//! A trial is the other way round: when it is over, all that it was charged is given back. Rates cannot give
//! back, as what was owed may have been paid off meanwhile; so a trial is not charged to them, and every
//! other request is judged as if it had been.

use serde::{Deserialize, Serialize};
use turnpike_policy::{LimitKind, Timestamp, Unit, Window};

use super::Record;
use super::law::Law;
use crate::meter::quota::{Used, span};
use crate::meter::{Ask, Asked, MeterError, Mode, Settle, TRIAL, is_shadowed};

/// The most holds that one object keeps.
pub const MAX_HELD: usize = 4_096;
/// The most bytes of them, about: the platform stores values of at most 2 MB.
const MAX_BYTES: usize = 1 << 20;

/// What one request may still give back.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct Hold<'a> {
    request: &'a str,
    /// When it is over.
    until: Timestamp,
    /// The request is not admitted yet.
    trial: bool,
    /// Fingerprints of what it asked: asked again, it is not charged again.
    asks: Vec<u64>,
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
    /// Of a trial: what it will be charged.
    Rate {
        id: &'a str,
        requests: u32,
    },
    /// Of a trial.
    Quota {
        id: &'a str,
        window: Window,
        start: Timestamp,
        requests: u32,
    },
}

impl Hold<'_> {
    /// About how many bytes it takes, and no less.
    fn bytes(&self) -> usize {
        let parts = self.parts.iter().map(|part| match part {
            Part::Budget { id, .. }
            | Part::Place { id, .. }
            | Part::Rate { id, .. }
            | Part::Quota { id, .. } => id.len() + 40,
        });
        self.request.len() + 32 + 10 * self.asks.len() + parts.sum::<usize>()
    }
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

/// What trials will be charged under a rate.
pub(super) fn tried(holds: &[Hold<'_>], id: &str) -> u32 {
    let parts = holds.iter().flat_map(|hold| &hold.parts);
    let requests = parts.map(|part| match part {
        Part::Rate { id: tried, requests } if *tried == id => *requests,
        _ => 0,
    });
    requests.fold(0, u32::saturating_add)
}

/// What trials were charged under a quota or a budget in windows that are over: they will be charged in this one.
pub(super) fn carried(holds: &[Hold<'_>], asked: &Asked<'_>, now: Timestamp) -> u64 {
    let (window, unit) = match asked.kind {
        // What is in a rolling window is in it for longer than a trial lasts.
        LimitKind::Quota {
            window: Window::Rolling(_),
            ..
        }
        | LimitKind::Budget {
            window: Window::Rolling(_),
            ..
        }
        | LimitKind::Rate(_)
        | LimitKind::Concurrency { .. } => return 0,
        LimitKind::Quota { window, .. } => (window, None),
        LimitKind::Budget { window, unit, .. } => (window, Some(unit)),
    };
    let trials = holds.iter().filter(|hold| hold.trial);
    let parts = trials
        .flat_map(|hold| &hold.parts)
        .filter_map(|part| match *part {
            Part::Quota {
                id, start, requests, ..
            } => (id == asked.id && unit.is_none()).then(|| (start, requests.into())),
            Part::Budget {
                id,
                unit: of,
                start,
                amount,
                ..
            } => (id == asked.id && unit == Some(of)).then_some((start, amount)),
            Part::Place { .. } | Part::Rate { .. } => None,
        });
    let over = |(start, count): (Timestamp, u64)| {
        let used = Used { start, count };
        (used.at(window, now).0.count == 0).then_some(count)
    };
    parts.filter_map(over).fold(0, u64::saturating_add)
}

/// Whether something is held of a request that has asked the same already.
pub(super) fn knows(holds: &[Hold<'_>], request: &str, fingerprint: u64) -> bool {
    holds
        .iter()
        .any(|hold| hold.request == request && hold.asks.contains(&fingerprint))
}

/// When the last hold is over; 0: there is none.
pub(super) fn over(holds: &[Hold<'_>]) -> Timestamp {
    holds.iter().map(|hold| hold.until).max().unwrap_or(0)
}

/// Forgets what is over, and gives back what trials were charged.
pub(super) fn expire(holds: &mut Vec<Hold<'_>>, records: &mut [Record<'_>], now: Timestamp) {
    for hold in holds.iter().filter(|hold| hold.trial && hold.until <= now) {
        give_back(hold, records);
    }
    holds.retain(|hold| hold.until > now);
}

/// Ends the trial of a request, as if it had not been.
pub(super) fn release(holds: &mut Vec<Hold<'_>>, records: &mut [Record<'_>], request: &str) -> bool {
    let Some(place) = holds
        .iter()
        .position(|hold| hold.trial && hold.request == request)
    else {
        return false;
    };
    give_back(&holds.swap_remove(place), records);
    true
}

/// Ends all that is held of a request, as if it had not been.
pub(super) fn void(holds: &mut Vec<Hold<'_>>, records: &mut [Record<'_>], request: &str) {
    for hold in holds.iter().filter(|hold| hold.request == request) {
        give_back(hold, records);
    }
    holds.retain(|hold| hold.request != request);
}

/// Gives back all that a hold was charged.
fn give_back(hold: &Hold<'_>, records: &mut [Record<'_>]) {
    for part in &hold.parts {
        match part {
            Part::Budget {
                id,
                unit,
                window,
                start,
                amount,
            } => {
                for law in laws(records, id, Some(*unit), *window) {
                    *law = law.refund(*start, *amount);
                }
            }
            Part::Quota {
                id,
                window,
                start,
                requests,
            } => {
                for law in laws(records, id, None, *window) {
                    *law = law.refund(*start, (*requests).into());
                }
            }
            Part::Place { .. } | Part::Rate { .. } => {}
        }
    }
}

/// What of an ask may be given back.
fn part<'a>(asked: &Asked<'a>, ask: &Ask<'a>, now: Timestamp) -> Option<Part<'a>> {
    let trial = ask.mode == Mode::Try;
    let id = asked.id;
    match asked.kind {
        LimitKind::Budget { window, unit, .. } if asked.amount > 0 && (trial || unit != Unit::Bytes) => {
            Some(Part::Budget {
                id,
                unit,
                window,
                start: span(window, now).start,
                amount: asked.amount,
            })
        }
        LimitKind::Concurrency { .. } if ask.cost > 0 => Some(Part::Place { id, places: ask.cost }),
        LimitKind::Rate(_) if trial && ask.cost > 0 => Some(Part::Rate {
            id,
            requests: ask.cost,
        }),
        LimitKind::Quota { window, .. } if trial && ask.cost > 0 => Some(Part::Quota {
            id,
            window,
            start: span(window, now).start,
            requests: ask.cost,
        }),
        _ => None,
    }
}

/// Remembers what a request was charged. Asked again, it was charged more.
pub(super) fn add<'a>(
    holds: &mut Vec<Hold<'a>>,
    ask: &Ask<'a>,
    (fingerprint, shadowed): (u64, u32),
    now: Timestamp,
) -> Result<(), MeterError> {
    let trial = ask.mode == Mode::Try;
    let length = if trial { TRIAL } else { ask.hold };
    if length == 0 {
        return Ok(());
    }
    let charged = ask
        .limits
        .iter()
        .enumerate()
        .filter(|(place, _)| !is_shadowed(shadowed, *place));
    let parts: Vec<Part<'a>> = charged.filter_map(|(_, asked)| part(asked, ask, now)).collect();
    if parts.is_empty() {
        return Ok(());
    }
    let until = now.saturating_add(length);
    let known = holds
        .iter_mut()
        .find(|hold| !hold.trial && hold.request == ask.request);
    if let Some(hold) = known.filter(|_| !trial) {
        hold.until = hold.until.max(until);
        hold.parts.extend(parts);
        hold.asks.push(fingerprint);
        return Ok(());
    }
    let bytes: usize = holds.iter().map(Hold::bytes).sum();
    if holds.len() >= MAX_HELD || bytes >= MAX_BYTES {
        return Err(MeterError::Crowded);
    }
    holds.push(Hold {
        request: ask.request,
        until,
        trial,
        asks: vec![fingerprint],
        parts,
    });
    Ok(())
}

/// Ends a request's holds: gives its places back and corrects its charges; of a trial, all of it. Whether
/// there was one.
pub(super) fn settle<'a>(
    holds: &mut Vec<Hold<'a>>,
    records: &mut Vec<Record<'a>>,
    settle: &Settle<'_>,
    now: Timestamp,
) -> bool {
    let tried = release(holds, records, settle.request);
    let Some(place) = holds.iter().position(|hold| hold.request == settle.request) else {
        return tried;
    };
    let hold = holds.swap_remove(place);
    for (id, used) in &settle.used {
        correct(&hold, records, id, *used, now);
    }
    true
}

/// Corrects what a hold was charged under one budget to what was used of it.
fn correct<'a>(hold: &Hold<'a>, records: &mut Vec<Record<'a>>, id: &str, used: u64, now: Timestamp) {
    let mut left = used;
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
        if *charged != id {
            continue;
        }
        let kept = left.min(*amount);
        left -= kept;
        last = Some((*charged, *unit, *window));
        for law in laws(records, id, Some(*unit), *window) {
            *law = law.refund(*start, *amount - kept);
        }
    }
    // More than any bound that was announced: taken from what follows.
    if let Some((id, unit, window)) = last.filter(|_| left > 0) {
        let mut known = false;
        for law in laws(records, id, Some(unit), window) {
            known = true;
            *law = law.book(now, left);
        }
        if !known {
            // Its window was over, and forgotten.
            let law = Law::booked(unit, window, now, left);
            records.push(Record { id, law });
        }
    }
}

/// The laws of a budget, or of a quota.
pub(super) fn laws<'r>(
    records: &'r mut [Record<'_>],
    id: &'r str,
    unit: Option<Unit>,
    window: Window,
) -> impl Iterator<Item = &'r mut Law> {
    records
        .iter_mut()
        .filter(move |record| record.id == id)
        .map(|record| &mut record.law)
        .filter(move |law| law.is_of(unit, window))
}
