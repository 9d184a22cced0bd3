//! The phases answer, relay and settle, driven: what follows each thing that an upstream does.

use std::borrow::Cow;

use turnpike_llm::answer::scan;
use turnpike_llm::chat::Peek;
use turnpike_policy::{Handler, LogRequests, Model, ProviderKind, Reason, Target};

use super::{Now, Outgoing, done};
use crate::account::Attempt;
use crate::admit::more::{More, Need, Reserved};
use crate::admit::{self, Reservation};
use crate::answer::{self, Answering, Move, Outward, Proxied, Stage, Tried};
use crate::authorize::Permitted;
use crate::error::{Code, Refusal};
use crate::flight::{Base, Closing, Outcome, Phase};
use crate::inspect::Body;
use crate::meter::{Answer, Outcome as Metered};
use crate::relay::Tracking;
use crate::settle::{AttemptFailure, AttemptRecord, Settlement};
use crate::step::{
    Ahead, AnswerHead, Event, Failure, Finish, Outgoing as Sent, Relay, Reply, Step, StreamEnd,
};
use crate::{Engine, Next, egress, look, standing, told};

/// Upper bound of an answer that must be read whole, in bytes.
const MAX_ANSWER: u64 = 16 * 1024 * 1024;
/// From when on an upstream that is lost without a word is taken to have worked on its request, in milliseconds after
/// it was asked: a connection that cannot be made fails sooner.
const THOUGHT: u64 = 1_000;
/// Upper bound of what an upstream may say about a wrong request, in bytes.
const MAX_COMPLAINT: u64 = 64 * 1024;
/// How much of a stream may be held back until it is the client's, in bytes.
const MAX_HOLD: u32 = 4 * 1024 * 1024;

impl Engine {
    /// Answer: begins.
    pub(super) fn answer(&self, reservation: Reservation, base: &mut Base, at: Now<'_>) -> Outgoing {
        match reservation.permit().to() {
            Permitted::Models => self.model_list(&reservation, base, at),
            Permitted::ModelCard(index) => self.model_card(*index, base, at),
            Permitted::Standing(_) => self.standing(&reservation, base, at),
            Permitted::Operation(index) => {
                let index = *index;
                self.operation(&reservation, index, base, at)
            }
            Permitted::Model(index, _) => {
                let model = look::model(&self.policy, *index)?;
                let answering = Answering::new(reservation, model, at.time, at.random);
                self.attempt(answering, base, at)
            }
        }
    }

    /// The reservation is the proof that the call was admitted.
    fn operation(&self, reservation: &Reservation, index: u32, base: &mut Base, at: Now<'_>) -> Outgoing {
        let operation = look::operation(&self.policy, index)?;
        match &operation.handler {
            Handler::Mock(responses) => {
                let (example, applied) = answer::example(responses, base.prefer.as_deref())?;
                let mut set = base.answer_headers(self);
                if !example.content_type.is_empty() {
                    set.push((Cow::Borrowed("content-type"), example.content_type.clone()));
                }
                if let Some(applied) = applied {
                    set.push((Cow::Borrowed("preference-applied"), applied));
                }
                set.push((Cow::Borrowed("x-mock"), "example".to_owned()));
                let empty =
                    base.head_only() || example.body.is_empty() || matches!(example.status, 204 | 205 | 304);
                let body = if empty {
                    Reply::None
                } else {
                    Reply::Bytes(example.body.clone())
                };
                let Closing { log, settle } = self.passed(base, at.time, example.status, Settlement::Nothing);
                let finish = Finish {
                    status: example.status,
                    set,
                    copy: false,
                    body,
                    log,
                    settle,
                };
                Ok((Step::Finish(finish), Phase::Cold))
            }
            Handler::Proxy { .. } => {
                let sent = match base.body {
                    Some(Body::Stream) => Sent::Client,
                    Some(Body::Measure(_)) => Sent::Held(Vec::new()),
                    Some(Body::None) | None => Sent::None,
                };
                let api = look::api(&self.policy, operation.api)?;
                if ended(api.until, at) {
                    return Err(answer::exception_ended(&api.origin));
                }
                let mut outward = outward(base);
                if let Some(caller) = reservation.permit().caller() {
                    outward.set.extend(told::headers(&self.policy, api, caller));
                }
                let (mut attempt, proxied) =
                    answer::proxy(&self.policy, reservation, (index, operation), &outward, sent)?;
                begin_attempt(base, [&*api.name, "/", &*api.version].concat(), at.time);
                attempt.ahead = self.ahead(base, at.time).map(Box::new);
                Ok((Step::Attempt(attempt), Phase::Proxied(proxied)))
            }
        }
    }

    /// One try on the target whose turn it is.
    fn attempt(&self, mut answering: Answering, base: &mut Base, at: Now<'_>) -> Outgoing {
        let (model, peek) = self.call(&answering.reservation)?;
        let target = target(model, answering.target)?;
        if let Some(more) = self.more(&answering, target, base, at)? {
            answering.stage = Stage::Reserving;
            let (object, ask) = (more.object, more.ask);
            return Ok((Step::Meter { object, ask }, Phase::Answering(Box::new(answering))));
        }
        base.provider = Some(target.provider);
        base.price = target.price;
        answering.status = 0;
        let provider = answer::provider_of(&self.policy, target)?;
        if ended(provider.until, at) {
            if model.retry.on.contains(&Reason::Unreachable) && answering.target.has_another(model) {
                return self.next_target(answering, base, at);
            }
            return Err(answer::exception_ended(&provider.origin));
        }
        let left = answering.deadline.saturating_sub(at.time);
        let mut attempt = match &provider.kind {
            ProviderKind::OpenAi {
                base_url,
                credential,
                output_cap,
            } => {
                // What does not stream sends its head when it is whole.
                let within = if peek.stream {
                    left.min(model.timeouts.first)
                } else {
                    left
                };
                let outward = outward(base);
                let cap = answer::output_cap(model, *output_cap);
                let caller = answering.reservation.permit().caller();
                let credential = credential
                    .as_ref()
                    .map(|credential| egress::carried(&self.policy, credential, caller))
                    .transpose()?;
                answer::completion(base_url, credential, target, peek, cap, &outward, within)
            }
            ProviderKind::Mock => {
                let Some(body) = at.body else {
                    let max = u64::from(peek.body_len);
                    answering.stage = Stage::Script;
                    return Ok((Step::ReadBody { max }, Phase::Answering(Box::new(answering))));
                };
                let mut attempt = answer::scripted(&self.policy, target, peek, body, at.time, at.random)?;
                attempt.within = if peek.stream {
                    left.min(model.timeouts.first)
                } else {
                    left
                };
                attempt
            }
        };
        if !peek.stream {
            attempt.whole = MAX_ANSWER;
            attempt.last = !answering.target.has_more(model);
        }
        let name = answer::target_name(&self.policy, target);
        begin_attempt(base, name, at.time);
        answering.stage = Stage::Head;
        Ok((Step::Attempt(attempt), Phase::Answering(Box::new(answering))))
    }

    /// Carries on a request that is being answered.
    pub(super) fn carry_on(
        &self,
        mut base: Base,
        answering: Answering,
        event: Event<'_>,
        at: Now<'_>,
    ) -> Next {
        let outgoing = match (answering.stage, event) {
            (Stage::Script, Event::Body(Ok(_))) | (Stage::Pause, Event::Paused) => {
                self.attempt(answering, &mut base, at)
            }
            (Stage::Reserving, Event::Metered(answer)) => self.reserved(answering, &mut base, answer, at),
            (Stage::Script, Event::Body(Err(failure))) => Err(crate::inspect::unreadable(failure, 0)),
            (Stage::Head, Event::Answered(Ok(head))) => self.head(answering, &mut base, &head, at),
            (Stage::Head, Event::Answered(Err(failure)))
            | (Stage::Whole | Stage::Complaint, Event::Answer(Err(failure))) => {
                self.lost(answering, &mut base, failure, at)
            }
            (Stage::Whole, Event::Answer(Ok(body))) => self.whole(answering, &mut base, body, at),
            (Stage::Complaint, Event::Answer(Ok(body))) => self.complaint(&answering, &mut base, body, at),
            (
                Stage::Stream,
                Event::Streamed {
                    tracking,
                    end,
                    client_gone,
                    committed,
                },
            ) => {
                return self.streamed(answering, base, at, tracking, end, client_gone, committed);
            }
            _ => Err(look::broken("an event came that no answer waited for")),
        };
        self.next(base, outgoing, at.time)
    }

    /// An operation's upstream has answered, or has not.
    pub(super) fn operation_answered(
        &self,
        mut base: Base,
        proxied: Proxied,
        event: Event<'_>,
        at: Now<'_>,
    ) -> Next {
        let origin = look::operation(&self.policy, proxied.operation()).map_or("", |o| o.origin.as_str());
        match event {
            Event::Answered(Ok(head)) if (200..600).contains(&head.status) => {
                base.judged(at.time, head.status, None);
                let bodyless = base.head_only() || matches!(head.status, 204 | 205 | 304);
                let body = if bodyless { Reply::None } else { Reply::Upstream };
                let set = self.passed_headers(&base);
                let Closing { log, settle } = self.passed(&base, at.time, head.status, Settlement::Nothing);
                done(Step::Finish(Finish {
                    status: head.status,
                    set,
                    copy: true,
                    body,
                    log,
                    settle,
                }))
            }
            Event::Answered(Err(failure)) => {
                let failed = AttemptFailure::Transport(failure);
                base.gone |= failure == Failure::Abandoned;
                base.judged(at.time, 0, Some(failed));
                let refusal = match answer::transport(failure) {
                    Some(reason) => answer::give_up(reason, None),
                    None => answer::not_made(failure, origin),
                };
                self.next(base, Err(refusal.by(origin)), at.time)
            }
            _ => {
                base.judged(at.time, 0, Some(AttemptFailure::Reason(Reason::InvalidAnswer)));
                let refusal = answer::give_up(Reason::InvalidAnswer, None);
                self.next(base, Err(refusal), at.time)
            }
        }
    }

    /// How a request ends if its operation's upstream answers; `None`: objects must be told then what was used.
    fn ahead(&self, base: &mut Base, now: u64) -> Option<Ahead> {
        if !base.accounts.is_empty() {
            return None;
        }
        Some(Ahead {
            set: self.passed_headers(base),
            body: !base.head_only(),
            began: base.began,
            attempted: now,
            line: self.line_ahead(base)?,
            failures_only: self.policy.gateway.log == LogRequests::Failures
                && base.shadowed.is_empty()
                && !base.denials_stale
                && !base.unlimited,
        })
    }

    /// The headers that are set on what an operation's upstream answers.
    fn passed_headers(&self, base: &Base) -> Vec<(Cow<'static, str>, String)> {
        let mut set = base.answer_headers(self);
        if base.consumer.is_some() {
            // A cache between the gateway and its client knows by `Authorization` alone that an answer may
            // be for one caller (RFC 9111, 3.5).
            let keys = self.policy.gateway.api_keys.headers.iter();
            let names: Vec<&str> = ["authorization"]
                .into_iter()
                .chain(keys.map(String::as_str))
                .collect();
            set.push((Cow::Borrowed("vary"), names.join(", ")));
        }
        set
    }

    /// A model's target has begun to answer.
    fn head(
        &self,
        mut answering: Answering,
        base: &mut Base,
        head: &AnswerHead<'_>,
        at: Now<'_>,
    ) -> Outgoing {
        let (model, peek) = self.call(&answering.reservation)?;
        if let Some(last) = base.attempts.last_mut() {
            last.status = head.status;
        }
        answering.status = head.status;
        if let Some(reason) = answer::judge(head.status) {
            let wait =
                answer::retry_after(head.header("retry-after"), head.header("retry-after-ms"), at.time);
            return self.failed(answering, base, reason, wait, at);
        }
        let left = answering.deadline.saturating_sub(at.time);
        if !(200..300).contains(&head.status) {
            if matches!(head.status, 401..=404 | 407) {
                // The gateway's own credential or target is wrong there: nothing that the client
                // could mend, and nothing that it should read as being about its own credential.
                base.judged(at.time, head.status, Some(AttemptFailure::Refused));
                let reason = format!("the provider answered {} to the gateway", head.status);
                return Err(
                    Refusal::new(Code::UpstreamRefused, "The upstream refused the gateway.")
                        .because(reason)
                        .by(&model.origin),
                );
            }
            answering.stage = Stage::Complaint;
            let step = Step::ReadAnswer {
                max: MAX_COMPLAINT,
                within: left,
            };
            return Ok((step, Phase::Answering(Box::new(answering))));
        }
        let kind = head
            .header("content-type")
            .map(crate::inspect::media_type)
            .unwrap_or_default();
        if !peek.stream {
            answering.stage = Stage::Whole;
            let step = Step::ReadAnswer {
                max: MAX_ANSWER,
                within: left,
            };
            return Ok((step, Phase::Answering(Box::new(answering))));
        }
        // Those without a body are no streams, whatever they say.
        if kind != "text/event-stream" || head.status != 200 {
            return self.failed(answering, base, Reason::InvalidAnswer, None, at);
        }
        let asked = base.attempts.last().map_or(at.time, |attempt| attempt.began);
        let filter = !peek.usage_wanted;
        let tracking = Tracking::new(filter, &model.timeouts, asked, answering.deadline);
        let mut set = base.answer_headers(self);
        set.push((
            Cow::Borrowed("content-type"),
            "text/event-stream; charset=utf-8".to_owned(),
        ));
        set.push((Cow::Borrowed("cache-control"), "no-cache".to_owned()));
        let relay = Relay {
            status: 200,
            set,
            filter,
            commit: answer::commit_on(model, answering.target),
            within: tracking.within(at.time),
            tracking: postcard::to_allocvec(&tracking)
                .map_err(|_| look::broken("what is known of the stream cannot be written"))?,
            hold: MAX_HOLD,
        };
        answering.stage = Stage::Stream;
        Ok((Step::Relay(relay), Phase::Answering(Box::new(answering))))
    }

    /// The transport failed before an answer was whole.
    fn lost(&self, answering: Answering, base: &mut Base, failure: Failure, at: Now<'_>) -> Outgoing {
        match answer::transport(failure) {
            Some(reason) => self.failed(answering, base, reason, None, at),
            None => {
                base.gone |= matches!(failure, Failure::Abandoned | Failure::Unsent);
                // Nothing that was not sent was used.
                if answering.begun() || failure == Failure::Abandoned {
                    base.last = Settlement::AtBound(base.bound);
                }
                base.judged(at.time, 0, Some(AttemptFailure::Transport(failure)));
                let (model, _) = self.call(&answering.reservation)?;
                let provider = target(model, answering.target)
                    .and_then(|target| answer::provider_of(&self.policy, target))?;
                Err(answer::not_made(failure, &provider.origin))
            }
        }
    }

    /// An object has said whether what another attempt needs is reserved.
    fn reserved(
        &self,
        answering: Answering,
        base: &mut Base,
        answer: Option<&[u8]>,
        at: Now<'_>,
    ) -> Outgoing {
        let (model, _) = self.call(&answering.reservation)?;
        let target = target(model, answering.target)?;
        let (price, provider) = (target.price, target.provider);
        let attempt = Attempt {
            bound: base.bound,
            price: price.as_ref(),
            provider: Some(provider),
        };
        let more = self.more(&answering, target, base, at)?;
        let said = answer.and_then(|answer| Answer::decode(answer).ok());
        if said.as_ref().is_none_or(|said| said.outcome != Metered::Admitted) {
            let is_refused = said.is_some() && more.is_some();
            // The answer may be lost, and the charge made: it is given back at the end.
            if let (None, Some(Need::Upstream(admitted, account))) = (said, more.map(|more| more.need)) {
                base.admit(admitted, account);
            }
            base.forgo();
            // Somebody else may be asked, who has room for it or costs less.
            if is_refused && answering.target.has_another(model) {
                return self.next_target(answering, base, at);
            }
            // The client is told why the attempt before failed: that this one is not made is no news to it.
            let last = base.attempts.last().and_then(|attempt| attempt.failed);
            let reason = match last {
                Some(AttemptFailure::Reason(reason)) => reason,
                _ => Reason::Overloaded,
            };
            return Err(answer::give_up(reason, None)
                .because("another attempt could not be reserved for")
                .by(&model.origin));
        }
        match more.map(|more| more.need) {
            Some(Need::TopUp(place)) => {
                if let Some(account) = base.accounts.get_mut(place) {
                    account.topped_up(attempt);
                }
            }
            Some(Need::Upstream(admitted, account)) => base.admit(admitted, account),
            None => {}
        }
        self.attempt(answering, base, at)
    }

    /// What must be asked before a target may be tried.
    fn more(
        &self,
        answering: &Answering,
        target: &Target,
        base: &Base,
        at: Now<'_>,
    ) -> Result<Option<More>, Refusal> {
        let uses = answering.reservation.uses();
        // Nearly all calls: nothing is held, and the first upstream is asked once.
        let first = base.attempts.is_empty() && uses.provider == Some(target.provider);
        if base.accounts.is_empty() && first {
            return Ok(None);
        }
        let attempt = Attempt {
            bound: base.bound,
            price: target.price.as_ref(),
            provider: Some(target.provider),
        };
        let reserved = Reserved {
            permit: answering.reservation.permit(),
            uses,
            request: &base.id_text(),
            from: admit::Origin {
                address: &base.address,
                headers: &base.headers,
            },
            accounts: &base.accounts,
            upstreams: &base.upstreams,
        };
        admit::more::next(&self.policy, reserved, attempt, base.next_attempt(), at.time)
    }

    /// A target failed for a reason of the list: another try, another target, or the end. What it used is
    /// not known: nothing, as long as it had not begun to answer, unless it was left, or was lost, while it may have
    /// been thinking.
    fn failed(
        &self,
        answering: Answering,
        base: &mut Base,
        reason: Reason,
        retry_after: Option<u64>,
        at: Now<'_>,
    ) -> Outgoing {
        let lost = match reason {
            Reason::Unreachable => true,
            // Somebody between here and the model gave up on it.
            Reason::ServerError => matches!(answering.status, 502 | 504 | 520 | 524),
            _ => false,
        };
        let thought = reason == Reason::NoFirstToken || (lost && base.took(at.time) >= THOUGHT);
        let used = if thought || answering.begun() {
            Settlement::AtBound(base.bound)
        } else {
            Settlement::Nothing
        };
        self.failed_with(answering, base, reason, used, retry_after, at)
    }

    /// The same, where it is known what the attempt used.
    fn failed_with(
        &self,
        mut answering: Answering,
        base: &mut Base,
        reason: Reason,
        used: Settlement,
        retry_after: Option<u64>,
        at: Now<'_>,
    ) -> Outgoing {
        base.judged(at.time, 0, Some(AttemptFailure::Reason(reason)));
        let (model, _) = self.call(&answering.reservation)?;
        let left = answering.deadline.saturating_sub(at.time);
        let next = answering
            .target
            .after(model, reason, retry_after, left, at.random);
        if next == Move::GiveUp {
            base.last = used;
        } else {
            let attempt = Attempt {
                bound: base.bound,
                price: base.price.as_ref(),
                provider: base.provider,
            };
            for account in &mut base.accounts {
                account.bill(used, attempt);
            }
            if let Some(last) = base.attempts.last_mut() {
                last.used = used;
            }
        }
        match next {
            Move::Again(ms) => {
                answering.target.tries += 1;
                answering.stage = Stage::Pause;
                Ok((Step::Pause { ms }, Phase::Answering(Box::new(answering))))
            }
            Move::Next => self.next_target(answering, base, at),
            Move::GiveUp => Err(answer::give_up(reason, retry_after).by(&model.origin)),
        }
    }

    /// Tries the next target of a model.
    fn next_target(&self, mut answering: Answering, base: &mut Base, at: Now<'_>) -> Outgoing {
        answering.target.fallback += 1;
        answering.target.tries = 1;
        self.attempt(answering, base, at)
    }

    /// A model's answer is whole.
    fn whole(&self, answering: Answering, base: &mut Base, body: &[u8], at: Now<'_>) -> Outgoing {
        let Ok(answer) = scan(body) else {
            return self.failed(answering, base, Reason::InvalidAnswer, None, at);
        };
        base.judged(at.time, 200, None);
        let settlement = match answer.usage {
            Some(usage) => Settlement::Counted(usage),
            None => Settlement::AtBound(base.bound),
        };
        let mut set = base.answer_headers(self);
        set.push((Cow::Borrowed("content-type"), "application/json".to_owned()));
        let Closing { log, settle } = self.passed(base, at.time, 200, settlement);
        let finish = Finish {
            status: 200,
            set,
            copy: false,
            body: Reply::Held,
            log,
            settle,
        };
        Ok((Step::Finish(finish), Phase::Cold))
    }

    /// A provider says what is wrong with the request: the client may read it, if it is an error in
    /// the format that it knows.
    fn complaint(&self, answering: &Answering, base: &mut Base, body: &[u8], at: Now<'_>) -> Outgoing {
        let status = answering.status;
        base.judged(at.time, status, Some(AttemptFailure::Refused));
        if !turnpike_llm::error::is_error(body) {
            return Err(Refusal::new(
                Code::InvalidRequest,
                "The model's provider does not take this request, and does not say why.",
            ));
        }
        let mut set = base.answer_headers(self);
        set.push((Cow::Borrowed("content-type"), "application/json".to_owned()));
        let Closing { log, settle } = self.close(
            base,
            at.time,
            &Outcome {
                status,
                code: Some(Code::InvalidRequest),
                reason: Some("the provider does not take this request"),
                line: None,
                client_gone: base.gone,
                settlement: Settlement::Nothing,
            },
        );
        let finish = Finish {
            status,
            set,
            copy: false,
            body: Reply::Held,
            log,
            settle,
        };
        Ok((Step::Finish(finish), Phase::Cold))
    }

    /// A stream is over: whole, broken, or left by its client.
    #[expect(clippy::too_many_arguments, reason = "the parts of one event")]
    fn streamed(
        &self,
        answering: Answering,
        mut base: Base,
        at: Now<'_>,
        tracking: &[u8],
        end: StreamEnd,
        client_gone: bool,
        committed: bool,
    ) -> Next {
        let Ok(mut tracking) = postcard::from_bytes::<Tracking>(tracking) else {
            let broken = look::broken("what is known of the stream cannot be read");
            return self.next(base, Err(broken), at.time);
        };
        if end == StreamEnd::Busy && !committed && !client_gone {
            // No fault of the upstream's: another would find no room either.
            let outgoing = self.lost(answering, &mut base, Failure::Busy, at);
            return self.next(base, outgoing, at.time);
        }
        let fault = tracking.fault(end, at.time);
        let settlement = match tracking.usage() {
            Some(usage) => Settlement::Counted(usage),
            // Where nothing came, nothing was used; but who was left alone, or cut, may have been thinking.
            None if !tracking.started()
                && end != StreamEnd::Abandoned
                && !(end == StreamEnd::Late || fault.is_some_and(cut) && base.took(at.time) >= THOUGHT) =>
            {
                Settlement::Nothing
            }
            None => Settlement::AtBound(base.bound),
        };
        let mut tail = Vec::new();
        let error = fault.map(|(code, detail)| {
            let (status, code) = (code.status(), code.text());
            turnpike_llm::error::body(status, code, detail, &base.id_text(), None, None)
        });
        tracking.finish(error.as_deref(), &mut tail);
        let Some((code, detail)) = fault else {
            base.judged(at.time, 200, None);
            let outcome = Outcome {
                client_gone,
                ..Outcome::passed(200, settlement)
            };
            let Closing { log, settle } = self.close(&base, at.time, &outcome);
            return done(Step::End { tail, log, settle });
        };
        let reason = match code {
            Code::StreamStalled => Reason::NoFirstToken,
            Code::StreamFailed => Reason::InvalidAnswer,
            _ => Reason::Unreachable,
        };
        if !committed && !client_gone {
            let outgoing = self.failed_with(answering, &mut base, reason, settlement, None, at);
            return self.next(base, outgoing, at.time);
        }
        let failed = match code {
            Code::StreamStalled => AttemptFailure::Stalled,
            Code::StreamFailed => AttemptFailure::Broken,
            _ => AttemptFailure::Cut,
        };
        base.judged(at.time, 200, Some(failed));
        let outcome = Outcome {
            status: 200,
            code: Some(code),
            reason: Some(detail),
            line: None,
            client_gone,
            settlement,
        };
        let Closing { log, settle } = self.close(&base, at.time, &outcome);
        done(Step::End { tail, log, settle })
    }

    /// What a call is settled at whose handling was lost: the bound, where a target may have counted.
    pub(super) fn unsettled(base: &Base, phase: &Phase) -> Settlement {
        match phase {
            // An answer that was read at once is judged in the same step as its head.
            Phase::Answering(answering)
                if matches!(answering.stage, Stage::Head | Stage::Whole | Stage::Stream) =>
            {
                Settlement::AtBound(base.bound)
            }
            _ => Settlement::Nothing,
        }
    }

    /// The end of a stream of which the client has a part, when the gateway cannot carry it on.
    pub(super) fn broken_off(
        &self,
        base: &Base,
        now: u64,
        code: Code,
        detail: &str,
        settlement: Settlement,
    ) -> Step {
        let outcome = Outcome {
            code: Some(code),
            reason: Some(detail),
            ..Outcome::passed(200, settlement)
        };
        // Whatever was passed on by half is ended first.
        let mut tail = b"\n\n".to_vec();
        tail.extend(turnpike_llm::error::event(
            code.status(),
            code.text(),
            detail,
            &base.id_text(),
        ));
        let Closing { log, settle } = self.close(base, now, &outcome);
        Step::End { tail, log, settle }
    }

    fn model_list(&self, reservation: &Reservation, base: &mut Base, at: Now<'_>) -> Outgoing {
        let caller = reservation.permit().caller();
        let caller = caller.ok_or_else(|| look::broken("nobody asks for models"))?;
        let consumer = look::consumer(&self.policy, caller.consumer())?;
        let request = super::requested(base, base.matched()?, at);
        let models = crate::authorize::granted_models(&self.policy, consumer, caller, request)
            .filter(|model| !crate::matching::ended(&model.lifecycle, at.time));
        let body = turnpike_llm::models::list(models.map(|m| (m.name.as_str(), m.owner.as_str())));
        Ok(self.page(base, body, at))
    }

    fn standing(&self, reservation: &Reservation, base: &mut Base, at: Now<'_>) -> Outgoing {
        if reservation.unlimited() {
            return Err(
                Refusal::new(Code::LimiterUnavailable, "The limits cannot be seen now.")
                    .header("retry-after", "1"),
            );
        }
        let caller = reservation.permit().caller();
        let caller = caller.ok_or_else(|| look::broken("nobody asks for limits"))?;
        let consumer = look::consumer(&self.policy, caller.consumer())?;
        let plan = look::plan(&self.policy, consumer.plan)?;
        let (_, limits) = admit::limits_of(&self.policy, reservation.permit())?;
        let body = standing::page(consumer, plan, &limits, reservation.standings());
        base.limits.clear();
        Ok(self.page(base, body, at))
    }

    fn model_card(&self, index: u32, base: &mut Base, at: Now<'_>) -> Outgoing {
        let model = look::model(&self.policy, index)?;
        let body = turnpike_llm::models::one(&model.name, &model.owner);
        Ok(self.page(base, body, at))
    }

    /// A JSON answer of the gateway's own.
    pub(super) fn page(&self, base: &Base, body: Vec<u8>, at: Now<'_>) -> (Step, Phase) {
        let mut set = base.answer_headers(self);
        set.push((Cow::Borrowed("content-type"), "application/json".to_owned()));
        // It is this caller's alone.
        set.push((Cow::Borrowed("cache-control"), "private, no-store".to_owned()));
        let body = if base.head_only() {
            Reply::None
        } else {
            Reply::Bytes(body)
        };
        let Closing { log, settle } = self.passed(base, at.time, 200, Settlement::Nothing);
        (
            Step::Finish(Finish {
                status: 200,
                set,
                copy: false,
                body,
                log,
                settle,
            }),
            Phase::Cold,
        )
    }

    fn passed(&self, base: &Base, now: u64, status: u16, settlement: Settlement) -> Closing {
        let outcome = Outcome {
            client_gone: base.gone,
            ..Outcome::passed(status, settlement)
        };
        self.close(base, now, &outcome)
    }

    /// The model that a reservation is for, and what the request says.
    fn call<'a>(&'a self, reservation: &'a Reservation) -> Result<(&'a Model, &'a Peek), Refusal> {
        match reservation.permit().to() {
            Permitted::Model(index, peek) => Ok((look::model(&self.policy, *index)?, peek)),
            _ => Err(look::broken("the permit is for no model")),
        }
    }
}

fn target(model: &Model, tried: Tried) -> Result<&Target, Refusal> {
    tried
        .target(model)
        .ok_or_else(|| look::broken("the model has no such target"))
}

/// Whether an exception that something needs is over.
fn ended(until: Option<u64>, at: Now<'_>) -> bool {
    until.is_some_and(|until| at.time >= until)
}

fn begin_attempt(base: &mut Base, to: String, now: u64) {
    base.attempts.push(AttemptRecord {
        to,
        began: now,
        took: 0,
        status: 0,
        failed: None,
        used: Settlement::Nothing,
    });
}

/// What every upstream is told of the request.
fn outward(base: &Base) -> Outward<'_> {
    Outward {
        method: turnpike_policy::Method::from_name(&base.method).map_or("GET", |m| m.name()),
        path: &base.path,
        query: &base.query,
        set: vec![
            (Cow::Borrowed("traceparent"), base.trace.parent()),
            (Cow::Borrowed("x-request-id"), base.id_text()),
        ],
        traced: base.trace.continued,
    }
}

/// Whether a stream failed without a word of its upstream's.
fn cut((code, _): (Code, &str)) -> bool {
    code == Code::StreamCut
}
