//! What is there and used by nobody.

use std::collections::BTreeSet;

use super::super::diagnostic::{Code, Span};
use super::super::secrets::quote;
use super::Judge;
use crate::{Grant, State};

pub(super) fn judge(judge: &mut Judge<'_>) {
    issuers(judge);
    apis(judge);
    models(judge);
}

/// Issuers by whose tokens nobody is known; where there is no consumer at all, that says it.
fn issuers(judge: &mut Judge<'_>) {
    let consumers = &judge.subject.consumers.here;
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
}

fn apis(judge: &mut Judge<'_>) {
    let compiled = judge.subject.compiled;
    let operations = Granted::of(compiled.consumers.iter().map(|consumer| &consumer.operations));
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
    let known = judge.subject.known.apis.here.iter();
    let uncallable = known
        .filter(|(name, _)| published.contains(name.as_str()) && !called.contains(name.as_str()))
        .map(|(name, api)| (name, api.api.as_ref().map_or(api.span, |field| field.span)))
        .collect();
    say(Code::UncallableApi, uncallable, "API", judge, |name| {
        format!("`may: [{{ api: {name}, operations: all }}]`")
    });
}

fn models(judge: &mut Judge<'_>) {
    let compiled = judge.subject.compiled;
    let models = Granted::of(compiled.consumers.iter().map(|consumer| &consumer.models));
    let known = judge.subject.known.models.here.iter();
    let uncallable = known
        .zip((0_u32..).zip(&compiled.models))
        .filter(|(_, (index, model))| model.lifecycle.state != State::Retired && !models.has(*index))
        .map(|((name, model), _)| {
            let at = model.model.as_ref().map_or(model.span, |field| field.span);
            (name, at)
        })
        .collect();
    say(Code::UncallableModel, uncallable, "model", judge, |name| {
        format!("`may: [{{ models: [{name}] }}]`")
    });
}

/// Says of each of these that nobody may call it; once of all of them, where there is nobody at all.
fn say(
    code: Code,
    uncallable: Vec<(&String, Span)>,
    what: &str,
    judge: &mut Judge<'_>,
    grant: fn(&str) -> String,
) {
    if !judge.subject.consumers.here.is_empty() {
        for (name, at) in uncallable {
            judge
                .say(code, at, format!("no consumer may call {}", quote(name)))
                .help(format!("grant it to one, {}, or remove it", grant(name)));
        }
        return;
    }
    let count = uncallable.len();
    let Some((name, at)) = uncallable.into_iter().next() else {
        return;
    };
    let others = match count {
        1 => String::new(),
        2 => format!(", nor another {what}"),
        _ => format!(", nor {} other {what}s", count - 1),
    };
    let message = format!(
        "nobody may call {}{others}: {} has no consumer",
        quote(name),
        quote(&judge.subject.compiled.gateway.environment)
    );
    judge
        .say(code, at, message)
        .help(format!("add one that may, with {}", grant(name)));
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
