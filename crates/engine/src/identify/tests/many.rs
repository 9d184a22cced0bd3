//! Many at once: requests that wait for keys which one of them fetches, keys that are fetched beside a request, and a
//! flood of bad tokens.

use serde_json::json;
use turnpike_policy::Algorithm::{ES256, EdDSA, HS256};

use super::super::cache;
use super::super::encoding::from_base64url;
use super::super::key_store::{COOL_DOWN, EARLY, FRESH};
use super::super::{Outcome, Part, Refusal, begin, due, refreshed, verified, waited};
use super::flow::{asks_for_keys, fetched, head, known, start, warm};
use super::*;

#[test]
fn others_wait_for_a_fetch_and_look_again() {
    let policy = policy();
    let mut store = store(&policy);
    let token = sign(ES256, &good(REMOTE));
    let authorization = format!("Bearer {token}");
    let head = head(&authorization);
    assert!(asks_for_keys(&begin(&policy, &mut store, &head, NOW)));
    for _ in 0..100 {
        assert_eq!(begin(&policy, &mut store, &head, NOW), Outcome::Wait(20));
    }
    // It grows with what was waited, to half a second.
    for (all, next) in [(20, 20), (40, 40), (320, 320), (640, 500), (5999, 500)] {
        assert_eq!(
            waited(&policy, &mut store, &head, all, NOW + 30),
            Outcome::Wait(next)
        );
    }
    // Keys are there: all go on, one after the other.
    let outcome = fetched(
        &policy,
        &mut store,
        Some(&jwks(&[ES256_PUBLIC])),
        &token,
        NOW + 40,
    );
    assert!(matches!(outcome, Outcome::Verify(_)));
    let outcome = waited(&policy, &mut store, &head, 40, NOW + 50);
    assert!(finish(&mut store, outcome, NOW + 50).is_ok());
}

#[test]
fn an_issuer_that_hangs_keeps_nobody_for_ever() {
    let policy = policy();
    let mut hung = store(&policy);
    let authorization = format!("Bearer {}", sign(ES256, &good(REMOTE)));
    let head = head(&authorization);
    assert!(asks_for_keys(&begin(&policy, &mut hung, &head, NOW)));
    let unavailable =
        |outcome: &Outcome| matches!(outcome, Outcome::Refused(Refusal::KeysUnavailable { .. }));
    // With a clock that stands, a request is refused when it has waited as long as a claim stands.
    let (mut all, mut looks) = (0, 0);
    let last = loop {
        match waited(&policy, &mut hung, &head, all, NOW) {
            Outcome::Wait(ms) => all += ms,
            other => break other,
        }
        looks += 1;
    };
    assert!(unavailable(&last), "{last:?}");
    assert!(all < 6500 && looks < 25, "{all} ms, {looks} looks");
    // With one that goes, one request after the other takes the claim of the one before, never two at a time.
    let mut hung = store(&policy);
    let mut fetches = Vec::new();
    let mut waiting: Vec<u64> = vec![0; 50];
    for now in (NOW..NOW + 30_000).step_by(500) {
        for all in &mut waiting {
            match waited(&policy, &mut hung, &head, *all, now) {
                Outcome::Wait(_) => *all += 500,
                Outcome::FetchKeys(_) => {
                    fetches.push(now - NOW);
                    *all = 0;
                }
                other => {
                    assert!(unavailable(&other), "{other:?}");
                    // And somebody else comes.
                    *all = 0;
                }
            }
        }
    }
    assert_eq!(fetches, [0, 6000, 12_000, 18_000, 24_000]);
}

#[test]
fn keys_are_refreshed_beside_a_request() {
    let policy = policy();
    let (mut store, token) = warm(&policy, NOW);
    assert_eq!(due(&policy, &mut store, NOW), None);
    let early = NOW + FRESH - EARLY;
    // Of a token that is known, and of one that must be verified: neither waits.
    for other in [
        token.clone(),
        sign(ES256, &claims(REMOTE, &[("sub", Some(json!("new")))])),
    ] {
        let mut store = warm(&policy, NOW).0;
        if other == token {
            assert!(known(&start(&policy, &mut store, &other, early)));
        } else {
            assert!(matches!(
                start(&policy, &mut store, &other, early),
                Outcome::Verify(_)
            ));
        }
        let ask = due(&policy, &mut store, early).expect("it is time");
        assert_eq!(
            (ask.issuer, ask.part, ask.url.as_str()),
            (REMOTE, Part::Keys, KEYS_URL)
        );
        assert_eq!(due(&policy, &mut store, early), None, "told once");
        assert!(known(&start(&policy, &mut store, &token, early)));
        assert_eq!(due(&policy, &mut store, early), None, "and claimed once");
        // So that nobody waits when their time would have been over.
        let answer = jwks(&[ES256_PUBLIC]);
        let next = refreshed(
            &policy,
            &mut store,
            (REMOTE, Part::Keys),
            Some(answer.as_bytes()),
            early,
        );
        assert_eq!(next, None);
        assert!(known(&start(&policy, &mut store, &token, NOW + FRESH)));
    }
    // One that fails takes nothing away, and is tried again.
    assert!(known(&start(&policy, &mut store, &token, early)));
    assert!(due(&policy, &mut store, early).is_some());
    assert_eq!(
        refreshed(&policy, &mut store, (REMOTE, Part::Keys), None, early),
        None
    );
    assert!(known(&start(&policy, &mut store, &token, early + COOL_DOWN)));
    assert!(due(&policy, &mut store, early + COOL_DOWN).is_some());
    // A secret and keys of the policy's own are never asked for.
    assert!(identify(&policy, &mut store, &sign(HS256, &good(SECRET)), NOW).is_ok());
    assert_eq!(due(&policy, &mut store, NOW), None);
}

/// Ten thousand tokens, none like another, and each wrong in its own way.
fn bad_tokens() -> Vec<String> {
    let good = [
        sign(HS256, &good(SECRET)),
        sign(ES256, &good(REMOTE)),
        sign(EdDSA, &good(INLINE)),
    ];
    let wrong = |n: usize| {
        let number = u32::try_from(n).unwrap().to_le_bytes();
        let token = &good[n % good.len()];
        let (input, signature) = token.rsplit_once('.').unwrap();
        let (header, payload) = input.split_once('.').unwrap();
        match n / good.len() % 5 {
            // Another signature, another key's name, other claims, another issuer, no token at all.
            0 => {
                let mut bytes = from_base64url(signature).unwrap();
                bytes
                    .iter_mut()
                    .zip(number)
                    .for_each(|(byte, other)| *byte ^= other ^ 0x55);
                format!("{input}.{}", base64url(&bytes))
            }
            1 => {
                let header = format!(r#"{{"alg":"ES256","kid":"{n}"}}"#);
                sign_raw(ES256, &header, &super::good(REMOTE).to_string())
            }
            2 => {
                let other = claims(SECRET, &[("sub", Some(json!(format!("{n}"))))]).to_string();
                format!("{header}.{}.{signature}", base64url(other.as_bytes()))
            }
            3 => sign(
                HS256,
                &claims(SECRET, &[("iss", Some(json!(format!("https://{n}.example/"))))]),
            ),
            _ => format!("{header}.{payload}{n}.{signature}"),
        }
    };
    (0..10_000).map(wrong).collect()
}

#[test]
fn a_flood_of_bad_tokens_evicts_nothing() {
    let policy = policy();
    let (mut store, remote) = warm(&policy, NOW);
    // A cache that is full to its last entry.
    let claims = |n: usize| claims(SECRET, &[("sub", Some(json!(format!("somebody-{n}"))))]);
    let mut remembered: Vec<String> = (0..cache::MAX_ENTRIES - 1)
        .map(|n| sign(HS256, &claims(n)))
        .collect();
    for token in &remembered {
        assert!(identify(&policy, &mut store, token, NOW).is_ok());
    }
    remembered.push(remote);
    let before = store.cache.size();
    assert_eq!(before.0, cache::MAX_ENTRIES);
    assert!(before.1 <= cache::MAX_BYTES);
    let bad = bad_tokens();
    let different: std::collections::BTreeSet<&String> = bad.iter().collect();
    assert_eq!(different.len(), bad.len());
    let (mut fetches, mut looked) = (0, 0);
    for (n, token) in bad.iter().enumerate() {
        // One in 10 ms: more than three times the cool-down in all.
        let now = NOW + 10 * u64::try_from(n).unwrap();
        match start(&policy, &mut store, token, now) {
            Outcome::Refused(_) => {}
            Outcome::Verify(ask) => {
                looked += 1;
                let outcome = verified(&mut store, ask.pending, false, now);
                assert!(matches!(outcome, Outcome::Refused(_)), "{outcome:?}");
            }
            Outcome::FetchKeys(_) => {
                fetches += 1;
                let answer = jwks(&[ES256_PUBLIC]);
                let outcome = fetched(&policy, &mut store, Some(&answer), token, now);
                assert!(matches!(outcome, Outcome::Refused(_)), "{outcome:?}");
            }
            other => panic!("{n}: {other:?}"),
        }
    }
    assert!(looked > 1000, "{looked} signatures were looked at");
    assert_eq!(fetches, 3, "one in thirty seconds");
    assert_eq!(store.cache.size(), before, "nothing came in, and nothing went");
    for token in &remembered {
        assert!(known(&start(&policy, &mut store, token, NOW + 100_000)));
    }
}
