//! What a subject's object decides: all limits of one subject, in one place, one call at a time.
//!
//! The Durable Object class is a shell that holds bytes. For each call it does this, in this order:
//!
//! 1. without state in memory: read what is stored; if there is something, [`resume`] it;
//! 2. [`decide`]; on an error answer "unavailable" and change nothing;
//! 3. keep [`Decided::state`] in memory; write [`Decided::persist`] and set [`Decided::alarm`],
//!    where there are any, *before* the answer leaves. Both in one synchronous turn, so that no
//!    other call comes between. If a write fails, the answer must not leave and the state in
//!    memory must be dropped.
//!
//! # What survives
//! An object leaves memory after some ten idle seconds, and whenever the platform likes. A quota is
//! therefore written in each call that it admits. A rate is not: what is stored of it is a *mark*
//! ahead of its TAT by at most a tenth of the burst and at most what it emits in a second, and it is
//! written anew only when the TAT passes the mark. Who resumes takes the mark for the TAT. So what
//! was lost with the memory was already paid: a crash may admit up to that much less, never more.
//! Rates that are asked together with a quota are written with it, and lose nothing.
//!
//! # What a new law finds
//! A limit whose numbers change between deploys keeps its id. A quota with another count goes on
//! counting. Any other change begins a new law, which starts with what the subject owes in requests
//! under the old ones (all that is known to be used in the window of a quota; of a rate at most a
//! whole burst). While something is owed under any of them all are kept, and each is booked with every
//! request that another one admits. So two versions of the Worker that ask in turn, as
//! during a rollout, each find their own law whole, and a rollback finds the truth.

mod holds;
mod law;
mod ledger;
mod recent;
mod void;

use serde::{Deserialize, Serialize};
use turnpike_policy::{LimitKind, Timestamp};

use super::{
    Answer, Ask, Asked, Clock, Held, Judged, MeterError, Mode, Outcome, Settle, Standing, exactly,
    is_shadowed, judge, lease,
};
use crate::meter::correction::{Credited, Order};
use crate::meter::{denials, proofs};
use holds::Hold;
pub use holds::MAX_HELD;
use law::Law;
use recent::Recent;

/// The most laws that one object keeps while something is owed under them.
pub const MAX_KEPT: usize = 1_024;
/// The most laws that are kept for one limit id while its numbers change.
const MAX_LAWS: usize = 4;
/// How much longer than it lasts a lease is remembered, in milliseconds.
const LEASED_AHEAD: u64 = 10_000;
/// How long an object outlives what it is owed, in milliseconds: a clock that is set back by less
/// finds the windows that it had closed, and a busy object is not woken more often.
pub const LINGER: u64 = 600_000;

/// When an alarm comes again that found what it could not read, in milliseconds.
pub const LATER: u64 = 24 * 60 * 60 * 1_000;

/// The version of the state as bytes: their first byte. Stored states outlive builds: a build that writes another
/// version reads the one before too.
const VERSION: u8 = 5;
/// The second byte: what the object has in memory, or what it has stored. They differ in meaning
/// (of a rate: its TAT, or a mark ahead of it), so neither is taken for the other.
const MEMORY: u8 = b'M';
const STORED: u8 = b'S';

/// What one call leads to.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Decided {
    /// The state to keep in memory.
    pub state: Vec<u8>,
    /// What to answer: an [`Answer`] as bytes.
    pub answer: Vec<u8>,
    /// What to store before the answer leaves, in place of what is stored.
    pub persist: Option<Vec<u8>>,
    /// When to set the object's alarm for, before the answer leaves; none: leave it as it is.
    pub alarm: Option<Timestamp>,
}

/// What an alarm leads to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Alarm {
    /// Nothing is owed: delete what is stored and drop the state in memory.
    Forget,
    /// Something is owed: set the alarm again, for this time.
    Rearm(Timestamp),
}

/// Everything that is known of a subject.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
struct State<'a> {
    /// The latest time that was seen.
    seen: Timestamp,
    /// The alarm that was set last.
    armed: Timestamp,
    #[serde(borrow)]
    records: Vec<Record<'a>>,
    #[serde(borrow)]
    recent: Recent<'a>,
    #[serde(borrow)]
    holds: Vec<Hold<'a>>,
    /// Until when isolates may spend what they took in advance: a time that is not before it.
    leased: Timestamp,
    /// What operators gave back, the oldest first.
    #[serde(borrow)]
    credits: Vec<Credited<'a>>,
}

/// What is known under one law of one limit.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
struct Record<'a> {
    id: &'a str,
    law: Law,
}

/// What is stored, as the state of an object that enters memory.
pub fn resume(persisted: &[u8]) -> Result<Vec<u8>, MeterError> {
    if denials::is_list(persisted) {
        return denials::resume(persisted);
    }
    if proofs::is_list(persisted) {
        return proofs::resume(persisted);
    }
    seal(MEMORY, &open(STORED, persisted)?)
}

/// Decides one ask or takes one back, or takes a settlement or an operator's order. `state` is what is in memory; none: nothing is, and nothing is
/// stored either.
pub fn decide(state: Option<&[u8]>, ask: &[u8], now: Timestamp) -> Result<Decided, MeterError> {
    let other = denials::decide(state, ask, now).or_else(|| proofs::decide(state, ask, now));
    if let Some(decided) = other {
        return decided;
    }
    match decide_limits(state, ask, now) {
        Err(MeterError::Crowded) => crowded(state),
        decided => decided,
    }
}

/// What is answered where there is no room, and everything stays as it was.
fn crowded(state: Option<&[u8]>) -> Result<Decided, MeterError> {
    let answer = Answer {
        outcome: Outcome::Crowded,
        leased: 0,
        shadowed: 0,
        standings: Vec::new(),
    };
    Ok(Decided {
        state: match state {
            Some(state) => state.to_vec(),
            None => seal(MEMORY, &State::default())?,
        },
        answer: answer.encode()?,
        persist: None,
        alarm: None,
    })
}

fn decide_limits(state: Option<&[u8]>, ask: &[u8], now: Timestamp) -> Result<Decided, MeterError> {
    let mut state = match state {
        Some(bytes) => open(MEMORY, bytes)?,
        None => State::default(),
    };
    if let Some(settle) = Settle::decode(ask) {
        return settled(state, &settle?, now);
    }
    if let Some(voided) = void::of(ask) {
        return void::take(state, voided, now);
    }
    if let Some(order) = Order::decode(ask) {
        return ledger::take(state, &order?, now);
    }
    let fingerprint = digest(ask);
    let ask = Ask::decode(ask)?;

    let wall = now;
    let (now, late) = reach(&mut state, now);
    prune(&mut state, now);
    if ask.mode == Mode::Confirm {
        // There is room for it: whatever came meanwhile was judged with it.
        holds::release(&mut state.holds, &mut state.records, ask.request);
    }

    // Asked again, it gives nothing back again: neither where it was admitted nor where it was refused.
    let given = fingerprint.rotate_left(32);
    if let Some(lease) = ask.lease.filter(|lease| lease.back > 0)
        && !state.recent.knows(given, now)
    {
        state.recent.add(given, now);
        for record in &mut state.records {
            if ask.limits.iter().any(|one| one.id == record.id) {
                record.law = record.law.give_back(lease.taken, lease.back);
            }
        }
    }
    let (chosen, seeded) = choose(&mut state.records, &ask.limits, now)?;
    let again = !ask.request.is_empty()
        && (state.recent.knows(fingerprint, now) || holds::knows(&state.holds, ask.request, fingerprint));

    let found: Vec<Held> = ask
        .limits
        .iter()
        .zip(&chosen)
        .map(|(one, index)| held(&state, *index, one))
        .collect();
    let (judged, leased) = if again {
        (None, 0)
    } else {
        let (judged, leased) = judge_ask(&ask, &found, state.leased, now);
        (Some(judged), leased)
    };
    let mut write = seeded || late;
    let until = now.saturating_add(ask.lease.map_or(0, |lease| lease.life));
    if leased > 0 && until > state.leased {
        // Ahead, so that it is not written with every lease.
        state.leased = until.saturating_add(LEASED_AHEAD);
        write = true;
    }
    let mut shadowed = 0;
    let outcome = match judged {
        None => Outcome::Admitted,
        Some(Err(refused)) => refused.told(now, wall),
        Some(Ok(_)) if ask.mode == Mode::Look => Outcome::Admitted,
        Some(Ok(judged)) => {
            shadowed = judged.shadowed;
            let requests = ask.cost.saturating_add(leased);
            write |= charge(&mut state.records, &ask, requests, &chosen, shadowed, now);
            holds::add(&mut state.holds, &ask, (fingerprint, shadowed), now)?;
            if !ask.request.is_empty() {
                state.recent.add(fingerprint, now);
                if leased > 0 {
                    state.recent.add(void::leased(fingerprint), now);
                }
            }
            Outcome::Admitted
        }
    };

    let standings = standings(&state, &ask.limits, &chosen, wall);
    // What was only looked at leaves nothing behind.
    prune(&mut state, now);

    // What is counted exactly has the next call written too, so a mark ahead would spare nothing.
    let through = ask
        .limits
        .iter()
        .any(|one| !matches!(one.kind, LimitKind::Rate(_)));
    let answer = Answer {
        outcome,
        leased,
        shadowed,
        standings,
    };
    closed(state, answer.encode()?, write.then_some(!through))
}

/// What is held of a limit, by the record that judges it.
fn held(state: &State<'_>, index: Option<usize>, asked: &Asked<'_>) -> Held {
    match asked.kind {
        LimitKind::Concurrency { .. } => Held::Places(holds::taken(&state.holds, asked.id)),
        _ => index
            .and_then(|index| state.records.get(index))
            .map_or(Held::idle(&asked.kind), |record| {
                let law = record
                    .law
                    .book_rate(state.seen, holds::tried(&state.holds, asked.id));
                match holds::carried(&state.holds, asked, state.seen) {
                    0 => law.held(),
                    carried => law.book(state.seen, carried).held(),
                }
            }),
    }
}

/// How limits stand: of a rate, while any of it may be out in advance, what passes beside that.
fn standings(
    state: &State<'_>,
    limits: &[Asked<'_>],
    chosen: &[Option<usize>],
    wall: Timestamp,
) -> Vec<Standing> {
    let now = state.seen;
    let narrowed = (state.leased > now).then(|| lease::narrowed(limits));
    let limits = narrowed.as_deref().unwrap_or(limits).iter();
    let stands = |(one, index): (&Asked<'_>, &Option<usize>)| {
        held(state, *index, one).standing(&one.kind, now).told(now, wall)
    };
    limits.zip(chosen).map(stands).collect()
}

/// Judges what is asked, with the lease if that passes too: what is held afterwards or the refusal, and how
/// much is leased. `leased`: until when an earlier lease may be out.
fn judge_ask(
    ask: &Ask<'_>,
    found: &[Held],
    leased: Timestamp,
    now: Timestamp,
) -> (Result<Judged, Outcome>, u32) {
    let at_most =
        |limits: &[Asked<'_>], requests: u32| judge(limits.iter().zip(found.iter().copied()), now, requests);
    // What was taken in advance passes later than it was charged: while any may be out, bursts are
    // smaller by what passes meanwhile.
    let narrowed = lease::narrowed(&ask.limits);
    if let Some(wish) = ask.lease.map(|lease| lease.wish).filter(|wish| *wish > 0)
        && let Some(requests) = ask.cost.checked_add(wish)
        && let Ok(after) = at_most(&narrowed, requests)
        // What an isolate spends by itself no limit in the shadow would be asked for, nor tell of.
        && after.shadowed == 0
    {
        return (Ok(after), wish);
    }
    let limits = if leased > now { &narrowed } else { &ask.limits };
    (at_most(limits, ask.cost), 0)
}

/// Brings the state to an instant: forgets what is over by then. The time by the object's own clock, and whether
/// what is stored would admit more now.
fn reach(state: &mut State<'_>, now: Timestamp) -> (Timestamp, bool) {
    let now = Clock(state.seen).at(now);
    // It is in all that is stored, so what is over stays over, after a crash too.
    state.seen = now;
    let write = end_leases(state, now);
    holds::expire(&mut state.holds, &mut state.records, now);
    state.credits.retain(|credit| credit.until > now);
    (now, write)
}

/// Goes back to whole bursts when no lease can be out any more.
///
/// What was taken in advance may have passed at its very end, so an interval that ends after it holds requests that
/// were charged before it began. As many as the rate emits in the life of a lease are booked at that end: whoever
/// is judged by the whole burst afterwards is judged beside them (see [`lease`]). Whether a rate has outrun what is
/// stored of it.
fn end_leases(state: &mut State<'_>, now: Timestamp) -> bool {
    if state.leased == 0 || state.leased > now {
        return false;
    }
    for record in &mut state.records {
        record.law = record.law.book_late(state.leased);
    }
    state.leased = 0;
    state
        .records
        .iter()
        .any(|record| record.law.is_rate() && record.law.outran_storage())
}

/// Takes a settlement.
fn settled(mut state: State<'_>, settle: &Settle<'_>, now: Timestamp) -> Result<Decided, MeterError> {
    let (now, late) = reach(&mut state, now);
    let found = holds::settle(&mut state.holds, &mut state.records, settle, now);
    prune(&mut state, now);
    closed(state, done()?, (found || late).then_some(false))
}

/// What is answered to who asked for nothing.
fn done() -> Result<Vec<u8>, MeterError> {
    let answer = Answer {
        outcome: Outcome::Admitted,
        leased: 0,
        shadowed: 0,
        standings: Vec::new(),
    };
    answer.encode()
}

/// What a call leads to. `write`: whether it must be stored, and then whether rates are stored by a mark
/// that is ahead of them.
fn closed(mut state: State<'_>, answer: Vec<u8>, write: Option<bool>) -> Result<Decided, MeterError> {
    let now = state.seen;
    let (mut persist, mut alarm) = (None, None);
    if let Some(ahead) = write {
        for record in &mut state.records {
            record.law.set_mark(now, ahead);
        }
        if state.armed <= now {
            state.armed = over(&state).max(now).saturating_add(LINGER);
            alarm = Some(state.armed);
        }
        persist = Some(seal(STORED, &stored(&state))?);
    }
    Ok(Decided {
        state: seal(MEMORY, &state)?,
        answer,
        persist,
        alarm,
    })
}

/// What to do when the alarm of an object goes off that has nothing in memory.
///
/// What this build cannot read (another one has stored it) is kept: a later build, or the one before, may read it. It
/// is looked at again after [`LATER`]; to fail would end the alarm, and the object would never be cleared.
pub fn on_stored_alarm(persisted: &[u8], now: Timestamp) -> Alarm {
    resume(persisted)
        .and_then(|state| on_alarm(&state, now))
        .unwrap_or(Alarm::Rearm(now.saturating_add(LATER)))
}

/// What to do when the object's alarm goes off. `state` is what is in memory; if nothing is, see
/// [`on_stored_alarm`].
pub fn on_alarm(state: &[u8], now: Timestamp) -> Result<Alarm, MeterError> {
    if denials::is_list(state) {
        return denials::on_alarm(state, now);
    }
    if proofs::is_list(state) {
        return proofs::on_alarm(state, now);
    }
    let state = open(MEMORY, state)?;
    let at = over(&state).max(state.seen).saturating_add(LINGER);
    Ok(if at <= now {
        Alarm::Forget
    } else {
        Alarm::Rearm(at)
    })
}

/// Drops what is over. A law of a limit that has others stays until all of them are over: to make it
/// anew from what they are owed would charge again what it has seen paid.
///
/// A rate stays while leases are out, paid off or not: what of them passes late is booked to it.
fn prune(state: &mut State<'_>, now: Timestamp) {
    let leased = state.leased > now;
    let lives = |record: &Record<'_>| record.law.over() > now || (leased && record.law.is_rate());
    if state.records.iter().all(lives) {
        return;
    }
    let live: Vec<&str> = state
        .records
        .iter()
        .filter(|record| lives(record))
        .map(|record| record.id)
        .collect();
    state.records.retain(|record| live.contains(&record.id));
}

/// When the last of these laws, holds and credits may be forgotten.
fn over(state: &State<'_>) -> Timestamp {
    let laws = state.records.iter().map(|record| record.law.over()).max();
    laws.unwrap_or(0)
        .max(holds::over(&state.holds))
        .max(ledger::over(&state.credits))
}

/// The record of each limit that is asked, made where there is none; and whether one was made for
/// a limit that is already owed something under another law, which must be remembered even if the
/// request is refused: the wait that is told then counts from here.
fn choose<'a>(
    records: &mut Vec<Record<'a>>,
    limits: &[Asked<'a>],
    now: Timestamp,
) -> Result<(Vec<Option<usize>>, bool), MeterError> {
    let mut seeded = false;
    for asked in limits {
        // Places are counted by their holds.
        let Some(fresh) = Law::new(&asked.kind, now, 0) else {
            continue;
        };
        let mut owed = 0;
        let mut laws = 0;
        let mut known = false;
        for record in records.iter_mut().filter(|record| record.id == asked.id) {
            if record.law.judges(&asked.kind) {
                record.law.adopt(&asked.kind);
                known = true;
            }
            if record.law.counts_for(&asked.kind) {
                owed = owed.max(record.law.owed(now));
            }
            laws += 1;
        }
        if known {
            continue;
        }
        if laws >= MAX_LAWS {
            // More changes than anyone makes while one law is owed: the one that ends first goes.
            let first = records
                .iter()
                .enumerate()
                .filter(|(_, record)| record.id == asked.id)
                .min_by_key(|(_, record)| record.law.over())
                .map(|(index, _)| index);
            if let Some(index) = first {
                records.remove(index);
            }
        }
        records.push(Record {
            id: asked.id,
            law: Law::new(&asked.kind, now, owed).unwrap_or(fresh),
        });
        seeded |= owed > 0;
    }
    if records.len() > MAX_KEPT {
        return Err(MeterError::Crowded);
    }
    // Only now: what was removed above has moved the others.
    let chosen = limits
        .iter()
        .map(|asked| {
            if matches!(asked.kind, LimitKind::Concurrency { .. }) {
                return Ok(None);
            }
            records
                .iter()
                .position(|record| record.id == asked.id && record.law.judges(&asked.kind))
                .map(Some)
                .ok_or(MeterError::State)
        })
        .collect::<Result<_, _>>()?;
    Ok((chosen, seeded))
}

/// Charges an admitted request to each law of each limit that was asked; whether that must be
/// written before it is answered.
fn charge(
    records: &mut [Record<'_>],
    ask: &Ask<'_>,
    requests: u32,
    chosen: &[Option<usize>],
    shadowed: u32,
    now: Timestamp,
) -> bool {
    let mut write = false;
    for (at, (asked, index)) in ask.limits.iter().zip(chosen).enumerate() {
        if is_shadowed(shadowed, at) {
            continue;
        }
        let Some(index) = index else {
            // The hold that is added must survive the memory.
            write |= ask.cost > 0;
            continue;
        };
        for (place, record) in records.iter_mut().enumerate() {
            // Rates cannot give back, so a trial is not charged to them.
            if ask.mode == Mode::Try && record.law.is_rate() {
                continue;
            }
            if place == *index || (record.id == asked.id && record.law.counts_for(&asked.kind)) {
                record.law = record.law.book(now, asked.cost(requests));
                write |= record.law.outran_storage();
            }
        }
    }
    write
}

/// The state as it is stored: every rate at its mark.
fn stored<'a>(state: &State<'a>) -> State<'a> {
    let mut stored = state.clone();
    for record in &mut stored.records {
        record.law = record.law.stored();
    }
    stored
}

fn seal(kind: u8, state: &State<'_>) -> Result<Vec<u8>, MeterError> {
    sealed(kind, state)
}

/// Writes a state down: version, kind, content, digest of all three.
pub(super) fn sealed(kind: u8, state: &impl Serialize) -> Result<Vec<u8>, MeterError> {
    let mut bytes = postcard::to_extend(state, vec![VERSION, kind]).map_err(|_| MeterError::State)?;
    let digest = digest_of(kind, &bytes);
    bytes.extend_from_slice(&digest.to_le_bytes());
    Ok(bytes)
}

/// The content of a state of this kind, if it is whole: otherwise it says nothing about what was used.
pub(super) fn body(kind: u8, bytes: &[u8]) -> Result<&[u8], MeterError> {
    let (content, digest_bytes) = bytes.split_last_chunk().ok_or(MeterError::State)?;
    let body = match content {
        [VERSION, found, body @ ..] if *found == kind => body,
        _ => return Err(MeterError::State),
    };
    if u64::from_le_bytes(*digest_bytes) != digest_of(kind, content) {
        return Err(MeterError::State);
    }
    Ok(body)
}

/// Reads a state, or nothing.
fn open(kind: u8, bytes: &[u8]) -> Result<State<'_>, MeterError> {
    let state = exactly::<State<'_>>(body(kind, bytes)?).ok_or(MeterError::State)?;
    if state.records.iter().all(|record| record.law.sound()) {
        Ok(state)
    } else {
        Err(MeterError::State)
    }
}

/// Against damage, not against an enemy: any one changed byte changes it. What is in memory is looked at with each call,
/// and no other build reads it: eight bytes at once.
fn digest_of(kind: u8, bytes: &[u8]) -> u64 {
    if kind != MEMORY {
        return digest(bytes);
    }
    let (words, rest) = bytes.as_chunks();
    words
        .iter()
        .fold(digest(rest), |hash, word| step(hash, u64::from_le_bytes(*word)))
}

/// FNV-1a, 64 bits.
fn digest(bytes: &[u8]) -> u64 {
    bytes
        .iter()
        .fold(0xcbf2_9ce4_8422_2325, |hash, byte| step(hash, (*byte).into()))
}

const fn step(hash: u64, part: u64) -> u64 {
    (hash ^ part).wrapping_mul(0x0100_0000_01b3)
}

#[cfg(test)]
mod hold_tests;
#[cfg(test)]
mod kept_tests;
#[cfg(test)]
mod late_tests;
#[cfg(test)]
mod tests;
#[cfg(test)]
mod void_tests;
