//! Files without a place, and references without a file. Where one explains the other only the
//! reference is reported: what is wrong is one thing.

use std::collections::{BTreeMap, BTreeSet};

use super::super::diagnostic::{Code, Report, Span};
use super::super::names::nearest;
use super::super::secrets::quote;
use super::super::yaml::{Node, Value};
use super::{ENDINGS, Files, KINDS, LATER, Tree, join};

/// What is known of references that lead nowhere, or cannot be read.
#[derive(Clone, Debug, Default)]
pub(super) struct Lost {
    /// What a reference to a file that is not there was probably meant for.
    meant: BTreeMap<String, String>,
    /// Folders in which something cannot be read that may refer to a file there.
    folders: BTreeSet<String>,
    /// The issuers cannot be read, so that any file of keys may be theirs.
    keys: bool,
}

impl Lost {
    pub(super) fn below(&mut self, folder: String) {
        self.folders.insert(folder);
    }

    pub(super) fn meant(&self, path: &str) -> Option<String> {
        self.meant.get(path).cloned()
    }

    /// Whether a reference that cannot be read may lead to a file.
    fn explains(&self, path: &str) -> bool {
        let keys = self.keys && has_ending(path, &[".json"]) && !path.starts_with("apis/");
        let below = |folder: &String| path.starts_with(folder.as_str()) && has_ending(path, &ENDINGS);
        keys || self.folders.iter().any(below)
    }
}

fn has_ending(path: &str, endings: &[&str]) -> bool {
    endings.iter().any(|ending| path.ends_with(ending))
}

/// The folders that a tree may have.
fn folders() -> impl Iterator<Item = &'static str> + Clone {
    KINDS.iter().chain(&LATER).copied().chain(["apis"])
}

/// The folder that was probably meant by another name.
fn folder_meant(folder: &str) -> Option<&'static str> {
    nearest(folder, folders()).filter(|near| *near != folder)
}

/// Notes the item that a file without a place was probably meant to be, so that references to it
/// are not said to lead nowhere.
pub(super) fn misplaced(tree: &mut Tree, path: &[&str]) {
    let (Some(folder), Some(name)) = (path.first(), path.get(1)) else {
        return;
    };
    let meant = folder_meant(folder).unwrap_or(folder);
    let kind = KINDS.into_iter().chain(["apis"]).find(|kind| *kind == meant);
    if let Some(kind) = kind {
        let name = name.rsplit_once('.').map_or(*name, |(stem, _)| stem);
        let item = (name.to_owned(), Span::new(u32::MAX, 0, 0));
        tree.misplaced.entry(kind).or_default().push(item);
    }
}

impl Files {
    /// A file without a place in a folder (nothing: the tree's own) whose name is near to another.
    /// It then counts as what it was meant for.
    pub(crate) fn meant_for(&mut self, folder: &str, name: &str) -> Option<String> {
        let wanted = format!("{folder}{name}");
        let near = {
            let strays = self.found.keys().filter(|path| {
                let rest = path.strip_prefix(folder);
                !self.placed.contains(*path) && rest.is_some_and(|rest| !rest.contains('/'))
            });
            nearest(&wanted, strays.map(String::as_str))?.to_owned()
        };
        self.placed.insert(near.clone());
        Some(near)
    }

    /// What would help where a file is there under this name, or with a `.` before it, and its name keeps it out of the
    /// tree.
    pub(crate) fn left_out(&self, path: &str) -> Option<String> {
        let hides = |path: &str| path.split('/').any(|part| part.starts_with('.'));
        let (folder, name) = path.rsplit_once('/').unwrap_or(("", path));
        let dotted = join(folder, &format!(".{name}"));
        let mut paths = [path, dotted.as_str()].into_iter();
        let there = paths.find(|path| {
            let left_out = hides(path) || has_ending(path, &[".md"]);
            left_out && self.root.join(path).is_file()
        })?;
        let parts: Vec<_> = there
            .split('/')
            .map(|part| part.trim_start_matches('.'))
            .collect();
        let (why, name) = if hides(there) {
            ("what begins with `.` is left out", parts.join("/"))
        } else {
            let stem = there.strip_suffix(".md").unwrap_or(there);
            ("notes (`.md`) are left out", format!("{stem}.yaml"))
        };
        let here = if name == path { "" } else { ", and name that here" };
        Some(format!(
            "{} is there, and no part of the tree: {why}; rename it to {}{here}",
            quote(there),
            quote(&name)
        ))
    }

    /// Files that items of any environment refer to have their place in the tree.
    pub(crate) fn note_references(&mut self, tree: &Tree) {
        let mut wanted: Vec<(String, String)> = Vec::new();
        for api in &tree.apis {
            let folder = format!("apis/{}/", api.name);
            let versions = api.node.as_ref().and_then(|node| node.get("versions"));
            if !versions.is_some_and(|versions| matches!(versions.value, Value::Map(_))) {
                self.lost.below(folder.clone());
            }
            for (_, version) in versions.map(Node::entries).unwrap_or_default() {
                match version.get("openapi").and_then(Node::text) {
                    Some(path) => wanted.push((format!("{folder}{path}"), folder.clone())),
                    None => self.lost.below(folder.clone()),
                }
            }
        }
        let gateway = tree.gateway.as_ref().and_then(|item| item.node.as_ref());
        let issuers = gateway.and_then(|node| node.get("issuers"));
        // Issuers are optional, unless the file is not there or is written in another way.
        self.lost.keys |= match (gateway, issuers) {
            (None, _) => true,
            (Some(gateway), None) => {
                let meant = |key: &str| nearest(key, ["issuers"].into_iter()).is_some();
                let mut keys = gateway.entries().iter().filter_map(|(key, _)| key.text());
                !matches!(gateway.value, Value::Map(_)) || keys.any(meant)
            }
            (_, Some(issuers)) => !matches!(issuers.value, Value::Map(_)),
        };
        for (_, issuer) in issuers.map(Node::entries).unwrap_or_default() {
            match issuer.get("jwks").and_then(Node::text) {
                Some(path) if path != "development" && !path.contains("://") => {
                    wanted.push((path.to_owned(), String::new()));
                }
                None if issuer.get("secret").is_none() => self.lost.keys = true,
                _ => {}
            }
        }
        self.placed.extend(wanted.iter().map(|(path, _)| path.clone()));
        for (path, folder) in wanted {
            if !self.found.contains_key(&path) {
                self.pair(path, &folder);
            }
        }
    }

    /// Finds the file that a reference to one that is not there was probably meant for.
    fn pair(&mut self, path: String, folder: &str) {
        let near = {
            let keys = folder.is_empty();
            let mut strays = self.found.keys().map(String::as_str).filter(|stray| {
                let fits = if keys {
                    has_ending(stray, &[".json"]) && !stray.starts_with("apis/")
                } else {
                    stray.starts_with(folder) && has_ending(stray, &ENDINGS)
                };
                fits && !self.placed.contains(*stray)
            });
            let only = match (strays.clone().next(), strays.clone().nth(1)) {
                (Some(only), None) => Some(only),
                _ => None,
            };
            nearest(&path, &mut strays).or(only).map(str::to_owned)
        };
        if let Some(near) = near {
            self.placed.insert(near.clone());
            self.lost.meant.insert(path, near);
        }
    }

    /// Reports the files that have no place.
    pub(crate) fn report_strays(&self, report: &mut Report) {
        let mut folders_said = BTreeSet::new();
        for path in self.found.keys().filter(|path| !self.placed.contains(*path)) {
            let (folder, file) = path.rsplit_once('/').unwrap_or(("", path));
            let top = folder.split('/').next().unwrap_or("");
            let meant = folder_meant(top);
            // A folder of another name is one fault, however many files it has.
            if self.lost.explains(path) || meant.is_some() && !folders_said.insert(top) {
                continue;
            }
            let near = if folder.is_empty() {
                nearest(file, ["gateway.yaml"].into_iter()).map(str::to_owned)
            } else {
                meant.map(|meant| format!("{meant}/"))
            };
            let help = match near {
                Some(near) => format!("did you mean `{near}`?"),
                None if KINDS.contains(&folder) => {
                    "the files of a kind end in `.yaml`, `.yml` or `.json`".to_owned()
                }
                None => {
                    let all: Vec<_> = folders().map(|folder| format!("`{folder}/`")).collect();
                    format!("a tree has `gateway.yaml` and the folders {}", all.join(", "))
                }
            };
            let message = match meant {
                Some(_) => format!(
                    "the folder {} has no place in the tree",
                    quote(&format!("{top}/"))
                ),
                None => "this file has no place in the tree, and nothing refers to it".to_owned(),
            };
            let span = Self::place(path, report);
            report.error(Code::UnknownFile, span, message).help(help);
        }
    }
}
