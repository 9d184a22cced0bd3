//! `turnpike deny`: what an operator refuses on a gateway that runs, without a build. The gateway decides
//! everything; this asks.

use clap::{Args, Subcommand};
use serde_json::{Map, Value as Json, json};
use turnpike_policy::source::{parse_date, show_instant};

use crate::operator::{Operator, of, random, text};
use crate::table::Table;
use crate::{Failure, say, tree};

/// The page of a gateway's own that lists denials, and takes orders.
pub(crate) const PATH: &str = "/_turnpike/denials";

/// Deny something on a gateway that runs.
#[derive(Debug, Subcommand)]
pub(crate) enum Deny {
    /// An API key, by its id: of `tpk_<id>_<secret>`, the `<id>`
    Key(What),
    /// A client certificate, by what the policies name: its `spki_sha256`, or its `subject`
    Certificate(What),
    /// A subject (`sub`) of an issuer's tokens
    Subject(Subject),
    /// A consumer, by its name
    Consumer(What),
    /// An operation (`petstore/v1#listPets`), or a model (`models/fast`), for everybody
    Operation(What),
    /// What is denied, by whom and why
    List(List),
    /// Lift a denial before its time
    Lift(Lift),
}

const EXAMPLES: &str = "\
Examples:
  TURNPIKE_TOKEN=... turnpike deny key 7f3a --reason 'leaked, INC-4711' --until 24h --url https://api.acme.example
  turnpike deny subject user-42 --issuer acme --reason 'stolen laptop' --until 2027-01-31 --url ...
  turnpike deny operation petstore/v1#deletePet --reason 'deletes too much' --until 2h --url ...

It holds at once where it is made, and within 60 s everywhere. It only ever narrows, and ends by itself: put what
is to last into the policies. `turnpike verify --credential` reports it until then.";

#[derive(Debug, Args)]
#[command(after_help = EXAMPLES)]
pub(crate) struct What {
    /// Which
    #[arg(value_name = "VALUE")]
    value: String,
    #[command(flatten)]
    order: Order,
}

#[derive(Debug, Args)]
#[command(after_help = EXAMPLES)]
pub(crate) struct Subject {
    /// Which: its `sub`
    #[arg(value_name = "VALUE")]
    value: String,
    /// The issuer, by its name in the policies or its identifier
    #[arg(long, value_name = "NAME")]
    issuer: String,
    #[command(flatten)]
    order: Order,
}

#[derive(Debug, Args)]
struct Order {
    #[command(flatten)]
    operator: Operator,
    /// Why, in one line; those that are denied are not told
    #[arg(long, value_name = "TEXT")]
    reason: String,
    /// For how long (2h, 7d), or until when (2027-01-31); the policies say how long at most
    #[arg(long, value_name = "TIME", value_parser = until)]
    until: Until,
    /// What tells this denial from others [default: a random one]
    #[arg(long, value_name = "ID")]
    id: Option<String>,
    /// How the result is shown
    #[arg(long, value_name = "FORMAT", value_enum, default_value = "text")]
    format: tree::Format,
}

#[derive(Debug, Args)]
#[command(after_help = "\
Examples:
  TURNPIKE_TOKEN=... turnpike deny list --url https://api.acme.example
  turnpike deny list --url https://api.acme.example --format json")]
pub(crate) struct List {
    #[command(flatten)]
    operator: Operator,
    /// How the result is shown
    #[arg(long, value_name = "FORMAT", value_enum, default_value = "text")]
    format: tree::Format,
}

/// What a denial added is taken away again; what the policies refuse stays refused.
#[derive(Debug, Args)]
#[command(after_help = "\
Examples:
  TURNPIKE_TOKEN=... turnpike deny lift inc-4711 --reason 'rotated' --url https://api.acme.example")]
pub(crate) struct Lift {
    /// Which denial, by its id in `deny list`
    #[arg(value_name = "ID")]
    id: String,
    #[command(flatten)]
    operator: Operator,
    /// Why, in one line
    #[arg(long, value_name = "TEXT")]
    reason: String,
    /// How the result is shown
    #[arg(long, value_name = "FORMAT", value_enum, default_value = "text")]
    format: tree::Format,
}

/// The end of a denial.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Until {
    /// So many seconds from when the gateway hears of it.
    For(u64),
    /// Unix seconds.
    At(u64),
}

fn until(written: &str) -> Result<Until, String> {
    if let Ok(seconds) = tree::seconds(written) {
        return Ok(Until::For(seconds));
    }
    parse_date(written)
        .map(|at| Until::At(at / 1_000))
        .map_err(|_| "write how long (30m, 2h, 7d) or until when (2027-01-31)".to_owned())
}

pub(crate) fn run(what: &Deny) -> Result<(), Failure> {
    match what {
        Deny::Key(what) => deny("key", &what.value, None, &what.order),
        Deny::Certificate(what) => deny("certificate", &what.value, None, &what.order),
        Deny::Subject(what) => deny("subject", &what.value, Some(&what.issuer), &what.order),
        Deny::Consumer(what) => deny("consumer", &what.value, None, &what.order),
        Deny::Operation(what) => match what.value.strip_prefix("models/") {
            Some(model) => deny("model", model, None, &what.order),
            None => deny("operation", &what.value, None, &what.order),
        },
        Deny::List(List { operator, format }) => {
            let page = operator.ask("GET", PATH, None)?;
            match format {
                tree::Format::Json => say::json(&page),
                tree::Format::Text => say::out(&shown(&page)),
            }
        }
        Deny::Lift(lift) => {
            let body = json!({ "lift": lift.id, "reason": lift.reason });
            let page = lift.operator.ask("POST", PATH, Some(&body))?;
            match lift.format {
                tree::Format::Json => say::json(&page),
                tree::Format::Text => say::out(&format!("lifted {}, {}\n", lift.id, bound(&page))),
            }
        }
    }
}

fn deny(what: &str, value: &str, issuer: Option<&str>, order: &Order) -> Result<(), Failure> {
    let id = match &order.id {
        Some(id) => id.clone(),
        None => random()?,
    };
    let mut body = Map::new();
    let mut put = |name: &str, value: Json| body.insert(name.to_owned(), value);
    put("deny", what.into());
    put("value", value.into());
    put("reason", order.reason.as_str().into());
    put("id", id.as_str().into());
    if let Some(issuer) = issuer {
        put("issuer", issuer.into());
    }
    match order.until {
        Until::For(seconds) => put("seconds", seconds.into()),
        Until::At(seconds) => put("until", seconds.into()),
    };
    let body = Json::Object(body);
    let page = order
        .operator
        .ask("POST", PATH, Some(&body))
        .map_err(|failure| match failure {
            Failure::Refused(why) => Failure::refused(format!(
                "{why}\n(To try again and deny nothing twice, add `--id {id}`.)"
            )),
            other @ Failure::Findings => other,
        })?;
    if order.format == tree::Format::Json {
        return say::json(&page);
    }
    let denial = of(&page, "denials").get(0).unwrap_or(&Json::Null);
    say::out(&format!(
        "{} {} is denied until {}, {}; to lift it: turnpike deny lift {id}\n",
        text(of(denial, "what")),
        text(of(denial, "value")),
        instant(of(denial, "until")),
        bound(&page),
    ))
}

/// Within which time a change holds.
fn bound(page: &Json) -> String {
    let seconds = of(page, "within_seconds").as_u64().unwrap_or(0);
    format!("at once where it was made and within {seconds} s everywhere")
}

fn instant(at: &Json) -> String {
    show_instant(at.as_u64().unwrap_or(0))
}

/// One denial as people name it: `key 7f3a`.
pub(crate) fn named(denial: &Json) -> String {
    let issuer = match text(of(denial, "issuer")) {
        "" => String::new(),
        issuer => format!(" of {issuer}"),
    };
    let unknown = if is_unknown(denial) {
        " (not known to this build)"
    } else {
        ""
    };
    format!(
        "{} {}{issuer}{unknown}",
        text(of(denial, "what")),
        text(of(denial, "value"))
    )
}

/// Whether a gateway keeps a denial that a later build made, and does not know how to refuse what it names.
pub(crate) fn is_unknown(denial: &Json) -> bool {
    of(denial, "unknown") == true
}

/// The denials that stand.
pub(crate) fn standing(page: &Json) -> Vec<&Json> {
    let all = of(page, "denials").as_array().map(Vec::as_slice);
    let stands = |denial: &&Json| of(denial, "stands") == true;
    all.unwrap_or_default().iter().filter(stands).collect()
}

/// Until when, by whom and why.
pub(crate) fn why(denial: &Json) -> String {
    format!(
        "until {}, by {}: {}",
        instant(of(denial, "until")),
        text(of(denial, "by")),
        text(of(denial, "reason"))
    )
}

/// The list for people.
fn shown(page: &Json) -> String {
    let all = of(page, "denials").as_array().cloned().unwrap_or_default();
    if all.is_empty() {
        return "nothing is denied\n".to_owned();
    }
    let mut table = Table::new(&["DENIED", "UNTIL", "BY", "SINCE", "ID", "REASON"]);
    for denial in &all {
        let lifted = of(denial, "lifted");
        let until = match lifted {
            Json::Null => instant(of(denial, "until")),
            lifted => format!(
                "lifted {} by {}",
                instant(of(lifted, "time")),
                text(of(lifted, "by"))
            ),
        };
        table.row([
            named(denial),
            until,
            text(of(denial, "by")).to_owned(),
            instant(of(denial, "time")),
            text(of(denial, "id")).to_owned(),
            text(of(denial, "reason")).to_owned(),
        ]);
    }
    table.text("")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_a_gateway_does_not_know_is_named_so() {
        let denial = |more: Json| {
            let mut denial = serde_json::json!({ "what": "address", "value": "192.0.2.7" });
            denial["unknown"] = more;
            named(&denial)
        };
        assert_eq!(denial(Json::Null), "address 192.0.2.7");
        assert_eq!(denial(true.into()), "address 192.0.2.7 (not known to this build)");
    }

    #[test]
    fn an_end_is_a_time_or_a_date() {
        assert_eq!(until("2h"), Ok(Until::For(7_200)));
        assert_eq!(until("2027-01-31"), Ok(Until::At(1_801_353_600)));
        for wrong in ["", "2", "soon", "2027-13-01", "-1h"] {
            assert!(until(wrong).is_err(), "{wrong}");
        }
    }
}
