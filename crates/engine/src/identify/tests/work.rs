//! What is known and what is not, what is right and what is wrong cost the same operations. They are counted where
//! they are done, and not timed.

use std::collections::BTreeMap;

use serde_json::json;
use turnpike_policy::Algorithm::{ES256, EdDSA, HS256, HS512};

use super::super::work::{Work, noted};
use super::*;

/// How often each operation was done, and what was asked of the outside.
type Bill = (BTreeMap<Work, usize>, &'static str);

/// What it costs a fresh gateway to answer a head, up to the answer or to the first question of the outside.
fn bill(policy: &Compiled, head: &Presented<'_>) -> (Bill, Outcome) {
    let mut store = store(policy);
    noted();
    let outcome = begin(policy, &mut store, head, NOW);
    let asks = match &outcome {
        Outcome::Known(_) | Outcome::Refused(_) => "nothing",
        Outcome::Verify(_) => "a signature",
        Outcome::Proven(_) => "whether a proof is new",
        Outcome::FetchKeys(_) => "keys",
        Outcome::Introspect(_) => "to ask",
        Outcome::Wait(_) => "to wait",
    };
    let mut counts = BTreeMap::new();
    for work in noted() {
        *counts.entry(work).or_default() += 1;
    }
    ((counts, asks), outcome)
}

fn key(value: &str) -> Presented<'_> {
    Presented {
        x_api_key: Some(value),
        ..Presented::default()
    }
}

#[test]
fn keys_right_wrong_known_and_unknown_cost_the_same() {
    for count in [0, 1, 2, 3, 7, 8, 22] {
        let mut policy = policy();
        policy.keys.truncate(count);
        let right: Vec<[u8; 32]> = policy.keys.iter().map(|key| key.sha256).collect();
        let known = |text: &str| right.contains(&Sha256::digest(text).into());
        let (mut bills, mut passed) = (Vec::new(), 0);
        for id in ["trial", "dated", "other", "nobody", "a", "z-z-z-z-z"] {
            let secrets = ["0123456789abcdefghij", "0123456789abcdefghik", "x"].map(str::to_owned);
            for secret in secrets.into_iter().chain((0..20).map(|n| n.to_string())) {
                let text = format!("tpk_{id}_{secret}");
                let (bill, outcome) = bill(&policy, &key(&text));
                if known(&text) {
                    passed += 1;
                    let expired = outcome == Outcome::Refused(Refusal::KeyExpired);
                    assert!(
                        expired || matches!(outcome, Outcome::Known(_)),
                        "{text} {outcome:?}"
                    );
                } else {
                    assert_eq!(outcome, Outcome::Refused(Refusal::KeyRevokedOrUnknown), "{text}");
                }
                bills.push((text, bill));
            }
        }
        assert_eq!(
            passed, count,
            "each key of the policy was among those that were tried"
        );
        let (_, first) = &bills[0];
        let (counts, asks) = first;
        assert_eq!(
            (counts[&Work::Hash], counts[&Work::Compare], *asks),
            (1, 1, "nothing")
        );
        for (text, bill) in &bills {
            assert_eq!(bill, first, "{text} among {count} keys");
        }
    }
}

/// The bills of tokens of an issuer: of a known consumer and of others, each signed rightly and wrongly.
fn bills(algorithm: Algorithm, issuer: u32) -> Vec<(String, Bill, bool)> {
    let policy = policy();
    let mut bills = Vec::new();
    for consumer in ["app", "apq", "nobody", "a", "zzzzzzzzzzzzzzzzzzzz"] {
        let token = sign(
            algorithm,
            &claims(issuer, &[("client_id", Some(json!(consumer)))]),
        );
        let (input, signature) = token.rsplit_once('.').unwrap();
        let last = if signature.starts_with('A') { "B" } else { "A" };
        let wrong = format!("{input}.{last}{}", signature.split_at(1).1);
        for (right, token) in [(true, &token), (false, &wrong)] {
            let authorization = format!("Bearer {token}");
            let head = Presented {
                authorization: Some(&authorization),
                ..Presented::default()
            };
            let (bill, outcome) = bill(&policy, &head);
            let passed = finish(&mut store(&policy), outcome, NOW).is_ok();
            assert_eq!(passed, right && consumer == "app", "{consumer} {right}");
            bills.push((format!("{consumer}, {right}"), bill, passed));
        }
    }
    bills
}

#[test]
fn tokens_right_wrong_of_known_and_unknown_consumers_cost_the_same() {
    for (algorithm, issuer, work, asks) in [
        (HS256, SECRET, Work::Mac, "nothing"),
        (HS512, SECRET, Work::Mac, "nothing"),
        (ES256, INLINE, Work::KeySearch, "a signature"),
        (EdDSA, INLINE, Work::KeySearch, "a signature"),
    ] {
        let bills = bills(algorithm, issuer);
        let (_, first, _) = &bills[0];
        assert_eq!((first.0[&work], first.1), (1, asks), "{algorithm:?}");
        for (who, bill, _) in &bills {
            assert_eq!(bill, first, "{algorithm:?}: {who}");
        }
    }
}

#[test]
fn a_fetch_of_keys_tells_nobody_who_is_known() {
    let policy = policy();
    for consumer in ["app", "nobody"] {
        let token = sign(ES256, &claims(REMOTE, &[("client_id", Some(json!(consumer)))]));
        let authorization = format!("Bearer {token}");
        let head = Presented {
            authorization: Some(&authorization),
            ..Presented::default()
        };
        assert_eq!(bill(&policy, &head).0.1, "keys", "{consumer}");
    }
}

#[test]
fn a_client_that_is_another_is_told_only_by_the_issuer() {
    let mut policy = policy();
    policy.issuers[INLINE as usize].consumer_claim = "sub".to_owned();
    policy.identities[INLINE as usize].value = "somebody".to_owned();
    policy.identities[INLINE as usize].client = Some("app".to_owned());
    for (client, why) in [
        (Some(json!("other")), "names another client than the policy"),
        (None, "is missing, and so is `azp`"),
    ] {
        let token = sign(ES256, &claims(INLINE, &[("client_id", client)]));
        let authorization = format!("Bearer {token}");
        let head = Presented {
            authorization: Some(&authorization),
            ..Presented::default()
        };
        let mut store = store(&policy);
        let Outcome::Verify(ask) = begin(&policy, &mut store, &head, NOW) else {
            panic!("refused before its signature was looked at")
        };
        let forged = verified(&mut store, ask.pending.clone(), false, NOW);
        assert_eq!(forged, Outcome::Refused(Refusal::SignatureInvalid));
        let signed = verified(&mut store, ask.pending, true, NOW);
        assert_eq!(signed, Outcome::Refused(Refusal::claim("client_id", why)));
        assert_eq!(store.cache.size().0, 0);
    }
}
