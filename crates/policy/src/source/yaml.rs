//! YAML 1.2 text to a tree of nodes that know where they stand.
//!
//! The tree keeps what was written: the text of scalars, whether they were quoted, and keys that
//! occur twice. What a scalar means is decided by the field that it is read for, so nothing changes
//! its type on the way (`on: yes` is the text `yes`). JSON is accepted, being YAML.

use std::collections::{BTreeMap, BTreeSet};

use granit_parser::{Event, Parser, ScalarStyle, Span as Mark};

use super::diagnostic::{Code, Report, Span};
use super::{blanks, secrets, syntax};

/// How deep lists and maps may nest.
pub(crate) const MAX_DEPTH: usize = 64;
/// How many nodes one file may have, aliases written out.
const MAX_NODES: usize = 1_500_000;
/// How many of them aliases may stand for: some lines can stand for more than memory holds, in each of many files.
const MAX_ALIASED: usize = 100_000;

/// A value, and where it stands.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Node {
    /// Where it stands.
    pub(crate) span: Span,
    /// What it is.
    pub(crate) value: Value,
}

/// What stands at a place.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Value {
    /// One word, number or text.
    Scalar {
        /// Its text, escapes and folding undone.
        text: String,
        /// Whether it was written without quotes, so that it may stand for more than text.
        plain: bool,
    },
    /// A sequence.
    List(Vec<Node>),
    /// A mapping, in the order written, duplicates kept.
    Map(Vec<(Node, Node)>),
}

/// Where the texts of a document stand, in order: what stands elsewhere is a comment, or says how it is written.
pub(crate) struct Texts(Vec<(usize, usize)>);

impl Texts {
    /// Whether a byte of the file is one of a text.
    pub(crate) fn hold(&self, at: usize) -> bool {
        let next = self.0.partition_point(|(start, _)| *start <= at);
        let last = next.checked_sub(1).and_then(|last| self.0.get(last));
        last.is_some_and(|(_, end)| at < *end)
    }
}

impl Node {
    /// What a reader is told was found here.
    pub(crate) fn kind(&self) -> &'static str {
        match &self.value {
            Value::Scalar { .. } if self.is_null() => "nothing",
            Value::Scalar { plain: false, .. } => "quoted text",
            Value::Scalar { text, .. } if matches!(text.as_str(), "true" | "false") => "a boolean",
            Value::Scalar { text, .. } if text.parse::<f64>().is_ok() => "a number",
            Value::Scalar { .. } => "text",
            Value::List(_) => "a list",
            Value::Map(_) => "a map",
        }
    }

    /// Whether nothing was written here.
    pub(crate) fn is_null(&self) -> bool {
        matches!(&self.value, Value::Scalar { text, plain: true }
            if matches!(text.as_str(), "" | "~" | "null" | "Null" | "NULL"))
    }

    /// Where its texts stand.
    pub(crate) fn texts(&self) -> Texts {
        let (mut texts, mut rest) = (Vec::new(), vec![self]);
        while let Some(node) = rest.pop() {
            match &node.value {
                Value::Scalar { .. } => texts.push((node.span.start, node.span.end)),
                Value::List(items) => rest.extend(items),
                Value::Map(entries) => rest.extend(entries.iter().flat_map(|(key, value)| [key, value])),
            }
        }
        texts.sort_unstable();
        Texts(texts)
    }

    /// The text of a scalar.
    pub(crate) fn text(&self) -> Option<&str> {
        match &self.value {
            Value::Scalar { text, .. } => Some(text),
            Value::List(_) | Value::Map(_) => None,
        }
    }

    /// The entries of a map; none for everything else.
    pub(crate) fn entries(&self) -> &[(Self, Self)] {
        match &self.value {
            Value::Map(entries) => entries,
            Value::Scalar { .. } | Value::List(_) => &[],
        }
    }

    /// The items of a list; none for everything else.
    pub(crate) fn items(&self) -> &[Self] {
        match &self.value {
            Value::List(items) => items,
            Value::Scalar { .. } | Value::Map(_) => &[],
        }
    }

    /// The value under a key of a map.
    pub(crate) fn get(&self, key: &str) -> Option<&Self> {
        self.entries()
            .iter()
            .find(|(k, _)| k.text() == Some(key))
            .map(|(_, value)| value)
    }

    /// The same tree with every span at one place.
    pub(crate) fn moved(mut self, to: Span) -> Self {
        self.span = to;
        self.value = match self.value {
            Value::List(items) => Value::List(items.into_iter().map(|n| n.moved(to)).collect()),
            Value::Map(entries) => Value::Map(
                entries
                    .into_iter()
                    .map(|(k, v)| (k.moved(to), v.moved(to)))
                    .collect(),
            ),
            scalar @ Value::Scalar { .. } => scalar,
        };
        self
    }

    /// How many values it is made of.
    pub(crate) fn size(&self) -> usize {
        1 + self.items().iter().map(Self::size).sum::<usize>()
            + self
                .entries()
                .iter()
                .map(|(k, v)| k.size() + v.size())
                .sum::<usize>()
    }

    fn depth(&self) -> usize {
        let items = self.items().iter().map(Self::depth).max().unwrap_or(0);
        let entries = self.entries().iter().map(|(_, v)| v.depth()).max().unwrap_or(0);
        1 + items.max(entries)
    }
}

/// Reads the one document of a file. What is wrong is reported; nothing comes back only when no
/// tree could be made of the text.
pub(crate) fn parse(file: u32, text: &str, report: &mut Report) -> Option<Node> {
    let root = read(file, text, report);
    if root.is_none() {
        secrets::search_text(file, text, report);
    }
    root
}

fn read(file: u32, text: &str, report: &mut Report) -> Option<Node> {
    // Nearly every text ends here. Control characters beyond ASCII begin with the byte C2.
    let suspicious = |b: &u8| (*b < 0x20 && !matches!(b, b'\n' | b'\r' | b'\t')) || matches!(b, 0x7f | 0xc2);
    let found = text.bytes().any(|b| suspicious(&b)).then(|| {
        text.char_indices()
            .find(|(_, c)| c.is_control() && !matches!(c, '\n' | '\r' | '\t'))
    });
    if let Some((at, c)) = found.flatten() {
        let span = Span::new(file, at, at + c.len_utf8());
        report
            .error(
                Code::Syntax,
                span,
                format!("the control character U+{:04X} is not text", u32::from(c)),
            )
            .help(match c {
                // Every second byte of plain text in UTF-16.
                '\0' => "save the file as UTF-8, if it is UTF-16; a binary file has no place in the tree",
                _ => "remove it; in double quotes it may be written as an escape",
            });
        return None;
    }
    let mut builder = Builder {
        file,
        length: text.len(),
        nodes: 0,
        aliased: 0,
        anchors: BTreeMap::new(),
        open: Vec::new(),
    };
    let options = granit_parser::options! {
        emit_comments: false,
        disallow_directives: true,
        flow_nesting_limit: MAX_DEPTH,
        block_nesting_limit: MAX_DEPTH,
    };
    let mut root = None;
    for event in Parser::new_from_str_with_options(text, options) {
        let (event, mark) = match event {
            Ok(event) => event,
            Err(error) => {
                syntax::say(file, text, &error, report);
                return None;
            }
        };
        match builder.take(event, &mark, report) {
            Ok(Step::Whole(node)) => root = Some(node),
            Ok(Step::Document) if root.is_some() => {
                report
                    .error(
                        Code::SeveralDocuments,
                        builder.at(&mark),
                        "a second document begins here",
                    )
                    .help("a file holds one item: move this to a file of its own");
                break;
            }
            Ok(Step::More | Step::Document) => {}
            Err(Refused) => return None,
        }
    }
    match &root {
        Some(node) if !check_keys(node, !builder.anchors.is_empty(), report) => return None,
        Some(_) => {}
        None => {
            report
                .error(Code::Empty, builder.span(0, 0), "the file says nothing")
                .help("write an item of its kind (docs/policy.md shows each), or remove the file");
        }
    }
    root
}

/// What an event led to.
enum Step {
    /// The tree is not whole yet.
    More,
    /// A document begins.
    Document,
    /// The tree is whole.
    Whole(Node),
}

/// The text was refused, and that was reported.
struct Refused;

/// A list or map whose end was not yet seen.
struct Open {
    span: Span,
    anchor: usize,
    flow: bool,
    map: bool,
    children: Vec<Node>,
}

struct Builder {
    file: u32,
    length: usize,
    nodes: usize,
    aliased: usize,
    anchors: BTreeMap<usize, Node>,
    open: Vec<Open>,
}

impl Builder {
    fn span(&self, start: usize, end: usize) -> Span {
        let start = start.min(self.length);
        Span::new(self.file, start, end.clamp(start, self.length.max(start)))
    }

    fn at(&self, mark: &Mark) -> Span {
        let range = mark.byte_range().unwrap_or(0..0);
        self.span(range.start, range.end)
    }

    fn take(&mut self, event: Event<'_>, mark: &Mark, report: &mut Report) -> Result<Step, Refused> {
        let span = self.at(mark);
        match event {
            Event::DocumentStart(..) => return Ok(Step::Document),
            Event::Scalar(text, style, anchor, tag) => {
                Self::no_tag(tag.is_some(), span, report);
                let plain = style == ScalarStyle::Plain;
                // The parser gives `~` where nothing was written.
                let empty = plain && span.start == span.end;
                let text = if empty { String::new() } else { text.into_owned() };
                let node = Node {
                    span,
                    value: Value::Scalar { text, plain },
                };
                return self.close(node, anchor, report);
            }
            Event::SequenceStart(..) | Event::MappingStart(..) if self.open.len() >= MAX_DEPTH => {
                return Err(Self::too_deep(span, report));
            }
            Event::SequenceStart(style, anchor, tag) => {
                Self::no_tag(tag.is_some(), span, report);
                let flow = style == granit_parser::StructureStyle::Flow;
                self.open.push(Open {
                    span,
                    anchor,
                    flow,
                    map: false,
                    children: Vec::new(),
                });
            }
            Event::MappingStart(style, anchor, tag) => {
                Self::no_tag(tag.is_some(), span, report);
                let flow = style == granit_parser::StructureStyle::Flow;
                self.open.push(Open {
                    span,
                    anchor,
                    flow,
                    map: true,
                    children: Vec::new(),
                });
            }
            Event::SequenceEnd | Event::MappingEnd => {
                let Some(open) = self.open.pop() else {
                    return Ok(Step::More);
                };
                let Open {
                    mut span,
                    anchor,
                    flow,
                    map,
                    children,
                } = open;
                // A block ends where the next thing begins, which is not part of it.
                let first = children.first().map(|child| child.span.start);
                let last = children.last().map(|child| child.span.end);
                span.start = if flow {
                    span.start
                } else {
                    first.unwrap_or(span.start)
                };
                span.end = if flow {
                    self.at(mark).end
                } else {
                    last.unwrap_or(span.end)
                }
                .max(span.start);
                let value = if map {
                    Value::Map(pairs(children))
                } else {
                    Value::List(children)
                };
                return self.close(Node { span, value }, anchor, report);
            }
            Event::Alias(id) => {
                // An anchor that is still open would contain itself.
                let Some(target) = self.anchors.get(&id).cloned() else {
                    report
                        .error(Code::Alias, span, "an alias cannot stand inside its own anchor")
                        .help("write the value out here: it would contain itself without end");
                    return Err(Refused);
                };
                let size = target.size();
                self.nodes = self.nodes.saturating_add(size);
                self.aliased = self.aliased.saturating_add(size);
                if self.aliased > MAX_ALIASED {
                    report
                        .error(
                            Code::Alias,
                            span,
                            format!("aliases stand for more than {MAX_ALIASED} values in one file"),
                        )
                        .help("write out what is meant, or name it once and refer to it");
                    return Err(Refused);
                }
                if self.open.len() + target.depth() > MAX_DEPTH {
                    return Err(Self::too_deep(span, report));
                }
                let value = target.value;
                return self.close(Node { span, value }, 0, report);
            }
            _ => {}
        }
        Ok(Step::More)
    }

    fn close(&mut self, node: Node, anchor: usize, report: &mut Report) -> Result<Step, Refused> {
        self.nodes = self.nodes.saturating_add(1);
        if self.nodes > MAX_NODES {
            report
                .error(
                    Code::Alias,
                    node.span,
                    format!("more than {MAX_NODES} values in one file"),
                )
                .help("aliases are counted as what they stand for");
            return Err(Refused);
        }
        if anchor > 0 {
            self.anchors.insert(anchor, node.clone());
        }
        match self.open.last_mut() {
            Some(open) => {
                open.children.push(node);
                Ok(Step::More)
            }
            None => Ok(Step::Whole(node)),
        }
    }

    fn too_deep(span: Span, report: &mut Report) -> Refused {
        report
            .error(
                Code::TooDeep,
                span,
                format!("more than {MAX_DEPTH} levels of nesting"),
            )
            .help("write it with fewer lists and maps inside one another");
        Refused
    }

    fn no_tag(tagged: bool, span: Span, report: &mut Report) {
        if tagged {
            report
                .error(Code::Tag, span, "tags are not part of the policy language")
                .help("remove the tag; quotes make a value text");
        }
    }
}

fn pairs(children: Vec<Node>) -> Vec<(Node, Node)> {
    let mut pairs = Vec::with_capacity(children.len() / 2);
    let mut children = children.into_iter();
    while let (Some(key), Some(value)) = (children.next(), children.next()) {
        pairs.push((key, value));
    }
    pairs
}

/// Keys must be text, and each may occur once. `aliased`: parts may stand in several places. False where what looks like
/// indentation is a part of a key, so that nothing of the tree is as it was meant.
fn check_keys(root: &Node, aliased: bool, report: &mut Report) -> bool {
    /// Up to so many keys, looking through them costs less than a map of them.
    const FEW: usize = 16;
    // Subtrees that came in by an alias are shown once, where they were written.
    let mut seen_at = BTreeSet::new();
    let mut rest = vec![root];
    while let Some(node) = rest.pop() {
        rest.extend(node.items());
        let mut seen: BTreeMap<&str, Span> = BTreeMap::new();
        let few = node.entries().len() <= FEW;
        for (at, (key, value)) in node.entries().iter().enumerate() {
            rest.push(value);
            let first_visit = !aliased || seen_at.insert((key.span.start, key.span.end));
            let Some(text) = key.text() else {
                if first_visit {
                    report
                        .error(Code::KeyNotText, key.span, "a key must be text")
                        .help("write one word before the `:`, in quotes if it is to hold brackets");
                }
                continue;
            };
            if !first_visit {
                continue;
            }
            if let Some((at, c)) = blanks::before_key(key) {
                let at = key.span.start + at;
                syntax::odd_blank(Span::new(key.span.file, at, at + c.len_utf8()), c, report);
                return false;
            }
            if text == "<<" {
                report
                    .error(Code::KeyNotText, key.span, "merge keys are not part of YAML 1.2")
                    .help("write the fields out");
            }
            let before = if few {
                let mut before = node.entries().iter().take(at).map(|(key, _)| key);
                before.find(|key| key.text() == Some(text)).map(|key| key.span)
            } else {
                seen.get(text).copied()
            };
            if let Some(first) = before {
                let shown = super::secrets::quote(text);
                report
                    .error(Code::DuplicateKey, key.span, format!("{shown} is written twice"))
                    .label(first, "first written here")
                    .help("keep one of them: nothing says which would count");
            } else if !few {
                seen.insert(text, key.span);
            }
        }
    }
    true
}
