//! `turnpike new consumer`.

use std::fmt::Write as _;

use clap::Args;

use super::{Where, fresh, keep, name, scalar};
use crate::{Failure, tree};

/// Add somebody who may call
///
/// Writes consumers/NAME.yaml. What is not granted here is refused. The policies are checked with it:
/// either they are right, or nothing was changed. `turnpike new key --consumer NAME` then makes a key.
#[derive(Debug, Args)]
#[command(after_help = "\
Examples:
  turnpike new consumer mobile --owner team-mobile --plan standard --api orders --model writer
  turnpike new consumer batch --owner team-data --plan gold --jwt acme=0oa1b2c3 --api orders:listOrders,getOrder
  turnpike new consumer admin --owner team-platform --plan gold --all-apis --all-models")]
pub(crate) struct Arguments {
    /// What it is called
    #[arg(value_parser = name)]
    name: String,
    #[command(flatten)]
    policies: tree::Policies,
    /// Who answers for it
    #[arg(long, value_name = "TEXT")]
    owner: String,
    /// The plan that it is on
    #[arg(long, value_name = "NAME")]
    plan: String,
    /// Tokens by which it is known: ISSUER=VALUE of the claim that names consumers; may be repeated
    #[arg(long, value_name = "TOKEN", value_parser = token)]
    jwt: Vec<(String, String)>,
    /// An API that it may call, all of it or some operations (API:OPERATION,OPERATION); may be repeated
    #[arg(long, value_name = "API", value_parser = granted)]
    api: Vec<String>,
    /// It may call every API
    #[arg(long, conflicts_with = "api")]
    all_apis: bool,
    /// A model that it may call; may be repeated
    #[arg(long, value_name = "MODEL")]
    model: Vec<String>,
    /// It may call every model
    #[arg(long, conflicts_with = "model")]
    all_models: bool,
    #[command(flatten)]
    environments: Where,
    /// How to say what was written
    #[arg(long, value_name = "FORMAT", value_enum, default_value = "text")]
    format: tree::Format,
}

fn granted(text: &str) -> Result<String, String> {
    let (api, operations) = text.split_once(':').unwrap_or((text, "all"));
    let whole = name(api).is_ok()
        && operations
            .split(',')
            .all(|operation| !operation.trim().is_empty());
    if whole {
        Ok(text.to_owned())
    } else {
        Err("write an API, or API:OPERATION,OPERATION, for example orders:listOrders,getOrder".to_owned())
    }
}

fn token(text: &str) -> Result<(String, String), String> {
    match text.split_once('=') {
        Some((issuer, value)) if !issuer.is_empty() && !value.is_empty() => {
            Ok((issuer.to_owned(), value.to_owned()))
        }
        _ => Err("write ISSUER=VALUE, for example acme=0oa1b2c3".to_owned()),
    }
}

/// Each API once, with its operations, each once; without them, with all.
fn apis(asked: &[String]) -> Vec<(&str, Option<Vec<String>>)> {
    let mut apis: Vec<(&str, Option<Vec<String>>)> = Vec::new();
    for one in asked {
        let (api, operations) = match one.split_once(':') {
            Some((api, operations)) => (api, Some(operations)),
            None => (one.as_str(), None),
        };
        let place = apis.iter().position(|(known, _)| *known == api);
        let place = place.unwrap_or_else(|| {
            apis.push((api, Some(Vec::new())));
            apis.len() - 1
        });
        let Some((_, known)) = apis.get_mut(place) else {
            continue;
        };
        match (operations, known.as_mut()) {
            (None, _) => *known = None,
            // All of it is some of it.
            (Some(_), None) => {}
            (Some(operations), Some(known)) => {
                for operation in operations.split(',').map(scalar) {
                    if !known.contains(&operation) {
                        known.push(operation);
                    }
                }
            }
        }
    }
    apis
}

pub(crate) fn run(arguments: &Arguments) -> Result<(), Failure> {
    let root = arguments.policies.root()?;
    let file = fresh(&root, "consumers", &arguments.name)?;
    let mut text = format!(
        "consumer: {}\nowner: {}\nplan: {}\n{}",
        arguments.name,
        scalar(&arguments.owner),
        scalar(&arguments.plan),
        arguments.environments.line()
    );
    if !arguments.jwt.is_empty() {
        text.push_str("credentials:\n");
        for (issuer, value) in &arguments.jwt {
            let _ = writeln!(
                text,
                "  - jwt: {{ issuer: {}, is: {} }}",
                scalar(issuer),
                scalar(value)
            );
        }
    }
    let mut may = String::new();
    if arguments.all_apis {
        may.push_str("  - { apis: all }\n");
    }
    for (api, operations) in apis(&arguments.api) {
        let operations = match operations {
            Some(names) => format!("[{}]", names.join(", ")),
            None => "all".to_owned(),
        };
        let _ = writeln!(may, "  - {{ api: {}, operations: {operations} }}", scalar(api));
    }
    if arguments.all_models {
        may.push_str("  - { models: all }\n");
    } else if !arguments.model.is_empty() {
        let mut all = Vec::new();
        for model in arguments.model.iter().map(|model| scalar(model)) {
            if !all.contains(&model) {
                all.push(model);
            }
        }
        let _ = writeln!(may, "  - {{ models: [{}] }}", all.join(", "));
    }
    if may.is_empty() {
        text.push_str("may: []                             # nothing yet: what is not granted is refused\n");
    } else {
        text.push_str("may:\n");
        text.push_str(&may);
    }
    keep(&root, file, text, arguments.format)
}
