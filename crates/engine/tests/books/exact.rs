//! One object under everything but leases: what it decides is known beforehand, limit by limit.

use turnpike_engine::meter::{Outcome, Standing};

use super::page::{Hold, Limits, NAMES, Owed, Page, RECENT, REMEMBERED, window};
use super::*;

struct Books {
    limits: Limits,
    random: Random,
    object: Object,
    clock: u64,
    page: Page,
    stored: Page,
    fast: Owed,
    slow: Owed,
    /// When requests passed.
    passed: [Vec<u64>; 2],
    /// All that is not in `page` when an object forgets.
    requests: u64,
    counts: Counts,
}

#[derive(Debug, Default)]
struct Counts {
    operations: u64,
    admitted: u64,
    refused: u64,
    retries: u64,
    settled: u64,
    crashes: u64,
    failed: u64,
    forgotten: u64,
    undecided: u64,
}

impl Books {
    fn new(seed: u64) -> Self {
        let mut random = Random(seed);
        Self {
            limits: Limits::new(&mut random),
            random,
            object: Object::default(),
            clock: NOW,
            page: Page::default(),
            stored: Page::default(),
            fast: Owed::default(),
            slow: Owed::default(),
            passed: [Vec::new(), Vec::new()],
            requests: 0,
            counts: Counts::default(),
        }
    }

    /// The time that the object decides by.
    fn now(&self) -> u64 {
        self.page.seen.max(self.clock)
    }

    fn charged(&self, name: &'static str) -> u64 {
        let key = (name, window(name, self.now()));
        self.page.charged.get(&key).copied().unwrap_or(0)
    }

    fn taken(&self) -> u32 {
        let now = self.now();
        self.page
            .holds
            .values()
            .filter(|hold| hold.until > now)
            .map(|hold| hold.places)
            .sum()
    }

    fn operation(&mut self) {
        self.counts.operations += 1;
        match self.random.below(100) {
            0..45 => self.admit(),
            45..52 => self.more(),
            52..67 => self.settle(),
            67..73 => self.retry(),
            73..92 => self.step(),
            92..96 => self.crash(),
            96..98 => self.fail(),
            _ => self.wake(),
        }
        // Every third time: it is asked twice for each.
        if self.counts.operations.is_multiple_of(3) {
            self.compare();
        }
    }

    fn step(&mut self) {
        let step = match self.random.below(40) {
            0..25 => self.random.below(100),
            25..35 => self.random.below(3_000),
            35 | 36 => self.random.below(2 * MINUTE),
            // Set back, too.
            37 => {
                let back = self.random.below(2 * MINUTE);
                self.clock -= back.min(self.clock - NOW);
                return;
            }
            38 => self.random.below(2 * 3_600_000),
            _ => {
                self.clock -= self.random.below(50).min(self.clock - NOW);
                return;
            }
        };
        self.clock += step;
    }

    /// Some of the limits, what a request costs under each, and how many requests it is.
    fn question(&mut self) -> (Vec<(&'static str, u64)>, u32) {
        let cost = if self.random.one_in(12) {
            u32::try_from(self.random.between(2, 6)).unwrap()
        } else {
            1
        };
        let mut asked: Vec<(&'static str, u64)> = Vec::new();
        // Often the rates alone: they are not written with each request.
        let rates = self.random.one_in(3);
        for name in NAMES {
            if self.random.one_in(3) || (rates && !matches!(name, "fast" | "slow")) {
                continue;
            }
            let amount = match name {
                "tokens" => self.random.below(self.limits.tokens / 3 + 2),
                "money" => self.random.below(self.limits.money / 5 + 2),
                _ => 0,
            };
            asked.push((name, amount));
        }
        (asked, cost)
    }

    fn encode(&self, request: &str, part: u32, cost: u32, question: &[(&'static str, u64)]) -> Vec<u8> {
        let limits = question
            .iter()
            .map(|(name, amount)| asked(name, self.limits.kind(name), *amount))
            .collect();
        ask(request, part, cost, None, limits)
    }

    fn admit(&mut self) {
        self.requests += 1;
        let (question, cost) = self.question();
        let request = format!("request-{}", self.requests);
        self.ask(&request, 0, cost, &question);
    }

    /// More for a request that is held.
    fn more(&mut self) {
        let Some(request) = self.held() else { return };
        self.requests += 1;
        let part = u32::try_from(self.requests).unwrap();
        let amount = self.random.between(1, self.limits.tokens / 4 + 1);
        let money = self.random.between(1, self.limits.money / 4 + 1);
        self.ask(&request, part, 0, &[("tokens", amount), ("money", money)]);
    }

    fn held(&mut self) -> Option<String> {
        if self.page.holds.is_empty() {
            return None;
        }
        let index = self.random.index(self.page.holds.len());
        self.page.holds.keys().nth(index).cloned()
    }

    /// Whether each limit lets it pass.
    fn foresee(&self, cost: u32, question: &[(&'static str, u64)]) -> Vec<Option<bool>> {
        let now = self.now();
        let one = |(name, amount): &(&'static str, u64)| match *name {
            "fast" => self.fast.passes(&self.limits.fast, now, cost),
            "slow" => self.slow.passes(&self.limits.slow, now, cost),
            "minute" => Some(cost == 0 || self.charged(name) + u64::from(cost) <= self.limits.per_minute),
            "hour" => Some(cost == 0 || self.charged(name) + u64::from(cost) <= self.limits.per_hour),
            "tokens" => Some(*amount == 0 || self.charged(name) + amount <= self.limits.tokens),
            "money" => Some(*amount == 0 || self.charged(name) + amount <= self.limits.money),
            _ => Some(cost == 0 || self.taken() + cost <= self.limits.places),
        };
        question.iter().map(one).collect()
    }

    fn ask(&mut self, request: &str, part: u32, cost: u32, question: &[(&'static str, u64)]) {
        let bytes = self.encode(request, part, cost, question);
        let foreseen = self.foresee(cost, question);
        let now = self.now();
        let before = self.object.clone();
        let (answer, wrote) = self.object.call(&bytes, self.clock);
        self.page.seen = now;
        let passes = admitted(&answer);
        if foreseen.contains(&Some(false)) {
            assert!(!passes, "admitted against {foreseen:?} of {question:?}");
        } else if foreseen.iter().all(|one| *one == Some(true)) {
            assert!(passes, "refused against {foreseen:?} of {question:?}: {answer:?}");
        } else {
            self.counts.undecided += 1;
        }
        if passes {
            self.counts.admitted += 1;
            let through = question.iter().any(|(name, _)| !matches!(*name, "fast" | "slow"));
            assert!(
                wrote || !through || question.is_empty(),
                "what is counted exactly was not stored"
            );
            self.charge(request, cost, question, now);
            self.page.recent.push_back((now, bytes));
            if self.page.recent.len() > RECENT {
                self.page.recent.pop_front();
            }
        } else {
            self.counts.refused += 1;
            let Outcome::Refused {
                limit,
                retry_after_ms,
            } = answer.outcome
            else {
                unreachable!()
            };
            self.after_refusal(
                &before,
                cost,
                question,
                usize::try_from(limit).unwrap(),
                now,
                retry_after_ms,
            );
        }
        if wrote {
            self.stored = self.page.clone();
        }
    }

    fn charge(&mut self, request: &str, cost: u32, question: &[(&'static str, u64)], now: u64) {
        let mut hold = Hold::default();
        for (name, amount) in question {
            match *name {
                "fast" => {
                    self.fast.pass(&self.limits.fast, now, cost);
                    self.passed[0].extend((0..cost).map(|_| now));
                }
                "slow" => {
                    self.slow.pass(&self.limits.slow, now, cost);
                    self.passed[1].extend((0..cost).map(|_| now));
                }
                "places" => hold.places += cost,
                "minute" | "hour" => {
                    *self.page.charged.entry((name, window(name, now))).or_default() += u64::from(cost);
                }
                _ if *amount > 0 => {
                    let window = window(name, now);
                    *self.page.charged.entry((name, window)).or_default() += amount;
                    hold.parts.push((name, window, *amount));
                }
                _ => {}
            }
        }
        if hold.places > 0 || !hold.parts.is_empty() {
            self.page.holds.retain(|_, hold| hold.until > now);
            let kept = self.page.holds.entry(request.to_owned()).or_default();
            kept.until = kept.until.max(now + HOLD);
            kept.places += hold.places;
            kept.parts.extend(hold.parts);
        }
    }

    /// Nothing was charged; and the wait is true: after it the request passes, a millisecond before it does not.
    fn after_refusal(
        &mut self,
        before: &Object,
        cost: u32,
        question: &[(&'static str, u64)],
        limit: usize,
        now: u64,
        wait: u64,
    ) {
        assert!(wait >= 1);
        let same = |object: &Object| {
            let looked = self.encode("", 0, 0, &NAMES.map(|name| (name, 0)));
            object.would(&looked, now).standings
        };
        assert_eq!(same(before), same(&self.object), "a refused request was charged");
        let possible = question.iter().all(|(name, amount)| match *name {
            "fast" => cost <= self.limits.fast.burst,
            "slow" => cost <= self.limits.slow.burst,
            "minute" => u64::from(cost) <= self.limits.per_minute,
            "hour" => u64::from(cost) <= self.limits.per_hour,
            "tokens" => *amount <= self.limits.tokens,
            "money" => *amount <= self.limits.money,
            _ => false,
        });
        if !possible {
            return;
        }
        let again = self.encode("again", 0, cost, question);
        assert!(
            admitted(&self.object.would(&again, self.clock + wait)),
            "Retry-After is too early"
        );
        assert!(
            !admitted(&self.object.would(&again, self.clock + wait - 1)),
            "Retry-After of `{}` is later than needed",
            question[limit].0
        );
    }

    fn settle(&mut self) {
        let now = self.now();
        let request = if self.random.one_in(10) { None } else { self.held() };
        // Who is not known, or was settled before, changes nothing.
        let request = request.unwrap_or_else(|| format!("request-{}", self.random.below(self.requests + 1)));
        let hold = self
            .page
            .holds
            .get(&request)
            .filter(|hold| hold.until > now)
            .cloned();
        let mut used = Vec::new();
        for name in ["tokens", "money"] {
            let reserved: u64 = hold
                .iter()
                .flat_map(|hold| &hold.parts)
                .filter(|part| part.0 == name)
                .map(|part| part.2)
                .sum();
            // Mostly less than was reserved; sometimes more; sometimes it is not said.
            match self.random.below(8) {
                0 => {}
                1 => used.push((name, reserved + self.random.below(reserved / 2 + 3))),
                _ => used.push((name, self.random.below(reserved + 1))),
            }
        }
        let bytes = settle(&request, used.clone());
        let (answer, wrote) = self.object.call(&bytes, self.clock);
        assert!(admitted(&answer));
        self.page.seen = now;
        assert_eq!(
            wrote,
            hold.is_some(),
            "a settlement is stored if it settles anything"
        );
        let Some(hold) = hold else { return };
        self.counts.settled += 1;
        self.page.holds.remove(&request);
        for (name, used) in used {
            let mut left = used;
            let mut found = false;
            for (_, window, amount) in hold.parts.iter().filter(|part| part.0 == name) {
                let kept = left.min(*amount);
                left -= kept;
                found = true;
                *self
                    .page
                    .charged
                    .get_mut(&(name, *window))
                    .expect("it was charged") -= amount - kept;
            }
            if found {
                *self.page.charged.entry((name, window(name, now))).or_default() += left;
            }
        }
        self.stored = self.page.clone();
    }

    /// An answer was lost: the same is asked again, and admitted without a charge.
    fn retry(&mut self) {
        let now = self.now();
        self.page.recent.retain(|(at, _)| now <= at + REMEMBERED);
        if self.page.recent.is_empty() {
            return;
        }
        self.counts.retries += 1;
        let index = self.random.index(self.page.recent.len());
        let (_, bytes) = self.page.recent[index].clone();
        let (answer, wrote) = self.object.call(&bytes, self.clock);
        assert!(
            admitted(&answer),
            "what was admitted is refused when it is asked again"
        );
        self.page.seen = now;
        if wrote {
            self.stored = self.page.clone();
        }
    }

    fn crash(&mut self) {
        self.counts.crashes += 1;
        self.object.memory = None;
        self.page = self.stored.clone();
        self.fast.crash(&self.limits.fast);
        self.slow.crash(&self.limits.slow);
    }

    /// A write fails: whatever was decided, nobody hears of it.
    fn fail(&mut self) {
        self.counts.failed += 1;
        let (question, cost) = self.question();
        let bytes = self.encode("failed", 0, cost, &question);
        let clock = self.clock;
        self.object.fail(&bytes, clock);
        self.page = self.stored.clone();
        self.fast.crash(&self.limits.fast);
        self.slow.crash(&self.limits.slow);
    }

    /// The object's alarm goes off, whenever it likes: it forgets only when nothing is owed.
    fn wake(&mut self) {
        let memory = self.object.memory.clone();
        let stored = || {
            self.object
                .stored
                .as_deref()
                .map(|stored| object::resume(stored).unwrap())
        };
        let Some(state) = memory.or_else(stored) else {
            return;
        };
        if object::on_alarm(&state, self.clock) != Ok(object::Alarm::Forget) {
            return;
        }
        self.counts.forgotten += 1;
        let now = self.clock;
        assert!(
            self.page.holds.values().all(|hold| hold.until <= now),
            "a hold was forgotten"
        );
        for name in ["minute", "hour", "tokens", "money"] {
            let charged = self.page.charged.get(&(name, window(name, now)));
            assert_eq!(charged.copied().unwrap_or(0), 0, "{name} was forgotten");
        }
        for (owed, rate) in [(self.fast, self.limits.fast), (self.slow, self.limits.slow)] {
            assert_eq!(
                owed.remaining(&rate, now).1,
                u64::from(rate.burst),
                "a rate was forgotten"
            );
        }
        self.object = Object::default();
        self.page = Page::default();
        self.stored = Page::default();
    }

    /// What the object says of itself is what the books say.
    fn compare(&mut self) {
        let looked = self.encode("", 0, 0, &NAMES.map(|name| (name, 0)));
        let now = self.now();
        let answer = self.object.would(&looked, self.clock);
        let later = self
            .object
            .would(&looked, self.clock + 1 + self.counts.operations % 3_000);
        let left = |standings: &[Standing]| standings.iter().map(|one| one.remaining).collect::<Vec<_>>();
        for ((name, here), there) in NAMES
            .iter()
            .zip(left(&answer.standings))
            .zip(left(&later.standings))
        {
            let exactly = |whole: u64| {
                let left = whole.saturating_sub(self.charged(name));
                (left, left)
            };
            let (least, most) = match *name {
                "fast" => self.fast.remaining(&self.limits.fast, now),
                "slow" => self.slow.remaining(&self.limits.slow, now),
                "minute" => exactly(self.limits.per_minute),
                "hour" => exactly(self.limits.per_hour),
                "tokens" => exactly(self.limits.tokens),
                "money" => exactly(self.limits.money),
                _ => {
                    let left = u64::from(self.limits.places.saturating_sub(self.taken()));
                    (left, left)
                }
            };
            assert!(
                (least..=most).contains(&here),
                "{name}: {here} remain, not {least} to {most}"
            );
            assert!(there >= here, "{name}: {here} remain, and later {there}");
        }
    }
}

#[test]
fn an_object_keeps_its_books() {
    let mut sum = Counts::default();
    let mut left = operations();
    let mut seed = 1;
    while left > 0 {
        let mut books = Books::new(seed);
        let run = std::panic::catch_unwind(std::panic::AssertUnwindSafe(|| {
            for _ in 0..left.min(RUN) {
                books.operation();
            }
            keeps(&books.limits.fast, books.passed[0].clone()).unwrap();
            keeps(&books.limits.slow, books.passed[1].clone()).unwrap();
        }));
        let counts = &books.counts;
        assert!(run.is_ok(), "seed {seed}, after {counts:?}");
        sum.operations += counts.operations;
        sum.admitted += counts.admitted;
        sum.refused += counts.refused;
        sum.retries += counts.retries;
        sum.settled += counts.settled;
        sum.crashes += counts.crashes;
        sum.failed += counts.failed;
        sum.forgotten += counts.forgotten;
        sum.undecided += counts.undecided;
        left -= left.min(RUN);
        seed += 1;
    }
    println!("{sum:?}");
    // What is never reached is not tested.
    let few = sum.operations / 200;
    assert!(
        sum.admitted > few && sum.refused > few && sum.settled > few && sum.retries > few,
        "{sum:?}"
    );
    assert!(
        sum.forgotten > 0 && sum.undecided < sum.operations / 10,
        "{sum:?}"
    );
}
