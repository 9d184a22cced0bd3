//! API keys: known by the SHA-256 of the whole key. (They are long and random, so that a plain hash
//! is enough; a password would need more.)

use std::hint::black_box;

use sha2::{Digest, Sha256};
use turnpike_policy::{Compiled, KeyCredential, Timestamp};

use super::work::{Work, note};
use super::{CredentialKind, Principal, Refusal};

/// The principal of an API key.
///
/// The list is searched by hash. What the time of that search tells is about a hash, not a key, and
/// the decision itself is a comparison of all 32 bytes, whether or not something was found. How many steps the
/// search takes is set by the length of the list alone; what is behind an empty list is compared too.
pub(super) fn find(policy: &Compiled, key: &str, id: &str, now: Timestamp) -> Result<Principal, Refusal> {
    note(Work::Hash);
    let hash: [u8; 32] = Sha256::digest(key).into();
    let candidate = policy.keys.get(place(&policy.keys, &hash));
    let candidate_hash = candidate.map_or(&[0; 32], |known| &known.sha256);
    let right = equal(candidate_hash, &hash);
    let Some(known) = candidate.filter(|_| right) else {
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

/// Where the last key lies whose hash is not above one; 0, where there is none. As many steps for every hash.
fn place(keys: &[KeyCredential], hash: &[u8; 32]) -> usize {
    note(Work::Lookup);
    let (mut base, mut size) = (0, keys.len());
    while size > 1 {
        note(Work::Probe);
        let half = size / 2;
        let below = keys.get(base + half).is_some_and(|known| known.sha256 <= *hash);
        base = if below { base + half } else { base };
        size -= half;
    }
    base
}

/// Compares in a time that does not depend on the bytes.
fn equal(one: &[u8; 32], other: &[u8; 32]) -> bool {
    note(Work::Compare);
    let differing = one
        .iter()
        .zip(other)
        .fold(0, |bits, (a, b)| black_box(bits | (a ^ b)));
    black_box(differing) == 0
}
