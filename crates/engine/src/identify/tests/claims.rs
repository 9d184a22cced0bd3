use serde_json::{Value, json};
use turnpike_policy::Algorithm::HS256;

use super::super::{CredentialKind, Principal, Refusal};
use super::{NOW, SECONDS, SECRET, claims, good, identify, once, policy, sign, sign_raw, store};

type Changes<'a> = &'a [(&'a str, Option<Value>)];
type Row<'a> = (Vec<(&'a str, Option<Value>)>, Result<(), Refusal>);

fn with(changes: Changes<'_>) -> Result<Principal, Refusal> {
    once(&sign(HS256, &claims(SECRET, changes)))
}

#[test]
fn a_right_token_proves_a_principal() {
    let expected = Principal {
        claims: Vec::new(),
        consumer: 11,
        issuer: Some(SECRET),
        subject: "somebody".to_owned(),
        scopes: vec!["pets:read".to_owned(), "pets:write".to_owned()],
        credential: CredentialKind::Token,
        expires: Some((SECONDS + 600) * 1000),
    };
    assert_eq!(with(&[]), Ok(expected.clone()));
    assert_eq!(
        with(&[("sub", None)]),
        Ok(Principal {
            subject: "app".to_owned(),
            ..expected
        })
    );
}

#[test]
fn times() {
    let at = |offset: i64| Some(json!(SECONDS.checked_add_signed(offset).unwrap()));
    #[expect(clippy::cast_precision_loss, reason = "small enough")]
    let fraction = Some(json!(SECONDS as f64 + 600.75));
    let rows: &[(Changes<'_>, Result<(), Refusal>)] = &[
        (&[("exp", fraction)], Ok(())),
        (&[("exp", at(1))], Ok(())),
        // The skew is 30 s; at its end the token is over.
        (
            &[("exp", at(-29))],
            Err(Refusal::claim("exp", "is not after `iat`")),
        ),
        (&[("exp", at(-29)), ("iat", at(-60))], Ok(())),
        (&[("exp", at(-30)), ("iat", at(-60))], Err(Refusal::Expired)),
        (&[("exp", at(-31)), ("iat", at(-60))], Err(Refusal::Expired)),
        (
            &[("exp", at(-100_000)), ("iat", at(-100_060))],
            Err(Refusal::Expired),
        ),
        (
            &[("exp", Some(json!(0))), ("iat", None)],
            Err(Refusal::claim("iat", "is missing")),
        ),
        (&[("nbf", None)], Ok(())),
        (&[("nbf", at(30))], Ok(())),
        (&[("nbf", at(31))], Err(Refusal::NotYetValid)),
        (&[("iat", at(30))], Ok(())),
        (&[("iat", at(31))], Err(Refusal::NotYetValid)),
        (
            &[("iat", at(600))],
            Err(Refusal::claim("exp", "is not after `iat`")),
        ),
        (
            &[("iat", at(601))],
            Err(Refusal::claim("exp", "is not after `iat`")),
        ),
        (&[("iat", None)], Err(Refusal::claim("iat", "is missing"))),
        (&[("iat", at(0)), ("exp", at(3600))], Ok(())),
        (
            &[("iat", at(0)), ("exp", at(3601))],
            Err(Refusal::LifetimeTooLong),
        ),
        (&[("exp", None)], Err(Refusal::claim("exp", "is missing"))),
        (
            &[("exp", Some(json!(-1)))],
            Err(Refusal::claim("exp", "is out of range")),
        ),
        (
            &[("exp", Some(json!(253_402_300_800_u64)))],
            Err(Refusal::claim("exp", "is out of range")),
        ),
        (
            &[("nbf", Some(json!(-1)))],
            Err(Refusal::claim("nbf", "is out of range")),
        ),
        (
            &[("nbf", Some(json!(-8_334_601_228_800_i64)))],
            Err(Refusal::claim("nbf", "is out of range")),
        ),
        (
            &[("iat", Some(json!(-5.5)))],
            Err(Refusal::claim("iat", "is out of range")),
        ),
    ];
    for (changes, expected) in rows {
        assert_eq!(with(changes).map(|_| ()), *expected, "{changes:?}");
    }
    // What is no number is not taken for absent (CVE-2026-25537).
    for name in ["exp", "nbf", "iat"] {
        for value in [
            json!("1900000000"),
            json!(null),
            json!(true),
            json!([1]),
            json!({}),
            json!(1e300),
            json!(u64::MAX),
        ] {
            let found = with(&[(name, Some(value.clone()))]);
            assert!(
                matches!(found, Err(Refusal::Malformed(_))),
                "{name} {value} {found:?}"
            );
        }
    }
    let text = good(SECRET)
        .to_string()
        .replace(&(SECONDS + 600).to_string(), "1e999");
    assert!(matches!(
        once(&sign_raw(HS256, r#"{"alg":"HS256"}"#, &text)),
        Err(Refusal::Malformed(_))
    ));
}

#[test]
fn without_a_longest_lifetime_iat_may_be_absent() {
    let mut policy = policy();
    policy.issuers[SECRET as usize].max_lifetime = None;
    let mut store = store(&policy);
    let far = SECONDS + 100_000_000;
    let token = sign(
        HS256,
        &claims(SECRET, &[("iat", None), ("exp", Some(json!(far)))]),
    );
    assert_eq!(
        identify(&policy, &mut store, &token, NOW).unwrap().expires,
        Some(far * 1000)
    );
}

#[test]
fn issuer_audience_subject_consumer() {
    let wrong = |name: &'static str| Err(Refusal::claim(name, "is not a non-empty string"));
    let unknown = |issuer: &str| Err(Refusal::unknown_issuer(issuer));
    let aud = || Err(Refusal::claim("aud", "is neither a string nor a list of strings"));
    let one = |name: &'static str, value: Value| vec![(name, Some(value))];
    let rows: Vec<Row<'_>> = vec![
        (vec![("iss", None)], Err(Refusal::claim("iss", "is missing"))),
        (
            one("iss", json!("https://secret.example")),
            unknown("https://secret.example"),
        ),
        (
            one("iss", json!("https://secret.example/ ")),
            unknown("https://secret.example/ "),
        ),
        (
            one("iss", json!("HTTPS://secret.example/")),
            unknown("HTTPS://secret.example/"),
        ),
        (
            one("iss", json!("https://secret.example/\n")),
            unknown("https://secret.example/\n"),
        ),
        (one("iss", json!("https://s")), unknown("https://s")),
        (one("iss", json!("")), wrong("iss")),
        (one("iss", json!(null)), wrong("iss")),
        (one("iss", json!(["https://secret.example/"])), wrong("iss")),
        (one("aud", json!("other")), Ok(())),
        (one("aud", json!(["x", "other"])), Ok(())),
        (one("aud", json!(["https://api.example"])), Ok(())),
        (vec![("aud", None)], Err(Refusal::AudienceMismatch)),
        (
            one("aud", json!("https://api.example/")),
            Err(Refusal::AudienceMismatch),
        ),
        (
            one("aud", json!("https://api.example other")),
            Err(Refusal::AudienceMismatch),
        ),
        (one("aud", json!([])), Err(Refusal::AudienceMismatch)),
        (one("aud", json!("")), Err(Refusal::AudienceMismatch)),
        (one("aud", json!([""])), Err(Refusal::AudienceMismatch)),
        (one("aud", json!(["other", 1])), aud()),
        (one("aud", json!(null)), aud()),
        (one("aud", json!({"other": 1})), aud()),
        (one("sub", json!("")), wrong("sub")),
        (one("sub", json!(null)), wrong("sub")),
        (one("sub", json!(7)), wrong("sub")),
        (one("sub", json!("s".repeat(255))), Ok(())),
        (
            one("sub", json!("s".repeat(256))),
            Err(Refusal::claim("sub", "is longer than 255 bytes")),
        ),
        (
            vec![("client_id", None)],
            Err(Refusal::claim("client_id", "is missing")),
        ),
        (one("client_id", json!("")), wrong("client_id")),
        (one("client_id", json!(["app"])), wrong("client_id")),
        (one("client_id", json!("App")), Err(Refusal::ConsumerUnknown)),
        (one("client_id", json!("ap")), Err(Refusal::ConsumerUnknown)),
    ];
    for (changes, expected) in rows {
        assert_eq!(with(&changes).map(|_| ()), expected, "{changes:?}");
    }
    // Another issuer's consumer of the same name is another consumer.
    let mut policy = policy();
    let others = policy.identities.iter().filter(|one| one.issuer != SECRET);
    policy.identities = others.cloned().collect();
    let mut store = store(&policy);
    let token = sign(HS256, &good(SECRET));
    assert_eq!(
        identify(&policy, &mut store, &token, NOW),
        Err(Refusal::ConsumerUnknown)
    );
}

#[test]
fn scopes() {
    for (scope, scp, expected) in [
        (None, None, Some(vec![])),
        (Some(json!("b a b")), None, Some(vec!["a", "b"])),
        (Some(json!("")), None, Some(vec![])),
        (Some(json!("a  b ")), None, Some(vec!["a", "b"])),
        (None, Some(json!("b a")), Some(vec!["a", "b"])),
        (None, Some(json!(["b", "a", "a"])), Some(vec!["a", "b"])),
        (Some(json!("c")), Some(json!(["a"])), Some(vec!["a", "c"])),
        (Some(json!(["b", "a"])), None, Some(vec!["a", "b"])),
        (Some(json!(["a", null])), None, None),
        (Some(json!(null)), None, None),
        (None, Some(json!(["a b"])), None),
        (None, Some(json!([""])), None),
        (None, Some(json!(["a", 1])), None),
        (None, Some(json!({"a": true})), None),
        (Some(json!("a\nb")), None, None),
        (Some(json!("a\"b")), None, None),
        (Some(json!("\u{e4}")), None, None),
        (Some(json!("s".repeat(257))), None, None),
        (Some(json!("s ".repeat(257))), None, None),
    ] {
        let found = with(&[("scope", scope.clone()), ("scp", scp.clone())]);
        match expected {
            Some(expected) => assert_eq!(found.unwrap().scopes, expected, "{scope:?} {scp:?}"),
            None => {
                assert!(
                    matches!(found, Err(Refusal::ClaimInvalid { .. })),
                    "{scope:?} {scp:?}"
                );
            }
        }
    }
}

#[test]
fn only_access_tokens_when_asked() {
    let mut policy = policy();
    policy.issuers[SECRET as usize].access_tokens = true;
    for (header, right) in [
        (r#"{"alg":"HS256","typ":"at+jwt"}"#, true),
        (r#"{"alg":"HS256","typ":"AT+JWT"}"#, true),
        (r#"{"alg":"HS256","typ":"application/at+jwt"}"#, true),
        (r#"{"alg":"HS256","typ":"JWT"}"#, false),
        (r#"{"alg":"HS256"}"#, false),
    ] {
        let token = sign_raw(HS256, header, &good(SECRET).to_string());
        let found = identify(&policy, &mut store(&policy), &token, NOW);
        assert_eq!(found.is_ok(), right, "{header} {found:?}");
    }
}

#[test]
fn a_token_belongs_to_the_client_that_the_policy_names() {
    let mut policy = policy();
    policy.issuers[SECRET as usize].consumer_claim = "sub".to_owned();
    policy.identities[SECRET as usize].value = "somebody".to_owned();
    policy.identities[SECRET as usize].client = Some("app".to_owned());
    for (client_id, azp, right) in [
        (Some(json!("app")), None, true),
        (None, Some(json!("app")), true),
        (Some(json!("app")), Some(json!("app")), true),
        (Some(json!("app")), Some(json!("other")), false),
        (Some(json!("other")), Some(json!("app")), false),
        (Some(json!("other")), None, false),
        (None, Some(json!("App")), false),
        (None, Some(json!(["app"])), false),
        (Some(json!("")), Some(json!("app")), false),
        (None, None, false),
    ] {
        let token = sign(
            HS256,
            &claims(SECRET, &[("client_id", client_id.clone()), ("azp", azp.clone())]),
        );
        let found = identify(&policy, &mut store(&policy), &token, NOW);
        assert_eq!(found.is_ok(), right, "{client_id:?} {azp:?} {found:?}");
    }
}

#[test]
fn a_token_that_is_bound_to_a_key_is_no_bearer_token() {
    let policy = policy();
    for confirmation in [
        json!({ "jkt": "0ZcOCORZNYy-DWpqq30jZyJGHTN0d2HglBV3uiguA4I" }),
        json!({ "x5t#S256": "bwcK0esc3ACC3DB2Y5_lESsXE8o9ltc05O89jdN-dg2" }),
        json!({}),
        json!(null),
    ] {
        let token = sign(HS256, &claims(SECRET, &[("cnf", Some(confirmation.clone()))]));
        let found = identify(&policy, &mut store(&policy), &token, NOW);
        assert!(found.is_err(), "{confirmation}");
    }
    let token = sign(HS256, &claims(SECRET, &[]));
    assert!(identify(&policy, &mut store(&policy), &token, NOW).is_ok());
}
