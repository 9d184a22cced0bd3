//! What is written in the books of an object with everything that may be asked of it.

use std::collections::{BTreeMap, VecDeque};

use super::limits::Limits;
use super::page::{RECENT, REMEMBERED};
use super::*;

#[derive(Clone, Default)]
pub(crate) struct Hold {
    pub(crate) until: u64,
    pub(crate) places: u32,
    pub(crate) asks: Vec<u64>,
    /// Limit, window, amount.
    pub(crate) parts: Vec<(&'static str, u64, u64)>,
}

/// What a request has cost by now.
#[derive(Clone, Default)]
pub(crate) struct Cost {
    /// When it was charged first, and last.
    pub(crate) since: u64,
    pub(crate) at: u64,
    pub(crate) of: BTreeMap<&'static str, i128>,
}

/// What the object must remember across a crash, if it says that it stored it.
#[derive(Clone, Default)]
pub(crate) struct Entries {
    pub(crate) seen: u64,
    /// By limit and window.
    pub(crate) charged: BTreeMap<(&'static str, u64), u64>,
    /// By request, and whether it is only tried.
    pub(crate) holds: BTreeMap<(String, bool), Hold>,
    known: VecDeque<(u64, u64)>,
    /// By their ids: limit, amount, how much was booked, until when it is kept.
    pub(crate) credits: BTreeMap<String, (&'static str, u64, u64, u64)>,
    /// What requests cost that are not over.
    pub(crate) costs: BTreeMap<String, Cost>,
    /// When what requests had asked was taken back.
    pub(crate) taken_back: BTreeMap<String, u64>,
}

impl Entries {
    pub(crate) fn knows(&self, mark: u64) -> Option<u64> {
        let recent = self.known.iter().filter(|(at, _)| self.seen <= at + REMEMBERED);
        recent
            .clone()
            .find(|(_, known)| *known == mark)
            .map(|(at, _)| *at)
    }

    pub(crate) fn add(&mut self, mark: u64) {
        while self
            .known
            .front()
            .is_some_and(|(at, _)| self.seen > at + REMEMBERED)
            || self.known.len() >= RECENT
        {
            self.known.pop_front();
        }
        self.known.push_back((self.seen, mark));
    }

    /// Charges what a request may use, now; the window that is charged.
    pub(crate) fn charge(&mut self, limits: &Limits, request: &str, name: &'static str, amount: u64) -> u64 {
        let window = limits.index(name, self.seen);
        *self.charged.entry((name, window)).or_default() += amount;
        let first = || Cost {
            since: self.seen,
            ..Cost::default()
        };
        let cost = self.costs.entry(request.to_owned()).or_insert_with(first);
        cost.at = self.seen;
        *cost.of.entry(name).or_default() += i128::from(amount);
        window
    }

    pub(crate) fn give_back(&mut self, request: Option<&str>, name: &'static str, window: u64, amount: u64) {
        let charged = self.charged.entry((name, window)).or_default();
        // Of what was credited nothing is left to be given back.
        *charged = charged.saturating_sub(amount);
        if let Some(cost) = request.and_then(|request| self.costs.get_mut(request)) {
            *cost.of.entry(name).or_default() -= i128::from(amount);
        }
    }

    /// Gives back what counts now, the newest first; how much it was.
    pub(crate) fn credit(&mut self, limits: &Limits, name: &'static str, amount: u64) -> u64 {
        let now = limits.index(name, self.seen);
        let mut left = amount;
        for ((_, window), charged) in self.charged.range_mut((name, 0)..=(name, now)).rev() {
            if limits.counts(name, *window, now) {
                let taken = left.min(*charged);
                *charged -= taken;
                left -= taken;
            }
        }
        amount - left
    }

    pub(crate) fn undo(&mut self, request: &str, hold: Hold) {
        for (name, window, amount) in hold.parts {
            self.give_back(Some(request), name, window, amount);
        }
    }

    /// Ends a trial, as if it had not been.
    pub(crate) fn release(&mut self, request: &str) -> bool {
        let trial = self.holds.remove(&(request.to_owned(), true));
        let known = trial.is_some();
        if let Some(hold) = trial {
            self.undo(request, hold);
        }
        known
    }

    pub(crate) fn reach(&mut self, clock: u64) {
        self.seen = self.seen.max(clock);
        let over: Vec<_> = {
            let over = self.holds.iter().filter(|(_, hold)| hold.until <= self.seen);
            over.map(|(key, _)| key.clone()).collect()
        };
        for key in over {
            let hold = self.holds.remove(&key).unwrap();
            if key.1 {
                self.undo(&key.0, hold);
            }
        }
        self.credits.retain(|_, credit| credit.3 > self.seen);
        // Nobody asks for them any more.
        let long_ago = self.seen.saturating_sub(3 * HOLD);
        self.costs.retain(|_, cost| cost.at > long_ago);
        self.taken_back.retain(|_, at| *at > long_ago);
    }

    /// What counts against a limit now: also what is tried and will be charged in this window, not in its own.
    pub(crate) fn used(&self, limits: &Limits, name: &str) -> u64 {
        let now = limits.index(name, self.seen);
        let charged = self
            .charged
            .iter()
            .filter(|((of, at), _)| *of == name && limits.counts(name, *at, now));
        let trials = self
            .holds
            .iter()
            .filter(|(key, _)| key.1)
            .flat_map(|(_, hold)| &hold.parts);
        let carried = trials
            .filter(|part| part.0 == name && !limits.counts(name, part.1, now))
            .map(|part| part.2);
        charged.map(|(_, charged)| *charged).sum::<u64>() + carried.sum::<u64>()
    }

    pub(crate) fn places(&self) -> u32 {
        self.holds.values().map(|hold| hold.places).sum()
    }

    pub(crate) fn tries(&self) -> bool {
        self.holds.keys().any(|(_, trial)| *trial)
    }
}
