//! What looks like a secret, in texts and in comments, and what does not.

use crate::common::{Files, base, build_with_rules as build, lines};

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
