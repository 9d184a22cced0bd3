//! Rule 7 looked at from outside: who broke it, and what the best possible limiter would have done.
//!
//! Nothing here is the meter's. The checker knows only when requests passed; the ideal limiter counts tokens, sees
//! every request at the instant at which it arrives anywhere, and is asked in no time.

use turnpike_policy::{LimitKind, Rate, Window};

/// Whether what passed kept one limit.
///
/// Of a rate: for all pairs of requests `i <= j` that passed at `t`, `j - i + 1 <= B + floor(N * (t_j - t_i) / T)`.
/// In whole numbers that is `(j + 1) * T - N * t_j - B * T <= i * T - N * t_i`, so it is enough to remember the
/// smallest right-hand side that was seen.
#[derive(Clone, Debug)]
enum Check {
    Rate { rate: Rate, passed: i128, least: i128 },
    Quota { count: u64, window: u64, passed: u64 },
}

/// Of one subject: what passed, judged by each of its limits.
#[derive(Clone, Debug)]
pub(crate) struct Checks {
    checks: Vec<Check>,
    last: u64,
}

impl Checks {
    /// Nothing has passed yet.
    pub(crate) fn new<'a>(limits: impl Iterator<Item = &'a LimitKind>) -> Self {
        let check = |kind: &LimitKind| match *kind {
            LimitKind::Rate(rate) => Check::Rate {
                rate,
                passed: 0,
                least: i128::MAX,
            },
            LimitKind::Quota { count, window } => {
                assert_eq!(window, Window::Minute, "the only window that is simulated");
                Check::Quota {
                    count,
                    window: 0,
                    passed: 0,
                }
            }
            other => panic!("{other:?} is not simulated"),
        };
        Self {
            checks: limits.map(check).collect(),
            last: 0,
        }
    }

    /// A request passed; whether it should not have. `wall`: what the clock says by which windows end.
    pub(crate) fn pass(&mut self, at: u64, wall: u64) -> bool {
        assert!(at >= self.last, "they are looked at in order");
        self.last = at;
        let broken = self.checks.iter().any(|check| check.breaks(at, wall));
        // Who was over the limit is counted once, and not held against those that follow.
        if !broken {
            for check in &mut self.checks {
                check.book(at, wall);
            }
        }
        broken
    }
}

impl Check {
    fn breaks(&self, at: u64, wall: u64) -> bool {
        match self {
            Self::Rate { rate, passed, least } => {
                let (period, burst) = (i128::from(rate.period), i128::from(rate.burst));
                let right = passed * period - i128::from(rate.count) * i128::from(at);
                right + period - burst * period > (*least).min(right)
            }
            Self::Quota {
                count,
                window,
                passed,
            } => *window == wall / 60_000 && *passed >= *count,
        }
    }

    fn book(&mut self, at: u64, wall: u64) {
        match self {
            Self::Rate { rate, passed, least } => {
                let right = *passed * i128::from(rate.period) - i128::from(rate.count) * i128::from(at);
                *least = (*least).min(right);
                *passed += 1;
            }
            Self::Quota { window, passed, .. } => {
                if *window != wall / 60_000 {
                    (*window, *passed) = (wall / 60_000, 0);
                }
                *passed += 1;
            }
        }
    }
}

/// The best possible limiter of one subject.
#[derive(Clone, Debug)]
pub(crate) struct Ideal(Vec<Tokens>);

#[derive(Clone, Debug)]
struct Tokens {
    kind: LimitKind,
    /// Of a rate in parts of a request (its period), of a quota whole.
    left: u128,
    seen: u64,
}

impl Ideal {
    /// Nothing is used.
    pub(crate) fn new<'a>(limits: impl Iterator<Item = &'a LimitKind>) -> Self {
        let tokens = |kind: &LimitKind| Tokens {
            kind: *kind,
            left: full(kind),
            seen: 0,
        };
        Self(limits.map(tokens).collect())
    }

    /// Whether a request that arrives now would pass.
    pub(crate) fn take(&mut self, at: u64) -> bool {
        for tokens in &mut self.0 {
            tokens.refill(at);
        }
        let passes = self.0.iter().all(|tokens| tokens.left >= price(&tokens.kind));
        if passes {
            for tokens in &mut self.0 {
                tokens.left -= price(&tokens.kind);
            }
        }
        passes
    }
}

impl Tokens {
    fn refill(&mut self, at: u64) {
        match &self.kind {
            LimitKind::Rate(rate) => {
                let more = u128::from(rate.count) * u128::from(at - self.seen);
                self.left = (self.left + more).min(full(&self.kind));
            }
            _ if at / 60_000 != self.seen / 60_000 => self.left = full(&self.kind),
            _ => {}
        }
        self.seen = at;
    }
}

fn price(kind: &LimitKind) -> u128 {
    match kind {
        LimitKind::Rate(rate) => rate.period.into(),
        _ => 1,
    }
}

fn full(kind: &LimitKind) -> u128 {
    match kind {
        LimitKind::Rate(rate) => u128::from(rate.burst) * u128::from(rate.period),
        LimitKind::Quota { count, .. } => u128::from(*count),
        _ => 0,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn limits(count: u32, burst: u32, quota: u64) -> [LimitKind; 2] {
        [
            LimitKind::Rate(Rate {
                count,
                period: 1_000,
                burst,
            }),
            LimitKind::Quota {
                count: quota,
                window: Window::Minute,
            },
        ]
    }

    #[test]
    fn what_the_ideal_limiter_lets_pass_is_lawful_and_one_more_is_not() {
        let limits = limits(7, 5, 300);
        let (mut ideal, mut checks) = (Ideal::new(limits.iter()), Checks::new(limits.iter()));
        let (mut passed, mut refused) = (0, 0);
        for step in 0..40_000_u64 {
            let at = 1_800_000_000_000 + step * 13;
            if ideal.take(at) {
                passed += 1;
                assert!(!checks.pass(at, at));
            } else {
                refused += 1;
                assert!(checks.clone().pass(at, at), "refused without need at {step}");
            }
        }
        // 520 seconds are nine windows; the rate alone would let 3,645 pass.
        assert!(passed > 2_400 && refused > 30_000, "{passed} {refused}");
    }

    #[test]
    fn an_offender_is_seen() {
        let limits = limits(10, 3, 1_000);
        let mut checks = Checks::new(limits.iter());
        let over: Vec<bool> = [0, 0, 0, 0, 99, 100, 100, 200, 5_000, 5_000, 5_000, 5_000]
            .map(|at| checks.pass(1_000_000 + at, 1_000_000 + at))
            .to_vec();
        let at: Vec<usize> = (0..over.len()).filter(|index| over[*index]).collect();
        assert_eq!(at, [3, 4, 6, 11]);
    }
}
