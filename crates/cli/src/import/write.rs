//! What was imported as the files of a tree.

use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::path::{Path, PathBuf};

use super::document::document;
use super::{Api, Consumer, Import, below};
use crate::new::scalar;
use crate::words;

pub(super) fn files(
    import: &Import,
    root: &Path,
    name: &str,
    owner: &str,
    until: &str,
) -> Vec<(PathBuf, String)> {
    let mut files = vec![(below(root, "gateway.yaml"), gateway(import, name, until))];
    for api in &import.apis {
        let text = match &api.document {
            Some((text, _)) => text.clone(),
            None => document(api),
        };
        files.push((
            below(root, &format!("apis/{}/api.yaml", api.name)),
            self::api(api, owner, &called(api)),
        ));
        files.push((beside(root, api), text));
    }
    for plan in &import.plans {
        let mut text = format!("plan: {}\nlimits:\n", plan.name);
        for limit in &plan.limits {
            let _ = writeln!(text, "  - {limit}");
        }
        files.push((below(root, &format!("plans/{}.yaml", plan.name)), text));
    }
    for consumer in &import.consumers {
        let file = format!("consumers/{}.yaml", consumer.name);
        files.push((below(root, &file), self::consumer(consumer, owner)));
    }
    files
}

/// Where the document of an API lies.
pub(super) fn beside(root: &Path, api: &Api) -> PathBuf {
    below(root, &format!("apis/{}/{}", api.name, called(api)))
}

/// What the document of an API is called.
fn called(api: &Api) -> String {
    let ending = api.document.as_ref().map_or("yaml", |(_, ending)| *ending);
    format!("{}.{ending}", api.version)
}

fn flow(texts: &[String]) -> String {
    let texts: Vec<_> = texts.iter().map(|text| scalar(text)).collect();
    format!("[{}]", texts.join(", "))
}

fn gateway(import: &Import, name: &str, until: &str) -> String {
    let mut text = format!("gateway: {name}\n");
    if !import.issuers.is_empty() {
        text.push_str("issuers:\n");
    }
    for issuer in &import.issuers {
        let _ = write!(
            text,
            "  {}:\n    issuer: {}\n    audience: {}\n    algorithms: [{}]\n    jwks: {}\n",
            issuer.name,
            scalar(&issuer.issuer),
            flow(&issuer.audience),
            issuer.algorithm,
            scalar(&issuer.jwks),
        );
    }
    if !import.key_headers.is_empty() {
        let names: Vec<_> = import.key_headers.iter().cloned().collect();
        let _ = writeln!(text, "api_keys: {{ headers: {} }}", flow(&names));
    }
    if let Some(size) = import.max_body {
        let _ = writeln!(text, "floor:\n  max_body: {}", words::size(size));
    }
    if let Some(cors) = &import.cors {
        let _ = writeln!(text, "cors:\n  origins: {}", flow(&cors.origins));
        for (field, list) in [("headers", &cors.headers), ("expose", &cors.expose)] {
            if !list.is_empty() {
                let _ = writeln!(text, "  {field}: {}", flow(list));
            }
        }
        if let Some(seconds) = cors.max_age {
            let age = words::duration(seconds.saturating_mul(1000));
            let _ = writeln!(text, "  max_age: {age}");
        }
    }
    let plain: Vec<_> = import
        .apis
        .iter()
        .filter(|api| api.upstream.starts_with("http://"))
        .collect();
    if !plain.is_empty() {
        text.push_str("exceptions:\n");
    }
    for api in plain {
        let _ = write!(
            text,
            "  - rule: upstreams\n    for: apis/{}\n    reason: Imported as it was; give the upstream TLS.\n    until: {until}\n",
            api.name
        );
    }
    text.push_str("environments:\n  production: { mocks: forbidden }\n");
    text
}

fn api(api: &Api, owner: &str, beside: &str) -> String {
    let mut text = format!(
        "api: {}\ntitle: {}\nowner: {}\npath: {}\nversions:\n  {}:\n    openapi: {beside}\n    state: active\n    upstream: {}\n",
        api.name,
        scalar(&api.title),
        scalar(owner),
        api.path,
        scalar(&api.version),
        scalar(&api.upstream),
    );
    if let Some(ms) = api.first_byte {
        let _ = writeln!(text, "    timeouts: {{ first_byte: {} }}", words::duration(ms));
    }
    if !api.authorize.is_empty() {
        text.push_str("authorize:\n");
    }
    for (id, scopes) in &api.authorize {
        let _ = writeln!(
            text,
            "  - {{ operations: [{}], scopes: {} }}",
            scalar(id),
            flow(scopes)
        );
    }
    if !api.limits.is_empty() {
        text.push_str("limits:\n");
    }
    for limit in &api.limits {
        let _ = writeln!(text, "  - {limit}");
    }
    if let Some(size) = &api.max_body {
        let _ = writeln!(text, "max_body: {}", words::size(*size));
    }
    let mut bounds: BTreeMap<u64, Vec<String>> = BTreeMap::new();
    for call in &api.calls {
        if let Some(size) = call.max_body {
            bounds.entry(size).or_default().push(call.id.clone());
        }
    }
    if !bounds.is_empty() {
        text.push_str("operations:\n");
    }
    for (size, ids) in bounds {
        let _ = writeln!(
            text,
            "  - {{ for: {}, max_body: {} }}",
            flow(&ids),
            words::size(size)
        );
    }
    text
}

fn consumer(consumer: &Consumer, owner: &str) -> String {
    let mut text = format!(
        "consumer: {}\nowner: {}\nplan: {}\n",
        consumer.name,
        scalar(owner),
        consumer.plan
    );
    if !consumer.keys.is_empty() {
        text.push_str("credentials:\n");
    }
    for key in &consumer.keys {
        let _ = writeln!(text, "  - key: {{ sha256: {key} }}");
    }
    match &consumer.may {
        None => text.push_str("may:\n  - { apis: all }\n"),
        Some(may) if may.is_empty() => {}
        Some(may) => {
            text.push_str("may:\n");
            for (api, operations) in may {
                let operations = operations.as_deref().map_or_else(|| "all".to_owned(), flow);
                let _ = writeln!(text, "  - {{ api: {api}, operations: {operations} }}");
            }
        }
    }
    text
}
