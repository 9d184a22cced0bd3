//! Verifies signatures here instead of in WebCrypto, so that tests go through one interface.

use jwt_compact::alg::{Ed25519, Es256, Rsa, RsaPublicKey};
use jwt_compact::jwk::JsonWebKey;
use jwt_compact::{Algorithm as Verifier, AlgorithmSignature};
use turnpike_policy::Algorithm;

use super::super::VerifyAsk;

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
    match algorithm {
        Algorithm::RS256 => {
            RsaPublicKey::try_from(&jwk).is_ok_and(|key| check(&Rsa::rs256(), &key, input, signature))
        }
        Algorithm::ES256 => <Es256 as Verifier>::VerifyingKey::try_from(&jwk)
            .is_ok_and(|key| check(&Es256, &key, input, signature)),
        Algorithm::EdDSA => <Ed25519 as Verifier>::VerifyingKey::try_from(&jwk)
            .is_ok_and(|key| check(&Ed25519, &key, input, signature)),
        Algorithm::HS256 | Algorithm::HS384 | Algorithm::HS512 => false,
    }
}
