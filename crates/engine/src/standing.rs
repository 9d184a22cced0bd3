//! How limits stand, as their caller and operators see it: `GET` and `POST /_turnpike/limits`.

use serde::Serialize;
use turnpike_policy::{Consumer, Limit, LimitKind, Plan, Precision, Unit};

use crate::meter::Standing;
use crate::operate::{Booking, Done, Note};

#[derive(Serialize)]
struct Page<'a> {
    consumer: &'a str,
    plan: &'a str,
    limits: Vec<Row<'a>>,
    /// What operators gave back; for operators.
    #[serde(skip_serializing_if = "Option::is_none")]
    credits: Option<Vec<CreditRow<'a>>>,
    /// How many counts are not shown, as they are too many: `limit` asks for one limit's.
    #[serde(skip_serializing_if = "Option::is_none")]
    more: Option<usize>,
}

#[derive(Serialize)]
struct Row<'a> {
    name: &'a str,
    /// `rate`, `quota`, `tokens`, `spend`, `bytes` or `concurrency`, as in the policy.
    kind: &'static str,
    /// What the numbers count.
    unit: &'static str,
    limit: u64,
    remaining: u64,
    /// How long the window is.
    #[serde(skip_serializing_if = "Option::is_none")]
    window_seconds: Option<u64>,
    /// When more is there than now; nothing, where nothing is used.
    #[serde(skip_serializing_if = "Option::is_none")]
    reset_seconds: Option<u64>,
    /// It holds nobody back; for operators.
    #[serde(skip_serializing_if = "std::ops::Not::not")]
    shadow: bool,
    /// One isolate says what it alone has counted.
    #[serde(skip_serializing_if = "std::ops::Not::not")]
    approximate: bool,
}

#[derive(Serialize)]
struct CreditRow<'a> {
    id: &'a str,
    limit: &'a str,
    asked: u64,
    booked: u64,
    /// Unix milliseconds, as all times of the log.
    time: u64,
    by: &'a str,
    reason: &'a str,
}

#[derive(Serialize)]
struct CreditPage<'a> {
    #[serde(flatten)]
    credit: &'a Note,
    /// How the limit stands now.
    now: Option<Row<'a>>,
}

impl<'a> Row<'a> {
    fn new(name: &'a str, limit: &'a Limit, standing: &Standing) -> Self {
        let (kind, unit) = match limit.kind {
            LimitKind::Rate(_) => ("rate", "requests"),
            LimitKind::Quota { .. } => ("quota", "requests"),
            LimitKind::Budget { unit, .. } => match unit {
                Unit::Tokens => ("tokens", "tokens"),
                Unit::InputTokens => ("tokens", "input_tokens"),
                Unit::OutputTokens => ("tokens", "output_tokens"),
                Unit::NanoUsd => ("spend", "nano_usd"),
                Unit::Bytes => ("bytes", "bytes"),
            },
            LimitKind::Concurrency { .. } => ("concurrency", "requests"),
        };
        let seconds = |ms: u64| (ms > 0).then(|| ms.div_ceil(1_000));
        Self {
            name,
            kind,
            unit,
            limit: standing.limit,
            remaining: standing.remaining,
            window_seconds: seconds(standing.window_ms),
            reset_seconds: seconds(standing.reset_ms),
            shadow: limit.shadow,
            approximate: limit.precision == Precision::Local,
        }
    }
}

impl<'a> CreditRow<'a> {
    fn new(credit: &'a Booking) -> Self {
        Self {
            id: &credit.id,
            limit: &credit.limit,
            asked: credit.asked,
            booked: credit.booked,
            time: credit.at,
            by: &credit.by,
            reason: &credit.reason,
        }
    }
}

/// The page of a caller, as JSON: the limits of its plan or, where it asks for an API or a model, all that hold in
/// calls of that. What is counted for single operations, and for the upstreams of models, is not among it: calls say
/// how these stand.
pub(crate) fn page(
    consumer: &Consumer,
    plan: &Plan,
    limits: &[&Limit],
    standings: &[(u32, Standing)],
) -> Vec<u8> {
    let rows = (0_u32..).zip(limits).filter_map(|(place, limit)| {
        let (_, standing) = standings.iter().find(|(of, _)| *of == place)?;
        (!limit.shadow).then(|| Row::new(&limit.id, limit, standing))
    });
    write(&Page {
        consumer: &consumer.name,
        plan: &plan.name,
        limits: rows.collect(),
        credits: None,
        more: None,
    })
}

/// The page of a consumer for an operator.
pub(crate) fn operators_page(plan: &Plan, done: &Done<'_>) -> Vec<u8> {
    write(&Page {
        consumer: &done.consumer.name,
        plan: &plan.name,
        limits: rows(done).collect(),
        credits: Some(done.said.credits.iter().map(CreditRow::new).collect()),
        more: Some(done.more).filter(|more| *more > 0),
    })
}

/// What an operator is told of a credit that was booked.
pub(crate) fn credit_page(note: &Note, done: &Done<'_>) -> Vec<u8> {
    write(&CreditPage {
        credit: note,
        now: rows(done).next(),
    })
}

fn rows<'a>(done: &'a Done<'_>) -> impl Iterator<Item = Row<'a>> {
    let counts = done.counts.iter().zip(&done.said.standings);
    counts.map(|(count, standing)| Row::new(&count.id, count.limit, standing))
}

fn write(page: &impl Serialize) -> Vec<u8> {
    // Strings and numbers always serialize.
    serde_json::to_vec(page).unwrap_or_default()
}
