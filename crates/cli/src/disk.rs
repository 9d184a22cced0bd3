//! Files that people name: how one is written, what is said where it cannot be read or written, and what to do about it.
//!
//! Nothing is written through a link that came with what somebody else wrote, such as the tree of a pull request: it
//! could lead anywhere. Where a person names a place outside of that (`/dev/stdout`, which is a link), it is theirs.

use std::fs::{self, File, OpenOptions};
use std::io::{self, ErrorKind, Read as _, Write as _};
use std::path::Path;

use turnpike_policy::source::MAX_FILE;

use crate::Failure;

/// The most bytes of a file that a person names: four times as many as a file of a tree may have.
const MOST: u64 = 4 * MAX_FILE;

/// The text of a file.
pub(crate) fn text(file: &Path) -> Result<String, Failure> {
    has_end(file)?;
    let mut text = String::new();
    let read = File::open(file).and_then(|opened| opened.take(MOST + 1).read_to_string(&mut text));
    // What is cut may end inside a character.
    let length = fs::metadata(file).map_or(0, |there| there.len());
    if length > MOST || text.len() as u64 > MOST {
        return Err(Failure::refused(format!(
            "cannot read {}: it has more than {} MiB\nsplit it, or take out what need not be in it",
            file.display(),
            MOST >> 20
        )));
    }
    read.map_err(|error| unreadable(file, &error))?;
    Ok(text)
}

/// Refuses what is no file: a named pipe into which nobody writes would be waited for, and a device may come to no end.
/// What a shell hands over (`<(curl ...)`, `/dev/stdin`) somebody writes into.
fn has_end(file: &Path) -> Result<(), Failure> {
    let handed = ["/dev/fd", "/dev/stdin", "/proc/self/fd"]
        .iter()
        .any(|place| file.starts_with(place));
    match fs::metadata(file) {
        // What a folder is has words of its own, and what is not there, too.
        Ok(there) if !there.is_file() && !there.is_dir() && !handed => Err(no_file(
            "read",
            file,
            "put what comes of it into a file, and name that",
        )),
        _ => Ok(()),
    }
}

fn no_file(what: &str, path: &Path, remedy: &str) -> Failure {
    Failure::refused(format!(
        "cannot {what} {}: it is no file, but a pipe, a socket or a device\n{remedy}",
        path.display()
    ))
}

/// Whether something waits until somebody reads it.
#[cfg(unix)]
fn is_pipe(there: &fs::Metadata) -> bool {
    std::os::unix::fs::FileTypeExt::is_fifo(&there.file_type())
}

#[cfg(not(unix))]
const fn is_pipe(_: &fs::Metadata) -> bool {
    false
}

/// Writes a file that a person named, anew or over what is there.
pub(crate) fn write(file: &Path, text: &str) -> Result<(), Failure> {
    let here = std::env::current_dir().map_err(|error| unwritable(file, &error))?;
    if leads_out(file, &here) {
        return Err(is_link(file));
    }
    // What a shell hands over (`>(...)`, `/dev/stdout`) is a link to one, and is read.
    if fs::symlink_metadata(file).is_ok_and(|there| is_pipe(&there)) {
        return Err(no_file("write", file, "take it away, or name another place"));
    }
    fs::write(file, text).map_err(|error| unwritable(file, &error))
}

/// Whether a file is a link that lies in a folder, and leads out of it or to nothing: the folder that this runs in may
/// be a checkout, with links that its authors made.
fn leads_out(file: &Path, folder: &Path) -> bool {
    if !fs::symlink_metadata(file).is_ok_and(|there| there.is_symlink()) {
        return false;
    }
    // Where that cannot be said, it may be so.
    let Ok(folder) = fs::canonicalize(folder) else {
        return true;
    };
    // All that there is lies in the root, and that is no checkout.
    if folder.parent().is_none() {
        return false;
    }
    let lies = match file.parent() {
        Some(parent) if !parent.as_os_str().is_empty() => fs::canonicalize(parent),
        _ => Ok(folder.clone()),
    };
    lies.is_ok_and(|lies| lies.starts_with(&folder))
        && !fs::canonicalize(file).is_ok_and(|leads| leads.starts_with(&folder))
}

/// Writes a file of a tree, unless it is a link. Its folders below the tree's are made where they are missing, and do
/// not lead out of it.
pub(crate) fn write_below(root: &Path, file: &Path, text: &str) -> Result<(), Failure> {
    let folder = file.parent().unwrap_or(root);
    let below = folder.strip_prefix(root).unwrap_or(Path::new(""));
    let real = fs::canonicalize(root).map_err(|error| unwritable(root, &error))?;
    let mut at = root.to_owned();
    for part in below.components() {
        at.push(part);
        match fs::symlink_metadata(&at) {
            Ok(there) if there.is_symlink() => {
                if !fs::canonicalize(&at).is_ok_and(|leads| leads.starts_with(&real)) {
                    return Err(is_link(&at));
                }
            }
            Ok(_) => {}
            Err(_) => fs::create_dir(&at).map_err(|error| unwritable(file, &error))?,
        }
    }
    let mut options = OpenOptions::new();
    options.write(true);
    match fs::symlink_metadata(file) {
        Ok(there) if there.is_symlink() => return Err(is_link(file)),
        Ok(there) if is_pipe(&there) => {
            return Err(no_file("write", file, "take it away, or name another place"));
        }
        Ok(_) => options.truncate(true),
        Err(_) => options.create_new(true),
    };
    options
        .open(file)
        .and_then(|mut opened| opened.write_all(text.as_bytes()))
        .map_err(|error| unwritable(file, &error))
}

fn is_link(path: &Path) -> Failure {
    Failure::refused(format!(
        "cannot write {}: it is a link, and what it leads to is not written\ntake the link away, or name another place",
        path.display()
    ))
}

/// Why a file cannot be read.
pub(crate) fn unreadable(file: &Path, error: &io::Error) -> Failure {
    refused("read", file, error)
}

/// Why a file cannot be written.
pub(crate) fn unwritable(file: &Path, error: &io::Error) -> Failure {
    refused("write", file, error)
}

fn refused(what: &str, file: &Path, error: &io::Error) -> Failure {
    let said = match error.kind() {
        ErrorKind::InvalidData => "it is no text in UTF-8".to_owned(),
        _ => error.to_string(),
    };
    let remedy = remedy(what, error.kind()).map_or_else(String::new, |remedy| format!("\n{remedy}"));
    Failure::refused(format!("cannot {what} {}: {said}{remedy}", file.display()))
}

/// What to do about it, where the system's own words do not say so.
fn remedy(what: &str, kind: ErrorKind) -> Option<String> {
    let said = match kind {
        ErrorKind::NotFound if what == "write" => "its folder is not there: make it, or name another place",
        ErrorKind::NotFound => {
            let here = std::env::current_dir().ok()?;
            return Some(format!(
                "look whether it is called so; a name that does not begin with `/` is looked for from {}",
                here.display()
            ));
        }
        ErrorKind::IsADirectory => "it is a folder: name a file in it",
        ErrorKind::NotADirectory | ErrorKind::AlreadyExists => {
            "a part of its path is a file: move that, or name another place"
        }
        ErrorKind::PermissionDenied => "this user may not: look whose it is, and what its mode allows",
        ErrorKind::ReadOnlyFilesystem => "nothing can be written there: name another place",
        ErrorKind::InvalidData => "save it as UTF-8, which editors call the encoding that they save with",
        ErrorKind::StorageFull => "make room there, or name another place",
        _ => return None,
    };
    Some(said.to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_says_the_place_and_a_remedy() {
        let file = Path::new("policies/a.yaml");
        for kind in [
            ErrorKind::NotFound,
            ErrorKind::IsADirectory,
            ErrorKind::NotADirectory,
            ErrorKind::AlreadyExists,
            ErrorKind::PermissionDenied,
            ErrorKind::ReadOnlyFilesystem,
            ErrorKind::InvalidData,
            ErrorKind::StorageFull,
        ] {
            for (failure, first) in [
                (unreadable(file, &kind.into()), "cannot read policies/a.yaml: "),
                (unwritable(file, &kind.into()), "cannot write policies/a.yaml: "),
            ] {
                let Failure::Refused(said) = failure else {
                    panic!("{failure:?}")
                };
                assert!(said.starts_with(first) && said.lines().count() == 2, "{said}");
            }
        }
    }
}
