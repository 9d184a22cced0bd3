//! Every algorithm of public keys by the same signatures that WebCrypto is asked for
//! (`tests/signatures.test.mjs`), through the form that a token and its key must have.

use serde::Deserialize;
use serde_json::{Value, json};
use turnpike_policy::Algorithm;

use super::super::encoding::from_base64url;
use super::super::flow::choose;
use super::super::keys::KeySet;
use super::super::token;
use super::{base64url, native};

#[derive(Deserialize)]
struct Vector {
    name: String,
    algorithm: String,
    key: String,
    input: String,
    signature: String,
    right: bool,
}

fn vectors() -> Vec<Vector> {
    serde_json::from_str(include_str!("../../../../../tests/vectors/signatures.json")).unwrap()
}

#[test]
fn every_signature_is_what_it_is() {
    let mut right = 0;
    for vector in vectors() {
        let algorithm = Algorithm::from_name(&vector.algorithm).unwrap();
        let signature = from_base64url(&vector.signature).unwrap();
        let found = native::verify_parts(algorithm, &vector.key, vector.input.as_bytes(), &signature);
        assert_eq!(found, vector.right, "{}: {}", vector.algorithm, vector.name);
        right += usize::from(found);
    }
    assert_eq!(right, 2 * (Algorithm::ALL.len() - 3));
}

/// What stands in a token's header, in its key, and whether the two agree.
#[test]
fn a_key_is_used_with_what_it_says_only() {
    let right: Vec<Vector> = vectors().into_iter().filter(|vector| vector.right).collect();
    for vector in &right {
        let own = Algorithm::from_name(&vector.algorithm).unwrap();
        for other in Algorithm::ALL {
            for stated in Algorithm::ALL.map(Some).into_iter().chain([None]) {
                let mut key: Value = serde_json::from_str(&vector.key).unwrap();
                if let Some(stated) = stated {
                    key["alg"] = json!(stated.name());
                }
                let header = base64url(format!(r#"{{"alg":"{}"}}"#, other.name()).as_bytes());
                let text = format!("{header}.e30.{}", vector.signature);
                let token = token::parse(&text).unwrap();
                let set = KeySet::from_keys([key.to_string()].iter().map(String::as_str));
                let usable = set.is_ok_and(|set| matches!(choose(&set, &token), Ok(Some(_))));
                let agrees =
                    other.key_kind() == own.key_kind() && stated.is_none_or(|stated| stated == other);
                assert_eq!(usable, agrees, "{own:?} {other:?} {stated:?}");
            }
        }
    }
}
