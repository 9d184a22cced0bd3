//! `turnpike import`: a new policy tree from what another gateway was configured with.
//!
//! A tree says less than those files may: what it cannot say is listed with its place and the reason, and
//! nothing is guessed in its stead. So each reader (`kong`, `krakend`, `openapi`) takes out of an object what it
//! knows, and the rest of the object goes to the list by itself. What comes of a reader is an [`Import`];
//! [`write`] makes files of it as a person would write them, and they are kept if they pass `check`.

mod document;
mod kong;
mod krakend;
mod openapi;
mod write;

use std::collections::BTreeSet;
use std::fmt::Write as _;
use std::fs;
use std::path::{Path, PathBuf};

use clap::{Args, ValueEnum};
use serde_json::{Value as Json, json};
use turnpike_policy::source::parse_document;

use crate::{Failure, new, say, tree, words};

/// Make a policy tree of another gateway's configuration
///
/// Reads a declarative configuration of Kong (as decK writes it), one of krakend, or an OpenAPI document, and
/// writes a new tree. What the policies cannot say is listed with its place and the reason. The tree is
/// checked before it stays; put what is good of it into your own by hand.
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
    /// A krakend configuration, version 3
    Krakend,
    /// An OpenAPI document, 3.0 or 3.1
    Openapi,
}

/// What becomes files.
#[derive(Debug, Default)]
struct Import {
    hosts: Vec<String>,
    issuers: Vec<Issuer>,
    cors: Option<Cors>,
    apis: Vec<Api>,
    plans: Vec<Plan>,
    consumers: Vec<Consumer>,
    left: Vec<Left>,
}

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
struct Cors {
    origins: Vec<String>,
    headers: Vec<String>,
    expose: Vec<String>,
    max_age: Option<u64>,
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
    max_body: Option<String>,
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
    query: Vec<String>,
    headers: Vec<String>,
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
    /// The APIs that it may call; none: all.
    apis: Option<Vec<String>>,
}

impl Import {
    fn leave(&mut self, place: impl Into<String>, why: impl Into<String>) {
        self.left.push(Left {
            place: place.into(),
            why: why.into(),
        });
    }

    /// Lists the members of an object that nobody has taken.
    fn rest(&mut self, place: &str, object: &Json, known: &[&str]) {
        for (name, value) in object.as_object().into_iter().flatten() {
            let nothing = match value {
                Json::Null | Json::Bool(false) => true,
                Json::Array(list) => list.is_empty(),
                Json::Object(map) => map.is_empty(),
                Json::String(text) => text.is_empty(),
                _ => false,
            };
            if !nothing && !known.contains(&name.as_str()) {
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
    let text = fs::read_to_string(&arguments.file)
        .map_err(|error| Failure::refused(format!("cannot read {file}: {error}")))?;
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
        for left in &import.left {
            say::note(&format!("  {}: {}", left.place, left.why));
        }
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
    let cannot = |error| Failure::refused(format!("cannot write {}: {error}", arguments.into.display()));
    fs::create_dir_all(&arguments.into).map_err(cannot)?;
    let written = new::kept(&arguments.into, &files).inspect_err(|_| {
        if made {
            // It is empty again; if not, what lies in it is not ours.
            let _ = fs::remove_dir(&arguments.into);
        }
    })?;
    match arguments.format {
        tree::Format::Json => say::json(&json!({
            "written": files.iter().map(|(file, _)| file.display().to_string()).collect::<Vec<_>>(),
            "left": import.left.iter().map(|left| json!({ "place": left.place, "why": left.why })).collect::<Vec<_>>(),
        })),
        tree::Format::Text => {
            let mut text = written.concat();
            if !import.left.is_empty() {
                let _ = writeln!(
                    text,
                    "\n{} not carried over as it was:",
                    words::count(import.left.len(), "thing")
                );
            }
            for left in &import.left {
                let _ = writeln!(text, "  {}: {}", say::bold(&left.place), left.why);
            }
            say::out(&text)
        }
    }
}

fn read(from: From, text: &str) -> Result<Import, String> {
    let json = parse_document(text).map_err(|error| format!("it is no YAML or JSON: {error}"))?;
    let mut import = Import::default();
    match from {
        From::Kong => kong::read(&json, &mut import)?,
        From::Krakend => krakend::read(&json, &mut import)?,
        From::Openapi => openapi::read(&json, text, &mut import)?,
    }
    Ok(import)
}

/// A name as items of the tree have them, which no other has yet.
fn named(text: &str, taken: &mut BTreeSet<String>) -> String {
    let mut name = String::new();
    for c in text.chars().flat_map(char::to_lowercase).take(56) {
        if c.is_ascii_lowercase() || c.is_ascii_digit() {
            name.push(c);
        } else if !name.is_empty() && !name.ends_with('-') {
            name.push('-');
        }
    }
    let name = name.trim_end_matches('-');
    let name = if name.is_empty() { "unnamed" } else { name };
    let mut free = name.to_owned();
    let mut number = 2;
    while !taken.insert(free.clone()) {
        free = format!("{name}-{number}");
        number += 1;
    }
    free
}

/// A text of the file, as it may be shown: short, and without what steers a terminal.
fn shown(text: &str) -> String {
    text.chars().filter(|c| !c.is_control()).take(80).collect()
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

/// A path cut into what its API is called by and its version: `/a/v1` is `/a` and `v1`.
fn versioned(path: &str) -> Option<(String, String)> {
    let (before, last) = path.trim_end_matches('/').rsplit_once('/')?;
    let version = last.strip_prefix('v').is_some_and(|number| {
        !number.is_empty()
            && number.len() < 6
            && number.bytes().all(|byte| byte.is_ascii_digit() || byte == b'.')
            && !number.ends_with('.')
    });
    (version && !before.is_empty()).then(|| (before.to_owned(), last.to_owned()))
}

/// Whether a path can be that of an operation: plain segments, parameters whole.
fn plain(path: &str) -> bool {
    path.starts_with('/')
        && path.len() <= 1_000
        && !path.contains("//")
        && path.split('/').all(|segment| {
            let inner = segment
                .strip_prefix('{')
                .and_then(|rest| rest.strip_suffix('}'))
                .filter(|inner| !inner.is_empty())
                .unwrap_or(segment);
            segment != "."
                && segment != ".."
                && inner
                    .chars()
                    .all(|c| c.is_ascii_alphanumeric() || "-._~".contains(c))
        })
}

/// An id for an operation: `GET /pets/{id}` is `getPetsById`.
fn id(method: &str, path: &str, taken: &mut BTreeSet<String>) -> String {
    let mut id = method.to_ascii_lowercase();
    for segment in path.split('/').filter(|segment| !segment.is_empty()) {
        if segment.starts_with('{') {
            id.push_str("By");
        }
        for word in segment.split(|c: char| !c.is_ascii_alphanumeric()) {
            let mut letters = word.chars();
            id.extend(letters.next().map(|first| first.to_ascii_uppercase()));
            id.push_str(letters.as_str());
        }
    }
    let mut free = id.clone();
    let mut number = 2;
    while !taken.insert(free.clone()) {
        free = format!("{id}{number}");
        number += 1;
    }
    free
}

/// Where an upstream is. Names that only some network of its own knows (`orders_service`) cannot be reached from the
/// edge: a name that leads nowhere stands for them, until somebody says where it is.
fn reachable(url: &str, at: &str, import: &mut Import) -> String {
    let rest = url.split_once("://").map_or(url, |(_, rest)| rest);
    let authority = rest.split('/').next().unwrap_or(rest);
    let (host, port) = authority.rsplit_once(':').unwrap_or((authority, "80"));
    let label = |label: &str| {
        !label.is_empty()
            && label.len() <= 63
            && !label.starts_with('-')
            && !label.ends_with('-')
            && label
                .bytes()
                .all(|byte| byte.is_ascii_alphanumeric() || byte == b'-')
    };
    if host.split('.').all(label) && port.parse::<u16>().is_ok() {
        return url.to_owned();
    }
    let path = rest.find('/').and_then(|at| rest.get(at..)).unwrap_or_default();
    let path = if path.is_empty() || plain(path) { path } else { "" };
    let instead = format!("https://{}.invalid{path}", named(host, &mut BTreeSet::new()));
    import.leave(
        at,
        format!(
            "`{}` is no host on the Internet: {instead} stands for it, until you say where it is",
            shown(host)
        ),
    );
    instead
}

/// Where something of a list stands, with its name: `services[0] (orders)`.
fn place(before: &str, list: &str, index: usize, item: &Json) -> String {
    let names = ["name", "username", "endpoint", "id"];
    let name = names.iter().find_map(|name| text(item, name));
    let name = name.map_or_else(String::new, |name| format!(" ({})", shown(name)));
    let dot = if before.is_empty() { "" } else { "." };
    format!("{before}{dot}{list}[{index}]{name}")
}

/// The place of a file below the tree.
fn below(root: &Path, path: &str) -> PathBuf {
    path.split('/')
        .fold(root.to_owned(), |path, part| path.join(part))
}
