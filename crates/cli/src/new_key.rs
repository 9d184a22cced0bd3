//! `turnpike new key`: an API key, of which the policies learn no more than the hash.
//!
//! The key exists once: on the standard output of this command. It is printed only after its hash
//! has been written and the policies were found to be right with it.

use std::fs;
use std::io::{self, Write as _};
use std::path::{Path, PathBuf};

use clap::Args;
use serde_json::json;
use sha2::{Digest as _, Sha256};
use turnpike_policy::Compiled;

use crate::edit::{Entry, add_key};
use crate::{Failure, disk, say, tree};

/// Make an API key for a consumer and store its hash
///
/// The key is printed once, on standard output, and can never be shown again: the policies hold
/// only its SHA-256, as an item of `credentials` in consumers/NAME.yaml. Review and deploy that
/// change to make the key work; remove the item to end it.
#[derive(Debug, Args)]
#[command(after_help = "\
Examples:
  turnpike new key --consumer mobile
  turnpike new key --consumer mobile --expires 2027-06-30 --scope orders:write
  KEY=$(turnpike new key --consumer mobile)       in a pipeline that hands it on")]
pub(crate) struct Arguments {
    #[command(flatten)]
    policies: tree::Policies,
    /// Whose key it is
    #[arg(long, value_name = "NAME")]
    consumer: String,
    /// From this day on it is refused (2027-06-30) [default: in a year]
    #[arg(long, value_name = "DATE", value_parser = tree::date)]
    expires: Option<tree::Date>,
    /// A scope that it carries; may be repeated, or hold several with commas between them
    #[arg(long, value_name = "SCOPE", value_delimiter = ',', value_parser = tree::scope)]
    scope: Vec<String>,
    /// How to say what was made
    #[arg(long, value_name = "FORMAT", value_enum, default_value = "text")]
    format: tree::Format,
}

/// How long a key lasts for which nothing else is said, in days.
const LASTS: u64 = 365;

pub(crate) fn run(arguments: &Arguments) -> Result<(), Failure> {
    let root = arguments.policies.root()?;
    let consumer = arguments.consumer.as_str();
    let trees = right(&root, None)?;
    let names = trees
        .iter()
        .flat_map(|tree| &tree.consumers)
        .map(|known| known.name.as_str());
    tree::find(consumer, "consumer", names, &format!("in {}", root.display()))?;
    if let Some(expires) = &arguments.expires
        && expires.at <= tree::now()?
    {
        return Err(Failure::refused(format!(
            "{} is over: the key would never work\nname a day to come, or leave --expires out: then it is good for a year",
            expires.text
        )));
    }
    let expires = match &arguments.expires {
        Some(date) => date.text.clone(),
        None => tree::date_after(LASTS)?,
    };
    let file = file_of(&root, consumer)?;
    let before = disk::text(&file)?;

    let mut scopes = arguments.scope.clone();
    scopes.sort();
    scopes.dedup();
    let key = Key::new()?;
    let entry = Entry {
        sha256: &key.sha256(),
        expires: Some(&expires),
        scopes: &scopes,
        label: &key.label(),
    };
    let after = match add_key(&before, &entry) {
        Ok(after) => after,
        Err(why) => return by_hand(arguments, &key, &entry, &file, why),
    };

    replace(&file, &after)?;
    let stored = right(&root, Some(&key)).and_then(|trees| {
        let known = trees
            .iter()
            .any(|tree| tree.keys.iter().any(|known| known.sha256 == key.hash()));
        if known { Ok(()) } else { Err(not_found(&file)) }
    });
    if let Err(failure) = stored.and_then(|()| print(arguments, &key, &entry, Some(file.as_path()))) {
        // A key that nobody has is of no use.
        replace(&file, &before)?;
        return Err(failure);
    }
    say::note(&format!(
        "stored the hash of {label} in {file}; the key itself is shown this once",
        label = key.label(),
        file = file.display()
    ));
    Ok(())
}

/// A file whose shape is not understood is left to its author, who gets what to write.
fn by_hand(
    arguments: &Arguments,
    key: &Key,
    entry: &Entry<'_>,
    file: &Path,
    why: &str,
) -> Result<(), Failure> {
    print(arguments, key, entry, None)?;
    let json = file.extension().is_some_and(|ending| ending == "json");
    Err(Failure::refused(format!(
        "{} is not edited: {why}\n\
         the key above works once this is in that file (its hash, not the key):\n\n{}",
        file.display(),
        entry.snippet(json)
    )))
}

fn not_found(file: &Path) -> Failure {
    Failure::refused(format!(
        "the policies would not know a key that is written in {}; nothing was changed",
        file.display()
    ))
}

/// Shows the key; `changed` is the file that its hash is in.
fn print(arguments: &Arguments, key: &Key, entry: &Entry<'_>, changed: Option<&Path>) -> Result<(), Failure> {
    let shown = match arguments.format {
        tree::Format::Text => key.text.clone(),
        tree::Format::Json => {
            let changed: Vec<_> = changed.iter().map(|file| file.display().to_string()).collect();
            json!({
                "key": key.text,
                "id": key.id,
                "consumer": arguments.consumer,
                "sha256": entry.sha256,
                "expires": entry.expires,
                "scopes": entry.scopes,
                "written": [],
                "changed": changed,
            })
            .to_string()
        }
    };
    say::result(&shown).map_err(|error| Failure::refused(format!("the key cannot be printed: {error}")))
}

/// An API key.
struct Key {
    text: String,
    id: String,
}

impl Key {
    /// `tpk_<id>_<secret>`: an id of 40 bits by which people tell keys apart, and 160 bits that
    /// nobody guesses. Lower-case letters and digits, so that a double click selects all of it.
    fn new() -> Result<Self, Failure> {
        let mut random = [0; 25];
        getrandom::fill(&mut random)
            .map_err(|error| Failure::refused(format!("the system gives no randomness: {error}")))?;
        let (id, secret) = random.split_at(5);
        let (id, secret) = (base32(id), base32(secret));
        Ok(Self {
            text: format!("tpk_{id}_{secret}"),
            id,
        })
    }

    fn label(&self) -> String {
        format!("tpk_{}", self.id)
    }

    fn hash(&self) -> [u8; 32] {
        Sha256::digest(self.text.as_bytes()).into()
    }

    fn sha256(&self) -> String {
        turnpike_policy::hex(&self.hash())
    }
}

/// RFC 4648 in lower case; for lengths that are multiples of five bytes.
fn base32(bytes: &[u8]) -> String {
    const ALPHABET: &[u8; 32] = b"abcdefghijklmnopqrstuvwxyz234567";
    let mut text = String::with_capacity(bytes.len() * 8 / 5);
    for group in bytes.chunks_exact(5) {
        let bits = group
            .iter()
            .fold(0_u64, |bits, byte| bits << 8 | u64::from(*byte));
        for place in (0..8).rev() {
            let digit = usize::try_from(bits >> (place * 5) & 31).unwrap_or(0);
            text.extend(ALPHABET.get(digit).copied().map(char::from));
        }
    }
    text
}

/// The trees of every environment, or the errors that they have.
fn right(root: &Path, new: Option<&Key>) -> Result<Vec<Compiled>, Failure> {
    let mut trees = Vec::new();
    for environment in tree::environments(root) {
        let outcome = tree::build(root, &environment, None)?;
        let Some(compiled) = outcome.compiled else {
            say::findings(&outcome.diagnostics);
            say::error(if new.is_some() {
                "the policies would not be right with the new key; nothing was changed"
            } else {
                "the policies have errors: mend these first, then make the key"
            });
            return Err(Failure::Findings);
        };
        trees.push(compiled);
    }
    Ok(trees)
}

/// The file of a consumer. Its name is one that the policies have, so it leads nowhere else.
fn file_of(root: &Path, consumer: &str) -> Result<PathBuf, Failure> {
    let folder = root.join("consumers");
    ["yaml", "yml", "json"]
        .into_iter()
        .map(|ending| folder.join(format!("{consumer}.{ending}")))
        .find(|file| file.is_file())
        .ok_or_else(|| Failure::refused(format!("there is no {}/{consumer}.yaml", folder.display())))
}

/// Writes a file anew, whole or not at all.
pub(crate) fn replace(file: &Path, text: &str) -> Result<(), Failure> {
    let write = || -> io::Result<()> {
        // A link stays one: what it leads to is written.
        let file = fs::canonicalize(file)?;
        let name = file.file_name().unwrap_or_default().to_string_lossy();
        let temporary = file.with_file_name(format!(".{name}.{}", std::process::id()));
        // What is called so already, such as a link, is not ours to write through.
        let written = fs::File::create_new(&temporary)
            .and_then(|mut file| file.write_all(text.as_bytes()))
            .and_then(|()| fs::set_permissions(&temporary, fs::metadata(&file)?.permissions()))
            .and_then(|()| fs::rename(&temporary, &file));
        if written.is_err() {
            let _ = fs::remove_file(&temporary);
        }
        written
    };
    write().map_err(|error| disk::unwritable(file, &error))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn base32_as_in_rfc_4648() {
        assert_eq!(base32(b"fooba"), "mzxw6ytb");
        assert_eq!(base32(b""), "");
        assert_eq!(base32(&[0xff; 10]), "7777777777777777");
    }

    #[test]
    fn a_key_is_new_each_time_and_long_enough() {
        let (a, b) = (Key::new().unwrap(), Key::new().unwrap());
        assert_ne!(a.text, b.text);
        assert_eq!(a.text.len(), "tpk_".len() + 8 + 1 + 32);
        assert!(a.text.starts_with(&format!("{}_", a.label())));
    }
}
