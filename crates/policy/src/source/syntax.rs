//! Texts that are not YAML (or JSON, which is YAML): where the fault is, and what would help.

use granit_parser::{ErrorKind, ScanError};

use super::blanks;
use super::diagnostic::{Code, Report, Span};

const INDENT: &str = "the keys of one map begin in the same column, and what is inside one is further in";
const TAB: &str = "indent with spaces: a tab is no indentation in YAML";
const QUOTED: &str = "write the text in double quotes and each `\"` in it as `\\\"`, or in single quotes and each `'` in it twice";
const UNCLOSED: &str = "a text ends with the quote that it begins with; a quote in it is `\\\"` in double quotes and `''` in single ones";
const CHARACTER: &str = "no text begins with this character in YAML: put it in quotes";
const ESCAPE: &str =
    "in double quotes a backslash begins an escape: write `\\\\` for one, or use single quotes";
const BRACKET: &str = "each `[` needs its `]` and each `{` its `}`, in the order in which they were opened";
const COMMA: &str = "what is in brackets is separated by commas: `[a, b]`, `{ a: 1, b: 2 }`";
const VARIABLE: &str = "in `{ }` and `[ ]` a variable is written in quotes:";
const COLON: &str =
    "a key is followed by `:` and a space, as in `rate: 10/s`; put a text that holds `: ` in quotes";
const VALUE: &str = "write a value here, or put the text in quotes";
const DASH: &str =
    "the items of a list begin with `- ` in the same column; keys of one item stand below its first key";
const BLOCK: &str = "after `|` or `>` comes a new line, and then the text, further in than its key";
const TAG: &str = "remove the tag: quotes make a value text";
const DIRECTIVE: &str = "remove the line: a file is YAML 1.2 without saying so";
const SPACE: &str = "a space separates it from what stands before";
const AFTER: &str = "no text goes on after a comment: what comes next is a key, in the column of its map, indented with plain spaces";
const NAME: &str =
    "`&name` names a value and `*name` repeats it; put a text that begins with either in quotes";
const DEEP: &str = "write it with fewer levels of nesting";
const GENERAL: &str = "check the indentation, quotes and brackets here and on the line before";

/// Reports why a text cannot be parsed.
pub(super) fn say(file: u32, text: &str, error: &ScanError, report: &mut Report) {
    let at = error.marker().byte_offset().unwrap_or(0).min(text.len());
    let kind = error.kind();
    if let Some((at, c)) = blanks::near(text, at) {
        odd_blank(Span::new(file, at, at + c.len_utf8()), c, report);
        return;
    }
    let tab = tab_at(text, at, kind);
    let at = tab.unwrap_or(at);
    let help = match (tab, variable_at(text, at)) {
        (Some(_), _) => TAB.to_owned(),
        (None, Some(variable)) => format!("{VARIABLE} `\"{variable}\"`"),
        (None, None) => blanks::undashed_line(text, at).unwrap_or_else(|| remedy(kind, text, at)),
    };
    let length = text
        .get(at..)
        .and_then(|rest| rest.chars().next())
        .map_or(1, char::len_utf8);
    report
        .error(
            Code::Syntax,
            Span::new(file, at, (at + length).min(text.len())),
            error.info(),
        )
        .help(help);
}

/// Reports what looks like a blank and is none.
pub(super) fn odd_blank(span: Span, c: char, report: &mut Report) {
    report
        .error(Code::Syntax, span, blanks::told(c))
        .help(blanks::REMEDY);
}

/// The tab that a line is indented with, if that is what the parser stumbled over: it names the
/// place where what stands before began.
fn tab_at(text: &str, at: usize, kind: &ErrorKind) -> Option<usize> {
    let about_tabs = matches!(
        kind,
        ErrorKind::TabNotAllowed
            | ErrorKind::TabInBlockIndentation
            | ErrorKind::TabInIndentation
            | ErrorKind::TabInPlainScalar
            | ErrorKind::TabAtBlockScalarStart
    );
    let start = text.get(..at)?.rfind('\n').map_or(0, |line| line + 1);
    let mut line_at = start;
    // The line itself, and the next one that is not empty.
    for line in text.get(start..)?.split_inclusive('\n').take(16) {
        let indent = line.len() - line.trim_start_matches([' ', '\t']).len();
        if let Some(tab) = line.get(..indent).and_then(|indent| indent.find('\t'))
            && about_tabs
            && !line.trim().is_empty()
        {
            return Some(line_at + tab);
        }
        line_at += line.len();
    }
    None
}

/// The value with a variable, without quotes, that the parser stumbled over: to it `{` and `}` in brackets
/// are brackets.
fn variable_at(text: &str, at: usize) -> Option<&str> {
    let start = text.get(..at)?.rfind('\n').map_or(0, |line| line + 1);
    let line = text.get(start..)?.lines().next()?;
    let column = at - start;
    let ends = |from: usize| {
        let name = line.get(from + 2..)?;
        let length = name.find(|c: char| !(c.is_ascii_alphanumeric() || "_-".contains(c)))?;
        let end = from + 2 + length;
        (length > 0 && line.get(end..)?.starts_with('}')).then_some(end + 1)
    };
    // The parser names its `{`, what stands in it, or what comes after it.
    let (from, end) = line
        .match_indices("${")
        .filter_map(|(from, _)| Some((from, ends(from)?)))
        .find(|(from, end)| *from <= column && column <= *end)?;
    let before = line.get(..from)?;
    let value = before
        .rfind([' ', ',', '[', '{', '"', '\'', ':'])
        .map_or(0, |at| at + 1);
    let bracketed = before.contains(['{', '[']) && !before.ends_with(['"', '\'']);
    let rest = line.get(end..)?;
    let end = end + rest.find([' ', ',', ']', '}', '"', '\'']).unwrap_or(rest.len());
    bracketed.then(|| line.get(value..end))?
}

fn remedy(kind: &ErrorKind, text: &str, at: usize) -> String {
    use ErrorKind as E;
    let help = match kind {
        E::TabNotAllowed
        | E::TabInBlockIndentation
        | E::TabInIndentation
        | E::TabInPlainScalar
        | E::TabAtBlockScalarStart => TAB,
        E::UnclosedQuotedScalar => UNCLOSED,
        E::InvalidTrailingSingleQuotedScalar
        | E::InvalidTrailingDoubleQuotedScalar
        | E::DocumentIndicatorInQuotedScalar
        | E::InvalidQuotedScalarIndent => quoted(text, at, kind),
        E::UnknownQuotedScalarEscape
        | E::InvalidQuotedScalarHexEscape
        | E::InvalidLowSurrogateHexEscape
        | E::InvalidLowSurrogate
        | E::MissingLowSurrogate
        | E::UnpairedLowSurrogate
        | E::InvalidUnicodeEscape => ESCAPE,
        E::UnclosedFlowCollection { .. }
        | E::MisplacedFlowCollectionEnd
        | E::MismatchedFlowCollectionEnd { .. }
        | E::UnexpectedEofFlowSequence
        | E::UnexpectedEofFlowMapping => BRACKET,
        E::ExpectedFlowMappingSeparator
        | E::ExpectedFlowSequenceSeparator
        | E::UnexpectedEofImplicitFlowMapping
        | E::BlockEntryInFlowCollection => COMMA,
        E::SimpleKeyExpected
        | E::InvalidSimpleKey
        | E::MappingKeyNotAllowed
        | E::InvalidMappingValueWhitespace
        | E::FlowMappingValueAdjacentCollection
        | E::InvalidColonPlacement => COLON,
        E::MappingValueNotAllowed => return value_not_allowed(text, at),
        E::ExpectedBlockSequenceEntry
        | E::BlockSequenceEntryNotAllowed
        | E::InvalidBlockEntryWhitespace
        | E::PlainScalarStartsWithDashFlowIndicator => DASH,
        E::ExpectedBlockMappingKey
        | E::InvalidIndentation
        | E::InvalidFlowScalarIndent
        | E::UnexpectedEofBlockMapping
        | E::UnexpectedEofBlockSequence => INDENT,
        E::ZeroBlockScalarIndent | E::InvalidBlockScalarHeader | E::InvalidBlockScalarIndent => BLOCK,
        E::ExpectedNodeContent | E::UnexpectedEndOfPlainScalar => VALUE,
        E::UnexpectedCharacter { .. } => CHARACTER,
        E::CommentInterceptedScalar => AFTER,
        E::CommentNotSeparated | E::ExpectedWhitespace => SPACE,
        E::UnknownAnchor | E::MissingAnchorOrAliasName => NAME,
        E::DirectiveDisallowed | E::InvalidDirectiveTerminator | E::MissingDirectiveName => DIRECTIVE,
        E::UndeclaredTagHandle | E::ExpectedTagBang | E::MissingTagUri | E::InvalidTagTerminator => TAG,
        E::RecursionLimitExceeded => DEEP,
        _ => GENERAL,
    };
    help.to_owned()
}

/// In brackets a second text after a quoted one lacks a comma; elsewhere the quotes are wrong.
fn quoted(text: &str, at: usize, kind: &ErrorKind) -> &'static str {
    let trailing = matches!(
        kind,
        ErrorKind::InvalidTrailingSingleQuotedScalar | ErrorKind::InvalidTrailingDoubleQuotedScalar
    );
    match text.get(at..).and_then(|rest| rest.chars().next()) {
        Some('"' | '\'' | '{' | '[') if trailing => COMMA,
        _ => QUOTED,
    }
}

/// A second `:` on a line, or a key that is further in than the one before, which has a value.
fn value_not_allowed(text: &str, at: usize) -> String {
    let start = text
        .get(..at)
        .and_then(|before| before.rfind('\n'))
        .map_or(0, |line| line + 1);
    let lines = text.get(..start).unwrap_or("").lines();
    let before = lines
        .rev()
        .find(|line| !line.trim().is_empty())
        .unwrap_or("")
        .trim();
    let word = |text: &str| {
        !text.is_empty()
            && text
                .bytes()
                .all(|b| b.is_ascii_alphanumeric() || b"_-".contains(&b))
    };
    let glued = before
        .split_once(':')
        .filter(|(key, value)| word(key) && value.starts_with(|c: char| c.is_ascii_alphanumeric()));
    match glued {
        Some((key, _)) if !before.contains(": ") => {
            format!("on the line before, write a space after `{key}:`")
        }
        _ if text.get(start..at).is_some_and(|line| line.contains(": ")) => COLON.to_owned(),
        _ => INDENT.to_owned(),
    }
}
