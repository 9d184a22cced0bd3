//! `turnpike test`.

use std::io::{Read as _, Write as _};
use std::net::TcpListener;
use std::path::Path;
use std::thread;

use crate::common::{Tree, command, finish, sarif};

/// One test as its body, and what its failure says; nothing: it passes.
const CASES: &[(&str, Option<&str>)] = &[
    // Each way to be known goes through identification; each refusal has its code.
    (
        "request: { get: /pets/v1/pets }\n  expect: { status: 401, code: credential_missing }",
        None,
    ),
    (
        "request: { get: /pets/v1/pets, as: app }\n  expect: { status: 200, code: none }",
        None,
    ),
    (
        "request: { get: /pets/v1/pets, as: batch }\n  expect: { status: 200 }",
        None,
    ),
    (
        "request: { get: /pets/v1/pets, as: trial }\n  expect: { status: 200 }",
        None,
    ),
    (
        "request: { get: /pets/v1/pets, as: { consumer: trial, with: key } }\n  expect: { status: 200 }",
        None,
    ),
    (
        "request: { get: /pets/v1/pets/7, as: trial }\n  expect: { code: operation_not_allowed, policy: 'policies/consumers/trial.yaml:6' }",
        None,
    ),
    (
        "request: { get: /pets/v1/pets, country: DE }\n  expect: { code: credential_missing }",
        None,
    ),
    (
        "request: { get: /pets/v1/pets, as: app, headers: { authorization: Bearer nonsense } }\n  expect: { code: credential_invalid }",
        None,
    ),
    (
        "request: { get: /pets/v1/pets, as: { consumer: app, claims: { iss: 'https://evil.example/' } } }\n  expect: { code: credential_invalid }",
        None,
    ),
    (
        "at: 2099-01-01\n  request: { get: /pets/v1/pets, as: trial }\n  expect: { code: credential_expired }",
        None,
    ),
    // Scopes: of a token as the test says, of a key as its policy does.
    (
        "request: { post: /pets/v1/pets, as: app, json: {} }\n  expect: { code: insufficient_scope }",
        None,
    ),
    (
        "request: { post: /pets/v1/pets, as: { consumer: app, scopes: [pets:write] }, json: {} }\n  expect: { status: 200 }",
        None,
    ),
    (
        "request: { post: /pets/v1/pets, as: trial, json: {} }\n  expect: { status: 200 }",
        None,
    ),
    // What would leave is seen, filtered as it would be; a secret by its name.
    (
        "request: { get: '/pets/v1/pets?limit=2&other=1', as: app, headers: { accept: text/plain, x-other: a } }\n  expect:\n    upstream:\n      url: https://pets.internal.example/api/pets?limit=2\n      method: GET\n      headers: { accept: text/plain, authorization: Bearer <PETS_TOKEN> }\n      no_headers: [x-other, cookie]\n      calls: 1",
        None,
    ),
    (
        "request: { get: /pets/v1/pets }\n  expect: { status: 401, upstream: none }",
        None,
    ),
    (
        "request: { post: /v1/chat/completions, as: app, json: { model: chat, messages: [{ role: user, content: hi }] } }\n  expect: { status: 200, json: { choices: [{ message: { content: ok } }] }, upstream: { url: 'https://api.openai.example/v1/chat/completions', json: { model: gpt-5 } } }",
        None,
    ),
    (
        "request: { post: /v1/chat/completions, as: app, json: { model: chat, stream: true, messages: [{ role: user, content: hi }] } }\n  expect: { status: 200, headers: { content-type: text/event-stream; charset=utf-8 }, contains: '[DONE]' }",
        None,
    ),
    // What upstreams do.
    (
        "request: { get: /pets/v1/pets, as: app }\n  upstream: { status: 404, json: { error: x } }\n  expect: { status: 404, json: { error: x } }",
        None,
    ),
    (
        "request: { get: /pets/v1/pets, as: app }\n  upstream: { fails: timeout }\n  expect: { status: 504, code: upstream_timeout }",
        None,
    ),
    (
        "request: { get: /pets/v1/pets, as: app }\n  upstream: { after: 31s }\n  expect: { code: upstream_timeout }",
        None,
    ),
    (
        "request: { post: /v1/chat/completions, as: app, json: { model: chat, messages: [{ role: user, content: hi }] } }\n  upstream: [{ status: 503 }, { json: { choices: [{ index: 0, message: { role: assistant, content: second }, finish_reason: stop }] } }]\n  expect: { status: 200, contains: second, upstream: { calls: 2, json: { model: gpt-5-mini } } }",
        None,
    ),
    // Limits, and the clock.
    (
        "request: { get: /pets/v1/pets, as: app, times: 5 }\n  expect: [{ status: 200, times: 3 }, { code: rate_limited, times: 2 }]",
        None,
    ),
    (
        "request: { get: /pets/v1/pets, as: app, times: 12, over: 3s }\n  expect: { status: 200 }",
        None,
    ),
    (
        "request: { get: /pets/v1/pets, as: app, times: 13, over: 3s }\n  expect: [{ status: 200, times: 12 }, { status: 429 }]",
        None,
    ),
    (
        "steps:\n    - { request: { get: /pets/v1/pets, as: app, times: 4 }, expect: [{ status: 200, times: 3 }, { status: 429 }] }\n    - { after: 1s, request: { get: /pets/v1/pets, as: app, times: 3 }, expect: { status: 200 } }",
        None,
    ),
    (
        "steps:\n    - { request: { get: /v1/models, as: app, times: 1000, over: 5m }, expect: { status: 200 } }\n    - { request: { get: /v1/models, as: app }, expect: { code: quota_exceeded } }\n    - { after: 1d, request: { get: /v1/models, as: app }, expect: { status: 200 } }",
        None,
    ),
    // Each request holds its place until its upstream has answered.
    (
        "request: { get: /pets/v1/pets/1, as: batch, times: 3 }\n  upstream: { after: 5s }\n  expect: [{ status: 200, times: 2 }, { code: concurrency_limited }]",
        None,
    ),
    (
        "steps:\n    - { request: { get: /pets/v1/pets/1, as: batch, times: 2 }, upstream: { after: 5s }, expect: { status: 200 } }\n    - { after: 6s, request: { get: /pets/v1/pets/1, as: batch, times: 2 }, expect: { status: 200 } }",
        None,
    ),
    // Failures say what was expected, what came, and who decided.
    (
        "request: { get: /pets/v1/pets, as: app }\n  expect: { status: 201 }",
        Some("status is 200, expected 201\n          answered: 200"),
    ),
    (
        "request: { get: /pets/v1/pets/7, as: trial }\n  expect: { code: rate_limited }",
        Some(
            "code is `operation_not_allowed`, expected `rate_limited`\n          answered: 403 operation_not_allowed: `trial` may not call `getPet`. (policies/consumers/trial.yaml:6)",
        ),
    ),
    (
        "request: { get: /pets/v1/pets, as: app }\n  expect: { headers: { x-a: b }, no_headers: [x-request-id] }",
        Some("header `x-a` is not there; header `x-request-id` is there"),
    ),
    (
        "request: { get: /pets/v1/pets, as: app }\n  upstream: { json: [{ id: 1 }] }\n  expect: { json: [{ id: 2 }] }",
        Some("/0/id is 1, expected 2"),
    ),
    (
        "request: { get: /pets/v1/pets, as: app }\n  expect: { upstream: none }",
        Some("GET https://pets.internal.example/api/pets reached an upstream"),
    ),
    (
        "request: { get: /pets/v1/pets, as: app, times: 4 }\n  expect: { status: 200 }",
        Some("answer 4 of 4: status is 429, expected 200"),
    ),
    (
        "request: { get: /pets/v1/pets, as: app, times: 4 }\n  expect: [{ status: 200, times: 2 }, { status: 429, times: 2 }]",
        Some("expected 2 answers with status 200, got 3"),
    ),
    (
        "request: { get: /_turnpike/health }\n  expect: { status: 200 }",
        Some("this page is the gateway's own, which tests do not play"),
    ),
];

#[test]
fn what_tests_say() {
    for (body, failure) in CASES {
        let tree = Tree::new();
        tree.write("tests/one.yaml", &format!("- name: it\n  {body}\n"));
        let output = tree.run(&["test", "--env", "production"]);
        match failure {
            None => {
                assert_eq!(output.code, 0, "{body}\n{}{}", output.out, output.err);
                assert!(output.out.contains("1 passed, 0 failed"), "{}", output.out);
            }
            Some(failure) => {
                assert_eq!(output.code, 1, "{body}\n{}{}", output.out, output.err);
                assert!(output.out.contains(failure), "{failure}\n{}", output.out);
                assert!(output.out.contains("policies/tests/one.yaml:"), "{}", output.out);
                assert!(output.out.contains("0 passed, 1 failed"), "{}", output.out);
            }
        }
    }
}

#[test]
fn claims_and_headers_are_counted_as_the_gateway_counts_them() {
    let tree = Tree::new();
    tree.write(
        "plans/gold.yaml",
        "plan: gold\nlimits:\n  - { rate: 2/h, subject: { claim: tenant } }\n  - { rate: 3/h, subject: [{ header: x-tenant }] }\n  - { rate: 600/min }\n",
    );
    tree.write(
        "tests/one.yaml",
        "- name: it\n  steps:\n    - { request: { get: /pets/v1/pets, as: { consumer: app, claims: { tenant: a } }, times: 3 }, expect: [{ status: 200, times: 2 }, { code: rate_limited }] }\n    - { after: 5s, request: { get: /pets/v1/pets, as: { consumer: app, claims: { tenant: b } }, times: 2 }, expect: [{ status: 200, times: 1 }, { code: rate_limited }] }\n    - { after: 5s, request: { get: /pets/v1/pets, as: { consumer: app, claims: { tenant: c } }, headers: { x-tenant: c }, times: 3 }, expect: [{ status: 200, times: 2 }, { code: rate_limited }] }\n",
    );
    let out = tree.good(&["test", "--env", "production"]);
    assert!(out.contains("1 passed, 0 failed"), "{out}");
    let shown = tree.good(&["show", "limits", "--env", "production"]);
    for words in ["each claim `tenant`", "each header `x-tenant`"] {
        assert!(shown.contains(words), "{words}\n{shown}");
    }
}

/// Mistakes in a file of tests are those of the tree: `check` tells them.
#[test]
fn what_a_test_may_not_say() {
    for (text, said) in [
        (
            "- { name: it, request: { get: /a }, expect: { status: 200, stauts: 1 } }",
            "P0201]: unknown field `stauts`",
        ),
        (
            "- { name: it, request: { get: /a, as: ap }, expect: { status: 200 } }",
            "P0301]: there is no consumer `ap`",
        ),
        (
            "- { name: it, request: { get: /a, as: { consumer: app, with: key } }, expect: { status: 200 } }",
            "P0301]: `app` has no credential `key` here",
        ),
        (
            "- { name: it, request: { get: /a, as: { consumer: trial, with: key, scopes: [a] } }, expect: { status: 200 } }",
            "P0210]: a key has no scopes",
        ),
        (
            "- { name: it, request: { get: /a, post: /b }, expect: { status: 200 } }",
            "P0210]: a request has one method",
        ),
        (
            "- { name: it, request: { as: app }, expect: { status: 200 } }",
            "P0202]: the request has no method and path",
        ),
        (
            "- { name: it, request: { get: pets }, expect: { status: 200 } }",
            "P0218]: `pets` is neither a path nor a URL",
        ),
        (
            "- { name: it, request: { get: /a } }",
            "P0202]: `expect` is missing",
        ),
        (
            "- { name: it, request: { get: /a }, expect: {} }",
            "P0202]: this expects nothing",
        ),
        (
            "- { name: it, request: { get: /a }, expect: [] }",
            "P0208]: a test that expects nothing",
        ),
        (
            "- { name: it, request: { get: /a, times: 3 }, expect: [{ status: 200 }, { status: 429 }] }",
            "P0210]: 3 requests are sent, and 2 answers expected",
        ),
        (
            "- { name: it, request: { get: /a, over: 3s }, expect: { status: 200 } }",
            "P0210]: `over` needs `times`",
        ),
        (
            "- { name: it, request: { get: /a, times: 0 }, expect: { status: 200 } }",
            "P0206]: `times: 0` is never: nothing would be sent or answered",
        ),
        (
            "- { name: it, request: { get: /a }, expect: [{ status: 200 }, { status: 429, times: 0 }] }",
            "leave out what is not sent and what is not expected",
        ),
        (
            "- { name: it, request: { get: /a, times: 200000 }, expect: { status: 200 } }",
            "= help: write one from 1 to 100000",
        ),
        (
            "- { name: it, request: { get: /a, times: 2, over: 4000d }, expect: { status: 200 } }",
            "P0206]: with this, the test plays for more than 3660d, ten years",
        ),
        (
            "- { name: it, steps: [{ request: { get: /a }, expect: { status: 200 } }, { after: 213503982334d, request: { get: /a }, expect: { status: 200 } }] }",
            "to play on a later day write `at: 2030-01-31`",
        ),
        (
            "- { name: it, request: { get: /a }, upstream: { after: 25h }, expect: { status: 200 } }",
            "P0206]: no upstream is waited for as long as a day",
        ),
        (
            "- { name: it, request: { post: /a, json: {}, body: a }, expect: { status: 200 } }",
            "P0210]: a request has one body",
        ),
        ("- { name: it, steps: [] }", "P0208]: a test without a step"),
        (
            "- { name: it, request: { get: /a }, steps: [{ request: { get: /a }, expect: { status: 200 } }] }",
            "P0210]: a test has one request, or `steps`",
        ),
        (
            "- { name: it, request: { get: /a }, expect: { status: 200 } }\n- { name: it, request: { get: /a }, expect: { status: 200 } }",
            "P0209]: two tests of one file have this name",
        ),
        (
            "- { name: it, environments: [prod], request: { get: /a }, expect: { status: 200 } }",
            "P0008]: there is no environment `prod`",
        ),
        (
            "- { name: it, request: { get: /a }, expect: { code: rate_limitd } }",
            "P0204]: the gateway refuses nothing with the code `rate_limitd`",
        ),
        (
            "- { name: it, request: { get: /a }, expect: [{ status: 200 }, { code: rate_limitd }] }",
            "= help: did you mean `rate_limited`?",
        ),
        (
            "- { name: it, request: { get: /a }, expect: { code: out_of_stock } }",
            "= help: docs/errors.md lists the codes",
        ),
        (
            "- { name: it, request: { get: /a }, expect: { policy: policies/consumers/trail.yaml:6 } }",
            "P0006]: there is no file `consumers/trail.yaml` in the tree",
        ),
        (
            "- { name: it, request: { get: /a }, expect: { policy: policies/consumers/trail.yaml } }",
            "= help: did you mean `policies/consumers/trial.yaml`?",
        ),
        (
            "- { name: it, request: { get: /a }, expect: { policy: consumers/trial.yaml } }",
            "= help: did you mean `policies/consumers/trial.yaml`?",
        ),
        ("just text", "P0203]: expected a list of tests"),
    ] {
        let tree = Tree::new();
        tree.write("tests/one.yaml", &format!("{text}\n"));
        let output = tree.run(&["check"]);
        assert_eq!(output.code, 1, "{text}\n{}", output.out);
        assert!(output.out.contains(said), "{text}\n{}", output.out);
        assert!(output.out.contains("policies/tests/one.yaml:"), "{}", output.out);
        assert_eq!(tree.run(&["test"]).code, 1, "{text}");
    }
}

#[test]
fn some_of_them_where_they_exist() {
    let tree = Tree::new();
    tree.write(
        "tests/dev.yaml",
        "environments: [dev]\ntests:\n  - { name: in dev, request: { get: /pets/v1/pets, as: app }, expect: { status: 200 } }\n",
    );
    tree.write(
        "tests/all.yaml",
        "- { name: nobody, request: { get: /pets/v1/pets }, expect: { status: 401 } }\n- { name: nothing, request: { get: /x }, expect: { status: 404 } }\n",
    );
    let all = tree.good(&["test"]);
    assert!(all.contains("5 passed, 0 failed"), "{all}");
    assert!(
        all.contains("tests/dev in dev") && !all.contains("tests/dev in production"),
        "{all}"
    );
    assert!(
        all.contains("not sent: GET https://pets.internal.example/api/pets (played as 200"),
        "{all}"
    );
    assert!(tree.good(&["test", "nobody"]).contains("2 passed"));
    assert!(
        tree.good(&["test", "tests/all", "--env", "dev"])
            .contains("2 passed")
    );
    let none = tree.run(&["test", "nobdy"]);
    assert_eq!(none.code, 2);
    assert!(
        none.err.contains("no test has `nobdy` in its file or name"),
        "{}",
        none.err
    );
    assert_eq!(tree.run(&["test", "--env", "prod"]).code, 2);
    assert!(
        Tree::new()
            .good(&["test"])
            .contains("there are no tests: write some in policies/tests/")
    );
}

#[test]
fn a_report_for_ci() {
    let tree = Tree::new();
    tree.write(
        "tests/one.yaml",
        "- { name: 'it <is> \"right\"', request: { get: /pets/v1/pets }, expect: { status: 401 } }\n- { name: it is wrong, request: { get: /x }, expect: { status: 200 } }\n",
    );
    let output = tree.run(&["test", "--env", "dev", "--junit", "report.xml"]);
    assert_eq!(output.code, 1);
    let report = std::fs::read_to_string(tree.folder.path().join("report.xml")).unwrap();
    for part in [
        "<testsuites name=\"turnpike test\" tests=\"2\" skipped=\"0\" failures=\"1\" errors=\"0\">",
        "<testsuite name=\"tests/one in dev\" tests=\"2\"",
        "it &lt;is&gt; &quot;right&quot;",
        "file=\"policies/tests/one.yaml\" line=\"2\"",
        "<failure message=\"policies/tests/one.yaml:2: status is 404, expected 200",
    ] {
        assert!(report.contains(part), "{part}\n{report}");
    }
    let output = tree.run(&["test", "--junit", "no/such/folder.xml"]);
    assert_eq!(output.code, 2);
    assert!(
        output.err.contains("cannot write no/such/folder.xml"),
        "{}",
        output.err
    );
}

/// What a person names is theirs, also where it is a link: `/dev/stdout` is a chain of them, and so is what a shell makes
/// of `>(...)`.
#[cfg(unix)]
#[test]
fn a_report_goes_where_a_person_says() {
    use std::os::unix::fs::symlink;
    let tree = Tree::new();
    tree.write(
        "tests/one.yaml",
        "- { name: it, request: { get: /a }, expect: { status: 404 } }\n",
    );
    let output = tree.run(&["test", "--env", "dev", "--junit", "/dev/stdout"]);
    assert_eq!(output.code, 0, "{}{}", output.out, output.err);
    assert!(
        output.out.contains("<testsuites name=\"turnpike test\""),
        "{}",
        output.out
    );
    // Links of their own, outside of the folder that this runs in; and one that stays in it.
    let theirs = tempfile::tempdir().unwrap();
    let [link, leads] = ["latest.xml", "reports.xml"].map(|name| theirs.path().join(name));
    symlink(&leads, &link).unwrap();
    tree.good(&["test", "--env", "dev", "--junit", link.to_str().unwrap()]);
    assert!(leads.is_file());
    std::fs::write(tree.folder.path().join("there.xml"), "").unwrap();
    symlink("there.xml", tree.folder.path().join("link.xml")).unwrap();
    tree.good(&["test", "--env", "dev", "--junit", "link.xml"]);
}

/// Tests change nothing of what is deployed.
#[test]
fn the_bundle_is_the_same_with_tests() {
    let hash = |tree: &Tree| {
        let options = turnpike_policy::source::Options {
            environment: "production".to_owned(),
            ..Default::default()
        };
        let outcome = turnpike_policy::source::build(&tree.path("").canonicalize().unwrap(), &options);
        outcome.bundle.unwrap()
    };
    let tree = Tree::new();
    let without = hash(&tree);
    tree.write(
        "tests/one.yaml",
        "- { name: it, request: { get: /a }, expect: { status: 404 } }\n",
    );
    assert_eq!(hash(&tree), without);
}

/// The tests of the sample tree, as everybody runs them.
#[test]
fn the_sample_passes() {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("../..");
    let folder = tempfile::tempdir().unwrap();
    let root = root.join("policies").canonicalize().unwrap();
    let output = finish(command(
        folder.path(),
        &["test", "--policies", root.to_str().unwrap()],
    ));
    assert_eq!(output.code, 0, "{}{}", output.out, output.err);
}

/// A gateway that runs: what is sent, and what cannot be tested there.
#[test]
fn against_a_gateway() {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = format!("http://{}", listener.local_addr().unwrap());
    let server = thread::spawn(move || {
        let mut seen = Vec::new();
        for connection in listener.incoming().take(5) {
            let mut connection = connection.unwrap();
            let mut text = String::new();
            let mut bytes = [0; 4096];
            while !text.contains("\r\n\r\n") {
                let read = connection.read(&mut bytes).unwrap();
                text.push_str(std::str::from_utf8(&bytes[..read]).unwrap());
            }
            let stream = "data: {\"choices\":[]}\n\ndata: {\"error\":{\"code\":\"stream_cut\"}}\n\n";
            let (status, body) = if text.starts_with("GET /stream") {
                ("200 OK\r\nContent-Type: text/event-stream", stream)
            } else if text.contains("authorization: Bearer tpk_right") {
                ("200 OK", "[1]")
            } else {
                ("401 Unauthorized", "{\"code\":\"credential_missing\"}")
            };
            let answer = format!(
                "HTTP/1.1 {status}\r\nX-Kind: a\r\nContent-Length: {}\r\nConnection: close\r\n\r\n{body}",
                body.len()
            );
            connection.write_all(answer.as_bytes()).unwrap();
            seen.push(text);
        }
        seen
    });
    let tree = Tree::new();
    tree.write(
        "tests/one.yaml",
        "- { name: nobody, request: { get: /a//b }, expect: { status: 401, code: credential_missing, headers: { x-kind: a } } }\n\
         - { name: app, request: { get: /pets, as: app }, expect: { status: 200, json: [1] } }\n\
         - { name: wrong, request: { get: /pets }, expect: { status: 200 } }\n\
         - { name: batch, request: { get: /pets, as: batch }, expect: { status: 200 } }\n\
         - { name: limits, request: { get: /pets, as: app, times: 9 }, expect: { status: 200 } }\n\
         - { name: cut, request: { get: /stream }, expect: { status: 200, code: stream_cut } }\n\
         - { name: dots, request: { get: /a/%2E./b }, expect: { status: 401 } }\n\
         - { name: long, request: { post: /a, headers: { content-length: 9 }, body: \"{}\" }, expect: { status: 413 } }\n\
         - { name: scoped, request: { get: /pets, as: { consumer: trial, scopes: [pets:write] } }, expect: { status: 200 } }\n\
         - { name: later, at: 2030-01-01, request: { get: /pets }, expect: { status: 200 } }\n\
         - { name: inside, request: { get: /pets }, expect: { upstream: none } }\n\
         - { name: halfway, steps: [{ request: { get: /pets }, expect: { status: 200 } }, { request: { get: /pets, as: batch }, expect: { status: 200 } }] }\n",
    );
    std::fs::write(
        tree.folder.path().join("credentials.yaml"),
        "app: $TOKEN_OF_APP\ntrial: e30.eyJzY29wZSI6InBldHM6cmVhZCJ9.x\n",
    )
    .unwrap();
    let arguments = [
        "test",
        "--env",
        "dev",
        "--against",
        &address,
        "--credentials",
        "credentials.yaml",
    ];
    let unset = tree.run(&arguments);
    assert_eq!(unset.code, 2);
    assert!(
        unset
            .err
            .contains("the credential of `app` is in $TOKEN_OF_APP, which is not set"),
        "{}",
        unset.err
    );
    let mut command = tree.command(&arguments);
    command.env("TOKEN_OF_APP", "tpk_right");
    let output = finish(command);
    assert_eq!(output.code, 1, "{}{}", output.out, output.err);
    for part in [
        "ok    nobody",
        "ok    app",
        "FAIL  wrong",
        "skip  batch: --credentials has none for `batch`",
        "skip  limits: needs a virtual clock (`times`: all at one instant)",
        "skip  later: needs a virtual clock (`at`)",
        "skip  inside: looks at what an upstream gets",
        // Nothing of it was sent: the server takes no sixth request.
        "skip  halfway: --credentials has none for `batch`",
        "ok    cut",
        // It is sent as it is written; a gateway that runs sees it resolved, as one that is played does.
        "ok    dots",
        "skip  long: announces another body than it sends",
        "skip  scoped: --credentials has none for `trial` with the scopes pets:write",
        "4 passed, 1 failed, 7 skipped",
    ] {
        assert!(output.out.contains(part), "{part}\n{}{}", output.out, output.err);
    }
    assert!(!output.out.contains("tpk_right") && !output.err.contains("tpk_right"));
    let seen = server.join().unwrap();
    assert!(seen[0].starts_with("GET /a//b HTTP/1.1\r\n"), "{}", seen[0]);

    let away = tree.run(&[
        "test",
        "--env",
        "dev",
        "--against",
        "http://127.0.0.1:1",
        "nobody",
    ]);
    assert_eq!(away.code, 1);
    assert!(away.out.contains("policies/tests/one.yaml:1: "), "{}", away.out);
    assert_eq!(tree.run(&["test", "--against", "http://127.0.0.1:1"]).code, 2);
    assert_eq!(
        tree.run(&["test", "--env", "dev", "--against", "api.acme.example"])
            .code,
        2
    );
}

#[test]
fn what_came_of_tests_is_said_to_programs_too() {
    let tree = Tree::new();
    tree.write(
        "tests/formats.yaml",
        "- { name: nobody gets in, request: { get: /pets/v1/pets }, expect: { status: 401 } }\n- { name: wrong, request: { get: /x }, expect: { status: 200 } }\n",
    );
    let done = tree.run(&["test", "formats", "--env", "dev", "--format", "github"]);
    assert_eq!(done.code, 1, "{}{}", done.out, done.err);
    let lines: Vec<_> = done.out.lines().collect();
    assert_eq!(lines.len(), 1, "{}", done.out);
    assert!(
        lines[0].starts_with("::error file=policies/tests/formats.yaml,line=2,title=wrong in dev::"),
        "{}",
        done.out
    );
    let done = tree.run(&["test", "formats", "--env", "dev", "--format", "json"]);
    assert_eq!(done.code, 1);
    let said: serde_json::Value = serde_json::from_str(&done.out).unwrap();
    assert_eq!(said["summary"]["passed"], 1, "{said}");
    assert_eq!(said["tests"][1]["outcome"], "failed", "{said}");
    let done = tree.run(&["test", "formats", "--env", "dev", "--format", "sarif"]);
    assert_eq!(done.code, 1);
    let results = sarif(&done.out);
    assert_eq!(results.len(), 1, "{results:#?}");
    assert_eq!(results[0]["ruleId"], "test");
    let place = &results[0]["locations"][0]["physicalLocation"];
    assert_eq!(place["artifactLocation"]["uri"], "policies/tests/formats.yaml");
    assert_eq!(place["region"]["startLine"], 2);
}

#[test]
fn an_issuer_of_opaque_tokens_is_played() {
    let tree = Tree::new();
    let asked = "  opaque:\n    issuer: https://opaque.acme.example\n    audience: [acme]\n    introspection: { endpoint: https://opaque.acme.example/introspect, client_id: gateway, secret: ASKS, prefix: 'acme+' }\n";
    let gateway = std::fs::read_to_string(tree.path("gateway.yaml")).expect("a file");
    tree.write(
        "gateway.yaml",
        &gateway.replacen("issuers:\n", &format!("issuers:\n{asked}"), 1),
    );
    tree.change(
        "consumers/app.yaml",
        "credentials: [{",
        "credentials: [{ jwt: { issuer: opaque, is: app-opaque } }, {",
    );
    let case = |name: &str, claims: &str, expect: &str| {
        format!(
            "- name: {name}\n  request: {{ get: /pets/v1/pets, as: {{ consumer: app, with: opaque{claims} }} }}\n  expect: {expect}\n"
        )
    };
    let text = [
        case(
            "an active token opens what its consumer may",
            "",
            "{ status: 200 }",
        ),
        case(
            "one that is not opens nothing",
            ", claims: { active: false }",
            "{ status: 401, code: credential_invalid }",
        ),
        case(
            "nor one for others",
            ", claims: { aud: elsewhere }",
            "{ status: 401, code: credential_invalid }",
        ),
        case(
            "nor one of which that is not said as it must be",
            ", claims: { active: 'true' }",
            "{ status: 503, code: introspection_unavailable }",
        ),
    ]
    .concat();
    tree.write("tests/opaque.yaml", &text);
    let out = tree.good(&["test", "--env", "dev"]);
    assert!(out.contains("4 passed, 0 failed"), "{out}");
}

/// Each environment has a bound, and a tree any number of environments.
#[test]
fn a_run_over_all_environments_has_an_end() {
    let tree = Tree::new();
    tree.change(
        "gateway.yaml",
        "environments:\n",
        "environments:\n  one: { mocks: allowed }\n  two: { mocks: allowed }\n  three: { mocks: allowed }\n  four: { mocks: allowed }\n",
    );
    tree.write(
        "tests/many.yaml",
        "- { name: first, request: { get: /pets/v1/pets, times: 100_000 }, expect: { status: 401 } }\n\
         - { name: second, request: { get: /pets/v1/pets, times: 99_999 }, expect: { status: 401 } }\n\
         - { name: few, request: { get: /pets/v1/pets }, expect: { status: 401 } }\n",
    );
    tree.good(&["check"]);
    let output = tree.run(&["test"]);
    assert_eq!(output.code, 2, "{}{}", output.out, output.err);
    assert!(
        output
            .err
            .contains("send 1200000 requests together, and a run sends 1000000 at the most"),
        "{}",
        output.err
    );
    let out = tree.good(&["test", "few"]);
    assert!(out.contains("6 passed"), "{out}");
}
