//! What was reserved for one call, what its attempts came to, and what is settled at its end.
//!
//! An object has charged the upper bound of the first attempt when the call was admitted. An attempt that
//! failed and may yet be billed keeps its part of the reservation, so the next one needs more: it is
//! reserved ([`Account::lacks`]) before that attempt is made. At the end the object is told what was really
//! used ([`Account::settlement`]).

use serde::{Deserialize, Serialize};
use turnpike_policy::{Limit, LimitKind, Millis, Price, Unit};

use crate::meter::{Ask, Asked, MeterError, Settle, amount};
use crate::settle::{Bound, Settlement};

/// The reservation of one call.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Account {
    /// The object that keeps it.
    object: String,
    /// What one attempt can use at the most.
    bound: Bound,
    /// How long the object keeps it, in milliseconds.
    hold: Millis,
    /// One for each budget, in the order of the limits.
    entries: Vec<Entry>,
}

#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
struct Entry {
    id: String,
    unit: Unit,
    /// What the object has charged.
    reserved: u64,
    /// What attempts that failed may be billed.
    billed: u64,
}

/// What an object is told at the end of a call.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Settled {
    /// Its name.
    pub object: String,
    /// What it is told.
    pub settle: Vec<u8>,
}

/// Whether a limit's charge may be corrected, or its place given back.
pub(crate) fn is_held(limit: &Limit) -> bool {
    matches!(
        limit.kind,
        LimitKind::Budget { .. } | LimitKind::Concurrency { .. }
    )
}

/// How much of a limit a first attempt at `price` may use.
pub(crate) fn first(limit: &Limit, bound: Bound, price: Option<&Price>) -> u64 {
    match limit.kind {
        LimitKind::Budget { unit, .. } => amount::at_most(bound, unit, price),
        _ => 0,
    }
}

impl Account {
    /// Of a call that was admitted with these limits; none: nothing is held for it.
    pub(crate) fn open(
        object: String,
        limits: &[&Limit],
        bound: Bound,
        price: Option<&Price>,
        hold: Millis,
    ) -> Option<Self> {
        if !limits.iter().any(|limit| is_held(limit)) {
            return None;
        }
        let entries = limits
            .iter()
            .filter_map(|limit| match limit.kind {
                LimitKind::Budget { unit, .. } => Some(Entry {
                    id: limit.id.clone(),
                    unit,
                    reserved: first(limit, bound, price),
                    billed: 0,
                }),
                _ => None,
            })
            .collect();
        Some(Self {
            object,
            bound,
            hold,
            entries,
        })
    }

    /// What one attempt can use at the most.
    pub(crate) const fn bound(&self) -> Bound {
        self.bound
    }

    /// The object that keeps it.
    pub(crate) fn object(&self) -> &str {
        &self.object
    }

    /// Notes that an attempt at `price` has failed and may be billed so much.
    pub(crate) fn bill(&mut self, settlement: Settlement, price: Option<&Price>) {
        for entry in &mut self.entries {
            let used = amount::settled(settlement, entry.unit, price);
            entry.billed = entry.billed.saturating_add(used);
        }
    }

    /// What must be reserved on top before another attempt at `price` may be made, as an object is asked
    /// for it; none: enough is reserved. `part` tells it from what was asked before.
    pub(crate) fn lacks(
        &self,
        request: &str,
        part: u32,
        limits: &[&Limit],
        price: Option<&Price>,
    ) -> Result<Option<Vec<u8>>, MeterError> {
        let asked: Vec<Asked<'_>> = self
            .entries
            .iter()
            .filter_map(|entry| {
                let more = entry.needs(self.bound, price).saturating_sub(entry.reserved);
                let limit = limits.iter().find(|limit| limit.id == entry.id)?;
                (more > 0).then(|| Asked::new(limit, more))
            })
            .collect();
        if asked.is_empty() {
            return Ok(None);
        }
        let ask = Ask {
            request,
            part,
            cost: 0,
            hold: self.hold,
            lease: None,
            limits: asked,
        };
        ask.encode().map(Some)
    }

    /// Notes that what another attempt at `price` lacks was reserved.
    pub(crate) fn topped_up(&mut self, price: Option<&Price>) {
        for entry in &mut self.entries {
            entry.reserved = entry.reserved.max(entry.needs(self.bound, price));
        }
    }

    /// What the object is told when the call is over and its last attempt, at `price`, came to this.
    pub(crate) fn settlement(
        &self,
        request: &str,
        last: Settlement,
        price: Option<&Price>,
    ) -> Result<Settled, MeterError> {
        let used = self
            .entries
            .iter()
            .map(|entry| {
                let used = amount::settled(last, entry.unit, price).saturating_add(entry.billed);
                (entry.id.as_str(), used)
            })
            .collect();
        Ok(Settled {
            object: self.object.clone(),
            settle: Settle { request, used }.encode()?,
        })
    }
}

impl Entry {
    /// What must be reserved for another attempt at `price`.
    fn needs(&self, bound: Bound, price: Option<&Price>) -> u64 {
        amount::at_most(bound, self.unit, price).saturating_add(self.billed)
    }
}
