//! One form for the same rules: what changes nothing about them changes nothing about the hash.

use crate::common::{Folder, base, build, build_at, sample};

fn hash(files: &crate::common::Files) -> [u8; 32] {
    build(files, "dev").bundle.expect("builds").1
}

#[test]
fn the_same_tree_gives_the_same_bytes_wherever_it_lies() {
    let write = || {
        let folder = Folder::new();
        for (path, content) in sample() {
            folder.write(&path, content);
        }
        build_at(&folder.0, "dev").bundle.unwrap()
    };
    let first = write();
    assert_eq!(first, write());
    assert_eq!(first.1, hash(&sample()));
}

#[test]
fn comments_and_empty_lines_change_nothing() {
    let mut files = sample();
    for text in files.values_mut() {
        *text = format!("# A comment.\n\n{}\n# The end.\n", text.replace("\r\n", "\n"));
    }
    assert_eq!(hash(&files), hash(&sample()));
    for text in files.values_mut() {
        *text = text.replace('\n', "\r\n");
    }
    assert_eq!(hash(&files), hash(&sample()));
}

#[test]
fn where_a_rule_stands_is_kept_though_it_does_not_count() {
    let mut files = base();
    let first = build(&files, "dev");
    let plan = files.get_mut("plans/gold.yaml").unwrap();
    *plan = format!("# Moved down.\n{plan}");
    let second = build(&files, "dev");
    assert_eq!(first.bundle.unwrap().1, second.bundle.unwrap().1);
    assert_eq!(
        first.compiled.unwrap().plans[0].limits[0].origin,
        "policies/plans/gold.yaml:3"
    );
    assert_eq!(
        second.compiled.unwrap().plans[0].limits[0].origin,
        "policies/plans/gold.yaml:4"
    );
}

/// A refused grant is explained by the line of `may`, not by that of the file's first key.
#[test]
fn grants_are_written_where_may_is() {
    let origins = |text: &str| {
        let mut files = base();
        files.insert("consumers/app.yaml".to_owned(), text.to_owned());
        build(&files, "dev").compiled.unwrap().consumers[0].origin.clone()
    };
    let head = "# Who it is.\nconsumer: app\nowner: team\nplan: gold\n";
    let credentials = "credentials:\n  - jwt: { issuer: acme, is: app }\n";
    for (rest, line) in [
        (format!("{credentials}may:\n\n  - {{ models: [chat] }}\n"), 7),
        (format!("may: [{{ models: [chat] }}]\n{credentials}"), 5),
        (format!("{credentials}may: []\n"), 7),
        // Nothing is granted by nothing that is written.
        (credentials.to_owned(), 2),
    ] {
        let expected = format!("policies/consumers/app.yaml:{line}");
        assert_eq!(origins(&format!("{head}{rest}")), expected, "{rest}");
    }
    let trial = build(&sample(), "dev").compiled.unwrap();
    let trial = trial.consumers.iter().find(|consumer| consumer.name == "trial");
    assert_eq!(trial.unwrap().origin, "policies/consumers/trial.yaml:8");
}

#[test]
fn writing_out_a_default_changes_nothing() {
    for (path, old, new) in [
        (
            "plans/gold.yaml",
            "10/s",
            "10/s\n    burst: 10\nprecision: exact\non_error: closed",
        ),
        (
            "models/chat.yaml",
            "owner: team",
            "owner: team\nretry: { attempts: 1 }\ntimeouts: { first_token: 30s, idle: 30s, total: 5m }\nmax_body: 10MiB",
        ),
        (
            "apis/pets/api.yaml",
            "state: active",
            "state: active\n    timeouts: { first_byte: 30s }",
        ),
        (
            "providers/openai.yaml",
            "secret:",
            "auth: { header: Authorization, prefix: 'Bearer ' }\nsecret:",
        ),
        (
            "gateway.yaml",
            "gateway: test",
            "gateway: test\nshield: { rate: 100/s, burst: 200 }\nlog: { requests: all }",
        ),
    ] {
        let mut files = base();
        let text = files.get_mut(path).unwrap();
        *text = text.replacen(old, new, 1);
        assert_eq!(hash(&files), hash(&base()), "{path}");
    }
}

#[test]
fn other_spellings_of_a_value_change_nothing() {
    for (path, old, new) in [
        ("plans/gold.yaml", "10/s", "'10/1000ms'"),
        ("plans/gold.yaml", "rate: 10/s", "rate: 1_0/s"),
        (
            "apis/pets/api.yaml",
            "https://pets.example",
            "https://PETS.example/",
        ),
        (
            "consumers/app.yaml",
            "{ models: [chat] }",
            "{ models: [chat] }\n  - { models: [chat] }",
        ),
    ] {
        let mut files = base();
        let text = files.get_mut(path).unwrap();
        assert!(text.contains(old));
        *text = text.replacen(old, new, 1);
        assert_eq!(hash(&files), hash(&base()), "{new}");
    }
}

#[test]
fn what_means_something_changes_the_hash() {
    for (path, old, new) in [
        ("plans/gold.yaml", "10/s", "11/s"),
        ("plans/gold.yaml", "10/s", "600/min"),
        ("consumers/app.yaml", "owner: team", "owner: other"),
        ("apis/pets/api.yaml", "state: active", "state: preview"),
        ("gateway.yaml", "[RS256]", "[ES256, RS256]"),
        ("models/chat.yaml", "openai/gpt", "openai/gpt-2"),
    ] {
        let mut files = base();
        let text = files.get_mut(path).unwrap();
        assert!(text.contains(old));
        *text = text.replacen(old, new, 1);
        assert_ne!(hash(&files), hash(&base()), "{new}");
    }
}

#[test]
fn the_date_decides_about_diagnostics_only() {
    let mut files = base();
    let text = files.get_mut("consumers/app.yaml").unwrap();
    *text = text.replace(
        "jwt: { issuer: acme, is: app }",
        &format!("key: {{ sha256: {}, expires: 2027-01-10 }}", "ab".repeat(32)),
    );
    let folder = Folder::new();
    for (path, content) in &files {
        folder.write(path, content);
    }
    let at = |date: &str| {
        let as_of = turnpike_policy::source::parse_date(date).unwrap();
        let options = turnpike_policy::source::Options {
            environment: "dev".to_owned(),
            as_of,
            development_key: None,
        };
        let mut outcome = turnpike_policy::source::build(&folder.0, &options);
        outcome
            .diagnostics
            .retain(|found| !found.code.number().starts_with("P1"));
        outcome
    };
    assert_eq!(at("2026-01-01").bundle.unwrap(), at("2027-01-01").bundle.unwrap());
    assert!(
        at("2027-01-01").diagnostics[0]
            .one_line()
            .contains("warning[P0502]")
    );
    assert!(at("2027-01-10").bundle.is_none());
}

/// So that a start reads no consumer to know it: that of a tree of thousands would read them all.
#[test]
fn the_list_of_denials_is_needed_only_where_somebody_may_deny() {
    let needed = |operator: &str| {
        let mut files = base();
        let consumer = files.get_mut("consumers/app.yaml").unwrap();
        *consumer = consumer.replace("plan: gold\n", &format!("plan: gold\n{operator}"));
        build(&files, "dev").compiled.unwrap().denials
    };
    assert!(!needed(""));
    assert!(!needed("operator: { credit: { requests: 10/day } }\n"));
    assert!(needed("operator: { deny: 1d }\n"));
}
