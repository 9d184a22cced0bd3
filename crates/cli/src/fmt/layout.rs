//! Indentation, and the rest of the layout.

use super::flow;
use crate::outline::{Kind, Node, outline};

/// How much deeper each level is.
const STEP: usize = 2;
const UNKNOWN: &str = "it is not one plain YAML document (`turnpike check` says what is wrong with it)";
const SHAPE: &str = "its shape is not plainly understood";

/// The text, laid out; or why it is left as it is.
pub(super) fn format(text: &str) -> Result<String, &'static str> {
    let text = text
        .strip_prefix('\u{feff}')
        .unwrap_or(text)
        .replace("\r\n", "\n");
    if text.trim().is_empty() {
        return Err("it says nothing");
    }
    let before = outline(&text).ok_or(UNKNOWN)?;
    let mut spelt = text.clone();
    for (range, new) in flow::edits(&before, &text).into_iter().rev() {
        if spelt.get(range.clone()).is_none() {
            return Err(SHAPE);
        }
        spelt.replace_range(range, &new);
    }
    let root = outline(&spelt).ok_or(SHAPE)?;
    let mut layout = Layout::new(&spelt);
    layout.node(&root, 0)?;
    let new = layout.finish()?;
    // Nothing but blanks may change, and nothing of what it means.
    let bare = |text: &str| -> String { text.chars().filter(|c| !c.is_whitespace()).collect() };
    let after = outline(&new).ok_or(SHAPE)?;
    if bare(&new) != bare(&text) || !same(&before, &after) {
        return Err(SHAPE);
    }
    Ok(new)
}

/// Whether two outlines say the same.
fn same(one: &Node, other: &Node) -> bool {
    match (&one.kind, &other.kind) {
        (
            Kind::Scalar { text, plain },
            Kind::Scalar {
                text: other,
                plain: too,
            },
        ) => text == other && plain == too,
        (Kind::List { items, .. }, Kind::List { items: others, .. }) => {
            items.len() == others.len() && items.iter().zip(others).all(|(one, other)| same(one, other))
        }
        (Kind::Map { entries, .. }, Kind::Map { entries: others, .. }) => {
            entries.len() == others.len()
                && entries
                    .iter()
                    .zip(others)
                    .all(|((key, value), (other, too))| same(key, other) && same(value, too))
        }
        _ => false,
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

    fn node(&mut self, node: &Node, indent: usize) -> Result<(), &'static str> {
        match &node.kind {
            Kind::Map { flow: false, entries } => entries.iter().try_for_each(|(key, value)| {
                let line = self.line_of(key.bytes.start);
                let before = self.before(key.bytes.start).trim();
                // Beside a dash it is the dash that is placed.
                if before.is_empty() {
                    self.place(line, indent);
                } else if before != "-" {
                    return Err(SHAPE);
                }
                self.value(value, line, indent + STEP)
            }),
            Kind::List { flow: false, items } => items.iter().try_for_each(|item| {
                let line = self.line_of(item.bytes.start);
                if self.before(item.bytes.start).trim() != "-" {
                    return Err(SHAPE);
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
    fn value(&mut self, value: &Node, line: usize, indent: usize) -> Result<(), &'static str> {
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
    fn finish(self) -> Result<String, &'static str> {
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
                        let its = (indent(line) + is).checked_sub(was).ok_or(SHAPE)?;
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
                "a:\n  b: 1\n  c:\n    d: 2\n",
            ),
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
    fn what_is_not_plain_is_left() {
        for text in [
            "",
            "# nothing\n",
            "a: &x 1\nb: *x\n",
            "a: 1\n---\nb: 2\n",
            "a: [1\n",
            "- - a\n",
        ] {
            assert!(format(text).is_err(), "{text}");
        }
    }
}
