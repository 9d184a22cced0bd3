//! Credentials of consumers, for a gateway that is played.
//!
//! No real secret is needed, and no phase is left out. A token is made as the consumer's own issuer
//! would make it (its `iss`, audience, algorithm, consumer claim, lifetime) and goes through all of
//! `identify`. The one thing that is played is the signature: in the Worker WebCrypto says whether
//! one is right; here [`Mint`] does, and holds right what it has signed itself. An HMAC issuer's
//! secret, and a consumer's API key, are replaced by ones that were made up for this run.

use std::collections::{BTreeMap, BTreeSet};

use base64ct::{Base64UrlUnpadded, Encoding as _};
use hmac::Hmac;
use serde_json::{Map, Value as Json, json};
use sha2::{Digest as _, Sha256, Sha384, Sha512};
use turnpike_policy::source::Caller;
use turnpike_policy::{
    Algorithm, Binding, CertificateName, Compiled, Identity, Issuer, KeyKind, Keys, Timestamp, hex,
};

use super::certificate::Certificate;

/// How long a token lives, in seconds, unless its issuer allows less.
const LIFETIME: u64 = 300;
const KEY_ID: &str = "turnpike-test";

/// Makes credentials, and knows them again.
pub(crate) struct Mint {
    random: [u8; 32],
    /// The key of each consumer that has one, by its index.
    keys: BTreeMap<u32, String>,
    /// How many proofs were made.
    proofs: u64,
    /// What issuers say of the opaque tokens that were made.
    opaque: BTreeMap<String, Json>,
}

/// What a consumer calls with.
pub(super) struct Credential {
    /// The scheme of `Authorization`, and what follows it; none: the certificate is all.
    pub(super) authorization: Option<(&'static str, String)>,
    /// What is sent as `DPoP`.
    pub(super) proof: Option<String>,
    /// The certificate of its connection.
    pub(super) certificate: Option<Certificate>,
}

impl Credential {
    fn bearer(value: String) -> Self {
        Self {
            authorization: Some(("Bearer", value)),
            proof: None,
            certificate: None,
        }
    }
}

impl Mint {
    pub(crate) fn new(compiled: &Compiled) -> Result<Self, String> {
        let mut random = [0; 32];
        getrandom::fill(&mut random).map_err(|error| format!("the system gives no randomness: {error}"))?;
        let mut mint = Self {
            random,
            keys: BTreeMap::new(),
            proofs: 0,
            opaque: BTreeMap::new(),
        };
        for key in &compiled.keys {
            if !mint.keys.contains_key(&key.consumer) {
                let secret = hex(&mint.tag(&[b"key", &key.consumer.to_be_bytes()], 20));
                mint.keys.insert(key.consumer, format!("tpk_test_{secret}"));
            }
        }
        Ok(mint)
    }

    /// Puts the made-up keys in the place of the real ones. When they end and what they may do stays.
    pub(super) fn take_over(&self, compiled: &mut Compiled) {
        let mut mine = self.keys.clone();
        for key in &mut compiled.keys {
            if let Some(text) = mine.remove(&key.consumer) {
                key.sha256 = Sha256::digest(text.as_bytes()).into();
            }
        }
        compiled.keys.sort_by_key(|key| key.sha256);
        let mut done = BTreeSet::new();
        for known in &mut compiled.certificates {
            if let CertificateName::Key(hash) = &mut known.by
                && done.insert(known.consumer)
            {
                *hash = self.certificate(known.consumer, "", "").key_hash();
            }
        }
        compiled.certificates.sort_by(|a, b| a.by.cmp(&b.by));
    }

    /// A made-up certificate of a consumer.
    fn certificate(&self, consumer: u32, subject: &str, issuer: &str) -> Certificate {
        let key = self.tag(&[b"certificate", &consumer.to_be_bytes()], 32);
        Certificate::new(&key, subject, issuer)
    }

    /// The certificate of a consumer that is known by one.
    fn own_certificate(&self, policy: &Compiled, consumer: u32) -> Option<Certificate> {
        let mine = self.certificate(consumer, "", "").key_hash();
        let mut listed = policy
            .certificates
            .iter()
            .filter(|known| known.consumer == consumer);
        listed.find_map(|known| match &known.by {
            CertificateName::Key(hash) => (*hash == mine).then(|| self.certificate(consumer, "", "")),
            CertificateName::Subject(issuer, subject) => Some(self.certificate(consumer, subject, issuer)),
        })
    }

    /// The made-up value of a Worker secret: text, as each is. Bytes may begin as a key in JSON does, which is none.
    pub(super) fn secret(&self, name: &str) -> Vec<u8> {
        hex(&self.tag(&[b"secret", name.as_bytes()], 32)).into_bytes()
    }

    /// Whether a signature is one of its own.
    pub(super) fn verify(&self, algorithm: Algorithm, input: &[u8], signature: &[u8]) -> bool {
        self.tag(
            &[b"signature", algorithm.name().as_bytes(), input],
            signature.len(),
        ) == signature
    }

    /// The key set that is fetched for an issuer.
    pub(super) fn key_set(&self, policy: &Compiled, url: &str) -> Vec<u8> {
        let mut issuers = policy.issuers.iter();
        let issuer = issuers.find(|issuer| match &issuer.keys {
            Keys::Url(known) => known == url,
            Keys::Discovered { url: known, .. } => url == known || url == keys_of(known),
            Keys::Inline(_) | Keys::Secret(_) => false,
        });
        if let Some(issuer) = issuer
            && let Keys::Discovered { url: known, .. } = &issuer.keys
            && known == url
        {
            let metadata = json!({ "issuer": issuer.issuer, "jwks_uri": keys_of(url) });
            return metadata.to_string().into_bytes();
        }
        let algorithm = issuer.and_then(|issuer| issuer.algorithms.first().copied());
        let key = algorithm.map(|algorithm| self.public(algorithm));
        json!({ "keys": Vec::from_iter(key) }).to_string().into_bytes()
    }

    /// A public key that fits an algorithm, and nothing else: nobody has its private half.
    fn public(&self, algorithm: Algorithm) -> Json {
        let number = |name: &str, length| {
            let mut bytes = self.tag(&[b"public", name.as_bytes()], length);
            if let Some(first) = bytes.first_mut() {
                *first |= 0x80;
            }
            if let Some(last) = bytes.last_mut() {
                *last |= 1;
            }
            Base64UrlUnpadded::encode_string(&bytes)
        };
        let curve = |name, size| json!({ "kty": "EC", "crv": name, "kid": KEY_ID, "x": number("x", size), "y": number("y", size) });
        match algorithm.key_kind() {
            KeyKind::Rsa => json!({ "kty": "RSA", "kid": KEY_ID, "n": number("n", 256), "e": "AQAB" }),
            KeyKind::P256 => curve("P-256", 32),
            KeyKind::P384 => curve("P-384", 48),
            KeyKind::Ed25519 | KeyKind::Secret => {
                json!({ "kty": "OKP", "crv": "Ed25519", "kid": KEY_ID, "x": number("x", 32) })
            }
        }
    }

    /// A credential of a consumer.
    pub(super) fn credential(
        &mut self,
        policy: &Compiled,
        (caller, method, url): (&Caller, &str, &str),
        now: Timestamp,
    ) -> Result<Credential, String> {
        let name = &caller.consumer;
        let index = policy
            .consumers
            .iter()
            .position(|consumer| consumer.name == *name)
            .and_then(|index| u32::try_from(index).ok())
            .ok_or_else(|| format!("there is no consumer `{name}`"))?;
        let token = policy.identities.iter().find_map(|identity| {
            let issuer = policy.issuers.get(usize::try_from(identity.issuer).ok()?)?;
            let wanted = caller.with.as_ref().is_none_or(|with| *with == issuer.name);
            (identity.consumer == index && wanted).then_some((issuer, identity))
        });
        let by = |kind: &str| caller.with.as_deref().is_none_or(|with| with == kind);
        if let Some((issuer, identity)) = token {
            return self.bound(issuer, identity, (caller, method, url), now);
        }
        let key = self.keys.get(&index).filter(|_| by("key"));
        let certificate = self.own_certificate(policy, index).filter(|_| by("certificate"));
        let bare = caller.scopes.is_empty() && caller.claims.is_empty();
        match (key, certificate) {
            (Some(key), _) if bare => Ok(Credential::bearer(key.clone())),
            (None, Some(certificate)) if bare => Ok(Credential {
                authorization: None,
                proof: None,
                certificate: Some(certificate),
            }),
            (Some(_), _) => Err(format!(
                "`{name}` calls with an API key, which has no scopes and claims but those of its policy"
            )),
            (None, Some(_)) => Err(format!(
                "`{name}` calls with a certificate, which has no scopes and claims but those of its policy"
            )),
            _ => Err(match &caller.with {
                Some(with) => format!("the consumer `{name}` has no credential `{with}` here"),
                None => format!("the consumer `{name}` has no credential here and can never call"),
            }),
        }
    }

    /// A token, with the proof and the certificate that its issuer's rules want beside it.
    fn bound(
        &mut self,
        issuer: &Issuer,
        identity: &Identity,
        (caller, method, url): (&Caller, &str, &str),
        now: Timestamp,
    ) -> Result<Credential, String> {
        let mut cnf = Map::new();
        let x = Base64UrlUnpadded::encode_string(&self.tag(&[b"proof"], 32));
        let key = format!(r#"{{"crv":"Ed25519","kty":"OKP","x":"{x}"}}"#);
        let text = |hash: [u8; 32]| Json::from(Base64UrlUnpadded::encode_string(&hash));
        let by_key = issuer.dpop == Binding::Required;
        if by_key {
            cnf.insert("jkt".to_owned(), text(Sha256::digest(&key).into()));
        }
        let certificate = (issuer.certificate_bound == Binding::Required)
            .then(|| self.certificate(identity.consumer, "", ""));
        if let Some(certificate) = &certificate {
            cnf.insert("x5t#S256".to_owned(), text(certificate.thumbprint()));
        }
        let token = self.token(issuer, identity, (caller, cnf), now)?;
        let proof = by_key.then(|| {
            self.proofs += 1;
            let header = format!(r#"{{"alg":"EdDSA","jwk":{key},"typ":"dpop+jwt"}}"#);
            let claims = json!({
                "htm": method, "htu": url.split(['?', '#']).next(), "iat": now / 1000, "jti": self.proofs.to_string(),
                "ath": text(Sha256::digest(&token).into()),
            });
            let part = |text: &str| Base64UrlUnpadded::encode_string(text.as_bytes());
            let input = format!("{}.{}", part(&header), part(&claims.to_string()));
            let signature = self.tag(&[b"signature", b"EdDSA", input.as_bytes()], 64);
            format!("{input}.{}", Base64UrlUnpadded::encode_string(&signature))
        });
        let scheme = if by_key { "DPoP" } else { "Bearer" };
        Ok(Credential {
            authorization: Some((scheme, token)),
            proof,
            certificate,
        })
    }

    /// What an issuer says that is asked about a token by this form (RFC 7662).
    pub(super) fn introspect(&self, form: &str) -> Vec<u8> {
        let token = form.split('&').find_map(|pair| pair.strip_prefix("token="));
        let plain = |token: &str| token.replace("%2B", "+").replace("%2F", "/").replace("%3D", "=");
        let said = token.and_then(|token| self.opaque.get(&plain(token)));
        said.map_or_else(|| json!({ "active": false }), Clone::clone)
            .to_string()
            .into_bytes()
    }

    fn token(
        &mut self,
        issuer: &Issuer,
        identity: &Identity,
        (caller, cnf): (&Caller, Map<String, Json>),
        now: Timestamp,
    ) -> Result<String, String> {
        let (value, client) = (identity.value.as_str(), identity.client.as_deref());
        let seconds = now / 1000;
        let lifetime = issuer.max_lifetime.map_or(LIFETIME, u64::from).min(LIFETIME);
        let mut claims = Map::new();
        claims.insert("iss".to_owned(), issuer.issuer.clone().into());
        claims.insert("aud".to_owned(), issuer.audience.first().cloned().into());
        claims.insert("iat".to_owned(), seconds.into());
        claims.insert("exp".to_owned(), seconds.saturating_add(lifetime).into());
        claims.insert("sub".to_owned(), value.into());
        if let Some(client) = client {
            claims.insert("client_id".to_owned(), client.into());
        }
        claims.insert(issuer.consumer_claim.clone(), value.into());
        if !caller.scopes.is_empty() {
            claims.insert("scope".to_owned(), caller.scopes.join(" ").into());
        }
        if !cnf.is_empty() {
            claims.insert("cnf".to_owned(), cnf.into());
        }
        // A test may say anything, wrong things too.
        claims.extend(caller.claims.iter().cloned());
        if let (true, Some(asked)) = (issuer.algorithms.is_empty(), &issuer.introspection) {
            let name = Json::Object(claims.clone()).to_string();
            let tag = self.tag(&[b"opaque", name.as_bytes()], 24);
            let token = format!("{}{}", asked.prefix, Base64UrlUnpadded::encode_string(&tag));
            // An active one, unless the test itself says that it is not.
            claims.entry("active").or_insert(true.into());
            self.opaque.insert(token.clone(), Json::Object(claims));
            return Ok(token);
        }
        let (algorithm, id, length) = Self::signing(issuer)?;
        let mut header = Map::new();
        header.insert("alg".to_owned(), algorithm.name().into());
        header.insert("typ".to_owned(), "at+jwt".into());
        if let Some(id) = id {
            header.insert("kid".to_owned(), id.into());
        }
        let part = |object| Base64UrlUnpadded::encode_string(Json::Object(object).to_string().as_bytes());
        let input = format!("{}.{}", part(header), part(claims));
        let signature = match (&issuer.keys, algorithm) {
            (Keys::Secret(name), Algorithm::HS384) => {
                mac::<Hmac<Sha384>>(&self.secret(name), input.as_bytes())
            }
            (Keys::Secret(name), Algorithm::HS512) => {
                mac::<Hmac<Sha512>>(&self.secret(name), input.as_bytes())
            }
            (Keys::Secret(name), _) => mac::<Hmac<Sha256>>(&self.secret(name), input.as_bytes()),
            _ => self.tag(
                &[b"signature", algorithm.name().as_bytes(), input.as_bytes()],
                length,
            ),
        };
        Ok(format!(
            "{input}.{}",
            Base64UrlUnpadded::encode_string(&signature)
        ))
    }

    /// With which algorithm, under which key and how long an issuer's tokens are signed.
    pub(crate) fn signing(issuer: &Issuer) -> Result<(Algorithm, Option<String>, usize), String> {
        let none = || format!("the issuer `{}` has no key that fits its algorithms", issuer.name);
        match &issuer.keys {
            Keys::Secret(_) => {
                let algorithm = *issuer.algorithms.first().ok_or_else(none)?;
                Ok((algorithm, None, signature_len(algorithm, 0)))
            }
            Keys::Url(_) | Keys::Discovered { .. } => {
                let algorithm = *issuer.algorithms.first().ok_or_else(none)?;
                Ok((algorithm, Some(KEY_ID.to_owned()), signature_len(algorithm, 256)))
            }
            Keys::Inline(keys) => keys
                .iter()
                .filter_map(|key| serde_json::from_str::<Json>(key).ok())
                .find_map(|key| {
                    let member = |name: &str| key.get(name).and_then(Json::as_str);
                    let kind = KeyKind::of(member("kty")?, member("crv"))?;
                    let own = member("alg");
                    let algorithm = *issuer.algorithms.iter().find(|listed| {
                        listed.key_kind() == kind && own.is_none_or(|own| own == listed.name())
                    })?;
                    let modulus = match member("n") {
                        Some(n) => Base64UrlUnpadded::decode_vec(n).ok()?.len(),
                        None => 0,
                    };
                    let id = member("kid").map(str::to_owned);
                    Some((algorithm, id, signature_len(algorithm, modulus)))
                })
                .ok_or_else(none),
        }
    }

    /// Bytes that only this mint can make of these parts.
    fn tag(&self, parts: &[&[u8]], length: usize) -> Vec<u8> {
        let mut bytes = Vec::with_capacity(length);
        let mut round: u32 = 0;
        while bytes.len() < length {
            let mut input = round.to_be_bytes().to_vec();
            for part in parts {
                input.extend_from_slice(&u64::try_from(part.len()).unwrap_or(u64::MAX).to_be_bytes());
                input.extend_from_slice(part);
            }
            bytes.extend(mac::<Hmac<Sha256>>(&self.random, &input));
            round += 1;
        }
        bytes.truncate(length);
        bytes
    }
}

/// Where the keys of an issuer are played to be whose metadata are here.
fn keys_of(metadata: &str) -> String {
    format!("{metadata}/keys")
}

/// How many bytes a signature has; for RSA as many as the modulus.
const fn signature_len(algorithm: Algorithm, modulus: usize) -> usize {
    match (algorithm.key_kind(), algorithm) {
        (KeyKind::Rsa, _) => modulus,
        (KeyKind::P384, _) => 96,
        (KeyKind::Secret, Algorithm::HS256) => 32,
        (KeyKind::Secret, Algorithm::HS384) => 48,
        (KeyKind::P256 | KeyKind::Ed25519 | KeyKind::Secret, _) => 64,
    }
}

fn mac<M: hmac::Mac + hmac::digest::KeyInit>(key: &[u8], input: &[u8]) -> Vec<u8> {
    // An HMAC takes a key of any length.
    let Ok(mut mac) = <M as hmac::Mac>::new_from_slice(key) else {
        return Vec::new();
    };
    mac.update(input);
    mac.finalize().into_bytes().to_vec()
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Bytes might be, one time in 256, what no gateway takes for a secret.
    #[test]
    fn a_made_up_secret_is_text_as_long_as_any_hash_asks() {
        for random in 0..=255 {
            let mint = Mint {
                random: [random; 32],
                keys: BTreeMap::new(),
                proofs: 0,
                opaque: BTreeMap::new(),
            };
            let secret = mint.secret("MAC");
            assert_eq!(secret.len(), 64);
            assert!(secret.iter().all(u8::is_ascii_hexdigit));
        }
    }
}
