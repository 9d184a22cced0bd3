//! Asks that are taken back, in whatever order they and what takes them back arrive.

use proptest::prelude::*;
use turnpike_policy::{LimitKind, Unit, Window};

use super::*;
use crate::meter::quota::span;
use crate::meter::{Ask, Asked, Mode, TRIAL};

/// The last second of a minute of the clock.
const NOW: u64 = 1_800_000_000_000 + 59_000;
const COUNT: u64 = 1_000_000;

fn limits(window: Window) -> Vec<Asked<'static>> {
    let asked = |id, kind, amount| Asked {
        id,
        kind,
        amount,
        shadow: false,
    };
    let budget = |unit| LimitKind::Budget {
        count: COUNT,
        window,
        unit,
    };
    vec![
        asked("quota", LimitKind::Quota { count: COUNT, window }, 0),
        asked("bytes", budget(Unit::Bytes), 300),
        asked("tokens", budget(Unit::Tokens), 70),
        asked("places", LimitKind::Concurrency { count: 1_000_000 }, 0),
    ]
}

fn ask<'a>(request: &'a str, mode: Mode, cost: u32, limits: Vec<Asked<'a>>) -> Ask<'a> {
    Ask {
        mode,
        request,
        part: 0,
        cost,
        hold: 90_000,
        lease: None,
        limits,
    }
}

/// What is left of each limit.
fn left(state: Option<&[u8]>, window: Window, now: u64) -> Vec<u64> {
    let mut limits = limits(window);
    for asked in &mut limits {
        asked.amount = 0;
    }
    let bytes = ask("", Mode::Charge, 0, limits).encode().unwrap();
    let answer = decide(state, &bytes, now).unwrap().answer;
    let answer = Answer::decode(&answer).unwrap();
    answer
        .standings
        .iter()
        .map(|standing| standing.remaining)
        .collect()
}

proptest! {
    /// A request that was taken back has cost nothing, however often it asked, was tried before and was taken back,
    /// and whichever arrived first; nobody else's charge is touched.
    #[test]
    fn what_is_taken_back_has_cost_nothing(
        events in prop::collection::vec((0_usize..8, 0_u8..4, any::<bool>()), 1..60),
        window in prop_oneof![
            Just(Window::Minute),
            Just(Window::Day),
            Just(Window::Rolling(600_000)),
        ],
        confirms in any::<bool>(),
    ) {
        let names: Vec<String> = (0..8).map(|request| format!("request-{request}")).collect();
        let (mut memory, mut stored) = (None::<Vec<u8>>, None::<Vec<u8>>);
        let mut now = NOW;
        let mut asked = [None; 8];
        let mut voided = [false; 8];
        for (request, does, lost) in events {
            now += 50;
            let name = &names[request];
            let mode = if confirms { Mode::Confirm } else { Mode::Charge };
            let charge = ask(name, mode, 1, limits(window));
            let bytes = match does {
                0 | 1 => {
                    // Only the first counts, and none that was taken back before.
                    if !voided[request] {
                        asked[request].get_or_insert(now);
                    }
                    charge.encode()
                }
                2 if confirms && asked[request].is_none() && !voided[request] => {
                    ask(name, Mode::Try, 1, limits(window)).encode()
                }
                2 => continue,
                _ => {
                    voided[request] = true;
                    charge.encode_void()
                }
            };
            let decided = decide(memory.as_deref(), &bytes.unwrap(), now).unwrap();
            memory = Some(decided.state);
            stored = decided.persist.or(stored);
            if lost && stored.is_some() {
                memory = stored.as_deref().map(|stored| resume(stored).unwrap());
            }
        }
        // Trials that nobody confirmed are over.
        now += TRIAL;
        let start = span(window, now).start;
        let counts = |at: &u64| matches!(window, Window::Rolling(_)) || *at >= start;
        let kept = |request: &usize| !voided[*request] && asked[*request].is_some();
        let all = (0..8).filter(kept).count() as u64;
        let here = (0..8).filter(kept).filter(|one| asked[*one].as_ref().is_some_and(counts)).count() as u64;
        let expected = [COUNT - here, COUNT - 300 * here, COUNT - 70 * here, COUNT - all];
        prop_assert_eq!(left(memory.as_deref(), window, now), expected);
    }
}

#[test]
fn what_takes_nothing_back_is_refused() {
    let unnamed = ask("", Mode::Charge, 1, limits(Window::Day))
        .encode_void()
        .unwrap();
    assert_eq!(decide(None, &unnamed, NOW), Err(MeterError::Ask));
    let mut cut = ask("one", Mode::Charge, 1, limits(Window::Day))
        .encode_void()
        .unwrap();
    cut.pop();
    assert_eq!(decide(None, &cut, NOW), Err(MeterError::Ask));
}

/// With an ask whose answer was lost goes what its isolate would have had in advance: it does not know of it.
#[test]
fn what_was_taken_in_advance_comes_back_with_the_ask() {
    let quota = Asked {
        id: "quota",
        kind: LimitKind::Quota {
            count: 100,
            window: Window::Day,
        },
        amount: 0,
        shadow: false,
    };
    let lease = crate::meter::LeaseAsk {
        wish: 5,
        life: 1_000,
        back: 0,
        taken: 0,
    };
    for (wish, crashes) in [(5, false), (5, true), (200, false)] {
        let charge = Ask {
            lease: Some(crate::meter::LeaseAsk { wish, ..lease }),
            ..ask("one", Mode::Charge, 1, vec![quota])
        };
        let decided = decide(None, &charge.encode().unwrap(), NOW).unwrap();
        let mut state = decided.state;
        if crashes {
            state = resume(&decided.persist.unwrap()).unwrap();
        }
        for _ in 0..2 {
            let voided = decide(Some(&state), &charge.encode_void().unwrap(), NOW + 5_000).unwrap();
            state = voided.state;
        }
        let look = ask("", Mode::Look, 0, vec![quota]).encode().unwrap();
        let looked = decide(Some(&state), &look, NOW + 5_000).unwrap().answer;
        assert_eq!(Answer::decode(&looked).unwrap().standings[0].remaining, 100);
    }
}

/// A subject that is called two hundred times a second: what nobody had an answer for in five seconds is known still.
#[test]
fn what_a_busy_object_admitted_is_known_as_long_as_somebody_waits() {
    let mut memory = None;
    let names: Vec<String> = (0..1_000).map(|request| format!("request-{request}")).collect();
    for (at, name) in (0_u64..).zip(&names) {
        let bytes = ask(name, Mode::Charge, 1, limits(Window::Day)).encode().unwrap();
        memory = Some(decide(memory.as_deref(), &bytes, NOW + 5 * at).unwrap().state);
    }
    let void = ask(&names[0], Mode::Charge, 1, limits(Window::Day))
        .encode_void()
        .unwrap();
    memory = Some(decide(memory.as_deref(), &void, NOW + 5_000).unwrap().state);
    let expected = [COUNT - 999, COUNT - 300 * 999, COUNT - 70 * 999, COUNT - 999];
    assert_eq!(left(memory.as_deref(), Window::Day, NOW + 5_000), expected);
}
