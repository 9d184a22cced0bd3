//! `turnpike check`: everything that the build would say about the policies, without building.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt::Write as _;

use clap::Args;
use turnpike_policy::source::Diagnostic;

use crate::{Failure, say, tree};

/// Check the policies, as the build does
///
/// Shows every error and warning at once. Without --env, every environment of gateway.yaml is
/// checked; what is wrong in some of them only says in which.
#[derive(Debug, Args)]
pub(crate) struct Arguments {
    #[command(flatten)]
    policies: tree::Policies,
    /// Check this environment only
    #[arg(long, value_name = "NAME")]
    env: Option<String>,
    /// Check as of this day (2027-06-30) instead of today
    ///
    /// What expires is an error after its date and a warning 30 days before.
    #[arg(long, value_name = "DATE", value_parser = tree::date)]
    as_of: Option<tree::Date>,
}

/// A finding, and where it holds.
struct Finding {
    diagnostic: Diagnostic,
    environments: Vec<String>,
}

pub(crate) fn run(arguments: &Arguments) -> Result<(), Failure> {
    let root = arguments.policies.root()?;
    let environments = match &arguments.env {
        Some(environment) => {
            tree::has_environment(&root, environment)?;
            vec![environment.clone()]
        }
        None => tree::environments(&root),
    };
    // By place, each once however many environments it is found in.
    let mut findings: BTreeMap<_, Finding> = BTreeMap::new();
    let mut files = BTreeSet::new();
    for environment in &environments {
        let outcome = tree::build(&root, environment, arguments.as_of.as_ref())?;
        files.extend(outcome.files);
        for diagnostic in outcome.diagnostics {
            let Diagnostic {
                file, line, column, ..
            } = &diagnostic;
            let key = (file.clone(), *line, *column, diagnostic.to_string());
            let finding = findings.entry(key).or_insert_with(|| Finding {
                diagnostic,
                environments: Vec::new(),
            });
            finding.environments.push(environment.clone());
        }
    }

    let mut text = String::new();
    for Finding {
        diagnostic,
        environments: its,
    } in findings.values()
    {
        text.push_str(&say::paint(&diagnostic.to_string()));
        text.push('\n');
        if its.len() < environments.len() {
            let _ = writeln!(text, "  = note: in {}", list(its));
        }
        text.push('\n');
    }
    let errors = findings
        .values()
        .filter(|finding| finding.diagnostic.is_error())
        .count();
    let warnings = findings.len() - errors;
    let _ = writeln!(
        text,
        "{}, {} in {}",
        count(errors, "error"),
        count(warnings, "warning"),
        count(files.len(), "file")
    );
    say::out(&text)?;
    if errors == 0 {
        Ok(())
    } else {
        Err(Failure::Findings)
    }
}

fn count(number: usize, thing: &str) -> String {
    let plural = if number == 1 { "" } else { "s" };
    format!("{number} {thing}{plural}")
}

/// `dev`, `dev and staging`, `dev, staging and production`.
fn list(names: &[String]) -> String {
    match names {
        [] => String::new(),
        [one] => one.clone(),
        [first @ .., last] => format!("{} and {last}", first.join(", ")),
    }
}
