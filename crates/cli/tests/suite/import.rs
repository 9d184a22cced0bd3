//! `turnpike import`: what other gateways were configured with, as a tree that passes `check`.

use std::fs;
use std::path::{Path, PathBuf};

use serde_json::Value;
use tempfile::TempDir;

use crate::common::{Output, command, finish};

const KONG: &str = r#"
_format_version: "3.0"
services:
  - name: Orders
    url: https://orders.internal.example/api
    read_timeout: 5000
    retries: 5
    tags: [a]
    routes:
      - name: orders
        paths: [/orders/v2]
        methods: [GET, POST]
        strip_path: true
      - name: pattern
        paths: ["~/a|b"]
    plugins:
      - name: acl
        config: { allow: [partners] }
      - name: rate-limiting
        config: { minute: 60, hour: 1000, policy: local }
      - name: request-size-limiting
        config: { allowed_payload_size: 64, size_unit: kilobytes }
      - name: request-transformer
        config: { add: { headers: ["x-a:1"] } }
  - name: items
    url: http://items_service:3000/a
    routes:
      - name: one
        paths: ["~/items/v3/(?<id>\\d+)$"]
        methods: [GET]
        strip_path: false
      - name: all
        paths: [/items/v3]
        methods: [GET]
        strip_path: false
  - name: status
    host: pool
    port: 8080
    routes:
      - paths: [/status]
        methods: [GET]
        hosts: [status.acme.example]
plugins:
  - name: key-auth
  - name: cors
    config: { origins: ["https://app.acme.example", "https://*.acme.example"], max_age: 600 }
consumers:
  - username: Partner One
    keyauth_credentials: [{ key: 0123456789abcdef0123456789abcdef }]
    acls: [{ group: partners }]
    plugins: [{ name: rate-limiting, config: { second: 5 } }]
  - username: other
    keyauth_credentials: [{ key: fedcba9876543210fedcba9876543210 }]
    basicauth_credentials: [{ username: a, password: secret-of-other }]
upstreams:
  - name: pool
    targets: [{ target: "10.0.0.1:80" }]
"#;

const KRAKEND: &str = r#"{
  "version": 3,
  "timeout": "3s",
  "extra_config": {
    "security/cors": { "allow_origins": ["https://app.acme.example"], "max_age": "1h" },
    "telemetry/opencensus": { "a": 1 }
  },
  "endpoints": [
    {
      "endpoint": "/shop/v1/items/{id}", "method": "GET", "output_encoding": "no-op",
      "input_headers": ["X-Tenant", "Authorization"], "input_query_strings": ["fields"],
      "backend": [{ "url_pattern": "/items/{id}", "host": ["https://shop.internal.example"], "encoding": "no-op" }],
      "extra_config": { "auth/validator": {
        "alg": "RS256", "jwk_url": "https://login.acme.example/jwks.json", "issuer": "https://login.acme.example/",
        "audience": ["shop"], "scopes": ["items:read"], "scopes_matcher": "all", "roles": ["a"] } }
    },
    { "endpoint": "/shop/v1/items", "method": "POST", "output_encoding": "no-op",
      "backend": [{ "url_pattern": "/items", "host": ["https://shop.internal.example"] }] },
    { "endpoint": "/both", "backend": [{ "host": ["https://a.example"] }, { "host": ["https://b.example"] }] },
    { "endpoint": "/old", "output_encoding": "json", "backend": [{ "url_pattern": "/a/{b.c}?d", "host": ["https://c.example"] }] }
  ]
}"#;

const OPENAPI: &str = "\
# The authors' own comment stays.
openapi: 3.1.1
info: { title: Order book, version: 2.1.0 }
servers: [{ url: https://orders.internal.example/v2 }, { url: https://staging.internal.example/v2 }]
components: { securitySchemes: { main: { type: http, scheme: bearer } } }
security: [{ main: [] }]
paths:
  /orders:
    get:
      operationId: listOrders
      description: Every order.
      responses: { '200': { description: Orders. } }
";

pub(crate) struct Imported {
    pub(crate) folder: TempDir,
    pub(crate) output: Output,
}

impl Imported {
    pub(crate) fn of(kind: &str, text: &str) -> Self {
        let folder = tempfile::tempdir().unwrap();
        fs::write(folder.path().join("in"), text).unwrap();
        let arguments = [
            "import", kind, "in", "--into", "tree", "--owner", "team: a", "--format", "json",
        ];
        let output = finish(command(folder.path(), &arguments));
        Self { folder, output }
    }

    pub(crate) fn left(&self) -> String {
        let json: Value = serde_json::from_str(&self.output.out).unwrap();
        let left = json["left"].as_array().unwrap().iter();
        left.map(|one| {
            format!(
                "{}: {}",
                one["place"].as_str().unwrap(),
                one["why"].as_str().unwrap()
            )
        })
        .collect::<Vec<_>>()
        .join("\n")
    }

    pub(crate) fn read(&self, name: &str) -> String {
        fs::read_to_string(self.folder.path().join("tree").join(name)).unwrap()
    }

    pub(crate) fn run(&self, arguments: &[&str]) -> String {
        let arguments = [arguments, &["--policies", "tree"]].concat();
        let Output { code, out, err } = finish(command(self.folder.path(), &arguments));
        assert_eq!(code, 0, "{out}{err}");
        out
    }
}

#[test]
fn kong() {
    let imported = Imported::of("kong", KONG);
    assert_eq!(
        imported.output.code, 0,
        "{}{}",
        imported.output.out, imported.output.err
    );
    let left = imported.left();
    for part in [
        "services[0] (Orders).retries: ",
        "routes[0] (orders).paths: everything below `/orders/v2`",
        "routes[1] (pattern).paths: `~/a|b` is a pattern",
        "plugins[3] (request-transformer): requests go on as they came",
        "services[2] (status).routes[0].hosts: ",
        "GET /status is called as /status/v1 here",
        "plugins[1] (cors).config.origins: `https://*.acme.example` is no origin: each is written exactly",
        "consumers[1] (other).basicauth_credentials: ",
        "upstreams[0] (pool): an upstream is one address",
        "`items_service` is no host on the Internet: https://items-service.invalid/a stands for it",
        "plans/imported.yaml: consumers had no limit",
    ] {
        assert!(left.contains(part), "{part}\n{left}");
    }
    assert!(
        !left.contains("secret-of-other") && !left.contains("0123456789abcdef"),
        "{left}"
    );

    let api = imported.read("apis/orders/api.yaml");
    for part in [
        "owner: \"team: a\"\npath: /orders\nversions:\n  v2:\n",
        "upstream: https://orders.internal.example/api\n",
        "timeouts: { first_byte: 5s }",
        "  - { quota: 60/min }\n  - { quota: 1000/h }\n",
        "max_body: 64KiB\n",
    ] {
        assert!(api.contains(part), "{part}\n{api}");
    }
    let gateway = imported.read("gateway.yaml");
    assert!(
        gateway.contains("for: apis/status\n") && gateway.contains("origins: [https://app.acme.example]"),
        "{gateway}"
    );
    let partner = imported.read("consumers/partner-one.yaml");
    assert!(
        partner.contains("plan: partner-one\n") && partner.contains("- key: { sha256: "),
        "{partner}"
    );
    assert!(
        partner.contains("- { api: items, operations: all }\n  - { api: orders, operations: all }\n  - { api: status, operations: all }\n"),
        "{partner}"
    );
    // Whoever is in no group does not gain by the change.
    let other = imported.read("consumers/other.yaml");
    assert!(
        !other.contains("api: orders") && other.contains("api: status"),
        "{other}"
    );

    imported.run(&["check"]);
    assert_eq!(imported.run(&["fmt", "--check"]), "");
    let routes = imported.run(&["show", "routes", "--env", "production"]);
    for part in [
        "GET     /orders/v2 ",
        "/items/v3/{id} ",
        "https://items-service.invalid/a/items/v3",
        "/status/v1 ",
    ] {
        assert!(routes.contains(part), "{part}\n{routes}");
    }
}

#[test]
fn krakend() {
    let imported = Imported::of("krakend", KRAKEND);
    assert_eq!(
        imported.output.code, 0,
        "{}{}",
        imported.output.out, imported.output.err
    );
    let left = imported.left();
    for part in [
        "extra_config.telemetry/opencensus: the trace context of W3C is passed on",
        "endpoints[0] (/shop/v1/items/{id}).extra_config.auth/validator.roles: ",
        "endpoints[0] (/shop/v1/items/{id}).input_headers: credentials of callers",
        "endpoints[2] (/both): it has several backends",
        "endpoints[3] (/old): `/a/{b.c}?d` is no path",
        "who may call: ",
    ] {
        assert!(left.contains(part), "{part}\n{left}");
    }
    assert!(!left.contains("is called as"), "{left}");
    imported.run(&["check"]);
    let routes = imported.run(&["show", "routes", "--env", "production"]);
    assert!(
        routes.contains("GET     /shop/v1/items/{id}") && routes.contains("items:read"),
        "{routes}"
    );
    let all = imported.run(&["show", "effective", "shop/v1#getItemsById", "--env", "production"]);
    assert!(
        all.contains("x-tenant") && all.contains("fields") && all.contains("3s"),
        "{all}"
    );
    let gateway = imported.read("gateway.yaml");
    assert!(
        gateway.contains("max_age: 1h") && gateway.contains("login-acme-example:"),
        "{gateway}"
    );
}

#[test]
fn openapi() {
    let imported = Imported::of("openapi", OPENAPI);
    assert_eq!(
        imported.output.code, 0,
        "{}{}",
        imported.output.out, imported.output.err
    );
    assert_eq!(imported.read("apis/order-book/v2.yaml"), OPENAPI);
    let left = imported.left();
    assert!(
        left.contains("servers[1]: ") && left.contains("securitySchemes.main: "),
        "{left}"
    );
    imported.run(&["check"]);
    let routes = imported.run(&["show", "routes", "--env", "production"]);
    assert!(routes.contains("/order-book/v2/orders"), "{routes}");
}

#[test]
fn servers_of_an_openapi_document_have_the_defaults_of_their_variables() {
    let of = |servers: &str| {
        let document = OPENAPI.replace(
            OPENAPI
                .lines()
                .find(|line| line.starts_with("servers"))
                .expect("servers"),
            &format!("servers: {servers}"),
        );
        Imported::of("openapi", &document)
    };
    let variables = "variables: { region: { default: eu, enum: [eu, us] }, base: { default: 'v2' } }";
    let imported = of(&format!(
        "[{{ url: 'https://{{gone}}.example' }}, {{ url: 'https://{{region}}.orders.example/{{base}}', {variables} }}]"
    ));
    assert_eq!(imported.output.code, 0, "{}", imported.output.err);
    let api = imported.read("apis/order-book/api.yaml");
    assert!(api.contains("upstream: https://eu.orders.example/v2\n"), "{api}");
    let left = imported.left();
    for part in [
        "servers[0]: `https://{gone}.example` is not called",
        "servers[1].variables.region: the upstream is that of its default, `eu`",
    ] {
        assert!(left.contains(part), "{part}\n{left}");
    }
    imported.run(&["check"]);
    // What is no address with them is none.
    for server in [
        "{ url: 'https://{region}.example' }",
        "{ url: 'https://{region}.example', variables: { region: { enum: [eu] } } }",
        "{ url: 'https://{region', variables: { region: { default: eu } } }",
        "{ url: '{base}', variables: { base: { default: /v1 } } }",
        "{ url: 'https://a.example/{base}', variables: { base: { default: 'v1?a=b' } } }",
    ] {
        let imported = of(&format!("[{server}]"));
        assert_eq!(imported.output.code, 2, "{server}");
        assert!(
            imported.output.err.contains("it names no server"),
            "{}",
            imported.output.err
        );
    }
}

#[test]
fn each_plugin_of_kong_that_is_left_has_its_own_reason() {
    let plugins = [
        "ip-restriction",
        "http-log",
        "pre-function",
        "ai-proxy",
        "of-our-own",
    ];
    let listed = plugins.map(|name| format!("    - name: {name}\n"));
    let kong = format!(
        "_format_version: '3.0'\nservices:\n- name: orders\n  url: https://orders.example\n  plugins:\n{}  routes:\n  - {{ name: a, paths: [/a/v1], methods: [GET] }}\n",
        listed.concat()
    );
    let imported = Imported::of("kong", &kong);
    assert_eq!(imported.output.code, 0, "{}", imported.output.err);
    let left = imported.left();
    for (place, part) in [
        "firewall rules",
        "one line of JSON",
        "policies carry no code",
        "`turnpike new model`",
        "not one of Kong's that is known",
    ]
    .iter()
    .enumerate()
    {
        let line = format!("plugins[{place}] ({}): ", plugins[place]);
        let said = left
            .lines()
            .find(|said| said.contains(&line))
            .unwrap_or_else(|| panic!("{line}\n{left}"));
        assert!(said.contains(part), "{said}");
    }
}

#[test]
fn what_cannot_be_imported() {
    for (kind, text, code, said) in [
        ("kong", "a: [", 2, "it is no YAML or JSON"),
        ("kong", "a: 1", 2, "it is no configuration of Kong"),
        (
            "krakend",
            "{ \"version\": 3, \"port\": {{ .service.port }}, \"endpoints\": [ {{ template \"a\" . }} ] }",
            2,
            "have the template rendered first",
        ),
        (
            "kong",
            "services: []",
            2,
            "there is nothing in it that can become an API",
        ),
        (
            "krakend",
            "{\"version\": 1, \"endpoints\": []}",
            2,
            "its `version` is neither 2 nor 3",
        ),
        ("krakend", "[]", 2, "it is no configuration of KrakenD"),
        ("openapi", "swagger: '2.0'", 2, "it is no OpenAPI document"),
        ("openapi", "openapi: 3.1.1", 2, "it names no server"),
        (
            "openapi",
            "openapi: 3.1.1\ninfo: { title: A, version: '1' }\nservers: [{ url: https://a.example }]\npaths: { /a: { git: {} } }\n",
            1,
            "nothing was changed",
        ),
    ] {
        let imported = Imported::of(kind, text);
        assert_eq!(imported.output.code, code, "{text}: {}", imported.output.err);
        assert!(
            imported.output.err.contains(said),
            "{text}: {}",
            imported.output.err
        );
        assert!(!imported.folder.path().join("tree").exists(), "{text}");
    }
    let twice = Imported::of("openapi", OPENAPI);
    let arguments = ["import", "openapi", "in", "--into", "tree", "--owner", "a"];
    let output = finish(command(twice.folder.path(), &arguments));
    assert_eq!(output.code, 2);
    assert!(output.err.contains("import into a new folder"), "{}", output.err);
}

/// Values of the wrong kind, in each place of each file: read or refused, never a panic, and what is
/// written always passes `check` (or is told, and taken away).
#[test]
fn hostile_files() {
    let mut cases = Vec::new();
    for (kind, text) in [("kong", KONG), ("krakend", KRAKEND), ("openapi", OPENAPI)] {
        let whole: Value = serde_saphyr::from_str(text).unwrap();
        let mut places = Vec::new();
        pointers(&whole, String::new(), &mut places);
        let wrong = [
            Value::Null,
            Value::from(u64::MAX),
            Value::from("${a}\u{1b}[31m: |\n- #\u{7f}é../%2e"),
            Value::from(vec![Value::from(1)]),
            serde_json::json!({ "": {} }),
        ];
        for (number, place) in places.iter().enumerate() {
            let mut damaged = whole.clone();
            *damaged.pointer_mut(place).unwrap() = wrong[number % wrong.len()].clone();
            cases.push((kind, damaged.to_string()));
        }
        // Cut anywhere.
        let ends = (0..text.len())
            .step_by(37)
            .filter(|end| text.is_char_boundary(*end));
        cases.extend(ends.map(|end| (kind, text[..end].to_owned())));
    }
    for (kind, text) in cases {
        let imported = Imported::of(kind, &text);
        let Output { code, out, err } = &imported.output;
        assert!((0..=2).contains(code), "{code} {text}\n{err}");
        assert!(!err.contains("panicked"), "{text}\n{err}");
        assert!(
            !out.contains('\u{1b}') && !err.contains('\u{1b}'),
            "{text}\n{out}{err}"
        );
        if *code == 0 {
            imported.run(&["check"]);
        } else {
            assert_eq!(
                files(&imported.folder.path().join("tree")),
                Vec::<PathBuf>::new(),
                "{text}"
            );
        }
    }
}

fn pointers(value: &Value, here: String, all: &mut Vec<String>) {
    match value {
        Value::Array(list) => {
            for (index, item) in list.iter().enumerate() {
                pointers(item, format!("{here}/{index}"), all);
            }
        }
        Value::Object(map) => {
            for (name, item) in map {
                let name = name.replace('~', "~0").replace('/', "~1");
                pointers(item, format!("{here}/{name}"), all);
            }
        }
        _ => {}
    }
    all.push(here);
}

fn files(folder: &Path) -> Vec<PathBuf> {
    let entries = fs::read_dir(folder).into_iter().flatten();
    entries.map(|entry| entry.unwrap().path()).collect()
}

/// Callers compare the two.
#[test]
fn an_api_has_the_version_of_its_document() {
    let document = |server: &str, version: &str| {
        format!(
            "openapi: 3.1.1\ninfo: {{ title: A, version: {version} }}\nservers: [{{ url: 'https://a.example{server}' }}]\npaths: {{ /a: {{ get: {{ operationId: getA, responses: {{ '200': {{ description: A. }} }} }} }} }}\n"
        )
    };
    for (server, number, version) in [
        ("", "2.4.0", "v2"),
        ("/v3", "3.1.0", "v3"),
        // As callers of the server know it.
        ("/v1", "2.4.0", "v1"),
        ("", "v4.0.0-rc1", "v4"),
        ("", "2", "v2"),
        ("", "0.9.1", "v0"),
        // A day, and words.
        ("", "2026-11-22", "v1"),
        ("", "latest", "v1"),
    ] {
        let imported = Imported::of("openapi", &document(server, number));
        assert_eq!(imported.output.code, 0, "{number} {}", imported.output.err);
        assert!(
            imported
                .read("apis/a/api.yaml")
                .contains(&format!("  {version}:\n    openapi: {version}.yaml\n")),
            "{number}"
        );
        let out = imported.run(&["check"]);
        assert_eq!(out.contains("P1319"), server == "/v1", "{number}\n{out}");
    }
}
