//! Where API keys may come, as it is compiled.

use crate::common::{base, build, lines};

fn compiled(more: &str) -> turnpike_policy::ApiKeys {
    let mut files = base();
    let gateway = files.get_mut("gateway.yaml").unwrap();
    *gateway = gateway.replace("gateway: test\n", &format!("gateway: test\n{more}"));
    let outcome = build(&files, "dev");
    assert_eq!(lines(&outcome), Vec::<String>::new(), "{more}");
    outcome.compiled.unwrap().gateway.api_keys
}

#[test]
fn the_headers_of_sdks_are_the_default_and_nothing_else() {
    let keys = compiled("");
    assert_eq!(keys.headers, ["api-key", "x-api-key", "x-goog-api-key"]);
    assert!(keys.schemes.is_empty() && keys.query.is_empty());
    assert_eq!(keys, compiled("api_keys: { schemes: [] }\n"));
}

#[test]
fn what_is_written_counts_and_the_exception_says_until_when() {
    let keys = compiled(
        "api_keys: { headers: [X-Acme-Key], schemes: [ApiKey, Acme-Key], query: [key] }\n\
         exceptions: [{ rule: query_credentials, for: gateway, reason: an old client, until: 2027-06-30 }]\n",
    );
    assert_eq!(keys.headers, ["x-acme-key"]);
    assert_eq!(keys.schemes, ["acme-key", "apikey"]);
    assert_eq!(keys.query, ["key"]);
    // The last day is part of it: it ends as the first of July begins.
    assert_eq!(keys.query_until, 1_814_400_000_000);
}

#[test]
fn a_header_that_carries_keys_reaches_no_upstream() {
    let mut files = base();
    let document = files.get_mut("apis/pets/v1.yaml").unwrap();
    let named = "      operationId: listPets\n";
    assert!(document.contains(named));
    *document = document.replace(
        named,
        "      operationId: listPets\n      parameters:\n        - { name: x-acme-key, in: header, schema: { type: string } }\n",
    );
    let gateway = files.get_mut("gateway.yaml").unwrap();
    *gateway = gateway.replace(
        "gateway: test\n",
        "gateway: test\napi_keys: { headers: [x-acme-key] }\n",
    );
    let found = lines(&build(&files, "dev"));
    assert_eq!(found.len(), 1, "{found:?}");
    assert!(
        found[0].contains("the header `x-acme-key` is never forwarded here"),
        "{found:?}"
    );
}
