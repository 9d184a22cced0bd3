//! The gateway as a whole, its issuers and its plans.

use std::collections::BTreeMap;

use turnpike_policy::{
    ApiKeys, Binding, Claim, Compiled, Cors, DecisionPoint, Introspection, Issuer, Keys, Limit, LimitKind,
    OnError, Plan, PointKind, Precision, Rate, SubjectPart, claim_name,
};

use super::change::{Changes, Class};
use super::place::Places;
use crate::lines::Lines;
use crate::words;

pub(super) fn compare(
    was: &Compiled,
    is: &Compiled,
    environment: &str,
    places: &Places,
    changes: &mut Changes,
) {
    gateway(was, is, environment, places, changes);
    for (name, old, new) in pairs(&was.issuers, &is.issuers, |issuer| issuer.name.clone()) {
        changes.begin(format!("issuer {name}"), environment);
        match (old, new) {
            (Some(old), Some(new)) => issuer(old, new, places, changes),
            (None, Some(new)) => {
                changes.add(
                    Class::Loosening,
                    &places.now("", |lines| lines.gateway(&["issuers", &name])),
                    format!("tokens of {} are trusted now", new.issuer),
                );
            }
            (Some(old), None) => changes.add(
                Class::Tightening,
                &places.before("", |lines| lines.gateway(&["issuers", &name])),
                format!("tokens of {} are trusted no more", old.issuer),
            ),
            (None, None) => {}
        }
    }
    claims(was, is, environment, changes);
    for (name, old, new) in pairs(&was.points, &is.points, |point| point.name.clone()) {
        changes.begin(format!("decision point {name}"), environment);
        match (old, new) {
            (Some(old), Some(new)) => point(old, new, changes),
            // What asks it tells the rest.
            (None, Some(new)) => {
                changes.add(Class::Safe, &new.origin, format!("is new, at {}", new.endpoint));
            }
            (Some(old), None) => changes.add(Class::Safe, &old.origin, "is gone"),
            (None, None) => {}
        }
    }
    for (name, old, new) in pairs(&was.plans, &is.plans, |plan| plan.name.clone()) {
        changes.begin(format!("plan {name}"), environment);
        match (old, new) {
            (Some(old), Some(new)) => plan(old, new, places, changes),
            (None, Some(_)) => changes.add(Class::Safe, &places.now("", of_plan(&name, "plan")), "is new"),
            (Some(_), None) => {
                changes.add(Class::Safe, &places.before("", of_plan(&name, "plan")), "is gone");
            }
            (None, None) => {}
        }
    }
}

/// Who decides, and for how long it is believed.
fn point(was: &DecisionPoint, is: &DecisionPoint, changes: &mut Changes) {
    let origin = &is.origin;
    let kind = |point: &DecisionPoint| match &point.kind {
        PointKind::AuthZen => "authzen".to_owned(),
        PointKind::OpenFga { model: None } => "openfga".to_owned(),
        PointKind::OpenFga { model: Some(model) } => format!("openfga, model {model}"),
    };
    let secret = |point: &DecisionPoint| point.secret.clone().unwrap_or_else(|| "none".to_owned());
    for (what, old, new) in [
        ("endpoint", was.endpoint.clone(), is.endpoint.clone()),
        ("kind", kind(was), kind(is)),
        ("credential", secret(was), secret(is)),
        (
            "timeout",
            words::duration(was.timeout),
            words::duration(is.timeout),
        ),
    ] {
        changes.value(Class::Risky, origin, what, (&old, &new), Clone::clone);
    }
    // Whoever was allowed may go on for so long.
    changes.bound(
        origin,
        "cache",
        (was.allowed_for, is.allowed_for),
        words::duration,
    );
    changes.value(
        Class::Safe,
        origin,
        "cache_denied",
        (&was.denied_for, &is.denied_for),
        |time| words::duration(*time),
    );
}

/// What is declared of the claims that conditions and upstreams look at. One that nothing looked at, or that
/// nothing looks at any more, shows in what does.
fn claims(was: &Compiled, is: &Compiled, environment: &str, changes: &mut Changes) {
    let issuers = |compiled: &Compiled, claim: &Claim| -> Vec<String> {
        let issuer = |index: &u32| words::at(&compiled.issuers, *index).map(|issuer| issuer.name.clone());
        claim.issuers.iter().filter_map(issuer).collect()
    };
    for (path, old, new) in pairs(&was.claims, &is.claims, |claim| claim.path.clone()) {
        let (Some(old), Some(new)) = (old, new) else {
            continue;
        };
        let (Some(old_kind), Some(new_kind)) = (old.kind, new.kind) else {
            continue;
        };
        changes.begin("gateway", environment);
        let name = claim_name(&path);
        changes.value(
            Class::Risky,
            "",
            &format!("`{name}` is declared as"),
            (&old_kind, &new_kind),
            |kind| kind.name().to_owned(),
        );
        changes.list(
            "",
            &format!("`{name}` counts in tokens of"),
            (&issuers(was, old), &issuers(is, new)),
            (Class::Loosening, Class::Tightening),
        );
    }
}

/// What two lists have, by name.
pub(super) fn pairs<'a, T: 'a, K: Ord>(
    was: impl IntoIterator<Item = &'a T>,
    is: impl IntoIterator<Item = &'a T>,
    key: impl Fn(&T) -> K,
) -> Vec<(K, Option<&'a T>, Option<&'a T>)> {
    let mut all: BTreeMap<K, (Option<&T>, Option<&T>)> = BTreeMap::new();
    for item in was {
        all.entry(key(item)).or_default().0.get_or_insert(item);
    }
    for item in is {
        all.entry(key(item)).or_default().1.get_or_insert(item);
    }
    all.into_iter()
        .map(|(name, (old, new))| (name, old, new))
        .collect()
}

/// The line of a field of a plan.
fn of_plan(name: &str, field: &str) -> impl Fn(&Lines) -> Option<String> {
    let (file, field) = (format!("policies/plans/{name}.yaml:1"), field.to_owned());
    move |lines| lines.field(&file, &[&field])
}

fn gateway(was: &Compiled, is: &Compiled, environment: &str, places: &Places, changes: &mut Changes) {
    let line = |path: &[&str]| places.now("", |lines| lines.gateway(path));
    let hosts = line(&["hosts"]);
    let (was, is) = (&was.gateway, &is.gateway);
    changes.begin("gateway", environment);
    changes.value(
        Class::Safe,
        &line(&["gateway"]),
        "name",
        (&was.name, &is.name),
        Clone::clone,
    );
    match (was.hosts.is_empty(), is.hosts.is_empty()) {
        (true, false) => changes.add(
            Class::Breaking,
            &hosts,
            format!("answers for {} only, no more for every host", is.hosts.join(", ")),
        ),
        (false, true) => changes.add(Class::Loosening, &hosts, "answers for every host"),
        _ => changes.list(
            &hosts,
            "host",
            (&was.hosts, &is.hosts),
            (Class::Safe, Class::Breaking),
        ),
    }
    rate(changes, &line(&["shield"]), "shield", &was.shield, &is.shield);
    changes.bound(
        &line(&["floor", "max_body"]),
        "max_body",
        (was.max_body, is.max_body),
        words::size,
    );
    changes.list(
        &line(&["floor", "forward_headers"]),
        "request header to upstreams",
        (&was.forward_headers, &is.forward_headers),
        (Class::Loosening, Class::Risky),
    );
    changes.list(
        &line(&["floor", "answer_headers"]),
        "answer header to clients",
        (&was.answer_headers, &is.answer_headers),
        (Class::Loosening, Class::Breaking),
    );
    api_keys(&was.api_keys, &is.api_keys, &line(&["api_keys"]), changes);
    cors(was.cors.as_ref(), is.cors.as_ref(), &line(&["cors"]), changes);
    changes.value(Class::Safe, &line(&["log"]), "log", (&was.log, &is.log), |log| {
        format!("{log:?}").to_lowercase()
    });
    for (what, field, was, is) in [
        ("explanations to callers", "explain", was.explain, is.explain),
        ("mocks", "mocks", was.mocks, is.mocks),
    ] {
        if was != is {
            let (class, now) = if is {
                (Class::Loosening, "allowed")
            } else {
                (Class::Tightening, "forbidden")
            };
            let at = line(&["environments", environment, field]);
            changes.add(class, &at, format!("{what}: {now} now"));
        }
    }
    changes.value(
        Class::Safe,
        &line(&["policy_hash"]),
        "policy_hash",
        (&was.show_hash, &is.show_hash),
        |shown| if *shown { "shown" } else { "hidden" }.to_owned(),
    );
}

fn api_keys(was: &ApiKeys, is: &ApiKeys, at: &str, changes: &mut Changes) {
    let both = (Class::Loosening, Class::Breaking);
    changes.list(at, "header of API keys", (&was.headers, &is.headers), both);
    changes.list(at, "scheme of API keys", (&was.schemes, &is.schemes), both);
    changes.list(at, "query parameter of API keys", (&was.query, &is.query), both);
    if !was.query.is_empty() && !is.query.is_empty() {
        let until = (was.query_until, is.query_until);
        changes.bound(at, "API keys in a query until", until, words::date);
    }
}

fn cors(was: Option<&Cors>, is: Option<&Cors>, at: &str, changes: &mut Changes) {
    let none = Cors::default();
    let (was, is) = (was.unwrap_or(&none), is.unwrap_or(&none));
    let both = (Class::Loosening, Class::Breaking);
    changes.list(at, "web origin", (&was.origins, &is.origins), both);
    changes.list(
        at,
        "header that pages may send",
        (&was.headers, &is.headers),
        both,
    );
    changes.list(at, "header that pages may read", (&was.expose, &is.expose), both);
    changes.value(
        Class::Safe,
        at,
        "cors max_age",
        (&was.max_age, &is.max_age),
        |age| format!("{age}s"),
    );
}

fn issuer(was: &Issuer, is: &Issuer, places: &Places, changes: &mut Changes) {
    let line = |field: &str| places.now("", |lines| lines.gateway(&["issuers", &is.name, field]));
    let both = (Class::Loosening, Class::Tightening);
    changes.value(
        Class::Breaking,
        &line("issuer"),
        "issuer",
        (&was.issuer, &is.issuer),
        Clone::clone,
    );
    changes.list(&line("audience"), "audience", (&was.audience, &is.audience), both);
    let names = |issuer: &Issuer| -> Vec<String> {
        issuer
            .algorithms
            .iter()
            .map(|algorithm| algorithm.name().to_owned())
            .collect()
    };
    changes.list(&line("algorithms"), "algorithm", (&names(was), &names(is)), both);
    changes.value(
        Class::Breaking,
        &line("consumer"),
        "claim that names the consumer",
        (&was.consumer_claim, &is.consumer_claim),
        Clone::clone,
    );
    let seconds = |seconds: u64| words::duration(seconds.saturating_mul(1000));
    changes.bound(
        &line("clock_skew"),
        "clock_skew",
        (was.clock_skew.into(), is.clock_skew.into()),
        seconds,
    );
    let longest = |issuer: &Issuer| issuer.max_lifetime.map_or(u64::MAX, u64::from);
    changes.bound(
        &line("max_lifetime"),
        "max_lifetime",
        (longest(was), longest(is)),
        |value| {
            if value == u64::MAX {
                "any".to_owned()
            } else {
                seconds(value)
            }
        },
    );
    if was.access_tokens != is.access_tokens {
        let class = if is.access_tokens {
            Class::Tightening
        } else {
            Class::Loosening
        };
        let show = |only| if only { "at+jwt" } else { "any" };
        changes.add(
            class,
            &line("token_type"),
            format!(
                "token_type: {} → {}",
                show(was.access_tokens),
                show(is.access_tokens)
            ),
        );
    }
    for (name, was, is) in [
        ("dpop", was.dpop, is.dpop),
        ("certificate_bound", was.certificate_bound, is.certificate_bound),
    ] {
        if was == is {
            continue;
        }
        // Where it is no longer required, stolen tokens are good again; where it is accepted, tokens that were refused.
        let class = match (was, is) {
            (_, Binding::Required) | (Binding::Accepted, Binding::Refused) => Class::Tightening,
            _ => Class::Loosening,
        };
        let (was, is) = (words::binding(was), words::binding(is));
        changes.add(class, &line(name), format!("{name}: {was} → {is}"));
    }
    introspection(
        was.introspection.as_ref(),
        is.introspection.as_ref(),
        &line("introspection"),
        changes,
    );
    if was.keys != is.keys {
        let show = |keys: &Keys| match keys {
            Keys::Inline(keys) => words::count(keys.len(), "key in the tree").replace("trees", "tree"),
            Keys::Url(url) => url.clone(),
            Keys::Discovered { url, .. } => format!("by {url}"),
            Keys::Secret(name) => format!("the secret {name}"),
        };
        changes.add(
            Class::Risky,
            &line("jwks"),
            format!("keys: {} → {}", show(&was.keys), show(&is.keys)),
        );
    }
}

/// How an issuer is asked about its opaque tokens.
fn introspection(was: Option<&Introspection>, is: Option<&Introspection>, at: &str, changes: &mut Changes) {
    let (was, is) = match (was, is) {
        (None, None) => return,
        (None, Some(is)) => {
            let text = format!("opaque tokens are asked about at {}", is.endpoint);
            return changes.add(Class::Loosening, at, text);
        }
        (Some(_), None) => {
            return changes.add(Class::Breaking, at, "opaque tokens are not asked about any more");
        }
        (Some(was), Some(is)) => (was, is),
    };
    let show = |asked: &Introspection| {
        let auth = if asked.post {
            "in the form"
        } else {
            "by HTTP Basic"
        };
        format!(
            "{} as {} with {} {auth}",
            asked.endpoint, asked.client_id, asked.secret
        )
    };
    let (old, new) = (show(was), show(is));
    changes.value(Class::Risky, at, "introspection", (&old, &new), Clone::clone);
    let prefix = |asked: &Introspection| match asked.prefix.as_str() {
        "" => "all".to_owned(),
        prefix => format!("those with `{prefix}`"),
    };
    let (old, new) = (prefix(was), prefix(is));
    changes.value(Class::Breaking, at, "opaque tokens", (&old, &new), Clone::clone);
    let of = words::duration;
    changes.value(
        Class::Risky,
        at,
        "introspection timeout",
        (&was.timeout, &is.timeout),
        |ms| of(*ms),
    );
    changes.bound(at, "introspection cache", (was.active_for, is.active_for), of);
    let inactive = (&was.inactive_for, &is.inactive_for);
    changes.value(Class::Risky, at, "introspection cache_inactive", inactive, |ms| {
        of(*ms)
    });
    changes.value(
        Class::Risky,
        at,
        "introspection rate",
        (&was.rate, &is.rate),
        words::rate,
    );
}

pub(super) fn plan(was: &Plan, is: &Plan, places: &Places, changes: &mut Changes) {
    limits(&was.limits, &is.limits, changes);
    if was.precision != is.precision {
        // Only `local` may let more pass than the plan says.
        let class = match (was.precision, is.precision) {
            (_, Precision::Local) => Class::Loosening,
            (Precision::Local, _) => Class::Tightening,
            _ => Class::Safe,
        };
        let now = format!("{:?}", is.precision).to_lowercase();
        let at = places.now("", of_plan(&is.name, "precision"));
        changes.add(class, &at, format!("precision is {now} now"));
    }
    if was.on_error != is.on_error {
        let (class, now) = match is.on_error {
            OnError::Closed => (Class::Tightening, "closed: refuses without a limiter"),
            OnError::Open => (Class::Loosening, "open: lets pass without a limiter"),
        };
        let at = places.now("", of_plan(&is.name, "on_error"));
        changes.add(class, &at, format!("on_error is {now} now"));
    }
}

/// Limits, each with the one of its kind: a rate with the rate over the same period, a quota with the
/// quota of the same window.
pub(super) fn limits(was: &[Limit], is: &[Limit], changes: &mut Changes) {
    // The kind with its numbers left out.
    let kind = |limit: &Limit| {
        let shown = words::limit(&Limit {
            split: None,
            ..limit.clone()
        });
        let what = match &limit.kind {
            LimitKind::Rate(rate) => format!("rate {} {:?} {}", rate.period, limit.models, limit.shadow),
            _ => shown
                .trim_start_matches(|c: char| c.is_ascii_digit() || c == '.')
                .to_owned(),
        };
        format!("{what} {:?}", limit.subject)
    };
    let named = |limit: &Limit| match &*limit.subject {
        [SubjectPart::Consumer] => words::limit(limit),
        _ => format!("{} for each {}", words::limit(limit), words::subject(limit)),
    };
    let first = |shown: &str| -> f64 {
        let number = shown.split(|c: char| !c.is_ascii_digit() && c != '.').next();
        number.and_then(|number| number.parse().ok()).unwrap_or(0.0)
    };
    for (_, old, new) in pairs(was, is, kind) {
        if let (Some(old), Some(new)) = (old, new)
            && old.split != new.split
        {
            let now = named(new);
            let said = format!("limit {now} lies in other objects now: what was used may count anew");
            changes.add(Class::Risky, &new.origin, said);
        }
        match (old, new) {
            (Some(old), Some(new)) => match (&old.kind, &new.kind) {
                (LimitKind::Rate(was), LimitKind::Rate(is)) => rate(changes, &new.origin, "limit", was, is),
                (was, is) if was != is => {
                    let (was, is) = (named(old), named(new));
                    let class = if first(&is) > first(&was) {
                        Class::Loosening
                    } else {
                        Class::Tightening
                    };
                    changes.add(class, &new.origin, format!("limit: {was} → {is}"));
                }
                _ => {}
            },
            (None, Some(new)) => changes.add(
                Class::Tightening,
                &new.origin,
                format!("limit {} is added", named(new)),
            ),
            (Some(old), None) => changes.add(
                Class::Loosening,
                &old.origin,
                format!("limit {} is removed", named(old)),
            ),
            (None, None) => {}
        }
    }
}

fn rate(changes: &mut Changes, origin: &str, what: &str, was: &Rate, is: &Rate) {
    if was == is {
        return;
    }
    // So many a day, to compare rates over different periods.
    let speed = |rate: &Rate| u128::from(rate.count) * 86_400_000 / u128::from(rate.period.max(1));
    let class = match (speed(is).cmp(&speed(was)), is.burst.cmp(&was.burst)) {
        (std::cmp::Ordering::Greater, _) | (_, std::cmp::Ordering::Greater) => Class::Loosening,
        _ => Class::Tightening,
    };
    changes.add(
        class,
        origin,
        format!("{what}: {} → {}", words::rate(was), words::rate(is)),
    );
}
