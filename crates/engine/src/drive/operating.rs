//! What operators ask for: to look takes one question, to give back two, the first of which charges the
//! operator.

use super::{Now, Outgoing};
use crate::flight::{Base, Phase};
use crate::identify::Principal;
use crate::meter::correction::Report;
use crate::operate::{self, Order};
use crate::step::{BodyFailure, Finish, Step};
use crate::{Engine, inspect, look, standing};

impl Engine {
    /// Shows an operator the limits of another consumer.
    pub(super) fn look_at_another(&self, caller: &Principal, base: &Base, at: Now<'_>) -> Outgoing {
        let order = operate::look_at(&self.policy, caller, &base.query)?;
        self.ask_for(order, at)
    }

    /// Takes an operator's order to give something back.
    pub(super) fn credit(&self, caller: Principal, base: &Base) -> Outgoing {
        operate::right(&self.policy, &caller)?;
        let max = inspect::model_body(operate::MAX_BODY, &base.announced)?;
        Ok((Step::ReadBody { max }, Phase::ReadingOrder(caller)))
    }

    /// Reads it, and charges the operator.
    pub(super) fn ordered(
        &self,
        caller: &Principal,
        body: Result<&[u8], BodyFailure>,
        base: &Base,
    ) -> Outgoing {
        let body = body.map_err(|failure| inspect::unreadable(failure, operate::MAX_BODY))?;
        let id = base.id_text();
        let order = operate::read(&self.policy, caller, body, &id)?;
        let (object, ask) = order
            .bound(&self.policy, &id)?
            .ok_or_else(|| look::broken("an order without a credit"))?;
        Ok((Step::Meter { object, ask }, Phase::Bounding(order)))
    }

    /// Asks the consumer's object, if the operator may give back so much.
    pub(super) fn bounded(
        &self,
        order: Order,
        answer: Option<&[u8]>,
        base: &mut Base,
        at: Now<'_>,
    ) -> Outgoing {
        order.bounded(&self.policy, answer)?;
        // From here on it may be booked, whatever comes.
        base.credit = order.done(&self.policy, &base.id_text(), None)?.note;
        self.ask_for(order, at)
    }

    fn ask_for(&self, order: Order, at: Now<'_>) -> Outgoing {
        let (object, ask) = order.order(&self.policy, at.time)?;
        Ok((Step::Meter { object, ask }, Phase::Operating(order)))
    }

    /// Says what became of an order.
    pub(super) fn operated(
        &self,
        order: &Order,
        answer: Option<&[u8]>,
        base: &mut Base,
        at: Now<'_>,
    ) -> Outgoing {
        let report = answer.and_then(|answer| Report::decode(answer).ok());
        let report = report.ok_or_else(operate::unavailable)?;
        let done = order.done(&self.policy, &base.id_text(), Some(&report))?;
        base.credit.clone_from(&done.note);
        let mut step = match operate::given(&report) {
            Ok(()) => {
                let body = match &done.note {
                    Some(note) => standing::credit_page(note, &done.limits, &report),
                    None => {
                        let plan = look::plan(&self.policy, done.consumer.plan)?;
                        standing::operators_page(done.consumer, plan, &done.limits, &report)
                    }
                };
                self.page(base, body, at).0
            }
            Err(refusal) => self.refuse(base, at.time, &refusal),
        };
        if let Step::Finish(Finish { settle, .. }) = &mut step {
            settle.extend(done.settle);
        }
        Ok((step, Phase::Cold))
    }
}
