//! The steps from a credential to a principal, and what is kept between requests.

use jwt_compact::AlgorithmSignature;
use jwt_compact::alg::{Hs256, Hs256Key, Hs384, Hs384Key, Hs512, Hs512Key};
use serde::{Deserialize, Serialize};
use turnpike_policy::{Algorithm, Compiled, KeyKind, Keys, Timestamp};

use super::cache::{self, Digest, Entry, TokenCache};
use super::claims::{self, Claimed, Stranger};
use super::credential::{Credential, pick};
use super::jwk::Key;
use super::key_store::{Access, CLAIM, KeyStore, May, Part, Refetch};
use super::keys::{Choice, Generation, KeySet, MAX_SET};
use super::token::{self, Unverified};
use super::work::{Work, note};
use super::{Presented, Principal, Refusal, api_key};

/// What is kept between requests: keys of issuers, tokens that were verified, HMAC secrets. All of
/// it may vanish at any time.
pub struct Store {
    pub(super) keys: KeyStore,
    pub(super) cache: TokenCache,
    /// By issuer; the error says why there is none.
    secrets: Vec<Result<Vec<u8>, &'static str>>,
    /// The issuer whose keys are to be fetched anew beside the request at hand.
    due: Option<u32>,
}

impl Store {
    /// An empty store for one policy. `secret` is asked once for each HMAC issuer's secret.
    pub fn new(policy: &Compiled, policy_hash: &[u8; 32], secret: impl Fn(&str) -> Option<Vec<u8>>) -> Self {
        let secrets = policy.issuers.iter().map(|issuer| match &issuer.keys {
            Keys::Secret(name) => match secret(name) {
                Some(value) if is_key(&value) => {
                    Err("is a key in PEM or JSON, which may be known to anybody")
                }
                Some(value) => Ok(value),
                None => Err("is not there"),
            },
            Keys::Inline(_) | Keys::Url(_) | Keys::Discovered { .. } => Err("is not there"),
        });
        Self {
            keys: KeyStore::new(policy),
            cache: TokenCache::new(policy_hash, cache::MAX_ENTRIES, cache::MAX_BYTES),
            secrets: secrets.collect(),
            due: None,
        }
    }
}

/// What comes of a credential.
#[derive(Clone, Debug, PartialEq)]
pub enum Outcome {
    /// It proves this.
    Known(Principal),
    /// It proves nothing.
    Refused(Refusal),
    /// Its signature must be verified; continue with [`verified`].
    Verify(Box<VerifyAsk>),
    /// Its issuer's keys must be fetched; continue with [`keys_fetched`].
    FetchKeys(KeysAsk),
    /// Its issuer's keys are being fetched by another request; continue with [`waited`] after so many
    /// milliseconds.
    Wait(u64),
}

/// A signature to verify.
#[derive(Clone, Debug, PartialEq)]
pub struct VerifyAsk {
    /// By which algorithm, never HMAC; fixed by the policy and the key.
    pub algorithm: Algorithm,
    /// The public key, a JWK with its required members only.
    pub key: String,
    /// What was signed.
    pub signing_input: Vec<u8>,
    /// The signature (ECDSA: `r` and `s`, of one length), of the right length.
    pub signature: Vec<u8>,
    /// To be handed back to [`verified`].
    pub pending: Pending,
}

/// A token of which everything has been checked but the signature.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Pending {
    who: Result<Principal, Stranger>,
    window: claims::Window,
    issuer: u32,
    generation: Generation,
    digest: Digest,
}

/// A key set to fetch.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct KeysAsk {
    /// Index into [`Compiled::issuers`].
    pub issuer: u32,
    /// What of it; to be handed back to [`keys_fetched`].
    pub part: Part,
    /// From where: what the policy says, or the issuer's metadata where the policy allows it; nothing
    /// that a token says. Redirects are not followed.
    pub url: String,
    /// Upper bound of its size, in bytes.
    pub max: u32,
}

/// How long the first look again is waited for, in milliseconds, and the longest that one is.
const WAITS: (u64, u64) = (20, 500);

/// Begins with the headers of a request.
pub fn begin(policy: &Compiled, store: &mut Store, presented: &Presented<'_>, now: Timestamp) -> Outcome {
    waited(policy, store, presented, 0, now)
}

/// Continues after [`Outcome::Wait`], when so many milliseconds were waited in all; and with the headers that
/// [`begin`] was given. They are counted and not measured: a clock that stands must not keep a request for ever.
pub fn waited(
    policy: &Compiled,
    store: &mut Store,
    presented: &Presented<'_>,
    waited: u64,
    now: Timestamp,
) -> Outcome {
    let may = May {
        fetch: true,
        wait: waited < CLAIM,
    };
    let outcome = proceed(policy, store, presented, now, may).unwrap_or_else(Outcome::Refused);
    match outcome {
        // As long again as was waited already, so that a fetch of any length is met soon after its end.
        Outcome::Wait(_) => Outcome::Wait(waited.clamp(WAITS.0, WAITS.1)),
        other => other,
    }
}

/// What [`keys_fetched`] may do: its request has had its fetch.
const NOTHING: May = May {
    fetch: false,
    wait: false,
};

/// Continues after [`Outcome::FetchKeys`] with the answer's bytes (status 200 only), or none; and
/// with the headers that [`begin`] was given. Asks again only for the keys that metadata lead to.
pub fn keys_fetched(
    policy: &Compiled,
    store: &mut Store,
    fetched: (u32, Part),
    answer: Option<&[u8]>,
    presented: &Presented<'_>,
    now: Timestamp,
) -> Outcome {
    match refreshed(policy, store, fetched, answer, now) {
        Some(ask) => Outcome::FetchKeys(ask),
        None => proceed(policy, store, presented, now, NOTHING).unwrap_or_else(Outcome::Refused),
    }
}

/// What is to be fetched beside the request that was looked at last, if anything: the keys of its issuer, before
/// they are too old. Nobody waits for it; continue with [`refreshed`].
pub fn due(policy: &Compiled, store: &mut Store, now: Timestamp) -> Option<KeysAsk> {
    let issuer = store.due.take()?;
    ask(policy, store, issuer, now)
}

/// Takes the answer to a fetch (status 200 only), or that there is none. Says what else is to be fetched: the
/// keys that metadata lead to.
pub fn refreshed(
    policy: &Compiled,
    store: &mut Store,
    (issuer, part): (u32, Part),
    answer: Option<&[u8]>,
    now: Timestamp,
) -> Option<KeysAsk> {
    match part {
        Part::Keys => store.keys.fetched(issuer, answer, now),
        Part::Metadata => {
            let known =
                rules(policy, issuer).is_some_and(|rules| store.keys.discovered(issuer, rules, answer, now));
            if known {
                return ask(policy, store, issuer, now);
            }
        }
    }
    None
}

/// Ends after [`Outcome::Verify`]: whether the signature is right.
pub fn verified(
    store: &mut Store,
    pending: Pending,
    right: bool,
    now: Timestamp,
) -> Result<Principal, Refusal> {
    if !right {
        return Err(Refusal::SignatureInvalid);
    }
    let Pending {
        who,
        window,
        issuer,
        generation,
        digest,
    } = pending;
    window.check(now)?;
    let principal = who.map_err(Stranger::refusal)?;
    // Keys may have been replaced meanwhile; then this request is the last that they let through.
    if store.keys.generation(issuer) == Some(generation) {
        let entry = Entry {
            principal: principal.clone(),
            window,
            issuer,
            generation,
        };
        store.cache.insert(digest, entry);
    }
    Ok(principal)
}

fn proceed(
    policy: &Compiled,
    store: &mut Store,
    presented: &Presented<'_>,
    now: Timestamp,
    may: May,
) -> Result<Outcome, Refusal> {
    let text = match pick(presented, &policy.gateway.api_keys.schemes)? {
        Credential::Key { key, id } => {
            return api_key::find(policy, key, id, now).map(Outcome::Known);
        }
        Credential::Token(text) => text,
    };
    let digest = store.cache.digest(text);
    if let Some(hit) = store.cache.get(&digest, now)
        && store.keys.stands(hit.issuer, hit.generation, now)
    {
        let (principal, issuer) = (hit.principal.clone(), hit.issuer);
        store.cache.keep(text, digest);
        refresh(store, issuer, now);
        return Ok(Outcome::Known(principal));
    }
    let token = token::parse(text)?;
    let claimed = claims::check(policy, &token, &token.claims()?, now)?;
    if token.algorithm.is_hmac() {
        by_secret(policy, store, &token, claimed, digest).map(Outcome::Known)
    } else {
        by_key(policy, store, &token, claimed, digest, now, may)
    }
}

/// Notes that an issuer's keys are to be fetched anew beside the request at hand, if it is time.
fn refresh(store: &mut Store, issuer: u32, now: Timestamp) {
    if store.keys.refresh(issuer, now) {
        store.due = Some(issuer);
    }
}

/// Finds the key for a token and asks for its signature to be verified.
fn by_key(
    policy: &Compiled,
    store: &mut Store,
    token: &Unverified<'_>,
    claimed: Claimed,
    digest: Digest,
    now: Timestamp,
    may: May,
) -> Result<Outcome, Refusal> {
    let Claimed { who, issuer, window } = claimed;
    refresh(store, issuer, now);
    let set = match store.keys.access(issuer, now, may) {
        Access::Use(set) => set,
        Access::Fetch => return fetch(policy, store, issuer, now),
        Access::Wait => return Ok(Outcome::Wait(0)),
        Access::Unavailable(why) => {
            let issuer = rules(policy, issuer)
                .map(|rules| rules.name.clone())
                .unwrap_or_default();
            return Err(Refusal::KeysUnavailable { issuer, why });
        }
    };
    let generation = set.generation();
    // Nothing was wrong with a token that is known already but the age of the keys.
    if let Some(hit) = store.cache.get(&digest, now)
        && (hit.issuer, hit.generation) == (issuer, generation)
    {
        return who.map(Outcome::Known).map_err(Stranger::refusal);
    }
    let Some(key) = choose(set, token)? else {
        return match store.keys.refetch(issuer, now, may) {
            Refetch::Fetch => fetch(policy, store, issuer, now),
            Refetch::Wait => Ok(Outcome::Wait(0)),
            Refetch::No => Err(Refusal::KeyUnknown("the issuer has no such key")),
        };
    };
    Ok(Outcome::Verify(Box::new(VerifyAsk {
        algorithm: token.algorithm,
        key: key.json.clone(),
        signing_input: token.input.as_bytes().to_vec(),
        signature: token.signature().to_vec(),
        pending: Pending {
            who,
            window,
            issuer,
            generation,
            digest,
        },
    })))
}

/// The key that a token is to be verified with, and that its signature has the form for; none if
/// the set has none.
pub(super) fn choose<'a>(set: &'a KeySet, token: &Unverified<'_>) -> Result<Option<&'a Key>, Refusal> {
    note(Work::KeySearch);
    let key = match set.choose(token.key_id(), token.algorithm) {
        Choice::One(key) => key,
        Choice::Missing => return Ok(None),
        Choice::OtherAlgorithm => {
            return Err(Refusal::AlgorithmNotAllowed(
                "the key that `kid` names is for another one",
            ));
        }
        Choice::Several => {
            return Err(Refusal::KeyUnknown(
                "the token has no `kid`, and more than one key fits",
            ));
        }
    };
    let signature = token.signature();
    // ECDSA: with a zero for `r` or `s` a signature is right for any message, if only its verifier
    // forgets to look (CVE-2022-21449).
    let zero = |number: &[u8]| number.iter().all(|byte| *byte == 0);
    let ecdsa = matches!(key.kind, KeyKind::P256 | KeyKind::P384);
    let null = ecdsa && signature.chunks(key.signature_len / 2).any(zero);
    if signature.len() != key.signature_len || null {
        return Err(Refusal::SignatureInvalid);
    }
    Ok(Some(key))
}

fn rules(policy: &Compiled, issuer: u32) -> Option<&turnpike_policy::Issuer> {
    usize::try_from(issuer)
        .ok()
        .and_then(|index| policy.issuers.get(index))
}

fn fetch(policy: &Compiled, store: &Store, issuer: u32, now: Timestamp) -> Result<Outcome, Refusal> {
    let ask = ask(policy, store, issuer, now);
    ask.map(Outcome::FetchKeys)
        .ok_or(Refusal::KeyUnknown("the issuer has no keys to fetch"))
}

fn ask(policy: &Compiled, store: &Store, issuer: u32, now: Timestamp) -> Option<KeysAsk> {
    let (part, url) = store.keys.place(issuer, rules(policy, issuer)?, now)?;
    Some(KeysAsk {
        issuer,
        part,
        url,
        max: MAX_SET,
    })
}

/// Verifies a token with its issuer's secret.
fn by_secret(
    policy: &Compiled,
    store: &mut Store,
    token: &Unverified<'_>,
    claimed: Claimed,
    digest: Digest,
) -> Result<Principal, Refusal> {
    let Claimed { who, issuer, window } = claimed;
    let place = usize::try_from(issuer).ok();
    let secret = place.and_then(|place| store.secrets.get(place));
    let missing = |why| {
        let secret = match rules(policy, issuer).map(|rules| &rules.keys) {
            Some(Keys::Secret(name)) => name.clone(),
            _ => String::new(),
        };
        Refusal::SecretMissing { secret, why }
    };
    let secret = match secret {
        Some(Ok(secret)) => secret,
        Some(Err(why)) => return Err(missing(why)),
        None => return Err(missing("is not there")),
    };
    // RFC 7518, 3.2: at least as long as the hash.
    if secret.len() < mac_len(token.algorithm) {
        return Err(missing("is shorter than the hash of the algorithm"));
    }
    if !mac_is_right(token, secret) {
        return Err(Refusal::SignatureInvalid);
    }
    let principal = who.map_err(Stranger::refusal)?;
    if let Some(generation) = store.keys.generation(issuer) {
        let entry = Entry {
            principal: principal.clone(),
            window,
            issuer,
            generation,
        };
        store.cache.insert(digest, entry);
    }
    Ok(principal)
}

/// Whether a secret is a key of the kind that is given away, whatever stands before it: with a public key for a
/// secret anybody can sign (CVE-2023-48223, CVE-2026-34950).
fn is_key(secret: &[u8]) -> bool {
    let text = String::from_utf8_lossy(secret);
    let text = text.trim_start_matches(|c: char| c.is_whitespace() || c.is_control() || c == '\u{feff}');
    text.starts_with("-----BEGIN")
        || text.starts_with("ssh-")
        || text.starts_with("ecdsa-sha2-")
        || text.starts_with('{')
}

const fn mac_len(algorithm: Algorithm) -> usize {
    match algorithm {
        Algorithm::HS384 => 48,
        Algorithm::HS512 => 64,
        _ => 32,
    }
}

/// Whether a token's HMAC is right.
pub(super) fn mac_is_right(token: &Unverified<'_>, secret: &[u8]) -> bool {
    fn check<A: jwt_compact::Algorithm>(
        algorithm: &A,
        key: &A::VerifyingKey,
        token: &Unverified<'_>,
    ) -> bool {
        A::Signature::try_from_slice(token.signature())
            .is_ok_and(|mac| algorithm.verify_signature(&mac, key, token.input.as_bytes()))
    }
    note(Work::Mac);
    // The length first: the decoder of the MAC takes one length only.
    token.signature().len() == mac_len(token.algorithm)
        && match token.algorithm {
            Algorithm::HS256 => check(&Hs256, &Hs256Key::new(secret), token),
            Algorithm::HS384 => check(&Hs384, &Hs384Key::new(secret), token),
            Algorithm::HS512 => check(&Hs512, &Hs512Key::new(secret), token),
            _ => false,
        }
}
