//! An OpenAPI document: an API by itself, whose upstream is the document's server.

use std::collections::BTreeSet;

use serde_json::Value as Json;
use turnpike_policy::source::{Earlier, other_document};

use super::names::{named, shown, versioned};
use super::{Api, Import, items, text};
use crate::ids;
use crate::new::api::version_of;

pub(super) fn read(json: &Json, whole: &str, import: &mut Import) -> Result<(), String> {
    if let Some((what, help)) = other_document(json) {
        return Err(format!("it is {what}\n{help}"));
    }
    let none = Json::Null;
    let info = json.get("info").unwrap_or(&none);
    let title = text(info, "title").unwrap_or("API");
    let servers = items(json, "servers");
    let mut addresses = servers.iter().map(address);
    let Some((chosen, url)) = addresses
        .by_ref()
        .enumerate()
        .find_map(|(index, url)| Some((index, url?)))
    else {
        return Err(
            "it names no server with a plain address, to be the upstream (whole, and with a `default` for each of \
             its variables): add one to `servers`, or use `turnpike new api NAME --from FILE --upstream URL`"
                .to_owned(),
        );
    };
    for (index, other) in servers.iter().enumerate() {
        if index == chosen {
            for (name, variable) in variables(other) {
                let name = shown(name);
                let value = shown(text(variable, "default").unwrap_or_default());
                import.leave(
                    format!("servers[{index}].variables.{name}"),
                    format!(
                        "the upstream is that of its default, `{value}`; where it differs by environment, it is \
                         a variable in `environments`"
                    ),
                );
            }
        } else {
            let url = shown(text(other, "url").unwrap_or_default());
            import.leave(
                format!("servers[{index}]"),
                format!(
                    "`{url}` is not called: each environment has one upstream, in `upstreams` of its file"
                ),
            );
        }
    }
    let schemes = json
        .pointer("/components/securitySchemes")
        .and_then(Json::as_object);
    for (name, _) in schemes.into_iter().flatten() {
        import.leave(
            format!("components.securitySchemes.{}", shown(name)),
            "callers identify to the gateway, by its issuers and keys; what the upstream wants is its \
             `upstream_credential`",
        );
    }
    own_methods(json, import);
    let mut names = BTreeSet::new();
    let name = named(title, &mut names);
    let rest = url.split_once("://").map_or("", |(_, rest)| rest);
    let path = rest.find('/').and_then(|at| rest.get(at..)).unwrap_or_default();
    // Callers of the server know it by that of its address, where it has one.
    let (_, version) =
        versioned(&format!("/{name}{path}")).unwrap_or_else(|| (String::new(), version_of(json)));
    let copy = ids::named(whole, &Earlier::default())?;
    let blank = |c: char| c.is_whitespace() || c == '\u{feff}';
    let json = copy.text.trim_start_matches(blank).starts_with('{');
    let ending = if json { "json" } else { "yaml" };
    import
        .apis
        .push(api(name, title, version, url, (copy.text, ending)));
    import.given = copy.given;
    import.leave(
        "who may call",
        "an OpenAPI document knows no consumers: write each with `turnpike new consumer`",
    );
    Ok(())
}

/// Lists the operations of methods that are the gateway's own.
fn own_methods(json: &Json, import: &mut Import) {
    let paths = json.get("paths").and_then(Json::as_object);
    for (path, item) in paths.into_iter().flatten() {
        let elsewhere = text(item, "$ref").and_then(|to| json.pointer(to.strip_prefix('#')?));
        let item = elsewhere.unwrap_or(item);
        let why = |method: &str| match method {
            "head" if item.get("get").is_some() => {
                "`HEAD` is answered as the GET of its path, without the body: what the document says of it by itself does \
                 not hold"
            }
            "head" => {
                "`HEAD` is answered where there is a GET: its path has none, so that it is not published"
            }
            "options" => "`OPTIONS` is answered by the gateway itself: no upstream is asked",
            _ => "`TRACE` is not published",
        };
        for method in ["head", "options", "trace"] {
            if item.get(method).is_some() {
                import.leave(format!("paths.{}.{method}", shown(path)), why(method));
            }
        }
    }
}

fn variables(server: &Json) -> impl Iterator<Item = (&String, &Json)> {
    let all = server.get("variables").and_then(Json::as_object);
    all.into_iter().flatten()
}

/// Where a server is, with the defaults of its variables; none: it does not say so, or it is no plain address.
fn address(server: &Json) -> Option<String> {
    let mut rest = text(server, "url")?;
    let mut url = String::new();
    while let Some((before, after)) = rest.split_once('{') {
        let (name, after) = after.split_once('}')?;
        let (_, variable) = variables(server).find(|(known, _)| *known == name)?;
        url.push_str(before);
        // It may be empty, as that of a path often is.
        url.push_str(variable.get("default")?.as_str()?);
        rest = after;
    }
    url.push_str(rest);
    let whole = url.starts_with("https://") || url.starts_with("http://");
    (whole && !url.contains(['{', '}', '?', '#'])).then(|| url.trim_end_matches('/').to_owned())
}

fn api(
    name: String,
    title: &str,
    version: String,
    upstream: String,
    document: (String, &'static str),
) -> Api {
    Api {
        title: shown(title),
        path: format!("/{name}"),
        name,
        version,
        upstream,
        document: Some(document),
        ..Api::default()
    }
}
