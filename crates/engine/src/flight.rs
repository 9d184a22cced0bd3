//! What is in flight: everything that is known of one request between two steps.
//!
//! It travels with the request as bytes. The engine keeps none of it, so that a fault in one
//! request cannot touch another, and a request survives the engine's replacement under it.

mod presented;

use std::borrow::Cow;

use serde::{Deserialize, Serialize};
use turnpike_policy::{Api, Compiled, Operation, Price, Route, Surface, Unit, hex};

use crate::accept::Trace;
use crate::account::{Account, Attempt, Settled};
use crate::admit::{Admitted, Asked};
use crate::answer::{Answering, Proxied};
use crate::authorize::{Permit, Uninspected, Unproven};
use crate::decide::Question;
use crate::deny;
use crate::error::{Code, Refusal, Shape, render};
use crate::identify;
use crate::inspect::{Announced, Body};
use crate::matching::{Destination, Matched};
use crate::meter::amount;
use crate::meter::denials::Order as DenialOrder;
use crate::operate::{Note, Order};
use crate::settle::{self, AttemptRecord, Bound, Record, Settlement};
use crate::shield::{self, Shielded};
use crate::step::{Finish, Reply, Step};
use crate::{Engine, cors, look};
pub(crate) use presented::Presented;

/// A request between two steps.
///
/// What its phases have proved lies in it, and outside the engine it is nothing but bytes: it is had from
/// [`Engine::begin`] and [`Engine::resume`], or read from what was written of one:
///
/// ```
/// let flight: Result<turnpike_engine::Flight, _> = postcard::from_bytes(&[]);
/// assert!(flight.is_err());
/// ```
///
/// and is neither taken apart nor put together:
///
/// ```compile_fail,E0616
/// let flight: turnpike_engine::Flight = postcard::from_bytes(&[]).unwrap();
/// let phase = flight.phase;
/// ```
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct Flight {
    /// What does not depend on the phase.
    pub(crate) base: Base,
    /// Where it is.
    pub(crate) phase: Phase,
}

impl Flight {
    /// The request's id as clients and logs see it.
    pub fn id_text(&self) -> String {
        self.base.id_text()
    }

    /// The request's canonical path.
    pub fn path(&self) -> &str {
        &self.base.path
    }

    /// The request's query.
    pub fn query(&self) -> &str {
        &self.base.query
    }

    /// Whose share of what an isolate may hold its body takes, as a number: its consumer's, or where nobody is known,
    /// that of its client's address, of IPv6 the first 64 bits. A 64-bit float holds it exactly.
    pub fn whose(&self) -> u64 {
        match self.base.consumer {
            Some(consumer) => consumer.into(),
            None => shield::number(&self.base.address) | 1 << 52,
        }
    }

    /// Notes that its client has left, as whoever carries out its steps has seen.
    pub fn left(&mut self) {
        self.base.gone = true;
    }

    /// Notes that its call was made again so many milliseconds after it was begun, as the upstream had not taken
    /// the gateway's token: two attempts for the log, of which the first was refused. 0: it was made once.
    pub fn repeated(&mut self, after: u64) {
        let attempts = &mut self.base.attempts;
        let Some(last) = attempts.last_mut().filter(|_| after > 0) else {
            return;
        };
        let again = AttemptRecord {
            began: last.began.saturating_add(after),
            ..last.clone()
        };
        last.took = after;
        last.status = 401;
        last.failed = Some(settle::AttemptFailure::Refused);
        attempts.push(again);
    }
}

/// Where a request is.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub(crate) enum Phase {
    /// Its signature, or that of its proof, is being verified.
    Verifying(identify::Pending, Shielded),
    /// Whether its proof is new is being asked.
    Proving(Box<identify::Proven>),
    /// The keys of its issuer are being fetched.
    FetchingKeys {
        /// The issuer (index into the policy's list).
        issuer: u32,
        /// What of it is being fetched.
        part: identify::Part,
        /// What the client presented, which is looked at again afterwards.
        presented: Presented,
    },
    /// The keys of its issuer are being fetched by another request.
    AwaitingKeys {
        /// What the client presented, which is looked at again afterwards.
        presented: Presented,
        /// For how long, in milliseconds, this pause included.
        waited: u64,
    },
    /// Its issuer is being asked about its opaque token.
    Introspecting(identify::Asked),
    /// No request: the keys of an issuer are being fetched before they are too old.
    RefreshingKeys {
        /// The issuer (index into the policy's list).
        issuer: u32,
        /// What of it is being fetched.
        part: identify::Part,
    },
    /// The body of a model call is being read, by a caller that may call some model.
    ReadingChat {
        /// Who calls.
        caller: identify::Principal,
        /// How much may be read.
        max: u64,
    },
    /// The body of an operation's call is being read to know its length.
    Measuring {
        /// The right to call it, if the body is short enough.
        permit: Uninspected,
        /// How much may be read.
        max: u64,
    },
    /// A decision point is being asked.
    Deciding(Unproven, Box<Question>),
    /// The limits are being asked.
    Admitting {
        /// The right that is asked for.
        permit: Permit,
        /// What was asked.
        asked: Box<Asked>,
    },
    /// The order of an operator is being read.
    ReadingOrder(identify::Principal),
    /// An operator is being charged what it gives back.
    Bounding(Order),
    /// The object of the consumer is being asked that an operator's order is about.
    Operating(Order),
    /// The list of denials is being looked at again.
    Looking {
        /// Who calls.
        caller: identify::Caller,
        /// When it was asked.
        began: u64,
    },
    /// The order of an operator to deny something, or to lift a denial, is being read.
    ReadingDenial(identify::Principal),
    /// The list of denials is being asked what an operator wants of it, since so long.
    Denying(DenialOrder, u64),
    /// The upstream of an operation is being asked; there is no other to ask.
    Proxied(Proxied),
    /// It is being answered by a model's target, or by the next one.
    Answering(Box<Answering>),
    /// The other half of the Worker answers it.
    Cold,
}

/// What does not depend on the phase.
#[derive(Clone, Debug, Default, Serialize, Deserialize)]
pub(crate) struct Base {
    /// When the request came, in Unix milliseconds.
    pub began: u64,
    /// Its id.
    pub id: [u8; 16],
    /// Its trace.
    pub trace: Trace,
    /// The address of its client, as text.
    pub address: String,
    /// The country that it comes from, where a rule asks for it and it is known.
    pub country: Option<String>,
    /// What the client certificate of its connection may be denied by.
    pub certificate: Vec<String>,
    /// Scheme, host and port that it was sent to; none where no answer says them.
    pub server: Option<String>,
    /// What stands for the values of the headers that limits count by, in the order of
    /// [`Compiled::headers`]; none: not sent.
    pub headers: Vec<Option<String>>,
    /// Its method, as sent.
    pub method: String,
    /// Its canonical path.
    pub path: String,
    /// Its query.
    pub query: String,
    /// Where it leads.
    pub matched: Option<Matched>,
    /// Whether errors are shaped for the clients of models.
    pub model_client: bool,
    /// The page that calls, if a browser said so.
    pub origin: Option<String>,
    /// Whether its token came with the scheme `DPoP`.
    pub dpop: bool,
    /// What its head says of its body.
    pub announced: Announced,
    /// How the body reaches the upstream of an operation.
    pub body: Option<Body>,
    /// What it would prefer of a mock.
    pub prefer: Option<String>,
    /// The consumer that was found (index into the policy's list).
    pub consumer: Option<u32>,
    /// The subject of its credential.
    pub subject: String,
    /// The model that it names.
    pub model: Option<String>,
    /// The limiter could not be asked, and the plan lets pass then.
    pub unlimited: bool,
    /// What its answer says of the limits.
    pub limits: Vec<(Cow<'static, str>, String)>,
    /// What was tried.
    pub attempts: Vec<AttemptRecord>,
    /// What the target costs that was tried last.
    pub price: Option<Price>,
    /// Where it is tried (index into the policy's list of providers).
    pub provider: Option<u32>,
    /// What one attempt can use at the most.
    pub bound: Bound,
    /// What objects keep for it until it is over.
    pub accounts: Vec<Account>,
    /// Which attempts objects have admitted at upstreams, after the first of all.
    pub upstreams: Vec<Admitted>,
    /// How many attempts were not made, as there was no room for them.
    pub unmade: u32,
    /// The limits in the shadow that would have held it back, by their names.
    pub shadowed: Vec<String>,
    /// What it gave back, as an operator.
    pub credit: Option<Note>,
    /// The id of the denial that refuses it.
    pub denied: Option<String>,
    /// The list of denials is older than it may be, as it could not be reached.
    pub denials_stale: bool,
    /// What it denied or lifted, as an operator.
    pub denial: Option<deny::Note>,
    /// What its last attempt came to, when it ends with that.
    #[serde(skip)]
    pub last: Settlement,
    /// Its client has left, as the last event has told or shown.
    #[serde(skip)]
    pub gone: bool,
}

impl Base {
    /// The request's id as clients and logs see it.
    pub(crate) fn id_text(&self) -> String {
        hex(&self.id)
    }

    /// Whether only the head of the answer is wanted.
    pub(crate) fn head_only(&self) -> bool {
        self.method == "HEAD"
    }

    /// Where it leads, once that is known.
    pub(crate) fn to(&self) -> Option<Destination> {
        self.matched.map(Matched::to)
    }

    /// What was matched, for the phases that need it.
    pub(crate) fn matched(&self) -> Result<Matched, Refusal> {
        self.matched.ok_or_else(|| look::broken("nothing was matched"))
    }

    /// Notes what the last attempt came to.
    pub(crate) fn judged(&mut self, now: u64, status: u16, failed: Option<settle::AttemptFailure>) {
        if let Some(last) = self.attempts.last_mut() {
            last.took = now.saturating_sub(last.began);
            last.status = if status == 0 { last.status } else { status };
            last.failed = failed;
        }
    }

    /// What the attempt that was made last could use.
    pub(crate) fn attempt(&self) -> Attempt<'_> {
        Attempt {
            bound: self.bound,
            price: self.price.as_ref(),
            provider: self.provider,
        }
    }

    /// How long its last attempt has taken by now, in milliseconds.
    pub(crate) fn took(&self, now: u64) -> u64 {
        let last = self.attempts.last();
        last.map_or(0, |attempt| now.saturating_sub(attempt.began))
    }

    /// Notes what an object keeps for it, to be settled at the end.
    pub(crate) fn keep(&mut self, account: Account) {
        let known = self.accounts.iter_mut();
        match known.into_iter().find(|one| one.object() == account.object()) {
            Some(known) => known.absorb(account),
            None => self.accounts.push(account),
        }
    }

    /// Notes that an object has admitted an attempt at an upstream, and what it holds for it.
    pub(crate) fn admit(&mut self, admitted: Admitted, held: Option<Account>) {
        self.upstreams.push(admitted);
        if let Some(account) = held {
            self.keep(account);
        }
    }

    /// The number of the attempt that is made next, from 0: no other has it, made or not.
    pub(crate) fn next_attempt(&self) -> u32 {
        let made = u32::try_from(self.attempts.len()).unwrap_or(u32::MAX);
        made.saturating_add(self.unmade)
    }

    /// The attempt that would be next is not made: what objects have admitted of it is taken back at the end.
    pub(crate) fn forgo(&mut self) {
        let attempt = self.next_attempt();
        let mut back = Vec::new();
        for admitted in &mut self.upstreams {
            back.extend(admitted.forgo(attempt));
        }
        for account in back {
            self.keep(account);
        }
        self.unmade = self.unmade.saturating_add(1);
    }

    /// The headers that every answer carries.
    pub(crate) fn answer_headers(&self, engine: &Engine) -> Vec<(Cow<'static, str>, String)> {
        let policy = &engine.policy;
        let mut set = Vec::with_capacity(6);
        set.push((Cow::Borrowed("x-request-id"), self.id_text()));
        set.extend(self.limits.iter().cloned());
        cors::decorate(policy.gateway.cors.as_ref(), self.origin.as_deref(), &mut set);
        if let Some(Destination::Route(Route::Operation(index))) = self.to() {
            lifecycle_headers(policy, index, &mut set);
        }
        if policy.gateway.show_hash {
            set.push((Cow::Borrowed("x-turnpike-policy"), engine.hash.clone()));
        }
        set
    }

    fn shape(&self) -> Shape {
        if self.model_client {
            Shape::OpenAi
        } else {
            Shape::Problem
        }
    }

    /// `petstore/v1#listPets`, or the name of a model surface.
    fn operation(&self, policy: &Compiled) -> Option<String> {
        match self.to()? {
            Destination::Route(Route::Operation(index)) => {
                let operation = look::operation(policy, index).ok()?;
                let api = look::api(policy, operation.api).ok()?;
                Some(operation_name(api, operation))
            }
            Destination::Route(Route::Surface(Surface::ChatCompletions)) => {
                Some("chat.completions".to_owned())
            }
            Destination::Route(Route::Surface(Surface::Models | Surface::Model)) => Some("models".to_owned()),
            // What is looked for there may be anything.
            Destination::Operator => Some(self.path.chars().take(128).collect()),
            Destination::Limits => Some("limits".to_owned()),
            Destination::Credits => Some("limits.credit".to_owned()),
            Destination::Denials => Some("denials".to_owned()),
            Destination::Deny => Some("denials.order".to_owned()),
            Destination::Options => None,
        }
    }
}

/// What an operation is called in logs and denials: `petstore/v1#listPets`.
pub(crate) fn operation_name(api: &Api, operation: &Operation) -> String {
    format!("{}/{}#{}", api.name, api.version, operation.id)
}

/// `Deprecation`, `Sunset` and the link to the successor (RFC 9745, RFC 8594, RFC 5829).
fn lifecycle_headers(policy: &Compiled, index: u32, set: &mut Vec<(Cow<'static, str>, String)>) {
    let Some(api) = crate::matching::operation_api(policy, index) else {
        return;
    };
    let life = &api.lifecycle;
    if let Some(at) = life.deprecated {
        set.push((Cow::Borrowed("deprecation"), format!("@{}", at / 1000)));
    }
    if let Some(at) = life.sunset {
        set.push((Cow::Borrowed("sunset"), crate::dates::http_date(at)));
    }
    if let Some(path) = &life.successor {
        set.push((
            Cow::Borrowed("link"),
            format!("<{path}>; rel=\"successor-version\""),
        ));
    }
}

/// How a request ended, for its log line.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Outcome<'a> {
    /// The status that the client saw.
    pub status: u16,
    /// The code, if it was refused or failed.
    pub code: Option<Code>,
    /// What only the log may know.
    pub reason: Option<&'a str>,
    /// The policy line that decided.
    pub line: Option<&'a str>,
    /// The client had gone.
    pub client_gone: bool,
    /// What was used.
    pub settlement: Settlement,
}

impl Outcome<'_> {
    /// An answer with this status.
    pub(crate) const fn passed(status: u16, settlement: Settlement) -> Self {
        Self {
            status,
            code: None,
            reason: None,
            line: None,
            client_gone: false,
            settlement,
        }
    }
}

/// What is to be done when a request is over.
#[derive(Clone, Debug, Default)]
pub(crate) struct Closing {
    /// The line to log.
    pub log: Option<String>,
    /// Whom to tell what was used.
    pub settle: Vec<Settled>,
}

impl Engine {
    /// Closes the books of a request that is over.
    pub(crate) fn close(&self, base: &Base, now: u64, outcome: &Outcome<'_>) -> Closing {
        let id = base.id_text();
        let settlement = |account: &Account| account.settlement(&id, outcome.settlement, base.attempt());
        // It always fits; if it did not, the charge would stand.
        let settle = base
            .accounts
            .iter()
            .filter_map(|account| settlement(account).ok())
            .flatten()
            .collect();
        Closing {
            log: self.log(base, now, outcome, &id),
            settle,
        }
    }

    /// The log line of a request that is over.
    fn log(&self, base: &Base, now: u64, outcome: &Outcome<'_>, id: &str) -> Option<String> {
        let consumer = base
            .consumer
            .and_then(|index| look::consumer(&self.policy, index).ok());
        let trace = base.trace.id_text();
        let cost = base
            .price
            .as_ref()
            .map(|price| amount::settled(outcome.settlement, Unit::NanoUsd, Some(price)));
        settle::line(&Record {
            policy: &self.policy,
            bundle: self.hash.get(..16).unwrap_or_default(),
            began: base.began,
            now,
            request: id,
            trace: &trace,
            method: &base.method,
            operation: base.operation(&self.policy),
            model: base.model.as_deref(),
            consumer: consumer.map(|consumer| consumer.name.as_str()),
            subject: Some(base.subject.as_str()).filter(|subject| !subject.is_empty()),
            status: outcome.status,
            code: outcome.code,
            reason: outcome.reason,
            line: outcome.line,
            unlimited: base.unlimited,
            shadowed: &base.shadowed,
            credit: base.credit.as_ref(),
            denied: base.denied.as_deref(),
            denials_stale: base.denials_stale,
            denial: base.denial.as_ref(),
            client_gone: outcome.client_gone,
            attempts: &base.attempts,
            settlement: outcome.settlement,
            // Where nothing is reserved, a bound is no promise of anybody's.
            beyond_bound: base.accounts.iter().any(Account::has_budgets)
                && outcome.settlement.exceeds(base.bound),
            cost,
        })
    }

    /// The log line of a request whose upstream is being asked, should that answer, in the pieces of
    /// [`Ahead::line`](crate::step::Ahead).
    pub(crate) fn line_ahead(&self, base: &mut Base) -> Option<[String; 5]> {
        // Any that is logged in any case: it stands between the pieces.
        const STATUS: u16 = 599;
        let began = base.began;
        base.judged(began, STATUS, None);
        let line = self.log(
            base,
            began,
            &Outcome::passed(STATUS, Settlement::Nothing),
            &base.id_text(),
        );
        if let Some(last) = base.attempts.last_mut() {
            last.status = 0;
        }
        settle::pieces(&line?)
    }

    /// Ends a request with a refusal, in the shape that its client understands.
    pub(crate) fn refuse(&self, base: &Base, now: u64, refusal: &Refusal) -> Step {
        self.refuse_with(base, now, refusal, base.last, base.gone)
    }

    /// The same, for a request that may have used something, or whose client may have gone.
    pub(crate) fn refuse_with(
        &self,
        base: &Base,
        now: u64,
        refusal: &Refusal,
        settlement: Settlement,
        client_gone: bool,
    ) -> Step {
        let policy_line = refusal.policy.as_deref();
        let shown = policy_line.filter(|_| self.policy.gateway.explain);
        let explained = self.policy.gateway.explain.then(|| refusal.explained()).flatten();
        let said = explained.as_ref().unwrap_or(refusal);
        let (kind, body) = render(said, base.shape(), &base.id_text(), shown);
        let mut set = base.answer_headers(self);
        set.push((Cow::Borrowed("content-type"), kind.to_owned()));
        set.push((Cow::Borrowed("cache-control"), "no-store".to_owned()));
        for (name, value) in &refusal.headers {
            set.retain(|(known, _)| known != name || name == "vary" || name == "link");
            set.push((name.clone(), value.clone()));
        }
        let status = refusal.code.status();
        let outcome = Outcome {
            status,
            code: Some(refusal.code),
            reason: refusal.reason.as_deref(),
            line: policy_line,
            client_gone,
            settlement,
        };
        let body = if base.head_only() {
            Reply::None
        } else {
            Reply::Bytes(body)
        };
        let Closing { log, settle } = self.close(base, now, &outcome);
        Step::Finish(Finish {
            status,
            set,
            copy: false,
            body,
            log,
            settle,
        })
    }
}
