//! A subject that is too hot for one object: shares of its limits for several of them.
//!
//! Each shard is an object like any other, which judges by its [`share`] of every limit and knows nothing of the
//! others. A request is charged to one shard only. It asks them in an [`order`] of its own and goes on to the next
//! when one refuses, so what a shard has left is found by the requests that look for it: nothing is ever moved
//! between shards, and nothing can be moved twice.
//!
//! # Why the law of the whole holds
//! Shard `i` of `n` lets at most `b_i + floor(r_i * w)` pass in an interval `w`. The shares add up to no more than
//! the whole, `sum(b_i) <= B` and `sum(r_i) <= R`, and rounding down each part of a sum gives no more than rounding
//! down the sum. So all shards together let at most `B + floor(R * w)` pass. The sum of the shares of a quota or a
//! budget is the whole, so in each window no more than that passes.
//!
//! # When the number changes
//! A share depends on the number `of` parts that a limit is divided into; how many of these parts are in use may
//! be less. More objects are taken into use in two steps, each rolled out before the next: first all shares become
//! smaller (the same objects, a larger `of`), then the objects that are new are asked. Two versions that run side
//! by side then never hand out more than the whole: an object books what it let pass under one law to the other.

use turnpike_policy::{LimitKind, Rate, Split, Window};

use super::Standing;
use crate::sorted;

/// The most parts that a limit is divided into.
pub const MOST: u32 = Split::MOST as u32;
/// A limit that lets nothing pass: a part that is not there.
pub(crate) const NOTHING: LimitKind = LimitKind::Quota {
    count: 0,
    window: Window::Minute,
};

/// What shard `shard` (from 0) may let pass of a limit that is divided into `of` parts, at most [`MOST`]. None:
/// there is no such part, or it would be nothing.
pub fn share(limit: &LimitKind, shard: u32, of: u32) -> Option<LimitKind> {
    if shard >= of || of > MOST {
        return None;
    }
    let some = |share: u64| Some(share).filter(|share| *share > 0);
    Some(match *limit {
        LimitKind::Rate(rate) => {
            let burst = u32::try_from(some(part(rate.burst.into(), shard, of))?).ok()?;
            // Where it does not come out even, the same number in a longer period: no fraction is lost.
            let (count, period) = if rate.count % of == 0 {
                (rate.count / of, rate.period)
            } else {
                (rate.count, rate.period.checked_mul(of.into())?)
            };
            LimitKind::Rate(Rate { count, period, burst })
        }
        LimitKind::Quota { count, window } => LimitKind::Quota {
            count: some(part(count, shard, of))?,
            window,
        },
        LimitKind::Budget { count, window, unit } => LimitKind::Budget {
            count: some(part(count, shard, of))?,
            window,
            unit,
        },
        LimitKind::Concurrency { count } => LimitKind::Concurrency {
            count: u32::try_from(some(part(count.into(), shard, of))?).ok()?,
        },
    })
}

/// What the standing of one part says of the whole limit, of which so many of all parts are in use: as if the others
/// stood like it.
pub fn whole(limit: &LimitKind, part: Standing, objects: u32, parts: u32) -> Standing {
    let (count, most, window_ms) = match *limit {
        LimitKind::Rate(rate) => (rate.count.into(), rate.burst.into(), rate.period),
        LimitKind::Quota { count, .. } | LimitKind::Budget { count, .. } => (count, count, part.window_ms),
        LimitKind::Concurrency { count } => (count.into(), count.into(), part.window_ms),
    };
    let in_use = |whole: u64| {
        let in_use = u128::from(whole) * u128::from(objects) / u128::from(parts.max(1));
        u64::try_from(in_use).unwrap_or(whole)
    };
    Standing {
        limit: in_use(count),
        window_ms,
        remaining: part.remaining.saturating_mul(objects.into()).min(in_use(most)),
        reset_ms: part.reset_ms,
    }
}

/// The shards in the order in which a request (or the isolate that takes leases) asks them: that of their hashes
/// with its key, so that each is the first for as many keys, and the second for as many of those.
pub fn order(key: &[u8], shards: u32) -> Vec<u32> {
    let key = key.iter().fold(0xcbf2_9ce4_8422_2325_u64, |hash, byte| {
        (hash ^ u64::from(*byte)).wrapping_mul(0x0100_0000_01b3)
    });
    let hashed = (0..shards.min(MOST)).map(|shard| (mix(key ^ mix(u64::from(shard) + 1)), shard));
    let order = sorted::by(hashed, Ord::cmp);
    order.into_iter().map(|(_, shard)| shard).collect()
}

/// An equal part, with one more for the first ones until the whole is handed out.
fn part(whole: u64, shard: u32, of: u32) -> u64 {
    let of = u64::from(of.max(1));
    whole / of + u64::from(u64::from(shard) < whole % of)
}

/// Spreads a number over all 64 bits (the finalizer of `splitmix64`).
const fn mix(mut x: u64) -> u64 {
    x = (x ^ (x >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    x = (x ^ (x >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
    x ^ (x >> 31)
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use proptest::prelude::*;
    use turnpike_policy::{Unit, Window};

    use super::*;
    use crate::meter::gcra::Tat;
    use crate::meter::quota::{Used, span};

    fn rate(count: u32, period: u64, burst: u32) -> LimitKind {
        LimitKind::Rate(Rate { count, period, burst })
    }

    #[test]
    fn shares() {
        let quota = |count| LimitKind::Quota {
            count,
            window: Window::Day,
        };
        let budget = |count| LimitKind::Budget {
            count,
            window: Window::Month,
            unit: Unit::NanoUsd,
        };
        let places = |count| LimitKind::Concurrency { count };
        for (whole, shard, of, expected) in [
            (rate(600, 60_000, 50), 0, 1, Some(rate(600, 60_000, 50))),
            (rate(600, 60_000, 50), 0, 4, Some(rate(150, 60_000, 13))),
            (rate(600, 60_000, 50), 3, 4, Some(rate(150, 60_000, 12))),
            (rate(5, 1_000, 9), 1, 2, Some(rate(5, 2_000, 4))),
            (rate(5, 1_000, 1), 1, 2, None),
            (rate(5, u64::MAX, 9), 1, 2, None),
            (quota(10), 3, 4, Some(quota(2))),
            (quota(3), 3, 4, None),
            (budget(1_000_000_001), 0, 2, Some(budget(500_000_001))),
            (places(7), 6, 4, None),
            (places(7), 3, 4, Some(places(1))),
            (places(700), 0, MOST + 1, None),
            (places(700), 0, 0, None),
        ] {
            assert_eq!(share(&whole, shard, of), expected, "{whole:?} {shard} of {of}");
        }
    }

    #[test]
    fn a_part_tells_of_the_whole() {
        let stands = |limit, window_ms, remaining| Standing {
            limit,
            window_ms,
            remaining,
            reset_ms: 7,
        };
        let quota = LimitKind::Quota {
            count: 1_000,
            window: Window::Day,
        };
        for (limit, part, objects, parts, expected) in [
            // The first part has one request more than most.
            (
                rate(5, 1_000, 50),
                stands(5, 3_000, 17),
                3,
                3,
                stands(5, 1_000, 50),
            ),
            (
                rate(600, 60_000, 50),
                stands(150, 60_000, 3),
                4,
                4,
                stands(600, 60_000, 12),
            ),
            (quota, stands(125, 9, 100), 4, 8, stands(500, 9, 400)),
            (
                LimitKind::Concurrency { count: 40 },
                stands(20, 0, 0),
                2,
                2,
                stands(40, 0, 0),
            ),
        ] {
            assert_eq!(whole(&limit, part, objects, parts), expected, "{limit:?}");
        }
    }

    #[test]
    fn every_shard_is_the_first_and_the_second_as_often() {
        for shards in [2_u32, 5, 16] {
            let mut found = BTreeMap::new();
            let n = 400 * shards * shards;
            for key in 0..n {
                let order = order(&key.to_be_bytes(), shards);
                let mut sorted = order.clone();
                sorted.sort_unstable();
                assert_eq!(sorted, (0..shards).collect::<Vec<_>>());
                *found.entry((order[0], order[1])).or_insert(0_u32) += 1;
            }
            assert_eq!(found.len(), (shards * (shards - 1)) as usize);
            let expected = n / (shards * (shards - 1));
            assert!(
                found.values().all(|n| n.abs_diff(expected) < expected / 4),
                "{shards}: {found:?}"
            );
        }
        // Taking one more into use leaves the order of the others as it was.
        for key in 0_u32..50 {
            let more: Vec<u32> = order(&key.to_be_bytes(), 6)
                .into_iter()
                .filter(|shard| *shard < 5)
                .collect();
            assert_eq!(more, order(&key.to_be_bytes(), 5));
        }
    }

    proptest! {
        #[test]
        fn shares_add_up_to_the_whole_and_never_to_more(
            count in 1_u32..100_000, period in 1_u64..100_000_000, burst in 1_u32..100_000, of in 1_u32..=MOST,
        ) {
            let rates: Vec<Rate> = (0..of)
                .filter_map(|shard| match share(&rate(count, period, burst), shard, of)? {
                    LimitKind::Rate(rate) => Some(rate),
                    _ => None,
                })
                .collect();
            let bursts: u64 = rates.iter().map(|rate| u64::from(rate.burst)).sum();
            prop_assert_eq!(bursts, u64::from(burst));
            // In units of requests per `period * of`.
            let rate_of = |rate: &Rate| u128::from(rate.count) * u128::from(period) * u128::from(of) / u128::from(rate.period);
            let sum: u128 = rates.iter().map(rate_of).sum();
            prop_assert!(sum <= u128::from(count) * u128::from(of));
            // All of it, where each part has some of the burst.
            prop_assert!(burst < of || sum == u128::from(count) * u128::from(of));
            for whole in [LimitKind::Quota { count: burst.into(), window: Window::Day },
                          LimitKind::Concurrency { count: burst }] {
                let counted: u64 = (0..of).filter_map(|shard| share(&whole, shard, of)).map(|kind| match kind {
                    LimitKind::Quota { count, .. } => count,
                    LimitKind::Concurrency { count } => count.into(),
                    _ => 0,
                }).sum();
                prop_assert_eq!(counted, u64::from(burst));
            }
        }

        #[test]
        fn all_shards_together_keep_the_law_of_the_whole(
            count in 1_u32..300, period in 1_u64..5_000, burst in 1_u32..60, quota in 1_u64..200, of in 1_u32..9,
            steps in prop::collection::vec((0_u64..200, any::<u32>(), 1_usize..4), 1..400),
        ) {
            let (law, window) = (rate(count, period, burst), Window::Minute);
            let whole = LimitKind::Quota { count: quota, window };
            let mut shards = vec![(Tat::IDLE, Used::NONE); of as usize];
            let (mut now, mut passed) = (1_800_000_000_000_u64, Vec::new());
            for (step, key, tries) in steps {
                now += step;
                for shard in order(&key.to_be_bytes(), of).into_iter().take(tries) {
                    let (Some(LimitKind::Rate(rate)), Some(LimitKind::Quota { count, .. })) =
                        (share(&law, shard, of), share(&whole, shard, of)) else { continue };
                    let (tat, used) = &mut shards[shard as usize];
                    if let (Ok(paid), Ok(counted)) = (tat.take(&rate, now, 1), used.take(window, count, now, 1)) {
                        (*tat, *used) = (paid, counted);
                        passed.push(now);
                        break;
                    }
                }
            }
            for (i, a) in passed.iter().enumerate() {
                for (j, b) in passed.iter().enumerate().skip(i) {
                    let bound = u64::from(burst) + u64::from(count) * (b - a) / period;
                    prop_assert!((j - i + 1) as u64 <= bound);
                }
            }
            let mut windows = BTreeMap::new();
            for at in passed {
                *windows.entry(span(window, at).start).or_insert(0) += 1;
            }
            prop_assert!(windows.values().all(|passed| *passed <= quota));
        }
    }
}
