//! `turnpike show`: the policies as a whole, from one side each.

use std::path::Path;

use clap::{Args, ValueEnum};
use serde_json::{Value as Json, json};
use turnpike_policy::{Compiled, Consumer, Operation, SubjectPart};

use crate::compliance;
use crate::effective;
use crate::explain::facts_table;
use crate::inventory;
use crate::lines::Lines;
use crate::table::Table;
use crate::words::{self, List, at, or_none};
use crate::{Failure, say, tree};

/// Show what the policies say, as tables or JSON
#[derive(Debug, Args)]
#[command(after_help = "\
Examples:
  turnpike show routes --env production
  turnpike show effective petstore/v1#listPets --as demo    all that holds for one operation
  turnpike show effective smart                             all that holds for one model
  turnpike show inventory --format json > inventory.json    every route, for the record
  turnpike show compliance --env production > compliance.md          for an auditor

Exit codes: 0 shown, 1 the policies have errors, 2 there is no such thing to show")]
pub(crate) struct Arguments {
    /// What to show
    #[arg(value_enum)]
    what: What,
    /// An operation (petstore/v1#listPets) or a model, for `effective` [default: every one]
    #[arg(value_name = "NAME")]
    name: Option<String>,
    #[command(flatten)]
    policies: tree::Policies,
    /// Of which environment
    #[arg(long, value_name = "NAME", default_value = "dev")]
    env: String,
    /// For whose calls, for `effective`
    #[arg(long = "as", value_name = "CONSUMER")]
    consumer: Option<String>,
    /// As of this day (2027-06-30) instead of today
    #[arg(long, value_name = "DATE", value_parser = tree::date)]
    as_of: Option<tree::Date>,
    /// How to show it
    #[arg(long, value_name = "FORMAT", value_enum, default_value = "text")]
    format: tree::Format,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
enum What {
    /// Everything that holds for an operation or a model, with the lines that say so
    Effective,
    /// Which request leads where
    Routes,
    /// Who may call, how they are known, and what they may use
    Consumers,
    /// Every limit, and for whom it is
    Limits,
    /// Every route with owner, state, authentication, limits and the last change of its files
    Inventory,
    /// For an auditor: which rule each route and model meets, by which line, since which commit (Markdown)
    Compliance,
}

/// A table, and the same as JSON.
pub(crate) struct Shown {
    pub(crate) table: Table,
    pub(crate) json: Vec<Json>,
}

impl Shown {
    pub(crate) fn new(head: &[&str]) -> Self {
        Self {
            table: Table::new(head),
            json: Vec::new(),
        }
    }
}

pub(crate) fn run(arguments: &Arguments) -> Result<(), Failure> {
    if arguments.what != What::Effective {
        let consumer = arguments.consumer.as_ref().map(|name| format!("--as {name}"));
        if let Some(extra) = arguments.name.clone().or(consumer) {
            return Err(Failure::refused(format!(
                "`{extra}` is for `turnpike show effective` alone: leave it out, or write `turnpike show effective {extra}`"
            )));
        }
    }
    let root = arguments.policies.root()?;
    if arguments.what == What::Compliance {
        let as_of = arguments.as_of.as_ref();
        return compliance::show(&root, &arguments.env, as_of, arguments.format);
    }
    let compiled = tree::compiled(&root, &arguments.env, arguments.as_of.as_ref(), "then look again")?;
    let shown = match arguments.what {
        What::Effective => return effective(arguments, &compiled, &root),
        What::Compliance => return Ok(()),
        What::Routes => routes(&compiled, &root),
        What::Consumers => consumers(&compiled, &root),
        What::Limits => limits(&compiled, &root),
        What::Inventory => inventory::inventory(&compiled, &root, &Lines::new(&root, &arguments.env)),
    };
    match arguments.format {
        tree::Format::Json => say::json(&Json::Array(shown.json)),
        tree::Format::Text if shown.json.is_empty() => {
            say::out(&format!("there is nothing to show in `{}`\n", arguments.env))
        }
        tree::Format::Text => say::out(&shown.table.text("")),
    }
}

fn effective(arguments: &Arguments, compiled: &Compiled, root: &Path) -> Result<(), Failure> {
    let lines = &Lines::new(root, &arguments.env);
    let place = format!("in the environment `{}`", arguments.env);
    let caller = match &arguments.consumer {
        None => None,
        Some(name) => {
            let names = compiled.consumers.iter().map(|consumer| consumer.name.as_str());
            tree::find(name, "consumer", names, &place)?;
            position(&compiled.consumers, |consumer: &Consumer| consumer.name == *name)
        }
    };
    let operations = indices(&compiled.operations).filter_map(|index| {
        let name = words::operation(compiled, index)?;
        let facts = effective::operation(compiled, index, caller, lines);
        Some((name, effective::placed(facts, root)))
    });
    let models = indices(&compiled.models).filter_map(|index| {
        let name = at(&compiled.models, index)?.name.clone();
        let facts = effective::model(compiled, index, caller, lines);
        Some((name, effective::placed(facts, root)))
    });
    let mut all: Vec<_> = operations.chain(models).collect();
    if let Some(name) = &arguments.name {
        let names = all.iter().map(|(known, _)| known.as_str());
        tree::find(name, "operation or model", names, &place)?;
        all.retain(|(known, _)| known == name);
    }
    if arguments.format == tree::Format::Json {
        let all = all.iter().map(|(name, facts)| {
            let facts: Vec<_> = facts.iter().map(effective::Fact::json).collect();
            json!({ "name": name, "effective": facts })
        });
        return say::json(&Json::Array(all.collect()));
    }
    let texts: Vec<_> = all
        .iter()
        .map(|(name, facts)| format!("{}\n{}", say::bold(name), facts_table(facts).text("  ")))
        .collect();
    say::out(&texts.join("\n"))
}

fn routes(compiled: &Compiled, root: &Path) -> Shown {
    let mut shown = Shown::new(&[
        "METHOD",
        "PATH",
        "OPERATION",
        "AUTHENTICATION",
        "SCOPES",
        "STATE",
        "ANSWERED BY",
    ]);
    for (index, operation) in indices(&compiled.operations).zip(&compiled.operations) {
        let Some(api) = at(&compiled.apis, operation.api) else {
            continue;
        };
        let path = turnpike_policy::called(&api.base, &operation.path);
        let name = words::operation(compiled, index).unwrap_or_default();
        shown.table.row([
            operation.method.name().to_owned(),
            path.clone(),
            name.clone(),
            authentication(operation).to_owned(),
            or_none(operation.scopes.join(" ")),
            words::state(api.lifecycle.state).to_owned(),
            words::handler(&operation.handler),
        ]);
        shown.json.push(json!({
            "method": operation.method.name(),
            "path": path,
            "operation": name,
            "authentication": authentication(operation),
            "scopes": operation.scopes,
            "state": words::state(api.lifecycle.state),
            "answered_by": words::handler(&operation.handler),
            "origin": tree::place(root, &operation.origin),
        }));
    }
    for model in &compiled.models {
        let targets: Vec<_> = model
            .targets
            .iter()
            .map(|target| words::target(compiled, target))
            .collect();
        shown.table.row([
            "POST".to_owned(),
            "/v1/chat/completions".to_owned(),
            format!("model {}", model.name),
            "required".to_owned(),
            or_none(model.scopes.join(" ")),
            words::state(model.lifecycle.state).to_owned(),
            targets.join(", "),
        ]);
        shown.json.push(json!({
            "method": "POST",
            "path": "/v1/chat/completions",
            "model": model.name,
            "authentication": "required",
            "scopes": model.scopes,
            "state": words::state(model.lifecycle.state),
            "answered_by": targets.join(", "),
            "origin": tree::place(root, &model.origin),
        }));
    }
    shown
}

/// Whether callers of an operation must say who they are.
pub(crate) fn authentication(operation: &Operation) -> &'static str {
    if operation.open_until.is_some() {
        "none"
    } else {
        "required"
    }
}

fn consumers(compiled: &Compiled, root: &Path) -> Shown {
    let mut shown = Shown::new(&["CONSUMER", "OWNER", "PLAN", "KNOWN BY", "OPERATIONS", "MODELS"]);
    for (index, consumer) in indices(&compiled.consumers).zip(&compiled.consumers) {
        let plan = at(&compiled.plans, consumer.plan).map_or("", |plan| plan.name.as_str());
        let known = words::credentials(compiled, index);
        let operations = words::operations_of(compiled, consumer);
        let models = words::models_of(compiled, consumer);
        let of = |some: usize, all: usize| match some {
            0 => "none".to_owned(),
            some if some == all => format!("all {all}"),
            some => format!("{some} of {all}"),
        };
        shown.table.row([
            match consumer.operator {
                Some(_) => format!("{} (operator)", consumer.name),
                None => consumer.name.clone(),
            },
            consumer.owner.clone(),
            plan.to_owned(),
            or_none(known.join(", ")),
            of(operations.len(), compiled.operations.len()),
            or_none(models.join(", ")),
        ]);
        shown.json.push(json!({
            "consumer": consumer.name,
            "owner": consumer.owner,
            "plan": plan,
            "known_by": known,
            "operations": operations,
            "models": models,
            "operator": words::operator(consumer),
            "origin": tree::place(root, &consumer.origin),
        }));
    }
    shown
}

fn limits(compiled: &Compiled, root: &Path) -> Shown {
    let mut shown = Shown::new(&["OF", "LIMIT", "FOR", "WRITTEN IN"]);
    let mut add = |of: String, limit: String, whose: &str, origin: &str| {
        let origin = tree::place(root, origin);
        shown
            .json
            .push(json!({ "of": of, "limit": limit, "for": whose, "origin": origin }));
        shown.table.row([of, limit, whose.to_owned(), origin]);
    };
    let shield = words::rate(&compiled.gateway.shield);
    add("gateway".to_owned(), shield, "each client address (shield)", "");
    for plan in &compiled.plans {
        for limit in &plan.limits {
            let whose = match &*limit.subject {
                [SubjectPart::Consumer] => "each consumer on it".to_owned(),
                _ => format!("each {}", words::subject(limit)),
            };
            add(
                format!("plan {}", plan.name),
                words::limit(limit),
                &whose,
                &limit.origin,
            );
        }
    }
    for api in &compiled.apis {
        for limit in &api.limits {
            let of = format!("{}/{}", api.name, api.version);
            let whose = match &*limit.subject {
                [SubjectPart::Consumer] => "each caller, over all versions".to_owned(),
                _ => format!("each {}", words::subject(limit)),
            };
            add(of, words::limit(limit), &whose, &limit.origin);
        }
    }
    for model in &compiled.models {
        for limit in &model.limits {
            let of = format!("model {}", model.name);
            let whose = match &*limit.subject {
                [SubjectPart::Consumer] => "each caller".to_owned(),
                _ => format!("each {}", words::subject(limit)),
            };
            add(of, words::limit(limit), &whose, &limit.origin);
        }
    }
    shown
}

fn indices<T, L: List<T>>(list: &L) -> impl Iterator<Item = u32> + use<T, L> {
    0..list.places()
}

fn position<T>(list: &impl List<T>, is: impl Fn(&T) -> bool) -> Option<u32> {
    indices(list).find(|index| at(list, *index).is_some_and(&is))
}
