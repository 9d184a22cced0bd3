//! Windows that are not those of UTC: days and months of a place, and rolling ones.

use turnpike_engine::Next;
use turnpike_engine::step::{Ending, Event, Step};
use turnpike_policy::{Limit, LimitKind, SubjectPart, Unit, Window, Zone};

use crate::policy::limit;
use crate::streams::{DONE, ROLE, STOP};
use crate::world::{Does, Request, World, ask, ask_stream};

const HOUR: u64 = 3_600_000;

fn quota(count: u64, window: Window) -> LimitKind {
    LimitKind::Quota { count, window }
}

/// Berlin in 2026: an hour ahead, two from 29 March, 01:00 UTC, to 25 October, 01:00 UTC.
fn berlin() -> Zone {
    Zone {
        name: "Europe/Berlin".to_owned(),
        offsets: vec![(0, 3_600), (1_774_746_000_000, 7_200), (1_792_890_000_000, 3_600)],
    }
}

fn world(kind: LimitKind, zone: Option<Zone>) -> World {
    World::with(|compiled| {
        let plan = compiled.plans.iter_mut().find(|plan| plan.name == "minute");
        plan.expect("a plan").limits = vec![Limit {
            zone: zone.as_ref().map(|zone| zone.name.clone()),
            ..limit("it", kind)
        }];
        compiled.zones = zone.into_iter().collect();
    })
}

fn pets() -> Request {
    Request::get("/petstore/v2/pets").by("minute")
}

/// In which of these hours something passes, when every hour somebody tries.
fn hours_that_pass(world: &mut World, from: u64, hours: u64) -> Vec<u64> {
    (0..hours)
        .filter(|hour| {
            world.now = from + hour * HOUR;
            // Also across an eviction at every hour.
            world.send(&pets()).status == 200
        })
        .collect()
}

#[test]
fn days_begin_at_the_midnight_of_a_place_also_when_its_clocks_are_set() {
    for evicts in [false, true] {
        // From 24 October 2026, 22:00 UTC, midnight in Berlin: a day of 25 hours, then one of 24.
        let mut autumn = world(quota(1, Window::DayAt(0)), Some(berlin()));
        autumn.evicts = evicts;
        assert_eq!(hours_that_pass(&mut autumn, 1_792_879_200_000, 60), [0, 25, 49]);
        // From 28 March, 23:00 UTC: a day of 23 hours.
        let mut spring = world(quota(1, Window::DayAt(0)), Some(berlin()));
        spring.evicts = evicts;
        assert_eq!(hours_that_pass(&mut spring, 1_774_738_800_000, 60), [0, 23, 47]);
        // October there: from 30 September, 22:00 UTC, to 31 October, 23:00 UTC.
        let mut month = world(quota(1, Window::MonthAt(0)), Some(berlin()));
        month.evicts = evicts;
        let october = 31 * 24 + 1;
        assert_eq!(
            hours_that_pass(&mut month, 1_790_805_600_000, october + 2),
            [0, october]
        );
    }
}

#[test]
fn in_a_day_of_a_place_no_more_passes_than_the_limit_whatever_the_hour() {
    let mut world = world(quota(5, Window::DayAt(0)), Some(berlin()));
    // Twice in each hour of the long day.
    let mut passed = 0;
    for half in 0..50 {
        world.now = 1_792_879_200_000 + half * HOUR / 2;
        passed += u32::from(world.send(&pets()).status == 200);
    }
    assert_eq!(passed, 5);
    // A refusal tells when to come back.
    let after: u64 = world
        .send(&pets())
        .header("retry-after")
        .expect("a header")
        .parse()
        .unwrap();
    assert_eq!(after, 1_800);
}

/// One request that comes at an instant, and is decided at another by the clock of its object; whether it passes.
fn passes(world: &mut World, comes: u64, decided: u64) -> bool {
    world.now = comes;
    let Next { step, flight } = world.begin(&pets());
    let Step::Meter { object, ask } = step else {
        panic!("{step:?}")
    };
    world.now = decided;
    let answer = world.decide(&object, &ask);
    let next = world.resume(flight, Event::Metered(answer.as_deref()));
    let Step::Finish(finish) = next.step else {
        panic!("{:?}", next.step)
    };
    finish.status == 200
}

#[test]
fn where_clocks_are_set_at_midnight_no_day_begins_too_early() {
    // A midnight, at 03:00 UTC, at which clocks are set back to 23:00: that day ends at 04:00 UTC.
    let set = 1_775_358_000_000;
    let place = |before: i32, after: i32| Zone {
        name: "America/Santiago".to_owned(),
        offsets: vec![(0, before * 3_600), (set, after * 3_600)],
    };
    let mut autumn = world(quota(1, Window::DayAt(0)), Some(place(-3, -4)));
    assert!(passes(&mut autumn, set - HOUR, set - HOUR));
    assert!(
        !passes(&mut autumn, set - 800, set + 200),
        "decided a moment after clocks were set"
    );
    assert!(!passes(&mut autumn, set + 1_000, set + 1_000));
    assert!(!passes(&mut autumn, set + HOUR - 1, set + HOUR - 1));
    assert!(passes(&mut autumn, set + HOUR, set + HOUR));
    // Set ahead, to 01:00: the day before ends then, and not an hour earlier.
    let mut spring = world(quota(1, Window::DayAt(0)), Some(place(-3, -2)));
    assert!(passes(&mut spring, set - HOUR - 1, set - HOUR - 1));
    assert!(
        !passes(&mut spring, set + 200, set - 800),
        "asked by a clock that is ahead"
    );
    assert!(passes(&mut spring, set, set));
    assert!(!passes(&mut spring, set + 23 * HOUR - 1, set + 23 * HOUR - 1));
    assert!(passes(&mut spring, set + 23 * HOUR, set + 23 * HOUR));
}

#[test]
fn what_is_taken_back_while_clocks_are_set_is_what_was_asked() {
    // 25 October, 01:00 UTC, in Berlin, and an answer that is lost around it.
    let set = 1_792_890_000_000;
    for comes in [set - 12_000, set - 2_000, set + 8_000] {
        let mut world = world(quota(1, Window::DayAt(0)), Some(berlin()));
        world.now = comes;
        let Next { step, flight } = world.begin(&pets());
        let Step::Meter { object, ask } = step else {
            panic!("{step:?}")
        };
        world.decide(&object, &ask).expect("a decision");
        world.now += 5_000;
        let next = world.resume(flight, Event::Metered(None));
        let Step::Finish(finish) = next.step else {
            panic!("{:?}", next.step)
        };
        assert_eq!(finish.status, 503);
        world.settle(&finish.settle);
        assert_eq!(world.send(&pets()).status, 200, "who was refused was charged");
    }
}

#[test]
fn who_is_refused_is_told_when_the_day_really_ends() {
    // Days of 25 and 23 hours, from their midnights.
    for (midnight, length) in [(1_792_879_200_000, 25), (1_774_738_800_000, 23)] {
        let mut world = world(quota(1, Window::DayAt(0)), Some(berlin()));
        for hour in 0..length {
            world.now = midnight + hour * HOUR;
            let answer = world.send(&pets());
            let wait = (length - hour) * 3_600;
            if hour == 0 {
                assert_eq!(answer.status, 200);
            } else {
                assert_eq!(
                    answer.header("retry-after"),
                    Some(wait.to_string().as_str()),
                    "{hour}"
                );
            }
            let resets = format!("t={wait}");
            assert!(
                answer
                    .header("ratelimit")
                    .is_some_and(|said| said.ends_with(&resets)),
                "{hour}"
            );
        }
    }
}

#[test]
fn a_rolling_window_counts_what_came_before_at_every_instant() {
    for evicts in [false, true] {
        let mut world = world(quota(3, Window::Rolling(HOUR)), None);
        world.evicts = evicts;
        let began = world.now;
        let at = |world: &mut World, minute: u64| {
            world.now = began + minute * 60_000;
            world.send(&pets())
        };
        for minute in [0, 20, 40] {
            assert_eq!(at(&mut world, minute).status, 200);
        }
        let refused = at(&mut world, 59);
        assert_eq!(refused.code(), "quota_exceeded");
        let after: u64 = refused.header("retry-after").expect("a header").parse().unwrap();
        assert_eq!(
            after,
            4 * 60,
            "an hour, and the part of three minutes in which it passed"
        );
        world.now = began + 59 * 60_000 + after * 1_000;
        assert_eq!(world.send(&pets()).status, 200);
        assert_eq!(world.send(&pets()).status, 429);
        assert_eq!(at(&mut world, 82).status, 200);
    }
}

#[test]
fn what_comes_back_of_a_rolling_budget_comes_back_to_its_part() {
    let kind = LimitKind::Budget {
        count: 5_000,
        window: Window::Rolling(HOUR),
        unit: Unit::Tokens,
    };
    let mut world = World::with(|compiled| {
        let plan = compiled.plans.iter_mut().find(|plan| plan.name == "budget");
        plan.expect("a plan").limits = vec![limit("it", kind)];
    });
    let usage = r#"{"choices":[],"usage":{"prompt_tokens":400,"completion_tokens":100,"total_tokens":500}}"#;
    let usage = format!("data: {usage}\n\n");
    for _ in 0..7 {
        world.expect(
            "alpha",
            [Does::streams(&[ROLE, STOP, &usage, DONE], Ending::Close)],
        );
        let answer = world.send(&ask_stream("priced").by("money"));
        assert_eq!(answer.status, 200, "{}", answer.text());
        world.now += 5 * 60_000;
    }
    let looked = world.send(&Request::get("/_turnpike/limits").by("money")).json();
    assert_eq!(looked["limits"][0]["remaining"], 5_000 - 7 * 500, "{looked}");
    // A call of which nothing comes back, and then an hour.
    world.expect("alpha", [Does::status(503, "{}")]);
    world.expect("beta", [Does::status(503, "{}")]);
    world.send(&ask("priced").by("money"));
    world.now += 65 * 60_000;
    let looked = world.send(&Request::get("/_turnpike/limits").by("money")).json();
    assert_eq!(looked["limits"][0]["remaining"], 5_000);
}

#[test]
fn what_was_tried_of_a_quota_comes_back() {
    for window in [Window::Hour, Window::Rolling(HOUR)] {
        let mut world = World::with(|compiled| {
            let plan = compiled.plans.iter_mut().find(|plan| plan.name == "minute");
            plan.expect("a plan").limits = vec![
                Limit {
                    subject: vec![SubjectPart::Address],
                    ..limit("ip", quota(10, window))
                },
                limit("all", quota(2, Window::Hour)),
            ];
        });
        let call = pets().header("cf-connecting-ip", "192.0.2.1");
        let passed: u32 = (0..8).map(|_| u32::from(world.send(&call).status == 200)).sum();
        assert_eq!(passed, 2);
        let look = Request::get("/_turnpike/limits")
            .by("minute")
            .header("cf-connecting-ip", "192.0.2.1");
        assert_eq!(
            world.send(&look).json()["limits"][0]["remaining"],
            8,
            "{window:?}"
        );
    }
}
