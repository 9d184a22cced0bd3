//! Where an API key may stand in a request, besides `Authorization: Bearer`.

use super::compile::Checker;
use super::containers::List;
use super::declare::record;
use super::diagnostic::Code;
use super::exceptions::{ExceptionRule, GATEWAY};
use super::headers::never_forwarded;
use super::reader::{Fault, Scalar};
use super::scalars::Header;
use super::secrets::quote;
use crate::ApiKeys;

record! {
    /// Where an API key may come. `Authorization: Bearer` always does; exactly one credential may.
    ApiKeyFields = "api_keys" {
        /// The request headers that may carry one: those that SDKs of models send, or your own. None of
        /// them reaches an upstream.
        headers: default "[x-api-key, api-key, x-goog-api-key]" List<Header>,
        /// Schemes of `Authorization` that may carry one, besides `Bearer`; in any case of letters.
        schemes: default "[]" List<Word>,
        /// Query parameters that may carry one, as SDKs of Google send `key`. URLs are kept where headers
        /// are not, so this takes an exception of the rule `query_credentials`, and ends with it. Such
        /// parameters are neither logged nor passed on.
        query: default "[]" List<Word>,
    }
}

/// A scheme of `Authorization`, or the name of a query parameter.
#[derive(Clone, Debug)]
pub(crate) struct Word(pub(crate) String);

impl Scalar for Word {
    const EXPECTS: &'static str = "a word of letters, digits, `-` and `_`";

    fn parse(text: &str) -> Result<Self, Fault> {
        let good = |byte: u8| byte.is_ascii_alphanumeric() || b"-_".contains(&byte);
        if (1..=64).contains(&text.len()) && text.bytes().all(good) {
            return Ok(Self(text.to_owned()));
        }
        let message = format!("expected {}, found {}", Self::EXPECTS, quote(text));
        Err(Fault::new(Code::BadName, message).help("write for example `key`"))
    }
}

/// The headers that carry what another rule of the gateway reads.
const READ: [&str; 8] = [
    "accept",
    "content-type",
    "idempotency-key",
    "origin",
    "prefer",
    "traceparent",
    "tracestate",
    "user-agent",
];
/// Those that carry a credential, and may.
const KNOWN: [&str; 4] = ["x-api-key", "api-key", "x-goog-api-key", "x-auth-token"];
/// How many there may be of each.
const MOST: usize = 8;

/// Checks where API keys may come; the headers join those that are never forwarded.
pub(crate) fn headers(fields: &ApiKeyFields, checker: &mut Checker) -> Vec<String> {
    let Some(list) = &fields.headers else {
        return Vec::new();
    };
    for header in &list.0 {
        let barred = never_forwarded(&header.0).filter(|_| !KNOWN.contains(&header.0.as_str()));
        let barred = barred.map(|why| match why {
            "it carries a credential" => "it carries another credential",
            why => why,
        });
        let read = READ
            .contains(&header.0.as_str())
            .then_some("it says something else");
        if let Some(why) = barred.or(read) {
            checker
                .report()
                .error(
                    Code::BadHeader,
                    header.span,
                    format!("`{}` cannot carry an API key: {why}", header.0),
                )
                .help("name a header of your own, for example `x-acme-key`");
        } else if never_forwarded(&header.0).is_none() {
            checker.floor.never_forward.push((header.0.clone(), header.span));
        }
    }
    bounded(list.0.len(), list.span, "headers", checker);
    checker.sorted(&list.0, |header| header.0.clone())
}

/// Checks the rest, when the exceptions are known.
pub(crate) fn compile(fields: &ApiKeyFields, headers: Vec<String>, checker: &mut Checker) -> ApiKeys {
    let mut compiled = ApiKeys {
        headers,
        ..ApiKeys::default()
    };
    if let Some(list) = &fields.schemes {
        for scheme in &list.0 {
            if ["bearer", "dpop"].contains(&scheme.0.to_ascii_lowercase().as_str()) {
                let message = format!("the scheme `{}` is the one of tokens", scheme.0);
                checker
                    .report()
                    .error(Code::Conflict, scheme.span, message)
                    .help("remove it: `Bearer` carries API keys in any case");
            }
        }
        bounded(list.0.len(), list.span, "schemes", checker);
        compiled.schemes = checker.sorted(&list.0, |scheme| scheme.0.to_ascii_lowercase());
    }
    if let Some(list) = fields.query.as_ref().filter(|list| !list.0.is_empty()) {
        bounded(list.0.len(), list.span, "query parameters", checker);
        compiled.query = checker.sorted(&list.0, |name| name.0.clone());
        match checker.excepted(ExceptionRule::QueryCredentials, GATEWAY) {
            Some(end) => compiled.query_until = end,
            None => {
                checker
                    .report()
                    .error(
                        Code::QueryCredential,
                        list.span,
                        "credentials in a URL need an exception: logs and caches keep them",
                    )
                    .help("add `{ rule: query_credentials, for: gateway, reason: .., until: .. }` to `exceptions`, or have clients send a header");
            }
        }
    }
    compiled
}

fn bounded(count: usize, at: super::diagnostic::Span, what: &str, checker: &mut Checker) {
    if count > MOST {
        checker
            .report()
            .error(
                Code::OutOfRange,
                at,
                format!("{count} {what} may carry API keys, of at most {MOST}"),
            )
            .help("remove those that no client sends");
    }
}
