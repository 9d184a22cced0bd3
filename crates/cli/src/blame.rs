//! Since which commit each line of the policies is as it is.
//!
//! Git looks for a line in older commits and under older names of its file, and a history can be made in which that takes
//! hours. So it has so long for a file, and so long for all: of what it has not said by then, nothing is known, and that
//! is told.

use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};
use std::time::Duration;

use crate::git::{self, Commit};
use crate::links::Links;
use crate::{say, tree};

/// So long may Git look for the lines of one file.
const EACH: Duration = Duration::from_secs(30);
/// And so long for those of all files together.
const ALL: Duration = Duration::from_mins(10);
/// How many files are named of which nothing is known.
const NAMED: usize = 5;

/// Since which commit each line of each file below a folder is as it is.
#[derive(Debug)]
pub(crate) struct Blame {
    root: PathBuf,
    /// Where the history ends that there is here.
    ends: BTreeSet<String>,
    /// Whether anything is committed.
    known: bool,
    files: BTreeMap<String, Lines>,
    /// What Git knows of a link is where it leads, and not what the lines there say.
    links: Links,
    each: Duration,
    left: Duration,
    /// The files of which Git has not said it in time.
    late: Vec<String>,
    /// Those whose history it cannot read.
    unread: Vec<String>,
}

/// The lines of a file.
#[derive(Debug)]
enum Lines {
    /// Since when each of them is as it is.
    Known(Vec<Since>),
    /// The file is in no commit.
    New,
    /// Git has not said it.
    Unknown,
}

/// Since when a line is as it is.
#[derive(Clone, Debug, PartialEq, Eq)]
enum Since {
    /// It is in no commit.
    New,
    /// A commit, and its second.
    Commit(u64, Commit),
    /// Longer than the history here tells.
    Older,
    Unknown,
}

impl Blame {
    pub(crate) fn new(root: &Path) -> Self {
        Self::within(root, EACH, ALL)
    }

    fn within(root: &Path, each: Duration, all: Duration) -> Self {
        Self {
            root: root.to_owned(),
            ends: git::ends(root),
            known: git::head(root).is_some(),
            files: BTreeMap::new(),
            links: Links::new(root),
            each,
            left: all,
            late: Vec::new(),
            unread: Vec::new(),
        }
    }

    /// Since when some lines are all as they are, named as the bundle names places (`policies/a.yaml:3`): the newest of
    /// their commits. Nothing where Git does not know, be it of one of them.
    pub(crate) fn newest<'a>(&mut self, origins: impl IntoIterator<Item = &'a str>) -> Option<Commit> {
        let mut newest: Option<(u64, Commit)> = None;
        for origin in origins {
            match self.line(origin) {
                Since::New => return Some(Commit::none()),
                Since::Unknown => return None,
                Since::Older => {}
                Since::Commit(at, commit) => {
                    if newest.as_ref().is_none_or(|(newest, _)| *newest < at) {
                        newest = Some((at, commit));
                    }
                }
            }
        }
        newest.map(|(_, commit)| commit)
    }

    fn line(&mut self, origin: &str) -> Since {
        let place = origin
            .split_once('/')
            .and_then(|(_, below)| below.rsplit_once(':'));
        let Some((file, line)) = place.and_then(|(file, line)| Some((file, line.parse::<usize>().ok()?)))
        else {
            return Since::Unknown;
        };
        let Some(file) = self.links.through(file).last().cloned() else {
            return Since::Unknown;
        };
        if !self.files.contains_key(&file) {
            let lines = self.ask(&file);
            self.files.insert(file.clone(), lines);
        }
        match self.files.get(&file) {
            Some(Lines::Known(lines)) => {
                let known = line.checked_sub(1).and_then(|line| lines.get(line));
                known.cloned().unwrap_or(Since::Unknown)
            }
            Some(Lines::New) if self.known => Since::New,
            _ => Since::Unknown,
        }
    }

    fn ask(&mut self, file: &str) -> Lines {
        let within = self.each.min(self.left);
        let before = tree::now().unwrap_or_default();
        // No list of commits to be passed over: it lies in the tree, for whoever changes a line to write into.
        let blame = [
            "blame",
            "--porcelain",
            "--no-textconv",
            "--ignore-revs-file=",
            "--",
            file,
        ];
        let said = git::said_within(&self.root, blame, Some(within));
        let took = tree::now().unwrap_or_default().saturating_sub(before);
        self.left = self.left.saturating_sub(Duration::from_millis(took));
        match said {
            Ok(Some(said)) if said.whole => Lines::Known(blamed(&said.text(), &self.ends)),
            Ok(_) => {
                self.late.push(file.to_owned());
                Lines::Unknown
            }
            // It says the same of a file that it does not have and of a history that it cannot read.
            Err(_)
                if git::git(&self.root, ["ls-tree", "HEAD", "--", file])
                    .is_ok_and(|said| said.is_empty()) =>
            {
                Lines::New
            }
            Err(_) => {
                self.unread.push(file.to_owned());
                Lines::Unknown
            }
        }
    }

    /// Says of which files Git has not said in time since when their lines are as they are.
    pub(crate) fn note_if_late(&self) {
        for note in [self.late(), self.unread()].into_iter().flatten() {
            say::note(&note);
        }
    }

    fn late(&self) -> Option<String> {
        let files = named(&self.late)?;
        Some(format!(
            "since when the lines of {files} are as they are is not known: their history is too long to be looked \
             through in {} s a file and {} s in all",
            EACH.as_secs(),
            ALL.as_secs()
        ))
    }

    fn unread(&self) -> Option<String> {
        let files = named(&self.unread)?;
        Some(format!(
            "since when the lines of {files} are as they are is not known: Git cannot read their history here \
             (try `git blame` and `git fsck`)"
        ))
    }
}

/// Some files by name; nothing, where there is none.
fn named(files: &[String]) -> Option<String> {
    let named: Vec<_> = files.iter().take(NAMED).map(String::as_str).collect();
    let more = match files.len().saturating_sub(NAMED) {
        0 => String::new(),
        more => format!(" and {more} more"),
    };
    (!named.is_empty()).then(|| format!("{}{more}", named.join(", ")))
}

/// Since when each line is as it is, in the porcelain format of `git blame`.
fn blamed(said: &str, ends: &BTreeSet<String>) -> Vec<Since> {
    let mut times: BTreeMap<&str, u64> = BTreeMap::new();
    let mut hashes = Vec::new();
    let mut hash = "";
    for line in said.lines() {
        let first = line.split(' ').next().unwrap_or_default();
        if line.starts_with('\t') {
            hashes.push(hash);
        } else if first.len() >= 40 && first.bytes().all(|byte| byte.is_ascii_hexdigit()) {
            hash = first;
        } else if let Some(time) = line.strip_prefix("committer-time ") {
            times.insert(hash, time.parse().unwrap_or(0));
        }
    }
    let since = |hash: &str| {
        // Git calls what is not committed the commit of noughts.
        if hash.bytes().all(|byte| byte == b'0') {
            return Since::New;
        }
        if ends.contains(hash) {
            return Since::Older;
        }
        let at = times.get(hash).copied().unwrap_or_default();
        let commit = Commit {
            hash: hash.get(..9).unwrap_or_default().to_owned(),
            date: crate::words::day(at.saturating_mul(1000)),
        };
        Since::Commit(at, commit)
    };
    hashes.into_iter().map(since).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn git(folder: &Path, arguments: &[&str]) {
        let mut command = git::command(folder);
        command.args(["-c", "user.name=t", "-c", "user.email=t@example.org"]);
        let done = command.args(arguments).output().unwrap();
        assert!(done.status.success(), "{arguments:?}");
    }

    /// What Git has not said in time is not known, it is not asked for ever, and that is told.
    #[test]
    fn git_has_so_long_and_no_longer() {
        let folder = tempfile::tempdir().unwrap();
        for name in ["a.yaml", "b.yaml"] {
            std::fs::write(folder.path().join(name), "one: 1\n").unwrap();
        }
        git(folder.path(), &["init", "-q"]);
        git(folder.path(), &["add", "."]);
        git(folder.path(), &["commit", "-q", "-m", "first"]);
        let mut blame = Blame::new(folder.path());
        assert!(blame.newest(["policies/a.yaml:1"]).is_some());
        assert_eq!(blame.late(), None);
        let hour = Duration::from_hours(1);
        for (each, all) in [(Duration::ZERO, hour), (hour, Duration::ZERO)] {
            let mut blame = Blame::within(folder.path(), each, all);
            assert_eq!(blame.newest(["policies/a.yaml:1"]), None);
            assert_eq!(blame.newest(["policies/b.yaml:1", "policies/a.yaml:1"]), None);
            let said = blame.late().unwrap();
            assert!(
                said.starts_with("since when the lines of a.yaml, b.yaml are"),
                "{said}"
            );
        }
    }

    /// Whoever changes a line cannot have the change passed over, and a history that is damaged is not one without it.
    #[test]
    fn no_file_of_the_tree_says_what_is_passed_over() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path();
        let said = |arguments: &[&str]| {
            let said = git::command(path).args(arguments).output().unwrap();
            String::from_utf8(said.stdout).unwrap().trim().to_owned()
        };
        std::fs::write(path.join("a.yaml"), "one: 1\n").unwrap();
        git(path, &["init", "-q"]);
        git(path, &["add", "."]);
        git(path, &["commit", "-q", "-m", "first"]);
        std::fs::write(path.join("a.yaml"), "one: 2\n").unwrap();
        git(path, &["commit", "-qam", "second"]);
        let second = said(&["rev-parse", "HEAD"]);
        std::fs::write(path.join("ignored"), format!("{second}\n")).unwrap();
        git(path, &["config", "blame.ignoreRevsFile", "ignored"]);
        let since = |place: &str| Blame::new(path).newest([place]);
        assert!(second.starts_with(&since("policies/a.yaml:1").unwrap().hash));
        std::fs::write(path.join("new.yaml"), "one: 1\n").unwrap();
        assert_eq!(since("policies/new.yaml:1"), Some(Commit::none()));

        let blob = said(&["rev-parse", "HEAD~1:a.yaml"]);
        let (folder, file) = blob.split_at(2);
        std::fs::remove_file(path.join(".git/objects").join(folder).join(file)).unwrap();
        let mut blame = Blame::new(path);
        assert_eq!(blame.newest(["policies/a.yaml:1"]), None);
        assert!(
            blame
                .unread()
                .unwrap()
                .starts_with("since when the lines of a.yaml are")
        );
    }
}
