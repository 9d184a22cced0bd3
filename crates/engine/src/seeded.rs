//! Maps by names that others choose, over a hash that nobody outside can compute.
//!
//! Who knows how a map hashes can choose names that meet in it, and then each look-up costs as much as there are of
//! them. The hasher that maps have by default makes its own randomness, which is not repeatable here, and none where
//! the engine is deployed: in Wasm without imports it is two addresses. Here it is handed in, as all of it is.

use std::hash::{BuildHasher, DefaultHasher, Hasher as _};

/// `SipHash` over a secret prefix: without it, nobody can tell which keys meet.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Seeded([u8; 16]);

impl BuildHasher for Seeded {
    type Hasher = DefaultHasher;

    fn build_hasher(&self) -> DefaultHasher {
        let mut hasher = DefaultHasher::new();
        hasher.write(&self.0);
        hasher
    }
}

impl Seeded {
    /// Over a seed that is random and secret.
    pub(crate) const fn new(seed: [u8; 16]) -> Self {
        Self(seed)
    }
}

/// A map by names.
#[expect(clippy::disallowed_types, reason = "its hasher is seeded")]
pub(crate) type Named<T> = std::collections::HashMap<String, T, Seeded>;

/// An empty map, with a seed that is random and secret.
pub(crate) fn named<T>(seed: [u8; 16]) -> Named<T> {
    Named::with_hasher(Seeded::new(seed))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn who_lacks_the_seed_cannot_tell_which_names_meet() {
        let places = |seed| -> Vec<u64> {
            let hasher = Seeded::new([seed; 16]);
            (0..64)
                .map(|name| hasher.hash_one(format!("consumer:{name}")) % 64)
                .collect()
        };
        assert_eq!(places(1), places(1));
        let same = places(1)
            .into_iter()
            .zip(places(2))
            .filter(|(one, other)| one == other);
        assert!(same.count() < 8, "another seed is another order");
    }
}
