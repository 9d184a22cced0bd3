//! `$ref`: references within a document, followed within bounds.

use std::borrow::Cow;
use std::cell::{Cell, OnceCell, RefCell};
use std::collections::{BTreeMap, BTreeSet};

use super::super::diagnostic::{Code, Report, Span};
use super::super::names::nearest;
use super::super::secrets::quote;
use super::super::yaml::{Node, Value};
use super::{Document, grammar};

/// How many references may lead to one another.
const MAX_REFERENCES: usize = 32;
/// So many more are followed to see whether they come round again.
const MAX_RING: usize = 64;
/// With so many names in all the misspelt ones of a document are compared, to find out what was meant.
const MAX_COMPARED: usize = 50_000;
/// Maps larger than this are looked up by an index, so that a document of references into one large
/// map is not gone through for each of them.
const MAX_SEARCHED: usize = 16;
/// Where the schemas of JSON Schema and of OpenAPI itself lie, which every reader has.
const SCHEMAS_OF_SCHEMAS: [&str; 3] = [
    "http://json-schema.org/",
    "https://json-schema.org/",
    "https://spec.openapis.org/",
];

/// What makes references cheap to follow.
#[derive(Default)]
pub(super) struct Memory<'d> {
    indices: RefCell<BTreeMap<*const Node, BTreeMap<&'d str, &'d Node>>>,
    compared: Cell<usize>,
    /// What schemas call themselves, once a reference asks for it.
    names: OnceCell<BTreeSet<&'d str>>,
}

/// Why a reference leads nowhere.
pub(crate) struct Dangling {
    pub(super) span: Span,
    pub(crate) why: String,
    help: String,
    /// It is reported as the document is checked, wherever it stands.
    pub(crate) local: bool,
    /// What is wrong with it was reported in another place: a misspelt key, or where a circle ends.
    explained: bool,
}

/// Why a pointer leads nowhere.
enum Lost {
    /// What was probably meant, if that is known.
    Near(Option<String>),
    /// A key on its way is misspelt.
    Explained,
}

impl Dangling {
    pub(super) fn say(self, report: &mut Report) {
        if !self.explained {
            report
                .error(Code::BadReference, self.span, self.why)
                .help(self.help);
        }
    }
}

impl<'d> Document<'d> {
    /// Follows `$ref`s until there is none. Reports one that leads nowhere.
    pub(crate) fn resolve<'n>(&self, node: &'n Node, report: &mut Report) -> Option<&'n Node>
    where
        'd: 'n,
    {
        self.try_resolve(node).map_err(|why| why.say(report)).ok()
    }

    /// As [`Document::resolve`], with the reason instead of a report.
    pub(crate) fn try_resolve<'n>(&self, node: &'n Node) -> Result<&'n Node, Dangling>
    where
        'd: 'n,
    {
        let mut node = node;
        for _ in 0..MAX_REFERENCES {
            let Some(reference) = node.get("$ref") else {
                return Ok(node);
            };
            node = self.step(reference)?;
        }
        let ring = self.comes_round(node);
        Err(Dangling {
            span: node.span,
            why: format!("this `$ref` leads on through more than {MAX_REFERENCES} others"),
            help: "write `$ref` to what stands at the end of them".to_owned(),
            local: ring,
            explained: ring,
        })
    }

    /// Whether references lead back to this one.
    fn comes_round(&self, first: &Node) -> bool {
        let mut node = first;
        for _ in 0..MAX_RING {
            match node.get("$ref").and_then(|reference| self.step(reference).ok()) {
                Some(next) if std::ptr::eq(next, first) => return true,
                Some(next) => node = next,
                None => return false,
            }
        }
        false
    }

    /// What the value of one `$ref` leads to.
    pub(super) fn step(&self, reference: &Node) -> Result<&'d Node, Dangling> {
        let fault = |why, help: &str, local| Dangling {
            span: reference.span,
            why,
            help: help.to_owned(),
            local,
            explained: false,
        };
        let example = "write for example `$ref: '#/components/schemas/Pet'`";
        let Some(text) = reference.text().filter(|_| !reference.is_null()) else {
            let why = format!("a `$ref` is text, this is {}", reference.kind());
            return Err(fault(why, example, true));
        };
        let by_name = || {
            let why = format!(
                "{} is the name of a schema: only pointers are followed here",
                quote(text)
            );
            fault(why, example, false)
        };
        let Some(pointer) = text.strip_prefix('#') else {
            if self.names(text) {
                return Err(by_name());
            }
            if SCHEMAS_OF_SCHEMAS.iter().any(|known| text.starts_with(known)) {
                let why = format!("{} is a schema of schemas: it is not followed", quote(text));
                return Err(fault(why, example, false));
            }
            let why = format!(
                "{} leads out of the document: bundle it into one file",
                quote(text)
            );
            return Err(fault(
                why,
                "tools such as `redocly bundle` write what it leads to into the document",
                true,
            ));
        };
        // Without a slash it is an anchor of JSON Schema.
        if !pointer.is_empty() && !pointer.starts_with('/') && self.names(text) {
            return Err(by_name());
        }
        self.follow(pointer).map_err(|lost| {
            let (near, explained) = match lost {
                Lost::Near(near) => (near, false),
                Lost::Explained => (None, true),
            };
            let help = near.map_or_else(
                || "it must be a path of keys from the top of this document".to_owned(),
                |near| format!("did you mean {}?", quote(&near)),
            );
            Dangling {
                explained,
                ..fault(format!("{} leads nowhere", quote(text)), &help, true)
            }
        })
    }

    /// Whether a schema of the document calls itself as a reference does: by its `$id` or an anchor. Which of them
    /// begins where is not followed: what ends alike is taken for the same.
    fn names(&self, reference: &str) -> bool {
        let names = self.memory.names.get_or_init(|| names(self.root));
        if let Some(anchor) = reference.strip_prefix('#') {
            return names.contains(anchor) || names.contains(reference);
        }
        let (place, _) = reference.split_once('#').unwrap_or((reference, ""));
        // What begins with a scheme is whole.
        let scheme = place
            .split(['/', '?'])
            .next()
            .is_some_and(|start| start.contains(':'));
        let known = if scheme { place } else { last(place) };
        !known.is_empty() && names.contains(known)
    }

    /// What a JSON pointer (RFC 6901, in a fragment) points to.
    fn follow(&self, pointer: &str) -> Result<&'d Node, Lost> {
        let nowhere = || Lost::Near(None);
        let mut node = self.root;
        if pointer.is_empty() {
            return Ok(node);
        }
        let parts = pointer.strip_prefix('/').ok_or_else(nowhere)?;
        // Where it has come to, for who looks for what was meant.
        let mut at = 0;
        for part in parts.split('/') {
            let before = || format!("#{}", pointer.get(..at).unwrap_or_default());
            let key = unescape(part).ok_or_else(nowhere)?;
            node = match &node.value {
                Value::Map(entries) => match self.look_up(node, entries, &key) {
                    Some(found) => found,
                    None if misspelt(&before(), node, &key) => return Err(Lost::Explained),
                    None => return Err(Lost::Near(self.suggest(&before(), &key, entries))),
                },
                Value::List(items) => {
                    let at = key.parse::<usize>().map_err(|_| nowhere())?;
                    items.get(at).ok_or_else(nowhere)?
                }
                Value::Scalar { .. } => return Err(nowhere()),
            };
            at += 1 + part.len();
        }
        Ok(node)
    }

    fn look_up(&self, map: &'d Node, entries: &'d [(Node, Node)], key: &str) -> Option<&'d Node> {
        if entries.len() <= MAX_SEARCHED {
            return map.get(key);
        }
        let mut indices = self.memory.indices.borrow_mut();
        let index = indices.entry(std::ptr::from_ref(map)).or_insert_with(|| {
            let mut index = BTreeMap::new();
            for (key, value) in entries {
                // The first one of a key counts; the second was reported.
                if let Some(key) = key.text() {
                    index.entry(key).or_insert(value);
                }
            }
            index
        });
        index.get(key).copied()
    }

    /// Whether a name may still be compared with so many others.
    pub(super) fn may_compare(&self, with: usize) -> bool {
        let compared = self.memory.compared.get().saturating_add(with);
        self.memory.compared.set(compared);
        compared <= MAX_COMPARED
    }

    fn suggest(&self, before: &str, key: &str, entries: &[(Node, Node)]) -> Option<String> {
        if !self.may_compare(entries.len()) {
            return None;
        }
        let near = nearest(key, entries.iter().filter_map(|(key, _)| key.text()))?;
        let near = near.replace('~', "~0").replace('/', "~1");
        Some(format!("{before}/{near}"))
    }
}

/// What the schemas of a document call themselves: anchors, and of an `$id` all of it and its last part.
fn names(root: &Node) -> BTreeSet<&str> {
    let mut names = BTreeSet::new();
    let mut rest = vec![root];
    while let Some(node) = rest.pop() {
        rest.extend(node.items());
        for (key, value) in node.entries() {
            match (key.text(), value.text()) {
                (Some("$id"), Some(id)) => {
                    let id = id.trim_end_matches('#');
                    names.extend([id, last(id)]);
                }
                (Some("$anchor" | "$dynamicAnchor"), Some(anchor)) => {
                    names.insert(anchor);
                }
                _ => rest.push(value),
            }
        }
    }
    names
}

/// The last part of a path.
fn last(path: &str) -> &str {
    path.rsplit('/').next().unwrap_or(path)
}

/// Whether a key is missing only because it is spelt in another way.
fn misspelt(before: &str, map: &Node, key: &str) -> bool {
    match before {
        "#" => grammar::DOCUMENT.misspelt(map, key),
        "#/components" => grammar::COMPONENTS.misspelt(map, key),
        _ => false,
    }
}

/// A part of a pointer, as the key that it stands for. Nearly all are written as they are.
fn unescape(part: &str) -> Option<Cow<'_, str>> {
    if !part.bytes().any(|byte| matches!(byte, b'%' | b'~')) {
        return Some(Cow::Borrowed(part));
    }
    let key = percent_decode(part)?;
    Some(Cow::Owned(key.replace("~1", "/").replace("~0", "~")))
}

fn percent_decode(text: &str) -> Option<String> {
    let mut bytes = Vec::with_capacity(text.len());
    let mut rest = text.bytes();
    while let Some(byte) = rest.next() {
        if byte == b'%' {
            let pair = [rest.next()?, rest.next()?];
            bytes.push(u8::from_str_radix(std::str::from_utf8(&pair).ok()?, 16).ok()?);
        } else {
            bytes.push(byte);
        }
    }
    String::from_utf8(bytes).ok()
}
