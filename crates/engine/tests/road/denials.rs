//! Denials: what operators refuse on a gateway that runs, where and when it holds, and that it only narrows.

use serde_json::{Value, json};
use turnpike_engine::meter::denials::{Denial, OBJECT, Order, Target};
use turnpike_policy::Precision;

use crate::policy::{NOW, SECRET};
use crate::world::{Answer, Request, World, ask, token};

const DAY: u64 = 86_400_000;
const PETS: &str = "/petstore/v2/pets";

/// A gateway of one isolate, whose operator `works` may deny for a week.
pub(crate) fn denying() -> World {
    denying_with(|_| ())
}

/// The same, with another change of its policy.
pub(crate) fn denying_with(change: impl FnOnce(&mut turnpike_policy::Compiled)) -> World {
    let mut world = World::with(|policy| {
        change(policy);
        policy.denials = true;
        for consumer in policy.consumers.iter_mut() {
            if let Some(operator) = consumer.operator.as_mut().filter(|_| consumer.name == "works") {
                operator.deny = Some(7 * DAY);
            }
        }
        for plan in &mut policy.plans {
            for limit in &mut plan.limits {
                if plan.name == "wide" {
                    limit.precision = Precision::Local;
                }
            }
        }
    });
    world.replaces = false;
    world
}

fn order(body: &Value) -> Request {
    Request::new("POST", "/_turnpike/denials")
        .by("works")
        .body("application/json", body.to_string().as_bytes())
}

/// Denied for an hour.
pub(crate) fn deny(what: &str, value: &str, id: &str) -> Request {
    order(&json!({ "deny": what, "value": value, "seconds": 3_600, "reason": "a leak of ours", "id": id }))
}

fn lift(id: &str) -> Request {
    order(&json!({ "lift": id, "reason": "it was another" }))
}

fn pets(world: &mut World, consumer: &str) -> Answer {
    world.send(&Request::get(PETS).by(consumer))
}

fn done(world: &mut World, request: &Request) {
    let answer = world.send(request);
    assert_eq!(answer.status, 200, "{}", answer.text());
}

/// Another isolate of the same gateway: its objects are the first one's.
fn elsewhere(world: &mut World, work: impl FnOnce(&mut World)) {
    let mut other = denying();
    other.now = world.now;
    other.take_meters(world);
    work(&mut other);
    world.take_meters(&mut other);
}

#[test]
fn what_is_denied_is_refused_at_once_in_the_same_isolate() {
    let token = token(SECRET, |_| {});
    let by_token = Request::get(PETS).header("authorization", &format!("Bearer {token}"));
    let rows = [
        ("key", "demo".to_owned(), Request::get(PETS).by("demo")),
        ("consumer", "demo".to_owned(), ask("fast")),
        (
            "operation",
            "petstore/v2#listPets".to_owned(),
            Request::get(PETS).by("demo"),
        ),
        (
            "operation",
            "petstore/v2/listPets".to_owned(),
            Request::get(PETS).by("demo"),
        ),
        ("model", "fast".to_owned(), ask("fast")),
        ("subject", "somebody".to_owned(), by_token),
    ];
    for (what, value, request) in rows {
        let mut world = denying();
        let before = world.send(&request);
        assert_eq!(before.status, 200, "{what}: {}", before.text());
        let mut body =
            json!({ "deny": what, "value": value, "seconds": 60, "reason": "our secret", "id": "one" });
        if what == "subject" {
            body["issuer"] = SECRET.into();
        }
        let ordered = world.send(&order(&body));
        assert_eq!(ordered.status, 200, "{what}: {}", ordered.text());
        let note = &ordered.log()["denial"];
        assert_eq!(
            (&note["action"], &note["id"], &note["reason"], &note["done"]),
            (&json!("deny"), &json!("one"), &json!("our secret"), &json!(true))
        );
        assert_eq!(ordered.log()["consumer"], "works");
        let refused = world.send(&request);
        assert_eq!(
            (refused.status, refused.code().as_str()),
            (403, "denied"),
            "{what}"
        );
        assert!(!refused.text().contains("our secret") && !refused.text().contains("works"));
        assert_eq!(refused.log()["denied"], "one", "{what}");
        // The others go on, and so does this one when it is over.
        assert_eq!(
            world.send(&Request::get("/petstore/v1/pets").by("narrow")).status,
            200
        );
        world.now += 60_000;
        assert_eq!(world.send(&request).status, 200, "{what}");
    }
}

#[test]
fn it_holds_elsewhere_within_a_minute_and_so_does_its_end() {
    for step in [1_000, 7_000, 24_999, 25_001, 54_999, 60_000, 600_000] {
        let mut world = denying();
        // The other isolate has looked a moment before.
        let mut other = denying();
        assert_eq!(pets(&mut other, "demo").status, 200);
        world.take_meters(&mut other);
        done(&mut world, &deny("consumer", "demo", "one"));
        let made = world.now;
        let look = |other: &mut World, world: &mut World, wanted: u16, since: u64| {
            loop {
                other.now += step;
                world.now = other.now;
                other.take_meters(world);
                let status = pets(other, "demo").status;
                world.take_meters(other);
                if status == wanted || other.now - since > 60_000 {
                    assert_eq!(status, wanted, "{step}");
                    return;
                }
            }
        };
        look(&mut other, &mut world, 403, made);
        assert!(other.now - made <= 60_000.max(step));
        if other.now - made < 3_000_000 {
            done(&mut world, &lift("one"));
            assert_eq!(pets(&mut world, "demo").status, 200);
            let lifted = world.now;
            look(&mut other, &mut world, 200, lifted);
        }
    }
}

#[test]
fn an_isolate_looks_once_in_a_while_and_others_never() {
    let mut world = denying();
    for _ in 0..300 {
        world.now += 1_000;
        assert_eq!(pets(&mut world, "demo").status, 200);
    }
    let looks = world.objects.iter().filter(|name| *name == "denials").count();
    assert!((11..=13).contains(&looks), "{looks}");
    // Without an operator that may deny, nothing is asked.
    let mut plain = World::new();
    assert_eq!(pets(&mut plain, "demo").status, 200);
    assert!(plain.objects.iter().all(|name| name != "denials"));
}

#[test]
fn a_look_is_claimed_with_a_deadline() {
    let mut world = denying();
    pets(&mut world, "demo");
    world.now += 30_000;
    // One looks, and never comes back.
    let next = world.begin(&Request::get(PETS).by("demo"));
    assert!(matches!(next.step, turnpike_engine::Step::Meter { .. }));
    let asked = world.asked;
    assert_eq!(pets(&mut world, "demo").status, 200);
    assert_eq!(world.asked, asked);
    world.now += 6_001;
    assert_eq!(pets(&mut world, "demo").status, 200);
    assert_eq!(world.asked, asked + 1);
}

#[test]
fn an_outage_of_the_list_is_none_of_the_gateway() {
    // At the start: nothing is known, everybody passes, and the log says so.
    let mut world = denying();
    world.down = Some("denials");
    let answer = pets(&mut world, "demo");
    assert_eq!(
        (answer.status, &answer.log()["denials_stale"]),
        (200, &json!(true))
    );
    // Nobody waits for it again for some seconds.
    let asked = world.asked;
    for _ in 0..4 {
        world.now += 1_000;
        assert_eq!(pets(&mut world, "demo").status, 200);
    }
    assert_eq!(world.asked, asked);
    world.down = None;
    world.now += 1_001;
    let answer = pets(&mut world, "demo");
    assert_eq!(answer.log().get("denials_stale"), None);
    // Later: what is known stands until its end, and what is asked is told.
    done(&mut world, &deny("consumer", "demo", "one"));
    world.down = Some("denials");
    let ordered = world.send(&lift("one"));
    assert_eq!(
        (ordered.status, ordered.code().as_str()),
        (503, "limiter_unavailable")
    );
    assert_eq!(ordered.log()["denial"]["action"], "lift");
    assert_eq!(ordered.log()["denial"]["done"], Value::Null);
    for _ in 0..50 {
        world.now += 60_000;
        let answer = pets(&mut world, "demo");
        assert_eq!(
            (answer.status, &answer.log()["denials_stale"]),
            (403, &json!(true))
        );
    }
    world.now += 600_000;
    assert_eq!(pets(&mut world, "demo").status, 200);
}

#[test]
fn a_damaged_answer_is_no_list() {
    let mut world = denying();
    done(&mut world, &deny("consumer", "demo", "one"));
    for damage in [
        &b""[..],
        &[0x85],
        &[0x83, 0, 0, 0],
        &[0x85, 0, 0xff, 0xff, 0xff],
        &[0x85, 0, 9, 0, 1],
    ] {
        world.now += 60_000;
        let next = world.begin(&Request::get(PETS).by("demo"));
        assert!(matches!(next.step, turnpike_engine::Step::Meter { .. }));
        let next = world.resume(next.flight, turnpike_engine::Event::Metered(Some(damage)));
        let turnpike_engine::Step::Finish(finish) = next.step else {
            panic!("{:?}", next.step)
        };
        assert_eq!(finish.status, 403, "{damage:?}");
        assert!(finish.log.unwrap().contains("\"denials_stale\":true"));
    }
}

#[test]
fn what_only_a_later_build_can_refuse_takes_nothing_away_and_is_told() {
    let mut world = denying();
    done(&mut world, &deny("consumer", "demo", "known"));
    // Made by a later build, beside this one.
    let later = Denial {
        id: "later".to_owned(),
        target: Target::Other("address".to_owned(), "192.0.2.7".to_owned()),
        by: "works".to_owned(),
        reason: "a flood".to_owned(),
        at: world.now,
        until: world.now + 1_800_000,
        lifted: None,
    };
    let order = Order::Deny(later).encode().unwrap();
    assert!(world.decide(OBJECT, &order).is_some());
    world.now += 60_000;
    let refused = pets(&mut world, "demo");
    assert_eq!((refused.status, &refused.log()["denied"]), (403, &json!("known")));
    // Whom it would refuse cannot be known here: nobody passes in silence.
    let passed = world.send(&Request::get("/petstore/v1/pets").by("narrow"));
    assert_eq!(
        (passed.status, &passed.log()["denials_stale"]),
        (200, &json!(true))
    );
    let listed = world.send(&Request::get("/_turnpike/denials").by("watch")).json();
    let row = &listed["denials"][1];
    let shown = ["what", "value", "stands", "unknown"].map(|name| row[name].clone());
    assert_eq!(
        shown,
        [json!("address"), json!("192.0.2.7"), json!(true), json!(true)]
    );
    assert_eq!(listed["denials"][0].get("unknown"), None);
    // This build orders none of the kind, but can lift it.
    assert_eq!(
        world.send(&deny("address", "192.0.2.7", "mine")).code(),
        "invalid_request"
    );
    done(&mut world, &lift("later"));
    let passed = world.send(&Request::get("/petstore/v1/pets").by("narrow"));
    assert_eq!((passed.status, passed.log().get("denials_stale")), (200, None));
    assert_eq!(pets(&mut world, "demo").code(), "denied");
}

#[test]
fn it_only_ever_narrows() {
    // Whatever is denied and lifted: who was refused without it stays refused.
    let requests = [
        Request::get(PETS),
        Request::get(PETS).by("idle"),
        Request::get(PETS).by("demo"),
        ask("smart").by("trial"),
        ask("fast").by("narrow"),
        Request::get("/_turnpike/denials").by("demo"),
        Request::get("/nothing").by("demo"),
    ];
    let mut plain = World::new();
    plain.replaces = false;
    let before: Vec<u16> = requests
        .iter()
        .map(|request| plain.send(request).status)
        .collect();
    let orders = [
        deny("consumer", "idle", "a"),
        deny("model", "smart", "b"),
        deny("operation", "petstore/v2#listPets", "c"),
        lift("a"),
        lift("c"),
        deny("key", "narrow", "d"),
        lift("b"),
        lift("d"),
    ];
    let mut world = denying();
    for step in &orders {
        done(&mut world, step);
        for (request, before) in requests.iter().zip(&before) {
            let status = world.send(request).status;
            assert!(
                status == *before || status == 403,
                "{} {before} {status}",
                request.url
            );
        }
    }
    let after: Vec<u16> = requests
        .iter()
        .map(|request| world.send(request).status)
        .collect();
    assert_eq!(after, before);
}

#[test]
fn orders_are_checked_and_done_once() {
    let mut world = denying();
    for _ in 0..3 {
        done(&mut world, &deny("consumer", "demo", "one"));
    }
    let page = world.send(&Request::get("/_turnpike/denials").by("watch"));
    let page = page.json();
    assert_eq!(page["within_seconds"], 60);
    assert_eq!(
        page["denials"],
        json!([{ "id": "one", "what": "consumer", "value": "demo", "by": "works", "reason": "a leak of ours",
            "time": NOW, "until": NOW + 3_600_000, "stands": true }])
    );
    let wrong = |change: Value| {
        let mut body = json!({ "deny": "consumer", "value": "idle", "seconds": 60, "reason": "r" });
        for (name, value) in change.as_object().unwrap() {
            body[name] = value.clone();
        }
        order(&body)
    };
    let rows = [
        (deny("consumer", "idle", "one"), "denial_conflict"),
        (lift("two"), "not_found"),
        (wrong(json!({ "value": "nobody" })), "not_found"),
        (
            wrong(json!({ "deny": "operation", "value": "petstore/v2#no" })),
            "not_found",
        ),
        (wrong(json!({ "deny": "model", "value": "no" })), "not_found"),
        (
            wrong(json!({ "deny": "key", "value": "tpk_demo_secret" })),
            "invalid_request",
        ),
        (wrong(json!({ "deny": "everybody" })), "invalid_request"),
        (
            wrong(json!({ "deny": "subject", "value": "x" })),
            "invalid_request",
        ),
        (
            wrong(json!({ "deny": "subject", "value": "x", "issuer": "no" })),
            "not_found",
        ),
        (wrong(json!({ "issuer": "keyed" })), "invalid_request"),
        (wrong(json!({ "seconds": 0 })), "invalid_request"),
        (wrong(json!({ "seconds": 8 * 86_400 })), "invalid_request"),
        (wrong(json!({ "seconds": u64::MAX })), "invalid_request"),
        (wrong(json!({ "until": NOW / 1_000 + 60 })), "invalid_request"),
        (wrong(json!({ "reason": " " })), "invalid_request"),
        (wrong(json!({ "reason": "a\nb" })), "invalid_request"),
        (wrong(json!({ "id": "" })), "invalid_request"),
        (wrong(json!({ "more": 1 })), "invalid_request"),
        (wrong(json!({ "lift": "one" })), "invalid_request"),
        (
            order(&json!({ "lift": "one", "reason": "r", "id": "x" })),
            "invalid_request",
        ),
        (order(&json!("no")), "invalid_request"),
        (deny("consumer", "idle", "x").by("watch"), "operator_required"),
        (deny("consumer", "idle", "x").by("minute"), "operator_required"),
        (
            Request::get("/_turnpike/denials").by("minute"),
            "operator_required",
        ),
        (Request::get("/_turnpike/denials"), "credential_missing"),
        (
            Request::new("DELETE", "/_turnpike/denials").by("works"),
            "method_not_allowed",
        ),
    ];
    for (request, code) in rows {
        let answer = world.send(&request);
        assert_eq!(
            answer.code(),
            code,
            "{:?} {}",
            request.body.map(String::from_utf8),
            answer.text()
        );
    }
    let after = world.send(&Request::get("/_turnpike/denials").by("watch")).json();
    assert_eq!(after, page);
}

#[test]
fn a_full_list_is_told() {
    let mut world = denying();
    for index in 0..1_000 {
        done(
            &mut world,
            &deny("key", &format!("k{index}"), &format!("id{index}")),
        );
    }
    let answer = world.send(&deny("key", "one-more", "x"));
    assert_eq!((answer.status, answer.code().as_str()), (409, "denial_conflict"));
    assert!(answer.text().contains("lift some"), "{}", answer.text());
    done(&mut world, &lift("id7"));
    done(&mut world, &deny("key", "one-more", "x"));
}

#[test]
fn an_operator_that_is_denied_orders_nothing_more() {
    let mut world = denying();
    done(&mut world, &deny("consumer", "works", "one"));
    assert_eq!(world.send(&lift("one")).code(), "denied");
    elsewhere(&mut world, |other| {
        assert_eq!(other.send(&lift("one")).code(), "denied");
    });
}
