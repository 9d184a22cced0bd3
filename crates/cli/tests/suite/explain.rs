//! `turnpike explain`.

use serde_json::Value;

use crate::common::Tree;

#[test]
fn what_becomes_of_a_request() {
    for (arguments, parts) in [
        (
            &["GET", "/pets/v1/pets?limit=1", "--as", "app"][..],
            &[
                "match      passed  pets/v1#listPets [policies/apis/pets/v1.yaml:",
                "identify   passed  app, subject app-1 [policies/consumers/app.yaml:4]",
                "authorize  passed  granted to app [policies/consumers/app.yaml:6]",
                "answered: 200",
                "would be sent: GET https://pets.internal.example/api/pets?limit=1",
                "authorization: Bearer <PETS_TOKEN>",
                "limit              3/s for each caller",
                "[policies/apis/pets/api.yaml:13]",
                "limit              600/min, burst 50 for app (plan gold)",
                "[policies/plans/gold.yaml:3]",
                "granted to         batch                                  [policies/consumers/batch.yaml:5]",
            ][..],
        ),
        (
            &["POST", "/pets/v1/pets", "--as", "app", "--json", "{}"],
            &[
                "authorize  refused  403 insufficient_scope: `createPet` needs the scope `pets:write`.",
                "admit      -",
                "scopes             pets:write",
                "`turnpike explain insufficient_scope` says what to do about it.",
            ],
        ),
        (
            &[
                "post",
                "/pets/v1/pets",
                "--as",
                "app",
                "--scope",
                "pets:write",
                "--json",
                "{}",
            ],
            &[
                "answered: 200",
                "body               application/json, at most 10MiB",
            ],
        ),
        (
            &["GET", "/pets/v1/pets"],
            &["identify   refused  401 credential_missing", "inspect    -"],
        ),
        (
            &["GET", "/pets/v1/nothing/here"],
            &["match      refused  404 not_found", "identify   -"],
        ),
        (
            &["GET", "/pets/v1//pets"],
            &["accept     refused  400 ambiguous_path", "match      -"],
        ),
        (
            &["GET", "/pets/v1/pets/7/%2E./../pets?limit=1", "--as", "app"],
            &[
                "its dots are resolved before the gateway sees it: https://api.acme.example/pets/v1/pets?limit=1\n\n",
                "accept     passed  GET /pets/v1/pets",
                "answered: 200",
            ],
        ),
        (
            &["GET", "https://other.example/pets/v1/pets"],
            &["match      refused  404 unknown_host"],
        ),
        (
            &["GET", "/pets/v1/pets/7", "--as", "trial"],
            &[
                "authorize  refused  403 operation_not_allowed",
                "[policies/consumers/trial.yaml:6]",
            ],
        ),
        (
            &[
                "POST",
                "/v1/chat/completions",
                "--as",
                "trial",
                "--json",
                r#"{"model":"chat","messages":[{"role":"user","content":"hi"}]}"#,
            ],
            &[
                "inspect    passed  the model `chat`, a body of",
                "answer     passed  openai/gpt-5",
                "target          openai/gpt-5 (100%)",
                "fallback        openai/gpt-5-mini",
                "limit           2/s for trial (plan free)",
            ],
        ),
        (
            &["GET", "/_turnpike/health"],
            &["answered by a page of the gateway's own"],
        ),
        (
            &["GET", "/pets/v1/pets", "--as", "trial", "--as-of", "2098-12-31"],
            &["answered: 200"],
        ),
    ] {
        let tree = Tree::new();
        let out = tree.good(&[&["explain"], arguments].concat());
        for part in parts {
            assert!(out.contains(part), "{arguments:?}: {part}\n{out}");
        }
    }
}

#[test]
fn the_same_for_programs() {
    let tree = Tree::new();
    let out = tree.good(&[
        "explain",
        "GET",
        "/pets/v1/pets/7",
        "--as",
        "trial",
        "--format",
        "json",
    ]);
    let said: Value = serde_json::from_str(&out).unwrap();
    assert_eq!(said["status"], 403);
    assert_eq!(said["code"], "operation_not_allowed");
    assert_eq!(said["policy"], "policies/consumers/trial.yaml:6");
    assert_eq!(said["phases"].as_array().unwrap().len(), 10);
    assert_eq!(said["phases"][4]["phase"], "authorize");
    assert_eq!(said["phases"][4]["decision"], "refused");
    let names: Vec<_> = said["effective"]
        .as_array()
        .unwrap()
        .iter()
        .map(|fact| fact["name"].as_str().unwrap())
        .collect();
    assert!(names.contains(&"scopes") && names.contains(&"owner"), "{names:?}");
}

#[test]
fn what_codes_mean() {
    let tree = Tree::new();
    for (code, part) in [
        ("P0301", "P0301: A reference names something that does not exist."),
        ("p0215", "wrangler secret put NAME"),
        ("rate_limited", "Status 429, decided in the phase `admit`."),
        ("Stream_Cut", "decided in the phase `relay`"),
    ] {
        let out = tree.good(&["explain", code]);
        assert!(out.contains(part), "{code}\n{out}");
    }
    let said: Value = serde_json::from_str(&tree.good(&["explain", "P0701", "--format", "json"])).unwrap();
    assert_eq!(said["code"], "P0701");
}

#[test]
fn what_cannot_be_explained() {
    let tree = Tree::new();
    for (arguments, said) in [
        (&["P9999"][..], "there is no code `P9999`"),
        (&["rate_limitd"], "did you mean `rate_limited`?"),
        (&["GET"], "write its method and its URL"),
        (&["GE T", "/x"], "is no method"),
        (&["GET", "/x", "--as", "ap"], "did you mean `app`?"),
        (&["GET", "/x", "--env", "prod"], "did you mean `production`?"),
        (&["POST", "/x", "--json", "{"], "--json is not JSON"),
        (&["GET", "/x", "--header", "nothing"], "write NAME: VALUE"),
    ] {
        let output = tree.run(&[&["explain"], arguments].concat());
        assert_eq!(output.code, 2, "{arguments:?}\n{}", output.out);
        assert!(output.err.contains(said), "{arguments:?}: {said}\n{}", output.err);
    }
    tree.write("plans/bad.yaml", "plan: other");
    assert_eq!(tree.run(&["explain", "GET", "/x"]).code, 1);
}

#[test]
fn what_is_no_url_is_not_explained() {
    let tree = Tree::new();
    for url in [
        "pets",
        "%%%",
        "ht!tp:/x",
        "http://",
        "https:///x",
        "http://[::1",
        "ftp://api.acme.example/",
    ] {
        let done = tree.run(&["explain", "GET", url]);
        assert_eq!(done.code, 2, "{url} {}", done.out);
        assert!(done.err.contains("is no URL: write a path"), "{url} {}", done.err);
    }
}
