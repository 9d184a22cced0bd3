//! Where things stand in a YAML file: what an edit of its text needs to know, and no more.
//!
//! The policy crate reads values out of the same text; this reads positions. A file with more than
//! plain lists, maps and scalars in it (aliases, several documents) has no outline to edit, and is left to
//! its author. To look something up in it, aliases are followed.

use std::collections::BTreeMap;
use std::ops::Range;

use granit_parser::{Event, Parser, ScalarStyle, StructureStyle};

/// How many values aliases may stand for: the build takes no more either.
const MAX_ALIASED: usize = 100_000;

/// A value and the bytes that it takes.
#[derive(Clone, Debug)]
pub(crate) struct Node {
    pub(crate) bytes: Range<usize>,
    pub(crate) kind: Kind,
}

#[derive(Clone, Debug)]
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

    /// How many values it is made of.
    fn size(&self) -> usize {
        let parts: usize = match &self.kind {
            Kind::Scalar { .. } => 0,
            Kind::List { items, .. } => items.iter().map(Self::size).sum(),
            Kind::Map { entries, .. } => entries.iter().map(|(key, value)| key.size() + value.size()).sum(),
        };
        parts + 1
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
    anchor: usize,
    flow: bool,
    map: bool,
    children: Vec<Node>,
}

impl Open {
    fn new(start: usize, anchor: usize, style: StructureStyle, map: bool) -> Self {
        Self {
            start,
            anchor,
            flow: style == StructureStyle::Flow,
            map,
            children: Vec::new(),
        }
    }
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
    read(text, false)
}

/// As [`outline`], to look something up: where an alias stands there is what it stands for, with the places of that. So
/// nothing may be edited by it.
pub(crate) fn resolved(text: &str) -> Option<Node> {
    read(text, true).ok()
}

fn read(text: &str, follow: bool) -> Result<Node, Stop> {
    let mut open: Vec<Open> = Vec::new();
    let mut anchors: BTreeMap<usize, Node> = BTreeMap::new();
    let mut aliased = 0;
    let mut root = None;
    for event in Parser::new_from_str(text) {
        let (event, mark) = event.map_err(|error| {
            let at = error.marker().byte_offset().unwrap_or(text.len());
            Stop::new(at, format!("this is no YAML: {}", error.info()))
        })?;
        let bytes = mark.byte_range().unwrap_or(0..0);
        let (node, anchor) = match event {
            Event::Scalar(value, style, anchor, _) => {
                let plain = style == ScalarStyle::Plain;
                // The parser gives `~` where nothing was written.
                let written = if bytes.is_empty() && plain {
                    String::new()
                } else {
                    value.into_owned()
                };
                let kind = Kind::Scalar { text: written, plain };
                (Node { bytes, kind }, anchor)
            }
            Event::SequenceStart(style, anchor, _) => {
                open.push(Open::new(bytes.start, anchor, style, false));
                continue;
            }
            Event::MappingStart(style, anchor, _) => {
                open.push(Open::new(bytes.start, anchor, style, true));
                continue;
            }
            Event::SequenceEnd | Event::MappingEnd => {
                let Some(Open {
                    start,
                    anchor,
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
                let bytes = start..bytes.end;
                (Node { bytes, kind }, anchor)
            }
            Event::Alias(anchor) if follow => {
                let Some(meant) = anchors.get(&anchor) else {
                    return Err(Stop::new(bytes.start, "what it stands for would hold itself"));
                };
                aliased += meant.size();
                if aliased > MAX_ALIASED {
                    return Err(Stop::new(bytes.start, "aliases stand for too much"));
                }
                (meant.clone(), 0)
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
        if follow && anchor > 0 {
            anchors.insert(anchor, node.clone());
        }
        match open.last_mut() {
            Some(parent) => parent.children.push(node),
            None => root = Some(node),
        }
    }
    root.ok_or_else(|| Stop::new(0, "it says nothing"))
}
