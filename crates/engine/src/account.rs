//! What objects keep for one call, what its attempts came to, and what is settled at its end.
//!
//! An object has charged the upper bound of the first attempt when the call was admitted. An attempt that
//! failed and may yet be billed keeps its part of the reservation, so the next one needs more: it is
//! reserved ([`Account::lacks`]) before that attempt is made. At the end the object is told what was really
//! used ([`Account::settlement`]).

use serde::{Deserialize, Serialize};
use turnpike_policy::{Limit, LimitKind, Millis, Price, SubjectPart, Timestamp, Unit, Zone};

use crate::admit::subject::{Counted, Group};
use crate::meter::{Ask, Asked, MeterError, Mode, Settle, amount};
use crate::settle::{Bound, Settlement};

/// What one object keeps for a call.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Account {
    /// The object.
    object: String,
    /// How long it keeps it, in milliseconds.
    hold: Millis,
    /// One for each budget, in the order of the limits.
    entries: Vec<Entry>,
    /// Whether it holds something until it is told what was used.
    settles: bool,
    /// Whether that is a place among those of a concurrency.
    place: bool,
    /// What takes asks back that came to nothing.
    voids: Vec<Vec<u8>>,
}

#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
struct Entry {
    /// The limit's name in the object.
    id: String,
    /// Its place among the limits of the call.
    place: u32,
    unit: Unit,
    /// The provider whose calls it counts (index into the policy's list); none: all of them.
    provider: Option<u32>,
    /// What the object has charged.
    reserved: u64,
    /// What attempts that failed may be billed.
    billed: u64,
}

/// What one attempt may use.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Attempt<'a> {
    /// Of tokens, at the most.
    pub(crate) bound: Bound,
    /// What they cost.
    pub(crate) price: Option<&'a Price>,
    /// Where it is made (index into the policy's list of providers).
    pub(crate) provider: Option<u32>,
}

/// What an object is told at the end of a call.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Settled {
    /// Its name.
    pub object: String,
    /// What it is told.
    pub settle: Vec<u8>,
    /// It gives a place back, which is the request's until its answer has its last byte.
    pub place: bool,
}

/// Whether a limit's charge may be corrected, or its place given back.
pub(crate) fn is_held(limit: &Limit) -> bool {
    match limit.kind {
        LimitKind::Budget { unit, .. } => unit != Unit::Bytes,
        LimitKind::Concurrency { .. } => true,
        LimitKind::Rate(_) | LimitKind::Quota { .. } => false,
    }
}

/// How much of a limit a call may use whose body has so many bytes, at its first attempt.
pub(crate) fn first(limit: &Limit, attempt: Attempt<'_>, bytes: u64) -> u64 {
    match limit.kind {
        LimitKind::Budget {
            unit: Unit::Bytes, ..
        } => bytes,
        LimitKind::Budget { unit, .. } => amount::at_most(attempt.bound, unit, attempt.price),
        _ => 0,
    }
}

impl Account {
    /// Of a call that was admitted, or tried, with these limits of an object of a subject.
    pub(crate) fn of(group: &Group<'_>, shard: u32, attempt: Attempt<'_>, hold: Millis) -> Self {
        let entries = group
            .limits
            .iter()
            .filter_map(|Counted { id, limit, place }| match limit.kind {
                LimitKind::Budget { unit, .. } if is_held(limit) => Some(Entry {
                    id: id.to_string(),
                    place: *place,
                    unit,
                    provider: attempt
                        .provider
                        .filter(|_| limit.subject.contains(&SubjectPart::Upstream)),
                    reserved: first(limit, attempt, 0),
                    billed: 0,
                }),
                _ => None,
            });
        Self {
            object: group.object_of(shard),
            hold,
            entries: entries.collect(),
            settles: true,
            place: group
                .limits
                .iter()
                .any(|counted| matches!(counted.limit.kind, LimitKind::Concurrency { .. })),
            voids: Vec::new(),
        }
    }

    /// Of a call or an attempt that will not be made, and may have been charged for: what it asked is taken back
    /// ([`Ask::encode_void`]).
    pub(crate) fn void(object: String, void: Vec<u8>) -> Self {
        Self {
            object,
            hold: 0,
            entries: Vec::new(),
            settles: false,
            place: false,
            voids: vec![void],
        }
    }

    /// Whether it is of tokens or money.
    pub(crate) const fn has_budgets(&self) -> bool {
        !self.entries.is_empty()
    }

    /// The object that keeps it.
    pub(crate) fn object(&self) -> &str {
        &self.object
    }

    /// Takes over what another one says of the same object.
    pub(crate) fn absorb(&mut self, other: Self) {
        self.hold = self.hold.max(other.hold);
        self.entries.extend(other.entries);
        self.settles |= other.settles;
        self.place |= other.place;
        self.voids.extend(other.voids);
    }

    /// Notes that an attempt has failed and may be billed so much.
    pub(crate) fn bill(&mut self, settlement: Settlement, attempt: Attempt<'_>) {
        for entry in self.entries.iter_mut().filter(|entry| entry.counts(attempt)) {
            let used = amount::settled(settlement, entry.unit, attempt.price);
            entry.billed = entry.billed.saturating_add(used);
        }
    }

    /// What must be reserved on top before another attempt may be made, as an object is asked
    /// for it; none: enough is reserved. `part` tells it from what was asked before.
    pub(crate) fn lacks(
        &self,
        request: &str,
        part: u32,
        (limits, zones): (&[&Limit], &[Zone]),
        attempt: Attempt<'_>,
        now: Timestamp,
    ) -> Result<Option<Vec<u8>>, MeterError> {
        let asked: Vec<Asked<'_>> = self
            .entries
            .iter()
            .filter(|entry| entry.counts(attempt))
            .filter_map(|entry| {
                let more = entry.needs(attempt).saturating_sub(entry.reserved);
                let limit = usize::try_from(entry.place)
                    .ok()
                    .and_then(|place| limits.get(place))?;
                (more > 0).then(|| Asked::new(&entry.id, limit, zones, more, now))
            })
            .collect();
        if asked.is_empty() {
            return Ok(None);
        }
        let ask = Ask {
            mode: Mode::Charge,
            request,
            part,
            cost: 0,
            hold: self.hold,
            lease: None,
            limits: asked,
        };
        ask.encode().map(Some)
    }

    /// Notes that what another attempt lacks was reserved.
    pub(crate) fn topped_up(&mut self, attempt: Attempt<'_>) {
        for entry in self.entries.iter_mut().filter(|entry| entry.counts(attempt)) {
            entry.reserved = entry.reserved.max(entry.needs(attempt));
        }
    }

    /// What the object is told when the call is over and its last attempt came to this.
    pub(crate) fn settlement(
        &self,
        request: &str,
        last: Settlement,
        attempt: Attempt<'_>,
    ) -> Result<Vec<Settled>, MeterError> {
        let told = |settle, place| Settled {
            object: self.object.clone(),
            settle,
            place,
        };
        let mut all: Vec<Settled> = self.voids.iter().cloned().map(|void| told(void, false)).collect();
        if !self.settles {
            return Ok(all);
        }
        let used = self
            .entries
            .iter()
            .map(|entry| {
                let last = if entry.counts(attempt) {
                    amount::settled(last, entry.unit, attempt.price)
                } else {
                    0
                };
                (entry.id.as_str(), last.saturating_add(entry.billed))
            })
            .collect();
        all.push(told(Settle { request, used }.encode()?, self.place));
        Ok(all)
    }
}

impl Entry {
    /// Whether an attempt is charged to it.
    fn counts(&self, attempt: Attempt<'_>) -> bool {
        self.provider.is_none() || self.provider == attempt.provider
    }

    /// What must be reserved for another attempt.
    fn needs(&self, attempt: Attempt<'_>) -> u64 {
        amount::at_most(attempt.bound, self.unit, attempt.price).saturating_add(self.billed)
    }
}
