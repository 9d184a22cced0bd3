//! `signing` of the gateway: whose name its own tokens bear, and which keys.
//!
//! A key is a private JWK in a Worker secret, so what it is can only be seen at run time: the gateway is not
//! ready while one is missing or not of the algorithm. A change of keys overlaps: the new one is published
//! first, then signs while the old one is still published, then the old one goes.

use super::compile::Checker;
use super::containers::List;
use super::declare::{choice, record};
use super::diagnostic::Code;
use super::reader::Spanned;
use super::scalars::{SecretName, Url};
use super::secrets::quote;
use crate::{Algorithm, Signing};

/// The most keys that are published besides the one that signs.
const MAX_PUBLISHED: usize = 4;

record! {
    /// What signs the gateway's own tokens for upstreams.
    SigningFields = "signing" {
        /// Their `iss`: where the gateway is reached, so that `/.well-known/jwks.json` below it has the keys.
        issuer: required Url,
        /// `ES256` or `EdDSA`.
        algorithm: default "ES256" SigningAlgorithm,
        /// The name of the Worker secret that holds the private key that signs: a JWK with `kid`, `x` (and `y`)
        /// and `d`.
        key: required SecretName,
        /// Names of Worker secrets with other keys of the same kind that are published but do not sign: the one
        /// before, until the last token of it has expired, or the next one, before it signs.
        published: default "[]" List<SecretName>,
    }
}

/// What the gateway can sign with.
#[derive(Clone, Copy, Debug)]
pub(crate) struct SigningAlgorithm(Algorithm);
choice!(SigningAlgorithm: "ES256" => Self(Algorithm::ES256), "EdDSA" => Self(Algorithm::EdDSA));

/// Checks what signs.
pub(crate) fn compile(fields: &Spanned<SigningFields>, checker: &mut Checker) -> Option<Signing> {
    if let Some(issuer) = fields
        .issuer
        .as_ref()
        .filter(|issuer| !issuer.is_https() && !checker.rules.http_upstreams)
    {
        checker
            .report()
            .error(
                Code::PlainHttp,
                issuer.span,
                "keys that are fetched without TLS prove nothing",
            )
            .help("write where the gateway is reached, with `https://`");
    }
    let key = fields.key.as_ref()?;
    checker.secrets.insert(key.0.clone());
    let mut published = Vec::new();
    for name in fields.published.iter().flat_map(|list| &list.0) {
        if name.0 == key.0 || published.contains(&name.0) {
            checker
                .report()
                .error(
                    Code::Repeated,
                    name.span,
                    format!("{} is published already", quote(&name.0)),
                )
                .help("name each key once; the one that signs is published anyway");
            continue;
        }
        checker.secrets.insert(name.0.clone());
        published.push(name.0.clone());
    }
    if let Some(list) = fields
        .published
        .as_ref()
        .filter(|list| list.0.len() > MAX_PUBLISHED)
    {
        checker
            .report()
            .error(
                Code::OutOfRange,
                list.span,
                format!("at most {MAX_PUBLISHED} more keys are published"),
            )
            .help("remove those whose tokens have expired");
    }
    published.sort_unstable();
    Some(Signing {
        issuer: fields.issuer.as_ref()?.0.clone(),
        algorithm: fields.algorithm.as_ref()?.0,
        key: key.0.clone(),
        published,
    })
}
