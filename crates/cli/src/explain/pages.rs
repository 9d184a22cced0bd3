//! What codes mean: the pages of `docs/diagnostics.md` and the rows of `docs/errors.md`, which are
//! part of this command, so that both always say the same.

use serde_json::json;
use turnpike_engine::error::Code as ErrorCode;
use turnpike_policy::source::Code;

use crate::{Failure, say, tree};

const DIAGNOSTICS: &str = include_str!("../../../../docs/diagnostics.md");
const ERRORS: &str = include_str!("../../../../docs/errors.md");

/// Shows the page of a code.
pub(super) fn show(what: &str, format: tree::Format) -> Result<(), Failure> {
    let upper = what.to_ascii_uppercase();
    let lower = what.to_ascii_lowercase();
    let (code, title, text) = if let Some(code) = Code::ALL.iter().find(|code| code.number() == upper) {
        (code.number(), code.meaning().to_owned(), diagnostic(*code))
    } else if let Some(code) = ErrorCode::ALL.iter().find(|code| code.text() == lower) {
        (code.text(), code.title().to_owned(), error(*code))
    } else {
        return Err(unknown(what));
    };
    if format == tree::Format::Json {
        return say::json(&json!({ "code": code, "title": title, "text": text }));
    }
    say::out(&format!(
        "{}\n\n{}\n",
        say::bold(&format!("{code}: {title}")),
        text.trim()
    ))
}

fn unknown(what: &str) -> Failure {
    let shown: String = what.chars().filter(|c| !c.is_control()).take(200).collect();
    if shown.starts_with('/') || shown.contains("://") {
        return Failure::refused(format!(
            "`{shown}` is a URL, and a request has a method before it: turnpike explain GET {shown}"
        ));
    }
    if ["GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS"]
        .contains(&shown.to_ascii_uppercase().as_str())
    {
        return Failure::refused(format!(
            "`{shown}` is a method: for a request, write its method and its URL: turnpike explain {shown} /petstore/v1/pets"
        ));
    }
    let known: Vec<&str> = Code::ALL
        .iter()
        .map(|code| code.number())
        .chain(ErrorCode::ALL.iter().map(|code| code.text()))
        .collect();
    match tree::find(what, "code", known.into_iter(), "of Turnpike's") {
        Err(Failure::Refused(message)) => Failure::refused(format!(
            "{message}\ndocs/diagnostics.md and docs/errors.md list them; for a request, write its method and its URL: \
             turnpike explain GET /petstore/v1/pets"
        )),
        _ => Failure::refused(format!("there is no code `{what}`")),
    }
}

/// The page of a diagnostic: what stands under its heading.
pub(crate) fn diagnostic(code: Code) -> String {
    let heading = format!("## {}", code.number());
    let mut lines = DIAGNOSTICS
        .lines()
        .skip_while(|line| !line.starts_with(&heading))
        .skip(1);
    let page: Vec<_> = lines
        .by_ref()
        .take_while(|line| !line.starts_with("## "))
        .collect();
    page.join("\n").trim().to_owned()
}

/// What the table says of a refusal.
fn error(code: ErrorCode) -> String {
    let row = ERRORS
        .lines()
        .find(|line| line.starts_with(&format!("| `{}` |", code.text())))
        .unwrap_or_default();
    let cells: Vec<_> = row.split(" | ").collect();
    let what_to_do = cells.last().map_or("", |cell| cell.trim_end_matches('|').trim());
    format!(
        "Status {}, decided in the phase `{}`.\n\n{what_to_do}\n\nWhat a request meets: turnpike explain METHOD URL --as CONSUMER",
        code.status(),
        super::road::phase_of(code)
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_code_has_its_page() {
        for code in Code::ALL {
            let page = diagnostic(*code);
            assert!(
                page.split_whitespace().count() >= 12,
                "docs/diagnostics.md says too little of {code}"
            );
            let heading = format!("## {} {}", code.number(), code.meaning());
            let there = DIAGNOSTICS
                .lines()
                .filter(|line| line.starts_with(&format!("## {}", code.number())));
            assert_eq!(there.collect::<Vec<_>>(), [heading], "docs/diagnostics.md");
        }
        for code in ErrorCode::ALL {
            assert!(
                error(*code).len() > 80,
                "docs/errors.md says too little of {}",
                code.text()
            );
        }
        let headings = DIAGNOSTICS.lines().filter(|line| line.starts_with("## P"));
        assert_eq!(
            headings.count(),
            Code::ALL.len(),
            "docs/diagnostics.md has pages of codes that are gone"
        );
    }
}
