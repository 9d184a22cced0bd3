//! `scripts/ci`, as pipelines run it (docs/ci.md), up to the deployment.

use std::fs;
use std::path::Path;
use std::process::Command;

use crate::common::{Output, Tree, finish};

/// The script in a repository of its own, which has one commit.
struct Pipeline {
    tree: Tree,
}

impl Pipeline {
    fn new() -> Self {
        let tree = Tree::new();
        let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("../..");
        fs::create_dir(tree.folder.path().join("scripts")).unwrap();
        fs::copy(root.join("scripts/ci"), tree.folder.path().join("scripts/ci")).unwrap();
        tree.write(
            "tests/first.yaml",
            "- { name: nobody, request: { get: /pets/v1/pets }, expect: { status: 401 } }\n",
        );
        let pipeline = Self { tree };
        for arguments in [
            &["init", "-q"][..],
            &["add", "policies"],
            &[
                "-c",
                "user.name=a",
                "-c",
                "user.email=a@example.com",
                "-c",
                "commit.gpgsign=false",
                "commit",
                "-qm",
                "first",
            ],
        ] {
            let mut git = Command::new("git");
            git.args(arguments).current_dir(pipeline.tree.folder.path());
            assert_eq!(finish(git).code, 0);
        }
        pipeline
    }

    fn run(&self, arguments: &[&str], variables: &[(&str, &str)]) -> Output {
        let mut script = Command::new("bash");
        script
            .arg("scripts/ci")
            .args(arguments)
            .current_dir(self.tree.folder.path())
            .env("TURNPIKE", env!("CARGO_BIN_EXE_turnpike"))
            .env(
                "TURNPIKE_DEVELOPMENT_KEY",
                self.tree.folder.path().join("key/issuer.json"),
            )
            .env_remove("POLICIES")
            .env_remove("GITHUB_ACTIONS")
            .env_remove("CI_FORMAT")
            .env_remove("FAIL_ON")
            .envs(variables.iter().copied());
        finish(script)
    }

    fn built(&self, name: &str) -> String {
        fs::read_to_string(self.tree.folder.path().join("build").join(name)).unwrap()
    }
}

#[test]
fn a_change_on_its_way() {
    let pipeline = Pipeline::new();
    let Output { code, out, err } = pipeline.run(&["check"], &[]);
    assert_eq!(code, 0, "{out}{err}");
    assert!(pipeline.built("tests.xml").contains("name=\"nobody\""));

    pipeline.tree.change("plans/free.yaml", "2/s", "20/s");
    let Output { code, out, err } = pipeline.run(&["diff", "HEAD"], &[]);
    assert_eq!(code, 0, "{out}{err}");
    assert!(out.contains("2/s") && out.contains("20/s"), "{out}");
    assert_eq!(pipeline.built("diff.md"), out);
    let gated = pipeline.run(&["diff", "HEAD"], &[("FAIL_ON", "breaking,loosening")]);
    assert_eq!(gated.code, 1, "{}", gated.err);
    // The comment is there although the gate is closed.
    assert_eq!(gated.out, out);
}

#[test]
fn one_run_tells_everything() {
    let pipeline = Pipeline::new();
    pipeline
        .tree
        .change("plans/free.yaml", "[{ rate: 2/s }]", "[{rate: 2/s}]");
    pipeline.tree.change("tests/first.yaml", "401", "200");
    let Output { code, out, err } = pipeline.run(&["check"], &[]);
    assert_eq!(code, 1);
    assert!(out.contains("FAIL  nobody"), "{out}{err}");
    assert!(format!("{out}{err}").contains("plans/free.yaml"), "{out}{err}");
    pipeline
        .tree
        .change("consumers/app.yaml", "plan: gold", "plan: golden");
    let Output { code, out, .. } = pipeline.run(&["check"], &[("GITHUB_ACTIONS", "true")]);
    assert_eq!(code, 1);
    assert!(
        out.contains("::error file=policies/consumers/app.yaml,line=3"),
        "{out}"
    );
}

#[test]
fn misuse_is_told() {
    let pipeline = Pipeline::new();
    for arguments in [&[][..], &["diff"], &["check", "more"], &["deploy"], &["other"]] {
        let Output { code, err, .. } = pipeline.run(arguments, &[]);
        assert_eq!(code, 2, "{arguments:?}");
        assert!(err.contains("scripts/ci deploy ENV [--dry-run]"), "{err}");
    }
    assert_eq!(pipeline.run(&["diff", "no-such-commit"], &[]).code, 2);
}
