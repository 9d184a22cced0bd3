//! Tokens that are good only together with something their caller has (RFC 7800): a key that it proves by DPoP (RFC
//! 9449), a client certificate (RFC 8705), or both.
//!
//! What a token is bound to is a claim of it, so it is remembered with the token; that the caller has it is found out
//! anew for each request.

use serde::{Deserialize, Serialize};
use turnpike_policy::{Binding, Issuer, Timestamp};

use super::certificate::Leaf;
use super::dpop::{self, Proof};
use super::encoding::from_base64url;
use super::json::{Json, Members};
use super::{Presented, Refusal};

/// What a token is bound to: SHA-256 of each. Nothing: whoever has it may use it.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct Bound {
    /// The thumbprint of a key (`jkt`, RFC 7638).
    key: Option<[u8; 32]>,
    /// The thumbprint of a certificate (`x5t#S256`).
    certificate: Option<[u8; 32]>,
}

impl Bound {
    /// What the claims of a token bind it to, if its issuer may do so here.
    pub(super) fn of(claims: &Members, rules: &Issuer) -> Result<Self, Refusal> {
        let wrong = |why| Err(Refusal::claim("cnf", why));
        let mut bound = Self::default();
        match claims.get("cnf") {
            None => {}
            Some(Json::Object(members)) if members.iter().next().is_some() => {
                for (name, value) in members.iter() {
                    let (binding, place) = match name {
                        "jkt" => (rules.dpop, &mut bound.key),
                        "x5t#S256" => (rules.certificate_bound, &mut bound.certificate),
                        // It must be proved, and nobody here could tell whether it is.
                        _ => return wrong("asks for another proof of possession than is known"),
                    };
                    if binding == Binding::Refused {
                        return wrong("asks for a proof of possession that the issuer's rules do not take");
                    }
                    let hash = value.text().and_then(from_base64url);
                    let Some(hash) = hash.and_then(|hash| hash.try_into().ok()) else {
                        return wrong("is not a SHA-256 in base64url");
                    };
                    *place = Some(hash);
                }
            }
            Some(_) => return wrong("is not an object that names a proof of possession"),
        }
        if rules.dpop == Binding::Required && bound.key.is_none() {
            return wrong("does not bind the token to a key (`jkt`)");
        }
        if rules.certificate_bound == Binding::Required && bound.certificate.is_none() {
            return wrong("does not bind the token to a certificate (`x5t#S256`)");
        }
        Ok(bound)
    }

    /// Whether the caller has what a token is bound to, but for the signature of a proof, which is to be verified
    /// next. `skew`: by how much clocks may differ, in milliseconds.
    pub(super) fn check(
        self,
        token: &str,
        presented: &Presented<'_>,
        leaf: Result<Option<&Leaf<'_>>, &Refusal>,
        (skew, now): (u64, Timestamp),
    ) -> Result<Option<Box<Proof>>, Refusal> {
        if let Some(wanted) = self.certificate {
            let leaf = leaf.map_err(Clone::clone)?;
            match leaf {
                Some(leaf) if leaf.thumbprint() == wanted => {}
                Some(_) => return Err(Refusal::Certificate("the token is bound to another certificate")),
                None => {
                    return Err(Refusal::Certificate(
                        "the token is bound to a certificate, and none was shown",
                    ));
                }
            }
        }
        match (self.key, presented.is_dpop()) {
            (None, false) => Ok(None),
            (Some(key), true) => {
                dpop::check(token, &key, presented, skew, now).map(|proof| Some(Box::new(proof)))
            }
            // With what it would be good for is not there: the token alone may be stolen.
            (Some(_), false) => Err(Refusal::claim("cnf", "asks for the scheme `DPoP` and a proof")),
            (None, true) => Err(Refusal::claim(
                "cnf",
                "does not bind the token, which came as `DPoP`, to a key",
            )),
        }
    }
}
