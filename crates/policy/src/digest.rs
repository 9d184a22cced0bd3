//! Digests as bytes in one piece, for `#[serde(with)]`.
//!
//! Serde takes an array for a tuple and reads it byte by byte: a tree of thousands of keys is read at each start of
//! an isolate, by code that is not compiled well yet.

use std::fmt;

use serde::de::{Deserializer, Error, Visitor};
use serde::ser::Serializer;

/// The bytes of SHA-256.
type Digest = [u8; 32];

/// Writes a digest.
#[expect(clippy::missing_errors_doc, reason = "those of the serializer")]
pub fn serialize<S: Serializer>(digest: &Digest, to: S) -> Result<S::Ok, S::Error> {
    to.serialize_bytes(digest)
}

/// Reads a digest; of another length there is none.
#[expect(clippy::missing_errors_doc, reason = "those of the deserializer")]
pub fn deserialize<'de, D: Deserializer<'de>>(from: D) -> Result<Digest, D::Error> {
    struct Whole;

    impl Visitor<'_> for Whole {
        type Value = Digest;

        fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
            f.write_str("the 32 bytes of SHA-256")
        }

        fn visit_bytes<E: Error>(self, bytes: &[u8]) -> Result<Digest, E> {
            bytes
                .try_into()
                .map_err(|_| E::invalid_length(bytes.len(), &self))
        }
    }

    from.deserialize_bytes(Whole)
}
