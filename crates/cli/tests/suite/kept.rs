//! What is kept of a large tree between two runs: it is there, it is of use, and it changes nothing that is said.

use std::fs;
use std::path::{Path, PathBuf};
use std::time::Duration;

use crate::common::{Output, Tree, finish, git};

/// A tree of more than 1 MiB, in many documents, with a warning in each.
fn large() -> Tree {
    let tree = Tree::new();
    let document = tree.read("apis/pets/v1.yaml");
    let padding = "    A line that says how the shop is run, and what it sells to whom.\n".repeat(2_000);
    for at in 0..10 {
        let api = tree
            .read("apis/pets/api.yaml")
            .replace("api: pets", &format!("api: shop{at}"))
            .replace("/pets", &format!("/shop{at}"));
        tree.write(&format!("apis/shop{at}/api.yaml"), &api);
        let info = format!("info:\n  title: Shop {at}\n  version: 1.0.0\n  description: |\n{padding}");
        let text = document.replace("info: { title: Pets, version: 1.0.0 }\n", &info);
        tree.write(&format!("apis/shop{at}/v1.yaml"), &text);
    }
    tree
}

fn with(tree: &Tree, cache: &Path, arguments: &[&str]) -> Output {
    let mut command = tree.command(arguments);
    command.env("TURNPIKE_CACHE", cache);
    finish(command)
}

fn kept_in(cache: &Path) -> Vec<PathBuf> {
    let entries = fs::read_dir(cache).into_iter().flatten();
    entries.map(|entry| entry.unwrap().path()).collect()
}

/// Every copy of a tree leaves a file: the oldest goes where all have more than they may.
#[test]
fn what_is_kept_has_a_bound() {
    let tree = large();
    let cache = tree.folder.path().join("cache");
    fs::create_dir(&cache).unwrap();
    let made = |name: &str, bytes: u64, hours: u64| {
        let file = fs::File::create_new(cache.join(name)).unwrap();
        file.set_len(bytes).unwrap();
        let now = file.metadata().unwrap().modified().unwrap();
        file.set_modified(now - Duration::from_hours(hours)).unwrap();
    };
    made("0000000000000001.kept", 128 << 20, 2);
    made("0000000000000002.kept", 1 << 20, 1);
    made("another.kept", 128 << 20, 3);
    with(&tree, &cache, &["check", "--as-of", "2027-01-01"]);
    let left = kept_in(&cache);
    assert_eq!(left.len(), 3, "{left:?}");
    assert!(!cache.join("0000000000000001.kept").exists());
    assert!(cache.join("0000000000000002.kept").exists() && cache.join("another.kept").exists());
}

#[test]
fn a_check_says_the_same_with_what_was_kept() {
    let tree = large();
    let cache = tree.folder.path().join("cache");
    let check = ["check", "--as-of", "2027-01-01"];
    let same = |why: &str| {
        let (is, should) = (with(&tree, &cache, &check), tree.run(&check));
        assert_eq!(
            (is.code, is.out, is.err),
            (should.code, should.out, should.err),
            "{why}"
        );
    };
    same("first");
    let [file] = kept_in(&cache).try_into().unwrap();
    let first = fs::read(&file).unwrap();
    same("again");
    assert!(fs::read(&file).unwrap() == first, "nothing new, nothing written");

    // A fault in a file is told, with what was kept of all others; and it is gone when it is mended.
    let before = tree.read("apis/shop3/v1.yaml");
    tree.change(
        "apis/shop3/v1.yaml",
        "operationId: getPet\n",
        "operationid: getPet\n",
    );
    same("with a fault");
    assert!(with(&tree, &cache, &check).out.contains("shop3/v1.yaml"));
    tree.write("apis/shop3/v1.yaml", &before);
    same("mended");
    // What nobody has seen yet is kept.
    tree.change(
        "apis/shop4/v1.yaml",
        "description: Pets.",
        "description: Pets or none.",
    );
    same("changed");
    assert!(fs::read(&file).unwrap() != first, "it is written anew");

    // Whatever lies there instead.
    for bytes in [&first[..first.len() / 2], b"", b"TPKKEPT1", &[0xff; 5000]] {
        fs::write(&file, bytes).unwrap();
        same("damaged");
    }
    fs::remove_file(&file).unwrap();
    fs::create_dir(&file).unwrap();
    same("a folder in its place");
}

#[test]
fn nothing_is_kept_where_nothing_should_be() {
    let tree = Tree::new();
    let cache = tree.folder.path().join("cache");
    with(&tree, &cache, &["check"]);
    assert_eq!(kept_in(&cache), [] as [PathBuf; 0], "of a small tree");
    let tree = large();
    // The folder cannot be made: that is no fault of the policies.
    fs::write(tree.folder.path().join("file"), "").unwrap();
    let output = with(&tree, &tree.folder.path().join("file/cache"), &["check"]);
    assert_eq!(output.code, 0, "{}{}", output.out, output.err);
}

#[test]
fn a_comparison_takes_from_it() {
    let tree = large();
    let root = tree.folder.path();
    git(root, &["init", "-q"], "2026-11-01");
    git(root, &["add", "policies"], "2026-11-01");
    git(root, &["commit", "-qm", "a"], "2026-11-01");
    tree.change("plans/gold.yaml", "burst: 50", "burst: 40");
    let cache = root.join("cache");
    with(&tree, &cache, &["check"]);
    let (is, should) = (
        with(&tree, &cache, &["diff", "HEAD"]),
        tree.run(&["diff", "HEAD"]),
    );
    assert_eq!(
        (is.code, is.out, is.err),
        (should.code, should.out.clone(), should.err)
    );
    assert!(should.out.contains("gold"), "{}", should.out);
    assert_eq!(
        kept_in(&cache).len(),
        1,
        "one for the tree, none for the revision"
    );
}
