//! `turnpike diff`: what is compared with what, and how it is said.

use std::fs;
use std::process::Command;

use serde_json::Value;

use crate::common::{Tree, finish};
use crate::diff::changed;

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
