//! Verifies signatures here instead of in WebCrypto, so that tests go through one interface.

use jwt_compact::alg::{Ed25519, Es256, Rsa, RsaPublicKey};
use jwt_compact::jwk::JsonWebKey;
use jwt_compact::{Algorithm as Verifier, AlgorithmSignature};
use p384::ecdsa::signature::Verifier as _;
use p384::ecdsa::{Signature, VerifyingKey};
use turnpike_policy::{Algorithm, KeyKind};

use super::super::encoding::from_base64url;
use super::super::flow::VerifyAsk;

/// What the shell answers to [`super::super::Outcome::Verify`].
pub(super) fn verify(ask: &VerifyAsk) -> bool {
    verify_parts(ask.algorithm, &ask.key, &ask.signing_input, &ask.signature)
}

/// Whether a signature is right by a public key (a JWK).
pub(super) fn verify_parts(algorithm: Algorithm, key: &str, input: &[u8], signature: &[u8]) -> bool {
    fn check<V: Verifier>(verifier: &V, key: &V::VerifyingKey, input: &[u8], signature: &[u8]) -> bool {
        V::Signature::try_from_slice(signature)
            .is_ok_and(|signature| verifier.verify_signature(&signature, key, input))
    }
    let Ok(jwk) = serde_json::from_str::<JsonWebKey<'_>>(key) else {
        return false;
    };
    let rsa = |rsa: Rsa| RsaPublicKey::try_from(&jwk).is_ok_and(|key| check(&rsa, &key, input, signature));
    match algorithm.key_kind() {
        KeyKind::Rsa => rsa(Rsa::with_name(algorithm.name())),
        KeyKind::P256 => <Es256 as Verifier>::VerifyingKey::try_from(&jwk)
            .is_ok_and(|key| check(&Es256, &key, input, signature)),
        KeyKind::P384 => p384(key, input, signature).unwrap_or(false),
        // Its decoder panics at another length; WebCrypto says no.
        KeyKind::Ed25519 if signature.len() != 64 => false,
        KeyKind::Ed25519 => <Ed25519 as Verifier>::VerifyingKey::try_from(&jwk)
            .is_ok_and(|key| check(&Ed25519, &key, input, signature)),
        KeyKind::Secret => false,
    }
}

/// ES384, which `jwt-compact` does not have.
fn p384(key: &str, input: &[u8], signature: &[u8]) -> Option<bool> {
    let key: serde_json::Value = serde_json::from_str(key).ok()?;
    let part = |name: &str| from_base64url(key[name].as_str()?);
    let point = [vec![4], part("x")?, part("y")?].concat();
    let key = VerifyingKey::from_sec1_bytes(&point).ok()?;
    let signature = Signature::from_slice(signature).ok()?;
    Some(key.verify(input, &signature).is_ok())
}
