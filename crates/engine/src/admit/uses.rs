//! What one call may use, before it is known what it uses.

use serde::{Deserialize, Serialize};
use turnpike_policy::{Compiled, Handler, Limit, LimitKind, Millis, Price, Timestamp, Unit};

use super::Origin;
use crate::account::Attempt;
use crate::answer::{self, Tried};
use crate::authorize::Permitted;
use crate::error::{Code, Refusal};
use crate::look;
use crate::settle::Bound;

/// What comes on top of a body's bytes: the frame that a provider puts around the messages, and around the
/// descriptions of tools.
const OVERHEAD: u64 = 512;
/// How long after its last moment a call may settle, in milliseconds: a client that has left is not waited for
/// longer, nor one that takes its time (`PATIENCE` and `REST` of the shell), and some time to tell.
const SETTLING: Millis = 7 * 60 * 1_000;
/// How long an answer of an API may take after its head, in milliseconds: the shell cuts it then (`LONGEST`).
const BODY: Millis = 15 * 60 * 1_000;
/// How long a request's own body may take, and some time to settle, in milliseconds.
const SENDING: Millis = 2 * 60 * 1_000;

/// What one call may use.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Uses {
    /// Of a model's call: the target that is tried first.
    pub target: Option<Tried>,
    /// Its provider (index into the policy's list).
    pub provider: Option<u32>,
    /// The tokens of one attempt, at the most.
    pub bound: Bound,
    /// What they cost there.
    pub price: Option<Price>,
    /// The bytes of the request's body.
    pub bytes: u64,
    /// How long the call can take, in milliseconds, settling included.
    pub hold: Millis,
    /// When it was asked for: all that is asked for a call, and what takes it back, speaks of clocks as they are set
    /// then where days are counted.
    pub at: Timestamp,
}

impl Uses {
    /// What its first attempt may use.
    pub(crate) fn attempt(&self) -> Attempt<'_> {
        Attempt {
            bound: self.bound,
            price: self.price.as_ref(),
            provider: self.provider,
        }
    }
}

/// Who asks, as far as the permit does not say.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Asks<'a> {
    /// The request's id.
    pub request: &'a [u8; 16],
    /// Where it comes from.
    pub from: Origin<'a>,
    /// The body, where it was read.
    pub body: Option<&'a [u8]>,
    /// How many bytes of it were announced.
    pub announced: u64,
    /// For the choice of a target.
    pub random: u64,
}

/// How long it may take until an operation's answer begins, in milliseconds.
fn until_head(policy: &Compiled, to: &Permitted) -> Result<Millis, Refusal> {
    Ok(match to {
        Permitted::Operation(index) => match &look::operation(policy, *index)?.handler {
            Handler::Proxy { timeouts, .. } => timeouts.first.min(timeouts.total),
            Handler::Mock { .. } => 0,
        },
        _ => 0,
    })
}

/// What a call may use: of a model's, by the target that is tried first.
pub(super) fn of(
    policy: &Compiled,
    to: &Permitted,
    limits: &[&Limit],
    asks: &Asks<'_>,
    at: Timestamp,
) -> Result<Uses, Refusal> {
    let bytes = asks.body.map_or(asks.announced, |body| {
        u64::try_from(body.len()).unwrap_or(u64::MAX)
    });
    let Permitted::Model(index, peek) = to else {
        return Ok(Uses {
            // Until its last byte, whenever that is: what ends without saying so must end some time.
            hold: until_head(policy, to)?
                .saturating_add(BODY)
                .saturating_add(SENDING),
            bytes,
            at,
            ..Uses::default()
        });
    };
    let model = look::model(policy, *index)?;
    let tried = Tried::choose(&model.targets, asks.random);
    let mut bound = answer::bound(model, peek);
    let counts =
        |limit: &&&Limit| matches!(limit.kind, LimitKind::Budget { unit, .. } if unit != Unit::Bytes);
    if limits.iter().any(|limit| counts(&limit)) {
        let unseen = asks.body.and_then(turnpike_llm::chat::unseen);
        let unseen = unseen.ok_or_else(|| {
            Refusal::new(Code::InvalidRequest, "The `messages` cannot be read.").about("messages")
        })?;
        let pays = |limit: &&Limit| {
            matches!(
                limit.kind,
                LimitKind::Budget {
                    unit: Unit::NanoUsd,
                    ..
                }
            )
        };
        if unseen.tier && limits.iter().any(pays) {
            let detail = "This `service_tier` may cost more than the price that is known: leave it out, or say `default`.";
            return Err(Refusal::new(Code::InvalidRequest, detail).about("service_tier"));
        }
        let media = u64::from(unseen.media).saturating_mul(u64::from(model.max_media_tokens));
        bound.input = bound.input.saturating_add(OVERHEAD).saturating_add(media);
    }
    let target = tried.target(model);
    Ok(Uses {
        target: Some(tried),
        provider: target.map(|target| target.provider),
        bound,
        price: target.and_then(|target| target.price),
        bytes,
        hold: model.timeouts.total.saturating_add(SETTLING),
        at,
    })
}
