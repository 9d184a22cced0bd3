//! Opaque tokens, and endpoints that misbehave.

use std::borrow::Cow;

use turnpike_policy::{Claim, ClaimKind, Introspection, Rate};

use super::super::introspection::{IntrospectAsk, LATELY, MAX_ASKED, introspected};
use super::super::{ClaimValue, waited};
use super::*;
use crate::step::{Client, Undecided};

const TOKEN: &str = "opaque-0123456789";
const ACTIVE_FOR: u64 = 30_000;
const INACTIVE_FOR: u64 = 5_000;
const TIMEOUT: u64 = 2_000;

pub(super) fn introspection(prefix: &str) -> Introspection {
    Introspection {
        endpoint: "https://inline.example/introspect".to_owned(),
        client_id: "gateway".to_owned(),
        secret: "INTROSPECTION".to_owned(),
        post: false,
        prefix: prefix.to_owned(),
        timeout: TIMEOUT,
        active_for: ACTIVE_FOR,
        inactive_for: INACTIVE_FOR,
        rate: Rate {
            count: 100,
            period: 1_000,
            burst: 100,
        },
    }
}

/// The policy, whose first issuer is asked about every opaque token, with no longest lifetime.
pub(super) fn policy() -> Compiled {
    let mut policy = super::policy();
    policy.issuers[0].introspection = Some(introspection(""));
    policy.issuers[0].max_lifetime = None;
    policy
}

/// What it says of a good token.
pub(super) fn active(changes: &[(&str, Option<Value>)]) -> String {
    let mut said = claims(INLINE, changes);
    if !changes.iter().any(|(name, _)| *name == "active") {
        said["active"] = true.into();
    }
    said.to_string()
}

fn present(policy: &Compiled, store: &mut Store, token: &str, now: u64) -> Outcome {
    let authorization = format!("Bearer {token}");
    let head = Presented {
        authorization: Some(&authorization),
        ..Presented::default()
    };
    begin(policy, store, &head, now)
}

fn asks(policy: &Compiled, store: &mut Store, token: &str, now: u64) -> Box<IntrospectAsk> {
    match present(policy, store, token, now) {
        Outcome::Introspect(ask) => ask,
        other => panic!("{token}: {other:?}"),
    }
}

/// Asks about a token, and hands this answer back.
#[expect(clippy::unwrap_in_result, reason = "a test's helper")]
fn answered(
    policy: &Compiled,
    store: &mut Store,
    token: &str,
    answer: Result<&str, Undecided>,
    now: u64,
) -> Result<Principal, Refusal> {
    let ask = asks(policy, store, token, now);
    let asked = postcard::from_bytes(&postcard::to_allocvec(&ask.asked).unwrap()).unwrap();
    introspected(policy, store, &asked, answer.map(str::as_bytes), now)
}

/// The same with a fresh store.
fn once(answer: &str) -> Result<Principal, Refusal> {
    let policy = policy();
    answered(&policy, &mut store(&policy), TOKEN, Ok(answer), NOW)
}

/// Whether an answer lets its token pass.
pub(super) fn passes(answer: &str) -> bool {
    once(answer).is_ok()
}

#[test]
fn an_issuer_is_asked_once_and_its_answer_is_who_calls() {
    let mut policy = policy();
    policy.claims = vec![Claim {
        path: vec!["level".to_owned()],
        kind: Some(ClaimKind::Number),
        issuers: vec![INLINE],
    }];
    let mut store = store(&policy);
    let ask = asks(&policy, &mut store, TOKEN, NOW);
    assert_eq!(ask.ask.url, "https://inline.example/introspect");
    assert_eq!(
        ask.ask.body,
        "token=opaque-0123456789&token_type_hint=access_token"
    );
    assert_eq!((ask.ask.within, ask.ask.max), (TIMEOUT, 65_536));
    let client = Client {
        id: "gateway".to_owned(),
        post: false,
    };
    assert_eq!(
        (ask.ask.secret.as_deref(), ask.ask.client.as_ref()),
        (Some("INTROSPECTION"), Some(&client))
    );
    let answer = active(&[("level", Some("LEVEL".into()))]).replace("\"LEVEL\"", "12345678901234567890123");
    let who = introspected(&policy, &mut store, &ask.asked, Ok(answer.as_bytes()), NOW).unwrap();
    assert_eq!((who.consumer, who.issuer), (10, Some(INLINE)));
    assert_eq!(who.subject, "somebody");
    assert_eq!(who.scopes, ["pets:read", "pets:write"]);
    assert_eq!(who.expires, Some((SECONDS + 600) * 1000));
    // To the last digit, as of a JWT.
    let level = ClaimValue::Number("12345678901234567890123".to_owned());
    assert_eq!(who.claims, [Some(level)]);
    for later in [0, 1, ACTIVE_FOR - 1] {
        let known = present(&policy, &mut store, TOKEN, NOW + later);
        assert_eq!(known, Outcome::Known(who.clone()));
    }
    asks(&policy, &mut store, TOKEN, NOW + ACTIVE_FOR);
}

#[test]
fn characters_that_mean_something_in_a_form_are_no_part_of_it() {
    let policy = policy();
    let ask = asks(&policy, &mut store(&policy), "a+b/c~d-e_f.g==", NOW);
    assert_eq!(
        ask.ask.body,
        "token=a%2Bb%2Fc~d-e_f.g%3D%3D&token_type_hint=access_token"
    );
}

#[test]
fn jwts_and_keys_are_nobodys_to_ask_about() {
    let policy = policy();
    let mut store = store(&policy);
    let forged = sign(Algorithm::ES256, &good(INLINE)) + "x";
    for token in [
        forged.as_str(),
        "a.b.c",
        "..",
        // Five parts: encrypted (RFC 7516).
        "eyJhbGciOiJSU0EtT0FFUCJ9.a.b.c.d",
        API_KEY,
        "tpk_nobody_0123456789",
        "tpk_",
    ] {
        assert!(
            !matches!(present(&policy, &mut store, token, NOW), Outcome::Introspect(_)),
            "{token}"
        );
    }
    for token in [
        "a",
        "a.b",
        "ya29.a0AfH6SM",
        "gho_16C7e42F292c6912E7710c838347Ae178B4a",
        "eyJ",
    ] {
        asks(&policy, &mut store, token, NOW);
    }
    // Where nobody is asked, they are what they were.
    let plain = super::policy();
    let refused = present(&plain, &mut super::store(&plain), TOKEN, NOW);
    assert!(
        matches!(refused, Outcome::Refused(Refusal::Malformed(_))),
        "{refused:?}"
    );
}

#[test]
fn a_prefix_says_whom_to_ask() {
    let mut policy = policy();
    policy.issuers[2].introspection = Some(Introspection {
        endpoint: "https://url.example/introspect".to_owned(),
        ..introspection("url_")
    });
    let mut store = store(&policy);
    for (token, url) in [
        ("url_1", "https://url.example/introspect"),
        // Whatever follows: nothing else begins so.
        ("url_1.2.3", "https://url.example/introspect"),
        ("Url_1", "https://inline.example/introspect"),
        ("xurl_1", "https://inline.example/introspect"),
    ] {
        assert_eq!(asks(&policy, &mut store, token, NOW).ask.url, url, "{token}");
    }
    policy.issuers[0].introspection = None;
    let mut store = super::store(&policy);
    asks(&policy, &mut store, "url_1", NOW);
    let other = present(&policy, &mut store, "other", NOW);
    assert!(
        matches!(other, Outcome::Refused(Refusal::Malformed(_))),
        "{other:?}"
    );
    // What one issuer says, it says of itself.
    let said = active(&[("iss", Some(ISSUERS[0].into()))]);
    let refused = answered(&policy, &mut store, "url_2", Ok(&said), NOW);
    assert_eq!(refused, Err(Refusal::unknown_issuer(ISSUERS[0])));
}

#[test]
fn what_an_answer_may_leave_out() {
    for name in ["iss", "sub", "iat", "nbf", "exp", "scope"] {
        let who = once(&active(&[(name, None)])).unwrap_or_else(|refusal| panic!("{name}: {refusal:?}"));
        assert_eq!(who.consumer, 10, "{name}");
    }
    for (name, value) in [
        ("token_type", "Bearer"),
        ("token_type", "access_token"),
        ("token_use", "access_token"),
        ("typ", "Bearer"),
        ("username", "x"),
    ] {
        once(&active(&[(name, Some(value.into()))])).unwrap_or_else(|refusal| panic!("{name}: {refusal:?}"));
    }
    let both = active(&[("aud", Some(json!(["a", AUDIENCE])))]);
    assert_eq!(once(&both).unwrap().consumer, 10);
    let expires = once(&active(&[("exp", None)])).unwrap().expires;
    assert_eq!(expires, None);
}

/// An answer that is one, of a token that opens nothing here; and what is said of it in the log.
#[test]
fn tokens_that_open_nothing_are_the_callers_fault_and_remembered() {
    let json = |value: Value| Some(value);
    for (changes, reason) in [
        (
            vec![("active", json(false.into()))],
            "its issuer says that it is not active",
        ),
        (vec![("aud", None)], "`aud` holds none"),
        (
            vec![("aud", json("https://elsewhere.example".into()))],
            "`aud` holds none",
        ),
        (vec![("aud", json(json!([])))], "`aud` holds none"),
        (
            vec![("aud", json("https://api.example/".into()))],
            "`aud` holds none",
        ),
        (
            vec![("iss", json("https://other.example/".into()))],
            "no issuer is `https://other.example/`",
        ),
        (
            vec![("iss", json("https://inline.example".into()))],
            "no issuer is",
        ),
        (
            vec![
                ("exp", json((SECONDS - 60).into())),
                ("iat", json((SECONDS - 600).into())),
            ],
            "has expired",
        ),
        (vec![("nbf", json((SECONDS + 60).into()))], "not valid yet"),
        (vec![("iat", json((SECONDS + 60).into()))], "not valid yet"),
        (
            vec![("client_id", json("nobody".into()))],
            "no consumer has this identity",
        ),
        (
            vec![("cnf", json(json!({ "jkt": "x" })))],
            "`cnf` asks for a proof",
        ),
        (
            vec![("cnf", json(json!({ "x5t#S256": "x" })))],
            "`cnf` asks for a proof",
        ),
        (vec![("cnf", json(Value::Null))], "`cnf` is not an object"),
        (
            vec![("token_type", json("DPoP".into()))],
            "`token_type` is not that",
        ),
        (
            vec![("token_type", json("N_A".into()))],
            "`token_type` is not that",
        ),
        (
            vec![("token_type", json("refresh_token".into()))],
            "`token_type` is not that",
        ),
        (
            vec![("token_type", json(Value::Null))],
            "`token_type` is not that",
        ),
        (
            vec![("token_use", json("refresh_token".into()))],
            "`token_use` is not that",
        ),
        (vec![("typ", json("Refresh".into()))], "`typ` is not that"),
        (vec![("typ", json("ID".into()))], "`typ` is not that"),
    ] {
        let policy = policy();
        let mut store = store(&policy);
        let answer = active(&changes);
        let refused = answered(&policy, &mut store, TOKEN, Ok(&answer), NOW).unwrap_err();
        assert!(!refused.is_fault(), "{answer}: {refused:?}");
        assert!(
            refused.reason().contains(reason),
            "{answer}: {}",
            refused.reason()
        );
        let again = present(&policy, &mut store, TOKEN, NOW + INACTIVE_FOR - 1);
        assert_eq!(
            again,
            Outcome::Refused(Refusal::Inactive("it was no good a moment ago")),
            "{answer}"
        );
        asks(&policy, &mut store, TOKEN, NOW + INACTIVE_FOR);
    }
}

#[test]
fn an_opaque_token_is_no_bound_one() {
    // Not by what is said of it, although signed ones of this issuer may be bound.
    let mut policy = policy();
    policy.dpop = true;
    policy.issuers[0].dpop = turnpike_policy::Binding::Accepted;
    let hash = "AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA";
    let bound = active(&[("cnf", Some(json!({ "jkt": hash })))]);
    let refused = answered(&policy, &mut store(&policy), TOKEN, Ok(&bound), NOW).unwrap_err();
    assert_eq!(
        refused,
        Refusal::claim("cnf", "of an opaque token is not looked at")
    );
    // And not by how it comes: nobody is asked.
    let authorization = format!("DPoP {TOKEN}");
    let head = Presented {
        authorization: Some(&authorization),
        proof: Some("a proof"),
        dpop: true,
        ..Presented::default()
    };
    let outcome = begin(&policy, &mut store(&policy), &head, NOW);
    assert_eq!(outcome, Outcome::Refused(refused));
}

#[test]
fn a_certificate_of_somebody_else_beside_an_opaque_token_is_refused_each_time() {
    let mut policy = super::certificate::policy();
    policy.issuers[0].introspection = Some(introspection(""));
    policy.issuers[0].max_lifetime = None;
    let authorization = format!("Bearer {TOKEN}");
    let head = Presented {
        authorization: Some(&authorization),
        certificate: Some(super::certificate::shown(super::certificate::EC, "CN=nobody")),
        ..Presented::default()
    };
    for (theirs, passes) in [(true, false), (false, true)] {
        if !theirs {
            // The certificate is now that of the consumer whom the token names.
            for known in &mut policy.certificates {
                known.consumer = 10;
            }
        }
        let mut store = store(&policy);
        let Outcome::Introspect(ask) = begin(&policy, &mut store, &head, NOW) else {
            panic!("nobody is asked");
        };
        let asked = postcard::from_bytes(&postcard::to_allocvec(&ask.asked).unwrap()).unwrap();
        let answer = active(&[]);
        let first = introspected(&policy, &mut store, &asked, Ok(answer.as_bytes()), NOW);
        assert_eq!(
            first.map_err(|refusal| refusal == Refusal::Ambiguous).is_ok(),
            passes
        );
        match begin(&policy, &mut store, &head, NOW) {
            Outcome::Known(_) if passes => {}
            Outcome::Refused(Refusal::Ambiguous) if !passes => {}
            other => panic!("{other:?}"),
        }
        // Without a certificate it is good, and remembered.
        assert!(matches!(
            present(&policy, &mut store, TOKEN, NOW),
            Outcome::Known(_)
        ));
    }
}

#[test]
fn an_answer_that_makes_no_sense_opens_nothing_and_is_nobodys_fault_but_its_issuers() {
    let deep = format!(
        "{{\"active\":true,\"x\":{}1{}}}",
        "[".repeat(500),
        "]".repeat(500)
    );
    let json = |value: Value| Some(value);
    let twice = |name: &str, value: &str| {
        let all = active(&[]);
        format!("{},\"{name}\":{value}}}", all.trim_end_matches('}'))
    };
    let answers = [
        String::new(),
        "null".to_owned(),
        "true".to_owned(),
        "{}".to_owned(),
        "[]".to_owned(),
        "[{\"active\":true}]".to_owned(),
        "{\"active\":true".to_owned(),
        "{\"active\":true}".to_owned(),
        format!("{} x", active(&[])),
        format!("{}{}", active(&[]), active(&[])),
        format!("\u{feff}{}", active(&[])),
        "<html>".to_owned(),
        deep,
        active(&[("active", json("true".into()))]),
        active(&[("active", json(1.into()))]),
        active(&[("active", json(Value::Null))]),
        active(&[("active", json(json!([true])))]),
        active(&[("Active", json(true.into())), ("active", json(Value::Null))]),
        // A claim that is there twice means two things.
        twice("active", "true"),
        twice("active", "false"),
        twice("aud", "\"https://api.example\""),
        twice("exp", "9999999999"),
        twice("client_id", "\"app\""),
        twice("sub", "\"root\""),
        twice("scope", "\"admin\""),
        // Times are numbers, or there are none.
        active(&[("exp", json("9999999999".into()))]),
        active(&[("exp", json(true.into()))]),
        active(&[("exp", json((-1).into()))]),
        active(&[("exp", json(json!(1e300)))]),
        active(&[("exp", json(json!([SECONDS + 60])))]),
        active(&[("nbf", json("0".into()))]),
        active(&[("iat", json(json!({})))]),
        active(&[
            ("exp", json((SECONDS - 10).into())),
            ("iat", json((SECONDS - 5).into())),
        ]),
        // So are the others what they must be.
        active(&[("aud", json(7.into()))]),
        active(&[("aud", json(json!([AUDIENCE, 7])))]),
        active(&[("iss", json(json!([ISSUERS[0]])))]),
        active(&[("sub", json(7.into()))]),
        active(&[("sub", json("".into()))]),
        active(&[("sub", json("x".repeat(256).into()))]),
        active(&[("client_id", None)]),
        active(&[("client_id", json(json!(["app"])))]),
        active(&[("scope", json(7.into()))]),
        active(&[("scope", json("a\u{7f}".into()))]),
    ];
    for answer in &answers {
        let refused = once(answer).expect_err(answer);
        // Where nothing is claimed there is no audience: the one that is no fault, and no way in.
        let plain = answer == "{\"active\":true}";
        assert_eq!(refused.is_fault(), !plain, "{answer}: {refused:?}");
    }
    // None of them is remembered: who asks again is asked about again.
    let policy = policy();
    let mut store = store(&policy);
    for answer in ["{}", "<html>"] {
        answered(&policy, &mut store, TOKEN, Ok(answer), NOW).unwrap_err();
    }
    let good = active(&[]);
    answered(&policy, &mut store, TOKEN, Ok(&good), NOW).unwrap();
}

#[test]
fn an_endpoint_that_does_not_answer_lets_nobody_pass() {
    for failure in [
        Undecided::Unreachable,
        Undecided::Late,
        Undecided::TooLarge,
        Undecided::SecretMissing,
        Undecided::Busy,
        Undecided::NotJson,
        Undecided::Status(204),
        Undecided::Status(302),
        Undecided::Status(401),
        Undecided::Status(500),
    ] {
        let policy = policy();
        let mut store = store(&policy);
        let good = active(&[]);
        answered(&policy, &mut store, "known", Ok(&good), NOW).unwrap();
        let refused = answered(&policy, &mut store, TOKEN, Err(failure), NOW).unwrap_err();
        assert_eq!(
            refused,
            Refusal::IntrospectionUnavailable {
                issuer: "issuer-0".to_owned(),
                why: failure.why(),
            }
        );
        // What is known stays known, until its time is over.
        let known = present(&policy, &mut store, "known", NOW + ACTIVE_FOR - 1);
        assert!(matches!(known, Outcome::Known(_)), "{failure:?}: {known:?}");
        let late = answered(&policy, &mut store, "known", Err(failure), NOW + ACTIVE_FOR);
        assert!(late.unwrap_err().is_fault(), "{failure:?}");
    }
}

#[test]
fn nothing_is_remembered_past_its_end() {
    let policy = policy();
    let mut store = store(&policy);
    let soon = active(&[("exp", Some((SECONDS + 10).into()))]);
    answered(&policy, &mut store, TOKEN, Ok(&soon), NOW).unwrap();
    let last = present(&policy, &mut store, TOKEN, NOW + 9_999);
    assert!(matches!(last, Outcome::Known(_)), "{last:?}");
    asks(&policy, &mut store, TOKEN, NOW + 10_000);
    // Within the leeway for clocks it passes, by an answer of this moment alone.
    let mut store = super::store(&policy);
    let over = active(&[("exp", Some((SECONDS - 10).into())), ("iat", None)]);
    answered(&policy, &mut store, "late", Ok(&over), NOW).unwrap();
    asks(&policy, &mut store, "late", NOW);
    // Without an end it is good for the stated time.
    let endless = active(&[("exp", None)]);
    answered(&policy, &mut store, "endless", Ok(&endless), NOW).unwrap();
    asks(&policy, &mut store, "endless", NOW + ACTIVE_FOR);
}

#[test]
fn remembering_can_be_left_out() {
    let mut policy = policy();
    let asked = policy.issuers[0].introspection.as_mut().unwrap();
    (asked.active_for, asked.inactive_for) = (0, 0);
    let mut store = store(&policy);
    let good = active(&[]);
    for _ in 0..3 {
        answered(&policy, &mut store, TOKEN, Ok(&good), NOW).unwrap();
        answered(&policy, &mut store, "bad", Ok("{\"active\":false}"), NOW).unwrap_err();
    }
}

#[test]
fn a_longest_lifetime_must_be_shown() {
    let mut policy = policy();
    policy.issuers[0].max_lifetime = Some(3600);
    let said = |changes: &[(&str, Option<Value>)]| {
        let answer = active(changes);
        answered(&policy, &mut store(&policy), TOKEN, Ok(&answer), NOW)
    };
    said(&[]).unwrap();
    for name in ["exp", "iat"] {
        assert!(said(&[(name, None)]).unwrap_err().is_fault(), "{name}");
    }
    assert_eq!(
        said(&[("exp", Some((SECONDS + 4000).into()))]),
        Err(Refusal::LifetimeTooLong)
    );
}

#[test]
fn a_token_belongs_to_the_client_that_the_policy_names() {
    let mut policy = policy();
    policy.issuers[0].consumer_claim = "sub".to_owned();
    policy.identities[0] = Identity {
        issuer: INLINE,
        client: Some("app".to_owned()),
        value: "somebody".to_owned(),
        consumer: 10,
    };
    let said = |changes: &[(&str, Option<Value>)]| {
        let answer = active(changes);
        answered(&policy, &mut store(&policy), TOKEN, Ok(&answer), NOW)
    };
    assert_eq!(said(&[]).unwrap().consumer, 10);
    for changes in [
        vec![("client_id", Some("other".into()))],
        vec![("client_id", None)],
        vec![("azp", Some("other".into()))],
    ] {
        let refused = said(&changes).unwrap_err();
        assert!(!refused.is_fault(), "{changes:?}: {refused:?}");
    }
}

#[test]
fn one_request_asks_about_a_token_and_others_look_again() {
    let policy = policy();
    let mut store = store(&policy);
    let authorization = format!("Bearer {TOKEN}");
    let head = Presented {
        authorization: Some(&authorization),
        ..Presented::default()
    };
    let ask = asks(&policy, &mut store, TOKEN, NOW);
    assert_eq!(begin(&policy, &mut store, &head, NOW), Outcome::Wait(20));
    assert_eq!(
        waited(&policy, &mut store, &head, 20, NOW + 20),
        Outcome::Wait(20)
    );
    // Whoever asks may never come back: its question is believed for a while, and no longer.
    let over = waited(&policy, &mut store, &head, 2_500, NOW + TIMEOUT + 500);
    assert!(matches!(over, Outcome::Introspect(_)), "{over:?}");
    // Nor is anybody kept for ever by a clock that stands; and of one token one is asked at a time, whoever waits.
    for _ in 0..3 {
        let patient = waited(&policy, &mut store, &head, 6_000, NOW + TIMEOUT + 500);
        let Outcome::Refused(refused) = patient else {
            panic!("{patient:?}");
        };
        assert!(
            refused.is_fault() && refused.reason().contains("has not answered"),
            "{refused:?}"
        );
    }
    // The first one's answer comes late after all: it is no end of the second one's question.
    let late = Err(Undecided::Late);
    introspected(&policy, &mut store, &ask.asked, late, NOW + TIMEOUT + 510).unwrap_err();
    assert_eq!(
        waited(&policy, &mut store, &head, 20, NOW + TIMEOUT + 520),
        Outcome::Wait(20)
    );
    let good = active(&[]);
    introspected(&policy, &mut store, &ask.asked, Ok(good.as_bytes()), NOW).unwrap();
    let known = waited(&policy, &mut store, &head, 20, NOW + 20);
    assert!(matches!(known, Outcome::Known(_)), "{known:?}");
}

#[test]
fn so_many_tokens_are_asked_about_at_one_time() {
    let policy = policy();
    let mut store = store(&policy);
    for n in 0..MAX_ASKED {
        asks(&policy, &mut store, &format!("token-{n}"), NOW);
    }
    let authorization = "Bearer one-more";
    let head = Presented {
        authorization: Some(authorization),
        ..Presented::default()
    };
    assert_eq!(begin(&policy, &mut store, &head, NOW), Outcome::Wait(20));
    let patient = waited(&policy, &mut store, &head, 6_000, NOW);
    let Outcome::Refused(refused) = patient else {
        panic!("{patient:?}");
    };
    assert!(
        refused.is_fault() && refused.reason().contains("as may be at one time"),
        "{refused:?}"
    );
    // Those that never came back are over.
    asks(&policy, &mut store, "one-more", NOW + TIMEOUT + 500);
}

#[test]
fn a_flood_of_bad_tokens_evicts_no_good_one_and_asks_no_more_than_is_stated() {
    let policy = policy();
    let mut store = store(&policy);
    let good = active(&[]);
    for n in 0..50 {
        answered(&policy, &mut store, &format!("good-{n}"), Ok(&good), NOW).unwrap();
    }
    let (mut asked, mut unavailable) = (0, 0);
    for n in 0..10_000_u64 {
        // Ten thousand in ten seconds.
        let now = NOW + n;
        match present(&policy, &mut store, &format!("bad-{n}"), now) {
            Outcome::Introspect(ask) => {
                asked += 1;
                let no = introspected(&policy, &mut store, &ask.asked, Ok(b"{\"active\":false}"), now);
                assert!(matches!(no, Err(Refusal::Inactive(_))));
            }
            Outcome::Refused(refusal) => {
                assert!(refusal.is_fault(), "{refusal:?}");
                unavailable += 1;
            }
            other => panic!("{other:?}"),
        }
    }
    // 100 a second, and 100 at one instant.
    assert_eq!((asked, unavailable), (100 + 999, 10_000 - 1_099));
    for n in 0..50 {
        let known = present(&policy, &mut store, &format!("good-{n}"), NOW + 10_000);
        assert!(matches!(known, Outcome::Known(_)), "{n}: {known:?}");
    }
    assert_eq!(store.cache.size().0, 50);
    // Whoever asked in vain has to wait a little, and no more.
    answered(&policy, &mut store, "new", Ok(&good), NOW + 10_100).unwrap();
}

/// Made-up tokens, until no more may be asked about at this instant.
fn flood(policy: &Compiled, store: &mut Store, now: u64) {
    for n in 0..101 {
        if let Outcome::Introspect(ask) = present(policy, store, &format!("bad-{n}-{now}"), now) {
            introspected(policy, store, &ask.asked, Ok(b"{\"active\":false}"), now).unwrap_err();
        }
    }
    shut_out(policy, store, "unknown", now);
}

/// Nobody is asked about this token, as too many were asked about in vain.
fn shut_out(policy: &Compiled, store: &mut Store, token: &str, now: u64) {
    let refused = present(policy, store, token, now);
    assert!(
        matches!(&refused, Outcome::Refused(refusal) if refusal.reason().contains("too many tokens")),
        "{token}: {refused:?}"
    );
}

#[test]
fn a_lasting_flood_shuts_out_no_token_that_was_active_lately() {
    let policy = policy();
    let mut store = store(&policy);
    let good = active(&[("exp", None)]);
    let inactive = "{\"active\":false}";
    for name in ["good", "ended", "silent"] {
        answered(&policy, &mut store, name, Ok(&good), NOW).unwrap();
    }
    // Each time that what is remembered of it is over, in the middle of a flood, it is asked about again.
    for times in 1..=3 {
        let now = NOW + times * (ACTIVE_FOR + 1_000);
        flood(&policy, &mut store, now);
        answered(&policy, &mut store, "good", Ok(&good), now).unwrap();
        // That was no reason to ask about one more that is not known.
        shut_out(&policy, &mut store, "unknown", now);
    }
    let now = NOW + 3 * (ACTIVE_FOR + 1_000);
    // What its issuer ends is told from made-up ones no longer.
    answered(&policy, &mut store, "ended", Ok(inactive), now).unwrap_err();
    flood(&policy, &mut store, now + INACTIVE_FOR);
    shut_out(&policy, &mut store, "ended", now + INACTIVE_FOR);
    // Nor is one for ever.
    let over = NOW + ACTIVE_FOR + LATELY;
    flood(&policy, &mut store, over - 1);
    asks(&policy, &mut store, "silent", over - 1);
    flood(&policy, &mut store, over + TIMEOUT + 500);
    shut_out(&policy, &mut store, "silent", over + TIMEOUT + 500);
}

#[test]
fn an_issuer_that_fails_is_asked_about_tokens_that_were_active_no_more_often_than_about_others() {
    let policy = policy();
    let mut store = store(&policy);
    let good = active(&[]);
    answered(&policy, &mut store, TOKEN, Ok(&good), NOW).unwrap();
    let from = NOW + ACTIVE_FOR;
    let mut asked = 0;
    for n in 0..10_000 {
        if let Outcome::Introspect(ask) = present(&policy, &mut store, TOKEN, from + n) {
            asked += 1;
            let failed = Err(Undecided::Status(500));
            introspected(&policy, &mut store, &ask.asked, failed, from + n).unwrap_err();
        }
    }
    assert_eq!(asked, 100 + 999);
    // When it answers again, the token is none that nobody knows.
    let later = from + 10_020;
    flood(&policy, &mut store, later);
    answered(&policy, &mut store, TOKEN, Ok(&good), later).unwrap();
}

#[test]
fn questions_that_find_a_good_token_are_not_counted() {
    let policy = policy();
    let mut store = store(&policy);
    let good = active(&[]);
    for n in 0..1_000 {
        answered(&policy, &mut store, &format!("good-{n}"), Ok(&good), NOW).unwrap();
    }
    let (entries, bytes) = store.cache.size();
    assert!(entries == 1_000 && bytes < 1 << 20, "{entries} {bytes}");
}

#[test]
fn of_one_bad_token_it_is_asked_once_in_a_while() {
    let policy = policy();
    let mut store = store(&policy);
    let mut asked = 0;
    for now in (NOW..NOW + 20_000).step_by(10) {
        if let Outcome::Introspect(ask) = present(&policy, &mut store, TOKEN, now) {
            asked += 1;
            introspected(&policy, &mut store, &ask.asked, Ok(b"{\"active\":false}"), now).unwrap_err();
        }
    }
    assert_eq!(asked, 4, "every five seconds");
}

#[test]
fn answers_of_another_policy_are_not_remembered() {
    let policy = policy();
    let mut old = store(&policy);
    let ask = asks(&policy, &mut old, TOKEN, NOW);
    let mut new = Store::new(&policy, &[8; 32], |_| None);
    let other = asks(&policy, &mut new, TOKEN, NOW);
    assert_ne!(ask.asked, other.asked, "its name holds the policy's hash");
    // An answer whose policy has no such issuer opens nothing.
    let none = super::policy();
    let good = active(&[]);
    introspected(
        &none,
        &mut super::store(&none),
        &ask.asked,
        Ok(good.as_bytes()),
        NOW,
    )
    .unwrap_err();
}

#[test]
fn a_reason_never_holds_the_token() {
    for answer in [
        "{}",
        "{\"active\":false}",
        "<html>opaque-0123456789",
        "{\"active\":true,\"iss\":\"x\"}",
    ] {
        let reason = once(answer).unwrap_err().reason().into_owned();
        assert!(!reason.contains(TOKEN), "{reason}");
    }
    let failed = answered(
        &policy(),
        &mut store(&policy()),
        TOKEN,
        Err(Undecided::Status(500)),
        NOW,
    );
    assert_eq!(
        failed.unwrap_err().reason(),
        Cow::Borrowed("the issuer `issuer-0` cannot be asked about the token: it answered 500")
    );
}
