//! `claims.sub` where consumers of two issuers may call (P1326).

use super::cases::{API, APP, GATE, clean};
use crate::common::{build_with_rules as build, lines};

const BATCH: &str = "  batch:\n    issuer: https://batch.test/\n    audience: [acme]\n    algorithms: [EdDSA]\n    max_lifetime: 1h\n    jwks: https://batch.test/jwks\nenvironments:";
const BOTH: (&str, &str, &str) = (
    APP,
    "is: app }\n",
    "is: app }\n  - jwt: { issuer: batch, is: app }\n",
);
const ITEM: &str = "{ operations: [addPet], scopes: [pets:write] }";
const TOLD: (&str, &str, &str) = (
    API,
    "authorize:",
    "upstream_headers: { x-user: claims.sub }\nauthorize:",
);

/// What is said of subjects in a tree with two issuers.
fn says(changes: &[(&str, &str, &str)]) -> Vec<String> {
    let mut files = clean();
    for (path, old, new) in [(GATE, "environments:", BATCH)].iter().chain(changes) {
        let text = files.entry((*path).to_owned()).or_default();
        assert!(text.contains(old), "{path} does not hold {old:?}");
        *text = text.replacen(old, new, 1);
    }
    let outcome = build(&files, "dev");
    assert!(outcome.bundle.is_some(), "{:#?}", lines(&outcome));
    let said = lines(&outcome).into_iter();
    said.filter(|line| line.contains("P1326")).collect()
}

/// The same, of one consumer with both issuers and these items of `authorize`.
fn asks(items: &str) -> Vec<String> {
    says(&[BOTH, (API, ITEM, items)])
}

#[test]
fn a_subject_is_told_from_that_of_another_issuer() {
    let found = says(&[BOTH, TOLD]);
    assert_eq!(
        found,
        [
            "apis/pets/api.yaml:12:29: warning[P1326]: `claims.sub` may be one person in tokens of `acme` and another in those of `batch`, and both may call `addPet`"
        ]
    );
    let alone = "{ operations: [addPet], when: claims.sub == 'a' }";
    assert_eq!(asks(alone).len(), 1);
    let issuer = "claims.iss == 'https://batch.test/'";
    for items in [
        format!("{{ operations: [addPet], when: \"claims.sub == 'a' && {issuer}\" }}"),
        format!("{alone}, {{ operations: [addPet], when: {issuer} }}"),
        format!("{{ operations: all, when: {issuer} }}, {alone}"),
    ] {
        assert_eq!(asks(&items), [""; 0], "{items}");
    }
    // Of another operation that says nothing.
    let other = format!("{alone}, {{ operations: [listPets], when: {issuer} }}");
    assert_eq!(asks(&other).len(), 1);
    let all = format!("{{ operations: all, when: {issuer} }}");
    assert_eq!(says(&[BOTH, TOLD, (API, ITEM, all.as_str())]), [""; 0]);
    let issuer = (
        API,
        "x-user: claims.sub",
        "x-user: claims.sub, x-issuer: claims.iss",
    );
    assert_eq!(says(&[BOTH, TOLD, issuer]), [""; 0]);
}

#[test]
fn a_decision_point_is_asked_about_somebody() {
    let point = (
        GATE,
        "environments:",
        "decision_points: { fga: { kind: openfga, endpoint: https://fga.test/check } }\nenvironments:",
    );
    let relation = "relation: { point: fga, subject: { kind: user, id: claims.sub }, action: a, resource: { kind: desk, id: claims.sub } }";
    let alone = format!("{{ operations: [addPet], {relation} }}");
    let found = says(&[BOTH, point, (API, ITEM, alone.as_str())]);
    assert_eq!(found.len(), 2, "{found:#?}");
    let beside = format!("{{ operations: [addPet], when: \"claims.iss in ['a', 'b']\", {relation} }}");
    assert_eq!(says(&[BOTH, point, (API, ITEM, beside.as_str())]), [""; 0]);
}

#[test]
fn it_is_said_only_where_consumers_of_two_issuers_may_call() {
    let other = |may: &str| {
        let file = format!(
            "\n{{ consumer: other, owner: team, plan: gold, credentials: [{{ jwt: {{ issuer: batch, is: other }} }}], may: [{may}] }}\n"
        );
        says(&[("consumers/other.yaml", "", file.as_str()), TOLD])
    };
    assert_eq!(other("{ models: [chat] }"), [""; 0]);
    let found = other("{ api: pets, operations: [addPet] }");
    assert!(
        found.len() == 1 && found[0].ends_with("may call `addPet`"),
        "{found:#?}"
    );
    // Tokens of one issuer name everybody once.
    assert_eq!(says(&[TOLD]), [""; 0]);
    // What the development issuer signs is made up anyway.
    let development = [
        BOTH,
        TOLD,
        (GATE, "jwks: https://batch.test/jwks", "jwks: development"),
        (GATE, "https://batch.test/", "https://development.test/"),
        (
            GATE,
            "{ mocks: allowed }",
            "{ mocks: allowed, development_issuer: allowed }",
        ),
    ];
    assert_eq!(says(&development), [""; 0]);
}
