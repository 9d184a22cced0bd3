//! How consumers are known, and that each credential leads to one of them.

use std::collections::BTreeMap;

use super::certificates::{self, CertificateFields};
use super::compile::{Checker, Known};
use super::containers::List;
use super::declare::record;
use super::diagnostic::{Code, Span};
use super::reader::Spanned;
use super::scalars::{Date, Name, Scope, Sha256, Token};
use super::secrets::quote;
use crate::{CertificateCredential, CertificateName, Identity, KeyCredential};

record! {
    /// One credential: a `jwt`, a `key` or a `certificate`.
    CredentialFields = "credential" {
        /// A token of an issuer.
        jwt: optional JwtFields,
        /// An API key.
        key: optional KeyFields,
        /// A client certificate (mTLS).
        certificate: optional CertificateFields,
    }
}

record! {
    /// A token of an issuer whose consumer claim has a certain value.
    JwtFields = "jwt" {
        /// The issuer's name in `gateway.yaml`.
        issuer: required Name,
        /// What its consumer claim must equal.
        is: required Token,
        /// The client that the token must have been issued to: what its `client_id` and its `azp` must
        /// equal, whichever of them it has.
        client: optional Token,
    }
    later { claims, scopes }
}

record! {
    /// An API key. Only its hash is in the tree.
    KeyFields = "key" {
        /// The SHA-256 of the whole key, in hexadecimal.
        sha256: required Sha256,
        /// From this day (or instant) on it is refused.
        expires: optional Date,
        /// The scopes that it carries.
        scopes: default "[]" List<Scope>,
    }
    later { name }
}

/// Every credential of the tree, and where it was first written.
#[derive(Debug, Default)]
pub(crate) struct Ledger {
    keys: Vec<KeyCredential>,
    identities: Vec<Identity>,
    certificates: Vec<CertificateCredential>,
    keys_at: BTreeMap<[u8; 32], (String, Span)>,
    tokens_at: BTreeMap<(String, String), (String, Span)>,
    certificates_at: BTreeMap<CertificateName, (String, Span)>,
}

/// The credentials of a tree, each list in the order of its look-up.
#[derive(Debug, Default)]
pub(crate) struct Credentials {
    pub(crate) keys: Vec<KeyCredential>,
    pub(crate) identities: Vec<Identity>,
    pub(crate) certificates: Vec<CertificateCredential>,
}

impl Ledger {
    /// Checks a credential of a consumer, and keeps it.
    pub(crate) fn add(
        &mut self,
        name: &str,
        consumer: u32,
        credential: &Spanned<CredentialFields>,
        known: &Known<'_>,
        checker: &mut Checker,
    ) {
        let named = [
            credential.jwt.as_ref().map(|jwt| jwt.span),
            credential.key.as_ref().map(|key| key.span),
            credential
                .certificate
                .as_ref()
                .map(|certificate| certificate.span),
        ];
        let mut named = named.into_iter().flatten();
        match (named.next(), named.next()) {
            (Some(first), Some(second)) => {
                checker
                    .report()
                    .error(
                        Code::Conflict,
                        second,
                        "one credential is a `jwt`, a `key` or a `certificate`",
                    )
                    .label(first, "it is this already")
                    .help("make it two items: any one of them is enough to be known");
                return;
            }
            (None, _) if !checker.reader.reported_within(credential.span) => {
                checker
                    .report()
                    .error(
                        Code::MissingField,
                        credential.span,
                        "a credential has a `jwt`, a `key` or a `certificate`",
                    )
                    .help("write for example `jwt: { issuer: acme, is: mobile-app }`");
            }
            _ => {}
        }
        if let Some(jwt) = &credential.jwt {
            self.add_jwt(name, consumer, jwt, known, checker);
        }
        if let Some(key) = &credential.key {
            self.add_key(name, consumer, key, checker);
        }
        if let Some(certificate) = &credential.certificate {
            self.add_certificate(name, consumer, certificate, checker);
        }
    }

    fn add_certificate(
        &mut self,
        name: &str,
        consumer: u32,
        certificate: &Spanned<CertificateFields>,
        checker: &mut Checker,
    ) {
        let Some(found) = certificates::compile(certificate, consumer, checker) else {
            return;
        };
        if let Some(twin) = self.certificates_at.get(&found.by) {
            return report_twin(name, found.span, twin, checker);
        }
        self.certificates_at
            .insert(found.by.clone(), (name.to_owned(), found.span));
        self.certificates.push(found.value);
    }

    fn add_jwt(
        &mut self,
        name: &str,
        consumer: u32,
        jwt: &JwtFields,
        known: &Known<'_>,
        checker: &mut Checker,
    ) {
        let found = jwt
            .issuer
            .as_ref()
            .map(|issuer| (issuer, issuer_index(issuer, known, checker)));
        let (Some((issuer, found)), Some(is)) = (found, &jwt.is) else {
            return;
        };
        let key = (issuer.0.clone(), is.0.clone());
        if let Some(twin) = self.tokens_at.get(&key) {
            return report_twin(name, is.span, twin, checker);
        }
        self.tokens_at.insert(key, (name.to_owned(), is.span));
        self.identities.extend(found.map(|issuer| Identity {
            issuer,
            value: is.0.clone(),
            client: jwt.client.as_ref().map(|client| client.0.clone()),
            consumer,
        }));
    }

    fn add_key(&mut self, name: &str, consumer: u32, key: &KeyFields, checker: &mut Checker) {
        let expires = key.expires.as_ref().map(|expires| {
            checker.check_expiry("this key", expires.0, expires.span);
            expires.0
        });
        let scopes = key
            .scopes
            .as_ref()
            .map(|list| checker.sorted(&list.0, |scope| scope.0.clone()));
        let Some(hash) = &key.sha256 else { return };
        if let Some(twin) = self.keys_at.get(&hash.0) {
            return report_twin(name, hash.span, twin, checker);
        }
        self.keys_at.insert(hash.0, (name.to_owned(), hash.span));
        let scopes = scopes.unwrap_or_default();
        self.keys.push(KeyCredential {
            sha256: hash.0,
            consumer,
            expires,
            scopes,
        });
    }

    /// The credentials, in the order of their look-up.
    pub(crate) fn finish(mut self) -> Credentials {
        self.keys.sort_by_key(|key| key.sha256);
        self.identities
            .sort_by(|a, b| (a.issuer, &a.value).cmp(&(b.issuer, &b.value)));
        self.certificates.sort_by(|a, b| a.by.cmp(&b.by));
        Credentials {
            keys: self.keys,
            identities: self.identities,
            certificates: self.certificates,
        }
    }
}

fn report_twin(name: &str, span: Span, (other, first): &(String, Span), checker: &mut Checker) {
    let message = if name == other {
        "this credential is listed twice".to_owned()
    } else {
        format!(
            "the consumers {} and {} have the same credential",
            quote(other),
            quote(name)
        )
    };
    checker
        .report()
        .error(Code::DuplicateCredential, span, message)
        .label(*first, "the other one")
        .help("a credential must lead to one consumer");
}

fn issuer_index(issuer: &Spanned<Name>, known: &Known<'_>, checker: &mut Checker) -> Option<u32> {
    if let Some(index) = known.issuers.get(&issuer.0) {
        return Some(*index);
    }
    let here = known.issuer_map.here.iter().map(|(name, _)| name);
    // One that is broken, or may be, was reported.
    if !known.issuers_known || here.clone().any(|name| name.value == issuer.0) {
        return None;
    }
    match known.issuer_map.others.iter().find(|name| name.value == issuer.0) {
        Some(other) => {
            let message = format!(
                "the issuer {} does not exist in {}",
                quote(&issuer.0),
                quote(&checker.reader.environment)
            );
            checker
                .report()
                .error(Code::OtherEnvironment, issuer.span, message)
                .label(other.span, "its `environments` do not list it")
                .help("limit the credential in the same way, with `environments`");
        }
        None => {
            let names = here
                .chain(&known.issuer_map.others)
                .map(|name| name.value.as_str());
            checker.reader.unknown(issuer.span, "issuer", &issuer.0, names);
        }
    }
    None
}
