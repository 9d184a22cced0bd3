//! What holds for one operation or model in the end, with the lines that say so: everything from the
//! gateway's floor to the limits of its own.

use serde_json::{Value as Json, json};
use turnpike_policy::{
    Api, Compiled, Consumer, Handler, Lifecycle, Limit, Model, Operation, ProviderKind, SubjectPart,
    claim_name,
};

use crate::words::{self, at};

/// One thing that holds.
#[derive(Clone, Debug)]
pub(crate) struct Fact {
    /// What it is about: `scopes`.
    pub(crate) name: &'static str,
    /// What holds.
    pub(crate) value: String,
    /// Where it was written, where that is known.
    pub(crate) origin: String,
}

impl Fact {
    fn new(name: &'static str, value: impl Into<String>, origin: &str) -> Self {
        Self {
            name,
            value: value.into(),
            origin: origin.to_owned(),
        }
    }

    pub(crate) fn json(&self) -> Json {
        let mut json = json!({ "name": self.name, "value": self.value });
        if let (false, Some(map)) = (self.origin.is_empty(), json.as_object_mut()) {
            map.insert("origin".to_owned(), self.origin.clone().into());
        }
        json
    }
}

/// What holds for an operation; with a consumer, also what holds for its calls of it.
pub(crate) fn operation(compiled: &Compiled, index: u32, consumer: Option<u32>) -> Vec<Fact> {
    let Some(operation) = at(&compiled.operations, index) else {
        return Vec::new();
    };
    let Some(api) = at(&compiled.apis, operation.api) else {
        return Vec::new();
    };
    let mut facts = vec![
        Fact::new(
            "operation",
            format!("{} {}{}", operation.method.name(), api.base, operation.path),
            &operation.origin,
        ),
        Fact::new("owner", api.owner.as_str(), &api.origin),
    ];
    facts.extend(lifecycle(&api.lifecycle, &api.origin));
    facts.push(authentication(operation));
    facts.push(Fact::new(
        "scopes",
        words::or_none(operation.scopes.join(" ")),
        if operation.scopes.is_empty() {
            ""
        } else {
            &operation.origin
        },
    ));
    let rules = operation.rules.iter();
    facts.extend(rules.map(|rule| Fact::new("condition", rule.when.to_string(), &rule.origin)));
    facts.push(callers(compiled, |consumer| consumer.operations.allows(index)));
    facts.extend(limits(compiled, &api.limits, consumer));
    facts.extend(body(operation));
    facts.push(Fact::new(
        "headers passed on",
        words::or_none(
            [
                compiled.gateway.forward_headers.clone(),
                operation.forward_headers.clone(),
            ]
            .concat()
            .join(", "),
        ),
        "",
    ));
    facts.push(Fact::new(
        "query passed on",
        words::or_none(operation.forward_query.join(", ")),
        &operation.origin,
    ));
    facts.extend(answers(operation, api));
    facts
}

fn answers(operation: &Operation, api: &Api) -> Vec<Fact> {
    let mut facts = vec![Fact::new(
        "answered by",
        words::handler(&operation.handler),
        &api.origin,
    )];
    if let Handler::Proxy {
        timeouts, credential, ..
    } = &operation.handler
    {
        facts.push(Fact::new("timeout", words::duration(timeouts.first), &api.origin));
        let sent = credential.as_ref().map_or_else(String::new, |credential| {
            format!(
                "{}: {}{}",
                credential.header,
                credential.prefix,
                words::sent(&credential.value)
            )
        });
        facts.push(Fact::new("credential sent", words::or_none(sent), &api.origin));
        let told = api.upstream_headers.iter();
        let told = told.map(|told| format!("{}: {}", told.header, claim_name(&told.claim)));
        facts.extend(told.map(|told| Fact::new("upstream is told", told, &api.origin)));
    }
    facts
}

fn body(operation: &Operation) -> Vec<Fact> {
    if !operation.accepts_body {
        return vec![Fact::new("body", "none is taken", &operation.origin)];
    }
    let kinds = operation.content_types.join(", ");
    let kinds = if kinds.is_empty() {
        "any type".to_owned()
    } else {
        kinds
    };
    vec![Fact::new(
        "body",
        format!("{kinds}, at most {}", words::size(operation.max_body)),
        &operation.origin,
    )]
}

fn authentication(operation: &Operation) -> Fact {
    match operation.open_until {
        None => Fact::new("authentication", "required", ""),
        Some(until) => Fact::new(
            "authentication",
            format!("none until {}, by an exception", words::date(until)),
            &operation.origin,
        ),
    }
}

fn lifecycle(life: &Lifecycle, origin: &str) -> Vec<Fact> {
    let mut facts = vec![Fact::new("state", words::state(life.state), origin)];
    if let Some(at) = life.deprecated {
        facts.push(Fact::new("deprecated", words::date(at), origin));
    }
    if let Some(at) = life.sunset {
        facts.push(Fact::new("sunset", words::date(at), origin));
    }
    if let Some(successor) = &life.successor {
        facts.push(Fact::new("successor", successor.as_str(), origin));
    }
    facts
}

fn callers(compiled: &Compiled, allowed: impl Fn(&Consumer) -> bool) -> Fact {
    let names: Vec<_> = compiled
        .consumers
        .iter()
        .filter(|consumer| allowed(consumer))
        .map(|consumer| consumer.name.clone())
        .collect();
    Fact::new("granted to", words::or_none(names.join(", ")), "")
}

/// The limits that apply, all at once: of whom is called, and of who calls.
fn limits(compiled: &Compiled, own: &[Limit], consumer: Option<u32>) -> Vec<Fact> {
    let fact = |limit: &Limit, whose: &str| {
        Fact::new(
            "limit",
            match &*limit.subject {
                [SubjectPart::Consumer] => format!("{} {whose}", words::limit(limit)),
                _ => format!("{} {whose}, each {}", words::limit(limit), words::subject(limit)),
            },
            &limit.origin,
        )
    };
    let mut facts: Vec<_> = own.iter().map(|limit| fact(limit, "for each caller")).collect();
    let consumer = consumer.and_then(|index| at(&compiled.consumers, index));
    match consumer.and_then(|consumer| Some((consumer, at(&compiled.plans, consumer.plan)?))) {
        Some((consumer, plan)) => {
            let whose = format!("for {} (plan {})", consumer.name, plan.name);
            facts.extend(plan.limits.iter().map(|limit| fact(limit, &whose)));
        }
        None => facts.push(Fact::new("limit", "those of the caller's plan", "")),
    }
    facts
}

/// What holds for a model; with a consumer, also what holds for its calls of it.
pub(crate) fn model(compiled: &Compiled, index: u32, consumer: Option<u32>) -> Vec<Fact> {
    let Some(model) = at(&compiled.models, index) else {
        return Vec::new();
    };
    let mut facts = vec![
        Fact::new("model", model.name.as_str(), &model.origin),
        Fact::new("owner", model.owner.as_str(), &model.origin),
    ];
    facts.extend(lifecycle(&model.lifecycle, &model.origin));
    facts.push(Fact::new("authentication", "required", ""));
    facts.push(callers(compiled, |consumer| consumer.models.allows(index)));
    facts.extend(limits(compiled, &model.limits, consumer));
    facts.push(Fact::new(
        "body",
        format!("application/json, at most {}", words::size(model.max_body)),
        &model.origin,
    ));
    if let Some(tokens) = model.max_output_tokens {
        facts.push(Fact::new(
            "output",
            format!("at most {tokens} tokens"),
            &model.origin,
        ));
    }
    facts.extend(targets(compiled, model));
    facts.push(Fact::new(
        "retry",
        format!(
            "{} on each target, for {}",
            match model.retry.attempts {
                1 => "1 attempt".to_owned(),
                more => format!("{more} attempts"),
            },
            words::or_none(words::reasons(&model.retry.on))
        ),
        &model.origin,
    ));
    let timeouts = &model.timeouts;
    facts.push(Fact::new(
        "timeouts",
        format!(
            "first token {}, idle {}, total {}",
            words::duration(timeouts.first),
            words::duration(timeouts.idle),
            words::duration(timeouts.total)
        ),
        &model.origin,
    ));
    facts
}

fn targets(compiled: &Compiled, model: &Model) -> Vec<Fact> {
    let all: u64 = model.targets.iter().map(|target| u64::from(target.weight)).sum();
    let place = |target: &turnpike_policy::Target| {
        at(&compiled.providers, target.provider)
            .filter(|provider| matches!(provider.kind, ProviderKind::OpenAi { .. }))
            .map_or_else(|| model.origin.clone(), |provider| provider.origin.clone())
    };
    let targets = model.targets.iter().map(|target| {
        let share = (u64::from(target.weight) * 100).checked_div(all).unwrap_or(100);
        let name = words::target(compiled, target);
        Fact::new("target", format!("{name} ({share}%)"), &place(target))
    });
    let fallback = model
        .fallback
        .iter()
        .map(|target| Fact::new("fallback", words::target(compiled, target), &place(target)));
    targets.chain(fallback).collect()
}
