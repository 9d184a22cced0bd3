//! One test for each published advisory of a gateway whose fault lay around the credential, named after its
//! identifier. `docs/security.md` says what went wrong there.

use turnpike_engine::step::{Event, Step};

use crate::policy::{INLINE, NOW, REMOTE, SECRET, key};
use crate::world::{Answer, Does, Request, World, token};

const PETS: &str = "/petstore/v2/pets";

/// A call that reaches an upstream, and what that is sent.
fn sent(change: impl FnOnce(Request) -> Request) -> (World, Answer) {
    let request = Request::new("POST", PETS)
        .by("demo")
        .body("application/json", br#"{"name":"Tom"}"#)
        .header("x-pet", "cat");
    let mut world = World::new();
    world.expect("pets", [Does::status(201, r#"{"id":1}"#)]);
    let answer = world.send(&change(request));
    (world, answer)
}

fn is_open(answer: &Answer) -> bool {
    answer.status < 400 || !answer.sent.is_empty()
}

#[test]
fn cve_2024_45410_connection_takes_no_header_away() {
    let (_, plain) = sent(|request| request);
    for list in [
        "x-pet",
        "content-type, traceparent, x-request-id",
        "close, x-pet",
        "x-forwarded-for",
    ] {
        let (_, answer) = sent(|request| request.header("connection", list));
        let names = |answer: &Answer| answer.sent[0].headers.keys().cloned().collect::<Vec<_>>();
        assert_eq!(names(&answer), names(&plain), "{list}");
        assert_eq!(answer.sent[0].headers["x-pet"], "cat");
    }
}

#[test]
fn cve_2025_48865_headers_of_one_connection_decide_nothing() {
    for (name, value) in [
        ("connection", "authorization, x-api-key"),
        ("te", "trailers"),
        ("trailer", "authorization"),
        ("upgrade", "h2c"),
        ("proxy-connection", "authorization"),
        ("keep-alive", "x-api-key"),
    ] {
        let (_, answer) = sent(|request| request.header(name, value));
        assert_eq!(answer.status, 201, "{name}");
        assert!(!answer.sent[0].headers.contains_key(name), "{name}");
        // Nor does anybody get in who names his credential away.
        let none = World::new().send(&Request::get(PETS).header(name, value));
        assert_eq!(none.code(), "credential_missing");
    }
}

#[test]
fn cve_2025_64484_a_header_with_underscores_is_another_one() {
    for name in [
        "x_api_key",
        "X_API_KEY",
        "x_pet",
        "x_forwarded_user",
        "x_request_id",
    ] {
        let (_, answer) = sent(|request| request.header(name, "forged"));
        assert!(
            !answer.sent[0]
                .headers
                .iter()
                .any(|(known, value)| known.contains('_') || value == "forged"),
            "{name}"
        );
        let answer = World::new().send(&Request::get(PETS).header(name, &key("demo")));
        assert_eq!(answer.code(), "credential_missing", "{name}");
    }
}

#[test]
fn cve_2024_45614_underscores_replace_no_header() {
    let (_, answer) = sent(|request| request.header("x_pet", "dog").header("x_request_id", "1"));
    assert_eq!(answer.sent[0].headers["x-pet"], "cat");
    assert_eq!(
        answer.sent[0].headers["x-request-id"],
        answer.header("x-request-id").unwrap()
    );
}

#[test]
fn cve_2019_9901_a_path_has_one_reading() {
    for path in [
        "/petstore/v2//pets",
        "//petstore/v2/pets",
        "/petstore/v2/pets/..",
        "/petstore/v2/./pets",
        "/petstore/v2/x/../pets",
        "/petstore/v2/%2e%2e/v2/pets",
        "/petstore/v2/x%2f..%2fpets",
        "/petstore%2Fv2%2Fpets",
        "/petstore/v2/pets%5c",
        "/petstore/v2/pets;a=b",
        "/petstore/v2/..;/v2/pets",
        "/petstore/v2/pets%00",
    ] {
        for request in [Request::get(path), Request::get(path).by("demo")] {
            let answer = World::new().send(&request);
            assert_eq!(
                (answer.status, answer.code().as_str()),
                (400, "ambiguous_path"),
                "{path}"
            );
        }
    }
}

#[test]
fn cve_2020_8595_what_stands_behind_a_path_opens_nothing() {
    for end in ["?", "?x", "?/status", "#", "#x", "%3F", "%3fx", "%23", "/", "/?"] {
        let answer = World::new().send(&Request::get(&format!("{PETS}{end}")));
        assert!(!is_open(&answer), "{end}: {}", answer.status);
    }
}

#[test]
fn ghsa_6jwx_7vp4_9847_upstreams_get_the_path_that_was_decided() {
    let mut world = World::new();
    world.expect("pets", [Does::status(201, r#"{"id":1}"#)]);
    let answer = world.send(
        &Request::new("POST", "/%70etstore/v2/p%65ts")
            .by("demo")
            .body("application/json", br#"{"name":"Tom"}"#),
    );
    assert_eq!(answer.log()["operation"], "petstore/v2#createPet");
    assert_eq!(answer.sent[0].url, "https://pets.example/base/pets");
}

#[test]
fn ghsa_5m6w_wvh7_57vm_no_form_of_a_forwarded_header_passes() {
    for name in [
        "x-forwarded-for",
        "x-forwarded-host",
        "x-forwarded-proto",
        "x-forwarded-user",
        "forwarded",
        "x-real-ip",
        "x_forwarded_for",
        "x-forwarded_for",
        "true-client-ip",
        "cf-connecting-ip",
    ] {
        let (_, answer) = sent(|request| request.header(name, "10.0.0.1"));
        let found = answer.sent[0].headers.values().any(|value| value == "10.0.0.1");
        assert!(!found, "{name}");
    }
}

#[test]
fn ghsa_6384_m2mw_rf54_a_prefix_is_not_passed_on() {
    let (_, answer) = sent(|request| {
        request
            .header("x-forwarded-prefix", "/admin")
            .header("x-original-url", "/admin")
    });
    assert_eq!(answer.sent[0].url, "https://pets.example/base/pets");
    assert!(!answer.sent[0].headers.values().any(|value| value == "/admin"));
    assert!(!answer.headers.iter().any(|(_, value)| value.contains("/admin")));
}

#[test]
fn cve_2021_21378_a_wrong_credential_is_not_a_missing_one() {
    for value in ["Bearer x", "Bearer tpk_a_b", "Basic eDp5", ""] {
        let answer = World::new().send(&Request::get(PETS).header("authorization", value));
        assert!(!is_open(&answer), "{value}");
        assert_eq!(answer.code(), "credential_invalid", "{value}");
    }
}

#[test]
fn cve_2024_45809_an_answer_that_nobody_waits_for_stops_nothing() {
    let request = Request::get(PETS).header("authorization", &format!("Bearer {}", token(REMOTE, |_| {})));
    for event in [Event::Verified(true), Event::Paused, Event::Metered(None)] {
        let mut world = World::new();
        world.replaces = false;
        let next = world.begin(&request);
        assert!(matches!(next.step, Step::FetchKeys(_)));
        let Step::Finish(finish) = world.resume(next.flight, event).step else {
            panic!("it goes on")
        };
        assert_eq!(finish.status, 500);
        assert_eq!(world.send(&Request::get(PETS).by("demo")).status, 200);
    }
}

#[test]
fn cve_2025_64527_keys_that_cannot_be_had_stop_nothing() {
    let mut world = World::new();
    world.replaces = false;
    let request = Request::get(PETS).header("authorization", &format!("Bearer {}", token(REMOTE, |_| {})));
    for keys in [
        None,
        Some(Vec::new()),
        Some(vec![0xff; 40]),
        Some(b"{\"keys\":[null]}".to_vec()),
    ] {
        world.keys = keys;
        assert_eq!(world.send(&request).code(), "keys_unavailable");
        assert_eq!(world.send(&Request::get(PETS).by("demo")).status, 200);
        world.now += 6_000;
    }
}

#[test]
fn cve_2026_44883_a_credential_in_a_url_is_none_and_is_not_logged() {
    let secret = token(INLINE, |_| {});
    for name in [
        "access_token",
        "token",
        "key",
        "api_key",
        "x-api-key",
        "authorization",
    ] {
        for value in [secret.clone(), key("demo")] {
            let answer = World::new().send(&Request::get(&format!("{PETS}?{name}={value}")));
            assert_eq!(answer.code(), "credential_missing", "{name}");
            assert!(!answer.log_text.contains(&value) && !answer.text().contains(&value));
        }
    }
}

#[test]
fn cve_2026_50149_another_host_skips_nothing() {
    let mut world = World::with(|compiled| compiled.gateway.hosts = vec!["api.example".to_owned()]);
    for host in ["other.example", "api.example.evil.example", "127.0.0.1", "[::1]"] {
        for request in [Request::get(PETS), Request::get(PETS).by("demo")] {
            let mut request = request;
            request.url = format!("https://{host}{PETS}");
            let answer = world.send(&request);
            assert_eq!(
                (answer.status, answer.code().as_str()),
                (404, "unknown_host"),
                "{host}"
            );
        }
    }
    assert_eq!(world.send(&Request::get(PETS)).code(), "credential_missing");
    assert_eq!(world.send(&Request::get(PETS).by("demo")).status, 200);
}

#[test]
fn cve_2026_49230_a_secret_that_was_not_set_opens_nothing() {
    let mut world = World::new().without_secrets();
    let request = Request::get(PETS).header("authorization", &format!("Bearer {}", token(SECRET, |_| {})));
    let answer = world.send(&request);
    assert_eq!((answer.status, answer.code().as_str()), (503, "secret_missing"));
    assert_eq!(world.now, NOW);
}

#[test]
fn go_2026_5390_a_session_is_no_credential() {
    let mut world = World::new();
    assert_eq!(world.send(&Request::get(PETS).by("demo")).status, 200);
    for (name, value) in [
        ("mcp-session-id", "1"),
        ("cookie", "session=1; authorization=Bearer"),
        ("x-session-id", "1"),
        ("x-forwarded-user", "demo"),
        ("x-consumer", "demo"),
    ] {
        let answer = world.send(&Request::get(PETS).header(name, value));
        assert_eq!(answer.code(), "credential_missing", "{name}");
    }
}
