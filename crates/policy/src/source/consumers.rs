//! `consumers/<name>.yaml`: who calls, how they are known, and what they may use.

use std::collections::BTreeSet;

use super::compile::{Checker, Known};
use super::containers::{AllOr, List};
use super::credentials::{CredentialFields, Credentials, Ledger};
use super::declare::{choice, record};
use super::diagnostic::Code;
use super::names::{nearest, remedy};
use super::reader::{Fault, Scalar, Spanned};
use super::scalars::{BytesPerWindow, Duration, MoneyPerWindow, Name, PerWindow, Text, Token};
use super::secrets::quote;
use crate::{Allowance, Creditable, Grant, MAX_DENIAL, Operator};

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
        /// That it is an operator of the gateway, and what it may do as one.
        operator: optional OperatorFields,
    }
    later { claims, limits }
}

record! {
    /// An operator sees the limits of every consumer and what is denied, and may give back what was used, and
    /// deny. `{}`: it sees, and does nothing.
    OperatorFields = "operator" {
        /// Up to how much it may give back.
        credit: optional CreditFields,
        /// For how long at most it may deny a key, a certificate, a subject, a consumer, an operation or a model
        /// (`turnpike deny`), and that it may lift denials. 30 days at the most; without it, it may not.
        deny: optional Duration,
    }
}

record! {
    /// Up to how much an operator may give back in a calendar window in UTC, to all consumers together. What
    /// is left out it may not.
    CreditFields = "credit" {
        /// Requests of quotas.
        requests: optional PerWindow,
        /// Tokens.
        tokens: optional PerWindow,
        /// Money.
        spend: optional MoneyPerWindow,
        /// Bytes of bodies.
        bytes: optional BytesPerWindow,
    }
}

impl OperatorFields {
    fn compile(&self, checker: &mut Checker) -> Operator {
        let deny = self.deny.as_ref().map(|longest| {
            let most = u32::try_from(MAX_DENIAL / 1_000).unwrap_or(u32::MAX);
            let seconds = checker.seconds(longest, most);
            if longest.0 == 0 {
                checker
                    .report()
                    .error(
                        Code::OutOfRange,
                        longest.span,
                        "nothing can be denied for no time",
                    )
                    .help("write for example `24h`, or leave `deny` out");
            }
            u64::from(seconds) * 1_000
        });
        let Some(credit) = &self.credit else {
            return Operator {
                deny,
                ..Operator::default()
            };
        };
        let listed = [
            (
                Creditable::Requests,
                credit.requests.as_ref().map(|field| field.0),
            ),
            (Creditable::Tokens, credit.tokens.as_ref().map(|field| field.0)),
            (Creditable::NanoUsd, credit.spend.as_ref().map(|field| field.0)),
            (Creditable::Bytes, credit.bytes.as_ref().map(|field| field.0)),
        ];
        let credit = listed.into_iter().filter_map(|(of, most)| {
            let (count, window) = most?;
            Some(Allowance { of, count, window })
        });
        Operator {
            credit: credit.collect(),
            deny,
        }
    }
}

record! {
    /// One grant: an `api` with its `operations`, all `apis`, or `models`.
    GrantFields = "may" {
        /// An API, in all of its versions.
        api: optional Name,
        /// The operations granted: `all`, or a list of their ids.
        operations: optional AllOr<OperationId>,
        /// `all`: every operation of every API.
        apis: optional All,
        /// The models granted: `all`, or a list of their names.
        models: optional AllOr<Name>,
    }
    later { scopes, tools, when }
}

/// Groups of operations, of which nothing says yet what belongs to them.
const GROUPS: [&str; 2] = ["read", "write"];

/// The id of an operation that is granted.
#[derive(Clone, Debug)]
pub(crate) struct OperationId(String);

impl Scalar for OperationId {
    const EXPECTS: &'static str = Token::EXPECTS;
    const LATER: &'static [&'static str] = &["groups such as `read`"];

    fn schema() -> serde_json::Value {
        Token::schema()
    }

    fn parse(text: &str) -> Result<Self, Fault> {
        Token::parse(text).map(|Token(id)| Self(id))
    }
}

/// The word `all`.
#[derive(Clone, Copy, Debug)]
pub(crate) struct All;
choice!(All: "all" => Self);

/// The consumers, and how they are known.
#[derive(Debug, Default)]
pub(crate) struct Consumers {
    pub(crate) list: Vec<crate::Consumer>,
    pub(crate) credentials: Credentials,
}

/// Checks every consumer.
pub(crate) fn compile(
    consumers: &[(String, Spanned<ConsumerFile>)],
    known: &Known<'_>,
    checker: &mut Checker,
) -> Consumers {
    let mut compiled = Consumers::default();
    let mut ledger = Ledger::default();
    for ((name, consumer), index) in consumers.iter().zip(0_u32..) {
        let plan = consumer
            .plan
            .as_ref()
            .and_then(|plan| known.plans.refer("plan", &plan.0, plan.span, &mut checker.reader));
        for credential in consumer.credentials.iter().flat_map(|list| &list.0) {
            ledger.add(name, index, credential, known, checker);
        }
        if let Some(credentials) = consumer
            .credentials
            .as_ref()
            .filter(|list| checker.lacks_items(list))
        {
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
                .help(
                    "give it a `jwt`, a `key` or a `certificate`, or limit the consumer with `environments`",
                );
        }
        let (operations, models) = grants(consumer, known, checker);
        // A refused grant is explained by what was granted; without a list, by the file.
        let granted = consumer.may.as_ref().map_or(consumer.span, |may| may.key_span);
        let origin = checker.report().origin(granted);
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
            operator: consumer
                .operator
                .as_ref()
                .map(|operator| operator.compile(checker)),
            origin,
        });
    }
    compiled.credentials = ledger.finish();
    compiled
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
                    .error(Code::Conflict, list.span, "`operations` needs an `api` beside it")
                    .help("write for example `{ api: petstore, operations: all }`");
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
    list: &AllOr<OperationId>,
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
                let names = operations.ids.keys().map(String::as_str);
                let near = nearest(&id.0, names.clone()).is_some();
                let mut help = remedy(&id.0, "operation", names);
                if !near {
                    help.push_str("; operations are named by their `operationId`");
                }
                let (code, message) = if GROUPS.contains(&id.0.as_str()) {
                    let group = quote(&id.0);
                    (
                        Code::NotBuilt,
                        format!("{group}, a group of operations, is not built yet"),
                    )
                } else {
                    let (api, id) = (quote(&api.0), quote(&id.0));
                    (
                        Code::UnknownReference,
                        format!("there is no operation in {api} called {id}"),
                    )
                };
                checker.report().error(code, id.span, message).help(help);
            }
        }
    }
    granted
}
