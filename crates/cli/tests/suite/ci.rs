//! `scripts/ci`, as pipelines run it (docs/ci.md), up to the deployment.

use std::fs;
use std::os::unix::fs::PermissionsExt as _;
use std::path::Path;
use std::process::Command;

use crate::common::{Output, Tree, finish, git};

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
        pipeline.git(&["init", "-q", "--initial-branch=main"]);
        pipeline.git(&["add", "policies"]);
        pipeline.git(&["commit", "-qm", "first"]);
        pipeline
    }

    fn git(&self, arguments: &[&str]) {
        git(self.tree.folder.path(), arguments, "2026-05-01");
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
            .env_remove("GATEWAY_URL")
            .env_remove("VERIFY")
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
fn what_the_base_got_meanwhile_is_no_change_of_the_branch() {
    let pipeline = Pipeline::new();
    pipeline.git(&["checkout", "-qb", "work"]);
    pipeline
        .tree
        .change("apis/pets/api.yaml", "title: Pets", "title: All pets");
    pipeline.git(&["commit", "-qam", "second"]);
    pipeline.git(&["checkout", "-q", "main"]);
    pipeline.tree.change("plans/free.yaml", "2/s", "1/s");
    pipeline.git(&["commit", "-qam", "third"]);
    pipeline.git(&["checkout", "-q", "work"]);
    let gate = [("FAIL_ON", "breaking,loosening")];
    let Output { code, out, err } = pipeline.run(&["diff", "main"], &gate);
    assert_eq!(code, 0, "{out}{err}");
    assert!(out.contains("All pets") && !out.contains("2/s"), "{out}");
    // What the branch itself changes is told against where it began.
    pipeline.tree.change("plans/free.yaml", "2/s", "3/s");
    let Output { code, out, err } = pipeline.run(&["diff", "main"], &gate);
    assert_eq!(code, 1, "{out}{err}");
    assert!(out.contains("2/s → 3/s"), "{out}");
}

/// Whoever proposes a change names its tags, its files and its folders.
#[test]
fn nothing_takes_the_place_of_what_a_branch_left() {
    let pipeline = Pipeline::new();
    let root = pipeline.tree.folder.path();
    let left = git(root, &["rev-parse", "main"], "2026-05-01");
    let left = left.trim();
    pipeline.git(&["checkout", "-qb", "work"]);
    pipeline.tree.change("plans/free.yaml", "2/s", "20/s");
    pipeline.git(&["commit", "-qam", "second"]);
    let short = git(root, &["rev-parse", "--short", "main"], "2026-05-01");
    pipeline.git(&["tag", short.trim(), "HEAD"]);
    fs::create_dir(root.join(short.trim())).unwrap();
    let gate = [("FAIL_ON", "loosening")];
    let Output { code, out, err } = pipeline.run(&["diff", "main"], &gate);
    assert_eq!(code, 1, "{out}{err}");
    assert!(out.contains("2/s → 20/s"), "{out}");
    fs::create_dir(root.join(left)).unwrap();
    let Output { code, err, .. } = pipeline.run(&["diff", "main"], &gate);
    assert_eq!(code, 2, "{err}");
    assert!(err.contains("there is a file or a folder of that name"), "{err}");
}

/// The file is posted whatever came of it.
#[test]
fn what_cannot_be_compared_is_told_where_the_changes_would_be() {
    let pipeline = Pipeline::new();
    let cannot = |base: &str| {
        format!("The policies could not be compared with `{base}`: the output of this step says why.\n")
    };
    pipeline.tree.change("plans/free.yaml", "2/s", "2/sec");
    let Output { code, out, err } = pipeline.run(&["diff", "HEAD"], &[]);
    assert_eq!((code, &out), (1, &cannot("HEAD")), "{err}");
    assert!(err.contains("plans/free.yaml:2"), "{err}");
    assert_eq!(pipeline.built("diff.md"), out);
    let Output { code, out, err } = pipeline.run(&["diff", "no-such-commit"], &[]);
    assert_eq!((code, out), (2, cannot("no-such-commit")), "{err}");

    // As in a clone that has not the commit in which the two parted.
    pipeline.git(&["checkout", "-q", "--orphan", "apart"]);
    pipeline.git(&["commit", "-qam", "apart"]);
    let Output { code, out, err } = pipeline.run(&["diff", "main"], &[]);
    assert_eq!((code, out), (2, cannot("main")), "{err}");
    assert!(err.contains("fetch the whole history"), "{err}");
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

/// A deployment with stand-ins for the tools, each of which notes how it was called.
#[test]
fn a_deployment_is_verified_or_says_aloud_that_it_was_not() {
    let pipeline = Pipeline::new();
    let folder = pipeline.tree.folder.path();
    let script = |name: &str, text: &str| {
        let file = folder.join(name);
        fs::create_dir_all(file.parent().unwrap()).unwrap();
        fs::write(&file, text).unwrap();
        fs::set_permissions(&file, fs::Permissions::from_mode(0o755)).unwrap();
    };
    script(
        "scripts/bootstrap",
        "#!/bin/sh\n[ \"$1\" = --env ] && echo \"export PATH='$PWD/bin:$PATH'\"\n",
    );
    script("bin/wrangler", "#!/bin/sh\necho \"wrangler $*\" >> called\n");
    script(
        "bin/turnpike",
        "#!/bin/sh\necho \"turnpike $*\" >> called\nexit \"${VERDICT:-0}\"\n",
    );
    let command = folder.join("bin/turnpike");
    let deploy = |more: &[&str], variables: &[(&str, &str)]| {
        let _ = fs::remove_file(folder.join("called"));
        let mut all = vec![("TURNPIKE", command.to_str().unwrap())];
        all.extend(variables);
        let output = pipeline.run(&[&["deploy", "production"], more].concat(), &all);
        let called = fs::read_to_string(folder.join("called")).unwrap_or_default();
        (output, called)
    };
    let url = ("GATEWAY_URL", "https://api.acme.example");
    let deployed = "wrangler deploy --env production\n";
    let looked = "turnpike verify https://api.acme.example --env production --wait 2m\n";

    let (output, called) = deploy(&[], &[]);
    assert_eq!((output.code, called.as_str()), (2, ""), "{}", output.err);
    assert!(
        output.err.contains("GATEWAY_URL is not set") && output.err.contains("VERIFY=no"),
        "{}",
        output.err
    );
    let (output, called) = deploy(&[], &[url, ("VERIFY", "maybe")]);
    assert_eq!((output.code, called.as_str()), (2, ""), "{}", output.err);
    assert!(
        output.err.contains("VERIFY=maybe is neither yes nor no"),
        "{}",
        output.err
    );

    let (output, called) = deploy(&[], &[url]);
    assert_eq!(
        (output.code, called),
        (0, format!("{deployed}{looked}")),
        "{}",
        output.err
    );
    let (output, called) = deploy(&[], &[url, ("VERDICT", "1")]);
    assert_eq!((output.code, called), (1, format!("{deployed}{looked}")));

    let (output, called) = deploy(&[], &[("VERIFY", "no")]);
    assert_eq!((output.code, called.as_str()), (0, deployed), "{}", output.err);
    assert!(
        output
            .err
            .contains("warning: `production` is deployed and was NOT verified"),
        "{}",
        output.err
    );
    let (output, _) = deploy(&[], &[url, ("VERIFY", "no"), ("GITHUB_ACTIONS", "true")]);
    assert!(
        output
            .out
            .contains("::warning title=scripts/ci deploy::`production` is deployed and was NOT verified"),
        "{}",
        output.out
    );

    let (output, called) = deploy(&["--dry-run"], &[]);
    assert_eq!(
        (output.code, called.as_str()),
        (
            0,
            "wrangler deploy --dry-run --env production --outdir build/dry-run/production\n"
        ),
        "{}",
        output.err
    );
}

#[test]
fn misuse_is_told() {
    let pipeline = Pipeline::new();
    for arguments in [
        &[][..],
        &["diff"],
        &["check", "more"],
        &["deploy"],
        &["deploy", "dev", "--dry"],
        &["other"],
    ] {
        let Output { code, err, .. } = pipeline.run(arguments, &[]);
        assert_eq!(code, 2, "{arguments:?}");
        assert!(err.contains("scripts/ci deploy ENV [--dry-run]"), "{err}");
    }
    assert_eq!(pipeline.run(&["diff", "no-such-commit"], &[]).code, 2);
}
