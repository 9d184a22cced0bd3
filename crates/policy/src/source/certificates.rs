//! Client certificates by which consumers are known.

use super::compile::Checker;
use super::containers::List;
use super::declare::record;
use super::diagnostic::Code;
use super::reader::{Fault, Scalar, Spanned};
use super::scalars::{Date, Scope, Sha256};
use super::secrets::quote;
use crate::{CertificateCredential, CertificateName};

record! {
    /// A client certificate that the platform has verified: by its public key, or by its issuer and subject. It is
    /// known only where the platform asks for one (mTLS).
    CertificateFields = "certificate" {
        /// The SHA-256 of its public key (`SubjectPublicKeyInfo` in DER), in hexadecimal. A certificate that is
        /// renewed for the same key has the same.
        spki_sha256: optional SpkiHash,
        /// Its subject as RFC 2253 writes it: `CN=reports,O=Acme`. Needs `issuer`.
        subject: optional DistinguishedName,
        /// The issuer of the certificate with that subject, written alike: subjects are unique only within one.
        issuer: optional DistinguishedName,
        /// From this day (or instant) on it is refused, also if it is good for longer itself.
        expires: optional Date,
        /// The scopes that it carries.
        scopes: default "[]" List<Scope>,
    }
}

/// The SHA-256 of a public key. It is no secret, and is shown.
#[derive(Clone, Debug)]
pub(crate) struct SpkiHash(pub(crate) [u8; 32]);

impl Scalar for SpkiHash {
    const EXPECTS: &'static str = "the SHA-256 of a public key, 64 hexadecimal digits";

    fn parse(text: &str) -> Result<Self, Fault> {
        Sha256::parse(text).map(|hash| Self(hash.0)).map_err(|_| {
            Fault::new(Code::BadHash, format!("{} is not {}", quote(text), Self::EXPECTS)).help(
                "print it with `openssl x509 -in client.pem -noout -pubkey | openssl pkey -pubin -outform der | \
                 openssl dgst -sha256`",
            )
        })
    }
}

/// The most bytes of a name: as many as a log line and a limit have for a caller.
const MAX_NAME: usize = 255;

/// A distinguished name as RFC 2253 writes it, and the platform.
#[derive(Clone, Debug)]
pub(crate) struct DistinguishedName(pub(crate) String);

impl Scalar for DistinguishedName {
    const EXPECTS: &'static str = "a name such as `CN=reports,O=Acme`";

    fn parse(text: &str) -> Result<Self, Fault> {
        let fault = |why: &str| {
            Fault::new(Code::BadText, format!("{} is not a distinguished name: {why}", quote(text))).help(
                "write it as `openssl x509 -in client.pem -noout -subject -issuer -nameopt RFC2253` prints it: \
                 for example `CN=reports,O=Acme`",
            )
        };
        if text.len() > MAX_NAME {
            return Err(fault("it is longer than 255 bytes"));
        }
        if !text.bytes().all(|byte| (0x20..0x7f).contains(&byte)) {
            return Err(fault("other characters than those of ASCII are escaped in it"));
        }
        if text.starts_with('/') {
            return Err(fault("its parts are separated by commas"));
        }
        if text.contains(", ") && !text.contains("\\, ") {
            return Err(fault("there is no space after a comma"));
        }
        let typed = |name: &str| {
            let plain = |byte: u8| byte.is_ascii_alphanumeric() || b".-".contains(&byte);
            !name.is_empty() && name.bytes().all(plain)
        };
        match text.split_once('=') {
            Some((name, value)) if typed(name) && !value.is_empty() => Ok(Self(text.to_owned())),
            _ => Err(fault("it does not begin with a type and `=`")),
        }
    }
}

/// Checks a certificate of a consumer.
pub(crate) fn compile(
    certificate: &Spanned<CertificateFields>,
    consumer: u32,
    checker: &mut Checker,
) -> Option<Spanned<CertificateCredential>> {
    let expires = certificate.expires.as_ref().map(|expires| {
        checker.check_expiry("this certificate", expires.0, expires.span);
        expires.0
    });
    let scopes = certificate
        .scopes
        .as_ref()
        .map(|list| checker.sorted(&list.0, |scope| scope.0.clone()));
    let (by, span) = name(certificate, checker)?;
    let compiled = CertificateCredential {
        by,
        consumer,
        expires,
        scopes: scopes.unwrap_or_default(),
    };
    Some(Spanned {
        value: compiled,
        span,
        key_span: certificate.key_span,
    })
}

fn name(
    certificate: &Spanned<CertificateFields>,
    checker: &mut Checker,
) -> Option<(CertificateName, super::diagnostic::Span)> {
    let CertificateFields {
        spki_sha256: key,
        subject,
        issuer,
        ..
    } = &certificate.value;
    match (key, subject, issuer) {
        (Some(key), None, None) => Some((CertificateName::Key(key.0), key.span)),
        (None, Some(subject), Some(issuer)) => Some((
            CertificateName::Subject(issuer.0.clone(), subject.0.clone()),
            subject.span,
        )),
        (Some(key), Some(other), _) | (Some(key), None, Some(other)) => {
            checker
                .report()
                .error(
                    Code::Conflict,
                    other.span,
                    "a certificate is known by its key or by its names, not both",
                )
                .label(key.span, "its key is here")
                .help("remove one of the two");
            None
        }
        _ if checker.reader.reported_within(certificate.span) => None,
        (None, Some(subject), None) => {
            checker
                .report()
                .error(
                    Code::MissingField,
                    subject.span,
                    "whose subject this is, is not said",
                )
                .help(
                    "name the certificate's `issuer` beside it: another authority may use the same subject",
                );
            None
        }
        (None, None, Some(issuer)) => {
            checker
                .report()
                .error(
                    Code::Conflict,
                    issuer.span,
                    "`issuer` needs a `subject` beside it",
                )
                .help("an authority alone is nobody: name the `subject`, or the key as `spki_sha256`");
            None
        }
        (None, None, None) => {
            checker
                .report()
                .error(
                    Code::MissingField,
                    certificate.span,
                    "which certificate is meant is not said",
                )
                .help("write `spki_sha256`, or `subject` and `issuer`");
            None
        }
    }
}
