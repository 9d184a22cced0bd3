//! Client certificates for a gateway that is played: the least that has the form of one, which nobody has signed.
//! Whether one is right the platform says in the Worker; here it always is.

use base64ct::{Base64, Encoding as _};
use sha2::{Digest as _, Sha256};
use turnpike_engine::step::ClientCertificate;

/// A certificate as the platform would tell of it.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Certificate {
    der: Vec<u8>,
    key: Vec<u8>,
    whole: String,
    subject: String,
    issuer: String,
}

impl Certificate {
    /// One for a key, of which only the bytes matter.
    pub(super) fn new(key: &[u8], subject: &str, issuer: &str) -> Self {
        let key = sequence(&[element(0x03, key)]);
        let validity = sequence(&[element(0x17, b"700101000000Z"), element(0x18, b"99991231235959Z")]);
        let empty = || sequence(&[]);
        let signed = sequence(&[
            element(0x02, &[1]),
            empty(),
            empty(),
            validity,
            empty(),
            key.clone(),
        ]);
        let der = sequence(&[signed, empty(), element(0x03, &[0])]);
        Self {
            whole: format!(":{}:", Base64::encode_string(&der)),
            der,
            key,
            subject: subject.to_owned(),
            issuer: issuer.to_owned(),
        }
    }

    /// The SHA-256 of its public key.
    pub(super) fn key_hash(&self) -> [u8; 32] {
        Sha256::digest(&self.key).into()
    }

    /// Its thumbprint (RFC 8705).
    pub(super) fn thumbprint(&self) -> [u8; 32] {
        Sha256::digest(&self.der).into()
    }

    pub(super) fn shown(&self) -> ClientCertificate<'_> {
        ClientCertificate {
            presented: Some("1"),
            verified: Some("SUCCESS"),
            revoked: Some("0"),
            whole: Some(&self.whole),
            subject: Some(&self.subject),
            issuer: Some(&self.issuer),
        }
    }
}

fn sequence(elements: &[Vec<u8>]) -> Vec<u8> {
    element(0x30, &elements.concat())
}

/// A value in DER.
fn element(tag: u8, content: &[u8]) -> Vec<u8> {
    let length = content.len().to_be_bytes();
    let length = length
        .iter()
        .position(|byte| *byte != 0)
        .map_or(&[0][..], |at| length.get(at..).unwrap_or_default());
    let mut bytes = vec![tag];
    match length {
        [short] if *short < 0x80 => bytes.push(*short),
        long => {
            bytes.push(0x80 | u8::try_from(long.len()).unwrap_or(0));
            bytes.extend_from_slice(long);
        }
    }
    bytes.extend_from_slice(content);
    bytes
}
