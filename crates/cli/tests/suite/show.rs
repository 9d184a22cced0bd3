//! `turnpike show`, but for the record for auditors.

use serde_json::Value;

use crate::common::{self, Tree, command, finish};

pub(crate) fn git(tree: &Tree, arguments: &[&str]) {
    common::git(tree.folder.path(), arguments, "2026-05-01");
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

/// Texts of a tree come by pull request: none begins a line of its own, moves the cursor, or turns what stands around it.
#[test]
fn texts_of_a_tree_stay_in_their_place() {
    let tree = Tree::new();
    let before = tree.read("consumers/app.yaml");
    let owner = before
        .lines()
        .find(|line| line.starts_with("owner:"))
        .expect("an owner")
        .to_owned();
    tree.change(
        "consumers/app.yaml",
        &owner,
        "owner: \"team\\n::error file=x::y \\u05e9\\u200f\"",
    );
    let out = tree.good(&["show", "consumers", "--env", "production"]);
    assert!(out.contains("team ::error file=x::y"), "{out}");
    assert!(!out.lines().any(|line| line.starts_with("::")), "{out}");
    assert!(!out.contains('\u{200f}'), "{out}");
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

/// A policy that Git ignores is in the bundle, and in no commit.
#[test]
fn what_git_ignores_is_a_change_that_is_not_committed() {
    let tree = Tree::new();
    git(&tree, &["init", "-q"]);
    tree.write(".gitignore", "local-*.yaml\n.system\n");
    git(&tree, &["add", "."]);
    git(&tree, &["commit", "-q", "-m", "first"]);
    // Nothing that the build reads.
    tree.write("models/.system", "");
    let head = || {
        let out = tree.good(&["show", "compliance", "--format", "json"]);
        let record: Value = serde_json::from_str(&out).unwrap();
        record["uncommitted"].clone()
    };
    assert_eq!(head(), false);
    tree.write(
        "models/local-chat.yaml",
        "model: local-chat\nowner: team-ai\ntargets: [openai/gpt-5]\n",
    );
    assert_eq!(head(), true);
    let text = tree.good(&["show", "compliance"]);
    assert!(
        text.contains(", with changes that are not committed; bundle "),
        "{text}"
    );
    let all = rows(&tree, "inventory");
    let local = all.iter().find(|row| row["route"] == "model local-chat").unwrap();
    assert_eq!(local["last_change"], "uncommitted");
}

/// The oldest commit of a shallow clone seems to have made all that is older.
#[test]
fn what_a_shallow_clone_does_not_know_is_unknown() {
    let tree = Tree::new();
    git(&tree, &["init", "-q"]);
    git(&tree, &["add", "policies"]);
    git(&tree, &["commit", "-q", "-m", "first"]);
    tree.change("models/large.yaml", "team-ai", "team-large");
    git(&tree, &["commit", "-qam", "second"]);
    tree.change("models/chat.yaml", "team-ai", "team-chat");
    git(&tree, &["commit", "-qam", "third"]);
    let origin = format!("file://{}", tree.folder.path().display());
    for (depth, chat) in [("1", "unknown"), ("2", "2026-05-01"), ("3", "2026-05-01")] {
        git(&tree, &["clone", "-q", "--depth", depth, &origin, depth]);
        let clone = tree.folder.path().join(depth);
        let show = |arguments: &[&str]| finish(command(&clone, &[&["show"], arguments].concat()));
        // A clone of three has the whole history, of which nothing is cut off.
        let large = if depth == "3" { "2026-05-01" } else { "unknown" };
        let of = |date: &str| match date {
            "unknown" => Value::Null,
            date => date.into(),
        };

        let said = show(&["inventory", "--format", "json"]);
        let all: Vec<Value> = serde_json::from_str(&said.out).unwrap();
        let last = |route: &str| {
            let row = all.iter().find(|row| row["route"] == route).unwrap();
            row["last_change"]["date"].clone()
        };
        assert_eq!(
            (last("model chat"), last("model large")),
            (of(chat), of(large)),
            "{depth}"
        );
        assert_eq!(
            said.err.contains("shallow clone"),
            depth != "3",
            "{depth}: {}",
            said.err
        );

        let said = show(&["compliance", "--format", "json"]);
        let record: Value = serde_json::from_str(&said.out).unwrap();
        let owner = |name: &str| {
            let mut routes = record["routes"].as_array().unwrap().iter();
            let route = routes.find(|route| route["name"] == name).unwrap();
            let mut rules = route["rules"].as_array().unwrap().iter();
            rules.find(|row| row["rule"] == "owner").unwrap()["since"]["date"].clone()
        };
        assert_eq!((owner("chat"), owner("large")), (of(chat), of(large)), "{depth}");
        assert_eq!(
            said.err.contains("fetch-depth: 0"),
            depth != "3",
            "{depth}: {}",
            said.err
        );
        let said = show(&["compliance"]);
        let line = format!("| owner | yes | team-large | `policies/models/large.yaml:2` | {large}");
        assert!(said.out.contains(&line), "{depth}\n{}", said.out);
    }
}

/// What a route says need not stand in its own file.
#[test]
fn the_last_change_is_that_of_every_file_of_a_route() {
    let tree = Tree::new();
    tree.write(
        "templates/steady.yaml",
        "template: steady\napi: { max_body: 1MiB }\n",
    );
    tree.write(
        "environments/production.yaml",
        "vars: { owner: team-large, other: x }\n",
    );
    tree.change("apis/pets/api.yaml", "versions:", "template: steady\nversions:");
    tree.change("models/large.yaml", "owner: team-ai", "owner: ${owner}");
    tree.write("environments/dev.yaml", "vars: { owner: team-large, other: x }\n");
    git(&tree, &["init", "-q"]);
    let mut day = 0;
    let mut commit = || {
        day += 1;
        common::git(
            tree.folder.path(),
            &["add", "policies"],
            &format!("2026-05-0{day}"),
        );
        common::git(
            tree.folder.path(),
            &["commit", "-qm", "a"],
            &format!("2026-05-0{day}"),
        );
    };
    commit();
    let dates = || {
        let all = rows(&tree, "inventory");
        let of = |route: &str| {
            let row = all.iter().find(|row| row["route"] == route).unwrap();
            row["last_change"]["date"].as_str().unwrap()[8..].to_owned()
        };
        [of("GET /pets/v1/pets"), of("model chat"), of("model large")]
    };
    assert_eq!(dates(), ["01", "01", "01"]);
    for (file, from, to, expected) in [
        ("templates/steady.yaml", "1MiB", "2MiB", ["02", "01", "01"]),
        (
            "environments/production.yaml",
            "other: x",
            "other: y",
            ["02", "01", "03"],
        ),
        // Another environment than the one that is shown.
        (
            "environments/dev.yaml",
            "other: x",
            "other: y",
            ["02", "01", "03"],
        ),
        (
            "providers/openai.yaml",
            "openai.example/v1",
            "openai.example/v2",
            ["02", "05", "05"],
        ),
        (
            "apis/pets/v1.yaml",
            "description: Pets.",
            "description: All pets.",
            ["06", "05", "05"],
        ),
        // For whoever calls, whatever it is.
        ("plans/gold.yaml", "burst: 50", "burst: 60", ["06", "05", "05"]),
    ] {
        tree.change(file, from, to);
        commit();
        assert_eq!(dates(), expected, "{file}");
    }
    let all = rows(&tree, "inventory");
    assert_eq!(
        all[0]["files"],
        serde_json::json!([
            "policies/apis/pets/api.yaml",
            "policies/apis/pets/v1.yaml",
            "policies/templates/steady.yaml"
        ])
    );
}

/// A commit that holds more files than Git could list in a lifetime, and one that takes them away.
#[test]
fn a_history_without_end_is_told_as_far_as_it_can_be() {
    let tree = Tree::new();
    let folder = tree.path("..");
    git(&tree, &["init", "-q"]);
    git(&tree, &["add", "policies"]);
    git(&tree, &["commit", "-q", "-m", "first"]);
    let first = common::git(&folder, &["rev-parse", "HEAD"], "2026-05-01");
    let made = |arguments: &[&str], input: &str| common::made(&folder, arguments, input);
    let blob = made(&["hash-object", "-w", "--stdin"], "plan: a\n");
    let mut below = made(&["mktree", "-z"], &format!("100644 blob {blob}\ta.yaml\0"));
    for _ in 0..9 {
        let ten = (0..10).map(|at| format!("040000 tree {below}\t{at}\0"));
        below = made(&["mktree", "-z"], &ten.collect::<String>());
    }
    let own = common::git(&folder, &["ls-tree", "-z", "HEAD:policies"], "2026-05-01");
    let policies = made(&["mktree", "-z"], &format!("{own}040000 tree {below}\tzz\0"));
    let whole = made(&["mktree", "-z"], &format!("040000 tree {policies}\tpolicies\0"));
    let bomb = made(&["commit-tree", "-m", "bomb", "-p", first.trim(), &whole], "");
    let after = made(&["commit-tree", "-m", "gone", "-p", &bomb, "HEAD^{tree}"], "");
    git(&tree, &["reset", "-q", "--soft", &after]);
    tree.change("models/chat.yaml", "owner: team-ai", "owner: team-chat");
    git(&tree, &["commit", "-qam", "after"]);

    let done = tree.run(&["show", "inventory", "--format", "json"]);
    assert_eq!(done.code, 0, "{}", done.err);
    assert!(
        done.err
            .contains("the history of policies has more files than can be listed"),
        "{}",
        done.err
    );
    let all: Vec<Value> = serde_json::from_str(&done.out).unwrap();
    let last = |route: &str| {
        let row = all.iter().find(|row| row["route"] == route).unwrap();
        row["last_change"]["date"].clone()
    };
    assert_eq!(last("model chat"), "2026-05-01");
    assert_eq!(last("model large"), Value::Null);
}

/// What a link leads to is what holds, whenever the link was made.
#[cfg(unix)]
#[test]
fn a_link_was_changed_when_its_file_was() {
    use std::fs;
    use std::os::unix::fs::symlink;

    let tree = Tree::new();
    fs::create_dir(tree.path("apis/pets/docs")).unwrap();
    fs::rename(
        tree.path("apis/pets/v1.yaml"),
        tree.path("apis/pets/docs/pets.md"),
    )
    .unwrap();
    symlink("current.md", tree.path("apis/pets/v1.yaml")).unwrap();
    symlink("docs/pets.md", tree.path("apis/pets/current.md")).unwrap();
    fs::rename(tree.path("models/chat.yaml"), tree.path("chat.md")).unwrap();
    symlink("../chat.md", tree.path("models/chat.yaml")).unwrap();
    git(&tree, &["init", "-q"]);
    git(&tree, &["add", "policies"]);
    git(&tree, &["commit", "-q", "-m", "first"]);
    tree.change(
        "apis/pets/docs/pets.md",
        "description: Pets.",
        "description: All pets.",
    );
    tree.change("chat.md", "owner: team-ai", "owner: team-chat");
    common::git(tree.folder.path(), &["commit", "-qam", "second"], "2026-05-02");
    let all = rows(&tree, "inventory");
    let row = |route: &str| all.iter().find(|row| row["route"] == route).unwrap();
    for (route, date) in [
        ("GET /pets/v1/pets", "2026-05-02"),
        ("model chat", "2026-05-02"),
        ("model large", "2026-05-01"),
    ] {
        assert_eq!(row(route)["last_change"]["date"], date, "{route}");
    }
    assert_eq!(
        row("GET /pets/v1/pets")["files"],
        serde_json::json!([
            "policies/apis/pets/api.yaml",
            "policies/apis/pets/current.md",
            "policies/apis/pets/docs/pets.md",
            "policies/apis/pets/v1.yaml",
        ])
    );
    // Line by line, too: of the link itself there is one.
    let record: Value =
        serde_json::from_str(&tree.good(&["show", "compliance", "--format", "json"])).unwrap();
    let mut routes = record["routes"].as_array().unwrap().iter();
    let chat = routes.find(|route| route["name"] == "chat").unwrap();
    let mut rules = chat["rules"].as_array().unwrap().iter();
    let owner = rules.find(|row| row["rule"] == "owner").unwrap();
    assert_eq!(owner["since"]["date"], "2026-05-02", "{owner}");
    // Not committed is what the link leads to.
    tree.change("chat.md", "owner: team-chat", "owner: team-ai");
    let all = rows(&tree, "inventory");
    let chat = all.iter().find(|row| row["route"] == "model chat").unwrap();
    assert_eq!(chat["last_change"], "uncommitted");
}

/// In a container of a pipeline the clone is another user's, and Git says nothing of it: that is no missing commit.
#[test]
fn what_git_refuses_to_tell_is_told() {
    let tree = Tree::new();
    git(&tree, &["init", "-q"]);
    git(&tree, &["add", "policies"]);
    git(&tree, &["commit", "-q", "-m", "first"]);
    for arguments in [&["show", "inventory"][..], &["diff", "HEAD"]] {
        let mut asked = tree.command(arguments);
        // So does Git try it itself.
        asked.env("GIT_TEST_ASSUME_DIFFERENT_OWNER", "1");
        let said = finish(asked).err;
        assert!(
            said.contains("another user's") && said.contains("safe.directory"),
            "{said}"
        );
        assert!(
            !said.contains("has no commit") && !said.contains("no repository"),
            "{said}"
        );
    }
}
