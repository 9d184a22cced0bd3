//! What is known of a stream.

use std::ops::Range;

use serde::{Deserialize, Serialize};
use serde_json::value::RawValue;

use super::chunk::Chunk;
use super::shape::Shape;
use crate::json;
use crate::usage::Usage;

/// What is known of a stream so far; each field as the method of [`super::Watch`] says.
#[derive(Clone, Debug, Default, Serialize, Deserialize)]
pub(super) struct Progress {
    pub(super) started: bool,
    pub(super) usage: Option<Usage>,
    pub(super) finished: bool,
    pub(super) done: bool,
    pub(super) failure: Option<Failure>,
    pub(super) events: u64,
    pub(super) characters: u64,
    shape: Shape,
}

/// What went wrong in a stream.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum Failure {
    /// The upstream reported an error.
    Reported {
        /// Its `code`, or else its `type`, as text, at most 64 bytes; empty: none.
        code: String,
    },
    /// An event did not hold a chunk.
    Malformed,
    /// An event was larger than [`crate::sse::EVENT_LIMIT`].
    EventTooLarge,
}

/// How a stream ended.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum End {
    /// With its terminator.
    Whole,
    /// Without it: cut, or never finished.
    NoTerminator,
    /// With a failure.
    Failed(Failure),
}

/// What becomes of an event on its way to a client that did not ask for usage.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Verdict {
    /// It is passed on.
    Keep,
    /// It holds nothing but usage.
    UsageOnly,
    /// It holds usage beside choices: the member lies at these bytes of its data, comma included.
    UsageMember(Range<usize>),
    /// It is not a chunk.
    Malformed,
}

impl Progress {
    /// Takes note of an event.
    pub(super) fn event(&mut self, name: &[u8], data: &[u8]) -> Verdict {
        self.events = self.events.saturating_add(1);
        if data.starts_with(b"[DONE]") {
            self.done = true;
            return Verdict::Keep;
        }
        if let (b"", Some(characters)) = (name, self.shape.characters(data)) {
            self.started |= characters > 0;
            self.characters = self.characters.saturating_add(characters);
            return Verdict::Keep;
        }
        // An array would do for a struct of serde's.
        let text = str::from_utf8(data)
            .ok()
            .filter(|text| text.trim_start().starts_with('{'));
        let chunk =
            text.and_then(|text| Some((text, serde_json::from_slice::<Chunk<'_>>(text.as_bytes()).ok()?)));
        let Some((text, chunk)) = chunk else {
            self.fail(Failure::Malformed);
            // What comes after the terminator is nobody's concern.
            return if self.done {
                Verdict::Keep
            } else {
                Verdict::Malformed
            };
        };
        if let Some(piece) = chunk.piece() {
            let padding = chunk.padding().map(|padding| json::span(text, padding));
            self.shape.keep(text, json::span(text, piece), padding);
        }
        let failed = self.chunk(name, &chunk);
        match chunk.usage {
            None => Verdict::Keep,
            // An error that comes with usage is the client's all the same.
            Some(_) if !failed && !chunk.choices.is_some_and(|choices| choices.any) => Verdict::UsageOnly,
            Some(usage) => Verdict::UsageMember(member(text, usage)),
        }
    }

    /// Takes note of a chunk, and says whether it reports a failure.
    fn chunk(&mut self, name: &[u8], chunk: &Chunk<'_>) -> bool {
        if let Some(choices) = &chunk.choices {
            self.started |= choices.token || choices.finished;
            self.finished |= choices.finished;
            self.characters = self.characters.saturating_add(choices.characters);
        }
        if let Some(usage) = chunk.usage().and_then(Usage::read) {
            // Some count as they go; what was counted once is not taken back.
            self.usage = Some(self.usage.map_or(usage, |before| before.most(usage)));
        }
        if let Some(error) = chunk.error() {
            self.fail(Failure::Reported { code: code(error) });
            return true;
        }
        let failed = name == b"error" || chunk.choices.as_ref().is_some_and(|choices| choices.failed);
        if failed {
            self.fail(Failure::Reported { code: String::new() });
        }
        failed
    }

    /// Notes a failure: the first one counts, and none after the terminator.
    pub(super) fn fail(&mut self, failure: Failure) {
        if self.failure.is_none() && !self.done {
            self.failure = Some(failure);
        }
    }

    /// How the stream ended, if nothing comes after `pending`, the begin of an event. A terminator
    /// counts even where the line ends behind it are missing.
    pub(super) fn end(&self, pending: &[u8]) -> End {
        match &self.failure {
            Some(failure) => End::Failed(failure.clone()),
            None if self.done || is_terminator(pending) => End::Whole,
            None => End::NoTerminator,
        }
    }
}

/// Whether an event that was not completed is the terminator.
pub(super) fn is_terminator(pending: &[u8]) -> bool {
    matches!(pending.trim_ascii_end(), b"data: [DONE]" | b"data:[DONE]")
}

/// The code of an error object: its `code`, or else its `type`.
pub(crate) fn code(error: &RawValue) -> String {
    #[derive(Deserialize)]
    struct Error<'a> {
        #[serde(borrow)]
        code: Option<&'a RawValue>,
        #[serde(borrow, rename = "type")]
        kind: Option<&'a RawValue>,
    }
    let Ok(error) = serde_json::from_slice::<Error<'_>>(error.get().as_bytes()) else {
        return String::new();
    };
    let Some(value) = error.code.or(error.kind) else {
        return String::new();
    };
    let text = serde_json::from_slice::<String>(value.get().as_bytes());
    let text = text.unwrap_or_else(|_| value.get().to_owned());
    json::bounded(&text, 64).to_owned()
}

/// Where the member of an object lies whose value is `value`, a part of `text`, with one comma.
fn member(text: &str, value: &RawValue) -> Range<usize> {
    let bytes = text.as_bytes();
    let value = json::span(text, value);
    let before = |end: usize| bytes.get(..end).unwrap_or_default();
    // Backwards: the colon, then the key. A key that means `usage` holds no quote, escaped or not.
    let colon = before(value.start as usize)
        .iter()
        .rposition(|byte| *byte == b':')
        .unwrap_or(0);
    let close = before(colon).iter().rposition(|byte| *byte == b'"').unwrap_or(0);
    let open = before(close).iter().rposition(|byte| *byte == b'"').unwrap_or(0);
    let end = value.end as usize;
    let after = bytes.get(end..).unwrap_or_default();
    let next = after.iter().position(|byte| !json::is_space(*byte)).unwrap_or(0);
    if after.get(next) == Some(&b',') {
        return open..end + next + 1;
    }
    let last = before(open)
        .iter()
        .rposition(|byte| !json::is_space(*byte))
        .unwrap_or(0);
    if bytes.get(last) == Some(&b',') {
        last..end
    } else {
        open..end
    }
}
