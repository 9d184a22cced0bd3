//! Who calls, from where, how often, and what they have bought.

use std::cmp::Reverse;
use std::collections::BinaryHeap;

use rand::{RngExt, SeedableRng};
use rand_distr::{Distribution, Exp1, Geometric, Zipf};
use rand_pcg::Pcg64Mcg;
use turnpike_policy::{LimitKind, Rate, Window};

use crate::world::{Micros, World};

/// A shape of load.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Shape {
    /// Its name in the tables.
    pub(crate) name: &'static str,
    /// Requests a second, over all.
    pub(crate) rate: f64,
    /// For how long, in seconds.
    pub(crate) seconds: u64,
    /// How many subjects there are.
    pub(crate) subjects: u32,
    /// The exponent of Zipf's law: how much of the load the first ones have.
    pub(crate) skew: f64,
    /// The share of a subject's requests that come to its own point of presence; the others come to any, by the
    /// people around it.
    pub(crate) home: f64,
    /// How many requests come together on average.
    pub(crate) burst: f64,
    /// Whether each plan has a quota beside its rate, which is written through.
    pub(crate) quota: bool,
    /// The limit of every subject; none: what it has bought.
    pub(crate) limit: Option<Rate>,
}

/// One request.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct Arrival {
    /// When, in microseconds since the start.
    pub(crate) at: Micros,
    /// Whose.
    pub(crate) subject: u32,
    /// At which point of presence.
    pub(crate) place: u16,
}

/// What is fixed for a subject.
#[derive(Clone, Debug)]
pub(crate) struct Person {
    /// Where most of its requests come from.
    pub(crate) home: u16,
    /// Its limits.
    pub(crate) limits: Vec<LimitKind>,
}

/// Between the requests of one burst, on average, in microseconds.
const WITHIN: f64 = 20_000.0;
/// How much of its own demand a subject has bought, each for a fifth of the subjects; the largest have all
/// bought some more than they need.
const BOUGHT: [f64; 5] = [0.5, 1.0, 1.5, 3.0, 10.0];
const LARGEST: u32 = 20;
const LARGEST_BOUGHT: f64 = 1.3;
/// The smallest plan, per minute, and the smallest burst.
const SMALLEST: f64 = 10.0;
/// The burst of a plan: what comes in so many seconds, for half of the subjects each.
const BURSTS: [f64; 2] = [2.0, 10.0];

/// Makes a shape's requests, in order.
pub(crate) struct Load<'w> {
    shape: Shape,
    world: &'w World,
    zipf: Option<Zipf<f64>>,
    /// The sum over all ranks, to make shares of the load of them.
    whole: f64,
    next: f64,
    waiting: BinaryHeap<Reverse<Arrival>>,
    seed: u64,
    random: Pcg64Mcg,
}

impl<'w> Load<'w> {
    /// All of its randomness comes from `seed`.
    pub(crate) fn new(shape: Shape, world: &'w World, seed: u64) -> Self {
        let many = shape.subjects > 1;
        Self {
            shape,
            world,
            zipf: many.then(|| Zipf::new(f64::from(shape.subjects), shape.skew).expect("a lawful skew")),
            whole: (1..=shape.subjects)
                .map(|rank| f64::from(rank).powf(-shape.skew))
                .sum(),
            next: 0.0,
            waiting: BinaryHeap::new(),
            seed,
            random: Pcg64Mcg::seed_from_u64(seed),
        }
    }

    /// The requests a second of a subject.
    pub(crate) fn demand(&self, subject: u32) -> f64 {
        self.shape.rate * f64::from(subject + 1).powf(-self.shape.skew) / self.whole
    }

    /// What is fixed for a subject.
    pub(crate) fn person(&self, subject: u32) -> Person {
        let mut random =
            Pcg64Mcg::seed_from_u64(self.seed ^ (u64::from(subject) + 1).wrapping_mul(0x9e37_79b9_7f4a_7c15));
        let home = self.world.place(&mut random);
        let any = BOUGHT[random.random_range(0..BOUGHT.len())];
        let bought = if subject < LARGEST { LARGEST_BOUGHT } else { any };
        let burst = BURSTS[random.random_range(0..BURSTS.len())];
        let rate = self.shape.limit.unwrap_or_else(|| {
            let count = nice((self.demand(subject) * bought * 60.0).max(SMALLEST));
            Rate {
                count: count as u32,
                period: 60_000,
                burst: (count * burst / 60.0).max(SMALLEST) as u32,
            }
        });
        let mut limits = vec![LimitKind::Rate(rate)];
        if self.shape.quota {
            // Somewhat less than the rate allows, so that both are reached.
            let minute = u64::from(rate.count) * 60_000 / rate.period;
            limits.push(LimitKind::Quota {
                count: (minute * 3 / 4).max(1),
                window: Window::Minute,
            });
        }
        Person { home, limits }
    }

    fn start(&mut self) {
        let gap: f64 = Exp1.sample(&mut self.random);
        self.next += gap * 1e6 * self.shape.burst / self.shape.rate;
        let subject = self
            .zipf
            .map_or(0, |zipf| zipf.sample(&mut self.random) as u32 - 1);
        let home = self.random.random_bool(self.shape.home);
        let place = if home {
            self.person(subject).home
        } else {
            self.world.place(&mut self.random)
        };
        let mut more = 0;
        if self.shape.burst > 1.0 {
            let geometric = Geometric::new(1.0 / self.shape.burst).expect("a probability");
            more = geometric.sample(&mut self.random);
        }
        let mut at = self.next;
        for _ in 0..=more {
            self.waiting.push(Reverse(Arrival {
                at: at as Micros,
                subject,
                place,
            }));
            let gap: f64 = Exp1.sample(&mut self.random);
            at += gap * WITHIN;
        }
    }
}

impl Iterator for Load<'_> {
    type Item = Arrival;

    fn next(&mut self) -> Option<Arrival> {
        // Whatever begins later comes later.
        while self
            .waiting
            .peek()
            .is_none_or(|Reverse(first)| first.at as f64 >= self.next)
        {
            self.start();
        }
        let Reverse(first) = self.waiting.pop()?;
        (first.at < self.shape.seconds * 1_000_000).then_some(first)
    }
}

/// The nearest of 1, 2, 5, 10, 20, ... that is not below it.
fn nice(count: f64) -> f64 {
    let decade = 10_f64.powf(count.log10().floor());
    let steps = [1.0, 2.0, 5.0, 10.0].map(|step| step * decade);
    steps
        .into_iter()
        .find(|step| *step >= count * 0.999_999)
        .unwrap_or(10.0 * decade)
}

#[cfg(test)]
mod tests {
    use super::*;

    pub(crate) const SHAPE: Shape = Shape {
        name: "test",
        rate: 500.0,
        seconds: 20,
        subjects: 1_000,
        skew: 1.0,
        home: 0.8,
        burst: 1.0,
        quota: false,
        limit: None,
    };

    #[test]
    fn requests_come_in_order_as_often_as_they_should() {
        let world = World::new(500.0);
        for burst in [1.0, 16.0] {
            let shape = Shape { burst, ..SHAPE };
            let all: Vec<Arrival> = Load::new(shape, &world, 7).collect();
            assert!(all.is_sorted_by_key(|one| one.at));
            assert!(all.len().abs_diff(10_000) < 1_500, "{}", all.len());
            let first = all.iter().filter(|one| one.subject == 0).count() as f64;
            let expected = Load::new(shape, &world, 7).demand(0) * 20.0;
            assert!((first / expected - 1.0).abs() < 0.35, "{first} of {expected}");
            assert_eq!(all, Load::new(shape, &world, 7).collect::<Vec<_>>());
        }
    }

    #[test]
    fn plans_are_round_numbers() {
        for (count, expected) in [
            (10.0, 10.0),
            (11.0, 20.0),
            (20.0, 20.0),
            (44.0, 50.0),
            (51.0, 100.0),
            (99_999.0, 100_000.0),
        ] {
            assert!((nice(count) - expected).abs() < 1e-6, "{count}");
        }
    }
}
