//! What a client is told about its limits, in fields that it can compute with.
//!
//! `RateLimit-Policy` and `RateLimit` are lists of strings with parameters (RFC 9651), as in
//! `draft-ietf-httpapi-ratelimit-headers`: `"burst";q=100;w=60` and `"burst";r=50;t=30`.
//! `Retry-After` (RFC 9110, 10.2.3) is in whole seconds. `retry-after-ms` and `x-should-retry` are
//! what the SDKs of model providers read before anything else.

use std::fmt::Write as _;

use turnpike_policy::{LimitKind, Millis, Unit};

use super::Standing;

/// The largest integer of a structured field (RFC 9651, 3.3.1).
const LARGEST: u64 = 999_999_999_999_999;

/// The longest wait after which an SDK should try again by itself: beyond a minute (the bound of
/// the SDKs of model providers, too) a person should be told instead.
const SHORT: Millis = 60_000;

/// The value of `RateLimit-Policy`: every limit with its name; empty for no limits.
///
/// `w` is left out when the window is not whole seconds, as any rounding would state another rate. `qu` is the unit
/// of what is not counted in requests.
pub fn policy<'a>(standings: impl IntoIterator<Item = (&'a str, &'a LimitKind, &'a Standing)>) -> String {
    let mut value = String::with_capacity(48);
    for (name, kind, standing) in standings {
        item(&mut value, name);
        parameter(&mut value, 'q', standing.limit);
        if let Some(unit) = unit(kind) {
            // Writing to a string cannot fail.
            let _ = write!(value, ";qu=\"{unit}\"");
        }
        if standing.window_ms > 0 && standing.window_ms.is_multiple_of(1_000) {
            parameter(&mut value, 'w', standing.window_ms / 1_000);
        }
    }
    value
}

/// The unit of a limit; none: requests. The first two are the draft's, the others are named as they are in policies.
const fn unit(kind: &LimitKind) -> Option<&'static str> {
    match kind {
        LimitKind::Rate(_) | LimitKind::Quota { .. } => None,
        LimitKind::Concurrency { .. } => Some("concurrent-requests"),
        LimitKind::Budget { unit, .. } => Some(match unit {
            Unit::Bytes => "content-bytes",
            Unit::Tokens => "tokens",
            Unit::InputTokens => "input-tokens",
            Unit::OutputTokens => "output-tokens",
            Unit::NanoUsd => "nano-usd",
        }),
    }
}

/// The value of `RateLimit`: what is left of every limit; empty for no limits.
///
/// `t` is when more becomes available, in seconds rounded up; it is left out when nothing is used.
pub fn remaining<'a>(standings: impl IntoIterator<Item = (&'a str, &'a Standing)>) -> String {
    let mut value = String::with_capacity(48);
    for (name, standing) in standings {
        item(&mut value, name);
        parameter(&mut value, 'r', standing.remaining);
        if standing.reset_ms > 0 {
            parameter(&mut value, 't', seconds(standing.reset_ms));
        }
    }
    value
}

/// What a refused client is told about trying again.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Retry {
    /// `Retry-After`: whole seconds, rounded up, at least 1; so never before `t` of the limit that
    /// refused.
    pub after: u64,
    /// `retry-after-ms`: at least 1.
    pub after_ms: u64,
    /// `x-should-retry`: true for a rate that is open again within a minute and for a place, never for a
    /// quota or a budget.
    pub should: bool,
}

impl Retry {
    /// From the limit that refused and the wait that it named.
    pub fn new(refused_by: &LimitKind, retry_after_ms: Millis) -> Self {
        let asked = Self::asked(retry_after_ms);
        let passes = matches!(refused_by, LimitKind::Rate(_) | LimitKind::Concurrency { .. });
        Self {
            should: passes && asked.should,
            ..asked
        }
    }

    /// From what somebody else asks for who refused, as an upstream does.
    pub fn asked(retry_after_ms: Millis) -> Self {
        let after_ms = retry_after_ms.clamp(1, LARGEST);
        Self {
            after: seconds(after_ms),
            after_ms,
            should: after_ms <= SHORT,
        }
    }

    /// The value of `x-should-retry`.
    pub const fn should_retry(self) -> &'static str {
        if self.should { "true" } else { "false" }
    }
}

/// Milliseconds to seconds, rounded up.
const fn seconds(ms: Millis) -> u64 {
    ms.div_ceil(1_000)
}

/// Begins an item: a string. Its quotation marks and backslashes are escaped; what a structured
/// string cannot hold (anything beyond printable ASCII) is shown as `?`.
fn item(value: &mut String, name: &str) {
    if !value.is_empty() {
        value.push_str(", ");
    }
    value.push('"');
    for c in name.chars() {
        match c {
            '"' | '\\' => {
                value.push('\\');
                value.push(c);
            }
            ' '..='~' => value.push(c),
            _ => value.push('?'),
        }
    }
    value.push('"');
}

/// Adds a parameter, bounded by what a structured integer can hold.
fn parameter(value: &mut String, key: char, number: u64) {
    // Writing to a string cannot fail.
    let _ = write!(value, ";{key}={}", number.min(LARGEST));
}

#[cfg(test)]
mod tests {
    use turnpike_policy::{Rate, Window};

    use super::*;

    fn standing(limit: u64, window_ms: u64, remaining: u64, reset_ms: u64) -> Standing {
        Standing {
            limit,
            window_ms,
            remaining,
            reset_ms,
        }
    }

    #[test]
    fn fields() {
        // (name, standing, policy, remaining)
        for (name, standing, stated, left) in [
            (
                "burst",
                standing(100, 60_000, 50, 30_000),
                r#""burst";q=100;w=60"#,
                r#""burst";r=50;t=30"#,
            ),
            ("a", standing(5, 1_000, 0, 1), r#""a";q=5;w=1"#, r#""a";r=0;t=1"#),
            (
                "a",
                standing(5, 1_000, 0, 1_001),
                r#""a";q=5;w=1"#,
                r#""a";r=0;t=2"#,
            ),
            (
                "full",
                standing(5, 1_000, 5, 0),
                r#""full";q=5;w=1"#,
                r#""full";r=5"#,
            ),
            (
                "half",
                standing(5, 1_500, 1, 9),
                r#""half";q=5"#,
                r#""half";r=1;t=1"#,
            ),
            (
                r#"q"uo\te"#,
                standing(1, 1_000, 0, 0),
                r#""q\"uo\\te";q=1;w=1"#,
                r#""q\"uo\\te";r=0"#,
            ),
            (
                "né\r\nX: y",
                standing(1, 1_000, 0, 0),
                r#""n???X: y";q=1;w=1"#,
                r#""n???X: y";r=0"#,
            ),
            (
                "big",
                standing(u64::MAX, 1_000, u64::MAX, u64::MAX),
                r#""big";q=999999999999999;w=1"#,
                r#""big";r=999999999999999;t=999999999999999"#,
            ),
        ] {
            assert_eq!(policy([(name, &RATE, &standing)]), stated);
            assert_eq!(remaining([(name, &standing)]), left);
        }
        let (a, b) = (
            standing(100, 60_000, 50, 30_000),
            standing(1_000, 86_400_000, 999, 5),
        );
        assert_eq!(
            policy([("burst", &RATE, &a), ("daily", &RATE, &b)]),
            r#""burst";q=100;w=60, "daily";q=1000;w=86400"#
        );
        assert_eq!(policy([]), "");
        let budget = |unit| LimitKind::Budget {
            count: 5,
            window: Window::Day,
            unit,
        };
        for (kind, unit) in [
            (LimitKind::Concurrency { count: 5 }, "concurrent-requests"),
            (budget(Unit::Bytes), "content-bytes"),
            (budget(Unit::Tokens), "tokens"),
            (budget(Unit::InputTokens), "input-tokens"),
            (budget(Unit::OutputTokens), "output-tokens"),
            (budget(Unit::NanoUsd), "nano-usd"),
        ] {
            let stated = policy([("x", &kind, &standing(5, 1_000, 5, 0))]);
            assert_eq!(stated, format!("\"x\";q=5;qu=\"{unit}\";w=1"));
        }
    }

    const RATE: LimitKind = LimitKind::Rate(Rate {
        count: 1,
        period: 1,
        burst: 1,
    });

    #[test]
    fn retries() {
        let rate = LimitKind::Rate(Rate::default());
        let quota = LimitKind::Quota {
            count: 1,
            window: Window::Minute,
        };
        for (kind, ms, after, after_ms, should) in [
            (rate, 0, 1, 1, "true"),
            (rate, 1, 1, 1, "true"),
            (rate, 1_000, 1, 1_000, "true"),
            (rate, 1_001, 2, 1_001, "true"),
            (rate, 60_000, 60, 60_000, "true"),
            (rate, 60_001, 61, 60_001, "false"),
            (quota, 1_500, 2, 1_500, "false"),
        ] {
            let retry = Retry::new(&kind, ms);
            assert_eq!(
                (retry.after, retry.after_ms, retry.should_retry()),
                (after, after_ms, should)
            );
            assert!(retry.after >= seconds(ms));
        }
    }
}
