//! Configuration of `KrakenD`, version 3: endpoints and the backends behind them.
//!
//! Endpoints of one backend host become an API. Where an endpoint lies, and what the backend is asked, may differ in
//! it in any way; here the operation's path is what is added to the upstream's address.

mod reasons;

use std::collections::{BTreeMap, BTreeSet};

use serde_json::Value as Json;

use super::{
    Api, Call, Cors, Import, Issuer, id, items, named, place, plain, reachable, shown, text, texts, versioned,
};

/// Headers that pass by themselves (the floor), or never do.
const PASS: [&str; 5] = [
    "accept",
    "content-type",
    "idempotency-key",
    "traceparent",
    "tracestate",
];

/// An endpoint that can be published.
struct Endpoint {
    at: String,
    public: String,
    host: String,
    first_byte: Option<u64>,
    scopes: Vec<String>,
    call: Call,
}

pub(super) fn read(json: &Json, import: &mut Import) -> Result<(), String> {
    if json.get("endpoints").and_then(Json::as_array).is_none() {
        return Err("it is no configuration of KrakenD: it has no `endpoints`".to_owned());
    }
    if json.get("version").and_then(Json::as_u64) != Some(3) {
        return Err("its `version` is not 3: let `krakend` migrate it first".to_owned());
    }
    import.rest(
        "the file",
        json,
        &[
            "$schema",
            "version",
            "name",
            "port",
            "endpoints",
            "timeout",
            "extra_config",
            "host",
            "output_encoding",
        ],
    );
    let none = Json::Null;
    for (name, config) in json
        .get("extra_config")
        .unwrap_or(&none)
        .as_object()
        .into_iter()
        .flatten()
    {
        match name.as_str() {
            "security/cors" => cors(config, import),
            name => import.leave(format!("extra_config.{}", shown(name)), reasons::of(name)),
        }
    }
    let timeout = text(json, "timeout").and_then(milliseconds);
    let mut by_host: BTreeMap<String, Vec<Endpoint>> = BTreeMap::new();
    for (index, endpoint) in items(json, "endpoints").iter().enumerate() {
        let at = place("", "endpoints", index, endpoint);
        if let Some(one) = self::endpoint(&at, endpoint, json, timeout, import) {
            by_host.entry(one.host.clone()).or_default().push(one);
        }
    }
    let mut names = BTreeSet::new();
    for (host, endpoints) in by_host {
        let api = api(&host, endpoints, &mut names, import);
        import.apis.push(api);
    }
    import.leave(
        "who may call",
        "KrakenD knows no consumers: write each with `turnpike new consumer`; until then nobody may call",
    );
    Ok(())
}

fn cors(config: &Json, import: &mut Import) {
    let at = "extra_config.security/cors";
    import.rest(
        at,
        config,
        &[
            "allow_origins",
            "allow_headers",
            "expose_headers",
            "max_age",
            "allow_methods",
            "comment",
        ],
    );
    let origins = texts(config, "allow_origins");
    if origins.is_empty() {
        return;
    }
    let exact = |origin: &String| origin == "*" || (origin.contains("://") && !origin.contains('*'));
    if !origins.iter().all(exact) {
        import.leave(
            format!("{at}.allow_origins"),
            "origins are written exactly, not as patterns",
        );
    }
    let seconds = text(config, "max_age").and_then(milliseconds).map(|ms| ms / 1000);
    let origins: Vec<_> = origins.into_iter().filter(exact).collect();
    if !origins.is_empty() {
        import.cors = Some(Cors {
            origins,
            headers: texts(config, "allow_headers"),
            expose: texts(config, "expose_headers"),
            max_age: seconds.filter(|age| (1..=86_400).contains(age)),
        });
    }
}

fn endpoint(
    at: &str,
    json: &Json,
    file: &Json,
    timeout: Option<u64>,
    import: &mut Import,
) -> Option<Endpoint> {
    import.rest(
        at,
        json,
        &[
            "endpoint",
            "method",
            "output_encoding",
            "backend",
            "timeout",
            "input_headers",
            "input_query_strings",
            "extra_config",
            "@comment",
        ],
    );
    let public = text(json, "endpoint")?.to_owned();
    let method = text(json, "method").unwrap_or("GET").to_ascii_uppercase();
    let [backend] = items(json, "backend") else {
        import.leave(
            at,
            "it has several backends or none: an operation has one upstream, and answers are not merged",
        );
        return None;
    };
    import.rest(
        &format!("{at}.backend"),
        backend,
        &[
            "url_pattern",
            "host",
            "method",
            "encoding",
            "sd",
            "disable_host_sanitize",
        ],
    );
    let hosts = [texts(backend, "host"), texts(file, "host")].concat();
    let Some(host) = hosts.first().map(|host| host.trim_end_matches('/').to_owned()) else {
        import.leave(at, "its backend has no host");
        return None;
    };
    if texts(backend, "host").len() > 1 {
        import.leave(
            format!("{at}.backend.host"),
            format!("only `{}` is called: an operation has one upstream", shown(&host)),
        );
    }
    if !host.starts_with("https://") && !host.starts_with("http://") {
        import.leave(
            at,
            "its backend's host is no address that begins with http:// or https://",
        );
        return None;
    }
    let path = text(backend, "url_pattern").unwrap_or(&public).to_owned();
    let asked = text(backend, "method").map_or_else(|| method.clone(), str::to_ascii_uppercase);
    let known = ["GET", "POST", "PUT", "PATCH", "DELETE", "HEAD"].contains(&method.as_str());
    if asked != method || !known {
        import.leave(at, "an operation is asked of its upstream by its own method");
        return None;
    }
    if !plain(&path) || !plain(&public) {
        import.leave(
            at,
            format!(
                "`{}` is no path of an operation",
                shown(if plain(&public) { &path } else { &public })
            ),
        );
        return None;
    }
    if text(json, "output_encoding").or_else(|| text(file, "output_encoding")) != Some("no-op") {
        import.leave(
            format!("{at}.output_encoding"),
            "answers pass as the upstream gives them, as with `no-op`",
        );
    }
    let (query, headers) = inputs(at, json, import);
    let scopes = extra(at, json, import);
    Some(Endpoint {
        at: at.to_owned(),
        public,
        host,
        first_byte: text(json, "timeout").and_then(milliseconds).or(timeout),
        scopes,
        call: Call {
            summary: format!("{method} of {path}"),
            method,
            path,
            query,
            headers,
            ..Call::default()
        },
    })
}

/// The parameters and headers that pass.
fn inputs(at: &str, json: &Json, import: &mut Import) -> (Vec<String>, Vec<String>) {
    let mut query = texts(json, "input_query_strings");
    let mut headers: Vec<_> = texts(json, "input_headers")
        .iter()
        .map(|name| name.to_ascii_lowercase())
        .collect();
    if query.iter().chain(&headers).any(|name| name == "*") {
        import.leave(
            at,
            "`*` is not passed on: parameters and headers are named, in the document",
        );
    }
    let token = |name: &String| {
        !name.is_empty()
            && name
                .bytes()
                .all(|b| b.is_ascii_alphanumeric() || b"-_.".contains(&b))
    };
    query.retain(token);
    query.sort();
    query.dedup();
    headers.sort();
    headers.dedup();
    let credentials = [
        "authorization",
        "cookie",
        "x-api-key",
        "api-key",
        "proxy-authorization",
    ];
    if headers.iter().any(|name| credentials.contains(&name.as_str())) {
        import.leave(
            format!("{at}.input_headers"),
            "credentials of callers never reach an upstream",
        );
    }
    headers.retain(|name| {
        token(name) && !PASS.contains(&name.as_str()) && !credentials.contains(&name.as_str())
    });
    (query, headers)
}

/// What an endpoint's `extra_config` asks of callers.
fn extra(at: &str, json: &Json, import: &mut Import) -> Vec<String> {
    let mut scopes = Vec::new();
    let none = Json::Null;
    for (name, config) in json
        .get("extra_config")
        .unwrap_or(&none)
        .as_object()
        .into_iter()
        .flatten()
    {
        let at = format!("{at}.extra_config.{}", shown(name));
        match name.as_str() {
            "auth/validator" => {
                issuer(&at, config, import);
                let all = texts(config, "scopes");
                if all.is_empty() {
                    continue;
                }
                if text(config, "scopes_matcher") == Some("all") {
                    scopes = all;
                } else {
                    import.leave(
                        format!("{at}.scopes"),
                        "any one of them was enough; here a caller has all that are named",
                    );
                }
            }
            "qos/ratelimit/router" => import.leave(
                at,
                "limits of single endpoints are not carried over: write `limits` in api.yaml or in plans",
            ),
            name => import.leave(at, reasons::of(name)),
        }
    }
    scopes
}

fn issuer(at: &str, config: &Json, import: &mut Import) {
    import.rest(
        at,
        config,
        &[
            "alg",
            "jwk_url",
            "issuer",
            "audience",
            "scopes",
            "scopes_matcher",
            "scopes_key",
            "cache",
        ],
    );
    let algorithm = text(config, "alg").unwrap_or("RS256");
    let audience = texts(config, "audience");
    let (Some(name), Some(jwks)) = (text(config, "issuer"), text(config, "jwk_url")) else {
        import.leave(
            at,
            "an issuer needs `issuer` and `jwk_url`: without them nothing says whose tokens are taken",
        );
        return;
    };
    let right = ["RS256", "ES256", "EdDSA"].contains(&algorithm);
    if !right || audience.is_empty() || !jwks.starts_with("https://") {
        import.leave(
            at,
            "an issuer needs an `audience`, a `jwk_url` with TLS, and RS256, ES256 or EdDSA: write it in gateway.yaml",
        );
        return;
    }
    if import.issuers.iter().any(|known| known.issuer == name) {
        return;
    }
    let mut taken = import.issuers.iter().map(|known| known.name.clone()).collect();
    let host = name.split_once("://").map_or(name, |(_, rest)| rest);
    let host = host.split(['/', ':']).next().unwrap_or(host);
    let issuer = Issuer {
        name: named(host, &mut taken),
        issuer: name.to_owned(),
        audience,
        algorithm: algorithm.to_owned(),
        jwks: jwks.to_owned(),
    };
    import.issuers.push(issuer);
}

/// The API of one host.
fn api(host: &str, endpoints: Vec<Endpoint>, names: &mut BTreeSet<String>, import: &mut Import) -> Api {
    let bare = host.split_once("://").map_or(host, |(_, rest)| rest);
    let bare = bare.split(['/', ':']).next().unwrap_or(bare);
    let name = named(bare.split('.').next().unwrap_or(bare), names);
    let mut prefixes: Vec<_> = endpoints
        .iter()
        .map(|one| one.public.strip_suffix(one.call.path.as_str()))
        .collect();
    prefixes.dedup();
    let stays = match prefixes.as_slice() {
        [Some(one)] => versioned(one),
        _ => None,
    };
    let (path, version) = stays.unwrap_or_else(|| (format!("/{name}"), "v1".to_owned()));
    let root = format!("{path}/{version}");
    let mut api = Api {
        title: shown(bare),
        name,
        path,
        version,
        upstream: reachable(host, &shown(host), import),
        first_byte: endpoints.iter().filter_map(|one| one.first_byte).max(),
        ..Api::default()
    };
    let mut taken = BTreeSet::new();
    let mut ids = BTreeSet::new();
    for Endpoint {
        at,
        public,
        first_byte,
        scopes,
        mut call,
        ..
    } in endpoints
    {
        let now = format!("{root}{}", call.path);
        if now != public {
            import.leave(
                at.clone(),
                format!("{} {public} is called as {now} here", call.method),
            );
        }
        if !taken.insert((call.method.clone(), call.path.clone())) {
            import.leave(at, "another endpoint asks the same of the backend");
            continue;
        }
        if first_byte != api.first_byte {
            import.leave(
                format!("{at}.timeout"),
                "the longest time-out of the API was written for all of it",
            );
        }
        call.id = id(&call.method, &call.path, &mut ids);
        if !scopes.is_empty() {
            api.authorize.push((call.id.clone(), scopes));
        }
        api.calls.push(call);
    }
    api
}

/// A duration of Go (`1500ms`, `2s`, `1m`), in milliseconds.
fn milliseconds(text: &str) -> Option<u64> {
    let digits = text.trim_end_matches(|c: char| c.is_ascii_alphabetic());
    let scale = match text.strip_prefix(digits)? {
        "ms" => 1,
        "s" => 1_000,
        "m" => 60_000,
        "h" => 3_600_000,
        _ => return None,
    };
    digits
        .parse::<u64>()
        .ok()?
        .checked_mul(scale)
        .filter(|ms| *ms > 0)
}
