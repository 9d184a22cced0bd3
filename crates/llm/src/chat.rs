//! What a chat completion request asks for, and the few bytes that a gateway changes in it.
//!
//! A request is never decoded and written anew: [`peek`] notes what decides its way and where that
//! stands, [`edits`] says which bytes differ for the upstream, and everything else is forwarded as
//! the client wrote it. Source: `OpenAI` API reference, "Create chat completion".

mod edit;
mod fault;
mod message;
mod peek;

pub use crate::json::Span;
pub use edit::{CapMember, Edit, OutputCap, apply, edits, edits_capped};
pub use fault::{PeekError, PeekErrorKind};
pub use message::{LAST_MESSAGE_LIMIT, LastMessage, Unseen, last_message, unseen};
pub use peek::{MODEL_LIMIT, Peek, StreamOptions, peek};
