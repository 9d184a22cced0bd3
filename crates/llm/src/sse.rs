//! Server-sent events, read piece by piece.
//!
//! The format is that of the HTML standard, section 9.2: lines end in LF, CR or CR LF, an empty
//! line ends an event, a line that begins with a colon is a comment. [`Decoder`] cuts a stream into
//! [`Block`]s that together are the stream, byte for byte, so that whoever reads it can also pass
//! it on. It holds back only an event that is not complete; a block that lies within one piece is
//! never copied.

use std::fmt;

use serde::{Deserialize, Serialize};

/// The largest event unless another limit is given, in bytes.
pub const EVENT_LIMIT: u32 = 1024 * 1024;

/// The byte order mark that a stream may begin with.
const MARK: &[u8] = b"\xEF\xBB\xBF";

/// Cuts a stream into blocks. Between two pieces it can be serialized.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Decoder {
    /// The begin of a block that is not complete.
    #[serde(with = "crate::json::bytes")]
    carry: Vec<u8>,
    /// Where in `carry` the line begins that is not complete.
    line: usize,
    /// How many bytes of the stream lie before `carry`.
    position: u64,
    /// The last byte was a CR that ended a line: a LF that follows belongs to it.
    after_return: bool,
    /// An event was too large; nothing is read any more.
    overflowed: bool,
    /// The largest event, in bytes.
    limit: u32,
}

/// A part of a stream: an event, or what lies between events.
#[derive(Debug)]
pub struct Block<'a> {
    /// The event, if it is one that a reader is told of; none for comments, empty lines and events
    /// without data.
    pub event: Option<Event<'a>>,
    /// The bytes, line ends included.
    pub raw: &'a [u8],
    /// Offset of `raw` in the stream, in bytes.
    pub position: u64,
    /// Whether this is the LF of a CR LF whose CR ended the block before.
    pub tail: bool,
}

/// An event as a reader is told of it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Event<'a> {
    /// Its name (`event`); empty where none is given, which means `message`.
    pub name: &'a [u8],
    /// Its data, lines joined by LF; never empty.
    pub data: &'a [u8],
    /// Where the data begins in [`Block::raw`]; none where it was joined from several lines.
    pub data_at: Option<usize>,
}

/// An event was larger than the limit. What came before it was given out.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct TooLarge;

impl fmt::Display for TooLarge {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("an event of the stream is too large")
    }
}

impl std::error::Error for TooLarge {}

impl Default for Decoder {
    fn default() -> Self {
        Self::with_limit(EVENT_LIMIT)
    }
}

impl Decoder {
    /// A decoder for events of up to `limit` bytes.
    pub const fn with_limit(limit: u32) -> Self {
        Self {
            carry: Vec::new(),
            line: 0,
            position: 0,
            after_return: false,
            overflowed: false,
            limit,
        }
    }

    /// The begin of an event that was not completed.
    pub fn pending(&self) -> &[u8] {
        &self.carry
    }

    /// Reads the next piece of the stream and hands out what is complete with it.
    pub fn feed(&mut self, piece: &[u8], mut each: impl FnMut(Block<'_>)) -> Result<(), TooLarge> {
        if self.overflowed {
            return Err(TooLarge);
        }
        if self.carry.is_empty() {
            let used = self.read(piece, 0, &mut each);
            self.carry
                .extend_from_slice(piece.get(used..).unwrap_or_default());
        } else {
            let mut held = std::mem::take(&mut self.carry);
            let scanned = held.len();
            held.extend_from_slice(piece);
            let used = self.read(&held, scanned, &mut each);
            held.drain(..used.min(held.len()));
            self.carry = held;
        }
        if self.overflowed || self.carry.len() > self.limit as usize {
            self.overflowed = true;
            self.carry = Vec::new();
            return Err(TooLarge);
        }
        Ok(())
    }

    /// Hands out the blocks that are complete in `bytes`, of which the first `scanned` are known to
    /// hold no further line end, and gives how many bytes these blocks are.
    fn read(&mut self, bytes: &[u8], scanned: usize, each: &mut impl FnMut(Block<'_>)) -> usize {
        let mut start = 0;
        let mut line = self.line;
        let mut scan = scanned;
        if self.after_return && scan < bytes.len() {
            self.after_return = false;
            if bytes.get(scan) == Some(&b'\n') {
                scan += 1;
                line = scan;
                if scan == 1 {
                    let raw = bytes.get(..1).unwrap_or_default();
                    each(Block {
                        event: None,
                        raw,
                        position: self.position,
                        tail: true,
                    });
                    start = 1;
                }
            }
        }
        while let Some(end) = line_end(bytes, scan) {
            let mut next = end + 1;
            if bytes.get(end) == Some(&b'\r') {
                match bytes.get(next) {
                    Some(b'\n') => next += 1,
                    Some(_) => {}
                    None => self.after_return = true,
                }
            }
            let mut text = bytes.get(line..end).unwrap_or_default();
            if line == 0 && self.position == 0 {
                text = text.strip_prefix(MARK).unwrap_or(text);
            }
            let only = line == start;
            if text.is_empty() || (only && text.first() == Some(&b':')) {
                if end - start > self.limit as usize {
                    self.overflowed = true;
                    return start;
                }
                let raw = bytes.get(start..next).unwrap_or_default();
                let position = self.position + start as u64;
                if only {
                    each(Block {
                        event: None,
                        raw,
                        position,
                        tail: false,
                    });
                } else {
                    dispatch(raw, position, each);
                }
                start = next;
            }
            line = next;
            scan = next;
        }
        self.line = line - start;
        self.position += start as u64;
        start
    }
}

/// Reads the fields of a whole block and hands it out.
fn dispatch(raw: &[u8], position: u64, each: &mut impl FnMut(Block<'_>)) {
    let mut name: &[u8] = b"";
    let mut data: Option<(usize, &[u8])> = None;
    let mut joined: Option<Vec<u8>> = None;
    let mut at = if position == 0 && raw.starts_with(MARK) {
        MARK.len()
    } else {
        0
    };
    while let Some(end) = line_end(raw, at) {
        let line = raw.get(at..end).unwrap_or_default();
        if let Some(value) = field(line, b"data") {
            match (&mut joined, data) {
                (Some(joined), _) => {
                    joined.push(b'\n');
                    joined.extend_from_slice(value);
                }
                (None, Some((_, first))) => joined = Some([first, b"\n", value].concat()),
                (None, None) => data = Some((end - value.len(), value)),
            }
        } else if let Some(value) = field(line, b"event") {
            name = value;
        }
        let crlf = raw.get(end) == Some(&b'\r') && raw.get(end + 1) == Some(&b'\n');
        at = end + if crlf { 2 } else { 1 };
    }
    let event = match (&joined, data) {
        (Some(joined), _) => Some(Event {
            name,
            data: joined,
            data_at: None,
        }),
        (None, Some((at, data))) => Some(Event {
            name,
            data,
            data_at: Some(at),
        })
        .filter(|event| !event.data.is_empty()),
        (None, None) => None,
    };
    each(Block {
        event,
        raw,
        position,
        tail: false,
    });
}

/// Where the begin of an event ends.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum At {
    /// At the begin of a line.
    Line,
    /// In a line of data.
    Data,
    /// In another one.
    Other,
}

/// The data that the begin of an event holds, lines joined by LF, and where it ends.
pub(crate) fn begun(bytes: &[u8]) -> (Vec<u8>, At) {
    let bytes = bytes.strip_prefix(MARK).unwrap_or(bytes);
    let mut data: Option<Vec<u8>> = None;
    let mut add = |line: &[u8]| {
        let value = field(line, b"data");
        if let Some(value) = value {
            match &mut data {
                None => data = Some(value.to_vec()),
                // In place: an upstream may send a megabyte of lines.
                Some(before) => {
                    before.push(b'\n');
                    before.extend_from_slice(value);
                }
            }
        }
        value.is_some()
    };
    let mut at = 0;
    while let Some(end) = line_end(bytes, at) {
        add(bytes.get(at..end).unwrap_or_default());
        at = end + 1;
    }
    let line = bytes.get(at..).unwrap_or_default();
    let ends = match line {
        [] => At::Line,
        // Of which no colon has come yet.
        b"data" => At::Other,
        line if add(line) => At::Data,
        _ => At::Other,
    };
    (data.unwrap_or_default(), ends)
}

/// The value of a line if it is the field `name`: after the colon, and one space if there is one.
fn field<'a>(line: &'a [u8], name: &[u8]) -> Option<&'a [u8]> {
    match line.strip_prefix(name)? {
        [] => Some(b""),
        [b':', b' ', value @ ..] | [b':', value @ ..] => Some(value),
        _ => None,
    }
}

/// The first CR or LF at or after `from`, eight bytes at a time.
fn line_end(bytes: &[u8], from: usize) -> Option<usize> {
    const ONES: u64 = 0x0101_0101_0101_0101;
    const FEEDS: u64 = 0x0A0A_0A0A_0A0A_0A0A;
    const RETURNS: u64 = 0x0D0D_0D0D_0D0D_0D0D;
    const HIGHS: u64 = 0x8080_8080_8080_8080;
    // The high bit of the lowest byte that is zero is set, and none below it.
    const fn zeros(word: u64) -> u64 {
        word.wrapping_sub(ONES) & !word & HIGHS
    }
    let rest = bytes.get(from..)?;
    let (words, last) = rest.as_chunks::<8>();
    for (index, word) in words.iter().enumerate() {
        let word = u64::from_le_bytes(*word);
        let found = zeros(word ^ FEEDS) | zeros(word ^ RETURNS);
        if found != 0 {
            return Some(from + index * 8 + found.trailing_zeros() as usize / 8);
        }
    }
    let index = last.iter().position(|byte| matches!(byte, b'\n' | b'\r'))?;
    Some(from + words.len() * 8 + index)
}
