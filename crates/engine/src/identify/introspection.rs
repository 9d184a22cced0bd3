//! Opaque tokens: who they prove is what their issuer says when it is asked (RFC 7662).
//!
//! Only `active: true`, in an answer that comes in time and has its form, opens anything, and what is in it is held
//! against the policy as the claims of a JWT are. A token that is no good is told from an answer that is: the one is
//! the caller's fault (401), the other is nobody's that a client could mend (503), and neither lets pass.
//!
//! What is active lies among the verified tokens ([`super::cache`]), for as long as the policy says and never past
//! its end; what is not in a table of its own, so that a flood of it pushes out no good token. How much is asked is
//! bounded: of one token one request asks at a time, of all no more than [`MAX_ASKED`], and of tokens that turn out
//! to be no good so many a second as the policy says. Tokens that were active lately have that rate for themselves,
//! so that a flood of made-up ones does not shut them out when they are to be asked about again. Nobody waits for
//! another's question itself, which may go with its request; who finds one under way looks again a little later.

use std::borrow::Cow;
use std::collections::BTreeMap;

use jwt_compact::Claims;
use serde::{Deserialize, Serialize};
use turnpike_policy::{Compiled, Introspection, Issuer, Timestamp};

use super::bound::Bound;
use super::cache::{Digest, Entry};
use super::claim_value::Written;
use super::claims::{self, Stranger, Window};
use super::flow::{Outcome, Store};
use super::json::{Json, Members};
use super::key_store::May;
use super::{Principal, Refusal};
use crate::known::Known;
use crate::meter::gcra::Tat;
use crate::step::{Client, Decide, Undecided};

/// The most tokens that an isolate asks about at one time.
pub(super) const MAX_ASKED: usize = 64;
/// The most bytes of an answer.
const MAX_ANSWER: u32 = 64 * 1024;
/// How much longer than an answer may take a question is held to be under way, in milliseconds.
const GRACE: u64 = 500;
/// For how long a token is told from made-up ones once it is to be asked about again, in milliseconds.
pub(super) const LATELY: u64 = 10 * 60 * 1000;
/// What verified these: not a key.
const NO_KEY: super::keys::Generation = 0;

/// Members that say what kind of token it is (RFC 7662; what others call it), and what it may be: a refresh token
/// or an ID token opens nothing, and one that is bound to a key needs a proof.
const KINDS: [(&str, &[&str]); 3] = [
    ("token_type", &["bearer", "access_token"]),
    ("token_use", &["access", "access_token"]),
    ("typ", &["bearer", "jwt", "at+jwt"]),
];

/// A question about a token.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct IntrospectAsk {
    /// What is to be done.
    pub ask: Decide,
    /// To be handed back to [`introspected`].
    pub asked: Asked,
}

/// The token that is asked about.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub(crate) struct Asked {
    issuer: u32,
    digest: Digest,
    /// Until when its question is believed to be under way.
    until: Timestamp,
    /// Whether it was active lately, and so by which rate it is asked about.
    lately: bool,
    /// The consumers that the certificate beside it proves (indices into the policy's list).
    owners: Vec<u32>,
}

/// What an isolate remembers of opaque tokens that are no good, and of questions.
#[derive(Default)]
pub(super) struct Introspections {
    /// The issuers that are asked (indices into [`Compiled::issuers`]).
    issuers: Vec<u32>,
    refused: Known,
    /// What was active when it was asked about last.
    lately: Known,
    /// What is being asked about, and until when that is believed.
    under_way: BTreeMap<Digest, Timestamp>,
    /// By issuer: what was asked and has found no good token.
    spent: BTreeMap<u32, Tat>,
    /// The same of tokens that were active lately.
    spent_lately: BTreeMap<u32, Tat>,
}

impl Introspections {
    pub(super) fn new(policy: &Compiled) -> Self {
        let asked = (0..)
            .zip(&policy.issuers)
            .filter(|(_, issuer)| issuer.introspection.is_some());
        Self {
            issuers: asked.map(|(index, _)| index).collect(),
            ..Self::default()
        }
    }

    /// The issuer that is asked about a token: the one whose prefix it begins with, or, if it has not the dots of a
    /// JWT, the one that has none.
    pub(super) fn issuer(&self, policy: &Compiled, token: &str) -> Option<u32> {
        let mut other = None;
        for index in &self.issuers {
            let (_, introspection) = asked_of(policy, *index)?;
            if introspection.prefix.is_empty() {
                other = Some(*index);
            } else if token.starts_with(introspection.prefix.as_str()) {
                return Some(*index);
            }
        }
        other.filter(|_| token.bytes().filter(|byte| *byte == b'.').count() < 2)
    }

    /// What was asked in vain of such tokens.
    const fn spent(&mut self, lately: bool) -> &mut BTreeMap<u32, Tat> {
        if lately {
            &mut self.spent_lately
        } else {
            &mut self.spent
        }
    }

    /// Claims a question; what is to be done instead.
    fn claim(
        &mut self,
        (index, introspection): (u32, &Introspection),
        (digest, lately): (Digest, bool),
        now: Timestamp,
        may: May,
    ) -> Result<Timestamp, Instead> {
        let under_way = self.under_way.get(&digest).is_some_and(|until| now < *until);
        if under_way {
            return Err(if may.wait {
                Instead::Wait
            } else {
                Instead::Unavailable("it is being asked about the token, and has not answered")
            });
        }
        if self.under_way.len() >= MAX_ASKED {
            self.under_way.retain(|_, until| now < *until);
        }
        if self.under_way.len() >= MAX_ASKED {
            return Err(if may.wait {
                Instead::Wait
            } else {
                Instead::Unavailable("as many tokens are being asked about as may be at one time")
            });
        }
        let spent = self.spent(lately).entry(index).or_default();
        *spent = spent
            .take(&introspection.rate, now, 1)
            .map_err(|_| Instead::Unavailable("too many tokens that were no good were asked about"))?;
        let until = now.saturating_add(introspection.timeout).saturating_add(GRACE);
        self.under_way.insert(digest, until);
        Ok(until)
    }
}

enum Instead {
    Wait,
    Unavailable(&'static str),
}

/// How an issuer is asked.
fn asked_of(policy: &Compiled, index: u32) -> Option<(&Issuer, &Introspection)> {
    let issuer = policy.issuers.get(usize::try_from(index).ok()?)?;
    Some((issuer, issuer.introspection.as_ref()?))
}

fn unavailable(issuer: &Issuer, why: impl Into<Cow<'static, str>>) -> Refusal {
    Refusal::IntrospectionUnavailable {
        issuer: issuer.name.clone(),
        why: why.into(),
    }
}

/// What is known of an opaque token, or whom to ask.
pub(super) fn begin(
    policy: &Compiled,
    store: &mut Store,
    (token, index): (&str, u32),
    owners: Vec<u32>,
    now: Timestamp,
    may: May,
) -> Result<Outcome, Refusal> {
    let (issuer, introspection) =
        asked_of(policy, index).ok_or(Refusal::Malformed("nobody is asked about this token"))?;
    // It is never kept whole, as a JWT is: comparing it with others byte by byte would tell of them.
    let digest = store.cache.digest(token);
    if let Some(hit) = store.cache.get(&digest, now) {
        return alone(hit.principal.clone(), &owners).map(Outcome::Known);
    }
    let opaque = &mut store.opaque;
    if opaque.refused.holds(&digest, now) {
        return Err(Refusal::Inactive("it was no good a moment ago"));
    }
    let lately = opaque.lately.holds(&digest, now);
    let until = match opaque.claim((index, introspection), (digest, lately), now, may) {
        Ok(until) => until,
        Err(Instead::Wait) => return Ok(Outcome::Wait(0)),
        Err(Instead::Unavailable(why)) => return Err(unavailable(issuer, why)),
    };
    Ok(Outcome::Introspect(Box::new(IntrospectAsk {
        ask: Decide {
            url: introspection.endpoint.clone(),
            body: form(token),
            secret: Some(introspection.secret.clone()),
            client: Some(Client {
                id: introspection.client_id.clone(),
                post: introspection.post,
            }),
            max: MAX_ANSWER,
            within: introspection.timeout,
        },
        asked: Asked {
            issuer: index,
            digest,
            until,
            lately,
            owners,
        },
    })))
}

/// Whom a token proves, if the certificate beside it is nobody else's.
fn alone(principal: Principal, owners: &[u32]) -> Result<Principal, Refusal> {
    if owners.iter().any(|owner| *owner != principal.consumer) {
        return Err(Refusal::Ambiguous);
    }
    Ok(principal)
}

/// The question as a form (RFC 7662, 2.1). A b64token has three characters that mean something else there.
fn form(token: &str) -> String {
    let mut form = String::with_capacity(token.len() + 64);
    form.push_str("token=");
    for character in token.chars() {
        match character {
            '+' => form.push_str("%2B"),
            '/' => form.push_str("%2F"),
            '=' => form.push_str("%3D"),
            other => form.push(other),
        }
    }
    form.push_str("&token_type_hint=access_token");
    form
}

/// Ends after [`Outcome::Introspect`]: with the bytes of an answer of status 200 in JSON, or why there is none.
pub(crate) fn introspected(
    policy: &Compiled,
    store: &mut Store,
    asked: &Asked,
    answer: Result<&[u8], Undecided>,
    now: Timestamp,
) -> Result<Principal, Refusal> {
    let (index, digest) = (asked.issuer, asked.digest);
    let (issuer, introspection) =
        asked_of(policy, index).ok_or(Refusal::Malformed("nobody is asked about this token"))?;
    let opaque = &mut store.opaque;
    // Another request may ask by now, if this answer comes late.
    if opaque.under_way.get(&digest) == Some(&asked.until) {
        opaque.under_way.remove(&digest);
    }
    let read = answer
        .map_err(|failure| unavailable(issuer, failure.why()))
        .and_then(|answer| read(policy, (index, issuer), answer, now));
    match read {
        Ok(principal) => {
            // A question that found a good token was not asked in vain.
            if let Some(spent) = opaque.spent(asked.lately).get_mut(&index) {
                *spent = spent.less(&introspection.rate, 1);
            }
            let until = now.saturating_add(introspection.active_for);
            let until = principal.expires.map_or(until, |expires| expires.min(until));
            opaque.lately.keep(digest, until.saturating_add(LATELY));
            if now < until {
                let entry = Entry {
                    principal: principal.clone(),
                    window: Window::new(now, until),
                    issuer: index,
                    generation: NO_KEY,
                    bound: Bound::default(),
                };
                store.cache.insert(digest, entry);
            }
            alone(principal, &asked.owners)
        }
        Err(refusal) => {
            if !refusal.is_fault() {
                opaque.lately.forget(&digest);
                if introspection.inactive_for > 0 {
                    let until = now.saturating_add(introspection.inactive_for);
                    opaque.refused.keep(digest, until);
                }
            }
            Err(refusal)
        }
    }
}

/// Who an answer proves.
fn read(
    policy: &Compiled,
    (index, issuer): (u32, &Issuer),
    answer: &[u8],
    now: Timestamp,
) -> Result<Principal, Refusal> {
    let claims: Claims<Members> = serde_json::from_slice(answer)
        .map_err(|_| unavailable(issuer, "its answer is not an object as RFC 7662 has it"))?;
    let said = &claims.custom;
    match said.get("active") {
        Some(Json::Flag(true)) => {}
        Some(Json::Flag(false)) => return Err(Refusal::Inactive("its issuer says that it is not active")),
        _ => return Err(unavailable(issuer, "`active` of its answer is not true or false")),
    }
    match said.get("iss") {
        None => {}
        Some(Json::Text(named)) if *named == issuer.issuer => {}
        Some(Json::Text(named)) => return Err(Refusal::unknown_issuer(named)),
        Some(_) => return Err(unavailable(issuer, "`iss` of its answer is not a string")),
    }
    for (name, right) in KINDS {
        let Some(kind) = said.get(name) else { continue };
        let kind = kind.text().unwrap_or_default();
        if !right.iter().any(|right| kind.eq_ignore_ascii_case(right)) {
            return Err(Refusal::claim(
                name,
                "is not that of an access token without a proof",
            ));
        }
    }
    let claimed = claims::claimed(policy, (index, issuer), &claims, Written::Json(answer), now);
    // A claim that is not as it must be is its issuer's fault here, and no caller can mend it; but for one
    // that asks for a proof.
    let claimed = claimed.map_err(|refusal| match refusal {
        Refusal::ClaimInvalid { name, why } if name != "cnf" => unavailable(issuer, {
            let mut text = String::from("`");
            text.push_str(&name);
            text.push_str("` of its answer ");
            text.push_str(why);
            text
        }),
        other => other,
    })?;
    if claimed.bound != Bound::default() {
        return Err(Refusal::claim("cnf", "of an opaque token is not looked at"));
    }
    claimed.who.map_err(Stranger::refusal)
}
