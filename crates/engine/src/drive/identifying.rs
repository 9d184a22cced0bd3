//! The phase identify, driven: what must be known before the caller is.

use turnpike_policy::Route;

use super::challenge::unidentified;
use super::{Now, Outgoing, fetching, presented, proving};
use crate::flight::{Base, Phase};
use crate::identify::{self, Caller, Presented};
use crate::shield::Shielded;
use crate::step::{Head, Step};
use crate::{Engine, authorize, look};

impl Engine {
    /// Identify: finds the caller, or what must be known first.
    pub(super) fn identify(
        &mut self,
        route: Route,
        shielded: Shielded,
        head: &Head<'_>,
        base: &mut Base,
        at: Now<'_>,
    ) -> Outgoing {
        if let Route::Operation(index) = route {
            let operation = look::operation(&self.policy, index)?;
            if authorize::is_open(operation, at.time) {
                return self.undenied(Caller::Anybody(shielded), base, at);
            }
        }
        self.identify_caller(shielded, head, base, at)
    }

    pub(super) fn identify_caller(
        &mut self,
        shielded: Shielded,
        head: &Head<'_>,
        base: &mut Base,
        at: Now<'_>,
    ) -> Outgoing {
        let presented = presented::of(&self.policy, head, shielded, at.time);
        if let Some(shown) = &presented.certificate {
            base.certificate = identify::certificate_names(shown, at.time);
        }
        base.dpop = presented.is_dpop();
        let outcome = identify::begin(&self.policy, &mut self.identities, &presented, at.time);
        self.identity(outcome, &presented, 0, base, at)
    }

    /// What follows what identify came to; `presented` is what it may look at again.
    pub(super) fn identity(
        &mut self,
        outcome: identify::Outcome,
        presented: &Presented<'_>,
        waited: u64,
        base: &mut Base,
        at: Now<'_>,
    ) -> Outgoing {
        match outcome {
            identify::Outcome::Wait(ms) => Ok((
                Step::Pause { ms },
                Phase::AwaitingKeys {
                    presented: presented.into(),
                    waited: waited.saturating_add(ms),
                },
            )),
            identify::Outcome::Known(principal) => self.undenied(Caller::Known(principal), base, at),
            identify::Outcome::Proven(proven) => proving::ask(proven, base),
            identify::Outcome::Refused(refusal) => Err(unidentified(&refusal)),
            identify::Outcome::Verify(ask) => Ok((
                Step::Verify {
                    algorithm: ask.algorithm,
                    key: ask.key,
                    input: ask.signing_input,
                    signature: ask.signature,
                },
                Phase::Verifying(ask.pending, presented.shielded),
            )),
            identify::Outcome::Introspect(ask) => {
                Ok((Step::Decide(ask.ask), Phase::Introspecting(ask.asked)))
            }
            identify::Outcome::FetchKeys(ask) => Ok((
                fetching::step(&ask),
                Phase::FetchingKeys {
                    issuer: ask.issuer,
                    part: ask.part,
                    presented: presented.into(),
                },
            )),
        }
    }
}
