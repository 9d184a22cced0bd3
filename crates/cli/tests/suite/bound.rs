//! Client certificates, and tokens that are bound to a key or to a certificate: shown, compared, explained, tested.

use crate::common::Tree;
use crate::diff::copy;

const KEY: &str = "1195bb3d691a8c496d78fbb28cf63eccd1ba1a1ccd2f7547d200f8da8434126e";
const APP: &str = "credentials: [{ jwt: { issuer: acme, is: app-1 } }]";
const TRIAL: &str = "  - key: { sha256: 9f86d081884c7d659a2feaa0c55ad015a3bf4f1b2b0b822cd15d6c15b0f00a08, expires: 2099-01-01, scopes: [pets:write] }\n";

/// The tree, whose `trial` has certificates alone.
fn with_certificates() -> Tree {
    let tree = Tree::new();
    tree.change(
        "consumers/trial.yaml",
        TRIAL,
        &format!("  - certificate: {{ spki_sha256: {KEY}, expires: 2099-01-01, scopes: [pets:write] }}\n  - certificate: {{ subject: 'CN=trial,O=Acme', issuer: 'CN=CA,O=Acme' }}\n"),
    );
    tree
}

#[test]
fn certificates_are_shown() {
    let out = with_certificates().good(&["show", "consumers", "--env", "production"]);
    let shown = "certificate 1195bb3d… until 2099-01-01T00:00:00Z, certificate CN=trial,O=Acme";
    assert!(out.contains(shown), "{out}");
}

#[test]
fn who_gains_or_loses_a_credential_is_told() {
    let tree = with_certificates();
    let was = tree.folder.path().join("old");
    let compare = |edits: &[(&str, &str, &str)], said: &[&str]| {
        let tree = with_certificates();
        copy(&tree.path(""), &tree.folder.path().join("old"));
        for (file, from, to) in edits {
            tree.change(file, from, to);
        }
        let out = tree.good(&["diff", "old", "--as-of", "2026-01-01"]);
        for part in said {
            assert!(out.contains(part), "{part}\n{out}");
        }
    };
    assert!(!was.exists());
    let trial = "consumers/trial.yaml";
    compare(
        &[(trial, KEY, &KEY.replace('1', "2"))],
        &[
            "loosening   the certificate 2295bb3d… is added",
            "tightening  the certificate 1195bb3d… is removed",
        ],
    );
    compare(
        &[(trial, "expires: 2099-01-01", "expires: 2098-01-01")],
        &["tightening  the certificate 1195bb3d… ends"],
    );
    compare(
        &[(trial, "scopes: [pets:write]", "scopes: [pets:read, pets:write]")],
        &["loosening", "scope of the certificate 1195bb3d…", "pets:read"],
    );
    compare(
        &[(trial, "CN=CA,O=Acme", "CN=CA,O=Other")],
        &[
            "the certificate CN=trial,O=Acme is added",
            "the certificate CN=trial,O=Acme is removed",
        ],
    );
    let jwks = "jwks: https://login.acme.example/jwks.json";
    let with = |more: &str| format!("{jwks}\n    {more}");
    compare(
        &[("gateway.yaml", jwks, &with("dpop: accepted"))],
        &["issuer acme", "loosening   dpop: refused → accepted"],
    );
    compare(
        &[("gateway.yaml", jwks, &with("dpop: required"))],
        &["tightening  dpop: refused → required"],
    );
    compare(
        &[("gateway.yaml", jwks, &with("certificate_bound: accepted"))],
        &["loosening   certificate_bound: refused → accepted"],
    );
}

#[test]
fn a_caller_with_a_certificate_is_explained() {
    let out = with_certificates().good(&[
        "explain",
        "GET",
        "/pets/v1/pets",
        "--as",
        "trial",
        "--as-of",
        "2026-11-22",
    ]);
    assert!(out.contains("answered: 200"), "{out}");
    assert!(out.contains("policies/consumers/trial.yaml:5"), "{out}");
    let refused =
        with_certificates().run(&["explain", "GET", "/pets/v1/pets", "--as", "trial", "--scope", "x"]);
    assert!(
        refused
            .err
            .contains("calls with a certificate, which has no scopes"),
        "{}",
        refused.err
    );
}

#[test]
fn tests_call_with_certificates_and_with_bound_tokens() {
    for rules in [
        "dpop: required",
        "certificate_bound: required",
        "dpop: required\n    certificate_bound: required",
    ] {
        let tree = with_certificates();
        tree.change("gateway.yaml", "    jwks:", &format!("    {rules}\n    jwks:"));
        tree.change("consumers/app.yaml", APP, &format!("credentials: [{{ jwt: {{ issuer: acme, is: app-1 }} }}, {{ certificate: {{ spki_sha256: {} }} }}]", KEY.replace('1', "3")));
        tree.write(
            "tests/bound.yaml",
            "\
- name: a certificate is enough
  request: { get: /pets/v1/pets, as: trial }
  expect: { status: 200 }
- name: one of two
  request: { get: /pets/v1/pets, as: { consumer: app, with: certificate } }
  expect: { status: 200 }
- name: tokens come with what they are bound to
  steps:
    - request: { get: '/pets/v1/pets?limit=1', as: { consumer: app, with: acme } }
      expect: { status: 200 }
    - request: { get: '/pets/v1/pets?limit=1', as: app }
      expect: { status: 200 }
- name: and not without
  request: { get: /pets/v1/pets, as: { consumer: app, with: acme, claims: { cnf: { jkt: AA } } } }
  expect: { status: 401, code: credential_invalid }
",
        );
        let output = tree.run(&["test", "--as-of", "2026-11-22"]);
        assert_eq!(output.code, 0, "{rules}\n{}{}", output.out, output.err);
    }
    let tree = with_certificates();
    tree.write(
        "tests/bound.yaml",
        "- name: no such\n  request: { get: /pets/v1/pets, as: { consumer: app, with: certificat } }\n  expect: { status: 200 }\n",
    );
    let output = tree.run(&["check", "--as-of", "2026-11-22"]);
    assert!(
        output.out.contains("has no credential `certificat` here"),
        "{}",
        output.out
    );
}
