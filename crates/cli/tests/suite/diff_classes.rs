//! `turnpike diff`: of which class a change is, and at which line it is told.

use crate::common::{Tree, git};
use crate::diff::{changed, copy};

/// Nothing reaches an upstream unless it is named: who names it lets callers send it.
#[test]
fn what_newly_reaches_an_upstream_loosens() {
    let limit = "{ name: limit, in: query, schema: { type: integer } }";
    let more = format!(
        "{limit}, {{ name: tag, in: query, schema: {{ type: string }} }}, {{ name: x-tag, in: header, schema: {{ type: string }} }}"
    );
    let edits = [
        ("apis/pets/v1.yaml", limit, more.as_str()),
        (
            "apis/pets/v1.yaml",
            "content: { application/json:",
            "content: { text/plain: {}, application/json:",
        ),
    ];
    let output = changed(&edits).run(&["diff", "old", "--fail-on", "loosening"]);
    for said in [
        "loosening   listPets: passing on the query parameter `tag` is added",
        "loosening   listPets: passing on the header `x-tag` is added",
        "loosening   createPet: the media type of bodies `text/plain` is added",
    ] {
        assert!(output.out.contains(said), "{said}\n{}", output.out);
    }
    assert_eq!(output.code, 1);
    let back = changed(&edits).good(&["diff", "policies", "old"]);
    assert!(
        back.contains("risky       listPets: passing on the query parameter `tag` is removed"),
        "{back}"
    );
    // Behind a mock there is nothing that it could reach.
    let tree = Tree::new();
    tree.change(
        "apis/pets/api.yaml",
        "    upstream: https://pets.internal.example/api\n    upstream_credential: { secret: PETS_TOKEN }\n",
        "    mock: openapi\n",
    );
    copy(&tree.path(""), &tree.folder.path().join("old"));
    tree.change("apis/pets/v1.yaml", limit, &more);
    let out = tree.good(&["diff", "old", "--env", "dev"]);
    assert!(
        out.contains("safe        listPets: passing on the query parameter `tag` is added"),
        "{out}"
    );
}

/// How long tokens may live in an environment holds for issuers to come, also where each that there is says less.
#[test]
fn the_longest_life_of_tokens_is_compared() {
    let tree = |life: &str| {
        let tree = Tree::new();
        tree.change(
            "gateway.yaml",
            "    secret: BATCH_KEY\n",
            "    secret: BATCH_KEY\n    max_lifetime: 1m\n",
        );
        tree.change(
            "gateway.yaml",
            "mocks: forbidden }",
            &format!("mocks: forbidden{life} }}"),
        );
        tree
    };
    for (was, is, said) in [
        (
            ", max_lifetime: 20m",
            ", max_lifetime: 1h",
            "loosening   the environment's `max_lifetime`: 20m → 1h",
        ),
        (
            ", max_lifetime: 1h",
            ", max_lifetime: 20m",
            "tightening  the environment's `max_lifetime`: 1h → 20m",
        ),
        (
            ", max_lifetime: 20m",
            "",
            "loosening   the environment's `max_lifetime` (20m) is removed",
        ),
        (
            "",
            ", max_lifetime: 20m",
            "tightening  the environment's `max_lifetime` (20m) is added",
        ),
    ] {
        let new = tree(is);
        copy(&tree(was).path(""), &new.folder.path().join("old"));
        let out = new.good(&["diff", "old"]);
        let line = format!("{said} (in production)  [policies/gateway.yaml:21]");
        assert!(
            out.contains(&line) && out.contains("\n1 change from"),
            "{line}\n{out}"
        );
    }
}

/// Callers were promised a version until its sunset: who takes time from them breaks their calls, and so does who ends it
/// without notice. Past it, it is over, unless somebody opens it again.
#[test]
fn a_sunset_is_a_promise() {
    let from = |date: &str| format!("state: deprecated, deprecated: 2026-01-01, sunset: {date}");
    let active = "state: active".to_owned();
    for (was, is, as_of, class) in [
        (from("2027-06-30"), from("2027-03-31"), "2026-06-01", "breaking "),
        (from("2027-03-31"), from("2027-06-30"), "2026-06-01", "safe "),
        (from("2027-03-31"), active.clone(), "2026-06-01", "safe "),
        // What is announced early enough leaves time to move.
        (active.clone(), from("2026-07-02"), "2026-06-01", "risky "),
        (active.clone(), from("2026-06-30"), "2026-06-01", "breaking "),
        (
            "state: preview".to_owned(),
            "state: preview, sunset: 2026-06-03".to_owned(),
            "2026-06-01",
            "risky ",
        ),
        (
            "state: preview, sunset: 2027-06-03".to_owned(),
            "state: preview, sunset: 2027-01-03".to_owned(),
            "2026-06-01",
            "risky ",
        ),
    ] {
        let tree = Tree::new();
        let write = |state: &str| {
            tree.write(
                "apis/pets/api.yaml",
                &format!("api: pets\ntitle: Pets\nowner: team\npath: /pets\nversions:\n  v1: {{ openapi: v1.yaml, {state}, upstream: 'https://a.example' }}\n"),
            );
        };
        write(&was);
        copy(&tree.path(""), &tree.folder.path().join("old"));
        write(&is);
        let out = tree.good(&["diff", "old", "--as-of", as_of]);
        let told = out.lines().find(|line| line.contains("sunset: "));
        let told = told.unwrap_or_else(|| panic!("{was} {is}\n{out}"));
        assert!(
            told.trim_start().starts_with(class),
            "{was} → {is}: {class}\n{out}"
        );
    }
}

/// What is over answers nobody, until somebody opens it again.
#[test]
fn a_version_that_is_past_its_sunset_is_opened_again() {
    let tree = Tree::new();
    tree.change(
        "apis/pets/api.yaml",
        "state: active",
        "state: deprecated\n    deprecated: 2020-01-01\n    sunset: 2020-06-01",
    );
    let day = "2020-02-01";
    git(tree.folder.path(), &["init", "-q"], day);
    git(tree.folder.path(), &["add", "."], day);
    git(tree.folder.path(), &["commit", "-q", "-m", "first"], day);
    tree.change("apis/pets/api.yaml", "sunset: 2020-06-01", "sunset: 2099-06-01");
    let out = tree.good(&["diff", "HEAD"]);
    let said = "loosening   sunset: 2020-06-01T00:00:00Z → 2099-06-01T00:00:00Z";
    assert!(out.contains(said), "{out}");
}

/// What is not written down nobody can show later.
#[test]
fn a_log_of_failures_alone_is_less_evidence() {
    let edit = [(
        "gateway.yaml",
        "gateway: acme\n",
        "gateway: acme\nlog: { requests: failures }\n",
    )];
    let output = changed(&edit).run(&["diff", "old", "--fail-on", "loosening"]);
    assert!(
        output.out.contains("loosening   log: all → failures"),
        "{}",
        output.out
    );
    assert_eq!(output.code, 1);
    let back = changed(&edit).good(&["diff", "policies", "old"]);
    assert!(back.contains("safe        log: failures → all"), "{back}");
}

/// What changes of a consumer is told at the line that says it.
#[test]
fn a_change_of_a_consumer_is_told_at_its_own_line() {
    let other = "1c8bfe8f801d79745c4631d09fff36c82aa37fc4cce4fc946683d7b336b63032";
    let tree = Tree::new();
    tree.write(
        "consumers/trial.yaml",
        &format!(
            "consumer: trial\nowner: team-app\nplan: free\nmay:\n  - {{ models: [chat] }}\n\
             credentials:\n  - key: {{ sha256: 9f86d081884c7d659a2feaa0c55ad015a3bf4f1b2b0b822cd15d6c15b0f00a08, expires: 2099-01-01 }}\n  \
             - key: {{ sha256: {other}, expires: 2099-01-01 }}\n  - jwt: {{ issuer: acme, is: trial-1 }}\n"
        ),
    );
    copy(&tree.path(""), &tree.folder.path().join("old"));
    tree.change("consumers/trial.yaml", "team-app", "team-trial");
    tree.change(
        "consumers/trial.yaml",
        &format!("{other}, expires: 2099-01-01"),
        &format!("{other}, expires: 2099-06-01"),
    );
    tree.change("consumers/trial.yaml", "is: trial-1", "is: trial-2");
    tree.change("consumers/app.yaml", "is: app-1 }", "is: app-1, client: app }");
    tree.write("consumers/fresh.yaml", "# New.\nconsumer: fresh\nowner: team-app\nplan: free\ncredentials:\n  - jwt: { issuer: acme, is: fresh }\nmay: [{ models: [chat] }]\n");
    let out = tree.good(&["diff", "old"]);
    for (part, line) in [
        ("owner: team-app → team-trial", "consumers/trial.yaml:2"),
        (
            "ends: 2099-01-01T00:00:00Z → 2099-06-01T00:00:00Z",
            "consumers/trial.yaml:8",
        ),
        ("token `trial-2 of acme` is added", "consumers/trial.yaml:9"),
        ("token `trial-1 of acme` is removed", "consumers/trial.yaml:9"),
        (
            "token `app-1 of acme` must be of the client `app`",
            "consumers/app.yaml:4",
        ),
        ("is new, on the plan free", "consumers/fresh.yaml:2"),
        ("gains the model chat", "consumers/fresh.yaml:7"),
    ] {
        let told = out.lines().find(|told| told.contains(part));
        let end = format!("[policies/{line}]");
        assert!(
            told.is_some_and(|told| told.ends_with(&end)),
            "{part} {end}\n{out}"
        );
    }
    let back = tree.good(&["diff", "policies", "old"]);
    let gone = back
        .lines()
        .find(|told| told.contains("is gone: its calls are refused"));
    assert!(
        gone.is_some_and(|told| told.ends_with("consumers/fresh.yaml:2]")),
        "{back}"
    );
}

/// A test that is gone shows nothing any more, and none of the others says so.
#[test]
fn tests_that_are_gone_are_told() {
    let test = |name: &str| {
        format!("- name: {name}\n  request: {{ get: /v1/models }}\n  expect: {{ status: 401 }}\n")
    };
    let tree = Tree::new();
    let all: Vec<_> = ["one", "two", "three"].map(test).into();
    tree.write("tests/all.yaml", &all.concat());
    tree.write("tests/more.yaml", &test("one"));
    copy(&tree.path(""), &tree.folder.path().join("old"));
    // In another file it is there still; another name is another test.
    tree.write("tests/more.yaml", &test("three"));
    tree.write("tests/all.yaml", &[test("one"), test("four")].concat());
    let out = tree.good(&["diff", "old"]);
    let said = "tests\n  risky       2 tests are gone: `two`, `one`  [policies/tests/all.yaml:4]";
    assert!(out.contains(said) && out.contains("\n1 change from"), "{out}");
    let output = tree.run(&["diff", "old", "--fail-on", "risky"]);
    assert_eq!(output.code, 1);
    // A new one changes nothing for anybody.
    let back = tree.good(&["diff", "old", "old"]);
    assert!(back.contains("no change") || !back.contains("risky"), "{back}");
}

/// Who gives an environment another name hides nothing by that.
#[test]
fn an_environment_of_another_name_is_compared_with_what_it_was() {
    let tree = changed(&[
        (
            "gateway.yaml",
            "production: { mocks: forbidden }",
            "live: { mocks: forbidden, http_upstreams: allowed }",
        ),
        ("plans/free.yaml", "rate: 2/s", "rate: 20/s"),
        (
            "consumers/trial.yaml",
            "  - { models: [chat] }",
            "  - { models: [chat] }\n  - { models: [large], environments: [live] }",
        ),
    ]);
    let output = tree.run(&["diff", "old", "--fail-on", "loosening"]);
    for said in [
        "risky       the environment `production` is gone, and `live` is new: it is compared with that (in live)",
        "loosening   limit: 2/s → 20/s (in dev and live)  [policies/plans/free.yaml:2]",
        "loosening   gains the model large (in live)",
        "loosening   the permission `http_upstreams` (allowed) is added (in live)",
    ] {
        assert!(output.out.contains(said), "{said}\n{}", output.out);
    }
    assert_eq!(output.code, 1);
    let one = tree.good(&["diff", "old", "--env", "live"]);
    assert!(one.contains("gains the model large"), "{one}");
    // Nor does who adds one beside it.
    tree.change(
        "gateway.yaml",
        "  live: {",
        "  canary: { mocks: forbidden }\n  live: {",
    );
    let out = tree.good(&["diff", "old"]);
    assert!(
        out.contains("gains the model large (in live)") && out.contains("`canary` is new: it is compared"),
        "{out}"
    );
    // Nor does who takes away one that may more, which it might have been.
    tree.change("gateway.yaml", "  canary: { mocks: forbidden }\n", "");
    tree.change(
        "gateway.yaml",
        "  dev: { mocks: allowed, explain: allowed }\n",
        "",
    );
    let out = tree.good(&["diff", "old"]);
    for said in [
        "`production` is gone, and `live` is new",
        "`dev` is gone, and `live` is new",
        "(allowed) is added",
    ] {
        assert!(out.contains(said), "{said}\n{out}");
    }
    assert!(!out.contains("live and live"), "{out}");
}
