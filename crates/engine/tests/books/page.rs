//! What is written in the books: the limits of a run, and what was charged to them.

use std::collections::{BTreeMap, VecDeque};

use turnpike_policy::{LimitKind, Rate, Unit, Window};

use super::{Random, chunk, minute, quota, rate};

/// How many admitted asks an object promises to know again.
pub(crate) const RECENT: usize = 1_024;
/// For how long an object knows what it admitted, in milliseconds.
pub(crate) const REMEMBERED: u64 = 10_000;

/// The limits of a run.
#[derive(Clone, Copy)]
pub(crate) struct Limits {
    pub(crate) fast: Rate,
    pub(crate) slow: Rate,
    pub(crate) per_minute: u64,
    pub(crate) per_hour: u64,
    pub(crate) tokens: u64,
    pub(crate) money: u64,
    pub(crate) places: u32,
}

pub(crate) const NAMES: [&str; 7] = ["fast", "slow", "minute", "hour", "tokens", "money", "places"];

impl Limits {
    pub(crate) fn new(random: &mut Random) -> Self {
        Self {
            fast: rate(random),
            slow: Rate {
                count: 1,
                period: random.between(500, 30_000),
                burst: 5,
            },
            per_minute: random.between(1, 200),
            per_hour: random.between(20, 2_000),
            tokens: random.between(1, 3_000),
            money: random.between(1_000, 1_000_000_000_000),
            places: u32::try_from(random.between(1, 12)).unwrap(),
        }
    }

    pub(crate) fn kind(&self, name: &str) -> LimitKind {
        match name {
            "fast" => LimitKind::Rate(self.fast),
            "slow" => LimitKind::Rate(self.slow),
            "minute" => quota(self.per_minute, Window::Minute),
            "hour" => quota(self.per_hour, Window::Hour),
            "tokens" => LimitKind::Budget {
                count: self.tokens,
                window: Window::Minute,
                unit: Unit::Tokens,
            },
            "money" => LimitKind::Budget {
                count: self.money,
                window: Window::Hour,
                unit: Unit::NanoUsd,
            },
            _ => LimitKind::Concurrency { count: self.places },
        }
    }
}

/// What a rate owes lies between two instants, in units of `1 / count` of a millisecond: a crash may cost it what
/// is stored ahead, and what was lost of that is not known before it is asked.
#[derive(Clone, Copy, Default)]
pub(crate) struct Owed {
    pub(crate) least: u128,
    pub(crate) most: u128,
}

impl Owed {
    pub(crate) fn after(tat: u128, rate: &Rate, now: u64, cost: u32) -> u128 {
        tat.max(u128::from(now) * u128::from(rate.count)) + u128::from(cost) * u128::from(rate.period)
    }

    pub(crate) fn bound(rate: &Rate, now: u64) -> u128 {
        u128::from(now) * u128::from(rate.count) + u128::from(rate.burst) * u128::from(rate.period)
    }

    /// Whether so many pass: yes, no, or it depends on what a crash has cost.
    pub(crate) fn passes(self, rate: &Rate, now: u64, cost: u32) -> Option<bool> {
        let bound = Self::bound(rate, now);
        if Self::after(self.most, rate, now, cost) <= bound {
            return Some(true);
        }
        (Self::after(self.least, rate, now, cost) > bound).then_some(false)
    }

    pub(crate) fn pass(&mut self, rate: &Rate, now: u64, cost: u32) {
        self.least = Self::after(self.least, rate, now, cost);
        self.most = Self::after(self.most, rate, now, cost)
            .min(Self::bound(rate, now))
            .max(self.least);
    }

    pub(crate) fn crash(&mut self, rate: &Rate) {
        self.most += u128::from(chunk(rate)) * u128::from(rate.period);
    }

    /// How many could pass at least and at most.
    pub(crate) fn remaining(self, rate: &Rate, now: u64) -> (u64, u64) {
        let of = |tat: u128| {
            let owed = tat.saturating_sub(u128::from(now) * u128::from(rate.count));
            let burst = u128::from(rate.burst) * u128::from(rate.period);
            u64::try_from(burst.saturating_sub(owed) / u128::from(rate.period)).unwrap()
        };
        (of(self.most), of(self.least))
    }
}

/// What one request holds.
#[derive(Clone, Default)]
pub(crate) struct Hold {
    pub(crate) until: u64,
    pub(crate) places: u32,
    /// Budget, window, amount.
    pub(crate) parts: Vec<(&'static str, u64, u64)>,
}

/// What an object must remember across a crash, if it says that it stored it.
#[derive(Clone, Default)]
pub(crate) struct Page {
    pub(crate) seen: u64,
    /// By limit and window.
    pub(crate) charged: BTreeMap<(&'static str, u64), u64>,
    pub(crate) holds: BTreeMap<String, Hold>,
    pub(crate) recent: VecDeque<(u64, Vec<u8>)>,
}

pub(crate) fn window(name: &str, at: u64) -> u64 {
    match name {
        "minute" | "tokens" => minute(at),
        _ => at / 3_600_000,
    }
}
