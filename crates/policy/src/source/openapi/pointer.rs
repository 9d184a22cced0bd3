//! `$ref`: references within a document, followed within bounds.

use std::borrow::Cow;
use std::cell::{Cell, RefCell};
use std::collections::BTreeMap;

use super::super::diagnostic::{Code, Report, Span};
use super::super::names::nearest;
use super::super::secrets::quote;
use super::super::yaml::{Node, Value};
use super::{Document, grammar};

/// How many references may lead to one another.
const MAX_REFERENCES: usize = 32;
/// With so many names in all the misspelt ones of a document are compared, to find out what was meant.
const MAX_COMPARED: usize = 50_000;
/// Maps larger than this are looked up by an index, so that a document of references into one large
/// map is not gone through for each of them.
const MAX_SEARCHED: usize = 16;

/// What makes references cheap to follow.
#[derive(Default)]
pub(super) struct Memory<'d> {
    indices: RefCell<BTreeMap<*const Node, BTreeMap<&'d str, &'d Node>>>,
    compared: Cell<usize>,
}

/// Why a reference leads nowhere.
pub(crate) struct Dangling {
    pub(super) span: Span,
    pub(crate) why: String,
    help: String,
    /// It points to nothing within the document, which is reported wherever it stands.
    pub(crate) local: bool,
    /// What it points to stands under a misspelt key, and that was reported.
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
        Err(Dangling {
            span: node.span,
            why: "this `$ref` leads in a circle".to_owned(),
            help: "write out what it stands for in one of the places that it leads to".to_owned(),
            local: false,
            explained: false,
        })
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
        let Some(pointer) = text.strip_prefix('#') else {
            let why = format!(
                "{} leads out of the document: bundle it into one file",
                quote(text)
            );
            return Err(fault(
                why,
                "tools such as `redocly bundle` write what it leads to into the document",
                false,
            ));
        };
        self.follow(pointer).map_err(|lost| {
            let (near, explained) = match lost {
                Lost::Near(near) => (near, false),
                Lost::Explained => (None, true),
            };
            let help = near.map_or_else(
                || "it must be a path of keys from the top of this document".to_owned(),
                |near| format!("did you mean {}?", quote(&near)),
            );
            // A name without a slash may be an anchor of JSON Schema, which nothing looks for here.
            let local = pointer.is_empty() || pointer.starts_with('/');
            Dangling {
                explained,
                ..fault(format!("{} leads nowhere", quote(text)), &help, local)
            }
        })
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
