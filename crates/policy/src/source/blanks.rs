//! Blanks that are none to YAML, blanks that are missing after a dash, and quotes that are none: what looks right, and is
//! read as one text.

use super::yaml::{Node, Value};

const DASH: &str = "a blank stands between the dash of an item and what follows it:";

/// A blank that is none in YAML, such as U+00A0, where a key begins or the dash before it ends; with the byte of the key
/// at which it stands.
pub(crate) fn before_key(key: &Node) -> Option<(usize, char)> {
    let Value::Scalar { text, plain: true } = &key.value else {
        return None;
    };
    let at = usize::from(text.starts_with('-'));
    Some((at, text.get(at..)?.chars().next().filter(|c| is_odd(*c))?))
}

/// The same in the line of a byte or the one before: as indentation, or after a dash or colon that a blank has to follow.
pub(crate) fn near(text: &str, at: usize) -> Option<(usize, char)> {
    let line = |end: usize| {
        text.get(..end)
            .and_then(|before| before.rfind('\n'))
            .map_or(0, |line| line + 1)
    };
    let start = line(at);
    let start = start.checked_sub(1).map_or(start, line);
    let lines = text.get(start..)?.split_inclusive('\n').take(2);
    let mut line_at = start;
    for line in lines {
        let mut before = ' ';
        let mut indents = true;
        for (at, c) in line.char_indices() {
            if is_odd(c) && (indents || before == ':') {
                return Some((line_at + at, c));
            }
            indents &= matches!(c, ' ' | '-');
            before = c;
        }
        line_at += line.len();
    }
    None
}

fn is_odd(c: char) -> bool {
    c.is_whitespace() && !c.is_ascii()
}

/// What is wrong with such a blank.
pub(crate) fn told(c: char) -> String {
    format!("U+{:04X} looks like a blank, and is none in YAML", u32::from(c))
}

/// What helps against it.
pub(crate) const REMEDY: &str =
    "write a plain space: what is copied from a page or typed on some keyboards is another one";

/// What is wrong with the quotes around a text, where they are those that are set in print (`“gold”`): to YAML they are
/// a part of it.
pub(crate) fn other_quotes(node: &Node) -> Option<String> {
    let Value::Scalar { text, plain: true } = &node.value else {
        return None;
    };
    let first = text.chars().next().filter(|c| is_quote(*c))?;
    let inside = text.strip_prefix(first)?;
    let last = inside.chars().next_back();
    let last = last.filter(|c| is_quote(*c) || matches!(c, '"' | '\''))?;
    // More than one thing is quoted, so that these are a part of what is said.
    let several = inside.strip_suffix(last)?.contains(first);
    (!several).then(|| {
        let told = |c: char| format!("U+{:04X}", u32::from(c));
        let (first, last) = (told(first), told(last));
        format!("the quotes around this value ({first}, {last}) are none in YAML, but a part of it")
    })
}

/// Quotes as they are set in print, and wide ones. Those that no keyboard or editor puts in the place of plain ones
/// (`« »`) are how some languages write.
const fn is_quote(c: char) -> bool {
    matches!(c, '\u{2018}'..='\u{201f}' | '\u{ff02}' | '\u{ff07}')
}

/// What helps against them.
pub(crate) const QUOTES: &str =
    "write plain quotes, `\"` or `'`, or none; a text that is to have these ones has plain ones around them";

/// What helps where something else was read than was meant, because of a blank.
pub(crate) fn remedy(node: &Node, expects: &str) -> Option<String> {
    match &node.value {
        Value::Scalar { text, plain: true } => {
            let mut pairs = text.chars().zip(text.chars().skip(1));
            let odd = pairs.find(|(before, c)| *before == ':' && is_odd(*c));
            let dashed = || undashed(text).filter(|_| expects.starts_with("a list"));
            odd.map(|(_, c)| format!("{}: {REMEDY}", told(c))).or_else(dashed)
        }
        Value::Map(entries) if expects.starts_with("a list") => undashed(entries.first()?.0.text()?),
        _ => None,
    }
}

/// What helps where the blank after a dash is missing.
fn undashed(text: &str) -> Option<String> {
    let rest = text.strip_prefix('-')?;
    let item = rest.starts_with(|c: char| c == '{' || c == '[' || c.is_ascii_alphabetic());
    let shown: String = rest
        .chars()
        .take_while(|c| c.is_ascii_alphanumeric() || "{[_".contains(*c))
        .take(40)
        .collect();
    item.then(|| format!("{DASH} `- {shown}`"))
}

/// The same for the line of a byte, in a text that is no YAML.
pub(crate) fn undashed_line(text: &str, at: usize) -> Option<String> {
    let start = text.get(..at)?.rfind('\n').map_or(0, |line| line + 1);
    let line = text.get(start..)?.lines().next()?.trim_start();
    undashed(line).filter(|_| line.starts_with("-{") || line.starts_with("-["))
}
