//! What operators do on a gateway that runs: look at the limits of a consumer, and give back what was used.
//!
//! An operator is a consumer to which the policy gives this right ([`Operator`]). What it gives back is a
//! [`Credit`]: booked in the consumer's object, with its author and its reason, and first charged to the
//! operator itself, up to what the policy allows it in a window. If anything is lost in between, that charge
//! stands.

use serde::{Deserialize, Serialize};
use turnpike_policy::{Allowance, Compiled, Consumer, Creditable, LimitKind, Operator, Unit};

use crate::account::Settled;
use crate::admit::kept::{Count, Kept};
use crate::answer::decoded;
use crate::error::{Code, Refusal};
use crate::identify::Principal;
use crate::look;
use crate::meter::correction::{self, Credited, Given, MAX_REASON, Report};
use crate::meter::{Answer, Ask, Asked, MAX_ID, Mode, Outcome, Settle, Standing};

/// The largest body of an order, in bytes.
pub(crate) const MAX_BODY: u64 = 4_096;
/// How long what an operator was charged may be given back, in milliseconds.
const HOLD: u64 = 60_000;

/// What an operator wants of a consumer's limits.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Order {
    /// The operator (index into the policy's list of consumers).
    operator: u32,
    /// Whose limits.
    consumer: u32,
    /// What is given back; none: it only looks.
    credit: Option<Credit>,
    /// Which limit, where not all are looked at.
    only: Option<String>,
    /// What its objects have said so far.
    said: Said,
}

/// What objects said of an order, one after the other.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Said {
    /// How many have answered.
    turn: usize,
    /// How the counts stand, in their order.
    pub(crate) standings: Vec<Standing>,
    /// What was given back in the windows that are open.
    pub(crate) credits: Vec<Booking>,
    /// How much of the credit was booked, and how much of it by this very request.
    booked: u64,
    charged: u64,
    /// Why nothing more of it was.
    refused: Option<Given>,
}

/// A credit, with what was booked of it in all objects.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Booking {
    pub(crate) id: String,
    pub(crate) limit: String,
    pub(crate) asked: u64,
    pub(crate) booked: u64,
    pub(crate) at: u64,
    pub(crate) by: String,
    pub(crate) reason: String,
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
pub(crate) struct Note {
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
    /// The counts that were asked for, in the order of the standings.
    pub(crate) counts: Vec<Count<'a>>,
    /// How many counts there are besides.
    pub(crate) more: usize,
    /// What was said of them.
    pub(crate) said: &'a Said,
    /// What is said of a credit.
    pub(crate) note: Option<Note>,
    /// What the operator's own object is told.
    pub(crate) settle: Option<Settled>,
}

/// The order to look at the limits of the consumer that a query names.
pub(crate) fn look_at(policy: &Compiled, caller: &Principal, query: &str) -> Result<Order, Refusal> {
    right(policy, caller)?;
    let (mut consumer, mut only) = (None, None);
    for pair in query.strip_prefix('?').unwrap_or(query).split('&') {
        let (name, value) = pair.split_once('=').unwrap_or((pair, ""));
        let place = match name {
            "consumer" => &mut consumer,
            "limit" => &mut only,
            _ => return Err(no_such_parameter()),
        };
        let value = String::from_utf8(decoded(value).into_owned()).ok();
        let value = value.filter(|value| value.len() <= MAX_ID);
        if place.is_some() || value.is_none() {
            return Err(no_such_parameter());
        }
        *place = value;
    }
    let consumer = consumer.ok_or_else(no_such_parameter)?;
    Ok(Order {
        operator: caller.consumer(),
        consumer: named(policy, &consumer)?,
        credit: None,
        only,
        said: Said::default(),
    })
}

/// What a caller asks for whose own limits it looks at.
pub(crate) enum Of {
    /// The name of a model.
    Model(String),
    /// The name and the version of an API.
    Api(String),
}

/// What a query asks for; `None`: something else.
pub(crate) fn seen(query: &str) -> Option<Of> {
    let (name, value) = query.strip_prefix('?').unwrap_or(query).split_once('=')?;
    let value = String::from_utf8(decoded(value).into_owned()).ok()?;
    match name {
        _ if value.contains('&') => None,
        "model" => Some(Of::Model(value)),
        "api" => Some(Of::Api(value)),
        _ => None,
    }
}

fn no_such_parameter() -> Refusal {
    let detail = "/_turnpike/limits takes one of `model`, the name of one, and `api`, such as `petstore/v1`; of \
        operators `consumer`, the name of one, and `limit`, the name of a limit, each once.";
    Refusal::new(Code::InvalidRequest, detail)
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
        operator: caller.consumer(),
        consumer,
        credit: Some(Credit {
            id: id.to_owned(),
            limit: body.limit.clone(),
            amount: body.amount,
            reason: reason.to_owned(),
        }),
        only: Some(body.limit),
        said: Said::default(),
    };
    // Both are looked at here, so that what cannot be is refused before anything is charged.
    order.kept(policy)?;
    order.allowance(policy)?;
    Ok(order)
}

/// What the policy lets a caller do as an operator.
pub(crate) fn right<'a>(policy: &'a Compiled, caller: &Principal) -> Result<&'a Operator, Refusal> {
    let consumer = look::consumer(policy, caller.consumer())?;
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

impl Order {
    /// Whether something is given back.
    pub(crate) fn gives(&self) -> bool {
        self.credit.is_some()
    }

    /// The counts that it is about.
    fn kept<'a>(&self, policy: &'a Compiled) -> Result<Kept<'a>, Refusal> {
        let kept = Kept::of(policy, self.consumer, self.only.as_deref())?;
        let Some(credit) = &self.credit else {
            return Ok(kept);
        };
        if !matches!(&*kept.counts, [count] if count.id == credit.limit) {
            let shown: String = credit
                .limit
                .chars()
                .filter(|c| !c.is_control())
                .take(80)
                .collect();
            let name = &look::consumer(policy, self.consumer)?.name;
            let detail =
                format!("No limit `{shown}` is kept for `{name}`: see /_turnpike/limits?consumer={name}.");
            return Err(Refusal::new(Code::InvalidRequest, detail).about("limit"));
        }
        Ok(kept)
    }

    /// What the operator may give back of such a limit.
    fn allowance<'a>(&self, policy: &'a Compiled) -> Result<&'a Allowance, Refusal> {
        let operator = look::consumer(policy, self.operator)?;
        let kept = self.kept(policy)?;
        let limit = kept.counts.first().map(|count| count.limit);
        let limit = limit.ok_or_else(|| look::broken("an order without a limit"))?;
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
        let retry_after_ms = match answer.outcome {
            Outcome::Admitted => return Ok(()),
            Outcome::Crowded => return Err(unavailable()),
            Outcome::Refused { retry_after_ms, .. } => retry_after_ms,
        };
        let operator = look::consumer(policy, self.operator)?;
        let left = answer.standings.first().map_or(0, |standing| standing.remaining);
        let unit = match self.allowance(policy)?.of {
            Creditable::NanoUsd => "nano-USD",
            of => of.name(),
        };
        let detail = format!(
            "`{}` may give back {left} more {unit} in this window.",
            operator.name
        );
        let seconds = retry_after_ms.div_ceil(1_000).max(1);
        Err(Refusal::new(Code::CreditExceeded, detail)
            .by(&operator.origin)
            .header("retry-after", seconds.to_string()))
    }

    /// The object that is asked next, and what; none: all have answered.
    pub(crate) fn ask(&self, policy: &Compiled, now: u64) -> Result<Option<(String, Vec<u8>)>, Refusal> {
        let kept = self.kept(policy)?;
        let operator = look::consumer(policy, self.operator)?;
        let Some((object, limits, _)) = kept.ask(policy, self.said.turn, now) else {
            return Ok(None);
        };
        let rest = |credit: &Credit| credit.amount.saturating_sub(self.said.booked);
        let order = correction::Order {
            limits,
            // What one object could not book, the next one does.
            credit: self
                .credit
                .as_ref()
                .filter(|credit| rest(credit) > 0 && self.said.refused.is_none())
                .map(|credit| correction::Credit {
                    id: &credit.id,
                    amount: rest(credit),
                    by: &operator.name,
                    reason: &credit.reason,
                }),
        };
        let order = order
            .encode()
            .map_err(|_| look::broken("the order cannot be written"))?;
        Ok(Some((object, order)))
    }

    /// Notes what an object said.
    pub(crate) fn note(&mut self, policy: &Compiled, report: &Report<'_>, now: u64) -> Result<(), Refusal> {
        let kept = self.kept(policy)?;
        let said = &mut self.said;
        kept.note(
            (&policy.zones, now),
            said.turn,
            &report.standings,
            &mut said.standings,
        );
        let begins = kept
            .ask(policy, said.turn, now)
            .is_some_and(|(_, _, begins)| begins);
        let wanted = |credit: &&Credited<'_>| {
            self.only.is_none() || kept.counts.iter().any(|count| count.id == credit.limit)
        };
        for credit in report.credits.iter().filter(wanted).filter(|_| begins) {
            let known = said
                .credits
                .iter_mut()
                .find(|known| known.id == credit.id && known.limit == credit.limit);
            match known {
                Some(known) => known.booked = known.booked.saturating_add(credit.booked),
                None => said.credits.push(Booking {
                    id: credit.id.to_owned(),
                    limit: credit.limit.to_owned(),
                    asked: credit.asked,
                    booked: credit.booked,
                    at: credit.at,
                    by: credit.by.to_owned(),
                    reason: credit.reason.to_owned(),
                }),
            }
        }
        match report.given {
            Given::Nothing => {}
            Given::Booked(booked) => {
                said.booked = said.booked.saturating_add(booked);
                said.charged = said.charged.saturating_add(booked);
            }
            Given::Before(booked) => said.booked = said.booked.saturating_add(booked),
            given @ (Given::Taken | Given::Full) => said.refused = Some(given),
        }
        said.turn += 1;
        Ok(())
    }

    /// How it stands in the log before its objects have answered: whether it is booked, nobody knows.
    pub(crate) fn sent(&self, policy: &Compiled) -> Result<Option<Note>, Refusal> {
        self.written(policy, None)
    }

    fn written(&self, policy: &Compiled, booked: Option<u64>) -> Result<Option<Note>, Refusal> {
        let consumer = look::consumer(policy, self.consumer)?;
        Ok(self.credit.as_ref().map(|credit| Note {
            consumer: consumer.name.clone(),
            limit: credit.limit.clone(),
            asked: credit.amount,
            booked,
            reason: credit.reason.clone(),
            id: credit.id.clone(),
        }))
    }

    /// What became of it, when all its objects have answered.
    pub(crate) fn done<'a>(&'a self, policy: &'a Compiled, request: &str) -> Result<Done<'a>, Refusal> {
        let kept = self.kept(policy)?;
        let settle = self
            .gives()
            .then(|| self.settle(policy, request, self.said.charged))
            .transpose()?;
        Ok(Done {
            consumer: look::consumer(policy, self.consumer)?,
            counts: kept.counts,
            more: kept.more,
            said: &self.said,
            note: self.written(policy, Some(self.said.booked))?,
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
            place: false,
        })
    }
}

impl Said {
    /// Refuses a credit of which nothing was booked, for a reason that its author can mend.
    pub(crate) fn given(&self) -> Result<(), Refusal> {
        match self.refused.filter(|_| self.booked == 0) {
            Some(Given::Taken) => Err(Refusal::new(
                Code::CreditConflict,
                "Another credit has this `id`: choose a new one.",
            )
            .about("id")),
            Some(Given::Full) => Err(Refusal::new(
                Code::CreditConflict,
                "As many credits as are kept are booked in this window: change the limit in the policy.",
            )),
            _ => Ok(()),
        }
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
