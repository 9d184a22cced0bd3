//! Plugins that have a counterpart in the policies.

use serde_json::Value as Json;

use super::super::{Cors, Import, shown, text, texts};

/// The limits of a `rate-limiting` plugin, as items of a list.
pub(super) fn limits(at: &str, plugin: &Json, import: &mut Import) -> Vec<String> {
    let none = Json::Null;
    let config = plugin.get("config").unwrap_or(&none);
    let subject = match text(config, "limit_by") {
        None | Some("consumer") => "",
        Some("credential") => ", subject: credential",
        Some("ip") => ", subject: address",
        Some(other) => {
            let other = shown(other);
            import.leave(at, format!("no limit here counts by `{other}`"));
            return Vec::new();
        }
    };
    let mut limits = Vec::new();
    for (unit, written) in [
        ("second", "rate"),
        ("minute", "quota"),
        ("hour", "quota"),
        ("day", "quota"),
        ("month", "quota"),
        ("year", ""),
    ] {
        let Some(count) = config.get(unit).and_then(Json::as_u64) else {
            continue;
        };
        let short = match unit {
            "second" => "s",
            "minute" => "min",
            "hour" => "h",
            unit => unit,
        };
        if written.is_empty() || count == 0 || count > u64::from(u32::MAX) {
            import.leave(
                format!("{at}.config.{unit}"),
                "no limit here has such a window or count",
            );
        } else {
            limits.push(format!("{{ {written}: {count}/{short}{subject} }}"));
        }
    }
    import.rest(
        &format!("{at}.config"),
        config,
        &[
            "second",
            "minute",
            "hour",
            "day",
            "month",
            "year",
            "limit_by",
            "policy",
            "sync_rate",
            "fault_tolerant",
            "hide_client_headers",
            "error_code",
            "error_message",
            "redis",
        ],
    );
    if config.get("fault_tolerant") == Some(&Json::Bool(true)) {
        import.leave(
            format!("{at}.config.fault_tolerant"),
            "a limiter that cannot be reached refuses here; `on_error: open` of a plan says otherwise",
        );
    }
    limits
}

pub(super) fn cors(at: &str, plugin: &Json, import: &mut Import) {
    let none = Json::Null;
    let config = plugin.get("config").unwrap_or(&none);
    import.rest(
        &format!("{at}.config"),
        config,
        &[
            "origins",
            "headers",
            "exposed_headers",
            "max_age",
            "methods",
            "preflight_continue",
        ],
    );
    let exact = |origin: &String| {
        origin == "*" || (origin.contains("://") && !origin.contains(['*', '(', '\\', '^', '$']))
    };
    let (origins, others): (Vec<_>, Vec<_>) = texts(config, "origins").into_iter().partition(exact);
    if !others.is_empty() {
        import.leave(
            format!("{at}.config.origins"),
            "origins are written exactly, not as patterns",
        );
    }
    if origins.is_empty() {
        return;
    }
    import.cors = Some(Cors {
        origins,
        headers: texts(config, "headers"),
        expose: texts(config, "exposed_headers"),
        max_age: config
            .get("max_age")
            .and_then(Json::as_u64)
            .filter(|age| (1..=86_400).contains(age)),
    });
}
