//! A small tree to change one thing in, and a folder to build it from.

use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU32, Ordering};

use turnpike_policy::source::{self, Options, Outcome};

/// 2026-11-22T20:45:11Z.
pub(crate) const NOW: u64 = 1_795_380_311_000;

/// A public key of nobody.
pub(crate) const KEY: &str =
    r#"{"kty":"OKP","crv":"Ed25519","x":"11qYAYKxCrfVS_7TyWQHOg7hcvPapiMlrwIaaPcHURo","kid":"a"}"#;

/// A folder that is removed when the test ends.
pub(crate) struct Folder(pub(crate) PathBuf);

impl Folder {
    pub(crate) fn new() -> Self {
        static NEXT: AtomicU32 = AtomicU32::new(0);
        let name = format!(
            "turnpike-policy-{}-{}",
            std::process::id(),
            NEXT.fetch_add(1, Ordering::Relaxed)
        );
        let path = std::env::temp_dir().join(name).join("policies");
        fs::create_dir_all(&path).unwrap();
        Self(path)
    }

    pub(crate) fn write(&self, path: &str, content: impl AsRef<[u8]>) {
        let full = self.0.join(path);
        fs::create_dir_all(full.parent().unwrap()).unwrap();
        fs::write(full, content).unwrap();
    }
}

impl Drop for Folder {
    fn drop(&mut self) {
        let _ = fs::remove_dir_all(self.0.parent().unwrap());
    }
}

/// The files of a tree.
pub(crate) type Files = BTreeMap<String, String>;

/// Builds files, in a folder of their own. What rules of good practice say is left to `governance.rs`.
pub(crate) fn build(files: &Files, environment: &str) -> Outcome {
    without_rules(build_with_rules(files, environment))
}

/// As [`build`], with what the rules say.
pub(crate) fn build_with_rules(files: &Files, environment: &str) -> Outcome {
    let folder = Folder::new();
    for (path, content) in files {
        folder.write(path, content);
    }
    build_with_rules_at(&folder.0, environment)
}

pub(crate) fn build_at(root: &Path, environment: &str) -> Outcome {
    without_rules(build_with_rules_at(root, environment))
}

fn without_rules(mut outcome: Outcome) -> Outcome {
    outcome
        .diagnostics
        .retain(|diagnostic| !diagnostic.code.number().starts_with("P1"));
    outcome
}

pub(crate) fn build_with_rules_at(root: &Path, environment: &str) -> Outcome {
    let options = Options {
        environment: environment.to_owned(),
        as_of: NOW,
        development_key: Some(KEY.to_owned()),
    };
    source::build(root, &options)
}

/// Every diagnostic, one a line, with paths below the tree.
pub(crate) fn lines(outcome: &Outcome) -> Vec<String> {
    let strip = |line: String| match line.split_once("/policies/") {
        Some((_, rest)) => rest.to_owned(),
        None => line,
    };
    outcome
        .diagnostics
        .iter()
        .map(|diagnostic| strip(diagnostic.one_line()))
        .collect()
}

/// The sample tree of the repository.
pub(crate) fn sample() -> Files {
    collected(&Path::new(env!("CARGO_MANIFEST_DIR")).join("../../policies"))
}

/// The files of a tree in a folder; notes are left out.
pub(crate) fn collected(root: &Path) -> Files {
    let mut files = Files::new();
    collect(root, root, &mut files);
    files.retain(|path, _| !path.ends_with(".md"));
    files
}

fn collect(root: &Path, folder: &Path, files: &mut Files) {
    for entry in fs::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        if path.is_dir() {
            collect(root, &path, files);
        } else {
            let name = path.strip_prefix(root).unwrap().to_str().unwrap().to_owned();
            files.insert(name, fs::read_to_string(&path).unwrap());
        }
    }
}

/// The tree that `docs/policy.md` shows.
pub(crate) fn shown() -> Files {
    let page = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../docs/policy.md");
    let page = fs::read_to_string(page).unwrap();
    let mut files = Files::new();
    for block in page.split("```yaml\n# ").skip(1) {
        let (path, rest) = block.split_once('\n').unwrap();
        files.insert(path.to_owned(), rest.split("```").next().unwrap().to_owned());
    }
    files
}

/// A tree with one of everything, and nothing to say against it.
pub(crate) fn base() -> Files {
    [
        (
            "gateway.yaml",
            "\
gateway: test
issuers:
  acme:
    issuer: https://login.acme.example/
    audience: [acme]
    algorithms: [RS256]
    jwks: https://login.acme.example/jwks
environments:
  dev: { mocks: allowed, development_issuer: allowed }
  production: {}
",
        ),
        ("plans/gold.yaml", "plan: gold\nlimits:\n  - rate: 10/s\n"),
        (
            "consumers/app.yaml",
            "\
consumer: app
owner: team
plan: gold
credentials:
  - jwt: { issuer: acme, is: app }
may:
  - { api: pets, operations: [listPets] }
  - { models: [chat] }
",
        ),
        (
            "apis/pets/api.yaml",
            "\
api: pets
title: Pets
owner: team
path: /pets
versions:
  v1:
    openapi: v1.yaml
    state: active
    upstream: https://pets.example
",
        ),
        (
            "apis/pets/v1.yaml",
            "\
openapi: 3.1.0
info: { title: Pets, version: '1' }
paths:
  /list:
    get:
      operationId: listPets
      responses:
        '200':
          description: ok
          content:
            application/json:
              example: []
",
        ),
        (
            "models/chat.yaml",
            "model: chat\nowner: team\ntargets:\n  - to: openai/gpt\n",
        ),
        (
            "providers/openai.yaml",
            "\
provider: openai
wire: openai
base_url: https://api.openai.example/v1
secret: OPENAI_KEY
",
        ),
        ("environments/dev.yaml", "vars: {}\n"),
    ]
    .into_iter()
    .map(|(path, content)| (path.to_owned(), content.to_owned()))
    .collect()
}
