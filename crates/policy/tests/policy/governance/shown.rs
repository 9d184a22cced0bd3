//! What of many findings is shown, and what is never shown of one: secrets, and characters that turn the order of others.

use super::cases::{API, Case, DOC, clean};
use super::changed;
use crate::common::{Files, build_with_rules as build, lines};

/// Whoever has many operations has many findings: those of others are told all the same.
#[test]
fn a_flood_in_one_document_hides_no_rule_of_another() {
    let mut files = clean();
    let paths: String = (0..9_000)
        .map(|at| {
            format!(
                "  /p{at}:\n    get: {{ operationId: o{at}, responses: {{ '204': {{ description: d }} }} }}\n"
            )
        })
        .collect();
    let text = files[DOC].replace("paths:\n", &format!("paths:\n{paths}"));
    let alone = lines(&build(&clean_with_a_slip(), "dev"));
    let slip: Vec<_> = alone.iter().filter(|line| line.contains("apis/zoo/")).collect();
    assert!(!slip.is_empty(), "{alone:#?}");
    for (path, text) in clean_with_a_slip() {
        files.insert(path, text);
    }
    files.insert(DOC.to_owned(), text);
    let outcome = build(&files, "dev");
    let all = lines(&outcome);
    for line in slip {
        assert!(all.contains(line), "{line}");
    }
    let hidden = |path: &str| outcome.hidden.keys().any(|(file, ..)| file.ends_with(path));
    assert!(hidden(DOC) && !hidden("apis/zoo/v1.yaml"), "{:?}", outcome.hidden);
    // It is bounded all the same.
    assert!(all.len() < 50_000, "{}", all.len());
}

/// The same with another API, whose document is the same but for what it says of itself.
fn clean_with_a_slip() -> Files {
    let mut files = clean();
    let api = files[API].replace("pets", "zoo");
    let text = files[DOC].replace("      summary: All pets.\n", "");
    files.insert("apis/zoo/api.yaml".to_owned(), api);
    files.insert("apis/zoo/v1.yaml".to_owned(), text);
    files
}

#[test]
fn a_flood_of_warnings_hides_no_error_and_fails_no_build() {
    let mut files = clean();
    let paths: String = (0..12_000)
        .map(|at| format!("  /p{at}:\n    get: {{ operationId: o{at}, responses: {{ '204': {{ description: d }}, default: {{ description: d }} }} }}\n"))
        .collect();
    let text = files[DOC].replace("paths:\n", &format!("paths:\n{paths}"));
    files.insert(DOC.to_owned(), text);
    let outcome = build(&files, "dev");
    assert!(outcome.bundle.is_some());
    let last = lines(&outcome).pop().unwrap();
    assert!(
        last.contains("warning[P0011]: 2000 more warnings and notes are not shown"),
        "{last}"
    );
    files.insert("plans/zzz.yaml".to_owned(), "plan: zzz".to_owned());
    let lines = lines(&build(&files, "dev"));
    assert!(
        lines
            .iter()
            .any(|line| line.starts_with("plans/zzz.yaml:1:1: error[P0202]"))
    );
}

#[test]
fn secrets_that_are_found_are_not_shown() {
    let files = changed(&Case(
        &[(
            DOC,
            "description: Which ones.",
            "description: xV3kQ9zT1pLw8RbN5sYc2HfD",
        )],
        &[],
    ));
    for found in build(&files, "dev").diagnostics {
        assert!(!found.to_string().contains("xV3kQ9"), "{found}");
    }
    // Hashes, public keys, dates, identifiers and sentences are none.
    for text in [
        "0b3c8a36-4f3e-4d0c-9d0e-0d9a3f0c1b2a",
        "https://docs.acme.test/Guides/2026-01-01/How-To-Call-V2",
        "getPetsByOwnerAndTagV2Long",
    ] {
        let mut files = clean();
        files.insert(
            DOC.to_owned(),
            files[DOC].replace("Which ones.", &format!("'{text}'")),
        );
        assert_eq!(lines(&build(&files, "dev")), Vec::<String>::new(), "{text}");
    }
}

/// Nor where there are more than are kept, and something else is said of the same place; nor beside an error.
#[test]
fn a_flood_of_secrets_shows_none_of_them() {
    let secret = "xV3kQ9zT1pLw8RbN5sYc2HfD";
    let many = format!("x-keys:\n{}", format!("  - {secret}\n").repeat(10_100));
    let mut files = clean();
    let first = files[DOC].replace("info: {", &format!("info: {{ summary: TODO {secret},"));
    assert_ne!(first, files[DOC]);
    let last = format!("x-last: {{ summary: TODO {secret} }}\n");
    files.insert(DOC.to_owned(), format!("{first}{many}{last}"));
    let found = build(&files, "dev").diagnostics;
    let left = found.iter().filter(|one| one.code.number() == "P1802").count();
    assert_eq!(left, 2, "{:#?}", found.first());
    for one in &found {
        assert!(!one.to_string().contains("xV3kQ9"), "{one}");
    }
    // An error on the line of one.
    let mut files = clean();
    let api = files[API].replace("owner: team", &format!("ownr: {secret}"));
    files.insert(API.to_owned(), api);
    let found = build(&files, "dev").diagnostics;
    assert!(found.iter().any(|one| one.is_error()), "{found:#?}");
    for one in &found {
        assert!(!one.to_string().contains("xV3kQ9"), "{one}");
    }
}

/// Neither in the message nor in the line that is shown below it.
#[test]
fn what_turns_the_order_of_others_is_not_shown_as_it_is() {
    let files = changed(&Case(
        &[(DOC, "All about pets.", "\"All \u{202e}step\u{2069} about.\"")],
        &[],
    ));
    let found = build(&files, "dev").diagnostics;
    assert_eq!(found.len(), 1, "{found:#?}");
    let shown = found[0].to_string();
    assert!(
        shown.contains("\\u{202e}") && !shown.contains(['\u{202e}', '\u{2069}']),
        "{shown}"
    );
}
