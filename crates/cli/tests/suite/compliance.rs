//! `turnpike show compliance`.

use std::collections::BTreeSet;

use serde_json::Value;

use crate::common::Tree;
use crate::show::git;

/// The record for an auditor: each rule with its line and its commit, exceptions, and what is not met.
#[test]
fn compliance() {
    let tree = Tree::new();
    tree.change(
        "gateway.yaml",
        "environments:\n",
        "exceptions:\n  - { rule: authentication, for: apis/pets, reason: 'Open | for now.', until: 2099-06-30 }\n\
         governance: { P1210: off }\nenvironments:\n",
    );
    tree.change(
        "apis/pets/api.yaml",
        "limits: [{ rate: 3/s }]",
        "limits: [{ rate: 3/s }]\nauthentication: none",
    );
    tree.change(
        "apis/pets/api.yaml",
        "authorize:\n  - { operations: [createPet], scopes: [pets:write] }\n",
        "",
    );
    git(&tree, &["init", "-q"]);
    git(&tree, &["add", "."]);
    git(&tree, &["commit", "-q", "-m", "first"]);
    tree.change("models/chat.yaml", "owner: team-ai", "owner: team-chat");

    let out = tree.good(&["show", "compliance", "--env", "production", "--format", "json"]);
    let record: Value = serde_json::from_str(&out).unwrap();
    assert_eq!(record["uncommitted"], true);
    assert_eq!(record["bundle"].as_str().unwrap().len(), 64);
    assert_eq!(record["exceptions"][0]["until"], "2099-06-30");
    assert_eq!(record["exceptions"][0]["since"]["date"], "2026-05-01");
    assert_eq!(record["not_judged"][0]["rule"], "P1210");
    let routes = record["routes"].as_array().unwrap();
    assert_eq!(routes.len(), 5);
    let rules = |name: &str| {
        let route = routes.iter().find(|route| route["name"] == name).unwrap();
        route["rules"].as_array().unwrap().clone()
    };
    let pets = rules("pets/v1#listPets");
    let of = |rule: &str| pets.iter().find(|row| row["rule"] == rule).unwrap().clone();
    assert_eq!(of("authentication")["met"], "by exception");
    assert!(
        of("authentication")["line"]
            .as_str()
            .unwrap()
            .starts_with("policies/gateway.yaml:")
    );
    assert_eq!(of("limit")["by"], "3/s for each caller");
    assert_eq!(of("limit")["line"], "policies/apis/pets/api.yaml:11");
    assert_eq!(of("limit")["since"]["date"], "2026-05-01");
    assert_eq!(of("upstream with TLS")["met"], "yes");
    // What `check` finds in it stands with it, with its place.
    assert!(
        pets.iter()
            .any(|row| row["met"] == "no"
                && row["line"].as_str().is_some_and(|line| line.contains("v1.yaml:")))
    );
    // Who calls what is open is not asked, so that no plan counts it.
    assert_eq!(pets.iter().filter(|row| row["rule"] == "limit").count(), 1);
    assert!(!out.contains("P1210 ("), "{out}");
    let chat = rules("chat");
    let owner = chat.iter().find(|row| row["rule"] == "owner").unwrap();
    assert_eq!(owner["line"], "policies/models/chat.yaml:2");
    assert_eq!(owner["since"], "uncommitted");
    assert_eq!(of("state")["line"], "policies/apis/pets/api.yaml:8");
    let grant = chat.iter().find(|row| row["by"] == "trial").unwrap();
    assert_eq!(grant["rule"], "granted to");
    assert!(
        grant["line"]
            .as_str()
            .unwrap()
            .starts_with("policies/consumers/trial.yaml:")
    );

    let text = tree.good(&["show", "compliance", "--env", "production"]);
    for part in [
        "# Compliance of acme in production\n",
        ", with changes that are not committed; bundle ",
        "| authentication | apis/pets | Open \\| for now. | 2099-06-30 | `policies/gateway.yaml:",
        "\n## GET /pets/v1/pets\n",
        "\n## model chat\n",
        "| 2026-05-01 ",
    ] {
        assert!(text.contains(part), "{part}\n{text}");
    }
    assert_eq!(tree.run(&["show", "compliance", "--env", "prod"]).code, 2);
}

/// Each finding stands where it is about: with each operation that it speaks of, with its model, or once for all.
#[test]
fn a_route_is_told_what_is_about_it() {
    let tree = Tree::new();
    tree.change(
        "apis/pets/api.yaml",
        "authorize:\n  - { operations: [createPet], scopes: [pets:write] }\n",
        "authorize:\n  - { operations: [getPet], scopes: [pets:read] }\n",
    );
    tree.change(
        "apis/pets/v1.yaml",
        "operationId: createPet",
        "operationId: createPet\n      deprecated: false\n      tags: [unknown]",
    );
    tree.write(
        "models/fresh.yaml",
        "model: fresh\nowner: team-ai\ntargets: [openai/gpt-5]\n",
    );
    git(&tree, &["init", "-q"]);
    git(&tree, &["add", "."]);
    git(&tree, &["rm", "-q", "--cached", "policies/models/fresh.yaml"]);
    git(&tree, &["commit", "-q", "-m", "first"]);
    let arguments = ["show", "compliance", "--env", "production"];
    let out = tree.good(&[&arguments[..], &["--format", "json"]].concat());
    let record: Value = serde_json::from_str(&out).unwrap();
    let rules = |name: &str| {
        let mut routes = record["routes"].as_array().unwrap().iter();
        routes.find(|route| route["name"] == name).unwrap()["rules"]
            .as_array()
            .unwrap()
            .clone()
    };
    let unmet = |rows: &[Value]| -> Vec<String> {
        let rows = rows.iter().filter(|row| row["met"] == "no");
        let rules = rows.map(|row| row["rule"].as_str().unwrap()[..5].to_owned());
        rules.filter(|rule| rule.starts_with('P')).collect()
    };
    let line_of = |rows: &[Value], code: &str| {
        let mut rows = rows.iter();
        let row = rows
            .find(|row| row["rule"].as_str().unwrap().starts_with(code))
            .unwrap();
        row["line"].as_str().unwrap().to_owned()
    };
    let (list, create, get) = (
        rules("pets/v1#listPets"),
        rules("pets/v1#createPet"),
        rules("pets/v1#getPet"),
    );
    let whole = record["of_no_route"].as_array().unwrap().clone();
    // code: listPets, createPet, getPet, none of them
    for (code, expected) in [
        // An operation that writes asks for no scope.
        ("P1208", [false, true, false, false]),
        // A tag that the document does not list.
        ("P1305", [false, true, false, false]),
        // Told once for all the places that it is in: each has its own.
        ("P1310", [true, false, true, false]),
        ("P1217", [true, true, true, false]),
        // Of the document, of the tree.
        ("P1306", [false, false, false, true]),
        ("P1007", [false, false, false, true]),
    ] {
        let has = [&list, &create, &get, &whole].map(|rows| unmet(rows).iter().any(|known| known == code));
        assert_eq!(has, expected, "{code}\n{out}");
    }
    assert_eq!(line_of(&list, "P1310"), "policies/apis/pets/v1.yaml:7");
    assert_eq!(line_of(&get, "P1310"), "policies/apis/pets/v1.yaml:18");
    let by = |rows: &[Value], rule: &str| {
        let mut rows = rows.iter();
        rows.find(|row| row["rule"] == rule).unwrap().clone()
    };
    assert_eq!(by(&list, "P1310 (note)")["by"], "A parameter has no description.");
    // A demand that nobody makes is not met.
    assert_eq!(by(&list, "scopes")["met"], "not asked");
    assert_eq!(by(&get, "scopes")["met"], "yes");

    // Rules that are about a route, without those of consumers, plans and the gateway.
    let counted = |rows: &[Value]| {
        let said = by(rows, "governance")["by"].as_str().unwrap().to_owned();
        let mut numbers = said
            .split(|c: char| !c.is_ascii_digit())
            .filter(|word| !word.is_empty());
        let mut next = || numbers.next().map(|number| number.parse::<usize>().unwrap());
        (next().unwrap(), next().unwrap(), next().unwrap_or(0))
    };
    let broken = |rows: &[Value]| BTreeSet::from_iter(unmet(rows)).len();
    let (met, of, above) = counted(&get);
    assert_eq!(met + broken(&get) + above, of, "{get:#?}");
    assert!(above > 0 && of < 80, "{met} {of} {above}");
    let (met, of, above) = counted(&rules("chat"));
    assert_eq!((met + broken(&rules("chat")), above), (of, 0));
    assert!(of < 20, "{of}");

    // Not all of them are met, and that is not told as if they were.
    assert_eq!(by(&get, "governance")["met"], "no");
    assert_eq!(by(&rules("chat"), "governance")["met"], "no");

    // A file that is in no commit.
    let owner = by(&rules("fresh"), "owner");
    assert_eq!(owner["since"], "uncommitted");
    let text = tree.good(&arguments);
    for part in [
        "| owner | yes | team-ai | `policies/models/fresh.yaml:2` | not committed |",
        "| scopes | not asked | none | built in |  |",
        "\n## Rules of governance that are not met, of no single route\n\n| rule | met |",
    ] {
        assert!(text.contains(part), "{part}\n{text}");
    }
}

/// What is off or weakened does not count as met: it is named, with its line.
#[test]
fn rules_that_are_off_or_weakened_are_not_met() {
    let tree = Tree::new();
    let governance = |levels: &str| {
        tree.change(
            "gateway.yaml",
            "environments:\n",
            &format!("governance: {{ {levels} }}\nenvironments:\n"),
        );
        let out = tree.good(&["show", "compliance", "--env", "production", "--format", "json"]);
        let text = tree.good(&["show", "compliance", "--env", "production"]);
        tree.change("gateway.yaml", &format!("governance: {{ {levels} }}\n"), "");
        let record: Value = serde_json::from_str(&out).unwrap();
        let routes = record["routes"].as_array().unwrap().clone();
        let of = move |name: &str| {
            let route = routes.iter().find(|route| route["name"] == name).unwrap();
            let mut rules = route["rules"].as_array().unwrap().iter();
            rules.find(|row| row["rule"] == "governance").unwrap().clone()
        };
        (record, of("chat"), of("pets/v1#listPets"), text)
    };
    // A model whose rules are all met, or off.
    let unmet = "P1502: off, P1503: off, P1504: off";
    let (_, chat, pets, _) = governance(unmet);
    assert_eq!(chat["met"], "in part", "{chat}");
    let by = chat["by"].as_str().unwrap();
    assert!(by.ends_with("; P1502 is off, P1503 is off, P1504 is off"), "{by}");
    // They are about models.
    assert!(!pets["by"].as_str().unwrap().contains("P1502"), "{pets}");
    let (record, chat, pets, text) = governance("P1401: note, P1406: warning, P1403: error");
    assert_eq!(record["weakened"][0]["rule"], "P1401");
    assert_eq!(record["weakened"][1]["level"], "warning");
    assert_eq!(record["weakened"][1]["usually"], "error");
    assert_eq!(
        record["weakened"].as_array().unwrap().len(),
        2,
        "what is stricter is not weaker"
    );
    assert_eq!(record["not_judged"], serde_json::json!([]));
    assert!(!chat["by"].as_str().unwrap().contains("P1401"), "{chat}");
    let by = pets["by"].as_str().unwrap();
    assert!(
        by.ends_with("; P1401 is a note only, P1406 is a warning only"),
        "{by}"
    );
    assert!(
        text.contains(
            "## Rules of governance that are weakened\n\n| rule | level | usually | line | since |"
        ),
        "{text}"
    );
}

/// Aliases and variables hide nothing from the record: it is of what the build takes.
#[test]
fn what_is_said_by_another_name_is_in_the_record() {
    let tree = Tree::new();
    tree.change(
        "gateway.yaml",
        "environments:\n",
        "exceptions:\n  - { rule: authentication, for: apis/pets, reason: \"${why}\", until: &day 2099-06-30 }\n  \
         - { rule: authentication, for: apis/other, reason: Elsewhere., until: *day, environments: [dev] }\n\
         governance: { P1210: &none off, P1301: *none }\nenvironments:\n",
    );
    tree.change(
        "apis/pets/api.yaml",
        "title: Pets\nowner: team-pets\n",
        "title: &who team-pets\nowner: *who\n",
    );
    tree.change("apis/pets/api.yaml", "state: active", "state: &state active");
    tree.change(
        "apis/pets/api.yaml",
        "limits: [{ rate: 3/s }]",
        "limits: [{ rate: 3/s }]\nauthentication: none",
    );
    tree.change(
        "apis/pets/api.yaml",
        "authorize:\n  - { operations: [createPet], scopes: [pets:write] }\n",
        "",
    );
    tree.write("environments/production.yaml", "vars: { why: Open for now. }\n");
    git(&tree, &["init", "-q"]);
    git(&tree, &["add", "."]);
    git(&tree, &["commit", "-q", "-m", "first"]);
    let out = tree.good(&["show", "compliance", "--env", "production", "--format", "json"]);
    let record: Value = serde_json::from_str(&out).unwrap();
    let exceptions = record["exceptions"].as_array().unwrap();
    assert_eq!(exceptions.len(), 1, "{out}");
    assert_eq!(exceptions[0]["reason"], "Open for now.");
    assert_eq!(exceptions[0]["until"], "2099-06-30");
    assert_eq!(exceptions[0]["line"], "policies/gateway.yaml:19");
    assert_eq!(record["not_judged"][1]["rule"], "P1301");
    let routes = record["routes"].as_array().unwrap();
    let pets = routes.iter().find(|route| route["name"] == "pets/v1#listPets");
    let rules = pets.unwrap()["rules"].as_array().unwrap();
    let of = |rule: &str| rules.iter().find(|row| row["rule"] == rule).unwrap();
    assert_eq!(of("authentication")["met"], "by exception");
    assert_eq!(of("owner")["line"], "policies/apis/pets/api.yaml:3");
    assert_eq!(of("owner")["since"]["date"], "2026-05-01");
    assert_eq!(of("state")["line"], "policies/apis/pets/api.yaml:8");
}

/// Of what is found too often to be told, nobody can say that it is met; what is elsewhere is told all the same.
#[test]
fn a_flood_of_findings_makes_nothing_met() {
    let tree = Tree::new();
    let paths: Vec<String> = (0..9_000)
        .map(|at| {
            let operation = "responses: { '200': { description: A. } }";
            format!("  /p{at}:\n    post: {{ operationId: o{at}, {operation} }}\n")
        })
        .collect();
    let api = tree.read("apis/pets/api.yaml").replace("pets", "many");
    let (api, _) = api.split_once("authorize:").unwrap();
    let record = |tree: &Tree| -> Value {
        let out = tree.good(&["show", "compliance", "--env", "production", "--format", "json"]);
        serde_json::from_str(&out).unwrap()
    };
    let governance = |record: &Value, name: &str| {
        let routes = record["routes"].as_array().unwrap();
        let route = routes.iter().find(|route| route["name"] == name).unwrap();
        let mut rules = route["rules"].as_array().unwrap().clone();
        rules.retain(|row| row["by"].as_str().is_some_and(|by| by.contains(" rules")) || row["met"] == "no");
        rules
    };
    let before = record(&tree);
    tree.write(
        "apis/many/v1.yaml",
        &format!(
            "openapi: 3.1.1\ninfo: {{ title: Many, version: 1.0.0 }}\npaths:\n{}",
            paths.concat()
        ),
    );
    tree.write("apis/many/api.yaml", &format!("{api}limits: [{{ rate: 3/s }}]\n"));
    let after = record(&tree);
    for name in ["pets/v1#listPets", "pets/v1#createPet", "chat"] {
        assert_eq!(governance(&after, name), governance(&before, name), "{name}");
        assert_ne!(governance(&after, name)[0]["met"], "yes", "{name}");
    }
    let last = governance(&after, "many/v1#o8999");
    assert_ne!(last[0]["met"], "yes", "{last:?}");
    let by = last[0]["by"].as_str().unwrap();
    assert!(
        by.contains("not known, as more is found in the file than is shown"),
        "{by}"
    );
}

/// A plan whose limits are for models limits no call of an API, and nobody is told that it does.
#[test]
fn a_limit_for_models_is_none_of_an_api() {
    let tree = Tree::new();
    tree.change("apis/pets/api.yaml", "limits: [{ rate: 3/s }]\n", "");
    tree.write(
        "plans/gold.yaml",
        "plan: gold\nlimits: [{ rate: 600/min, models: [chat] }]\n",
    );
    let out = tree.good(&["show", "compliance", "--env", "production", "--format", "json"]);
    let record: Value = serde_json::from_str(&out).unwrap();
    let unlimited = |name: &str| -> Vec<String> {
        let routes = record["routes"].as_array().unwrap();
        let route = routes.iter().find(|route| route["name"] == name).unwrap();
        let rows = route["rules"].as_array().unwrap().iter();
        let rows = rows.filter(|row| row["rule"] == "limit" && row["met"] == "no");
        rows.map(|row| row["by"].as_str().unwrap().to_owned()).collect()
    };
    let none = ["none on the plan gold, of which no limit is for this"];
    assert_eq!(unlimited("pets/v1#listPets"), none);
    assert_eq!(unlimited("large"), none);
    assert!(unlimited("chat").is_empty());
    let of = |what: &str| tree.good(&["show", "effective", what, "--env", "production", "--as", "app"]);
    let (api, model) = (of("pets/v1#listPets"), of("chat"));
    assert!(
        api.contains("no limit") && api.contains("on the plan gold") && !api.contains("600/min"),
        "{api}"
    );
    assert!(
        model.contains("600/min") && !model.contains("no limit"),
        "{model}"
    );
}
