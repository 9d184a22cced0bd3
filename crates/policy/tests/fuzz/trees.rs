//! Trees, damaged: always an answer, in bounded time, and never a bundle that differs from the tree.

use std::collections::BTreeMap;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::path::Path;
use std::time::{Duration, Instant};

use turnpike_policy::source::{Kept, Loaded, Options, Outcome};
use turnpike_policy::{Bundle, Compiled, Stamp};

use crate::common::{Files, Folder, KEY, NOW, base, collected, sample, shown};
use crate::damage::{Damage, Must};
use crate::random::Random;

/// How long a single build of a small tree may take, at most.
const SLOW: Duration = Duration::from_secs(10);

/// A tree that is right, in a folder of its own.
struct Subject {
    name: &'static str,
    folder: Folder,
    files: Files,
    environments: Vec<String>,
    /// The bundle's hash and what it holds, by environment.
    right: BTreeMap<String, ([u8; 32], Compiled)>,
    /// What is kept of it as it is right.
    kept: Vec<u8>,
}

impl Subject {
    fn new(name: &'static str, files: Files) -> Self {
        let folder = Folder::new();
        for (path, text) in &files {
            folder.write(path, text);
        }
        let mut subject = Self {
            name,
            folder,
            files,
            environments: Vec::new(),
            right: BTreeMap::new(),
            kept: Vec::new(),
        };
        let nothing = Kept::default();
        let loaded = Loaded::read_kept(&subject.folder.0, &nothing);
        subject.kept = loaded.kept(&nothing, b"").unwrap_or_default();
        for environment in loaded.environments() {
            let outcome = loaded.build(&options(&environment));
            let (_, hash) = outcome
                .bundle
                .unwrap_or_else(|| panic!("{name}: {:#?}", outcome.diagnostics));
            subject
                .right
                .insert(environment.clone(), (hash, outcome.compiled.unwrap()));
            subject.environments.push(environment);
        }
        subject
    }

    /// Damages some files, builds for an environment, checks what must hold, and mends them.
    fn play(&self, random: &mut Random, counts: &mut Counts) {
        let damage = Damage::choose(&self.files, random);
        for (path, text) in &damage.files {
            self.folder.write(path, text);
        }
        let environment = random.pick(&self.environments);
        let played = catch_unwind(AssertUnwindSafe(|| self.judge(&damage, environment, counts)));
        for path in damage.files.keys() {
            self.folder.write(path, &self.files[path]);
        }
        if let Err(panic) = played {
            eprintln!("{} in {environment}: {}", self.name, damage.what);
            for (path, text) in &damage.files {
                eprintln!("--- {path}\n{text}");
            }
            std::panic::resume_unwind(panic);
        }
    }

    fn judge(&self, damage: &Damage, environment: &str, counts: &mut Counts) {
        let began = Instant::now();
        let outcome = Loaded::read(&self.folder.0).build(&options(environment));
        assert!(began.elapsed() < SLOW, "it took {:?}", began.elapsed());
        self.judge_kept(&outcome, environment);
        let failed = outcome.diagnostics.iter().any(|diagnostic| diagnostic.is_error());
        assert_eq!(outcome.bundle.is_none(), failed, "a bundle, or an error");
        for diagnostic in &outcome.diagnostics {
            assert!(diagnostic.line > 0 && diagnostic.column > 0 && !diagnostic.message.is_empty());
            assert!(!diagnostic.to_string().is_empty());
        }
        let (right, rules) = &self.right[environment];
        let Some((bytes, hash)) = outcome.bundle else {
            counts.refused += 1;
            return;
        };
        let compiled = outcome.compiled.expect("with its bundle");
        // What runs is what was checked, and its identity is that of its rules.
        let read = Bundle::from_bytes(&bytes).expect("a bundle can be read");
        assert_eq!((&read.compiled, read.hash), (&compiled, hash));
        assert_eq!(Bundle::write(&compiled, &Stamp::default()).unwrap().0, bytes);
        if hash == *right {
            assert_eq!(
                without_places(&compiled),
                without_places(rules),
                "other rules under the same hash"
            );
            counts.same += 1;
        } else {
            counts.other += 1;
        }
        // A document of an API that this environment does not have is not read.
        let read = |path: &String| outcome.files.iter().any(|file| file.ends_with(path));
        match damage.must {
            Must::BeRefused if !damage.files.keys().all(read) => {}
            Must::BeRefused => panic!("this is accepted: {}", damage.what),
            Must::MeanTheSame => assert_eq!(hash, *right, "this means something else: {}", damage.what),
            Must::Survive => {}
        }
    }
}

impl Subject {
    /// What is kept of files changes nothing: neither of those that are damaged now, nor of those that were right.
    fn judge_kept(&self, outcome: &Outcome, environment: &str) {
        let nothing = Kept::default();
        let bytes = Loaded::read_kept(&self.folder.0, &nothing).kept(&nothing, b"");
        for bytes in [bytes.unwrap_or_default(), self.kept.clone()] {
            let kept = Kept::read(bytes, b"");
            let again = Loaded::read_kept(&self.folder.0, &kept).build(&options(environment));
            assert_eq!(again.diagnostics, outcome.diagnostics, "with what was kept");
            assert_eq!(again.bundle, outcome.bundle, "with what was kept");
        }
    }
}

/// As debugging shows it, without the lines that comments and blanks move.
fn without_places(compiled: &Compiled) -> String {
    let text = format!("{compiled:?}");
    let mut parts = text.split("origin: \"");
    let first = parts.next().unwrap_or_default().to_owned();
    parts.fold(first, |all, part| {
        all + part.split_once('"').map_or(part, |(_, rest)| rest)
    })
}

pub(crate) fn options(environment: &str) -> Options {
    Options {
        environment: environment.to_owned(),
        as_of: NOW,
        development_key: Some(KEY.to_owned()),
    }
}

/// What came of the cases.
#[derive(Default)]
struct Counts {
    refused: u64,
    same: u64,
    other: u64,
}

fn subjects() -> Vec<Subject> {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("../..");
    let bench = collected(&root.join("bench/policies"));
    vec![
        Subject::new("the tests' own tree", base()),
        Subject::new("the sample tree", sample()),
        Subject::new("the tree of docs/policy.md", shown()),
        Subject::new("bench/policies", bench),
    ]
}

fn number(name: &str) -> Option<u64> {
    std::env::var(name).ok().and_then(|text| text.parse().ok())
}

/// What `cargo test` plays from.
pub(crate) const SEED: u64 = 20_261_122;

/// Plays one case after the other for as long as it is told to, or the one that it is told; how many they were.
/// `FUZZ_MINUTES` is shared by the two that are played at the same time.
pub(crate) fn play_on(seed: u64, mut play: impl FnMut(u64)) -> u64 {
    let mut play = |case: u64| {
        if let Err(panic) = catch_unwind(AssertUnwindSafe(|| play(case))) {
            eprintln!("to play it again: FUZZ_CASE={case} cargo test -p turnpike-policy --test fuzz");
            std::panic::resume_unwind(panic);
        }
    };
    if let Some(case) = number("FUZZ_CASE") {
        play(case);
        return 1;
    }
    let within = number("FUZZ_MINUTES").map_or(Duration::from_secs(4), |minutes| {
        Duration::from_secs(60 * minutes)
    });
    let seed = number("FUZZ_SEED").unwrap_or(seed);
    println!("from seed {seed}, for {within:?}");
    let began = Instant::now();
    let mut cases = 0_u64;
    while began.elapsed() < within {
        play(seed.wrapping_mul(1_000_000_007).wrapping_add(cases));
        cases += 1;
    }
    cases
}

#[test]
fn whatever_is_written_there_is_an_answer() {
    let subjects = subjects();
    let mut counts = Counts::default();
    let cases = play_on(SEED, |case| {
        let mut random = Random::new(case);
        let subject = &subjects[random.below(subjects.len())];
        subject.play(&mut random, &mut counts);
    });
    let Counts { refused, same, other } = counts;
    println!(
        "{cases} damaged trees: {refused} refused, {same} with the same rules, {other} with others; no panic"
    );
    let enough = cases > 20 && refused > 0 && same > 0;
    assert!(enough || number("FUZZ_CASE").is_some(), "too little was played");
}
