//! Models, where they run, and their mocks.

use turnpike_policy::{Compiled, Model, State};

use super::change::{Changes, Class};
use super::gateway::{limits, pairs};
use crate::words;

pub(super) fn compare(was: &Compiled, is: &Compiled, environment: &str, changes: &mut Changes) {
    for (name, old, new) in pairs(&was.models, &is.models, |model| model.name.clone()) {
        changes.begin(format!("model {name}"), environment);
        match (old, new) {
            (Some(old), Some(new)) => model((was, old), (is, new), changes),
            (None, Some(new)) => changes.add(Class::Safe, &new.origin, "is new"),
            (Some(old), None) => {
                let class = match old.lifecycle.state {
                    State::Retired => Class::Safe,
                    State::Preview => Class::Risky,
                    State::Active | State::Deprecated => Class::Breaking,
                };
                changes.add(class, &old.origin, "is gone");
            }
            (None, None) => {}
        }
    }
    for (name, old, new) in pairs(&was.providers, &is.providers, |provider| provider.name.clone()) {
        changes.begin(format!("provider {name}"), environment);
        match (old, new) {
            (Some(old), Some(new)) if old.kind != new.kind => {
                changes.add(Class::Risky, &new.origin, "is reached in another way");
            }
            (None, Some(new)) => changes.add(Class::Safe, &new.origin, "is new"),
            (Some(old), None) => changes.add(Class::Safe, &old.origin, "is gone"),
            _ => {}
        }
    }
    for (name, old, new) in pairs(&was.mocks, &is.mocks, |mock| mock.name.clone()) {
        changes.begin(format!("mock {name}"), environment);
        if old.is_some() && new.is_some() && old != new {
            changes.add(Class::Safe, "", "answers otherwise");
        }
    }
    changes.begin("gateway", environment);
    changes.list(
        "",
        "secret",
        (&was.secrets, &is.secrets),
        (Class::Risky, Class::Safe),
    );
}

fn model((was, old): (&Compiled, &Model), (is, new): (&Compiled, &Model), changes: &mut Changes) {
    let origin = &new.origin;
    changes.value(
        Class::Safe,
        origin,
        "owner",
        (&old.owner, &new.owner),
        Clone::clone,
    );
    if old.lifecycle.state != new.lifecycle.state {
        let class = match new.lifecycle.state {
            State::Retired => Class::Breaking,
            State::Preview => Class::Risky,
            State::Active | State::Deprecated => Class::Safe,
        };
        let (was, is) = (
            words::state(old.lifecycle.state),
            words::state(new.lifecycle.state),
        );
        changes.add(class, origin, format!("state: {was} → {is}"));
    }
    routing((was, old), (is, new), changes);
    changes.value(Class::Risky, origin, "retry", (&old.retry, &new.retry), |retry| {
        format!("{} for {}", retry.attempts, words::reasons(&retry.on))
    });
    changes.value(
        Class::Risky,
        origin,
        "timeouts",
        (&old.timeouts, &new.timeouts),
        |timeouts| {
            let of = words::duration;
            format!(
                "{}/{}/{}",
                of(timeouts.first),
                of(timeouts.idle),
                of(timeouts.total)
            )
        },
    );
    changes.value(
        Class::Risky,
        origin,
        "stream commit",
        (&old.commit, &new.commit),
        |commit| format!("{commit:?}"),
    );
    changes.bound(origin, "max_body", (old.max_body, new.max_body), words::size);
    changes.value(
        Class::Risky,
        origin,
        "max_media_tokens",
        (&old.max_media_tokens, &new.max_media_tokens),
        u32::to_string,
    );
    let output = |model: &Model| model.max_output_tokens.map_or(u64::MAX, u64::from);
    changes.bound(
        origin,
        "max_output_tokens",
        (output(old), output(new)),
        |tokens| {
            if tokens == u64::MAX {
                "any".to_owned()
            } else {
                tokens.to_string()
            }
        },
    );
    limits(&old.limits, &new.limits, changes);
}

/// Where calls go, and at what price.
fn routing((was, old): (&Compiled, &Model), (is, new): (&Compiled, &Model), changes: &mut Changes) {
    let origin = &new.origin;
    let shares = |compiled: &Compiled, model: &Model| -> String {
        let all: Vec<_> = model
            .targets
            .iter()
            .map(|target| format!("{} ×{}", words::target(compiled, target), target.weight))
            .collect();
        all.join(", ")
    };
    changes.value(
        Class::Risky,
        origin,
        "targets",
        (&shares(was, old), &shares(is, new)),
        Clone::clone,
    );
    let fallback = |compiled: &Compiled, model: &Model| -> String {
        let all: Vec<_> = model
            .fallback
            .iter()
            .map(|target| words::target(compiled, target))
            .collect();
        words::or_none(all.join(", "))
    };
    changes.value(
        Class::Risky,
        origin,
        "fallback",
        (&fallback(was, old), &fallback(is, new)),
        Clone::clone,
    );
    changes.value(
        Class::Risky,
        origin,
        "prices",
        (&prices(was, old), &prices(is, new)),
        Clone::clone,
    );
}

/// What the targets of a model cost.
fn prices(compiled: &Compiled, model: &Model) -> String {
    let all: Vec<_> = model
        .targets
        .iter()
        .chain(&model.fallback)
        .map(|target| {
            let price = target.price.as_ref().map_or_else(
                || "none".to_owned(),
                |price| {
                    let usd = words::usd;
                    format!(
                        "{}/{}/{}/{} USD",
                        usd(price.input),
                        usd(price.cached_input),
                        usd(price.cache_write),
                        usd(price.output)
                    )
                },
            );
            format!("{} {price}", words::target(compiled, target))
        })
        .collect();
    all.join(", ")
}
