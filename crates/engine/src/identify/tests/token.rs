use turnpike_policy::Algorithm::{self, EdDSA, HS256, HS384, HS512};

use super::super::Refusal;
use super::{INLINE, SECRET, base64url, good, once, sign, sign_raw};

fn with_header(header: &str) -> Result<(), Refusal> {
    once(&sign_raw(HS256, header, &good(SECRET).to_string())).map(|_| ())
}

fn malformed<T>(result: &Result<T, Refusal>) -> bool {
    matches!(result, Err(Refusal::Malformed(_)))
}

#[test]
fn headers() {
    for header in [
        r#"{"alg":"HS256"}"#,
        r#" { "alg" : "HS256" } "#,
        "{\"typ\":\"jwt\",\n\t\"alg\":\"HS256\"}",
        r#"{"alg":"HS256","typ":"at+jwt"}"#,
        r#"{"alg":"HS256","typ":"AT+JWT"}"#,
        r#"{"alg":"HS256","typ":"application/at+jwt"}"#,
        // Kinds of naming a key that are ignored: the policy says where keys are.
        r#"{"alg":"HS256","jku":"https://evil.example/jwks"}"#,
        r#"{"alg":"HS256","x5u":"https://evil.example/x","x5c":["MII"]}"#,
        r#"{"alg":"HS256","kid":"../../dev/null"}"#,
        r#"{"alg":"HS256","unknown":{"a":[1,null]}}"#,
    ] {
        assert_eq!(with_header(header), Ok(()), "{header}");
    }
    let long_kid = format!(r#"{{"alg":"HS256","kid":"{}"}}"#, "k".repeat(513));
    let long = format!(r#"{{"alg":"HS256","x":"{}"}}"#, "k".repeat(4096));
    for header in [
        "",
        "{}",
        "[]",
        "null",
        "\"HS256\"",
        "{\"alg\":\"HS256\"",
        "{\"alg\":\"HS256\"}x",
        r#"{"alg":"HS256"}{}"#,
        r#"{"alg":null}"#,
        r#"{"alg":["HS256"]}"#,
        r#"{"alg":256}"#,
        // Two members of one name, known to the decoder or not.
        r#"{"alg":"HS256","alg":"HS256"}"#,
        r#"{"alg":"none","alg":"HS256"}"#,
        r#"{"alg":"HS256","kid":"a","kid":"a"}"#,
        r#"{"alg":"HS256","typ":"JWT","typ":"JWT"}"#,
        r#"{"alg":"HS256","x":1,"x":1}"#,
        r#"{"alg":"HS256","\u0078":1,"x":1}"#,
        r#"{"alg":"HS256","cty":"json","cty":"json"}"#,
        r#"{"alg":"HS256","a\u006cg":"HS256"}"#,
        r#"{"alg":"HS256","jku":"a","jku":"a"}"#,
        // Kinds of tokens that this is not.
        r#"{"alg":"HS256","typ":"dpop+jwt"}"#,
        r#"{"alg":"HS256","typ":"JOSE"}"#,
        r#"{"alg":"HS256","typ":"id+jwt"}"#,
        r#"{"alg":"HS256","typ":""}"#,
        r#"{"alg":"HS256","typ":1}"#,
        r#"{"alg":"HS256","cty":"JWT"}"#,
        r#"{"alg":"HS256","cty":"jwt"}"#,
        r#"{"alg":"HS256","kid":1}"#,
        r#"{"alg":"HS256","crit":["exp"]}"#,
        r#"{"alg":"HS256","crit":[]}"#,
        r#"{"alg":"HS256","crit":null}"#,
        r#"{"alg":"HS256","b64":true}"#,
        r#"{"alg":"HS256","crit":["b64"],"b64":false}"#,
        r#"{"alg":"HS256","zip":"DEF"}"#,
        r#"{"alg":"HS256","enc":"A256GCM"}"#,
        r#"{"alg":"HS256","jwk":{"kty":"oct","k":"AA"}}"#,
        r#"{"alg":"HS256","jwk":null}"#,
        &long_kid,
        &long,
    ] {
        let found = with_header(header);
        assert!(malformed(&found), "{header} {found:?}");
    }
    for alg in [
        "none", "None", "", "hs256", "HS256 ", "RS1", "PS255", "ES512", "ES256K", "Ed25519", "dir",
        "RSA-OAEP",
    ] {
        let found = with_header(&format!(r#"{{"alg":"{alg}"}}"#));
        assert!(
            matches!(found, Err(Refusal::AlgorithmNotAllowed(_))),
            "{alg} {found:?}"
        );
    }
}

#[test]
fn every_algorithm_by_its_own_issuer_only() {
    for (algorithm, issuer, right) in [
        (HS256, SECRET, true),
        (HS512, SECRET, true),
        (HS384, SECRET, false),
        (Algorithm::ES256, INLINE, true),
        (EdDSA, INLINE, true),
        (Algorithm::RS256, INLINE, false),
        (Algorithm::PS256, INLINE, false),
        (Algorithm::ES384, INLINE, false),
        // The classic: an HMAC with a public key, a public key's algorithm with a secret.
        (HS256, INLINE, false),
        (HS512, INLINE, false),
        (Algorithm::ES256, SECRET, false),
        (EdDSA, SECRET, false),
    ] {
        let found = once(&sign(algorithm, &good(issuer)));
        assert_eq!(found.is_ok(), right, "{algorithm:?} {issuer} {found:?}");
        if !right {
            assert!(matches!(found, Err(Refusal::AlgorithmNotAllowed(_))), "{found:?}");
        }
    }
}

#[test]
fn form() {
    let token = sign(HS256, &good(SECRET));
    let parts: Vec<&str> = token.split('.').collect();
    let [header, payload, signature] = parts[..] else {
        panic!()
    };
    for wrong in [
        format!("{header}.{payload}"),
        format!("{header}.{payload}.{signature}."),
        format!(".{header}.{payload}.{signature}"),
        format!("{header}.{payload}.{signature}.e30.AAAA"),
        format!(".{payload}.{signature}"),
        format!("{header}..{signature}"),
        format!("{header}=.{payload}.{signature}"),
        format!("{header}.{payload}=.{signature}"),
        format!("{header}.{payload}.{signature}="),
        format!("{header}.{payload}.+{}", signature.split_at(1).1),
        format!("{header}.{payload}./{}", signature.split_at(1).1),
        ".".repeat(5000),
        "e30.e30.e30".to_owned(),
        "e30".to_owned(),
        "e30.e30".to_owned(),
        "a.b.c.d".to_owned(),
        "a.b.c.d.e".to_owned(),
        "TPK_trial_secret".to_owned(),
        "sk-0123456789".to_owned(),
    ] {
        let found = once(&wrong);
        assert!(malformed(&found), "{wrong} {found:?}");
    }
    for wrong in [
        format!("{header}.{payload}."),
        format!("{header}.{payload}.AAAA"),
        format!("{header}.{payload}.{signature}AAAA"),
        format!("{header}.{payload}.{}", base64url(&[0; 32])),
    ] {
        assert_eq!(once(&wrong), Err(Refusal::SignatureInvalid), "{wrong}");
    }
    // The last character of 32 bytes has two unused bits: no other text stands for the same bytes.
    let (rest, last) = signature.split_at(signature.len() - 1);
    let mut others = 0;
    for other in "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_".chars() {
        let mut buffer = [0; 4];
        if other.encode_utf8(&mut buffer) != last {
            assert!(once(&format!("{header}.{payload}.{rest}{other}")).is_err());
            others += 1;
        }
    }
    assert_eq!(others, 63);
}

#[test]
fn claims_are_one_object_with_different_names() {
    let text = good(SECRET).to_string();
    let inner = text.strip_prefix('{').unwrap().strip_suffix('}').unwrap();
    for wrong in [
        String::new(),
        "[]".to_owned(),
        "null".to_owned(),
        format!("{{{inner}"),
        format!("{{{inner}}}x"),
        format!("{{{inner}}}{{}}"),
        format!("{{{inner},}}"),
        format!(r#"{{{inner},"aud":"x"}}"#),
        format!(r#"{{{inner},"iss":"x"}}"#),
        format!(r#"{{{inner},"exp":9999999999}}"#),
        format!(r#"{{{inner},"e\u0078p":9999999999}}"#),
        format!(r#"{{{inner},"nbf":1}}"#),
        format!(r#"{{{inner},"x":1,"x":1}}"#),
        format!(r#"{{{inner},"x":{{"a":1,"a":2}}}}"#),
        format!(r#"{{{inner},"x":{}1{}}}"#, "[".repeat(200), "]".repeat(200)),
        format!("{{{inner},\"x\":\"\n\"}}"),
    ] {
        let found = once(&sign_raw(HS256, r#"{"alg":"HS256"}"#, &wrong));
        assert!(malformed(&found), "{wrong} {found:?}");
    }
}

/// Whoever reads the log is led to the part that is wrong, not to one that is right.
#[test]
fn the_part_that_is_damaged_is_named() {
    const HEADER: &str = "the token's header is not what RFC 7515 asks for";
    const CLAIMS: &str = "the token's claims are not what RFC 7519 asks for";
    const PARTS: &str = "the token does not have three parts";
    let encoding = [
        "the token's header is not base64url without padding",
        "the token's claims are not base64url without padding",
        "the token's signature is not base64url without padding",
    ];
    let token = sign(HS256, &good(SECRET));
    let whole: Vec<&str> = token.split('.').collect();
    let with = |changes: &[(usize, &str)]| {
        let mut parts = whole.clone();
        for (at, text) in changes {
            parts[*at] = text;
        }
        parts.join(".")
    };
    let json = |text: &str| base64url(text.as_bytes());
    let mut cases = Vec::new();
    // Characters of other alphabets, one character too many, bits that encode nothing.
    for (at, why) in encoding.into_iter().enumerate() {
        for text in ["+AAA", "A/AA", "AA~A", "AAAAA", "AB"] {
            cases.push((with(&[(at, text)]), why));
        }
    }
    cases.push((with(&[(2, "AAA=")]), encoding[2]));
    for text in ["{", "[]", "null", "{}x"] {
        cases.push((with(&[(0, &json(text))]), HEADER));
        cases.push((with(&[(1, &json(text))]), CLAIMS));
    }
    // Encoded, but neither JSON nor text.
    cases.push((with(&[(0, "____")]), HEADER));
    cases.push((with(&[(1, "____")]), CLAIMS));
    cases.push((with(&[(0, "")]), HEADER));
    cases.push((with(&[(1, "")]), CLAIMS));
    cases.push((with(&[(2, "")]), "the signature is wrong"));
    cases.push((with(&[(2, "AAAA")]), "the signature is wrong"));
    // The first of several.
    cases.push((with(&[(0, "A"), (1, "A"), (2, "A")]), encoding[0]));
    cases.push((with(&[(1, "A"), (2, "A")]), encoding[1]));
    cases.push((with(&[(0, &json("{")), (1, &json("{"))]), HEADER));
    let nested = json(r#"{"alg":"HS256","cty":"JWT"}"#);
    cases.push((with(&[(0, &nested)]), "the token's `cty` is not `json`"));
    let unknown = json(r#"{"alg":"none"}"#);
    cases.push((with(&[(0, &unknown)]), "the token's `alg` is not supported"));
    for text in [
        &whole[..2].join("."),
        whole[0],
        &format!("{token}."),
        &format!("{token}.AAAA"),
        "...",
    ] {
        cases.push((text.to_owned(), PARTS));
    }
    cases.push(("..".to_owned(), HEADER));
    for (text, why) in cases {
        assert_eq!(once(&text).unwrap_err().reason(), why, "{text}");
    }
}
