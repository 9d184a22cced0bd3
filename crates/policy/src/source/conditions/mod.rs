//! Conditions as they are written: a small part of CEL, typed, and checked against what issuers declare.
//!
//! What is not here is not forgotten: there is no way to ask whether a claim exists, no function but
//! `startsWith`, no arithmetic and no choice, so that whatever is written ends, and none of it holds because
//! something is missing (docs/decisions/0010-conditions.md).

mod lexer;
mod parser;

use std::ops::Range;

use super::claims::Declared;
use super::diagnostic::{Code, Report, Span};
use super::reader::{Read, Reader};
use super::yaml::Node;
use crate::{Comparison, Condition, Operand};

/// The most bytes of one condition.
const MAX_LENGTH: usize = 1024;
/// The most values and negations in one.
const MAX_NODES: u32 = 64;
/// How deeply parentheses and negations nest.
const MAX_DEPTH: u32 = 16;

/// What is wrong in a condition, and where in its text.
#[derive(Debug)]
struct Wrong {
    code: Code,
    range: Range<usize>,
    message: String,
    help: Option<String>,
}

impl Wrong {
    fn new(code: Code, range: Range<usize>, message: impl Into<String>) -> Self {
        Self {
            code,
            range,
            message: message.into(),
            help: None,
        }
    }

    fn syntax(range: Range<usize>, message: impl Into<String>) -> Self {
        Self::new(Code::BadCondition, range, message)
    }

    fn help(mut self, help: impl Into<String>) -> Self {
        self.help = Some(help.into());
        self
    }
}

/// What a condition that could be read comes to.
#[derive(Debug)]
struct Parsed {
    condition: Condition,
    /// The parameters of paths that it names, and where.
    parameters: Vec<(String, Range<usize>)>,
    /// Where it first asks for the method.
    method: Option<Range<usize>>,
    /// What is wrong with its types and names.
    wrong: Vec<Wrong>,
}

/// Reads a condition by its form alone, as if every claim that it names were what it must be.
///
/// # Errors
///
/// Says what is wrong with it.
pub fn parse(text: &str) -> Result<Condition, String> {
    let parsed = parser::parse(text, None).map_err(|wrong| wrong.message)?;
    match parsed.wrong.into_iter().next() {
        Some(wrong) => Err(wrong.message),
        None => Ok(parsed.condition),
    }
}

/// The text of a condition, and where each byte of it stands in its file.
#[derive(Clone, Debug)]
pub(crate) struct ConditionText {
    text: String,
    at: Span,
    /// By byte of the text; none where text and file are too different.
    places: Option<Vec<usize>>,
}

impl Read for ConditionText {
    fn expects() -> String {
        "a condition such as `claims.department == 'stores'`".to_owned()
    }

    fn schema() -> serde_json::Value {
        serde_json::json!({ "type": "string" })
    }

    fn read(node: &Node, reader: &mut Reader) -> Option<Self> {
        Self::read_by(node, reader, |text| parser::parse(text, None).map(|_| ()))
    }
}

impl ConditionText {
    /// Reads a text whose form is checked by `parse` wherever it is written; what it names is, only where it is
    /// used.
    fn read_by(node: &Node, reader: &mut Reader, parse: impl Fn(&str) -> Result<(), Wrong>) -> Option<Self> {
        let text = reader.text(node, &Self::expects())?;
        let written = node.text().unwrap_or_default();
        if written.contains("${") && !lexer::same_shape(written, &text) {
            reader
                .report
                .error(
                    Code::BadCondition,
                    node.span,
                    "a value becomes a part of this condition that is neither a text in quotes nor a number",
                )
                .help("write `'${name}'`, and give it a value without quotes and backslashes");
            return None;
        }
        let places = reader
            .report
            .text(node.span)
            .and_then(|written| places(written, &text));
        let read = Self {
            text,
            at: node.span,
            places,
        };
        match parse(&read.text) {
            Ok(()) => Some(read),
            Err(wrong) => {
                read.report(&wrong, &mut reader.report);
                None
            }
        }
    }
}

/// A condition that is right, as far as it is the same for all operations.
pub(crate) struct Checked {
    /// None if something was wrong with its types, and was reported.
    pub(crate) condition: Option<Condition>,
    /// The parameters of paths that it names, and where.
    pub(crate) parameters: Vec<(String, Span)>,
    /// Where it first asks for the method.
    pub(crate) method: Option<Span>,
}

impl ConditionText {
    /// Checks it against what issuers declare; none: that is not known.
    pub(crate) fn check(&self, declared: Option<&Declared>, report: &mut Report) -> Checked {
        let nothing = Checked {
            condition: None,
            parameters: Vec::new(),
            method: None,
        };
        // What cannot be read was reported as it was.
        let Ok(parsed) = parser::parse(&self.text, declared) else {
            return nothing;
        };
        for wrong in &parsed.wrong {
            self.report(wrong, report);
        }
        let parameters = parsed.parameters.into_iter();
        Checked {
            condition: parsed.wrong.is_empty().then_some(parsed.condition),
            parameters: parameters
                .map(|(name, range)| (name, self.span(&range)))
                .collect(),
            method: parsed.method.map(|range| self.span(&range)),
        }
    }

    fn report(&self, wrong: &Wrong, report: &mut Report) {
        report
            .error(wrong.code, self.span(&wrong.range), &wrong.message)
            .help(
                wrong
                    .help
                    .as_deref()
                    .unwrap_or("docs/policy.md shows how conditions are written"),
            );
    }

    /// Where a part of it stands in its file.
    fn span(&self, range: &Range<usize>) -> Span {
        let found = self.places.as_ref().and_then(|places| {
            let start = *places.get(range.start).or(places.last())?;
            let end = places.get(range.end.checked_sub(1)?)? + 1;
            (start < end).then_some((start, end))
        });
        match found {
            Some((start, end)) => Span::new(self.at.file, self.at.start + start, self.at.start + end),
            None => self.at,
        }
    }
}

/// A claim that stands by itself: `claims.sub`.
#[derive(Clone, Debug)]
pub(crate) struct ClaimText(ConditionText);

impl Read for ClaimText {
    fn expects() -> String {
        "a claim such as `claims.sub`".to_owned()
    }

    fn schema() -> serde_json::Value {
        serde_json::json!({ "type": "string" })
    }

    fn read(node: &Node, reader: &mut Reader) -> Option<Self> {
        ConditionText::read_by(node, reader, |text| parser::claim(text, None).map(|_| ())).map(Self)
    }
}

impl ClaimText {
    /// The path of the claim, if issuers declare it; none: that is not known.
    pub(crate) fn check(&self, declared: Option<&Declared>, report: &mut Report) -> Option<Vec<String>> {
        let (path, wrong) = parser::claim(&self.0.text, declared).ok()?;
        for wrong in &wrong {
            self.0.report(wrong, report);
        }
        wrong.is_empty().then_some(path)
    }
}

/// A claim or a parameter of the path that stands by itself: `claims.sub`, `request.params.petId`.
#[derive(Clone, Debug)]
pub(crate) struct FactText(ConditionText);

impl Read for FactText {
    fn expects() -> String {
        "a claim such as `claims.sub`, or a parameter such as `request.params.petId`".to_owned()
    }

    fn schema() -> serde_json::Value {
        serde_json::json!({ "type": "string" })
    }

    fn read(node: &Node, reader: &mut Reader) -> Option<Self> {
        let read = ConditionText::read_by(node, reader, |text| {
            parser::parse(&compared(text), None).map(|_| ())
        })?;
        let parsed = parser::parse(&compared(&read.text), None).ok()?;
        if fact(parsed.condition).is_none() {
            let message = format!("expected {}", Self::expects());
            reader
                .report
                .error(Code::BadCondition, node.span, message)
                .help("write for example `claims.sub`");
            return None;
        }
        Some(Self(read))
    }
}

impl FactText {
    /// What it is, if that is a text; none: something is wrong, and was reported.
    pub(crate) fn check(&self, declared: Option<&Declared>, report: &mut Report) -> Option<Operand> {
        let parsed = parser::parse(&compared(&self.0.text), declared).ok()?;
        for wrong in &parsed.wrong {
            self.0.report(wrong, report);
        }
        fact(parsed.condition).filter(|_| parsed.wrong.is_empty())
    }
}

/// The condition that only a text can stand in.
fn compared(text: &str) -> String {
    format!("{text} == ''")
}

fn fact(condition: Condition) -> Option<Operand> {
    match condition {
        Condition::Compare(
            fact @ (Operand::Claim(_) | Operand::Parameter(_)),
            Comparison::Equal,
            Operand::Text(text),
        ) if text.is_empty() => Some(fact),
        _ => None,
    }
}

/// Where each byte of a text stands in what is written for it in YAML: quotes, escapes of one character and
/// folded lines are seen through.
fn places(written: &str, text: &str) -> Option<Vec<usize>> {
    let style = written.chars().next()?;
    let mut at = match style {
        '\'' | '"' => 1,
        '>' | '|' => written.find('\n')?,
        _ => 0,
    };
    let blank = |at: usize| {
        let rest = written.get(at..).unwrap_or_default();
        rest.len() - rest.trim_start_matches([' ', '\t', '\r', '\n']).len()
    };
    if matches!(style, '>' | '|') {
        at += blank(at);
    }
    let mut places = Vec::with_capacity(text.len());
    for c in text.chars() {
        let next = written.get(at..)?.chars().next();
        let length = match next {
            // A line that was folded, or kept, and the indentation of the next one.
            Some('\n' | '\r' | ' ') if matches!(c, ' ' | '\n') => match written.get(at..at + blank(at)) {
                Some(skipped) if skipped.contains('\n') => skipped.len(),
                _ => 1,
            },
            Some('\\') if style == '"' && matches!(c, '"' | '\\') => {
                at += 1;
                c.len_utf8()
            }
            Some('\'') if style == '\'' && c == '\'' => 2,
            Some(next) if next == c => c.len_utf8(),
            // The last line of a block ends, and the file with it.
            None if c == '\n' => 0,
            _ => return None,
        };
        places.extend((0..c.len_utf8()).map(|byte| at + byte));
        at += length;
    }
    Some(places)
}

#[cfg(test)]
mod tests;
