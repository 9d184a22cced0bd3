//! Where things stand in a YAML file: what an edit of its text needs to know, and no more.
//!
//! The policy crate reads values out of the same text; this reads positions. A file with more than
//! plain lists, maps and scalars in it (aliases, several documents) has no outline, and is left to
//! its author.

use std::ops::Range;

use granit_parser::{Event, Parser, ScalarStyle, StructureStyle};

/// A value and the bytes that it takes.
#[derive(Debug)]
pub(crate) struct Node {
    pub(crate) bytes: Range<usize>,
    pub(crate) kind: Kind,
}

#[derive(Debug)]
pub(crate) enum Kind {
    Scalar { text: String, plain: bool },
    List { flow: bool, items: Vec<Node> },
    Map { flow: bool, entries: Vec<(Node, Node)> },
}

impl Node {
    /// Whether nothing was written here, or that there is nothing.
    pub(crate) fn is_null(&self) -> bool {
        matches!(&self.kind, Kind::Scalar { text, plain: true }
            if matches!(text.as_str(), "" | "~" | "null" | "Null" | "NULL"))
    }

    pub(crate) fn text(&self) -> Option<&str> {
        match &self.kind {
            Kind::Scalar { text, .. } => Some(text),
            Kind::List { .. } | Kind::Map { .. } => None,
        }
    }

    pub(crate) fn entries(&self) -> &[(Self, Self)] {
        match &self.kind {
            Kind::Map { entries, .. } => entries,
            Kind::Scalar { .. } | Kind::List { .. } => &[],
        }
    }

    /// The byte after the last thing that was written in it.
    pub(crate) fn end(&self) -> usize {
        match &self.kind {
            Kind::List { flow: false, items } => items.last().map_or(self.bytes.end, Self::end),
            Kind::Map { flow: false, entries } => entries
                .last()
                .map_or(self.bytes.end, |(key, value)| key.end().max(value.end())),
            _ => self.bytes.end,
        }
    }
}

struct Open {
    start: usize,
    flow: bool,
    map: bool,
    children: Vec<Node>,
}

/// Why a text has no outline, and the byte where that begins.
#[derive(Debug)]
pub(crate) struct Stop {
    pub(crate) at: usize,
    pub(crate) why: String,
}

impl Stop {
    fn new(at: usize, why: impl Into<String>) -> Self {
        Self { at, why: why.into() }
    }
}

/// The outline of a text; none if it is not one plain document.
pub(crate) fn outline(text: &str) -> Option<Node> {
    outlined(text).ok()
}

/// As [`outline`], with what keeps a text from having one.
pub(crate) fn outlined(text: &str) -> Result<Node, Stop> {
    let mut open: Vec<Open> = Vec::new();
    let mut root = None;
    for event in Parser::new_from_str(text) {
        let (event, mark) = event.map_err(|error| {
            let at = error.marker().byte_offset().unwrap_or(text.len());
            Stop::new(at, format!("this is no YAML: {}", error.info()))
        })?;
        let bytes = mark.byte_range().unwrap_or(0..0);
        let node = match event {
            Event::Scalar(value, style, ..) => {
                let plain = style == ScalarStyle::Plain;
                // The parser gives `~` where nothing was written.
                let written = if bytes.is_empty() && plain {
                    String::new()
                } else {
                    value.into_owned()
                };
                Node {
                    bytes,
                    kind: Kind::Scalar { text: written, plain },
                }
            }
            Event::SequenceStart(style, ..) => {
                let flow = style == StructureStyle::Flow;
                open.push(Open {
                    start: bytes.start,
                    flow,
                    map: false,
                    children: Vec::new(),
                });
                continue;
            }
            Event::MappingStart(style, ..) => {
                let flow = style == StructureStyle::Flow;
                open.push(Open {
                    start: bytes.start,
                    flow,
                    map: true,
                    children: Vec::new(),
                });
                continue;
            }
            Event::SequenceEnd | Event::MappingEnd => {
                let Some(Open {
                    start,
                    flow,
                    map,
                    children,
                }) = open.pop()
                else {
                    return Err(Stop::new(bytes.start, "nothing is open that could end here"));
                };
                let kind = if map {
                    let mut entries = Vec::new();
                    let mut children = children.into_iter();
                    while let (Some(key), Some(value)) = (children.next(), children.next()) {
                        entries.push((key, value));
                    }
                    Kind::Map { flow, entries }
                } else {
                    Kind::List {
                        flow,
                        items: children,
                    }
                };
                Node {
                    bytes: start..bytes.end,
                    kind,
                }
            }
            Event::Alias(_) => {
                return Err(Stop::new(
                    bytes.start,
                    "an alias stands here: write out what it stands for",
                ));
            }
            Event::DocumentStart(..) if root.is_some() => {
                return Err(Stop::new(
                    bytes.start,
                    "another document begins here: make it a file of its own",
                ));
            }
            _ => continue,
        };
        match open.last_mut() {
            Some(parent) => parent.children.push(node),
            None => root = Some(node),
        }
    }
    root.ok_or_else(|| Stop::new(0, "it says nothing"))
}
