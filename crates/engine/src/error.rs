//! Every refusal, in one place: its stable code, its status, and its shape on the wire.
//!
//! A phase that refuses returns a [`Refusal`]. It separates what the client is told (`detail`) from
//! what only the log may know (`reason`). [`Code`] is a closed list; the table in
//! `docs/errors.md` is checked against it by a test.

use std::borrow::Cow;

use serde::{Deserialize, Serialize};

macro_rules! codes {
    ($($(#[$doc:meta])* $name:ident = $text:literal, $status:literal, $title:literal;)*) => {
        /// The stable codes. Their texts never change their meaning; new ones may be added.
        #[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
        pub enum Code { $(#[doc = $title] $name,)* }

        impl Code {
            /// Every code, in the order of the phases.
            pub const ALL: &[Self] = &[$(Self::$name,)*];

            /// The code as clients and logs see it.
            pub const fn text(self) -> &'static str { match self { $(Self::$name => $text,)* } }

            /// The HTTP status that it comes with.
            pub const fn status(self) -> u16 { match self { $(Self::$name => $status,)* } }

            /// The same in words; the `title` of problem details.
            pub const fn title(self) -> &'static str { match self { $(Self::$name => $title,)* } }
        }
    };
}

codes! {
    AmbiguousPath = "ambiguous_path", 400, "The path can be read in more than one way";
    AmbiguousHeader = "ambiguous_header", 400, "A header can be read in more than one way";
    MethodUnknown = "method_unknown", 405, "The method is not known here";
    UriTooLong = "uri_too_long", 414, "The URL is too long";
    HeaderTooLarge = "header_too_large", 431, "A header is too large";
    OriginNotAllowed = "origin_not_allowed", 403, "Pages of this origin may not call";
    UnknownHost = "unknown_host", 404, "No gateway answers for this host";
    NotFound = "not_found", 404, "Nothing is published here";
    MethodNotAllowed = "method_not_allowed", 405, "The method is not published here";
    Gone = "gone", 410, "This version has ended";
    TooManyRequests = "too_many_requests", 429, "Too many requests from this address";
    CredentialMissing = "credential_missing", 401, "No credential was sent";
    CredentialAmbiguous = "credential_ambiguous", 400, "More than one credential was sent";
    CredentialInvalid = "credential_invalid", 401, "The credential is not valid";
    CredentialExpired = "credential_expired", 401, "The credential has expired";
    DpopProofInvalid = "dpop_proof_invalid", 401, "The DPoP proof is not valid";
    DpopUnavailable = "dpop_unavailable", 503, "Whether the DPoP proof is new cannot be found out";
    KeysUnavailable = "keys_unavailable", 503, "The issuer's keys cannot be had";
    IntrospectionUnavailable = "introspection_unavailable", 503, "The issuer cannot be asked about the token";
    SecretMissing = "secret_missing", 503, "The gateway is not ready for this call";
    BodyUnexpected = "body_unexpected", 400, "A body was sent that nothing asks for";
    BodyTooLarge = "body_too_large", 413, "The body is too large";
    BodyIncomplete = "body_incomplete", 400, "The body did not arrive";
    UnsupportedMediaType = "unsupported_media_type", 415, "The media type is not accepted";
    InvalidJson = "invalid_json", 400, "The body is not valid JSON";
    InvalidRequest = "invalid_request", 400, "The request is not what the operation takes";
    UploadsLimited = "uploads_limited", 429, "Too many bytes of one caller at one time";
    Overloaded = "overloaded", 503, "The gateway holds as much as it may";
    OperationNotAllowed = "operation_not_allowed", 403, "The operation is not granted";
    InsufficientScope = "insufficient_scope", 403, "A scope is missing";
    ConditionNotMet = "condition_not_met", 403, "A condition of the policy is not met";
    RelationMissing = "relation_missing", 403, "The decision point does not allow this";
    DecisionUnavailable = "decision_unavailable", 503, "The decision point cannot be asked";
    ModelNotAllowed = "model_not_allowed", 403, "The model is not granted";
    ModelNotFound = "model_not_found", 404, "The model does not exist";
    RateLimited = "rate_limited", 429, "The rate limit is reached";
    QuotaExceeded = "quota_exceeded", 429, "The quota is used up";
    BudgetExceeded = "budget_exceeded", 429, "The budget of tokens or money is used up";
    ConcurrencyLimited = "concurrency_limited", 429, "Too many requests at one time";
    Denied = "denied", 403, "This is denied for now";
    OperatorRequired = "operator_required", 403, "Operators alone may do this";
    CreditExceeded = "credit_exceeded", 429, "The operator has given back as much as it may";
    CreditConflict = "credit_conflict", 409, "The credit cannot be booked";
    DenialConflict = "denial_conflict", 409, "The denial cannot be kept";
    LimiterUnavailable = "limiter_unavailable", 503, "The limits cannot be checked";
    PreferenceInvalid = "preference_invalid", 400, "The preference cannot be met";
    UpstreamUnreachable = "upstream_unreachable", 502, "The upstream cannot be reached";
    UpstreamTimeout = "upstream_timeout", 504, "The upstream did not answer in time";
    UpstreamRateLimited = "upstream_rate_limited", 429, "The upstream is out of capacity";
    UpstreamOverloaded = "upstream_overloaded", 503, "The upstream is overloaded";
    UpstreamError = "upstream_error", 502, "The upstream failed";
    UpstreamRefused = "upstream_refused", 502, "The upstream refused the gateway";
    UpstreamInvalid = "upstream_invalid", 502, "The upstream's answer makes no sense";
    UpstreamTokenUnavailable = "upstream_token_unavailable", 503, "The gateway has no token for the upstream";
    StreamCut = "stream_cut", 502, "The upstream's stream was cut";
    StreamStalled = "stream_stalled", 504, "The upstream's stream stalled";
    StreamFailed = "stream_failed", 502, "The upstream failed inside its stream";
    Internal = "internal", 500, "The gateway failed";
}

/// A request that ends here, and why.
#[derive(Clone, Debug, PartialEq)]
pub struct Refusal {
    /// The code.
    pub code: Code,
    /// What the client is told: what is wrong and what would be right.
    pub detail: Cow<'static, str>,
    /// What only the log is told.
    pub reason: Option<Cow<'static, str>>,
    /// The policy line that decided (`policies/plans/free.yaml:4`).
    pub policy: Option<Box<str>>,
    /// Headers that belong to the refusal.
    pub headers: Vec<(Cow<'static, str>, String)>,
    /// What is meant, where that has a name.
    pub about: Option<About>,
}

/// What a refusal is about.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum About {
    /// A member of the request's body.
    Member(&'static str),
    /// A limit, by its id.
    Limit(Box<str>),
}

impl Refusal {
    /// A refusal that says no more than this.
    pub fn new(code: Code, detail: impl Into<Cow<'static, str>>) -> Self {
        Self {
            code,
            detail: detail.into(),
            reason: None,
            policy: None,
            headers: Vec::new(),
            about: None,
        }
    }

    /// With what only the log is told.
    #[must_use]
    pub fn because(mut self, reason: impl Into<Cow<'static, str>>) -> Self {
        self.reason = Some(reason.into());
        self
    }

    /// The same for a client that may know why its credential is not taken; none for what is no
    /// matter of a credential.
    pub(crate) fn explained(&self) -> Option<Self> {
        let reason = self.reason.as_deref().filter(|_| self.code.status() == 401)?;
        let mut explained = self.clone();
        explained.detail = Cow::Owned(format!("{} Reason: {reason}.", self.detail));
        Some(explained)
    }

    /// With the policy line that decided.
    #[must_use]
    pub fn by(mut self, policy: &str) -> Self {
        self.policy = Some(policy.into());
        self
    }

    /// With a header.
    #[must_use]
    pub fn header(mut self, name: &'static str, value: impl Into<String>) -> Self {
        self.headers.push((Cow::Borrowed(name), value.into()));
        self
    }

    /// With the member of the body that is meant.
    #[must_use]
    pub fn about(mut self, param: &'static str) -> Self {
        self.about = Some(About::Member(param));
        self
    }
}

/// In which shape a client expects errors.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum Shape {
    /// `application/problem+json` (RFC 9457): APIs and the gateway's own pages.
    Problem,
    /// The error object of `OpenAI`'s API.
    OpenAi,
}

#[derive(Serialize)]
struct Problem<'a> {
    r#type: Cow<'static, str>,
    title: &'a str,
    status: u16,
    detail: &'a str,
    code: &'a str,
    request_id: &'a str,
    #[serde(skip_serializing_if = "Option::is_none")]
    policy: Option<&'a str>,
    /// As the problem type of the rate limit draft names it.
    #[serde(rename = "violated-policies", skip_serializing_if = "Option::is_none")]
    violated: Option<[&'a str; 1]>,
}

/// The media type and the body of a refusal. `policy` is given only where explaining is allowed.
pub fn render(
    refusal: &Refusal,
    shape: Shape,
    request_id: &str,
    policy: Option<&str>,
) -> (&'static str, Vec<u8>) {
    match shape {
        Shape::OpenAi => {
            let body = turnpike_llm::error::body(
                refusal.code.status(),
                refusal.code.text(),
                &refusal.detail,
                request_id,
                match refusal.about {
                    Some(About::Member(name)) => Some(name),
                    _ => None,
                },
                policy,
            );
            ("application/json", body)
        }
        Shape::Problem => {
            let problem = Problem {
                r#type: problem_type(refusal.code),
                title: refusal.code.title(),
                status: refusal.code.status(),
                detail: &refusal.detail,
                code: refusal.code.text(),
                request_id,
                policy,
                violated: match &refusal.about {
                    Some(About::Limit(id)) => Some([id]),
                    _ => None,
                },
            };
            // Strings and a number always serialize.
            let body = serde_json::to_vec(&problem).unwrap_or_default();
            ("application/problem+json", body)
        }
    }
}

/// The problem type of a code: the registered one of the rate limit draft where it fits.
fn problem_type(code: Code) -> Cow<'static, str> {
    match code {
        Code::RateLimited
        | Code::QuotaExceeded
        | Code::BudgetExceeded
        | Code::ConcurrencyLimited
        | Code::TooManyRequests => {
            Cow::Borrowed("https://iana.org/assignments/http-problem-types#quota-exceeded")
        }
        Code::UpstreamOverloaded | Code::Overloaded => {
            Cow::Borrowed("https://iana.org/assignments/http-problem-types#temporary-reduced-capacity")
        }
        other => Cow::Owned(format!("urn:turnpike:problem:{}", other.text())),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_code_is_in_the_reference() {
        let path = concat!(env!("CARGO_MANIFEST_DIR"), "/../../docs/errors.md");
        let reference = std::fs::read_to_string(path).expect("docs/errors.md");
        let rows: Vec<_> = reference
            .lines()
            .filter_map(|line| line.strip_prefix("| `")?.split_once("` | "))
            .filter_map(|(code, rest)| {
                rest.split(" | ")
                    .take(2)
                    .collect::<Vec<_>>()
                    .try_into()
                    .ok()
                    .map(|rest: [_; 2]| (code, rest))
            })
            .map(|(code, [status, title])| (code.to_owned(), status.to_owned(), title.to_owned()))
            .collect();
        let wanted: Vec<_> = Code::ALL
            .iter()
            .map(|code| {
                (
                    code.text().to_owned(),
                    code.status().to_string(),
                    code.title().to_owned(),
                )
            })
            .collect();
        for row in &wanted {
            assert!(rows.contains(row), "docs/errors.md lacks {row:?}");
        }
        for row in &rows {
            assert!(
                wanted.contains(row),
                "docs/errors.md has {row:?}, the source has not"
            );
        }
        assert_eq!(rows.len(), wanted.len(), "a row is there twice");
    }

    /// Those that a test of policies can expect, so that a check finds a misspelt one.
    #[test]
    fn every_code_can_be_expected() {
        let texts: Vec<_> = Code::ALL.iter().map(|code| code.text()).collect();
        assert_eq!(texts, turnpike_policy::source::REFUSALS);
    }

    #[test]
    fn codes_are_distinct_and_errors() {
        let mut texts: Vec<_> = Code::ALL.iter().map(|code| code.text()).collect();
        texts.sort_unstable();
        texts.dedup();
        assert_eq!(texts.len(), Code::ALL.len());
        assert!(Code::ALL.iter().all(|code| (400..600).contains(&code.status())));
    }

    #[test]
    fn a_problem_says_what_is_wrong_and_keeps_the_reason() {
        let refusal = Refusal::new(Code::NotFound, "There is no GET /x").because("a secret reason");
        let (kind, body) = render(&refusal, Shape::Problem, "r1", Some("policies/x.yaml:1"));
        assert_eq!(kind, "application/problem+json");
        let body: serde_json::Value = serde_json::from_slice(&body).expect("JSON");
        assert_eq!(body["type"], "urn:turnpike:problem:not_found");
        assert_eq!(body["status"], 404);
        assert_eq!(body["policy"], "policies/x.yaml:1");
        assert!(!body.to_string().contains("secret reason"));
    }
}
