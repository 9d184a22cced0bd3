//! A DPoP proof (RFC 9449): a token, signed with the caller's own key for this one request, which says that the caller
//! of the request has the key to which the access token is bound.
//!
//! The key comes with the proof, and is believed only because its thumbprint is in the access token, which its
//! issuer signed. All of section 4.3 is checked before the signature, which WebCrypto verifies; after it an object is
//! asked whether the proof was used before.

use jwt_compact::UntrustedToken;
use serde::{Deserialize, Serialize};
use sha2::{Digest, Sha256};
use turnpike_policy::{Algorithm, Millis, Timestamp};

use super::encoding::from_base64url;
use super::flow::has_form;
use super::json::{Json, Members};
use super::jwk::Key;
use super::work::{Work, note};
use super::{Presented, Refusal};
use crate::accept;

/// The most bytes of a proof: as many as a token has.
const MAX_PROOF: usize = 8 * 1024;
/// The most bytes of `jti`.
const MAX_ID: usize = 255;
/// How old a proof may be, in milliseconds, beside what clocks may differ by.
const LIFETIME: Millis = 60_000;
/// How much longer than it is good a proof is remembered, in milliseconds: clocks of the platform may differ too.
const REMEMBERED: Millis = 30_000;
/// The last second of the year 9999.
const LAST_SECOND: i64 = 253_402_300_799;

/// Members of a header that change what is signed (as for access tokens).
const REFUSED: [&str; 4] = ["crit", "b64", "enc", "zip"];

/// A proof of which everything has been checked but the signature, and whether it is new.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub(super) struct Proof {
    pub(super) algorithm: Algorithm,
    /// Its key, a JWK with its required members only.
    pub(super) key: String,
    pub(super) input: Vec<u8>,
    pub(super) signature: Vec<u8>,
    /// What it is known by.
    pub(super) id: [u8; 32],
    /// The thumbprint of its key.
    pub(super) thumbprint: [u8; 32],
    /// Until when it must be remembered.
    pub(super) until: Timestamp,
}

/// Checks the proof of a request for a token that is bound to `key`.
pub(super) fn check(
    token: &str,
    key: &[u8; 32],
    presented: &Presented<'_>,
    skew: Millis,
    now: Timestamp,
) -> Result<Proof, Refusal> {
    let no = |why| Err(Refusal::Proof(why));
    let Some(text) = presented.proof else {
        return no("there is no `DPoP` header");
    };
    // Repeated headers are joined by a comma, which no proof has.
    if text.contains(',') {
        return no("there is more than one `DPoP` header");
    }
    if text.len() > MAX_PROOF {
        return no("the proof is longer than 8 KiB");
    }
    let parts = text.split('.').count();
    let read = UntrustedToken::<Members>::try_from(text).ok();
    let Some(proof) = read.filter(|_| parts == 3) else {
        return no("the proof is not what RFC 7515 asks for");
    };
    let kind = proof.header().token_type.as_deref().unwrap_or_default();
    let kind = kind.strip_prefix("application/").unwrap_or(kind);
    if !kind.eq_ignore_ascii_case("dpop+jwt") {
        return no("the proof's `typ` is not `dpop+jwt`");
    }
    let algorithm = Algorithm::from_name(proof.algorithm());
    let Some(algorithm) = algorithm.filter(|algorithm| !algorithm.is_hmac()) else {
        return no("the proof's `alg` is not one of public keys that is supported");
    };
    if proof.header().other_fields.has_any(&REFUSED) {
        return no("the proof's header has a member that is not supported");
    }
    let own = own_key(&proof)?;
    if !own.fits(algorithm) {
        return no("the proof's `alg` is not one for its key");
    }
    note(Work::Hash);
    if Sha256::digest(&own.json)[..] != key[..] {
        return no("the proof's key is not the one that the token is bound to");
    }
    if !has_form(&own, proof.signature_bytes()) {
        return no("the proof's signature does not have the form of its algorithm");
    }
    let (id, until) = claims(&proof, token, presented, skew, now)?;
    let (input, _) = text.rsplit_once('.').unwrap_or_default();
    note(Work::Hash);
    Ok(Proof {
        algorithm,
        key: own.json,
        input: input.as_bytes().to_vec(),
        signature: proof.signature_bytes().to_vec(),
        // The thumbprint has one length, so what follows it is the id alone.
        thumbprint: *key,
        id: Sha256::new().chain_update(key).chain_update(id).finalize().into(),
        until,
    })
}

/// The public key in the header of a proof.
fn own_key(proof: &UntrustedToken<'_, Members>) -> Result<Key, Refusal> {
    let key = proof.header().other_fields.get("jwk");
    let key = key.ok_or(Refusal::Proof("the proof has no `jwk`"))?;
    // Why not is of no use to anybody but its maker, who sees it: a private key, for example, is not repeated.
    Key::from_json(key).map_err(|_| Refusal::Proof("the proof's `jwk` is not a public key that is supported"))
}

/// Checks what a proof claims; says how it is called, and until when it must be remembered.
fn claims(
    proof: &UntrustedToken<'_, Members>,
    token: &str,
    presented: &Presented<'_>,
    skew: Millis,
    now: Timestamp,
) -> Result<(String, Timestamp), Refusal> {
    let no = |why| Err(Refusal::Proof(why));
    let Ok(claims) = proof.deserialize_claims_unchecked::<Members>() else {
        return no("the proof's claims are not what RFC 7519 asks for");
    };
    let text = |name: &str| claims.custom.get(name).and_then(Json::text);
    if text("htm") != Some(presented.method) {
        return no("the proof's `htm` is not the method of the request");
    }
    let own = text("htu").and_then(target);
    if own.is_none() || own != target(presented.url) {
        return no("the proof's `htu` is not the URL of the request");
    }
    let issued = match claims.issued_at.map(|time| time.timestamp()) {
        Some(seconds @ 0..=LAST_SECOND) => seconds.unsigned_abs() * 1000,
        _ => return no("the proof's `iat` is missing"),
    };
    // Fractions of a second were cut off by the decoder.
    let end = issued.saturating_add(LIFETIME + 1000).saturating_add(skew);
    if now >= end {
        return no("the proof's `iat` is too long ago");
    }
    if issued > now.saturating_add(skew) {
        return no("the proof's `iat` is in the future");
    }
    let past = |time: i64| time < i64::try_from(now.saturating_sub(skew) / 1000).unwrap_or(i64::MAX);
    if claims.expiration.is_some_and(|time| past(time.timestamp())) {
        return no("the proof has expired");
    }
    let hash = text("ath").and_then(from_base64url);
    note(Work::Hash);
    if hash.as_deref() != Some(&Sha256::digest(token)[..]) {
        return no("the proof's `ath` is not the hash of the token");
    }
    match text("jti") {
        Some(id) if (1..=MAX_ID).contains(&id.len()) => Ok((id.to_owned(), end.saturating_add(REMEMBERED))),
        _ => no("the proof's `jti` is missing, or longer than 255 bytes"),
    }
}

/// A URL without query and fragment, in one form (RFC 3986, 6.2.2 and 6.2.3).
fn target(url: &str) -> Option<String> {
    let (scheme, _) = url.split_once("://")?;
    let scheme = scheme.to_ascii_lowercase();
    let (authority, path) = accept::place_of(url)?;
    let authority = authority.to_ascii_lowercase();
    let port = match scheme.as_str() {
        "https" => ":443",
        "http" => ":80",
        _ => return None,
    };
    let authority = authority.strip_suffix(port).unwrap_or(&authority);
    let path = accept::canonical_path(path).ok()?;
    Some(format!("{scheme}://{authority}{path}"))
}
