//! Tests of this phase, and what they share: a policy with one issuer of each kind of keys, and
//! tokens signed with keys from the RFCs.

mod advisories;
mod cache;
mod certificate;
mod claims;
mod copies;
mod credential;
mod discovery;
mod dpop;
mod flow;
mod fuzz;
mod introspection;
mod keys;
mod many;
mod members;
mod native;
mod properties;
mod signatures;
mod token;
mod vectors;
mod work;

use jwt_compact::alg::{Ed25519, Es256, Hs256, Hs256Key, Hs384, Hs384Key, Hs512, Hs512Key};
use jwt_compact::jwk::JsonWebKey;
use jwt_compact::{Algorithm as _, AlgorithmSignature as _};
use serde_json::{Value, json};
use sha2::{Digest as _, Sha256};
use turnpike_policy::{Algorithm, Binding, Compiled, Identity, Issuer, KeyCredential, Keys};

use super::{Outcome, Presented, Principal, Refusal, Store, begin, verified};

/// Now, in Unix milliseconds; and in seconds.
const NOW: u64 = 1_800_000_000_000;
const SECONDS: u64 = NOW / 1000;

const INLINE: u32 = 0;
const SECRET: u32 = 1;
const REMOTE: u32 = 2;
const ISSUERS: [&str; 3] = [
    "https://inline.example/",
    "https://secret.example/",
    "https://url.example/",
];
const AUDIENCE: &str = "https://api.example";
const KEYS_URL: &str = "https://url.example/jwks.json";
const MAC_KEY: &[u8] = b"a secret of sixty-four bytes, which is enough for HS512 as well.";
const API_KEY: &str = "tpk_trial_0123456789abcdefghij";
const DATED_KEY: &str = "tpk_dated_0123456789abcdefghij";

/// RFC 7515, A.3.
const ES256_PUBLIC: &str = r#"{"kty":"EC","crv":"P-256","x":"f83OJ3D2xF1Bg8vub9tLe1gHMzV76e8Tus9uPHvRVEU","y":"x_FEzRu9m36HLN_tue659LNpXW6pCyStikYjKIWI5a0","kid":"ec"}"#;
const ES256_PRIVATE: &str = r#"{"kty":"EC","crv":"P-256","x":"f83OJ3D2xF1Bg8vub9tLe1gHMzV76e8Tus9uPHvRVEU","y":"x_FEzRu9m36HLN_tue659LNpXW6pCyStikYjKIWI5a0","d":"jpsQnnGQmL-YBIffH1136cspYG6-0iY7X1fCE9-E9LI"}"#;
/// RFC 8037, A.1.
const ED25519_PUBLIC: &str = r#"{"kty":"OKP","crv":"Ed25519","x":"11qYAYKxCrfVS_7TyWQHOg7hcvPapiMlrwIaaPcHURo","kid":"ed","use":"sig","alg":"EdDSA"}"#;
const ED25519_PRIVATE: &str = r#"{"kty":"OKP","crv":"Ed25519","d":"nWGxne_9WmC6hEr0kuwsxERJxWl7MmkZcDusAxyuf2A","x":"11qYAYKxCrfVS_7TyWQHOg7hcvPapiMlrwIaaPcHURo"}"#;

fn issuer(index: u32, algorithms: &[Algorithm], keys: Keys) -> Issuer {
    Issuer {
        name: format!("issuer-{index}"),
        issuer: ISSUERS[index as usize].to_owned(),
        audience: vec![AUDIENCE.to_owned(), "other".to_owned()],
        algorithms: algorithms.to_vec(),
        consumer_claim: "client_id".to_owned(),
        clock_skew: 30,
        max_lifetime: Some(3600),
        access_tokens: false,
        dpop: Binding::Refused,
        certificate_bound: Binding::Refused,
        keys,
        introspection: None,
    }
}

fn policy() -> Compiled {
    let inline = Keys::Inline(vec![ES256_PUBLIC.to_owned(), ED25519_PUBLIC.to_owned()]);
    let hashed = |key: &str, consumer, expires| KeyCredential {
        sha256: Sha256::digest(key).into(),
        consumer,
        expires,
        scopes: vec!["pets:read".to_owned()],
    };
    let mut keys = vec![hashed(API_KEY, 1, None), hashed(DATED_KEY, 0, Some(NOW))];
    keys.extend((0..20).map(|n| hashed(&format!("tpk_other_{n}"), 0, None)));
    keys.sort_by_key(|key| key.sha256);
    let public = [Algorithm::ES256, Algorithm::EdDSA, Algorithm::RS256];
    let identity = |issuer| Identity {
        issuer,
        client: None,
        value: "app".to_owned(),
        consumer: issuer + 10,
    };
    Compiled {
        issuers: vec![
            issuer(INLINE, &public[..2], inline),
            issuer(
                SECRET,
                &[Algorithm::HS256, Algorithm::HS512],
                Keys::Secret("MAC".to_owned()),
            ),
            issuer(REMOTE, &public, Keys::Url(KEYS_URL.to_owned())),
        ],
        identities: (0..3).map(identity).collect(),
        keys,
        ..Compiled::default()
    }
}

fn store(policy: &Compiled) -> Store {
    Store::new(policy, &[7; 32], |name| (name == "MAC").then(|| MAC_KEY.to_vec()))
}

fn jwks(keys: &[&str]) -> String {
    format!(r#"{{"keys":[{}]}}"#, keys.join(","))
}

/// Claims that are right.
fn good(issuer: u32) -> Value {
    json!({
        "iss": ISSUERS[issuer as usize], "aud": AUDIENCE, "sub": "somebody", "client_id": "app",
        "iat": SECONDS - 10, "nbf": SECONDS - 10, "exp": SECONDS + 600,
        "scope": "pets:write pets:read",
    })
}

/// `good` with some claims set to another value, or taken away.
fn claims(issuer: u32, changes: &[(&str, Option<Value>)]) -> Value {
    let mut claims = good(issuer);
    let members = claims.as_object_mut().unwrap();
    for (name, value) in changes {
        match value {
            Some(value) => members.insert((*name).to_owned(), value.clone()),
            None => members.remove(*name),
        };
    }
    claims
}

fn base64url(bytes: &[u8]) -> String {
    const ALPHABET: &[u8; 64] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_";
    let mut text = String::new();
    for chunk in bytes.chunks(3) {
        let number = (0..3).fold(0usize, |n, i| n << 8 | usize::from(*chunk.get(i).unwrap_or(&0)));
        for place in 0..=chunk.len() {
            text.push(char::from(ALPHABET[number >> (18 - 6 * place) & 63]));
        }
    }
    text
}

/// Signs any header and payload, however wrong.
fn sign_raw(algorithm: Algorithm, header: &str, payload: &str) -> String {
    let input = format!(
        "{}.{}",
        base64url(header.as_bytes()),
        base64url(payload.as_bytes())
    );
    let bytes = input.as_bytes();
    let jwk = |json: &'static str| serde_json::from_str::<JsonWebKey<'_>>(json).unwrap();
    let signature = match algorithm {
        Algorithm::HS256 => Hs256.sign(&Hs256Key::new(MAC_KEY), bytes).as_bytes().into_owned(),
        Algorithm::HS384 => Hs384.sign(&Hs384Key::new(MAC_KEY), bytes).as_bytes().into_owned(),
        Algorithm::HS512 => Hs512.sign(&Hs512Key::new(MAC_KEY), bytes).as_bytes().into_owned(),
        Algorithm::ES256 => {
            let key = (&jwk(ES256_PRIVATE)).try_into().unwrap();
            jwt_compact::AlgorithmSignature::as_bytes(&Es256.sign(&key, bytes)).into_owned()
        }
        Algorithm::EdDSA => {
            let key = (&jwk(ED25519_PRIVATE)).try_into().unwrap();
            jwt_compact::AlgorithmSignature::as_bytes(&Ed25519.sign(&key, bytes)).into_owned()
        }
        // No private key is at hand: for what is refused before its signature is looked at.
        _ => vec![1; 256],
    };
    format!("{input}.{}", base64url(&signature))
}

/// A token with a plain header.
fn sign(algorithm: Algorithm, claims: &Value) -> String {
    let kid = match algorithm {
        Algorithm::ES256 => r#","kid":"ec""#,
        Algorithm::EdDSA => r#","kid":"ed""#,
        Algorithm::RS256 => r#","kid":"rsa""#,
        _ => "",
    };
    let header = format!(r#"{{"alg":"{}","typ":"JWT"{kid}}}"#, algorithm.name());
    sign_raw(algorithm, &header, &claims.to_string())
}

/// Runs a token through all steps, answering questions for signatures; fetches find nothing.
fn identify(policy: &Compiled, store: &mut Store, token: &str, now: u64) -> Result<Principal, Refusal> {
    let authorization = format!("Bearer {token}");
    let head = Presented {
        authorization: Some(&authorization),
        ..Presented::default()
    };
    let outcome = begin(policy, store, &head, now);
    finish(store, outcome, now)
}

/// Answers a question for a signature.
#[expect(
    clippy::panic_in_result_fn,
    clippy::unwrap_in_result,
    reason = "a test's helper"
)]
fn finish(store: &mut Store, outcome: Outcome, now: u64) -> Result<Principal, Refusal> {
    match outcome {
        Outcome::Known(principal) => Ok(principal),
        Outcome::Refused(refusal) => Err(refusal),
        Outcome::Verify(ask) => {
            let right = native::verify(&ask);
            let bytes = postcard::to_allocvec(&ask.pending).unwrap();
            let outcome = verified(store, postcard::from_bytes(&bytes).unwrap(), right, now);
            finish(store, outcome, now)
        }
        // Whether it is new is not asked here.
        Outcome::Proven(proven) => Ok(proven.principal),
        Outcome::FetchKeys(ask) => panic!("asked for keys: {ask:?}"),
        Outcome::Introspect(ask) => panic!("asked about a token: {ask:?}"),
        Outcome::Wait(_) => panic!("nobody else fetches keys"),
    }
}

/// Runs a token with a fresh store.
fn once(token: &str) -> Result<Principal, Refusal> {
    let policy = policy();
    identify(&policy, &mut store(&policy), token, NOW)
}
