//! Denials on the road: looked at once the caller is known, and nothing of the request was charged or sent yet.

use super::{Now, Outgoing};
use crate::error::Refusal;
use crate::flight::{Base, Phase};
use crate::identify::{Caller, Principal};
use crate::meter::denials::{Order, Report};
use crate::step::{BodyFailure, Step};
use crate::{Engine, authorize, deny, inspect, operate};

impl Engine {
    /// Goes on with a request that no denial refuses; looks at the list again first, if it is time to.
    pub(super) fn undenied(&mut self, caller: Caller, base: &mut Base, at: Now<'_>) -> Outgoing {
        if self.denials.as_mut().is_some_and(|denials| denials.due(at.time)) {
            let (object, ask) = deny::ask(&Order::Look)?;
            let began = at.time;
            return Ok((Step::Meter { object, ask }, Phase::Looking { caller, began }));
        }
        self.go_on(caller, base, at)
    }

    /// The same, with what the look has brought.
    pub(super) fn looked(
        &mut self,
        caller: Caller,
        began: u64,
        answer: Option<&[u8]>,
        base: &mut Base,
        at: Now<'_>,
    ) -> Outgoing {
        let report = answer.and_then(|answer| Report::decode(answer).ok());
        self.learn(report.as_ref(), began, at);
        self.go_on(caller, base, at)
    }

    fn learn(&mut self, report: Option<&Report>, began: u64, at: Now<'_>) {
        if let Some(denials) = &mut self.denials {
            denials.take(&self.policy, report, began, at.time);
        }
    }

    fn go_on(&mut self, caller: Caller, base: &mut Base, at: Now<'_>) -> Outgoing {
        let matched = base.matched()?;
        let operation = matched.operation().ok();
        if let Some(caller) = caller.known() {
            base.consumer = Some(caller.consumer());
            caller.subject().clone_into(&mut base.subject);
        }
        self.not_denied(caller.known(), operation, None, base, at)?;
        match caller {
            Caller::Known(caller) => self.identified(caller, matched, base, at),
            Caller::Anybody(shielded) => {
                let right = authorize::for_everybody(&self.policy, matched, shielded, at.time)?;
                self.inspect_operation(right, matched, base, at)
            }
        }
    }

    /// Refuses what is denied, as far as it is known here.
    pub(super) fn not_denied(
        &self,
        caller: Option<&Principal>,
        operation: Option<u32>,
        model: Option<u32>,
        base: &mut Base,
        at: Now<'_>,
    ) -> Result<(), Refusal> {
        let Some(denials) = &self.denials else {
            return Ok(());
        };
        base.denials_stale |= denials.is_stale(at.time);
        match denials.refuses(caller, &base.certificate, operation, model, at.time) {
            None => Ok(()),
            Some(id) => {
                base.denied = Some(id.to_owned());
                Err(deny::refusal())
            }
        }
    }

    /// Shows an operator the list.
    pub(super) fn list_denials(&self, caller: &Principal, at: Now<'_>) -> Outgoing {
        operate::right(&self.policy, caller)?;
        Self::ask_denials(Order::Look, at)
    }

    /// Takes an operator's order to deny or to lift something.
    pub(super) fn deny(&self, caller: Principal, base: &Base) -> Outgoing {
        deny::right(&self.policy, &caller)?;
        let max = inspect::model_body(operate::MAX_BODY, &base.announced)?;
        Ok((Step::ReadBody { max }, Phase::ReadingDenial(caller)))
    }

    /// Reads it, and hands it to the object.
    pub(super) fn order_denial(
        &self,
        caller: &Principal,
        body: Result<&[u8], BodyFailure>,
        base: &mut Base,
        at: Now<'_>,
    ) -> Outgoing {
        let body = body.map_err(|failure| inspect::unreadable(failure, operate::MAX_BODY))?;
        let order = deny::read(&self.policy, caller, body, &base.id_text(), at.time)?;
        // From here on it may be done, whatever comes.
        base.denial = deny::note(&order, None);
        Self::ask_denials(order, at)
    }

    fn ask_denials(order: Order, at: Now<'_>) -> Outgoing {
        let (object, ask) = deny::ask(&order)?;
        Ok((Step::Meter { object, ask }, Phase::Denying(order, at.time)))
    }

    /// Says what became of it. What was changed holds here at once.
    pub(super) fn denial_ordered(
        &mut self,
        order: &Order,
        began: u64,
        answer: Option<&[u8]>,
        base: &mut Base,
        at: Now<'_>,
    ) -> Outgoing {
        let report = answer.and_then(|answer| Report::decode(answer).ok());
        let report = report.ok_or_else(deny::unavailable)?;
        self.learn(Some(&report), began, at);
        base.denial = deny::note(order, Some(report.outcome));
        deny::done(report.outcome)?;
        let body = deny::page(&report, base.denial.as_ref(), at.time);
        Ok(self.page(base, body, at))
    }
}
