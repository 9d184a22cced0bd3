use std::sync::LazyLock;

use proptest::prelude::*;
use turnpike_policy::Algorithm::{ES256, EdDSA, HS256};

use super::super::keys::KeySet;
use super::super::{Outcome, Part, Presented, begin, keys_fetched};
use super::flow::without_a_copy;
use super::*;

static POLICY: LazyLock<Compiled> = LazyLock::new(policy);

proptest! {
    #![proptest_config(ProptestConfig { cases: 500, ..ProptestConfig::default() })]

    #[test]
    fn any_head_is_answered(
        authorization in proptest::option::of(".{0,60}"),
        x_api_key in proptest::option::of("(tpk_)?[a-z_.,]{0,30}"),
        api_key in proptest::option::of("(tpk_)?[a-z_.,]{0,30}"),
    ) {
        let (a, x, k) = (authorization.as_deref(), x_api_key.as_deref(), api_key.as_deref());
        let head = Presented {
            authorization: a, x_api_key: x, api_key: k, x_goog_api_key: x, other: k, several: false,
            proof: k, method: "GET", url: "https://api.example/", dpop: x.is_some(), ..Presented::default()
        };
        let outcome = begin(&POLICY, &mut store(&POLICY), &head, NOW);
        prop_assert!(matches!(outcome, Outcome::Refused(_)));
    }

    #[test]
    fn any_token_is_answered(header in ".{0,80}", payload in ".{0,80}", signature in any::<Vec<u8>>()) {
        let token = format!(
            "{}.{}.{}", base64url(header.as_bytes()), base64url(payload.as_bytes()), base64url(&signature)
        );
        prop_assert!(once(&token).is_err());
    }

    #[test]
    fn any_members_are_answered(
        name in "alg|kid|typ|cty|jku|x5t|x5c|x5t#S256|exp|nbf|iat|iss|aud|sub|scope|scp|client_id",
        value in prop_oneof![
            any::<i64>().prop_map(|n| json!(n)), any::<u64>().prop_map(|n| json!(n)),
            any::<f64>().prop_map(|n| json!(n)), any::<String>().prop_map(|s| json!(s)),
            any::<Vec<String>>().prop_map(|s| json!(s)), Just(json!(null)), Just(json!({"a": [1]})),
        ],
        now in any::<u64>(),
    ) {
        let header = json!({"alg": "HS256", &name: &value}).to_string();
        let _ = once(&sign_raw(HS256, &header, &good(SECRET).to_string()));
        let changed = sign(HS256, &claims(SECRET, &[(&name, Some(value))]));
        let mut store = store(&POLICY);
        let _ = identify(&POLICY, &mut store, &changed, now);
        let _ = identify(&POLICY, &mut store, &changed, NOW);
    }

    #[test]
    fn any_key_set_is_answered(bytes in any::<Vec<u8>>(), text in "[{}\\[\\]\":,a-z0-9]{0,60}", now in any::<u64>()) {
        prop_assert!(KeySet::from_jwks(&bytes).is_err());
        let keys = jwks(&[&text]);
        let _ = KeySet::from_jwks(keys.as_bytes());
        let mut store = store(&POLICY);
        let head = Presented { authorization: Some("Bearer a.b.c"), ..Presented::default() };
        for issuer in [0, 1, 2, 3, u32::MAX] {
            for part in [Part::Metadata, Part::Keys] {
                let outcome =
                    keys_fetched(&POLICY, &mut store, (issuer, part), Some(keys.as_bytes()), &head, now);
                let outcome = without_a_copy(&POLICY, &mut store, outcome, &head, now);
                prop_assert!(matches!(outcome, Outcome::Refused(_)));
            }
        }
    }

    #[test]
    fn any_member_of_a_key_is_answered(
        name in "kty|crv|alg|use|key_ops|kid|n|e|x|y|d",
        value in prop_oneof![
            any::<String>().prop_map(|s| json!(s)), "[A-Za-z0-9_-]{0,60}".prop_map(|s| json!(s)),
            any::<Vec<String>>().prop_map(|s| json!(s)), any::<i32>().prop_map(|n| json!(n)),
        ],
    ) {
        let mut key: serde_json::Value = serde_json::from_str(ES256_PUBLIC).unwrap();
        key[&name] = value;
        if let Ok(set) = KeySet::from_jwks(jwks(&[&key.to_string()]).as_bytes()) {
            // Whatever it is called, it is the same key.
            prop_assert!(["kid", "use", "key_ops", "x", "y", "n", "e"].contains(&name.as_str()));
            let _ = set.choose(None, ES256);
        }
    }

    #[test]
    fn any_change_of_one_byte_is_refused(place in any::<prop::sample::Index>(), byte in 0x20u8..0x7f) {
        let token = sign(HS256, &good(SECRET));
        let mut changed = token.clone().into_bytes();
        let place = place.index(changed.len());
        prop_assume!(changed[place] != byte);
        changed[place] = byte;
        let mut store = store(&POLICY);
        prop_assert!(identify(&POLICY, &mut store, &token, NOW).is_ok());
        let changed = String::from_utf8(changed).unwrap();
        prop_assert!(identify(&POLICY, &mut store, &changed, NOW).is_err());
        prop_assert!(identify(&POLICY, &mut store, &token, NOW).is_ok());
    }
}

#[test]
fn changed_tokens_are_refused_with_public_keys_too() {
    let mut store = store(&POLICY);
    for algorithm in [ES256, EdDSA] {
        let token = sign(algorithm, &good(INLINE));
        assert!(identify(&POLICY, &mut store, &token, NOW).is_ok());
        // Signatures are slow without optimization: every seventh place, with one other character.
        for place in (0..token.len()).step_by(7).chain([token.len() - 1]) {
            let mut changed = token.clone().into_bytes();
            changed[place] = if changed[place] == b'A' { b'Q' } else { b'A' };
            let changed = String::from_utf8(changed).unwrap();
            assert!(identify(&POLICY, &mut store, &changed, NOW).is_err(), "{place}");
        }
    }
}

#[test]
fn every_change_of_one_character_is_refused() {
    let mut store = store(&POLICY);
    let token = sign(HS256, &good(SECRET));
    assert!(identify(&POLICY, &mut store, &token, NOW).is_ok());
    for place in 0..token.len() {
        for byte in (0x20..0x7f).step_by(3) {
            let mut changed = token.clone().into_bytes();
            if changed[place] != byte {
                changed[place] = byte;
                let changed = String::from_utf8(changed).unwrap();
                assert!(
                    identify(&POLICY, &mut store, &changed, NOW).is_err(),
                    "{place} {byte}"
                );
            }
        }
    }
}
