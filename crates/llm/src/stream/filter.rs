//! A stream on its way to a client that did not ask for usage.

use serde::{Deserialize, Serialize};

use super::progress::{self, Verdict};
use super::{End, Watch};
use crate::sse::{Block, Event};

/// Follows a stream and passes it on without usage.
///
/// The gateway asks every upstream for usage. A client that did not must not see it: a chunk that
/// holds only usage is left out, and of a chunk that holds choices too, the member. Everything else
/// is passed on byte for byte, as soon as its event is complete. (A client that did ask needs no
/// filter: [`Watch`].)
///
/// With a failure the passing on ends: an error that the upstream reports is the last event that
/// passes; a malformed event does not pass. What follows would look like a clean end. The gateway
/// then adds an event of its own ([`crate::error::event`]) where none was passed.
#[derive(Clone, Debug, Default, Serialize, Deserialize)]
pub struct Filter {
    watch: Watch,
    /// Whether the line end of the last block was not passed on.
    dropped: bool,
}

impl Filter {
    /// A filter at the begin of a stream.
    pub fn new() -> Self {
        Self::default()
    }

    /// Reads the next piece of the stream, however it was cut, and appends to `out` what can be
    /// passed on.
    pub fn feed(&mut self, piece: &[u8], out: &mut Vec<u8>) {
        let Self { watch, dropped } = self;
        out.reserve(piece.len() + watch.decoder.pending().len());
        watch.follow(piece, |block, verdict, failed| {
            let keep = if block.tail { !*dropped } else { !failed };
            *dropped = !(keep && pass(block, verdict, out));
        });
    }

    /// What is known of the stream.
    pub const fn watch(&self) -> &Watch {
        &self.watch
    }

    /// How the stream ended, if nothing more comes.
    pub fn end(&self) -> End {
        self.watch.end()
    }

    /// Ends the stream: appends to `out` what was held back and counts, and says how it ended.
    ///
    /// Only a terminator without its line ends counts, and gets them. Half an event is left out:
    /// no reader would be told of it, and it would spoil an event that comes after it.
    pub fn finish(&mut self, out: &mut Vec<u8>) -> End {
        let pending = self.watch.decoder.pending();
        if self.watch.failure().is_none() && progress::is_terminator(pending) {
            out.extend_from_slice(pending.trim_ascii_end());
            out.extend_from_slice(b"\n\n");
        }
        self.watch.end()
    }
}

/// Passes one block on, and says whether its line end was.
fn pass(block: &Block<'_>, verdict: &Verdict, out: &mut Vec<u8>) -> bool {
    let keep = match (verdict, &block.event) {
        (Verdict::Malformed | Verdict::UsageOnly, _) => false,
        (Verdict::UsageMember(member), Some(event)) => {
            let (head, rest) = event.data.split_at(member.start.min(event.data.len()));
            let tail = rest.get(member.len()..).unwrap_or_default();
            return write_without(block.raw, event, head, tail, out);
        }
        _ => true,
    };
    if keep {
        out.extend_from_slice(block.raw);
    }
    keep
}

/// Writes an event whose data is `head` and `tail`, and says whether its own line end was kept.
fn write_without(raw: &[u8], event: &Event<'_>, head: &[u8], tail: &[u8], out: &mut Vec<u8>) -> bool {
    if let Some(at) = event.data_at {
        out.extend_from_slice(raw.get(..at).unwrap_or_default());
        out.extend_from_slice(head);
        out.extend_from_slice(tail);
        out.extend_from_slice(raw.get(at + event.data.len()..).unwrap_or_default());
        return true;
    }
    if !event.name.is_empty() {
        out.extend_from_slice(b"event: ");
        out.extend_from_slice(event.name);
        out.push(b'\n');
    }
    for line in [head, tail].concat().split(|byte| *byte == b'\n') {
        out.extend_from_slice(b"data: ");
        out.extend_from_slice(line);
        out.push(b'\n');
    }
    out.push(b'\n');
    false
}
