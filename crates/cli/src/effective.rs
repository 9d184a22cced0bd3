//! What holds for one operation or model in the end, with the lines that say so: everything from the
//! gateway's floor to the limits of its own.

use std::collections::BTreeSet;
use std::path::Path;

use serde_json::{Value as Json, json};
use turnpike_policy::{
    Api, Compiled, Consumer, Handler, Lifecycle, Limit, LimitKind, Model, Operation, Plan, Rule, SubjectPart,
    Unit, claim_name,
};

use crate::lines::Lines;
use crate::tree;
use crate::words::{self, at};

/// How many consumers are named at an operation or a model.
const MOST_GRANTS: usize = 20;

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

    /// One whose line was looked up: without one, nobody wrote it.
    fn at(name: &'static str, value: impl Into<String>, line: Option<String>) -> Self {
        Self {
            name,
            value: value.into(),
            origin: line.unwrap_or_default(),
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

/// Facts with their places as diagnostics name them, instead of as the bundle does.
pub(crate) fn placed(mut facts: Vec<Fact>, root: &Path) -> Vec<Fact> {
    for fact in &mut facts {
        fact.origin = tree::place(root, &fact.origin);
    }
    facts
}

/// What holds for an operation; with a consumer, also what holds for its calls of it.
pub(crate) fn operation(compiled: &Compiled, index: u32, consumer: Option<u32>, lines: &Lines) -> Vec<Fact> {
    let Some(operation) = at(&compiled.operations, index) else {
        return Vec::new();
    };
    let Some(api) = at(&compiled.apis, operation.api) else {
        return Vec::new();
    };
    let mut facts = vec![
        Fact::new("operation", words::request(api, operation), &operation.origin),
        Fact::at("owner", api.owner.as_str(), lines.api(api, &["owner"])),
    ];
    facts.extend(lifecycle(&api.lifecycle, |field| lines.version(api, field)));
    facts.push(authentication(operation, api, lines));
    facts.extend(scopes((&operation.scopes, &operation.scopes_origin), |scope| {
        lines.scope(api, operation, scope)
    }));
    facts.extend(conditions(&operation.rules));
    let relation = operation.relation.iter();
    facts.extend(relation.map(|asked| Fact::new("relation", asked.to_string(), &asked.origin)));
    facts.extend(granted(
        compiled,
        |consumer| consumer.operations.allows(index),
        |consumer| lines.grants(consumer, api, operation),
    ));
    let caller = match operation.open_until {
        None => Payer::Caller(consumer),
        Some(_) => Payer::Nobody,
    };
    let of_models =
        |limit: &Limit| matches!(limit.kind, LimitKind::Budget { unit, .. } if unit != Unit::Bytes);
    let its = Limited {
        own: &api.limits,
        holds: &|limit| limit.models.is_empty() && !of_models(limit),
        allowed: &|consumer| consumer.operations.allows(index),
    };
    facts.extend(limits(compiled, &its, caller, lines));
    facts.push(body(operation, api, lines));
    facts.extend(passed_on(compiled, operation, lines));
    facts.extend(answers(operation, api, lines));
    facts
}

fn conditions(rules: &[Rule]) -> impl Iterator<Item = Fact> {
    rules
        .iter()
        .map(|rule| Fact::new("condition", rule.when.to_string(), &rule.origin))
}

/// The scopes that are asked for, by the line that asks for them.
fn scopes((scopes, origin): (&[String], &str), line: impl Fn(&str) -> Option<String>) -> Vec<Fact> {
    let mut by_line: Vec<(String, Vec<&str>)> = Vec::new();
    for scope in scopes {
        let line = line(scope).unwrap_or_else(|| origin.to_owned());
        match by_line.iter_mut().find(|(known, _)| *known == line) {
            Some((_, scopes)) => scopes.push(scope),
            None => by_line.push((line, vec![scope])),
        }
    }
    if by_line.is_empty() {
        return vec![Fact::new("scopes", "none", "")];
    }
    let facts = by_line
        .into_iter()
        .map(|(line, scopes)| Fact::new("scopes", scopes.join(" "), &line));
    facts.collect()
}

/// The headers and query parameters that reach the upstream: of the floor, and of the document.
fn passed_on(compiled: &Compiled, operation: &Operation, lines: &Lines) -> Vec<Fact> {
    let named = || {
        let line = lines.document(operation, "parameters");
        line.or_else(|| Some(operation.origin.clone()))
    };
    let floor = lines.gateway(&["floor", "forward_headers"]);
    let all = words::or_none(compiled.gateway.forward_headers.join(", "));
    let mut facts = vec![Fact::at("headers passed on", all, floor)];
    if !operation.forward_headers.is_empty() {
        let own = operation.forward_headers.join(", ");
        facts.push(Fact::at("headers passed on", own, named()));
    }
    let query = words::or_none(operation.forward_query.join(", "));
    facts.push(Fact::at("query passed on", query, named()));
    facts
}

fn answers(operation: &Operation, api: &Api, lines: &Lines) -> Vec<Fact> {
    let field = match operation.handler {
        Handler::Mock(_) => "mock",
        Handler::Proxy { .. } => "upstream",
    };
    let mut facts = vec![Fact::at(
        "answered by",
        words::handler(&operation.handler),
        lines.version(api, field),
    )];
    if let Handler::Proxy {
        timeouts, credential, ..
    } = &operation.handler
    {
        let first = ["timeouts", "first_byte"];
        let line = lines
            .operation(api, operation, &first)
            .or_else(|| lines.field(&api.origin, &["versions", &api.version, "timeouts", "first_byte"]))
            .or_else(|| lines.api(api, &first));
        facts.push(Fact::at("timeout", words::duration(timeouts.first), line));
        facts.push(match credential {
            Some(credential) => Fact::at(
                "credential sent",
                format!(
                    "{}: {}{}",
                    credential.header,
                    credential.prefix,
                    words::sent(&credential.value)
                ),
                lines.version(api, "upstream_credential"),
            ),
            None => Fact::new("credential sent", "none", ""),
        });
        facts.extend(api.upstream_headers.iter().map(|told| {
            let line = lines.api(api, &["upstream_headers", &told.header]);
            let line = line.or_else(|| lines.api(api, &["upstream_headers"]));
            let told = format!("{}: {}", told.header, claim_name(&told.claim));
            Fact::at("upstream is told", told, line)
        }));
    }
    facts
}

fn body(operation: &Operation, api: &Api, lines: &Lines) -> Fact {
    if !operation.accepts_body {
        return Fact::new("body", "none is taken", &operation.origin);
    }
    let kinds = operation.content_types.join(", ");
    let kinds = if kinds.is_empty() {
        "any type".to_owned()
    } else {
        kinds
    };
    let line = lines
        .operation(api, operation, &["max_body"])
        .or_else(|| lines.api(api, &["max_body"]))
        .or_else(|| lines.gateway(&["floor", "max_body"]));
    let most = words::size(operation.max_body);
    Fact::at("body", format!("{kinds}, at most {most}"), line)
}

fn authentication(operation: &Operation, api: &Api, lines: &Lines) -> Fact {
    match operation.open_until {
        None => Fact::at(
            "authentication",
            "required",
            lines
                .api(api, &["authentication"])
                .or_else(|| lines.gateway(&["floor", "authentication"])),
        ),
        Some(until) => Fact::at(
            "authentication",
            format!("none until {}, by an exception", words::last(until)),
            lines
                .exception("authentication", &format!("apis/{}", api.name))
                .or_else(|| Some(operation.origin.clone())),
        ),
    }
}

fn lifecycle(cycle: &Lifecycle, line: impl Fn(&str) -> Option<String>) -> Vec<Fact> {
    let mut facts = vec![Fact::at("state", words::state(cycle.state), line("state"))];
    if let Some(at) = cycle.deprecated {
        facts.push(Fact::at("deprecated", words::date(at), line("deprecated")));
    }
    if let Some(at) = cycle.sunset {
        facts.push(Fact::at("sunset", words::date(at), line("sunset")));
    }
    if let Some(successor) = &cycle.successor {
        facts.push(Fact::at("successor", successor.as_str(), line("successor")));
    }
    facts
}

/// Who may call, each with the line of the grant.
fn granted(
    compiled: &Compiled,
    allowed: impl Fn(&Consumer) -> bool,
    line: impl Fn(&Consumer) -> Option<String>,
) -> Vec<Fact> {
    let consumers = compiled.consumers.iter();
    let granted: Vec<_> = consumers.filter(|consumer| allowed(consumer)).collect();
    let named = granted.iter().take(MOST_GRANTS).map(|consumer| {
        let line = line(consumer).unwrap_or_else(|| consumer.origin.clone());
        Fact::new("granted to", consumer.name.as_str(), &line)
    });
    let mut facts: Vec<_> = named.collect();
    match granted.len().saturating_sub(MOST_GRANTS) {
        0 if granted.is_empty() => facts.push(Fact::new("granted to", "nobody", "")),
        0 => {}
        more => facts.push(Fact::new(
            "granted to",
            format!("{more} more: `turnpike show consumers` lists them"),
            "",
        )),
    }
    facts
}

/// Whose plan a call counts against.
#[derive(Clone, Copy, Debug)]
enum Payer {
    /// The caller's: this consumer's, or that of whoever it is.
    Caller(Option<u32>),
    /// No one's: what is open to everybody asks nobody who they are.
    Nobody,
}

/// What is called, as far as limits ask.
struct Limited<'a> {
    /// Its own limits.
    own: &'a [Limit],
    /// Whether a limit of a plan is for it.
    holds: &'a dyn Fn(&Limit) -> bool,
    /// Who may call it.
    allowed: &'a dyn Fn(&Consumer) -> bool,
}

impl Limited<'_> {
    /// Whether nothing holds back who is on a plan.
    fn is_open(&self, plan: &Plan) -> bool {
        let of_plan = plan.limits.iter().filter(|limit| (self.holds)(limit));
        self.own.iter().chain(of_plan).all(|limit| limit.shadow)
    }
}

/// The limits that apply, all at once: of whom is called, and of who calls. Where none does, as all of a plan are for
/// models, or for other ones, that is told as `no limit`.
fn limits(compiled: &Compiled, its: &Limited<'_>, payer: Payer, lines: &Lines) -> Vec<Fact> {
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
    let none = |plan: &Plan| {
        let said = format!("on the plan {}, of which no limit is for this", plan.name);
        Fact::at(
            "no limit",
            said,
            plan.limits.first().map(|limit| limit.origin.clone()),
        )
    };
    let mut facts: Vec<_> = its
        .own
        .iter()
        .map(|limit| fact(limit, "for each caller"))
        .collect();
    let Payer::Caller(consumer) = payer else {
        return facts;
    };
    let consumer = consumer.and_then(|index| at(&compiled.consumers, index));
    match consumer.and_then(|consumer| Some((consumer, at(&compiled.plans, consumer.plan)?))) {
        Some((consumer, plan)) => {
            let whose = format!("for {} (plan {})", consumer.name, plan.name);
            let held = plan.limits.iter().filter(|limit| (its.holds)(limit));
            facts.extend(held.map(|limit| fact(limit, &whose)));
            facts.extend(its.is_open(plan).then(|| none(plan)));
        }
        None => {
            facts.push(Fact::at(
                "limit",
                "those of the caller's plan",
                lines.gateway(&["floor", "limits"]),
            ));
            let callers = compiled.consumers.iter().filter(|one| (its.allowed)(one));
            let plans: BTreeSet<u32> = callers.map(|consumer| consumer.plan).collect();
            let plans = plans.into_iter().filter_map(|plan| at(&compiled.plans, plan));
            facts.extend(plans.filter(|plan| its.is_open(plan)).map(none));
        }
    }
    facts
}

/// What holds for a model; with a consumer, also what holds for its calls of it.
pub(crate) fn model(compiled: &Compiled, index: u32, consumer: Option<u32>, lines: &Lines) -> Vec<Fact> {
    let Some(model) = at(&compiled.models, index) else {
        return Vec::new();
    };
    let line = |path: &[&str]| lines.model(model, path);
    let mut facts = vec![
        Fact::at("model", model.name.as_str(), line(&["model"])),
        Fact::at("owner", model.owner.as_str(), line(&["owner"])),
    ];
    facts.extend(lifecycle(&model.lifecycle, |field| line(&[field])));
    facts.push(Fact::at(
        "authentication",
        "required",
        lines.gateway(&["floor", "authentication"]),
    ));
    facts.extend(scopes((&model.scopes, &model.scopes_origin), |scope| {
        lines.scope_of_model(model, scope)
    }));
    facts.extend(conditions(&model.rules));
    facts.extend(granted(
        compiled,
        |consumer| consumer.models.allows(index),
        |consumer| lines.grants_model(consumer, model),
    ));
    let its = Limited {
        own: &model.limits,
        holds: &|limit| limit.models.is_empty() || limit.models.contains(&model.name),
        allowed: &|consumer| consumer.models.allows(index),
    };
    facts.extend(limits(compiled, &its, Payer::Caller(consumer), lines));
    facts.push(Fact::at(
        "body",
        format!("application/json, at most {}", words::size(model.max_body)),
        line(&["max_body"]).or_else(|| lines.gateway(&["floor", "max_body"])),
    ));
    if let Some(tokens) = model.max_output_tokens {
        let most = format!("at most {tokens} tokens");
        facts.push(Fact::at("output", most, line(&["max_output_tokens"])));
    }
    facts.extend(targets(compiled, model, lines));
    facts.push(Fact::at(
        "retry",
        match model.retry.attempts {
            1 => "1 attempt on each target".to_owned(),
            more => format!("{more} attempts on each target"),
        },
        line(&["retry", "attempts"]),
    ));
    facts.push(Fact::at(
        "retry",
        format!(
            "or the next target, for {}",
            words::or_none(words::reasons(&model.retry.on))
        ),
        line(&["retry", "on"]),
    ));
    let timeouts = &model.timeouts;
    for (what, field, after) in [
        ("first token", "first_token", timeouts.first),
        ("idle", "idle", timeouts.idle),
        ("total", "total", timeouts.total),
    ] {
        facts.push(Fact::at(
            "timeouts",
            format!("{what} {}", words::duration(after)),
            line(&["timeouts", field]),
        ));
    }
    facts
}

/// What is tried first, and what after that.
fn targets(compiled: &Compiled, model: &Model, lines: &Lines) -> Vec<Fact> {
    let all: u64 = model.targets.iter().map(|target| u64::from(target.weight)).sum();
    let targets = model.targets.iter().map(|target| {
        let share = (u64::from(target.weight) * 100).checked_div(all).unwrap_or(100);
        let name = words::target(compiled, target);
        let line = lines.target(model, "targets", &name);
        Fact::at("target", format!("{name} ({share}%)"), line)
    });
    let fallback = model.fallback.iter().map(|target| {
        let name = words::target(compiled, target);
        let line = lines.target(model, "fallback", &name);
        Fact::at("fallback", name, line)
    });
    targets.chain(fallback).collect()
}
