//! What models ask of their callers beside a grant: what compiles, and what is said of the rest.

use crate::common::{Files, base, build, lines};

/// A tree whose issuer declares claims, with this in its model.
fn tree(model: &str) -> Files {
    let mut files = base();
    let gateway = files["gateway.yaml"].replace(
        "    jwks: https://login.acme.example/jwks\n",
        "    jwks: https://login.acme.example/jwks\n    claims: { department: string, level: number }\n",
    );
    files.insert("gateway.yaml".to_owned(), gateway);
    let text = files["models/chat.yaml"].clone() + model;
    files.insert("models/chat.yaml".to_owned(), text);
    files
}

#[test]
fn a_model_asks_for_scopes_and_conditions() {
    let outcome = build(
        &tree(
            "authorize:\n  - { scopes: [models:use, chat], when: claims.level > 2 }\n  - scopes: [chat]\n    when: \"claims.department == 'research' && !(request.country in ['KP'])\"\n  - when: claims  . level>2.0\n",
        ),
        "dev",
    );
    assert_eq!(lines(&outcome), Vec::<String>::new());
    let compiled = outcome.compiled.unwrap();
    let model = &compiled.models[0];
    assert_eq!(model.scopes, ["chat", "models:use"]);
    assert_eq!(model.scopes_origin, "policies/models/chat.yaml:7");
    let shown: Vec<_> = model
        .rules
        .iter()
        .map(|rule| (rule.when.to_string(), rule.origin.as_str()))
        .collect();
    // What is written twice in two ways holds once.
    assert_eq!(
        shown,
        [
            (
                "claims.department == 'research' && !(request.country in ['KP'])".to_owned(),
                "policies/models/chat.yaml:7"
            ),
            ("claims.level > 2".to_owned(), "policies/models/chat.yaml:6"),
        ]
    );
    assert!(compiled.country, "the country must be known");
    let kept: Vec<_> = compiled.claims.iter().map(|claim| claim.path.join(".")).collect();
    assert_eq!(kept, ["department", "level"]);
}

#[test]
fn where_it_is_written_changes_no_hash_and_what_is_written_does() {
    let hash = |model: &str| build(&tree(model), "dev").bundle.expect("builds").1;
    let first = hash("authorize:\n  - { scopes: [chat], when: claims.level > 2 }\n");
    let second = hash("# A comment.\n\nauthorize:\n  - when: \"claims['level'] > 2\"\n  - scopes: [chat]\n");
    assert_eq!(first, second);
    assert_ne!(first, hash("authorize:\n  - { scopes: [chat] }\n"));
    assert_ne!(
        first,
        hash("authorize:\n  - { scopes: [chat], when: claims.level > 3 }\n")
    );
}

/// An item of `authorize`, and the one line that is said of it.
const WRONG: &[(&str, &str)] = &[
    ("{}", "6:5: error[P0202]: this asks for nothing"),
    ("{ scopes: [] }", "6:15: error[P0208]: no scope is asked for"),
    (
        "{ when: claims.lvel > 2 }",
        "6:13: error[P0301]: no issuer declares `claims.lvel`",
    ),
    (
        "{ when: claims.level == 'a' }",
        "6:13: error[P0221]: claims.level is a number, and 'a' is a text",
    ),
    (
        "{ when: \"claims.level > 2 && request.method == 'POST'\" }",
        "6:42: error[P0301]: a model is called without a method that could differ",
    ),
    (
        "{ when: claims.sub == request.params.user }",
        "6:35: error[P0301]: a model is called without a parameter of its path",
    ),
    (
        "{ when: request.hour < 24 }",
        "6:28: error[P0221]: request.hour is never `24`",
    ),
    (
        "{ operations: all, when: claims.level > 2 }",
        "6:7: error[P0201]: ",
    ),
    (
        "{ relation: { at: a, subject: { type: user, id: claims.sub }, action: a, resource: { type: model, id: claims.sub } } }",
        "6:7: error[P0901]: `relation` is not built yet",
    ),
];

#[test]
fn what_is_wrong_is_said_where_it_stands() {
    for (item, expected) in WRONG {
        let found = lines(&build(&tree(&format!("authorize:\n  - {item}\n")), "dev"));
        assert_eq!(found.len(), 1, "{item}: {found:#?}");
        assert!(
            found[0].starts_with(&format!("models/chat.yaml:{expected}")),
            "{item}: {found:#?}"
        );
    }
    let many: String = (0..17)
        .map(|level| format!("  - when: claims.level > {level}\n"))
        .collect();
    let found = lines(&build(&tree(&format!("authorize:\n{many}")), "dev"));
    assert_eq!(found.len(), 1, "{found:#?}");
    assert!(
        found[0].contains("`chat` has more than 16 conditions"),
        "{found:#?}"
    );
}

#[test]
fn a_template_asks_and_a_model_can_only_add() {
    let with = |model: &str| {
        let mut files = tree(&format!("template: careful\nwith: {{ team: research }}\n{model}"));
        let template = "template: careful\nparameters: { team: { type: word } }\nmodel:\n  authorize: [{ scopes: [chat], when: \"claims.department == '${team}'\" }]\n";
        files.insert("templates/careful.yaml".to_owned(), template.to_owned());
        build(&files, "dev")
    };
    for own in [
        "",
        "authorize: []\n",
        "authorize: [{ when: claims.level > 2 }]\n",
        "authorize: [{ scopes: [other] }]\n",
    ] {
        let outcome = with(own);
        assert_eq!(lines(&outcome), Vec::<String>::new(), "{own}");
        let model = &outcome.compiled.unwrap().models[0];
        assert!(model.scopes.contains(&"chat".to_owned()), "{own}");
        let above = model
            .rules
            .iter()
            .find(|rule| rule.origin.contains("templates/careful"));
        assert_eq!(
            above.map(|rule| rule.when.to_string()).as_deref(),
            Some("claims.department == 'research'"),
            "{own}"
        );
    }
    let added = with("authorize: [{ when: claims.level > 2 }]\n")
        .compiled
        .unwrap();
    assert_eq!(added.models[0].rules.len(), 2);
}
