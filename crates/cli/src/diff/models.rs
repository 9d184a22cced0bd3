//! Models, where they run, and their mocks.

use std::collections::{BTreeMap, BTreeSet};

use turnpike_policy::{
    Commit, Compiled, LongPrice, Model, OutputCap, Price, Provider, ProviderKind, Retry, State, Target,
    Timestamp,
};

use super::apis::{asked_until, dates};
use super::change::{Changes, Class};
use super::gateway::pairs;
use super::limits::{Told, limits};
use super::place::Places;
use crate::lines::Lines;
use crate::words;

pub(super) fn compare(
    was: &Compiled,
    is: &Compiled,
    now: Timestamp,
    environment: &str,
    places: &Places,
    changes: &mut Changes,
) {
    for (name, old, new) in pairs(&was.models, &is.models, |model| model.name.clone()) {
        changes.begin(format!("model {name}"), environment);
        match (old, new) {
            (Some(old), Some(new)) => {
                let before = changes.told();
                model((was, old), (is, new), now, places, changes);
                changes.rest(before, &new.origin, "it", (&numbered(old, new), new));
            }
            (None, Some(new)) => changes.add(Class::Safe, &new.origin, "is new"),
            (Some(old), None) => {
                changes.add(ending(old, now), &old.origin, "is gone");
            }
            (None, None) => {}
        }
    }
    for (name, old, new) in pairs(&was.providers, &is.providers, |provider| provider.name.clone()) {
        changes.begin(format!("provider {name}"), environment);
        match (old, new) {
            (Some(old), Some(new)) => {
                let before = changes.told();
                self::provider(old, new, places, changes);
                changes.rest(before, &new.origin, "it", (old, new));
            }
            (None, Some(new)) => changes.add(Class::Safe, &new.origin, "is new"),
            (Some(old), None) => changes.add(Class::Safe, &old.origin, "is gone"),
            (None, None) => {}
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

/// A model as it was, its providers numbered as they are: their names are compared.
fn numbered(old: &Model, new: &Model) -> Model {
    let mut numbered = old.clone();
    let pairs = numbered.targets.iter_mut().zip(&new.targets);
    for (old, new) in pairs.chain(numbered.fallback.iter_mut().zip(&new.fallback)) {
        old.provider = new.provider;
    }
    numbered
}

/// What the end of a model means.
fn ending(model: &Model, now: Timestamp) -> Class {
    let over = model.lifecycle.sunset.is_some_and(|sunset| now >= sunset);
    match model.lifecycle.state {
        State::Retired => Class::Safe,
        _ if over => Class::Safe,
        State::Preview => Class::Risky,
        State::Active | State::Deprecated => Class::Breaking,
    }
}

fn model(
    (was, old): (&Compiled, &Model),
    (is, new): (&Compiled, &Model),
    now: Timestamp,
    places: &Places,
    changes: &mut Changes,
) {
    let Model {
        name: _,
        owner: _,
        lifecycle: _,
        targets: _,
        fallback: _,
        retry: Retry { attempts: _, on: _ },
        timeouts: _,
        commit: _,
        max_body: _,
        max_output_tokens: _,
        max_media_tokens: _,
        limits: new_limits,
        scopes: _,
        scopes_origin: _,
        rules: _,
        origin: _,
    } = new;
    let line = |path: &[&str]| places.now(&new.origin, |lines| lines.model(new, path));
    changes.value(
        Class::Safe,
        &line(&["owner"]),
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
        changes.add(class, &line(&["state"]), format!("state: {was} → {is}"));
    }
    let lifecycles = (&old.lifecycle, &new.lifecycle);
    dates(
        lifecycles,
        (now, ending(old, now)),
        |field| line(&[field]),
        changes,
    );
    routing((was, old), (is, new), places, changes);
    changes.value(
        Class::Risky,
        &line(&["retry", "attempts"]),
        "attempts on each target",
        (&old.retry.attempts, &new.retry.attempts),
        u32::to_string,
    );
    let reasons = |model: &Model| -> Vec<String> {
        let names = model.retry.on.iter().map(|reason| reason.name().to_owned());
        names.collect()
    };
    let both = (Class::Risky, Class::Risky);
    let lists = (reasons(old), reasons(new));
    changes.list(
        &line(&["retry", "on"]),
        "the reason for another try",
        (&lists.0, &lists.1),
        both,
    );
    changes.value(
        Class::Risky,
        &line(&["timeouts"]),
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
        &line(&["stream", "commit"]),
        "stream commit",
        (&old.commit, &new.commit),
        |commit| match commit {
            Commit::FirstToken => "first_token".to_owned(),
            Commit::Complete => "complete".to_owned(),
        },
    );
    bounds(old, new, &line, changes);
    asked_for(old, new, places, changes);
    limits((&old.limits, new_limits), Told::default(), changes);
}

/// How much a call may bring, and how much its answer may have.
fn bounds(old: &Model, new: &Model, line: &impl Fn(&[&str]) -> String, changes: &mut Changes) {
    changes.bound(
        &line(&["max_body"]),
        "max_body",
        (old.max_body, new.max_body),
        words::size,
    );
    changes.value(
        Class::Risky,
        &line(&["max_media_tokens"]),
        "max_media_tokens",
        (&old.max_media_tokens, &new.max_media_tokens),
        u32::to_string,
    );
    let output = |model: &Model| model.max_output_tokens.map_or(u64::MAX, u64::from);
    changes.bound(
        &line(&["max_output_tokens"]),
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
}

/// What a model asks of its callers beside their grants.
fn asked_for(old: &Model, new: &Model, places: &Places, changes: &mut Changes) {
    for scope in new.scopes.iter().filter(|scope| !old.scopes.contains(scope)) {
        let at = places.now(&new.scopes_origin, |lines| lines.scope_of_model(new, scope));
        changes.add(Class::Tightening, &at, format!("the scope `{scope}` is added"));
    }
    for scope in old.scopes.iter().filter(|scope| !new.scopes.contains(scope)) {
        let at = places.before(&old.scopes_origin, |lines| lines.scope_of_model(old, scope));
        changes.add(Class::Loosening, &at, format!("the scope `{scope}` is removed"));
    }
    changes.conditions("", (&old.rules, &new.rules));
}

/// How a provider is reached.
fn provider(was: &Provider, is: &Provider, places: &Places, changes: &mut Changes) {
    let Provider {
        name: _,
        kind: _,
        until,
        origin,
    } = is;
    asked_until((was.until, *until), origin, changes);
    let told = |provider: &Provider| match &provider.kind {
        ProviderKind::Mock => [
            "mock".to_owned(),
            "none".to_owned(),
            "none".to_owned(),
            "none".to_owned(),
        ],
        ProviderKind::OpenAi {
            base_url,
            credential,
            output_cap,
        } => [
            "openai".to_owned(),
            base_url.clone(),
            credential.as_ref().map_or_else(
                || "none".to_owned(),
                |sent| format!("{}: {}{}", sent.header, sent.prefix, words::sent(&sent.value)),
            ),
            match output_cap {
                OutputCap::MaxTokens => "max_tokens".to_owned(),
                OutputCap::MaxCompletionTokens => "max_completion_tokens".to_owned(),
            },
        ],
    };
    let (old, new) = (told(was), told(is));
    for (what, (old, new)) in ["wire", "base_url", "credential", "output_cap"]
        .into_iter()
        .zip(old.iter().zip(&new))
    {
        let field = if what == "credential" { "secret" } else { what };
        let at = places.now(&is.origin, |lines| lines.field(&is.origin, &[field]));
        changes.value(Class::Risky, &at, what, (old, new), Clone::clone);
    }
    let sent = |provider: &'_ Provider| match &provider.kind {
        ProviderKind::Mock => None,
        ProviderKind::OpenAi { credential, .. } => credential.clone(),
    };
    // Not all of a credential is shown.
    if old[2] == new[2] && sent(was) != sent(is) {
        changes.add(Class::Risky, &is.origin, "another credential is sent to it");
    }
}

/// Where calls go, and at what price.
fn routing(
    (was, old): (&Compiled, &Model),
    (is, new): (&Compiled, &Model),
    places: &Places,
    changes: &mut Changes,
) {
    let line = |field: &str, target: &str| places.now(&new.origin, |lines| lines.target(new, field, target));
    let named = |compiled: &Compiled, targets: &[Target]| -> Vec<(String, Target)> {
        let named = targets
            .iter()
            .map(|target| (words::target(compiled, target), target.clone()));
        named.collect()
    };
    let old_model = old;
    let targets = (named(was, &old.targets), named(is, &new.targets));
    for (name, old, new) in pairs(&targets.0, &targets.1, |(name, _)| name.clone()) {
        let weight = |target: &(String, Target)| target.1.weight;
        match (old.map(weight), new.map(weight)) {
            (Some(was), Some(is)) if was != is => {
                let what = format!("the weight of {name}: {was} → {is}");
                changes.add(Class::Risky, &line("targets", &name), what);
            }
            (None, Some(weight)) => {
                let what = format!("the target {name} ×{weight} is new");
                changes.add(Class::Risky, &line("targets", &name), what);
            }
            (Some(weight), None) => {
                let find = |lines: &Lines| lines.target(old_model, "targets", &name);
                let at = places.before(&old_model.origin, find);
                changes.add(Class::Risky, &at, format!("the target {name} ×{weight} is gone"));
            }
            _ => {}
        }
    }
    let fallbacks = (named(was, &old.fallback), named(is, &new.fallback));
    let order = |fallbacks: &Vec<(String, Target)>| -> String {
        let all: Vec<_> = fallbacks.iter().map(|(name, _)| name.as_str()).collect();
        words::or_none(all.join(", "))
    };
    changes.value(
        Class::Risky,
        &places.now(&new.origin, |lines| lines.model(new, &["fallback"])),
        "fallback",
        (&order(&fallbacks.0), &order(&fallbacks.1)),
        Clone::clone,
    );
    // What is new has a price, and what is gone had one: only what stays changes it.
    let (before, after) = (prices(&targets.0, &fallbacks.0), prices(&targets.1, &fallbacks.1));
    for (name, old) in &before {
        if let Some(new) = after.get(name) {
            let what = format!("the price of {name}");
            let at = line("targets", name);
            let show = |prices: &BTreeSet<String>| prices.iter().cloned().collect::<Vec<_>>().join(" or ");
            let of = |targets: &[(String, Target)], fallbacks: &[(String, Target)]| {
                let all = targets.iter().chain(fallbacks);
                lowest(all.filter(|(called, _)| called == name).map(|(_, target)| target))
            };
            let (was, is) = (of(&targets.0, &fallbacks.0), of(&targets.1, &fallbacks.1));
            // A budget in money lets pass more of what costs less.
            let cheaper = was.zip(is).is_some_and(|(was, is)| {
                let mut both = is.as_flattened().iter().zip(was.as_flattened());
                both.any(|(is, was)| is < was)
            });
            let class = if cheaper { Class::Loosening } else { Class::Risky };
            changes.value(class, &at, &what, (old, new), show);
        }
    }
}

/// The lowest of each price, where they have some: input and output, to and from the cache, and the same in long calls.
fn lowest<'t>(targets: impl Iterator<Item = &'t Target>) -> Option<[[u64; 4]; 2]> {
    let prices = targets.filter_map(|target| target.price).map(|price| {
        let usual = [price.input, price.output, price.cached_input, price.cache_write];
        let long = price.long.map_or(usual, |long| {
            [long.input, long.output, long.cached_input, long.cache_write]
        });
        [usual, long]
    });
    prices.reduce(|mut one, other| {
        let ours = one.as_flattened_mut().iter_mut();
        for (one, other) in ours.zip(other.as_flattened()) {
            *one = (*one).min(*other);
        }
        one
    })
}

/// What a model costs where it runs: one price, unless as a fallback it costs something else.
fn prices<'t>(
    targets: &'t [(String, Target)],
    fallbacks: &'t [(String, Target)],
) -> BTreeMap<&'t str, BTreeSet<String>> {
    let mut all: BTreeMap<&str, BTreeSet<String>> = BTreeMap::new();
    for (name, target) in targets.iter().chain(fallbacks) {
        let Target {
            provider: _,
            model: _,
            weight: _,
            price: one,
        } = target;
        all.entry(name).or_default().insert(price(one.as_ref()));
    }
    all
}

/// What the tokens of a target cost: input, input from the cache and to the cache, output.
fn price(price: Option<&Price>) -> String {
    price.map_or_else(
        || "none".to_owned(),
        |price| {
            let Price {
                input: _,
                output: _,
                cached_input: _,
                cache_write: _,
                long: _,
            } = price;
            let usd = words::usd;
            let said = |price: Price| {
                format!(
                    "{}/{}/{}/{} USD",
                    usd(price.input),
                    usd(price.cached_input),
                    usd(price.cache_write),
                    usd(price.output)
                )
            };
            let long = price.long.map_or_else(String::new, |long| {
                let LongPrice {
                    over,
                    input,
                    output,
                    cached_input,
                    cache_write,
                } = long;
                let long = Price {
                    input,
                    output,
                    cached_input,
                    cache_write,
                    long: None,
                };
                format!(", over {over} tokens {}", said(long))
            });
            said(*price) + &long
        },
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_end_of_what_has_ended_breaks_nothing() {
        let mut model = super::super::tests::everything::model("chat");
        let end = model.lifecycle.sunset.unwrap();
        assert_eq!(
            (ending(&model, end - 1), ending(&model, end)),
            (Class::Breaking, Class::Safe)
        );
        model.lifecycle.state = State::Retired;
        assert_eq!(ending(&model, 0), Class::Safe);
    }
}
