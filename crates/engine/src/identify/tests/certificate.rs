//! Client certificates: whose they are, beside what else, and what is not one.

use turnpike_policy::Algorithm::{ES256, HS256};
use turnpike_policy::{CertificateCredential, CertificateName};

use super::super::encoding::from_base64url;
use super::super::{ClientCertificate, CredentialKind, Part, keys_fetched, waited};
use super::*;

/// Certificates that `openssl` made: an EC key, an Ed25519 key and dates past 2049, an RSA key.
pub(super) const EC: &str = ":MIIBQjCB6gIUWEJH3LkJvEZ5dnAHJ2TyGAsgoqcwCgYIKoZIzj0EAwIwKDENMAsGA1UECgwEQWNtZTEXMBUGA1UEAwwOQWNtZSBDbGllbnQgQ0EwHhcNMjYxMTMwMDYzNDM2WhcNMzYxMTI3MDYzNDM2WjAhMQ0wCwYDVQQKDARBY21lMRAwDgYDVQQDDAdyZXBvcnRzMFkwEwYHKoZIzj0CAQYIKoZIzj0DAQcDQgAE46YrMHMCEzVyqE+tLXOQ9CEbriNDog8VGx34EifU3b9mvYzJAamXpiGA1SAthrnVEdOqpgCPreUaWblwzdVFVzAKBggqhkjOPQQDAgNHADBEAiApmLjamu7qWK9d/oKOD0tjZDMz8JpTVyosZcze/C018wIgOuz1rOTSBq/gx1kE3PoXdT7T1wY9fDIk404DgoyBiSc=:";
pub(super) const ED: &str = ":MIIBKjCB0AIUWEJH3LkJvEZ5dnAHJ2TyGAsgoqgwCgYIKoZIzj0EAwIwKDENMAsGA1UECgwEQWNtZTEXMBUGA1UEAwwOQWNtZSBDbGllbnQgQ0EwIBcNMjYxMTMwMDYzNDM3WhgPMjEyNjExMDYwNjM0MzdaMDQxCzAJBgNVBAYTAkRFMRMwEQYDVQQKDApBY21lLCBJbmMuMRAwDgYDVQQDDAdiaWxsaW5nMCowBQYDK2VwAyEAOh8R57kfHyxf7nWsoKT+QhP1w1vAIoMsgS7D0JvLxjQwCgYIKoZIzj0EAwIDSQAwRgIhAO7xfmtpX0JXvEi8lRCGO/1P4FPd5Y19VURIdPfmaiqkAiEA53BS67lWOfCNXSfYjZwxdPI9qsFiEC2haSzfTkAEvRs=:";
pub(super) const RSA: &str = ":MIICDDCCAbECFFhCR9y5CbxGeXZwBydk8hgLIKKpMAoGCCqGSM49BAMCMCgxDTALBgNVBAoMBEFjbWUxFzAVBgNVBAMMDkFjbWUgQ2xpZW50IENBMB4XDTI2MTEzMDA2MzQzOFoXDTM2MTEyNzA2MzQzOFowHTENMAsGA1UECgwEQWNtZTEMMAoGA1UEAwwDcnNhMIIBIjANBgkqhkiG9w0BAQEFAAOCAQ8AMIIBCgKCAQEA1nAlM5UsjTdDZw8MfubefHfCd+kpVJMmgxmmvKcIOUtLyloYQMuk5NYP19eRaVg7eZRJeyvAXWqPG8OYpY83EO5WYg71Q8vANdRCesPYWES2eD3hAapr8cQB8c64N23ckY26rB4n4AgLcMqjQcUTEboGepm+ijaV5QJdTbgH8DVcblZB/1QSK3O2sGLjstzkf9mWeocn72qfP2Epg9gNMyHTGglLmM7J20UvkfwzbyDBa86Vaa8FgTUdWeC73RExfIImKDBKsVA4qhWq8QJ3mAr3i2VStt8HFAofzPmaSBacQtVxORWklTNWa/iztgY0RXTBjv9JWGNAf07kfQDw0wIDAQABMAoGCCqGSM49BAMCA0kAMEYCIQD28IvCIkX5psxmP6fz3YltcCF/DO4RFLFNTvw8ZwTFrgIhAO97V67JrclZWTIj1vw5Js67xh0SKV9JBUeqazgbrdsV:";
/// `openssl x509 -noout -pubkey | openssl pkey -pubin -outform der | openssl dgst -sha256` of each.
const EC_KEY: &str = "1195bb3d691a8c496d78fbb28cf63eccd1ba1a1ccd2f7547d200f8da8434126e";
const ED_KEY: &str = "b7e8fc31364b49e386a9aa2f6f9b28820e103ed02a1b524dafed607b727f9c61";
const RSA_KEY: &str = "1628d0728b9a0d1cd90620d304d1734801677f6b8190494f8fd1190efb2e3cc0";
/// `openssl x509 -outform der | openssl dgst -sha256` of the first.
const EC_THUMBPRINT: &str = "37d061dc49543704ea65873f831fc3a93eb906a5b5c960d3d947be189b798bd8";
const CA: &str = "CN=Acme Client CA,O=Acme";

const REPORTS: u32 = 1;
const BILLING: u32 = 3;
const ENDED: u32 = 4;

fn bytes(hex: &str) -> [u8; 32] {
    let digits: Vec<u8> = hex
        .chars()
        .map(|c| u8::try_from(c.to_digit(16).unwrap()).unwrap())
        .collect();
    let bytes: Vec<u8> = digits.chunks(2).map(|pair| pair[0] << 4 | pair[1]).collect();
    bytes.try_into().unwrap()
}

pub(super) fn shown<'a>(whole: &'a str, subject: &'a str) -> ClientCertificate<'a> {
    ClientCertificate {
        presented: Some("1"),
        verified: Some("SUCCESS"),
        revoked: Some("0"),
        whole: Some(whole),
        subject: Some(subject),
        issuer: Some(CA),
    }
}

/// That of the first, as tokens name it.
pub(super) fn thumbprint() -> String {
    base64url(&bytes(EC_THUMBPRINT))
}

fn reports() -> ClientCertificate<'static> {
    shown(EC, "CN=reports,O=Acme")
}

fn entry(by: CertificateName, consumer: u32, expires: Option<u64>) -> CertificateCredential {
    CertificateCredential {
        by,
        consumer,
        expires,
        scopes: vec!["reports:read".to_owned()],
    }
}

fn named(subject: &str) -> CertificateName {
    CertificateName::Subject(CA.to_owned(), subject.to_owned())
}

/// The policy of the other tests, whose consumer 1 has an API key too, with certificates.
pub(super) fn policy() -> Compiled {
    let mut policy = super::policy();
    policy.client_certificates = true;
    policy.issuers[SECRET as usize].certificate_bound = Binding::Accepted;
    policy.issuers[REMOTE as usize].certificate_bound = Binding::Accepted;
    policy.certificates = vec![
        entry(CertificateName::Key(bytes(EC_KEY)), REPORTS, None),
        entry(CertificateName::Key(bytes(RSA_KEY)), ENDED, Some(NOW)),
        entry(named("CN=billing,O=Acme\\, Inc.,C=DE"), BILLING, Some(NOW + 1)),
    ];
    policy.certificates.sort_by(|a, b| a.by.cmp(&b.by));
    policy
}

fn ask(policy: &Compiled, head: &Presented<'_>) -> Result<Principal, Refusal> {
    let mut store = store(policy);
    let outcome = begin(policy, &mut store, head, NOW);
    finish(&mut store, outcome, NOW)
}

fn alone(certificate: ClientCertificate<'_>) -> Result<Principal, Refusal> {
    ask(
        &policy(),
        &Presented {
            certificate: Some(certificate),
            ..Presented::default()
        },
    )
}

fn beside(certificate: ClientCertificate<'_>, credential: &str) -> Result<Principal, Refusal> {
    let authorization = format!("Bearer {credential}");
    ask(
        &policy(),
        &Presented {
            authorization: Some(&authorization),
            certificate: Some(certificate),
            ..Presented::default()
        },
    )
}

#[test]
fn a_certificate_is_known_by_its_key_or_by_its_names() {
    let found = alone(reports()).unwrap();
    assert_eq!((found.consumer, found.issuer), (REPORTS, None));
    assert_eq!(
        (found.subject.as_str(), found.credential),
        (EC_KEY, CredentialKind::Certificate)
    );
    assert_eq!(found.scopes, ["reports:read"]);
    // 2036-11-27T06:34:36Z, its own last second.
    assert_eq!(found.expires, Some(2_111_380_476_000));
    let found = alone(shown(ED, "CN=billing,O=Acme\\, Inc.,C=DE")).unwrap();
    assert_eq!((found.consumer, found.expires), (BILLING, Some(NOW + 1)));
    assert_eq!(found.subject, "CN=billing,O=Acme\\, Inc.,C=DE");
    // Its key is not listed, and by its key it is nobody; neither is another authority's name.
    let mut other = shown(ED, "CN=billing,O=Acme\\, Inc.,C=DE");
    other.issuer = Some("CN=Acme Client CA");
    assert_eq!(alone(other), Err(Refusal::ConsumerUnknown));
    assert_eq!(alone(shown(ED, "CN=billing")), Err(Refusal::ConsumerUnknown));
    let mut none = shown(ED, "");
    (none.subject, none.issuer) = (None, None);
    assert_eq!(alone(none), Err(Refusal::ConsumerUnknown));
    let mut policy = policy();
    policy.certificates = vec![entry(CertificateName::Key(bytes(ED_KEY)), 7, None)];
    let head = Presented {
        certificate: Some(none),
        ..Presented::default()
    };
    assert_eq!(ask(&policy, &head).unwrap().consumer, 7, "its key is enough");
}

#[test]
fn what_the_platform_did_not_verify_is_nobody() {
    let change = |change: fn(&mut ClientCertificate<'static>)| {
        let mut certificate = reports();
        change(&mut certificate);
        certificate
    };
    for (certificate, why) in [
        (change(|c| c.presented = None), "no credential"),
        (change(|c| c.presented = Some("0")), "no credential"),
        (change(|c| c.presented = Some("true")), "no credential"),
        (
            change(|c| c.verified = None),
            "the platform has not verified the client certificate",
        ),
        (
            change(|c| c.verified = Some("NONE")),
            "the platform has not verified the client certificate",
        ),
        (
            change(|c| c.verified = Some("success")),
            "the platform has not verified the client certificate",
        ),
        (
            change(|c| c.verified = Some("FAILED:self signed certificate")),
            "the platform has not verified the client certificate",
        ),
        (
            change(|c| c.revoked = Some("1")),
            "the client certificate is revoked",
        ),
        (change(|c| c.revoked = None), "the client certificate is revoked"),
        (
            change(|c| c.whole = None),
            "the platform does not hand the client certificate over",
        ),
        (
            change(|c| c.whole = Some("")),
            "the platform does not hand the client certificate over",
        ),
        (
            change(|c| c.whole = Some("::")),
            "the client certificate cannot be read",
        ),
        (
            change(|c| c.whole = EC.strip_suffix(':')),
            "the client certificate cannot be read",
        ),
        (
            change(|c| c.whole = Some(":MAA=:")),
            "the client certificate cannot be read",
        ),
    ] {
        let refusal = alone(certificate).unwrap_err();
        assert_eq!(refusal.reason(), why, "{certificate:?}");
        // Beside a credential that is right it says nothing, and proves nothing.
        let by_key = beside(certificate, API_KEY).unwrap();
        assert_eq!((by_key.consumer, by_key.credential), (1, CredentialKind::Key));
        assert!(
            beside(certificate, &bound_token(EC_THUMBPRINT)).is_err(),
            "{certificate:?}"
        );
    }
    let large = format!(":{}:", "A".repeat(20 * 1024));
    let mut certificate = ClientCertificate {
        whole: Some(&large),
        ..reports()
    };
    let refusal = alone(certificate).unwrap_err();
    assert_eq!(
        refusal.reason(),
        "the platform does not hand the client certificate over"
    );
    certificate = shown(RSA, "CN=rsa,O=Acme");
    let refusal = alone(certificate).unwrap_err();
    assert_eq!(
        refusal.reason(),
        "the certificate's entry in the policy has ended"
    );
}

#[test]
fn a_certificate_counts_from_its_first_to_its_last_second() {
    let policy = policy();
    let at = |certificate, now| {
        let head = Presented {
            certificate: Some(certificate),
            ..Presented::default()
        };
        let mut store = store(&policy);
        let outcome = begin(&policy, &mut store, &head, now);
        finish(&mut store, outcome, now).map(|found| found.consumer)
    };
    // 2026-11-30T06:34:36Z and 2036-11-27T06:34:36Z.
    let (from, until) = (1_796_020_476_000, 2_111_380_476_000);
    for (now, right) in [
        (0, false),
        (from - 1, false),
        (from, true),
        (until, true),
        (until + 1, false),
    ] {
        assert_eq!(at(reports(), now).is_ok(), right, "{now}");
    }
    // Past 2049 dates are written in another way (RFC 5280, 4.1.2.5): 2126-11-06T06:34:37Z.
    let mut policy = policy.clone();
    policy.certificates = vec![entry(CertificateName::Key(bytes(ED_KEY)), 7, None)];
    let head = Presented {
        certificate: Some(shown(ED, "")),
        ..Presented::default()
    };
    for (now, right) in [(4_949_620_477_000, true), (4_949_620_477_001, false)] {
        let outcome = begin(&policy, &mut store(&policy), &head, now);
        assert_eq!(matches!(outcome, Outcome::Known(_)), right, "{now} {outcome:?}");
    }
}

fn bound_token(thumbprint: &str) -> String {
    let cnf = json!({ "x5t#S256": base64url(&bytes(thumbprint)) });
    sign(HS256, &claims(SECRET, &[("cnf", Some(cnf))]))
}

#[test]
fn a_token_that_is_bound_to_a_certificate_comes_with_it() {
    // The consumer of the secret issuer's tokens is another than the certificate's: here it must not be anybody's.
    let mut policy = policy();
    policy.certificates.clear();
    let token = bound_token(EC_THUMBPRINT);
    let authorization = format!("Bearer {token}");
    let mut store = store(&policy);
    let mut with = |certificate: Option<ClientCertificate<'_>>| {
        let head = Presented {
            authorization: Some(&authorization),
            certificate,
            ..Presented::default()
        };
        let outcome = begin(&policy, &mut store, &head, NOW);
        finish(&mut store, outcome, NOW)
    };
    // Also once it is remembered.
    for _ in 0..2 {
        assert_eq!(with(Some(reports())).unwrap().consumer, SECRET + 10);
        let refused = with(None).unwrap_err();
        assert_eq!(
            refused.reason(),
            "the token is bound to a certificate, and none was shown"
        );
        let refused = with(Some(shown(ED, ""))).unwrap_err();
        assert_eq!(refused.reason(), "the token is bound to another certificate");
        let refused = with(Some(ClientCertificate {
            revoked: Some("1"),
            ..reports()
        }));
        assert_eq!(refused.unwrap_err().reason(), "the client certificate is revoked");
    }
    for cnf in [
        json!({ "x5t#S256": "" }),
        json!({ "x5t#S256": 1 }),
        json!({ "x5t#S256": format!("{}=", base64url(&bytes(EC_THUMBPRINT))) }),
        json!({ "x5t#S256": EC_THUMBPRINT }),
        json!({ "x5t": base64url(&bytes(EC_THUMBPRINT)) }),
        json!({ "x5t#S256": base64url(&bytes(EC_THUMBPRINT)), "jwk": {} }),
        json!({ "x5t#S256": base64url(&bytes(EC_THUMBPRINT)), "jkt": base64url(&[1; 32]) }),
        json!({}),
        json!([]),
        json!(null),
        json!(base64url(&bytes(EC_THUMBPRINT))),
    ] {
        let token = sign(HS256, &claims(SECRET, &[("cnf", Some(cnf.clone()))]));
        assert!(beside(reports(), &token).is_err(), "{cnf}");
    }
    // The issuer without a word of it takes none, whatever the certificate.
    let cnf = json!({ "x5t#S256": base64url(&bytes(EC_THUMBPRINT)) });
    let token = sign(ES256, &claims(INLINE, &[("cnf", Some(cnf))]));
    assert!(matches!(
        beside(reports(), &token),
        Err(Refusal::ClaimInvalid { .. })
    ));
}

#[test]
fn where_a_binding_is_required_no_bearer_token_passes() {
    let mut policy = policy();
    policy.certificates.clear();
    policy.issuers[SECRET as usize].certificate_bound = Binding::Required;
    let with = |token: &str| {
        let authorization = format!("Bearer {token}");
        let head = Presented {
            authorization: Some(&authorization),
            certificate: Some(reports()),
            ..Presented::default()
        };
        ask(&policy, &head)
    };
    assert!(with(&bound_token(EC_THUMBPRINT)).is_ok());
    let refused = with(&sign(HS256, &good(SECRET))).unwrap_err();
    assert_eq!(
        refused.reason(),
        "`cnf` does not bind the token to a certificate (`x5t#S256`)"
    );
}

#[test]
fn a_certificate_and_a_credential_of_another_consumer_are_refused() {
    // Consumer 1 has both.
    assert_eq!(
        beside(reports(), API_KEY).unwrap().credential,
        CredentialKind::Key
    );
    let billing = shown(ED, "CN=billing,O=Acme\\, Inc.,C=DE");
    assert_eq!(beside(billing, API_KEY), Err(Refusal::Ambiguous));
    // A token's is told once its signature is right, and in the store it stays nobody else's.
    let token = sign(HS256, &good(SECRET));
    assert_eq!(beside(reports(), &token), Err(Refusal::Ambiguous));
    let forged = format!("{}AAAA", token.strip_suffix(|_| true).unwrap());
    assert!(!matches!(beside(reports(), &forged), Err(Refusal::Ambiguous)));
    let policy = policy();
    let mut store = store(&policy);
    let authorization = format!("Bearer {token}");
    let mut head = Presented {
        authorization: Some(&authorization),
        ..Presented::default()
    };
    let outcome = begin(&policy, &mut store, &head, NOW);
    assert!(finish(&mut store, outcome, NOW).is_ok());
    head.certificate = Some(reports());
    assert_eq!(
        begin(&policy, &mut store, &head, NOW),
        Outcome::Refused(Refusal::Ambiguous)
    );
    // One whose entry has ended, or that nobody knows, is nobody's beside a credential.
    head.certificate = Some(shown(RSA, "CN=rsa,O=Acme"));
    assert!(matches!(
        begin(&policy, &mut store, &head, NOW),
        Outcome::Known(_)
    ));
    // A wrong credential is not made up for by a right certificate.
    assert!(beside(reports(), "tpk_trial_wrong").is_err());
    assert!(beside(reports(), "x.y.z").is_err());
}

#[test]
fn a_certificate_of_two_consumers_is_nobodys() {
    let mut policy = policy();
    policy
        .certificates
        .push(entry(named("CN=reports,O=Acme"), BILLING, None));
    policy.certificates.sort_by(|a, b| a.by.cmp(&b.by));
    let mut head = Presented {
        certificate: Some(reports()),
        ..Presented::default()
    };
    let refused = ask(&policy, &head).unwrap_err();
    assert_eq!(
        refused.reason(),
        "the client certificate is that of two consumers"
    );
    let authorization = format!("Bearer {API_KEY}");
    head.authorization = Some(&authorization);
    assert_eq!(ask(&policy, &head), Err(Refusal::Ambiguous));
}

#[test]
fn a_certificate_is_still_there_when_keys_were_fetched() {
    let mut policy = policy();
    policy.certificates.clear();
    let cnf = json!({ "x5t#S256": base64url(&bytes(EC_THUMBPRINT)) });
    let authorization = format!("Bearer {}", sign(ES256, &claims(REMOTE, &[("cnf", Some(cnf))])));
    let head = Presented {
        authorization: Some(&authorization),
        certificate: Some(reports()),
        ..Presented::default()
    };
    let mut store = store(&policy);
    assert!(matches!(
        begin(&policy, &mut store, &head, NOW),
        Outcome::FetchKeys(_)
    ));
    // As it travels with a request in flight.
    let kept: crate::flight::Presented = (&head).into();
    let bytes = postcard::to_allocvec(&kept).unwrap();
    let kept: crate::flight::Presented = postcard::from_bytes(&bytes).unwrap();
    assert_eq!(kept.borrow().certificate, head.certificate);
    let other = waited(&policy, &mut store, &kept.borrow(), 20, NOW);
    assert!(matches!(other, Outcome::Wait(_)));
    let set = jwks(&[ES256_PUBLIC]);
    let outcome = keys_fetched(
        &policy,
        &mut store,
        (REMOTE, Part::Keys),
        Some(set.as_bytes()),
        &kept.borrow(),
        NOW,
    );
    assert_eq!(finish(&mut store, outcome, NOW).unwrap().consumer, REMOTE + 10);
}

/// The certificate with bytes of it replaced, as the platform would write it.
fn rewritten(change: impl FnOnce(&mut Vec<u8>)) -> String {
    let digits = EC
        .trim_matches(':')
        .trim_end_matches('=')
        .replace('+', "-")
        .replace('/', "_");
    let mut der = from_base64url(&digits).unwrap();
    change(&mut der);
    text_of(&der)
}

pub(super) fn text_of(der: &[u8]) -> String {
    let text = base64url(der).replace('-', "+").replace('_', "/");
    let padding = "=".repeat(text.len().next_multiple_of(4) - text.len());
    format!(":{text}{padding}:")
}

#[test]
fn der_has_one_way_to_be_written() {
    let with = |whole: &str| {
        alone(ClientCertificate {
            whole: Some(whole),
            ..reports()
        })
    };
    assert!(with(&rewritten(|_| ())).is_ok());
    let replace = |from: &[u8], to: &[u8]| {
        rewritten(|der| {
            let at = der
                .windows(from.len())
                .position(|window| window == from)
                .expect("is there");
            der.splice(at..at + from.len(), to.iter().copied());
        })
    };
    for (text, what) in [
        (rewritten(|der| der.push(0)), "trailing bytes"),
        (rewritten(|der| der.truncate(der.len() - 1)), "cut"),
        (rewritten(|der| der[0] = 0x31), "a set"),
        (rewritten(|der| der[1] = 0x80), "indefinite length"),
        (rewritten(|der| der[1] = 0x84), "a length of four bytes"),
        (
            rewritten(|der| {
                der.splice(1..4, [0x83, 0x00, 0x01, 0x42]);
            }),
            "a length with a zero before it",
        ),
        (
            rewritten(|der| {
                der.splice(0..0, [0x3f]);
            }),
            "a tag of several bytes",
        ),
        (replace(b"261130063436Z", b"2611300634360"), "no time zone"),
        (replace(b"261130063436Z", b"261330063436Z"), "a thirteenth month"),
        (replace(b"261130063436Z", b"26113006343xZ"), "no digit"),
        (EC.replace('+', "-"), "the other alphabet"),
        (EC.replace("=:", ":"), "no padding"),
        (EC.replace("=:", "==:"), "too much padding"),
        (format!("{EC} "), "a space"),
        (EC.trim_matches(':').to_owned(), "no colons"),
    ] {
        let refused = with(&text).unwrap_err();
        assert_eq!(
            refused.reason(),
            "the client certificate cannot be read",
            "{what}"
        );
    }
}
