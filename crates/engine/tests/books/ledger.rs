//! An object with everything that may be asked of it, beside the books that it must agree with.

use std::collections::{BTreeMap, VecDeque};
use std::hash::{DefaultHasher, Hash, Hasher};

use turnpike_engine::meter::TRIAL;
use turnpike_engine::meter::correction::{Credit, Given, Order, Report};

use super::page::{Limits, RECENT, REMEMBERED, window};
use super::*;

pub(crate) use super::page::NAMES;

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

#[derive(Clone, Default)]
struct Hold {
    until: u64,
    places: u32,
    asks: Vec<u64>,
    /// Limit, window, amount.
    parts: Vec<(&'static str, u64, u64)>,
}

/// What a request has cost by now.
#[derive(Clone, Default)]
struct Cost {
    at: u64,
    of: BTreeMap<&'static str, i128>,
}

/// What the object must remember across a crash, if it says that it stored it.
#[derive(Clone, Default)]
struct Page {
    seen: u64,
    /// By limit and window.
    charged: BTreeMap<(&'static str, u64), u64>,
    /// By request, and whether it is only tried.
    holds: BTreeMap<(String, bool), Hold>,
    known: VecDeque<(u64, u64)>,
    /// By their ids: limit, amount, how much was booked, until when it is kept.
    credits: BTreeMap<String, (&'static str, u64, u64, u64)>,
    /// What requests cost that are not over.
    costs: BTreeMap<String, Cost>,
    /// When what requests had asked was taken back.
    taken_back: BTreeMap<String, u64>,
}

/// An object, and its books.
pub(crate) struct Subject {
    object: Object,
    limits: Limits,
    /// By how much its clock is behind.
    pub(crate) behind: u64,
    page: Page,
    stored: Page,
    /// When requests passed the two rates, in real time.
    passed: [Vec<u64>; 2],
    /// How many passed in each window of a quota, and how many were given back in it.
    windows: BTreeMap<(&'static str, u64), (u64, u64)>,
}

fn is_rate(name: &str) -> bool {
    matches!(name, "fast" | "slow")
}

fn is_quota(name: &str) -> bool {
    matches!(name, "minute" | "hour")
}

/// What stands for what an object remembers of an ask.
fn mark(what: &str, bytes: &[u8]) -> u64 {
    let mut hasher = DefaultHasher::new();
    (what, bytes).hash(&mut hasher);
    hasher.finish()
}

impl Page {
    fn knows(&self, mark: u64) -> Option<u64> {
        let recent = self.known.iter().filter(|(at, _)| self.seen <= at + REMEMBERED);
        recent
            .clone()
            .find(|(_, known)| *known == mark)
            .map(|(at, _)| *at)
    }

    fn add(&mut self, mark: u64) {
        while self
            .known
            .front()
            .is_some_and(|(at, _)| self.seen > at + REMEMBERED)
            || self.known.len() >= RECENT
        {
            self.known.pop_front();
        }
        self.known.push_back((self.seen, mark));
    }

    fn charge(&mut self, request: &str, name: &'static str, amount: u64) {
        *self.charged.entry((name, window(name, self.seen))).or_default() += amount;
        let cost = self.costs.entry(request.to_owned()).or_default();
        cost.at = self.seen;
        *cost.of.entry(name).or_default() += i128::from(amount);
    }

    fn give_back(&mut self, request: Option<&str>, name: &'static str, window: u64, amount: u64) {
        let charged = self.charged.entry((name, window)).or_default();
        // Of what was credited nothing is left to be given back.
        *charged = charged.saturating_sub(amount);
        if let Some(cost) = request.and_then(|request| self.costs.get_mut(request)) {
            *cost.of.entry(name).or_default() -= i128::from(amount);
        }
    }

    fn undo(&mut self, request: &str, hold: Hold) {
        for (name, window, amount) in hold.parts {
            self.give_back(Some(request), name, window, amount);
        }
    }

    /// Ends a trial, as if it had not been.
    fn release(&mut self, request: &str) -> bool {
        let trial = self.holds.remove(&(request.to_owned(), true));
        let known = trial.is_some();
        if let Some(hold) = trial {
            self.undo(request, hold);
        }
        known
    }

    fn reach(&mut self, clock: u64) {
        self.seen = self.seen.max(clock);
        let over: Vec<_> = {
            let over = self.holds.iter().filter(|(_, hold)| hold.until <= self.seen);
            over.map(|(key, _)| key.clone()).collect()
        };
        for key in over {
            let hold = self.holds.remove(&key).unwrap();
            if key.1 {
                self.undo(&key.0, hold);
            }
        }
        self.credits.retain(|_, credit| credit.3 > self.seen);
        // Nobody asks for them any more.
        let long_ago = self.seen.saturating_sub(3 * HOLD);
        self.costs.retain(|_, cost| cost.at > long_ago);
        self.taken_back.retain(|_, at| *at > long_ago);
    }

    /// What counts against a limit now: also what is tried and will be charged in this window, not in its own.
    fn used(&self, name: &str) -> u64 {
        let now = window(name, self.seen);
        let charged = self
            .charged
            .iter()
            .filter(|((of, at), _)| (*of, *at) == (name, now));
        let trials = self
            .holds
            .iter()
            .filter(|(key, _)| key.1)
            .flat_map(|(_, hold)| &hold.parts);
        let carried = trials
            .filter(|part| part.0 == name && part.1 < now)
            .map(|part| part.2);
        charged.map(|(_, charged)| *charged).sum::<u64>() + carried.sum::<u64>()
    }

    fn places(&self) -> u32 {
        self.holds.values().map(|hold| hold.places).sum()
    }

    fn tries(&self) -> bool {
        self.holds.keys().any(|(_, trial)| *trial)
    }
}

impl Subject {
    pub(crate) fn new(random: &mut Random) -> Self {
        let fast = Rate {
            count: u32::try_from(random.between(1, 400)).unwrap(),
            period: random.between(100, 20_000),
            burst: u32::try_from(random.between(8, 300)).unwrap(),
        };
        let limits = Limits {
            fast,
            per_minute: random.between(20, 900),
            per_hour: random.between(200, 4_000),
            ..Limits::new(random)
        };
        Self {
            object: Object::default(),
            limits,
            behind: 0,
            page: Page::default(),
            stored: Page::default(),
            passed: [Vec::new(), Vec::new()],
            windows: BTreeMap::new(),
        }
    }

    pub(crate) fn asked(&self, question: &[(&'static str, u64)]) -> Vec<Asked<'static>> {
        let one = |(name, amount): &(&'static str, u64)| asked(name, self.limits.kind(name), *amount);
        question.iter().map(one).collect()
    }

    /// Some of the limits, and what a request may use of each.
    pub(crate) fn question(&self, random: &mut Random) -> Question {
        let names = NAMES
            .into_iter()
            .filter(|_| !random.one_in(3))
            .collect::<Vec<_>>();
        let amount = |name: &str| match name {
            "tokens" => random.below(self.limits.tokens / 3 + 2),
            "money" => random.below(self.limits.money / 5 + 2),
            _ => 0,
        };
        names
            .iter()
            .copied()
            .zip(names.iter().copied().map(amount))
            .collect()
    }

    /// What another attempt may use besides.
    pub(crate) fn more(&self, random: &mut Random) -> Question {
        let tokens = random.between(1, self.limits.tokens / 4 + 1);
        vec![
            ("tokens", tokens),
            ("money", random.between(1, self.limits.money / 4 + 1)),
        ]
    }

    fn encode(&self, called: &Called) -> Vec<u8> {
        let ask = Ask {
            mode: called.mode,
            request: &called.request,
            part: called.part,
            cost: called.cost,
            hold: HOLD,
            lease: called.lease,
            limits: self.asked(&called.question),
        };
        ask.encode().unwrap()
    }

    fn clock(&self, real: u64) -> u64 {
        real - self.behind
    }

    fn most(&self, name: &str) -> u64 {
        match name {
            "minute" => self.limits.per_minute,
            "hour" => self.limits.per_hour,
            "tokens" => self.limits.tokens,
            "money" => self.limits.money,
            _ => self.limits.places.into(),
        }
    }

    /// Whether each limit that is counted exactly has room for an ask; nothing is foreseen of rates.
    fn foresee(&self, called: &Called) -> Vec<Option<bool>> {
        let one = |(name, amount): &(&'static str, u64)| {
            let (used, wanted) = match *name {
                name if is_rate(name) => return None,
                "places" => (u64::from(self.page.places()), u64::from(called.cost)),
                name if is_quota(name) => (self.page.used(name), u64::from(called.cost)),
                name => (self.page.used(name), *amount),
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
            self.page
                .give_back(None, name, window(name, lease.taken), lease.back.into());
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
                    self.passed[usize::from(name == "slow")].extend((0..passed).map(|_| real));
                }
                "places" => hold.places = called.cost,
                name if is_quota(name) => {
                    self.page
                        .charge(&called.request, name, u64::from(called.cost + leased));
                    let window = window(name, self.page.seen);
                    assert!(self.page.used(name) <= self.most(name), "too much of `{name}`");
                    if tries {
                        hold.parts.push((name, window, called.cost.into()));
                    } else {
                        self.windows.entry((name, window)).or_default().0 += u64::from(called.cost);
                    }
                }
                name if *amount > 0 => {
                    self.page.charge(&called.request, name, *amount);
                    hold.parts.push((name, window(name, self.page.seen), *amount));
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
            let look = self.look();
            let left = |object: &Object| object.would(&look, clock).standings;
            assert_eq!(left(before), left(&self.object), "a refused request was charged");
        }
        // What is tried may come to nothing: then it was later than needed.
        let possible = called
            .question
            .iter()
            .zip(&foreseen)
            .all(|((name, amount), fits)| match *name {
                "tokens" | "money" => *amount <= self.most(name),
                name if is_quota(name) => u64::from(called.cost) <= self.most(name),
                "places" => *fits == Some(true),
                _ => true,
            });
        if !possible || self.page.tries() {
            return false;
        }
        let again = Called {
            request: "again".to_owned(),
            mode: Mode::Charge,
            lease: None,
            ..called.clone()
        };
        let again = self.encode(&again);
        let passes = |clock: u64| admitted(&self.object.would(&again, clock));
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
    pub(crate) fn spent(&mut self, real: u64) {
        let now = self.page.seen.max(self.clock(real));
        self.passed[0].push(real);
        for name in ["minute", "hour"] {
            self.windows.entry((name, window(name, now))).or_default().0 += 1;
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
            let cost = |page: &Page| {
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
                self.page.charge(request, name, left);
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
                let amount = u64::from(called.cost + lease.map_or(0, |lease| lease.wish));
                for (name, _) in called.question.iter().filter(|(name, _)| is_quota(name)) {
                    self.page.give_back(Some(request), name, window(name, at), amount);
                    self.windows.entry((name, window(name, at))).or_default().0 -= u64::from(called.cost);
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
        // What is taken back too late is not known any more.
        let late = self.page.seen > cost.at + REMEMBERED;
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
        let order = Order {
            limits: vec![asked(name, self.limits.kind(name), 0)],
            credit: Some(credit),
        };
        let (answer, wrote) = self
            .object
            .raw(&order.encode().unwrap(), self.clock(real))
            .unwrap();
        let given = Report::decode(&answer).unwrap().given;
        self.page.reach(self.clock(real));
        let now = window(name, self.page.seen);
        let expected = match self.page.credits.get(id) {
            Some((of, asked, booked, _)) if (*of, *asked) == (name, amount) => Given::Before(*booked),
            Some(_) => Given::Taken,
            None if self.page.credits.len() >= 64 => Given::Full,
            None => {
                let used = self.page.charged.get(&(name, now)).copied().unwrap_or(0);
                let booked = amount.min(used);
                self.page.give_back(None, name, now, booked);
                self.windows.entry((name, now)).or_default().1 += booked;
                let length = if matches!(name, "minute" | "tokens") {
                    MINUTE
                } else {
                    60 * MINUTE
                };
                self.page
                    .credits
                    .insert(id.to_owned(), (name, amount, booked, (now + 1) * length));
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
        for name in ["minute", "hour", "tokens", "money"] {
            assert_eq!(page.used(name), 0, "`{name}` was forgotten");
        }
        let left = self.object.would(&self.look(), clock).standings;
        assert_eq!(
            left[0].remaining,
            u64::from(self.limits.fast.burst),
            "a rate was forgotten"
        );
        self.object = Object::default();
        self.stored = Page::default();
        true
    }

    fn look(&self) -> Vec<u8> {
        ask("", 0, 0, None, self.asked(&NAMES.map(|name| (name, 0))))
    }

    /// What the object says of itself is what the books say, and with time more is left, not less.
    pub(crate) fn compare(&mut self, real: u64, later: u64) {
        let clock = self.clock(real);
        let (here, there) = (
            self.object.would(&self.look(), clock),
            self.object.would(&self.look(), clock + later),
        );
        let mut page = self.page.clone();
        page.reach(clock);
        for (name, (here, there)) in NAMES.into_iter().zip(here.standings.iter().zip(&there.standings)) {
            let (here, there) = (here.remaining, there.remaining);
            if !is_rate(name) {
                let used = if name == "places" {
                    page.places().into()
                } else {
                    page.used(name)
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
        keeps(&self.limits.fast, self.passed[0].clone()).unwrap();
        keeps(&self.limits.slow, self.passed[1].clone()).unwrap();
        for ((name, window), (passed, credited)) in &self.windows {
            let most = self.most(name) + credited;
            assert!(
                !is_quota(name) || *passed <= most,
                "{passed} passed `{name}` in {window}, of {most}"
            );
        }
    }
}
