//! Trees that were right and are changed at random: always an answer, never a panic, and a bundle
//! exactly where there is no error.

use proptest::prelude::*;

use crate::common::{Files, base, build_with_rules, sample, shown};

/// Words that are likely to hit something.
const WORDS: [&str; 40] = [
    "plan",
    "limits",
    "rate",
    "5/s",
    "environments",
    "dev",
    "[",
    "]",
    "{",
    "}",
    ":",
    "- ",
    "\n",
    "  ",
    "&a",
    "*a",
    "!!str",
    "'",
    "\"",
    "|",
    "> ",
    "#",
    "${x}",
    "$ref",
    "'#/paths'",
    "null",
    "~",
    "true",
    "99999999999999999999",
    "-1",
    "\t",
    "é",
    "\u{0}",
    "---\n",
    "...\n",
    "<<: ",
    "? ",
    "all",
    "openapi",
    "%YAML 1.2\n",
];

/// A change to a text.
#[derive(Clone, Debug)]
enum Mutation {
    Insert(prop::sample::Index, usize),
    Remove(prop::sample::Index, usize),
    Double(prop::sample::Index),
    Move(prop::sample::Index, prop::sample::Index),
}

fn mutation() -> impl Strategy<Value = Mutation> {
    use prop::sample::Index;
    prop_oneof![
        (any::<Index>(), 0..WORDS.len()).prop_map(|(at, word)| Mutation::Insert(at, word)),
        (any::<Index>(), 1..20usize).prop_map(|(at, count)| Mutation::Remove(at, count)),
        any::<Index>().prop_map(Mutation::Double),
        (any::<Index>(), any::<Index>()).prop_map(|(from, to)| Mutation::Move(from, to)),
    ]
}

fn mutate(text: &str, mutation: &Mutation) -> String {
    let mut chars: Vec<char> = text.chars().collect();
    let mut rows: Vec<&str> = text.split_inclusive('\n').collect();
    match mutation {
        _ if chars.is_empty() => return "x".to_owned(),
        Mutation::Insert(at, word) => {
            let at = at.index(chars.len());
            chars.splice(at..at, WORDS[*word].chars());
        }
        Mutation::Remove(at, count) => {
            let at = at.index(chars.len());
            chars.drain(at..(at + count).min(chars.len()));
        }
        Mutation::Double(at) => {
            let row = rows[at.index(rows.len())];
            rows.insert(at.index(rows.len()), row);
            return rows.concat();
        }
        Mutation::Move(from, to) => {
            let row = rows.remove(from.index(rows.len()));
            rows.insert(to.index(rows.len() + 1), row);
            return rows.concat();
        }
    }
    chars.into_iter().collect()
}

/// Builds for every environment, and checks what holds for any outcome.
fn survives(files: &Files) {
    for environment in ["dev", "production"] {
        let outcome = build_with_rules(files, environment);
        let failed = outcome.diagnostics.iter().any(|diagnostic| diagnostic.is_error());
        assert_eq!(outcome.bundle.is_none(), failed);
        for diagnostic in &outcome.diagnostics {
            assert!(diagnostic.line > 0 && diagnostic.column > 0);
            assert!(!diagnostic.message.is_empty() && !diagnostic.to_string().is_empty());
        }
    }
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 64, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn any_text_in_any_file(file in any::<prop::sample::Index>(), text in "\\PC{0,200}") {
        let mut files = base();
        let path = files.keys().nth(file.index(files.len())).unwrap().clone();
        files.insert(path, text);
        survives(&files);
    }

    #[test]
    fn words_in_any_order(file in any::<prop::sample::Index>(), words in prop::collection::vec(0..WORDS.len(), 0..60)) {
        let mut files = base();
        let path = files.keys().nth(file.index(files.len())).unwrap().clone();
        files.insert(path, words.into_iter().map(|word| WORDS[word]).collect());
        survives(&files);
    }

    #[test]
    fn mutations_of_valid_trees(
        changes in prop::collection::vec((any::<prop::sample::Index>(), mutation()), 1..6),
        which in any::<bool>(),
    ) {
        let mut files = if which { sample() } else { shown() };
        if !which {
            files.insert("governance/own.yaml".to_owned(), OWN.to_owned());
        }
        for (file, change) in &changes {
            let path = files.keys().nth(file.index(files.len())).unwrap().clone();
            let text = mutate(&files[&path], change);
            files.insert(path, text);
        }
        survives(&files);
    }
}

const OWN: &str = "rule: own\nfor: documents\nfield: paths.*.*.summary\nmust: { exist: true, matches: '[.]$' }\nmust_not: { one_of: [Nothing.] }\nmessage: Say it.\n";
