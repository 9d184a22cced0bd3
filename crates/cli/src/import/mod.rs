//! `turnpike import`: a new policy tree from what another gateway was configured with.
//!
//! A tree says less than those files may: what it cannot say is listed with its place and the reason, and
//! nothing is guessed in its stead. So each reader (`kong`, `krakend`, `openapi`) takes out of an object what it
//! knows, and the rest of the object goes to the list by itself. What comes of a reader is an [`Import`];
//! [`write`] makes files of it as a person would write them, and they are kept if they pass `check`.

mod cors;
mod document;
mod kong;
mod krakend;
mod moved;
mod names;
mod openapi;
mod upstream;
mod write;

use std::collections::{BTreeMap, BTreeSet};
use std::fmt::Write as _;
use std::fs;
use std::path::{Path, PathBuf};

use clap::{Args, ValueEnum};
use serde_json::{Value as Json, json};
use turnpike_policy::source::{Unnamed, parse_document};

use crate::{Failure, disk, ids, new, say, tree, words};

use cors::Cors;
use names::shown;

/// Make a policy tree of another gateway's configuration
///
/// Reads a declarative configuration of Kong (as decK writes it), one of krakend, or an OpenAPI document, and
/// writes a new tree. What the policies cannot say is listed with its place and the reason, and so are the ids of
/// operations that had none. The tree is checked before it stays; put what is good of it into your own by hand.
#[derive(Debug, Args)]
#[command(after_help = "\
Examples:
  turnpike import kong kong.yaml --into imported --owner team-platform
  turnpike import krakend krakend.json --into imported --owner team-platform --format json
  turnpike import openapi orders.yaml --into imported --owner team-orders

Exit codes: 0 written, 1 the policies would not be right (nothing was written), 2 the file cannot be read")]
pub(crate) struct Arguments {
    /// What wrote the file
    #[arg(value_enum)]
    from: From,
    /// The file
    #[arg(value_name = "FILE")]
    file: PathBuf,
    /// The folder of the new tree, which has no gateway.yaml yet
    #[arg(long, value_name = "DIR")]
    into: PathBuf,
    /// Who answers for what is imported
    #[arg(long, value_name = "TEXT")]
    owner: String,
    /// What the gateway is called
    #[arg(long, value_name = "NAME", default_value = "imported", value_parser = new::name)]
    name: String,
    /// How to say what was done
    #[arg(long, value_name = "FORMAT", value_enum, default_value = "text")]
    format: tree::Format,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
enum From {
    /// Kong's declarative configuration, YAML or JSON
    Kong,
    /// A krakend configuration, version 2 or 3
    Krakend,
    /// An OpenAPI document, 3.0 or 3.1
    Openapi,
}

/// What becomes files.
#[derive(Debug, Default)]
struct Import {
    issuers: Vec<Issuer>,
    cors: Option<Cors>,
    /// The headers that carry API keys; none: the usual ones.
    key_headers: BTreeSet<String>,
    /// The bound of all bodies, in bytes.
    max_body: Option<u64>,
    apis: Vec<Api>,
    plans: Vec<Plan>,
    consumers: Vec<Consumer>,
    /// The operations of an OpenAPI document that had no id, with the one that they were given.
    given: Vec<Unnamed>,
    left: Vec<Left>,
}

/// Settings that are off where nothing is written, so that `false` says nothing. Of any other one it may take away what
/// holds by itself, as `tls_verify: false` does.
const USUALLY_OFF: [&str; 12] = [
    "allow_insecure_connections",
    "allow_private_network",
    "always_use_authenticated_groups",
    "auto_options",
    "cache",
    "debug",
    "debug_endpoint",
    "echo_endpoint",
    "operation_debug",
    "options_passthrough",
    "private_network",
    "sequential_start",
];

/// Something that was not carried over.
#[derive(Debug, PartialEq, Eq)]
struct Left {
    place: String,
    why: String,
}

#[derive(Debug)]
struct Issuer {
    name: String,
    issuer: String,
    audience: Vec<String>,
    algorithm: String,
    jwks: String,
}

#[derive(Debug, Default)]
struct Api {
    name: String,
    title: String,
    /// The path without the version.
    path: String,
    version: String,
    upstream: String,
    /// Milliseconds.
    first_byte: Option<u64>,
    limits: Vec<String>,
    /// Bytes.
    max_body: Option<u64>,
    authorize: Vec<(String, Vec<String>)>,
    calls: Vec<Call>,
    /// A document that there is, with the ending of its file; else one is made of `calls`.
    document: Option<(String, &'static str)>,
}

/// An operation of a document that is to be written.
#[derive(Debug, Default)]
struct Call {
    id: String,
    method: String,
    /// The path below the upstream: `/pets/{id}`.
    path: String,
    summary: String,
    /// What its authors said of it; else there is only the summary.
    description: Option<String>,
    query: Vec<String>,
    headers: Vec<String>,
    /// Bytes; none: that of its API.
    max_body: Option<u64>,
}

#[derive(Debug)]
struct Plan {
    name: String,
    limits: Vec<String>,
}

#[derive(Debug)]
struct Consumer {
    name: String,
    plan: String,
    /// SHA-256 in hexadecimal.
    keys: Vec<String>,
    /// The APIs that it may call, with the operations unless all; none: all APIs.
    may: Option<Vec<(String, Option<Vec<String>>)>>,
}

impl Import {
    fn leave(&mut self, place: impl Into<String>, why: impl Into<String>) {
        self.left.push(Left {
            place: place.into(),
            why: why.into(),
        });
    }

    /// Lists what holds for many places alike, once.
    fn once(&mut self, place: impl Into<String>, why: &str) {
        if self.left.iter().all(|left| left.why != why) {
            self.leave(place, why);
        }
    }

    /// Lists members that are no numbers and not true or false, as they have to be: a variable may stand for one.
    fn simple(&mut self, place: &str, object: &Json, fields: &[&str]) {
        for field in fields {
            if matches!(
                object.get(*field),
                Some(Json::String(_) | Json::Array(_) | Json::Object(_))
            ) {
                self.leave(
                    format!("{place}.{field}"),
                    "its value is not in the file: what holds where it says nothing was taken",
                );
            }
        }
    }

    /// Lists the members of an object that nobody has taken, and that say something.
    fn rest(&mut self, place: &str, object: &Json, known: &[&str]) {
        for (name, value) in object.as_object().into_iter().flatten() {
            let nothing = match value {
                Json::Null => true,
                Json::Bool(false) => USUALLY_OFF.contains(&name.as_str()),
                Json::Array(list) => list.is_empty(),
                Json::Object(map) => map.is_empty(),
                Json::String(text) => text.is_empty(),
                _ => false,
            };
            let comment = name.trim_start_matches(['_', '@', '#', '$', '/']) == "comment";
            if !nothing && !comment && !known.contains(&name.as_str()) {
                let name = shown(name);
                self.leave(
                    format!("{place}.{name}"),
                    "there is no such setting in the policies",
                );
            }
        }
    }
}

pub(crate) fn run(arguments: &Arguments) -> Result<(), Failure> {
    let file = arguments.file.display();
    let text = disk::text(&arguments.file)?;
    for ending in ["yaml", "yml", "json"] {
        let there = arguments.into.join(format!("gateway.{ending}"));
        if there.exists() {
            return Err(Failure::refused(format!(
                "{} exists: import into a new folder, and take over by hand what is good of it",
                there.display()
            )));
        }
    }
    let import = read(arguments.from, &text).map_err(|why| Failure::refused(format!("{file}: {why}")))?;
    if import.apis.is_empty() {
        say::note(listed(&import.left).trim_end());
        return Err(Failure::refused(format!(
            "{file}: there is nothing in it that can become an API"
        )));
    }
    let until = tree::date_after(90)?;
    let files = write::files(
        &import,
        &arguments.into,
        &arguments.name,
        &arguments.owner,
        &until,
    );
    let made = !arguments.into.exists();
    let cannot = |error| disk::unwritable(&arguments.into, &error);
    fs::create_dir_all(&arguments.into).map_err(cannot)?;
    let document = import.apis.first().map(|api| write::beside(&arguments.into, api));
    let copied = document
        .clone()
        .filter(|_| matches!(arguments.from, From::Openapi))
        .map(|to| new::Copied {
            to,
            from: arguments.file.clone(),
            text: (!import.given.is_empty()).then_some(text),
        });
    let written = new::kept(&arguments.into, &files, copied.as_ref()).inspect_err(|_| {
        if made {
            // It is empty again; if not, what lies in it is not ours.
            let _ = fs::remove_dir(&arguments.into);
        }
    })?;
    match arguments.format {
        tree::Format::Json => say::json(&json!({
            "written": files.iter().map(|(file, _)| file.display().to_string()).collect::<Vec<_>>(),
            "ids": ids::json(&import.given),
            "left": import.left.iter().map(|left| json!({ "place": left.place, "why": left.why })).collect::<Vec<_>>(),
        })),
        tree::Format::Text => {
            let mut text = written.text();
            if let Some(document) = document {
                text.push_str(&ids::listed(&import.given, &document));
            }
            if !import.left.is_empty() {
                let _ = writeln!(
                    text,
                    "\n{} not carried over as it was:",
                    words::count(import.left.len(), "thing")
                );
            }
            text.push_str(&listed(&import.left));
            say::out(&text)
        }
    }
}

/// What was left, a line for each reason in the order of the file, with the places that it holds for.
fn listed(left: &[Left]) -> String {
    const MOST: usize = 3;
    let mut places: BTreeMap<&str, Vec<&str>> = BTreeMap::new();
    for left in left {
        places.entry(&left.why).or_default().push(&left.place);
    }
    let mut text = String::new();
    for Left { why, .. } in left {
        let Some(places) = places.remove(why.as_str()) else {
            continue;
        };
        let named: Vec<_> = places.iter().take(MOST).map(|place| say::bold(place)).collect();
        let more = places.len().saturating_sub(MOST);
        let more = if more == 0 {
            String::new()
        } else {
            format!(" and {more} more")
        };
        let _ = writeln!(text, "  {}{more}: {why}", named.join(", "));
    }
    text
}

fn read(from: From, text: &str) -> Result<Import, String> {
    let json = parse_document(text).map_err(|error| {
        let hint = if text.contains("{{") {
            "; it holds `{{`: have the template rendered first, by KrakenD with FC_ENABLE=1 and FC_OUT, or by \
             `deck file render`"
        } else {
            ""
        };
        format!("it is no YAML or JSON: {error}{hint}")
    })?;
    let mut import = Import::default();
    match from {
        From::Kong => kong::read(&json, &mut import)?,
        From::Krakend => krakend::read(&json, &mut import)?,
        From::Openapi => openapi::read(&json, text, &mut import)?,
    }
    Ok(import)
}

fn items<'a>(json: &'a Json, name: &str) -> &'a [Json] {
    json.get(name).and_then(Json::as_array).map_or(&[], Vec::as_slice)
}

fn text<'a>(json: &'a Json, name: &str) -> Option<&'a str> {
    json.get(name)
        .and_then(Json::as_str)
        .filter(|text| !text.is_empty())
}

fn texts(json: &Json, name: &str) -> Vec<String> {
    items(json, name)
        .iter()
        .filter_map(|item| item.as_str().map(str::to_owned))
        .collect()
}

/// The place of a file below the tree.
fn below(root: &Path, path: &str) -> PathBuf {
    path.split('/')
        .fold(root.to_owned(), |path, part| path.join(part))
}
