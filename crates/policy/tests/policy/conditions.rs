//! Conditions on callers, and claims that become headers: what compiles, and what is said of the rest.

use turnpike_policy::{Claim, ClaimKind};

use crate::common::{Files, base, build, lines};

const CLAIMS: &str = "{ department: string, level: number, email_verified: boolean, \
    realm_access: { roles: list of strings }, 'https://acme.example/role': string }";

/// A tree with claims of this kind, an operation with a parameter, and this in the API.
fn tree(claims: &str, api: &str) -> Files {
    let mut files = base();
    let gateway = files["gateway.yaml"].replace(
        "    jwks: https://login.acme.example/jwks\n",
        &format!("    jwks: https://login.acme.example/jwks\n    claims: {claims}\n"),
    );
    files.insert("gateway.yaml".to_owned(), gateway);
    let document = files["apis/pets/v1.yaml"].clone()
        + "  /list/{petId}:\n    parameters:\n      - { name: petId, in: path, required: true, schema: { type: string } }\n    get:\n      operationId: getPet\n      responses: { '200': { description: ok } }\n";
    files.insert("apis/pets/v1.yaml".to_owned(), document);
    let text = files["apis/pets/api.yaml"].clone() + api;
    files.insert("apis/pets/api.yaml".to_owned(), text);
    files
}

fn when(condition: &str) -> String {
    format!("authorize:\n  - operations: [getPet]\n    when: {condition}\n")
}

#[test]
fn conditions_are_compiled_and_name_the_claims_that_are_kept() {
    let api = "authorize:\n  - { operations: all, scopes: [pets:read], when: \"claims.department == 'stores'\" }\n  - operations: [getPet]\n    when: >-\n      request.params.petId.startsWith('p')\n      && ('admin' in claims.realm_access.roles || claims['https://acme.example/role'] == 'vet')\n  - { operations: [getPet], when: \"claims . department=='stores'\" }\nlimits: [{ rate: 1/s, subject: { claim: tenant } }]\nupstream_headers: { x-user: claims.sub, x-level: claims.level }\n";
    let outcome = build(&tree(CLAIMS, api), "dev");
    assert_eq!(lines(&outcome), Vec::<String>::new());
    let compiled = outcome.compiled.unwrap();
    let get = compiled
        .operations
        .iter()
        .find(|operation| operation.id == "getPet")
        .unwrap();
    let shown: Vec<_> = get
        .rules
        .iter()
        .map(|rule| (rule.when.to_string(), rule.origin.as_str()))
        .collect();
    // What is written twice in two ways holds once.
    assert_eq!(
        shown,
        [
            (
                "claims.department == 'stores'".to_owned(),
                "policies/apis/pets/api.yaml:11"
            ),
            (
                "request.params.petId.startsWith('p') && ('admin' in claims.realm_access.roles || \
                 claims['https://acme.example/role'] == 'vet')"
                    .to_owned(),
                "policies/apis/pets/api.yaml:12"
            ),
        ]
    );
    let list = compiled
        .operations
        .iter()
        .find(|operation| operation.id == "listPets")
        .unwrap();
    assert_eq!(list.rules.len(), 1);
    assert_eq!(list.scopes, ["pets:read"]);
    let claim = |path: &[&str], kind, issuers: &[u32]| Claim {
        path: path.iter().map(|step| (*step).to_owned()).collect(),
        kind,
        issuers: issuers.to_vec(),
    };
    assert_eq!(
        compiled.claims,
        [
            claim(&["department"], Some(ClaimKind::Text), &[0]),
            claim(&["https://acme.example/role"], Some(ClaimKind::Text), &[0]),
            claim(&["level"], Some(ClaimKind::Number), &[0]),
            claim(&["realm_access", "roles"], Some(ClaimKind::Texts), &[0]),
            claim(&["sub"], Some(ClaimKind::Text), &[0]),
            claim(&["tenant"], None, &[]),
        ]
    );
    let told: Vec<_> = compiled.apis[0]
        .upstream_headers
        .iter()
        .map(|told| told.header.as_str())
        .collect();
    assert_eq!(told, ["x-level", "x-user"]);
    assert!(!compiled.country);
}

#[test]
fn the_country_is_asked_for_only_where_a_condition_needs_it() {
    let outcome = build(
        &tree(CLAIMS, &when("\"!(request.country in ['KP', 'T1'])\"")),
        "dev",
    );
    assert_eq!(lines(&outcome), Vec::<String>::new());
    assert!(outcome.compiled.unwrap().country);
}

#[test]
fn the_order_of_conditions_and_their_spelling_change_no_hash() {
    let hash = |api: &str| build(&tree(CLAIMS, api), "dev").bundle.expect("builds").1;
    let first = hash(
        "authorize:\n  - { operations: all, when: claims.level > 3 }\n  - { operations: all, when: claims.email_verified }\n",
    );
    let second = hash(
        "authorize:\n  # A comment.\n  - { when: (claims.email_verified), operations: all }\n  - { operations: all, when: \"claims['level']>3.0\" }\n",
    );
    assert_eq!(first, second);
    let third = hash(
        "authorize:\n  - { operations: all, when: claims.level >= 3 }\n  - { operations: all, when: claims.email_verified }\n",
    );
    assert_ne!(first, third);
}

/// A condition, and the one line that is said of it: its column is inside the text.
const WRONG: &[(&str, &str)] = &[
    (
        "claims.departmnet == 'stores'",
        "12:11: error[P0301]: no issuer declares `claims.departmnet`",
    ),
    (
        "\"claims.department == 'a' && claims.nobody\"",
        "12:40: error[P0301]: no issuer declares `claims.nobody`",
    ),
    (
        "claims.realm_access == 'a'",
        "12:11: error[P0301]: no issuer declares `claims.realm_access`",
    ),
    (
        "claims.level == 'a'",
        "12:11: error[P0221]: claims.level is a number, and 'a' is a text",
    ),
    (
        "\"claims.level > 1 && claims.department < 2\"",
        "12:32: error[P0221]: claims.department is a text",
    ),
    (
        "claims.level",
        "12:11: error[P0221]: claims.level is no condition, it is a number",
    ),
    (
        "claims.realm_access.roles == 'admin'",
        "12:11: error[P0221]: claims.realm_access.roles is a list of texts, and is compared with nothing",
    ),
    (
        "\"3 in claims.realm_access.roles\"",
        "12:12: error[P0221]: 3 is a number, and never in a list of texts",
    ),
    (
        "claims.level.startsWith('1')",
        "12:11: error[P0221]: only a claim or a fact that is a text begins with something, not a number",
    ),
    (
        "\"claims.level > 1 && request.params.id == 'a'\"",
        "12:40: error[P0301]: the path of `getPet` has no parameter `id`",
    ),
    (
        "\"claims.level > 1 && request.country == 'Germany'\"",
        "12:51: error[P0221]: request.country is never `Germany`",
    ),
    (
        "claims.level => 3",
        "12:24: error[P0220]: `=` has no meaning here",
    ),
    ("''", "12:11: error[P0220]: expected a claim, a fact or a value"),
    ("[a]", "12:11: error[P0203]: expected a condition such as"),
];

#[test]
fn what_is_wrong_in_a_condition_is_said_where_it_stands() {
    for (condition, expected) in WRONG {
        let outcome = build(&tree(CLAIMS, &when(condition)), "dev");
        let found = lines(&outcome);
        let expected = format!("apis/pets/api.yaml:{expected}");
        assert_eq!(found.len(), 1, "{condition}: {found:#?}");
        assert!(found[0].starts_with(&expected), "{condition}: {found:#?}");
        assert!(outcome.diagnostics[0].help.is_some(), "{condition}");
    }
    let help = |condition: &str| {
        let outcome = build(&tree(CLAIMS, &when(condition)), "dev");
        outcome.diagnostics[0].help.clone().unwrap_or_default()
    };
    assert_eq!(
        help("claims.departmnet == 'a'"),
        "did you mean `claims.department`?"
    );
    assert_eq!(help("\"request.params.pet == 'a'\""), "did you mean `petId`?");
    assert_eq!(help("request.method == 'get'"), "did you mean `GET`?");
    assert_eq!(help("claim.level > 3"), "did you mean `claims`?");
    assert_eq!(
        help("\"!claims.email_verified == true\""),
        "two values are compared at a time; what is negated stands in parentheses: `!(a == b)`"
    );
}

#[test]
fn items_that_ask_for_nothing_and_more_conditions_than_fit_are_refused() {
    let found = lines(&build(&tree(CLAIMS, "authorize: [{ operations: all }]\n"), "dev"));
    assert_eq!(
        found,
        ["apis/pets/api.yaml:10:13: error[P0202]: this asks for nothing"]
    );
    let items: String = (0..17)
        .map(|at| format!("  - {{ operations: all, when: claims.level > {at} }}\n"))
        .collect();
    let found = lines(&build(&tree(CLAIMS, &format!("authorize:\n{items}")), "dev"));
    assert!(found[0].contains("more than 16 conditions"), "{found:#?}");
    let claims: String = (0..17).map(|at| format!("c{at}: boolean, ")).collect();
    let all: Vec<String> = (0..17).map(|at| format!("claims.c{at}")).collect();
    let found = lines(&build(
        &tree(
            &format!("{{ {claims} }}"),
            &when(&format!("\"{}\"", all.join(" || "))),
        ),
        "dev",
    ));
    assert!(
        found[0].contains("error[P0206]: the tree looks at 17 claims, more than 16"),
        "{found:#?}"
    );
}

#[test]
fn what_issuers_declare_is_checked() {
    for (claims, expected) in [
        ("{ level: integer }", "gateway.yaml:8:22: error[P0204]"),
        (
            "{ exp: number }",
            "gateway.yaml:8:15: error[P0210]: the gateway checks `exp` by itself",
        ),
        (
            "{ sub: number }",
            "gateway.yaml:8:15: error[P0210]: `claims.sub` is declared as a string already",
        ),
        (
            "{ a: { b: { c: { d: { e: string } } } } }",
            "gateway.yaml:8:33: error[P0104]",
        ),
        ("[department]", "gateway.yaml:8:13: error[P0203]"),
        ("{ '': string }", "gateway.yaml:8:15: error[P0219]"),
    ] {
        let found = lines(&build(&tree(claims, ""), "dev"));
        assert_eq!(found.len(), 1, "{claims}: {found:#?}");
        assert!(found[0].starts_with(expected), "{claims}: {found:#?}");
    }
    // Two issuers that mean different things by one name.
    let mut files = tree("{ level: number }", "");
    let gateway = files["gateway.yaml"].replace(
        "issuers:\n",
        "issuers:\n  batch:\n    { issuer: batch, audience: [a], algorithms: [HS256], secret: BATCH_KEY, claims: { level: string } }\n",
    );
    files.insert("gateway.yaml".to_owned(), gateway);
    let found = lines(&build(&files, "dev"));
    assert_eq!(found.len(), 1, "{found:#?}");
    assert!(
        found[0].contains("error[P0210]: `claims.level` is declared as a string already"),
        "{found:#?}"
    );
}

#[test]
fn a_template_asks_and_an_api_can_only_add() {
    let api = "template: standard\nwith: { team: stores }\nauthorize: [{ operations: all, when: claims.level > 3 }]\n";
    let mut files = tree(CLAIMS, api);
    let template = "template: standard\nparameters: { team: { type: word } }\napi:\n  authorize: [{ operations: all, when: \"claims.department == '${team}'\" }]\n";
    files.insert("templates/standard.yaml".to_owned(), template.to_owned());
    let outcome = build(&files, "dev");
    assert_eq!(lines(&outcome), Vec::<String>::new());
    for operation in &outcome.compiled.unwrap().operations {
        let rules: Vec<_> = operation.rules.iter().map(|rule| rule.when.to_string()).collect();
        assert_eq!(rules, ["claims.department == 'stores'", "claims.level > 3"]);
        assert_eq!(operation.rules[0].origin, "policies/templates/standard.yaml:4");
    }
    // A value is a text in quotes or a number, whatever it holds: who gives it cannot widen what it is for.
    for value in [
        "x'||claims.sub!='",
        "x'||claims.email_verified||claims.department=='",
        "x\\",
        "x'",
    ] {
        let mut files = files.clone();
        let text =
            files["apis/pets/api.yaml"].replace("stores", &format!("\"{}\"", value.replace('\\', "\\\\")));
        files.insert("apis/pets/api.yaml".to_owned(), text);
        let found = lines(&build(&files, "dev"));
        assert_eq!(found.len(), 1, "{value}: {found:#?}");
        assert!(
            found[0].contains("error[P0220]: a value becomes a part of this condition"),
            "{found:#?}"
        );
    }
    let template = "template: standard\nparameters: { team: { type: word } }\napi:\n  authorize: [{ operations: all, when: \"claims.${team} == 'a'\" }]\n";
    files.insert("templates/standard.yaml".to_owned(), template.to_owned());
    let found = lines(&build(&files, "dev"));
    assert!(
        found[0].contains("error[P0220]: a value becomes a part of this condition"),
        "{found:#?}"
    );
    let template = "template: standard\nparameters: { team: { type: word }, level: { type: number, default: 3 } }\napi:\n  authorize: [{ operations: all, when: \"claims.level > ${level} && claims.department == '${team}'\" }]\n";
    files.insert("templates/standard.yaml".to_owned(), template.to_owned());
    assert_eq!(lines(&build(&files, "dev")), Vec::<String>::new());
}

/// What is written under `upstream_headers`, and what is said of it.
const HEADERS: &[(&str, &str)] = &[
    (
        "{ x-user: claims.nobody }",
        "10:29: error[P0301]: no issuer declares `claims.nobody`",
    ),
    (
        "{ x-user: sub }",
        "10:29: error[P0301]: there is nothing called `sub`",
    ),
    (
        "{ x-user: claims.level > 3 }",
        "10:29: error[P0220]: one claim is meant here",
    ),
    (
        "{ authorization: claims.sub }",
        "10:21: error[P0214]: `authorization` cannot tell a claim: it carries a credential",
    ),
    ("{ cookie: claims.sub }", "10:21: error[P0214]"),
    ("{ host: claims.sub }", "10:21: error[P0214]"),
    ("{ connection: claims.sub }", "10:21: error[P0214]"),
    ("{ transfer_encoding: claims.sub }", "10:21: error[P0214]"),
    ("{ x-forwarded-user: claims.sub }", "10:21: error[P0214]"),
    ("{ forwarded: claims.sub }", "10:21: error[P0214]"),
    ("{ content-language: claims.sub }", "10:21: error[P0214]"),
    ("{ x-request-id: claims.sub }", "10:21: error[P0214]"),
    ("{ cf-user: claims.sub }", "10:21: error[P0214]"),
    ("{ X-User: claims.sub }", "10:21: error[P0207]"),
    (
        "{ x-user: claims.sub, x_user: claims.iss }",
        "10:41: error[P0209]: some upstreams take `x_user` for `x-user`",
    ),
    (
        "{ x-mine: claims.sub }",
        "10:21: error[P0210]: a client could send `x-mine` itself",
    ),
    (
        "{ x_mine: claims.sub }",
        "10:21: error[P0210]: a client could send `x_mine` itself",
    ),
];

#[test]
fn headers_that_tell_a_claim_are_the_gateways_alone() {
    for (headers, expected) in HEADERS {
        let mut files = tree(CLAIMS, &format!("upstream_headers: {headers}\n"));
        let gateway = files["gateway.yaml"].clone() + "floor: { forward_headers: [accept, x-mine] }\n";
        files.insert("gateway.yaml".to_owned(), gateway);
        let found = lines(&build(&files, "dev"));
        assert_eq!(found.len(), 1, "{headers}: {found:#?}");
        assert!(
            found[0].starts_with(&format!("apis/pets/api.yaml:{expected}")),
            "{headers}: {found:#?}"
        );
    }
    // A document that lets a client send it, in whatever spelling.
    for name in ["X-User", "x_user"] {
        let mut files = tree(CLAIMS, "upstream_headers: { x-user: claims.sub }\n");
        let document = files["apis/pets/v1.yaml"].replace(
            "      operationId: listPets\n",
            &format!("      operationId: listPets\n      parameters: [{{ name: {name}, in: header, schema: {{ type: string }} }}]\n"),
        );
        files.insert("apis/pets/v1.yaml".to_owned(), document);
        let found = lines(&build(&files, "dev"));
        assert_eq!(found.len(), 1, "{name}: {found:#?}");
        assert!(
            found[0].contains("error[P0401]: the gateway itself tells the header"),
            "{found:#?}"
        );
    }
    // A header that carries the gateway's own credential, and an API that is open to everybody.
    let api = "    upstream_credential: { header: x-key, secret: PETS_TOKEN }\nupstream_headers: { x_key: claims.sub }\n";
    let found = lines(&build(&tree(CLAIMS, api), "dev"));
    assert!(
        found[0].contains("it carries the gateway's credential"),
        "{found:#?}"
    );
    let api = "authentication: none\nlimits: [{ rate: 1/s }]\nupstream_headers: { x-user: claims.sub }\n";
    let mut files = tree(CLAIMS, api);
    let gateway = files["gateway.yaml"].clone()
        + "exceptions: [{ rule: authentication, for: apis/pets, reason: r, until: 2099-01-01 }]\n";
    files.insert("gateway.yaml".to_owned(), gateway);
    let found = lines(&build(&files, "dev"));
    assert!(
        found
            .iter()
            .any(|line| line.contains("nothing is known of the callers of an open API")),
        "{found:#?}"
    );
}
