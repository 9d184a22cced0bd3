//! How much of a folder's history can be listed.
//!
//! A commit of a few kilobytes, whose folders are the same one many times over, can hold more files than there is room
//! for, and Git lists each of them before it says anything. So they are counted first: each folder once, however often it is
//! there.

use std::collections::BTreeMap;
use std::path::Path;

use crate::git::git;
use crate::objects::Objects;

/// A commit has no more files and folders, if its changes are to be listed.
const MOST: u64 = 100_000;
/// As deep do folders lie in one another, in it.
const DEEPEST: usize = 64;
/// As many bytes has what Git stores of one of them.
const LARGEST: u64 = 16 << 20;
/// The mode of a folder, as Git stores it.
const FOLDER: &[u8] = b"40000";

/// How many commits of a folder's history, from the newest on, can be listed with their files; nothing: all of them.
pub(crate) fn listable(folder: &Path) -> Option<usize> {
    let prefix = git(folder, ["rev-parse", "--show-prefix"]).ok()?;
    let prefix = prefix.trim().trim_end_matches('/');
    let Ok(log) = git(folder, ["log", "--format=%H %P", "--", "."]) else {
        return Some(0);
    };
    let mut counts = Counts {
        objects: Objects::open(folder).ok()?,
        known: BTreeMap::new(),
    };
    // What is listed of a commit is what it has and its parents have not, and the other way round.
    log.lines().position(|line| {
        let mut commits = line.split(' ').filter(|commit| !commit.is_empty());
        commits.any(|commit| counts.of(&format!("{commit}:{prefix}"), 0) > MOST)
    })
}

/// How much there is in folders, by what they are called.
struct Counts {
    objects: Objects,
    known: BTreeMap<String, u64>,
}

impl Counts {
    fn of(&mut self, name: &str, depth: usize) -> u64 {
        if let Some(count) = self.known.get(name) {
            return *count;
        }
        if depth > DEEPEST {
            return u64::MAX;
        }
        let count = match self.objects.folder(name, LARGEST) {
            Ok((object, bytes)) => {
                // A folder of commits is known by its content.
                let known = self.known.get(&object).copied();
                let count = known.unwrap_or_else(|| self.sum(&bytes, object.len() / 2, depth));
                self.known.insert(object, count);
                count
            }
            // There it is not.
            Err(error) if error.kind() == std::io::ErrorKind::NotFound => 0,
            Err(_) => u64::MAX,
        };
        self.known.insert(name.to_owned(), count);
        count
    }

    /// What the bytes of a folder hold, `<mode> <name>\0<hash>` each.
    fn sum(&mut self, mut bytes: &[u8], hash: usize, depth: usize) -> u64 {
        let mut count: u64 = 0;
        while let Some(end) = bytes.iter().position(|byte| *byte == 0) {
            let Some((head, rest)) = bytes.split_at_checked(end + 1) else {
                break;
            };
            let Some((object, after)) = rest.split_at_checked(hash) else {
                break;
            };
            let below = if head.starts_with(FOLDER) {
                self.of(&turnpike_policy::hex(object), depth + 1)
            } else {
                0
            };
            count = count.saturating_add(1).saturating_add(below);
            bytes = after;
        }
        count
    }
}
