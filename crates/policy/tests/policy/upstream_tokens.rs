//! Tokens that the gateway signs for upstreams, and tokens that it is granted for them.

use turnpike_policy::{Algorithm, CredentialValue, GrantedToken, Handler, RepeatedClaim, Signing};

use crate::common::{Files, base, build, lines};

const SIGNING: &str = "signing: { issuer: https://api.example, key: SIGNING_KEY }\n";

/// A tree with this in `gateway.yaml`, and this credential of the upstream.
fn tree(signing: &str, credential: &str) -> Files {
    let mut files = base();
    let gateway = files["gateway.yaml"].replace(
        "    jwks: https://login.acme.example/jwks\n",
        "    jwks: https://login.acme.example/jwks\n    claims: { email: string }\n",
    ) + signing;
    files.insert("gateway.yaml".to_owned(), gateway);
    let api = files["apis/pets/api.yaml"].clone() + &format!("    upstream_credential: {credential}\n");
    files.insert("apis/pets/api.yaml".to_owned(), api);
    files
}

/// What the upstream is sent.
fn sent(files: &Files) -> (String, String, CredentialValue) {
    let outcome = build(files, "production");
    assert_eq!(lines(&outcome), Vec::<String>::new());
    let compiled = outcome.compiled.unwrap();
    let operation = compiled.operations.iter().next().unwrap();
    match &operation.handler {
        Handler::Proxy {
            credential: Some(sent),
            ..
        } => (sent.header.clone(), sent.prefix.clone(), sent.value.clone()),
        other => panic!("{other:?}"),
    }
}

#[test]
fn a_signed_token_is_compiled_with_what_signs_it() {
    let signing = "signing: { issuer: https://api.example/, algorithm: EdDSA, key: NEW_KEY, published: [OLD_KEY, NEXT_KEY] }\n";
    let signed = "{ header: x-gateway-token, signed: { audience: pets, claims: { mail: claims.email, a: claims.sub } } }";
    let files = tree(signing, signed);
    let (header, prefix, value) = sent(&files);
    assert_eq!((header.as_str(), prefix.as_str()), ("x-gateway-token", ""));
    let CredentialValue::Signed(token) = value else {
        panic!("{value:?}")
    };
    assert_eq!((token.audience.as_str(), token.lifetime), ("pets", 60_000));
    let repeated = |name: &str, claim: &str| RepeatedClaim {
        name: name.to_owned(),
        claim: vec![claim.to_owned()],
    };
    assert_eq!(token.claims, [repeated("a", "sub"), repeated("mail", "email")]);
    let compiled = build(&files, "production").compiled.unwrap();
    assert_eq!(
        compiled.gateway.signing,
        Some(Signing {
            issuer: "https://api.example".to_owned(),
            algorithm: Algorithm::EdDSA,
            key: "NEW_KEY".to_owned(),
            published: vec!["NEXT_KEY".to_owned(), "OLD_KEY".to_owned()],
        })
    );
    assert_eq!(compiled.secrets, ["NEW_KEY", "NEXT_KEY", "OLD_KEY", "OPENAI_KEY"]);
    let kept: Vec<_> = compiled.claims.iter().map(|claim| claim.path.join(".")).collect();
    assert_eq!(kept, ["email", "sub"]);
}

fn granted(more: &str) -> GrantedToken {
    let grant = format!("endpoint: https://login.example/token, client_id: gw, secret: GRANT_SECRET{more}");
    match sent(&tree("", &format!("{{ grant: {{ {grant} }} }}"))) {
        (header, prefix, CredentialValue::Granted(token)) => {
            assert_eq!((header.as_str(), prefix.as_str()), ("authorization", "Bearer "));
            *token
        }
        other => panic!("{other:?}"),
    }
}

#[test]
fn a_grant_is_compiled_and_each_has_an_object_of_its_own() {
    let whole = granted(
        ", auth: client_secret_post, scopes: [write, read], audience: a, resource: https://r.example",
    );
    let form = [
        ("scope", "read write"),
        ("audience", "a"),
        ("resource", "https://r.example"),
    ];
    assert_eq!(
        whole.form,
        form.map(|(name, value)| (name.to_owned(), value.to_owned()))
    );
    assert!(whole.post);
    let mut objects: Vec<_> = [
        "",
        ", audience: a",
        ", resource: a",
        ", scopes: [a]",
        ", auth: client_secret_post",
    ]
    .map(|more| granted(more).object)
    .to_vec();
    // The order of scopes means nothing.
    assert_eq!(
        granted(", scopes: [a, b]").object,
        granted(", scopes: [b, a]").object
    );
    objects.push(whole.object);
    assert!(
        objects
            .iter()
            .all(|object| object.starts_with("grant:") && object.len() == 70)
    );
    objects.sort();
    objects.dedup();
    assert_eq!(objects.len(), 6);
}

#[test]
fn a_provider_may_be_reached_by_a_grant() {
    let mut files = base();
    let provider = "provider: up\nwire: openai\nbase_url: https://up.example/v1\ngrant: { endpoint: https://login.example/token, client_id: gw, secret: GRANT_SECRET }\n";
    let path = files
        .keys()
        .find(|path| path.starts_with("providers/"))
        .unwrap()
        .clone();
    let name = path
        .trim_start_matches("providers/")
        .trim_end_matches(".yaml")
        .to_owned();
    let provider = provider.replace("provider: up", &format!("provider: {name}"));
    files.insert(path.clone(), provider.clone());
    assert_eq!(lines(&build(&files, "production")), Vec::<String>::new());
    files.insert(path, provider + "secret: OTHER\n");
    let found = lines(&build(&files, "production"));
    assert!(
        found.len() == 1 && found[0].contains("a provider takes a `secret` or a `grant`, not both"),
        "{found:#?}"
    );
}

/// What is wrong: in `gateway.yaml`, in the credential, and what is said of it.
const WRONG: &[(&str, &str, &str)] = &[
    (
        "",
        "{ signed: { audience: a } }",
        "the gateway has nothing to sign with",
    ),
    ("", "{ header: x-key }", "nothing says what is sent"),
    (
        SIGNING,
        "{ secret: A, signed: { audience: a } }",
        "an upstream is sent one credential",
    ),
    (
        SIGNING,
        "{ header: accept, signed: { audience: a } }",
        "`accept` cannot carry a credential: it is about the body",
    ),
    (
        SIGNING,
        "{ header: X_Request_Id, secret: A }",
        "`x_request_id` cannot carry a credential: the gateway makes its own",
    ),
    (
        SIGNING,
        "{ header: traceparent, secret: A }",
        "`traceparent` cannot carry a credential: the gateway makes its own",
    ),
    (
        SIGNING,
        "{ header: host, secret: A }",
        "`host` cannot carry a credential: the gateway makes its own",
    ),
    (
        SIGNING,
        "{ header: content-length, signed: { audience: a } }",
        "`content-length` cannot carry a credential: it is about the body",
    ),
    (
        SIGNING,
        "{ header: transfer-encoding, secret: A }",
        "`transfer-encoding` cannot carry a credential: it belongs to one connection",
    ),
    (
        SIGNING,
        "{ header: x-forwarded-for, secret: A }",
        "`x-forwarded-for` cannot carry a credential: a client could forge it",
    ),
    (
        SIGNING,
        "{ header: cf-connecting-ip, secret: A }",
        "`cf-connecting-ip` cannot carry a credential: it belongs to the platform or the gateway",
    ),
    (
        SIGNING,
        "{ header: Idempotency_Key, secret: A }",
        "a client could send `idempotency_key` itself",
    ),
    (
        SIGNING,
        "{ signed: { audience: a, lifetime: 9s } }",
        "expected whole seconds from 10s to 1h",
    ),
    (
        SIGNING,
        "{ signed: { audience: a, lifetime: 2h } }",
        "expected whole seconds from 10s to 1h",
    ),
    (
        SIGNING,
        "{ signed: { audience: a, lifetime: 10500ms } }",
        "expected whole seconds from 10s to 1h",
    ),
    (
        SIGNING,
        "{ signed: { audience: a, claims: { sub: claims.email } } }",
        "the gateway itself says what `sub` is",
    ),
    (
        SIGNING,
        "{ signed: { audience: a, claims: { mail: claims.emial } } }",
        "no issuer declares `claims.emial`",
    ),
    (SIGNING, "{ signed: { lifetime: 1m } }", "`audience` is missing"),
    (
        "signing: { issuer: http://api.example, key: SIGNING_KEY }\n",
        "{ signed: { audience: a } }",
        "keys that are fetched without TLS prove nothing",
    ),
    (
        "signing: { issuer: https://api.example, key: A_KEY, published: [A_KEY] }\n",
        "{ signed: { audience: a } }",
        "`A_KEY` is published already",
    ),
    (
        "signing: { issuer: https://api.example, key: A, published: [B, C, D, E, F] }\n",
        "{ signed: { audience: a } }",
        "at most 4 more keys are published",
    ),
    (
        "signing: { issuer: https://api.example, key: A, algorithm: RS256 }\n",
        "{ signed: { audience: a } }",
        "`ES256` or `EdDSA`",
    ),
    (
        "",
        "{ grant: { endpoint: http://login.example/token, client_id: a, secret: B } }",
        "this upstream is reached without TLS",
    ),
    (
        "",
        "{ grant: { endpoint: https://login.example/token, client_id: a, secret: B, scopes: [a, a] } }",
        "the scope `a` is asked for twice",
    ),
    (
        "",
        "{ grant: { endpoint: https://login.example/token, client_id: a } }",
        "`secret` is missing",
    ),
    (
        "",
        "{ grant: { endpoint: https://a:b@login.example/token, client_id: a, secret: B } }",
        "the URL holds credentials",
    ),
];

#[test]
fn what_is_wrong_is_said_once() {
    for (signing, credential, message) in WRONG {
        let found = lines(&build(&tree(signing, credential), "production"));
        assert!(
            found.len() == 1 && found[0].contains(message),
            "{signing}{credential}: {found:#?}"
        );
    }
}

#[test]
fn no_client_sends_the_header_of_a_credential_in_any_spelling() {
    for name in ["X-Gateway-Token", "x_gateway_token"] {
        let mut files = tree(SIGNING, "{ header: x-gateway-token, signed: { audience: a } }");
        let document = files["apis/pets/v1.yaml"].replace(
            "      operationId: listPets\n",
            &format!("      operationId: listPets\n      parameters: [{{ name: {name}, in: header, schema: {{ type: string }} }}]\n"),
        );
        files.insert("apis/pets/v1.yaml".to_owned(), document);
        let found = lines(&build(&files, "production"));
        assert!(
            found.len() == 1 && found[0].contains("carries the gateway's own credential"),
            "{name}: {found:#?}"
        );
    }
}

#[test]
fn an_open_api_repeats_no_claims() {
    let mut files = tree(
        SIGNING,
        "{ signed: { audience: a, claims: { mail: claims.email } } }",
    );
    let api = files["apis/pets/api.yaml"].clone() + "authentication: none\nlimits: [{ rate: 1/s }]\n";
    files.insert("apis/pets/api.yaml".to_owned(), api);
    let gateway = files["gateway.yaml"].clone()
        + "exceptions: [{ rule: authentication, for: apis/pets, reason: r, until: 2099-01-01 }]\n";
    files.insert("gateway.yaml".to_owned(), gateway);
    let found = lines(&build(&files, "production"));
    assert!(
        found
            .iter()
            .any(|line| line.contains("nothing is known of the callers of an open API")),
        "{found:#?}"
    );
}
