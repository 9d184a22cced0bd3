//! What was found in files before, by what is in them: a file that has not changed is not parsed again.
//!
//! Most of a check is parsing, and of a large tree most files are as they were. So of each file in which there was
//! nothing to report its nodes are kept, and what rules noted of it, under the digest of its text. Nothing here decides
//! anything: what is kept is what the same program found in the same text, and where it is missing, damaged or another
//! program's, the file is read as ever. The build does not use it.

use std::collections::BTreeMap;
use std::hash::{DefaultHasher, Hasher as _};
use std::ops::Range;

use sha2::{Digest as _, Sha256};

use super::super::diagnostic::{Found, Span};
use super::super::governance::Notes;
use super::super::yaml::{MAX_DEPTH, Node, Value};
use super::Checked;

/// What every such file begins with.
const MAGIC: &[u8; 8] = b"TPKKEPT1";

/// The digest of a file's text (SHA-256).
pub(super) type Key = [u8; 32];

/// What is known of files, for [`Loaded::read_kept`](crate::source::Loaded::read_kept).
#[derive(Debug, Default)]
pub struct Kept {
    bytes: Vec<u8>,
    files: BTreeMap<Key, Entry>,
}

#[derive(Debug)]
struct Entry {
    /// Where it lies.
    place: Range<usize>,
    /// Of its bytes.
    sum: u64,
}

/// A file whose text is known, or should be from now on.
#[derive(Debug)]
pub(super) struct Known {
    key: Key,
    /// Its form, where it was not kept yet.
    new: Option<Vec<u8>>,
}

impl Kept {
    /// Reads what [`Loaded::kept`](crate::source::Loaded::kept) wrote. `program` tells one build of the program from
    /// another: what another one has kept counts as nothing, as does what is damaged.
    pub fn read(bytes: Vec<u8>, program: &[u8]) -> Self {
        match index(&bytes, program) {
            Some(files) => Self { bytes, files },
            None => Self::default(),
        }
    }

    fn get(&self, key: &Key) -> Option<&[u8]> {
        let entry = self.files.get(key)?;
        let bytes = self.bytes.get(entry.place.clone())?;
        (sum(bytes) == entry.sum).then_some(bytes)
    }

    /// What is known of a text, as the file with this index.
    pub(super) fn find(&self, text: &str, file: u32) -> (Key, Option<(Node, Option<Checked>)>) {
        let key = Sha256::digest(text).into();
        let known = self.get(&key).and_then(|bytes| {
            let mut form = Form {
                rest: bytes,
                text,
                file,
                last: 0,
            };
            let node = form.node(0)?;
            let checked = form.checked()?;
            form.rest.is_empty().then_some((node, checked))
        });
        (key, known)
    }

    /// All that is to be kept now; nothing if that is what is kept already.
    pub(super) fn with<'a>(
        &'a self,
        files: impl Iterator<Item = &'a Known>,
        program: &[u8],
    ) -> Option<Vec<u8>> {
        let mut all = BTreeMap::new();
        let mut new = false;
        for Known { key, new: form } in files {
            new |= form.is_some();
            if let Some(form) = form.as_deref().or_else(|| self.get(key)) {
                all.insert(key, form);
            }
        }
        // What no file has any more goes with the next change, or when it is most of it.
        if !new && self.files.len() <= all.len().saturating_mul(2) {
            return None;
        }
        let mut bytes = MAGIC.to_vec();
        length(program.len(), &mut bytes)?;
        bytes.extend_from_slice(program);
        for (key, form) in all {
            bytes.extend_from_slice(key);
            bytes.extend_from_slice(&sum(form).to_le_bytes());
            length(form.len(), &mut bytes)?;
            bytes.extend_from_slice(form);
        }
        Some(bytes)
    }
}

impl Known {
    /// Of a file that was found kept.
    pub(super) fn as_before(key: Key) -> Self {
        Self { key, new: None }
    }

    /// Of a file that was read, if there is nothing to report of it: a report may show its text, or must not.
    pub(super) fn anew(
        key: Key,
        text: &str,
        node: &Node,
        found: &Found,
        checked: Option<&Checked>,
    ) -> Option<Self> {
        if !found.is_empty() || checked.is_some_and(|checked| !checked.found.is_empty()) {
            return None;
        }
        let mut form = Vec::new();
        put(node, text, &mut 0, &mut form);
        match checked {
            None => form.push(0),
            Some(checked) => {
                form.push(if checked.hides { 2 } else { 1 });
                for notes in [&checked.notes, &checked.texts] {
                    let notes = postcard::to_allocvec(notes).ok()?;
                    number(notes.len() as u64, &mut form);
                    form.extend_from_slice(&notes);
                }
            }
        }
        Some(Self { key, new: Some(form) })
    }
}

fn index(bytes: &[u8], program: &[u8]) -> Option<BTreeMap<Key, Entry>> {
    let mut rest = bytes.strip_prefix(MAGIC)?;
    let its = split_length(&mut rest)?;
    rest = rest.get(..its)?.eq(program).then(|| rest.get(its..))??;
    let mut files = BTreeMap::new();
    while !rest.is_empty() {
        let (key, after) = rest.split_first_chunk::<32>()?;
        let (sum, after) = after.split_first_chunk::<8>()?;
        rest = after;
        let length = split_length(&mut rest)?;
        let start = bytes.len() - rest.len();
        rest = rest.get(length..)?;
        let entry = Entry {
            place: start..start + length,
            sum: u64::from_le_bytes(*sum),
        };
        files.insert(*key, entry);
    }
    Some(files)
}

fn sum(bytes: &[u8]) -> u64 {
    // Against disks and interrupted writes, not against people: whoever can write here can change the program.
    let mut hasher = DefaultHasher::new();
    hasher.write(bytes);
    hasher.finish()
}

fn length(length: usize, out: &mut Vec<u8>) -> Option<()> {
    out.extend_from_slice(&u32::try_from(length).ok()?.to_le_bytes());
    Some(())
}

fn split_length(rest: &mut &[u8]) -> Option<usize> {
    let (length, after) = rest.split_first_chunk::<4>()?;
    *rest = after;
    usize::try_from(u32::from_le_bytes(*length)).ok()
}

/// A number, seven bits a byte.
fn number(mut value: u64, out: &mut Vec<u8>) {
    while value >= 0x80 {
        out.push(value.to_le_bytes()[0] | 0x80);
        value >>= 7;
    }
    out.push(value.to_le_bytes()[0]);
}

// What a node is.
const AS_WRITTEN: u8 = 0;
const AS_QUOTED: u8 = 1;
const PLAIN: u8 = 2;
const QUOTED: u8 = 3;
const LIST: u8 = 4;
const MAP: u8 = 5;

/// Writes a node. Most texts stand in the file as they are, and so need not be written. `last` is where the node before
/// begins: the next one is near.
fn put(node: &Node, text: &str, last: &mut usize, out: &mut Vec<u8>) {
    let Span { start, end, .. } = node.span;
    let (kind, own) = match &node.value {
        Value::List(_) => (LIST, None),
        Value::Map(_) => (MAP, None),
        Value::Scalar { text: own, plain } => match written(text, start, end, *plain) {
            Some(written) if written == own => (if *plain { AS_WRITTEN } else { AS_QUOTED }, None),
            _ => (if *plain { PLAIN } else { QUOTED }, Some(own)),
        },
    };
    out.push(kind);
    // Aliases lead back.
    let (ahead, back) = (start.saturating_sub(*last), last.saturating_sub(start));
    number(((ahead.max(back) as u64) << 1) | u64::from(back > 0), out);
    number(end.saturating_sub(start) as u64, out);
    *last = start;
    if let Some(own) = own {
        number(own.len() as u64, out);
        out.extend_from_slice(own.as_bytes());
    }
    match &node.value {
        Value::Scalar { .. } => {}
        Value::List(items) => {
            number(items.len() as u64, out);
            for item in items {
                put(item, text, last, out);
            }
        }
        Value::Map(entries) => {
            number(entries.len() as u64, out);
            for (key, value) in entries {
                put(key, text, last, out);
                put(value, text, last, out);
            }
        }
    }
}

/// What a scalar says that is written in a place and needs no reading.
fn written(text: &str, start: usize, end: usize, plain: bool) -> Option<&str> {
    if plain {
        text.get(start..end)
    } else {
        text.get(start.checked_add(1)?..end.checked_sub(1)?)
    }
}

/// What is read again.
struct Form<'a> {
    rest: &'a [u8],
    text: &'a str,
    file: u32,
    last: usize,
}

impl<'a> Form<'a> {
    fn byte(&mut self) -> Option<u8> {
        let (first, rest) = self.rest.split_first()?;
        self.rest = rest;
        Some(*first)
    }

    fn number(&mut self) -> Option<usize> {
        let (mut value, mut shift) = (0_u64, 0_u32);
        loop {
            let byte = self.byte()?;
            value |= u64::from(byte & 0x7f).checked_shl(shift)?;
            if byte < 0x80 {
                return usize::try_from(value).ok();
            }
            shift += 7;
        }
    }

    fn bytes(&mut self) -> Option<&'a [u8]> {
        let length = self.number()?;
        let (bytes, rest) = self.rest.split_at_checked(length)?;
        self.rest = rest;
        Some(bytes)
    }

    fn node(&mut self, depth: usize) -> Option<Node> {
        if depth > MAX_DEPTH {
            return None;
        }
        let kind = self.byte()?;
        let way = self.number()?;
        let start = if way & 1 == 0 {
            self.last.checked_add(way >> 1)?
        } else {
            self.last.checked_sub(way >> 1)?
        };
        let end = start.checked_add(self.number()?)?;
        self.last = start;
        let plain = matches!(kind, AS_WRITTEN | PLAIN);
        let value = match kind {
            AS_WRITTEN | AS_QUOTED => Value::Scalar {
                text: written(self.text, start, end, plain)?.to_owned(),
                plain,
            },
            PLAIN | QUOTED => Value::Scalar {
                text: std::str::from_utf8(self.bytes()?).ok()?.to_owned(),
                plain,
            },
            LIST => {
                let count = self.number()?;
                let mut items = Vec::with_capacity(count.min(self.rest.len()));
                for _ in 0..count {
                    items.push(self.node(depth + 1)?);
                }
                Value::List(items)
            }
            MAP => {
                let count = self.number()?;
                let mut entries = Vec::with_capacity(count.min(self.rest.len()));
                for _ in 0..count {
                    entries.push((self.node(depth + 1)?, self.node(depth + 1)?));
                }
                Value::Map(entries)
            }
            _ => return None,
        };
        Some(Node {
            span: Span::new(self.file, start, end),
            value,
        })
    }

    #[expect(
        clippy::option_option,
        reason = "outside: whether it can be read; inside: whether it is a document"
    )]
    fn checked(&mut self) -> Option<Option<Checked>> {
        let hides = match self.byte()? {
            0 => return Some(None),
            1 => false,
            2 => true,
            _ => return None,
        };
        let file = self.file;
        let mut notes = || {
            let notes: Notes = postcard::from_bytes(self.bytes()?).ok()?;
            Some(notes.of_file(file))
        };
        Some(Some(Checked {
            found: Found::default(),
            hides,
            notes: notes()?,
            texts: notes()?,
        }))
    }
}
