//! What looks right and is read as something else: quotes that are none, a mark that is not seen, maps that are not
//! indented, names in capitals. Each is one fault, with what would help.

use crate::common::{Files, base, build, lines};

/// All that is said of the tree without faults where a text stands for another one in a file, with what would help.
#[track_caller]
fn said(path: &str, old: &str, new: &str) -> Vec<(String, String)> {
    let mut files = base();
    let text = files.get_mut(path).unwrap();
    assert!(text.contains(old), "{path}: {old}");
    *text = text.replacen(old, new, 1);
    told(&files)
}

fn told(files: &Files) -> Vec<(String, String)> {
    let outcome = build(files, "dev");
    let help = outcome.diagnostics.iter().map(|found| found.help.clone());
    let help: Vec<_> = help.map(Option::unwrap_or_default).collect();
    lines(&outcome).into_iter().zip(help).collect()
}

#[track_caller]
fn one(found: &[(String, String)], start: &str, help: &str) {
    assert_eq!(found.len(), 1, "{found:#?}");
    assert!(found[0].0.starts_with(start), "{start}: {found:#?}");
    assert!(found[0].1.starts_with(help), "{help}: {found:#?}");
}

#[test]
fn quotes_as_they_are_printed_are_none() {
    for (open, close) in [
        ('\u{201c}', '\u{201d}'),
        ('\u{201e}', '\u{201c}'),
        ('\u{2018}', '\u{2019}'),
        ('\u{ff02}', '\u{ff02}'),
        ('\u{201c}', '"'),
    ] {
        let told = format!(
            "the quotes around this value (U+{:04X}, U+{:04X}) are none in YAML, but a part of it",
            u32::from(open),
            u32::from(close)
        );
        let around = |text: &str| format!("{open}{text}{close}");
        for (path, old, text, place) in [
            ("apis/pets/api.yaml", "owner: team", "team", "3:8: error[P0219]"),
            (
                "apis/pets/api.yaml",
                "openapi: v1.yaml",
                "v1.yaml",
                "7:14: error[P0219]",
            ),
            ("plans/gold.yaml", "rate: 10/s", "10/s", "3:11: error[P0219]"),
            (
                "apis/pets/v1.yaml",
                "operationId: listPets",
                "listPets",
                "6:20: error[P0602]",
            ),
            (
                "apis/pets/v1.yaml",
                "openapi: 3.1.0",
                "3.1.0",
                "1:10: error[P0601]",
            ),
        ] {
            let key = old.strip_suffix(text).unwrap();
            let found = said(path, old, &format!("{key}{}", around(text)));
            one(&found, &format!("{path}:{place}: {told}"), "write plain quotes");
        }
    }
    // Where plain ones stand around them, or several things are quoted, they are meant.
    for fine in [
        "\"\u{201c}The\u{201d} team\"",
        "\"\u{201c}team\u{201d}\"",
        "\u{201c}One\u{201d} and \u{201c}two\u{201d}",
        "\u{201c}The\u{201d} team",
        "the team\u{2019}s",
        "\u{ab}team\u{bb}",
    ] {
        let found = said("apis/pets/api.yaml", "owner: team", &format!("owner: {fine}"));
        assert_eq!(found, [], "{fine}");
    }
}

/// A secret in such quotes is not shown either.
#[test]
fn what_stands_in_such_quotes_may_be_a_secret() {
    let mut files = base();
    let api = files.get_mut("apis/pets/api.yaml").unwrap();
    let upstream = "upstream: https://pets.example";
    let credential = "upstream_credential: { secret: \u{201c}hunter2hunter2\u{201d} }";
    *api = api.replace(upstream, &format!("{upstream}\n    {credential}"));
    let found = build(&files, "dev").diagnostics;
    assert_eq!(found.len(), 1, "{found:#?}");
    assert!(!found[0].to_string().contains("hunter2"), "{}", found[0]);
}

#[test]
fn a_mark_of_the_order_of_bytes_stands_once() {
    let mark = "\u{feff}";
    for (path, _) in base() {
        let mut files = base();
        let text = files.get_mut(&path).unwrap();
        *text = format!("{mark}{text}");
        assert_eq!(told(&files), [], "{path}");
        let text = files.get_mut(&path).unwrap();
        *text = format!("{mark}{text}");
        let found = told(&files);
        let start = format!("{path}:1:1: error[P0219]: the file begins with U+FEFF");
        one(&found, &start, "save the file as UTF-8");
    }
}

#[test]
fn a_map_that_is_not_indented_is_one_fault() {
    for (path, old, new, start, next) in [
        (
            "apis/pets/api.yaml",
            "  v1:\n    openapi: v1.yaml\n    state: active\n    upstream:",
            "v1:\n  openapi: v1.yaml\n  state: active\n  upstream:",
            "apis/pets/api.yaml:5:9: error[P0203]: expected a map from names, each to a map (version), found nothing: what stands below it is not indented",
            6,
        ),
        (
            "apis/pets/api.yaml",
            "  v1:\n    openapi: v1.yaml\n    state: active\n    upstream:",
            "v1:\nopenapi: v1.yaml\nstate: active\nupstream:",
            "apis/pets/api.yaml:5:9: error[P0203]",
            6,
        ),
    ] {
        let found = said(path, old, new);
        one(&found, start, "indent what belongs to it");
        let mut files = base();
        let text = files.get_mut(path).unwrap();
        *text = text.replace(old, new);
        let outcome = build(&files, "dev");
        let label = &outcome.diagnostics[0].labels[0];
        assert_eq!(
            (label.line, label.message.as_str()),
            (next, "this stands beside it, and not in it")
        );
    }
    // Another name is one fault by itself, and so is a field that nothing knows after one that has nothing.
    let found = said(
        "apis/pets/api.yaml",
        "versions:\n",
        "versions:\nlimit: []\nversion:\n",
    );
    assert!(
        found
            .iter()
            .any(|(line, _)| line.contains("6:1: error[P0201]: unknown field `limit`")),
        "{found:#?}"
    );
}

#[test]
fn a_file_that_is_called_in_capitals_is_told_the_name_that_it_can_have() {
    let mut files = base();
    let text = files.remove("plans/gold.yaml").unwrap();
    files.insert("plans/GOLD.yaml".to_owned(), text);
    one(
        &told(&files),
        "plans/GOLD.yaml:1:7: error[P0007]: this is called `gold`, its file `GOLD`",
        "rename it to `gold` as well: names are lower case letters",
    );
    // Where the file has a name that can be written, either may be changed.
    let found = said("plans/gold.yaml", "plan: gold", "plan: silver");
    assert!(
        found
            .iter()
            .any(|(_, help)| help == "rename the file, or write `gold`"),
        "{found:#?}"
    );
}

/// Letters of another alphabet look right: the message says which one it is, the remedy the name that was meant.
#[test]
fn letters_that_only_look_right_are_named() {
    for (path, old, new, line, help) in [
        (
            "apis/pets/api.yaml",
            "owner: team",
            "\u{43e}wner: team",
            "3:1: error[P0201]: unknown field `\u{43e}wner`, with U+043E in the place of `o`",
            "did you mean `owner`?",
        ),
        (
            "apis/pets/api.yaml",
            "versions:",
            "v\u{435}rsi\u{43e}n\u{455}:",
            "5:1: error[P0201]: unknown field `v\u{435}rsi\u{43e}n\u{455}`, with U+0435 in the place of `e`",
            "did you mean `versions`?",
        ),
        (
            "apis/pets/v1.yaml",
            "operationId: listPets",
            "oper\u{430}tionId: listPets",
            "6:7: error[P0201]: unknown field `oper\u{430}tionId` in an operation, with U+0430 in the place of `a`",
            "did you mean `operationId`?",
        ),
        (
            "consumers/app.yaml",
            "plan: gold",
            "plan: g\u{43e}ld",
            "3:7: error[P0207]: `g\u{43e}ld` is not a name, with U+043E in the place of `o`",
            "names are lower case letters, digits, `.`, `_` and `-`: for example `gold`",
        ),
        (
            "apis/pets/api.yaml",
            "state: active",
            "state: \u{430}ctive",
            "8:12: error[P0204]: expected `preview`, `active`, `deprecated` or `retired`, found `\u{430}ctive`, with U+0430 in the place of `a`",
            "did you mean `active`?",
        ),
    ] {
        one(&said(path, old, new), &format!("{path}:{line}"), help);
    }
    // A word of another alphabet is one, and looks like one.
    let found = said("apis/pets/api.yaml", "owner: team", "owner: team\nвладелец: team");
    one(
        &found,
        "apis/pets/api.yaml:4:1: error[P0201]: unknown field `владелец`",
        "the fields here",
    );
    assert!(!found[0].0.contains("U+"), "{found:#?}");
}
