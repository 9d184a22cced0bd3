//! `turnpike new model`.

use std::fmt::Write as _;

use clap::Args;

use super::{Where, fresh, keep, name, scalar};
use crate::{Failure, tree};

/// Publish a model
///
/// Writes models/NAME.yaml. Its targets are `provider/model`, where the provider is one of the
/// policies; with several, `--to openai/gpt-5=80` gives the share. The policies are checked with it:
/// either they are right, or nothing was changed.
#[derive(Debug, Args)]
#[command(after_help = "\
Examples:
  turnpike new model writer --owner team-ai --to openai/gpt-5
  turnpike new model writer --owner team-ai --to openai/gpt-5=80 --to house/large=20 --fallback openai/gpt-5-mini
  turnpike new model canned --owner team-ai --to mock/canned --environments dev")]
pub(crate) struct Arguments {
    /// The name that clients send
    #[arg(value_parser = name)]
    name: String,
    #[command(flatten)]
    policies: tree::Policies,
    /// Who answers for it
    #[arg(long, value_name = "TEXT")]
    owner: String,
    /// Where calls go: PROVIDER/MODEL, or PROVIDER/MODEL=WEIGHT; may be repeated
    #[arg(long, value_name = "TARGET", required = true, value_parser = target)]
    to: Vec<Target>,
    /// Where they go when that fails; may be repeated
    #[arg(long, value_name = "TARGET", value_parser = target)]
    fallback: Vec<Target>,
    /// The most tokens that an answer can have
    #[arg(long, value_name = "NUMBER")]
    max_output_tokens: Option<u32>,
    #[command(flatten)]
    environments: Where,
}

#[derive(Clone, Debug)]
struct Target {
    to: String,
    weight: Option<u32>,
}

fn target(text: &str) -> Result<Target, String> {
    let (to, weight) = match text.rsplit_once('=') {
        None => (text, None),
        Some((to, weight)) => {
            let number = weight.parse().ok().filter(|weight| *weight > 0);
            (
                to,
                Some(number.ok_or_else(|| format!("`{weight}` is no weight: write a whole number"))?),
            )
        }
    };
    match to.split_once('/') {
        Some((provider, model)) if !provider.is_empty() && !model.is_empty() => Ok(Target {
            to: to.to_owned(),
            weight,
        }),
        _ => Err("write PROVIDER/MODEL, for example openai/gpt-5".to_owned()),
    }
}

pub(crate) fn run(arguments: &Arguments) -> Result<(), Failure> {
    let root = arguments.policies.root()?;
    let file = fresh(&root, "models", &arguments.name)?;
    let mut text = format!(
        "model: {}\nowner: {}\n{}targets:\n",
        arguments.name,
        scalar(&arguments.owner),
        arguments.environments.line()
    );
    for target in &arguments.to {
        let _ = match target.weight {
            Some(weight) => writeln!(text, "  - {{ to: {}, weight: {weight} }}", scalar(&target.to)),
            None => writeln!(text, "  - {}", scalar(&target.to)),
        };
    }
    if !arguments.fallback.is_empty() {
        let all: Vec<_> = arguments
            .fallback
            .iter()
            .map(|target| scalar(&target.to))
            .collect();
        let _ = writeln!(text, "fallback: [{}]", all.join(", "));
    }
    if let Some(tokens) = arguments.max_output_tokens {
        let _ = writeln!(text, "max_output_tokens: {tokens}");
    }
    keep(&root, &[(file, text)])
}
