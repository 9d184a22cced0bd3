//! The public halves of the keys with which the gateway signs its own tokens (RFC 7517). They are read from
//! the Worker secrets that hold the private ones: what is written out is named member by member, so that
//! nothing private can be among it.

use serde::{Deserialize, Serialize};

use crate::answer::{Answer, Problem, problem};

/// Where they are.
pub(crate) const PATH: &str = "/.well-known/jwks.json";

/// The algorithm, and the secrets with keys: first the one that signs.
pub(crate) type Signing<'a> = Option<(&'a str, &'a [&'a str])>;

#[derive(Deserialize)]
struct Private<'a> {
    #[serde(borrow)]
    kty: &'a str,
    crv: &'a str,
    kid: &'a str,
    x: &'a str,
    y: Option<&'a str>,
    d: Option<&'a str>,
    alg: Option<&'a str>,
}

#[derive(Serialize)]
struct Public<'a> {
    kty: &'a str,
    crv: &'a str,
    kid: &'a str,
    x: &'a str,
    #[serde(skip_serializing_if = "Option::is_none")]
    y: Option<&'a str>,
    alg: &'a str,
    r#use: &'static str,
}

#[derive(Serialize)]
struct Set<'a> {
    keys: Vec<Public<'a>>,
}

/// The public half of a JWK of an algorithm; none: it is no such key. The one that signs has a private half.
fn public<'a>(algorithm: &'a str, text: &'a str, signs: bool) -> Option<Public<'a>> {
    let (key, length) = serde_json_core::from_str::<Private<'a>>(text).ok()?;
    let rest = text.get(length..)?;
    let kind = match algorithm {
        "EdDSA" => ("OKP", "Ed25519", false),
        _ => ("EC", "P-256", true),
    };
    // 32 bytes in base64url.
    let member = |text: &str| {
        text.len() == 43
            && text
                .bytes()
                .all(|byte| byte.is_ascii_alphanumeric() || byte == b'-' || byte == b'_')
    };
    let good = kind == (key.kty, key.crv, key.y.is_some())
        && [Some(key.x), key.y, key.d].into_iter().flatten().all(member)
        && (key.d.is_some() || !signs)
        && key.alg.is_none_or(|alg| alg == algorithm)
        // Escapes are not undone, so a name must have none.
        && !key.kid.is_empty()
        && !key.kid.contains('\\')
        && rest.trim().is_empty();
    good.then_some(Public {
        kty: key.kty,
        crv: key.crv,
        kid: key.kid,
        x: key.x,
        y: key.y,
        alg: algorithm,
        r#use: "sig",
    })
}

/// Whether a secret's value can be what it is named for: a key, where it is one.
pub(crate) fn may_be(signing: Signing<'_>, name: &str, value: &str) -> bool {
    let Some((algorithm, names)) = signing else {
        return true;
    };
    let place = names.iter().position(|known| *known == name);
    place.is_none_or(|place| public(algorithm, value, place == 0).is_some())
}

/// The set of keys. Without the one that signs there is none: whoever kept it would not know the key of the
/// next token. `explain`: whether whoever asks may be told which secret is not as it should be.
pub(crate) fn answer(
    signing: Signing<'_>,
    value_of: &dyn Fn(&str) -> Option<String>,
    explain: bool,
    id: &str,
) -> Answer {
    let Some((algorithm, names)) = signing else {
        return problem(Problem::NotFound, id, &[]);
    };
    let values: Vec<_> = names.iter().map(|name| value_of(name)).collect();
    let mut keys: Vec<Public<'_>> = Vec::new();
    for (place, value) in values.iter().enumerate() {
        let key = value
            .as_deref()
            .and_then(|value| public(algorithm, value, place == 0));
        match key {
            // Two keys of one name cannot be told apart: the one that signs is meant.
            Some(key) if keys.iter().all(|known| known.kid != key.kid) => keys.push(key),
            None if place == 0 => {
                let missing = names.get(..usize::from(explain)).unwrap_or_default();
                return problem(Problem::SecretMissing, id, missing);
            }
            _ => {}
        }
    }
    Answer {
        status: 200,
        content_type: "application/jwk-set+json",
        // A key that is published first signs when every copy of the set has it.
        cache_control: "public, max-age=300",
        header: None,
        body: serde_json::to_string(&Set { keys }).unwrap_or_default(),
    }
}

#[cfg(test)]
mod tests {
    use serde_json::{Value, json};

    use super::*;

    const X: &str = "11qYAYKxCrfVS_7TyWQHOg7hcvPapiMlrwIaaPcHURo";

    fn key(kid: &str) -> String {
        json!({ "kty": "OKP", "crv": "Ed25519", "kid": kid, "x": X, "d": X }).to_string()
    }

    fn asked(secrets: &[(&str, String)], explain: bool) -> Answer {
        let value_of = |name: &str| {
            let found = secrets.iter().find(|(known, _)| *known == name);
            found.map(|(_, value)| value.clone())
        };
        answer(Some(("EdDSA", &["NEW", "OLD"])), &value_of, explain, "r1")
    }

    #[test]
    fn the_public_halves_of_all_keys_are_shown_and_nothing_else() {
        let shown = asked(&[("NEW", key("n")), ("OLD", key("o"))], false);
        let public =
            |kid| json!({ "kty": "OKP", "crv": "Ed25519", "kid": kid, "x": X, "alg": "EdDSA", "use": "sig" });
        let body: Value = serde_json::from_str(&shown.body).expect("JSON");
        assert_eq!(body, json!({ "keys": [public("n"), public("o")] }));
        let twins = asked(&[("NEW", key("n")), ("OLD", key("n"))], false);
        let body: Value = serde_json::from_str(&twins.body).expect("JSON");
        assert_eq!(body, json!({ "keys": [public("n")] }));
    }

    #[test]
    fn without_the_key_that_signs_there_is_no_set() {
        for (secrets, status) in [
            (vec![("OLD", key("o"))], 503),
            (vec![("NEW", "{}".to_owned()), ("OLD", key("o"))], 503),
            (vec![("NEW", key("n"))], 200),
        ] {
            assert_eq!(asked(&secrets, false).status, status, "{secrets:?}");
        }
        assert!(!asked(&[], false).body.contains("NEW"));
        assert!(asked(&[], true).body.contains("NEW"));
        let none = answer(None, &|_| None, false, "r1");
        assert_eq!(none.status, 404);
    }

    #[test]
    fn what_is_no_key_of_the_algorithm_is_found() {
        let signing: Signing<'_> = Some(("ES256", &["NEW", "OLD"]));
        let ec = json!({ "kty": "EC", "crv": "P-256", "kid": "a", "x": X, "y": X, "d": X });
        assert!(may_be(signing, "NEW", &ec.to_string()));
        assert!(may_be(signing, "OTHER", "anything"));
        for (member, value) in [
            ("kty", json!("OKP")),
            ("crv", json!("P-384")),
            ("kid", json!("")),
            ("kid", Value::Null),
            ("x", json!("short")),
            ("y", Value::Null),
            ("d", Value::Null),
            ("d", json!("+".repeat(43))),
            ("alg", json!("EdDSA")),
        ] {
            let mut bad = ec.clone();
            bad[member] = value;
            assert!(!may_be(signing, "NEW", &bad.to_string()), "{bad}");
        }
        let mut open = ec.clone();
        open.as_object_mut().expect("an object").remove("d");
        assert!(!may_be(signing, "NEW", &open.to_string()), "it cannot sign");
        assert!(may_be(signing, "OLD", &open.to_string()), "it need not");
        // As WebCrypto exports it, and laid out by hand.
        let mut exported = ec.clone();
        exported["key_ops"] = json!(["sign"]);
        exported["ext"] = json!(true);
        assert!(may_be(signing, "NEW", &format!("{exported:#}\n")));
        assert!(!may_be(signing, "NEW", &format!("{exported} x")));
        for text in ["", "[]", "{", "a secret"] {
            assert!(!may_be(signing, "OLD", text), "{text}");
        }
    }
}
