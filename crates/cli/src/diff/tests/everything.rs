//! A bundle with something in every place that it has.

use turnpike_policy::{
    Algorithm, Allowance, Api, ApiKeys, Binding, CertificateCredential, CertificateName, Claim, ClaimKind,
    Commit, Comparison, Compiled, Condition, Consumer, Cors, CredentialValue, Creditable, DecisionPoint,
    Entity, Gateway, Grant, GrantedToken, Handler, Identity, Introspection, Issuer, KeyCredential, Keys,
    Lazy, Lifecycle, Limit, LimitKind, LogRequests, LongPrice, Method, Mock, MockAnswer, MockEnd,
    MockResponse, MockRule, MockToolCall, Model, OnError, Operand, Operation, Operator, OutputCap, Plan,
    PointKind, Precision, Price, Provider, ProviderKind, Rate, Reason, Relation, RepeatedClaim, Retry, Rule,
    SignedToken, Signing, Split, State, SubjectPart, Target, Timeouts, Unit, UpstreamCredential,
    UpstreamHeader, Window, Zone,
};

pub(super) fn t(text: &str) -> String {
    text.to_owned()
}

fn ts(texts: &[&str]) -> Vec<String> {
    texts.iter().copied().map(t).collect()
}

fn limit(id: &str, kind: LimitKind) -> Limit {
    Limit {
        id: t(id),
        kind,
        zone: Some(t("Europe/Berlin")),
        subject: vec![
            SubjectPart::Consumer,
            SubjectPart::Claim(t("tenant")),
            SubjectPart::Header(t("x-team")),
        ],
        models: ts(&["chat"]),
        precision: Precision::Leased,
        split: Some(Split { objects: 2, parts: 4 }),
        shadow: false,
        origin: t("policies/plans/gold.yaml:3"),
    }
}

fn limits() -> Vec<Limit> {
    let (count, window) = (9000, Window::Day);
    let rate = |count| {
        LimitKind::Rate(Rate {
            count,
            period: 60_000,
            burst: 50,
        })
    };
    let unit = Unit::NanoUsd;
    vec![
        limit("gold:rate-10-60s", rate(10)),
        limit("gold:rate-60s", rate(600)),
        limit("gold:quota-day", LimitKind::Quota { count, window }),
        limit("gold:spend-day", LimitKind::Budget { count, window, unit }),
        limit("gold:concurrency", LimitKind::Concurrency { count: 5 }),
    ]
}

fn rules() -> Vec<Rule> {
    let claim = Operand::Claim(ts(&["tenant"]));
    vec![Rule {
        when: Condition::Any(vec![
            Condition::Is(claim.clone()),
            Condition::StartsWith(claim.clone(), t("acme-")),
            Condition::Compare(claim, Comparison::In, Operand::Texts(ts(&["a", "b"]))),
        ]),
        origin: t("policies/apis/pets/api.yaml:9"),
    }]
}

fn lifecycle() -> Lifecycle {
    Lifecycle {
        state: State::Active,
        deprecated: Some(1_700_000_000_000),
        sunset: Some(4_000_000_000_000),
        successor: Some(t("/pets/v2")),
    }
}

const TIMEOUTS: Timeouts = Timeouts {
    first: 1000,
    idle: 2000,
    total: 3000,
};

fn sent(value: CredentialValue) -> UpstreamCredential {
    UpstreamCredential {
        header: t("authorization"),
        prefix: t("Bearer "),
        value,
    }
}

fn granted() -> CredentialValue {
    CredentialValue::Granted(Box::new(GrantedToken {
        object: t("grant"),
        endpoint: t("https://login.example/token"),
        client_id: t("gateway"),
        secret: t("SECRET"),
        post: true,
        form: vec![(t("scope"), t("read"))],
    }))
}

fn signed() -> CredentialValue {
    CredentialValue::Signed(SignedToken {
        audience: t("pets"),
        lifetime: 60_000,
        claims: vec![RepeatedClaim {
            name: t("tenant"),
            claim: ts(&["tenant"]),
        }],
    })
}

fn api(name: &str) -> Api {
    Api {
        name: t(name),
        version: t("v1"),
        title: t("Pets"),
        owner: t("team-pets"),
        base: format!("/{name}/v1"),
        lifecycle: lifecycle(),
        limits: limits(),
        upstream_headers: vec![UpstreamHeader {
            header: t("x-tenant"),
            claim: ts(&["tenant"]),
        }],
        until: Some(4_000_000_000_000),
        origin: t("policies/apis/pets/api.yaml:1"),
    }
}

fn operation(id: &str, api: u32, handler: Handler) -> Operation {
    let entity = |id: &str| Entity {
        kind: t("user"),
        id: Operand::Parameter(t(id)),
    };
    Operation {
        id: t(id),
        api,
        method: Method::Post,
        path: format!("/{id}"),
        open_until: Some(4_000_000_000_000),
        scopes: ts(&["pets:write"]),
        scopes_origin: t("policies/apis/pets/api.yaml:9"),
        rules: rules(),
        relation: Some(Relation {
            point: 0,
            subject: entity("who"),
            action: t("read"),
            resource: entity("what"),
            origin: t("policies/apis/pets/api.yaml:9"),
        }),
        max_body: 1000,
        accepts_body: true,
        content_types: ts(&["application/json"]),
        forward_headers: ts(&["x-a"]),
        forward_query: ts(&["q"]),
        handler,
        origin: t("policies/apis/pets/v1.yaml:5"),
    }
}

fn operations() -> Lazy<Operation> {
    let proxy = |value| Handler::Proxy {
        url: t("https://pets.internal.example"),
        timeouts: TIMEOUTS,
        credential: Some(sent(value)),
    };
    let mock = Handler::Mock(vec![MockResponse {
        status: 200,
        name: t("one"),
        content_type: t("application/json"),
        body: b"{}".to_vec(),
    }]);
    Lazy::from(vec![
        operation("read", 0, proxy(granted())),
        operation("write", 0, proxy(signed())),
        operation("mock", 0, mock),
        operation("other", 1, proxy(CredentialValue::Secret(t("SECRET")))),
    ])
}

fn issuer(name: &str, keys: Keys) -> Issuer {
    Issuer {
        name: t(name),
        issuer: format!("https://{name}.example"),
        audience: ts(&["api"]),
        algorithms: vec![Algorithm::ES384],
        consumer_claim: t("sub"),
        clock_skew: 30,
        max_lifetime: Some(900),
        access_tokens: true,
        dpop: Binding::Required,
        certificate_bound: Binding::Required,
        keys,
        introspection: Some(Introspection {
            endpoint: t("https://login.example/introspect"),
            client_id: t("gateway"),
            secret: t("SECRET"),
            post: true,
            prefix: t("acme_"),
            timeout: 1000,
            active_for: 2000,
            inactive_for: 3000,
            rate: Rate::default(),
        }),
    }
}

pub(crate) fn model(name: &str) -> Model {
    let target = Target {
        provider: 0,
        model: t("gpt-5"),
        weight: 2,
        price: Some(Price {
            input: 1_000_000_001,
            output: 2_000_000_001,
            cached_input: 3_000_000_001,
            cache_write: 4_000_000_001,
            long: Some(LongPrice {
                over: 1000,
                input: 5_000_000_001,
                output: 6_000_000_001,
                cached_input: 7_000_000_001,
                cache_write: 8_000_000_001,
            }),
        }),
    };
    Model {
        name: t(name),
        owner: t("team-ai"),
        lifecycle: lifecycle(),
        targets: vec![target.clone()],
        fallback: vec![target],
        retry: Retry {
            attempts: 2,
            on: vec![Reason::RateLimited],
        },
        timeouts: TIMEOUTS,
        commit: Commit::FirstToken,
        max_body: 1000,
        max_output_tokens: Some(2000),
        max_media_tokens: 3000,
        limits: limits(),
        scopes: ts(&["ai"]),
        scopes_origin: t("policies/models/chat.yaml:4"),
        rules: rules(),
        origin: t("policies/models/chat.yaml:1"),
    }
}

fn provider(name: &str, value: CredentialValue) -> Provider {
    Provider {
        name: t(name),
        kind: ProviderKind::OpenAi {
            base_url: t("https://ai.example/v1"),
            credential: Some(sent(value)),
            output_cap: OutputCap::MaxTokens,
        },
        until: Some(4_000_000_000_000),
        origin: t("policies/providers/a.yaml:1"),
    }
}

fn point(name: &str) -> DecisionPoint {
    DecisionPoint {
        name: t(name),
        kind: PointKind::OpenFga { model: Some(t("m")) },
        endpoint: t("https://pdp.example"),
        secret: Some(t("SECRET")),
        timeout: 1000,
        allowed_for: 2000,
        denied_for: 3000,
        origin: t("policies/gateway.yaml:9"),
    }
}

pub(super) fn plan(name: &str) -> Plan {
    Plan {
        name: t(name),
        limits: limits(),
        precision: Precision::Leased,
        on_error: OnError::Open,
        open_until: Some(4_000_000_000_000),
    }
}

fn consumer(name: &str) -> Consumer {
    Consumer {
        name: t(name),
        owner: t("team-app"),
        plan: 0,
        operations: Grant::Only(vec![0, 1]),
        models: Grant::Only(vec![0]),
        operator: Some(Operator {
            credit: vec![Allowance {
                of: Creditable::Requests,
                count: 1000,
                window: Window::Day,
            }],
            deny: Some(3_600_000),
        }),
        origin: t("policies/consumers/app.yaml:1"),
    }
}

fn gateway() -> Gateway {
    Gateway {
        name: t("acme"),
        environment: t("production"),
        hosts: ts(&["api.example", "api2.example"]),
        shield: Rate::default(),
        max_body: 10_000,
        forward_headers: ts(&["accept"]),
        answer_headers: ts(&["etag"]),
        cors: Some(Cors {
            origins: ts(&["https://a.example"]),
            headers: ts(&["x-a"]),
            expose: ts(&["x-b"]),
            max_age: 600,
        }),
        limit_headers: true,
        log: LogRequests::All,
        explain: true,
        mocks: true,
        show_hash: true,
        api_keys: ApiKeys {
            headers: ts(&["x-key"]),
            schemes: ts(&["apikey"]),
            query: ts(&["key", "api_key"]),
            query_until: 4_000_000_000_000,
        },
        signing: Some(Signing {
            issuer: t("https://api.example"),
            algorithm: Algorithm::EdDSA,
            key: t("SIGNS"),
            published: ts(&["SIGNED"]),
        }),
    }
}

/// A bundle with something in every place that it has.
pub(super) fn everything() -> Compiled {
    let mut other = api("zoo");
    other.title = t("Other");
    let jwk = r#"{"kty":"OKP","crv":"Ed25519","x":"11qYAYKxCrfVS_7TyWQHOg7hcvPapiMlrwIaaPcHURo"}"#;
    let discovered = Keys::Discovered {
        url: t("https://login.example/metadata"),
        origins: ts(&["https://keys.example"]),
    };
    let certificate = |by| CertificateCredential {
        by,
        consumer: 1,
        expires: Some(4_000_000_000_000),
        scopes: ts(&["pets:write"]),
    };
    Compiled {
        gateway: gateway(),
        issuers: vec![
            issuer("a", discovered),
            issuer("b", Keys::Inline(ts(&[jwk]))),
            issuer("c", Keys::Url(t("https://c.example/jwks.json"))),
            issuer("d", Keys::Secret(t("HMAC"))),
        ],
        plans: vec![plan("free"), plan("gold")],
        consumers: Lazy::from(vec![consumer("app"), consumer("batch")]),
        keys: vec![KeyCredential {
            sha256: [7; 32],
            consumer: 1,
            expires: Some(4_000_000_000_000),
            scopes: ts(&["pets:write"]),
        }],
        identities: Lazy::from(vec![Identity {
            issuer: 0,
            value: t("app-1"),
            client: Some(t("web")),
            consumer: 1,
        }]),
        certificates: vec![
            certificate(CertificateName::Subject(t("CN=CA"), t("CN=app"))),
            certificate(CertificateName::Key([9; 32])),
        ],
        apis: Lazy::from(vec![api("pets"), other]),
        operations: operations(),
        models: vec![model("chat"), model("large")],
        providers: vec![
            provider("one", granted()),
            provider("three", CredentialValue::Secret(t("SECRET"))),
            provider("two", signed()),
        ],
        mocks: vec![Mock {
            name: t("fast"),
            rules: vec![MockRule {
                contains: Some(t("hello")),
                tools: Some(true),
                tool_result: Some(true),
                answer: MockAnswer {
                    status: 200,
                    retry_after: Some(3),
                    text: t("Hi."),
                    tool_calls: vec![MockToolCall {
                        name: t("look"),
                        arguments: t("{}"),
                    }],
                    usage: Some((3, 4)),
                    first_delay: 5,
                    delay: 6,
                    end: MockEnd::Cut(3),
                },
            }],
        }],
        zones: vec![Zone {
            name: t("Europe/Berlin"),
            offsets: vec![(0, 3600), (1_700_000_000_000, 7200)],
        }],
        claims: vec![Claim {
            path: ts(&["tenant"]),
            kind: Some(ClaimKind::Text),
            issuers: vec![0, 1],
        }],
        secrets: ts(&["SECRET"]),
        points: vec![point("relations"), point("roles")],
        ..Compiled::default()
    }
}
