//! One public key of an issuer (RFC 7517, RFC 7518 section 6, RFC 8037).

use turnpike_policy::{Algorithm, KeyKind};

use super::encoding::from_base64url;
use super::json::{Json, Members};

/// How long the modulus of an RSA key may be, in bits: what RFC 7518 asks for at least, and what a
/// verification may cost at most.
const RSA_BITS: std::ops::RangeInclusive<usize> = 2048..=8192;

/// Members that only private and symmetric keys have.
const PRIVATE: [&str; 8] = ["d", "p", "q", "dp", "dq", "qi", "oth", "k"];

/// A public key.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct Key {
    /// `kid`.
    pub(super) id: Option<String>,
    /// What kind of key it is, and so which algorithms it can be used with.
    pub(super) kind: KeyKind,
    /// The one algorithm that it is for, if it says so. An RSA key that does not is used with those
    /// that its issuer's policy lists.
    pub(super) algorithm: Option<Algorithm>,
    /// The key as JSON with its required members only, in the order of RFC 7638: its thumbprint's
    /// input, and what WebCrypto imports.
    pub(super) json: String,
    /// How many bytes a signature has.
    pub(super) signature_len: usize,
}

impl Key {
    /// Reads a key. The error says why it is not used.
    pub(super) fn from_json(jwk: &Json) -> Result<Self, &'static str> {
        let members = jwk.object().ok_or("it is not an object")?;
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
            Some(Json::List(list)) if list.iter().any(|op| op.text() == Some("verify")) => {}
            Some(_) => return Err("its `key_ops` do not include `verify`"),
        }
        let id = text(members, "kid")?.map(str::to_owned);
        let kty = text(members, "kty")?.ok_or("it has no `kty`")?;
        // A curve that is no string is refused with the other members, for RSA as well.
        let kind = KeyKind::of(kty, text(members, "crv")?).ok_or("its `kty` or curve is not supported")?;
        let algorithm = match text(members, "alg")? {
            None => None,
            Some(name) => Some(
                kind.algorithm(name)
                    .ok_or("its `alg` is for another kind of key, or not supported")?,
            ),
        };
        let (json, signature_len) = match kind {
            KeyKind::Rsa => rsa(members)?,
            KeyKind::P256 => curve(members, "P-256", 32)?,
            KeyKind::P384 => curve(members, "P-384", 48)?,
            KeyKind::Ed25519 => ed25519(members)?,
            KeyKind::Secret => return Err("it is symmetric"),
        };
        Ok(Self {
            id,
            kind,
            algorithm,
            json,
            signature_len,
        })
    }

    /// Whether it can be used with an algorithm.
    pub(super) fn fits(&self, algorithm: Algorithm) -> bool {
        self.kind == algorithm.key_kind() && self.algorithm.is_none_or(|own| own == algorithm)
    }
}

/// The key as JSON, and how many bytes its signatures have.
type Material = (String, usize);

fn rsa(members: &Members) -> Result<Material, &'static str> {
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
    Ok((json, modulus.len()))
}

/// A point on a curve of NIST, each coordinate in as many bytes as the curve's field has.
fn curve(members: &Members, name: &str, size: usize) -> Result<Material, &'static str> {
    let ((x, one), (y, other)) = (bytes(members, "x")?, bytes(members, "y")?);
    if one.len() != size || other.len() != size {
        return Err("a coordinate of it does not have the size of its curve");
    }
    let json = format!(r#"{{"crv":"{name}","kty":"EC","x":"{x}","y":"{y}"}}"#);
    Ok((json, 2 * size))
}

fn ed25519(members: &Members) -> Result<Material, &'static str> {
    let (x, point) = bytes(members, "x")?;
    if point.len() != 32 {
        return Err("its point does not have 32 bytes");
    }
    let json = format!(r#"{{"crv":"Ed25519","kty":"OKP","x":"{x}"}}"#);
    Ok((json, 64))
}

/// A member that must be a string if it is there.
fn text<'a>(members: &'a Members, name: &str) -> Result<Option<&'a str>, &'static str> {
    match members.get(name) {
        None => Ok(None),
        Some(Json::Text(text)) => Ok(Some(text)),
        Some(_) => Err("a member of it is not a string"),
    }
}

/// A member that must be there and be canonical base64url: its text and its bytes.
fn bytes<'a>(members: &'a Members, name: &str) -> Result<(&'a str, Vec<u8>), &'static str> {
    let text = text(members, name)?.ok_or("a member of it is missing")?;
    let bytes = from_base64url(text).ok_or("a member of it is not canonical base64url")?;
    Ok((text, bytes))
}
