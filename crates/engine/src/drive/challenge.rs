//! What a client is told that could not be identified or lacks a scope, and where it may learn how to be
//! (RFC 6750, RFC 9449, RFC 9728).

use turnpike_policy::{Compiled, DPOP_ALGORITHMS, Route};

use crate::error::{Code, Refusal};
use crate::flight::Base;
use crate::identify;
use crate::look;
use crate::matching::Destination;

/// Where the metadata of protected resources are (RFC 9728, 3.1).
const METADATA: &str = "/.well-known/oauth-protected-resource";

/// What a client is told when it could not be identified: never more than it needs to mend it.
pub(super) fn unidentified(refusal: &identify::Refusal) -> Refusal {
    use identify::Refusal as Why;
    let invalid = "Bearer error=\"invalid_token\"";
    let (code, detail, challenge) = match refusal {
        Why::Missing => (
            Code::CredentialMissing,
            "Send a credential, for example `authorization: Bearer ...`.",
            Some("Bearer"),
        ),
        Why::Ambiguous => (
            Code::CredentialAmbiguous,
            "Send exactly one credential.",
            Some("Bearer error=\"invalid_request\""),
        ),
        Why::Expired | Why::KeyExpired => (
            Code::CredentialExpired,
            "The credential has expired.",
            Some(invalid),
        ),
        Why::Proof(_) => (
            Code::DpopProofInvalid,
            "The DPoP proof is not valid for this request.",
            Some("Bearer error=\"invalid_dpop_proof\""),
        ),
        Why::KeysUnavailable { .. } => (
            Code::KeysUnavailable,
            "The issuer's keys cannot be had at the moment.",
            None,
        ),
        Why::IntrospectionUnavailable { .. } => (
            Code::IntrospectionUnavailable,
            "Whether the token is good cannot be found out at the moment.",
            None,
        ),
        Why::SecretMissing { .. } => (
            Code::SecretMissing,
            "The gateway is not ready for this call.",
            None,
        ),
        _ => (
            Code::CredentialInvalid,
            "The credential is not valid here.",
            Some(invalid),
        ),
    };
    let mut refused = Refusal::new(code, detail).because(refusal.reason());
    if let Some(challenge) = challenge {
        refused = refused.header("www-authenticate", challenge);
    }
    if code.status() == 503 {
        refused = refused.header("retry-after", "5");
    }
    refused
}

/// Says in a challenge that tokens may come with a proof, and how that may be signed (RFC 9449, 7.1). To a client
/// that has sent one, the challenge is about that.
fn offer_dpop(sent: bool, challenge: &mut String) {
    const SCHEME: &str = "Bearer";
    let algorithms = DPOP_ALGORITHMS;
    *challenge = match challenge.strip_prefix(SCHEME).filter(|_| sent) {
        Some("") => format!("DPoP algs=\"{algorithms}\""),
        Some(said) => format!("DPoP{said}, algs=\"{algorithms}\""),
        None => format!("{challenge}, DPoP algs=\"{algorithms}\""),
    };
}

/// Adds to a challenge where the metadata of what was asked for are, if they name anybody to ask for a
/// token.
pub(super) fn point(policy: &Compiled, base: &Base, refusal: &mut Refusal) {
    let named = |(name, _): &&mut (_, _)| name == "www-authenticate";
    let Some((_, challenge)) = refusal.headers.iter_mut().find(named) else {
        return;
    };
    if policy.dpop && base.dpop {
        offer_dpop(true, challenge);
    }
    if let Some(server) = &base.server {
        let separator = if challenge.contains('=') { "," } else { "" };
        let path = metadata_path(policy, base);
        *challenge = format!("{challenge}{separator} resource_metadata=\"{server}{METADATA}{path}\"");
    }
    // After all that is said of the scheme before it (RFC 9110, 11.6.1).
    if policy.dpop && !base.dpop {
        offer_dpop(false, challenge);
    }
}

/// What stands behind the path of the metadata of what was asked for.
fn metadata_path<'a>(policy: &'a Compiled, base: &Base) -> &'a str {
    match base.to() {
        Some(Destination::Route(Route::Operation(index))) => {
            let api = look::operation(policy, index).and_then(|operation| look::api(policy, operation.api));
            api.map_or("", |api| api.base.as_str())
        }
        _ => "",
    }
}
