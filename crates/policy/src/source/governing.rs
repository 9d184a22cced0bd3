//! What governs a tree in one environment, as it is written there: for whoever compares it or keeps a record of it.
//!
//! It is no part of a bundle. So that it is never told otherwise than the build takes it, it comes from the files
//! that the build reads, as it reads them: aliases stand written out, variables are replaced by their values, and what
//! belongs to other environments only is left out.

use serde_json::{Map, Value as Json};

use super::files::{Item, Tree};
use super::overlays::Overlay;
use super::reader::Reader;
use super::yaml::{Node, Value};

/// What governs a tree in an environment.
#[derive(Clone, Debug, Default)]
pub struct Governing {
    /// `gateway.yaml`; nothing if it cannot be read.
    pub gateway: Option<Said>,
    /// The templates by name. Their parameters are no variables: what refers to either stands as it is written.
    pub templates: Vec<(String, Said)>,
    /// The rules of the tree's own, by name.
    pub rules: Vec<(String, Said)>,
}

/// Something that a file says.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Said {
    /// Where, as the bundle names places (`policies/gateway.yaml:4`). What an alias stands for is where it is written out.
    pub origin: String,
    what: What,
}

#[derive(Clone, Debug, PartialEq, Eq)]
enum What {
    Text(String),
    List(Vec<Said>),
    Map(Vec<(Said, Said)>),
}

impl Said {
    /// The text of one word, number or text; empty where nothing was written.
    pub fn text(&self) -> Option<&str> {
        match &self.what {
            What::Text(text) => Some(text),
            What::List(_) | What::Map(_) => None,
        }
    }

    /// The items of a list; none of everything else.
    pub fn items(&self) -> &[Self] {
        match &self.what {
            What::List(items) => items,
            What::Text(_) | What::Map(_) => &[],
        }
    }

    /// The keys of a map and their values; none of everything else.
    pub fn entries(&self) -> &[(Self, Self)] {
        match &self.what {
            What::Map(entries) => entries,
            What::Text(_) | What::List(_) => &[],
        }
    }

    /// The value under a key of a map.
    pub fn get(&self, key: &str) -> Option<&Self> {
        let mut entries = self.entries().iter();
        entries
            .find(|(known, _)| known.text() == Some(key))
            .map(|(_, value)| value)
    }

    /// The text under a key of a map; empty: there is none.
    pub fn text_of(&self, key: &str) -> &str {
        self.get(key).and_then(Self::text).unwrap_or_default()
    }

    /// What it says, to be compared with something else: without places, every scalar as text.
    pub fn told(&self) -> Json {
        match &self.what {
            What::Text(text) => Json::from(text.as_str()),
            What::List(items) => items.iter().map(Self::told).collect(),
            What::Map(entries) => {
                let pairs = entries
                    .iter()
                    .filter_map(|(key, value)| Some((key.text()?.to_owned(), value.told())));
                Json::Object(pairs.collect::<Map<_, _>>())
            }
        }
    }
}

/// Reads what governs a tree, in the environment of the reader.
pub(crate) fn read(tree: &Tree, reader: &mut Reader) -> Governing {
    Overlay::read(tree, reader);
    let node = |item: &Item| item.node.clone();
    let gateway = tree.gateway.as_ref().and_then(node);
    let mut items = |kind: &str, filled: bool| {
        let items = tree.kinds.get(kind).into_iter().flatten();
        let here = items.filter_map(|item| {
            let node = node(item).filter(|node| is_here(node, &reader.environment))?;
            let mut said = said(&node, filled, reader);
            // The file as a whole begins with its first line.
            said.origin = reader.report.origin(item.span);
            Some((item.name.clone(), said))
        });
        here.collect()
    };
    Governing {
        templates: items("templates", false),
        rules: items("governance", true),
        gateway: gateway.map(|node| said(&node, true, reader)),
    }
}

/// Whether an item is there in an environment. Where `environments` is no list it names what there is, as in
/// `gateway.yaml`.
fn is_here(node: &Node, environment: &str) -> bool {
    let Some(Value::List(names)) = node.get("environments").map(|names| &names.value) else {
        return true;
    };
    names.iter().any(|name| name.text() == Some(environment))
}

fn said(node: &Node, filled: bool, reader: &mut Reader) -> Said {
    let what = match &node.value {
        Value::Scalar { .. } if node.is_null() => What::Text(String::new()),
        Value::Scalar { text, .. } => {
            let filled = if filled { reader.text(node, "text") } else { None };
            What::Text(filled.unwrap_or_else(|| text.clone()))
        }
        Value::List(items) => {
            let here = items.iter().filter(|item| is_here(item, &reader.environment));
            let here: Vec<_> = here.collect();
            What::List(here.into_iter().map(|item| said(item, filled, reader)).collect())
        }
        Value::Map(entries) => {
            let mut told = Vec::new();
            for (key, value) in entries {
                if is_here(value, &reader.environment) {
                    // Keys are as they are written.
                    told.push((said(key, false, reader), said(value, filled, reader)));
                }
            }
            What::Map(told)
        }
    };
    Said {
        origin: reader.report.origin(node.span),
        what,
    }
}
