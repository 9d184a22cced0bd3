//! Indentation, and the rest of the layout.

use std::fmt;

use super::flow;
use crate::outline::{Kind, Node, Stop, outlined};

/// How much deeper each level is.
const STEP: usize = 2;
/// Where more than blanks would change: a comma before a closing bracket, say.
const MORE: &str =
    "this would be spelt otherwise: write it as `{ a: 1, b: 2 }` or `[a, b]`, without a comma at the end";
/// Where blanks are part of what is meant.
const MEANT: &str = "its blanks are part of what this stands for: write it on one line, or as a block (`|`)";
const NESTED: &str = "a list begins on the line of another one: begin it on a line of its own";
const BELOW: &str = "this item begins below its dash: begin it behind the dash, on its line";
const EXPLICIT: &str = "a key is written with `?`: write it as `key: value`";
const MARKED: &str = "an anchor or a tag stands before this: take it away, or put it on the line above";
/// YAML takes it for the end of a line, and editors and Git do not.
const RETURN: &str = "a line ends in a carriage return alone: save the file with LF or CRLF, which editors call its line endings";
const LEFT: &str = "this goes on what begins above, and stands further left: indent it";

/// A place in a text, both from 1.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct At {
    pub(super) line: u32,
    /// In characters.
    pub(super) column: u32,
}

impl At {
    fn of(text: &str, byte: usize) -> Self {
        let before = text.get(..byte).unwrap_or(text);
        let line = before.rsplit('\n').next().unwrap_or_default();
        let number = |count: usize| u32::try_from(count + 1).unwrap_or(u32::MAX);
        Self {
            line: number(before.matches('\n').count()),
            column: number(line.chars().count()),
        }
    }

    /// Where a text first differs from another one.
    pub(super) fn of_difference(text: &str, other: &str) -> Self {
        let mut others = other.chars();
        let here = text.char_indices().find(|(_, c)| others.next() != Some(*c));
        Self::of(text, here.map_or(text.len(), |(at, _)| at))
    }
}

impl fmt::Display for At {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}:{}", self.line, self.column)
    }
}

/// Why a text is left as it is, and where that stands in it.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Left {
    pub(super) at: At,
    pub(super) why: String,
}

/// What stands at a byte of a text keeps it from being laid out.
struct Fault {
    at: usize,
    why: &'static str,
}

/// The text, laid out; or why it is left as it is.
pub(super) fn format(text: &str) -> Result<String, Left> {
    // Lines end as they do: how, is Git's business (`core.autocrlf`). Where both are, the one of all others is meant.
    let breaks = text.matches('\n').count();
    if breaks > 0 && text.matches("\r\n").count() == breaks {
        return plain(text).map(|new| new.replace('\n', "\r\n"));
    }
    plain(text)
}

/// The text, laid out, each line ended by a line feed alone.
fn plain(text: &str) -> Result<String, Left> {
    let text = text
        .strip_prefix('\u{feff}')
        .unwrap_or(text)
        .replace("\r\n", "\n");
    if text.trim().is_empty() {
        return Err(left(&text, 0, "it says nothing"));
    }
    if let Some(at) = text.find('\r') {
        return Err(left(&text, at, RETURN));
    }
    let before = outlined(&text).map_err(|Stop { at, why }| left(&text, at, why))?;
    let mut spelt = text.clone();
    for (range, new) in flow::edits(&before, &text).into_iter().rev() {
        if spelt.get(range.clone()).is_none() {
            return Err(left(&text, range.start, MORE));
        }
        spelt.replace_range(range, &new);
    }
    // Nothing but blanks may change, and nothing of what it means.
    blanks_alone(&text, &spelt)?;
    let in_spelt = |at, why| left(&text, counterpart(&spelt, at, &text), why);
    let root = outlined(&spelt).map_err(|stop| in_spelt(stop.at, MORE))?;
    let mut layout = Layout::new(&spelt);
    layout
        .node(&root, 0)
        .map_err(|Fault { at, why }| in_spelt(at, why))?;
    let new = layout.finish().map_err(|Fault { at, why }| in_spelt(at, why))?;
    blanks_alone(&text, &new)?;
    let after = outlined(&new).map_err(|stop| left(&text, counterpart(&new, stop.at, &text), MEANT))?;
    match difference(&before, &after) {
        None => Ok(new),
        Some(at) => Err(left(&text, at, MEANT)),
    }
}

fn left(text: &str, at: usize, why: impl Into<String>) -> Left {
    Left {
        at: At::of(text, at),
        why: why.into(),
    }
}

/// Everything but blanks, each with its byte.
fn bare(text: &str) -> impl Iterator<Item = (usize, char)> {
    text.char_indices().filter(|(_, c)| !c.is_whitespace())
}

/// What stands at a byte of one text, in another that differs from it by blanks only.
fn counterpart(one: &str, at: usize, other: &str) -> usize {
    let before = bare(one.get(..at).unwrap_or(one)).count();
    bare(other).nth(before).map_or(other.len(), |(at, _)| at)
}

/// Fails where another text has more or less than other blanks.
fn blanks_alone(text: &str, new: &str) -> Result<(), Left> {
    let mut others = bare(new);
    let here = bare(text).find(|(_, c)| others.next().is_none_or(|(_, other)| *c != other));
    match here {
        Some((at, _)) => Err(left(text, at, MORE)),
        None if others.next().is_some() => Err(left(text, text.trim_end().len(), MORE)),
        None => Ok(()),
    }
}

/// Where an outline first says something else than another one.
fn difference(one: &Node, other: &Node) -> Option<usize> {
    let here = Some(one.bytes.start);
    match (&one.kind, &other.kind) {
        (
            Kind::Scalar { text, plain },
            Kind::Scalar {
                text: other,
                plain: too,
            },
        ) if text == other && plain == too => None,
        (Kind::List { items, .. }, Kind::List { items: others, .. }) => {
            let mut pairs = items.iter().zip(others);
            let inside = pairs.find_map(|(one, other)| difference(one, other));
            inside.or_else(|| here.filter(|_| items.len() != others.len()))
        }
        (Kind::Map { entries, .. }, Kind::Map { entries: others, .. }) => {
            let mut pairs = entries.iter().zip(others);
            let inside = pairs.find_map(|((key, value), (other, too))| {
                difference(key, other).or_else(|| difference(value, too))
            });
            inside.or_else(|| here.filter(|_| entries.len() != others.len()))
        }
        _ => here,
    }
}

/// Why something is not placed that has this before it on its line.
fn why_not(before: &str) -> &'static str {
    if before.is_empty() {
        BELOW
    } else if before.split_whitespace().all(|word| word == "-") {
        NESTED
    } else if before.contains('?') {
        EXPLICIT
    } else {
        MARKED
    }
}

/// What a line is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Line {
    /// Nothing that is known: blank, or a comment.
    Loose,
    /// Begins a key or an item, which belongs there.
    At(usize),
    /// Goes on what another line began, and moves with it.
    With(usize),
}

struct Layout<'t> {
    lines: Vec<&'t str>,
    starts: Vec<usize>,
    kinds: Vec<Line>,
}

impl<'t> Layout<'t> {
    fn new(text: &'t str) -> Self {
        let lines: Vec<_> = text.split('\n').collect();
        let starts = lines
            .iter()
            .scan(0, |at, line| {
                let start = *at;
                *at += line.len() + 1;
                Some(start)
            })
            .collect();
        Self {
            kinds: vec![Line::Loose; lines.len()],
            lines,
            starts,
        }
    }

    fn line_of(&self, at: usize) -> usize {
        self.starts
            .partition_point(|start| *start <= at)
            .saturating_sub(1)
    }

    /// What stands before a place on its line.
    fn before(&self, at: usize) -> &'t str {
        let line = self.line_of(at);
        let start = self.starts.get(line).copied().unwrap_or(at);
        self.lines
            .get(line)
            .and_then(|text| text.get(..at.saturating_sub(start)))
            .unwrap_or("")
    }

    fn place(&mut self, line: usize, indent: usize) {
        if let Some(kind) = self.kinds.get_mut(line).filter(|kind| **kind == Line::Loose) {
            *kind = Line::At(indent);
        }
    }

    fn node(&mut self, node: &Node, indent: usize) -> Result<(), Fault> {
        match &node.kind {
            Kind::Map { flow: false, entries } => entries.iter().try_for_each(|(key, value)| {
                let line = self.line_of(key.bytes.start);
                let before = self.before(key.bytes.start).trim();
                // Beside a dash it is the dash that is placed.
                if before.is_empty() {
                    self.place(line, indent);
                } else if before != "-" {
                    let (at, why) = (key.bytes.start, why_not(before));
                    return Err(Fault { at, why });
                }
                self.value(value, line, indent + STEP)
            }),
            Kind::List { flow: false, items } => items.iter().try_for_each(|item| {
                let line = self.line_of(item.bytes.start);
                let before = self.before(item.bytes.start).trim();
                if before != "-" {
                    let (at, why) = (item.bytes.start, why_not(before));
                    return Err(Fault { at, why });
                }
                self.place(line, indent);
                self.value(item, line, indent + STEP)
            }),
            _ => {
                let line = self.line_of(node.bytes.start);
                self.place(line, indent);
                self.value(node, line, indent)
            }
        }
    }

    /// What a key or a dash on a line has.
    fn value(&mut self, value: &Node, line: usize, indent: usize) -> Result<(), Fault> {
        match &value.kind {
            Kind::Map { flow: false, .. } | Kind::List { flow: false, .. } => self.node(value, indent),
            _ => {
                let end = value.bytes.end.saturating_sub(1).max(value.bytes.start);
                let last = if value.bytes.is_empty() {
                    line
                } else {
                    self.line_of(end)
                };
                for kind in self.kinds.iter_mut().take(last + 1).skip(line + 1) {
                    *kind = Line::With(line);
                }
                Ok(())
            }
        }
    }

    /// The text, each line where it belongs.
    fn finish(self) -> Result<String, Fault> {
        let indent = |line: &str| line.len() - line.trim_start_matches(' ').len();
        // How far lines are moved that have a place, by what they were.
        let moved = |index: usize| match (self.kinds.get(index), self.lines.get(index)) {
            (Some(Line::At(new)), Some(line)) => Some((indent(line), *new)),
            _ => None,
        };
        let mut text = String::with_capacity(self.starts.last().copied().unwrap_or(0) + 64);
        let mut blank = false;
        for (index, (line, kind)) in self.lines.iter().zip(&self.kinds).enumerate() {
            if line.trim().is_empty() && !matches!(kind, Line::With(_)) {
                blank = !text.is_empty();
                continue;
            }
            if std::mem::take(&mut blank) {
                text.push('\n');
            }
            match *kind {
                Line::At(new) => {
                    text.extend(std::iter::repeat_n(' ', new));
                    let rest = line.trim();
                    match rest.strip_prefix("- ") {
                        Some(item) => {
                            text.push_str("- ");
                            text.push_str(item.trim_start());
                        }
                        None => text.push_str(rest),
                    }
                }
                Line::With(first) => {
                    // Blanks at the end may be part of the text.
                    let (was, is) = moved(first).unwrap_or_default();
                    if !line.trim().is_empty() {
                        let its = (indent(line) + is).checked_sub(was).ok_or_else(|| Fault {
                            at: self.starts.get(index).map_or(0, |start| start + indent(line)),
                            why: LEFT,
                        })?;
                        text.extend(std::iter::repeat_n(' ', its));
                        text.push_str(line.trim_start_matches(' '));
                    }
                }
                Line::Loose => {
                    let its = indent(line);
                    // A comment goes with what follows it, or else with what stands before it, in its column.
                    let mut near = (index + 1..self.lines.len())
                        .find_map(moved)
                        .into_iter()
                        .chain((0..index).rev().filter_map(moved));
                    let new = near
                        .find(|(was, _)| *was == its)
                        .map_or(its / STEP * STEP, |(_, new)| new);
                    text.extend(std::iter::repeat_n(' ', new));
                    text.push_str(line.trim());
                }
            }
            text.push('\n');
        }
        Ok(text)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_blanks_change() {
        for (text, expected) in [
            ("a: 1", "a: 1\n"),
            ("\n\na: 1\n\n\n\nb: 2   \n\n", "a: 1\n\nb: 2\n"),
            (
                "a:\r\n    b: 1\r\n    c:\r\n          d: 2\r\n",
                "a:\r\n  b: 1\r\n  c:\r\n    d: 2\r\n",
            ),
            ("a: |\r\n  x\r\nb:   1", "a: |\r\n  x\r\nb: 1\r\n"),
            ("a: 1\r\nb: 2\nc: 3\r\n", "a: 1\nb: 2\nc: 3\n"),
            (
                "a:\n- b: 1\n  c: 2\n-   d: 3\n    e: 4\n",
                "a:\n  - b: 1\n    c: 2\n  - d: 3\n    e: 4\n",
            ),
            (
                "a:    1\nb :  2\n\"c\":\t3\nd:  |\n  x\ne:   # there\n  - 1\n",
                "a: 1\nb: 2\n\"c\": 3\nd: |\n  x\ne:   # there\n  - 1\n",
            ),
            ("a:\n  -    b:   1\n", "a:\n  - b: 1\n"),
            ("a: >\n    x\n    y\n", "a: >\n    x\n    y\n"),
            ("a:   [x]\nb:   {c:   1}\n", "a: [x]\nb: { c: 1 }\n"),
            ("a: {b: 1,c: [ x,  y ]}\n", "a: { b: 1, c: [x, y] }\n"),
            ("a: { }\nb: [ ]\n", "a: {}\nb: []\n"),
            ("a: {\"b\":1}\n", "a: { \"b\": 1 }\n"),
            (
                "# one\na:\n    # two\n    b: 1   # three\n    # four\nc: 2\n",
                "# one\na:\n  # two\n  b: 1   # three\n  # four\nc: 2\n",
            ),
            (
                "a:\n    b: |\n        x\n          y  \n\n        z\n    c: 1\n",
                "a:\n  b: |\n      x\n        y  \n\n      z\n  c: 1\n",
            ),
            ("a:\n  - one\n  -   two\n", "a:\n  - one\n  - two\n"),
            ("a: {\n  b: 1,\n  c: 2\n}\n", "a: {\n  b: 1,\n  c: 2\n}\n"),
            ("a: \"x: { y }\"  # { z}\n", "a: \"x: { y }\"  # { z}\n"),
            ("- a: 1\n- b: 2\n", "- a: 1\n- b: 2\n"),
        ] {
            assert_eq!(format(text).as_deref(), Ok(expected), "{text}");
            assert_eq!(format(expected).as_deref(), Ok(expected), "{text}");
        }
    }

    #[test]
    fn where_a_text_is_laid_out_otherwise() {
        for (text, place) in [
            ("é:  1\n", "1:4"),
            ("a: 1\nb:\n- c\n", "3:1"),
            ("a: 1\n\n\n", "2:1"),
            ("a: 1", "1:5"),
            ("a: 1\r\nb: 2\n", "1:5"),
        ] {
            let new = format(text).unwrap();
            assert_eq!(At::of_difference(text, &new).to_string(), place, "{text}");
        }
    }

    #[test]
    fn what_is_not_plain_is_left() {
        for (text, place, why) in [
            ("", (1, 1), "it says nothing"),
            ("# nothing\n", (1, 1), "it says nothing"),
            ("a: &x 1\nb: *x\n", (2, 4), "an alias stands here"),
            ("a: 1\n---\nb: 2\n", (2, 1), "another document begins here"),
            ("a: [1\n", (1, 4), "this is no YAML: "),
            ("a: 1\nb:\n  - - a\n", (3, 7), NESTED),
            ("a: {b: 1}\n? {c: é,d: 2}\n: 3\n", (2, 3), EXPLICIT),
            ("a:   1\n&x b: 2\n", (2, 4), MARKED),
            ("a:\n  - &x\n    b: 1\n", (3, 5), BELOW),
            ("a:\n  - &x b: 1\n", (2, 8), MARKED),
            ("é: 1\na: {b: 1,}\n", (2, 9), MORE),
            ("a:\r\n        b: [1,\r\n  2]\r\n", (3, 3), LEFT),
        ] {
            let left = format(text).unwrap_err();
            assert_eq!((left.at.line, left.at.column), place, "{text}");
            assert!(left.why.starts_with(why), "{text}: {}", left.why);
        }
    }
}
