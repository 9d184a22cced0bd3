//! docs/guide.md, followed to the letter: its files are written, its commands run, and what they are said to
//! answer is looked for.

use std::fs;
use std::path::Path;
use std::process::Command;

use crate::common::{Output, blocks, finish};

/// The commands of a block, each with the lines that it is to say and its exit code.
fn commands(block: &str) -> Vec<(String, Vec<String>, i32)> {
    let mut commands: Vec<(String, Vec<String>, i32)> = Vec::new();
    for line in block.lines() {
        if let Some(command) = line.strip_prefix("$ ") {
            commands.push((command.to_owned(), Vec::new(), 0));
            continue;
        }
        let last = commands.last_mut().unwrap();
        match line.strip_prefix("(exit code ") {
            Some(code) => last.2 = code.trim_end_matches(')').parse().unwrap(),
            None => last.1.push(line.to_owned()),
        }
    }
    commands
}

#[test]
fn every_command_of_the_guide() {
    let guide = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../docs/guide.md");
    let folder = tempfile::tempdir().unwrap();
    let bin = Path::new(env!("CARGO_BIN_EXE_turnpike")).parent().unwrap();
    let path = std::env::var("PATH").unwrap();
    let mut ran = 0;
    for (language, block) in blocks(&fs::read_to_string(guide).unwrap()) {
        match language.as_str() {
            "yaml" => {
                let name = block.lines().next().unwrap().strip_prefix("# ").unwrap();
                let file = folder.path().join(name);
                fs::create_dir_all(file.parent().unwrap()).unwrap();
                fs::write(file, &block).unwrap();
            }
            "console" => {
                for (command, said, wanted) in commands(&block) {
                    let mut bash = Command::new("bash");
                    bash.args(["-euo", "pipefail", "-c", &command])
                        .current_dir(folder.path())
                        .env("PATH", format!("{}:{path}", bin.display()))
                        .env("TURNPIKE_DEVELOPMENT_KEY", folder.path().join("key/issuer.json"))
                        .env_remove("POLICIES");
                    let Output { code, out, err } = finish(bash);
                    assert_eq!(code, wanted, "$ {command}\n{out}{err}");
                    for line in said {
                        let there = out.contains(&line) || err.contains(&line);
                        assert!(there, "$ {command}\n{line}\n--\n{out}{err}");
                    }
                    ran += 1;
                }
            }
            // A gateway that is deployed is for verify.rs and test.rs.
            "sh" => assert!(block.contains("https://api.acme.example"), "{block}"),
            other => assert!(other.is_empty(), "a block in {other}"),
        }
    }
    assert!(ran > 30, "{ran}");
}
