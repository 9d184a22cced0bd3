//! How messages cross between the shell and the core: little-endian numbers, and byte strings with
//! their length before them. Nothing is ever separated by a character, as claims, model names and
//! headers may hold any.

/// The length that stands for "there is none".
const NONE: u32 = u32::MAX;

/// Reads a message. A message that ends too early yields `None`, never a panic.
#[derive(Debug)]
pub struct Reader<'a> {
    rest: &'a [u8],
}

impl<'a> Reader<'a> {
    /// Begins to read.
    pub const fn new(message: &'a [u8]) -> Self {
        Self { rest: message }
    }

    fn take(&mut self, length: usize) -> Option<&'a [u8]> {
        let (taken, rest) = self.rest.split_at_checked(length)?;
        self.rest = rest;
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
        std::str::from_utf8(self.bytes()?).ok()
    }

    /// Text, or that there is none.
    pub fn optional_text(&mut self) -> Option<Option<&'a str>> {
        match self.optional()? {
            None => Some(None),
            Some(bytes) => std::str::from_utf8(bytes).ok().map(Some),
        }
    }
}

/// Writes a message into a buffer that is kept from call to call.
#[derive(Debug)]
pub struct Writer<'a> {
    out: &'a mut Vec<u8>,
}

impl<'a> Writer<'a> {
    /// Begins to write after the first `kept` bytes of the buffer; what lay behind them is gone.
    pub fn after(out: &'a mut Vec<u8>, kept: usize) -> Self {
        out.truncate(kept);
        Self { out }
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
        self.bytes(text.as_bytes());
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
        fill(self.out);
        let length = self.out.len().saturating_sub(place + 4);
        let length = u32::try_from(length).unwrap_or(NONE - 1).to_le_bytes();
        if let Some(slot) = self.out.get_mut(place..place + 4) {
            slot.copy_from_slice(&length);
        }
    }
}
