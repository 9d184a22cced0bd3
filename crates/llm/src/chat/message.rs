//! What the messages say: the last one of the user, by which a mock chooses its answer, and what a call may come to
//! that its bytes do not show.

use std::fmt;

use serde::Deserialize;
use serde::de::{Deserializer, Error as _, SeqAccess, Visitor};
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

/// Reads the end of a conversation. None, where its messages are none that a provider would take: they are an
/// array that holds something, and each is an object with a role.
pub fn last_message(body: &[u8]) -> Option<LastMessage> {
    let request: Request<'_> = serde_json::from_slice(body).ok()?;
    let Conversation { user, last } = serde_json::from_slice(request.messages?.get().as_bytes()).ok()?;
    Some(LastMessage {
        user_text: user.map(content).unwrap_or_default(),
        tool_result: json::is_text(last, "tool") || json::is_text(last, "function"),
        has_tools: request.tools.is_some_and(json::is_filled)
            || request.functions.is_some_and(json::is_filled),
    })
}

/// What a call may come to that its bytes do not show.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Unseen {
    /// How many parts of all messages are not text (images, sound, files, an answer that was spoken): what they come
    /// to in tokens.
    pub media: u32,
    /// It asks for a service tier that may cost more than the usual one.
    pub tier: bool,
}

/// The service tiers that cost no more than the usual one, or what whoever pays has chosen.
const USUAL: [&str; 3] = ["auto", "default", "flex"];

/// What a call may come to that its bytes do not show. None, where the messages cannot be read.
pub fn unseen(body: &[u8]) -> Option<Unseen> {
    let is_given = |value: &&RawValue| value.get() != "null";
    let request: Request<'_> = serde_json::from_slice(body).ok()?;
    let messages: Vec<Message<'_>> = serde_json::from_slice(request.messages?.get().as_bytes()).ok()?;
    let spoken = messages
        .iter()
        .filter_map(|message| message.audio)
        .filter(is_given);
    let mut count = u32::try_from(spoken.count()).unwrap_or(u32::MAX);
    for content in messages.iter().filter_map(|message| message.content) {
        if !content.get().starts_with('[') {
            continue;
        }
        let parts: Vec<Part<'_>> = serde_json::from_slice(content.get().as_bytes()).ok()?;
        let media = parts.iter().filter(|part| {
            let is = |kind: &RawValue| json::is_text(kind, "text") || json::is_text(kind, "refusal");
            !part.kind.is_some_and(is)
        });
        count = count.saturating_add(u32::try_from(media.count()).unwrap_or(u32::MAX));
    }
    let tier = request.service_tier.filter(is_given);
    Some(Unseen {
        media: count,
        tier: tier.is_some_and(|tier| USUAL.iter().all(|usual| !json::is_text(tier, usual))),
    })
}

#[derive(Deserialize)]
struct Request<'a> {
    #[serde(borrow)]
    messages: Option<&'a RawValue>,
    #[serde(borrow)]
    tools: Option<&'a RawValue>,
    #[serde(borrow)]
    functions: Option<&'a RawValue>,
    #[serde(borrow)]
    service_tier: Option<&'a RawValue>,
}

#[derive(Deserialize)]
struct Message<'a> {
    #[serde(borrow)]
    role: Option<&'a RawValue>,
    #[serde(borrow)]
    content: Option<&'a RawValue>,
    #[serde(borrow)]
    audio: Option<&'a RawValue>,
}

#[derive(Deserialize)]
struct Part<'a> {
    #[serde(borrow, rename = "type")]
    kind: Option<&'a RawValue>,
    #[serde(borrow)]
    text: Option<&'a RawValue>,
}

/// The content of the last user message, and the role of the last message.
struct Conversation<'a> {
    user: Option<&'a RawValue>,
    last: &'a RawValue,
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
                let (mut user, mut last) = (None, None);
                while let Some(Message { role, content, .. }) = seq.next_element::<Message<'a>>()? {
                    last = role.filter(|role| role.get().starts_with('"'));
                    let role = last.ok_or_else(|| A::Error::missing_field("role"))?;
                    if json::is_text(role, "user") {
                        user = content;
                    }
                }
                let last = last.ok_or_else(|| A::Error::missing_field("message"))?;
                Ok(Conversation { user, last })
            }
        }
        deserializer.deserialize_seq(Messages)
    }
}

/// The text of a message's content: a string, or parts.
fn content(value: &RawValue) -> String {
    if value.get().starts_with('"') {
        return bounded(serde_json::from_slice(value.get().as_bytes()).unwrap_or_default());
    }
    let parts: Vec<Part<'_>> = serde_json::from_slice(value.get().as_bytes()).unwrap_or_default();
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
        out.push_str(&serde_json::from_slice::<String>(text.get().as_bytes()).unwrap_or_default());
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
