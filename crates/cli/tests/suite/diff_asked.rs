//! `turnpike diff`: who else is asked who may pass, decision points and the issuers of opaque tokens.

use crate::common::Tree;
use crate::diff::{changed, copy};

#[test]
fn what_decision_points_are_asked_is_compared() {
    let point = "decision_points:\n  relations:\n    kind: authzen\n    endpoint: https://pdp.acme.example/access/v1/evaluation\n    cache: 30s\nenvironments:";
    let relation = "authorize:\n  - { operations: [getPet], relation: { point: relations, subject: { kind: user, id: claims.sub }, action: read, resource: { kind: pet, id: request.params.petId } } }\n";
    let with = [
        (
            "gateway.yaml",
            "jwks: https://login.acme.example/jwks.json",
            "jwks: https://login.acme.example/jwks.json\n    claims: { sub: string }",
        ),
        ("gateway.yaml", "environments:", point),
        ("apis/pets/api.yaml", "authorize:\n", relation),
    ];
    let out = changed(&with).good(&["diff", "old"]);
    for part in [
        "decision point relations\n  safe        is new",
        "tightening  getPet: the relation `user claims.sub, read, pet request.params.petId` is asked for",
    ] {
        assert!(out.contains(part), "{part}\n{out}");
    }
    let out = changed(&with).good(&["diff", "policies", "old"]);
    assert!(out.contains("loosening   getPet: the relation"), "{out}");
    let tree = changed(&with);
    copy(&tree.path(""), &tree.folder.path().join("old"));
    tree.change("gateway.yaml", "cache: 30s", "cache: 60s");
    tree.change("gateway.yaml", "pdp.acme.example", "pdp2.acme.example");
    tree.change("apis/pets/api.yaml", "action: read", "action: view");
    let out = tree.good(&["diff", "old"]);
    for part in [
        "loosening   cache: 30s → 1m",
        // Another one may let in whom this one refuses.
        "loosening   endpoint: https://pdp.acme",
        "risky       getPet: the relation `user",
    ] {
        assert!(out.contains(part), "{part}\n{out}");
    }
}

#[test]
fn how_an_issuer_is_asked_about_tokens_is_compared() {
    let asked = "jwks: https://login.acme.example/jwks.json\n    introspection: { endpoint: https://login.acme.example/introspect, client_id: gateway, secret: ASKS, cache: 30s, rate: 20/s }";
    let with = [(
        "gateway.yaml",
        "jwks: https://login.acme.example/jwks.json",
        asked,
    )];
    let out = changed(&with).good(&["diff", "old"]);
    let added = "loosening   opaque tokens are asked about at https://login.acme.example/introspect";
    assert!(out.contains(added), "{out}");
    let out = changed(&with).good(&["diff", "policies", "old"]);
    assert!(
        out.contains("breaking    opaque tokens are not asked about any more"),
        "{out}"
    );
    let tree = changed(&with);
    copy(&tree.path(""), &tree.folder.path().join("old"));
    tree.change("gateway.yaml", "cache: 30s", "cache: 60s, prefix: acme_");
    tree.change("gateway.yaml", "acme.example/introspect", "acme.example/ask");
    tree.change("gateway.yaml", "rate: 20/s", "rate: 10/s");
    tree.change("gateway.yaml", "client_id: gateway", "client_id: other");
    let out = tree.good(&["diff", "old"]);
    for part in [
        "loosening   introspection cache: 30s → 1m",
        "breaking    opaque tokens: all → those with `acme_`",
        "loosening   introspection endpoint: https://login.acme.example/introspect → https://login.acme.example/ask",
        "risky       introspection rate: 20/s",
        "risky       introspection as: gateway with ASKS by HTTP Basic → other with ASKS by HTTP Basic",
    ] {
        assert!(out.contains(part), "{part}\n{out}");
    }
}

/// Which opaque tokens an issuer is asked about: fewer are refused, more may open something.
#[test]
fn more_and_fewer_opaque_tokens_are_told_apart() {
    let asked = |prefix: &str| {
        let tree = Tree::new();
        let asked = format!(
            "jwks: https://login.acme.example/jwks.json\n    introspection: {{ endpoint: https://login.acme.example/introspect, client_id: gateway, secret: ASKS{prefix} }}"
        );
        tree.change(
            "gateway.yaml",
            "jwks: https://login.acme.example/jwks.json",
            &asked,
        );
        tree
    };
    let (breaking, loosening) = ("breaking    opaque tokens: ", "loosening   opaque tokens: ");
    for (was, is, breaks, loosens) in [
        ("", ", prefix: acme_", true, false),
        (", prefix: acme_", "", false, true),
        (", prefix: acme_x_", ", prefix: acme_", false, true),
        (", prefix: acme_", ", prefix: other_", true, true),
    ] {
        let tree = asked(is);
        copy(&asked(was).path(""), &tree.folder.path().join("old"));
        let out = tree.good(&["diff", "old"]);
        assert_eq!(
            (out.contains(breaking), out.contains(loosening)),
            (breaks, loosens),
            "{out}"
        );
    }
}
