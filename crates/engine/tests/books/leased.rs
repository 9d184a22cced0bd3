//! Isolates that take leases of one object, and messages between them that are late, lost and sent again.

use std::collections::BTreeMap;

use turnpike_engine::meter::lease::{Leases, Spent, Taken};
use turnpike_engine::meter::{Asked, LeaseAsk};
use turnpike_policy::{LimitKind, Rate, Window};

use super::*;

const ISOLATES: usize = 8;
/// By how much the clock of an isolate may be off, in milliseconds.
const SKEW: u64 = 3_000;
/// Messages that are under way.
const UNDER_WAY: usize = 24;
/// How late a message may come; isolates give up earlier.
const LATE: u64 = 6_000;

/// An ask that is on its way, or its answer.
struct Message {
    isolate: usize,
    /// Whether it is for the operation with the narrow limit.
    narrow: bool,
    bytes: Vec<u8>,
    /// When it was sent, and when that was by its isolate's clock.
    left: u64,
    sent: u64,
    ask: LeaseAsk,
    answer: Option<Answer>,
    /// Whether the object has seen it.
    decided: bool,
}

struct World {
    random: Random,
    rate: Rate,
    narrow: Rate,
    quotas: [(LimitKind, u64); 2],
    object: Object,
    isolates: Vec<(Leases, i64)>,
    messages: Vec<Message>,
    now: u64,
    requests: u64,
    passed: Vec<u64>,
    /// Of the narrow limit.
    passed_narrow: Vec<u64>,
    /// By quota and window: what passed, and what was charged at the most.
    windows: [BTreeMap<u64, (u64, u64)>; 2],
    counts: Counts,
}

#[derive(Debug, Default)]
struct Counts {
    operations: u64,
    asks: u64,
    leased: u64,
    spent: u64,
    given_back: u64,
    again: u64,
    lost: u64,
    crashes: u64,
    isolates: u64,
}

fn length(kind: &LimitKind) -> u64 {
    match kind {
        LimitKind::Quota {
            window: Window::Minute,
            ..
        } => MINUTE,
        _ => 60 * MINUTE,
    }
}

impl World {
    fn new(seed: u64) -> Self {
        let mut random = Random(seed ^ 0x1ea5e);
        let rate = Rate {
            count: u32::try_from(random.between(1, 400)).unwrap(),
            period: random.between(100, 20_000),
            burst: u32::try_from(random.between(8, 300)).unwrap(),
        };
        let isolates = (0..ISOLATES)
            .map(|_| {
                let off = i64::try_from(random.below(2 * SKEW)).unwrap() - i64::try_from(SKEW).unwrap();
                (Leases::new([3; 16]), off)
            })
            .collect();
        let (minute, hour) = (random.between(20, 900), random.between(200, 4_000));
        Self {
            rate,
            narrow: Rate {
                count: 50,
                period: 1_000,
                burst: 3,
            },
            quotas: [
                (quota(minute, Window::Minute), minute),
                (quota(hour, Window::Hour), hour),
            ],
            object: Object::default(),
            isolates,
            messages: Vec::new(),
            // Shortly before both windows end.
            now: NOW - random.below(20_000),
            requests: 0,
            passed: Vec::new(),
            passed_narrow: Vec::new(),
            windows: [BTreeMap::new(), BTreeMap::new()],
            counts: Counts::default(),
            random,
        }
    }

    fn limits(&self, narrow: bool) -> Vec<Asked<'static>> {
        let mut limits = vec![
            asked("rate", LimitKind::Rate(self.rate), 0),
            asked("minute", self.quotas[0].0, 0),
            asked("hour", self.quotas[1].0, 0),
        ];
        if narrow {
            limits.push(asked("narrow", LimitKind::Rate(self.narrow), 0));
        }
        limits
    }

    fn operation(&mut self) {
        self.counts.operations += 1;
        match self.random.below(100) {
            0..50 => self.request(),
            50..68 => self.deliver(),
            68..84 => self.answer(),
            84..88 => self.lose(),
            88..97 => {
                let most = if self.random.one_in(20) { 5_000 } else { 80 };
                self.now += self.random.below(most);
            }
            97 | 98 => {
                self.counts.crashes += 1;
                self.object.memory = None;
            }
            _ => {
                self.counts.isolates += 1;
                let index = self.random.index(ISOLATES);
                self.isolates[index].0 = Leases::new([3; 16]);
                // Its requests are gone with it.
                self.messages.retain(|message| message.isolate != index);
            }
        }
        self.compare();
    }

    fn pass(&mut self, narrow: bool, more: u64) {
        self.passed.push(self.now);
        if narrow {
            self.passed_narrow.push(self.now);
        }
        for (windows, (kind, _)) in self.windows.iter_mut().zip(&self.quotas) {
            let window = windows.entry(self.now / length(kind)).or_default();
            window.0 += 1;
            window.1 += more;
        }
    }

    fn request(&mut self) {
        // Most go to few, so that leases are used.
        let index = self.random.index(ISOLATES).min(self.random.index(ISOLATES));
        let narrow = self.random.one_in(12);
        let limits = self.limits(narrow);
        let (leases, off) = &mut self.isolates[index];
        let clock = self.now.saturating_add_signed(*off);
        let key = if narrow { "narrow" } else { "wide" };
        match leases.spend(key, &limits, clock) {
            Spent::Admitted(_) => {
                self.counts.spent += 1;
                self.pass(narrow, 0);
            }
            Spent::Ask(ask_for) => {
                if self.messages.len() >= UNDER_WAY {
                    // Nobody asks, and nobody passes.
                    let taken = Taken {
                        key,
                        limits: &limits,
                        asked: clock,
                        ask: ask_for,
                    };
                    leases.grant(&taken, 0, &[]);
                    return;
                }
                self.requests += 1;
                self.counts.given_back += u64::from(ask_for.back);
                let request = format!("request-{}", self.requests);
                let lease = Some(ask_for).filter(|ask| ask.life > 0);
                self.messages.push(Message {
                    isolate: index,
                    narrow,
                    bytes: ask(&request, 0, 1, lease, limits),
                    left: self.now,
                    sent: clock,
                    ask: ask_for,
                    answer: None,
                    decided: false,
                });
            }
        }
    }

    fn pick(&mut self, which: impl Fn(&Message) -> bool) -> Option<usize> {
        let found: Vec<usize> = (0..self.messages.len())
            .filter(|index| which(&self.messages[*index]))
            .collect();
        if found.is_empty() {
            return None;
        }
        Some(found[self.random.index(found.len())])
    }

    /// An ask comes to the object, in whatever order.
    fn deliver(&mut self) {
        let now = self.now;
        self.messages
            .retain(|message| message.decided || now <= message.left + LATE);
        let Some(index) = self.pick(|message| !message.decided) else {
            return;
        };
        let (answer, wrote) = self.object.call(&self.messages[index].bytes, self.now);
        let narrow = self.messages[index].narrow;
        self.counts.asks += 1;
        if admitted(&answer) {
            assert!(wrote, "a quota was charged and not stored");
            self.counts.leased += u64::from(answer.leased);
            // It counts, whether or not its answer comes back.
            self.pass(narrow, 1 + u64::from(answer.leased));
        } else {
            assert_eq!(answer.leased, 0);
        }
        let message = &mut self.messages[index];
        message.decided = true;
        let again = admitted(&answer) && self.random.one_in(8);
        message.answer = Some(answer);
        if again {
            self.again(index);
        }
    }

    /// An answer comes to its isolate.
    fn answer(&mut self) {
        let Some(index) = self.pick(|message| message.answer.is_some()) else {
            return;
        };
        let message = self.messages.swap_remove(index);
        let answer = message.answer.as_ref();
        self.grant(&message, answer);
    }

    fn grant(&mut self, message: &Message, answer: Option<&Answer>) {
        let limits = self.limits(message.narrow);
        let taken = Taken {
            key: if message.narrow { "narrow" } else { "wide" },
            limits: &limits,
            asked: message.sent,
            ask: message.ask,
        };
        let leases = &mut self.isolates[message.isolate].0;
        match answer {
            Some(answer) => leases.grant(&taken, answer.leased, &answer.standings),
            None => leases.grant(&taken, 0, &[]),
        }
    }

    /// A message does not arrive: its isolate gives up.
    fn lose(&mut self) {
        let Some(index) = self.pick(|_| true) else { return };
        self.counts.lost += 1;
        let message = self.messages.swap_remove(index);
        self.grant(&message, None);
    }

    /// The object is asked again what it has just decided: nothing is charged, nothing given back, nothing leased.
    fn again(&mut self, index: usize) {
        self.counts.again += 1;
        let look = self.look();
        let (answer, _) = self.object.call(&self.messages[index].bytes, self.now);
        assert!(admitted(&answer) && answer.leased == 0, "asked again: {answer:?}");
        assert_eq!(
            self.look(),
            look,
            "what was asked again was charged again, or given back again"
        );
    }

    /// What is left of both quotas.
    fn look(&self) -> Vec<u64> {
        let limits = self.limits(false);
        let looked = self.object.would(&ask("", 0, 0, None, limits), self.now);
        looked.standings[1..].iter().map(|one| one.remaining).collect()
    }

    /// Neither quota is exceeded; what was charged is what passed, and at most what was taken in advance besides.
    fn compare(&self) {
        for ((left, (kind, count)), windows) in self.look().iter().zip(&self.quotas).zip(&self.windows) {
            let (passed, charged) = windows
                .get(&(self.now / length(kind)))
                .copied()
                .unwrap_or_default();
            assert!(passed <= *count, "{passed} passed {kind:?}");
            assert!(
                left + passed <= *count,
                "{left} are left of {kind:?} after {passed}: a charge was lost"
            );
            assert!(
                left + charged >= *count,
                "{left} are left of {kind:?} after {charged} charges: one was doubled"
            );
        }
    }
}

#[test]
fn isolates_with_leases_keep_every_law() {
    let mut sum = Counts::default();
    let (mut left, mut seed) = (operations(), 1);
    while left > 0 {
        let mut world = World::new(seed);
        let run = std::panic::catch_unwind(std::panic::AssertUnwindSafe(|| {
            for _ in 0..left.min(RUN) {
                world.operation();
            }
            keeps(&world.rate, world.passed.clone()).unwrap();
            keeps(&world.narrow, world.passed_narrow.clone()).unwrap();
        }));
        let counts = &world.counts;
        assert!(run.is_ok(), "seed {seed}, after {counts:?}");
        sum.operations += counts.operations;
        sum.asks += counts.asks;
        sum.leased += counts.leased;
        sum.spent += counts.spent;
        sum.given_back += counts.given_back;
        sum.again += counts.again;
        sum.lost += counts.lost;
        sum.crashes += counts.crashes;
        sum.isolates += counts.isolates;
        left -= left.min(RUN);
        seed += 1;
    }
    println!("{sum:?}");
    // What is never reached is not tested.
    let few = sum.operations / 1_000;
    assert!(
        sum.spent > few && sum.given_back > few && sum.lost > few,
        "{sum:?}"
    );
}
