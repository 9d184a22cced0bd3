//! What was imported as the files of a tree.

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
        let folder = format!("apis/{}", api.name);
        let (text, ending) = match &api.document {
            Some((text, ending)) => (text.clone(), *ending),
            None => (document(api), "yaml"),
        };
        let beside = format!("{}.{ending}", api.version);
        files.push((
            below(root, &format!("{folder}/api.yaml")),
            self::api(api, owner, &beside),
        ));
        files.push((below(root, &format!("{folder}/{beside}")), text));
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

fn flow(texts: &[String]) -> String {
    let texts: Vec<_> = texts.iter().map(|text| scalar(text)).collect();
    format!("[{}]", texts.join(", "))
}

fn gateway(import: &Import, name: &str, until: &str) -> String {
    let mut text = format!("gateway: {name}\n");
    if !import.hosts.is_empty() {
        let _ = writeln!(text, "hosts: {}", flow(&import.hosts));
    }
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
        let _ = writeln!(text, "max_body: {size}");
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
    match &consumer.apis {
        None => text.push_str("may:\n  - { apis: all }\n"),
        Some(apis) if apis.is_empty() => {}
        Some(apis) => {
            text.push_str("may:\n");
            for api in apis {
                let _ = writeln!(text, "  - {{ api: {api}, operations: all }}");
            }
        }
    }
    text
}
