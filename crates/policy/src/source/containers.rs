//! Lists, maps from names, and `all`-or-a-list.

use std::collections::BTreeSet;

use super::declare::Shape;
use super::diagnostic::Code;
use super::reader::{Read, Reader, Scalar, Spanned};
use super::schema;
use super::yaml::{Node, Value};

/// A list whose items may be limited to some environments; holds those that exist in this one.
#[derive(Clone, Debug)]
pub(crate) struct List<T>(pub(crate) Vec<Spanned<T>>);

impl<T> Default for List<T> {
    fn default() -> Self {
        Self(Vec::new())
    }
}

/// A map from names to items; holds those that exist in this environment, and the names of others.
#[derive(Clone, Debug)]
pub(crate) struct Map<T> {
    pub(crate) here: Vec<(Spanned<String>, Spanned<T>)>,
    /// Names of items that are broken or belong to other environments.
    pub(crate) others: Vec<Spanned<String>>,
}

impl<T> Default for Map<T> {
    fn default() -> Self {
        Self {
            here: Vec::new(),
            others: Vec::new(),
        }
    }
}

/// `all`, or these.
#[derive(Clone, Debug)]
pub(crate) enum AllOr<T> {
    All,
    Only(List<T>),
}

impl<T: Read> Read for List<T> {
    fn expects() -> String {
        format!("a list, each item {}", T::expects())
    }

    fn schema() -> serde_json::Value {
        schema::list(&T::item_schema())
    }

    fn read(node: &Node, reader: &mut Reader) -> Option<Self> {
        let Value::List(items) = &node.value else {
            reader.wrong_type(node, &Self::expects());
            return None;
        };
        Some(Self(items.iter().filter_map(|item| reader.item(item)).collect()))
    }

    fn shapes(out: &mut Vec<&'static Shape>) {
        T::shapes(out);
    }

    fn later() -> &'static [&'static str] {
        T::later()
    }
}

impl<T: Read> Read for Map<T> {
    fn expects() -> String {
        format!("a map from names, each to {}", T::expects())
    }

    fn schema() -> serde_json::Value {
        schema::map(&T::item_schema())
    }

    fn read(node: &Node, reader: &mut Reader) -> Option<Self> {
        let Value::Map(entries) = &node.value else {
            reader.wrong_type(node, &Self::expects());
            return None;
        };
        let mut map = Self::default();
        let mut seen = BTreeSet::new();
        for (key, value) in entries {
            let Some(text) = key.text() else { continue };
            let name = Spanned::new(text.to_owned(), key.span);
            if let Err(fault) = super::scalars::Name::parse(text) {
                reader
                    .report
                    .error(fault.code, key.span, fault.message)
                    .maybe_help(fault.help);
            }
            // The second one of a name was reported as it was parsed.
            if !seen.insert(text) {
                continue;
            }
            match reader.item(value) {
                Some(item) => map.here.push((name, item)),
                None => map.others.push(name),
            }
        }
        Some(map)
    }

    fn shapes(out: &mut Vec<&'static Shape>) {
        T::shapes(out);
    }

    fn later() -> &'static [&'static str] {
        T::later()
    }
}

impl<T: Read> Read for AllOr<T> {
    fn expects() -> String {
        format!("`all`, or {}", List::<T>::expects())
    }

    fn schema() -> serde_json::Value {
        schema::either([schema::words(&["all"]), List::<T>::schema()])
    }

    fn read(node: &Node, reader: &mut Reader) -> Option<Self> {
        let every = |node: &&Node| node.text() == Some("*");
        if let Some(every) = node.items().iter().chain([node]).find(every) {
            reader
                .report
                .error(Code::UnknownWord, every.span, "`*` stands for nothing here")
                .help("write `all`, without a list around it, for every one that there is and will be");
            return None;
        }
        if matches!(node.value, Value::List(_)) {
            return List::read(node, reader).map(Self::Only);
        }
        if node.text() == Some("all") {
            return Some(Self::All);
        }
        reader.wrong_type(node, &Self::expects());
        None
    }

    fn later() -> &'static [&'static str] {
        T::later()
    }
}
