//! Texts that are not YAML: each is told where it goes wrong, and what would help.

use crate::common::{base, build, lines};

/// A plan as it is written; where the fault is, and how its remedy begins.
const CASES: &[(&str, &str, &str)] = &[
    ("plan: gold\n\tlimits: 1\n", "2:1", "indent with spaces"),
    (
        "plan: gold\nlimits:\n\t- rate: 1/s\n",
        "3:1",
        "indent with spaces",
    ),
    ("plan: gold\n\n\t\tlimits: 1\n", "3:1", "indent with spaces"),
    (
        "plan: gold\nlimits:\n  - rate: 1/s\n   burst: 3\n",
        "4:4",
        "the items of a list begin with `- ` in the same column",
    ),
    (
        "plan: gold\nlimits:\n- rate: 1/s\n - rate: 2/s\n",
        "4:2",
        "the keys of one map begin in the same column",
    ),
    (
        "plan: gold\n limits: []\n",
        "2:8",
        "the keys of one map begin in the same column",
    ),
    (
        "plan: |\n  a\n b\n",
        "3:2",
        "the keys of one map begin in the same column",
    ),
    ("plan: \"gold\nlimits: []\n", "1:7", "a text ends with the quote"),
    ("plan: 'gold\nlimits: []\n", "1:7", "a text ends with the quote"),
    ("plan: 'it's gold'\n", "1:11", "write the text in double quotes"),
    ("plan: \"go\\qld\"\n", "1:7", "in double quotes a backslash"),
    (
        "plan: gold\nlimits: [ { rate: 1/s }\n",
        "2:9",
        "each `[` needs its `]`",
    ),
    (
        "plan: gold\nlimits: [ { rate: 1/s ]\n",
        "2:11",
        "each `[` needs its `]`",
    ),
    (
        "plan: gold\nlimits:\n  - { rate: ${r} }\n",
        "3:14",
        "in `{ }` and `[ ]` a variable is written in quotes: `\"${r}\"`",
    ),
    (
        "plan: gold\nlimits: [{ rate: ${n}/s, burst: 5 }]\n",
        "2:19",
        "in `{ }` and `[ ]` a variable is written in quotes: `\"${n}/s\"`",
    ),
    ("plan: gold\nlimits: ]\n", "2:9", "each `[` needs its `]`"),
    (
        "{ \"plan\": \"gold\" \"limits\": [] }\n",
        "1:18",
        "what is in brackets is separated by commas",
    ),
    (
        "plan: gold\nlimits\n  - rate: 1/s\n",
        "2:1",
        "a key is followed by `:` and a space",
    ),
    ("plan: gold: x\n", "1:11", "a key is followed by `:` and a space"),
    (
        "plan:gold\nlimits: []\n",
        "2:7",
        "on the line before, write a space after `plan:`",
    ),
    ("plan: @gold\n", "1:7", "no text begins with this character"),
    ("plan: `gold`\n", "1:7", "no text begins with this character"),
    ("plan: *gold\n", "1:7", "`&name` names a value"),
    ("%YAML 1.2\n---\nplan: gold\n", "1:1", "remove the line"),
    ("plan: \u{7}\n", "1:7", "remove it"),
    (
        "plan: gold\nlimits:\n  -{ rate: 1/s, burst: 3 }\n",
        "3:22",
        "a blank stands between the dash of an item and what follows it: `- {`",
    ),
    (
        "plan: gold\nlimits:\n\u{a0}\u{a0}- rate: 1/s\n",
        "3:1",
        "write a plain space",
    ),
    (
        "plan: gold\nlimits:\n  -\u{a0}rate: 1/s\n",
        "3:4",
        "write a plain space",
    ),
    ("plan:\u{a0}gold\nlimits: []\n", "1:6", "write a plain space"),
    ("# nothing\n", "1:1", "write an item of its kind"),
    ("plan: &a\n  b: *a\n", "2:6", "write the value out here"),
];

#[test]
fn every_fault_of_syntax_has_its_remedy() {
    let mut wrong = String::new();
    for (text, place, remedy) in CASES {
        let mut files = base();
        files.insert("plans/gold.yaml".to_owned(), (*text).to_owned());
        let outcome = build(&files, "dev");
        let found = lines(&outcome);
        let help = outcome
            .diagnostics
            .first()
            .and_then(|diagnostic| diagnostic.help.clone());
        let place = format!("plans/gold.yaml:{place}: error[P01");
        let fits = found.len() == 1
            && found[0].starts_with(&place)
            && help.as_ref().is_some_and(|help| help.starts_with(remedy));
        if !fits {
            wrong += &format!("{text:?}: expected {place} {remedy}\nfound {found:#?} {help:?}\n\n");
        }
    }
    assert!(wrong.is_empty(), "{wrong}");
}

#[test]
fn a_secret_beside_a_fault_of_syntax_is_not_shown() {
    let pem = "-----BEGIN PRIVATE KEY-----\n  MIIEvQIBADANBgkqhkiG9w0BAQEFAASC\n  -----END PRIVATE KEY-----";
    let key = "sk-abcdefghijklmnopqrstuvwx";
    for text in [
        format!("provider: openai\nsecret: \"{key}\n"),
        format!("provider: openai\nsecret: [{key}\n"),
        format!("provider: openai\n secret: {key}\n"),
        format!("provider: openai\nsecret: \"\n  {pem}\n"),
    ] {
        let mut files = base();
        files.insert("providers/openai.yaml".to_owned(), text.clone());
        let outcome = build(&files, "dev");
        let shown: String = outcome
            .diagnostics
            .iter()
            .map(|found| found.to_string())
            .collect();
        assert!(
            !shown.contains("cdefgh") && !shown.contains("QIBADANB"),
            "{shown}"
        );
        let found = lines(&outcome);
        assert!(
            found.iter().any(|line| line.contains("P0215")),
            "{text}: {found:#?}"
        );
        assert!(
            found.iter().any(|line| line.contains("P0101")),
            "{text}: {found:#?}"
        );
    }
}

/// What is YAML all the same, and not what was meant.
#[test]
fn a_blank_that_is_missing_or_none_is_named() {
    for (limits, place, remedy) in [
        (
            "\n  -{ rate: 1/s }",
            "3:3",
            "a blank stands between the dash of an item and what follows it: `- {`",
        ),
        (
            "\n  -rate: 1/s",
            "3:3",
            "a blank stands between the dash of an item and what follows it: `- rate`",
        ),
        (
            "\n  -[a]",
            "3:3",
            "a blank stands between the dash of an item and what follows it: `- [a`",
        ),
        (
            "\n  - rate:\u{a0}1/s",
            "3:5",
            "U+00A0 looks like a blank, and is none in YAML: write a plain space",
        ),
    ] {
        let mut files = base();
        files.insert(
            "plans/gold.yaml".to_owned(),
            format!("plan: gold\nlimits:{limits}\n"),
        );
        let outcome = build(&files, "dev");
        let found = lines(&outcome);
        assert_eq!(found.len(), 1, "{found:#?}");
        assert!(
            found[0].starts_with(&format!("plans/gold.yaml:{place}: error[P0203]")),
            "{found:#?}"
        );
        let help = outcome.diagnostics[0].help.as_deref().unwrap();
        assert!(help.starts_with(remedy), "{help}");
    }
    // In a text such a blank is one of its letters.
    let mut files = base();
    files.insert(
        "apis/pets/api.yaml".to_owned(),
        files["apis/pets/api.yaml"].replace("Pets", "\u{ab}\u{a0}Pets\u{a0}:\u{a0}a\u{a0}\u{bb}"),
    );
    assert_eq!(lines(&build(&files, "dev")), Vec::<String>::new());
}
