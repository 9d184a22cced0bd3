//! The meter against its books: random interleavings of everything that may happen to a subject, and a model of
//! what it must come to, kept the plain way.
//!
//! `cargo test` runs 50,000 operations of each kind; `make test-books`, which is part of `make test`, 10^6 of each
//! (`BOOKS` says how many).
//! A failure names the seed of its run and the operation.

#![expect(
    clippy::expect_used,
    clippy::indexing_slicing,
    clippy::unreachable,
    clippy::unwrap_used,
    reason = "these are tests"
)]

mod counts;
mod entries;
mod exact;
mod leased;
mod ledger;
mod limits;
mod page;
mod split;
mod together;

use turnpike_engine::meter::{Answer, Ask, Asked, LeaseAsk, MeterError, Mode, Outcome, Settle, object};
use turnpike_policy::{LimitKind, Rate, Window};

/// The start of an hour.
const NOW: u64 = 1_800_000_000_000;
const MINUTE: u64 = 60_000;
/// How long a request may take to settle.
const HOLD: u64 = 90_000;
/// Operations of one run: after that, another subject with other limits.
const RUN: u64 = 2_000;

/// How many operations are asked for.
fn operations() -> u64 {
    let asked = std::env::var("BOOKS").ok();
    asked.map_or(50_000, |number| {
        number.parse().expect("BOOKS is a number of operations")
    })
}

/// Numbers that look random: `splitmix64`.
#[derive(Clone)]
struct Random(u64);

impl Random {
    fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut x = self.0;
        x = (x ^ (x >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        x = (x ^ (x >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        x ^ (x >> 31)
    }

    fn below(&mut self, bound: u64) -> u64 {
        self.next() % bound
    }

    fn between(&mut self, from: u64, to: u64) -> u64 {
        from + self.below(to - from + 1)
    }

    fn one_in(&mut self, n: u64) -> bool {
        self.below(n) == 0
    }

    fn index(&mut self, len: usize) -> usize {
        usize::try_from(self.below(len as u64)).unwrap()
    }
}

fn rate(random: &mut Random) -> Rate {
    Rate {
        count: u32::try_from(random.between(1, 400)).unwrap(),
        period: random.between(50, 20_000),
        burst: u32::try_from(random.between(1, 120)).unwrap(),
    }
}

/// One limit of an ask.
fn asked(id: &'static str, kind: LimitKind, amount: u64) -> Asked<'static> {
    Asked {
        id,
        kind,
        amount,
        shadow: false,
    }
}

/// An ask as bytes.
fn ask(request: &str, part: u32, cost: u32, lease: Option<LeaseAsk>, limits: Vec<Asked<'_>>) -> Vec<u8> {
    let ask = Ask {
        mode: Mode::Charge,
        request,
        part,
        cost,
        hold: HOLD,
        lease,
        limits,
    };
    ask.encode().unwrap()
}

fn settle(request: &str, used: Vec<(&str, u64)>) -> Vec<u8> {
    Settle { request, used }.encode().unwrap()
}

/// An object as its shell keeps it.
#[derive(Clone, Default)]
struct Object {
    memory: Option<Vec<u8>>,
    stored: Option<Vec<u8>>,
}

impl Object {
    /// One call, and whether anything was stored.
    fn call(&mut self, bytes: &[u8], now: u64) -> (Answer, bool) {
        let (answer, persist) = self.decide(bytes, now).unwrap();
        let wrote = persist.is_some();
        self.stored = persist.or(self.stored.take());
        (answer, wrote)
    }

    /// One call whose write fails: its answer does not leave, and what is in memory is dropped.
    fn fail(&mut self, bytes: &[u8], now: u64) {
        self.decide(bytes, now).unwrap();
        self.memory = None;
    }

    fn decide(&mut self, bytes: &[u8], now: u64) -> Result<(Answer, Option<Vec<u8>>), MeterError> {
        let (answer, persist) = self.turn(bytes, now)?;
        Ok((Answer::decode(&answer)?, persist))
    }

    /// One call that may be answered otherwise than asks are, and whether anything was stored.
    fn raw(&mut self, bytes: &[u8], now: u64) -> Result<(Vec<u8>, bool), MeterError> {
        let (answer, persist) = self.turn(bytes, now)?;
        let wrote = persist.is_some();
        self.stored = persist.or(self.stored.take());
        Ok((answer, wrote))
    }

    fn turn(&mut self, bytes: &[u8], now: u64) -> Result<(Vec<u8>, Option<Vec<u8>>), MeterError> {
        if self.memory.is_none() {
            self.memory = self
                .stored
                .as_deref()
                .map(|stored| object::resume(stored).unwrap());
        }
        let decided = object::decide(self.memory.as_deref(), bytes, now)?;
        self.memory = Some(decided.state);
        Ok((decided.answer, decided.persist))
    }

    /// What an ask would be told, without asking it.
    fn would(&self, bytes: &[u8], now: u64) -> Answer {
        self.clone().call(bytes, now).0
    }
}

fn admitted(answer: &Answer) -> bool {
    answer.outcome == Outcome::Admitted
}

fn minute(at: u64) -> u64 {
    at / MINUTE
}

/// The law of a rate, for every pair of the instants at which requests passed.
///
/// `j - i + 1 <= B + floor(N * (t_j - t_i) / T)` for all `i <= j` is the same as
/// `(j + 1) * T - N * t_j - B * T <= i * T - N * t_i`, so the smallest right-hand side decides.
fn keeps(rate: &Rate, mut passed: Vec<u64>) -> Result<(), String> {
    passed.sort_unstable();
    let (count, period, burst) = (
        i128::from(rate.count),
        i128::from(rate.period),
        i128::from(rate.burst),
    );
    let mut least = i128::MAX;
    for (n, at) in (0_i128..).zip(&passed) {
        let here = n * period - count * i128::from(*at);
        least = least.min(here);
        if here + period - burst * period > least {
            return Err(format!("{rate:?} is broken by the {n}. request, at {at}"));
        }
    }
    Ok(())
}

/// How far what is stored of a rate may be ahead of it, in requests: as `object` promises.
fn chunk(rate: &Rate) -> u64 {
    let second = u64::from(rate.count) * 1_000 / rate.period;
    second.min(u64::from(rate.burst) / 10)
}

#[test]
fn the_law_is_looked_at_for_every_pair() {
    let rate = Rate {
        count: 10,
        period: 1_000,
        burst: 3,
    };
    assert!(keeps(&rate, vec![5, 5, 5, 105, 205, 1_005]).is_ok());
    assert!(keeps(&rate, vec![5, 5, 5, 104]).is_err());
    assert!(keeps(&rate, vec![0, 5, 5, 5, 5]).is_err());
    assert!(keeps(&rate, vec![0, 500, 600, 700, 800, 800, 800]).is_ok());
    assert!(keeps(&rate, vec![0, 500, 600, 700, 800, 800, 800, 800]).is_err());
}

const fn quota(count: u64, window: Window) -> LimitKind {
    LimitKind::Quota { count, window }
}
