//! `plans/<name>.yaml`, and the limits that plans, APIs and models share.

use std::collections::BTreeMap;

use super::compile::Checker;
use super::containers::List;
use super::declare::{choice, record};
use super::diagnostic::{Code, Span};
use super::gateway::rate_of;
use super::reader::Spanned;
use super::scalars::{Name, Number, PerPeriod, PerWindow};
use super::secrets::quote;
use crate::{Limit, LimitKind, OnError, Precision, Window};

record! {
    /// What a consumer may spend. Every consumer has one plan.
    PlanFile = "plan" {
        /// Its name, as the file is called.
        plan: required Name,
        /// All of these hold at once.
        limits: required List<LimitFields>,
        /// `exact`: never more than the limit, at the cost of a round trip. `local`: counted by each
        /// isolate for itself, so in all more may pass; for rates only.
        precision: default "exact" Precision,
        /// What a limiter that cannot be reached means: refuse (`closed`), or let pass and say so in
        /// the log (`open`).
        on_error: default "closed" OnError,
    }
    later { budgets }
}

record! {
    /// One limit: a `rate` or a `quota`.
    LimitFields = "limit" {
        /// Requests in a period, by GCRA: in any interval as long as `n` periods, at most `burst`
        /// plus `n` times the count pass.
        rate: optional PerPeriod,
        /// How many may come at one instant; left out: as many as the rate counts.
        burst: optional Number<1, 1_000_000_000>,
        /// Requests in a calendar window in UTC, exactly.
        quota: optional PerWindow,
        /// Its name, if the one that is made from its values will not do. What was spent is kept
        /// under this name, so a limit whose name changes starts anew.
        id: optional Name,
    }
    later { concurrency, spend, subject, tokens }
}

choice!(Precision: "exact" => Self::Exact, "local" => Self::Local; later "leased");
choice!(OnError: "closed" => Self::Closed, "open" => Self::Open);

/// Checks a plan.
pub(crate) fn compile(name: &str, plan: &Spanned<PlanFile>, checker: &mut Checker) -> Option<crate::Plan> {
    let limits = plan.limits.as_ref().map(|list| {
        if checker.lacks_items(list) {
            checker
                .report()
                .error(Code::EmptyList, list.span, "a plan must have a limit")
                .help("for example `- rate: 600/min`");
        }
        limits(list, name, checker)
    });
    if plan
        .precision
        .as_ref()
        .is_some_and(|precision| precision.value == Precision::Local)
    {
        let quota = plan
            .limits
            .iter()
            .flat_map(|list| &list.0)
            .find_map(|limit| limit.quota.as_ref());
        if let Some(quota) = quota {
            checker
                .report()
                .error(
                    Code::Conflict,
                    quota.span,
                    "a quota is kept exactly, and `precision: local` is not exact",
                )
                .help("write `precision: exact`");
        }
    }
    Some(crate::Plan {
        name: name.to_owned(),
        limits: limits?,
        precision: plan.precision.as_ref()?.value,
        on_error: plan.on_error.as_ref()?.value,
    })
}

/// Checks a list of limits; `prefix` is what their names begin with.
pub(crate) fn limits(list: &List<LimitFields>, prefix: &str, checker: &mut Checker) -> Vec<Limit> {
    let mut limits: BTreeMap<String, (Limit, Span)> = BTreeMap::new();
    for item in &list.0 {
        let Some(kind) = kind(item, checker) else { continue };
        let own = item.id.as_ref().map(|id| id.0.clone());
        let id = format!("{prefix}:{}", own.unwrap_or_else(|| default_id(kind)));
        if let Some((_, first)) = limits.get(&id) {
            checker
                .report()
                .error(
                    Code::Repeated,
                    item.span,
                    format!("there is a limit {} already", quote(&id)),
                )
                .help("remove one, or give each an `id` of its own")
                .label(*first, "the other one");
            continue;
        }
        let origin = checker.report().origin(item.span);
        limits.insert(id.clone(), (Limit { id, kind, origin }, item.span));
    }
    limits.into_values().map(|(limit, _)| limit).collect()
}

fn kind(item: &Spanned<LimitFields>, checker: &mut Checker) -> Option<LimitKind> {
    let burst = item.burst.as_ref().map(|burst| burst.0);
    match (&item.rate, &item.quota) {
        (Some(rate), None) => rate_of(Some(rate), burst).map(LimitKind::Rate),
        (None, Some(quota)) => {
            if let Some(burst) = &item.burst {
                checker
                    .report()
                    .error(Code::Conflict, burst.span, "only a rate has a burst")
                    .help("remove `burst`, or write a `rate` in an item of its own")
                    .label(quota.span, "this is a quota");
            }
            let (count, window) = quota.0;
            Some(LimitKind::Quota { count, window })
        }
        (Some(rate), Some(quota)) => {
            checker
                .report()
                .error(
                    Code::Conflict,
                    quota.span,
                    "one limit is a `rate` or a `quota`, not both",
                )
                .label(rate.span, "the rate is here")
                .help("make it two items: all limits of a plan hold at once");
            None
        }
        (None, None) => {
            // A wrong or unbuilt field was reported where it stands.
            if !checker.reader.reported_within(item.span) {
                checker
                    .report()
                    .error(Code::MissingField, item.span, "a limit has a `rate` or a `quota`")
                    .help("write for example `rate: 10/s` or `quota: 1000/day`");
            }
            None
        }
    }
}

fn default_id(kind: LimitKind) -> String {
    match kind {
        LimitKind::Rate(rate) if rate.period.is_multiple_of(1000) => {
            format!("rate-{}-{}s", rate.count, rate.period / 1000)
        }
        LimitKind::Rate(rate) => format!("rate-{}-{}ms", rate.count, rate.period),
        LimitKind::Quota { count, window } => {
            let window = match window {
                Window::Minute => "min",
                Window::Hour => "h",
                Window::Day => "day",
                Window::Month => "month",
            };
            format!("quota-{count}-{window}")
        }
    }
}
