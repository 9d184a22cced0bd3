//! `consumers/<name>.yaml`: who calls, how they are known, and what they may use.

use std::collections::{BTreeMap, BTreeSet};

use super::compile::{Checker, Known};
use super::containers::{AllOr, List};
use super::declare::{choice, record};
use super::diagnostic::{Code, Span};
use super::reader::Spanned;
use super::scalars::{Date, Name, Scope, Sha256, Text, Token};
use super::secrets::quote;
use crate::{Grant, Identity, KeyCredential};

record! {
    /// Who calls: credentials, a plan, and what they may use. What is not granted is refused.
    ConsumerFile = "consumer" {
        /// Its name, as the file is called.
        consumer: required Name,
        /// Who answers for it.
        owner: required Text,
        /// The plan that it is on.
        plan: required Name,
        /// How it is known.
        credentials: default "[]" List<CredentialFields>,
        /// What it may use.
        may: default "[]" List<GrantFields>,
    }
    later { claims, limits }
}

record! {
    /// One credential: a `jwt` or a `key`.
    CredentialFields = "credential" {
        /// A token of an issuer.
        jwt: optional JwtFields,
        /// An API key.
        key: optional KeyFields,
    }
    later { mtls }
}

record! {
    /// A token of an issuer whose consumer claim has a certain value.
    JwtFields = "jwt" {
        /// The issuer's name in `gateway.yaml`.
        issuer: required Name,
        /// What its consumer claim must equal.
        is: required Token,
    }
    later { claims, scopes }
}

record! {
    /// An API key. Only its hash is in the tree.
    KeyFields = "key" {
        /// The SHA-256 of the whole key, in hexadecimal.
        sha256: required Sha256,
        /// From this day (or instant) on it is refused.
        expires: optional Date,
        /// The scopes that it carries.
        scopes: default "[]" List<Scope>,
    }
    later { name }
}

record! {
    /// One grant: an `api` with its `operations`, all `apis`, or `models`.
    GrantFields = "may" {
        /// An API, in all of its versions.
        api: optional Name,
        /// The operations granted: `all`, or a list of their ids.
        operations: optional AllOr<Token>,
        /// `all`: every operation of every API.
        apis: optional All,
        /// The models granted: `all`, or a list of their names.
        models: optional AllOr<Name>,
    }
    later { scopes, tools, when }
}

/// The word `all`.
#[derive(Clone, Copy, Debug)]
pub(crate) struct All;
choice!(All: "all" => Self);

/// The consumers, and how they are known.
#[derive(Debug, Default)]
pub(crate) struct Consumers {
    pub(crate) list: Vec<crate::Consumer>,
    pub(crate) keys: Vec<KeyCredential>,
    pub(crate) identities: Vec<Identity>,
}

/// Checks every consumer.
pub(crate) fn compile(
    consumers: &[(String, Spanned<ConsumerFile>)],
    known: &Known<'_>,
    checker: &mut Checker,
) -> Consumers {
    let mut compiled = Consumers::default();
    let mut keys: BTreeMap<[u8; 32], (String, Span)> = BTreeMap::new();
    let mut tokens: BTreeMap<(String, String), (String, Span)> = BTreeMap::new();
    for ((name, consumer), index) in consumers.iter().zip(0_u32..) {
        let plan = consumer
            .plan
            .as_ref()
            .and_then(|plan| known.plans.refer("plan", &plan.0, plan.span, &mut checker.reader));
        for credential in consumer.credentials.iter().flat_map(|list| &list.0) {
            match (&credential.jwt, &credential.key) {
                (Some(jwt), None) => {
                    let found = jwt
                        .issuer
                        .as_ref()
                        .map(|issuer| (issuer, issuer_index(issuer, known, checker)));
                    let (Some((issuer, found)), Some(is)) = (found, &jwt.is) else {
                        continue;
                    };
                    let key = (issuer.0.clone(), is.0.clone());
                    if let Some(twin) = tokens.get(&key).cloned() {
                        report_twin(name, is.span, &twin, checker);
                        continue;
                    }
                    tokens.insert(key, (name.clone(), is.span));
                    compiled.identities.extend(found.map(|issuer| Identity {
                        issuer,
                        value: is.0.clone(),
                        consumer: index,
                    }));
                }
                (None, Some(key)) => {
                    let expires = key.expires.as_ref().map(|expires| {
                        checker.check_expiry("this key", expires.0, expires.span);
                        expires.0
                    });
                    let scopes = key
                        .scopes
                        .as_ref()
                        .map(|list| checker.sorted(&list.0, |scope| scope.0.clone()));
                    let Some(hash) = &key.sha256 else { continue };
                    if let Some(twin) = keys.get(&hash.0).cloned() {
                        report_twin(name, hash.span, &twin, checker);
                        continue;
                    }
                    keys.insert(hash.0, (name.clone(), hash.span));
                    let scopes = scopes.unwrap_or_default();
                    compiled.keys.push(KeyCredential {
                        sha256: hash.0,
                        consumer: index,
                        expires,
                        scopes,
                    });
                }
                (Some(jwt), Some(key)) => {
                    checker
                        .report()
                        .error(
                            Code::Conflict,
                            key.span,
                            "one credential is a `jwt` or a `key`, not both",
                        )
                        .label(jwt.span, "the jwt is here")
                        .help("make it two items: any one of them is enough to be known");
                }
                (None, None) => {
                    if !checker.reader.reported_within(credential.span) {
                        checker.report().error(
                            Code::MissingField,
                            credential.span,
                            "a credential has a `jwt` or a `key`",
                        );
                    }
                }
            }
        }
        if let Some(credentials) = consumer.credentials.as_ref().filter(|list| list.0.is_empty()) {
            checker
                .report()
                .warning(
                    Code::NoCredential,
                    credentials.span,
                    format!(
                        "the consumer {} has no credential here and can never call",
                        quote(name)
                    ),
                )
                .help("give it a `jwt` or a `key`, or limit the consumer with `environments`");
        }
        let (operations, models) = grants(consumer, known, checker);
        let origin = checker.report().origin(consumer.span);
        compiled.list.push(crate::Consumer {
            name: name.clone(),
            owner: consumer
                .owner
                .as_ref()
                .map(|owner| owner.0.clone())
                .unwrap_or_default(),
            plan: plan.unwrap_or_default(),
            operations,
            models,
            origin,
        });
    }
    compiled.keys.sort_by_key(|key| key.sha256);
    compiled
        .identities
        .sort_by(|a, b| (a.issuer, &a.value).cmp(&(b.issuer, &b.value)));
    compiled
}

fn report_twin(name: &str, span: Span, (other, first): &(String, Span), checker: &mut Checker) {
    let message = if name == other {
        "this credential is listed twice".to_owned()
    } else {
        format!(
            "the consumers {} and {} have the same credential",
            quote(other),
            quote(name)
        )
    };
    checker
        .report()
        .error(Code::DuplicateCredential, span, message)
        .label(*first, "the other one")
        .help("a credential must lead to one consumer");
}

fn issuer_index(issuer: &Spanned<Name>, known: &Known<'_>, checker: &mut Checker) -> Option<u32> {
    if let Some(index) = known.issuers.get(&issuer.0) {
        return Some(*index);
    }
    let here = known.issuer_map.here.iter().map(|(name, _)| name);
    if here.clone().any(|name| name.value == issuer.0) {
        // It is broken, and that was reported.
        return None;
    }
    match known.issuer_map.others.iter().find(|name| name.value == issuer.0) {
        Some(other) => {
            let message = format!(
                "the issuer {} does not exist in {}",
                quote(&issuer.0),
                quote(&checker.reader.environment)
            );
            checker
                .report()
                .error(Code::OtherEnvironment, issuer.span, message)
                .label(other.span, "its `environments` do not list it")
                .help("limit the credential in the same way, with `environments`");
        }
        None => {
            let names = here
                .chain(&known.issuer_map.others)
                .map(|name| name.value.as_str());
            checker.reader.unknown(issuer.span, "issuer", &issuer.0, names);
        }
    }
    None
}

fn grants(consumer: &ConsumerFile, known: &Known<'_>, checker: &mut Checker) -> (Grant, Grant) {
    let mut operations = Some(BTreeSet::new());
    let mut models = Some(BTreeSet::new());
    for grant in consumer.may.iter().flat_map(|list| &list.0) {
        let named = [
            grant.api.as_ref().map(|f| f.span),
            grant.apis.as_ref().map(|f| f.span),
            grant.models.as_ref().map(|f| f.span),
        ];
        let mut named = named.into_iter().flatten();
        match (named.next(), named.next()) {
            (Some(first), Some(second)) => {
                checker
                    .report()
                    .error(
                        Code::Conflict,
                        second,
                        "one grant is for an `api`, for `apis` or for `models`",
                    )
                    .label(first, "it is for this already")
                    .help("make it two items");
            }
            (None, _) if !checker.reader.reported_within(grant.span) => {
                checker
                    .report()
                    .error(
                        Code::GrantsNothing,
                        grant.span,
                        "this grant does not say for what",
                    )
                    .help("write for example `{ api: petstore, operations: all }` or `{ models: [fast] }`");
            }
            _ => {}
        }
        match (&grant.api, &grant.operations) {
            (Some(api), Some(list)) => {
                let granted = operations_of(api, list, known, checker);
                if let Some(operations) = &mut operations {
                    operations.extend(granted);
                }
            }
            (Some(api), None) if !checker.reader.reported_within(grant.span) => {
                checker
                    .report()
                    .error(
                        Code::GrantsNothing,
                        api.span,
                        "this grants no operation: an absent list grants nothing",
                    )
                    .help("write `operations: all`, or list the operations");
            }
            (None, Some(list)) if !checker.reader.reported_within(grant.span) => {
                checker
                    .report()
                    .error(Code::Conflict, list.span, "`operations` needs an `api` beside it");
            }
            _ => {}
        }
        if grant.apis.is_some() {
            operations = None;
        }
        match grant.models.as_ref().map(|list| &list.value) {
            Some(AllOr::All) => models = None,
            Some(AllOr::Only(list)) => {
                for name in &list.0 {
                    let model = known
                        .models
                        .refer("model", &name.0, name.span, &mut checker.reader);
                    if let Some(models) = &mut models {
                        models.extend(model);
                    }
                }
            }
            None => {}
        }
    }
    let grant =
        |set: Option<BTreeSet<u32>>| set.map_or(Grant::All, |set| Grant::Only(set.into_iter().collect()));
    (grant(operations), grant(models))
}

fn operations_of(
    api: &Spanned<Name>,
    list: &AllOr<Token>,
    known: &Known<'_>,
    checker: &mut Checker,
) -> Vec<u32> {
    if known
        .apis
        .refer("API", &api.0, api.span, &mut checker.reader)
        .is_none()
    {
        return Vec::new();
    }
    let Some(operations) = known.operations.get(&api.0) else {
        return Vec::new();
    };
    let AllOr::Only(list) = list else {
        return operations.ids.values().flatten().copied().collect();
    };
    let mut granted = Vec::new();
    for id in &list.0 {
        match operations.ids.get(&id.0) {
            Some(indices) => granted.extend(indices),
            // A document that could not be read may well have it.
            None if operations.broken => {}
            None => {
                let what = format!("operation in {}", quote(&api.0));
                let names = operations.ids.keys().map(String::as_str);
                let near = super::reader::nearest(&id.0, names.clone());
                let all: Vec<_> = names.take(12).map(quote).collect();
                let help = match near {
                    Some(near) => format!("did you mean `{near}`?"),
                    None if all.is_empty() => {
                        "no version of it has an operation in this environment".to_owned()
                    }
                    None => format!("its operations are {}", all.join(", ")),
                };
                checker
                    .report()
                    .error(
                        Code::UnknownReference,
                        id.span,
                        format!("there is no {what} called {}", quote(&id.0)),
                    )
                    .help(help);
            }
        }
    }
    granted
}
