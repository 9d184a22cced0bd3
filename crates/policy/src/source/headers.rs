//! Headers that never cross the gateway, whatever a policy says.

use super::compile::Checker;
use super::diagnostic::Code;
use super::reader::Spanned;
use super::scalars::Header;

/// Why a request header never reaches an upstream, if that is so.
pub(crate) fn never_forwarded(name: &str) -> Option<&'static str> {
    match name {
        name if carries_credential(name) => Some("it carries a credential"),
        "host" | "content-length" | "expect" | "accept-encoding" | "content-encoding" => {
            Some("the gateway makes its own")
        }
        "forwarded" | "x-real-ip" | "true-client-ip" | "via" => Some("a client could forge it"),
        name if tells_certificate(name) => Some("a client could forge it"),
        name if name.starts_with("x-forwarded-") => Some("a client could forge it"),
        name if internal(name) => Some("it belongs to the platform or the gateway"),
        name if hop_by_hop(name) => Some("it belongs to one connection"),
        _ => None,
    }
}

/// Why a header that reaches an upstream cannot be the policy's, be it for a claim or for a credential, if that is
/// so.
pub(crate) fn made_by_gateway(name: &str) -> Option<&'static str> {
    match name {
        "traceparent" | "tracestate" | "x-request-id" => Some("the gateway makes its own"),
        name if name.starts_with("content-") || name.starts_with("accept") => Some("it is about the body"),
        name if carries_credential(name) => None,
        name => never_forwarded(name),
    }
}

fn carries_credential(name: &str) -> bool {
    matches!(
        name,
        "authorization"
            | "proxy-authorization"
            | "cookie"
            | "x-api-key"
            | "api-key"
            | "x-goog-api-key"
            | "x-auth-token"
            | "dpop"
    )
}

/// Whether some server takes a header for the certificate of its client (RFC 9440, and what proxies write).
fn tells_certificate(name: &str) -> bool {
    let name = name.strip_prefix("x-").unwrap_or(name);
    name.starts_with("client-cert") || name.starts_with("ssl-client") || name.starts_with("tls-client")
}

/// Why an answer's header never reaches a client, if that is so.
pub(crate) fn never_answered(name: &str) -> Option<&'static str> {
    match name {
        "content-length" | "content-encoding" | "ratelimit" | "ratelimit-policy" => {
            Some("the gateway makes its own")
        }
        "server" | "via" | "x-powered-by" | "alt-svc" => Some("it tells about the upstream's inside"),
        name if name.starts_with("access-control-") => Some("`cors` decides about it"),
        name if internal(name) => Some("it belongs to the platform or the gateway"),
        name if hop_by_hop(name) => Some("it belongs to one connection"),
        _ => None,
    }
}

fn hop_by_hop(name: &str) -> bool {
    matches!(
        name,
        "connection"
            | "keep-alive"
            | "proxy-authenticate"
            | "proxy-connection"
            | "te"
            | "trailer"
            | "transfer-encoding"
            | "upgrade"
    )
}

fn internal(name: &str) -> bool {
    name.starts_with("cf-") || name.starts_with("x-turnpike-")
}

/// Reports a request header that the floor must not forward.
pub(crate) fn check_forward(header: &Spanned<Header>, checker: &mut Checker) {
    if let Some(why) = never_forwarded(&header.0) {
        checker
            .report()
            .error(
                Code::BadHeader,
                header.span,
                format!("`{}` never reaches an upstream: {why}", header.0),
            )
            .help("remove it from the list");
    }
    let denied = checker
        .floor
        .never_forward
        .iter()
        .find(|(name, _)| *name == header.0)
        .map(|(_, span)| *span);
    if let Some(denied) = denied {
        checker
            .report()
            .error(
                Code::Conflict,
                header.span,
                format!("`{}` is forwarded and never forwarded", header.0),
            )
            .help("remove it from one of the two lists")
            .label(denied, "never forwarded here");
    }
}
