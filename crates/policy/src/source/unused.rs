//! What a tree holds and nothing refers to.

use std::collections::BTreeSet;

use super::catalogue::Catalogue;
use super::compile::{Checker, Known};
use super::consumers::ConsumerFile;
use super::diagnostic::{Code, Span};
use super::gateway::GatewayFile;
use super::models::Used;
use super::reader::Spanned;
use super::secrets::quote;
use super::templates::Templates;
use crate::Compiled;

/// A deployment that answers nothing is seldom meant.
pub(super) fn report_empty(file: Option<&Spanned<GatewayFile>>, compiled: &Compiled, checker: &mut Checker) {
    let empty = compiled.operations.is_empty() && compiled.models.is_empty();
    if let Some(file) = file.filter(|_| empty && !checker.reader.report.failed()) {
        let at = file.gateway.as_ref().map_or(file.span, |name| name.span);
        let environment = quote(&checker.reader.environment);
        checker
            .report()
            .warning(
                Code::AnswersNothing,
                at,
                format!("in {environment} this gateway answers nothing: it has no operation and no model"),
            )
            .help("items with `environments` exist in those only");
    }
}

/// Names plans, providers, mocks and variables that nothing refers to.
pub(super) fn report(
    known: &Known<'_>,
    used: &Used,
    consumers: &Catalogue<ConsumerFile>,
    templates: &Templates,
    checker: &mut Checker,
) {
    let plans: BTreeSet<&str> = consumers
        .here
        .iter()
        .filter_map(|(_, consumer)| consumer.plan.as_ref())
        .map(|plan| plan.0.as_str())
        .collect();
    let mut unused: Vec<(Span, String)> = Vec::new();
    // A tree without consumers, such as the sample's for production, is not scolded for its plans.
    let idle = known
        .plans
        .here
        .iter()
        .filter(|(name, _)| !plans.is_empty() && !plans.contains(name.as_str()));
    for (name, plan) in idle {
        unused.push((
            plan.plan.as_ref().map_or(plan.span, |f| f.span),
            format!("no consumer is on the plan {}", quote(name)),
        ));
    }
    for (name, provider) in known
        .providers
        .here
        .iter()
        .filter(|(name, _)| !used.providers.contains(name))
    {
        let at = provider.provider.as_ref().map_or(provider.span, |f| f.span);
        unused.push((at, format!("no model runs on the provider {}", quote(name))));
    }
    for (name, mock) in known
        .mocks
        .here
        .iter()
        .filter(|(name, _)| !used.mocks.contains(name))
    {
        unused.push((
            mock.mock.as_ref().map_or(mock.span, |f| f.span),
            format!("no model is answered by the mock {}", quote(name)),
        ));
    }
    let idle = templates
        .known
        .here
        .iter()
        .filter(|(name, _)| !templates.used.contains(name));
    for (name, template) in idle {
        unused.push((
            template.template.as_ref().map_or(template.span, |f| f.span),
            format!("nothing builds on the template {}", quote(name)),
        ));
    }
    unused.extend(checker.overlay.unused());
    for (span, message) in unused {
        checker
            .report()
            .warning(Code::Unused, span, message)
            .help("use it or remove it");
    }
    let file = checker.reader.variables.file.clone();
    let variables = std::mem::take(&mut checker.reader.variables);
    for (name, value) in variables
        .values
        .iter()
        .filter(|(name, _)| !variables.used.contains(*name))
    {
        checker
            .report()
            .warning(
                Code::Unused,
                value.span,
                format!("no text refers to `${{{name}}}` of `{file}`"),
            )
            .help("use it or remove it");
    }
}
