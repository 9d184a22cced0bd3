//! Kong's declarative configuration: services, their routes, plugins and consumers.
//!
//! A service becomes an API. Kong's routes are prefixes and patterns, which lead whatever lies below them to the
//! upstream; here only described operations are published. So each path becomes an operation by itself,
//! and the list says where there was more.

mod consumers;
mod plugins;
mod reasons;
mod routes;

use std::collections::{BTreeMap, BTreeSet};

use serde_json::Value as Json;

use consumers::consumers;
use plugins::{cors, limits};
use routes::lay;

use super::{Api, Import, items, named, place, reachable, shown, text, texts};

/// Members that say nothing about what is done.
const IDLE: [&str; 7] = [
    "id",
    "name",
    "tags",
    "created_at",
    "updated_at",
    "ws_id",
    "instance_name",
];
/// Plugins that ask who calls.
const KNOW_CALLERS: [&str; 9] = [
    "key-auth",
    "key-auth-enc",
    "jwt",
    "basic-auth",
    "hmac-auth",
    "oauth2",
    "openid-connect",
    "ldap-auth",
    "mtls-auth",
];

/// Who may call a service, by the groups of its `acl`.
#[derive(Default)]
struct Groups {
    allow: Option<Vec<String>>,
    deny: Vec<String>,
}

pub(super) fn read(json: &Json, import: &mut Import) -> Result<(), String> {
    if json.get("services").is_none() && json.get("routes").is_none() && json.get("consumers").is_none() {
        return Err("it is no configuration of Kong: it has no `services`".to_owned());
    }
    import.rest(
        "the file",
        json,
        &[
            "_format_version",
            "_transform",
            "_info",
            "services",
            "plugins",
            "consumers",
            "routes",
            "upstreams",
        ],
    );
    for (index, route) in items(json, "routes").iter().enumerate() {
        import.leave(
            place("", "routes", index, route),
            "it is written outside of its service: put it below the service (`deck gateway dump` does)",
        );
    }
    let pools = items(json, "upstreams");
    for (index, pool) in pools.iter().enumerate() {
        import.leave(
            place("", "upstreams", index, pool),
            "an upstream is one address: that of the first target was written, without health checks",
        );
    }
    let mut names = BTreeSet::new();
    let mut groups = BTreeMap::new();
    let global: Vec<&Json> = items(json, "plugins").iter().filter(|one| on(one)).collect();
    let open = !global.iter().any(|one| knows_callers(one));
    let mut plan = Vec::new();
    for (index, plugin) in global.iter().enumerate() {
        let at = place("", "plugins", index, plugin);
        match text(plugin, "name") {
            Some("cors") => cors(&at, plugin, import),
            Some("rate-limiting") => plan.extend(limits(&at, plugin, import)),
            Some(name) if KNOW_CALLERS.contains(&name) => credentials(&at, name, import),
            _ => unknown(&at, plugin, import),
        }
    }
    for (index, service) in items(json, "services").iter().enumerate() {
        let at = place("", "services", index, service);
        if let Some((api, its)) = self::service(&at, service, open, pools, &mut names, import) {
            groups.insert(api.name.clone(), its);
            import.apis.push(api);
        }
    }
    consumers(json, &plan, &groups, import);
    Ok(())
}

fn on(plugin: &Json) -> bool {
    plugin.get("enabled") != Some(&Json::Bool(false))
}

fn knows_callers(plugin: &Json) -> bool {
    text(plugin, "name").is_some_and(|name| KNOW_CALLERS.contains(&name))
}

fn unknown(at: &str, plugin: &Json, import: &mut Import) {
    import.leave(at, reasons::of(text(plugin, "name").unwrap_or_default()));
}

/// Credentials that another gateway asked for.
fn credentials(at: &str, name: &str, import: &mut Import) {
    match name {
        "key-auth" => {}
        "jwt" => import.leave(
            at,
            "tokens are taken of issuers: write one in `issuers` of gateway.yaml, and `jwt` credentials of consumers",
        ),
        name => import.leave(
            at,
            format!("callers are known by tokens or API keys, not by `{name}`: give them such credentials"),
        ),
    }
}

fn service(
    at: &str,
    service: &Json,
    open: bool,
    pools: &[Json],
    names: &mut BTreeSet<String>,
    import: &mut Import,
) -> Option<(Api, Groups)> {
    import.rest(
        at,
        service,
        &[
            &IDLE[..],
            &[
                "url", "protocol", "host", "port", "path", "routes", "plugins", "enabled",
            ],
            &["read_timeout", "connect_timeout", "write_timeout", "retries"],
        ]
        .concat(),
    );
    if !on(service) {
        import.leave(at, "it is disabled");
        return None;
    }
    let Some(upstream) = upstream(service, pools) else {
        import.leave(at, "it has no address that begins with http:// or https://");
        return None;
    };
    let upstream = reachable(&upstream, at, import);
    let title = text(service, "name").unwrap_or("Service").to_owned();
    let mut api = Api {
        name: named(&title, names),
        title: shown(&title),
        upstream,
        first_byte: service
            .get("read_timeout")
            .and_then(Json::as_u64)
            .filter(|ms| *ms > 0),
        ..Api::default()
    };
    for setting in ["retries", "connect_timeout", "write_timeout"] {
        if service
            .get(setting)
            .is_some_and(|value| value.as_u64() != Some(0))
        {
            import.leave(
                format!("{at}.{setting}"),
                "APIs have one time-out, until the first byte, and calls of them are not repeated",
            );
        }
    }
    let mut groups = Groups::default();
    let mut asks = !open;
    for (index, plugin) in items(service, "plugins").iter().enumerate() {
        let at = place(at, "plugins", index, plugin);
        if !on(plugin) {
            import.leave(at, "it is disabled");
            continue;
        }
        asks |= knows_callers(plugin);
        self::plugin(&at, plugin, &mut api, &mut groups, import);
    }
    let mut calls = Vec::new();
    for (index, route) in items(service, "routes").iter().enumerate() {
        let at = place(at, "routes", index, route);
        asks |= items(route, "plugins").iter().any(knows_callers);
        routes::route(&at, route, &mut calls, import);
    }
    if !asks {
        import.leave(
            at,
            "it was open to everybody: here every caller identifies. An exception in gateway.yaml and \
             `authentication: none` with limits of its own would open it",
        );
    }
    lay(at, &mut api, calls, import);
    if api.calls.is_empty() {
        import.leave(at, "it has no route that can become an operation");
        return None;
    }
    Some((api, groups))
}

/// Its address; of a pool, that of the first target.
fn upstream(service: &Json, pools: &[Json]) -> Option<String> {
    let url = match text(service, "url") {
        Some(url) => url.to_owned(),
        None => {
            let protocol = text(service, "protocol").unwrap_or("http");
            let port = service.get("port").and_then(Json::as_u64);
            let usual = if protocol == "https" { 443 } else { 80 };
            let port = port
                .filter(|port| *port != usual)
                .map_or_else(String::new, |port| format!(":{port}"));
            let path = text(service, "path").unwrap_or_default();
            let host = text(service, "host")?;
            let pool = pools.iter().find(|pool| text(pool, "name") == Some(host));
            let target = pool.and_then(|pool| text(items(pool, "targets").first()?, "target"));
            if let Some(target) = target {
                return Some(
                    format!("{protocol}://{target}{path}")
                        .trim_end_matches('/')
                        .to_owned(),
                );
            }
            format!("{protocol}://{host}{port}{path}")
        }
    };
    let url = url.trim_end_matches('/').to_owned();
    let right = url.starts_with("https://") || url.starts_with("http://");
    right.then_some(url)
}

fn plugin(at: &str, plugin: &Json, api: &mut Api, groups: &mut Groups, import: &mut Import) {
    let none = Json::Null;
    let config = plugin.get("config").unwrap_or(&none);
    match text(plugin, "name") {
        Some("rate-limiting") => api.limits.extend(limits(at, plugin, import)),
        Some("request-size-limiting") => {
            let size = config
                .get("allowed_payload_size")
                .and_then(Json::as_u64)
                .unwrap_or(128);
            let unit = match text(config, "size_unit") {
                Some("kilobytes") => "KiB",
                Some("bytes") => "B",
                _ => "MiB",
            };
            if unit == "MiB" && size > 10 {
                import.leave(at, "bodies above 10MiB need a higher `max_body` of the floor");
            } else {
                api.max_body = Some(format!("{size}{unit}"));
            }
            import.rest(
                &format!("{at}.config"),
                config,
                &["allowed_payload_size", "size_unit", "require_content_length"],
            );
        }
        Some("acl") => {
            let allow = [texts(config, "allow"), texts(config, "whitelist")].concat();
            groups.allow = Some(allow).filter(|allow| !allow.is_empty());
            groups.deny = [texts(config, "deny"), texts(config, "blacklist")].concat();
        }
        Some(name) if KNOW_CALLERS.contains(&name) => credentials(at, name, import),
        _ => unknown(at, plugin, import),
    }
}
