//! The build script as cargo runs it: a process with variables, whose lines are what comes of it.
#![expect(clippy::unwrap_used, reason = "these are tests")]

use std::path::{Path, PathBuf};
use std::process::Command;
use std::{env, fs};

use tempfile::TempDir;
use turnpike_policy::{Bundle, Stamp};

#[path = "../../../build.rs"]
mod script;

const GATEWAY: &str = "gateway: acme\nenvironments:\n  dev: {}\n";
const DAY: &str = "2026-11-22";

#[test]
#[ignore = "the process that the other tests start"]
fn as_cargo_runs_it() {
    script::main();
}

/// A policy tree in a work tree of Git.
struct Tree(TempDir);

impl Tree {
    fn new() -> Self {
        let tree = Self(TempDir::new().unwrap());
        tree.write("gateway.yaml", GATEWAY);
        tree.git(&["init", "--quiet", "--initial-branch=main"]);
        tree
    }

    fn policies(&self) -> PathBuf {
        self.0.path().join("work/policies")
    }

    fn write(&self, path: &str, text: &str) {
        let path = self.policies().join(path);
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        fs::write(path, text).unwrap();
    }

    fn git(&self, arguments: &[&str]) -> String {
        let output = Command::new("git")
            .args(["-c", "user.name=a", "-c", "user.email=a@example.com"])
            .args(arguments)
            .current_dir(self.policies())
            .env("GIT_COMMITTER_DATE", "2026-05-01T12:00:00Z")
            .output()
            .unwrap();
        assert!(output.status.success(), "{arguments:?}: {output:?}");
        String::from_utf8(output.stdout).unwrap().trim().to_owned()
    }

    fn commit(&self) -> String {
        self.git(&["add", "--all"]);
        self.git(&["commit", "--quiet", "--allow-empty", "--message=a"]);
        self.git(&["rev-parse", "HEAD"])
    }

    fn run(&self, variables: &[(&str, &str)]) -> Ran {
        let out = self.0.path().join("out");
        let _ = fs::remove_dir_all(&out);
        fs::create_dir_all(&out).unwrap();
        let mut process = Command::new(env::current_exe().unwrap());
        for name in [
            "TURNPIKE_ENV",
            "TURNPIKE_COMMIT",
            "TURNPIKE_DIRTY",
            "SOURCE_DATE_EPOCH",
        ] {
            process.env_remove(name);
        }
        let output = process
            .args([
                "--exact",
                "as_cargo_runs_it",
                "--ignored",
                "--nocapture",
                "--test-threads=1",
            ])
            .env("CARGO_MANIFEST_DIR", env!("CARGO_MANIFEST_DIR"))
            .env("CARGO_PKG_NAME", "turnpike-core")
            .env("OUT_DIR", &out)
            .env("POLICIES", self.policies())
            .env("TURNPIKE_AS_OF", DAY)
            .envs(variables.iter().copied())
            .output()
            .unwrap();
        let said = String::from_utf8_lossy(&output.stderr);
        assert!(output.status.success() && !said.contains("panicked"), "{said}");
        let lines = String::from_utf8(output.stdout).unwrap();
        Ran {
            lines: lines.lines().map(str::to_owned).collect(),
            bundle: fs::read(out.join("policy.bin")).ok(),
            facts: fs::read_to_string(out.join("facts.rs")).unwrap_or_default(),
        }
    }
}

struct Ran {
    lines: Vec<String>,
    bundle: Option<Vec<u8>>,
    facts: String,
}

impl Ran {
    /// The lines that begin a diagnostic of the build.
    fn errors(&self) -> Vec<&str> {
        let told = self
            .lines
            .iter()
            .filter_map(|line| line.split_once("cargo::error="));
        told.map(|(_, told)| told)
            .filter(|told| told.starts_with("error[") || told.contains(": error"))
            .collect()
    }

    fn stamp(&self) -> Stamp {
        Bundle::from_bytes(self.bundle.as_ref().unwrap()).unwrap().stamp
    }

    fn watches(&self, path: &Path) -> bool {
        let path = fs::canonicalize(path).unwrap();
        let line = format!("cargo::rerun-if-changed={}", path.display());
        self.lines.iter().any(|known| known.ends_with(&line))
    }
}

#[test]
fn the_bundle_and_the_facts_tell_the_commit() {
    let tree = Tree::new();
    let none = tree.run(&[]);
    assert_eq!(
        none.stamp(),
        Stamp {
            dirty: true,
            ..Stamp::default()
        },
        "there is no commit yet"
    );
    assert!(none.facts.contains(r#"COMMIT: &str = "unknown""#));

    let first = tree.commit();
    let clean = tree.run(&[]);
    let built = Some(1_777_636_800_000);
    assert_eq!(
        clean.stamp(),
        Stamp {
            commit: first.clone(),
            dirty: false,
            built
        }
    );
    for fact in [
        format!("COMMIT: &str = {first:?}"),
        "DIRTY: bool = false".to_owned(),
        r#"BUILT: &str = "2026-05-01T12:00:00Z""#.to_owned(),
        r#"ENVIRONMENT: &str = "dev""#.to_owned(),
    ] {
        assert!(clean.facts.contains(&fact), "{fact}\n{}", clean.facts);
    }
    assert_eq!(
        clean.bundle,
        tree.run(&[]).bundle,
        "the same source, the same bytes"
    );

    tree.write("README.md", "Not a policy, and not in a commit.");
    let dirty = tree.run(&[]);
    assert_eq!(
        dirty.stamp(),
        Stamp {
            commit: first.clone(),
            dirty: true,
            built
        }
    );

    let second = tree.commit();
    let next = tree.run(&[("SOURCE_DATE_EPOCH", "1800000000")]);
    assert_eq!(
        next.stamp(),
        Stamp {
            commit: second,
            dirty: false,
            built: Some(1_800_000_000_000)
        }
    );
    let hash = |ran: &Ran| Bundle::from_bytes(ran.bundle.as_ref().unwrap()).unwrap().hash;
    assert_eq!(hash(&clean), hash(&next), "where rules come from is no rule");
    assert_eq!(hash(&clean), hash(&dirty));
}

#[test]
fn what_git_ignores_is_in_no_commit() {
    let tree = Tree::new();
    tree.write(".gitignore", "local-*.yaml\n.system\n");
    tree.commit();
    // No policy: systems leave such files behind.
    tree.write("plans/.system", "");
    let clean = tree.run(&[]);
    assert!(!clean.stamp().dirty);
    tree.write("plans/local-x.yaml", "plan: local-x\nlimits: [{ rate: 5/s }]\n");
    let ran = tree.run(&[]);
    let hash = |ran: &Ran| Bundle::from_bytes(ran.bundle.as_ref().unwrap()).unwrap().hash;
    assert_ne!(hash(&ran), hash(&clean), "the plan is in the bundle");
    assert!(ran.stamp().dirty);
}

#[test]
fn what_is_told_is_not_asked() {
    let tree = Tree::new();
    tree.commit();
    let told = tree.run(&[("TURNPIKE_COMMIT", "abc"), ("TURNPIKE_DIRTY", "true")]);
    assert_eq!(
        told.stamp(),
        Stamp {
            commit: "abc".to_owned(),
            dirty: true,
            built: None
        }
    );
    assert!(!told.watches(&tree.policies().join("../policies/.git/HEAD")));
    let wrong = tree.run(&[("TURNPIKE_DIRTY", "maybe")]);
    assert!(wrong.bundle.is_none());
    assert!(
        wrong
            .lines
            .iter()
            .any(|line| line.contains("cargo::error=TURNPIKE_DIRTY is"))
    );
}

#[test]
fn it_runs_again_when_head_moves() {
    let tree = Tree::new();
    tree.commit();
    let git = tree.policies().join(".git");
    let ran = tree.run(&[]);
    for name in ["HEAD", "logs/HEAD", "refs/heads/main"] {
        assert!(ran.watches(&git.join(name)), "{name}: {:#?}", ran.lines);
    }
    // `git status` and `git add` write it, and change nothing of what is told.
    assert!(!ran.watches(&git.join("index")));
}

#[test]
fn five_hundred_errors_are_five_hundred_lines_and_no_panic() {
    let tree = Tree::new();
    for plan in 0..500 {
        let text = format!("plan: p{plan}\nlimits: [{{ rate: 5/s }}]\nprecison: exact\n");
        tree.write(&format!("plans/p{plan}.yaml"), &text);
    }
    let ran = tree.run(&[]);
    assert!(ran.bundle.is_none() && ran.facts.is_empty());
    let unknown: Vec<_> = ran
        .errors()
        .into_iter()
        .filter(|line| line.contains("unknown field `precison`"))
        .collect();
    assert_eq!(unknown.len(), 500, "{:#?}", &ran.lines[..20]);
    let told =
        |line: &String| line.contains("cargo::error=") && line.contains("policies/plans/p499.yaml:3:1");
    assert!(ran.lines.iter().any(told));
}

#[test]
fn what_is_no_tree_is_told_and_not_panicked_about() {
    let tree = Tree::new();
    for (variables, told) in [
        (("POLICIES", "/nowhere/policies"), "cannot be read"),
        (("TURNPIKE_ENV", "moon"), "there is no environment `moon`"),
        (("TURNPIKE_AS_OF", "tomorrow"), "TURNPIKE_AS_OF"),
        (("OUT_DIR", "/nowhere/out"), "/nowhere/out"),
    ] {
        let ran = tree.run(&[variables]);
        assert!(ran.bundle.is_none(), "{variables:?}");
        let said = |line: &String| line.contains("cargo::error=") && line.contains(told);
        assert!(ran.lines.iter().any(said), "{variables:?}: {:#?}", ran.lines);
    }
}
