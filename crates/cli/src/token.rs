//! `turnpike token`: a token of the development issuer, so that an operator can call the gateway
//! as one of its consumers before there is a real issuer.

use std::path::Path;

use base64ct::{Base64UrlUnpadded, Encoding as _};
use clap::Args;
use serde_json::{Map, Value};
use turnpike_policy::source::development::DevelopmentKey;
use turnpike_policy::{Binding, Compiled, Consumer, Issuer, Keys};

use crate::{Failure, say, tree};

/// Print a token of the development issuer for a consumer
///
/// The token is the only thing on standard output:
///
///   curl -H "Authorization: Bearer $(turnpike token --consumer mobile-app)" ...
///
/// It is signed with this machine's development key, and only environments whose policies name a
/// development issuer accept it.
#[derive(Debug, Args)]
#[command(verbatim_doc_comment)]
#[command(after_help = "\
Examples:
  turnpike token --consumer demo
  turnpike token --consumer demo --scope pets:write --claim department=stores")]
pub(crate) struct Arguments {
    #[command(flatten)]
    policies: tree::Policies,
    /// Whose token it is
    #[arg(long, value_name = "NAME")]
    consumer: String,
    /// The environment that it is for
    #[arg(long, value_name = "NAME", default_value = "dev")]
    env: String,
    /// A scope that it carries; may be repeated, or hold several with commas between them
    #[arg(long, value_name = "SCOPE", value_delimiter = ',', value_parser = tree::scope)]
    scope: Vec<String>,
    /// How long it is good for: 90s, 30m, 1h, 7d [default: 1h, or as long as the issuer allows]
    #[arg(long, value_name = "DURATION", value_parser = tree::seconds)]
    expires: Option<u64>,
    /// A claim that it carries: NAME=TEXT, or NAME:=JSON; may be repeated
    #[arg(long, value_name = "CLAIM", value_parser = claim)]
    claim: Vec<(String, Value)>,
}

const DEFAULT_LIFETIME: u64 = 60 * 60;
/// Claims that other arguments or the policies decide.
const DECIDED: [(&str, &str); 6] = [
    ("iss", "the policies name the issuer"),
    ("aud", "the policies name the audience"),
    ("exp", "use --expires"),
    ("iat", "it is the time at which the token is made"),
    ("jti", "each token has its own"),
    ("scope", "use --scope"),
];

pub(crate) fn claim(text: &str) -> Result<(String, Value), String> {
    let (name, value) = match text.split_once('=') {
        Some((name, json)) if name.ends_with(':') => {
            let value = serde_json::from_str(json)
                .map_err(|error| format!("what follows `:=` is not JSON: {error}"))?;
            (name.trim_end_matches(':'), value)
        }
        Some((name, text)) => (name, Value::from(text)),
        None => return Err("write NAME=TEXT, or NAME:=JSON".to_owned()),
    };
    if name.is_empty() {
        return Err("a claim has a name: write NAME=TEXT".to_owned());
    }
    if let Some((_, why)) = DECIDED.iter().find(|(decided, _)| *decided == name) {
        return Err(format!("`{name}` is not set so: {why}"));
    }
    Ok((name.to_owned(), value))
}

pub(crate) fn run(arguments: &Arguments) -> Result<(), Failure> {
    let root = arguments.policies.root()?;
    tree::has_environment(&root, &arguments.env)?;
    let outcome = tree::build(&root, &arguments.env, None)?;
    let compiled = outcome.callers(&root, &arguments.env).map_err(|stops| {
        say::findings(&stops);
        say::error("who calls cannot be said for sure: mend these first, then ask for a token");
        Failure::Findings
    })?;
    if outcome.compiled.is_none() {
        say::note("the policies have errors, but none about who calls: `turnpike check` shows them");
    }
    let place = format!("in the environment `{}`", arguments.env);
    let names = compiled.consumers.iter().map(|consumer| consumer.name.as_str());
    tree::find(&arguments.consumer, "consumer", names, &place)?;
    let key = tree::key()?;
    let (issuer, value) = identity((&root, compiled), &key, arguments)?;

    bound(issuer, arguments)?;
    let lifetime = lifetime(issuer, arguments.expires)?;
    let claims = claims(issuer, value, arguments, tree::now()? / 1000, lifetime)?;
    say::result(&sign(&key, claims))
        .map_err(|error| Failure::refused(format!("the token cannot be printed: {error}")))
}

/// The issuer whose key this is, and what its tokens say of the consumer.
fn identity<'a>(
    (root, compiled): (&Path, &'a Compiled),
    key: &DevelopmentKey,
    arguments: &Arguments,
) -> Result<(&'a Issuer, &'a str), Failure> {
    let Arguments { env, consumer, .. } = arguments;
    let ours: Vec<(usize, &Issuer)> = compiled
        .issuers
        .iter()
        .enumerate()
        .filter(|(_, issuer)| holds(issuer, key))
        .collect();
    let Some((_, first)) = ours.first() else {
        return Err(Failure::refused(format!(
            "the environment `{env}` has no development issuer, so it would take no token from here\n\
             if it is one that you work in, add an issuer with `jwks: development` to gateway.yaml"
        )));
    };
    let index = compiled
        .consumers
        .iter()
        .position(|known| known.name == *consumer);
    let found = compiled.identities.iter().find_map(|identity| {
        let place = usize::try_from(identity.issuer).ok()?;
        let (_, issuer) = ours.iter().find(|(at, _)| *at == place)?;
        let its = usize::try_from(identity.consumer).ok();
        (its == index).then_some((*issuer, identity.value.as_str()))
    });
    found.ok_or_else(|| {
        // The file is enough: the line is that of its grants.
        let origin = index
            .and_then(|at| compiled.consumers.get(at))
            .and_then(|Consumer { origin, .. }| origin.rsplit_once(':'))
            .map(|(file, _)| tree::place(root, file));
        Failure::refused(format!(
            "the consumer `{consumer}` has no token of the issuer `{issuer}` among its credentials\n\
             add this to them ({origin}):\n\n  - jwt: {{ issuer: {issuer}, is: {consumer} }}\n",
            issuer = first.name,
            origin = origin.as_deref().unwrap_or("its file"),
        ))
    })
}

/// Refuses a token that no gateway would take: one that is bound to nothing, of an issuer that must bind them.
fn bound(issuer: &Issuer, arguments: &Arguments) -> Result<(), Failure> {
    let said = arguments
        .claim
        .iter()
        .find(|(name, _)| name == "cnf")
        .map(|(_, cnf)| cnf);
    for (rule, binding, member, what) in [
        ("dpop", issuer.dpop, "jkt", "a key"),
        (
            "certificate_bound",
            issuer.certificate_bound,
            "x5t#S256",
            "a certificate",
        ),
    ] {
        let there = said.is_some_and(|cnf| cnf.get(member).is_some());
        if binding == Binding::Required && !there {
            return Err(Failure::refused(format!(
                "the issuer `{}` has `{rule}: required`: its tokens are bound to {what}\n\
                 say to which: --claim 'cnf:={{\"{member}\":\"<thumbprint>\"}}'",
                issuer.name
            )));
        }
    }
    Ok(())
}

/// Whether an issuer's keys are this one.
fn holds(issuer: &Issuer, key: &DevelopmentKey) -> bool {
    let Keys::Inline(keys) = &issuer.keys else {
        return false;
    };
    let x = |jwk: &str| -> Option<Value> {
        let jwk: Value = serde_json::from_str(jwk).ok()?;
        jwk.get("x")
            .filter(|_| jwk.get("crv").is_some_and(|crv| crv == "Ed25519"))
            .cloned()
    };
    let ours = x(&key.public_jwk());
    ours.is_some() && keys.iter().any(|jwk| x(jwk) == ours)
}

fn lifetime(issuer: &Issuer, asked: Option<u64>) -> Result<u64, Failure> {
    match (asked, issuer.max_lifetime.map(u64::from)) {
        (Some(asked), Some(most)) if asked > most => Err(Failure::refused(format!(
            "the issuer `{}` allows {most}s at most (its `max_lifetime`), not {asked}s",
            issuer.name
        ))),
        (Some(asked), _) => Ok(asked),
        (None, most) => Ok(most.unwrap_or(DEFAULT_LIFETIME).min(DEFAULT_LIFETIME)),
    }
}

/// The claims of an access token (RFC 9068).
fn claims(
    issuer: &Issuer,
    value: &str,
    arguments: &Arguments,
    now: u64,
    lifetime: u64,
) -> Result<Map<String, Value>, Failure> {
    let mut random = [0; 16];
    getrandom::fill(&mut random)
        .map_err(|error| Failure::refused(format!("the system gives no randomness: {error}")))?;
    let mut claims = Map::new();
    claims.insert("sub".to_owned(), value.into());
    claims.insert("client_id".to_owned(), value.into());
    for (name, value) in &arguments.claim {
        if *name == issuer.consumer_claim {
            return Err(Failure::refused(format!(
                "the claim `{name}` names the consumer: use --consumer"
            )));
        }
        claims.insert(name.clone(), value.clone());
    }
    claims.insert(issuer.consumer_claim.clone(), value.into());
    claims.insert("iss".to_owned(), issuer.issuer.clone().into());
    claims.insert("aud".to_owned(), issuer.audience.first().cloned().into());
    claims.insert("iat".to_owned(), now.into());
    claims.insert("exp".to_owned(), now.saturating_add(lifetime).into());
    claims.insert("jti".to_owned(), Base64UrlUnpadded::encode_string(&random).into());
    if !arguments.scope.is_empty() {
        claims.insert("scope".to_owned(), arguments.scope.join(" ").into());
    }
    Ok(claims)
}

/// The compact serialization of RFC 7515.
fn sign(key: &DevelopmentKey, claims: Map<String, Value>) -> String {
    let header = format!(r#"{{"alg":"EdDSA","kid":"{}","typ":"at+jwt"}}"#, key.kid());
    let claims = Value::Object(claims).to_string();
    let input = format!(
        "{}.{}",
        Base64UrlUnpadded::encode_string(header.as_bytes()),
        Base64UrlUnpadded::encode_string(claims.as_bytes())
    );
    let signature = Base64UrlUnpadded::encode_string(&key.sign(input.as_bytes()));
    format!("{input}.{signature}")
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn claims_are_text_or_json() {
        assert_eq!(claim("a=b=c"), Ok(("a".to_owned(), json!("b=c"))));
        assert_eq!(claim("a=1"), Ok(("a".to_owned(), json!("1"))));
        assert_eq!(claim("a:=1"), Ok(("a".to_owned(), json!(1))));
        assert_eq!(claim("a:=[\"x\"]"), Ok(("a".to_owned(), json!(["x"]))));
        assert_eq!(claim("urn:a:b=c"), Ok(("urn:a:b".to_owned(), json!("c"))));
        for wrong in ["", "a", "=b", ":=1", "a:=x", "exp=1", "iss=x", "scope=y"] {
            assert!(claim(wrong).is_err(), "{wrong}");
        }
    }
}
