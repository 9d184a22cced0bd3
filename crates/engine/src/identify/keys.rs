//! A set of public keys of one issuer (RFC 7517, section 5), and the choice of one of them.

use sha2::{Digest, Sha256};
use turnpike_policy::Algorithm;

use super::json::Json;
use super::jwk::Key;
use crate::sorted;

/// The most bytes that a key set may have.
pub(crate) const MAX_SET: u32 = 256 * 1024;
/// The most keys that it may have.
const MAX_KEYS: usize = 100;

/// Names what a set holds: different sets have different generations, equal ones the same (it is
/// the beginning of a hash), so that it also holds across restarts of the instance.
pub(super) type Generation = u64;

/// The keys of one issuer that can be used.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct KeySet {
    /// Sorted.
    keys: Vec<Key>,
    generation: Generation,
}

/// Which key is the one.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Choice<'a> {
    /// This one.
    One(&'a Key),
    /// None. A newer set may have it.
    Missing,
    /// The key of that name is for another algorithm.
    OtherAlgorithm,
    /// The token names none, and more than one fits.
    Several,
}

impl KeySet {
    /// Reads a JWKS. Keys that cannot be used (symmetric, private, weak, for another use or
    /// algorithm, sharing their name) are left out; the error says why there is none to use. A set in which any
    /// object names a member twice is none (RFC 7517, 4 and 5).
    pub(super) fn from_jwks(bytes: &[u8]) -> Result<Self, &'static str> {
        if u32::try_from(bytes.len()).map_or(true, |len| len > MAX_SET) {
            return Err("the answer is larger than 256 KiB");
        }
        let set = Json::read(bytes).ok_or("the answer is not JSON whose members are named once")?;
        let Json::List(keys) = set.get("keys").ok_or("the answer has no `keys`")? else {
            return Err("`keys` is not a list");
        };
        if keys.len() > MAX_KEYS {
            return Err("there are more than 100 keys");
        }
        Self::of(keys.iter().filter_map(|key| Key::from_json(key).ok()).collect())
    }

    /// Takes keys of a policy, each a JWK as JSON text.
    pub(super) fn from_keys<'a>(keys: impl Iterator<Item = &'a str>) -> Result<Self, &'static str> {
        let read = |key: &str| Key::from_json(&Json::read(key.as_bytes())?).ok();
        Self::of(keys.filter_map(read).collect())
    }

    fn of(keys: Vec<Key>) -> Result<Self, &'static str> {
        let mut keys = sorted::by(keys, Ord::cmp);
        // Sorted by name first: two of one name are neighbours, and neither of them is the one.
        let shared: Vec<String> = keys
            .windows(2)
            .filter_map(|pair| match pair {
                [one, other] if one.id == other.id => one.id.clone(),
                _ => None,
            })
            .collect();
        keys.retain(|key| key.id.as_ref().is_none_or(|id| !shared.contains(id)));
        keys.dedup();
        if keys.is_empty() {
            return Err("there is no key that can be used");
        }
        let generation = generation(&keys);
        Ok(Self { keys, generation })
    }

    /// The name of what it holds.
    pub(super) const fn generation(&self) -> Generation {
        self.generation
    }

    /// The key for a token: the one that it names; or, if it names none, the only one that fits.
    pub(super) fn choose(&self, id: Option<&str>, algorithm: Algorithm) -> Choice<'_> {
        if id.is_some() {
            return match self.keys.iter().find(|key| key.id.as_deref() == id) {
                Some(key) if key.fits(algorithm) => Choice::One(key),
                Some(_) => Choice::OtherAlgorithm,
                None => Choice::Missing,
            };
        }
        let mut fitting = self.keys.iter().filter(|key| key.fits(algorithm));
        match (fitting.next(), fitting.next()) {
            (Some(key), None) => Choice::One(key),
            (None, _) => Choice::Missing,
            _ => Choice::Several,
        }
    }
}

fn generation(keys: &[Key]) -> Generation {
    let mut hash = Sha256::new();
    for key in keys {
        // No part can hold the separator unescaped: Rust's debug form quotes.
        hash.update(format!("{:?} {:?} {}\n", key.id, key.algorithm, key.json));
    }
    let mut first = [0; 8];
    for (to, from) in first.iter_mut().zip(hash.finalize()) {
        *to = from;
    }
    u64::from_be_bytes(first)
}
