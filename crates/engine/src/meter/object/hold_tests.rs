//! Reservations against a model of them, written the plain way.

use std::collections::BTreeMap;

use proptest::prelude::*;
use turnpike_policy::{Unit, Window};

use super::*;
use crate::meter::TRIAL;
use crate::meter::quota::span;

const NOW: u64 = 1_800_000_000_000;
const HOLD: u64 = 90_000;

fn budget(count: u64) -> LimitKind {
    LimitKind::Budget {
        count,
        window: Window::Minute,
        unit: Unit::Tokens,
    }
}

/// An object as its shell keeps it.
#[derive(Clone, Default)]
struct Object {
    memory: Option<Vec<u8>>,
    stored: Option<Vec<u8>>,
}

impl Object {
    fn call(&mut self, bytes: &[u8], now: u64) -> Answer {
        if self.memory.is_none() {
            self.memory = self.stored.as_deref().map(|stored| resume(stored).unwrap());
        }
        let decided = decide(self.memory.as_deref(), bytes, now).unwrap();
        self.memory = Some(decided.state);
        if decided.persist.is_some() {
            self.stored = decided.persist;
        }
        Answer::decode(&decided.answer).unwrap()
    }

    fn ask(&mut self, request: &str, cost: u32, limits: Vec<Asked<'_>>, now: u64) -> Answer {
        self.part(request, 0, cost, limits, now)
    }

    fn part(&mut self, request: &str, part: u32, cost: u32, limits: Vec<Asked<'_>>, now: u64) -> Answer {
        let ask = Ask {
            mode: Mode::Charge,
            request,
            part,
            cost,
            hold: HOLD,
            lease: None,
            limits,
        };
        self.call(&ask.encode().unwrap(), now)
    }

    fn settle(&mut self, request: &str, used: &[(&str, u64)], now: u64) {
        let settle = Settle {
            request,
            used: used.to_vec(),
        };
        self.call(&settle.encode().unwrap(), now);
    }

    fn left(&mut self, count: u64, now: u64) -> u64 {
        let looked = vec![Asked {
            id: "t",
            kind: budget(count),
            amount: 0,
            shadow: false,
        }];
        self.ask("", 0, looked, now).standings[0].remaining
    }
}

#[test]
fn a_retry_of_what_is_held_is_known_as_long_as_it_is_held() {
    let tokens = |amount| {
        vec![Asked {
            id: "t",
            kind: budget(100_000),
            amount,
            shadow: false,
        }]
    };
    let mut object = Object::default();
    for now in [NOW, NOW + 1, NOW + 50_000] {
        object.ask("one", 1, tokens(80), now);
        // More of it is another ask, and known too.
        object.part("one", 1, 0, tokens(5), now);
        for n in 0..if now == NOW { 500 } else { 0 } {
            object.ask(&format!("{n}"), 1, tokens(1), now);
        }
        if now > NOW {
            object.memory = None;
        }
    }
    object.settle("one", &[("t", 50)], NOW + 50_001);
    assert_eq!(object.left(100_000, NOW + 50_001), 100_000 - 500 - 50);
}

#[test]
fn what_is_tried_at_the_end_of_a_window_is_kept_out_of_the_way_in_the_next() {
    let minute = span(Window::Minute, NOW);
    let quota = LimitKind::Quota {
        count: 4,
        window: Window::Minute,
    };
    for kind in [quota, budget(4)] {
        let limits = vec![Asked {
            id: "m",
            kind,
            amount: 1,
            shadow: false,
        }];
        let ask = |request: &'static str, mode| {
            let ask = Ask {
                mode,
                request,
                part: 0,
                cost: 1,
                hold: HOLD,
                lease: None,
                limits: limits.clone(),
            };
            ask.encode().unwrap()
        };
        let mut object = Object::default();
        let passes =
            |object: &mut Object, bytes: &[u8], now| object.call(bytes, now).outcome == Outcome::Admitted;
        assert!(passes(&mut object, &ask("one", Mode::Try), minute.end - 1));
        let names = ["a", "b", "c", "d", "e"];
        let others = names.map(|name| passes(&mut object, &ask(name, Mode::Charge), minute.end));
        assert_eq!(others, [true, true, true, false, false], "{kind:?}");
        assert!(passes(
            &mut object,
            &ask("one", Mode::Confirm),
            minute.end + TRIAL - 2
        ));
        // It is in the new window now, once.
        assert!(!passes(&mut object, &ask("f", Mode::Charge), minute.end + TRIAL));
    }
}

#[test]
fn what_is_given_back_is_that_of_its_own_window() {
    let minute = span(Window::Minute, NOW);
    let t = |amount| {
        vec![Asked {
            id: "t",
            kind: budget(100),
            amount,
            shadow: false,
        }]
    };
    let mut object = Object::default();
    assert_eq!(object.ask("a", 1, t(80), NOW).outcome, Outcome::Admitted);
    // In the next window the reservation of the one before counts no more, nor does what comes back of it.
    assert_eq!(object.ask("b", 1, t(90), minute.end).outcome, Outcome::Admitted);
    object.settle("a", &[("t", 10)], minute.end + 1);
    assert_eq!(object.left(100, minute.end + 1), 10);
    object.settle("b", &[("t", 40)], minute.end + 2);
    assert_eq!(object.left(100, minute.end + 2), 60);
    // What was used beyond any bound is taken from what follows.
    assert_eq!(
        object.ask("c", 1, t(10), minute.end + 3).outcome,
        Outcome::Admitted
    );
    object.settle("c", &[("t", 35)], minute.end + 4);
    assert_eq!(object.left(100, minute.end + 4), 25);
    // To settle again changes nothing, nor does a stranger.
    object.settle("c", &[("t", 0)], minute.end + 5);
    object.settle("nobody", &[("t", 0)], minute.end + 5);
    assert_eq!(object.left(100, minute.end + 5), 25);
}

#[test]
fn an_object_holds_no_more_than_it_may() {
    let mut object = Object::default();
    let place = || {
        vec![Asked {
            id: "c",
            kind: LimitKind::Concurrency { count: 1_000_000 },
            amount: 0,
            shadow: false,
        }]
    };
    for index in 0..MAX_HELD {
        assert_eq!(
            object.ask(&format!("r{index}"), 1, place(), NOW).outcome,
            Outcome::Admitted
        );
    }
    let ask = Ask {
        mode: Mode::Charge,
        request: "one more",
        part: 0,
        cost: 1,
        hold: HOLD,
        lease: None,
        limits: place(),
    };
    let decided = decide(object.memory.as_deref(), &ask.encode().unwrap(), NOW).unwrap();
    assert_eq!(Answer::decode(&decided.answer).unwrap().outcome, Outcome::Crowded);
    assert_eq!(
        (Some(decided.state), decided.persist),
        (object.memory.clone(), None)
    );
    // It is idle when they are over, and not before.
    let memory = object.memory.unwrap();
    assert!(matches!(on_alarm(&memory, NOW + HOLD), Ok(Alarm::Rearm(_))));
    assert_eq!(on_alarm(&memory, NOW + HOLD + LINGER), Ok(Alarm::Forget));
}

/// What there is to know, kept the plain way.
#[derive(Default)]
struct Model {
    /// What each window was charged.
    charged: BTreeMap<u64, u64>,
    /// What each request holds: until when, and what it charged to which window.
    held: BTreeMap<u8, (u64, Vec<(u64, u64)>)>,
}

#[derive(Clone, Debug)]
enum Op {
    Admit(u8, u64),
    More(u8, u64),
    Settle(u8, u64),
    Wait(u64),
    Crash,
}

fn op() -> impl Strategy<Value = Op> {
    prop_oneof![
        5 => (any::<u8>(), 0_u64..60).prop_map(|(id, amount)| Op::Admit(id, amount)),
        2 => (0_u8..12, 1_u64..30).prop_map(|(id, amount)| Op::More(id, amount)),
        4 => (0_u8..12, 0_u64..90).prop_map(|(id, used)| Op::Settle(id, used)),
        2 => (0_u64..40_000).prop_map(Op::Wait),
        1 => Just(Op::Crash),
    ]
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(256))]
    #[test]
    fn an_object_does_what_the_model_does(ops in prop::collection::vec(op(), 1..200)) {
        const MOST: u64 = 200;
        const PLACES: u64 = 4;
        let (mut object, mut model, mut now) = (Object::default(), Model::default(), NOW);
        let (mut ids, mut part) = (Vec::<u8>::new(), 0);
        for op in ops {
            model.held.retain(|_, (until, _)| *until > now);
            let window = span(Window::Minute, now).start;
            let charged = model.charged.get(&window).copied().unwrap_or(0);
            match op {
                Op::Admit(id, amount) => {
                    if ids.contains(&id) {
                        continue;
                    }
                    let limits = vec![
                        Asked { id: "t", kind: budget(MOST), amount, shadow: false },
                        Asked { id: "c", kind: LimitKind::Concurrency { count: 4 }, amount: 0, shadow: false },
                    ];
                    let answer = object.ask(&format!("{id}"), 1, limits.clone(), now);
                    let fits = (amount == 0 || charged + amount <= MOST) && (model.held.len() as u64) < PLACES;
                    prop_assert_eq!(answer.outcome == Outcome::Admitted, fits);
                    if fits {
                        ids.push(id);
                        *model.charged.entry(window).or_default() += amount;
                        let parts = if amount > 0 { vec![(window, amount)] } else { Vec::new() };
                        model.held.insert(id, (now + HOLD, parts));
                        // Its answer was lost and it is asked again: nothing is charged twice.
                        let again = object.ask(&format!("{id}"), 1, limits, now);
                        prop_assert_eq!(again.outcome, Outcome::Admitted);
                    }
                }
                Op::More(index, amount) => {
                    let Some(id) = ids.get(usize::from(index)).filter(|id| model.held.contains_key(id)).copied() else {
                        continue;
                    };
                    let limits = vec![Asked { id: "t", kind: budget(MOST), amount, shadow: false }];
                    part += 1;
                    let answer = object.part(&format!("{id}"), part, 0, limits, now);
                    prop_assert_eq!(answer.outcome == Outcome::Admitted, charged + amount <= MOST);
                    if charged + amount <= MOST {
                        *model.charged.entry(window).or_default() += amount;
                        if let Some((until, parts)) = model.held.get_mut(&id) {
                            *until = (*until).max(now + HOLD);
                            parts.push((window, amount));
                        }
                    }
                }
                Op::Settle(index, used) => {
                    let Some(id) = ids.get(usize::from(index)).copied() else { continue };
                    object.settle(&format!("{id}"), &[("t", used)], now);
                    let Some((_, parts)) = model.held.remove(&id) else { continue };
                    let mut left = used;
                    for (start, amount) in &parts {
                        let kept = left.min(*amount);
                        left -= kept;
                        *model.charged.get_mut(start).unwrap() -= amount - kept;
                    }
                    if !parts.is_empty() {
                        *model.charged.entry(window).or_default() += left;
                    }
                }
                Op::Wait(ms) => now += ms,
                Op::Crash => object.memory = None,
            }
            let window = span(Window::Minute, now).start;
            let charged = model.charged.get(&window).copied().unwrap_or(0);
            prop_assert_eq!(object.left(MOST, now), MOST.saturating_sub(charged));
        }
    }
}

#[test]
fn what_is_held_never_outgrows_what_can_be_stored() {
    let ids: Vec<String> = (0..16).map(|id| format!("{id:0>120}")).collect();
    let mut object = Object::default();
    let mut crowded = None;
    for request in 0..MAX_HELD {
        let limits = ids.iter().map(|id| Asked {
            id,
            kind: budget(u64::MAX),
            amount: 1,
            shadow: false,
        });
        let ask = Ask {
            mode: Mode::Charge,
            request: &format!("{request:0>32}"),
            part: 0,
            cost: 1,
            hold: HOLD,
            lease: None,
            limits: limits.collect(),
        };
        let decided = decide(object.memory.as_deref(), &ask.encode().unwrap(), NOW).unwrap();
        if Answer::decode(&decided.answer).unwrap().outcome == Outcome::Crowded {
            crowded = Some(request);
            break;
        }
        assert!(decided.state.len() < 1_900_000, "{}", decided.state.len());
        object.memory = Some(decided.state);
    }
    let held = crowded.expect("an end");
    assert!(held > 256, "{held}");
}
