//! `turnpike diff`: of which class a change is, and at which line it is told.

use crate::common::Tree;
use crate::diff::{changed, copy};

/// Nothing reaches an upstream unless it is named: who names it lets callers send it.
#[test]
fn what_newly_reaches_an_upstream_loosens() {
    let limit = "{ name: limit, in: query, schema: { type: integer } }";
    let more = format!(
        "{limit}, {{ name: tag, in: query, schema: {{ type: string }} }}, {{ name: x-tag, in: header, schema: {{ type: string }} }}"
    );
    let edits = [
        ("apis/pets/v1.yaml", limit, more.as_str()),
        (
            "apis/pets/v1.yaml",
            "content: { application/json:",
            "content: { text/plain: {}, application/json:",
        ),
    ];
    let output = changed(&edits).run(&["diff", "old", "--fail-on", "loosening"]);
    for said in [
        "loosening   listPets: passing on the query parameter `tag` is added",
        "loosening   listPets: passing on the header `x-tag` is added",
        "loosening   createPet: the media type of bodies `text/plain` is added",
    ] {
        assert!(output.out.contains(said), "{said}\n{}", output.out);
    }
    assert_eq!(output.code, 1);
    let back = changed(&edits).good(&["diff", "policies", "old"]);
    assert!(
        back.contains("risky       listPets: passing on the query parameter `tag` is removed"),
        "{back}"
    );
    // Behind a mock there is nothing that it could reach.
    let tree = Tree::new();
    tree.change(
        "apis/pets/api.yaml",
        "    upstream: https://pets.internal.example/api\n    upstream_credential: { secret: PETS_TOKEN }\n",
        "    mock: openapi\n",
    );
    copy(&tree.path(""), &tree.folder.path().join("old"));
    tree.change("apis/pets/v1.yaml", limit, &more);
    let out = tree.good(&["diff", "old", "--env", "dev"]);
    assert!(
        out.contains("safe        listPets: passing on the query parameter `tag` is added"),
        "{out}"
    );
}

/// How long tokens may live in an environment holds for issuers to come, also where each that there is says less.
#[test]
fn the_longest_life_of_tokens_is_compared() {
    let tree = |life: &str| {
        let tree = Tree::new();
        tree.change(
            "gateway.yaml",
            "    secret: BATCH_KEY\n",
            "    secret: BATCH_KEY\n    max_lifetime: 1m\n",
        );
        tree.change(
            "gateway.yaml",
            "mocks: forbidden }",
            &format!("mocks: forbidden{life} }}"),
        );
        tree
    };
    for (was, is, said) in [
        (
            ", max_lifetime: 20m",
            ", max_lifetime: 1h",
            "loosening   the environment's `max_lifetime`: 20m → 1h",
        ),
        (
            ", max_lifetime: 1h",
            ", max_lifetime: 20m",
            "tightening  the environment's `max_lifetime`: 1h → 20m",
        ),
        (
            ", max_lifetime: 20m",
            "",
            "loosening   the environment's `max_lifetime` (20m) is removed",
        ),
        (
            "",
            ", max_lifetime: 20m",
            "tightening  the environment's `max_lifetime` (20m) is added",
        ),
    ] {
        let new = tree(is);
        copy(&tree(was).path(""), &new.folder.path().join("old"));
        let out = new.good(&["diff", "old"]);
        let line = format!("{said} (in production)  [policies/gateway.yaml:21]");
        assert!(
            out.contains(&line) && out.contains("\n1 change from"),
            "{line}\n{out}"
        );
    }
}
