//! `turnpike check` and the `wrangler.toml` beside the tree.

use std::collections::BTreeSet;
use std::fs;
use std::path::Path;

use serde_json::Value;
use turnpike_policy::source::Code;

use crate::common::{Tree, command, finish};

const GOOD: &str = r#"compatibility_date = "2026-11-17"
name = "edge"
main = "src/entry.js"
build.command = "scripts/build"
[[durable_objects.bindings]]
name = "METER"
class_name = "Meter"

[[migrations]]
tag = "v1"
new_sqlite_classes = ["Meter"]

[triggers]
crons = ["17 * * * *"]

[env.production]
workers_dev = false
routes = [{ pattern = "api.acme.example", custom_domain = true }]
build.command = "scripts/build --env production"
durable_objects.bindings = [{ name = "METER", class_name = "Meter" }]
vars = { REGION = "eu" }
"#;

const DATE: &str = "compatibility_date = \"2026-11-17\"";

fn with(toml: &str) -> Tree {
    let tree = Tree::new();
    fs::write(tree.folder.path().join("wrangler.toml"), toml).unwrap();
    tree
}

fn found(tree: &Tree) -> Vec<Value> {
    let output = tree.run(&["check", "--format", "json"]);
    let report: Value = serde_json::from_str(&output.out).unwrap();
    let all = report["findings"].as_array().unwrap().iter();
    all.filter(|finding| finding["code"].as_str().unwrap().starts_with("P2"))
        .cloned()
        .collect()
}

#[test]
fn what_agrees_is_not_spoken_of() {
    assert_eq!(found(&with(GOOD)), Vec::<Value>::new());
    // Nor is one that is not there.
    assert_eq!(found(&Tree::new()), Vec::<Value>::new());
    // This repository's own.
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("../..");
    let mut check = command(&root, &["check"]);
    let key = tempfile::tempdir().unwrap();
    check.env("TURNPIKE_DEVELOPMENT_KEY", key.path().join("issuer.json"));
    let output = finish(check);
    assert_eq!(output.code, 0, "{}{}", output.out, output.err);
    assert!(!output.out.contains("[P2"), "{}", output.out);
}

#[test]
fn each_disagreement() {
    let bound = "durable_objects.bindings = [{ name = \"METER\", class_name = \"Meter\" }]";
    let build = "build.command = \"scripts/build --env production\"\n";
    let mut tripped = BTreeSet::new();
    for (from, to, codes, line, said) in [
        ("name = \"edge\"", "name = edge", &["P2001"][..], 2, "edge"),
        ("[env.production]", "[env.live]", &[], 0, ""),
        (build, "", &["P2002", "P2004"], 16, "builds the policies of `dev`"),
        // The script takes it in two words.
        (
            "--env production",
            "--env=production",
            &["P2015"],
            19,
            "another than the call of scripts/build",
        ),
        (
            "scripts/build --env production",
            "true; echo scripts/build --env production",
            &["P2015"],
            19,
            "another than the call of scripts/build",
        ),
        (
            "scripts/build --env production",
            "POLICIES=other scripts/build --env production",
            &["P2015"],
            19,
            "another than the call of scripts/build",
        ),
        (
            build,
            "build = { command = \"scripts/build --env production\", cwd = \"other\" }\n",
            &["P2015"],
            19,
            "builds what lies in another folder",
        ),
        (
            "[env.production]",
            "[env.production]\nassets = { directory = \"public\" }",
            &["P2015"],
            17,
            "`env.production` deploys files (`assets`)",
        ),
        (
            "[triggers]",
            "[site]\nbucket = \"public\"\n[triggers]",
            &["P2015"],
            13,
            "deploys files (`site`)",
        ),
        (
            "scripts/build --env production",
            "TURNPIKE_ENV=production scripts/build",
            &[],
            0,
            "",
        ),
        (
            "--env production",
            "--env prod",
            &["P2002", "P2003"],
            19,
            "`prod`, which gateway.yaml does not list",
        ),
        (bound, "", &["P2005"], 16, "does not bind METER"),
        (
            bound,
            "durable_objects.bindings = [{ name = \"METER\", class_name = \"Metre\" }]",
            &["P2005"],
            20,
            "not of the class Meter",
        ),
        (
            bound,
            "durable_objects.bindings = [{ name = \"METER\", class_name = \"Meter\", script_name = \"other\" }]",
            &["P2005"],
            20,
            "is counted by another Worker",
        ),
        (
            bound,
            "durable_objects.bindings = [{ name = \"METER\", class_name = \"Metre\", script_name = \"other\" }]",
            &["P2005"],
            20,
            "not of the class Meter",
        ),
        (
            bound,
            "durable_objects.bindings = [{ name = \"METER\", class_name = \"Meter\", script_name = \"edge-production\" }]",
            &[],
            0,
            "",
        ),
        (
            "new_sqlite_classes = [\"Meter\"]",
            "new_sqlite_classes = []",
            &["P2006", "P2006"],
            20,
            "no migration",
        ),
        (
            build,
            "build.command = \"scripts/build --env production\"\nmigrations = []\n",
            &["P2006"],
            20,
            "no migration of `env.production`",
        ),
        (
            "[triggers]",
            "[[migrations]]\ntag = \"v2\"\ndeleted_classes = [\"Meter\"]\n[triggers]",
            &["P2006", "P2006"],
            23,
            "creates the class Meter",
        ),
        (
            "[triggers]",
            "[[migrations]]\ntag = \"v2\"\nrenamed_classes = [{ from = \"Meter\", to = \"Other\" }]\n[triggers]",
            &["P2006", "P2006"],
            23,
            "creates",
        ),
        (
            "workers_dev = false",
            "workers_dev = true",
            &["P2007"],
            17,
            "is reached at workers.dev",
        ),
        (
            "workers_dev = false\nroutes = [{ pattern = \"api.acme.example\", custom_domain = true }]",
            "",
            &["P2007"],
            16,
            "workers.dev",
        ),
        ("workers_dev = false", "", &[], 0, ""),
        (
            "[\"17 * * * *\"]",
            "[]",
            &["P2008", "P2008"],
            14,
            "no cron trigger",
        ),
        (
            "REGION = \"eu\"",
            "OPENAI_KEY = \"sk-1234\"",
            &["P2009"],
            21,
            "`OPENAI_KEY` stands in `vars`",
        ),
        (
            "[triggers]",
            "[vars]\nPETS_TOKEN = \"sk-1234\"\n[triggers]",
            &["P2009"],
            14,
            "wrangler secret put PETS_TOKEN",
        ),
        (
            "pattern = \"api.acme.example\"",
            "pattern = \"https://www.acme.example/*\"",
            &["P2010", "P2011"],
            18,
            "`www.acme.example` is not among",
        ),
        (
            "\nroutes = [{ pattern = \"api.acme.example\", custom_domain = true }]",
            "",
            &["P2011"],
            17,
            "no route of `env.production` leads `api.acme.example` here",
        ),
        (
            "pattern = \"api.acme.example\"",
            "pattern = \"*.acme.example/*\"",
            &[],
            0,
            "",
        ),
        (
            "pattern = \"api.acme.example\"",
            "pattern = \"api.acme.example/v2/*\"",
            &["P2011"],
            18,
            "leads only a part of `api.acme.example` here",
        ),
        (
            ", custom_domain = true",
            "",
            &["P2013"],
            18,
            "`api.acme.example` is a route",
        ),
        (
            "custom_domain = true",
            "custom_domain = false",
            &["P2013"],
            18,
            "while the Worker cannot run",
        ),
        (
            "workers_dev = false",
            "workers_dev = false\npreview_urls = true",
            &["P2007"],
            18,
            "at a preview address",
        ),
        (
            "new_sqlite_classes",
            "new_classes",
            &["P2006", "P2006"],
            20,
            "create the class Meter without SQLite",
        ),
        (
            "[triggers]",
            "[[migrations]]\ntag = \"v1\"\nnew_sqlite_classes = [\"More\"]\n[triggers]",
            &["P2014"],
            14,
            "have the tag `v1`",
        ),
        ("src/entry.js", "src/other.js", &["P2015"], 3, "another Worker"),
        ("src/entry.js", "./src/entry.js", &[], 0, ""),
        (
            DATE,
            "compatibility_date = \"2025-01-01\"",
            &["P2015"],
            1,
            "did not tell of clients that left",
        ),
        (
            DATE,
            "compatibility_date = \"2025-01-01\"\ncompatibility_flags = [\"enable_request_signal\"]",
            &[],
            0,
            "",
        ),
        (
            DATE,
            "compatibility_date = \"2026-11-18\"",
            &["P2015"],
            1,
            "runs as of a later day than the gateway was tried with",
        ),
        (
            DATE,
            "",
            &["P2015"],
            2,
            "nothing says as of which day it runs: `compatibility_date` is missing",
        ),
        (
            DATE,
            "compatibility_date = 2026-11-17",
            &["P2015"],
            1,
            "the `compatibility_date` of the top of the file is no day in quotes",
        ),
        (
            DATE,
            "compatibility_date = \"banana\"",
            &["P2015"],
            1,
            "is no day in quotes",
        ),
        (
            DATE,
            "compatibility_date = \"2026-11-31\"",
            &["P2015"],
            1,
            "is no day in quotes",
        ),
        (
            "workers_dev = false",
            "workers_dev = false\ncompatibility_flags = [\"no_nodejs_compat\", \"experimental\"]",
            &["P2015"],
            18,
            "`env.production` runs with `experimental`, with which the gateway was not tried",
        ),
        (
            "workers_dev = false",
            "workers_dev = false\ncompatibility_flags = [\"disable_request_signal\"]",
            &["P2015"],
            18,
            "keeps the runtime from telling of clients that left",
        ),
        (
            "build.command = \"scripts/build\"\n",
            "",
            &["P2015"],
            1,
            "(`build.command` is missing): it is whatever lies in build/",
        ),
        (
            "main = \"src/entry.js\"\n",
            "",
            &["P2015"],
            1,
            "nothing says what is deployed: `main` is missing",
        ),
        (
            "[triggers]",
            "[alias]\n\"./gateway.js\" = \"./evil.js\"\n[triggers]",
            &["P2015"],
            13,
            "changes what the gateway is made of (`alias`)",
        ),
        (
            "[triggers]",
            "[define]\nREFUSE = \"false\"\n[triggers]",
            &["P2015"],
            13,
            "the top of the file changes what the gateway is made of (`define`)",
        ),
        (
            "vars = { REGION = \"eu\" }",
            "[env.production.define]\nREFUSE = \"false\"",
            &["P2015"],
            21,
            "`env.production` changes what the gateway is made of (`define`)",
        ),
        (
            "workers_dev = false",
            "workers_dev = false\nno_bundle = true\nbase_dir = \"other\"",
            &["P2015", "P2015"],
            19,
            "changes what the gateway is made of (`no_bundle`)",
        ),
        (
            "workers_dev = false",
            "workers_dev = false\nno_bundle = false\nfind_additional_modules = true",
            &["P2015"],
            19,
            "(`find_additional_modules`)",
        ),
        (
            "workers_dev = false",
            "workers_dev = false\ntsconfig = \"evil.json\"",
            &["P2015"],
            18,
            "(`tsconfig`)",
        ),
        (
            "[triggers]",
            "[[rules]]\ntype = \"Data\"\nglobs = [\"**/*.wasm\"]\n[triggers]",
            &["P2015"],
            13,
            "make no code of `.wasm` modules",
        ),
        (
            "[triggers]",
            "[[rules]]\ntype = \"Data\"\nglobs = [\"**/*.txt\", \"src/**\"]\n[triggers]",
            &["P2015"],
            13,
            "take modules of the gateway for something else (`src/**` as Data)",
        ),
        (
            "vars = { REGION = \"eu\" }",
            "[[env.production.rules]]\ntype = \"Text\"\nglobs = [\"**/*.js\"]",
            &["P2015"],
            21,
            "the rules of `env.production` take modules of the gateway",
        ),
        (
            "vars = { REGION = \"eu\" }",
            "tail_consumers = [{ service = \"ours\" }, { service = \"watcher\" }]",
            &["P2017", "P2017"],
            21,
            "`env.production` shows the Worker `watcher` every request and log line (`tail_consumers`)",
        ),
        (
            "[triggers]",
            "[[streaming_tail_consumers]]\nservice = \"watcher\"\n[triggers]",
            &["P2017"],
            13,
            "the top of the file shows the Worker `watcher`",
        ),
        (
            "vars = { REGION = \"eu\" }",
            "unsafe.bindings = [{ name = \"PETS_TOKEN\", type = \"plain_text\", text = \"x\" }]",
            &["P2015"],
            21,
            "`env.production` passes on what wrangler does not read (`unsafe`: `bindings`)",
        ),
        (
            "vars = { REGION = \"eu\" }",
            "limits = { cpu_ms = 1_0, subrequests = 1_000 }",
            &["P2015"],
            21,
            "the `cpu_ms` of `env.production` are so few",
        ),
        (
            "name = \"edge\"",
            "name = \"edge\"\nlimits = { subrequests = 3.0, cpu_ms = 30_000 }",
            &["P2015"],
            3,
            "the `subrequests` of the top of the file are so few",
        ),
        (
            "REGION = \"eu\"",
            "SALT = \"q8Zr2LwX0vBn5TyK7dHs3MfG9aPcE1uJ\", ACCOUNT_ID = \"0123456789abcdef0123456789abcdef\"",
            &["P2009"],
            21,
            "the value of `SALT` is as random as a secret",
        ),
        (
            "[triggers]",
            "[[rules]]\ntype = \"Text\"\nglobs = [\"**/*.txt\", \"**/LICENSE\"]\n[unsafe]\n[triggers]",
            &[],
            0,
            "",
        ),
        (
            "workers_dev = false",
            "name = \"edge\"\nworkers_dev = false",
            &["P2016"],
            17,
            "deploys `production` as the Worker `edge`",
        ),
        (
            "REGION = \"eu\"",
            "TITLE = \"SECRET\", MORE = { deep = [\"SECRET\"] }",
            &["P2009", "P2009"],
            21,
            "the value of `TITLE` looks like a secret",
        ),
    ] {
        assert_eq!(GOOD.matches(from).count(), 1, "{from}");
        let secret = format!("sk-{}", "1234".repeat(8));
        let tree = with(&GOOD.replace(from, to).replace("SECRET", &secret));
        let all = found(&tree);
        let here: Vec<_> = all
            .iter()
            .map(|finding| finding["code"].as_str().unwrap())
            .collect();
        let mut sorted = here.clone();
        sorted.sort_unstable();
        assert_eq!(sorted, codes, "{to}: {all:#?}");
        tripped.extend(here.iter().map(|code| (*code).to_owned()));
        let text = tree.run(&["check"]);
        assert!(
            !text.out.contains("sk-1234") && !text.err.contains("sk-1234"),
            "{}",
            text.out
        );
        if codes.is_empty() {
            assert_eq!(text.code, 0, "{to}");
            continue;
        }
        assert!(
            all.iter()
                .any(|finding| finding["line"] == line && finding["file"] == "wrangler.toml"),
            "{to}: {all:#?}"
        );
        let whole = format!("{}{}", text.out, Value::from(all.clone()));
        assert!(whole.contains(said), "{to}: {said}\n{whole}");
        let error = all.iter().any(|finding| finding["severity"] == "error");
        assert_eq!(text.code, i32::from(error), "{to}");
    }
    // One that is not read is not passed over.
    let tree = Tree::new();
    fs::write(tree.folder.path().join("wrangler.jsonc"), "{}").unwrap();
    let all = found(&tree);
    assert_eq!(all.len(), 1, "{all:#?}");
    assert_eq!(all[0]["code"], "P2012");
    assert_eq!(all[0]["file"], "wrangler.jsonc");
    tripped.insert("P2012".to_owned());
    let mut codes = Code::ALL.iter().map(|code| code.number());
    assert!(
        codes.all(|code| !code.starts_with("P2") || tripped.contains(code)),
        "{tripped:?}"
    );
}

/// wrangler takes these first.
#[test]
fn another_file_in_place_of_this_one() {
    for other in ["wrangler.json", "wrangler.jsonc", ".wrangler/deploy/config.json"] {
        let tree = with(GOOD);
        let file = tree.folder.path().join(other);
        fs::create_dir_all(file.parent().unwrap()).unwrap();
        fs::write(&file, "{}").unwrap();
        let output = tree.run(&["check"]);
        assert_eq!(output.code, 1, "{}", output.out);
        let said = format!("error[P2015]: wrangler takes `{other}` in place of this file");
        assert!(output.out.contains(&said), "{}", output.out);
    }
}

/// The script builds `policies` where nobody names another folder.
#[test]
fn a_folder_of_another_name_is_named_by_the_command() {
    let said = |folder: &str, toml: &str| {
        let tree = with(toml);
        fs::rename(tree.path(""), tree.folder.path().join(folder)).unwrap();
        tree.run(&["check", "--policies", folder])
    };
    let output = said("rules", GOOD);
    assert_eq!(output.code, 1, "{}", output.out);
    assert_eq!(output.out.matches("error[P2015]").count(), 2, "{}", output.out);
    for part in [
        "of `env.production` builds the policies of the folder `policies`, and these lie in `rules`",
        "write: build.command = \"POLICIES=rules scripts/build --env production\"",
        "write: build.command = \"POLICIES=rules scripts/build --env dev\"",
    ] {
        assert!(output.out.contains(part), "{part}\n{}", output.out);
    }
    let output = said(
        "rules",
        &GOOD.replace("\"scripts/build", "\"POLICIES=rules scripts/build"),
    );
    assert_eq!(output.code, 0, "{}", output.out);
    let output = said("our rules", GOOD);
    assert!(
        output.out.contains("call the folder `policies`"),
        "{}",
        output.out
    );
    // From within it.
    let tree = with(GOOD);
    let rules = tree.folder.path().join("rules");
    fs::rename(tree.path(""), &rules).unwrap();
    let output = finish(command(&rules, &["check", "--policies", "."]));
    assert!(
        output.out.contains("these lie in `rules`"),
        "{}{}",
        output.out,
        output.err
    );
    // A pipeline that says it once for all that it runs.
    for (policies, code) in [("rules", 0), ("./rules", 0), ("others", 1)] {
        let mut around = command(tree.folder.path(), &["check", "--policies", "rules"]);
        around.env("POLICIES", policies);
        let output = finish(around);
        assert_eq!(output.code, code, "{policies}: {}", output.out);
    }
}

/// Where the gateway answers every host, nothing need lead here by name, but something must.
#[test]
fn an_environment_that_is_reached_nowhere() {
    let route = "\nroutes = [{ pattern = \"api.acme.example\", custom_domain = true }]";
    assert_eq!(GOOD.matches(route).count(), 1);
    let tree = with(&GOOD.replace(route, "\nroutes = []"));
    assert_eq!(found(&tree).len(), 1);
    let gateway = tree.read("gateway.yaml");
    let hosts = gateway.lines().find(|line| line.starts_with("hosts:")).unwrap();
    tree.change("gateway.yaml", hosts, "");
    let all = found(&tree);
    assert_eq!(all.len(), 1, "{all:#?}");
    assert_eq!(
        (&all[0]["code"], &all[0]["line"]),
        (&"P2011".into(), &17.into()),
        "{all:#?}"
    );
    let said = all[0]["message"].as_str().unwrap();
    assert_eq!(
        said,
        "`env.production` is reached nowhere: it is not at workers.dev, and has no route"
    );
    fs::write(tree.folder.path().join("wrangler.toml"), GOOD).unwrap();
    assert_eq!(found(&tree), Vec::<Value>::new());
}

#[test]
fn one_environment_and_its_own() {
    let tree = with(&GOOD.replace("workers_dev = false", "workers_dev = true"));
    assert!(!tree.good(&["check", "--env", "dev"]).contains("P2007"));
    let out = tree.good(&["check", "--env", "production"]);
    assert!(
        out.contains("warning[P2007]") && out.contains("--> wrangler.toml:17:15"),
        "{out}"
    );
    let sarif = tree.good(&["check", "--format", "sarif"]);
    assert!(sarif.contains("\"P2007\""));
    assert_eq!(tree.run(&["check", "--deny", "warnings"]).code, 1);
    // From within the folder, the file is still the one beside it.
    let output = finish(command(&tree.path(""), &["check", "--policies", "."]));
    assert!(output.out.contains("P2007"), "{}{}", output.out, output.err);
}

/// What lies elsewhere is reviewed with nothing here.
#[cfg(unix)]
#[test]
fn a_link_leads_nowhere_else() {
    let elsewhere = tempfile::tempdir().unwrap();
    let outside = elsewhere.path().join("wrangler.toml");
    fs::write(&outside, "workers_dev = [").unwrap();
    let tree = Tree::new();
    let link = tree.folder.path().join("wrangler.toml");
    let said = |target: &Path| {
        let _ = fs::remove_file(&link);
        std::os::unix::fs::symlink(target, &link).unwrap();
        tree.run(&["check"])
    };
    let output = said(&outside);
    assert_eq!(output.code, 1, "{}", output.out);
    for part in [
        "error[P0003]: this link leads out of the folder that the policies lie in",
        "wrangler.toml",
        "copy the file",
    ] {
        assert!(output.out.contains(part), "{part}\n{}", output.out);
    }
    assert!(!output.out.contains("workers_dev"), "{}", output.out);
    // One that leads nowhere is told, too; one that stays is followed.
    let output = said(Path::new("gone.toml"));
    assert!(
        output.out.contains("error[P2001]: it cannot be read"),
        "{}",
        output.out
    );
    fs::create_dir(tree.folder.path().join("deploy")).unwrap();
    fs::write(tree.folder.path().join("deploy/edge.toml"), GOOD).unwrap();
    let output = said(Path::new("deploy/edge.toml"));
    assert_eq!(output.code, 0, "{}", output.out);
}
