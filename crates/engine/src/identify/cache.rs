//! Tokens that were verified, so that the next request with one costs a hash and a look-up.
//!
//! Only good tokens are put in, so that bad ones push none out. What is in can only make a request
//! cheaper: expiry and the generation of the keys are checked on every hit.

use std::collections::VecDeque;
use std::hash::{BuildHasherDefault, Hasher};

use sha2::{Digest as _, Sha256};
use turnpike_policy::Timestamp;

use super::bound::Bound;
use super::claims::Window;
use super::keys::Generation;
use super::work::{Work, note};
use super::{ClaimValue, Principal};

/// The most tokens remembered.
pub(super) const MAX_ENTRIES: usize = 4096;
/// The most bytes that they may take, counted as [`weight`] does.
pub(super) const MAX_BYTES: usize = 4 * 1024 * 1024;

/// How many tokens are kept whole, so that their names need not be computed again. With
/// [`super::credential::MAX_TOKEN`] they take at most 1 MiB.
const RECENT: usize = 128;

/// SHA-256 of the policy's hash and a token.
pub(super) type Digest = [u8; 32];

/// What is remembered of a token.
#[derive(Clone, Debug)]
pub(super) struct Entry {
    /// Who it proves.
    pub(super) principal: Principal,
    /// From when until when.
    pub(super) window: Window,
    /// Its issuer's index.
    pub(super) issuer: u32,
    /// Which keys verified it.
    pub(super) generation: Generation,
    /// What its caller must have beside it.
    pub(super) bound: Bound,
}

struct Slot {
    entry: Entry,
    /// Whether it was hit since it was last considered for eviction.
    used: bool,
}

/// By the names of tokens.
#[expect(
    clippy::disallowed_types,
    reason = "its keys are hashes already, and its hasher is their first bytes"
)]
type Slots = std::collections::HashMap<Digest, Slot, BuildHasherDefault<FirstBytes>>;

/// A bounded cache with second-chance eviction.
pub(super) struct TokenCache {
    /// The hash of one block that holds the policy's hash: a token verified under one policy has
    /// another name under the next.
    prefix: Sha256,
    slots: Slots,
    /// Every key of `slots`, once, in the order of their coming.
    order: VecDeque<Digest>,
    /// Good tokens that were hit lately, and their names; each in the place that its end says.
    recent: Vec<Option<(Box<str>, Digest)>>,
    bytes: usize,
    max_entries: usize,
    max_bytes: usize,
}

impl TokenCache {
    /// An empty cache for one policy.
    pub(super) fn new(policy_hash: &[u8; 32], max_entries: usize, max_bytes: usize) -> Self {
        let prefix = Sha256::new().chain_update(policy_hash).chain_update([0; 32]);
        let (slots, order) = (Slots::default(), VecDeque::new());
        Self {
            prefix,
            slots,
            order,
            recent: vec![None; RECENT],
            bytes: 0,
            max_entries,
            max_bytes,
        }
    }

    /// The name of a token. Comparing it whole costs a tenth of hashing it.
    ///
    /// That comparison is not made in constant time, and whoever sends a token gets one, as the end of
    /// it chooses one of 128 places. What its time depends on is whether the token in that place is as
    /// long, and how many characters, counted from the first, are the same. So it tells nothing of a
    /// signature but to who has all that comes before it, `jti` and times among them. And it tells no
    /// more than about a nanosecond for a character, before a hash of the whole token, and most often a
    /// verification, that take thousands; each try is charged to its address by the shield.
    pub(super) fn digest(&self, token: &str) -> Digest {
        if let Some(Some((known, digest))) = self.recent.get(place(token))
            && **known == *token
        {
            return *digest;
        }
        note(Work::Hash);
        self.prefix.clone().chain_update(token).finalize().into()
    }

    /// What is known of a token that is good now.
    pub(super) fn get(&mut self, digest: &Digest, now: Timestamp) -> Option<&Entry> {
        let slot = self.slots.get_mut(digest)?;
        if !slot.entry.window.holds(now) {
            return None;
        }
        slot.used = true;
        Some(&slot.entry)
    }

    /// Keeps a token whole that was just hit.
    pub(super) fn keep(&mut self, token: &str, digest: Digest) {
        if let Some(slot) = self.recent.get_mut(place(token))
            && slot.as_ref().is_none_or(|(known, _)| **known != *token)
        {
            *slot = Some((token.into(), digest));
        }
    }

    /// Remembers a verified token.
    pub(super) fn insert(&mut self, digest: Digest, entry: Entry) {
        let added = weight(&entry);
        if added > self.max_bytes || self.max_entries == 0 {
            return;
        }
        if let Some(slot) = self.slots.get_mut(&digest) {
            self.bytes = self.bytes.saturating_sub(weight(&slot.entry)) + added;
            slot.entry = entry;
        } else {
            self.make_room(added);
            self.order.push_back(digest);
            self.slots.insert(digest, Slot { entry, used: false });
            self.bytes += added;
        }
    }

    /// Evicts until there is room for one more. Each turn evicts one or uses up a second chance, so
    /// it ends.
    fn make_room(&mut self, added: usize) {
        while self.slots.len() >= self.max_entries || self.bytes + added > self.max_bytes {
            let Some(digest) = self.order.pop_front() else {
                return;
            };
            match self.slots.get_mut(&digest) {
                Some(slot) if slot.used => {
                    slot.used = false;
                    self.order.push_back(digest);
                }
                Some(slot) => {
                    self.bytes = self.bytes.saturating_sub(weight(&slot.entry));
                    self.slots.remove(&digest);
                }
                None => {}
            }
        }
    }

    /// How many tokens are remembered, and how many bytes they take.
    #[cfg(test)]
    pub(super) fn size(&self) -> (usize, usize) {
        assert_eq!(self.slots.len(), self.order.len());
        (self.slots.len(), self.bytes)
    }
}

/// Where a token is kept whole: by the last bytes of its signature, which are as good as random in
/// good tokens. Others choose their place, but are not kept.
fn place(token: &str) -> usize {
    let end = token
        .as_bytes()
        .last_chunk()
        .map_or(0, |bytes| u64::from_le_bytes(*bytes));
    // Base64url digits differ in their low bits.
    let mixed = end.wrapping_mul(0x9e37_79b9_7f4a_7c15) >> 32;
    usize::try_from(mixed).unwrap_or(0) % RECENT
}

/// About how many bytes an entry takes.
fn weight(entry: &Entry) -> usize {
    let scopes = &entry.principal.scopes;
    let claims = &entry.principal.claims;
    size_of::<Slot>()
        + 2 * size_of::<Digest>()
        + entry.principal.subject.len()
        + scopes
            .iter()
            .map(|scope| size_of::<String>() + scope.len())
            .sum::<usize>()
        + claims
            .iter()
            .map(|claim| {
                claim
                    .as_ref()
                    .map_or(size_of::<Option<ClaimValue>>(), ClaimValue::weight)
            })
            .sum::<usize>()
}

/// The first eight bytes of a key that is a hash already. Whoever wants two tokens to collide here
/// would have to have both signed.
#[derive(Default)]
struct FirstBytes(u64);

impl Hasher for FirstBytes {
    fn finish(&self) -> u64 {
        self.0
    }

    fn write(&mut self, bytes: &[u8]) {
        if let Some(first) = bytes.first_chunk() {
            self.0 = u64::from_le_bytes(*first);
        }
    }

    /// The length that an array's hash begins with says nothing.
    fn write_usize(&mut self, _: usize) {}
}
