//! What an issuer says of itself: the one thing that is taken from its metadata (`OpenID` Connect
//! Discovery, RFC 8414) is where its keys are.
//!
//! That address is fetched by the gateway, so it is held against the policy first: it lies on the
//! metadata's own origin, or on one that the policy names (CVE-2026-41413, CVE-2026-49478).

use super::json::Json;
use super::keys::MAX_SET;

/// The URL of the keys that an issuer's metadata names.
///
/// `from` is where the metadata was fetched, `origins` are those that the policy allows beside its
/// origin. The error says why it is not used.
pub(super) fn keys_url(
    answer: &[u8],
    issuer: &str,
    from: &str,
    origins: &[String],
) -> Result<String, &'static str> {
    if u32::try_from(answer.len()).map_or(true, |len| len > MAX_SET) {
        return Err("the metadata are larger than 256 KiB");
    }
    let metadata = Json::read(answer);
    let metadata = metadata
        .as_ref()
        .and_then(Json::object)
        .ok_or("the metadata are not a JSON object of members named once")?;
    // RFC 8414, 3.3: identical, or whoever serves this speaks for somebody else.
    if metadata.get("issuer").and_then(Json::text) != Some(issuer) {
        return Err("the metadata's `issuer` is not the issuer");
    }
    let url = metadata
        .get("jwks_uri")
        .and_then(Json::text)
        .ok_or("the metadata have no `jwks_uri`")?;
    let place = origin(url).ok_or("the metadata's `jwks_uri` is not a plain URL")?;
    let own = origin(from).is_some_and(|own| own == place);
    if own
        || origins
            .iter()
            .any(|allowed| origin(allowed).as_ref() == Some(&place))
    {
        Ok(url.to_owned())
    } else {
        Err("the metadata's `jwks_uri` lies on an origin that the policy does not name")
    }
}

/// Scheme, host and port of a URL, in one form. None for whatever two readers might understand
/// differently: credentials, backslashes, spaces, escapes in the host, fragments.
fn origin(url: &str) -> Option<String> {
    const LONGEST: usize = 2048;
    let plain = |byte: u8| byte.is_ascii_graphic() && !matches!(byte, b'\\' | b'#');
    if url.len() > LONGEST || !url.bytes().all(plain) {
        return None;
    }
    let (scheme, rest) = url.split_once("://")?;
    let standard = match scheme {
        "https" => ":443",
        "http" => ":80",
        _ => return None,
    };
    let authority = rest.split(['/', '?']).next()?;
    let allowed = |byte: u8| byte.is_ascii_alphanumeric() || b".-:[]".contains(&byte);
    if authority.is_empty() || !authority.bytes().all(allowed) {
        return None;
    }
    let authority = authority.strip_suffix(standard).unwrap_or(authority);
    Some(format!("{scheme}://{}", authority.to_ascii_lowercase()))
}
