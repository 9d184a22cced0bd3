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
use serde_json::{Value as Json, json};
use turnpike_policy::source::{Unparsed, parse_document};

use self::layout::{At, Left};
use crate::check::machine::annotation;
use crate::sarif::Place;
use crate::{Failure, disk, new_key, sarif, say, tree, words};

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
/// the ends of lines, one empty line at most. Comments, order, quotes and what is written stay, and so does how lines
/// end (CRLF, if all of a file do); OpenAPI documents and JSON files are not touched.
#[derive(Debug, Args)]
#[command(after_help = "\
Examples:
  turnpike fmt              all policy files
  turnpike fmt --check      in CI: say which are laid out otherwise, change nothing
  turnpike fmt --check --format github      the same, beside the files of a pull request

Exit codes: 0 done, 1 with --check: some are laid out otherwise or cannot be laid out, 2 a file cannot be read or written")]
pub(crate) struct Arguments {
    /// Only these files
    files: Vec<PathBuf>,
    #[command(flatten)]
    policies: tree::Policies,
    /// Change nothing; fail if something would change
    #[arg(long)]
    check: bool,
    /// How to say what became of them
    #[arg(long, value_name = "FORMAT", value_enum, default_value = "text")]
    format: tree::Report,
}

pub(crate) fn run(arguments: &Arguments) -> Result<(), Failure> {
    let files = if arguments.files.is_empty() {
        policy_files(&arguments.policies.root()?)?
    } else {
        arguments.files.clone()
    };
    let mut found = Vec::new();
    for file in &files {
        let text = disk::text(file)?;
        let state = match layout::format(&text) {
            Ok(new) if new == text => State::Right,
            Ok(new) if arguments.check => State::Otherwise(At::of_difference(&text, &new)),
            Ok(new) => {
                new_key::replace(file, &new)?;
                State::LaidOut
            }
            Err(left) if serde_saphyr::from_str::<serde_json::Value>(&text).is_err() => {
                State::Broken(remedied(&text, left))
            }
            Err(left) => State::Left(left),
        };
        let one = Found {
            file,
            state,
            checked: arguments.check,
        };
        if arguments.format == tree::Report::Text {
            one.say()?;
        }
        found.push(one);
    }
    match arguments.format {
        tree::Report::Text => {}
        tree::Report::Json => {
            say::json(&json!({ "files": found.iter().map(Found::json).collect::<Vec<_>>() }))?;
        }
        tree::Report::Github => say::exactly(&found.iter().filter_map(Found::github).collect::<String>())?,
        tree::Report::Sarif => {
            let results: Vec<_> = found.iter().filter_map(Found::sarif).collect();
            let rule = sarif::rule("fmt", "Policy files are laid out in one way.");
            say::json(&sarif::log(&[rule], &results))?;
        }
    }
    let broken = found
        .iter()
        .filter(|one| matches!(one.state, State::Broken(_)))
        .count();
    if broken > 0 {
        return Err(Failure::refused(format!(
            "{} could not be laid out",
            words::count(broken, "file")
        )));
    }
    if found.iter().any(|one| matches!(one.state, State::Otherwise(_))) {
        say::note("`turnpike fmt` lays them out");
        return Err(Failure::Findings);
    }
    // How they are laid out is anybody's: a gate does not pass what it cannot judge.
    if arguments.check && found.iter().any(|one| matches!(one.state, State::Left(_))) {
        return Err(Failure::Findings);
    }
    Ok(())
}

/// The same as the check of the policies has it, which knows what would help.
fn remedied(text: &str, left: Left) -> Left {
    match parse_document(text) {
        Err(Unparsed {
            line,
            column,
            message,
            help: Some(help),
        }) => Left {
            at: At { line, column },
            why: format!("this is no YAML: {message} ({help})"),
        },
        _ => left,
    }
}

/// What became of a file.
#[derive(Debug, PartialEq, Eq)]
enum State {
    Right,
    /// It is laid out otherwise from there on, and was to be left.
    Otherwise(At),
    LaidOut,
    /// It is right, and not plain enough to be laid out; why.
    Left(Left),
    /// It is no YAML; why.
    Broken(Left),
}

struct Found<'a> {
    file: &'a Path,
    state: State,
    /// All files are to be laid out in the one way, so that one of which that cannot be said is a fault.
    checked: bool,
}

impl Found<'_> {
    fn say(&self) -> Result<(), Failure> {
        let file = self.file.display();
        match &self.state {
            State::Right => {}
            State::Otherwise(_) => say::out(&format!("{file} is laid out otherwise\n"))?,
            State::LaidOut => say::out(&format!("laid out {file}\n"))?,
            State::Left(left) if !self.checked => {
                say::note(&format!("{file}:{}: {}", left.at, self.why()));
            }
            State::Left(left) | State::Broken(left) => {
                say::error(&format!("{file}:{}: {}", left.at, self.why()));
            }
        }
        Ok(())
    }

    /// Why it could not be laid out, if it could not.
    fn left(&self) -> Option<&Left> {
        match &self.state {
            State::Left(left) | State::Broken(left) => Some(left),
            State::Right | State::Otherwise(_) | State::LaidOut => None,
        }
    }

    /// Where it is not as it should be.
    fn at(&self) -> Option<At> {
        match &self.state {
            State::Left(left) | State::Broken(left) => Some(left.at),
            State::Otherwise(at) => Some(*at),
            State::Right | State::LaidOut => None,
        }
    }

    /// That place, for programs.
    fn place<'f>(&self, file: &'f str) -> Option<Place<'f>> {
        self.at().map(|At { line, column }| Place {
            file,
            line,
            column: Some(column),
        })
    }

    /// What is to be said of a file that was not laid out.
    fn why(&self) -> String {
        match &self.state {
            State::Left(left) => format!("the file is left as it is: {}", left.why),
            State::Broken(left) => format!("the file cannot be read: {}", left.why),
            State::Right | State::Otherwise(_) | State::LaidOut => String::new(),
        }
    }

    fn json(&self) -> Json {
        let state = match &self.state {
            State::Right => "right",
            State::Otherwise(_) => "otherwise",
            State::LaidOut => "laid_out",
            State::Left(_) => "left",
            State::Broken(_) => "broken",
        };
        let at = self.at();
        json!({
            "file": self.file.display().to_string(),
            "state": state,
            "line": at.map(|at| at.line),
            "column": at.map(|at| at.column),
            "why": self.left().map(|left| left.why.as_str()),
        })
    }

    /// What is to be said of it: how bad it is, and what.
    fn told(&self) -> Option<(&'static str, String)> {
        match &self.state {
            State::Right | State::LaidOut => None,
            State::Otherwise(_) => Some((
                "error",
                "it is laid out otherwise from here on: `turnpike fmt` lays it out".to_owned(),
            )),
            State::Left(_) if !self.checked => Some(("note", self.why())),
            State::Left(_) | State::Broken(_) => Some(("error", self.why())),
        }
    }

    /// As GitHub Actions show it beside the file.
    fn github(&self) -> Option<String> {
        let (level, said) = self.told()?;
        let level = if level == "note" { "notice" } else { level };
        let file = self.file.display().to_string();
        Some(annotation(level, self.place(&file), "turnpike fmt", &said))
    }

    /// As code scanners take it.
    fn sarif(&self) -> Option<Json> {
        let (level, said) = self.told()?;
        let file = self.file.display().to_string();
        Some(sarif::result("fmt", level, &said, self.place(&file)))
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
        if is_folder(&folder) {
            files.extend(
                list(&folder)?
                    .into_iter()
                    .filter(|file| file.is_file() && yaml(file)),
            );
        }
    }
    let apis = root.join("apis");
    if is_folder(&apis) {
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

/// Whether this is a folder itself, not a link to one.
fn is_folder(path: &Path) -> bool {
    fs::symlink_metadata(path).is_ok_and(|metadata| metadata.is_dir())
}

/// What lies in a folder, without links: what one leads to is laid out where it lies, if that is in the tree.
fn list(folder: &Path) -> Result<Vec<PathBuf>, Failure> {
    let cannot = |error| disk::unreadable(folder, &error);
    fs::read_dir(folder)
        .map_err(cannot)?
        .filter_map(|entry| {
            let path = entry.and_then(|entry| Ok((entry.file_type()?, entry.path())));
            match path {
                Ok((kind, _)) if kind.is_symlink() => None,
                Ok((_, path)) => Some(Ok(path)),
                Err(error) => Some(Err(cannot(error))),
            }
        })
        .collect()
}
