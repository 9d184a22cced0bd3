//! Phase 8, answer: a mock, a page of our own, or a plan of attempts against upstreams.
//!
//! The order is written down: weights choose a target; one target is tried as often as the policy
//! says before the next one is; the next ones are the fallbacks in their order. Only a reason of
//! the policy's list leads to another try. `timeouts.total` bounds all of it together.

use std::borrow::Cow;

use serde::{Deserialize, Serialize};
use turnpike_llm::chat::{self, Peek};
use turnpike_llm::mock::{MockRequest, OutputEnd, Script, ScriptEnd, ToolCall};
use turnpike_policy::{
    Commit, Compiled, Handler, MockAnswer, MockEnd, MockResponse, Model, Operation, OutputCap, Reason, Target,
};

use crate::admit::Reservation;
use crate::error::{Code, Refusal};
use crate::meter::headers::Retry;
use crate::settle::Bound;
use crate::step::{Attempt, Carried, CommitOn, Ending, Failure, Outgoing, Upstream};
use crate::{dates, egress, look};

/// The first wait before another try, in milliseconds; it doubles with each.
const BACKOFF: u64 = 250;
/// The longest wait before another try on the same target, in milliseconds. A target that asks for
/// more is left alone.
const MAX_BACKOFF: u64 = 10_000;

/// The longest that an upstream can have a client left alone, in milliseconds: a day. Some say nonsense.
const MAX_RETRY_AFTER: u64 = 86_400_000;

/// How long an authorization server that gave no token is left alone, in seconds (`COOL_DOWN` in src/grant.js).
const TOKEN_COOL_DOWN: u32 = 10;

/// The list of the client's headers that reach every upstream: see [`crate::Engine::names`].
pub(crate) const GATEWAY_NAMES: u32 = 0;
/// The list that holds `tracestate` alone.
pub(crate) const TRACE_NAMES: u32 = 1;
/// What is added to an operation's index for the list of its own headers.
pub(crate) const OPERATION_NAMES: u32 = 2;

/// An operation whose upstream is asked (its index). Only [`proxy`] makes it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Proxied(u32);

impl Proxied {
    /// The operation (index into the policy's list).
    pub(crate) const fn operation(self) -> u32 {
        self.0
    }
}

/// A model's call that is being answered. Only [`Answering::new`] makes it, of a reservation.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub(crate) struct Answering {
    /// The right to be answered, and what was reserved for it.
    pub reservation: Reservation,
    /// By when it must be over, in Unix milliseconds.
    pub deadline: u64,
    /// Which target is being tried.
    pub target: Tried,
    /// What is waited for.
    pub stage: Stage,
    /// The status that the target answered; 0: it has not.
    pub status: u16,
    _proof: (),
}

impl Answering {
    /// The call of a model that was admitted at `now`, before anything was tried. `random` chooses a target, where none
    /// was reserved for.
    pub(crate) fn new(reservation: Reservation, model: &Model, now: u64, random: u64) -> Self {
        Self {
            deadline: now.saturating_add(model.timeouts.total),
            target: reservation
                .target()
                .unwrap_or_else(|| Tried::choose(&model.targets, random)),
            stage: Stage::Head,
            status: 0,
            reservation,
            _proof: (),
        }
    }

    /// Whether the target has begun an answer that counts.
    pub(crate) const fn begun(&self) -> bool {
        matches!(self.status, 200..=299)
    }
}

/// What is waited for.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) enum Stage {
    /// An object, to reserve what another attempt needs.
    Reserving,
    /// The client's body, again, for a mock that looks at it.
    Script,
    /// The head of an answer.
    Head,
    /// The whole of an answer.
    Whole,
    /// The whole of an answer that says what was wrong with the request.
    Complaint,
    /// The end of a stream.
    Stream,
    /// The time for another try.
    Pause,
}

/// Which target is tried, and for which time.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Tried {
    /// The target that the weights chose.
    pub chosen: u32,
    /// Nothing: the chosen one. Otherwise the fallback with this number, from 1.
    pub fallback: u32,
    /// Tries on it so far, this one included.
    pub tries: u32,
}

/// What follows a failure.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Move {
    /// Another try on the same target, after so many milliseconds.
    Again(u64),
    /// The next target, at once.
    Next,
    /// Nothing: the client is told.
    GiveUp,
}

impl Tried {
    /// A first choice among targets by their weights.
    pub(crate) fn choose(targets: &[Target], random: u64) -> Self {
        let total: u64 = targets.iter().map(|target| u64::from(target.weight)).sum();
        let mut point = random % total.max(1);
        let mut chosen = 0;
        for (index, target) in (0u32..).zip(targets) {
            chosen = index;
            match point.checked_sub(u64::from(target.weight)) {
                Some(rest) => point = rest,
                None => break,
            }
        }
        Self {
            chosen,
            fallback: 0,
            tries: 1,
        }
    }

    /// The target that is meant.
    pub(crate) fn target(self, model: &Model) -> Option<&Target> {
        match self.fallback.checked_sub(1) {
            None => model.targets.get(usize::try_from(self.chosen).ok()?),
            Some(index) => model.fallback.get(usize::try_from(index).ok()?),
        }
    }

    /// Whether there is anything left to try.
    pub(crate) fn has_more(self, model: &Model) -> bool {
        !model.retry.on.is_empty()
            && (self.tries < model.retry.attempts
                || usize::try_from(self.fallback).is_ok_and(|used| used < model.fallback.len()))
    }

    /// What follows when the target failed for `reason` and asked to wait for `retry_after`
    /// milliseconds. `left` is the time that is left for all of it.
    pub(crate) fn after(
        self,
        model: &Model,
        reason: Reason,
        retry_after: Option<u64>,
        left: u64,
        random: u64,
    ) -> Move {
        if !model.retry.on.contains(&reason) || left == 0 {
            return Move::GiveUp;
        }
        if self.tries < model.retry.attempts {
            let wait = wait(self.tries, retry_after, random);
            if wait <= MAX_BACKOFF && wait < left {
                return Move::Again(wait);
            }
        }
        if self.has_another(model) {
            Move::Next
        } else {
            Move::GiveUp
        }
    }

    /// Whether there is another target after this one.
    pub(crate) fn has_another(self, model: &Model) -> bool {
        let used = usize::try_from(self.fallback).unwrap_or(usize::MAX);
        used < model.fallback.len()
    }
}

/// How long to wait before another try: what the target asked for and a little more, or else
/// anything up to a bound that doubles (full jitter), so that many clients do not return at once.
fn wait(tries: u32, retry_after: Option<u64>, random: u64) -> u64 {
    match retry_after {
        Some(asked) => asked.saturating_add(random % (asked / 10 + 50)),
        None => {
            let doubled = BACKOFF << tries.saturating_sub(1).min(8);
            random % doubled.clamp(1, MAX_BACKOFF / 2)
        }
    }
}

/// The call of an operation's upstream.
pub(crate) fn proxy(
    policy: &Compiled,
    reservation: &Reservation,
    (index, operation): (u32, &Operation),
    request: &Outward<'_>,
    body: Outgoing,
) -> Result<(Attempt, Proxied), Refusal> {
    let Handler::Proxy {
        url,
        timeouts,
        credential,
    } = &operation.handler
    else {
        return Err(look::broken("a mocked operation has no upstream"));
    };
    let api = look::api(policy, operation.api)?;
    let path = request
        .path
        .strip_prefix(api.base.as_str())
        .unwrap_or(request.path);
    let query = allowed_query(request.query, &operation.forward_query);
    let mark = if query.is_empty() { "" } else { "?" };
    let attempt = Attempt {
        to: Upstream::Http {
            url: format!("{url}{path}{mark}{query}"),
            method: request.method,
            set: request.set.clone(),
            credential: credential
                .as_ref()
                .map(|credential| egress::carried(policy, credential, reservation.permit().caller()))
                .transpose()?,
            copy: request.lists(Some(index)),
            body,
        },
        within: timeouts.first.min(timeouts.total),
        whole: 0,
        last: false,
        ahead: None,
    };
    Ok((attempt, Proxied(index)))
}

/// The call of a model's target at a provider that speaks HTTP.
pub(crate) fn completion(
    base_url: &str,
    credential: Option<Carried>,
    target: &Target,
    peek: &Peek,
    cap: Option<chat::OutputCap>,
    request: &Outward<'_>,
    within: u64,
) -> Attempt {
    let mut set = request.set.clone();
    let accept = if peek.stream {
        "text/event-stream"
    } else {
        "application/json"
    };
    set.push((Cow::Borrowed("content-type"), "application/json".to_owned()));
    set.push((Cow::Borrowed("accept"), accept.to_owned()));
    Attempt {
        to: Upstream::Http {
            url: format!("{base_url}/chat/completions"),
            method: "POST",
            set,
            credential,
            copy: request.lists(None),
            body: Outgoing::Held(chat::edits_capped(peek, &target.model, cap)),
        },
        within,
        whole: 0,
        last: false,
        ahead: None,
    }
}

/// What a call of an upstream takes from the client's request.
#[derive(Clone, Debug)]
pub(crate) struct Outward<'a> {
    /// The method.
    pub method: &'static str,
    /// The canonical path.
    pub path: &'a str,
    /// The query.
    pub query: &'a str,
    /// Headers that the gateway sets.
    pub set: Vec<(Cow<'static, str>, String)>,
    /// Whether the client's trace state may be passed on.
    pub traced: bool,
}

impl Outward<'_> {
    fn lists(&self, operation: Option<u32>) -> Vec<u32> {
        let mut lists = vec![GATEWAY_NAMES];
        if self.traced {
            lists.push(TRACE_NAMES);
        }
        lists.extend(operation.map(|index| index.saturating_add(OPERATION_NAMES)));
        lists
    }
}

/// The parameters of a query that an upstream may see, as they were written; but a `;`, at which some
/// upstreams would begin another parameter, is encoded.
fn allowed_query(query: &str, allowed: &[String]) -> String {
    if allowed.is_empty() || query.is_empty() {
        return String::new();
    }
    let passes = |pair: &&str| is_named(pair, allowed);
    query
        .split('&')
        .filter(passes)
        .collect::<Vec<_>>()
        .join("&")
        .replace(';', "%3B")
}

/// Whether a parameter of a query, as it was written, has one of these names.
pub(crate) fn is_named(pair: &str, names: &[String]) -> bool {
    let name = pair.split_once('=').map_or(pair, |(name, _)| name);
    let name = decoded(name);
    names.iter().any(|known| known.as_bytes() == name.as_ref())
}

/// A part of a query with its percent-encoding undone.
pub(crate) fn decoded(name: &str) -> Cow<'_, [u8]> {
    if !name.contains(['%', '+']) {
        return Cow::Borrowed(name.as_bytes());
    }
    let mut bytes = name.bytes();
    let mut plain = Vec::with_capacity(name.len());
    while let Some(byte) = bytes.next() {
        let digit = |byte: Option<u8>| byte.and_then(|b| char::from(b).to_digit(16));
        match byte {
            b'+' => plain.push(b' '),
            b'%' => {
                let mut ahead = bytes.clone();
                let pair = digit(ahead.next()).zip(digit(ahead.next()));
                match pair.and_then(|(high, low)| u8::try_from(high * 16 + low).ok()) {
                    Some(value) => {
                        plain.push(value);
                        bytes = ahead;
                    }
                    None => plain.push(byte),
                }
            }
            _ => plain.push(byte),
        }
    }
    Cow::Owned(plain)
}

/// The scripted answer of a mock to a request.
pub(crate) fn scripted(
    policy: &Compiled,
    target: &Target,
    peek: &Peek,
    body: &[u8],
    now: u64,
    random: u64,
) -> Result<Attempt, Refusal> {
    let place = policy
        .mocks
        .binary_search_by(|mock| mock.name.as_str().cmp(&target.model));
    let mock = place.ok().and_then(|place| policy.mocks.get(place));
    let mock = mock.ok_or_else(|| look::broken("the bundle has no such mock"))?;
    let last = chat::last_message(body).ok_or_else(|| {
        // Real ones refuse it, too: a client that is tested against a mock must hear of it.
        let detail = "`messages` must hold at least one object, and each a `role`";
        Refusal::new(Code::InvalidRequest, detail).about("messages")
    })?;
    let rule = mock
        .rules
        .iter()
        .find(|rule| {
            rule.contains
                .as_ref()
                .is_none_or(|text| last.user_text.contains(text.as_str()))
                && rule.tools.is_none_or(|wanted| wanted == last.has_tools)
                && rule.tool_result.is_none_or(|wanted| wanted == last.tool_result)
        })
        .ok_or_else(|| look::broken("no rule of the mock applies"))?;
    let script = script(&rule.answer);
    let request = MockRequest {
        model: &peek.model,
        user_text: &last.user_text,
        stream: peek.stream,
        usage_wanted: true,
        seed: random,
        created: now / 1000,
    };
    let output = turnpike_llm::mock::render(&script, &request);
    let mut headers = vec![(Cow::Borrowed("content-type"), output.content_type.to_owned())];
    if let Some(seconds) = output.retry_after {
        headers.push((Cow::Borrowed("retry-after"), seconds.to_string()));
    }
    let to = Upstream::Mock {
        status: output.status,
        headers,
        pieces: output.pieces,
        end: match output.end {
            OutputEnd::Close => Ending::Close,
            OutputEnd::Abort => Ending::Lose,
            OutputEnd::Hang => Ending::Stall,
        },
    };
    Ok(Attempt {
        to,
        within: 0,
        whole: 0,
        last: false,
        ahead: None,
    })
}

/// The policy's script as the renderer takes it.
fn script(answer: &MockAnswer) -> Script {
    Script {
        status: answer.status,
        retry_after: answer.retry_after,
        text: answer.text.clone(),
        tool_calls: answer
            .tool_calls
            .iter()
            .map(|call| ToolCall {
                name: call.name.clone(),
                arguments: call.arguments.clone(),
            })
            .collect(),
        usage: answer.usage,
        first_delay: answer.first_delay,
        delay: answer.delay,
        end: match answer.end {
            MockEnd::Clean => ScriptEnd::Clean,
            MockEnd::Cut(after) => ScriptEnd::Cut(after),
            MockEnd::Stall(after) => ScriptEnd::Stall(after),
            MockEnd::NoTerminator(after) => ScriptEnd::NoTerminator(after),
        },
    }
}

/// When an answer that streams is the client's.
pub(crate) fn commit_on(model: &Model, tried: Tried) -> CommitOn {
    match model.commit {
        Commit::Complete => CommitOn::Whole,
        Commit::FirstToken if tried.has_more(model) => CommitOn::FirstToken,
        Commit::FirstToken => CommitOn::Head,
    }
}

/// What a call of a model may use at the most.
pub(crate) fn bound(model: &Model, peek: &Peek) -> Bound {
    let per_answer = match (peek.max_tokens, model.max_output_tokens.map(u64::from)) {
        (Some(asked), Some(most)) => Some(asked.min(most)),
        (asked, most) => asked.or(most),
    };
    Bound {
        input: u64::from(peek.body_len),
        output: per_answer.map(|tokens| tokens.saturating_mul(u64::from(peek.n.max(1)))),
    }
}

/// The bound that a target is asked to keep.
pub(crate) fn output_cap(model: &Model, member: OutputCap) -> Option<chat::OutputCap> {
    model.max_output_tokens.map(|tokens| chat::OutputCap {
        tokens: tokens.into(),
        member: match member {
            OutputCap::MaxTokens => chat::CapMember::MaxTokens,
            OutputCap::MaxCompletionTokens => chat::CapMember::MaxCompletionTokens,
        },
    })
}

/// What an upstream's status means for a model's target.
pub(crate) fn judge(status: u16) -> Option<Reason> {
    match status {
        429 => Some(Reason::RateLimited),
        503 | 529 => Some(Reason::Overloaded),
        408 | 500..=599 => Some(Reason::ServerError),
        ..=199 | 300..=399 | 600.. => Some(Reason::InvalidAnswer),
        _ => None,
    }
}

/// The reason that a failed transport stands for, where it is one of the list.
pub(crate) fn transport(failure: Failure) -> Option<Reason> {
    match failure {
        Failure::Unreachable => Some(Reason::Unreachable),
        Failure::Timeout => Some(Reason::NoFirstToken),
        Failure::TooLarge => Some(Reason::InvalidAnswer),
        Failure::SecretMissing | Failure::Busy | Failure::Abandoned | Failure::NoToken | Failure::Unsent => {
            None
        }
    }
}

/// What the client is told when nothing is left to try.
pub(crate) fn give_up(reason: Reason, retry_after: Option<u64>) -> Refusal {
    // Only the upstream knows when it may be asked again; where it does not say, the gateway makes nothing up.
    let asked = |refusal: Refusal| match retry_after.map(Retry::asked) {
        Some(retry) => refusal
            .header("retry-after", retry.after.to_string())
            .header("retry-after-ms", retry.after_ms.to_string())
            .header("x-should-retry", retry.should_retry()),
        None => refusal,
    };
    match reason {
        Reason::RateLimited => asked(Refusal::new(
            Code::UpstreamRateLimited,
            "The model's provider takes no more requests at the moment.",
        )),
        Reason::Overloaded => asked(Refusal::new(
            Code::UpstreamOverloaded,
            "The model's provider is overloaded.",
        )),
        Reason::ServerError => Refusal::new(Code::UpstreamError, "The upstream failed."),
        Reason::Unreachable => Refusal::new(Code::UpstreamUnreachable, "The upstream cannot be reached."),
        Reason::NoFirstToken => Refusal::new(Code::UpstreamTimeout, "The upstream did not answer in time."),
        Reason::InvalidAnswer => Refusal::new(Code::UpstreamInvalid, "The upstream's answer makes no sense."),
    }
}

/// What the client is told when the gateway itself could not make the call.
pub(crate) fn not_made(failure: Failure, origin: &str) -> Refusal {
    match failure {
        Failure::SecretMissing => {
            Refusal::new(Code::SecretMissing, "The gateway is not ready for this call.")
                .header("retry-after", "30")
                .because("a secret that the policy names is missing or not what it should be")
                .by(origin)
        }
        Failure::NoToken => Refusal::new(
            Code::UpstreamTokenUnavailable,
            "The gateway has no token for the upstream at the moment.",
        )
        .header("retry-after", TOKEN_COOL_DOWN.to_string())
        .because("the authorization server gave none")
        .by(origin),
        // Nobody reads it.
        Failure::Abandoned | Failure::Unsent => {
            Refusal::new(Code::UpstreamTimeout, "The upstream did not answer in time.")
                .because("the client had left")
        }
        _ => Refusal::new(Code::Overloaded, "Try again in a moment.").header("retry-after", "1"),
    }
}

/// What is told of an upstream that may not be asked any more: nothing was sent to it.
pub(crate) fn exception_ended(origin: &str) -> Refusal {
    Refusal::new(Code::UpstreamUnreachable, "The upstream cannot be reached.")
        .because("the exception that let it be reached without TLS has ended")
        .by(origin)
}

/// How long an answer asks to be left alone from `now` on, in milliseconds: `retry-after-ms`, or else
/// `Retry-After`, in seconds or as a date, in any of its forms (RFC 9110, 10.2.3); a day at the most.
pub(crate) fn retry_after(after: Option<&str>, milliseconds: Option<&str>, now: u64) -> Option<u64> {
    let asked = milliseconds.and_then(crate::accept::digits).or_else(|| {
        let after = after?.trim();
        match crate::accept::digits(after) {
            Some(seconds) => Some(seconds.saturating_mul(1000)),
            None => dates::from_http_date(after, now).map(|at| at.saturating_sub(now)),
        }
    });
    asked.map(|ms| ms.min(MAX_RETRY_AFTER))
}

/// The example that answers a mocked operation, and whether a preference chose it.
pub(crate) fn example<'a>(
    responses: &'a [MockResponse],
    prefer: Option<&str>,
) -> Result<(&'a MockResponse, Option<String>), Refusal> {
    let (mut code, mut name) = (None, None);
    for part in prefer.unwrap_or_default().split([',', ';']) {
        match part.trim().split_once('=') {
            Some(("code", value)) => code = Some(value.trim_matches('"')),
            Some(("example", value)) => name = Some(value.trim_matches('"')),
            _ => {}
        }
    }
    let fits = |response: &&MockResponse| {
        code.is_none_or(|code| response.status.to_string() == code)
            && name.is_none_or(|name| response.name == name)
    };
    if code.is_some() || name.is_some() {
        let found = responses.iter().find(fits).ok_or_else(|| {
            let known: Vec<_> = responses
                .iter()
                .map(|r| {
                    if r.name.is_empty() {
                        format!("code={}", r.status)
                    } else {
                        format!("code={}, example={}", r.status, r.name)
                    }
                })
                .collect();
            let detail = format!("The document has no such example. It has: {}.", known.join("; "));
            Refusal::new(Code::PreferenceInvalid, detail)
        })?;
        let applied = [
            code.map(|c| format!("code={c}")),
            name.map(|n| format!("example={n}")),
        ];
        return Ok((
            found,
            Some(applied.into_iter().flatten().collect::<Vec<_>>().join(", ")),
        ));
    }
    let success = responses.iter().filter(|r| (200..300).contains(&r.status));
    success
        .min_by_key(|r| r.status)
        .or_else(|| responses.first())
        .map(|response| (response, None))
        .ok_or_else(|| look::broken("a mocked operation has no example"))
}

/// How a target of a model is reached.
pub(crate) fn provider_of<'a>(
    policy: &'a Compiled,
    target: &Target,
) -> Result<&'a turnpike_policy::Provider, Refusal> {
    look::provider(policy, target.provider)
}

/// `provider/model`, for the log.
pub(crate) fn target_name(policy: &Compiled, target: &Target) -> String {
    let provider = look::provider(policy, target.provider).map_or("?", |p| p.name.as_str());
    format!("{provider}/{}", target.model)
}

#[cfg(test)]
mod tests {
    use super::allowed_query;

    #[test]
    fn only_named_parameters_pass_however_an_upstream_splits_them() {
        let allowed = ["limit".to_owned(), "a b".to_owned()];
        for (query, passes) in [
            ("limit=1&admin=true", "limit=1"),
            ("limit=1;admin=true", "limit=1%3Badmin=true"),
            ("admin=1;limit=2", ""),
            ("l%69mit=1&a+b=2&a%20b=3", "l%69mit=1&a+b=2&a%20b=3"),
        ] {
            assert_eq!(allowed_query(query, &allowed), passes, "{query}");
        }
    }
}
