//! What operators do on a gateway that runs: look at the limits of a consumer, and give back what was used.
//!
//! An operator is a consumer to which the policy gives this right ([`Operator`]). What it gives back is a
//! [`Credit`]: booked in the consumer's object, with its author and its reason, and first charged to the
//! operator itself, up to what the policy allows it in a window. If anything is lost in between, that charge
//! stands.

use serde::{Deserialize, Serialize};
use turnpike_policy::{
    Allowance, Compiled, Consumer, Creditable, Limit, LimitKind, Operator, Precision, SubjectPart, Unit,
};

use crate::account::Settled;
use crate::error::{Code, Refusal};
use crate::identify::Principal;
use crate::look;
use crate::meter::correction::{self, Given, MAX_REASON, Report};
use crate::meter::{Answer, Ask, Asked, MAX_LIMITS, Mode, Outcome, Settle};

/// The largest body of an order, in bytes.
pub(crate) const MAX_BODY: u64 = 4_096;
/// How long what an operator was charged may be given back, in milliseconds.
const HOLD: u64 = 60_000;

/// What an operator wants of a consumer's limits.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Order {
    /// The operator (index into the policy's list of consumers).
    operator: u32,
    /// Whose limits.
    consumer: u32,
    /// What is given back; none: it only looks.
    credit: Option<Credit>,
}

#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
struct Credit {
    id: String,
    limit: String,
    amount: u64,
    reason: String,
}

/// A credit, for the log.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Note {
    /// Whose limit.
    pub consumer: String,
    /// Which.
    pub limit: String,
    /// How much was asked for, in its unit.
    pub asked: u64,
    /// How much was booked; none: that is not known.
    pub booked: Option<u64>,
    /// Why.
    pub reason: String,
    /// What tells it from others.
    pub id: String,
}

/// The body of an order, as it is sent.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Body {
    consumer: String,
    limit: String,
    amount: u64,
    reason: String,
    id: Option<String>,
}

/// What became of an order.
pub(crate) struct Done<'a> {
    pub(crate) consumer: &'a Consumer,
    /// The limits that were asked for, in the order of the report's standings.
    pub(crate) limits: Vec<&'a Limit>,
    /// What is said of a credit.
    pub(crate) note: Option<Note>,
    /// What the operator's own object is told.
    pub(crate) settle: Option<Settled>,
}

/// The order to look at the limits of the consumer that a query names.
pub(crate) fn look_at(policy: &Compiled, caller: &Principal, query: &str) -> Result<Order, Refusal> {
    right(policy, caller)?;
    let query = query.strip_prefix('?').unwrap_or(query);
    let Some(name) = query.strip_prefix("consumer=").filter(|name| !name.contains('&')) else {
        let detail = "/_turnpike/limits takes no parameter but `consumer`.";
        return Err(Refusal::new(Code::InvalidRequest, detail));
    };
    Ok(Order {
        operator: caller.consumer,
        consumer: named(policy, name)?,
        credit: None,
    })
}

/// The order to give back what a body says. `id` is that of the request.
pub(crate) fn read(policy: &Compiled, caller: &Principal, body: &[u8], id: &str) -> Result<Order, Refusal> {
    let body: Body = serde_json::from_slice(body).map_err(|error| {
        let code = if error.is_data() {
            Code::InvalidRequest
        } else {
            Code::InvalidJson
        };
        Refusal::new(code, format!("This is no order of a credit: {error}."))
    })?;
    if body.amount == 0 {
        return Err(Refusal::new(Code::InvalidRequest, "`amount` is at least 1.").about("amount"));
    }
    let reason = self::reason(&body.reason)?;
    let id = self::id(body.id.as_deref().unwrap_or(id))?;
    let consumer = named(policy, &body.consumer)?;
    let order = Order {
        operator: caller.consumer,
        consumer,
        credit: Some(Credit {
            id: id.to_owned(),
            limit: body.limit,
            amount: body.amount,
            reason: reason.to_owned(),
        }),
    };
    // Both are looked at here, so that what cannot be is refused before anything is charged.
    order.limits(policy)?;
    order.allowance(policy)?;
    Ok(order)
}

/// What the policy lets a caller do as an operator.
pub(crate) fn right<'a>(policy: &'a Compiled, caller: &Principal) -> Result<&'a Operator, Refusal> {
    let consumer = look::consumer(policy, caller.consumer)?;
    consumer.operator.as_ref().ok_or_else(|| {
        let detail = format!("`{}` is no operator of this gateway.", consumer.name);
        Refusal::new(Code::OperatorRequired, detail).by(&consumer.origin)
    })
}

/// Why an operator does something: one line, bounded.
pub(crate) fn reason(text: &str) -> Result<&str, Refusal> {
    let reason = text.trim();
    if reason.is_empty() || reason.len() > MAX_REASON || reason.chars().any(char::is_control) {
        let detail = format!("`reason` says why, in one line of at most {MAX_REASON} bytes.");
        return Err(Refusal::new(Code::InvalidRequest, detail).about("reason"));
    }
    Ok(reason)
}

/// What tells an order from others.
pub(crate) fn id(text: &str) -> Result<&str, Refusal> {
    if text.is_empty() || text.len() > 64 || !text.bytes().all(|byte| byte.is_ascii_graphic()) {
        let detail = "`id` is 1 to 64 letters, digits and signs.";
        return Err(Refusal::new(Code::InvalidRequest, detail).about("id"));
    }
    Ok(text)
}

fn named(policy: &Compiled, name: &str) -> Result<u32, Refusal> {
    (0_u32..)
        .zip(&policy.consumers)
        .find_map(|(index, consumer)| (consumer.name == name).then_some(index))
        .ok_or_else(|| {
            let name: String = name.chars().filter(|c| !c.is_control()).take(80).collect();
            Refusal::new(Code::NotFound, format!("There is no consumer `{name}`.")).about("consumer")
        })
}

/// The limits that count a consumer as a whole, and are kept in its one object: those of its plan, then those of
/// what it may call. In the memory of isolates nobody can look, and what is spread lies in no one place.
fn limits_of<'a>(policy: &'a Compiled, consumer: &'a Consumer) -> Result<Vec<&'a Limit>, Refusal> {
    let plan = look::plan(policy, consumer.plan)?;
    let models = (0_u32..)
        .zip(&policy.models)
        .filter(|(index, _)| consumer.models.allows(*index));
    let apis = (0_u32..).zip(&policy.apis).filter(|(index, _)| {
        let mut operations = (0_u32..).zip(&policy.operations);
        operations.any(|(place, operation)| operation.api == *index && consumer.operations.allows(place))
    });
    let all = plan
        .limits
        .iter()
        .chain(models.flat_map(|(_, model)| &model.limits))
        .chain(apis.flat_map(|(_, api)| &api.limits));
    let mut limits: Vec<&Limit> = Vec::new();
    for limit in all {
        // Versions of an API share its limits.
        let known = limits.iter().any(|known| known.id == limit.id);
        let kept = limit.precision != Precision::Local && limit.split.is_none();
        if !known && kept && limit.subject == [SubjectPart::Consumer] {
            limits.push(limit);
        }
    }
    Ok(limits)
}

impl Order {
    /// Whether something is given back.
    pub(crate) fn gives(&self) -> bool {
        self.credit.is_some()
    }

    /// The limits that it is about.
    fn limits<'a>(&self, policy: &'a Compiled) -> Result<Vec<&'a Limit>, Refusal> {
        let consumer = look::consumer(policy, self.consumer)?;
        let mut limits = limits_of(policy, consumer)?;
        let Some(credit) = &self.credit else {
            limits.truncate(MAX_LIMITS);
            return Ok(limits);
        };
        limits.retain(|limit| limit.id == credit.limit);
        limits.truncate(1);
        if limits.is_empty() {
            let shown: String = credit
                .limit
                .chars()
                .filter(|c| !c.is_control())
                .take(80)
                .collect();
            let name = &consumer.name;
            let detail = format!(
                "No limit `{shown}` is kept for `{name}` as a whole: see /_turnpike/limits?consumer={name}."
            );
            return Err(Refusal::new(Code::InvalidRequest, detail).about("limit"));
        }
        Ok(limits)
    }

    /// What the operator may give back of such a limit.
    fn allowance<'a>(&self, policy: &'a Compiled) -> Result<&'a Allowance, Refusal> {
        let operator = look::consumer(policy, self.operator)?;
        let limits = self.limits(policy)?;
        let limit = limits
            .first()
            .ok_or_else(|| look::broken("an order without a limit"))?;
        let Some(what) = Creditable::of(&limit.kind) else {
            let detail = format!(
                "`{}` counts nothing that could be given back: a rate pays itself off, and places come back by \
                 themselves.",
                limit.id
            );
            return Err(Refusal::new(Code::InvalidRequest, detail).about("limit"));
        };
        let right = operator.operator.as_ref();
        let allowance = right.and_then(|right| right.credit.iter().find(|allowance| allowance.of == what));
        allowance.ok_or_else(|| {
            let detail = format!("`{}` may not give back {}.", operator.name, what.name());
            Refusal::new(Code::OperatorRequired, detail).by(&operator.origin)
        })
    }

    /// The object that counts what the operator gives back, and what it is asked; none: it only looks.
    ///
    /// `request` is the gateway's own name of the request: an id that the operator chose, used twice, would
    /// be charged once.
    pub(crate) fn bound(
        &self,
        policy: &Compiled,
        request: &str,
    ) -> Result<Option<(String, Vec<u8>)>, Refusal> {
        let Some(credit) = &self.credit else {
            return Ok(None);
        };
        let allowance = self.allowance(policy)?;
        let asked = Asked {
            id: allowance.of.name(),
            // A limit of its own, whatever it counts: its id tells.
            kind: LimitKind::Budget {
                count: allowance.count,
                window: allowance.window,
                unit: Unit::Tokens,
            },
            amount: credit.amount,
            shadow: false,
        };
        let ask = Ask {
            mode: Mode::Charge,
            request,
            part: 0,
            cost: 1,
            hold: HOLD,
            lease: None,
            limits: vec![asked],
        };
        let ask = ask
            .encode()
            .map_err(|_| look::broken("the ask cannot be written"))?;
        Ok(Some((self.purse(policy)?, ask)))
    }

    fn purse(&self, policy: &Compiled) -> Result<String, Refusal> {
        Ok(format!(
            "operator:{}",
            look::consumer(policy, self.operator)?.name
        ))
    }

    /// Reads whether the operator may give back so much now.
    pub(crate) fn bounded(&self, policy: &Compiled, answer: Option<&[u8]>) -> Result<(), Refusal> {
        let answer = answer.and_then(|answer| Answer::decode(answer).ok());
        let answer = answer.ok_or_else(unavailable)?;
        let Outcome::Refused { retry_after_ms, .. } = answer.outcome else {
            return Ok(());
        };
        let operator = look::consumer(policy, self.operator)?;
        let left = answer.standings.first().map_or(0, |standing| standing.remaining);
        let detail = format!(
            "`{}` may give back {left} more {} in this window.",
            operator.name,
            self.allowance(policy)?.of.name()
        );
        let seconds = retry_after_ms.div_ceil(1_000).max(1);
        Err(Refusal::new(Code::CreditExceeded, detail)
            .by(&operator.origin)
            .header("retry-after", seconds.to_string()))
    }

    /// The consumer's object, and what it is asked.
    pub(crate) fn order(&self, policy: &Compiled, now: u64) -> Result<(String, Vec<u8>), Refusal> {
        let limits = self.limits(policy)?;
        let operator = look::consumer(policy, self.operator)?;
        let order = correction::Order {
            limits: limits
                .iter()
                .map(|limit| Asked::new(&limit.id, limit, &policy.zones, 0, now))
                .collect(),
            credit: self.credit.as_ref().map(|credit| correction::Credit {
                id: &credit.id,
                amount: credit.amount,
                by: &operator.name,
                reason: &credit.reason,
            }),
        };
        let order = order
            .encode()
            .map_err(|_| look::broken("the order cannot be written"))?;
        Ok((
            format!("consumer:{}", look::consumer(policy, self.consumer)?.name),
            order,
        ))
    }

    /// What became of it. `None` where it was booked or not, nobody knows.
    pub(crate) fn done<'a>(
        &self,
        policy: &'a Compiled,
        request: &str,
        report: Option<&Report<'_>>,
    ) -> Result<Done<'a>, Refusal> {
        let consumer = look::consumer(policy, self.consumer)?;
        // How much was booked, and how much of it by this very request.
        let (booked, charged) = match report.map(|report| report.given) {
            Some(Given::Booked(booked)) => (Some(booked), Some(booked)),
            Some(Given::Before(booked)) => (Some(booked), Some(0)),
            Some(Given::Nothing | Given::Taken | Given::Full) => (Some(0), Some(0)),
            None => (None, None),
        };
        let settle = match charged {
            Some(charged) if self.gives() => Some(self.settle(policy, request, charged)?),
            // What may have been booked stays charged.
            _ => None,
        };
        let note = self.credit.as_ref().map(|credit| Note {
            consumer: consumer.name.clone(),
            limit: credit.limit.clone(),
            asked: credit.amount,
            booked,
            reason: credit.reason.clone(),
            id: credit.id.clone(),
        });
        Ok(Done {
            consumer,
            limits: self.limits(policy)?,
            note,
            settle,
        })
    }

    fn settle(&self, policy: &Compiled, request: &str, charged: u64) -> Result<Settled, Refusal> {
        let settle = Settle {
            request,
            used: vec![(self.allowance(policy)?.of.name(), charged)],
        };
        Ok(Settled {
            object: self.purse(policy)?,
            settle: settle
                .encode()
                .map_err(|_| look::broken("the settlement cannot be written"))?,
        })
    }
}

/// Refuses a credit that was not booked for a reason that its author can mend.
pub(crate) fn given(report: &Report<'_>) -> Result<(), Refusal> {
    match report.given {
        Given::Nothing | Given::Booked(_) | Given::Before(_) => Ok(()),
        Given::Taken => Err(Refusal::new(
            Code::CreditConflict,
            "Another credit has this `id`: choose a new one.",
        )
        .about("id")),
        Given::Full => Err(Refusal::new(
            Code::CreditConflict,
            "As many credits as are kept are booked in this window: change the limit in the policy.",
        )),
    }
}

/// The refusal when an object cannot be asked.
pub(crate) fn unavailable() -> Refusal {
    Refusal::new(
        Code::LimiterUnavailable,
        "The limits cannot be reached now. Try again with the same `id`: it is booked once.",
    )
    .header("retry-after", "1")
}
