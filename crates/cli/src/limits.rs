//! `turnpike limits`: what an operator does on a gateway that runs. The gateway decides everything; this
//! asks, in the units in which people write.

use std::fmt::Write as _;

use clap::{Args, Subcommand};
use serde_json::{Value as Json, json};
use turnpike_policy::source::{parse_money, show_instant};

use crate::operator::{Operator, of, random, text};
use crate::table::Table;
use crate::{Failure, say, tree, words};

const PATH: &str = "/_turnpike/limits";

/// Limits of a gateway that runs.
#[derive(Debug, Subcommand)]
pub(crate) enum Limits {
    Show(Show),
    Credit(Credit),
}

/// Where, and by whom.
#[derive(Debug, Args)]
struct Gateway {
    #[command(flatten)]
    operator: Operator,
    /// Whose limits
    #[arg(long, value_name = "NAME")]
    consumer: String,
    /// How the result is shown
    #[arg(long, value_name = "FORMAT", value_enum, default_value = "text")]
    format: tree::Format,
}

const SHOW: &str = "\
Examples:
  TURNPIKE_TOKEN=... turnpike limits show --url https://api.acme.example --consumer mobile-app
  turnpike limits show ... --limit gold:tokens-day";
const CREDIT: &str = "\
Examples:
  turnpike limits credit --url https://api.acme.example --consumer mobile-app \\
    --limit standard:tokens-day --amount 200_000 --reason 'retries of our outage, INC-4711'
  turnpike limits credit ... --limit gold:spend-month --amount '12.50 USD' --reason 'as agreed'";

/// Show how the limits of a consumer stand, and what operators gave back
///
/// The credential is that of a consumer whose file says `operator: {}` or more. A limit that counts for each API,
/// operation, model or upstream apart has a row for each that the consumer may call. Limits that also count by
/// credential, address, claim or header, and those that each isolate keeps for itself, are not among them.
#[derive(Debug, Args)]
#[command(after_help = SHOW)]
pub(crate) struct Show {
    #[command(flatten)]
    gateway: Gateway,
    /// Only this limit, by its name
    #[arg(long, value_name = "ID")]
    limit: Option<String>,
}

/// Give back what a consumer has used of a quota or a budget
///
/// At most what was used in the window that is open, and within what the policies let the operator give
/// (`operator: { credit: ... }`). It is booked with its author and its reason, in the gateway and its log. If
/// the answer is lost, the same command with the `--id` that was shown gives nothing twice.
#[derive(Debug, Args)]
#[command(after_help = CREDIT)]
pub(crate) struct Credit {
    #[command(flatten)]
    gateway: Gateway,
    /// Which limit, by its name in `limits show`
    #[arg(long, value_name = "ID")]
    limit: String,
    /// How much, in the limit's unit: `200_000`, or for money `12.50 USD`
    #[arg(long, value_name = "AMOUNT")]
    amount: String,
    /// Why, in one line
    #[arg(long, value_name = "TEXT")]
    reason: String,
    /// What tells this credit from others [default: a random one]
    #[arg(long, value_name = "ID")]
    id: Option<String>,
}

pub(crate) fn run(what: &Limits) -> Result<(), Failure> {
    match what {
        Limits::Show(Show { gateway, limit }) => {
            let page = gateway.page(limit.as_deref())?;
            match gateway.format {
                tree::Format::Json => say::json(&page),
                tree::Format::Text => say::out(&shown(&page)),
            }
        }
        Limits::Credit(credit) => give(credit),
    }
}

impl Gateway {
    fn page(&self, limit: Option<&str>) -> Result<Json, Failure> {
        let plain = |c: char| c.is_ascii_alphanumeric() || "-_.".contains(c);
        if !self.consumer.chars().all(plain) {
            return Err(Failure::refused(format!(
                "`{}` is not the name of a consumer",
                self.consumer
            )));
        }
        let mut query = format!("{PATH}?consumer={}", self.consumer);
        if let Some(limit) = limit {
            query.push_str("&limit=");
            for byte in limit.bytes() {
                if byte.is_ascii_alphanumeric() || b"-_.:@/".contains(&byte) {
                    query.push(char::from(byte));
                } else {
                    // Writing to text cannot fail.
                    let _ = write!(query, "%{byte:02X}");
                }
            }
        }
        self.operator.ask("GET", &query, None)
    }
}

fn give(credit: &Credit) -> Result<(), Failure> {
    let gateway = &credit.gateway;
    let page = gateway.page(Some(&credit.limit))?;
    let Some(limit) = limits_of(&page)
        .iter()
        .find(|limit| text(of(limit, "name")) == credit.limit)
    else {
        // The name of a limit without what it counts apart is not enough.
        let page = if limits_of(&page).is_empty() {
            gateway.page(None)?
        } else {
            page
        };
        return Err(none_such(credit, &page));
    };
    let unit = text(of(limit, "unit"));
    let amount = amount(&credit.amount, unit)?;
    let id = match &credit.id {
        Some(id) => id.clone(),
        None => random()?,
    };
    let body = json!({
        "consumer": gateway.consumer,
        "limit": credit.limit,
        "amount": amount,
        "reason": credit.reason,
        "id": id,
    });
    let given = gateway
        .operator
        .ask("POST", PATH, Some(&body))
        .map_err(|failure| match failure {
            Failure::Refused(why) => Failure::refused(format!(
                "{why}\n(To try again and give nothing twice, add `--id {id}`.)"
            )),
            other @ Failure::Findings => other,
        })?;
    if gateway.format == tree::Format::Json {
        return say::json(&given);
    }
    let number = |value: &Json| count(value.as_u64().unwrap_or(0), unit);
    let less = if of(&given, "booked") == of(&given, "asked") {
        ""
    } else {
        " (no more was used)"
    };
    say::out(&format!(
        "{} given back to {} of {}{less}; it has {} of {} left\n",
        number(of(&given, "booked")),
        gateway.consumer,
        credit.limit,
        number(of(of(&given, "now"), "remaining")),
        number(of(of(&given, "now"), "limit")),
    ))
}

fn limits_of(page: &Json) -> &[Json] {
    let limits = of(page, "limits").as_array();
    limits.map(Vec::as_slice).unwrap_or_default()
}

/// What is said where a limit is not among those of a page.
fn none_such(credit: &Credit, page: &Json) -> Failure {
    let names: Vec<&str> = limits_of(page)
        .iter()
        .map(|limit| text(of(limit, "name")))
        .collect();
    let some = names.iter().take(10).copied().collect::<Vec<_>>().join(", ");
    Failure::refused(format!(
        "`{}` has no limit `{}` that could be credited, but {}",
        credit.gateway.consumer,
        credit.limit,
        match names.len() {
            0 => "none".to_owned(),
            1..=10 => some,
            more => format!("{some} and {} more: see `turnpike limits show`", more - 10),
        }
    ))
}

/// An amount as people write it, in the unit that the gateway counts.
fn amount(written: &str, unit: &str) -> Result<u64, Failure> {
    let money = unit == "nano_usd";
    let number = if money {
        parse_money(written)
    } else {
        written.replace('_', "").parse().ok()
    };
    number.filter(|number| *number > 0).ok_or_else(|| {
        let right = if money {
            "an amount such as `12.50 USD`".to_owned()
        } else {
            format!("a number of {unit}")
        };
        Failure::refused(format!("`{written}` is not {right}"))
    })
}

/// The page for people.
fn shown(page: &Json) -> String {
    let list = |name: &str| of(page, name).as_array().cloned().unwrap_or_default();
    let mut table = Table::new(&["LIMIT", "KIND", "LEFT", "OF", "WINDOW", "MORE IN"]);
    let limits = list("limits");
    let unit_of = |name: &str| {
        let limit = limits.iter().find(|limit| text(of(limit, "name")) == name);
        limit.map_or("", |limit| text(of(limit, "unit"))).to_owned()
    };
    for limit in &limits {
        let unit = text(of(limit, "unit"));
        let number = |member: &str| count(of(limit, member).as_u64().unwrap_or(0), unit);
        let time = |member: &str| {
            of(limit, member).as_u64().map_or_else(String::new, |seconds| {
                words::duration(seconds.saturating_mul(1_000))
            })
        };
        let shadow = if of(limit, "shadow") == true {
            " (shadow)"
        } else {
            ""
        };
        table.row([
            format!("{}{shadow}", text(of(limit, "name"))),
            text(of(limit, "kind")).to_owned(),
            number("remaining"),
            number("limit"),
            time("window_seconds"),
            time("reset_seconds"),
        ]);
    }
    let mut said = format!(
        "{}, on the plan {}\n{}",
        say::bold(text(of(page, "consumer"))),
        text(of(page, "plan")),
        table.text("  ")
    );
    let credits = list("credits");
    if !credits.is_empty() {
        let mut table = Table::new(&["GIVEN BACK", "OF", "BY", "AT", "ID", "REASON"]);
        for credit in &credits {
            table.row([
                count(
                    of(credit, "booked").as_u64().unwrap_or(0),
                    &unit_of(text(of(credit, "limit"))),
                ),
                text(of(credit, "limit")).to_owned(),
                text(of(credit, "by")).to_owned(),
                show_instant(of(credit, "time").as_u64().unwrap_or(0)),
                text(of(credit, "id")).to_owned(),
                text(of(credit, "reason")).to_owned(),
            ]);
        }
        said.push('\n');
        said.push_str(&table.text("  "));
    }
    if let Some(more) = of(page, "more").as_u64() {
        // Writing to text cannot fail.
        let _ = writeln!(said, "\n{more} more are not shown: name one with --limit");
    }
    said
}

/// A number of something, as people read it.
fn count(number: u64, unit: &str) -> String {
    match unit {
        "nano_usd" => format!("{} USD", words::usd(number)),
        unit => format!("{number} {}", unit.replace('_', " ")),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn amounts_are_of_their_unit() {
        for (written, unit, number) in [
            ("200_000", "tokens", Some(200_000)),
            ("12.50 USD", "nano_usd", Some(12_500_000_000)),
            ("5", "nano_usd", None),
            ("5 USD", "requests", None),
            ("0", "tokens", None),
            ("-1", "tokens", None),
        ] {
            assert_eq!(amount(written, unit).ok(), number, "{written} {unit}");
        }
    }
}
