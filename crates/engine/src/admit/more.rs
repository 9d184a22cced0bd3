//! What another attempt needs that was not reserved for the first: more of a budget, where an attempt that
//! failed may yet be billed or the next target is dearer, and the limits of another upstream.

use turnpike_policy::{Compiled, SubjectPart, Timestamp};

use super::{Origin, Uses, call, limits_of};
use crate::account::{self, Account, Attempt};
use crate::authorize::Permit;
use crate::error::Refusal;
use crate::look;
use crate::meter::{Ask, Asked, Mode};

/// What was reserved for a call, besides what its permit and its uses say.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Reserved<'a> {
    pub(crate) permit: &'a Permit,
    pub(crate) uses: &'a Uses,
    /// The request's id.
    pub(crate) request: &'a str,
    /// Where it comes from.
    pub(crate) from: Origin<'a>,
    pub(crate) accounts: &'a [Account],
    /// The objects that have admitted it for upstreams other than its first, by provider.
    pub(crate) upstreams: &'a [(u32, String)],
}

/// What must be asked before an attempt is made.
#[derive(Clone, Debug)]
pub(crate) struct More {
    /// The object.
    pub(crate) object: String,
    /// The question.
    pub(crate) ask: Vec<u8>,
    pub(crate) need: Need,
}

/// What is had when it is granted.
#[derive(Clone, Debug)]
pub(crate) enum Need {
    /// More of the account at this place.
    TopUp(usize),
    /// The right to call an upstream, and what is held for it.
    Upstream(Option<Account>),
}

/// What is to be asked next for an attempt; none: it may be made. `part` tells its asks from those of others.
pub(crate) fn next(
    policy: &Compiled,
    reserved: Reserved<'_>,
    attempt: Attempt<'_>,
    part: u32,
    now: Timestamp,
) -> Result<Option<More>, Refusal> {
    let unwritten = |_| look::broken("the ask cannot be written");
    let (_, limits) = limits_of(policy, reserved.permit)?;
    for (place, account) in reserved.accounts.iter().enumerate() {
        let lacks = account.lacks(reserved.request, part, (&limits, &policy.zones), attempt, now);
        if let Some(ask) = lacks.map_err(unwritten)? {
            return Ok(Some(More {
                object: account.object().to_owned(),
                ask,
                need: Need::TopUp(place),
            }));
        }
    }
    let Some(provider) = attempt
        .provider
        .filter(|_| attempt.provider != reserved.uses.provider)
    else {
        return Ok(None);
    };
    if !limits
        .iter()
        .any(|limit| limit.subject.contains(&SubjectPart::Upstream))
    {
        return Ok(None);
    }
    let call = call(policy, reserved.permit, reserved.from, Some(provider))?;
    for mut group in call.groups(&limits)? {
        group
            .limits
            .retain(|counted| counted.limit.subject.contains(&SubjectPart::Upstream));
        let shard = group.first_of(reserved.request.as_bytes());
        let object = group.object_of(shard);
        let known = |(of, known): &(u32, String)| *of == provider && *known == object;
        if group.limits.is_empty() || reserved.upstreams.iter().any(known) {
            continue;
        }
        let limits = group.limits.iter().map(|counted| {
            let amount = account::first(counted.limit, attempt, reserved.uses.bytes);
            let asked = Asked::new(&counted.id, counted.limit, &policy.zones, amount, now);
            group.part(asked, shard)
        });
        // One more request there.
        let ask = Ask {
            mode: Mode::Charge,
            request: reserved.request,
            part,
            cost: 1,
            hold: reserved.uses.hold,
            lease: None,
            limits: limits.collect(),
        };
        let ask = ask.encode().map_err(unwritten)?;
        let held = group.limits.iter().any(|counted| account::is_held(counted.limit));
        let account = held.then(|| Account::of(&group, shard, attempt, reserved.uses.hold));
        return Ok(Some(More {
            object,
            ask,
            need: Need::Upstream(account),
        }));
    }
    Ok(None)
}
