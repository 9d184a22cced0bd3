//! Limits through the whole engine: exactly what they say, whatever vanishes.

use turnpike_engine::meter::object::MAX_KEPT;
use turnpike_engine::meter::{Ask, Asked, Mode};
use turnpike_engine::step::{Ending, Event, Step};

use turnpike_policy::{LimitKind, Unit, Window};

use crate::policy::{NOW, budget, limit, rate};
use crate::streams::{ROLE, TOKEN};
use crate::world::{Answer, Does, Request, World, ask, ask_stream};

fn pets(consumer: &str) -> Request {
    Request::get("/petstore/v2/pets").by(consumer)
}

fn passed(world: &mut World, request: &Request, times: u32) -> u32 {
    (0..times)
        .map(|_| u32::from(world.send(request).status == 200))
        .sum()
}

#[test]
fn of_1022_requests_exactly_100_pass_with_the_clock_held() {
    for (consumer, replaces, evicts) in [
        ("minute", true, false),
        ("minute", false, false),
        ("local", false, false),
        ("minute", true, true),
    ] {
        for request in [pets(consumer), ask("lone").by(consumer)] {
            let mut world = World::new();
            (world.replaces, world.evicts) = (replaces, evicts);
            let passed = passed(&mut world, &request, 1022);
            if evicts {
                // Memory lost before every call: what lay between the mark and the truth is forgone.
                assert!((1..=100).contains(&passed), "{passed}");
            } else {
                assert_eq!(passed, 100, "{consumer}");
            }
        }
    }
}

#[test]
fn portions_are_taken_in_advance_and_never_more_than_the_limit() {
    for replaces in [false, true] {
        let mut world = World::new();
        world.replaces = replaces;
        let passed = passed(&mut world, &pets("leased"), 1022);
        assert!(passed <= 600, "{passed}");
        if !replaces {
            // While portions are out, what the rate emits in a second is set aside: ten.
            assert!(passed >= 590, "{passed}");
            // Those that were refused asked, all 422; of the others few did.
            assert!(world.asked < 422 + 100, "{}", world.asked);
        }
    }
    let mut world = World::new();
    world.meter_down = true;
    assert_eq!(world.send(&pets("leased")).code(), "limiter_unavailable");
}

#[test]
fn in_time_as_many_more_pass_as_time_emits() {
    for (consumer, gap) in [("minute", 7), ("minute", 61), ("local", 7), ("local", 61)] {
        let mut world = World::new();
        world.replaces = consumer == "minute";
        let mut passed = 0;
        for _ in 0..1022 {
            world.now += gap;
            passed += u64::from(world.send(&pets(consumer)).status == 200);
            // A mock takes no time: the clock is ours.
            let elapsed = world.now - (NOW + gap);
            assert!(
                passed <= 100 + elapsed * 100 / 60_000,
                "{passed} after {elapsed} ms"
            );
        }
        let elapsed = world.now - (NOW + gap);
        assert_eq!(
            passed,
            (100 + elapsed * 100 / 60_000).min(1022),
            "{consumer} every {gap} ms"
        );
    }
}

#[test]
fn limits_of_a_plan_hold_all_together() {
    let mut world = World::new();
    // 5 a second and 100 a minute.
    assert_eq!(passed(&mut world, &pets("trial"), 50), 5);
    let mut total = 5;
    for _ in 0..59 {
        world.now += 1000;
        total += passed(&mut world, &pets("trial"), 50);
    }
    // In 59 seconds the rate by the minute emits 98 more.
    assert_eq!(total, 198);
    let answer = world.send(&pets("trial"));
    assert_eq!(answer.code(), "rate_limited");
}

#[test]
fn a_refused_request_is_charged_nowhere() {
    let mut world = World::new();
    let remaining = |answer: &Answer| answer.header("ratelimit").map(str::to_owned);
    let before = remaining(&world.send(&pets("minute"))).expect("a header");
    assert!(before.contains("r=99"), "{before}");
    for request in [
        Request::get("/nothing").by("minute"),
        pets("minute").header("prefer", "code=418"),
        pets("minute").body("text/plain", b"x"),
        Request::new("POST", "/petstore/v2/pets")
            .by("minute")
            .chunked("application/json", &[b'x'; 1001]),
        Request::get("/petstore/v0/pets").by("minute"),
        ask("gpt-none").by("minute"),
        ask("retired").by("minute"),
        ask("fast").by("minute").body("application/json", b"{"),
        Request::get("/v1/models/none").by("minute"),
    ] {
        let answer = world.send(&request);
        assert!(answer.status >= 400, "{}", answer.text());
        assert!(!answer.steps.contains(&"meter"), "{}", answer.text());
    }
    let after = remaining(&world.send(&pets("minute"))).expect("a header");
    assert!(after.contains("r=98"), "{after}");
    // A request that its own limit refuses is not charged to the others either.
    let mut world = World::new();
    let limited = ask("limited").by("minute");
    assert_eq!(passed(&mut world, &limited, 10), 2);
    let after = remaining(&world.send(&pets("minute"))).expect("a header");
    assert!(after.contains("r=97"), "{after}");
}

#[test]
fn retries_and_fallbacks_are_charged_once() {
    let mut world = World::new();
    world.expect("alpha", std::iter::repeat_n(Does::status(503, "{}"), 3));
    let answer = world.send(&ask("smart").by("minute"));
    assert_eq!((answer.sent.len(), world.asked), (4, 1));
    assert!(
        world
            .send(&pets("minute"))
            .header("ratelimit")
            .unwrap()
            .contains("r=98")
    );
}

#[test]
fn refusals_say_when_to_come_back_and_it_is_true() {
    let mut world = World::new();
    passed(&mut world, &ask("fast").by("minute"), 100);
    let answer = world.send(&ask("fast").by("minute"));
    assert_eq!(answer.status, 429);
    assert_eq!(
        answer.header("ratelimit-policy"),
        Some("\"minute:100-1m\";q=100;w=60")
    );
    assert_eq!(answer.header("ratelimit"), Some("\"minute:100-1m\";r=0;t=1"));
    assert_eq!(answer.header("retry-after"), Some("1"));
    assert_eq!(answer.header("retry-after-ms"), Some("600"));
    assert_eq!(answer.header("x-should-retry"), Some("true"));
    assert_eq!(
        answer
            .headers
            .iter()
            .filter(|(name, _)| name == "ratelimit")
            .count(),
        1
    );
    world.now += 599;
    assert_eq!(world.send(&ask("fast").by("minute")).status, 429);
    world.now += 1;
    assert_eq!(world.send(&ask("fast").by("minute")).status, 200);
    // On APIs the headers of the SDKs are not there.
    passed(&mut world, &pets("minute"), 1);
    let answer = world.send(&pets("minute"));
    assert_eq!(
        (
            answer.status,
            answer.header("retry-after-ms"),
            answer.header("x-should-retry")
        ),
        (429, None, None)
    );
    assert_eq!(
        answer.json()["type"],
        "https://iana.org/assignments/http-problem-types#quota-exceeded"
    );
}

#[test]
fn a_quota_is_exact_in_its_window_and_survives_eviction() {
    for evicts in [false, true] {
        let mut world = World::new();
        world.evicts = evicts;
        assert_eq!(passed(&mut world, &pets("quota"), 20), 3);
        let answer = world.send(&ask("fast").by("quota"));
        assert_eq!(
            (answer.code().as_str(), answer.header("x-should-retry")),
            ("quota_exceeded", Some("false"))
        );
        assert_eq!(answer.header("retry-after"), Some("3600"));
        world.now += 3_599_999;
        assert_eq!(passed(&mut world, &pets("quota"), 1), 0);
        world.now += 1;
        assert_eq!(passed(&mut world, &pets("quota"), 20), 3);
    }
}

#[test]
fn a_limiter_that_cannot_be_asked_refuses_or_lets_pass_as_the_plan_says() {
    let mut world = World::new();
    world.meter_down = true;
    let answer = world.send(&pets("minute"));
    assert_eq!(
        (answer.status, answer.code().as_str()),
        (503, "limiter_unavailable")
    );
    assert!(answer.sent.is_empty());
    let answer = world.send(&pets("open"));
    assert_eq!((answer.status, &answer.log()["unlimited"]), (200, &true.into()));
    assert_eq!(answer.header("ratelimit"), None);
    world.meter_down = false;
    let answer = world.send(&pets("open"));
    assert_eq!((answer.status, answer.log().get("unlimited")), (200, None));
}

/// Whoever fills an object would otherwise open its other limits with it.
#[test]
fn a_limiter_that_is_full_has_not_failed_and_lets_nothing_pass() {
    let mut world = World::new();
    world.send(&pets("open"));
    let object = world.objects[0].clone();
    let mut world = World::new();
    for number in 0..MAX_KEPT {
        let asked = Asked {
            id: &format!("other-{number}"),
            kind: LimitKind::Quota {
                count: 9,
                window: Window::Month,
            },
            amount: 0,
            shadow: false,
        };
        let ask = Ask {
            mode: Mode::Charge,
            request: "",
            part: 0,
            cost: 1,
            hold: 0,
            lease: None,
            limits: vec![asked],
        };
        world.decide(&object, &ask.encode().unwrap()).unwrap();
    }
    let answer = world.send(&pets("open"));
    assert_eq!(
        (answer.status, answer.code().as_str()),
        (503, "limiter_unavailable")
    );
    assert_eq!(answer.header("retry-after"), Some("1"));
    assert!(answer.sent.is_empty());
    assert_eq!(answer.log().get("unlimited"), None);
}

#[test]
fn a_problem_names_the_limit_that_held_the_request_back() {
    let mut world = World::new();
    passed(&mut world, &pets("minute"), 100);
    let problem = world.send(&pets("minute")).json();
    assert_eq!(
        problem["violated-policies"],
        serde_json::json!(["minute:100-1m"]),
        "{problem}"
    );
    let other = world.send(&Request::get("/nothing").by("minute")).json();
    assert_eq!(other.get("violated-policies"), None, "{other}");
}

#[test]
fn an_open_plan_opens_no_budget_of_what_it_calls() {
    let quota = LimitKind::Quota {
        count: 5,
        window: Window::Hour,
    };
    let money = budget(1_000_000_000, Unit::NanoUsd);
    for (excepted, kind, passes) in [
        (None, rate(5, 1_000), true),
        (None, LimitKind::Concurrency { count: 5 }, true),
        (None, quota, false),
        (None, money, false),
        (Some(NOW + 1_000), money, true),
        (Some(NOW), money, false),
    ] {
        let mut world = World::with(|compiled| {
            let plan = compiled.plans.iter_mut().find(|plan| plan.name == "open");
            plan.expect("a plan").open_until = excepted;
            let model = compiled.models.iter_mut().find(|model| model.name == "priced");
            model.expect("a model").limits = vec![limit("models/priced:own", kind)];
        });
        world.meter_down = true;
        let answer = world.send(&ask("priced").by("open"));
        assert_eq!(answer.status == 200, passes, "{kind:?}: {}", answer.text());
        assert_eq!(answer.sent.is_empty(), !passes);
    }
}

#[test]
fn streams_say_their_limits_too() {
    let mut world = World::new();
    world.expect("alpha", [Does::streams(&[ROLE, TOKEN], Ending::Lose)]);
    let answer = world.send(&ask_stream("lone").by("minute"));
    assert_eq!(answer.header("ratelimit"), Some("\"minute:100-1m\";r=99;t=1"));
}

#[test]
fn an_answer_that_was_lost_is_not_paid_twice() {
    // The object decided, its answer was lost, and the same step is carried out again.
    let mut world = World::new();
    let next = world.begin(&pets("quota"));
    let Step::Meter { object, ask } = &next.step else {
        panic!("{:?}", next.step)
    };
    for _ in 0..5 {
        let decided = world.decide(object, ask).expect("a decision");
        let next = world.resume(next.flight.clone(), Event::Metered(Some(&decided)));
        let Step::Finish(finish) = next.step else {
            panic!("{:?}", next.step)
        };
        assert_eq!(finish.status, 200);
    }
    assert_eq!(passed(&mut world, &pets("quota"), 5), 2);
}

#[test]
fn consumers_do_not_share_their_limits() {
    let mut world = World::new();
    assert_eq!(passed(&mut world, &pets("minute"), 200), 100);
    assert_eq!(passed(&mut world, &pets("open"), 200), 100);
    assert_eq!(passed(&mut world, &pets("demo"), 200), 200);
}

#[test]
fn what_is_open_to_everybody_is_limited_by_address_until_its_exception_ends() {
    let mut world = World::with(|compiled| {
        let status = compiled
            .apis
            .iter_mut()
            .find(|api| api.name == "status")
            .expect("an API");
        status.limits = vec![limit("apis/status:rate-3-60s", rate(3, 60_000))];
        for operation in compiled.operations.iter_mut().filter(|o| o.id == "ping") {
            operation.open_until = Some(NOW + 3_600_000);
        }
    });
    let ping = |address: &str| Request::get("/status/v1/ping").header("cf-connecting-ip", address);
    assert_eq!(passed(&mut world, &ping("192.0.2.1"), 10), 3);
    assert_eq!(passed(&mut world, &ping("192.0.2.2"), 10), 3);
    // Of IPv6 a whole network is one client.
    assert_eq!(passed(&mut world, &ping("2001:db8::1"), 2), 2);
    assert_eq!(passed(&mut world, &ping("2001:db8::2"), 10), 1);
    world.now = NOW + 3_600_000;
    assert_eq!(world.send(&ping("192.0.2.1")).code(), "credential_missing");
}

#[test]
fn a_caller_sees_its_own_standing_and_pays_nothing_for_it() {
    let mut world = World::new();
    let look = |consumer: &str| Request::get("/_turnpike/limits").by(consumer);
    world.send(&pets("minute"));
    for _ in 0..3 {
        let answer = world.send(&look("minute"));
        assert_eq!(answer.status, 200, "{}", answer.text());
        assert_eq!(
            answer.json(),
            serde_json::json!({ "consumer": "minute", "plan": "minute", "limits": [{
                "name": "minute:100-1m", "kind": "rate", "unit": "requests",
                "limit": 100, "remaining": 99, "window_seconds": 60, "reset_seconds": 1,
            }]})
        );
    }
    world.send(&ask("priced").by("money"));
    let answer = world.send(&look("money"));
    assert_eq!(answer.json()["limits"][0]["remaining"], 100_000 - 12);
    assert_eq!(answer.json()["limits"][1]["unit"], "nano_usd");
    assert_eq!(world.send(&look("places")).json()["limits"][0]["remaining"], 2);
    assert_eq!(world.send(&look("leased")).json()["limits"][0]["remaining"], 600);
    assert_eq!(world.send(&look("local")).json()["limits"][0]["remaining"], 100);
    assert_eq!(
        world.send(&Request::get("/_turnpike/limits")).code(),
        "credential_missing"
    );
    assert_eq!(
        world
            .send(&Request::new("PUT", "/_turnpike/limits").by("minute"))
            .code(),
        "method_not_allowed"
    );
    world.meter_down = true;
    for consumer in ["minute", "open"] {
        assert_eq!(world.send(&look(consumer)).code(), "limiter_unavailable");
    }
}

#[test]
fn an_upstream_without_tls_is_asked_no_longer_than_its_exception_lasts() {
    let mut world = World::with(|compiled| {
        for api in compiled.apis.iter_mut() {
            api.until = Some(NOW + 1000);
        }
    });
    let latest = Request::get("/petstore/v2/pets/latest").by("open");
    assert_eq!(world.send(&latest).status, 200);
    world.now = NOW + 1000;
    let answer = world.send(&latest);
    assert_eq!(
        (answer.status, answer.code().as_str()),
        (502, "upstream_unreachable")
    );
    assert!(answer.sent.is_empty(), "nothing is sent in clear text");
    assert!(
        answer.log().to_string().contains("the exception"),
        "{}",
        answer.log()
    );
}

#[test]
fn a_plan_is_open_no_longer_than_its_exception() {
    let mut world = World::with(|compiled| {
        let plan = compiled
            .plans
            .iter_mut()
            .find(|plan| plan.name == "open")
            .expect("a plan");
        plan.open_until = Some(NOW + 1000);
    });
    world.meter_down = true;
    assert_eq!(world.send(&pets("open")).status, 200);
    world.now = NOW + 1000;
    assert_eq!(world.send(&pets("open")).code(), "limiter_unavailable");
}
