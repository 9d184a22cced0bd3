//! `turnpike check` for programs and people, and the command as a whole.

use serde_json::Value;

use crate::common::{Tree, finish};

/// An error in every environment, one in production only, and a warning.
fn broken() -> Tree {
    let tree = Tree::new();
    tree.change("consumers/app.yaml", "plan: gold", "plan: golden");
    tree.write("mocks/a.yaml", "mock: a\nrules: [{ answer: { text: hi } }]\n");
    tree.write("providers/fake.yaml", "provider: fake\nwire: mock\n");
    tree.change("models/large.yaml", "[openai/gpt-5]", "[openai/gpt-5, fake/a]");
    tree.change("consumers/trial.yaml", "2099-01-01", "2099-01-15");
    tree
}

const AS_OF: [&str; 2] = ["--as-of", "2099-01-01"];

#[test]
fn sarif() {
    let tree = broken();
    let output = tree.run(&[&["check", "--format", "sarif"], &AS_OF[..]].concat());
    assert_eq!(output.code, 1, "{}", output.err);
    let sarif: Value = serde_json::from_str(&output.out).unwrap();
    // What the schema of SARIF 2.1.0 requires of a log, a run, a tool, a result and a location.
    assert_eq!(sarif["version"], "2.1.0");
    assert!(sarif["$schema"].as_str().unwrap().contains("sarif-2.1.0"));
    let run = &sarif["runs"][0];
    assert_eq!(run["tool"]["driver"]["name"], "turnpike");
    let rules = run["tool"]["driver"]["rules"].as_array().unwrap();
    let results = run["results"].as_array().unwrap();
    assert!(results.len() >= 3, "{results:#?}");
    for result in results {
        let index = usize::try_from(result["ruleIndex"].as_u64().unwrap()).unwrap();
        assert_eq!(rules[index]["id"], result["ruleId"]);
        assert!(["error", "warning", "note"].contains(&result["level"].as_str().unwrap()));
        assert!(!result["message"]["text"].as_str().unwrap().is_empty());
        let place = &result["locations"][0]["physicalLocation"];
        let uri = place["artifactLocation"]["uri"].as_str().unwrap();
        assert!(uri.starts_with("policies/") && !uri.contains(' '), "{uri}");
        assert!(place["region"]["startLine"].as_u64().unwrap() >= 1);
        assert!(place["region"]["startColumn"].as_u64().unwrap() >= 1);
    }
    let plan = results.iter().find(|result| result["ruleId"] == "P0301").unwrap();
    assert_eq!(plan["level"], "error");
    assert_eq!(plan["locations"][0]["physicalLocation"]["region"]["startLine"], 3);
}

#[test]
fn json() {
    let tree = broken();
    let output = tree.run(&[&["check", "--format", "json"], &AS_OF[..]].concat());
    assert_eq!(output.code, 1);
    let said: Value = serde_json::from_str(&output.out).unwrap();
    let findings = said["findings"].as_array().unwrap();
    assert_eq!(
        ["errors", "warnings", "notes"]
            .map(|kind| said[kind].as_u64().unwrap())
            .iter()
            .sum::<u64>(),
        findings.len() as u64
    );
    let of = |code: &str| findings.iter().find(|finding| finding["code"] == code).unwrap();
    let plan = of("P0301");
    assert_eq!(plan["file"], "policies/consumers/app.yaml");
    assert_eq!((&plan["line"], &plan["column"]), (&3.into(), &7.into()));
    assert_eq!(plan["help"], "did you mean `gold`?");
    assert_eq!(plan["environments"], serde_json::json!(["dev", "production"]));
    assert_eq!(of("P0403")["environments"], serde_json::json!(["production"]));
    assert_eq!(of("P0502")["severity"], "warning");
}

#[test]
fn github() {
    let tree = broken();
    let output = tree.run(&[&["check", "--format", "github"], &AS_OF[..]].concat());
    assert_eq!(output.code, 1);
    let line = "::error file=policies/consumers/app.yaml,line=3,col=7,title=P0301::there is no plan `golden`%0Adid you mean `gold`?";
    assert!(output.out.lines().any(|said| said == line), "{}", output.out);
    assert!(output.out.lines().all(|said| said.starts_with("::error ")
        || said.starts_with("::warning ")
        || said.starts_with("::notice ")));
    // The other place that is involved is named, as in every other format.
    let twice = Tree::new();
    twice.change("plans/gold.yaml", "plan: gold\n", "plan: gold\nplan: gold\n");
    let said = twice
        .run(&[&["check", "--format", "github"], &AS_OF[..]].concat())
        .out;
    assert!(
        said.lines().any(
            |line| line.contains("gold.yaml,line=2,") && line.contains("%0Apolicies/plans/gold.yaml:1: ")
        ),
        "{said}"
    );
    // What is right may have warnings; it has no error.
    assert!(
        !Tree::new()
            .good(&["check", "--format", "github"])
            .contains("::error ")
    );
}

#[test]
fn warnings_that_are_denied() {
    let tree = Tree::new();
    tree.change("consumers/trial.yaml", "2099-01-01", "2099-01-15");
    let as_of = |more: &[&str]| tree.run(&[&["check"], &AS_OF[..], more].concat());
    assert_eq!(as_of(&[]).code, 0);
    let denied = as_of(&["--deny", "warnings"]);
    assert_eq!(denied.code, 1);
    assert!(denied.out.contains("warning[P0502]"), "{}", denied.out);
    // Without one it is as if nothing had been denied; notes are no warnings.
    let output = tree.run(&[
        "check",
        "--deny",
        "warnings",
        "--as-of",
        "2098-01-01",
        "--format",
        "json",
    ]);
    let said: Value = serde_json::from_str(&output.out).unwrap();
    assert_eq!(output.code == 0, said["warnings"] == 0, "{}", output.out);
    // After its date it is an error.
    assert_eq!(tree.run(&["check", "--as-of", "2099-01-15"]).code, 1);
    assert_eq!(as_of(&["--deny", "everything"]).code, 2);
    assert_eq!(tree.run(&["check", "--format", "xml"]).code, 2);
}

#[test]
fn colour_only_where_people_see_it() {
    let tree = broken();
    // Not a terminal.
    assert!(!tree.run(&["check"]).out.contains('\x1b'));
    for (variable, coloured) in [("CLICOLOR_FORCE", true), ("NO_COLOR", false)] {
        let mut command = tree.command(&["check"]);
        command.env(variable, "1");
        assert_eq!(finish(command).out.contains('\x1b'), coloured, "{variable}");
    }
    let mut command = tree.command(&["check", "--format", "json"]);
    command.env("CLICOLOR_FORCE", "1");
    assert!(!finish(command).out.contains('\x1b'));
}

#[test]
fn help_that_teaches() {
    let tree = Tree::new();
    for (command, parts) in [
        (
            &["--help"][..],
            &[
                "Exit codes:",
                "check",
                "test",
                "explain",
                "show",
                "diff",
                "new",
                "fmt",
                "completions",
            ][..],
        ),
        (&["check", "--help"], &["Examples:", "--deny", "Exit codes:"]),
        (&["test", "--help"], &["Examples:", "over: 3s", "Exit codes:"]),
        (&["explain", "--help"], &["Examples:", "Exit codes:"]),
        (&["diff", "--help"], &["Examples:", "breaking", "Exit codes:"]),
        (&["show", "--help"], &["Examples:", "inventory", "Exit codes:"]),
        (&["new", "api", "--help"], &["Examples:"]),
    ] {
        let out = tree.good(command);
        for part in parts {
            assert!(out.contains(part), "{command:?}: {part}\n{out}");
        }
    }
    // And each of them, down to the last, has examples and says what its exit codes mean.
    let mut rest: Vec<Vec<String>> = vec![Vec::new()];
    let mut taught = 0;
    while let Some(command) = rest.pop() {
        let mut arguments: Vec<&str> = command.iter().map(String::as_str).collect();
        arguments.push("--help");
        let out = tree.good(&arguments);
        let below = out.split("\nCommands:\n").nth(1).map(|list| {
            let lines = list.lines().take_while(|line| !line.is_empty());
            let names = lines.filter_map(|line| line.strip_prefix("  ")?.split_whitespace().next());
            names.map(str::to_owned).collect::<Vec<_>>()
        });
        match below {
            Some(names) => {
                let names = names
                    .into_iter()
                    .filter(|name| name != "help" && !name.is_empty());
                rest.extend(names.map(|name| [&command[..], &[name]].concat()));
            }
            None => {
                taught += 1;
                for part in ["Examples:\n  ", "Exit codes:"] {
                    assert!(out.contains(part), "{command:?}: {part}\n{out}");
                }
            }
        }
    }
    assert!(taught > 20, "{taught}");
}

#[test]
fn shells_complete() {
    let tree = Tree::new();
    for (shell, part) in [
        ("bash", "complete -F _turnpike"),
        ("zsh", "#compdef turnpike"),
        ("fish", "complete -c turnpike"),
    ] {
        let script = tree.good(&["completions", shell]);
        assert!(script.contains(part) && script.contains("explain"), "{shell}");
    }
    assert_eq!(tree.run(&["completions", "cmd"]).code, 2);
}

/// A runner of GitHub Actions does what a line says that has this in it.
#[test]
fn what_a_tree_says_is_no_command_to_a_runner() {
    let tree = Tree::new();
    tree.write(
        "plans/gold.yaml",
        "plan: gold\nlimits:\n  - { rate: '##[add-path]/tmp' }  # ##[add-path]/tmp\n",
    );
    for format in ["text", "json", "sarif"] {
        let output = tree.run(&["check", "--format", format]);
        assert_eq!(output.code, 1, "{}", output.err);
        assert!(!output.out.contains("##["), "{}", output.out);
        if format == "json" {
            let said: Value = serde_json::from_str(&output.out).unwrap();
            let mut findings = said["findings"].as_array().unwrap().iter();
            assert!(
                findings.any(|one| one["message"].as_str().unwrap().contains("##[add-path]")),
                "{said:#}"
            );
        }
    }
    assert!(tree.run(&["check"]).out.contains("## [add-path]/tmp"));
    // What the runner shall do stays.
    let output = tree.run(&["check", "--format", "github"]);
    assert!(
        output
            .out
            .contains("\n::error file=policies/plans/gold.yaml,line=3,"),
        "{}",
        output.out
    );
}
