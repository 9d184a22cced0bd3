//! `upstream_credential` of a version and `grant` of a provider: how the gateway identifies itself to an
//! upstream, by a secret, by a token that it signs, or by one that it is granted.

use sha2::{Digest, Sha256};

use super::apis::Shared;
use super::compile::Checker;
use super::conditions::ClaimText;
use super::containers::{List, Map};
use super::declare::{choice, record};
use super::diagnostic::{Code, Span};
use super::headers::made_by_gateway;
use super::overlays::Upstream;
use super::reader::Spanned;
use super::scalars::{Duration, Header, Prefix, Scope, SecretName, Token};
use super::secrets::quote;
use super::upstream_headers::same;
use crate::{CredentialValue, GrantedToken, RepeatedClaim, SignedToken, UpstreamCredential};

/// How long a signed token may be good, in milliseconds.
const LIFETIMES: std::ops::RangeInclusive<u64> = 10_000..=3_600_000;
/// The most claims that a signed token repeats.
const MAX_CLAIMS: usize = 16;
/// Names that the gateway itself gives their meaning (RFC 7519, 4.1; RFC 7800, 3.1; RFC 8693, 4; RFC 9493, 4.1).
const OWN: [&str; 15] = [
    "act",
    "aud",
    "azp",
    "client_id",
    "cnf",
    "consumer",
    "exp",
    "iat",
    "iss",
    "jti",
    "may_act",
    "nbf",
    "scope",
    "sub",
    "sub_id",
];

record! {
    /// How the gateway identifies itself to an upstream.
    CredentialFields = "upstream credential" {
        /// The header that carries it.
        header: default "authorization" Header,
        /// What stands before it. Left out: `Bearer ` in `authorization`, nothing in other headers.
        prefix: optional Prefix,
        /// The name of the Worker secret that is sent.
        secret: optional SecretName,
        /// A short-lived token that the gateway signs itself, and that says who calls.
        signed: optional SignedFields,
        /// A token that an authorization server grants to the gateway.
        grant: optional GrantFields,
    }
}

record! {
    /// A token that the gateway signs (RFC 7519), by the `signing` of `gateway.yaml`. It says who calls: the
    /// `consumer`, and of whom that is `sub` with its issuer in `sub_id` (RFC 9493).
    SignedFields = "signed token" {
        /// Whom it is for, its `aud`.
        audience: required Token,
        /// How long it is good: 10s to 1h, whole seconds. It is used for as long as half of that.
        lifetime: default "1m" Duration,
        /// Claims of the caller's token that it repeats, by the name that they have in it:
        /// `{ email: claims.email }`. What the caller's token does not say, it does not say.
        claims: default "{}" Map<ClaimText>,
    }
}

record! {
    /// A grant of client credentials (RFC 6749, 4.4). The token is kept for all isolates together, and renewed
    /// before it expires.
    GrantFields = "grant" {
        /// The token endpoint.
        endpoint: required Upstream,
        /// Who the gateway is there.
        client_id: required Token,
        /// The name of the Worker secret that proves it.
        secret: required SecretName,
        /// How the secret is sent: `client_secret_basic`, or `client_secret_post` in the form.
        auth: default "client_secret_basic" ClientAuth,
        /// What is asked for.
        scopes: default "[]" List<Scope>,
        /// For whom, where the server knows `audience`.
        audience: optional Token,
        /// For which resource (RFC 8707).
        resource: optional Token,
    }
}

/// How a client proves who it is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum ClientAuth {
    Basic,
    Post,
}
choice!(ClientAuth: "client_secret_basic" => Self::Basic, "client_secret_post" => Self::Post);

/// Checks the credential of a version.
pub(crate) fn compile(
    shared: &Shared<'_>,
    fields: &Spanned<CredentialFields>,
    checker: &mut Checker,
) -> Option<UpstreamCredential> {
    let header = fields.header.as_ref()?;
    if let Some(why) = made_by_gateway(&header.0.replace('_', "-")) {
        checker
            .report()
            .error(
                Code::BadHeader,
                header.span,
                format!("{} cannot carry a credential: {why}", quote(&header.0)),
            )
            .help("write `authorization`, or the header of their own that the upstream reads");
    } else if let Some(twin) = checker.floor.forward.iter().find(|known| same(known, &header.0)) {
        let message = format!(
            "a client could send {} itself, by {}",
            quote(&header.0),
            quote(twin)
        );
        checker
            .report()
            .error(Code::Conflict, header.span, message)
            .help("remove it from `forward_headers` of the floor");
    }
    let written = [
        fields.secret.as_ref().map(|field| field.span),
        fields.signed.as_ref().map(|field| field.span),
        fields.grant.as_ref().map(|field| field.span),
    ];
    let mut written = written.into_iter().flatten();
    let Some(first) = written.next() else {
        if !checker.reader.reported_within(fields.span) {
            checker
                .report()
                .error(Code::MissingField, fields.span, "nothing says what is sent")
                .help(
                    "write `secret: NAME_OF_A_WORKER_SECRET`, `signed: { audience: .. }` or `grant: { .. }`",
                );
        }
        return None;
    };
    if let Some(second) = written.next() {
        checker
            .report()
            .error(Code::Conflict, second, "an upstream is sent one credential")
            .help("keep one of `secret`, `signed` and `grant`")
            .label(first, "the other one");
        return None;
    }
    let value = if let Some(fields) = &fields.signed {
        CredentialValue::Signed(signed(fields, shared.open.is_some(), checker)?)
    } else if let Some(fields) = &fields.grant {
        CredentialValue::Granted(Box::new(grant(
            fields,
            &format!("apis/{}", shared.name),
            checker,
        )?))
    } else {
        let secret = fields.secret.as_ref()?;
        checker.secrets.insert(secret.0.clone());
        CredentialValue::Secret(secret.0.clone())
    };
    let prefix = fields.prefix.as_ref().map(|prefix| prefix.0.clone());
    Some(credential(header.0.clone(), prefix, value))
}

/// A credential with the prefix that is usual in its header.
pub(crate) fn credential(
    header: String,
    prefix: Option<String>,
    value: CredentialValue,
) -> UpstreamCredential {
    let usual = if header == "authorization" { "Bearer " } else { "" };
    UpstreamCredential {
        prefix: prefix.unwrap_or_else(|| usual.to_owned()),
        header,
        value,
    }
}

/// Where an API says that a header, or one that some upstreams take for it, carries a credential of the gateway.
pub(crate) fn carrier(shared: &Shared<'_>, name: &str) -> Option<Span> {
    let versions = shared.file.versions.iter().flat_map(|map| &map.here);
    let mut headers =
        versions.filter_map(|(_, version)| version.upstream_credential.as_ref()?.header.as_ref());
    headers
        .find(|header| same(&header.0, name))
        .map(|header| header.span)
}

fn signed(fields: &Spanned<SignedFields>, open: bool, checker: &mut Checker) -> Option<SignedToken> {
    if !checker.signs {
        checker
            .report()
            .error(
                Code::MissingField,
                fields.span,
                "the gateway has nothing to sign with",
            )
            .help("write `signing: { issuer: https://.., key: NAME_OF_A_WORKER_SECRET }` in `gateway.yaml`");
    }
    let lifetime = fields.lifetime.as_ref()?;
    if !LIFETIMES.contains(&lifetime.0) || lifetime.0 % 1000 != 0 {
        checker
            .report()
            .error(
                Code::OutOfRange,
                lifetime.span,
                "expected whole seconds from 10s to 1h",
            )
            .help("write for example `1m`: a token that leaks is good until then");
    }
    let map = fields.claims.as_ref()?;
    if let Some((name, _)) = map.here.first().filter(|_| open) {
        checker
            .report()
            .error(
                Code::Conflict,
                name.span,
                "nothing is known of the callers of an open API",
            )
            .help("remove `claims`, or `authentication: none`");
    }
    if map.here.len() > MAX_CLAIMS {
        checker
            .report()
            .error(
                Code::OutOfRange,
                map.span,
                format!("a token repeats at most {MAX_CLAIMS} claims"),
            )
            .help("keep those that its upstream reads");
    }
    let mut claims = Vec::new();
    for (name, claim) in &map.here {
        if OWN.contains(&name.value.as_str()) {
            checker
                .report()
                .error(
                    Code::Conflict,
                    name.span,
                    format!("the gateway itself says what {} is", quote(&name.value)),
                )
                .help("choose another name for it");
            continue;
        }
        let path = claim
            .value
            .check(checker.declared.as_ref(), &mut checker.reader.report);
        if let Some(claim) = path {
            let name = name.value.clone();
            claims.push(RepeatedClaim { name, claim });
        }
    }
    claims.sort_by(|a, b| a.name.cmp(&b.name));
    Some(SignedToken {
        audience: fields.audience.as_ref()?.0.clone(),
        lifetime: lifetime.0,
        claims,
    })
}

/// Checks a grant. `target` is what an exception to TLS would name.
pub(crate) fn grant(
    fields: &Spanned<GrantFields>,
    target: &str,
    checker: &mut Checker,
) -> Option<GrantedToken> {
    let endpoint = fields.endpoint.as_ref()?;
    checker.check_tls(endpoint, target);
    let secret = fields.secret.as_ref()?;
    checker.secrets.insert(secret.0.clone());
    let mut scopes: Vec<_> = fields.scopes.iter().flat_map(|list| &list.0).collect();
    scopes.sort_by(|a, b| a.0.cmp(&b.0));
    for pair in scopes.windows(2) {
        if let [one, two] = pair
            && one.0 == two.0
        {
            checker
                .report()
                .error(
                    Code::Repeated,
                    two.span,
                    format!("the scope {} is asked for twice", quote(&two.0)),
                )
                .help("keep one of them");
        }
    }
    let scopes: Vec<_> = scopes.iter().map(|scope| scope.0.as_str()).collect();
    let scope = Some(scopes.join(" ")).filter(|scope| !scope.is_empty());
    let text = |field: Option<&Spanned<Token>>| field.map(|field| field.0.clone());
    let form = [
        ("scope", scope),
        ("audience", text(fields.audience.as_ref())),
        ("resource", text(fields.resource.as_ref())),
    ];
    let form = form
        .into_iter()
        .filter_map(|(name, value)| Some((name.to_owned(), value?)));
    let mut granted = GrantedToken {
        object: String::new(),
        endpoint: endpoint.0.clone(),
        client_id: fields.client_id.as_ref()?.0.clone(),
        secret: secret.0.clone(),
        post: fields.auth.as_ref()?.value == ClientAuth::Post,
        form: form.collect(),
    };
    granted.object = object(&granted);
    Some(granted)
}

/// The name of the object that keeps what was granted.
fn object(granted: &GrantedToken) -> String {
    let mut hash = Sha256::new();
    let form = granted.form.iter().flat_map(|(name, value)| [name, value]);
    let method = if granted.post { "post" } else { "basic" };
    let texts = [&granted.endpoint, &granted.client_id, &granted.secret];
    let texts = texts.into_iter().chain(form).map(String::as_str);
    for text in texts.chain([method]) {
        // None of them holds a line feed.
        hash.update(text);
        hash.update("\n");
    }
    format!("grant:{}", crate::hex(&hash.finalize()))
}
