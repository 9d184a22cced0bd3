//! Phase 10, settle: what is kept of a request when it is over.
//!
//! One line of JSON for each request: who, what, what was decided and why, what was tried and what
//! was used. Never a credential, a secret, a body or a query.

use serde::{Deserialize, Serialize};
use turnpike_llm::usage::Usage;
use turnpike_policy::{Compiled, LogRequests, Reason};

use crate::deny;
use crate::error::Code;
use crate::operate::Note;
use crate::step::Failure;

/// What one attempt came to.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub(crate) struct AttemptRecord {
    /// `provider/model`, or `api/version`.
    pub to: String,
    /// When it was begun, in Unix milliseconds.
    pub began: u64,
    /// How long it took until it was judged, in milliseconds.
    pub took: u64,
    /// The upstream's status; 0: there was none.
    pub status: u16,
    /// Why it failed.
    pub failed: Option<AttemptFailure>,
    /// What it may be billed, where another attempt followed it: what the last one used is the request's.
    pub used: Settlement,
}

/// Why an attempt failed.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) enum AttemptFailure {
    /// For one of the reasons of the closed list.
    Reason(Reason),
    /// The transport failed, and no reason of the list covers it.
    Transport(Failure),
    /// The upstream refused the gateway's own credential or target.
    Refused,
    /// Its stream fell silent, or took too long, after it had begun.
    Stalled,
    /// Its stream was cut after it had begun.
    Cut,
    /// It failed inside its stream.
    Broken,
}

impl AttemptFailure {
    const fn name(self) -> &'static str {
        match self {
            Self::Reason(reason) => reason.name(),
            Self::Transport(Failure::Unreachable) => "unreachable",
            Self::Transport(Failure::Timeout) => "timeout",
            Self::Transport(Failure::TooLarge) => "too_large",
            Self::Transport(Failure::SecretMissing) => "secret_missing",
            Self::Transport(Failure::Busy) => "overloaded",
            Self::Transport(Failure::Abandoned) => "abandoned",
            Self::Transport(Failure::NoToken) => "no_token",
            Self::Transport(Failure::Unsent) => "unsent",
            Self::Refused => "refused",
            Self::Stalled => "stalled",
            Self::Cut => "cut",
            Self::Broken => "broken",
        }
    }
}

/// The tokens that a call may have used at the most: what it is settled at when the upstream's own
/// count was lost.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Bound {
    /// Of the prompt: no tokenizer makes more tokens than there are bytes. Where tokens or money are limited,
    /// with what comes on top of them.
    pub input: u64,
    /// Of the answer, where the request or the model bounds it.
    pub output: Option<u64>,
}

/// How the tokens of a call are settled.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub enum Settlement {
    /// The call used none: it was no model's, or no target answered.
    #[default]
    Nothing,
    /// As the upstream counted.
    Counted(Usage),
    /// At the bound, because the upstream's count was lost.
    AtBound(Bound),
}

impl Settlement {
    /// Whether an upstream counted more than a bound.
    pub const fn exceeds(&self, bound: Bound) -> bool {
        let Self::Counted(usage) = self else {
            return false;
        };
        let output = match bound.output {
            Some(output) => usage.completion_tokens > output,
            None => false,
        };
        output || usage.prompt_tokens > bound.input
    }
}

/// What the log line of a request is made of.
#[derive(Debug)]
pub(crate) struct Record<'a> {
    /// The gateway's policy.
    pub policy: &'a Compiled,
    /// The first half of the bundle's hash, in hexadecimal digits.
    pub bundle: &'a str,
    /// When the request came, in Unix milliseconds.
    pub began: u64,
    /// When it was over, in Unix milliseconds.
    pub now: u64,
    /// The request's id.
    pub request: &'a str,
    /// The trace's id.
    pub trace: &'a str,
    /// The method.
    pub method: &'a str,
    /// What was called: `petstore/v1#listPets`, `chat.completions`; nothing if nothing matched.
    pub operation: Option<String>,
    /// The model that the client named.
    pub model: Option<&'a str>,
    /// Who called.
    pub consumer: Option<&'a str>,
    /// The subject of its credential.
    pub subject: Option<&'a str>,
    /// The status that the client saw.
    pub status: u16,
    /// The code, if it was refused or failed.
    pub code: Option<Code>,
    /// The reason that only the log may know.
    pub reason: Option<&'a str>,
    /// The policy line that decided.
    pub line: Option<&'a str>,
    /// The limiter could not be asked, and the plan lets pass then.
    pub unlimited: bool,
    /// The limits in the shadow that would have held it back.
    pub shadowed: &'a [String],
    /// What it gave back, as an operator.
    pub credit: Option<&'a Note>,
    /// The id of the denial that refused it.
    pub denied: Option<&'a str>,
    /// The list of denials was older than it may be, as it could not be reached.
    pub denials_stale: bool,
    /// What it denied or lifted, as an operator.
    pub denial: Option<&'a deny::Note>,
    /// The client had gone before the end.
    pub client_gone: bool,
    /// What was tried.
    pub attempts: &'a [AttemptRecord],
    /// What was used.
    pub settlement: Settlement,
    /// That is more than was reserved for it: its upstream counted more than it was asked to keep to.
    pub beyond_bound: bool,
    /// What that cost, in nano-USD, where the target has a price.
    pub cost: Option<u64>,
}

#[derive(Serialize)]
struct Line<'a> {
    event: &'static str,
    time: u64,
    ms: u64,
    request_id: &'a str,
    trace_id: &'a str,
    gateway: &'a str,
    environment: &'a str,
    policy: &'a str,
    method: &'a str,
    #[serde(skip_serializing_if = "Option::is_none")]
    operation: Option<&'a str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    model: Option<&'a str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    consumer: Option<&'a str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    subject: Option<&'a str>,
    status: u16,
    decision: &'static str,
    #[serde(skip_serializing_if = "Option::is_none")]
    code: Option<&'static str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    reason: Option<&'a str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    policy_line: Option<&'a str>,
    #[serde(skip_serializing_if = "is_false")]
    unlimited: bool,
    #[serde(skip_serializing_if = "<[_]>::is_empty")]
    shadow_limits: &'a [String],
    #[serde(skip_serializing_if = "Option::is_none")]
    credit: Option<&'a Note>,
    #[serde(skip_serializing_if = "Option::is_none")]
    denied: Option<&'a str>,
    #[serde(skip_serializing_if = "is_false")]
    denials_stale: bool,
    #[serde(skip_serializing_if = "Option::is_none")]
    denial: Option<&'a deny::Note>,
    #[serde(skip_serializing_if = "is_false")]
    client_gone: bool,
    #[serde(skip_serializing_if = "<[_]>::is_empty")]
    attempts: Vec<AttemptLine<'a>>,
    #[serde(skip_serializing_if = "Option::is_none")]
    usage: Option<UsageLine>,
    /// What it cost by the prices of the policy.
    #[serde(skip_serializing_if = "Option::is_none")]
    cost_nano_usd: Option<u64>,
}

#[derive(Serialize)]
struct AttemptLine<'a> {
    to: &'a str,
    ms: u64,
    #[serde(skip_serializing_if = "Option::is_none")]
    status: Option<u16>,
    #[serde(skip_serializing_if = "Option::is_none")]
    failed: Option<&'static str>,
    /// As that of the request, which does not hold it.
    #[serde(skip_serializing_if = "Option::is_none")]
    usage: Option<UsageLine>,
}

#[derive(Serialize)]
struct UsageLine {
    input_tokens: u64,
    #[serde(skip_serializing_if = "Option::is_none")]
    output_tokens: Option<u64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    cached_tokens: Option<u64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    cache_write_tokens: Option<u64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    reasoning_tokens: Option<u64>,
    /// `counted` by the upstream, or settled at the `bound`.
    settled: &'static str,
    /// The upstream counted more than it was asked to keep to: it is taken from what follows.
    #[serde(skip_serializing_if = "is_false")]
    beyond_bound: bool,
}

#[expect(clippy::trivially_copy_pass_by_ref, reason = "the signature that serde calls")]
fn is_false(value: &bool) -> bool {
    !*value
}

/// How long a line usually is, in bytes.
const LINE: usize = 640;

/// The log line of a request; none, where the policy wants none.
pub(crate) fn line(record: &Record<'_>) -> Option<String> {
    let failed = record.status >= 400 || record.code.is_some();
    if record.policy.gateway.log == LogRequests::Failures
        && !failed
        && record.shadowed.is_empty()
        && record.credit.is_none()
        && record.denial.is_none()
        && !record.denials_stale
        && !record.beyond_bound
        && !record.unlimited
    {
        return None;
    }
    let attempts = record
        .attempts
        .iter()
        .map(|attempt| AttemptLine {
            to: &attempt.to,
            ms: attempt.took,
            status: (attempt.status != 0).then_some(attempt.status),
            failed: attempt.failed.map(AttemptFailure::name),
            usage: usage(attempt.used, false),
        })
        .collect();
    let line = Line {
        event: "request",
        time: record.began,
        ms: record.now.saturating_sub(record.began),
        request_id: record.request,
        trace_id: record.trace,
        gateway: &record.policy.gateway.name,
        environment: &record.policy.gateway.environment,
        policy: record.bundle,
        method: record.method,
        operation: record.operation.as_deref(),
        model: record.model,
        consumer: record.consumer,
        subject: record.subject,
        status: record.status,
        decision: decision(record),
        code: record.code.map(Code::text),
        reason: record.reason,
        policy_line: record.line,
        unlimited: record.unlimited,
        shadow_limits: record.shadowed,
        credit: record.credit,
        denied: record.denied,
        denials_stale: record.denials_stale,
        denial: record.denial,
        client_gone: record.client_gone,
        attempts,
        usage: usage(record.settlement, record.beyond_bound),
        cost_nano_usd: record.cost,
    };
    // Strings and numbers always serialize.
    let mut text = Vec::with_capacity(LINE);
    serde_json::to_writer(&mut text, &line).ok()?;
    String::from_utf8(text).ok()
}

/// A line without what is known of a passed attempt only at its end: what stands around the milliseconds and the
/// status of the request, and around those of its attempt.
pub(crate) fn pieces(line: &str) -> Option<[String; 5]> {
    let mut rest = line;
    let mut pieces = <[String; 5]>::default();
    // Names of members: in a text their quotes would be escaped.
    for (piece, name) in pieces
        .iter_mut()
        .zip([r#""ms":"#, r#""status":"#, r#""ms":"#, r#""status":"#, ""])
    {
        let end = if name.is_empty() {
            rest.len()
        } else {
            rest.find(name)?.saturating_add(name.len())
        };
        let (before, after) = rest.split_at_checked(end)?;
        before.clone_into(piece);
        rest = after.trim_start_matches(|c: char| c.is_ascii_digit());
    }
    Some(pieces)
}

/// `passed` to an answer, `refused` by a rule, or `failed` for want of an answer.
fn decision(record: &Record<'_>) -> &'static str {
    match record.code {
        None => "passed",
        Some(code) if code.status() < 500 && record.attempts.is_empty() => "refused",
        Some(_) => "failed",
    }
}

fn usage(settlement: Settlement, beyond_bound: bool) -> Option<UsageLine> {
    match settlement {
        Settlement::Nothing => None,
        Settlement::Counted(usage) => Some(UsageLine {
            input_tokens: usage.prompt_tokens,
            output_tokens: Some(usage.completion_tokens),
            cached_tokens: Some(usage.cached_tokens).filter(|tokens| *tokens > 0),
            cache_write_tokens: Some(usage.cache_write_tokens).filter(|tokens| *tokens > 0),
            reasoning_tokens: Some(usage.reasoning_tokens).filter(|tokens| *tokens > 0),
            settled: "counted",
            beyond_bound,
        }),
        Settlement::AtBound(bound) => Some(UsageLine {
            input_tokens: bound.input,
            output_tokens: bound.output,
            cached_tokens: None,
            cache_write_tokens: None,
            reasoning_tokens: None,
            settled: "bound",
            beyond_bound,
        }),
    }
}
