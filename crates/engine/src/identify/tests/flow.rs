use serde_json::json;
use turnpike_policy::{
    Algorithm::{ES256, EdDSA, HS256, HS512, RS256},
    Compiled,
};

use super::super::key_store::{CLAIM, COOL_DOWN, EARLY, FRESH, RETRY, STALE};
use super::super::{
    CredentialKind, Outcome, Part, Presented, Principal, Refusal, Store, begin, keys_fetched, verified,
    waited,
};
use super::*;

pub(super) fn head(authorization: &str) -> Presented<'_> {
    Presented {
        authorization: Some(authorization),
        ..Presented::default()
    }
}

pub(super) fn start(policy: &Compiled, store: &mut Store, token: &str, now: u64) -> Outcome {
    let authorization = format!("Bearer {token}");
    let head = Presented {
        authorization: Some(&authorization),
        ..Presented::default()
    };
    begin(policy, store, &head, now)
}

pub(super) fn fetched(
    policy: &Compiled,
    store: &mut Store,
    answer: Option<&str>,
    token: &str,
    now: u64,
) -> Outcome {
    let authorization = format!("Bearer {token}");
    let head = Presented {
        authorization: Some(&authorization),
        ..Presented::default()
    };
    let answer = answer.map(str::as_bytes);
    let outcome = keys_fetched(policy, store, (REMOTE, Part::Keys), answer, &head, now);
    without_a_copy(policy, store, outcome, &head, now)
}

/// Where a copy is looked for, as what was answered is of no use: there is none.
pub(super) fn without_a_copy(
    policy: &Compiled,
    store: &mut Store,
    outcome: Outcome,
    head: &Presented<'_>,
    now: u64,
) -> Outcome {
    match outcome {
        Outcome::FetchKeys(ask) if ask.copies.only => {
            keys_fetched(policy, store, (ask.issuer, ask.part), None, head, now)
        }
        other => other,
    }
}

pub(super) fn known(outcome: &Outcome) -> bool {
    matches!(outcome, Outcome::Known(_))
}

pub(super) fn asks_for_keys(outcome: &Outcome) -> bool {
    matches!(outcome, Outcome::FetchKeys(ask)
        if ask.issuer == REMOTE && ask.url == KEYS_URL && ask.max == 256 * 1024)
}

/// A store whose remote keys were fetched at a time, and a token of theirs that is in the cache.
pub(super) fn warm(policy: &Compiled, now: u64) -> (Store, String) {
    let mut store = store(policy);
    let token = sign(ES256, &claims(REMOTE, &[("exp", Some(json!(now / 1000 + 3590)))]));
    assert!(asks_for_keys(&start(policy, &mut store, &token, now)));
    let outcome = fetched(policy, &mut store, Some(&jwks(&[ES256_PUBLIC])), &token, now);
    assert!(matches!(outcome, Outcome::Verify(_)));
    finish(&mut store, outcome, now).unwrap();
    assert!(known(&start(policy, &mut store, &token, now)));
    (store, token)
}

#[test]
fn a_token_is_verified_once() {
    let policy = policy();
    for algorithm in [ES256, EdDSA] {
        let mut store = store(&policy);
        let token = sign(algorithm, &good(INLINE));
        let outcome = start(&policy, &mut store, &token, NOW);
        let Outcome::Verify(ask) = &outcome else {
            panic!("{outcome:?}")
        };
        assert_eq!(ask.algorithm, algorithm);
        assert_eq!(ask.signature.len(), 64);
        assert!(token.starts_with(std::str::from_utf8(&ask.signing_input).unwrap()));
        // Not yet: nothing is remembered before the signature is right.
        assert!(matches!(
            start(&policy, &mut store, &token, NOW),
            Outcome::Verify(_)
        ));
        let principal = finish(&mut store, outcome, NOW).unwrap();
        assert_eq!(start(&policy, &mut store, &token, NOW), Outcome::Known(principal));
        // What is remembered still expires: 600 s and a skew of 30.
        assert!(known(&start(&policy, &mut store, &token, NOW + 629_999)));
        let late = start(&policy, &mut store, &token, NOW + 630_000);
        assert_eq!(late, Outcome::Refused(Refusal::Expired));
    }
}

#[test]
fn a_wrong_signature_is_refused_and_not_remembered() {
    let policy = policy();
    let mut store = store(&policy);
    let token = sign(ES256, &good(INLINE));
    let Outcome::Verify(ask) = start(&policy, &mut store, &token, NOW) else {
        panic!()
    };
    let refused = verified(&mut store, ask.pending.clone(), false, NOW);
    assert_eq!(refused, Outcome::Refused(Refusal::SignatureInvalid));
    assert!(matches!(
        start(&policy, &mut store, &token, NOW),
        Outcome::Verify(_)
    ));
    // A verification that took until after the expiry.
    assert_eq!(
        verified(&mut store, ask.pending, true, NOW + 700_000),
        Outcome::Refused(Refusal::Expired)
    );
    // Another's signature; nulls (CVE-2022-21449); DER, too long, too short, none.
    let other = sign(ES256, &claims(INLINE, &[("sub", Some(json!("other")))]));
    let (input, _) = token.rsplit_once('.').unwrap();
    let (_, foreign) = other.rsplit_once('.').unwrap();
    let mut half = [7; 64];
    half[..32].fill(0);
    let mut rest = [7; 64];
    rest[32..].fill(0);
    for signature in [
        foreign.to_owned(),
        base64url(&[0; 64]),
        base64url(&half),
        base64url(&rest),
        base64url(&[0x30; 70]),
        base64url(&[7; 63]),
        base64url(&[7; 65]),
        base64url(&[7; 128]),
        String::new(),
    ] {
        let found = identify(&policy, &mut store, &format!("{input}.{signature}"), NOW);
        assert_eq!(found, Err(Refusal::SignatureInvalid), "{signature}");
    }
}

#[test]
fn hmac_by_secret() {
    let policy = policy();
    for algorithm in [HS256, HS512] {
        let token = sign(algorithm, &good(SECRET));
        let mut ready = store(&policy);
        assert!(known(&start(&policy, &mut ready, &token, NOW)));
        assert!(known(&start(&policy, &mut ready, &token, NOW)));
        let mut other = Store::new(&policy, &[7; 32], |_| Some(vec![1; 64]));
        let refused = Outcome::Refused(Refusal::SignatureInvalid);
        assert_eq!(start(&policy, &mut other, &token, NOW), refused);
    }
    for (algorithm, secret) in [
        (HS256, None),
        (HS256, Some(&MAC_KEY[..31])),
        (HS256, Some(&[][..])),
        (HS512, Some(&MAC_KEY[..63])),
    ] {
        let mut store = Store::new(&policy, &[7; 32], |_| secret.map(<[u8]>::to_vec));
        let outcome = start(&policy, &mut store, &sign(algorithm, &good(SECRET)), NOW);
        let Outcome::Refused(refusal) = outcome else {
            panic!("{outcome:?}")
        };
        assert!(matches!(&refusal, Refusal::SecretMissing { secret, .. } if secret == "MAC"));
        assert!(refusal.is_fault() && refusal.reason().contains("`MAC`"));
    }
    // Another issuer's secret is not asked for.
    let _ = Store::new(&policy, &[7; 32], |name| {
        assert_eq!(name, "MAC");
        None
    });
}

#[test]
fn the_public_key_is_no_hmac_secret() {
    // Whatever the policy lists: the checker forbids the mixture, and this does not rely on it.
    let mut policy = policy();
    policy.issuers[INLINE as usize].algorithms = vec![HS256, ES256];
    let mut store = Store::new(&policy, &[7; 32], |_| Some(MAC_KEY.to_vec()));
    let found = identify(&policy, &mut store, &sign(HS256, &good(INLINE)), NOW);
    assert!(matches!(found, Err(Refusal::AlgorithmNotAllowed(_))), "{found:?}");
    // A token names a key of one algorithm and claims another.
    let token = sign_raw(EdDSA, r#"{"alg":"EdDSA","kid":"ec"}"#, &good(REMOTE).to_string());
    let (mut store, _) = warm(&policy, NOW);
    let found = identify(&policy, &mut store, &token, NOW);
    assert!(matches!(found, Err(Refusal::AlgorithmNotAllowed(_))), "{found:?}");
}

#[test]
pub(super) fn keys_of_one_issuer_serve_no_other() {
    // CVE-2026-49998: a cache by key name only.
    let policy = policy();
    let (mut store, _) = warm(&policy, NOW);
    let answer = jwks(&[&ED25519_PUBLIC.replace("\"ed\"", "\"only-there\"")]);
    store.keys.fetched(REMOTE, Some(answer.as_bytes()), NOW);
    let header = r#"{"alg":"EdDSA","kid":"only-there"}"#;
    let there = sign_raw(EdDSA, header, &good(REMOTE).to_string());
    assert!(identify(&policy, &mut store, &there, NOW).is_ok());
    let here = sign_raw(EdDSA, header, &good(INLINE).to_string());
    let found = identify(&policy, &mut store, &here, NOW);
    assert!(matches!(found, Err(Refusal::KeyUnknown(_))), "{found:?}");
}

#[test]
fn api_keys() {
    let policy = policy();
    let mut store = store(&policy);
    let mut with = |key: &str, now| {
        begin(
            &policy,
            &mut store,
            &Presented {
                x_api_key: Some(key),
                ..Presented::default()
            },
            now,
        )
    };
    let principal = Principal {
        claims: Vec::new(),
        consumer: 1,
        issuer: None,
        subject: "trial".to_owned(),
        scopes: vec!["pets:read".to_owned()],
        credential: CredentialKind::Key,
        expires: None,
    };
    assert_eq!(with(API_KEY, NOW), Outcome::Known(principal));
    for n in 0..20 {
        assert!(known(&with(&format!("tpk_other_{n}"), NOW)));
    }
    let unknown = Outcome::Refused(Refusal::KeyRevokedOrUnknown);
    assert_eq!(with("tpk_other_20", NOW), unknown);
    assert_eq!(with(API_KEY.strip_suffix('j').unwrap(), NOW), unknown);
    assert!(known(&with(DATED_KEY, NOW - 1)));
    assert_eq!(with(DATED_KEY, NOW), Outcome::Refused(Refusal::KeyExpired));
    let nothing = Compiled::default();
    let mut empty = Store::new(&nothing, &[0; 32], |_| None);
    let head = Presented {
        api_key: Some(API_KEY),
        ..Presented::default()
    };
    assert_eq!(begin(&nothing, &mut empty, &head, NOW), unknown);
    let token = start(&nothing, &mut empty, &sign(HS256, &good(SECRET)), NOW);
    assert!(matches!(token, Outcome::Refused(Refusal::UnknownIssuer(_))));
}

#[test]
fn keys_are_fetched_only_for_a_token_that_would_pass() {
    let policy = policy();
    let mut store = store(&policy);
    for wrong in [
        claims(REMOTE, &[("aud", None)]),
        claims(REMOTE, &[("exp", Some(json!(SECONDS - 100)))]),
    ] {
        let outcome = start(&policy, &mut store, &sign(ES256, &wrong), NOW);
        assert!(matches!(outcome, Outcome::Refused(_)), "{outcome:?}");
    }
    // Nor does a token say from where (CVE-2026-32301, CVE-2025-24976).
    let header = r#"{"alg":"ES256","kid":"ec","jku":"https://evil.example/"}"#;
    let token = sign_raw(ES256, header, &good(REMOTE).to_string());
    assert!(asks_for_keys(&start(&policy, &mut store, &token, NOW)));
}

#[test]
fn keys_that_cannot_be_had() {
    let policy = policy();
    let mut store = store(&policy);
    let token = sign(ES256, &good(REMOTE));
    for answer in [None, Some(""), Some("{\"keys\":[]}"), Some("<html>")] {
        let outcome = fetched(&policy, &mut store, answer, &token, NOW);
        let Outcome::Refused(refusal) = outcome else {
            panic!("{outcome:?}")
        };
        assert!(matches!(&refusal, Refusal::KeysUnavailable { issuer, .. } if issuer == "issuer-2"));
        assert!(refusal.is_fault());
    }
    assert!(matches!(
        start(&policy, &mut store, &token, NOW),
        Outcome::Refused(_)
    ));
    assert!(asks_for_keys(&start(&policy, &mut store, &token, NOW + RETRY)));
    // Other issuers are none the worse.
    assert!(identify(&policy, &mut store, &sign(ES256, &good(INLINE)), NOW).is_ok());
}

#[test]
fn a_known_token_outlives_an_unchanged_set() {
    let policy = policy();
    let (mut store, token) = warm(&policy, NOW);
    assert!(known(&start(
        &policy,
        &mut store,
        &token,
        NOW + FRESH - EARLY - 1
    )));
    let old = NOW + FRESH;
    assert!(asks_for_keys(&start(&policy, &mut store, &token, old)));
    // Meanwhile others go on, unverified only because verified before.
    assert!(known(&start(&policy, &mut store, &token, old)));
    let same = jwks(&["{}", ES256_PUBLIC]);
    assert!(known(&fetched(&policy, &mut store, Some(&same), &token, old)));
    assert!(known(&start(
        &policy,
        &mut store,
        &token,
        old + FRESH - EARLY - 1
    )));
    // A failure is bridged, and not for ever.
    let older = old + FRESH;
    assert!(asks_for_keys(&start(&policy, &mut store, &token, older)));
    assert!(known(&fetched(&policy, &mut store, None, &token, older)));
    assert!(known(&start(&policy, &mut store, &token, older)));
    let mut left = store;
    let last = old + STALE - 1;
    let fresh = sign(
        ES256,
        &claims(
            REMOTE,
            &[
                ("iat", Some(json!(last / 1000))),
                ("exp", Some(json!(last / 1000 + 600))),
            ],
        ),
    );
    assert!(asks_for_keys(&start(&policy, &mut left, &fresh, last)));
    assert!(matches!(
        fetched(&policy, &mut left, None, &fresh, last),
        Outcome::Verify(_)
    ));
    let gone = fetched(&policy, &mut left, None, &fresh, last + 1);
    assert!(
        matches!(gone, Outcome::Refused(Refusal::KeysUnavailable { .. })),
        "{gone:?}"
    );
}

#[test]
pub(super) fn a_withdrawn_key_takes_its_tokens_along() {
    // CVE-2025-22149.
    let policy = policy();
    let (mut store, token) = warm(&policy, NOW);
    let old = NOW + FRESH;
    assert!(asks_for_keys(&start(&policy, &mut store, &token, old)));
    let outcome = fetched(&policy, &mut store, Some(&jwks(&[ED25519_PUBLIC])), &token, old);
    assert!(
        matches!(outcome, Outcome::Refused(Refusal::KeyUnknown(_))),
        "{outcome:?}"
    );
    assert!(matches!(
        start(&policy, &mut store, &token, old),
        Outcome::Refused(_)
    ));
    // The same name, another key: what was remembered is verified again, and fails.
    let (mut store, token) = warm(&policy, NOW);
    let renamed = ES256_PUBLIC.replace(
        "f83OJ3D2xF1Bg8vub9tLe1gHMzV76e8Tus9uPHvRVEU",
        &base64url(&[9; 32]),
    );
    let outcome = fetched(&policy, &mut store, Some(&jwks(&[&renamed])), &token, old);
    assert_eq!(finish(&mut store, outcome, old), Err(Refusal::SignatureInvalid));
}

#[test]
fn a_set_that_changes_while_a_signature_is_verified() {
    let policy = policy();
    let (mut store, _) = warm(&policy, NOW);
    let token = sign(ES256, &claims(REMOTE, &[("sub", Some(json!("second")))]));
    let Outcome::Verify(ask) = start(&policy, &mut store, &token, NOW) else {
        panic!()
    };
    store.keys.fetched(
        REMOTE,
        Some(jwks(&[ES256_PUBLIC, ED25519_PUBLIC]).as_bytes()),
        NOW,
    );
    assert!(known(&verified(&mut store, ask.pending, true, NOW)));
    // It is not remembered: the new set was never asked.
    assert!(matches!(
        start(&policy, &mut store, &token, NOW),
        Outcome::Verify(_)
    ));
}

#[test]
fn an_unknown_key_name_costs_one_fetch() {
    let policy = policy();
    let (mut store, good_token) = warm(&policy, NOW);
    let token = sign_raw(EdDSA, r#"{"alg":"EdDSA","kid":"new"}"#, &good(REMOTE).to_string());
    let unknown = |outcome| matches!(outcome, Outcome::Refused(Refusal::KeyUnknown(_)));
    assert!(unknown(start(&policy, &mut store, &token, NOW + COOL_DOWN - 1)));
    let later = NOW + COOL_DOWN;
    assert!(asks_for_keys(&start(&policy, &mut store, &token, later)));
    // A flood of them costs nothing more, and nobody else anything.
    for n in 0..1000 {
        let header = format!(r#"{{"alg":"EdDSA","kid":"{n}"}}"#);
        let flood = sign_raw(EdDSA, &header, &good(REMOTE).to_string());
        // They wait for what comes of it, and no longer than that may take.
        assert_eq!(start(&policy, &mut store, &flood, later), Outcome::Wait(20));
        let authorization = format!("Bearer {flood}");
        let impatient = waited(&policy, &mut store, &head(&authorization), CLAIM, later);
        assert!(unknown(impatient));
        assert!(known(&start(&policy, &mut store, &good_token, later)));
    }
    // An answer without it, even after a long time, does not lead to another question.
    let answer = jwks(&[ES256_PUBLIC]);
    assert!(unknown(fetched(
        &policy,
        &mut store,
        Some(&answer),
        &token,
        later + 10 * COOL_DOWN
    )));
    let rotated = jwks(&[ES256_PUBLIC, &ED25519_PUBLIC.replace("\"ed\"", "\"new\"")]);
    let outcome = fetched(&policy, &mut store, Some(&rotated), &token, later);
    assert!(finish(&mut store, outcome, later).is_ok());
}

#[test]
fn the_length_of_an_rsa_signature_is_that_of_its_key() {
    let policy = policy();
    let mut store = store(&policy);
    let mut modulus = vec![0xa5; 384];
    modulus[383] = 1;
    let key = format!(
        r#"{{"kty":"RSA","kid":"rsa","e":"AQAB","n":"{}"}}"#,
        base64url(&modulus)
    );
    store.keys.fetched(REMOTE, Some(jwks(&[&key]).as_bytes()), NOW);
    let short = sign(RS256, &good(REMOTE));
    let refused = Outcome::Refused(Refusal::SignatureInvalid);
    assert_eq!(start(&policy, &mut store, &short, NOW), refused);
    let (input, _) = short.rsplit_once('.').unwrap();
    let long = format!("{input}.{}", base64url(&[1; 384]));
    assert!(matches!(
        start(&policy, &mut store, &long, NOW),
        Outcome::Verify(_)
    ));
}

#[test]
fn reasons_hold_no_control_characters_of_clients() {
    let Err(refusal) = once(&sign(
        HS256,
        &claims(SECRET, &[("iss", Some(json!(format!("a\n{}", "b".repeat(500)))))]),
    )) else {
        panic!()
    };
    let reason = refusal.reason();
    assert!(reason.len() < 200 && !reason.contains('\n'), "{reason}");
}
