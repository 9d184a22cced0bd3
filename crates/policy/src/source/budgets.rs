//! Whether what a budget reserves is known: how long an answer can be, and what it costs.
//!
//! Tokens and money are reserved at their upper bound before a call is made. Where a bound is not known
//! the limit could not be kept, so such a tree does not build.

use std::collections::{BTreeMap, BTreeSet};

use super::compile::{Checker, Known};
use super::diagnostic::{Code, Span};
use super::secrets::quote;
use crate::{Compiled, Grant, Limit, LimitKind, Model, Plan, ProviderKind, Unit};

/// What budgets a call of a model is under, and by which limit.
#[derive(Clone, Copy, Default)]
struct Under<'a> {
    any: Option<&'a Limit>,
    money: Option<&'a Limit>,
}

impl<'a> Under<'a> {
    fn of(model: Option<&'a Model>) -> Self {
        let mut under = Self::default();
        if let Some(model) = model {
            under.note(&model.limits, &model.name);
        }
        under
    }

    fn note(&mut self, limits: &'a [Limit], model: &str) {
        for limit in limits {
            if let LimitKind::Budget { unit, .. } = limit.kind
                && unit != Unit::Bytes
                && (limit.models.is_empty() || limit.models.iter().any(|one| one == model))
            {
                self.any = self.any.or(Some(limit));
                if unit == Unit::NanoUsd {
                    self.money = self.money.or(Some(limit));
                }
            }
        }
    }
}

/// Reports each model whose calls are under a budget that nothing bounds.
///
/// References lead to places among the files; of a tree with errors, fewer things were compiled than
/// there are files.
pub(crate) fn check(compiled: &Compiled, known: &Known<'_>, checker: &mut Checker) {
    let plans: BTreeMap<&str, &Plan> = compiled
        .plans
        .iter()
        .map(|plan| (plan.name.as_str(), plan))
        .collect();
    let by_name: BTreeMap<&str, &Model> = compiled
        .models
        .iter()
        .map(|model| (model.name.as_str(), model))
        .collect();
    let models: Vec<Option<&Model>> = known
        .models
        .here
        .iter()
        .map(|(name, _)| by_name.get(name.as_str()).copied())
        .collect();
    let mut everything = BTreeSet::new();
    let mut all: Vec<Under<'_>> = models.iter().map(|model| Under::of(*model)).collect();
    for consumer in &compiled.consumers {
        let plan = usize::try_from(consumer.plan).ok();
        let plan = plan.and_then(|plan| known.plans.here.get(plan));
        let Some(plan) = plan.and_then(|(name, _)| plans.get(name.as_str())) else {
            continue;
        };
        let granted: Vec<usize> = match &consumer.models {
            // Many consumers may call everything, on few plans.
            Grant::All if everything.insert(&plan.name) => (0..all.len()).collect(),
            Grant::All => Vec::new(),
            Grant::Only(granted) => granted
                .iter()
                .filter_map(|index| usize::try_from(*index).ok())
                .collect(),
        };
        for index in granted {
            if let (Some(under), Some(Some(model))) = (all.get_mut(index), models.get(index)) {
                under.note(&plan.limits, &model.name);
            }
        }
    }
    for ((model, under), (_, file)) in models.into_iter().zip(all).zip(&known.models.here) {
        let Some(model) = model else { continue };
        if let (Some(limit), None) = (under.any, model.max_output_tokens) {
            let at = file.model.as_ref().map_or(file.span, |name| name.span);
            let message = format!(
                "the answers of {} have no bound, and `{}` must reserve for them",
                quote(&model.name),
                limit.id
            );
            checker.report().error(Code::Unbounded, at, message).help(format!(
                "write `max_output_tokens: 16_000`, or what fits; the limit is in {}",
                limit.origin
            ));
        }
        if let Some(limit) = under.money {
            let at = file.targets.as_ref().map_or(file.span, |targets| targets.span);
            report_prices(compiled, known, model, limit, at, checker);
        }
    }
}

fn report_prices(
    compiled: &Compiled,
    known: &Known<'_>,
    model: &Model,
    limit: &Limit,
    at: Span,
    checker: &mut Checker,
) {
    for target in model.targets.iter().chain(&model.fallback) {
        let place = usize::try_from(target.provider).ok();
        let file = place.and_then(|place| known.providers.here.get(place));
        let provider = file.and_then(|(name, _)| compiled.providers.iter().find(|one| one.name == *name));
        let Some(provider) = provider.filter(|_| target.price.is_none()) else {
            continue;
        };
        // Scripted answers cost nothing, unless the policy says that they do.
        if provider.kind == ProviderKind::Mock {
            continue;
        }
        let name = format!("{}/{}", provider.name, target.model);
        let message = format!("{} has no price, and `{}` counts money", quote(&name), limit.id);
        checker
            .report()
            .error(Code::Unbounded, at, message)
            .help(format!(
                "write `{{ to: {name}, price: {{ input: 1.25 USD/Mtok, output: 10 USD/Mtok }} }}` with its prices; the limit is in {}",
                limit.origin
            ));
    }
}
