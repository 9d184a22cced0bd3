//! The order of the phases: which one comes next, and what it waits for.
//!
//! [`Engine::begin`] runs a request as far as it goes without the outside; each event carries it on
//! from where it was. Nothing here decides anything: the phases do.

mod answering;
mod challenge;
mod denying;
mod fetching;
mod identifying;
mod operating;
mod presented;
mod proving;

use turnpike_policy::{Compiled, Handler, Issuer, Model, Route, Surface};

use crate::accept::{self, Accepted, Random};
use crate::admit::{self, Admission, Unmetered};
use crate::answer;
use crate::authorize::{self, Granted, Permit, Permitted, Uninspected, Unproven};
use crate::cors;
use crate::decide::{self, Question};
use crate::error::{Code, Refusal};
use crate::flight::{Base, Closing, Flight, Outcome, Phase};
use crate::identify::{self, Caller, Presented, Principal};
use crate::inspect::{self, Announced, Body};
use crate::look;
use crate::matching::{self, Destination, Matched};
use crate::settle::Settlement;
use crate::step::{BodyFailure, Event, Finish, Head, Step, Undecided};
use crate::{Engine, Next};
use challenge::unidentified;

/// A request whose handling was lost to a fault, as far as the shell knows it.
#[derive(Clone, Copy, Debug)]
pub struct Lost<'a> {
    /// Its method.
    pub method: &'a str,
    /// Its URL.
    pub url: &'a str,
    /// Whether a part of a stream is the client's already.
    pub committed: bool,
}

/// How a phase ends that does not answer by itself.
type Outgoing = Result<(Step, Phase), Refusal>;

/// What every phase may look at.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Now<'a> {
    /// The time, in Unix milliseconds.
    pub(crate) time: u64,
    /// Random, for choices.
    pub(crate) random: u64,
    /// The client's body, where it was just read.
    pub(crate) body: Option<&'a [u8]>,
}

impl Engine {
    /// Takes a request.
    pub fn begin(&mut self, head: &Head<'_>, now: u64, random: &Random) -> Next {
        let mut base = opened(&self.policy, head, now, random);
        let at = Now {
            time: now,
            random: random.choice,
            body: None,
        };
        // Charged first, whatever comes: refusals are what a flood is made of.
        let passed = self
            .shield
            .take(head.header("cf-connecting-ip").unwrap_or_default(), now);
        let opening = self.opening(head, &mut base, now, random);
        let passed = match passed {
            Ok(passed) => passed,
            Err(ms) => return self.shielded(&base, now, ms),
        };
        let (accepted, matched) = match opening {
            Err(refusal) => return done(self.refuse(&base, now, &refusal)),
            Ok(Opening::Preflight(finish)) => return self.finished(&base, now, finish),
            Ok(Opening::Matched(accepted, matched)) => (accepted, matched),
        };
        let shielded = passed.on(matched);
        let outgoing = match matched.to() {
            Destination::Operator => Ok((Step::Cold, Phase::Cold)),
            Destination::Options => match matching::methods(&self.policy, &accepted) {
                Ok(methods) => {
                    let set = vec![("allow".into(), methods.allow())];
                    let finish = Finish {
                        status: 204,
                        set,
                        ..Finish::default()
                    };
                    return self.finished(&base, now, finish);
                }
                Err(refusal) => Err(refusal),
            },
            Destination::Route(route) => self.identify(route, shielded, head, &mut base, at),
            Destination::Limits | Destination::Credits | Destination::Denials | Destination::Deny => {
                self.identify_caller(shielded, head, &mut base, at)
            }
        };
        self.next(base, outgoing, now)
    }

    /// Carries a request on. `random` is for choices alone.
    pub fn resume(&mut self, flight: Flight, event: Event<'_>, now: u64, random: u64) -> Next {
        let Flight { mut base, phase } = flight;
        let mut at = Now {
            time: now,
            random,
            body: None,
        };
        let outgoing = match (phase, event) {
            (Phase::Verifying(pending, shielded), Event::Verified(right)) => {
                let outcome = identify::verified(&mut self.identities, pending, right, now);
                self.identity(outcome, &Presented::nothing(shielded), 0, &mut base, at)
            }
            (Phase::Proving(proven), Event::Metered(answer)) => self.proved(*proven, answer, &mut base, at),
            (
                Phase::FetchingKeys {
                    issuer,
                    part,
                    presented,
                },
                event @ (Event::Keys(_) | Event::Copied(..)),
            ) => self.keys_had((issuer, part), event, &presented, &mut base, at),
            (Phase::AwaitingKeys { presented, waited }, Event::Paused) => {
                let presented = presented.borrow();
                let (policy, store) = (&self.policy, &mut self.identities);
                let outcome = identify::waited(policy, store, &presented, waited, now);
                self.identity(outcome, &presented, waited, &mut base, at)
            }
            (Phase::Introspecting(asked), Event::Decided(answer)) => {
                let (policy, store) = (&self.policy, &mut self.identities);
                match identify::introspected(policy, store, &asked, answer, now) {
                    Ok(principal) => self.undenied(Caller::Known(principal), &mut base, at),
                    Err(refusal) => Err(unidentified(&refusal)),
                }
            }
            (Phase::RefreshingKeys { issuer, part }, event @ (Event::Keys(_) | Event::Copied(..))) => {
                return self.keys_refreshed((issuer, part), event, now);
            }
            (Phase::ReadingChat { caller, max }, Event::Body(body)) => {
                self.chat(caller, body, max, &mut base, at)
            }
            (Phase::Measuring { permit, max }, Event::Body(body)) => match inspect::measured(body, max) {
                Ok(inspected) => {
                    at.body = body.ok();
                    self.admit(permit.inspected(inspected), &mut base, at)
                }
                Err(refusal) => Err(refusal),
            },
            (Phase::Deciding(to, ask), Event::Decided(said)) => self.decided(to, &ask, said, &mut base, at),
            (Phase::Admitting { permit, asked }, Event::Metered(answer)) => {
                let asks = asks(&base, at);
                let admission =
                    admit::metered(&self.policy, permit, *asked, asks, answer, &mut self.memory, now);
                match admission {
                    Ok(admission) => self.admission(admission, &mut base, at),
                    Err(Unmetered { refusal, accounts }) => {
                        base.accounts = accounts;
                        Err(*refusal)
                    }
                }
            }
            (Phase::ReadingOrder(caller), Event::Body(body)) => self.ordered(&caller, body, &base),
            (Phase::Bounding(order), Event::Metered(answer)) => self.bounded(order, answer, &mut base, at),
            (Phase::Operating(order), Event::Metered(answer)) => self.operated(order, answer, &mut base, at),
            (Phase::Looking { caller, began }, Event::Metered(answer)) => {
                self.looked(caller, began, answer, &mut base, at)
            }
            (Phase::ReadingDenial(caller), Event::Body(body)) => {
                self.order_denial(&caller, body, &mut base, at)
            }
            (Phase::Denying(order, began), Event::Metered(answer)) => {
                self.denial_ordered(&order, began, answer, &mut base, at)
            }
            (Phase::Cold, Event::Answered(Ok(answer))) => {
                return self.coldly(&base, answer.status, now);
            }
            (Phase::Cold, Event::Answered(Err(_))) => {
                Err(look::broken("the other half of the Worker failed"))
            }
            (Phase::Proxied(proxied), event) => {
                return self.operation_answered(base, proxied, event, at);
            }
            (Phase::Answering(answering), event) => {
                if let Event::Body(Ok(body)) = event {
                    at.body = Some(body);
                }
                return self.carry_on(base, *answering, event, at);
            }
            _ => Err(look::broken("an event came that nothing waited for")),
        };
        self.next(base, outgoing, now)
    }

    /// What the client of a request gets whose handling was lost to a fault. `flight` is what was in
    /// flight, if it had got so far; else method and URL say what was called.
    pub fn fault(&self, lost: &Lost<'_>, flight: Option<Flight>, now: u64, random: &Random) -> Step {
        let (base, settlement) = match flight {
            Some(Flight { base, phase }) => {
                let settlement = Self::unsettled(&base, &phase);
                (base, settlement)
            }
            None => {
                let head = Head {
                    method: lost.method,
                    url: lost.url,
                    ..Head::default()
                };
                let mut base = opened(&self.policy, &head, now, random);
                // For what it finds of what was called, which the log shall name.
                let _ = self.opening(&head, &mut base, now, random);
                (base, Settlement::Nothing)
            }
        };
        let detail = "The gateway failed. Other requests go on.";
        if lost.committed {
            return self.broken_off(&base, now, Code::Internal, detail, settlement);
        }
        self.refuse_with(
            &base,
            now,
            &Refusal::new(Code::Internal, detail),
            settlement,
            false,
        )
    }

    /// Accept, preflight and match.
    fn opening(
        &self,
        head: &Head<'_>,
        base: &mut Base,
        now: u64,
        random: &Random,
    ) -> Result<Opening, Refusal> {
        let accepted = accept::accept(head, random)?;
        base.trace = accepted.trace().clone();
        accepted.path().clone_into(&mut base.path);
        base.query = presented::without(&self.policy, accepted.query());
        base.announced = Announced {
            present: head.has_body,
            length: accepted.content_length(),
            media_type: head
                .header("content-type")
                .map(inspect::media_type)
                .unwrap_or_default(),
            encoded: head
                .header("content-encoding")
                .is_some_and(|encoding| !encoding.eq_ignore_ascii_case("identity")),
        };
        base.model_client = !self.policy.models.is_empty() && accepted.path().starts_with("/v1/");
        let preflight = head
            .header("origin")
            .zip(head.header("access-control-request-method"));
        if let (turnpike_policy::Method::Options, Some((origin, wanted))) = (accepted.method(), preflight) {
            let methods = matching::methods(&self.policy, &accepted)?;
            let finish = cors::preflight(self.policy.gateway.cors.as_ref(), origin, wanted, &methods)?;
            // Whether there is such a page, only the other half knows.
            if !matching::is_cold(&accepted) {
                return Ok(Opening::Preflight(finish));
            }
        }
        let matched = matching::find(&self.policy, &accepted, now)?;
        base.matched = Some(matched);
        if let Destination::Route(route) = matched.to() {
            base.model_client = matches!(route, Route::Surface(_));
        }
        Ok(Opening::Matched(accepted, matched))
    }

    /// What follows once the caller is known: all that can be decided without the body, first.
    fn identified(&mut self, caller: Principal, matched: Matched, base: &mut Base, at: Now<'_>) -> Outgoing {
        match matched.to() {
            Destination::Route(Route::Operation(_)) => {
                match authorize::for_operation(&self.policy, caller, requested(base, matched, at))? {
                    Granted::Permit(right) => self.inspect_operation(right, matched, base, at),
                    Granted::Ask(unproven, question) => self.decide(unproven, question, base, at),
                }
            }
            Destination::Route(Route::Surface(Surface::ChatCompletions)) => {
                authorize::any_model(&self.policy, &caller, matched)?;
                let largest = self.policy.models.iter().map(|model| model.max_body).max();
                let max = inspect::model_body(largest.unwrap_or(0), &base.announced)?;
                Ok((Step::ReadBody { max }, Phase::ReadingChat { caller, max }))
            }
            Destination::Route(Route::Surface(Surface::Models)) => {
                self.admit(authorize::for_model_list(caller, matched)?, base, at)
            }
            Destination::Route(Route::Surface(Surface::Model)) => {
                let name = base
                    .path
                    .strip_prefix("/v1/models/")
                    .unwrap_or_default()
                    .to_owned();
                let permit =
                    authorize::for_model_card(&self.policy, caller, &name, requested(base, matched, at))?;
                if let Permitted::ModelCard(index) = permit.to() {
                    not_ended(look::model(&self.policy, *index)?, at.time)?;
                }
                self.admit(permit, base, at)
            }
            Destination::Limits => self.look(caller, matched, base, at),
            Destination::Credits => self.credit(caller, base),
            Destination::Denials => self.list_denials(&caller, at),
            Destination::Deny => self.deny(caller, base),
            Destination::Operator | Destination::Options => {
                Err(look::broken("a caller was identified for nothing"))
            }
        }
    }

    /// Asks a decision point, unless its answer is known.
    fn decide(
        &mut self,
        unproven: Unproven,
        question: Box<Question>,
        base: &mut Base,
        at: Now<'_>,
    ) -> Outgoing {
        match self.decisions.begin(&self.policy, &question, at.time)? {
            decide::Outcome::Known(yes) => {
                self.inspect_operation(unproven.proven(&yes), base.matched()?, base, at)
            }
            decide::Outcome::Ask(ask) => Ok((Step::Decide(ask), Phase::Deciding(unproven, question))),
        }
    }

    /// Goes on where it says yes.
    fn decided(
        &mut self,
        unproven: Unproven,
        question: &Question,
        answer: Result<&[u8], Undecided>,
        base: &mut Base,
        at: Now<'_>,
    ) -> Outgoing {
        let yes = self.decisions.decided(&self.policy, question, answer, at.time)?;
        self.inspect_operation(unproven.proven(&yes), base.matched()?, base, at)
    }

    /// Inspect an operation's call: its announced body, and whether it must be read to be measured.
    fn inspect_operation(
        &mut self,
        right: Uninspected,
        matched: Matched,
        base: &mut Base,
        at: Now<'_>,
    ) -> Outgoing {
        let operation = look::operation(&self.policy, matched.operation()?)?;
        let lists = [&self.policy.gateway.forward_headers, &operation.forward_headers];
        let forwards = |name: &str| lists.iter().any(|list| list.iter().any(|known| known == name));
        let (body, inspected) = inspect::operation_body(operation, &base.announced, forwards)?;
        base.body = Some(body);
        if let Handler::Mock(responses) = &operation.handler {
            // Refused here, if it cannot be met: what is refused later has been charged.
            answer::example(responses, base.prefer.as_deref())?;
        }
        match (body, inspected) {
            (_, Some(inspected)) => self.admit(right.inspected(inspected), base, at),
            (Body::Measure(max), None) => {
                Ok((Step::ReadBody { max }, Phase::Measuring { permit: right, max }))
            }
            (Body::None | Body::Stream, None) => Err(look::broken("a body is not inspected")),
        }
    }

    /// Inspect and authorize a model's call.
    fn chat<'a>(
        &mut self,
        caller: Principal,
        body: Result<&'a [u8], BodyFailure>,
        max: u64,
        base: &mut Base,
        at: Now<'a>,
    ) -> Outgoing {
        let body = body.map_err(|failure| inspect::unreadable(failure, max))?;
        let chat = inspect::chat(body)?;
        base.model = Some(
            chat.model()
                .chars()
                .filter(|c| !c.is_control())
                .take(128)
                .collect(),
        );
        let permit = authorize::for_model(&self.policy, caller, chat, requested(base, base.matched()?, at))?;
        if let Permitted::Model(index, peek) = permit.to() {
            let model = look::model(&self.policy, *index)?;
            inspect::model_fits(model, peek)?;
            not_ended(model, at.time)?;
            // Also the caller once more: its body may have taken its time.
            self.not_denied(permit.caller(), None, Some(*index), base, at)?;
        }
        // The body is at hand here; a script that looks at it need not read it again.
        self.admit(
            permit,
            base,
            Now {
                body: Some(body),
                ..at
            },
        )
    }

    /// Admit: reserves what the limits allow, or asks the object that knows.
    fn admit(&mut self, permit: Permit, base: &mut Base, at: Now<'_>) -> Outgoing {
        let admission = admit::begin(&self.policy, permit, asks(base, at), &mut self.memory, at.time)?;
        self.admission(admission, base, at)
    }

    fn admission(&self, admission: Admission, base: &mut Base, at: Now<'_>) -> Outgoing {
        match admission {
            Admission::Reserved(reservation) => self.admitted(reservation, base, at),
            Admission::Ask {
                object,
                ask,
                permit,
                asked,
            } => {
                let asked = Box::new(asked);
                Ok((Step::Meter { object, ask }, Phase::Admitting { permit, asked }))
            }
        }
    }

    fn admitted(&self, mut reservation: admit::Reservation, base: &mut Base, at: Now<'_>) -> Outgoing {
        (base.limits, base.accounts) = reservation.hand_over();
        base.unlimited = reservation.unlimited();
        base.bound = reservation.uses().bound;
        if !reservation.shadowed().is_empty() {
            let (_, limits) = admit::limits_of(&self.policy, reservation.permit())?;
            let named = reservation
                .shadowed()
                .iter()
                .filter_map(|place| admit::name_of(&limits, *place));
            base.shadowed = named.map(|limit| limit.id.clone()).collect();
        }
        self.answer(reservation, base, at)
    }

    /// Puts a step and its phase together, or ends the request with a refusal.
    pub(crate) fn next(&self, mut base: Base, outgoing: Outgoing, now: u64) -> Next {
        match outgoing {
            Ok((step @ (Step::Finish(_) | Step::End { .. }), _)) => done(step),
            Ok((step, phase)) => Next {
                step,
                flight: Some(Flight { base, phase }),
            },
            Err(mut refusal) => {
                challenge::point(&self.policy, &base, &mut refusal);
                // What a refusal says of the limits replaces what was said before.
                let says = |name: &str| refusal.headers.iter().any(|(known, _)| known == name);
                base.limits.retain(|(name, _)| !says(name));
                done(self.refuse(&base, now, &refusal))
            }
        }
    }

    fn shielded(&self, base: &Base, now: u64, ms: u64) -> Next {
        let refusal = Refusal::new(
            Code::TooManyRequests,
            "This address sends more requests than the gateway takes from one.",
        )
        .header("retry-after", ms.div_ceil(1000).max(1).to_string());
        let refusal = if base.model_client {
            // The clients of models read these two.
            refusal
                .header("retry-after-ms", ms.max(1).to_string())
                .header("x-should-retry", "true")
        } else {
            refusal
        };
        done(self.refuse(base, now, &refusal))
    }

    /// The end of a request that the other half has answered.
    fn coldly(&self, base: &Base, status: u16, now: u64) -> Next {
        let outcome = Outcome {
            client_gone: base.gone,
            ..Outcome::passed(status, Settlement::Nothing)
        };
        let Closing { log, settle } = self.close(base, now, &outcome);
        let mut set = base.answer_headers(self);
        // OPTIONS of a page that is there: what a preflight asks.
        if let (204, Some(origin)) = (status, &base.origin) {
            let cors = self.policy.gateway.cors.as_ref();
            if let Ok(finish) = cors::preflight(cors, origin, "GET", &matching::cold_methods()) {
                set.retain(|(name, _)| !finish.set.iter().any(|(known, _)| known == name));
                set.extend(finish.set);
            }
        }
        done(Step::Finish(Finish {
            status,
            set,
            log,
            settle,
            ..Finish::default()
        }))
    }

    /// An answer of the gateway's own to a request that reached no route.
    fn finished(&self, base: &Base, now: u64, mut finish: Finish) -> Next {
        let mut set = base.answer_headers(self);
        set.retain(|(name, _)| !finish.set.iter().any(|(known, _)| known == name));
        set.append(&mut finish.set);
        finish.set = set;
        let outcome = Outcome::passed(finish.status, Settlement::Nothing);
        finish.log = self.close(base, now, &outcome).log;
        done(Step::Finish(finish))
    }
}

/// Who asks for the limits of a request.
fn asks<'a>(base: &'a Base, at: Now<'a>) -> admit::Asks<'a> {
    admit::Asks {
        request: &base.id,
        from: admit::Origin {
            address: &base.address,
            headers: &base.headers,
        },
        body: at.body,
        announced: base.announced.length.unwrap_or(0),
        random: at.random,
    }
}

/// What is asked for, and what conditions may ask of it.
pub(crate) fn requested<'a>(base: &'a Base, matched: Matched, at: Now<'_>) -> authorize::Requested<'a> {
    authorize::Requested {
        matched,
        path: &base.path,
        country: base.country.as_deref(),
        now: at.time,
    }
}

/// Refuses a model that has ended.
fn not_ended(model: &Model, now: u64) -> Result<(), Refusal> {
    if !matching::ended(&model.lifecycle, now) {
        return Ok(());
    }
    let detail = format!("The model `{}` has ended.", model.name);
    Err(Refusal::new(Code::Gone, detail).by(&model.origin).about("model"))
}

enum Opening {
    Preflight(Finish),
    Matched(Accepted, Matched),
}

fn opened(policy: &Compiled, head: &Head<'_>, now: u64, random: &Random) -> Base {
    let bounded = |text: &str, most: usize| {
        let end = text.char_indices().nth(most).map_or(text.len(), |(end, _)| end);
        text.get(..end).unwrap_or(text).to_owned()
    };
    Base {
        began: now,
        address: bounded(head.header("cf-connecting-ip").unwrap_or_default(), 64),
        server: policy
            .issuers
            .iter()
            .any(Issuer::is_public)
            .then(|| accept::server_of(head.url))
            .flatten(),
        headers: head
            .named
            .iter()
            .map(|value| value.map(admit::stands_for))
            .collect(),
        country: head
            .country
            .filter(|_| policy.country)
            .map(|country| bounded(country, 8)),
        id: random.id,
        // Also of a request that is not accepted: until then, the trace is a new one.
        trace: accept::Trace {
            id: random.trace,
            span: random.span,
            ..accept::Trace::default()
        },
        method: bounded(head.method, 16),
        model_client: !policy.models.is_empty() && accept::path_of(head.url).starts_with("/v1/"),
        origin: head.header("origin").map(|origin| bounded(origin, 256)),
        prefer: head
            .header("prefer")
            .filter(|_| policy.gateway.mocks)
            .map(|prefer| bounded(prefer, 256)),
        ..Base::default()
    }
}

pub(crate) fn done(step: Step) -> Next {
    Next { step, flight: None }
}
