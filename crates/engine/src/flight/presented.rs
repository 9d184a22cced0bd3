//! What a client presented, as it travels: it is looked at again once keys are there.

use serde::{Deserialize, Serialize};

use crate::identify;
use crate::shield::Shielded;

/// What a client presented to be identified, for as long as keys are being fetched.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub(crate) struct Presented {
    shielded: Shielded,
    authorization: Option<String>,
    x_api_key: Option<String>,
    api_key: Option<String>,
    x_goog_api_key: Option<String>,
    other: Option<String>,
    several: bool,
    dpop: bool,
    /// Proof, method, URL.
    proof: Option<Box<[String; 3]>>,
    /// The members of [`identify::ClientCertificate`], in their order.
    certificate: Option<Box<[Option<String>; 6]>>,
}

impl Presented {
    /// As the phase identify takes it.
    pub(crate) fn borrow(&self) -> identify::Presented<'_> {
        let [proof, method, url] = match &self.proof {
            Some(bound) => bound.each_ref().map(String::as_str),
            None => [""; 3],
        };
        let certificate = self.certificate.as_ref().map(|words| {
            let [presented, verified, revoked, whole, subject, issuer] =
                words.each_ref().map(Option::as_deref);
            identify::ClientCertificate {
                presented,
                verified,
                revoked,
                whole,
                subject,
                issuer,
            }
        });
        identify::Presented {
            shielded: self.shielded,
            authorization: self.authorization.as_deref(),
            x_api_key: self.x_api_key.as_deref(),
            api_key: self.api_key.as_deref(),
            x_goog_api_key: self.x_goog_api_key.as_deref(),
            other: self.other.as_deref(),
            several: self.several,
            certificate,
            proof: self.proof.as_ref().map(|_| proof),
            method,
            url,
            dpop: self.dpop,
        }
    }
}

impl From<&identify::Presented<'_>> for Presented {
    fn from(presented: &identify::Presented<'_>) -> Self {
        let proof = presented
            .proof
            .map(|proof| Box::new([proof, presented.method, presented.url].map(str::to_owned)));
        let certificate = presented.certificate.map(|shown| {
            let words = [
                shown.presented,
                shown.verified,
                shown.revoked,
                shown.whole,
                shown.subject,
                shown.issuer,
            ];
            Box::new(words.map(|word| word.map(str::to_owned)))
        });
        Self {
            shielded: presented.shielded,
            authorization: presented.authorization.map(str::to_owned),
            x_api_key: presented.x_api_key.map(str::to_owned),
            api_key: presented.api_key.map(str::to_owned),
            x_goog_api_key: presented.x_goog_api_key.map(str::to_owned),
            other: presented.other.map(str::to_owned),
            several: presented.several,
            dpop: presented.dpop,
            proof,
            certificate,
        }
    }
}
