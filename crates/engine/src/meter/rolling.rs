//! A rolling window counts what passed in the last so many milliseconds, at every instant anew.
//!
//! It is kept as counts of [`PARTS`] equal parts of its length and of the part that has just begun. What
//! passed in a part counts until the whole part is out of the window. So in no interval as long as the window
//! does more pass than the limit says, and what was used comes back at most a twentieth of the window late.

use serde::{Deserialize, Serialize};
use turnpike_policy::{Millis, Timestamp};

use super::Level;
use super::quota::Span;

/// Into how many parts a window is cut.
pub const PARTS: usize = 20;

/// What was used in the parts of a rolling window.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Rolled {
    /// The number of the newest part, counted from the begin of Unix time.
    newest: u64,
    /// What was used in each: the newest, and those before it.
    counts: [u64; PARTS + 1],
}

/// The length of a part.
pub fn part(length: Millis) -> Millis {
    length.div_ceil(parts()).max(1)
}

fn parts() -> u64 {
    u64::try_from(PARTS).unwrap_or(u64::MAX)
}

/// The part in which `at` lies.
pub fn span(length: Millis, at: Timestamp) -> Span {
    let part = part(length);
    let start = at - at % part;
    Span {
        start,
        end: start.saturating_add(part),
    }
}

impl Rolled {
    /// Nothing, ever.
    pub const IDLE: Self = Self {
        newest: 0,
        counts: [0; PARTS + 1],
    };

    /// So much, just now.
    pub fn owing(length: Millis, now: Timestamp, count: u64) -> Self {
        let mut rolled = Self::default().at(length, now);
        rolled.add(count);
        rolled
    }

    /// The window as it is at `now`. A clock that was set back does not bring parts back.
    fn at(self, length: Millis, now: Timestamp) -> Self {
        let newest = (now / part(length)).max(self.newest);
        let gone = usize::try_from(newest - self.newest).unwrap_or(usize::MAX);
        if gone == 0 {
            return self;
        }
        let mut counts = [0; PARTS + 1];
        // By as many places older; what falls off the end is out of the window.
        for (to, from) in counts.iter_mut().skip(gone).zip(self.counts) {
            *to = from;
        }
        Self { newest, counts }
    }

    fn add(&mut self, count: u64) {
        if let Some(newest) = self.counts.first_mut() {
            *newest = newest.saturating_add(count);
        }
    }

    /// All that counts.
    pub fn total(self, length: Millis, now: Timestamp) -> u64 {
        self.at(length, now)
            .counts
            .iter()
            .fold(0, |sum, count| sum.saturating_add(*count))
    }

    /// Charges `cost`, or tells after how many milliseconds so much would be there.
    pub fn take(self, length: Millis, limit: u64, now: Timestamp, cost: u64) -> Result<Self, Millis> {
        let mut rolled = self.at(length, now);
        let total = rolled.total(length, now);
        if cost == 0 || total.checked_add(cost).is_some_and(|total| total <= limit) {
            rolled.add(cost);
            return Ok(rolled);
        }
        Err(rolled.free(length, now, total.saturating_sub(limit.saturating_sub(cost))))
    }

    /// Books what another law let pass.
    #[must_use]
    pub fn book(self, length: Millis, now: Timestamp, cost: u64) -> Self {
        let mut rolled = self.at(length, now);
        rolled.add(cost);
        rolled
    }

    /// After how many milliseconds so much more is free; if never, when all of it is.
    fn free(self, length: Millis, now: Timestamp, wanted: u64) -> Millis {
        let mut freed = 0_u64;
        let mut wait = 0;
        for (age, count) in (0_u64..).zip(self.counts).collect::<Vec<_>>().into_iter().rev() {
            if count == 0 {
                continue;
            }
            freed = freed.saturating_add(count);
            // A part is out when the newest is by all of them younger.
            let number = self
                .newest
                .saturating_sub(age)
                .saturating_add(parts())
                .saturating_add(1);
            wait = number.saturating_mul(part(length)).saturating_sub(now);
            if freed >= wanted {
                break;
            }
        }
        wait
    }

    /// Gives back what was charged in the part that began at `start`, if that still counts.
    #[must_use]
    pub fn refund(mut self, length: Millis, start: Timestamp, amount: u64) -> Self {
        let age = self.newest.checked_sub(start / part(length));
        let place = age.and_then(|age| usize::try_from(age).ok());
        if let Some(count) = place.and_then(|place| self.counts.get_mut(place)) {
            *count = count.saturating_sub(amount);
        }
        self
    }

    /// Takes back so much of what counts, beginning with what would count longest.
    #[must_use]
    pub fn credit(self, length: Millis, now: Timestamp, mut amount: u64) -> Self {
        let mut rolled = self.at(length, now);
        for count in &mut rolled.counts {
            let taken = amount.min(*count);
            *count -= taken;
            amount -= taken;
        }
        rolled
    }

    /// When nothing of it counts any more.
    pub fn over(self, length: Millis) -> Timestamp {
        let youngest = self.counts.iter().position(|count| *count > 0);
        match youngest.and_then(|age| u64::try_from(age).ok()) {
            Some(age) => {
                let number = self
                    .newest
                    .saturating_sub(age)
                    .saturating_add(parts())
                    .saturating_add(1);
                number.saturating_mul(part(length))
            }
            None => 0,
        }
    }

    /// What could pass at `now`, and when more could.
    pub fn level(self, length: Millis, limit: u64, now: Timestamp) -> Level {
        let rolled = self.at(length, now);
        let total = rolled.total(length, now);
        let next_ms = if total == 0 {
            0
        } else {
            rolled.free(length, now, 1)
        };
        Level {
            remaining: limit.saturating_sub(total),
            next_ms,
            full_ms: rolled.over(length).saturating_sub(now),
        }
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    const NOW: Timestamp = 1_800_000_000_000;

    #[test]
    fn what_was_used_comes_back_a_part_after_it_is_out() {
        let hour = 3_600_000;
        let rolled = Rolled::default().take(hour, 10, NOW, 7).unwrap();
        assert_eq!(
            rolled
                .take(hour, 10, NOW, 3)
                .unwrap()
                .level(hour, 10, NOW)
                .remaining,
            0
        );
        let wait = rolled.take(hour, 10, NOW, 4).unwrap_err();
        assert!(wait >= hour && wait <= hour + part(hour), "{wait}");
        assert!(rolled.take(hour, 10, NOW + wait - 1, 4).is_err());
        assert!(rolled.take(hour, 10, NOW + wait, 4).is_ok());
        assert_eq!(rolled.over(hour), NOW + wait);
        // More than the limit never passes; it is told when all of it is free.
        assert_eq!(rolled.take(hour, 10, NOW, 11), Err(wait));
        // A clock that is set back brings nothing back.
        let later = rolled.book(hour, NOW + hour / 2, 3);
        assert_eq!(later.total(hour, NOW - hour), 10);
        assert_eq!(later.refund(hour, NOW, 5).total(hour, NOW + hour / 2), 5);
        assert_eq!(later.refund(hour, NOW - 9 * hour, 5), later);
    }

    proptest! {
        /// In no interval as long as the window do more pass than the limit, and what is told of waiting is
        /// true to the millisecond.
        #[test]
        fn no_interval_holds_more_than_the_limit(
            length in 1_u64..5_000,
            limit in 1_u64..20,
            steps in prop::collection::vec((0_u64..2_000, 1_u64..6), 1..120),
        ) {
            let (mut now, mut rolled) = (NOW, Rolled::default());
            let mut passed: Vec<(Timestamp, u64)> = Vec::new();
            for (wait, cost) in steps {
                now += wait;
                match rolled.take(length, limit, now, cost) {
                    Ok(after) => {
                        rolled = after;
                        passed.push((now, cost));
                    }
                    Err(told) if cost <= limit => {
                        prop_assert!(rolled.take(length, limit, now + told, cost).is_ok());
                        prop_assert!(told > 0 && rolled.take(length, limit, now + told - 1, cost).is_err());
                        let needed = passed.iter().filter(|(at, _)| at + length > now).map(|(_, cost)| cost).sum::<u64>();
                        // Not refused for what was out of the window by more than a part.
                        let kept = passed.iter().filter(|(at, _)| at + length + 2 * part(length) + u64::try_from(PARTS).unwrap() > now);
                        prop_assert!(needed + cost > limit || kept.map(|(_, cost)| cost).sum::<u64>() + cost > limit);
                    }
                    Err(_) => {}
                }
            }
            for (first, _) in &passed {
                let inside = passed.iter().filter(|(at, _)| at >= first && *at < first + length);
                prop_assert!(inside.map(|(_, cost)| cost).sum::<u64>() <= limit);
            }
        }
    }
}
