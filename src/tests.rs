//! What touches the web, in a JavaScript engine: `cargo test --target wasm32-unknown-unknown`.

#![expect(
    clippy::expect_used,
    clippy::indexing_slicing,
    reason = "tests, which clippy does not know as such by the attribute of wasm-bindgen-test"
)]

use serde_json::{Value, json};
use wasm_bindgen_test::wasm_bindgen_test;
use worker::js_sys::{Object, Reflect};
use worker::wasm_bindgen::{JsCast as _, JsValue};
use worker::{Env, Request, RequestInit, Response};

use super::{facts, health, missing, respond, serve};

fn env(bindings: &[(&str, JsValue)]) -> Env {
    let object = Object::new();
    for (name, value) in bindings {
        Reflect::set(&object, &(*name).into(), value).expect("an object takes members");
    }
    object.unchecked_into()
}

/// An environment in which every secret that the policies name is there.
fn ready() -> Env {
    let bindings: Vec<_> = facts::SECRETS
        .iter()
        .map(|name| (*name, "value".into()))
        .collect();
    env(&bindings)
}

async fn ask(method: &str, path: &str, env: &Env) -> Response {
    let mut init = RequestInit::new();
    init.with_method(method.to_owned().into());
    let url = format!("https://api.acme.dev{path}");
    serve(&Request::new_with_init(&url, &init).expect("a request"), env).await
}

fn header(response: &Response, name: &str) -> Option<String> {
    response.headers().get(name).expect("a header's name")
}

async fn body_of(response: &mut Response) -> Value {
    serde_json::from_str(&response.text().await.expect("a body")).expect("JSON")
}

#[wasm_bindgen_test]
async fn a_page() {
    let mut response = ask("GET", "/_turnpike/version?a=b", &env(&[])).await;
    assert_eq!(response.status_code(), 200);
    assert_eq!(
        header(&response, "content-type").as_deref(),
        Some("application/json")
    );
    assert_eq!(header(&response, "cache-control").as_deref(), Some("no-store"));
    assert_eq!(
        header(&response, "x-content-type-options").as_deref(),
        Some("nosniff")
    );
    let body = body_of(&mut response).await;
    assert_eq!(body["bundle"], facts::POLICY_HASH);
    assert_eq!(body["environment"], facts::ENVIRONMENT);
}

#[wasm_bindgen_test]
async fn head_is_get_without_the_body() {
    for path in [
        "/_turnpike/version",
        "/_turnpike/health",
        "/.well-known/api-catalog",
        "/none",
    ] {
        let get = ask("GET", path, &ready()).await;
        let mut head = ask("HEAD", path, &ready()).await;
        assert_eq!(head.status_code(), get.status_code(), "{path}");
        for name in ["content-type", "cache-control", "x-content-type-options", "link"] {
            assert_eq!(header(&head, name), header(&get, name), "{path} {name}");
        }
        assert_eq!(head.text().await.expect("no body"), "", "{path}");
    }
}

#[wasm_bindgen_test]
async fn the_catalog_is_of_the_host_that_was_asked() {
    let mut response = ask("GET", "/.well-known/api-catalog", &env(&[])).await;
    let kind = header(&response, "content-type").expect("a type");
    assert!(kind.starts_with("application/linkset+json"), "{kind}");
    assert!(
        header(&response, "link")
            .expect("a link")
            .contains("rel=\"api-catalog\"")
    );
    let body = body_of(&mut response).await;
    let anchor = &body["linkset"][0]["anchor"];
    assert_eq!(*anchor, "https://api.acme.dev/.well-known/api-catalog");
}

#[wasm_bindgen_test]
async fn what_is_not_there_and_what_is_not_allowed() {
    for (method, path, status, allow) in [
        ("GET", "/_turnpike/none", 404, None),
        ("POST", "/_turnpike/none", 404, None),
        ("OPTIONS", "/_turnpike/none", 404, None),
        ("POST", "/_turnpike/health", 405, Some("GET, HEAD, OPTIONS")),
        (
            "DELETE",
            "/.well-known/api-catalog",
            405,
            Some("GET, HEAD, OPTIONS"),
        ),
    ] {
        let mut response = ask(method, path, &env(&[])).await;
        assert_eq!(response.status_code(), status, "{method} {path}");
        assert_eq!(header(&response, "allow").as_deref(), allow);
        let kind = header(&response, "content-type");
        assert_eq!(kind.as_deref(), Some("application/problem+json"));
        let body = body_of(&mut response).await;
        assert_eq!(body["status"], status);
        let id = header(&response, "x-request-id").expect("an id");
        assert_eq!((id.len(), &body["request_id"]), (32, &Value::from(id.as_str())));
    }
}

#[wasm_bindgen_test]
async fn options_tells_what_a_page_takes() {
    let response = ask("OPTIONS", "/_turnpike/health", &env(&[])).await;
    assert_eq!(response.status_code(), 204);
    assert_eq!(header(&response, "allow").as_deref(), Some("GET, HEAD, OPTIONS"));
    assert_eq!(header(&response, "content-type"), None);
}

#[wasm_bindgen_test]
async fn a_method_that_nobody_knows_is_not_taken_for_get() {
    let init = Object::new();
    Reflect::set(&init, &"method".into(), &"BREW".into()).expect("a member");
    let url = "https://api.acme.dev/_turnpike/health";
    let request = worker::web_sys::Request::new_with_str_and_init(url, init.unchecked_ref()).expect("one");
    assert_eq!(serve(&request.into(), &ready()).await.status_code(), 405);
}

#[wasm_bindgen_test]
fn a_secret_is_there_when_it_has_a_value() {
    let env = env(&[
        ("SET", "value".into()),
        ("EMPTY", "".into()),
        ("OTHER", Object::new().into()),
    ]);
    assert_eq!(
        missing(&["SET", "EMPTY", "OTHER", "UNSET", "toString"], &env),
        ["EMPTY", "OTHER", "UNSET", "toString"]
    );
    assert_eq!(missing(&[], &env), [""; 0]);
}

#[wasm_bindgen_test]
async fn ready_with_every_secret() {
    let mut response = ask("GET", "/_turnpike/health", &ready()).await;
    assert_eq!(response.status_code(), 200);
    assert_eq!(body_of(&mut response).await["status"], "ready");
}

// With names of its own: the sample's policies, with which this is built, name no secret.
#[wasm_bindgen_test]
async fn not_ready_without_one_secret() {
    let secrets = ["CHAT_KEY", "REST_KEY"];
    let both = env(&[("CHAT_KEY", "value".into()), ("REST_KEY", "value".into())]);
    let one = env(&[("CHAT_KEY", "value".into())]);
    for (env, explain, status, named) in [
        (&both, true, 200, None),
        (&one, true, 503, Some(json!(["REST_KEY"]))),
        (&one, false, 503, None),
        (&env(&[]), true, 503, Some(json!(secrets))),
    ] {
        let answer = health(&secrets, explain, env, "r1");
        let mut response = respond(&answer, "GET", "r1").expect("an answer");
        assert_eq!(response.status_code(), status);
        let wait = (status == 503).then_some("30");
        assert_eq!(header(&response, "retry-after").as_deref(), wait);
        let body = body_of(&mut response).await;
        assert_eq!(body.get("missing"), named.as_ref());
        if named.is_none() {
            assert!(!body.to_string().contains("REST_KEY"), "{body}");
        }
    }
}
