//! A list whose entries are read when they are first asked for.
//!
//! A gateway of thousands of operations starts for one request, which needs one of them. So what a tree has many
//! of lies in the bundle as bytes, each entry by itself, and starting costs as much as to note where each begins.
//! An entry that cannot be read is one that is not there: the request that wanted it ends with an error, and so
//! does every check of the whole bundle ([`crate::Bundle::verified`]).

use std::fmt;
use std::sync::OnceLock;

use serde::de::{DeserializeOwned, Error as _, Visitor};
use serde::ser::{Error as _, SerializeTuple};
use serde::{Deserialize, Deserializer, Serialize, Serializer};

/// A list whose entries are read when they are first asked for.
pub struct Lazy<T> {
    entries: Vec<Entry<T>>,
    /// All of them, one behind the other.
    bytes: Vec<u8>,
}

struct Entry<T> {
    /// Where its bytes end; of one that was made here, nothing.
    end: usize,
    /// None within: its bytes are no such thing.
    read: OnceLock<Option<Box<T>>>,
}

impl<T> Lazy<T> {
    /// How many entries there are.
    pub fn len(&self) -> usize {
        self.entries.len()
    }

    /// Whether there is none.
    pub fn is_empty(&self) -> bool {
        self.entries.is_empty()
    }

    /// Adds an entry.
    pub fn push(&mut self, entry: T) {
        self.entries.push(Entry {
            end: self.bytes.len(),
            read: OnceLock::from(Some(Box::new(entry))),
        });
    }
}

impl<T: DeserializeOwned> Lazy<T> {
    /// The entry at a place; `None`: there is none, or it cannot be read.
    pub fn get(&self, at: usize) -> Option<&T> {
        let entry = self.entries.get(at)?;
        entry.read.get_or_init(|| self.read(at)).as_deref()
    }

    /// The same, to be changed.
    pub fn get_mut(&mut self, at: usize) -> Option<&mut T> {
        self.get(at)?;
        self.entries.get_mut(at)?.read.get_mut()?.as_deref_mut()
    }

    /// The entries, up to one that cannot be read: places stay what they are.
    pub fn iter(&self) -> Iter<'_, T> {
        Iter { list: self, at: 0 }
    }

    /// The same, to be changed.
    pub fn iter_mut(&mut self) -> impl Iterator<Item = &mut T> {
        for at in 0..self.len() {
            self.get(at);
        }
        let entries = self.entries.iter_mut();
        entries.map_while(|entry| entry.read.get_mut()?.as_deref_mut())
    }

    /// Whether every entry can be read.
    pub fn is_whole(&self) -> bool {
        (0..self.len()).all(|at| self.get(at).is_some())
    }

    fn read(&self, at: usize) -> Option<Box<T>> {
        let before = at.checked_sub(1).and_then(|before| self.entries.get(before));
        let start = before.map_or(0, |entry| entry.end);
        let bytes = self.bytes.get(start..self.entries.get(at)?.end)?;
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
            entries: Vec::new(),
            bytes: Vec::new(),
        }
    }
}

impl<T> FromIterator<T> for Lazy<T> {
    fn from_iter<I: IntoIterator<Item = T>>(entries: I) -> Self {
        let mut list = Self::default();
        for entry in entries {
            list.push(entry);
        }
        list
    }
}

impl<T> From<Vec<T>> for Lazy<T> {
    fn from(entries: Vec<T>) -> Self {
        entries.into_iter().collect()
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

impl<T: Clone + DeserializeOwned> Clone for Lazy<T> {
    fn clone(&self) -> Self {
        self.iter().cloned().collect()
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
        let mut lengths = Vec::with_capacity(self.len());
        for at in 0..self.len() {
            let entry = self
                .get(at)
                .ok_or_else(|| S::Error::custom("an entry cannot be read"))?;
            let before = bytes.len();
            bytes = postcard::to_extend(entry, bytes).map_err(S::Error::custom)?;
            lengths.push(bytes.len() - before);
        }
        let mut tuple = serializer.serialize_tuple(2)?;
        tuple.serialize_element(&lengths)?;
        tuple.serialize_element(&Bytes(bytes))?;
        tuple.end()
    }
}

impl<'de, T> Deserialize<'de> for Lazy<T> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let (lengths, Bytes(bytes)) = <(Vec<usize>, Bytes)>::deserialize(deserializer)?;
        let mut end = 0_usize;
        let mut entries = Vec::with_capacity(lengths.len());
        for length in lengths {
            end = end.saturating_add(length);
            entries.push(Entry {
                end,
                read: OnceLock::new(),
            });
        }
        if end != bytes.len() {
            return Err(D::Error::custom("the entries are not as long as their bytes"));
        }
        Ok(Self { entries, bytes })
    }
}

/// Bytes in one piece.
struct Bytes(Vec<u8>);

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
                Ok(Bytes(bytes.to_vec()))
            }
        }
        deserializer.deserialize_bytes(Whole)
    }
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
