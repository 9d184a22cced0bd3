//! Changes as people and programs read them.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt::Write as _;

use serde_json::{Value as Json, json};
use turnpike_policy::source::Severity;

use super::change::{Change, Class};
use crate::check::machine::{annotation, place as line_of};
use crate::sarif::{self, Place};
use crate::words::{count, list};
use crate::{markdown as plain, say};

/// How many changes of each class there are, those that there are none of left out.
fn sums(changes: &[Change]) -> Vec<(Class, usize)> {
    Class::ALL
        .into_iter()
        .map(|class| {
            (
                class,
                changes.iter().filter(|change| change.class == class).count(),
            )
        })
        .filter(|(_, count)| *count > 0)
        .collect()
}

/// By group, in the order in which they are.
fn groups(changes: &[Change]) -> impl Iterator<Item = (&str, &[Change])> {
    changes
        .chunk_by(|a, b| a.group == b.group)
        .filter_map(|group| Some((group.first()?.group.as_str(), group)))
}

/// What changed, by which rule it should not, and where that holds, unless it is everywhere.
fn said(change: &Change, environments: &[String]) -> String {
    let mut said = say::visible(&change.text);
    if let Some(rule) = change.rule {
        let _ = write!(said, " ({})", rule.code);
    }
    if change.environments.len() < environments.len() {
        let _ = write!(said, " (in {})", list(&change.environments));
    }
    said
}

pub(super) fn text(changes: &[Change], (old, new): (&str, &str), environments: &[String]) -> String {
    if changes.is_empty() {
        return format!("{old} and {new} have the same rules\n");
    }
    let mut text = String::new();
    for (group, changes) in groups(changes) {
        let _ = writeln!(text, "{}", say::bold(&say::visible(group)));
        for change in changes {
            let class = format!("{:<10}", change.class.name());
            let class = match change.class {
                Class::Breaking => say::bad(&class),
                Class::Risky | Class::Loosening => say::warn(&class),
                Class::Tightening | Class::Safe => class,
            };
            let origin = if change.origin.is_empty() {
                String::new()
            } else {
                format!("  [{}]", change.origin)
            };
            let _ = writeln!(text, "  {class}  {}{origin}", said(change, environments));
        }
        text.push('\n');
    }
    let sums: Vec<_> = sums(changes)
        .into_iter()
        .map(|(class, count)| format!("{count} {}", class.name()))
        .collect();
    let _ = writeln!(
        text,
        "{} from {old} to {new}: {}",
        count(changes.len(), "change"),
        sums.join(", ")
    );
    text
}

pub(super) fn json(changes: &[Change], (old, new): (&str, &str)) -> Json {
    let all: Vec<_> = changes
        .iter()
        .map(|change| {
            json!({
                "group": change.group,
                "class": change.class.name(),
                "change": change.text,
                "rule": change.rule.map(|rule| rule.code.number()),
                "severity": change.rule.map(|rule| rule.severity.to_string()),
                "origin": change.origin,
                "environments": change.environments,
            })
        })
        .collect();
    let sums: serde_json::Map<_, _> = Class::ALL
        .into_iter()
        .map(|class| {
            let count = changes.iter().filter(|change| change.class == class).count();
            (class.name().to_owned(), count.into())
        })
        .collect();
    json!({ "old": old, "new": new, "changes": all, "summary": sums })
}

pub(super) fn markdown(changes: &[Change], (old, new): (&str, &str), environments: &[String]) -> String {
    let mut text = format!("### Policy changes from `{old}` to `{new}`\n\n");
    if changes.is_empty() {
        text.push_str("The rules are the same.\n");
        return text;
    }
    let all: Vec<_> = sums(changes)
        .into_iter()
        .map(|(class, count)| format!("**{count}** {}", class.name()))
        .collect();
    let _ = writeln!(text, "{}\n", all.join(" · "));
    let head = |group: &str| format!("#### {}\n\n| | change | where |\n|---|---|---|\n", escaped(group));
    // What is left out is what matters least, wherever it stands.
    let (mut rows, mut heads, mut length) = (BTreeMap::new(), BTreeSet::new(), text.len());
    let mut left = Vec::new();
    for at in worst_first(changes) {
        let Some(change) = changes.get(at) else { continue };
        let row = row(change, environments);
        let opens = !heads.contains(change.group.as_str());
        let more = row.len() + if opens { head(&change.group).len() + 1 } else { 0 };
        if !left.is_empty() || length + more > COMMENT {
            left.push(change.clone());
            continue;
        }
        length += more;
        heads.insert(change.group.as_str());
        rows.insert(at, row);
    }
    let mut group = None;
    for (at, row) in rows {
        let its = changes.get(at).map(|change| change.group.as_str());
        if let Some(its) = its.filter(|its| group != Some(*its)) {
            if group.is_some() {
                text.push('\n');
            }
            text.push_str(&head(its));
            group = Some(its);
        }
        text.push_str(&row);
    }
    text.push('\n');
    if !left.is_empty() {
        let classes = sums(&left).into_iter();
        let classes: Vec<_> = classes
            .map(|(class, count)| format!("{count} {}", class.name()))
            .collect();
        let _ = writeln!(
            text,
            "…and {} more ({}): `turnpike diff` tells them all.",
            count(left.len(), "change"),
            classes.join(", ")
        );
    }
    text
}

/// A change as a row of a table.
fn row(change: &Change, environments: &[String]) -> String {
    let class = match change.class {
        Class::Breaking => "**breaking**",
        class => class.name(),
    };
    let origin = if change.origin.is_empty() {
        String::new()
    } else {
        format!("`{}`", change.origin)
    };
    format!(
        "| {class} | {} | {origin} |\n",
        escaped(&said(change, environments))
    )
}

/// The places of all changes, those first that somebody should look at: of each such class one after the other, so that
/// many of one hide none of another.
fn worst_first(changes: &[Change]) -> Vec<usize> {
    let mut seen = BTreeMap::<Class, usize>::new();
    let mut order: Vec<_> = (0..)
        .zip(changes)
        .map(|(at, change)| {
            let tier = match change.class {
                Class::Breaking | Class::Risky | Class::Loosening => 0,
                Class::Tightening => 1,
                Class::Safe => 2,
            };
            let nth = seen.entry(change.class).or_default();
            *nth += 1;
            (tier, *nth, at)
        })
        .collect();
    order.sort_unstable();
    order.into_iter().map(|(_, _, at)| at).collect()
}

/// How long a comment may be, in bytes: hosts of code refuse those of more than 65,536 characters.
const COMMENT: usize = 59_000;
/// How much of one text is shown in a comment, in characters.
const CELL: usize = 1_000;

/// Text that stays one cell, and markup of nobody's making: it names nobody, and leads nowhere.
fn escaped(text: &str) -> String {
    let mut cell: String = text.chars().take(CELL).collect();
    if cell.len() < text.len() {
        cell.push('…');
    }
    plain::text(&cell)
}

/// How much a change asks to be looked at: as its rule says, or its class.
fn level(change: &Change) -> &'static str {
    match (change.rule.map(|rule| rule.severity), change.class) {
        (Some(Severity::Error), _) | (None, Class::Breaking) => "error",
        (Some(Severity::Warning), _) | (None, Class::Risky | Class::Loosening) => "warning",
        (Some(Severity::Note), _) | (None, Class::Tightening | Class::Safe) => "note",
    }
}

/// What a change is filed under: the code of its rule, or its class.
fn filed(change: &Change) -> &'static str {
    change
        .rule
        .map_or_else(|| change.class.name(), |rule| rule.code.number())
}

/// The line that makes a change, where it is known.
fn place_of(change: &Change) -> Option<Place<'_>> {
    Some(line_of(&change.origin)).filter(|at| !at.file.is_empty())
}

/// As GitHub Actions show it, each change at the line that makes it.
pub(super) fn github(changes: &[Change]) -> String {
    // Only the first of each level are shown beside the lines.
    let shown = worst_first(changes)
        .into_iter()
        .filter_map(|at| changes.get(at))
        .map(|change| {
            let level = match level(change) {
                "note" => "notice",
                level => level,
            };
            let title = format!("{}: {}", filed(change), change.group);
            let environments = change.environments.join(", ");
            let said = format!("{} ({environments})", change.text);
            annotation(level, place_of(change), &title, &said)
        });
    shown.collect()
}

/// As code scanners take it: a rule for each class, and for each rule of governance that is not met.
pub(super) fn sarif(changes: &[Change]) -> Json {
    let classes = Class::ALL.into_iter().map(|class| {
        let says = match class {
            Class::Breaking => "A call that worked fails.",
            Class::Risky => "A call may behave otherwise.",
            Class::Loosening => "Somebody may do more.",
            Class::Tightening => "Somebody may do less.",
            Class::Safe => "Nobody notices who does not look.",
        };
        sarif::rule(class.name(), says)
    });
    let broken: BTreeSet<_> = changes
        .iter()
        .filter_map(|change| Some(change.rule?.code))
        .collect();
    let broken = broken
        .into_iter()
        .map(|code| sarif::rule(code.number(), code.meaning()));
    let rules: Vec<_> = classes.chain(broken).collect();
    let results: Vec<_> = changes
        .iter()
        .map(|change| {
            let environments = change.environments.join(", ");
            let said = format!("{}: {} ({environments})", change.group, change.text);
            sarif::result(filed(change), level(change), &said, place_of(change))
        })
        .collect();
    sarif::log(&rules, &results)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_comment_is_of_bounded_length_and_holds_no_markup_of_others() {
        let change = |text: String| Change {
            group: "API pets/v1".to_owned(),
            class: Class::Breaking,
            text,
            rule: None,
            origin: "policies/apis/pets/v1.yaml:3".to_owned(),
            environments: vec!["dev".to_owned()],
        };
        let environments = ["dev".to_owned()];
        let told = |changes: &[Change]| markdown(changes, ("old", "new"), &environments);
        let marked = "@acme ![i](https://a.example/i.png) [l](www.a.example) <b> a|b".to_owned();
        assert!(
            told(&[change(marked)]).contains(
                "| !\\[i\\](https&#58;//a.example/i.png) \\[l\\](www&#46;a.example) &lt;b> a\\|b |"
                    .replacen("| ", "| @&#8203;acme ", 1)
                    .as_str()
            ),
        );
        let many: Vec<_> = (0..5_000)
            .map(|at| change(format!("member {at}: {}", "é".repeat(at))))
            .collect();
        let text = told(&many);
        assert!(text.len() < 60_000, "{}", text.len());
        let rows = text.matches("\n| **breaking** |").count();
        assert!(rows > 50 && text.contains("**5000** breaking"), "{rows}");
        assert!(
            text.ends_with(&format!(
                "…and {0} changes more ({0} breaking): `turnpike diff` tells them all.\n",
                5_000 - rows
            )),
            "{}",
            text.lines().last().unwrap_or_default()
        );
        // Many of one class hide none of another, wherever they stand.
        for flood in [Class::Safe, Class::Loosening] {
            let mut changes: Vec<_> = (0..5_000)
                .map(|at| Change {
                    group: format!("plan p{at}"),
                    class: flood,
                    ..change("is new".to_owned())
                })
                .collect();
            for class in [Class::Risky, Class::Breaking] {
                let group = format!("consumer {}", class.name());
                changes.push(Change {
                    group,
                    class,
                    ..change("the one that matters".to_owned())
                });
            }
            let text = told(&changes);
            assert_eq!(text.matches("the one that matters").count(), 2, "{flood:?}");
            assert!(text.len() < 60_000 && text.contains(&format!(" {}): `turnpike diff`", flood.name())));
            assert_eq!(text.matches("#### plan").count(), text.matches("is new").count());
            let annotated = github(&changes);
            assert!(
                annotated
                    .lines()
                    .take(3)
                    .filter(|line| line.contains("that matters"))
                    .count()
                    == 2
            );
        }
    }
}
