//! What models ask of their callers beside a grant, on the whole road.

use serde_json::{Value, json};
use turnpike_policy::source::conditions::parse;
use turnpike_policy::{Claim, ClaimKind, Operand, Rule};

use crate::policy::{INLINE, SECRET};
use crate::world::{Answer, Request, World, ask, chat, token};

/// A world where `fast` asks for this scope, and for all of these conditions.
fn world(scope: Option<&str>, conditions: &[&str]) -> World {
    World::with(|compiled| {
        let place = compiled.issuers.iter().position(|known| known.issuer == INLINE);
        let declared = u32::try_from(place.expect("an issuer")).expect("a small number");
        compiled.claims = [("department", ClaimKind::Text), ("level", ClaimKind::Number)]
            .map(|(name, kind)| Claim {
                path: vec![name.to_owned()],
                kind: Some(kind),
                issuers: vec![declared],
            })
            .to_vec();
        let model = compiled.models.iter_mut().find(|model| model.name == "fast");
        let model = model.expect("a model");
        model.scopes = scope.map(str::to_owned).into_iter().collect();
        "policies/models/fast.yaml:9".clone_into(&mut model.scopes_origin);
        model.rules = (20..)
            .zip(conditions)
            .map(|(line, text)| Rule {
                when: parse(text).expect("a condition"),
                origin: format!("policies/models/fast.yaml:{line}"),
            })
            .collect();
        for rule in &model.rules {
            rule.when
                .operands(&mut |operand| compiled.country |= *operand == Operand::Country);
        }
    })
}

fn by(request: Request, issuer: &str, claims: &Value) -> Request {
    let token = token(issuer, |all| {
        for (name, value) in claims.as_object().expect("claims") {
            all[name] = value.clone();
        }
    });
    request.header("authorization", &format!("Bearer {token}"))
}

fn outcome(answer: &Answer) -> (u16, String) {
    match answer.status {
        200 => (200, String::new()),
        status => (status, answer.code()),
    }
}

fn refused(code: &str) -> (u16, String) {
    (403, code.to_owned())
}

fn passed() -> (u16, String) {
    (200, String::new())
}

#[test]
fn a_condition_of_a_model_lets_pass_whom_it_is_true_for_and_nobody_else() {
    let stores = "claims.department == 'stores'";
    for (condition, claims, passes) in [
        (stores, json!({ "department": "stores" }), true),
        (stores, json!({ "department": "Stores" }), false),
        (stores, json!({ "department": ["stores"] }), false),
        (stores, json!({}), false),
        // What is missing or of another type proves nothing, also where it is negated.
        ("!(claims.department == 'stores')", json!({}), false),
        (
            "claims.department != 'stores'",
            json!({ "department": null }),
            false,
        ),
        ("!(claims.level > 3)", json!({ "level": "9" }), false),
        ("!(claims.level > 3)", json!({ "level": 2 }), true),
        ("!(request.country == 'DE')", json!({}), false),
        ("request.hour >= 0", json!({}), true),
    ] {
        let mut world = world(None, &[condition]);
        let request = by(ask("fast"), INLINE, &claims);
        let expected = if passes {
            passed()
        } else {
            refused("condition_not_met")
        };
        assert_eq!(
            outcome(&world.send(&request)),
            expected,
            "{condition} of {claims}"
        );
        // The same of a token that is known already.
        assert_eq!(
            outcome(&world.send(&request)),
            expected,
            "{condition} of {claims}, again"
        );
        // Another model asks for nothing.
        let other = world.send(&by(Request::get("/v1/models/complete"), INLINE, &claims));
        assert_eq!(outcome(&other), passed());
    }
}

#[test]
fn claims_of_who_does_not_declare_them_open_no_model() {
    let claims = json!({ "department": "stores" });
    for condition in ["claims.department == 'stores'", "!(claims.department == 'hq')"] {
        let mut world = world(None, &[condition]);
        assert_eq!(outcome(&world.send(&by(ask("fast"), INLINE, &claims))), passed());
        let other = world.send(&by(ask("fast"), SECRET, &claims));
        assert_eq!(outcome(&other), refused("condition_not_met"), "{condition}");
        // An API key has no claims at all.
        assert_eq!(outcome(&world.send(&ask("fast"))), refused("condition_not_met"));
    }
}

#[test]
fn a_refusal_names_its_line_in_the_log_and_tells_the_client_nothing_of_it() {
    let mut world = world(None, &["claims.department == 'stores'", "claims.level > 3"]);
    let answer = world.send(&by(
        ask("fast"),
        INLINE,
        &json!({ "department": "stores", "level": 3 }),
    ));
    assert_eq!(answer.json()["error"]["type"], "permission_error");
    assert_eq!(answer.json()["error"]["param"], "model");
    assert_eq!(answer.json()["error"]["code"], "condition_not_met");
    assert_eq!(answer.log()["policy_line"], "policies/models/fast.yaml:21");
    assert_eq!(answer.log()["model"], "fast");
    for told in ["department", "stores", "level"] {
        assert!(!answer.text().contains(told), "{}", answer.text());
    }
    assert!(answer.sent.is_empty());
    assert!(answer.header("ratelimit").is_none(), "nothing was charged");
    let missing = world.send(&by(ask("fast"), INLINE, &json!({ "level": 9 })));
    assert_eq!(
        missing.log()["reason"],
        "`claims.department` is missing, or of another type than is declared"
    );
}

#[test]
fn scopes_of_a_model_come_on_top_of_its_grant() {
    let mut world = world(Some("models:use"), &[]);
    let good = by(ask("fast"), INLINE, &json!({ "scope": "other models:use" }));
    assert_eq!(outcome(&world.send(&good)), passed());
    for scope in ["other", "models:use2", "MODELS:USE"] {
        let answer = world.send(&by(ask("fast"), INLINE, &json!({ "scope": scope })));
        assert_eq!(outcome(&answer), refused("insufficient_scope"), "{scope}");
        let challenge = answer.header("www-authenticate").expect("a challenge");
        assert!(
            challenge.starts_with("Bearer error=\"insufficient_scope\", scope=\"models:use\""),
            "{challenge}"
        );
        assert_eq!(answer.log()["policy_line"], "policies/models/fast.yaml:9");
    }
    // A scope grants nothing by itself.
    let idle = chat(&json!({ "model": "fast", "messages": [] })).by("idle");
    assert_eq!(world.send(&idle).code(), "model_not_allowed");
}

#[test]
fn the_list_the_card_and_the_limits_show_what_may_be_called_now() {
    let condition =
        |hour: u32| format!("claims.level > 3 && request.country in ['DE'] && request.hour == {hour}");
    let hour = u32::try_from(World::new().now / 3_600_000 % 24).expect("an hour");
    let mut good_hour = world(Some("models:use"), &[&condition(hour)]);
    let mut other_hour = world(Some("models:use"), &[&condition((hour + 1) % 24)]);
    let see = |world: &mut World, claims: &Value, country: &str| {
        let mut request = by(Request::get("/v1/models"), INLINE, claims);
        request.country = Some(country.to_owned());
        let list = world.send(&request);
        assert_eq!(list.status, 200);
        let listed = list.json()["data"]
            .as_array()
            .expect("a list")
            .iter()
            .any(|model| model["id"] == "fast");
        let mut outcomes = vec![];
        for path in ["/v1/models/fast", "/_turnpike/limits?model=fast"] {
            let mut request = by(Request::get(path), INLINE, claims);
            request.country = Some(country.to_owned());
            outcomes.push(outcome(&world.send(&request)));
        }
        let mut call = by(ask("fast"), INLINE, claims);
        call.country = Some(country.to_owned());
        outcomes.push(outcome(&world.send(&call)));
        (listed, outcomes)
    };
    let good = json!({ "scope": "models:use", "level": 4 });
    assert_eq!(see(&mut good_hour, &good, "DE"), (true, vec![passed(); 3]));
    let no = |code| (false, vec![refused(code); 3]);
    assert_eq!(see(&mut good_hour, &good, "FR"), no("condition_not_met"));
    assert_eq!(
        see(
            &mut good_hour,
            &json!({ "scope": "models:use", "level": 3 }),
            "DE"
        ),
        no("condition_not_met")
    );
    assert_eq!(
        see(&mut good_hour, &json!({ "level": 4 }), "DE"),
        no("insufficient_scope")
    );
    assert_eq!(see(&mut other_hour, &good, "DE"), no("condition_not_met"));
}
