//! Operators: what they see, what they give back, and that neither is more than the policy says.

use serde_json::{Value, json};
use turnpike_policy::{Allowance, Creditable, LimitKind, SubjectPart, Unit, Window};

use crate::policy::{NOW, limit, rate};
use crate::world::{Answer, Request, World, ask};

const DAY: u64 = 86_400_000;

fn order(operator: &str, body: &Value) -> Request {
    Request::new("POST", "/_turnpike/limits")
        .by(operator)
        .body("application/json", body.to_string().as_bytes())
}

/// So much is given back of a limit of the consumer whose plan it is.
pub(crate) fn credit(operator: &str, limit: &str, amount: u64) -> Request {
    let plan = limit.split(':').next().unwrap();
    let consumer = if plan == "budget" { "money" } else { plan };
    order(
        operator,
        &json!({ "consumer": consumer, "limit": limit, "amount": amount, "reason": "an outage of ours", "id": "one" }),
    )
}

fn called(world: &mut World, consumer: &str, times: usize) -> usize {
    let request = Request::get("/petstore/v2/pets").by(consumer);
    (0..times).filter(|_| world.send(&request).status == 200).count()
}

fn seen(world: &mut World, operator: &str, consumer: &str) -> Answer {
    let path = format!("/_turnpike/limits?consumer={consumer}");
    world.send(&Request::get(&path).by(operator))
}

#[test]
fn what_was_used_is_given_back_once_with_author_and_reason() {
    for evicts in [false, true] {
        let mut world = World::new();
        world.evicts = evicts;
        assert_eq!(called(&mut world, "quota", 5), 3);
        let answer = world.send(&credit("works", "quota:3-1h", 2));
        assert_eq!(answer.status, 200, "{}", answer.text());
        let said = answer.json();
        assert_eq!(
            (&said["asked"], &said["booked"], &said["now"]["remaining"]),
            (&json!(2), &json!(2), &json!(2))
        );
        let note = &answer.log()["credit"];
        assert_eq!(
            (
                &note["consumer"],
                &note["limit"],
                &note["booked"],
                &note["reason"]
            ),
            (
                &json!("quota"),
                &json!("quota:3-1h"),
                &json!(2),
                &json!("an outage of ours")
            )
        );
        assert_eq!(answer.log()["consumer"], "works");
        // Its answer was lost, say: asked again it is not booked again, and costs the operator nothing more.
        for _ in 0..4 {
            let again = world.send(&credit("works", "quota:3-1h", 2));
            assert_eq!(again.json()["booked"], 2, "{}", again.text());
        }
        assert_eq!(called(&mut world, "quota", 5), 2);

        let page = seen(&mut world, "watch", "quota").json();
        assert_eq!(page["limits"][0]["remaining"], 0, "{page}");
        assert_eq!(
            page["credits"],
            json!([{ "id": "one", "limit": "quota:3-1h", "asked": 2, "booked": 2, "time": NOW,
                "by": "works", "reason": "an outage of ours" }])
        );
        // When the hour is over, it is history.
        world.now += 3_600_000;
        let page = seen(&mut world, "watch", "quota").json();
        assert_eq!(page["limits"][0]["remaining"], 3, "{page}");
        assert_eq!(page["credits"], json!([]));
    }
}

#[test]
fn no_more_is_given_back_than_was_used() {
    let mut world = World::new();
    called(&mut world, "quota", 1);
    let said = world.send(&credit("works", "quota:3-1h", 5)).json();
    assert_eq!((&said["asked"], &said["booked"]), (&json!(5), &json!(1)));
    assert_eq!(said["now"]["remaining"], 3);
    // What was not booked is the operator's again.
    called(&mut world, "quota", 3);
    let next = json!({ "consumer": "quota", "limit": "quota:3-1h", "amount": 4, "reason": "more" });
    assert_eq!(world.send(&order("works", &next)).json()["booked"], 3);
}

#[test]
fn an_operator_gives_back_no_more_in_a_day_than_the_policy_lets_it() {
    let mut world = World::new();
    let mut given = 0;
    // Under new ids and old ones, in this window and in later ones of the limit.
    for hour in 0..23 {
        world.now = NOW + hour * 3_600_000;
        called(&mut world, "quota", 3);
        for (id, amount) in [("a", 2), ("a", 2), ("b", 2), ("a", 1)] {
            let body = json!({ "consumer": "quota", "limit": "quota:3-1h", "amount": amount, "reason": "r", "id": id });
            let answer = world.send(&order("works", &body));
            match answer.status {
                200 => {}
                409 => assert_eq!(answer.code(), "credit_conflict"),
                _ => {
                    assert_eq!(answer.code(), "credit_exceeded", "{}", answer.text());
                    let wait: u64 = answer.header("retry-after").expect("a header").parse().unwrap();
                    assert_eq!(world.now + wait * 1_000, NOW + DAY);
                }
            }
        }
        let page = seen(&mut world, "watch", "quota").json();
        given += page["credits"]
            .as_array()
            .unwrap()
            .iter()
            .map(|one| one["booked"].as_u64().unwrap())
            .sum::<u64>();
        assert!(given <= 5, "{given} in hour {hour}");
    }
    assert_eq!(given, 5);
    world.now = NOW + DAY;
    called(&mut world, "quota", 3);
    assert_eq!(world.send(&credit("works", "quota:3-1h", 3)).json()["booked"], 3);
}

#[test]
fn budgets_and_rolling_windows_are_credited_too() {
    let mut world = World::new();
    world.send(&ask("priced").by("money"));
    let before = seen(&mut world, "watch", "money").json();
    assert_eq!(before["limits"][0]["remaining"], 100_000 - 12, "{before}");
    let said = world.send(&credit("works", "budget:tokens-day", 10)).json();
    assert_eq!(
        (&said["booked"], &said["now"]["remaining"]),
        (&json!(10), &json!(100_000 - 2))
    );

    let rolling = LimitKind::Quota {
        count: 3,
        window: Window::Rolling(3_600_000),
    };
    let mut world = World::with(|compiled| {
        let plan = compiled.plans.iter_mut().find(|plan| plan.name == "quota");
        plan.expect("a plan").limits = vec![limit("quota:3-1h", rolling)];
    });
    for _ in 0..3 {
        called(&mut world, "quota", 1);
        world.now += 10 * 60_000;
    }
    assert_eq!(called(&mut world, "quota", 1), 0);
    assert_eq!(world.send(&credit("works", "quota:3-1h", 2)).json()["booked"], 2);
    assert_eq!(called(&mut world, "quota", 3), 2);
}

#[test]
fn only_operators_look_and_give_and_only_what_they_may() {
    let mut world = World::new();
    for (request, code) in [
        (
            Request::get("/_turnpike/limits?consumer=quota").by("minute"),
            "operator_required",
        ),
        (
            Request::get("/_turnpike/limits?consumer=minute").by("minute"),
            "operator_required",
        ),
        (
            Request::get("/_turnpike/limits?consumer=nobody").by("minute"),
            "operator_required",
        ),
        (
            Request::get("/_turnpike/limits?consumer=nobody").by("watch"),
            "not_found",
        ),
        (
            Request::get("/_turnpike/limits?consumer=quota&x=1").by("watch"),
            "invalid_request",
        ),
        (
            Request::get("/_turnpike/limits?consumer=quota"),
            "credential_missing",
        ),
        (credit("minute", "quota:3-1h", 1), "operator_required"),
        // One that may look, and one that may not give money.
        (credit("watch", "quota:3-1h", 1), "operator_required"),
        (credit("works", "budget:spend-day", 1), "operator_required"),
        (credit("works", "minute:100-1m", 1), "invalid_request"),
        (credit("works", "quota:none", 1), "invalid_request"),
        (credit("works", "quota:3-1h", 0), "invalid_request"),
        (order("works", &json!({ "consumer": "quota" })), "invalid_request"),
        (
            order(
                "works",
                &json!({ "consumer": "quota", "limit": "quota:3-1h", "amount": -1, "reason": "x" }),
            ),
            "invalid_request",
        ),
        (
            order(
                "works",
                &json!({ "consumer": "quota", "limit": "quota:3-1h", "amount": 1, "reason": " " }),
            ),
            "invalid_request",
        ),
        (
            order(
                "works",
                &json!({ "consumer": "quota", "limit": "quota:3-1h", "amount": 1, "reason": "a\nb" }),
            ),
            "invalid_request",
        ),
        (
            order(
                "works",
                &json!({ "consumer": "quota", "limit": "quota:3-1h", "amount": 1, "reason": "a", "x": 1 }),
            ),
            "invalid_request",
        ),
        (
            Request::new("POST", "/_turnpike/limits")
                .by("works")
                .body("application/json", b"{"),
            "invalid_json",
        ),
        (
            Request::new("POST", "/_turnpike/limits")
                .by("works")
                .body("text/plain", b"{}"),
            "unsupported_media_type",
        ),
        (
            Request::new("POST", "/_turnpike/limits")
                .by("works")
                .body("application/json", &[b' '; 5_000]),
            "body_too_large",
        ),
        (
            Request::new("DELETE", "/_turnpike/limits").by("works"),
            "method_not_allowed",
        ),
    ] {
        let answer = world.send(&request);
        assert_eq!(answer.code(), code, "{request:?} {}", answer.text());
    }
    // Nothing of it was booked.
    called(&mut world, "quota", 3);
    assert_eq!(seen(&mut world, "watch", "quota").json()["credits"], json!([]));
    assert_eq!(world.send(&credit("works", "quota:3-1h", 5)).json()["booked"], 3);
}

#[test]
fn what_may_have_been_booked_stays_charged_to_the_operator() {
    let mut world = World::new();
    called(&mut world, "quota", 3);
    world.down = Some("operator:");
    assert_eq!(
        world.send(&credit("works", "quota:3-1h", 1)).code(),
        "limiter_unavailable"
    );
    world.down = Some("consumer:");
    let lost = world.send(&credit("works", "quota:3-1h", 4));
    assert_eq!(lost.code(), "limiter_unavailable");
    assert_eq!(lost.header("retry-after"), Some("1"));
    assert_eq!(lost.log()["credit"]["booked"], Value::Null, "nobody knows");
    world.down = None;
    // Four of five may be out.
    assert_eq!(
        world.send(&credit("works", "quota:3-1h", 2)).code(),
        "credit_exceeded"
    );
    assert_eq!(world.send(&credit("works", "quota:3-1h", 1)).json()["booked"], 1);
}

#[test]
fn operators_see_what_counts_a_consumer_as_a_whole() {
    let mut world = World::with(|compiled| {
        let plan = compiled
            .plans
            .iter_mut()
            .find(|plan| plan.name == "quota")
            .expect("a plan");
        let mut shadow = limit("quota:shadow", rate(1, 1_000));
        shadow.shadow = true;
        let mut other = limit("quota:by-address", rate(1, 1_000));
        other.subject = vec![SubjectPart::Address];
        plan.limits.extend([shadow, other]);
        for api in compiled.apis.iter_mut().filter(|api| api.name == "petstore") {
            api.limits = vec![limit("apis/petstore:rate", rate(60, 60_000))];
        }
    });
    let page = seen(&mut world, "watch", "quota").json();
    let names: Vec<_> = page["limits"]
        .as_array()
        .unwrap()
        .iter()
        .map(|row| row["name"].as_str().unwrap())
        .collect();
    assert_eq!(
        names,
        [
            "quota:3-1h",
            "quota:shadow",
            "models/limited:2-1m",
            "apis/petstore:rate"
        ]
    );
    assert_eq!(page["limits"][1]["shadow"], true);
    assert_eq!(page["limits"][0].get("shadow"), None);
}

#[test]
fn as_many_credits_as_are_kept() {
    let mut world = World::with(|compiled| {
        let works = compiled
            .consumers
            .iter_mut()
            .find(|consumer| consumer.name == "works")
            .expect("an operator");
        works.operator.as_mut().expect("one").credit = vec![Allowance {
            of: Creditable::Tokens,
            count: 1_000_000,
            window: Window::Day,
        }];
        let plan = compiled
            .plans
            .iter_mut()
            .find(|plan| plan.name == "budget")
            .expect("a plan");
        plan.limits = vec![limit(
            "budget:tokens-day",
            LimitKind::Budget {
                count: 100_000,
                window: Window::Day,
                unit: Unit::OutputTokens,
            },
        )];
    });
    let mut full = 0;
    for number in 0..70 {
        let body = json!({ "consumer": "money", "limit": "budget:tokens-day", "amount": 1, "reason": "r", "id": format!("n{number}") });
        full += usize::from(world.send(&order("works", &body)).code() == "credit_conflict");
    }
    assert_eq!(full, 70 - 64);
}
