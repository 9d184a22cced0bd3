//! OPTIONS, preflights and what pages of other origins may see.

use crate::world::{Request, World};

const APP: &str = "https://app.example";

fn preflight(path: &str, origin: &str, wanted: &str) -> Request {
    Request::new("OPTIONS", path)
        .header("origin", origin)
        .header("access-control-request-method", wanted)
}

#[test]
fn options_tells_the_methods_without_a_credential() {
    for (path, allow) in [
        ("/petstore/v2/pets", "GET, HEAD, OPTIONS, POST"),
        ("/petstore/v2/pets/1", "DELETE, GET, HEAD, OPTIONS"),
        ("/v1/chat/completions", "OPTIONS, POST"),
        ("/_turnpike/limits", "GET, HEAD, OPTIONS, POST"),
        ("/_turnpike/denials", "GET, HEAD, OPTIONS, POST"),
    ] {
        let answer = World::new().send(&Request::new("OPTIONS", path));
        assert_eq!((answer.status, answer.header("allow")), (204, Some(allow)));
        assert!(answer.body.is_empty());
        let wrong = World::new().send(&Request::new("PATCH", path));
        assert_eq!((wrong.status, wrong.header("allow")), (405, Some(allow)));
    }
    assert_eq!(
        World::new().send(&Request::new("OPTIONS", "/nothing")).status,
        404
    );
}

#[test]
fn the_root_can_be_asked_too() {
    let mut world = World::with(|policy| {
        policy.routes.nodes.get_mut(0).unwrap().methods =
            vec![(turnpike_policy::Method::Get, turnpike_policy::Route::Operation(2))];
    });
    assert_eq!(world.send(&Request::get("/").by("demo")).status, 200);
    let answer = world.send(&Request::new("OPTIONS", "/"));
    assert_eq!(
        (answer.status, answer.header("allow")),
        (204, Some("GET, HEAD, OPTIONS"))
    );
    assert_eq!(world.send(&preflight("/", APP, "GET")).status, 204);
}

/// A page of an allowed origin shows its user what is left: it asks with a credential, so it asks before that.
#[test]
fn the_gateways_own_pages_can_be_asked_by_pages() {
    for path in ["/_turnpike/limits", "/_turnpike/denials"] {
        let answer = World::new().send(&preflight(path, APP, "GET"));
        assert_eq!(
            (answer.status, answer.header("access-control-allow-origin")),
            (204, Some(APP))
        );
        assert_eq!(
            World::new()
                .send(&preflight(path, "https://evil.example", "GET"))
                .status,
            403
        );
    }
}

/// Which of the other half's pages there are, that half knows alone: it is asked once the page may call.
#[test]
fn pages_of_the_other_half_can_be_asked_by_pages() {
    for path in ["/_turnpike/health", "/.well-known/api-catalog"] {
        let answer = World::new().send(&preflight(path, APP, "GET"));
        assert_eq!(
            (answer.status, answer.header("access-control-allow-methods")),
            (204, Some("GET, HEAD, OPTIONS"))
        );
        assert_eq!(answer.header("access-control-allow-origin"), Some(APP));
        for (origin, wanted, status) in [("https://evil.example", "GET", 403), (APP, "POST", 405)] {
            let answer = World::new().send(&preflight(path, origin, wanted));
            assert_eq!((answer.status, &*answer.steps), (status, &["finish"][..]));
        }
    }
    let answer = World::new().send(&preflight("/_turnpike/none", APP, "GET"));
    assert_eq!(
        (answer.status, answer.header("access-control-allow-methods")),
        (404, None)
    );
}

#[test]
fn a_preflight_of_an_allowed_page_is_answered() {
    let answer = World::new().send(&preflight("/petstore/v2/pets", APP, "POST"));
    assert_eq!(answer.status, 204);
    for (name, value) in [
        ("access-control-allow-origin", APP),
        ("access-control-allow-methods", "GET, HEAD, OPTIONS, POST"),
        ("access-control-allow-headers", "authorization, content-type"),
        ("access-control-max-age", "600"),
        (
            "vary",
            "Origin, Access-Control-Request-Method, Access-Control-Request-Headers",
        ),
    ] {
        assert_eq!(answer.header(name), Some(value), "{name}");
    }
    assert_eq!(answer.header("access-control-allow-credentials"), None);
}

#[test]
fn other_preflights_are_refused() {
    for (request, status, code) in [
        (
            preflight("/petstore/v2/pets", "https://evil.example", "GET"),
            403,
            "origin_not_allowed",
        ),
        (
            preflight("/petstore/v2/pets", "null", "GET"),
            403,
            "origin_not_allowed",
        ),
        (
            preflight("/petstore/v2/pets", "https://app.example.evil", "GET"),
            403,
            "origin_not_allowed",
        ),
        (
            preflight("/petstore/v2/pets", APP, "PUT"),
            405,
            "method_not_allowed",
        ),
        (
            preflight("/petstore/v2/pets", APP, "get"),
            405,
            "method_not_allowed",
        ),
        (preflight("/nothing", APP, "GET"), 404, "not_found"),
    ] {
        let answer = World::new().send(&request);
        assert_eq!((answer.status, answer.code().as_str()), (status, code));
        assert!(answer.header("vary").is_some_and(|vary| vary.contains("Origin")));
    }
    let mut elsewhere = preflight("/petstore/v2/pets", APP, "GET");
    elsewhere.url = elsewhere.url.replace("api.example", "other.example");
    assert_eq!(World::new().send(&elsewhere).code(), "unknown_host");
    let mut world = World::with(|policy| policy.gateway.cors = None);
    assert_eq!(
        world.send(&preflight("/petstore/v2/pets", APP, "GET")).status,
        403
    );
}

#[test]
fn answers_tell_browsers_who_may_read_them() {
    let mut world = World::new();
    for path in [
        "/petstore/v2/pets",
        "/petstore/v2/pets/1",
        "/nothing",
        "/v1/models",
        "/_turnpike/version",
        "/.well-known/api-catalog",
    ] {
        let answer = world.send(&Request::get(path).by("demo").header("origin", APP));
        assert_eq!(answer.header("access-control-allow-origin"), Some(APP), "{path}");
        assert_eq!(
            answer.header("access-control-expose-headers"),
            Some("x-request-id")
        );
        let answer = world.send(
            &Request::get(path)
                .by("demo")
                .header("origin", "https://evil.example"),
        );
        assert_eq!(answer.header("access-control-allow-origin"), None);
        assert_eq!(answer.header("vary"), Some("Origin"));
        let answer = world.send(&Request::get(path).by("demo"));
        assert_eq!(answer.header("access-control-allow-origin"), None);
        assert_eq!(
            answer.header("vary").map(|vary| vary.contains("Origin")),
            Some(true),
            "{path}: what a cache keeps of this is not for pages"
        );
    }
    let mut open = World::with(|policy| {
        policy.gateway.cors.as_mut().unwrap().origins = vec!["*".to_owned()];
    });
    let mut none = World::with(|policy| policy.gateway.cors = None);
    let answer = none.send(&Request::get("/nothing").by("demo"));
    assert_eq!(
        answer.header("vary"),
        None,
        "no page may call: nothing depends on it"
    );
    let answer = open.send(
        &Request::get("/petstore/v2/pets")
            .by("demo")
            .header("origin", "https://any.example"),
    );
    assert_eq!(answer.header("access-control-allow-origin"), Some("*"));
}
