//! The files of a tree: found, bounded, read, and put where their names say.

mod encoding;
mod kept;
mod open;
mod shelf;
mod strays;
#[cfg(test)]
mod tests;

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use super::diagnostic::{Code, Report, Span};
use super::hidden::is_hidden;
use super::names::nearest;
use super::secrets::quote;
use super::yaml::Node;
pub use kept::Kept;
pub(crate) use shelf::Checked;
use shelf::Shelf;

/// As many bytes may a file of a tree have.
pub const MAX_FILE: u64 = 16 << 20;
/// As many files may be in a tree.
pub const MAX_FILES: usize = 20_000;
/// As many bytes may its files have in all.
pub const MAX_TOTAL: u64 = 256 << 20;
/// As deep may folders lie in one another.
pub const MAX_FOLDERS: usize = 8;

/// Kinds with a folder of files, one item each.
pub(crate) const KINDS: [&str; 9] = [
    "consumers",
    "environments",
    "governance",
    "mocks",
    "models",
    "plans",
    "providers",
    "templates",
    "tests",
];
/// Folders of the language that nothing enforces yet.
pub(crate) const LATER: [&str; 1] = ["guardrails"];
const ENDINGS: [&str; 3] = [".yaml", ".yml", ".json"];

/// A file that holds one item.
#[derive(Debug)]
pub(crate) struct Item {
    /// The file's name without its ending; for an API its folder's name.
    pub(crate) name: String,
    /// The beginning of the file.
    pub(crate) span: Span,
    /// What it says; nothing if it could not be read, and that was reported.
    pub(crate) node: Option<Arc<Node>>,
}

/// The files of a tree.
#[derive(Clone, Debug)]
pub(crate) struct Files {
    root: PathBuf,
    real_root: PathBuf,
    /// Every file found, by its path below the root.
    found: Arc<BTreeMap<String, PathBuf>>,
    /// Those that were read and parsed ahead.
    shelf: Arc<Shelf>,
    /// Those that have a place in the tree, or that something refers to.
    placed: BTreeSet<String>,
    /// Those that were read, by their paths below the root.
    read: BTreeSet<String>,
    /// In bytes.
    total: u64,
    /// So many bytes they may have in all.
    most: u64,
    /// What is known of references that lead nowhere, or cannot be read.
    lost: strays::Lost,
    documents: BTreeMap<String, Option<Arc<Node>>>,
}

/// The items of a tree.
#[derive(Debug, Default)]
pub(crate) struct Tree {
    pub(crate) gateway: Option<Item>,
    pub(crate) kinds: BTreeMap<&'static str, Vec<Item>>,
    pub(crate) apis: Vec<Item>,
    /// Items in a file or folder that is not called as it should be, by kind: they are there, and
    /// that was reported.
    pub(crate) misplaced: BTreeMap<&'static str, Vec<Misplaced>>,
}

/// The name of an item, and where it is.
pub(crate) type Misplaced = (String, Span);

impl Files {
    /// Finds the files of a tree; nothing if it cannot be read at all.
    pub(crate) fn find(root: &Path, report: &mut Report) -> Option<Self> {
        let real_root = match root.canonicalize() {
            Ok(real) if real.is_dir() => real,
            Ok(_) => {
                Self::unreadable("", "this is not a folder", report);
                return None;
            }
            Err(error) => {
                Self::unreadable("", &format!("the policy tree cannot be read: {error}"), report);
                return None;
            }
        };
        let mut files = Self {
            root: root.to_owned(),
            real_root,
            found: Arc::default(),
            shelf: Arc::default(),
            placed: BTreeSet::new(),
            read: BTreeSet::new(),
            total: 0,
            most: MAX_TOTAL,
            lost: strays::Lost::default(),
            documents: BTreeMap::new(),
        };
        let mut found = BTreeMap::new();
        files.walk("", 0, &mut found, report);
        files.found = Arc::new(found);
        Some(files)
    }

    fn unreadable(path: &str, why: &str, report: &mut Report) {
        let span = if path.is_empty() {
            Span::new(u32::MAX, 0, 0)
        } else {
            Self::place(path, report)
        };
        report.error(Code::Unreadable, span, why);
    }

    fn place(path: &str, report: &mut Report) -> Span {
        Span::new(report.add_file(path.to_owned(), ""), 0, 0)
    }

    fn walk(&self, below: &str, depth: usize, found: &mut BTreeMap<String, PathBuf>, report: &mut Report) {
        let entries = match fs::read_dir(self.root.join(below)) {
            Ok(entries) => entries,
            Err(error) => {
                return Self::unreadable(below, &format!("the folder cannot be read: {error}"), report);
            }
        };
        for entry in entries {
            let entry = match entry {
                Ok(entry) => entry,
                Err(error) => {
                    Self::unreadable(below, &format!("the folder cannot be read: {error}"), report);
                    continue;
                }
            };
            let file_name = entry.file_name();
            let Some(name) = file_name.to_str() else {
                let path = join(below, &file_name.to_string_lossy());
                let span = Self::place(&path, report);
                report.error(Code::NotUtf8, span, "the name of the file is not UTF-8");
                continue;
            };
            if name.chars().any(is_unseen) {
                // Shown as it is it could say anything, also to whoever reads what the build says line by line.
                let span = Self::place(&join(below, &shown(name)), report);
                report
                    .error(
                        Code::NotUtf8,
                        span,
                        "the name of this file holds control characters, or others that are not seen",
                    )
                    .help("give it a name of letters and digits");
                continue;
            }
            // Notes for people and what editors and systems leave behind.
            let note = Path::new(name).extension().is_some_and(|ending| ending == "md");
            if name.starts_with('.') || note {
                continue;
            }
            let path = join(below, name);
            let full = entry.path();
            // Only a link can lead elsewhere, and only what is no link can be told without asking.
            let plain = entry
                .file_type()
                .ok()
                .filter(|kind| kind.is_file() || kind.is_dir());
            match plain {
                Some(kind) if kind.is_dir() && depth < MAX_FOLDERS => {
                    self.walk(&path, depth + 1, found, report);
                    continue;
                }
                Some(kind) if kind.is_file() && found.len() < MAX_FILES => {
                    found.insert(path, full);
                    continue;
                }
                _ => {}
            }
            match full.canonicalize() {
                Ok(real) if !real.starts_with(&self.real_root) => {
                    let span = Self::place(&path, report);
                    report
                        .error(Code::LeavesTree, span, "this link leads out of the policy tree")
                        .help("what a gateway does is in its tree: copy the file");
                }
                Ok(real) if real.is_dir() && depth >= MAX_FOLDERS => {
                    let span = Self::place(&path, report);
                    report.error(
                        Code::TooLarge,
                        span,
                        format!("more than {MAX_FOLDERS} levels of folders"),
                    );
                }
                Ok(real) if real.is_dir() => self.walk(&path, depth + 1, found, report),
                Ok(_) if found.len() >= MAX_FILES => {
                    let span = Self::place(&path, report);
                    report.error(Code::TooLarge, span, format!("more than {MAX_FILES} files"));
                    return;
                }
                Ok(real) if real.is_file() => {
                    found.insert(path, full);
                }
                // A pipe, for one, could be read for ever.
                Ok(_) => Self::unreadable(&path, "this is not a file", report),
                Err(error) => Self::unreadable(&path, &format!("the file cannot be read: {error}"), report),
            }
        }
    }

    /// Reads and parses ahead whatever may be part of the tree, on every core. What is found in a file is
    /// said when it is asked for, so that nothing is said of those that no environment needs.
    pub(crate) fn read_ahead(&mut self, kept: Option<&Kept>, report: &mut Report) {
        let wanted = self
            .found
            .iter()
            .filter(|(path, _)| ENDINGS.iter().any(|ending| path.ends_with(ending)));
        self.shelf = Arc::new(Shelf::fill(wanted, self.most, kept, report));
    }

    /// Those that were read, as they are found from here.
    pub(crate) fn into_read(self) -> Vec<PathBuf> {
        let full = |path: &String| self.found.get(path).cloned();
        self.read.iter().filter_map(full).collect()
    }

    /// How large they are, in bytes.
    pub(crate) fn size(&self) -> u64 {
        self.shelf.size()
    }

    /// What is to be kept of them: see [`Kept`].
    pub(crate) fn keep(&self, kept: &Kept, program: &[u8]) -> Option<Vec<u8>> {
        kept.with(self.shelf.known(), program)
    }

    /// Reads `gateway.yaml` alone.
    pub(crate) fn gateway(&mut self, report: &mut Report) -> Option<Item> {
        let names = ENDINGS.map(|ending| format!("gateway{ending}"));
        let (path, full) = names.iter().find_map(|name| self.found.get_key_value(name))?;
        let (path, full) = (path.clone(), full.clone());
        Some(self.item("gateway", &path, &full, report))
    }

    /// Reads every item.
    pub(crate) fn items(&mut self, report: &mut Report) -> Tree {
        let mut tree = Tree::default();
        let mut owner: BTreeMap<(String, String), Span> = BTreeMap::new();
        let mut api_folders = BTreeSet::new();
        for (path, full) in &*Arc::clone(&self.found) {
            let parts: Vec<&str> = path.split('/').collect();
            let stem = |name: &str| {
                ENDINGS
                    .iter()
                    .find_map(|ending| name.strip_suffix(ending))
                    .map(str::to_owned)
            };
            let (kind, name) = match parts.as_slice() {
                [file] if stem(file).as_deref() == Some("gateway") => ("gateway", "gateway".to_owned()),
                [folder, ..] if LATER.contains(folder) => {
                    self.placed.insert(path.clone());
                    let span = Self::place(path, report);
                    report
                        .error(Code::NotBuilt, span, format!("`{folder}/` is not built yet"))
                        .help("nothing is accepted and then ignored: leave it out until it is enforced");
                    continue;
                }
                ["apis", api, rest @ ..] if !rest.is_empty() => {
                    api_folders.insert((*api).to_owned());
                    match rest {
                        [file] if stem(file).as_deref() == Some("api") => ("apis", (*api).to_owned()),
                        _ => continue,
                    }
                }
                [folder, file] => match (KINDS.iter().find(|kind| *kind == folder), stem(file)) {
                    (Some(kind), Some(name)) => (*kind, name),
                    _ => {
                        strays::misplaced(&mut tree, &parts);
                        continue;
                    }
                },
                _ => {
                    strays::misplaced(&mut tree, &parts);
                    continue;
                }
            };
            let item = self.item(&name, path, full, report);
            if let Some(first) = owner.get(&(kind.to_owned(), name.clone())) {
                report
                    .error(
                        Code::TwoFiles,
                        item.span,
                        format!("{} is written in two files", quote(&name)),
                    )
                    .help("keep one of them")
                    .label(*first, "the other one");
                continue;
            }
            owner.insert((kind.to_owned(), name), item.span);
            match kind {
                "gateway" => tree.gateway = Some(item),
                "apis" => tree.apis.push(item),
                _ => tree.kinds.entry(kind).or_default().push(item),
            }
        }
        let known: BTreeSet<String> = tree.apis.iter().map(|item| item.name.clone()).collect();
        for api in api_folders {
            if !known.contains(&api) {
                let span = Self::place(&format!("apis/{api}/api.yaml"), report);
                let near = self.meant_for(&format!("apis/{api}/"), "api.yaml");
                let left_out = self.left_out(&format!("apis/{api}/api.yaml"));
                let near = left_out.or_else(|| Some(format!("rename {}", quote(&near?))));
                report
                    .error(
                        Code::MissingFile,
                        span,
                        format!("the API {} has no `api.yaml`", quote(&api)),
                    )
                    .help(near.unwrap_or_else(|| {
                        "it says what the API is called, who answers for it, and which versions it has"
                            .to_owned()
                    }));
                self.lost.below(format!("apis/{api}/"));
                tree.misplaced.entry("apis").or_default().push((api, span));
            }
        }
        tree
    }

    /// A document that was read already.
    pub(crate) fn read_document(&self, path: &str) -> Option<Arc<Node>> {
        self.documents.get(path).cloned().flatten()
    }

    /// A document that was read, or read ahead; nothing is said of it.
    pub(crate) fn known(&self, path: &str) -> Option<Arc<Node>> {
        let ahead = || self.shelf.get(path)?.node.clone();
        self.read_document(path).or_else(ahead)
    }

    /// What there is to say of a document by itself, if that is known.
    pub(crate) fn checked(&self, path: &str) -> Option<&Checked> {
        self.shelf.get(path)?.checked.as_ref()
    }

    /// Every document that was read, by its path.
    pub(crate) fn documents(&self) -> impl Iterator<Item = (&str, Arc<Node>)> {
        let read = |(path, node): (_, &Option<Arc<Node>>)| Some((path, node.clone()?));
        self.documents
            .iter()
            .map(|(path, node)| (path.as_str(), node))
            .filter_map(read)
    }

    /// Every document of an API that was read, with the API's name.
    pub(crate) fn documents_of(&self) -> impl Iterator<Item = (&str, Arc<Node>)> {
        self.documents().filter_map(|(path, node)| {
            let (api, _) = path.strip_prefix("apis/")?.split_once('/')?;
            Some((api, node))
        })
    }

    /// Every file found, by its path below the root.
    pub(crate) fn names(&self) -> impl Iterator<Item = &str> + Clone {
        self.found.keys().map(String::as_str)
    }

    /// Reads a document that an item refers to: once, however often it is referred to.
    pub(crate) fn document(&mut self, path: &str, from: Span, report: &mut Report) -> Option<Arc<Node>> {
        if let Some(known) = self.documents.get(path) {
            return known.clone();
        }
        let Some(full) = self.found.get(path).cloned() else {
            let near = self.lost.meant(path).or_else(|| {
                let known = self.found.keys().map(String::as_str);
                // What names a document is none.
                let known = known.filter(|known| !known.ends_with("/api.yaml"));
                nearest(path, known).map(str::to_owned)
            });
            let meant = || Some(format!("did you mean {}?", quote(&near?)));
            let help = self.left_out(path).or_else(meant).unwrap_or_else(|| {
                "put it there, or name another; the path begins at the file that names it, or at the tree's root for keys"
                    .to_owned()
            });
            report
                .error(
                    Code::MissingFile,
                    from,
                    format!("there is no file {} in the tree", quote(path)),
                )
                .help(help);
            return None;
        };
        let node = self.item(path, path, &full, report).node;
        self.documents.insert(path.to_owned(), node.clone());
        node
    }
}

/// A name without what cannot be seen.
fn shown(name: &str) -> String {
    name.chars()
        .map(|c| if is_unseen(c) { '\u{fffd}' } else { c })
        .collect()
}

fn is_unseen(c: char) -> bool {
    c.is_control() || is_hidden(c)
}

fn join(below: &str, name: &str) -> String {
    if below.is_empty() {
        name.to_owned()
    } else {
        format!("{below}/{name}")
    }
}
