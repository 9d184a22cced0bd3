//! The codes that a test can expect of a refusal.
//!
//! The engine gives them, and stands above this crate; they are listed here as well, so that a misspelt one is
//! found by the build. A test of the engine holds its list against this one.

use serde_json::Value as Json;

use crate::source::diagnostic::Code;
use crate::source::names::nearest;
use crate::source::reader::{Fault, Scalar};
use crate::source::schema;
use crate::source::secrets::quote;

/// The stable codes of refusals, in the order of the phases, as `docs/errors.md` explains them.
pub const REFUSALS: &[&str] = &[
    "ambiguous_path",
    "ambiguous_header",
    "method_unknown",
    "uri_too_long",
    "header_too_large",
    "origin_not_allowed",
    "unknown_host",
    "not_found",
    "method_not_allowed",
    "gone",
    "too_many_requests",
    "credential_missing",
    "credential_ambiguous",
    "credential_invalid",
    "credential_expired",
    "dpop_proof_invalid",
    "dpop_unavailable",
    "keys_unavailable",
    "introspection_unavailable",
    "secret_missing",
    "body_unexpected",
    "body_too_large",
    "body_incomplete",
    "unsupported_media_type",
    "invalid_json",
    "invalid_request",
    "uploads_limited",
    "overloaded",
    "operation_not_allowed",
    "insufficient_scope",
    "condition_not_met",
    "relation_missing",
    "decision_unavailable",
    "model_not_allowed",
    "model_not_found",
    "rate_limited",
    "quota_exceeded",
    "budget_exceeded",
    "concurrency_limited",
    "denied",
    "operator_required",
    "credit_exceeded",
    "credit_conflict",
    "denial_conflict",
    "limiter_unavailable",
    "preference_invalid",
    "upstream_unreachable",
    "upstream_timeout",
    "upstream_rate_limited",
    "upstream_overloaded",
    "upstream_error",
    "upstream_refused",
    "upstream_invalid",
    "upstream_token_unavailable",
    "stream_cut",
    "stream_stalled",
    "stream_failed",
    "internal",
];

/// What stands for an answer that is no refusal.
const NONE: &str = "none";

/// The code of a refusal, or `none`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct RefusalCode(pub(crate) String);

impl Scalar for RefusalCode {
    const EXPECTS: &'static str = "the code of a refusal such as `rate_limited`, or `none`";

    fn schema() -> Json {
        let words: Vec<_> = REFUSALS.iter().copied().chain([NONE]).collect();
        schema::words(&words)
    }

    fn parse(text: &str) -> Result<Self, Fault> {
        let known = || REFUSALS.iter().copied().chain([NONE]);
        if known().any(|code| code == text) {
            return Ok(Self(text.to_owned()));
        }
        let fault = Fault::new(
            Code::UnknownWord,
            format!("the gateway refuses nothing with the code {}", quote(text)),
        );
        Err(match nearest(text, known()) {
            Some(near) => fault.help(format!("did you mean `{near}`?")),
            None => fault.help(
                "docs/errors.md lists the codes; what an upstream itself says is tested with `status` and `json`",
            ),
        })
    }
}
