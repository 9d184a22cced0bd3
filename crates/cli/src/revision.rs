//! A folder as it was at a revision of Git, object by object.
//!
//! Neither `git archive` nor a checkout will do: both obey the `.gitattributes` of what they write out, so that a
//! revision could hide a file, or show another text, to whoever reviews what it changes.

use std::ffi::OsStr;
use std::fs::{self, File, OpenOptions};
use std::io::{self, BufRead, BufReader, Read as _};
use std::path::{Component, Path};
use std::process::Stdio;

use tempfile::TempDir;
use turnpike_policy::source::{MAX_FILE, MAX_FILES, MAX_FOLDERS, MAX_TOTAL};

use crate::Failure;
use crate::git::{self, command, git};
use crate::objects::Objects;

/// The mode of a symbolic link, as a tree of Git names it.
const LINK: &str = "120000";
/// The mode of a submodule.
const SUBMODULE: &str = "160000";
/// The mode of a folder.
const FOLDER: &str = "040000";
/// A line of a listing has no more bytes than a path may have, and what stands before it.
const MAX_LINE: u64 = 8 << 10;
/// What a link leads to has no more bytes than a path may have.
const MAX_LINK: u64 = 4 << 10;
const UNKNOWN: &str = "git lists its files in a way that is not known";

/// A folder as it was.
pub(crate) struct Unpacked {
    /// Where it lies, as the one thing that does.
    pub(crate) folder: TempDir,
    /// What stands before the paths of its files, as Git names them: `main:policies/`.
    pub(crate) prefix: String,
}

/// Whether a name is that of a commit.
pub(crate) fn is_revision(root: &Path, name: &str) -> bool {
    let commit = format!("{name}^{{commit}}");
    !name.starts_with('-') && git(root, ["rev-parse", "--verify", "--quiet", commit.as_str()]).is_ok()
}

/// The folder as it was at a revision, in a folder of its own, which is called the same.
pub(crate) fn at_revision(root: &Path, revision: &str) -> Result<Unpacked, Failure> {
    let wrong = |why: String| Failure::refused(format!("`{revision}` cannot be compared: {why}"));
    if revision.starts_with('-') {
        return Err(wrong(
            "it is neither a revision, a folder nor a bundle".to_owned(),
        ));
    }
    if git(root, ["rev-parse", "--git-dir"]).is_err() {
        if let Some(refused) = git::refused(root) {
            return Err(wrong(format!("{refused}\n{}", git::TRUST)));
        }
        if ["HEAD", "objects", "refs"]
            .iter()
            .all(|name| root.join(name).exists())
        {
            return Err(wrong(format!(
                "{} has what makes a repository of its own (HEAD, objects, refs), which is not looked at: take it away",
                root.display()
            )));
        }
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
    let is_folder = git(root, ["cat-file", "-t", tree.as_str()]).is_ok_and(|kind| kind.trim() == "tree");
    if !is_folder {
        return Err(wrong(format!("it has no folder `{prefix}`")));
    }
    let listing = listing(root, &tree).map_err(wrong)?;
    let folder = tempfile::tempdir().map_err(|error| wrong(format!("there is no place for it: {error}")))?;
    let name = root.canonicalize().ok();
    let name = name
        .as_deref()
        .and_then(Path::file_name)
        .unwrap_or_else(|| OsStr::new("policies"));
    unpack(root, &listing, &folder.path().join(name)).map_err(wrong)?;
    let slash = if prefix.is_empty() { "" } else { "/" };
    Ok(Unpacked {
        folder,
        prefix: format!("{revision}:{prefix}{slash}"),
    })
}

/// What `git ls-tree -z` lists of a folder, file by file, no more of it than the policies may have: what a commit of a few
/// kilobytes holds, folders that are the same one many times over, can have no end.
fn listing(root: &Path, tree: &str) -> Result<Vec<Vec<u8>>, String> {
    let cannot = |error: io::Error| format!("git cannot list its files: {error}");
    let mut process = command(root)
        // Folders too: many of them may hold no file. With sizes: a few kilobytes unpack to as many bytes as one likes.
        .args(["ls-tree", "-r", "-t", "-l", "-z", "--full-tree", tree])
        .stdout(Stdio::piped())
        .stderr(Stdio::null())
        .spawn()
        .map_err(|error| format!("git cannot be started: {error}"))?;
    let listed = match process.stdout.take() {
        Some(said) => bounded(BufReader::new(said)),
        None => Err("git says nothing".to_owned()),
    };
    if listed.is_err() {
        // Of one that is at its end already there is nothing to end.
        let _ = process.kill();
    }
    let ended = process.wait().map_err(cannot)?;
    let listed = listed?;
    if ended.success() {
        Ok(listed)
    } else {
        Err("git cannot list its files: an object may be missing".to_owned())
    }
}

/// The files of a listing, as long as there are not too many.
fn bounded(mut said: impl BufRead) -> Result<Vec<Vec<u8>>, String> {
    let mut files = Vec::new();
    let mut folders: usize = 0;
    let mut total: u64 = 0;
    loop {
        let mut line = Vec::new();
        let read = said.by_ref().take(MAX_LINE).read_until(0, &mut line);
        if read.map_err(|error| format!("git cannot list its files: {error}"))? == 0 {
            return Ok(files);
        }
        if line.pop() != Some(0) {
            return Err("it has a file whose path is too long".to_owned());
        }
        let entry = Entry::read(&line).ok_or(UNKNOWN)?;
        let is_folder = entry.mode == FOLDER;
        let depth = entry.path.components().count();
        if depth > MAX_FOLDERS.saturating_add(usize::from(!is_folder)) && !hidden(entry.path) {
            return Err(format!(
                "it has more than {MAX_FOLDERS} levels of folders, which no policies have"
            ));
        }
        let size = if entry.is_too_large() { 0 } else { entry.size };
        total = total.saturating_add(size);
        if is_folder {
            folders = folders.saturating_add(1);
        } else {
            files.push(line);
        }
        if total > MAX_TOTAL {
            return Err(format!(
                "its files have more than {} MiB in all, which no policies have",
                MAX_TOTAL >> 20
            ));
        }
        if files.len() > MAX_FILES || folders > MAX_FILES {
            return Err(format!(
                "it has more than {MAX_FILES} files or folders, which no policies have"
            ));
        }
    }
}

/// Whether the build passes something over, as deep as it may lie.
fn hidden(path: &Path) -> bool {
    let mut parts = path.components();
    parts.any(|part| part.as_os_str().to_string_lossy().starts_with('.'))
}

/// Writes what was listed below a folder, as it is stored.
fn unpack(root: &Path, listing: &[Vec<u8>], to: &Path) -> Result<(), String> {
    let mut objects = Objects::open(root).map_err(|error| format!("git cannot be started: {error}"))?;
    fs::create_dir(to).map_err(|error| format!("there is no place for it: {error}"))?;
    let mut links = Vec::new();
    for line in listing {
        let entry = Entry::read(line).ok_or(UNKNOWN)?;
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
            if entry.size > MAX_LINK {
                return Err(format!("`{shown}` is a link that leads to no path"));
            }
            links.push(entry);
            continue;
        }
        created(&to.join(entry.path))
            .and_then(|mut file| {
                if entry.is_too_large() {
                    // It is not read, and whoever needs it says that it is too large.
                    file.set_len(MAX_FILE.saturating_add(1))
                } else {
                    objects.copy(entry.object, &mut file)
                }
            })
            .map_err(|error| format!("`{shown}` cannot be unpacked: {error}"))?;
    }
    // Last, so that nothing is written through one.
    for entry in links {
        let mut target = Vec::new();
        objects
            .copy(entry.object, &mut target)
            .and_then(|()| folders(to, entry.path))
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

/// Makes the folders of a path that are missing below `to`. None of them is a link: a tree of Git may have one name
/// twice, once for a link and once for a folder, and file systems may take two names for one.
fn folders(to: &Path, path: &Path) -> io::Result<()> {
    let mut folder = to.to_owned();
    for part in path.parent().into_iter().flat_map(Path::components) {
        folder.push(part);
        match fs::create_dir(&folder) {
            Err(error) if error.kind() != io::ErrorKind::AlreadyExists => return Err(error),
            _ if fs::symlink_metadata(&folder)?.is_dir() => {}
            _ => return Err(io::Error::other("its folder is a file or a link too")),
        }
    }
    Ok(())
}

#[cfg(unix)]
fn link(target: &[u8], path: &Path) -> io::Result<()> {
    std::os::unix::fs::symlink(named(target), path)
}

/// Where links are not for everybody, Git writes a file with the name of what it leads to.
#[cfg(not(unix))]
fn link(target: &[u8], path: &Path) -> io::Result<()> {
    io::Write::write_all(&mut created(path)?, target)
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
    /// In bytes; a folder and a submodule have none.
    size: u64,
    path: &'a Path,
}

impl<'a> Entry<'a> {
    /// Reads `<mode> <type> <object> <size>\t<path>`, with blanks before the size.
    fn read(line: &'a [u8]) -> Option<Self> {
        let tab = line.iter().position(|byte| *byte == b'\t')?;
        let mut words = std::str::from_utf8(line.get(..tab)?)
            .ok()?
            .split_ascii_whitespace();
        let (mode, object, size) = (words.next()?, words.nth(1)?, words.next()?);
        let size = if size == "-" { 0 } else { size.parse().ok()? };
        let path = named(line.get(tab.checked_add(1)?..)?);
        Some(Self {
            mode,
            object,
            size,
            path,
        })
    }

    /// Whether no file of policies may be as large.
    const fn is_too_large(&self) -> bool {
        self.size > MAX_FILE
    }
}
