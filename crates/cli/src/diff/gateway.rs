//! The gateway as a whole, its decision points and its plans.

use std::collections::BTreeMap;

use turnpike_policy::{
    ApiKeys, Claim, Compiled, Cors, DecisionPoint, Gateway, LogRequests, OnError, Plan, PointKind, Signing,
    Zone, claim_name,
};

use super::change::{Changes, Class};
use super::issuers::issuer;
use super::limits::{self, Told, limits, rate};
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
            (Some(old), Some(new)) => {
                let before = changes.told();
                issuer(old, new, places, changes);
                changes.rest(before, "", "it", (old, new));
            }
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
    zones(&was.zones, &is.zones, changes);
    for (name, old, new) in pairs(&was.points, &is.points, |point| point.name.clone()) {
        changes.begin(format!("decision point {name}"), environment);
        match (old, new) {
            (Some(old), Some(new)) => {
                let before = changes.told();
                point(old, new, changes);
                changes.rest(before, &new.origin, "it", (old, new));
            }
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
            (Some(old), Some(new)) => {
                let before = changes.told();
                plan(old, new, places, changes);
                changes.rest(before, &places.now("", of_plan(&name, "plan")), "it", (old, new));
            }
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
    let DecisionPoint {
        name: _,
        kind: _,
        endpoint,
        secret: _,
        timeout,
        allowed_for,
        denied_for,
        origin,
    } = is;
    let kind = |point: &DecisionPoint| match &point.kind {
        PointKind::AuthZen => "authzen".to_owned(),
        PointKind::OpenFga { model: None } => "openfga".to_owned(),
        PointKind::OpenFga { model: Some(model) } => format!("openfga, model {model}"),
    };
    let secret = |point: &DecisionPoint| point.secret.clone().unwrap_or_else(|| "none".to_owned());
    // Somebody else, or another way to decide, may let in whom it refused; the others only change whether it answers.
    for (class, what, old, new) in [
        (
            Class::Loosening,
            "endpoint",
            was.endpoint.clone(),
            endpoint.clone(),
        ),
        (Class::Loosening, "kind", kind(was), kind(is)),
        (Class::Risky, "credential", secret(was), secret(is)),
        (
            Class::Risky,
            "timeout",
            words::duration(was.timeout),
            words::duration(*timeout),
        ),
    ] {
        changes.value(class, origin, what, (&old, &new), Clone::clone);
    }
    // Whoever was allowed may go on for so long.
    changes.bound(origin, "cache", (was.allowed_for, *allowed_for), words::duration);
    changes.value(
        Class::Safe,
        origin,
        "cache_denied",
        (&was.denied_for, denied_for),
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
        // Who declares it is told by name.
        let Claim {
            path: _,
            kind: _,
            issuers: _,
        } = new;
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

/// When days and months begin somewhere. Of a zone that nothing named, or that nothing names any more, the limits tell.
fn zones(was: &[Zone], is: &[Zone], changes: &mut Changes) {
    for (name, old, new) in pairs(was, is, |zone| zone.name.clone()) {
        if let (Some(old), Some(new)) = (old, new)
            && old != new
        {
            let said = "clocks are set otherwise: limits count its days and months from other instants";
            changes.add(Class::Risky, "", format!("in {name} {said}"));
        }
    }
}

/// What two lists have, by name: for things of which a list has one of a name.
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
    let Gateway {
        name: _,
        environment: _,
        hosts: _,
        shield: _,
        max_body: _,
        forward_headers: _,
        answer_headers: _,
        cors: _,
        limit_headers: _,
        log: _,
        explain: _,
        mocks: _,
        show_hash: _,
        api_keys: _,
        signing: _,
    } = is;
    changes.begin("gateway", environment);
    let before = changes.told();
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
    told(was, is, environment, &line, changes);
    signing(
        was.signing.as_ref(),
        is.signing.as_ref(),
        &line(&["signing"]),
        changes,
    );
    let was = Gateway {
        environment: is.environment.clone(),
        ..was.clone()
    };
    changes.rest(before, &line(&["gateway"]), "it", (&was, is));
}

/// What answers and the log say, and what callers may ask for.
fn told(
    was: &Gateway,
    is: &Gateway,
    environment: &str,
    line: &impl Fn(&[&str]) -> String,
    changes: &mut Changes,
) {
    // What is not written down nobody can show later.
    let class = match is.log {
        LogRequests::All => Class::Safe,
        LogRequests::Failures => Class::Loosening,
    };
    changes.value(class, &line(&["log"]), "log", (&was.log, &is.log), |log| {
        match log {
            LogRequests::All => "all",
            LogRequests::Failures => "failures",
        }
        .to_owned()
    });
    if was.limit_headers != is.limit_headers {
        let (class, now) = if is.limit_headers {
            (
                Class::Safe,
                "all: every answer says how the caller's limits stand",
            )
        } else {
            (
                Class::Risky,
                "refused: only answers that a limit refused say how it stands",
            )
        };
        let at = line(&["limit_headers"]);
        changes.add(class, &at, format!("limit_headers is {now}"));
    }
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

/// Whose name the gateway's own tokens bear, and what signs them. Where they are sent is told of the upstreams.
fn signing(was: Option<&Signing>, is: Option<&Signing>, at: &str, changes: &mut Changes) {
    let (was, is) = match (was, is) {
        (None, None) => return,
        (None, Some(is)) => {
            return changes.add(
                Class::Safe,
                at,
                format!("signing: its own tokens are of {}", is.issuer),
            );
        }
        (Some(was), None) => {
            return changes.add(
                Class::Safe,
                at,
                format!("signing: no token is of {} now", was.issuer),
            );
        }
        (Some(was), Some(is)) => (was, is),
    };
    let Signing {
        issuer,
        algorithm,
        key,
        published,
    } = is;
    // Upstreams that trust its tokens know it by these.
    changes.value(
        Class::Risky,
        at,
        "signing: issuer",
        (&was.issuer, issuer),
        Clone::clone,
    );
    changes.value(
        Class::Risky,
        at,
        "signing: algorithm",
        (&was.algorithm, algorithm),
        |algorithm| algorithm.name().to_owned(),
    );
    changes.value(Class::Risky, at, "signing: key", (&was.key, key), Clone::clone);
    let what = "signing: the key that is published besides";
    changes.list(at, what, (&was.published, published), (Class::Safe, Class::Risky));
}

fn api_keys(was: &ApiKeys, is: &ApiKeys, at: &str, changes: &mut Changes) {
    let ApiKeys {
        headers,
        schemes,
        query,
        query_until,
    } = is;
    let both = (Class::Loosening, Class::Breaking);
    changes.list(at, "header of API keys", (&was.headers, headers), both);
    changes.list(at, "scheme of API keys", (&was.schemes, schemes), both);
    changes.list(at, "query parameter of API keys", (&was.query, query), both);
    if !was.query.is_empty() && !query.is_empty() {
        let until = (was.query_until, *query_until);
        changes.bound(at, "API keys in a query until", until, words::last);
    }
}

fn cors(was: Option<&Cors>, is: Option<&Cors>, at: &str, changes: &mut Changes) {
    let none = Cors::default();
    let (was, is) = (was.unwrap_or(&none), is.unwrap_or(&none));
    let Cors {
        origins,
        headers,
        expose,
        max_age,
    } = is;
    let both = (Class::Loosening, Class::Breaking);
    changes.list(at, "web origin", (&was.origins, origins), both);
    changes.list(at, "header that pages may send", (&was.headers, headers), both);
    changes.list(at, "header that pages may read", (&was.expose, expose), both);
    changes.value(Class::Safe, at, "cors max_age", (&was.max_age, max_age), |age| {
        format!("{age}s")
    });
}

/// What a plan allows. One of another name is another one, and that was told.
pub(super) fn plan(was: &Plan, is: &Plan, places: &Places, changes: &mut Changes) {
    let Plan {
        name,
        limits: is_limits,
        precision,
        on_error,
        open_until,
    } = is;
    let told = Told {
        elsewhere: was.name != *name,
        precision: Some((was.precision, *precision)),
    };
    limits((&was.limits, is_limits), told, changes);
    if was.precision != *precision {
        let at = places.now("", of_plan(name, "precision"));
        let class = limits::precise(was.precision, *precision);
        let now = limits::exactness(*precision);
        changes.add(class, &at, format!("precision is {now} now"));
    }
    let at = places.now("", of_plan(name, "on_error"));
    if was.on_error != *on_error {
        let (class, now) = match on_error {
            OnError::Closed => (Class::Tightening, "closed: refuses without a limiter"),
            OnError::Open => (Class::Loosening, "open: lets pass without a limiter"),
        };
        changes.add(class, &at, format!("on_error is {now} now"));
    } else if *on_error == OnError::Open {
        let until = |end: Option<u64>| end.unwrap_or(u64::MAX);
        changes.bound(
            &at,
            "on_error is open until",
            (until(was.open_until), until(*open_until)),
            words::last,
        );
    }
}
