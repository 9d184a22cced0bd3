//! Picks exactly one credential from the head of a request: an API key or a token, wherever the SDKs of models put
//! what they call a key.

use super::{ClientCertificate, Refusal};
use crate::shield::Shielded;

/// The most bytes that a credential may have.
pub(super) const MAX_TOKEN: usize = 8 * 1024;
/// The most bytes that an API key may have.
const MAX_KEY: usize = 256;
/// What every API key begins with.
const KEY_PREFIX: &str = "tpk_";

/// The headers of a request that may carry a credential; the values of a repeated header are joined
/// by commas (RFC 9110, 5.3).
#[derive(Clone, Copy, Debug)]
#[cfg_attr(test, derive(Default))]
pub(crate) struct Presented<'a> {
    /// The request has passed the shield.
    pub shielded: Shielded,
    /// `Authorization`.
    pub authorization: Option<&'a str>,
    /// `x-api-key`.
    pub x_api_key: Option<&'a str>,
    /// `api-key`.
    pub api_key: Option<&'a str>,
    /// `x-goog-api-key`.
    pub x_goog_api_key: Option<&'a str>,
    /// What stands where the policy says besides: in a header or a parameter of the query. An API key, if it is
    /// anything.
    pub other: Option<&'a str>,
    /// More than one value stands there.
    pub several: bool,
    /// What the platform says of the client's certificate, where the policy asks for it.
    pub certificate: Option<ClientCertificate<'a>>,
    /// `DPoP`, where the policy takes tokens that are bound to a key.
    pub proof: Option<&'a str>,
    /// The method of the request, for what a proof says of it.
    pub method: &'a str,
    /// Its URL, for the same.
    pub url: &'a str,
    /// Whether `Authorization: DPoP` may carry a token.
    pub dpop: bool,
}

impl Presented<'_> {
    /// Of a request of which nothing is looked at again.
    pub(crate) const fn nothing(shielded: Shielded) -> Self {
        Self {
            shielded,
            authorization: None,
            x_api_key: None,
            api_key: None,
            x_goog_api_key: None,
            other: None,
            several: false,
            certificate: None,
            proof: None,
            method: "",
            url: "",
            dpop: false,
        }
    }

    /// Whether `Authorization` says that its token comes with a proof (RFC 9449, 7.1).
    pub(crate) fn is_dpop(&self) -> bool {
        let scheme = |value: &str| {
            let scheme = value.split_once(' ');
            scheme.is_some_and(|(scheme, _)| scheme.eq_ignore_ascii_case("dpop"))
        };
        self.dpop && self.authorization.is_some_and(scheme)
    }
}

/// A credential, by its form.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Credential<'a> {
    /// Anything else that has the form of one: a token, if it is anything.
    Token(&'a str),
    /// An API key, `tpk_<id>_<secret>`.
    Key {
        /// The whole key, as it is hashed.
        key: &'a str,
        /// Its public part.
        id: &'a str,
    },
}

/// The one credential of a request.
///
/// The same value in several headers is one credential; two that differ are refused, because
/// whoever stands before or behind the gateway might believe the other one.
/// `schemes` are those of `Authorization` that may carry an API key besides `Bearer`, in lower case.
pub(super) fn pick<'a>(presented: &Presented<'a>, schemes: &[String]) -> Result<Credential<'a>, Refusal> {
    let keys = [
        presented.x_api_key,
        presented.api_key,
        presented.x_goog_api_key,
        presented.other,
    ];
    let sent = keys.iter().flatten().count() + usize::from(presented.authorization.is_some());
    let dpop = presented.is_dpop();
    let bearer = |value| bearer(value, schemes, dpop);
    let unreadable = |value| bearer(value).is_err();
    if presented.several || sent > 1 && presented.authorization.is_some_and(unreadable) {
        return Err(Refusal::Ambiguous);
    }
    if presented
        .other
        .is_some_and(|value| !value.starts_with(KEY_PREFIX))
    {
        return Err(Refusal::Malformed(
            "what stands there is not an API key, `tpk_...`",
        ));
    }
    let bearer = presented.authorization.map(bearer).transpose()?;
    let mut values = bearer.into_iter().chain(keys.into_iter().flatten());
    let Some(value) = values.next() else {
        return Err(Refusal::Missing);
    };
    if values.any(|other| other != value) {
        return Err(Refusal::Ambiguous);
    }
    if value.len() > MAX_TOKEN {
        return Err(Refusal::Malformed("the credential is longer than 8 KiB"));
    }
    if let Some(rest) = value.strip_prefix(KEY_PREFIX) {
        if dpop {
            return Err(Refusal::Malformed("the scheme `DPoP` is for tokens"));
        }
        return api_key(value, rest);
    }
    if bearer.is_none() && !is_b64token(value) {
        return Err(several(value, "it is neither an API key, `tpk_...`, nor a token"));
    }
    Ok(Credential::Token(value))
}

/// Why a value cannot be a credential: several are joined by a comma, or `why`.
fn several(value: &str, why: &'static str) -> Refusal {
    if value.contains(',') {
        Refusal::Ambiguous
    } else {
        Refusal::Malformed(why)
    }
}

/// What stands behind `Bearer` (RFC 6750, 2.1), `DPoP`, or behind another scheme of the policy's.
fn bearer<'a>(value: &'a str, schemes: &[String], dpop: bool) -> Result<&'a str, Refusal> {
    let Some((scheme, rest)) = value.split_once(' ') else {
        return Err(Refusal::Malformed(
            "`Authorization` is not `Bearer` and a credential",
        ));
    };
    let token = rest.trim_start_matches(' ');
    if !dpop && !scheme.eq_ignore_ascii_case("bearer") {
        if !schemes.iter().any(|known| scheme.eq_ignore_ascii_case(known)) {
            return Err(Refusal::Malformed(
                "the scheme of `Authorization` is not `Bearer`",
            ));
        }
        if !token.starts_with(KEY_PREFIX) {
            return Err(Refusal::Malformed(
                "this scheme of `Authorization` is for API keys",
            ));
        }
    }
    if !is_b64token(token) {
        return Err(several(token, "what follows `Bearer` is not a b64token"));
    }
    Ok(token)
}

/// Whether a text is a b64token (RFC 6750, 2.1).
fn is_b64token(token: &str) -> bool {
    let unpadded = token.trim_end_matches('=');
    let allowed = |byte: u8| B64TOKEN.get(usize::from(byte)).is_some_and(|allowed| *allowed);
    // To the end, whatever it finds: quicker than to ask after each byte whether to go on.
    !unpadded.is_empty() && unpadded.bytes().fold(true, |all, byte| all & allowed(byte))
}

/// Which bytes a b64token may have before its padding. A table, as this is asked of every byte of
/// every token.
const B64TOKEN: [bool; 256] = {
    let mut table = [false; 256];
    let mut rest: &[u8] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-._~+/";
    while let [byte, others @ ..] = rest {
        if let Some(entry) = table.split_at_mut(*byte as usize).1.first_mut() {
            *entry = true;
        }
        rest = others;
    }
    table
};

fn api_key<'a>(key: &'a str, rest: &'a str) -> Result<Credential<'a>, Refusal> {
    const FORM: &str = "an API key is `tpk_<id>_<secret>`";
    let Some((id, secret)) = rest.split_once('_') else {
        return Err(several(key, FORM));
    };
    let word = |byte: u8| byte.is_ascii_alphanumeric() || byte == b'-';
    let right = key.len() <= MAX_KEY
        && (1..=64).contains(&id.len())
        && id.bytes().all(word)
        && !secret.is_empty()
        && secret.bytes().all(|byte| word(byte) || byte == b'_');
    if right {
        Ok(Credential::Key { key, id })
    } else {
        Err(several(key, FORM))
    }
}
