//! Issuers of tokens, and the keys that they sign with.

use std::collections::BTreeMap;

use serde_json::Value as Json;

use super::claims::Claims;
use super::compile::Checker;
use super::containers::{List, Map};
use super::declare::{choice, record};
use super::diagnostic::{Code, Span};
use super::gateway::is_production;
use super::introspection::{self, IntrospectionFields};
use super::json;
use super::names::nearest;
use super::reader::{Fault, Scalar, Spanned};
use super::scalars::{Duration, FilePath, Origin, SecretName, Token, Url};
use super::secrets::quote;
use super::yaml::{self, Node};
use crate::{Algorithm, Binding, KeyKind, Keys};

record! {
    /// Who may issue tokens, and what a token of theirs must be.
    Issuer = "issuer" {
        /// What `iss` must equal, byte for byte.
        issuer: required Token,
        /// Any one of these must be in `aud`.
        audience: required List<Token>,
        /// The algorithms that are accepted: `HS256`, `HS384`, `HS512`; `RS256`, `RS384`, `RS512`,
        /// `PS256`, `PS384`, `PS512`, `ES256`, `ES384`, `EdDSA`. A key's own `alg` must agree. Left out, which
        /// needs `introspection`: none, as all its tokens are opaque.
        algorithms: optional List<Algorithm>,
        /// The claim that names the consumer.
        consumer: default "client_id" Token,
        /// How far clocks may differ; at most 60s.
        clock_skew: default "30s" Duration,
        /// The longest lifetime of a token (`exp` - `iat`). Left out: none, unless the environment
        /// has one.
        max_lifetime: optional Duration,
        /// Where the public keys are: the URL of a JWKS, a `.json` file in the tree, or
        /// `development` for the key pair that `turnpike` makes on this machine. Left out, and without
        /// a `secret`: where the issuer's metadata say.
        jwks: optional KeySource,
        /// Which metadata say where the keys are: `openid` (`OpenID` Connect Discovery) or `oauth`
        /// (RFC 8414). Left out: `openid`.
        discovery: optional Discovery,
        /// Origins at which the metadata may say that the keys are, beside the issuer's own.
        key_origins: default "[]" List<Origin>,
        /// `any`, or `at+jwt`: only tokens whose `typ` says that they are access tokens (RFC 9068), so
        /// that an ID token opens nothing.
        token_type: default "any" TokenType,
        /// Tokens that are bound to a key of the client's (`cnf.jkt`), which must come with a proof of it (DPoP, RFC
        /// 9449): `refused`, `accepted` (others may come as before), or `required` (others are refused). Each proof is
        /// good once and for a minute; nonces are not offered.
        dpop: default "refused" Binding,
        /// Tokens that are bound to a client certificate (`cnf.x5t#S256`, RFC 8705), which must come over a connection
        /// with that certificate, verified by the platform: `refused`, `accepted` or `required`, as `dpop`.
        certificate_bound: default "refused" Binding,
        /// What its tokens say, beside `iss` and `sub`: claims, each a `string`, a `number`, a `boolean` or a
        /// `list of strings`, or a map of what is in an object. Conditions and upstreams see what is declared, and
        /// a claim of another type is as if it were not there.
        claims: default "{}" Claims,
        /// For HMAC: the name of the Worker secret that holds the key.
        secret: optional SecretName,
        /// How it is asked about its opaque tokens (RFC 7662). Left out: they open nothing.
        introspection: optional IntrospectionFields,
    }
    later { dpop_nonces, leeway, required_claims }
}

/// Where the keys of an issuer are.
#[derive(Clone, Debug)]
pub(crate) enum KeySource {
    Development,
    Url(Url),
    File(FilePath),
}

/// Which metadata an issuer has.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Discovery {
    OpenId,
    OAuth,
}
choice!(Discovery: "openid" => Self::OpenId, "oauth" => Self::OAuth);

/// Which tokens of an issuer are taken.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum TokenType {
    Any,
    Access,
}
choice!(TokenType: "any" => Self::Any, "at+jwt" => Self::Access);

choice!(Binding: "refused" => Self::Refused, "accepted" => Self::Accepted, "required" => Self::Required);

impl Scalar for KeySource {
    const EXPECTS: &'static str = "the URL of a JWKS, a `.json` file in the tree, or `development`";

    fn parse(text: &str) -> Result<Self, Fault> {
        if text == "development" {
            Ok(Self::Development)
        } else if text.contains("://") {
            Url::parse(text).map(Self::Url)
        } else if std::path::Path::new(text)
            .extension()
            .is_some_and(|ending| ending == "json")
        {
            FilePath::parse(text).map(Self::File)
        } else {
            Err(Fault::new(
                Code::UnknownWord,
                format!("expected {}, found {}", Self::EXPECTS, quote(text)),
            ))
        }
    }
}

impl Scalar for Algorithm {
    const EXPECTS: &'static str = "an algorithm such as `RS256`";
    const LATER: &'static [&'static str] = &["ES512", "Ed25519", "Ed448", "ES256K"];

    fn parse(text: &str) -> Result<Self, Fault> {
        if let Some(algorithm) = Self::from_name(text) {
            return Ok(algorithm);
        }
        let all = Self::ALL.map(Self::name);
        let built = format!(
            "what is built: {}",
            all.map(|name| format!("`{name}`")).join(", ")
        );
        if Self::LATER.contains(&text) {
            return Err(
                Fault::new(Code::NotBuilt, format!("the algorithm `{text}` is not built yet")).help(built),
            );
        }
        if text.eq_ignore_ascii_case("none") {
            return Err(
                Fault::new(Code::UnknownWord, "a token without a signature is never accepted").help(built),
            );
        }
        let fault = Fault::new(Code::UnknownWord, format!("{} is not an algorithm", quote(text)));
        Err(match nearest(text, all.into_iter()) {
            Some(near) => fault.help(format!("did you mean `{near}`?")),
            None => fault.help(built),
        })
    }
}

/// Whether an issuer of this environment needs the development key.
pub(crate) fn any_development(issuers: &Map<Issuer>) -> bool {
    issuers.here.iter().any(|(_, issuer)| {
        issuer
            .jwks
            .as_ref()
            .is_some_and(|source| matches!(source.value, KeySource::Development))
    })
}

/// Checks the issuers; the names come with their place in the sorted list.
pub(crate) fn compile(
    map: &Map<Issuer>,
    checker: &mut Checker,
) -> (Vec<crate::Issuer>, BTreeMap<String, u32>) {
    let mut compiled: Vec<(crate::Issuer, Span)> = Vec::new();
    for (name, issuer) in &map.here {
        let Some(one) = compile_one(&name.value, issuer, checker) else {
            continue;
        };
        let twin = compiled.iter().find(|(other, _)| other.issuer == one.0.issuer);
        if let Some((other, span)) = twin {
            let message = format!(
                "the issuers `{}` and `{}` have the same `issuer`",
                other.name, one.0.name
            );
            let span = *span;
            checker
                .report()
                .error(Code::DuplicateIssuer, one.1, message)
                .label(span, "the other one")
                .help("a token names its issuer by `iss` alone: give one issuer all audiences and keys");
            continue;
        }
        compiled.push(one);
    }
    let asked = compiled
        .iter()
        .map(|(issuer, _)| issuer)
        .zip(places(map, &compiled));
    introspection::check_apart(&asked.collect::<Vec<_>>(), checker);
    compiled.sort_by(|(a, _), (b, _)| a.issuer.cmp(&b.issuer));
    let index = compiled
        .iter()
        .zip(0_u32..)
        .map(|((issuer, _), at)| (issuer.name.clone(), at))
        .collect();
    (compiled.into_iter().map(|(issuer, _)| issuer).collect(), index)
}

/// Where each of these says how it is asked about its tokens; where it does not, its own place.
fn places(map: &Map<Issuer>, compiled: &[(crate::Issuer, Span)]) -> Vec<Span> {
    let written = |(issuer, span): &(crate::Issuer, Span)| {
        let mut here = map.here.iter();
        let fields = here.find(|(name, _)| name.value == issuer.name);
        let asked = fields.and_then(|(_, fields)| fields.introspection.as_ref());
        asked.map_or(*span, |asked| asked.span)
    };
    compiled.iter().map(written).collect()
}

fn compile_one(name: &str, issuer: &Spanned<Issuer>, checker: &mut Checker) -> Option<(crate::Issuer, Span)> {
    let audience = issuer.audience.as_ref().map(|list| {
        if checker.lacks_items(list) {
            checker
                .report()
                .error(Code::EmptyList, list.span, "no audience is named")
                .help("write what `aud` of its tokens says: what is meant for others is refused");
        }
        checker.sorted(&list.0, |audience| audience.0.clone())
    });
    let algorithms = issuer.algorithms.as_ref().map(|list| {
        if checker.lacks_items(list) {
            checker
                .report()
                .error(Code::EmptyList, list.span, "no algorithm is accepted")
                .help("write for example `algorithms: [RS256]`");
        }
        checker.sorted(&list.0, |algorithm| algorithm.name());
        let mut sorted: Vec<_> = list.0.iter().map(|algorithm| algorithm.value).collect();
        sorted.sort_unstable();
        sorted.dedup();
        sorted
    });
    let introspection = issuer
        .introspection
        .as_ref()
        .map(|fields| introspection::compile(fields, checker));
    if issuer.introspection.is_some() {
        check_bindings(issuer, checker);
    }
    let clock_skew = issuer.clock_skew.as_ref().map(|skew| checker.seconds(skew, 60));
    let max_lifetime = lifetime(issuer, checker);
    let keys = match (&issuer.algorithms, &issuer.introspection) {
        (None, _) => without_algorithms(issuer, checker),
        (Some(_), _) => keys(name, issuer, algorithms.as_deref(), checker),
    };
    let id = issuer.issuer.as_ref()?;
    Some((
        crate::Issuer {
            name: name.to_owned(),
            issuer: id.0.clone(),
            audience: audience?,
            algorithms: match &issuer.algorithms {
                Some(_) => algorithms?,
                None => Vec::new(),
            },
            consumer_claim: issuer.consumer.as_ref()?.0.clone(),
            clock_skew: clock_skew?,
            max_lifetime,
            dpop: issuer
                .dpop
                .as_ref()
                .map(|binding| binding.value)
                .unwrap_or_default(),
            certificate_bound: issuer
                .certificate_bound
                .as_ref()
                .map(|binding| binding.value)
                .unwrap_or_default(),
            access_tokens: issuer
                .token_type
                .as_ref()
                .is_some_and(|kind| kind.value == TokenType::Access),
            keys: keys?,
            introspection: match introspection {
                Some(compiled) => Some(compiled?),
                None => None,
            },
        },
        id.span,
    ))
}

/// An opaque token is bound to nothing here: where its issuer's must be, or has no others that could, it opens nothing.
fn check_bindings(issuer: &Issuer, checker: &mut Checker) {
    let bindings = [
        ("dpop", &issuer.dpop),
        ("certificate_bound", &issuer.certificate_bound),
    ];
    for (name, binding) in bindings {
        let Some(binding) = binding else { continue };
        let (why, help) = match binding.value {
            Binding::Required => (
                "would refuse each of its opaque tokens",
                "remove `introspection`, or write `accepted`",
            ),
            Binding::Accepted if issuer.algorithms.is_none() => (
                "is for signed tokens, and this issuer has none",
                "name their `algorithms`, or remove it",
            ),
            Binding::Accepted | Binding::Refused => continue,
        };
        checker
            .report()
            .error(Code::Conflict, binding.span, format!("`{name}` {why}"))
            .help(help);
    }
}

/// The keys of an issuer that signs no token: none. What is said of signed tokens has no meaning then.
fn without_algorithms(issuer: &Spanned<Issuer>, checker: &mut Checker) -> Option<Keys> {
    if issuer.introspection.is_none() {
        if !checker.reader.reported_within(issuer.span) {
            checker
                .report()
                .error(Code::MissingField, issuer.span, "`algorithms` is missing")
                .help("write for example `algorithms: [RS256]`, or how it is asked about opaque tokens as `introspection`");
        }
        return None;
    }
    let origins = issuer.key_origins.as_ref().filter(|list| !list.0.is_empty());
    let of_jwts = [
        ("jwks", issuer.jwks.as_ref().map(|field| field.span)),
        ("secret", issuer.secret.as_ref().map(|field| field.span)),
        ("discovery", issuer.discovery.as_ref().map(|field| field.span)),
        ("key_origins", origins.map(|field| field.span)),
        (
            "token_type",
            issuer
                .token_type
                .as_ref()
                .filter(|kind| kind.value == TokenType::Access)
                .map(|field| field.span),
        ),
    ];
    for (name, span) in of_jwts {
        let Some(span) = span else { continue };
        checker
            .report()
            .error(
                Code::Conflict,
                span,
                format!("`{name}` is for signed tokens, and this issuer has none"),
            )
            .help("name their `algorithms`, or remove it");
    }
    Some(Keys::Inline(Vec::new()))
}

/// The tighter one of the issuer's and the environment's bounds.
fn lifetime(issuer: &Issuer, checker: &mut Checker) -> Option<u32> {
    let most = 10 * 365 * 24 * 60 * 60;
    let own = issuer.max_lifetime.as_ref().map(|limit| {
        if limit.0 == 0 {
            checker
                .report()
                .error(Code::OutOfRange, limit.span, "no token could ever be accepted")
                .help("write for example `max_lifetime: 1h`");
        }
        checker.seconds(limit, most)
    });
    let environment = checker
        .rules
        .max_lifetime
        .and_then(|limit| u32::try_from(limit / 1000).ok());
    match (own, environment) {
        (Some(own), Some(environment)) => Some(own.min(environment)),
        (own, environment) => own.or(environment),
    }
}

fn keys(
    name: &str,
    issuer: &Spanned<Issuer>,
    algorithms: Option<&[Algorithm]>,
    checker: &mut Checker,
) -> Option<Keys> {
    let algorithms_at = issuer.algorithms.as_ref().map_or(issuer.span, |list| list.span);
    let hmac = algorithms.map(|list| list.iter().any(|algorithm| algorithm.is_hmac()));
    let public = algorithms.map(|list| list.iter().any(|algorithm| !algorithm.is_hmac()));
    if hmac == Some(true) && public == Some(true) {
        checker
            .report()
            .error(
                Code::AlgorithmMismatch,
                algorithms_at,
                "HMAC and public-key algorithms are mixed",
            )
            .help("a public key must never be taken for a shared secret: make it two issuers");
    }
    let written = issuer.jwks.as_ref().map(|jwks| jwks.span);
    if let Some(other) = written.or(issuer.secret.as_ref().map(|secret| secret.span)) {
        without_discovery(issuer, other, checker);
    }
    match (&issuer.jwks, &issuer.secret) {
        (Some(jwks), Some(secret)) => {
            checker
                .report()
                .error(
                    Code::Conflict,
                    secret.span,
                    "an issuer has `jwks` or `secret`, not both",
                )
                .help("`jwks` is for public keys, `secret` for HMAC: remove one")
                .label(jwks.span, "`jwks` is here");
            None
        }
        (None, None) if checker.reader.reported_within(issuer.span) => None,
        (None, None) => {
            if hmac == Some(true) && public == Some(false) {
                checker
                    .report()
                    .error(Code::AlgorithmMismatch, algorithms_at, "HMAC needs a `secret`")
                    .help("name the Worker secret that holds the key as `secret`");
                return None;
            }
            discovered(issuer, checker)
        }
        (None, Some(secret)) => {
            if public == Some(true) && hmac == Some(false) {
                checker
                    .report()
                    .error(
                        Code::AlgorithmMismatch,
                        algorithms_at,
                        "these algorithms need public keys, but the issuer has a `secret`",
                    )
                    .help("write where they are as `jwks` instead, or name HMAC algorithms such as HS256")
                    .label(secret.span, "the secret is named here");
            }
            checker.secrets.insert(secret.0.clone());
            Some(Keys::Secret(secret.0.clone()))
        }
        (Some(jwks), None) => {
            if hmac == Some(true) && public == Some(false) {
                checker
                    .report()
                    .error(
                        Code::AlgorithmMismatch,
                        algorithms_at,
                        "HMAC needs a `secret`, not a JWKS",
                    ).help("name the Worker secret that holds the key as `secret` instead, or name algorithms of public keys such as RS256")
                    .label(jwks.span, "the JWKS is named here");
                return None;
            }
            let algorithms = algorithms.unwrap_or(&[]);
            match &jwks.value {
                KeySource::Url(url) => {
                    if !url.is_https() && !checker.rules.http_upstreams {
                        checker
                            .report()
                            .error(Code::PlainHttp, jwks.span, "keys are fetched without TLS")
                            .help("write `https://`");
                    }
                    Some(Keys::Url(url.0.clone()))
                }
                KeySource::File(path) => {
                    let document = checker
                        .files
                        .document(&path.0, jwks.span, &mut checker.reader.report)?;
                    key_set(&document, algorithms, jwks.span, checker)
                }
                KeySource::Development => development(name, jwks.span, algorithms_at, algorithms, checker),
            }
        }
    }
}

/// Where an issuer's metadata are (`OpenID` Connect Discovery, section 4; RFC 8414, section 3.1).
fn discovered(issuer: &Issuer, checker: &mut Checker) -> Option<Keys> {
    let id = issuer.issuer.as_ref()?;
    let whole = Url::parse(id.0.strip_suffix('/').unwrap_or(&id.0)).ok();
    let Some(url) = whole else {
        checker
            .report()
            .error(
                Code::BadUrl,
                id.span,
                format!("{} is not a URL, so it has no metadata", quote(&id.0)),
            )
            .help("write where its keys are as `jwks`, or name its HMAC `secret`");
        return None;
    };
    if !url.is_https() && !checker.rules.http_upstreams {
        checker
            .report()
            .error(Code::PlainHttp, id.span, "keys are fetched without TLS")
            .help("write `https://`");
    }
    let kind = issuer.discovery.as_ref().map(|kind| kind.value);
    let url = match kind.unwrap_or(Discovery::OpenId) {
        Discovery::OpenId => format!("{}/.well-known/openid-configuration", url.0),
        Discovery::OAuth => {
            let origin = url.0.strip_suffix(url.path()).unwrap_or(&url.0);
            format!("{origin}/.well-known/oauth-authorization-server{}", url.path())
        }
    };
    let origins = issuer.key_origins.as_ref().map(|list| {
        for origin in &list.0 {
            if origin.0 == "*" {
                checker
                    .report()
                    .error(Code::BadUrl, origin.span, "keys could be fetched from anywhere")
                    .help("name the origins at which the issuer keeps its keys");
            } else if !origin.0.starts_with("https://") && !checker.rules.http_upstreams {
                checker
                    .report()
                    .error(Code::PlainHttp, origin.span, "keys are fetched without TLS")
                    .help("write `https://`");
            }
        }
        checker.sorted(&list.0, |origin| origin.0.clone())
    });
    Some(Keys::Discovered {
        url,
        origins: origins.unwrap_or_default(),
    })
}

/// Refuses what is said of metadata by an issuer whose keys are known without them.
fn without_discovery(issuer: &Issuer, other: Span, checker: &mut Checker) {
    let kind = issuer.discovery.as_ref().map(|kind| ("discovery", kind.span));
    let origins = issuer.key_origins.as_ref().filter(|list| !list.0.is_empty());
    let origins = origins.map(|list| ("key_origins", list.span));
    for (name, span) in kind.into_iter().chain(origins) {
        checker
            .report()
            .error(
                Code::Conflict,
                span,
                format!("`{name}` is for keys that are found by metadata"),
            )
            .label(other, "but where they are is written here")
            .help("remove one of the two");
    }
}

fn development(
    name: &str,
    at: Span,
    algorithms_at: Span,
    algorithms: &[Algorithm],
    checker: &mut Checker,
) -> Option<Keys> {
    // Whatever production says of it: its tokens are made by whoever has a developer's key.
    let production = is_production(&checker.reader.environment);
    if production || !checker.rules.development_issuer {
        let message = format!(
            "the issuer {} has the development key, which {} {}",
            quote(name),
            quote(&checker.reader.environment),
            if production {
                "may not have, whatever it allows"
            } else {
                "forbids"
            },
        );
        checker
            .report()
            .error(Code::DevelopmentIssuerForbidden, at, message)
            .help("limit it with `environments: [dev]`");
        return None;
    }
    if !algorithms.is_empty() && algorithms != [Algorithm::EdDSA] {
        checker
            .report()
            .error(
                Code::AlgorithmMismatch,
                algorithms_at,
                "the development key signs with EdDSA only",
            )
            .help("write `algorithms: [EdDSA]`");
        return None;
    }
    let Some(text) = checker.development_key.clone() else {
        checker
            .report()
            .error(Code::NoDevelopmentKey, at, "the development key is not at hand")
            .help("`turnpike` makes it outside Git when it builds or makes a token");
        return None;
    };
    let mut own = super::diagnostic::Report::default();
    let file = own.add_file(String::new(), &text);
    let key = yaml::parse(file, &text, &mut own)
        .and_then(|node| public_key(&node, &[Algorithm::EdDSA]).ok().flatten());
    match key {
        Some(key) => Some(Keys::Inline(vec![key])),
        None => {
            checker.report().error(
                Code::BadKeySet,
                at,
                "the development key that was handed in is not a public Ed25519 JWK",
            );
            None
        }
    }
}

fn key_set(document: &Node, algorithms: &[Algorithm], at: Span, checker: &mut Checker) -> Option<Keys> {
    let Some(list) = document.get("keys") else {
        checker
            .report()
            .error(
                Code::BadKeySet,
                document.span,
                "a JWKS is a map with a list named `keys`",
            )
            .label(at, "referred to here");
        return None;
    };
    let mut keys = Vec::new();
    for key in list.items() {
        match public_key(key, algorithms) {
            Ok(Some(public)) => keys.push(public),
            Ok(None) => {}
            Err(why) => {
                checker.report().error(Code::BadKeySet, key.span, why);
            }
        }
    }
    keys.sort_unstable();
    keys.dedup();
    if keys.is_empty() && !algorithms.is_empty() {
        let names: Vec<_> = algorithms.iter().map(|algorithm| algorithm.name()).collect();
        checker
            .report()
            .error(
                Code::BadKeySet,
                list.span,
                format!("no key here can verify {}", names.join(" or ")),
            )
            .label(at, "referred to here");
        return None;
    }
    Some(Keys::Inline(keys))
}

/// The public members of a JWK as canonical JSON; nothing if it is for another use or algorithm.
fn public_key(key: &Node, algorithms: &[Algorithm]) -> Result<Option<String>, String> {
    let member = |name: &str| key.get(name).and_then(Node::text);
    let Some(kind) = member("kty") else {
        return Err("a JWK must have `kty`".to_owned());
    };
    if member("use").is_some_and(|usage| usage != "sig") {
        return Ok(None);
    }
    if kind == "oct" {
        return Err("a symmetric key has no place in a JWKS".to_owned());
    }
    let Some(sort) = KeyKind::of(kind, member("crv")) else {
        return Ok(None);
    };
    let needed: &[&str] = match sort {
        KeyKind::Rsa => &["e", "n"],
        KeyKind::Ed25519 => &["crv", "x"],
        KeyKind::P256 | KeyKind::P384 | KeyKind::Secret => &["crv", "x", "y"],
    };
    let mut fitting = algorithms.iter().filter(|listed| listed.key_kind() == sort);
    let algorithm = match member("alg") {
        Some(alg) => {
            let own = sort.algorithm(alg).filter(|own| algorithms.contains(own));
            let Some(own) = own else { return Ok(None) };
            Some(own)
        }
        // Without one of its own it is for those that its issuer lists.
        None => match (fitting.next(), fitting.next()) {
            (None, _) => return Ok(None),
            (only, None) => only.copied(),
            _ => None,
        },
    };
    let mut public = BTreeMap::from([("kty", kind)]);
    for name in needed {
        let Some(value) = member(name) else {
            return Err(format!("a JWK of type {kind} must have `{name}`"));
        };
        if *name != "crv"
            && !value
                .bytes()
                .all(|b| b.is_ascii_alphanumeric() || b"_-".contains(&b))
        {
            return Err(format!("`{name}` is not base64url"));
        }
        public.insert(name, value);
    }
    if let Some(algorithm) = algorithm {
        public.insert("alg", algorithm.name());
    }
    if let Some(id) = member("kid") {
        public.insert("kid", id);
    }
    let object = public
        .into_iter()
        .map(|(name, value)| (name.to_owned(), Json::from(value)))
        .collect();
    Ok(Some(json::text(&Json::Object(object))))
}
