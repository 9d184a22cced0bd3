//! `turnpike new api`: an API from its OpenAPI document, or one more version of it.

use std::fmt::Write as _;
use std::path::{Path, PathBuf};

use clap::Args;
use serde_json::Value as Json;
use turnpike_policy::source::{Earlier, contract, other_document, parse_document};

use super::{Copied, Template, Where, kept, name, scalar};
use crate::edit::{below_comments, line_start, newline, next_line};
use crate::outline::{Kind, Node, outline};
use crate::{Failure, disk, ids, say, tree};

/// Publish an API from its OpenAPI document
///
/// Writes apis/NAME/api.yaml, and the document beside it; in that copy an operation without an operationId
/// gets one. For an API that exists, one more version is added to it; comments and order stay. The policies
/// are checked with it: either they are right, or nothing was changed.
#[derive(Debug, Args)]
#[command(after_help = "\
Examples:
  turnpike new api orders --from openapi.yaml --owner team-orders --upstream https://orders.internal.example
  turnpike new api orders --from next.yaml --version v2 --state preview --mock
  turnpike new api orders --from openapi.yaml --owner team-orders --upstream https://orders.internal.example \\
      --template standard --set body=64KiB
  turnpike new api beta --from beta.yaml --owner team-beta --mock --environments dev,staging")]
pub(crate) struct Arguments {
    /// What it is called
    #[arg(value_parser = name)]
    name: String,
    #[command(flatten)]
    policies: tree::Policies,
    /// Its OpenAPI document
    #[arg(long, value_name = "FILE")]
    from: PathBuf,
    /// Who answers for it; needed for a new API
    #[arg(long, value_name = "TEXT")]
    owner: Option<String>,
    /// What people call it [default: the title of the document]
    #[arg(long, value_name = "TEXT")]
    title: Option<String>,
    /// Where it lies [default: /NAME]
    #[arg(long, value_name = "PATH")]
    path: Option<String>,
    /// Which version it is [default: by the number of the document: 2.4.0 is v2]
    #[arg(long, value_name = "NAME", value_parser = name)]
    version: Option<String>,
    /// Where that version is in its life
    #[arg(long, value_name = "STATE", default_value = "active", value_parser = ["preview", "active", "deprecated", "retired"])]
    state: String,
    /// What answers it
    #[arg(long, value_name = "URL", required_unless_present = "mock")]
    upstream: Option<String>,
    /// The name of the Worker secret that the upstream wants as a bearer token
    #[arg(long, value_name = "NAME", requires = "upstream")]
    secret: Option<String>,
    /// Answer with the examples of the document
    #[arg(long, conflicts_with = "upstream")]
    mock: bool,
    #[command(flatten)]
    template: Template,
    #[command(flatten)]
    environments: Where,
    /// How to say what was written
    #[arg(long, value_name = "FORMAT", value_enum, default_value = "text")]
    format: tree::Format,
}

pub(crate) fn run(arguments: &Arguments) -> Result<(), Failure> {
    let root = arguments.policies.root()?;
    let from = arguments.from.display();
    let document = disk::text(&arguments.from)?;
    let parsed = parse_document(&document)
        .map_err(|error| Failure::refused(format!("{from} is no YAML or JSON: {error}")))?;
    if let Some((what, help)) = other_document(&parsed) {
        return Err(Failure::refused(format!("{from} is {what}\n{help}")));
    }
    let folder = root.join("apis").join(&arguments.name);
    let json = arguments.from.extension().is_some_and(|ending| ending == "json");
    let ending = if json { "json" } else { "yaml" };
    let called = match &arguments.version {
        Some(version) => version.clone(),
        None => version_of(&parsed),
    };
    let beside = format!("{called}.{ending}");
    let new = Version {
        arguments,
        called: &called,
        beside: &beside,
    };
    if folder.join(&beside).exists() {
        return Err(Failure::refused(format!(
            "{} exists: choose another --version",
            folder.join(&beside).display()
        )));
    }
    let file = folder.join("api.yaml");
    let mut versions = Earlier::default();
    let text = if file.exists() {
        let text = disk::text(&file)?;
        let more = add_version(&text, &file, &new)?;
        versions = earlier(&text, &folder)?;
        more
    } else if folder.join("api.yml").exists() || folder.join("api.json").exists() {
        return Err(Failure::refused(format!(
            "only an api.yaml is edited; add the version to the one in {} yourself",
            folder.display()
        )));
    } else {
        whole(&parsed, &new)?
    };
    let named = ids::named(&document, &versions).map_err(|why| Failure::refused(format!("{from}: {why}")))?;
    let copy = folder.join(&beside);
    let given = ids::listed(&named.given, &copy);
    let ids = ids::json(&named.given);
    let copied = Copied {
        to: copy.clone(),
        from: arguments.from.clone(),
        text: (!named.given.is_empty()).then_some(document),
    };
    let written = kept(&root, &[(file, text), (copy, named.text)], Some(&copied))?;
    match arguments.format {
        tree::Format::Text => say::out(&(written.text() + &given)),
        tree::Format::Json => {
            let mut json = written.json();
            if let Some(members) = json.as_object_mut() {
                members.insert("ids".to_owned(), ids);
            }
            say::json(&json)
        }
    }
}

/// The version that a document is of, by its number; the first one where it has none.
pub(crate) fn version_of(document: &Json) -> String {
    let number = document.pointer("/info/version").map(|number| match number {
        Json::String(text) => text.clone(),
        number => number.to_string(),
    });
    number
        .and_then(|number| contract::version_of(&number))
        .unwrap_or_else(|| "v1".to_owned())
}

/// A version that is to be written.
struct Version<'a> {
    arguments: &'a Arguments,
    called: &'a str,
    /// What its document is called.
    beside: &'a str,
}

/// The file of a new API.
fn whole(document: &Json, new: &Version<'_>) -> Result<String, Failure> {
    let arguments = new.arguments;
    let owner = arguments.owner.as_ref().ok_or_else(|| {
        Failure::refused(format!(
            "`{}` is a new API: say who answers for it with --owner",
            arguments.name
        ))
    })?;
    let info = document.pointer("/info/title").and_then(Json::as_str);
    let title = arguments.title.as_deref().or(info).unwrap_or(&arguments.name);
    let path = arguments
        .path
        .clone()
        .unwrap_or_else(|| format!("/{}", arguments.name));
    let mut text = format!(
        "api: {}\ntitle: {}\nowner: {}\npath: {}\n{}{}versions:\n",
        arguments.name,
        scalar(title),
        scalar(owner),
        if path.starts_with('/') {
            path
        } else {
            scalar(&path)
        },
        arguments.environments.line(),
        arguments.template.lines()?,
    );
    text.push_str(&new.lines("  ", "  ", "\n"));
    Ok(text)
}

impl Version<'_> {
    /// Its lines.
    fn lines(&self, indent: &str, step: &str, newline: &str) -> String {
        let arguments = self.arguments;
        let mut text = format!("{indent}{}:{newline}", self.called);
        let mut field = |name: &str, value: &str| {
            let _ = write!(text, "{indent}{step}{name}: {value}{newline}");
        };
        field("openapi", self.beside);
        field("state", &arguments.state);
        if let Some(upstream) = &arguments.upstream {
            field("upstream", &scalar(upstream));
        }
        if let Some(secret) = &arguments.secret {
            field(
                "upstream_credential",
                &format!("{{ secret: {} }}", scalar(secret)),
            );
        }
        if arguments.mock {
            field("mock", "openapi");
        }
        text
    }
}

/// The ids of the versions that an API has; the last one was added last.
fn earlier(text: &str, folder: &Path) -> Result<Earlier, Failure> {
    let mut earlier = Earlier::default();
    let root = outline(text);
    let versions = root.as_ref().and_then(|root| part(root, "versions"));
    for (_, version) in versions.map_or(&[][..], Node::entries).iter().rev() {
        if let Some(document) = part(version, "openapi").and_then(Node::text) {
            earlier.add(&disk::text(&folder.join(document))?);
        }
    }
    Ok(earlier)
}

fn part<'n>(node: &'n Node, name: &str) -> Option<&'n Node> {
    let mut entries = node.entries().iter();
    let (_, value) = entries.find(|(key, _)| key.text() == Some(name))?;
    Some(value)
}

/// The file of an API with one more version, at the end of those that it has.
fn add_version(text: &str, file: &Path, new: &Version<'_>) -> Result<String, Failure> {
    let Version {
        arguments,
        called,
        beside,
    } = new;
    let by_hand = |why: &str| {
        Failure::refused(format!(
            "{} is not edited: {why}\nadd this to its `versions`, and the document beside it as {beside}:\n\n{}",
            file.display(),
            new.lines("  ", "  ", "\n")
        ))
    };
    let given = [
        ("--owner", arguments.owner.is_some()),
        ("--title", arguments.title.is_some()),
        ("--path", arguments.path.is_some()),
        ("--template", arguments.template.template.is_some()),
        ("--environments", !arguments.environments.environments.is_empty()),
    ];
    if let Some((option, _)) = given.iter().find(|(_, given)| *given) {
        return Err(Failure::refused(format!(
            "`{}` exists, and {option} would change all of its versions: edit {}",
            arguments.name,
            file.display()
        )));
    }
    let root = outline(text).ok_or_else(|| by_hand("it is not one plain YAML document"))?;
    let Some(versions) = part(&root, "versions") else {
        return Err(by_hand("it has no `versions`"));
    };
    let Kind::Map { flow: false, entries } = &versions.kind else {
        return Err(by_hand("its `versions` are written in braces"));
    };
    if entries.iter().any(|(key, _)| key.text() == Some(*called)) {
        return Err(Failure::refused(format!(
            "`{}` has the version `{called}` already: choose another --version",
            arguments.name
        )));
    }
    let Some(((first, fields), (_, last))) = entries.first().zip(entries.last()) else {
        return Err(by_hand("it has no version"));
    };
    let newline = newline(text);
    let column = |node: &Node| {
        let at = node.bytes.start;
        text.get(line_start(text, at)..at).unwrap_or_default()
    };
    let indent = column(first);
    // Its fields are as far in as those of the others.
    let step = match (&fields.kind, fields.entries().first()) {
        (Kind::Map { flow: false, .. }, Some((field, _))) => column(field).strip_prefix(indent),
        _ => None,
    };
    // After the line on which the last version ends, comments at its end included.
    let at = below_comments(text, next_line(text, last.end()), indent.len());
    let (before, after) = text
        .split_at_checked(at)
        .ok_or_else(|| by_hand("its shape is not understood"))?;
    let gap = if before.ends_with('\n') { "" } else { newline };
    let added = new.lines(indent, step.unwrap_or("  "), newline);
    Ok(format!("{before}{gap}{added}{after}"))
}
