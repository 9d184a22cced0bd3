//! What looks like a secret, in texts and in comments, and what does not.

use std::fs;
use std::path::Path;

use turnpike_policy::source::environments;

use crate::common::{Files, base, build_with_rules as build, build_with_rules_at, lines};

/// As if drawn by lot.
const RANDOM: &str = "xV3kQ9zT1pLw8RbN5sYc2HfD";

/// What is said of secrets in a tree in which a text stands so in a file.
fn said(path: &str, from: &str, to: &str) -> Vec<String> {
    said_of(&changed(path, from, to))
}

fn changed(path: &str, from: &str, to: &str) -> Files {
    let mut files = base();
    let text = files.get_mut(path).unwrap();
    assert!(text.contains(from), "{path} does not hold {from:?}");
    *text = text.replacen(from, to, 1);
    files
}

fn said_of(files: &Files) -> Vec<String> {
    let mut said = lines(&build(files, "dev"));
    said.retain(|line| line.contains("[P0215]") || line.contains("[P1801]"));
    said
}

/// Whatever it stands in, and whatever the gateway says.
#[test]
fn tokens_of_known_kinds_are_errors_everywhere() {
    let word = "a1B2c3D4e5F6g7H8i9J0";
    let long = word.repeat(4);
    let tokens = [
        "ghp_",
        "gho_",
        "ghu_",
        "ghs_",
        "ghr_",
        "github_pat_",
        "glpat-",
        "hf_",
        "npm_",
        "pypi-AgEIcHlwaS5vcmc",
        "xoxa-1-",
        "xoxb-1-",
        "xoxo-1-",
        "xoxp-1-",
        "xoxr-1-",
        "xoxs-1-",
        "xoxe.xoxp-1-",
        "xapp-1-",
        "ya29.",
        "ya29.c.",
        "AIza",
        "sk-",
        "sk-ant-api03-",
        "sk-proj-",
        "sk_live_",
        "rk_live_",
        "gsk_",
        "dckr_pat_",
    ];
    let tokens = tokens.iter().map(|prefix| format!("{prefix}{long}"));
    let ids = ["AKIA", "ASIA"].map(|prefix| format!("{prefix}Q3EGRIFFIN2XEXMP"));
    for token in tokens.chain(ids) {
        for (path, from, to) in [
            ("apis/pets/api.yaml", "owner: team", format!("owner: {token}")),
            (
                "apis/pets/api.yaml",
                "owner: team",
                format!("owner: team # {token}"),
            ),
            (
                "apis/pets/api.yaml",
                "owner: team",
                format!("# It was {token}.\nowner: team"),
            ),
            (
                "apis/pets/v1.yaml",
                "title: Pets",
                format!("title: 'Not {token}!'"),
            ),
            (
                "apis/pets/v1.yaml",
                "openapi: 3.1.0",
                format!("# key: \"{token}\"\nopenapi: 3.1.0"),
            ),
        ] {
            let mut files = changed(path, from, &to);
            let gateway = files.get_mut("gateway.yaml").unwrap();
            *gateway += "governance: { P1801: off }\n";
            let said = said_of(&files);
            assert!(
                said.len() == 1 && said[0].contains("error[P0215]"),
                "{to}: {said:#?}"
            );
            for found in build(&files, "dev").diagnostics {
                assert!(!found.to_string().contains(&token[4..]), "{found}");
            }
        }
    }
    // Names that begin alike.
    for name in [
        "ASIAPACIFICSOUTHEAST",
        "ASIA_PACIFIC_SOUTHEAST",
        "npm_config_some_long_name_of_a_setting_of_it",
        "ghs_short",
    ] {
        let said = said(
            "apis/pets/api.yaml",
            "owner: team",
            &format!("owner: {name} # {name}"),
        );
        assert_eq!(said, Vec::<String>::new(), "{name}");
    }
}

/// By itself it looks like anything: what is said of it tells.
#[test]
fn a_secret_access_key_is_told_by_its_name() {
    let key = "wJalrXUtnFEMI/K7MDENG/bPxRfiCYEXAMPLEKEY";
    for to in [
        format!("owner: team # AWS_SECRET_ACCESS_KEY={key}"),
        format!("owner: team # aws secret access key: {key}"),
        format!("owner: 'secretAccessKey {key}'"),
    ] {
        let said = said("apis/pets/api.yaml", "owner: team", &to);
        assert!(
            said.len() == 1 && said[0].contains("error[P0215]: this looks like a secret access key of AWS"),
            "{to}: {said:#?}"
        );
    }
    let example = format!("example: {{ aws_secret_access_key: {key} }}");
    let said = said("apis/pets/v1.yaml", "example: []", &example);
    assert!(said.len() == 1 && said[0].contains("error[P0215]"), "{said:#?}");
}

#[test]
fn comments_are_searched_for_what_is_drawn_by_lot() {
    for (path, from, to, at) in [
        (
            "apis/pets/api.yaml",
            "owner: team",
            format!("owner: team # was {RANDOM}"),
            "3:19",
        ),
        (
            "apis/pets/api.yaml",
            "owner: team",
            format!("# key={RANDOM};\nowner: team"),
            "3:3",
        ),
        (
            "apis/pets/v1.yaml",
            "openapi: 3.1.0",
            format!("# (\"{RANDOM}\")\nopenapi: 3.1.0"),
            "1:5",
        ),
        (
            "plans/gold.yaml",
            "plan: gold",
            format!("plan: gold\n# secret: {}", "0123456789abcdef".repeat(2)),
            "2:11",
        ),
    ] {
        let files = changed(path, from, &to);
        let (said, start) = (said_of(&files), format!("{path}:{at}: warning[P1801]"));
        assert!(
            said.len() == 1 && said[0].starts_with(&start),
            "{start}: {said:#?}"
        );
        for found in build(&files, "dev").diagnostics {
            assert!(!found.to_string().contains("xV3kQ9"), "{found}");
        }
    }
    // What is in a text is said once.
    let text = format!("owner: 'team # {RANDOM}'");
    assert_eq!(said("apis/pets/api.yaml", "owner: team", &text).len(), 1);
}

#[test]
fn prose_addresses_commits_and_digests_in_comments_are_no_secrets() {
    let commit = "3f786850e387550fdab836ed7e6dc881de23001b";
    let digest = "9f86d081884c7d659a2feaa0c55ad015a3bf4f1b2b0b822cd15d6c15b0f00a08";
    for comment in [
        "Whoever reads this should know that getPetsByOwnerAndTagV2Long is not what it says, and never was.",
        "https://docs.acme.test/d/1BxiMVs0XRA5nFMdKvBdBZjgmUUqptlbs74OgvE2upms/edit",
        "https://acme.test/?id=1BxiMVs0XRA5nFMdKvBdBZjgmUUqptlbs74OgvE2upms",
        &format!("since {commit}"),
        &format!("sha256:{digest}"),
        &format!("the SHA-256 of the example key is {digest}"),
        "sha256-47DEQpj8HBSa+/TImW+5JCeuQeRkm5NMpJWZG3hSuFU=",
        "0b3c8a36-4f3e-4d0c-9d0e-0d9a3f0c1b2a",
        "tpk_k7d2mzqa_not-a-secret",
        "---------------------------------- 8< ----------------------------------",
    ] {
        let said = said(
            "apis/pets/api.yaml",
            "owner: team",
            &format!("owner: team # {comment}"),
        );
        assert_eq!(said, Vec::<String>::new(), "{comment}");
    }
}

/// None of the trees of this repository holds one.
#[test]
fn no_tree_of_the_repository_trips_it() {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("../..");
    let trees = fs::read_dir(root.join("tests/trees")).unwrap();
    let mut trees: Vec<_> = trees.map(|tree| tree.unwrap().path()).collect();
    trees.extend([root.join("policies"), root.join("bench/policies")]);
    for tree in trees {
        let environments = environments(&tree);
        assert!(!environments.is_empty(), "{}", tree.display());
        for environment in environments {
            let mut said = lines(&build_with_rules_at(&tree, &environment));
            said.retain(|line| line.contains("[P0215]") || line.contains("[P1801]"));
            assert_eq!(said, Vec::<String>::new(), "{} in {environment}", tree.display());
        }
    }
}

/// Whoever shows where a password goes shows none; an upstream has none in its address all the same.
#[test]
fn a_place_for_a_password_is_none() {
    for user in [
        "username:password",
        "user:pass",
        "name:secret",
        "x-access-token:TOKEN",
        "user:YOUR_PASSWORD",
        "user:<password>",
        "{user}:{password}",
        "user:****",
        "user:xxxxxx",
        "user:example",
        "user:your-token",
        "USER:${PASSWORD}",
        "user:...",
    ] {
        let to = format!("title: 'As https://{user}@acme.example/a.git says'");
        assert_eq!(
            said("apis/pets/v1.yaml", "title: Pets", &to),
            Vec::<String>::new(),
            "{user}"
        );
    }
    for user in [
        "anna:hunter22",
        "user:hunter22",
        "username:passwords-are-long",
        "user:xxhunterxx",
    ] {
        let to = format!("title: 'As https://{user}@acme.example/a.git says'");
        let said = said("apis/pets/v1.yaml", "title: Pets", &to);
        assert!(
            said.len() == 1 && said[0].contains("error[P0215]: this looks like a URL with a password"),
            "{user}: {said:#?}"
        );
    }
    for (path, from) in [
        ("apis/pets/api.yaml", "https://pets.example"),
        ("providers/openai.yaml", "https://api.openai.example/v1"),
    ] {
        let found = lines(&build(
            &changed(path, from, "https://username:password@pets.example"),
            "dev",
        ));
        let refused = "error[P0212]: the URL holds credentials";
        assert!(found.iter().any(|line| line.contains(refused)), "{found:#?}");
    }
}
