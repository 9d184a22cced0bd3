//! Items by name, so that a reference can be followed, or refused with a reason.

use std::collections::BTreeMap;

use super::diagnostic::{Code, Span};
use super::files::{Item, Misplaced};
use super::reader::{Field, Read, Reader, Scalar, Spanned};
use super::scalars::Name;
use super::secrets::quote;

/// The items of one kind, sorted by name.
#[derive(Debug)]
pub(crate) struct Catalogue<T> {
    /// Those that exist in this environment.
    pub(crate) here: Vec<(String, Spanned<T>)>,
    /// Those that belong to other environments (true), or are broken (false).
    others: BTreeMap<String, (bool, Span)>,
}

impl<T> Default for Catalogue<T> {
    fn default() -> Self {
        Self {
            here: Vec::new(),
            others: BTreeMap::new(),
        }
    }
}

impl<T: Read> Catalogue<T> {
    /// Reads the items of one kind. The name in an item must be that of its file.
    /// Misplaced ones are known to be there, and not read.
    pub(crate) fn read(
        (items, misplaced): (&[Item], &[Misplaced]),
        name_of: fn(&T) -> &Field<Name>,
        reader: &mut Reader,
    ) -> Self {
        let mut catalogue = Self::default();
        let broken = |(name, span): &Misplaced| (name.clone(), (false, *span));
        catalogue.others.extend(misplaced.iter().map(broken));
        for item in items {
            let Some(node) = &item.node else {
                catalogue.others.insert(item.name.clone(), (false, item.span));
                continue;
            };
            let before = reader.report.count();
            let Some(read) = reader.item::<T>(node) else {
                let whole = reader.report.count() == before;
                catalogue.others.insert(item.name.clone(), (whole, item.span));
                continue;
            };
            // The file is what the item is, not its first key.
            match name_of(&read).as_ref() {
                Some(name) if name.0 == item.name => catalogue.here.push((item.name.clone(), read)),
                Some(name) => {
                    // What is no name cannot be written either.
                    let near = if Name::parse(&item.name).is_ok() {
                        format!("rename the file, or write {}", quote(&item.name))
                    } else {
                        let plain = "names are lower case letters, digits, `.`, `_` and `-`";
                        format!("rename it to {} as well: {plain}", quote(&name.0))
                    };
                    reader
                        .report
                        .error(
                            Code::NameDiffers,
                            name.span,
                            format!(
                                "this is called {}, its file {}",
                                quote(&name.0),
                                quote(&item.name)
                            ),
                        )
                        .help(near);
                    catalogue.others.insert(item.name.clone(), (false, item.span));
                    catalogue.here.push((name.0.clone(), read));
                }
                None => {
                    catalogue.others.insert(item.name.clone(), (false, item.span));
                }
            }
        }
        catalogue.here.sort_by(|(a, _), (b, _)| a.cmp(b));
        catalogue
    }
}

impl<T> Catalogue<T> {
    /// The place of a name in the list, if it exists in this environment.
    pub(crate) fn position(&self, name: &str) -> Option<u32> {
        let at = self
            .here
            .binary_search_by(|(known, _)| known.as_str().cmp(name))
            .ok()?;
        u32::try_from(at).ok()
    }

    /// The names of all items, those of other environments and broken ones included.
    pub(crate) fn names(&self) -> impl Iterator<Item = &str> + Clone {
        let here = self.here.iter().map(|(name, _)| name.as_str());
        here.chain(self.others.keys().map(String::as_str))
    }

    /// Whether there is such an item at all, broken or elsewhere included.
    pub(crate) fn knows(&self, name: &str) -> bool {
        self.position(name).is_some() || self.others.contains_key(name)
    }

    /// Follows a reference; reports one that leads nowhere.
    pub(crate) fn refer(&self, what: &str, name: &str, span: Span, reader: &mut Reader) -> Option<u32> {
        if let Some(at) = self.position(name) {
            return Some(at);
        }
        match self.others.get(name) {
            Some((true, at)) => {
                let message = format!(
                    "the {what} {} does not exist in {}",
                    quote(name),
                    quote(&reader.environment)
                );
                reader
                    .report
                    .error(Code::OtherEnvironment, span, message)
                    .label(*at, "its `environments` do not list it")
                    .help("limit what refers to it in the same way, with `environments`");
            }
            // It is broken, and that was reported.
            Some((false, _)) => {}
            None => {
                reader.unknown(span, what, name, self.names());
            }
        }
        None
    }
}
