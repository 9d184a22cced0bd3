//! Phase 7, admit: the limits of a request, reserved all together or not at all.
//!
//! The subject of every limit here is the consumer, so all of them lie in one object and are
//! decided in one call. The limits of the plan come first, those of the API or model on top: each
//! of them must let the request pass. Of a call that is open to everybody the subject is the
//! client's address, and the limits are those of the API. The result is a [`Reservation`], without which nothing is
//! answered.

use std::borrow::Cow;

use serde::{Deserialize, Serialize};
use turnpike_policy::{Compiled, Limit, LimitKind, Millis, OnError, Plan, Precision, Price, Unit};

use crate::account::{self, Account};
use crate::answer::{self, Tried};
use crate::authorize::{Permit, Permitted};
use crate::error::{Code, Refusal};
use crate::look;
use crate::meter::headers::{self, Retry};
use crate::meter::lease::{Leases, Spent, Taken};
use crate::meter::local::Local;
use crate::meter::{Answer, Ask, Asked as AskedLimit, LeaseAsk, Outcome, Standing};
use crate::settle::Bound;

/// A request that its limits let pass. Only this module makes it.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Reservation {
    permit: Permit,
    /// What the answer says of the limits.
    pub headers: Vec<(Cow<'static, str>, String)>,
    /// The limiter could not be asked, and the plan lets pass then.
    pub unlimited: bool,
    /// Of a model's call: the target that is tried first.
    pub target: Option<Tried>,
    /// What is held for it until it is settled.
    pub account: Option<Account>,
    /// How its limits stand; where that is what was asked.
    pub standings: Vec<Standing>,
}

impl Reservation {
    /// The right that was admitted.
    pub fn permit(&self) -> &Permit {
        &self.permit
    }
}

/// What was asked of an object: enough to read its answer.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Asked {
    /// Index into the policy's plans; none: the call is open to everybody.
    pub plan: Option<u32>,
    /// What it came to for this call.
    pub uses: Uses,
    /// The object, where it is to hold something.
    pub object: String,
    /// What was asked for in advance.
    pub lease: Option<Lease>,
}

/// What was asked for in advance.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Lease {
    key: String,
    /// When, in Unix milliseconds.
    at: u64,
    ask: LeaseAsk,
}

/// What an isolate knows of limits by itself; it may vanish.
#[derive(Debug)]
pub struct Memory {
    /// Limits that it keeps alone.
    pub local: Local,
    /// What it took in advance.
    pub leases: Leases,
}

/// What one call may use.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Uses {
    /// Of a model's call: the target that is tried first.
    pub target: Option<Tried>,
    /// The tokens of one attempt, at the most.
    pub bound: Bound,
    /// What they cost there.
    pub price: Option<Price>,
    /// How long the call can take, in milliseconds, settling included.
    pub hold: Millis,
}

/// Who asks, as far as the permit does not say.
#[derive(Clone, Copy, Debug)]
pub struct Asks<'a> {
    /// The request's id.
    pub request: &'a [u8; 16],
    /// The address of its client, as text.
    pub address: &'a str,
    /// The body of a model's call.
    pub body: Option<&'a [u8]>,
    /// For the choice of a target.
    pub random: u64,
}

/// What comes on top of a body's bytes: the frame that a provider puts around the messages, and around the
/// descriptions of tools.
const OVERHEAD: u64 = 512;
/// How long after its last moment a call may settle, in milliseconds: a client that has left is not waited for
/// longer, nor one that takes its time.
const SETTLING: Millis = 6 * 60 * 1_000;
/// How long a place is kept for a call of an API, in milliseconds: its answer may be long, and what ends without
/// saying so must end some time.
const PLACE: Millis = 15 * 60 * 1_000;

/// What admission came to.
#[derive(Clone, Debug)]
pub enum Admission {
    /// The request may go on.
    Reserved(Reservation),
    /// An object must be asked.
    Ask {
        /// Its name.
        object: String,
        /// The question.
        ask: Vec<u8>,
        /// The right that waits.
        permit: Permit,
        /// What was asked.
        asked: Asked,
    },
}

/// Reserves what a request needs, or says whom to ask.
pub fn begin(
    policy: &Compiled,
    permit: Permit,
    asks: Asks<'_>,
    memory: &mut Memory,
    now: u64,
) -> Result<Admission, Refusal> {
    let consumer = match &permit.caller {
        Some(caller) => Some(look::consumer(policy, caller.consumer)?),
        None => None,
    };
    let plan = consumer
        .map(|consumer| look::plan(policy, consumer.plan))
        .transpose()?;
    let limits = limits(policy, plan, &permit.to)?;
    // Who only looks is not charged.
    let looks = permit.to == Permitted::Standing;
    let cost = u32::from(!looks);
    let uses = uses(policy, &permit.to, &limits, &asks)?;
    if limits.is_empty() {
        let reservation = Reservation {
            permit,
            headers: Vec::new(),
            unlimited: false,
            target: uses.target,
            account: None,
            standings: Vec::new(),
        };
        return Ok(Admission::Reserved(reservation));
    }
    let amount = |limit: &Limit| {
        if looks {
            0
        } else {
            account::first(limit, uses.bound, uses.price.as_ref())
        }
    };
    let asked: Vec<AskedLimit<'_>> = limits
        .iter()
        .map(|limit| AskedLimit::new(limit, amount(limit)))
        .collect();
    let subject = match consumer {
        Some(consumer) => format!("consumer:{}", consumer.name),
        None => format!("address:{}", crate::shield::subject(asks.address)),
    };
    // What the API or the model limits on top is not for an isolate alone to count.
    let of_plan =
        |limit: &&Limit| plan.is_some_and(|plan| plan.limits.iter().any(|own| std::ptr::eq(own, *limit)));
    let alone = plan.is_some_and(|plan| plan.precision == Precision::Local) && limits.iter().all(of_plan);
    if alone {
        let answer = memory.local.decide(&subject, &asked, cost, now);
        return judged(permit, &limits, &answer, uses.target, None).map(Admission::Reserved);
    }
    let mut lease = None;
    if !looks && plan.is_some_and(|plan| plan.precision == Precision::Leased) {
        let key = lease_key(&subject, &limits);
        match memory.leases.spend(&key, &asked, now) {
            Spent::Admitted(standings) => {
                let answer = Answer {
                    outcome: Outcome::Admitted,
                    leased: 0,
                    standings,
                };
                return judged(permit, &limits, &answer, uses.target, None).map(Admission::Reserved);
            }
            Spent::Ask(ask) => lease = Some(Lease { key, at: now, ask }),
        }
    }
    let id = crate::accept::hex(asks.request);
    let held = !looks && limits.iter().any(|limit| account::is_held(limit));
    let ask = Ask {
        request: &id,
        part: 0,
        cost,
        hold: if held { uses.hold } else { 0 },
        lease: lease.as_ref().map(|lease| lease.ask).filter(|ask| ask.life > 0),
        limits: asked,
    };
    let ask = ask
        .encode()
        .map_err(|_| look::broken("the ask cannot be written"))?;
    let asked = Asked {
        plan: consumer.map(|consumer| consumer.plan),
        uses,
        object: if held { subject.clone() } else { String::new() },
        lease,
    };
    Ok(Admission::Ask {
        object: subject,
        ask,
        permit,
        asked,
    })
}

/// Reads an object's answer; `None`: there was none.
pub fn metered(
    policy: &Compiled,
    permit: Permit,
    asked: Asked,
    answer: Option<&[u8]>,
    leases: &mut Leases,
    now: u64,
) -> Result<Reservation, Unmetered> {
    let plan = asked.plan.map(|plan| look::plan(policy, plan)).transpose()?;
    let limits = limits(policy, plan, &permit.to)?;
    let Uses {
        target,
        bound,
        price,
        hold,
    } = asked.uses;
    let answer = answer.map(Answer::decode);
    if let Some(Lease { key, at, ask }) = &asked.lease {
        let limits: Vec<AskedLimit<'_>> = limits.iter().map(|limit| AskedLimit::from(*limit)).collect();
        let taken = Taken {
            key,
            limits: &limits,
            asked: *at,
            ask: *ask,
        };
        match &answer {
            Some(Ok(answer)) => leases.grant(&taken, answer.leased, &answer.standings),
            _ => leases.grant(&taken, 0, &[]),
        }
    }
    let account = Account::open(asked.object, &limits, bound, price.as_ref(), hold);
    match answer {
        Some(Ok(answer)) => judged(permit, &limits, &answer, target, account).map_err(Unmetered::Refused),
        // The answer may be lost, and the charge made: it is settled like any other.
        _ if plan.is_some_and(|plan| is_open(plan, now)) => Ok(Reservation {
            permit,
            headers: Vec::new(),
            unlimited: true,
            target,
            account,
            standings: Vec::new(),
        }),
        _ => Err(Unmetered::Unanswered(
            Box::new(
                Refusal::new(Code::LimiterUnavailable, "The limits cannot be checked now.")
                    .header("retry-after", "1"),
            ),
            account.map(Box::new),
        )),
    }
}

/// Whether a plan lets pass what cannot be checked. The gateway keeps the date of an exception by itself.
fn is_open(plan: &Plan, now: u64) -> bool {
    plan.on_error == OnError::Open && plan.open_until.is_none_or(|until| now < until)
}

/// Why there is no reservation.
#[derive(Debug)]
pub enum Unmetered {
    /// It was refused, and nothing is charged.
    Refused(Refusal),
    /// Nobody answered. What may have been charged must be given back.
    Unanswered(Box<Refusal>, Option<Box<Account>>),
}

impl From<Refusal> for Unmetered {
    fn from(refusal: Refusal) -> Self {
        Self::Refused(refusal)
    }
}

/// Leases are for one subject and one set of limits.
fn lease_key(subject: &str, limits: &[&Limit]) -> String {
    let mut key = subject.to_owned();
    for limit in limits {
        // Nothing that a name may hold.
        key.push('\n');
        key.push_str(&limit.id);
    }
    key
}

/// The limits of a call that was admitted; for what is reserved on top.
pub(crate) fn limits_of<'a>(policy: &'a Compiled, permit: &Permit) -> Result<Vec<&'a Limit>, Refusal> {
    let plan = match &permit.caller {
        Some(caller) => {
            let consumer = look::consumer(policy, caller.consumer)?;
            Some(look::plan(policy, consumer.plan)?)
        }
        None => None,
    };
    limits(policy, plan, &permit.to)
}

/// What a call may use: of a model's, by the target that is tried first.
fn uses(policy: &Compiled, to: &Permitted, limits: &[&Limit], asks: &Asks<'_>) -> Result<Uses, Refusal> {
    let Permitted::Model(index, peek) = to else {
        return Ok(Uses {
            hold: PLACE,
            ..Uses::default()
        });
    };
    let model = look::model(policy, *index)?;
    let target = Tried::choose(&model.targets, asks.random);
    let mut bound = answer::bound(model, peek);
    if limits
        .iter()
        .any(|limit| matches!(limit.kind, LimitKind::Budget { .. }))
    {
        let parts = asks.body.and_then(turnpike_llm::chat::media_parts);
        let parts = parts.ok_or_else(|| {
            Refusal::new(Code::InvalidRequest, "The `messages` cannot be read.").about("messages")
        })?;
        let media = u64::from(parts).saturating_mul(u64::from(model.max_media_tokens));
        bound.input = bound.input.saturating_add(OVERHEAD).saturating_add(media);
    }
    Ok(Uses {
        target: Some(target),
        bound,
        price: target.target(model).and_then(|target| target.price),
        hold: model.timeouts.total.saturating_add(SETTLING),
    })
}

/// The limits of a request: its plan's, then those of what it calls.
fn limits<'a>(
    policy: &'a Compiled,
    plan: Option<&'a Plan>,
    to: &Permitted,
) -> Result<Vec<&'a Limit>, Refusal> {
    let own: &[Limit] = match to {
        Permitted::Operation(index) => &look::api(policy, look::operation(policy, *index)?.api)?.limits,
        Permitted::Model(index, _) => &look::model(policy, *index)?.limits,
        Permitted::Models | Permitted::ModelCard(_) | Permitted::Standing => &[],
    };
    let plan = plan.map_or(&[][..], |plan| &plan.limits);
    // Only a model's call uses tokens or money.
    let budgets = matches!(to, Permitted::Model(..) | Permitted::Standing);
    let holds = |limit: &&Limit| budgets || !matches!(limit.kind, LimitKind::Budget { .. });
    Ok(plan.iter().chain(own).filter(holds).collect())
}

fn judged(
    permit: Permit,
    limits: &[&Limit],
    answer: &Answer,
    target: Option<Tried>,
    account: Option<Account>,
) -> Result<Reservation, Refusal> {
    let standings = || {
        limits
            .iter()
            .map(|limit| limit.id.as_str())
            .zip(&answer.standings)
    };
    let mut said = vec![
        (Cow::Borrowed("ratelimit-policy"), headers::policy(standings())),
        (Cow::Borrowed("ratelimit"), headers::remaining(standings())),
    ];
    let Outcome::Refused {
        limit,
        retry_after_ms,
    } = answer.outcome
    else {
        let standings = if permit.to == Permitted::Standing {
            answer.standings.clone()
        } else {
            Vec::new()
        };
        return Ok(Reservation {
            permit,
            headers: said,
            unlimited: false,
            target,
            account,
            standings,
        });
    };
    let limit = usize::try_from(limit)
        .ok()
        .and_then(|index| limits.get(index))
        .ok_or_else(|| look::broken("the object names a limit that was not asked"))?;
    let (code, what) = match limit.kind {
        LimitKind::Rate(_) => (Code::RateLimited, "rate limit"),
        LimitKind::Quota { .. } => (Code::QuotaExceeded, "quota"),
        LimitKind::Budget {
            unit: Unit::NanoUsd, ..
        } => (Code::BudgetExceeded, "budget of money"),
        LimitKind::Budget { .. } => (Code::BudgetExceeded, "budget of tokens"),
        LimitKind::Concurrency { .. } => (Code::ConcurrencyLimited, "number of requests at one time"),
    };
    let retry = Retry::new(&limit.kind, retry_after_ms);
    said.push((Cow::Borrowed("retry-after"), retry.after.to_string()));
    if matches!(
        permit.to,
        Permitted::Model(..) | Permitted::Models | Permitted::ModelCard(_)
    ) {
        // The clients of models read these two.
        said.push((Cow::Borrowed("retry-after-ms"), retry.after_ms.to_string()));
        said.push((Cow::Borrowed("x-should-retry"), retry.should_retry().to_owned()));
    }
    let detail = format!(
        "The {what} `{}` is reached. Try again in {} s.",
        limit.id, retry.after
    );
    let mut refusal = Refusal::new(code, detail).by(&limit.origin);
    refusal.headers = said;
    Err(refusal)
}
