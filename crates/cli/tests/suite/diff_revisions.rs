//! `turnpike diff` of revisions: all that is in one is compared, as it is stored.

use std::fs;

use crate::common::{Tree, git, made};

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

/// A commit of a few kilobytes whose folders, each ten times over, hold more files than there is room for; or none.
#[test]
fn a_revision_without_end_is_refused() {
    for leaf in [true, false] {
        let tree = Tree::new();
        let folder = tree.path("..");
        git(&folder, &["init", "-q"], "2026-05-01");
        git(&folder, &["add", "--all", "policies"], "2026-05-01");
        git(&folder, &["commit", "-qm", "first"], "2026-05-01");
        let made = |lines: &str| made(&folder, &["mktree", "-z"], lines);
        let blob = crate::common::made(&folder, &["hash-object", "-w", "--stdin"], "plan: a\n");
        let mut below = made(&if leaf {
            format!("100644 blob {blob}\ta.yaml\0")
        } else {
            String::new()
        });
        // Not so deep that the depth alone would tell.
        for _ in 0..8 {
            let ten = (0..10).map(|at| format!("040000 tree {below}\t{at}\0"));
            below = made(&ten.collect::<String>());
        }
        let whole = made(&format!("040000 tree {below}\tpolicies\0"));
        let commit = crate::common::made(&folder, &["commit-tree", "-m", "bomb", &whole], "");
        let done = tree.run(&["diff", "HEAD", &commit]);
        assert_eq!(done.code, 2, "{}{}", done.out, done.err);
        assert!(
            done.err
                .contains("more than 20000 files or folders, which no policies have"),
            "{}",
            done.err
        );
        let deep = made(&format!("040000 tree {below}\tagain\0"));
        let whole = made(&format!("040000 tree {deep}\tpolicies\0"));
        let commit = crate::common::made(&folder, &["commit-tree", "-m", "deep", &whole], "");
        let done = tree.run(&["diff", "HEAD", &commit]);
        assert_eq!(done.code, 2, "{}{}", done.out, done.err);
        assert!(done.err.contains("more than 8 levels of folders"), "{}", done.err);
    }
}

/// A folder that looks like a repository of its own: its configuration names a program to run.
#[cfg(unix)]
#[test]
fn a_repository_among_the_policies_is_not_asked() {
    let tree = Tree::new();
    let folder = tree.path("..");
    git(&folder, &["init", "-q"], "2026-05-01");
    git(&folder, &["add", "--all", "policies"], "2026-05-01");
    git(&folder, &["commit", "-qm", "first"], "2026-05-01");
    git(&folder, &["branch", "old"], "2026-05-01");
    let ran = folder.join("ran");
    tree.write("HEAD", "ref: refs/heads/old\n");
    tree.write("objects/info/x", "");
    tree.write("refs/heads/old", &format!("{}\n", "1".repeat(40)));
    tree.write(
        "config",
        &format!(
            "[core]\n repositoryformatversion = 1\n bare = true\n[extensions]\n partialClone = o\n\
             [protocol \"ext\"]\n allow = always\n[remote \"o\"]\n promisor = true\n url = \"ext::sh -c touch% {}\"\n",
            ran.display()
        ),
    );
    for arguments in [
        &["diff", "old"][..],
        &["diff", "old", "HEAD"],
        &["show", "inventory"],
        &["show", "compliance"],
        &["check"],
    ] {
        let done = tree.run(arguments);
        assert_ne!(done.code, 0, "{}{}", done.out, done.err);
        if arguments[0] == "diff" {
            assert!(
                done.err.contains("has what makes a repository of its own"),
                "{}",
                done.err
            );
        }
    }
    assert!(!ran.exists(), "a program of the policies was run");
}

/// What lies in the folder may be called as that with which it is compared.
#[test]
fn a_folder_that_is_called_as_a_revision_is_not_taken_for_it() {
    let tree = Tree::new();
    let folder = tree.path("..");
    git(&folder, &["init", "-q", "--initial-branch=main"], "2026-05-01");
    git(&folder, &["add", "--all", "policies"], "2026-05-01");
    git(&folder, &["commit", "-qm", "first"], "2026-05-01");
    tree.change("plans/free.yaml", "2/s", "200/s");
    for name in ["main", "HEAD"] {
        let there = folder.join(name);
        fs::create_dir(&there).unwrap();
        let done = tree.run(&["diff", name]);
        assert_eq!(done.code, 2, "{}{}", done.out, done.err);
        let said = format!("`{name}` is a revision of Git, and there is a file or a folder of that name");
        assert!(done.err.contains(&said), "{}", done.err);
        fs::remove_dir(&there).unwrap();
        fs::write(&there, "").unwrap();
        assert_eq!(tree.run(&["diff", name]).code, 2);
        // As a path it is one.
        assert!(tree.run(&["diff", &format!("./{name}")]).err.contains("./"));
        fs::remove_file(&there).unwrap();
        assert!(tree.good(&["diff", name]).contains("plan free"));
    }
    // A commit in full is shown in short.
    let commit = git(&folder, &["rev-parse", "HEAD"], "2026-05-01");
    let out = tree.good(&["diff", commit.trim(), "--format", "markdown"]);
    assert!(out.contains(&format!("from `{}` to", &commit[..12])), "{out}");
}

/// A tree of Git with one name twice: a link that leads elsewhere, and a folder in which a link is to be made.
#[cfg(unix)]
#[test]
fn a_revision_is_unpacked_in_its_own_folder_alone() {
    let (tree, elsewhere) = (Tree::new(), tempfile::tempdir().unwrap());
    let folder = tree.path("..");
    git(&folder, &["init", "-q"], "2026-05-01");
    git(&folder, &["add", "--all", "policies"], "2026-05-01");
    git(&folder, &["commit", "-qm", "first"], "2026-05-01");
    let link = |to: &str| made(&folder, &["hash-object", "-w", "--stdin"], to);
    let (outside, inner) = (
        link(elsewhere.path().to_str().unwrap()),
        link("/somewhere/start.sh"),
    );
    let listed = |lines: &str| made(&folder, &["mktree", "-z"], lines);
    let new = listed(&format!("120000 blob {inner}\tstart\0"));
    let new = listed(&format!("040000 tree {new}\tnew\0"));
    // `mktree` sorts, and writes what no index could hold.
    let policies = listed(&format!("120000 blob {outside}\tzz\x00040000 tree {new}\tzz\0"));
    let whole = listed(&format!("040000 tree {policies}\tpolicies\0"));
    let commit = made(&folder, &["commit-tree", "-m", "twice", &whole], "");
    let done = tree.run(&["diff", "HEAD", &commit]);
    assert_eq!(done.code, 2, "{}{}", done.out, done.err);
    assert!(
        done.err
            .contains("`zz/new/start` cannot be unpacked: its folder is a file or a link too"),
        "{}",
        done.err
    );
    assert_eq!(fs::read_dir(elsewhere.path()).unwrap().count(), 0);
}

/// A commit of a few kilobytes whose files would take more room than there is.
#[test]
fn what_a_revision_unpacks_to_is_bounded() {
    use std::fmt::Write as _;

    let tree = Tree::new();
    let folder = tree.path("..");
    git(&folder, &["init", "-q"], "2026-05-01");
    git(&folder, &["add", "--all", "policies"], "2026-05-01");
    git(&folder, &["commit", "-qm", "first"], "2026-05-01");
    let large = made(&folder, &["hash-object", "-w", "--stdin"], &"a".repeat(16 << 20));
    let larger = made(
        &folder,
        &["hash-object", "-w", "--stdin"],
        &"a".repeat((16 << 20) + 1),
    );
    let commit = |lines: &str| {
        let below = made(&folder, &["mktree", "-z"], lines);
        let whole = made(
            &folder,
            &["mktree", "-z"],
            &format!("040000 tree {below}\tpolicies\0"),
        );
        made(&folder, &["commit-tree", "-m", "bomb", &whole], "")
    };
    let own = git(&folder, &["ls-tree", "-z", "HEAD:policies"], "2026-05-01");
    let mut lines = own.clone();
    for at in 0..17 {
        let _ = write!(lines, "100644 blob {large}\tplan-{at}.md\0");
    }
    let done = tree.run(&["diff", "HEAD", &commit(&lines)]);
    assert_eq!(done.code, 2, "{}{}", done.out, done.err);
    assert!(
        done.err
            .contains("its files have more than 256 MiB in all, which no policies have"),
        "{}",
        done.err
    );
    let done = tree.run(&[
        "diff",
        "HEAD",
        &commit(&format!("{own}120000 blob {large}\tgateway.json\0")),
    ]);
    assert!(
        done.code == 2
            && done
                .err
                .contains("`gateway.json` is a link that leads to no path"),
        "{}",
        done.err
    );
    // One by itself is as one in a folder: who needs it is told, and a note is not read.
    let notes = commit(&format!("{own}100644 blob {larger}\tnotes.md\0"));
    let out = tree.good(&["diff", "HEAD", &notes]);
    assert!(out.contains("have the same rules"), "{out}");
    let needed = own.replace("gateway.yaml", "gateway.md") + &format!("100644 blob {larger}\tgateway.yaml\0");
    let done = tree.run(&["diff", "HEAD", &commit(&needed)]);
    assert_eq!(done.code, 1, "{}{}", done.out, done.err);
    assert!(
        done.err.contains("error[P0002]: the file has more than 16 MiB"),
        "{}",
        done.err
    );
}

/// Where a revision was unpacked says nothing to anybody.
#[test]
fn findings_of_a_revision_are_named_as_git_names_them() {
    let tree = Tree::new();
    let folder = tree.path("..");
    git(&folder, &["init", "-q"], "2026-05-01");
    git(&folder, &["add", "--all", "policies"], "2026-05-01");
    git(&folder, &["commit", "-qm", "first"], "2026-05-01");
    tree.change("consumers/app.yaml", "plan: gold", "plan: golden");
    git(&folder, &["commit", "-qam", "second"], "2026-05-01");
    git(&folder, &["tag", "broken"], "2026-05-01");
    for arguments in [["diff", "broken", "HEAD~1"], ["diff", "HEAD~1", "broken"]] {
        let done = tree.run(&arguments);
        assert_eq!(done.code, 1, "{}{}", done.out, done.err);
        assert!(
            done.err
                .contains("\n --> broken:policies/consumers/app.yaml:3:7\n"),
            "{}",
            done.err
        );
    }
    // As the root of its repository it has no folder before it.
    let policies = tree.path("");
    git(&policies, &["init", "-q"], "2026-05-01");
    git(&policies, &["add", "--all", "."], "2026-05-01");
    git(&policies, &["commit", "-qm", "first"], "2026-05-01");
    let done = tree.run(&["diff", "HEAD"]);
    assert!(
        done.err.contains("\n --> HEAD:consumers/app.yaml:3:7\n"),
        "{}{}",
        done.out,
        done.err
    );
}
