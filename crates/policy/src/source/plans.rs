//! `plans/<name>.yaml`: what a consumer may spend.

use super::compile::Checker;
use super::containers::List;
use super::declare::{choice, record};
use super::diagnostic::Code;
use super::exceptions::ExceptionRule;
use super::limits::{self, LimitFields};
use super::reader::Spanned;
use super::scalars::Name;
use crate::{OnError, Precision, Timestamp};

record! {
    /// What a consumer may spend. Every consumer has one plan.
    PlanFile = "plan" {
        /// Its name, as the file is called.
        plan: required Name,
        /// All of these hold at once.
        limits: required List<LimitFields>,
        /// `exact`: never more than the limit, at the cost of a round trip. `leased`: never more either;
        /// isolates take portions in advance, so most requests make no round trip, and some of a burst may
        /// be refused while portions are out; for rates and quotas of the calendar, never for budgets.
        /// `local`: approximate, as each isolate counts for itself, so in all more may pass; for rates only.
        precision: default "exact" Precision,
        /// What a limiter that cannot be reached means: refuse (`closed`), or let pass and say so in
        /// the log (`open`).
        on_error: default "closed" OnError,
    }
    later { budgets }
}

choice!(Precision: "exact" => Self::Exact, "leased" => Self::Leased, "local" => Self::Local);
choice!(OnError: "closed" => Self::Closed, "open" => Self::Open);

/// Checks a plan.
pub(crate) fn compile(name: &str, plan: &Spanned<PlanFile>, checker: &mut Checker) -> Option<crate::Plan> {
    let limits = plan.limits.as_ref().map(|list| {
        if checker.lacks_items(list) {
            checker
                .report()
                .error(Code::EmptyList, list.span, "a plan must have a limit")
                .help("for example `- rate: 600/min`");
        } else if limits::hold_nobody_back(list) {
            checker
                .report()
                .error(
                    Code::EmptyList,
                    list.span,
                    "all limits of this plan are in the shadow",
                )
                .help("a plan must have one that holds: take `shadow: true` away from it");
        }
        // One that cannot be read was reported.
        let precision = plan
            .precision
            .as_ref()
            .map_or(Precision::Exact, |precision| precision.value);
        limits::of(list, name, precision, checker)
    });
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
