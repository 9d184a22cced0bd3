//! What an object remembers of proofs.

use super::*;

const NOW: Timestamp = 1_800_000_000_000;
const UNTIL: Timestamp = NOW + 120_000;

/// An object: what it has in memory, and what it has stored.
#[derive(Default)]
struct Object {
    memory: Option<Vec<u8>>,
    stored: Option<Vec<u8>>,
    alarm: Option<Timestamp>,
}

impl Object {
    fn ask(&mut self, proof: u64, request: u8, until: Timestamp, now: Timestamp) -> Outcome {
        let mut name = [0; 32];
        name[..8].copy_from_slice(&proof.to_le_bytes());
        let (_, ask) = question(&[1; 32], &name, &[request; 16], until).unwrap();
        let decided = object::decide(self.memory.as_deref(), &ask, now).unwrap();
        self.memory = Some(decided.state);
        self.stored = decided.persist.or(self.stored.take());
        self.alarm = decided.alarm.or(self.alarm);
        answered(&decided.answer).unwrap()
    }

    fn forget_memory(&mut self) {
        self.memory = self
            .stored
            .as_deref()
            .map(|stored| object::resume(stored).unwrap());
    }
}

#[test]
fn a_proof_is_new_once() {
    let mut object = Object::default();
    assert_eq!(object.ask(1, 1, UNTIL, NOW), Outcome::New);
    assert_eq!(object.ask(1, 2, UNTIL, NOW), Outcome::Used);
    assert_eq!(object.ask(2, 2, UNTIL, NOW), Outcome::New);
    // Its request asks again when the answer was lost on the way.
    assert_eq!(object.ask(1, 1, UNTIL, NOW + 5), Outcome::New);
    // Each was written before it was answered.
    object.forget_memory();
    for proof in [1, 2] {
        assert_eq!(object.ask(proof, 3, UNTIL, NOW + 10), Outcome::Used);
    }
    // Until it is too old to be taken; a clock that is set back brings nothing back.
    assert_eq!(object.ask(1, 4, UNTIL, UNTIL - 1), Outcome::Used);
    assert_eq!(object.ask(1, 4, UNTIL + 1_000, UNTIL), Outcome::New);
    assert_eq!(object.ask(1, 5, UNTIL, NOW), Outcome::Used);
}

#[test]
fn what_is_over_makes_room_and_a_full_object_refuses() {
    let mut object = Object::default();
    object.ask(0, 1, UNTIL, NOW);
    // All but one of the others at once, as if each had been asked.
    let mut kept = open(object.memory.as_deref().unwrap()).unwrap();
    for proof in 1..MAX_KEPT as u64 - 1 {
        let until = u32::try_from((UNTIL + proof % 2 * 1_000) / 1_000).unwrap();
        kept.proofs.extend_from_slice(&proof.to_le_bytes());
        kept.proofs.extend_from_slice(&[1; 4]);
        kept.proofs.extend_from_slice(&until.to_le_bytes());
    }
    object.memory = Some(seal(&kept).unwrap());
    assert_eq!(object.ask(1 << 39, 1, UNTIL, NOW), Outcome::New);
    assert_eq!(object.ask(1 << 40, 1, UNTIL, NOW), Outcome::Full);
    assert_eq!(
        object.ask(7, 2, UNTIL, NOW),
        Outcome::Used,
        "it still knows those it has"
    );
    let full = object.stored.as_ref().unwrap().len();
    assert!(full < 66 * 1_024, "{full} bytes");
    assert_eq!(object.ask(1 << 40, 1, UNTIL + 5_000, UNTIL), Outcome::New);
    assert!(object.stored.as_ref().unwrap().len() < full / 2 + 100);
}

#[test]
fn an_alarm_clears_it_when_all_is_over() {
    let mut object = Object::default();
    object.ask(1, 1, UNTIL, NOW);
    assert_eq!(object.alarm, Some(UNTIL + LINGER));
    object.ask(2, 1, UNTIL + 60_000, NOW + 60_000);
    let stored = object.stored.clone().unwrap();
    assert_eq!(
        object::on_stored_alarm(&stored, UNTIL + LINGER),
        Alarm::Rearm(UNTIL + 60_000 + LINGER)
    );
    assert_eq!(
        object::on_stored_alarm(&stored, UNTIL + 60_000 + LINGER),
        Alarm::Forget
    );
    let memory = object.memory.clone().unwrap();
    assert_eq!(
        object::on_alarm(&memory, UNTIL + 60_000 + LINGER),
        Ok(Alarm::Forget)
    );
}

#[test]
fn what_cannot_be_read_is_an_error_and_no_new_proof() {
    let (name, ask) = question(&[0xab; 32], &[0x0d; 32], &[1; 16], UNTIL).unwrap();
    assert_eq!(name, format!("dpop:{}:5", "ab".repeat(16)));
    let decided = object::decide(None, &ask, NOW).unwrap();
    let state = decided.state;
    for at in 0..state.len() {
        let mut damaged = state.clone();
        damaged[at] ^= 0x40;
        assert!(object::decide(Some(&damaged), &ask, NOW).is_err(), "byte {at}");
    }
    for end in 1..ask.len() {
        assert!(object::decide(None, &ask[..end], NOW).is_err(), "{end} bytes");
    }
    assert!(object::decide(None, &[ask.as_slice(), &[0]].concat(), NOW).is_err());
    for answer in [
        &[][..],
        &[ANSWER],
        &[ANSWER, 3],
        &[ANSWER, 0, 0],
        &[ANSWER - 1, 0],
    ] {
        assert!(answered(answer).is_err(), "{answer:?}");
    }
    // A time that no proof has.
    let (_, ask) = question(&[1; 32], &[2; 32], &[1; 16], u64::MAX).unwrap();
    assert!(object::decide(None, &ask, NOW).is_err());
    // The list of another kind is not taken for one of proofs.
    let (_, ask) = question(&[1; 32], &[2; 32], &[1; 16], UNTIL).unwrap();
    let denials = crate::meter::denials::Order::Look.encode().unwrap();
    let other = object::decide(None, &denials, NOW).unwrap().state;
    assert!(object::decide(Some(&other), &ask, NOW).is_err());
}
