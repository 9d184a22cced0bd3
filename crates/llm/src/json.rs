//! Small helpers around `serde_json`: where a value lies in its text, and what it is, without
//! decoding it.

use serde::{Deserialize, Serialize};
use serde_json::value::RawValue;

/// A range of bytes in a body, end excluded.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Span {
    /// The first byte.
    pub start: u32,
    /// The byte after the last one.
    pub end: u32,
}

/// Where `inner`, a part of `outer`, begins.
///
/// Saturates for texts of 4 GiB and more, which the callers refuse beforehand.
pub(crate) fn offset(outer: &str, inner: &str) -> u32 {
    let bytes = inner.as_ptr().addr().saturating_sub(outer.as_ptr().addr());
    u32::try_from(bytes).unwrap_or(u32::MAX)
}

/// Where `value` lies in `text`.
pub(crate) fn span(text: &str, value: &RawValue) -> Span {
    let start = offset(text, value.get());
    let length = u32::try_from(value.get().len()).unwrap_or(u32::MAX);
    Span {
        start,
        end: start.saturating_add(length),
    }
}

/// Whether `value` is an array or an object that holds something.
pub(crate) fn is_filled(value: &RawValue) -> bool {
    let mut bytes = value.get().bytes();
    let open = bytes.next();
    let next = bytes.find(|byte| !is_space(*byte));
    matches!((open, next), (Some(b'['), Some(next)) if next != b']')
        || matches!((open, next), (Some(b'{'), Some(next)) if next != b'}')
}

/// Whether `value` is the string `expected`, however it is escaped.
pub(crate) fn is_text(value: &RawValue, expected: &str) -> bool {
    let inner = value
        .get()
        .strip_prefix('"')
        .and_then(|rest| rest.strip_suffix('"'));
    match inner {
        Some(inner) if inner.contains('\\') => {
            serde_json::from_slice::<String>(value.get().as_bytes()).is_ok_and(|text| text == expected)
        }
        Some(inner) => inner == expected,
        None => false,
    }
}

/// How many characters a value says: those of a string, decoded; the bytes of anything else that is
/// not `null` or empty. An estimate, cheap and the same for the same text.
pub(crate) fn characters(value: &RawValue) -> u64 {
    let text = value.get();
    let Some(inner) = text.strip_prefix('"') else {
        return if is_filled(value) { text.len() as u64 } else { 0 };
    };
    let mut count = 0;
    let mut bytes = inner.bytes();
    while let Some(byte) = bytes.next() {
        match byte {
            b'\\' => {
                count += 1;
                if bytes.next() == Some(b'u') {
                    let _ = bytes.nth(3);
                }
            }
            // The closing quote, and all but the first byte of a character.
            b'"' | 0x80..=0xBF => {}
            _ => count += 1,
        }
    }
    count
}

/// The characters (as [`characters`] counts them) and the length in bytes of the inside of a string
/// that `bytes` begin with, up to its closing quote; none where it is not valid JSON.
pub(crate) fn string(bytes: &[u8]) -> Option<(u64, usize)> {
    let mut count = 0;
    let mut ascii = true;
    let mut rest = bytes.iter();
    loop {
        match *rest.next()? {
            b'"' => break,
            b'\\' => {
                count += 1;
                match *rest.next()? {
                    b'"' | b'\\' | b'/' | b'b' | b'f' | b'n' | b'r' | b't' => {}
                    b'u' => {
                        for _ in 0..4 {
                            if !rest.next()?.is_ascii_hexdigit() {
                                return None;
                            }
                        }
                    }
                    _ => return None,
                }
            }
            0..0x20 => return None,
            0x20..0x80 => count += 1,
            0x80..0xC0 => ascii = false,
            0xC0.. => {
                ascii = false;
                count += 1;
            }
        }
    }
    let length = bytes.len() - rest.len() - 1;
    if !ascii {
        str::from_utf8(bytes.get(..length)?).ok()?;
    }
    Some((count, length))
}

/// What JSON takes for white space.
pub(crate) const fn is_space(byte: u8) -> bool {
    matches!(byte, b' ' | b'\t' | b'\n' | b'\r')
}

/// Appends `text` as a JSON string.
pub(crate) fn push_string(out: &mut Vec<u8>, text: &str) {
    // Writing to memory cannot fail.
    let _ = serde_json::to_writer(out, text);
}

/// Appends `number` in digits.
pub(crate) fn push_number(out: &mut Vec<u8>, number: u64) {
    out.extend_from_slice(number.to_string().as_bytes());
}

/// The reason of a syntax error of `serde_json` without its place. Such reasons are fixed texts:
/// they never hold a part of the input.
pub(crate) fn reason(error: &serde_json::Error) -> String {
    let text = error.to_string();
    match text.rsplit_once(" at line ") {
        Some((reason, _)) => reason.to_owned(),
        None => text,
    }
}

/// The first bytes of `text` up to `limit`, cut between two characters.
pub(crate) fn bounded(text: &str, limit: usize) -> &str {
    text.get(..text.floor_char_boundary(limit)).unwrap_or(text)
}

/// Bytes as bytes, not as a list of numbers: for `#[serde(with)]`.
pub(crate) mod bytes {
    use std::fmt;

    use serde::de::{Deserializer, Error, SeqAccess, Visitor};
    use serde::ser::Serializer;

    #[expect(clippy::ptr_arg, reason = "the signature that serde calls")]
    pub(crate) fn serialize<S: Serializer>(bytes: &Vec<u8>, to: S) -> Result<S::Ok, S::Error> {
        to.serialize_bytes(bytes)
    }

    pub(crate) fn deserialize<'de, D: Deserializer<'de>>(from: D) -> Result<Vec<u8>, D::Error> {
        struct Bytes;
        impl<'de> Visitor<'de> for Bytes {
            type Value = Vec<u8>;
            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("bytes")
            }
            fn visit_bytes<E: Error>(self, bytes: &[u8]) -> Result<Vec<u8>, E> {
                Ok(bytes.to_vec())
            }
            fn visit_byte_buf<E: Error>(self, bytes: Vec<u8>) -> Result<Vec<u8>, E> {
                Ok(bytes)
            }
            // What formats that are text make of bytes.
            fn visit_seq<A: SeqAccess<'de>>(self, mut seq: A) -> Result<Vec<u8>, A::Error> {
                let mut bytes = Vec::new();
                while let Some(byte) = seq.next_element()? {
                    bytes.push(byte);
                }
                Ok(bytes)
            }
        }
        from.deserialize_bytes(Bytes)
    }
}
