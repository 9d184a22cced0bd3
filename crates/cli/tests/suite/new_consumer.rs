//! `turnpike new consumer` and `new key`, where a pipeline asks for more than a person would.

use crate::common::Tree;

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
