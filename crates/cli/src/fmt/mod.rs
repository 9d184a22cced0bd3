//! `turnpike fmt`: one way to lay out policy files, so that a diff shows what changed and no more.
//!
//! Only blanks change: the text without its white space is the same before and after, and so is the
//! document that it stands for. Both are checked for each file, every time; one that is not plainly
//! understood is left as it is.

mod flow;
mod layout;

use std::fs;
use std::path::{Path, PathBuf};

use clap::Args;

use crate::{Failure, new_key, say, tree, words};

/// Folders with a policy in each file. Documents beside an API belong to their authors.
const KINDS: [&str; 10] = [
    "consumers",
    "environments",
    "governance",
    "guardrails",
    "mocks",
    "models",
    "plans",
    "providers",
    "templates",
    "tests",
];

/// Lay out policy files in one way
///
/// Two spaces a level, lists further in than their key, `key: value`, `{ a: 1 }` and `[a, b]`, no blanks at
/// the ends of lines, one empty line at most. Comments, order, quotes and what is written stay; OpenAPI documents
/// and JSON files are not touched.
#[derive(Debug, Args)]
#[command(after_help = "\
Examples:
  turnpike fmt              all policy files
  turnpike fmt --check      in CI: say which are laid out otherwise, change nothing

Exit codes: 0 done, 1 with --check: some are laid out otherwise, 2 a file cannot be read or written")]
pub(crate) struct Arguments {
    /// Only these files
    files: Vec<PathBuf>,
    #[command(flatten)]
    policies: tree::Policies,
    /// Change nothing; fail if something would change
    #[arg(long)]
    check: bool,
}

pub(crate) fn run(arguments: &Arguments) -> Result<(), Failure> {
    let files = if arguments.files.is_empty() {
        policy_files(&arguments.policies.root()?)?
    } else {
        arguments.files.clone()
    };
    let (mut differ, mut broken) = (0_usize, 0_usize);
    for file in &files {
        let text = fs::read_to_string(file)
            .map_err(|error| Failure::refused(format!("cannot read {}: {error}", file.display())))?;
        match layout::format(&text) {
            Ok(new) if new == text => {}
            Ok(_) if arguments.check => {
                differ += 1;
                say::out(&format!("{} is laid out otherwise\n", file.display()))?;
            }
            Ok(new) => {
                new_key::replace(file, &new)?;
                say::out(&format!("laid out {}\n", file.display()))?;
            }
            Err(_) if serde_saphyr::from_str::<serde_json::Value>(&text).is_err() => {
                broken += 1;
                say::error(&format!(
                    "{} is no YAML that can be read: `turnpike check` says what is wrong with it",
                    file.display()
                ));
            }
            Err(why) => say::note(&format!("{} is left as it is: {why}", file.display())),
        }
    }
    if broken > 0 {
        return Err(Failure::refused(format!(
            "{} could not be laid out",
            words::count(broken, "file")
        )));
    }
    if differ == 0 {
        Ok(())
    } else {
        say::note("`turnpike fmt` lays them out");
        Err(Failure::Findings)
    }
}

/// The files of a tree that hold a policy, in the order of their names.
fn policy_files(root: &Path) -> Result<Vec<PathBuf>, Failure> {
    let mut files = Vec::new();
    let yaml = |file: &Path| {
        file.extension()
            .is_some_and(|ending| ending == "yaml" || ending == "yml")
    };
    files.extend(list(root)?.into_iter().filter(|file| {
        file.is_file() && yaml(file) && file.file_stem().is_some_and(|stem| stem == "gateway")
    }));
    for kind in KINDS {
        let folder = root.join(kind);
        if folder.is_dir() {
            files.extend(
                list(&folder)?
                    .into_iter()
                    .filter(|file| file.is_file() && yaml(file)),
            );
        }
    }
    let apis = root.join("apis");
    if apis.is_dir() {
        for api in list(&apis)?.into_iter().filter(|api| api.is_dir()) {
            let own = |file: &PathBuf| yaml(file) && file.file_stem().is_some_and(|stem| stem == "api");
            files.extend(list(&api)?.into_iter().filter(own));
        }
    }
    files.retain(|file| {
        let name = file.file_name().unwrap_or_default();
        !name.to_string_lossy().starts_with('.')
    });
    files.sort();
    Ok(files)
}

fn list(folder: &Path) -> Result<Vec<PathBuf>, Failure> {
    let cannot = |error| Failure::refused(format!("cannot read {}: {error}", folder.display()));
    fs::read_dir(folder)
        .map_err(cannot)?
        .map(|entry| entry.map(|entry| entry.path()).map_err(cannot))
        .collect()
}
