//! Why a request is refused, and where: the place and the remedy, never what the body holds.

use std::fmt;

use crate::json;

/// Why a body cannot be taken for a chat completion request, and where.
///
/// Its text names the place and the remedy and never holds what the body holds.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PeekError {
    /// Offset of the place, in bytes.
    pub offset: usize,
    /// Line of the place, from 1.
    pub line: usize,
    /// Column of the place in bytes, from 1.
    pub column: usize,
    /// What is wrong there.
    pub kind: PeekErrorKind,
}

/// What is wrong with a body.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum PeekErrorKind {
    /// Nothing but white space.
    Empty,
    /// 4 GiB or more.
    TooLarge,
    /// Not UTF-8.
    NotUtf8,
    /// It begins with a byte order mark.
    ByteOrderMark,
    /// Not JSON, for this reason.
    Syntax(String),
    /// JSON, but not an object.
    NotObject,
    /// This member is missing.
    Missing(&'static str),
    /// This member stands there twice.
    Duplicate(&'static str),
    /// A member differs from this one only in the case of letters.
    Lookalike(&'static str),
    /// This member would lead the call elsewhere.
    Steering(&'static str),
    /// This member must be something else.
    Type(&'static str, &'static str),
}

impl PeekErrorKind {
    /// The member that is at fault, for the `param` of an error.
    pub const fn param(&self) -> Option<&'static str> {
        match self {
            Self::Missing(name)
            | Self::Duplicate(name)
            | Self::Lookalike(name)
            | Self::Steering(name)
            | Self::Type(name, _) => Some(name),
            _ => None,
        }
    }
}

impl fmt::Display for PeekError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { line, column, .. } = self;
        let place = format_args!("at line {line} column {column}");
        match &self.kind {
            PeekErrorKind::Empty => write!(f, "the body is empty: send a JSON object"),
            PeekErrorKind::TooLarge => write!(f, "the body is too large"),
            PeekErrorKind::NotUtf8 => write!(f, "invalid UTF-8 {place}: send JSON as UTF-8"),
            PeekErrorKind::ByteOrderMark => {
                write!(f, "invalid JSON {place}: send it without a byte order mark")
            }
            PeekErrorKind::Syntax(reason) => write!(f, "invalid JSON {place}: {reason}"),
            PeekErrorKind::NotObject => write!(f, "the body must be a JSON object ({place})"),
            PeekErrorKind::Missing(name) => write!(f, "`{name}` is missing: add it"),
            PeekErrorKind::Duplicate(name) => {
                write!(f, "`{name}` is given twice (again {place}): give it once")
            }
            PeekErrorKind::Lookalike(name) => write!(
                f,
                "a member {place} differs from `{name}` only in the case of its letters: write `{name}`"
            ),
            PeekErrorKind::Steering(name) => write!(
                f,
                "`{name}` {place} would choose a model, an upstream or a credential by itself: leave it out"
            ),
            PeekErrorKind::Type(name, expected) => {
                write!(f, "`{name}` must be {expected} ({place})")
            }
        }
    }
}

impl std::error::Error for PeekError {}

/// An error at `offset`, with its line and column.
pub(super) fn at(body: &[u8], offset: usize, kind: PeekErrorKind) -> PeekError {
    let before = body.get(..offset).unwrap_or(body);
    let line = before.split(|byte| *byte == b'\n').count();
    let start = before
        .iter()
        .rposition(|byte| *byte == b'\n')
        .map_or(0, |end| end + 1);
    PeekError {
        offset,
        line,
        column: 1 + before.len() - start,
        kind,
    }
}

/// The error of a text that is not JSON.
pub(super) fn syntax(text: &str, error: &serde_json::Error) -> PeekError {
    let line_start = match error.line() {
        0 | 1 => 0,
        line => text
            .bytes()
            .enumerate()
            .filter(|(_, byte)| *byte == b'\n')
            .nth(line - 2)
            .map_or(0, |(end, _)| end + 1),
    };
    PeekError {
        offset: (line_start + error.column().saturating_sub(1)).min(text.len()),
        line: error.line().max(1),
        column: error.column().max(1),
        kind: PeekErrorKind::Syntax(json::reason(error)),
    }
}
