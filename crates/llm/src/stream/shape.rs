//! The usual chunk, without parsing it.
//!
//! The chunks of one answer are the same text but for a few strings: the piece of the answer, and
//! the padding that some providers add. A [`Shape`] keeps the last chunk that was parsed and where
//! these strings lie in it. An event that is that text, byte for byte, with other valid strings in
//! these places is a chunk of the same kind: nothing else needs to be looked at. This is exact, no
//! guess: whatever differs anywhere else is parsed.

use serde::{Deserialize, Serialize};

use crate::json::{self, Span};

/// The longest chunk that is kept, in bytes.
const LIMIT: usize = 1024;

/// A chunk that brings one piece of text and nothing else, as a pattern.
#[derive(Clone, Debug, Default, Serialize, Deserialize)]
pub(super) struct Shape {
    /// The chunk; empty: none yet.
    #[serde(with = "crate::json::bytes")]
    text: Vec<u8>,
    /// The inside of the string that is the piece of the answer.
    piece: Span,
    /// The inside of the string that is padding, if there is one.
    padding: Option<Span>,
}

impl Shape {
    /// Keeps `text`, a chunk whose strings `piece` and `padding` (quotes included) may differ.
    pub(super) fn keep(&mut self, text: &str, piece: Span, padding: Option<Span>) {
        self.text.clear();
        if text.len() <= LIMIT {
            self.text.extend_from_slice(text.as_bytes());
        }
        self.piece = inside(piece);
        self.padding = padding.map(inside);
    }

    /// The characters of the piece of the answer in `data`, if `data` is of this shape.
    pub(super) fn characters(&self, data: &[u8]) -> Option<u64> {
        if self.text.is_empty() {
            return None;
        }
        let Some(padding) = self.padding else {
            let (characters, rest) = self.string(data, 0, self.piece)?;
            return self.ends(rest, self.piece).then_some(characters);
        };
        if padding.start > self.piece.start {
            let (characters, rest) = self.string(data, 0, self.piece)?;
            let (_, rest) = self.string(rest, self.piece.end, padding)?;
            self.ends(rest, padding).then_some(characters)
        } else {
            let (_, rest) = self.string(data, 0, padding)?;
            let (characters, rest) = self.string(rest, padding.end, self.piece)?;
            self.ends(rest, self.piece).then_some(characters)
        }
    }

    /// Takes from `data` what the text has from `from` to the string `at`, and a string, and gives
    /// its characters and what follows.
    fn string<'a>(&self, data: &'a [u8], from: u32, at: Span) -> Option<(u64, &'a [u8])> {
        let before = self.text.get(from as usize..at.start as usize)?;
        let rest = data.strip_prefix(before)?;
        let (characters, length) = json::string(rest)?;
        Some((characters, rest.get(length..)?))
    }

    /// Whether `rest` is what the text has after the string `at`.
    fn ends(&self, rest: &[u8], at: Span) -> bool {
        self.text.get(at.end as usize..) == Some(rest)
    }
}

/// A string without its quotes.
const fn inside(span: Span) -> Span {
    Span {
        start: span.start.saturating_add(1),
        end: span.end.saturating_sub(1),
    }
}
