//! What is known and what is not, what is right and what is wrong cost the same operations. They are counted where
//! they are done, and not timed.

use std::collections::BTreeMap;

use serde_json::json;
use turnpike_policy::Algorithm::{ES256, EdDSA, HS256, HS512};
use turnpike_policy::CertificateName;

use super::super::introspected;
use super::super::work::{Work, noted};
use super::*;

/// How often each operation was done, and what was asked of the outside.
type Bill = (BTreeMap<Work, usize>, &'static str);

/// What it costs a fresh gateway to answer a head, up to the answer or to the first question of the outside.
fn bill(policy: &Compiled, head: &Presented<'_>) -> (Bill, Outcome) {
    let mut store = store(policy);
    let (counts, outcome) = counted(|| begin(policy, &mut store, head, NOW));
    let asks = match &outcome {
        Outcome::Known(_) | Outcome::Refused(_) => "nothing",
        Outcome::Verify(_) => "a signature",
        Outcome::Proven(_) => "whether a proof is new",
        Outcome::FetchKeys(_) => "keys",
        Outcome::Introspect(_) => "to ask",
        Outcome::Wait(_) => "to wait",
    };
    ((counts, asks), outcome)
}

/// How often each operation was done by some work, and what it led to.
fn counted<T>(work: impl FnOnce() -> T) -> (BTreeMap<Work, usize>, T) {
    noted();
    let done = work();
    let mut counts = BTreeMap::new();
    for work in noted() {
        *counts.entry(work).or_default() += 1;
    }
    (counts, done)
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

/// A signature or a MAC of the same length that is wrong.
fn forged(token: &str) -> String {
    let (input, signature) = token.rsplit_once('.').unwrap();
    let other = if signature.starts_with('A') { "B" } else { "A" };
    format!("{input}.{other}{}", signature.split_at(1).1)
}

/// Consumers that the policies here know (the first), and that they do not.
const CONSUMERS: [&str; 4] = ["app", "apq", "a", "zzzzzzzzzzzzzzzzzzzz"];

#[test]
fn tokens_that_are_bound_to_a_key_cost_the_same_with_the_same_proof() {
    let mut policy = dpop::policy();
    policy.issuers[INLINE as usize].dpop = Binding::Accepted;
    let cnf = json!({ "jkt": dpop::thumbprint(dpop::public(ES256)) });
    // Up to the signature of a proof that is right, and up to where one that is wrong is refused.
    for (issuer, algorithm) in [(SECRET, HS256), (INLINE, ES256)] {
        for kind in ["right", "of another key", "for another token", "none"] {
            let mut bills = Vec::new();
            for consumer in CONSUMERS {
                let claims = claims(
                    issuer,
                    &[("client_id", Some(json!(consumer))), ("cnf", Some(cnf.clone()))],
                );
                let right = sign(algorithm, &claims);
                for token in [forged(&right), right] {
                    let proof = match kind {
                        "of another key" => dpop::proof(EdDSA, &token),
                        "for another token" => dpop::proof(ES256, "another"),
                        _ => dpop::proof(ES256, &token),
                    };
                    let authorization = format!("DPoP {token}");
                    let head = Presented {
                        authorization: Some(&authorization),
                        proof: (kind != "none").then_some(&*proof),
                        method: "GET",
                        url: "https://api.example/pets/v1/pets",
                        dpop: true,
                        ..Presented::default()
                    };
                    let ((counts, asks), _) = bill(&policy, &head);
                    bills.push((consumer, counts, asks));
                }
            }
            let (_, first, _) = &bills[0];
            assert!(first[&Work::Hash] >= 1 && first[&Work::Lookup] == 1, "{first:?}");
            for (place, (consumer, counts, asks)) in bills.iter().enumerate() {
                assert_eq!(counts, first, "{algorithm:?}, {kind}: {consumer}");
                // With a MAC the answer is known at once, and only a good token's proof is looked at further.
                let good = place == 1;
                let wanted = match (issuer, kind) {
                    (INLINE, "right") => "a signature",
                    (SECRET, "right") if good => "a signature",
                    _ => "nothing",
                };
                assert_eq!(*asks, wanted, "{algorithm:?}, {kind}: {consumer}");
            }
        }
    }
}

#[test]
fn a_certificate_that_is_known_and_one_that_is_not_cost_the_same() {
    let policy = certificate::policy();
    let subjects = [
        "CN=reports,O=Acme",
        "CN=billing,O=Acme\\, Inc.,C=DE",
        "CN=nobody",
        "",
    ];
    // Alone: of a consumer by its key, by its subject, by both, of one whose entry has ended, and of nobody.
    let (mut bills, mut passed) = (Vec::new(), 0);
    for whole in [certificate::EC, certificate::ED, certificate::RSA] {
        for subject in subjects {
            let head = Presented {
                certificate: Some(certificate::shown(whole, subject)),
                ..Presented::default()
            };
            let (bill, outcome) = bill(&policy, &head);
            passed += usize::from(matches!(outcome, Outcome::Known(_)));
            bills.push(bill);
        }
    }
    assert!((4..bills.len()).contains(&passed), "{passed}");
    assert_eq!(bills[0].0[&Work::Hash], 1);
    for bill in &bills {
        assert_eq!(bill, &bills[0]);
    }
    // Beside a key or a token, whoever is named and whatever is right.
    let secret = |consumer: &str| sign(HS256, &claims(SECRET, &[("client_id", Some(json!(consumer)))]));
    let mut tokens: Vec<String> = CONSUMERS.map(secret).to_vec();
    tokens.extend(CONSUMERS.map(|consumer| forged(&secret(consumer))));
    let keys = [API_KEY, "tpk_trial_another", "tpk_nobody_0123456789abcdefghij"].map(str::to_owned);
    for credentials in [&tokens[..], &keys[..]] {
        let mut bills = Vec::new();
        for credential in credentials {
            for (whole, subject) in [
                (certificate::EC, subjects[0]),
                (certificate::ED, subjects[1]),
                (certificate::ED, "CN=nobody"),
            ] {
                let authorization = format!("Bearer {credential}");
                let head = Presented {
                    authorization: Some(&authorization),
                    certificate: Some(certificate::shown(whole, subject)),
                    ..Presented::default()
                };
                bills.push(bill(&policy, &head).0);
            }
        }
        for bill in &bills {
            assert_eq!(bill, &bills[0]);
        }
    }
}

#[test]
fn tokens_that_are_bound_to_a_certificate_cost_the_same_with_the_same_one() {
    let mut policy = certificate::policy();
    policy
        .certificates
        .retain(|known| !matches!(known.by, CertificateName::Key(_)));
    for (whole, right) in [(certificate::EC, true), (certificate::ED, false)] {
        let mut bills = Vec::new();
        for consumer in CONSUMERS {
            let cnf = json!({ "x5t#S256": certificate::thumbprint() });
            let claims = claims(
                SECRET,
                &[("client_id", Some(json!(consumer))), ("cnf", Some(cnf))],
            );
            let token = sign(HS256, &claims);
            for token in [forged(&token), token] {
                let authorization = format!("Bearer {token}");
                let head = Presented {
                    authorization: Some(&authorization),
                    // Nobody's, so that it may come beside anybody's token.
                    certificate: Some(certificate::shown(whole, "CN=nobody")),
                    ..Presented::default()
                };
                let (bill, outcome) = bill(&policy, &head);
                // The second is signed, and the first consumer is known.
                let good = right && bills.len() == 1;
                assert_eq!(
                    matches!(outcome, Outcome::Known(_)),
                    good,
                    "{consumer}: {outcome:?}"
                );
                bills.push(bill);
            }
        }
        for bill in &bills {
            assert_eq!(bill, &bills[0], "{right}");
        }
        assert_eq!(
            bills[0].0.contains_key(&Work::Mac),
            right,
            "a wrong one is refused before"
        );
    }
}

/// An opaque token is looked at by its issuer alone. So what is counted is what is done here: up to the question, which
/// is asked about each token that is not remembered; and after an answer. How long the issuer takes to answer is its
/// own; that it was asked before tells whoever sends the same token again what the answer then told as well.
#[test]
fn opaque_tokens_of_known_and_unknown_consumers_cost_the_same() {
    let policy = introspection::policy();
    let (mut before, mut after) = (Vec::new(), Vec::new());
    for (place, consumer) in CONSUMERS.iter().enumerate() {
        let token = format!("Bearer opaque-{place}");
        let head = Presented {
            authorization: Some(&token),
            ..Presented::default()
        };
        let mut store = store(&policy);
        let (counts, outcome) = counted(|| begin(&policy, &mut store, &head, NOW));
        let Outcome::Introspect(ask) = outcome else {
            panic!("{outcome:?}");
        };
        before.push(counts);
        let answer = introspection::active(&[("client_id", Some(json!(consumer)))]);
        let (counts, found) =
            counted(|| introspected(&policy, &mut store, &ask.asked, Ok(answer.as_bytes()), NOW));
        assert_eq!(found.is_ok(), place == 0, "{consumer}: {found:?}");
        after.push(counts);
        // Remembered or refused a moment ago: neither is asked about, and both are found by one hash.
        let (counts, outcome) = counted(|| begin(&policy, &mut store, &head, NOW));
        assert!(
            matches!(outcome, Outcome::Known(_) | Outcome::Refused(_)),
            "{outcome:?}"
        );
        assert_eq!(counts, before[0], "{consumer}");
    }
    assert_eq!((before[0][&Work::Hash], after[0][&Work::Lookup]), (1, 1));
    for (before_it, after_it) in before.iter().zip(&after) {
        assert_eq!((before_it, after_it), (&before[0], &after[0]));
    }
}
