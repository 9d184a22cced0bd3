//! `turnpike diff` and what takes documents in, with documents that are large or contain themselves.
#![expect(
    clippy::disallowed_methods,
    reason = "what takes for ever is told by the clock"
)]

use std::fs;
use std::time::{Duration, Instant};

use crate::common::Tree;
use crate::diff::copy;

/// More nodes than many a reader takes: 2.3 MB.
fn padding() -> String {
    format!("x-padding: [{}]\n", vec!["1234567"; 260_000].join(", "))
}

#[test]
fn a_large_document_is_compared_as_a_small_one_is() {
    let tree = Tree::new();
    let small = tree.read("apis/pets/v1.yaml");
    tree.write("apis/pets/v1.yaml", &(small + &padding()));
    copy(&tree.path(""), &tree.folder.path().join("old"));
    tree.change(
        "apis/pets/v1.yaml",
        "schema: { type: object }",
        "schema: { type: object, required: [name] }",
    );
    let done = tree.run(&["diff", "old", "--env", "dev", "--fail-on", "breaking"]);
    let told = "breaking    createPet: the body.name is required";
    assert!(
        done.code == 1 && done.out.contains(told),
        "{}\n{}",
        done.out,
        done.err
    );
}

#[test]
fn many_changes_of_a_large_document_are_told_in_time() {
    let tree = Tree::new();
    let document = tree.read("apis/pets/v1.yaml");
    let paths = |more: &str| -> String {
        let one = |at| {
            format!(
                "  /things-{at}:\n    get:\n      operationId: thing{at}\n      responses:\n        '200': {{ description: ok }}\n{more}"
            )
        };
        (0..600).map(one).collect()
    };
    // What is large stands before what is looked for, and is one text.
    let text = format!(
        "x-text: |\n{}",
        format!("  {}\n", "text ".repeat(18)).repeat(20_000)
    );
    let with = |more: &str| text.clone() + &document.replace("paths:\n", &format!("paths:\n{}", paths(more)));
    tree.write("apis/pets/v1.yaml", &with(""));
    copy(&tree.path(""), &tree.folder.path().join("old"));
    tree.write(
        "apis/pets/v1.yaml",
        &with("      parameters:\n        - { name: sudden, in: query, required: true, schema: { type: string } }\n"),
    );
    let start = Instant::now();
    let out = tree.good(&["diff", "old", "--env", "dev"]);
    assert!(start.elapsed() < Duration::from_mins(1), "{:?}", start.elapsed());
    let told = "thing599: the query parameter `sudden` is new and required  [policies/apis/pets/v1.yaml:";
    assert!(out.contains(told), "{out}");
    assert_eq!(out.matches("is new and required").count(), 600, "{out}");
}

#[test]
fn a_large_document_is_taken_in() {
    let tree = Tree::new();
    let document = tree
        .read("apis/pets/v1.yaml")
        .replace("title: Pets", "title: Orders");
    let servers = "servers: [{ url: https://orders.internal.example }]\n";
    let large = tree.folder.path().join("large.yaml");
    fs::write(&large, document + servers + &padding()).unwrap();
    let from = large.to_str().unwrap();
    tree.good(&[
        "new",
        "api",
        "orders",
        "--from",
        from,
        "--owner",
        "team-orders",
        "--mock",
        "--environments",
        "dev",
    ]);
    let into = tree.folder.path().join("imported");
    tree.good(&[
        "import",
        "openapi",
        from,
        "--into",
        into.to_str().unwrap(),
        "--owner",
        "team-orders",
    ]);
    // What cannot be read is said with its place.
    fs::write(&large, "openapi: 3.1.1\ninfo: { title: a, title: b }\n").unwrap();
    let done = tree.run(&[
        "new",
        "api",
        "bills",
        "--from",
        from,
        "--owner",
        "team-orders",
        "--mock",
    ]);
    assert!(
        done.code == 2 && done.err.contains("is no YAML or JSON: line 2, column 19: "),
        "{}",
        done.err
    );
}

#[test]
fn schemas_that_contain_themselves_are_compared_in_time() {
    let tree = Tree::new();
    tree.change(
        "apis/pets/v1.yaml",
        "schema: { type: object }",
        "schema: { $ref: '#/components/schemas/Node' }",
    );
    let node = |required: &str| {
        let itself = "{ $ref: '#/components/schemas/Node' }";
        format!(
            "components:\n  schemas:\n    Node:\n      type: object\n      required: [{required}]\n      properties: {{ id: {{ type: string }}, left: {itself}, right: {itself}, parent: {itself} }}\n"
        )
    };
    let document = tree.read("apis/pets/v1.yaml");
    tree.write("apis/pets/v1.yaml", &(document.clone() + &node("id")));
    copy(&tree.path(""), &tree.folder.path().join("old"));
    tree.write("apis/pets/v1.yaml", &(document + &node("id, left")));
    let start = Instant::now();
    let out = tree.good(&["diff", "old"]);
    assert!(start.elapsed() < Duration::from_secs(10), "{:?}", start.elapsed());
    assert!(
        out.contains("breaking    createPet: the body.left is required"),
        "{out}"
    );
    assert_eq!(out.matches("the body").count(), 1, "{out}");
}
