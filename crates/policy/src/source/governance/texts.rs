//! Texts that should not be there: secrets of unknown kinds, what was left to be written later, and what says
//! something else than is seen.
//!
//! Secrets of known kinds are errors that no setting changes (P0215); here is what looks like one.

use super::super::diagnostic::{Code, Span};
use super::super::hidden;
use super::super::secrets::quote;
use super::super::yaml::{Node, Value};
use super::{Judge, Notes};

/// What is left in the place of a text.
const PLACEHOLDERS: [&str; 8] = [
    "todo",
    "tbd",
    "fixme",
    "xxx",
    "changeme",
    "change-me",
    "lorem",
    "placeholder",
];
/// Fields in which a person says something.
const SAID: [&str; 6] = ["owner", "title", "reason", "description", "summary", "message"];
/// Fields whose values look like secrets and are none: hashes, public keys, and what names things.
const HARMLESS: [&str; 9] = [
    "sha256",
    "spki_sha256",
    "$ref",
    "operationId",
    "pattern",
    "url",
    "x5c",
    "x5t",
    "x5t#S256",
];
/// Shorter than this, words look like anything.
const LEAST: usize = 24;
/// Bits a character; random text of this length has more than four, words have less.
const BITS: f64 = 4.1;

pub(super) fn judge(judge: &mut Judge<'_>) {
    let tree = judge.subject.tree;
    let kinds = tree.kinds.values().flatten();
    let items = tree.gateway.iter().chain(kinds).chain(&tree.apis);
    // Each file by itself, so that none hides what is in another.
    for root in items.filter_map(|item| item.node.as_deref()) {
        judge.take(&Notes::of_texts(root));
    }
    let files = judge.files;
    for (path, node) in files.documents() {
        match files.checked(path) {
            Some(checked) => judge.take(&checked.texts),
            None => judge.take(&Notes::of_texts(&node)),
        }
    }
}

/// Notes the texts of a file that should not be there.
pub(super) fn search(root: &Node, notes: &mut Notes) {
    let mut rest = vec![(None, root)];
    while let Some((field, node)) = rest.pop() {
        match &node.value {
            Value::Scalar { text, .. } => scalar(field, text, node.span, notes),
            Value::List(items) => rest.extend(items.iter().map(|item| (field, item))),
            // The members of a public key are as random as they are public.
            Value::Map(_) if node.get("kty").is_some() => {}
            Value::Map(entries) => rest.extend(entries.iter().map(|(key, value)| {
                unseen(key.text().unwrap_or_default(), key.span, notes);
                (key.text(), value)
            })),
        }
    }
}

/// Notes a character that is not seen. Names and texts of policies with one are refused where they are read; what is
/// found here stands in documents, and in texts that are sent as they are.
fn unseen(text: &str, span: Span, notes: &mut Notes) {
    if let Some((_, c)) = hidden::in_text(text) {
        notes
            .say(
                Code::HiddenCharacter,
                span,
                format!("{} holds {}", quote(text), hidden::told(c)),
            )
            .help(hidden::REMEDY);
    }
}

fn scalar(field: Option<&str>, text: &str, span: Span, notes: &mut Notes) {
    unseen(text, span, notes);
    let field = field.unwrap_or("");
    if SAID.contains(&field) {
        let first = text
            .split(|c: char| c.is_whitespace() || ":,.!".contains(c))
            .find(|word| !word.is_empty());
        let first = first.unwrap_or("").to_ascii_lowercase();
        if PLACEHOLDERS.contains(&first.as_str()) {
            notes
                .say(
                    Code::Placeholder,
                    span,
                    format!("`{field}` was left to be written later"),
                )
                .help("write it now: somebody will need it");
        }
    }
    if matches!(field, "description" | "summary" | "title") && text.contains(['<', ':', '(']) {
        let lower = text.to_ascii_lowercase();
        if lower.contains("<script") || lower.contains("javascript:") || lower.contains("eval(") {
            notes
                .say(Code::ScriptInText, span, format!("`{field}` holds a script"))
                .help("remove it: portals show this text");
        }
    }
    let secret = text.len() >= LEAST
        && !HARMLESS.contains(&field)
        && text
            .split(|c: char| c.is_whitespace() || "\"'`,;:()<>[]{}|&?".contains(c))
            .any(|word| word.len() >= LEAST && is_random(word));
    if secret {
        notes
            .say(Code::HighEntropy, span, "this looks like a secret")
            .help("put it into a Worker secret and write that secret's name here; a key that was in Git must be replaced");
    }
}

/// Whether a word is as if drawn by lot: letters of both cases and digits, or hexadecimal digits of
/// the length of a key.
fn is_random(word: &str) -> bool {
    let word = word.trim_end_matches('=');
    let alphabet = |b: u8| b.is_ascii_alphanumeric() || b"+/_-=".contains(&b);
    if word.len() > 512 || !word.bytes().all(alphabet) {
        return false;
    }
    let digits = word.bytes().filter(u8::is_ascii_digit).count();
    if word.bytes().all(|b| b.is_ascii_hexdigit()) {
        let letters = word.len() - digits;
        return matches!(word.len(), 32 | 40 | 48 | 64 | 96 | 128)
            && digits >= 6
            && letters >= 4
            && bits(word) > 3.0;
    }
    let upper = word.bytes().any(|b| b.is_ascii_uppercase());
    let lower = word.bytes().any(|b| b.is_ascii_lowercase());
    // A path or a sentence with dashes has parts that are words.
    let parts = word.split(['/', '-', '_']).map(str::len).max().unwrap_or(0);
    upper && lower && digits >= 3 && parts >= 12 && bits(word) > BITS
}

/// Shannon's entropy of the characters of a word, in bits each.
#[expect(clippy::cast_precision_loss, reason = "a word has few characters")]
fn bits(word: &str) -> f64 {
    let mut counts = [0_u32; 256];
    for byte in word.bytes() {
        if let Some(count) = counts.get_mut(usize::from(byte)) {
            *count += 1;
        }
    }
    let length = word.len() as f64;
    counts
        .iter()
        .filter(|count| **count > 0)
        .map(|count| {
            let share = f64::from(*count) / length;
            -share * share.log2()
        })
        .sum()
}
