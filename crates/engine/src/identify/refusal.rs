//! Why a credential was refused, as precisely as the log wants it.

use std::borrow::Cow;

use super::encoding::shown;

/// Why a credential was refused. Each maps to one stable code; what a client is told is decided
/// elsewhere and says less.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Refusal {
    /// No credential was sent.
    Missing,
    /// Two credentials that differ, or several in one header.
    Ambiguous,
    /// The credential, or a part of a token, does not have the form that it must have.
    Malformed(&'static str),
    /// `iss` names no issuer of the policy (shown here bounded, without control characters).
    UnknownIssuer(String),
    /// The token's algorithm is not one that its issuer, or the key it names, allows.
    AlgorithmNotAllowed(&'static str),
    /// The issuer has no (one) key for this token.
    KeyUnknown(&'static str),
    /// The signature is wrong.
    SignatureInvalid,
    /// `exp` has passed.
    Expired,
    /// `nbf` or `iat` lies in the future.
    NotYetValid,
    /// `exp` lies further from `iat` than the issuer's `max_lifetime`.
    LifetimeTooLong,
    /// `aud` holds none of the issuer's audiences.
    AudienceMismatch,
    /// A claim is missing that must be there, or has a value that it must not have.
    ClaimInvalid {
        /// The claim.
        name: Cow<'static, str>,
        /// What is wrong with it.
        why: &'static str,
    },
    /// The token is right, but the policy names no consumer for it.
    ConsumerUnknown,
    /// No API key has this hash.
    KeyRevokedOrUnknown,
    /// The API key's date has passed.
    KeyExpired,
    /// The client certificate is nobody's, or not the one that the token is bound to.
    Certificate(&'static str),
    /// The token is bound to a key, and the proof of it is missing, wrong, or was used before.
    Proof(&'static str),
    /// The issuer's keys cannot be had: the gateway's failure, not the caller's.
    KeysUnavailable {
        /// The issuer's name in the policy.
        issuer: String,
        /// What is known about it.
        why: &'static str,
    },
    /// The token's issuer cannot be asked about it, or its answer makes no sense: the gateway's failure.
    IntrospectionUnavailable {
        /// The issuer's name in the policy.
        issuer: String,
        /// What is known about it.
        why: Cow<'static, str>,
    },
    /// An opaque token that is no good.
    Inactive(&'static str),
    /// The Worker secret of an HMAC issuer is absent or too short: the gateway's failure.
    SecretMissing {
        /// The secret's name.
        secret: String,
        /// What is wrong with it.
        why: &'static str,
    },
}

impl Refusal {
    /// Whether the gateway, and not the caller, is at fault.
    pub(crate) const fn is_fault(&self) -> bool {
        matches!(
            self,
            Self::KeysUnavailable { .. } | Self::IntrospectionUnavailable { .. } | Self::SecretMissing { .. }
        )
    }

    /// The reason in words, for the log. Never holds a token, a key or a secret.
    pub(crate) fn reason(&self) -> Cow<'static, str> {
        match self {
            Self::Missing => "no credential".into(),
            Self::Ambiguous => "more than one credential".into(),
            Self::Malformed(why)
            | Self::AlgorithmNotAllowed(why)
            | Self::KeyUnknown(why)
            | Self::Certificate(why)
            | Self::Proof(why)
            | Self::Inactive(why) => Cow::Borrowed(why),
            Self::IntrospectionUnavailable { issuer, why } => {
                format!("the issuer `{issuer}` cannot be asked about the token: {why}").into()
            }
            Self::UnknownIssuer(issuer) => format!("no issuer is `{issuer}`").into(),
            Self::SignatureInvalid => "the signature is wrong".into(),
            Self::Expired => "the token has expired".into(),
            Self::NotYetValid => "the token is not valid yet (`nbf` or `iat`)".into(),
            Self::LifetimeTooLong => "the token lives longer than `max_lifetime`".into(),
            Self::AudienceMismatch => "`aud` holds none of the issuer's audiences".into(),
            Self::ClaimInvalid { name, why } => format!("`{name}` {why}").into(),
            Self::ConsumerUnknown => "no consumer has this identity".into(),
            Self::KeyRevokedOrUnknown => "no API key has this hash".into(),
            Self::KeyExpired => "the API key has expired".into(),
            Self::KeysUnavailable { issuer, why } => format!("the keys of issuer `{issuer}`: {why}").into(),
            Self::SecretMissing { secret, why } => format!("the secret `{secret}` {why}").into(),
        }
    }

    /// A refusal because of a claim.
    pub(super) fn claim(name: impl Into<Cow<'static, str>>, why: &'static str) -> Self {
        Self::ClaimInvalid {
            name: name.into(),
            why,
        }
    }

    /// A refusal because of an issuer that the policy does not name.
    pub(super) fn unknown_issuer(issuer: &str) -> Self {
        Self::UnknownIssuer(shown(issuer))
    }
}
