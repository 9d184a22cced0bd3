//! Taking an ask back whose answer was lost: the request is refused, so it must have cost nothing.
//!
//! What is held knows what it was charged. Quotas and the bytes of bodies are not held, so they are given back by
//! what is known of the last admissions ([`super::recent`]), with what was taken in advance by the same ask: who has no
//! answer does not know of it, and spends none of it. The ask itself may still be on its way and come after
//! what takes it back: it is then known already, and not charged. Rates pay off by themselves what they were
//! charged; to lower one would let pass again what was paid off meanwhile.

use turnpike_policy::{LimitKind, Timestamp, Unit};

use super::{Decided, State, closed, digest, done, holds, prune, reach};
use crate::meter::quota::span;
use crate::meter::{Ask, MeterError, VOID};

/// The ask that is taken back; `None`: these bytes are something else.
pub(super) fn of(bytes: &[u8]) -> Option<&[u8]> {
    match bytes.split_first() {
        Some((&VOID, ask)) => Some(ask),
        _ => None,
    }
}

/// What stands beside an ask among those that were admitted, where it was granted a lease too.
pub(super) const fn leased(asked: u64) -> u64 {
    asked.rotate_left(16)
}

/// Takes an ask back. To do so again changes nothing.
pub(super) fn take(mut state: State<'_>, bytes: &[u8], now: Timestamp) -> Result<Decided, MeterError> {
    let ask = Ask::decode(bytes)?;
    if ask.request.is_empty() {
        // It cannot be told from others.
        return Err(MeterError::Ask);
    }
    let (now, late) = reach(&mut state, now);
    let asked = digest(bytes);
    // Of the same request, so as good as one of its own, and none that anybody asks.
    let taken_back = !asked;
    let again = state.recent.knows(taken_back, now);
    if !again {
        match state.recent.at(asked, now) {
            Some(at) => {
                let lease = ask.lease.filter(|_| state.recent.knows(leased(asked), now));
                let requests = ask.cost.saturating_add(lease.map_or(0, |lease| lease.wish));
                refund(&mut state, &ask, requests, at);
            }
            None => state.recent.add(asked, now),
        }
        // An attempt after the first is one of several: what is held for the request is settled for all of them.
        if ask.part == 0 {
            holds::void(&mut state.holds, &mut state.records, ask.request);
        }
        state.recent.add(taken_back, now);
    }
    prune(&mut state, now);
    closed(state, done()?, (late || !again).then_some(false))
}

/// Gives back what is not held. What is in the shadow may not have been charged, and holds nobody back.
fn refund(state: &mut State<'_>, ask: &Ask<'_>, requests: u32, at: Timestamp) {
    for asked in ask.limits.iter().filter(|asked| !asked.shadow) {
        let (unit, window) = match asked.kind {
            LimitKind::Quota { window, .. } => (None, window),
            LimitKind::Budget {
                unit: Unit::Bytes,
                window,
                ..
            } => (Some(Unit::Bytes), window),
            LimitKind::Budget { .. } | LimitKind::Rate(_) | LimitKind::Concurrency { .. } => continue,
        };
        for law in holds::laws(&mut state.records, asked.id, unit, window) {
            *law = law.refund(span(window, at).start, asked.cost(requests));
        }
    }
}
