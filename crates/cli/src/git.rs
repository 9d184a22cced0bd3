//! What Git knows of the policies: where they stand, and when a file was last changed.

use std::borrow::Cow;
use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::io::{self, Read as _};
use std::path::Path;
use std::process::{Command, Stdio};
use std::sync::mpsc;
use std::thread;
use std::time::Duration;

use crate::{history, say};

/// No more is taken of what git says: a commit of a few kilobytes can hold more files than anybody has room for.
const MOST: u64 = 64 << 20;

/// A commit, as far as people ask for it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Commit {
    /// Its short hash; empty: the change is not committed.
    pub(crate) hash: String,
    /// Its day.
    pub(crate) date: String,
}

impl Commit {
    /// That of what is not committed.
    pub(crate) const fn none() -> Self {
        Self {
            hash: String::new(),
            date: String::new(),
        }
    }
}

/// The last change of each file below a folder.
#[derive(Debug, Default)]
pub(crate) struct Changes {
    /// The newest commit of each file, by its path below the folder, and its place in the history; no commit where
    /// the history ends before it.
    last: BTreeMap<String, (usize, Option<Commit>)>,
    uncommitted: BTreeSet<String>,
}

impl Changes {
    /// Reads the history; nothing where there is none.
    pub(crate) fn read(root: &Path) -> Option<Self> {
        let listable = history::listable(root);
        let most = listable.map(|commits| format!("--max-count={commits}"));
        let mut question = vec![
            "log",
            "--format=%x00%H %h %cs",
            "--name-only",
            "--relative",
            "--no-renames",
        ];
        question.extend(most.as_deref());
        question.extend(["--", "."]);
        let log = said(root, question).ok()?;
        if listable.is_some() || !log.whole {
            say::note(&format!(
                "the history of {} has more files than can be listed: since when something is as it is cannot be told \
                 beyond that",
                root.display()
            ));
        }
        if listable == Some(0) {
            // Nor can what differs from the newest commit be.
            return None;
        }
        let log = log.text();
        let ends = ends(root);
        let mut changes = Self::default();
        for (place, commit) in log.split('\0').skip(1).enumerate() {
            let mut lines = commit.lines();
            let mut words = lines.next().unwrap_or_default().split(' ');
            let (Some(whole), Some(hash), Some(date)) = (words.next(), words.next(), words.next()) else {
                continue;
            };
            let commit = (!ends.contains(whole)).then(|| Commit {
                hash: hash.to_owned(),
                date: date.to_owned(),
            });
            for file in lines.filter(|line| !line.is_empty()) {
                let newest = || (place, commit.clone());
                changes.last.entry(file.to_owned()).or_insert_with(newest);
            }
        }
        for arguments in [
            &["diff", "--name-only", "--relative", "HEAD", "--", "."][..],
            // Also what Git ignores: the build does not.
            &["ls-files", "--others", "--", "."],
        ] {
            let Ok(names) = said(root, arguments) else {
                continue;
            };
            if !names.whole {
                // Any other one may be among those that are not known.
                say::note(&format!(
                    "more is not committed in {} than {} MiB of names: since when something is as it is cannot be told",
                    root.display(),
                    MOST >> 20
                ));
                return None;
            }
            changes
                .uncommitted
                .extend(names.text().lines().map(str::to_owned));
        }
        Some(changes)
    }

    /// The newest change of some files, nothing where the history does not tell; files are named as the bundle names places (`policies/a.yaml:3`).
    pub(crate) fn of<'a>(&self, origins: impl IntoIterator<Item = &'a str>) -> Option<Commit> {
        let mut newest: Option<&(usize, Option<Commit>)> = None;
        for origin in origins {
            let (_, below) = origin.split_once('/')?;
            let file = below.rsplit_once(':').map_or(below, |(file, _)| file);
            if self.uncommitted.contains(file) {
                return Some(Commit::none());
            }
            if let Some(change) = self.last.get(file)
                && newest.is_none_or(|newest| change.0 < newest.0)
            {
                newest = Some(change);
            }
        }
        newest?.1.clone()
    }
}

/// What to do where Git answers nobody but the owner of a repository.
pub(crate) const TRUST: &str = "if it is yours to trust: `git config --global --add safe.directory DIR`, with the folder of the repository";

/// Why Git answers nothing about a folder, if that is for whose it is: in a container the clone is often another user's.
pub(crate) fn refused(folder: &Path) -> Option<String> {
    let said = git(folder, ["rev-parse", "--git-dir"]).err()?;
    said.contains("dubious ownership").then(|| {
        format!(
            "Git answers nothing about {}, which is another user's",
            folder.display()
        )
    })
}

/// Says that Git knows nothing of a folder, or not all, where that is so: what is told of changes is empty then.
pub(crate) fn note_if_unknown(folder: &Path) {
    let folder_shown = folder.display();
    if let Some(refused) = refused(folder) {
        say::note(&format!(
            "{refused}: since when something is as it is cannot be told\n{TRUST}"
        ));
    } else if head(folder).is_none() {
        say::note(&format!(
            "{folder_shown} has no commit in Git: since when something is as it is cannot be told"
        ));
    } else if !ends(folder).is_empty() {
        say::note(&format!(
            "{folder_shown} is in a shallow clone: since when something is as it is cannot be told beyond its first commit\n\
             fetch the whole history: `git fetch --unshallow`, or `fetch-depth: 0` of actions/checkout"
        ));
    }
}

/// The commits at which the history of a shallow clone ends. Git takes all that is in one for its change, whoever
/// made it.
pub(crate) fn ends(folder: &Path) -> BTreeSet<String> {
    let file = git(folder, ["rev-parse", "--git-path", "shallow"]).unwrap_or_default();
    // Git names it as seen from the folder; where nothing is cut off, it is not there.
    let listed = fs::read_to_string(folder.join(file.trim_end_matches(['\r', '\n']))).unwrap_or_default();
    // The first commit of all may be listed too, and nothing is before that.
    let has_parents = |commit: &&str| {
        let written = git(folder, ["cat-file", "commit", *commit]).unwrap_or_default();
        written
            .lines()
            .take_while(|line| !line.is_empty())
            .any(|line| line.starts_with("parent "))
    };
    listed.lines().filter(has_parents).map(str::to_owned).collect()
}

/// The day of the commit of a revision, as it is written.
pub(crate) fn day_of(root: &Path, revision: &str) -> Option<String> {
    let day = git(root, ["log", "-1", "--format=%cs", revision, "--"]).ok()?;
    Some(day.trim().to_owned())
}

/// The commit that a folder stands at; nothing where Git does not know.
pub(crate) fn head(folder: &Path) -> Option<String> {
    let commit = git(folder, ["rev-parse", "HEAD"]).ok()?;
    Some(commit.trim().to_owned())
}

/// Whether a text is the hash of a commit that is known here.
pub(crate) fn knows(folder: &Path, commit: &str) -> bool {
    let hash = commit.len() >= 7 && commit.bytes().all(|byte| byte.is_ascii_hexdigit());
    let name = format!("{commit}^{{commit}}");
    hash && git(folder, ["cat-file", "-e", name.as_str()]).is_ok()
}

/// Whether something below a folder is not committed. What Git ignores is not, and the build reads it all the same;
/// what is hidden, such as what a system leaves behind in each folder, it does not read.
pub(crate) fn uncommitted(folder: &Path) -> bool {
    let changed = ["status", "--porcelain", "--", "."];
    let ignored = [
        "ls-files",
        "--others",
        "--ignored",
        "--exclude-standard",
        "--",
        ".",
        ":(exclude,glob)**/.*",
    ];
    [&changed[..], &ignored]
        .iter()
        .any(|question| said(folder, question).is_ok_and(|said| !said.bytes.trim_ascii().is_empty()))
}

/// Runs git in a folder and gives what it says, all of it.
pub(crate) fn git<'a>(folder: &Path, arguments: impl AsRef<[&'a str]>) -> Result<String, String> {
    let said = said(folder, arguments)?;
    if said.whole {
        Ok(said.text().into_owned())
    } else {
        Err(format!("git says more than {} MiB", MOST >> 20))
    }
}

/// What git said.
pub(crate) struct Said {
    bytes: Vec<u8>,
    /// Whether that was all.
    pub(crate) whole: bool,
}

impl Said {
    /// As text, in whole lines.
    pub(crate) fn text(&self) -> Cow<'_, str> {
        let end = self.bytes.iter().rposition(|byte| *byte == b'\n');
        let end = end.map_or(0, |end| end + 1);
        let lines = if self.whole {
            Some(self.bytes.as_slice())
        } else {
            self.bytes.get(..end)
        };
        String::from_utf8_lossy(lines.unwrap_or_default())
    }
}

/// A command of Git's in a folder. The folder may be of a pull request, and could be made to look like a repository of its
/// own, with a configuration that names programs to run: only one is taken that the folder lies in.
pub(crate) fn command(folder: &Path) -> Command {
    let mut command = Command::new("git");
    command
        .current_dir(folder)
        .args(["-c", "safe.bareRepository=explicit"])
        .stdin(Stdio::null());
    command
}

/// Runs git, and takes as much of what it says as there is room for.
fn said<'a>(folder: &Path, arguments: impl AsRef<[&'a str]>) -> Result<Said, String> {
    let said = said_within(folder, arguments, None)?;
    said.ok_or_else(|| "git says nothing".to_owned())
}

/// As [`said`], and nothing where it is not done by then: it is ended.
pub(crate) fn said_within<'a>(
    folder: &Path,
    arguments: impl AsRef<[&'a str]>,
    within: Option<Duration>,
) -> Result<Option<Said>, String> {
    let cannot = |error: io::Error| format!("git cannot be asked: {error}");
    let mut process = command(folder)
        .args(["-c", "core.quotePath=false"])
        .args(arguments.as_ref())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .map_err(|error| format!("git cannot be started: {error}"))?;
    let (out, err) = (process.stdout.take(), process.stderr.take());
    // What it complains of is read beside, as it would wait for that.
    let complaint = thread::spawn(move || {
        let mut complaint = Vec::new();
        if let Some(mut err) = err {
            let _ = err.by_ref().take(64 << 10).read_to_end(&mut complaint);
            let _ = io::copy(&mut err, &mut io::sink());
        }
        complaint
    });
    let (done, all) = mpsc::channel();
    let reading = thread::spawn(move || {
        let mut bytes = Vec::new();
        let read = out.map_or(Ok(0), |out| out.take(MOST + 1).read_to_end(&mut bytes));
        // Nobody waits any more for what comes too late.
        let _ = done.send((bytes, read));
    });
    let read = match within {
        Some(within) => all.recv_timeout(within).ok(),
        None => all.recv().ok(),
    };
    let Some((bytes, read)) = read else {
        let _ = process.kill();
        process.wait().map_err(cannot)?;
        return Ok(None);
    };
    let _ = reading.join();
    let whole = u64::try_from(bytes.len()).is_ok_and(|length| length <= MOST);
    if !whole || read.is_err() {
        // Of one that is at its end already there is nothing to end.
        let _ = process.kill();
    }
    let status = process.wait().map_err(cannot)?;
    let complaint = complaint.join().unwrap_or_default();
    read.map_err(cannot)?;
    if status.success() || !whole {
        Ok(Some(Said { bytes, whole }))
    } else {
        Err(String::from_utf8_lossy(&complaint).trim().to_owned())
    }
}
