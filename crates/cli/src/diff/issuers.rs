//! Issuers: whose tokens are taken, and how they are checked.

use turnpike_policy::{Binding, Introspection, Issuer, Keys};

use super::change::{Changes, Class};
use super::place::Places;
use crate::words;

/// What is trusted of an issuer.
pub(super) fn issuer(was: &Issuer, is: &Issuer, places: &Places, changes: &mut Changes) {
    let Issuer {
        name: _,
        issuer: _,
        audience: _,
        algorithms: _,
        consumer_claim: _,
        clock_skew: _,
        max_lifetime: _,
        access_tokens: _,
        dpop: _,
        certificate_bound: _,
        keys: _,
        introspection: _,
    } = is;
    let line = |field: &str| places.now("", |lines| lines.gateway(&["issuers", &is.name, field]));
    let both = (Class::Loosening, Class::Tightening);
    changes.value(
        Class::Breaking,
        &line("issuer"),
        "issuer",
        (&was.issuer, &is.issuer),
        Clone::clone,
    );
    if was.issuer != is.issuer {
        let text = format!("tokens of {} are trusted now", is.issuer);
        changes.add(Class::Loosening, &line("issuer"), text);
    }
    changes.list(&line("audience"), "audience", (&was.audience, &is.audience), both);
    let names = |issuer: &Issuer| -> Vec<String> {
        issuer
            .algorithms
            .iter()
            .map(|algorithm| algorithm.name().to_owned())
            .collect()
    };
    changes.list(&line("algorithms"), "algorithm", (&names(was), &names(is)), both);
    // Tokens that named nobody may name somebody now.
    for (class, what) in [
        (Class::Breaking, "claim that names the consumer"),
        (Class::Loosening, "claim by which tokens are a consumer's"),
    ] {
        let claims = (&was.consumer_claim, &is.consumer_claim);
        changes.value(class, &line("consumer"), what, claims, Clone::clone);
    }
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
    bindings(was, is, &line, changes);
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
            of_keys(&was.keys, &is.keys),
            &line("jwks"),
            format!("keys: {} → {}", show(&was.keys), show(&is.keys)),
        );
    }
}

/// Whoever has one of the keys issues tokens: but for where some of them are gone, somebody may who could not.
fn of_keys(was: &Keys, is: &Keys) -> Class {
    let among = |is: &[String], was: &[String]| is.iter().all(|one| was.contains(one));
    let fewer = match (was, is) {
        (Keys::Inline(was), Keys::Inline(is)) => among(is, was),
        (
            Keys::Discovered {
                url: old,
                origins: was,
            },
            Keys::Discovered {
                url: new,
                origins: is,
            },
        ) => old == new && among(is, was),
        _ => false,
    };
    if fewer {
        Class::Tightening
    } else {
        Class::Loosening
    }
}

/// Which tokens that are bound to something of the client's are taken.
fn bindings(was: &Issuer, is: &Issuer, line: &impl Fn(&str) -> String, changes: &mut Changes) {
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
    let Introspection {
        endpoint: _,
        client_id: _,
        secret: _,
        post: _,
        prefix: _,
        timeout: _,
        active_for: _,
        inactive_for: _,
        rate: _,
    } = is;
    let show = |asked: &Introspection| {
        let auth = if asked.post {
            "in the form"
        } else {
            "by HTTP Basic"
        };
        format!("{} with {} {auth}", asked.client_id, asked.secret)
    };
    // Whoever is asked says which tokens are good, as whoever has the keys of the others does.
    changes.value(
        Class::Loosening,
        at,
        "introspection endpoint",
        (&was.endpoint, &is.endpoint),
        Clone::clone,
    );
    let (old, new) = (show(was), show(is));
    changes.value(Class::Risky, at, "introspection as", (&old, &new), Clone::clone);
    let prefix = |asked: &Introspection| match asked.prefix.as_str() {
        "" => "all".to_owned(),
        prefix => format!("those with `{prefix}`"),
    };
    let (old, new) = (prefix(was), prefix(is));
    // Those that it is asked about no more are refused; those that it was not asked about may open something now.
    if !was.prefix.starts_with(is.prefix.as_str()) {
        changes.value(Class::Breaking, at, "opaque tokens", (&old, &new), Clone::clone);
    }
    if !is.prefix.starts_with(was.prefix.as_str()) {
        changes.value(Class::Loosening, at, "opaque tokens", (&old, &new), Clone::clone);
    }
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
