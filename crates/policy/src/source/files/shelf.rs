//! Files read and parsed ahead: of each what the file alone decides, so that all cores can do it, and
//! once for all environments. What depends on others comes later, in one thread for each environment.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, AtomicUsize, Ordering};
use std::{fs, thread};

use super::super::diagnostic::{Found, Report};
use super::super::governance::Notes;
use super::super::lines::Source;
use super::super::openapi::{self, Document};
use super::super::yaml::Node;
use super::MAX_FILE;
use super::kept::{Kept, Known};
use super::open::parse;

/// More threads than this find no more work.
const MAX_THREADS: usize = 16;
/// A thread is worth its start with so many files to read.
const FILES_A_THREAD: usize = 64;

/// What is known of the files of a tree by themselves, by their paths.
#[derive(Debug, Default)]
pub(super) struct Shelf {
    files: BTreeMap<String, Parsed>,
}

/// A file that was read and parsed.
#[derive(Debug)]
pub(super) struct Parsed {
    /// Its index among the sources of the report.
    pub(super) file: u32,
    /// In bytes.
    pub(super) size: u64,
    /// What it says; nothing if it could not be parsed.
    pub(super) node: Option<Arc<Node>>,
    /// What was found.
    pub(super) found: Found,
    /// What there is to say of it if it is an OpenAPI document.
    pub(super) checked: Option<Checked>,
    /// What is kept of it, if anything is.
    known: Option<Known>,
}

/// What there is to say of an OpenAPI document by itself.
#[derive(Debug)]
pub(crate) struct Checked {
    /// What is wrong with it.
    pub(crate) found: Found,
    /// Whether it hides operations: see [`openapi::check`].
    pub(crate) hides: bool,
    /// Which rules it does not meet.
    pub(crate) notes: Notes,
    /// Which of its texts and comments should not be there.
    pub(crate) texts: Notes,
}

impl Checked {
    fn of(root: &Node, text: &str) -> Option<Self> {
        root.get("openapi")?;
        let mut report = Report::default();
        let document = Document::open(root, root.span, &mut report)?;
        let hides = openapi::check(&document, &mut report);
        Some(Self {
            found: report.into_parts().1,
            hides,
            notes: Notes::of(root),
            texts: Notes::of_texts(root, text),
        })
    }
}

impl Shelf {
    pub(super) fn get(&self, path: &str) -> Option<&Parsed> {
        self.files.get(path)
    }

    /// In bytes.
    pub(super) fn size(&self) -> u64 {
        self.files.values().map(|parsed| parsed.size).sum()
    }

    /// Of which files something is kept.
    pub(super) fn known(&self) -> impl Iterator<Item = &Known> {
        self.files.values().filter_map(|parsed| parsed.known.as_ref())
    }

    /// Reads files, of so many bytes at the `most`, and makes them known to the report. Those that are too large or
    /// cannot be read are left out: whoever needs one of them meets the fault, and says so.
    pub(super) fn fill<'a>(
        wanted: impl Iterator<Item = (&'a String, &'a PathBuf)>,
        most: u64,
        kept: Option<&Kept>,
        report: &mut Report,
    ) -> Self {
        let wanted: Vec<_> = wanted.collect();
        let first = report.count_sources();
        let (next, total) = (AtomicUsize::new(0), AtomicU64::new(0));
        let work = || {
            let mut done = Vec::new();
            loop {
                let at = next.fetch_add(1, Ordering::Relaxed);
                let Some((path, full)) = wanted.get(at) else {
                    return done;
                };
                if let Some((source, parsed)) = read(first + at, path, full, (&total, most), kept) {
                    done.push((at, (*path).clone(), source, parsed));
                }
            }
        };
        let cores = thread::available_parallelism().map_or(1, std::num::NonZero::get);
        let threads = cores.min(MAX_THREADS).min(wanted.len() / FILES_A_THREAD);
        let mut all = thread::scope(|scope| {
            let others: Vec<_> = (1..threads).map(|_| scope.spawn(work)).collect();
            let mut all = work();
            // What a thread did that was lost is done again when it is asked for.
            all.extend(others.into_iter().filter_map(|other| other.join().ok()).flatten());
            all
        });
        all.sort_by_key(|(at, ..)| *at);
        let mut shelf = Self::default();
        for (at, path, source, parsed) in all {
            // Those that were left out have an index as well.
            for (left_out, _) in wanted.iter().take(at).skip(report.count_sources() - first) {
                report.add_source(Source::new((*left_out).clone(), Arc::default()));
            }
            report.add_source(source);
            shelf.files.insert(path, parsed);
        }
        shelf
    }
}

fn read(
    file: usize,
    path: &str,
    full: &Path,
    (total, most): (&AtomicU64, u64),
    kept: Option<&Kept>,
) -> Option<(Source, Parsed)> {
    let size = fs::metadata(full).ok().map(|metadata| metadata.len())?;
    if size > MAX_FILE || total.fetch_add(size, Ordering::Relaxed).saturating_add(size) > most {
        return None;
    }
    let file = u32::try_from(file).ok()?;
    let mut text = String::from_utf8(fs::read(full).ok()?).ok()?;
    if text.starts_with('\u{feff}') {
        text.remove(0);
    }
    let text = Arc::new(text);
    let before = kept.map(|kept| kept.find(&text, file));
    if let Some((key, Some((node, checked)))) = before {
        let parsed = Parsed {
            file,
            size,
            node: Some(Arc::new(node)),
            found: Found::default(),
            checked,
            known: Some(Known::as_before(key)),
        };
        return Some((Source::new(path.to_owned(), text), parsed));
    }
    let mut report = Report::of_file(file, path.to_owned(), Arc::clone(&text));
    let node = parse(file, &text, &mut report).map(Arc::new);
    let (source, found) = report.into_parts();
    let checked = node.as_deref().and_then(|node| Checked::of(node, &text));
    let known = match (before, &node) {
        (Some((key, _)), Some(node)) => Known::anew(key, &text, node, &found, checked.as_ref()),
        _ => None,
    };
    let parsed = Parsed {
        file,
        size,
        node,
        found,
        checked,
        known,
    };
    Some((source?, parsed))
}
