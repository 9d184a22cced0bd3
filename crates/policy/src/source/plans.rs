//! `plans/<name>.yaml`, and the limits that plans, APIs and models share.

use std::collections::BTreeMap;

use super::compile::Checker;
use super::containers::List;
use super::declare::{choice, record};
use super::diagnostic::{Code, Span};
use super::exceptions::ExceptionRule;
use super::gateway::rate_of;
use super::reader::Spanned;
use super::scalars::{MoneyPerWindow, Name, Number, PerPeriod, PerWindow};
use super::secrets::quote;
use crate::{Limit, LimitKind, OnError, Precision, Timestamp, Unit, Window};

/// The longest name of a limit, in bytes: what objects keep.
const MAX_LIMIT_ID: usize = 128;
/// The most limits of a plan, an API or a model: those of two together are asked in one question, of at most 32.
const MAX_LIMITS: usize = 16;

record! {
    /// What a consumer may spend. Every consumer has one plan.
    PlanFile = "plan" {
        /// Its name, as the file is called.
        plan: required Name,
        /// All of these hold at once.
        limits: required List<LimitFields>,
        /// `exact`: never more than the limit, at the cost of a round trip. `leased`: never more either;
        /// isolates take portions in advance, so most requests make no round trip, and some of a burst may
        /// be refused while portions are out; for rates and quotas. `local`: counted by each isolate for
        /// itself, so in all more may pass; for rates only.
        precision: default "exact" Precision,
        /// What a limiter that cannot be reached means: refuse (`closed`), or let pass and say so in
        /// the log (`open`).
        on_error: default "closed" OnError,
    }
    later { budgets }
}

record! {
    /// One limit: a `rate`, a `quota`, `tokens`, a `spend` or a `concurrency`.
    LimitFields = "limit" {
        /// Requests in a period, by GCRA: in any interval as long as `n` periods, at most `burst`
        /// plus `n` times the count pass.
        rate: optional PerPeriod,
        /// How many may come at one instant; left out: as many as the rate counts.
        burst: optional Number<1, 1_000_000_000>,
        /// Requests in a calendar window in UTC, exactly.
        quota: optional PerWindow,
        /// Tokens of models in a calendar window in UTC, as the providers count them. Reserved at their
        /// upper bound before a call, and settled at what was used.
        tokens: optional PerWindow,
        /// Which tokens count: `all`, `input` or `output`.
        of: optional CountedTokens,
        /// Money in a calendar window in UTC, by the prices of the targets. Reserved and settled like
        /// tokens.
        spend: optional MoneyPerWindow,
        /// Requests at one time, each until its last byte.
        concurrency: optional Number<1, 1_000>,
        /// Its name, if the one that is made from its values will not do. What was spent is kept
        /// under this name, so a limit whose name changes starts anew.
        id: optional Name,
    }
    later { models, precision, shadow, subject }
}

/// Which tokens count.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct CountedTokens(Unit);

choice!(Precision: "exact" => Self::Exact, "leased" => Self::Leased, "local" => Self::Local);
choice!(CountedTokens: "all" => Self(Unit::Tokens), "input" => Self(Unit::InputTokens),
    "output" => Self(Unit::OutputTokens));
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
    let precision = plan.precision.as_ref().map(|precision| precision.value);
    let kept_so = |what: &str| match precision {
        Some(Precision::Local) => what == "rate",
        Some(Precision::Leased) => matches!(what, "rate" | "quota"),
        _ => true,
    };
    let other = plan
        .limits
        .iter()
        .flat_map(|list| &list.0)
        .find_map(|limit| limit.written().find(|(what, _)| !kept_so(what)));
    if let Some((what, at)) = other {
        let (word, why) = match precision {
            Some(Precision::Leased) => ("leased", "cannot be handed out in advance"),
            _ => ("local", "is kept exactly"),
        };
        checker
            .report()
            .error(
                Code::Conflict,
                at,
                format!("`{what}` {why}, and the plan says `precision: {word}`"),
            )
            .help("write `precision: exact`");
    }
    let open_until = open_until(name, plan, checker);
    Some(crate::Plan {
        name: name.to_owned(),
        limits: limits?,
        precision: plan.precision.as_ref()?.value,
        on_error: plan.on_error.as_ref()?.value,
        open_until,
    })
}

/// Until when a plan may let pass what cannot be checked, where it counts something that would be missing
/// afterwards.
fn open_until(name: &str, plan: &PlanFile, checker: &mut Checker) -> Option<Timestamp> {
    let on_error = plan
        .on_error
        .as_ref()
        .filter(|on_error| on_error.value == OnError::Open)?;
    let (what, at) = plan.limits.iter().flat_map(|list| &list.0).find_map(|limit| {
        limit
            .written()
            .find(|(what, _)| !matches!(*what, "rate" | "concurrency"))
    })?;
    let target = format!("plans/{name}");
    let excepted = checker.excepted(ExceptionRule::OnError, &target);
    if excepted.is_none() {
        checker
            .report()
            .error(
                Code::OpenBudget,
                on_error.span,
                format!("`on_error: open` lets pass what `{what}` cannot be checked for"),
            )
            .label(at, format!("`{what}` is here"))
            .help(format!("write `on_error: closed`, or an exception `{{ rule: on_error, for: {target}, reason: ..., until: ... }}` in `gateway.yaml`"));
    }
    excepted
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
        if id.len() > MAX_LIMIT_ID {
            let at = item.id.as_ref().map_or(item.span, |own| own.span);
            checker
                .report()
                .error(
                    Code::OutOfRange,
                    at,
                    format!(
                        "the name of this limit, {}, is longer than {MAX_LIMIT_ID} bytes",
                        quote(&id)
                    ),
                )
                .help("write a shorter `id`, or give what it stands in a shorter name");
            continue;
        }
        let origin = checker.report().origin(item.span);
        limits.insert(id.clone(), (Limit { id, kind, origin }, item.span));
    }
    if let Some(more) = list.0.get(MAX_LIMITS) {
        checker
            .report()
            .error(
                Code::OutOfRange,
                more.span,
                format!("this is one limit more than {MAX_LIMITS}, which may stand in one place"),
            )
            .help("all of them are asked for with every request: keep those that matter");
    }
    limits.into_values().map(|(limit, _)| limit).collect()
}

impl LimitFields {
    /// What it limits, as written.
    fn written(&self) -> impl Iterator<Item = (&'static str, Span)> {
        [
            ("rate", self.rate.as_ref().map(|field| field.span)),
            ("quota", self.quota.as_ref().map(|field| field.span)),
            ("tokens", self.tokens.as_ref().map(|field| field.span)),
            ("spend", self.spend.as_ref().map(|field| field.span)),
            ("concurrency", self.concurrency.as_ref().map(|field| field.span)),
        ]
        .into_iter()
        .filter_map(|(what, span)| Some((what, span?)))
    }
}

fn kind(item: &Spanned<LimitFields>, checker: &mut Checker) -> Option<LimitKind> {
    let mut written = item.written();
    let Some((what, at)) = written.next() else {
        // A wrong or unbuilt field was reported where it stands.
        if !checker.reader.reported_within(item.span) {
            checker
                .report()
                .error(
                    Code::MissingField,
                    item.span,
                    "a limit has a `rate`, a `quota`, `tokens`, a `spend` or a `concurrency`",
                )
                .help("write for example `rate: 10/s` or `quota: 1000/day`");
        }
        return None;
    };
    if let Some((other, other_at)) = written.next() {
        checker
            .report()
            .error(
                Code::Conflict,
                other_at,
                format!("one limit is a `{what}` or a `{other}`, not both"),
            )
            .label(at, format!("`{what}` is here"))
            .help("make it two items: all limits of a plan hold at once");
        return None;
    }
    let burst = item.burst.as_ref();
    for (field, field_at, of) in [
        ("burst", burst.map(|field| field.span), "rate"),
        ("of", item.of.as_ref().map(|field| field.span), "tokens"),
    ] {
        if let Some(field_at) = field_at.filter(|_| what != of) {
            checker
                .report()
                .error(Code::Conflict, field_at, format!("only `{of}` has `{field}`"))
                .help(format!(
                    "remove `{field}`, or write a limit of `{of}` in an item of its own"
                ))
                .label(at, format!("this is `{what}`"));
        }
    }
    let budget = |(count, window): (u64, Window), unit| LimitKind::Budget { count, window, unit };
    if let Some(rate) = &item.rate {
        return rate_of(Some(rate), burst.map(|burst| burst.0)).map(LimitKind::Rate);
    }
    let of = item.of.as_ref().map_or(Unit::Tokens, |of| of.value.0);
    let quota = item.quota.as_ref().map(|quota| {
        let (count, window) = quota.0;
        LimitKind::Quota { count, window }
    });
    quota
        .or_else(|| item.tokens.as_ref().map(|tokens| budget(tokens.0, of)))
        .or_else(|| item.spend.as_ref().map(|spend| budget(spend.0, Unit::NanoUsd)))
        .or_else(|| {
            item.concurrency
                .as_ref()
                .map(|most| LimitKind::Concurrency { count: most.0 })
        })
}

fn default_id(kind: LimitKind) -> String {
    match kind {
        LimitKind::Rate(rate) if rate.period.is_multiple_of(1000) => {
            format!("rate-{}-{}s", rate.count, rate.period / 1000)
        }
        LimitKind::Rate(rate) => format!("rate-{}-{}ms", rate.count, rate.period),
        LimitKind::Quota { count, window } => format!("quota-{count}-{}", window_name(window)),
        // What is counted is the name, not how much of it: a budget that is raised goes on counting.
        LimitKind::Budget { window, unit, .. } => {
            let what = match unit {
                Unit::Tokens => "tokens",
                Unit::InputTokens => "input-tokens",
                Unit::OutputTokens => "output-tokens",
                Unit::NanoUsd => "spend",
            };
            format!("{what}-{}", window_name(window))
        }
        LimitKind::Concurrency { .. } => "concurrency".to_owned(),
    }
}

const fn window_name(window: Window) -> &'static str {
    match window {
        Window::Minute => "min",
        Window::Hour => "h",
        Window::Day => "day",
        Window::Month => "month",
    }
}
