//! What a token says of the claims that the policy looks at, as much of it as is kept with its caller.

use serde::{Deserialize, Serialize};
use serde_json::Value;
use turnpike_policy::{Claim, ClaimKind, MAX_NUMBER};

use super::encoding::from_base64url;
use super::json::{Json, Members};

/// The most items of a list that are kept. A longer one is as if it were not there.
const MAX_ITEMS: usize = 256;
/// So many digits are the same again after they were read as a 64-bit float (its `DBL_DIG`).
const EXACT_DIGITS: usize = 15;

/// What a token says of a claim.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) enum ClaimValue {
    /// A text.
    Text(String),
    /// A number, as its JSON text, to the last digit.
    Number(String),
    /// True or false.
    Flag(bool),
    /// A list of texts; kept only where it is declared.
    Texts(Vec<String>),
}

impl ClaimValue {
    /// The JSON text of a plain value, so that a number, a text and a boolean are never the same; none of a
    /// list.
    pub(crate) fn plain(&self) -> Option<String> {
        Some(match self {
            Self::Text(text) => Value::from(text.as_str()).to_string(),
            Self::Number(number) => number.clone(),
            Self::Flag(flag) => flag.to_string(),
            Self::Texts(_) => return None,
        })
    }

    /// A number that can be compared exactly.
    pub(crate) fn number(&self) -> Option<f64> {
        match self {
            Self::Number(text) => text
                .parse()
                .ok()
                .filter(|number: &f64| number.abs() <= MAX_NUMBER),
            _ => None,
        }
    }

    /// About how many bytes it takes.
    pub(super) fn weight(&self) -> usize {
        size_of::<Self>()
            + match self {
                Self::Text(text) | Self::Number(text) => text.len(),
                Self::Flag(_) => 0,
                Self::Texts(texts) => texts.iter().map(|text| size_of::<String>() + text.len()).sum(),
            }
    }
}

/// Claims as they were sent.
#[derive(Clone, Copy, Debug)]
pub(super) enum Written<'a> {
    /// The header and the payload of a JWT.
    Jwt(&'a str),
    /// JSON.
    Json(&'a [u8]),
}

impl Written<'_> {
    fn json(self) -> Option<String> {
        let bytes = match self {
            Self::Jwt(input) => from_base64url(input.split_once('.')?.1)?,
            Self::Json(bytes) => bytes.to_vec(),
        };
        String::from_utf8(bytes).ok()
    }
}

/// What a token says of the claims that the policy names, in their order.
pub(super) fn kept(claims: &Members, written: Written<'_>, named: &[Claim]) -> Vec<Option<ClaimValue>> {
    named.iter().map(|claim| value(claims, written, claim)).collect()
}

fn value(claims: &Members, written: Written<'_>, claim: &Claim) -> Option<ClaimValue> {
    let (first, rest) = claim.path.split_first()?;
    let found = rest
        .iter()
        .try_fold(claims.get(first)?, |value, step| value.get(step))?;
    match found {
        Json::Text(text) => Some(ClaimValue::Text(text.clone())),
        // An integer beyond 64 bits or a fraction was read as a float, which has not the digits of all of them:
        // two accounts must not become one.
        Json::Number(number) if number.is_f64() => {
            let digits_of = literal(written, &claim.path)?;
            let digits = digits_of.bytes().filter(u8::is_ascii_digit).count();
            Some(ClaimValue::Number(if digits > EXACT_DIGITS {
                digits_of
            } else {
                number.to_string()
            }))
        }
        Json::Number(number) => Some(ClaimValue::Number(number.to_string())),
        Json::Flag(flag) => Some(ClaimValue::Flag(*flag)),
        Json::List(items) if claim.kind == Some(ClaimKind::Texts) && items.len() <= MAX_ITEMS => {
            let texts = items.iter().map(|item| item.text().map(str::to_owned));
            texts.collect::<Option<_>>().map(ClaimValue::Texts)
        }
        _ => None,
    }
}

/// A claim as it was written.
fn literal(written: Written<'_>, path: &[String]) -> Option<String> {
    let text = written.json()?;
    let found = path
        .iter()
        .try_fold(text.as_str(), |object, name| member(object, name))?;
    Some(found.trim().to_owned())
}

/// What is written as a member of an object, in JSON that was read.
fn member<'a>(object: &'a str, name: &str) -> Option<&'a str> {
    let (mut depth, mut quoted, mut begin, mut colon) = (0, false, 0, 0);
    let mut bytes = object.bytes().enumerate();
    while let Some((at, byte)) = bytes.next() {
        match byte {
            b'"' => quoted = !quoted,
            b'\\' => {
                bytes.next();
            }
            _ if quoted => {}
            b':' if depth == 1 => colon = at,
            b',' | b'}' if depth == 1 => {
                let known: Option<String> = serde_json::from_slice(object.get(begin..colon)?.as_bytes()).ok();
                if known.as_deref() == Some(name) {
                    return object.get(colon + 1..at);
                }
                begin = at + 1;
            }
            b'{' | b'[' => {
                depth += 1;
                if depth == 1 {
                    begin = at + 1;
                }
            }
            b'}' | b']' => depth -= 1,
            _ => {}
        }
    }
    None
}
