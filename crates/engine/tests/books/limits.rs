//! The limits of everything at once, and how their windows lie: those of the calendar, those of a place whose clocks
//! are set anew in the course of a run, and those that roll.

use std::collections::BTreeMap;

use turnpike_engine::meter::lease::SKEW;
use turnpike_engine::meter::zoned;
use turnpike_policy::{Limit, Precision, SubjectPart, Unit, Zone};

use super::*;

pub(crate) const NAMES: [&str; 10] = [
    "fast", "slow", "minute", "hour", "day", "rolling", "bytes", "tokens", "money", "places",
];
/// Those of which something can be given back.
pub(crate) const CREDITABLE: [&str; 7] = ["minute", "hour", "day", "rolling", "bytes", "tokens", "money"];
/// Those that isolates take portions of.
pub(crate) const LEASED: [&str; 4] = ["fast", "minute", "hour", "day"];

const HOUR: u64 = 60 * MINUTE;
const DAY: u64 = 24 * HOUR;
/// In how many parts a rolling window is kept, besides the one that has just begun.
const PARTS: u64 = 20;

/// The limits of a run.
pub(crate) struct Limits {
    pub(crate) fast: Rate,
    pub(crate) slow: Rate,
    whole: BTreeMap<&'static str, u64>,
    /// [`Window::DayAt`] stands for a day of the zone.
    windows: BTreeMap<&'static str, Window>,
    zone: Zone,
}

pub(crate) fn is_rate(name: &str) -> bool {
    matches!(name, "fast" | "slow")
}

/// Whether it counts requests.
pub(crate) fn is_quota(name: &str) -> bool {
    matches!(name, "minute" | "hour" | "day" | "rolling")
}

/// Whether what is charged to it is not corrected when the request is over.
pub(crate) fn is_final(name: &str) -> bool {
    is_quota(name) || name == "bytes"
}

/// A place where a day begins soon after the begin of a run, and clocks are set an hour and a half before or after that:
/// not near a midnight, by clocks as they were or as they are, so that who asks and who decides agree on the day.
fn zone(random: &mut Random) -> Zone {
    const QUARTER: u64 = 15 * MINUTE;
    let (midnight, set) = if random.one_in(2) {
        let midnight = NOW + random.below(6) * QUARTER;
        (midnight, midnight + 6 * QUARTER)
    } else {
        let set = NOW + random.between(1, 3) * QUARTER;
        (set + 6 * QUARTER, set)
    };
    let ahead = i32::try_from((DAY - midnight % DAY) / 1_000).unwrap();
    let ahead = if ahead > 43_200 { ahead - 86_400 } else { ahead };
    let then = if random.one_in(2) {
        ahead + 3_600
    } else {
        ahead - 3_600
    };
    Zone {
        name: "Somewhere".to_owned(),
        offsets: vec![(0, ahead), (set, then)],
    }
}

impl Limits {
    pub(crate) fn new(random: &mut Random) -> Self {
        let fast = Rate {
            count: u32::try_from(random.between(1, 400)).unwrap(),
            period: random.between(100, 20_000),
            burst: u32::try_from(random.between(8, 300)).unwrap(),
        };
        let slow = Rate {
            count: 1,
            period: random.between(500, 30_000),
            burst: 5,
        };
        // An object that counts by the day has something to remember for long; others forget.
        let day = if random.one_in(3) {
            Window::Hour
        } else {
            Window::DayAt(0)
        };
        let mut one_of = |windows: [Window; 3]| windows[random.index(3)];
        let windows = [
            ("minute", Window::Minute),
            ("hour", Window::Hour),
            ("day", day),
            (
                "rolling",
                one_of([
                    Window::Rolling(MINUTE),
                    Window::Rolling(MINUTE),
                    Window::Rolling(HOUR),
                ]),
            ),
            ("bytes", one_of([Window::Minute, Window::Rolling(MINUTE), day])),
            ("tokens", one_of([Window::Minute, Window::Rolling(MINUTE), day])),
            ("money", one_of([Window::Hour, Window::Rolling(HOUR), day])),
        ];
        let whole = [
            ("minute", random.between(20, 900)),
            ("hour", random.between(200, 4_000)),
            ("day", random.between(50, 1_500)),
            ("rolling", random.between(5, 200)),
            ("bytes", random.between(1_000, 100_000)),
            ("tokens", random.between(1, 3_000)),
            ("money", random.between(1_000, 1_000_000_000_000)),
            ("places", random.between(1, 12)),
        ];
        Self {
            fast,
            slow,
            whole: whole.into(),
            windows: windows.into(),
            zone: zone(random),
        }
    }

    /// How many there are of a limit that is no rate.
    pub(crate) fn most(&self, name: &str) -> u64 {
        self.whole[name]
    }

    /// The most that one request asks of it: of what lasts for a day, less.
    pub(crate) fn asked_at_most(&self, name: &str) -> u64 {
        let share = match (name, self.windows[name]) {
            (_, Window::DayAt(_)) => 40,
            ("tokens", _) => 3,
            _ => 5,
        };
        self.most(name) / share + 2
    }

    /// How clocks are set for who asks at this time: around the instant at which they are set, those that are behind.
    pub(crate) fn offset(&self, clock: u64) -> i32 {
        let before = self.zone.offset(clock - SKEW);
        before.min(self.zone.offset(clock + SKEW))
    }

    fn window(&self, name: &str, clock: u64) -> Window {
        match self.windows[name] {
            Window::DayAt(_) => Window::DayAt(self.offset(clock)),
            other => other,
        }
    }

    /// What is asked for by who has this time.
    pub(crate) fn kind(&self, name: &str, clock: u64) -> LimitKind {
        let budget = |unit| LimitKind::Budget {
            count: self.most(name),
            window: self.window(name, clock),
            unit,
        };
        match name {
            "fast" => LimitKind::Rate(self.fast),
            "slow" => LimitKind::Rate(self.slow),
            "places" => LimitKind::Concurrency {
                count: u32::try_from(self.most(name)).unwrap(),
            },
            "bytes" => budget(Unit::Bytes),
            "tokens" => budget(Unit::Tokens),
            "money" => budget(Unit::NanoUsd),
            _ => quota(self.most(name), self.window(name, clock)),
        }
    }

    /// The number of the window, or of the part of a rolling one, in which an instant lies.
    pub(crate) fn index(&self, name: &str, at: u64) -> u64 {
        match self.windows[name] {
            Window::Minute => minute(at),
            Window::Hour => at / HOUR,
            Window::Rolling(length) => at / (length / PARTS),
            _ => at.saturating_add_signed(i64::from(self.zone.offset(at)) * 1_000) / DAY,
        }
    }

    /// Whether what was charged in one window counts in a later one.
    pub(crate) fn counts(&self, name: &str, then: u64, now: u64) -> bool {
        match self.windows[name] {
            Window::Rolling(_) => now - then <= PARTS,
            _ => then == now,
        }
    }

    /// The length of a window that rolls.
    pub(crate) fn rolls(&self, name: &str) -> Option<u64> {
        match self.windows[name] {
            Window::Rolling(length) => Some(length),
            _ => None,
        }
    }

    /// Until when a credit is kept that is booked at an instant.
    pub(crate) fn kept_until(&self, name: &str, clock: u64, at: u64) -> u64 {
        match self.window(name, clock) {
            Window::Minute => (minute(at) + 1) * MINUTE,
            Window::Hour => (at / HOUR + 1) * HOUR,
            Window::Rolling(length) => at + length + length / PARTS,
            _ => {
                let ahead = i64::from(self.offset(clock)) * 1_000;
                let tomorrow = at.saturating_add_signed(ahead) / DAY + 1;
                // Clocks may be set until then.
                (tomorrow * DAY).saturating_add_signed(-ahead) + 2 * HOUR
            }
        }
    }

    /// What an object said to who asked at this time, put right for the days of the zone.
    pub(crate) fn right(&self, answer: Answer, question: &[(&'static str, u64)], clock: u64) -> Answer {
        let one = |(name, _): &(&'static str, u64)| {
            let zoned = matches!(self.windows.get(name), Some(Window::DayAt(_)));
            Limit {
                id: (*name).to_owned(),
                kind: self.kind(name, clock),
                zone: zoned.then(|| self.zone.name.clone()),
                subject: vec![SubjectPart::Consumer],
                models: Vec::new(),
                precision: Precision::Exact,
                split: None,
                shadow: false,
                origin: String::new(),
            }
        };
        let limits: Vec<Limit> = question.iter().map(one).collect();
        zoned::answer(answer, limits.iter(), std::slice::from_ref(&self.zone), clock)
    }

    /// Where days are counted: whether one began between two instants, and whether clocks were set there.
    pub(crate) fn turned(&self, from: u64, to: u64) -> (bool, bool) {
        let days = matches!(self.windows["day"], Window::DayAt(_));
        (
            days && self.index("day", from) != self.index("day", to),
            days && self.zone.offset(from) != self.zone.offset(to),
        )
    }
}
