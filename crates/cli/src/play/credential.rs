//! Credentials of consumers, for a gateway that is played.
//!
//! No real secret is needed, and no phase is left out. A token is made as the consumer's own issuer
//! would make it (its `iss`, audience, algorithm, consumer claim, lifetime) and goes through all of
//! `identify`. The one thing that is played is the signature: in the Worker WebCrypto says whether
//! one is right; here [`Mint`] does, and holds right what it has signed itself. An HMAC issuer's
//! secret, and a consumer's API key, are replaced by ones that were made up for this run.

use std::collections::BTreeMap;
use std::fmt::Write as _;

use base64ct::{Base64UrlUnpadded, Encoding as _};
use hmac::Hmac;
use serde_json::{Map, Value as Json, json};
use sha2::{Digest as _, Sha256, Sha384, Sha512};
use turnpike_policy::source::Caller;
use turnpike_policy::{Algorithm, Compiled, Identity, Issuer, KeyKind, Keys, Timestamp};

/// How long a token lives, in seconds, unless its issuer allows less.
const LIFETIME: u64 = 300;
const KEY_ID: &str = "turnpike-test";

/// Makes credentials, and knows them again.
pub(crate) struct Mint {
    random: [u8; 32],
    /// The key of each consumer that has one, by its index.
    keys: BTreeMap<u32, String>,
}

impl Mint {
    pub(crate) fn new(compiled: &Compiled) -> Result<Self, String> {
        let mut random = [0; 32];
        getrandom::fill(&mut random).map_err(|error| format!("the system gives no randomness: {error}"))?;
        let mut mint = Self {
            random,
            keys: BTreeMap::new(),
        };
        for key in &compiled.keys {
            if !mint.keys.contains_key(&key.consumer) {
                let secret = mint.tag(&[b"key", &key.consumer.to_be_bytes()], 20);
                let secret = secret.iter().fold(String::new(), |mut text, byte| {
                    let _ = write!(text, "{byte:02x}");
                    text
                });
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
    }

    /// The made-up value of a Worker secret.
    pub(super) fn secret(&self, name: &str) -> Vec<u8> {
        self.tag(&[b"secret", name.as_bytes()], 64)
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
        caller: &Caller,
        now: Timestamp,
    ) -> Result<String, String> {
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
        let by_key = caller.with.as_deref().is_none_or(|with| with == "key");
        match (token, self.keys.get(&index)) {
            (Some((issuer, identity)), _) => self.token(issuer, identity, caller, now),
            (None, Some(_)) if by_key && !(caller.scopes.is_empty() && caller.claims.is_empty()) => {
                Err(format!(
                    "`{name}` calls with an API key, which has no scopes and claims but those of its policy"
                ))
            }
            (None, Some(key)) if by_key => Ok(key.clone()),
            _ => Err(match &caller.with {
                Some(with) => format!("the consumer `{name}` has no credential `{with}` here"),
                None => format!("the consumer `{name}` has no credential here and can never call"),
            }),
        }
    }

    fn token(
        &self,
        issuer: &Issuer,
        identity: &Identity,
        caller: &Caller,
        now: Timestamp,
    ) -> Result<String, String> {
        let (value, client) = (identity.value.as_str(), identity.client.as_deref());
        let (algorithm, id, length) = Self::signing(issuer)?;
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
        // A test may say anything, wrong things too.
        claims.extend(caller.claims.iter().cloned());
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
    fn signing(issuer: &Issuer) -> Result<(Algorithm, Option<String>, usize), String> {
        let none = || format!("the issuer `{}` has no key that fits its algorithms", issuer.name);
        match &issuer.keys {
            Keys::Secret(_) => Ok((*issuer.algorithms.first().ok_or_else(none)?, None, 0)),
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
    match algorithm.key_kind() {
        KeyKind::Rsa => modulus,
        KeyKind::P384 => 96,
        KeyKind::P256 | KeyKind::Ed25519 | KeyKind::Secret => 64,
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
