//! Models and providers: what happens when a target fails, and what an answer costs.

use std::collections::{BTreeMap, BTreeSet};

use super::super::diagnostic::Code;
use super::super::models::{ModelFile, TargetFields, TargetName};
use super::super::providers::{ProviderFile, Wire};
use super::super::reader::Spanned;
use super::super::secrets::quote;
use super::{Judge, host, is_local};
use crate::State;

const LONG_ANSWER: u64 = 10 * 60 * 1000;

pub(super) fn judge(judge: &mut Judge<'_>) {
    for (name, model) in &judge.subject.known.models.here {
        let retired = model
            .state
            .as_ref()
            .is_some_and(|state| state.value.0 == State::Retired);
        if !retired {
            model_alone(name, model, judge);
        }
    }
    providers(judge);
}

fn places(
    list: Option<&Spanned<super::super::containers::List<TargetFields>>>,
) -> Vec<(&TargetFields, &Spanned<TargetName>)> {
    let items = list.into_iter().flat_map(|list| &list.0);
    items
        .filter_map(|target| Some((&target.value, target.to.as_ref()?)))
        .collect()
}

fn is_mock(provider: &str, judge: &Judge<'_>) -> bool {
    let providers = &judge.subject.known.providers;
    let at = providers
        .position(provider)
        .and_then(|at| usize::try_from(at).ok());
    let found = at.and_then(|at| providers.here.get(at));
    found.is_none_or(|(_, file)| file.wire.as_ref().is_none_or(|wire| wire.value == Wire::Mock))
}

fn model_alone(name: &str, model: &Spanned<ModelFile>, judge: &mut Judge<'_>) {
    let at = model.model.as_ref().map_or(model.span, |field| field.span);
    let targets = places(model.targets.as_ref());
    let fallback = places(model.fallback.as_ref());
    let real = |to: &TargetName, judge: &Judge<'_>| !is_mock(&to.provider, judge);
    let paid = targets.iter().any(|(_, to)| real(to, judge));
    if paid && targets.len() == 1 && fallback.is_empty() {
        judge
            .say(
                Code::NoFallback,
                at,
                format!("{} has nowhere to go when its target fails", quote(name)),
            )
            .help("write `fallback: [provider/model]`, or a second target");
    }
    for (target, to) in targets.iter().chain(&fallback) {
        if target.price.is_none() && real(to, judge) {
            let shown = format!("{}/{}", to.provider, to.model);
            judge
                .say(Code::NoPrice, to.span, format!("{} has no price", quote(&shown)))
                .help(format!("write `{{ to: {shown}, price: {{ input: 1.25 USD/Mtok, output: 10 USD/Mtok }} }}` with its prices"));
        }
    }
    if paid && model.max_output_tokens.is_none() {
        judge
            .say(
                Code::NoOutputBound,
                at,
                format!("the answers of {} have no upper bound", quote(name)),
            )
            .help("write for example `max_output_tokens: 16_000`");
    }
    let long = model
        .timeouts
        .as_ref()
        .and_then(|timeouts| timeouts.total.as_ref());
    if let Some(long) = long.filter(|total| total.0 > LONG_ANSWER) {
        judge
            .say(
                Code::LongAnswer,
                long.span,
                format!("{} may take longer than ten minutes", quote(name)),
            )
            .help("write what its callers wait for");
    }
    for (_, to) in &fallback {
        let same = |(_, other): &&(&TargetFields, &Spanned<TargetName>)| {
            (&other.provider, &other.model) == (&to.provider, &to.model)
        };
        if let Some((_, tried)) = targets.iter().find(same).filter(|_| targets.len() == 1) {
            judge
                .say(
                    Code::IdleFallback,
                    to.span,
                    "this fallback is the target that has just failed",
                )
                .label(tried.span, "the target")
                .help("write another one, or raise `retry.attempts`");
        } else if paid && !real(to, judge) {
            judge
                .say(Code::CannedFallback, to.span, "a mock stands in for a real model")
                .help("limit it with `environments`, or remove it: a refusal is the truth");
        } else if targets.iter().all(|(_, other)| other.provider == to.provider) && real(to, judge) {
            judge
                .say(
                    Code::OneProvider,
                    to.span,
                    format!("{} stands in for itself", quote(&to.provider)),
                )
                .help("name a model of another provider");
        }
    }
}

fn providers(judge: &mut Judge<'_>) {
    let mut first: BTreeMap<(&str, &str), (&str, super::super::diagnostic::Span)> = BTreeMap::new();
    let real = |file: &ProviderFile| file.wire.as_ref().is_some_and(|wire| wire.value != Wire::Mock);
    let here = judge.subject.known.providers.here.iter();
    for (name, provider) in here.filter(|(_, file)| real(file)) {
        let Some(url) = &provider.base_url else { continue };
        let host = host(&url.0);
        if !url.is_https() && !is_local(host) {
            judge
                .say(
                    Code::PlainUpstream,
                    url.span,
                    format!("{} is reached without TLS", quote(host)),
                )
                .help("write `https://`");
        }
        if is_local(host) && !judge.http_upstreams {
            judge
                .say(
                    Code::LocalUpstream,
                    url.span,
                    format!("{} is no place that a deployed gateway can reach", quote(host)),
                )
                .help("name the provider by its host, or limit it to development with `environments`");
        }
        let Some(secret) = &provider.secret else {
            if provider.grant.is_some() {
                continue;
            }
            let at = provider
                .provider
                .as_ref()
                .map_or(provider.span, |field| field.span);
            judge
                .say(
                    Code::AnonymousProvider,
                    at,
                    format!("the gateway does not identify to {}", quote(name)),
                )
                .help("write `secret: NAME_OF_A_WORKER_SECRET`");
            continue;
        };
        let (other, at) = *first.entry((&url.0, &secret.0)).or_insert((name, url.span));
        if other != name {
            judge
                .say(
                    Code::TwinProviders,
                    url.span,
                    format!("{} and {} are the same place", quote(other), quote(name)),
                )
                .label(at, "the other one")
                .help("keep one, and let targets name it");
        }
    }
}

/// Models of which a call costs money: those with a target that has a price.
pub(super) fn priced(judge: &Judge<'_>) -> BTreeSet<u32> {
    let models = (0_u32..).zip(&judge.subject.compiled.models);
    models
        .filter(|(_, model)| {
            model
                .targets
                .iter()
                .chain(&model.fallback)
                .any(|target| target.price.is_some())
        })
        .map(|(index, _)| index)
        .collect()
}
