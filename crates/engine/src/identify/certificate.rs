//! Client certificates (mTLS): whose a certificate is that the platform has verified.
//!
//! The platform ends the TLS connection, so it alone can say that the caller has the certificate's private key and
//! that an authority vouches for it. What it says of that is taken from its own words and never from a header. What is *in* the
//! certificate is read here, from the certificate itself: its public key (by whose hash a consumer is known), its
//! dates, and its thumbprint (to which tokens may be bound, RFC 8705). A certificate that is not verified, is
//! revoked, out of date or cannot be read is nobody's.

use sha2::{Digest, Sha256};
use turnpike_policy::{CertificateCredential, CertificateName, Compiled, Timestamp};

use super::encoding::from_base64url;
use super::work::{Work, note};
use super::{CredentialKind, Principal, Refusal};
use crate::dates;
use turnpike_policy::hex;

/// The most characters of a certificate as the platform writes it: it has a bound of 10 KiB itself.
const MAX_TEXT: usize = 16 * 1024;

/// What the platform says of the certificate of a connection: the members of `cf.tlsClientAuth`, each as it is; none
/// where it is not there.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct ClientCertificate<'a> {
    /// `certPresented`: `1` if the client has shown one.
    pub presented: Option<&'a str>,
    /// `certVerified`: `SUCCESS`, or why not.
    pub verified: Option<&'a str>,
    /// `certRevoked`: `0`, or `1`.
    pub revoked: Option<&'a str>,
    /// `certRFC9440`: the certificate in DER, in base64 between colons (RFC 9440, 2.1).
    pub whole: Option<&'a str>,
    /// `certSubjectDNRFC2253`.
    pub subject: Option<&'a str>,
    /// `certIssuerDNRFC2253`.
    pub issuer: Option<&'a str>,
}

/// A certificate that is good now.
#[derive(Clone, Debug)]
pub(super) struct Leaf<'a> {
    der: Vec<u8>,
    /// SHA-256 of its `SubjectPublicKeyInfo`.
    key: [u8; 32],
    subject: &'a str,
    issuer: &'a str,
    /// Its last instant.
    until: Timestamp,
}

impl<'a> Leaf<'a> {
    /// The certificate of a connection; none: the client has shown none. The error says why it is nobody's.
    pub(super) fn of(shown: &ClientCertificate<'a>, now: Timestamp) -> Result<Option<Self>, Refusal> {
        if shown.presented != Some("1") {
            return Ok(None);
        }
        let no = |why| Err(Refusal::Certificate(why));
        if shown.verified != Some("SUCCESS") {
            return no("the platform has not verified the client certificate");
        }
        if shown.revoked != Some("0") {
            return no("the client certificate is revoked");
        }
        let text = shown.whole.unwrap_or_default();
        if text.is_empty() || text.len() > MAX_TEXT {
            return no("the platform does not hand the client certificate over");
        }
        let read = (|| {
            let der = byte_sequence(text)?;
            let (key, from, until) = fields(&der)?;
            note(Work::Hash);
            let key = Sha256::digest(key).into();
            Some((der, key, from, until))
        })();
        let Some((der, key, from, until)) = read else {
            return no("the client certificate cannot be read");
        };
        if now < from {
            return no("the client certificate is not valid yet");
        }
        if now > until {
            return no("the client certificate has expired");
        }
        Ok(Some(Self {
            der,
            key,
            subject: shown.subject.unwrap_or_default(),
            issuer: shown.issuer.unwrap_or_default(),
            until,
        }))
    }

    /// What it may be denied by: the SHA-256 of its key, and its subject.
    pub(super) fn names(&self) -> Vec<String> {
        vec![hex(&self.key), self.subject.to_owned()]
    }

    /// Its thumbprint (RFC 8705, 3.1).
    pub(super) fn thumbprint(&self) -> [u8; 32] {
        note(Work::Hash);
        Sha256::digest(&self.der).into()
    }

    /// Whom it proves by itself.
    pub(super) fn owner(&self, policy: &Compiled, now: Timestamp) -> Result<Principal, Refusal> {
        let mut entries = self.entries(policy);
        let mut good = entries.clone().filter(|known| counts(known, now));
        let Some(known) = good.next() else {
            return Err(match entries.next() {
                Some(_) => Refusal::Certificate("the certificate's entry in the policy has ended"),
                None => Refusal::ConsumerUnknown,
            });
        };
        if good.any(|other| other.consumer != known.consumer) {
            return Err(Refusal::Certificate(
                "the client certificate is that of two consumers",
            ));
        }
        let subject = match &known.by {
            CertificateName::Key(key) => hex(key),
            CertificateName::Subject(_, subject) => subject.clone(),
        };
        Ok(Principal {
            consumer: known.consumer,
            issuer: None,
            subject,
            scopes: known.scopes.clone(),
            claims: Vec::new(),
            credential: CredentialKind::Certificate,
            expires: Some(known.expires.map_or(self.until, |end| end.min(self.until))),
        })
    }

    /// The consumers that it proves (indices into the policy's list): one, or it is good for nothing.
    pub(super) fn owners(&self, policy: &Compiled, now: Timestamp) -> Vec<u32> {
        self.entries(policy)
            .filter(|known| counts(known, now))
            .map(|known| known.consumer)
            .collect()
    }

    /// Where the policy names it: by its key, and by its names.
    fn entries<'p>(&self, policy: &'p Compiled) -> impl Iterator<Item = &'p CertificateCredential> + Clone {
        let name = CertificateName::Subject(self.issuer.to_owned(), self.subject.to_owned());
        let found = [CertificateName::Key(self.key), name].map(|name| find(policy, &name));
        found.into_iter().flatten()
    }
}

/// What a certificate may be denied by that is shown and counts; nothing, if none does.
pub(crate) fn names(shown: &ClientCertificate<'_>, now: Timestamp) -> Vec<String> {
    let leaf = Leaf::of(shown, now).ok().flatten();
    leaf.map_or_else(Vec::new, |leaf| leaf.names())
}

/// Whether an entry has not ended.
fn counts(known: &CertificateCredential, now: Timestamp) -> bool {
    known.expires.is_none_or(|end| now < end)
}

fn find<'a>(policy: &'a Compiled, name: &CertificateName) -> Option<&'a CertificateCredential> {
    note(Work::Lookup);
    let found = policy.certificates.binary_search_by(|known| {
        note(Work::Probe);
        known.by.cmp(name)
    });
    policy.certificates.get(found.ok()?)
}

/// A byte sequence of structured fields (RFC 8941, 3.3.5): base64 with its padding, between colons.
fn byte_sequence(text: &str) -> Option<Vec<u8>> {
    let text = text.strip_prefix(':')?.strip_suffix(':')?;
    let digits = text.trim_end_matches('=');
    // One value has one text: padded to a multiple of four, and of the two alphabets the right one.
    let padding = text.len() - digits.len();
    let padded = text.len().is_multiple_of(4) && padding <= 2;
    if !padded || digits.contains(['-', '_']) {
        return None;
    }
    from_base64url(&digits.replace('+', "-").replace('/', "_"))
}

/// The `SubjectPublicKeyInfo` of a certificate in DER (RFC 5280, 4.1), whole, and its first and last instant.
fn fields(der: &[u8]) -> Option<(&[u8], Timestamp, Timestamp)> {
    let mut outer = Der(der);
    let certificate = outer.take(SEQUENCE)?;
    let mut certificate = Der(certificate.content);
    let mut signed = Der(certificate.take(SEQUENCE)?.content);
    certificate.take(SEQUENCE)?;
    certificate.take(BIT_STRING)?;
    if !outer.0.is_empty() || !certificate.0.is_empty() {
        return None;
    }
    if signed.0.first() == Some(&VERSION) {
        signed.take(VERSION)?;
    }
    signed.take(INTEGER)?;
    signed.take(SEQUENCE)?;
    // The issuer.
    signed.take(SEQUENCE)?;
    let mut validity = Der(signed.take(SEQUENCE)?.content);
    let (from, until) = (validity.time()?, validity.time()?);
    if !validity.0.is_empty() {
        return None;
    }
    // The subject.
    signed.take(SEQUENCE)?;
    let key = signed.take(SEQUENCE)?;
    // Of what follows (unique identifiers, extensions) only the form matters.
    while !signed.0.is_empty() {
        signed.any()?;
    }
    Some((key.whole, from, until))
}

const INTEGER: u8 = 0x02;
const BIT_STRING: u8 = 0x03;
const UTC_TIME: u8 = 0x17;
const GENERALIZED_TIME: u8 = 0x18;
const SEQUENCE: u8 = 0x30;
/// `[0]`, explicit: the version.
const VERSION: u8 = 0xa0;

/// What is left of a DER encoding (X.690, 10).
struct Der<'a>(&'a [u8]);

/// One value of it.
struct Element<'a> {
    tag: u8,
    whole: &'a [u8],
    content: &'a [u8],
}

impl<'a> Der<'a> {
    /// The next value, which has this tag.
    fn take(&mut self, tag: u8) -> Option<Element<'a>> {
        self.any().filter(|element| element.tag == tag)
    }

    /// The next value. Its length is written in the one way that DER has.
    fn any(&mut self) -> Option<Element<'a>> {
        let all = self.0;
        let (&tag, rest) = all.split_first()?;
        // A tag of several bytes has no place in a certificate.
        if tag & 0x1f == 0x1f {
            return None;
        }
        let (&first, mut rest) = rest.split_first()?;
        let length = match first {
            0..=0x7f => usize::from(first),
            0x81..=0x83 => {
                let (bytes, after) = rest.split_at_checked(usize::from(first & 0x7f))?;
                rest = after;
                let length = bytes
                    .iter()
                    .fold(0, |length, byte| length << 8 | usize::from(*byte));
                if bytes.first() == Some(&0) || length < 0x80 {
                    return None;
                }
                length
            }
            _ => return None,
        };
        let (content, after) = rest.split_at_checked(length)?;
        let (whole, _) = all.split_at_checked(all.len() - after.len())?;
        self.0 = after;
        Some(Element { tag, whole, content })
    }

    /// A time in Unix milliseconds, in UTC and to the second (RFC 5280, 4.1.2.5). What lies before 1970 is 1970.
    fn time(&mut self) -> Option<Timestamp> {
        let element = self.any()?;
        let text = std::str::from_utf8(element.content).ok()?.strip_suffix('Z')?;
        let (year, rest) = match element.tag {
            UTC_TIME if text.len() == 12 => {
                let (year, rest) = text.split_at_checked(2)?;
                let year = crate::accept::digits(year)?;
                (if year < 50 { 2000 + year } else { 1900 + year }, rest)
            }
            GENERALIZED_TIME if text.len() == 14 => {
                let (year, rest) = text.split_at_checked(4)?;
                (crate::accept::digits(year)?, rest)
            }
            _ => return None,
        };
        // Month, day, hour, minute, second.
        let mut parts = [0_u64; 5];
        let mut left = rest;
        for part in &mut parts {
            let (digits, after) = left.split_at_checked(2)?;
            *part = crate::accept::digits(digits)?;
            left = after;
        }
        dates::instant(year, parts)
    }
}
