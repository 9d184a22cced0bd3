//! `turnpike diff`: what breaks, and what the number of the document tells of it.

use crate::common::sarif;
use crate::diff::changed;

#[test]
fn what_breaks_under_the_same_number_is_told() {
    let gone = (
        "apis/pets/v1.yaml",
        "name: limit, in: query,",
        "name: limit, in: query, required: true,",
    );
    let still = "risky       what breaks is still version 1.0.0 of its document (P1325)  [policies/apis/pets/v1.yaml:2]";
    let tree = changed(&[gone]);
    let out = tree.good(&["diff", "old"]);
    assert!(out.contains(still), "{out}");
    let out = tree.good(&["diff", "old", "--format", "json"]);
    let said: serde_json::Value = serde_json::from_str(&out).unwrap();
    let mut all = said["changes"].as_array().unwrap().iter();
    let coded = all.find(|one| one["rule"] == "P1325").unwrap();
    assert_eq!(
        (&coded["class"], &coded["severity"]),
        (&"risky".into(), &"warning".into())
    );
    let results = sarif(&tree.good(&["diff", "old", "--format", "sarif"]));
    assert!(results.iter().any(|one| one["ruleId"] == "P1325"), "{results:#?}");
    let out = tree.good(&["diff", "old", "--format", "github"]);
    assert!(
        out.contains("::warning file=policies/apis/pets/v1.yaml,line=2,title=P1325%3A API pets/v1::"),
        "{out}"
    );
    // It weighs what the new side says: an error fails, without `--fail-on`.
    let with = |level: &str| {
        let governance = format!("governance: {{ P1325: {level} }}\nenvironments:");
        tree.write(
            "gateway.yaml",
            &tree.read("gateway.yaml").replace("environments:", &governance),
        );
        let done = tree.run(&["diff", "old"]);
        tree.write(
            "gateway.yaml",
            &tree.read("gateway.yaml").replace(&governance, "environments:"),
        );
        (done.code, done.out.contains("(P1325)"))
    };
    assert_eq!(with("error"), (1, true));
    assert_eq!(with("note"), (0, true));
    assert_eq!(with("off"), (0, false));
    let out =
        changed(&[gone, ("apis/pets/v1.yaml", "version: 1.0.0", "version: 2.0.0")]).good(&["diff", "old"]);
    assert!(
        out.contains("breaking") && !out.contains("what breaks is"),
        "{out}"
    );
}

/// Nobody takes a lower number for news of a break.
#[test]
fn what_breaks_under_a_number_that_falls_is_told() {
    for (was, is, told) in [
        ("2.0.0", "1.0.0", true),
        ("2.1.0", "1.9.0", true),
        ("0.3.0", "0.2.9", true),
        ("1.0.0", "0.9.0", true),
        ("2027-06-30", "2026-12-31", true),
        ("1.9.0", "2.0.0", false),
        ("9.0.0", "10.0.0", false),
        ("0.2.9", "0.3.0", false),
        ("2026-12-31", "2027-06-30", false),
        ("blue", "amber", false),
    ] {
        let tree = changed(&[(
            "apis/pets/v1.yaml",
            "name: limit, in: query,",
            "name: limit, in: query, required: true,",
        )]);
        let old = tree.folder.path().join("old/apis/pets/v1.yaml");
        let number =
            |text: &str, number: &str| text.replace("version: 1.0.0", &format!("version: '{number}'"));
        std::fs::write(&old, number(&std::fs::read_to_string(&old).unwrap(), was)).unwrap();
        tree.write("apis/pets/v1.yaml", &number(&tree.read("apis/pets/v1.yaml"), is));
        let out = tree.good(&["diff", "old"]);
        let only = format!("what breaks is only version {is} of its document, which was {was} (P1325)");
        assert!(out.contains("breaking"), "{out}");
        assert_eq!(out.contains(&only), told, "{was} -> {is}\n{out}");
        assert_eq!(out.contains("(P1325)"), told, "{was} -> {is}\n{out}");
    }
}
