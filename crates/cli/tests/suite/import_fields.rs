//! `turnpike import`: no field of what is read is dropped in silence.
//!
//! Each field of a rich file is taken out, and changed: one of both must be seen in the tree or in the list, unless the
//! field says nothing about what is done, or stands in something that is listed as a whole.

use std::fs;
use std::path::Path;

use serde_json::Value;

use crate::import::Imported;

const KONG: &str = r#"
_format_version: "3.0"
_plugin_configs: { shared: { minute: 60 } }
services:
  - name: orders
    url: https://orders.example/api
    protocol: wss
    read_timeout: 5000
    connect_timeout: 1000
    write_timeout: 2000
    retries: 5
    client_certificate: 7e050f1d-a375-406a-ade4-17eb661d9f53
    tls_verify: true
    routes:
      - name: orders
        paths: [/orders/v2]
        methods: [GET, POST]
        hosts: [orders.example]
        preserve_host: true
        path_handling: v1
        regex_priority: 7
        strip_path: false
        protocols: [https]
      - name: other
        paths: ["~/orders/v2/(?<id>\\d+)$"]
        methods: [GET]
        strip_path: false
        plugins:
          - name: rate-limiting
            config: { minute: 1 }
          - name: request-size-limiting
            config: { allowed_payload_size: 64, size_unit: kilobytes }
    plugins:
      - name: acl
        config: { allow: [partners], include_consumer_groups: true, always_use_authenticated_groups: true }
      - name: rate-limiting
        _config: shared
        ordering: { before: { access: [acl] } }
        config: { second: 3, hour: 1000, day: 2000, month: 3000, year: 4000, limit_by: ip, fault_tolerant: true,
                  hide_client_headers: true, error_code: 430, error_message: Slow down, header_name: x-a, path: /a }
      - name: request-size-limiting
        config: { allowed_payload_size: 1, size_unit: megabytes, require_content_length: true }
      - name: key-auth
        config: { key_names: [x-acme-key], key_in_body: true, key_in_query: true, hide_credentials: true,
                  anonymous: nobody, realm: acme, run_on_preflight: false, identity_realms: [{ scope: cp }] }
  - host: pool
    name: pooled
    protocol: https
    port: 8443
    path: /a
    enabled: true
    tls_verify: false
    routes: [{ paths: [/pooled/v1], methods: [GET] }]
    plugins: [{ name: acl, config: { deny: [banned] } }]
plugins:
  - name: cors
    config: { origins: ["https://app.example"], headers: [x-a], exposed_headers: [x-b], max_age: 600, methods: [GET],
              credentials: true, preflight_continue: true, private_network: true }
consumers:
  - username: partner
    custom_id: number-7
    keyauth_credentials: [{ key: 0123456789abcdef0123456789abcdef, ttl: 60 }]
    acls: [{ group: partners }]
    plugins: [{ name: rate-limiting, config: { second: 5 } }]
  - custom_id: other
    groups: [{ name: partners }]
  - username: third
    acls: [{ group: banned }]
upstreams:
  - name: pool
    targets: [{ target: "pool.example:443" }]
"#;

const KRAKEND: &str = r#"{
  "version": 3, "timeout": "3s", "cache_ttl": "5m", "output_encoding": "string", "read_timeout": "5s",
  "host": ["https://all.example"],
  "extra_config": {
    "security/cors": { "allow_origins": ["https://app.example"], "max_age": "1h", "allow_methods": ["GET"],
      "allow_headers": ["x-a"], "expose_headers": ["x-b"], "allow_credentials": true, "debug": true,
      "allow_private_network": true, "options_passthrough": true }
  },
  "endpoints": [
    {
      "endpoint": "/shop/v1/items/{id}", "method": "PUT", "output_encoding": "no-op", "timeout": "2s",
      "cache_ttl": "1m", "concurrent_calls": 3, "input_type": "rest", "@comment": "One item.",
      "input_headers": ["X-Tenant", "Authorization", "X-Forwarded-For"], "input_query_strings": ["fields"],
      "backend": [{ "url_pattern": "/items/{id}", "host": ["https://shop.example", "https://spare.example"],
        "method": "PUT", "encoding": "xml", "allow": ["a"], "deny": ["b"], "mapping": { "a": "b" }, "group": "g",
        "target": "data", "is_collection": true, "timeout": "1s",
        "extra_config": { "qos/http-cache": { "shared": true } } }],
      "extra_config": { "auth/validator": {
        "alg": "ES256", "jwk_url": "https://login.example/jwks.json", "issuer": "https://login.example/",
        "audience": ["shop"], "scopes": ["items:read", "items:write"], "scopes_matcher": "all", "scopes_key": "scp",
        "roles": ["a"], "roles_key": "roles", "propagate_claims": [["sub", "x-user"]], "cookie_key": "token",
        "operation_debug": true } }
    },
    { "endpoint": "/all", "backend": [{ "url_pattern": "/all" }] }
  ]
}"#;

/// Fields that say nothing about what is done, by the end of their place.
const IDLE: [&str; 8] = [
    "_format_version",
    "routes[1] (other).name",
    // Preflights are answered without a credential in any case.
    "config.run_on_preflight",
    "config.realm",
    // A target of the pool has a port of its own.
    "services[1] (pooled).port",
    // What is left of it is listed by the first of its three.
    "auth/validator.roles_key",
    // It is told of each endpoint that says nothing else.
    "output_encoding",
    // Both read of `scope` and of `scp`.
    "auth/validator.scopes_key",
];

#[test]
fn of_kong() {
    every_field("kong", KONG);
}

#[test]
fn of_krakend() {
    every_field("krakend", KRAKEND);
}

fn every_field(kind: &str, text: &str) {
    let whole: Value = serde_saphyr::from_str(text).unwrap();
    let (said, listed) = outcome(kind, &whole);
    let mut fields = Vec::new();
    walk(&whole, "", "", &mut fields);
    assert!(fields.len() > 50, "{}", fields.len());
    let mut silent = Vec::new();
    for (pointer, place) in fields {
        if IDLE.iter().any(|idle| place.ends_with(idle)) || whole_is_listed(&place, &listed) {
            continue;
        }
        let mut changed = whole.clone();
        let value = changed.pointer_mut(&pointer).unwrap();
        *value = match &value {
            Value::Bool(on) => Value::from(!*on),
            Value::Number(_) => Value::from(7_777),
            other => Value::from(format!("changed-{}", other.as_str().unwrap())),
        };
        let mut without = whole.clone();
        let (parent, end) = pointer.rsplit_once('/').unwrap();
        let parent = without.pointer_mut(parent).unwrap();
        if let Some(list) = parent.as_array_mut() {
            list.remove(end.parse().unwrap());
        } else {
            let name = end.replace("~1", "/").replace("~0", "~");
            parent.as_object_mut().unwrap().remove(&name).unwrap();
        }
        if outcome(kind, &without).0 == said && outcome(kind, &changed).0 == said {
            silent.push(place);
        }
    }
    assert_eq!(silent, Vec::<String>::new(), "{said}");
}

/// Whether it stands in something of one field or plugin that is listed: not in a service, a route and so on, of which
/// something else may be said.
fn whole_is_listed(place: &str, listed: &[String]) -> bool {
    const PARTS: [&str; 5] = ["services[", "routes[", "consumers[", "endpoints[", "backend"];
    listed.iter().any(|whole| {
        let last = whole.rsplit('.').next().unwrap();
        let part = PARTS.iter().any(|part| last.starts_with(part));
        let below = place.strip_prefix(whole.as_str());
        !part && below.is_some_and(|below| below.starts_with(['.', '[']))
    })
}

/// What was written and listed, or why not; and the places that are listed.
fn outcome(kind: &str, json: &Value) -> (String, Vec<String>) {
    let imported = Imported::of(kind, &json.to_string());
    let out = &imported.output.out;
    let told: Value = serde_json::from_str(out).unwrap_or_default();
    let left = told["left"].as_array().into_iter().flatten();
    let listed = left
        .map(|one| one["place"].as_str().unwrap().to_owned())
        .collect();
    let mut said = format!("{out}{}", imported.output.err);
    read(&imported.folder.path().join("tree"), &mut said);
    (said, listed)
}

fn read(folder: &Path, said: &mut String) {
    let mut entries: Vec<_> = fs::read_dir(folder)
        .into_iter()
        .flatten()
        .map(|entry| entry.unwrap().path())
        .collect();
    entries.sort();
    for path in entries {
        if path.is_dir() {
            read(&path, said);
        } else {
            said.push_str(&fs::read_to_string(path).unwrap());
        }
    }
}

/// Each value that is neither a map nor a list, by its pointer and by its place.
fn walk(value: &Value, pointer: &str, place: &str, fields: &mut Vec<(String, String)>) {
    match value {
        Value::Object(map) => {
            for (name, item) in map {
                let dot = if place.is_empty() { "" } else { "." };
                let escaped = name.replace('~', "~0").replace('/', "~1");
                walk(
                    item,
                    &format!("{pointer}/{escaped}"),
                    &format!("{place}{dot}{name}"),
                    fields,
                );
            }
        }
        Value::Array(list) => {
            for (index, item) in list.iter().enumerate() {
                let named = ["name", "username", "endpoint"]
                    .iter()
                    .find_map(|name| item.get(name)?.as_str());
                let named = named.map_or_else(String::new, |name| format!(" ({name})"));
                walk(
                    item,
                    &format!("{pointer}/{index}"),
                    &format!("{place}[{index}]{named}"),
                    fields,
                );
            }
        }
        _ => fields.push((pointer.to_owned(), place.to_owned())),
    }
}

/// Methods that are the gateway's own are none of an API's operations.
#[test]
fn methods_that_are_not_published_are_listed() {
    let answers = "responses: { '200': { description: A. } }";
    let operation = |id: &str| format!("{{ operationId: {id}, {answers} }}");
    let openapi = format!(
        "openapi: 3.1.1\ninfo: {{ title: A, version: 1.0.0 }}\nservers: [{{ url: https://a.example }}]\npaths:\n  /a: {{ get: {}, head: {}, options: {} }}\n  /b: {{ post: {}, head: {} }}\n  /c: {{ $ref: '#/components/pathItems/c' }}\ncomponents: {{ pathItems: {{ c: {{ put: {}, trace: {} }} }} }}\n",
        operation("getA"),
        operation("headA"),
        operation("optionsA"),
        operation("postB"),
        operation("headB"),
        operation("putC"),
        operation("traceC"),
    );
    let imported = Imported::of("openapi", &openapi);
    assert_eq!(imported.output.code, 0, "{}", imported.output.err);
    let left = imported.left();
    for part in [
        "paths./a.head: `HEAD` is answered as the GET of its path",
        "paths./a.options: `OPTIONS` is answered by the gateway itself",
        "paths./b.head: `HEAD` is answered where there is a GET: its path has none",
        "paths./c.trace: `TRACE` is not published",
    ] {
        assert!(left.contains(part), "{part}\n{left}");
    }
    let kong = "services:\n- name: a\n  url: https://a.example\n  plugins: [{ name: key-auth }]\n  routes:\n  - { name: one, paths: [/a/v1], methods: [GET, HEAD, OPTIONS] }\n  - { name: two, paths: [/a/v1/b], methods: [POST, head] }\n";
    let left = Imported::of("kong", kong).left();
    assert!(
        !left.contains("routes[0] (one).methods")
            && left.contains(
                "routes[1] (two).methods: `HEAD` is answered where there is a GET: this route has none"
            ),
        "{left}"
    );
    let krakend = "{ \"version\": 3, \"endpoints\": [
        { \"endpoint\": \"/a\", \"method\": \"HEAD\", \"backend\": [{ \"host\": [\"https://a.example\"] }] },
        { \"endpoint\": \"/b\", \"backend\": [{ \"host\": [\"https://a.example\"] }] }] }";
    let left = Imported::of("krakend", krakend).left();
    assert!(
        left.contains("endpoints[0] (/a): `HEAD` is not published"),
        "{left}"
    );
}
