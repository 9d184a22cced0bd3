//! Phase 9, relay: what is learnt of a stream while it passes.
//!
//! [`Tracking`] follows one stream. It travels as bytes between the calls, apart from the rest of
//! the request, so that a chunk costs no more than it must. It knows when the answer has really
//! begun (its first token), when it must end, and what to say when it ends otherwise.

use serde::{Deserialize, Serialize};
use turnpike_llm::error::event_of;
use turnpike_llm::stream::{End, Filter, Watch};
use turnpike_llm::usage::Usage;
use turnpike_policy::Timeouts;

use crate::error::Code;
use crate::step::StreamEnd;

/// What is known of a stream so far.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct Tracking {
    follower: Follower,
    /// By when its first token must be there (Unix milliseconds).
    first_by: u64,
    /// How long it may be silent, in milliseconds.
    idle: u64,
    /// By when it must be whole (Unix milliseconds).
    total_by: u64,
}

#[derive(Clone, Debug, Serialize, Deserialize)]
enum Follower {
    Watch(Watch),
    Filter(Filter),
}

/// What one more chunk meant.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Progress {
    /// The first token has come.
    pub started: bool,
    /// Nothing more that counts can come: the terminator was seen, or a failure.
    pub over: bool,
    /// The stream is not what its format says, or says that it failed.
    pub failed: bool,
    /// By when the next progress must be there, in milliseconds from now.
    pub within: u64,
}

/// How long the end of a stream is waited for when all of it has come, in milliseconds.
const LAST: u64 = 1_000;

impl Tracking {
    /// Begins to follow a stream. `asked` is when its upstream was asked, `total_by` when the whole
    /// answer must be there (both Unix milliseconds).
    pub fn new(filter: bool, timeouts: &Timeouts, asked: u64, total_by: u64) -> Self {
        Self {
            follower: if filter {
                Follower::Filter(Filter::new())
            } else {
                Follower::Watch(Watch::new())
            },
            first_by: asked.saturating_add(timeouts.first),
            idle: timeouts.idle,
            total_by,
        }
    }

    /// Takes one more chunk. Of a filtered stream, what the client gets of it is added to `out`.
    pub fn feed(&mut self, chunk: &[u8], now: u64, out: &mut Vec<u8>) -> Progress {
        match &mut self.follower {
            Follower::Watch(watch) => watch.feed(chunk),
            Follower::Filter(filter) => filter.feed(chunk, out),
        }
        let watch = self.watch();
        let (started, failed) = (watch.started(), watch.failure().is_some());
        Progress {
            started,
            over: failed || watch.done(),
            failed,
            within: self.within(now),
        }
    }

    /// How long the next progress may take from `now` on, in milliseconds.
    pub fn within(&self, now: u64) -> u64 {
        let watch = self.watch();
        let next = if watch.done() || watch.failure().is_some() {
            // Nothing that counts can come: only its end is waited for, and that not for long.
            now.saturating_add(self.idle.min(LAST))
        } else if watch.started() {
            now.saturating_add(self.idle)
        } else {
            self.first_by
        };
        next.min(self.total_by).saturating_sub(now)
    }

    /// Whether the first token has come.
    pub fn started(&self) -> bool {
        self.watch().started()
    }

    /// What the upstream said that it used, once it has said its last: some count as they go, and what is cut then is
    /// not counted.
    pub fn usage(&self) -> Option<Usage> {
        let watch = self.watch();
        watch
            .usage()
            .filter(|_| watch.finished() || watch.done() || watch.failure().is_some())
    }

    /// What is wrong with a stream that ended so; nothing, if it is whole.
    pub fn fault(&self, end: StreamEnd, now: u64) -> Option<(Code, &'static str)> {
        let watch = self.watch();
        if watch.failure().is_some() {
            return Some((Code::StreamFailed, "The upstream failed inside its stream."));
        }
        if watch.done() {
            // What comes after the terminator, or how the connection ends, no longer matters.
            return None;
        }
        match (end, watch.end()) {
            // What was heard out for a client that had left, as long as may be, is nobody's fault.
            (StreamEnd::Closed, End::Whole) | (StreamEnd::Abandoned, _) => None,
            (StreamEnd::Late, _) if now >= self.total_by => {
                Some((Code::StreamStalled, "The answer took longer than it may."))
            }
            (StreamEnd::Late, _) => Some((Code::StreamStalled, "The upstream fell silent.")),
            (StreamEnd::TooLarge, _) => Some((
                Code::StreamFailed,
                "The upstream's answer is too large to be held.",
            )),
            _ => Some((Code::StreamCut, "The upstream's stream was cut before its end.")),
        }
    }

    /// Of a stream that is over: adds to `out` what was held back and still counts, then the error with this body, if
    /// there is one. An event of which the client has a half becomes a part of that.
    pub fn finish(&mut self, error: Option<&[u8]>, out: &mut Vec<u8>) {
        match &mut self.follower {
            Follower::Filter(filter) => {
                filter.finish(out);
                if let Some(body) = error {
                    out.extend(event_of(body));
                }
            }
            Follower::Watch(watch) => {
                if let Some(body) = error {
                    out.extend(watch.told(body));
                }
            }
        }
    }

    fn watch(&self) -> &Watch {
        match &self.follower {
            Follower::Watch(watch) => watch,
            Follower::Filter(filter) => filter.watch(),
        }
    }
}
