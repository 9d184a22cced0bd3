//! Keys that are found by an issuer's metadata, and issuers whose metadata must not be believed.

use serde_json::json;
use turnpike_policy::Algorithm::ES256;

use super::super::key_store::{EARLY, FOUND, FRESH, RETRY, STALE};
use super::super::metadata::keys_url;
use super::super::{Outcome, Part, Presented, Refusal, begin, keys_fetched};
use super::flow::without_a_copy;
use super::*;

const METADATA: &str = "https://url.example/.well-known/openid-configuration";

fn discovering() -> Compiled {
    let mut policy = policy();
    policy.issuers[REMOTE as usize].keys = Keys::Discovered {
        url: METADATA.to_owned(),
        origins: vec!["https://keys.example".to_owned()],
    };
    policy
}

fn metadata(issuer: &str, keys: &str) -> String {
    json!({ "issuer": issuer, "jwks_uri": keys, "id_token_signing_alg_values_supported": ["none"] })
        .to_string()
}

/// What is asked for next, and where.
fn asked(outcome: &Outcome) -> Option<(Part, &str)> {
    match outcome {
        Outcome::FetchKeys(ask) => Some((ask.part, ask.url.as_str())),
        _ => None,
    }
}

struct Caller<'a> {
    policy: &'a Compiled,
    store: Store,
    authorization: String,
}

impl Caller<'_> {
    fn head(&self) -> Presented<'_> {
        Presented {
            authorization: Some(&self.authorization),
            ..Presented::default()
        }
    }

    fn begin(&mut self, now: u64) -> Outcome {
        let authorization = self.authorization.clone();
        let head = Presented {
            authorization: Some(&authorization),
            ..Presented::default()
        };
        begin(self.policy, &mut self.store, &head, now)
    }

    fn answer(&mut self, part: Part, answer: Option<&str>, now: u64) -> Outcome {
        let authorization = self.head().authorization.unwrap().to_owned();
        let head = Presented {
            authorization: Some(&authorization),
            ..Presented::default()
        };
        let answer = answer.map(str::as_bytes);
        let outcome = keys_fetched(self.policy, &mut self.store, (REMOTE, part), answer, &head, now);
        without_a_copy(self.policy, &mut self.store, outcome, &head, now)
    }
}

fn with_token(policy: &Compiled) -> Caller<'_> {
    // Long enough for all that is tried.
    let token = sign(ES256, &claims(REMOTE, &[("exp", Some(json!(SECONDS + 3500)))]));
    Caller {
        policy,
        store: store(policy),
        authorization: format!("Bearer {token}"),
    }
}

#[test]
fn metadata_first_then_the_keys_where_they_say() {
    let policy = discovering();
    let mut one = with_token(&policy);
    assert_eq!(asked(&one.begin(NOW)), Some((Part::Metadata, METADATA)));
    let found = one.answer(
        Part::Metadata,
        Some(&metadata(ISSUERS[2], "https://url.example/k?v=1")),
        NOW,
    );
    assert_eq!(asked(&found), Some((Part::Keys, "https://url.example/k?v=1")));
    let outcome = one.answer(Part::Keys, Some(&jwks(&[ES256_PUBLIC])), NOW);
    assert!(matches!(outcome, Outcome::Verify(_)), "{outcome:?}");
    // Fresh keys, later stale ones: where they are is still known, and then asked for anew.
    assert!(matches!(one.begin(NOW + FRESH - EARLY - 1), Outcome::Verify(_)));
    assert_eq!(
        asked(&one.begin(NOW + FRESH)),
        Some((Part::Keys, "https://url.example/k?v=1"))
    );
    // A failure there asks the metadata next time: the keys may have moved.
    assert!(matches!(
        one.answer(Part::Keys, None, NOW + FRESH),
        Outcome::Verify(_)
    ));
    let again = NOW + FRESH + 30_000;
    assert_eq!(asked(&one.begin(again)), Some((Part::Metadata, METADATA)));
    let moved = one.answer(
        Part::Metadata,
        Some(&metadata(ISSUERS[2], "https://keys.example/k")),
        again,
    );
    assert_eq!(asked(&moved), Some((Part::Keys, "https://keys.example/k")));
    assert!(matches!(
        one.answer(Part::Keys, Some(&jwks(&[ES256_PUBLIC])), again),
        Outcome::Verify(_)
    ));
    assert_eq!(
        FOUND, STALE,
        "metadata are asked for again before stale keys would be used without"
    );
}

#[test]
fn useless_metadata_are_a_failed_fetch() {
    let policy = discovering();
    let own = metadata(ISSUERS[2], "https://url.example/k");
    for useless in [
        None,
        Some(String::new()),
        Some("[]".to_owned()),
        Some("{}".to_owned()),
        Some(metadata("https://url.example", "https://url.example/k")),
        Some(metadata("https://evil.example/", "https://url.example/k")),
        Some(metadata(ISSUERS[2], "https://evil.example/k")),
        Some(own.replace("\"issuer\"", "\"issuer\":\"x\",\"issuer\"")),
        Some(format!("{own}{}", " ".repeat(256 * 1024))),
    ] {
        let mut one = with_token(&policy);
        assert_eq!(asked(&one.begin(NOW)), Some((Part::Metadata, METADATA)));
        let outcome = one.answer(Part::Metadata, useless.as_deref(), NOW);
        let unavailable = matches!(outcome, Outcome::Refused(Refusal::KeysUnavailable { .. }));
        assert!(unavailable, "{useless:?} {outcome:?}");
        // No hammering, and keys that are known stay.
        assert!(matches!(one.begin(NOW + RETRY - 1), Outcome::Refused(_)));
        assert_eq!(asked(&one.begin(NOW + RETRY)), Some((Part::Metadata, METADATA)));
        one.answer(Part::Metadata, Some(&own), NOW + RETRY);
        let known = NOW + RETRY;
        assert!(matches!(
            one.answer(Part::Keys, Some(&jwks(&[ES256_PUBLIC])), known),
            Outcome::Verify(_)
        ));
        one.store.keys.discovered(
            REMOTE,
            &policy.issuers[2],
            (useless.as_deref().map(str::as_bytes), 0),
            known,
        );
        assert!(matches!(one.begin(known + FRESH - 1), Outcome::Verify(_)));
    }
    // An answer to a question that was not asked of such an issuer.
    for issuer in [INLINE, SECRET, 3] {
        let mut one = with_token(&policy);
        let rules = &policy.issuers[2];
        assert!(
            !one.store
                .keys
                .discovered(issuer, rules, (Some(own.as_bytes()), 0), NOW)
        );
    }
}

#[test]
fn where_keys_may_be() {
    let origins = [
        "https://keys.example".to_owned(),
        "https://other.example:8443".to_owned(),
    ];
    let find = |url: &str| {
        let metadata = json!({ "issuer": "i", "jwks_uri": url }).to_string();
        keys_url(
            metadata.as_bytes(),
            "i",
            "https://own.example/.well-known/x",
            &origins,
        )
    };
    for right in [
        "https://own.example/k",
        "https://own.example:443/k",
        "https://OWN.example/k",
        "https://own.example",
        "https://own.example?k",
        "https://keys.example/a/../b",
        "https://other.example:8443/k",
    ] {
        assert_eq!(find(right).as_deref(), Ok(right));
    }
    for wrong in [
        "",
        "/k",
        "k",
        "//own.example/k",
        "http://own.example/k",
        "ftp://own.example/k",
        "https://own.example:8443/k",
        "https://other.example/k",
        "https://evil.example/k",
        "https://own.example.evil.example/k",
        "https://evil.example/https://own.example/",
        "https://own.example@evil.example/k",
        "https://evil.example#https://own.example/",
        "https://evil.example\\@own.example/k",
        "https://own.example\\.evil.example/k",
        "https://own.example%2eevil.example/k",
        "https://own.example /k",
        "https://own.example\t/k",
        "https://169.254.169.254/latest/meta-data",
        "file:///etc/passwd",
        "https:///k",
    ] {
        assert!(find(wrong).is_err(), "{wrong}");
    }
    for other in [json!(null), json!(7), json!(["https://own.example/k"])] {
        let metadata = json!({ "issuer": "i", "jwks_uri": other }).to_string();
        assert!(keys_url(metadata.as_bytes(), "i", "https://own.example/x", &origins).is_err());
    }
}
