//! The log line of a request: what happened, and nothing that is a secret.

use serde_json::json;
use turnpike_engine::step::{Ending, Failure};
use turnpike_policy::LogRequests;

use crate::policy::{INLINE, NOW};
use crate::streams::{DONE, ROLE, TOKEN};
use crate::world::{Does, Request, SECRET_VALUE, World, ask, chat, token};

const MARK: &str = "never-to-be-logged";

#[test]
fn a_line_says_what_happened() {
    let mut world = World::new();
    world.expect("alpha", [Does::status(503, "{}")]);
    let answer = world.send(&ask("smart"));
    let log = answer.log();
    for (name, value) in [
        ("event", json!("request")),
        ("time", json!(NOW)),
        ("gateway", json!("test")),
        ("environment", json!("dev")),
        ("policy", json!("0707070707070707")),
        ("method", json!("POST")),
        ("operation", json!("chat.completions")),
        ("model", json!("smart")),
        ("consumer", json!("demo")),
        ("subject", json!("demo")),
        ("status", json!(200)),
        ("decision", json!("passed")),
    ] {
        assert_eq!(log[name], value, "{name}");
    }
    assert_eq!(log["ms"], answer.took);
    assert_eq!(log["trace_id"].as_str().map(str::len), Some(32));
    let attempts = log["attempts"].as_array().unwrap();
    assert_eq!(attempts.len(), 2);
    assert_eq!(attempts[0]["to"], "alpha/alpha-1");
    assert_eq!(
        (&attempts[0]["status"], &attempts[0]["failed"]),
        (&json!(503), &json!("overloaded"))
    );
    assert_eq!(
        (&attempts[1]["status"], attempts[1].get("failed")),
        (&json!(200), None)
    );
    assert!(attempts.iter().all(|attempt| attempt["ms"].is_u64()));
}

#[test]
fn a_line_says_what_an_attempt_may_be_billed_that_another_one_followed() {
    let mut world = World::new();
    // It may have been thinking when it was given up; the second and third time it had not begun.
    let busy = Does::status(503, "{}");
    world.expect("alpha", [Does::Fails(Failure::Timeout), busy.clone(), busy]);
    world.expect("beta", [Does::streams(&[TOKEN, DONE], Ending::Close)]);
    let stream = chat(&json!({ "model": "smart", "stream": true, "max_tokens": 30,
        "messages": [{ "role": "user", "content": "hi" }] }));
    let answer = world.send(&stream.by("demo"));
    let log = answer.log();
    assert_eq!((answer.status, &log["decision"]), (200, &json!("passed")));
    let attempts = log["attempts"].as_array().unwrap();
    assert_eq!(attempts.len(), 4, "{log}");
    assert_eq!(attempts[0]["usage"]["settled"], "bound", "{log}");
    assert_eq!(attempts[0]["usage"]["output_tokens"], 30, "{log}");
    for attempt in &attempts[1..] {
        assert_eq!(
            attempt.get("usage"),
            None,
            "that of the last one is the request's: {log}"
        );
    }
    assert!(log["usage"]["input_tokens"].is_u64(), "{log}");
}

#[test]
fn a_line_never_holds_a_credential_a_body_or_a_query() {
    let secretive = |request: Request| {
        let mut request = request
            .header("cookie", MARK)
            .header("prefer", MARK)
            .header("origin", &format!("https://{MARK}.example"))
            .header("x-pet", MARK)
            .header("tracestate", MARK);
        request.url = format!("{}?limit={MARK}&q={MARK}", request.url);
        request
    };
    let body = |model: &str, stream: bool| {
        chat(&json!({ "model": model, "stream": stream, "user": MARK,
            "messages": [{ "role": "user", "content": MARK }] }))
    };
    let signed = token(INLINE, |_| {});
    let bearer = format!("Bearer {signed}");
    let requests = [
        Request::get("/petstore/v2/pets").by("demo"),
        Request::get("/petstore/v2/pets/1").by("demo"),
        Request::new("POST", "/petstore/v2/pets")
            .by("demo")
            .body("application/json", MARK.as_bytes()),
        Request::new("POST", "/petstore/v2/pets")
            .by("narrow")
            .body("text/plain", MARK.as_bytes()),
        Request::get("/petstore/v2/pets").header("authorization", &bearer),
        Request::get("/petstore/v2/pets").header("authorization", &format!("{bearer}x")),
        Request::get("/petstore/v2/pets").header("authorization", &format!("Basic {MARK}")),
        Request::get("/petstore/v2/pets").header("x-api-key", MARK),
        Request::get("/petstore//pets"),
        Request::get("/nothing"),
        body("fast", false),
        body("fast", true),
        body("lone", true),
        body("keyed", false),
        body("nothing", false),
        ask("fast").body(
            "application/json",
            format!("{{\"model\":\"fast\",{MARK}").as_bytes(),
        ),
        ask("fast").body(
            "application/json",
            format!("{{\"model\":\"fast\",\"stream\":\"{MARK}\"}}").as_bytes(),
        ),
    ];
    for does in [
        Does::completes(),
        Does::status(400, &format!("{{\"error\":{{\"message\":\"{MARK}\"}}}}")),
        Does::status(401, &format!("{{\"error\":{{\"message\":\"{MARK}\"}}}}")),
        Does::status(500, MARK),
        Does::status(200, MARK),
        Does::streams(&[ROLE, TOKEN, MARK], Ending::Lose),
        Does::Fails(Failure::Unreachable),
    ] {
        for request in &requests {
            for world in [World::new(), World::new().without_secrets()] {
                let mut world = world;
                for host in ["alpha", "keyed", "pets"] {
                    world.expect(host, [does.clone()]);
                }
                let answer = world.send(&secretive(request.clone()));
                let line = &answer.log_text;
                for hidden in [MARK, "0123456789abcdefghij", SECRET_VALUE, &signed, "Bearer ey"] {
                    assert!(!line.contains(hidden), "{hidden}: {line}");
                }
            }
        }
    }
}

#[test]
fn only_failures_are_logged_where_the_policy_wants_no_more() {
    let mut world = World::with(|policy| policy.gateway.log = LogRequests::Failures);
    assert_eq!(world.send(&ask("fast")).log, None);
    assert_eq!(
        world.send(&Request::get("/petstore/v2/pets").by("demo")).log,
        None
    );
    assert!(world.send(&Request::get("/nothing")).log.is_some());
    world.expect("alpha", [Does::streams(&[ROLE, TOKEN], Ending::Lose)]);
    assert!(
        world.send(&crate::world::ask_stream("lone")).log.is_some(),
        "a broken stream is one"
    );
}

#[test]
fn what_passed_for_want_of_a_limiter_is_logged_in_any_case() {
    for request in [
        ask("fast").by("open"),
        Request::get("/petstore/v2/pets").by("open"),
        Request::get("/petstore/v2/pets/latest").by("open"),
    ] {
        let mut world = World::with(|policy| policy.gateway.log = LogRequests::Failures);
        world.expect("pets", [Does::status(200, "[]"), Does::status(200, "[]")]);
        world.meter_down = true;
        let answer = world.send(&request);
        assert_eq!((answer.status, &answer.log()["unlimited"]), (200, &json!(true)));
        world.meter_down = false;
        assert_eq!(world.send(&request).log, None, "{request:?}");
    }
}

#[test]
fn every_request_has_a_trace_even_one_that_was_not_accepted() {
    for request in [
        Request::get("/a//b"),
        Request::new("BREW", "/"),
        Request::get("/nothing"),
    ] {
        let answer = World::new().send(&request);
        let trace = answer.log()["trace_id"].as_str().unwrap().to_owned();
        assert_ne!(trace, "0".repeat(32));
        assert_eq!(trace.len(), 32);
    }
}

#[test]
fn decisions_tell_refusals_from_failures() {
    let mut world = World::new();
    assert_eq!(world.send(&Request::get("/nothing")).log()["decision"], "refused");
    assert_eq!(world.send(&ask("smart").by("trial")).log()["decision"], "refused");
    world.expect("alpha", [Does::status(429, "{}")]);
    assert_eq!(world.send(&ask("lone")).log()["decision"], "failed");
    world.meter_down = true;
    assert_eq!(world.send(&ask("lone").by("minute")).log()["decision"], "failed");
}

/// The world compares each end that is told ahead with the one that is told after (`world.rs`).
#[test]
fn the_end_of_an_operation_is_told_ahead_unless_objects_must_be_told_more() {
    let get = |consumer: &str| Request::get("/petstore/v2/pets/latest").by(consumer);
    let head = Request::new("HEAD", "/petstore/v2/pets/latest").by("demo");
    for (request, status, ahead) in [
        (get("demo"), 200, true),
        (get("minute"), 200, true),
        (get("leased"), 204, true),
        (get("demo"), 304, true),
        (get("demo"), 404, true),
        (get("demo"), 502, true),
        (head, 200, true),
        // Its place is given back when the client has the last byte.
        (get("places"), 200, false),
    ] {
        for log in [LogRequests::All, LogRequests::Failures] {
            let mut world = World::with(|policy| policy.gateway.log = log);
            world.expect("pets", [Does::status(status, "[]").after(40)]);
            let answer = world.send(&request);
            assert_eq!((answer.status, answer.ahead), (status, ahead), "{request:?}");
            if log == LogRequests::All {
                let attempt = &answer.log()["attempts"][0];
                assert_eq!((&attempt["ms"], &attempt["status"]), (&json!(40), &json!(status)));
                assert_eq!(
                    (&answer.log()["ms"], &answer.log()["status"]),
                    (&json!(40), &json!(status))
                );
            }
        }
    }
    // What a client may write stands in no name of a member.
    let sly = Request::get(r#"/petstore/v2/pets/latest?"ms":1,"status":2"#).by("demo");
    let mut world = World::new();
    world.expect("pets", [Does::status(200, "[]")]);
    assert!(world.send(&sly).ahead);
}
