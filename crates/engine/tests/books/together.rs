//! All of it at once: callers with objects of their own and one that they share, isolates that take leases of them,
//! requests that need one object or two, more for those that go on, settlements, credits, and whatever may come
//! between: messages that are late, lost or sent again and what takes them back, crashes, writes that fail, alarms,
//! isolates that vanish, clocks that are set back.
//!
//! After each step every object says what the books say; in the end every rate has kept its law in every interval of
//! real time, and every quota in each of its windows.

use std::collections::BTreeMap;

use turnpike_engine::meter::LeaseAsk;
use turnpike_engine::meter::lease::{Leases, Spent, Taken};

use super::counts::Counts;
use super::ledger::{Called, Charged, Question, Subject, Why};
use super::limits::CREDITABLE;
use super::*;

/// Two of callers, and one that they share: the last in the order of all requests.
const OBJECTS: usize = 3;
const SHARED: usize = OBJECTS - 1;
const ISOLATES: usize = 4;
/// By how much the clock of an isolate may be off, and by how much one of an object is set back in all.
const OFF: u64 = 1_500;
/// How long an isolate waits for an answer.
const PATIENCE: u64 = 5_000;
/// How late a message may come that nobody waits for any more.
const LATE: u64 = 3_000;
/// Requests that are on their way.
const UNDER_WAY: usize = 16;

/// One of the objects of a request.
struct Stop {
    object: usize,
    question: Question,
    lease: Option<LeaseAsk>,
}

/// What was sent and is not answered yet.
struct Sent {
    left: u64,
    /// When that was by the clock of its isolate.
    clock: u64,
    answer: Option<Answer>,
    /// Where its object charged it.
    charged: Charged,
}

/// A request on its way through its objects.
struct Flight {
    request: String,
    isolate: usize,
    stops: Vec<Stop>,
    cost: u32,
    /// When it began, by the clock of its isolate.
    clock: u64,
    reserved: usize,
    confirmed: usize,
    sent: Option<Sent>,
}

impl Flight {
    fn new(request: String, isolate: usize, stops: Vec<Stop>, cost: u32, clock: u64) -> Self {
        Self {
            request,
            isolate,
            stops,
            cost,
            clock,
            reserved: 0,
            confirmed: 0,
            sent: None,
        }
    }

    fn reserves(&self) -> bool {
        self.reserved < self.stops.len()
    }

    fn place(&self) -> usize {
        if self.reserves() {
            self.reserved
        } else {
            self.confirmed
        }
    }

    /// How a stop was asked last, or is now.
    fn mode(&self, place: usize) -> Mode {
        if place + 1 == self.stops.len() {
            Mode::Charge
        } else if !self.reserves() && place <= self.confirmed {
            Mode::Confirm
        } else {
            Mode::Try
        }
    }

    /// What it asks at a stop.
    fn called(&self, place: usize) -> Called {
        let stop = &self.stops[place];
        Called {
            request: self.request.clone(),
            part: 0,
            cost: self.cost,
            mode: self.mode(place),
            question: stop.question.clone(),
            clock: self.clock,
            lease: stop.lease.filter(|lease| lease.life > 0),
        }
    }
}

/// A request that was admitted.
struct Open {
    request: String,
    /// Its objects, and what of tokens and money each has reserved.
    at: Vec<(usize, [u64; 2])>,
}

/// A message that nobody waits for.
struct Stray {
    object: usize,
    called: Called,
    left: u64,
}

struct World {
    random: Random,
    subjects: Vec<Subject>,
    isolates: Vec<(Leases, i64)>,
    /// By isolate and object: where the lease was charged that is spent.
    charged: BTreeMap<(usize, usize), Charged>,
    flights: Vec<Flight>,
    open: Vec<Open>,
    strays: Vec<Stray>,
    /// Real time, and when the run began.
    now: u64,
    began: u64,
    requests: u64,
    /// By how much clocks of objects were set back so far.
    back: u64,
    counts: Counts,
}

impl World {
    fn new(seed: u64) -> Self {
        let mut random = Random(seed ^ 0x0a11);
        let off =
            |random: &mut Random| i64::try_from(random.below(2 * OFF)).unwrap() - i64::try_from(OFF).unwrap();
        let now = NOW - random.below(20_000);
        Self {
            subjects: (0..OBJECTS).map(|_| Subject::new(&mut random)).collect(),
            isolates: (0..ISOLATES)
                .map(|_| (Leases::new([3; 16]), off(&mut random)))
                .collect(),
            charged: BTreeMap::new(),
            // Shortly before windows end.
            now,
            began: now,
            random,
            flights: Vec::new(),
            open: Vec::new(),
            strays: Vec::new(),
            requests: 0,
            back: 0,
            counts: Counts::default(),
        }
    }

    fn operation(&mut self) {
        self.counts.operations += 1;
        match self.random.below(200) {
            0..60 => self.begin(),
            60..126 => self.advance(),
            126..138 => self.settle(),
            138..142 => self.more(),
            142..146 => self.stray(),
            146..149 => self.credit(),
            149..187 => self.pass_time(),
            187..193 => {
                let object = self.random.index(OBJECTS);
                self.counts.crashes += 1;
                self.subjects[object].crash();
            }
            193 => self.fail(),
            194..197 => {
                let object = self.random.index(OBJECTS);
                self.counts.forgotten += u64::from(self.subjects[object].wake(self.now));
            }
            197 => self.vanish(),
            198 => self.jump(),
            _ => self.set_back(),
        }
        if self.counts.operations.is_multiple_of(2) {
            let object = self.random.index(OBJECTS);
            let later = 1 + self.random.below(3_000);
            self.subjects[object].compare(self.now, later);
        }
    }

    fn pass_time(&mut self) {
        self.now += match self.random.below(150) {
            0..120 => self.random.below(80),
            120..145 => self.random.below(1_000),
            145..148 => self.random.below(MINUTE),
            148 => self.random.below(4 * MINUTE),
            _ => return self.sleep(),
        };
    }

    /// Nobody comes for long, and the alarms of objects go off.
    fn sleep(&mut self) {
        let hours = if self.random.one_in(8) { 40 } else { 2 };
        self.now += self.random.below(hours * 60 * MINUTE);
        for subject in &mut self.subjects {
            self.counts.forgotten += u64::from(subject.wake(self.now));
        }
    }

    /// The clock of an object is set back: it stands still, or runs behind from now on.
    fn set_back(&mut self) {
        let by = self.random.below(700);
        if self.back + by <= OFF {
            self.back += by;
            self.counts.set_back += 1;
            let object = self.random.index(OBJECTS);
            self.subjects[object].behind += by;
        }
    }

    /// The clock of an object jumps ahead, or is set right again: by less than objects outlive what they keep, so that
    /// no window that was forgotten is found open.
    fn jump(&mut self) {
        let by = match self.random.below(10) {
            0..6 => self.random.between(1, 2_000),
            6..9 => self.random.between(1, 70_000),
            _ => self.random.between(1, 500_000),
        };
        self.counts.jumps += 1;
        let object = self.random.index(OBJECTS);
        self.subjects[object].jump(by, self.now);
    }

    /// An isolate is lost, and its requests with it.
    fn vanish(&mut self) {
        self.counts.isolates += 1;
        let index = self.random.index(ISOLATES);
        self.isolates[index].0 = Leases::new([3; 16]);
        for flight in std::mem::take(&mut self.flights) {
            if flight.isolate == index {
                self.leave_behind(&flight);
            } else {
                self.flights.push(flight);
            }
        }
    }

    fn clock(&self, isolate: usize) -> u64 {
        self.now.saturating_add_signed(self.isolates[isolate].1)
    }

    fn begin(&mut self) {
        self.requests += 1;
        let request = format!("request-{}", self.requests);
        // Most go to few, so that leases are used.
        let least = |random: &mut Random, of| random.index(of).min(random.index(of)).min(random.index(of));
        let isolate = least(&mut self.random, ISOLATES);
        let own = least(&mut self.random, SHARED);
        if self.random.below(3) > 0 {
            return self.spend(request, isolate, own);
        }
        if self.flights.len() >= UNDER_WAY {
            return;
        }
        let objects = match self.random.below(4) {
            0 => vec![own, SHARED],
            1 => vec![SHARED],
            _ => vec![own],
        };
        let cost = if self.random.one_in(12) { 2 } else { 1 };
        let stops = objects.into_iter().map(|object| Stop {
            object,
            question: self.subjects[object].question(&mut self.random),
            lease: None,
        });
        let stops = stops.collect();
        let clock = self.clock(isolate);
        self.flights
            .push(Flight::new(request, isolate, stops, cost, clock));
    }

    /// Of limits that isolates take portions of.
    fn spend(&mut self, request: String, isolate: usize, object: usize) {
        let question = Subject::leased();
        let clock = self.clock(isolate);
        let limits = self.subjects[object].asked(&question, clock);
        let leases = &mut self.isolates[isolate].0;
        match leases.spend(&object.to_string(), &limits, clock) {
            Spent::Admitted(_) => {
                self.counts.spent += 1;
                let charged = self.charged[&(isolate, object)];
                self.subjects[object].spent(charged, self.now);
            }
            Spent::Ask(ask) => {
                let stop = Stop {
                    object,
                    question,
                    lease: Some(ask),
                };
                self.counts.given_back += u64::from(ask.back);
                let mut flight = Flight::new(request, isolate, vec![stop], 1, clock);
                // When it may be spent counts from here on.
                self.send(&mut flight);
                if self.flights.len() < UNDER_WAY {
                    return self.flights.push(flight);
                }
                // Nobody asks, and nobody passes.
                self.grant(&flight, clock, None);
            }
        }
    }

    fn send(&self, flight: &mut Flight) {
        let clock = self.clock(flight.isolate);
        flight.sent = Some(Sent {
            left: self.now,
            clock,
            answer: None,
            charged: Charged::default(),
        });
    }

    /// The next of what happens to a request.
    fn advance(&mut self) {
        if self.flights.is_empty() {
            return;
        }
        let index = self.random.index(self.flights.len());
        let mut flight = self.flights.swap_remove(index);
        let Some(sent) = &flight.sent else {
            if self.clock(flight.isolate) > flight.clock + 2 * PATIENCE {
                return self.give_up(&flight);
            }
            self.send(&mut flight);
            return self.flights.push(flight);
        };
        let decided = sent.answer.is_some();
        if self.now > sent.left + PATIENCE || self.random.one_in(40) {
            return self.give_up(&flight);
        }
        // What was decided is asked again, as its answer was lost.
        if decided && !self.random.one_in(12) {
            return self.receive(flight);
        }
        self.counts.again += u64::from(decided);
        let object = flight.stops[flight.place()].object;
        let called = flight.called(flight.place());
        let answer = self.deliver(object, &called);
        if let Some(sent) = &mut flight.sent {
            sent.answer = Some(self.subjects[object].right(answer, &called));
            sent.charged = self.subjects[object].charged(self.now);
        }
        self.flights.push(flight);
    }

    /// An ask comes to its object.
    fn deliver(&mut self, object: usize, called: &Called) -> Answer {
        let (answer, why) = self.subjects[object].ask(called, self.now);
        match why {
            Why::Known => {}
            Why::Passed => self.counts.leased += u64::from(answer.leased),
            Why::Refused { checked } => self.counts.waits += u64::from(checked),
        }
        answer
    }

    /// An answer comes to its isolate.
    fn receive(&mut self, mut flight: Flight) {
        let Some(Sent {
            answer: Some(answer),
            clock,
            charged,
            ..
        }) = flight.sent.take()
        else {
            return;
        };
        self.grant(&flight, clock, Some(&answer));
        if answer.leased > 0 {
            self.charged
                .insert((flight.isolate, flight.stops[0].object), charged);
        }
        if !admitted(&answer) {
            self.counts.refused += 1;
            return self.end(&flight, flight.place());
        }
        if flight.reserves() {
            flight.reserved += 1;
        } else {
            flight.confirmed += 1;
        }
        if flight.reserves() || flight.confirmed + 1 < flight.stops.len() {
            return self.flights.push(flight);
        }
        self.counts.admitted += 1;
        let at = flight.stops.iter().map(|stop| {
            let of = |name| {
                stop.question
                    .iter()
                    .find(|one| one.0 == name)
                    .map_or(0, |one| one.1)
            };
            (stop.object, [of("tokens"), of("money")])
        });
        self.open.push(Open {
            at: at.collect(),
            request: flight.request,
        });
    }

    fn grant(&mut self, flight: &Flight, clock: u64, answer: Option<&Answer>) {
        let Some(Stop {
            object,
            question,
            lease: Some(ask),
        }) = flight.stops.first()
        else {
            return;
        };
        let limits = self.subjects[*object].asked(question, flight.clock);
        let key = object.to_string();
        let taken = Taken {
            key: &key,
            limits: &limits,
            asked: clock,
            ask: *ask,
        };
        let leases = &mut self.isolates[flight.isolate].0;
        match answer {
            Some(answer) => leases.grant(&taken, answer.leased, &answer.standings),
            None => leases.grant(&taken, 0, &[]),
        }
    }

    /// Nobody waits for the answer any more: the request is refused.
    fn give_up(&mut self, flight: &Flight) {
        self.counts.lost += 1;
        if let Some(sent) = &flight.sent {
            self.grant(flight, sent.clock, None);
        }
        let upto = if flight.reserves() {
            flight.place() + 1
        } else {
            flight.stops.len()
        };
        self.leave_behind(flight);
        self.end(flight, upto);
    }

    /// An ask that was sent may still come.
    fn leave_behind(&mut self, flight: &Flight) {
        let undecided = flight.sent.as_ref().filter(|sent| sent.answer.is_none());
        if let Some(sent) = undecided
            && self.random.one_in(2)
        {
            let called = flight.called(flight.place());
            self.strays.push(Stray {
                object: flight.stops[flight.place()].object,
                called,
                left: sent.left,
            });
        }
    }

    /// A request is refused: what the first so many of its objects keep is given back. It has then cost nothing.
    fn end(&mut self, flight: &Flight, upto: usize) {
        let upto = if flight.reserves() {
            upto
        } else {
            flight.stops.len()
        };
        for place in 0..upto {
            let object = flight.stops[place].object;
            let reached = !self.random.one_in(20);
            if !reached {
                // It is lost with its isolate; what was tried ends by itself.
                continue;
            }
            if flight.mode(place) == Mode::Try {
                self.subjects[object].settle(&flight.request, Vec::new(), self.now);
            } else if place < flight.reserved || flight.sent.is_some() {
                let called = flight.called(place);
                self.counts.taken_back += 1;
                self.subjects[object].take_back(&called, self.now);
                if self.random.one_in(10) {
                    self.subjects[object].take_back(&called, self.now);
                }
            }
            self.subjects[object].costs_nothing(&flight.request);
        }
    }

    /// A message comes that nobody waits for.
    fn stray(&mut self) {
        if self.strays.is_empty() {
            return;
        }
        let index = self.random.index(self.strays.len());
        let Stray { object, called, left } = self.strays.swap_remove(index);
        if self.now > left + PATIENCE + LATE {
            return;
        }
        self.counts.late += 1;
        self.deliver(object, &called);
        self.subjects[object].stays_taken_back(&called.request);
    }

    /// Another attempt of a request needs more.
    fn more(&mut self) {
        if self.open.is_empty() {
            return;
        }
        let index = self.random.index(self.open.len());
        self.requests += 1;
        let part = u32::try_from(self.requests).unwrap();
        let request = self.open[index].request.clone();
        for place in 0..self.open[index].at.len() {
            let (object, _) = self.open[index].at[place];
            let question = self.subjects[object].more(&mut self.random);
            let amounts = [question[0].1, question[1].1];
            let called = Called {
                request: request.clone(),
                part,
                cost: 0,
                mode: Mode::Charge,
                question,
                clock: self.now,
                lease: None,
            };
            self.counts.more += 1;
            if admitted(&self.deliver(object, &called)) {
                let (_, reserved) = &mut self.open[index].at[place];
                for (reserved, amount) in reserved.iter_mut().zip(amounts) {
                    *reserved += amount;
                }
            }
        }
    }

    /// Objects are told what a request used; mostly less than was reserved, sometimes more; some are not told, and
    /// some twice.
    fn settle(&mut self) {
        if self.open.is_empty() {
            return;
        }
        let index = self.random.index(self.open.len());
        let open = self.open.swap_remove(index);
        if self.random.one_in(8) {
            return;
        }
        self.counts.settled += 1;
        for (object, reserved) in open.at {
            let used =
                ["tokens", "money"]
                    .into_iter()
                    .zip(reserved)
                    .filter_map(|(name, reserved)| match self.random.below(10) {
                        0 => None,
                        1 => Some((name, reserved + self.random.below(reserved / 2 + 3))),
                        _ => Some((name, self.random.below(reserved + 1))),
                    });
            let used: Vec<_> = used.collect();
            self.subjects[object].settle(&open.request, used.clone(), self.now);
            if self.random.one_in(10) {
                self.subjects[object].settle(&open.request, used, self.now);
            }
        }
    }

    fn credit(&mut self) {
        self.counts.credits += 1;
        let object = self.random.index(OBJECTS);
        let name = CREDITABLE[self.random.index(CREDITABLE.len())];
        let amount = 1 + self.random.below(40);
        let id = format!("credit-{}", self.random.below(400));
        self.subjects[object].credit(&id, name, amount, self.now);
    }

    /// A write fails: whatever was decided, nobody hears of it.
    fn fail(&mut self) {
        self.counts.failed += 1;
        let object = self.random.index(OBJECTS);
        let question = self.subjects[object].question(&mut self.random);
        let request = "failed".to_owned();
        let called = Called {
            request,
            part: 0,
            cost: 1,
            mode: Mode::Charge,
            question,
            clock: self.now,
            lease: None,
        };
        self.subjects[object].fail(&called, self.now);
    }

    fn close(&mut self) {
        for subject in &self.subjects {
            subject.keeps_laws();
            let (day, set) = subject.turned(self.began, self.now);
            self.counts.days += u64::from(day);
            self.counts.set_anew += u64::from(set);
        }
    }
}

#[test]
fn everything_at_once_keeps_every_law_and_the_books() {
    let mut sum = Counts::default();
    let (mut left, mut seed) = (operations(), 1);
    while left > 0 {
        let mut world = World::new(seed);
        let run = std::panic::catch_unwind(std::panic::AssertUnwindSafe(|| {
            for _ in 0..left.min(RUN) {
                world.operation();
            }
            world.close();
        }));
        let counts = &world.counts;
        assert!(run.is_ok(), "seed {seed}, after {counts:?}");
        sum.add(counts);
        left -= left.min(RUN);
        seed += 1;
    }
    println!("{sum:?}");
    // What is never reached is not tested.
    let all = sum.all();
    let few = sum.operations / 2_000;
    assert!(all.values().all(|count| *count > few), "{all:?}");
}
