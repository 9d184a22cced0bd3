//! DPoP proofs on the road: each is good for one request, and an object knows which were used.
//!
//! It is asked once all else of the proof is right, so that nobody uses up another's. Where it cannot be asked, nobody
//! passes: what it does not know may be a replay.

use super::challenge::unidentified;
use super::{Now, Outgoing};
use crate::Engine;
use crate::error::{Code, Refusal};
use crate::flight::{Base, Phase};
use crate::identify::{self, Caller, Proven};
use crate::meter::proofs::Outcome;
use crate::step::Step;

/// Asks whether a proof is new.
pub(super) fn ask(proven: Box<Proven>, base: &Base) -> Outgoing {
    let question = proven.question(&base.id);
    let (object, ask) = question.map_err(|_| unavailable("its question could not be written"))?;
    Ok((Step::Meter { object, ask }, Phase::Proving(proven)))
}

impl Engine {
    /// Goes on with a request whose proof is new.
    pub(super) fn proved(
        &mut self,
        proven: Proven,
        answer: Option<&[u8]>,
        base: &mut Base,
        at: Now<'_>,
    ) -> Outgoing {
        match proven.answered(answer) {
            Ok(principal) => self.undenied(Caller::Known(principal), base, at),
            Err(Some(Outcome::Used)) => Err(unidentified(&identify::Refusal::Proof(
                "the proof was used before",
            ))),
            Err(Some(Outcome::Full)) => {
                Err(unavailable("as many proofs of this key are remembered as may be"))
            }
            Err(_) => Err(unavailable("the object could not be asked")),
        }
    }
}

fn unavailable(reason: &'static str) -> Refusal {
    let detail = "Whether the proof is new cannot be found out at the moment.";
    Refusal::new(Code::DpopUnavailable, detail)
        .because(reason)
        .header("retry-after", "5")
}
