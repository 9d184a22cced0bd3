//! `turnpike schema`: the JSON Schemas of the policy files, for editors.

use std::ffi::OsStr;
use std::fs;
use std::path::{Path, PathBuf};

use clap::Args;
use turnpike_policy::source::schema;

use crate::{Failure, disk, say, tree};

/// Print the JSON Schema of a kind of policy file, for editors
///
/// An editor with a YAML language server completes and checks policy files by them. They are of the
/// version of this command; what only the whole tree can tell is for `turnpike check`.
#[derive(Debug, Args)]
#[command(after_help = "\
Examples:
  turnpike schema                            which kinds there are
  turnpike schema plans                      the schema of plans/*.yaml
  turnpike schema --out schemas              all of them, one file each
  turnpike schema --out schemas --check      whether that folder is of this version

Exit codes: 0 done, 1 with --check: a schema is missing or of another version, 2 there is no such kind")]
pub(crate) struct Arguments {
    /// Of this kind: plans, apis, ... [default: list the kinds; with --out, every one]
    #[arg(value_name = "KIND")]
    kind: Option<String>,
    /// Write KIND.json into this folder instead
    #[arg(long, value_name = "DIR")]
    out: Option<PathBuf>,
    /// Write nothing; fail (1) if what --out holds is not what would be written, or a policy file names
    /// (`# yaml-language-server: $schema=...`) a schema that is not there or not of its kind
    #[arg(long, requires = "out")]
    check: bool,
    #[command(flatten)]
    policies: tree::Policies,
}

pub(crate) fn run(arguments: &Arguments) -> Result<(), Failure> {
    let mut all = schema::all();
    let names: Vec<String> = all
        .iter()
        .map(|(file, _)| file.trim_end_matches(".json").to_owned())
        .collect();
    if let Some(kind) = &arguments.kind {
        let names = names.iter().map(String::as_str);
        tree::find(kind, "kind of policy file", names, "that has a schema")?;
        all.retain(|(file, _)| file.strip_suffix(".json") == Some(kind));
    }
    let Some(folder) = &arguments.out else {
        return match &arguments.kind {
            Some(_) => all.iter().try_for_each(|(_, text)| say::exactly(text)),
            None => say::out(&format!("{}\n", names.join("\n"))),
        };
    };
    if !arguments.check {
        fs::create_dir_all(folder).map_err(|error| disk::unwritable(folder, &error))?;
    }
    let mut stale = false;
    for (name, text) in &all {
        let file = folder.join(name);
        let path = file.display();
        let now = disk::text(&file);
        if now.as_ref().is_ok_and(|now| now == text) {
            continue;
        }
        if arguments.check {
            let what = if now.is_ok() {
                "of another version"
            } else {
                "missing"
            };
            say::error(&format!(
                "{path} is {what}: run `turnpike schema --out {}`",
                folder.display()
            ));
            stale = true;
        } else {
            disk::write_below(folder, &file, text)?;
            say::out(&format!("wrote {path}\n"))?;
        }
    }
    if arguments.check
        && let Ok(root) = arguments.policies.root()
    {
        for wrong in comments(&root) {
            say::error(&wrong);
            stale = true;
        }
    }
    if stale { Err(Failure::Findings) } else { Ok(()) }
}

/// The policy files whose first lines name a schema that is not there, or not that of their kind.
fn comments(root: &Path) -> Vec<String> {
    let mut wrong = Vec::new();
    let listed = |folder: &Path| {
        let entries = fs::read_dir(folder).into_iter().flatten().flatten();
        let mut files: Vec<_> = entries.map(|entry| entry.path()).collect();
        files.sort();
        files
    };
    let mut files = vec![("gateway", root.join("gateway.yaml"))];
    let kinds = schema::all();
    for (name, _) in &kinds {
        let kind = name.trim_end_matches(".json");
        for entry in listed(&root.join(kind)) {
            // Beside an `api.yaml` lie documents, which are not of this language.
            let file = if kind == "apis" {
                entry.join("api.yaml")
            } else {
                entry
            };
            files.push((kind, file));
        }
    }
    for (kind, file) in files {
        let text = disk::text(&file).unwrap_or_default();
        let named = text
            .lines()
            .take_while(|line| line.starts_with('#'))
            .find_map(|line| {
                line.trim_start_matches('#')
                    .trim()
                    .strip_prefix("yaml-language-server: $schema=")
            });
        // What is fetched from elsewhere is not known here.
        let Some(named) = named.map(str::trim).filter(|named| !named.contains("://")) else {
            continue;
        };
        let path = file.parent().unwrap_or(root).join(named);
        let right = path.file_name().and_then(OsStr::to_str) == Some(&format!("{kind}.json"));
        let shown: String = named.chars().filter(|c| !c.is_control()).take(80).collect();
        if !right {
            wrong.push(format!(
                "{}: the schema of such a file is {kind}.json, not {shown}",
                file.display()
            ));
        } else if !path.is_file() {
            wrong.push(format!(
                "{}: there is no {shown}, seen from there",
                file.display()
            ));
        }
    }
    wrong
}
