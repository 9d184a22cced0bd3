//! Consumers: what they may use, and how long their keys are good for.

use super::super::consumers::ConsumerFile;
use super::super::containers::AllOr;
use super::super::diagnostic::Code;
use super::super::reader::Spanned;
use super::super::secrets::quote;
use super::{Judge, YEAR, models};
use crate::{Limit, LimitKind};

pub(super) fn judge(judge: &mut Judge<'_>) {
    let priced = models::priced(judge);
    let compiled = &judge.subject.compiled.consumers;
    for ((name, consumer), compiled) in judge.subject.consumers.here.iter().zip(compiled) {
        let at = consumer
            .consumer
            .as_ref()
            .map_or(consumer.span, |field| field.span);
        grants(name, consumer, judge);
        credentials(name, consumer, judge);
        let budget = |limits: &[Limit]| {
            limits
                .iter()
                .any(|limit| matches!(limit.kind, LimitKind::Budget { .. }))
        };
        let plan = usize::try_from(compiled.plan)
            .ok()
            .and_then(|plan| judge.subject.compiled.plans.get(plan));
        if plan.is_none_or(|plan| budget(&plan.limits)) {
            continue;
        }
        let free = (0_u32..)
            .zip(&judge.subject.compiled.models)
            .find(|(index, model)| {
                priced.contains(index) && compiled.models.allows(*index) && !budget(&model.limits)
            });
        if let Some((_, model)) = free {
            judge
                .say(
                    Code::NoBudget,
                    at,
                    format!("{} may call {} without a limit of tokens or money", quote(name), quote(&model.name)),
                )
                .help("add `{ tokens: 2_000_000/day }` or `{ spend: 50 USD/month }` to its plan, or to the model");
        }
    }
}

fn grants(name: &str, consumer: &Spanned<ConsumerFile>, judge: &mut Judge<'_>) {
    let at = consumer
        .consumer
        .as_ref()
        .map_or(consumer.span, |field| field.span);
    let grants = consumer.may.as_ref();
    if grants.is_some_and(|list| list.0.is_empty()) && consumer.operator.is_none() {
        judge
            .say(
                Code::GrantedNothing,
                at,
                format!("{} may use nothing", quote(name)),
            )
            .help("write what it needs under `may`, or remove it");
    }
    for grant in grants.iter().flat_map(|list| &list.0) {
        let all = grant.apis.as_ref().map(|all| (all.span, "APIs"));
        let models = grant
            .models
            .as_ref()
            .filter(|models| matches!(models.value, AllOr::All));
        let all = all.or(models.map(|models| (models.span, "models")));
        if let Some((span, what)) = all {
            judge
                .say(
                    Code::GrantedAll,
                    span,
                    format!(
                        "{} may use all {what}, those that are yet to come included",
                        quote(name)
                    ),
                )
                .help("list what it needs");
        }
    }
}

fn credentials(name: &str, consumer: &ConsumerFile, judge: &mut Judge<'_>) {
    let list = || consumer.credentials.iter().flat_map(|list| &list.0);
    for certificate in list().filter_map(|credential| credential.certificate.as_ref()) {
        if let Some(subject) = &certificate.subject {
            judge
                .say(
                    Code::SubjectCertificate,
                    subject.span,
                    format!("{} is known by the subject of a certificate", quote(name)),
                )
                .help("name the key as `spki_sha256`; two of them overlap while one replaces the other");
        }
    }
    for key in list().filter_map(|credential| credential.key.as_ref()) {
        match &key.expires {
            None => {
                judge
                    .say(
                        Code::EndlessKey,
                        key.span,
                        format!("a key of {} has no last day", quote(name)),
                    )
                    .help("write `expires: <date>`");
            }
            Some(end) if end.0 > judge.as_of.saturating_add(YEAR) => {
                judge
                    .say(
                        Code::LongKey,
                        end.span,
                        format!("a key of {} is good for more than a year", quote(name)),
                    )
                    .help("write a nearer date: a consumer may have two keys while one replaces the other");
            }
            Some(_) => {}
        }
    }
    let keys = list().find_map(|credential| credential.key.as_ref());
    let only = list().all(|credential| credential.jwt.is_none() && credential.certificate.is_none());
    if let Some(key) = keys.filter(|_| only) {
        judge
            .say(
                Code::KeysOnly,
                key.span,
                format!("{} is known by API keys only", quote(name)),
            )
            .help("let it fetch tokens of an issuer, and name them by `jwt`");
    }
}
