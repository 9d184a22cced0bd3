//! Project Wycheproof's vectors for JWS, through the steps that a token takes up to its claims.

use std::io::Write as _;

use serde::Deserialize;
use serde_json::Value;
use turnpike_policy::Algorithm;

use super::super::encoding::from_base64url;
use super::super::flow::{choose, mac_is_right};
use super::super::keys::KeySet;
use super::super::token;
use super::native;

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct File {
    number_of_tests: usize,
    test_groups: Vec<Group>,
}

#[derive(Deserialize)]
struct Group {
    private: Option<Value>,
    public: Option<Value>,
    tests: Vec<Vector>,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Vector {
    tc_id: u32,
    comment: String,
    jws: Value,
    result: String,
}

/// Vectors that the file calls valid although a character of the token (`?`) is foreign to
/// base64url: they are for decoders that skip such characters, which RFC 7515, section 2, does not
/// provide for. They are refused.
const LENIENT: [u32; 2] = [372, 373];

/// Vectors that the file calls invalid although they are, byte for byte, the token and the key of
/// vector 357, which it calls valid: the padding that they were meant to have, and that RFC 7515, 2, does not
/// allow, is not there.
const CONTRADICTORY: [u32; 2] = [367, 370];

/// Vectors that the file calls valid although the token says PS384 and the key PS256. A key is for
/// the algorithm that it names (RFC 7517, 4.4; RFC 8725, 3.1), so they are refused.
const DISAGREEING: [u32; 2] = [346, 350];

/// The vectors that `docs/security.md` lists as not taken as the file has them.
fn listed() -> Vec<u32> {
    let reference = include_str!("../../../../../docs/security.md");
    let (_, table) = reference.split_once("| vectors |").unwrap();
    let rows = table.lines().skip(2).take_while(|line| line.starts_with('|'));
    let mut all: Vec<u32> = rows
        .filter_map(|row| row.split('|').nth(1))
        .flat_map(|cell| cell.split(','))
        .map(|id| id.trim().parse().unwrap())
        .collect();
    all.sort_unstable();
    all
}

fn accepts(key: &Value, jws: &str) -> bool {
    let Ok(token) = token::parse(jws) else {
        return false;
    };
    if key["kty"] == "oct" {
        // A secret's algorithm is pinned by the policy.
        let pinned = key["alg"].as_str().and_then(Algorithm::from_name);
        let secret = from_base64url(key["k"].as_str().unwrap()).unwrap();
        return pinned == Some(token.algorithm) && mac_is_right(&token, &secret);
    }
    let Ok(set) = KeySet::from_keys([key.to_string()].iter().map(String::as_str)) else {
        return false;
    };
    match choose(&set, &token) {
        Ok(Some(key)) => native::verify_parts(
            token.algorithm,
            &key.json,
            token.input.as_bytes(),
            token.signature(),
        ),
        _ => false,
    }
}

#[test]
fn wycheproof() {
    let base = std::env::var("TURNPIKE_DATA")
        .unwrap_or_else(|_| concat!(env!("CARGO_MANIFEST_DIR"), "/../../../shared/data").to_owned());
    let path = format!("{base}/jose/json_web_signature_test.json");
    let Ok(text) = std::fs::read_to_string(&path) else {
        // Not captured, as what a test prints is.
        let _ = writeln!(
            std::io::stderr(),
            "*** SKIPPED: no vectors at {path} (set TURNPIKE_DATA)"
        );
        return;
    };
    let file: File = serde_json::from_str(&text).unwrap();
    let (mut accepted, mut refused, mut foreign) = (0, 0, 0);
    let (mut lenient, mut contradictory, mut disagreeing) = (0, 0, 0);
    let (mut wrong, mut otherwise) = (Vec::new(), Vec::new());
    for group in &file.test_groups {
        let key = group.public.as_ref().or(group.private.as_ref()).unwrap();
        let supported = key.get("alg").is_none_or(|name| {
            name.as_str()
                .is_some_and(|name| Algorithm::from_name(name).is_some())
        });
        for vector in &group.tests {
            let found = match &vector.jws {
                Value::String(jws) => accepts(key, jws),
                other => accepts(key, &other.to_string()),
            };
            // By another algorithm than we support: never accepted, valid or not. (Two of the valid ones name
            // `ES521`, which no RFC does; `ES512` of RFC 7518, 3.1, is optional there and not built.)
            let (expected, count) = match (supported, vector.result.as_str()) {
                (false, _) => (false, &mut foreign),
                (true, _) if CONTRADICTORY.contains(&vector.tc_id) => {
                    let valid = group
                        .tests
                        .iter()
                        .any(|other| other.jws == vector.jws && other.result == "valid");
                    (valid, &mut contradictory)
                }
                (true, "valid") if LENIENT.contains(&vector.tc_id) => (false, &mut lenient),
                (true, "valid") if DISAGREEING.contains(&vector.tc_id) => (false, &mut disagreeing),
                (true, "valid") => (true, &mut accepted),
                (true, _) => (false, &mut refused),
            };
            *count += 1;
            if found != (vector.result == "valid") {
                otherwise.push(vector.tc_id);
            }
            if found != expected {
                wrong.push(format!("{} {}", vector.tc_id, vector.comment));
            }
        }
    }
    let all = accepted + refused + foreign + lenient + contradictory + disagreeing;
    println!(
        "Wycheproof JWS: {all} vectors; in scope: {accepted} valid accepted, {refused} invalid \
         refused, {lenient} with foreign characters refused although called valid, {contradictory} \
         called invalid but equal to a valid one, {disagreeing} whose key is for another \
         algorithm refused although called valid; {foreign} of other algorithms, all refused"
    );
    assert_eq!(wrong, Vec::<String>::new());
    otherwise.sort_unstable();
    assert_eq!(otherwise, listed(), "docs/security.md lists others");
    assert_eq!(all, file.number_of_tests);
    assert!(accepted >= 40 && refused >= 350, "{accepted} {refused}");
}
