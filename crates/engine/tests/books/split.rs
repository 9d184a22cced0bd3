//! Requests whose limits lie in several objects: tried at all but the last, charged at the last, confirmed at
//! the others; and whatever may come between. Every object keeps its laws, a refused request is charged nowhere
//! in the end, and what was tried in time is confirmed.

use turnpike_engine::meter::{TRIAL, rolling};
use turnpike_policy::Unit;

use super::page::Owed;
use super::*;

const OBJECTS: usize = 4;
/// Requests that are on their way.
const UNDER_WAY: usize = 12;

/// What an object charged to one request.
#[derive(Clone, Copy)]
struct Charge {
    at: u64,
    tokens: u64,
}

/// A subject's object, its limits, and its page in the books.
struct Subject {
    object: Object,
    rate: Rate,
    per_minute: u64,
    rolling: (u64, u64),
    tokens: (u64, u64),
    owed: Owed,
    charges: Vec<Charge>,
    /// How often it crashed.
    crashes: u64,
}

impl Subject {
    fn new(random: &mut Random) -> Self {
        // No rolling window of a policy is shorter than a minute; none here than a trial.
        let mut length = || random.between(TRIAL, 10 * MINUTE);
        let (first, second) = (length(), length());
        Self {
            object: Object::default(),
            rate: rate(random),
            per_minute: random.between(3, 200),
            rolling: (random.between(3, 100), first),
            tokens: (random.between(20, 2_000), second),
            owed: Owed::default(),
            charges: Vec::new(),
            crashes: 0,
        }
    }

    fn limits(&self, amount: u64) -> Vec<Asked<'static>> {
        let (count, length) = self.rolling;
        let (budget, window) = self.tokens;
        let budget = LimitKind::Budget {
            count: budget,
            window: Window::Rolling(window),
            unit: Unit::Tokens,
        };
        vec![
            asked("rate", LimitKind::Rate(self.rate), 0),
            asked("minute", quota(self.per_minute, Window::Minute), 0),
            asked("rolling", quota(count, Window::Rolling(length)), 0),
            asked("tokens", budget, amount),
        ]
    }

    /// What of a sum was charged from an instant on, and before another.
    fn between(&self, from: u64, to: u64, of: impl Fn(&Charge) -> u64) -> u64 {
        let inside = self.charges.iter().filter(|one| (from..to).contains(&one.at));
        inside.map(of).sum()
    }

    /// No interval as long as a window holds more than it allows.
    fn keeps_windows(&self) {
        let widest = |length: u64, of: fn(&Charge) -> u64| {
            let (mut first, mut sum, mut most) = (0, 0, 0);
            for charge in &self.charges {
                sum += of(charge);
                while self.charges[first].at + length <= charge.at {
                    sum -= of(&self.charges[first]);
                    first += 1;
                }
                most = most.max(sum);
            }
            most
        };
        assert!(
            widest(self.rolling.1, |_| 1) <= self.rolling.0,
            "too many in a rolling window"
        );
        assert!(
            widest(self.tokens.1, |one| one.tokens) <= self.tokens.0,
            "too many tokens in a rolling window"
        );
        let mut minutes = std::collections::BTreeMap::new();
        for charge in &self.charges {
            *minutes.entry(minute(charge.at)).or_insert(0) += 1;
        }
        assert!(
            minutes.values().all(|count| *count <= self.per_minute),
            "too many in a minute"
        );
    }

    /// When nothing is on its way, what is left is what was not charged.
    fn balances(&self, now: u64) {
        let look = ask("", 0, 0, None, self.limits(0));
        let left: Vec<u64> = {
            let standings = self.object.would(&look, now).standings;
            standings.iter().map(|one| one.remaining).collect()
        };
        let (least, most) = self.owed.remaining(&self.rate, now);
        assert!(
            (least..=most).contains(&left[0]),
            "of the rate {} are left, not {least} to {most}",
            left[0]
        );
        let charged = self.between(minute(now) * MINUTE, now + 1, |_| 1);
        assert_eq!(left[1] + charged, self.per_minute, "the quota of a minute");
        self.balances_rolling(left[2], self.rolling, now, |_| 1);
        self.balances_rolling(left[3], self.tokens, now, |one| one.tokens);
    }

    fn balances_rolling(&self, left: u64, (count, length): (u64, u64), now: u64, of: fn(&Charge) -> u64) {
        // A part of a window counts until all of it is over.
        let surely = self.between((now + 1).saturating_sub(length), now + 1, of);
        let perhaps = self.between(
            (now + 1).saturating_sub(length + 2 * rolling::part(length)),
            now + 1,
            of,
        );
        assert!(
            left + surely <= count,
            "{left} left after {surely} of {count}: a charge was lost"
        );
        assert!(
            left + perhaps >= count,
            "{left} left after {perhaps} of {count}: a charge was doubled"
        );
    }
}

/// A request on its way through its objects.
struct Flight {
    request: String,
    /// In one order for all requests.
    order: Vec<usize>,
    tokens: u64,
    /// How many objects it has reserved at, and how many of them it has confirmed at.
    reserved: usize,
    confirmed: usize,
    /// When each object tried it, and how often that had crashed by then.
    tried: Vec<(u64, u64)>,
    /// Its place in the pages of the objects that charged it.
    charged: Vec<(usize, usize)>,
}

#[derive(Debug, Default)]
struct Counts {
    operations: u64,
    begun: u64,
    admitted: u64,
    refused: u64,
    unconfirmed: u64,
    left: u64,
    lost: u64,
    again: u64,
    crashes: u64,
}

struct World {
    random: Random,
    subjects: Vec<Subject>,
    flights: Vec<Flight>,
    now: u64,
    counts: Counts,
}

impl World {
    fn new(seed: u64) -> Self {
        let mut random = Random(seed ^ 0x5b11);
        Self {
            subjects: (0..OBJECTS).map(|_| Subject::new(&mut random)).collect(),
            random,
            flights: Vec::new(),
            now: NOW,
            counts: Counts::default(),
        }
    }

    fn operation(&mut self) {
        self.counts.operations += 1;
        match self.random.below(100) {
            0..20 => self.begin(),
            20..75 => self.advance(),
            75..78 => self.leave(),
            78..97 => {
                self.now += match self.random.below(20) {
                    0..14 => self.random.below(60),
                    14..18 => self.random.below(3_000),
                    // Past what is tried.
                    18 => self.random.below(2 * TRIAL),
                    _ => self.random.below(4 * MINUTE),
                };
            }
            _ => {
                let subject = self.random.index(OBJECTS);
                self.crash(subject);
            }
        }
    }

    fn begin(&mut self) {
        if self.flights.len() >= UNDER_WAY {
            return;
        }
        self.counts.begun += 1;
        let mut order: Vec<usize> = (0..OBJECTS).filter(|_| self.random.one_in(2)).collect();
        if order.len() < 2 {
            order = vec![0, OBJECTS - 1];
        }
        self.flights.push(Flight {
            request: format!("request-{}", self.counts.begun),
            order,
            tokens: self.random.below(60),
            reserved: 0,
            confirmed: 0,
            tried: Vec::new(),
            charged: Vec::new(),
        });
    }

    /// A request asks the next of its objects.
    fn advance(&mut self) {
        if self.flights.is_empty() {
            return;
        }
        let index = self.random.index(self.flights.len());
        let mut flight = self.flights.swap_remove(index);
        let reserving = flight.reserved < flight.order.len();
        let at = flight.order[if reserving {
            flight.reserved
        } else {
            flight.confirmed
        }];
        let mode = match reserving {
            true if flight.reserved + 1 < flight.order.len() => Mode::Try,
            true => Mode::Charge,
            false => Mode::Confirm,
        };
        let bytes = {
            let limits = self.subjects[at].limits(flight.tokens);
            let ask = Ask {
                mode,
                request: &flight.request,
                part: 0,
                cost: 1,
                hold: HOLD,
                lease: None,
                limits,
            };
            ask.encode().unwrap()
        };
        // The ask does not arrive, and nobody asks again.
        if self.random.one_in(40) {
            self.counts.lost += 1;
            return self.end(&flight);
        }
        let passed = self.ask(at, mode, &bytes, &mut flight);
        // Its answer does not come back: the same is asked again, or nobody waits any more.
        if self.random.one_in(30) {
            self.counts.again += 1;
            let (again, _) = self.subjects[at].object.call(&bytes, self.now);
            assert!(
                !passed || admitted(&again),
                "what was admitted is refused when it is asked again"
            );
            // A refused one may pass now: then it is on the books as any other.
            if !passed && admitted(&again) {
                self.note(at, mode, &mut flight);
                return self.onward(flight, mode);
            }
        } else if self.random.one_in(40) {
            self.counts.lost += 1;
            return self.end(&flight);
        }
        if passed {
            return self.onward(flight, mode);
        }
        if mode == Mode::Confirm {
            self.counts.unconfirmed += 1;
            let (tried, crashes) = flight.tried[flight.confirmed];
            assert!(
                self.now >= tried + TRIAL || crashes < self.subjects[at].crashes,
                "what was tried {} ms ago is not confirmed",
                self.now - tried
            );
        } else {
            self.counts.refused += 1;
        }
        self.end(&flight);
    }

    /// One ask of an object; whether it is admitted.
    fn ask(&mut self, at: usize, mode: Mode, bytes: &[u8], flight: &mut Flight) -> bool {
        let (answer, _) = self.subjects[at].object.call(bytes, self.now);
        let passed = admitted(&answer);
        if passed {
            self.note(at, mode, flight);
        }
        passed
    }

    fn note(&mut self, at: usize, mode: Mode, flight: &mut Flight) {
        let subject = &mut self.subjects[at];
        if mode == Mode::Try {
            return flight.tried.push((self.now, subject.crashes));
        }
        subject.owed.pass(&subject.rate, self.now, 1);
        flight.charged.push((at, subject.charges.len()));
        subject.charges.push(Charge {
            at: self.now,
            tokens: flight.tokens,
        });
    }

    fn onward(&mut self, mut flight: Flight, mode: Mode) {
        if mode == Mode::Confirm {
            flight.confirmed += 1;
        } else {
            flight.reserved += 1;
        }
        if flight.reserved < flight.order.len() || flight.confirmed + 1 < flight.order.len() {
            return self.flights.push(flight);
        }
        self.counts.admitted += 1;
        // What it used is told, now and then not.
        if self.random.one_in(5) {
            return;
        }
        let used = self.random.below(flight.tokens + 1);
        for at in &flight.order {
            self.settle(*at, &flight, used);
        }
    }

    /// A request ends before it is admitted; what was tried is given back at once, or by itself.
    fn end(&mut self, flight: &Flight) {
        if self.random.one_in(2) {
            return;
        }
        for at in &flight.order {
            self.settle(*at, flight, 0);
        }
    }

    /// An object hears what a request used, if it still holds anything for it.
    fn settle(&mut self, at: usize, flight: &Flight, used: u64) {
        let bytes = settle(&flight.request, vec![("tokens", used)]);
        let subject = &mut self.subjects[at];
        subject.object.call(&bytes, self.now);
        let charged = flight.charged.iter().find(|(charged, _)| *charged == at);
        if let Some(charge) = charged.map(|(_, place)| &mut subject.charges[*place])
            && self.now < charge.at + HOLD
        {
            charge.tokens = used;
        }
    }

    /// The isolate of a request is lost.
    fn leave(&mut self) {
        if !self.flights.is_empty() {
            self.counts.left += 1;
            let index = self.random.index(self.flights.len());
            self.flights.swap_remove(index);
        }
    }

    fn crash(&mut self, at: usize) {
        self.counts.crashes += 1;
        let subject = &mut self.subjects[at];
        subject.object.memory = None;
        subject.owed.crash(&subject.rate);
        subject.crashes += 1;
    }

    fn close(&mut self) {
        self.flights.clear();
        self.now += TRIAL;
        for subject in &self.subjects {
            keeps(&subject.rate, subject.charges.iter().map(|one| one.at).collect()).unwrap();
            subject.keeps_windows();
            subject.balances(self.now);
        }
    }
}

#[test]
fn requests_with_several_objects_keep_every_law() {
    let mut sum = Counts::default();
    let (mut left, mut seed) = (operations(), 1);
    while left > 0 {
        let mut world = World::new(seed);
        let run = std::panic::catch_unwind(std::panic::AssertUnwindSafe(|| {
            for operation in 0..left.min(RUN) {
                world.operation();
                if operation % 250 == 249 {
                    world.close();
                }
            }
        }));
        let counts = &world.counts;
        assert!(run.is_ok(), "seed {seed}, after {counts:?}");
        sum.operations += counts.operations;
        sum.begun += counts.begun;
        sum.admitted += counts.admitted;
        sum.refused += counts.refused;
        sum.unconfirmed += counts.unconfirmed;
        sum.left += counts.left;
        sum.lost += counts.lost;
        sum.again += counts.again;
        sum.crashes += counts.crashes;
        left -= left.min(RUN);
        seed += 1;
    }
    println!("{sum:?}");
    // What is never reached is not tested.
    let few = sum.operations / 2_000;
    assert!(
        sum.admitted > few && sum.refused > few && sum.lost > few && sum.crashes > few && sum.unconfirmed > 0,
        "{sum:?}"
    );
}
