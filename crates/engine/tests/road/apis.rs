//! Operations of APIs: bodies, queries, headers, mocks, lifecycle; and the order of the phases.

use serde_json::json;
use turnpike_engine::step::{BodyFailure, Failure};
use turnpike_policy::{Handler, Rate};

use crate::policy::{FIRST, SUNSET};
use crate::world::{Does, Request, World, ask, ask_stream, chat};

fn create(body: &[u8]) -> Request {
    Request::new("POST", "/petstore/v2/pets")
        .by("demo")
        .body("application/json", body)
}

fn steps(request: &Request) -> Vec<&'static str> {
    World::new().send(request).steps
}

#[test]
fn a_body_is_not_taken_in_an_encoding_that_its_reader_could_not_know() {
    let mut world = World::new();
    let refused = world.send(&create(b"\x1f\x8b").header("content-encoding", "gzip"));
    assert_eq!(
        (refused.status, &*refused.code()),
        (415, "unsupported_media_type")
    );
    assert_eq!(refused.header("accept-encoding"), Some("identity"));
    let refused = world.send(
        &chat(&json!({"model": "plain", "messages": []}))
            .by("demo")
            .header("content-encoding", "zstd"),
    );
    assert_eq!(
        (refused.status, &*refused.code()),
        (415, "unsupported_media_type")
    );
    world.expect("pets", [Does::status(201, "{}")]);
    let passed = world.send(&create(b"{}").header("content-encoding", "identity"));
    assert_eq!(passed.status, 201);
}

#[test]
fn a_call_reaches_its_upstream_with_what_is_named_and_nothing_else() {
    let mut request = create(br#"{"name":"Tom"}"#)
        .header("x-pet", "cat")
        .header("x-internal", "1")
        .header("cookie", "a=b")
        .header("x-request-id", "forged")
        .header("x-forwarded-for", "10.0.0.1")
        .header(
            "traceparent",
            "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01",
        )
        .header("tracestate", "vendor=1");
    request
        .url
        .push_str("?limit=5&debug=1&dry%20run=&%6Cimit=6&limi=7&dry+run=y&limit");
    let mut world = World::new();
    world.expect(
        "pets",
        [Does::status(201, r#"{"id":1}"#)
            .header("etag", "\"1\"")
            .header("server", "x")
            .header("set-cookie", "s=1")],
    );
    let answer = world.send(&request);
    let sent = &answer.sent[0];
    assert_eq!(
        sent.url,
        "https://pets.example/base/pets?limit=5&dry%20run=&%6Cimit=6&dry+run=y&limit"
    );
    assert_eq!(
        (sent.method.as_str(), sent.body.as_slice()),
        ("POST", br#"{"name":"Tom"}"#.as_slice())
    );
    let names: Vec<_> = sent.headers.keys().map(String::as_str).collect();
    assert_eq!(
        names,
        [
            "content-type",
            "traceparent",
            "tracestate",
            "x-pet",
            "x-request-id"
        ]
    );
    assert!(sent.headers["traceparent"].starts_with("00-4bf92f3577b34da6a3ce929d0e0e4736-"));
    assert!(
        !sent.headers["traceparent"].contains("00f067aa0ba902b7"),
        "the span is the gateway's own"
    );
    assert_eq!(
        sent.headers["x-request-id"],
        answer.header("x-request-id").unwrap()
    );
    assert_eq!((answer.status, answer.text().as_str()), (201, r#"{"id":1}"#));
    assert_eq!(answer.header("etag"), Some("\"1\""));
    assert_eq!(
        (answer.header("server"), answer.header("set-cookie")),
        (None, None)
    );
    assert_eq!(answer.log()["trace_id"], "4bf92f3577b34da6a3ce929d0e0e4736");
    assert_eq!(answer.log()["operation"], "petstore/v2#createPet");
}

#[test]
fn a_trace_state_without_its_trace_is_dropped() {
    for parent in [
        None,
        Some("nonsense"),
        Some("00-00000000000000000000000000000000-00f067aa0ba902b7-01"),
    ] {
        let mut request = create(b"{}").header("tracestate", "vendor=1");
        if let Some(parent) = parent {
            request = request.header("traceparent", parent);
        }
        let answer = World::new().send(&request);
        assert!(!answer.sent[0].headers.contains_key("tracestate"));
        assert_eq!(answer.sent[0].headers["traceparent"].len(), 55);
    }
}

#[test]
fn a_literal_wins_over_a_parameter() {
    let answer = World::new().send(&Request::get("/petstore/v2/pets/latest").by("demo"));
    assert_eq!(answer.log()["operation"], "petstore/v2#latest");
    let answer = World::new().send(&Request::get("/petstore/v2/pets/%6catest").by("demo"));
    assert_eq!(
        answer.log()["operation"],
        "petstore/v2#latest",
        "in canonical form"
    );
    let answer = World::new().send(&Request::get("/petstore/v2/pets/last").by("demo"));
    assert_eq!(answer.log()["operation"], "petstore/v2#getPet");
    assert_eq!(answer.sent[0].url, "https://pets.example/base/pets/last");
    assert!(answer.sent[0].headers.contains_key("x-pets-key"));
}

#[test]
fn bodies_are_judged_by_what_is_announced() {
    for (what, request, status, expected) in [
        ("announced", create(&[b'x'; 1000]), 200, vec!["attempt", "finish"]),
        (
            "too much is announced",
            create(&[b'x'; 1001]),
            413,
            vec!["finish"],
        ),
        (
            "of unknown length",
            Request::new("POST", "/petstore/v2/pets")
                .by("demo")
                .chunked("application/json", &[b'x'; 1000]),
            200,
            vec!["body", "attempt", "finish"],
        ),
        (
            "of unknown length, too large",
            Request::new("POST", "/petstore/v2/pets")
                .by("demo")
                .chunked("application/json", &[b'x'; 1001]),
            413,
            vec!["body", "finish"],
        ),
        (
            "of another type",
            create(b"x").header("content-type", "text/plain"),
            415,
            vec!["finish"],
        ),
        (
            "of a range of types",
            create(b"x").header("content-type", "image/png"),
            200,
            vec!["attempt", "finish"],
        ),
        (
            "with parameters",
            create(b"{}").header("content-type", "Application/JSON;charset=utf-8"),
            200,
            vec!["attempt", "finish"],
        ),
        (
            "of two types",
            create(b"{}").header("content-type", "application/json, text/plain"),
            400,
            vec!["finish"],
        ),
        (
            "of a signed length",
            create(b"{}").header("content-length", "+2"),
            400,
            vec!["finish"],
        ),
        ("empty", create(b""), 200, vec!["attempt", "finish"]),
        (
            "none",
            Request::new("POST", "/petstore/v2/pets").by("demo"),
            200,
            vec!["attempt", "finish"],
        ),
        (
            "unexpected",
            Request::get("/petstore/v2/pets/1")
                .by("demo")
                .body("text/plain", b"x"),
            400,
            vec!["finish"],
        ),
        (
            "unexpected, of unknown length",
            Request::get("/petstore/v2/pets/1")
                .by("demo")
                .chunked("text/plain", b"x"),
            400,
            vec!["finish"],
        ),
        (
            "unexpected, but empty",
            Request::get("/petstore/v2/pets/1")
                .by("demo")
                .body("text/plain", b""),
            200,
            vec!["attempt", "finish"],
        ),
    ] {
        let answer = World::new().send(&request);
        assert_eq!(
            (answer.status, &answer.steps),
            (status, &expected),
            "{what}: {}",
            answer.text()
        );
        if status == 200 {
            assert_eq!(answer.sent[0].body, request.body.unwrap_or_default(), "{what}");
        }
    }
}

#[test]
fn what_does_not_depend_on_the_body_is_decided_before_it_is_read() {
    let huge = vec![b'x'; 50_000];
    let unread = |request: Request, status: u16| {
        let answer = World::new().send(&request);
        assert_eq!(
            (answer.status, answer.steps.contains(&"body")),
            (status, false),
            "{}",
            answer.text()
        );
    };
    let call = || Request::new("POST", "/petstore/v2/pets").chunked("application/json", &huge);
    unread(call(), 401);
    unread(call().by("idle"), 403);
    unread(call().by("narrow"), 403);
    unread(call().by("demo").header("content-type", "text/plain"), 415);
    let model = || Request::new("POST", "/v1/chat/completions").chunked("application/json", &huge);
    unread(model(), 401);
    unread(model().by("idle"), 403);
    unread(model().by("demo").header("content-type", "text/plain"), 415);
    unread(model().by("demo").header("content-length", "100001"), 413);
}

#[test]
fn the_phases_come_in_their_order() {
    // Each of these is wrong in every later respect too; the earlier phase is the one that answers.
    let wrong = |path: &str| {
        Request::new("POST", path)
            .by("nobody")
            .chunked("text/plain", b"{")
            .header("prefer", "code=418")
    };
    for (request, code) in [
        (wrong("/petstore/v2//pets"), "ambiguous_path"),
        (wrong("/petstore/v0/pets/1"), "not_found"),
        (wrong("/petstore/v1/pets"), "method_not_allowed"),
        (wrong("/petstore/v2/pets"), "credential_invalid"),
        (wrong("/petstore/v2/pets").by("narrow"), "insufficient_scope"),
        (wrong("/petstore/v2/pets").by("demo"), "unsupported_media_type"),
        (wrong("/v1/chat/completions").by("idle"), "model_not_allowed"),
        (
            wrong("/v1/chat/completions").by("quota"),
            "unsupported_media_type",
        ),
    ] {
        assert_eq!(World::new().send(&request).code(), code);
    }
    assert_eq!(
        steps(&ask("lone").by("minute")),
        ["body", "meter", "attempt", "answer", "finish"]
    );
    assert_eq!(steps(&create(b"{}").by("minute")), ["meter", "attempt", "finish"]);
    let chunked = Request::new("POST", "/petstore/v2/pets")
        .by("minute")
        .chunked("application/json", b"{}");
    assert_eq!(steps(&chunked), ["body", "meter", "attempt", "finish"]);
}

#[test]
fn the_shield_counts_refusals_and_comes_first() {
    let mut world = World::with(|policy| {
        policy.gateway.shield = Rate {
            count: 10,
            period: 1000,
            burst: 10,
        }
    });
    let bad = [
        Request::get("/nothing"),
        Request::get("/petstore/v2/pets"),
        Request::get("/a//b"),
        Request::new("TRACE", "/x"),
        Request::new("OPTIONS", "/petstore/v2/pets")
            .header("origin", "https://evil.example")
            .header("access-control-request-method", "GET"),
    ];
    for request in bad.iter().cycle().take(10) {
        assert_ne!(world.send(request).status, 429);
    }
    for request in bad.iter().chain([
        &Request::get("/petstore/v2/pets").by("demo"),
        &Request::get("/_turnpike/health"),
    ]) {
        let answer = world.send(request);
        assert_eq!(
            (answer.status, answer.code().as_str()),
            (429, "too_many_requests")
        );
        assert_eq!(answer.header("retry-after"), Some("1"));
        assert_eq!(answer.steps, ["finish"]);
    }
    let elsewhere = Request::get("/petstore/v2/pets")
        .by("demo")
        .header("cf-connecting-ip", "192.0.2.7");
    assert_eq!(
        world.send(&elsewhere).status,
        200,
        "another address is not held back"
    );
    world.now += 100;
    assert_eq!(
        world.send(&Request::get("/petstore/v2/pets").by("demo")).status,
        200
    );
    assert_eq!(
        world.send(&Request::get("/petstore/v2/pets").by("demo")).status,
        429
    );
}

#[test]
fn bodies_that_do_not_arrive_have_their_own_codes() {
    for (failure, status, code) in [
        (BodyFailure::TooLarge, 413, "body_too_large"),
        (BodyFailure::Incomplete, 400, "body_incomplete"),
        (BodyFailure::Busy, 503, "overloaded"),
        (BodyFailure::Share, 429, "uploads_limited"),
    ] {
        let mut request = ask("fast");
        request.broken = Some(failure);
        let answer = World::new().send(&request);
        assert_eq!((answer.status, answer.code().as_str()), (status, code));
    }
}

#[test]
fn bodies_that_two_parsers_could_read_differently_are_refused() {
    for (body, code, param) in [
        (r#"{"model":"fast","model":"smart"}"#, "invalid_request", "model"),
        (r#"{"model":"fast","Model":"smart"}"#, "invalid_request", "model"),
        (r#"{"model":7}"#, "invalid_request", "model"),
        (r#"{"model":"fast","stream":"yes"}"#, "invalid_request", "stream"),
        (r#"{"model":"fast"}"#, "invalid_request", "messages"),
        (
            r#"{"model":"fast","messages":"hi"}"#,
            "invalid_request",
            "messages",
        ),
        (
            r#"{"model":"fast","messages":[],"provider":{}}"#,
            "invalid_request",
            "provider",
        ),
        (r#"{"model":"fast"} {}"#, "invalid_json", ""),
        ("\u{feff}{\"model\":\"fast\"}", "invalid_json", ""),
        ("", "invalid_json", ""),
        ("[]", "invalid_request", ""),
        ("nul", "invalid_json", ""),
    ] {
        let answer = World::new().send(&ask("fast").body("application/json", body.as_bytes()));
        let error = answer.json()["error"].clone();
        assert_eq!((answer.status, &error["code"]), (400, &json!(code)), "{body}");
        assert_eq!(error["param"].as_str().unwrap_or_default(), param, "{body}");
    }
    let answer = World::new().send(&ask("fast").body("application/json", b"{\"model\":\"\xff\"}"));
    assert_eq!(answer.code(), "invalid_json");
}

#[test]
fn mocked_operations_answer_their_examples() {
    let pets = |prefer: Option<&str>| {
        let request = Request::get("/petstore/v2/pets").by("demo");
        World::new().send(&match prefer {
            Some(prefer) => request.header("prefer", prefer),
            None => request,
        })
    };
    for (prefer, status, body, applied) in [
        (None, 200, r#"["Tom"]"#, None),
        (Some("respond-async, wait=10"), 200, r#"["Tom"]"#, None),
        (Some("example=dogs"), 200, r#"["Rex"]"#, Some("example=dogs")),
        (Some("code=404"), 404, r#"{"error":"none"}"#, Some("code=404")),
        (
            Some("code=200, example=\"dogs\""),
            200,
            r#"["Rex"]"#,
            Some("code=200, example=dogs"),
        ),
    ] {
        let answer = pets(prefer);
        assert_eq!(
            (answer.status, answer.text().as_str()),
            (status, body),
            "{prefer:?}"
        );
        assert_eq!(answer.header("preference-applied"), applied);
        assert_eq!(answer.header("x-mock"), Some("example"));
        assert_eq!(answer.steps, ["finish"]);
        assert_eq!(answer.log()["decision"], "passed");
    }
    let answer = pets(Some("code=500"));
    assert_eq!(
        (answer.status, answer.code().as_str()),
        (400, "preference_invalid")
    );
    // Where mocks may not be steered, nobody steers them.
    let mut world = World::with(|policy| policy.gateway.mocks = false);
    let request = Request::get("/petstore/v2/pets")
        .by("demo")
        .header("prefer", "code=404");
    assert_eq!(world.send(&request).status, 200);
    let answer = World::new().send(&Request::new("DELETE", "/petstore/v2/pets/1").by("demo"));
    assert_eq!(
        (answer.status, answer.body.len(), answer.header("content-type")),
        (204, 0, None)
    );
}

#[test]
fn a_public_operation_needs_no_credential_and_its_neighbours_do() {
    let mut world = World::new();
    world.meter_down = true;
    let answer = world.send(&Request::get("/status/v1/ping"));
    assert_eq!((answer.status, answer.text().as_str()), (200, r#"{"up":true}"#));
    assert_eq!(answer.log().get("consumer"), None);
    assert_eq!(world.send(&Request::get("/petstore/v2/pets")).status, 401);
}

#[test]
fn head_is_get_without_a_body() {
    for path in ["/petstore/v2/pets", "/petstore/v2/pets/1", "/status/v1/ping"] {
        let get = World::new().send(&Request::get(path).by("demo"));
        let head = World::new().send(&Request::new("HEAD", path).by("demo"));
        assert_eq!((head.status, head.body.len()), (get.status, 0));
        assert_eq!(head.header("content-type"), get.header("content-type"));
        assert!(head.sent.iter().all(|sent| sent.method == "HEAD"));
    }
    let refused = World::new().send(&Request::new("HEAD", "/nothing"));
    assert_eq!((refused.status, refused.body.len()), (404, 0));
    assert_eq!(
        World::new()
            .send(&Request::new("HEAD", "/v1/chat/completions"))
            .status,
        405
    );
}

#[test]
fn every_answer_names_its_policies_where_they_say_so() {
    let requests = [
        Request::get("/petstore/v2/pets").by("demo"),
        Request::get("/petstore/v2/pets"),
        Request::get("/nothing"),
        Request::new("OPTIONS", "/petstore/v2/pets"),
        Request::new("TRACE", "/"),
        Request::get("/_turnpike/limits").by("demo"),
        Request::get("/v1/models").by("demo"),
        ask("lone"),
        ask_stream("lone"),
    ];
    let hash = "07".repeat(32);
    for request in &requests {
        let hidden = World::new().send(request);
        assert_eq!(hidden.header("x-turnpike-policy"), None, "{request:?}");
        let shown = World::with(|policy| policy.gateway.show_hash = true).send(request);
        assert_eq!(
            (shown.status, shown.header("x-turnpike-policy")),
            (hidden.status, Some(hash.as_str())),
            "{request:?}"
        );
    }
}

#[test]
fn versions_say_where_they_are_in_their_life() {
    let mut world = World::new();
    let answer = world.send(&Request::get("/petstore/v1/pets").by("demo"));
    assert_eq!(answer.status, 200);
    assert_eq!(answer.header("deprecation"), Some("@1799971200"));
    assert_eq!(answer.header("sunset"), Some("Sun, 17 Jan 2027 00:00:00 GMT"));
    assert_eq!(
        answer.header("link"),
        Some("</petstore/v2>; rel=\"successor-version\"")
    );
    // A refusal says it too.
    let refused = world.send(&Request::get("/petstore/v1/pets").by("idle"));
    assert!(refused.status == 403 && refused.header("sunset").is_some());
    world.now = SUNSET - 1;
    assert_eq!(
        world.send(&Request::get("/petstore/v1/pets").by("demo")).status,
        200
    );
    world.now = SUNSET;
    let answer = world.send(&Request::get("/petstore/v1/pets").by("demo"));
    assert_eq!((answer.status, answer.code().as_str()), (410, "gone"));
    assert_eq!(
        answer.header("link"),
        Some("</petstore/v2>; rel=\"successor-version\"")
    );
    assert!(answer.json()["detail"].as_str().unwrap().contains("/petstore/v2"));
    let answer = world.send(&Request::get("/petstore/v0/pets").by("demo"));
    assert_eq!((answer.status, answer.header("link")), (410, None));
    let answer = world.send(&Request::get("/petstore/v2/pets").by("demo"));
    assert_eq!(
        (
            answer.header("deprecation"),
            answer.header("sunset"),
            answer.header("link")
        ),
        (None, None, None)
    );
}

#[test]
fn upstreams_of_apis_fail_with_their_own_codes() {
    let get = |does: Does| {
        let mut world = World::new();
        world.expect("pets", [does]);
        world.send(&Request::get("/petstore/v2/pets/1").by("demo"))
    };
    for (does, status, code) in [
        (Does::Fails(Failure::Unreachable), 502, "upstream_unreachable"),
        (Does::Fails(Failure::Timeout), 504, "upstream_timeout"),
        (
            Does::status(200, "late").after(FIRST + 1),
            504,
            "upstream_timeout",
        ),
        (Does::status(101, ""), 502, "upstream_invalid"),
    ] {
        let answer = get(does);
        assert_eq!((answer.status, answer.code().as_str()), (status, code));
        assert_eq!(answer.sent.len(), 1, "an API's upstream is asked once");
        assert!(answer.log()["attempts"][0]["failed"].is_string());
    }
    // Its own answers are the client's, errors and redirects included.
    for status in [200, 302, 400, 401, 403, 404, 429, 500, 503] {
        let answer = get(Does::status(status, "{}"));
        assert_eq!((answer.status, answer.text().as_str()), (status, "{}"));
        assert_eq!(answer.log().get("code"), None);
    }
    for status in [204, 304] {
        assert!(get(Does::status(status, "")).body.is_empty());
    }
}

#[test]
fn pages_of_the_gateway_are_answered_by_the_other_half() {
    for path in ["/_turnpike/health", "/.well-known/api-catalog"] {
        let answer = World::new().send(&Request::get(&format!("{path}?key=hidden")));
        assert_eq!(answer.steps, ["cold", "finish"]);
        assert_eq!(answer.log()["operation"], path);
        assert!(!answer.log_text.contains("hidden"));
    }
}

#[test]
fn a_body_that_must_be_measured_is_not_read_for_a_mock_that_takes_none() {
    let mut world = World::with(|policy| {
        let create = policy
            .operations
            .iter_mut()
            .find(|operation| operation.id == "createPet")
            .unwrap();
        create.handler = Handler::Mock(vec![turnpike_policy::MockResponse {
            status: 201,
            name: String::new(),
            content_type: "application/json".to_owned(),
            body: b"{}".to_vec(),
        }]);
    });
    assert_eq!(world.send(&create(b"{}")).status, 201);
    assert_eq!(world.send(&create(&[b'x'; 1001])).status, 413);
    let large = Request::new("POST", "/petstore/v2/pets")
        .by("demo")
        .chunked("application/json", &[b'x'; 1001]);
    assert_eq!(world.send(&large).status, 413);
}

#[test]
fn a_chat_may_come_without_its_length() {
    let body = json!({ "model": "lone", "messages": [] }).to_string();
    let request = Request::new("POST", "/v1/chat/completions")
        .by("demo")
        .chunked("application/json", body.as_bytes());
    assert_eq!(World::new().send(&request).status, 200);
    // Which model it is for decides how large it may be.
    let large =
        chat(&json!({ "model": "guarded", "messages": [{ "role": "user", "content": "x".repeat(300) }] }));
    assert_eq!(World::new().send(&large).code(), "body_too_large");
    let mut request =
        chat(&json!({ "model": "lone", "messages": [{ "role": "user", "content": "x".repeat(100_000) }] }));
    assert_eq!(World::new().send(&request).code(), "body_too_large");
    request.headers.retain(|(name, _)| name != "content-length");
    assert_eq!(World::new().send(&request).code(), "body_too_large");
}
