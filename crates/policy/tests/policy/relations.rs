//! Decision points, and what operations ask them.

use turnpike_policy::{DecisionPoint, Entity, Operand, PointKind};

use crate::common::{Files, base, build, lines};

const POINT: &str =
    "decision_points:\n  zen: { kind: authzen, endpoint: https://point.example/eval, secret: POINT }\n";
const RELATION: &str = "{ point: zen, subject: { kind: user, id: claims.email }, action: read, resource: { kind: tenant, id: claims.email } }";

/// A tree with these points, and this relation for all operations of an API.
fn tree(points: &str, relation: &str) -> Files {
    let mut files = base();
    let gateway = files["gateway.yaml"].replace(
        "    jwks: https://login.acme.example/jwks\n",
        "    jwks: https://login.acme.example/jwks\n    claims: { email: string, level: number }\n",
    ) + points;
    files.insert("gateway.yaml".to_owned(), gateway);
    let item = format!("  - {{ operations: all, relation: {relation} }}\n");
    let api = files["apis/pets/api.yaml"].clone();
    let api = match api.split_once("authorize:\n") {
        Some((before, after)) => format!("{before}authorize:\n{item}{after}"),
        None => format!("{api}authorize:\n{item}"),
    };
    files.insert("apis/pets/api.yaml".to_owned(), api);
    files
}

#[test]
fn a_relation_is_compiled_with_its_point() {
    let outcome = build(&tree(POINT, RELATION), "production");
    assert_eq!(lines(&outcome), Vec::<String>::new());
    let compiled = outcome.compiled.unwrap();
    assert_eq!(
        compiled.points,
        [DecisionPoint {
            name: "zen".to_owned(),
            kind: PointKind::AuthZen,
            endpoint: "https://point.example/eval".to_owned(),
            secret: Some("POINT".to_owned()),
            timeout: 1_000,
            allowed_for: 30_000,
            denied_for: 5_000,
            origin: compiled.points[0].origin.clone(),
        }]
    );
    assert!(compiled.secrets.contains(&"POINT".to_owned()));
    let email = vec!["email".to_owned()];
    assert!(compiled.claims.iter().any(|claim| claim.path == email));
    for operation in &compiled.operations {
        let relation = operation.relation.as_ref().unwrap();
        assert_eq!((relation.point, relation.action.as_str()), (0, "read"));
        let subject = Entity {
            kind: "user".to_owned(),
            id: Operand::Claim(email.clone()),
        };
        assert_eq!(relation.subject, subject);
    }
}

#[test]
fn what_is_wrong_is_said_once() {
    let with = |more: &str| POINT.replace("secret: POINT", more);
    let asks = |id: &str| RELATION.replacen("claims.email", id, 1);
    for (points, relation, said) in [
        (
            String::new(),
            RELATION.to_owned(),
            "there is no decision point `zen`",
        ),
        (
            POINT.to_owned(),
            RELATION.replace("zen", "zne"),
            "there is no decision point `zne`",
        ),
        (
            with("model: m"),
            RELATION.to_owned(),
            "AuthZEN has no authorization models",
        ),
        (with("timeout: 6s"), RELATION.to_owned(), "expected 10ms to 5s"),
        (with("cache: 6m"), RELATION.to_owned(), "expected at most 5m"),
        (
            with("cache: 1s"),
            RELATION.to_owned(),
            "a no is remembered for longer than a yes",
        ),
        (with("on_error: open"), RELATION.to_owned(), "closed"),
        (
            POINT.replace("https:", "http:"),
            RELATION.to_owned(),
            "an answer that comes without TLS proves nothing",
        ),
        (POINT.to_owned(), asks("claims.level"), "P"),
        (
            POINT.to_owned(),
            asks("claims.emial"),
            "no issuer declares `claims.emial`",
        ),
        (
            POINT.to_owned(),
            asks("request.params.nothing"),
            "has no parameter `nothing`",
        ),
        (
            POINT.to_owned(),
            asks("request.method"),
            "expected a claim such as",
        ),
        (POINT.to_owned(), asks("\"'admin'\""), "expected a claim such as"),
        (
            POINT.to_owned(),
            asks("\"claims.email == 'a' || claims.email\""),
            "expected a claim such as",
        ),
    ] {
        let found = lines(&build(&tree(&points, &relation), "production"));
        let errors: Vec<_> = found.iter().filter(|line| line.contains("error")).collect();
        assert!(
            errors.len() == 1 && errors[0].contains(said),
            "{points}{relation}: {found:#?}"
        );
    }
}

#[test]
fn an_operation_asks_one_point() {
    let mut files = tree(POINT, RELATION);
    let item = format!("  - {{ operations: all, relation: {RELATION} }}\n");
    let api = files["apis/pets/api.yaml"].replace(&item, &item.repeat(2));
    files.insert("apis/pets/api.yaml".to_owned(), api);
    let found = lines(&build(&files, "production"));
    assert!(
        found.iter().any(|line| line.contains("asks for two relations")),
        "{found:#?}"
    );
}
