//! Consumers: who is there, how they are known, and who gains or loses what.
//!
//! What may be used is known by the requests that callers send. The name by which a grant says it may be that of another
//! request tomorrow, without anybody having touched the grant.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt::Write as _;

use turnpike_policy::source::contract::shape;
use turnpike_policy::{
    Api, CertificateCredential, CertificateName, Compiled, Consumer, Identity, KeyCredential, Operation, hex,
};

use super::change::{Changes, Class};
use super::gateway::pairs;
use super::place::Places;
use crate::lines::Lines;
use crate::words::{self, at};

/// How many names are listed.
const LISTED: usize = 8;

/// What may be used: by the request that it is, or the model, how it is told.
type Uses = BTreeMap<String, String>;

pub(super) fn compare(
    was: &Compiled,
    is: &Compiled,
    environment: &str,
    places: &Places,
    changes: &mut Changes,
) {
    // What is gone altogether is said where it was.
    let there = everything(is);
    // Mostly all is numbered as it was: then grants that are alike grant the same, and need not be written out.
    let alike = everything(was) == there;
    let there: BTreeSet<String> = there.into_iter().collect();
    let (had, has) = (owned(was), owned(is));
    let nothing = Own::default();
    for (name, old, new) in pairs(&was.consumers, &is.consumers, |consumer| consumer.name.clone()) {
        changes.begin(format!("consumer {name}"), environment);
        match (old, new) {
            (Some(old), Some(new)) => {
                let same = alike && old.operations == new.operations && old.models == new.models;
                let before = changes.told();
                consumer((was, old), (is, new), places, changes);
                // What it may use and which plan it is on are numbers, of which the names are compared.
                let numbered = Consumer {
                    plan: new.plan,
                    operations: new.operations.clone(),
                    models: new.models.clone(),
                    ..old.clone()
                };
                changes.rest(before, &new.origin, "it", (&numbered, new));
                if !same {
                    grants((was, old), (is, new), &there, places, changes);
                }
                let had = had.get(name.as_str()).unwrap_or(&nothing);
                let has = has.get(name.as_str()).unwrap_or(&nothing);
                credentials((had, old), (has, new), places, changes);
            }
            (None, Some(new)) => {
                let origin = &new.origin;
                let line = |field: &str| places.now(origin, |lines| lines.field(origin, &[field]));
                let what = format!("is new, on the plan {}", plan(is, new));
                changes.add(Class::Loosening, &line("consumer"), what);
                gains(&Uses::new(), &granted(is, new), &line("may"), changes);
            }
            (Some(old), None) => {
                let origin = &old.origin;
                let line = places.before(origin, |lines| lines.field(origin, &["consumer"]));
                changes.add(Class::Tightening, &line, "is gone: its calls are refused");
            }
            (None, None) => {}
        }
    }
}

fn consumer(
    (was, old): (&Compiled, &Consumer),
    (is, new): (&Compiled, &Consumer),
    places: &Places,
    changes: &mut Changes,
) {
    // What it may use: see `grants`.
    let Consumer {
        name: _,
        owner,
        plan: _,
        operations: _,
        models: _,
        operator: _,
        origin,
    } = new;
    let line = |field: &str| places.now(origin, |lines| lines.field(origin, &[field]));
    changes.value(
        Class::Safe,
        &line("owner"),
        "owner",
        (&old.owner, owner),
        Clone::clone,
    );
    let (from, to) = (plan(was, old), plan(is, new));
    if from != to {
        changes.add(
            Class::Risky,
            &line("plan"),
            format!("plan: {from} → {to}: what was used is counted anew"),
        );
        // What that allows more, and less.
        if let (Some(from), Some(to)) = (at(&was.plans, old.plan), at(&is.plans, new.plan)) {
            super::gateway::plan(from, to, places, changes);
        }
    }
    operators((old, new), places, changes);
}

/// What a consumer may use that it might not, and the other way round.
fn grants(
    (was, old): (&Compiled, &Consumer),
    (is, new): (&Compiled, &Consumer),
    there: &BTreeSet<String>,
    places: &Places,
    changes: &mut Changes,
) {
    let origin = &new.origin;
    let (had, has) = (granted(was, old), granted(is, new));
    let may = || places.now(origin, |lines| lines.field(origin, &["may"]));
    if has.keys().any(|one| !had.contains_key(one)) {
        gains(&had, &has, &may(), changes);
    }
    let lost: Vec<_> = had
        .iter()
        .filter(|(one, _)| !has.contains_key(*one) && there.contains(*one))
        .map(|(_, told)| told)
        .collect();
    if !lost.is_empty() {
        changes.add(Class::Tightening, &may(), format!("loses {}", listed(&lost)));
    }
}

/// What operators may do more, or less.
fn operators((old, new): (&Consumer, &Consumer), places: &Places, changes: &mut Changes) {
    let line = |origin: &str, lines: &Lines| lines.field(origin, &["operator"]);
    let may = |consumer| words::operator(consumer).unwrap_or_default();
    let (had, has) = (may(old), may(new));
    let only = |these: &[String], those: &[String]| -> Vec<String> {
        let without = these.iter().filter(|one| !those.contains(one));
        without.cloned().collect()
    };
    let (gained, lost) = (only(&has, &had), only(&had, &has));
    if !gained.is_empty() {
        let what = format!("may as an operator {}", gained.join(", "));
        let at = places.now(&new.origin, |lines| line(&new.origin, lines));
        changes.add(Class::Loosening, &at, what);
    }
    if !lost.is_empty() {
        let what = format!("may as an operator no longer {}", lost.join(", "));
        let was = places.before(&old.origin, |lines| line(&old.origin, lines));
        let at = places.now(&was, |lines| line(&new.origin, lines));
        changes.add(Class::Tightening, &at, what);
    }
}

fn gains(had: &Uses, has: &Uses, origin: &str, changes: &mut Changes) {
    let gained = has.iter().filter(|(one, _)| !had.contains_key(*one));
    let gained: Vec<_> = gained.map(|(_, told)| told).collect();
    if !gained.is_empty() {
        changes.add(Class::Loosening, origin, format!("gains {}", listed(&gained)));
    }
}

fn listed(names: &[&String]) -> String {
    let mut text = names
        .iter()
        .take(LISTED)
        .map(|name| name.as_str())
        .collect::<Vec<_>>()
        .join(", ");
    if names.len() > LISTED {
        let _ = write!(text, " and {} more", names.len() - LISTED);
    }
    text
}

/// What a consumer may use.
fn granted(compiled: &Compiled, consumer: &Consumer) -> Uses {
    let numbers = (0..).zip(&compiled.operations);
    let operations = numbers.filter(|(number, _)| consumer.operations.allows(*number));
    let operations = operations.filter_map(|(_, operation)| {
        let api = at(&compiled.apis, operation.api)?;
        let Operation { id, method, path, .. } = operation;
        let told = format!("{}/{}#{id} ({} {path})", api.name, api.version, method.name());
        Some((request(api, operation), told))
    });
    let models = words::models_of(compiled, consumer).into_iter();
    let models = models.map(|name| (model(&name), model(&name)));
    operations.chain(models).collect()
}

/// All that there is to use, as it is numbered.
fn everything(compiled: &Compiled) -> Vec<String> {
    let operations = compiled.operations.iter();
    let operations =
        operations.filter_map(|operation| Some(request(at(&compiled.apis, operation.api)?, operation)));
    let models = compiled.models.iter().map(|one| model(&one.name));
    operations.chain(models).collect()
}

/// The requests that an operation answers: of its version, whatever parameters of the path are called.
fn request(api: &Api, operation: &Operation) -> String {
    format!(
        "{}/{} {} {}",
        api.name,
        api.version,
        shape(&operation.path),
        operation.method.name()
    )
}

fn model(name: &str) -> String {
    format!("the model {name}")
}

fn plan(compiled: &Compiled, consumer: &Consumer) -> String {
    at(&compiled.plans, consumer.plan).map_or_else(String::new, |plan| plan.name.clone())
}

/// The credentials of a consumer.
#[derive(Default)]
struct Own {
    /// By what they say and of whom they are: the client that they must have been issued to, if it must be one.
    tokens: Vec<(String, Option<String>)>,
    keys: Vec<KeyCredential>,
    certificates: Vec<CertificateCredential>,
}

/// The credentials of each consumer, by its name.
fn owned(compiled: &Compiled) -> BTreeMap<&str, Own> {
    let mut all: BTreeMap<&str, Own> = BTreeMap::new();
    let name = |consumer: u32| at(&compiled.consumers, consumer).map(|consumer| consumer.name.as_str());
    for identity in &compiled.identities {
        let Identity {
            issuer,
            value,
            client,
            consumer,
        } = identity;
        if let (Some(name), Some(issuer)) = (name(*consumer), at(&compiled.issuers, *issuer)) {
            let token = (format!("{value} of {}", issuer.name), client.clone());
            all.entry(name).or_default().tokens.push(token);
        }
    }
    for key in &compiled.keys {
        if let Some(name) = name(key.consumer) {
            all.entry(name).or_default().keys.push(key.clone());
        }
    }
    for certificate in &compiled.certificates {
        if let Some(name) = name(certificate.consumer) {
            all.entry(name)
                .or_default()
                .certificates
                .push(certificate.clone());
        }
    }
    all
}

fn credentials(
    (was, old): (&Own, &Consumer),
    (is, new): (&Own, &Consumer),
    places: &Places,
    changes: &mut Changes,
) {
    // Where one is now, or was. Most are what they were, and their files need not be read.
    let line = |there: bool, kind: &str, says: &[(&str, &str)]| {
        if there {
            let origin = &new.origin;
            places.now(origin, |lines| lines.credential_with(origin, kind, says))
        } else {
            let origin = &old.origin;
            places.before(origin, |lines| lines.credential_with(origin, kind, says))
        }
    };
    for (token, old, new) in pairs(&was.tokens, &is.tokens, |(token, _)| token.clone()) {
        if old == new {
            continue;
        }
        let (value, issuer) = token.rsplit_once(" of ").unwrap_or((&token, ""));
        let at = line(new.is_some(), "jwt", &[("issuer", issuer), ("is", value)]);
        match (old, new) {
            (None, _) => changes.add(Class::Loosening, &at, format!("token `{token}` is added")),
            (_, None) => changes.add(Class::Tightening, &at, format!("token `{token}` is removed")),
            (Some((_, old)), Some((_, new))) => {
                client(&at, &token, (old.as_deref(), new.as_deref()), changes);
            }
        }
    }
    for (hash, old, new) in pairs(&was.keys, &is.keys, |key| key.sha256) {
        let (old, new) = (old.map(part_of_key), new.map(part_of_key));
        if old != new {
            let at = line(new.is_some(), "key", &[("sha256", &hex(&hash))]);
            let what = format!("the key {}…", words::short(&hash));
            credential(&at, &what, old, new, changes);
        }
    }
    for (by, old, new) in pairs(&was.certificates, &is.certificates, |certificate| {
        certificate.by.clone()
    }) {
        let (old, new) = (old.map(part_of_certificate), new.map(part_of_certificate));
        if old == new {
            continue;
        }
        let what = format!("the certificate {}", words::certificate_name(&by));
        let (there, kind) = (new.is_some(), "certificate");
        let at = match &by {
            CertificateName::Key(hash) => line(there, kind, &[("spki_sha256", &hex(hash))]),
            CertificateName::Subject(issuer, subject) => {
                line(there, kind, &[("issuer", issuer), ("subject", subject)])
            }
        };
        credential(&at, &what, old, new, changes);
    }
}

/// What of a credential may change: its end, and its scopes.
type Part = (Option<u64>, Vec<String>);

fn part_of_key(key: &KeyCredential) -> Part {
    let KeyCredential {
        sha256: _,
        consumer: _,
        expires,
        scopes,
    } = key;
    (*expires, scopes.clone())
}

fn part_of_certificate(one: &CertificateCredential) -> Part {
    let CertificateCredential {
        by: _,
        consumer: _,
        expires,
        scopes,
    } = one;
    (*expires, scopes.clone())
}

/// Which client a token must have been issued to, before and after.
fn client(origin: &str, token: &str, (was, is): (Option<&str>, Option<&str>), changes: &mut Changes) {
    match (was, is) {
        (Some(was), None) => changes.add(
            Class::Loosening,
            origin,
            format!("token `{token}` may be of any client, no more of `{was}` alone"),
        ),
        (None, Some(is)) => changes.add(
            Class::Tightening,
            origin,
            format!("token `{token}` must be of the client `{is}`, no more of any"),
        ),
        (Some(was), Some(is)) => {
            let both = (Class::Loosening, Class::Tightening);
            let what = format!("for the token `{token}` the client");
            changes.list(origin, &what, (&[was.to_owned()], &[is.to_owned()]), both);
        }
        (None, None) => {}
    }
}

/// A credential with an end and scopes, before and after.
fn credential(origin: &str, what: &str, was: Option<Part>, is: Option<Part>, changes: &mut Changes) {
    match (was, is) {
        (None, Some(_)) => changes.add(Class::Loosening, origin, format!("{what} is added")),
        (Some(_), None) => changes.add(Class::Tightening, origin, format!("{what} is removed")),
        (Some((was_until, was_scopes)), Some((is_until, is_scopes))) => {
            let until = |end: Option<u64>| end.unwrap_or(u64::MAX);
            changes.bound(
                origin,
                &format!("{what} ends"),
                (until(was_until), until(is_until)),
                words::end,
            );
            let both = (Class::Loosening, Class::Tightening);
            changes.list(
                origin,
                &format!("scope of {what}"),
                (&was_scopes, &is_scopes),
                both,
            );
        }
        (None, None) => {}
    }
}
