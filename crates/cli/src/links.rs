//! Where the paths of a tree lead: to Git a link is a file of its own, and what it leads to another one.

use std::collections::BTreeMap;
use std::fs;
use std::path::{Component, Path, PathBuf};

/// The system follows no more, one after the other.
const MOST: usize = 40;

/// The links of a tree, as far as they were asked for.
#[derive(Debug)]
pub(crate) struct Links {
    /// Where the tree really lies; nothing: that is not known, and neither are its links.
    root: Option<PathBuf>,
    known: BTreeMap<String, Vec<String>>,
}

impl Links {
    pub(crate) fn new(root: &Path) -> Self {
        Self {
            root: root.canonicalize().ok(),
            known: BTreeMap::new(),
        }
    }

    /// The links that a path goes through, each by its own path, and last what it leads to. All of them are below the
    /// tree's folder, as is the path.
    pub(crate) fn through(&mut self, path: &str) -> &[String] {
        let found = |root: Option<&PathBuf>| match root {
            Some(root) => followed(root, path),
            None => vec![path.to_owned()],
        };
        let root = self.root.as_ref();
        self.known.entry(path.to_owned()).or_insert_with(|| found(root))
    }
}

fn followed(root: &Path, path: &str) -> Vec<String> {
    let mut all = Vec::new();
    let mut at = PathBuf::from(path);
    while all.len() < MOST
        && let Some(link) = first_link(root, &at)
        && let Some(next) = next(root, &link, &at)
    {
        all.push(shown(&link));
        at = next;
    }
    all.push(shown(&at));
    all
}

/// The first part of a path that is a link.
fn first_link(root: &Path, path: &Path) -> Option<PathBuf> {
    let mut at = PathBuf::new();
    path.components().find_map(|part| {
        at.push(part);
        let there = fs::symlink_metadata(root.join(&at)).ok()?;
        there.is_symlink().then(|| at.clone())
    })
}

/// A path with its first link followed; nothing if that leads out of the tree.
fn next(root: &Path, link: &Path, path: &Path) -> Option<PathBuf> {
    let target = fs::read_link(root.join(link)).ok()?;
    let rest = path.strip_prefix(link).ok()?;
    let mut at = root.to_owned();
    let before = link.parent().into_iter().flat_map(Path::components);
    for part in before.chain(target.components()).chain(rest.components()) {
        match part {
            Component::ParentDir => {
                at.pop();
            }
            Component::CurDir => {}
            // One that is absolute begins anew.
            part => at.push(part),
        }
    }
    at.strip_prefix(root).ok().map(Path::to_owned)
}

/// As Git writes paths.
fn shown(path: &Path) -> String {
    let parts: Vec<_> = path.iter().map(|part| part.to_string_lossy()).collect();
    parts.join("/")
}
