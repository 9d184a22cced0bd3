//! Decision points on the whole road: what is asked, what passes, and what becomes of a point that fails.

use serde_json::{Value, json};
use turnpike_engine::step::Undecided;
use turnpike_policy::{Claim, ClaimKind, DecisionPoint, Entity, Operand, PointKind, Relation};

use crate::policy::INLINE;
use crate::world::{Answer, Request, World, token};

/// A world where calls of pets ask a point of this kind whether somebody's `sub` may read that pet.
fn world(kind: &PointKind) -> World {
    let mut world = World::with(|compiled| {
        let place = compiled.issuers.iter().position(|known| known.issuer == INLINE);
        let inline = u32::try_from(place.expect("an issuer")).expect("a small number");
        compiled.claims = vec![Claim {
            path: vec!["sub".to_owned()],
            kind: Some(ClaimKind::Text),
            issuers: vec![inline],
        }];
        compiled.points = vec![DecisionPoint {
            name: "relations".to_owned(),
            kind: kind.clone(),
            endpoint: "https://point.example/check".to_owned(),
            secret: Some("POINT".to_owned()),
            timeout: 500,
            allowed_for: 30_000,
            denied_for: 5_000,
            origin: "policies/gateway.yaml:9".to_owned(),
        }];
        for operation in compiled.operations.iter_mut() {
            operation.relation = Some(Relation {
                point: 0,
                subject: Entity {
                    kind: "user".to_owned(),
                    id: Operand::Claim(vec!["sub".to_owned()]),
                },
                action: "reader".to_owned(),
                resource: Entity {
                    kind: "pet".to_owned(),
                    id: Operand::Parameter("petId".to_owned()),
                },
                origin: "policies/apis/petstore/api.yaml:12".to_owned(),
            });
        }
    });
    // What an instance knows is what is looked at here.
    world.replaces = false;
    world
}

const FGA: PointKind = PointKind::OpenFga { model: None };

fn pet(of: &str, id: &str) -> Request {
    let token = token(INLINE, |claims| claims["sub"] = json!(of));
    Request::get(&format!("/petstore/v2/pets/{id}")).header("authorization", &format!("Bearer {token}"))
}

/// What a caller gets where the point says this.
pub(crate) fn answered(says: Result<&'static str, Undecided>) -> Answer {
    let mut world = world(&PointKind::AuthZen);
    world.decides.push_back(says);
    world.send(&pet("mia", "1"))
}

fn passed(answer: &Answer) {
    assert_eq!((answer.status, answer.sent.len()), (200, 1), "{answer:?}");
}

fn stopped(answer: &Answer, status: u16, code: &str) -> String {
    assert_eq!((answer.status, answer.code().as_str()), (status, code));
    assert!(answer.sent.is_empty(), "the upstream was asked");
    assert_eq!(answer.log()["policy_line"], "policies/apis/petstore/api.yaml:12");
    answer.log()["reason"].as_str().expect("a reason").to_owned()
}

#[test]
fn a_yes_passes_and_is_remembered_for_as_long_as_is_written() {
    let mut world = world(&PointKind::AuthZen);
    world
        .decides
        .push_back(Ok(r#"{"decision":true,"context":{"reason":"x"}}"#));
    passed(&world.send(&pet("mia", "1")));
    let asked = &world.questions[0];
    assert_eq!(
        serde_json::from_str::<Value>(&asked.body).expect("JSON"),
        json!({
            "subject": { "type": "user", "id": "mia" }, "action": { "name": "reader" },
            "resource": { "type": "pet", "id": "1" },
        })
    );
    assert_eq!(
        (
            asked.url.as_str(),
            asked.secret.as_deref(),
            asked.within,
            asked.max
        ),
        ("https://point.example/check", Some("POINT"), 500, 16 * 1024)
    );
    world.now += 29_000;
    passed(&world.send(&pet("mia", "1")));
    assert_eq!(world.questions.len(), 1);
    // Of nobody else, and of nothing else.
    for request in [pet("tom", "1"), pet("mia", "2")] {
        world.decides.push_back(Ok(r#"{"decision":false}"#));
        stopped(&world.send(&request), 403, "relation_missing");
    }
    world.now += 2_000;
    world.decides.push_back(Ok(r#"{"decision":false}"#));
    stopped(&world.send(&pet("mia", "1")), 403, "relation_missing");
    assert_eq!(world.questions.len(), 4);
}

#[test]
fn a_no_is_remembered_for_less() {
    let mut world = world(&FGA);
    world.decides.push_back(Ok(r#"{"allowed":false}"#));
    for _ in 0..3 {
        let reason = stopped(&world.send(&pet("mia", "1")), 403, "relation_missing");
        assert_eq!(reason, "the decision point said no");
    }
    assert_eq!(world.questions.len(), 1);
    world.now += 5_000;
    world.decides.push_back(Ok(r#"{"allowed":true}"#));
    passed(&world.send(&pet("mia", "1")));
    passed(&world.send(&pet("mia", "1")));
    assert_eq!(world.questions.len(), 2);
}

#[test]
fn openfga_is_asked_as_it_wants_to_be() {
    for model in [None, Some("01HV".to_owned())] {
        let mut world = world(&PointKind::OpenFga { model: model.clone() });
        world.decides.push_back(Ok(r#"{"allowed":true,"resolution":""}"#));
        passed(&world.send(&pet("mia", "a%20b".replace("%20", "-").as_str())));
        let mut wanted =
            json!({ "tuple_key": { "user": "user:mia", "relation": "reader", "object": "pet:a-b" } });
        if let Some(model) = model {
            wanted["authorization_model_id"] = model.into();
        }
        assert_eq!(
            serde_json::from_str::<Value>(&world.questions[0].body).expect("JSON"),
            wanted
        );
    }
}

#[test]
fn nobody_can_make_another_question_of_it() {
    // A set of users, everybody, another type, more than a word.
    for sub in [
        "team:a#member",
        "a#member",
        "*",
        "admin:root",
        "a b",
        "a\n",
        &"x".repeat(250),
    ] {
        let mut world = world(&FGA);
        let sub = if sub.len() > 200 {
            "é".repeat(127) + "xyz"
        } else {
            sub.to_owned()
        };
        let answer = world.send(&pet(&sub, "1"));
        assert!(matches!(answer.status, 401 | 403), "{sub}: {}", answer.status);
        assert_eq!(world.questions.len(), 0, "{sub}");
    }
    for id in ["a%3Ab", "a%23member", "%2A", "a%20b", &"x".repeat(257)] {
        let mut world = world(&FGA);
        let reason = stopped(&world.send(&pet("mia", id)), 403, "condition_not_met");
        assert!(reason.contains("something else"), "{reason}");
        assert_eq!(world.questions.len(), 0, "{id}");
    }
    // In JSON, a quote is a character.
    let mut world = world(&PointKind::AuthZen);
    world.decides.push_back(Ok(r#"{"decision":true}"#));
    passed(&world.send(&pet("mia\",\"type\":\"admin", "1")));
    let asked: Value = serde_json::from_str(&world.questions[0].body).expect("JSON");
    assert_eq!(asked["subject"]["type"], "user");
}

#[test]
fn who_is_not_known_is_not_asked_about() {
    let mut world = world(&PointKind::AuthZen);
    // A key has no claims.
    let answer = world.send(&Request::get("/petstore/v2/pets/1").by("demo"));
    let reason = stopped(&answer, 403, "condition_not_met");
    assert!(reason.contains("`claims.sub` is missing"), "{reason}");
    assert_eq!(world.questions.len(), 0);
}

#[test]
fn whatever_goes_wrong_is_no_yes() {
    use Undecided::{Busy, Late, NotJson, SecretMissing, Status, TooLarge, Unreachable};
    for (says, why) in [
        (Err(Unreachable), "cannot be reached"),
        (Err(Late), "did not answer in time"),
        (Err(TooLarge), "too large"),
        (Err(SecretMissing), "secret"),
        (Err(Busy), "holds as much"),
        (Err(Status(500)), "answered 500"),
        (Err(Status(302)), "answered 302"),
        (Err(Status(400)), "answered 400"),
        (Err(Status(401)), "answered 401"),
        (Err(NotJson), "not in JSON"),
        (Ok(""), "no sense"),
        (Ok("null"), "no sense"),
        (Ok("true"), "no sense"),
        (Ok("[]"), "no sense"),
        (Ok("{}"), "no sense"),
        (Ok(r#"{"decision":"true"}"#), "no sense"),
        (Ok(r#"{"decision":1}"#), "no sense"),
        (Ok(r#"{"decision":null}"#), "no sense"),
        (Ok(r#"{"Decision":true}"#), "no sense"),
        (Ok(r#"{"allowed":true}"#), "no sense"),
        (Ok(r#"{"decision":false,"decision":true}"#), "no sense"),
        (Ok(r#"{"decision":true} {"decision":true}"#), "no sense"),
        (Ok(r#"{"decision":true"#), "no sense"),
    ] {
        let mut world = world(&PointKind::AuthZen);
        world.decides.push_back(says);
        let answer = world.send(&pet("mia", "1"));
        let reason = stopped(&answer, 503, "decision_unavailable");
        assert!(reason.contains(why), "{says:?}: {reason}");
        assert_eq!(answer.header("retry-after"), Some("1"));
        assert!(!answer.text().contains(why), "the client is not told");
        // It is left alone for a moment where another question would fare no better, and then asked again.
        let rests = matches!(says, Err(Unreachable | Late | SecretMissing | Status(401 | 500)));
        if !rests {
            world.decides.push_back(Ok(r#"{"decision":true}"#));
            passed(&world.send(&pet("tom", "1")));
            assert_eq!(world.questions.len(), 2, "{says:?}");
            continue;
        }
        stopped(&world.send(&pet("tom", "1")), 503, "decision_unavailable");
        assert_eq!(world.questions.len(), 1);
        world.now += 1_000;
        world.decides.push_back(Ok(r#"{"decision":true}"#));
        passed(&world.send(&pet("mia", "1")));
    }
}

#[test]
fn what_is_known_holds_while_the_point_is_down() {
    let mut world = world(&PointKind::AuthZen);
    world.decides.push_back(Ok(r#"{"decision":true}"#));
    passed(&world.send(&pet("mia", "1")));
    stopped(&world.send(&pet("tom", "1")), 503, "decision_unavailable");
    passed(&world.send(&pet("mia", "1")));
    world.now += 30_000;
    stopped(&world.send(&pet("mia", "1")), 503, "decision_unavailable");
}

#[test]
fn many_noes_push_out_no_yes_and_memory_is_bounded() {
    let mut world = world(&PointKind::AuthZen);
    world.decides.push_back(Ok(r#"{"decision":true}"#));
    passed(&world.send(&pet("mia", "1")));
    for other in 0..5_000 {
        world.decides.push_back(Ok(r#"{"decision":false}"#));
        world.now += 3;
        assert_ne!(world.send(&pet("mia", &format!("no-{other}"))).status, 200);
    }
    passed(&world.send(&pet("mia", "1")));
    assert!(world.decides.is_empty());
}

#[test]
fn the_body_is_not_read_before_the_answer() {
    let mut world = world(&PointKind::AuthZen);
    world.decides.push_back(Ok(r#"{"decision":false}"#));
    let answer = world.send(&pet("mia", "1"));
    assert!(
        !answer.steps.contains(&"body") && !answer.steps.contains(&"meter"),
        "{:?}",
        answer.steps
    );
}
