//! The half of the Worker that is off the hot path: pages of the gateway itself and its hourly
//! housekeeping, with the `worker` crate.
//!
//! The shell hands over method and URL of requests under `/_turnpike/` and `/.well-known/`, with
//! the id that the request has, and passes the answers on as they are. A panic in this module ends the requests that it has in flight, and
//! no others: those of the hot path live in another. So it stays small, and holds no state that
//! matters. [`answer`] and [`route`] decide, this file touches the web.

mod answer;
#[expect(
    unreachable_pub,
    reason = "the build writes the same constants for two crates"
)]
mod facts;
mod keys;
mod route;
#[cfg(all(test, target_arch = "wasm32"))]
mod tests;

use std::cell::Cell;

use answer::{Answer, Problem, Resources, Version};
use route::{Location, Route};
use worker::wasm_bindgen::prelude::wasm_bindgen;
use worker::{
    Context, Date, Env, Headers, Request, Response, ResponseBuilder, ScheduleContext, ScheduledEvent,
    console_error, event,
};

#[wasm_bindgen]
extern "C" {
    #[wasm_bindgen(js_namespace = crypto, js_name = randomUUID)]
    fn random_uuid() -> String;
}

/// Says where a panic was. Only here: a hook that is set later would replace the one by which the
/// `worker` crate starts this module afresh.
#[event(start)]
fn start() {
    console_error_panic_hook::set_once();
}

/// Answers a request for a page of the gateway itself. Whatever fails is answered too: an `Err`
/// would reach the client as plain text.
#[event(fetch)]
async fn fetch(request: Request, env: Env, _context: Context) -> worker::Result<Response> {
    Ok(serve(&request, &env).await)
}

async fn serve(request: &Request, env: &Env) -> Response {
    // The platform's own text: the `worker` crate takes a method that it does not know for GET.
    let (method, url) = (request.inner().method(), request.inner().url());
    // The other half gives the request its id; it alone, whatever a client sends.
    let id = request.headers().get("x-request-id").ok().flatten();
    let id = id.unwrap_or_else(|| random_uuid().replace('-', ""));
    let answer = decide(&method, &Location::of(&url), env, &id).await;
    respond(&answer, &method, &id)
        .or_else(|_| respond(&answer::problem(Problem::Internal, &id, &[]), &method, &id))
        .unwrap_or_else(|_| ResponseBuilder::new().with_status(500).empty())
}

/// The hourly housekeeping: a secret that went missing is noticed before a request needs it.
#[event(scheduled)]
async fn scheduled(_event: ScheduledEvent, env: Env, _context: ScheduleContext) {
    let missing = missing(facts::SECRETS, &env);
    if !missing.is_empty() {
        console_error!("{}", answer::missing_secrets(&missing));
    }
}

#[cfg_attr(
    not(feature = "faults"),
    expect(
        clippy::unused_async,
        reason = "only a fault that tests ask for takes its time"
    )
)]
async fn decide(method: &str, url: &Location<'_>, env: &Env, id: &str) -> Answer {
    match route::route(method, url) {
        Route::Health => health(facts::SECRETS, facts::EXPLAIN, env, id),
        Route::Version => VERSION.answer(),
        Route::Catalog => answer::catalog(facts::APIS, url.origin, Date::now().as_millis()),
        Route::Resource => {
            let resources = Resources {
                list: facts::RESOURCES,
                issuers: facts::ISSUERS,
                bound: facts::BOUND,
            };
            let found = resources.metadata(url.origin, url.path, Date::now().as_millis());
            found.unwrap_or_else(|| answer::problem(Problem::NotFound, id, &[]))
        }
        Route::Keys => keys::answer(facts::SIGNING, &|name| value_of(name, env), facts::EXPLAIN, id),
        Route::Options => answer::options(),
        Route::NotFound => answer::problem(Problem::NotFound, id, &[]),
        Route::MethodNotAllowed => answer::problem(Problem::MethodNotAllowed, id, &[]),
        #[cfg(feature = "faults")]
        Route::Panic => fault(),
        #[cfg(feature = "faults")]
        Route::Slow(milliseconds) => {
            worker::Delay::from(std::time::Duration::from_millis(milliseconds.into())).await;
            VERSION.answer()
        }
    }
}

#[cfg(feature = "faults")]
#[expect(clippy::panic, reason = "this is what it is for")]
fn fault() -> Answer {
    panic!("a panic that a test asked for")
}

const VERSION: Version = Version {
    gateway: facts::GATEWAY,
    bundle: facts::POLICY_HASH,
    commit: facts::COMMIT,
    dirty: facts::DIRTY,
    environment: facts::ENVIRONMENT,
    built: facts::BUILT,
    version: env!("CARGO_PKG_VERSION"),
};

/// Ready when each of `secrets` is there; otherwise the log is told which are not, and whoever asks
/// only where `explain` allows it.
fn health(secrets: &[&str], explain: bool, env: &Env, id: &str) -> Answer {
    let missing = missing(secrets, env);
    if !missing.is_empty() && log_is_due() {
        console_error!("{}", answer::missing_secrets(&missing));
    }
    answer::health(&missing, explain, id)
}

/// Those of `secrets` that are not there, or are no keys where keys are needed.
fn missing<'a>(secrets: &[&'a str], env: &Env) -> Vec<&'a str> {
    let good =
        |name: &str| value_of(name, env).is_some_and(|value| keys::may_be(facts::SIGNING, name, &value));
    secrets.iter().copied().filter(|name| !good(name)).collect()
}

/// The value of a secret. An empty one is as good as none.
fn value_of(name: &str, env: &Env) -> Option<String> {
    let value = env.secret(name).ok()?.to_string();
    (!value.is_empty()).then_some(value)
}

/// Whether the log may be told again what is missing: once a minute, for anyone may ask for the
/// health, as often as they like.
fn log_is_due() -> bool {
    thread_local! {
        static NEXT: Cell<u64> = const { Cell::new(0) };
    }
    let now = Date::now().as_millis();
    let due = now >= NEXT.get();
    if due {
        NEXT.set(now.saturating_add(60_000));
    }
    due
}

/// Puts an answer on the wire; to `HEAD`, and where it has none, without a body.
fn respond(answer: &Answer, method: &str, id: &str) -> worker::Result<Response> {
    let headers = Headers::new();
    if !answer.content_type.is_empty() {
        headers.set("content-type", answer.content_type)?;
    }
    headers.set("cache-control", answer.cache_control)?;
    headers.set("x-content-type-options", "nosniff")?;
    headers.set("x-request-id", id)?;
    if facts::SHOW_HASH {
        headers.set("x-turnpike-policy", facts::POLICY_HASH)?;
    }
    if let Some((name, value)) = answer.header {
        headers.set(name, value)?;
    }
    let builder = ResponseBuilder::new()
        .with_status(answer.status)
        .with_headers(headers);
    Ok(if method == "HEAD" || answer.content_type.is_empty() {
        builder.empty()
    } else {
        builder.fixed(answer.body.clone().into_bytes())
    })
}
