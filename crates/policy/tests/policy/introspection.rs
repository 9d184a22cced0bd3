//! Issuers that are asked about opaque tokens: what compiles, and what is said of the rest.

use turnpike_policy::{Algorithm, Introspection, Keys, Rate};

use crate::common::{Files, base, build, lines};

const ASKED: &str =
    "endpoint: https://login.acme.example/introspect, client_id: gateway, secret: ACME_INTROSPECTION";

/// A tree whose issuer has these fields beside its name and its audience, with these issuers beside it.
fn tree(fields: &str, others: &str) -> Files {
    let mut files = base();
    let gateway = files["gateway.yaml"].replace(
        "    algorithms: [RS256]\n    jwks: https://login.acme.example/jwks\n",
        &format!("{fields}{others}"),
    );
    files.insert("gateway.yaml".to_owned(), gateway);
    files
}

fn signed(introspection: &str) -> String {
    format!(
        "    algorithms: [RS256]\n    jwks: https://login.acme.example/jwks\n    introspection: {introspection}\n"
    )
}

fn asked() -> Introspection {
    Introspection {
        endpoint: "https://login.acme.example/introspect".to_owned(),
        client_id: "gateway".to_owned(),
        secret: "ACME_INTROSPECTION".to_owned(),
        post: false,
        prefix: String::new(),
        timeout: 2_000,
        active_for: 30_000,
        inactive_for: 5_000,
        rate: Rate {
            count: 100,
            period: 1_000,
            burst: 100,
        },
    }
}

#[test]
fn an_issuer_may_be_asked_about_its_opaque_tokens() {
    let outcome = build(&tree(&signed(&format!("{{ {ASKED} }}")), ""), "production");
    assert_eq!(lines(&outcome), Vec::<String>::new());
    let compiled = outcome.compiled.unwrap();
    assert_eq!(compiled.issuers[0].introspection, Some(asked()));
    assert_eq!(compiled.issuers[0].algorithms, [Algorithm::RS256]);
    assert!(compiled.secrets.contains(&"ACME_INTROSPECTION".to_owned()));
    let fields = format!(
        "{{ {ASKED}, auth: client_secret_post, prefix: acme_, timeout: 500ms, cache: 0s, cache_inactive: 1m, rate: 20/s }}"
    );
    let outcome = build(&tree(&signed(&fields), ""), "production");
    assert_eq!(lines(&outcome), Vec::<String>::new());
    assert_eq!(
        outcome.compiled.unwrap().issuers[0].introspection,
        Some(Introspection {
            post: true,
            prefix: "acme_".to_owned(),
            timeout: 500,
            active_for: 0,
            inactive_for: 60_000,
            rate: Rate {
                count: 20,
                period: 1_000,
                burst: 20,
            },
            ..asked()
        })
    );
}

#[test]
fn an_issuer_of_opaque_tokens_alone_has_no_algorithms_and_no_keys() {
    let outcome = build(
        &tree(&format!("    introspection: {{ {ASKED} }}\n"), ""),
        "production",
    );
    assert_eq!(lines(&outcome), Vec::<String>::new());
    let issuer = &outcome.compiled.unwrap().issuers[0];
    assert_eq!(
        (&*issuer.algorithms, &issuer.keys),
        (&[][..], &Keys::Inline(Vec::new()))
    );
    assert_eq!(issuer.introspection, Some(asked()));
}

#[test]
fn what_it_says_is_a_part_of_the_rules() {
    let hash = |fields: &str| {
        let built = build(&tree(&signed(fields), ""), "production");
        built.bundle.expect("builds").1
    };
    let first = hash(&format!("{{ {ASKED} }}"));
    assert_eq!(
        first,
        hash(&format!("{{ rate: 100/s, cache: 30s, timeout: 2s, {ASKED} }}"))
    );
    for other in [
        "cache: 31s",
        "timeout: 1s",
        "prefix: x",
        "rate: 99/s",
        "auth: client_secret_post",
    ] {
        assert_ne!(first, hash(&format!("{{ {ASKED}, {other} }}")), "{other}");
    }
}

/// What an issuer has, and the one line that is said of it.
const WRONG: &[(&str, &str)] = &[
    (
        "    introspection: { client_id: gateway, secret: S }\n",
        "6:22: error[P0202]: `endpoint` is missing",
    ),
    (
        "    introspection: { endpoint: 'https://a.example/', client_id: gateway }\n",
        "6:22: error[P0202]: `secret` is missing",
    ),
    (
        "    introspection: { endpoint: 'http://a.example/i', client_id: gateway, secret: S }\n",
        "6:32: error[P0405]: tokens and a secret would be sent without TLS",
    ),
    (
        "    introspection: { ASKED, timeout: 6s }\n",
        "P0206]: expected 10ms to 5s",
    ),
    (
        "    introspection: { ASKED, timeout: 0s }\n",
        "P0206]: expected 10ms to 5s",
    ),
    (
        "    introspection: { ASKED, cache: 6m }\n",
        "P0206]: expected at most 5m",
    ),
    (
        "    introspection: { ASKED, cache_inactive: 1h }\n",
        "P0206]: expected at most 5m",
    ),
    ("    introspection: { ASKED, prefix: 'a b' }\n", "P0219]"),
    (
        "    introspection: { ASKED, prefix: 'a=' }\n",
        "no bearer token begins so",
    ),
    (
        "    introspection: { ASKED, prefix: e }\n",
        "a JWT begins with `e`",
    ),
    (
        "    introspection: { ASKED, prefix: eyJhbGc }\n",
        "a JWT begins with `eyJhbGc`",
    ),
    (
        "    introspection: { ASKED, prefix: tp }\n",
        "an API key begins with `tp`",
    ),
    (
        "    introspection: { ASKED, prefix: tpk_a }\n",
        "an API key begins with `tpk_a`",
    ),
    ("    introspection: { ASKED, on_error: open }\n", "P0201]"),
    ("    introspection: { ASKED, rate: 0/s }\n", "error[P0"),
    (
        "    jwks: https://login.acme.example/jwks\n",
        "4:5: error[P0202]: `algorithms` is missing",
    ),
    (
        "    jwks: https://login.acme.example/jwks\n    introspection: { ASKED }\n",
        "6:11: error[P0210]: `jwks` is for signed tokens, and this issuer has none",
    ),
    (
        "    secret: HMAC\n    introspection: { ASKED }\n",
        "`secret` is for signed tokens",
    ),
    (
        "    token_type: at+jwt\n    introspection: { ASKED }\n",
        "`token_type` is for signed tokens",
    ),
    (
        "    discovery: oauth\n    introspection: { ASKED }\n",
        "`discovery` is for signed tokens",
    ),
    (
        "    dpop: accepted\n    introspection: { ASKED }\n",
        "P0210]: `dpop` is for signed tokens",
    ),
    (
        "    algorithms: [RS256]\n    jwks: https://login.acme.example/jwks\n    dpop: required\n    introspection: { ASKED }\n",
        "P0210]: `dpop` would refuse each of its opaque tokens",
    ),
    (
        "    certificate_bound: required\n    introspection: { ASKED }\n",
        "P0210]: `certificate_bound` would refuse each of its opaque tokens",
    ),
];

#[test]
fn what_is_wrong_is_said_where_it_stands() {
    for (fields, expected) in WRONG {
        let fields = fields.replace("ASKED", ASKED);
        let found = lines(&build(&tree(&fields, ""), "production"));
        assert_eq!(found.len(), 1, "{fields}: {found:#?}");
        assert!(found[0].contains(expected), "{fields}: {found:#?}");
        assert!(found[0].starts_with("gateway.yaml:"), "{found:#?}");
    }
}

#[test]
fn no_token_is_asked_about_at_two_issuers() {
    let other = |prefix: &str| {
        format!(
            "  other:\n    issuer: https://other.example/\n    audience: [acme]\n    introspection: {{ endpoint: 'https://other.example/i', client_id: g, secret: OTHER{prefix} }}\n"
        )
    };
    let both = |own: &str, prefix: &str| {
        let own = format!("    introspection: {{ {ASKED}{own} }}\n");
        lines(&build(&tree(&own, &other(prefix)), "production"))
    };
    for (own, prefix) in [
        (", prefix: a_", ", prefix: b_"),
        ("", ", prefix: b_"),
        (", prefix: a_", ""),
    ] {
        assert_eq!(both(own, prefix), Vec::<String>::new(), "{own} {prefix}");
    }
    for (own, prefix, said) in [
        ("", "", "two issuers would be asked about every opaque token"),
        (", prefix: a_", ", prefix: a_", "about the same tokens"),
        (", prefix: a_", ", prefix: a_b_", "about the same tokens"),
        (", prefix: a_b_", ", prefix: a_", "about the same tokens"),
    ] {
        let found = both(own, prefix);
        assert_eq!(found.len(), 1, "{found:#?}");
        assert!(
            found[0].contains(said) && found[0].contains("P0210"),
            "{found:#?}"
        );
    }
}
