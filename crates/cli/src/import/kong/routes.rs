//! Where routes lead, and where their API lies.

use std::collections::BTreeSet;
use std::fmt::Write as _;

use serde_json::Value as Json;

use super::super::{Api, Call, Import, id, items, place, plain, shown, text, texts, versioned};
use super::IDLE;

/// What a route without methods takes, as far as operations have them.
const METHODS: [&str; 5] = ["GET", "POST", "PUT", "PATCH", "DELETE"];

/// A path of a route: what callers call, and what the upstream is asked below its address.
pub(super) struct Way {
    at: String,
    method: String,
    public: String,
    below: String,
}

pub(super) fn route(at: &str, route: &Json, ways: &mut Vec<Way>, import: &mut Import) {
    import.rest(
        at,
        route,
        &[
            &IDLE[..],
            &[
                "paths",
                "methods",
                "hosts",
                "strip_path",
                "protocols",
                "plugins",
                "service",
            ],
            &[
                "https_redirect_status_code",
                "regex_priority",
                "path_handling",
                "preserve_host",
            ],
            &["request_buffering", "response_buffering"],
        ]
        .concat(),
    );
    for (index, plugin) in items(route, "plugins").iter().enumerate() {
        if text(plugin, "name") != Some("key-auth") {
            import.leave(
                place(at, "plugins", index, plugin),
                "what a plugin does to one route alone is not carried over",
            );
        }
    }
    if !items(route, "hosts").is_empty() {
        import.leave(
            format!("{at}.hosts"),
            "an API answers on every host of the gateway: name those in `hosts` of gateway.yaml",
        );
    }
    if route.get("preserve_host") == Some(&Json::Bool(true)) {
        import.leave(
            format!("{at}.preserve_host"),
            "the upstream gets its own host name",
        );
    }
    let strip = route.get("strip_path") != Some(&Json::Bool(false));
    let methods = texts(route, "methods");
    let methods: Vec<String> = if methods.is_empty() {
        METHODS.map(str::to_owned).to_vec()
    } else {
        methods
    };
    paths(at, route, &methods, strip, ways, import);
}

/// The paths of a route, each with each of its methods.
fn paths(at: &str, route: &Json, methods: &[String], strip: bool, ways: &mut Vec<Way>, import: &mut Import) {
    let paths = texts(route, "paths");
    if paths.is_empty() {
        import.leave(at, "it has no path");
    }
    for path in paths {
        let (path, exact) = match path.strip_prefix('~') {
            Some(pattern) => match template(pattern) {
                Some(path) => (path, true),
                None => {
                    import.leave(
                        format!("{at}.paths"),
                        format!(
                            "`{}` is a pattern: write what fits it as paths of the document",
                            shown(&path)
                        ),
                    );
                    continue;
                }
            },
            None => (path.clone(), false),
        };
        let trimmed = path.trim_end_matches('/');
        if !plain(&path) || trimmed.is_empty() {
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
            let method = method.to_ascii_uppercase();
            if !METHODS.contains(&method.as_str()) && method != "HEAD" {
                import.leave(
                    format!("{at}.methods"),
                    format!("`{}` is not published", shown(&method)),
                );
                continue;
            }
            ways.push(Way {
                at: at.to_owned(),
                method,
                public: trimmed.to_owned(),
                below: if strip { "/" } else { trimmed }.to_owned(),
            });
        }
    }
}

/// A pattern of plain segments and named groups as a path: `/a/(?<id>\d+)$` is `/a/{id}`.
fn template(pattern: &str) -> Option<String> {
    let pattern = pattern.strip_prefix('^').unwrap_or(pattern);
    let pattern = pattern.strip_suffix('$')?;
    let mut path = String::new();
    for segment in pattern.strip_prefix('/')?.split('/') {
        let group = segment
            .strip_prefix("(?<")
            .and_then(|rest| rest.strip_suffix(')'));
        let name = group.and_then(|group| group.split_once('>'));
        match name {
            Some((name, inner)) if !inner.contains(['(', ')', '<']) => {
                let _ = write!(path, "/{{{name}}}");
            }
            _ => {
                let _ = write!(path, "/{segment}");
            }
        }
    }
    plain(&path).then_some(path)
}

/// What the paths of routes that pass whole begin with, up to a version: it can stand in the upstream's address.
fn shared(ways: &[Way]) -> Option<String> {
    let first = &ways.first()?.public;
    let end = first
        .match_indices('/')
        .map(|(at, _)| at)
        .chain([first.len()])
        .find(|end| first.get(..*end).and_then(versioned).is_some())?;
    let shared = first.get(..end)?;
    let fits = |way: &Way| {
        let rest = way.public.strip_prefix(shared);
        way.public == way.below && rest.is_some_and(|rest| rest.is_empty() || rest.starts_with('/'))
    };
    let whole = !shared.contains('{') && ways.iter().all(fits);
    whole.then(|| shared.to_owned())
}

/// Where the API lies, and its operations below.
pub(super) fn lay(at: &str, api: &mut Api, mut ways: Vec<Way>, import: &mut Import) {
    if let Some(shared) = shared(&ways) {
        for way in &mut ways {
            let rest = way.below.strip_prefix(shared.as_str()).unwrap_or_default();
            way.below = if rest.is_empty() { "/" } else { rest }.to_owned();
        }
        api.upstream.push_str(&shared);
    }
    // Where all callers found it under a path with a version, it stays there.
    let prefix = |way: &Way| match way.below.as_str() {
        "/" => Some(way.public.clone()),
        below => way.public.strip_suffix(below).map(str::to_owned),
    };
    let mut prefixes: Vec<_> = ways.iter().map(prefix).collect();
    prefixes.dedup();
    let stays = match prefixes.as_slice() {
        [Some(one)] => versioned(one),
        _ => None,
    };
    (api.path, api.version) = stays.unwrap_or_else(|| (format!("/{}", api.name), "v1".to_owned()));
    let base = format!("{}/{}", api.path, api.version);
    let mut taken = BTreeSet::new();
    let mut ids = BTreeSet::new();
    for way in ways {
        let now = format!("{base}{}", way.below);
        if now.trim_end_matches('/') != way.public {
            import.leave(
                way.at.clone(),
                format!("{} {} is called as {now} here", way.method, way.public),
            );
        }
        if !taken.insert((way.method.clone(), way.below.clone())) {
            import.leave(at, format!("{} {} is led there twice", way.method, way.public));
            continue;
        }
        api.calls.push(Call {
            id: id(&way.method, &way.below, &mut ids),
            summary: format!("{} of {}", way.method, way.below),
            method: way.method,
            path: way.below,
            ..Call::default()
        });
    }
}
