//! Configuration of `KrakenD`, versions 2 and 3: endpoints and the backends behind them.
//!
//! Endpoints of one backend host become an API. Where an endpoint lies, and what the backend is asked, may differ in
//! it in any way; here the operation's path is what is added to the upstream's address.

mod duration;
mod inputs;
mod namespaces;
mod reasons;
mod tokens;

use std::collections::{BTreeMap, BTreeSet};

use serde_json::Value as Json;

use duration::duration;

use super::cors::{Asked, cors};
use super::moved::{self, Move};
use super::names::{align, base, below, identify, named, parameters, place, plain, shared, shown, versioned};
use super::upstream::{first_byte, reachable};
use super::{Api, Call, Import, items, text, texts};

/// An endpoint that can be published.
struct Endpoint {
    at: String,
    public: String,
    host: String,
    /// Milliseconds.
    first_byte: Option<u64>,
    scopes: Vec<String>,
    call: Call,
}

/// What holds for all endpoints.
struct File<'a> {
    json: &'a Json,
    /// Milliseconds.
    timeout: Option<u64>,
    /// What some fields of an endpoint and of a backend are called, by the version.
    old: bool,
}

pub(super) fn read(json: &Json, import: &mut Import) -> Result<(), String> {
    if json.get("endpoints").and_then(Json::as_array).is_none() {
        return Err("it is no configuration of KrakenD: it has no `endpoints`; name the krakend.json that it runs with".to_owned());
    }
    let old = match json.get("version").and_then(Json::as_u64) {
        Some(2) => true,
        Some(3) => false,
        _ => return Err("its `version` is neither 2 nor 3".to_owned()),
    };
    let known = [
        "version",
        "name",
        "port",
        "endpoints",
        "timeout",
        "extra_config",
        "host",
        "output_encoding",
    ];
    import.rest(
        "the file",
        json,
        &[&known[..], &["$schema", "$id", "cache_ttl"]].concat(),
    );
    cached("cache_ttl", json, import);
    for (name, config) in members(json, "extra_config") {
        let at = format!("extra_config.{}", shown(name));
        match namespaces::present(name) {
            "security/cors" => web_pages(&at, config, import),
            name => import.leave(at, reasons::of(name)),
        }
    }
    let file = File {
        json,
        timeout: duration("timeout", "timeout", json, import),
        old,
    };
    let mut by_host: BTreeMap<String, Vec<Endpoint>> = BTreeMap::new();
    for (index, endpoint) in items(json, "endpoints").iter().enumerate() {
        let at = place("", "endpoints", index, endpoint);
        if let Some(one) = file.endpoint(&at, endpoint, import) {
            by_host.entry(one.host.clone()).or_default().push(one);
        }
    }
    let mut names = BTreeSet::new();
    let mut paths = BTreeSet::new();
    for (host, endpoints) in by_host {
        let api = api(&host, endpoints, &mut names, &mut paths, import);
        import.apis.push(api);
    }
    import.leave(
        "who may call",
        "KrakenD knows no consumers: write each with `turnpike new consumer`; until then nobody may call",
    );
    Ok(())
}

fn members<'a>(json: &'a Json, name: &str) -> impl Iterator<Item = (&'a String, &'a Json)> {
    json.get(name).and_then(Json::as_object).into_iter().flatten()
}

fn cached(at: &str, json: &Json, import: &mut Import) {
    if json.get("cache_ttl").is_some_and(|ttl| !ttl.is_null()) {
        import.leave(
            at,
            "what an answer says of caching (`cache-control`) is up to the upstream",
        );
    }
}

fn web_pages(at: &str, config: &Json, import: &mut Import) {
    let known = [
        "allow_origins",
        "allow_headers",
        "expose_headers",
        "max_age",
        "allow_methods",
    ];
    import.rest(at, config, &[&known[..], &["allow_credentials"]].concat());
    if !items(config, "allow_methods").is_empty() {
        import.leave(
            format!("{at}.allow_methods"),
            "pages may use the methods of the operations that are published",
        );
    }
    if config.get("allow_credentials") == Some(&Json::Bool(true)) {
        import.leave(
            format!("{at}.allow_credentials"),
            "callers identify by a header that the page sends, never by a cookie",
        );
    }
    let asked = Asked {
        at,
        fields: ["allow_origins", "allow_headers", "expose_headers", "max_age"],
        origins: texts(config, "allow_origins"),
        headers: texts(config, "allow_headers"),
        expose: texts(config, "expose_headers"),
        max_age: duration(&format!("{at}.max_age"), "max_age", config, import).map(|ms| ms / 1000),
    };
    import.cors = cors(asked, import);
}

impl File<'_> {
    fn endpoint(&self, at: &str, json: &Json, import: &mut Import) -> Option<Endpoint> {
        let (headers, query) = if self.old {
            ("headers_to_pass", "querystring_params")
        } else {
            ("input_headers", "input_query_strings")
        };
        let known = [
            "endpoint",
            "method",
            "output_encoding",
            "backend",
            "timeout",
            "extra_config",
            "cache_ttl",
        ];
        import.rest(
            at,
            json,
            &[&known[..], &["concurrent_calls", headers, query]].concat(),
        );
        cached(&format!("{at}.cache_ttl"), json, import);
        if json
            .get("concurrent_calls")
            .and_then(Json::as_u64)
            .is_some_and(|calls| calls > 1)
        {
            import.leave(
                format!("{at}.concurrent_calls"),
                "a call is sent to its upstream once",
            );
        }
        let public = text(json, "endpoint")?.to_owned();
        let method = text(json, "method").unwrap_or("GET").to_ascii_uppercase();
        let [backend] = items(json, "backend") else {
            import.leave(
                at,
                "it has several backends or none: an operation has one upstream, and answers are not merged",
            );
            return None;
        };
        let host = self.host(at, backend, import)?;
        let path = text(backend, "url_pattern").unwrap_or(&public).to_owned();
        let asked = text(backend, "method").map_or_else(|| method.clone(), str::to_ascii_uppercase);
        let known = ["GET", "POST", "PUT", "PATCH", "DELETE"].contains(&method.as_str());
        if !known {
            import.leave(at, format!("`{}` is not published", shown(&method)));
            return None;
        }
        if asked != method {
            import.leave(at, "an operation is asked of its upstream by its own method");
            return None;
        }
        let public = trimmed(at, &public, import);
        let path = trimmed(at, &path, import);
        if !plain(&path) || !plain(&public) {
            let wrong = shown(if plain(&public) { &path } else { &public });
            import.leave(at, format!("`{wrong}` is no path of an operation"));
            return None;
        }
        // Callers would say what another part of the call said: a claim of a token, or an answer.
        if let Some(strange) = parameters(&path).find(|name| !parameters(&public).any(|known| known == *name))
        {
            import.leave(
                at,
                format!(
                    "`{{{}}}` is no parameter of the endpoint: what the gateway put into the path is not carried over",
                    shown(strange)
                ),
            );
            return None;
        }
        self.backend(&format!("{at}.backend[0]"), json, backend, import);
        let inputs = inputs::inputs(at, json, (headers, query), import);
        let mut scopes = Vec::new();
        for (name, config) in members(json, "extra_config") {
            let at = format!("{at}.extra_config.{}", shown(name));
            match namespaces::present(name) {
                "auth/validator" => scopes = tokens::validator(&at, config, import),
                "qos/ratelimit/router" => import.leave(
                    at,
                    "limits of single endpoints are not carried over: write `limits` in api.yaml or in plans",
                ),
                name => import.leave(at, reasons::of(name)),
            }
        }
        let timeout = duration(&format!("{at}.timeout"), "timeout", json, import);
        Some(Endpoint {
            at: at.to_owned(),
            public,
            host,
            first_byte: timeout.or(self.timeout),
            scopes,
            call: Call {
                summary: format!("{method} of {path}"),
                description: comment(json),
                method,
                path,
                query: inputs.query,
                headers: inputs.headers,
                ..Call::default()
            },
        })
    }

    /// The one host that is called.
    fn host(&self, at: &str, backend: &Json, import: &mut Import) -> Option<String> {
        let own = texts(backend, "host");
        let hosts = if own.is_empty() {
            texts(self.json, "host")
        } else {
            own
        };
        let Some(host) = hosts.first() else {
            import.leave(at, "its backend has no host");
            return None;
        };
        if hosts.len() > 1 {
            import.leave(
                format!("{at}.backend[0].host"),
                format!("only `{}` is called: an operation has one upstream", shown(host)),
            );
        }
        let host = host.trim_end_matches('/');
        let host = if host.contains("://") {
            host.to_owned()
        } else {
            format!("http://{host}")
        };
        if let Some(by) = text(backend, "sd").filter(|by| *by != "static") {
            import.leave(
                format!("{at}.backend[0].sd"),
                format!(
                    "where its backend is was looked up by `{}`; an upstream is one address: import it with that as `host`",
                    shown(by)
                ),
            );
            return None;
        }
        if !host.starts_with("https://") && !host.starts_with("http://") {
            import.leave(
                at,
                "its backend's host is no address that begins with http:// or https://",
            );
            return None;
        }
        Some(host)
    }

    /// What becomes of the answer, and what else is asked of the backend.
    fn backend(&self, at: &str, endpoint: &Json, backend: &Json, import: &mut Import) {
        let (allow, deny) = if self.old {
            ("whitelist", "blacklist")
        } else {
            ("allow", "deny")
        };
        let known = [
            "url_pattern",
            "host",
            "method",
            "encoding",
            "sd",
            "extra_config",
            "disable_host_sanitize",
        ];
        let changed = [allow, deny, "mapping", "group", "target", "is_collection"];
        import.rest(at, backend, &[&known[..], &changed[..]].concat());
        let whole = text(endpoint, "output_encoding").or_else(|| text(self.json, "output_encoding"));
        if !whole.is_some_and(is_no_op) {
            import.leave(
                format!("{}.output_encoding", at.trim_end_matches(".backend[0]")),
                "answers pass as the upstream gives them, as with `no-op`",
            );
        }
        if let Some(encoding) =
            text(backend, "encoding").filter(|encoding| !is_no_op(encoding) && *encoding != "json")
        {
            import.leave(
                format!("{at}.encoding"),
                format!("an answer in `{}` comes to the caller as it is", shown(encoding)),
            );
        }
        for field in changed {
            let value = backend
                .get(field)
                .filter(|value| !matches!(value, Json::Null | Json::Bool(false)));
            if value.is_some() {
                import.leave(
                    format!("{at}.{field}"),
                    if field == allow || field == deny {
                        "answers pass whole: fields that were held back here reach the caller, unless the upstream \
                         leaves them out"
                    } else {
                        "answers pass as the upstream gives them, as with `no-op`"
                    },
                );
            }
        }
        for (name, _) in members(backend, "extra_config") {
            let at = format!("{at}.extra_config.{}", shown(name));
            import.leave(at, reasons::of(namespaces::present(name)));
        }
    }
}

fn is_no_op(encoding: &str) -> bool {
    encoding == "no-op" || encoding == "no_op"
}

/// A path without a slash at its end, which no operation has.
fn trimmed(at: &str, path: &str, import: &mut Import) -> String {
    let short = path.trim_end_matches('/');
    if short.is_empty() {
        return "/".to_owned();
    }
    if short != path {
        import.leave(at, format!("`{}` has no `/` at its end here", shown(path)));
    }
    short.to_owned()
}

/// What its authors wrote beside an endpoint.
fn comment(json: &Json) -> Option<String> {
    let comments = [
        "@comment",
        "__comment",
        "_comment",
        "#comment",
        "$comment",
        "comment",
    ];
    let said = comments.iter().find_map(|name| text(json, name))?;
    let said: String = said.chars().filter(|c| !c.is_control()).take(1_000).collect();
    Some(said).filter(|said| !said.trim().is_empty())
}

/// The API of one host.
fn api(
    host: &str,
    mut endpoints: Vec<Endpoint>,
    names: &mut BTreeSet<String>,
    paths: &mut BTreeSet<String>,
    import: &mut Import,
) -> Api {
    let bare = host.split_once("://").map_or(host, |(_, rest)| rest);
    let bare = bare.rsplit_once('@').map_or(bare, |(_, rest)| rest);
    let bare = bare.split(['/', ':']).next().unwrap_or(bare);
    // An address by number, or of this machine, has no name of its own before the first point.
    let numbers = bare.bytes().all(|b| b.is_ascii_digit() || b == b'.');
    let name = if numbers {
        bare
    } else {
        bare.split('.').next().unwrap_or(bare)
    };
    let name = named(name, names);
    let at = endpoints
        .first()
        .map_or_else(|| shown(host), |one| one.at.clone());
    let mut upstream = reachable(host, &at, import);
    let shared = shared(endpoints.iter().map(|one| one.call.path.as_str()));
    if let Some(shared) = &shared {
        upstream.push_str(shared);
        for endpoint in &mut endpoints {
            let call = &mut endpoint.call;
            call.path = below(&call.path, shared);
            call.summary = format!("{} of {}", call.method, call.path);
        }
    }
    let version = shared.as_deref().and_then(versioned).map(|(_, version)| version);
    let prefixes = endpoints.iter().map(|one| match one.call.path.as_str() {
        "/" => Some(one.public.as_str()),
        path => one.public.strip_suffix(path),
    });
    let (path, version) = base(&name, version.as_deref(), prefixes, paths);
    let root = format!("{path}/{version}");
    let longest = endpoints.iter().filter_map(|one| one.first_byte).max();
    let mut api = Api {
        title: shown(bare),
        name,
        path,
        version,
        upstream,
        first_byte: longest.and_then(|ms| first_byte(ms, &format!("{at}.timeout"), import)),
        ..Api::default()
    };
    let moves: Vec<_> = endpoints
        .iter()
        .map(|one| Move {
            at: &one.at,
            method: &one.call.method,
            public: &one.public,
            below: &one.call.path,
        })
        .collect();
    moved::list(&root, &moves, import);
    let mut taken = BTreeSet::new();
    let mut scopes = Vec::new();
    for endpoint in endpoints {
        let Endpoint { at, call, .. } = endpoint;
        if !taken.insert((call.method.clone(), call.path.clone())) {
            import.leave(at, "another endpoint asks the same of the backend");
            continue;
        }
        if endpoint.first_byte != longest {
            import.leave(
                format!("{at}.timeout"),
                "the longest time-out of the API was written for all of it",
            );
        }
        scopes.push(endpoint.scopes);
        api.calls.push(call);
    }
    align(&mut api.calls);
    identify(&mut api.calls);
    for (call, scopes) in api.calls.iter().zip(scopes) {
        if !scopes.is_empty() {
            api.authorize.push((call.id.clone(), scopes));
        }
    }
    api
}
