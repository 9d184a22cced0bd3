//! An OpenAPI document for operations that had none.

use std::collections::BTreeMap;
use std::fmt::Write as _;

use super::names::parameters;
use super::{Api, Call};
use crate::new::scalar;

/// The document of an API, as YAML.
pub(super) fn document(api: &Api) -> String {
    let mut text = format!(
        "# Made by `turnpike import` of what the gateway before knew of this API: where its calls lie. Put the\n\
         # document of its authors here, and what it describes is published.\n\
         openapi: 3.1.1\ninfo:\n  title: {}\n  version: 1.0.0\npaths:\n",
        scalar(&api.title)
    );
    let mut paths: BTreeMap<&str, Vec<&Call>> = BTreeMap::new();
    for call in &api.calls {
        paths.entry(&call.path).or_default().push(call);
    }
    for (path, calls) in paths {
        let _ = writeln!(text, "  {}:", key(path));
        let parameters: Vec<_> = parameters(path).collect();
        if !parameters.is_empty() {
            text.push_str("    parameters:\n");
        }
        for name in parameters {
            let _ = writeln!(
                text,
                "      - {{ name: {}, in: path, required: true, schema: {{ type: string, maxLength: 1000 }} }}",
                scalar(name)
            );
        }
        for call in calls {
            operation(&mut text, call);
        }
    }
    text
}

fn operation(text: &mut String, call: &Call) {
    let _ = write!(
        text,
        "    {}:\n      operationId: {}\n      summary: {}\n      description: {}\n",
        call.method.to_ascii_lowercase(),
        scalar(&call.id),
        scalar(&call.summary),
        scalar(call.description.as_ref().unwrap_or(&call.summary)),
    );
    let query = call.query.iter().map(|name| (name, "query"));
    let headers = call.headers.iter().map(|name| (name, "header"));
    let mut parameters = query.chain(headers).peekable();
    if parameters.peek().is_some() {
        text.push_str("      parameters:\n");
    }
    for (name, whence) in parameters {
        let _ = writeln!(
            text,
            "        - {{ name: {}, in: {whence}, schema: {{ type: string, maxLength: 8000 }} }}",
            scalar(name)
        );
    }
    if matches!(call.method.as_str(), "POST" | "PUT" | "PATCH") {
        text.push_str("      requestBody:\n        content:\n          \"*/*\": {}\n");
    }
    text.push_str("      responses:\n        \"200\":\n          description: As the upstream answers.\n        4XX:\n          description: Refused.\n          content:\n            application/problem+json: {}\n");
}

fn key(path: &str) -> String {
    if path.contains(['{', '}', '~']) {
        serde_json::Value::from(path).to_string()
    } else {
        path.to_owned()
    }
}
