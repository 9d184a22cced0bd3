//! Scripted answers that look like a provider's.
//!
//! A script gives the same answer in one piece or streamed, with the same usage; ids come from a
//! seed, so that a run can be repeated. Failures are played as providers fail: with an error body,
//! or in the middle of an answer. Source of the shapes: `OpenAI` API reference, "The chat
//! completion object" and "The chat completion chunk object".

mod render;
mod text;

pub use render::render;
pub use text::count_tokens;

/// A scripted answer.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Script {
    /// The status; from 400 on an error is answered. 0 means 200.
    pub status: u16,
    /// `Retry-After` of a failure, in seconds.
    pub retry_after: Option<u32>,
    /// What the assistant (or the error) says; `{{last_user_message}}` and `{{model}}` are replaced.
    pub text: String,
    /// Tools it calls.
    pub tool_calls: Vec<ToolCall>,
    /// Input and output tokens that it reports; none: counted by [`count_tokens`].
    pub usage: Option<(u32, u32)>,
    /// Before the first piece, in milliseconds.
    pub first_delay: u64,
    /// Between two pieces of a stream, in milliseconds.
    pub delay: u64,
    /// How it ends.
    pub end: ScriptEnd,
}

/// A scripted call of a tool.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ToolCall {
    /// The tool's name.
    pub name: String,
    /// Its arguments, as JSON text.
    pub arguments: String,
}

/// How a scripted answer ends. Every end but the clean one comes before the terminator: there are
/// never more pieces than all but the last.
///
/// An answer in one piece counts as one, and breaks in its middle: after 0 pieces nothing of it
/// comes, after more its first half.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum ScriptEnd {
    /// As it should.
    #[default]
    Clean,
    /// The connection is lost after this many pieces.
    Cut(u32),
    /// Nothing more comes after this many pieces.
    Stall(u32),
    /// It ends after this many pieces as if whole.
    NoTerminator(u32),
}

/// The request that a script answers.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct MockRequest<'a> {
    /// The model, as the client named it.
    pub model: &'a str,
    /// The text of the last user message.
    pub user_text: &'a str,
    /// Whether the answer is to be streamed.
    pub stream: bool,
    /// Whether the stream is to end with usage.
    pub usage_wanted: bool,
    /// Where ids come from.
    pub seed: u64,
    /// The answer's date, in seconds since the Unix epoch.
    pub created: u64,
}

/// A scripted answer as it is to be sent.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct MockOutput {
    /// The status.
    pub status: u16,
    /// `Content-Type`.
    pub content_type: &'static str,
    /// `Retry-After`, in seconds.
    pub retry_after: Option<u32>,
    /// The body, in pieces, each after a delay in milliseconds. A piece can be empty, where the
    /// answer ends after its first delay.
    pub pieces: Vec<(u64, Vec<u8>)>,
    /// What comes after the pieces.
    pub end: OutputEnd,
}

/// What comes after the pieces of a body.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum OutputEnd {
    /// The body ends as it should on the wire.
    Close,
    /// The connection is lost.
    Abort,
    /// Nothing, without an end.
    Hang,
}
