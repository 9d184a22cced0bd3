//! Operators: what they see, what they give back, and that neither is more than the policy says.

use serde_json::{Value, json};
use turnpike_policy::{Allowance, Creditable, Limit, LimitKind, Split, SubjectPart, Unit, Window};

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
fn operators_see_what_counts_a_consumer() {
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

/// A world where the consumer `quota` has these limits, and an operator much to give.
fn limited(limits: &[Limit]) -> World {
    World::with(|compiled| {
        let plan = compiled.plans.iter_mut().find(|plan| plan.name == "quota");
        plan.expect("a plan").limits = limits.to_vec();
        let operators = compiled
            .consumers
            .iter_mut()
            .filter_map(|one| one.operator.as_mut());
        for allowance in operators.flat_map(|operator| &mut operator.credit) {
            allowance.count = 100;
        }
    })
}

fn quota(count: u64) -> LimitKind {
    LimitKind::Quota {
        count,
        window: Window::Hour,
    }
}

fn names(page: &Value) -> Vec<&str> {
    let rows = page["limits"].as_array().unwrap();
    rows.iter().map(|row| row["name"].as_str().unwrap()).collect()
}

#[test]
fn what_is_counted_apart_is_seen_and_credited_apart() {
    let apart = |id: &str, count: u64, part: SubjectPart| Limit {
        subject: vec![SubjectPart::Consumer, part],
        ..limit(id, quota(count))
    };
    let mut world = limited(&[
        apart("quota:api", 9, SubjectPart::Api),
        apart("quota:operation", 3, SubjectPart::Operation),
        apart("quota:model", 2, SubjectPart::Model),
        apart("quota:credential", 9, SubjectPart::Credential),
    ]);
    assert_eq!(called(&mut world, "quota", 5), 3);
    assert_eq!(world.send(&ask("fast").by("quota")).status, 200);
    let page = seen(&mut world, "watch", "quota").json();
    let shown = names(&page);
    assert!(
        !shown.iter().any(|name| name.starts_with("quota:credential")),
        "{shown:?}"
    );
    let left = |page: &Value, name: &str| {
        let rows = page["limits"].as_array().unwrap();
        let row = rows.iter().find(|row| row["name"] == name);
        row.unwrap_or_else(|| panic!("no {name} in {page}"))["remaining"].as_u64()
    };
    let pets = "quota:operation@petstore/v2#listPets";
    assert_eq!(left(&page, "quota:api@petstore"), Some(6));
    assert_eq!(left(&page, pets), Some(0));
    assert_eq!(left(&page, "quota:operation@petstore/v2#createPet"), Some(3));
    assert_eq!(left(&page, "quota:model@fast"), Some(1));

    // By the name of the limit there are many.
    let of_many = world.send(&credit("works", "quota:operation", 2));
    assert_eq!(of_many.code(), "invalid_request", "{}", of_many.text());
    let said = world.send(&credit("works", pets, 2)).json();
    assert_eq!(
        (&said["booked"], &said["now"]["name"]),
        (&json!(2), &json!(pets)),
        "{said}"
    );
    assert_eq!(called(&mut world, "quota", 5), 2);

    // One limit, by either name, `#` and `@` encoded or not.
    let narrowed = |world: &mut World, limit: &str| {
        let path = format!("/_turnpike/limits?consumer=quota&limit={limit}");
        world.send(&Request::get(&path).by("watch")).json()
    };
    let page = narrowed(&mut world, "quota%3Aoperation%40petstore/v2%23listPets");
    assert_eq!(
        (names(&page), &page["credits"][0]["limit"]),
        (vec![pets], &json!(pets))
    );
    let page = narrowed(&mut world, "quota:operation");
    assert!(
        names(&page).len() > 2
            && names(&page)
                .iter()
                .all(|name| name.starts_with("quota:operation@"))
    );
    let page = narrowed(&mut world, "quota:model");
    assert_eq!(
        page["credits"],
        json!([]),
        "credits of other limits are not of this one"
    );
    assert_eq!(narrowed(&mut world, "none")["limits"], json!([]));
}

#[test]
fn what_is_spread_is_added_up_and_credited_where_it_was_used() {
    for evicts in [false, true] {
        let split = Some(Split { objects: 4, parts: 4 });
        let mut world = limited(&[Limit {
            split,
            ..limit("quota:hot", quota(40))
        }]);
        world.evicts = evicts;
        let used = called(&mut world, "quota", 200);
        let left = u64::try_from(40 - used).unwrap();
        assert!(left < 6, "{left} were not found");
        let page = seen(&mut world, "watch", "quota").json();
        let rows = page["limits"].as_array().unwrap();
        let row = rows.iter().find(|row| row["name"] == "quota:hot").unwrap();
        assert_eq!((&row["limit"], &row["remaining"]), (&json!(40), &json!(left)));

        // More than one object can book, and less than all of them.
        let order = order_of(25);
        let said = world.send(&order).json();
        assert_eq!(
            (&said["asked"], &said["booked"]),
            (&json!(25), &json!(25)),
            "{said}"
        );
        assert_eq!(said["now"]["remaining"], left + 25, "{said}");
        // The same again books nothing, and costs the operator nothing.
        for _ in 0..3 {
            let again = world.send(&order).json();
            assert_eq!(
                (&again["booked"], &again["now"]["remaining"]),
                (&json!(25), &json!(left + 25))
            );
        }
        let page = seen(&mut world, "watch", "quota").json();
        assert_eq!(page["credits"].as_array().unwrap().len(), 1, "{page}");
        assert_eq!(page["credits"][0]["booked"], 25);
        let passed = u64::try_from(called(&mut world, "quota", 300)).unwrap();
        assert!(
            passed <= left + 25 && passed + 6 >= left + 25,
            "{passed} of {}",
            left + 25
        );
    }
}

/// An order for the limit that is spread.
fn order_of(amount: u64) -> Request {
    let body =
        json!({ "consumer": "quota", "limit": "quota:hot", "amount": amount, "reason": "r", "id": "spread" });
    order("works", &body)
}

#[test]
fn an_object_that_does_not_answer_leaves_the_rest_of_a_credit_to_the_next_try() {
    let split = Some(Split { objects: 4, parts: 4 });
    let mut world = limited(&[Limit {
        split,
        ..limit("quota:hot", quota(40))
    }]);
    called(&mut world, "quota", 200);
    world.down = Some("consumer:quota|shard:2");
    let lost = world.send(&order_of(30));
    assert_eq!(lost.code(), "limiter_unavailable", "{}", lost.text());
    assert_eq!(lost.log()["credit"]["booked"], Value::Null, "nobody knows");
    world.down = None;
    let said = world.send(&order_of(30)).json();
    assert_eq!(said["booked"], 30, "what was booked before counts, once: {said}");
}

#[test]
fn a_look_at_very_much_says_that_there_is_more() {
    let mut world = World::with(|compiled| {
        let plan = compiled.plans.iter_mut().find(|plan| plan.name == "quota");
        let limits = (0..3_000).map(|n| limit(&format!("quota:{n:04}"), quota(5)));
        plan.expect("a plan").limits = limits.collect();
    });
    let page = seen(&mut world, "watch", "quota").json();
    assert_eq!(names(&page).len(), 80 * 32);
    assert_eq!(
        page["more"].as_u64().unwrap() + 80 * 32,
        3_001,
        "{}",
        page["more"]
    );
    let one = world.send(&Request::get("/_turnpike/limits?consumer=quota&limit=quota:2999").by("watch"));
    assert_eq!(names(&one.json()), ["quota:2999"]);
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
