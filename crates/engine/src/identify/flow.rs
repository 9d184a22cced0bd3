//! The steps from a credential to a principal, and what is kept between requests.

use jwt_compact::AlgorithmSignature;
use jwt_compact::alg::{Hs256, Hs256Key, Hs384, Hs384Key, Hs512, Hs512Key};
use serde::{Deserialize, Serialize};
use turnpike_policy::{Algorithm, Compiled, KeyKind, Keys, Millis, Timestamp};

use super::bound::Bound;
use super::cache::{self, Digest, Entry, TokenCache};
use super::certificate::Leaf;
use super::claims::{self, Claimed, Stranger};
use super::credential::{Credential, pick};
use super::dpop::Proof;
use super::introspection::{self, IntrospectAsk, Introspections};
use super::jwk::Key;
use super::key_store::{Access, CLAIM, KeyStore, May, Part, Refetch, STALE};
use super::keys::{Choice, Generation, KeySet, MAX_SET};
use super::token::{self, Unverified};
use super::work::{Work, note};
use super::{Presented, Principal, Refusal, api_key};
use crate::meter::{MeterError, proofs};
use crate::step::Copies;

/// What is kept between requests: keys of issuers, tokens that were verified, HMAC secrets. All of
/// it may vanish at any time.
pub(crate) struct Store {
    pub(super) keys: KeyStore,
    pub(super) cache: TokenCache,
    /// By issuer; the error says why there is none.
    secrets: Vec<Result<Vec<u8>, &'static str>>,
    pub(super) opaque: Introspections,
    /// The issuer whose keys are to be fetched anew beside the request at hand.
    due: Option<u32>,
    /// Whether the answer that was handed in last is worth sharing.
    share: bool,
}

impl Store {
    /// An empty store for one policy. `secret` is asked once for each HMAC issuer's secret.
    pub(crate) fn new(
        policy: &Compiled,
        policy_hash: &[u8; 32],
        secret: impl Fn(&str) -> Option<Vec<u8>>,
    ) -> Self {
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
            opaque: Introspections::new(policy),
            due: None,
            share: false,
        }
    }
}

/// What comes of a credential.
#[derive(Clone, Debug, PartialEq)]
pub(crate) enum Outcome {
    /// It proves this.
    Known(Principal),
    /// It proves this, if its proof was not used before: whoever asks must find out.
    Proven(Box<Proven>),
    /// It proves nothing.
    Refused(Refusal),
    /// Its signature must be verified; continue with [`verified`].
    Verify(Box<VerifyAsk>),
    /// Its issuer's keys must be fetched; continue with [`keys_fetched`].
    FetchKeys(KeysAsk),
    /// Its issuer must be asked about it; continue with [`super::introspected`].
    Introspect(Box<IntrospectAsk>),
    /// Its issuer's keys are being fetched, or its issuer is being asked about it, by another request; continue
    /// with [`waited`] after so many milliseconds.
    Wait(u64),
}

/// A signature to verify.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct VerifyAsk {
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

/// Whose signature is being verified.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub(crate) enum Pending {
    /// That of a token.
    Token(Box<PendingToken>),
    /// That of a proof, beside a token that is right.
    Proof(Box<Proven>),
}

/// A token of which everything has been checked but the signature, and so of its proof.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub(crate) struct PendingToken {
    who: Result<Principal, Stranger>,
    window: claims::Window,
    issuer: u32,
    generation: Generation,
    digest: Digest,
    bound: Bound,
    proof: Option<Box<Proof>>,
}

/// What is proved by a token and a proof that is right, if that is new.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub(crate) struct Proven {
    /// Who calls.
    pub(super) principal: Principal,
    /// What the proof is known by: no other one of the same key has it.
    pub(super) proof: [u8; 32],
    /// The thumbprint of its key.
    pub(super) key: [u8; 32],
    /// Until when it must be remembered.
    pub(super) until: Timestamp,
}

impl Proven {
    /// The object that knows which proofs were used, and what it is asked for a request.
    pub(crate) fn question(&self, request: &[u8; 16]) -> Result<(String, Vec<u8>), MeterError> {
        proofs::question(&self.key, &self.proof, request, self.until)
    }

    /// Who calls, if the object has answered that the proof is new; what else it said, or nothing.
    pub(crate) fn answered(self, answer: Option<&[u8]>) -> Result<Principal, Option<proofs::Outcome>> {
        match answer.and_then(|answer| proofs::answered(answer).ok()) {
            Some(proofs::Outcome::New) => Ok(self.principal),
            other => Err(other),
        }
    }
}

/// A key set to fetch.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct KeysAsk {
    /// Index into [`Compiled::issuers`].
    pub issuer: u32,
    /// What of it; to be handed back to [`keys_fetched`].
    pub part: Part,
    /// From where: what the policy says, or the issuer's metadata where the policy allows it; nothing
    /// that a token says. Redirects are not followed.
    pub url: String,
    /// Upper bound of its size, in bytes.
    pub max: u32,
    /// Which copy will do, that another isolate has shared.
    pub copies: Copies,
}

/// How long the first look again is waited for, in milliseconds, and the longest that one is.
const WAITS: (u64, u64) = (20, 500);

/// Begins with the headers of a request.
pub(crate) fn begin(
    policy: &Compiled,
    store: &mut Store,
    presented: &Presented<'_>,
    now: Timestamp,
) -> Outcome {
    waited(policy, store, presented, 0, now)
}

/// Continues after [`Outcome::Wait`], when so many milliseconds were waited in all; and with the headers that
/// [`begin`] was given. They are counted and not measured: a clock that stands must not keep a request for ever.
pub(crate) fn waited(
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
pub(crate) fn keys_fetched(
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
pub(crate) fn due(policy: &Compiled, store: &mut Store, now: Timestamp) -> Option<KeysAsk> {
    let issuer = store.due.take()?;
    ask(policy, store, issuer, now)
}

/// Takes the answer to a fetch (status 200 only), or that there is none. Says what else is to be fetched: the
/// keys that metadata lead to; or a copy, where the issuer's own answer is of no use and there are no keys to use.
pub(crate) fn refreshed(
    policy: &Compiled,
    store: &mut Store,
    (issuer, part): (u32, Part),
    answer: Option<&[u8]>,
    now: Timestamp,
) -> Option<KeysAsk> {
    // Where it was, before that is forgotten.
    let asked = ask(policy, store, issuer, now)?;
    let Some(copy) = part.copy() else {
        // There was none.
        store.keys.end(issuer, now);
        return None;
    };
    store.share = if part.is_metadata() {
        store
            .keys
            .discovered(issuer, rules(policy, issuer)?, (answer, 0), now)
    } else {
        store.keys.fetched(issuer, answer, now)
    };
    if store.share {
        return ask(policy, store, issuer, now).filter(|_| part.is_metadata());
    }
    // If nothing was answered, a copy was looked for already, unless the issuer itself was to be asked.
    let unsought = answer.is_some() || asked.copies == Copies::default();
    let seeks = unsought && asked.part == part && store.keys.seeks_copy(issuer, now);
    seeks.then_some(KeysAsk {
        part: copy,
        copies: Copies {
            fresh: STALE,
            stale: 0,
            only: true,
        },
        ..asked
    })
}

/// The same as [`refreshed`] for a copy of this age, that another isolate has shared. One that cannot be used is
/// answered by asking the issuer itself, if it was not asked before.
pub(crate) fn copied(
    policy: &Compiled,
    store: &mut Store,
    (issuer, part): (u32, Part),
    (copy, age): (&[u8], Millis),
    now: Timestamp,
) -> Option<KeysAsk> {
    let usable = if part.is_metadata() {
        store
            .keys
            .discovered(issuer, rules(policy, issuer)?, (Some(copy), age), now)
    } else {
        store.keys.copied(issuer, copy, age, now)
    };
    let last = part.copy().is_none();
    let over = if usable { !part.is_metadata() } else { last };
    if !over {
        return ask(policy, store, issuer, now);
    }
    if last {
        store.keys.end(issuer, now);
    }
    None
}

/// The same as [`keys_fetched`] for a copy of this age, that another isolate has shared. Nobody was asked: a key
/// that it lacks is still asked for.
pub(crate) fn keys_copied(
    policy: &Compiled,
    store: &mut Store,
    fetched: (u32, Part),
    copy: (&[u8], Millis),
    presented: &Presented<'_>,
    now: Timestamp,
) -> Outcome {
    let may = May {
        fetch: true,
        wait: false,
    };
    match copied(policy, store, fetched, copy, now) {
        Some(ask) => Outcome::FetchKeys(ask),
        None => proceed(policy, store, presented, now, may).unwrap_or_else(Outcome::Refused),
    }
}

/// Whether the answer that was handed in last is worth sharing with other isolates; said once.
pub(crate) fn shares(store: &mut Store) -> bool {
    std::mem::take(&mut store.share)
}

/// Continues after [`Outcome::Verify`]: whether the signature is right. Asks again only for that of a proof.
pub(crate) fn verified(store: &mut Store, pending: Pending, right: bool, now: Timestamp) -> Outcome {
    match pending {
        Pending::Token(token) => token_verified(store, *token, right, now).unwrap_or_else(Outcome::Refused),
        Pending::Proof(proven) if right => Outcome::Proven(proven),
        Pending::Proof(_) => Outcome::Refused(Refusal::Proof("the proof's signature is wrong")),
    }
}

fn token_verified(
    store: &mut Store,
    pending: PendingToken,
    right: bool,
    now: Timestamp,
) -> Result<Outcome, Refusal> {
    if !right {
        return Err(Refusal::SignatureInvalid);
    }
    let PendingToken {
        who,
        window,
        issuer,
        generation,
        digest,
        bound,
        proof,
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
            bound,
        };
        store.cache.insert(digest, entry);
    }
    Ok(proved(principal, proof))
}

/// What comes of a token that is right, and of the proof that it needs.
fn proved(principal: Principal, proof: Option<Box<Proof>>) -> Outcome {
    let Some(proof) = proof else {
        return Outcome::Known(principal);
    };
    let proven = Proven {
        principal,
        proof: proof.id,
        key: proof.thumbprint,
        until: proof.until,
    };
    Outcome::Verify(Box::new(VerifyAsk {
        algorithm: proof.algorithm,
        key: proof.key,
        signing_input: proof.input,
        signature: proof.signature,
        pending: Pending::Proof(Box::new(proven)),
    }))
}

fn proceed(
    policy: &Compiled,
    store: &mut Store,
    presented: &Presented<'_>,
    now: Timestamp,
    may: May,
) -> Result<Outcome, Refusal> {
    let leaf = match &presented.certificate {
        Some(shown) => Leaf::of(shown, now),
        None => Ok(None),
    };
    // A certificate beside another credential must not be somebody else's. One that is nobody's says nothing. Whose it
    // is is found out before anything else is known, so that it costs the same whatever that is.
    let owners = match &leaf {
        Ok(Some(leaf)) => leaf.owners(policy, now),
        _ => Vec::new(),
    };
    let is_of_another = |consumer| owners.iter().any(|owner| *owner != consumer);
    let text = match pick(presented, &policy.gateway.api_keys.schemes) {
        Ok(Credential::Key { key, id }) => {
            let principal = api_key::find(policy, key, id, now)?;
            if is_of_another(principal.consumer) {
                return Err(Refusal::Ambiguous);
            }
            return Ok(Outcome::Known(principal));
        }
        Ok(Credential::Token(text)) => text,
        Err(Refusal::Missing) => {
            let leaf = leaf?.ok_or(Refusal::Missing)?;
            return leaf.owner(policy, now).map(Outcome::Known);
        }
        Err(refusal) => return Err(refusal),
    };
    if let Some(issuer) = store.opaque.issuer(policy, text) {
        if presented.is_dpop() {
            return Err(Refusal::claim("cnf", "of an opaque token is not looked at"));
        }
        return introspection::begin(policy, store, (text, issuer), owners, now, may);
    }
    let leaf = leaf.as_ref().map(Option::as_ref);
    let digest = store.cache.digest(text);
    if let Some(hit) = store.cache.get(&digest, now)
        && store.keys.stands(hit.issuer, hit.generation, now)
    {
        let (principal, issuer, bound) = (hit.principal.clone(), hit.issuer, hit.bound);
        store.cache.keep(text, digest);
        refresh(store, issuer, now);
        if is_of_another(principal.consumer) {
            return Err(Refusal::Ambiguous);
        }
        let proof = bound.check(text, presented, leaf, (skew(policy, issuer), now))?;
        return Ok(proved(principal, proof));
    }
    let token = token::parse(text)?;
    let mut claimed = claims::check(policy, &token, &token.claims()?, now)?;
    claimed.proof = claimed
        .bound
        .check(text, presented, leaf, (skew(policy, claimed.issuer), now))?;
    // Told once the signature is right, as all that is known of whom it names.
    if claimed.who.as_ref().is_ok_and(|who| is_of_another(who.consumer)) {
        claimed.who = Err(Stranger::Certificate);
    }
    if token.algorithm.is_hmac() {
        by_secret(policy, store, &token, claimed, digest)
    } else {
        by_key(policy, store, &token, claimed, digest, now, may)
    }
}

/// By how much clocks may differ from an issuer's, in milliseconds.
fn skew(policy: &Compiled, issuer: u32) -> u64 {
    rules(policy, issuer).map_or(0, |rules| u64::from(rules.clock_skew) * 1000)
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
    let Claimed {
        who,
        issuer,
        window,
        bound,
        proof,
    } = claimed;
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
        return who
            .map(|principal| proved(principal, proof))
            .map_err(Stranger::refusal);
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
        pending: Pending::Token(Box::new(PendingToken {
            who,
            window,
            issuer,
            generation,
            digest,
            bound,
            proof,
        })),
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
    if has_form(key, token.signature()) {
        Ok(Some(key))
    } else {
        Err(Refusal::SignatureInvalid)
    }
}

/// Whether a signature could be one of a key's.
pub(super) fn has_form(key: &Key, signature: &[u8]) -> bool {
    // ECDSA: with a zero for `r` or `s` a signature is right for any message, if only its verifier
    // forgets to look (CVE-2022-21449).
    let zero = |number: &[u8]| number.iter().all(|byte| *byte == 0);
    let ecdsa = matches!(key.kind, KeyKind::P256 | KeyKind::P384);
    let null = ecdsa && signature.chunks(key.signature_len / 2).any(zero);
    signature.len() == key.signature_len && !null
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
        copies: store.keys.copies(issuer, now),
    })
}

/// Verifies a token with its issuer's secret.
fn by_secret(
    policy: &Compiled,
    store: &mut Store,
    token: &Unverified<'_>,
    claimed: Claimed,
    digest: Digest,
) -> Result<Outcome, Refusal> {
    let Claimed {
        who,
        issuer,
        window,
        bound,
        proof,
    } = claimed;
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
            bound,
        };
        store.cache.insert(digest, entry);
    }
    Ok(proved(principal, proof))
}

/// Whether a secret is a key of the kind that is given away, whatever stands before it: with a public key for a
/// secret anybody can sign (CVE-2023-48223, CVE-2026-34950).
fn is_key(secret: &[u8]) -> bool {
    let text = String::from_utf8_lossy(secret);
    let text = text.trim_start_matches(|c: char| c.is_whitespace() || c.is_control() || c == '\u{feff}');
    text.starts_with("-----BEGIN")
        || text.starts_with("ssh-")
        || text.starts_with("ecdsa-sha2-")
        // A secret of random signs may begin so too; a key says its type (RFC 7517, 4.1).
        || (text.starts_with('{') && text.contains("\"kty\""))
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
