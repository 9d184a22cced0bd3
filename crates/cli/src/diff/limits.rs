//! Limits: which of them was which, and what each allows more or less.

use std::cmp::Ordering;

use turnpike_policy::{Limit, LimitKind, Precision, Rate, SubjectPart};

use super::change::{Changes, Class};
use crate::words;

/// What has been told already of the place where limits stand.
#[derive(Clone, Copy, Default)]
pub(super) struct Told {
    /// That it is another place, where all is counted anew.
    pub(super) elsewhere: bool,
    /// How exactly limits were kept there that do not say it themselves, and how exactly they are.
    pub(super) precision: Option<(Precision, Precision)>,
}

/// Compares the limits of one place.
pub(super) fn limits((was, is): (&[Limit], &[Limit]), told: Told, changes: &mut Changes) {
    let named = |limit: &Limit| match &*limit.subject {
        [SubjectPart::Consumer] => words::limit(limit),
        _ => format!("{} for each {}", words::limit(limit), words::subject(limit)),
    };
    // One in the shadow holds nobody back.
    let class = |limit: &Limit, class| if limit.shadow { Class::Safe } else { class };
    for pair in paired(was, is) {
        match pair {
            (Some(old), Some(new)) => limit(old, new, told, &named, changes),
            (None, Some(new)) => changes.add(
                class(new, Class::Tightening),
                &new.origin,
                format!("limit {} is added", named(new)),
            ),
            (Some(old), None) => changes.add(
                class(old, Class::Loosening),
                &old.origin,
                format!("limit {} is removed", named(old)),
            ),
            (None, None) => {}
        }
    }
}

/// Limits before and after: those of a name, else those that say the same, else those of a kind, each once. So a
/// limit that has none left to be paired with is one that is removed or added, however many of its kind there are.
fn paired<'l>(was: &'l [Limit], is: &'l [Limit]) -> Vec<(Option<&'l Limit>, Option<&'l Limit>)> {
    let (mut old, mut new): (Vec<_>, Vec<_>) = (was.iter().collect(), is.iter().collect());
    let mut pairs = Vec::new();
    let likenesses: [fn(&Limit, &Limit) -> bool; 3] = [
        |old, new| old.id == new.id,
        |old, new| old.kind == new.kind,
        |_, _| true,
    ];
    for alike in likenesses {
        old.retain(|old| {
            let same = |new: &&Limit| alike(old, new) && kind(old) == kind(new);
            let found = new.iter().position(same).map(|at| new.remove(at));
            if let Some(new) = found {
                pairs.push((Some(*old), Some(new)));
            }
            found.is_none()
        });
    }
    pairs.extend(old.into_iter().map(|old| (Some(old), None)));
    pairs.extend(new.into_iter().map(|new| (None, Some(new))));
    pairs
}

/// What a limit counts, with its numbers left out: limits of a kind allow more or less of the same. Rates are of a
/// kind over the same period, quotas in the same window.
fn kind(limit: &Limit) -> String {
    let what = match &limit.kind {
        LimitKind::Rate(rate) => format!(
            "rate {} {:?} {:?} {}",
            rate.period, limit.zone, limit.models, limit.shadow
        ),
        _ => words::limit(&Limit {
            split: None,
            ..limit.clone()
        })
        .trim_start_matches(|c: char| c.is_ascii_digit() || c == '.')
        .to_owned(),
    };
    format!("{what} {:?}", limit.subject)
}

/// A limit, and what it was.
fn limit(was: &Limit, is: &Limit, told: Told, named: &impl Fn(&Limit) -> String, changes: &mut Changes) {
    // What it counts, and when, makes it of its kind: see `kind`.
    let Limit {
        id,
        kind,
        zone: _,
        subject: _,
        models: _,
        precision,
        split,
        shadow: _,
        origin,
    } = is;
    match (&was.kind, kind) {
        (LimitKind::Rate(was), LimitKind::Rate(is)) => rate(changes, origin, "limit", was, is),
        (old, new) if old != new => {
            let class = if count(new) > count(old) {
                Class::Loosening
            } else {
                Class::Tightening
            };
            changes.add(class, origin, format!("limit: {} → {}", named(was), named(is)));
        }
        _ => {}
    }
    if was.split != *split {
        let said = "lies in other objects now: what was used may count anew";
        changes.add(Class::Risky, origin, format!("limit {} {said}", named(is)));
    }
    if was.id != *id && !told.elsewhere {
        let said = format!(
            "is counted as `{id}`, no more as `{}`: what was used is counted anew",
            was.id
        );
        changes.add(Class::Risky, origin, format!("limit {} {said}", named(is)));
    }
    if was.precision != *precision && told.precision != Some((was.precision, *precision)) {
        let said = format!("is kept {} now", exactness(*precision));
        let class = precise(was.precision, *precision);
        changes.add(class, origin, format!("limit {} {said}", named(is)));
    }
}

/// How much a limit allows, in its unit.
const fn count(kind: &LimitKind) -> u64 {
    match kind {
        LimitKind::Rate(rate) => rate.count as u64,
        LimitKind::Quota { count, .. } | LimitKind::Budget { count, .. } => *count,
        LimitKind::Concurrency { count } => *count as u64,
    }
}

/// As policies call it.
pub(super) const fn exactness(precision: Precision) -> &'static str {
    match precision {
        Precision::Exact => "exact",
        Precision::Leased => "leased",
        Precision::Local => "local",
    }
}

/// What it means that limits are kept more or less exactly: only `local` may let more pass than they say.
pub(super) const fn precise(was: Precision, is: Precision) -> Class {
    match (was, is) {
        (_, Precision::Local) => Class::Loosening,
        (Precision::Local, _) => Class::Tightening,
        _ => Class::Safe,
    }
}

/// A rate, and what it was.
pub(super) fn rate(changes: &mut Changes, origin: &str, what: &str, was: &Rate, is: &Rate) {
    if was == is {
        return;
    }
    // So many a day, to compare rates over different periods.
    let speed = |rate: &Rate| u128::from(rate.count) * 86_400_000 / u128::from(rate.period.max(1));
    let class = match (speed(is).cmp(&speed(was)), is.burst.cmp(&was.burst)) {
        (Ordering::Greater, _) | (_, Ordering::Greater) => Class::Loosening,
        _ => Class::Tightening,
    };
    changes.add(
        class,
        origin,
        format!("{what}: {} → {}", words::rate(was), words::rate(is)),
    );
}
