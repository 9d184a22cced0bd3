//! Phase 5, inspect: what may be learnt of a body without, and with, reading it.
//!
//! The announced length and media type are checked before a byte is read. A body that no rule looks
//! at is never read: it streams from the client to the upstream. One whose length was not announced
//! is read under its cap, because nothing else would bound it.

use turnpike_llm::chat::{Peek, PeekErrorKind, peek};
use turnpike_policy::{Model, Operation};

use serde::{Deserialize, Serialize};

use crate::error::{Code, Refusal};
use crate::step::BodyFailure;

/// What the head of a request says of its body.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Announced {
    /// Whether there is one.
    pub present: bool,
    /// Its length in bytes, if that was said.
    pub length: Option<u64>,
    /// Its media type, without parameters, lower case; empty: not said.
    pub media_type: String,
    /// Whether it is compressed, or encoded otherwise.
    pub encoded: bool,
}

/// An operation's body, or that there is none, may go on. Only this module makes it.
#[derive(Debug)]
pub(crate) struct Inspected(());

/// A chat request that was read. Only [`chat`] makes it.
#[derive(Debug)]
pub(crate) struct Chat(Peek);

impl Chat {
    /// What it says.
    pub(crate) fn said(self) -> Peek {
        self.0
    }

    /// The model that it names.
    pub(crate) fn model(&self) -> &str {
        &self.0.model
    }
}

/// How a request's body reaches its upstream.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) enum Body {
    /// There is none.
    None,
    /// As it comes: its length is announced and within bounds.
    Stream,
    /// It must be read, up to so many bytes, to know its length.
    Measure(u64),
}

/// Checks the announced body of a call of an operation. `forwards` says whether a header of the
/// client's reaches the upstream. One that must be read is inspected when it is ([`measured`]).
pub(crate) fn operation_body(
    operation: &Operation,
    announced: &Announced,
    forwards: impl Fn(&str) -> bool,
) -> Result<(Body, Option<Inspected>), Refusal> {
    if !announced.present || announced.length == Some(0) {
        return Ok((Body::None, Some(Inspected(()))));
    }
    if !operation.accepts_body {
        let detail = format!("`{}` takes no body.", operation.id);
        return Err(Refusal::new(Code::BodyUnexpected, detail).by(&operation.origin));
    }
    if !operation.content_types.is_empty() {
        let kind = &announced.media_type;
        if !operation.content_types.iter().any(|wanted| accepts(wanted, kind)) {
            let detail = format!("Send one of: {}.", operation.content_types.join(", "));
            return Err(Refusal::new(Code::UnsupportedMediaType, detail).by(&operation.origin));
        }
    }
    // The upstream would not know how to read it.
    if announced.encoded && !forwards("content-encoding") {
        return Err(encoded().by(&operation.origin));
    }
    match announced.length {
        Some(length) if length > operation.max_body => Err(too_large(operation.max_body)),
        Some(_) => Ok((Body::Stream, Some(Inspected(())))),
        None => Ok((Body::Measure(operation.max_body), None)),
    }
}

/// Checks a body of an operation's call that was read, up to `max` bytes, to know its length.
pub(crate) fn measured(body: Result<&[u8], BodyFailure>, max: u64) -> Result<Inspected, Refusal> {
    match body {
        Ok(_) => Ok(Inspected(())),
        Err(failure) => Err(unreadable(failure, max)),
    }
}

/// Checks the announced body of a call of a model, of which up to `max` bytes may be read; returns
/// that bound.
pub(crate) fn model_body(max: u64, announced: &Announced) -> Result<u64, Refusal> {
    if announced.media_type != "application/json" {
        let detail = "Send the request as `content-type: application/json`.";
        return Err(Refusal::new(Code::UnsupportedMediaType, detail));
    }
    if announced.encoded {
        return Err(encoded());
    }
    if announced.length.is_some_and(|length| length > max) {
        return Err(too_large(max));
    }
    Ok(max)
}

/// Reads of a chat request what routing needs.
pub(crate) fn chat(body: &[u8]) -> Result<Chat, Refusal> {
    let read = peek(body).map_err(|error| {
        let code = match &error.kind {
            PeekErrorKind::Empty
            | PeekErrorKind::NotUtf8
            | PeekErrorKind::ByteOrderMark
            | PeekErrorKind::Syntax(_) => Code::InvalidJson,
            PeekErrorKind::TooLarge => Code::BodyTooLarge,
            _ => Code::InvalidRequest,
        };
        let refusal = Refusal::new(code, error.to_string());
        match error.kind.param() {
            Some(param) => refusal.about(param),
            None => refusal,
        }
    })?;
    if !read.has_messages {
        let detail = "`messages` is missing: add it";
        return Err(Refusal::new(Code::InvalidRequest, detail).about("messages"));
    }
    Ok(Chat(read))
}

/// Checks a read body against the model that it names: that one may allow less than the most.
pub(crate) fn model_fits(model: &Model, peek: &Peek) -> Result<(), Refusal> {
    if u64::from(peek.body_len) > model.max_body {
        return Err(too_large(model.max_body).by(&model.origin));
    }
    Ok(())
}

/// The refusal for a body that could not be read.
pub(crate) fn unreadable(failure: BodyFailure, max: u64) -> Refusal {
    match failure {
        BodyFailure::TooLarge => too_large(max),
        BodyFailure::Incomplete => Refusal::new(
            Code::BodyIncomplete,
            "The body did not arrive in time, or not whole.",
        ),
        BodyFailure::Busy => Refusal::new(Code::Overloaded, "Try again in a moment.")
            .header("retry-after", "1")
            .because("the bytes buffered by this isolate are at their bound"),
        BodyFailure::Share => {
            let detail = "Wait until one of your other bodies has been dealt with.";
            Refusal::new(Code::UploadsLimited, detail)
                .header("retry-after", "1")
                .because("the bytes of this caller buffered by this isolate are at its share")
        }
    }
}

/// The refusal of a body that is encoded (RFC 9110, 12.5.3: with the encodings that would be taken).
fn encoded() -> Refusal {
    let detail = "Send the body without `content-encoding`.";
    Refusal::new(Code::UnsupportedMediaType, detail).header("accept-encoding", "identity")
}

fn too_large(max: u64) -> Refusal {
    Refusal::new(
        Code::BodyTooLarge,
        format!("The body may have at most {max} bytes."),
    )
}

/// A media type without its parameters, lower case.
pub(crate) fn media_type(value: &str) -> String {
    value
        .split(';')
        .next()
        .unwrap_or_default()
        .trim()
        .to_ascii_lowercase()
}

/// Whether a media type or range of a document (`image/*`) takes `kind`.
fn accepts(wanted: &str, kind: &str) -> bool {
    match wanted.strip_suffix("/*") {
        Some("*") => true,
        Some(family) => kind.split_once('/').is_some_and(|(found, _)| found == family),
        None => wanted == kind,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn media_ranges() {
        assert!(accepts("*/*", "text/plain"));
        assert!(accepts("image/*", "image/png"));
        assert!(!accepts("image/*", "text/plain"));
        assert!(accepts(
            "application/json",
            &media_type("Application/JSON; charset=utf-8")
        ));
    }
}
