//! A rate limit is one number: the instant at which everything that has passed would be paid off.
//!
//! That instant (the theoretical arrival time, TAT, of GCRA; ITU-T I.371) is counted in units of
//! `1 / count` of a millisecond. In these units a request costs exactly `period`, one millisecond
//! is exactly `count`, and the law of a rate holds to the last request for every ratio, without a
//! fraction anywhere: in any interval `w` at most `burst + floor(count * w / period)` pass.
//!
//! Why it holds: a request that passes moves the TAT up by at least `period`, and passes only
//! where the TAT then lies at most `burst * period` ahead of its instant. So of `k` requests that
//! pass between `a` and `b` the first leaves the TAT at `a + period` or later, the others add
//! `(k - 1) * period`, and the last finds it no later than `b + burst * period`. Nothing in this
//! asks for the instants to be in order, only for the TAT never to be lowered.

use serde::{Deserialize, Serialize};
use turnpike_policy::{Millis, Rate, Timestamp};

use super::Level;

/// The theoretical arrival time of one subject under one [`Rate`].
///
/// Of use only with the rate under which it was made: its unit is `1 / rate.count` of a
/// millisecond since the Unix epoch. 128 bits hold any time (64) by any count (32) without overflow.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub struct Tat(u128);

impl Tat {
    /// Of a subject that owes nothing.
    pub const IDLE: Self = Self(0);

    /// Of a subject that owes so many requests at `now`.
    pub fn owing(rate: &Rate, now: Timestamp, requests: u64) -> Self {
        Self(units(rate, now).saturating_add(cost_of(rate, requests)))
    }

    /// Of a subject that owes until `instant`.
    pub fn until(rate: &Rate, instant: Timestamp) -> Self {
        Self(units(rate, instant))
    }

    /// Lets `cost` requests pass at `now` and returns the new TAT, or the milliseconds after which
    /// they would pass if nothing else did.
    ///
    /// A cost above the burst never passes; it is told when the burst is whole.
    pub fn take(self, rate: &Rate, now: Timestamp, cost: u32) -> Result<Self, Millis> {
        let at = units(rate, now);
        let base = self.0.max(at);
        if rate.count == 0 || rate.period == 0 || cost > rate.burst {
            return Err(millis_ceil(rate, base - at));
        }
        let after = base.saturating_add(cost_of(rate, u64::from(cost)));
        let bound = at.saturating_add(cost_of(rate, u64::from(rate.burst)));
        if after <= bound {
            Ok(Self(after))
        } else {
            Err(millis_ceil(rate, after - bound))
        }
    }

    /// Books `cost` requests that another law let pass; never to more than a whole burst.
    #[must_use]
    pub fn book(self, rate: &Rate, now: Timestamp, cost: u32) -> Self {
        let at = units(rate, now);
        let after = self.0.max(at).saturating_add(cost_of(rate, u64::from(cost)));
        let bound = at.saturating_add(cost_of(rate, u64::from(rate.burst)));
        // What already stood higher (a clock that was set back) is not lowered.
        Self(after.min(bound).max(self.0))
    }

    /// What could pass at `now`, and when more could.
    pub fn level(self, rate: &Rate, now: Timestamp) -> Level {
        if rate.count == 0 || rate.period == 0 {
            return Level::default();
        }
        let at = units(rate, now);
        let owed = self.0.saturating_sub(at);
        let burst = cost_of(rate, u64::from(rate.burst));
        let period = u128::from(rate.period);
        let remaining = burst.saturating_sub(owed) / period;
        let next = if owed == 0 {
            0
        } else {
            // One more than now: the TAT may then stand `remaining + 1` requests below the bound.
            let allowed = burst.saturating_sub((remaining + 1).saturating_mul(period));
            millis_ceil(rate, owed.saturating_sub(allowed))
        };
        Level {
            remaining: u64::try_from(remaining).unwrap_or(u64::MAX),
            next_ms: next,
            full_ms: millis_ceil(rate, owed),
        }
    }

    /// The requests that are owed at `now`, rounded up.
    pub fn owed(self, rate: &Rate, now: Timestamp) -> u64 {
        let owed = self.0.saturating_sub(units(rate, now));
        u64::try_from(owed.div_ceil(u128::from(rate.period.max(1)))).unwrap_or(u64::MAX)
    }

    /// As much later as so many requests cost.
    #[must_use]
    pub fn ahead(self, rate: &Rate, requests: u64) -> Self {
        Self(self.0.saturating_add(cost_of(rate, requests)))
    }

    /// As much earlier as so many requests cost.
    #[must_use]
    pub fn less(self, rate: &Rate, requests: u32) -> Self {
        Self(self.0.saturating_sub(cost_of(rate, requests.into())))
    }

    /// The first millisecond at which nothing is owed.
    pub fn paid_at(self, rate: &Rate) -> Timestamp {
        millis_ceil(rate, self.0)
    }

    /// As a plain number, for tables that pack it.
    pub(super) const fn to_bits(self) -> u128 {
        self.0
    }

    /// From [`Tat::to_bits`].
    pub(super) const fn from_bits(bits: u128) -> Self {
        Self(bits)
    }
}

/// An instant in the units of a rate.
fn units(rate: &Rate, at: Timestamp) -> u128 {
    u128::from(at) * u128::from(rate.count)
}

/// What so many requests cost, in the units of a rate.
fn cost_of(rate: &Rate, requests: u64) -> u128 {
    u128::from(requests) * u128::from(rate.period)
}

/// Units to milliseconds, rounded up.
fn millis_ceil(rate: &Rate, units: u128) -> Millis {
    let count = u64::from(rate.count.max(1));
    // Nearly always small enough for one machine division.
    match u64::try_from(units) {
        Ok(units) => units.div_ceil(count),
        Err(_) => u64::try_from(units.div_ceil(u128::from(count))).unwrap_or(u64::MAX),
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn rate(count: u32, period: u64, burst: u32) -> Rate {
        Rate { count, period, burst }
    }

    /// How many of `n` requests at `now` pass.
    fn flood(tat: &mut Tat, rate: &Rate, now: u64, n: u32) -> u32 {
        let mut passed = 0;
        for _ in 0..n {
            if let Ok(next) = tat.take(rate, now, 1) {
                *tat = next;
                passed += 1;
            }
        }
        passed
    }

    #[test]
    fn a_held_clock_lets_exactly_the_burst_pass() {
        let law = rate(100, 60_000, 100);
        let mut tat = Tat::IDLE;
        assert_eq!(flood(&mut tat, &law, 1_800_000_000_000, 1_022), 100);
        assert_eq!(flood(&mut tat, &law, 1_800_000_000_000, 1_022), 0);
    }

    #[test]
    fn in_real_time_the_rate_is_added_and_nothing_else() {
        let law = rate(100, 60_000, 100);
        for step in [1_u64, 7, 13, 600, 601] {
            let (start, mut tat, mut passed) = (1_800_000_000_000_u64, Tat::IDLE, 0_u64);
            let mut elapsed = 0;
            while elapsed <= 120_000 {
                passed += u64::from(flood(&mut tat, &law, start + elapsed, 120));
                assert_eq!(passed, 100 + elapsed * 100 / 60_000, "step {step} at {elapsed}");
                elapsed += step;
            }
        }
    }

    #[test]
    fn odd_ratios_stay_exact() {
        // (count, period, burst, elapsed)
        for (count, period, burst, elapsed) in [
            (3, 1_000, 2, 1_000_000),
            (7, 86_400_000, 2, 86_400_000 * 3),
            (1_000_003, 60_000, 34, 6_000),
            (1, 1, 1, 50_000),
            (999_983, 1_000_003, 3, 80_000),
        ] {
            let law = rate(count, period, burst);
            let (mut tat, mut passed, mut at) = (Tat::IDLE, 0_u128, 1_u64);
            // Always asks again exactly when told to.
            loop {
                match tat.take(&law, at, 1) {
                    Ok(next) => {
                        tat = next;
                        passed += 1;
                    }
                    Err(wait) if at + wait <= 1 + elapsed && passed < 200_000 => at += wait,
                    Err(_) => break,
                }
                if passed >= 200_000 {
                    break;
                }
            }
            let bound = u128::from(burst) + u128::from(at - 1) * u128::from(count) / u128::from(period);
            assert!(passed <= bound);
            // A burst that bridges the rounding of waits to milliseconds: nothing is lost.
            assert_eq!(passed, bound.min(200_000), "{count}/{period}");
        }
    }

    #[test]
    fn levels() {
        let law = rate(60, 60_000, 5);
        let t = 1_000_000;
        // (requests taken, milliseconds later) -> (remaining, next, full)
        for (taken, later, expected) in [
            (0, 0, (5, 0, 0)),
            (1, 0, (4, 1_000, 1_000)),
            (5, 0, (0, 1_000, 5_000)),
            (5, 999, (0, 1, 4_001)),
            (5, 1_000, (1, 1_000, 4_000)),
            (5, 5_000, (5, 0, 0)),
            (5, 900_000, (5, 0, 0)),
        ] {
            let mut tat = Tat::IDLE;
            assert_eq!(flood(&mut tat, &law, t, taken), taken);
            let level = tat.level(&law, t + later);
            assert_eq!(
                (level.remaining, level.next_ms, level.full_ms),
                expected,
                "{taken} {later}"
            );
        }
    }

    #[test]
    fn what_can_never_pass_is_told_when_the_burst_is_whole() {
        let law = rate(60, 60_000, 5);
        let tat = Tat::owing(&law, 1_000, 2);
        assert_eq!(tat.take(&law, 1_000, 6), Err(2_000));
        assert_eq!(tat.take(&law, 1_000, 3), Ok(Tat::owing(&law, 1_000, 5)));
    }

    #[test]
    fn a_rate_of_nothing_lets_nothing_pass() {
        for law in [rate(0, 1, 1), rate(1, 0, 1), rate(1, 1, 0)] {
            assert!(Tat::IDLE.take(&law, 5, 1).is_err());
            assert_eq!(Tat::IDLE.level(&law, 5).remaining, 0);
        }
    }

    proptest! {
        #[test]
        fn the_law_holds_for_all_pairs_and_waits_are_true(
            count in 1_u32..200, period in 1_u64..5_000, burst in 1_u32..20,
            steps in prop::collection::vec((-40_i64..400, 1_u32..3), 1..120),
        ) {
            let law = rate(count, period, burst);
            let (mut now, mut tat) = (1_000_000_u64, Tat::IDLE);
            let mut passed: Vec<u64> = Vec::new();
            for (step, cost) in steps {
                now = now.saturating_add_signed(step);
                let level = tat.level(&law, now);
                prop_assert_eq!(tat.take(&law, now, 1).is_ok(), level.remaining >= 1);
                if level.next_ms > 0 {
                    prop_assert!(tat.level(&law, now + level.next_ms).remaining > level.remaining);
                    prop_assert_eq!(
                        tat.level(&law, now + level.next_ms - 1).remaining, level.remaining);
                }
                prop_assert_eq!(
                    tat.level(&law, now + level.full_ms).remaining, u64::from(burst));
                match tat.take(&law, now, cost) {
                    Ok(next) => {
                        tat = next;
                        passed.extend((0..cost).map(|_| now));
                    }
                    Err(wait) if cost <= burst => {
                        prop_assert!(wait >= 1);
                        prop_assert!(tat.take(&law, now + wait, cost).is_ok());
                        prop_assert!(tat.take(&law, now + wait - 1, cost).is_err());
                    }
                    Err(_) => {}
                }
            }
            passed.sort_unstable();
            for (i, a) in passed.iter().enumerate() {
                for (j, b) in passed.iter().enumerate().skip(i) {
                    let bound = u64::from(burst) + u64::from(count) * (b - a) / period;
                    prop_assert!((j - i + 1) as u64 <= bound);
                }
            }
        }

        #[test]
        fn no_number_makes_it_panic(
            bits: u128, count: u32, period: u64, burst: u32, now: u64, cost: u32, requests: u64,
        ) {
            let law = rate(count, period, burst);
            for tat in [Tat(bits), Tat::owing(&law, now, requests)] {
                let _ = tat.take(&law, now, cost);
                let _ = tat.book(&law, now, cost);
                let _ = tat.level(&law, now);
                let _ = tat.owed(&law, now);
                let _ = tat.ahead(&law, requests).paid_at(&law);
            }
        }
    }
}
