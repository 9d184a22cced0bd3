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

/// What a rule asks for may be anything: but for what is plainly more, it may let pass what it did not.
#[test]
fn a_rule_that_asks_for_something_else_loosens() {
    const RULE: &str = "rule: owners\nfor: apis\nfield: owner\nmust: { one_of: [team-pets, team-a] }\nmessage: An API is owned by a team.\n";
    for (from, to, class, back) in [
        (
            "one_of: [team-pets, team-a]",
            "matches: ''",
            "loosening ",
            "loosening ",
        ),
        ("field: owner", "field: title", "loosening ", "loosening "),
        ("for: apis", "for: models", "loosening ", "loosening "),
        ("[team-pets, team-a]", "[team-pets]", "tightening", "loosening "),
        ("team-a] }", "team-a], exist: true }", "tightening", "loosening "),
        (
            "message:",
            "must_not: { matches: x }\nmessage:",
            "tightening",
            "loosening ",
        ),
        ("owned by a team", "owned", "safe      ", "safe      "),
    ] {
        let tree = Tree::new();
        tree.write("governance/owners.yaml", RULE);
        copy(&tree.path(""), &tree.folder.path().join("old"));
        tree.change("governance/owners.yaml", from, to);
        for (arguments, class) in [
            (&["diff", "old"][..], class),
            (&["diff", "policies", "old"], back),
        ] {
            let out = tree.good(arguments);
            let said = if class == "safe      " {
                "the message of the rule `owners` is another"
            } else {
                "the rule `owners` is another"
            };
            assert!(out.contains(&format!("  {class}  {said}")), "{to}\n{out}");
            assert!(out.contains("\n1 change from"), "{to}\n{out}");
        }
    }
}

/// The last day of an exception is part of it: that day is shown, not the instant at which it is over.
#[test]
fn an_exception_is_shown_by_its_last_day() {
    let tree = Tree::new();
    tree.change(
        "apis/pets/api.yaml",
        "limits: [{ rate: 3/s }]",
        "limits: [{ rate: 3/s }]\nauthentication: none",
    );
    tree.change(
        "apis/pets/api.yaml",
        "authorize:\n  - { operations: [createPet], scopes: [pets:write] }\n",
        "",
    );
    let exception = |until: &str| {
        format!(
            "exceptions: [{{ rule: authentication, for: apis/pets, reason: For now., until: {until} }}]\nfloor:\n"
        )
    };
    tree.change("gateway.yaml", "floor:\n", &exception("2099-06-30"));
    copy(&tree.path(""), &tree.folder.path().join("old"));
    tree.change("gateway.yaml", "2099-06-30", "9999-12-31");
    let out = tree.good(&["diff", "old"]);
    assert!(
        out.contains("listPets is open until: 2099-06-30 → 9999-12-31"),
        "{out}"
    );
    let out = tree.good(&["show", "effective", "pets/v1#listPets"]);
    assert!(out.contains("none until 9999-12-31, by an exception"), "{out}");
}

/// What an exception says to people is told, by itself and beside its end; one that is new is told whole.
#[test]
fn the_reason_of_an_exception_is_compared() {
    let with = |tree: &Tree, reason: &str, until: &str| {
        let plain = "exceptions: [{ rule: query_credentials, for: gateway, ";
        let text = format!("{plain}reason: {reason}, until: {until} }}]\nfloor:\n");
        let gateway = tree.read("gateway.yaml");
        let (before, rest) = gateway.split_once("floor:\n").unwrap();
        let before = before.split("exceptions:").next().unwrap();
        tree.write("gateway.yaml", &format!("{before}{text}{rest}"));
    };
    let tree = changed(&[]);
    tree.change(
        "gateway.yaml",
        "issuers:\n",
        "api_keys: { query: [key] }\nissuers:\n",
    );
    with(&tree, "Old clients.", "2099-06-30");
    let out = tree.good(&["diff", "old"]);
    assert!(!out.contains("reason"), "{out}");
    let before = tree.folder.path().join("old");
    std::fs::remove_dir_all(&before).unwrap();
    copy(&tree.path(""), &before);
    with(&tree, "A partner asked.", "2099-06-30");
    let reason = "safe        the reason of the exception from `query_credentials` for gateway is another  [policies/gateway.yaml:";
    let out = tree.good(&["diff", "old"]);
    assert!(out.contains(reason) && out.contains("\n1 change from"), "{out}");
    with(&tree, "A partner asked.", "2099-07-30");
    let out = tree.good(&["diff", "old"]);
    assert!(out.contains(reason), "{out}");
    assert!(
        out.contains(
            "loosening   the exception from `query_credentials` for gateway until: 2099-06-30 → 2099-07-30"
        ),
        "{out}"
    );
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

/// A file with an alias in it is read as the build reads it, and so is what the alias says.
#[test]
fn an_alias_hides_nothing() {
    let tree = Tree::new();
    tree.change(
        "gateway.yaml",
        "  dev: { mocks: allowed, explain: allowed }\n",
        "  dev: &may { mocks: allowed, explain: allowed }\n  staging: *may\n",
    );
    tree.change(
        "gateway.yaml",
        "floor:\n",
        "floor:\n  governance: { P1203: error }\n",
    );
    copy(&tree.path(""), &tree.folder.path().join("old"));
    tree.change("gateway.yaml", "P1203: error", "P1203: warning");
    tree.change(
        "gateway.yaml",
        "floor:\n",
        "governance: { P1301: &none off, P1210: *none }\n\
         exceptions:\n  - { rule: authentication, for: apis/pets, reason: For now., until: 2099-06-30 }\nfloor:\n",
    );
    tree.change(
        "gateway.yaml",
        "explain: allowed }",
        "explain: allowed, http_upstreams: allowed }",
    );
    tree.change(
        "apis/pets/api.yaml",
        "limits: [{ rate: 3/s }]",
        "limits: [{ rate: 3/s }]\nauthentication: none",
    );
    tree.change(
        "apis/pets/api.yaml",
        "authorize:\n  - { operations: [createPet], scopes: [pets:write] }\n",
        "",
    );
    let out = tree.good(&["diff", "old"]);
    for part in [
        "loosening   the severity of P1301 (off) is added  [policies/gateway.yaml:16]",
        "loosening   the severity of P1210 (off) is added  [policies/gateway.yaml:16]",
        "loosening   the exception from `authentication` for apis/pets until (2099-06-30) is added  [policies/gateway.yaml:18]",
        "loosening   the floor's severity of P1203: error → warning  [policies/gateway.yaml:20]",
        "loosening   the permission `http_upstreams` (allowed) is added (in dev and staging)  [policies/gateway.yaml:23]",
    ] {
        assert!(out.contains(part), "{part}\n{out}");
    }
    // A new environment that is an alias.
    tree.change(
        "gateway.yaml",
        "  staging: *may\n",
        "  staging: *may\n  open: *may\n",
    );
    let out = tree.good(&["diff", "old", "--env", "open"]);
    assert!(
        out.contains("loosening   the permission `http_upstreams` (allowed) is added"),
        "{out}"
    );
}

/// What a variable says is told of the environment that gives it the value.
#[test]
fn a_variable_hides_nothing() {
    let tree = Tree::new();
    tree.change(
        "gateway.yaml",
        "floor:\n",
        "governance: { P1302: \"${level}\" }\nfloor:\n  governance: { P1203: \"${level}\" }\n",
    );
    tree.change(
        "gateway.yaml",
        "explain: allowed }",
        "explain: allowed, http_upstreams: \"${plain}\" }",
    );
    tree.write("governance/owners.yaml", "rule: owners\nfor: apis\nfield: owner\nmust: { matches: '^team-' }\nmessage: An API is owned by a team.\nseverity: \"${level}\"\n");
    for environment in ["dev", "production"] {
        tree.write(
            &format!("environments/{environment}.yaml"),
            "vars: { level: error, plain: forbidden }\n",
        );
    }
    copy(&tree.path(""), &tree.folder.path().join("old"));
    tree.write(
        "environments/dev.yaml",
        "vars: { level: warning, plain: allowed }\n",
    );
    let out = tree.good(&["diff", "old"]);
    for part in [
        "loosening   the severity of P1302: error → warning (in dev)  [policies/gateway.yaml:16]",
        "loosening   the floor's severity of P1203: error → warning (in dev)  [policies/gateway.yaml:18]",
        "loosening   the severity of the rule `owners`: error → warning (in dev)",
        "loosening   the permission `http_upstreams`: forbidden → allowed (in dev)",
    ] {
        assert!(out.contains(part), "{part}\n{out}");
    }
    assert!(!out.contains("production"), "{out}");
}

/// A rule whose file is a note by its name is none, and so is one that is hidden.
#[test]
fn what_the_build_does_not_read_is_not_there() {
    const RULE: &str = "rule: owners\nfor: apis\nfield: owner\nmust: { matches: '^team-' }\nmessage: An API is owned by a team.\n";
    for name in ["owners.md", ".owners.yaml"] {
        let tree = Tree::new();
        tree.write("governance/owners.yaml", RULE);
        copy(&tree.path(""), &tree.folder.path().join("old"));
        let from = tree.path("governance/owners.yaml");
        std::fs::rename(&from, from.with_file_name(name)).unwrap();
        let out = tree.good(&["diff", "old"]);
        assert!(
            out.contains("loosening   the rule `owners` is removed"),
            "{name}\n{out}"
        );
        let out = tree.good(&["diff", "policies", "old"]);
        assert!(
            out.contains("tightening  the rule `owners` is added"),
            "{name}\n{out}"
        );
    }
}

/// A floor that lets a rule be off holds nothing back; any other does.
#[test]
fn a_floor_that_says_off_loosens() {
    for (level, class, back) in [
        ("off", "loosening ", "tightening"),
        ("error", "tightening", "loosening "),
    ] {
        let tree = Tree::new();
        copy(&tree.path(""), &tree.folder.path().join("old"));
        tree.change(
            "gateway.yaml",
            "floor:\n",
            &format!("floor:\n  governance: {{ P1302: {level} }}\n"),
        );
        for (arguments, class, what) in [
            (&["diff", "old"][..], class, "added"),
            (&["diff", "policies", "old"], back, "removed"),
        ] {
            let out = tree.good(arguments);
            let said = format!("  {class}  the floor's severity of P1302 ({level}) is {what}");
            assert!(out.contains(&said), "{said}\n{out}");
            assert!(out.contains("\n1 change from"), "{out}");
        }
    }
}
