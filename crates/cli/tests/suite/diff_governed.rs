//! `turnpike diff`: what governs a tree, and which way it went.

use crate::common::Tree;
use crate::diff::{changed, copy};

#[test]
fn what_governs_a_tree_is_compared_too() {
    let tree = changed(&[
        (
            "gateway.yaml",
            "floor:\n",
            "governance: { P1301: off, P1302: error }\nfloor:\n  never_forward: [cookie]\n",
        ),
        (
            "gateway.yaml",
            "dev: { mocks: allowed",
            "dev: { http_upstreams: allowed, mocks: allowed",
        ),
    ]);
    tree.write(
        "governance/owners.yaml",
        "rule: owners\nfor: apis\nfield: owner\nmust: { matches: '^team-' }\nmessage: An API is owned by a team.\n",
    );
    let out = tree.good(&["diff", "old"]);
    for part in [
        "loosening   the severity of P1301 (off) is added",
        "tightening  the severity of P1302 (error) is added",
        "tightening  the floor's `never_forward: cookie` is added",
        "loosening   the permission `http_upstreams` (allowed) is added",
        "tightening  the rule `owners` is added",
    ] {
        assert!(out.contains(part), "{part}\n{out}");
    }
    assert_eq!(tree.run(&["diff", "old", "--fail-on", "loosening"]).code, 1);
    // The other way round, each is the opposite.
    let out = tree.good(&["diff", "policies", "old"]);
    for part in [
        "tightening  the severity of P1301 (off) is removed",
        "loosening   the severity of P1302 (error) is removed",
        "tightening  the permission `http_upstreams` (allowed) is removed",
        "loosening   the rule `owners` is removed",
    ] {
        assert!(out.contains(part), "{part}\n{out}");
    }
}

/// A rule of one's own, weakened in each way that does not touch what it asks for.
#[test]
fn a_rule_that_holds_less_back_loosens() {
    const RULE: &str = "rule: owners\nfor: apis\nfield: owner\nmust: { matches: '^team-' }\nmessage: An API is owned by a team.\n";
    let strict = format!("{RULE}severity: error\n");
    for (weaker, class, said, environments) in [
        (
            format!("{RULE}severity: note\n"),
            "loosening ",
            "the severity of the rule `owners`: error → note",
            "",
        ),
        (
            RULE.to_owned(),
            "loosening ",
            "the severity of the rule `owners`: error → warning",
            "",
        ),
        (
            format!("{strict}except: [pets]\n"),
            "loosening ",
            "the rule `owners`, `except: pets` is added",
            "",
        ),
        (
            format!("{strict}environments: [dev]\n"),
            "loosening ",
            "the rule `owners` is removed",
            " (in production)",
        ),
        // What it asks for is for its author to say.
        (
            strict.replace("^team-", "^t"),
            "risky     ",
            "the rule `owners` is another",
            "",
        ),
    ] {
        let tree = Tree::new();
        tree.write("governance/owners.yaml", &strict);
        copy(&tree.path(""), &tree.folder.path().join("old"));
        tree.write("governance/owners.yaml", &weaker);
        let out = tree.good(&["diff", "old"]);
        assert!(
            out.contains(&format!("  {class}  {said}{environments}")),
            "{weaker}\n{out}"
        );
        assert!(out.contains("\n1 change from"), "{weaker}\n{out}");
        // And back.
        let back = tree.good(&["diff", "policies", "old"]);
        let class = class.replace("loosening ", "tightening");
        assert!(back.contains(&format!("  {class}  ")), "{weaker}\n{back}");
        assert!(back.contains("\n1 change from"), "{weaker}\n{back}");
    }
}

/// A rule that is new, or gone, is told whole.
#[test]
fn a_rule_comes_and_goes_as_one() {
    let tree = changed(&[]);
    tree.write(
        "governance/owners.yaml",
        "rule: owners\nfor: apis\nfield: owner\nmust: { matches: '^team-' }\nmessage: An API is owned by a team.\nexcept: [pets]\nseverity: note\n",
    );
    let out = tree.good(&["diff", "old"]);
    assert!(
        out.contains("  tightening  the rule `owners` is added") && out.contains("\n1 change from"),
        "{out}"
    );
    let out = tree.good(&["diff", "policies", "old"]);
    assert!(
        out.contains("  loosening   the rule `owners` is removed") && out.contains("\n1 change from"),
        "{out}"
    );
}

/// What a new environment may is more than there was.
#[test]
fn what_a_new_environment_may_is_told() {
    let tree = changed(&[(
        "gateway.yaml",
        "  production: { mocks: forbidden }\n",
        "  production: { mocks: forbidden }\n  open: { http_upstreams: allowed, explain: allowed, mocks: forbidden }\n",
    )]);
    let output = tree.run(&["diff", "old", "--fail-on", "loosening"]);
    for said in [
        "safe        there is a new environment, `open` (in open)",
        "loosening   the permission `http_upstreams` (allowed) is added (in open)  [policies/gateway.yaml:21]",
        "loosening   the permission `explain` (allowed) is added (in open)  [policies/gateway.yaml:21]",
    ] {
        assert!(output.out.contains(said), "{said}\n{}", output.out);
    }
    assert!(!output.out.contains("`mocks`"), "{}", output.out);
    assert_eq!(output.code, 1);
}
