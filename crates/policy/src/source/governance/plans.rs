//! Plans: whether their limits bind, and what happens when nobody can be asked.

use std::collections::BTreeMap;

use super::super::diagnostic::Code;
use super::super::limits::{LimitFields, WindowKind};
use super::super::reader::Spanned;
use super::super::secrets::quote;
use super::Judge;
use crate::{Millis, OnError, Precision, Window};

pub(super) fn judge(judge: &mut Judge<'_>) {
    let mut alike: BTreeMap<Vec<String>, (&str, super::super::diagnostic::Span)> = BTreeMap::new();
    let compiled: BTreeMap<&str, &crate::Plan> = judge
        .subject
        .compiled
        .plans
        .iter()
        .map(|plan| (plan.name.as_str(), plan))
        .collect();
    for (name, plan) in &judge.subject.known.plans.here {
        if let Some(open) = plan
            .on_error
            .as_ref()
            .filter(|field| field.value == OnError::Open)
        {
            judge
                .say(
                    Code::FailsOpen,
                    open.span,
                    format!(
                        "{} lets requests pass while its limits cannot be asked",
                        quote(name)
                    ),
                )
                .help("write `on_error: closed`");
        }
        if let Some(local) = plan
            .precision
            .as_ref()
            .filter(|field| field.value == Precision::Local)
        {
            judge
                .say(
                    Code::Inexact,
                    local.span,
                    format!("{} is counted by each isolate for itself", quote(name)),
                )
                .help("write `precision: exact` where a limit must be one");
        }
        let Some(limits) = &plan.limits else { continue };
        idle(&limits.0, judge);
        let compiled = compiled.get(name.as_str()).copied();
        let mut kinds: Vec<String> = compiled
            .into_iter()
            .flat_map(|plan| &plan.limits)
            .map(|limit| {
                format!(
                    "{:?} {:?} {:?} {}",
                    limit.kind, limit.subject, limit.models, limit.shadow
                )
            })
            .collect();
        kinds.sort();
        kinds.extend(compiled.map(|plan| format!("{:?} {:?}", plan.precision, plan.on_error)));
        let at = plan.plan.as_ref().map_or(plan.span, |field| field.span);
        if kinds.len() < 2 {
            continue;
        }
        let (other, other_at) = *alike.entry(kinds).or_insert((name, at));
        if other != name {
            judge
                .say(
                    Code::TwinPlans,
                    at,
                    format!("{} and {} have the same limits", quote(other), quote(name)),
                )
                .label(other_at, "the other one")
                .help("keep one of them");
        }
    }
    for (_, api) in &judge.subject.known.apis.here {
        idle(
            api.limits
                .as_ref()
                .map(|list| list.0.as_slice())
                .unwrap_or_default(),
            judge,
        );
    }
    for (_, model) in &judge.subject.known.models.here {
        idle(
            model
                .limits
                .as_ref()
                .map(|list| list.0.as_slice())
                .unwrap_or_default(),
            judge,
        );
    }
}

/// The shortest that a window can be.
const fn shortest(window: Window) -> Millis {
    const DAY: Millis = 24 * 60 * 60 * 1000;
    match window {
        Window::Minute => 60 * 1000,
        Window::Hour => 60 * 60 * 1000,
        Window::Day => DAY,
        // Clocks are set forward on one.
        Window::DayAt(_) => DAY - 2 * 60 * 60 * 1000,
        Window::Month | Window::MonthAt(_) => 28 * DAY - 2 * 60 * 60 * 1000,
        Window::Rolling(length) => length,
    }
}

/// The longest that it can be.
const fn longest(window: Window) -> Millis {
    match window {
        Window::Month | Window::MonthAt(_) => shortest(Window::Day) * 32,
        Window::DayAt(_) => shortest(Window::Day) * 2,
        other => shortest(other),
    }
}

/// Names limits that another one keeps from ever being reached.
fn idle(limits: &[Spanned<LimitFields>], judge: &mut Judge<'_>) {
    // Few enough to be compared with one another, however many somebody writes.
    for (place, item) in limits.iter().enumerate().take(MOST) {
        let stricter = limits.iter().enumerate().take(MOST).find(|(other_place, other)| {
            *other_place != place && implies(other, item) && !(implies(item, other) && *other_place > place)
        });
        if let Some((_, stricter)) = stricter {
            judge
                .say(Code::IdleLimit, item.span, "this limit is never reached")
                .label(stricter.span, "this one is reached before")
                .help("remove one of them, or make this one smaller");
        }
    }
}

const MOST: usize = 64;

/// Whether whatever passes the first limit also passes the second.
fn implies(first: &LimitFields, second: &LimitFields) -> bool {
    let subject = |limit: &LimitFields| limit.subject.as_ref().map(|subject| subject.value.clone());
    let plain = |limit: &LimitFields| {
        limit.zone.is_none()
            && limit
                .window
                .as_ref()
                .is_none_or(|window| window.value == WindowKind::Calendar)
    };
    let shadow = first.shadow.as_ref().is_none_or(|shadow| shadow.0);
    let some = first.models.as_ref().is_none_or(|models| !models.0.is_empty());
    if shadow || some || subject(first) != subject(second) || !plain(first) || !plain(second) {
        return false;
    }
    let rate = |limit: &LimitFields| {
        let (count, period) = limit.rate.as_ref()?.0;
        let burst = limit.burst.as_ref().map_or(count, |burst| burst.0);
        Some((u128::from(count), u128::from(period), u128::from(burst)))
    };
    if let (Some((count, period, burst)), Some((other, other_period, other_burst))) =
        (rate(first), rate(second))
    {
        return burst <= other_burst && count * other_period <= other * period;
    }
    if let (Some((count, period, burst)), Some(quota)) = (rate(first), &second.quota) {
        let (most, window) = quota.0;
        return burst + count * u128::from(longest(window)) / period <= u128::from(most);
    }
    match (&first.quota, &second.quota) {
        (Some(first), Some(second)) => {
            let ((count, window), (other, other_window)) = (first.0, second.0);
            // As many short windows as touch the long one.
            let touched = u128::from(longest(other_window)) / u128::from(shortest(window)) + 1;
            let touched = if window == other_window { 1 } else { touched };
            u128::from(count) * touched <= u128::from(other)
        }
        _ => false,
    }
}
