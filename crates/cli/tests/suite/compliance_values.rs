//! `turnpike show compliance`: what is behind the lines that it names.

use serde_json::{Value, json};

use crate::common::{Tree, git};

fn commit(tree: &Tree, day: &str) {
    git(tree.folder.path(), &["add", "."], day);
    git(tree.folder.path(), &["commit", "-q", "-m", "a change"], day);
}

fn record(tree: &Tree) -> Value {
    let out = tree.good(&["show", "compliance", "--env", "production", "--format", "json"]);
    serde_json::from_str(&out).unwrap()
}

/// The line, the values behind it and the day, of a rule as a route is held to it.
fn evidence(record: &Value, route: &str, rule: &str) -> Value {
    let mut routes = record["routes"].as_array().unwrap().iter();
    let route = routes.find(|one| one["name"] == route).unwrap();
    let mut rules = route["rules"].as_array().unwrap().iter();
    let row = rules.find(|row| row["rule"] == rule).unwrap();
    json!([row["line"], row["values"], row["since"]["date"]])
}

/// An auditor is told of the value that holds, and not only of the line that gives it a name.
#[test]
fn the_line_of_a_value_counts_as_the_one_that_names_it() {
    let tree = Tree::new();
    tree.change(
        "apis/pets/api.yaml",
        "title: Pets\nowner: team-pets\n",
        "title: &who team-pets\nowner: *who\ntemplate: standard\nwith: { slow: 9s, unused: 3 }\n",
    );
    tree.change(
        "apis/pets/api.yaml",
        "upstream: https://pets.internal.example/api",
        "upstream: https://${pets}/api",
    );
    let template = |body: &str, slow: &str| {
        format!(
            "template: standard\nparameters:\n  body: {{ type: size, default: {body} }}\n  \
             slow: {{ type: duration }}\n  unused: {{ type: number, default: 3 }}\n\
             api:\n  max_body: ${{body}}\n  timeouts: {{ first_byte: {slow} }}\n  limits: [{{ rate: \"${{unused}}/s\" }}]\n"
        )
    };
    tree.write("templates/standard.yaml", &template("64KiB", "\"${slow}\""));
    for name in ["dev", "production"] {
        let vars =
            "vars:\n  other: x\n  pets: pets.internal.example\nupstreams:\n  models: https://a.example\n";
        tree.write(&format!("environments/{name}.yaml"), vars);
    }
    tree.change("providers/openai.yaml", "https://api.openai.example/v1", "models");
    tree.change(
        "consumers/trial.yaml",
        "  - { api: pets, operations: [listPets, createPet] }\n",
        "  - api: pets\n    operations:\n      - listPets\n",
    );
    git(tree.folder.path(), &["init", "-q"], "2026-05-01");
    commit(&tree, "2026-05-01");
    let api = |line: &str| format!("policies/apis/pets/api.yaml:{line}");
    let values = "policies/environments/production.yaml";
    let before = record(&tree);
    let first = "2026-05-01";
    let of = |record: &Value, rule: &str| evidence(record, "pets/v1#createPet", rule);
    let standard = |line: &str| format!("policies/templates/standard.yaml:{line}");
    assert_eq!(
        of(&before, "upstream with TLS"),
        json!([api("11"), [format!("{values}:3")], first])
    );
    assert_eq!(of(&before, "owner"), json!([api("3"), [api("2")], first]));
    assert_eq!(
        of(&before, "body"),
        json!([standard("7"), [standard("3")], first])
    );
    assert_eq!(of(&before, "timeout"), json!([api("5"), [standard("8")], first]));
    assert_eq!(of(&before, "state"), json!([api("10"), [], first]));

    // Each value changes on a day of its own, and nothing that names it does.
    tree.change(
        "environments/production.yaml",
        "pets.internal.example",
        "pets-2.internal.example",
    );
    commit(&tree, "2026-05-02");
    tree.change("apis/pets/api.yaml", "&who team-pets", "&who team-cats");
    commit(&tree, "2026-05-03");
    tree.write("templates/standard.yaml", &template("32KiB", "\"${slow}\""));
    commit(&tree, "2026-05-04");
    tree.write("templates/standard.yaml", &template("32KiB", "'${slow}'"));
    commit(&tree, "2026-05-05");
    tree.change(
        "environments/production.yaml",
        "https://a.example",
        "https://b.example",
    );
    commit(&tree, "2026-05-06");
    tree.change(
        "consumers/trial.yaml",
        "      - listPets\n",
        "      - listPets\n      - getPet\n",
    );
    commit(&tree, "2026-05-07");
    let after = record(&tree);
    let day = |rule: &str| of(&after, rule)[2].clone();
    assert_eq!(day("upstream with TLS"), "2026-05-02");
    assert_eq!(day("owner"), "2026-05-03");
    assert_eq!(day("body"), "2026-05-04");
    assert_eq!(day("timeout"), "2026-05-05");
    assert_eq!(day("state"), first);
    assert_eq!(
        evidence(&after, "chat", "upstream with TLS"),
        json!([
            "policies/providers/openai.yaml:3",
            [format!("{values}:5")],
            "2026-05-06"
        ])
    );
    // What a line says may go on in others.
    let routes = after["routes"].as_array().unwrap();
    let get = routes
        .iter()
        .find(|route| route["name"] == "pets/v1#getPet")
        .unwrap();
    let mut rules = get["rules"].as_array().unwrap().iter();
    let granted = rules.find(|row| row["rule"] == "granted to" && row["by"] == "trial");
    assert_eq!(granted.unwrap()["since"]["date"], "2026-05-07");

    // Of what is not committed, be it the value alone, there is no day.
    tree.change("environments/production.yaml", "pets-2.", "pets-3.");
    let text = tree.good(&["show", "compliance", "--env", "production"]);
    let line = format!("`{}` with `{values}:3` | not committed |", api("11"));
    assert!(text.contains(&line), "{text}");
}

/// Exceptions and severities are found behind variables and aliases as rules are.
#[test]
fn exceptions_are_as_old_as_their_newest_value() {
    let tree = Tree::new();
    tree.change(
        "gateway.yaml",
        "environments:\n",
        "exceptions:\n  - rule: authentication\n    for: apis/pets\n    reason: ${why}\n    until: 2099-06-30\n\
         governance:\n  P1210: &none off\n  P1301: *none\nenvironments:\n",
    );
    tree.change(
        "apis/pets/api.yaml",
        "authorize:\n  - { operations: [createPet], scopes: [pets:write] }\n",
        "authentication: none\n",
    );
    for name in ["dev", "production"] {
        tree.write(
            &format!("environments/{name}.yaml"),
            "vars: { why: Open for now. }\n",
        );
    }
    git(tree.folder.path(), &["init", "-q"], "2026-05-01");
    commit(&tree, "2026-05-01");
    tree.change("environments/production.yaml", "for now", "until the move");
    commit(&tree, "2026-05-02");
    let record = record(&tree);
    let exception = &record["exceptions"][0];
    assert_eq!(exception["reason"], "Open until the move.");
    assert_eq!(
        exception["values"],
        json!(["policies/environments/production.yaml:1"])
    );
    assert_eq!(exception["since"]["date"], "2026-05-02");
    let row = evidence(&record, "pets/v1#listPets", "authentication");
    assert_eq!(row[2], "2026-05-02");
    let off = record["not_judged"].as_array().unwrap();
    let aliased = off.iter().find(|one| one["rule"] == "P1301").unwrap();
    let gateway = tree.read("gateway.yaml");
    let line = |text: &str| gateway.lines().position(|line| line.contains(text)).unwrap() + 1;
    assert_eq!(
        aliased["line"],
        format!("policies/gateway.yaml:{}", line("P1301"))
    );
    assert_eq!(
        aliased["values"],
        json!([format!("policies/gateway.yaml:{}", line("P1210"))])
    );
}
