//! `turnpike diff`: what a change of the policies changes, and for whom.
//!
//! Two trees are compared in their normal form, in which order, comments and written-out defaults
//! are nothing, so that every line of the result is a change of a rule. The documents of APIs are
//! compared as a contract with their callers.

mod access;
mod apis;
mod cases;
mod change;
mod gateway;
mod governed;
mod issuers;
mod limits;
mod models;
mod operations;
mod place;
mod secrets;
mod shown;
mod side;
#[cfg(test)]
mod tests;

use std::path::PathBuf;

use clap::{Args, ValueEnum};

use change::{Change, Changes, Class, UNTOLD};
use place::Places;
use side::{Form, Side};
use turnpike_policy::source::Severity;
use turnpike_policy::{Bundle, Compiled, Timestamp};

use crate::words::list;
use crate::{Failure, say, tree};

/// Show what changes between two states of the policies
///
/// OLD and NEW are revisions of Git (main, HEAD~3, a tag), folders, or bundles; NEW is the folder of
/// the policies as it lies here unless it is named. Formatting, order and comments change nothing.
///
/// Each change is one of: breaking (a call that worked fails), risky (it may behave otherwise),
/// tightening (somebody may do less), loosening (somebody may do more), safe. In a version that is in
/// preview what would break is risky; what has been retired or is past its sunset cannot break.
#[derive(Debug, Args)]
#[command(after_help = "\
Examples:
  turnpike diff main                                       what this branch changes
  turnpike diff v1.4 v1.5 --env production
  turnpike diff origin/main --format markdown              for a comment on a pull request
  turnpike diff origin/main --format github                beside the lines of a pull request
  turnpike diff main --fail-on breaking,loosening          a gate in CI

Exit codes: 0 compared, 1 there are changes that --fail-on names or that break a rule which is an error, or a tree \
has errors, 2 cannot be compared")]
pub(crate) struct Arguments {
    /// What was: a revision, a folder or a bundle
    old: String,
    /// What is to be [default: the folder of the policies as it is]
    new: Option<String>,
    #[command(flatten)]
    policies: tree::Policies,
    /// Compare this environment only
    #[arg(long, value_name = "NAME")]
    env: Option<String>,
    /// Fail if there are such changes; several with commas between them
    #[arg(long, value_name = "CLASS", value_enum, value_delimiter = ',')]
    fail_on: Vec<Class>,
    /// Compare as of this day (2027-06-30) instead of today
    #[arg(long, value_name = "DATE", value_parser = tree::date)]
    as_of: Option<tree::Date>,
    /// How to say it
    #[arg(long, value_name = "FORMAT", value_enum, default_value = "text")]
    format: Format,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
enum Format {
    /// For people
    Text,
    /// For programs
    Json,
    /// For a comment on a pull request
    Markdown,
    /// Annotations of GitHub Actions
    Github,
    /// SARIF 2.1.0, for code scanning
    Sarif,
}

/// The identity of the rules; nothing, should they not fit into a bundle.
fn hash(compiled: &Compiled) -> Option<[u8; 32]> {
    Bundle::hash(compiled).ok()
}

/// Which environments are compared: the one that was asked for, else those that there are on both sides, or on one.
fn environments(arguments: &Arguments, old: &Side, new: &Side) -> Result<Vec<String>, Failure> {
    let mut environments = match &arguments.env {
        Some(name) => vec![name.clone()],
        None => new.environments(),
    };
    if arguments.env.is_none() && (old.is_bundle() || new.is_bundle()) {
        // A bundle is of one environment: nothing can be said of the others.
        environments.retain(|name| old.has(name));
        if environments.is_empty() {
            return Err(Failure::refused(format!(
                "{} is of {}, {} of {}: they have no environment in common",
                old.name,
                list(&old.environments()),
                new.name,
                list(&new.environments())
            )));
        }
    } else if arguments.env.is_none() {
        let more: Vec<_> = old
            .environments()
            .into_iter()
            .filter(|name| !environments.contains(name))
            .collect();
        environments.extend(more);
    }
    Ok(environments)
}

/// With how many that are gone a new environment is compared, and how many new ones are: each is a tree to be built.
const MOST_GONE: usize = 4;

/// What each of the environments that can be compared was called, and is. Where some are gone, each that is new may be one of
/// them under another name.
fn paired(environments: &[String], old: &Side, new: &Side) -> Vec<(String, String)> {
    let there = environments.iter().filter(|name| old.has(name) && new.has(name));
    let mut pairs: Vec<_> = there.map(|name| (name.clone(), name.clone())).collect();
    if !old.is_bundle() && !new.is_bundle() {
        let only = |side: &Side, other: &Side| -> Vec<String> {
            let names = side.environments().into_iter();
            names.filter(|name| !other.has(name)).collect()
        };
        // Which of them it was nobody says, so that it is compared with each.
        let mut gone = only(old, new);
        gone.truncate(MOST_GONE);
        let mut come = only(new, old);
        come.truncate(MOST_GONE);
        let renamed = come.into_iter().flat_map(|is| {
            let pair = move |was: &String| (was.clone(), is.clone());
            gone.iter().map(pair).collect::<Vec<_>>()
        });
        pairs.extend(renamed.filter(|(was, is)| environments.contains(was) || environments.contains(is)));
    }
    pairs
}

/// Compares both sides in an environment that they have; `before` is what it was called.
fn compare(
    (was, old): (&Form, &Side),
    (is, new): (&Form, &Side),
    now: Timestamp,
    (before, environment): (&str, &str),
    changes: &mut Changes,
) -> Result<(), Failure> {
    let (was_cases, is_cases) = (was.cases.as_deref(), is.cases.as_deref());
    let drift = is.drift;
    let (was, is) = (&was.compiled, &is.compiled);
    let Compiled {
        gateway: _,
        issuers: _,
        plans: _,
        consumers: _,
        keys: _,
        identities: _,
        certificates: _,
        apis: _,
        operations: _,
        models: _,
        providers: _,
        mocks: _,
        zones: _,
        claims: _,
        secrets: _,
        points: _,
        // These follow from what is compared.
        routes: _,
        headers: _,
        country: _,
        client_certificates: _,
        dpop: _,
        denials: _,
    } = is;
    let places = Places::new((old, before), (new, environment));
    gateway::compare(was, is, environment, &places, changes);
    apis::compare(
        ((was, old), (is, new)),
        (now, drift),
        environment,
        &places,
        changes,
    )?;
    models::compare(was, is, now, environment, &places, changes);
    secrets::compare(was, is, environment, &places, changes);
    access::compare(was, is, environment, &places, changes);
    // It changes no bundle, so it does not explain why one is another.
    let told = changes.any_in(environment);
    governed::compare(old, new, (before, environment), changes);
    cases::compare(was_cases, is_cases, environment, changes);
    if !told && hash(was) != hash(is) {
        // Better to say too little than that there is nothing.
        changes.begin("gateway", environment);
        changes.add(Class::Risky, "", format!("something {UNTOLD}"));
    }
    Ok(())
}

/// All that changes in these environments.
fn changes(
    environments: &[String],
    (old, new): (&Side, &Side),
    now: Timestamp,
    as_of: Option<&tree::Date>,
) -> Result<Changes, Failure> {
    let pairs = paired(environments, old, new);
    let (before, after): (Vec<_>, Vec<_>) = pairs.iter().cloned().unzip();
    let forms = old.forms(&before, as_of)?.into_iter();
    let forms = forms.zip(new.forms(&after, as_of)?);
    let mut changes = Changes::default();
    for ((was, is), (before, after)) in forms.zip(&pairs) {
        if before != after {
            changes.begin("gateway", after);
            changes.add(
                Class::Risky,
                "",
                format!("the environment `{before}` is gone, and `{after}` is new: it is compared with that"),
            );
        }
        compare((&was, old), (&is, new), now, (before, after), &mut changes)?;
        // Large ones are not worth taking apart: the process ends soon.
        std::mem::forget((was, is));
    }
    let compared = |name: &String| pairs.iter().any(|(was, is)| name == was || name == is);
    for environment in environments.iter().filter(|name| !compared(name)) {
        changes.begin("gateway", environment);
        if new.has(environment) {
            let said = format!("there is a new environment, `{environment}`");
            changes.add(Class::Safe, "", said);
            for (said, origin) in governed::permissions(new, environment) {
                changes.add(Class::Loosening, &origin, said);
            }
        } else if old.has(environment) {
            let said = format!("the environment `{environment}` is gone");
            changes.add(Class::Risky, "", said);
        } else {
            return Err(Failure::refused(format!(
                "there is no environment `{environment}` in {} or {}",
                old.name, new.name
            )));
        }
    }
    Ok(changes)
}

pub(crate) fn run(arguments: &Arguments) -> Result<(), Failure> {
    let root = arguments.policies.root();
    let now = match &arguments.as_of {
        Some(date) => date.at,
        None => tree::now()?,
    };
    let old = Side::open(&arguments.old, root.as_deref().ok())?;
    let new = match &arguments.new {
        Some(new) => Side::open(new, root.as_deref().ok())?,
        None => Side::folder(root?),
    };
    let environments = environments(arguments, &old, &new)?;
    let mut all = changes(&environments, (&old, &new), now, arguments.as_of.as_ref())?.finish();
    // As paths from here, where the folder lies here: bundles know no more than its name.
    let here = arguments
        .new
        .as_ref()
        .map(PathBuf::from)
        .filter(|new| new.is_dir());
    if let Some(here) = here.or_else(|| arguments.policies.root().ok()) {
        for change in all.iter_mut().filter(|change| !change.origin.is_empty()) {
            change.origin = tree::place(&here, &change.origin);
        }
    }
    let names = (old.name.as_str(), new.name.as_str());
    match arguments.format {
        Format::Text => say::out(&shown::text(&all, names, &environments))?,
        Format::Json => say::json(&shown::json(&all, names))?,
        Format::Github => say::exactly(&shown::github(&all))?,
        Format::Sarif => say::json(&shown::sarif(&all))?,
        Format::Markdown => say::out(&shown::markdown(&all, names, &environments))?,
    }
    let fails = |change: &Change| {
        let error = change
            .rule
            .as_ref()
            .is_some_and(|rule| rule.severity == Severity::Error);
        error || arguments.fail_on.contains(&change.class)
    };
    if all.iter().any(fails) {
        Err(Failure::Findings)
    } else {
        Ok(())
    }
}
