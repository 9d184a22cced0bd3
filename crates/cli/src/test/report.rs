//! What came of tests, for people and for programs.

use std::fmt::Write as _;

use serde_json::{Value, json};

use super::{Outcome, Ran};
use crate::check::machine::{annotation, place};
use crate::{sarif, say};

/// For people.
pub(super) fn text(ran: &[Ran]) -> String {
    let mut text = String::new();
    let mut group = None;
    let (mut passed, mut failed, mut skipped) = (0_usize, 0_usize, 0_usize);
    for test in ran {
        let its = (&test.file, &test.environment);
        if group != Some(its) {
            if group.is_some() {
                text.push('\n');
            }
            let _ = writeln!(text, "{} in {}", test.file, test.environment);
            group = Some(its);
        }
        match &test.outcome {
            Outcome::Passed => {
                passed += 1;
                let _ = writeln!(text, "  {}  {}", say::good("ok  "), say::visible(&test.name));
            }
            Outcome::Skipped(why) => {
                skipped += 1;
                let _ = writeln!(
                    text,
                    "  {}  {}: {why}",
                    say::warn("skip"),
                    say::visible(&test.name)
                );
            }
            Outcome::Failed(wrong) => {
                failed += 1;
                let _ = writeln!(text, "  {}  {}", say::bad("FAIL"), say::visible(&test.name));
                for line in wrong.iter().flat_map(|wrong| wrong.lines()) {
                    let _ = writeln!(text, "        {line}");
                }
            }
        }
        for note in &test.notes {
            let _ = writeln!(text, "        {note}");
        }
    }
    let _ = write!(text, "\n{passed} passed, {failed} failed");
    let _ = if skipped > 0 {
        writeln!(text, ", {skipped} skipped")
    } else {
        writeln!(text)
    };
    text
}

/// For programs.
pub(super) fn json(ran: &[Ran]) -> Value {
    let count = |is: fn(&Outcome) -> bool| ran.iter().filter(|test| is(&test.outcome)).count();
    let tests: Vec<_> = ran
        .iter()
        .map(|test| {
            let (outcome, said) = match &test.outcome {
                Outcome::Passed => ("passed", Vec::new()),
                Outcome::Skipped(why) => ("skipped", vec![why.clone()]),
                Outcome::Failed(wrong) => ("failed", wrong.clone()),
            };
            json!({
                "file": test.file,
                "name": test.name,
                "environment": test.environment,
                "at": test.origin,
                "outcome": outcome,
                "said": said,
                "notes": test.notes,
            })
        })
        .collect();
    json!({
        "summary": {
            "passed": count(|outcome| matches!(outcome, Outcome::Passed)),
            "failed": count(|outcome| matches!(outcome, Outcome::Failed(_))),
            "skipped": count(|outcome| matches!(outcome, Outcome::Skipped(_))),
        },
        "tests": tests,
    })
}

/// What is said of a test that did not pass: how bad that is, and why.
fn unmet(test: &Ran) -> Option<(&'static str, String)> {
    match &test.outcome {
        Outcome::Passed => None,
        Outcome::Skipped(why) => Some(("note", format!("skipped: {why}"))),
        Outcome::Failed(wrong) => Some(("error", wrong.join("\n"))),
    }
}

/// Failures and what was skipped, as GitHub Actions show them beside the lines of a pull request.
pub(super) fn github(ran: &[Ran]) -> String {
    let told = ran.iter().filter_map(|test| {
        let (level, said) = unmet(test)?;
        let level = if level == "note" { "notice" } else { level };
        let title = format!("{} in {}", test.name, test.environment);
        Some(annotation(level, Some(place(&test.origin)), &title, &said))
    });
    told.collect()
}

/// Failures and what was skipped, for code scanners.
pub(super) fn sarif(ran: &[Ran]) -> Value {
    let told = ran.iter().filter_map(|test| {
        let (level, said) = unmet(test)?;
        let said = format!("{} in {}: {said}", test.name, test.environment);
        Some(sarif::result("test", level, &said, Some(place(&test.origin))))
    });
    let rule = sarif::rule("test", "The policies answer as their tests say.");
    sarif::log(&[rule], &told.collect::<Vec<_>>())
}
