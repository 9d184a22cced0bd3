//! A folder as it was at a revision of Git, object by object.
//!
//! Neither `git archive` nor a checkout will do: both obey the `.gitattributes` of what they write out, so that a
//! revision could hide a file, or show another text, to whoever reviews what it changes.

use std::ffi::OsStr;
use std::fs::{self, File, OpenOptions};
use std::io::{self, BufRead as _, BufReader, Read as _, Write};
use std::path::{Component, Path};
use std::process::{Child, ChildStdin, ChildStdout, Command, Stdio};

use tempfile::TempDir;

use crate::Failure;
use crate::git::{git, said};

/// The mode of a symbolic link, as a tree of Git names it.
const LINK: &str = "120000";
/// The mode of a submodule.
const SUBMODULE: &str = "160000";

/// The folder as it was at a revision, in a folder of its own, which is called the same.
pub(crate) fn at_revision(root: &Path, revision: &str) -> Result<TempDir, Failure> {
    let wrong = |why: String| Failure::refused(format!("`{revision}` cannot be compared: {why}"));
    if revision.starts_with('-') {
        return Err(wrong(
            "it is neither a revision, a folder nor a bundle".to_owned(),
        ));
    }
    if git(root, ["rev-parse", "--git-dir"]).is_err() {
        return Err(wrong(format!(
            "{} is in no repository of Git, which could have such a revision; name a folder or a bundle to compare with",
            root.display()
        )));
    }
    let commit = format!("{revision}^{{commit}}");
    let commit = git(root, ["rev-parse", "--verify", "--quiet", commit.as_str()])
        .map_err(|_| wrong("it is neither a revision of Git, a folder nor a bundle".to_owned()))?;
    let prefix = git(root, ["rev-parse", "--show-prefix"]).map_err(wrong)?;
    let prefix = prefix.trim().trim_end_matches('/');
    let tree = format!("{}:{prefix}", commit.trim());
    let listing = said(root, ["ls-tree", "-r", "-z", "--full-tree", tree.as_str()])
        .map_err(|_| wrong(format!("it has no folder `{prefix}`")))?;
    let folder = tempfile::tempdir().map_err(|error| wrong(format!("there is no place for it: {error}")))?;
    let name = root.canonicalize().ok();
    let name = name
        .as_deref()
        .and_then(Path::file_name)
        .unwrap_or_else(|| OsStr::new("policies"));
    unpack(root, &listing, &folder.path().join(name)).map_err(wrong)?;
    Ok(folder)
}

/// Writes what `git ls-tree -r -z` listed below a folder, as it is stored.
fn unpack(root: &Path, listing: &[u8], to: &Path) -> Result<(), String> {
    let mut objects = Objects::open(root).map_err(|error| format!("git cannot be started: {error}"))?;
    fs::create_dir(to).map_err(|error| format!("there is no place for it: {error}"))?;
    let mut links = Vec::new();
    for line in listing.split(|byte| *byte == 0).filter(|line| !line.is_empty()) {
        let entry = Entry::read(line).ok_or("git lists its files in a way that is not known")?;
        let shown = entry.path.display();
        let plain = |part: Component<'_>| match part {
            Component::Normal(name) => !name.eq_ignore_ascii_case(".git"),
            _ => false,
        };
        if !entry.path.components().all(plain) {
            return Err(format!(
                "`{shown}` is a name that no file of a work tree can have"
            ));
        }
        if entry.mode == SUBMODULE {
            return Err(format!(
                "`{shown}` is a submodule, and this repository does not have its files; compare folders instead"
            ));
        }
        if entry.mode == LINK {
            links.push(entry);
            continue;
        }
        created(&to.join(entry.path))
            .and_then(|mut file| objects.copy(entry.object, &mut file))
            .map_err(|error| format!("`{shown}` cannot be unpacked: {error}"))?;
    }
    // Last, so that nothing is written through one.
    for entry in links {
        let mut target = Vec::new();
        objects
            .copy(entry.object, &mut target)
            .and_then(|()| link(&target, &to.join(entry.path)))
            .map_err(|error| format!("`{}` cannot be unpacked: {error}", entry.path.display()))?;
    }
    Ok(())
}

/// A new file, in folders that are made where they are missing.
fn created(path: &Path) -> io::Result<File> {
    if let Some(folder) = path.parent() {
        fs::create_dir_all(folder)?;
    }
    OpenOptions::new().write(true).create_new(true).open(path)
}

#[cfg(unix)]
fn link(target: &[u8], path: &Path) -> io::Result<()> {
    if let Some(folder) = path.parent() {
        fs::create_dir_all(folder)?;
    }
    std::os::unix::fs::symlink(named(target), path)
}

/// Where links are not for everybody, Git writes a file with the name of what it leads to.
#[cfg(not(unix))]
fn link(target: &[u8], path: &Path) -> io::Result<()> {
    created(path)?.write_all(target)
}

#[cfg(unix)]
fn named(name: &[u8]) -> &Path {
    Path::new(<OsStr as std::os::unix::ffi::OsStrExt>::from_bytes(name))
}

/// Elsewhere a name is text; one that is none is a name that no file can have.
#[cfg(not(unix))]
fn named(name: &[u8]) -> &Path {
    Path::new(std::str::from_utf8(name).unwrap_or(".."))
}

/// One file of a revision.
struct Entry<'a> {
    mode: &'a str,
    object: &'a str,
    path: &'a Path,
}

impl<'a> Entry<'a> {
    /// Reads `<mode> <type> <object>\t<path>`.
    fn read(line: &'a [u8]) -> Option<Self> {
        let tab = line.iter().position(|byte| *byte == b'\t')?;
        let mut words = std::str::from_utf8(line.get(..tab)?).ok()?.split(' ');
        let (mode, object) = (words.next()?, words.nth(1)?);
        let path = named(line.get(tab.checked_add(1)?..)?);
        Some(Self { mode, object, path })
    }
}

/// A `git cat-file --batch`, which is asked for one object after the other.
struct Objects {
    process: Child,
    asked: Option<ChildStdin>,
    said: BufReader<ChildStdout>,
}

impl Objects {
    fn open(folder: &Path) -> io::Result<Self> {
        let mut process = Command::new("git")
            .current_dir(folder)
            .args(["cat-file", "--batch"])
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .spawn()?;
        let (asked, said) = (process.stdin.take(), process.stdout.take());
        let said = said.ok_or_else(|| io::Error::other("it has no output"))?;
        Ok(Self {
            process,
            asked,
            said: BufReader::new(said),
        })
    }

    /// Writes the bytes of an object.
    fn copy(&mut self, object: &str, to: &mut impl Write) -> io::Result<()> {
        let mut asked = self.asked.as_ref().ok_or(io::ErrorKind::BrokenPipe)?;
        asked.write_all(format!("{object}\n").as_bytes())?;
        // `<object> <type> <size>`, or `<object> missing`.
        let mut head = String::new();
        self.said.read_line(&mut head)?;
        let size = head.trim_end().rsplit_once(' ');
        let size: u64 = size
            .and_then(|(_, size)| size.parse().ok())
            .ok_or_else(|| io::Error::other(format!("Git has no object {object}")))?;
        let copied = io::copy(&mut self.said.by_ref().take(size), to)?;
        let mut end = [0];
        self.said.read_exact(&mut end)?;
        if copied == size {
            Ok(())
        } else {
            Err(io::ErrorKind::UnexpectedEof.into())
        }
    }
}

impl Drop for Objects {
    fn drop(&mut self) {
        // At the end of what it is asked it ends.
        drop(self.asked.take());
        let _ = self.process.wait();
    }
}
