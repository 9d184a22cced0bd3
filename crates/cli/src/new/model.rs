//! `turnpike new model`.

use std::fmt::Write as _;

use clap::Args;

use super::{Template, Where, fresh, keep, name, scalar};
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
  turnpike new model writer --owner team-ai --to openai/gpt-5 --price openai/gpt-5=1.25/10/0.125
  turnpike new model canned --owner team-ai --to mock/canned --environments dev
  turnpike new model next --owner team-ai --to openai/gpt-6 --state preview")]
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
    /// What the tokens of a target cost, in USD for a million: TARGET=INPUT/OUTPUT, or with a third price for input
    /// that comes out of the provider's cache; may be repeated
    #[arg(long, value_name = "TARGET=PRICES", value_parser = price)]
    price: Vec<Price>,
    /// Where it is in its life; a retired one answers 410 [default: active]
    #[arg(long, value_name = "STATE", value_parser = ["preview", "active", "retired"])]
    state: Option<String>,
    /// The most tokens that an answer can have
    #[arg(long, value_name = "NUMBER")]
    max_output_tokens: Option<u32>,
    #[command(flatten)]
    template: Template,
    #[command(flatten)]
    environments: Where,
    /// How to say what was written
    #[arg(long, value_name = "FORMAT", value_enum, default_value = "text")]
    format: tree::Format,
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
            let number = weight.parse().ok();
            let number =
                number.ok_or_else(|| format!("`{weight}` is no weight: write a whole number from 1 on"))?;
            if number == 0 {
                return Err(format!(
                    "0 is no weight: {to} would get no call; leave it out, or write a whole number from 1 on"
                ));
            }
            (to, Some(number))
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

/// What the tokens of a target cost.
#[derive(Clone, Debug)]
struct Price {
    of: String,
    /// As the file has it.
    text: String,
}

fn price(text: &str) -> Result<Price, String> {
    let how = || {
        "write TARGET=INPUT/OUTPUT in USD for a million tokens, for example openai/gpt-5=1.25/10".to_owned()
    };
    let (of, prices) = text.rsplit_once('=').ok_or_else(how)?;
    let prices: Vec<_> = prices.split('/').collect();
    let is_number = |price: &&str| {
        let (whole, part) = price.split_once('.').unwrap_or((price, "0"));
        let digits = |text: &str| !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_digit());
        digits(whole) && digits(part)
    };
    if !(2..=3).contains(&prices.len()) || !prices.iter().all(is_number) {
        return Err(how());
    }
    let named = ["input", "output", "cached_input"].iter().zip(&prices);
    let all: Vec<_> = named
        .map(|(name, price)| format!("{name}: {price} USD/Mtok"))
        .collect();
    Ok(Price {
        of: of.to_owned(),
        text: format!("{{ {} }}", all.join(", ")),
    })
}

/// A target as an item of a list: alone, or with what else is said of it.
fn item(target: &Target, prices: &[Price]) -> String {
    let mut text = format!("to: {}", scalar(&target.to));
    if let Some(weight) = target.weight {
        let _ = write!(text, ", weight: {weight}");
    }
    let price = prices.iter().find(|price| price.of == target.to);
    if let Some(price) = price {
        let _ = write!(text, ", price: {}", price.text);
    }
    if target.weight.is_none() && price.is_none() {
        scalar(&target.to)
    } else {
        format!("{{ {text} }}")
    }
}

/// Prices are of targets that there are, and each has one.
fn priced(arguments: &Arguments) -> Result<(), Failure> {
    for (index, price) in arguments.price.iter().enumerate() {
        let of = &price.of;
        let mut targets = arguments.to.iter().chain(&arguments.fallback);
        if !targets.any(|target| target.to == *of) {
            return Err(Failure::refused(format!(
                "--price is of `{of}`, which is no target: write one of --to or --fallback before the `=`"
            )));
        }
        if arguments.price.iter().take(index).any(|other| other.of == *of) {
            return Err(Failure::refused(format!("--price gives `{of}` twice")));
        }
    }
    Ok(())
}

pub(crate) fn run(arguments: &Arguments) -> Result<(), Failure> {
    let root = arguments.policies.root()?;
    priced(arguments)?;
    let file = fresh(&root, "models", &arguments.name)?;
    let mut text = format!(
        "model: {}\nowner: {}\n{}{}",
        arguments.name,
        scalar(&arguments.owner),
        arguments.environments.line(),
        arguments.template.lines()?
    );
    if let Some(state) = &arguments.state {
        let _ = writeln!(text, "state: {state}");
    }
    text.push_str("targets:\n");
    for target in &arguments.to {
        let _ = writeln!(text, "  - {}", item(target, &arguments.price));
    }
    if !arguments.fallback.is_empty() {
        let all: Vec<_> = arguments
            .fallback
            .iter()
            .map(|target| item(target, &arguments.price))
            .collect();
        if all.iter().any(|item| item.starts_with('{')) {
            let _ = writeln!(text, "fallback:\n  - {}", all.join("\n  - "));
        } else {
            let _ = writeln!(text, "fallback: [{}]", all.join(", "));
        }
    }
    if let Some(tokens) = arguments.max_output_tokens {
        let _ = writeln!(text, "max_output_tokens: {tokens}");
    }
    keep(&root, file, text, arguments.format)
}
