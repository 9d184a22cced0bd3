//! What governs a tree and is no part of a bundle: severities, the floor beneath what is written, exceptions, what
//! an environment may, templates, and rules of the tree's own.
//!
//! The same bundle may come from a tree that is held to less: what somebody may do tomorrow is a change that a
//! reviewer wants to see today. What it changes for the gateway already is told where it takes effect.

use std::collections::BTreeMap;
use std::fs;
use std::path::Path;

use serde_json::Value as Json;
use turnpike_policy::source::{RULES, Severity, folder as top, parse_date};

use super::change::{Changes, Class};
use super::side::Side;
use crate::lines::holds;
use crate::outline::{Kind, Node, outline};

/// What is told in other places, as the bundle holds it.
const COMPILED: [&str; 5] = [
    "max_body",
    "forward_headers",
    "answer_headers",
    "mocks",
    "explain",
];
/// How a level is that is not among those of severities.
const OFF: &str = "off";

/// Something that governs.
#[derive(Debug, PartialEq, Eq)]
struct Fact {
    /// What it says, as it is shown; empty: there is nothing to show.
    says: String,
    means: Means,
    origin: String,
    /// The fact that it is a part of, by name; empty: none. What comes and goes is told whole.
    of: String,
}

/// What more and less of it means.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Means {
    /// A severity, and what it is unless something is written.
    Level(Option<Severity>),
    /// It lets pass what a rule forbids, until a day.
    Exception,
    /// A rule of one's own is not for it.
    Exempt,
    /// `allowed`, or something that is not.
    Permission,
    /// It holds things back: to have it is less.
    Demand,
    /// Its effects are told where they are.
    Template,
}

pub(super) fn compare(was: &Side, is: &Side, environment: &str, changes: &mut Changes) {
    let (Some(old), Some(new)) = (was.root(), is.root()) else {
        // A bundle knows nothing of it.
        return;
    };
    let (old, new) = (facts(old, environment), facts(new, environment));
    changes.begin("governance", environment);
    let mut names: Vec<_> = old.keys().chain(new.keys()).collect();
    names.sort_unstable();
    names.dedup();
    for name in names {
        let known = |facts: &BTreeMap<String, Fact>, of: &String| of.is_empty() || facts.contains_key(of);
        match (old.get(name), new.get(name)) {
            (None, Some(is)) if !known(&old, &is.of) => {}
            (Some(was), None) if !known(&new, &was.of) => {}
            (Some(was), Some(is)) if was.says != is.says => {
                changes.add(weight(was, is), &is.origin, changed(name, was, is));
            }
            (None, Some(is)) => {
                let class = match is.means {
                    Means::Level(default) => levels(default, rank(&is.says)),
                    Means::Permission if is.says == "forbidden" => Class::Safe,
                    Means::Exception | Means::Exempt | Means::Permission => Class::Loosening,
                    Means::Demand => Class::Tightening,
                    Means::Template => Class::Safe,
                };
                changes.add(class, &is.origin, format!("{name}{} is added", shown(&is.says)));
            }
            (Some(was), None) => {
                let class = match was.means {
                    Means::Level(default) => reversed(levels(default, rank(&was.says))),
                    Means::Permission if was.says == "forbidden" => Class::Safe,
                    Means::Exception | Means::Exempt | Means::Permission => Class::Tightening,
                    Means::Demand => Class::Loosening,
                    Means::Template => Class::Safe,
                };
                changes.add(
                    class,
                    &was.origin,
                    format!("{name}{} is removed", shown(&was.says)),
                );
            }
            _ => {}
        }
    }
}

fn shown(says: &str) -> String {
    if says.is_empty() || says.contains('\n') || says.starts_with('{') {
        String::new()
    } else {
        format!(" ({says})")
    }
}

fn changed(name: &str, was: &Fact, is: &Fact) -> String {
    match is.means {
        Means::Template => format!("{name} is another: what that changes is told where it is used"),
        Means::Demand if is.says.starts_with('{') => format!("{name} is another"),
        _ => format!("{name}: {} → {}", was.says, is.says),
    }
}

fn weight(was: &Fact, is: &Fact) -> Class {
    match is.means {
        Means::Level(_) => {
            if rank(&is.says) > rank(&was.says) {
                Class::Tightening
            } else {
                Class::Loosening
            }
        }
        Means::Exception => match (parse_date(&was.says), parse_date(&is.says)) {
            (Ok(was), Ok(is)) if is < was => Class::Tightening,
            _ => Class::Loosening,
        },
        Means::Permission => match (is.says.as_str(), was.says.as_str()) {
            ("allowed", _) => Class::Loosening,
            ("forbidden", _) => Class::Tightening,
            _ => Class::Risky,
        },
        Means::Demand | Means::Exempt => Class::Risky,
        Means::Template => Class::Safe,
    }
}

/// What an environment may that was not there before, each by itself, and where that is written.
pub(super) fn permissions(root: &Path, environment: &str) -> Vec<(String, String)> {
    let Some((text, name)) = gateway(root) else {
        return Vec::new();
    };
    let Some(node) = outline(&text) else {
        return Vec::new();
    };
    let allowed = of_environment(&node, environment).iter();
    let allowed = allowed.filter(|(_, value)| value.text() == Some("allowed"));
    allowed
        .map(|(key, _)| {
            let said = format!(
                "the permission `{}` (allowed) is added",
                key.text().unwrap_or_default()
            );
            (said, line(root, &name, &text, key))
        })
        .collect()
}

/// `gateway.yaml`, and how it is called.
fn gateway(root: &Path) -> Option<(String, String)> {
    ["yaml", "yml", "json"].into_iter().find_map(|ending| {
        let name = format!("gateway.{ending}");
        Some((fs::read_to_string(root.join(&name)).ok()?, name))
    })
}

/// Where something stands in a file.
fn line(root: &Path, name: &str, text: &str, node: &Node) -> String {
    let before = text.get(..node.bytes.start).unwrap_or_default();
    let line = before.matches('\n').count() + 1;
    format!("{}/{name}:{line}", top(root))
}

/// What is written of an environment.
fn of_environment<'a>(node: &'a Node, environment: &str) -> &'a [(Node, Node)] {
    let mut all = entries(node, "environments").iter();
    let here = all.find(|(name, _)| name.text() == Some(environment));
    here.map(|(_, fields)| fields.entries()).unwrap_or_default()
}

/// A level that is written in place of what holds otherwise; without that it is not known which way it goes.
fn levels(default: Option<Severity>, rank: u8) -> Class {
    let Some(default) = default else {
        return Class::Risky;
    };
    let default = match default {
        Severity::Note => 1,
        Severity::Warning => 2,
        Severity::Error => 3,
    };
    match rank.cmp(&default) {
        std::cmp::Ordering::Greater => Class::Tightening,
        std::cmp::Ordering::Equal => Class::Safe,
        std::cmp::Ordering::Less => Class::Loosening,
    }
}

const fn reversed(class: Class) -> Class {
    match class {
        Class::Tightening => Class::Loosening,
        Class::Loosening => Class::Tightening,
        other => other,
    }
}

fn rank(level: &str) -> u8 {
    ["note", "warning", "error"]
        .iter()
        .zip(1..)
        .find_map(|(name, rank)| (*name == level).then_some(rank))
        .unwrap_or(0)
}

/// All that governs a tree in an environment, by name.
fn facts(root: &Path, environment: &str) -> BTreeMap<String, Fact> {
    let mut facts = BTreeMap::new();
    let top = top(root);
    for (folder, what, means) in [
        ("templates", "the template", Means::Template),
        ("governance", "the rule", Means::Demand),
    ] {
        for entry in fs::read_dir(root.join(folder)).into_iter().flatten().flatten() {
            let path = entry.path();
            let Some(name) = path.file_stem().map(|name| name.to_string_lossy().into_owned()) else {
                continue;
            };
            let text = fs::read_to_string(&path).unwrap_or_default();
            let origin = format!("{top}/{folder}/{}:1", entry.file_name().to_string_lossy());
            let name = format!("{what} `{name}`");
            // What it says, whatever it looks like; of what cannot be read, how it looks.
            let says = match serde_saphyr::from_str::<Json>(&text) {
                Err(_) => text,
                Ok(Json::Object(mut fields)) => {
                    let here = fields.remove("environments");
                    let names = here.as_ref().and_then(Json::as_array);
                    if names.is_some_and(|names| !names.iter().any(|name| name == environment)) {
                        // Here it is not there.
                        continue;
                    }
                    if means == Means::Demand {
                        of_rule(&name, &mut fields, &origin, &mut facts);
                    }
                    Json::Object(fields).to_string()
                }
                Ok(other) => other.to_string(),
            };
            let of = String::new();
            facts.insert(
                name,
                Fact {
                    says,
                    means,
                    origin,
                    of,
                },
            );
        }
    }
    if let Some((text, name)) = gateway(root)
        && let Some(node) = outline(&text)
    {
        let origin = |node: &Node| line(root, &name, &text, node);
        of_gateway(&node, environment, &origin, &mut facts);
    }
    facts
}

/// What makes a rule of one's own weaker or stronger, whatever it asks for: how bad it is that it is not met, and what it
/// is not for. Takes these out of it.
fn of_rule(
    rule: &str,
    fields: &mut serde_json::Map<String, Json>,
    origin: &str,
    facts: &mut BTreeMap<String, Fact>,
) {
    let mut add = |name: String, says: String, means: Means| {
        let (origin, of) = (origin.to_owned(), rule.to_owned());
        let fact = Fact {
            says,
            means,
            origin,
            of,
        };
        facts.insert(name, fact);
    };
    let severity = fields.remove("severity");
    let severity = severity.map_or_else(
        || "warning".to_owned(),
        |level| level.as_str().unwrap_or(OFF).to_owned(),
    );
    add(format!("the severity of {rule}"), severity, Means::Level(None));
    let except = fields.remove("except");
    for name in except.as_ref().and_then(Json::as_array).into_iter().flatten() {
        let name = name.as_str().unwrap_or_default();
        add(format!("{rule}, `except: {name}`"), String::new(), Means::Exempt);
    }
}

fn of_gateway(
    node: &Node,
    environment: &str,
    origin: &impl Fn(&Node) -> String,
    facts: &mut BTreeMap<String, Fact>,
) {
    let mut add = |name: String, says: String, means: Means, at: &Node| {
        let (origin, of) = (origin(at), String::new());
        let fact = Fact {
            says,
            means,
            origin,
            of,
        };
        facts.insert(name, fact);
    };
    for (code, level) in entries(node, "governance") {
        let code_text = code.text().unwrap_or_default();
        let rule = RULES.iter().find(|rule| rule.code.number() == code_text);
        let means = Means::Level(rule.map(|rule| rule.severity));
        let says = level.text().unwrap_or(OFF).to_owned();
        add(format!("the severity of {code_text}"), says, means, code);
    }
    let floor = field(node, "floor");
    for (key, value) in floor.map(Node::entries).unwrap_or_default() {
        let name = key.text().unwrap_or_default();
        match name {
            "governance" => {
                for (code, level) in value.entries() {
                    let code_text = code.text().unwrap_or_default();
                    let says = level.text().unwrap_or(OFF).to_owned();
                    let name = format!("the floor's severity of {code_text}");
                    add(name, says, Means::Demand, code);
                }
            }
            "never_forward" => {
                for header in items(value) {
                    let name = format!(
                        "the floor's `never_forward: {}`",
                        header.text().unwrap_or_default()
                    );
                    add(name, String::new(), Means::Demand, header);
                }
            }
            _ if COMPILED.contains(&name) => {}
            _ => {
                let says = value.text().unwrap_or_default().to_owned();
                add(format!("the floor's `{name}`"), says, Means::Demand, key);
            }
        }
    }
    let exceptions = field(node, "exceptions").map(items).unwrap_or_default();
    for item in exceptions.iter().filter(|item| holds(item, environment)) {
        let text = |name: &str| field(item, name).and_then(Node::text).unwrap_or_default();
        let target = match text("for") {
            "" => String::new(),
            target => format!(" for {target}"),
        };
        let name = format!("the exception from `{}`{target} until", text("rule"));
        add(name, text("until").to_owned(), Means::Exception, item);
    }
    for (key, value) in of_environment(node, environment) {
        let name = key.text().unwrap_or_default();
        // Of the longest life of tokens the issuers tell.
        if !COMPILED.contains(&name) && name != "max_lifetime" {
            let says = value.text().unwrap_or_default().to_owned();
            add(format!("the permission `{name}`"), says, Means::Permission, key);
        }
    }
}

fn field<'a>(node: &'a Node, name: &str) -> Option<&'a Node> {
    let mut entries = node.entries().iter();
    entries
        .find(|(key, _)| key.text() == Some(name))
        .map(|(_, value)| value)
}

fn entries<'a>(node: &'a Node, name: &str) -> &'a [(Node, Node)] {
    field(node, name).map(Node::entries).unwrap_or_default()
}

fn items(node: &Node) -> &[Node] {
    match &node.kind {
        Kind::List { items, .. } => items,
        Kind::Scalar { .. } | Kind::Map { .. } => &[],
    }
}
