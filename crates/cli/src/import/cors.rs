//! Which web pages may call, out of what another gateway said of it.

use super::Import;
use super::names::shown;
use super::upstream::is_label;

#[derive(Debug, Default, PartialEq, Eq)]
pub(super) struct Cors {
    pub(super) origins: Vec<String>,
    pub(super) headers: Vec<String>,
    pub(super) expose: Vec<String>,
    /// Seconds.
    pub(super) max_age: Option<u64>,
}

/// What both gateways call differently.
pub(super) struct Asked<'a> {
    pub(super) at: &'a str,
    /// What its fields are called: those of origins, of request headers, of answer headers and of the age.
    pub(super) fields: [&'static str; 4],
    pub(super) origins: Vec<String>,
    pub(super) headers: Vec<String>,
    pub(super) expose: Vec<String>,
    /// Seconds.
    pub(super) max_age: Option<u64>,
}

/// The part of it that can be written; what cannot is listed.
pub(super) fn cors(asked: Asked<'_>, import: &mut Import) -> Option<Cors> {
    let Asked { at, fields, .. } = asked;
    let [origins, headers, expose, max_age] = fields.map(|field| format!("{at}.{field}"));
    let all = asked.origins.is_empty() || asked.origins.iter().any(|origin| origin == "*");
    let (exact, others): (Vec<_>, Vec<_>) = if all {
        (vec!["*".to_owned()], Vec::new())
    } else {
        asked.origins.into_iter().partition(|origin| is_origin(origin))
    };
    for other in &others {
        import.leave(
            origins.clone(),
            format!(
                "`{}` is no origin: each is written exactly as a browser sends it, not as a pattern",
                shown(other)
            ),
        );
    }
    if exact.is_empty() {
        return None;
    }
    let age = asked.max_age.filter(|age| (1..=86_400).contains(age));
    if age.is_none() && asked.max_age.is_some() {
        import.leave(
            max_age,
            "browsers keep an answer to a preflight for 1s to 24h: 10m holds",
        );
    }
    Some(Cors {
        origins: exact,
        headers: names(&headers, asked.headers, import),
        expose: names(&expose, asked.expose, import),
        max_age: age,
    })
}

/// As browsers send it: scheme, host, perhaps a port.
fn is_origin(text: &str) -> bool {
    let host = text
        .strip_prefix("https://")
        .or_else(|| text.strip_prefix("http://"));
    host.is_some_and(|host| {
        let (name, port) = host.rsplit_once(':').unwrap_or((host, "80"));
        let lower = |label: &str| is_label(label) && !label.bytes().any(|byte| byte.is_ascii_uppercase());
        name.len() <= 253 && name.split('.').all(lower) && port.parse::<u16>().is_ok_and(|port| port > 0)
    })
}

/// Names of headers, in lower case and each once.
fn names(at: &str, listed: Vec<String>, import: &mut Import) -> Vec<String> {
    let mut names: Vec<String> = Vec::new();
    for name in listed {
        let token = !name.is_empty()
            && name.len() <= 128
            && name
                .bytes()
                .all(|b| b.is_ascii_alphanumeric() || b"-_".contains(&b));
        let name = name.to_ascii_lowercase();
        if !token {
            import.leave(
                at,
                format!("`{}` is no name: headers are named one by one", shown(&name)),
            );
        } else if !names.contains(&name) {
            names.push(name);
        }
    }
    names
}
