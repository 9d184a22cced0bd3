//! Limits of other subjects than the consumer, and requests whose limits lie in several objects.

use proptest::prelude::*;
use serde_json::json;
use turnpike_engine::step::{Event, Step};
use turnpike_engine::{Flight, Next};
use turnpike_policy::{Claim, Limit, LimitKind, OnError, Precision, SubjectPart, Unit};

use crate::policy::{INLINE, SECRET, budget, limit, rate};
use crate::world::{Answer, Does, Request, World, ask};

fn pets(consumer: &str, address: &str) -> Request {
    Request::get("/petstore/v2/pets")
        .by(consumer)
        .header("cf-connecting-ip", address)
}

/// A world where the consumer `minute` has these limits.
fn world(limits: &[Limit]) -> World {
    World::with(|compiled| {
        let plan = compiled.plans.iter_mut().find(|plan| plan.name == "minute");
        plan.expect("a plan").limits = limits.to_vec();
    })
}

fn of(id: &str, kind: LimitKind, subject: &[SubjectPart]) -> Limit {
    Limit {
        subject: subject.to_vec(),
        ..limit(id, kind)
    }
}

fn passed(world: &mut World, request: &Request, times: u32) -> u32 {
    (0..times)
        .map(|_| u32::from(world.send(request).status == 200))
        .sum()
}

use SubjectPart::{Address, Api, Consumer, Credential, Model, Operation, Upstream};

#[test]
fn what_the_policy_lists_is_told_apart_inside_the_consumers_object() {
    for part in [Operation, Api, Upstream] {
        let mut world = world(&[of("each", rate(3, 60_000), &[Consumer, part.clone()])]);
        assert_eq!(passed(&mut world, &pets("minute", ""), 5), 3);
        // Another operation of the same version of the same API.
        let other = Request::get("/petstore/v2/pets/1").by("minute");
        let fresh = u32::from(part == Operation) * 3;
        assert_eq!(passed(&mut world, &other, 5), fresh, "{part:?}");
        assert!(world.objects.iter().all(|object| object == "consumer:minute"));
        // Models have none of these but an upstream, which is another.
        let models = passed(&mut world, &ask("fast").by("minute"), 5);
        assert_eq!(models, if part == Upstream { 3 } else { 5 }, "{part:?}");
    }
    let mut world = world(&[of("each", rate(3, 60_000), &[Consumer, Model])]);
    assert_eq!(passed(&mut world, &ask("fast").by("minute"), 5), 3);
    assert_eq!(passed(&mut world, &ask("smart").by("minute"), 5), 3);
    assert_eq!(passed(&mut world, &pets("minute", ""), 5), 5);
}

#[test]
fn a_subject_without_a_consumer_is_shared_by_all() {
    let shared = of("all", rate(3, 60_000), &[Api]);
    let mut world = World::with(|compiled| {
        for api in compiled.apis.iter_mut() {
            api.limits = vec![shared.clone()];
        }
    });
    assert_eq!(passed(&mut world, &pets("demo", ""), 2), 2);
    assert_eq!(passed(&mut world, &pets("minute", ""), 5), 1);
    assert!(world.objects.iter().any(|object| object == "api:petstore"));
}

#[test]
fn an_address_and_a_credential_are_subjects() {
    let mut world = world(&[of("ip", rate(2, 60_000), &[Address])]);
    assert_eq!(passed(&mut world, &pets("minute", "192.0.2.1"), 5), 2);
    assert_eq!(passed(&mut world, &pets("minute", "192.0.2.2"), 5), 2);
    assert_eq!(passed(&mut world, &pets("minute", "2001:db8::1"), 1), 1);
    assert_eq!(passed(&mut world, &pets("minute", "2001:db8::ffff"), 5), 1);
    let mut world = self::world(&[of("key", rate(2, 60_000), &[Credential])]);
    assert_eq!(passed(&mut world, &pets("minute", "192.0.2.1"), 5), 2);
    let object = world.objects.first().expect("an object");
    assert!(
        object.starts_with("credential:") && !object.contains("minute"),
        "{object}"
    );
}

/// A world where the API has one limit of two calls a minute.
fn counted_by(part: &SubjectPart) -> World {
    World::with(|compiled| {
        compiled.claims = vec![Claim {
            path: vec!["tenant".to_owned()],
            kind: None,
            issuers: Vec::new(),
        }];
        compiled.headers = vec!["x-other".to_owned(), "x-tenant".to_owned()];
        for api in compiled.apis.iter_mut() {
            api.limits = vec![of("each", rate(2, 60_000), std::slice::from_ref(part))];
        }
    })
}

#[test]
fn a_claim_is_a_subject_and_callers_without_it_share_one() {
    let mut world = counted_by(&SubjectPart::Claim("tenant".to_owned()));
    let by = |issuer, tenant: serde_json::Value| {
        let token = crate::world::token(issuer, |claims| claims["tenant"] = tenant);
        Request::get("/petstore/v2/pets").header("authorization", &format!("Bearer {token}"))
    };
    // Also of a token that is known already, and for two tokens of one tenant.
    for tenant in [
        json!("acme"),
        json!("other"),
        json!(1),
        json!("1"),
        json!(true),
        json!("true"),
        json!(""),
    ] {
        assert_eq!(passed(&mut world, &by(INLINE, tenant.clone()), 4), 2, "{tenant}");
    }
    // Another issuer's tenant of that name is another tenant.
    assert_eq!(passed(&mut world, &by(SECRET, json!("acme")), 4), 2);
    // What is no plain value is as if it were not there; an API key has no claims: all these together.
    assert_eq!(passed(&mut world, &by(INLINE, json!(["acme"])), 1), 1);
    assert_eq!(passed(&mut world, &by(SECRET, json!({ "id": 1 })), 1), 1);
    assert_eq!(passed(&mut world, &by(INLINE, json!(null)), 3), 0);
    assert_eq!(passed(&mut world, &pets("demo", ""), 3), 0);
    assert_eq!(passed(&mut world, &pets("minute", ""), 3), 0);
    let named = |object: &String| object.starts_with("claim:") && !object.contains("acme");
    assert!(
        world.objects.iter().any(named) && !world.objects.iter().any(|object| object.contains("acme")),
        "{:?}",
        world.objects
    );
}

#[test]
fn a_header_is_a_subject_and_requests_without_it_share_one() {
    let mut world = counted_by(&SubjectPart::Header("x-tenant".to_owned()));
    let sent = |consumer, value: &str| pets(consumer, "").header("x-tenant", value);
    assert_eq!(passed(&mut world, &sent("demo", "acme"), 4), 2);
    assert_eq!(passed(&mut world, &sent("minute", "acme"), 4), 0);
    assert_eq!(passed(&mut world, &sent("demo", "other"), 4), 2);
    assert_eq!(passed(&mut world, &sent("demo", ""), 4), 2);
    assert_eq!(
        passed(&mut world, &pets("demo", "").header("x-other", "acme"), 1),
        1
    );
    assert_eq!(passed(&mut world, &pets("demo", ""), 4), 1);
    assert!(!world.objects.iter().any(|object| object.contains("acme")));
    let large = world.send(&sent("demo", &"x".repeat(9000)));
    assert_eq!((large.status, large.code().as_str()), (431, "header_too_large"));
}

fn both() -> World {
    world(&[
        of("ip", rate(3, 60_000), &[Address]),
        of("all", quota(5), &[Consumer]),
    ])
}

fn quota(count: u64) -> LimitKind {
    LimitKind::Quota {
        count,
        window: turnpike_policy::Window::Hour,
    }
}

fn left(answer: &Answer) -> Vec<u64> {
    let said = answer.header("ratelimit").expect("a header");
    let number = |item: &str| item.split(";r=").nth(1)?.split(';').next()?.parse().ok();
    said.split(", ").map(|item| number(item).expect(said)).collect()
}

#[test]
fn of_several_objects_all_are_charged_or_none() {
    let mut world = both();
    let answer = world.send(&pets("minute", "192.0.2.1"));
    assert_eq!(answer.status, 200, "{}", answer.text());
    // Tried, charged, charged.
    assert_eq!(world.objects.len(), 3, "{:?}", world.objects);
    assert!(world.objects[0].starts_with("address:") && world.objects[0] == world.objects[2]);
    assert_eq!(world.objects[1], "consumer:minute");
    assert_eq!(left(&answer), [2, 4]);
    // The address is at its end: the consumer is not charged.
    assert_eq!(passed(&mut world, &pets("minute", "192.0.2.1"), 9), 2);
    let answer = world.send(&pets("minute", "192.0.2.2"));
    assert_eq!((answer.status, left(&answer)), (200, vec![2, 1]));
    // The consumer is at its end: addresses are not charged, at once.
    assert_eq!(passed(&mut world, &pets("minute", "192.0.2.2"), 1), 1);
    let answer = world.send(&pets("minute", "192.0.2.3"));
    assert_eq!((answer.code().as_str(), world.settled), ("quota_exceeded", 1));
    let looked = world.send(
        &Request::get("/_turnpike/limits")
            .by("minute")
            .header("cf-connecting-ip", "192.0.2.3"),
    );
    assert_eq!(looked.json()["limits"][0]["remaining"], 3, "{}", looked.text());
    assert_eq!(looked.json()["limits"][1]["remaining"], 0);
}

#[test]
fn of_several_objects_the_strictest_is_named() {
    let mut world = world(&[
        of("ip", rate(2, 60_000), &[Address]),
        of("all", quota(2), &[Consumer]),
    ]);
    world.replaces = false;
    let call = pets("minute", "192.0.2.1");
    assert_eq!(passed(&mut world, &call, 2), 2);
    // Both have nothing left: the hour is longer than the half minute.
    world.asked = 0;
    let refused = world.send(&call);
    assert_eq!(
        (refused.code(), world.asked),
        ("quota_exceeded".to_owned(), 2),
        "{}",
        refused.text()
    );
    let wait: u64 = refused.header("retry-after").expect("a header").parse().unwrap();
    assert!(wait > 60, "{wait}");
    let said = refused.header("ratelimit").expect("a header");
    assert_eq!(said.matches(";r=0").count(), 2, "{said}");
    // For a moment what was found is remembered, and nobody else is looked at.
    world.now += 500;
    let again = world.send(&call);
    assert_eq!((again.code(), world.asked), ("quota_exceeded".to_owned(), 3));
    let later: u64 = again.header("retry-after").expect("a header").parse().unwrap();
    assert!(later == wait || later + 1 == wait, "{later} {wait}");
    // Who has not got that limit is told of its own.
    let other = pets("demo", "192.0.2.1");
    assert_ne!(world.send(&other).code(), "quota_exceeded");
    // What was looked at was not charged: the first one back in time passes.
    world.now += 1_500;
    assert_eq!(world.send(&call).code(), "quota_exceeded");
    world.now += wait * 1_000 - 2_000;
    assert_eq!(world.send(&call).status, 200);
    // The one that refuses is the strictest, where the others have enough left.
    let mut world = self::world(&[
        of("ip", rate(1, 60_000), &[Address]),
        of("all", quota(2), &[Consumer]),
    ]);
    assert_eq!(passed(&mut world, &call, 1), 1);
    assert_eq!(world.send(&call).code(), "rate_limited");
}

#[test]
fn what_is_the_callers_own_is_tried_before_what_all_share_is_charged() {
    let mut world = World::with(|compiled| {
        for plan in compiled.plans.iter_mut().filter(|plan| plan.name == "minute") {
            plan.limits = vec![of("all", quota(9), &[Consumer])];
        }
        for api in compiled.apis.iter_mut() {
            api.limits = vec![of("shared", quota(9), &[Api])];
        }
    });
    assert_eq!(world.send(&pets("minute", "")).status, 200);
    assert_eq!(
        world.objects,
        ["consumer:minute", "api:petstore", "consumer:minute"]
    );
}

#[test]
fn a_caller_sees_how_it_stands_with_an_api_and_a_model() {
    let mut world = World::with(|compiled| {
        for plan in compiled.plans.iter_mut().filter(|plan| plan.name == "minute") {
            plan.limits = vec![of("all", quota(9), &[Consumer])];
        }
        for api in compiled.apis.iter_mut() {
            api.limits = vec![
                of("api", quota(7), &[Consumer, Api]),
                of("up", quota(5), &[Upstream]),
            ];
        }
        for model in compiled.models.iter_mut().filter(|model| model.name == "fast") {
            model.limits = vec![of("model", quota(8), &[Consumer, Model])];
        }
    });
    assert_eq!(world.send(&pets("minute", "")).status, 200);
    assert_eq!(world.send(&ask("fast").by("minute")).status, 200);
    let mut look = |query: &str| world.send(&Request::get(&format!("/_turnpike/limits{query}")).by("minute"));
    let shown = |answer: &Answer| -> Vec<(String, u64)> {
        let page = answer.json();
        let rows = page["limits"].as_array().expect("limits").iter();
        rows.map(|row| {
            (
                row["name"].as_str().unwrap().to_owned(),
                row["remaining"].as_u64().unwrap(),
            )
        })
        .collect()
    };
    let named = |rows: &[(&str, u64)]| -> Vec<(String, u64)> {
        rows.iter()
            .map(|(name, left)| ((*name).to_owned(), *left))
            .collect()
    };
    assert_eq!(shown(&look("")), named(&[("all", 7)]));
    assert_eq!(
        shown(&look("?api=petstore/v2")),
        named(&[("all", 7), ("api", 6), ("up", 4)])
    );
    assert_eq!(
        shown(&look("?api=petstore%2Fv2")),
        named(&[("all", 7), ("api", 6), ("up", 4)])
    );
    assert_eq!(shown(&look("?model=fast")), named(&[("all", 7), ("model", 7)]));
    // To look costs nothing, and what one may not call is not there.
    assert_eq!(shown(&look("?model=fast")), named(&[("all", 7), ("model", 7)]));
    for (query, code) in [
        ("?api=petstore/v9", "not_found"),
        ("?api=petstore", "not_found"),
        ("?model=nothing", "model_not_found"),
        ("?model=fast&api=petstore/v2", "operator_required"),
        ("?other=1", "operator_required"),
    ] {
        assert_eq!(look(query).code(), code, "{query}");
    }
}

#[test]
fn a_rolling_budget_that_is_only_looked_at_names_when_there_is_room_for_the_call() {
    let rolling = LimitKind::Budget {
        count: 1_000,
        window: turnpike_policy::Window::Rolling(3_600_000),
        unit: Unit::Bytes,
    };
    let mut world = world(&[
        of("ip", rate(3, 60_000), &[Address]),
        of("bytes", rolling, &[Consumer]),
    ]);
    let call = |bytes: usize| {
        Request::new("POST", "/petstore/v2/pets")
            .by("minute")
            .header("cf-connecting-ip", "192.0.2.1")
            .body("application/json", format!("{:bytes$}", "{}").as_bytes())
    };
    // A little early, the most of it late: what comes back first is not enough for the next.
    assert_eq!(world.send(&call(100)).status, 200);
    world.now += 1_800_000;
    for _ in 0..3 {
        assert_eq!(world.send(&call(300)).status, 200);
    }
    let refused = world.send(&call(300));
    assert_eq!(refused.code(), "budget_exceeded", "{}", refused.text());
    let wait: u64 = refused.header("retry-after").expect("a header").parse().unwrap();
    assert!((3_600..=3_800).contains(&wait), "{wait}");
    world.now += wait * 1_000;
    assert_eq!(world.send(&call(300)).status, 200);
}

/// A request that is lost after so many answers of objects.
fn lost_after(world: &mut World, request: &Request, answers: usize) {
    let mut next = world.begin(request);
    for _ in 0..answers {
        let Next {
            step: Step::Meter { object, ask },
            flight,
        } = next
        else {
            panic!("{:?}", next.step)
        };
        let decided = world.decide(&object, &ask);
        next = world.resume(flight, Event::Metered(decided.as_deref()));
    }
}

#[test]
fn what_was_tried_for_a_request_that_is_lost_comes_back() {
    let mut world = both();
    for _ in 0..3 {
        lost_after(&mut world, &pets("minute", "192.0.2.1"), 1);
    }
    // Refused wrongly, for a moment.
    assert_eq!(world.send(&pets("minute", "192.0.2.1")).code(), "rate_limited");
    world.now += 10_000;
    let answer = world.send(&pets("minute", "192.0.2.1"));
    assert_eq!((answer.status, left(&answer)), (200, vec![2, 4]));
    // Lost between the two charges: the one that was made stays.
    lost_after(&mut world, &pets("minute", "192.0.2.1"), 2);
    world.now += 10_000;
    let answer = world.send(&pets("minute", "192.0.2.1"));
    assert_eq!((answer.status, left(&answer)), (200, vec![1, 2]));
}

#[test]
fn an_object_that_does_not_answer_refuses_all_and_gives_back_the_rest() {
    for down in ["address:", "consumer:"] {
        let mut world = both();
        world.down = Some(down);
        assert_eq!(
            world.send(&pets("minute", "192.0.2.1")).code(),
            "limiter_unavailable"
        );
        world.down = None;
        let answer = world.send(&pets("minute", "192.0.2.1"));
        assert_eq!((answer.status, left(&answer)), (200, vec![2, 4]), "{down}");
    }
    let mut world = World::with(|compiled| {
        let plan = compiled
            .plans
            .iter_mut()
            .find(|plan| plan.name == "minute")
            .expect("a plan");
        plan.limits = vec![
            of("ip", rate(3, 60_000), &[Address]),
            of("all", rate(5, 60_000), &[Consumer]),
        ];
        plan.on_error = OnError::Open;
    });
    // One that does not answer is asked once, be it the first or the last.
    for down in ["address:", "consumer:"] {
        (world.down, world.asked) = (Some(down), 0);
        let answer = world.send(&pets("minute", "192.0.2.9"));
        assert_eq!((answer.status, &answer.log()["unlimited"]), (200, &true.into()));
        assert_eq!(world.asked, if down == "address:" { 2 } else { 3 }, "{down}");
    }
    let answer = world.send(&pets("minute", "192.0.2.1"));
    assert_eq!((answer.status, &answer.log()["unlimited"]), (200, &true.into()));
    // What can be asked still holds.
    assert_eq!(passed(&mut world, &pets("minute", "192.0.2.1"), 9), 2);
}

#[test]
fn what_an_answer_that_was_lost_may_have_charged_is_taken_back() {
    let both = [of("ip", quota(2), &[Address]), of("all", quota(4), &[Consumer])];
    let alone = [of("all", quota(4), &[Consumer])];
    let tokens = [
        of("tokens", budget(1_000_000_000, Unit::Tokens), &[Consumer]),
        of("all", quota(4), &[Consumer]),
        of("places", LimitKind::Concurrency { count: 1 }, &[Consumer]),
    ];
    // The trial, the confirmation after it, the charge between both, a charge alone.
    for (limits, mute, heard) in [
        (&both[..], "address:", 0),
        (&both, "address:", 1),
        (&both, "consumer:", 0),
        (&alone, "consumer:", 0),
        (&tokens, "consumer:", 0),
    ] {
        let mut world = world(limits);
        world.expect("alpha", [Does::completes(), Does::completes()]);
        let fresh = world.send(&ask("priced").by("minute").header("cf-connecting-ip", "192.0.2.2"));
        let call = ask("priced").by("minute").header("cf-connecting-ip", "192.0.2.1");
        for _ in 0..9 {
            (world.mute, world.heard) = (Some(mute), heard);
            assert_eq!(world.send(&call).code(), "limiter_unavailable");
        }
        world.mute = None;
        let answer = world.send(&call);
        assert_eq!(answer.status, 200, "{mute} {heard} {}", answer.text());
        let place = limits
            .iter()
            .position(|limit| limit.id == "all")
            .expect("a quota");
        let (fresh, left) = (left(&fresh), left(&answer));
        assert_eq!(left[place] + 1, fresh[place], "{mute} {heard}");
        if limits.len() == 3 {
            // The first has paid what it used, the last what it may use.
            assert!(
                fresh[0] - left[0] < 1_000_000_000 - fresh[0],
                "{fresh:?} {left:?}"
            );
        }
    }
}

#[test]
fn a_body_that_was_counted_for_a_call_that_was_refused_is_taken_back() {
    let mut world = world(&[of("bytes", budget(500, Unit::Bytes), &[Consumer])]);
    let call = ask("fast").by("minute");
    let length = call.body.as_ref().map_or(0, Vec::len) as u64;
    world.mute = Some("consumer:");
    for _ in 0..9 {
        assert_eq!(world.send(&call).code(), "limiter_unavailable");
    }
    world.mute = None;
    assert_eq!(left(&world.send(&call)), [500 - length]);
}

#[test]
fn what_an_isolate_keeps_alone_is_given_back_when_an_object_refuses() {
    for precision in [Precision::Local, Precision::Leased] {
        let mut world = world(&[
            Limit {
                precision,
                ..of("ip", rate(40, 60_000), &[Address])
            },
            of("all", quota(5), &[Consumer]),
        ]);
        // Only the isolate itself can give it back.
        world.replaces = false;
        assert_eq!(
            passed(&mut world, &pets("minute", "192.0.2.1"), 30),
            5,
            "{precision:?}"
        );
        let look = Request::get("/_turnpike/limits")
            .by("minute")
            .header("cf-connecting-ip", "192.0.2.1");
        let left = world.send(&look).json()["limits"][0]["remaining"]
            .as_u64()
            .expect("a number");
        let most = if precision == Precision::Local { 35 } else { 24 };
        assert!((most..=35).contains(&left), "{precision:?} {left}");
    }
}

#[test]
fn a_limit_in_the_shadow_is_counted_and_reported_and_holds_nobody_back() {
    for precision in [Precision::Exact, Precision::Local] {
        let mut world = world(&[
            Limit {
                shadow: true,
                precision,
                ..of("soon", rate(2, 60_000), &[Consumer])
            },
            of("now", rate(5, 60_000), &[Consumer]),
        ]);
        for count in 0..5 {
            let answer = world.send(&pets("minute", ""));
            assert_eq!(answer.status, 200, "{}", answer.text());
            let reported = answer.log().get("shadow_limits").cloned();
            assert_eq!(
                reported,
                (count >= 2).then(|| serde_json::json!(["soon"])),
                "{precision:?}"
            );
            let said = answer.header("ratelimit").expect("a header");
            assert!(!said.contains("soon") && said.contains("now"), "{said}");
        }
        assert_eq!(world.send(&pets("minute", "")).code(), "rate_limited");
        let page = world.send(&Request::get("/_turnpike/limits").by("minute")).json();
        assert_eq!(page["limits"].as_array().map(Vec::len), Some(1), "{page}");
    }
}

#[test]
fn the_bytes_of_bodies_are_counted_as_they_are_announced_or_read() {
    let mut world = world(&[of("bytes", budget(1_000, Unit::Bytes), &[Consumer])]);
    let post = |body: &[u8]| {
        Request::new("POST", "/petstore/v2/pets")
            .by("minute")
            .body("application/json", body)
    };
    world.expect("pets", [Does::status(200, "{}"), Does::status(200, "{}")]);
    let answer = world.send(&post(&[b' '; 300]));
    assert_eq!(
        (answer.status, left(&answer)),
        (200, vec![700]),
        "{}",
        answer.text()
    );
    let chunked = Request::new("POST", "/petstore/v2/pets")
        .by("minute")
        .chunked("application/json", &[b' '; 400]);
    let answer = world.send(&chunked);
    assert_eq!(
        (answer.status, left(&answer)),
        (200, vec![300]),
        "{}",
        answer.text()
    );
    assert_eq!(world.send(&post(&[b' '; 301])).code(), "budget_exceeded");
    // What has no body passes still, and a model's call counts too.
    assert_eq!(world.send(&pets("minute", "")).status, 200);
    let call = ask("fast").by("minute");
    let length = call.body.as_ref().map_or(0, Vec::len) as u64;
    assert_eq!(left(&world.send(&call)), [300 - length]);
    assert_eq!(world.settled, 0, "nothing is corrected");
}

#[test]
fn a_limit_may_be_for_some_models() {
    let mut world = world(&[Limit {
        models: vec!["smart".to_owned()],
        ..of("smart", rate(2, 60_000), &[Consumer])
    }]);
    assert_eq!(passed(&mut world, &ask("smart").by("minute"), 5), 2);
    assert_eq!(passed(&mut world, &ask("fast").by("minute"), 5), 5);
    assert_eq!(passed(&mut world, &pets("minute", ""), 5), 5);
}

#[test]
fn another_upstream_is_asked_only_within_its_own_limits() {
    for kind in [
        rate(1, 60_000),
        budget(2_000, Unit::Tokens),
        LimitKind::Concurrency { count: 1 },
    ] {
        let mut world = World::with(|compiled| {
            for model in compiled.models.iter_mut().filter(|model| model.name == "priced") {
                model.limits = vec![of("up", kind, &[Upstream])];
            }
        });
        let call = ask("priced").by("demo");
        world.expect("alpha", [Does::status(503, "{}"), Does::status(503, "{}")]);
        world.expect("beta", [Does::completes()]);
        let answer = world.send(&call);
        assert_eq!(answer.status, 200, "{kind:?}: {}", answer.text());
        let asked: Vec<_> = world
            .objects
            .iter()
            .filter(|object| object.starts_with("upstream:"))
            .collect();
        assert!(asked.iter().any(|object| object.ends_with("beta")), "{asked:?}");
        let held = !matches!(kind, LimitKind::Rate(_));
        assert_eq!(world.settled, if held { 2 } else { 0 }, "{kind:?}");
        world.now += 30_000;
        if matches!(kind, LimitKind::Rate(_)) {
            // Beta has no call left in this minute, and alpha none either.
            let answer = world.send(&call);
            assert_eq!(answer.code(), "rate_limited");
        }
    }
}

#[test]
fn to_try_again_is_another_request_to_the_upstream_and_holds_no_second_place() {
    let world = |kind| {
        World::with(|compiled| {
            for model in compiled.models.iter_mut().filter(|model| model.name == "priced") {
                model.limits = vec![of("up", kind, &[Upstream])];
                model.retry.attempts = 2;
            }
        })
    };
    let call = ask("priced").by("demo");
    let fails = || Does::status(503, "{}");
    for (count, tries) in [(1, 1), (2, 2), (9, 2)] {
        for kind in [quota(count.into()), rate(count, 60_000)] {
            let mut world = world(kind);
            world.expect("alpha", [fails(), fails()]);
            world.expect("beta", [Does::completes()]);
            // What alpha has no room for goes on to beta.
            let answer = world.send(&call);
            assert_eq!(answer.status, 200, "{kind:?} {}", answer.text());
            let attempts = answer.log()["attempts"].as_array().map_or(0, Vec::len);
            assert_eq!(attempts, tries + 1, "{kind:?}");
        }
    }
    let mut world = world(LimitKind::Concurrency { count: 1 });
    world.expect("alpha", [fails(), Does::completes()]);
    assert_eq!(world.send(&call).status, 200);
}

#[test]
fn what_another_upstream_was_charged_comes_back_where_its_answer_was_lost() {
    for kind in [budget(2_000, Unit::Tokens), LimitKind::Concurrency { count: 1 }] {
        let mut world = World::with(|compiled| {
            for model in compiled.models.iter_mut().filter(|model| model.name == "priced") {
                model.limits = vec![of("up", kind, &[Upstream])];
            }
        });
        let call = ask("priced").by("demo");
        let alpha = [(); 4].map(|()| Does::status(503, "{}"));
        world.expect("alpha", alpha);
        world.mute = Some("upstream:beta");
        assert_eq!(world.send(&call).status, 503, "{kind:?}");
        assert!(world.objects.iter().any(|object| object == "upstream:beta"));
        world.mute = None;
        world.expect("beta", [Does::completes()]);
        let answer = world.send(&call);
        assert_eq!(answer.status, 200, "{kind:?}: {}", answer.text());
    }
}

#[test]
fn an_attempt_that_is_not_made_is_charged_nowhere() {
    let mut world = World::with(|compiled| {
        let limits = vec![
            of("mine", quota(2), &[Consumer, Upstream]),
            of("up", rate(1, 60_000), &[Upstream]),
        ];
        let model = |name| move |model: &&mut turnpike_policy::Model| model.name == name;
        let priced = compiled.models.iter_mut().find(model("priced")).expect("a model");
        priced.limits = limits.clone();
        // Both are at the same provider, and neither is tried.
        let beta = priced.fallback[0].clone();
        priced.fallback.push(beta.clone());
        let lone = compiled.models.iter_mut().find(model("lone")).expect("a model");
        (lone.limits, lone.targets) = (limits, vec![beta]);
    });
    let lone = |consumer| ask("lone").by(consumer);
    world.expect("beta", [(); 3].map(|()| Does::completes()));
    assert_eq!(world.send(&lone("narrow")).status, 200);
    // The consumer's own object has room for a call of beta, the object of beta has none.
    world.expect("alpha", [Does::status(503, "{}")]);
    let objects = world.objects.len();
    let answer = world.send(&ask("priced").by("demo"));
    assert_eq!(answer.status, 503, "{}", answer.text());
    assert_eq!(answer.log()["attempts"].as_array().map_or(0, Vec::len), 1);
    assert_eq!(
        world.objects[objects..]
            .iter()
            .filter(|object| *object == "upstream:beta")
            .count(),
        2,
        "it was asked for both"
    );
    // So both of its calls are left.
    for _ in 0..2 {
        world.now += 61_000;
        let answer = world.send(&lone("demo"));
        assert_eq!(answer.status, 200, "{}", answer.text());
    }
    world.now += 61_000;
    assert_eq!(world.send(&lone("demo")).code(), "quota_exceeded");
}

#[test]
fn answers_say_nothing_of_limits_where_the_policy_wants_that() {
    let mut world = World::with(|compiled| compiled.gateway.limit_headers = false);
    assert!(world.send(&pets("minute", "")).header("ratelimit").is_none());
    assert_eq!(passed(&mut world, &pets("minute", ""), 200), 99);
    let refused = world.send(&pets("minute", ""));
    assert!(refused.header("ratelimit").is_some() && refused.header("ratelimit-policy").is_some());
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 64, ..ProptestConfig::default() })]

    /// Many requests at one time, each a step at a time and in any order, some lost on the way, from several
    /// addresses: no object ever admits more than its limit, and what was refused or lost is charged nowhere.
    #[test]
    fn requests_over_several_objects_in_any_order(
        steps in prop::collection::vec((0_usize..12, 0_u8..20), 1..200),
    ) {
        let mut world = both();
        let mut flights: Vec<Option<(Flight, Step)>> = vec![None; 12];
        let mut admitted = [0_u32; 3];
        for (place, chance) in steps {
            let address = format!("192.0.2.{}", place % 3);
            let next = match flights[place].take() {
                None => world.begin(&pets("minute", &address)),
                // Lost.
                Some(_) if chance == 0 => continue,
                Some((flight, Step::Meter { object, ask })) => {
                    let decided = world.decide(&object, &ask);
                    world.resume(Some(flight), Event::Metered(decided.as_deref()))
                }
                Some((_, step)) => panic!("{step:?}"),
            };
            match next {
                Next { step: step @ Step::Meter { .. }, flight: Some(flight) } => flights[place] = Some((flight, step)),
                Next { step: Step::Finish(finish), .. } => {
                    admitted[place % 3] += u32::from(finish.status == 200);
                    world.settle(&finish.settle);
                }
                Next { step: Step::Attempt(_), .. } => admitted[place % 3] += 1,
                Next { step, .. } => panic!("{step:?}"),
            }
        }
        prop_assert!(admitted.iter().all(|count| *count <= 3), "{admitted:?}");
        prop_assert!(admitted.iter().sum::<u32>() <= 5, "{admitted:?}");
        // A little later nothing is held for nobody.
        let begun = flights.iter().flatten().count() as u64;
        world.now += 10_000;
        let look = |place: u32| {
            Request::get("/_turnpike/limits").by("minute").header("cf-connecting-ip", &format!("192.0.2.{place}"))
        };
        let mut used = 0;
        for place in 0..3 {
            let page = world.send(&look(place)).json();
            let left = |limit: usize| page["limits"][limit]["remaining"].as_u64().expect("a number");
            prop_assert!(3 - left(0) <= u64::from(admitted[place as usize]), "{page}");
            used = 5 - left(1);
        }
        let admitted = u64::from(admitted.iter().sum::<u32>());
        // One that was lost, or is not over, between the two charges has paid the one.
        prop_assert!(used >= admitted.min(5) && used <= 5, "{used} {admitted} {begun}");
    }
}
