//! A subject as a run keeps it: its objects, and what is known of it from outside.

use std::collections::VecDeque;

use rand::RngExt;
use rand_distr::{Distribution, Exp1};
use rand_pcg::Pcg64Mcg;
use turnpike_engine::meter::shards;
use turnpike_policy::LimitKind;

use crate::law::{Checks, Ideal};
use crate::load::Person;
use crate::meter::{Limits, Object};
use crate::outcome::Outcome;
use crate::world::Micros;

/// When everything starts, in Unix milliseconds: three seconds before a minute ends.
pub(crate) const START: u64 = 1_800_000_057_000;
/// A subject that has called.
pub(crate) struct Subject {
    pub(crate) name: String,
    pub(crate) shards: Vec<Shard>,
    pub(crate) tries: usize,
    pub(crate) ideal: Ideal,
    pub(crate) checks: Checks,
    pub(crate) admitted: u64,
    pub(crate) ideally: u64,
}

/// An object and its machine.
pub(crate) struct Shard {
    pub(crate) limits: Limits,
    pub(crate) object: Object,
    pub(crate) place: u16,
    /// By how much its clock is off, in milliseconds.
    pub(crate) off: i64,
    pub(crate) queue: VecDeque<u32>,
    pub(crate) busy: bool,
    pub(crate) used: Micros,
    pub(crate) restart: Micros,
    /// In the second that is counted: its number, calls, and the time that they take.
    pub(crate) second: u64,
    pub(crate) calls: u32,
    pub(crate) work: Micros,
    /// The most calls in a second, and whether they were more than it could do.
    pub(crate) most: u32,
    pub(crate) over: bool,
    /// The most bytes that it stored.
    pub(crate) stored: usize,
}

/// How subjects are split over objects.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) enum Split {
    /// Not at all.
    None,
    /// All of them over so many; how many of these a request asks at most.
    Into(u32, usize),
    /// As many as the rule says ([`EACH`], [`EACH_WRITING`]); how many of these a request asks at most.
    ByRule(usize),
}

/// How many requests a second of a limit one object is given by the rule.
const EACH: f64 = 500.0;
/// The same where each request writes.
const EACH_WRITING: f64 = 150.0;

/// How long until an object is restarted, on average: far less, too.
pub(crate) const OBJECT_LIFE: f64 = 30e6;
/// By how much an object's clock may be off, in milliseconds.
const OBJECT_SKEW: i64 = 50;

impl Subject {
    /// One that calls for the first time: its objects are where it is.
    pub(crate) fn new(
        number: u32,
        person: &Person,
        split: Split,
        now: Micros,
        random: &mut Pcg64Mcg,
    ) -> Self {
        let limits = Limits::new("plan", &person.limits);
        let (of, tries) = match split {
            Split::None => (1, 1),
            Split::Into(of, tries) => (of, tries),
            Split::ByRule(tries) => (by_rule(&person.limits), tries),
        };
        let shards: Vec<Shard> = (0..of)
            .map_while(|shard| limits.share(shard, of))
            .map(|limits| Shard {
                limits,
                object: Object::default(),
                place: person.home,
                off: random.random_range(-OBJECT_SKEW..=OBJECT_SKEW),
                queue: VecDeque::new(),
                busy: false,
                used: 0,
                restart: now + life(OBJECT_LIFE, random),
                second: 0,
                calls: 0,
                work: 0,
                most: 0,
                over: false,
                stored: 0,
            })
            .collect();
        Self {
            name: format!("consumer-{number}"),
            tries: tries.min(shards.len()),
            shards,
            ideal: Ideal::new(limits.kinds()),
            checks: Checks::new(limits.kinds()),
            admitted: 0,
            ideally: 0,
        }
    }
}

impl Shard {
    /// Whether each of its calls writes.
    pub(crate) fn writes(&self) -> bool {
        self.limits.kinds().any(writes)
    }
}

/// Whether each request that it admits is written.
fn writes(limit: &LimitKind) -> bool {
    !matches!(limit, LimitKind::Rate(_))
}

/// A request passes without having been asked for.
pub(crate) fn pass(subject: &mut Subject, now: Micros, wall: u64, outcome: &mut Outcome) {
    subject.admitted += 1;
    outcome.admitted += 1;
    outcome.over += u64::from(subject.checks.pass(wall_of(now), wall));
}

/// The order in which a request asks the shards.
pub(crate) fn order(key: u64, subject: &Subject) -> Vec<u32> {
    if subject.shards.len() == 1 {
        return vec![0];
    }
    shards::order(&key.to_be_bytes(), subject.shards.len() as u32)
}

/// As many objects as let each have [`EACH`] requests a second of the limit at most.
fn by_rule(limits: &[LimitKind]) -> u32 {
    let each = if limits.iter().any(writes) {
        EACH_WRITING
    } else {
        EACH
    };
    let most = limits.iter().map(worth).min();
    let rates = limits.iter().filter_map(|limit| match limit {
        LimitKind::Rate(rate) => Some(f64::from(rate.count) * 1_000.0 / rate.period as f64),
        _ => None,
    });
    let rate = rates.fold(f64::INFINITY, f64::min);
    ((rate / each).ceil() as u32).clamp(1, most.unwrap_or(1))
}

/// The most parts of a limit of which each is worth having, as the policy language has it.
fn worth(limit: &LimitKind) -> u32 {
    let whole = match *limit {
        LimitKind::Rate(rate) => u64::from(rate.burst),
        LimitKind::Quota { count, .. } | LimitKind::Budget { count, .. } => count,
        LimitKind::Concurrency { count } => count.into(),
    };
    let parts = whole / turnpike_policy::Split::LEAST;
    u32::try_from(parts)
        .unwrap_or(shards::MOST)
        .clamp(1, shards::MOST)
}

pub(crate) fn lease_key(subject: &Subject, shard: u32) -> String {
    format!("{}#{shard}", subject.name)
}

/// What a clock says that is off by so much (in microseconds).
pub(crate) fn wall(now: Micros, off: i64) -> u64 {
    (START * 1_000).saturating_add(now).saturating_add_signed(off) / 1_000
}

pub(crate) fn wall_of(now: Micros) -> u64 {
    wall(now, 0)
}

/// How long something lasts, in microseconds: it may end at any time.
pub(crate) fn life(mean: f64, random: &mut Pcg64Mcg) -> Micros {
    let life: f64 = Exp1.sample(random);
    (life * mean) as Micros
}
