//! The wire format of `OpenAI`'s chat completions, as it passes through a gateway.
//!
//! Everything here is pure, synchronous and bounded: bytes in, bytes or facts out. Nothing reads a
//! clock or draws a random number, and no input makes it panic. State that must live from one piece
//! of a stream to the next ([`stream::Watch`], [`stream::Filter`], [`sse::Decoder`]) can be
//! serialized, because it travels with its request.
//!
//! | module | idea |
//! |---|---|
//! | [`chat`] | what a request asks for, and the few bytes a gateway changes in it |
//! | [`sse`] | server-sent events, as in the HTML standard |
//! | [`stream`] | what a streamed answer tells, and passing it on unchanged |
//! | [`answer`] | what an answer in one piece tells |
//! | [`usage`] | tokens, as providers report them |
//! | [`half`] | the end of an event that was passed on by half |
//! | [`error`] | refusals and failures in the shape that the SDKs read |
//! | [`mock`] | scripted answers that look like a provider's |
//! | [`models`] | the list of models |

pub mod answer;
pub mod chat;
pub mod error;
pub mod half;
mod json;
pub mod mock;
pub mod models;
pub mod sse;
pub mod stream;
pub mod usage;
