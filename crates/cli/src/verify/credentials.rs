//! Credentials that nobody was given, each in a place where one may stand in a request.

use base64ct::{Base64UrlUnpadded, Encoding as _};
use serde_json::{Value as Json, json};
use sha2::{Digest as _, Sha256};
use tempfile::TempDir;
use turnpike_policy::source::development::{self, DevelopmentKey};
use turnpike_policy::{Algorithm, Binding, Compiled, Issuer, Keys, Timestamp};

use crate::Failure;
use crate::play::{Mint, Request};
use crate::words;

/// Who a made-up token is of.
const NOBODY: &str = "turnpike-verify";
/// How long one lives, in seconds, unless its issuer allows less.
const LIFETIME: u64 = 60;

/// A credential that opens nothing.
pub(super) struct Credential {
    /// What it is, as it follows `with`.
    pub(super) what: String,
    /// The issuer in whose name it is, by its place in [`Compiled::issuers`]: its keys tell that it is forged.
    pub(super) issuer: Option<usize>,
    place: Place,
}

/// Where it stands.
enum Place {
    Nowhere,
    Header(String, String),
    /// Behind a parameter of the query.
    Query(String),
    /// Behind `Authorization: Bearer`.
    Token(Token),
    /// Behind `Authorization: DPoP`, beside a proof by this key.
    Proven(Token, Box<ProofKey>),
}

impl Credential {
    fn new(what: impl Into<String>, place: Place) -> Self {
        Self {
            what: what.into(),
            issuer: None,
            place,
        }
    }

    fn bearer(what: impl Into<String>, value: &str) -> Self {
        let place = Place::Header("authorization".to_owned(), format!("Bearer {value}"));
        Self::new(what, place)
    }

    fn of(self, issuer: usize) -> Self {
        Self {
            issuer: Some(issuer),
            ..self
        }
    }

    /// A request with it, of one that has none. Tokens and proofs are made for each, so that none is too old when it
    /// is its turn; `number` is another one for each.
    pub(super) fn in_request(&self, request: &Request, number: usize, now: Timestamp) -> Request {
        let mut request = request.clone();
        let mut header = |name: &str, value| request.headers.push((name.to_owned(), value));
        match &self.place {
            Place::Nowhere => {}
            Place::Header(name, value) => header(name, value.clone()),
            Place::Query(pair) => {
                request.url.push('?');
                request.url.push_str(pair);
            }
            Place::Token(token) => header("authorization", format!("Bearer {}", token.text(now))),
            Place::Proven(token, key) => {
                let token = token.text(now);
                let proof = key.prove(&token, (&request.method, &request.url), number, now);
                request
                    .headers
                    .push(("authorization".to_owned(), format!("DPoP {token}")));
                request.headers.push(("dpop".to_owned(), proof));
            }
        }
        request
    }
}

/// A key of nobody's, to prove that a token is one's own (RFC 9449).
struct ProofKey(DevelopmentKey);

impl ProofKey {
    /// A new one. It is never kept.
    fn new() -> Result<Self, Failure> {
        let cannot = |error: &dyn std::fmt::Display| {
            Failure::refused(format!("no key can be made to prove with: {error}"))
        };
        let folder = TempDir::new().map_err(|error| cannot(&error))?;
        let key = development::ensure(&folder.path().join("proof.json")).map_err(|error| cannot(&error))?;
        Ok(Self(key))
    }

    /// Its proof for a request with a token.
    fn prove(&self, token: &str, (method, url): (&str, &str), number: usize, now: Timestamp) -> String {
        let public: Json = serde_json::from_str(&self.0.public_jwk()).unwrap_or_default();
        let header = json!({
            "typ": "dpop+jwt", "alg": "EdDSA",
            "jwk": { "kty": public.get("kty"), "crv": public.get("crv"), "x": public.get("x") },
        });
        let claims = json!({
            "htm": method, "htu": url, "iat": now / 1000, "jti": format!("{NOBODY}-{number}"),
            "ath": Base64UrlUnpadded::encode_string(&Sha256::digest(token)),
        });
        let input = format!("{}.{}", part(&header), part(&claims));
        let signature = self.0.sign(input.as_bytes());
        format!("{input}.{}", Base64UrlUnpadded::encode_string(&signature))
    }
}

fn part(json: &Json) -> String {
    Base64UrlUnpadded::encode_string(json.to_string().as_bytes())
}

/// Random bytes, as base64url.
fn random(length: usize) -> Result<String, Failure> {
    let mut bytes = vec![0_u8; length];
    getrandom::fill(&mut bytes).map_err(|error| Failure::refused(format!("no random numbers: {error}")))?;
    Ok(Base64UrlUnpadded::encode_string(&bytes))
}

/// Every one that is to be tried.
pub(super) fn all(compiled: &Compiled, now: Timestamp) -> Result<Vec<Credential>, Failure> {
    let mut all = vec![
        Credential::new("no credential", Place::Nowhere),
        Credential::bearer("a malformed credential", "eyJhbGciOiJub25lIn0.e30"),
    ];
    all.extend(keys(compiled, now)?);
    let stranger = Token {
        algorithm: Algorithm::ES256,
        id: None,
        issuer: "https://foreign.invalid/".to_owned(),
        audience: "foreign".to_owned(),
        consumer: "client_id".to_owned(),
        lifetime: LIFETIME,
        jkt: None,
        signature: random(64)?,
    };
    all.push(Credential::new(
        "a token of a foreign issuer",
        Place::Token(stranger),
    ));
    for (index, issuer) in compiled.issuers.iter().enumerate() {
        let forged = forged(issuer)?;
        all.extend(forged.into_iter().map(|credential| credential.of(index)));
    }
    Ok(all)
}

/// What is not tried, and why.
pub(super) fn left_out(compiled: &Compiled) -> Vec<String> {
    let mut left = Vec::new();
    if compiled.client_certificates {
        let of =
            |index: u32| words::at(&compiled.consumers, index).map(|consumer| format!("`{}`", consumer.name));
        let mut known: Vec<_> = compiled
            .certificates
            .iter()
            .filter_map(|one| of(one.consumer))
            .collect();
        known.sort();
        known.dedup();
        let bound = compiled
            .issuers
            .iter()
            .filter(|issuer| issuer.certificate_bound != Binding::Refused);
        let bound: Vec<_> = bound.map(|issuer| format!("`{}`", issuer.name)).collect();
        let mut whose = Vec::new();
        if !known.is_empty() {
            whose.push(format!("of {}", words::list(&known)));
        }
        if !bound.is_empty() {
            whose.push(format!("to which tokens of {} are bound", words::list(&bound)));
        }
        left.push(format!(
            "client certificates ({}): a foreign one cannot be shown from here, as the platform verifies it before the \
             gateway; `turnpike test` plays them",
            whose.join(", ")
        ));
    }
    for issuer in compiled
        .issuers
        .iter()
        .filter(|issuer| issuer.introspection.is_some())
    {
        left.push(format!(
            "opaque tokens of `{}`: the gateway would ask it about each that is made up",
            issuer.name
        ));
    }
    left
}

/// API keys, malformed and of nobody, in each place where the policies take one.
fn keys(compiled: &Compiled, now: Timestamp) -> Result<Vec<Credential>, Failure> {
    let known = &compiled.gateway.api_keys;
    let nobody = format!("tpk_{NOBODY}_{}", random(32)?);
    let mut all = vec![Credential::bearer("a key that nobody has", &nobody)];
    for (kind, key) in [
        ("a malformed key", "tpk_malformed"),
        ("a key that nobody has", nobody.as_str()),
    ] {
        for header in &known.headers {
            let place = Place::Header(header.clone(), key.to_owned());
            all.push(Credential::new(format!("{kind} in `{header}`"), place));
        }
        for scheme in &known.schemes {
            let place = Place::Header("authorization".to_owned(), format!("{scheme} {key}"));
            all.push(Credential::new(
                format!("{kind} behind `Authorization: {scheme}`"),
                place,
            ));
        }
        // Past its day a parameter is none that a credential may stand in.
        for name in known.query.iter().filter(|_| now < known.query_until) {
            let place = Place::Query(format!("{name}={key}"));
            all.push(Credential::new(
                format!("{kind} in the parameter `{name}`"),
                place,
            ));
        }
    }
    Ok(all)
}

/// Tokens in the name of an issuer that is trusted, signed by nobody it knows; where it binds tokens to keys, with
/// proofs too.
fn forged(issuer: &Issuer) -> Result<Vec<Credential>, Failure> {
    // Its tokens are all opaque, or it has no key that fits.
    let Ok((algorithm, id, length)) = Mint::signing(issuer) else {
        return Ok(Vec::new());
    };
    let token = Token {
        algorithm,
        // Of fetched keys it is not known what they are called.
        id: id.filter(|_| matches!(issuer.keys, Keys::Inline(_))),
        issuer: issuer.issuer.clone(),
        audience: issuer.audience.first().cloned().unwrap_or_default(),
        consumer: issuer.consumer_claim.clone(),
        lifetime: issuer.max_lifetime.map_or(LIFETIME, u64::from).min(LIFETIME),
        jkt: None,
        signature: random(length)?,
    };
    let named = format!("a forged token of `{}`", issuer.name);
    let mut all = vec![Credential::new(named.clone(), Place::Token(token.clone()))];
    if issuer.dpop != Binding::Refused {
        let (its, other) = (ProofKey::new()?, ProofKey::new()?);
        let bound = Token {
            jkt: Some(its.0.kid().to_owned()),
            ..token
        };
        all.push(Credential::new(
            format!("{named} and the proof of another key"),
            Place::Proven(bound.clone(), Box::new(other)),
        ));
        all.push(Credential::new(
            format!("{named} and a proof of its key"),
            Place::Proven(bound, Box::new(its)),
        ));
    }
    Ok(all)
}

/// A made-up token: all but when it is issued.
#[derive(Clone)]
struct Token {
    algorithm: Algorithm,
    id: Option<String>,
    issuer: String,
    audience: String,
    /// The claim that names the consumer.
    consumer: String,
    lifetime: u64,
    /// The key to which it is bound.
    jkt: Option<String>,
    /// A signature that has the form of one.
    signature: String,
}

impl Token {
    fn text(&self, now: Timestamp) -> String {
        let seconds = now / 1000;
        let mut header = json!({ "alg": self.algorithm.name(), "typ": "at+jwt" });
        let mut claims = json!({
            "iss": self.issuer, "aud": self.audience, "sub": NOBODY,
            "iat": seconds, "exp": seconds.saturating_add(self.lifetime),
        });
        if let (Some(header), Some(id)) = (header.as_object_mut(), &self.id) {
            header.insert("kid".to_owned(), id.clone().into());
        }
        if let Some(claims) = claims.as_object_mut() {
            claims.insert(self.consumer.clone(), NOBODY.into());
            if let Some(jkt) = &self.jkt {
                claims.insert("cnf".to_owned(), json!({ "jkt": jkt }));
            }
        }
        format!("{}.{}.{}", part(&header), part(&claims), self.signature)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The probes of a large tree take longer than a token lives.
    #[test]
    fn tokens_and_proofs_are_of_the_moment_at_which_they_are_sent() {
        let token = Token {
            algorithm: Algorithm::ES256,
            id: None,
            issuer: "https://a.example".to_owned(),
            audience: "a".to_owned(),
            consumer: "client_id".to_owned(),
            lifetime: 30,
            jkt: None,
            signature: random(64).unwrap(),
        };
        let claims = |token: &str| -> Json {
            let part = token.split('.').nth(1).unwrap();
            serde_json::from_slice(&Base64UrlUnpadded::decode_vec(part).unwrap()).unwrap()
        };
        let request = Request {
            method: "GET".to_owned(),
            url: "https://a.example/x".to_owned(),
            ..Request::default()
        };
        let credential = Credential::new("a", Place::Proven(token, Box::new(ProofKey::new().unwrap())));
        for (number, seconds) in [(0, 1_800_000_000), (1, 1_800_003_600)] {
            let sent = credential.in_request(&request, number, seconds * 1000).headers;
            let (token, proof) = (claims(&sent[0].1), claims(&sent[1].1));
            assert_eq!(
                (&token["iat"], &token["exp"]),
                (&seconds.into(), &(seconds + 30).into())
            );
            assert_eq!(proof["iat"], seconds);
            assert_eq!(proof["jti"], format!("{NOBODY}-{number}"));
        }
    }
}
