//! What passes later than it was charged, and windows that are told in two ways.

use proptest::prelude::*;
use turnpike_policy::{Rate, Window};

use super::*;
use crate::meter::LeaseAsk;
use crate::meter::lease::LIFE;

const NOW: u64 = 1_800_000_000_000;
const HOUR: u64 = 3_600_000;
const DAY: u64 = 24 * HOUR;

#[derive(Clone, Default)]
struct Object {
    memory: Option<Vec<u8>>,
    stored: Option<Vec<u8>>,
}

impl Object {
    fn ask(&mut self, kind: LimitKind, lease: Option<LeaseAsk>, now: u64) -> Answer {
        let asked = Asked {
            id: "limit",
            kind,
            amount: 0,
            shadow: false,
        };
        let ask = Ask {
            mode: Mode::Charge,
            request: "",
            part: 0,
            cost: 1,
            hold: 0,
            lease,
            limits: vec![asked],
        };
        if self.memory.is_none() {
            self.memory = self.stored.as_deref().map(|stored| resume(stored).unwrap());
        }
        let decided = decide(self.memory.as_deref(), &ask.encode().unwrap(), now).unwrap();
        self.memory = Some(decided.state);
        self.stored = decided.persist.or(self.stored.take());
        Answer::decode(&decided.answer).unwrap()
    }

    fn passes(&mut self, kind: LimitKind, now: u64) -> bool {
        self.ask(kind, None, now).outcome == Outcome::Admitted
    }

    /// One request, which passes at once, and so many in advance, which pass in the last millisecond that they may.
    fn lease(&mut self, rate: Rate, wish: u32, now: u64) -> Vec<u64> {
        let ask = LeaseAsk {
            wish,
            life: life(&rate),
            back: 0,
            taken: 0,
        };
        let answer = self.ask(LimitKind::Rate(rate), Some(ask), now);
        let mut passed = vec![now; usize::from(answer.outcome == Outcome::Admitted)];
        passed.resize(passed.len() + answer.leased as usize, now + life(&rate) - 1);
        passed
    }
}

/// How long leases of a rate last: what is emitted meanwhile is at most a quarter of its burst.
fn life(rate: &Rate) -> u64 {
    (u64::from(rate.burst / 4) * rate.period / u64::from(rate.count)).clamp(1, LIFE)
}

/// By how many more than the law allows passed in the worst interval, at the instants told (sorted).
fn excess(rate: &Rate, passed: &[u64]) -> i128 {
    let (count, period, burst) = (
        i128::from(rate.count),
        i128::from(rate.period),
        i128::from(rate.burst),
    );
    let (mut least, mut worst) = (i128::MAX, i128::MIN);
    for (n, at) in (0_i128..).zip(passed) {
        let here = n * period - count * i128::from(*at);
        least = least.min(here);
        worst = worst.max((here + period - burst * period - least + period - 1).div_euclid(period));
    }
    worst
}

/// What is told to be left while portions are out is what passes then; and with time it only becomes more.
#[test]
fn what_is_left_while_leases_are_out_is_what_passes_beside_them() {
    let rate = Rate {
        count: 600,
        period: 60_000,
        burst: 600,
    };
    let mut object = Object::default();
    object.lease(rate, 4, NOW);
    let mut before = 0;
    for at in (5_000..=LEASED_AHEAD + 2_000).step_by(500) {
        let mut now = object.clone();
        let left = now.ask(LimitKind::Rate(rate), None, NOW + at).standings[0].remaining;
        assert!(left >= before, "{left} after {before}, at {at} ms");
        before = left;
        let passed = (0..600)
            .filter(|_| now.passes(LimitKind::Rate(rate), NOW + at))
            .count();
        assert_eq!(u64::try_from(passed).unwrap(), left, "at {at} ms");
    }
}

/// What isolates spend by themselves a limit in the shadow is not asked for: where it would refuse, they take nothing.
#[test]
fn nothing_is_taken_in_advance_of_what_a_shadow_would_refuse() {
    let quota = |id, count, shadow| Asked {
        id,
        kind: LimitKind::Quota {
            count,
            window: Window::Day,
        },
        amount: 0,
        shadow,
    };
    let lease = LeaseAsk {
        wish: 4,
        life: LIFE,
        back: 0,
        taken: 0,
    };
    let mut memory = None;
    let mut seen = Vec::new();
    for at in 0..9 {
        let ask = Ask {
            mode: Mode::Charge,
            request: "",
            part: 0,
            cost: 1,
            hold: 0,
            lease: Some(lease),
            limits: vec![quota("enforced", 1_000, false), quota("tried", 13, true)],
        };
        let decided = decide(memory.as_deref(), &ask.encode().unwrap(), NOW + at).unwrap();
        memory = Some(decided.state);
        let answer = Answer::decode(&decided.answer).unwrap();
        seen.push((answer.leased, answer.shadowed));
    }
    let expected = [
        (4, 0),
        (4, 0),
        (0, 0),
        (0, 0),
        (0, 0),
        (0, 2),
        (0, 2),
        (0, 2),
        (0, 2),
    ];
    assert_eq!(seen, expected);
}

#[test]
fn a_lease_that_is_spent_at_its_end_is_not_followed_by_a_whole_burst() {
    for rate in [
        Rate {
            count: 600,
            period: 60_000,
            burst: 600,
        },
        Rate {
            count: 100,
            period: 1_000,
            burst: 100,
        },
        Rate {
            count: 5,
            period: 1_000,
            burst: 8,
        },
    ] {
        let mut object = Object::default();
        let life = life(&rate);
        let mut passed = object.lease(rate, 4, NOW);
        // The last one that does not make the time of leases longer, spent in its last millisecond.
        let last = object.lease(rate, rate.burst / 4 - 1, NOW + LEASED_AHEAD);
        assert!(last.len() > 1 || rate.burst < 10, "{last:?}");
        passed.extend(last);
        for at in [0, 1, 10, 500, 2_000].map(|late| NOW + LEASED_AHEAD + life + late) {
            while object.passes(LimitKind::Rate(rate), at) {
                passed.push(at);
            }
        }
        assert!(
            excess(&rate, &passed) <= 0,
            "{rate:?}: {} too many",
            excess(&rate, &passed)
        );
    }
}

#[test]
fn a_flood_after_leases_gets_the_whole_and_no_more() {
    let rate = Rate {
        count: 600,
        period: 60_000,
        burst: 600,
    };
    let mut object = Object::default();
    let mut passed = Vec::new();
    for _ in 0..5 {
        passed.extend(object.lease(rate, 149, NOW));
    }
    for at in (NOW + LIFE..NOW + 30_000).step_by(10) {
        while object.passes(LimitKind::Rate(rate), at) {
            passed.push(at);
        }
    }
    assert!(excess(&rate, &passed) <= 0, "{} too many", excess(&rate, &passed));
    // What is lost by it is what passes in the life of a lease, once.
    assert!(passed.len() >= 600 + 290 - 10 - 1, "{}", passed.len());
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(400))]

    #[test]
    fn whoever_spends_late_and_then_floods_keeps_the_law(
        count in 1_u32..300,
        period in 200_u64..20_000,
        burst in 8_u32..200,
        steps in prop::collection::vec((0_u8..6, 0_u64..3_000, 1_u32..60), 5..60),
    ) {
        let rate = Rate { count, period, burst };
        let kind = LimitKind::Rate(rate);
        let (mut object, mut now, mut passed) = (Object::default(), NOW, Vec::new());
        let mut horizon = NOW;
        for (what, pause, number) in steps {
            match what {
                // So many in advance, spent in their last millisecond.
                0 | 1 => {
                    passed.extend(object.lease(rate, number, now));
                    horizon = now + life(&rate) + LEASED_AHEAD;
                }
                2 => now += pause / 50,
                // To where leases may end, or a moment before or after.
                3 => now = now.max(horizon + pause % 5 - 2),
                4 => object.memory = None,
                _ => {
                    for _ in 0..number * 5 {
                        if object.passes(kind, now) {
                            passed.push(now);
                        }
                    }
                    now += pause % 3;
                }
            }
        }
        passed.sort_unstable();
        prop_assert!(excess(&rate, &passed) <= 0, "{rate:?}: {} too many", excess(&rate, &passed));
    }
}

fn quota(count: u64, hours: i32) -> LimitKind {
    LimitKind::Quota {
        count,
        window: Window::DayAt(hours * 3_600),
    }
}

fn day_quota_passes(object: &mut Object, hours: i32, now: u64) -> usize {
    (0..20).filter(|_| object.passes(quota(5, hours), now)).count()
}

#[test]
fn a_day_that_clocks_begin_twice_has_one_quota() {
    // Santiago: at the end of Saturday, 24:00 becomes 23:00. An isolate that does not know it yet is on Sunday.
    let midnight = NOW / DAY * DAY + 3 * HOUR;
    let mut object = Object::default();
    assert_eq!(day_quota_passes(&mut object, -3, midnight - HOUR), 5);
    assert!(
        object.passes(quota(5, -3), midnight + 5),
        "Sunday has begun for one"
    );
    assert_eq!(
        day_quota_passes(&mut object, -4, midnight + 20),
        4,
        "and is not begun again"
    );
    assert_eq!(day_quota_passes(&mut object, -4, midnight + HOUR), 0);
    assert_eq!(day_quota_passes(&mut object, -4, midnight + HOUR + DAY), 5);
}

#[test]
fn a_zone_that_is_changed_while_both_versions_run_hands_out_one_quota() {
    for zones in [[9, -5], [-5, 9], [14, -11]] {
        let (mut object, now) = (Object::default(), NOW / DAY * DAY + 10 * HOUR);
        let passed = (0..100)
            .filter(|n| object.passes(quota(5, zones[n % 2]), now + *n as u64))
            .count();
        assert_eq!(passed, 5, "{zones:?}");
    }
}
