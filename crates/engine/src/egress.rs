//! What the gateway sends an upstream as its own credential: never anything of the client's, and of a secret
//! only its name.
//!
//! A token that the gateway signs says who calls: the `consumer`, and `sub` with who vouches for it (`sub_id`,
//! RFC 9493), as two issuers may mean two people by one `sub`. Two requests of one caller are told by the same
//! text, so that whoever signs can use a signature again.

use serde_json::{Map, Value as Json, json};
use turnpike_policy::{ClaimKind, Compiled, CredentialValue, SignedToken, UpstreamCredential};

use crate::error::{Code, Refusal};
use crate::identify::{ClaimValue, Principal};
use crate::look;
use crate::step::{Carried, Value};

/// The most bytes of a token's claims.
const MAX_CLAIMS: usize = 4096;

/// A policy's credential for one call.
pub(crate) fn carried(
    policy: &Compiled,
    credential: &UpstreamCredential,
    caller: Option<&Principal>,
) -> Result<Carried, Refusal> {
    let value = match &credential.value {
        CredentialValue::Secret(name) => Value::Secret(name.clone()),
        CredentialValue::Signed(token) => signed(policy, token, caller)?,
        CredentialValue::Granted(token) => Value::Granted(token.clone()),
    };
    Ok(Carried {
        header: credential.header.clone(),
        prefix: credential.prefix.clone(),
        value,
    })
}

fn signed(policy: &Compiled, token: &SignedToken, caller: Option<&Principal>) -> Result<Value, Refusal> {
    let signing = policy.gateway.signing.as_ref();
    let signing = signing.ok_or_else(|| look::broken("the bundle has nothing to sign with"))?;
    let mut claims = Map::new();
    let mut numbers = String::new();
    if let Some(caller) = caller {
        for repeated in &token.claims {
            match caller.declared(policy, &repeated.claim) {
                // Not by way of a number, which might not have all of its digits.
                Some((ClaimKind::Number, ClaimValue::Number(text))) => {
                    let name = Json::from(repeated.name.as_str()).to_string();
                    numbers.extend([",", &name, ":", text]);
                }
                Some((kind, value)) => {
                    claims.extend(json_of(kind, value).map(|value| (repeated.name.clone(), value)));
                }
                None => {}
            }
        }
        let consumer = look::consumer(policy, caller.consumer())?;
        claims.insert("consumer".to_owned(), consumer.name.as_str().into());
        claims.insert("sub".to_owned(), caller.subject().into());
        let place = caller.issuer().and_then(|issuer| usize::try_from(issuer).ok());
        let issuer = place.and_then(|place| policy.issuers.get(place));
        let id = match issuer {
            Some(issuer) => json!({ "format": "iss_sub", "iss": issuer.issuer, "sub": caller.subject() }),
            // The public part of an API key.
            None => json!({ "format": "opaque", "id": caller.subject() }),
        };
        claims.insert("sub_id".to_owned(), id);
    }
    claims.insert("iss".to_owned(), signing.issuer.as_str().into());
    claims.insert("aud".to_owned(), token.audience.as_str().into());
    let mut claims = Json::Object(claims).to_string();
    claims.insert_str(claims.len().saturating_sub(1), &numbers);
    if claims.len() > MAX_CLAIMS {
        let detail = "The token says more than can be passed on.";
        let why = format!("the token for the upstream would have claims of more than {MAX_CLAIMS} bytes");
        return Err(Refusal::new(Code::HeaderTooLarge, detail).because(why));
    }
    Ok(Value::Signed {
        algorithm: signing.algorithm,
        key: signing.key.clone(),
        claims,
        lifetime: token.lifetime,
    })
}

/// What a token says, where it is of the kind that its issuer declares; no number.
fn json_of(kind: ClaimKind, value: &ClaimValue) -> Option<Json> {
    match (kind, value) {
        (ClaimKind::Text, ClaimValue::Text(text)) => Some(text.as_str().into()),
        (ClaimKind::Flag, ClaimValue::Flag(flag)) => Some((*flag).into()),
        (ClaimKind::Texts, ClaimValue::Texts(texts)) => Some(texts.clone().into()),
        _ => None,
    }
}
