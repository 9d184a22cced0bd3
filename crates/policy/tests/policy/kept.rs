//! What is kept of files between two runs changes how long a check takes, and nothing else.

use std::path::Path;

use turnpike_policy::source::{Kept, Loaded, Options, Outcome};

use crate::common::{Files, Folder, KEY, NOW, base, collected, sample, shown};

const PROGRAM: &[u8] = b"this one";

/// Texts of every style, in each of which something is written that is not what it says.
const STYLES: &str = "\
# A comment
openapi: 3.1.0
info:
  title: \"Caf\\u00e9 \\\"du\\\" coin\"
  version: '1.0'
  description: |
    Two lines,
    and a blank one.

  summary: >-
    folded
    into one
servers: []
paths:
  /a:
    get: &get
      operationId: a
      description: 'it''s'
      responses: { '200': { description: \"\" }, default: {description: é} }
  /b:
    get:
      operationId: b
      description: &said plain text
      summary: *said
      responses:
        '200':
          description: ? not
          content: { \"application/json\": { schema: { type: [string, 'null'], example: ~ } } }
";

fn options(environment: &str) -> Options {
    Options {
        environment: environment.to_owned(),
        as_of: NOW,
        development_key: Some(KEY.to_owned()),
    }
}

/// All that comes of a tree in each of its environments.
fn all(loaded: &Loaded) -> Vec<Outcome> {
    let environments = loaded.environments();
    let names = environments.iter().map(String::as_str).chain(["nowhere"]);
    names.map(|name| loaded.build(&options(name))).collect()
}

fn assert_same(is: &[Outcome], should: &[Outcome], why: &str) {
    assert_eq!(is.len(), should.len(), "{why}");
    for (is, should) in is.iter().zip(should) {
        assert_eq!(is.diagnostics, should.diagnostics, "{why}");
        let shown = |outcome: &Outcome| {
            outcome
                .diagnostics
                .iter()
                .map(ToString::to_string)
                .collect::<Vec<_>>()
        };
        assert_eq!(shown(is), shown(should), "{why}");
        assert_eq!(is.bundle, should.bundle, "{why}");
        assert_eq!(is.compiled, should.compiled, "{why}");
        assert_eq!(is.files, should.files, "{why}");
        assert_eq!(is.cases.len(), should.cases.len(), "{why}");
    }
}

fn trees() -> Vec<(&'static str, Files)> {
    let bench = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../bench/policies");
    let mut styles = base();
    styles.insert("apis/orders/v1.yaml".to_owned(), STYLES.to_owned());
    styles.insert("apis/orders/v2.yaml".to_owned(), format!("\u{feff}{STYLES}"));
    let mut wrong = sample();
    for (at, text) in wrong.values_mut().enumerate() {
        if at % 3 == 0 {
            text.push_str("\nnowhere: { x: 1, x: 2 }\n");
        }
    }
    vec![
        ("the tests' own tree", base()),
        ("the sample tree", sample()),
        ("the tree of docs/policy.md", shown()),
        ("bench/policies", collected(&bench)),
        ("texts of every style", styles),
        ("a tree with faults", wrong),
    ]
}

fn write(files: &Files) -> Folder {
    let folder = Folder::new();
    for (path, text) in files {
        folder.write(path, text);
    }
    folder
}

#[test]
fn what_is_kept_changes_nothing() {
    for (name, files) in trees() {
        let folder = write(&files);
        let should = all(&Loaded::read(&folder.0));
        let nothing = Kept::default();
        let first = Loaded::read_kept(&folder.0, &nothing);
        assert_same(&all(&first), &should, name);
        let bytes = first.kept(&nothing, PROGRAM).expect("there is something to keep");
        let kept = Kept::read(bytes, PROGRAM);
        let again = Loaded::read_kept(&folder.0, &kept);
        assert_same(&all(&again), &should, name);
        // Files with a fault are read anew each time, and are nothing new; all others were found.
        assert!(again.kept(&kept, PROGRAM).is_none(), "{name}: found again");
    }
}

#[test]
fn what_has_changed_is_read_anew() {
    let folder = write(&sample());
    let nothing = Kept::default();
    let bytes = Loaded::read_kept(&folder.0, &nothing)
        .kept(&nothing, PROGRAM)
        .unwrap();
    let kept = Kept::read(bytes, PROGRAM);
    let consumer = sample()["consumers/trial.yaml"].replace("plan: free", "plan: fre");
    folder.write("consumers/trial.yaml", &consumer);
    let now = Loaded::read_kept(&folder.0, &kept);
    let found = now.build(&options("dev")).diagnostics;
    assert!(
        found.iter().any(|found| found.message.contains("`fre`")),
        "{found:?}"
    );
    assert_same(&all(&now), &all(&Loaded::read(&folder.0)), "after a change");
    // Another file with the text of a known one is that text at its own place.
    let other = sample()["plans/free.yaml"].clone();
    folder.write("plans/other.yaml", other);
    let now = Loaded::read_kept(&folder.0, &kept);
    assert_same(&all(&now), &all(&Loaded::read(&folder.0)), "the same text twice");
}

#[test]
fn what_another_program_has_kept_is_nothing() {
    let folder = write(&sample());
    let nothing = Kept::default();
    let bytes = Loaded::read_kept(&folder.0, &nothing)
        .kept(&nothing, PROGRAM)
        .unwrap();
    for other in [&b"that one"[..], b"", b"this one more"] {
        let kept = Kept::read(bytes.clone(), other);
        let loaded = Loaded::read_kept(&folder.0, &kept);
        assert!(loaded.kept(&kept, PROGRAM).is_some(), "all of it is read anew");
    }
}

#[test]
fn what_is_damaged_is_read_anew() {
    let folder = write(&sample());
    let one = |loaded: &Loaded| vec![loaded.build(&options("dev"))];
    let should = one(&Loaded::read(&folder.0));
    let nothing = Kept::default();
    let bytes = Loaded::read_kept(&folder.0, &nothing)
        .kept(&nothing, PROGRAM)
        .unwrap();
    let with = |bytes: Vec<u8>, why: &str| {
        let kept = Kept::read(bytes, PROGRAM);
        assert_same(&one(&Loaded::read_kept(&folder.0, &kept)), &should, why);
    };
    // What stands at the beginning, and something of each part of the rest.
    let places = (0..80)
        .step_by(4)
        .chain((80..bytes.len()).step_by(bytes.len() / 30));
    for at in places {
        let mut damaged = bytes.clone();
        damaged[at] ^= 1 << (at % 8);
        with(damaged, &format!("one bit of byte {at}"));
        with(bytes[..at].to_vec(), &format!("cut after {at}"));
    }
    with([&bytes[..], b"more"].concat(), "with something behind it");
}
