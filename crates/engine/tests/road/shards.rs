//! Subjects that are spread over several objects.

use std::collections::BTreeMap;

use proptest::prelude::*;
use turnpike_engine::step::{Event, Step};
use turnpike_engine::{Flight, Next};
use turnpike_policy::{Limit, LimitKind, OnError, Precision, Rate, Split, SubjectPart, Window};

use crate::policy::{limit, rate};
use crate::world::{Answer, Does, Request, World, ask};

const EIGHT: Option<Split> = Some(Split { objects: 8, parts: 8 });

/// A call by `minute`.
fn pets() -> Request {
    Request::get("/petstore/v2/pets").by("minute")
}

fn over(split: Option<Split>, id: &str, kind: LimitKind) -> Limit {
    Limit {
        split,
        ..limit(id, kind)
    }
}

/// A world where the consumer `minute` has these limits.
fn world(limits: &[Limit]) -> World {
    World::with(|compiled| {
        let plan = compiled.plans.iter_mut().find(|plan| plan.name == "minute");
        plan.expect("a plan").limits = limits.to_vec();
    })
}

fn quota(count: u64) -> LimitKind {
    LimitKind::Quota {
        count,
        window: Window::Hour,
    }
}

fn passed(world: &mut World, times: u32) -> u32 {
    (0..times)
        .map(|_| u32::from(world.send(&pets()).status == 200))
        .sum()
}

fn remaining(answer: &Answer) -> Option<u64> {
    let said = answer.header("ratelimit")?;
    said.split(";r=").nth(1)?.split(';').next()?.parse().ok()
}

#[test]
fn the_objects_together_let_pass_the_whole_and_never_more() {
    for kind in [rate(160, 3_600_000), quota(160)] {
        let mut world = world(&[over(EIGHT, "hot", kind)]);
        let passed = passed(&mut world, 1_000);
        // The last ones are hard to find for requests that ask two of eight.
        assert!((152..=160).contains(&passed), "{passed}");
        let mut asks: BTreeMap<&str, u32> = BTreeMap::new();
        for object in &world.objects {
            *asks.entry(object).or_default() += 1;
        }
        let expected: Vec<String> = (0..8)
            .map(|shard| format!("consumer:minute|shard:{shard}"))
            .collect();
        assert!(asks.keys().eq(&expected), "{asks:?}");
        assert!(asks.values().all(|asks| (90..250).contains(asks)), "{asks:?}");
    }
}

#[test]
fn one_that_refuses_is_followed_by_a_second_and_no_third() {
    let mut world = world(&[over(EIGHT, "hot", quota(64))]);
    world.replaces = false;
    let mut asks = [0; 3];
    let mut refused = None;
    for _ in 0..400 {
        let before = world.objects.len();
        let answer = world.send(&pets());
        asks[world.objects.len() - before - 1] += 1;
        if answer.status != 200 {
            refused.get_or_insert(world.objects.len());
        }
    }
    assert!(asks[0] > 100 && asks[1] > 3 && asks[2] == 0, "{asks:?}");
    // Once two have refused, the isolate asks only one for a second.
    let from = refused.expect("a refusal");
    let few = world.objects.len();
    world.send(&pets());
    assert!(from < few && world.objects.len() == few + 1);
    world.now += 1_000;
    world.send(&pets());
    assert_eq!(world.objects.len(), few + 3);
}

#[test]
fn the_client_is_told_of_the_whole() {
    let mut world = world(&[over(EIGHT, "hot", rate(803, 60_000))]);
    let answer = world.send(&pets());
    assert_eq!(answer.status, 200, "{}", answer.text());
    let policy = answer.header("ratelimit-policy").expect("a header");
    assert!(policy.contains("q=803;w=60"), "{policy}");
    let left = remaining(&answer).expect("a number");
    assert!((790..=800).contains(&left), "{left}");
    let page = world.send(&Request::get("/_turnpike/limits").by("minute")).json();
    assert_eq!(page["limits"][0]["limit"], 803, "{page}");
    assert_eq!(page["limits"][0]["window_seconds"], 60, "{page}");
    assert_eq!(passed(&mut world, 1_500), 802, "all of it is found");
    let refused = world.send(&pets());
    assert_eq!(refused.code(), "rate_limited");
    let after: u64 = refused.header("retry-after").expect("it").parse().expect("it");
    // One of eight objects lets one pass each 600 ms.
    assert_eq!((after, remaining(&refused)), (1, Some(0)));
}

#[test]
fn some_of_the_parts_may_be_in_use() {
    let four = Some(Split { objects: 4, parts: 8 });
    let mut world = world(&[over(four, "hot", quota(160))]);
    let answer = world.send(&pets());
    assert_eq!(remaining(&answer), Some(76));
    assert_eq!(passed(&mut world, 600), 79);
    assert!(!world.objects.iter().any(|object| object.ends_with("shard:4")));
    // All of them, a deploy later: what was charged is known.
    let mut next = self::world(&[over(EIGHT, "hot", quota(160))]);
    next.take_meters(&mut world);
    // Other requests than before.
    for _ in 0..100_000 {
        next.rand();
    }
    let more = passed(&mut next, 600);
    assert!((74..=80).contains(&more), "{more}");
}

#[test]
fn an_object_that_does_not_answer_is_not_followed_by_another() {
    for (on_error, status, charged) in [(OnError::Closed, 503, false), (OnError::Open, 200, true)] {
        let mut world = World::with(|compiled| {
            let plan = compiled.plans.iter_mut().find(|plan| plan.name == "minute");
            let plan = plan.expect("a plan");
            plan.limits = vec![over(EIGHT, "hot", rate(160, 3_600_000))];
            plan.on_error = on_error;
        });
        world.down = Some("consumer:minute|shard:3");
        let mut failed = 0;
        for _ in 0..200 {
            let before = world.objects.len();
            let answer = world.send(&pets());
            if world.objects.last().is_some_and(|object| object.ends_with(":3")) {
                failed += 1;
                assert_eq!(answer.status, status, "{}", answer.text());
                assert!(world.objects.len() - before <= 2);
                assert_eq!(answer.log().get("unlimited").is_some(), charged);
            }
        }
        assert!(failed > 10, "{failed}");
        // The parts of the others are as they were.
        world.down = None;
        let rest = passed(&mut world, 600);
        assert!(rest <= 20, "{rest}");
    }
}

#[test]
fn places_are_given_back_where_they_were_taken() {
    let mut world = world(&[over(EIGHT, "places", LimitKind::Concurrency { count: 64 })]);
    for _ in 0..200 {
        let answer = world.send(&pets());
        assert_eq!(
            (answer.status, remaining(&answer)),
            (200, Some(56)),
            "one of each eight"
        );
    }
    assert_eq!(world.settled, 200);
    let mut flights: Vec<Next> = Vec::new();
    let mut refused = 0;
    for _ in 0..200 {
        let mut next = world.begin(&Request::get("/petstore/v2/pets/7").by("minute"));
        while let Step::Meter { object, ask } = next.step {
            let decided = world.decide(&object, &ask);
            next = world.resume(next.flight, Event::Metered(decided.as_deref()));
        }
        match next.step {
            Step::Attempt(_) => flights.push(next),
            _ => refused += 1,
        }
    }
    assert!((60..=64).contains(&flights.len()), "{}", flights.len());
    assert_eq!(flights.len() + refused, 200);
}

#[test]
fn each_isolate_has_its_lease_of_one_object() {
    let mut world = world(&[Limit {
        precision: Precision::Leased,
        ..over(EIGHT, "hot", rate(8_000, 60_000))
    }]);
    world.replaces = false;
    let count = passed(&mut world, 900);
    assert_eq!(count, 900);
    let mut asked: Vec<&String> = world.objects.iter().collect();
    assert!(asked.len() < 450, "{}", asked.len());
    asked.dedup();
    assert_eq!(asked.len(), 1, "{asked:?}");
    // It goes on to a second object when that has nothing left, and never above the whole.
    let count = passed(&mut world, 4_000);
    assert!((900..1_200).contains(&count), "{count}");
}

#[test]
fn limits_that_are_spread_alike_lie_together_and_others_apart() {
    let mut together = world(&[over(EIGHT, "a", quota(640)), over(EIGHT, "b", rate(640, 60_000))]);
    together.send(&pets());
    assert_eq!(together.objects.len(), 1, "{:?}", together.objects);
    let mut apart = world(&[over(EIGHT, "a", quota(640)), limit("b", rate(5, 60_000))]);
    assert_eq!(passed(&mut apart, 50), 5);
    assert_eq!(apart.objects[0], "consumer:minute");
    assert!(apart.objects[1].starts_with("consumer:minute|shard:"));
    assert_eq!(apart.objects[2], "consumer:minute");
    // What the one refused is charged nowhere.
    apart.now += 60_000;
    let mut left = 640;
    for _ in 0..30 {
        let page = apart.send(&Request::get("/_turnpike/limits").by("minute")).json();
        left = left.min(page["limits"][0]["remaining"].as_u64().expect("a number"));
    }
    assert!(left >= 640 - 5 * 8, "{left}");
}

#[test]
fn another_upstream_is_asked_for_at_one_of_its_objects() {
    let upstream = Limit {
        subject: vec![SubjectPart::Upstream],
        ..over(EIGHT, "up", LimitKind::Concurrency { count: 64 })
    };
    let mut world = World::with(|compiled| {
        for model in compiled.models.iter_mut().filter(|model| model.name == "priced") {
            model.limits = vec![upstream.clone()];
        }
    });
    for _ in 0..30 {
        world.expect("alpha", [Does::status(503, "{}"), Does::status(503, "{}")]);
        world.expect("beta", [Does::completes()]);
        let answer = world.send(&ask("priced").by("demo"));
        assert_eq!(answer.status, 200, "{}", answer.text());
    }
    let of = |name: &str| {
        let prefix = format!("upstream:{name}|shard:");
        let found = world.objects.iter().filter(|object| object.starts_with(&prefix));
        // Asked and told.
        let mut found: Vec<&String> = found.collect();
        let calls = found.len();
        found.sort();
        found.dedup();
        (calls, found.len())
    };
    for name in ["alpha", "beta"] {
        let (calls, objects) = of(name);
        assert_eq!(calls, 60, "{:?}", world.objects);
        assert!(objects > 4, "{objects}");
    }
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 48, ..ProptestConfig::default() })]

    /// Many requests at one time, each a step at a time and in any order, some lost on the way, objects that lose
    /// their memory, and time that goes on: what passes keeps the law of the whole in every interval.
    #[test]
    fn whatever_happens_the_law_of_the_whole_holds(
        steps in prop::collection::vec((0_usize..24, 0_u8..30, 0_u64..40), 1..600),
        count in 16_u32..60, period in 500_u64..4_000, quota in 16_u64..200, evicts: bool, leased: bool,
    ) {
        let split = Some(Split { objects: 2, parts: 2 });
        let law = Rate { count, period, burst: count };
        let limits = [over(split, "rate", LimitKind::Rate(law)), over(split, "quota", self::quota(quota))];
        let precision = if leased { Precision::Leased } else { Precision::Exact };
        let mut world = world(&limits.map(|limit| Limit { precision, ..limit }));
        world.evicts = evicts;
        let mut flights: Vec<Option<(Flight, Step)>> = vec![None; 24];
        let mut passed: Vec<u64> = Vec::new();
        for (place, chance, wait) in steps {
            world.now += wait;
            let next = match flights[place].take() {
                None => world.begin(&pets()),
                // Lost.
                Some(_) if chance == 0 => continue,
                Some((flight, Step::Meter { object, ask })) => {
                    let decided = world.decide(&object, &ask);
                    // Its answer may be.
                    let decided = decided.filter(|_| chance != 1);
                    world.resume(Some(flight), Event::Metered(decided.as_deref()))
                }
                Some((_, step)) => panic!("{step:?}"),
            };
            match next {
                Next { step: step @ Step::Meter { .. }, flight: Some(flight) } => flights[place] = Some((flight, step)),
                Next { step: Step::Finish(finish), .. } => {
                    passed.extend((finish.status == 200).then_some(world.now));
                    world.settle(&finish.settle);
                }
                Next { step: Step::Attempt(_), .. } => passed.push(world.now),
                Next { step, .. } => panic!("{step:?}"),
            }
        }
        for (i, a) in passed.iter().enumerate() {
            for (j, b) in passed.iter().enumerate().skip(i) {
                let bound = u64::from(count) + u64::from(count) * (b - a) / period;
                prop_assert!(((j - i) as u64) < bound, "{} in {} ms", j - i + 1, b - a);
            }
        }
        // All of it lies in one hour.
        prop_assert!(passed.len() as u64 <= quota);
    }
}
