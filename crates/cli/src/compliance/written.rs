//! What `gateway.yaml` itself says of exceptions and of rules that are off or weaker than they are by themselves: with
//! reasons and lines, which the bundle does not hold.

use std::fs;
use std::path::Path;

use turnpike_policy::source::{Outcome, RULES, Severity, folder};

use crate::lines::holds;
use crate::outline::{Kind, Node, outline};

/// An exception to the floor, as it is written.
pub(super) struct Exception {
    pub(super) rule: String,
    pub(super) target: String,
    pub(super) reason: String,
    pub(super) until: String,
    pub(super) origin: String,
}

/// A rule of governance that weighs less than it does by itself.
pub(super) struct Weaker {
    pub(super) code: String,
    /// What it weighs; nothing: it is off.
    pub(super) level: Option<Severity>,
    /// What it would weigh.
    pub(super) usual: Severity,
    pub(super) origin: String,
}

/// The exceptions of an environment, and the rules that are off or weaker there, as `gateway.yaml` writes them.
pub(super) fn written(root: &Path, environment: &str, outcome: &Outcome) -> (Vec<Exception>, Vec<Weaker>) {
    let found = ["yaml", "yml", "json"].into_iter().find_map(|ending| {
        let name = format!("gateway.{ending}");
        Some((fs::read_to_string(root.join(&name)).ok()?, name))
    });
    let Some((text, name)) = found else {
        return (Vec::new(), Vec::new());
    };
    let Some(node) = outline(&text) else {
        return (Vec::new(), Vec::new());
    };
    let origin = |node: &Node| {
        let before = text.get(..node.bytes.start).unwrap_or_default();
        let folder = folder(root);
        format!("{folder}/{name}:{}", before.matches('\n').count() + 1)
    };
    let mut exceptions = Vec::new();
    if let Some(Kind::List { items, .. }) = field(&node, "exceptions").map(|list| &list.kind) {
        for item in items.iter().filter(|item| holds(item, environment)) {
            let value = |name: &str| {
                field(item, name)
                    .and_then(Node::text)
                    .unwrap_or_default()
                    .to_owned()
            };
            exceptions.push(Exception {
                rule: value("rule"),
                target: value("for"),
                reason: value("reason"),
                until: value("until"),
                origin: origin(item),
            });
        }
    }
    let levels = field(&node, "governance").map(Node::entries).unwrap_or_default();
    let weaker = levels.iter().filter_map(|(key, _)| {
        let code = key.text()?;
        let rule = RULES.iter().find(|rule| rule.code.number() == code)?;
        // What the floor demands, or an environment says by a variable, the build knows.
        let level = outcome.level(rule.code);
        level.is_none_or(|level| level > rule.severity).then(|| Weaker {
            code: code.to_owned(),
            level,
            usual: rule.severity,
            origin: origin(key),
        })
    });
    (exceptions, weaker.collect())
}

fn field<'a>(node: &'a Node, name: &str) -> Option<&'a Node> {
    let mut entries = node.entries().iter();
    entries
        .find(|(key, _)| key.text() == Some(name))
        .map(|(_, value)| value)
}
