//! `introspection` of an issuer: opaque tokens, which their issuer is asked about.
//!
//! A token that is no JWT names no issuer. So at most one issuer is asked about all of them, and every other one
//! about those that begin with a text of its own.

use super::compile::Checker;
use super::declare::record;
use super::diagnostic::{Code, Span};
use super::gateway::rate_of;
use super::reader::Spanned;
use super::scalars::{Duration, PerPeriod, SecretName, Token, Url};
use super::secrets::quote;
use super::upstream_credential::ClientAuth;
use crate::Introspection;

/// How long an answer may take, and how long one may be remembered, in milliseconds.
const TIMEOUTS: std::ops::RangeInclusive<u64> = 10..=5_000;
const MAX_REMEMBERED: u64 = 300_000;
/// What a JWT begins with: the base64url of `{"`.
const JWT: &str = "eyJ";
/// What an API key begins with.
const KEY: &str = "tpk_";

record! {
    /// How an issuer is asked about its opaque tokens (RFC 7662): those that have fewer than two dots, so that they
    /// are no JWT, and are no API key.
    IntrospectionFields = "introspection" {
        /// The introspection endpoint.
        endpoint: required Url,
        /// Who the gateway is there.
        client_id: required Token,
        /// The name of the Worker secret that proves it.
        secret: required SecretName,
        /// How the secret is sent: `client_secret_basic`, or `client_secret_post` in the form.
        auth: default "client_secret_basic" ClientAuth,
        /// What its opaque tokens begin with. Left out: it is asked about all that no other issuer's prefix
        /// begins, and there is only one such issuer.
        prefix: optional Token,
        /// How long an answer may take: 10ms to 5s.
        timeout: default "2s" Duration,
        /// How long an isolate remembers that a token is active, and never past its `exp`; at most 5m. A token
        /// that is revoked works for that long. `0s`: not at all.
        cache: default "30s" Duration,
        /// How long it remembers that one is not; at most 5m.
        cache_inactive: default "5s" Duration,
        /// How often an isolate asks without finding a good token: beyond it, tokens that it does not know are
        /// refused with a 503 for a while, and those that it knows, or found active in the last ten minutes, go on.
        /// A question counts until it has found one: so it is set above how many good tokens that are not known yet
        /// may come at once.
        rate: default "100/s" PerPeriod,
    }
}

/// Checks how an issuer is asked.
pub(crate) fn compile(fields: &Spanned<IntrospectionFields>, checker: &mut Checker) -> Option<Introspection> {
    if let Some(endpoint) = &fields.endpoint
        && !endpoint.is_https()
        && !checker.rules.http_upstreams
    {
        checker
            .report()
            .error(
                Code::PlainHttp,
                endpoint.span,
                "tokens and a secret would be sent without TLS",
            )
            .help("write `https://`");
    }
    if let Some(secret) = &fields.secret {
        checker.secrets.insert(secret.0.clone());
    }
    if let Some(prefix) = &fields.prefix {
        check_prefix(prefix, checker);
    }
    let mut out_of_range = |span: Span, message: &str, help: &str| {
        checker.report().error(Code::OutOfRange, span, message).help(help);
    };
    if let Some(timeout) = fields.timeout.as_ref().filter(|one| !TIMEOUTS.contains(&one.0)) {
        let help = "each request with a token that is not known yet waits for it";
        out_of_range(timeout.span, "expected 10ms to 5s", help);
    }
    let remembered = [
        (&fields.cache, "a token that is revoked works for that long"),
        (&fields.cache_inactive, "write for example `5s`"),
    ];
    for (field, help) in remembered {
        if let Some(field) = field.as_ref().filter(|one| one.0 > MAX_REMEMBERED) {
            out_of_range(field.span, "expected at most 5m", help);
        }
    }
    Some(Introspection {
        endpoint: fields.endpoint.as_ref()?.0.clone(),
        client_id: fields.client_id.as_ref()?.0.clone(),
        secret: fields.secret.as_ref()?.0.clone(),
        post: fields.auth.as_ref()?.value == ClientAuth::Post,
        prefix: fields
            .prefix
            .as_ref()
            .map_or_else(String::new, |prefix| prefix.0.clone()),
        timeout: fields.timeout.as_ref()?.0,
        active_for: fields.cache.as_ref()?.0,
        inactive_for: fields.cache_inactive.as_ref()?.0,
        rate: rate_of(fields.rate.as_ref(), None)?,
    })
}

/// A prefix that a bearer token can have, and that neither a JWT nor an API key has.
fn check_prefix(prefix: &Spanned<Token>, checker: &mut Checker) {
    let allowed = |byte: u8| byte.is_ascii_alphanumeric() || b"-._~+/".contains(&byte);
    let text = prefix.0.as_str();
    let (message, help) = if !text.bytes().all(allowed) || text.len() > 64 {
        (
            "no bearer token begins so (RFC 6750, 2.1)".to_owned(),
            "write at most 64 letters, digits and `-._~+/`",
        )
    } else if JWT.starts_with(text) || text.starts_with(JWT) {
        (
            format!("a JWT begins with {}", quote(text)),
            "JWTs are verified by their signatures, and nobody is asked about them",
        )
    } else if KEY.starts_with(text) || text.starts_with(KEY) {
        (
            format!("an API key begins with {}", quote(text)),
            "write what the opaque tokens of this issuer begin with",
        )
    } else {
        return;
    };
    checker
        .report()
        .error(Code::BadText, prefix.span, message)
        .help(help);
}

/// Refuses issuers that would be asked about the same tokens; each with where it says so.
pub(crate) fn check_apart(issuers: &[(&crate::Issuer, Span)], checker: &mut Checker) {
    let asked = |(issuer, span): &(&crate::Issuer, Span)| {
        let prefix = issuer.introspection.as_ref()?.prefix.clone();
        Some((prefix, *span))
    };
    let asked: Vec<_> = issuers.iter().filter_map(asked).collect();
    for (place, (prefix, span)) in asked.iter().enumerate() {
        let same = |(other, _): &&(String, Span)| {
            let (one, other) = (prefix.as_str(), other.as_str());
            one.is_empty() == other.is_empty() && (one.starts_with(other) || other.starts_with(one))
        };
        let Some((_, first)) = asked.iter().take(place).find(same) else {
            continue;
        };
        let message = if prefix.is_empty() {
            "two issuers would be asked about every opaque token"
        } else {
            "two issuers would be asked about the same tokens"
        };
        checker
            .report()
            .error(Code::Conflict, *span, message)
            .label(*first, "the other one")
            .help("give each a `prefix` that its tokens begin with, none of which begins another");
    }
}
