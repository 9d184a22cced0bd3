//! Phase 7, admit: the limits of a request, reserved all together or not at all.
//!
//! The subject of every limit here is the consumer, so all of them lie in one object and are
//! decided in one call. The limits of the plan come first, those of the API or model on top: each
//! of them must let the request pass. Of a call that is open to everybody the subject is the
//! client's address, and the limits are those of the API. The result is a [`Reservation`], without which nothing is
//! answered.

use std::borrow::Cow;

use serde::{Deserialize, Serialize};
use turnpike_policy::{Compiled, Limit, LimitKind, OnError, Plan, Precision};

use crate::authorize::{Permit, Permitted};
use crate::error::{Code, Refusal};
use crate::look;
use crate::meter::headers::{self, Retry};
use crate::meter::local::Local;
use crate::meter::{Answer, Ask, Asked as AskedLimit, Outcome};

/// A request that its limits let pass. Only this module makes it.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Reservation {
    permit: Permit,
    /// What the answer says of the limits.
    pub headers: Vec<(Cow<'static, str>, String)>,
    /// The limiter could not be asked, and the plan lets pass then.
    pub unlimited: bool,
}

impl Reservation {
    /// The right that was admitted.
    pub fn permit(&self) -> &Permit {
        &self.permit
    }
}

/// What was asked of an object: enough to read its answer.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Asked {
    /// Index into the policy's plans; none: the call is open to everybody.
    pub plan: Option<u32>,
}

/// Who asks, as far as the permit does not say.
#[derive(Clone, Copy, Debug)]
pub struct Asks<'a> {
    /// The request's id.
    pub request: &'a [u8; 16],
    /// The address of its client, as text.
    pub address: &'a str,
}

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
    local: &mut Local,
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
    if limits.is_empty() {
        let reservation = Reservation {
            permit,
            headers: Vec::new(),
            unlimited: false,
        };
        return Ok(Admission::Reserved(reservation));
    }
    let asked: Vec<AskedLimit<'_>> = limits.iter().map(|limit| AskedLimit::from(*limit)).collect();
    let subject = match consumer {
        Some(consumer) => format!("consumer:{}", consumer.name),
        None => format!("address:{}", crate::shield::subject(asks.address)),
    };
    if plan.is_some_and(|plan| plan.precision == Precision::Local) {
        let answer = local.decide(&subject, &asked, now);
        return judged(permit, &limits, &answer).map(Admission::Reserved);
    }
    let id = crate::accept::hex(asks.request);
    let ask = Ask {
        request: &id,
        cost: 1,
        limits: asked,
    };
    let ask = ask
        .encode()
        .map_err(|_| look::broken("the ask cannot be written"))?;
    let asked = Asked {
        plan: consumer.map(|consumer| consumer.plan),
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
    asked: &Asked,
    answer: Option<&[u8]>,
) -> Result<Reservation, Refusal> {
    let plan = asked.plan.map(|plan| look::plan(policy, plan)).transpose()?;
    let limits = limits(policy, plan, &permit.to)?;
    match answer.map(Answer::decode) {
        Some(Ok(answer)) => judged(permit, &limits, &answer),
        _ if plan.is_some_and(|plan| plan.on_error == OnError::Open) => Ok(Reservation {
            permit,
            headers: Vec::new(),
            unlimited: true,
        }),
        _ => Err(
            Refusal::new(Code::LimiterUnavailable, "The limits cannot be checked now.")
                .header("retry-after", "1"),
        ),
    }
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
        Permitted::Models | Permitted::ModelCard(_) => &[],
    };
    let plan = plan.map_or(&[][..], |plan| &plan.limits);
    Ok(plan.iter().chain(own).collect())
}

fn judged(permit: Permit, limits: &[&Limit], answer: &Answer) -> Result<Reservation, Refusal> {
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
        return Ok(Reservation {
            permit,
            headers: said,
            unlimited: false,
        });
    };
    let limit = usize::try_from(limit)
        .ok()
        .and_then(|index| limits.get(index))
        .ok_or_else(|| look::broken("the object names a limit that was not asked"))?;
    let (code, what) = match limit.kind {
        LimitKind::Rate(_) => (Code::RateLimited, "rate limit"),
        LimitKind::Quota { .. } => (Code::QuotaExceeded, "quota"),
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
