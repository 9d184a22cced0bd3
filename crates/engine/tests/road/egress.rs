//! What upstreams are sent as the gateway's own credential.

use serde_json::{Value, json};
use turnpike_engine::step::Failure;
use turnpike_policy::{
    Claim, ClaimKind, Compiled, CredentialValue, GrantedToken, Handler, RepeatedClaim, SignedToken,
    UpstreamCredential,
};

use crate::policy::{INLINE, SECRET};
use crate::world::{Answer, Does, Request, World, token};

/// A world where every upstream of an operation is sent this.
fn world(value: &CredentialValue, change: impl FnOnce(&mut Compiled)) -> World {
    World::with(|compiled| {
        let place = compiled.issuers.iter().position(|known| known.issuer == INLINE);
        let inline = u32::try_from(place.expect("an issuer")).expect("a small number");
        let claim = |name: &str, kind| Claim {
            path: vec![name.to_owned()],
            kind: Some(kind),
            issuers: vec![inline],
        };
        compiled.claims = vec![
            claim("email", ClaimKind::Text),
            claim("groups", ClaimKind::Texts),
            claim("level", ClaimKind::Number),
            claim("staff", ClaimKind::Flag),
        ];
        for operation in compiled.operations.iter_mut() {
            if let Handler::Proxy { credential, .. } = &mut operation.handler {
                *credential = Some(UpstreamCredential {
                    header: "authorization".to_owned(),
                    prefix: "Bearer ".to_owned(),
                    value: value.clone(),
                });
            }
        }
        change(compiled);
    })
}

fn signed() -> CredentialValue {
    let repeated = ["email", "groups", "level", "staff"].map(|name| RepeatedClaim {
        name: format!("their_{name}"),
        claim: vec![name.to_owned()],
    });
    CredentialValue::Signed(SignedToken {
        audience: "https://pets.example".to_owned(),
        lifetime: 60_000,
        claims: repeated.to_vec(),
    })
}

fn granted() -> CredentialValue {
    CredentialValue::Granted(Box::new(GrantedToken {
        object: "grant:1".to_owned(),
        endpoint: "https://login.example/token".to_owned(),
        client_id: "gateway".to_owned(),
        secret: "GRANT_SECRET".to_owned(),
        post: false,
        form: Vec::new(),
    }))
}

fn pet() -> Request {
    Request::get("/petstore/v2/pets/1")
}

fn pet_of(issuer: &str, more: &Value) -> Request {
    let token = token(issuer, |claims| {
        for (name, value) in more.as_object().expect("claims") {
            claims[name] = value.clone();
        }
    });
    pet().header("authorization", &format!("Bearer {token}"))
}

/// What a token that was signed says.
fn said(answer: &Answer) -> Value {
    let header = answer.sent[0].headers["authorization"].as_str();
    serde_json::from_str(header.strip_prefix("Bearer ").expect("the prefix")).expect("claims")
}

#[test]
fn a_signed_token_says_who_calls_and_what_is_declared_of_him() {
    let mut world = world(&signed(), |_| {});
    let claims =
        json!({ "sub": "mia", "email": "m@acme.test", "groups": ["a"], "level": 1.50, "staff": false });
    let told = said(&world.send(&pet_of(INLINE, &claims)));
    assert_eq!(
        told,
        json!({
            "iss": "https://api.example", "aud": "https://pets.example", "consumer": told["consumer"], "sub": "mia",
            "sub_id": { "format": "iss_sub", "iss": INLINE, "sub": "mia" },
            "their_email": "m@acme.test", "their_groups": ["a"], "their_level": 1.5, "their_staff": false,
        })
    );
    assert!(told["consumer"].is_string());
    // Of another kind than declared, or of an issuer that declares nothing.
    let claims = json!({ "email": 1, "groups": "a", "level": "1", "staff": "yes" });
    let other = json!({ "email": "m@acme.test", "staff": true });
    for request in [pet_of(INLINE, &claims), pet_of(SECRET, &other), pet().by("demo")] {
        let told = said(&world.send(&request));
        let names: Vec<_> = told.as_object().expect("an object").keys().collect();
        assert_eq!(names, ["aud", "consumer", "iss", "sub", "sub_id"]);
    }
    let told = said(&world.send(&pet().by("demo")));
    assert_eq!(told["sub_id"], json!({ "format": "opaque", "id": told["sub"] }));
}

#[test]
fn a_number_keeps_its_digits() {
    let mut world = world(&signed(), |_| {});
    for (sent, told) in [
        ("9007199254740993", "9007199254740993"),
        ("18446744073709551615", "18446744073709551615"),
        ("-9223372036854775808", "-9223372036854775808"),
        ("18446744073709551616", "18446744073709551616"),
        ("123456789012345678901234567890", "123456789012345678901234567890"),
        ("0.12345678901234567891", "0.12345678901234567891"),
        // Which a float has as it is.
        ("1.50", "1.5"),
        ("1e2", "100.0"),
    ] {
        let level: Value = serde_json::from_str(&format!("\"@{sent}@\"")).expect("a text");
        let token = crate::world::token_as(
            INLINE,
            |claims| claims["level"] = level.clone(),
            |payload| payload.replace("\"@", "").replace("@\"", ""),
        );
        let answer = world.send(&pet().header("authorization", &format!("Bearer {token}")));
        let header = answer.sent[0].headers["authorization"].as_str();
        assert!(
            header.ends_with(&format!("\"their_level\":{told}}}")),
            "{sent}: {header}"
        );
    }
}

#[test]
fn a_call_that_was_made_again_is_two_attempts_in_the_log() {
    let mut world = world(&granted(), |_| {});
    world.again = 40;
    let answer = world.send(&pet().by("demo"));
    assert_eq!(answer.status, 200);
    let attempts = answer.log()["attempts"].clone();
    assert_eq!(attempts.as_array().map(Vec::len), Some(2), "{attempts}");
    assert_eq!(
        (&attempts[0]["status"], &attempts[0]["failed"], &attempts[0]["ms"]),
        (&json!(401), &json!("refused"), &json!(40))
    );
    assert_eq!(
        (&attempts[1]["status"], &attempts[1]["failed"]),
        (&json!(200), &Value::Null)
    );
    assert_eq!(attempts[0]["to"], attempts[1]["to"]);
}

#[test]
fn a_token_with_more_than_fits_is_refused_and_not_cut() {
    let mut world = world(&signed(), |_| {});
    let answer = world.send(&pet_of(INLINE, &json!({ "email": "m".repeat(4096) })));
    assert_eq!((answer.status, answer.code().as_str()), (431, "header_too_large"));
    assert!(answer.sent.is_empty());
}

#[test]
fn without_what_signs_nothing_is_sent() {
    let mut world = world(&signed(), |_| {}).without_secrets();
    let answer = world.send(&pet().by("demo"));
    assert_eq!((answer.status, answer.code().as_str()), (503, "secret_missing"));
    assert!(answer.sent.is_empty());
    let mut world = self::world(&signed(), |compiled| compiled.gateway.signing = None);
    assert_eq!(world.send(&pet().by("demo")).code(), "internal");
}

#[test]
fn a_granted_token_takes_the_place_of_the_clients_or_nothing_does() {
    let mut world = world(&granted(), |_| {});
    let answer = world.send(&pet().by("demo"));
    assert_eq!(answer.sent[0].headers["authorization"], "Bearer token-of-gateway");
    world.expect("pets", [Does::Fails(Failure::NoToken)]);
    let answer = world.send(&pet().by("demo"));
    assert_eq!(
        (
            answer.status,
            answer.code().as_str(),
            answer.header("retry-after")
        ),
        (503, "upstream_token_unavailable", Some("10"))
    );
    assert_eq!(answer.log()["attempts"][0]["failed"], "no_token");
}
