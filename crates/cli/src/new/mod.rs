//! `turnpike new`: policy files as a person would have written them.
//!
//! What is written is checked with the whole tree, in every environment, before it stays: either the
//! policies are right with it, or nothing was changed. What exists keeps its comments and its order.

pub(crate) mod api;
pub(crate) mod consumer;
pub(crate) mod model;

use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::fmt::Write as _;
use std::fs;
use std::path::{Path, PathBuf};

use clap::Args;
use serde_json::{Value as Json, json};
use turnpike_policy::source::{Diagnostic, Loaded};

use crate::{Failure, disk, say, tree};

/// In which environments something new exists.
#[derive(Debug, Args)]
pub(crate) struct Where {
    /// It exists in these environments only; several with commas between them [default: in all]
    #[arg(long, value_name = "NAME", value_delimiter = ',')]
    environments: Vec<String>,
}

impl Where {
    /// The line of a file that says so.
    fn line(&self) -> String {
        if self.environments.is_empty() {
            String::new()
        } else {
            let names: Vec<_> = self.environments.iter().map(|name| scalar(name)).collect();
            format!("environments: [{}]\n", names.join(", "))
        }
    }
}

/// What something new builds on.
#[derive(Debug, Args)]
pub(crate) struct Template {
    /// The template that it builds on
    #[arg(long, value_name = "NAME")]
    template: Option<String>,
    /// A value for a parameter of the template: NAME=VALUE; may be repeated
    #[arg(long, value_name = "NAME=VALUE", requires = "template", value_parser = parameter)]
    set: Vec<(String, String)>,
}

fn parameter(text: &str) -> Result<(String, String), String> {
    match text.split_once('=') {
        Some((parameter, value)) => Ok((name(parameter)?, value.to_owned())),
        None => Err("write NAME=VALUE, for example body=64KiB".to_owned()),
    }
}

impl Template {
    /// The lines that name the template, and give its parameters.
    fn lines(&self) -> Result<String, Failure> {
        let Some(template) = &self.template else {
            return Ok(String::new());
        };
        let mut text = format!("template: {}\n", scalar(template));
        for (index, (parameter, _)) in self.set.iter().enumerate() {
            let before = self.set.iter().take(index);
            if before.into_iter().any(|(other, _)| other == parameter) {
                return Err(Failure::refused(format!("--set gives `{parameter}` twice")));
            }
        }
        let values: Vec<_> = self
            .set
            .iter()
            .map(|(parameter, value)| format!("{}: {}", scalar(parameter), scalar(value)))
            .collect();
        if !values.is_empty() {
            let _ = writeln!(text, "with: {{ {} }}", values.join(", "));
        }
        Ok(text)
    }
}

/// Files of a tree that are written, and can be as they were.
struct Change<'a> {
    root: &'a Path,
    /// Each with what was there.
    files: Vec<(PathBuf, Option<String>)>,
    folders: Vec<PathBuf>,
}

impl Change<'_> {
    fn write(&mut self, file: &Path, text: &str) -> Result<(), Failure> {
        if let Some(folder) = file.parent() {
            let mut missing = folder;
            let mut made = Vec::new();
            while !missing.exists() {
                made.push(missing.to_owned());
                match missing.parent() {
                    Some(parent) => missing = parent,
                    None => break,
                }
            }
            // None of a link that leads nowhere, as that is not written.
            made.retain(|folder| fs::symlink_metadata(folder).is_err());
            self.folders.extend(made);
        }
        let before = disk::text(file).ok();
        disk::write_below(self.root, file, text)?;
        self.files.push((file.to_owned(), before));
        Ok(())
    }

    /// Puts everything back.
    fn undo(&self) {
        for (file, before) in self.files.iter().rev() {
            // What cannot be put back is told by the findings that remain.
            let _ = match before {
                Some(text) => disk::write_below(self.root, file, text),
                None => fs::remove_file(file).map_err(|error| disk::unwritable(file, &error)),
            };
        }
        for folder in &self.folders {
            let _ = fs::remove_dir(folder);
        }
    }
}

/// Files that were written, each with whether it was there.
pub(crate) struct Written(Vec<(PathBuf, bool)>);

impl Written {
    /// For people.
    pub(crate) fn text(&self) -> String {
        let line = |(file, was): &(PathBuf, bool)| {
            let what = if *was { "changed" } else { "wrote" };
            format!("{what} {}\n", file.display())
        };
        self.0.iter().map(line).collect()
    }

    /// For programs: which are new, and which are not.
    pub(crate) fn json(&self) -> Json {
        let files = |wanted: bool| {
            let those = self.0.iter().filter(|(_, was)| *was == wanted);
            those
                .map(|(file, _)| file.display().to_string())
                .collect::<Vec<_>>()
        };
        json!({ "written": files(false), "changed": files(true) })
    }
}

/// Writes a file, keeps it if the policies are right with it, and says so.
fn keep(root: &Path, file: PathBuf, text: String, format: tree::Format) -> Result<(), Failure> {
    let written = kept(root, &[(file, text)], None)?;
    match format {
        tree::Format::Text => say::out(&written.text()),
        tree::Format::Json => say::json(&written.json()),
    }
}

/// A file of somebody's, of which a copy is written.
pub(crate) struct Copied {
    /// Where the copy goes.
    pub(crate) to: PathBuf,
    /// Where theirs is.
    pub(crate) from: PathBuf,
    /// What is in theirs, if something was added to the copy.
    pub(crate) text: Option<String>,
}

/// Writes files, and keeps them if the policies are right with them. What is wrong in one that was `copied` is told of
/// the one that its authors have.
pub(crate) fn kept(
    root: &Path,
    files: &[(PathBuf, String)],
    copied: Option<&Copied>,
) -> Result<Written, Failure> {
    let mut change = Change {
        root,
        files: Vec::new(),
        folders: Vec::new(),
    };
    let written = files
        .iter()
        .try_for_each(|(file, text)| change.write(file, text))
        .and_then(|()| right(root, copied));
    if let Err(failure) = written {
        change.undo();
        if matches!(failure, Failure::Findings) {
            // A tree that is made as a whole was none before.
            let whole =
                |(file, _): &(PathBuf, String)| file.file_stem().is_some_and(|stem| stem == "gateway");
            say::error(if files.iter().any(whole) || wrong(root)?.is_empty() {
                "the policies would not be right with it; nothing was changed"
            } else {
                "the policies have errors without it too: mend these first; nothing was changed"
            });
        }
        return Err(failure);
    }
    let files = change.files.into_iter();
    Ok(Written(
        files.map(|(file, before)| (file, before.is_some())).collect(),
    ))
}

/// Whether the policies are right in every environment.
fn right(root: &Path, copied: Option<&Copied>) -> Result<(), Failure> {
    let mut wrong = wrong(root)?;
    if wrong.is_empty() {
        return Ok(());
    }
    let Some(copied) = copied else {
        say::findings(&wrong);
        return Err(Failure::Findings);
    };
    let moved = match &copied.text {
        Some(text) => {
            disk::write_below(root, &copied.to, text)?;
            as_authors_have_it(&mut wrong, self::wrong(root)?)
        }
        None => BTreeSet::new(),
    };
    // A finding names files without the dot that they may be called by.
    let plain = |path: &Path| {
        let path = path.to_string_lossy();
        path.strip_prefix("./").unwrap_or(&path).to_owned()
    };
    let (copy, theirs) = (plain(&copied.to), copied.from.display().to_string());
    for one in &mut wrong {
        one.call(&copy, &theirs);
    }
    say::findings(&wrong);
    if moved.contains(&copy) {
        say::note(&format!(
            "some lines of {theirs} are counted with the ids that its copy was to get\n"
        ));
    }
    Err(Failure::Findings)
}

/// Takes findings from a check of the file that its authors have, whose lines these know, where both checks found the
/// same. Gives the files of those that only the first one found.
fn as_authors_have_it(wrong: &mut [Diagnostic], without: Vec<Diagnostic>) -> BTreeSet<String> {
    let mut known: BTreeMap<_, VecDeque<_>> = BTreeMap::new();
    for one in without {
        let same = (one.file.clone(), one.code, one.message.clone());
        known.entry(same).or_default().push_back(one);
    }
    let mut moved = BTreeSet::new();
    for one in wrong {
        let same = (one.file.clone(), one.code, one.message.clone());
        match known.get_mut(&same).and_then(VecDeque::pop_front) {
            Some(found) => *one = found,
            None => {
                moved.insert(one.file.clone());
            }
        }
    }
    moved
}

/// What is wrong in any environment; what is wrong in several is there once.
fn wrong(root: &Path) -> Result<Vec<Diagnostic>, Failure> {
    let loaded = Loaded::read(root);
    let environments = tree::environments_of(&loaded);
    let outcomes = tree::build_all(&loaded, &environments, None)?;
    let broken = outcomes.into_iter().filter(|outcome| outcome.compiled.is_none());
    let mut said = BTreeSet::new();
    let errors = broken
        .flat_map(|outcome| outcome.diagnostics)
        .filter(Diagnostic::is_error);
    Ok(errors.filter(|one| said.insert(one.to_string())).collect())
}

/// The file of something new, which must not be there yet.
fn fresh(root: &Path, folder: &str, name: &str) -> Result<PathBuf, Failure> {
    for ending in ["yaml", "yml", "json"] {
        let file = root.join(folder).join(format!("{name}.{ending}"));
        if file.exists() {
            return Err(Failure::refused(format!(
                "{} exists: edit it, or choose another name",
                file.display()
            )));
        }
    }
    Ok(root.join(folder).join(format!("{name}.yaml")))
}

/// Reads a name as items and their files have them.
pub(crate) fn name(text: &str) -> Result<String, String> {
    let good = |byte: u8| byte.is_ascii_lowercase() || byte.is_ascii_digit();
    let mut bytes = text.bytes();
    let right = bytes.next().is_some_and(good)
        && bytes.all(|byte| good(byte) || b"._-".contains(&byte))
        && text.len() <= 64
        && !text.ends_with('.');
    if right {
        Ok(text.to_owned())
    } else {
        Err(
            "a name is lower case letters, digits, `.`, `_` and `-`, and begins with a letter or digit"
                .to_owned(),
        )
    }
}

/// A text as YAML: quoted only where it must be.
pub(crate) fn scalar(text: &str) -> String {
    const WORDS: [&str; 9] = ["true", "false", "null", "yes", "no", "on", "off", "y", "n"];
    let safe = |c: char| c.is_alphanumeric() || " _-./()".contains(c);
    // `64KiB`, `600/min`: a number with its unit is text to YAML.
    let measure = text.starts_with(|c: char| c.is_ascii_digit())
        && text.ends_with(|c: char| c.is_ascii_alphabetic())
        && text.parse::<f64>().is_err()
        && !["0x", "0o", "0b"].iter().any(|base| text.starts_with(base));
    let plain = (measure || text.starts_with(char::is_alphabetic))
        && !text.ends_with(' ')
        && text.chars().all(safe)
        && !WORDS.contains(&text.to_ascii_lowercase().as_str());
    if plain || is_url(text) {
        text.to_owned()
    } else {
        serde_json::Value::from(text).to_string()
    }
}

fn is_url(text: &str) -> bool {
    text.strip_prefix("https://")
        .or_else(|| text.strip_prefix("http://"))
        .is_some_and(|rest| {
            rest.chars()
                .all(|c| c.is_ascii_alphanumeric() || "._-/:".contains(c))
                && !rest.ends_with(':')
        })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn quoted_only_where_it_must_be() {
        for plain in [
            "team-pets",
            "Pet store",
            "https://a.example:8080/v1",
            "gpt-5",
            "64KiB",
            "600/min",
            "1_000_000/month",
            "50 USD/month",
        ] {
            assert_eq!(scalar(plain), plain);
        }
        for quoted in [
            "yes",
            "5",
            "a: b",
            "a #b",
            "",
            "- a",
            "${a}",
            "{}",
            "null",
            "0xff",
            "1e5",
            "2027-06-30",
        ] {
            assert!(scalar(quoted).starts_with('"'), "{quoted}");
        }
    }
}
