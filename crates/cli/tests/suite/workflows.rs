//! docs/ci.md: the workflows that users copy are read as their CI systems read them, and each command in them is
//! one that there is.

use std::collections::BTreeSet;
use std::fs;
use std::path::{Path, PathBuf};

use serde_json::Value;

use crate::common::{blocks, command, finish};

/// What a page of CI may call of this repository, and where it does so.
struct House {
    root: PathBuf,
    /// Targets of the Makefile.
    targets: BTreeSet<String>,
    /// Steps of `scripts/ci`: name, then whether each argument is required.
    steps: Vec<(String, Vec<bool>)>,
    /// What `scripts/bootstrap` makes ready for.
    readies: BTreeSet<String>,
}

impl House {
    fn read() -> Self {
        let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("../..");
        let text = |name: &str| fs::read_to_string(root.join(name)).unwrap();
        let target = |line: &str| {
            let (name, _) = line.split_once(':')?;
            let plain = |c: char| c.is_ascii_lowercase() || c.is_ascii_digit() || c == '-';
            (!name.is_empty() && name.chars().all(plain)).then(|| name.to_owned())
        };
        let targets = text("Makefile").lines().filter_map(target).collect();
        let steps: Vec<_> = text("scripts/ci")
            .lines()
            .filter_map(|line| line.strip_prefix("#   scripts/ci "))
            .map(|usage| {
                let (usage, _) = usage.split_once("   ").unwrap();
                let mut words = usage.split(' ');
                let name = words.next().unwrap().to_owned();
                (name, words.map(|word| !word.starts_with('[')).collect())
            })
            .collect();
        assert_eq!(steps.len(), 3, "{steps:?}");
        let bootstrap = text("scripts/bootstrap");
        let usage = bootstrap
            .lines()
            .find_map(|line| line.strip_prefix("#   scripts/bootstrap ["));
        let (usage, _) = usage.unwrap().split_once("   ").unwrap();
        let readies = usage
            .split(' ')
            .map(|word| word.trim_matches(['[', ']']).to_owned())
            .collect();
        Self {
            root,
            targets,
            steps,
            readies,
        }
    }

    /// Why a line of shell cannot be carried out, if it cannot.
    fn wrong(&self, line: &str) -> Option<String> {
        let line = line.split(" > ").next().unwrap_or_default();
        let mut words = line.split_whitespace().map(|word| word.trim_matches('"'));
        // Variables that are set for one command.
        let name = words.by_ref().find(|word| {
            let set = word.split_once('=');
            set.is_none_or(|(name, _)| !name.bytes().all(|byte| byte.is_ascii_uppercase() || byte == b'_'))
        })?;
        let arguments: Vec<_> = words.collect();
        match name {
            "make" => {
                let unknown = arguments.iter().find(|target| !self.targets.contains(**target))?;
                Some(format!("the Makefile has no target {unknown}"))
            }
            "scripts/ci" => self.step(&arguments),
            "scripts/bootstrap" => {
                let unknown = arguments.iter().find(|ready| !self.readies.contains(**ready))?;
                Some(format!("scripts/bootstrap knows no {unknown}"))
            }
            "turnpike" => self.option(&arguments),
            // What `diff` writes is what is posted.
            "gh" => {
                (!line.contains("--body-file build/diff.md")).then(|| "this posts another file".to_owned())
            }
            other if other.starts_with("scripts/") => {
                (!self.root.join(other).is_file()).then(|| format!("there is no {other}"))
            }
            other => Some(format!("{other} is not looked at by this test")),
        }
    }

    fn step(&self, arguments: &[&str]) -> Option<String> {
        let (name, given) = arguments.split_first()?;
        let Some((_, takes)) = self.steps.iter().find(|(step, _)| step == name) else {
            return Some(format!("scripts/ci has no step {name}"));
        };
        let least = takes.iter().filter(|required| **required).count();
        let fits = (least..=takes.len()).contains(&given.len());
        (!fits).then(|| format!("scripts/ci {name} takes {least} to {} arguments", takes.len()))
    }

    /// Commands and options are those that the help tells of.
    fn option(&self, arguments: &[&str]) -> Option<String> {
        let at = arguments
            .iter()
            .take_while(|word| !word.starts_with("--"))
            .count();
        let plain = |word: &&&str| word.bytes().all(|byte| byte.is_ascii_lowercase());
        let names: Vec<_> = arguments[..at]
            .iter()
            .take_while(plain)
            .take(2)
            .copied()
            .collect();
        // The second word is a command below the first, or a value.
        let help = [names.as_slice(), names.get(..1).unwrap_or_default()]
            .iter()
            .map(|names| finish(command(&self.root, &[names, &["--help"][..]].concat())))
            .find(|output| output.code == 0);
        let Some(help) = help else {
            return Some(format!("turnpike has no {}", names.join(" ")));
        };
        let has = |option: &str| {
            let mut words = help
                .out
                .split(|c: char| c.is_whitespace() || "[]<>,=".contains(c));
            words.any(|word| word == option)
        };
        let options = arguments.iter().filter(|word| word.starts_with("--"));
        let unknown = options
            .map(|word| word.split('=').next().unwrap())
            .find(|word| !has(word))?;
        Some(format!("turnpike {} has no {unknown}", names.join(" ")))
    }
}

fn page() -> String {
    let page = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../docs/ci.md");
    fs::read_to_string(page).unwrap()
}

/// The workflow that begins with a comment of this name.
fn workflow(name: &str) -> Value {
    let first = format!("# {name}\n");
    let blocks = blocks(&page());
    let text = blocks
        .iter()
        .find_map(|(language, block)| (language == "yaml").then(|| block.strip_prefix(&first)).flatten());
    serde_saphyr::from_str(text.unwrap()).unwrap()
}

/// Whether a text names a gateway that can be asked.
fn is_url(value: &Value) -> bool {
    value.as_str().is_some_and(|text| text.starts_with("https://"))
}

#[test]
fn the_workflow_of_github() {
    let house = House::read();
    let whole = workflow(".github/workflows/policies.yml");
    for event in ["pull_request", "push"] {
        assert!(whole["on"].as_object().unwrap().contains_key(event), "{event}");
    }
    assert_eq!(whole["on"]["push"]["branches"], serde_json::json!(["main"]));
    assert_eq!(whole["permissions"], serde_json::json!({ "contents": "read" }));
    let jobs = whole["jobs"].as_object().unwrap();
    let mut steps = BTreeSet::new();
    for (name, job) in jobs {
        assert!(job["runs-on"].is_string(), "{name}");
        if let Some(needed) = job["needs"].as_str() {
            assert!(jobs.contains_key(needed), "{name} needs {needed}");
        }
        let mut posts = false;
        for step in job["steps"].as_array().unwrap() {
            match (step["uses"].as_str(), step["run"].as_str()) {
                (Some(action), None) => {
                    let (path, version) = action.split_once('@').unwrap();
                    assert_eq!(path.split('/').count(), 2, "{action}");
                    let digits = version.strip_prefix('v').unwrap_or_default();
                    let pinned = digits.starts_with(|c: char| c.is_ascii_digit())
                        && digits.bytes().all(|byte| byte.is_ascii_digit() || byte == b'.');
                    let commit = version.len() == 40 && version.bytes().all(|byte| byte.is_ascii_hexdigit());
                    assert!(pinned || commit, "{action} is not pinned by a version");
                }
                (None, Some(run)) => {
                    for line in run.lines() {
                        assert_eq!(house.wrong(line), None, "{name}: {line}");
                        posts |= line.starts_with("gh ");
                        if line.starts_with("scripts/ci deploy") {
                            assert!(is_url(&step["env"]["GATEWAY_URL"]), "{step}");
                            for secret in ["CLOUDFLARE_API_TOKEN", "CLOUDFLARE_ACCOUNT_ID"] {
                                let told = step["env"][secret].as_str().unwrap();
                                assert_eq!(told, format!("${{{{ secrets.{secret} }}}}"));
                            }
                            assert_eq!(job["if"], "github.ref == 'refs/heads/main'");
                        }
                        steps.extend(
                            line.strip_prefix("scripts/ci ")
                                .and_then(|rest| rest.split(' ').next())
                                .map(str::to_owned),
                        );
                    }
                }
                _ => panic!("{name}: a step either uses or runs: {step}"),
            }
        }
        let may = job["permissions"]["pull-requests"] == "write";
        assert_eq!(
            may, posts,
            "{name} may write to pull requests if, and only if, it posts there"
        );
        if posts {
            assert_eq!(
                job["permissions"]["contents"], "read",
                "{name} still reads the repository"
            );
        }
    }
    let all: BTreeSet<_> = house.steps.iter().map(|(name, _)| name.clone()).collect();
    assert_eq!(steps, all, "each step of scripts/ci is taken");
}

#[test]
fn the_pipeline_of_gitlab() {
    let house = House::read();
    let whole = workflow(".gitlab-ci.yml");
    let stages: Vec<_> = whole["stages"].as_array().unwrap().iter().collect();
    let image = whole["default"]["image"].as_str().unwrap();
    assert!(
        image.split_once(':').is_some_and(|(_, tag)| tag != "latest"),
        "{image}"
    );
    let mut ran = 0;
    for (name, job) in whole.as_object().unwrap() {
        let Some(script) = job["script"].as_array() else {
            continue;
        };
        assert!(stages.contains(&&job["stage"]), "{name}");
        for line in script {
            let line = line.as_str().unwrap();
            assert_eq!(house.wrong(line), None, "{name}: {line}");
            if line.starts_with("scripts/ci deploy") {
                assert!(is_url(&job["variables"]["GATEWAY_URL"]), "{job}");
            }
            ran += 1;
        }
    }
    assert!(ran >= 4, "{ran}");
}

/// The shell blocks, and the commands that the text names.
#[test]
fn every_other_command_of_the_page() {
    let house = House::read();
    let page = page();
    let blocks = blocks(&page);
    let shell = blocks.iter().filter(|(language, _)| language == "sh");
    let mut lines: Vec<&str> = shell.flat_map(|(_, block)| block.lines()).collect();
    assert!(lines.len() >= 3, "{lines:?}");
    let prose: Vec<_> = page.split("```").step_by(2).collect();
    let named = prose.iter().flat_map(|text| text.split('`').skip(1).step_by(2));
    lines.extend(named.filter(|text| {
        // With a word that stands for another, it is the name of a step.
        let starts = ["turnpike ", "scripts/ci ", "make "]
            .iter()
            .any(|start| text.starts_with(start));
        starts && !text.contains("ENV")
    }));
    assert!(lines.len() >= 8, "{lines:?}");
    for line in lines {
        let line = line.replace('\n', " ");
        assert_eq!(house.wrong(&line), None, "{line}");
    }
}

/// That the test above finds what is wrong.
#[test]
fn what_there_is_not_is_found() {
    let house = House::read();
    for (line, said) in [
        ("make clii", "the Makefile has no target clii"),
        ("scripts/ci verify", "scripts/ci has no step verify"),
        ("scripts/ci diff", "scripts/ci diff takes 1 to 1 arguments"),
        (
            "scripts/ci deploy a b c",
            "scripts/ci deploy takes 1 to 2 arguments",
        ),
        ("scripts/bootstrap builds", "scripts/bootstrap knows no builds"),
        ("scripts/none", "there is no scripts/none"),
        ("turnpike chek", "turnpike has no chek"),
        ("turnpike check --deney warnings", "turnpike check has no --deney"),
        (
            "FAIL_ON=x turnpike show inventory --xml",
            "turnpike show inventory has no --xml",
        ),
        ("curl x", "curl is not looked at by this test"),
    ] {
        assert_eq!(house.wrong(line).as_deref(), Some(said), "{line}");
    }
    assert_eq!(
        house.wrong("turnpike check --format sarif > findings.sarif"),
        None
    );
}
