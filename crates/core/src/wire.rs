//! How messages cross between the shell and the core.
//!
//! A message has two parts: the first holds little-endian numbers and byte strings with their length
//! before them, the second all texts one after another. A text stands in the first part as its
//! length in UTF-16 units, which is how JavaScript counts: so the shell crosses all texts of a message
//! at once and takes them apart by slicing. Nothing is ever separated by a character, as claims, model
//! names and headers may hold any. Before them stand the lengths of both parts in bytes.

/// The length that stands for "there is none".
const NONE: u32 = u32::MAX;

/// How much of a buffer is kept from message to message, in bytes.
pub(crate) const KEPT: usize = 64 * 1024;
/// The bytes before a message: the lengths of its two parts.
const HEADER: usize = 8;

/// Reads a message. A message that ends too early yields `None`, never a panic.
#[derive(Debug)]
pub struct Reader<'a> {
    rest: &'a [u8],
    texts: &'a str,
    /// Whether bytes, characters and UTF-16 units of the texts are the same.
    ascii: bool,
}

impl<'a> Reader<'a> {
    /// Begins to read. What is no message reads as an empty one.
    pub fn new(message: &'a [u8]) -> Self {
        let (rest, texts) = parts(message).unwrap_or_default();
        Self {
            rest,
            texts,
            ascii: texts.is_ascii(),
        }
    }

    fn take(&mut self, length: usize) -> Option<&'a [u8]> {
        let (taken, rest) = self.rest.split_at_checked(length)?;
        self.rest = rest;
        Some(taken)
    }

    /// The next text, of so many UTF-16 units.
    fn take_text(&mut self, units: usize) -> Option<&'a str> {
        let length = if self.ascii {
            units
        } else {
            bytes_of(self.texts, units)?
        };
        let (taken, rest) = self.texts.split_at_checked(length)?;
        self.texts = rest;
        Some(taken)
    }

    /// So many bytes.
    pub fn array<const N: usize>(&mut self) -> Option<[u8; N]> {
        self.take(N)?.try_into().ok()
    }

    /// One byte.
    pub fn u8(&mut self) -> Option<u8> {
        self.take(1)?.first().copied()
    }

    /// One byte that is 0 or 1.
    pub fn flag(&mut self) -> Option<bool> {
        self.u8().map(|byte| byte != 0)
    }

    /// A number of 16 bits.
    pub fn u16(&mut self) -> Option<u16> {
        Some(u16::from_le_bytes(self.array()?))
    }

    /// A number of 32 bits.
    pub fn u32(&mut self) -> Option<u32> {
        Some(u32::from_le_bytes(self.array()?))
    }

    /// A number of 64 bits.
    pub fn u64(&mut self) -> Option<u64> {
        Some(u64::from_le_bytes(self.array()?))
    }

    /// A time or a duration in milliseconds, which JavaScript writes as a 64-bit float. What is
    /// negative or not finite is 0.
    pub fn ms(&mut self) -> Option<u64> {
        let value = f64::from_le_bytes(self.array()?);
        #[expect(
            clippy::cast_possible_truncation,
            clippy::cast_sign_loss,
            reason = "a float saturates when it becomes an integer, and what is no number is 0"
        )]
        let value = value as u64;
        Some(value)
    }

    /// Bytes, or that there are none.
    pub fn optional(&mut self) -> Option<Option<&'a [u8]>> {
        match self.u32()? {
            NONE => Some(None),
            length => self.take(usize::try_from(length).ok()?).map(Some),
        }
    }

    /// Bytes.
    pub fn bytes(&mut self) -> Option<&'a [u8]> {
        self.optional()?
    }

    /// Text.
    pub fn text(&mut self) -> Option<&'a str> {
        self.optional_text()?
    }

    /// Text, or that there is none.
    pub fn optional_text(&mut self) -> Option<Option<&'a str>> {
        match self.u32()? {
            NONE => Some(None),
            units => self.take_text(usize::try_from(units).ok()?).map(Some),
        }
    }
}

/// A length, and what stands behind it.
fn length(bytes: &[u8]) -> Option<(usize, &[u8])> {
    let (length, rest) = bytes.split_first_chunk()?;
    Some((usize::try_from(u32::from_le_bytes(*length)).ok()?, rest))
}

/// Both parts of a message; `None`: it is shorter than it says, or its texts are no texts.
fn parts(message: &[u8]) -> Option<(&[u8], &str)> {
    let (first_length, rest) = length(message)?;
    let (texts_length, rest) = length(rest)?;
    let (first, rest) = rest.split_at_checked(first_length)?;
    let texts = rest.get(..texts_length)?;
    Some((first, std::str::from_utf8(texts).ok()?))
}

/// How many bytes so many UTF-16 units of a text are.
fn bytes_of(text: &str, units: usize) -> Option<usize> {
    let mut left = units;
    for (place, character) in text.char_indices() {
        if left == 0 {
            return Some(place);
        }
        left = left.checked_sub(character.len_utf16())?;
    }
    (left == 0).then_some(text.len())
}

/// How many UTF-16 units a text is.
fn units_of(text: &str) -> usize {
    if text.is_ascii() {
        text.len()
    } else {
        text.encode_utf16().count()
    }
}

/// Writes messages, one after another, into buffers that are kept.
#[derive(Debug)]
pub struct Writer {
    out: Vec<u8>,
    texts: String,
}

impl Default for Writer {
    fn default() -> Self {
        Self::new()
    }
}

impl Writer {
    /// An empty message.
    pub const fn new() -> Self {
        Self {
            out: Vec::new(),
            texts: String::new(),
        }
    }

    /// Begins another message; the buffers of an unusually long one are given back.
    pub fn clear(&mut self) {
        self.out.clear();
        self.out.shrink_to(KEPT);
        self.out.extend_from_slice(&[0; HEADER]);
        self.texts.clear();
        self.texts.shrink_to(KEPT);
    }

    /// Puts both parts together. Afterwards only [`Self::clear`] may follow.
    pub fn seal(&mut self) -> &[u8] {
        let first = self.out.len().saturating_sub(HEADER);
        self.out.extend_from_slice(self.texts.as_bytes());
        let lengths =
            [first, self.texts.len()].map(|length| u32::try_from(length).unwrap_or(0).to_le_bytes());
        if let Some(header) = self.out.first_chunk_mut::<HEADER>() {
            header.copy_from_slice(lengths.as_flattened());
        }
        &self.out
    }

    /// One byte.
    pub fn u8(&mut self, value: u8) {
        self.out.push(value);
    }

    /// One byte that is 0 or 1.
    pub fn flag(&mut self, value: bool) {
        self.u8(u8::from(value));
    }

    /// A number of 16 bits.
    pub fn u16(&mut self, value: u16) {
        self.out.extend_from_slice(&value.to_le_bytes());
    }

    /// A number of 32 bits.
    pub fn u32(&mut self, value: u32) {
        self.out.extend_from_slice(&value.to_le_bytes());
    }

    /// A number of milliseconds, as a 64-bit float: what JavaScript reads exactly up to 2^53.
    pub fn ms(&mut self, value: u64) {
        let bounded = value.min((1 << 53) - 1);
        #[expect(clippy::cast_precision_loss, reason = "bounded to what a float holds exactly")]
        let value = bounded as f64;
        self.out.extend_from_slice(&value.to_le_bytes());
    }

    /// A list's length.
    pub fn count(&mut self, length: usize) {
        self.u32(u32::try_from(length).unwrap_or(NONE - 1));
    }

    /// Bytes.
    pub fn bytes(&mut self, bytes: &[u8]) {
        self.count(bytes.len());
        self.out.extend_from_slice(bytes);
    }

    /// Text.
    pub fn text(&mut self, text: &str) {
        self.count(units_of(text));
        self.texts.push_str(text);
    }

    /// Text, or that there is none.
    pub fn optional_text(&mut self, text: Option<&str>) {
        match text {
            Some(text) => self.text(text),
            None => self.u32(NONE),
        }
    }

    /// Bytes, or that there are none.
    pub fn optional(&mut self, bytes: Option<&[u8]>) {
        match bytes {
            Some(bytes) => self.bytes(bytes),
            None => self.u32(NONE),
        }
    }

    /// Texts: how many, then each.
    pub fn texts<T: AsRef<str>>(&mut self, texts: impl ExactSizeIterator<Item = T>) {
        self.count(texts.len());
        for text in texts {
            self.text(text.as_ref());
        }
    }

    /// Headers: how many, then name and value of each.
    pub fn headers<N: AsRef<str>>(&mut self, headers: &[(N, String)]) {
        self.count(headers.len());
        for (name, value) in headers {
            self.text(name.as_ref());
            self.text(value);
        }
    }

    /// Bytes that `fill` appends, with their length before them.
    pub fn filled(&mut self, fill: impl FnOnce(&mut Vec<u8>)) {
        let place = self.out.len();
        self.u32(0);
        fill(&mut self.out);
        let length = self.out.len().saturating_sub(place + 4);
        let length = u32::try_from(length).unwrap_or(NONE - 1).to_le_bytes();
        if let Some(slot) = self.out.get_mut(place..place + 4) {
            slot.copy_from_slice(&length);
        }
    }
}
