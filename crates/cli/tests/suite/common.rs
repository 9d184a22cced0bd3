//! A tree of policies to run the command in.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use tempfile::TempDir;

const GATEWAY: &str = "\
gateway: acme
hosts: [api.acme.example]
issuers:
  acme:
    issuer: https://login.acme.example/
    audience: [https://api.acme.example]
    algorithms: [RS256]
    consumer: client_id
    max_lifetime: 15m
    jwks: https://login.acme.example/jwks.json
  batch:
    issuer: batch.acme.example
    audience: [https://api.acme.example]
    algorithms: [HS512]
    secret: BATCH_KEY
floor:
  forward_headers: [accept, content-type]
environments:
  dev: { mocks: allowed, explain: allowed }
  production: { mocks: forbidden }
";
const PETS: &str = "\
api: pets
title: Pets
owner: team-pets
path: /pets
versions:
  v1:
    openapi: v1.yaml
    state: active
    upstream: https://pets.internal.example/api
    upstream_credential: { secret: PETS_TOKEN }
authorize:
  - { operations: [createPet], scopes: [pets:write] }
limits: [{ rate: 3/s }]
";
const DOCUMENT: &str = "\
openapi: 3.1.1
info: { title: Pets, version: 1.0.0 }
paths:
  /pets:
    get:
      operationId: listPets
      parameters: [{ name: limit, in: query, schema: { type: integer } }]
      responses: { '200': { description: Pets. } }
    post:
      operationId: createPet
      requestBody: { content: { application/json: { schema: { type: object } } } }
      responses: { '204': { description: There. } }
  /pets/{petId}:
    get:
      operationId: getPet
      parameters: [{ name: petId, in: path, required: true, schema: { type: string } }]
      responses: { '200': { description: A pet. } }
";

/// A tree of policies in a folder of its own: three operations, two models, three ways to be known.
pub(crate) struct Tree {
    pub(crate) folder: TempDir,
}

pub(crate) struct Output {
    pub(crate) code: i32,
    pub(crate) out: String,
    pub(crate) err: String,
}

impl Tree {
    pub(crate) fn new() -> Self {
        let tree = Self {
            folder: tempfile::tempdir().unwrap(),
        };
        for (name, text) in [
            ("gateway.yaml", GATEWAY),
            ("apis/pets/api.yaml", PETS),
            ("apis/pets/v1.yaml", DOCUMENT),
            (
                "plans/gold.yaml",
                "plan: gold\nlimits:\n  - { rate: 600/min, burst: 50 }\n  - { quota: 1_000/day }\n",
            ),
            (
                "plans/nightly.yaml",
                "plan: nightly\nlimits: [{ concurrency: 2 }]\n",
            ),
            ("plans/free.yaml", "plan: free\nlimits: [{ rate: 2/s }]\n"),
            (
                "consumers/app.yaml",
                "consumer: app\nowner: team-app\nplan: gold\ncredentials: [{ jwt: { issuer: acme, is: app-1 } }]\nmay:\n  - { api: pets, operations: all }\n  - { models: all }\n",
            ),
            (
                "consumers/batch.yaml",
                "consumer: batch\nowner: team-data\nplan: nightly\ncredentials: [{ jwt: { issuer: batch, is: batch } }]\nmay: [{ apis: all }]\n",
            ),
            (
                "consumers/trial.yaml",
                "consumer: trial\nowner: team-app\nplan: free\ncredentials:\n  - key: { sha256: 9f86d081884c7d659a2feaa0c55ad015a3bf4f1b2b0b822cd15d6c15b0f00a08, expires: 2099-01-01, scopes: [pets:write] }\nmay:\n  - { api: pets, operations: [listPets, createPet] }\n  - { models: [chat] }\n",
            ),
            (
                "providers/openai.yaml",
                "provider: openai\nwire: openai\nbase_url: https://api.openai.example/v1\nsecret: OPENAI_KEY\n",
            ),
            (
                "models/chat.yaml",
                "model: chat\nowner: team-ai\ntargets: [openai/gpt-5]\nfallback: [openai/gpt-5-mini]\nretry: { attempts: 1 }\n",
            ),
            (
                "models/large.yaml",
                "model: large\nowner: team-ai\ntargets: [openai/gpt-5]\n",
            ),
        ] {
            tree.write(name, text);
        }
        tree
    }

    pub(crate) fn path(&self, name: &str) -> PathBuf {
        self.folder.path().join("policies").join(name)
    }

    pub(crate) fn write(&self, name: &str, text: &str) -> &Self {
        fs::create_dir_all(self.path(name).parent().unwrap()).unwrap();
        fs::write(self.path(name), text).unwrap();
        self
    }

    pub(crate) fn read(&self, name: &str) -> String {
        fs::read_to_string(self.path(name)).unwrap()
    }

    /// One file, with a part of it changed.
    pub(crate) fn change(&self, name: &str, from: &str, to: &str) -> &Self {
        let text = self.read(name);
        assert_eq!(text.matches(from).count(), 1, "{from} in {name}");
        self.write(name, &text.replace(from, to))
    }

    pub(crate) fn command(&self, arguments: &[&str]) -> Command {
        command(self.folder.path(), arguments)
    }

    pub(crate) fn run(&self, arguments: &[&str]) -> Output {
        finish(self.command(arguments))
    }

    /// Runs what must succeed, and gives what it says.
    pub(crate) fn good(&self, arguments: &[&str]) -> String {
        let Output { code, out, err } = self.run(arguments);
        assert_eq!(code, 0, "{arguments:?}\n{out}\n{err}");
        out
    }
}

/// The command, run in a folder, with nothing of the caller's surroundings.
pub(crate) fn command(folder: &Path, arguments: &[&str]) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_turnpike"));
    command
        .args(arguments)
        .current_dir(folder)
        .env("TURNPIKE_DEVELOPMENT_KEY", folder.join("key").join("issuer.json"))
        .env("TURNPIKE_CACHE", "no")
        .env_remove("POLICIES")
        .env_remove("NO_COLOR")
        .env_remove("CLICOLOR_FORCE");
    command
}

/// The results of a SARIF log: each of a rule that the log has, with a level and a message.
pub(crate) fn sarif(text: &str) -> Vec<serde_json::Value> {
    let log: serde_json::Value = serde_json::from_str(text).unwrap();
    assert_eq!(log["version"], "2.1.0");
    let run = &log["runs"][0];
    let rules = run["tool"]["driver"]["rules"].as_array().unwrap();
    let results = run["results"].as_array().unwrap();
    for result in results {
        assert!(
            rules.iter().any(|rule| rule["id"] == result["ruleId"]),
            "{result}"
        );
        assert!(["error", "warning", "note"].contains(&result["level"].as_str().unwrap()));
        assert!(!result["message"]["text"].as_str().unwrap().is_empty());
    }
    results.clone()
}

/// Git, in a folder, on a day, and what it says.
pub(crate) fn git(folder: &Path, arguments: &[&str], day: &str) -> String {
    let done = Command::new("git")
        .current_dir(folder)
        .args(["-c", "user.name=t", "-c", "user.email=t@example.org"])
        .args(["-c", "commit.gpgsign=false"])
        .args(arguments)
        .env("GIT_COMMITTER_DATE", format!("{day}T12:00:00Z"))
        .env("GIT_AUTHOR_DATE", format!("{day}T12:00:00Z"))
        .output()
        .unwrap();
    let said = String::from_utf8_lossy(&done.stderr);
    assert!(done.status.success(), "{arguments:?} {said}");
    String::from_utf8(done.stdout).unwrap()
}

/// What a command of Git makes of what it reads.
pub(crate) fn made(folder: &Path, arguments: &[&str], input: &str) -> String {
    use std::io::Write as _;
    let mut process = Command::new("git")
        .current_dir(folder)
        .args(["-c", "user.name=a", "-c", "user.email=a@a.example"])
        .args(arguments)
        .stdin(std::process::Stdio::piped())
        .stdout(std::process::Stdio::piped())
        .spawn()
        .unwrap();
    process.stdin.take().unwrap().write_all(input.as_bytes()).unwrap();
    let output = process.wait_with_output().unwrap();
    assert!(output.status.success());
    String::from_utf8(output.stdout).unwrap().trim().to_owned()
}

pub(crate) fn finish(mut command: Command) -> Output {
    let output = command.output().unwrap();
    let text = |bytes| String::from_utf8(bytes).unwrap();
    Output {
        code: output.status.code().unwrap(),
        out: text(output.stdout),
        err: text(output.stderr),
    }
}

/// The blocks of code of a page, each with its language.
pub(crate) fn blocks(text: &str) -> Vec<(String, String)> {
    let mut blocks = Vec::new();
    let mut open: Option<(String, String)> = None;
    for line in text.lines() {
        match (line.strip_prefix("```"), open.as_mut()) {
            (Some(_), Some(_)) => blocks.extend(open.take()),
            (Some(language), None) => open = Some((language.to_owned(), String::new())),
            (None, Some((_, block))) => {
                block.push_str(line);
                block.push('\n');
            }
            (None, None) => {}
        }
    }
    assert!(open.is_none(), "a block has no end");
    blocks
}
