//! Large trees are read faster the second time: what was found in their files is kept, by what is in them.
//!
//! It lies in the user's cache, a file for each tree. Whatever is wrong with it (it is not there, damaged, another
//! program's, or cannot be written) costs time and nothing else: see [`Kept`]. What decides about deployments, the
//! build, does not know of it.

use std::fs;
use std::io::Write as _;
use std::path::{Path, PathBuf};
use std::time::{Duration, UNIX_EPOCH};

use sha2::{Digest as _, Sha256};
use turnpike_policy::source::{Kept, Loaded};

/// Names another folder for it, or none with `no`.
const VARIABLE: &str = "TURNPIKE_CACHE";
const ENDING: &str = "kept";
/// Smaller trees are read at once.
const LEAST: u64 = 1 << 20;
/// Larger than what the largest tree leaves.
const MOST: u64 = 1 << 30;
/// What nobody has changed for so long is of a tree that nobody checks.
const OLD: Duration = Duration::from_hours(30 * 24);

/// Reads a tree, and keeps what was found in it.
pub(crate) fn load(root: &Path) -> Loaded {
    let Some(file) = file_of(root) else {
        return Loaded::read(root);
    };
    let kept = open(&file);
    let loaded = Loaded::read_kept(root, &kept);
    if loaded.size() >= LEAST
        && let Some(bytes) = loaded.kept(&kept)
    {
        // That nothing could be kept is said by the clock alone.
        let _ = write(&file, &bytes);
    }
    loaded
}

/// Reads a tree that is much like another one, such as that was at another revision. Nothing is kept of it.
pub(crate) fn load_like(root: &Path, other: &Path) -> Loaded {
    match file_of(other) {
        Some(file) => Loaded::read_kept(root, &open(&file)),
        None => Loaded::read(root),
    }
}

fn open(file: &Path) -> Kept {
    let small = fs::metadata(file).is_ok_and(|metadata| metadata.len() <= MOST);
    let bytes = small.then(|| fs::read(file).ok()).flatten();
    Kept::read(bytes.unwrap_or_default(), &program())
}

/// Where what is kept of a tree lies; nothing if nothing is to be kept.
fn file_of(root: &Path) -> Option<PathBuf> {
    let folder = folder_from(
        |name| std::env::var_os(name).map(PathBuf::from),
        std::env::home_dir(),
    )?;
    let root = root.canonicalize().ok()?;
    let digest = Sha256::digest(root.as_os_str().as_encoded_bytes());
    let name = u64::from_be_bytes(*digest.first_chunk()?);
    Some(folder.join(format!("{name:016x}.{ENDING}")))
}

fn folder_from(variable: impl Fn(&str) -> Option<PathBuf>, home: Option<PathBuf>) -> Option<PathBuf> {
    match variable(VARIABLE) {
        Some(named) if named.as_os_str() == "no" => return None,
        Some(named) if !named.as_os_str().is_empty() => return Some(named),
        _ => {}
    }
    // The XDG specification has a relative path ignored.
    let cache = variable("XDG_CACHE_HOME").filter(|path| path.is_absolute());
    let cache = cache.or_else(|| {
        let home = home.filter(|path| !path.as_os_str().is_empty())?;
        Some(home.join(".cache"))
    })?;
    Some(cache.join("turnpike").join("checked"))
}

/// Tells this program from any other that was built: nothing when that cannot be told, so that nothing is taken over
/// but from one that does not know itself either.
fn program() -> Vec<u8> {
    let its = || {
        let metadata = fs::metadata(std::env::current_exe().ok()?).ok()?;
        let changed = metadata.modified().ok()?.duration_since(UNIX_EPOCH).ok()?;
        Some((metadata.len(), changed.as_nanos()))
    };
    let (length, changed) = its().unwrap_or_default();
    format!("{} {length} {changed}", env!("CARGO_PKG_VERSION")).into_bytes()
}

fn write(file: &Path, bytes: &[u8]) -> std::io::Result<()> {
    let folder = file.parent().unwrap_or(Path::new("."));
    fs::create_dir_all(folder)?;
    // Two runs at once: each writes its own, and the later one counts.
    let mut new = tempfile::NamedTempFile::new_in(folder)?;
    new.write_all(bytes)?;
    new.persist(file)?;
    for entry in fs::read_dir(folder)?.filter_map(Result::ok) {
        let path = entry.path();
        let its = path.extension().is_some_and(|ending| ending == ENDING);
        let age = || entry.metadata().ok()?.modified().ok()?.elapsed().ok();
        if its && path != file && age().is_some_and(|age| age > OLD) {
            let _ = fs::remove_file(path);
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn where_it_lies() {
        let at = |set: &[(&str, &str)], home: Option<&str>| {
            let variable = |name: &str| {
                let found = set.iter().find(|(known, _)| *known == name);
                found.map(|(_, value)| PathBuf::from(value))
            };
            folder_from(variable, home.map(PathBuf::from)).map(|path| path.display().to_string())
        };
        let lies = |path: &str| Some(path.to_owned());
        assert_eq!(at(&[], Some("/home/a")), lies("/home/a/.cache/turnpike/checked"));
        assert_eq!(
            at(&[("XDG_CACHE_HOME", "/c")], Some("/home/a")),
            lies("/c/turnpike/checked")
        );
        assert_eq!(
            at(&[("XDG_CACHE_HOME", "c")], Some("/home/a")),
            lies("/home/a/.cache/turnpike/checked")
        );
        assert_eq!(at(&[(VARIABLE, "here")], None), lies("here"));
        assert_eq!(at(&[(VARIABLE, "no")], Some("/home/a")), None);
        assert_eq!(at(&[(VARIABLE, "")], None), None);
    }
}
