//! What rules of one's own look at, and what they do not.

use crate::common::{build_with_rules as build, lines};

use super::cases::{API, APP, DOC, clean};

/// A tree with a rule and changes to its files, and what is said of it in an environment.
fn said(rule: &str, changes: &[(&str, &str, &str)], environment: &str) -> Vec<String> {
    let mut files = clean();
    for (file, from, to) in changes {
        let text = files.entry((*file).to_owned()).or_default();
        assert!(text.contains(from), "{file}: {from}");
        *text = text.replacen(from, to, 1);
    }
    files.insert(
        "governance/own.yaml".to_owned(),
        format!("rule: own\n{rule}\nmessage: Our rule.\n"),
    );
    lines(&build(&files, environment))
}

#[test]
fn what_stands_in_the_file_of_an_environment_is_judged_there() {
    let upstreams =
        "for: environments\nfield: upstreams.*\nmust: { matches: '[.]acme[.]test$' }\nseverity: error";
    let named = |url: &str| {
        [
            (
                API,
                "upstream: https://pets.acme.test",
                "upstream: pets".to_owned(),
            ),
            (
                "environments/dev.yaml",
                "",
                format!("upstreams: {{ pets: {url} }}\n"),
            ),
            (
                "environments/production.yaml",
                "",
                "upstreams: { pets: https://elsewhere.test }\n".to_owned(),
            ),
        ]
    };
    let found = |rule: &str, url: &str, environment: &str| {
        let changes = named(url);
        let changes: Vec<_> = changes
            .iter()
            .map(|(file, from, to)| (*file, *from, to.as_str()))
            .collect();
        said(rule, &changes, environment)
    };
    assert_eq!(
        found(upstreams, "https://pets.acme.test", "dev"),
        Vec::<String>::new()
    );
    for (url, environment) in [
        ("https://elsewhere.test", "dev"),
        ("https://pets.acme.test", "production"),
    ] {
        let found = found(upstreams, url, environment);
        let start = format!("environments/{environment}.yaml:1:20: error[P1901]");
        assert!(found.len() == 1 && found[0].starts_with(&start), "{found:#?}");
    }
    let except = format!("{upstreams}\nexcept: [dev]");
    assert_eq!(
        found(&except, "https://elsewhere.test", "dev"),
        Vec::<String>::new()
    );
    // A rule about files that name it sees the name.
    let files = "for: apis\nfield: versions.*.upstream\nmust_not: { matches: elsewhere }";
    assert_eq!(
        found(files, "https://elsewhere.test", "dev"),
        Vec::<String>::new()
    );
    let unknown = "for: environments\nfield: upstrems.*\nmust: { matches: x }";
    let found = found(unknown, "https://pets.acme.test", "dev");
    assert!(found.iter().any(|line| line.contains("P0201")), "{found:#?}");
}

#[test]
fn items_of_another_sort_have_no_place_for_what_is_asked() {
    let expires = "for: consumers\nfield: credentials.*.key.expires\nmust: { exist: true }";
    assert_eq!(said(expires, &[], "dev"), Vec::<String>::new());
    let key = "  - key: { sha256: 9f86d081884c7d659a2feaa0c55ad015a3bf4f1b2b0b822cd15d6c15b0f00a08, expires: 2026-12-01 }\n";
    let both = format!("  - jwt: {{ issuer: acme, is: app }}\n{key}");
    let change = [(APP, "  - jwt: { issuer: acme, is: app }\n", both.as_str())];
    let known = "for: consumers\nfield: credentials.*.key.expires\nmust: { exist: true }";
    let of_rule = |rule: &str| {
        let found = said(rule, &change, "dev");
        found.into_iter().filter(|line| line.contains("P1901")).count()
    };
    assert_eq!(of_rule(known), 0);
    let scopes = "for: consumers\nfield: credentials.*.key.scopes\nmust: { exist: true }";
    assert_eq!(of_rule(scopes), 1);
    // Without a `*`, what holds it is missing as well.
    let found = said(
        "for: gateway\nfield: cors.origins\nmust: { exist: true }",
        &[],
        "dev",
    );
    assert!(found.len() == 1 && found[0].contains("P1901"), "{found:#?}");
}

#[test]
fn all_of_a_text_is_compared_with_a_pattern() {
    // Such as only a document holds.
    let long = format!("description: {} FORBIDDEN", "word ".repeat(2000));
    let change = [(DOC, "description: All about pets.", long.as_str())];
    for (demand, met) in [
        ("must_not: { matches: FORBIDDEN }", false),
        ("must: { matches: 'FORBIDDEN$' }", true),
    ] {
        let rule = format!("for: documents\nfield: info.description\n{demand}");
        let found = said(&rule, &change, "dev");
        let unmet = found.iter().any(|line| line.contains("P1901"));
        assert_eq!(unmet, !met, "{demand} {found:#?}");
    }
}
