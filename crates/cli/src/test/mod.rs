//! `turnpike test`: the requests of `policies/tests/`, and what the policies answer.
//!
//! Each test is played through the engine that runs in the Worker, around which everything else is
//! played too ([`crate::play`]); or, with `--against`, sent to a gateway that runs.

mod compare;
mod junit;
mod live;
mod report;

use std::collections::BTreeSet;
use std::fmt::Write as _;
use std::fs;
use std::path::{Path, PathBuf};

use clap::Args;
use turnpike_policy::source::{Case, CaseRequest, Loaded};
use turnpike_policy::{Compiled, Timestamp};

use crate::play::{Answer, Mint, Request, World};
use crate::{Failure, say, tree, words};

/// How many requests a run may send: each environment has a bound of its own, and a tree any number of environments.
const MOST_TOGETHER: u64 = 1_000_000;
const DAY: u64 = 24 * 60 * 60 * 1000;
/// A host that is nobody's, for gateways that answer for every one.
const HOST: &str = "gateway.invalid";

/// Run the tests of the policies
///
/// Reads tests/*.yaml beside the policies and plays each request through the gateway's own engine, in
/// this process: no server, no secret and no upstream is needed. The clock is virtual: `times: 6` sends
/// six requests at one instant, `over: 3s` spreads them, `after: 61s` waits without waiting. Every
/// test begins with full limits, so that order and FILTER change nothing.
///
/// `as: NAME` calls with a credential of that consumer, made up for the run; it goes through
/// identification and authorization like any other. Mocks answer as the policies say. What would
/// leave for a real upstream is not sent: it is answered as the test's `upstream` says, and
/// `expect: { upstream: ... }` looks at it.
#[derive(Debug, Args)]
#[command(after_help = "\
Examples:
  turnpike test                            everything, in every environment
  turnpike test plans --env production     tests whose file or name holds `plans`, in one environment
  turnpike test --junit report.xml         and a report that CI systems read
  turnpike test --format github            failures as annotations of a pull request
  turnpike test --env staging --against https://staging.acme.example --credentials credentials.yaml

Exit codes: 0 all passed, 1 a test failed or the policies have errors, 2 the tests could not be run")]
pub(crate) struct Arguments {
    /// Only tests whose file or name holds this text
    filter: Option<String>,
    #[command(flatten)]
    policies: tree::Policies,
    /// In this environment only [default: in each that has tests]
    #[arg(long, value_name = "NAME")]
    env: Option<String>,
    /// The day on which it plays (2027-06-30) instead of today; a test's own `at` wins
    #[arg(long, value_name = "DATE", value_parser = tree::date)]
    as_of: Option<tree::Date>,
    /// Write a report in the `JUnit` format to this file as well
    #[arg(long, value_name = "FILE")]
    junit: Option<PathBuf>,
    /// Send the requests to this gateway instead; needs --env, and curl on the path
    ///
    /// Tests that need a virtual clock, or that say what an upstream answers or gets, are skipped and
    /// named.
    #[arg(long, value_name = "URL", requires = "env")]
    against: Option<String>,
    /// Credentials of consumers for --against: a YAML file of names and credentials
    ///
    /// `demo: $DEMO_TOKEN` takes it from the environment. A consumer that calls with different scopes
    /// has a list: `demo: [{ scopes: [pets:write], credential: $WRITER }, { credential: $READER }]`.
    #[arg(long, value_name = "FILE", requires = "against")]
    credentials: Option<PathBuf>,
    /// How to say it
    #[arg(long, value_name = "FORMAT", value_enum, default_value = "text")]
    format: tree::Report,
}

/// What came of a test.
#[derive(Debug)]
enum Outcome {
    Passed,
    /// It was not run, and why.
    Skipped(String),
    /// What is wrong, each with its place.
    Failed(Vec<String>),
}

/// A test that was run.
#[derive(Debug)]
struct Ran {
    file: String,
    environment: String,
    name: String,
    origin: String,
    outcome: Outcome,
    /// What a reader should know all the same.
    notes: Vec<String>,
}

pub(crate) fn run(arguments: &Arguments) -> Result<(), Failure> {
    let root = arguments.policies.root()?;
    let loaded = Loaded::read(&root);
    let environments = match &arguments.env {
        Some(environment) => {
            tree::has_environment(&root, environment)?;
            vec![environment.clone()]
        }
        None => tree::environments_of(&loaded),
    };
    let day = match &arguments.as_of {
        Some(date) => date.at,
        None => tree::now()?,
    };
    let live = arguments
        .against
        .as_deref()
        .map(|url| live::Gateway::new(url, arguments.credentials.as_deref()))
        .transpose()?;
    let mut ran = Vec::new();
    let mut there = 0_usize;
    let outcomes = tree::build_all(&loaded, &environments, arguments.as_of.as_ref())?;
    let wanted = |case: &Case| {
        let filter = arguments.filter.as_deref().unwrap_or_default();
        format!("{} {}", case.file, case.name).contains(filter)
    };
    has_end(
        outcomes
            .iter()
            .flat_map(|outcome| &outcome.cases)
            .filter(|case| wanted(case)),
    )?;
    for (environment, outcome) in environments.iter().zip(outcomes) {
        let Some(compiled) = outcome.compiled else {
            say::findings(&outcome.diagnostics);
            say::error(&format!(
                "the policies have errors in `{environment}`: mend these first, then test"
            ));
            return Err(Failure::Findings);
        };
        there += outcome.cases.len();
        for case in outcome.cases.into_iter().filter(wanted) {
            let (outcome, notes) = match &live {
                Some(gateway) => gateway.run(&case, &root),
                None => played(&case, &compiled, day, &root),
            };
            ran.push(Ran {
                origin: tree::place(&root, &case.origin),
                file: case.file,
                environment: environment.clone(),
                name: case.name,
                outcome,
                notes,
            });
        }
    }
    if let (Some(filter), true, true) = (&arguments.filter, ran.is_empty(), there > 0) {
        return Err(Failure::refused(format!(
            "no test has `{filter}` in its file or name\n`turnpike test` without it runs all, and names them"
        )));
    }
    if let Some(file) = &arguments.junit {
        junit::write(file, &ran)?;
    }
    match arguments.format {
        tree::Report::Text if there == 0 => say::out(&none(&root, &environments))?,
        tree::Report::Text => say::out(&report::text(&ran))?,
        tree::Report::Json => say::json(&report::json(&ran))?,
        tree::Report::Github => say::exactly(&report::github(&ran))?,
        tree::Report::Sarif => say::json(&report::sarif(&ran))?,
    }
    if ran.iter().any(|test| matches!(test.outcome, Outcome::Failed(_))) {
        return Err(Failure::Findings);
    }
    Ok(())
}

/// Refuses what would be run for too long.
fn has_end<'a>(cases: impl Iterator<Item = &'a Case>) -> Result<(), Failure> {
    let steps = cases.flat_map(|case| &case.steps);
    let requests: u64 = steps.map(|step| u64::from(step.request.times)).sum();
    if requests > MOST_TOGETHER {
        return Err(Failure::refused(format!(
            "the tests of all environments send {requests} requests together, and a run sends {MOST_TOGETHER} at the most\n             run those of one environment (--env NAME), or fewer (FILTER), or write fewer `times`"
        )));
    }
    Ok(())
}

/// Why nothing was run where there is no test.
fn none(root: &Path, environments: &[String]) -> String {
    let tests = root.join("tests");
    let mut files = fs::read_dir(&tests).into_iter().flatten();
    if files.next().is_some() {
        let named: Vec<_> = environments.iter().map(|name| format!("`{name}`")).collect();
        format!(
            "no test in {} is for {}: their `environments` name others, or the files have none\n",
            tests.display(),
            words::list(&named)
        )
    } else {
        format!(
            "there are no tests: write some in {}/<name>.yaml (docs/cli.md shows how)\n",
            tests.display()
        )
    }
}

/// Plays a test.
fn played(case: &Case, compiled: &Compiled, day: Timestamp, root: &Path) -> (Outcome, Vec<String>) {
    let mut notes = Vec::new();
    let outcome = play_steps(case, compiled, day, root, &mut notes)
        .unwrap_or_else(|why| Outcome::Failed(vec![format!("{}: {why}", tree::place(root, &case.origin))]));
    (outcome, notes)
}

fn play_steps(
    case: &Case,
    compiled: &Compiled,
    day: Timestamp,
    root: &Path,
    notes: &mut Vec<String>,
) -> Result<Outcome, String> {
    let mut world = World::new(compiled, Mint::new(compiled)?);
    // Noon: far from where calendar windows end.
    let mut now = case.at.unwrap_or(day / DAY * DAY + DAY / 2);
    let host = compiled.gateway.hosts.first().map_or(HOST, String::as_str);
    let mut wrong = Vec::new();
    let mut real = BTreeSet::new();
    for step in &case.steps {
        now = now.saturating_add(step.after);
        world.script(&step.upstream);
        let request = request(&step.request, &format!("https://{host}"));
        let requests: Vec<_> = (0..step.request.times)
            .map(|index| (now.saturating_add(offset(&step.request, index)), &request))
            .collect();
        let answers = world.play(&requests)?;
        if answers.iter().any(|answer| answer.cold) {
            return Err(
                "this page is the gateway's own, which tests do not play; run it with --against".to_owned(),
            );
        }
        for sent in answers.iter().flat_map(|answer| &answer.sent) {
            if !sent.scripted && !step.expect.iter().any(|expected| expected.upstream.is_some()) {
                real.insert(format!("{} {}", sent.method, sent.url));
            }
        }
        wrong.extend(compare::compare(&step.expect, &answers, root));
        now = now.saturating_add(step.request.over.unwrap_or(0));
    }
    notes.extend(
        real.iter()
            .map(|call| format!("not sent: {call} (played as 200; say so with `upstream`, or expect it)")),
    );
    Ok(if wrong.is_empty() {
        Outcome::Passed
    } else {
        Outcome::Failed(wrong)
    })
}

/// When one of several requests is sent: the first at once, the last after `over`.
fn offset(request: &CaseRequest, index: u32) -> u64 {
    let gaps = u64::from(request.times.saturating_sub(1)).max(1);
    let over = request.over.unwrap_or(0);
    u64::from(index).saturating_mul(over) / gaps
}

/// A request as the gateway gets it. `base` stands before a path.
fn request(case: &CaseRequest, base: &str) -> Request {
    let url = if case.target.starts_with('/') {
        format!("{base}{}", case.target)
    } else {
        case.target.clone()
    };
    let mut headers = case.headers.clone();
    if let Some(from) = &case.from {
        headers.push(("cf-connecting-ip".to_owned(), from.clone()));
    }
    Request {
        method: case.method.to_owned(),
        url,
        headers,
        body: case.body.clone(),
        country: case.country.clone(),
        caller: case.caller.clone(),
    }
}

/// One line that says what an answer was.
fn told(answer: &Answer, root: &Path) -> String {
    let mut text = answer.status.to_string();
    if let Some(code) = answer.code() {
        let _ = write!(text, " {code}");
    }
    if let Some(detail) = answer.detail() {
        let _ = write!(text, ": {detail}");
    }
    if let Some(policy) = answer.policy() {
        let _ = write!(text, " ({})", tree::place(root, &policy));
    }
    text
}
