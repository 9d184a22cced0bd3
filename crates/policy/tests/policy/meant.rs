//! What new authors write who mean something else that the language has: each is told how that is written.

use crate::common::{base, build, lines};

#[test]
fn what_was_meant_is_told() {
    let mut wrong = String::new();
    for (path, old, new, line, help) in [
        (
            "consumers/app.yaml",
            "operations: [listPets]",
            "operations: listPets",
            "P0203]: expected `all`, or a list",
            "write `[listPets]`: a list of one",
        ),
        (
            "consumers/app.yaml",
            "operations: [listPets]",
            "operations: ['*']",
            "P0204]: `*` stands for nothing here",
            "write `all`, without a list around it",
        ),
        (
            "consumers/app.yaml",
            "operations: [listPets]",
            "operations: '*'",
            "P0204]: `*` stands for nothing here",
            "write `all`, without a list around it",
        ),
        (
            "consumers/app.yaml",
            "issuer: acme",
            "issuer: https://login.example",
            "P0207]: `https://login.example` is not a name",
            "this is a URL: write what the policies call it by",
        ),
        (
            "apis/pets/api.yaml",
            "owner: team",
            "owner: team\nupstream: https://pets.example",
            "P0201]: unknown field `upstream`",
            "the record `version` has it, and not this; the fields here are `api`",
        ),
        (
            "apis/pets/api.yaml",
            "openapi: v1.yaml",
            "openapi: https://pets.example/openapi.yaml",
            "P0218]: `https://pets.example/openapi.yaml` is not the path of a file: it is a URL",
            "put a copy beside this file",
        ),
        (
            "gateway.yaml",
            "jwks: ",
            "jwks_uri: ",
            "P0201]: unknown field `jwks_uri`",
            "did you mean `jwks`?",
        ),
        (
            "environments/dev.yaml",
            "vars: {}",
            "variables: {}",
            "P0201]: unknown field `variables`",
            "the fields here are",
        ),
        (
            "apis/pets/api.yaml",
            "owner: team",
            "owner: team\nmax_body: $BODY",
            "P0205]: `$BODY` is not a size",
            "a variable is written `${name}`, and set under `vars` of an environment",
        ),
        (
            "plans/gold.yaml",
            "- rate: 10/s",
            "- { quota: 1,000/month }",
            "P0201]: unknown field `000/month`",
            "in `{ }` and `[ ]` a comma ends a value: write `1_000_000`",
        ),
    ] {
        let mut files = base();
        let text = files.get_mut(path).unwrap();
        assert!(text.contains(old), "{path}: {old}\n{text}");
        *text = text.replacen(old, new, 1);
        let outcome = build(&files, "dev");
        let found = lines(&outcome).into_iter().zip(&outcome.diagnostics);
        let fits = |(said, found): (String, &turnpike_policy::source::Diagnostic)| {
            said.contains(line) && found.help.as_ref().is_some_and(|said| said.starts_with(help))
        };
        if !found.into_iter().any(fits) {
            wrong += &format!("{new}: {line} ({help})\n{:#?}\n", outcome.diagnostics);
        }
    }
    assert!(wrong.is_empty(), "{wrong}");
}

#[test]
fn a_request_is_written_by_its_method() {
    let help = |test: &str| {
        let mut files = base();
        files.insert("tests/a.yaml".to_owned(), format!("- name: a\n  {test}\n"));
        let outcome = build(&files, "dev");
        let found = outcome
            .diagnostics
            .iter()
            .find(|found| found.file.contains("tests/a.yaml"));
        found.and_then(|found| found.help.clone()).unwrap_or_default()
    };
    assert_eq!(
        help("request: GET /pets/v1/list\n  expect: { status: 401 }"),
        "write `{ get: /pets/v1/list }`"
    );
    assert_eq!(
        help("request: { get: /pets/v1/list }\n  expect: 401"),
        "write `{ status: 401 }`"
    );
    assert_eq!(
        help("request: { path: /pets/v1/list, method: GET }\n  expect: { status: 401 }"),
        "the method is the field, and its value the path: `get: /petstore/v1/pets`"
    );
}

/// Who writes a key itself means no harm: it is not shown, and only that is said.
#[test]
fn a_key_that_is_written_out_is_not_shown() {
    let mut files = base();
    let text = files.get_mut("consumers/app.yaml").unwrap();
    *text = text.replacen("jwt: { issuer: acme, is: app }", "key: hunter2-hunter2", 1);
    let outcome = build(&files, "dev");
    let said: Vec<_> = outcome.diagnostics.iter().map(ToString::to_string).collect();
    assert_eq!(said.len(), 1, "{said:#?}");
    assert!(
        said[0].contains("error[P0217]: a key never stands in the policies, only its hash"),
        "{said:#?}"
    );
    assert!(!said[0].contains("hunter2"), "{said:#?}");
}
