//! `turnpike check`: everything that the build would say about the policies, without building.

pub(crate) mod machine;
mod totals;
mod wrangler;

use std::collections::{BTreeMap, BTreeSet};
use std::fmt::Write as _;
use std::path::PathBuf;

use clap::{Args, ValueEnum};
use turnpike_policy::source::Diagnostic;

use crate::words::list;
use crate::{Failure, kept, say, tree, words};
use totals::{Hidden, Totals};

/// Check the policies, as the build does
///
/// Shows every error and warning at once. Without --env, every environment of gateway.yaml is
/// checked; what is wrong in some of them only says in which. A `wrangler.toml` beside the folder of the
/// policies is checked with them: it must deploy what they need. `turnpike explain P0301` says what a
/// code means.
///
/// Of a large tree what was found in its files is kept by their content in ~/.cache/turnpike/checked, so that the
/// next check reads what has changed (the variable `TURNPIKE_CACHE` names another folder, or `no`).
#[derive(Debug, Args)]
#[command(after_help = "\
Examples:
  turnpike check                                      before a commit
  turnpike check --deny warnings --format github      in GitHub Actions: findings beside the lines
  turnpike check --format sarif > findings.sarif      for code scanning
  turnpike check --as-of 2027-06-30                   what will have expired by then

Exit codes: 0 no errors, 1 errors (or warnings, with --deny warnings), 2 the check could not be made")]
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
    /// Fail on warnings too
    #[arg(long, value_name = "WHAT", value_enum)]
    deny: Option<Deny>,
    /// How to say what was found
    #[arg(long, value_name = "FORMAT", value_enum, default_value = "text")]
    format: Format,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
enum Deny {
    /// Warnings are as bad as errors
    Warnings,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
enum Format {
    /// For people, with the lines concerned
    Text,
    /// One JSON object
    Json,
    /// SARIF 2.1.0, for code scanning
    Sarif,
    /// Annotations of GitHub Actions
    Github,
}

/// A finding, and where it holds.
struct Finding {
    diagnostic: Diagnostic,
    environments: Vec<String>,
}

pub(crate) fn run(arguments: &Arguments) -> Result<(), Failure> {
    let root = arguments.policies.root()?;
    let loaded = kept::load(&root);
    let environments = match &arguments.env {
        Some(environment) => {
            tree::has_environment(&root, environment)?;
            vec![environment.clone()]
        }
        None => tree::environments_of(&loaded),
    };
    // By place, each once however many environments it is found in.
    let mut found: BTreeMap<_, Finding> = BTreeMap::new();
    let mut hidden = Hidden::default();
    let mut files = BTreeSet::new();
    let mut checked = BTreeMap::new();
    let outcomes = tree::build_all(&loaded, &environments, arguments.as_of.as_ref())?;
    for (environment, outcome) in environments.iter().zip(outcomes) {
        // Paths are slow to compare, and these are written alike.
        files.extend(outcome.files.into_iter().map(PathBuf::into_os_string));
        checked.insert(environment.clone(), outcome.compiled);
        hidden.add(environment, outcome.hidden);
        for diagnostic in outcome.diagnostics {
            let finding = found.entry(place(&diagnostic)).or_insert_with(|| Finding {
                diagnostic,
                environments: Vec::new(),
            });
            finding.environments.push(environment.clone());
        }
    }
    if let Some(beside) = wrangler::check(&root, &tree::environments_of(&loaded), &checked) {
        files.insert(beside.file.into_os_string());
        for diagnostic in beside.diagnostics {
            let finding = Finding {
                diagnostic,
                environments: environments.clone(),
            };
            found.insert(place(&finding.diagnostic), finding);
        }
    }
    // The process ends soon: what it holds of a large tree need not be taken apart first.
    std::mem::forget(loaded);
    let findings: Vec<Finding> = found.into_values().collect();
    let totals = hidden.and(&findings);
    match arguments.format {
        Format::Text => say::out(&text(&findings, totals, &environments, files.len()))?,
        Format::Json => say::json(&machine::json(&findings, totals, files.len()))?,
        Format::Sarif => say::json(&machine::sarif(&findings))?,
        Format::Github => say::exactly(&machine::github(&findings))?,
    }
    let denied = arguments.deny.map_or(0, |Deny::Warnings| totals.warnings);
    if totals.errors == 0 && denied == 0 {
        Ok(())
    } else {
        Err(Failure::Findings)
    }
}

/// What findings are ordered by, and known again by in another environment.
fn place(diagnostic: &Diagnostic) -> (String, u32, u32, String) {
    let Diagnostic {
        file, line, column, ..
    } = diagnostic;
    (file.clone(), *line, *column, diagnostic.to_string())
}

fn text(findings: &[Finding], totals: Totals, environments: &[String], files: usize) -> String {
    let mut text = String::new();
    for Finding {
        diagnostic,
        environments: its,
    } in findings
    {
        text.push_str(&say::paint(&diagnostic.to_string()));
        text.push('\n');
        if its.len() < environments.len() {
            let _ = writeln!(text, "  = note: in {}", list(its));
        }
        text.push('\n');
    }
    let Totals {
        errors,
        warnings,
        notes,
    } = totals;
    let notes = match notes {
        0 => String::new(),
        notes => format!(", {}", words::count(notes, "note")),
    };
    let _ = writeln!(
        text,
        "{}, {}{notes} in {}",
        words::count(errors, "error"),
        words::count(warnings, "warning"),
        words::count(files, "file")
    );
    text
}
