//! Adds a credential to the text of a consumer's file, as a person would have written it.
//!
//! Nothing else in the text changes: comments, order and spacing stay. A text whose shape is not
//! plainly understood is not edited at all.

use std::fmt::Write as _;

use crate::outline::{Kind, Node, outline};

/// An API key as the tree knows it.
#[derive(Debug)]
pub(crate) struct Entry<'a> {
    /// The SHA-256 of the key, in lower case hexadecimal digits.
    pub(crate) sha256: &'a str,
    /// When it ends, as it was asked for.
    pub(crate) expires: Option<&'a str>,
    /// What it may do.
    pub(crate) scopes: &'a [String],
    /// What tells this key from others: `tpk_<id>`.
    pub(crate) label: &'a str,
}

impl Entry<'_> {
    fn fields(&self) -> Vec<(&'static str, String)> {
        let mut fields = vec![("sha256", self.sha256.to_owned())];
        if let Some(expires) = self.expires {
            fields.push(("expires", expires.to_owned()));
        }
        if !self.scopes.is_empty() {
            let scopes: Vec<_> = self.scopes.iter().map(|scope| scalar(scope)).collect();
            fields.push(("scopes", format!("[{}]", scopes.join(", "))));
        }
        fields
    }

    /// `{ key: { sha256: ... } }` without its outer braces.
    fn flow(&self) -> String {
        let fields: Vec<_> = self
            .fields()
            .into_iter()
            .map(|(name, value)| format!("{name}: {value}"))
            .collect();
        format!("key: {{ {} }}", fields.join(", "))
    }

    /// The same as JSON.
    fn json(&self) -> String {
        let quoted = |text: &str| serde_json::Value::from(text).to_string();
        let mut fields = vec![format!("\"sha256\": {}", quoted(self.sha256))];
        if let Some(expires) = self.expires {
            fields.push(format!("\"expires\": {}", quoted(expires)));
        }
        if !self.scopes.is_empty() {
            let scopes: Vec<_> = self.scopes.iter().map(|scope| quoted(scope)).collect();
            fields.push(format!("\"scopes\": [{}]", scopes.join(", ")));
        }
        format!("{{ \"key\": {{ {} }} }}", fields.join(", "))
    }

    /// As an item of a list in brackets.
    fn in_brackets(&self, json: bool) -> String {
        if json {
            self.json()
        } else {
            format!("{{ {} }}", self.flow())
        }
    }

    /// The lines of a list item, each with its end.
    fn item(&self, indent: &str, style: Style, newline: &str) -> String {
        match style {
            Style::Flow => format!("{indent}- {}  # {}{newline}", self.flow(), self.label),
            Style::Block { step } => {
                let mut lines = format!("{indent}- key:  # {}{newline}", self.label);
                for (name, value) in self.fields() {
                    let pad = " ".repeat(2 + step);
                    let _ = write!(lines, "{indent}{pad}{name}: {value}{newline}");
                }
                lines
            }
        }
    }

    /// What to paste where the text is not edited.
    pub(crate) fn snippet(&self, json: bool) -> String {
        if json {
            format!("\"credentials\": [{}]", self.json())
        } else {
            format!("credentials:\n{}", self.item("  ", Style::Flow, "\n"))
        }
    }
}

/// How keys are written in a file.
#[derive(Clone, Copy)]
enum Style {
    /// On one line.
    Flow,
    /// With a line for each field, this much deeper than `key`.
    Block { step: usize },
}

/// A scope as YAML: quoted only where it must be.
fn scalar(text: &str) -> String {
    let safe = |c: char| c.is_ascii_alphanumeric() || "_-./:".contains(c);
    let plain = text.starts_with(|c: char| c.is_ascii_alphabetic())
        && text.ends_with(|c: char| c.is_ascii_alphanumeric())
        && text.chars().all(safe)
        && !matches!(text, "true" | "false" | "null" | "yes" | "no" | "on" | "off");
    if plain {
        text.to_owned()
    } else {
        serde_json::Value::from(text).to_string()
    }
}

/// The text with the key added, or why it is not touched.
pub(crate) fn add_key(text: &str, entry: &Entry<'_>) -> Result<String, &'static str> {
    let root = outline(text).ok_or("it is not one plain YAML document")?;
    let Kind::Map { flow, entries } = &root.kind else {
        return Err("it is not a map");
    };
    let newline = newline(text);
    // In braces, keys in quotes are JSON, and others are not.
    let quoted = |(key, _): &(Node, Node)| matches!(key.kind, Kind::Scalar { plain: false, .. });
    let json = *flow && entries.first().is_some_and(quoted);
    let mut found = entries
        .iter()
        .filter(|(key, _)| key.text() == Some("credentials"));
    let credentials = found.next();
    if found.next().is_some() {
        return Err("it has `credentials` twice");
    }
    match credentials {
        None if *flow => Err("it is written in braces and has no `credentials`"),
        None => Ok(add_field(text, entries, entry, newline)),
        Some((key, value)) => match &value.kind {
            Kind::Scalar { .. } if value.is_null() && !*flow => fill(text, key, value, entry, newline),
            Kind::List { flow: true, items } => match items.last() {
                Some(last) => extend_flow(text, last, json, entry, newline),
                None if *flow => Ok(insert(
                    text,
                    value.bytes.end.saturating_sub(1),
                    &entry.in_brackets(json),
                )),
                None => fill(text, key, value, entry, newline),
            },
            Kind::List { flow: false, items } => extend_block(text, items, entry, newline),
            _ => Err("its `credentials` are not a list"),
        },
    }
}

/// There is no `credentials` yet: before `may`, where people look for it, or at the end.
fn add_field(text: &str, entries: &[(Node, Node)], entry: &Entry<'_>, newline: &str) -> String {
    let column = entries.first().map_or(0, |(key, _)| column(text, key));
    let indent = " ".repeat(column);
    let item = entry.item(&format!("{indent}  "), Style::Flow, newline);
    let field = format!("{indent}credentials:{newline}{item}");
    let may = entries.iter().find(|(key, _)| key.text() == Some("may"));
    let at = if let Some((key, _)) = may {
        above_comments(text, line_start(text, key.bytes.start))
    } else {
        let end = entries
            .last()
            .map_or(0, |(key, value)| key.end().max(value.end()));
        below_comments(text, next_line(text, end), column)
    };
    insert_lines(text, at, &field, newline)
}

/// `credentials:` with nothing, `~` or `[]` after it: that goes, and the item comes below.
fn fill(
    text: &str,
    key: &Node,
    value: &Node,
    entry: &Entry<'_>,
    newline: &str,
) -> Result<String, &'static str> {
    let written = if value.bytes.is_empty() {
        None
    } else {
        text.get(value.bytes.clone())
    };
    let colon = text.get(key.bytes.end..).and_then(|rest| rest.find(':'));
    let after = key.bytes.end + colon.ok_or("its `credentials` have no colon")? + 1;
    let between = match written {
        Some(written) if written.contains(['\n', '#', '&', '!']) => None,
        Some(_) => text.get(after..value.bytes.start),
        None => Some(""),
    };
    if between.is_none_or(|between| !between.chars().all(|c| c == ' ')) {
        return Err("its `credentials` are written over several lines");
    }
    let cut = if written.is_some() {
        after..value.bytes.end
    } else {
        after..after
    };
    let mut shorter = text.to_owned();
    shorter.replace_range(cut, "");
    let item = entry.item(&" ".repeat(column(text, key) + 2), Style::Flow, newline);
    let at = next_line(&shorter, after);
    Ok(insert_lines(&shorter, at, &item, newline))
}

/// A list in brackets: after its last item.
fn extend_flow(
    text: &str,
    last: &Node,
    json: bool,
    entry: &Entry<'_>,
    newline: &str,
) -> Result<String, &'static str> {
    let item = entry.in_brackets(json);
    let start = line_start(text, last.bytes.start);
    let unclear = "its `credentials` are not understood";
    let before = text.get(start..last.bytes.start).ok_or(unclear)?;
    let rest = text.get(last.bytes.end..).ok_or(unclear)?;
    let rest = rest.split('\n').next().unwrap_or_default().trim();
    let (comma, after) = match rest.strip_prefix(',') {
        Some(after) => (true, after.trim_start()),
        None => (false, rest),
    };
    // Where every item has its own line, so has this one, and what is said beside the last one stays beside it.
    let own_line = !before.is_empty() && before.chars().all(char::is_whitespace);
    if !own_line || !(after.is_empty() || after.starts_with('#')) {
        return Ok(insert(text, last.bytes.end, &format!(", {item}")));
    }
    let at = next_line(text, last.bytes.end);
    let end = if comma { "," } else { "" };
    let label = if json {
        String::new()
    } else {
        format!("  # {}", entry.label)
    };
    let longer = insert(text, at, &format!("{before}{item}{end}{label}{newline}"));
    Ok(if comma {
        longer
    } else {
        insert(&longer, last.bytes.end, ",")
    })
}

/// A list with dashes: below its last item, at the same depth.
fn extend_block(
    text: &str,
    items: &[Node],
    entry: &Entry<'_>,
    newline: &str,
) -> Result<String, &'static str> {
    const UNCLEAR: &str = "its `credentials` are indented in a way that is not understood";
    let last = items.last().ok_or(UNCLEAR)?;
    let before = text
        .get(line_start(text, last.bytes.start)..last.bytes.start)
        .ok_or(UNCLEAR)?;
    let (indent, gap) = before.split_once('-').ok_or(UNCLEAR)?;
    if !indent.chars().all(|c| c == ' ') || gap.is_empty() || !gap.chars().all(|c| c == ' ') {
        return Err(UNCLEAR);
    }
    let style = items
        .iter()
        .rev()
        .find_map(|item| style_of(text, item))
        .unwrap_or(Style::Flow);
    let at = below_comments(text, next_line(text, last.end()), indent.len());
    Ok(insert_lines(
        text,
        at,
        &entry.item(indent, style, newline),
        newline,
    ))
}

/// How an item that is a key is written.
fn style_of(text: &str, item: &Node) -> Option<Style> {
    let (name, value) = item
        .entries()
        .iter()
        .find(|(name, _)| name.text() == Some("key"))?;
    match &value.kind {
        Kind::Map { flow: false, entries } => {
            let (field, _) = entries.first()?;
            Some(Style::Block {
                step: column(text, field).saturating_sub(column(text, name)),
            })
        }
        _ => Some(Style::Flow),
    }
}

/// How the lines of a text end: as most of them do.
pub(crate) fn newline(text: &str) -> &'static str {
    let all = text.matches('\n').count();
    let with_return = text.matches("\r\n").count();
    if with_return > all / 2 { "\r\n" } else { "\n" }
}

/// The first byte of the line that holds `at`.
pub(crate) fn line_start(text: &str, at: usize) -> usize {
    text.get(..at)
        .and_then(|before| before.rfind('\n'))
        .map_or(0, |newline| newline + 1)
}

/// How far from the beginning of its line something is; the mark that some editors write first in a file takes no place.
fn column(text: &str, node: &Node) -> usize {
    let before = text.get(line_start(text, node.bytes.start)..node.bytes.start);
    before.map_or(0, |before| before.trim_start_matches('\u{feff}').len())
}

/// The first byte after the line on which something ends at `end`.
pub(crate) fn next_line(text: &str, end: usize) -> usize {
    // A folded text ends where the next line begins.
    let end = text.get(..end).map_or(end, |before| before.trim_end().len());
    text.get(end..)
        .and_then(|rest| rest.find('\n'))
        .map_or(text.len(), |newline| end + newline + 1)
}

/// Comment lines right above a line belong to it.
pub(crate) fn above_comments(text: &str, mut start: usize) -> usize {
    while start > 0 {
        let above = line_start(text, start - 1);
        match text.get(above..start) {
            Some(line) if line.trim_start().starts_with('#') => start = above,
            _ => break,
        }
    }
    start
}

/// Comment lines below something belong to it where they are further in than what it is one of.
pub(crate) fn below_comments(text: &str, mut at: usize, column: usize) -> usize {
    while let Some(line) = text.get(at..).and_then(|rest| rest.split_inclusive('\n').next()) {
        let bare = line.trim_start_matches(' ');
        if !bare.starts_with('#') || line.len() - bare.len() <= column {
            break;
        }
        at += line.len();
    }
    at
}

fn insert(text: &str, at: usize, piece: &str) -> String {
    let (before, after) = text.split_at_checked(at).unwrap_or((text, ""));
    format!("{before}{piece}{after}")
}

/// Inserts whole lines, after a text that may lack its last line's end.
fn insert_lines(text: &str, at: usize, lines: &str, newline: &str) -> String {
    if at == text.len() && !text.is_empty() && !text.ends_with('\n') {
        insert(text, at, &format!("{newline}{lines}"))
    } else {
        insert(text, at, lines)
    }
}

#[cfg(test)]
mod tests;
