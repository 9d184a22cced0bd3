//! What an answer in one piece tells: whether it is one at all, its usage, why it ended.
//!
//! Source: `OpenAI` API reference, "The chat completion object".

use std::fmt;

use serde::{Deserialize, Serialize};
use serde_json::value::RawValue;

use crate::json;
use crate::stream::{call_characters, error_code};
use crate::usage::Usage;

/// What a completion tells.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Answer {
    /// What it reports as used.
    pub usage: Option<Usage>,
    /// Why each choice ended, in order.
    pub finish_reasons: Vec<Finish>,
    /// Characters that the model produced, about: for a settlement where usage is absent.
    pub characters: u64,
}

/// Why a choice ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum Finish {
    /// It was complete.
    Stop,
    /// A limit of tokens was reached.
    Length,
    /// Tools (or a function) are to be called.
    ToolCalls,
    /// A filter stepped in.
    ContentFilter,
    /// Another reason.
    Other,
    /// None is given.
    Missing,
}

/// Why a body is not a completion.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum AnswerError {
    /// Not JSON, or members of another type than they should be: at this line and column.
    Malformed {
        /// Line, from 1.
        line: usize,
        /// Column in bytes, from 1.
        column: usize,
    },
    /// An object without choices and without an error.
    NoChoices,
    /// An error object.
    Reported {
        /// Its `code`, or else its `type`, as text, at most 64 bytes; empty: none.
        code: String,
    },
}

impl fmt::Display for AnswerError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Malformed { line, column } => {
                write!(
                    f,
                    "the answer is not a chat completion (line {line} column {column})"
                )
            }
            Self::NoChoices => f.write_str("the answer has no choices"),
            Self::Reported { .. } => f.write_str("the answer is an error"),
        }
    }
}

impl std::error::Error for AnswerError {}

#[derive(Deserialize)]
struct Body<'a> {
    #[serde(borrow)]
    choices: Option<Vec<Choice<'a>>>,
    #[serde(borrow)]
    usage: Option<&'a RawValue>,
    #[serde(borrow)]
    error: Option<&'a RawValue>,
}

#[derive(Deserialize)]
struct Choice<'a> {
    #[serde(borrow)]
    message: Message<'a>,
    #[serde(borrow)]
    finish_reason: Option<&'a RawValue>,
}

#[derive(Deserialize)]
struct Message<'a> {
    #[serde(borrow)]
    content: Option<&'a RawValue>,
    #[serde(borrow)]
    refusal: Option<&'a RawValue>,
    #[serde(borrow)]
    reasoning: Option<&'a RawValue>,
    #[serde(borrow)]
    reasoning_content: Option<&'a RawValue>,
    #[serde(borrow)]
    tool_calls: Option<&'a RawValue>,
}

/// Reads an answer in one piece.
pub fn scan(body: &[u8]) -> Result<Answer, AnswerError> {
    let text = str::from_utf8(body).map_err(|_| AnswerError::Malformed { line: 1, column: 1 })?;
    // An array would do for a struct of serde's.
    if !text.trim_start().starts_with('{') {
        return Err(AnswerError::Malformed { line: 1, column: 1 });
    }
    let body: Body<'_> = serde_json::from_slice(text.as_bytes()).map_err(|error| AnswerError::Malformed {
        line: error.line().max(1),
        column: error.column().max(1),
    })?;
    if let Some(error) = body.error {
        return Err(AnswerError::Reported {
            code: error_code(error),
        });
    }
    let choices = body.choices.filter(|choices| !choices.is_empty());
    let choices = choices.ok_or(AnswerError::NoChoices)?;
    Ok(Answer {
        usage: body.usage.and_then(Usage::read),
        finish_reasons: choices
            .iter()
            .map(|choice| finish(choice.finish_reason))
            .collect(),
        characters: choices.iter().map(|choice| characters(&choice.message)).sum(),
    })
}

fn finish(reason: Option<&RawValue>) -> Finish {
    match reason.map(RawValue::get) {
        None | Some("\"\"") => Finish::Missing,
        Some("\"stop\"") => Finish::Stop,
        Some("\"length\"") => Finish::Length,
        Some("\"tool_calls\"" | "\"function_call\"") => Finish::ToolCalls,
        Some("\"content_filter\"") => Finish::ContentFilter,
        Some(_) => Finish::Other,
    }
}

fn characters(message: &Message<'_>) -> u64 {
    let texts = [
        message.content,
        message.refusal,
        message.reasoning,
        message.reasoning_content,
    ];
    let said: u64 = texts.into_iter().flatten().map(json::characters).sum();
    said + message.tool_calls.map_or(0, call_characters)
}
