//! A list whose entries are read when they are first asked for.
//!
//! A gateway of thousands of operations starts for one request, which needs one of them. So what a tree has many
//! of lies in the bundle as bytes, each entry by itself, and starting costs as much as to note where each begins.
//! An entry that cannot be read is one that is not there: the request that wanted it ends with an error, and so
//! does every check of the whole bundle ([`crate::Bundle::verified`]).

use std::borrow::Cow;
use std::cmp::Ordering;
use std::fmt;
use std::sync::OnceLock;

use serde::de::{DeserializeOwned, Error as _, Visitor};
use serde::ser::{Error as _, SerializeTuple};
use serde::{Deserialize, Deserializer, Serialize, Serializer};

/// How many places are made at once, when the first of them is asked for: a start makes none.
const TOGETHER: usize = 32;
/// The bytes of an end.
const END: usize = size_of::<u32>();

/// A list whose entries are read when they are first asked for.
#[derive(Clone)]
pub struct Lazy<T> {
    /// Where each of the written entries ends in `bytes`: four bytes each, little endian, used as they lie.
    ends: Bytes,
    /// The written entries, one behind the other.
    bytes: Bytes,
    /// Those of them that were asked for, by their place, [`TOGETHER`] and [`TOGETHER`].
    read: Vec<OnceLock<Box<[Place<T>]>>>,
    /// Entries that were made here, and follow the written ones.
    made: Vec<T>,
}

/// What is known of a written entry. None within: its bytes are no such thing.
type Place<T> = OnceLock<Option<Box<T>>>;

impl<T> Lazy<T> {
    /// How many entries there are.
    pub fn len(&self) -> usize {
        self.written().saturating_add(self.made.len())
    }

    /// Whether there is none.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// Adds an entry.
    pub fn push(&mut self, entry: T) {
        self.made.push(entry);
    }

    /// How many of the entries were not made here.
    fn written(&self) -> usize {
        self.ends.0.len() / END
    }

    /// Where a written entry ends.
    fn end(&self, at: usize) -> Option<usize> {
        let end = self.ends.0.get(at.checked_mul(END)?..)?.first_chunk()?;
        usize::try_from(u32::from_le_bytes(*end)).ok()
    }
}

impl<T: DeserializeOwned> Lazy<T> {
    /// The entry at a place; `None`: there is none, or it cannot be read.
    pub fn get(&self, at: usize) -> Option<&T> {
        if let Some(made) = at.checked_sub(self.written()) {
            return self.made.get(made);
        }
        let together = self.read.get(at / TOGETHER)?;
        let places = together.get_or_init(|| (0..TOGETHER).map(|_| Place::new()).collect());
        places
            .get(at % TOGETHER)?
            .get_or_init(|| self.read(at))
            .as_deref()
    }

    /// The same, to be changed.
    pub fn get_mut(&mut self, at: usize) -> Option<&mut T> {
        self.get(at)?;
        if let Some(made) = at.checked_sub(self.written()) {
            return self.made.get_mut(made);
        }
        let places = self.read.get_mut(at / TOGETHER)?.get_mut()?;
        places.get_mut(at % TOGETHER)?.get_mut()?.as_deref_mut()
    }

    /// The entries, up to one that cannot be read: places stay what they are.
    pub fn iter(&self) -> Iter<'_, T> {
        Iter { list: self, at: 0 }
    }

    /// The same, to be changed.
    pub fn iter_mut(&mut self) -> impl Iterator<Item = &mut T> {
        let written = self.written();
        let whole = (0..written).filter(|at| self.get(*at).is_some()).count() == written;
        let places = self.read.iter_mut().filter_map(OnceLock::get_mut).flatten();
        let read = places
            .take(written)
            .map_while(|place| place.get_mut()?.as_deref_mut());
        // Up to one that cannot be read, as without changing them.
        let made = if whole { self.made.as_mut_slice() } else { &mut [] };
        read.chain(made)
    }

    /// The entry for which a sorted list is searched, as [`slice::binary_search_by`] does: with as many steps whether
    /// it is there or not. Of the others only those are read that lie on the way.
    pub fn search(&self, mut compare: impl FnMut(&T) -> Ordering) -> Option<&T> {
        let (mut base, mut size) = (0, self.len());
        while size > 1 {
            let half = size / 2;
            let above = compare(self.get(base + half)?) == Ordering::Greater;
            base = if above { base } else { base + half };
            size -= half;
        }
        let entry = self.get(base)?;
        (compare(entry) == Ordering::Equal).then_some(entry)
    }

    /// Whether every entry can be read.
    pub fn is_whole(&self) -> bool {
        (0..self.len()).all(|at| self.get(at).is_some())
    }

    fn read(&self, at: usize) -> Option<Box<T>> {
        let start = match at.checked_sub(1) {
            Some(before) => self.end(before)?,
            None => 0,
        };
        let bytes = self.bytes.0.get(start..self.end(at)?)?;
        let (entry, rest) = postcard::take_from_bytes(bytes).ok()?;
        rest.is_empty().then(|| Box::new(entry))
    }
}

/// The entries of a list, in order.
pub struct Iter<'a, T> {
    list: &'a Lazy<T>,
    at: usize,
}

impl<'a, T: DeserializeOwned> Iterator for Iter<'a, T> {
    type Item = &'a T;

    fn next(&mut self) -> Option<&'a T> {
        let entry = self.list.get(self.at)?;
        self.at += 1;
        Some(entry)
    }

    fn size_hint(&self) -> (usize, Option<usize>) {
        (0, Some(self.list.len().saturating_sub(self.at)))
    }
}

impl<T> Clone for Iter<'_, T> {
    fn clone(&self) -> Self {
        Self { ..*self }
    }
}

impl<'a, T: DeserializeOwned> IntoIterator for &'a Lazy<T> {
    type Item = &'a T;
    type IntoIter = Iter<'a, T>;

    fn into_iter(self) -> Iter<'a, T> {
        self.iter()
    }
}

impl<T> Default for Lazy<T> {
    fn default() -> Self {
        Self {
            ends: Bytes::default(),
            bytes: Bytes::default(),
            read: Vec::new(),
            made: Vec::new(),
        }
    }
}

impl<T> FromIterator<T> for Lazy<T> {
    fn from_iter<I: IntoIterator<Item = T>>(entries: I) -> Self {
        Self::from(Vec::from_iter(entries))
    }
}

impl<T> From<Vec<T>> for Lazy<T> {
    fn from(made: Vec<T>) -> Self {
        Self {
            made,
            ..Self::default()
        }
    }
}

/// As of a slice, for tools and their tests; what runs asks with [`Lazy::get`].
#[cfg(feature = "source")]
#[expect(
    clippy::panic,
    reason = "an index that is not there is a fault of its author, as of a slice"
)]
impl<T: DeserializeOwned> std::ops::Index<usize> for Lazy<T> {
    type Output = T;

    fn index(&self, at: usize) -> &T {
        let len = self.len();
        self.get(at)
            .unwrap_or_else(|| panic!("no entry {at} of {len} can be read"))
    }
}

/// The same, to be changed.
#[cfg(feature = "source")]
#[expect(
    clippy::panic,
    reason = "an index that is not there is a fault of its author, as of a slice"
)]
impl<T: DeserializeOwned> std::ops::IndexMut<usize> for Lazy<T> {
    fn index_mut(&mut self, at: usize) -> &mut T {
        let len = self.len();
        self.get_mut(at)
            .unwrap_or_else(|| panic!("no entry {at} of {len} can be read"))
    }
}

impl<T: PartialEq + DeserializeOwned> PartialEq for Lazy<T> {
    fn eq(&self, other: &Self) -> bool {
        self.len() == other.len() && self.iter().eq(other.iter())
    }
}

impl<T: fmt::Debug + DeserializeOwned> fmt::Debug for Lazy<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_list().entries(self.iter()).finish()
    }
}

impl<T: Serialize + DeserializeOwned> Serialize for Lazy<T> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let mut bytes = Vec::new();
        let mut ends = Vec::with_capacity(self.len().saturating_mul(END));
        for at in 0..self.len() {
            let entry = self
                .get(at)
                .ok_or_else(|| S::Error::custom("an entry cannot be read"))?;
            bytes = postcard::to_extend(entry, bytes).map_err(S::Error::custom)?;
            let end = u32::try_from(bytes.len()).map_err(S::Error::custom)?;
            ends.extend_from_slice(&end.to_le_bytes());
        }
        let mut tuple = serializer.serialize_tuple(2)?;
        tuple.serialize_element(&Bytes(ends.into()))?;
        tuple.serialize_element(&Bytes(bytes.into()))?;
        tuple.end()
    }
}

impl<'de, T> Deserialize<'de> for Lazy<T> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let (ends, bytes) = <(Bytes, Bytes)>::deserialize(deserializer)?;
        let mut list = Self {
            ends,
            bytes,
            ..Self::default()
        };
        let written = list.written();
        let end = written.checked_sub(1).map_or(Some(0), |at| list.end(at));
        if !list.ends.0.len().is_multiple_of(END) || end != Some(list.bytes.0.len()) {
            return Err(D::Error::custom("the entries are not as long as their bytes"));
        }
        list.read.resize_with(written.div_ceil(TOGETHER), OnceLock::new);
        Ok(list)
    }
}

/// The bytes that this program carries with it, once it has said so ([`carry`]).
static CARRIED: OnceLock<&'static [u8]> = OnceLock::new();

/// Says that this program carries these bytes with it for as long as it runs: of a bundle that is read from them, lists
/// are used as they lie. Only what is named first counts; lists of any other bytes are copied, and are the same.
pub fn carry(bytes: &'static [u8]) {
    let _ = CARRIED.set(bytes);
}

/// Bytes in one piece.
#[derive(Clone, Default)]
struct Bytes(Cow<'static, [u8]>);

impl Serialize for Bytes {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_bytes(&self.0)
    }
}

impl<'de> Deserialize<'de> for Bytes {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Whole;
        impl Visitor<'_> for Whole {
            type Value = Bytes;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("bytes")
            }

            fn visit_bytes<E>(self, bytes: &[u8]) -> Result<Bytes, E> {
                Ok(Bytes(
                    carried(bytes).map_or_else(|| bytes.to_vec().into(), Cow::Borrowed),
                ))
            }
        }
        deserializer.deserialize_bytes(Whole)
    }
}

/// The same bytes, as those that are carried: serde has no word for what lives as long as the program, and of what
/// an isolate starts with most would be copied. They are compared by where they lie, and taken from what stays there.
fn carried(bytes: &[u8]) -> Option<&'static [u8]> {
    let carried = CARRIED.get()?;
    let start = bytes.as_ptr().addr().checked_sub(carried.as_ptr().addr())?;
    carried.get(start..start.checked_add(bytes.len())?)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn list() -> Lazy<(u32, String)> {
        (0..5).map(|n| (n, "x".repeat(n as usize))).collect()
    }

    fn written() -> Vec<u8> {
        postcard::to_stdvec(&list()).expect("bytes")
    }

    fn read(bytes: &[u8]) -> Option<Lazy<(u32, String)>> {
        postcard::from_bytes(bytes).ok()
    }

    #[test]
    fn what_is_written_is_read_in_its_place() {
        let read = read(&written()).expect("a list");
        assert_eq!((read.len(), read.is_empty()), (5, false));
        // In any order, more than once.
        for at in [3, 0, 4, 0, 1, 2] {
            assert_eq!(read.get(at), list().get(at), "{at}");
        }
        assert_eq!(read.get(5), None);
        assert_eq!(read, list());
        assert_eq!(read.clone(), list());
        assert_eq!(postcard::to_stdvec(&read).expect("bytes"), written());
    }

    #[test]
    fn what_is_changed_is_written_so() {
        let mut changed = read(&written()).expect("a list");
        changed.get_mut(2).expect("an entry").0 = 20;
        changed.push((5, "five".to_owned()));
        for entry in changed.iter_mut() {
            entry.1.push('!');
        }
        let bytes = postcard::to_stdvec(&changed).expect("bytes");
        let again = read(&bytes).expect("a list");
        assert_eq!(again, changed);
        assert_eq!(again.get(2), Some(&(20, "xx!".to_owned())));
        assert_eq!(again.iter().count(), 6);
        assert_eq!(again.get(5), Some(&(5, "five!".to_owned())));
    }

    #[test]
    fn an_entry_that_is_damaged_is_not_there_and_moves_no_other() {
        let text = written();
        // The length of the text of the fourth entry: more than there is.
        let at = text.len() - 4 - 2 - 3 - 1;
        assert_eq!(text[at], 3);
        let mut damaged = text;
        damaged[at] = 200;
        let read = read(&damaged).expect("a list");
        assert!(!read.is_whole() && list().is_whole());
        assert_eq!((read.get(3), read.get(4)), (None, list().get(4)));
        // Places stay what they are.
        assert_eq!(read.iter().count(), 3);
        assert_ne!(read, list());
        assert!(postcard::to_stdvec(&read).is_err());
    }

    #[test]
    fn what_the_program_carries_is_used_as_it_lies() {
        let carried: &'static [u8] = written().leak();
        let borrows = |list: &Lazy<(u32, String)>| {
            matches!(
                (&list.ends.0, &list.bytes.0),
                (Cow::Borrowed(_), Cow::Borrowed(_))
            )
        };
        carry(carried);
        let list = read(carried).expect("a list");
        assert!(borrows(&list));
        assert_eq!(list, read(&written()).expect("the same, copied"));
        assert!(!borrows(&read(&written()).expect("a list")));
        // Nothing else is taken for what is carried, wherever it lies.
        carry(written().leak());
        assert!(borrows(&read(carried).expect("a list")));
    }

    #[test]
    fn a_sorted_list_is_searched_in_as_many_steps_for_each() {
        for length in 0..20_u32 {
            let list: Lazy<(u32, String)> = (0..length).map(|n| (2 * n, String::new())).collect();
            let bytes = postcard::to_stdvec(&list).expect("bytes");
            let list = read(&bytes).expect("a list");
            let mut steps = Vec::new();
            for wanted in 0..=2 * length {
                let mut taken = 0;
                let found = list.search(|(n, _)| {
                    taken += 1;
                    n.cmp(&wanted)
                });
                let there = wanted % 2 == 0 && wanted < 2 * length;
                assert_eq!(found.map(|(n, _)| *n), there.then_some(wanted), "{length}");
                steps.push(taken);
            }
            assert!(
                steps.iter().all(|taken| *taken == steps[0]),
                "{length}: {steps:?}"
            );
        }
    }

    #[test]
    fn no_bytes_make_it_fall() {
        let right = written();
        for at in 0..right.len() {
            for bit in 0..8 {
                let mut bytes = right.clone();
                bytes[at] ^= 1 << bit;
                if let Some(list) = read(&bytes) {
                    let _ = (list.iter().count(), list.is_whole());
                }
            }
            assert!(read(&right[..at]).is_none(), "{at}");
        }
    }
}
