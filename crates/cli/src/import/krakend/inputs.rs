//! What of a call reaches the backend: parameters and headers by name.

use serde_json::Value as Json;
use turnpike_policy::source::never_forwarded;

use super::super::names::shown;
use super::super::{Import, texts};

/// Headers that pass by themselves: those of the floor.
const PASS: [&str; 5] = [
    "accept",
    "content-type",
    "idempotency-key",
    "traceparent",
    "tracestate",
];

pub(super) struct Inputs {
    pub(super) query: Vec<String>,
    pub(super) headers: Vec<String>,
}

/// The parameters and headers that pass; the fields are called differently in versions 2 and 3.
pub(super) fn inputs(
    at: &str,
    json: &Json,
    (headers_field, query_field): (&str, &str),
    import: &mut Import,
) -> Inputs {
    let mut query = texts(json, query_field);
    let mut headers: Vec<_> = texts(json, headers_field)
        .iter()
        .map(|name| name.to_ascii_lowercase())
        .collect();
    for (field, list) in [(query_field, &mut query), (headers_field, &mut headers)] {
        list.sort();
        list.dedup();
        list.retain(|name| {
            let token = !name.is_empty()
                && name.len() <= 128
                && name
                    .bytes()
                    .all(|b| b.is_ascii_alphanumeric() || b"-_.".contains(&b));
            if !token {
                let why = if name == "*" {
                    "`*` is not passed on: parameters and headers are named, in the document".to_owned()
                } else {
                    format!("`{}` is no name that can be passed on", shown(name))
                };
                import.leave(format!("{at}.{field}"), why);
            }
            token
        });
    }
    headers.retain(|name| !PASS.contains(&name.as_str()));
    let (barred, headers): (Vec<_>, Vec<_>) = headers
        .into_iter()
        .partition(|name| never_forwarded(name).is_some());
    let (credentials, others): (Vec<_>, Vec<_>) = barred
        .into_iter()
        .partition(|name| never_forwarded(name) == Some("it carries a credential"));
    if !credentials.is_empty() {
        import.leave(
            format!("{at}.{headers_field}"),
            "credentials of callers never reach an upstream",
        );
    }
    if !others.is_empty() {
        let names: Vec<_> = others.iter().map(|name| format!("`{name}`")).collect();
        import.leave(
            format!("{at}.{headers_field}"),
            format!(
                "{} never reach an upstream as a caller sent them: the gateway makes its own, or leaves them out",
                names.join(", ")
            ),
        );
    }
    Inputs { query, headers }
}
