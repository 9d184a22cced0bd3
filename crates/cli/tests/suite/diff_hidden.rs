//! `turnpike diff`: no change hides another one, and a gate sees them all.

use crate::common::Tree;
use crate::diff::copy;

/// A file, what was there, what comes in its place, and what is said.
type Case = (&'static str, &'static str, &'static str, &'static [&'static str]);

const CASES: &[Case] = &[
    // Of two limits of a kind, either.
    (
        "plans/gold.yaml",
        "  - { rate: 600/min }\n  - { rate: 10/min }\n",
        "  - { rate: 600/min }\n",
        &["loosening   limit 10/min is removed"],
    ),
    (
        "plans/gold.yaml",
        "  - { rate: 10/min }\n  - { rate: 600/min }\n",
        "  - { rate: 600/min }\n",
        &[
            "loosening   limit: 10/min → 600/min",
            "loosening   limit 600/min is removed",
        ],
    ),
    (
        "plans/gold.yaml",
        "  - { quota: 9000/day }\n  - { quota: 1000/day }\n",
        "  - { quota: 9000/day }\n",
        &["loosening   limit 1000/day (quota) is removed"],
    ),
    (
        "plans/gold.yaml",
        "  - { quota: 9000/day }\n  - { quota: 1000/day }\n",
        "  - { quota: 9000/day }\n  - { quota: 2000/day }\n",
        &[
            "loosening   limit: 1000/day (quota) → 2000/day (quota)",
            "risky       limit 2000/day (quota) is counted as `gold:quota-2000-day`, no more as `gold:quota-1000-day`",
        ],
    ),
    (
        "apis/pets/api.yaml",
        "limits: [{ rate: 600/min }, { rate: 10/min }]",
        "limits: [{ rate: 600/min }]",
        &["API pets/v1", "loosening   limit 10/min is removed"],
    ),
    // Their order means nothing but for their names.
    (
        "plans/gold.yaml",
        "  - { id: a, quota: 9000/day }\n  - { id: b, quota: 1000/day }\n",
        "  - { id: b, quota: 1000/day }\n  - { id: a, quota: 8000/day }\n",
        &["tightening  limit: 9000/day (quota) → 8000/day (quota)"],
    ),
    // How they are kept.
    (
        "plans/gold.yaml",
        "  - { rate: 600/min }\n",
        "  - { rate: 600/min, precision: local }\n",
        &["loosening   limit 600/min is kept local now"],
    ),
    (
        "plans/gold.yaml",
        "  - { id: a, rate: 600/min }\n",
        "  - { id: b, rate: 600/min }\n",
        &[
            "risky       limit 600/min is counted as `gold:b`, no more as `gold:a`: what was used is counted anew",
        ],
    ),
    // How callers are known.
    (
        "consumers/app.yaml",
        "is: app-1, client: web",
        "is: app-1",
        &["loosening   token `app-1 of acme` may be of any client, no more of `web` alone"],
    ),
    (
        "consumers/app.yaml",
        "is: app-1 }",
        "is: app-1, client: web }",
        &["tightening  token `app-1 of acme` must be of the client `web`, no more of any"],
    ),
    (
        "consumers/app.yaml",
        "is: app-1, client: web",
        "is: app-1, client: cli",
        &[
            "loosening   for the token `app-1 of acme` the client `cli` is added",
            "tightening  for the token `app-1 of acme` the client `web` is removed",
        ],
    ),
    // The gateway.
    (
        "gateway.yaml",
        "hosts: [api.acme.example]",
        "hosts: [api.acme.example]\nlimit_headers: refused",
        &["risky       limit_headers is refused"],
    ),
    (
        "gateway.yaml",
        "signing: { issuer: 'https://api.acme.example', key: SIGNS }",
        "signing: { issuer: 'https://api2.acme.example', key: SIGNS }",
        &["risky       signing: issuer: https://api.acme.example → https://api2.acme.example"],
    ),
];

#[test]
fn nothing_is_hidden_by_another_change() {
    for (file, from, to, said) in CASES {
        let tree = Tree::new();
        let there = tree.read(file);
        if !there.contains(from) {
            // What the tree has in that place.
            let place = match *file {
                "plans/gold.yaml" => "  - { rate: 600/min, burst: 50 }\n  - { quota: 1_000/day }\n",
                "apis/pets/api.yaml" => "limits: [{ rate: 3/s }]",
                "consumers/app.yaml" => "is: app-1",
                _ => "hosts: [api.acme.example]",
            };
            let before = match *file {
                "gateway.yaml" => format!("{place}\n{from}"),
                _ => (*from).to_owned(),
            };
            tree.change(file, place, &before);
        }
        copy(&tree.path(""), &tree.folder.path().join("old"));
        tree.change(file, from, to);
        tree.change("apis/pets/api.yaml", "title: Pets", "title: All pets");
        let output = tree.run(&["diff", "old", "--fail-on", "breaking,loosening,risky,tightening"]);
        assert_eq!(output.code, 1, "{file}: {to}\n{}{}", output.out, output.err);
        assert!(
            output.out.contains("safe        title: Pets → All pets"),
            "{}",
            output.out
        );
        for part in *said {
            assert!(
                output.out.contains(part),
                "{file}: {from} -> {to}: {part}\n{}",
                output.out
            );
        }
        // And nothing else.
        let told = output.out.matches("  [").count();
        assert_eq!(
            told,
            said.iter().filter(|part| !part.starts_with("API")).count() + 1,
            "{}",
            output.out
        );
    }
}

/// An id that moves to another request takes its grants and scopes along, and nobody has touched those.
#[test]
fn an_id_that_moves_gives_another_request() {
    let tree = Tree::new();
    tree.change(
        "consumers/trial.yaml",
        "[listPets, createPet]",
        "[listPets, getPet]",
    );
    tree.change("apis/pets/api.yaml", "[createPet]", "[getPet]");
    let document = |list: &str, create: &str, get: &str| {
        format!(
            "openapi: 3.1.1\ninfo: {{ title: Pets, version: 1.0.0 }}\npaths:\n\
             \x20 /pets: {{ get: {{ operationId: {list}, responses: {{}} }}, post: {{ operationId: {create}, responses: {{}} }} }}\n\
             \x20 '/pets/{{id}}': {{ parameters: [{{ name: id, in: path, required: true, schema: {{}} }}], get: {{ operationId: {get}, responses: {{}} }} }}\n"
        )
    };
    let write = |list: &str, create: &str, get: &str| {
        tree.write("apis/pets/v1.yaml", &document(list, create, get));
    };
    let old = tree.folder.path().join("old");
    write("listPets", "createPet", "getPet");
    copy(&tree.path(""), &old);
    write("listPets", "getPet", "createPet");
    let told = |said: &[&str]| {
        let output = tree.run(&["diff", "old", "--env", "dev", "--fail-on", "loosening"]);
        assert_eq!(output.code, 1, "{}{}", output.out, output.err);
        for part in said {
            assert!(output.out.contains(part), "{part}\n{}", output.out);
        }
        assert!(!output.out.contains("consumer app"), "{}", output.out);
        output.out
    };
    let out = told(&[
        "risky       createPet is called getPet now",
        "risky       getPet is called createPet now",
        "tightening  getPet: the scope `pets:write` is added",
        "loosening   createPet: the scope `pets:write` is removed",
        "loosening   gains pets/v1#getPet (POST /pets)",
        "tightening  loses pets/v1#getPet (GET /pets/{id})",
    ]);
    assert!(!out.contains("is new") && !out.contains("is gone"), "{out}");

    // One that takes the id of another, which is called as none was.
    write("listPets", "getPet", "readPet");
    told(&[
        "risky       getPet is called readPet now",
        "loosening   gains pets/v1#getPet (POST /pets)",
        "tightening  loses pets/v1#getPet (GET /pets/{id})",
    ]);
}
