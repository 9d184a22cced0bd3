//! One chunk of a stream, read as far as it matters.

use std::fmt;

use serde::Deserialize;
use serde::de::{Deserializer, SeqAccess, Visitor};
use serde_json::value::RawValue;

use crate::json;

/// The members of a chunk that count.
#[derive(Deserialize)]
pub(super) struct Chunk<'a> {
    #[serde(borrow)]
    pub(super) choices: Option<Choices<'a>>,
    #[serde(borrow)]
    pub(super) usage: Option<&'a RawValue>,
    /// Where Groq put usage before it knew `stream_options`, and still does.
    #[serde(borrow)]
    x_groq: Option<Groq<'a>>,
    #[serde(borrow)]
    error: Option<&'a RawValue>,
    /// Padding against guessing from lengths: `OpenAI`'s name.
    #[serde(borrow)]
    obfuscation: Option<&'a RawValue>,
    /// The same: Mistral's name.
    #[serde(borrow)]
    p: Option<&'a RawValue>,
}

impl<'a> Chunk<'a> {
    /// The usage it reports, if any.
    pub(super) fn usage(&self) -> Option<&'a RawValue> {
        self.usage
            .or_else(|| self.x_groq.as_ref().and_then(|groq| groq.usage))
    }

    /// The string in it that is padding.
    pub(super) fn padding(&self) -> Option<&'a RawValue> {
        self.obfuscation
            .or(self.p)
            .filter(|padding| padding.get().starts_with('"'))
    }

    /// The string that is all that it brings, if it brings nothing but one piece of text.
    pub(super) fn piece(&self) -> Option<&'a RawValue> {
        let choices = self.choices.as_ref()?;
        let plain = !choices.other && !choices.finished && self.usage().is_none() && self.error.is_none();
        choices.text.filter(|text| plain && text.get().starts_with('"'))
    }

    /// The error it reports, if any: what JavaScript takes for true, as the SDKs test it.
    pub(super) fn error(&self) -> Option<&'a RawValue> {
        self.error
            .filter(|error| !matches!(error.get(), "false" | "\"\"" | "0"))
    }
}

#[derive(Deserialize)]
struct Groq<'a> {
    #[serde(borrow)]
    usage: Option<&'a RawValue>,
}

/// What the choices of a chunk say together.
#[derive(Default)]
pub(super) struct Choices<'a> {
    /// Whether there is any.
    pub(super) any: bool,
    /// Whether one of them brings something that a model produced.
    pub(super) token: bool,
    /// Whether one of them has a reason to finish.
    pub(super) finished: bool,
    /// Whether that reason is an error.
    pub(super) failed: bool,
    /// How many characters they bring.
    pub(super) characters: u64,
    /// A text that they bring; the one that is not empty, if there is one.
    text: Option<&'a RawValue>,
    /// Whether that text is not empty.
    filled: bool,
    /// Whether they bring more than that.
    other: bool,
}

impl<'de: 'a, 'a> Deserialize<'de> for Choices<'a> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Sum;
        impl<'de> Visitor<'de> for Sum {
            type Value = Choices<'de>;
            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("choices")
            }
            fn visit_seq<A: SeqAccess<'de>>(self, mut seq: A) -> Result<Self::Value, A::Error> {
                let mut sum = Choices::default();
                while let Some(choice) = seq.next_element::<Choice<'de>>()? {
                    sum.any = true;
                    sum.add(&choice);
                }
                Ok(sum)
            }
        }
        deserializer.deserialize_seq(Sum)
    }
}

impl<'a> Choices<'a> {
    fn add(&mut self, choice: &Choice<'a>) {
        if let Some(reason) = choice.finish_reason.filter(|reason| reason.get() != "\"\"") {
            self.finished = true;
            self.failed |= reason.get() == "\"error\"";
        }
        let Some(delta) = &choice.delta else { return };
        let texts = [
            delta.content,
            delta.refusal,
            delta.reasoning,
            delta.reasoning_content,
        ];
        for value in texts.into_iter().flatten() {
            let characters = json::characters(value);
            self.token |= characters > 0;
            self.bring(value, characters);
        }
        let rest = [delta.reasoning_details, delta.function_call, delta.audio];
        let rest = rest.into_iter().flatten().any(json::is_filled);
        let calls = delta.tool_calls.filter(|calls| json::is_filled(calls));
        if calls.is_none() && !rest {
            return;
        }
        self.token = true;
        let calls = calls.map(calls_in).unwrap_or_default();
        if let [Call { function: Some(only) }] = calls.as_slice()
            && let (None, Some(arguments), false) = (only.name, only.arguments, rest)
        {
            return self.bring(arguments, json::characters(arguments));
        }
        let call = delta
            .function_call
            .and_then(|call| serde_json::from_slice(call.get().as_bytes()).ok());
        let functions = calls.into_iter().filter_map(|call| call.function).chain(call);
        let characters = functions.map(|function: Function<'_>| function.characters());
        self.characters = characters.fold(self.characters, u64::saturating_add);
        self.other = true;
    }

    /// Takes note of a text.
    fn bring(&mut self, text: &'a RawValue, characters: u64) {
        self.characters = self.characters.saturating_add(characters);
        if characters > 0 {
            self.other |= self.filled;
            self.filled = true;
        }
        if characters > 0 || self.text.is_none() {
            self.text = Some(text);
        }
    }
}

#[derive(Deserialize)]
struct Choice<'a> {
    #[serde(borrow)]
    delta: Option<Delta<'a>>,
    #[serde(borrow)]
    finish_reason: Option<&'a RawValue>,
}

#[derive(Deserialize)]
struct Delta<'a> {
    #[serde(borrow)]
    content: Option<&'a RawValue>,
    #[serde(borrow)]
    refusal: Option<&'a RawValue>,
    #[serde(borrow)]
    reasoning: Option<&'a RawValue>,
    #[serde(borrow)]
    reasoning_content: Option<&'a RawValue>,
    #[serde(borrow)]
    reasoning_details: Option<&'a RawValue>,
    #[serde(borrow)]
    tool_calls: Option<&'a RawValue>,
    #[serde(borrow)]
    function_call: Option<&'a RawValue>,
    #[serde(borrow)]
    audio: Option<&'a RawValue>,
}

#[derive(Deserialize)]
struct Call<'a> {
    #[serde(borrow)]
    function: Option<Function<'a>>,
}

#[derive(Deserialize)]
struct Function<'a> {
    #[serde(borrow)]
    name: Option<&'a RawValue>,
    #[serde(borrow)]
    arguments: Option<&'a RawValue>,
}

impl Function<'_> {
    fn characters(&self) -> u64 {
        [self.name, self.arguments]
            .into_iter()
            .flatten()
            .map(json::characters)
            .sum()
    }
}

/// The characters of the names and arguments in `tool_calls`.
pub(crate) fn call_characters(value: &RawValue) -> u64 {
    let functions = calls_in(value).into_iter().filter_map(|call| call.function);
    functions.map(|function| function.characters()).sum()
}

/// The calls in `tool_calls`; none where it is something else.
fn calls_in(value: &RawValue) -> Vec<Call<'_>> {
    serde_json::from_slice(value.get().as_bytes()).unwrap_or_default()
}
