//! The list itself, as its object keeps it.

use super::*;

const NOW: Timestamp = 1_800_000_000_000;

fn denial(id: &str, reason: &str) -> Denial {
    Denial {
        id: id.to_owned(),
        target: Target::Consumer("demo".to_owned()),
        by: "oncall".to_owned(),
        reason: reason.to_owned(),
        at: 0,
        until: NOW + 1_000_000,
        lifted: None,
    }
}

fn lift(id: &str) -> Order {
    let lifted = Lifted {
        by: "oncall".to_owned(),
        reason: "over".to_owned(),
        at: 0,
    };
    Order::Lift(id.to_owned(), lifted)
}

/// An object: its memory, and what it has stored.
#[derive(Default)]
struct Object(Option<Vec<u8>>);

impl Object {
    fn ask(&mut self, order: &Order, now: Timestamp) -> (Report, Decided) {
        let decided = object::decide(self.0.as_deref(), &order.encode().unwrap(), now).unwrap();
        self.0 = Some(decided.state.clone());
        (Report::decode(&decided.answer).unwrap(), decided)
    }

    fn outcome(&mut self, order: &Order) -> Outcome {
        self.ask(order, NOW).0.outcome
    }
}

#[test]
fn each_change_is_written_and_done_once() {
    let mut object = Object::default();
    assert_eq!(object.ask(&Order::Look, NOW).1.persist, None);
    let (report, decided) = object.ask(&Order::Deny(denial("a", "x")), NOW);
    assert_eq!((report.outcome, report.denials[0].at), (Outcome::Denied, NOW));
    assert_eq!(decided.alarm, Some(NOW + 1_000_000 + LINGER));
    // It survives the memory.
    object.0 = Some(object::resume(&decided.persist.unwrap()).unwrap());
    let (again, decided) = object.ask(&Order::Deny(denial("a", "x")), NOW + 5);
    assert_eq!(
        (again.outcome, &again.denials),
        (Outcome::Before, &report.denials)
    );
    assert_eq!(decided.persist, None);
    assert_eq!(object.outcome(&Order::Deny(denial("a", "y"))), Outcome::Taken);
    assert_eq!(object.outcome(&lift("b")), Outcome::Unknown);
    let (lifted, decided) = object.ask(&lift("a"), NOW + 6);
    assert_eq!(lifted.outcome, Outcome::Lifted);
    assert!(lifted.version > report.version && decided.persist.is_some());
    assert!(!lifted.denials[0].stands(NOW + 6));
    assert_eq!(object.outcome(&lift("a")), Outcome::Before);
    // Told again after it was lifted, it denies nothing anew.
    assert_eq!(object.outcome(&Order::Deny(denial("a", "x"))), Outcome::Before);
    assert!(!object.ask(&Order::Look, NOW + 7).0.denials[0].stands(NOW + 7));
}

/// One of each kind.
fn kinds() -> Vec<Target> {
    let [a, b] = ["a", "b"].map(str::to_owned);
    vec![
        Target::Key(a.clone()),
        Target::Subject(a.clone(), b.clone()),
        Target::Consumer(a.clone()),
        Target::Operation(a.clone()),
        Target::Model(a.clone()),
        Target::Certificate(a.clone()),
        Target::Other(a, b),
    ]
}

#[test]
fn builds_read_each_others_lists() {
    // What builds wrote, each kind at its place. Who adds a kind here finds that the builds before cannot read
    // it: it is to be written as the last one.
    let written: [&[u8]; 7] = [
        b"\x00\x01a",
        b"\x01\x01a\x01b",
        b"\x02\x01a",
        b"\x03\x01a",
        b"\x04\x01a",
        b"\x05\x01a",
        b"\x06\x01a\x01b",
    ];
    for (target, written) in kinds().iter().zip(written) {
        assert_eq!(postcard::to_allocvec(target).unwrap(), written, "{target:?}");
    }
    let mut wrong = postcard::to_allocvec(&kinds()[6]).unwrap();
    wrong[0] += 1;
    assert!(
        postcard::from_bytes::<Target>(&wrong).is_err(),
        "there is no other kind"
    );
}

#[test]
fn what_a_later_build_denies_is_kept_shown_and_lifted() {
    let mut object = Object::default();
    let later = Denial {
        target: Target::Other("address".to_owned(), "192.0.2.7".to_owned()),
        ..denial("later", "a flood")
    };
    let (report, decided) = object.ask(&Order::Deny(later.clone()), NOW);
    assert_eq!(report.outcome, Outcome::Denied);
    object.0 = Some(object::resume(&decided.persist.unwrap()).unwrap());
    assert_eq!(object.outcome(&Order::Deny(denial("a", "x"))), Outcome::Denied);
    let (report, _) = object.ask(&Order::Look, NOW + 1);
    let targets: Vec<&Target> = report.denials.iter().map(|denial| &denial.target).collect();
    assert_eq!(targets, [&later.target, &Target::Consumer("demo".to_owned())]);
    assert_eq!(object.outcome(&lift("later")), Outcome::Lifted);
    for (kind, name) in [("", "x"), ("x", ""), ("x", &*"y".repeat(MAX_NAME + 1))] {
        let target = Target::Other(kind.to_owned(), name.to_owned());
        let order = Order::Deny(Denial {
            target,
            ..denial("b", "x")
        });
        let ask = order.encode().unwrap();
        assert_eq!(object::decide(None, &ask, NOW), Err(MeterError::Ask));
    }
}

#[test]
fn it_ends_by_itself_and_no_later_than_it_may() {
    let mut object = Object::default();
    let long = Denial {
        until: u64::MAX,
        ..denial("a", "x")
    };
    let (report, _) = object.ask(&Order::Deny(long), NOW);
    assert_eq!(report.denials[0].until, NOW + LONGEST);
    assert_eq!(object.ask(&Order::Look, NOW + LONGEST - 1).0.denials.len(), 1);
    assert_eq!(object.ask(&Order::Look, NOW + LONGEST).0.denials, []);
    // A clock that is set back brings nothing back.
    assert_eq!(object.ask(&Order::Look, NOW).0.denials, []);
    let state = object.0.unwrap();
    let end = NOW + LONGEST + LINGER;
    assert_eq!(object::on_alarm(&state, end - 1), Ok(Alarm::Rearm(end)));
    assert_eq!(object::on_alarm(&state, end), Ok(Alarm::Forget));
}

#[test]
fn it_is_bounded_in_number_and_in_bytes() {
    let mut object = Object::default();
    for index in 0..MAX_KEPT {
        let order = Order::Deny(denial(&index.to_string(), "x"));
        assert_eq!(object.outcome(&order), Outcome::Denied, "{index}");
    }
    assert_eq!(object.outcome(&Order::Deny(denial("more", "x"))), Outcome::Full);
    // What was lifted makes room.
    assert_eq!(object.outcome(&lift("7")), Outcome::Lifted);
    assert_eq!(object.outcome(&Order::Deny(denial("more", "x"))), Outcome::Denied);
    let (report, _) = object.ask(&Order::Look, NOW);
    assert_eq!(report.denials.len(), MAX_KEPT);
    assert!(report.denials.iter().all(|one| one.id != "7"));

    let mut object = Object::default();
    let full = (0..MAX_KEPT)
        .find(|index| {
            let order = Order::Deny(denial(&index.to_string(), &"x".repeat(MAX_REASON)));
            object.outcome(&order) == Outcome::Full
        })
        .expect("full");
    let size = object.0.as_ref().unwrap().len();
    assert!((150..250).contains(&full) && size <= MAX_BYTES, "{full} {size}");
}

#[test]
fn what_is_damaged_or_beyond_a_bound_changes_nothing() {
    let mut object = Object::default();
    object.ask(&Order::Deny(denial("a", "x")), NOW);
    let state = object.0.unwrap();
    let ask = Order::Look.encode().unwrap();
    for at in 0..state.len() {
        let mut damaged = state.clone();
        damaged[at] ^= 1;
        assert!(object::decide(Some(&damaged), &ask, NOW).is_err(), "{at}");
    }
    let long = Denial {
        target: Target::Key("x".repeat(MAX_NAME + 1)),
        ..denial("a", "x")
    };
    for wrong in [long, denial("", "x"), denial("a", &"x".repeat(MAX_REASON + 1))] {
        let ask = Order::Deny(wrong).encode().unwrap();
        assert_eq!(object::decide(None, &ask, NOW), Err(MeterError::Ask));
    }
    // A list is no subject, and a subject no list.
    let subject = crate::meter::Settle {
        request: "r",
        used: Vec::new(),
    };
    assert_eq!(
        object::decide(Some(&state), &subject.encode().unwrap(), NOW),
        Err(MeterError::State)
    );
    let memory = object::decide(None, &subject.encode().unwrap(), NOW)
        .unwrap()
        .state;
    assert_eq!(object::decide(Some(&memory), &ask, NOW), Err(MeterError::State));
}
