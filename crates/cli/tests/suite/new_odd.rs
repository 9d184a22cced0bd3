//! `turnpike new`, where a pipeline asks for more than a person would, and where files are as people lay them out.

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

/// A version that is added leaves what is said below the last one with it, and is laid out as that is.
#[test]
fn a_version_stands_below_what_is_said_of_the_last_one() {
    let tree = Tree::new();
    let api = tree.read("apis/pets/api.yaml");
    let (head, tail) = api.split_once("versions:\n").unwrap();
    let (_, tail) = tail.split_once("authorize:").unwrap();
    let v1 = "versions:\n  v1:\n      openapi: v1.yaml\n      state: active\n      upstream: >-\n        https://pets.internal.example/api\n      # more of v1\n\nauthorize:";
    tree.write("apis/pets/api.yaml", &format!("{head}{v1}{tail}"));
    let from = tree.path("apis/pets/v1.yaml");
    tree.good(&[
        "new",
        "api",
        "pets",
        "--from",
        from.to_str().unwrap(),
        "--version",
        "v2",
        "--upstream",
        "https://pets-2.example",
    ]);
    let v2 = "      # more of v1\n  v2:\n      openapi: v2.yaml\n      state: active\n      upstream: https://pets-2.example\n\nauthorize:";
    let text = tree.read("apis/pets/api.yaml");
    assert!(text.contains(v2), "{text}");
}
