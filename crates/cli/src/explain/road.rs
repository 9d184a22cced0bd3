//! The phases that a request goes through, and what each decided.

use std::fmt::Write as _;

use serde_json::Value as Json;
use turnpike_engine::error::Code;
use turnpike_policy::Compiled;

use crate::play::{Answer, Request};
use crate::words;

/// What a phase decided.
#[derive(Debug)]
pub(super) struct Phase {
    pub(super) name: &'static str,
    /// `passed`, `refused`, `failed`, or `-` where it was not reached.
    pub(super) decision: &'static str,
    pub(super) why: String,
    /// The policy line that made it so.
    pub(super) origin: String,
}

/// The phases in their order.
const PHASES: [&str; 10] = [
    "accept",
    "match",
    "shield",
    "identify",
    "inspect",
    "authorize",
    "admit",
    "answer",
    "relay",
    "settle",
];

/// The phase that ends a request with a code.
pub(super) const fn phase_of(code: Code) -> &'static str {
    use Code as C;
    match code {
        C::AmbiguousPath
        | C::AmbiguousHeader
        | C::MethodUnknown
        | C::UriTooLong
        | C::HeaderTooLarge
        | C::OriginNotAllowed => "accept",
        C::UnknownHost | C::NotFound | C::MethodNotAllowed | C::Gone => "match",
        C::TooManyRequests => "shield",
        C::CredentialMissing
        | C::CredentialAmbiguous
        | C::CredentialInvalid
        | C::CredentialExpired
        | C::KeysUnavailable
        | C::SecretMissing => "identify",
        C::BodyUnexpected
        | C::BodyTooLarge
        | C::BodyIncomplete
        | C::UnsupportedMediaType
        | C::InvalidJson
        | C::InvalidRequest
        | C::Overloaded => "inspect",
        C::OperationNotAllowed
        | C::InsufficientScope
        | C::ConditionNotMet
        | C::ModelNotAllowed
        | C::ModelNotFound
        | C::Denied
        | C::OperatorRequired => "authorize",
        C::RateLimited
        | C::QuotaExceeded
        | C::BudgetExceeded
        | C::ConcurrencyLimited
        | C::CreditExceeded
        | C::CreditConflict
        | C::DenialConflict
        | C::LimiterUnavailable => "admit",
        C::PreferenceInvalid
        | C::UpstreamUnreachable
        | C::UpstreamTimeout
        | C::UpstreamRateLimited
        | C::UpstreamOverloaded
        | C::UpstreamError
        | C::UpstreamRefused
        | C::UpstreamInvalid
        | C::UpstreamTokenUnavailable
        | C::Internal => "answer",
        C::StreamCut | C::StreamStalled | C::StreamFailed => "relay",
    }
}

/// What became of a request, phase by phase.
pub(super) fn road(compiled: &Compiled, request: &Request, answer: &Answer) -> Vec<Phase> {
    let code = answer.code();
    let code = code
        .as_deref()
        .and_then(|text| Code::ALL.iter().copied().find(|known| known.text() == text));
    let stopped = code.map(phase_of);
    let mut phases = PHASES;
    // What does not depend on the body is decided before it is read: only a chat call is inspected first.
    if answer.log.get("operation").and_then(Json::as_str) != Some("chat.completions") {
        phases.swap(4, 5);
    }
    let end = stopped.and_then(|phase| phases.iter().position(|known| *known == phase));
    let cold = answer.cold;
    phases
        .into_iter()
        .enumerate()
        .map(|(index, name)| {
            let reached = end.is_none_or(|end| index <= end) && !(cold && index > 2);
            let (decision, why, origin) = if name == "settle" {
                ("passed", "a log line".to_owned(), String::new())
            } else if !reached {
                ("-", String::new(), String::new())
            } else if Some(index) == end {
                refusal(code, answer)
            } else {
                let (why, origin) = passed(name, compiled, request, answer);
                ("passed", why, origin)
            };
            Phase {
                name,
                decision,
                why,
                origin,
            }
        })
        .collect()
}

fn refusal(code: Option<Code>, answer: &Answer) -> (&'static str, String, String) {
    let code = code.map_or("", Code::text);
    let mut why = format!("{} {code}", answer.status);
    if let Some(detail) = answer.detail() {
        let _ = write!(why, ": {detail}");
    }
    if let Some(reason) = answer.log.get("reason").and_then(Json::as_str)
        && !why.contains(reason)
    {
        let _ = write!(why, " ({reason})");
    }
    let decision = if answer.status >= 500 { "failed" } else { "refused" };
    (decision, why, answer.policy().unwrap_or_default())
}

/// What a phase found that let the request pass.
fn passed(name: &str, compiled: &Compiled, request: &Request, answer: &Answer) -> (String, String) {
    let text = |member: &str| answer.log.get(member).and_then(Json::as_str).unwrap_or_default();
    let consumer = compiled
        .consumers
        .iter()
        .find(|consumer| consumer.name == text("consumer"));
    let base = answer.trace.last().map(|flight| &flight.base);
    let none = String::new();
    match name {
        "accept" => {
            // Refused by the next phase it has left no trace; then the URL is what is known.
            let rest = request.url.splitn(4, '/').nth(3).unwrap_or_default();
            let sent = format!("/{}", rest.split(['?', '#']).next().unwrap_or_default());
            let path = base.map_or(sent.as_str(), |base| base.path.as_str());
            (format!("{} {path}", request.method), none)
        }
        "match" => {
            let operation = text("operation").to_owned();
            let origin = compiled
                .operations
                .iter()
                .zip(0..)
                .find(|(_, index)| words::operation(compiled, *index).as_deref() == Some(&operation))
                .map_or_else(String::new, |(operation, _)| operation.origin.clone());
            (operation, origin)
        }
        "shield" => (
            format!(
                "{} for each client address",
                words::rate(&compiled.gateway.shield)
            ),
            none,
        ),
        "identify" => match consumer {
            Some(consumer) => {
                let subject = text("subject");
                let by = if subject.is_empty() {
                    String::new()
                } else {
                    format!(", subject {subject}")
                };
                (format!("{}{by}", consumer.name), consumer.origin.clone())
            }
            None => ("open to everybody".to_owned(), none),
        },
        "inspect" => {
            let size = request.body.as_ref().map_or(0, Vec::len);
            let model = text("model");
            let what = if model.is_empty() {
                String::new()
            } else {
                format!("the model `{model}`, ")
            };
            let body = if size == 0 {
                "no body".to_owned()
            } else {
                format!("a body of {size} bytes")
            };
            (format!("{what}{body}"), none)
        }
        "authorize" => match consumer {
            Some(consumer) => (format!("granted to {}", consumer.name), consumer.origin.clone()),
            None => ("open to everybody".to_owned(), none),
        },
        "admit" => {
            let left = answer.header("ratelimit").unwrap_or_default();
            let unlimited = answer.log.get("unlimited") == Some(&Json::Bool(true));
            let why = if unlimited {
                "the limiter is out of reach, and the plan lets pass".to_owned()
            } else if left.is_empty() {
                "within its limits".to_owned()
            } else {
                format!("within its limits: {left}")
            };
            (why, none)
        }
        "answer" => {
            let tried: Vec<_> = answer
                .log
                .get("attempts")
                .and_then(Json::as_array)
                .into_iter()
                .flatten()
                .filter_map(|attempt| {
                    let to = attempt.get("to")?.as_str()?;
                    Some(match attempt.get("failed").and_then(Json::as_str) {
                        Some(failed) => format!("{to} ({failed})"),
                        None => to.to_owned(),
                    })
                })
                .collect();
            let why = if tried.is_empty() {
                "by the gateway itself, or a mock".to_owned()
            } else {
                tried.join(", then ")
            };
            (why, none)
        }
        _ => (none, String::new()),
    }
}
