//! One public key of an issuer (RFC 7517, RFC 7518 section 6, RFC 8037).

use serde_json::Value;
use turnpike_policy::Algorithm;

use super::encoding::{Members, from_base64url};

/// How long the modulus of an RSA key may be, in bits: what RFC 7518 asks for at least, and what a
/// verification may cost at most.
const RSA_BITS: std::ops::RangeInclusive<usize> = 2048..=8192;

/// Members that only private and symmetric keys have.
const PRIVATE: [&str; 8] = ["d", "p", "q", "dp", "dq", "qi", "oth", "k"];

/// A public key that is fit for exactly one algorithm.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct Key {
    /// `kid`.
    pub(super) id: Option<String>,
    /// The one algorithm that it is used with.
    pub(super) algorithm: Algorithm,
    /// The key as JSON with its required members only, in the order of RFC 7638: its thumbprint's
    /// input, and what WebCrypto imports.
    pub(super) json: String,
    /// How many bytes a signature has.
    pub(super) signature_len: usize,
}

impl Key {
    /// Reads a key. The error says why it is not used.
    pub(super) fn from_json(json: &str) -> Result<Self, &'static str> {
        let members: Members<Value> =
            serde_json::from_str(json).map_err(|_| "it is not an object of members named once")?;
        let members = &members;
        if text(members, "kty")? == Some("oct") {
            return Err("it is symmetric");
        }
        if members.has_any(&PRIVATE) {
            return Err("it has private members");
        }
        match text(members, "use")? {
            None | Some("sig") => {}
            Some(_) => return Err("its `use` is not `sig`"),
        }
        match members.get("key_ops") {
            None => {}
            Some(Value::Array(list)) if list.iter().any(|op| op == "verify") => {}
            Some(_) => return Err("its `key_ops` do not include `verify`"),
        }
        let id = text(members, "kid")?.map(str::to_owned);
        let (algorithm, json, signature_len) = match text(members, "kty")? {
            Some("RSA") => rsa(members)?,
            Some("EC") => p256(members)?,
            Some("OKP") => ed25519(members)?,
            _ => return Err("its `kty` is not supported"),
        };
        match text(members, "alg")? {
            None => {}
            Some(name) if name == algorithm.name() => {}
            // The fully-specified name of RFC 9864.
            Some("Ed25519") if algorithm == Algorithm::EdDSA => {}
            Some(_) => return Err("its `alg` is another one, or not supported"),
        }
        Ok(Self {
            id,
            algorithm,
            json,
            signature_len,
        })
    }
}

type Material = (Algorithm, String, usize);

fn rsa(members: &Members<Value>) -> Result<Material, &'static str> {
    let (n, modulus) = bytes(members, "n")?;
    let (e, exponent) = bytes(members, "e")?;
    let first = *modulus.first().ok_or("its modulus is empty")?;
    if first == 0 || exponent.first() == Some(&0) {
        return Err("a number of it begins with a zero byte");
    }
    let odd = |number: &[u8]| number.last().is_some_and(|last| last % 2 == 1);
    if !odd(&modulus) || !odd(&exponent) {
        return Err("a number of it is even");
    }
    let bits = modulus.len() * 8 - usize::try_from(first.leading_zeros()).unwrap_or(0);
    if !RSA_BITS.contains(&bits) {
        return Err("its modulus is not between 2048 and 8192 bits");
    }
    // With an exponent of 1 anyone can sign; a large one is a way to make verifying slow.
    if exponent.len() > 4 || exponent == [1] {
        return Err("its exponent is not between 3 and 2^32");
    }
    let json = format!(r#"{{"e":"{e}","kty":"RSA","n":"{n}"}}"#);
    Ok((Algorithm::RS256, json, modulus.len()))
}

fn p256(members: &Members<Value>) -> Result<Material, &'static str> {
    if text(members, "crv")? != Some("P-256") {
        return Err("its curve is not P-256");
    }
    let ((x, one), (y, other)) = (bytes(members, "x")?, bytes(members, "y")?);
    if one.len() != 32 || other.len() != 32 {
        return Err("a coordinate of it does not have 32 bytes");
    }
    let json = format!(r#"{{"crv":"P-256","kty":"EC","x":"{x}","y":"{y}"}}"#);
    Ok((Algorithm::ES256, json, 64))
}

fn ed25519(members: &Members<Value>) -> Result<Material, &'static str> {
    if text(members, "crv")? != Some("Ed25519") {
        return Err("its curve is not Ed25519");
    }
    let (x, point) = bytes(members, "x")?;
    if point.len() != 32 {
        return Err("its point does not have 32 bytes");
    }
    let json = format!(r#"{{"crv":"Ed25519","kty":"OKP","x":"{x}"}}"#);
    Ok((Algorithm::EdDSA, json, 64))
}

/// A member that must be a string if it is there.
fn text<'a>(members: &'a Members<Value>, name: &str) -> Result<Option<&'a str>, &'static str> {
    match members.get(name) {
        None => Ok(None),
        Some(Value::String(text)) => Ok(Some(text)),
        Some(_) => Err("a member of it is not a string"),
    }
}

/// A member that must be there and be canonical base64url: its text and its bytes.
fn bytes<'a>(members: &'a Members<Value>, name: &str) -> Result<(&'a str, Vec<u8>), &'static str> {
    let text = text(members, name)?.ok_or("a member of it is missing")?;
    let bytes = from_base64url(text).ok_or("a member of it is not canonical base64url")?;
    Ok((text, bytes))
}
