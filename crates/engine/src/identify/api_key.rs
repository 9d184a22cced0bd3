//! API keys: known by the SHA-256 of the whole key. (They are long and random, so that a plain hash
//! is enough; a password would need more.)

use std::hint::black_box;

use sha2::{Digest, Sha256};
use turnpike_policy::{Compiled, Timestamp};

use super::{CredentialKind, Principal, Refusal};

/// The principal of an API key.
///
/// The list is searched by hash. What the time of that search tells is about a hash, not a key, and
/// the decision itself is a comparison of all 32 bytes, whether or not something was found.
pub(super) fn find(policy: &Compiled, key: &str, id: &str, now: Timestamp) -> Result<Principal, Refusal> {
    let hash: [u8; 32] = Sha256::digest(key).into();
    let place = policy.keys.partition_point(|known| known.sha256 < hash);
    let candidate = policy.keys.get(place).or(policy.keys.last());
    let Some(known) = candidate.filter(|known| equal(&known.sha256, &hash)) else {
        return Err(Refusal::KeyRevokedOrUnknown);
    };
    if known.expires.is_some_and(|expires| now >= expires) {
        return Err(Refusal::KeyExpired);
    }
    Ok(Principal {
        consumer: known.consumer,
        issuer: None,
        subject: id.to_owned(),
        scopes: known.scopes.clone(),
        claims: Vec::new(),
        credential: CredentialKind::Key,
        expires: known.expires,
    })
}

/// Compares in a time that does not depend on the bytes.
fn equal(one: &[u8; 32], other: &[u8; 32]) -> bool {
    let differing = one
        .iter()
        .zip(other)
        .fold(0, |bits, (a, b)| black_box(bits | (a ^ b)));
    black_box(differing) == 0
}
