use std::collections::BTreeMap;

use proptest::prelude::*;

use turnpike_policy::{Rate, Window};

use super::*;
use crate::meter::quota::span;
use crate::meter::{MAX_ID, MAX_LIMITS, Standing};

const NOW: u64 = 1_800_000_000_000;

fn rate(count: u32, period: u64, burst: u32) -> LimitKind {
    LimitKind::Rate(Rate { count, period, burst })
}

fn quota(count: u64, window: Window) -> LimitKind {
    LimitKind::Quota { count, window }
}

/// An object as its shell keeps it.
#[derive(Clone, Default)]
struct Object {
    memory: Option<Vec<u8>>,
    stored: Option<Vec<u8>>,
    alarm: Option<u64>,
    writes: usize,
}

impl Object {
    fn ask(&mut self, request: &str, cost: u32, limits: &[(&str, LimitKind)], now: u64) -> Answer {
        let limits = limits
            .iter()
            .map(|(id, kind)| Asked {
                id,
                kind: *kind,
                amount: 0,
                shadow: false,
            })
            .collect();
        let ask = Ask {
            mode: Mode::Charge,
            request,
            part: 0,
            cost,
            hold: 0,
            lease: None,
            limits,
        }
        .encode()
        .unwrap();
        if self.memory.is_none() {
            self.memory = self.stored.as_deref().map(|stored| resume(stored).unwrap());
        }
        let decided = decide(self.memory.as_deref(), &ask, now).unwrap();
        self.memory = Some(decided.state);
        if let Some(persist) = decided.persist {
            self.stored = Some(persist);
            self.writes += 1;
        }
        self.alarm = decided.alarm.or(self.alarm);
        Answer::decode(&decided.answer).unwrap()
    }

    fn crash(&mut self) {
        self.memory = None;
    }

    fn passed(&mut self, n: usize, limits: &[(&str, LimitKind)], now: u64) -> usize {
        (0..n)
            .filter(|_| self.ask("", 1, limits, now).outcome == Outcome::Admitted)
            .count()
    }

    fn seen(&self) -> u64 {
        match (&self.memory, &self.stored) {
            (Some(memory), _) => open(MEMORY, memory).unwrap().seen,
            (None, Some(stored)) => open(STORED, stored).unwrap().seen,
            (None, None) => 0,
        }
    }
}

#[test]
fn of_1022_requests_against_100_a_minute_exactly_100_pass() {
    let limits = [("free:rate-100-60s", rate(100, 60_000, 100))];
    let mut object = Object::default();
    assert_eq!(object.passed(1_022, &limits, NOW), 100);
    object.crash();
    assert_eq!(object.passed(1_022, &limits, NOW), 0);
    let refused = object.ask("", 1, &limits, NOW).outcome;
    assert!(
        matches!(refused, Outcome::Refused { limit: 0, .. }),
        "{refused:?}"
    );
}

#[test]
fn in_real_time_only_the_rate_is_added() {
    let limits = [("r", rate(100, 60_000, 100))];
    for (step, every) in [(97_u64, 0_usize), (97, 3), (1_000, 7), (13, 50)] {
        let (mut object, mut passed, mut elapsed, mut calls) = (Object::default(), 0, 0_u64, 0);
        while elapsed < 60_000 {
            for _ in 0..4 {
                passed += object.passed(1, &limits, NOW + elapsed);
                calls += 1;
                if every > 0 && calls % every == 0 {
                    object.crash();
                }
            }
            elapsed += step;
        }
        let bound = 100 + usize::try_from((elapsed - step) * 100 / 60_000).unwrap();
        assert!(passed <= bound, "{passed} of {bound}");
        if every == 0 {
            assert_eq!(passed, bound.min(calls));
        }
    }
}

#[test]
fn quotas_are_exact_across_crashes() {
    let limits = [("q", quota(100, Window::Day)), ("r", rate(1_000, 1_000, 1_000))];
    let mut object = Object::default();
    let mut passed = 0;
    for _ in 0..1_022 {
        passed += object.passed(1, &limits, NOW);
        object.crash();
    }
    assert_eq!(passed, 100);
    let end = span(Window::Day, NOW).end;
    assert_eq!(
        object.ask("", 1, &limits, NOW).outcome,
        Outcome::Refused {
            limit: 0,
            retry_after_ms: end - NOW
        }
    );
    assert_eq!(object.passed(1_022, &limits, end), 100);
}

#[test]
fn most_calls_of_a_rate_write_nothing() {
    // (law, requests at one instant, most writes, most that a crash may cost)
    for (kind, n, writes, lost) in [
        (rate(1_000, 1_000, 1_000), 1_000, 10, 100),
        (rate(600, 60_000, 50), 50, 9, 5),
        (rate(100, 60_000, 100), 100, 50, 1),
        // Slower than one a second, or a small burst: written through, nothing is lost.
        (rate(1, 86_400_000, 1), 1, 1, 0),
        (rate(10, 60_000, 10), 10, 10, 0),
    ] {
        let mut object = Object::default();
        assert_eq!(object.passed(n, &[("r", kind)], NOW), n);
        assert!(object.writes <= writes, "{} for {kind:?}", object.writes);
        let mut half = Object::default();
        half.passed(n / 2, &[("r", kind)], NOW);
        half.crash();
        assert!(
            half.passed(n, &[("r", kind)], NOW) + n / 2 + lost >= n,
            "{kind:?}"
        );
    }
    // A steady stream below the limit: a few writes a second.
    let mut object = Object::default();
    for n in 0..500 {
        assert_eq!(object.passed(1, &[("r", rate(100, 1_000, 200))], NOW + n * 20), 1);
    }
    assert!(object.writes <= 60, "{}", object.writes);
}

#[test]
fn all_or_none_and_the_longest_wait_is_named() {
    let limits = [
        ("a", rate(10, 1_000, 10)),
        ("b", rate(1, 1_000, 1)),
        ("c", quota(1, Window::Minute)),
        ("d", quota(1_000, Window::Month)),
    ];
    let mut object = Object::default();
    assert_eq!(object.ask("1", 1, &limits, NOW).outcome, Outcome::Admitted);
    let before = object.memory.clone();
    let answer = object.ask("2", 1, &limits, NOW);
    assert_eq!(
        answer.outcome,
        Outcome::Refused {
            limit: 2,
            retry_after_ms: 60_000
        }
    );
    let remaining: Vec<_> = answer.standings.iter().map(|one| one.remaining).collect();
    assert_eq!(remaining, [9, 0, 0, 999]);
    assert_eq!(
        answer.standings[0],
        Standing {
            limit: 10,
            window_ms: 1_000,
            remaining: 9,
            reset_ms: 100
        }
    );
    assert_eq!(object.memory, before);
    let answer = object.ask("2", 1, &limits[..2], NOW);
    assert_eq!(
        answer.outcome,
        Outcome::Refused {
            limit: 1,
            retry_after_ms: 1_000
        }
    );
    // No limits at all, and limits of other ids, are not held back.
    assert_eq!(object.ask("3", 1, &[], NOW).outcome, Outcome::Admitted);
    assert_eq!(object.ask("4", 1, &limits[..1], NOW).standings[0].remaining, 8);
}

#[test]
fn a_retried_request_is_charged_once() {
    let limits = [("r", rate(10, 60_000, 10)), ("q", quota(10, Window::Day))];
    let mut object = Object::default();
    for _ in 0..30 {
        let answer = object.ask("one", 1, &limits, NOW);
        assert_eq!(answer.outcome, Outcome::Admitted);
        assert_eq!(
            (answer.standings[0].remaining, answer.standings[1].remaining),
            (9, 9)
        );
    }
    // The quota was written with it, so it is known after a crash too.
    object.crash();
    assert_eq!(object.ask("one", 1, &limits, NOW).standings[1].remaining, 9);
    // The same request for other limits is another ask; an empty id is never remembered.
    assert_eq!(object.ask("one", 1, &limits[1..], NOW).standings[0].remaining, 8);
    assert_eq!(object.ask("", 1, &limits[1..], NOW).standings[0].remaining, 7);
    assert_eq!(object.ask("", 1, &limits[1..], NOW).standings[0].remaining, 6);
    // Refused requests are not remembered as admitted.
    let one = [("s", rate(1, 1_000, 1))];
    assert_eq!(object.ask("a", 1, &one, NOW).outcome, Outcome::Admitted);
    assert!(matches!(
        object.ask("b", 1, &one, NOW).outcome,
        Outcome::Refused { .. }
    ));
    assert!(matches!(
        object.ask("b", 1, &one, NOW).outcome,
        Outcome::Refused { .. }
    ));
}

#[test]
fn a_retry_is_known_for_a_while() {
    let limits = [("q", quota(10_000, Window::Day))];
    let left =
        |object: &mut Object, request: &str, now| object.ask(request, 1, &limits, now).standings[0].remaining;
    let mut object = Object::default();
    let all = recent::MOST as u64 + 72;
    let then = NOW + all;
    for n in 0..all {
        left(&mut object, &format!("id-{n}"), NOW + n);
    }
    // The last of them, and not the one before these.
    for n in 72..all {
        assert_eq!(left(&mut object, &format!("id-{n}"), then), 10_000 - all, "{n}");
    }
    assert_eq!(left(&mut object, "id-71", then), 9_999 - all);
    let last = format!("id-{}", all - 1);
    assert_eq!(left(&mut object, &last, then - 1 + recent::LONG), 9_999 - all);
    assert_eq!(left(&mut object, &last, then + recent::LONG), 9_998 - all);
    // What is old leaves no trace.
    assert!(object.stored.unwrap().len() < 100);
}

#[test]
fn changed_laws() {
    // (under the old law: how many pass, then under the new: how many at once)
    for (old, first, new, then) in [
        // Tighter: what was used fills it.
        (rate(100, 60_000, 100), 100, rate(10, 60_000, 10), 0),
        (rate(100, 60_000, 100), 4, rate(10, 60_000, 10), 6),
        // Looser: what was used is still used.
        (rate(10, 60_000, 10), 10, rate(100, 60_000, 100), 90),
        (rate(1, 86_400_000, 1), 1, rate(100, 60_000, 100), 99),
        // Only the burst.
        (rate(10, 1_000, 10), 6, rate(10, 1_000, 20), 14),
        (quota(10, Window::Day), 10, quota(15, Window::Day), 5),
        (quota(15, Window::Day), 12, quota(10, Window::Day), 0),
        (quota(15, Window::Day), 12, quota(100, Window::Month), 88),
        (quota(100, Window::Month), 80, quota(50, Window::Day), 0),
        (quota(100, Window::Month), 3, rate(5, 1_000, 5), 2),
        (rate(5, 1_000, 5), 3, quota(100, Window::Month), 97),
    ] {
        for crash in [false, true] {
            let mut object = Object::default();
            assert_eq!(object.passed(first, &[("x", old)], NOW), first);
            if crash {
                object.crash();
            }
            let passed = object.passed(200, &[("x", new)], NOW);
            if crash {
                assert!(passed <= then, "{old:?} {new:?}");
            } else {
                assert_eq!(passed, then, "{old:?} {new:?}");
            }
        }
    }
}

#[test]
fn two_versions_in_turn_each_keep_their_law() {
    let laws = [rate(100, 60_000, 100), rate(10, 60_000, 10)];
    let mut object = Object::default();
    let mut passed = [0, 0];
    for n in 0..1_000 {
        passed[n % 2] += object.passed(1, &[("x", laws[n % 2])], NOW);
        if n % 37 == 0 {
            object.crash();
        }
    }
    assert!(passed[0] + passed[1] <= 100 && passed[1] <= 10, "{passed:?}");
}

#[test]
fn it_forgets_when_all_is_paid_and_over() {
    let mut object = Object::default();
    object.passed(5, &[("r", rate(10, 1_000, 10))], NOW);
    // Set by the first (whose mark is one request ahead), and not moved by those that follow.
    let at = object.alarm.unwrap();
    assert_eq!(at, NOW + 200 + LINGER);
    let paid = NOW + 600 + LINGER;
    assert_eq!(
        on_alarm(object.memory.as_ref().unwrap(), at),
        Ok(Alarm::Rearm(paid))
    );
    assert_eq!(on_alarm(object.memory.as_ref().unwrap(), paid), Ok(Alarm::Forget));
    // Used meanwhile: the alarm is not moved, but found too early.
    object.passed(5, &[("q", quota(10, Window::Day))], NOW + 1_000);
    assert_eq!(object.alarm, Some(at));
    let later = span(Window::Day, NOW).end + LINGER;
    for state in [
        object.memory.clone().unwrap(),
        resume(&object.stored.clone().unwrap()).unwrap(),
    ] {
        assert_eq!(on_alarm(&state, at), Ok(Alarm::Rearm(later)));
        assert_eq!(on_alarm(&state, later - 1), Ok(Alarm::Rearm(later)));
        assert_eq!(on_alarm(&state, later), Ok(Alarm::Forget));
    }
    assert_eq!(on_alarm(b"nonsense", at), Err(MeterError::State));
}

#[test]
fn damage_is_never_an_allowance() {
    let mut object = Object::default();
    object.passed(
        3,
        &[("r", rate(10, 1_000, 10)), ("q", quota(5, Window::Day))],
        NOW,
    );
    let (stored, memory) = (object.stored.unwrap(), object.memory.unwrap());
    let ask = Ask {
        mode: Mode::Charge,
        request: "x",
        part: 0,
        cost: 1,
        hold: 0,
        lease: None,
        limits: Vec::new(),
    }
    .encode()
    .unwrap();
    assert!(resume(&stored).is_ok() && decide(Some(&memory), &ask, NOW).is_ok());
    // One is never taken for the other.
    assert_eq!(resume(&memory), Err(MeterError::State));
    assert_eq!(decide(Some(&stored), &ask, NOW), Err(MeterError::State));
    for place in 0..stored.len() {
        for flip in [1_u8, 0x80, 0xff] {
            let mut bytes = stored.clone();
            bytes[place] ^= flip;
            assert_eq!(resume(&bytes), Err(MeterError::State), "byte {place}");
        }
        assert_eq!(resume(&stored[..place]), Err(MeterError::State));
        assert_eq!(
            decide(Some(&memory[..place.min(memory.len() - 1)]), &ask, NOW),
            Err(MeterError::State)
        );
    }
    assert_eq!(
        resume(&[stored.as_slice(), &[0]].concat()),
        Err(MeterError::State)
    );
}

/// One limit of an ask that counts nothing but requests.
fn asked(id: &str, kind: LimitKind) -> Asked<'_> {
    Asked {
        id,
        kind,
        amount: 0,
        shadow: false,
    }
}

fn ask_of(request: &str, limits: Vec<Asked<'_>>) -> Vec<u8> {
    let ask = Ask {
        mode: Mode::Charge,
        request,
        part: 0,
        cost: 1,
        hold: 0,
        lease: None,
        limits,
    };
    ask.encode().unwrap()
}

#[test]
fn asks_beyond_a_bound_are_refused() {
    let long = "x".repeat(MAX_ID + 1);
    let kind = rate(1, 1, 1);
    let ids: Vec<String> = (0..=MAX_LIMITS).map(|n| n.to_string()).collect();
    let of = |ids: &'static [String]| ids.iter().map(|id| asked(id, kind)).collect();
    let ids: &'static [String] = ids.leak();
    for (request, limits) in [
        (long.as_str(), Vec::new()),
        ("x", vec![asked("a", LimitKind::Concurrency { count: 0 })]),
        ("x", vec![asked(&long, kind)]),
        ("x", vec![asked("a", kind), asked("a", kind)]),
        ("x", vec![asked("a", rate(0, 1, 1))]),
        ("x", of(ids)),
    ] {
        assert_eq!(decide(None, &ask_of(request, limits), NOW), Err(MeterError::Ask));
    }
    let ask = ask_of("x", of(&ids[1..]));
    assert!(decide(None, &ask, NOW).is_ok());
    assert_eq!(decide(None, &ask[1..], NOW), Err(MeterError::Ask));
}

#[test]
fn the_state_does_not_grow_without_bound() {
    let mut object = Object::default();
    for n in 0..MAX_KEPT {
        object.ask("", 1, &[(&format!("limit-{n}"), quota(9, Window::Month))], NOW);
    }
    let one_more = ask_of("", vec![asked("more", quota(9, Window::Month))]);
    let memory = object.memory.unwrap();
    let decided = decide(Some(&memory), &one_more, NOW).unwrap();
    assert_eq!(Answer::decode(&decided.answer).unwrap().outcome, Outcome::Crowded);
    assert_eq!((decided.state, decided.persist), (memory, None));
}

/// Its id, limits and cost.
type Request = (String, Vec<(&'static str, LimitKind)>, u32);

/// What may happen to an object.
#[derive(Clone, Debug)]
enum Event {
    /// Limits by place in [`pool`], which variant of each, cost, whether the request is retried.
    Ask(Vec<usize>, usize, u32, bool),
    Step(i64),
    Crash,
    Wake,
}

/// Limit ids, each with the laws that it has had.
fn pool() -> Vec<(&'static str, Vec<LimitKind>)> {
    vec![
        ("a", vec![rate(7, 1_000, 5), rate(3, 1_000, 9), rate(20, 300, 2)]),
        ("b", vec![rate(1_000, 1_000, 40), rate(2_000, 1_000, 90)]),
        (
            "c",
            vec![
                quota(25, Window::Minute),
                quota(12, Window::Minute),
                quota(60, Window::Hour),
            ],
        ),
        ("d", vec![rate(1, 5_000, 3), quota(20, Window::Minute)]),
    ]
}

fn events() -> impl Strategy<Value = Vec<Event>> {
    let ask = (
        prop::sample::subsequence(vec![0, 1, 2, 3], 1..=4),
        0_usize..7,
        prop_oneof![8 => Just(1_u32), 1 => 2_u32..7],
        prop::bool::weighted(0.1),
    )
        .prop_map(|(which, variant, cost, retry)| {
            // Mostly the first law of each.
            Event::Ask(which, variant.saturating_sub(4), cost, retry)
        });
    let event = prop_oneof![
        20 => ask,
        6 => (0_i64..400).prop_map(Event::Step),
        2 => (-3_000_i64..20_000).prop_map(Event::Step),
        1 => (-90_000_i64..90_000).prop_map(Event::Step),
        2 => Just(Event::Crash),
        1 => Just(Event::Wake),
    ];
    prop::collection::vec(event, 1..250)
}

/// What passed under one law of one limit: at which instants, and of a quota in which window.
type Log = BTreeMap<(&'static str, String), (LimitKind, Vec<u64>)>;

fn check_laws(log: &Log) {
    for ((id, _), (kind, times)) in log {
        let mut times = times.clone();
        times.sort_unstable();
        match *kind {
            LimitKind::Rate(rate) => {
                for (i, a) in times.iter().enumerate() {
                    for (j, b) in times.iter().enumerate().skip(i) {
                        let bound = u64::from(rate.burst) + u64::from(rate.count) * (b - a) / rate.period;
                        assert!((j - i + 1) as u64 <= bound, "{id} {kind:?}: {i}..={j}");
                    }
                }
            }
            LimitKind::Quota { count, window } => {
                let mut by_window = BTreeMap::new();
                for time in times {
                    *by_window.entry(span(window, time).start).or_insert(0) += 1;
                }
                assert!(by_window.values().all(|used| *used <= count), "{id} {kind:?}");
            }
            _ => panic!("not among these laws"),
        }
    }
}

fn same_charges(before: &Object, after: &Object) {
    let (Some(before), Some(after)) = (&before.memory, &after.memory) else {
        return;
    };
    let (before, after) = (open(MEMORY, before).unwrap(), open(MEMORY, after).unwrap());
    for record in &before.records {
        let kept = after.records.iter().find(|other| {
            other.id == record.id
                && match (&other.law, &record.law) {
                    (Law::Rate { rate: a, .. }, Law::Rate { rate: b, .. }) => a == b,
                    (Law::Quota { window: a, .. }, Law::Quota { window: b, .. }) => a == b,
                    _ => false,
                }
        });
        match kept {
            Some(kept) => assert_eq!(kept.law.held(), record.law.held()),
            None => assert!(record.law.over() <= after.seen || record.law.owed(after.seen) == 0),
        }
    }
}

proptest! {
    #[test]
    fn whatever_happens_the_laws_hold(events in events()) {
        let pool = pool();
        let mut object = Object::default();
        let mut clock = NOW;
        let mut log = Log::new();
        let mut last: BTreeMap<(&str, String), (u64, u64)> = BTreeMap::new();
        let mut previous: Option<(u64, Request)> = None;
        for (n, event) in events.into_iter().enumerate() {
            match event {
                Event::Step(by) => clock = clock.saturating_add_signed(by),
                Event::Crash => {
                    object.crash();
                    previous = None;
                }
                Event::Wake => {
                    let state = object.memory.clone()
                        .or_else(|| object.stored.as_ref().map(|stored| resume(stored).unwrap()));
                    if let Some(state) = state
                        && on_alarm(&state, clock) == Ok(Alarm::Forget)
                    {
                        object = Object::default();
                    }
                }
                Event::Ask(which, variant, cost, retry) => {
                    if retry
                        && object.memory.is_some()
                        && let Some((at, (request, limits, cost))) = &previous
                        && clock.max(object.seen()) <= at + recent::LONG
                    {
                        let stored = object.stored.clone();
                        let before = object.clone();
                        let answer = object.ask(request, *cost, limits, clock);
                        // Admitted once, it stays so, and nothing is charged again.
                        prop_assert_eq!(answer.outcome, Outcome::Admitted);
                        same_charges(&before, &object);
                        prop_assert_eq!(stored, object.stored.clone());
                        continue;
                    }
                    let limits: Vec<(&str, LimitKind)> = which.iter().map(|place| {
                        let (id, laws) = &pool[*place];
                        (*id, laws[variant % laws.len()])
                    }).collect();
                    let request = format!("request-{n}");
                    let before = object.clone();
                    let answer = object.ask(&request, cost, &limits, clock);
                    let at = object.seen();
                    prop_assert!(at >= clock);
                    for ((id, kind), standing) in limits.iter().zip(&answer.standings) {
                        let key = (*id, format!("{kind:?}"));
                        if let Some((when, left)) = last.get(&key)
                            && *when == at
                        {
                            prop_assert!(standing.remaining <= *left, "{} {:?}", id, kind);
                        }
                        last.insert(key, (at, standing.remaining));
                    }
                    match answer.outcome {
                        Outcome::Admitted => {
                            book(&mut log, &limits, cost, at);
                            previous = Some((at, (request, limits, cost)));
                        }
                        Outcome::Refused { limit, retry_after_ms } => {
                            same_charges(&before, &object);
                            let possible = limits.iter().all(|(_, kind)| match kind {
                                LimitKind::Rate(rate) => cost <= rate.burst,
                                LimitKind::Quota { count, .. } => u64::from(cost) <= *count,
                                _ => false,
                            });
                            let standing = answer.standings[usize::try_from(limit).unwrap()];
                            prop_assert!(standing.remaining < u64::from(cost));
                            if possible {
                                prop_assert!(retry_after_ms >= standing.reset_ms);
                                let then = object.clone().ask("t", cost, &limits, clock + retry_after_ms);
                                prop_assert_eq!(then.outcome, Outcome::Admitted);
                                let early =
                                    object.clone().ask("e", cost, &limits, clock + retry_after_ms - 1);
                                prop_assert!(early.outcome != Outcome::Admitted);
                            }
                        }
                        Outcome::Crowded => prop_assert!(false, "there is room"),
                    }
                }
            }
        }
        check_laws(&log);
    }

    #[test]
    fn no_bytes_make_it_panic(
        state in prop::collection::vec(any::<u8>(), 0..200),
        ask in prop::collection::vec(any::<u8>(), 0..200),
        now: u64,
        place: prop::sample::Index,
        byte: u8,
    ) {
        let _ = decide(Some(&state), &ask, now);
        let _ = decide(None, &ask, now);
        let _ = resume(&state);
        let _ = on_alarm(&state, now);
        let _ = Answer::decode(&ask);
        // Past the digest: bytes that are whole but not ours.
        let mut sealed = vec![VERSION, MEMORY];
        sealed.extend_from_slice(&state);
        sealed.extend_from_slice(&digest(&sealed).to_le_bytes());
        let asked = Ask { mode: Mode::Charge, request: "r", part: 0, cost: 1, hold: 0, lease: None, limits: vec![
            Asked { id: "a", kind: rate(7, 1_000, 5), amount: 0 , shadow: false},
            Asked { id: "b", kind: quota(7, Window::Month), amount: 0 , shadow: false},
        ] }.encode().unwrap();
        let _ = decide(Some(&sealed), &asked, now);
        // A true state and a true ask, each with one byte changed.
        let mut object = Object::default();
        object.ask("x", 1, &[("a", rate(7, 1_000, 5)), ("b", quota(7, Window::Month))], now);
        let mut memory = object.memory.unwrap();
        let end = memory.len() - 8;
        let at = 2 + place.index(end - 2);
        memory[at] = byte;
        let resealed = digest(&memory[..end]).to_le_bytes();
        memory[end..].copy_from_slice(&resealed);
        let _ = decide(Some(&memory), &asked, now);
        let _ = on_alarm(&memory, now);
        let mut other = asked.clone();
        let at = place.index(other.len());
        other[at] = byte;
        let _ = decide(None, &other, now);
    }
}

fn book(log: &mut Log, limits: &[(&'static str, LimitKind)], cost: u32, at: u64) {
    for (id, kind) in limits {
        let entry = log
            .entry((id, format!("{kind:?}")))
            .or_insert((*kind, Vec::new()));
        entry.1.extend((0..cost).map(|_| at));
    }
}
