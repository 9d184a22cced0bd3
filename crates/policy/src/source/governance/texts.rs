//! Texts that should not be there: secrets of unknown kinds, what was left to be written later, and what says
//! something else than is seen.
//!
//! Secrets of known kinds are errors that no setting changes (P0215); here is what looks like one, in texts and comments.

use std::ops::Range;

use super::super::comments;
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
/// What is said of digests.
const DIGESTS: [&str; 12] = [
    "sha1",
    "sha2",
    "sha3",
    "sha5",
    "sha-",
    "md5",
    "digest",
    "hash",
    "checksum",
    "commit",
    "fingerprint",
    "thumbprint",
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
        file(root, judge);
    }
    let files = judge.files;
    for (path, node) in files.documents() {
        match files.checked(path) {
            Some(checked) => judge.take(&checked.texts),
            None => file(&node, judge),
        }
    }
}

fn file(root: &Node, judge: &mut Judge<'_>) {
    let text = judge.report.text_of(root.span.file).unwrap_or_default();
    judge.take(&Notes::of_texts(root, &text));
}

/// Notes what looks like a secret in the comments of a file.
pub(super) fn search_comments(root: &Node, text: &str, notes: &mut Notes) {
    let may = |line: &str| random_words(line).next().is_some();
    comments::each(text, root, may, |at, line| {
        for word in random_words(line) {
            let span = Span::new(root.span.file, at + word.start, at + word.end);
            secret(span, notes);
        }
    });
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
    let random = text.len() >= LEAST
        && !HARMLESS.contains(&field)
        && comments::words(text, ends_word).any(|(_, word)| word.len() >= LEAST && is_random(word));
    if random {
        secret(span, notes);
    }
}

fn secret(span: Span, notes: &mut Notes) {
    notes
        .say(Code::HighEntropy, span, "this looks like a secret")
        .help("put it into a Worker secret and write that secret's name here; a key that was in Git must be replaced");
}

fn ends_word(c: char) -> bool {
    c.is_whitespace() || "\"'`,;:()<>[]{}|&?".contains(c)
}

/// Where the words of a comment stand that are as if drawn by lot. Addresses are no secrets, and neither is a commit of
/// Git, nor a digest, where it is said that there is one.
fn random_words(comment: &str) -> impl Iterator<Item = Range<usize>> {
    let parts = comments::words(comment, char::is_whitespace).filter(|(_, part)| !part.contains("://"));
    let words = parts.flat_map(|(at, part)| {
        let words = comments::words(part, ends_word);
        words.map(move |(inside, word)| (at + inside, word))
    });
    words
        .filter(|(_, word)| word.len() >= LEAST && is_random(word))
        .filter(move |(_, word)| !is_digest(word, comment))
        .map(|(at, word)| at..at + word.len())
}

/// Whether a value holds a word as if drawn by lot that its name does not explain.
pub(crate) fn holds_random(name: &str, value: &str) -> bool {
    let explained = says_digest(name) || name.to_ascii_lowercase().ends_with("id");
    !explained && random_words(value).next().is_some()
}

/// Whether a word has the form of a digest, and what stands around it says so. A commit needs no telling.
fn is_digest(word: &str, around: &str) -> bool {
    let bare = word.trim_end_matches('=');
    let bare = match bare.split_once('-') {
        Some((kind, digest)) if kind.starts_with("sha") => digest,
        _ => bare,
    };
    if bare.bytes().all(|b| b.is_ascii_hexdigit()) {
        return bare.len() == 40 || says_digest(around);
    }
    // SHA-1, SHA-256, SHA-384 and SHA-512 in base64.
    matches!(bare.len(), 27 | 43 | 64 | 86) && says_digest(around)
}

fn says_digest(text: &str) -> bool {
    let told = text.to_ascii_lowercase();
    DIGESTS.iter().any(|word| told.contains(word))
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
