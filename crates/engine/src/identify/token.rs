//! A token's form: a JWS in compact serialization (RFC 7515, 7.1), read strictly. Nothing here is
//! believed yet.
//!
//! `jwt-compact` decodes; the checks before and after it are what RFC 8725 asks for beyond that.

use jwt_compact::{Claims, ParseError, UntrustedToken};
use turnpike_policy::Algorithm;

use super::Refusal;
use super::credential::MAX_TOKEN;
use super::encoding::from_base64url;
use super::json::Members;

/// The most characters that the header's part may have: 4 KiB of JSON.
const MAX_HEADER: usize = 4096 / 3 * 4 + 2;
/// The most bytes that a key's name may have.
const MAX_KEY_ID: usize = 512;

/// Header members that change what is signed, what the payload is, or which key is right in a way
/// that is not supported, so that a token with one of them must not be taken (RFC 7515, 4.1.11;
/// RFC 7797; RFC 7516). `jwk` is refused because an access token has no reason to bring a key.
/// `jku`, `x5u`, `x5c` and `x5t` may be there: some issuers send them, RFC 7515 lets a verifier
/// that knows its keys otherwise ignore them, and that is done.
const REFUSED: [&str; 5] = ["crit", "b64", "jwk", "enc", "zip"];

/// A token whose form and header are right and of which nothing else is known.
pub(super) struct Unverified<'a> {
    /// `alg`.
    pub(super) algorithm: Algorithm,
    /// What is signed.
    pub(super) input: &'a str,
    /// Whether `typ` says that it is an access token (RFC 9068, 2.1).
    pub(super) access: bool,
    token: UntrustedToken<'a, Members>,
}

impl Unverified<'_> {
    /// `kid`.
    pub(super) fn key_id(&self) -> Option<&str> {
        self.token.header().key_id.as_deref()
    }

    /// The signature; how long it must be depends on the key.
    pub(super) fn signature(&self) -> &[u8] {
        self.token.signature_bytes()
    }

    /// `exp`, `nbf` and `iat` as numbers, and all other claims.
    pub(super) fn claims(&self) -> Result<Claims<Members>, Refusal> {
        self.token
            .deserialize_claims_unchecked()
            .map_err(|_| Refusal::Malformed("the token's claims are not what RFC 7519 asks for"))
    }
}

/// Reads a token.
pub(super) fn parse(text: &str) -> Result<Unverified<'_>, Refusal> {
    if text.len() > MAX_TOKEN {
        return Err(Refusal::Malformed("the token is longer than 8 KiB"));
    }
    let mut parts = text.split('.');
    let (Some(header), Some(_), Some(_), None) = (parts.next(), parts.next(), parts.next(), parts.next())
    else {
        return Err(Refusal::Malformed("the token does not have three parts"));
    };
    if header.len() > MAX_HEADER {
        return Err(Refusal::Malformed("the token's header is longer than 4 KiB"));
    }
    // Canonical base64url, JSON objects without anything behind, names only once, `cty` not `JWT`.
    let token = UntrustedToken::<Members>::try_from(text)
        .map_err(|error| Refusal::Malformed(damaged(text, &error)))?;
    let algorithm = Algorithm::from_name(token.algorithm())
        .ok_or(Refusal::AlgorithmNotAllowed("the token's `alg` is not supported"))?;
    if token.header().other_fields.has_any(&REFUSED) {
        return Err(Refusal::Malformed(
            "the token's header has a member that is not supported",
        ));
    }
    let kind = token.header().token_type.as_deref().unwrap_or("JWT");
    let kind = kind.strip_prefix("application/").unwrap_or(kind);
    let access = kind.eq_ignore_ascii_case("at+jwt");
    if !kind.eq_ignore_ascii_case("JWT") && !access {
        return Err(Refusal::Malformed(
            "the token's `typ` is neither `JWT` nor `at+jwt`",
        ));
    }
    if token
        .header()
        .key_id
        .as_ref()
        .is_some_and(|id| id.len() > MAX_KEY_ID)
    {
        return Err(Refusal::Malformed("the token's `kid` is longer than 512 bytes"));
    }
    let (input, _) = text.rsplit_once('.').unwrap_or_default();
    Ok(Unverified {
        algorithm,
        input,
        access,
        token,
    })
}

/// Which part of a token of three parts cannot be read. Of several it is the first; but an encoding is looked at
/// before what is encoded.
fn damaged(text: &str, error: &ParseError) -> &'static str {
    match error {
        ParseError::InvalidBase64Encoding => text
            .split('.')
            .zip([
                "the token's header is not base64url without padding",
                "the token's claims are not base64url without padding",
                "the token's signature is not base64url without padding",
            ])
            .find(|(part, _)| from_base64url(part).is_none())
            .map_or(
                "a part of the token is not base64url without padding",
                |(_, why)| why,
            ),
        ParseError::UnsupportedContentType(_) => "the token's `cty` is not `json`",
        _ => "the token's header is not what RFC 7515 asks for",
    }
}
