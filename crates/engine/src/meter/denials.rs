//! Denials: what operators refuse in an emergency, without a build.
//!
//! One object keeps the list of a gateway. A denial only narrows: it names whom or what to refuse, and nothing
//! in the list can let pass what the policy does not. It has an author, a reason and an end, at most [`LONGEST`]
//! away, and is listed until then, even if it was lifted before. Each change is written before it is answered,
//! and told twice (by its id) it is done once.

use serde::{Deserialize, Serialize};
use turnpike_policy::{MAX_DENIAL, Millis, Timestamp};

use super::object::{self, Alarm, Decided, LINGER};
use super::{Clock, MAX_ID, MeterError, exactly};
use crate::meter::correction::MAX_REASON;

/// The name of the object that keeps the list. Subjects have a colon in theirs.
pub const OBJECT: &str = "denials";
/// The most denials that are kept.
pub const MAX_KEPT: usize = 1_000;
/// The most bytes that they may take.
pub const MAX_BYTES: usize = 64 * 1_024;
/// The longest that a denial stands, in milliseconds.
pub const LONGEST: Millis = MAX_DENIAL;
/// The longest name of what is denied, in bytes.
pub const MAX_NAME: usize = 255;

/// The first byte of an [`Order`].
const ORDER: u8 = 0x84;
/// The first byte of a [`Report`].
const REPORT: u8 = 0x85;
/// The second byte of a stored state: that it is a list of denials. In memory it is the same.
const KIND: u8 = b'D';

/// Whom or what a denial refuses.
///
/// Builds read each other's lists, so no kind is ever added to these: what a later build denies it writes as
/// [`Target::Other`], which the builds before it keep, show and lift, and say that they do not refuse it.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub enum Target {
    /// An API key, by the public part of it (`tpk_<id>_...`).
    Key(String),
    /// A subject of an issuer's tokens: the issuer's identifier (`iss`), and `sub`.
    Subject(String, String),
    /// A consumer, by its name.
    Consumer(String),
    /// An operation: `petstore/v1#listPets`.
    Operation(String),
    /// A model, by its name.
    Model(String),
    /// A client certificate, by the name that the policy knows it by: the hash of its key, or its subject.
    Certificate(String),
    /// What only a later build knows: its kind, and its name.
    Other(String, String),
}

/// One denial.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Denial {
    /// Tells it from others.
    pub id: String,
    /// What it refuses.
    pub target: Target,
    /// The operator.
    pub by: String,
    /// Why, in at most [`MAX_REASON`] bytes.
    pub reason: String,
    /// Since when.
    pub at: Timestamp,
    /// Until when.
    pub until: Timestamp,
    /// That it was lifted before its time.
    pub lifted: Option<Lifted>,
}

/// Who lifted a denial before its time, why, and when.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Lifted {
    /// The operator.
    pub by: String,
    /// Why.
    pub reason: String,
    /// When.
    pub at: Timestamp,
}

impl Denial {
    /// Whether it refuses anything now.
    pub const fn stands(&self, now: Timestamp) -> bool {
        self.lifted.is_none() && now < self.until
    }

    fn is_bounded(&self) -> bool {
        let names: &[&String] = match &self.target {
            Target::Key(name)
            | Target::Consumer(name)
            | Target::Operation(name)
            | Target::Model(name)
            | Target::Certificate(name) => &[name],
            Target::Subject(one, other) | Target::Other(one, other) => &[one, other],
        };
        names
            .iter()
            .all(|name| !name.is_empty() && name.len() <= MAX_NAME)
            && is_id(&self.id)
            && self.by.len() <= MAX_ID
            && self.reason.len() <= MAX_REASON
            && self.lifted.is_none()
    }
}

fn is_id(id: &str) -> bool {
    !id.is_empty() && id.len() <= MAX_ID
}

/// What is asked of the list.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum Order {
    /// To see it.
    Look,
    /// To add one, [`Denial::at`] by the clock of who asks.
    Deny(Denial),
    /// To lift the one of this id.
    Lift(String, Lifted),
}

/// What became of an [`Order`].
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum Outcome {
    /// Nothing was to be changed.
    Looked,
    /// It was added.
    Denied,
    /// It was lifted.
    Lifted,
    /// It had been done when it was asked for first.
    Before,
    /// Another denial has this id.
    Taken,
    /// There is no denial of this id.
    Unknown,
    /// As many are kept as may be.
    Full,
}

/// What the object answers.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Report {
    /// What became of the order.
    pub outcome: Outcome,
    /// Grows with each change: of two reports, the one with the higher number is the newer.
    pub version: u64,
    /// All that are kept, the oldest first.
    pub denials: Vec<Denial>,
}

impl Order {
    /// As bytes, for the object.
    pub fn encode(&self) -> Result<Vec<u8>, MeterError> {
        postcard::to_extend(self, vec![ORDER]).map_err(|_| MeterError::Ask)
    }

    fn decode(body: &[u8]) -> Result<Self, MeterError> {
        let bounded = |order: &Self| match order {
            Self::Look => true,
            Self::Deny(denial) => denial.is_bounded(),
            Self::Lift(id, lifted) => {
                is_id(id) && lifted.by.len() <= MAX_ID && lifted.reason.len() <= MAX_REASON
            }
        };
        exactly::<Self>(body).filter(bounded).ok_or(MeterError::Ask)
    }
}

impl Report {
    /// From the bytes that the object sent.
    pub fn decode(bytes: &[u8]) -> Result<Self, MeterError> {
        match bytes.split_first() {
            Some((&REPORT, body)) => exactly(body).ok_or(MeterError::Answer),
            _ => Err(MeterError::Answer),
        }
    }
}

/// What the object keeps.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
struct Kept {
    seen: Timestamp,
    armed: Timestamp,
    version: u64,
    denials: Vec<Denial>,
}

/// Whether these are the bytes of a list.
pub(super) fn is_list(state: &[u8]) -> bool {
    state.get(1) == Some(&KIND)
}

/// Checks a stored list.
pub(super) fn resume(stored: &[u8]) -> Result<Vec<u8>, MeterError> {
    open(stored).map(|_| stored.to_vec())
}

/// Takes an order; `None`: the bytes are something else.
pub(super) fn decide(
    state: Option<&[u8]>,
    ask: &[u8],
    now: Timestamp,
) -> Option<Result<Decided, MeterError>> {
    let (&ORDER, body) = ask.split_first()? else {
        return None;
    };
    Some(Order::decode(body).and_then(|order| take(state, order, now)))
}

fn take(state: Option<&[u8]>, order: Order, now: Timestamp) -> Result<Decided, MeterError> {
    let mut kept = state.map_or_else(|| Ok(Kept::default()), open)?;
    let now = Clock(kept.seen).at(now);
    kept.seen = now;
    kept.denials.retain(|denial| now < denial.until);
    let outcome = match order {
        Order::Look => Outcome::Looked,
        Order::Deny(denial) => deny(&mut kept, denial, now)?,
        Order::Lift(id, lifted) => lift(&mut kept, &id, lifted, now),
    };
    let (mut persist, mut alarm) = (None, None);
    if matches!(outcome, Outcome::Denied | Outcome::Lifted) {
        // As high as the time, so that it also grows past what was forgotten with an empty list.
        kept.version = now.max(kept.version.saturating_add(1));
        if kept.armed <= now {
            kept.armed = over(&kept);
            alarm = Some(kept.armed);
        }
        persist = Some(seal(&kept)?);
    }
    let state = match &persist {
        Some(bytes) => bytes.clone(),
        None => seal(&kept)?,
    };
    let report = Report {
        outcome,
        version: kept.version,
        denials: kept.denials,
    };
    Ok(Decided {
        state,
        answer: postcard::to_extend(&report, vec![REPORT]).map_err(|_| MeterError::Answer)?,
        persist,
        alarm,
    })
}

fn deny(kept: &mut Kept, mut denial: Denial, now: Timestamp) -> Result<Outcome, MeterError> {
    if let Some(known) = kept.denials.iter().find(|known| known.id == denial.id) {
        let same = (&known.target, &known.by, &known.reason) == (&denial.target, &denial.by, &denial.reason);
        return Ok(if same { Outcome::Before } else { Outcome::Taken });
    }
    denial.at = now;
    denial.until = denial.until.min(now.saturating_add(LONGEST));
    kept.denials.push(denial);
    // What was lifted is only remembered: it makes room, the oldest first.
    while kept.denials.len() > MAX_KEPT || seal(kept)?.len() > MAX_BYTES {
        let Some(place) = kept.denials.iter().position(|known| known.lifted.is_some()) else {
            kept.denials.pop();
            return Ok(Outcome::Full);
        };
        kept.denials.remove(place);
    }
    Ok(Outcome::Denied)
}

fn lift(kept: &mut Kept, id: &str, lifted: Lifted, now: Timestamp) -> Outcome {
    match kept.denials.iter_mut().find(|known| known.id == id) {
        None => Outcome::Unknown,
        Some(known) if known.lifted.is_some() => Outcome::Before,
        Some(known) => {
            known.lifted = Some(Lifted { at: now, ..lifted });
            Outcome::Lifted
        }
    }
}

/// When all of it may be forgotten.
fn over(kept: &Kept) -> Timestamp {
    let last = kept.denials.iter().map(|denial| denial.until).max();
    last.unwrap_or(0).max(kept.seen).saturating_add(LINGER)
}

/// What to do when the alarm of the list goes off.
pub(super) fn on_alarm(state: &[u8], now: Timestamp) -> Result<Alarm, MeterError> {
    let at = over(&open(state)?);
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
    exactly(object::body(KIND, bytes)?).ok_or(MeterError::State)
}

#[cfg(test)]
#[path = "denials_tests.rs"]
mod tests;
