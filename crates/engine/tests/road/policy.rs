//! The policy that these tests run: made in code, so that no file decides about them.

use sha2::{Digest as _, Sha256};
use turnpike_policy::{
    Algorithm, Allowance, Api, ApiKeys, Binding, Bundle, Commit, Compiled, Consumer, Cors, CredentialValue,
    Creditable, Gateway, Grant, Handler, Identity, Issuer, KeyCredential, Keys, Lifecycle, Limit, LimitKind,
    LogRequests, Method, Mock, MockAnswer, MockEnd, MockResponse, MockRule, MockToolCall, Model, OnError,
    Operation, Operator, OutputCap, Plan, Precision, Price, Provider, ProviderKind, Rate, Reason, Retry,
    Route, RouteNode, Routes, Signing, State, SubjectPart, Surface, Target, Timeouts, Unit,
    UpstreamCredential, Window,
};

/// Now, in Unix milliseconds: the begin of a minute, an hour and a day.
pub(crate) const NOW: u64 = 1_800_057_600_000;
/// When version `v1` of the pet store ends.
pub(crate) const SUNSET: u64 = NOW + 86_400_000;

pub(crate) const INLINE: &str = "https://inline.example/";
pub(crate) const SECRET: &str = "https://secret.example/";
pub(crate) const REMOTE: &str = "https://url.example/";
pub(crate) const AUDIENCE: &str = "https://api.example";
pub(crate) const KEYS_URL: &str = "https://url.example/jwks.json";

/// RFC 8037, A.1.
pub(crate) const PUBLIC: &str = r#"{"kty":"OKP","crv":"Ed25519","x":"11qYAYKxCrfVS_7TyWQHOg7hcvPapiMlrwIaaPcHURo","kid":"ed","use":"sig","alg":"EdDSA"}"#;
pub(crate) const PRIVATE: &str = r#"{"kty":"OKP","crv":"Ed25519","d":"nWGxne_9WmC6hEr0kuwsxERJxWl7MmkZcDusAxyuf2A","x":"11qYAYKxCrfVS_7TyWQHOg7hcvPapiMlrwIaaPcHURo"}"#;

pub(crate) const SECOND: u64 = 1000;
pub(crate) const FIRST: u64 = 10 * SECOND;
pub(crate) const IDLE: u64 = 20 * SECOND;
pub(crate) const TOTAL: u64 = 120 * SECOND;

/// The API key of a consumer.
pub(crate) fn key(consumer: &str) -> String {
    format!("tpk_{consumer}_0123456789abcdefghij")
}

pub(crate) fn rate(count: u32, period: u64) -> LimitKind {
    LimitKind::Rate(Rate {
        count,
        period,
        burst: count,
    })
}

/// So much a day.
pub(crate) fn budget(count: u64, unit: Unit) -> LimitKind {
    LimitKind::Budget {
        count,
        window: Window::Day,
        unit,
    }
}

/// A limit of every consumer.
pub(crate) fn limit(id: &str, kind: LimitKind) -> Limit {
    Limit {
        subject: vec![SubjectPart::Consumer],
        models: Vec::new(),
        precision: Precision::Exact,
        split: None,
        shadow: false,
        zone: None,
        id: id.to_owned(),
        kind,
        origin: format!("policies/limits/{id}.yaml:3"),
    }
}

fn plan(name: &str, limits: &[(&str, LimitKind)], precision: Precision, on_error: OnError) -> Plan {
    let limits = limits
        .iter()
        .map(|(id, kind)| Limit {
            precision,
            ..limit(&format!("{name}:{id}"), *kind)
        })
        .collect();
    Plan {
        name: name.to_owned(),
        limits,
        precision,
        on_error,
        open_until: None,
    }
}

fn plans() -> Vec<Plan> {
    let minute = [("100-1m", rate(100, 60_000))];
    let quota = LimitKind::Quota {
        count: 3,
        window: Window::Hour,
    };
    vec![
        plan(
            "free",
            &[("100-1m", rate(100, 60_000)), ("5-1s", rate(5, 1000))],
            Precision::Exact,
            OnError::Closed,
        ),
        plan(
            "budget",
            &[
                ("tokens-day", budget(100_000, Unit::Tokens)),
                ("spend-day", budget(1_000_000_000, Unit::NanoUsd)),
            ],
            Precision::Exact,
            OnError::Closed,
        ),
        plan(
            "places",
            &[("concurrency", LimitKind::Concurrency { count: 2 })],
            Precision::Exact,
            OnError::Closed,
        ),
        plan(
            "leased",
            &[("600-1m", rate(600, 60_000))],
            Precision::Leased,
            OnError::Closed,
        ),
        plan("local", &minute, Precision::Local, OnError::Closed),
        plan("minute", &minute, Precision::Exact, OnError::Closed),
        plan("open", &minute, Precision::Exact, OnError::Open),
        plan("quota", &[("3-1h", quota)], Precision::Exact, OnError::Closed),
        plan(
            "wide",
            &[("wide", rate(1_000_000, 1000))],
            Precision::Local,
            OnError::Closed,
        ),
    ]
}

/// Consumers: name, plan, which models (none: all), which operations.
fn consumers(plans: &[Plan], models: &[Model]) -> Vec<Consumer> {
    let plan = |name: &str| index(plans.iter().position(|plan| plan.name == name));
    let fast = index(models.iter().position(|model| model.name == "fast"));
    let consumer = |name: &str, its: &str, models: Grant, operations: Grant| Consumer {
        name: name.to_owned(),
        owner: "team".to_owned(),
        plan: plan(its),
        operations,
        models,
        operator: None,
        origin: format!("policies/consumers/{name}.yaml:1"),
    };
    let none = || Grant::Only(Vec::new());
    let operator = |name: &str, credit: Vec<Allowance>| Consumer {
        operator: Some(Operator { credit, deny: None }),
        ..consumer(name, "wide", none(), none())
    };
    let allowance = |of, count| Allowance {
        of,
        count,
        window: Window::Day,
    };
    let bounds = vec![
        allowance(Creditable::Requests, 5),
        allowance(Creditable::Tokens, 1_000),
    ];
    vec![
        consumer("demo", "wide", Grant::All, Grant::All),
        consumer("idle", "wide", none(), none()),
        consumer("leased", "leased", Grant::All, Grant::All),
        consumer("local", "local", Grant::All, Grant::All),
        consumer("minute", "minute", Grant::All, Grant::All),
        consumer("money", "budget", Grant::All, Grant::All),
        consumer("narrow", "wide", Grant::All, Grant::All),
        consumer("open", "open", Grant::All, Grant::All),
        consumer("places", "places", Grant::All, Grant::All),
        consumer("quota", "quota", Grant::All, Grant::All),
        consumer("trial", "free", Grant::Only(vec![fast]), Grant::All),
        operator("watch", Vec::new()),
        operator("works", bounds),
    ]
}

fn index(place: Option<usize>) -> u32 {
    u32::try_from(place.unwrap()).unwrap()
}

fn keys(consumers: &[Consumer]) -> Vec<KeyCredential> {
    let mut keys: Vec<_> = (0..)
        .zip(consumers)
        .map(|(consumer, entry)| KeyCredential {
            sha256: Sha256::digest(key(&entry.name)).into(),
            consumer,
            expires: None,
            // `narrow` has every grant, but no scope.
            scopes: if entry.name == "narrow" {
                Vec::new()
            } else {
                vec!["pets:write".to_owned()]
            },
        })
        .collect();
    keys.push(KeyCredential {
        sha256: Sha256::digest(key("dated")).into(),
        consumer: 0,
        expires: Some(NOW),
        scopes: Vec::new(),
    });
    keys.sort_by_key(|key| key.sha256);
    keys
}

fn issuers() -> Vec<Issuer> {
    let issuer = |name: &str, issuer: &str, algorithm, keys| Issuer {
        name: name.to_owned(),
        issuer: issuer.to_owned(),
        audience: vec![AUDIENCE.to_owned()],
        algorithms: vec![algorithm],
        consumer_claim: "client_id".to_owned(),
        clock_skew: 30,
        max_lifetime: Some(3600),
        access_tokens: false,
        dpop: Binding::Refused,
        certificate_bound: Binding::Refused,
        keys,
        introspection: None,
    };
    vec![
        issuer(
            "inline",
            INLINE,
            Algorithm::EdDSA,
            Keys::Inline(vec![PUBLIC.to_owned()]),
        ),
        issuer(
            "secret",
            SECRET,
            Algorithm::HS256,
            Keys::Secret("MAC_KEY".to_owned()),
        ),
        issuer("remote", REMOTE, Algorithm::EdDSA, Keys::Url(KEYS_URL.to_owned())),
    ]
}

fn target(provider: u32, model: &str, weight: u32) -> Target {
    Target {
        provider,
        model: model.to_owned(),
        weight,
        price: None,
    }
}

/// A target that costs so much, in US dollars for a million tokens of input and of output.
fn priced(provider: u32, model: &str, input: u64, output: u64) -> Target {
    const DOLLAR: u64 = 1_000_000_000;
    Target {
        price: Some(Price {
            input: input * DOLLAR,
            output: output * DOLLAR,
            cached_input: input * DOLLAR / 10,
            cache_write: input * DOLLAR,
            long: None,
        }),
        ..target(provider, model, 1)
    }
}

pub(crate) const ALPHA: u32 = 0;
pub(crate) const BETA: u32 = 1;
pub(crate) const GAMMA: u32 = 2;
const KEYED: u32 = 3;
const MOCK: u32 = 4;

fn providers() -> Vec<Provider> {
    let provider = |name: &str, kind| Provider {
        name: name.to_owned(),
        kind,
        until: None,
        origin: format!("policies/providers/{name}.yaml:1"),
    };
    let open = |name: &str, credential| {
        let base_url = format!("https://{name}.example/v1");
        let output_cap = if name == "beta" {
            OutputCap::MaxCompletionTokens
        } else {
            OutputCap::MaxTokens
        };
        let kind = ProviderKind::OpenAi {
            base_url,
            credential,
            output_cap,
        };
        provider(name, kind)
    };
    let bearer = UpstreamCredential {
        header: "authorization".to_owned(),
        prefix: "Bearer ".to_owned(),
        value: CredentialValue::Secret("KEYED_SECRET".to_owned()),
    };
    vec![
        open("alpha", None),
        open("beta", None),
        open("gamma", None),
        open("keyed", Some(bearer)),
        provider("mock", ProviderKind::Mock),
    ]
}

/// A model with one target, no retry and no fallback.
pub(crate) fn model(name: &str, targets: Vec<Target>) -> Model {
    Model {
        name: name.to_owned(),
        owner: "team-ai".to_owned(),
        lifecycle: life(State::Active),
        targets,
        fallback: Vec::new(),
        retry: Retry {
            attempts: 1,
            on: Vec::new(),
        },
        timeouts: Timeouts {
            first: FIRST,
            idle: IDLE,
            total: TOTAL,
        },
        commit: Commit::FirstToken,
        max_body: 100_000,
        max_output_tokens: None,
        max_media_tokens: 50_000,
        limits: Vec::new(),
        scopes: Vec::new(),
        scopes_origin: String::new(),
        rules: Vec::new(),
        origin: format!("policies/models/{name}.yaml:1"),
    }
}

fn models() -> Vec<Model> {
    let every = Reason::ALL.to_vec();
    let mut models = vec![
        Model {
            commit: Commit::Complete,
            fallback: vec![target(BETA, "beta-1", 1)],
            retry: Retry {
                attempts: 1,
                on: every.clone(),
            },
            ..model("complete", vec![target(ALPHA, "alpha-1", 1)])
        },
        model("fast", vec![target(MOCK, "fast", 1)]),
        Model {
            max_body: 200,
            ..model("guarded", vec![target(ALPHA, "alpha-1", 1)])
        },
        Model {
            max_output_tokens: Some(1000),
            fallback: vec![priced(BETA, "beta-1", 4, 20)],
            retry: Retry {
                attempts: 1,
                on: every.clone(),
            },
            ..model("priced", vec![priced(ALPHA, "alpha-1", 2, 10)])
        },
        model("keyed", vec![target(KEYED, "keyed-1", 1)]),
        Model {
            limits: vec![limit("models/limited:2-1m", rate(2, 60_000))],
            ..model("limited", vec![target(ALPHA, "alpha-1", 1)])
        },
        Model {
            max_output_tokens: Some(1000),
            ..model("lone", vec![target(ALPHA, "alpha-1", 1)])
        },
        Model {
            lifecycle: life(State::Retired),
            ..model("retired", vec![target(ALPHA, "alpha-1", 1)])
        },
        Model {
            fallback: vec![target(MOCK, "fast", 1)],
            retry: Retry {
                attempts: 1,
                on: every,
            },
            ..model("rescued", vec![target(ALPHA, "alpha-1", 1)])
        },
        // Retried, but only for these reasons.
        Model {
            fallback: vec![target(BETA, "beta-1", 1), target(GAMMA, "gamma-1", 1)],
            retry: Retry {
                attempts: 3,
                on: vec![
                    Reason::RateLimited,
                    Reason::Overloaded,
                    Reason::Unreachable,
                    Reason::NoFirstToken,
                ],
            },
            ..model("smart", vec![target(ALPHA, "alpha-1", 1)])
        },
        model(
            "weighted",
            vec![
                target(ALPHA, "alpha-1", 80),
                target(BETA, "beta-1", 15),
                target(GAMMA, "gamma-1", 5),
            ],
        ),
    ];
    models.sort_by(|a, b| a.name.cmp(&b.name));
    models
}

fn mocks() -> Vec<Mock> {
    let answer = |text: &str| MockAnswer {
        status: 200,
        text: text.to_owned(),
        ..MockAnswer::default()
    };
    let when = |contains: &str, answer: MockAnswer| MockRule {
        contains: Some(contains.to_owned()),
        answer,
        ..MockRule::default()
    };
    let weather = MockToolCall {
        name: "weather".to_owned(),
        arguments: r#"{"city":"Bonn"}"#.to_owned(),
    };
    let rules = vec![
        when(
            "please cut",
            MockAnswer {
                end: MockEnd::Cut(3),
                ..answer("a b c d e f")
            },
        ),
        when(
            "please stall",
            MockAnswer {
                end: MockEnd::Stall(2),
                ..answer("a b c d e f")
            },
        ),
        when(
            "please end early",
            MockAnswer {
                end: MockEnd::NoTerminator(3),
                ..answer("a b c d e f")
            },
        ),
        when(
            "please fail",
            MockAnswer {
                status: 500,
                ..answer("")
            },
        ),
        when(
            "please be late",
            MockAnswer {
                first_delay: 3 * FIRST,
                ..answer("late")
            },
        ),
        MockRule {
            tool_result: Some(true),
            answer: answer("It rains."),
            ..MockRule::default()
        },
        MockRule {
            tools: Some(true),
            answer: MockAnswer {
                status: 200,
                tool_calls: vec![weather],
                ..MockAnswer::default()
            },
            ..MockRule::default()
        },
        MockRule {
            answer: MockAnswer {
                usage: Some((11, 7)),
                ..answer("You said: {{last_user_message}}")
            },
            ..MockRule::default()
        },
    ];
    vec![Mock {
        name: "fast".to_owned(),
        rules,
    }]
}

fn life(state: State) -> Lifecycle {
    Lifecycle {
        state,
        deprecated: None,
        sunset: None,
        successor: None,
    }
}

fn apis() -> Vec<Api> {
    let api = |name: &str, version: &str, lifecycle| Api {
        name: name.to_owned(),
        version: version.to_owned(),
        title: "Pet store".to_owned(),
        owner: "team-pets".to_owned(),
        base: format!("/{name}/{version}"),
        lifecycle,
        limits: Vec::new(),
        upstream_headers: Vec::new(),
        until: None,
        origin: format!("policies/apis/{name}/api.yaml:7"),
    };
    let ending = Lifecycle {
        state: State::Deprecated,
        deprecated: Some(NOW - 86_400_000),
        sunset: Some(SUNSET),
        successor: Some("/petstore/v2".to_owned()),
    };
    vec![
        api("petstore", "v0", life(State::Retired)),
        api("petstore", "v1", ending),
        api("petstore", "v2", life(State::Active)),
        api("status", "v1", life(State::Active)),
    ]
}

fn operations() -> Vec<Operation> {
    let operation = |id: &str, api: u32, method, path: &str, handler| Operation {
        id: id.to_owned(),
        api,
        method,
        path: path.to_owned(),
        open_until: None,
        scopes: Vec::new(),
        scopes_origin: String::new(),
        relation: None,
        rules: Vec::new(),
        max_body: 1000,
        accepts_body: false,
        content_types: Vec::new(),
        forward_headers: Vec::new(),
        forward_query: Vec::new(),
        handler,
        origin: format!("policies/apis/petstore/{id}.yaml:2"),
    };
    let proxy = |secret: Option<&str>| Handler::Proxy {
        url: "https://pets.example/base".to_owned(),
        timeouts: Timeouts {
            first: FIRST,
            idle: IDLE,
            total: TOTAL,
        },
        credential: secret.map(|secret| UpstreamCredential {
            header: "x-pets-key".to_owned(),
            prefix: String::new(),
            value: CredentialValue::Secret(secret.to_owned()),
        }),
    };
    let example = |status, name: &str, body: &str| MockResponse {
        status,
        name: name.to_owned(),
        content_type: if body.is_empty() {
            String::new()
        } else {
            "application/json".to_owned()
        },
        body: body.as_bytes().to_vec(),
    };
    let pets = vec![
        example(404, "", r#"{"error":"none"}"#),
        example(200, "cats", r#"["Tom"]"#),
        example(200, "dogs", r#"["Rex"]"#),
    ];
    vec![
        operation("oldestPets", 0, Method::Get, "/pets", proxy(None)),
        operation("oldPets", 1, Method::Get, "/pets", proxy(None)),
        operation("listPets", 2, Method::Get, "/pets", Handler::Mock(pets)),
        Operation {
            scopes: vec!["pets:write".to_owned()],
            scopes_origin: "policies/apis/petstore/api.yaml:9".to_owned(),
            accepts_body: true,
            content_types: vec!["application/json".to_owned(), "image/*".to_owned()],
            forward_headers: vec!["x-pet".to_owned()],
            forward_query: vec!["dry run".to_owned(), "limit".to_owned()],
            ..operation("createPet", 2, Method::Post, "/pets", proxy(None))
        },
        operation(
            "getPet",
            2,
            Method::Get,
            "/pets/{petId}",
            proxy(Some("PETS_SECRET")),
        ),
        operation(
            "deletePet",
            2,
            Method::Delete,
            "/pets/{petId}",
            Handler::Mock(vec![example(204, "", "")]),
        ),
        operation("latest", 2, Method::Get, "/pets/latest", proxy(None)),
        Operation {
            open_until: Some(u64::MAX),
            ..operation(
                "ping",
                3,
                Method::Get,
                "/ping",
                Handler::Mock(vec![example(200, "", r#"{"up":true}"#)]),
            )
        },
    ]
}

fn routes(apis: &[Api], operations: &[Operation]) -> Routes {
    let mut routes = Routes {
        nodes: vec![RouteNode::default()].into(),
    };
    for (number, operation) in (0..).zip(operations) {
        let base = &apis[operation.api as usize].base;
        add(
            &mut routes,
            &format!("{base}{}", operation.path),
            operation.method,
            Route::Operation(number),
        );
    }
    for (path, method, surface) in [
        ("/v1/chat/completions", Method::Post, Surface::ChatCompletions),
        ("/v1/models", Method::Get, Surface::Models),
        ("/v1/models/{model}", Method::Get, Surface::Model),
    ] {
        add(&mut routes, path, method, Route::Surface(surface));
    }
    for node in routes.nodes.iter_mut() {
        node.literals.sort();
        node.methods.sort_by_key(|(method, _)| *method);
    }
    routes
}

fn add(routes: &mut Routes, path: &str, method: Method, route: Route) {
    let mut at = 0;
    for segment in path.split('/').skip(1) {
        let fresh = u32::try_from(routes.nodes.len()).unwrap();
        let node: &mut RouteNode = routes.nodes.get_mut(at as usize).unwrap();
        let next = if segment.starts_with('{') {
            *node.parameter.get_or_insert(fresh)
        } else if let Some((_, next)) = node.literals.iter().find(|(text, _)| text == segment) {
            *next
        } else {
            node.literals.push((segment.to_owned(), fresh));
            fresh
        };
        if next == fresh {
            routes.nodes.push(RouteNode::default());
        }
        at = next;
    }
    routes
        .nodes
        .get_mut(at as usize)
        .unwrap()
        .methods
        .push((method, route));
}

/// The whole tree.
pub(crate) fn compiled() -> Compiled {
    static TREE: std::sync::LazyLock<Compiled> = std::sync::LazyLock::new(made);
    TREE.clone()
}

fn made() -> Compiled {
    let (apis, operations, models, plans) = (apis(), operations(), models(), plans());
    let consumers = consumers(&plans, &models);
    let identity = |issuer| Identity {
        issuer,
        client: None,
        value: "app".to_owned(),
        consumer: 0,
    };
    Compiled {
        points: Vec::new(),
        gateway: Gateway {
            api_keys: ApiKeys {
                headers: ["api-key", "x-acme-key", "x-api-key", "x-goog-api-key"]
                    .map(str::to_owned)
                    .to_vec(),
                ..ApiKeys::default()
            },
            name: "test".to_owned(),
            environment: "dev".to_owned(),
            hosts: vec!["api.example".to_owned()],
            shield: Rate {
                count: 100_000,
                period: 1000,
                burst: 100_000,
            },
            max_body: 100_000,
            signing: Some(Signing {
                issuer: "https://api.example".to_owned(),
                algorithm: Algorithm::ES256,
                key: "SIGNING_KEY".to_owned(),
                published: Vec::new(),
            }),
            limit_headers: true,
            forward_headers: ["accept", "content-type", "traceparent", "tracestate"]
                .map(str::to_owned)
                .to_vec(),
            answer_headers: ["content-type", "etag", "vary"].map(str::to_owned).to_vec(),
            cors: Some(Cors {
                origins: vec!["https://app.example".to_owned()],
                headers: vec!["authorization".to_owned(), "content-type".to_owned()],
                expose: vec!["x-request-id".to_owned()],
                max_age: 600,
            }),
            log: LogRequests::All,
            show_hash: false,
            explain: true,
            mocks: true,
        },
        issuers: issuers(),
        keys: keys(&consumers),
        identities: vec![identity(0), identity(1), identity(2)].into(),
        routes: routes(&apis, &operations),
        zones: Vec::new(),
        claims: Vec::new(),
        country: false,
        certificates: Vec::new(),
        client_certificates: false,
        dpop: false,
        denials: false,
        headers: Vec::new(),
        secrets: ["KEYED_SECRET", "MAC_KEY", "PETS_SECRET"]
            .map(str::to_owned)
            .to_vec(),
        mocks: mocks(),
        providers: providers(),
        apis: apis.into(),
        operations: operations.into(),
        models,
        plans,
        consumers: consumers.into(),
    }
}

/// A tree as a bundle.
pub(crate) fn bundle(compiled: Compiled) -> Bundle {
    Bundle {
        hash: [7; 32],
        stamp: turnpike_policy::Stamp::default(),
        compiled,
    }
}
