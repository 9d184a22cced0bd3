//! What another attempt needs that was not reserved for the first: more of a budget, where an attempt that
//! failed may yet be billed or the next target is dearer, and the limits of the upstream that it is made at. These
//! count attempts, as the upstream does: to try again is another request there. Its place is one and the same.
//!
//! They are asked one after the other and charged at once. Where one refuses, the attempt is not made, and what the
//! others charged for it is taken back when the call is over: until then they may refuse others that could have
//! passed, and never the other way round.

use serde::{Deserialize, Serialize};
use turnpike_policy::{Compiled, Limit, LimitKind, SubjectPart, Timestamp, Unit};

use super::subject::Counted;
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
    /// Which attempts objects have admitted at upstreams, after the first of all.
    pub(crate) upstreams: &'a [Admitted],
}

/// An object has admitted an attempt at an upstream.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Admitted {
    /// The upstream's provider (index into the policy's list).
    pub(crate) provider: u32,
    /// Which attempt of the call it is, from 0; none: it was not made, and only what is held for the call is left.
    pub(crate) attempt: Option<u32>,
    /// The object.
    pub(crate) object: String,
    /// What takes it back.
    pub(crate) void: Vec<u8>,
}

impl Admitted {
    /// Where this is of an attempt that is not made: what takes it back.
    pub(crate) fn forgo(&mut self, attempt: u32) -> Option<Account> {
        if self.attempt != Some(attempt) {
            return None;
        }
        self.attempt = None;
        Some(Account::void(self.object.clone(), std::mem::take(&mut self.void)))
    }
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
    Upstream(Admitted, Option<Account>),
}

/// Whether a limit counts each attempt anew; the rest is topped up, or held for the whole call.
const fn counts_again(limit: &Limit) -> bool {
    match limit.kind {
        LimitKind::Rate(_) | LimitKind::Quota { .. } => true,
        LimitKind::Budget { unit, .. } => matches!(unit, Unit::Bytes),
        LimitKind::Concurrency { .. } => false,
    }
}

/// What is to be asked next for an attempt; none: it may be made. `part` is its number among those of the call, and
/// tells its asks from those of others.
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
    // The first attempt of all was admitted with the call.
    let is_first = part == 0 && attempt.provider == reserved.uses.provider;
    let Some(provider) = attempt.provider.filter(|_| !is_first) else {
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
        let shard = group.first_of(reserved.request.as_bytes());
        let object = group.object_of(shard);
        let known = |known: &&Admitted| known.provider == provider && known.object == object;
        let mut admitted = reserved.upstreams.iter().filter(known).peekable();
        let again = attempt.provider == reserved.uses.provider || admitted.peek().is_some();
        group.limits.retain(|Counted { limit, .. }| {
            limit.subject.contains(&SubjectPart::Upstream) && (!again || counts_again(limit))
        });
        if group.limits.is_empty() || admitted.any(|known| known.attempt == Some(part)) {
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
        let void = ask.encode_void().map_err(unwritten)?;
        let ask = ask.encode().map_err(unwritten)?;
        let held = group.limits.iter().any(|counted| account::is_held(counted.limit));
        let account = held.then(|| Account::of(&group, shard, attempt, reserved.uses.hold));
        let admitted = Admitted {
            provider,
            attempt: Some(part),
            object: object.clone(),
            void,
        };
        return Ok(Some(More {
            object,
            ask,
            need: Need::Upstream(admitted, account),
        }));
    }
    Ok(None)
}
