//! The bytes of a request that differ for the upstream: the model's name, the wish for usage, a cap
//! on the output.

use crate::json;

use super::{Peek, Span, StreamOptions};

/// Replaces `remove` bytes at offset `at` by `insert`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Edit {
    /// Offset in the original body, in bytes.
    pub at: u32,
    /// How many bytes of the original go.
    pub remove: u32,
    /// What comes in their place.
    pub insert: Vec<u8>,
}

/// An upper bound of the answer's tokens that the upstream is to keep.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct OutputCap {
    /// The bound, for each of the `n` answers.
    pub tokens: u64,
    /// The member that the upstream knows.
    pub member: CapMember,
}

/// The member of a request that bounds the output. Providers differ in which they know.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum CapMember {
    /// `max_tokens`: the older name; most providers.
    MaxTokens,
    /// `max_completion_tokens`: `OpenAI`'s reasoning models know only this one.
    MaxCompletionTokens,
}

/// What to change for an upstream that calls the model `upstream_model`.
///
/// Sorted by offset, not overlapping. A streamed request is made to ask for usage.
pub fn edits(peek: &Peek, upstream_model: &str) -> Vec<Edit> {
    edits_capped(peek, upstream_model, None)
}

/// As [`edits`], and says what the request allows, at most `cap`, in the member that the upstream knows.
///
/// A number in the other member becomes `null`: an upstream that does not know it would answer without
/// bound, and one that knows both refuses both.
pub fn edits_capped(peek: &Peek, upstream_model: &str, cap: Option<OutputCap>) -> Vec<Edit> {
    let mut edits = Vec::new();
    let mut added = Vec::new();
    if peek.model != upstream_model {
        let mut insert = Vec::with_capacity(upstream_model.len() + 2);
        json::push_string(&mut insert, upstream_model);
        edits.push(replace(peek.model_span, insert));
    }
    if peek.stream && !peek.usage_wanted {
        match peek.stream_options {
            StreamOptions::Absent => {
                added.extend_from_slice(br#""stream_options":{"include_usage":true},"#);
            }
            StreamOptions::Null(span) => {
                edits.push(replace(span, br#"{"include_usage":true}"#.to_vec()));
            }
            StreamOptions::Without { at, empty } => {
                let insert: &[u8] = if empty {
                    br#""include_usage":true"#
                } else {
                    br#""include_usage":true,"#
                };
                edits.push(Edit {
                    at,
                    remove: 0,
                    insert: insert.to_vec(),
                });
            }
            StreamOptions::With(span) => edits.push(replace(span, b"true".to_vec())),
        }
    }
    if let Some(cap) = cap {
        cap_output(peek, cap, &mut edits, &mut added);
    }
    if !added.is_empty() {
        edits.push(Edit {
            at: peek.insert_at,
            remove: 0,
            insert: added,
        });
    }
    // In order. They are few: a sort of the standard library would be more of the Worker than the rest here.
    edits.into_iter().fold(Vec::new(), |mut sorted: Vec<Edit>, edit| {
        sorted.insert(sorted.partition_point(|known| known.at <= edit.at), edit);
        sorted
    })
}

/// Bounds the output in one member, and takes the number out of the other.
fn cap_output(peek: &Peek, cap: OutputCap, edits: &mut Vec<Edit>, added: &mut Vec<u8>) {
    let tokens = peek.max_tokens.map_or(cap.tokens, |asked| asked.min(cap.tokens));
    let old = ("max_tokens", peek.max_tokens_member);
    let new = ("max_completion_tokens", peek.max_completion_tokens_member);
    let ((name, own), (_, other)) = match cap.member {
        CapMember::MaxTokens => (old, new),
        CapMember::MaxCompletionTokens => (new, old),
    };
    match own {
        Some((_, Some(number))) if number == tokens => {}
        Some((span, _)) => edits.push(replace(span, tokens.to_string().into_bytes())),
        None => added.extend_from_slice(format!("\"{name}\":{tokens},").as_bytes()),
    }
    if let Some((span, Some(_))) = other {
        edits.push(replace(span, b"null".to_vec()));
    }
}

/// Replaces what lies at `span`.
fn replace(span: Span, insert: Vec<u8>) -> Edit {
    Edit {
        at: span.start,
        remove: span.end.saturating_sub(span.start),
        insert,
    }
}

/// The body with `edits` (sorted, not overlapping) applied.
pub fn apply(body: &[u8], edits: &[Edit]) -> Vec<u8> {
    let added: usize = edits.iter().map(|edit| edit.insert.len()).sum();
    let mut out = Vec::with_capacity(body.len() + added);
    let mut from = 0_usize;
    for edit in edits {
        let at = edit.at as usize;
        out.extend_from_slice(body.get(from..at).unwrap_or_default());
        out.extend_from_slice(&edit.insert);
        from = at.saturating_add(edit.remove as usize);
    }
    out.extend_from_slice(body.get(from..).unwrap_or_default());
    out
}
