//! What documents tell about security, after the OWASP API Security Top 10 (2023).

use std::collections::BTreeSet;

use super::super::diagnostic::Code;
use super::super::secrets::quote;
use super::super::yaml::Node;
use super::documents::{Described, Opened};
use super::{Judge, host, is_local};

/// Names of parameters that hold credentials, without `-` and `_`.
const CREDENTIALS: [&str; 14] = [
    "accesstoken",
    "apikey",
    "apitoken",
    "authorization",
    "authtoken",
    "bearer",
    "clientsecret",
    "idtoken",
    "jwt",
    "passwd",
    "password",
    "refreshtoken",
    "secret",
    "secretkey",
];
/// Names of parameters that hold an address which is fetched or redirected to.
const ADDRESSES: [&str; 12] = [
    "callback",
    "callbackurl",
    "continue",
    "dest",
    "destination",
    "forward",
    "nexturl",
    "redirect",
    "redirecturi",
    "redirecturl",
    "returnurl",
    "webhookurl",
];
/// Schemes of HTTP authentication that are kept up (IANA's registry, without what is obsolete).
const SCHEMES: [&str; 7] = [
    "bearer",
    "basic",
    "dpop",
    "gnap",
    "mutual",
    "privatetoken",
    "hoba",
];

pub(super) fn judge(opened: &Opened<'_>, judge: &mut Judge<'_>) {
    parameters(opened, judge);
    schemes(opened, judge);
    servers(opened, judge);
    demands(opened, judge);
    scopes(opened, judge);
}

fn parameters(opened: &Opened<'_>, judge: &mut Judge<'_>) {
    let mut seen = BTreeSet::new();
    for parameter in opened
        .operations
        .iter()
        .flat_map(|operation| &operation.parameters)
    {
        let (Some(name), Some(place)) = (
            parameter.get("name").and_then(Node::text),
            parameter.get("in").and_then(Node::text),
        ) else {
            continue;
        };
        if !seen.insert(parameter.span) {
            continue;
        }
        let plain = name.to_ascii_lowercase().replace(['-', '_', '.'], "");
        let in_url = matches!(place, "query" | "path");
        let at = parameter.get("name").map_or(parameter.span, |name| name.span);
        if in_url && CREDENTIALS.contains(&plain.as_str()) {
            judge
                .say(
                    Code::CredentialInUrl,
                    at,
                    format!("the parameter {} puts a credential into the URL", quote(name)),
                )
                .help(
                    "send it in a header or in the body; callers identify to the gateway by `Authorization`",
                );
        }
        if ADDRESSES.contains(&plain.as_str()) {
            judge
                .say(Code::AddressParameter, at, format!("{} may send the upstream to any address", quote(name)))
                .help("take a name that the upstream knows instead, or see to it that it accepts known hosts only");
        }
        let schema = parameter
            .get("schema")
            .and_then(|schema| opened.document.try_resolve(schema).ok());
        let number = schema
            .and_then(|schema| schema.get("type")?.text())
            .is_some_and(|kind| kind == "integer");
        if place == "path" && number && plain.ends_with("id") {
            judge
                .say(
                    Code::NumericId,
                    at,
                    format!("{} is a number, which can be counted through", quote(name)),
                )
                .help("use identifiers that cannot be guessed, such as UUIDs");
        }
    }
}

fn schemes(opened: &Opened<'_>, judge: &mut Judge<'_>) {
    let components = opened
        .root
        .get("components")
        .and_then(|components| components.get("securitySchemes"));
    for (key, scheme) in components.map(Node::entries).unwrap_or_default() {
        let Ok(scheme) = opened.document.try_resolve(scheme) else {
            continue;
        };
        let field = |name: &str| scheme.get(name).and_then(Node::text).map(str::to_ascii_lowercase);
        let shown = quote(key.text().unwrap_or(""));
        match field("type").as_deref() {
            Some("http") => match field("scheme").as_deref() {
                Some("basic") => {
                    judge
                        .say(
                            Code::BasicAuthentication,
                            key.span,
                            format!("{shown} is HTTP basic authentication"),
                        )
                        .help("use a bearer token");
                }
                Some(other) if !SCHEMES.contains(&other) => {
                    judge
                        .say(
                            Code::WeakScheme,
                            key.span,
                            format!("{shown} uses the scheme {}", quote(other)),
                        )
                        .help("use a bearer token");
                }
                _ => {}
            },
            Some("apikey") if field("in").is_some_and(|place| place == "query") => {
                judge
                    .say(Code::WeakScheme, key.span, format!("{shown} is a key in the URL"))
                    .help("send it in a header");
            }
            Some("oauth2") => flows(key, scheme, judge),
            Some("openidconnect") => plain(scheme.get("openIdConnectUrl"), judge),
            _ => {}
        }
    }
}

fn flows(key: &Node, scheme: &Node, judge: &mut Judge<'_>) {
    for (name, flow) in scheme.get("flows").map(Node::entries).unwrap_or_default() {
        if let Some(old) = name
            .text()
            .filter(|name| matches!(*name, "implicit" | "password"))
        {
            let shown = quote(key.text().unwrap_or(""));
            judge
                .say(
                    Code::WeakScheme,
                    name.span,
                    format!("{shown} uses the {} grant, which is given up", quote(old)),
                )
                .help("use `authorizationCode` with PKCE, or `clientCredentials` (RFC 9700)");
        }
        for url in ["authorizationUrl", "tokenUrl", "refreshUrl"] {
            plain(flow.get(url), judge);
        }
    }
}

fn plain(url: Option<&Node>, judge: &mut Judge<'_>) {
    let http = |url: &&Node| url.text().is_some_and(|text| text.starts_with("http://"));
    if let Some(url) = url.filter(http) {
        judge
            .say(
                Code::PlainAuthorization,
                url.span,
                "this authorization server is named without TLS",
            )
            .help("write `https://`");
    }
}

fn servers(opened: &Opened<'_>, judge: &mut Judge<'_>) {
    let servers = opened.root.get("servers").map(Node::items).unwrap_or_default();
    for url in servers.iter().filter_map(|server| server.get("url")) {
        let Some(text) = url.text() else { continue };
        let host = host(text);
        let example = ["example.com", "example.org", "example.net"];
        let example = example
            .iter()
            .any(|known| host == *known || host.ends_with(&format!(".{known}")));
        if text.contains("://") && (is_local(host) || example) {
            judge
                .say(
                    Code::ExampleServer,
                    url.span,
                    format!("{} is not there for who reads this", quote(host)),
                )
                .help("write the address of the gateway, or leave `servers` out");
        } else if text.starts_with("http://") {
            judge
                .say(Code::PlainServer, url.span, "this server is named without TLS")
                .help("write `https://`");
        }
    }
}

fn demands(opened: &Opened<'_>, judge: &mut Judge<'_>) {
    let components = opened
        .root
        .get("components")
        .and_then(|components| components.get("securitySchemes"));
    let defined: BTreeSet<&str> = components
        .map(Node::entries)
        .unwrap_or_default()
        .iter()
        .filter_map(|(key, _)| key.text())
        .collect();
    let own = opened
        .operations
        .iter()
        .filter_map(|operation| operation.node.get("security"));
    let mut said = BTreeSet::new();
    for demand in opened
        .root
        .get("security")
        .into_iter()
        .chain(own)
        .flat_map(Node::items)
    {
        for (name, _) in demand.entries() {
            // Once for each scheme, however many operations ask for it.
            if let Some(text) = name
                .text()
                .filter(|text| !defined.contains(text) && said.insert(*text))
            {
                judge
                    .say(
                        Code::UnknownSecurity,
                        name.span,
                        format!("the document defines no security scheme {}", quote(text)),
                    )
                    .help("define it under `components: { securitySchemes: ... }`");
            }
        }
    }
    for operation in &opened.operations {
        let Some(security) = operation.node.get("security") else {
            continue;
        };
        let nobody =
            security.items().is_empty() || security.items().iter().any(|demand| demand.entries().is_empty());
        let asked = operation
            .published
            .is_some_and(|published| published.open_until.is_none());
        if nobody && asked {
            judge
                .say(
                    Code::OpenInDocument,
                    security.span,
                    format!(
                        "the document says that {} is open to everybody",
                        operation.shown()
                    ),
                )
                .help("the gateway asks for a credential: leave `security` out, or name the scheme");
        }
    }
}

fn is_admin(operation: &Described<'_>) -> bool {
    operation
        .path
        .split('/')
        .any(|segment| matches!(segment, "admin" | "administration" | "internal"))
}

fn scopes(opened: &Opened<'_>, judge: &mut Judge<'_>) {
    let usual: BTreeSet<&str> = opened
        .operations
        .iter()
        .filter(|operation| !is_admin(operation))
        .filter_map(|operation| operation.published)
        .flat_map(|published| published.scopes.iter().map(String::as_str))
        .collect();
    let mut unscoped = Vec::new();
    for operation in &opened.operations {
        let Some(published) = operation.published else {
            continue;
        };
        if published.open_until.is_some() {
            if operation.writes() {
                judge
                    .say(
                        Code::OpenWrite,
                        operation.at,
                        format!("{} writes and is open to everybody", operation.shown()),
                    )
                    .help("let callers identify, or move it to an API that does");
            }
        } else if is_admin(operation) {
            if published
                .scopes
                .iter()
                .all(|scope| usual.contains(scope.as_str()))
            {
                judge
                    .say(
                        Code::UnscopedAdmin,
                        operation.at,
                        format!("{} asks for no scope of its own", operation.shown()),
                    )
                    .help("ask for one under `authorize` that no other operation asks for");
            }
        } else if operation.writes() && published.scopes.is_empty() {
            unscoped.push(operation.at);
        }
    }
    judge
        .say_once(Code::UnscopedWrite, &unscoped, |count| {
            format!("operations that write ask for no scope in {count}")
        })
        .help("write `authorize: [{ operations: [...], scopes: [...:write] }]`");
}
