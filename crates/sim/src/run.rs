//! One run: a shape of load, one precision, everything that goes wrong, and what came of it.
//!
//! Time is in whole microseconds and goes from event to event. A request arrives at an isolate; what the isolate
//! cannot decide by itself travels to the subject's object, waits there for its turn, is decided by the engine's
//! own code, and travels back. Clocks differ: each isolate's and each object's is off by an amount of its own.

use std::cmp::Reverse;
use std::collections::BinaryHeap;

use rand::{RngExt, SeedableRng};
use rand_pcg::Pcg64Mcg;

use crate::load::{Arrival, Load, Shape};
use crate::meter::{Isolate, Said, Wish};
use crate::outcome::Outcome;
use crate::subject::{OBJECT_LIFE, START, Split, Subject, lease_key, life, order, pass, wall, wall_of};
use crate::world::{Micros, World};

/// How long an object works on a call that writes nothing, and on one that writes: a thousand, and three hundred
/// a second.
pub(crate) const SERVES: Micros = 1_000;
/// See [`SERVES`].
pub(crate) const SERVES_WRITING: Micros = 3_333;
/// How long the answer then waits until what was written is durable.
const DURABLE: Micros = 5_000;
/// How long a call may wait for its turn; those that would wait longer are turned away by the platform.
const PATIENCE: Micros = 1_000_000;
/// How long an isolate waits for an object. As in the shell.
const DEADLINE: Micros = 5_000_000;
/// For how long an isolate asks one object only, after all that it may ask have refused.
const FULL: Micros = 1_000_000;
/// How long an idle object stays in memory.
const IDLE: Micros = 10_000_000;
/// How long an isolate lives, on average: far less than is seen in the field.
const ISOLATE_LIFE: f64 = 60e6;
/// How long it takes; calls that come meanwhile are lost.
const RESTARTS: Micros = 50_000;
/// By how much an isolate's clock may be off, in milliseconds.
const ISOLATE_SKEW: i64 = 500;

/// Who decides.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Precision {
    /// The subject's object, each time.
    Exact,
    /// The isolate, with what it took from the object in advance.
    Leased,
    /// The isolate alone.
    Local,
}

/// One run.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Plan {
    /// The load.
    pub(crate) shape: Shape,
    /// Who decides.
    pub(crate) precision: Precision,
    /// How hot subjects are split.
    pub(crate) split: Split,
    /// Whether isolates and objects are lost on the way.
    pub(crate) faults: bool,
    /// Where all randomness comes from.
    pub(crate) seed: u64,
}

/// By the numbers of subjects.
#[expect(
    clippy::disallowed_types,
    reason = "nobody else chooses its keys, and nothing depends on their order"
)]
type Numbered<T> = std::collections::HashMap<u32, T>;

struct Machine {
    isolate: Isolate,
    /// Of subjects that were refused by all that a request may ask: until when only one is asked.
    full: Numbered<Micros>,
    generation: u32,
    until: Micros,
    off: i64,
    local_seed: u64,
}

/// A request that waits for an object.
struct Flight {
    subject: u32,
    shard: u32,
    /// Where the request is in the order of its shards.
    tried: usize,
    key: u64,
    isolate: u32,
    generation: u32,
    place: u16,
    began: Micros,
    /// When its isolate's clock said that it asked, and for how much more.
    asked: u64,
    wish: Wish,
    said: Option<Said>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
enum Event {
    /// A flight comes to its object.
    Comes(u32),
    /// An object is free for the next one.
    Free(u32, u32),
    /// A flight comes back.
    Back(u32),
}

/// Runs it.
pub(crate) fn run(plan: &Plan) -> Outcome {
    let world = World::new(plan.shape.rate);
    let mut load = Load::new(plan.shape, &world, plan.seed);
    let mut run = Run::new(plan, &world);
    let mut next = load.next();
    loop {
        let event = run.events.peek().map(|Reverse((at, ..))| *at);
        match (next, event) {
            (Some(arrival), event) if event.is_none_or(|at| arrival.at <= at) => {
                run.now = arrival.at;
                run.arrive(arrival, &load);
                next = load.next();
            }
            (_, Some(_)) => run.step(),
            (_, None) => break,
        }
    }
    run.finish()
}

struct Run<'w> {
    plan: Plan,
    world: &'w World,
    random: Pcg64Mcg,
    now: Micros,
    events: BinaryHeap<Reverse<(Micros, u64, Event)>>,
    events_made: u64,
    flights: Vec<Flight>,
    free: Vec<u32>,
    /// Where a subject lies in the list of those that were seen.
    known: Numbered<u32>,
    subjects: Vec<Subject>,
    machines: Vec<Machine>,
    requests: u64,
    outcome: Outcome,
}

impl<'w> Run<'w> {
    fn new(plan: &Plan, world: &'w World) -> Self {
        let mut random = Pcg64Mcg::seed_from_u64(plan.seed ^ 0x5157);
        let machines = (0..world.isolates())
            .map(|_| Machine {
                isolate: Isolate::default(),
                full: Numbered::new(),
                generation: 0,
                until: life(ISOLATE_LIFE, &mut random),
                off: random.random_range(-ISOLATE_SKEW..=ISOLATE_SKEW) * 1_000
                    + random.random_range(0..1_000),
                local_seed: random.random(),
            })
            .collect();
        Self {
            plan: *plan,
            world,
            random,
            now: 0,
            events: BinaryHeap::new(),
            events_made: 0,
            flights: Vec::new(),
            free: Vec::new(),
            known: Numbered::new(),
            subjects: Vec::new(),
            machines,
            requests: 0,
            outcome: Outcome::default(),
        }
    }

    fn at(&mut self, at: Micros, event: Event) {
        self.events_made += 1;
        self.events.push(Reverse((at, self.events_made, event)));
    }

    /// A request comes to a point of presence.
    fn arrive(&mut self, arrival: Arrival, load: &Load<'_>) {
        let index = self.subject(arrival.subject, load);
        let isolate = self.world.isolate(arrival.place, &mut self.random);
        self.requests += 1;
        let number = self.requests;
        let subject = &mut self.subjects[index as usize];
        let ms = self.now / 1_000;
        if subject.ideal.take(START + ms) {
            subject.ideally += 1;
        }
        let machine = &mut self.machines[isolate as usize];
        if self.plan.faults && self.now >= machine.until {
            machine.isolate = Isolate::default();
            machine.full.clear();
            machine.generation += 1;
            machine.until = self.now + life(ISOLATE_LIFE, &mut self.random);
        }
        let clock = wall(self.now, machine.off);
        // Who keeps leases stays with one shard; who asks each time spreads its requests.
        let key = match self.plan.precision {
            Precision::Leased => u64::from(isolate),
            _ => number,
        };
        let shard = order(key, subject).first().copied().unwrap_or(0);
        let limits = &subject.shards[shard as usize].limits;
        let wish = match self.plan.precision {
            Precision::Exact => None,
            Precision::Leased => match machine.isolate.spend(&lease_key(subject, shard), limits, clock) {
                Ok(()) => {
                    let wall = wall(self.now, subject.shards[shard as usize].off * 1_000);
                    self.outcome.latencies.push(0);
                    return pass(subject, self.now, wall, &mut self.outcome);
                }
                Err(ask) => Some(ask),
            },
            Precision::Local => {
                let seed = machine.local_seed ^ u64::from(machine.generation);
                self.outcome.latencies.push(0);
                if machine.isolate.alone(&subject.name, limits, clock, seed) {
                    pass(subject, self.now, clock, &mut self.outcome);
                } else {
                    self.outcome.refused += 1;
                }
                return;
            }
        };
        let flight = Flight {
            subject: index,
            shard,
            tried: 0,
            key,
            isolate,
            generation: machine.generation,
            place: arrival.place,
            began: self.now,
            asked: clock,
            wish,
            said: None,
        };
        self.send(flight);
    }

    /// A flight leaves for its object.
    fn send(&mut self, flight: Flight) {
        let to = self.subjects[flight.subject as usize].shards[flight.shard as usize].place;
        let way = self.world.way(flight.place, to, &mut self.random);
        let id = match self.free.pop() {
            Some(id) => {
                self.flights[id as usize] = flight;
                id
            }
            None => {
                self.flights.push(flight);
                self.flights.len() as u32 - 1
            }
        };
        self.outcome.round_trips += 1;
        self.at(self.now + way, Event::Comes(id));
    }

    fn step(&mut self) {
        let Some(Reverse((at, _, event))) = self.events.pop() else {
            return;
        };
        self.now = at;
        match event {
            Event::Comes(id) => self.comes(id),
            Event::Free(subject, shard) => {
                let shard = &mut self.subjects[subject as usize].shards[shard as usize];
                match shard.queue.pop_front() {
                    Some(id) => self.decide(id),
                    None => shard.busy = false,
                }
            }
            Event::Back(id) => self.back(id),
        }
    }

    fn comes(&mut self, id: u32) {
        let flight = &self.flights[id as usize];
        let shard = &mut self.subjects[flight.subject as usize].shards[flight.shard as usize];
        let second = self.now / 1_000_000;
        if shard.second != second {
            (shard.second, shard.calls, shard.work) = (second, 0, 0);
        }
        shard.calls += 1;
        shard.most = shard.most.max(shard.calls);
        let serves = if shard.writes() { SERVES_WRITING } else { SERVES };
        shard.work += serves;
        shard.over |= shard.work > 1_000_000;
        if !shard.busy {
            shard.busy = true;
            self.decide(id);
        } else if shard.queue.len() as u64 * serves > PATIENCE {
            self.outcome.turned_away += 1;
            self.home(id, 0);
        } else {
            shard.queue.push_back(id);
        }
    }

    /// It is a flight's turn.
    fn decide(&mut self, id: u32) {
        let flight = &mut self.flights[id as usize];
        let subject = &mut self.subjects[flight.subject as usize];
        let shard = &mut subject.shards[flight.shard as usize];
        if self.now > shard.used + IDLE {
            shard.object.restart();
        }
        shard.used = self.now;
        let mut lost = false;
        if self.plan.faults && self.now >= shard.restart {
            lost = self.now < shard.restart + RESTARTS;
            if !lost {
                shard.restart = self.now + life(OBJECT_LIFE, &mut self.random);
            }
            shard.object.restart();
            self.outcome.restarts += 1;
            // Half of those that are lost are lost before they are decided, half of them after.
            if lost && self.random.random() {
                let (of, at) = (flight.subject, flight.shard);
                self.at(self.now + SERVES, Event::Free(of, at));
                return self.home(id, SERVES);
            }
        }
        let wall = wall(self.now, shard.off * 1_000);
        let mut call = shard.object.ask(
            &shard.limits,
            self.requests << 20 | u64::from(id),
            flight.wish,
            wall,
        );
        let (mut serves, mut durable) = (SERVES, 0);
        if let Some(bytes) = call.wrote {
            (serves, durable) = (SERVES_WRITING, DURABLE);
            self.outcome.rows += 1;
            shard.stored = shard.stored.max(bytes);
        }
        self.outcome.rows += u64::from(call.alarm);
        self.outcome.alarms += u64::from(call.alarm);
        self.outcome.reads += u64::from(call.read);
        self.outcome.active += serves + durable;
        if call.said.admitted {
            // Charged, so it counts for the law, whether or not anybody hears of it.
            let broken = subject.checks.pass(wall_of(self.now), wall);
            self.outcome.over += u64::from(broken);
        }
        if lost {
            shard.object.restart();
            call.said.admitted = false;
        } else {
            flight.said = Some(call.said);
        }
        let (of, at) = (flight.subject, flight.shard);
        self.at(self.now + serves, Event::Free(of, at));
        self.home(id, serves + durable);
    }

    /// A flight travels back.
    fn home(&mut self, id: u32, after: Micros) {
        let flight = &self.flights[id as usize];
        let from = self.subjects[flight.subject as usize].shards[flight.shard as usize].place;
        let way = self.world.way(from, flight.place, &mut self.random);
        self.at(self.now + after + way, Event::Back(id));
    }

    fn back(&mut self, id: u32) {
        let flight = &mut self.flights[id as usize];
        let subject = &mut self.subjects[flight.subject as usize];
        let machine = &mut self.machines[flight.isolate as usize];
        let took = self.now - flight.began;
        let said = flight.said.take().filter(|_| took <= DEADLINE);
        if let Some(wish) = flight.wish
            && machine.generation == flight.generation
        {
            let key = lease_key(subject, flight.shard);
            let limits = &subject.shards[flight.shard as usize].limits;
            machine
                .isolate
                .grant(&key, limits, flight.asked, wish, said.as_ref());
        }
        let again = flight.tried + 1;
        let full = machine
            .full
            .get(&flight.subject)
            .is_some_and(|until| self.now < *until);
        match said {
            Some(said) if said.admitted => {
                subject.admitted += 1;
                self.outcome.admitted += 1;
            }
            Some(_) if again < subject.tries && !full => {
                // The next one may have something left.
                let shard = order(flight.key, subject)[again];
                let machine = &mut self.machines[flight.isolate as usize];
                let clock = wall(self.now, machine.off);
                let limits = &subject.shards[shard as usize].limits;
                let wish = match flight.wish {
                    None => None,
                    Some(_) => match machine.isolate.spend(&lease_key(subject, shard), limits, clock) {
                        Ok(()) => {
                            self.outcome.latencies.push(took as u32);
                            self.free.push(id);
                            let wall = wall(self.now, subject.shards[shard as usize].off * 1_000);
                            return pass(subject, self.now, wall, &mut self.outcome);
                        }
                        Err(ask) => Some(ask),
                    },
                };
                let flight = Flight {
                    shard,
                    tried: again,
                    generation: machine.generation,
                    asked: clock,
                    wish,
                    said: None,
                    ..*flight
                };
                self.free.push(id);
                return self.send(flight);
            }
            Some(_) => {
                if subject.tries > 1 && !full {
                    machine.full.insert(flight.subject, self.now + FULL);
                }
                self.outcome.refused += 1;
            }
            None => self.outcome.unanswered += 1,
        }
        self.outcome.latencies.push(took.min(DEADLINE) as u32);
        self.free.push(id);
    }

    /// Where a subject is kept; made when it is seen first, its objects near to where that was.
    fn subject(&mut self, number: u32, load: &Load<'_>) -> u32 {
        if let Some(index) = self.known.get(&number) {
            return *index;
        }
        let (split, random) = (self.plan.split, &mut self.random);
        self.subjects.push(Subject::new(
            number,
            &load.person(number),
            split,
            self.now,
            random,
        ));
        let index = self.subjects.len() as u32 - 1;
        self.known.insert(number, index);
        index
    }

    fn finish(mut self) -> Outcome {
        let mut outcome = self.outcome;
        outcome.requests = self.requests;
        outcome.seconds = self.plan.shape.seconds;
        outcome.subjects = self.subjects.len() as u64;
        outcome.isolates = self.machines.len() as u64;
        for subject in &mut self.subjects {
            outcome.ideally += subject.ideally;
            outcome.missed += subject.ideally.saturating_sub(subject.admitted);
            for shard in &subject.shards {
                outcome.objects += u64::from(shard.most > 0);
                outcome.overloaded += u64::from(shard.over);
                outcome.busiest = outcome.busiest.max(shard.most);
                outcome.stored += shard.stored as u64;
                outcome.state += shard.object.size() as u64;
            }
        }
        outcome.latencies.sort_unstable();
        outcome
    }
}
