//! Findings for programs: JSON, SARIF 2.1.0 for code scanners, and the annotations of GitHub Actions.

use std::fmt::Write as _;

use serde_json::{Value as Json, json};
use turnpike_policy::source::{Code, Diagnostic, Severity};

use super::{Finding, Totals};
use crate::sarif::{self, Place, location};

/// The findings, each with its place and where it holds, and how many there are with those that are too many to be shown.
pub(super) fn json(findings: &[Finding], totals: Totals, files: usize) -> Json {
    let all: Vec<_> = findings
        .iter()
        .map(|finding| {
            let Diagnostic {
                code,
                severity,
                file,
                line,
                column,
                message,
                labels,
                help,
                ..
            } = &finding.diagnostic;
            let labels: Vec<_> = labels
                .iter()
                .map(|label| {
                    json!({ "file": label.file, "line": label.line, "column": label.column, "message": label.message })
                })
                .collect();
            json!({
                "code": code.number(),
                "severity": severity.to_string(),
                "file": file,
                "line": line,
                "column": column,
                "message": message,
                "help": help,
                "labels": labels,
                "environments": finding.environments,
            })
        })
        .collect();
    json!({
        "findings": all,
        "errors": totals.errors,
        "warnings": totals.warnings,
        "notes": totals.notes,
        "files": files,
    })
}

/// SARIF 2.1.0 (OASIS), as code scanners take it.
pub(super) fn sarif(findings: &[Finding]) -> Json {
    let mut codes: Vec<Code> = findings.iter().map(|finding| finding.diagnostic.code).collect();
    codes.sort_unstable();
    codes.dedup();
    let rules: Vec<_> = codes
        .iter()
        .map(|code| {
            json!({
                "id": code.number(),
                "shortDescription": { "text": code.meaning() },
                "help": { "text": crate::explain::page(*code) },
            })
        })
        .collect();
    let results: Vec<_> = findings
        .iter()
        .map(|finding| {
            let found = &finding.diagnostic;
            let mut text = found.message.clone();
            if let Some(help) = &found.help {
                let _ = write!(text, "\n{help}");
            }
            let rule = codes.binary_search(&found.code).unwrap_or_default();
            let mut result = json!({
                "ruleId": found.code.number(),
                "ruleIndex": rule,
                "level": level(found.severity),
                "message": { "text": text },
                "locations": [location(&found.file, found.line, found.column, None)],
                "properties": { "environments": finding.environments },
            });
            if !found.labels.is_empty()
                && let Some(map) = result.as_object_mut()
            {
                let related = found
                    .labels
                    .iter()
                    .map(|label| location(&label.file, label.line, label.column, Some(&label.message)))
                    .collect();
                map.insert("relatedLocations".to_owned(), Json::Array(related));
            }
            result
        })
        .collect();
    sarif::log(&rules, &results)
}

/// The level of a result (SARIF 2.1.0, 3.27.10).
const fn level(severity: Severity) -> &'static str {
    match severity {
        Severity::Error => "error",
        Severity::Warning => "warning",
        Severity::Note => "note",
    }
}

/// How many other places an annotation names.
const PLACES: usize = 5;

/// One workflow command a finding, as GitHub Actions read them.
pub(super) fn github(findings: &[Finding]) -> String {
    let mut text = String::new();
    for finding in findings {
        let found = &finding.diagnostic;
        let level = match found.severity {
            Severity::Error => "error",
            Severity::Warning => "warning",
            Severity::Note => "notice",
        };
        let mut message = found.message.clone();
        if let Some(help) = &found.help {
            let _ = write!(message, "\n{help}");
        }
        // An annotation has one place: the others are named.
        for label in found.labels.iter().take(PLACES) {
            let _ = write!(message, "\n{}:{}: {}", label.file, label.line, label.message);
        }
        let _ = writeln!(
            text,
            "::{level} file={},line={},col={},title={}::{}",
            property(&found.file),
            found.line,
            found.column,
            found.code.number(),
            data(&message)
        );
    }
    text
}

/// What GitHub Actions show with a run; with a place, beside that line of a pull request.
pub(crate) fn annotation(level: &str, at: Option<Place<'_>>, title: &str, said: &str) -> String {
    let at = at.map_or_else(String::new, |Place { file, line, column }| {
        let column = column.map_or_else(String::new, |column| format!("col={column},"));
        format!("file={},line={line},{column}", property(file))
    });
    format!("::{level} {at}title={}::{}\n", property(title), data(said))
}

/// What a place such as `policies/tests/a.yaml:3` or `policies/tests/a.yaml:3:5` says.
pub(crate) fn place(origin: &str) -> Place<'_> {
    let number = |text: &str| text.parse::<u32>().ok();
    let last = |text| -> Option<(&str, u32)> {
        let (before, end) = str::rsplit_once(text, ':')?;
        Some((before, number(end)?))
    };
    let Some((before, end)) = last(origin) else {
        return Place {
            file: origin,
            line: 1,
            column: None,
        };
    };
    match last(before) {
        Some((file, line)) => Place {
            file,
            line,
            column: Some(end),
        },
        None => Place {
            file: before,
            line: end,
            column: None,
        },
    }
}

fn data(text: &str) -> String {
    text.replace('%', "%25").replace('\r', "%0D").replace('\n', "%0A")
}

fn property(text: &str) -> String {
    data(text).replace(':', "%3A").replace(',', "%2C")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn places() {
        for (origin, file, line, column) in [
            ("policies/a.yaml:3:5", "policies/a.yaml", 3, Some(5)),
            ("policies/a.yaml:3", "policies/a.yaml", 3, None),
            ("a:b/c.yaml:3", "a:b/c.yaml", 3, None),
            ("policies/a.yaml", "policies/a.yaml", 1, None),
            ("", "", 1, None),
        ] {
            assert_eq!(place(origin), Place { file, line, column }, "{origin}");
        }
    }
}
