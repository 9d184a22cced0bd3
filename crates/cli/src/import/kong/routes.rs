//! Where routes lead, and where their API lies.

use std::collections::BTreeSet;

use super::super::moved::{self, Move};
use super::super::names::{align, base, below, identify, plain, shared, shown, versioned};
use super::super::{Api, Call, Import, items, text, texts};
use super::consumers::{Door, Guarded};
use super::demand::Demand;
use super::entities::Entity;
use super::plugins::Groups;
use super::{IDLE, pattern};

/// What is published, and what a route without methods takes of that.
const METHODS: [&str; 5] = ["GET", "POST", "PUT", "PATCH", "DELETE"];

/// A path of a route: what callers call, and what the upstream is asked below its address.
pub(super) struct Way {
    at: String,
    method: String,
    public: String,
    below: String,
    groups: Groups,
    asked: Demand,
    max_body: Option<u64>,
}

/// What holds for all ways of a route.
pub(super) struct Rules {
    /// Before version 3 of the format a path that is no plain one is a pattern, also without `~`.
    pub(super) old: bool,
    pub(super) groups: Groups,
    pub(super) asked: Demand,
    pub(super) max_body: Option<u64>,
}

pub(super) fn route(route: &Entity<'_>, rules: &Rules, ways: &mut Vec<Way>, import: &mut Import) {
    let Entity { at, json } = route;
    let known = [
        "paths",
        "methods",
        "hosts",
        "strip_path",
        "protocols",
        "plugins",
        "service",
    ];
    // Streams pass as they come, whether or not they were held before.
    let same = [
        "request_buffering",
        "response_buffering",
        "https_redirect_status_code",
    ];
    let told = ["regex_priority", "priority", "path_handling", "preserve_host"];
    let matched = ["headers", "sources", "destinations", "snis", "expression"];
    import.rest(
        at,
        json,
        &[&IDLE[..], &known[..], &same[..], &told[..], &matched[..]].concat(),
    );
    import.simple(at, json, &["strip_path", "preserve_host"]);
    for field in matched {
        if json
            .get(field)
            .is_some_and(|value| !value.is_null() && !is_empty(value))
        {
            import.leave(
                format!("{at}.{field}"),
                "operations are told apart by method and path alone: what this route took by more than that is not \
                 carried over, as it would take more here",
            );
            return;
        }
    }
    if json
        .get("regex_priority")
        .or_else(|| json.get("priority"))
        .is_some_and(|order| order.as_u64() != Some(0))
    {
        import.leave(
            format!(
                "{at}.{}",
                if json.get("regex_priority").is_some() {
                    "regex_priority"
                } else {
                    "priority"
                }
            ),
            "operations have no order: a literal goes before a parameter, and no two may fit the same call",
        );
    }
    if text(json, "path_handling").is_some_and(|how| how != "v0") {
        import.leave(
            format!("{at}.path_handling"),
            "an operation's path is added to the upstream's address, with one `/` between",
        );
    }
    if json.get("preserve_host").and_then(serde_json::Value::as_bool) == Some(true) {
        import.leave(
            format!("{at}.preserve_host"),
            "the upstream gets its own host name",
        );
    }
    let protocols = texts(json, "protocols");
    let http = |name: &String| name == "http" || name == "https";
    if !protocols.is_empty() && !protocols.iter().any(http) {
        import.leave(
            format!("{at}.protocols"),
            "operations are called by HTTP with a request and an answer, and by nothing else",
        );
        return;
    }
    if protocols == ["https"] {
        import.once(
            format!("{at}.protocols"),
            "who calls without TLS is turned away or redirected by the platform's settings",
        );
    }
    if !items(json, "hosts").is_empty() {
        import.leave(
            format!("{at}.hosts"),
            "an API answers on every host of the gateway: name those in `hosts` of gateway.yaml",
        );
    }
    let methods = methods(at, &texts(json, "methods"), import);
    paths(route, &methods, rules, ways, import);
}

/// The methods that are published. OPTIONS the gateway answers by itself, and HEAD where there is a GET.
fn methods(at: &str, listed: &[String], import: &mut Import) -> Vec<String> {
    if listed.is_empty() {
        return METHODS.map(str::to_owned).to_vec();
    }
    let mut methods = Vec::new();
    for method in listed.iter().map(|method| method.to_ascii_uppercase()) {
        if METHODS.contains(&method.as_str()) {
            methods.push(method);
        } else if method != "HEAD" && method != "OPTIONS" {
            import.leave(
                format!("{at}.methods"),
                format!("`{}` is not published", shown(&method)),
            );
        }
    }
    let has = |wanted: &str| listed.iter().any(|method| method.eq_ignore_ascii_case(wanted));
    if has("HEAD") && !has("GET") {
        import.leave(
            format!("{at}.methods"),
            "`HEAD` is answered where there is a GET: this route has none, so that it is not published",
        );
    }
    if methods.is_empty() {
        import.leave(format!("{at}.methods"), "none of them is published");
    }
    methods
}

/// The paths of a route, each with each of its methods.
fn paths(route: &Entity<'_>, methods: &[String], rules: &Rules, ways: &mut Vec<Way>, import: &mut Import) {
    let Entity { at, json } = route;
    let strip = json.get("strip_path").and_then(serde_json::Value::as_bool) != Some(false);
    let paths = texts(json, "paths");
    if paths.is_empty() {
        import.leave(at, "it has no path");
    }
    for path in paths {
        let bare = path.trim_end_matches('/');
        let pattern = path.strip_prefix('~').or_else(|| {
            let plain = bare.is_empty() || plain(bare) && !bare.contains('{');
            (rules.old && !plain).then_some(path.as_str())
        });
        let (path, exact) = match pattern.map(pattern::path) {
            Some(Some(found)) => found,
            Some(None) => {
                import.leave(
                    format!("{at}.paths"),
                    format!(
                        "`{}` is a pattern: write what fits it as paths of the document",
                        shown(&path)
                    ),
                );
                continue;
            }
            None => (path.clone(), false),
        };
        let public = path.trim_end_matches('/');
        // What is all of a host has no path of its own.
        if !public.is_empty() && !plain(public) || path.contains("//") || !path.starts_with('/') {
            import.leave(
                format!("{at}.paths"),
                format!("`{}` is no path of an operation", shown(&path)),
            );
            continue;
        }
        if !exact {
            import.leave(
                format!("{at}.paths"),
                format!("everything below `{path}` was reached as well: add what there is to the document"),
            );
        }
        for method in methods {
            ways.push(Way {
                at: at.clone(),
                method: method.clone(),
                public: public.to_owned(),
                below: if strip || public.is_empty() { "/" } else { public }.to_owned(),
                groups: rules.groups.clone(),
                asked: rules.asked.clone(),
                max_body: rules.max_body,
            });
        }
    }
}

/// Where the API lies, and its operations below; gives who may call each.
pub(super) fn lay(
    at: &str,
    api: &mut Api,
    mut ways: Vec<Way>,
    taken: &mut BTreeSet<String>,
    import: &mut Import,
) -> Door {
    let whole = ways.iter().all(|way| way.public == way.below);
    let shared = shared(ways.iter().map(|way| way.public.as_str())).filter(|_| whole);
    if let Some(shared) = &shared {
        for way in &mut ways {
            way.below = below(&way.below, shared);
        }
        api.upstream.push_str(shared);
    }
    // Where all callers found it under a path with a version, it stays there.
    let prefixes = ways.iter().map(|way| match way.below.as_str() {
        "/" => Some(way.public.as_str()),
        below => way.public.strip_suffix(below),
    });
    let version = shared.as_deref().and_then(versioned).map(|(_, version)| version);
    (api.path, api.version) = base(&api.name, version.as_deref(), prefixes, taken);
    let base = format!("{}/{}", api.path, api.version);
    let mut known = BTreeSet::new();
    let mut calls = Vec::new();
    let mut asked_by = Vec::new();
    let moves: Vec<_> = ways
        .iter()
        .map(|way| Move {
            at: &way.at,
            method: &way.method,
            public: &way.public,
            below: &way.below,
        })
        .collect();
    moved::list(&base, &moves, import);
    for way in ways {
        if !known.insert((way.method.clone(), way.below.clone())) {
            import.leave(
                at,
                format!("{} {} is led there twice", way.method, shown(&way.public)),
            );
            continue;
        }
        asked_by.push((way.groups, way.asked));
        calls.push(Call {
            summary: format!("{} of {}", way.method, way.below),
            method: way.method,
            path: way.below,
            max_body: way.max_body,
            ..Call::default()
        });
    }
    align(&mut calls);
    identify(&mut calls);
    let ids = calls.iter().map(|call| call.id.clone());
    let operations = ids
        .zip(asked_by)
        .map(|(id, (groups, asked))| Guarded { id, groups, asked })
        .collect();
    api.calls = calls;
    Door {
        api: api.name.clone(),
        operations,
    }
}

fn is_empty(value: &serde_json::Value) -> bool {
    value.as_array().is_some_and(Vec::is_empty)
        || value.as_object().is_some_and(serde_json::Map::is_empty)
        || value.as_str().is_some_and(str::is_empty)
}
