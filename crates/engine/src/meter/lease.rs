//! Portions of limits that an isolate took in advance, and spends by itself.
//!
//! A lease is a number of requests that the subject's object has charged to all limits of a request at once. For
//! as long as it lasts the isolate admits as many without asking. An empty or ended lease asks the object; it
//! never refuses by itself. An isolate that sees a subject less often than a lease lasts takes none: what it took
//! would be missed elsewhere.
//!
//! # Why the law of a rate holds
//! A request that passes at `s` was charged at some instant in `[s - life, s]`. So those that pass in an interval
//! `w` were all charged in one of `w + life`. The object charges leases, and everything else while leases are out,
//! against a burst that is smaller by what the rate emits in the longest life that a lease of it may have
//! ([`narrowed`]): in `w + life` it charges at most `B - ceil(R * life) + floor(R * (w + life))`, which is at most
//! `B + floor(R * w)`. When no lease can be out any more, the object books `ceil(R * life)` at that instant and
//! judges by the whole burst from then on: an interval that holds what passed late and what is judged so holds that
//! instant, hence `B + floor(R * (w + life))` less what was booked. The isolate counts the life
//! from before it asked, and is told by the object how long the window of a quota lasts: no clock needs to agree with
//! another one to spend a lease.
//!
//! # What is lost
//! What an isolate has not spent when a lease ends is given back with its next ask (to quotas; rates pay it off by
//! themselves). It must go to the window that was charged, which the isolate can tell by its own clock only: near to
//! the edge of a window, where a clock that is off ([`SKEW`]) would name another one, nothing is given back.
//! An isolate that vanishes gives nothing back: at most [`MOST`] requests of a quota for each of its leases.

use turnpike_policy::{LimitKind, Millis, Rate, Timestamp};

use super::quota::span;
use super::{Asked, LeaseAsk, Standing};
use crate::seeded::{Named, named};

/// How long a lease lasts at most, in milliseconds.
pub const LIFE: Millis = 1_000;
/// The most requests of a lease.
pub const MOST: u32 = 256;
/// How long others do not ask for a lease while one is being asked for, in milliseconds.
const CLAIM: Millis = 2_000;
/// By how much the clocks of an isolate and an object may differ, the way of an ask included, in milliseconds.
pub const SKEW: Millis = 10_000;
/// The most subjects with leases of one isolate.
const CAPACITY: usize = 4_096;
/// What is asked for first.
const FIRST: u32 = 4;
/// The least that is worth a lease.
const LEAST: u32 = 2;

/// The leases of one isolate.
#[derive(Debug)]
pub struct Leases {
    entries: Named<Lease>,
}

#[derive(Debug, Default)]
struct Lease {
    /// What is left of it.
    left: u32,
    /// Until when.
    until: Timestamp,
    /// When it was asked for.
    taken: Timestamp,
    /// How many it was.
    size: u32,
    /// Somebody asks for one until then.
    claimed: Timestamp,
    /// How the limits stood when it was granted.
    standings: Vec<Standing>,
}

/// An ask for a lease that is answered.
#[derive(Clone, Copy, Debug)]
pub struct Taken<'a> {
    /// Of the subject and its limits.
    pub key: &'a str,
    /// What was asked.
    pub limits: &'a [Asked<'a>],
    /// When, in Unix milliseconds.
    pub asked: Timestamp,
    /// For how much.
    pub ask: LeaseAsk,
}

/// What a request does.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Spent {
    /// It passes; so the limits stand.
    Admitted(Vec<Standing>),
    /// The object must be asked, for so much more.
    Ask(LeaseAsk),
}

/// The limits with bursts that are smaller by what is emitted while leases are out.
pub fn narrowed<'a>(limits: &[Asked<'a>]) -> Vec<Asked<'a>> {
    let narrow = |asked: &Asked<'a>| match asked.kind {
        LimitKind::Rate(rate) => {
            let burst = rate.burst.saturating_sub(late(&rate)).max(1);
            let kind = LimitKind::Rate(Rate { burst, ..rate });
            Asked { kind, ..*asked }
        }
        _ => *asked,
    };
    limits.iter().map(narrow).collect()
}

/// How much of a rate may pass that much later than it was charged: what it emits in the life of a lease.
pub(super) fn late(rate: &Rate) -> u32 {
    emitted(rate, set_aside(rate))
}

/// What a rate emits in a time, rounded up.
fn emitted(rate: &Rate, time: Millis) -> u32 {
    let emitted = (u128::from(rate.count) * u128::from(time)).div_ceil(u128::from(rate.period.max(1)));
    u32::try_from(emitted).unwrap_or(u32::MAX)
}

/// The longest life of a lease that is charged to a rate: so that what is emitted in it is at most a quarter of
/// the burst. 0: its burst is too small to be handed out, and no lease is charged to it.
fn set_aside(rate: &Rate) -> Millis {
    if rate.burst / 4 < LEAST {
        return 0;
    }
    let quarter = u128::from(rate.burst / 4) * u128::from(rate.period) / u128::from(rate.count.max(1));
    u64::try_from(quarter).unwrap_or(u64::MAX).min(LIFE)
}

/// How long a lease of these limits lasts.
fn life(limits: &[Asked<'_>]) -> Millis {
    let rates = limits.iter().filter_map(|asked| match &asked.kind {
        LimitKind::Rate(rate) => Some(set_aside(rate)),
        _ => None,
    });
    rates.min().unwrap_or(LIFE)
}

/// The most that one lease may take of these limits: a quarter of what one lets pass at an instant, and a
/// sixteenth of a quota.
fn most(limits: &[Asked<'_>]) -> u32 {
    let parts = limits.iter().map(|asked| match asked.kind {
        LimitKind::Rate(rate) => rate.burst / 4,
        LimitKind::Quota { count, .. } => u32::try_from(count / 16).unwrap_or(u32::MAX),
        LimitKind::Budget { .. } | LimitKind::Concurrency { .. } => 0,
    });
    parts.min().unwrap_or(0).min(MOST)
}

/// Whether the windows that were charged by an ask of `taken` are those in which an ask of `now` is decided,
/// whatever the object's clock says.
fn same_windows(limits: &[Asked<'_>], taken: Timestamp, now: Timestamp) -> bool {
    let (first, last) = (taken.saturating_sub(SKEW), now.saturating_add(SKEW));
    limits.iter().all(|asked| match asked.kind {
        LimitKind::Quota { window, .. } => span(window, first) == span(window, last),
        _ => true,
    })
}

impl Leases {
    /// Of an isolate that has taken none. `seed` must be random and secret: subjects may have names that others chose.
    pub fn new(seed: [u8; 16]) -> Self {
        Self { entries: named(seed) }
    }

    /// Spends one request of the lease under `key`, or says what to ask the object for.
    pub fn spend(&mut self, key: &str, limits: &[Asked<'_>], now: Timestamp) -> Spent {
        let (life, most) = (life(limits), most(limits));
        let mut ask = LeaseAsk {
            wish: 0,
            life,
            back: 0,
            taken: 0,
        };
        if life == 0 || most < LEAST {
            return Spent::Ask(LeaseAsk { life: 0, ..ask });
        }
        if let Some(lease) = self.entries.get_mut(key) {
            if lease.left > 0 && now < lease.until && now >= lease.taken {
                lease.left -= 1;
                return Spent::Admitted(lease.standings());
            }
            if now < lease.claimed {
                return Spent::Ask(ask);
            }
            let unspent = std::mem::take(&mut lease.left);
            // What was used up wants more; of what was not, as much as was spent. Who comes again only after that
            // long would waste what it took.
            ask.wish = match unspent {
                0 if now < lease.taken || now >= lease.taken.saturating_add(life) => 0,
                0 => lease.size.saturating_mul(2).max(FIRST),
                unspent => lease.size.saturating_sub(unspent),
            }
            .min(most);
            if unspent > 0 && same_windows(limits, lease.taken, now) {
                (ask.back, ask.taken) = (unspent, lease.taken);
            }
            if ask.wish > 0 {
                lease.claimed = now.saturating_add(CLAIM);
            } else {
                (lease.taken, lease.until, lease.size) = (now, now, 0);
            }
            return Spent::Ask(ask);
        }
        if self.entries.len() >= CAPACITY {
            self.entries
                .retain(|_, lease| lease.until.saturating_add(LIFE) > now || lease.claimed > now);
        }
        // Where there is no room, there is no lease.
        if self.entries.len() < CAPACITY {
            let lease = Lease {
                taken: now,
                until: now,
                ..Lease::default()
            };
            self.entries.insert(key.to_owned(), lease);
        }
        Spent::Ask(ask)
    }

    /// Takes one request back that was spent a moment ago: another limit held it back.
    pub fn give_back(&mut self, key: &str, now: Timestamp) {
        if let Some(lease) = self.entries.get_mut(key)
            && now < lease.until
            && lease.left < lease.size
        {
            lease.left += 1;
        }
    }

    /// Keeps what an object granted; 0, where it did not, or was not reached.
    pub fn grant(&mut self, taken: &Taken<'_>, granted: u32, standings: &[Standing]) {
        let Taken {
            key,
            limits,
            asked,
            ask,
        } = *taken;
        if ask.wish == 0 {
            return;
        }
        let Some(lease) = self.entries.get_mut(key) else {
            return;
        };
        // Counted from before it was asked, as the object's clock says when its window ends.
        let windows = limits
            .iter()
            .zip(standings)
            .filter_map(|(one, standing)| match one.kind {
                LimitKind::Quota { .. } => Some(asked.saturating_add(standing.reset_ms)),
                _ => None,
            });
        let until = asked.saturating_add(ask.life);
        *lease = Lease {
            left: granted,
            until: windows.min().map_or(until, |end| until.min(end)),
            taken: asked,
            size: granted,
            claimed: 0,
            standings: standings.to_vec(),
        };
    }
}

impl Lease {
    /// How the limits stand, as far as this isolate knows.
    fn standings(&self) -> Vec<Standing> {
        let left = u64::from(self.left);
        let stand = |standing: &Standing| Standing {
            remaining: standing
                .remaining
                .saturating_add(left)
                .min(standing.limit.max(standing.remaining)),
            ..*standing
        };
        self.standings.iter().map(stand).collect()
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;
    use turnpike_policy::Window;

    use super::*;
    use crate::meter::{Answer, Ask, Mode, Outcome, object};

    const NOW: u64 = 1_800_000_000_000;

    fn rate(count: u32, period: u64, burst: u32) -> LimitKind {
        LimitKind::Rate(Rate { count, period, burst })
    }

    fn asked(kinds: &[LimitKind]) -> Vec<Asked<'static>> {
        let ids = ["a", "b", "c"];
        kinds
            .iter()
            .zip(ids)
            .map(|(kind, id)| Asked {
                id,
                kind: *kind,
                amount: 0,
                shadow: false,
            })
            .collect()
    }

    /// A subject's object, and what became of its state.
    #[derive(Default)]
    struct Object {
        memory: Option<Vec<u8>>,
        stored: Option<Vec<u8>>,
        asks: usize,
    }

    impl Object {
        fn ask(&mut self, limits: &[Asked<'_>], lease: LeaseAsk, now: u64) -> Answer {
            self.asks += 1;
            let lease = Some(lease).filter(|lease| lease.life > 0);
            let ask = Ask {
                mode: Mode::Charge,
                request: "",
                part: 0,
                cost: 1,
                hold: 0,
                lease,
                limits: limits.to_vec(),
            };
            if self.memory.is_none() {
                self.memory = self
                    .stored
                    .as_deref()
                    .map(|stored| object::resume(stored).unwrap());
            }
            let decided = object::decide(self.memory.as_deref(), &ask.encode().unwrap(), now).unwrap();
            self.memory = Some(decided.state);
            self.stored = decided.persist.or(self.stored.take());
            Answer::decode(&decided.answer).unwrap()
        }
    }

    /// One request at an isolate whose clock is off by so much; whether it passed.
    fn send(
        leases: &mut Leases,
        object: &mut Object,
        limits: &[Asked<'_>],
        now: u64,
        off: i64,
        delay: u64,
    ) -> bool {
        let here = now.saturating_add_signed(off);
        match leases.spend("s", limits, here) {
            Spent::Admitted(_) => true,
            Spent::Ask(ask) => {
                let answer = object.ask(limits, ask, now + delay);
                let taken = Taken {
                    key: "s",
                    limits,
                    asked: here,
                    ask,
                };
                leases.grant(&taken, answer.leased, &answer.standings);
                answer.outcome == Outcome::Admitted
            }
        }
    }

    #[test]
    fn most_requests_ask_nobody() {
        let limits = asked(&[
            rate(600, 60_000, 600),
            LimitKind::Quota {
                count: 1_000_000,
                window: Window::Day,
            },
        ]);
        let (mut leases, mut object, mut passed) = (Leases::new([3; 16]), Object::default(), 0);
        for step in 0..6_000 {
            passed += u32::from(send(&mut leases, &mut object, &limits, NOW + step * 100, 0, 3));
        }
        assert_eq!(passed, 6_000);
        assert!(object.asks < 1_500, "{} asks", object.asks);
    }

    #[test]
    fn small_bursts_are_not_handed_out() {
        let limits = asked(&[rate(5, 1_000, 5)]);
        let (mut leases, mut object) = (Leases::new([3; 16]), Object::default());
        let passed = (0..50)
            .filter(|_| send(&mut leases, &mut object, &limits, NOW, 0, 0))
            .count();
        assert_eq!((passed, object.asks), (5, 50));
    }

    #[test]
    fn a_quota_is_spent_to_its_last_request() {
        let limits = asked(&[LimitKind::Quota {
            count: 1_000,
            window: Window::Day,
        }]);
        let (mut leases, mut object, mut passed) = (Leases::new([3; 16]), Object::default(), 0);
        for step in 0..5_000 {
            passed += u32::from(send(&mut leases, &mut object, &limits, NOW + step * 300, 0, 2));
        }
        // What one isolate does not use it gives back.
        assert_eq!(passed, 1_000);
        assert!(object.asks < 4_500);
    }

    #[test]
    fn nothing_is_given_back_to_a_window_that_was_not_charged() {
        let limits = asked(&[LimitKind::Quota {
            count: 160,
            window: Window::Minute,
        }]);
        let end = span(Window::Minute, NOW).end;
        // A clock that is two seconds ahead sees the next window before the object does. (asked, what comes back)
        for (at, back) in [(end - 1_500, 0), (end - 30_000, 3)] {
            let (mut leases, mut object) = (Leases::new([3; 16]), Object::default());
            for _ in 0..3 {
                assert!(send(&mut leases, &mut object, &limits, at, 2_000, 0));
            }
            // Of the lease of four three are left when it is over.
            let Spent::Ask(ask) = leases.spend("s", &limits, at + 4_000) else {
                panic!()
            };
            assert_eq!(ask.back, back, "{at}");
        }
    }

    #[test]
    fn who_comes_seldom_takes_nothing_in_advance() {
        let limits = asked(&[rate(120, 60_000, 120)]);
        let (mut isolates, mut object) = ([(); 30].map(|()| Leases::new([3; 16])), Object::default());
        // One request a second over thirty isolates: half of what the limit allows. All of them pass.
        for step in 0..3_000_u64 {
            let isolate = &mut isolates[usize::try_from(step % 30).unwrap()];
            assert!(
                send(isolate, &mut object, &limits, NOW + step * 1_000, 0, 0),
                "{step}"
            );
        }
    }

    #[test]
    fn one_asks_for_a_lease_while_others_only_ask() {
        let limits = asked(&[rate(600, 60_000, 600)]);
        let mut leases = Leases::new([3; 16]);
        // Who comes once needs no lease.
        let Spent::Ask(once) = leases.spend("s", &limits, NOW) else {
            panic!()
        };
        assert_eq!(once.wish, 0);
        let Spent::Ask(first) = leases.spend("s", &limits, NOW) else {
            panic!()
        };
        let Spent::Ask(second) = leases.spend("s", &limits, NOW + 1) else {
            panic!()
        };
        assert_eq!((first.wish > 0, second.wish), (true, 0));
        // Who asked never came back.
        let wishes = [0, 1].map(|later| match leases.spend("s", &limits, NOW + CLAIM + later) {
            Spent::Ask(ask) => ask.wish,
            Spent::Admitted(_) => panic!(),
        });
        assert_eq!(wishes, [0, FIRST]);
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(192))]
        #[test]
        fn no_law_is_broken_by_eight_isolates(
            count in 1_u32..400, period in 100_u64..20_000, burst in 8_u32..300, quota in 20_u64..900,
            skews in prop::collection::vec(-3_000_i64..3_000, 8),
            steps in prop::collection::vec((0_usize..8, 0_u64..120, 0_u64..40, 0_u8..40, any::<bool>()), 1..1_500),
        ) {
            let kinds = [rate(count, period, burst), LimitKind::Quota { count: quota, window: Window::Minute }];
            let limits = asked(&kinds);
            // Another operation has a limit of its own, too small to be handed out.
            let narrow = asked(&[kinds[0], kinds[1], rate(1_000_000, 1, 3)]);
            let mut isolates: Vec<Leases> = (0..8).map(|_| Leases::new([3; 16])).collect();
            let (mut object, mut now, mut passed) = (Object::default(), NOW, Vec::new());
            for (isolate, step, delay, event, other) in steps {
                now += step;
                match event {
                    0 => isolates[isolate] = Leases::new([3; 16]),
                    1 => object.memory = None,
                    _ => {}
                }
                let which = if other { &narrow } else { &limits };
                // What waits for the object passes when it has answered.
                let asks = object.asks;
                if send(&mut isolates[isolate], &mut object, which, now, skews[isolate], delay) {
                    passed.push(if object.asks > asks { now + delay } else { now });
                }
                if object.asks > asks {
                    now += delay;
                }
            }
            passed.sort_unstable();
            for (i, a) in passed.iter().enumerate() {
                for (j, b) in passed.iter().enumerate().skip(i) {
                    let bound = u64::from(burst) + u64::from(count) * (b - a) / period;
                    prop_assert!((j - i + 1) as u64 <= bound, "{} in {} ms", j - i + 1, b - a);
                }
            }
            let mut windows = std::collections::BTreeMap::new();
            for at in &passed {
                *windows.entry(span(Window::Minute, *at).start).or_insert(0) += 1;
            }
            prop_assert!(windows.values().all(|passed| *passed <= quota), "{windows:?}");
        }
    }
}
