//! Phase 7, admit: the limits of a request, reserved all together or not at all.
//!
//! The subject of every limit here is the consumer, so all of them lie in one object and are
//! decided in one call. The limits of the plan come first, those of the API or model on top: each
//! of them must let the request pass. The result is a [`Reservation`], without which nothing is
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
    /// Index into the policy's plans.
    pub plan: u32,
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
    request: &[u8; 16],
    local: &mut Local,
    now: u64,
) -> Result<Admission, Refusal> {
    let Some(caller) = &permit.caller else {
        // A public operation is limited by the shield alone.
        let reservation = Reservation { permit, headers: Vec::new(), unlimited: false };
        return Ok(Admission::Reserved(reservation));
    };
    let consumer = look::consumer(policy, caller.consumer)?;
    let plan = look::plan(policy, consumer.plan)?;
    let limits = limits(policy, plan, &permit.to)?;
    let asked: Vec<AskedLimit<'_>> = limits.iter().map(|limit| AskedLimit::from(*limit)).collect();
    match plan.precision {
        Precision::Local => {
            let answer = local.decide(&consumer.name, &asked, now);
            judged(permit, &limits, &answer).map(Admission::Reserved)
        }
        Precision::Exact => {
            let id = crate::accept::hex(request);
            let ask = Ask { request: &id, cost: 1, limits: asked };
            let ask = ask.encode().map_err(|_| look::broken("the ask cannot be written"))?;
            let object = format!("consumer:{}", consumer.name);
            let asked = Asked { plan: consumer.plan };
            Ok(Admission::Ask { object, ask, permit, asked })
        }
    }
}

/// Reads an object's answer; `None`: there was none.
pub fn metered(
    policy: &Compiled,
    permit: Permit,
    asked: &Asked,
    answer: Option<&[u8]>,
) -> Result<Reservation, Refusal> {
    let plan = look::plan(policy, asked.plan)?;
    let limits = limits(policy, plan, &permit.to)?;
    match answer.map(Answer::decode) {
        Some(Ok(answer)) => judged(permit, &limits, &answer),
        _ if plan.on_error == OnError::Open => {
            Ok(Reservation { permit, headers: Vec::new(), unlimited: true })
        }
        _ => Err(Refusal::new(Code::LimiterUnavailable, "The limits cannot be checked now.")
            .header("retry-after", "1")),
    }
}

/// The limits of a request: its plan's, then those of what it calls.
fn limits<'a>(
    policy: &'a Compiled,
    plan: &'a Plan,
    to: &Permitted,
) -> Result<Vec<&'a Limit>, Refusal> {
    let own: &[Limit] = match to {
        Permitted::Operation(index) => {
            &look::api(policy, look::operation(policy, *index)?.api)?.limits
        }
        Permitted::Model(index, _) => &look::model(policy, *index)?.limits,
        Permitted::Models | Permitted::ModelCard(_) => &[],
    };
    Ok(plan.limits.iter().chain(own).collect())
}

fn judged(permit: Permit, limits: &[&Limit], answer: &Answer) -> Result<Reservation, Refusal> {
    let standings =
        || limits.iter().map(|limit| limit.id.as_str()).zip(&answer.standings);
    let mut said = vec![
        (Cow::Borrowed("ratelimit-policy"), headers::policy(standings())),
        (Cow::Borrowed("ratelimit"), headers::remaining(standings())),
    ];
    let Outcome::Refused { limit, retry_after_ms } = answer.outcome else {
        return Ok(Reservation { permit, headers: said, unlimited: false });
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
    if matches!(permit.to, Permitted::Model(..) | Permitted::Models | Permitted::ModelCard(_)) {
        // The clients of models read these two.
        said.push((Cow::Borrowed("retry-after-ms"), retry.after_ms.to_string()));
        said.push((Cow::Borrowed("x-should-retry"), retry.should_retry().to_owned()));
    }
    let detail = format!("The {what} `{}` is reached. Try again in {} s.", limit.id, retry.after);
    let mut refusal = Refusal::new(code, detail).by(&limit.origin);
    refusal.headers = said;
    Err(refusal)
}
