//! What a token claims, held against its issuer's rules (RFC 7519, RFC 8725, RFC 9068).
//!
//! All of it is checked before the signature, so that a token that would be refused anyway costs
//! neither a verification nor a fetch of keys; none of it is believed before. Whether the policy knows
//! whom it names is found here too, and told only once the signature is right: a forged token finds out
//! nothing about who is known, by the answer or by what it costs.

use jwt_compact::Claims;
use turnpike_policy::{Compiled, Issuer, Keys, Timestamp};

use super::bound::Bound;
use super::claim_value::Written;
use super::dpop::Proof;
use super::json::{Json, Members};
use super::token::Unverified;
use super::work::{Work, note};
use super::{CredentialKind, Principal, Refusal, claim_value};
use crate::sorted;

/// The last second of the year 9999.
const LAST_SECOND: i64 = 253_402_300_799;
/// The most bytes of `sub` (`OpenID` Connect Core, section 2).
const MAX_SUBJECT: usize = 255;
/// The most scopes of one token, and the most bytes of one scope.
const MAX_SCOPES: usize = 256;

/// From when until when a token is good, leeway for clocks included, in Unix milliseconds.
#[derive(Clone, Copy, Debug, PartialEq, Eq, serde::Serialize, serde::Deserialize)]
pub(super) struct Window {
    from: Timestamp,
    until: Timestamp,
}

impl Window {
    /// A window; `until` is not part of it.
    pub(super) const fn new(from: Timestamp, until: Timestamp) -> Self {
        Self { from, until }
    }

    /// Refuses a token outside its window. At `until` itself it is over (RFC 7519, 4.1.4: "on or
    /// after").
    pub(super) fn check(self, now: Timestamp) -> Result<(), Refusal> {
        if now >= self.until {
            Err(Refusal::Expired)
        } else if now < self.from {
            Err(Refusal::NotYetValid)
        } else {
            Ok(())
        }
    }

    /// Whether now is within it.
    pub(super) fn holds(self, now: Timestamp) -> bool {
        (self.from..self.until).contains(&now)
    }
}

/// Who a token would prove, were its signature right.
pub(super) struct Claimed {
    /// The principal, or why the policy has none for it.
    pub(super) who: Result<Principal, Stranger>,
    /// The issuer's index.
    pub(super) issuer: u32,
    /// From when until when.
    pub(super) window: Window,
    /// What its caller must have beside it.
    pub(super) bound: Bound,
    /// The proof of it, once it is checked.
    pub(super) proof: Option<Box<Proof>>,
}

/// Why the policy knows nobody for a token that is right in all else.
#[derive(Clone, Copy, Debug, PartialEq, Eq, serde::Serialize, serde::Deserialize)]
pub(super) enum Stranger {
    /// No consumer has its identity.
    Unknown,
    /// Its consumer's is to be issued to a client, and the token names none.
    NoClient,
    /// `client_id` names another client.
    ClientId,
    /// `azp` does.
    Azp,
    /// The client certificate beside it is that of another consumer.
    Certificate,
}

impl Stranger {
    /// What is said of it when its signature is right.
    pub(super) fn refusal(self) -> Refusal {
        const OTHER: &str = "names another client than the policy";
        match self {
            Self::Unknown => Refusal::ConsumerUnknown,
            Self::NoClient => Refusal::claim("client_id", "is missing, and so is `azp`"),
            Self::ClientId => Refusal::claim("client_id", OTHER),
            Self::Azp => Refusal::claim("azp", OTHER),
            Self::Certificate => Refusal::Ambiguous,
        }
    }
}

/// Checks all claims of a token, and that its issuer takes its algorithm.
pub(super) fn check(
    policy: &Compiled,
    token: &Unverified<'_>,
    claims: &Claims<Members>,
    now: Timestamp,
) -> Result<Claimed, Refusal> {
    let named = text(&claims.custom, "iss")?.ok_or(Refusal::claim("iss", "is missing"))?;
    let found = policy
        .issuers
        .binary_search_by(|issuer| issuer.issuer.as_str().cmp(named));
    let (index, rules) = found
        .ok()
        .and_then(|place| Some((u32::try_from(place).ok()?, policy.issuers.get(place)?)))
        .ok_or_else(|| Refusal::unknown_issuer(named))?;
    if !rules.algorithms.contains(&token.algorithm) {
        return Err(Refusal::AlgorithmNotAllowed(
            "the issuer's `algorithms` do not list it",
        ));
    }
    // A public key must never serve as an HMAC secret (RFC 8725, 2.1), whatever the policy lists.
    if token.algorithm.is_hmac() != matches!(rules.keys, Keys::Secret(_)) {
        return Err(Refusal::AlgorithmNotAllowed(
            "the issuer's kind of keys is for another one",
        ));
    }
    // An ID token is for the client that it was made for, and opens nothing here (RFC 9068, 5).
    if rules.access_tokens && !token.access {
        return Err(Refusal::Malformed("the token's `typ` is not `at+jwt`"));
    }
    if claims.expiration.is_none() {
        return Err(Refusal::claim("exp", "is missing"));
    }
    claimed(policy, (index, rules), claims, Written::Jwt(token.input), now)
}

/// Checks what is claimed by a token of an issuer, whether it says so itself or its issuer does. `exp` must be there
/// only where its issuer's tokens have a longest lifetime.
pub(super) fn claimed(
    policy: &Compiled,
    (index, rules): (u32, &Issuer),
    claims: &Claims<Members>,
    written: Written<'_>,
    now: Timestamp,
) -> Result<Claimed, Refusal> {
    if !audience(&claims.custom, &rules.audience)? {
        return Err(Refusal::AudienceMismatch);
    }
    let (window, expires) = times(claims, rules)?;
    window.check(now)?;
    let bound = Bound::of(&claims.custom, rules)?;

    let name = rules.consumer_claim.as_str();
    let value = text(&claims.custom, name)?.ok_or_else(|| Refusal::claim(name.to_owned(), "is missing"))?;
    let subject = text(&claims.custom, "sub")?.unwrap_or(value);
    if subject.len() > MAX_SUBJECT {
        return Err(Refusal::claim("sub", "is longer than 255 bytes"));
    }
    note(Work::Lookup);
    let identity = policy.identities.search(|known| {
        note(Work::Probe);
        (known.issuer, known.value.as_str()).cmp(&(index, value))
    });
    let known = identity.ok_or(Stranger::Unknown).and_then(|identity| {
        let wanted = identity.client.as_deref();
        wanted.map_or(Ok(()), |wanted| client(&claims.custom, wanted))?;
        Ok(identity.consumer)
    });
    let scopes = scopes(&claims.custom)?;
    let kept = claim_value::kept(&claims.custom, written, &policy.claims);
    let who = known.map(|consumer| Principal {
        consumer,
        issuer: Some(index),
        subject: subject.to_owned(),
        scopes,
        claims: kept,
        credential: CredentialKind::Token,
        expires,
    });
    Ok(Claimed {
        who,
        issuer: index,
        window,
        bound,
        proof: None,
    })
}

/// The window of a token, and its bare expiry if it has one. Fractions of a second were cut off by the decoder.
fn times(claims: &Claims<Members>, rules: &Issuer) -> Result<(Window, Option<Timestamp>), Refusal> {
    let skew = u64::from(rules.clock_skew) * 1000;
    let millis = |name: &'static str, seconds: Option<i64>| match seconds {
        None => Ok(None),
        Some(seconds @ 0..=LAST_SECOND) => Ok(Some(seconds.unsigned_abs() * 1000)),
        Some(_) => Err(Refusal::claim(name, "is out of range")),
    };
    let expires = millis("exp", claims.expiration.map(|time| time.timestamp()))?;
    let not_before = millis("nbf", claims.not_before.map(|time| time.timestamp()))?;
    let issued = millis("iat", claims.issued_at.map(|time| time.timestamp()))?;
    if expires
        .zip(issued)
        .is_some_and(|(expires, issued)| expires <= issued)
    {
        return Err(Refusal::claim("exp", "is not after `iat`"));
    }
    if let Some(longest) = rules.max_lifetime {
        let issued = issued.ok_or(Refusal::claim("iat", "is missing"))?;
        let expires = expires.ok_or(Refusal::claim("exp", "is missing"))?;
        if expires - issued > u64::from(longest) * 1000 {
            return Err(Refusal::LifetimeTooLong);
        }
    }
    // A token from the future would live longer than `max_lifetime` from now on.
    let from = not_before
        .unwrap_or(0)
        .max(issued.unwrap_or(0))
        .saturating_sub(skew);
    let until = expires.map_or(Timestamp::MAX, |expires| expires.saturating_add(skew));
    Ok((Window::new(from, until), expires))
}

/// A claim that must be a non-empty string if it is there.
fn text<'a>(claims: &'a Members, name: &str) -> Result<Option<&'a str>, Refusal> {
    match claims.get(name) {
        None => Ok(None),
        Some(Json::Text(text)) if !text.is_empty() => Ok(Some(text)),
        Some(_) => Err(Refusal::claim(name.to_owned(), "is not a non-empty string")),
    }
}

/// Refuses a token that was not issued to this client: `client_id` (RFC 9068, 2.2) and `azp` (`OpenID`
/// Connect Core, 2) say to whom, and whichever of them is there must say the same.
fn client(claims: &Members, wanted: &str) -> Result<(), Stranger> {
    let mut named = false;
    for (name, wrong) in [("client_id", Stranger::ClientId), ("azp", Stranger::Azp)] {
        if let Some(client) = claims.get(name) {
            named = true;
            if client.text() != Some(wanted) {
                return Err(wrong);
            }
        }
    }
    if named { Ok(()) } else { Err(Stranger::NoClient) }
}

/// Whether `aud` (a string or a list of strings) holds one of these.
fn audience(claims: &Members, wanted: &[String]) -> Result<bool, Refusal> {
    const WRONG: &str = "is neither a string nor a list of strings";
    match claims.get("aud") {
        None => Ok(false),
        Some(Json::Text(one)) => Ok(wanted.contains(one)),
        Some(Json::List(list)) if list.iter().all(|item| item.text().is_some()) => Ok(list
            .iter()
            .filter_map(Json::text)
            .any(|one| wanted.iter().any(|w| w == one))),
        Some(_) => Err(Refusal::claim("aud", WRONG)),
    }
}

/// The scopes of `scope` and `scp`, each a string with spaces between (RFC 8693, 4.2) or a list of
/// strings, as issuers do it; sorted, each once.
fn scopes(claims: &Members) -> Result<Vec<String>, Refusal> {
    let mut scopes = Vec::new();
    for name in ["scope", "scp"] {
        let wrong = || Refusal::claim(name, "is not a list of scopes (RFC 6749, 3.3)");
        match claims.get(name) {
            None => {}
            Some(Json::Text(text)) => {
                scopes.extend(text.split(' ').filter(|scope| !scope.is_empty()));
            }
            Some(Json::List(list)) => {
                for scope in list {
                    scopes.push(scope.text().ok_or_else(wrong)?);
                }
            }
            Some(_) => return Err(wrong()),
        }
        let allowed = |byte: u8| matches!(byte, 0x21 | 0x23..=0x5b | 0x5d..=0x7e);
        let right = |scope: &&str| (1..=MAX_SCOPES).contains(&scope.len()) && scope.bytes().all(allowed);
        if scopes.len() > MAX_SCOPES || !scopes.iter().all(right) {
            return Err(wrong());
        }
    }
    let mut scopes = sorted::by(scopes, Ord::cmp);
    scopes.dedup();
    Ok(scopes.into_iter().map(str::to_owned).collect())
}
