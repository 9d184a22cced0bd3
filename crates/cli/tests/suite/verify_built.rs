//! `turnpike verify`: of what a gateway was built that serves the right policies, and policies that have expired since.

use serde_json::{Value, json};

use crate::common::{Output, git, sarif};
use crate::verify::{Gateway, hash_as_of, tree, verify};

/// The same policies may come with another gateway: that is told, and is no disagreement.
#[test]
fn the_same_policies_of_another_commit() {
    let (tree, gateway) = (tree(), Gateway::new("/"));
    let folder = tree.folder.path();
    git(folder, &["init", "-q"], "2026-05-01");
    let commit = |message: &str| {
        git(folder, &["add", "policies"], "2026-05-01");
        git(folder, &["commit", "-qm", message], "2026-05-01");
        git(folder, &["rev-parse", "HEAD"], "2026-05-01")
            .trim()
            .to_owned()
    };
    let older = commit("first");
    tree.write("README.md", "Not a policy.");
    let newer = commit("second");
    let hash = hash_as_of(&tree, &[]);
    let elsewhere = format!(
        "of the commit {}, and policies stands at {}",
        &older[..12],
        &newer[..12]
    );
    for (commit, dirty, said) in [
        (newer.as_str(), false, None),
        (&newer, true, Some("with changes that were not committed")),
        ("unknown", false, Some("of no commit")),
        (
            "0123456789abcdef0123456789abcdef01234567",
            true,
            Some("of the commit 0123456789ab, which is not known here, with changes that were not committed"),
        ),
        (&older, false, Some(elsewhere.as_str())),
    ] {
        {
            let mut version = gateway.version.lock().unwrap();
            version["bundle"] = hash.as_str().into();
            version["commit"] = commit.into();
            version["dirty"] = dirty.into();
        }
        let note = said
            .map(|said| format!("it was built {said}: its policies are these, the rest of it need not be"));
        let Output { code, out, err } = verify(&tree, &gateway, &[]);
        assert_eq!(code, 0, "{out}{err}");
        let told = out.lines().find(|line| line.starts_with("  note"));
        assert_eq!(
            told.map(|line| line["  note  ".len()..].to_owned()),
            note,
            "{out}"
        );
        let notes: Vec<Value> = note.iter().map(|note| note.as_str().into()).collect();
        let as_json = verify(&tree, &gateway, &["--format", "json"]);
        let as_json: Value = serde_json::from_str(&as_json.out).unwrap();
        assert_eq!(as_json["notes"], json!(notes));
        let results = sarif(&verify(&tree, &gateway, &["--format", "sarif"]).out);
        let annotated = verify(&tree, &gateway, &["--format", "github"]).out;
        if let Some(note) = note {
            assert!(
                results
                    .iter()
                    .any(|one| one["message"]["text"] == note && one["level"] == "note"),
                "{results:#?}"
            );
            assert!(
                annotated.contains("::notice title=turnpike verify::it was built "),
                "{annotated}"
            );
        }
    }
    // Where the policies are others, it is part of that.
    gateway.version.lock().unwrap()["bundle"] = "00".into();
    let Output { code, out, .. } = verify(&tree, &gateway, &[]);
    assert_eq!(code, 1);
    let shows = format!("): `turnpike diff {}` shows what differs", &older[..12]);
    assert!(out.contains(&shows), "{out}");
    gateway.version.lock().unwrap()["commit"] = "unknown".into();
    let out = verify(&tree, &gateway, &[]).out;
    assert!(out.contains("); it was built of no commit\n"), "{out}");
}

/// What runs was built before the key expired, and serves the same policies after it.
#[test]
fn policies_of_which_something_has_expired_since() {
    let (tree, gateway) = (tree(), Gateway::new("/"));
    tree.change("consumers/trial.yaml", "2099-01-01", "2020-01-31");
    let as_of = ["--as-of", "2020-01-15"];
    gateway.version.lock().unwrap()["bundle"] = hash_as_of(&tree, &as_of).into();
    // Without a commit nobody knows when it was right.
    let Output { code, err, .. } = verify(&tree, &gateway, &[]);
    assert_eq!(code, 1);
    for part in [
        "2020-01-31",
        "the policies have errors in `production`",
        "pass --as-of DATE",
    ] {
        assert!(err.contains(part), "{part}\n{err}");
    }
    let Output { code, out, err } = verify(&tree, &gateway, &as_of);
    assert_eq!(code, 0, "{out}{err}");
    assert!(out.contains("ok    it serves the policies of policies"), "{out}");

    git(tree.folder.path(), &["init", "-q"], "2020-01-15");
    git(tree.folder.path(), &["add", "policies"], "2020-01-15");
    git(tree.folder.path(), &["commit", "-qm", "first"], "2020-01-15");
    let Output { code, out, err } = verify(&tree, &gateway, &[]);
    assert_eq!(code, 0, "{out}{err}");
    for part in [
        "ok    it serves the policies of policies",
        "note  policies is read as of 2020-01-15, the day of its commit: something in it has expired since",
    ] {
        assert!(out.contains(part), "{part}\n{out}");
    }
    // Drift is seen all the same, and what is wrong for another reason is not excused.
    tree.change("plans/gold.yaml", "burst: 50", "burst: 60");
    let Output { code, out, .. } = verify(&tree, &gateway, &[]);
    assert_eq!(code, 1);
    assert!(out.contains("FAIL  it serves other policies ("), "{out}");
    tree.change("plans/gold.yaml", "burst: 60", "burts: 60");
    let Output { code, err, .. } = verify(&tree, &gateway, &[]);
    assert_eq!(code, 1);
    assert!(err.contains("burts"), "{err}");
}
