//! Tokens, as providers report them, brought to one meaning.
//!
//! Providers agree on `prompt_tokens` and `completion_tokens` and differ in what these include.
//! Here, input includes what was read from a cache, and output includes reasoning, as `OpenAI`
//! bills. Providers whose `completion_tokens` leaves reasoning out show it by a `total_tokens` that
//! is larger than the sum: the difference is output. Sources: `OpenAI` API reference, "The chat
//! completion object"; `DeepSeek` (`prompt_cache_hit_tokens`). What was written to a cache is said by those who bill
//! it: `OpenRouter` (`cache_write_tokens`), `LiteLLM` (`cache_creation_tokens`, `cache_creation_input_tokens`), Alibaba
//! Cloud (`cache_creation_input_tokens` among the details); all of them count it as input too.

use serde::{Deserialize, Serialize};
use serde_json::value::RawValue;

/// The tokens of one answer.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Usage {
    /// Input, what was read from a cache included.
    pub prompt_tokens: u64,
    /// Output, reasoning included.
    pub completion_tokens: u64,
    /// Of the input, what was read from a cache.
    pub cached_tokens: u64,
    /// Of the input, what was written to a cache, which some providers bill dearer than other input.
    pub cache_write_tokens: u64,
    /// Of the output, what was reasoning.
    pub reasoning_tokens: u64,
}

impl Usage {
    /// Input and output together.
    pub const fn total(&self) -> u64 {
        self.prompt_tokens.saturating_add(self.completion_tokens)
    }

    /// The larger one of each count.
    pub(crate) fn most(self, other: Self) -> Self {
        Self {
            prompt_tokens: self.prompt_tokens.max(other.prompt_tokens),
            completion_tokens: self.completion_tokens.max(other.completion_tokens),
            cached_tokens: other.cached_tokens,
            cache_write_tokens: other.cache_write_tokens,
            reasoning_tokens: self.reasoning_tokens.max(other.reasoning_tokens),
        }
    }

    /// Reads a `usage` object. None where it does not give both input and output: half a count
    /// would be settled as if the other half were free.
    pub(crate) fn read(value: &RawValue) -> Option<Self> {
        let wire: Wire = serde_json::from_slice(value.get().as_bytes()).ok()?;
        let prompt = wire.prompt_tokens?.0;
        let stated = wire.completion_tokens?.0;
        let beyond = wire
            .total_tokens
            .map_or(0, |total| total.0.saturating_sub(prompt));
        let completion = stated.max(beyond);
        let details = wire.prompt_tokens_details.unwrap_or_default();
        let cached = details.cached_tokens.or(wire.prompt_cache_hit_tokens);
        let cached = cached.map_or(0, |count| count.0).min(prompt);
        let written = details
            .cache_write_tokens
            .or(details.cache_creation_tokens)
            .or(details.cache_creation_input_tokens)
            .or(wire.cache_creation_input_tokens);
        let reasoning = wire
            .completion_tokens_details
            .and_then(|details| details.reasoning_tokens);
        Some(Self {
            prompt_tokens: prompt,
            completion_tokens: completion,
            cached_tokens: cached,
            cache_write_tokens: written.map_or(0, |count| count.0).min(prompt - cached),
            reasoning_tokens: reasoning.map_or(0, |count| count.0).min(completion),
        })
    }

    /// Appends the object as `OpenAI` writes it.
    pub(crate) fn write(&self, out: &mut Vec<u8>) {
        let Self {
            prompt_tokens,
            completion_tokens,
            cached_tokens,
            cache_write_tokens: _,
            reasoning_tokens,
        } = self;
        let total = self.total();
        out.extend_from_slice(
            format!(
                "{{\"prompt_tokens\":{prompt_tokens},\"completion_tokens\":{completion_tokens},\
                 \"total_tokens\":{total},\
                 \"prompt_tokens_details\":{{\"cached_tokens\":{cached_tokens},\"audio_tokens\":0}},\
                 \"completion_tokens_details\":{{\"reasoning_tokens\":{reasoning_tokens},\
                 \"audio_tokens\":0,\"accepted_prediction_tokens\":0,\
                 \"rejected_prediction_tokens\":0}}}}"
            )
            .as_bytes(),
        );
    }
}

#[derive(Deserialize)]
struct Wire {
    prompt_tokens: Option<Count>,
    completion_tokens: Option<Count>,
    total_tokens: Option<Count>,
    prompt_cache_hit_tokens: Option<Count>,
    cache_creation_input_tokens: Option<Count>,
    prompt_tokens_details: Option<PromptDetails>,
    completion_tokens_details: Option<CompletionDetails>,
}

#[derive(Default, Deserialize)]
struct PromptDetails {
    cached_tokens: Option<Count>,
    cache_write_tokens: Option<Count>,
    cache_creation_tokens: Option<Count>,
    cache_creation_input_tokens: Option<Count>,
}

#[derive(Deserialize)]
struct CompletionDetails {
    reasoning_tokens: Option<Count>,
}

/// A count: a whole number. Some providers write it with a fraction of zero.
#[derive(Clone, Copy)]
struct Count(u64);

impl<'de> Deserialize<'de> for Count {
    fn deserialize<D: serde::Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Number;
        impl serde::de::Visitor<'_> for Number {
            type Value = Count;
            fn expecting(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
                f.write_str("a count")
            }
            fn visit_u64<E>(self, value: u64) -> Result<Count, E> {
                Ok(Count(value))
            }
            #[expect(
                clippy::cast_possible_truncation,
                clippy::cast_sign_loss,
                reason = "checked to be whole, not negative and below 2^53"
            )]
            fn visit_f64<E: serde::de::Error>(self, value: f64) -> Result<Count, E> {
                if (0.0..9e15).contains(&value) && value.fract() == 0.0 {
                    Ok(Count(value as u64))
                } else {
                    Err(E::custom("not a count"))
                }
            }
        }
        deserializer.deserialize_any(Number)
    }
}
