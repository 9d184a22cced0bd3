//! What operators ask for: to look takes one question, to give back two, the first of which charges the
//! operator.

use super::{Now, Outgoing, requested};
use crate::flight::{Base, Phase};
use crate::identify::Principal;
use crate::matching::Matched;
use crate::meter::correction::Report;
use crate::operate::{self, Of, Order};
use crate::step::{BodyFailure, Finish, Step};
use crate::{Engine, authorize, inspect, look, standing};

impl Engine {
    /// Shows a caller its own limits, or an operator those of another.
    pub(super) fn look(
        &mut self,
        caller: Principal,
        matched: Matched,
        base: &mut Base,
        at: Now<'_>,
    ) -> Outgoing {
        let permit = match operate::seen(&base.query) {
            _ if base.query.is_empty() => authorize::for_standing(caller, matched)?,
            Some(Of::Model(name)) => {
                authorize::for_standing_of_model(&self.policy, caller, &name, requested(base, matched, at))?
            }
            Some(Of::Api(name)) => authorize::for_standing_of_api(&self.policy, caller, &name, matched)?,
            None => return self.look_at_another(&caller, base, at),
        };
        self.admit(permit, base, at)
    }

    /// Shows an operator the limits of another consumer.
    fn look_at_another(&self, caller: &Principal, base: &mut Base, at: Now<'_>) -> Outgoing {
        let order = operate::look_at(&self.policy, caller, &base.query)?;
        match order.ask(&self.policy, at.time)? {
            Some((object, ask)) => Ok((Step::Meter { object, ask }, Phase::Operating(order))),
            // It has no limit, or none of that name.
            None => self.told(&order, base, at),
        }
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
        base.credit = order.sent(&self.policy)?;
        self.ask_for(order, at)
    }

    fn ask_for(&self, order: Order, at: Now<'_>) -> Outgoing {
        match order.ask(&self.policy, at.time)? {
            Some((object, ask)) => Ok((Step::Meter { object, ask }, Phase::Operating(order))),
            None => Err(look::broken("an order that asks nobody")),
        }
    }

    /// Reads what an object said of an order, and asks the next; or says what became of it.
    pub(super) fn operated(
        &self,
        mut order: Order,
        answer: Option<&[u8]>,
        base: &mut Base,
        at: Now<'_>,
    ) -> Outgoing {
        let report = answer.and_then(|answer| Report::decode(answer).ok());
        let report = report.ok_or_else(operate::unavailable)?;
        order.note(&self.policy, &report, at.time)?;
        if let Some((object, ask)) = order.ask(&self.policy, at.time)? {
            return Ok((Step::Meter { object, ask }, Phase::Operating(order)));
        }
        self.told(&order, base, at)
    }

    fn told(&self, order: &Order, base: &mut Base, at: Now<'_>) -> Outgoing {
        let done = order.done(&self.policy, &base.id_text())?;
        base.credit.clone_from(&done.note);
        let mut step = match done.said.given() {
            Ok(()) => {
                let body = match &done.note {
                    Some(note) => standing::credit_page(note, &done),
                    None => {
                        let plan = look::plan(&self.policy, done.consumer.plan)?;
                        standing::operators_page(plan, &done)
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
