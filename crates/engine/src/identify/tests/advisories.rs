//! One test for each published advisory of a gateway or a JWT library that could apply here, named after its
//! identifier. `docs/security.md` says what went wrong there.

use serde_json::json;
use turnpike_policy::Algorithm::{ES256, EdDSA, HS256, HS512, RS256};

use super::super::keys::KeySet;
use super::super::metadata::keys_url;
use super::*;

type Changes<'a> = &'a [(&'a str, Option<Value>)];

/// A token of the issuer with a secret, right but for some claims.
fn with(changes: Changes<'_>) -> Result<Principal, Refusal> {
    once(&sign(HS256, &claims(SECRET, changes)))
}

/// A right payload and MAC below any header.
fn under(header: &str) -> Result<Principal, Refusal> {
    once(&sign_raw(HS256, header, &good(SECRET).to_string()))
}

fn no_algorithm(found: &Result<Principal, Refusal>) -> bool {
    matches!(found, Err(Refusal::AlgorithmNotAllowed(_)))
}

fn malformed(found: &Result<Principal, Refusal>) -> bool {
    matches!(found, Err(Refusal::Malformed(_)))
}

fn bad_claim(found: &Result<Principal, Refusal>) -> bool {
    matches!(found, Err(Refusal::ClaimInvalid { .. }))
}

/// A token whose MAC was made with the public key of its issuer, as text.
fn by_public_key() -> Result<Principal, Refusal> {
    let mut policy = policy();
    // Even where the policy's checker had let it pass.
    policy.issuers[INLINE as usize].algorithms = vec![ES256, EdDSA, HS256];
    let mut store = Store::new(&policy, &[7; 32], |_| Some(ES256_PUBLIC.as_bytes().to_vec()));
    let input = format!(
        "{}.{}",
        base64url(br#"{"alg":"HS256","kid":"ec"}"#),
        base64url(good(INLINE).to_string().as_bytes())
    );
    let mac = Hs256.sign(&Hs256Key::new(ES256_PUBLIC.as_bytes()), input.as_bytes());
    let token = format!("{input}.{}", base64url(&mac.as_bytes()));
    identify(&policy, &mut store, &token, NOW)
}

#[test]
fn cve_2015_9235_none_is_no_algorithm() {
    for alg in ["none", "None", "NONE", "nOnE"] {
        let header = base64url(format!(r#"{{"alg":"{alg}"}}"#).as_bytes());
        let payload = base64url(good(SECRET).to_string().as_bytes());
        assert!(once(&format!("{header}.{payload}.")).is_err(), "{alg}");
        assert!(no_algorithm(&under(&format!(r#"{{"alg":"{alg}"}}"#))), "{alg}");
    }
}

#[test]
fn cve_2026_39999_the_header_does_not_choose_the_algorithm() {
    assert!(no_algorithm(&by_public_key()));
    assert!(no_algorithm(&once(&sign(RS256, &good(INLINE)))));
}

#[test]
fn cve_2026_22817_a_key_without_alg_does_not_take_the_headers() {
    // The EC key has no `alg`: it is still for ES256 alone.
    let header = r#"{"alg":"EdDSA","kid":"ec"}"#;
    assert!(no_algorithm(&once(&sign_raw(
        EdDSA,
        header,
        &good(INLINE).to_string()
    ))));
}

#[test]
fn cve_2026_22818_there_is_no_default_algorithm() {
    for header in ["{}", r#"{"typ":"JWT"}"#, r#"{"alg":""}"#, r#"{"alg":null}"#] {
        assert!(under(header).is_err(), "{header}");
    }
}

#[test]
fn cve_2024_37568_a_public_key_is_no_secret() {
    assert!(no_algorithm(&by_public_key()));
}

#[test]
fn cve_2016_9122_a_token_has_one_signature() {
    let token = sign(HS256, &good(SECRET));
    let parts: Vec<&str> = token.split('.').collect();
    let general = json!({ "payload": parts[1], "signatures": [
        { "protected": parts[0], "signature": "AAAA" }, { "protected": parts[0], "signature": parts[2] },
    ] });
    assert!(once(&general.to_string()).is_err());
    assert!(malformed(&once(&format!("{token}.{}", parts[2]))));
}

#[test]
fn cve_2022_21449_a_signature_of_zeros_is_none() {
    for zeros in [[0, 0], [0, 1], [1, 0]] {
        let signature: Vec<u8> = zeros.iter().flat_map(|byte| [*byte; 32]).collect();
        let token = sign(ES256, &good(INLINE));
        let (input, _) = token.rsplit_once('.').unwrap();
        let found = once(&format!("{input}.{}", base64url(&signature)));
        assert_eq!(found, Err(Refusal::SignatureInvalid), "{zeros:?}");
    }
}

#[test]
fn cve_2018_0114_a_token_does_not_bring_its_key() {
    let key = ED25519_PUBLIC;
    let header = format!(r#"{{"alg":"EdDSA","jwk":{key}}}"#);
    assert!(malformed(&once(&sign_raw(
        EdDSA,
        &header,
        &good(INLINE).to_string()
    ))));
}

#[test]
fn cve_2025_24976_urls_and_certificates_of_a_token_choose_nothing() {
    // Signed by another key than the policy's: what it points to is not looked at.
    for more in [
        r#""jku":"https://evil.example/k""#,
        r#""x5u":"https://evil.example/c""#,
        r#""x5c":["MII="]"#,
    ] {
        let header = format!(r#"{{"alg":"EdDSA","kid":"ec",{more}}}"#);
        assert!(no_algorithm(&once(&sign_raw(
            EdDSA,
            &header,
            &good(INLINE).to_string()
        ))));
        let header = format!(r#"{{"alg":"EdDSA","kid":"theirs",{more}}}"#);
        let found = once(&sign_raw(EdDSA, &header, &good(INLINE).to_string()));
        assert!(matches!(found, Err(Refusal::KeyUnknown(_))), "{found:?}");
    }
}

#[test]
fn cve_2024_33531_enc_skips_no_signature() {
    let header = base64url(br#"{"alg":"HS256","enc":"A256GCM"}"#);
    let payload = base64url(good(SECRET).to_string().as_bytes());
    assert!(malformed(&once(&format!(
        "{header}.{payload}.{}",
        base64url(&[0; 32])
    ))));
}

#[test]
fn cve_2026_25537_a_malformed_time_is_not_an_absent_one() {
    for wrong in [
        json!("9999999999"),
        json!(null),
        json!([1]),
        json!({}),
        json!(true),
        json!(-1),
        json!(1e300),
    ] {
        for name in ["exp", "nbf", "iat"] {
            assert!(with(&[(name, Some(wrong.clone()))]).is_err(), "{name} {wrong}");
        }
    }
}

#[test]
fn cve_2020_26160_an_audience_in_a_list_is_looked_at() {
    for wrong in [json!([]), json!(["x"]), json!([""]), json!([[AUDIENCE]])] {
        assert!(with(&[("aud", Some(wrong.clone()))]).is_err(), "{wrong}");
    }
    assert!(with(&[("aud", Some(json!(["x", AUDIENCE])))]).is_ok());
}

#[test]
fn cve_2023_22482_an_audience_must_be_there() {
    assert_eq!(with(&[("aud", None)]), Err(Refusal::AudienceMismatch));
    assert_eq!(
        with(&[("aud", Some(json!("else")))]),
        Err(Refusal::AudienceMismatch)
    );
}

#[test]
fn go_2026_5732_expiry_must_be_there() {
    assert!(bad_claim(&with(&[("exp", None)])));
    // Where a longest lifetime is set, so must the begin of it.
    assert!(bad_claim(&with(&[("iat", None)])));
}

#[test]
fn cve_2024_53861_an_issuer_is_equal_or_it_is_not() {
    for wrong in [
        "",
        "https://secret.example",
        "https://secret.example/x",
        "secret",
        "HTTPS://secret.example/",
    ] {
        assert!(with(&[("iss", Some(json!(wrong)))]).is_err(), "{wrong}");
    }
    assert!(bad_claim(&with(&[("iss", Some(json!([ISSUERS[1]])))])));
    assert!(bad_claim(&with(&[("iss", None)])));
}

#[test]
fn cve_2023_3518_the_key_belongs_to_the_issuer_that_is_claimed() {
    // A right signature of one issuer below the name of another.
    let token = sign(EdDSA, &claims(SECRET, &[]));
    assert!(no_algorithm(&once(&token)));
    assert!(no_algorithm(&once(&sign(HS512, &good(INLINE)))));
}

#[test]
fn cve_2024_51744_a_wrong_signature_is_not_merely_expired() {
    // What has expired is refused before its signature is asked for, and never taken for right.
    let expired: Changes<'_> = &[
        ("exp", Some(json!(SECONDS - 60))),
        ("iat", Some(json!(SECONDS - 90))),
    ];
    assert_eq!(with(expired), Err(Refusal::Expired));
    let token = sign(HS256, &good(SECRET));
    let (input, _) = token.rsplit_once('.').unwrap();
    let found = once(&format!("{input}.{}", base64url(&[1; 32])));
    assert_eq!(found, Err(Refusal::SignatureInvalid));
}

#[test]
fn cve_2026_41164_another_kind_of_token_is_not_taken() {
    for typ in [
        "id+jwt",
        "dpop+jwt",
        "logout+jwt",
        "vc+jwt",
        "secevent+jwt",
        "refresh+jwt",
    ] {
        assert!(
            malformed(&under(&format!(r#"{{"alg":"HS256","typ":"{typ}"}}"#))),
            "{typ}"
        );
    }
}

#[test]
fn cve_2025_59420_an_extension_that_must_be_understood_is_refused() {
    for crit in [r#"["exp"]"#, r#"["b64"]"#, r#"["cnf"]"#, "[]", "null", r#""exp""#] {
        assert!(
            malformed(&under(&format!(r#"{{"alg":"HS256","crit":{crit}}}"#))),
            "{crit}"
        );
    }
}

#[test]
fn cve_2026_35042_an_unencoded_payload_is_refused() {
    assert!(malformed(&under(r#"{"alg":"HS256","b64":false}"#)));
    assert!(malformed(&under(r#"{"alg":"HS256","crit":["b64"],"b64":false}"#)));
}

#[test]
fn cve_2026_42576_a_key_of_another_kind_stops_nothing() {
    // Each a JWK that somebody serves; a key that can be used stays usable beside it.
    for strange in [
        "{}",
        r#"{"kty":"RSA"}"#,
        r#"{"kty":"RSA","n":"","e":""}"#,
        r#"{"kty":"EC","crv":"P-256","x":"AA","y":"AA"}"#,
        r#"{"kty":"EC","crv":"secp256k1","x":"AA","y":"AA"}"#,
        r#"{"kty":"OKP","crv":"X25519","x":"AA"}"#,
        r#"{"kty":"oct","k":"AAAA"}"#,
        r#"{"kty":7}"#,
        "null",
        "[]",
        "\"key\"",
    ] {
        let set = KeySet::from_jwks(jwks(&[strange, ED25519_PUBLIC]).as_bytes());
        assert!(set.is_ok(), "{strange}");
        assert!(
            KeySet::from_jwks(jwks(&[strange]).as_bytes()).is_err(),
            "{strange}"
        );
    }
}

#[test]
fn cve_2026_32301_no_claim_leads_to_a_url() {
    let policy = policy();
    let mut store = store(&policy);
    let token = sign(
        ES256,
        &claims(REMOTE, &[("jwks_uri", Some(json!("http://169.254.169.254/")))]),
    );
    let authorization = format!("Bearer {token}");
    let head = Presented {
        authorization: Some(&authorization),
        ..Presented::default()
    };
    let Outcome::FetchKeys(ask) = begin(&policy, &mut store, &head, NOW) else {
        panic!("no keys are there yet");
    };
    assert_eq!(ask.url, KEYS_URL);
}

#[test]
fn cve_2026_41413_metadata_lead_to_no_other_origin() {
    for url in [
        "http://169.254.169.254/latest",
        "https://evil.example/k",
        "https://own.example:8443/k",
    ] {
        let metadata = json!({ "issuer": "i", "jwks_uri": url }).to_string();
        assert!(
            keys_url(metadata.as_bytes(), "i", "https://own.example/x", &[]).is_err(),
            "{url}"
        );
    }
}

#[test]
fn cve_2026_49478_metadata_of_another_issuer_are_not_believed() {
    for issuer in [
        "https://evil.example/",
        "https://own.example",
        "",
        "HTTPS://own.example/",
    ] {
        let metadata = json!({ "issuer": issuer, "jwks_uri": "https://own.example/k" }).to_string();
        let found = keys_url(
            metadata.as_bytes(),
            "https://own.example/",
            "https://own.example/x",
            &[],
        );
        assert!(found.is_err(), "{issuer}");
    }
}

#[test]
fn cve_2025_30204_dots_cost_nothing() {
    for text in [".".repeat(8000), format!("{}e30", "e30.".repeat(2000))] {
        assert!(malformed(&once(&text)));
    }
}

#[test]
fn cve_2024_28180_nothing_is_unpacked() {
    assert!(malformed(&under(r#"{"alg":"HS256","zip":"DEF"}"#)));
    // Five parts: JWE.
    assert!(malformed(&once("e30.e30.e30.e30.e30")));
}

#[test]
fn cve_2023_50658_no_header_sets_an_amount_of_work() {
    for alg in ["PBES2-HS256+A128KW", "RSA-OAEP", "ECDH-ES", "dir"] {
        assert!(no_algorithm(&under(&format!(
            r#"{{"alg":"{alg}","p2c":2147483647,"p2s":"AA"}}"#
        ))));
    }
}

/// A public key in the forms in which it is given away.
const PEM: &str = "-----BEGIN PUBLIC KEY-----\nMFkwEwYHKoZIzj0CAQYIKoZIzj0DAQcDQgAEf83OJ3D2xF1Bg8vub9tLe1gHMzV7\n6e8Tus9uPHvRVEXH8UTNG72bfocs3+257rn0s2ldbqkLJK2KRiMohYjlrQ==\n-----END PUBLIC KEY-----\n";

/// What comes of a token whose MAC was made with a text, by an issuer whose secret is that text.
fn by_text(secret: &str) -> Result<Principal, Refusal> {
    let policy = policy();
    let mut store = Store::new(&policy, &[7; 32], |_| Some(secret.as_bytes().to_vec()));
    let input = format!(
        "{}.{}",
        base64url(br#"{"alg":"HS256"}"#),
        base64url(good(SECRET).to_string().as_bytes())
    );
    let mac = Hs256.sign(&Hs256Key::new(secret.as_bytes()), input.as_bytes());
    let token = format!("{input}.{}", base64url(&mac.as_bytes()));
    identify(&policy, &mut store, &token, NOW)
}

fn no_secret(found: &Result<Principal, Refusal>) -> bool {
    matches!(found, Err(Refusal::SecretMissing { .. }))
}

#[test]
fn cve_2023_48223_a_key_that_is_given_away_is_no_secret() {
    assert!(
        by_text("a secret of more than thirty-two bytes, as it should be").is_ok(),
        "what is a secret is one"
    );
    assert!(
        by_text("{a secret of more than thirty-two random signs}").is_ok(),
        "a brace makes no key"
    );
    assert!(no_secret(&by_text(&format!(r#"{{ "keys": [{ES256_PUBLIC}] }}"#))));
    assert!(no_secret(&by_text(PEM)));
    assert!(no_secret(&by_text(&PEM.replace("PUBLIC KEY", "RSA PUBLIC KEY"))));
    assert!(no_secret(&by_text(&PEM.replace("PUBLIC KEY", "CERTIFICATE"))));
}

#[test]
fn cve_2026_34950_blanks_before_a_key_make_it_no_secret() {
    for blanks in [" ", "\n", "\r\n\t", "\u{feff}", "\u{a0}", "\0", "\u{2028} \n"] {
        assert!(no_secret(&by_text(&format!("{blanks}{PEM}"))), "{blanks:?}");
        assert!(
            no_secret(&by_text(&format!("{blanks}{ES256_PUBLIC}"))),
            "{blanks:?}"
        );
    }
}

#[test]
fn libjwt_200_the_kind_of_an_issuers_keys_decides_not_the_header() {
    // An RSA key of the issuer, and a MAC that was made with its text.
    let mut policy = policy();
    policy.issuers[REMOTE as usize].algorithms = vec![RS256, HS256];
    let mut store = Store::new(&policy, &[7; 32], |_| Some(PEM.as_bytes().to_vec()));
    let mut modulus = vec![0xa5; 256];
    modulus[255] = 1;
    let key = format!(
        r#"{{"kty":"RSA","kid":"rsa","e":"AQAB","n":"{}"}}"#,
        base64url(&modulus)
    );
    store.keys.fetched(REMOTE, Some(jwks(&[&key]).as_bytes()), NOW);
    for text in [key.as_str(), PEM, &base64url(&modulus)] {
        let input = format!(
            "{}.{}",
            base64url(br#"{"alg":"HS256","kid":"rsa"}"#),
            base64url(good(REMOTE).to_string().as_bytes())
        );
        let mac = Hs256.sign(&Hs256Key::new(text.as_bytes()), input.as_bytes());
        let token = format!("{input}.{}", base64url(&mac.as_bytes()));
        assert!(no_algorithm(&identify(&policy, &mut store, &token, NOW)));
    }
}

#[test]
fn python_jose_413_a_critical_extension_is_not_skipped() {
    for crit in [
        r#"["exp"]"#,
        r#"["b64"]"#,
        r#"["http://example.com/x"]"#,
        "[]",
        "null",
        r#""exp""#,
        "{}",
    ] {
        let header = format!(r#"{{"alg":"HS256","crit":{crit},"exp":4000000000}}"#);
        assert!(malformed(&under(&header)), "{crit}");
    }
}

#[test]
fn rustsec_2023_0071_no_private_key_of_rsa_is_used() {
    // Timing tells of private operations alone. The crate serves tests, and nothing that is deployed.
    let manifest = include_str!("../../../Cargo.toml");
    let (deployed, tests) = manifest.split_once("[dev-dependencies]").unwrap();
    assert!(!deployed.contains("\"rsa\"") && tests.contains("\"rsa\""));
    assert!(!include_str!("../../../../core/Cargo.toml").contains("rsa"));
    // A private key of an issuer's is no key here.
    let mut modulus = vec![0xa5; 256];
    modulus[255] = 1;
    let key = format!(
        r#"{{"kty":"RSA","kid":"rsa","e":"AQAB","n":"{}","d":"AAAA"}}"#,
        base64url(&modulus)
    );
    assert!(KeySet::from_jwks(jwks(&[&key]).as_bytes()).is_err());
}

/// What `docs/security.md` says is shown, is: each test that it names is in the file that it names, and each
/// test here has its row.
#[test]
fn the_reference_names_tests_that_are_there() {
    let root = concat!(env!("CARGO_MANIFEST_DIR"), "/../../");
    let read = |path: &str| std::fs::read_to_string(format!("{root}{path}")).expect(path);
    let reference = read("docs/security.md");
    let mut named = 0;
    for (before, after) in reference
        .match_indices("`](../")
        .map(|(at, _)| reference.split_at(at))
    {
        let name = before.rsplit('`').next().unwrap();
        let path = after.split(['(', ')']).nth(1).unwrap().trim_start_matches("../");
        assert!(
            read(path).contains(&format!("fn {name}(")),
            "{path} has no test {name}"
        );
        named += 1;
    }
    assert!(named > 30, "{named}");
    for line in include_str!("advisories.rs").lines() {
        let name = line
            .strip_prefix("fn ")
            .and_then(|rest| rest.strip_suffix("() {"));
        if let Some(name) = name.filter(|name| name.contains("_20")) {
            assert!(reference.contains(&format!("`{name}`")), "no row for {name}");
        }
    }
    let rows = reference.match_indices("| `").filter_map(|(at, _)| {
        let name = reference.split_at(at + 3).1.split('`').next()?;
        name.contains("_20").then_some(name)
    });
    for name in rows {
        assert!(
            include_str!("advisories.rs").contains(&format!("fn {name}(")),
            "{name}"
        );
    }
}

/// Advisories of the same fault in other places, each under its own identifier.
macro_rules! the_same {
    ($($name:ident: $test:path,)+) => {
        $(
            #[test]
            fn $name() {
                $test();
            }
        )+
    };
}

the_same! {
    cve_2017_11424: cve_2024_37568_a_public_key_is_no_secret,
    cve_2022_29217: cve_2024_37568_a_public_key_is_no_secret,
    cve_2023_49092: rustsec_2023_0071_no_private_key_of_rsa_is_used,
    cve_2024_33663: cve_2024_37568_a_public_key_is_no_secret,
    cve_2024_5037: cve_2024_53861_an_issuer_is_equal_or_it_is_not,
    cve_2024_5798: cve_2023_22482_an_audience_must_be_there,
    cve_2025_22149: super::flow::a_withdrawn_key_takes_its_tokens_along,
    cve_2025_27144: cve_2025_30204_dots_cost_nothing,
    cve_2025_63811: cve_2024_28180_nothing_is_unpacked,
    cve_2026_23993: cve_2026_39999_the_header_does_not_choose_the_algorithm,
    cve_2026_30223: cve_2023_22482_an_audience_must_be_there,
    cve_2026_32597: cve_2025_59420_an_extension_that_must_be_understood_is_refused,
    cve_2026_33322: cve_2024_37568_a_public_key_is_no_secret,
    cve_2026_34986: cve_2024_28180_nothing_is_unpacked,
    cve_2026_49998: super::flow::keys_of_one_issuer_serve_no_other,
    cve_2026_55669: cve_2023_22482_an_audience_must_be_there,
    go_2026_4779: cve_2024_37568_a_public_key_is_no_secret,
    napgram_84: cve_2026_22818_there_is_no_default_algorithm,
}
