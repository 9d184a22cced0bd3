//! Contracts, compared by lot: whatever two documents say, there is an answer in bounded time, and laws hold that need
//! no second comparison to be checked against.

mod documents;
mod rewrites;

use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Arc;
use std::time::{Duration, Instant};

use serde_json::{Value as Json, json};
use turnpike_policy::Operation;
use turnpike_policy::source::Loaded;
use turnpike_policy::source::contract::{Contracts, Difference, Weight};

use crate::common::{Folder, base};
use crate::random::Random;
use crate::trees::{SEED, options, play_on};
use documents::Maker;
use rewrites::{FRESH, More, ask, asked_for, damage, everywhere, reword};

/// How long two documents may take at the most, in a build without optimization on a busy machine.
const SLOW: Duration = Duration::from_secs(40);

/// `GET /list`, which all these documents have.
fn operation() -> Operation {
    let folder = Folder::new();
    for (path, text) in base() {
        folder.write(&path, text);
    }
    let compiled = Loaded::read(&folder.0).build(&options("dev")).compiled.unwrap();
    compiled.operations[0].clone()
}

/// What is found, and whether all was compared.
struct Found {
    differences: Vec<Difference>,
    whole: bool,
}

impl Found {
    fn nothing(&self) -> bool {
        self.differences.is_empty()
    }

    fn has(&self, weight: Weight) -> bool {
        self.differences.iter().any(|one| one.weight == weight)
    }

    /// Whether nothing of it harms a caller.
    fn safe(&self) -> bool {
        self.differences.iter().all(|one| one.weight == Weight::Safe)
    }
}

/// What is common to all cases.
struct Game {
    operation: Operation,
    /// What was found in all.
    told: u64,
    slowest: Duration,
}

impl Game {
    fn new() -> Self {
        Self {
            operation: operation(),
            told: 0,
            slowest: Duration::ZERO,
        }
    }

    fn compare(&mut self, old: &Json, new: &Json) -> Found {
        const PARTS: [&str; 7] = [
            "callbacks",
            "deprecated",
            "parameters",
            "requestBody",
            "responses",
            "security",
            "servers",
        ];
        let began = Instant::now();
        let mut contracts = Contracts::new(Arc::new(old.clone()), Arc::new(new.clone()));
        let mut differences = contracts.compare(&self.operation, &self.operation);
        let took = began.elapsed();
        self.slowest = self.slowest.max(took);
        assert!(took < SLOW, "it took {took:?}");
        self.told += u64::try_from(differences.len()).unwrap();
        let limited = |one: &Difference| one.text.ends_with("is not told");
        let limits = differences.iter().filter(|one| limited(one)).count();
        assert!(limits < 3, "{differences:?}");
        differences.retain(|one| !limited(one));
        for one in &differences {
            assert!(!one.text.is_empty() && (PARTS.contains(&one.part)), "{one:?}");
        }
        Found {
            differences,
            whole: limits == 0,
        }
    }

    /// A document says what it says: nothing differs.
    fn itself(&mut self, document: &Json) {
        let found = self.compare(document, document);
        assert!(found.nothing(), "it differs from itself: {:?}", found.differences);
    }

    /// Anything may be anywhere.
    fn damaged(&mut self, random: &mut Random) {
        let mut old = maker(random, 6, true).document();
        let mut new = if random.below(4) == 0 {
            maker(random, 6, true).document()
        } else {
            old.clone()
        };
        for document in [&mut old, &mut new] {
            for _ in 0..random.below(4) {
                damage(document, random);
            }
        }
        shown(&old, &new, || {
            self.itself(&old);
            self.itself(&new);
            self.compare(&old, &new);
            self.compare(&new, &old);
        });
    }

    /// The same in other words is the same, in each direction.
    fn reworded(&mut self, random: &mut Random) {
        let old = maker(random, 5, true).document();
        let mut new = old.clone();
        let mut ways = Vec::new();
        for _ in 0..=random.below(4) {
            ways.push(reword(&mut new["components"]["schemas"], random));
        }
        shown(&old, &new, || {
            for (old, new) in [(&old, &new), (&new, &old)] {
                let found = self.compare(old, new);
                assert!(found.nothing(), "{ways:?} differ: {:?}", found.differences);
            }
        });
    }

    /// What holds of any two sets of schemas, as those of a request and as those of an answer.
    fn other(&mut self, random: &mut Random) {
        let many = if random.below(60) == 0 { 40 } else { 4 };
        let old = maker(random, many, true).all_schemas();
        let mut new = old.clone();
        for _ in 0..=random.below(3) {
            let places = everywhere(&new);
            let at = random.pick(&places).clone();
            *new.pointer_mut(&at).unwrap() = maker(random, many, true).schema(2);
        }
        shown(&old, &new, || {
            let [asked, asked_back] = self.both_ways(request, &old, &new);
            let [given, given_back] = self.both_ways(answer, &old, &new);
            if !(asked.whole && asked_back.whole && given.whole && given_back.whole) {
                return;
            }
            // What differs, differs whatever the side, and whoever sends it.
            let silent = [&asked, &asked_back, &given, &given_back].map(Found::nothing);
            assert!(
                silent.iter().all(|one| *one == silent[0]),
                "silent: {silent:?}: {:?} and {:?}",
                asked.differences,
                given_back.differences
            );
            // Where less may be sent than before, more may be given than before by who goes back.
            for (asked, given) in [(&asked, &given_back), (&asked_back, &given)] {
                assert!(
                    !asked.has(Weight::Breaks) || !given.safe(),
                    "{:?}, and the other way {:?}",
                    asked.differences,
                    given.differences
                );
            }
            // What was learnt of one operation hides nothing of the next.
            let (old, new) = (Arc::new(request(&old)), Arc::new(request(&new)));
            let mut contracts = Contracts::new(old, new);
            for _ in 0..2 {
                let again = contracts.compare(&self.operation, &self.operation);
                let limited = again.iter().any(|one| one.text.ends_with("is not told"));
                assert!(
                    limited || again == asked.differences,
                    "{again:?}, and first {:?}",
                    asked.differences
                );
            }
        });
    }

    fn both_ways(&mut self, document: fn(&Json) -> Json, old: &Json, new: &Json) -> [Found; 2] {
        let (old, new) = (document(old), document(new));
        [self.compare(&old, &new), self.compare(&new, &old)]
    }

    /// Who asks for more breaks callers; who takes that back does not. Who gives less does, who gives more does not.
    fn asked(&mut self, random: &mut Random) {
        let old = maker(random, 5, false).all_schemas();
        let mut new = old.clone();
        let places = asked_for(&old);
        if places.is_empty() {
            return;
        }
        let at = random.pick(&places).clone();
        let more = *random.pick(&[More::Required, More::Member, More::Longer, More::Keyword]);
        ask(new.pointer_mut(&at).unwrap(), more);
        shown(&old, &new, || {
            let [asked, asked_back] = self.both_ways(request, &old, &new);
            let [given, given_back] = self.both_ways(answer, &old, &new);
            if !(asked.whole && asked_back.whole && given.whole && given_back.whole) {
                return;
            }
            let named =
                |found: &Found, text: &str| found.differences.iter().any(|one| one.text.ends_with(text));
            let place = format!("{more:?} at {at}: {:?}", asked.differences);
            match more {
                More::Required => {
                    assert!(
                        asked.has(Weight::Breaks) && named(&asked, ".fresh is required"),
                        "{place}"
                    );
                    assert!(!asked_back.has(Weight::Breaks), "{place}");
                    assert!(!given.has(Weight::Breaks), "{place}");
                    assert!(named(&given_back, ".fresh is not always there"), "{place}");
                }
                More::Member => {
                    assert!(
                        named(&asked, ".fresh is new") && !asked.has(Weight::Breaks),
                        "{place}"
                    );
                    assert!(!given.has(Weight::Breaks), "{place}");
                    assert!(
                        given_back.has(Weight::Breaks) && named(&given_back, ".fresh is gone"),
                        "{place}"
                    );
                }
                More::Longer => {
                    assert!(asked.has(Weight::Breaks), "{place}");
                    assert!(
                        !asked_back.has(Weight::Breaks) && !given.has(Weight::Breaks),
                        "{place}"
                    );
                    assert!(given_back.has(Weight::Risky), "{place}");
                }
                More::Keyword => {
                    for found in [&asked, &asked_back, &given, &given_back] {
                        assert!(found.has(Weight::Risky) && !found.has(Weight::Breaks), "{place}");
                    }
                    assert!(named(&asked, &format!(": `{FRESH}` is another one")), "{place}");
                }
            }
        });
    }
}

fn maker(random: &mut Random, most: usize, dead_ends: bool) -> Maker<'_> {
    let schemas = 1 + random.below(most);
    Maker {
        random,
        schemas,
        dead_ends,
    }
}

fn request(schemas: &Json) -> Json {
    let body = json!({ "content": { "text/json": { "schema": { "$ref": "#/components/schemas/S0" } } } });
    json!({ "paths": { "/list": { "get": { "requestBody": body } } }, "components": { "schemas": schemas } })
}

fn answer(schemas: &Json) -> Json {
    let body = json!({ "content": { "text/json": { "schema": { "$ref": "#/components/schemas/S0" } } } });
    json!({ "paths": { "/list": { "get": { "responses": { "200": body } } } }, "components": { "schemas": schemas } })
}

/// Shows both sides if something does not hold of them.
fn shown(old: &Json, new: &Json, play: impl FnOnce()) {
    if let Err(panic) = catch_unwind(AssertUnwindSafe(play)) {
        eprintln!("--- old\n{old}\n--- new\n{new}");
        std::panic::resume_unwind(panic);
    }
}

#[test]
fn contracts_that_are_compared_keep_their_laws() {
    let mut game = Game::new();
    let cases = play_on(SEED, |case| {
        let mut random = Random::new(case);
        match random.below(4) {
            0 => game.damaged(&mut random),
            1 => game.reworded(&mut random),
            2 => game.other(&mut random),
            _ => game.asked(&mut random),
        }
    });
    let Game { told, slowest, .. } = game;
    println!("{cases} pairs of documents: {told} differences, none took more than {slowest:?}; no panic");
    assert!(cases == 1 || cases > 20 && told > 0, "too little was played");
}
