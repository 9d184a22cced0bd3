//! Proofs of possession (RFC 9449): what each must say, and what opens nothing.

use turnpike_policy::Algorithm::{ES256, EdDSA, HS256, RS256};

use super::super::{Part, Proven, keys_fetched};
use super::*;

/// RFC 7638, section 3, of the two keys of these tests.
pub(super) fn thumbprint(jwk: &str) -> String {
    let key: Value = serde_json::from_str(jwk).unwrap();
    let text = |name: &str| key[name].as_str().unwrap().to_owned();
    let canonical = if text("kty") == "EC" {
        format!(
            r#"{{"crv":"P-256","kty":"EC","x":"{}","y":"{}"}}"#,
            text("x"),
            text("y")
        )
    } else {
        format!(r#"{{"crv":"Ed25519","kty":"OKP","x":"{}"}}"#, text("x"))
    };
    base64url(&Sha256::digest(canonical))
}

const URL: &str = "https://api.example/pets/v1/pets?limit=1";

/// A policy whose tokens of the secret issuer may be bound to a key, and those of the remote one must be.
pub(super) fn policy() -> Compiled {
    let mut policy = super::policy();
    policy.dpop = true;
    policy.issuers[SECRET as usize].dpop = Binding::Accepted;
    policy.issuers[REMOTE as usize].dpop = Binding::Required;
    policy
}

/// A token that is bound to a key.
pub(super) fn bound(jwk: &str) -> String {
    let cnf = json!({ "jkt": thumbprint(jwk) });
    sign(HS256, &claims(SECRET, &[("cnf", Some(cnf))]))
}

pub(super) fn public(algorithm: Algorithm) -> &'static str {
    match algorithm {
        ES256 => {
            r#"{"kty":"EC","crv":"P-256","x":"f83OJ3D2xF1Bg8vub9tLe1gHMzV76e8Tus9uPHvRVEU","y":"x_FEzRu9m36HLN_tue659LNpXW6pCyStikYjKIWI5a0"}"#
        }
        _ => r#"{"kty":"OKP","crv":"Ed25519","x":"11qYAYKxCrfVS_7TyWQHOg7hcvPapiMlrwIaaPcHURo"}"#,
    }
}

/// What a proof for a token claims.
pub(super) fn said(token: &str) -> Value {
    json!({
        "htm": "GET", "htu": "https://api.example/pets/v1/pets", "iat": SECONDS,
        "jti": "1f3a", "ath": base64url(&Sha256::digest(token)),
    })
}

pub(super) fn header(algorithm: Algorithm) -> String {
    format!(
        r#"{{"typ":"dpop+jwt","alg":"{}","jwk":{}}}"#,
        algorithm.name(),
        public(algorithm)
    )
}

/// A proof that is right.
pub(super) fn proof(algorithm: Algorithm, token: &str) -> String {
    sign_raw(algorithm, &header(algorithm), &said(token).to_string())
}

/// Whether a proof lets its token pass.
pub(super) fn passes(token: &str, proof: &str) -> bool {
    Sent::of(token, proof).once().is_ok()
}

/// How a token came.
#[derive(Clone, Copy)]
struct Sent<'a> {
    scheme: &'a str,
    token: &'a str,
    proof: Option<&'a str>,
    method: &'a str,
    url: &'a str,
}

impl<'a> Sent<'a> {
    const fn of(token: &'a str, proof: &'a str) -> Self {
        Sent {
            scheme: "DPoP",
            token,
            proof: Some(proof),
            method: "GET",
            url: URL,
        }
    }

    #[expect(
        clippy::panic_in_result_fn,
        clippy::unwrap_in_result,
        reason = "a test's helper"
    )]
    fn to(self, policy: &Compiled, store: &mut Store, now: u64) -> Result<Proven, Refusal> {
        let authorization = format!("{} {}", self.scheme, self.token);
        let head = Presented {
            authorization: Some(&authorization),
            proof: self.proof,
            method: self.method,
            url: self.url,
            dpop: policy.dpop,
            ..Presented::default()
        };
        let mut outcome = begin(policy, store, &head, now);
        loop {
            outcome = match outcome {
                Outcome::Proven(proven) => return Ok(*proven),
                Outcome::Refused(refusal) => return Err(refusal),
                Outcome::Verify(ask) => {
                    let bytes = postcard::to_allocvec(&ask.pending).unwrap();
                    verified(
                        store,
                        postcard::from_bytes(&bytes).unwrap(),
                        native::verify(&ask),
                        now,
                    )
                }
                other => panic!("{other:?}"),
            };
        }
    }

    fn once(self) -> Result<Proven, Refusal> {
        let policy = policy();
        self.to(&policy, &mut store(&policy), NOW)
    }

    #[track_caller]
    fn is_refused(self, why: &str) {
        let refusal = self.once().expect_err(why);
        assert_eq!(refusal, Refusal::Proof(refusal_text(why)), "{why}");
    }
}

/// A text that lives as long as the program: refusals hold such.
fn refusal_text(why: &str) -> &'static str {
    Box::leak(why.to_owned().into_boxed_str())
}

#[test]
fn a_token_and_a_proof_of_its_key_prove_its_consumer() {
    for algorithm in [ES256, EdDSA] {
        let token = bound(public(algorithm));
        let proof = proof(algorithm, &token);
        let proven = Sent::of(&token, &proof).once().unwrap();
        assert_eq!(proven.principal.consumer, SECRET + 10);
        assert_eq!(base64url(&proven.key), thumbprint(public(algorithm)));
        // 60 s, a second that was cut off, the issuer's 30 s, and 30 s more.
        assert_eq!(proven.until, NOW + 121_000);
        let small = Sent {
            scheme: "dpop",
            ..Sent::of(&token, &proof)
        };
        assert_eq!(small.once().unwrap(), proven, "schemes are words of any case");
    }
}

/// The thumbprint that RFC 9449 gives for the key of its example (6.1), whose proof of section 4.1 is read here, in
/// its time.
#[test]
fn the_proof_of_rfc_9449() {
    const TOKEN_HASH: &str = "fUHyO2r2Z3DZ53EsNrWBb0xWXoaNy59IiKCAqksmQEo";
    const TOKEN: &str = "Kz~8mXK1EalYznwH-LC-1fBAo.4Ljp~zsPE_NeO.gxU";
    const PROOF: &str = "eyJ0eXAiOiJkcG9wK2p3dCIsImFsZyI6IkVTMjU2IiwiandrIjp7Imt0eSI6IkVDIiwieCI6Imw4dEZyaHgtMzR0VjNoUklDUkRZOXpDa0RscEJoRjQyVVFVZldWQVdCRnMiLCJ5IjoiOVZFNGpmX09rX282NHpiVFRsY3VOSmFqSG10NnY5VERWclUwQ2R2R1JEQSIsImNydiI6IlAtMjU2In19.eyJqdGkiOiJlMWozVl9iS2ljOC1MQUVCIiwiaHRtIjoiR0VUIiwiaHR1IjoiaHR0cHM6Ly9yZXNvdXJjZS5leGFtcGxlLm9yZy9wcm90ZWN0ZWRyZXNvdXJjZSIsImlhdCI6MTU2MjI2MjYxOCwiYXRoIjoiZlVIeU8ycjJaM0RaNTNFc05yV0JiMHhXWG9hTnk1OUlpS0NBcWtzbVFFbyJ9.2oW9RP35yRqzhrtNP86L-Ey71EOptxRimPPToA1plemAgR6pxHF8y6-yqyVnmcw6Fy1dqd-jfxSYoMxhAJpLjA";
    const JKT: &str = "0ZcOCORZNYy-DWpqq30jZyJGHTN0d2HglBV3uiguA4I";
    assert_eq!(base64url(&Sha256::digest(TOKEN)), TOKEN_HASH);
    let presented = Presented {
        proof: Some(PROOF),
        method: "GET",
        url: "https://resource.example.org/protectedresource",
        dpop: true,
        ..Presented::default()
    };
    let key: [u8; 32] = super::super::encoding::from_base64url(JKT)
        .unwrap()
        .try_into()
        .unwrap();
    let now = 1_562_262_618_000;
    let proof = super::super::dpop::check(TOKEN, &key, &presented, 0, now).unwrap();
    assert!(native::verify_parts(
        proof.algorithm,
        &proof.key,
        &proof.input,
        &proof.signature
    ));
}

#[test]
fn each_claim_of_a_proof_is_held_against_the_request() {
    let token = bound(public(ES256));
    let with = |name: &str, value: Value| {
        let mut said = said(&token);
        match value {
            Value::Null => said.as_object_mut().unwrap().remove(name),
            value => said.as_object_mut().unwrap().insert(name.to_owned(), value),
        };
        sign_raw(ES256, &header(ES256), &said.to_string())
    };
    let no = Value::Null;
    let (method, url) = (
        "the proof's `htm` is not the method of the request",
        "the proof's `htu` is not the URL of the request",
    );
    let (old, early) = (
        "the proof's `iat` is too long ago",
        "the proof's `iat` is in the future",
    );
    let missing = "the proof's `iat` is missing";
    let form = "the proof's claims are not what RFC 7519 asks for";
    let hash = "the proof's `ath` is not the hash of the token";
    let id = "the proof's `jti` is missing, or longer than 255 bytes";
    for (name, value, why) in [
        ("htm", json!("POST"), method),
        ("htm", json!("get"), method),
        ("htm", json!(["GET"]), method),
        ("htm", no.clone(), method),
        ("htu", json!("https://api.example/pets/v1/pets/"), url),
        ("htu", json!("https://api.example/pets/v1"), url),
        ("htu", json!("http://api.example/pets/v1/pets"), url),
        ("htu", json!("https://api.example:8443/pets/v1/pets"), url),
        ("htu", json!("https://other.example/pets/v1/pets"), url),
        (
            "htu",
            json!("https://api.example@other.example/pets/v1/pets"),
            url,
        ),
        ("htu", json!("/pets/v1/pets"), url),
        ("htu", json!("api.example/pets/v1/pets"), url),
        ("htu", json!("ftp://api.example/pets/v1/pets"), url),
        ("htu", json!("https://api.example/pets/v1/x/../pets"), url),
        ("htu", json!("https://api.example/pets/v1/%2fpets"), url),
        ("htu", no.clone(), url),
        ("iat", json!(SECONDS - 92), old),
        ("iat", json!(0), old),
        ("iat", json!(SECONDS + 31), early),
        ("iat", json!(253_402_300_799_u64), early),
        ("iat", json!(-1), missing),
        ("iat", no.clone(), missing),
        ("iat", json!("1800000000"), form),
        ("ath", json!(base64url(&Sha256::digest("another token"))), hash),
        (
            "ath",
            json!(format!("{}=", base64url(&Sha256::digest(&token)))),
            hash,
        ),
        ("ath", json!(""), hash),
        ("ath", no.clone(), hash),
        ("jti", json!(""), id),
        ("jti", json!("x".repeat(256)), id),
        ("jti", json!(7), id),
        ("jti", no.clone(), id),
        ("exp", json!(SECONDS - 40), "the proof has expired"),
    ] {
        let proof = with(name, value);
        Sent::of(&token, &proof).is_refused(why);
    }
    for (name, value) in [
        (
            "htu",
            json!("HTTPS://API.example:443/pets/v1/pets?other=query#and-fragment"),
        ),
        ("htu", json!("https://api.example/pets/v1/%70ets")),
        ("iat", json!(SECONDS - 90)),
        ("iat", json!(SECONDS + 30)),
        ("jti", json!("x".repeat(255))),
        ("nonce", json!("of another server")),
        ("exp", json!(SECONDS + 1)),
    ] {
        let proof = with(name, value.clone());
        Sent::of(&token, &proof)
            .once()
            .unwrap_or_else(|refusal| panic!("{name} {value}: {refusal:?}"));
    }
    let right = proof(ES256, &token);
    let other = Sent {
        method: "POST",
        ..Sent::of(&token, &right)
    };
    other.is_refused(method);
    let other = Sent {
        url: "https://api.example/pets/v1/pets/1",
        ..Sent::of(&token, &right)
    };
    other.is_refused(url);
}

#[expect(clippy::too_many_lines, reason = "a table")]
#[test]
fn the_header_of_a_proof_names_a_public_key_of_the_right_kind() {
    let token = bound(public(ES256));
    let with = |header: &str| sign_raw(ES256, header, &said(&token).to_string());
    let own = public(ES256);
    let inside = own.trim_matches(['{', '}']);
    let (kind, key, alg) = (
        "the proof's `typ` is not `dpop+jwt`",
        "the proof's `jwk` is not a public key that is supported",
        "the proof's `alg` is not one of public keys that is supported",
    );
    let (members, form) = (
        "the proof's header has a member that is not supported",
        "the proof is not what RFC 7515 asks for",
    );
    let fits = "the proof's `alg` is not one for its key";
    let d = "jpsQnnGQmL-YBIffH1136cspYG6-0iY7X1fCE9-E9LI";
    for (header, why) in [
        (format!(r#"{{"alg":"ES256","jwk":{own}}}"#), kind),
        (format!(r#"{{"typ":"JWT","alg":"ES256","jwk":{own}}}"#), kind),
        (format!(r#"{{"typ":"at+jwt","alg":"ES256","jwk":{own}}}"#), kind),
        (format!(r#"{{"typ":"dpop+jwt","alg":"none","jwk":{own}}}"#), alg),
        (format!(r#"{{"typ":"dpop+jwt","alg":"HS256","jwk":{own}}}"#), alg),
        (format!(r#"{{"typ":"dpop+jwt","alg":"es256","jwk":{own}}}"#), alg),
        (format!(r#"{{"typ":"dpop+jwt","alg":"ES512","jwk":{own}}}"#), alg),
        (format!(r#"{{"typ":"dpop+jwt","alg":"ES384","jwk":{own}}}"#), fits),
        (format!(r#"{{"typ":"dpop+jwt","alg":"EdDSA","jwk":{own}}}"#), fits),
        (format!(r#"{{"typ":"dpop+jwt","alg":"RS256","jwk":{own}}}"#), fits),
        (
            format!(r#"{{"typ":"dpop+jwt","alg":"ES256","jwk":{{{inside},"d":"{d}"}}}}"#),
            key,
        ),
        (
            format!(r#"{{"typ":"dpop+jwt","alg":"ES256","jwk":{{{inside},"d":null}}}}"#),
            key,
        ),
        (
            format!(r#"{{"typ":"dpop+jwt","alg":"ES256","jwk":{{{inside},"x":"AA"}}}}"#),
            form,
        ),
        (
            format!(r#"{{"typ":"dpop+jwt","alg":"ES256","jwk":{{{inside},"alg":"ES384"}}}}"#),
            key,
        ),
        (
            format!(r#"{{"typ":"dpop+jwt","alg":"ES256","jwk":{{{inside},"use":"enc"}}}}"#),
            key,
        ),
        (
            r#"{"typ":"dpop+jwt","alg":"ES256","jwk":{"kty":"oct","k":"AAAA"}}"#.to_owned(),
            key,
        ),
        (r#"{"typ":"dpop+jwt","alg":"ES256","jwk":{}}"#.to_owned(), key),
        (r#"{"typ":"dpop+jwt","alg":"ES256","jwk":[]}"#.to_owned(), key),
        (
            r#"{"typ":"dpop+jwt","alg":"ES256"}"#.to_owned(),
            "the proof has no `jwk`",
        ),
        (
            r#"{"typ":"dpop+jwt","alg":"ES256","kid":"ec"}"#.to_owned(),
            "the proof has no `jwk`",
        ),
        (
            format!(r#"{{"typ":"dpop+jwt","alg":"ES256","crit":["b64"],"jwk":{own}}}"#),
            members,
        ),
        (
            format!(r#"{{"typ":"dpop+jwt","alg":"ES256","b64":false,"jwk":{own}}}"#),
            members,
        ),
        (
            format!(r#"{{"typ":"dpop+jwt","alg":"ES256","zip":"DEF","jwk":{own}}}"#),
            members,
        ),
        (
            format!(r#"{{"typ":"dpop+jwt","alg":"ES256","enc":"A128GCM","jwk":{own}}}"#),
            members,
        ),
        (
            format!(r#"{{"typ":"dpop+jwt","alg":"ES256","jwk":{own},"jwk":{own}}}"#),
            form,
        ),
        (
            format!(r#"{{"typ":"dpop+jwt","alg":"ES256","alg":"ES256","jwk":{own}}}"#),
            form,
        ),
        (format!(r#"{{"typ":"dpop+jwt","alg":"ES256","jwk":{own}}} "#), ""),
    ] {
        let proof = with(&header);
        match Sent::of(&token, &proof).once() {
            Err(Refusal::Proof(said)) if said == why => {}
            // A space behind it is still JSON, and was signed with it.
            Ok(_) if why.is_empty() => {}
            other => panic!("{header}: {other:?}"),
        }
    }
    for header in [
        format!(r#"{{"typ":"application/dpop+jwt","alg":"ES256","jwk":{own}}}"#),
        format!(
            r#"{{"typ":"DPoP+JWT","alg":"ES256","jwk":{{{inside},"key_ops":["verify"],"ext":true,"kid":"x"}}}}"#
        ),
        format!(r#"{{"typ":"dpop+jwt","alg":"ES256","jku":"https://evil.example/","jwk":{own}}}"#),
    ] {
        let proof = with(&header);
        assert!(Sent::of(&token, &proof).once().is_ok(), "{header}");
    }
}

#[test]
fn a_proof_of_another_key_or_of_nobody_is_refused() {
    let token = bound(public(ES256));
    let other = proof(EdDSA, &token);
    Sent::of(&token, &other).is_refused("the proof's key is not the one that the token is bound to");
    // Its key, and somebody else's signature.
    let right = proof(ES256, &token);
    let (input, signature) = right.rsplit_once('.').unwrap();
    let foreign = sign_raw(ES256, &header(ES256), "{}");
    let (_, foreign) = foreign.rsplit_once('.').unwrap();
    let forged = format!("{input}.{foreign}");
    Sent::of(&token, &forged).is_refused("the proof's signature is wrong");
    let wrong = "the proof's signature does not have the form of its algorithm";
    for bytes in [&[0; 64][..], &[1; 63], &[1; 65], &[]] {
        let forged = format!("{input}.{}", base64url(bytes));
        Sent::of(&token, &forged).is_refused(wrong);
    }
    let form = "the proof is not what RFC 7515 asks for";
    for text in [
        "",
        ".",
        "..",
        "x.y.z",
        input,
        &format!("{input}.{signature}.x"),
        &format!("{input}.{signature}="),
        &format!("{right} "),
        &format!(" {right}"),
        &token.replace('.', ""),
    ] {
        Sent::of(&token, text).is_refused(form);
    }
    // The token itself is no proof.
    let refused = Sent::of(&token, &token).once().unwrap_err();
    assert!(matches!(refused, Refusal::Proof(_)));
    let twice = format!("{right}, {right}");
    Sent::of(&token, &twice).is_refused("there is more than one `DPoP` header");
    let giant = format!("{}.{}", "A".repeat(9 * 1024), right);
    Sent::of(&token, &giant).is_refused("the proof is longer than 8 KiB");
    let none = Sent {
        proof: None,
        ..Sent::of(&token, "")
    };
    none.is_refused("there is no `DPoP` header");
}

#[test]
fn a_bound_token_is_no_bearer_token_and_an_unbound_one_no_dpop_token() {
    let token = bound(public(ES256));
    let right = proof(ES256, &token);
    for scheme in ["Bearer", "bearer"] {
        let sent = Sent {
            scheme,
            ..Sent::of(&token, &right)
        };
        assert_eq!(
            sent.once().unwrap_err().reason(),
            "`cnf` asks for the scheme `DPoP` and a proof"
        );
    }
    let policy = policy();
    let head = Presented {
        x_api_key: Some(&token),
        proof: Some(&right),
        method: "GET",
        url: URL,
        dpop: true,
        ..Presented::default()
    };
    assert!(matches!(
        begin(&policy, &mut store(&policy), &head, NOW),
        Outcome::Refused(_)
    ));
    let plain = sign(HS256, &good(SECRET));
    let right = proof(ES256, &plain);
    let refused = Sent::of(&plain, &right).once().unwrap_err();
    assert_eq!(
        refused.reason(),
        "`cnf` does not bind the token, which came as `DPoP`, to a key"
    );
    let bearer = Presented {
        authorization: Some(&format!("Bearer {plain}")),
        ..head
    };
    let bearer = Presented {
        x_api_key: None,
        ..bearer
    };
    let outcome = begin(&policy, &mut store(&policy), &bearer, NOW);
    assert!(matches!(outcome, Outcome::Known(_)), "accepted: not required");
    let key = Sent::of(API_KEY, &right).once().unwrap_err();
    assert_eq!(key, Refusal::Malformed("the scheme `DPoP` is for tokens"));
    let two = format!("{token}, DPoP {token}");
    assert_eq!(Sent::of(&two, &right).once().unwrap_err(), Refusal::Ambiguous);
}

#[test]
fn a_remembered_token_is_proved_anew_each_time() {
    let policy = policy();
    let mut store = store(&policy);
    let token = bound(public(ES256));
    let right = proof(ES256, &token);
    assert!(Sent::of(&token, &right).to(&policy, &mut store, NOW).is_ok());
    assert_eq!(store.cache.size().0, 1);
    let (input, _) = right.rsplit_once('.').unwrap();
    let forged = format!("{input}.{}", base64url(&[7; 64]));
    for sent in [
        Sent::of(&token, &forged),
        Sent::of(&token, &proof(EdDSA, &token)),
        Sent::of(&token, ""),
        Sent {
            proof: None,
            ..Sent::of(&token, "")
        },
        Sent {
            scheme: "Bearer",
            ..Sent::of(&token, &right)
        },
        Sent {
            method: "DELETE",
            ..Sent::of(&token, &right)
        },
    ] {
        assert!(sent.to(&policy, &mut store, NOW).is_err());
    }
    let late = Sent::of(&token, &right).to(&policy, &mut store, NOW + 91_000);
    assert_eq!(late, Err(Refusal::Proof("the proof's `iat` is too long ago")));
    let again = Sent::of(&token, &right)
        .to(&policy, &mut store, NOW + 90_999)
        .unwrap();
    // By this the object knows it again; another one has another name.
    assert_eq!(
        again.proof,
        Sent::of(&token, &right)
            .to(&policy, &mut store, NOW)
            .unwrap()
            .proof
    );
    let mut other = said(&token);
    other["jti"] = json!("1f3b");
    let other = sign_raw(ES256, &header(ES256), &other.to_string());
    assert_ne!(
        again.proof,
        Sent::of(&token, &other)
            .to(&policy, &mut store, NOW)
            .unwrap()
            .proof
    );
}

#[test]
fn an_issuer_may_require_proofs_and_another_take_none() {
    let policy = policy();
    let set = jwks(&[ES256_PUBLIC]);
    let ask = |token: &str, scheme: &str| {
        let mut store = store(&policy);
        let authorization = format!("{scheme} {token}");
        let right = proof(ES256, token);
        let head = Presented {
            authorization: Some(&authorization),
            proof: Some(&right),
            method: "GET",
            url: URL,
            dpop: true,
            ..Presented::default()
        };
        // The proof and the request travel with it while keys are fetched.
        let kept: crate::flight::Presented = (&head).into();
        let bytes = postcard::to_allocvec(&kept).unwrap();
        let kept: crate::flight::Presented = postcard::from_bytes(&bytes).unwrap();
        let mut outcome = begin(&policy, &mut store, &head, NOW);
        if let Outcome::FetchKeys(_) = outcome {
            let fetched = (REMOTE, Part::Keys);
            outcome = keys_fetched(
                &policy,
                &mut store,
                fetched,
                Some(set.as_bytes()),
                &kept.borrow(),
                NOW,
            );
        }
        finish(&mut store, outcome, NOW)
    };
    let cnf = || Some(json!({ "jkt": thumbprint(public(ES256)) }));
    let remote = sign(ES256, &claims(REMOTE, &[("cnf", cnf())]));
    assert_eq!(ask(&remote, "DPoP").unwrap().consumer, REMOTE + 10);
    let plain = sign(ES256, &good(REMOTE));
    for scheme in ["Bearer", "DPoP"] {
        let refused = ask(&plain, scheme).unwrap_err();
        assert_eq!(refused.reason(), "`cnf` does not bind the token to a key (`jkt`)");
    }
    // Keys in a token's own header choose nothing, also where proofs may bring theirs.
    let brought = sign_raw(
        ES256,
        &format!(r#"{{"alg":"ES256","typ":"at+jwt","jwk":{}}}"#, public(ES256)),
        &claims(REMOTE, &[("cnf", cnf())]).to_string(),
    );
    assert!(ask(&brought, "DPoP").is_err());
    let inline = sign(ES256, &claims(INLINE, &[("cnf", cnf())]));
    let refused = ask(&inline, "DPoP").unwrap_err();
    assert!(matches!(refused, Refusal::ClaimInvalid { .. }), "{refused:?}");
    let rsa = sign(RS256, &claims(INLINE, &[("cnf", cnf())]));
    assert!(ask(&rsa, "DPoP").is_err());
}

#[test]
fn where_no_issuer_takes_proofs_the_scheme_is_none() {
    let policy = super::policy();
    let token = bound(public(ES256));
    let right = proof(ES256, &token);
    let refused = Sent::of(&token, &right)
        .to(&policy, &mut store(&policy), NOW)
        .unwrap_err();
    assert_eq!(
        refused,
        Refusal::Malformed("the scheme of `Authorization` is not `Bearer`")
    );
}
