//! Kong's declarative configuration: services, their routes, plugins and consumers.
//!
//! A service becomes an API. Kong's routes are prefixes and patterns, which lead whatever lies below them to the
//! upstream; here only described operations are published. So each path becomes an operation by itself,
//! and the list says where there was more. A plugin holds where it stands, and what is nearer to a call replaces what
//! is farther.

mod consumers;
mod demand;
mod entities;
mod pattern;
mod plugins;
mod reasons;
mod routes;

use std::collections::BTreeSet;

use serde_json::Value as Json;

use consumers::{Door, OTHER_CREDENTIALS, consumers, other_credentials};
use entities::{Entity, File, Plugin};
use plugins::{MAX_BODY, Said};
use routes::{Rules, Way, lay};

use super::cors::Cors;
use super::names::{named, place, shown};
use super::upstream::{first_byte, reachable};
use super::{Api, Import, items, text};

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

/// What services are read with, and what comes of them.
struct Services<'a> {
    file: File<'a>,
    /// The format is of a version before 3.
    old: bool,
    /// What holds for all.
    all: Said,
    names: BTreeSet<String>,
    paths: BTreeSet<String>,
    doors: Vec<Door>,
    /// What each says of web pages.
    pages: Vec<Option<(String, Cors)>>,
}

pub(super) fn read(json: &Json, import: &mut Import) -> Result<(), String> {
    if json.get("services").is_none() && json.get("routes").is_none() && json.get("consumers").is_none() {
        return Err("it is no configuration of Kong: it has no `services`; name a file as `deck gateway dump` writes it".to_owned());
    }
    let known = [
        "_format_version",
        "_transform",
        "_info",
        "_konnect",
        "_workspace",
        "_plugin_configs",
        "services",
        "plugins",
        "consumers",
        "consumer_groups",
        "routes",
        "upstreams",
        "acls",
        "keyauth_credentials",
    ];
    import.rest("the file", json, &[&known[..], &OTHER_CREDENTIALS[..]].concat());
    if let Some(defaults) = json.pointer("/_info/defaults").and_then(Json::as_object) {
        for name in defaults.keys() {
            import.leave(
                format!("_info.defaults.{}", shown(name)),
                "defaults are not read: write them out in each service, route, upstream or target",
            );
        }
    }
    for list in OTHER_CREDENTIALS {
        other_credentials(list, items(json, list), import);
    }
    let file = File(json);
    file.strays(import);
    for (index, group) in items(json, "consumer_groups").iter().enumerate() {
        let at = place("", "consumer_groups", index, group);
        import.rest(&at, group, &[&IDLE[..], &["consumers", "plugins"]].concat());
        for (index, plugin) in items(group, "plugins").iter().enumerate() {
            import.leave(
                place(&at, "plugins", index, plugin),
                "what holds for a group of consumers is written in a plan that they share",
            );
        }
    }
    for Entity { at, .. } in file.list("routes") {
        import.leave(at, "it leads to no service");
    }
    for (index, pool) in items(json, "upstreams").iter().enumerate() {
        import.leave(
            place("", "upstreams", index, pool),
            "an upstream is one address: that of the first target was written, without health checks",
        );
    }
    let global = file.on(file.list("plugins"), import);
    let all = Said::by(&global, import);
    if let Some(at) = &all.closed {
        import.leave(
            at,
            "the gateway answered every call itself: no service is published; take it away to import them",
        );
    }
    let version = text(json, "_format_version").unwrap_or("1.1");
    let mut services = Services {
        file,
        old: version.starts_with("1.") || version.starts_with("2."),
        all,
        names: BTreeSet::new(),
        paths: BTreeSet::new(),
        doors: Vec::new(),
        pages: Vec::new(),
    };
    for service in file.list("services") {
        if services.all.closed.is_none()
            && let Some(api) = services.read(&service, import)
        {
            import.apis.push(api);
        }
    }
    let Services {
        all,
        mut doors,
        pages,
        ..
    } = services;
    doors.sort_by(|one, other| one.api.cmp(&other.api));
    web_pages(all.cors, pages, import);
    if let Some((_, size)) = all.max_body {
        max_body(size, import);
    }
    let plan = all.limits.map_or_else(Vec::new, |(_, limits)| limits);
    consumers(file, &plan, &doors, import);
    Ok(())
}

/// Pages may call all APIs, or none: what all say alike is carried over.
fn web_pages(all: Option<(String, Cors)>, each: Vec<Option<(String, Cors)>>, import: &mut Import) {
    let mut own = each.iter().flatten().map(|(_, cors)| cors);
    let same = match own.next() {
        Some(first) => all.is_none() && each.iter().all(Option::is_some) && own.all(|cors| cors == first),
        None => false,
    };
    let mut each = each.into_iter().flatten();
    let chosen = if same {
        each.next().map(|(_, cors)| cors)
    } else {
        all.map(|(_, cors)| cors)
    };
    if !same {
        for (at, _) in each {
            import.leave(
                at,
                "which web pages may call is `cors` of gateway.yaml, for all APIs alike: it is carried over where it \
                 holds for all",
            );
        }
    }
    import.cors = chosen;
}

/// The bound of all bodies: that of the floor, unless an API had one of its own instead.
fn max_body(size: u64, import: &mut Import) {
    if import.apis.iter().all(|api| api.max_body.is_none()) {
        import.max_body = Some(size);
    }
    for api in &mut import.apis {
        if import.max_body.is_none() {
            api.max_body.get_or_insert(size);
        }
    }
}

/// Lists what plugins say in a place where it is not carried over.
fn not_here(said: &Said, carried: &[&str], import: &mut Import) {
    if !carried.contains(&"limits")
        && let Some((at, _)) = &said.limits
    {
        import.leave(
            at,
            "limits are those of a plan or of an API, not of one of its operations: write `limits` there",
        );
    }
    if !carried.contains(&"max_body")
        && let Some((at, _)) = &said.max_body
    {
        import.leave(
            at,
            "the bound of a body is that of the floor, of an API or of an operation",
        );
    }
}

impl<'a> Services<'a> {
    fn read(&mut self, service: &Entity<'a>, import: &mut Import) -> Option<Api> {
        let Entity { at, json } = service;
        let known = [
            "url", "protocol", "host", "port", "path", "routes", "plugins", "enabled",
        ];
        let told = ["read_timeout", "connect_timeout", "write_timeout", "retries"];
        import.rest(at, json, &[&IDLE[..], &known[..], &told[..]].concat());
        import.simple(at, json, &["port", "read_timeout", "enabled"]);
        if json.get("enabled") == Some(&Json::Bool(false)) {
            import.leave(at, "it is disabled");
            return None;
        }
        let Some(upstream) = upstream(json, items(self.file.0, "upstreams")) else {
            import.leave(at, "it has no address that begins with http:// or https://");
            return None;
        };
        if text(json, "url").is_some() {
            for field in ["protocol", "host", "port", "path"] {
                if json.get(field).is_some_and(|value| !value.is_null()) {
                    import.leave(
                        format!("{at}.{field}"),
                        "it stands beside `url`, which was followed",
                    );
                }
            }
        }
        let routes = self.file.of("service", service, "routes");
        let mut own = self.file.on(self.file.of("service", service, "plugins"), import);
        // What holds for its only route holds for all of it.
        let (only, single) = match routes.as_slice() {
            [route] => (
                self.file.on(self.file.of("route", route, "plugins"), import),
                true,
            ),
            _ => (Vec::new(), false),
        };
        own.retain(|plugin| {
            let kept = only.iter().all(|nearer| nearer.name != plugin.name);
            if !kept {
                import.leave(&plugin.at, "that of its only route held instead");
            }
            kept
        });
        let plugins: Vec<Plugin<'_>> = only.into_iter().chain(own).collect();
        let said = Said::by(&plugins, import);
        if let Some(at) = &said.closed {
            import.leave(
                at,
                "the gateway answered every call of this service itself: it is not published",
            );
            return None;
        }
        let upstream = reachable(&upstream, at, import);
        let title = text(json, "name").unwrap_or("Service").to_owned();
        let timeout = json.get("read_timeout").and_then(Json::as_u64);
        let mut api = Api {
            name: named(&title, &mut self.names),
            title: shown(&title),
            upstream,
            first_byte: timeout.and_then(|ms| first_byte(ms, &format!("{at}.read_timeout"), import)),
            max_body: said.max_body.as_ref().map(|(_, size)| *size),
            limits: said
                .limits
                .as_ref()
                .map_or_else(Vec::new, |(_, limits)| limits.clone()),
            ..Api::default()
        };
        for setting in ["retries", "connect_timeout", "write_timeout"] {
            if json
                .get(setting)
                .is_some_and(|value| !value.is_null() && value.as_u64() != Some(0))
            {
                import.leave(
                    format!("{at}.{setting}"),
                    "APIs have one time-out, until the first byte, and calls of them are not repeated",
                );
            }
        }
        let ways = self.ways(&routes, single, &said, import);
        if ways.is_empty() {
            import.leave(at, "it has no route that can become an operation");
            self.pages.extend(said.cors.map(Some));
            return None;
        }
        self.pages.push(said.cors);
        self.doors.push(lay(at, &mut api, ways, &mut self.paths, import));
        Some(api)
    }

    /// The ways of all routes; of a single one the plugins were read with those of its service.
    fn ways(&mut self, routes: &[Entity<'a>], single: bool, said: &Said, import: &mut Import) -> Vec<Way> {
        let mut ways = Vec::new();
        for route in routes {
            let near = if single {
                Said::default()
            } else {
                Said::by(
                    &self.file.on(self.file.of("route", route, "plugins"), import),
                    import,
                )
            };
            if let Some(at) = &near.closed {
                import.leave(
                    at,
                    "the gateway answered every call of this route itself: it is not published",
                );
                continue;
            }
            not_here(&near, &["max_body"], import);
            if let Some(pages) = near.cors {
                self.pages.push(Some(pages));
            }
            let asked = near.asked.and(&said.asked).and(&self.all.asked);
            if asked.nothing() {
                import.leave(
                    &route.at,
                    "it was open to everybody: here every caller identifies. An exception in gateway.yaml and \
                     `authentication: none` with limits of its own would open its API",
                );
            } else if !(near.asks || said.asks || self.all.asks) {
                import.leave(
                    &route.at,
                    format!(
                        "it was guarded by {}, which is not carried over: here every caller identifies, and nobody is \
                         granted it until `may` of a consumer says so",
                        asked.named()
                    ),
                );
            }
            let above = [said, &self.all]
                .iter()
                .find_map(|said| Some(said.max_body.as_ref()?.1));
            let max_body = near.max_body.filter(|(at, size)| {
                let fits = *size <= above.unwrap_or(MAX_BODY);
                if !fits {
                    import.leave(at, "an operation takes no larger body than its API");
                }
                fits
            });
            let groups = near
                .groups
                .as_ref()
                .or(said.groups.as_ref())
                .or(self.all.groups.as_ref());
            let rules = Rules {
                old: self.old,
                groups: groups.cloned().unwrap_or_default(),
                asked,
                max_body: max_body.map(|(_, size)| size),
            };
            routes::route(route, &rules, &mut ways, import);
        }
        ways
    }
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
            match target {
                // The usual port of a target is one of its own.
                Some(target) if !target.contains(':') => format!("{protocol}://{target}:8000{path}"),
                Some(target) => format!("{protocol}://{target}{path}"),
                None => format!("{protocol}://{host}{port}{path}"),
            }
        }
    };
    let url = url.trim_end_matches('/').to_owned();
    let right = url.starts_with("https://") || url.starts_with("http://");
    right.then_some(url)
}
