//! An object with everything that may be asked of it, beside the books that it must agree with.

use std::collections::BTreeMap;
use std::hash::{DefaultHasher, Hash, Hasher};

use turnpike_engine::meter::TRIAL;
use turnpike_engine::meter::correction::{Credit, Given, Order, Report};
use turnpike_engine::meter::lease::LIFE;

use super::entries::{Entries, Hold};
use super::limits::{CREDITABLE, LEASED, Limits, NAMES, is_final, is_quota, is_rate};
use super::page::REMEMBERED;
use super::*;

/// Names of limits, and how much is asked of each.
pub(crate) type Question = Vec<(&'static str, u64)>;

/// An ask.
#[derive(Clone)]
pub(crate) struct Called {
    pub(crate) request: String,
    pub(crate) part: u32,
    pub(crate) cost: u32,
    pub(crate) mode: Mode,
    pub(crate) question: Question,
    /// When it was made up, by the clock of its isolate: how clocks are set where days are counted is known by that.
    pub(crate) clock: u64,
    pub(crate) lease: Option<LeaseAsk>,
}

/// Why an ask was answered so.
pub(crate) enum Why {
    /// It was asked before.
    Known,
    Passed,
    /// Whether the wait that it was told was looked at.
    Refused {
        checked: bool,
    },
}

/// An object, and its books.
pub(crate) struct Subject {
    object: Object,
    limits: Limits,
    /// By how much its clock is behind.
    pub(crate) behind: u64,
    /// By how much its clock is ahead, until it is set right.
    ahead: u64,
    page: Entries,
    stored: Entries,
    /// When its clock jumped ahead, in real time.
    jumps: Vec<u64>,
    /// What time it was for the object before the last of these.
    before: u64,
    /// When requests passed the two rates, in real time, from one such jump to the next.
    passed: Vec<[Vec<u64>; 2]>,
    /// How many passed in each window of what is not corrected, and how many were given back in it.
    windows: BTreeMap<(&'static str, u64), (u64, u64)>,
    /// What passed limits whose windows roll, by the object's time, and as a negative number what was given back.
    rolled: BTreeMap<&'static str, Vec<(u64, i64)>>,
}

/// Where a lease was charged.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Charged {
    /// In real time.
    real: u64,
    /// By the object.
    seen: u64,
}

/// What stands for what an object remembers of an ask.
fn mark(what: &str, bytes: &[u8]) -> u64 {
    let mut hasher = DefaultHasher::new();
    (what, bytes).hash(&mut hasher);
    hasher.finish()
}

impl Subject {
    pub(crate) fn new(random: &mut Random) -> Self {
        Self {
            object: Object::default(),
            limits: Limits::new(random),
            behind: 0,
            ahead: 0,
            page: Entries::default(),
            stored: Entries::default(),
            jumps: Vec::new(),
            before: 0,
            passed: vec![<[Vec<u64>; 2]>::default()],
            windows: BTreeMap::new(),
            rolled: BTreeMap::new(),
        }
    }

    /// What is asked by who has this time.
    pub(crate) fn asked(&self, question: &[(&'static str, u64)], clock: u64) -> Vec<Asked<'static>> {
        let one = |(name, amount): &(&'static str, u64)| asked(name, self.limits.kind(name, clock), *amount);
        question.iter().map(one).collect()
    }

    /// Some of the limits, and what a request may use of each.
    pub(crate) fn question(&self, random: &mut Random) -> Question {
        let names = NAMES
            .into_iter()
            .filter(|_| !random.one_in(3))
            .collect::<Vec<_>>();
        let amount = |name: &str| match name {
            "bytes" | "tokens" | "money" => random.below(self.limits.asked_at_most(name)),
            _ => 0,
        };
        names
            .iter()
            .copied()
            .zip(names.iter().copied().map(amount))
            .collect()
    }

    /// What isolates take portions of.
    pub(crate) fn leased() -> Question {
        LEASED.map(|name| (name, 0)).into()
    }

    /// What another attempt may use besides.
    pub(crate) fn more(&self, random: &mut Random) -> Question {
        let mut amount = |name| random.between(1, self.limits.asked_at_most(name));
        vec![("tokens", amount("tokens")), ("money", amount("money"))]
    }

    /// Its clock jumps ahead; who finds it ahead sets it right.
    pub(crate) fn jump(&mut self, by: u64, real: u64) {
        if self.ahead > 0 {
            self.ahead = 0;
        } else {
            self.ahead = by;
            self.jumps.push(real);
            self.before = self.page.seen;
            self.passed.push(Default::default());
        }
    }

    /// Where a lease is charged that is granted now.
    pub(crate) fn charged(&self, real: u64) -> Charged {
        Charged {
            real,
            seen: self.page.seen,
        }
    }

    /// An answer as its isolate takes it.
    pub(crate) fn right(&self, answer: Answer, called: &Called) -> Answer {
        self.limits.right(answer, &called.question, called.clock)
    }

    /// Whether a day began where days are counted, and whether clocks were set there.
    pub(crate) fn turned(&self, from: u64, to: u64) -> (bool, bool) {
        self.limits.turned(from, to)
    }

    fn encode(&self, called: &Called) -> Vec<u8> {
        let ask = Ask {
            mode: called.mode,
            request: &called.request,
            part: called.part,
            cost: called.cost,
            hold: HOLD,
            lease: called.lease,
            limits: self.asked(&called.question, called.clock),
        };
        ask.encode().unwrap()
    }

    fn clock(&self, real: u64) -> u64 {
        real - self.behind + self.ahead
    }

    fn most(&self, name: &str) -> u64 {
        self.limits.most(name)
    }

    fn used(&self, name: &str) -> u64 {
        self.page.used(&self.limits, name)
    }

    /// What a request charges at once.
    fn cost(name: &str, cost: u32, amount: u64) -> u64 {
        if is_quota(name) { cost.into() } else { amount }
    }

    /// So much passed a limit that is not corrected, at an instant of the object; or came back of it.
    fn pass(&mut self, name: &'static str, at: u64, cost: u64, back: bool) {
        let (passed, _) = self
            .windows
            .entry((name, self.limits.index(name, at)))
            .or_default();
        *passed = if back { *passed - cost } else { *passed + cost };
        if self.limits.rolls(name).is_some() {
            let cost = i64::try_from(cost).unwrap();
            let rolled = self.rolled.entry(name).or_default();
            rolled.push((at, if back { -cost } else { cost }));
        }
    }

    /// Whether each limit that is counted exactly has room for an ask; nothing is foreseen of rates.
    fn foresee(&self, called: &Called) -> Vec<Option<bool>> {
        let one = |(name, amount): &(&'static str, u64)| {
            let (used, wanted) = match *name {
                name if is_rate(name) => return None,
                "places" => (u64::from(self.page.places()), u64::from(called.cost)),
                name => (self.used(name), Self::cost(name, called.cost, *amount)),
            };
            Some(wanted == 0 || used + wanted <= self.most(name))
        };
        called.question.iter().map(one).collect()
    }

    /// One ask.
    pub(crate) fn ask(&mut self, called: &Called, real: u64) -> (Answer, Why) {
        let bytes = self.encode(called);
        let before = self.object.clone();
        let (answer, wrote) = self.object.call(&bytes, self.clock(real));
        self.page.reach(self.clock(real));
        if called.mode == Mode::Confirm {
            self.page.release(&called.request);
        }
        self.unspent(called, &bytes);
        let asked = mark("ask", &bytes);
        let holds = [true, false].map(|trial| self.page.holds.get(&(called.request.clone(), trial)));
        let held = holds.into_iter().flatten().any(|hold| hold.asks.contains(&asked));
        let why = if held || self.page.knows(asked).is_some() {
            assert!(admitted(&answer) && answer.leased == 0, "asked again: {answer:?}");
            Why::Known
        } else if admitted(&answer) {
            assert!(
                !self.foresee(called).contains(&Some(false)),
                "admitted against a limit"
            );
            let through = called.question.iter().any(|(name, _)| !is_rate(name));
            assert!(wrote || !through, "what is counted exactly was not stored");
            self.charge(called, &bytes, answer.leased, real);
            Why::Passed
        } else {
            assert_eq!(answer.leased, 0);
            Why::Refused {
                checked: self.refused(called, &answer, &before, real),
            }
        };
        if wrote {
            self.stored = self.page.clone();
        }
        (answer, why)
    }

    /// An isolate gives back what it had not spent, once.
    fn unspent(&mut self, called: &Called, bytes: &[u8]) {
        let Some(lease) = called.lease.filter(|lease| lease.back > 0) else {
            return;
        };
        let given = mark("given", bytes);
        if self.page.knows(given).is_some() {
            return;
        }
        self.page.add(given);
        for (name, _) in called.question.iter().filter(|(name, _)| is_quota(name)) {
            let window = self.limits.index(name, lease.taken);
            self.page.give_back(None, name, window, lease.back.into());
        }
    }

    fn charge(&mut self, called: &Called, bytes: &[u8], leased: u32, real: u64) {
        let tries = called.mode == Mode::Try;
        let asked = mark("ask", bytes);
        let mut hold = Hold::default();
        for (name, amount) in &called.question {
            match *name {
                name if is_rate(name) => {
                    let passed = if tries { 0 } else { called.cost };
                    let rates = self.passed.last_mut().unwrap();
                    rates[usize::from(name == "slow")].extend((0..passed).map(|_| real));
                }
                "places" => hold.places = called.cost,
                name if is_final(name) => {
                    let cost = Self::cost(name, called.cost, *amount);
                    let request = &called.request;
                    let window = self
                        .page
                        .charge(&self.limits, request, name, cost + u64::from(leased));
                    assert!(self.used(name) <= self.most(name), "too much of `{name}`");
                    if tries && cost > 0 {
                        hold.parts.push((name, window, cost));
                    } else {
                        self.pass(name, self.page.seen, cost, false);
                    }
                }
                name if *amount > 0 => {
                    let window = self.page.charge(&self.limits, &called.request, name, *amount);
                    hold.parts.push((name, window, *amount));
                }
                _ => {}
            }
        }
        let tries_rate = tries && called.cost > 0 && called.question.iter().any(|(name, _)| is_rate(name));
        if hold.places > 0 || !hold.parts.is_empty() || tries_rate {
            let until = self.page.seen + if tries { TRIAL } else { HOLD };
            let kept = self
                .page
                .holds
                .entry((called.request.clone(), tries))
                .or_default();
            kept.until = kept.until.max(until);
            kept.places += hold.places;
            kept.asks.push(asked);
            kept.parts.extend(hold.parts);
        }
        self.page.add(asked);
        if leased > 0 {
            self.page.add(mark("leased", bytes));
        }
    }

    /// Nothing was charged, the limit that is named holds it back, and the wait is true: after it the request passes, a
    /// millisecond before it does not. Whether that could be looked at.
    fn refused(&self, called: &Called, answer: &Answer, before: &Object, real: u64) -> bool {
        let Outcome::Refused {
            limit,
            retry_after_ms,
        } = answer.outcome
        else {
            unreachable!()
        };
        assert!(retry_after_ms >= 1);
        let foreseen = self.foresee(called);
        let (named, _) = called.question[usize::try_from(limit).unwrap()];
        if is_rate(named) {
            assert!(called.cost > 0);
        } else {
            assert_eq!(
                foreseen[usize::try_from(limit).unwrap()],
                Some(false),
                "`{named}` has room"
            );
        }
        let clock = self.clock(real);
        if called.mode != Mode::Confirm && called.lease.is_none_or(|lease| lease.back == 0) {
            let look = self.look(clock);
            let left = |object: &Object| object.would(&look, clock).standings;
            assert_eq!(left(before), left(&self.object), "a refused request was charged");
        }
        // What is tried may come to nothing: then it was later than needed.
        let possible = called
            .question
            .iter()
            .zip(&foreseen)
            .all(|((name, amount), fits)| match *name {
                "places" => *fits == Some(true),
                name if is_rate(name) => true,
                name => Self::cost(name, called.cost, *amount) <= self.most(name),
            });
        if !possible || self.page.tries() {
            return false;
        }
        // Of what is full until clocks have been set, how long that is is said of one limit at a time.
        let offset = |clock| self.limits.offset(clock);
        let set = offset(called.clock) != offset(clock + retry_after_ms);
        let full = foreseen.iter().filter(|fits| **fits != Some(true)).count();
        if offset(called.clock) != offset(clock) || (set && full > 1) {
            return false;
        }
        let Outcome::Refused { retry_after_ms, .. } =
            self.limits.right(answer.clone(), &called.question, clock).outcome
        else {
            unreachable!()
        };
        let again = |clock: u64| Called {
            request: "again".to_owned(),
            mode: Mode::Charge,
            clock,
            lease: None,
            ..called.clone()
        };
        let passes = |clock: u64| admitted(&self.object.would(&self.encode(&again(clock)), clock));
        assert!(
            passes(clock + retry_after_ms),
            "Retry-After of `{named}` is too early"
        );
        assert!(
            !passes(clock + retry_after_ms - 1),
            "Retry-After of `{named}` is later than needed"
        );
        true
    }

    /// An isolate has spent one of what it took in advance.
    ///
    /// It belongs to the window that was charged, which is still open, unless the object's clock has jumped meanwhile.
    pub(crate) fn spent(&mut self, charged: Charged, real: u64) {
        let jumped = |since: u64| self.jumps.iter().any(|at| *at >= since);
        let now = if jumped(charged.real) {
            charged.seen
        } else {
            self.page.seen.max(self.clock(real))
        };
        // What was charged before a jump is spent soon after it, or never.
        if !jumped(real.saturating_sub(LIFE)) {
            self.passed.last_mut().unwrap()[0].push(real);
        }
        for (name, _) in Self::leased().into_iter().filter(|(name, _)| is_quota(name)) {
            self.pass(name, now, 1, false);
        }
    }

    /// The object is told what a request used.
    pub(crate) fn settle(&mut self, request: &str, used: Vec<(&'static str, u64)>, real: u64) {
        let (answer, wrote) = self.object.call(&settle(request, used.clone()), self.clock(real));
        assert!(admitted(&answer));
        self.page.reach(self.clock(real));
        let tried = self.page.release(request);
        let hold = self.page.holds.remove(&(request.to_owned(), false));
        assert!(wrote || (hold.is_none() && !tried), "a settlement was not stored");
        for (name, used) in used {
            let Some(hold) = &hold else { break };
            let cost = |page: &Entries| {
                page.costs
                    .get(request)
                    .and_then(|cost| cost.of.get(name).copied())
            };
            let before = cost(&self.page);
            let mut left = used;
            let parts: Vec<_> = hold.parts.iter().filter(|part| part.0 == name).copied().collect();
            for (_, window, amount) in &parts {
                let kept = left.min(*amount);
                left -= kept;
                self.page.give_back(Some(request), name, *window, amount - kept);
            }
            if !parts.is_empty() && left > 0 {
                // More than its bound: taken from what follows.
                self.page.charge(&self.limits, request, name, left);
            }
            // Unless a part of it was over, which stays charged in full.
            let reserved: u64 = parts.iter().map(|part| part.2).sum();
            let (after, whole) = (cost(&self.page), before == Some(reserved.into()));
            assert!(
                !whole || after == Some(used.into()),
                "it used {used} {name}, and cost {after:?}"
            );
        }
        if hold.is_some() {
            self.page.costs.remove(request);
        }
        if wrote {
            self.stored = self.page.clone();
        }
    }

    /// What a request asked is taken back.
    pub(crate) fn take_back(&mut self, called: &Called, real: u64) {
        let bytes = self.encode(called);
        let void = [&[0x86], &*bytes].concat();
        let (answer, wrote) = self.object.call(&void, self.clock(real));
        assert!(admitted(&answer));
        self.page.reach(self.clock(real));
        let back = mark("back", &bytes);
        if self.page.knows(back).is_none() {
            assert!(wrote, "what was taken back was not stored");
            let request = &called.request;
            let asked = mark("ask", &bytes);
            if let Some(at) = self.page.knows(asked) {
                let lease = called
                    .lease
                    .filter(|_| self.page.knows(mark("leased", &bytes)).is_some());
                let leased = lease.map_or(0, |lease| lease.wish);
                for (name, amount) in called.question.iter().filter(|(name, _)| is_final(name)) {
                    let cost = Self::cost(name, called.cost, *amount);
                    let window = self.limits.index(name, at);
                    self.page
                        .give_back(Some(request), name, window, cost + u64::from(leased));
                    self.pass(name, at, cost, true);
                }
            } else {
                self.page.add(asked);
            }
            for trial in [true, false] {
                if let Some(hold) = self.page.holds.remove(&(request.clone(), trial)) {
                    self.page.undo(request, hold);
                }
            }
            self.page.add(back);
            self.page.taken_back.insert(request.clone(), self.page.seen);
        }
        if wrote {
            self.stored = self.page.clone();
        }
    }

    /// A request that was refused, and of which all was given back, has cost nothing.
    pub(crate) fn costs_nothing(&mut self, request: &str) {
        let Some(cost) = self.page.costs.remove(request) else {
            return;
        };
        // What is taken back too late is not known any more; nor, when its clock has jumped, what is asked again.
        let late = self.page.seen > cost.at + REMEMBERED || cost.since <= self.before;
        assert!(
            late || cost.of.values().all(|of| *of == 0),
            "{request} was refused, and cost {:?}",
            cost.of
        );
    }

    /// What comes after it was taken back is not charged.
    pub(crate) fn stays_taken_back(&mut self, request: &str) {
        let at = self.page.taken_back.get(request);
        if at.is_some_and(|at| self.page.seen <= at + REMEMBERED) {
            self.costs_nothing(request);
        }
    }

    pub(crate) fn credit(&mut self, id: &str, name: &'static str, amount: u64, real: u64) {
        let credit = Credit {
            id,
            amount,
            by: "oncall",
            reason: "an outage",
        };
        let clock = self.clock(real);
        let order = Order {
            limits: self.asked(&[(name, 0)], clock),
            credit: Some(credit),
        };
        let (answer, wrote) = self.object.raw(&order.encode().unwrap(), clock).unwrap();
        let given = Report::decode(&answer).unwrap().given;
        self.page.reach(clock);
        let seen = self.page.seen;
        let expected = match self.page.credits.get(id) {
            Some((of, asked, booked, _)) if (*of, *asked) == (name, amount) => Given::Before(*booked),
            Some(_) => Given::Taken,
            None if self.page.credits.len() >= 64 => Given::Full,
            None => {
                let booked = self.page.credit(&self.limits, name, amount);
                let window = self.limits.index(name, seen);
                self.windows.entry((name, window)).or_default().1 += booked;
                if self.limits.rolls(name).is_some() {
                    let rolled = self.rolled.entry(name).or_default();
                    rolled.push((seen, -i64::try_from(booked).unwrap()));
                }
                let until = self.limits.kept_until(name, clock, seen);
                self.page
                    .credits
                    .insert(id.to_owned(), (name, amount, booked, until));
                Given::Booked(booked)
            }
        };
        assert_eq!(given, expected);
        assert!(
            wrote || !matches!(given, Given::Booked(_)),
            "a credit was not stored"
        );
        if wrote {
            self.stored = self.page.clone();
        }
    }

    pub(crate) fn crash(&mut self) {
        self.object.memory = None;
        self.page = self.stored.clone();
    }

    /// A write fails: whatever was decided, nobody hears of it.
    pub(crate) fn fail(&mut self, called: &Called, real: u64) {
        let bytes = self.encode(called);
        let clock = self.clock(real);
        self.object.fail(&bytes, clock);
        self.page = self.stored.clone();
    }

    /// The object's alarm goes off, whenever it likes: it forgets only when nothing is owed. Whether it did.
    pub(crate) fn wake(&mut self, real: u64) -> bool {
        let clock = self.clock(real);
        let stored = || {
            self.object
                .stored
                .as_deref()
                .map(|stored| object::resume(stored).unwrap())
        };
        let Some(state) = self.object.memory.clone().or_else(stored) else {
            return false;
        };
        if object::on_alarm(&state, clock) != Ok(object::Alarm::Forget) {
            return false;
        }
        let mut page = std::mem::take(&mut self.page);
        page.reach(clock);
        assert!(
            page.holds.is_empty() && page.credits.is_empty(),
            "what is held was forgotten"
        );
        for name in CREDITABLE {
            assert_eq!(page.used(&self.limits, name), 0, "`{name}` was forgotten");
        }
        let left = self.object.would(&self.look(clock), clock).standings;
        assert_eq!(
            left[0].remaining,
            u64::from(self.limits.fast.burst),
            "a rate was forgotten"
        );
        self.object = Object::default();
        self.stored = Entries::default();
        true
    }

    fn look(&self, clock: u64) -> Vec<u8> {
        ask("", 0, 0, None, self.asked(&NAMES.map(|name| (name, 0)), clock))
    }

    /// What the object says of itself is what the books say, and with time more is left, not less.
    pub(crate) fn compare(&mut self, real: u64, later: u64) {
        let clock = self.clock(real);
        let would = |clock| self.object.would(&self.look(clock), clock);
        let (here, there) = (would(clock), would(clock + later));
        let mut page = self.page.clone();
        page.reach(clock);
        for (name, (here, there)) in NAMES.into_iter().zip(here.standings.iter().zip(&there.standings)) {
            let (here, there) = (here.remaining, there.remaining);
            if !is_rate(name) {
                let used = if name == "places" {
                    page.places().into()
                } else {
                    page.used(&self.limits, name)
                };
                assert_eq!(
                    here,
                    self.most(name).saturating_sub(used),
                    "what is left of `{name}`"
                );
            }
            assert!(
                there >= here || page.tries(),
                "of `{name}` {here} are left, and later {there}"
            );
        }
    }

    /// No interval and no window has let pass too many.
    pub(crate) fn keeps_laws(&self) {
        for [fast, slow] in &self.passed {
            keeps(&self.limits.fast, fast.clone()).unwrap();
            keeps(&self.limits.slow, slow.clone()).unwrap();
        }
        for ((name, window), (passed, credited)) in &self.windows {
            let most = self.most(name) + credited;
            let rolls = self.limits.rolls(name).is_some();
            assert!(
                rolls || !is_final(name) || *passed <= most,
                "{passed} passed `{name}` in {window}, of {most}"
            );
        }
        for (name, rolled) in self.rolled.iter().filter(|(name, _)| is_final(name)) {
            let length = self.limits.rolls(name).unwrap();
            for (from, _) in rolled {
                let inside = rolled.iter().filter(|(at, _)| at >= from && *at < from + length);
                let passed: i64 = inside.map(|(_, cost)| cost).sum();
                let most = i64::try_from(self.most(name)).unwrap();
                assert!(
                    passed <= most,
                    "{passed} passed `{name}` from {from} on, of {most}"
                );
            }
        }
    }
}
