//! Copies of key sets and metadata that isolates of one place share: how old they may be, and that nothing lives on in
//! them for longer than it would without.

use turnpike_policy::Algorithm::{ES256, EdDSA};

use super::super::key_store::{COOL_DOWN, EARLY, FOUND, FRESH, RETRY, SHARED, STALE};
use super::super::{KeysAsk, Part, copied, due, keys_copied, keys_fetched, refreshed, shares};
use super::flow::start;
use super::*;
use crate::step::Copies;

const NONE: Copies = Copies {
    fresh: 0,
    stale: 0,
    only: false,
};
const COLD: Copies = Copies {
    fresh: SHARED,
    stale: STALE,
    only: false,
};
const WARM: Copies = Copies {
    fresh: SHARED,
    stale: 0,
    only: false,
};
const ONLY: Copies = Copies {
    fresh: STALE,
    stale: 0,
    only: true,
};

struct Isolate {
    policy: Compiled,
    store: Store,
    token: String,
}

/// An isolate that knows no keys, and a token that is to be checked by the key `ec`.
fn cold(policy: Compiled) -> Isolate {
    let claims = claims(REMOTE, &[("exp", Some((SECONDS + 3_590).into()))]);
    Isolate {
        store: store(&policy),
        token: sign(ES256, &claims),
        policy,
    }
}

impl Isolate {
    fn asks(&mut self, now: u64) -> KeysAsk {
        match start(&self.policy, &mut self.store, &self.token, now) {
            Outcome::FetchKeys(ask) => ask,
            other => panic!("{other:?}"),
        }
    }

    fn copy(&mut self, part: Part, copy: &str, age: u64, now: u64) -> Outcome {
        let authorization = format!("Bearer {}", self.token);
        let head = Presented {
            authorization: Some(&authorization),
            ..Presented::default()
        };
        let copy = (copy.as_bytes(), age);
        keys_copied(&self.policy, &mut self.store, (REMOTE, part), copy, &head, now)
    }

    fn answer(&mut self, part: Part, answer: Option<&str>, now: u64) -> Outcome {
        let authorization = format!("Bearer {}", self.token);
        let head = Presented {
            authorization: Some(&authorization),
            ..Presented::default()
        };
        let answer = answer.map(str::as_bytes);
        keys_fetched(&self.policy, &mut self.store, (REMOTE, part), answer, &head, now)
    }

    /// Whether its token can be verified at a time, without anything having to be fetched.
    fn verifies(&mut self, now: u64) -> bool {
        let claims = claims(
            REMOTE,
            &[
                ("iat", Some((now / 1000).into())),
                ("nbf", None),
                ("exp", Some((now / 1000 + 60).into())),
            ],
        );
        let token = sign(ES256, &claims);
        matches!(
            start(&self.policy, &mut self.store, &token, now),
            Outcome::Verify(_)
        )
    }
}

fn ec() -> String {
    jwks(&[ES256_PUBLIC])
}

fn ed() -> String {
    jwks(&[ED25519_PUBLIC])
}

/// What an issuer sends in place of its keys, with status 200.
const USELESS: [&str; 5] = [
    "",
    "<html>Back soon</html>",
    "{}",
    "{\"keys\":[]}",
    "{\"keys\":[],\"keys\":[]}",
];

/// The question for a copy and nothing else.
#[track_caller]
fn only(outcome: &Outcome) -> KeysAsk {
    match outcome {
        Outcome::FetchKeys(ask) if ask.copies == ONLY => ask.clone(),
        other => panic!("{other:?}"),
    }
}

fn direct(outcome: &Outcome) -> bool {
    matches!(outcome, Outcome::FetchKeys(ask) if ask.copies == NONE)
}

#[test]
fn a_copy_serves_a_fresh_isolate_and_its_age_counts_from_the_first_fetch() {
    for age in [1, 60_000, SHARED - 1] {
        let mut isolate = cold(policy());
        assert_eq!(isolate.asks(NOW).copies, COLD);
        let outcome = isolate.copy(Part::Keys, &ec(), age, NOW);
        assert!(matches!(outcome, Outcome::Verify(_)), "{age}: {outcome:?}");
        // As fresh as where it was fetched, and no fresher.
        let last = NOW + FRESH - age - 1;
        assert!(isolate.verifies(last), "{age}");
        // That one had them fetched beside it; whoever comes after the cool-down asks itself.
        assert_eq!(isolate.asks(last + COOL_DOWN).copies, WARM, "{age}");
        // And usable for as long, should the issuer be gone.
        isolate.answer(Part::Keys, None, last + COOL_DOWN);
        isolate.store.keys.fetched(REMOTE, None, NOW + STALE - age - 1);
        assert!(isolate.verifies(NOW + STALE - age - 1), "{age}");
        assert!(!isolate.verifies(NOW + STALE - age), "{age}");
    }
}

#[test]
fn a_key_that_a_copy_lacks_is_asked_for_at_its_issuer() {
    let mut isolate = cold(policy());
    isolate.asks(NOW);
    let outcome = isolate.copy(Part::Keys, &ed(), COOL_DOWN, NOW);
    assert!(direct(&outcome), "{outcome:?}");
    let outcome = isolate.answer(Part::Keys, Some(&jwks(&[ED25519_PUBLIC, ES256_PUBLIC])), NOW);
    assert!(matches!(outcome, Outcome::Verify(_)), "{outcome:?}");
    // Within the cool-down of whoever fetched the copy nobody is asked, as there.
    let mut isolate = cold(policy());
    isolate.asks(NOW);
    let outcome = isolate.copy(Part::Keys, &ed(), COOL_DOWN - 1, NOW);
    assert!(
        matches!(outcome, Outcome::Refused(Refusal::KeyUnknown(_))),
        "{outcome:?}"
    );
    let later = start(&isolate.policy, &mut isolate.store, &isolate.token, NOW + 1);
    assert!(direct(&later), "{later:?}");
}

#[test]
fn an_isolate_that_knows_keys_asks_the_issuer_itself_for_one_that_it_lacks() {
    let mut isolate = cold(policy());
    isolate.asks(NOW);
    isolate.answer(Part::Keys, Some(&ed()), NOW);
    let ask = isolate.asks(NOW + COOL_DOWN);
    assert_eq!(ask.copies, NONE, "a copy may be older than the key");
    isolate.answer(
        Part::Keys,
        Some(&jwks(&[ED25519_PUBLIC, ES256_PUBLIC])),
        NOW + COOL_DOWN,
    );
    assert!(isolate.verifies(NOW + COOL_DOWN));
    // After that a copy will do again.
    assert_eq!(isolate.asks(NOW + COOL_DOWN + FRESH).copies, WARM);
}

#[test]
fn a_copy_that_cannot_be_used_is_as_if_it_were_not_there() {
    let large = format!("{{\"keys\":[],\"x\":\"{}\"}}", "x".repeat(300_000));
    for bad in [
        "",
        "{}",
        "null",
        "{\"keys\":[]}",
        "{\"keys\":7}",
        "<html>",
        &large,
    ] {
        let mut isolate = cold(policy());
        isolate.asks(NOW);
        let outcome = isolate.copy(Part::Keys, bad, 1, NOW);
        assert!(direct(&outcome), "{bad}: {outcome:?}");
        assert!(!shares(&mut isolate.store));
        let outcome = isolate.answer(Part::Keys, Some(&ec()), NOW);
        assert!(matches!(outcome, Outcome::Verify(_)), "{bad}: {outcome:?}");
    }
    // Nor is it put in the place of good keys.
    let mut isolate = cold(policy());
    isolate.asks(NOW);
    isolate.answer(Part::Keys, Some(&ec()), NOW);
    isolate.asks(NOW + FRESH);
    let outcome = isolate.copy(Part::Keys, "{\"keys\":[]}", 1, NOW + FRESH);
    assert!(direct(&outcome), "{outcome:?}");
    let outcome = isolate.answer(Part::Keys, None, NOW + FRESH);
    assert!(matches!(outcome, Outcome::Verify(_)), "{outcome:?}");
}

#[test]
fn where_the_issuer_does_not_answer_an_older_copy_will_do_for_a_stated_time() {
    let age = STALE - 60_000;
    let mut isolate = cold(policy());
    isolate.asks(NOW);
    let outcome = isolate.copy(Part::Keys, &ec(), age, NOW);
    assert!(matches!(outcome, Outcome::Verify(_)), "{outcome:?}");
    // The issuer is asked again after the cool-down, not before, and these end in time.
    assert!(isolate.verifies(NOW + COOL_DOWN - 1));
    isolate.asks(NOW + COOL_DOWN);
    isolate.answer(Part::Keys, None, NOW + COOL_DOWN);
    assert!(isolate.verifies(NOW + 59_999));
    assert!(!isolate.verifies(NOW + 60_000));
    // One that is too old is none, whoever hands it in.
    let mut isolate = cold(policy());
    isolate.asks(NOW);
    assert!(direct(&isolate.copy(Part::Keys, &ec(), STALE, NOW)));
}

#[test]
fn where_the_issuer_answers_what_is_of_no_use_an_older_copy_will_do_for_the_same_time() {
    for useless in USELESS {
        let age = STALE - 60_000;
        let mut isolate = cold(policy());
        isolate.asks(NOW);
        let ask = only(&isolate.answer(Part::Keys, Some(useless), NOW));
        assert_eq!((ask.part, ask.url.as_str()), (Part::CopyOfKeys, KEYS_URL));
        // Others wait meanwhile, and do not ask.
        let other = start(&isolate.policy, &mut isolate.store, &isolate.token, NOW + 1);
        assert!(matches!(other, Outcome::Wait(_)), "{other:?}");
        let outcome = isolate.copy(Part::CopyOfKeys, &ec(), age, NOW + 2);
        assert!(matches!(outcome, Outcome::Verify(_)), "{useless}: {outcome:?}");
        assert!(!shares(&mut isolate.store));
        // As where it does not answer: asked again after the cool-down, and the copy ends in time.
        assert!(isolate.verifies(NOW + COOL_DOWN - 1));
        assert_eq!(isolate.asks(NOW + COOL_DOWN + 2).copies, NONE);
        let outcome = isolate.answer(Part::Keys, Some(useless), NOW + COOL_DOWN + 2);
        assert!(matches!(outcome, Outcome::Verify(_)), "{useless}: {outcome:?}");
        assert!(isolate.verifies(NOW + 59_999));
        assert!(!isolate.verifies(NOW + 60_002), "{useless}");
        // What it answers once it is well counts at once.
        isolate
            .store
            .keys
            .fetched(REMOTE, Some(ed().as_bytes()), NOW + 70_000);
        assert!(!isolate.verifies(NOW + 70_000));
    }
}

#[test]
fn where_there_is_no_copy_either_nobody_is_asked_again_for_it() {
    for bad in [None, Some("<html>"), Some("{}")] {
        let mut isolate = cold(policy());
        isolate.asks(NOW);
        only(&isolate.answer(Part::Keys, Some("<html>"), NOW));
        let outcome = match bad {
            None => isolate.answer(Part::CopyOfKeys, None, NOW),
            Some(copy) => isolate.copy(Part::CopyOfKeys, copy, 1, NOW),
        };
        assert!(
            matches!(outcome, Outcome::Refused(Refusal::KeysUnavailable { .. })),
            "{bad:?}: {outcome:?}"
        );
        // Nobody waits for it any more, and the issuer is left in peace for a while.
        let next = start(
            &isolate.policy,
            &mut isolate.store,
            &isolate.token,
            NOW + RETRY - 1,
        );
        assert!(
            matches!(next, Outcome::Refused(Refusal::KeysUnavailable { .. })),
            "{next:?}"
        );
        assert_eq!(isolate.asks(NOW + RETRY).copies, NONE);
        // The next time a copy is looked for anew: another isolate may have had more luck.
        only(&isolate.answer(Part::Keys, None, NOW + RETRY));
        let outcome = isolate.copy(Part::CopyOfKeys, &ec(), 2_000, NOW + RETRY);
        assert!(matches!(outcome, Outcome::Verify(_)), "{outcome:?}");
    }
    // Too old it is none.
    let mut isolate = cold(policy());
    isolate.asks(NOW);
    only(&isolate.answer(Part::Keys, Some("<html>"), NOW));
    let outcome = isolate.copy(Part::CopyOfKeys, &ec(), STALE, NOW);
    assert!(matches!(outcome, Outcome::Refused(_)), "{outcome:?}");
}

#[test]
fn a_key_that_such_a_copy_lacks_is_not_asked_for_within_the_cool_down() {
    for age in [COOL_DOWN, SHARED - 1, SHARED, STALE - 1] {
        let mut isolate = cold(policy());
        isolate.asks(NOW);
        only(&isolate.answer(Part::Keys, Some("<html>"), NOW));
        let outcome = isolate.copy(Part::CopyOfKeys, &ed(), age, NOW);
        assert!(
            matches!(outcome, Outcome::Refused(Refusal::KeyUnknown(_))),
            "{age}: {outcome:?}"
        );
    }
}

#[test]
fn an_isolate_that_has_keys_needs_no_copy_of_them() {
    let mut isolate = cold(policy());
    isolate.asks(NOW);
    isolate.answer(Part::Keys, Some(&ec()), NOW);
    isolate.asks(NOW + FRESH);
    let outcome = isolate.answer(Part::Keys, Some("<html>"), NOW + FRESH);
    assert!(matches!(outcome, Outcome::Verify(_)), "{outcome:?}");
}

#[test]
fn metadata_that_are_of_no_use_are_taken_from_a_copy_too() {
    let found = metadata(ISSUERS[2], KEYS_URL);
    for useless in [
        Some("<html>"),
        Some("{}"),
        Some("{\"issuer\":\"https://other.example/\"}"),
    ] {
        let mut isolate = cold(discovering());
        isolate.asks(NOW);
        let ask = only(&isolate.answer(Part::Metadata, useless, NOW));
        assert_eq!(ask.part, Part::CopyOfMetadata);
        assert!(ask.url.ends_with("/.well-known/openid-configuration"));
        let outcome = isolate.copy(Part::CopyOfMetadata, &found, FOUND - 60_000, NOW);
        let Outcome::FetchKeys(ask) = &outcome else {
            panic!("{outcome:?}");
        };
        assert_eq!(
            (ask.part, ask.url.as_str(), ask.copies),
            (Part::Keys, KEYS_URL, COLD)
        );
        // All that it serves is of no use: so the keys are an older copy as well.
        let ask = only(&isolate.answer(Part::Keys, useless, NOW));
        assert_eq!((ask.part, ask.url.as_str()), (Part::CopyOfKeys, KEYS_URL));
        let outcome = isolate.copy(Part::CopyOfKeys, &ec(), FRESH, NOW);
        assert!(matches!(outcome, Outcome::Verify(_)), "{outcome:?}");
    }
    // A copy is held against the policy, and against the time that its word is taken for.
    for (copy, age) in [
        (metadata("https://other.example/", KEYS_URL), 1),
        (metadata(ISSUERS[2], "https://evil.example/keys"), 1),
        ("<html>".to_owned(), 1),
        (found, FOUND),
    ] {
        let mut isolate = cold(discovering());
        isolate.asks(NOW);
        only(&isolate.answer(Part::Metadata, Some("<html>"), NOW));
        let outcome = isolate.copy(Part::CopyOfMetadata, &copy, age, NOW);
        assert!(
            matches!(outcome, Outcome::Refused(Refusal::KeysUnavailable { .. })),
            "{copy}: {outcome:?}"
        );
    }
}

#[test]
fn a_key_that_was_withdrawn_stops_within_the_stated_time_in_every_isolate() {
    // One isolate has fetched keys with `ec`; it is withdrawn a moment later. Others come to life one after the
    // other, each with the copy of the one before.
    for born in [1, SHARED - 1, FRESH, STALE / 2, STALE - 1] {
        let mut isolate = cold(policy());
        let ask = isolate.asks(NOW + born);
        if born < ask.copies.fresh || born < ask.copies.stale {
            isolate.copy(Part::Keys, &ec(), born, NOW + born);
        }
        // From then on its issuer cannot be reached, which is the worst that can happen.
        assert!(!isolate.verifies(NOW + STALE), "{born}");
        // And where it can, its answer counts at once.
        isolate
            .store
            .keys
            .fetched(REMOTE, Some(ed().as_bytes()), NOW + born + 1);
        assert!(!isolate.verifies(NOW + born + 1), "{born}");
    }
}

#[test]
fn only_good_answers_of_the_issuer_are_shared() {
    let mut isolate = cold(policy());
    assert!(!shares(&mut isolate.store));
    isolate.asks(NOW);
    isolate.answer(Part::Keys, Some(&ec()), NOW);
    assert!(shares(&mut isolate.store));
    assert!(!shares(&mut isolate.store), "once");
    for bad in [None, Some(""), Some("{\"keys\":[]}"), Some("<html>")] {
        isolate.store.keys.fetched(REMOTE, None, NOW);
        let (policy, store) = (&isolate.policy, &mut isolate.store);
        refreshed(policy, store, (REMOTE, Part::Keys), bad.map(str::as_bytes), NOW);
        assert!(!shares(&mut isolate.store), "{bad:?}");
    }
    // What was a copy already is not shared anew: it would seem younger.
    let mut isolate = cold(policy());
    isolate.asks(NOW);
    isolate.copy(Part::Keys, &ec(), 60_000, NOW);
    assert!(!shares(&mut isolate.store));
}

#[test]
fn keys_that_are_fetched_beside_a_request_may_come_from_another_isolate() {
    let mut isolate = cold(policy());
    isolate.asks(NOW);
    isolate.answer(Part::Keys, Some(&ec()), NOW);
    let early = NOW + FRESH - EARLY;
    assert!(isolate.verifies(early));
    let ask = due(&isolate.policy, &mut isolate.store, early).expect("an errand");
    assert_eq!(ask.copies, WARM);
    let (policy, store) = (&isolate.policy, &mut isolate.store);
    let copy = ec();
    let copy = (copy.as_bytes(), 60_000);
    assert_eq!(copied(policy, store, (REMOTE, Part::Keys), copy, early), None);
    assert!(isolate.verifies(early + FRESH - 60_001));
}

fn discovering() -> Compiled {
    let mut policy = policy();
    policy.issuers[REMOTE as usize].keys = Keys::Discovered {
        url: "https://url.example/.well-known/openid-configuration".to_owned(),
        origins: Vec::new(),
    };
    policy
}

fn metadata(issuer: &str, keys: &str) -> String {
    json!({ "issuer": issuer, "jwks_uri": keys }).to_string()
}

#[test]
fn metadata_are_shared_in_the_same_way() {
    let mut isolate = cold(discovering());
    let ask = isolate.asks(NOW);
    assert_eq!((ask.part, ask.copies), (Part::Metadata, COLD));
    let age = SHARED - 1;
    let outcome = isolate.copy(Part::Metadata, &metadata(ISSUERS[2], KEYS_URL), age, NOW);
    let Outcome::FetchKeys(ask) = outcome else {
        panic!("{outcome:?}");
    };
    assert_eq!(
        (ask.part, ask.url.as_str(), ask.copies),
        (Part::Keys, KEYS_URL, COLD)
    );
    isolate.answer(Part::Keys, Some(&ec()), NOW);
    // The issuer's word is taken for as long as where it was given.
    isolate
        .store
        .keys
        .fetched(REMOTE, Some(ec().as_bytes()), NOW + FOUND - age - FRESH);
    assert_eq!(isolate.asks(NOW + FOUND - age).part, Part::Metadata);
}

#[test]
fn metadata_of_a_copy_are_held_against_the_policy_too() {
    for bad in [
        metadata("https://other.example/", KEYS_URL),
        metadata(ISSUERS[2], "https://evil.example/keys"),
        metadata(ISSUERS[2], "http://url.example/keys"),
        "{}".to_owned(),
        "<html>".to_owned(),
    ] {
        let mut isolate = cold(discovering());
        isolate.asks(NOW);
        let outcome = isolate.copy(Part::Metadata, &bad, 1, NOW);
        let Outcome::FetchKeys(ask) = outcome else {
            panic!("{bad}: {outcome:?}");
        };
        assert_eq!((ask.part, ask.copies), (Part::Metadata, NONE), "{bad}");
    }
}

#[test]
fn metadata_that_lead_nowhere_any_more_are_asked_for_again() {
    let mut isolate = cold(discovering());
    isolate.asks(NOW);
    isolate.copy(Part::Metadata, &metadata(ISSUERS[2], KEYS_URL), 60_000, NOW);
    isolate.answer(Part::Keys, None, NOW);
    let ask = isolate.asks(NOW + RETRY);
    assert_eq!((ask.part, ask.copies), (Part::Metadata, NONE));
}

#[test]
fn an_older_copy_takes_no_newer_keys_away() {
    let mut isolate = cold(policy());
    let _ = isolate.asks(NOW);
    // It is slow, and its claim is over. Another request fetches the keys, of which one was withdrawn.
    let later = NOW + 6_000;
    let _ = isolate.asks(later);
    let _ = isolate.answer(Part::Keys, Some(&ed()), later + 10);
    assert!(!isolate.verifies(later + 20));
    let _ = isolate.copy(Part::Keys, &ec(), 59 * 60_000, later + 30);
    assert!(!isolate.verifies(later + 40));
    let _ = isolate.copy(Part::Keys, &ec(), 0, later + 50);
    assert!(isolate.verifies(later + 60), "a newer one does");
}

#[test]
fn keys_of_a_copy_are_those_of_its_issuer_alone() {
    let mut isolate = cold(policy());
    isolate.asks(NOW);
    isolate.copy(Part::Keys, &ec(), 1, NOW);
    let forged = sign(EdDSA, &good(REMOTE));
    let outcome = start(&isolate.policy, &mut isolate.store, &forged, NOW);
    assert!(
        !matches!(outcome, Outcome::Known(_) | Outcome::Verify(_)),
        "{outcome:?}"
    );
    // Of an issuer whose keys are not fetched there is no copy.
    for issuer in [INLINE, SECRET, 7] {
        let ed = ed();
        let copy = (ed.as_bytes(), 1);
        let (policy, store) = (&isolate.policy, &mut isolate.store);
        assert_eq!(copied(policy, store, (issuer, Part::Keys), copy, NOW), None);
    }
}
