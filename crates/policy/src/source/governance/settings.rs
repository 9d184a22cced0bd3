//! How bad each rule is for this gateway: `governance` and `floor.governance` of `gateway.yaml`.

use std::collections::BTreeMap;

use super::super::declare::choice;
use super::super::diagnostic::{Code, Report, Severity, Span};
use super::super::names;
use super::super::reader::{Read, Reader, Spanned};
use super::super::secrets::quote;
use super::super::yaml::{Node, Value};
use super::registry::{RULES, Rule};

/// How bad a rule is said to be; nothing: it is off.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Level {
    Off,
    Note,
    Warning,
    Error,
}
choice!(Level: "off" => Self::Off, "note" => Self::Note, "warning" => Self::Warning, "error" => Self::Error);

impl Level {
    const fn name(self) -> &'static str {
        match self {
            Self::Off => "off",
            Self::Note => "note",
            Self::Warning => "warning",
            Self::Error => "error",
        }
    }

    /// The severity that it stands for.
    pub(crate) const fn severity(self) -> Option<Severity> {
        match self {
            Self::Off => None,
            Self::Note => Some(Severity::Note),
            Self::Warning => Some(Severity::Warning),
            Self::Error => Some(Severity::Error),
        }
    }
}

impl From<Severity> for Level {
    fn from(severity: Severity) -> Self {
        match severity {
            Severity::Note => Self::Note,
            Severity::Warning => Self::Warning,
            Severity::Error => Self::Error,
        }
    }
}

/// Levels by the codes of rules, as written.
#[derive(Clone, Debug, Default)]
pub(crate) struct Levels(BTreeMap<Code, Spanned<Level>>);

impl Read for Levels {
    fn expects() -> String {
        "a map from the codes of rules to `off`, `note`, `warning` or `error`".to_owned()
    }

    fn schema() -> serde_json::Value {
        let levels = settable().map(|rule| (rule.code.number().to_owned(), <Level as Read>::schema()));
        serde_json::json!({
            "type": "object",
            "properties": serde_json::Value::Object(levels.collect()),
            "additionalProperties": false,
        })
    }

    fn read(node: &Node, reader: &mut Reader) -> Option<Self> {
        let Value::Map(entries) = &node.value else {
            reader.wrong_type(node, &Self::expects());
            return None;
        };
        let mut levels = BTreeMap::new();
        for (key, value) in entries {
            let Some(name) = key.text() else { continue };
            let rule = settable().find(|rule| rule.code.number() == name);
            let level = Level::read(value, reader);
            match (rule, level) {
                (Some(rule), Some(level)) => {
                    let level = Spanned {
                        value: level,
                        span: value.span,
                        key_span: key.span,
                    };
                    levels.entry(rule.code).or_insert(level);
                }
                (Some(_), None) => {}
                (None, _) => unknown(name, key.span, &mut reader.report),
            }
        }
        Some(Self(levels))
    }
}

/// The rules whose severity is the gateway's to set; those of one's own say theirs.
fn settable() -> impl Iterator<Item = &'static Rule> {
    RULES.iter().filter(|rule| rule.code != Code::CustomRule)
}

fn unknown(name: &str, span: Span, report: &mut Report) {
    let fixed = Code::ALL.iter().find(|code| code.number() == name);
    let (message, help) = match fixed {
        Some(Code::CustomRule) => (
            format!("`{name}` stands for many rules"),
            "write the `severity` of each in its file in `governance/`".to_owned(),
        ),
        Some(_) => (
            format!("`{name}` is no rule whose severity can be set"),
            "a tree with this fault cannot be enforced as it is written; docs/policy.md lists the rules"
                .to_owned(),
        ),
        None => {
            let known = settable().map(|rule| rule.code.number());
            let help = names::nearest(name, known).map_or_else(
                || "docs/policy.md lists the rules and their codes".to_owned(),
                |near| format!("did you mean `{near}`?"),
            );
            (format!("there is no rule {}", quote(name)), help)
        }
    };
    report.error(Code::UnknownReference, span, message).help(help);
}

/// Puts what is written into force: what the gateway says, and never less than its floor demands.
pub(crate) fn apply(own: Option<&Levels>, floor: Option<&Levels>, report: &mut Report) {
    let mut force: BTreeMap<Code, Level> = BTreeMap::new();
    for rule in RULES {
        force.insert(rule.code, rule.severity.into());
    }
    for (code, level) in own.iter().flat_map(|levels| &levels.0) {
        force.insert(*code, level.value);
    }
    for (code, least) in floor.iter().flat_map(|levels| &levels.0) {
        let level = force.entry(*code).or_insert(least.value);
        if *level >= least.value {
            continue;
        }
        *level = least.value;
        if let Some(lower) = own.and_then(|levels| levels.0.get(code)) {
            let message = format!(
                "the floor demands that `{code}` is at least `{}`",
                least.value.name()
            );
            report
                .error(Code::Widens, lower.span, message)
                .label(least.span, "the floor")
                .help(format!("write `{code}: {}`, or leave it out", least.value.name()));
        }
    }
    report.set_levels(
        force
            .into_iter()
            .map(|(code, level)| (code, level.severity()))
            .collect(),
    );
}
