//! `turnpike explain`: what would become of a request and why, and what a code means.

mod pages;
mod road;

use std::fmt::Write as _;

use clap::Args;
use serde_json::{Value as Json, json};
use turnpike_policy::Compiled;
use turnpike_policy::source::Caller;

pub(crate) use pages::diagnostic as page;

use crate::effective::{self, Fact};
use crate::lines::Lines;
use crate::play::{Answer, Mint, Request, World, resolved};
use crate::table::Table;
use crate::words::{self, at};
use crate::{Failure, say, tree};

/// Explain what becomes of a request, or what a code means
///
/// With a method and a URL: plays the request through the gateway's own engine and shows what each
/// phase decides, by which line of the policies, and everything that holds for the operation. Nothing
/// is sent. `--as NAME` calls with a credential of that consumer, made up for this.
///
/// With the code of a diagnostic (P0123) or of a refusal (`rate_limited`): what it means, and what to do.
#[derive(Debug, Args)]
#[command(after_help = "\
Examples:
  turnpike explain GET /petstore/v1/pets --as demo
  turnpike explain POST /v1/chat/completions --as trial --json '{\"model\":\"smart\",\"messages\":[]}'
  turnpike explain POST /petstore/v1/pets --as demo --claim department=stores
  turnpike explain P0301
  turnpike explain insufficient_scope

Exit codes: 0 explained (a refused request too), 1 the policies have errors, 2 no such code or consumer")]
pub(crate) struct Arguments {
    /// A method such as GET, or a code such as P0301
    #[arg(value_name = "METHOD|CODE")]
    what: String,
    /// The path or URL of the request
    url: Option<String>,
    #[command(flatten)]
    policies: tree::Policies,
    /// Who calls [default: somebody without a credential]
    #[arg(long = "as", value_name = "CONSUMER")]
    consumer: Option<String>,
    /// A scope of the caller's token; may be repeated, or hold several with commas between them
    #[arg(long, value_name = "SCOPE", value_delimiter = ',', value_parser = tree::scope, requires = "consumer")]
    scope: Vec<String>,
    /// A claim of the caller's token: NAME=TEXT, or NAME:=JSON; may be repeated
    #[arg(long, value_name = "CLAIM", value_parser = crate::token::claim, requires = "consumer")]
    claim: Vec<(String, Json)>,
    /// The country that the request comes from (two capital letters)
    #[arg(long, value_name = "COUNTRY")]
    country: Option<String>,
    /// In which environment
    #[arg(long, value_name = "NAME", default_value = "dev")]
    env: String,
    /// The body, as JSON
    #[arg(long, value_name = "BODY")]
    json: Option<String>,
    /// A header (`accept: text/plain`); may be repeated
    #[arg(long, value_name = "HEADER", value_parser = header)]
    header: Vec<(String, String)>,
    /// The day on which it plays (2027-06-30) instead of today
    #[arg(long, value_name = "DATE", value_parser = tree::date)]
    as_of: Option<tree::Date>,
    /// How to say it
    #[arg(long, value_name = "FORMAT", value_enum, default_value = "text")]
    format: tree::Format,
}

fn header(text: &str) -> Result<(String, String), String> {
    match text.split_once(':') {
        Some((name, value)) if !name.is_empty() && !name.contains(char::is_whitespace) => {
            Ok((name.to_ascii_lowercase(), value.trim().to_owned()))
        }
        _ => Err("write NAME: VALUE".to_owned()),
    }
}

pub(crate) fn run(arguments: &Arguments) -> Result<(), Failure> {
    match &arguments.url {
        None => pages::show(&arguments.what, arguments.format),
        Some(url) => request(arguments, url),
    }
}

fn request(arguments: &Arguments, url: &str) -> Result<(), Failure> {
    let method = arguments.what.to_ascii_uppercase();
    if method.is_empty() || !method.bytes().all(|byte| byte.is_ascii_alphabetic()) {
        return Err(Failure::refused(format!(
            "`{}` is no method: write for example `turnpike explain GET {url}`",
            arguments.what
        )));
    }
    if let Some(body) = &arguments.json
        && let Err(error) = serde_json::from_str::<Json>(body)
    {
        return Err(Failure::refused(format!(
            "--json is not JSON: {error}\nkeep it whole for the shell, in single quotes: --json '{{\"name\": \"Rex\"}}'"
        )));
    }
    let root = arguments.policies.root()?;
    let mut compiled = tree::compiled(&root, &arguments.env, arguments.as_of.as_ref(), "then ask again")?;
    if let Some(name) = &arguments.consumer {
        let names = compiled.consumers.iter().map(|consumer| consumer.name.as_str());
        tree::find(
            name,
            "consumer",
            names,
            &format!("in the environment `{}`", arguments.env),
        )?;
    }
    // What the policies do not log is explained all the same.
    compiled.gateway.log = turnpike_policy::LogRequests::All;
    let host = compiled
        .gateway
        .hosts
        .first()
        .map_or("gateway.invalid", String::as_str);
    let host_of = |url: &str| {
        let rest = url
            .split_once("://")
            .filter(|(scheme, _)| matches!(*scheme, "http" | "https"))?
            .1;
        let host = rest.split(['/', '?', '#']).next()?;
        let host = host.rsplit_once('@').map_or(host, |(_, host)| host);
        (!host.is_empty() && host.matches('[').count() == host.matches(']').count()).then(|| host.to_owned())
    };
    if !url.starts_with('/') && host_of(url).is_none() {
        return Err(Failure::refused(format!(
            "`{url}` is no URL: write a path (/petstore/v1/pets) or all of it (https://api.example.com/petstore/v1/pets)"
        )));
    }
    let url = if url.starts_with('/') {
        format!("https://{host}{url}")
    } else {
        url.to_owned()
    };
    let mut headers = arguments.header.clone();
    if arguments.json.is_some() && !headers.iter().any(|(name, _)| name == "content-type") {
        headers.push(("content-type".to_owned(), "application/json".to_owned()));
    }
    let request = Request {
        method,
        url,
        headers,
        body: arguments.json.clone().map(String::into_bytes),
        country: arguments.country.clone(),
        caller: arguments.consumer.clone().map(|consumer| Caller {
            consumer,
            scopes: arguments.scope.clone(),
            claims: arguments.claim.clone(),
            ..Caller::default()
        }),
    };
    let now = match &arguments.as_of {
        Some(date) => date.at,
        None => tree::now()?,
    };
    let mut world = World::new(&compiled, Mint::new(&compiled).map_err(Failure::refused)?);
    world.traces = true;
    let answers = world.play(&[(now, &request)]).map_err(Failure::refused)?;
    let answer = answers
        .into_iter()
        .next()
        .ok_or_else(|| Failure::refused("the request has no answer"))?;
    let lines = Lines::new(&root, &arguments.env);
    let mut road = road::road(&compiled, &request, &answer, &lines);
    for phase in &mut road {
        phase.origin = tree::place(&root, &phase.origin);
    }
    let facts = holds(&compiled, &answer, arguments.consumer.as_deref(), &lines);
    let facts = effective::placed(facts, &root);
    if arguments.format == tree::Format::Json {
        // The gateway names the line as its bundle does.
        let line = answer.policy().map(|line| tree::place(&root, &line));
        return say::json(&as_json(&request, &answer, line.as_deref(), &road, &facts));
    }
    say::out(&as_text(arguments, &request, &answer, &road, &facts))
}

/// What holds for what was called; nothing, if that is nothing.
fn holds(compiled: &Compiled, answer: &Answer, consumer: Option<&str>, lines: &Lines) -> Vec<Fact> {
    let caller = consumer.and_then(|name| {
        let index = compiled.consumers.iter().position(|known| known.name == name)?;
        u32::try_from(index).ok()
    });
    let text = |member: &str| answer.log.get(member).and_then(Json::as_str);
    if let Some(name) = text("model")
        && let Some(index) = compiled.models.iter().position(|model| model.name == name)
    {
        return effective::model(compiled, u32::try_from(index).unwrap_or(u32::MAX), caller, lines);
    }
    let Some(name) = text("operation") else {
        return Vec::new();
    };
    (0..u32::try_from(compiled.operations.len()).unwrap_or(u32::MAX))
        .find(|index| words::operation(compiled, *index).as_deref() == Some(name))
        .filter(|index| at(&compiled.operations, *index).is_some())
        .map(|index| effective::operation(compiled, index, caller, lines))
        .unwrap_or_default()
}

fn as_text(
    arguments: &Arguments,
    request: &Request,
    answer: &Answer,
    road: &[road::Phase],
    facts: &[Fact],
) -> String {
    let who = arguments.consumer.as_deref().unwrap_or("nobody");
    let mut text = format!(
        "{} {} as {who}, in {}\n",
        request.method,
        say::visible(&request.url),
        arguments.env
    );
    let seen = resolved(&request.url);
    if *seen != *request.url {
        let _ = writeln!(
            text,
            "its dots are resolved before the gateway sees it: {}",
            say::visible(&seen)
        );
    }
    text.push('\n');
    let mut table = Table::new(&[]);
    for phase in road {
        let policy = if phase.origin.is_empty() {
            String::new()
        } else {
            format!("[{}]", phase.origin)
        };
        table.row([
            phase.name.to_owned(),
            phase.decision.to_owned(),
            format!("{} {policy}", phase.why).trim_end().to_owned(),
        ]);
    }
    text.push_str(&paint(&table.text("  ")));
    let code = answer.code().map(|code| format!(" {code}")).unwrap_or_default();
    if answer.cold {
        text.push_str("\nanswered by a page of the gateway's own, which is not played here\n");
    } else {
        let _ = writeln!(text, "\nanswered: {}{code}", answer.status);
    }
    for sent in &answer.sent {
        let _ = writeln!(
            text,
            "\nwould be sent: {} {}",
            sent.method,
            say::visible(&sent.url)
        );
        for (name, value) in &sent.headers {
            let _ = writeln!(text, "  {name}: {}", say::visible(value));
        }
        text.push_str("  (answered here as 200, without sending it)\n");
    }
    if !facts.is_empty() {
        text.push_str("\nwhat holds for it:\n");
        text.push_str(&facts_table(facts).text("  "));
    }
    if let Some(code) = answer.code() {
        let _ = writeln!(text, "\n`turnpike explain {code}` says what to do about it.");
    }
    text
}

fn paint(table: &str) -> String {
    let lines: Vec<_> = table
        .lines()
        .map(|line| {
            if line.contains("  refused ") || line.contains("  failed ") {
                say::bad(line)
            } else {
                line.to_owned()
            }
        })
        .collect();
    format!("{}\n", lines.join("\n"))
}

/// Facts, each with its line.
pub(crate) fn facts_table(facts: &[Fact]) -> Table {
    let mut table = Table::new(&[]);
    for fact in facts {
        let origin = if fact.origin.is_empty() {
            String::new()
        } else {
            format!("[{}]", fact.origin)
        };
        table.row([fact.name.to_owned(), fact.value.clone(), origin]);
    }
    table
}

fn as_json(
    request: &Request,
    answer: &Answer,
    line: Option<&str>,
    road: &[road::Phase],
    facts: &[Fact],
) -> Json {
    let phases: Vec<_> = road
        .iter()
        .map(|phase| {
            json!({ "phase": phase.name, "decision": phase.decision, "why": phase.why, "origin": phase.origin })
        })
        .collect();
    let sent: Vec<_> = answer
        .sent
        .iter()
        .map(|sent| {
            let headers: serde_json::Map<_, _> = sent
                .headers
                .iter()
                .map(|(name, value)| (name.clone(), value.clone().into()))
                .collect();
            json!({ "method": sent.method, "url": sent.url, "headers": headers })
        })
        .collect();
    let facts: Vec<_> = facts.iter().map(Fact::json).collect();
    json!({
        "method": request.method,
        "url": request.url,
        "seen_as": resolved(&request.url),
        "status": if answer.cold { Json::Null } else { answer.status.into() },
        "code": answer.code(),
        "detail": answer.detail(),
        "policy": line,
        "phases": phases,
        "would_be_sent": sent,
        "effective": facts,
    })
}
