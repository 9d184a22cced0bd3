//! How much a call of a model uses of a budget: at the most, or as it was counted.

use turnpike_llm::usage::Usage;
use turnpike_policy::{Price, Unit};

use crate::settle::{Bound, Settlement};

/// Tokens by how they are priced.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Tokens {
    /// Read by the model, without those that follow.
    pub input: u64,
    /// Of what it read, what came from the provider's cache.
    pub cached: u64,
    /// Of what it read, what was written to the provider's cache.
    pub written: u64,
    /// Written by the model.
    pub output: u64,
}

impl From<Usage> for Tokens {
    fn from(usage: Usage) -> Self {
        let cached = usage.cached_tokens.min(usage.prompt_tokens);
        let fresh = usage.prompt_tokens.saturating_sub(cached);
        let written = usage.cache_write_tokens.min(fresh);
        Self {
            input: fresh.saturating_sub(written),
            cached,
            written,
            output: usage.completion_tokens,
        }
    }
}

/// What a settled call used; of one that is settled at its bound, all of it.
pub fn settled(settlement: Settlement, unit: Unit, price: Option<&Price>) -> u64 {
    match settlement {
        Settlement::Nothing => 0,
        Settlement::Counted(usage) => used(usage.into(), unit, price),
        Settlement::AtBound(bound) => at_most(bound, unit, price),
    }
}

/// What a call can use at the most. Of an answer without a bound that is everything.
pub fn at_most(bound: Bound, unit: Unit, price: Option<&Price>) -> u64 {
    let tokens = Tokens {
        input: bound.input,
        cached: 0,
        written: 0,
        output: bound.output.unwrap_or(u64::MAX),
    };
    // Whichever price of input is the highest one, and of those that a call of so many or less may cost.
    let dear = price.map(|price| {
        let long = price.reading(bound.input);
        let highest = |price: &Price| price.input.max(price.cached_input).max(price.cache_write);
        Price {
            input: highest(price).max(highest(&long)),
            output: price.output.max(long.output),
            long: None,
            ..*price
        }
    });
    used(tokens, unit, dear.as_ref())
}

/// What these tokens are in a unit. Money is rounded up once, for all of them; without a price it is none.
pub fn used(tokens: Tokens, unit: Unit, price: Option<&Price>) -> u64 {
    let read = tokens
        .input
        .saturating_add(tokens.cached)
        .saturating_add(tokens.written);
    match unit {
        Unit::Tokens => read.saturating_add(tokens.output),
        Unit::InputTokens => read,
        Unit::OutputTokens => tokens.output,
        // Not of tokens: see `account::first`.
        Unit::Bytes => 0,
        Unit::NanoUsd => price.map_or(0, |price| {
            let price = price.reading(read);
            let part = |count: u64, price: u64| u128::from(count) * u128::from(price);
            let millionths = part(tokens.input, price.input)
                .saturating_add(part(tokens.cached, price.cached_input))
                .saturating_add(part(tokens.written, price.cache_write))
                .saturating_add(part(tokens.output, price.output));
            u64::try_from(millionths.div_ceil(1_000_000)).unwrap_or(u64::MAX)
        }),
    }
}

#[cfg(test)]
mod tests {
    use turnpike_policy::LongPrice;

    use super::*;

    const PRICE: Price = Price {
        input: 1_250_000_000,
        output: 10_000_000_000,
        cached_input: 125_000_000,
        cache_write: 1_500_000_000,
        long: None,
    };
    /// The same, and twice that in calls that read more than a hundred.
    const LONG: Price = Price {
        long: Some(LongPrice {
            over: 100,
            input: 2_500_000_000,
            output: 20_000_000_000,
            cached_input: 250_000_000,
            cache_write: 3_000_000_000,
        }),
        ..PRICE
    };

    fn usage(prompt: u64, completion: u64, cached: u64) -> Settlement {
        Settlement::Counted(Usage {
            prompt_tokens: prompt,
            completion_tokens: completion,
            cached_tokens: cached,
            cache_write_tokens: 0,
            reasoning_tokens: 0,
        })
    }

    fn writing(prompt: u64, cached: u64, written: u64) -> Settlement {
        Settlement::Counted(Usage {
            prompt_tokens: prompt,
            cached_tokens: cached,
            cache_write_tokens: written,
            ..Usage::default()
        })
    }

    #[test]
    fn amounts() {
        for (settlement, unit, expected) in [
            (usage(100, 50, 40), Unit::Tokens, 150),
            (usage(100, 50, 40), Unit::InputTokens, 100),
            (usage(100, 50, 40), Unit::OutputTokens, 50),
            // 60 * 1250 + 40 * 125 + 50 * 10000
            (usage(100, 50, 40), Unit::NanoUsd, 580_000),
            // More from the cache than was read: only what was read.
            (usage(10, 0, 40), Unit::NanoUsd, 1_250),
            (writing(100, 40, 30), Unit::InputTokens, 100),
            // 30 * 1250 + 40 * 125 + 30 * 1500
            (writing(100, 40, 30), Unit::NanoUsd, 87_500),
            // More written than was read afresh: only that.
            (writing(100, 40, 90), Unit::NanoUsd, 95_000),
            (Settlement::Nothing, Unit::NanoUsd, 0),
            (
                Settlement::AtBound(Bound {
                    input: 100,
                    output: Some(50),
                }),
                Unit::NanoUsd,
                650_000,
            ),
            (
                Settlement::AtBound(Bound {
                    input: 1,
                    output: None,
                }),
                Unit::OutputTokens,
                u64::MAX,
            ),
        ] {
            assert_eq!(
                settled(settlement, unit, Some(&PRICE)),
                expected,
                "{settlement:?} {unit:?}"
            );
        }
        assert_eq!(settled(usage(100, 50, 0), Unit::NanoUsd, None), 0);
        // A fraction of a nano-dollar is rounded up, once.
        let cheap = Price {
            input: 1,
            output: 1,
            cached_input: 1,
            cache_write: 1,
            long: None,
        };
        assert_eq!(settled(usage(1, 1, 0), Unit::NanoUsd, Some(&cheap)), 1);
        assert_eq!(
            settled(usage(u64::MAX, u64::MAX, 0), Unit::NanoUsd, Some(&PRICE)),
            u64::MAX
        );
    }

    /// All tokens of a call that reads more than `over` cost more, those up to it too.
    #[test]
    fn a_long_call_is_dearer_as_a_whole() {
        for (prompt, completion, cached, expected) in [
            (100, 50, 40, 580_000),
            // 61 * 2500 + 40 * 250 + 50 * 20000
            (101, 50, 40, 1_162_500),
        ] {
            let usage = usage(prompt, completion, cached);
            assert_eq!(settled(usage, Unit::NanoUsd, Some(&LONG)), expected);
            assert_eq!(settled(usage, Unit::Tokens, Some(&LONG)), prompt + completion);
        }
        for (input, expected) in [(100, 650_000), (101, 101 * 3_000 + 50 * 20_000)] {
            let bound = Bound {
                input,
                output: Some(50),
            };
            assert_eq!(at_most(bound, Unit::NanoUsd, Some(&LONG)), expected);
        }
    }

    #[test]
    fn a_bound_covers_whatever_is_counted_within_it() {
        let dear_cache = Price {
            cached_input: 9_000_000_000,
            ..PRICE
        };
        // Of which short calls are the dear ones.
        let cheap_long = Price {
            long: Some(LongPrice {
                over: 99,
                input: 1,
                output: 1,
                cached_input: 1,
                cache_write: 1,
            }),
            ..PRICE
        };
        for (price, input) in [
            (PRICE, 100),
            (dear_cache, 100),
            (LONG, 100),
            (LONG, 101),
            (cheap_long, 101),
        ] {
            for (prompt, completion, cached) in [
                (0, 0, 0),
                (input, 50, 0),
                (input, 50, input),
                (99, 1, 7),
                (99, 50, 0),
            ] {
                for unit in [Unit::Tokens, Unit::InputTokens, Unit::OutputTokens, Unit::NanoUsd] {
                    let bound = Bound {
                        input,
                        output: Some(50),
                    };
                    let most = at_most(bound, unit, Some(&price));
                    assert!(settled(usage(prompt, completion, cached), unit, Some(&price)) <= most);
                    assert!(settled(writing(prompt, cached, prompt), unit, Some(&price)) <= most);
                }
            }
        }
    }
}
