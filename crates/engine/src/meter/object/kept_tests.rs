//! What an object has stored outlives the build that stored it.
//!
//! These bytes were stored by a build of this version of the state. Whoever changes how it is written finds that they
//! are no longer read: then the version goes up, and the version before is read too, or money that was spent is
//! forgotten with the next deploy.

use turnpike_policy::{Rate, Unit, Window};

use super::*;

const NOW: u64 = 1_800_000_000_000;
const STORED_BYTES: &str = concat!(
    "055394a0f1c2b134c0bfe8f1b6340404726174650064e0d40328e0d4c0a0d8f628e0d4c0a0d8f6280571756f74610104a038",
    "80dbb7b3b1340207726f6c6c696e67030080dddb0180ade20402000000000000000000000000000000000000000005737065",
    "6e6402030380a8aff4ac34940a18671a895593f357eb00505c18ed1e261d0900983407505c18022030313233343536373839",
    "61626364656630313233343536373839616263646566c0ef95c3b1340001e7b4a4acb5f2fcabeb010200057370656e640303",
    "80a8aff4ac34bc05010761742d6f6e63650105747269656497eef1c2b1340101edbd98e9918180cc34050204726174650103",
    "0571756f746104a03880dbb7b3b134010307726f6c6c696e670680dddb0180a0f1c2b1340100057370656e64030380a8aff4",
    "ac34bc05010761742d6f6e6365010001057370656e64057370656e64646494a0f1c2b13480f0c3f1b634036f707309616e20",
    "6f75746167652646460efd88a983",
);

fn limits<'a>() -> Vec<Asked<'a>> {
    let of = |id, kind, amount| Asked {
        id,
        kind,
        amount,
        shadow: false,
    };
    let rate = LimitKind::Rate(Rate {
        count: 100,
        period: 60_000,
        burst: 40,
    });
    let quota = LimitKind::Quota {
        count: 1_000,
        window: Window::DayAt(3_600),
    };
    let rolling = LimitKind::Quota {
        count: 500,
        window: Window::Rolling(3_600_000),
    };
    let money = LimitKind::Budget {
        count: 5_000_000,
        window: Window::Month,
        unit: Unit::NanoUsd,
    };
    vec![
        of("rate", rate, 0),
        of("quota", quota, 0),
        of("rolling", rolling, 0),
        of("spend", money, 700),
        of("at-once", LimitKind::Concurrency { count: 9 }, 0),
    ]
}

fn ask(mode: Mode, request: &str, cost: u32) -> Ask<'_> {
    Ask {
        mode,
        request,
        part: 0,
        cost,
        hold: 600_000,
        lease: None,
        limits: limits(),
    }
}

/// What is stored after one request of each kind.
fn stored() -> Vec<u8> {
    let mut memory: Option<Vec<u8>> = None;
    let mut stored = None;
    let mut call = |bytes: &[u8], now| {
        let decided = decide(memory.as_deref(), bytes, now).unwrap();
        memory = Some(decided.state);
        stored = decided.persist.or(stored.take());
    };
    let charged = ask(Mode::Charge, "0123456789abcdef0123456789abcdef", 1);
    call(&charged.encode().unwrap(), NOW);
    call(&ask(Mode::Try, "tried", 1).encode().unwrap(), NOW + 7);
    let credit = crate::meter::correction::Credit {
        id: "spend",
        amount: 100,
        by: "ops",
        reason: "an outage",
    };
    let order = Order {
        limits: limits().drain(3..4).collect(),
        credit: Some(credit),
    };
    call(&order.encode().unwrap(), NOW + 20);
    stored.unwrap()
}

#[test]
fn what_was_stored_is_read() {
    let hex = turnpike_policy::hex(&stored());
    assert_eq!(
        hex, STORED_BYTES,
        "the state is written in another way: see above"
    );
    let memory = resume(&stored()).unwrap();
    let mut look = ask(Mode::Charge, "", 0);
    look.limits.iter_mut().for_each(|asked| asked.amount = 0);
    let look = look.encode().unwrap();
    let answer = Answer::decode(&decide(Some(&memory), &look, NOW + 30).unwrap().answer).unwrap();
    let left: Vec<u64> = answer
        .standings
        .iter()
        .map(|standing| standing.remaining)
        .collect();
    assert_eq!(left, [38, 998, 498, 4_998_700, 7]);
}

#[test]
fn an_alarm_that_finds_what_it_cannot_read_comes_again() {
    let mut unknown = stored();
    unknown[0] += 1;
    assert_eq!(resume(&unknown), Err(MeterError::State));
    assert_eq!(on_stored_alarm(&unknown, NOW), Alarm::Rearm(NOW + LATER));
}
