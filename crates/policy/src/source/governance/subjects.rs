//! Whom `claims.sub` names: somebody within their issuer alone (RFC 7519, 4.1.2), so that where tokens of several
//! issuers open the same thing, two people may have one name.

use std::collections::BTreeSet;

use super::super::apis::ApiFile;
use super::super::conditions::ConditionText;
use super::super::containers::AllOr;
use super::super::diagnostic::{Code, Report, Span};
use super::super::issuers::{Issuer, KeySource};
use super::super::models::ModelFile;
use super::super::reader::Spanned;
use super::super::relations::EntityFields;
use super::super::scalars::Token;
use super::super::secrets::quote;
use super::used::Granted;
use super::{Judge, Subject};
use crate::{Condition, Operand, Operation, Rule, State};

/// What consumers may call who are known by tokens of an issuer.
struct Callers<'a> {
    issuer: &'a str,
    operations: Granted,
    models: Granted,
}

/// A place that takes `claims.sub` for somebody.
struct Use<'a> {
    at: Span,
    /// Of which operations; none: all of the API.
    operations: Option<&'a AllOr<Token>>,
    help: &'static str,
}

const COMPARE: &str = "compare `claims.iss` as well, as in `when: claims.iss == 'https://...'`, or grant it to consumers of one issuer";
const TELL: &str =
    "tell `claims.iss` in a header as well, compare it in a `when`, or grant it to consumers of one issuer";

pub(super) fn judge(judge: &mut Judge<'_>) {
    let subject = judge.subject;
    let callers = callers(subject);
    if callers.len() < 2 {
        return;
    }
    // What a template says is said once, however many build on it.
    let mut said = BTreeSet::new();
    for (name, api) in &subject.known.apis.here {
        let uses = uses(api, judge.report);
        if uses.is_empty() {
            continue;
        }
        let open = operations(name, subject, &callers);
        for one in uses {
            let found = open
                .iter()
                .find(|(operation, _)| names(one.operations, operation));
            if let Some((operation, issuers)) = found
                && said.insert(one.at)
            {
                say(judge, one.at, one.help, &operation.id, *issuers);
            }
        }
    }
    let compiled = (0_u32..).zip(&subject.compiled.models);
    for ((name, file), (index, model)) in subject.known.models.here.iter().zip(compiled) {
        if model.lifecycle.state == State::Retired || compares_issuers(&model.rules) {
            continue;
        }
        if let Some(issuers) = several(&callers, |one| one.models.has(index)) {
            for at in of_model(file, judge.report) {
                if said.insert(at) {
                    say(judge, at, COMPARE, name, issuers);
                }
            }
        }
    }
}

fn say(judge: &mut Judge<'_>, at: Span, help: &str, what: &str, (one, other): (&str, &str)) {
    let message = format!(
        "`claims.sub` may be one person in tokens of {} and another in those of {}, and both may call {}",
        quote(one),
        quote(other),
        quote(what)
    );
    judge.say(Code::SharedSubject, at, message).help(help);
}

/// The issuers by whose tokens consumers are known, but for that of development: what is signed by it is made up anyway.
fn callers<'a>(subject: &'a Subject<'_>) -> Vec<Callers<'a>> {
    let compiled = subject.compiled;
    let issuers = subject.known.issuer_map.here.iter();
    let known = issuers.filter(|(_, issuer)| !is_development(issuer));
    let callers = known.filter_map(|(name, _)| {
        let index = *subject.known.issuers.get(&name.value)?;
        let identities = compiled.identities.iter().filter(|one| one.issuer == index);
        let consumers: BTreeSet<u32> = identities.map(|one| one.consumer).collect();
        let consumers = || {
            let places = consumers.iter().filter_map(|at| usize::try_from(*at).ok());
            places.filter_map(|at| compiled.consumers.get(at))
        };
        consumers().next()?;
        Some(Callers {
            issuer: &name.value,
            operations: Granted::of(consumers().map(|consumer| &consumer.operations)),
            models: Granted::of(consumers().map(|consumer| &consumer.models)),
        })
    });
    callers.collect()
}

fn is_development(issuer: &Issuer) -> bool {
    let source = issuer.jwks.as_ref();
    source.is_some_and(|source| matches!(source.value, KeySource::Development))
}

/// Two issuers whose consumers may call something.
fn several<'a>(callers: &[Callers<'a>], may: impl Fn(&Callers<'a>) -> bool) -> Option<(&'a str, &'a str)> {
    let mut found = callers.iter().filter(|one| may(one)).map(|one| one.issuer);
    Some((found.next()?, found.next()?))
}

/// The operations of an API that callers of several issuers may call, whichever it is.
fn operations<'a>(
    name: &str,
    subject: &Subject<'a>,
    callers: &[Callers<'a>],
) -> Vec<(&'a Operation, (&'a str, &'a str))> {
    let compiled = subject.compiled;
    let versions = (0_u32..).zip(&compiled.apis);
    let versions = versions.filter(|(_, api)| api.name == name && api.lifecycle.state != State::Retired);
    let versions: BTreeSet<u32> = versions.map(|(index, _)| index).collect();
    let all = (0_u32..).zip(&compiled.operations);
    let open = all.filter(|(_, one)| versions.contains(&one.api) && !compares_issuers(&one.rules));
    open.filter_map(|(index, operation)| {
        let issuers = several(callers, |one| one.operations.has(index))?;
        Some((operation, issuers))
    })
    .collect()
}

fn names(operations: Option<&AllOr<Token>>, operation: &Operation) -> bool {
    match operations {
        None | Some(AllOr::All) => true,
        Some(AllOr::Only(list)) => list.0.iter().any(|id| id.0 == operation.id),
    }
}

fn uses<'a>(api: &'a ApiFile, report: &mut Report) -> Vec<Use<'a>> {
    let mut uses = Vec::new();
    for entry in api.authorize.iter().flat_map(|list| &list.0) {
        let Some(operations) = &entry.operations else {
            continue;
        };
        let relation = entry.relation.iter();
        let entities = relation.flat_map(|asked| [&asked.subject, &asked.resource]);
        let mut places: Vec<Span> = entities
            .flatten()
            .filter_map(|entity| subject_of(entity, report))
            .collect();
        places.extend(entry.when.as_ref().and_then(|when| subject_in(when, report)));
        uses.extend(places.into_iter().map(|at| Use {
            at,
            operations: Some(&operations.value),
            help: COMPARE,
        }));
    }
    let headers = api.upstream_headers.iter().flat_map(|map| &map.here);
    let told: Vec<(Span, Vec<String>)> = headers
        .filter_map(|(_, claim)| Some((claim.span, claim.value.check(None, report)?)))
        .collect();
    if !told.iter().any(|(_, path)| is(path, "iss")) {
        let subjects = told.iter().filter(|(_, path)| is(path, "sub"));
        uses.extend(subjects.map(|(at, _)| Use {
            at: *at,
            operations: None,
            help: TELL,
        }));
    }
    uses
}

fn of_model(model: &ModelFile, report: &mut Report) -> Vec<Span> {
    let entries = model.authorize.iter().flat_map(|list| &list.0);
    let conditions = entries.filter_map(|entry| entry.when.as_ref());
    conditions.filter_map(|when| subject_in(when, report)).collect()
}

/// Where a part of a relation is named by `claims.sub`.
fn subject_of(entity: &EntityFields, report: &mut Report) -> Option<Span> {
    let id = entity.id.as_ref()?;
    match id.value.check(None, report)? {
        Operand::Claim(path) if is(&path, "sub") => Some(id.span),
        _ => None,
    }
}

/// Where a condition looks at `claims.sub`.
fn subject_in(when: &Spanned<ConditionText>, report: &mut Report) -> Option<Span> {
    let condition = when.value.check(None, report).condition?;
    looks_at(&condition, "sub").then_some(when.span)
}

/// Whether one of the conditions, all of which must hold, says whose token it must be.
fn compares_issuers(rules: &[Rule]) -> bool {
    rules.iter().any(|rule| looks_at(&rule.when, "iss"))
}

fn looks_at(condition: &Condition, claim: &str) -> bool {
    let mut found = false;
    condition.operands(&mut |operand| found |= matches!(operand, Operand::Claim(path) if is(path, claim)));
    found
}

fn is(path: &[String], claim: &str) -> bool {
    matches!(path, [one] if one == claim)
}
