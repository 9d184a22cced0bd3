//! What a streamed answer tells, and passing it on.
//!
//! A stream is a sequence of chunks, each a JSON object in one server-sent event, and ends with the
//! event `[DONE]`. [`Watch`] follows one beside its way to the client and changes nothing;
//! [`Filter`] is on the way and takes out what the client did not ask for. Both know the same about
//! it. Source: `OpenAI` API reference, "The chat completion chunk object".

mod chunk;
mod filter;
mod progress;
mod shape;

use serde::{Deserialize, Serialize};

use crate::half;
use crate::sse::{Block, Decoder};
use progress::{Progress, Verdict};

pub(crate) use chunk::call_characters;
pub(crate) use progress::code as error_code;

pub use crate::usage::Usage;
pub use filter::Filter;
pub use progress::{End, Failure};

/// Follows a stream without changing it.
#[derive(Clone, Debug, Default, Serialize, Deserialize)]
pub struct Watch {
    decoder: Decoder,
    progress: Progress,
}

impl Watch {
    /// A watch at the begin of a stream.
    pub fn new() -> Self {
        Self::default()
    }

    /// Reads the next piece of the stream, however it was cut.
    pub fn feed(&mut self, piece: &[u8]) {
        self.follow(piece, |_, _, _| {});
    }

    /// Reads the next piece and hands out each block with what becomes of it, and whether the
    /// stream had failed before it.
    fn follow(&mut self, piece: &[u8], mut each: impl FnMut(&Block<'_>, &Verdict, bool)) {
        let Self { decoder, progress } = self;
        let fed = decoder.feed(piece, |block| {
            let failed = progress.failure.is_some();
            let verdict = match &block.event {
                Some(event) => progress.event(event.name, event.data),
                None => Verdict::Keep,
            };
            each(&block, &verdict, failed);
        });
        if fed.is_err() {
            progress.fail(Failure::EventTooLarge);
        }
    }

    /// Whether the model has produced something: text, reasoning, a refusal, a tool call, or a
    /// reason to finish. A role alone, comments and chunks without choices do not count.
    pub const fn started(&self) -> bool {
        self.progress.started
    }

    /// The usage reported last.
    pub const fn usage(&self) -> Option<Usage> {
        self.progress.usage
    }

    /// Whether a `finish_reason` was seen.
    pub const fn finished(&self) -> bool {
        self.progress.finished
    }

    /// Whether the terminator `[DONE]` was seen.
    pub const fn done(&self) -> bool {
        self.progress.done
    }

    /// What went wrong first, before the terminator.
    pub const fn failure(&self) -> Option<&Failure> {
        self.progress.failure.as_ref()
    }

    /// Events with data so far, the terminator included.
    pub const fn events(&self) -> u64 {
        self.progress.events
    }

    /// Characters that the model produced so far, about: for a settlement where usage is absent.
    pub const fn characters(&self) -> u64 {
        self.progress.characters
    }

    /// What tells a client of an error that has all of the stream as it came; `body` as [`crate::half::told`] takes it.
    pub fn told(&self, body: &[u8]) -> Vec<u8> {
        half::told(self.decoder.pending(), body)
    }

    /// How the stream ended, if nothing more comes.
    pub fn end(&self) -> End {
        self.progress.end(self.decoder.pending())
    }
}
