//! The reference of the language, made from the declarations that the checker itself obeys.

use std::fmt::Write as _;

use super::apis::ApiFile;
use super::cases::TestFile;
use super::codes::Code;
use super::consumers::ConsumerFile;
use super::declare::{FieldInfo, Shape};
use super::files::LATER;
use super::gateway::GatewayFile;
use super::governance::{GovernanceFile, RULES};
use super::mocks::MockFile;
use super::models::ModelFile;
use super::openapi;
use super::overlays::EnvironmentFile;
use super::plans::PlanFile;
use super::providers::ProviderFile;
use super::reader::Read;
use super::templates::TemplateFile;
use super::tighten::INHERITED;

/// Every kind: where it is written, and the records that it is made of, itself first.
pub(super) fn kinds() -> Vec<(&'static str, Vec<&'static Shape>)> {
    fn shapes<T: Read>() -> Vec<&'static Shape> {
        let mut shapes = Vec::new();
        T::shapes(&mut shapes);
        shapes
    }
    vec![
        ("gateway.yaml", shapes::<GatewayFile>()),
        ("environments/<name>.yaml", shapes::<EnvironmentFile>()),
        ("plans/<name>.yaml", shapes::<PlanFile>()),
        ("consumers/<name>.yaml", shapes::<ConsumerFile>()),
        ("apis/<name>/api.yaml", shapes::<ApiFile>()),
        ("models/<name>.yaml", shapes::<ModelFile>()),
        ("providers/<name>.yaml", shapes::<ProviderFile>()),
        ("mocks/<name>.yaml", shapes::<MockFile>()),
        ("templates/<name>.yaml", shapes::<TemplateFile>()),
        ("tests/<name>.yaml", shapes::<TestFile>()),
        ("governance/<name>.yaml", shapes::<GovernanceFile>()),
    ]
}

/// The records around one, of the same kind of file, that have a field which it lacks; nothing: none has.
pub(super) fn holders(shape: &Shape, field: &str) -> Option<String> {
    let is = |other: &&Shape| other.name == shape.name && other.fields.len() == shape.fields.len();
    let kinds = kinds().into_iter().filter(|(_, shapes)| shapes.iter().any(&is));
    let mut named: Vec<_> = kinds
        .flat_map(|(_, shapes)| shapes)
        .filter(|other| other.fields.iter().any(|one| one.name == field))
        .map(|other| format!("`{}`", other.name))
        .collect();
    named.sort();
    named.dedup();
    named.truncate(3);
    let (last, rest) = named.split_last()?;
    Some(if rest.is_empty() {
        format!("the record {last}")
    } else {
        format!("each of the records {} and {last}", rest.join(", "))
    })
}

/// Every kind and field of the language, as Markdown.
pub fn fields() -> String {
    let mut text = String::new();
    let mut told: Vec<&str> = Vec::new();
    for (file, shapes) in kinds() {
        let _ = writeln!(text, "### `{file}`\n");
        for (position, shape) in shapes.iter().enumerate() {
            if position > 0 {
                if told.contains(&shape.name) {
                    continue;
                }
                told.push(shape.name);
                let _ = writeln!(
                    text,
                    "#### {}: `{}`\n",
                    file.split('/').next().unwrap_or(file).trim_end_matches(".yaml"),
                    shape.name
                );
            }
            let _ = writeln!(text, "{}\n", prose(shape.doc));
            let _ = writeln!(text, "| field | | what it says |\n|---|---|---|");
            for field in shape.fields {
                let _ = writeln!(
                    text,
                    "| `{}` | {} | {} |",
                    field.name,
                    presence(field),
                    cell(field)
                );
            }
            let _ = writeln!(text);
            let later = later(shape);
            if !later.is_empty() {
                let _ = writeln!(text, "Refused until it is built: {}.\n", later.join("; "));
            }
        }
    }
    text
}

/// What of a record is refused until it is built: its fields, then values of those that are.
fn later(shape: &Shape) -> Vec<String> {
    let list = |names: &[&str]| {
        // What is no word of its own is a description.
        let shown = names.iter().map(|name| {
            if name.contains(' ') {
                (*name).to_owned()
            } else {
                format!("`{name}`")
            }
        });
        shown.collect::<Vec<_>>().join(", ")
    };
    let mut all = Vec::new();
    if !shape.later.is_empty() {
        all.push(list(shape.later));
    }
    for field in shape.fields {
        let values = (field.later)();
        if !values.is_empty() {
            all.push(format!("as `{}`: {}", field.name, list(values)));
        }
    }
    all
}

/// All of the language that is refused until it is built, as Markdown.
pub fn unbuilt() -> String {
    let mut text = "| in | refused until it is built |\n|---|---|\n".to_owned();
    let mut told: Vec<&str> = Vec::new();
    for (file, shapes) in kinds() {
        let mut parts = Vec::new();
        for (position, shape) in shapes.iter().enumerate() {
            let later = later(shape);
            if later.is_empty() || told.contains(&shape.name) {
                continue;
            }
            told.push(shape.name);
            let later = later.join("; ");
            parts.push(match position {
                0 => later,
                _ => format!("{}: {later}", shape.name),
            });
        }
        if !parts.is_empty() {
            let _ = writeln!(text, "| `{file}` | {} |", parts.join(". "));
        }
    }
    for folder in LATER {
        let _ = writeln!(text, "| `{folder}/` | all of it |");
    }
    let _ = writeln!(text, "| OpenAPI documents | {} |", openapi::LATER.join(", "));
    text
}

/// Every code of a diagnostic with its meaning, as Markdown.
pub fn codes() -> String {
    let mut text = "| code | meaning |\n|---|---|\n".to_owned();
    for code in Code::ALL.iter().filter(|code| !code.number().starts_with("P1")) {
        let _ = writeln!(text, "| `{code}` | {} |", code.meaning());
    }
    text
}

/// Every field that is inherited, and what it means to be tighter, as Markdown.
pub fn inherited() -> String {
    let mut text = "| field | from above to below | what is tighter |\n|---|---|---|\n".to_owned();
    for field in INHERITED {
        let _ = writeln!(
            text,
            "| `{}` | {} | {} |",
            field.field, field.levels, field.tighter
        );
    }
    text
}

/// Every rule of governance, as Markdown.
pub fn rules() -> String {
    let mut text = "| rule | | what is not met | why it is asked for |\n|---|---|---|---|\n".to_owned();
    for rule in RULES {
        let meaning = rule.code.meaning().replace(" (a warning)", "");
        let _ = writeln!(
            text,
            "| `{}` | {} | {meaning} | {} |",
            rule.code, rule.severity, rule.why
        );
    }
    text
}

fn presence(field: &FieldInfo) -> String {
    match field.default {
        Some(default) => format!("`{default}`"),
        None if field.required => "required".to_owned(),
        None => "optional".to_owned(),
    }
}

fn cell(field: &FieldInfo) -> String {
    format!("{} *{}*", prose(field.doc), (field.expects)()).replace('|', "\\|")
}

/// The lines of a doc comment as one.
pub(super) fn prose(lines: &[&str]) -> String {
    lines.iter().map(|line| line.trim()).collect::<Vec<_>>().join(" ")
}
