//! Whose tokens an endpoint takes, by its `auth/validator`.

use std::collections::BTreeSet;

use serde_json::{Map, Value as Json};

use super::super::names::named;
use super::super::{Import, Issuer, text, texts};

/// The algorithms of public keys.
const ASYMMETRIC: [&str; 9] = [
    "RS256", "RS384", "RS512", "PS256", "PS384", "PS512", "ES256", "ES384", "EdDSA",
];

/// Reads it; gives the scopes that a caller needs.
pub(super) fn validator(at: &str, config: &Json, import: &mut Import) -> Vec<String> {
    // Before version 3 some of the names had a hyphen.
    let members = config.as_object().into_iter().flatten();
    let config: Map<String, Json> = members
        .map(|(name, value)| (name.replace('-', "_"), value.clone()))
        .collect();
    let config = &Json::Object(config);
    let known = [
        "alg",
        "jwk_url",
        "issuer",
        "audience",
        "scopes",
        "scopes_matcher",
        "scopes_key",
    ];
    // How keys are kept and fetched is the gateway's own affair; these keys are fetched with TLS.
    let kept = [
        "cache",
        "cache_duration",
        "disable_jwk_security",
        "jwk_local_path",
    ];
    let told = [
        "roles",
        "roles_key",
        "roles_key_is_nested",
        "propagate_claims",
        "cookie_key",
        "auth_header_name",
    ];
    import.rest(at, config, &[&known[..], &kept[..], &told[..]].concat());
    for (fields, why) in [
        (
            &["roles", "roles_key", "roles_key_is_nested"][..],
            "roles are a condition on claims: write `when` of an operation, as `'admin' in claims.roles`",
        ),
        (
            &["propagate_claims"][..],
            "what the upstream is told of the caller is `upstream_headers` of the API: `{ x-user: claims.sub }`",
        ),
        (
            &["cookie_key", "auth_header_name"][..],
            "tokens come in `Authorization: Bearer`, never in a cookie",
        ),
    ] {
        let field = fields
            .iter()
            .find(|field| config.get(**field).is_some_and(|value| !value.is_null()));
        if let Some(field) = field {
            import.leave(format!("{at}.{field}"), why);
        }
    }
    issuer(at, config, import);
    let scopes = texts(config, "scopes");
    if let Some(key) =
        text(config, "scopes_key").filter(|key| !["scope", "scp"].contains(key) && !scopes.is_empty())
    {
        import.leave(
            format!("{at}.scopes_key"),
            format!(
                "scopes are read of the claims `scope` and `scp`, not of `{}`",
                super::shown(key)
            ),
        );
        return Vec::new();
    }
    if scopes.len() > 1 && text(config, "scopes_matcher") != Some("all") {
        import.leave(
            format!("{at}.scopes"),
            "any one of them was enough; here a caller has all that are named",
        );
        return Vec::new();
    }
    scopes
}

fn issuer(at: &str, config: &Json, import: &mut Import) {
    let algorithm = text(config, "alg").unwrap_or("RS256");
    let mut audience = texts(config, "audience");
    audience.sort();
    audience.dedup();
    let (Some(name), Some(jwks)) = (text(config, "issuer"), text(config, "jwk_url")) else {
        import.leave(
            at,
            "an issuer needs `issuer` and `jwk_url`: without them nothing says whose tokens are taken; write it in \
             `issuers` of gateway.yaml",
        );
        return;
    };
    let right = ASYMMETRIC.contains(&algorithm);
    if !right || audience.is_empty() || !jwks.starts_with("https://") {
        import.leave(
            at,
            "an issuer needs an `audience`, a `jwk_url` with TLS, and an algorithm of public keys such as RS256: write \
             it in `issuers` of gateway.yaml",
        );
        return;
    }
    if let Some(known) = import.issuers.iter().find(|known| known.issuer == name) {
        let same = known.audience == audience && known.algorithm == algorithm && known.jwks == jwks;
        if !same {
            import.leave(
                at,
                "an issuer is written once, for all APIs: audience, algorithm and keys are those of the endpoint that \
                 came first",
            );
        }
        return;
    }
    let mut taken: BTreeSet<String> = import.issuers.iter().map(|known| known.name.clone()).collect();
    let host = name.split_once("://").map_or(name, |(_, rest)| rest);
    let host = host.split(['/', ':']).next().unwrap_or(host);
    let issuer = Issuer {
        name: named(host, &mut taken),
        issuer: name.to_owned(),
        audience,
        algorithm: algorithm.to_owned(),
        jwks: jwks.to_owned(),
    };
    import.issuers.push(issuer);
}
