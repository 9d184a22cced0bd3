//! What strangers send, damaged at random: tokens, key sets, metadata, proofs and certificates. There is always an
//! answer; no damaged token or proof passes; a key set lets only its own keys pass; metadata lead nowhere that the policy does not name.
//!
//! `cargo test` plays a second of each from a fixed seed; `make fuzz MINUTES=10` plays as long as it is told to, from
//! a seed that it names. A failure names its case, and `FUZZ_CASE` plays that one again.

#![expect(clippy::disallowed_methods, reason = "it ends when its time is over")]

#[path = "../../../../policy/tests/fuzz/random.rs"]
mod random;

use std::panic::{AssertUnwindSafe, catch_unwind};
use std::time::{Duration, Instant};

use turnpike_policy::Algorithm::{ES256, EdDSA, HS256, HS512};

use super::super::encoding::from_base64url;
use super::super::json::Json;
use super::super::key_store::FRESH;
use super::super::{Part, introspected, keys_fetched};
use super::flow::without_a_copy;
use super::*;
use random::Random;

/// What `cargo test` plays from.
const SEED: u64 = 20_261_123;

fn number(name: &str) -> Option<u64> {
    std::env::var(name).ok().and_then(|text| text.parse().ok())
}

/// Plays one case after the other for as long as it is told to, or the one that it is told; says how many they were.
fn play_on(what: &str, mut play: impl FnMut(&mut Random)) {
    let mut play = |case: u64| {
        if let Err(panic) = catch_unwind(AssertUnwindSafe(|| play(&mut Random::new(case)))) {
            eprintln!("to play it again: FUZZ_CASE={case} cargo test -p turnpike-engine --lib fuzz::{what}");
            std::panic::resume_unwind(panic);
        }
    };
    if let Some(case) = number("FUZZ_CASE") {
        return play(case);
    }
    let within = number("FUZZ_MINUTES").map_or(Duration::from_secs(1), |minutes| {
        Duration::from_secs(60 * minutes)
    });
    let seed = number("FUZZ_SEED").unwrap_or(SEED);
    let (began, mut cases) = (Instant::now(), 0);
    while began.elapsed() < within {
        play(seed.wrapping_mul(1_000_003).wrapping_add(cases));
        cases += 1;
    }
    println!("{cases} damaged {what} from the seed {seed}");
    assert!(cases > 20, "too little was played: {cases}");
}

/// Text that is likely to hit something.
const WORDS: [&str; 40] = [
    "{",
    "}",
    "[",
    "]",
    ":",
    ",",
    "\"",
    "\\",
    "null",
    "true",
    "-1",
    "1e999",
    "0.5",
    "99999999999999999999",
    "\"alg\":\"none\",",
    "\"alg\":\"HS256\",",
    "\"alg\":\"ES256\",",
    "\"alg\":\"RS256\",",
    "\"crit\":[\"b64\"],",
    "\"b64\":false,",
    "\"kid\":\"ed\",",
    "\"kid\":null,",
    "\"typ\":\"JWE\",",
    "\"cty\":\"JWT\",",
    "\"enc\":\"A128GCM\",",
    "\"zip\":\"DEF\",",
    "\"exp\":99999999999,",
    "\"aud\":[],",
    "\"client_id\":\"app\",",
    "\"kty\":\"oct\",",
    "\"kty\":\"RSA\",",
    "\"crv\":\"P-384\",",
    "\"use\":\"enc\",",
    "\"key_ops\":[\"sign\"],",
    "\"d\":\"AA\",",
    "\"keys\":[],",
    "\"jwks_uri\":\"https://evil.example/\",",
    "\"issuer\":\"https://url.example/\",",
    "\u{0}",
    "\u{feff}",
];

/// Damages bytes in one to four places.
fn damage(bytes: &mut Vec<u8>, random: &mut Random) {
    for _ in 0..=random.below(4) {
        let at = random.below(bytes.len() + 1);
        let to = (at + 1 + random.below(12)).min(bytes.len());
        match random.below(7) {
            0 if at < to => bytes[at] ^= 1 << random.below(8),
            1 if at < to => bytes[at] = *random.pick(b"{}[]\",:.-_=A/9 \n\0"),
            2 => {
                bytes.drain(at..to);
            }
            3 => {
                let part = bytes[at..to].to_vec();
                let into = random.below(bytes.len() + 1);
                bytes.splice(into..into, part);
            }
            4 => bytes.truncate(at),
            _ => {
                bytes.splice(at..at, random.pick(&WORDS).bytes());
            }
        }
    }
}

/// A token with damage to its text, or to what its parts hold.
fn damaged(tokens: &[String], random: &mut Random) -> Vec<u8> {
    let token = random.pick(tokens);
    if random.below(3) == 0 {
        let mut bytes = token.clone().into_bytes();
        damage(&mut bytes, random);
        return bytes;
    }
    let mut parts: Vec<Vec<u8>> = token
        .split('.')
        .map(|part| from_base64url(part).unwrap())
        .collect();
    let which = random.below(parts.len());
    if random.below(4) == 0 {
        let other: Vec<&str> = random.pick(tokens).split('.').collect();
        parts[which] = from_base64url(other[which]).unwrap();
    } else {
        damage(&mut parts[which], random);
    }
    let parts: Vec<String> = parts.iter().map(|part| base64url(part)).collect();
    parts.join(".").into_bytes()
}

/// Runs a credential to its end, whatever it asks for; keys are answered with `set`.
fn run(policy: &Compiled, store: &mut Store, head: &Presented<'_>, set: &str, now: u64) -> bool {
    let mut outcome = begin(policy, store, head, now);
    for _ in 0..4 {
        outcome = match outcome {
            Outcome::Known(_) | Outcome::Proven(_) => return true,
            Outcome::Refused(refusal) => {
                assert!(!refusal.reason().is_empty());
                return false;
            }
            Outcome::Verify(ask) => {
                let right = native::verify(&ask);
                verified(store, ask.pending, right, now)
            }
            Outcome::FetchKeys(ask) => {
                assert_eq!(ask.url, KEYS_URL);
                keys_fetched(
                    policy,
                    store,
                    (ask.issuer, ask.part),
                    Some(set.as_bytes()),
                    head,
                    now,
                )
            }
            Outcome::Introspect(_) => panic!("nobody is asked about tokens"),
            Outcome::Wait(_) => panic!("nobody else fetches keys"),
        };
    }
    panic!("no end: {outcome:?}");
}

#[test]
fn tokens() {
    let policy = policy();
    let right = [
        sign(HS256, &good(SECRET)),
        sign(HS512, &good(SECRET)),
        sign(HS256, &claims(SECRET, &[("sub", Some(json!("another")))])),
        sign(ES256, &good(INLINE)),
        sign(EdDSA, &good(INLINE)),
        sign(ES256, &good(REMOTE)),
    ];
    let set = jwks(&[ES256_PUBLIC]);
    let mut store = store(&policy);
    let (mut now, mut passed) = (NOW, 0);
    play_on("tokens", |random| {
        let text = damaged(&right, random);
        let text = String::from_utf8_lossy(&text);
        // Time goes on, so that keys grow old and unknown ones are looked for.
        now = if now > NOW + FRESH / 2 { NOW } else { now + 50 };
        let same = right.iter().any(|token| *token == *text.trim_start_matches(' '));
        let bearer = format!("Bearer {text}");
        let heads = [
            Presented {
                authorization: Some(&bearer),
                ..Presented::default()
            },
            Presented {
                x_api_key: Some(&text),
                ..Presented::default()
            },
        ];
        for head in heads {
            let known = run(&policy, &mut store, &head, &set, now);
            assert!(!known || same, "this passed: {text}");
            passed += u32::from(known);
        }
    });
    println!("{passed} of them passed, as they were not changed after all");
    for token in &right {
        assert!(identify(&policy, &mut store, token, NOW).is_ok());
    }
}

#[test]
fn key_sets() {
    let policy = policy();
    let keys = [ES256_PUBLIC, ED25519_PUBLIC, r#"{"kty":"oct","k":"AAAA"}"#];
    let right = [sign(ES256, &good(REMOTE)), sign(EdDSA, &good(REMOTE))];
    let points = [
        "\"x\":\"f83OJ3D2xF1Bg8vub9tLe1gHMzV76e8Tus9uPHvRVEU\",\"y\":\"x_FEzRu9m36HLN_tue659LNpXW6pCyStikYjKIWI5a0\"",
        "\"x\":\"11qYAYKxCrfVS_7TyWQHOg7hcvPapiMlrwIaaPcHURo\"",
    ];
    play_on("key_sets", |random| {
        let mut bytes = jwks(&keys).into_bytes();
        damage(&mut bytes, random);
        let mut store = store(&policy);
        store
            .keys
            .fetched(REMOTE, Some(jwks(&[ES256_PUBLIC]).as_bytes()), NOW);
        let before = store.keys.generation(REMOTE);
        for (token, point) in right.iter().zip(points) {
            let authorization = format!("Bearer {token}");
            let head = Presented {
                authorization: Some(&authorization),
                ..Presented::default()
            };
            let outcome = keys_fetched(
                &policy,
                &mut store,
                (REMOTE, Part::Keys),
                Some(&bytes),
                &head,
                NOW,
            );
            assert!(
                store.keys.generation(REMOTE).is_some() && before.is_some(),
                "good keys are not lost"
            );
            match outcome {
                Outcome::Refused(_) => {}
                Outcome::Verify(ask) => {
                    // Right by these keys alone, whatever else is said of them.
                    let right = native::verify(&ask);
                    assert!(!right || ask.key.contains(point), "{}", ask.key);
                }
                other => panic!("{other:?}"),
            }
        }
        // Nobody but the issuer has a say: neither its public key as a secret nor a key of a token's own.
        let forged = sign(HS256, &good(REMOTE));
        assert!(identify(&policy, &mut store, &forged, NOW).is_err());
    });
}

#[test]
fn metadata() {
    const OWN: &str = "https://url.example/.well-known/openid-configuration";
    let mut policy = policy();
    policy.issuers[REMOTE as usize].keys = Keys::Discovered {
        url: OWN.to_owned(),
        origins: vec!["https://keys.example".to_owned()],
    };
    let authorization = format!("Bearer {}", sign(ES256, &good(REMOTE)));
    let head = Presented {
        authorization: Some(&authorization),
        ..Presented::default()
    };
    let mut believed = 0;
    play_on("metadata", |random| {
        let place = random.pick(&["https://url.example/k", "https://keys.example:443/a?b"]);
        let mut bytes =
            json!({ "issuer": ISSUERS[2], "jwks_uri": place, "token_endpoint": "https://x.example/" })
                .to_string()
                .into_bytes();
        damage(&mut bytes, random);
        let mut store = store(&policy);
        assert!(matches!(
            begin(&policy, &mut store, &head, NOW),
            Outcome::FetchKeys(_)
        ));
        let outcome = keys_fetched(
            &policy,
            &mut store,
            (REMOTE, Part::Metadata),
            Some(&bytes),
            &head,
            NOW,
        );
        match without_a_copy(&policy, &mut store, outcome, &head, NOW) {
            Outcome::Refused(Refusal::KeysUnavailable { .. }) => {}
            Outcome::FetchKeys(ask) => {
                believed += 1;
                let rest = ask.url.strip_prefix("https://").expect("TLS");
                let host = rest.split(['/', '?', '#', '\\']).next().unwrap();
                let host = host.strip_suffix(":443").unwrap_or(host).to_lowercase();
                assert!(
                    ["url.example", "keys.example"].contains(&host.as_str()),
                    "{}",
                    ask.url
                );
            }
            other => panic!("{other:?}"),
        }
    });
    println!("{believed} of them were believed, as what matters was not damaged");
}

#[test]
fn proofs() {
    let policy = dpop::policy();
    let token = dpop::bound(ES256_PUBLIC);
    let right = [
        dpop::proof(ES256, &token),
        dpop::proof(EdDSA, &token),
        dpop::proof(ES256, "another token"),
        sign(ES256, &good(INLINE)),
    ];
    let authorization = format!("DPoP {token}");
    let mut store = store(&policy);
    let mut passed = 0;
    play_on("proofs", |random| {
        let text = damaged(&right, random);
        let text = String::from_utf8_lossy(&text);
        let head = Presented {
            authorization: Some(&authorization),
            proof: Some(&text),
            method: "GET",
            url: "https://api.example/pets/v1/pets",
            dpop: true,
            ..Presented::default()
        };
        let known = run(&policy, &mut store, &head, "", NOW);
        // What is signed is the text of two parts: of a damaged one nobody has a signature.
        assert!(!known || text == right[0], "this passed: {text}");
        passed += u32::from(known);
    });
    println!("{passed} of them passed, as they were not changed after all");
}

#[test]
fn certificates() {
    use turnpike_policy::CertificateName;

    let policy = certificate::policy();
    let mut key = certificate::EC.trim_matches(':').trim_end_matches('=').to_owned();
    key = key.replace('+', "-").replace('/', "_");
    let right = from_base64url(&key).unwrap();
    let listed = |found: &Principal| {
        policy
            .certificates
            .iter()
            .any(|known| known.consumer == found.consumer && matches!(&known.by, CertificateName::Key(_)))
    };
    let mut store = store(&policy);
    let mut passed = 0;
    play_on("certificates", |random| {
        let mut der = right.clone();
        damage(&mut der, random);
        let mut text = certificate::text_of(&der);
        if random.below(4) == 0 {
            let mut bytes = text.into_bytes();
            damage(&mut bytes, random);
            text = String::from_utf8_lossy(&bytes).into_owned();
        }
        let mut shown = certificate::shown(certificate::EC, "CN=nobody");
        shown.whole = Some(&text);
        let head = Presented {
            certificate: Some(shown),
            ..Presented::default()
        };
        match begin(&policy, &mut store, &head, NOW) {
            // Its key is whole, or it would be nobody's: what else it says is the platform's to verify.
            Outcome::Known(found) => {
                assert!(listed(&found));
                passed += 1;
            }
            Outcome::Refused(refusal) => assert!(!refusal.reason().is_empty()),
            other => panic!("{other:?}"),
        }
    });
    println!("{passed} of them were read, their keys whole");
}

#[test]
fn members() {
    let right = [
        good(SECRET).to_string(),
        jwks(&[ES256_PUBLIC, ED25519_PUBLIC]),
        r#"{"cnf":{"jkt":"A","x5t#S256":"B"},"realm_access":{"roles":["a","b"]},"a\u0062":[{"c\"":":"}]}"#
            .to_owned(),
    ];
    let (mut once, mut twice) = (0, 0);
    play_on("members", |random| {
        let mut bytes = random.pick(&right).clone().into_bytes();
        damage(&mut bytes, random);
        // Held against a reader that compares names.
        let strict = serde_json::from_slice::<super::members::Strict>(&bytes).is_ok();
        let found = Json::read(&bytes).is_some();
        assert_eq!(found, strict, "{}", String::from_utf8_lossy(&bytes));
        once += u32::from(found);
        twice += u32::from(!found && serde_json::from_slice::<Value>(&bytes).is_ok());
    });
    println!("{once} of them were read, {twice} were not for a name that was there twice");
    assert!(once > 0 && twice > 0);
}

#[test]
fn introspection_answers() {
    let mut policy = policy();
    policy.issuers[INLINE as usize].introspection = Some(super::introspection::introspection(""));
    policy.issuers[INLINE as usize].max_lifetime = None;
    let authorization = "Bearer opaque";
    let head = Presented {
        authorization: Some(authorization),
        ..Presented::default()
    };
    let mut believed = 0;
    play_on("introspection_answers", |random| {
        let mut said = good(INLINE);
        said["active"] = (*random.pick(&[true, true, true, false])).into();
        let mut bytes = said.to_string().into_bytes();
        damage(&mut bytes, random);
        let mut store = store(&policy);
        let Outcome::Introspect(ask) = begin(&policy, &mut store, &head, NOW) else {
            panic!("nobody is asked");
        };
        if let Ok(who) = introspected(&policy, &mut store, &ask.asked, Ok(&bytes), NOW) {
            believed += 1;
            // Whoever passes is whom the policy knows, by an answer that says so, once, to this audience.
            assert_eq!((who.consumer, who.issuer), (10, Some(INLINE)));
            let read: Value = serde_json::from_slice(&bytes).expect("JSON");
            assert_eq!(read["active"], true);
            assert_eq!(read["client_id"], "app");
            assert!(read["aud"] == AUDIENCE || read["aud"] == "other", "{read}");
            assert!(read.get("cnf").is_none(), "{read}");
            if let Some(expires) = who.expires {
                assert!(expires + 30_000 > NOW, "{read}");
            }
        }
    });
    println!("{believed} of them were believed, as what matters was not damaged");
}
