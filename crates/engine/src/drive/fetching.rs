//! Keys of issuers: what followed a fetch of them, for a request or beside it.

use super::{Now, Outgoing, done};
use crate::flight::{Base, Flight, Phase, Presented};
use crate::identify::{self, KeysAsk, Outcome, Part};
use crate::step::{Event, FetchKeys, Step};
use crate::{Engine, Next};

impl Engine {
    /// What is to be done beside the request that was taken or carried on last, and does not wait for it: the
    /// first step, to be carried out like a request's own, to its end. Nobody is answered by it.
    pub fn errand(&mut self, now: u64) -> Option<Next> {
        identify::due(&self.policy, &mut self.identities, now).map(|ask| beside(&ask))
    }

    /// Whether the answer to [`Step::FetchKeys`] that was handed in last is worth sharing with the isolates of the
    /// same place; said once.
    pub fn shares(&mut self) -> bool {
        identify::shares(&mut self.identities)
    }

    /// Goes on with a request that needed keys.
    pub(super) fn keys_had(
        &mut self,
        of: (u32, Part),
        event: Event<'_>,
        presented: &Presented,
        base: &mut Base,
        at: Now<'_>,
    ) -> Outgoing {
        let presented = presented.borrow();
        let (policy, store) = (&self.policy, &mut self.identities);
        let outcome: Outcome = match event {
            Event::Copied(copy, age) => {
                identify::keys_copied(policy, store, of, (copy, age), &presented, at.time)
            }
            other => identify::keys_fetched(policy, store, of, answer(&other), &presented, at.time),
        };
        self.identity(outcome, &presented, 0, base, at)
    }

    /// Goes on with a fetch that no request waits for.
    pub(super) fn keys_refreshed(&mut self, of: (u32, Part), event: Event<'_>, now: u64) -> Next {
        let (policy, store) = (&self.policy, &mut self.identities);
        let ask = match event {
            Event::Copied(copy, age) => identify::copied(policy, store, of, (copy, age), now),
            other => identify::refreshed(policy, store, of, answer(&other), now),
        };
        ask.map_or_else(|| done(Step::nothing()), |ask| beside(&ask))
    }
}

const fn answer<'a>(event: &Event<'a>) -> Option<&'a [u8]> {
    match event {
        Event::Keys(answer) => *answer,
        _ => None,
    }
}

/// The step that an ask is.
pub(super) fn step(ask: &KeysAsk) -> Step {
    Step::FetchKeys(FetchKeys {
        url: ask.url.clone(),
        max: ask.max,
        copies: ask.copies,
    })
}

/// A fetch of keys that no request waits for.
fn beside(ask: &KeysAsk) -> Next {
    Next {
        step: step(ask),
        flight: Some(Flight {
            base: Base::default(),
            phase: Phase::RefreshingKeys {
                issuer: ask.issuer,
                part: ask.part,
            },
        }),
    }
}
