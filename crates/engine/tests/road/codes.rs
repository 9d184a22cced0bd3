//! Every code can be reached by some request, and says the same in the shape of its client.

use serde_json::{Value, json};
use turnpike_engine::error::Code;
use turnpike_engine::step::{BodyFailure, Ending, Failure, Undecided};
use turnpike_policy::{Comparison, Condition, Method, Operand, Rate, Route, Rule};

use crate::bound;
use crate::decisions;
use crate::introspection;
use crate::operators::credit;
use crate::policy::REMOTE;
use crate::streams::{DONE, ROLE, TOKEN};
use crate::world::{Answer, Does, Request, SECRET_VALUE, World, ask, ask_stream, chat, token};

fn pets() -> Request {
    Request::get("/petstore/v2/pets").by("demo")
}

fn create(kind: &str, body: &[u8]) -> Request {
    Request::new("POST", "/petstore/v2/pets")
        .by("demo")
        .body(kind, body)
}

fn upstream(does: Does, request: &Request) -> Answer {
    let mut world = World::new();
    let host = if request.url.contains("/v1/chat") {
        "alpha"
    } else {
        "pets"
    };
    world.expect(host, [does]);
    world.send(request)
}

/// The first request that is refused, after as many as it takes.
fn until_refused(request: &Request) -> Answer {
    let mut world = World::new();
    for _ in 0..200 {
        let answer = world.send(request);
        if answer.status >= 400 {
            return answer;
        }
    }
    panic!("never refused")
}

#[expect(clippy::too_many_lines, reason = "a table: one row for each code")]
/// An answer with this code, on an API (first) or on a model surface (second), where there can be one.
fn produce(code: Code) -> (Option<Answer>, Option<Answer>) {
    let send = |request: Request| Some(World::new().send(&request));
    let both = |change: &dyn Fn(Request) -> Request| (send(change(pets())), send(change(ask("fast"))));
    match code {
        Code::AmbiguousPath => (
            send(Request::get("/petstore/v2/pets%2f1").by("demo")),
            send(Request::get("/v1/models/a%2fb").by("demo")),
        ),
        Code::AmbiguousHeader => both(&|request| request.header("content-length", "1, 1")),
        Code::MethodUnknown => both(&|mut request| {
            request.method.replace_range(.., "TRACE");
            request
        }),
        Code::UriTooLong => both(&|mut request| {
            request.url = format!("{}?{}", request.url, "x".repeat(9000));
            request
        }),
        Code::HeaderTooLarge => both(&|request| request.header("traceparent", &"x".repeat(9000))),
        Code::OriginNotAllowed => both(&|mut request| {
            request.method.replace_range(.., "OPTIONS");
            request
                .header("origin", "https://evil.example")
                .header("access-control-request-method", "GET")
        }),
        Code::UnknownHost => both(&|mut request| {
            request.url = request.url.replace("api.example", "other.example");
            request
        }),
        Code::NotFound => (
            send(Request::get("/nothing").by("demo")),
            send(Request::get("/v1/nothing").by("demo")),
        ),
        Code::MethodNotAllowed => (
            send(Request::new("PUT", "/petstore/v2/pets").by("demo")),
            send(Request::get("/v1/chat/completions").by("demo")),
        ),
        Code::Gone => (
            send(Request::get("/petstore/v0/pets").by("demo")),
            send(ask("retired")),
        ),
        Code::TooManyRequests => {
            let shielded = |request: Request| {
                let mut world = World::with(|policy| {
                    policy.gateway.shield = Rate {
                        count: 1,
                        period: 1000,
                        burst: 1,
                    };
                });
                world.send(&request);
                Some(world.send(&request))
            };
            (shielded(pets()), shielded(ask("fast")))
        }
        Code::CredentialMissing => both(&|mut request| {
            request.headers.retain(|(name, _)| name != "authorization");
            request
        }),
        Code::CredentialAmbiguous => both(&|request| request.header("x-api-key", "tpk_other_1")),
        Code::CredentialInvalid => both(&|request| request.header("authorization", "Bearer tpk_no_such")),
        Code::CredentialExpired => both(&|request| request.by("dated")),
        Code::DpopProofInvalid => {
            let unproved = |request: Request| Some(bound::gateway().send(&bound::with_proof(request, "")));
            (unproved(pets()), unproved(ask("fast")))
        }
        Code::DpopUnavailable => {
            let down = |request: Request| {
                let mut world = bound::gateway();
                world.meter_down = true;
                Some(world.send(&bound::proved(request, "a")))
            };
            (down(pets()), down(ask("fast")))
        }
        Code::KeysUnavailable => {
            both(&|request| request.header("authorization", &format!("Bearer {}", token(REMOTE, |_| {}))))
        }
        Code::IntrospectionUnavailable => {
            let asked = |request: Request| {
                let request = request.header("authorization", "Bearer opaque");
                Some(introspection::world().send(&request))
            };
            (asked(pets()), asked(ask("fast")))
        }
        Code::SecretMissing => {
            let lacking = |request: Request| Some(World::new().without_secrets().send(&request));
            (
                lacking(Request::get("/petstore/v2/pets/1").by("demo")),
                lacking(ask("keyed")),
            )
        }
        Code::BodyUnexpected => (send(pets().body("text/plain", b"hello")), None),
        Code::BodyTooLarge => (
            send(create("application/json", &[b'x'; 1001])),
            send(chat(
                &json!({ "model": "guarded", "messages": [], "text": "x".repeat(200) }),
            )),
        ),
        Code::BodyIncomplete => {
            let broken = |mut request: Request| {
                request.broken = Some(BodyFailure::Incomplete);
                request.headers.retain(|(name, _)| name != "content-length");
                send(request)
            };
            (broken(create("application/json", b"{}")), broken(ask("fast")))
        }
        Code::UploadsLimited => {
            let mut api = create("application/json", b"{}").chunked("application/json", b"{}");
            api.headers.retain(|(name, _)| name != "content-length");
            let mut model = ask("fast");
            for request in [&mut api, &mut model] {
                request.broken = Some(BodyFailure::Share);
            }
            (send(api), send(model))
        }
        Code::UnsupportedMediaType => (
            send(create("text/plain", b"x")),
            send(ask("fast").header("content-type", "text/plain")),
        ),
        Code::InvalidJson => (None, send(ask("fast").body("application/json", b"{"))),
        Code::InvalidRequest => (None, send(chat(&json!({ "messages": [] })))),
        Code::Overloaded => {
            let mut request = create("application/json", b"{}").chunked("application/json", b"{}");
            request.headers.retain(|(name, _)| name != "content-length");
            request.broken = Some(BodyFailure::Busy);
            (
                send(request),
                Some(upstream(Does::Fails(Failure::Busy), &ask("lone"))),
            )
        }
        Code::OperationNotAllowed => (send(pets().by("idle")), None),
        Code::InsufficientScope => (send(create("application/json", b"{}").by("narrow")), None),
        Code::ConditionNotMet => {
            let mut world = World::with(|compiled| {
                for operation in compiled.operations.iter_mut() {
                    operation.rules = vec![Rule {
                        when: Condition::Compare(
                            Operand::Method,
                            Comparison::Equal,
                            Operand::Text("PUT".to_owned()),
                        ),
                        origin: "policies/apis/petstore/api.yaml:9".to_owned(),
                    }];
                }
            });
            (Some(world.send(&pets())), None)
        }
        Code::RelationMissing => (Some(decisions::answered(Ok(r#"{"decision":false}"#))), None),
        Code::DecisionUnavailable => (Some(decisions::answered(Err(Undecided::Unreachable))), None),
        Code::ModelNotAllowed => (None, send(ask("smart").by("trial"))),
        Code::ModelNotFound => (None, send(ask("gpt-none"))),
        Code::RateLimited => (
            Some(until_refused(&pets().by("minute"))),
            Some(until_refused(&ask("fast").by("minute"))),
        ),
        Code::QuotaExceeded => (
            Some(until_refused(&pets().by("quota"))),
            Some(until_refused(&ask("fast").by("quota"))),
        ),
        Code::BudgetExceeded => {
            let mut world = World::new();
            world.loses_settlements = true;
            let refused = (0..200)
                .map(|_| world.send(&ask("priced").by("money")))
                .find(|answer| answer.status >= 400);
            (None, refused)
        }
        Code::ConcurrencyLimited => {
            let third = |request: &Request| {
                let mut world = World::new();
                for _ in 0..2 {
                    // Admitted, and never over.
                    let next = world.begin(&request.clone().by("places"));
                    let next = world.read(request, next);
                    let turnpike_engine::Step::Meter { object, ask } = next.step else {
                        panic!("{:?}", next.step)
                    };
                    world.decide(&object, &ask);
                }
                Some(world.send(&request.clone().by("places")))
            };
            (third(&pets()), third(&ask("fast")))
        }
        Code::OperatorRequired => (send(credit("minute", "quota:3-1h", 1)), None),
        Code::CreditExceeded => (send(credit("works", "quota:3-1h", 6)), None),
        Code::CreditConflict => {
            let mut world = World::new();
            world.send(&credit("works", "quota:3-1h", 1));
            (Some(world.send(&credit("works", "quota:3-1h", 2))), None)
        }
        Code::Denied => {
            let denied = |request: Request| {
                let mut world = crate::denials::denying();
                world.send(&crate::denials::deny("consumer", "demo", "one"));
                Some(world.send(&request))
            };
            (denied(pets()), denied(ask("fast")))
        }
        Code::DenialConflict => {
            let mut world = crate::denials::denying();
            world.send(&crate::denials::deny("consumer", "demo", "one"));
            (
                Some(world.send(&crate::denials::deny("consumer", "idle", "one"))),
                None,
            )
        }
        Code::LimiterUnavailable => {
            let down = |request: Request| {
                let mut world = World::new();
                world.meter_down = true;
                Some(world.send(&request))
            };
            (down(pets().by("minute")), down(ask("fast").by("minute")))
        }
        Code::PreferenceInvalid => (send(pets().header("prefer", "code=418")), None),
        Code::UpstreamUnreachable => failing(Does::Fails(Failure::Unreachable)),
        Code::UpstreamTokenUnavailable => failing(Does::Fails(Failure::NoToken)),
        Code::UpstreamTimeout => failing(Does::Fails(Failure::Timeout)),
        Code::UpstreamRateLimited => (None, Some(upstream(Does::status(429, "{}"), &ask("lone")))),
        Code::UpstreamOverloaded => (None, Some(upstream(Does::status(529, "{}"), &ask("lone")))),
        Code::UpstreamError => (None, Some(upstream(Does::status(500, "{}"), &ask("lone")))),
        Code::UpstreamRefused => (None, Some(upstream(Does::status(401, "{}"), &ask("lone")))),
        Code::UpstreamInvalid => (
            Some(upstream(
                Does::status(199, ""),
                &Request::get("/petstore/v2/pets/1").by("demo"),
            )),
            Some(upstream(Does::status(200, "<html>"), &ask("lone"))),
        ),
        Code::StreamCut => (
            None,
            Some(upstream(
                Does::streams(&[ROLE, TOKEN], Ending::Lose),
                &ask_stream("lone"),
            )),
        ),
        Code::StreamStalled => (
            None,
            Some(upstream(
                Does::streams(&[ROLE, TOKEN], Ending::Stall),
                &ask_stream("lone"),
            )),
        ),
        Code::StreamFailed => {
            let failing = "data: {\"error\":{\"message\":\"no\"}}\n\n";
            let streams = Does::streams(&[ROLE, TOKEN, failing, DONE], Ending::Close);
            (None, Some(upstream(streams, &ask_stream("lone"))))
        }
        Code::Internal => {
            // A bundle that contradicts itself: two routes lead to nothing.
            let broken = || {
                World::with(|policy| {
                    for node in policy.routes.nodes.iter_mut() {
                        for (method, route) in &mut node.methods {
                            if let (Method::Get, Route::Operation(index)) = (*method, &mut *route) {
                                *index = 1000;
                            }
                        }
                    }
                    policy
                        .models
                        .iter_mut()
                        .for_each(|model| model.targets[0].provider = 1000);
                })
            };
            (Some(broken().send(&pets())), Some(broken().send(&ask("lone"))))
        }
    }
}

fn failing(does: Does) -> (Option<Answer>, Option<Answer>) {
    let api = upstream(does.clone(), &Request::get("/petstore/v2/pets/1").by("demo"));
    (Some(api), Some(upstream(does, &ask("lone"))))
}

/// The object of an error event: the last one.
fn event_error(answer: &Answer) -> Value {
    let events = answer.events();
    let last: Value = serde_json::from_str(events.last().expect("an event")).expect("JSON");
    last["error"].clone()
}

#[test]
fn every_code_is_reached_and_has_the_shape_of_its_client() {
    for code in Code::ALL {
        let (api, model) = produce(*code);
        let text = code.text();
        assert!(api.is_some() || model.is_some(), "nothing reaches {text}");
        let in_stream = text.starts_with("stream_");
        for (answer, is_model) in [(api, false), (model, true)] {
            let Some(answer) = answer else { continue };
            let context = format!("{text}: {:?} {}", answer.steps, answer.text());
            assert_eq!(answer.log()["code"], text, "{context}");
            let id = answer.header("x-request-id").expect("an id").to_owned();
            assert_eq!(answer.log()["request_id"], id.as_str(), "{context}");
            assert_eq!(id.len(), 32);
            if in_stream {
                assert_eq!(answer.status, 200, "{context}");
                let error = event_error(&answer);
                assert_eq!(
                    (&error["code"], &error["request_id"]),
                    (&json!(text), &json!(id)),
                    "{context}"
                );
                continue;
            }
            assert_eq!(answer.status, code.status(), "{context}");
            assert_eq!(answer.log()["status"], code.status(), "{context}");
            assert_eq!(answer.header("cache-control"), Some("no-store"), "{context}");
            let body = answer.json();
            if is_model {
                assert_eq!(
                    answer.header("content-type"),
                    Some("application/json"),
                    "{context}"
                );
                let error = &body["error"];
                assert_eq!(
                    (&error["code"], &error["request_id"]),
                    (&json!(text), &json!(id)),
                    "{context}"
                );
                assert!(
                    error["message"]
                        .as_str()
                        .is_some_and(|message| !message.is_empty())
                );
                assert!(
                    error["type"].is_string() && error.get("param").is_some(),
                    "{context}"
                );
            } else {
                assert_eq!(
                    answer.header("content-type"),
                    Some("application/problem+json"),
                    "{context}"
                );
                assert_eq!(
                    (&body["code"], &body["request_id"]),
                    (&json!(text), &json!(id)),
                    "{context}"
                );
                assert_eq!(
                    (&body["status"], &body["title"]),
                    (&json!(code.status()), &json!(code.title()))
                );
                assert!(
                    body["type"].is_string() && body["detail"].is_string(),
                    "{context}"
                );
            }
            assert!(!answer.text().contains(SECRET_VALUE) && !answer.log_text.contains(SECRET_VALUE));
        }
    }
}

#[test]
fn who_must_wait_is_told_how_long() {
    for code in [
        Code::TooManyRequests,
        Code::KeysUnavailable,
        Code::IntrospectionUnavailable,
        Code::SecretMissing,
        Code::Overloaded,
        Code::RateLimited,
        Code::QuotaExceeded,
        Code::BudgetExceeded,
        Code::ConcurrencyLimited,
        Code::LimiterUnavailable,
        Code::UpstreamTokenUnavailable,
    ] {
        let (api, model) = produce(code);
        for answer in [api, model].into_iter().flatten() {
            let after = answer
                .header("retry-after")
                .unwrap_or_else(|| panic!("{}", code.text()));
            assert!(after.parse::<u64>().is_ok_and(|seconds| seconds >= 1), "{after}");
        }
    }
}

#[test]
fn who_is_not_identified_is_challenged() {
    for code in [
        Code::CredentialMissing,
        Code::CredentialInvalid,
        Code::CredentialExpired,
        Code::InsufficientScope,
    ] {
        let (api, model) = produce(code);
        for answer in [api, model].into_iter().flatten() {
            assert!(
                answer
                    .header("www-authenticate")
                    .is_some_and(|value| value.starts_with("Bearer"))
            );
        }
    }
}

#[test]
fn the_policy_line_is_shown_only_where_explaining_is_allowed() {
    for explain in [true, false] {
        let refused =
            |request: Request| World::with(|policy| policy.gateway.explain = explain).send(&request);
        for (request, line) in [
            (pets().by("idle"), "policies/consumers/idle.yaml:1"),
            (
                create("application/json", b"{}").by("narrow"),
                "policies/apis/petstore/api.yaml:9",
            ),
            (ask("smart").by("trial"), "policies/consumers/trial.yaml:1"),
            (
                Request::get("/petstore/v0/pets").by("demo"),
                "policies/apis/petstore/api.yaml:7",
            ),
            (ask("retired"), "policies/models/retired.yaml:1"),
        ] {
            let answer = refused(request);
            let body = answer.json();
            let shown = body.get("policy").or_else(|| body["error"].get("policy"));
            assert_eq!(
                shown.and_then(Value::as_str),
                Some(line).filter(|_| explain),
                "{body}"
            );
            // The log always knows.
            assert_eq!(answer.log()["policy_line"], line);
            assert_eq!(answer.text().contains("policies/"), explain);
        }
    }
}

#[test]
fn a_missing_secret_is_named_by_its_policy_line_and_never_by_its_value() {
    let mut world = World::new().without_secrets();
    for (request, line) in [
        (ask("keyed"), "policies/providers/keyed.yaml:1"),
        (
            Request::get("/petstore/v2/pets/1").by("demo"),
            "policies/apis/petstore/getPet.yaml:2",
        ),
    ] {
        let answer = world.send(&request);
        assert_eq!((answer.status, answer.code().as_str()), (503, "secret_missing"));
        assert_eq!(answer.log()["policy_line"], line);
        assert_eq!(answer.log()["attempts"][0]["failed"], "secret_missing");
        assert!(!answer.text().contains("SECRET"), "{}", answer.text());
    }
    let token = token(crate::policy::SECRET, |_| {});
    let answer = world.send(&pets().header("authorization", &format!("Bearer {token}")));
    assert_eq!((answer.status, answer.code().as_str()), (503, "secret_missing"));
    assert!(answer.log()["reason"].as_str().unwrap().contains("MAC_KEY"));
    assert!(!answer.text().contains("MAC_KEY"));
}

#[test]
fn errors_before_a_route_is_known_take_their_shape_from_the_path_alone() {
    // An API whose own path holds a `v1`, and a query that does.
    for path in ["/petstore/v1/pets%2f1", "/petstore/v2/pets%2f1?next=/v1/models"] {
        let answer = World::new().send(&Request::get(path).by("demo"));
        assert_eq!(answer.code(), "ambiguous_path");
        assert_eq!(
            answer.header("content-type"),
            Some("application/problem+json"),
            "{path}"
        );
    }
    let answer = World::new().send(&Request::get("/v1/models//x").by("demo"));
    assert_eq!(answer.header("content-type"), Some("application/json"));
}

#[test]
fn a_fault_is_told_in_the_shape_of_the_path() {
    let mut world = World::new();
    for (method, url, kind, called) in [
        (
            "POST",
            "https://api.example/v1/chat/completions",
            "application/json",
            Some("chat.completions"),
        ),
        (
            "GET",
            "https://api.example/petstore/v1/pets",
            "application/problem+json",
            Some("petstore/v1#oldPets"),
        ),
        (
            "GET",
            "https://api.example/nothing",
            "application/problem+json",
            None,
        ),
        ("GET", "nonsense", "application/problem+json", None),
    ] {
        let lost = turnpike_engine::Lost {
            method,
            url,
            committed: false,
        };
        let random = turnpike_engine::accept::Random::default();
        let step = world.engine().fault(&lost, None, 0, &random);
        let turnpike_engine::Step::Finish(finish) = step else {
            panic!("{step:?}")
        };
        assert_eq!(finish.status, 500);
        assert!(
            finish
                .set
                .iter()
                .any(|(name, value)| name == "content-type" && value == kind),
            "{url}"
        );
        // Although nothing was in flight, the log says what was called.
        let line: serde_json::Value = serde_json::from_str(&finish.log.expect("a line")).expect("JSON");
        assert_eq!(
            (&line["code"], &line["method"]),
            (&"internal".into(), &method.into())
        );
        assert_eq!(line["operation"].as_str(), called, "{url}");
    }
}
