//! `turnpike fmt`.

use std::fs;
use std::path::Path;

use crate::common::{Tree, command, finish, sarif};

#[test]
fn the_whole_tree() {
    let tree = Tree::new();
    tree.good(&["fmt"]);
    assert_eq!(tree.good(&["fmt", "--check"]), "");
    tree.write(
        "plans/gold.yaml",
        "plan:  gold\nlimits:\n- {rate: 600/min,burst: 50}   # a burst\n- { quota: 1_000/day }\n\n\n",
    );
    let document = "openapi:   3.1.1\ninfo: {title: Pets, version: 1.0.0}\npaths: {}\n";
    let kept = tree.read("apis/pets/v1.yaml");
    tree.write("apis/pets/other.yaml", document);
    let check = tree.run(&["fmt", "--check"]);
    assert_eq!(check.code, 1);
    assert_eq!(check.out, "policies/plans/gold.yaml is laid out otherwise\n");
    assert!(
        tree.read("plans/gold.yaml")
            .starts_with("plan:  gold\nlimits:\n- {rate")
    );
    assert_eq!(tree.good(&["fmt"]), "laid out policies/plans/gold.yaml\n");
    assert_eq!(
        tree.read("plans/gold.yaml"),
        "plan: gold\nlimits:\n  - { rate: 600/min, burst: 50 }   # a burst\n  - { quota: 1_000/day }\n"
    );
    assert_eq!(tree.read("apis/pets/v1.yaml"), kept);
    assert_eq!(tree.read("apis/pets/other.yaml"), document);
    assert_eq!(tree.good(&["fmt"]), "");
}

#[cfg(unix)]
#[test]
fn links_lead_nowhere() {
    let tree = Tree::new();
    tree.good(&["fmt"]);
    let policies = tree.path("");
    let outside = policies.parent().unwrap().join("outside");
    fs::create_dir_all(outside.join("plans")).unwrap();
    let text = "plan:   other\nlimits: [{rate: 1/s}]\n";
    for file in ["one.yaml", "plans/two.yaml"] {
        fs::write(outside.join(file), text).unwrap();
    }
    std::os::unix::fs::symlink(outside.join("one.yaml"), policies.join("plans/one.yaml")).unwrap();
    std::os::unix::fs::symlink(outside.join("plans"), policies.join("mocks")).unwrap();
    assert_eq!(tree.good(&["fmt"]), "");
    for file in ["one.yaml", "plans/two.yaml"] {
        assert_eq!(fs::read_to_string(outside.join(file)).unwrap(), text);
    }
}

#[test]
fn what_became_of_files_for_programs() {
    let tree = Tree::new();
    tree.good(&["fmt"]);
    tree.write("plans/gold.yaml", "plan: gold\nlimits: [{rate: 1/s}]\n");
    tree.write(
        "plans/free.yaml",
        "plan: &a free\nlimits: [{rate: 1/s}]\nother: *a\n",
    );
    let check = tree.run(&["fmt", "--check", "--format", "github"]);
    assert_eq!(check.code, 1);
    let lines: Vec<_> = check.out.lines().collect();
    assert_eq!(lines.len(), 2, "{}", check.out);
    assert!(
        lines[0].starts_with(
            "::error file=policies/plans/free.yaml,line=3,col=8,title=turnpike fmt::the file is left as it is: an alias stands here"
        ),
        "{}",
        check.out
    );
    assert_eq!(
        lines[1],
        "::error file=policies/plans/gold.yaml,line=2,col=11,title=turnpike fmt::it is laid out otherwise from here on: `turnpike fmt` lays it out"
    );
    let results = sarif(&tree.run(&["fmt", "--check", "--format", "sarif"]).out);
    let region = |at: usize| &results[at]["locations"][0]["physicalLocation"]["region"];
    assert_eq!(
        region(0),
        &serde_json::json!({ "startLine": 3, "startColumn": 8 })
    );
    assert_eq!(
        region(1),
        &serde_json::json!({ "startLine": 2, "startColumn": 11 })
    );
    let states = |output: &str| -> Vec<(String, String)> {
        let json: serde_json::Value = serde_json::from_str(output).unwrap();
        let files = json["files"].as_array().unwrap().iter();
        files
            .map(|one| {
                (
                    one["file"].as_str().unwrap().to_owned(),
                    one["state"].as_str().unwrap().to_owned(),
                )
            })
            .filter(|(file, _)| file.ends_with("free.yaml") || file.ends_with("gold.yaml"))
            .collect()
    };
    let of = |gold: &str, free: &str| {
        vec![
            ("policies/plans/free.yaml".to_owned(), free.to_owned()),
            ("policies/plans/gold.yaml".to_owned(), gold.to_owned()),
        ]
    };
    assert_eq!(
        states(&tree.run(&["fmt", "--check", "--format", "json"]).out),
        of("otherwise", "left")
    );
    assert_eq!(
        states(&tree.good(&["fmt", "--format", "json"])),
        of("laid_out", "left")
    );
    tree.write("plans/free.yaml", "plan: [\n");
    let results = sarif(&tree.run(&["fmt", "--check", "--format", "sarif"]).out);
    assert_eq!(results.len(), 1, "{results:#?}");
    assert_eq!(results[0]["level"], "error");
    let broken = tree.run(&["fmt", "--format", "json"]);
    assert_eq!(broken.code, 2);
    assert_eq!(states(&broken.out), of("right", "broken"));
}

/// A checkout of Git on Windows.
#[test]
fn lines_end_as_they_do() {
    let tree = Tree::new();
    tree.good(&["fmt"]);
    let gateway = tree.read("gateway.yaml").replace('\n', "\r\n");
    tree.write("gateway.yaml", &gateway);
    assert_eq!(tree.good(&["fmt", "--check"]), "");
    tree.write(
        "plans/gold.yaml",
        "plan:  gold\r\nlimits:\r\n- {rate: 1/s}\r\n\r\n",
    );
    assert_eq!(tree.good(&["fmt"]), "laid out policies/plans/gold.yaml\n");
    assert_eq!(
        tree.read("plans/gold.yaml"),
        "plan: gold\r\nlimits:\r\n  - { rate: 1/s }\r\n"
    );
    assert_eq!(tree.read("gateway.yaml"), gateway);
    // Both in one file is nobody's checkout.
    tree.write("plans/gold.yaml", "plan: gold\r\nlimits:\n  - { rate: 1/s }\r\n");
    assert_eq!(tree.run(&["fmt", "--check"]).code, 1);
    tree.good(&["fmt"]);
    assert_eq!(
        tree.read("plans/gold.yaml"),
        "plan: gold\nlimits:\n  - { rate: 1/s }\n"
    );
    assert_eq!(tree.good(&["fmt", "--check"]), "");
    // Ends of lines that nothing but YAML takes for such.
    let old = "plan: gold\rlimits:\r  - { rate: 1/s }\r";
    tree.write("plans/gold.yaml", old);
    let output = tree.run(&["fmt", "--check"]);
    assert_eq!(output.code, 1, "{}", output.err);
    assert!(
        output.err.contains(
            "policies/plans/gold.yaml:1:11: the file is left as it is: a line ends in a carriage return alone"
        ),
        "{}",
        output.err
    );
    assert_eq!(tree.read("plans/gold.yaml"), old);
}

#[test]
fn some_files() {
    let tree = Tree::new();
    tree.write("plans/gold.yaml", "plan: gold\nlimits: [{rate: 1/s}]\n");
    tree.write("plans/free.yaml", "plan: free\nlimits: [{rate: 1/s}]\n");
    assert_eq!(
        tree.good(&["fmt", "policies/plans/gold.yaml"]),
        "laid out policies/plans/gold.yaml\n"
    );
    assert!(tree.read("plans/free.yaml").contains("[{rate"));
    let gone = tree.run(&["fmt", "policies/plans/none.yaml"]);
    assert_eq!(gone.code, 2);
    tree.write(
        "plans/free.yaml",
        "plan: &a free\nlimits: [{rate: 1/s}]\nother: *a\n",
    );
    let output = tree.run(&["fmt"]);
    assert_eq!(output.code, 0);
    assert!(
        output.err.contains(
            "policies/plans/free.yaml:3:8: the file is left as it is: an alias stands here: write out what it stands for"
        ),
        "{}",
        output.err
    );
    assert!(tree.read("plans/free.yaml").contains("[{rate"));
    // Nobody knows whether it is as it should be: a gate does not pass it.
    let output = tree.run(&[
        "fmt",
        "--check",
        "policies/plans/free.yaml",
        "policies/plans/gold.yaml",
    ]);
    assert_eq!((output.code, output.out.as_str()), (1, ""), "{}", output.err);
    assert!(
        output
            .err
            .contains("error: policies/plans/free.yaml:3:8: the file is left as it is"),
        "{}",
        output.err
    );
    let github = tree.good(&["fmt", "--format", "github"]);
    assert!(
        github.contains("::notice file=policies/plans/free.yaml,line=3"),
        "{github}"
    );
}

/// Every policy of this repository is laid out so, and none is not understood.
#[test]
fn what_is_here() {
    let root = Path::new(env!("CARGO_MANIFEST_DIR"))
        .join("../../policies")
        .canonicalize()
        .unwrap();
    let folder = tempfile::tempdir().unwrap();
    let output = finish(command(
        folder.path(),
        &["fmt", "--check", "--policies", root.to_str().unwrap()],
    ));
    assert_eq!((output.code, output.err.as_str()), (0, ""), "{}", output.out);
    assert!(fs::metadata(root.join("gateway.yaml")).is_ok());
}

#[test]
fn what_cannot_be_read_is_not_passed() {
    let tree = Tree::new();
    tree.write("plans/free.yaml", "plan: free\nlimits: [{rate: 1/s}\n");
    tree.write("plans/gold.yaml", "plan: gold\nlimits: [{rate: 1/s}]\n");
    for arguments in [&["fmt", "--check"][..], &["fmt"]] {
        let output = tree.run(arguments);
        assert_eq!(output.code, 2, "{arguments:?} {}", output.err);
        for part in [
            "policies/plans/free.yaml:2:9: the file cannot be read: this is no YAML: ",
            "1 file could not be laid out",
        ] {
            assert!(output.err.contains(part), "{part}\n{}", output.err);
        }
    }
    // What would help is said, too.
    for (text, said) in [
        (
            "plan: free\nlimits:\n\t- { rate: 1/s }\n",
            "free.yaml:3:1: the file cannot be read: this is no YAML: tabs disallowed within this context (block \
             indentation) (indent with spaces: a tab is no indentation in YAML)",
        ),
        (
            "environments:\n  - dev\n plan: free\n",
            "(the keys of one map begin in the same column, and what is inside one is further in)",
        ),
    ] {
        tree.write("plans/free.yaml", text);
        let output = tree.run(&["fmt"]);
        assert_eq!(output.code, 2, "{}", output.err);
        assert!(output.err.contains(said), "{said}\n{}", output.err);
    }
    // The others are laid out all the same.
    assert!(tree.read("plans/gold.yaml").contains("[{ rate: 1/s }]"));
}
