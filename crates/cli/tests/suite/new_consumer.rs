//! `turnpike new consumer` and `new key`, where a pipeline asks for more than a person would.

use crate::common::Tree;

/// What is granted twice is written once, and all of an API is some of it.
#[test]
fn a_grant_is_written_once() {
    let tree = Tree::new();
    let consumer = [
        "new",
        "consumer",
        "mobile",
        "--owner",
        "team-mobile",
        "--plan",
        "gold",
    ];
    let grants = [
        "--api",
        "pets:listPets,getPet",
        "--api",
        "pets:getPet,createPet,listPets",
        "--model",
        "chat",
        "--model",
        "chat",
    ];
    tree.good(&[&consumer[..], &grants].concat());
    let head = "consumer: mobile\nowner: team-mobile\nplan: gold\nmay:\n";
    assert_eq!(
        tree.read("consumers/mobile.yaml"),
        format!(
            "{head}  - {{ api: pets, operations: [listPets, getPet, createPet] }}\n  - {{ models: [chat] }}\n"
        )
    );
    std::fs::remove_file(tree.path("consumers/mobile.yaml")).unwrap();
    tree.good(
        &[
            &consumer[..],
            &["--api", "pets:listPets", "--api", "pets", "--api", "pets:getPet"],
        ]
        .concat(),
    );
    assert_eq!(
        tree.read("consumers/mobile.yaml"),
        format!("{head}  - {{ api: pets, operations: all }}\n")
    );
}

/// A file that begins with the mark that some editors write gets a key as any other.
#[test]
fn a_key_for_a_file_with_a_mark_of_its_encoding() {
    let tree = Tree::new();
    tree.write(
        "consumers/odd.yaml",
        "\u{feff}consumer: odd\r\nowner: team-app\r\nplan: gold\r\nenvironments:\r\n  - dev\r\n  # - production\r\n",
    );
    tree.good(&["new", "key", "--consumer", "odd"]);
    let text = tree.read("consumers/odd.yaml");
    assert!(
        text.contains("  # - production\r\ncredentials:\r\n  - key: { sha256: "),
        "{text}"
    );
    tree.good(&["check"]);
}
