//! Floods of findings: none hides what is wrong in another file, and what is not shown is counted.

use serde_json::Value;

use crate::common::Tree;

/// As if drawn by lot.
const RANDOM: &str = "xV3kQ9zT1pLw8RbN5sYc2HfD";

/// A tree with a mock in which so many texts look like secrets, and a model whose owner does.
fn secrets(count: usize) -> Tree {
    let tree = Tree::new();
    let many: String = (0..count).fold(String::new(), |many, at| {
        many + &format!("            k{at}: {RANDOM}{at:05}\n")
    });
    let mock = "mock: aaa\nenvironments: [dev]\nrules:\n  - answer:\n      tool_calls:\n        - name: call\n          arguments:\n";
    tree.write("mocks/aaa.yaml", &format!("{mock}{many}"));
    tree.change("models/chat.yaml", "team-ai", RANDOM);
    tree
}

fn check(tree: &Tree, arguments: &[&str]) -> Value {
    let arguments = [&["check", "--format", "json"], arguments].concat();
    serde_json::from_str(&tree.run(&arguments).out).unwrap()
}

fn is(finding: &Value, code: &str, file: &str) -> bool {
    finding["code"] == code && finding["file"].as_str().unwrap().ends_with(file)
}

#[test]
fn what_looks_like_secrets_in_one_file_hides_none_in_another() {
    let tree = secrets(10_500);
    let count = |said: &Value, file| {
        let found = said["findings"].as_array().unwrap().iter();
        found.filter(|finding| is(finding, "P1801", file)).count()
    };
    let said = check(&tree, &["--env", "dev"]);
    assert_eq!(count(&said, "models/chat.yaml"), 1);
    assert!(count(&said, "mocks/aaa.yaml") > 9_000);

    // Whoever is shown that a model meets all rules is shown those of its own file.
    let shown = tree.good(&["show", "compliance", "--env", "dev", "--format", "json"]);
    let record: Value = serde_json::from_str(&shown).unwrap();
    let routes = record["routes"].as_array().unwrap();
    let chat = routes.iter().find(|route| route["name"] == "chat").unwrap();
    let rules = chat["rules"].as_array().unwrap();
    let met = |rule: &str| {
        rules
            .iter()
            .find(|row| row["rule"] == rule)
            .map(|row| &row["met"])
    };
    assert_eq!(met("P1801 (warning)").unwrap(), "no", "{chat:#}");
    assert_eq!(met("governance").unwrap(), "no", "{chat:#}");

    // The file with the flood has an error: nothing else is said of it, and all of the other.
    let mock = tree.read("mocks/aaa.yaml");
    tree.write("mocks/aaa.yaml", &format!("{mock}bogus: 1\n"));
    let said = check(&tree, &["--env", "dev"]);
    assert_eq!(count(&said, "models/chat.yaml"), 1);
    assert_eq!(count(&said, "mocks/aaa.yaml"), 0);
}

/// What is not shown is counted with the rest, whatever the form, and what says so is no fault of its own.
#[test]
fn totals_count_what_is_not_shown() {
    let tree = Tree::new();
    for plan in 0..60 {
        let faults = (0..201).fold(String::new(), |faults, at| faults + &format!("f{at}: 1\n"));
        tree.write(
            &format!("plans/p{plan}.yaml"),
            &format!("plan: p{plan}\nlimits: [{{ rate: 1/s }}]\n{faults}"),
        );
    }
    for arguments in [&["--env", "dev"][..], &[]] {
        let said = check(&tree, arguments);
        assert_eq!(said["errors"], 12_060, "{arguments:?}");
        let findings = said["findings"].as_array().unwrap();
        let (untold, told): (Vec<_>, Vec<_>) = findings
            .iter()
            .filter(|one| one["severity"] == "error")
            .partition(|one| one["code"] == "P0011");
        let hidden = 12_060 - told.len();
        assert!(hidden > 0);
        assert_eq!(untold.len(), 1);
        assert_eq!(
            untold[0]["message"],
            format!("{hidden} more faults are not shown")
        );
        let text = tree.run(&[&["check"], arguments].concat());
        assert_eq!(text.code, 1);
        assert!(
            text.out.lines().last().unwrap().starts_with("12060 errors, "),
            "{:?}",
            text.out.lines().last()
        );
    }
    // What is wrong in one environment only is one more, though there it may hide another.
    tree.write(
        "plans/a.yaml",
        "plan: a\nenvironments: [dev]\nlimits: [{ rate: 1/s }]\nf: 1\n",
    );
    assert_eq!(check(&tree, &[])["errors"], 12_061);
    assert_eq!(check(&tree, &["--env", "dev"])["errors"], 12_061);
}

/// The same of a file of which not even all is kept.
#[test]
fn totals_count_what_is_not_kept() {
    let warnings = |count| {
        check(&secrets(count), &["--env", "dev"])["warnings"]
            .as_u64()
            .unwrap()
    };
    assert_eq!(warnings(10_500), warnings(1) + 10_499);
}
