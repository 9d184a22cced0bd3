//! `turnpike fmt`.

use std::fs;
use std::path::Path;

use crate::common::{Tree, command, finish};

#[test]
fn the_whole_tree() {
    let tree = Tree::new();
    tree.good(&["fmt"]);
    assert_eq!(tree.good(&["fmt", "--check"]), "");
    tree.write(
        "plans/gold.yaml",
        "plan:  gold\nlimits:\n- {rate: 600/min,burst: 50}   # a burst\n- { quota: 1_000/day }\n\n\n",
    );
    let document = "openapi:   3.1.1\ninfo: {title: Pets, version: 1.0.0}\npaths: {}\n";
    let kept = tree.read("apis/pets/v1.yaml");
    tree.write("apis/pets/other.yaml", document);
    let check = tree.run(&["fmt", "--check"]);
    assert_eq!(check.code, 1);
    assert_eq!(check.out, "policies/plans/gold.yaml is laid out otherwise\n");
    assert!(
        tree.read("plans/gold.yaml")
            .starts_with("plan:  gold\nlimits:\n- {rate")
    );
    assert_eq!(tree.good(&["fmt"]), "laid out policies/plans/gold.yaml\n");
    assert_eq!(
        tree.read("plans/gold.yaml"),
        "plan: gold\nlimits:\n  - { rate: 600/min, burst: 50 }   # a burst\n  - { quota: 1_000/day }\n"
    );
    assert_eq!(tree.read("apis/pets/v1.yaml"), kept);
    assert_eq!(tree.read("apis/pets/other.yaml"), document);
    assert_eq!(tree.good(&["fmt"]), "");
}

#[test]
fn some_files() {
    let tree = Tree::new();
    tree.write("plans/gold.yaml", "plan: gold\nlimits: [{rate: 1/s}]\n");
    tree.write("plans/free.yaml", "plan: free\nlimits: [{rate: 1/s}]\n");
    assert_eq!(
        tree.good(&["fmt", "policies/plans/gold.yaml"]),
        "laid out policies/plans/gold.yaml\n"
    );
    assert!(tree.read("plans/free.yaml").contains("[{rate"));
    let gone = tree.run(&["fmt", "policies/plans/none.yaml"]);
    assert_eq!(gone.code, 2);
    tree.write(
        "plans/free.yaml",
        "plan: &a free\nlimits: [{rate: 1/s}]\nother: *a\n",
    );
    let output = tree.run(&["fmt"]);
    assert_eq!(output.code, 0);
    assert!(
        output.err.contains("policies/plans/free.yaml is left as it is"),
        "{}",
        output.err
    );
    assert!(tree.read("plans/free.yaml").contains("[{rate"));
}

/// Every policy of this repository is laid out so, and none is not understood.
#[test]
fn what_is_here() {
    let root = Path::new(env!("CARGO_MANIFEST_DIR"))
        .join("../../policies")
        .canonicalize()
        .unwrap();
    let folder = tempfile::tempdir().unwrap();
    let output = finish(command(
        folder.path(),
        &["fmt", "--check", "--policies", root.to_str().unwrap()],
    ));
    assert_eq!((output.code, output.err.as_str()), (0, ""), "{}", output.out);
    assert!(fs::metadata(root.join("gateway.yaml")).is_ok());
}

#[test]
fn what_cannot_be_read_is_not_passed() {
    let tree = Tree::new();
    tree.write("plans/free.yaml", "plan: free\nlimits: [{rate: 1/s}\n");
    tree.write("plans/gold.yaml", "plan: gold\nlimits: [{rate: 1/s}]\n");
    for arguments in [&["fmt", "--check"][..], &["fmt"]] {
        let output = tree.run(arguments);
        assert_eq!(output.code, 2, "{arguments:?} {}", output.err);
        for part in [
            "policies/plans/free.yaml is no YAML",
            "1 file could not be laid out",
        ] {
            assert!(output.err.contains(part), "{part}\n{}", output.err);
        }
    }
    // The others are laid out all the same.
    assert!(tree.read("plans/gold.yaml").contains("[{ rate: 1/s }]"));
}
