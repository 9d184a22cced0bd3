//! The same rules, written in every other way: one hash.

use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU32, Ordering};

use proptest::prelude::*;

use super::containers::Map;
use super::diagnostic::{Report, Span};
use super::exceptions::ExceptionRule;
use super::reader::{Read, Reader, Scalar};
use super::yaml::{self, Node, Value};
use super::{Options, build, files, gateway, mocks, models, plans, reference};

/// The sample tree, parsed.
fn sample() -> BTreeMap<String, Node> {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../policies");
    let mut found = BTreeMap::new();
    let mut rest = vec![PathBuf::new()];
    while let Some(below) = rest.pop() {
        for entry in fs::read_dir(root.join(&below)).unwrap() {
            let path = below.join(entry.unwrap().file_name());
            if root.join(&path).is_dir() {
                rest.push(path);
                continue;
            }
            let text = fs::read_to_string(root.join(&path)).unwrap();
            let mut report = Report::default();
            let file = report.add_file(String::new(), &text);
            found.insert(
                path.to_str().unwrap().to_owned(),
                yaml::parse(file, &text, &mut report).unwrap(),
            );
        }
    }
    found
}

/// The hash of a tree of texts.
fn hash(texts: &BTreeMap<String, String>) -> [u8; 32] {
    static NEXT: AtomicU32 = AtomicU32::new(0);
    let name = format!(
        "turnpike-canonical-{}-{}",
        std::process::id(),
        NEXT.fetch_add(1, Ordering::Relaxed)
    );
    let root = std::env::temp_dir().join(name);
    for (path, text) in texts {
        let path = root.join(path);
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        fs::write(path, text).unwrap();
    }
    let key = r#"{"kty":"OKP","crv":"Ed25519","x":"11qYAYKxCrfVS_7TyWQHOg7hcvPapiMlrwIaaPcHURo"}"#;
    let options = Options {
        environment: "dev".to_owned(),
        as_of: 1_795_380_311_000,
        development_key: Some(key.to_owned()),
    };
    let outcome = build(&root, &options);
    fs::remove_dir_all(&root).unwrap();
    match outcome.bundle {
        Some((_, hash)) => hash,
        None => panic!(
            "{:#?}\n{texts:#?}",
            outcome
                .diagnostics
                .iter()
                .map(ToString::to_string)
                .collect::<Vec<_>>()
        ),
    }
}

/// Choices that a writer makes, in the order in which they come up.
struct Taste {
    choices: Vec<u8>,
    next: usize,
}

impl Taste {
    fn choose(&mut self, among: usize) -> usize {
        let choice = self.choices[self.next % self.choices.len()];
        self.next += 1;
        usize::from(choice) % among
    }

    /// Writes a node: in block or flow style, in any order of keys, quoted or not.
    fn write(&mut self, node: &Node, indent: usize, flow: bool, out: &mut String) {
        let flow = flow || self.choose(4) == 0;
        match &node.value {
            Value::Scalar { text, plain } => self.scalar(text, *plain, out),
            Value::List(items) if flow || items.is_empty() => {
                out.push('[');
                for (at, item) in items.iter().enumerate() {
                    out.push_str(if at == 0 { "" } else { ", " });
                    self.write(item, indent, true, out);
                }
                out.push(']');
            }
            Value::List(items) => {
                for item in items {
                    self.new_line(indent, out);
                    out.push_str("- ");
                    self.write(item, indent + 2, true, out);
                }
            }
            Value::Map(entries) => {
                let mut entries: Vec<_> = entries.iter().collect();
                for at in (1..entries.len()).rev() {
                    entries.swap(at, self.choose(at + 1));
                }
                if flow || entries.is_empty() {
                    out.push('{');
                    for (at, (key, value)) in entries.iter().enumerate() {
                        out.push_str(if at == 0 { " " } else { ", " });
                        self.write(key, indent, true, out);
                        out.push_str(": ");
                        self.write(value, indent, true, out);
                    }
                    out.push('}');
                    return;
                }
                let deeper = indent + 1 + self.choose(4);
                for (key, value) in entries {
                    self.new_line(deeper, out);
                    self.write(key, deeper, true, out);
                    out.push_str(": ");
                    self.write(value, deeper, false, out);
                }
            }
        }
    }

    fn new_line(&mut self, indent: usize, out: &mut String) {
        out.push('\n');
        match self.choose(8) {
            0 => out.push_str("# A remark: [with] {things} in it.\n"),
            1 => out.push('\n'),
            _ => {}
        }
        out.push_str(&" ".repeat(indent));
    }

    fn scalar(&mut self, text: &str, plain: bool, out: &mut String) {
        // Numbers, booleans and nothing are what they are only without quotes.
        let bare = text
            .chars()
            .all(|c| c.is_ascii_alphanumeric() || "_.".contains(c));
        let needs_plain = bare
            && (text.parse::<f64>().is_ok()
                || matches!(text, "true" | "false" | "null" | "")
                || text.contains('_'));
        match self.choose(3) {
            _ if plain && needs_plain => out.push_str(text),
            0 if plain && bare => out.push_str(text),
            1 if !text.contains('\n') => {
                out.push('\'');
                out.push_str(&text.replace('\'', "''"));
                out.push('\'');
            }
            _ => out.push_str(&serde_json::to_string(text).unwrap()),
        }
    }
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 48, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn however_it_is_written(choices in prop::collection::vec(any::<u8>(), 64..512)) {
        let sample = sample();
        let mut taste = Taste { choices, next: 0 };
        let mut texts = BTreeMap::new();
        for (path, node) in &sample {
            let mut text = String::new();
            taste.write(node, 0, false, &mut text);
            texts.insert(path.clone(), text + "\n");
        }
        let mut as_json = BTreeMap::new();
        for (path, node) in &sample {
            // The keys as they were: only the style differs.
            let mut text = String::new();
            Taste { choices: vec![0], next: 0 }.write(node, 0, true, &mut text);
            as_json.insert(path.clone(), text);
        }
        prop_assert_eq!(hash(&texts), hash(&as_json));
    }

    /// Whatever the text, the parser comes back with a tree or a reason, and every place is within it.
    #[test]
    fn any_text(text in "(\\PC|\n|\t| |- |: |[\\[\\]{}&*!|>'\"%@`#,?]){0,120}") {
        let mut report = Report::default();
        let file = report.add_file("x".to_owned(), &text);
        let node = yaml::parse(file, &text, &mut report);
        let mut rest: Vec<&Node> = node.iter().collect();
        while let Some(node) = rest.pop() {
            prop_assert!(node.span.start <= node.span.end && node.span.end <= text.len());
            rest.extend(node.items());
            rest.extend(node.entries().iter().flat_map(|(key, value)| [key, value]));
        }
        let shown = report.finish("");
        prop_assert!(node.is_some() || !shown.is_empty());
    }
}

#[test]
fn every_default_can_be_read() {
    // Fields of every record, read from a map that holds none of them.
    fn defaults<T: Read>() -> Vec<String> {
        let mut shapes = Vec::new();
        T::shapes(&mut shapes);
        let mut texts = Vec::new();
        for shape in shapes {
            for field in shape.fields {
                assert!(
                    field.default.is_none() || !field.required,
                    "{}.{}",
                    shape.name,
                    field.name
                );
                assert!(
                    !field.doc.is_empty(),
                    "{}.{} says nothing",
                    shape.name,
                    field.name
                );
                texts.extend(field.default.map(str::to_owned));
            }
        }
        texts
    }
    let mut texts = defaults::<gateway::GatewayFile>();
    texts.extend(defaults::<models::ModelFile>());
    texts.extend(defaults::<plans::PlanFile>());
    for text in texts {
        let mut report = Report::default();
        assert!(yaml::parse(u32::MAX, &text, &mut report).is_some(), "{text}");
    }
    let mut reader = Reader::new(Report::default(), "dev");
    let empty = |text: &str| yaml::parse(u32::MAX, text, &mut Report::default()).unwrap();
    let gateway =
        gateway::GatewayFile::read(&empty("{ gateway: a, environments: {} }"), &mut reader).unwrap();
    assert!(gateway.floor.unwrap().answer_headers.as_ref().unwrap().0.len() > 8);
    let model =
        models::ModelFile::read(&empty("{ model: a, owner: b, targets: [c/d] }"), &mut reader).unwrap();
    assert_eq!(model.retry.unwrap().on.as_ref().unwrap().0.len(), 5);
    let mock = mocks::MockFile::read(
        &empty("{ mock: a, rules: [{ answer: { text: b } }] }"),
        &mut reader,
    )
    .unwrap();
    let rule = &mock.rules.unwrap().value.0[0];
    assert!(rule.answer.as_ref().unwrap().end.is_some());
    assert!(!reader.report.failed(), "{:?}", reader.report.finish(""));
}

#[test]
fn items_of_other_environments_are_still_read() {
    let mut reader = Reader::new(Report::default(), "dev");
    reader.environments = Some(vec!["dev".to_owned(), "production".to_owned()]);
    let text = "a: { environments: [production], limits: 1, plan: x }\nb: { plan: b, limits: [] }";
    let node = yaml::parse(u32::MAX, text, &mut Report::default()).unwrap();
    let map = Map::<plans::PlanFile>::read(&node, &mut reader).unwrap();
    assert_eq!((map.here.len(), map.others.len()), (1, 1));
    assert_eq!(reader.report.count(), 1, "`limits: 1` is wrong everywhere");
}

#[test]
fn the_reference_tells_of_everything() {
    let fields = reference::fields();
    for kind in files::KINDS {
        assert!(fields.contains(&format!("### `{kind}/<name>.yaml`")), "{kind}");
    }
    assert!(fields.contains("| `first_token` |") && fields.contains("| `sha256` |"));
    is_up_to_date(
        "docs/policy.md",
        &[
            ("fields", fields),
            ("codes", reference::codes()),
            ("rules", reference::rules()),
            ("inherited", reference::inherited()),
        ],
    );
}

/// What is written by hand about exceptions names each rule that can have one.
#[test]
fn the_reference_tells_of_every_exception() {
    let page = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../docs/policy.md");
    let page = fs::read_to_string(page).unwrap();
    let told = page
        .split("\n\n")
        .find(|paragraph| paragraph.contains("nothing else has"))
        .unwrap();
    for rule in ExceptionRule::EXPECTS.split('`').skip(1).step_by(2) {
        assert!(told.contains(&format!("`{rule}`")), "{rule}\n{told}");
    }
}

/// Nobody reads of something in the README that is refused, or the other way round.
#[test]
fn the_reference_of_what_is_not_built_is_in_the_readme() {
    let unbuilt = reference::unbuilt();
    for part in [
        "`sticky`",
        "as `wire`: `anthropic`",
        "as `algorithms`: `ES512`",
        "| `guardrails/` |",
        "as `operations`: groups such as `read`",
        "| `templates/<name>.yaml` | api rules: `cache`",
        "OpenAPI 3.2",
    ] {
        assert!(unbuilt.contains(part), "{part}\n{unbuilt}");
    }
    is_up_to_date("README.md", &[("unbuilt", unbuilt)]);
}

/// What is refused as not built is declared in one of these, from which the list is made.
#[test]
fn the_reference_of_what_is_not_built_is_whole() {
    let mut found = Vec::new();
    let mut folders = vec![Path::new(env!("CARGO_MANIFEST_DIR")).join("src/source")];
    while let Some(folder) = folders.pop() {
        for entry in fs::read_dir(folder).unwrap() {
            let path = entry.unwrap().path();
            if path.is_dir() {
                folders.push(path);
                continue;
            }
            let count = fs::read_to_string(&path)
                .unwrap()
                .matches("Code::NotBuilt,")
                .count();
            if count > 0 && !path.ends_with("canonical_tests.rs") {
                let name = path
                    .strip_prefix(concat!(env!("CARGO_MANIFEST_DIR"), "/src/source"))
                    .unwrap();
                found.push((name.display().to_string(), count));
            }
        }
    }
    found.sort();
    let known = [
        ("apis.rs", 1, "MockSource::LATER"),
        ("consumers.rs", 1, "OperationId::LATER"),
        ("declare.rs", 1, "the `later` of a choice"),
        ("files/mod.rs", 1, "LATER"),
        ("issuers.rs", 1, "Algorithm::LATER"),
        ("openapi/check.rs", 1, "openapi::LATER"),
        ("openapi/mod.rs", 3, "openapi::LATER"),
        ("reader.rs", 1, "the `later` of a record"),
    ];
    let known = known.map(|(file, count, _)| (file.to_owned(), count));
    assert_eq!(found, known, "where is it declared, so that the README lists it?");
}

/// Holds the parts of a page between its marks against what they are to be; `UPDATE=1` writes them.
fn is_up_to_date(name: &str, parts: &[(&str, String)]) {
    let file = Path::new(env!("CARGO_MANIFEST_DIR")).join("../..").join(name);
    let page = fs::read_to_string(&file).unwrap_or_default();
    let made = page_with(name, &page, parts);
    if std::env::var_os("UPDATE").is_some() {
        fs::write(file, made).unwrap();
    } else {
        assert!(
            page == made,
            "{name} is not up to date: run `UPDATE=1 cargo test -p turnpike-policy reference`"
        );
    }
}

/// The page with the parts between its marks made anew.
fn page_with(file: &str, page: &str, parts: &[(&str, String)]) -> String {
    let mut page = page.to_owned();
    for (name, text) in parts {
        let (begin, end) = (format!("<!-- {name} -->\n"), format!("<!-- end of {name} -->\n"));
        let parts = page
            .split_once(&begin)
            .and_then(|(before, rest)| Some((before, rest.split_once(&end)?.1)));
        let Some((before, after)) = parts else {
            panic!("{file} has no place for {name}")
        };
        page = format!("{before}{begin}\n{}\n\n{end}{after}", text.trim_end());
    }
    page
}

#[test]
fn spans_are_copied_as_they_are() {
    // A span is handed around by value everywhere.
    assert!(size_of::<Span>() <= 24);
}
