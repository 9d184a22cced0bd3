//! What callers had to show, and what a consumer has to show: a key that opened one service opens no other here.
//!
//! Kong asks by plugins, each for one kind of credential. Where there are several, all must be met, except for those
//! with an `anonymous` consumer, which let pass whoever meets another.

use std::collections::{BTreeMap, BTreeSet};

use super::super::names::shown;
use super::super::{Import, items};
use super::entities::{Entity, File, Plugin};
use super::reasons;

/// Kinds of credentials, by their lists and by the plugins that take them.
const KINDS: [(&str, &str); 7] = [
    ("keyauth_credentials", "key-auth"),
    ("keyauth_enc_credentials", "key-auth-enc"),
    ("basicauth_credentials", "basic-auth"),
    ("hmacauth_credentials", "hmac-auth"),
    ("jwt_secrets", "jwt"),
    ("oauth2_credentials", "oauth2"),
    ("mtls_auth_credentials", "mtls-auth"),
];
/// Plugins that keep callers out by what no credential of a consumer shows, or may: what code does, nobody sees.
const BY_ELSE: [&str; 18] = [
    "bot-detection",
    "confirm",
    "header-cert-auth",
    "ip-restriction",
    "jwe-decrypt",
    "jwt-signer",
    "ldap-auth",
    "ldap-auth-advanced",
    "oauth2-introspection",
    "opa",
    "openid-connect",
    "post-function",
    "pre-function",
    "saml",
    "serverless-functions",
    "session",
    "tls-metadata-headers",
    "vault-auth",
];

/// What has to be shown: the plugins that ask, and whether whoever does not meet one is let pass all the same.
#[derive(Clone, Debug, Default)]
pub(super) struct Demand(BTreeMap<String, bool>);

impl Demand {
    /// Takes note of a plugin.
    pub(super) fn add(&mut self, plugin: &Plugin<'_>) {
        let mut kinds = KINDS.iter().map(|(_, name)| *name).chain(BY_ELSE);
        // One that nobody knows may be what kept callers out.
        if kinds.any(|name| name == plugin.name) || reasons::known(plugin.name).is_none() {
            let anonymous = plugin.config.get("anonymous");
            let lenient = anonymous
                .and_then(|id| id.as_str())
                .is_some_and(|id| !id.is_empty());
            self.0.insert(plugin.name.to_owned(), lenient);
        }
    }

    /// Together with what is asked farther from a call: what is nearer replaces it.
    pub(super) fn and(mut self, farther: &Self) -> Self {
        for (name, lenient) in &farther.0 {
            self.0.entry(name.clone()).or_insert(*lenient);
        }
        self
    }

    pub(super) fn nothing(&self) -> bool {
        self.0.is_empty()
    }

    /// The plugins that ask, for people.
    pub(super) fn named(&self) -> String {
        let names: Vec<_> = self.0.keys().map(|name| format!("`{}`", shown(name))).collect();
        names.join(" and ")
    }

    /// Whether these kinds open it.
    pub(super) fn met_by(&self, kinds: &BTreeSet<&'static str>) -> bool {
        let met = |name: &String| kinds.contains(name.as_str());
        let all = self.0.iter().all(|(name, lenient)| *lenient || met(name));
        all && (self.nothing() || self.0.keys().any(met))
    }
}

/// The kinds of a consumer's credentials. Of one with keys it is keys alone: they are what it has here as well, and
/// what its other credentials opened, its keys did not.
pub(super) fn kinds(file: File<'_>, consumer: &Entity<'_>) -> BTreeSet<&'static str> {
    let mut kinds = BTreeSet::new();
    for (list, kind) in KINDS {
        let below = !items(consumer.json, list).is_empty();
        if below || !file.of("consumer", consumer, list).is_empty() {
            kinds.insert(kind);
        }
    }
    if kinds.contains("key-auth") {
        kinds.retain(|kind| *kind == "key-auth");
    }
    kinds
}

/// Lists the APIs that are not granted for want of what they ask for.
pub(super) fn list(at: &str, apis: &[&str], import: &mut Import) {
    if !apis.is_empty() {
        import.leave(
            at,
            format!(
                "its keys, or what else it had to show, did not open all of {}: grant that in `may` if it shall call it",
                apis.join(", ")
            ),
        );
    }
}
