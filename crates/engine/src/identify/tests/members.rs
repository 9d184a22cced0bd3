//! Names that are there twice: refused wherever they lie in what a token, a proof, a key or an answer says, however
//! they are escaped; and nothing else is refused with them.

use std::collections::BTreeSet;
use std::fmt::{self, Write as _};

use proptest::prelude::*;
use serde::de::{Deserialize, Deserializer, Error, MapAccess, SeqAccess, Visitor};
use turnpike_policy::Algorithm::{ES256, HS256};

use super::super::json::Json;
use super::super::jwk::Key;
use super::super::keys::KeySet;
use super::super::metadata::keys_url;
use super::*;

/// Values of a member in which a name is there twice.
fn twice() -> Vec<String> {
    let deep = |value: &str| format!("{}{value}{}", "[{\"x\":".repeat(50), "}]".repeat(50));
    let plain = [
        r#"{"a":1,"a":2}"#,
        r#"{"a":1,"a":1}"#,
        r#"{"a":{"b":1},"a":{"b":1}}"#,
        r#"{"a":{"b":1,"c":2},"a":7}"#,
        r#"{"a":7,"a":{}}"#,
        r#"{"a":null,"a":null}"#,
        r#"{"a":1,"\u0061":2}"#,
        r#"{"\u00e9":1,"é":2}"#,
        r#"{"\ud83d\ude00":1,"😀":2}"#,
        r#"{"\/":1,"/":2}"#,
        r#"{"":1,"":2}"#,
        r#"{":":1,":":2}"#,
        r#"{"}{":1,"}{":2}"#,
        r#"{"\\":1,"\\":2}"#,
        r#"{"\"":1,"\"":2}"#,
        r#"{"\\\"":1,"\\\"":2}"#,
        r#"{"a" : 1 , "a" : 2}"#,
        "{\"a\"\n:\t1,\r\"a\":2}",
        r#"{"a":1,"b":2,"c":3,"a":4}"#,
        r#"{"a":":","a":"}"}"#,
        r#"[{"a":1,"a":2}]"#,
        r#"[1,[{"b":[{"a":1,"a":2}]}],2]"#,
        r#"{"b":{"c":{"d":{"a":1,"a":2}}}}"#,
        r#"{"roles":["reader"],"roles":["admin"]}"#,
    ];
    let deep = deep(plain[0]);
    plain.into_iter().map(str::to_owned).chain([deep]).collect()
}

/// Values in which none is, much as it may look like it.
fn once_each() -> Vec<String> {
    let plain = [
        "{}",
        "[]",
        "7",
        r#""{\"a\":1,\"a\":2}""#,
        r#"":::{{{}}}""#,
        r#""\\""#,
        r#""\\\":""#,
        r#"{"a":{"a":{"a":1}}}"#,
        r#"[{"a":1},{"a":1}]"#,
        r#"{"b":{"a":1},"c":{"a":1}}"#,
        r#"{"a":"a:1","b":"\"a\":1"}"#,
        r#"{"a":1,"A":2,"a ":3,"á":4}"#,
        r#"{"\\":1,"\"":2,"\\\"":3,"":4}"#,
        r#"{"a:":1,":a":2,"{":3,"}":4}"#,
    ];
    plain.into_iter().map(str::to_owned).collect()
}

/// `object` with one more member at its end.
fn with(object: &str, name: &str, value: &str) -> String {
    let inner = object.strip_suffix('}').unwrap();
    format!("{inner},\"{name}\":{value}}}")
}

/// Each way in for what strangers write, with a member of this value in it; whether it lets them pass.
fn ways(value: &str) -> Vec<(&'static str, bool)> {
    let claimed = good(SECRET).to_string();
    let plain = r#"{"alg":"HS256","typ":"JWT"}"#;
    let own = dpop::public(ES256);
    let bound = dpop::bound(own);
    let header = dpop::header(ES256);
    let said = dpop::said(&bound).to_string();
    let of_key = |key: &str| header.replace(own, key);
    assert_ne!(of_key(""), header);
    let proof = |header: &str, said: &str| dpop::passes(&bound, &sign_raw(ES256, header, said));
    let key = |text: &str| Json::read(text.as_bytes()).is_some_and(|key| Key::from_json(&key).is_ok());
    let set = |text: String| KeySet::from_jwks(text.as_bytes()).is_ok();
    let found = json!({ "issuer": ISSUERS[2], "jwks_uri": KEYS_URL }).to_string();
    let metadata = with(&found, "x", value);
    vec![
        (
            "header",
            once(&sign_raw(HS256, &with(plain, "x", value), &claimed)).is_ok(),
        ),
        (
            "claims",
            once(&sign_raw(HS256, plain, &with(&claimed, "x", value))).is_ok(),
        ),
        (
            "realm_access",
            once(&sign_raw(HS256, plain, &with(&claimed, "realm_access", value))).is_ok(),
        ),
        ("header of a proof", proof(&with(&header, "x", value), &said)),
        ("key of a proof", proof(&of_key(&with(own, "x5", value)), &said)),
        ("claims of a proof", proof(&header, &with(&said, "x", value))),
        ("key", key(&with(ES256_PUBLIC, "x5", value))),
        ("key in a set", set(jwks(&[&with(ES256_PUBLIC, "x5", value)]))),
        (
            "key beside a good one",
            set(jwks(&[ED25519_PUBLIC, &with(ES256_PUBLIC, "x5", value)])),
        ),
        ("set", set(with(&jwks(&[ES256_PUBLIC]), "x", value))),
        (
            "metadata",
            keys_url(metadata.as_bytes(), ISSUERS[2], KEYS_URL, &[]).is_ok(),
        ),
        (
            "answer about a token",
            introspection::passes(&with(&introspection::active(&[]), "x", value)),
        ),
    ]
}

#[test]
fn names_that_are_there_twice_are_refused_wherever_they_lie() {
    for value in twice() {
        assert_eq!(Json::read(value.as_bytes()), None, "{value}");
        for (way, passes) in ways(&value) {
            assert!(!passes, "{way}: {value}");
        }
    }
    for value in once_each() {
        assert!(Json::read(value.as_bytes()).is_some(), "{value}");
        for (way, passes) in ways(&value) {
            assert!(passes, "{way}: {value}");
        }
    }
}

#[test]
fn what_a_token_is_bound_to_is_there_once() {
    let hash = base64url(&[7; 32]);
    let claimed = good(SECRET).to_string();
    for cnf in [
        format!(r#"{{"jkt":"{hash}","jkt":"{hash}"}}"#),
        format!(r#"{{"jkt":"{}","jk\u0074":"{hash}"}}"#, base64url(&[8; 32])),
    ] {
        let found = once(&sign_raw(
            HS256,
            r#"{"alg":"HS256"}"#,
            &with(&claimed, "cnf", &cnf),
        ));
        assert!(matches!(found, Err(Refusal::Malformed(_))), "{cnf}: {found:?}");
    }
}

/// By such a name `serde_json` tells itself that a text is JSON; a stranger could have a text in a text in a text read,
/// each as deep as may be.
#[test]
fn no_text_is_read_as_json_again() {
    const NAME: &str = "$serde_json::private::RawValue";
    let wrapped = |inside: &str| json!({ NAME: inside }).to_string();
    for inside in ["9", "[1]", r#"{"a":1}"#, r#"{"a":1,"a":2}"#, "no JSON"] {
        let read = Json::read(wrapped(inside).as_bytes()).expect("an object");
        assert_eq!(read.get(NAME).and_then(Json::text), Some(inside));
    }
    let mut policy = policy();
    policy.claims = vec![turnpike_policy::Claim {
        path: vec!["level".to_owned()],
        kind: None,
        issuers: Vec::new(),
    }];
    let mut deep = "[".repeat(100) + &"]".repeat(100);
    for _ in 0..5 {
        deep = format!("{}{}{}", "[".repeat(100), wrapped(&deep), "]".repeat(100));
    }
    for level in [wrapped("9"), wrapped(&deep)] {
        let claimed = with(&good(SECRET).to_string(), "level", &level);
        let token = sign_raw(HS256, &with(r#"{"alg":"HS256"}"#, "x", &level), &claimed);
        let found = identify(&policy, &mut store(&policy), &token, NOW).unwrap();
        assert_eq!(found.claims, [None], "an object is no number");
    }
}

#[test]
fn a_number_of_a_claim_keeps_its_digits_wherever_it_lies() {
    const NUMBER: &str = "12345678901234567890123.000000000000000000001";
    let paths: [(&[&str], &str); 7] = [
        (
            &["level"],
            r#"{"x":{"level":1,"y":[{"level":2}]},"level":@,"z":3}"#,
        ),
        (&["level"], r#"{"le\u0076el": @ }"#),
        (
            &["a", "b"],
            r#"{"b":1,"a":{"a":{"b":2},"c":[1,{"b":3}],"b":@},"c":4}"#,
        ),
        (&["a", "b"], r#"{ "a" : { "c" : "}:,{" , "b" : @ , "d" : [ ] } }"#),
        (&["a:}", "\"\\"], r#"{"a":{},"a:}":{"x":"\"\\","\"\\":@}}"#),
        (&["", "é"], r#"{"":{"e":1,"\u00e9":@}}"#),
        (
            &["https://acme.example/level"],
            r#"{"https:\/\/acme.example\/level":@}"#,
        ),
    ];
    for (path, more) in paths {
        let mut policy = policy();
        policy.claims = vec![turnpike_policy::Claim {
            path: path.iter().map(|step| (*step).to_owned()).collect(),
            kind: None,
            issuers: Vec::new(),
        }];
        let claimed = good(SECRET).to_string();
        let inner = claimed.strip_suffix('}').unwrap();
        let claimed = format!("{inner},{}", more.replace('@', NUMBER).strip_prefix('{').unwrap());
        let token = sign_raw(HS256, r#"{"alg":"HS256"}"#, &claimed);
        let found = identify(&policy, &mut store(&policy), &token, NOW).unwrap();
        let number = crate::identify::ClaimValue::Number(NUMBER.to_owned());
        assert_eq!(found.claims, [Some(number)], "{claimed}");
    }
}

#[test]
fn what_is_no_json_is_none() {
    for text in [
        "",
        "{",
        "{\"a\"}",
        "{\"a\":1,}",
        "{}x",
        "{\"a\":1}{\"a\":1}",
        "\u{feff}{}",
        "'a'",
    ] {
        assert_eq!(Json::read(text.as_bytes()), None, "{text}");
    }
}

/// A value as a reader sees it that compares names, and knows of nothing else.
pub(super) struct Strict;

impl<'de> Deserialize<'de> for Strict {
    fn deserialize<D: Deserializer<'de>>(from: D) -> Result<Self, D::Error> {
        from.deserialize_any(Self)
    }
}

impl<'de> Visitor<'de> for Strict {
    type Value = Self;
    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("JSON")
    }
    fn visit_bool<E>(self, _: bool) -> Result<Self, E> {
        Ok(self)
    }
    fn visit_i64<E>(self, _: i64) -> Result<Self, E> {
        Ok(self)
    }
    fn visit_u64<E>(self, _: u64) -> Result<Self, E> {
        Ok(self)
    }
    fn visit_f64<E>(self, _: f64) -> Result<Self, E> {
        Ok(self)
    }
    fn visit_str<E>(self, _: &str) -> Result<Self, E> {
        Ok(self)
    }
    fn visit_unit<E>(self) -> Result<Self, E> {
        Ok(self)
    }
    fn visit_seq<A: SeqAccess<'de>>(self, mut items: A) -> Result<Self, A::Error> {
        while items.next_element::<Self>()?.is_some() {}
        Ok(self)
    }
    fn visit_map<A: MapAccess<'de>>(self, mut members: A) -> Result<Self, A::Error> {
        let mut names = BTreeSet::new();
        while let Some((name, _)) = members.next_entry::<String, Self>()? {
            if !names.insert(name) {
                return Err(A::Error::custom("twice"));
            }
        }
        Ok(self)
    }
}

/// A value that is made, not read.
#[derive(Clone, Debug)]
enum Made {
    Text(String),
    List(Vec<Made>),
    Object(Vec<(String, Made)>),
}

impl Made {
    fn is_named_once(&self) -> bool {
        match self {
            Self::Text(_) => true,
            Self::List(items) => items.iter().all(Self::is_named_once),
            Self::Object(members) => {
                let names: BTreeSet<&String> = members.iter().map(|(name, _)| name).collect();
                names.len() == members.len() && members.iter().all(|(_, value)| value.is_named_once())
            }
        }
    }

    /// Its text; every third character of a name is escaped, from the `lot`th on.
    fn write(&self, lot: usize) -> String {
        let quoted = |text: &str, lot: usize| {
            let mut out = String::from("\"");
            for (place, character) in text.chars().enumerate() {
                let plain = !character.is_control() && !matches!(character, '"' | '\\');
                if plain && !(place + lot).is_multiple_of(3) {
                    out.push(character);
                } else {
                    let mut units = [0; 2];
                    for unit in character.encode_utf16(&mut units) {
                        write!(out, "\\u{unit:04x}").unwrap();
                    }
                }
            }
            out + "\""
        };
        match self {
            Self::Text(text) => quoted(text, lot),
            Self::List(items) => {
                let items: Vec<String> = items.iter().map(|item| item.write(lot + 1)).collect();
                format!("[{}]", items.join(", "))
            }
            Self::Object(members) => {
                let members: Vec<String> = members
                    .iter()
                    .enumerate()
                    .map(|(at, (name, value))| {
                        format!("{} :{}", quoted(name, lot + at), value.write(lot + at))
                    })
                    .collect();
                format!("{{{}}}", members.join(","))
            }
        }
    }
}

/// Values whose names are few, so that some are there twice.
fn made() -> impl Strategy<Value = Made> {
    let text = "[a:{}\\[\\]\",\\\\é😀 ]{0,3}";
    let leaf = text.prop_map(Made::Text);
    leaf.prop_recursive(5, 40, 5, move |inner| {
        prop_oneof![
            prop::collection::vec(inner.clone(), 0..4).prop_map(Made::List),
            prop::collection::vec((text, inner), 0..5).prop_map(Made::Object),
        ]
    })
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 1000, ..ProptestConfig::default() })]

    #[test]
    fn names_are_there_once_or_it_is_refused(value in made(), lot in 0_usize..3) {
        let text = value.write(lot);
        let right = value.is_named_once();
        prop_assert_eq!(Json::read(text.as_bytes()).is_some(), right, "{}", text);
        prop_assert_eq!(serde_json::from_str::<Strict>(&text).is_ok(), right, "{}", text);
        let claimed = with(&good(SECRET).to_string(), "x", &text);
        prop_assert_eq!(once(&sign_raw(HS256, r#"{"alg":"HS256"}"#, &claimed)).is_ok(), right, "{}", text);
    }
}
