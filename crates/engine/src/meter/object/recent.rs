//! What was admitted a moment ago, so that who asks again (its answer was lost on the way) is not charged again.
//!
//! Of what is held the hold itself knows ([`super::holds`]), for as long as it lasts. Of the rest the last
//! [`MOST`] are known, for [`LONG`]. Nobody waits longer than half of that for an answer: so an object that admits two
//! hundred a second, which is more than one should that writes, knows of each as long as somebody may ask.

use std::borrow::Cow;

use serde::{Deserialize, Serialize, Serializer};
use turnpike_policy::{Millis, Timestamp};

/// How many are remembered.
pub(super) const MOST: usize = 1_024;
/// For how long, in milliseconds.
pub(super) const LONG: Millis = 10_000;
/// Bytes of one: its fingerprint, and the millisecond when it was asked, modulo 2^32.
const LENGTH: usize = 12;

/// Fingerprints of asks that were admitted, the oldest first.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct Recent<'a>(#[serde(borrow, serialize_with = "whole")] Cow<'a, [u8]>);

/// Bytes in one piece: serde would write them one by one, and they are written with every ask.
fn whole<S: Serializer>(bytes: &[u8], to: S) -> Result<S::Ok, S::Error> {
    to.serialize_bytes(bytes)
}

impl Recent<'_> {
    /// Whether the same was asked a moment ago, and admitted.
    pub(super) fn knows(&self, fingerprint: u64, now: Timestamp) -> bool {
        self.at(fingerprint, now).is_some()
    }

    /// When the same was admitted, if that was a moment ago.
    pub(super) fn at(&self, fingerprint: u64, now: Timestamp) -> Option<Timestamp> {
        let known = fingerprint.to_le_bytes();
        let ago = self
            .entries()
            .filter(|(entry, _)| **entry == known)
            .map(|(_, at)| since(at, now))
            .find(|ago| *ago <= LONG)?;
        Some(now.saturating_sub(ago))
    }

    /// Remembers what was admitted.
    pub(super) fn add(&mut self, fingerprint: u64, now: Timestamp) {
        let old = self
            .entries()
            .take_while(|(_, at)| since(*at, now) > LONG)
            .count();
        let surplus = (self.0.len() / LENGTH + 1).saturating_sub(MOST);
        let bytes = self.0.to_mut();
        bytes.drain(..(old.max(surplus) * LENGTH).min(bytes.len()));
        bytes.extend_from_slice(&fingerprint.to_le_bytes());
        bytes.extend_from_slice(&modulo(now).to_le_bytes());
    }

    fn entries(&self) -> impl Iterator<Item = (&[u8; 8], u32)> {
        self.0.chunks_exact(LENGTH).filter_map(|entry| {
            let (fingerprint, at) = entry.split_first_chunk::<8>()?;
            Some((fingerprint, u32::from_le_bytes(at.try_into().ok()?)))
        })
    }
}

/// How long it is since an instant that is known modulo 2^32.
fn since(at: u32, now: Timestamp) -> Millis {
    modulo(now).wrapping_sub(at).into()
}

/// A time modulo 2^32: 49 days, in milliseconds.
const fn modulo(at: Timestamp) -> u32 {
    (at & 0xffff_ffff) as u32
}
