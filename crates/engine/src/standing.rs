//! What a caller sees of its own limits: `GET /_turnpike/limits`.

use serde::Serialize;
use turnpike_policy::{Consumer, LimitKind, Plan, Unit};

use crate::meter::Standing;

#[derive(Serialize)]
struct Page<'a> {
    consumer: &'a str,
    plan: &'a str,
    limits: Vec<Row<'a>>,
}

#[derive(Serialize)]
struct Row<'a> {
    name: &'a str,
    /// `rate`, `quota`, `tokens`, `spend` or `concurrency`, as in the policy.
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
}

/// The page, as JSON. What is counted for single APIs, operations, models and upstreams is not among it: calls
/// of these say how they stand.
pub(crate) fn page(consumer: &Consumer, plan: &Plan, standings: &[(u32, Standing)]) -> Vec<u8> {
    let named = (0_u32..).zip(&plan.limits).filter_map(|(place, limit)| {
        let (_, standing) = standings.iter().find(|(of, _)| *of == place)?;
        (!limit.shadow).then_some((limit, standing))
    });
    let rows = named.map(|(limit, standing)| {
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
        Row {
            name: &limit.id,
            kind,
            unit,
            limit: standing.limit,
            remaining: standing.remaining,
            window_seconds: seconds(standing.window_ms),
            reset_seconds: seconds(standing.reset_ms),
        }
    });
    let page = Page {
        consumer: &consumer.name,
        plan: &plan.name,
        limits: rows.collect(),
    };
    // Strings and numbers always serialize.
    serde_json::to_vec(&page).unwrap_or_default()
}
