use serde_json::{Value, json};
use turnpike_policy::Algorithm::{ES256, ES384, EdDSA, PS256, PS512, RS256};
use turnpike_policy::KeyKind;

use super::super::json::Json;
use super::super::jwk::Key;
use super::super::key_store::{Access, CLAIM, COOL_DOWN, EARLY, FRESH, KeyStore, May, RETRY, Refetch, STALE};
use super::super::keys::{Choice, KeySet};
use super::{
    ED25519_PRIVATE, ED25519_PUBLIC, ES256_PRIVATE, ES256_PUBLIC, INLINE, NOW, REMOTE, SECRET, base64url,
    jwks, policy,
};

/// A request that begins, one that has waited enough, and one that has had its fetch.
const MAY: May = May {
    fetch: true,
    wait: true,
};
const IMPATIENT: May = May {
    fetch: true,
    wait: false,
};
const NEITHER: May = May {
    fetch: false,
    wait: false,
};

/// A modulus of so many bits, odd.
fn modulus(bits: usize) -> Vec<u8> {
    let mut number = vec![0xa5; bits.div_ceil(8)];
    let top = (bits - 1) % 8;
    number[0] = 1 << top | (0xa5 & ((1 << top) - 1));
    *number.last_mut().unwrap() |= 1;
    number
}

fn rsa(n: &[u8], e: &[u8]) -> Value {
    json!({"kty": "RSA", "kid": "rsa", "n": base64url(n), "e": base64url(e)})
}

fn read(text: &str) -> Result<Key, &'static str> {
    Json::read(text.as_bytes()).map_or(Err("no JSON"), |key| Key::from_json(&key))
}

fn parse(value: &Value) -> Result<Key, &'static str> {
    read(&value.to_string())
}

/// `ES256_PUBLIC` with a member set to another value.
fn ec(name: &str, value: Value) -> Value {
    let mut key: Value = serde_json::from_str(ES256_PUBLIC).unwrap();
    key.as_object_mut().unwrap().insert(name.to_owned(), value);
    key
}

#[test]
fn a_key_is_kept_with_its_required_members_only() {
    let key = read(ED25519_PUBLIC).unwrap();
    assert_eq!(key.id.as_deref(), Some("ed"));
    assert_eq!(
        (key.algorithm, key.kind, key.signature_len),
        (Some(EdDSA), KeyKind::Ed25519, 64)
    );
    assert_eq!(
        key.json,
        r#"{"crv":"Ed25519","kty":"OKP","x":"11qYAYKxCrfVS_7TyWQHOg7hcvPapiMlrwIaaPcHURo"}"#
    );
    let key = read(ES256_PUBLIC).unwrap();
    assert_eq!(
        (key.algorithm, key.kind, key.signature_len),
        (None, KeyKind::P256, 64)
    );
    let key = parse(&rsa(&modulus(3072), &[1, 0, 1])).unwrap();
    assert_eq!(
        (key.algorithm, key.kind, key.signature_len),
        (None, KeyKind::Rsa, 384)
    );
    assert!(key.json.starts_with(r#"{"e":"AQAB","kty":"RSA","n":""#));
}

#[test]
fn rsa_numbers() {
    for (n, e, right) in [
        (modulus(2048), vec![1, 0, 1], true),
        (modulus(2048), vec![3], true),
        (modulus(8192), vec![1, 0, 1], true),
        (modulus(2047), vec![1, 0, 1], false),
        (modulus(1024), vec![1, 0, 1], false),
        (modulus(8193), vec![1, 0, 1], false),
        (modulus(2048), vec![1], false),
        (modulus(2048), vec![2], false),
        (modulus(2048), vec![0, 3], false),
        (modulus(2048), vec![1, 0, 0, 0, 1], false),
        (modulus(2048), vec![], false),
        (vec![], vec![3], false),
        ([&[0], &modulus(2048)[..]].concat(), vec![1, 0, 1], false),
        ([&modulus(2048)[..255], &[0xa4]].concat(), vec![1, 0, 1], false),
    ] {
        assert_eq!(parse(&rsa(&n, &e)).is_ok(), right, "{} {e:?}", n.len());
    }
}

#[test]
fn members_must_agree() {
    let rows: Vec<(Value, bool)> = vec![
        (ec("use", json!("sig")), true),
        (ec("alg", json!("ES256")), true),
        (ec("key_ops", json!(["verify"])), true),
        (ec("unknown", json!({"a": 1})), true),
        (ec("x5c", json!(["MII"])), true),
        (ec("use", json!("enc")), false),
        (ec("use", json!(null)), false),
        (ec("key_ops", json!(["encrypt"])), false),
        (ec("key_ops", json!([])), false),
        (ec("key_ops", json!("verify")), false),
        (ec("alg", json!("ES384")), false),
        (ec("alg", json!("HS256")), false),
        (ec("alg", json!("RS256")), false),
        (ec("alg", json!("none")), false),
        (ec("alg", json!(null)), false),
        (ec("kid", json!(1)), false),
        (ec("kty", json!("RSA")), false),
        (ec("kty", json!("OKP")), false),
        (ec("kty", json!("oct")), false),
        (ec("kty", json!("")), false),
        (ec("kty", json!(null)), false),
        (ec("crv", json!("P-384")), false),
        (ec("crv", json!("secp256k1")), false),
        (ec("crv", json!("Ed25519")), false),
        (ec("x", json!("AAAA")), false),
        (
            ec("y", json!("x_FEzRu9m36HLN_tue659LNpXW6pCyStikYjKIWI5a1")),
            false,
        ),
        (
            ec("y", json!("x_FEzRu9m36HLN_tue659LNpXW6pCyStikYjKIWI5a0=")),
            false,
        ),
        (ec("y", json!(null)), false),
        (ec("d", json!("AA")), false),
        (ec("k", json!("AA")), false),
        (ec("p", json!(null)), false),
        (json!({"kty": "oct", "k": "AAAA", "alg": "HS256"}), false),
        (json!({"kty": "EC", "crv": "P-256"}), false),
        (
            json!({"kty": "OKP", "crv": "X25519", "x": base64url(&[1; 32])}),
            false,
        ),
        (
            json!({"kty": "OKP", "crv": "Ed25519", "x": base64url(&[1; 31])}),
            false,
        ),
        (
            json!({"kty": "OKP", "crv": "Ed25519", "x": base64url(&[1; 32]), "alg": "Ed25519"}),
            true,
        ),
        (
            json!({"kty": "OKP", "crv": "Ed448", "x": base64url(&[1; 57])}),
            false,
        ),
        (json!([]), false),
        (json!("key"), false),
    ];
    for (key, right) in rows {
        assert_eq!(parse(&key).is_ok(), right, "{key} {:?}", parse(&key));
    }
    assert!(read(ES256_PRIVATE).is_err());
    assert!(read(ED25519_PRIVATE).is_err());
    let twice = ES256_PUBLIC.replace("\"kid\":\"ec\"", "\"kid\":\"ec\",\"kid\":\"other\"");
    assert!(read(&twice).is_err());
}

fn set(keys: &[&str]) -> Result<KeySet, &'static str> {
    KeySet::from_jwks(jwks(keys).as_bytes())
}

fn chosen<'a>(set: &'a KeySet, id: Option<&str>, algorithm: turnpike_policy::Algorithm) -> &'a str {
    match set.choose(id, algorithm) {
        Choice::One(key) => key.id.as_deref().unwrap_or("-"),
        Choice::Missing => "missing",
        Choice::OtherAlgorithm => "other algorithm",
        Choice::Several => "several",
    }
}

#[test]
fn choice() {
    let rsa = |kid: &str| {
        let mut key = rsa(&modulus(2048), &[1, 0, 1]);
        key["kid"] = json!(kid);
        key.to_string()
    };
    let (one, other) = (rsa("one"), rsa("other"));
    let found = set(&[ES256_PUBLIC, &one, ED25519_PUBLIC, &other]).unwrap();
    assert_eq!(chosen(&found, Some("ec"), ES256), "ec");
    // An RSA key that does not say for what is for whatever its issuer lists.
    assert_eq!(chosen(&found, Some("other"), RS256), "other");
    assert_eq!(chosen(&found, Some("other"), PS512), "other");
    assert_eq!(chosen(&found, Some("ec"), ES384), "other algorithm");
    assert_eq!(chosen(&found, Some("ec"), RS256), "other algorithm");
    assert_eq!(chosen(&found, Some("ed"), ES256), "other algorithm");
    assert_eq!(chosen(&found, Some("EC"), ES256), "missing");
    assert_eq!(chosen(&found, Some(""), ES256), "missing");
    assert_eq!(chosen(&found, None, ES256), "ec");
    assert_eq!(chosen(&found, None, EdDSA), "ed");
    assert_eq!(chosen(&found, None, RS256), "several");
    // One that does is for that alone.
    let stated = one.replace("\"kty\"", "\"alg\":\"PS256\",\"kty\"");
    let found = set(&[&stated]).unwrap();
    assert_eq!(chosen(&found, Some("one"), PS256), "one");
    assert_eq!(chosen(&found, Some("one"), RS256), "other algorithm");
    assert_eq!(chosen(&found, None, RS256), "missing");
    let found = set(&[ED25519_PUBLIC]).unwrap();
    assert_eq!(chosen(&found, None, ES256), "missing");
    // A key without a name is not what a token names.
    let nameless = ES256_PUBLIC.replace(",\"kid\":\"ec\"", "");
    let found = set(&[&nameless]).unwrap();
    assert_eq!(chosen(&found, Some("ec"), ES256), "missing");
    assert_eq!(chosen(&found, None, ES256), "-");
    // The same name twice: neither, whether they fit different algorithms or are the same.
    let same = ED25519_PUBLIC.replace("\"ed\"", "\"ec\"");
    let found = set(&[ES256_PUBLIC, &same, &one]).unwrap();
    assert_eq!(chosen(&found, Some("ec"), ES256), "missing");
    assert_eq!(chosen(&found, None, EdDSA), "missing");
    assert_eq!(chosen(&found, Some("one"), RS256), "one");
    assert!(set(&[ES256_PUBLIC, ES256_PUBLIC, &same]).is_err());
    assert_eq!(chosen(&set(&[&nameless, &nameless]).unwrap(), None, ES256), "-");
    // What cannot be used does not count, and hides nothing.
    let foreign = r#"{"kty":"EC","crv":"P-521","kid":"ec","x":"AA","y":"AA"}"#;
    let secret = r#"{"kty":"oct","kid":"ec","k":"AAAA"}"#;
    let found = set(&[foreign, "7", secret, ES256_PUBLIC, ES256_PRIVATE]).unwrap();
    assert_eq!(chosen(&found, Some("ec"), ES256), "ec");
}

#[test]
fn sets() {
    let keys = |n: usize| {
        let key = |i| ES256_PUBLIC.replace("\"ec\"", &format!("\"{i}\""));
        let keys: Vec<String> = (0..n).map(key).collect();
        jwks(&keys.iter().map(String::as_str).collect::<Vec<_>>())
    };
    assert!(KeySet::from_jwks(keys(100).as_bytes()).is_ok());
    let padded = |len: usize| {
        let set = jwks(&[ES256_PUBLIC]);
        let spaces = " ".repeat(len - set.len());
        set + &spaces
    };
    assert!(KeySet::from_jwks(padded(256 * 1024).as_bytes()).is_ok());
    for wrong in [
        keys(101).as_str(),
        &keys(0),
        &padded(256 * 1024 + 1),
        "",
        "[]",
        "{}",
        "null",
        "<html>",
        "{\"keys\":{}}",
        "{\"keys\":null}",
        "{\"keys\":[1,2]}",
        "{\"keys\":[]}x",
        ES256_PUBLIC,
        &format!("{{\"keys\":[{ES256_PUBLIC}],\"keys\":[{ES256_PUBLIC}]}}"),
        &jwks(&[ES256_PRIVATE]),
        &jwks(&[r#"{"kty":"oct","k":"AAAA"}"#]),
    ] {
        assert!(KeySet::from_jwks(wrong.as_bytes()).is_err(), "{}", wrong.len());
    }
    let mut broken = jwks(&[ES256_PUBLIC]).into_bytes();
    broken[3] = 0xff;
    assert!(KeySet::from_jwks(&broken).is_err());
}

#[test]
fn a_generation_names_what_a_set_holds() {
    let both = set(&[ES256_PUBLIC, ED25519_PUBLIC]).unwrap().generation();
    assert_eq!(
        both,
        set(&[ED25519_PUBLIC, "{}", ES256_PUBLIC]).unwrap().generation()
    );
    assert_ne!(both, set(&[ED25519_PUBLIC]).unwrap().generation());
    let renamed = ES256_PUBLIC.replace("\"ec\"", "\"new\"");
    assert_ne!(both, set(&[&renamed, ED25519_PUBLIC]).unwrap().generation());
}

#[test]
fn inline_keys_are_there_at_once_and_never_fetched() {
    let mut store = KeyStore::new(&policy());
    assert!(matches!(store.access(INLINE, NOW, MAY), Access::Use(_)));
    assert!(matches!(
        store.access(INLINE, NOW + 10 * STALE, MAY),
        Access::Use(_)
    ));
    assert_eq!(store.refetch(INLINE, NOW, MAY), Refetch::No);
    store.fetched(INLINE, Some(jwks(&[ED25519_PUBLIC]).as_bytes()), NOW);
    let Access::Use(set) = store.access(INLINE, NOW, MAY) else {
        panic!()
    };
    assert_eq!(chosen(set, Some("ec"), ES256), "ec");
    for issuer in [SECRET, 3, u32::MAX] {
        assert!(matches!(store.access(issuer, NOW, MAY), Access::Unavailable(_)));
        assert_eq!(store.refetch(issuer, NOW, MAY), Refetch::No);
    }
}

fn is_use(access: &Access<'_>) -> bool {
    matches!(access, Access::Use(_))
}

#[test]
fn fetched_keys_age() {
    let answer = jwks(&[ES256_PUBLIC]);
    let mut store = KeyStore::new(&policy());
    assert!(!store.stands(REMOTE, 0, NOW));
    assert_eq!(store.access(REMOTE, NOW, MAY), Access::Fetch);
    assert_eq!(store.access(REMOTE, NOW, MAY), Access::Wait);
    assert!(matches!(
        store.access(REMOTE, NOW, NEITHER),
        Access::Unavailable(_)
    ));
    store.fetched(REMOTE, Some(answer.as_bytes()), NOW);
    let generation = store.generation(REMOTE).unwrap();

    assert!(is_use(&store.access(REMOTE, NOW + FRESH - 1, MAY)));
    assert!(store.stands(REMOTE, generation, NOW + FRESH - 1));
    assert!(!store.stands(REMOTE, generation + 1, NOW));
    // From now on one request in 30 s asks again, and the others use what there is.
    let old = NOW + FRESH;
    assert!(!store.stands(REMOTE, generation, old));
    assert_eq!(store.access(REMOTE, old, MAY), Access::Fetch);
    assert!(is_use(&store.access(REMOTE, old, MAY)));
    assert!(is_use(&store.access(REMOTE, old + COOL_DOWN - 1, MAY)));
    assert_eq!(store.access(REMOTE, old + COOL_DOWN, MAY), Access::Fetch);
    // What comes back useless changes nothing.
    for useless in [None, Some(&b""[..]), Some(b"{\"keys\":[]}"), Some(b"<html>")] {
        store.fetched(REMOTE, useless, old + COOL_DOWN);
        assert!(is_use(&store.access(REMOTE, old + COOL_DOWN, MAY)));
        assert_eq!(store.generation(REMOTE), Some(generation));
    }
    assert!(is_use(&store.access(REMOTE, old + 2 * COOL_DOWN - 1, MAY)));
    assert_eq!(store.access(REMOTE, old + 2 * COOL_DOWN, MAY), Access::Fetch);
    // Until they are too old.
    assert!(is_use(&store.access(REMOTE, NOW + STALE - 1, NEITHER)));
    assert!(matches!(
        store.access(REMOTE, NOW + STALE, NEITHER),
        Access::Unavailable(_)
    ));
    assert_eq!(store.access(REMOTE, NOW + STALE, MAY), Access::Fetch);
    // The same set again: fresh, and the same generation. Another one: another.
    store.fetched(REMOTE, Some(answer.as_bytes()), NOW + STALE);
    assert!(store.stands(REMOTE, generation, NOW + STALE));
    store.fetched(REMOTE, Some(jwks(&[ED25519_PUBLIC]).as_bytes()), NOW + STALE);
    assert!(!store.stands(REMOTE, generation, NOW + STALE));
}

#[test]
fn failing_fetches_are_not_hammered() {
    let mut store = KeyStore::new(&policy());
    assert_eq!(store.access(REMOTE, NOW, MAY), Access::Fetch);
    store.fetched(REMOTE, None, NOW);
    let failed = Access::Unavailable("they could not be fetched");
    assert_eq!(store.access(REMOTE, NOW, MAY), failed);
    assert_eq!(store.access(REMOTE, NOW + RETRY - 1, MAY), failed);
    assert_eq!(store.access(REMOTE, NOW + RETRY, MAY), Access::Fetch);
}

#[test]
fn one_fetch_is_claimed_at_a_time() {
    let mut store = KeyStore::new(&policy());
    assert_eq!(store.access(REMOTE, NOW, MAY), Access::Fetch);
    // An issuer that does not answer at all: the others wait, and whoever has waited enough does not.
    for now in [NOW, NOW + 1, NOW + CLAIM - 1] {
        for _ in 0..100 {
            assert_eq!(store.access(REMOTE, now, MAY), Access::Wait);
        }
        assert!(matches!(
            store.access(REMOTE, now, IMPATIENT),
            Access::Unavailable(_)
        ));
    }
    // A claim ends without its fetch: one of them makes the next.
    assert_eq!(store.access(REMOTE, NOW + CLAIM, MAY), Access::Fetch);
    assert_eq!(store.access(REMOTE, NOW + CLAIM, MAY), Access::Wait);
    // What comes in late is taken all the same, and the claim of the other is over with it.
    store.fetched(REMOTE, Some(jwks(&[ES256_PUBLIC]).as_bytes()), NOW + CLAIM + 1);
    assert!(is_use(&store.access(REMOTE, NOW + CLAIM + 1, MAY)));
}

#[test]
fn keys_are_fetched_anew_before_they_are_too_old() {
    let mut store = KeyStore::new(&policy());
    assert!(!store.refresh(REMOTE, NOW), "nothing was ever used");
    store.fetched(REMOTE, Some(jwks(&[ES256_PUBLIC]).as_bytes()), NOW);
    let early = NOW + FRESH - EARLY;
    assert!(!store.refresh(REMOTE, early - 1));
    assert!(store.refresh(REMOTE, early));
    assert!(!store.refresh(REMOTE, early), "once");
    assert!(!store.refresh(REMOTE, early + COOL_DOWN - 1));
    assert!(is_use(&store.access(REMOTE, early, MAY)), "nobody waits");
    assert!(store.refresh(REMOTE, early + COOL_DOWN), "it was lost");
    store.fetched(REMOTE, Some(jwks(&[ES256_PUBLIC]).as_bytes()), early + COOL_DOWN);
    assert!(!store.refresh(REMOTE, NOW + FRESH - 1));
    assert!(is_use(&store.access(REMOTE, early + COOL_DOWN + FRESH - 1, MAY)));
    // Later than that a request has to ask, and those that are in the policy are never asked for.
    assert!(!store.refresh(REMOTE, early + COOL_DOWN + FRESH));
    for issuer in [INLINE, SECRET, 3] {
        assert!(!store.refresh(issuer, NOW));
    }
}

#[test]
fn an_unknown_key_is_looked_for_once_in_thirty_seconds() {
    let mut store = KeyStore::new(&policy());
    assert_eq!(store.access(REMOTE, NOW, MAY), Access::Fetch);
    store.fetched(REMOTE, Some(jwks(&[ES256_PUBLIC]).as_bytes()), NOW);
    let soon = NOW + COOL_DOWN;
    assert_eq!(store.refetch(REMOTE, soon - 1, MAY), Refetch::No);
    assert_eq!(store.refetch(REMOTE, soon, NEITHER), Refetch::No);
    assert_eq!(store.refetch(REMOTE, soon, MAY), Refetch::Fetch);
    // Whoever has such a key meanwhile learns what comes of that.
    assert_eq!(store.refetch(REMOTE, soon, MAY), Refetch::Wait);
    assert_eq!(store.refetch(REMOTE, soon, IMPATIENT), Refetch::No);
    assert_eq!(store.refetch(REMOTE, soon + CLAIM, MAY), Refetch::No);
    // The answer counts, when it comes late.
    store.fetched(REMOTE, None, NOW + 2 * COOL_DOWN);
    assert_eq!(store.refetch(REMOTE, NOW + 2 * COOL_DOWN, MAY), Refetch::No);
    assert_eq!(store.refetch(REMOTE, NOW + 3 * COOL_DOWN, MAY), Refetch::Fetch);
}
