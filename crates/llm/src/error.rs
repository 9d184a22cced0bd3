//! Refusals and failures in the shape that the SDKs read.
//!
//! The SDKs choose the class of an error by its status and take `message`, `type`, `param` and
//! `code` from the object `error` of the body; inside a stream, whatever event holds such an object
//! ends the stream with an exception. Members that they do not know are kept where the program can
//! read them, so the gateway adds `request_id` and, where it explains itself, `policy`. Sources:
//! `OpenAI` API reference, "Error codes"; the packages `openai` of npm 6.49 and `PyPI` 3.54.

use serde::Deserialize;
use serde_json::value::RawValue;

use crate::json;

/// The body of an error: `{"error":{"message","type","param","code","request_id","policy"?}}`.
///
/// `param` is the member of the request that is at fault, `policy` the line of policy that decided.
pub fn body(
    status: u16,
    code: &str,
    message: &str,
    request_id: &str,
    param: Option<&str>,
    policy: Option<&str>,
) -> Vec<u8> {
    let mut out = Vec::with_capacity(192 + message.len());
    out.extend_from_slice(br#"{"error":{"message":"#);
    json::push_string(&mut out, message);
    out.extend_from_slice(br#","type":""#);
    out.extend_from_slice(kind(status).as_bytes());
    out.extend_from_slice(br#"","param":"#);
    match param {
        Some(param) => json::push_string(&mut out, param),
        None => out.extend_from_slice(b"null"),
    }
    out.extend_from_slice(br#","code":"#);
    json::push_string(&mut out, code);
    out.extend_from_slice(br#","request_id":"#);
    json::push_string(&mut out, request_id);
    if let Some(policy) = policy {
        out.extend_from_slice(br#","policy":"#);
        json::push_string(&mut out, policy);
    }
    out.extend_from_slice(b"}}");
    out
}

/// The event that tells of an error inside a stream: `data: {"error":{...}}`. No terminator follows
/// it. `status` is the one that would have been answered before the stream began.
pub fn event(status: u16, code: &str, message: &str, request_id: &str) -> Vec<u8> {
    event_of(&body(status, code, message, request_id, None, None))
}

/// The same of a body.
pub fn event_of(body: &[u8]) -> Vec<u8> {
    [b"data: ".as_slice(), body, b"\n\n"].concat()
}

/// The `type` that goes with a status.
pub const fn kind(status: u16) -> &'static str {
    match status {
        401 => "authentication_error",
        403 => "permission_error",
        404 => "not_found_error",
        429 => "rate_limit_error",
        500.. => "server_error",
        _ => "invalid_request_error",
    }
}

/// Whether the SDKs try again by themselves, unless `x-should-retry` says otherwise.
pub const fn is_retried(status: u16) -> bool {
    matches!(status, 408 | 409 | 429 | 500..)
}

/// Whether a body is an error in this shape: an object whose member `error` is an object with a
/// `message` that is a string.
pub fn is_error(body: &[u8]) -> bool {
    #[derive(Deserialize)]
    struct Body<'a> {
        #[serde(borrow)]
        error: Detail<'a>,
    }
    #[derive(Deserialize)]
    struct Detail<'a> {
        #[serde(borrow)]
        message: &'a RawValue,
    }
    str::from_utf8(body).is_ok_and(|text| {
        text.trim_start().starts_with('{')
            && serde_json::from_slice::<Body<'_>>(text.as_bytes())
                .is_ok_and(|body| body.error.message.get().starts_with('"'))
    })
}
