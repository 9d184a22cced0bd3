//! What is there and used by nobody.

use std::collections::BTreeSet;

use super::super::diagnostic::Code;
use super::super::secrets::quote;
use super::Judge;
use crate::{Grant, State};

pub(super) fn judge(judge: &mut Judge<'_>) {
    let consumers = &judge.subject.consumers.here;
    // Where nobody calls at all, such as in the sample for production, it is not said of each thing.
    if consumers.is_empty() {
        return;
    }
    let credentials = consumers
        .iter()
        .flat_map(|(_, consumer)| consumer.credentials.iter().flat_map(|list| &list.0));
    let named: BTreeSet<&str> = credentials
        .filter_map(|credential| Some(credential.jwt.as_ref()?.issuer.as_ref()?.0.as_str()))
        .collect();
    for (name, _) in &judge.subject.known.issuer_map.here {
        if !named.contains(name.value.as_str()) {
            judge
                .say(
                    Code::UnusedIssuer,
                    name.span,
                    format!("no consumer is known by a token of {}", quote(&name.value)),
                )
                .help("give a consumer a `jwt` of it, or remove it");
        }
    }
    let compiled = judge.subject.compiled;
    let operations = Granted::of(compiled.consumers.iter().map(|consumer| &consumer.operations));
    let models = Granted::of(compiled.consumers.iter().map(|consumer| &consumer.models));
    let (mut published, mut called) = (BTreeSet::new(), BTreeSet::new());
    for (index, operation) in (0_u32..).zip(&compiled.operations) {
        let api = usize::try_from(operation.api)
            .ok()
            .and_then(|api| compiled.apis.get(api));
        let Some(api) = api else { continue };
        published.insert(api.name.as_str());
        if operation.open_until.is_some() || operations.has(index) {
            called.insert(api.name.as_str());
        }
    }
    for (name, api) in &judge.subject.known.apis.here {
        if published.contains(name.as_str()) && !called.contains(name.as_str()) {
            let at = api.api.as_ref().map_or(api.span, |field| field.span);
            judge
                .say(
                    Code::UncallableApi,
                    at,
                    format!("no consumer may call {}", quote(name)),
                )
                .help(format!(
                    "grant it to one, `may: [{{ api: {name}, operations: all }}]`, or remove it"
                ));
        }
    }
    for ((name, model), (index, compiled_model)) in judge
        .subject
        .known
        .models
        .here
        .iter()
        .zip((0_u32..).zip(&compiled.models))
    {
        if compiled_model.lifecycle.state != State::Retired && !models.has(index) {
            let at = model.model.as_ref().map_or(model.span, |field| field.span);
            judge
                .say(
                    Code::UncallableModel,
                    at,
                    format!("no consumer may call {}", quote(name)),
                )
                .help(format!(
                    "grant it to one, `may: [{{ models: [{name}] }}]`, or remove it"
                ));
        }
    }
}

/// What anybody of some may use.
pub(super) struct Granted {
    all: bool,
    some: BTreeSet<u32>,
}

impl Granted {
    pub(super) fn of<'a>(grants: impl Iterator<Item = &'a Grant>) -> Self {
        let mut granted = Self {
            all: false,
            some: BTreeSet::new(),
        };
        for grant in grants {
            match grant {
                Grant::All => granted.all = true,
                Grant::Only(list) => granted.some.extend(list),
            }
        }
        granted
    }

    pub(super) fn has(&self, index: u32) -> bool {
        self.all || self.some.contains(&index)
    }
}
