//! The lines that `show effective`, `explain` and `show compliance` cite: each holds the key that it is about.

use std::fs;
use std::path::{Path, PathBuf};

use serde_json::Value;

use crate::common::{Tree, command, finish};

/// The words of which one stands in the line that a fact cites.
fn keys(name: &str, value: &str) -> &'static [&'static str] {
    match name {
        "operation" | "match" => &["get:", "post:", "put:", "delete:"],
        "limit" | "admit" if value.contains("the caller's plan") => &["limits: required"],
        "limit" | "admit" => &["rate:", "quota:", "concurrency:"],
        "body" if value == "none is taken" => &["get:", "delete:"],
        "body" | "inspect" => &["max_body:"],
        "granted to" | "authorize" => &["api:", "apis:", "models:"],
        "query passed on" if value == "none" => &["get:", "post:", "delete:", "parameters:"],
        "query passed on" => &["parameters:"],
        "headers passed on" => &["forward_headers:", "parameters:"],
        "answered by" if value.starts_with("mock") => &["mock:"],
        "answered by" => &["upstream:"],
        "answer" => &["mock:", "upstream:", "to: mock/", "targets:"],
        "upstream with TLS" => &["upstream:", "base_url:"],
        "upstream" => &["mock:"],
        "target" | "fallback" => &["to: ", "targets:", "fallback:"],
        "retry" if value.contains("attempt") => &["attempts:"],
        "retry" => &["on:"],
        "timeouts" if value.starts_with("first") => &["first_token:"],
        "timeouts" if value.starts_with("idle") => &["idle:"],
        "timeouts" => &["total:"],
        "timeout" => &["first_byte:"],
        "identify" => &["jwt:", "key:"],
        "credential sent" => &["upstream_credential:"],
        "scopes" => &["scopes:"],
        "shield" => &["shield:"],
        "owner" => &["owner:"],
        "state" => &["state:"],
        "model" => &["model:"],
        "output" => &["max_output_tokens:"],
        "authentication" => &["authentication:", "rule: authentication"],
        _ => &[],
    }
}

/// Holds each cited line against its key; gives how many were cited. `bare`: what nobody wrote.
fn hold(folder: &Path, facts: &[Value], [name, value, line]: [&str; 3], bare: &[&str]) -> usize {
    let text = |fact: &Value, member: &str| fact[member].as_str().unwrap_or_default().to_owned();
    let mut cited = 0;
    for fact in facts {
        let (name, value, place) = (text(fact, name), text(fact, value), text(fact, line));
        if place.is_empty() {
            let known = bare.contains(&name.as_str()) || ["none", "nobody"].contains(&value.as_str());
            assert!(known, "{name}: {value} cites nothing");
            continue;
        }
        let (file, number) = place.rsplit_once(':').unwrap();
        let (_, below) = file.split_once("policies/").unwrap();
        let written = fs::read_to_string(folder.join(below)).unwrap();
        let written = written.lines().nth(number.parse::<usize>().unwrap() - 1).unwrap();
        assert!(
            keys(&name, &value).iter().any(|key| written.contains(key)),
            "{name}: {value} cites {place}: {written}"
        );
        cited += 1;
    }
    cited
}

/// What the sample does not write of an operation or a model: the state of its models is the default.
fn unwritten(name: &str) -> &'static [&'static str] {
    if name.contains('#') { &[] } else { &["state"] }
}

fn parse(text: &str) -> Value {
    serde_json::from_str(text).unwrap()
}

fn sample(arguments: &[&str]) -> Value {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("../..");
    let keys = tempfile::tempdir().unwrap();
    let mut command = command(&root, arguments);
    command.env("TURNPIKE_DEVELOPMENT_KEY", keys.path().join("issuer.json"));
    let output = finish(command);
    assert_eq!(output.code, 0, "{arguments:?}\n{}", output.err);
    parse(&output.out)
}

fn policies() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../../policies")
}

const FACT: [&str; 3] = ["name", "value", "origin"];
const PHASE: [&str; 3] = ["phase", "why", "origin"];
const ROW: [&str; 3] = ["rule", "by", "line"];

#[test]
fn of_what_holds_in_the_sample() {
    let mut cited = 0;
    for arguments in [
        &["show", "effective", "--format", "json"][..],
        &["show", "effective", "--as", "demo", "--format", "json"],
    ] {
        for thing in sample(arguments).as_array().unwrap() {
            let bare = unwritten(thing["name"].as_str().unwrap());
            cited += hold(&policies(), thing["effective"].as_array().unwrap(), FACT, bare);
        }
    }
    assert!(cited > 90, "{cited}");
}

#[test]
fn of_each_phase_of_a_request() {
    // Paths are normalised, answers are relayed and logged, whatever is written.
    let built_in = ["accept", "relay", "settle", "match"];
    for (arguments, least) in [
        (
            &[
                "POST",
                "/petstore/v1/pets",
                "--as",
                "demo",
                "--scope",
                "pets:write",
                "--json",
                "{\"name\":\"Kit\"}",
            ][..],
            7,
        ),
        (&["GET", "/petstore/v1/pets", "--as", "demo"], 7),
        (
            &[
                "POST",
                "/v1/chat/completions",
                "--as",
                "trial",
                "--json",
                "{\"model\":\"fast\",\"messages\":[{\"role\":\"user\",\"content\":\"hi\"}]}",
            ],
            6,
        ),
    ] {
        let road = sample(&[&["explain"], arguments, &["--format", "json"]].concat());
        let cited = hold(&policies(), road["phases"].as_array().unwrap(), PHASE, &built_in);
        assert!(cited >= least, "{road}");
        let facts = road["effective"].as_array().unwrap();
        let bare = unwritten(if arguments[1].starts_with("/v1/") {
            "fast"
        } else {
            "#"
        });
        hold(&policies(), facts, FACT, bare);
    }
}

#[test]
fn of_the_record_for_an_auditor() {
    let record = sample(&["show", "compliance", "--format", "json"]);
    let mut cited = 0;
    for route in record["routes"].as_array().unwrap() {
        let rules = route["rules"].as_array().unwrap();
        let rules: Vec<_> = rules.iter().filter(|row| row["met"] != "no").cloned().collect();
        let bare = unwritten(route["name"].as_str().unwrap());
        cited += hold(&policies(), &rules, ROW, &[bare, &["governance"]].concat());
        let of = |rule: &str| rules.iter().find(|row| row["rule"] == rule).unwrap()["line"].clone();
        assert_eq!(of("shield"), "policies/gateway.yaml:44");
        assert_eq!(of("authentication"), "policies/gateway.yaml:34");
        assert_eq!(of("limit"), "policies/gateway.yaml:35");
    }
    assert!(cited > 40, "{cited}");
}

/// What a template, an operation's own bound, a list of authorizations and an exception say.
#[test]
fn of_where_it_comes_from() {
    let tree = Tree::new();
    tree.write(
        "templates/standard.yaml",
        "template: standard\nparameters:\n  size: { type: size, default: 1MiB }\napi:\n  authentication: required\n  \
         max_body: ${size}\n  authorize:\n    - { operations: all, scopes: [pets:use] }\n  timeouts:\n    \
         first_byte: 9s\nmodel:\n  max_output_tokens: 900\n  timeouts: { total: 1m }\n",
    );
    tree.change(
        "apis/pets/api.yaml",
        "owner: team-pets",
        "owner: team-pets\ntemplate: standard",
    );
    tree.change(
        "apis/pets/api.yaml",
        "limits: [",
        "operations:\n  - { for: [createPet], max_body: 2KiB }\nlimits: [",
    );
    tree.change(
        "models/chat.yaml",
        "owner: team-ai",
        "owner: team-ai\ntemplate: standard",
    );
    let facts = |name: &str| {
        let out = tree.good(&[
            "show",
            "effective",
            name,
            "--env",
            "production",
            "--as",
            "app",
            "--format",
            "json",
        ]);
        parse(&out)[0]["effective"].as_array().unwrap().clone()
    };
    let lines = |facts: &[Value], name: &str| -> Vec<String> {
        let named = facts.iter().filter(|fact| fact["name"] == name);
        named
            .map(|fact| fact["origin"].as_str().unwrap_or_default().to_owned())
            .collect()
    };
    let bare = ["headers passed on", "timeouts", "retry", "authentication", "body"];
    let create = facts("pets/v1#createPet");
    hold(&tree.path(""), &create, FACT, &["headers passed on"]);
    assert_eq!(lines(&create, "body"), ["policies/apis/pets/api.yaml:15"]);
    assert_eq!(
        lines(&create, "scopes"),
        [
            "policies/templates/standard.yaml:8",
            "policies/apis/pets/api.yaml:13"
        ]
    );
    assert_eq!(lines(&create, "timeout"), ["policies/templates/standard.yaml:10"]);
    assert_eq!(
        lines(&create, "authentication"),
        ["policies/templates/standard.yaml:5"]
    );
    assert_eq!(
        lines(&create, "granted to"),
        [
            "policies/consumers/app.yaml:6",
            "policies/consumers/batch.yaml:5",
            "policies/consumers/trial.yaml:7"
        ]
    );
    let chat = facts("chat");
    hold(&tree.path(""), &chat, FACT, &[&bare[..], &["state"]].concat());
    assert_eq!(lines(&chat, "output"), ["policies/templates/standard.yaml:12"]);
    assert_eq!(
        lines(&chat, "granted to"),
        ["policies/consumers/app.yaml:7", "policies/consumers/trial.yaml:8"]
    );
}

/// What a parameter of a template stands for is cited where it was given; by default, where the template has it.
#[test]
fn of_what_was_given_to_a_template() {
    let tree = Tree::new();
    tree.write(
        "templates/standard.yaml",
        "template: standard\nparameters:\n  body: { type: size }\n  first: { type: duration, default: 9s }\napi:\n  max_body: ${body}\n  timeouts:\n    first_byte: ${first}\n",
    );
    let with = "template: standard\nwith:\n  body: 64KiB\nversions:";
    tree.change("apis/pets/api.yaml", "versions:", with);
    let out = tree.good(&["show", "effective", "pets/v1#createPet"]);
    for (name, line) in [
        ("  body  ", "apis/pets/api.yaml:7"),
        ("  timeout  ", "templates/standard.yaml:8"),
    ] {
        let fact = out.lines().find(|fact| fact.starts_with(name));
        let end = format!("[policies/{line}]");
        assert!(
            fact.is_some_and(|fact| fact.ends_with(&end)),
            "{name} {end}\n{out}"
        );
    }
}

/// Every place that an answer for programs names.
fn places<'v>(said: &'v Value, into: &mut Vec<&'v str>) {
    match said {
        Value::Array(all) => all.iter().for_each(|one| places(one, into)),
        Value::Object(all) => {
            for (name, one) in all {
                match one.as_str() {
                    Some("") => {}
                    Some(place) if ["origin", "policy", "line", "file"].contains(&name.as_str()) => {
                        into.push(place);
                    }
                    _ => places(one, into),
                }
            }
        }
        _ => {}
    }
}

/// From wherever the command is run, the places of all commands are paths from there, in one form.
#[test]
fn from_where_one_stands() {
    let tree = Tree::new();
    let elsewhere = tree.folder.path().join("elsewhere");
    fs::create_dir(&elsewhere).unwrap();
    let absolute = tree.folder.path().join("policies");
    for (from, root, start) in [
        (elsewhere.as_path(), "../policies", "../policies/"),
        (tree.folder.path(), "./policies/", "policies/"),
        (absolute.as_path(), ".", "./"),
        (
            elsewhere.as_path(),
            absolute.to_str().unwrap(),
            absolute.to_str().unwrap(),
        ),
    ] {
        for (arguments, least) in [
            (&["check"][..], 1),
            (&["explain", "GET", "/pets/v1/pets", "--as", "app"], 15),
            (&["explain", "GET", "/pets/v1/pets/7", "--as", "trial"], 15),
            (&["show", "routes"], 5),
            (&["show", "consumers"], 3),
            (&["show", "limits"], 5),
            (&["show", "effective", "--as", "app"], 40),
            (&["show", "compliance"], 40),
        ] {
            let output = finish(command(
                from,
                &[arguments, &["--policies", root, "--format", "json"]].concat(),
            ));
            assert_eq!(output.code, 0, "{arguments:?} {root}\n{}", output.err);
            let said = parse(&output.out);
            let mut named = Vec::new();
            places(&said, &mut named);
            assert!(named.len() >= least, "{arguments:?} {root}\n{}", output.out);
            for place in named {
                let (file, _) = place
                    .rsplit_once(':')
                    .filter(|(_, line)| line.parse::<u32>().is_ok())
                    .unwrap_or((place, ""));
                assert!(
                    place.starts_with(start) && from.join(file).is_file(),
                    "{arguments:?} {root}: {place}"
                );
            }
        }
        let text = finish(command(
            from,
            &[
                "explain",
                "GET",
                "/pets/v1/pets",
                "--as",
                "app",
                "--policies",
                root,
            ],
        ));
        assert!(
            text.out.contains(&format!("granted to app [{start}")),
            "{root}\n{}",
            text.out
        );
    }
}
