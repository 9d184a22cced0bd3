//! Conditions and headers that tell of the caller: explained, tested, compared.

use crate::common::Tree;
use crate::diff::copy;

/// The tree, with a condition on `createPet` and a header for its upstream.
fn tree() -> Tree {
    let tree = Tree::new();
    tree.change(
        "gateway.yaml",
        "    jwks: https://login.acme.example/jwks.json\n",
        "    jwks: https://login.acme.example/jwks.json\n    claims: { department: string, level: number }\n",
    );
    tree.change(
        "apis/pets/api.yaml",
        "scopes: [pets:write] }\n",
        "scopes: [pets:write], when: \"claims.department == 'stores' && request.country == 'DE'\" }\nupstream_headers: { x-user: claims.sub, x-department: claims.department }\n",
    );
    tree
}

#[test]
fn a_condition_is_explained() {
    let tree = tree();
    let explain = |more: &[&str]| {
        let always = [
            "explain",
            "POST",
            "/pets/v1/pets",
            "--as",
            "app",
            "--scope",
            "pets:write",
            "--json",
            "{}",
        ];
        tree.run(&[&always, more].concat())
    };
    let out = explain(&["--claim", "department=stores", "--country", "DE"]).out;
    for part in [
        "answered: 200",
        "condition          claims.department == 'stores' && request.country == 'DE'",
        "[policies/apis/pets/api.yaml:12]",
        "upstream is told   x-department: claims.department",
        "x-user: app-1",
        "x-department: stores",
    ] {
        assert!(out.contains(part), "{part}\n{out}");
    }
    for (more, reason) in [
        (&[][..], "`claims.department` is missing"),
        (
            &["--claim", "department:=7", "--country", "DE"],
            "`claims.department` is missing, or of another type",
        ),
        (&["--claim", "department=stores"], "`request.country` is missing"),
        (
            &["--claim", "department=stores", "--country", "FR"],
            "the condition does not hold",
        ),
    ] {
        let out = explain(more).out;
        for part in [
            "authorize  refused  403 condition_not_met",
            reason,
            "[policies/apis/pets/api.yaml:12]",
            "admit      -",
        ] {
            assert!(out.contains(part), "{more:?}: {part}\n{out}");
        }
    }
    let out = tree.good(&["explain", "condition_not_met"]);
    assert!(out.contains("A condition of the policy is not met"), "{out}");
}

#[test]
fn tests_of_the_tree_say_claims_and_countries() {
    let tree = tree();
    let case = |name: &str, claims: &str, country: &str, expect: &str| {
        format!(
            "- name: {name}\n  request: {{ post: /pets/v1/pets, as: {{ consumer: app, scopes: [pets:write], claims: {claims} }}, json: {{}}{country} }}\n  expect: {expect}\n"
        )
    };
    let text = [
        case(
            "stores add pets",
            "{ department: stores }",
            ", country: DE",
            "{ status: 200, upstream: { headers: { x-user: app-1, x-department: stores } } }",
        ),
        case(
            "others do not",
            "{ department: hq }",
            ", country: DE",
            "{ status: 403, code: condition_not_met, policy: 'policies/apis/pets/api.yaml:12' }",
        ),
        case(
            "nor who comes from nowhere",
            "{ department: stores }",
            "",
            "{ code: condition_not_met }",
        ),
    ]
    .concat();
    tree.write("tests/conditions.yaml", &text);
    let out = tree.good(&["test", "--env", "dev"]);
    assert!(out.contains("3 passed, 0 failed"), "{out}");
}

#[test]
fn a_change_of_a_condition_has_its_weight() {
    for (from, to, said) in [
        (
            ", when: \"claims.department == 'stores' && request.country == 'DE'\"",
            "",
            "loosening   createPet: the condition `claims.department == 'stores' && request.country == 'DE'` is removed",
        ),
        (
            "'DE'\" }",
            "'DE'\" }\n  - { operations: [createPet], when: claims.level > 2 }",
            "tightening  createPet: the condition `claims.level > 2` is added",
        ),
        (
            "'stores'",
            "'hq'",
            "risky       createPet: the condition `claims.department == 'stores' && request.country == 'DE'` → \
             `claims.department == 'hq' && request.country == 'DE'`",
        ),
        (
            "== 'stores'",
            "==   'stores'",
            "old and policies have the same rules",
        ),
        (
            "x-user: claims.sub, ",
            "",
            "risky       telling the upstream `x-user: claims.sub` is removed",
        ),
    ] {
        let tree = tree();
        copy(&tree.path(""), &tree.folder.path().join("old"));
        tree.change("apis/pets/api.yaml", from, to);
        let out = tree.good(&["diff", "old", "--as-of", "2026-01-01"]);
        assert!(out.contains(said), "{said}\n{out}");
    }
    // Another issuer whose tokens count.
    let tree = tree();
    copy(&tree.path(""), &tree.folder.path().join("old"));
    tree.change(
        "gateway.yaml",
        "    secret: BATCH_KEY\n",
        "    secret: BATCH_KEY\n    claims: { department: string }\n",
    );
    let out = tree.good(&["diff", "old", "--as-of", "2026-01-01"]);
    assert!(
        out.contains("loosening   `claims.department` counts in tokens of `batch` is added"),
        "{out}"
    );
}

/// What the gateway told of the caller, callers say of themselves now.
#[test]
fn a_header_that_callers_take_over_loosens() {
    let header = "parameters: [{ name: limit, in: query, schema: { type: integer } }, { name: HEADER, in: header, schema: { type: string } }]";
    let query = "parameters: [{ name: limit, in: query, schema: { type: integer } }]";
    // Some upstreams take the second for the first.
    for name in ["x-user", "x_user"] {
        let tree = tree();
        copy(&tree.path(""), &tree.folder.path().join("old"));
        tree.change("apis/pets/api.yaml", "x-user: claims.sub, ", "");
        tree.change("apis/pets/v1.yaml", query, &header.replace("HEADER", name));
        let output = tree.run(&["diff", "old", "--as-of", "2026-01-01", "--fail-on", "loosening"]);
        for said in [
            "risky       telling the upstream `x-user: claims.sub` is removed".to_owned(),
            format!(
                "loosening   listPets: callers send the header `{name}` themselves, which told the upstream their `claims.sub`  [policies/apis/pets/v1.yaml:7]"
            ),
        ] {
            assert!(output.out.contains(&said), "{said}\n{}", output.out);
        }
        assert!(!output.out.contains("passing on the header"), "{}", output.out);
        assert_eq!(output.code, 1);
    }
    // An operation that is new may do the same.
    let tree = tree();
    copy(&tree.path(""), &tree.folder.path().join("old"));
    tree.change("apis/pets/api.yaml", "x-user: claims.sub, ", "");
    tree.change(
        "apis/pets/v1.yaml",
        "  /pets/{petId}:\n",
        "  /more: { get: { operationId: more, parameters: [{ name: x-user, in: header }], responses: {} } }\n  /pets/{petId}:\n",
    );
    let out = tree.good(&["diff", "old", "--as-of", "2026-01-01"]);
    assert!(
        out.contains("loosening   more: callers send the header `x-user` themselves"),
        "{out}"
    );
    // The other way round it is the gateway's word again.
    let out = tree.good(&["diff", "policies", "old", "--as-of", "2026-01-01"]);
    assert!(!out.contains("themselves"), "{out}");
}

/// The tree, where `chat` asks for a scope and a condition.
fn asking() -> Tree {
    let tree = tree();
    tree.change(
        "models/chat.yaml",
        "owner: team-ai\n",
        "owner: team-ai\nauthorize:\n  - { scopes: [models:use], when: \"claims.department == 'stores' && request.country == 'DE'\" }\n",
    );
    tree
}

#[test]
fn what_a_model_asks_is_explained_and_shown() {
    let tree = asking();
    let body = "{\"model\": \"chat\", \"messages\": [{\"role\": \"user\", \"content\": \"hi\"}]}";
    let explain = |more: &[&str]| {
        let always = [
            "explain",
            "POST",
            "/v1/chat/completions",
            "--as",
            "app",
            "--json",
            body,
        ];
        tree.run(&[&always, more].concat()).out
    };
    let good = [
        "--scope",
        "models:use",
        "--claim",
        "department=stores",
        "--country",
        "DE",
    ];
    let out = explain(&good);
    for part in [
        "authorize  passed",
        "condition       claims.department == 'stores' && request.country == 'DE'",
        "scopes          models:use",
        "[policies/models/chat.yaml:4]",
    ] {
        assert!(out.contains(part), "{part}\n{out}");
    }
    for (more, refused) in [
        (&good[2..], "403 insufficient_scope"),
        (&good[..4], "403 condition_not_met"),
        (&[&good[..2], &good[4..]].concat()[..], "403 condition_not_met"),
    ] {
        let out = explain(more);
        for part in [
            "authorize  refused",
            refused,
            "[policies/models/chat.yaml:4]",
            "admit      -",
        ] {
            assert!(out.contains(part), "{more:?}: {part}\n{out}");
        }
    }
    let out = tree.good(&["show", "routes"]);
    let row = out
        .lines()
        .find(|line| line.contains("model chat"))
        .expect("a row");
    assert!(row.contains("models:use"), "{row}");
    let out = tree.good(&["show", "compliance"]);
    assert!(out.contains("claims.department == 'stores'"), "{out}");
}

#[test]
fn a_change_of_what_a_model_asks_has_its_weight() {
    for (from, to, said) in [
        (
            ", when: \"claims.department == 'stores' && request.country == 'DE'\"",
            "",
            "loosening   the condition `claims.department == 'stores' && request.country == 'DE'` is removed",
        ),
        (
            "scopes: [models:use]",
            "scopes: [chat, models:use]",
            "tightening  the scope `chat` is added",
        ),
        (
            "scopes: [models:use], ",
            "",
            "loosening   the scope `models:use` is removed",
        ),
        (
            "'stores'",
            "'hq'",
            "risky       the condition `claims.department == 'stores' && request.country == 'DE'` → \
             `claims.department == 'hq' && request.country == 'DE'`",
        ),
        (
            "== 'stores'",
            "==   'stores'",
            "old and policies have the same rules",
        ),
    ] {
        let tree = asking();
        copy(&tree.path(""), &tree.folder.path().join("old"));
        tree.change("models/chat.yaml", from, to);
        let out = tree.good(&["diff", "old", "--as-of", "2026-01-01"]);
        assert!(out.contains(said), "{said}\n{out}");
    }
}
