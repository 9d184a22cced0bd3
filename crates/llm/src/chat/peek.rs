//! One borrowed pass over a request body.
//!
//! What is read here decides about money and access, and the upstream reads the same bytes with
//! another parser. So whatever two parsers could read differently is refused: members that come
//! twice, members that differ from one that counts only in the case of letters (Go's
//! `encoding/json` takes them for the same), numbers that are not plain; and members by which
//! aggregators let a caller choose another model or upstream than the one that was checked here.

use std::fmt;

use serde::de::{Deserializer, IgnoredAny, MapAccess, Visitor};
use serde::{Deserialize, Serialize};
use serde_json::value::RawValue;

use super::fault::{PeekError, PeekErrorKind, at, syntax};
use crate::json::{self, Span};

/// The longest name of a model, in bytes.
pub const MODEL_LIMIT: usize = 256;

/// What a request asks for, as far as a gateway must know, and where it says so.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Peek {
    /// The model, decoded; 1 to [`MODEL_LIMIT`] bytes.
    pub model: String,
    /// The value of `model`, quotes included.
    pub model_span: Span,
    /// Whether the answer is to be streamed.
    pub stream: bool,
    /// Whether the client asked for `stream_options.include_usage`.
    pub usage_wanted: bool,
    /// Where `include_usage` is or belongs.
    pub stream_options: StreamOptions,
    /// The most tokens the client wants: `max_completion_tokens` or `max_tokens`, the lesser of both.
    pub max_tokens: Option<u64>,
    /// `max_tokens` as written, `null` included.
    pub max_tokens_member: Option<(Span, Option<u64>)>,
    /// `max_completion_tokens` as written, `null` included.
    pub max_completion_tokens_member: Option<(Span, Option<u64>)>,
    /// How many answers are asked for; at least 1.
    pub n: u32,
    /// Whether there are messages, were it none at all.
    pub has_messages: bool,
    /// Whether tools (or functions, as they were called) are offered.
    pub has_tools: bool,
    /// The offset after the opening brace, where a member (with its comma) can be put in.
    pub insert_at: u32,
    /// The length of the body, in bytes.
    pub body_len: u32,
}

/// Where `stream_options.include_usage` is or belongs.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum StreamOptions {
    /// There are no stream options.
    Absent,
    /// They are `null`, here.
    Null(Span),
    /// They are an object without the member.
    Without {
        /// The offset after the opening brace.
        at: u32,
        /// Whether the object holds nothing.
        empty: bool,
    },
    /// The member's value is here.
    With(Span),
}

/// Reads what a chat completion request asks for.
///
/// The body must be UTF-8 and one strict JSON object. Values that are not read are checked for
/// syntax without recursion, so nesting of any depth is harmless.
pub fn peek(body: &[u8]) -> Result<Peek, PeekError> {
    let text = str::from_utf8(body).map_err(|error| at(body, error.valid_up_to(), PeekErrorKind::NotUtf8))?;
    let body_len = u32::try_from(text.len()).map_err(|_| at(b"", 0, PeekErrorKind::TooLarge))?;
    let open = body.iter().position(|byte| !json::is_space(*byte));
    let Some(open) = open else {
        return Err(at(body, 0, PeekErrorKind::Empty));
    };
    match body.get(open) {
        Some(b'{') => {}
        Some(0xEF) if body.starts_with(b"\xEF\xBB\xBF") => {
            return Err(at(body, 0, PeekErrorKind::ByteOrderMark));
        }
        _ => return Err(not_object(body, text, open)),
    }
    let members = Members::read(text)?;
    if let Some((kind, place)) = members.fault {
        return Err(at(body, place as usize, kind));
    }
    members.peek(text, body_len, u32::try_from(open + 1).unwrap_or(u32::MAX))
}

/// The error of a body that does not open an object.
fn not_object(body: &[u8], text: &str, open: usize) -> PeekError {
    match serde_json::from_slice::<IgnoredAny>(text.as_bytes()) {
        Ok(_) => at(body, open, PeekErrorKind::NotObject),
        Err(error) => syntax(text, &error),
    }
}

/// The members that count, as they stand in the body.
#[derive(Default)]
struct Members<'a> {
    model: Option<&'a RawValue>,
    stream: Option<&'a RawValue>,
    stream_options: Option<&'a RawValue>,
    max_tokens: Option<&'a RawValue>,
    max_completion_tokens: Option<&'a RawValue>,
    n: Option<&'a RawValue>,
    messages: Option<&'a RawValue>,
    tools: Option<&'a RawValue>,
    functions: Option<&'a RawValue>,
    /// The first member that could be read in two ways, and the offset of its value.
    fault: Option<(PeekErrorKind, u32)>,
}

/// The names of the members that count.
const NAMES: [&str; 9] = [
    "model",
    "messages",
    "stream",
    "stream_options",
    "max_tokens",
    "max_completion_tokens",
    "n",
    "tools",
    "functions",
];

/// Members by which some upstreams let a caller choose models, upstreams or credentials: nothing that
/// a gateway's client may decide.
const STEERING: [&str; 18] = [
    "models",
    "route",
    "provider",
    "fallbacks",
    "context_window_fallbacks",
    "content_policy_fallbacks",
    "model_list",
    "custom_llm_provider",
    "api_base",
    "base_url",
    "api_key",
    "api_version",
    "extra_headers",
    "extra_body",
    "headers",
    "litellm_params",
    "client_side_fallbacks",
    "organization",
];

impl<'a> Members<'a> {
    /// Takes note of the members that count in `text`, an object.
    fn read(text: &'a str) -> Result<Self, PeekError> {
        let mut deserializer = serde_json::Deserializer::from_slice(text.as_bytes());
        deserializer
            .deserialize_map(Collect(text))
            .and_then(|members| deserializer.end().map(|()| members))
            .map_err(|error| syntax(text, &error))
    }

    /// Where the member of that name is kept.
    fn slot(&mut self, name: &str) -> Option<&mut Option<&'a RawValue>> {
        match name {
            "model" => Some(&mut self.model),
            "messages" => Some(&mut self.messages),
            "stream" => Some(&mut self.stream),
            "stream_options" => Some(&mut self.stream_options),
            "max_tokens" => Some(&mut self.max_tokens),
            "max_completion_tokens" => Some(&mut self.max_completion_tokens),
            "n" => Some(&mut self.n),
            "tools" => Some(&mut self.tools),
            "functions" => Some(&mut self.functions),
            _ => None,
        }
    }

    /// Checks the members and gives what they say.
    fn peek(self, text: &str, body_len: u32, insert_at: u32) -> Result<Peek, PeekError> {
        let fail = |value: &RawValue, name, expected| {
            let place = json::offset(text, value.get()) as usize;
            at(text.as_bytes(), place, PeekErrorKind::Type(name, expected))
        };
        let raw = self
            .model
            .ok_or_else(|| at(text.as_bytes(), text.len(), PeekErrorKind::Missing("model")))?;
        let model = serde_json::from_slice::<String>(raw.get().as_bytes())
            .map_err(|_| fail(raw, "model", "a string"))?;
        if model.is_empty() || model.len() > MODEL_LIMIT {
            return Err(fail(raw, "model", "a name of 1 to 256 bytes"));
        }
        // What is in them is the upstream's matter.
        let has_messages = match self.messages {
            None => false,
            Some(value) if value.get().starts_with('[') => true,
            Some(value) => return Err(fail(value, "messages", "an array")),
        };
        let stream = match self.stream.map(|value| (value, value.get())) {
            None | Some((_, "false" | "null")) => false,
            Some((_, "true")) => true,
            Some((value, _)) => return Err(fail(value, "stream", "true or false")),
        };
        let (stream_options, usage_wanted) = match self.stream_options {
            None => (StreamOptions::Absent, false),
            Some(value) => options(text, value)?,
        };
        let tokens = |value: Option<&RawValue>, name| -> Result<_, PeekError> {
            let Some(value) = value else { return Ok(None) };
            let number = match value.get() {
                "null" => None,
                digits => Some(
                    digits
                        .parse::<u64>()
                        .map_err(|_| fail(value, name, "a whole number of tokens, written in digits"))?,
                ),
            };
            Ok(Some((json::span(text, value), number)))
        };
        let max_tokens_member = tokens(self.max_tokens, "max_tokens")?;
        let max_completion_tokens_member = tokens(self.max_completion_tokens, "max_completion_tokens")?;
        let given = |member: Option<(Span, Option<u64>)>| member.and_then(|(_, number)| number);
        let n = match self.n.map(|value| (value, value.get())) {
            None | Some((_, "null")) => 1,
            Some((value, digits)) => match digits.parse::<u32>() {
                Ok(n) if n > 0 => n,
                _ => return Err(fail(value, "n", "a whole number of at least 1")),
            },
        };
        Ok(Peek {
            model,
            model_span: json::span(text, raw),
            stream,
            usage_wanted,
            stream_options,
            max_tokens: [given(max_completion_tokens_member), given(max_tokens_member)]
                .into_iter()
                .flatten()
                .min(),
            max_tokens_member,
            max_completion_tokens_member,
            n,
            has_messages,
            has_tools: self.tools.is_some_and(json::is_filled) || self.functions.is_some_and(json::is_filled),
            insert_at,
            body_len,
        })
    }
}

/// Reads `stream_options`: where `include_usage` is or belongs, and whether it is true.
fn options(text: &str, value: &RawValue) -> Result<(StreamOptions, bool), PeekError> {
    const NAME: &str = "stream_options.include_usage";
    let Span { start, .. } = json::span(text, value);
    let fail = |place: u32, kind| at(text.as_bytes(), place as usize, kind);
    if value.get() == "null" {
        return Ok((StreamOptions::Null(json::span(text, value)), false));
    }
    if !value.get().starts_with('{') {
        return Err(fail(start, PeekErrorKind::Type("stream_options", "an object")));
    }
    let mut member: Option<&RawValue> = None;
    let mut fault = None;
    let visitor = Pairs(|name: Name, value| {
        if matches!(name, Name::IncludeUsage) {
            if member.is_some() {
                fault = Some(value);
            }
            member = Some(value);
        }
    });
    let mut deserializer = serde_json::Deserializer::from_slice(value.get().as_bytes());
    deserializer
        .deserialize_map(visitor)
        .map_err(|error| syntax(text, &error))?;
    if let Some(value) = fault {
        return Err(fail(
            json::offset(text, value.get()),
            PeekErrorKind::Duplicate(NAME),
        ));
    }
    match member.map(|value| (value, value.get())) {
        None => Ok((
            StreamOptions::Without {
                at: start.saturating_add(1),
                empty: !json::is_filled(value),
            },
            false,
        )),
        Some((value, word @ ("true" | "false" | "null"))) => {
            Ok((StreamOptions::With(json::span(text, value)), word == "true"))
        }
        Some((value, _)) => Err(fail(
            json::offset(text, value.get()),
            PeekErrorKind::Type(NAME, "true or false"),
        )),
    }
}

/// Collects the members that count.
struct Collect<'a>(&'a str);

impl<'a> Visitor<'a> for Collect<'a> {
    type Value = Members<'a>;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("an object")
    }

    fn visit_map<A: MapAccess<'a>>(self, mut map: A) -> Result<Members<'a>, A::Error> {
        let mut members = Members::default();
        while let Some(key) = map.next_key::<Key>()? {
            let kind = match key {
                Key::Other => {
                    map.next_value::<IgnoredAny>()?;
                    continue;
                }
                Key::Steering(name) => {
                    let value = map.next_value::<&RawValue>()?;
                    Some((PeekErrorKind::Steering(name), value))
                }
                Key::Lookalike(name) => {
                    let value = map.next_value::<&RawValue>()?;
                    Some((PeekErrorKind::Lookalike(name), value))
                }
                Key::Exact(name) => {
                    let value = map.next_value::<&RawValue>()?;
                    members
                        .slot(name)
                        .and_then(|slot| slot.replace(value))
                        .map(|_| (PeekErrorKind::Duplicate(name), value))
                }
            };
            if let (None, Some((kind, value))) = (&members.fault, kind) {
                members.fault = Some((kind, json::offset(self.0, value.get())));
            }
        }
        Ok(members)
    }
}

/// The name of a top-level member.
enum Key {
    /// One that counts.
    Exact(&'static str),
    /// One that some parsers take for one that counts.
    Lookalike(&'static str),
    /// One that would lead the call elsewhere, in any case of its letters.
    Steering(&'static str),
    /// Any other.
    Other,
}

impl Key {
    fn new(text: &str) -> Self {
        for name in NAMES {
            if text == name {
                return Self::Exact(name);
            }
        }
        let alike = |name: &&&str| text.len() >= name.len() && text.chars().map(fold).eq(name.chars());
        if let Some(name) = NAMES.iter().find(alike) {
            return Self::Lookalike(name);
        }
        STEERING
            .iter()
            .find(alike)
            .map_or(Self::Other, |name| Self::Steering(name))
    }
}

/// Folds the case of a character as Go's `encoding/json` does where that can give an ASCII letter.
const fn fold(character: char) -> char {
    match character {
        '\u{17F}' => 's',
        '\u{212A}' => 'k',
        other => other.to_ascii_lowercase(),
    }
}

impl<'de> Deserialize<'de> for Key {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Text;
        impl Visitor<'_> for Text {
            type Value = Key;
            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("a name")
            }
            fn visit_str<E>(self, text: &str) -> Result<Key, E> {
                Ok(Key::new(text))
            }
        }
        deserializer.deserialize_str(Text)
    }
}

/// The name of a member of `stream_options`.
#[derive(Deserialize)]
#[serde(field_identifier, rename_all = "snake_case")]
enum Name {
    IncludeUsage,
    #[serde(other)]
    Other,
}

/// Hands every member of an object to a function.
struct Pairs<F>(F);

impl<'a, F: FnMut(Name, &'a RawValue)> Visitor<'a> for Pairs<F> {
    type Value = ();

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("an object")
    }

    fn visit_map<A: MapAccess<'a>>(mut self, mut map: A) -> Result<(), A::Error> {
        while let Some((name, value)) = map.next_entry()? {
            (self.0)(name, value);
        }
        Ok(())
    }
}
