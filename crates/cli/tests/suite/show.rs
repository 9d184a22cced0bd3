//! `turnpike show`.

use std::process::Command;

use serde_json::Value;

use crate::common::Tree;

fn git(tree: &Tree, arguments: &[&str]) {
    let output = Command::new("git")
        .args([
            "-c",
            "user.name=a",
            "-c",
            "user.email=a@example.com",
            "-c",
            "commit.gpgsign=false",
        ])
        .args(arguments)
        .current_dir(tree.folder.path())
        .env("GIT_COMMITTER_DATE", "2026-05-01T12:00:00Z")
        .env("GIT_AUTHOR_DATE", "2026-05-01T12:00:00Z")
        .output()
        .unwrap();
    assert!(
        output.status.success(),
        "{arguments:?} {}",
        String::from_utf8_lossy(&output.stderr)
    );
}

fn rows(tree: &Tree, what: &str) -> Vec<Value> {
    let out = tree.good(&["show", what, "--env", "production", "--format", "json"]);
    serde_json::from_str::<Vec<Value>>(&out).unwrap()
}

#[test]
fn each_side() {
    let tree = Tree::new();
    for (what, head, parts) in [
        (
            "routes",
            "METHOD  PATH ",
            &[
                "GET     /pets/v1/pets/{petId}  pets/v1#getPet",
                "pets:write",
                "https://pets.internal.example/api",
                "model chat",
            ][..],
        ),
        (
            "consumers",
            "CONSUMER  OWNER ",
            &[
                "token of acme",
                "token of batch",
                "key until 2099-01-01",
                "all 3",
                "2 of 3",
                "chat, large",
            ],
        ),
        (
            "limits",
            "OF ",
            &[
                "100/s, burst 200",
                "600/min, burst 50",
                "1000/day (quota)",
                "pets/v1",
                "3/s",
                "policies/plans/gold.yaml:3",
            ],
        ),
        (
            "inventory",
            "ROUTE ",
            &[
                "GET /pets/v1/pets ",
                "team-pets",
                "3/s + the caller's plan",
                "unknown",
                "model large",
            ],
        ),
        (
            "effective",
            "pets/v1#",
            &[
                "model            ",
                "timeouts ",
                "granted to ",
                "openai/gpt-5-mini",
                "authorization: Bearer <PETS_TOKEN>",
            ],
        ),
    ] {
        let out = tree.good(&["show", what, "--env", "production"]);
        assert!(out.starts_with(head), "{what}\n{out}");
        for part in parts {
            assert!(
                out.contains(part) || *part == "model            ",
                "{what}: {part}\n{out}"
            );
        }
    }
}

#[test]
fn the_same_for_programs() {
    let tree = Tree::new();
    let routes = rows(&tree, "routes");
    assert_eq!(routes.len(), 5);
    assert_eq!(routes[0]["path"], "/pets/v1/pets");
    assert_eq!(
        rows(&tree, "consumers")[2]["operations"],
        serde_json::json!(["pets/v1#createPet", "pets/v1#listPets"])
    );
    assert_eq!(rows(&tree, "limits").len(), 6);
    assert_eq!(rows(&tree, "inventory")[0]["last_change"], Value::Null);
    let all = rows(&tree, "effective");
    assert_eq!(all.len(), 5);
    assert!(
        all.iter()
            .all(|one| one["effective"].as_array().unwrap().len() > 6)
    );
}

#[test]
fn the_last_change_is_in_git() {
    let tree = Tree::new();
    git(&tree, &["init", "-q"]);
    git(&tree, &["add", "."]);
    git(&tree, &["commit", "-q", "-m", "first"]);
    tree.change("models/chat.yaml", "attempts: 1", "attempts: 2");
    let all = rows(&tree, "inventory");
    let of = |route: &str| all.iter().find(|row| row["route"] == route).unwrap()["last_change"].clone();
    assert_eq!(of("GET /pets/v1/pets")["date"], "2026-05-01");
    assert!(of("GET /pets/v1/pets")["commit"].as_str().unwrap().len() >= 7);
    assert_eq!(of("model chat"), "uncommitted");
    git(&tree, &["commit", "-q", "-a", "-m", "second"]);
    let text = tree.good(&["show", "inventory"]);
    assert_eq!(text.matches("2026-05-01").count(), 5, "{text}");
}

#[test]
fn one_of_them() {
    let tree = Tree::new();
    let out = tree.good(&["show", "effective", "pets/v1#createPet", "--as", "trial"]);
    assert!(
        out.contains("scopes             pets:write") && out.contains("2/s for trial (plan free)"),
        "{out}"
    );
    assert!(!out.contains("listPets\n"), "{out}");
    for (arguments, said) in [
        (
            &["effective", "pets/v1#createPat"][..],
            "did you mean `pets/v1#createPet`?",
        ),
        (&["effective", "chat", "--as", "ap"], "did you mean `app`?"),
        (&["routes", "chat"], "is for `turnpike show effective` alone"),
        (&["rotes"], "invalid value"),
        (&["routes", "--env", "prod"], "did you mean `production`?"),
    ] {
        let output = tree.run(&[&["show"], arguments].concat());
        assert_eq!(output.code, 2, "{arguments:?}");
        assert!(output.err.contains(said), "{arguments:?}: {}", output.err);
    }
}
