//! What the messages say: the last one of the user, by which a mock chooses its answer, and how many parts
//! are something else than text.

use std::fmt;

use serde::Deserialize;
use serde::de::{Deserializer, SeqAccess, Visitor};
use serde_json::value::RawValue;

use crate::json;

/// The most of a user's text that is kept, in bytes.
pub const LAST_MESSAGE_LIMIT: usize = 64 * 1024;

/// The end of a conversation.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct LastMessage {
    /// The text of the last message with role `user`: its text parts, joined by line feeds; at most
    /// [`LAST_MESSAGE_LIMIT`] bytes.
    pub user_text: String,
    /// Whether the last message of all is the result of a tool (role `tool`, or `function`).
    pub tool_result: bool,
    /// Whether tools (or functions) are offered.
    pub has_tools: bool,
}

/// Reads the end of a conversation. What is not there, or not as it should be, counts as absent.
pub fn last_message(body: &[u8]) -> LastMessage {
    let Ok(text) = str::from_utf8(body) else {
        return LastMessage::default();
    };
    let Ok(request) = serde_json::from_str::<Request<'_>>(text) else {
        return LastMessage::default();
    };
    let Conversation { user, last } = request
        .messages
        .and_then(|messages| serde_json::from_str(messages.get()).ok())
        .unwrap_or_default();
    LastMessage {
        user_text: user.map(content).unwrap_or_default(),
        tool_result: last.is_some_and(|role| json::is_text(role, "tool") || json::is_text(role, "function")),
        has_tools: request.tools.is_some_and(json::is_filled)
            || request.functions.is_some_and(json::is_filled),
    }
}

/// How many parts of all messages are not text (images, sound, files): what they come to in tokens does not
/// show in their bytes. None, where the messages cannot be read.
pub fn media_parts(body: &[u8]) -> Option<u32> {
    let request: Request<'_> = serde_json::from_slice(body).ok()?;
    let messages: Vec<Message<'_>> = serde_json::from_str(request.messages?.get()).ok()?;
    let mut count = 0_u32;
    for content in messages.iter().filter_map(|message| message.content) {
        if !content.get().starts_with('[') {
            continue;
        }
        let parts: Vec<Part<'_>> = serde_json::from_str(content.get()).ok()?;
        let media = parts.iter().filter(|part| {
            let is = |kind: &RawValue| json::is_text(kind, "text") || json::is_text(kind, "refusal");
            !part.kind.is_some_and(is)
        });
        count = count.saturating_add(u32::try_from(media.count()).unwrap_or(u32::MAX));
    }
    Some(count)
}

#[derive(Deserialize)]
struct Request<'a> {
    #[serde(borrow)]
    messages: Option<&'a RawValue>,
    #[serde(borrow)]
    tools: Option<&'a RawValue>,
    #[serde(borrow)]
    functions: Option<&'a RawValue>,
}

#[derive(Deserialize)]
struct Message<'a> {
    #[serde(borrow)]
    role: Option<&'a RawValue>,
    #[serde(borrow)]
    content: Option<&'a RawValue>,
}

#[derive(Deserialize)]
struct Part<'a> {
    #[serde(borrow, rename = "type")]
    kind: Option<&'a RawValue>,
    #[serde(borrow)]
    text: Option<&'a RawValue>,
}

/// The content of the last user message, and the role of the last message.
#[derive(Default)]
struct Conversation<'a> {
    user: Option<&'a RawValue>,
    last: Option<&'a RawValue>,
}

impl<'de: 'a, 'a> Deserialize<'de> for Conversation<'a> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Messages;
        impl<'a> Visitor<'a> for Messages {
            type Value = Conversation<'a>;
            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("messages")
            }
            fn visit_seq<A: SeqAccess<'a>>(self, mut seq: A) -> Result<Self::Value, A::Error> {
                let mut conversation = Conversation::default();
                while let Some(Message { role, content }) = seq.next_element::<Message<'a>>()? {
                    if role.is_some_and(|role| json::is_text(role, "user")) {
                        conversation.user = content;
                    }
                    conversation.last = role;
                }
                Ok(conversation)
            }
        }
        deserializer.deserialize_seq(Messages)
    }
}

/// The text of a message's content: a string, or parts.
fn content(value: &RawValue) -> String {
    if value.get().starts_with('"') {
        return bounded(serde_json::from_str(value.get()).unwrap_or_default());
    }
    let parts: Vec<Part<'_>> = serde_json::from_str(value.get()).unwrap_or_default();
    let mut out = String::new();
    for part in parts {
        let Some(text) = part
            .text
            .filter(|_| part.kind.is_some_and(|kind| json::is_text(kind, "text")))
        else {
            continue;
        };
        if !out.is_empty() {
            out.push('\n');
        }
        out.push_str(&serde_json::from_str::<String>(text.get()).unwrap_or_default());
        if out.len() >= LAST_MESSAGE_LIMIT {
            break;
        }
    }
    bounded(out)
}

/// The text, cut at the limit between two characters.
fn bounded(mut text: String) -> String {
    text.truncate(text.floor_char_boundary(LAST_MESSAGE_LIMIT));
    text
}
