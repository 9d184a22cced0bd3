//! `turnpike import krakend`: files of both versions, and what must not be made wider by it.

use crate::common::{command, finish};
use crate::import::Imported;

fn imported(krakend: &str) -> Imported {
    let imported = Imported::of("krakend", krakend);
    assert_eq!(
        imported.output.code, 0,
        "{}{}",
        imported.output.out, imported.output.err
    );
    imported.run(&["check"]);
    assert_eq!(imported.run(&["fmt", "--check"]), "");
    imported
}

fn contains(text: &str, parts: &[&str]) {
    for part in parts {
        assert!(text.contains(part), "{part}\n{text}");
    }
}

#[test]
fn version_2_and_its_names() {
    let krakend = r#"{
      "version": 2, "timeout": "1m30s",
      "extra_config": {
        "github_com/devopsfaith/krakend-cors": { "allow_methods": ["GET"], "allow_credentials": true, "debug": true },
        "github_com/devopsfaith/krakend-gologging": { "level": "DEBUG" }
      },
      "endpoints": [{
        "endpoint": "/shop/v1/items", "querystring_params": ["page", "*"],
        "headers_to_pass": ["X-Tenant", "Cookie", "X-Forwarded-For", "*"],
        "backend": [{ "host": ["shop.example"], "url_pattern": "/items", "blacklist": ["price"] }],
        "extra_config": { "github.com/devopsfaith/krakend-jose/validator": {
          "alg": "ES384", "jwk-url": "https://login.example/jwks.json", "issuer": "https://login.example/",
          "audience": ["shop"], "scopes": ["items:read"], "roles": ["a"], "propagate-claims": [["sub", "x-user"]]
        } }
      }]
    }"#;
    let imported = imported(krakend);
    contains(
        &imported.left(),
        &[
            "extra_config.github_com/devopsfaith/krakend-cors.allow_methods: ",
            "extra_config.github_com/devopsfaith/krakend-cors.allow_credentials: ",
            "extra_config.github_com/devopsfaith/krakend-cors.debug: ",
            "extra_config.github_com/devopsfaith/krakend-gologging: each request is one line of JSON",
            "headers_to_pass: credentials of callers never reach an upstream",
            "headers_to_pass: `x-forwarded-for` never reach an upstream as a caller sent them",
            "headers_to_pass: `*` is not passed on",
            "querystring_params: `*` is not passed on",
            "backend[0].blacklist: answers pass whole",
            "krakend-jose/validator.roles: roles are a condition on claims",
            "krakend-jose/validator.propagate_claims: what the upstream is told of the caller",
        ],
    );
    contains(
        &imported.read("gateway.yaml"),
        &[
            "algorithms: [ES384]",
            "jwks: https://login.example/jwks.json",
            "origins: [\"*\"]",
        ],
    );
    contains(
        &imported.read("apis/shop/api.yaml"),
        &[
            "path: /shop\n",
            "upstream: http://shop.example\n",
            "first_byte: 90s",
            // Any one of one scope is that scope.
            "- { operations: [getItems], scopes: [\"items:read\"] }",
        ],
    );
    let effective = imported.run(&["show", "effective", "shop/v1#getItems", "--env", "production"]);
    contains(&effective, &["x-tenant", "page"]);
}

/// What the gateway itself put into a path, callers would put there now.
#[test]
fn claims_and_answers_in_a_path_are_not_for_callers_to_say() {
    let krakend = r#"{ "version": 3, "endpoints": [
      { "endpoint": "/me", "backend": [{ "host": ["https://users.example"], "url_pattern": "/users/{JWT.sub}" }] },
      { "endpoint": "/next/{a}", "backend": [{ "host": ["https://users.example"], "url_pattern": "/users/{resp0_id}" }] },
      { "endpoint": "/users/{id}", "@comment": "One user, by number.",
        "backend": [{ "host": ["https://users.example"], "url_pattern": "/users/{id}" }] }
    ] }"#;
    let imported = imported(krakend);
    contains(
        &imported.left(),
        &[
            "endpoints[0] (/me): `{JWT.sub}` is no parameter of the endpoint",
            "endpoints[1] (/next/{a}): `{resp0_id}` is no parameter of the endpoint",
        ],
    );
    let document = imported.read("apis/users/v1.yaml");
    contains(
        &document,
        &["\"/users/{id}\":", "description: \"One user, by number.\""],
    );
    assert!(
        !document.contains("JWT") && !document.contains("resp0"),
        "{document}"
    );
}

#[test]
fn paths_that_no_operation_has() {
    let krakend = r#"{ "version": 3, "endpoints": [
      { "endpoint": "/users/", "method": "POST", "backend": [{ "host": ["https://users.example"], "url_pattern": "/api/v1/users/" }] },
      { "endpoint": "/users", "backend": [{ "host": ["https://users.example"], "url_pattern": "/api/v1/users" }] },
      { "endpoint": "/users/{id}", "backend": [{ "host": ["https://users.example"], "url_pattern": "/api/v1/users/{id}" }] },
      { "endpoint": "/users/{key}", "method": "DELETE", "backend": [{ "host": ["https://users.example"], "url_pattern": "/api/v1/users/{key}" }] },
      { "endpoint": "/{a}/{a}", "backend": [{ "host": ["https://users.example"] }] }
    ] }"#;
    let imported = imported(krakend);
    contains(
        &imported.left(),
        &[
            "endpoints[0] (/users/): `/users/` has no `/` at its end here",
            "endpoints[4] (/{a}/{a}): `/{a}/{a}` is no path of an operation",
            "what was called as /... is called as /users/v1/... here",
        ],
    );
    contains(
        &imported.read("apis/users/api.yaml"),
        &["upstream: https://users.example/api/v1\n"],
    );
    let routes = imported.run(&["show", "routes", "--env", "production"]);
    contains(
        &routes,
        &["POST    /users/v1/users ", "DELETE  /users/v1/users/{id} "],
    );
}

/// Both lay below `/api/v1`: one of them stays there.
#[test]
fn two_backends_below_one_prefix() {
    let krakend = r#"{ "version": 3, "endpoints": [
      { "endpoint": "/api/v1/users", "backend": [{ "host": ["https://users.example"], "url_pattern": "/users" }] },
      { "endpoint": "/api/v1/orders", "backend": [{ "host": ["https://orders.example"], "url_pattern": "/orders" }] }
    ] }"#;
    let imported = imported(krakend);
    let routes = imported.run(&["show", "routes", "--env", "production"]);
    contains(&routes, &["/api/v1/orders", "/users/v1/users"]);
    contains(
        &imported.left(),
        &["GET /api/v1/users is called as /users/v1/users here"],
    );
}

#[test]
fn issuers_are_not_merged() {
    let endpoint = |path: &str, audience: &str| {
        format!(
            r#"{{ "endpoint": "{path}", "backend": [{{ "host": ["https://a.example"] }}], "extra_config": {{ "auth/validator": {{
              "alg": "RS256", "issuer": "https://login.example/", "jwk_url": "https://login.example/jwks.json", "audience": ["{audience}"] }} }} }}"#
        )
    };
    let krakend = format!(
        r#"{{ "version": 3, "endpoints": [{}, {}] }}"#,
        endpoint("/a", "a"),
        endpoint("/b", "b")
    );
    let imported = imported(&krakend);
    contains(&imported.read("gateway.yaml"), &["audience: [a]\n"]);
    contains(
        &imported.left(),
        &["endpoints[1] (/b).extra_config.auth/validator: an issuer is written once, for all APIs"],
    );
}

#[test]
fn the_list_says_a_reason_once() {
    let endpoints: Vec<_> = (0..9)
        .map(|number| {
            format!(r#"{{ "endpoint": "/a{number}", "backend": [{{ "host": ["https://a.example"] }}] }}"#)
        })
        .collect();
    let imported = imported(&format!(
        r#"{{ "version": 3, "endpoints": [{}] }}"#,
        endpoints.join(",")
    ));
    assert_eq!(imported.left().matches("as with `no-op`").count(), 9);
    let arguments = ["import", "krakend", "in", "--into", "other", "--owner", "a"];
    let output = finish(command(imported.folder.path(), &arguments));
    assert_eq!(output.code, 0, "{}", output.err);
    contains(
        &output.out,
        &[
            "11 things not carried over as it was:\n",
            "endpoints[0] (/a0).output_encoding, endpoints[1] (/a1).output_encoding, endpoints[2] (/a2).output_encoding and 6 more: answers pass",
        ],
    );
}

#[test]
fn a_backend_that_is_looked_up_has_no_address() {
    let krakend = r#"{ "version": 3, "output_encoding": "no-op", "endpoints": [
      { "endpoint": "/a/v1/b", "backend": [{ "host": ["https://a.example"], "url_pattern": "/b", "sd": "static" }] },
      { "endpoint": "/c/v1/d", "backend": [{ "host": ["https://c.example"], "url_pattern": "/d", "sd": "dns" }] }
    ] }"#;
    let imported = imported(krakend);
    let left = imported.left();
    contains(
        &left,
        &["endpoints[1] (/c/v1/d).backend[0].sd: where its backend is was looked up by `dns`"],
    );
    assert!(!left.contains("begins with http"), "{left}");
    assert!(imported.read("apis/a/api.yaml").contains("https://a.example"));
}
