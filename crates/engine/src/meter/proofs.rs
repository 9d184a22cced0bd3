//! Which DPoP proofs were used: what an object remembers, so that each is good for one request (RFC 9449, 11.1).
//!
//! The proofs of one key lie in [`SHARDS`] objects of their own, by what they are called, so that no object meets the
//! proofs of all clients and those of a busy client are spread. Each proof is written before it is answered: what is
//! only in memory would be good again after it. It is remembered until it is too old to be taken anyway, so what an object
//! keeps is bounded by the time, and by [`MAX_KEPT`]; one that is full refuses.

use serde::{Deserialize, Serialize};
use turnpike_policy::Timestamp;

use super::object::{self, Alarm, Decided, LINGER};
use super::{Clock, MeterError, exactly};
use turnpike_policy::hex;

/// Over how many objects the proofs of one key are spread.
const SHARDS: u8 = 8;
/// The most proofs that one object remembers.
pub const MAX_KEPT: usize = 4_096;

/// The first byte of an [`Ask`].
const ASK: u8 = 0x87;
/// The first byte of what is answered; an [`Outcome`] follows it.
const ANSWER: u8 = 0x88;
/// The second byte of a stored state: that it is a list of proofs. In memory it is the same.
const KIND: u8 = b'P';
/// Bytes of one proof: the beginning of its hash, that of the request's id, and its last second.
const LENGTH: usize = 16;

/// The question whether a proof is new.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Ask {
    /// The beginning of its hash.
    proof: [u8; 8],
    /// The beginning of the id of the request that it came with: asked again by that one, it is still new.
    request: [u8; 4],
    /// Until when it must be remembered.
    until: Timestamp,
}

/// What became of an [`Ask`].
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum Outcome {
    /// It is new, and no longer is.
    New,
    /// It was used before.
    Used,
    /// As many are remembered as may be.
    Full,
}

/// The object that knows whether a proof is new, and what to ask it. `key` is the thumbprint of its key, `proof` what it
/// is known by, `request` the id of its request.
pub fn question(
    key: &[u8; 32],
    proof: &[u8; 32],
    request: &[u8; 16],
    until: Timestamp,
) -> Result<(String, Vec<u8>), MeterError> {
    let [shard, ..] = *proof;
    // Of a hash, what tells keys apart is a matter of its first bytes alone.
    let (name, _) = key.split_at(16);
    let object = format!("dpop:{}:{}", hex(name), shard % SHARDS);
    let beginning = proof.first_chunk().zip(request.first_chunk());
    let (proof, request) = beginning.ok_or(MeterError::Ask)?;
    let ask = Ask {
        proof: *proof,
        request: *request,
        until,
    };
    let ask = postcard::to_extend(&ask, vec![ASK]).map_err(|_| MeterError::Ask)?;
    Ok((object, ask))
}

/// What the object has answered.
pub fn answered(bytes: &[u8]) -> Result<Outcome, MeterError> {
    match bytes.split_first() {
        Some((&ANSWER, body)) => exactly(body).ok_or(MeterError::Answer),
        _ => Err(MeterError::Answer),
    }
}

/// What the object keeps.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
struct Kept {
    seen: Timestamp,
    armed: Timestamp,
    proofs: Vec<u8>,
}

impl Kept {
    fn proofs(&self) -> impl Iterator<Item = (&[u8; 8], &[u8; 4], Timestamp)> {
        self.proofs.chunks_exact(LENGTH).filter_map(|entry| {
            let (proof, rest) = entry.split_first_chunk()?;
            let (request, until) = rest.split_first_chunk()?;
            let until = u32::from_le_bytes(until.try_into().ok()?);
            Some((proof, request, Timestamp::from(until) * 1000))
        })
    }

    /// Forgets what is over.
    fn prune(&mut self) {
        let over = self.proofs().filter(|(.., until)| *until <= self.seen).count();
        if over == 0 {
            return;
        }
        let mut left = Vec::with_capacity(self.proofs.len().saturating_sub(over * LENGTH));
        for ((.., until), entry) in self.proofs().zip(self.proofs.chunks_exact(LENGTH)) {
            if until > self.seen {
                left.extend_from_slice(entry);
            }
        }
        self.proofs = left;
    }

    /// When all of it may be forgotten.
    fn over(&self) -> Timestamp {
        let last = self.proofs().map(|(.., until)| until).max();
        last.unwrap_or(0).max(self.seen).saturating_add(LINGER)
    }
}

/// Whether these are the bytes of a list of proofs.
pub(super) fn is_list(state: &[u8]) -> bool {
    state.get(1) == Some(&KIND)
}

/// Checks a stored list.
pub(super) fn resume(stored: &[u8]) -> Result<Vec<u8>, MeterError> {
    open(stored).map(|_| stored.to_vec())
}

/// Answers an ask; `None`: the bytes are something else.
pub(super) fn decide(
    state: Option<&[u8]>,
    ask: &[u8],
    now: Timestamp,
) -> Option<Result<Decided, MeterError>> {
    let (&ASK, body) = ask.split_first()? else {
        return None;
    };
    let ask = exactly::<Ask>(body).ok_or(MeterError::Ask);
    Some(ask.and_then(|ask| take(state, &ask, now)))
}

fn take(state: Option<&[u8]>, ask: &Ask, now: Timestamp) -> Result<Decided, MeterError> {
    let mut kept = state.map_or_else(|| Ok(Kept::default()), open)?;
    kept.seen = Clock(kept.seen).at(now);
    kept.prune();
    let known = kept.proofs().find(|(proof, ..)| **proof == ask.proof);
    // Asked again because the answer was lost on the way, it was not used before.
    let outcome = match known.map(|(_, request, _)| *request == ask.request) {
        Some(false) => Outcome::Used,
        None if kept.proofs.len() / LENGTH >= MAX_KEPT => Outcome::Full,
        Some(true) | None => Outcome::New,
    };
    let (mut persist, mut alarm) = (None, None);
    if known.is_none() && outcome == Outcome::New {
        let until = ask.until.div_ceil(1000);
        let until = u32::try_from(until).map_err(|_| MeterError::Ask)?;
        kept.proofs.extend_from_slice(&ask.proof);
        kept.proofs.extend_from_slice(&ask.request);
        kept.proofs.extend_from_slice(&until.to_le_bytes());
        if kept.armed <= kept.seen {
            kept.armed = kept.over();
            alarm = Some(kept.armed);
        }
        persist = Some(seal(&kept)?);
    }
    let state = match &persist {
        Some(bytes) => bytes.clone(),
        None => seal(&kept)?,
    };
    Ok(Decided {
        state,
        answer: postcard::to_extend(&outcome, vec![ANSWER]).map_err(|_| MeterError::Answer)?,
        persist,
        alarm,
    })
}

/// What to do when the alarm of the list goes off.
pub(super) fn on_alarm(state: &[u8], now: Timestamp) -> Result<Alarm, MeterError> {
    let at = open(state)?.over();
    Ok(if at <= now {
        Alarm::Forget
    } else {
        Alarm::Rearm(at)
    })
}

fn seal(kept: &Kept) -> Result<Vec<u8>, MeterError> {
    object::sealed(KIND, kept)
}

fn open(bytes: &[u8]) -> Result<Kept, MeterError> {
    let kept: Kept = exactly(object::body(KIND, bytes)?).ok_or(MeterError::State)?;
    if kept.proofs.len().is_multiple_of(LENGTH) {
        Ok(kept)
    } else {
        Err(MeterError::State)
    }
}

#[cfg(test)]
#[path = "proofs_tests.rs"]
mod tests;
