//! How a tree is damaged, and what must come of it.

use std::collections::BTreeMap;

use crate::common::Files;
use crate::random::Random;

/// What must come of a damaged tree besides an answer.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Must {
    /// Anything: the text may mean what it likes.
    Survive,
    /// An error: a typo in the name of a field, a key written twice, a value without its unit.
    BeRefused,
    /// The same rules: comments and blanks.
    MeanTheSame,
}

pub(crate) struct Damage {
    /// The files that differ.
    pub(crate) files: BTreeMap<String, String>,
    pub(crate) what: String,
    pub(crate) must: Must,
}

/// Maps whose keys are names that somebody chose, or free.
const NAMES: [&str; 12] = [
    "issuers",
    "environments",
    "versions",
    "vars",
    "upstreams",
    "with",
    "parameters",
    "governance",
    "headers",
    "arguments",
    "claims",
    "json",
];

/// Text that is likely to hit something.
const WORDS: [&str; 48] = [
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
    "&a ",
    "*a",
    "!!str ",
    "'",
    "\"",
    "|\n",
    "> ",
    "#",
    "${x}",
    "$ref: ",
    "'#/paths'",
    "null",
    "~",
    "true",
    "1e999",
    "-1",
    "\t",
    "é",
    "\u{0}",
    "---\n",
    "...\n",
    "<<: ",
    "? ",
    "all",
    "openapi: 3.1.0\n",
    "%YAML 1.2\n",
    "\u{feff}",
    "\r\n",
    "0x7f",
    "🦀",
    "99999999999999999999",
    "2026-02-30",
    "{{{{{{{{",
    "[[[[[[[[",
];

impl Damage {
    pub(crate) fn choose(files: &Files, random: &mut Random) -> Self {
        let paths: Vec<&String> = files.keys().collect();
        let path = (*random.pick(&paths)).clone();
        let text = &files[&path];
        let found = match random.below(11) {
            0 => misspell(&path, text, random),
            1 => double(&path, text, random),
            2 => without_unit(&path, text, random),
            3 => Some((comment(text, random), "a comment".to_owned(), Must::MeanTheSame)),
            4 => Some((noise(random), "noise".to_owned(), Must::Survive)),
            5 => {
                let other = &files[*random.pick(&paths)];
                Some((
                    splice(text, other, random),
                    "a part of another file".to_owned(),
                    Must::Survive,
                ))
            }
            6 => value(text, random),
            _ => None,
        };
        let (text, what, must) = found.unwrap_or_else(|| {
            let mut text = text.clone();
            for _ in 0..=random.below(5) {
                text = change(&text, random);
            }
            (text, "changes by lot".to_owned(), Must::Survive)
        });
        let what = format!("{what} in {path}");
        Self {
            files: BTreeMap::from([(path, text)]),
            what,
            must,
        }
    }
}

/// A line that begins with a key.
struct Line<'a> {
    at: usize,
    indent: usize,
    key: &'a str,
    rest: &'a str,
}

/// The lines of a file that are `key: ...` in block style, outside of texts of several lines.
fn lines(text: &str) -> Vec<Line<'_>> {
    let mut found = Vec::new();
    let (mut at, mut block) = (0, None);
    for line in text.split_inclusive('\n') {
        let bare = line.trim_end();
        let indent = bare.len() - bare.trim_start().len();
        if block.is_some_and(|outer| bare.is_empty() || indent > outer) {
            at += line.len();
            continue;
        }
        block = None;
        let body = bare.trim_start();
        if let Some((key, rest)) = body.split_once(':') {
            let plain = !key.is_empty() && key.bytes().all(|b| b.is_ascii_alphanumeric() || b == b'_');
            if plain && (rest.is_empty() || rest.starts_with(' ')) {
                found.push(Line {
                    at: at + indent,
                    indent,
                    key,
                    rest,
                });
                let value = rest.split(" #").next().unwrap_or(rest).trim();
                if matches!(value, "|" | ">" | "|-" | ">-") {
                    block = Some(indent);
                }
            }
        }
        at += line.len();
    }
    found
}

/// Whether a line is a field of a record, and not a name in a map.
fn is_field(lines: &[Line<'_>], index: usize) -> bool {
    let line = &lines[index];
    let parent = lines[..index]
        .iter()
        .rev()
        .find(|other| other.indent < line.indent);
    parent.is_none_or(|parent| !NAMES.contains(&parent.key))
}

/// Documents describe what is not the gateway's: what it does not know of them means nothing to it.
fn is_policy(path: &str) -> bool {
    !path.starts_with("apis/") || path.ends_with("/api.yaml")
}

fn misspell(path: &str, text: &str, random: &mut Random) -> Option<(String, String, Must)> {
    let lines = lines(text);
    if !is_policy(path) || lines.is_empty() {
        return None;
    }
    let index = random.below(lines.len());
    // `tests/` hold free JSON below fields; there only the outermost are certain.
    if !is_field(&lines, index) || path.starts_with("tests/") && lines[index].indent > 0 {
        return None;
    }
    let line = &lines[index];
    let cut = random.below(line.key.len());
    let mut key = line.key.to_owned();
    let other = if key.remove(cut) == 'q' { 'z' } else { 'q' };
    key.insert(cut.min(key.len()), other);
    let mut text = text.to_owned();
    text.replace_range(line.at..line.at + line.key.len(), &key);
    Some((text, format!("`{}` spelt `{key}`", line.key), Must::BeRefused))
}

fn double(_: &str, text: &str, random: &mut Random) -> Option<(String, String, Must)> {
    let lines: Vec<_> = lines(text).into_iter().filter(|line| scalar(line.rest)).collect();
    if lines.is_empty() {
        return None;
    }
    let line = random.pick(&lines);
    let whole = format!("{}:{}\n{}", line.key, line.rest, " ".repeat(line.indent));
    let mut text = text.to_owned();
    text.insert_str(line.at, &whole);
    Some((text, format!("`{}` twice", line.key), Must::BeRefused))
}

fn scalar(rest: &str) -> bool {
    let value = rest.split(" #").next().unwrap_or(rest).trim();
    !value.is_empty() && !value.starts_with(['|', '>', '{', '[', '&', '*', '!', '"', '\'', '#'])
}

fn without_unit(path: &str, text: &str, random: &mut Random) -> Option<(String, String, Must)> {
    const UNITS: [&str; 7] = ["KiB", "MiB", "ms", "s", "m", "h", "d"];
    if !is_policy(path) || path.starts_with("tests/") || path.starts_with("templates/") {
        return None;
    }
    let measured: Vec<_> = lines(text)
        .into_iter()
        .filter_map(|line| {
            let value = line.rest.split(" #").next().unwrap_or(line.rest).trim();
            let unit = UNITS.iter().find(|unit| {
                value
                    .strip_suffix(**unit)
                    .is_some_and(|digits| !digits.is_empty() && digits.bytes().all(|b| b.is_ascii_digit()))
            })?;
            let value_at = line.at + line.key.len() + 1 + line.rest.find(value)?;
            Some((value_at + value.len() - unit.len(), unit.len(), line.key))
        })
        .collect();
    if measured.is_empty() {
        return None;
    }
    let (at, length, key) = random.pick(&measured);
    let mut text = text.to_owned();
    text.replace_range(*at..at + length, "");
    Some((text, format!("`{key}` without its unit"), Must::BeRefused))
}

/// Another number, unit, date or word where a value stands.
fn value(text: &str, random: &mut Random) -> Option<(String, String, Must)> {
    const PARTS: [&str; 44] = [
        "0",
        "1",
        "60",
        "-",
        "+",
        ".",
        "_",
        "_000",
        "18446744073709551615",
        "0.1",
        "1e9",
        "340282366920938463463",
        "KiB",
        "MiB",
        "GiB",
        "kB",
        "ms",
        "s",
        "m",
        "h",
        "d",
        "/s",
        "/min",
        "/day",
        "/month",
        "/",
        " USD",
        " EUR",
        "/Mtok",
        "%",
        "2026-02-30",
        "2024-02-29",
        "T25:61:00Z",
        "2099-01-01",
        "true",
        "all",
        "none",
        "${x}",
        "*",
        "https://",
        "a.example",
        ":99999",
        "é",
        "\u{202e}",
    ];
    let lines: Vec<_> = lines(text).into_iter().filter(|line| scalar(line.rest)).collect();
    if lines.is_empty() {
        return None;
    }
    let line = random.pick(&lines);
    let from = line.at + line.key.len() + 1;
    let value: String = (0..=random.below(4)).map(|_| *random.pick(&PARTS)).collect();
    let mut text = text.to_owned();
    text.replace_range(from..from + line.rest.len(), &format!(" {value}"));
    Some((text, format!("`{}: {value}`", line.key), Must::Survive))
}

fn comment(text: &str, random: &mut Random) -> String {
    // Where a line begins with a key, none is inside of a text.
    let starts: Vec<usize> = lines(text).iter().map(|line| line.at - line.indent).collect();
    let mut text = text.to_owned();
    if starts.is_empty() {
        return text + "\n# The end.\n";
    }
    let at = *random.pick(&starts);
    // The last item of a list may begin before its key: `- name: ...` is no such line.
    text.insert_str(at, "# What stands below is as it was: é 🦀.\n\n");
    text
}

fn noise(random: &mut Random) -> String {
    (0..random.below(60)).map(|_| *random.pick(&WORDS)).collect()
}

fn splice(text: &str, other: &str, random: &mut Random) -> String {
    let rows: Vec<&str> = text.split_inclusive('\n').collect();
    let others: Vec<&str> = other.split_inclusive('\n').collect();
    if rows.is_empty() || others.is_empty() {
        return "x".to_owned();
    }
    let (from, to) = (random.below(rows.len()), random.below(others.len()));
    rows[..from].concat() + &others[to..].concat() + &rows[from..].concat()
}

fn change(text: &str, random: &mut Random) -> String {
    let mut chars: Vec<char> = text.chars().collect();
    let mut rows: Vec<&str> = text.split_inclusive('\n').collect();
    if chars.is_empty() {
        return "x".to_owned();
    }
    match random.below(5) {
        0 => {
            let at = random.below(chars.len());
            chars.splice(at..at, random.pick(&WORDS).chars());
        }
        1 => {
            let at = random.below(chars.len());
            let to = (at + 1 + random.below(20)).min(chars.len());
            chars.drain(at..to);
        }
        2 => {
            let row = rows[random.below(rows.len())];
            rows.insert(random.below(rows.len()), row);
            return rows.concat();
        }
        3 => {
            let row = rows.remove(random.below(rows.len()));
            rows.insert(random.below(rows.len() + 1), row);
            return rows.concat();
        }
        _ => {
            let at = random.below(chars.len());
            chars[at] = char::from(u8::try_from(random.below(128)).unwrap());
        }
    }
    chars.into_iter().collect()
}
