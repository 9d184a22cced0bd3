//! `turnpike diff`: what is compared with what, and how it is said.

use std::fs;
use std::process::Command;

use serde_json::Value;

use crate::common::{Tree, finish, git, sarif};
use crate::diff::{changed, copy};

#[test]
fn what_comes_and_goes() {
    let tree = changed(&[("consumers/trial.yaml", "\n  - { models: [chat] }", "")]);
    fs::remove_file(tree.path("models/chat.yaml")).unwrap();
    fs::remove_file(tree.path("consumers/batch.yaml")).unwrap();
    tree.write(
        "models/new.yaml",
        "model: new\nowner: team-ai\ntargets: [openai/gpt-6]\n",
    );
    let out = tree.good(&["diff", "old"]);
    for part in [
        "model chat\n  breaking    is gone",
        "model new\n  safe        is new",
        "consumer batch\n  tightening  is gone: its calls are refused",
        "consumer app\n  loosening   gains the model new",
        "changes from old to policies: 1 breaking, 1 loosening, ",
    ] {
        assert!(out.contains(part), "{part}\n{out}");
    }
    // The other way round.
    let out = tree.good(&["diff", "policies", "old"]);
    assert!(
        out.contains("consumer batch\n  loosening   gains pets/v1#"),
        "{out}"
    );
    assert!(out.contains("model new\n  breaking    is gone"), "{out}");
}

#[test]
fn a_gate_in_ci() {
    let tree = changed(&[("plans/gold.yaml", "burst: 50", "burst: 60")]);
    for (fail_on, code) in [
        ("breaking", 0),
        ("loosening", 1),
        ("breaking,loosening", 1),
        ("all", 2),
    ] {
        assert_eq!(
            tree.run(&["diff", "old", "--fail-on", fail_on]).code,
            code,
            "{fail_on}"
        );
    }
    let said: Value = serde_json::from_str(&tree.good(&["diff", "old", "--format", "json"])).unwrap();
    assert_eq!(said["summary"]["loosening"], 1);
    assert_eq!(said["changes"][0]["group"], "plan gold");
    assert_eq!(
        said["changes"][0]["environments"],
        serde_json::json!(["dev", "production"])
    );
    let markdown = tree.good(&["diff", "old", "--format", "markdown"]);
    assert!(
        markdown.starts_with("### Policy changes from `old` to `policies`\n\n**1** loosening\n"),
        "{markdown}"
    );
    assert!(
        markdown.contains(
            "| loosening | limit: 600/min, burst 50 → 600/min, burst 60 | `policies/plans/gold.yaml:3` |"
        ),
        "{markdown}"
    );
    assert_eq!(
        tree.good(&["diff", "old", "--format", "github"]),
        "::warning file=policies/plans/gold.yaml,line=3,title=loosening%3A plan gold::limit: 600/min, burst 50 → 600/min, burst 60 (dev, production)\n"
    );
    let results = sarif(&tree.good(&["diff", "old", "--format", "sarif"]));
    assert_eq!(results.len(), 1, "{results:#?}");
    assert_eq!(
        (&results[0]["ruleId"], &results[0]["level"]),
        (&"loosening".into(), &"warning".into())
    );
    let place = &results[0]["locations"][0]["physicalLocation"];
    assert_eq!(place["artifactLocation"]["uri"], "policies/plans/gold.yaml");
    assert_eq!(place["region"]["startLine"], 3);
    let one = tree.good(&["diff", "old", "--env", "dev", "--format", "json"]);
    assert!(one.contains("\"dev\"") && !one.contains("production"), "{one}");
}

#[test]
fn a_change_in_one_environment_says_so() {
    let tree = changed(&[(
        "gateway.yaml",
        "production: { mocks: forbidden }",
        "production: { mocks: forbidden, max_lifetime: 5m }",
    )]);
    let out = tree.good(&["diff", "old"]);
    assert!(
        out.contains("tightening  max_lifetime: 15m → 5m (in production)"),
        "{out}"
    );
}

#[test]
fn revisions_folders_and_bundles() {
    let tree = Tree::new();
    let git = |arguments: &[&str]| {
        let output = Command::new("git")
            .args([
                "-c",
                "user.name=a",
                "-c",
                "user.email=a@example.com",
                "-c",
                "commit.gpgsign=false",
            ])
            .args(arguments)
            .current_dir(tree.folder.path())
            .output()
            .unwrap();
        assert!(
            output.status.success(),
            "{}",
            String::from_utf8_lossy(&output.stderr)
        );
    };
    git(&["init", "-q"]);
    git(&["add", "."]);
    git(&["commit", "-q", "-m", "first"]);
    git(&["tag", "first"]);
    tree.change("plans/gold.yaml", "burst: 50", "burst: 60");
    git(&["commit", "-q", "-a", "-m", "second"]);
    assert!(
        tree.good(&["diff", "HEAD"])
            .contains("HEAD and policies have the same rules")
    );
    let out = tree.good(&["diff", "first"]);
    assert!(
        out.contains("burst 50 → 600/min, burst 60  [policies/plans/gold.yaml:3]"),
        "{out}"
    );
    assert!(
        tree.good(&["diff", "first", "HEAD"])
            .contains("1 change from first to HEAD: 1 loosening")
    );

    let options = turnpike_policy::source::Options {
        environment: "production".to_owned(),
        ..Default::default()
    };
    let outcome = turnpike_policy::source::build(&tree.path("").canonicalize().unwrap(), &options);
    fs::write(
        tree.folder.path().join("production.bundle"),
        outcome.bundle.unwrap().0,
    )
    .unwrap();
    let out = tree.good(&["diff", "production.bundle", "--env", "production"]);
    assert_eq!(out, "production.bundle and policies have the same rules\n");
    let out = tree.good(&["diff", "first", "production.bundle"]);
    assert!(
        out.contains("burst 60  [policies/plans/gold.yaml:3]\n\n1 change from first"),
        "{out}"
    );

    fs::write(tree.folder.path().join("broken.bundle"), "TPKB").unwrap();
    for (arguments, code, said) in [
        (
            &["nothing"][..],
            2,
            "it is neither a revision of Git, a folder nor a bundle",
        ),
        (&["--", "-x"], 2, "it is neither a revision"),
        (&["broken.bundle"], 2, "not a policy bundle"),
        (&["first", "--env", "prod"], 2, "there is no environment `prod`"),
        (
            &["first", "--policies", "elsewhere"],
            2,
            "there are no policies here of which it could be a revision",
        ),
    ] {
        let output = tree.run(&[&["diff"], arguments].concat());
        assert_eq!(output.code, code, "{arguments:?} {}", output.out);
        assert!(output.err.contains(said), "{arguments:?} {}", output.err);
    }
    tree.write("plans/bad.yaml", "plan: other");
    let output = tree.run(&["diff", "first"]);
    assert_eq!(output.code, 1);
    assert!(
        output.err.contains("policies has errors in `dev`"),
        "{}",
        output.err
    );

    // Where there is no Git.
    let tree = Tree::new();
    let mut command = tree.command(&["diff", "HEAD"]);
    command.env("GIT_CEILING_DIRECTORIES", tree.folder.path());
    assert_eq!(finish(command).code, 2);
}

#[test]
fn what_has_expired_since_is_read_as_of_its_commit() {
    let tree = changed(&[(
        "gateway.yaml",
        "environments:",
        "exceptions:\n  - { rule: authentication, for: apis/pets, reason: For a while., until: 2026-03-01 }\nenvironments:",
    )]);
    let asks = "authorize:\n  - { operations: [createPet], scopes: [pets:write] }\n";
    tree.change("apis/pets/api.yaml", asks, "authentication: none\n");
    let folder = tree.path("..");
    git(&folder, &["init", "-q"], "2026-02-01");
    git(&folder, &["add", "policies"], "2026-02-01");
    git(&folder, &["commit", "-qm", "Open"], "2026-02-01");
    // The exception has ended, and the API is closed again.
    tree.change("apis/pets/api.yaml", "authentication: none\n", asks);
    tree.change(
        "gateway.yaml",
        "exceptions:\n  - { rule: authentication, for: apis/pets, reason: For a while., until: 2026-03-01 }\n",
        "",
    );
    let done = tree.run(&["diff", "HEAD"]);
    assert_eq!(done.code, 0, "{}\n{}", done.out, done.err);
    assert!(done.err.contains("is read as of 2026-02-01"), "{}", done.err);
    for part in [
        "needs a credential",
        "the exception from `authentication` for apis/pets until (2026-03-01) is removed",
    ] {
        assert!(done.out.contains(part), "{part}\n{}", done.out);
    }
}

#[test]
fn another_plan_is_told_by_what_it_allows() {
    let tree = changed(&[]);
    tree.write("plans/large.yaml", "plan: large\nlimits: [{ rate: 900/s }]\n");
    copy_plan(&tree);
    let out = tree.good(&["diff", "old"]);
    assert!(out.contains("what was used is counted anew"), "{out}");
    assert!(out.contains("consumer app\n"), "{out}");
    let app = out.split("consumer app\n").nth(1).unwrap();
    let app = app.split("\nconsumer ").next().unwrap();
    assert!(app.contains("loosening   limit"), "{app}");
    assert_eq!(tree.run(&["diff", "old", "--fail-on", "loosening"]).code, 1);
}

#[test]
fn what_an_operation_is_called_gives_and_takes_nothing() {
    let tree = changed(&[
        (
            "apis/pets/v1.yaml",
            "operationId: listPets",
            "operationId: findPets",
        ),
        (
            "consumers/trial.yaml",
            "[listPets, createPet]",
            "[findPets, createPet]",
        ),
    ]);
    let out = tree.good(&["diff", "old"]);
    assert!(
        out.contains("risky       listPets is called findPets now"),
        "{out}"
    );
    assert!(!out.contains("gains") && !out.contains("loses"), "{out}");
    assert!(!out.contains("breaking"), "{out}");
}

/// Gives `app` the plan `large`.
fn copy_plan(tree: &Tree) {
    let path = tree.path("consumers/app.yaml");
    let text = fs::read_to_string(&path).unwrap();
    let plan = text.lines().find(|line| line.starts_with("plan:")).unwrap();
    fs::write(&path, text.replace(plan, "plan: large")).unwrap();
}

#[test]
fn what_a_parameter_of_a_path_is_called_breaks_nobody() {
    let tree = changed(&[("apis/pets/v1.yaml", "/pets/{petId}:", "/pets/{id}:")]);
    let text = fs::read_to_string(tree.path("apis/pets/v1.yaml")).unwrap();
    fs::write(
        tree.path("apis/pets/v1.yaml"),
        text.replace("name: petId", "name: id"),
    )
    .unwrap();
    let out = tree.good(&["diff", "old"]);
    assert!(out.contains("/pets/{petId} → GET /pets/{id}"), "{out}");
    assert!(!out.contains("breaking"), "{out}");
}

/// Wherever the policies lie, and whatever their folder is called, an annotation names the file from here.
#[test]
fn places_are_paths_from_here() {
    let tree = Tree::new();
    let here = tree.folder.path();
    copy(&tree.path(""), &here.join("old"));
    copy(&tree.path(""), &here.join("infra/gate"));
    let changed = |file: &str, from: &str, to: &str| {
        let path = here.join("infra/gate").join(file);
        let text = fs::read_to_string(&path).unwrap();
        assert!(text.contains(from));
        fs::write(&path, text.replace(from, to)).unwrap();
    };
    changed("plans/gold.yaml", "burst: 50", "burst: 60");
    changed(
        "gateway.yaml",
        "algorithms: [RS256]",
        "algorithms: [RS256, ES256]",
    );
    changed(
        "gateway.yaml",
        "dev: { mocks",
        "dev: { http_upstreams: allowed, mocks",
    );
    let out = tree.good(&["diff", "old", "--policies", "infra/gate", "--format", "github"]);
    for place in [
        "file=infra/gate/plans/gold.yaml,line=3,",
        "file=infra/gate/gateway.yaml,line=7,",
        "file=infra/gate/gateway.yaml,line=19,",
    ] {
        assert!(out.contains(place), "{place}\n{out}");
    }
    assert_eq!(
        out.matches("file=").count(),
        out.matches("file=infra/gate/").count(),
        "{out}"
    );
    // Named otherwise than `policies`, and from elsewhere: as diagnostics name them.
    let out = tree.good(&[
        "show",
        "effective",
        "pets/v1#listPets",
        "--policies",
        "infra/gate",
    ]);
    assert!(
        !out.contains("[policies/") && !out.contains("[gate/") && out.contains("[infra/gate/"),
        "{out}"
    );
    let out = tree.good(&["show", "compliance", "--policies", "infra/gate"]);
    assert!(
        !out.contains("policies/") && !out.contains("`gate/") && out.contains("`infra/gate/"),
        "{out}"
    );
}

/// Each change is told at the line that a reviewer sees changed.
#[test]
fn a_change_is_told_at_its_own_line() {
    let tree = Tree::new();
    tree.write(
        "templates/steady.yaml",
        "template: steady\napi:\n  max_body: 1MiB\n  timeouts: { first_byte: 9s }\n",
    );
    tree.change("apis/pets/api.yaml", "versions:", "template: steady\nversions:");
    copy(&tree.path(""), &tree.folder.path().join("old"));
    for (file, from, to) in [
        ("templates/steady.yaml", "1MiB", "64KiB"),
        ("templates/steady.yaml", "9s", "5s"),
        ("apis/pets/api.yaml", "[pets:write]", "[pets:write, pets:admin]"),
        ("apis/pets/api.yaml", "owner: team-pets", "owner: team-animals"),
        (
            "apis/pets/api.yaml",
            "https://pets.internal.example/api",
            "https://pets2.internal.example/api",
        ),
        (
            "apis/pets/v1.yaml",
            "requestBody: {",
            "requestBody: { required: true,",
        ),
        (
            "apis/pets/v1.yaml",
            "description: Pets.",
            "description: Pets., headers: { ETag: {} }",
        ),
        (
            "models/chat.yaml",
            "retry: { attempts: 1 }",
            "retry: { attempts: 2 }",
        ),
        (
            "models/chat.yaml",
            "targets: [openai/gpt-5]",
            "targets: [openai/gpt-6]",
        ),
        ("consumers/app.yaml", "plan: gold", "plan: free"),
        ("consumers/trial.yaml", "  - { models: [chat] }\n", ""),
        (
            "gateway.yaml",
            "algorithms: [RS256]",
            "algorithms: [RS256, ES256]",
        ),
        ("plans/free.yaml", "plan: free\n", "plan: free\non_error: open\n"),
    ] {
        tree.change(file, from, to);
    }
    let out = tree.good(&["diff", "old"]);
    for (part, line) in [
        ("listPets: max_body: 1MiB → 64KiB", "templates/steady.yaml:3"),
        ("listPets: timeout: 9s → 5s", "templates/steady.yaml:4"),
        (
            "createPet: the scope `pets:admin` is added",
            "apis/pets/api.yaml:13",
        ),
        ("owner: team-pets → team-animals", "apis/pets/api.yaml:3"),
        ("getPet: upstream: https://pets.internal", "apis/pets/api.yaml:10"),
        ("createPet: the body is required", "apis/pets/v1.yaml:11"),
        (
            "listPets: the header `etag` of the answer 200 is new",
            "apis/pets/v1.yaml:8",
        ),
        ("attempts on each target: 1 → 2", "models/chat.yaml:5"),
        ("the target openai/gpt-6 ×1 is new", "models/chat.yaml:3"),
        ("the target openai/gpt-5 ×1 is gone", "models/chat.yaml:3"),
        ("plan: gold → free", "consumers/app.yaml:3"),
        ("loses the model chat", "consumers/trial.yaml:6"),
        ("algorithm `ES256` is added", "gateway.yaml:7"),
        ("on_error is open", "plans/free.yaml:2"),
    ] {
        let told = out.lines().find(|told| told.contains(part));
        let end = format!("[policies/{line}]");
        assert!(
            told.is_some_and(|told| told.ends_with(&end)),
            "{part} {end}\n{out}"
        );
    }
    // A bundle knows its items, and no field of them.
    let none = tree.run(&["diff", "old", "--format", "github"]);
    assert!(
        !none.out.lines().any(|line| line.contains("file=,")),
        "{}",
        none.out
    );
}

/// Under another name a parameter of a path is the same one: what it may be is compared.
#[test]
fn what_a_parameter_of_a_path_may_be_is_compared_by_its_place() {
    let tree = changed(&[
        ("apis/pets/v1.yaml", "/pets/{petId}:", "/pets/{id}:"),
        (
            "apis/pets/v1.yaml",
            "name: petId, in: path, required: true, schema: { type: string }",
            "name: id, in: path, required: true, schema: { type: integer }",
        ),
    ]);
    let out = tree.good(&["diff", "old"]);
    assert!(
        out.contains("breaking    getPet: the path parameter `id` is integer, was string"),
        "{out}"
    );
}

#[test]
fn headers_of_answers_and_parameters_with_content_are_part_of_the_contract() {
    let tree = Tree::new();
    let with = |parameter: &str, headers: &str| {
        let text = Tree::new().read("apis/pets/v1.yaml");
        let text = text.replace("name: limit, in: query, schema: { type: integer }", parameter);
        text.replace(
            "description: A pet.",
            &format!("description: A pet., headers: {{ {headers} }}"),
        )
    };
    let number = "name: limit, in: query, content: { application/json: { schema: { type: number } } }";
    let integer = "name: limit, in: query, content: { application/json: { schema: { type: integer } } }";
    let age = "Age: { required: true, schema: { type: integer } }, ETag: { schema: { type: string } }";
    tree.write("apis/pets/v1.yaml", &with(number, age));
    copy(&tree.path(""), &tree.folder.path().join("old"));
    let now = "age: { schema: { type: [integer, string] } }, Last-Modified: { schema: { type: string } }";
    tree.write("apis/pets/v1.yaml", &with(integer, now));
    let out = tree.good(&["diff", "old"]);
    for part in [
        "breaking    listPets: the query parameter `limit` is integer, was number",
        "breaking    getPet: the header `etag` of the answer 200 is gone",
        "breaking    getPet: the header `age` of the answer 200 is not always there",
        "breaking    getPet: the header `age` of the answer 200 is integer or string, was integer",
        "safe        getPet: the header `last-modified` of the answer 200 is new",
    ] {
        assert!(out.contains(part), "{part}\n{out}");
    }
}
