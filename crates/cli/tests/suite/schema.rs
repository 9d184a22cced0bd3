//! `turnpike schema`.

use std::fs;
use std::path::Path;

use serde_json::Value;

use crate::common::{Tree, command, finish};

/// What the command says is what is committed: a schema that was forgotten fails here.
#[test]
fn the_committed_schemas_are_of_this_version() {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("../..");
    let output = finish(command(&root, &["schema", "--out", "schemas", "--check"]));
    assert_eq!(output.code, 0, "{}", output.err);
    let kinds = finish(command(&root, &["schema"])).out;
    let mut files: Vec<_> = fs::read_dir(root.join("schemas"))
        .unwrap()
        .map(|entry| entry.unwrap().file_name().into_string().unwrap())
        .collect();
    files.sort();
    let mut names: Vec<_> = kinds.lines().map(|kind| format!("{kind}.json")).collect();
    names.sort();
    assert_eq!(files, names);
}

#[test]
fn one_or_all_of_them() {
    let tree = Tree::new();
    let plans: Value = serde_json::from_str(&tree.good(&["schema", "plans"])).unwrap();
    assert_eq!(plans["title"], "Turnpike: plans/<name>.yaml");
    let wrote = tree.good(&["schema", "plans", "--out", "new/schemas"]);
    assert_eq!(wrote, "wrote new/schemas/plans.json\n");
    let folder = tree.folder.path().join("new/schemas");
    assert_eq!(fs::read_dir(&folder).unwrap().count(), 1);

    let check = ["schema", "--out", "new/schemas", "--check"];
    let output = tree.run(&check);
    assert_eq!(output.code, 1);
    assert!(output.err.contains("apis.json is missing"), "{}", output.err);
    assert_eq!(fs::read_dir(&folder).unwrap().count(), 1);
    assert!(
        !tree
            .good(&["schema", "--out", "new/schemas"])
            .contains("plans.json")
    );
    tree.good(&check);
    fs::write(folder.join("models.json"), "{}").unwrap();
    let output = tree.run(&check);
    assert!(
        output.err.contains("models.json is of another version"),
        "{}",
        output.err
    );
    assert!(!output.err.contains("plans.json"), "{}", output.err);

    let output = tree.run(&["schema", "plan"]);
    assert_eq!(output.code, 2);
    assert!(output.err.contains("did you mean `plans`?"), "{}", output.err);
}

/// What editors are told in the files themselves.
#[test]
fn comments_for_editors() {
    let tree = Tree::new();
    tree.good(&["schema", "--out", "schemas"]);
    let check = ["schema", "--out", "schemas", "--check"];
    for (file, named, said) in [
        ("plans/gold.yaml", "../../schemas/plans.json", ""),
        ("apis/pets/api.yaml", "../../../schemas/apis.json", ""),
        ("plans/gold.yaml", "https://a.example/plans.json", ""),
        (
            "plans/gold.yaml",
            "../schemas/plans.json",
            "there is no ../schemas/plans.json",
        ),
        (
            "gateway.yaml",
            "../schemas/plans.json",
            "the schema of such a file is gateway.json",
        ),
        (
            "apis/pets/api.yaml",
            "../../schemas/apis.json",
            "there is no ../../schemas/apis.json",
        ),
    ] {
        let before = tree.read(file);
        tree.write(
            file,
            &format!("# yaml-language-server: $schema={named}\n{before}"),
        );
        let output = tree.run(&check);
        assert_eq!(
            output.code,
            i32::from(!said.is_empty()),
            "{file} {named}: {}",
            output.err
        );
        assert!(output.err.contains(said), "{file} {named}: {}", output.err);
        tree.write(file, &before);
    }
}
