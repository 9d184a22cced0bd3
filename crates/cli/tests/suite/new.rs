//! `turnpike new api`, `new model` and `new consumer`.

use std::fs;

use crate::common::Tree;

const DOCUMENT: &str = "openapi: 3.1.1\ninfo: { title: 'Orders: all of them', version: 1.0.0 }\npaths: { /orders: { get: { operationId: listOrders, responses: { '200': { description: Orders., content: { application/json: { example: [] } } } } } } }\n";

fn with_document() -> Tree {
    let tree = Tree::new();
    fs::write(tree.folder.path().join("orders.yaml"), DOCUMENT).unwrap();
    tree
}

#[test]
fn files_as_a_person_writes_them() {
    let tree = with_document();
    tree.good(&[
        "new",
        "api",
        "orders",
        "--from",
        "orders.yaml",
        "--owner",
        "team-orders",
        "--upstream",
        "https://orders.internal.example",
        "--secret",
        "ORDERS_TOKEN",
    ]);
    assert_eq!(
        tree.read("apis/orders/api.yaml"),
        "api: orders\ntitle: \"Orders: all of them\"\nowner: team-orders\npath: /orders\nversions:\n  v1:\n    openapi: v1.yaml\n    state: active\n    upstream: https://orders.internal.example\n    upstream_credential: { secret: ORDERS_TOKEN }\n"
    );
    assert_eq!(tree.read("apis/orders/v1.yaml"), DOCUMENT);

    tree.good(&[
        "new",
        "model",
        "writer",
        "--owner",
        "team ai",
        "--to",
        "openai/gpt-5=80",
        "--to",
        "openai/gpt-4.1=20",
        "--fallback",
        "openai/gpt-5-mini",
        "--max-output-tokens",
        "4000",
    ]);
    assert_eq!(
        tree.read("models/writer.yaml"),
        "model: writer\nowner: team ai\ntargets:\n  - { to: openai/gpt-5, weight: 80 }\n  - { to: openai/gpt-4.1, weight: 20 }\nfallback: [openai/gpt-5-mini]\nmax_output_tokens: 4000\n"
    );

    tree.good(&[
        "new",
        "consumer",
        "mobile",
        "--owner",
        "team-mobile",
        "--plan",
        "gold",
        "--jwt",
        "acme=mobile-1",
        "--api",
        "orders",
        "--api",
        "pets:listPets,getPet",
        "--model",
        "writer",
        "--environments",
        "dev",
    ]);
    assert_eq!(
        tree.read("consumers/mobile.yaml"),
        "consumer: mobile\nowner: team-mobile\nplan: gold\nenvironments: [dev]\ncredentials:\n  - jwt: { issuer: acme, is: mobile-1 }\nmay:\n  - { api: orders, operations: all }\n  - { api: pets, operations: [listPets, getPet] }\n  - { models: [writer] }\n"
    );
    tree.good(&["new", "consumer", "later", "--owner", "team", "--plan", "free"]);
    tree.good(&["new", "key", "--consumer", "later"]);
    tree.good(&["check"]);
    tree.good(&["fmt", "--check"]);
}

#[test]
fn a_model_with_prices_and_a_template() {
    let tree = Tree::new();
    tree.write(
        "templates/steady.yaml",
        "template: steady\nparameters:\n  first: { type: duration }\nmodel:\n  timeouts: { first_token: \"${first}\" }\n",
    );
    let new = |more: &[&str]| {
        let arguments = [
            "new",
            "model",
            "writer",
            "--owner",
            "team-ai",
            "--to",
            "openai/gpt-5=80",
        ];
        tree.run(&[&arguments[..], more].concat())
    };
    for (more, code, said) in [
        (
            &["--price", "openai/gpt-5=1.25"][..],
            2,
            "write TARGET=INPUT/OUTPUT",
        ),
        (
            &["--price", "openai/gpt-5=1.25/ten"],
            2,
            "write TARGET=INPUT/OUTPUT",
        ),
        (
            &["--price", "openai/gpt-5=1/2/3/4"],
            2,
            "write TARGET=INPUT/OUTPUT",
        ),
        (
            &["--price", "openai/gpt-4=1/2"],
            2,
            "`openai/gpt-4`, which is no target",
        ),
        (
            &["--price", "openai/gpt-5=1/2", "--price", "openai/gpt-5=1/3"],
            2,
            "gives `openai/gpt-5` twice",
        ),
        (&["--template", "steady"], 1, "`first`"),
        (
            &["--fallback", "openai/gpt-5-mini=20"],
            1,
            "means nothing in `fallback`",
        ),
        (&["--set", "first=10s"], 2, "--template"),
    ] {
        let output = new(more);
        assert_eq!(output.code, code, "{more:?}: {}", output.err);
        assert!(output.err.contains(said), "{more:?}: {}", output.err);
        assert!(!tree.folder.path().join("policies/models/writer.yaml").exists());
    }
    let output = new(&[
        "--fallback",
        "openai/gpt-5-mini",
        "--fallback",
        "openai/gpt-4.1",
        "--price",
        "openai/gpt-5=1.25/10/0.125",
        "--price",
        "openai/gpt-5-mini=0.25/2",
        "--template",
        "steady",
        "--set",
        "first=10s",
    ]);
    assert_eq!(output.code, 0, "{}", output.err);
    assert_eq!(
        tree.read("models/writer.yaml"),
        "model: writer\nowner: team-ai\ntemplate: steady\nwith: { first: 10s }\ntargets:\n  - { to: openai/gpt-5, weight: 80, price: { input: 1.25 USD/Mtok, output: 10 USD/Mtok, cached_input: 0.125 USD/Mtok } }\nfallback:\n  - { to: openai/gpt-5-mini, price: { input: 0.25 USD/Mtok, output: 2 USD/Mtok } }\n  - openai/gpt-4.1\n"
    );
    tree.good(&["fmt", "--check"]);
}

#[test]
fn one_more_version_keeps_what_is_there() {
    let tree = with_document();
    let api = "# Who it is.\napi: orders\ntitle: Orders\nowner: team\npath: /orders\nversions:\n    # The first.\n    v1:\n        openapi: v1.yaml   # theirs\n        state: active\n        upstream: https://a.example # soon another\n# After that.\nlimits: [{ rate: 3/s }]\n";
    tree.write("apis/orders/api.yaml", api);
    tree.write("apis/orders/v1.yaml", DOCUMENT);
    tree.good(&[
        "new",
        "api",
        "orders",
        "--from",
        "orders.yaml",
        "--version",
        "v2",
        "--state",
        "preview",
        "--upstream",
        "https://b.example",
    ]);
    let added =
        "    v2:\n        openapi: v2.yaml\n        state: preview\n        upstream: https://b.example\n";
    let after = tree.read("apis/orders/api.yaml");
    assert_eq!(
        after,
        api.replace("# After that.", &format!("{added}# After that."))
    );
    for (arguments, said) in [
        (
            &["--version", "v2", "--upstream", "https://b.example"][..],
            "v2.yaml exists",
        ),
        (
            &[
                "--version",
                "v3",
                "--upstream",
                "https://b.example",
                "--owner",
                "other",
            ],
            "--owner would change all of its versions",
        ),
    ] {
        let output = tree.run(&[&["new", "api", "orders", "--from", "orders.yaml"], arguments].concat());
        assert_eq!(output.code, 2, "{}", output.out);
        assert!(output.err.contains(said), "{}", output.err);
    }
    // What is not plainly understood is left to its author.
    tree.write("apis/orders/api.yaml", "api: orders\ntitle: Orders\nowner: team\npath: /orders\nversions: { v1: { openapi: v1.yaml, state: active, upstream: 'https://a.example' } }\n");
    let output = tree.run(&[
        "new",
        "api",
        "orders",
        "--from",
        "orders.yaml",
        "--version",
        "v3",
        "--upstream",
        "https://b.example",
    ]);
    assert_eq!(output.code, 2);
    assert!(
        output.err.contains("written in braces") && output.err.contains("  v3:\n    openapi: v3.yaml"),
        "{}",
        output.err
    );
}

#[test]
fn an_api_that_builds_on_a_template() {
    let tree = with_document();
    tree.write(
        "templates/standard.yaml",
        "template: standard\nparameters:\n  body: { type: size }\n  rate: { type: rate, default: 5/s }\n  \"on\": { type: text, default: x }\napi:\n  max_body: ${body}\n  limits: [{ rate: \"${rate}\" }]\n",
    );
    let new = |name: &str, more: &[&str]| {
        let fixed = [
            "new",
            "api",
            name,
            "--from",
            "orders.yaml",
            "--owner",
            "team",
            "--upstream",
            "https://orders.internal.example",
        ];
        tree.run(&[&fixed, more].concat())
    };
    let output = new(
        "orders",
        &[
            "--template",
            "standard",
            "--set",
            "body=64KiB",
            "--set",
            "rate=2/s",
            "--environments",
            "dev",
        ],
    );
    assert_eq!(output.code, 0, "{}", output.err);
    assert_eq!(
        tree.read("apis/orders/api.yaml"),
        "api: orders\ntitle: \"Orders: all of them\"\nowner: team\npath: /orders\nenvironments: [dev]\ntemplate: standard\nwith: { body: 64KiB, rate: 2/s }\nversions:\n  v1:\n    openapi: v1.yaml\n    state: active\n    upstream: https://orders.internal.example\n"
    );
    tree.good(&["check"]);
    tree.good(&["fmt", "--check"]);
    let effective = tree.good(&["show", "effective", "orders/v1#listOrders"]);
    assert!(effective.contains("2/s for each caller"), "{effective}");

    for (more, code, said) in [
        (&["--template", "standard"][..], 1, "`body`"),
        (
            &["--template", "standart", "--set", "body=1KiB"],
            1,
            "did you mean `standard`?",
        ),
        (&["--template", "standard", "--set", "body=many"], 1, "many"),
        (
            &[
                "--template",
                "standard",
                "--set",
                "body=1KiB",
                "--set",
                "bdy=1KiB",
            ],
            1,
            "bdy",
        ),
        (
            &[
                "--template",
                "standard",
                "--set",
                "body=1KiB",
                "--set",
                "body=2KiB",
            ],
            2,
            "`body` twice",
        ),
        (
            &["--template", "standard", "--set", "body"],
            2,
            "write NAME=VALUE",
        ),
        (&["--set", "body=1KiB"], 2, "--template"),
    ] {
        let output = new("more", more);
        assert_eq!(output.code, code, "{more:?}\n{}", output.err);
        assert!(output.err.contains(said), "{more:?}: {said}\n{}", output.err);
        assert!(!tree.path("apis/more").exists(), "{more:?}");
    }
    let output = new("orders", &["--version", "v2", "--template", "standard"]);
    assert_eq!(output.code, 2);
}

/// What is wrong in one environment only is told beside what is wrong in another, and once if it is the same.
#[test]
fn every_environment_tells_what_is_wrong() {
    let tree = with_document();
    let more = ["--owner", "team", "--upstream", "orders", "--template", "none"];
    let output = tree.run(&[&["new", "api", "orders", "--from", "orders.yaml"], &more[..]].concat());
    assert_eq!(output.code, 1, "{}", output.out);
    for (part, times) in [
        ("the environment `dev` says of no upstream `orders`", 1),
        ("the environment `production` says of no upstream `orders`", 1),
        ("there is no template `none`", 1),
        ("there is no template here at all: write `templates/none.yaml`", 1),
    ] {
        assert_eq!(output.err.matches(part).count(), times, "{part}\n{}", output.err);
    }
}

/// A file that cannot be read is not taken for one that is not there.
#[test]
fn what_cannot_be_read_is_not_written_over() {
    let tree = with_document();
    fs::create_dir_all(tree.path("apis/orders")).unwrap();
    fs::write(tree.path("apis/orders/api.yaml"), b"api: orders\ntitle: \xff\n").unwrap();
    let before = fs::read(tree.path("apis/orders/api.yaml")).unwrap();
    let more = ["--owner", "team", "--upstream", "https://orders.internal.example"];
    let output = tree.run(&[&["new", "api", "orders", "--from", "orders.yaml"], &more[..]].concat());
    assert_eq!(output.code, 2, "{}", output.err);
    assert!(
        output.err.contains("cannot read policies/apis/orders/api.yaml"),
        "{}",
        output.err
    );
    assert_eq!(fs::read(tree.path("apis/orders/api.yaml")).unwrap(), before);
    let grants = [
        "new",
        "consumer",
        "shop",
        "--owner",
        "team",
        "--plan",
        "gold",
        "--api",
        "pets#listPets",
    ];
    let output = tree.run(&grants);
    assert_eq!(output.code, 2);
    assert!(output.err.contains("API:OPERATION,OPERATION"), "{}", output.err);
}

/// Either the policies are right with it, or nothing was changed.
#[test]
fn nothing_is_left_of_what_is_wrong() {
    let tree = with_document();
    fs::write(
        tree.folder.path().join("bad.yaml"),
        "openapi: 3.1.1\ninfo: { title: a, version: '1' }\npaths: { /a: { get: { operationId: a b } } }\n",
    )
    .unwrap();
    fs::write(tree.folder.path().join("swagger.yaml"), "swagger: '2.0'\n").unwrap();
    for (arguments, code, said) in [
        (
            &[
                "api",
                "orders",
                "--from",
                "bad.yaml",
                "--owner",
                "a",
                "--upstream",
                "https://a.example",
            ][..],
            1,
            "P0602",
        ),
        (
            &["api", "orders", "--from", "orders.yaml", "--owner", "a", "--mock"],
            1,
            "P0403",
        ),
        (
            &[
                "api",
                "orders",
                "--from",
                "orders.yaml",
                "--owner",
                "a",
                "--upstream",
                "a.example",
            ],
            1,
            "P0212",
        ),
        (
            &[
                "api",
                "orders",
                "--from",
                "orders.yaml",
                "--upstream",
                "https://a.example",
            ],
            2,
            "say who answers for it with --owner",
        ),
        (
            &["api", "orders", "--from", "orders.yaml", "--owner", "a"],
            2,
            "--upstream",
        ),
        (
            &[
                "api",
                "orders",
                "--from",
                "swagger.yaml",
                "--owner",
                "a",
                "--mock",
            ],
            2,
            "is no OpenAPI document",
        ),
        (
            &[
                "api",
                "orders",
                "--from",
                "nothing.yaml",
                "--owner",
                "a",
                "--mock",
            ],
            2,
            "cannot read nothing.yaml",
        ),
        (
            &["api", "Orders", "--from", "orders.yaml", "--owner", "a", "--mock"],
            2,
            "a name is lower case",
        ),
        (
            &["api", "../x", "--from", "orders.yaml", "--owner", "a", "--mock"],
            2,
            "a name is lower case",
        ),
        (
            &["model", "chat", "--owner", "a", "--to", "openai/x"],
            2,
            "chat.yaml exists",
        ),
        (
            &["model", "new", "--owner", "a", "--to", "openia/x"],
            1,
            "did you mean `openai`?",
        ),
        (
            &["model", "new", "--owner", "a", "--to", "gpt-5"],
            2,
            "write PROVIDER/MODEL",
        ),
        (
            &["model", "new", "--owner", "a", "--to", "openai/x=0"],
            2,
            "is no weight",
        ),
        (
            &["consumer", "new", "--owner", "a", "--plan", "golden"],
            1,
            "did you mean `gold`?",
        ),
        (
            &[
                "consumer",
                "new",
                "--owner",
                "a",
                "--plan",
                "gold",
                "--api",
                "pets:listPat",
            ],
            1,
            "P0301",
        ),
        (
            &[
                "consumer",
                "new",
                "--owner",
                "a",
                "--plan",
                "gold",
                "--jwt",
                "acme=app-1",
            ],
            1,
            "P0409",
        ),
    ] {
        let output = tree.run(&[&["new"], arguments].concat());
        assert_eq!(output.code, code, "{arguments:?}\n{}{}", output.out, output.err);
        assert!(output.err.contains(said), "{arguments:?}: {said}\n{}", output.err);
        for gone in ["apis/orders", "models/new.yaml", "consumers/new.yaml"] {
            assert!(!tree.path(gone).exists(), "{arguments:?}: {gone}");
        }
    }
    tree.good(&["check"]);
}

/// A link that somebody put into the tree leads nothing that is written out of it, wherever it leads.
#[cfg(unix)]
#[test]
fn nothing_is_written_through_a_link() {
    use std::os::unix::fs::symlink;
    let outside = tempfile::tempdir().unwrap();
    let leads = |name: &str| outside.path().join(name);
    let empty = || fs::read_dir(outside.path()).unwrap().count() == 0;
    let tree = with_document();
    symlink(leads("c.yaml"), tree.path("consumers/new.yaml")).unwrap();
    fs::create_dir_all(tree.path("apis/orders")).unwrap();
    symlink(leads("v1.yaml"), tree.path("apis/orders/v1.yaml")).unwrap();
    symlink(outside.path(), tree.path("apis/beyond")).unwrap();
    symlink(leads("gone"), tree.path("apis/dangling")).unwrap();
    symlink(leads("plans.json"), tree.folder.path().join("plans.json")).unwrap();
    let served = format!("{DOCUMENT}servers: [{{ url: 'https://orders.internal.example' }}]\n");
    fs::write(tree.folder.path().join("served.yaml"), served).unwrap();
    symlink(leads("gateway.yaml"), tree.folder.path().join("gateway.yaml")).unwrap();
    let api = |name: &'static str| {
        let from = [
            "new",
            "api",
            name,
            "--from",
            "orders.yaml",
            "--owner",
            "team-orders",
        ];
        [&from[..], &["--upstream", "https://orders.internal.example"]].concat()
    };
    let consumer = [
        "new", "consumer", "new", "--owner", "a", "--plan", "gold", "--jwt", "acme=new", "--model", "chat",
    ];
    let import = ["import", "openapi", "served.yaml", "--into", ".", "--owner", "a"];
    for arguments in [
        &consumer[..],
        &api("orders"),
        &api("beyond"),
        &api("dangling"),
        &["schema", "plans", "--out", "."],
        &import,
    ] {
        let done = tree.run(arguments);
        assert_eq!(done.code, 2, "{arguments:?}\n{}{}", done.out, done.err);
        assert!(done.err.contains("it is a link"), "{arguments:?}\n{}", done.err);
        assert!(empty(), "{arguments:?}");
    }
    // What is taken back leaves the links as they were.
    assert!(
        fs::symlink_metadata(tree.path("apis/dangling"))
            .unwrap()
            .is_symlink()
    );
    assert!(!tree.path("apis/orders/api.yaml").exists());
    // The policies are right here, so that the tests run.
    let tree = Tree::new();
    symlink(leads("report.xml"), tree.folder.path().join("report.xml")).unwrap();
    let done = tree.run(&["test", "--junit", "report.xml"]);
    assert_eq!(done.code, 2, "{}{}", done.out, done.err);
    assert!(done.err.contains("it is a link") && empty(), "{}", done.err);
}

#[test]
fn a_version_is_called_by_the_number_of_its_document() {
    let tree = with_document();
    let new = |more: &[&str]| {
        let fixed = [
            "new",
            "api",
            "orders",
            "--from",
            "orders.yaml",
            "--upstream",
            "https://a.example",
        ];
        tree.run(&[&fixed[..], more].concat())
    };
    assert_eq!(new(&["--owner", "team"]).code, 0);
    assert_eq!(tree.read("apis/orders/v1.yaml"), DOCUMENT);
    let output = new(&[]);
    assert!(
        output.code == 2 && output.err.contains("v1.yaml exists: choose another --version"),
        "{}",
        output.err
    );
    let next = DOCUMENT.replace("1.0.0", "2.4.0");
    fs::write(tree.folder.path().join("orders.yaml"), &next).unwrap();
    assert_eq!(new(&[]).code, 0);
    assert_eq!(tree.read("apis/orders/v2.yaml"), next);
    assert!(
        tree.read("apis/orders/api.yaml")
            .contains("  v2:\n    openapi: v2.yaml\n")
    );
    assert!(!tree.good(&["check"]).contains("P1319"));
    // Unless it is told otherwise.
    assert_eq!(new(&["--version", "v3"]).code, 0);
    assert!(tree.good(&["check"]).contains("P1319"));
}

/// Pipelines read what was made.
#[test]
fn what_was_made_is_told_to_programs() {
    let tree = with_document();
    let new = |arguments: &[&str]| -> serde_json::Value {
        let out = tree.good(&[&["new"], arguments, &["--format", "json"]].concat());
        serde_json::from_str(&out).unwrap()
    };
    fs::write(
        tree.folder.path().join("orders.yaml"),
        DOCUMENT.replace("operationId: listOrders, ", ""),
    )
    .unwrap();
    let api = [
        "api",
        "orders",
        "--from",
        "orders.yaml",
        "--upstream",
        "https://a.example",
    ];
    assert_eq!(
        new(&[&api[..], &["--owner", "team"]].concat()),
        serde_json::json!({
            "written": ["policies/apis/orders/api.yaml", "policies/apis/orders/v1.yaml"],
            "changed": [],
            "ids": [{ "id": "getOrders", "method": "GET", "path": "/orders" }],
        })
    );
    let next = new(&[&api[..], &["--version", "v2"]].concat());
    assert_eq!(
        next["written"],
        serde_json::json!(["policies/apis/orders/v2.yaml"])
    );
    assert_eq!(
        next["changed"],
        serde_json::json!(["policies/apis/orders/api.yaml"])
    );
    assert_eq!(
        new(&["model", "writer", "--owner", "team", "--to", "openai/gpt-5"]),
        serde_json::json!({ "written": ["policies/models/writer.yaml"], "changed": [] })
    );
    assert_eq!(
        new(&["consumer", "mobile", "--owner", "team", "--plan", "gold"]),
        serde_json::json!({ "written": ["policies/consumers/mobile.yaml"], "changed": [] })
    );
    let key = new(&[
        "key",
        "--consumer",
        "mobile",
        "--expires",
        "2099-01-01",
        "--scope",
        "a",
    ]);
    let text = key["key"].as_str().unwrap();
    assert!(
        text.starts_with(&format!("tpk_{}_", key["id"].as_str().unwrap())),
        "{key}"
    );
    assert_eq!(key["consumer"], "mobile");
    assert_eq!(key["expires"], "2099-01-01");
    assert_eq!(key["scopes"], serde_json::json!(["a"]));
    assert_eq!(
        key["changed"],
        serde_json::json!(["policies/consumers/mobile.yaml"])
    );
    let stored = tree.read("consumers/mobile.yaml");
    assert!(
        stored.contains(key["sha256"].as_str().unwrap()) && !stored.contains(text),
        "{stored}"
    );
    // What was not made is told to nobody as made.
    let output = tree.run(&[
        "new", "model", "writer", "--owner", "a", "--to", "b/c", "--format", "json",
    ]);
    assert_eq!((output.code, output.out.as_str()), (2, ""));
}

#[test]
fn a_model_has_a_state() {
    let tree = Tree::new();
    let new = |more: &[&str]| {
        let fixed = [
            "new",
            "model",
            "next",
            "--owner",
            "team-ai",
            "--to",
            "openai/gpt-5",
        ];
        tree.run(&[&fixed[..], more].concat())
    };
    // The policies do not take it of a model.
    let output = new(&["--state", "deprecated"]);
    assert!(
        output.code == 2 && output.err.contains("preview, active, retired"),
        "{}",
        output.err
    );
    assert_eq!(new(&["--state", "preview"]).code, 0);
    assert_eq!(
        tree.read("models/next.yaml"),
        "model: next\nowner: team-ai\nstate: preview\ntargets:\n  - openai/gpt-5\n"
    );
    tree.good(&["fmt", "--check"]);
    let out = tree.good(&["show", "inventory"]);
    let mut lines = out.lines();
    assert!(
        lines.any(|line| line.starts_with("model next ") && line.contains(" preview ")),
        "{out}"
    );
}

/// A checkout of Git on Windows.
#[test]
fn what_is_added_ends_its_lines_as_the_file_does() {
    let tree = with_document();
    let upstream = ["--from", "orders.yaml", "--upstream", "https://a.example"];
    tree.good(&[&["new", "api", "orders", "--owner", "team"], &upstream[..]].concat());
    let files = [
        "apis/orders/api.yaml",
        "apis/orders/v1.yaml",
        "consumers/app.yaml",
        "consumers/trial.yaml",
    ];
    for file in files {
        tree.write(file, &tree.read(file).replace('\n', "\r\n"));
    }
    let document = tree.folder.path().join("orders.yaml");
    let unnamed = DOCUMENT
        .replace("{ operationId: listOrders, responses", "{\n  responses")
        .replace('\n', "\r\n");
    fs::write(&document, &unnamed).unwrap();
    tree.good(&[&["new", "api", "orders", "--version", "v2"], &upstream[..]].concat());
    tree.good(&["new", "key", "--consumer", "app"]);
    tree.good(&["new", "key", "--consumer", "trial"]);
    for file in [&files[..], &["apis/orders/v2.yaml"]].concat() {
        let text = tree.read(file);
        assert_eq!(
            text.matches('\n').count(),
            text.matches("\r\n").count(),
            "{file}\n{text:?}"
        );
    }
    assert!(
        tree.read("apis/orders/api.yaml")
            .contains("\r\n  v2:\r\n    openapi: v2.yaml\r\n")
    );
}
