//! Where secrets are sent: whoever gets one can use it, so one that goes to another host than before is told by its
//! name and the host's, whatever else is told of what sends it.

use std::collections::BTreeMap;

use turnpike_policy::source::authority;
use turnpike_policy::{Compiled, CredentialValue, Handler, ProviderKind, UpstreamCredential};

use super::change::{Changes, Class};
use super::place::Places;
use crate::words;

/// By secret and host, what sends it there: where that is written, and in which field.
type Sent = BTreeMap<(String, String), (String, Vec<String>)>;

pub(super) fn compare(
    was: &Compiled,
    is: &Compiled,
    environment: &str,
    places: &Places,
    changes: &mut Changes,
) {
    changes.begin("gateway", environment);
    let before = sent(was);
    for (to, (origin, field)) in sent(is) {
        let (secret, host) = &to;
        // One that nothing had before is told as one that is new.
        if before.contains_key(&to) || !was.secrets.contains(secret) {
            continue;
        }
        let field: Vec<&str> = field.iter().map(String::as_str).collect();
        let at = places.now(&origin, |lines| {
            if origin.is_empty() {
                lines.gateway(&field)
            } else {
                lines.field(&origin, &field)
            }
        });
        let text = format!("the secret `{secret}` is sent to {host}, which did not get it before");
        changes.add(Class::Risky, &at, text);
    }
}

fn sent(compiled: &Compiled) -> Sent {
    let mut sent = Sent::new();
    let mut add = |secret: &String, url: &str, origin: &str, field: &[&str]| {
        let field = || field.iter().map(|&name| name.to_owned()).collect();
        // What listens on another port is somebody else.
        sent.entry((secret.clone(), authority(url).to_owned()))
            .or_insert_with(|| (origin.to_owned(), field()));
    };
    for provider in &compiled.providers {
        if let ProviderKind::OpenAi {
            base_url,
            credential: Some(credential),
            ..
        } = &provider.kind
            && let Some((secret, url)) = given(credential, base_url)
        {
            add(secret, url, &provider.origin, &["secret"]);
        }
    }
    for operation in &compiled.operations {
        if let Handler::Proxy {
            url,
            credential: Some(credential),
            ..
        } = &operation.handler
            && let Some((secret, url)) = given(credential, url)
            && let Some(api) = words::at(&compiled.apis, operation.api)
        {
            let field = ["versions", &api.version, "upstream_credential"];
            add(secret, url, &api.origin, &field);
        }
    }
    for point in &compiled.points {
        if let Some(secret) = &point.secret {
            add(secret, &point.endpoint, &point.origin, &[]);
        }
    }
    for issuer in &compiled.issuers {
        if let Some(asked) = &issuer.introspection {
            let field = ["issuers", &issuer.name, "introspection"];
            add(&asked.secret, &asked.endpoint, "", &field);
        }
    }
    sent
}

/// The secret that a credential is made of, and where it is sent. What signs tokens is not sent.
fn given<'a>(credential: &'a UpstreamCredential, url: &'a str) -> Option<(&'a String, &'a str)> {
    match &credential.value {
        CredentialValue::Secret(name) => Some((name, url)),
        CredentialValue::Granted(grant) => Some((&grant.secret, &grant.endpoint)),
        CredentialValue::Signed(_) => None,
    }
}
