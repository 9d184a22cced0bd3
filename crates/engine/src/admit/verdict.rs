//! What a client is told of its limits.

use std::borrow::Cow;

use turnpike_policy::{Limit, LimitKind, OnError, Plan, Unit};

use super::subject::Group;
use super::{Asked, Round, code_of, name_of};
use crate::authorize::{Permit, Permitted};
use crate::error::{About, Code, Refusal};
use crate::look;
use crate::meter::headers::{self, Retry};
use crate::meter::{Answer, Outcome, Standing};
use crate::sorted;

/// Whether a plan lets pass what some limits cannot be checked for. The gateway keeps the date of an exception by
/// itself; without one, quotas and budgets are not let pass, be they of what is called and not of the plan.
pub(super) fn is_open(plan: &Plan, group: &Group<'_>, now: u64) -> bool {
    let harmless = |kind: &LimitKind| matches!(kind, LimitKind::Rate(_) | LimitKind::Concurrency { .. });
    plan.on_error == OnError::Open
        && match plan.open_until {
            Some(until) => now < until,
            None => group.limits.iter().all(|counted| harmless(&counted.limit.kind)),
        }
}

/// The limits cannot be checked.
pub(super) fn unavailable() -> Refusal {
    Refusal::new(Code::LimiterUnavailable, "The limits cannot be checked now.").header("retry-after", "1")
}

/// How the limits stand of which something was said; those in the shadow are nobody's business.
pub(super) fn headers(round: &Round<'_>, asked: &Asked) -> Vec<(Cow<'static, str>, String)> {
    let known: Vec<(u32, &Limit, &Standing)> = asked
        .standings
        .iter()
        .filter_map(|(place, standing)| {
            let limit = name_of(&round.limits, *place).filter(|limit| !limit.shadow)?;
            Some((*place, limit, standing))
        })
        .collect();
    if known.is_empty() {
        return Vec::new();
    }
    let known = sorted::by(known, |a, b| a.0.cmp(&b.0));
    let policy = known
        .iter()
        .map(|(_, limit, standing)| (limit.id.as_str(), &limit.kind, *standing));
    let remaining = known
        .iter()
        .map(|(_, limit, standing)| (limit.id.as_str(), *standing));
    vec![
        (Cow::Borrowed("ratelimit-policy"), headers::policy(policy)),
        (Cow::Borrowed("ratelimit"), headers::remaining(remaining)),
    ]
}

/// What is said to a request that a limit of a group holds back.
pub(super) fn refused(
    permit: &Permit,
    round: &Round<'_>,
    group: &Group<'_>,
    answer: &Answer,
    asked: &Asked,
) -> Refusal {
    let Outcome::Refused {
        limit,
        retry_after_ms,
    } = answer.outcome
    else {
        return look::broken("an admitted request is refused");
    };
    let place = usize::try_from(limit).ok();
    let Some(counted) = place.and_then(|place| group.limits.get(place)) else {
        return look::broken("the object names a limit that was not asked");
    };
    let limit = counted.limit;
    let mut asked = asked.clone();
    asked.note(group, answer);
    let mut said = headers(round, &asked);
    let what = what(&limit.kind);
    let retry = Retry::new(&limit.kind, retry_after_ms);
    said.push((Cow::Borrowed("retry-after"), retry.after.to_string()));
    if is_models(permit) {
        // The clients of models read these two.
        said.push((Cow::Borrowed("retry-after-ms"), retry.after_ms.to_string()));
        said.push((Cow::Borrowed("x-should-retry"), retry.should_retry().to_owned()));
    }
    let detail = format!(
        "The {what} `{}` is reached. Try again in {} s.",
        limit.id, retry.after
    );
    by_limit(limit, detail, said)
}

/// What is said to a request that may use more of a budget than there is of it in all: it will not pass later either, so
/// nobody is told when to come again.
pub(super) fn never(permit: &Permit, limit: &Limit) -> Refusal {
    let what = what(&limit.kind);
    let less = match limit.kind {
        LimitKind::Budget {
            unit: Unit::Bytes, ..
        } => "send less",
        _ => "ask for less (`max_tokens`, `n`, a shorter prompt)",
    };
    let detail = format!(
        "This request may use more than the whole {what} `{}`: {less}.",
        limit.id
    );
    let mut said = Vec::new();
    if is_models(permit) {
        said.push((Cow::Borrowed("x-should-retry"), "false".to_owned()));
    }
    by_limit(limit, detail, said)
}

fn by_limit(limit: &Limit, detail: String, headers: Vec<(Cow<'static, str>, String)>) -> Refusal {
    let mut refusal = Refusal::new(code_of(&limit.kind), detail).by(&limit.origin);
    refusal.headers = headers;
    refusal.about = Some(About::Limit(limit.id.as_str().into()));
    refusal
}

/// Whether its client is one of models.
const fn is_models(permit: &Permit) -> bool {
    matches!(
        permit.to(),
        Permitted::Model(..) | Permitted::Models | Permitted::ModelCard(_)
    )
}

/// What a limit is called.
const fn what(kind: &LimitKind) -> &'static str {
    match kind {
        LimitKind::Rate(_) => "rate limit",
        LimitKind::Quota { .. } => "quota",
        LimitKind::Budget { unit, .. } => match unit {
            Unit::NanoUsd => "budget of money",
            Unit::Bytes => "limit of request bodies",
            Unit::Tokens | Unit::InputTokens | Unit::OutputTokens => "budget of tokens",
        },
        LimitKind::Concurrency { .. } => "number of requests at one time",
    }
}
