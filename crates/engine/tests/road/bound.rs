//! Callers that show more than a credential: client certificates, and tokens that come with a DPoP proof.

use serde_json::{Value, json};
use sha2::{Digest as _, Sha256};
use turnpike_engine::step::{ClientCertificate, Event, Step};
use turnpike_policy::{Binding, CertificateCredential, CertificateName, Issuer};

use crate::denials::{deny, denying_with};
use crate::policy::{NOW, PUBLIC, SECRET, key};
use crate::world::{Answer, Request, World, base64url, signed, token};

const PETS: &str = "/petstore/v2/pets";
const SUBJECT: &str = "CN=reports,O=Acme";
/// Made by `openssl`, good until 2036.
const CERTIFICATE: &str = ":MIIBQjCB6gIUWEJH3LkJvEZ5dnAHJ2TyGAsgoqcwCgYIKoZIzj0EAwIwKDENMAsGA1UECgwEQWNtZTEXMBUGA1UEAwwOQWNtZSBDbGllbnQgQ0EwHhcNMjYxMTMwMDYzNDM2WhcNMzYxMTI3MDYzNDM2WjAhMQ0wCwYDVQQKDARBY21lMRAwDgYDVQQDDAdyZXBvcnRzMFkwEwYHKoZIzj0CAQYIKoZIzj0DAQcDQgAE46YrMHMCEzVyqE+tLXOQ9CEbriNDog8VGx34EifU3b9mvYzJAamXpiGA1SAthrnVEdOqpgCPreUaWblwzdVFVzAKBggqhkjOPQQDAgNHADBEAiApmLjamu7qWK9d/oKOD0tjZDMz8JpTVyosZcze/C018wIgOuz1rOTSBq/gx1kE3PoXdT7T1wY9fDIk404DgoyBiSc=:";

fn shown() -> ClientCertificate<'static> {
    ClientCertificate {
        presented: Some("1"),
        verified: Some("SUCCESS"),
        revoked: Some("0"),
        whole: Some(CERTIFICATE),
        subject: Some(SUBJECT),
        issuer: Some("CN=Acme Client CA,O=Acme"),
    }
}

/// The certificate is that of `demo`, which has keys and tokens too.
fn certificates(policy: &mut turnpike_policy::Compiled) {
    let demo = policy
        .consumers
        .iter()
        .position(|consumer| consumer.name == "demo");
    policy.client_certificates = true;
    policy.certificates = vec![CertificateCredential {
        by: CertificateName::Subject("CN=Acme Client CA,O=Acme".to_owned(), SUBJECT.to_owned()),
        consumer: u32::try_from(demo.unwrap()).unwrap(),
        expires: None,
        scopes: vec!["pets:write".to_owned()],
    }];
}

fn with_certificate(change: impl FnOnce(&mut ClientCertificate<'static>)) -> Request {
    let mut certificate = shown();
    change(&mut certificate);
    Request {
        certificate: Some(certificate),
        ..Request::get(PETS)
    }
}

#[test]
fn a_certificate_is_enough_to_be_known() {
    let mut world = World::with(certificates);
    let answer = world.send(&with_certificate(|_| ()));
    assert_eq!(
        (answer.status, answer.log()["consumer"].as_str()),
        (200, Some("demo"))
    );
    assert_eq!(answer.log()["subject"], SUBJECT);
    // What it was given for holds for it as for a key.
    let create = Request {
        certificate: Some(shown()),
        ..Request::new("POST", PETS).body("application/json", b"{}")
    };
    assert_eq!(world.send(&create).status, 200);
}

#[test]
fn what_is_no_verified_certificate_is_no_credential() {
    let mut world = World::with(certificates);
    for (request, code) in [
        (
            with_certificate(|c| c.verified = Some("FAILED:certificate has expired")),
            "credential_invalid",
        ),
        (
            with_certificate(|c| c.verified = Some("NONE")),
            "credential_invalid",
        ),
        (with_certificate(|c| c.revoked = Some("1")), "credential_invalid"),
        (with_certificate(|c| c.whole = Some("")), "credential_invalid"),
        (
            with_certificate(|c| c.subject = Some("CN=somebody,O=Acme")),
            "credential_invalid",
        ),
        (
            with_certificate(|c| c.presented = Some("0")),
            "credential_missing",
        ),
        (with_certificate(|_| ()).by("narrow"), "credential_ambiguous"),
        (Request::get(PETS), "credential_missing"),
    ] {
        let answer = world.send(&request);
        assert_eq!(answer.code(), code, "{request:?}");
        assert!(!answer.text().contains("Acme"), "the client learns nothing of it");
    }
}

#[test]
fn nothing_that_a_client_sends_is_a_certificate() {
    let mut world = World::with(certificates);
    let mut request = Request::get(PETS);
    for (name, value) in [
        ("client-cert", CERTIFICATE),
        ("client-cert-chain", CERTIFICATE),
        ("x-ssl-client-verify", "SUCCESS"),
        ("x-ssl-client-s-dn", SUBJECT),
        ("ssl-client-cert", CERTIFICATE),
        ("x-forwarded-client-cert", CERTIFICATE),
        ("cf-client-cert-der-base64", CERTIFICATE),
        ("cf-cert-verified", "true"),
        ("cf-cert-presented", "true"),
    ] {
        request = request.header(name, value);
    }
    assert_eq!(world.send(&request).code(), "credential_missing");
    request.url.push_str("/1");
    let answer = world.send(&request.by("demo"));
    assert_eq!((answer.status, answer.sent.len()), (200, 1));
    let sent = format!("{:?}", answer.sent);
    assert!(!sent.contains("client-cert") && !sent.contains("ssl"), "{sent}");
    // A gateway whose policy names no certificate believes none that it is handed.
    let mut world = World::new();
    assert_eq!(world.send(&with_certificate(|_| ())).code(), "credential_missing");
}

#[test]
fn a_certificate_can_be_denied() {
    let mut world = denying_with(certificates);
    assert_eq!(world.send(&with_certificate(|_| ())).status, 200);
    let answer = world.send(&deny("certificate", "CN=other", "a"));
    assert_eq!(answer.code(), "not_found", "a slip would deny nothing");
    assert_eq!(world.send(&deny("certificate", SUBJECT, "b")).status, 200);
    let answer = world.send(&with_certificate(|_| ()));
    assert_eq!(answer.code(), "denied");
    // Its consumer's other credentials are not.
    assert_eq!(world.send(&Request::get(PETS).by("demo")).status, 200);
}

/// A gateway that takes proofs, with tokens of its secret issuer.
pub(crate) fn gateway() -> World {
    let mut world = World::with(|policy| {
        policy.dpop = true;
        let secret = |issuer: &&mut Issuer| issuer.issuer == SECRET;
        policy.issuers.iter_mut().find(secret).unwrap().dpop = Binding::Accepted;
    });
    world.replaces = false;
    world
}

fn own_key() -> Value {
    let key: Value = serde_json::from_str(PUBLIC).unwrap();
    json!({ "kty": "OKP", "crv": "Ed25519", "x": key["x"] })
}

fn bound_token() -> String {
    let key = own_key();
    let canonical = format!(r#"{{"crv":"Ed25519","kty":"OKP","x":{}}}"#, key["x"]);
    let thumbprint = base64url(&Sha256::digest(canonical));
    token(SECRET, |claims| claims["cnf"] = json!({ "jkt": thumbprint }))
}

/// The request with a bound token and any proof.
pub(crate) fn with_proof(request: Request, proof: &str) -> Request {
    request
        .header("authorization", &format!("DPoP {}", bound_token()))
        .header("dpop", proof)
}

/// The request with a bound token and its proof.
pub(crate) fn proved(request: Request, id: &str) -> Request {
    let (url, _) = request.url.split_once('?').unwrap_or((&request.url, ""));
    let claims = json!({
        "htm": request.method, "htu": url, "iat": NOW / 1000, "jti": id,
        "ath": base64url(&Sha256::digest(bound_token())),
    });
    let header = json!({ "typ": "dpop+jwt", "alg": "EdDSA", "jwk": own_key() });
    let proof = signed(&header, &claims);
    with_proof(request, &proof)
}

fn challenge(answer: &Answer) -> &str {
    answer.header("www-authenticate").unwrap_or_default()
}

#[test]
fn a_proof_is_good_for_one_request() {
    let mut world = gateway();
    let request = proved(Request::get(&format!("{PETS}?limit=1")), "a");
    let answer = world.send(&request);
    assert_eq!(answer.status, 200, "{}", answer.text());
    // Its proof is verified, and one object asked whether it is new.
    assert_eq!(answer.steps[..2], ["verify", "meter"]);
    assert_eq!(answer.log()["subject"], "somebody");
    let again = world.send(&request);
    assert_eq!((again.status, again.code().as_str()), (401, "dpop_proof_invalid"));
    assert_eq!(again.log()["reason"], "the proof was used before");
    let challenge = challenge(&again);
    assert!(
        challenge.starts_with("DPoP error=\"invalid_dpop_proof\", algs=\"RS256 "),
        "{challenge}"
    );
    assert!(
        challenge.ends_with(
            "resource_metadata=\"https://api.example/.well-known/oauth-protected-resource/petstore/v2\""
        ),
        "{challenge}"
    );
    // In another isolate too: the objects are the same.
    let mut other = gateway();
    // Both worlds draw the same numbers, and a request that asks again is one.
    other.rand();
    other.take_meters(&mut world);
    assert_eq!(other.send(&request).code(), "dpop_proof_invalid");
    assert_eq!(other.send(&proved(Request::get(PETS), "b")).status, 200);
    assert_eq!(
        other.send(&proved(Request::get(PETS), "b")).code(),
        "dpop_proof_invalid"
    );
}

#[test]
fn a_wrong_proof_uses_nothing_up() {
    let mut world = gateway();
    let right = proved(Request::get(PETS), "a");
    let proof = right
        .headers
        .iter()
        .find(|(name, _)| name == "dpop")
        .unwrap()
        .1
        .clone();
    let (input, _) = proof.rsplit_once('.').unwrap();
    let forged = with_proof(Request::get(PETS), &format!("{input}.{}", base64url(&[9; 64])));
    let answer = world.send(&forged);
    assert_eq!(answer.code(), "dpop_proof_invalid");
    assert_eq!(
        answer.steps,
        ["verify", "finish"],
        "no object is asked about a forged one"
    );
    for (wrong, reason) in [
        (
            with_proof(Request::get("/petstore/v2/pets/1"), &proof),
            "the proof's `htu` is not the URL of the request",
        ),
        (
            with_proof(Request::new("POST", PETS), &proof),
            "the proof's `htm` is not the method of the request",
        ),
        (
            with_proof(Request::get(PETS), &format!("{proof}, {proof}")),
            "there is more than one `DPoP` header",
        ),
    ] {
        let answer = world.send(&wrong);
        assert_eq!(
            (answer.code().as_str(), &answer.log()["reason"]),
            ("dpop_proof_invalid", &reason.into())
        );
        assert_eq!(answer.steps, ["finish"]);
    }
    assert_eq!(world.send(&right).status, 200);
}

#[test]
fn whether_a_proof_is_new_must_be_known() {
    let mut world = gateway();
    world.meter_down = true;
    let answer = world.send(&proved(Request::get(PETS), "a"));
    assert_eq!((answer.status, answer.code().as_str()), (503, "dpop_unavailable"));
    assert_eq!(answer.header("retry-after"), Some("5"));
    // What the object answers and nobody can read is no yes.
    for said in [&b""[..], b"\x88", b"\x88\x07", b"\x01\x00"] {
        let mut next = world.begin(&proved(Request::get(PETS), "b"));
        while !matches!(next.step, Step::Finish(_)) {
            next = match next.step {
                Step::Verify { .. } => world.resume(next.flight, Event::Verified(true)),
                Step::Meter { .. } => world.resume(next.flight, Event::Metered(Some(said))),
                other => panic!("{other:?}"),
            };
        }
        assert!(matches!(next.step, Step::Finish(finish) if finish.status == 503));
    }
}

#[test]
fn a_bound_token_alone_opens_nothing_and_challenges_offer_proofs() {
    let mut world = gateway();
    let stolen = Request::get(PETS).header("authorization", &format!("Bearer {}", bound_token()));
    let answer = world.send(&stolen);
    assert_eq!(answer.code(), "credential_invalid");
    let said = challenge(&answer);
    assert!(
        said.starts_with("Bearer error=\"invalid_token\", resource_metadata=\"")
            && said.contains("\", DPoP algs=\""),
        "{said}"
    );
    let answer = world.send(&Request::get(PETS));
    let said = challenge(&answer);
    assert!(
        // Each parameter belongs to the scheme before it (RFC 9110, 11.6.1).
        said.starts_with("Bearer resource_metadata=\"https://")
            && said.ends_with("\", DPoP algs=\"RS256 RS384 RS512 PS256 PS384 PS512 ES256 ES384 EdDSA\""),
        "{said}"
    );
    // An API key goes on as before, and an upstream sees neither token nor proof.
    let pet = || Request::get("/petstore/v2/pets/1");
    let answer = world.send(&pet().header("x-api-key", &key("demo")).header("dpop", "anything"));
    assert_eq!((answer.status, answer.sent.len()), (200, 1));
    assert!(!format!("{:?}", answer.sent).contains("anything"));
    let answer = world.send(&proved(pet(), "a"));
    let sent = format!("{:?}", answer.sent);
    assert!(
        answer.sent.len() == 1 && !sent.to_lowercase().contains("dpop"),
        "{sent}"
    );
    // Where nothing is bound to a key, nobody hears of it.
    let answer = World::new().send(&Request::get(PETS));
    assert!(!challenge(&answer).contains("DPoP"));
}

#[test]
fn a_lacking_scope_is_told_in_the_scheme_of_the_request() {
    let mut world = gateway();
    let request = Request::new("POST", PETS).body("application/json", b"{}");
    let scoped = world.send(&proved(request, "a"));
    assert_eq!(scoped.status, 200, "{}", scoped.text());
    let none = token(SECRET, |claims| {
        let canonical = format!(r#"{{"crv":"Ed25519","kty":"OKP","x":{}}}"#, own_key()["x"]);
        claims["cnf"] = json!({ "jkt": base64url(&Sha256::digest(canonical)) });
        claims["scope"] = "".into();
    });
    let claims = json!({
        "htm": "POST", "htu": "https://api.example/petstore/v2/pets", "iat": NOW / 1000, "jti": "b",
        "ath": base64url(&Sha256::digest(&none)),
    });
    let proof = signed(
        &json!({ "typ": "dpop+jwt", "alg": "EdDSA", "jwk": own_key() }),
        &claims,
    );
    let request = Request::new("POST", PETS)
        .body("application/json", b"{}")
        .header("authorization", &format!("DPoP {none}"))
        .header("dpop", &proof);
    let answer = world.send(&request);
    assert_eq!(answer.code(), "insufficient_scope");
    let said = challenge(&answer);
    assert!(
        said.starts_with("DPoP error=\"insufficient_scope\", scope=\"pets:write\", algs=\""),
        "{said}"
    );
}

#[test]
fn a_denied_certificate_opens_nothing_by_any_of_its_names_and_beside_no_credential() {
    let key = "1195bb3d691a8c496d78fbb28cf63eccd1ba1a1ccd2f7547d200f8da8434126e";
    // The policy names it twice, by its key and by its subject.
    let twice = |policy: &mut turnpike_policy::Compiled| {
        certificates(policy);
        let digits: Vec<u32> = key.chars().map(|digit| digit.to_digit(16).unwrap()).collect();
        let pairs = digits.chunks(2).map(|pair| pair[0] * 16 + pair[1]);
        let bytes: Vec<u8> = pairs.map(|byte| u8::try_from(byte).unwrap()).collect();
        policy.certificates.push(CertificateCredential {
            by: CertificateName::Key(bytes.try_into().unwrap()),
            ..policy.certificates[0].clone()
        });
        policy.certificates.sort_by(|a, b| a.by.cmp(&b.by));
    };
    for named in [SUBJECT, key] {
        let mut world = denying_with(twice);
        assert_eq!(world.send(&with_certificate(|_| ())).status, 200);
        assert_eq!(world.send(&deny("certificate", named, "b")).status, 200);
        for request in [with_certificate(|_| ()), with_certificate(|_| ()).by("demo")] {
            let answer = world.send(&request);
            assert_eq!(
                (answer.status, answer.log()["denied"].as_str()),
                (403, Some("b")),
                "{named}"
            );
        }
        assert_eq!(
            world.send(&Request::get(PETS).by("demo")).status,
            200,
            "without it"
        );
    }
}
