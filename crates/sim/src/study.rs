//! What is run: the questions, and the runs that answer them.

use std::sync::Mutex;
use std::sync::atomic::{AtomicUsize, Ordering};

use turnpike_policy::Rate;

use crate::load::Shape;
use crate::outcome::Outcome;
use crate::run::{Plan, Precision, run};
use crate::subject::Split;

/// All runs have their randomness from it.
const SEED: u64 = 2_026;

/// How much is run.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Size {
    /// 10 million subjects, minutes.
    Full,
    /// A hundred thousand, seconds.
    Quick,
}

/// What runs came to, in the order of the plans.
pub(crate) type Done = Vec<(Plan, Outcome)>;

/// The shapes of load.
pub(crate) fn shapes(size: Size) -> Vec<Shape> {
    let steady = Shape {
        name: "steady",
        rate: size.pick(40_000.0, 2_000.0),
        seconds: size.pick(30, 5),
        subjects: size.pick(10_000_000, 100_000),
        skew: 1.0,
        home: 0.8,
        burst: 1.0,
        quota: false,
        limit: None,
    };
    vec![
        steady,
        Shape {
            name: "worldwide",
            home: 0.0,
            ..steady
        },
        Shape {
            name: "bursty",
            burst: 16.0,
            ..steady
        },
        Shape {
            name: "skewed",
            skew: 1.3,
            ..steady
        },
        Shape {
            name: "quota",
            quota: true,
            ..steady
        },
    ]
}

/// Each precision under each shape; where objects decide, with one for each subject, and as many as the rule says.
pub(crate) fn precisions(size: Size) -> Vec<Plan> {
    let all = [
        (Precision::Exact, Split::None),
        (Precision::Exact, Split::ByRule(2)),
        (Precision::Leased, Split::None),
        (Precision::Leased, Split::ByRule(2)),
        (Precision::Local, Split::None),
    ];
    let of = |shape| all.map(|(precision, split)| plan(shape, precision, split, true));
    shapes(size).into_iter().flat_map(of).collect()
}

/// The skews of [`skews`].
pub(crate) const SKEWS: [f64; 4] = [0.8, 1.0, 1.2, 1.4];

/// By skew: not split, and split by the rule.
pub(crate) fn skews(size: Size) -> Vec<Plan> {
    let steady = shapes(size)[0];
    SKEWS
        .into_iter()
        .flat_map(|skew| {
            let shape = Shape {
                name: "skew",
                skew,
                seconds: size.pick(20, 3),
                ..steady
            };
            [
                plan(shape, Precision::Exact, Split::None, false),
                plan(shape, Precision::Exact, Split::ByRule(2), false),
            ]
        })
        .collect()
}

/// The limit of the one subject of [`splits`], a second.
pub(crate) const HOT: u32 = 4_000;
/// Its demand, as a part of that.
pub(crate) const DEMANDS: [f64; 4] = [0.9, 1.0, 1.5, 3.0];
/// Its burst: what comes in a second, and in a twentieth of one.
pub(crate) const BURSTS: [u32; 2] = [HOT, HOT / 20];
/// Over how many objects it is split.
pub(crate) const PARTS: [u32; 5] = [1, 4, 8, 16, 32];
/// How many of them a request asks.
pub(crate) const TRIES: [usize; 2] = [1, 2];

/// One hot subject: by burst, demand, how many of its objects a request asks, and parts.
pub(crate) fn splits(size: Size) -> Vec<Plan> {
    let mut plans = Vec::new();
    for burst in BURSTS {
        for demand in DEMANDS {
            for tries in TRIES {
                let shape = Shape {
                    name: "one",
                    rate: f64::from(HOT) * demand,
                    seconds: size.pick(20, 2),
                    subjects: 1,
                    skew: 1.0,
                    home: 0.0,
                    burst: 1.0,
                    quota: false,
                    limit: Some(Rate {
                        count: HOT,
                        period: 1_000,
                        burst,
                    }),
                };
                let of = |parts| plan(shape, Precision::Exact, Split::Into(parts, tries), false);
                plans.extend(PARTS.map(of));
            }
        }
    }
    plans
}

/// The load of [`leases`], in requests a second.
pub(crate) const LOADS: [u32; 4] = [1, 10, 100, 1_000];
/// The shapes of [`leases`]: name, how many come together, and the part that comes to one point of presence.
pub(crate) const LEASED: [(&str, f64, f64); 4] = [
    ("steady, one city", 1.0, 1.0),
    ("in bursts of 16, one city", 16.0, 1.0),
    ("steady, all cities", 1.0, 0.0),
    ("in bursts of 16, all cities", 16.0, 0.0),
];

/// One subject under leases: by load, bursts and how many isolates see it.
pub(crate) fn leases(size: Size) -> Vec<Plan> {
    let mut plans = Vec::new();
    for (_, burst, home) in LEASED {
        for load in LOADS {
            let shape = Shape {
                name: "leases",
                rate: load.into(),
                seconds: size.pick(40_000 / u64::from(load).max(40), 4_000 / u64::from(load).max(100)),
                subjects: 1,
                skew: 1.0,
                home,
                burst,
                quota: false,
                // Twice as much, and ten seconds of it at once.
                limit: Some(Rate {
                    count: load * 2,
                    period: 1_000,
                    burst: load * 20,
                }),
            };
            plans.push(plan(shape, Precision::Leased, Split::None, false));
        }
    }
    plans
}

fn plan(shape: Shape, precision: Precision, split: Split, faults: bool) -> Plan {
    Plan {
        shape,
        precision,
        split,
        faults,
        seed: SEED,
    }
}

impl Size {
    /// One value or the other.
    fn pick<T>(self, full: T, quick: T) -> T {
        match self {
            Self::Full => full,
            Self::Quick => quick,
        }
    }
}

/// Runs all of them, on so many threads.
pub(crate) fn all(plans: Vec<Plan>, threads: usize) -> Done {
    let next = AtomicUsize::new(0);
    let done: Mutex<Vec<Option<Outcome>>> = Mutex::new(plans.iter().map(|_| None).collect());
    std::thread::scope(|scope| {
        for _ in 0..threads {
            scope.spawn(|| {
                while let Some(plan) = plans.get(next.fetch_add(1, Ordering::Relaxed)) {
                    let index = plans.iter().position(|other| std::ptr::eq(other, plan));
                    let outcome = run(plan);
                    done.lock().expect("no thread panics")[index.expect("it is one of them")] = Some(outcome);
                }
            });
        }
    });
    let done = done.into_inner().expect("no thread panics");
    plans
        .into_iter()
        .zip(done)
        .map(|(plan, outcome)| (plan, outcome.expect("each was run")))
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn no_limit_is_exceeded_by_exact_and_leased_whatever_fails() {
        let some = |plan: &Plan| matches!(plan.shape.name, "steady" | "bursty" | "quota");
        let done = all(precisions(Size::Quick).into_iter().filter(some).collect(), 2);
        assert_eq!(done.len(), 15);
        for (plan, outcome) in &done {
            let what = format!("{} {:?} {:?}", plan.shape.name, plan.precision, plan.split);
            let of = |part: u64| part as f64 / outcome.requests as f64;
            assert!(outcome.requests > 5_000, "{what}");
            assert_eq!(
                outcome.admitted + outcome.refused + outcome.unanswered,
                outcome.requests,
                "{what}"
            );
            match plan.precision {
                Precision::Local => assert_eq!(outcome.round_trips, 0, "{what}"),
                _ => assert_eq!(outcome.over, 0, "{what}"),
            }
            match plan.precision {
                // Of several objects, a second one may be asked.
                Precision::Exact if plan.split == Split::None => {
                    assert_eq!(outcome.round_trips, outcome.requests, "{what}");
                }
                Precision::Exact => assert!(outcome.round_trips >= outcome.requests, "{what}"),
                Precision::Leased => assert!(outcome.round_trips < outcome.requests, "{what}"),
                // What an isolate decides alone is more than all of them may.
                Precision::Local => assert!(outcome.over > 0, "{what}"),
            }
            if plan.precision != Precision::Local {
                assert!(outcome.restarts > 0, "{what}");
                assert!(of(outcome.missed) < 0.05, "{what}: {}", outcome.missed);
            }
        }
        // The rule is followed: the largest subjects, whose requests are written, have several objects each.
        let objects = |split| {
            let quota = |(plan, _): &&(Plan, Outcome)| {
                plan.shape.quota && plan.precision == Precision::Exact && plan.split == split
            };
            let (_, outcome) = done.iter().find(quota).expect("it was run");
            outcome.objects - outcome.subjects
        };
        assert_eq!(objects(Split::None), 0);
        assert!(objects(Split::ByRule(2)) > 0);
    }

    #[test]
    fn shards_together_keep_the_limit() {
        let plans = splits(Size::Quick).into_iter().filter(|plan| {
            let small = plan.shape.limit.is_some_and(|limit| limit.burst < HOT);
            small && matches!(plan.split, Split::Into(8 | 16, _)) && plan.shape.rate > f64::from(HOT)
        });
        for (plan, outcome) in all(plans.collect(), 2) {
            assert_eq!(outcome.over, 0, "{plan:?}");
            // Not much less than one limiter of all would let pass.
            assert!(outcome.refused > 0, "{plan:?}");
            assert!(
                outcome.missed < outcome.ideally / 10 + outcome.unanswered,
                "{plan:?}: {}",
                outcome.missed
            );
        }
    }

    #[test]
    fn the_same_seed_gives_the_same_run() {
        let plan = plan(shapes(Size::Quick)[0], Precision::Leased, Split::None, true);
        let (a, b) = (run(&plan), run(&plan));
        assert_eq!(
            (a.admitted, a.refused, a.round_trips, a.rows, &a.latencies),
            (b.admitted, b.refused, b.round_trips, b.rows, &b.latencies)
        );
        let other = run(&Plan { seed: 1, ..plan });
        assert_ne!(a.latencies, other.latencies);
    }
}
