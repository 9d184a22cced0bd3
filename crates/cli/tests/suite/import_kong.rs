//! `turnpike import kong`: what decK writes in more than one way, and what must not be made wider by it.

use crate::import::Imported;

fn imported(kong: &str) -> Imported {
    let imported = Imported::of("kong", kong);
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

/// Below its owner, or in a list of its own where it names its owner: it is the same.
#[test]
fn entities_may_name_their_owners() {
    let kong = "
_format_version: '3.0'
services:
  - { name: orders, url: https://orders.example }
  - { name: items, url: https://items.example }
routes:
  - { name: all-orders, service: orders, paths: [/orders/v1], methods: [GET] }
  - { name: all-items, service: { name: items }, paths: [/items/v1], methods: [GET] }
  - { name: lost, service: gone, paths: [/lost] }
  - { name: alone, paths: [/alone] }
plugins:
  - { name: rate-limiting, service: orders, config: { minute: 7 } }
  - { name: acl, route: all-items, config: { allow: [staff] } }
  - { name: rate-limiting, consumer: anna, config: { second: 3 } }
  - { name: rate-limiting, service: orders, consumer: anna, config: { second: 1 } }
  - { name: request-size-limiting, service: nobody, config: { allowed_payload_size: 1 } }
  - { name: key-auth, enabled: false }
  - { name: key-auth }
consumers:
  - { username: anna, id: 11111111-1111-1111-1111-111111111111 }
  - { username: bert }
acls:
  - { consumer: anna, group: staff }
keyauth_credentials:
  - { consumer: { id: 11111111-1111-1111-1111-111111111111 }, key: a-key-that-is-long-enough }
basicauth_credentials:
  - { consumer: bert, username: bert, password: secret-of-bert }
";
    let imported = imported(kong);
    let left = imported.left();
    contains(
        &left,
        &[
            "routes[2] (lost): the file has no such service",
            "routes[3] (alone): it leads to no service",
            "plugins[3] (rate-limiting): it holds where several things come together",
            "plugins[4] (request-size-limiting): the file has no such service",
            "plugins[5] (key-auth): it is disabled",
            "basicauth_credentials: callers are known by tokens",
        ],
    );
    assert!(!left.contains("secret-of-bert"), "{left}");
    // What holds for one service holds for no other.
    assert!(
        imported
            .read("apis/orders/api.yaml")
            .contains("limits:\n  - { quota: 7/min }\n")
    );
    assert!(!imported.read("apis/items/api.yaml").contains("limits"));
    let anna = imported.read("consumers/anna.yaml");
    contains(
        &anna,
        &[
            "plan: anna\n",
            "- key: { sha256: ",
            "- { api: items, operations: all }\n  - { api: orders, operations: all }\n",
        ],
    );
    contains(&imported.read("plans/anna.yaml"), &["rate: 3/s"]);
    // Its password opened nothing that asks for keys.
    let bert = imported.read("consumers/bert.yaml");
    assert!(!bert.contains("may:"), "{bert}");
    contains(
        &left,
        &["consumers[1] (bert): its keys, or what else it had to show, did not open all of orders"],
    );
}

/// What was asked for by other means than keys is not opened by keys.
#[test]
fn grants_follow_what_callers_had_to_show() {
    let service = |name: &str, plugins: &str| {
        format!(
            "  - name: {name}
    url: https://{name}.example
    routes: [{{ name: {name}, paths: [/{name}/v1], methods: [GET] }}]
    plugins: [{plugins}]
"
        )
    };
    let kong = [
        "services:\n".to_owned(),
        service("by-key", "{ name: key-auth }"),
        service("by-token", "{ name: jwt }, { name: ip-restriction, config: { allow: [10.0.0.0/8] } }"),
        service("by-token-alone", "{ name: jwt }"),
        service("by-both", "{ name: key-auth }, { name: jwt }"),
        service("by-either", "{ name: key-auth, config: { anonymous: nobody } }, { name: jwt, config: { anonymous: nobody } }"),
        service("by-key-from-there", "{ name: key-auth }, { name: ip-restriction, config: { allow: [10.0.0.0/8] } }"),
        service("to-all", ""),
        "consumers:
  - { username: bob, keyauth_credentials: [{ key: supersecretkey123 }] }
  - { username: eve, jwt_secrets: [{ key: eve, secret: s }] }
  - { username: ann, keyauth_credentials: [{ key: supersecretkey456 }], jwt_secrets: [{ key: ann, secret: s }] }
  - { username: nix }
  - username: here
    keyauth_credentials: [{ key: supersecretkey789 }]
    plugins: [{ name: ip-restriction, config: { allow: [10.0.0.0/8] } }]
"
        .to_owned(),
    ]
    .concat();
    let imported = imported(&kong);
    let may = |name: &str| {
        let text = imported.read(&format!("consumers/{name}.yaml"));
        let may = text.split_once("may:\n").map_or("", |(_, may)| may);
        may.lines()
            .map(|line| {
                line.trim()
                    .trim_start_matches("- { api: ")
                    .trim_end_matches(", operations: all }")
                    .to_owned()
            })
            .collect::<Vec<_>>()
    };
    assert_eq!(may("bob"), ["by-either", "by-key", "to-all"]);
    assert_eq!(may("eve"), ["by-either", "by-token-alone", "to-all"]);
    // Its keys opened no more, though its tokens did.
    assert_eq!(may("ann"), ["by-either", "by-key", "to-all"]);
    assert_eq!(may("nix"), ["to-all"]);
    assert_eq!(may("here"), [""; 0]);
    contains(
        &imported.left(),
        &[
            "consumers[0] (bob): its keys, or what else it had to show, did not open all of by-both, by-key-from-there, by-token, by-token-alone: ",
        ],
    );
    // `all` is what all services took, and no other is left out.
    let all = [
        "services:\n".to_owned(),
        service("by-key", "{ name: key-auth }"),
        "consumers: [{ username: bob, keyauth_credentials: [{ key: supersecretkey123 }] }]\n".to_owned(),
    ]
    .concat();
    let imported = self::imported(&all);
    contains(
        &imported.read("consumers/bob.yaml"),
        &["may:\n  - { apis: all }\n"],
    );
}

#[test]
fn grants_follow_the_acl_of_each_route() {
    let kong = "
services:
  - name: store
    url: https://store.example
    plugins: [{ name: acl, config: { allow: [readers, all], hide_groups_header: true } }]
    routes:
      - { name: read, paths: [~/items$], methods: [GET], strip_path: false }
      - name: write
        paths: [~/items$]
        methods: [POST]
        strip_path: false
        plugins:
          - { name: acl, config: { allow: [writers], deny: [banned], hide_groups_header: true } }
          - { name: request-size-limiting, config: { allowed_payload_size: 16, size_unit: kilobytes } }
  - name: open
    url: https://open.example
    routes: [{ name: open, paths: [/open/v1], methods: [GET] }]
plugins: [{ name: acl, config: { deny: [banned], hide_groups_header: true } }, { name: key-auth }]
consumers:
  - { username: reader, keyauth_credentials: [{ key: a-key-of-reader-and-no-other }], acls: [{ group: readers }] }
  - { username: writer, keyauth_credentials: [{ key: a-key-of-writer-and-no-other }], acls: [{ group: writers }] }
  - { username: both, keyauth_credentials: [{ key: a-key-of-both-and-no-other }], acls: [{ group: writers }, { group: readers }] }
  - { username: banned, keyauth_credentials: [{ key: a-key-of-banned-and-no-other }], acls: [{ group: banned }, { group: writers }] }
  # Groups of consumers are no groups of an acl, unless that says so.
  - { username: other, keyauth_credentials: [{ key: a-key-of-other-and-no-other }], groups: [{ name: writers }] }
  - { username: shut, keyauth_credentials: [{ key: a-key-of-shut-and-no-other }], acls: [{ group: writers }], plugins: [{ name: request-termination }] }
";
    let imported = imported(kong);
    let may = |name: &str| {
        let text = imported.read(&format!("consumers/{name}.yaml"));
        text.split_once("may:\n")
            .map_or_else(String::new, |(_, may)| may.to_owned())
    };
    let open = "  - { api: open, operations: all }\n";
    assert_eq!(
        may("reader"),
        format!("{open}  - {{ api: store, operations: [getItems] }}\n")
    );
    assert_eq!(
        may("writer"),
        format!("{open}  - {{ api: store, operations: [postItems] }}\n")
    );
    assert_eq!(
        may("both"),
        format!("{open}  - {{ api: store, operations: all }}\n")
    );
    assert_eq!(may("banned"), "");
    assert_eq!(may("other"), open);
    assert_eq!(may("shut"), "");
    contains(
        &imported.read("apis/store/api.yaml"),
        &["operations:\n  - { for: [postItems], max_body: 16KiB }\n"],
    );
    contains(
        &imported.left(),
        &["consumers[5] (shut).plugins[0] (request-termination): the gateway answered this consumer itself"],
    );
}

/// What was closed to everybody opens nothing.
#[test]
fn a_gateway_that_answered_every_call_itself() {
    let kong = "
_format_version: '3.0'
plugins: [{ name: key-auth }, { name: request-termination, config: { status_code: 503 } }]
services: [{ name: orders, url: 'https://orders.example', routes: [{ paths: [/orders], methods: [GET] }] }]
consumers: [{ username: partner, keyauth_credentials: [{ key: a-key-of-partner-and-no-other }] }]
";
    let imported = Imported::of("kong", kong);
    assert_eq!(imported.output.code, 2, "{}", imported.output.out);
    contains(
        &imported.output.err,
        &[
            "plugins[1] (request-termination): the gateway answered every call itself: no service is published",
            "there is nothing in it that can become an API",
        ],
    );
    assert!(!imported.folder.path().join("tree").exists());
}

/// Before version 3 of the format patterns have no mark.
#[test]
fn patterns_of_before() {
    let kong = |version: &str| {
        format!(
            "_format_version: '{version}'\nservices: [{{ name: pets, url: 'https://pets.example', routes: [\
             {{ paths: [/pets$], methods: [GET], strip_path: false }}, \
             {{ paths: ['/pets/(?<id>[^/]+)$'], methods: [GET], strip_path: false }}, \
             {{ paths: [/plain], methods: [GET], strip_path: false }}] }}]\n"
        )
    };
    for version in ["1.1", "2.1"] {
        let imported = imported(&kong(version));
        let document = imported.read("apis/pets/v1.yaml");
        contains(&document, &["  /pets:\n", "  \"/pets/{id}\":\n", "  /plain:\n"]);
        assert_eq!(
            imported.left().matches("was reached as well").count(),
            1,
            "{}",
            imported.left()
        );
    }
    let now = imported(&kong("3.0"));
    contains(
        &now.left(),
        &["routes[0].paths: `/pets$` is no path of an operation"],
    );
}

/// What took less than everything is left out where only everything could be taken.
#[test]
fn routes_that_took_less_are_not_made_wider() {
    let kong = "
services:
  - name: store
    url: https://store.example
    routes:
      - { name: kept, paths: [/store/v1], methods: [GET, HEAD, OPTIONS] }
      - { name: by-header, paths: [/beta], headers: { x-beta: ['1'] } }
      - { name: by-address, paths: [/staff], sources: [{ ip: 10.0.0.0/8 }] }
      - { name: by-words, expression: 'http.path == \"/words\"', priority: 1 }
      - { name: calls, paths: [/grpc], protocols: [grpc] }
      - { name: shut, paths: [/shut], plugins: [{ name: request-termination, config: { status_code: 410 } }] }
  - name: closed
    url: https://closed.example
    routes: [{ name: closed, paths: [/closed/v1] }]
    plugins: [{ name: request-termination }]
";
    let imported = imported(kong);
    let left = imported.left();
    contains(
        &left,
        &[
            "routes[1] (by-header).headers: operations are told apart by method and path alone",
            "routes[2] (by-address).sources: ",
            "routes[3] (by-words).expression: ",
            "routes[4] (calls).protocols: operations are called by HTTP",
            "routes[5] (shut).plugins[0] (request-termination): the gateway answered every call of this route",
            "services[1] (closed).plugins[0] (request-termination): the gateway answered every call of this service",
        ],
    );
    // HEAD and OPTIONS are answered in any case.
    assert!(!left.contains("methods"), "{left}");
    let routes = imported.run(&["show", "routes", "--env", "production"]);
    assert!(routes.contains("/store/v1 "), "{routes}");
    for gone in ["beta", "staff", "words", "grpc", "shut", "closed"] {
        assert!(!routes.contains(gone), "{gone}\n{routes}");
    }
}

#[test]
fn cors_is_carried_over_where_it_holds_for_all() {
    let service = |name: &str, plugins: &str| {
        format!(
            "  - {{ name: {name}, url: 'https://{name}.example', plugins: [{plugins}], routes: [{{ name: {name}, paths: [/{name}/v1] }}] }}\n"
        )
    };
    let cors = "{ name: cors, config: { origins: ['https://app.example'], methods: [GET], credentials: true, \
                preflight_continue: true, headers: [X-A, '*'], exposed_headers: [X-B], max_age: 0 } }";
    let alike = imported(&format!(
        "services:\n{}{}",
        service("a", cors),
        service("b", cors)
    ));
    contains(
        &alike.read("gateway.yaml"),
        &["cors:\n  origins: [https://app.example]\n  headers: [x-a]\n  expose: [x-b]\n"],
    );
    contains(
        &alike.left(),
        &[
            "plugins[0] (cors).config.methods: ",
            "plugins[0] (cors).config.credentials: ",
            "plugins[0] (cors).config.preflight_continue: ",
            "plugins[0] (cors).config.headers: `*` is no name",
            "plugins[0] (cors).config.max_age: ",
        ],
    );
    let one = imported(&format!("services:\n{}{}", service("a", cors), service("b", "")));
    assert!(!one.read("gateway.yaml").contains("cors"));
    contains(
        &one.left(),
        &["services[0] (a).plugins[0] (cors): which web pages may call is `cors` of gateway.yaml"],
    );
    // Without a list it let all pages call.
    let all = imported(&format!(
        "services:\n{}plugins: [{{ name: cors }}]\n",
        service("a", "")
    ));
    contains(&all.read("gateway.yaml"), &["cors:\n  origins: [\"*\"]\n"]);
    contains(
        &all.left(),
        &["plugins[0] (cors).config.headers: a page could send every header"],
    );
}

#[test]
fn keys_come_where_they_came() {
    let kong = "
services:
  - name: store
    url: https://store.example
    routes: [{ name: store, paths: [/store/v1] }]
    plugins: [{ name: key-auth, config: { key_names: [X-Acme-Key, Authorization], key_in_body: true, anonymous: nobody } }]
consumers:
  - { username: anna, keyauth_credentials: [{ key: 0123456789abcdef }] }
  - { username: elsewhere, keyauth_credentials: [{ key: $SECRET_OF_THE_STORE }, { key: '{vault://env/store-key}' }, { key: '${{ env \"DECK_STORE_KEY\" }}' }] }
";
    let first = imported(kong);
    contains(
        &first.read("gateway.yaml"),
        &["api_keys: { headers: [x-acme-key] }\n"],
    );
    contains(
        &first.left(),
        &[
            "config.key_names: `authorization` is none of the `headers` of `api_keys`",
            "config.key_in_body: keys are not taken from bodies",
            "config.key_in_query: keys are not taken from queries",
            "config.hide_credentials: credentials of callers never reach an upstream",
            "config.anonymous: ",
            // The name of a key is no key: everybody knows it.
            "consumers[1] (elsewhere).keyauth_credentials[0]: ",
            "consumers[1] (elsewhere).keyauth_credentials[1]: ",
            "consumers[1] (elsewhere).keyauth_credentials[2]: ",
        ],
    );
    assert!(first.read("consumers/anna.yaml").contains("sha256"));
    assert!(!first.read("consumers/elsewhere.yaml").contains("credentials"));
    // `apikey` is the name where none is given.
    let usual = imported(&kong.replace("key_names: [X-Acme-Key, Authorization], ", ""));
    contains(
        &usual.read("gateway.yaml"),
        &["api_keys: { headers: [apikey] }\n"],
    );
}

#[test]
fn limits_and_bounds() {
    let kong = "
_plugin_configs:
  shared: { minute: 60, limit_by: credential, error_code: 503, error_message: slow down, hide_client_headers: true }
services:
  - name: store
    url: https://store.example
    read_timeout: 7200000
    routes: [{ name: store, paths: [/store/v1] }]
    plugins:
      - { name: rate-limiting, _config: shared, config: { hour: '${{ env \"DECK_HOURLY\" }}', year: 5 } }
      - { name: rate-limiting, config: { minute: 1 } }
      - { name: request-size-limiting, config: { allowed_payload_size: 20000000, size_unit: bytes, require_content_length: true } }
plugins:
  - { name: request-size-limiting, config: { allowed_payload_size: 2 } }
  - { name: key-auth }
";
    let imported = imported(kong);
    contains(
        &imported.left(),
        &[
            "config.hour: it is no count",
            "config.year: ",
            "config.error_code: ",
            "config.error_message: ",
            "config.hide_client_headers: ",
            "plugins[1] (rate-limiting): there is another `rate-limiting` in the same place",
            "plugins[2] (request-size-limiting): bodies above 10MiB",
            "config.require_content_length: ",
            "services[0] (store).read_timeout: a time-out is between 1ms and 1h",
        ],
    );
    let api = imported.read("apis/store/api.yaml");
    contains(&api, &["limits:\n  - { quota: 60/min, subject: credential }\n"]);
    contains(&imported.read("gateway.yaml"), &["floor:\n  max_body: 2MiB\n"]);
}

/// A variable that only decK knows, where a number or a yes or no has to be.
#[test]
fn values_that_are_not_in_the_file() {
    let variable = "'${{ env \"DECK_A\" }}'";
    let kong = format!(
        "services:\n  - {{ name: a, host: a.example, port: {variable}, read_timeout: {variable}, enabled: {variable}, \
         plugins: [{{ name: key-auth, config: {{ key_in_query: {variable} }} }}, \
         {{ name: rate-limiting, config: {{ minute: 5 }} }}], \
         routes: [{{ paths: [/a/v1], methods: [GET], strip_path: {variable}, plugins: [{{ name: rate-limiting, \
         config: {{ second: 1, fault_tolerant: {variable} }} }}] }}] }}\n"
    );
    let imported = imported(&kong);
    let left = imported.left();
    for field in [
        "services[0] (a).port",
        "services[0] (a).read_timeout",
        "services[0] (a).enabled",
        "services[0] (a).routes[0].strip_path",
        "plugins[0] (key-auth).config.key_in_query",
        "plugins[0] (rate-limiting).config.fault_tolerant",
    ] {
        contains(&left, &[&format!("{field}: its value is not in the file")]);
    }
    // What is nearer to a call holds.
    contains(
        &left,
        &["services[0] (a).plugins[1] (rate-limiting): that of its only route held instead"],
    );
    contains(
        &imported.read("apis/a/api.yaml"),
        &["limits:\n  - { rate: 1/s }\n"],
    );
}

#[test]
fn what_routes_share_stands_in_the_upstream() {
    let kong = "
services:
  - name: Events
    host: events.example
    protocol: https
    routes:
      - { name: list, paths: [/v2/events], methods: [GET], strip_path: false }
      - { name: one, paths: ['~/v2/events/\\d+'], methods: [GET, PATCH], strip_path: false }
  - name: page
    url: https://page.example
    routes: [{ name: page, paths: [/], methods: [GET] }]
  - name: orders
    url: https://orders.example
    routes: [{ name: orders, paths: [/shop/v1], methods: [GET] }]
  - name: items
    url: https://items.example
    routes: [{ name: items, paths: [/shop/v1], methods: [POST] }]
";
    let imported = imported(kong);
    contains(
        &imported.read("apis/events/api.yaml"),
        &[
            "path: /events\nversions:\n  v2:\n",
            "upstream: https://events.example/v2\n",
        ],
    );
    contains(
        &imported.left(),
        &[
            "what was called as /v2/... is called as /events/v2/... here",
            "routes[1] (one).paths: everything below `/v2/events/{id}` was reached as well",
            "GET / is called as /page/v1 here",
            "POST /shop/v1 is called as /items/v1 here",
        ],
    );
    let routes = imported.run(&["show", "routes", "--env", "production"]);
    contains(
        &routes,
        &[
            "PATCH   /events/v2/events/{id}",
            "/page/v1 ",
            "/shop/v1 ",
            "/items/v1 ",
        ],
    );
}

#[test]
fn upstreams_that_only_a_network_of_its_own_knows() {
    for (url, stands, says) in [
        (
            "http://orders:3000/a",
            "https://orders.invalid/a",
            "`orders` is no host on the Internet: https://orders.invalid/a stands for it, until you say where it is; \
             its port was 3000",
        ),
        (
            "http://localhost:3000",
            "https://localhost.invalid",
            "`localhost` is no host",
        ),
        (
            "http://127.0.0.1",
            "https://127-0-0-1.invalid",
            "`127.0.0.1` is no host",
        ),
        ("http://127.1", "https://127-1.invalid", "`127.1` is no host"),
        (
            "http://orders.shop.svc.cluster.local",
            "https://orders-shop-svc-cluster-local.invalid",
            "is no host on the Internet",
        ),
        (
            "http://192.168.1.27:8081",
            "http://192.168.1.27:8081",
            "is an address of some network of its own",
        ),
        (
            "https://anna:secret@orders.example/a",
            "https://orders.example/a",
            "a credential in an address is not",
        ),
        (
            "https://orders.example/a?b=secret",
            "https://orders.example",
            "is no path of an upstream",
        ),
    ] {
        let kong = format!(
            "services: [{{ name: a, url: '{url}', routes: [{{ paths: [/a/v1], methods: [GET] }}] }}]"
        );
        let imported = imported(&kong);
        let api = imported.read("apis/a/api.yaml");
        assert!(api.contains(&format!("upstream: {stands}\n")), "{url}\n{api}");
        assert!(imported.left().contains(says), "{url}\n{}", imported.left());
        assert!(!api.contains("secret"), "{api}");
    }
}

/// What is off by being written is told, unless it is off by itself.
#[test]
fn what_is_off_says_something() {
    let kong = "
services:
  - name: orders
    url: https://orders.example
    tls_verify: false
    routes: [{ name: orders, paths: [/orders/v1], methods: [GET] }]
    plugins:
      - { name: mtls-auth, config: { ca_certificates: [a] } }
      - { name: ldap-auth }
      - { name: rate-limiting, config: { minute: 7, hide_client_headers: true } }
  - name: plain
    url: https://plain.example
    routes: [{ name: plain, paths: [/plain/v1], methods: [GET] }]
plugins: [{ name: cors, config: { origins: ['https://app.example'], private_network: false } }]
";
    let left = imported(kong).left();
    contains(
        &left,
        &[
            "services[0] (orders).tls_verify: there is no such setting",
            "plugins[0] (mtls-auth): client certificates are those that the platform verifies: write them as `certificate`",
            "plugins[1] (ldap-auth): callers are known by tokens of `issuers`, API keys or client certificates, not by",
            "hide_client_headers: callers are told what is left, in `RateLimit`; `limit_headers: refused`",
        ],
    );
    assert!(!left.contains("private_network"), "{left}");
}

/// What a plugin kept closed that has no counterpart, or that nobody knows, is not told to have been open, and opens to
/// nobody.
#[test]
fn what_another_plugin_guarded_opens_to_nobody() {
    for (plugin, guards) in [
        ("opa", true),
        ("pre-function", true),
        ("ip-restriction", true),
        ("of-our-own", true),
        ("saml", false),
        ("ldap-auth-advanced", false),
    ] {
        let kong = format!(
            "services:\n- name: orders\n  url: https://orders.example\n  plugins: [{{ name: {plugin} }}]\n  routes: [{{ name: a, paths: [/orders/v1], methods: [GET] }}]\nconsumers:\n- {{ username: anna, keyauth_credentials: [{{ key: supersecretkey123 }}] }}\n"
        );
        let imported = imported(&kong);
        let left = imported.left();
        assert!(!left.contains("open to everybody"), "{plugin}\n{left}");
        let said = format!("routes[0] (a): it was guarded by `{plugin}`, which is not carried over");
        let known = format!("plugins[0] ({plugin}): callers are known by tokens of `issuers`");
        assert!(
            left.contains(if guards { &said } else { &known }),
            "{plugin}\n{left}"
        );
        let anna = imported.read("consumers/anna.yaml");
        assert!(!anna.contains("may:"), "{plugin}\n{anna}");
        contains(
            &left,
            &["consumers[0] (anna): its keys, or what else it had to show, did not open all of orders"],
        );
    }
    // What does something else keeps nobody out.
    let kong = "services:\n- name: orders\n  url: https://orders.example\n  plugins: [{ name: http-log }]\n  routes: [{ name: a, paths: [/orders/v1], methods: [GET] }]\nconsumers:\n- { username: anna, keyauth_credentials: [{ key: supersecretkey123 }] }\n";
    let open = imported(kong);
    contains(
        &open.left(),
        &["routes[0] (a): it was open to everybody: here every caller identifies"],
    );
    contains(&open.read("consumers/anna.yaml"), &["apis: all"]);
}
