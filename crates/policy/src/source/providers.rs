//! `providers/<name>.yaml`: where models run.

use super::compile::Checker;
use super::declare::{choice, record};
use super::diagnostic::Code;
use super::exceptions::ExceptionRule;
use super::overlays::Upstream;
use super::reader::Spanned;
use super::scalars::{Header, Name, Prefix, SecretName};
use super::secrets::quote;
use super::upstream_credential::{GrantFields, credential, grant};
use crate::{CredentialValue, OutputCap, ProviderKind};

record! {
    /// Where models run: the wire format, the address, and the name of the secret.
    ProviderFile = "provider" {
        /// Its name, as the file is called.
        provider: required Name,
        /// The format that it speaks: `openai` (chat completions), or `mock` for scripted answers.
        wire: required Wire,
        /// Its address, up to and without `/chat/completions`.
        base_url: optional Upstream,
        /// The name of the Worker secret that holds its key.
        secret: optional SecretName,
        /// A token that an authorization server grants to the gateway, in place of a key.
        grant: optional GrantFields,
        /// How the key is sent.
        auth: optional AuthFields,
        /// The member of a request that bounds the answer's tokens: `max_tokens`, which most providers
        /// know, or `max_completion_tokens`, the only one that reasoning models of OpenAI know.
        output_cap: optional OutputCap,
    }
    later { headers, limits, prices, region }
}

record! {
    /// How a key is sent.
    AuthFields = "auth" {
        /// The header that carries it.
        header: default "authorization" Header,
        /// What stands before it. Left out: `Bearer ` in `authorization`, nothing in other headers.
        prefix: optional Prefix,
    }
}

/// A wire format.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Wire {
    OpenAi,
    Mock,
}
choice!(OutputCap: "max_tokens" => Self::MaxTokens, "max_completion_tokens" => Self::MaxCompletionTokens);
choice!(Wire: "openai" => Self::OpenAi, "mock" => Self::Mock;
    later "anthropic", "gemini", "google", "azure", "bedrock", "workers-ai", "mistral");

/// Checks a provider.
pub(crate) fn compile(
    name: &str,
    provider: &Spanned<ProviderFile>,
    checker: &mut Checker,
) -> Option<crate::Provider> {
    checker.without_tls = None;
    let kind = match provider.wire.as_ref()?.value {
        Wire::Mock => mock(name, provider, checker),
        Wire::OpenAi => openai(name, provider, checker)?,
    };
    let origin = checker.report().origin(provider.span);
    Some(crate::Provider {
        name: name.to_owned(),
        kind,
        until: checker.without_tls,
        origin,
    })
}

fn mock(name: &str, provider: &Spanned<ProviderFile>, checker: &mut Checker) -> ProviderKind {
    let span = provider.wire.as_ref().map_or(provider.span, |wire| wire.span);
    checker.check_mock(&format!("the provider {}", quote(name)), span);
    let fields = [
        ("base_url", provider.base_url.as_ref().map(|field| field.span)),
        ("secret", provider.secret.as_ref().map(|field| field.span)),
        ("grant", provider.grant.as_ref().map(|field| field.span)),
        ("auth", provider.auth.as_ref().map(|field| field.span)),
        ("output_cap", provider.output_cap.as_ref().map(|field| field.span)),
    ];
    for (field, at) in fields {
        if let Some(at) = at {
            checker
                .report()
                .error(Code::Conflict, at, format!("a mock has no `{field}`"))
                .help("remove it: scripted answers need no upstream")
                .label(span, "this is a mock");
        }
    }
    ProviderKind::Mock
}

fn openai(name: &str, provider: &Spanned<ProviderFile>, checker: &mut Checker) -> Option<ProviderKind> {
    if let Some(url) = &provider.base_url {
        checker.check_tls(url, &format!("providers/{name}"));
        if let Some(base) = url.0.strip_suffix("/chat/completions") {
            checker
                .report()
                .error(
                    Code::BadUrl,
                    url.span,
                    "this is the address of one operation, not the base",
                )
                .help(format!("write {}", quote(base)));
        }
    } else if !checker.reader.reported_within(provider.span) {
        checker
            .report()
            .error(Code::MissingField, provider.span, "`base_url` is missing")
            .help("for example `https://api.openai.com/v1`");
    }
    if let (Some(secret), Some(grant)) = (&provider.secret, &provider.grant) {
        checker
            .report()
            .error(
                Code::Conflict,
                grant.span,
                "a provider takes a `secret` or a `grant`, not both",
            )
            .help("keep the one that it asks for")
            .label(secret.span, "the other one");
    }
    if let (Some(auth), None, None) = (&provider.auth, &provider.secret, &provider.grant)
        && !checker.reader.reported_within(provider.span)
    {
        checker
            .report()
            .error(
                Code::Conflict,
                auth.span,
                "`auth` needs a `secret` or a `grant` to send",
            )
            .help("write `secret: NAME_OF_A_WORKER_SECRET`, or leave `auth` out");
    }
    let grant = provider
        .grant
        .as_ref()
        .map(|fields| grant(fields, &format!("providers/{name}"), checker));
    let value = match (grant, &provider.secret) {
        (Some(grant), _) => Some(CredentialValue::Granted(Box::new(grant?))),
        (None, Some(secret)) => {
            checker.secrets.insert(secret.0.clone());
            Some(CredentialValue::Secret(secret.0.clone()))
        }
        (None, None) => None,
    };
    let credential = value.and_then(|value| {
        let (header, prefix) = match &provider.auth {
            Some(auth) => (
                auth.header.as_ref()?.0.clone(),
                auth.prefix.as_ref().map(|prefix| prefix.0.clone()),
            ),
            None => ("authorization".to_owned(), None),
        };
        Some(credential(header, prefix, value))
    });
    Some(ProviderKind::OpenAi {
        base_url: provider.base_url.as_ref()?.0.clone(),
        credential,
        output_cap: provider
            .output_cap
            .as_ref()
            .map(|cap| cap.value)
            .unwrap_or_default(),
    })
}

impl Checker {
    /// Reports an upstream that is reached without TLS, if nothing allows that.
    pub(crate) fn check_tls(&mut self, url: &Spanned<Upstream>, target: &str) {
        if url.is_https() {
            return;
        }
        let excepted = self.excepted(ExceptionRule::Upstreams, target);
        if self.rules.http_upstreams {
            return;
        }
        if let Some(end) = excepted {
            self.without_tls = self.without_tls.into_iter().chain([end]).min();
            return;
        }
        let from = url.from;
        let draft = self
            .report()
            .error(Code::PlainHttp, url.span, "this upstream is reached without TLS")
            .help(format!("write `https://`, or an exception `{{ rule: upstreams, for: {target}, reason: ..., until: ... }}` in `gateway.yaml`"));
        if let Some(from) = from {
            draft.label(from, "the environment says where it is");
        }
    }

    /// Reports a mock in an environment that forbids mocks.
    pub(crate) fn check_mock(&mut self, what: &str, span: super::diagnostic::Span) {
        if !self.rules.mocks {
            let message = format!(
                "{what} is mocked, and {} forbids mocks",
                quote(&self.reader.environment)
            );
            self.report()
                .error(Code::MockForbidden, span, message)
                .help("limit it with `environments: [dev]`, and give it an upstream elsewhere");
        }
    }
}
