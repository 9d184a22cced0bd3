//! Limits in the memory of one isolate: a table of fixed size, for what must cost next to nothing.
//!
//! Whatever is kept here may vanish with the isolate and is not shared with others, so these limits
//! are approximate: each isolate grants the whole. What they never do is grow, and within one
//! isolate they are exact as long as the table has room.
//!
//! # When the table is full
//! Keys are spread by a keyed hash over sets of eight, and a key only ever lies in its own set.
//! When a set is full, an entry makes room: one that owes nothing if there is one, else the one
//! that is paid off first. So a flood of fresh addresses drives out other addresses of the flood,
//! which owe little, and not an offender, who owes most.
//!
//! To drive out an entry that still owes something would nevertheless grant its key a fresh
//! allowance. Each set therefore remembers, of the [`LAWS`] laws that this happened under last, the latest
//! instant up to which such an entry still owed, and a key of that law that is not in the table is taken to
//! owe up to that instant. The law then holds for every key under any flood, be it of addresses that are
//! counted under another law; what a flood costs is that newcomers of its set wait a little. They wait no longer
//! than [`CARRIED`]: who owes for a day and is driven out is forgotten by then. Where all have one
//! law (the shield) that instant is no later than the smallest debt in a full set, and becomes noticeable only
//! when a set sees new addresses faster than its eight entries are paid off (for 100 a second: 800 a second in
//! one set of 1,024).

use std::hash::{BuildHasher as _, Hasher as _};

use turnpike_policy::{LimitKind, Millis, Rate, Timestamp};

use super::gcra::Tat;
use super::quota::{Used, span};
use super::{Answer, Asked, Clock, Held, Outcome, judge, window_number};
use crate::seeded::Seeded;

/// Entries of a set: as many as are searched in one call.
const WAYS: usize = 8;
/// Sets of a table.
const SETS: usize = 1_024;
/// Of how many laws a set remembers what those owed that it drove out.
const LAWS: usize = 2;
/// For how long what was driven out is held against others at the most, in milliseconds.
const CARRIED: Millis = 60_000;
/// The most entries of a table.
pub const CAPACITY: usize = SETS * WAYS;

/// A limiter in memory. It takes 288 KiB, from the first.
#[derive(Clone, Debug)]
pub struct Local {
    seed: Seeded,
    clock: Clock,
    sets: Vec<Set>,
}

/// Eight keys, and what those that had to go still owed.
#[derive(Clone, Debug, Default)]
struct Set {
    slots: [Slot; WAYS],
    evicted: [Evicted; LAWS],
}

/// The latest instant up to which an entry that was driven out still owed, under one law.
#[derive(Clone, Copy, Debug, Default)]
struct Evicted {
    law: u32,
    until: Timestamp,
}

/// One key.
#[derive(Clone, Copy, Debug, Default)]
struct Slot {
    /// The hash of the key.
    key: u64,
    /// From when on nothing is owed; 0: the slot is free.
    paid: Timestamp,
    /// A TAT and above it its law, or the start of a window and what was used in it.
    held: u128,
}

impl Local {
    /// `seed` must be random and secret: with it, one could choose keys that share a set.
    pub fn new(seed: [u8; 16]) -> Self {
        Self::of(seed, SETS)
    }

    fn of(seed: [u8; 16], sets: usize) -> Self {
        Self {
            seed: Seeded::new(seed),
            clock: Clock::default(),
            sets: vec![Set::default(); sets],
        }
    }

    /// Lets one request of `key` pass, or tells how many milliseconds to wait (at least 1).
    pub fn take(&mut self, key: &[u8], rate: &Rate, now: Timestamp) -> Result<(), Millis> {
        let now = self.clock.at(now);
        let kind = LimitKind::Rate(*rate);
        let hash = self.hash(&[key], &kind);
        let after = self.look(hash, &kind).take(&kind, now, 1)?;
        self.put(hash, &kind, after, now);
        Ok(())
    }

    /// Decides all limits of so many requests of `subject` (0: it only looks), all or none, as its object
    /// would.
    ///
    /// At most [`super::MAX_LIMITS`] are expected; each id once.
    pub fn decide(&mut self, subject: &str, limits: &[Asked<'_>], cost: u32, now: Timestamp) -> Answer {
        let now = self.clock.at(now);
        let mut keys = Vec::with_capacity(limits.len());
        let mut held = Vec::with_capacity(limits.len());
        for asked in limits {
            let hash = self.hash(&[subject.as_bytes(), asked.id.as_bytes()], &asked.kind);
            keys.push(hash);
            held.push(self.look(hash, &asked.kind));
        }
        let kinds = limits.iter().map(|asked| &asked.kind);
        let mut shadowed = 0;
        let outcome = match judge(limits.iter().zip(held.iter().copied()), now, cost) {
            Ok(judged) => {
                for ((hash, kind), after) in keys.into_iter().zip(kinds.clone()).zip(&judged.after) {
                    self.put(hash, kind, *after, now);
                }
                held = judged.after;
                shadowed = judged.shadowed;
                Outcome::Admitted
            }
            Err(refused) => refused,
        };
        let standings = held
            .iter()
            .zip(kinds)
            .map(|(held, kind)| held.standing(kind, now))
            .collect();
        Answer {
            outcome,
            leased: 0,
            shadowed,
            standings,
        }
    }

    /// Takes back what [`Self::decide`] has just charged: another limit held the request back. Of rates alone;
    /// what was paid off meanwhile is given back too.
    pub fn undo(&mut self, subject: &str, limits: &[Asked<'_>], cost: u32, now: Timestamp) {
        let now = self.clock.at(now);
        for asked in limits {
            let hash = self.hash(&[subject.as_bytes(), asked.id.as_bytes()], &asked.kind);
            if let (LimitKind::Rate(rate), Held::Rate(tat)) = (&asked.kind, self.look(hash, &asked.kind)) {
                self.put(hash, &asked.kind, Held::Rate(tat.less(rate, cost)), now);
            }
        }
    }

    /// The key of a slot. A changed law is another key: within one isolate no law changes.
    fn hash(&self, parts: &[&[u8]], kind: &LimitKind) -> u64 {
        let mut hasher = self.seed.build_hasher();
        match kind {
            LimitKind::Rate(rate) => {
                hasher.write_u32(rate.count);
                hasher.write_u64(rate.period);
                hasher.write_u32(rate.burst);
            }
            LimitKind::Quota { window, .. } | LimitKind::Budget { window, .. } => {
                hasher.write_u8(window_number(*window));
            }
            LimitKind::Concurrency { .. } => {}
        }
        for part in parts {
            // With their lengths, so that no two lists of parts read alike.
            hasher.write_usize(part.len());
            hasher.write(part);
        }
        hasher.finish()
    }

    /// Which set a key lies in: always one that exists, unless there are none.
    fn set_of(&self, hash: u64) -> usize {
        usize::try_from(hash % u64::try_from(self.sets.len()).unwrap_or(1).max(1)).unwrap_or(0)
    }

    /// What is known under a key.
    fn look(&self, hash: u64, kind: &LimitKind) -> Held {
        let Some(set) = self.sets.get(self.set_of(hash)) else {
            return Held::idle(kind);
        };
        let slot = set.slots.iter().find(|slot| slot.paid > 0 && slot.key == hash);
        match (kind, slot) {
            (LimitKind::Rate(_), Some(slot)) => Held::Rate(Tat::from_bits(slot.held & OF_TAT)),
            (LimitKind::Quota { .. } | LimitKind::Budget { .. }, Some(slot)) => {
                Held::Quota(unpack(slot.held))
            }
            (LimitKind::Rate(rate), None) => {
                let law = law_of(rate);
                let evicted = set.evicted.iter().find(|evicted| evicted.law == law);
                Held::Rate(evicted.map_or(Tat::IDLE, |evicted| Tat::until(rate, evicted.until)))
            }
            (LimitKind::Concurrency { .. }, _) | (_, None) => Held::idle(kind),
        }
    }

    /// Keeps what is known under a key.
    fn put(&mut self, hash: u64, kind: &LimitKind, held: Held, now: Timestamp) {
        let index = self.set_of(hash);
        let Some(set) = self.sets.get_mut(index) else {
            return;
        };
        let (held, paid) = match (kind, held) {
            (LimitKind::Rate(rate), Held::Rate(tat)) => {
                let law = u128::from(law_of(rate)) << OF_TAT.count_ones();
                (law | tat.to_bits().min(OF_TAT), tat.paid_at(rate))
            }
            (LimitKind::Quota { window, .. } | LimitKind::Budget { window, .. }, Held::Quota(used)) => {
                (pack(used), span(*window, used.start).end)
            }
            // Places are given back, which only an object is told (the build allows no others here).
            _ => return,
        };
        let mine = set
            .slots
            .iter()
            .position(|slot| slot.paid > 0 && slot.key == hash);
        // Free slots (0) and those that owe nothing come first by this order.
        let slot = match mine {
            Some(place) => set.slots.get_mut(place),
            None => set.slots.iter_mut().min_by_key(|slot| slot.paid),
        };
        if let Some(slot) = slot {
            if mine.is_none() && slot.paid > now {
                remember(&mut set.evicted, slot, now);
            }
            *slot = Slot {
                key: hash,
                paid,
                held,
            };
        }
    }
}

/// The bits of a TAT in what is held: those of any time, by any count.
const OF_TAT: u128 = (1 << 96) - 1;

/// What tells a law from others: a hash of its numbers.
fn law_of(rate: &Rate) -> u32 {
    let mix = |hash: u64, number: u64| {
        (hash ^ number)
            .wrapping_mul(0x9e37_79b9_7f4a_7c15)
            .rotate_left(31)
    };
    let hash = [rate.count.into(), rate.period, rate.burst.into()]
        .into_iter()
        .fold(1, mix);
    u32::try_from(hash >> 32).unwrap_or(0)
}

/// Remembers what an entry owes that is driven out: in place of what is over first, where it is of another law.
fn remember(evicted: &mut [Evicted; LAWS], slot: &Slot, now: Timestamp) {
    let law = u32::try_from(slot.held >> OF_TAT.count_ones()).unwrap_or(0);
    let known = evicted.iter().position(|evicted| evicted.law == law);
    let place = match known {
        Some(place) => evicted.get_mut(place),
        None => evicted.iter_mut().min_by_key(|evicted| evicted.until),
    };
    if let Some(place) = place {
        let until = if known.is_some() { place.until } else { 0 };
        *place = Evicted {
            law,
            until: until.max(slot.paid.min(now.saturating_add(CARRIED))),
        };
    }
}

/// What was used of a quota as one number.
fn pack(used: Used) -> u128 {
    (u128::from(used.start) << 64) | u128::from(used.count)
}

/// From [`pack`].
fn unpack(held: u128) -> Used {
    let half = |number: u128| u64::try_from(number & u128::from(u64::MAX)).unwrap_or(u64::MAX);
    Used {
        start: half(held >> 64),
        count: half(held),
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;
    use turnpike_policy::Window;

    use super::*;

    const NOW: u64 = 1_800_000_000_000;

    fn law(count: u32, period: u64, burst: u32) -> Rate {
        Rate { count, period, burst }
    }

    #[test]
    fn exactly_the_burst_for_each_key() {
        let mut local = Local::new([7; 16]);
        let rate = law(100, 60_000, 100);
        for key in 0_u32..20 {
            let passed = (0..1_022)
                .filter(|_| local.take(&key.to_be_bytes(), &rate, NOW).is_ok())
                .count();
            assert_eq!(passed, 100);
        }
        let wait = local.take(&0_u32.to_be_bytes(), &rate, NOW).unwrap_err();
        assert_eq!(wait, 600);
        assert!(local.take(&0_u32.to_be_bytes(), &rate, NOW + wait - 1).is_err());
        assert!(local.take(&0_u32.to_be_bytes(), &rate, NOW + wait).is_ok());
        // The clock is set back: nothing is gained.
        assert!(local.take(&0_u32.to_be_bytes(), &rate, 0).is_err());
    }

    #[test]
    fn a_flood_does_not_free_an_offender() {
        let rate = law(100, 1_000, 200);
        let mut local = Local::new([9; 16]);
        let offender = b"offender";
        while local.take(offender, &rate, NOW).is_ok() {}
        // A million addresses at one instant, more than the table holds, over a second.
        let mut passed = 0_u32;
        for n in 0_u32..1_000_000 {
            let now = NOW + u64::from(n / 1_000);
            let _ = local.take(&n.to_be_bytes(), &rate, now);
            if local.take(offender, &rate, now).is_ok() {
                passed += 1;
            }
        }
        assert!(passed <= 100, "{passed}");
    }

    /// Addresses that owe for a day drive out whoever owes for a second, and grant it nothing.
    #[test]
    fn a_flood_under_one_law_does_not_free_who_is_counted_under_another() {
        let mut local = Local::new([4; 16]);
        let (own, strangers) = (law(5, 1_000, 5), law(1, 86_400_000, 1));
        let mut passed = Vec::new();
        for n in 0_u32..200_000 {
            let now = NOW + u64::from(n / 100);
            let _ = local.take(&n.to_be_bytes(), &strangers, now);
            if local.take(b"offender", &own, now).is_ok() {
                passed.push(now);
            }
        }
        // Two seconds: five at once, and ten besides.
        assert!(passed.len() <= 15, "{}", passed.len());
        assert!(passed.len() >= 5, "{}", passed.len());
    }

    #[test]
    fn limits_of_a_plan_are_all_or_none() {
        let mut local = Local::new([1; 16]);
        let limits = [
            Asked {
                id: "rate",
                kind: LimitKind::Rate(law(10, 1_000, 10)),
                amount: 0,
                shadow: false,
            },
            Asked {
                id: "quota",
                kind: LimitKind::Quota {
                    count: 4,
                    window: Window::Day,
                },
                amount: 0,
                shadow: false,
            },
        ];
        for left in (0..4).rev() {
            let answer = local.decide("acme", &limits, 1, NOW);
            assert_eq!(answer.outcome, Outcome::Admitted);
            let remaining: Vec<_> = answer.standings.iter().map(|one| one.remaining).collect();
            assert_eq!(remaining, [left + 6, left]);
        }
        let answer = local.decide("acme", &limits, 1, NOW);
        let end = span(Window::Day, NOW).end;
        assert_eq!(
            answer.outcome,
            Outcome::Refused {
                limit: 1,
                retry_after_ms: end - NOW
            }
        );
        // The refused request was charged to neither.
        assert_eq!(answer.standings[0].remaining, 6);
        assert_eq!(local.decide("other", &limits, 1, NOW).outcome, Outcome::Admitted);
        assert_eq!(local.decide("acme", &limits, 1, end).outcome, Outcome::Admitted);
    }

    #[test]
    fn parts_of_a_key_do_not_run_together() {
        let local = Local::new([1; 16]);
        let kind = LimitKind::Rate(Rate::default());
        assert_ne!(
            local.hash(&[b"ab", b"c"], &kind),
            local.hash(&[b"a", b"bc"], &kind)
        );
        let other = Local::new([2; 16]);
        assert_ne!(
            local.hash(&[b"ab", b"c"], &kind),
            other.hash(&[b"ab", b"c"], &kind)
        );
    }

    #[test]
    #[ignore = "a measurement: cargo test --release -- --ignored --nocapture"]
    fn cost() {
        #[expect(clippy::disallowed_methods, reason = "a measurement")]
        let clock = std::time::Instant::now;
        let rate = Rate::default();
        let mut local = Local::new([3; 16]);
        let start = clock();
        let calls = 4_000_000_u32;
        let mut passed = 0;
        for n in 0..calls {
            let key = (n % 20_000).to_be_bytes();
            passed += u32::from(local.take(&key, &rate, NOW + u64::from(n / 1_000)).is_ok());
        }
        println!("{:?} a call, {passed} passed", start.elapsed() / calls);
    }

    proptest! {
        #[test]
        fn a_tiny_table_under_a_flood_keeps_the_law_for_every_key(
            count in 1_u32..50, period in 1_u64..2_000, burst in 1_u32..8, seed: [u8; 16],
            steps in prop::collection::vec((0_u64..60, 0_u8..40), 1..400),
        ) {
            let rate = law(count, period, burst);
            let mut local = Local::of(seed, 2);
            let mut now = NOW;
            let mut passed = vec![Vec::new(); 40];
            for (step, key) in steps {
                now += step;
                if local.take(&[key], &rate, now).is_ok() {
                    passed[usize::from(key)].push(now);
                }
            }
            for times in passed {
                for (i, a) in times.iter().enumerate() {
                    for (j, b) in times.iter().enumerate().skip(i) {
                        let bound = u64::from(burst) + u64::from(count) * (b - a) / period;
                        prop_assert!((j - i + 1) as u64 <= bound);
                    }
                }
            }
        }

        #[test]
        fn packing(start: u64, count: u64) {
            prop_assert_eq!(unpack(pack(Used { start, count })), Used { start, count });
        }
    }
}
