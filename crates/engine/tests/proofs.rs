//! What phases prove is made by them alone: of each proof, a part can be written by its own module only, and there is no
//! default of it. The compiler does the rest; and outside the engine none of it can be named.
#![expect(clippy::indexing_slicing, clippy::panic, reason = "these are tests")]

use std::fs;
use std::path::PathBuf;

/// Every proof, and the module that makes it.
const PROOFS: &[(&str, &str)] = &[
    ("accept.rs", "Accepted"),
    ("matching.rs", "Matched"),
    ("shield.rs", "Passed"),
    ("shield.rs", "Shielded"),
    ("identify/mod.rs", "Principal"),
    ("identify/flow.rs", "PendingToken"),
    ("inspect.rs", "Inspected"),
    ("inspect.rs", "Chat"),
    ("decide.rs", "Yes"),
    ("authorize.rs", "Permit"),
    ("authorize.rs", "Unproven"),
    ("authorize.rs", "Uninspected"),
    ("admit/mod.rs", "Asked"),
    ("admit/mod.rs", "Reservation"),
    ("answer.rs", "Answering"),
    ("answer.rs", "Proxied"),
];

/// The modules of phases that cannot be named outside the crate.
const PHASES: &[&str] = &[
    "matching",
    "shield",
    "identify",
    "inspect",
    "decide",
    "authorize",
    "admit",
    "answer",
    "flight",
];

fn source(file: &str) -> String {
    let path = PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("src").join(file);
    fs::read_to_string(&path).unwrap_or_else(|error| panic!("{}: {error}", path.display()))
}

/// The attributes before a struct, and its fields.
fn found(source: &str, name: &str) -> Option<(Vec<String>, Vec<String>)> {
    let lines: Vec<&str> = source.lines().collect();
    let is_it = |line: &&str| {
        let rest = line.split_once("struct ").map(|(_, rest)| rest);
        rest.and_then(|rest| rest.strip_prefix(name))
            .is_some_and(|rest| rest.starts_with([' ', '(']))
    };
    let at = lines.iter().position(is_it)?;
    let attributes = lines[..at].iter().rev().take_while(|line| line.starts_with("#["));
    let attributes = attributes.map(|line| (*line).to_owned()).collect();
    let (_, rest) = lines[at].split_once(&format!("struct {name}"))?;
    let fields = match rest.strip_prefix('(') {
        Some(tuple) => vec![tuple.to_owned()],
        None => lines[at + 1..]
            .iter()
            .take_while(|line| **line != "}")
            .map(|line| line.trim().to_owned())
            .filter(|line| !line.starts_with("//") && !line.starts_with('#'))
            .collect(),
    };
    Some((attributes, fields))
}

/// What is wrong with a proof.
fn fault(source: &str, name: &str) -> Option<String> {
    let Some((attributes, fields)) = found(source, name) else {
        return Some(format!("there is no `{name}`"));
    };
    if fields.iter().all(|field| field.starts_with("pub")) {
        return Some(format!("anybody can write `{name}`"));
    }
    let by_default = |line: &String| line.contains("Default") && !line.contains("cfg_attr(test");
    attributes
        .iter()
        .any(by_default)
        .then(|| format!("anybody has a `{name}` by default"))
}

#[test]
fn only_its_module_makes_a_proof() {
    let faults: Vec<String> = PROOFS
        .iter()
        .filter_map(|(file, name)| fault(&source(file), name).map(|fault| format!("{file}: {fault}")))
        .collect();
    assert_eq!(faults, [""; 0]);
}

#[test]
fn the_phases_cannot_be_named_outside() {
    let root = source("lib.rs");
    for phase in PHASES {
        assert!(root.contains(&format!("\nmod {phase};\n")), "{phase}");
    }
    let (_, fields) = found(&source("flight.rs"), "Flight").expect("a flight");
    assert!(
        fields.iter().all(|field| field.starts_with("pub(crate) ")),
        "{fields:?}"
    );
}

#[test]
fn a_proof_that_proves_nothing_is_noticed() {
    let open = "/// A right.\n#[derive(Clone)]\npub(crate) struct Right {\n    /// Whose.\n    pub(crate) whose: u32,\n}\n";
    assert!(fault(open, "Right").is_some_and(|fault| fault.contains("anybody can write")));
    let tuple = "pub(crate) struct Right(pub(crate) u32);\n";
    assert!(fault(tuple, "Right").is_some_and(|fault| fault.contains("anybody can write")));
    let default = "#[derive(Default)]\npub(crate) struct Right(());\n";
    assert!(fault(default, "Right").is_some_and(|fault| fault.contains("by default")));
    assert!(fault("struct Rights(());\n", "Right").is_some());
    let held = "#[derive(Clone)]\n#[cfg_attr(test, derive(Default))]\npub(crate) struct Right {\n    whose: u32,\n}\n";
    assert_eq!(fault(held, "Right"), None);
}
