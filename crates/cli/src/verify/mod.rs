//! `turnpike verify`: whether a gateway that runs is the one that these policies describe.
//!
//! Two questions, and neither is left to trust. Which bundle it serves, it says itself; that it refuses
//! whom it must is tried: each route is called with credentials that are none, and the answer is compared
//! with that of the engine, which plays the same request here.

mod credentials;
mod probe;

use std::fmt::Write as _;
use std::path::Path;
use std::thread;
use std::time::Duration;

use clap::Args;
use serde_json::{Value as Json, json};
use turnpike_policy::{CertificateName, Compiled, hex, source};

use crate::check::machine::annotation;
use crate::play::Request;
use crate::{Failure, deny, git, operator, sarif, say, tree, web, words};

/// How long to wait between two looks, with --wait.
const PAUSE: Duration = Duration::from_secs(2);

/// Compare a gateway that runs with the policies
///
/// Asks it which bundle it serves, of which environment and commit, and whether it is ready. Then calls
/// each route with no credential, and with malformed ones, ones that nobody was given and ones that somebody
/// forged (tokens, tokens with proofs, and API keys wherever the policies take one): each must be refused as the
/// policies say. What cannot be tried from here, such as client certificates, is told. Where operators may deny, what they have denied is drift until the
/// policies say the same; to see it takes an operator's credential. Where the gateway serves other policies than these, only
/// routes that read (GET, HEAD) are called. No other credential is needed, and nothing reaches an upstream
/// unless a route does not refuse.
#[derive(Debug, Args)]
#[command(after_help = "\
Examples:
  turnpike verify https://api.acme.example --env production
  turnpike verify https://api.acme.example --env production --wait 2m      right after a deployment
  turnpike verify https://api.acme.example --as-of 2026-11-01              after a rollback, in a checkout of the older commit
  turnpike verify https://api.acme.example --format github                 as annotations of a run
  turnpike verify http://127.0.0.1:8787 --format json

Exit codes: 0 it serves these policies and refuses as they say, 1 it does not, 2 it could not be asked")]
pub(crate) struct Arguments {
    /// The gateway's address
    #[arg(value_name = "URL")]
    url: String,
    #[command(flatten)]
    policies: tree::Policies,
    /// Which environment it is to serve [default: the one that it says]
    #[arg(long, value_name = "NAME")]
    env: Option<String>,
    /// Wait so long for it to serve these policies (90s, 2m)
    #[arg(long, value_name = "TIME", value_parser = tree::seconds)]
    wait: Option<u64>,
    /// The environment variable that holds an operator's credential, to find what is denied on it beside the
    /// policies
    #[arg(long, value_name = "NAME", default_value = "TURNPIKE_TOKEN")]
    credential: String,
    /// Read the policies as of this day (2027-06-30), for an older commit of which something has expired since
    /// [default: today; the day of the commit, if something has expired since]
    #[arg(long, value_name = "DATE", value_parser = tree::date)]
    as_of: Option<tree::Date>,
    /// How to say what was found
    #[arg(long, value_name = "FORMAT", value_enum, default_value = "text")]
    format: tree::Report,
}

/// What a gateway says of itself.
struct Version {
    gateway: String,
    bundle: String,
    commit: String,
    dirty: bool,
    environment: String,
    built: String,
    json: Json,
}

/// The policies that it is compared with.
struct Mine {
    compiled: Compiled,
    hash: String,
    commit: Option<String>,
    /// Since when they are not right any more, if they were read as of another day for that.
    expired: Option<String>,
}

/// What was found.
#[derive(Default)]
struct Verdict {
    good: Vec<String>,
    wrong: Vec<String>,
    skipped: Vec<String>,
    /// What is no disagreement with the policies, and is to be known.
    notes: Vec<String>,
}

pub(crate) fn run(arguments: &Arguments) -> Result<(), Failure> {
    let root = arguments.policies.root()?;
    let base = web::address(&arguments.url)?;
    // Before anything is asked: a wrong tree has nothing to be compared with.
    if let Some(environment) = &arguments.env {
        tree::has_environment(&root, environment)?;
    }
    let mut version = Version::ask(&base)?;
    let environment = arguments
        .env
        .clone()
        .unwrap_or_else(|| version.environment.clone());
    let mine = Mine::build(&root, &environment, arguments.as_of.as_ref())?;
    if let Some(wait) = arguments.wait {
        let until = tree::now()?.saturating_add(wait.saturating_mul(1000));
        while version.bundle != mine.hash && tree::now()? < until {
            thread::sleep(PAUSE);
            version = Version::ask(&base)?;
        }
    }
    mine.answers(&base)?;
    let mut verdict = Verdict::default();
    verdict.notes.extend(mine.expired.clone());
    let same = verdict.version(&version, &mine, &environment, &root);
    verdict.health(&base)?;
    verdict.denials(&base, &mine.compiled, &arguments.credential);
    probe::probe(&base, &mine.compiled, same, &mut verdict)?;
    match arguments.format {
        tree::Report::Text => say::out(&verdict.text(&base, &version))?,
        tree::Report::Github => say::exactly(&verdict.github())?,
        tree::Report::Sarif => say::json(&verdict.sarif())?,
        tree::Report::Json => say::json(&json!({
            "gateway": version.json,
            "tree": { "bundle": mine.hash, "environment": environment, "commit": mine.commit },
            "same": same,
            "right": verdict.good,
            "wrong": verdict.wrong,
            "skipped": verdict.skipped,
            "notes": verdict.notes,
        }))?,
    }
    if verdict.wrong.is_empty() {
        Ok(())
    } else {
        Err(Failure::Findings)
    }
}

impl Version {
    fn ask(base: &str) -> Result<Self, Failure> {
        let answer = ask(base, "/_turnpike/version")?;
        let json = answer.json().unwrap_or_default();
        let text = |name: &str| json.get(name).and_then(Json::as_str).map(str::to_owned);
        let read = || {
            Some(Self {
                gateway: text("gateway")?,
                bundle: text("bundle")?,
                commit: text("commit")?,
                dirty: json.get("dirty")?.as_bool()?,
                environment: text("environment")?,
                built: text("built")?,
                json: json.clone(),
            })
        };
        read().filter(|_| answer.status == 200).ok_or_else(|| {
            Failure::refused(format!(
                "{base}/_turnpike/version answers {}, and not as this gateway does: is it the right address?",
                answer.status
            ))
        })
    }

    /// The commit that it was built of, if it was of one.
    fn commit(&self) -> Option<&str> {
        Some(self.commit.as_str()).filter(|commit| !["", "unknown"].contains(commit))
    }

    /// How it was built, where nobody here can look at that.
    fn out_of_sight(&self, root: &Path) -> Vec<String> {
        let commit = match self.commit() {
            None => Some("of no commit".to_owned()),
            Some(commit) if git::knows(root, commit) => None,
            Some(commit) => Some(format!(
                "of the commit {}, which is not known here",
                short(commit)
            )),
        };
        let changes = self
            .dirty
            .then(|| "with changes that were not committed".to_owned());
        commit.into_iter().chain(changes).collect()
    }
}

/// As much of a hash as people compare.
fn short(hash: &str) -> String {
    hash.chars().take(12).collect()
}

/// Whether the policies refuse by themselves what is denied: they have no such thing any more. Of a key or a
/// subject they cannot tell: they have hashes of keys, and no list of subjects.
fn said(compiled: &Compiled, denial: &Json) -> bool {
    let text = |name: &str| denial.get(name).and_then(Json::as_str).unwrap_or_default();
    let value = text("value");
    match text("what") {
        "consumer" => !compiled.consumers.iter().any(|known| known.name == value),
        "model" => !compiled.models.iter().any(|known| known.name == value),
        "operation" => {
            let name = |operation: &turnpike_policy::Operation| {
                let api = usize::try_from(operation.api).ok();
                let api = api.and_then(|api| compiled.apis.get(api))?;
                Some(format!("{}/{}#{}", api.name, api.version, operation.id))
            };
            !compiled
                .operations
                .iter()
                .any(|known| name(known).as_deref() == Some(value))
        }
        "certificate" => !compiled.certificates.iter().any(|known| match &known.by {
            CertificateName::Key(key) => hex(key) == value,
            CertificateName::Subject(_, subject) => subject == value,
        }),
        _ => false,
    }
}

fn ask(base: &str, path: &str) -> Result<crate::play::Answer, Failure> {
    let request = Request {
        method: "GET".to_owned(),
        url: format!("{base}{path}"),
        ..Request::default()
    };
    web::send(&request).map_err(|why| {
        Failure::refused(format!(
            "{base}: {why}\nlook whether the address is right, and whether the gateway runs there"
        ))
    })
}

impl Mine {
    /// Without a day, policies of which something has expired since their commit are read as of that one's: what runs
    /// was built of them, and its own expiry is no drift.
    fn build(root: &Path, environment: &str, as_of: Option<&tree::Date>) -> Result<Self, Failure> {
        tree::has_environment(root, environment)?;
        let mut outcome = tree::build(root, environment, as_of)?;
        let mut expired = None;
        if let (None, None) = (&outcome.compiled, as_of)
            && let Some(day) = git::day_of(root, "HEAD").and_then(|day| tree::date(&day).ok())
        {
            let then = tree::build(root, environment, Some(&day))?;
            if then.compiled.is_some() {
                expired = Some(format!(
                    "{} is read as of {}, the day of its commit: something in it has expired since (`turnpike check --env {environment}` names it)",
                    root.display(),
                    day.text
                ));
                outcome = then;
            }
        }
        match (outcome.compiled, outcome.bundle) {
            (Some(compiled), Some((_, hash))) => Ok(Self {
                compiled,
                hash: hex(&hash),
                commit: git::head(root),
                expired,
            }),
            _ => {
                say::findings(&outcome.diagnostics);
                say::error(&format!(
                    "the policies have errors in `{environment}`: mend these first, then verify\n\
                     if they are older ones in which something has expired since, pass --as-of DATE"
                ));
                Err(Failure::Findings)
            }
        }
    }
}

impl Mine {
    /// Whether they answer at this address at all; else each call would be refused, and show nothing.
    fn answers(&self, base: &str) -> Result<(), Failure> {
        let hosts = &self.compiled.gateway.hosts;
        let host = source::host(base);
        if hosts.is_empty() || hosts.iter().any(|known| known.eq_ignore_ascii_case(host)) {
            return Ok(());
        }
        Err(Failure::refused(format!(
            "`{host}` is not among the hosts that the policies answer, so that each call would be refused\n\
             ask at one of these: {}",
            hosts.join(", ")
        )))
    }
}

impl Verdict {
    /// Whether it serves these policies.
    fn version(&mut self, theirs: &Version, mine: &Mine, environment: &str, root: &Path) -> bool {
        if theirs.environment != environment {
            self.wrong.push(format!(
                "it serves the environment `{}`, not `{environment}`",
                theirs.environment
            ));
        }
        if theirs.gateway != mine.compiled.gateway.name {
            self.wrong.push(format!(
                "it is the gateway `{}`, not `{}`",
                theirs.gateway, mine.compiled.gateway.name
            ));
        }
        let same = theirs.bundle == mine.hash;
        let mut built = theirs.out_of_sight(root);
        if same {
            self.good.push(format!(
                "it serves the policies of {} ({})",
                root.display(),
                short(&mine.hash)
            ));
            // The same policies may come with another gateway.
            if let (Some(theirs), Some(mine)) = (theirs.commit(), mine.commit.as_deref())
                && theirs != mine
                && git::knows(root, theirs)
            {
                let (theirs, mine) = (short(theirs), short(mine));
                let here = root.display();
                built.insert(0, format!("of the commit {theirs}, and {here} stands at {mine}"));
            }
            if !built.is_empty() {
                self.notes.push(format!(
                    "it was built {}: its policies are these, the rest of it need not be",
                    built.join(", ")
                ));
            }
        } else {
            let how = match built.as_slice() {
                [] => String::new(),
                built => format!("; it was built {}", built.join(", ")),
            };
            let seen = theirs.commit().filter(|commit| git::knows(root, commit));
            let seen = seen.map_or_else(String::new, |commit| {
                format!(": `turnpike diff {}` shows what differs", short(commit))
            });
            self.wrong.push(format!(
                "it serves other policies ({}) than {} ({}){how}{seen}",
                short(&theirs.bundle),
                root.display(),
                short(&mine.hash),
            ));
        }
        same
    }

    /// Whether it can do what its policies say.
    fn health(&mut self, base: &str) -> Result<(), Failure> {
        let answer = ask(base, "/_turnpike/health")?;
        if answer.status == 200 {
            self.good.push("it is ready: no secret is missing".to_owned());
        } else {
            let why = answer.detail().or_else(|| answer.code()).unwrap_or_default();
            self.wrong
                .push(format!("it is not ready ({}): {why}", answer.status));
        }
        Ok(())
    }

    /// What operators have denied beside the policies, where they let any.
    fn denials(&mut self, base: &str, compiled: &Compiled, credential: &str) {
        let mut operators = compiled
            .consumers
            .iter()
            .filter_map(|consumer| consumer.operator.as_ref());
        if !operators.any(|operator| operator.deny.is_some()) {
            return;
        }
        let Some(found) = operator::credential(credential) else {
            self.skipped.push(format!(
                "what is denied on it: set ${credential} to an operator's credential"
            ));
            return;
        };
        match operator::ask(base, &found, "GET", deny::PATH, None) {
            Ok(page) => {
                let standing = deny::standing(&page);
                if standing.is_empty() {
                    self.good
                        .push("nothing is denied on it beside the policies".to_owned());
                }
                for denial in standing {
                    let (named, why) = (deny::named(denial), deny::why(denial));
                    if said(compiled, denial) {
                        self.good
                            .push(format!("{named} is denied, and these policies have it no more"));
                    } else {
                        self.wrong
                            .push(format!("{named} is denied {why}; the policies do not say so"));
                    }
                }
            }
            Err(Failure::Refused(why)) => {
                self.wrong
                    .push(format!("what is denied on it cannot be seen: {why}"));
            }
            Err(Failure::Findings) => {}
        }
    }

    fn text(&self, base: &str, version: &Version) -> String {
        let commit = match version.commit() {
            None => "of no commit".to_owned(),
            Some(commit) => format!("of {}", short(commit)),
        };
        let mut text = format!(
            "{} is {} in {}, {commit}, built {}\n",
            say::bold(base),
            version.gateway,
            version.environment,
            version.built
        );
        for (mark, lines) in [
            (say::good("ok  "), &self.good),
            (say::warn("skip"), &self.skipped),
            (say::warn("note"), &self.notes),
            (say::bad("FAIL"), &self.wrong),
        ] {
            for line in lines {
                let _ = writeln!(text, "  {mark}  {line}");
            }
        }
        let end = match self.wrong.len() {
            0 => "it is as the policies say".to_owned(),
            some => format!("{} with these policies", words::count(some, "disagreement")),
        };
        format!("{text}\n{end}\n")
    }

    /// What is wrong, what was not tried and what is to be known, for code scanners. It has no place in a file.
    fn sarif(&self) -> Json {
        let wrong = self.wrong.iter().map(|line| ("error", line));
        let skipped = self.skipped.iter().chain(&self.notes).map(|line| ("note", line));
        let results = wrong.chain(skipped);
        let results: Vec<_> = results
            .map(|(level, line)| sarif::result("verify", level, line, None))
            .collect();
        let rule = sarif::rule("verify", "The gateway is what its policies say.");
        sarif::log(&[rule], &results)
    }

    /// What is wrong, what was not tried and what is to be known, as GitHub Actions show it with a run.
    fn github(&self) -> String {
        let wrong = self.wrong.iter().map(|line| ("error", line));
        let skipped = self
            .skipped
            .iter()
            .chain(&self.notes)
            .map(|line| ("notice", line));
        let lines = wrong.chain(skipped);
        lines
            .map(|(level, line)| annotation(level, None, "turnpike verify", line))
            .collect()
    }
}
