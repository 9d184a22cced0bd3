//! Phase 4, identify: from a credential to a [`Principal`].
//!
//! A credential is an API key, known by its SHA-256 alone, a client certificate that the platform has verified, or a
//! token of an issuer that the policy names: a signed one (JWT, RFC 7519), or an opaque one that its issuer is asked
//! about ([`introspection`]). Nothing here does I/O or knows a clock: [`begin`] answers at once
//! where it can, and otherwise says what it needs (a signature verified, a key set fetched, a while to pass)
//! and is continued by [`verified`], [`keys_fetched`], [`introspected`] or [`waited`]. What is to be done beside a request, which
//! does not wait for it, [`due`] says.
//!
//! What a signed token says is believed only after its signature is verified with a key of the issuer that
//! the *policy* names for it, by an algorithm that the *policy* lists and the *key* agrees to.
//! Nothing in a token chooses a key by other means than its `kid`, and nothing in it is fetched.
//!
//! Times are Unix milliseconds throughout.

mod api_key;
mod bound;
mod cache;
mod certificate;
mod claim_value;
mod claims;
mod credential;
mod dpop;
mod encoding;
mod flow;
mod introspection;
mod json;
mod jwk;
mod key_store;
mod keys;
mod metadata;
mod refusal;
mod token;
mod work;

#[cfg(test)]
mod tests;

use serde::{Deserialize, Serialize};
use turnpike_policy::{ClaimKind, Compiled, Timestamp};

use crate::shield::Shielded;

pub use certificate::ClientCertificate;
pub(crate) use certificate::names as certificate_names;
pub(crate) use claim_value::ClaimValue;
pub(crate) use credential::Presented;
pub(crate) use flow::{
    KeysAsk, Outcome, Pending, Proven, Store, begin, copied, due, keys_copied, keys_fetched, refreshed,
    shares, verified, waited,
};
pub(crate) use introspection::{Asked, introspected};
pub(crate) use key_store::Part;
pub(crate) use refusal::Refusal;

/// Who calls, as proven by a credential. Only this module makes it, of what a request that the shield let pass presents.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Principal {
    consumer: u32,
    issuer: Option<u32>,
    subject: String,
    scopes: Vec<String>,
    /// What its token says of [`turnpike_policy::Compiled::claims`], in that order. Others say nothing,
    /// and this may then be empty.
    claims: Vec<Option<ClaimValue>>,
    credential: CredentialKind,
    /// The credential's own expiry, without any leeway for clocks.
    expires: Option<Timestamp>,
}

/// Who asks for something that may be open to everybody.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub(crate) enum Caller {
    /// Somebody who was not looked at.
    Anybody(Shielded),
    /// Who proved it.
    Known(Principal),
}

impl Caller {
    /// Who it is, where that is known.
    pub(crate) const fn known(&self) -> Option<&Principal> {
        match self {
            Self::Known(principal) => Some(principal),
            Self::Anybody(_) => None,
        }
    }
}

impl Principal {
    /// Somebody of whom a token of the first issuer says this, for tests of what looks at claims alone.
    #[cfg(test)]
    pub(crate) fn claiming(claims: Vec<Option<ClaimValue>>) -> Self {
        Self {
            consumer: 0,
            issuer: Some(0),
            subject: "somebody".to_owned(),
            scopes: Vec::new(),
            claims,
            credential: CredentialKind::Token,
            expires: None,
        }
    }

    /// Index into [`turnpike_policy::Compiled::consumers`].
    pub(crate) const fn consumer(&self) -> u32 {
        self.consumer
    }

    /// Index into [`turnpike_policy::Compiled::issuers`]; none for an API key or a certificate.
    pub(crate) const fn issuer(&self) -> Option<u32> {
        self.issuer
    }

    /// A token's `sub` (its consumer claim if it has none), the public part of an API key, or the name by which the
    /// policy knows a certificate; at most 255 bytes, unique only within its issuer and kind.
    pub(crate) fn subject(&self) -> &str {
        &self.subject
    }

    /// What the credential was given for (OAuth scopes), sorted, each once.
    pub(crate) fn scopes(&self) -> &[String] {
        &self.scopes
    }

    /// Which kind of credential it was.
    pub(crate) const fn credential(&self) -> CredentialKind {
        self.credential
    }

    /// What its token says of a claim that the policy names, whoever issued it; none of any other.
    pub(crate) fn claim(&self, policy: &Compiled, name: &str) -> Option<&ClaimValue> {
        let place = policy.claims.iter().position(|known| known.path == [name])?;
        self.claims.get(place)?.as_ref()
    }

    /// What its token says of a claim that its issuer declares, and as what.
    pub(crate) fn declared(&self, policy: &Compiled, path: &[String]) -> Option<(ClaimKind, &ClaimValue)> {
        let place = policy.claims.iter().position(|known| known.path == path)?;
        let claim = policy.claims.get(place)?;
        // What another issuer says by that name may mean anything.
        let kind = claim
            .kind
            .filter(|_| self.issuer.is_some_and(|issuer| claim.issuers.contains(&issuer)))?;
        Some((kind, self.claims.get(place)?.as_ref()?))
    }
}

/// The kinds of credentials.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) enum CredentialKind {
    /// A token of an issuer.
    Token,
    /// An API key.
    Key,
    /// A client certificate.
    Certificate,
}
