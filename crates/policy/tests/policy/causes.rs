//! One cause, one diagnostic: every file and every line of a tree is spoilt in turn, and what follows
//! from that is not said beside it. Several causes are all said.

use std::collections::BTreeMap;
use std::path::Path;

use crate::common::{Files, Folder, base, build, build_at, collected, lines, sample};

/// A tree with nothing against it, in a folder where one file at a time is spoilt.
struct Tree {
    name: &'static str,
    files: Files,
    environment: &'static str,
    folder: Folder,
}

impl Tree {
    fn new(name: &'static str, files: Files, environment: &'static str) -> Self {
        let folder = Folder::new();
        for (path, text) in &files {
            folder.write(path, text);
        }
        let tree = Self {
            name,
            files,
            environment,
            folder,
        };
        assert_eq!(tree.said(), Vec::<String>::new(), "{name}");
        tree
    }

    fn said(&self) -> Vec<String> {
        lines(&build_at(&self.folder.0, self.environment))
    }

    /// What is said when a file says something else.
    fn spoilt(&self, path: &str, text: &str) -> Vec<String> {
        self.folder.write(path, text);
        let said = self.said();
        self.folder.write(path, &self.files[path]);
        said
    }

    /// Notes what is said of a spoilt file, unless it is one thing, in the right place.
    fn expect(&self, path: &str, text: &str, what: &str, start: &str, wrong: &mut Vec<String>) {
        let found = self.spoilt(path, text);
        if found.len() != 1 || !found[0].starts_with(start) {
            let name = self.name;
            wrong.push(format!(
                "{name}/{path}: {what}: expected {start}, found {found:#?}"
            ));
        }
    }
}

fn trees() -> Vec<Tree> {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("../..");
    let mut e2e = collected(&root.join("tests/trees/e2e"));
    let keys = r#"{ "keys": [{ "kty": "RSA", "n": "AQAB", "e": "AQAB" },
        { "kty": "EC", "crv": "P-256", "x": "A", "y": "B" }, { "kty": "OKP", "crv": "Ed25519", "x": "A" }] }"#;
    e2e.insert("keys.json".to_owned(), keys.to_owned());
    vec![
        Tree::new("base", base(), "dev"),
        Tree::new("sample", sample(), "dev"),
        Tree::new("bench", collected(&root.join("bench/policies")), "bench"),
        Tree::new("e2e", e2e, "dev"),
    ]
}

/// Every policy file of a tree. What documents and keys hold is spoilt in `documents.rs`.
fn policies(files: &Files) -> Vec<String> {
    let named = |path: &&String| {
        let in_api = path.starts_with("apis/") && !path.ends_with("/api.yaml");
        path.ends_with(".yaml") && !in_api
    };
    let mut policies: Vec<String> = files.keys().filter(named).cloned().collect();
    // The end-to-end tree has many of a kind that are alike.
    let mut kinds = BTreeMap::new();
    policies.retain(|path| {
        let kind = path.split('/').next().unwrap_or("").to_owned();
        let seen = kinds.entry(kind).or_insert(0);
        *seen += 1;
        *seen <= 2
    });
    policies
}

/// The lines of a text that begin with a key: where the key begins, and the key.
fn keys(text: &str) -> impl Iterator<Item = (usize, usize, &str)> {
    text.lines().enumerate().filter_map(|(at, line)| {
        let rest = line.trim_start().trim_start_matches("- ");
        let (key, _) = rest.split_once(':')?;
        let word = !key.is_empty() && key.bytes().all(|b| b.is_ascii_lowercase() || b == b'_');
        word.then_some((at, line.len() - rest.len(), key))
    })
}

fn with_line(text: &str, at: usize, new: &str) -> String {
    let replaced = text
        .lines()
        .enumerate()
        .map(|(line, old)| if line == at { new } else { old });
    replaced.map(|line| format!("{line}\n")).collect()
}

#[test]
fn a_file_that_cannot_be_read_is_one_fault() {
    let mut wrong = Vec::new();
    for tree in trees() {
        for path in tree.files.keys().filter(|path| path.ends_with(".yaml")) {
            // A document that is no map is none of OpenAPI.
            let document = path.starts_with("apis/") && !path.ends_with("/api.yaml");
            let list = if document { "P0601" } else { "P0203" };
            for (text, code) in [("a: [", "P0101"), ("# nothing", "P0108"), ("- a", list)] {
                let found = tree.spoilt(path, text);
                let fits = found.len() == 1 && found[0].starts_with(&format!("{path}:1:"));
                if !fits || !found[0].contains(code) {
                    wrong.push(format!("{}/{path} = {text}: {found:#?}", tree.name));
                }
            }
        }
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}

#[test]
fn a_misspelt_field_is_one_fault() {
    let mut wrong = Vec::new();
    for tree in trees() {
        for path in policies(&tree.files) {
            let text = &tree.files[&path];
            for (at, column, key) in keys(text) {
                if is_name(&path, text, at) || key.len() < 3 {
                    continue;
                }
                let line = text.lines().nth(at).unwrap();
                let misspelt = format!("{}{key}z{}", &line[..column], &line[column + key.len()..]);
                let start = format!("{path}:{}:{}: error[P0201]", at + 1, column + 1);
                tree.expect(
                    &path,
                    &with_line(text, at, &misspelt),
                    &misspelt,
                    &start,
                    &mut wrong,
                );
            }
        }
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}

/// Whether a line stands directly below a map from names, which are not fields.
fn is_name(path: &str, text: &str, at: usize) -> bool {
    let lines: Vec<_> = text.lines().collect();
    let indent = |line: &str| line.len() - line.trim_start().len();
    let parent = lines[..at]
        .iter()
        .rev()
        .find(|line| !line.trim().is_empty() && indent(line) < indent(lines[at]));
    let parent = parent.map_or("", |line| line.trim());
    let maps = ["issuers:", "environments:", "versions:", "vars:"];
    maps.iter().any(|map| parent.starts_with(map))
        || path.starts_with("mocks/") && parent.contains("arguments:")
}

#[test]
fn a_value_of_another_type_is_one_fault() {
    let mut wrong = Vec::new();
    for tree in trees() {
        for path in policies(&tree.files) {
            let text = &tree.files[&path];
            for (at, column, key) in keys(text) {
                let line = text.lines().nth(at).unwrap();
                let value = line[column + key.len() + 1..].trim();
                // A body of a test may be any JSON.
                if value.is_empty() || value.starts_with('#') || key == "json" {
                    continue;
                }
                let spoilt = format!("{}: [[x]]", &line[..column + key.len()]);
                let start = format!("{path}:{}:", at + 1);
                tree.expect(&path, &with_line(text, at, &spoilt), &spoilt, &start, &mut wrong);
            }
        }
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}

#[test]
fn a_field_that_is_left_out_is_one_fault_at_most() {
    let mut wrong = Vec::new();
    for tree in trees() {
        for path in policies(&tree.files) {
            let text = &tree.files[&path];
            for (at, column, key) in keys(text) {
                // What others refer to is missed at each place that does; and without its
                // `environments` an item exists where it may not.
                let missed = ["claims", "environments", "exceptions", "issuers"].contains(&key);
                // Without the line that begins a test its next one would be part of the test before.
                let begins = path.starts_with("tests/")
                    && text.lines().nth(at).unwrap().trim_start().starts_with("- ");
                if missed || begins || is_name(&path, text, at) {
                    continue;
                }
                let below =
                    |line: &&str| line.trim().is_empty() || line.len() - line.trim_start().len() > column;
                let rest = text.lines().skip(at + 1).skip_while(below);
                let kept: Vec<_> = text.lines().take(at).chain(rest).collect();
                let found = tree.spoilt(&path, &kept.join("\n"));
                if found.iter().filter(|line| line.contains(": error[")).count() > 1 {
                    wrong.push(format!("{}/{path} without {key}: {found:#?}", tree.name));
                }
            }
        }
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}

#[test]
fn several_causes_are_all_said() {
    let mut files = base();
    let mut replace = |path: &str, old: &str, new: &str| {
        let text = files.get_mut(path).unwrap();
        assert!(text.contains(old), "{path}: {old}");
        *text = text.replace(old, new);
    };
    replace(
        "plans/gold.yaml",
        "limits:\n  - rate: 10/s",
        "limitz:\n  - rat: 10",
    );
    replace("apis/pets/api.yaml", "openapi: v1.yaml", "openapi: v3.yaml");
    replace("apis/pets/api.yaml", "https://pets.example", "pets.example");
    replace("consumers/app.yaml", "[chat]", "[chatt]");
    files.insert("apis/pets/notes.txt".to_owned(), String::new());
    files.insert("plant/a.yaml".to_owned(), String::new());
    files.insert("plant/b.yaml".to_owned(), String::new());
    let found = lines(&build(&files, "dev"));
    let expected = [
        "apis/pets/api.yaml:7:14: error[P0006]",
        "apis/pets/api.yaml:9:15: error[P0212]",
        "apis/pets/notes.txt:1:1: error[P0005]",
        "consumers/app.yaml:8:16: error[P0301]",
        "plans/gold.yaml:2:1: error[P0201]",
        "plans/gold.yaml:3:5: error[P0201]",
        "plans/gold.yaml:3:10: error[P0205]",
        "plant/a.yaml:1:1: error[P0005]: the folder `plant/` has no place in the tree",
    ];
    assert_eq!(found.len(), expected.len(), "{found:#?}");
    for (line, start) in found.iter().zip(expected) {
        assert!(line.starts_with(start), "{line}: {start}");
    }
}

/// Files that are moved: from, to, and all that is said.
#[test]
fn a_file_in_another_place_is_one_fault() {
    for (moved, said, help) in [
        (
            &[("apis/pets/v1.yaml", "apis/pets/petstore.yaml")][..],
            "apis/pets/api.yaml:7:14: error[P0006]",
            "did you mean `apis/pets/petstore.yaml`?",
        ),
        // What is hidden is no part of the tree.
        (
            &[("apis/pets/v1.yaml", "apis/pets/.v1.yaml")],
            "apis/pets/api.yaml:7:14: error[P0006]",
            "`apis/pets/.v1.yaml` is there, and no part of the tree: what begins with `.` is left out; rename it to `apis/pets/v1.yaml`",
        ),
        (
            &[("gateway.yaml", ".gateway.yaml")],
            "gateway.yaml:1:1: error[P0006]",
            "`.gateway.yaml` is there, and no part of the tree",
        ),
        (
            &[("apis/pets/api.yaml", "apis/pets/.api.yaml")],
            "apis/pets/api.yaml:1:1: error[P0006]",
            "`apis/pets/.api.yaml` is there, and no part of the tree",
        ),
        (
            &[("gateway.yaml", "gatway.yaml")],
            "gateway.yaml:1:1: error[P0006]",
            "rename `gatway.yaml`",
        ),
        (
            &[("apis/pets/api.yaml", "apis/pets/apis.yaml")],
            "apis/pets/api.yaml:1:1: error[P0006]",
            "rename `apis/pets/apis.yaml`",
        ),
        (
            &[("plans/gold.yaml", "plan/gold.yaml")],
            "plan/gold.yaml:1:1: error[P0005]: the folder `plan/`",
            "did you mean `plans/`?",
        ),
        (
            &[("plans/gold.yaml", "plans/gold.ymal")],
            "plans/gold.ymal:1:1: error[P0005]",
            "the files of a kind end in",
        ),
        (
            &[
                ("apis/pets/api.yaml", "api/pets/api.yaml"),
                ("apis/pets/v1.yaml", "api/pets/v1.yaml"),
            ],
            "api/pets/api.yaml:1:1: error[P0005]: the folder `api/`",
            "did you mean `apis/`?",
        ),
        (
            &[("providers/openai.yaml", "provider/openai.yaml")],
            "provider/openai.yaml:1:1: error[P0005]",
            "did you mean `providers/`?",
        ),
    ] {
        let mut files = base();
        for (from, to) in moved {
            let text = files.remove(*from).unwrap();
            files.insert((*to).to_owned(), text);
        }
        let outcome = build(&files, "dev");
        let found = lines(&outcome);
        assert_eq!(found.len(), 1, "{moved:?}: {found:#?}");
        assert!(found[0].starts_with(said), "{moved:?}: {found:#?}");
        let helped = outcome.diagnostics[0].help.as_deref().unwrap_or("");
        assert!(helped.starts_with(help), "{moved:?}: {helped}");
    }
}

/// A document by the name of a file that is left out, which the field names as it is.
#[test]
fn a_file_that_is_left_out_is_told_by_its_name() {
    for (name, why, instead) in [
        (".v1.yaml", "what begins with `.` is left out", "v1.yaml"),
        (".old/v1.yaml", "what begins with `.` is left out", "old/v1.yaml"),
        ("v1.md", "notes (`.md`) are left out", "v1.yaml"),
    ] {
        let mut files = base();
        let text = files.remove("apis/pets/v1.yaml").unwrap();
        files.insert(format!("apis/pets/{name}"), text);
        let api = files.get_mut("apis/pets/api.yaml").unwrap();
        *api = api.replace("openapi: v1.yaml", &format!("openapi: {name}"));
        let outcome = build(&files, "dev");
        let found = lines(&outcome);
        assert_eq!(found.len(), 1, "{name}: {found:#?}");
        assert!(found[0].contains("P0006"), "{name}: {found:#?}");
        assert_eq!(
            outcome.diagnostics[0].help.as_deref().unwrap_or(""),
            format!(
                "`apis/pets/{name}` is there, and no part of the tree: {why}; rename it to `apis/pets/{instead}`, and name that here"
            ),
        );
    }
}

#[test]
fn a_file_that_names_a_document_is_never_taken_for_it() {
    let mut files = base();
    files.remove("apis/pets/v1.yaml");
    let outcome = build(&files, "dev");
    let found = lines(&outcome);
    assert_eq!(found.len(), 1, "{found:#?}");
    assert!(found[0].contains("P0006"), "{found:#?}");
    let help = outcome.diagnostics[0].help.as_deref().unwrap_or("");
    assert!(help.starts_with("put it there, or name another"), "{help}");
}

#[test]
fn keys_under_another_name_are_one_fault() {
    let mut files = base();
    let gateway = files.get_mut("gateway.yaml").unwrap();
    *gateway = gateway.replace("https://login.acme.example/jwks", "keys/acme.json");
    files.insert("keys/amce.json".to_owned(), "{}".to_owned());
    let found = lines(&build(&files, "dev"));
    assert_eq!(found.len(), 1, "{found:#?}");
    assert!(found[0].contains("P0006"), "{found:#?}");
}

#[test]
fn an_environment_that_is_not_there_is_one_fault() {
    for tree in trees() {
        let outcome = build_at(&tree.folder.0, "prodution");
        let found = lines(&outcome);
        assert_eq!(found.len(), 1, "{}: {found:#?}", tree.name);
        assert!(found[0].contains("error[P0008]"), "{}: {found:#?}", tree.name);
        assert!(outcome.diagnostics[0].help.is_some());
    }
}
