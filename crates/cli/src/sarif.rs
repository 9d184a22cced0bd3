//! SARIF 2.1.0 (OASIS), in which code scanners take what was found.

use std::fmt::Write as _;

use serde_json::{Value as Json, json};

/// A place in a file, from 1.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Place<'a> {
    pub(crate) file: &'a str,
    pub(crate) line: u32,
    /// In characters, where more than the line is known.
    pub(crate) column: Option<u32>,
}

/// A log of one run: rules as [`rule`] makes them, results as [`result`] does.
pub(crate) fn log(rules: &[Json], results: &[Json]) -> Json {
    json!({
        "$schema": "https://json.schemastore.org/sarif-2.1.0.json",
        "version": "2.1.0",
        "runs": [{
            "tool": { "driver": {
                "name": "turnpike",
                "version": env!("CARGO_PKG_VERSION"),
                "rules": rules,
            } },
            "columnKind": "unicodeCodePoints",
            "results": results,
        }],
    })
}

/// What results refer to by its id.
pub(crate) fn rule(id: &str, says: &str) -> Json {
    json!({ "id": id, "shortDescription": { "text": says } })
}

/// A result: the rule, how bad it is (`error`, `warning` or `note`), what is said, and its place where it has one.
pub(crate) fn result(rule: &str, level: &str, said: &str, at: Option<Place<'_>>) -> Json {
    let places: Vec<_> = at
        .map(|at| location(at.file, at.line, at.column.unwrap_or(1), None))
        .into_iter()
        .collect();
    json!({ "ruleId": rule, "level": level, "message": { "text": said }, "locations": places })
}

/// A place in a file.
pub(crate) fn location(file: &str, line: u32, column: u32, message: Option<&str>) -> Json {
    let mut location = json!({
        "physicalLocation": {
            "artifactLocation": { "uri": uri(file) },
            "region": { "startLine": line, "startColumn": column },
        },
    });
    if let (Some(message), Some(map)) = (message, location.as_object_mut()) {
        map.insert("message".to_owned(), json!({ "text": message }));
    }
    location
}

/// A path as a relative reference (RFC 3986).
fn uri(path: &str) -> String {
    path.bytes().fold(String::new(), |mut uri, byte| {
        if byte.is_ascii_alphanumeric() || b"-._~/".contains(&byte) {
            uri.push(char::from(byte));
        } else {
            let _ = write!(uri, "%{byte:02X}");
        }
        uri
    })
}
