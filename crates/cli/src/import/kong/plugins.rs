//! Plugins that have a counterpart in the policies: what those of one place say together.

use serde_json::Value as Json;
use turnpike_policy::source::never_forwarded;

use super::super::cors::{Asked, Cors, cors};
use super::super::names::shown;
use super::super::{Import, text, texts};
use super::demand::Demand;
use super::entities::Plugin;
use super::reasons;

/// Plugins that ask who calls in ways that there are not here.
const KNOW_CALLERS: [&str; 13] = [
    "key-auth-enc",
    "basic-auth",
    "header-cert-auth",
    "hmac-auth",
    "jwe-decrypt",
    "oauth2",
    "oauth2-introspection",
    "openid-connect",
    "ldap-auth",
    "ldap-auth-advanced",
    "saml",
    "session",
    "vault-auth",
];
/// The largest body where the floor says nothing else, in bytes.
pub(super) const MAX_BODY: u64 = 10 << 20;

/// Who may call, by the groups of an `acl`.
#[derive(Clone, Default)]
pub(super) struct Groups {
    allow: Option<Vec<String>>,
    deny: Vec<String>,
    /// Groups of consumers count as well.
    also_consumer_groups: bool,
}

/// What the plugins of one place say together, each with where it stands.
#[derive(Default)]
pub(super) struct Said {
    /// Whether somebody asks who calls.
    pub(super) asks: bool,
    /// What callers must show.
    pub(super) asked: Demand,
    /// Every call is answered by the gateway itself.
    pub(super) closed: Option<String>,
    pub(super) groups: Option<Groups>,
    pub(super) limits: Option<(String, Vec<String>)>,
    /// Bytes.
    pub(super) max_body: Option<(String, u64)>,
    pub(super) cors: Option<(String, Cors)>,
}

impl Groups {
    /// Whether it keeps nobody out.
    pub(super) fn is_open(&self) -> bool {
        self.allow.is_none() && self.deny.is_empty()
    }

    pub(super) fn admits(&self, groups: &[&str], consumer_groups: &[&str]) -> bool {
        let member = |list: &[String]| {
            let of = |groups: &[&str]| list.iter().any(|group| groups.contains(&group.as_str()));
            of(groups) || self.also_consumer_groups && of(consumer_groups)
        };
        self.allow.as_deref().is_none_or(member) && !member(&self.deny)
    }
}

impl Said {
    /// Reads them; what cannot be carried over is listed.
    pub(super) fn by(plugins: &[Plugin<'_>], import: &mut Import) -> Self {
        let mut said = Self::default();
        let mut seen = Vec::new();
        for plugin in plugins {
            if seen.contains(&plugin.name) {
                import.leave(
                    &plugin.at,
                    format!("there is another `{}` in the same place", shown(plugin.name)),
                );
                continue;
            }
            seen.push(plugin.name);
            said.add(plugin, import);
        }
        said
    }

    fn add(&mut self, plugin: &Plugin<'_>, import: &mut Import) {
        let at = || plugin.at.clone();
        self.asked.add(plugin);
        match plugin.name {
            "cors" => self.cors = web_pages(plugin, import).map(|cors| (at(), cors)),
            "rate-limiting" => {
                self.limits = Some((at(), limits(plugin, import))).filter(|(_, all)| !all.is_empty());
            }
            "request-size-limiting" => self.max_body = size(plugin, import).map(|size| (at(), size)),
            "acl" => self.groups = Some(groups(plugin, import)),
            "request-termination" if text(&plugin.config, "trigger").is_none() => self.closed = Some(at()),
            "key-auth" => {
                self.asks = true;
                keys(plugin, import);
            }
            "jwt" => {
                self.asks = true;
                import.leave(
                    at(),
                    "tokens are taken of issuers: write one in `issuers` of gateway.yaml, and `jwt` credentials of \
                     consumers",
                );
            }
            "mtls-auth" => {
                self.asks = true;
                import.leave(
                    at(),
                    "client certificates are those that the platform verifies: write them as `certificate` credentials \
                     of consumers",
                );
            }
            name if KNOW_CALLERS.contains(&name) => {
                self.asks = true;
                import.leave(
                    at(),
                    format!(
                        "callers are known by tokens of `issuers`, API keys or client certificates, not by `{name}`: \
                         give them such credentials"
                    ),
                );
            }
            name => import.leave(at(), reasons::of(name)),
        }
    }
}

/// The limits of a `rate-limiting`, as items of a list.
fn limits(plugin: &Plugin<'_>, import: &mut Import) -> Vec<String> {
    let config = &plugin.config;
    let windows = [
        ("second", "rate", "s"),
        ("minute", "quota", "min"),
        ("hour", "quota", "h"),
        ("day", "quota", "day"),
        ("month", "quota", "month"),
    ];
    // Where it counts is the gateway's own affair.
    let redis = config.as_object().into_iter().flatten();
    let redis = redis
        .map(|(name, _)| name.as_str())
        .filter(|name| name.starts_with("redis"));
    let known: Vec<&str> = [
        "limit_by",
        "policy",
        "sync_rate",
        "fault_tolerant",
        "error_code",
        "error_message",
    ]
    .into_iter()
    .chain(windows.map(|(window, _, _)| window))
    .chain(["hide_client_headers"])
    .chain(redis)
    .collect();
    plugin.rest(&known, import);
    import.simple(
        &plugin.place(None),
        config,
        &["fault_tolerant", "hide_client_headers", "error_code"],
    );
    if config.get("fault_tolerant") == Some(&Json::Bool(true)) {
        import.leave(
            plugin.place(Some("fault_tolerant")),
            "a limiter that cannot be reached refuses here; `on_error: open` of a plan says otherwise",
        );
    }
    if config.get("hide_client_headers") == Some(&Json::Bool(true)) {
        import.leave(
            plugin.place(Some("hide_client_headers")),
            "callers are told what is left, in `RateLimit`; `limit_headers: refused` of gateway.yaml tells only those \
             that are refused",
        );
    }
    refusal(plugin, 429, "API rate limit exceeded", import);
    let subject = match text(config, "limit_by") {
        None | Some("consumer") => "",
        Some("credential") => ", subject: credential",
        Some("ip") => ", subject: address",
        Some(other) => {
            import.leave(&plugin.at, format!("no limit here counts by `{}`", shown(other)));
            return Vec::new();
        }
    };
    let mut limits = Vec::new();
    for (window, kind, short) in windows {
        match config.get(window) {
            None | Some(Json::Null) => {}
            Some(count) => match count
                .as_u64()
                .filter(|count| (1..=u64::from(u32::MAX)).contains(count))
            {
                Some(count) => limits.push(format!("{{ {kind}: {count}/{short}{subject} }}")),
                None => import.leave(plugin.place(Some(window)), "it is no count that a limit may have"),
            },
        }
    }
    limits
}

/// The status and the words of a refusal, where they are not the usual ones.
fn refusal(plugin: &Plugin<'_>, status: u64, words: &str, import: &mut Import) {
    let config = &plugin.config;
    let other_status = config
        .get("error_code")
        .is_some_and(|code| !code.is_null() && code.as_u64() != Some(status));
    let other_words = text(config, "error_message").is_some_and(|said| said != words);
    for (field, other) in [("error_code", other_status), ("error_message", other_words)] {
        if other {
            import.leave(
                plugin.place(Some(field)),
                "a refusal has its status and its stable code, as problem details (RFC 9457)",
            );
        }
    }
}

/// The bound of a `request-size-limiting`, in bytes.
fn size(plugin: &Plugin<'_>, import: &mut Import) -> Option<u64> {
    let config = &plugin.config;
    plugin.rest(
        &["allowed_payload_size", "size_unit", "require_content_length"],
        import,
    );
    import.simple(&plugin.place(None), config, &["require_content_length"]);
    if config.get("require_content_length") == Some(&Json::Bool(true)) {
        import.leave(
            plugin.place(Some("require_content_length")),
            "bodies of unknown length are counted as they come, and cut off at the bound",
        );
    }
    let shift = match text(config, "size_unit") {
        None | Some("megabytes") => Some(20_u32),
        Some("kilobytes") => Some(10),
        Some("bytes") => Some(0),
        Some(_) => None,
    };
    let size = match config.get("allowed_payload_size") {
        None | Some(Json::Null) => Some(128),
        Some(size) => size.as_u64(),
    };
    let bytes = size
        .zip(shift)
        .and_then(|(size, shift)| size.checked_mul(1 << shift))
        .filter(|bytes| *bytes > 0);
    match bytes {
        Some(bytes) if bytes <= MAX_BODY => return Some(bytes),
        Some(_) => import.leave(
            &plugin.at,
            "bodies above 10MiB need a higher `max_body` of the floor, in gateway.yaml",
        ),
        None => import.leave(&plugin.at, "it is no size that a body may have"),
    }
    None
}

fn groups(plugin: &Plugin<'_>, import: &mut Import) -> Groups {
    let config = &plugin.config;
    plugin.rest(
        &[
            "allow",
            "whitelist",
            "deny",
            "blacklist",
            "include_consumer_groups",
            "hide_groups_header",
        ],
        import,
    );
    import.simple(
        &plugin.place(None),
        config,
        &["include_consumer_groups", "hide_groups_header"],
    );
    if config.get("hide_groups_header") != Some(&Json::Bool(true)) {
        import.once(
            plugin.place(Some("hide_groups_header")),
            "the upstream is not told the groups of a caller: `upstream_headers` tells it claims of its token",
        );
    }
    let allow = [texts(config, "allow"), texts(config, "whitelist")].concat();
    Groups {
        allow: Some(allow).filter(|allow| !allow.is_empty()),
        deny: [texts(config, "deny"), texts(config, "blacklist")].concat(),
        also_consumer_groups: config.get("include_consumer_groups") == Some(&Json::Bool(true)),
    }
}

/// Where API keys come, by a `key-auth`.
fn keys(plugin: &Plugin<'_>, import: &mut Import) {
    let config = &plugin.config;
    let flags = [
        "key_in_header",
        "key_in_query",
        "key_in_body",
        "run_on_preflight",
        "hide_credentials",
    ];
    plugin.rest(&[&flags[..], &["key_names", "realm"]].concat(), import);
    import.simple(&plugin.place(None), config, &flags);
    let on = |field: &str, usual: bool| config.get(field).and_then(Json::as_bool).unwrap_or(usual);
    let mut names = texts(config, "key_names");
    if names.is_empty() {
        names.push("apikey".to_owned());
    }
    for name in names.iter().filter(|_| on("key_in_header", true)) {
        let name = name.to_ascii_lowercase();
        let other = ["accept", "content-type", "origin", "user-agent"];
        let carries = ["x-api-key", "api-key", "x-goog-api-key", "x-auth-token"];
        let token = !name.is_empty()
            && name.len() <= 64
            && (carries.contains(&name.as_str()) || never_forwarded(&name).is_none())
            && !other.contains(&name.as_str())
            && name
                .bytes()
                .all(|b| b.is_ascii_alphanumeric() || b"-_".contains(&b));
        // More headers than that cannot carry keys.
        if token && (import.key_headers.len() < 8 || import.key_headers.contains(&name)) {
            import.key_headers.insert(name);
        } else {
            import.leave(
                plugin.place(Some("key_names")),
                format!(
                    "`{}` is none of the `headers` of `api_keys`; `Authorization: Bearer` carries a key in any case",
                    shown(&name)
                ),
            );
        }
    }
    if on("key_in_query", true) {
        import.once(
            plugin.place(Some("key_in_query")),
            "keys are not taken from queries: `query` of `api_keys` says otherwise, by an exception that ends",
        );
    }
    if on("key_in_body", false) {
        import.leave(
            plugin.place(Some("key_in_body")),
            "keys are not taken from bodies",
        );
    }
    if !on("hide_credentials", false) {
        import.once(
            plugin.place(Some("hide_credentials")),
            "credentials of callers never reach an upstream",
        );
    }
}

fn web_pages(plugin: &Plugin<'_>, import: &mut Import) -> Option<Cors> {
    let config = &plugin.config;
    plugin.rest(
        &[
            "origins",
            "headers",
            "exposed_headers",
            "max_age",
            "methods",
            "credentials",
            "preflight_continue",
        ],
        import,
    );
    for (field, why) in [
        (
            "methods",
            "pages may use the methods of the operations that are published",
        ),
        (
            "credentials",
            "callers identify by a header that the page sends, never by a cookie",
        ),
        ("preflight_continue", "preflights are answered by the gateway"),
    ] {
        let says = match config.get(field) {
            None | Some(Json::Null | Json::Bool(false)) => false,
            Some(Json::Array(list)) => !list.is_empty(),
            Some(_) => true,
        };
        if says {
            import.leave(plugin.place(Some(field)), why);
        }
    }
    if texts(config, "headers").is_empty() {
        import.leave(
            plugin.place(Some("headers")),
            "a page could send every header; here those that `headers` of `cors` names: `authorization` and \
             `content-type` until you name others",
        );
    }
    import.simple(&plugin.place(None), config, &["max_age"]);
    let asked = Asked {
        at: &plugin.place(None),
        fields: ["origins", "headers", "exposed_headers", "max_age"],
        origins: texts(config, "origins"),
        headers: texts(config, "headers"),
        expose: texts(config, "exposed_headers"),
        max_age: config.get("max_age").and_then(Json::as_u64),
    };
    cors(asked, import)
}
