//! Upstreams that an exception lets be reached without TLS: until when is in the bundle, so that it ends where it runs.

use crate::common::{Files, base, build, lines};

/// A tree whose API, and whose provider, are reached without TLS, until these days.
fn tree(api: Option<&str>, provider: Option<&str>) -> Files {
    let mut files = base();
    let mut exceptions = String::new();
    for (target, path, until) in [
        ("apis/pets", "apis/pets/api.yaml", api),
        ("providers/openai", "providers/openai.yaml", provider),
    ] {
        let Some(until) = until else { continue };
        exceptions += &format!("  - {{ rule: upstreams, for: {target}, reason: old, until: {until} }}\n");
        let file = files.entry(path.to_owned()).or_default();
        *file = file.replace("https://", "http://");
    }
    let gateway = files.entry("gateway.yaml".to_owned()).or_default();
    *gateway += &format!("exceptions:\n{exceptions}");
    files
}

#[test]
fn the_end_of_an_exception_is_in_the_bundle() {
    const DAY: u64 = 86_400_000;
    let ends = |files: &Files, environment: &str| {
        let outcome = build(files, environment);
        assert!(outcome.compiled.is_some(), "{:?}", lines(&outcome));
        let compiled = outcome.compiled.unwrap();
        let api = compiled.apis.iter().find(|api| api.name == "pets").unwrap().until;
        let provider = compiled
            .providers
            .iter()
            .find(|one| one.name == "openai")
            .unwrap()
            .until;
        (api, provider)
    };
    let (api, provider) = ends(&tree(Some("2027-06-30"), Some("2027-07-02")), "production");
    // Its last day is over when the next begins, in UTC.
    assert_eq!(provider.unwrap() - api.unwrap(), 2 * DAY);
    assert_eq!(api.unwrap() % DAY, 0);
    assert_eq!(ends(&tree(Some("2027-06-30"), None), "production").1, None);
    assert_eq!(ends(&tree(None, Some("2027-06-30")), "production").0, None);
}
