//! The words of a condition.

use std::ops::Range;

use super::Wrong;
use crate::MAX_NUMBER;
use crate::source::secrets::quote;

/// A word of a condition.
#[derive(Clone, Debug, PartialEq)]
pub(super) enum Token<'t> {
    Name(&'t str),
    Text(String),
    Number(f64),
    Symbol(&'static str),
}

impl Token<'_> {
    /// As it is shown.
    pub(super) fn shown(&self) -> String {
        match self {
            Self::Name(name) => quote(name),
            Self::Text(_) => "a text".to_owned(),
            Self::Number(number) => format!("`{number}`"),
            Self::Symbol(symbol) => format!("`{symbol}`"),
        }
    }
}

/// Longer ones first: `<=` is not `<` and `=`.
const SYMBOLS: [&str; 18] = [
    "&&", "||", "==", "!=", "<=", ">=", "<", ">", "!", "(", ")", "[", "]", ",", ".", "-", "&", "|",
];

/// Takes a text apart.
pub(super) fn tokens(text: &str) -> Result<Vec<(Token<'_>, Range<usize>)>, Wrong> {
    let mut found = Vec::new();
    let mut at = 0;
    while let Some(rest) = text.get(at..).filter(|rest| !rest.is_empty()) {
        let blank = rest.len() - rest.trim_start_matches([' ', '\n', '\t']).len();
        if blank > 0 {
            at += blank;
            continue;
        }
        let (token, length) = token(rest, at)?;
        found.push((token, at..at + length));
        at += length;
    }
    Ok(found)
}

/// Whether a text with its variables filled in says the same as before, but for what is in quotes and for
/// numbers: whoever gives a value has no other say in a condition than that value.
pub(super) fn same_shape(written: &str, filled: &str) -> bool {
    let mut plain = String::with_capacity(written.len());
    let mut rest = written;
    while let Some((before, after)) = rest.split_once("${") {
        // `$${` stands for `${` itself.
        if let Some(before) = before.strip_suffix('$') {
            plain.push_str(before);
            plain.push_str("${");
            rest = after;
            continue;
        }
        plain.push_str(before);
        plain.push('0');
        rest = after.split_once('}').map_or("", |(_, rest)| rest);
    }
    plain.push_str(rest);
    let (Ok(plain), Ok(filled)) = (tokens(&plain), tokens(filled)) else {
        return false;
    };
    let same = |one: &Token<'_>, other: &Token<'_>| match (one, other) {
        (Token::Text(_), Token::Text(_)) | (Token::Number(_), Token::Number(_)) => true,
        (one, other) => one == other,
    };
    let mut pairs = plain.iter().zip(&filled);
    plain.len() == filled.len() && pairs.all(|((one, _), (other, _))| same(one, other))
}

fn token(rest: &str, at: usize) -> Result<(Token<'_>, usize), Wrong> {
    let end_of = |wanted: fn(char) -> bool| rest.find(|c| !wanted(c)).unwrap_or(rest.len());
    let first = rest.chars().next().unwrap_or_default();
    if first.is_ascii_alphabetic() || first == '_' {
        let end = end_of(|c| c.is_ascii_alphanumeric() || c == '_');
        return Ok((Token::Name(rest.get(..end).unwrap_or_default()), end));
    }
    if first.is_ascii_digit() {
        return number(rest, at);
    }
    if matches!(first, '\'' | '"') {
        return quoted(rest, first, at);
    }
    if let Some(symbol) = SYMBOLS.into_iter().find(|symbol| rest.starts_with(symbol)) {
        return Ok((Token::Symbol(symbol), symbol.len()));
    }
    let message = format!("{} has no meaning here", quote(&first.to_string()));
    let wrong = Wrong::syntax(at..at + first.len_utf8(), message);
    Err(if first == '=' {
        wrong.help("two values are equal if `==` stands between them")
    } else {
        wrong.help("a text stands in quotes: `claims.department == 'stores'`")
    })
}

fn number(rest: &str, at: usize) -> Result<(Token<'_>, usize), Wrong> {
    let digits = |from: usize| {
        let tail = rest.get(from..).unwrap_or_default();
        from + tail.find(|c: char| !c.is_ascii_digit()).unwrap_or(tail.len())
    };
    let mut end = digits(0);
    let fraction = rest.get(end..).is_some_and(|tail| {
        let mut chars = tail.chars();
        chars.next() == Some('.') && chars.next().is_some_and(|c| c.is_ascii_digit())
    });
    if fraction {
        end = digits(end + 1);
    }
    let whole = rest.get(..end).unwrap_or_default();
    let follows = rest.get(end..).and_then(|tail| tail.chars().next());
    if follows.is_some_and(|c| c.is_ascii_alphabetic() || c == '_') {
        let wrong = Wrong::syntax(at..at + end + 1, "this is neither a number nor a name");
        return Err(wrong.help("numbers are written `3` or `2.5`, without a unit and without an exponent"));
    }
    match whole.parse::<f64>() {
        Ok(number) if number <= MAX_NUMBER => Ok((Token::Number(number), end)),
        _ => {
            let wrong = Wrong::syntax(at..at + end, "this number is too large");
            Err(wrong.help(format!("the largest is {MAX_NUMBER}")))
        }
    }
}

fn quoted(rest: &str, quote: char, at: usize) -> Result<(Token<'_>, usize), Wrong> {
    let mut text = String::new();
    let mut chars = rest.char_indices().skip(1);
    while let Some((place, c)) = chars.next() {
        match c {
            c if c == quote => return Ok((Token::Text(text), place + c.len_utf8())),
            '\\' => match chars.next() {
                Some((_, escaped @ ('\\' | '\'' | '"'))) => text.push(escaped),
                _ => {
                    let wrong = Wrong::syntax(at + place..at + place + 1, "this `\\` escapes nothing");
                    return Err(wrong.help("what can be escaped is `\\\\`, `\\'` and `\\\"`"));
                }
            },
            c if c.is_control() => {
                let range = at + place..at + place + c.len_utf8();
                return Err(Wrong::syntax(range, "a text holds a control character"));
            }
            c => text.push(c),
        }
    }
    Err(Wrong::syntax(at..at + rest.len(), "this text has no end").help(format!("close it with `{quote}`")))
}
