//! The phases that a request goes through, and what each decided.

use std::fmt::Write as _;

use serde_json::Value as Json;
use turnpike_engine::Flight;
use turnpike_engine::error::Code;
use turnpike_policy::{Api, Compiled, Consumer, Handler, Model, Operation};

use crate::lines::{Lines, Shown};
use crate::play::{Answer, Request, resolved};
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
        | C::DpopProofInvalid
        | C::DpopUnavailable
        | C::KeysUnavailable
        | C::IntrospectionUnavailable
        | C::SecretMissing => "identify",
        C::BodyUnexpected
        | C::BodyTooLarge
        | C::BodyIncomplete
        | C::UnsupportedMediaType
        | C::InvalidJson
        | C::InvalidRequest
        | C::UploadsLimited
        | C::Overloaded => "inspect",
        C::OperationNotAllowed
        | C::InsufficientScope
        | C::ConditionNotMet
        | C::RelationMissing
        | C::DecisionUnavailable
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
pub(super) fn road(compiled: &Compiled, request: &Request, answer: &Answer, lines: &Lines) -> Vec<Phase> {
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
                let (why, origin) = Passed::new(compiled, request, answer, lines).says(name);
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

/// A request that was let pass, to say by what.
struct Passed<'a> {
    compiled: &'a Compiled,
    request: &'a Request,
    answer: &'a Answer,
    lines: &'a Lines,
    consumer: Option<(u32, &'a Consumer)>,
    operation: Option<&'a Operation>,
    api: Option<&'a Api>,
    model: Option<&'a Model>,
}

impl<'a> Passed<'a> {
    fn new(compiled: &'a Compiled, request: &'a Request, answer: &'a Answer, lines: &'a Lines) -> Self {
        let text = |member: &str| answer.log.get(member).and_then(Json::as_str).unwrap_or_default();
        let mut consumers = (0..).zip(&compiled.consumers);
        let mut operations = (0..).zip(&compiled.operations);
        let operation = operations
            .find(|(index, _)| words::operation(compiled, *index).as_deref() == Some(text("operation")))
            .map(|(_, operation)| operation);
        Self {
            compiled,
            request,
            answer,
            lines,
            consumer: consumers.find(|(_, consumer)| consumer.name == text("consumer")),
            operation,
            api: operation.and_then(|operation| words::at(&compiled.apis, operation.api)),
            model: compiled.models.iter().find(|model| model.name == text("model")),
        }
    }

    fn text(&self, member: &str) -> &'a str {
        let member = self.answer.log.get(member);
        member.and_then(Json::as_str).unwrap_or_default()
    }

    /// What a phase found that let it pass, and the line that says so.
    fn says(&self, phase: &str) -> (String, String) {
        let line = match phase {
            "match" => self.operation.map(|operation| operation.origin.clone()),
            "shield" => self.lines.gateway(&["shield"]),
            "identify" => self.identified(),
            "inspect" => self.bounded(),
            "authorize" => self.authorized(),
            "admit" => self.limited(),
            "answer" => self.answered(),
            _ => None,
        };
        (self.why(phase), line.unwrap_or_default())
    }

    fn why(&self, phase: &str) -> String {
        match phase {
            "accept" => {
                // Refused by the next phase it has left no trace; then the URL is what is known.
                let seen = resolved(&self.request.url);
                let rest = seen.splitn(4, '/').nth(3).unwrap_or_default();
                let sent = format!("/{}", rest.split(['?', '#']).next().unwrap_or_default());
                let flight = self.answer.trace.last();
                let path = flight.map_or(sent.as_str(), Flight::path);
                format!("{} {path}", self.request.method)
            }
            "match" => self.text("operation").to_owned(),
            "shield" => {
                let rate = words::rate(&self.compiled.gateway.shield);
                format!("{rate} for each client address")
            }
            "identify" => match (self.consumer, self.text("subject")) {
                (Some((_, consumer)), "") => consumer.name.clone(),
                (Some((_, consumer)), subject) => format!("{}, subject {subject}", consumer.name),
                (None, _) => "open to everybody".to_owned(),
            },
            "inspect" => {
                let size = self.request.body.as_ref().map_or(0, Vec::len);
                let what = match self.text("model") {
                    "" => String::new(),
                    model => format!("the model `{model}`, "),
                };
                match size {
                    0 => format!("{what}no body"),
                    size => format!("{what}a body of {size} bytes"),
                }
            }
            "authorize" => match self.consumer {
                Some((_, consumer)) => format!("granted to {}", consumer.name),
                None => "open to everybody".to_owned(),
            },
            "admit" => {
                let left = self.answer.header("ratelimit").unwrap_or_default();
                if self.answer.log.get("unlimited") == Some(&Json::Bool(true)) {
                    "the limiter is out of reach, and the plan lets pass".to_owned()
                } else if left.is_empty() {
                    "within its limits".to_owned()
                } else {
                    format!("within its limits: {left}")
                }
            }
            "answer" => {
                let attempts = self.answer.log.get("attempts").and_then(Json::as_array);
                let tried = attempts.into_iter().flatten().filter_map(|attempt| {
                    let to = attempt.get("to")?.as_str()?;
                    Some(match attempt.get("failed").and_then(Json::as_str) {
                        Some(failed) => format!("{to} ({failed})"),
                        None => to.to_owned(),
                    })
                });
                let tried: Vec<_> = tried.collect();
                if tried.is_empty() {
                    "by the gateway itself, or a mock".to_owned()
                } else {
                    tried.join(", then ")
                }
            }
            _ => String::new(),
        }
    }

    /// The credential that it came with: the same that is made up for it.
    fn identified(&self) -> Option<String> {
        let Some((index, consumer)) = self.consumer else {
            return self.open();
        };
        let mut identities = self.compiled.identities.iter();
        let identity = identities.find(|identity| identity.consumer == index);
        let issuer = identity.and_then(|identity| words::at(&self.compiled.issuers, identity.issuer));
        let keys = self.compiled.keys.iter().any(|key| key.consumer == index);
        let by = match issuer {
            Some(issuer) => Shown::Token(&issuer.name),
            None if keys => Shown::Key,
            None => Shown::Certificate,
        };
        self.lines.credential(consumer, by)
    }

    /// The exception that opens an API to everybody.
    fn open(&self) -> Option<String> {
        let target = format!("apis/{}", self.api?.name);
        self.lines.exception("authentication", &target)
    }

    /// What bounds its body.
    fn bounded(&self) -> Option<String> {
        let own = match (self.model, self.operation, self.api) {
            (Some(model), ..) => self.lines.model(model, &["max_body"]),
            (None, Some(operation), Some(api)) => self
                .lines
                .operation(api, operation, &["max_body"])
                .or_else(|| self.lines.api(api, &["max_body"])),
            _ => None,
        };
        own.or_else(|| self.lines.gateway(&["floor", "max_body"]))
    }

    fn authorized(&self) -> Option<String> {
        let Some((_, consumer)) = self.consumer else {
            return self.open();
        };
        match (self.model, self.operation, self.api) {
            (Some(model), ..) => self.lines.grants_model(consumer, model),
            (None, Some(operation), Some(api)) => self.lines.grants(consumer, api, operation),
            _ => None,
        }
    }

    /// The first of the limits that were counted, as the answer names them.
    fn limited(&self) -> Option<String> {
        let told = self.answer.header("ratelimit").unwrap_or_default();
        let plan = self
            .consumer
            .and_then(|(_, consumer)| words::at(&self.compiled.plans, consumer.plan));
        let limits = plan.into_iter().flat_map(|plan| &plan.limits);
        let limits: Vec<_> = limits
            .chain(self.api.into_iter().flat_map(|api| &api.limits))
            .chain(self.model.into_iter().flat_map(|model| &model.limits))
            .collect();
        let counted = limits
            .iter()
            .find(|limit| told.contains(&format!("\"{}\"", limit.id)));
        counted.or(limits.first()).map(|limit| limit.origin.clone())
    }

    /// What answered: what the version leads to, or the target of the model.
    fn answered(&self) -> Option<String> {
        if let Some(model) = self.model {
            let attempts = self.answer.log.get("attempts").and_then(Json::as_array)?;
            let to = attempts.last()?.get("to")?.as_str()?;
            let mut first = model.targets.iter();
            let field = if first.any(|target| words::target(self.compiled, target) == to) {
                "targets"
            } else {
                "fallback"
            };
            return self.lines.target(model, field, to);
        }
        let field = match self.operation?.handler {
            Handler::Mock(_) => "mock",
            Handler::Proxy { .. } => "upstream",
        };
        self.lines.version(self.api?, field)
    }
}
