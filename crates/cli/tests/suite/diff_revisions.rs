//! `turnpike diff` of revisions: all that is in one is compared, as it is stored.

use std::fs;

use crate::common::{Tree, git};

/// What a revision says of its own files for `git archive` and for a checkout.
#[test]
fn a_revision_hides_nothing_from_its_review() {
    let tree = Tree::new();
    let folder = tree.path("..");
    let commit = |name: &str| {
        git(&folder, &["add", "--all", "policies"], "2026-05-01");
        git(&folder, &["commit", "-qm", name], "2026-05-01");
        git(&folder, &["tag", name], "2026-05-01");
    };
    git(&folder, &["init", "-q"], "2026-05-01");
    commit("first");
    tree.write(
        "consumers/evil.yaml",
        "consumer: evil\nowner: team-evil\nplan: gold\ncredentials: [{ jwt: { issuer: acme, is: evil } }]\nmay: [{ apis: all }]\n",
    );
    tree.write(
        ".gitattributes",
        "consumers/evil.yaml export-ignore\nplans export-ignore\n",
    );
    commit("second");
    let done = tree.run(&["diff", "first", "second", "--fail-on", "loosening"]);
    assert_eq!(done.code, 1, "{}{}", done.out, done.err);
    assert!(
        done.out.contains(
            "consumer evil\n  loosening   gains pets/v1#listPets (GET /pets), pets/v1#createPet (POST /pets)"
        ),
        "{}",
        done.out
    );
    // Nor is it another tree than the one that was committed.
    let out = tree.good(&["diff", "second"]);
    assert!(out.contains("second and policies have the same rules"), "{out}");
}

/// Names as Git lists them and as they are, and what is no file.
#[cfg(unix)]
#[test]
fn a_revision_has_every_kind_of_file() {
    let tree = Tree::new();
    let folder = tree.path("..");
    tree.change(
        "apis/pets/api.yaml",
        "openapi: v1.yaml",
        "openapi: \"v1 'ü.yaml\"",
    );
    fs::rename(tree.path("apis/pets/v1.yaml"), tree.path("apis/pets/v1 'ü.yaml")).unwrap();
    fs::rename(tree.path("plans/free.yaml"), tree.path("free.md")).unwrap();
    std::os::unix::fs::symlink("../free.md", tree.path("plans/free.yaml")).unwrap();
    git(&folder, &["init", "-q"], "2026-05-01");
    git(&folder, &["add", "--all", "policies"], "2026-05-01");
    git(&folder, &["commit", "-qm", "first"], "2026-05-01");
    let out = tree.good(&["diff", "HEAD"]);
    assert!(out.contains("HEAD and policies have the same rules"), "{out}");

    // A repository of its own below the policies: its files are in none of this one's commits.
    let below = tree.path("consumers");
    git(&below, &["init", "-q"], "2026-05-01");
    git(&below, &["add", "."], "2026-05-01");
    git(&below, &["commit", "-qm", "theirs"], "2026-05-01");
    git(
        &folder,
        &["rm", "-rq", "--cached", "policies/consumers"],
        "2026-05-01",
    );
    git(&folder, &["add", "--all", "policies"], "2026-05-01");
    git(&folder, &["commit", "-qm", "second"], "2026-05-01");
    let done = tree.run(&["diff", "HEAD"]);
    assert_eq!(done.code, 2, "{}{}", done.out, done.err);
    assert!(
        done.err
            .contains("`HEAD` cannot be compared: `consumers` is a submodule"),
        "{}",
        done.err
    );
}
