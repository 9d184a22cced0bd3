//! Large trees are read faster the second time: what was found in their files is kept, by what is in them.
//!
//! It lies in the user's cache, a file for each tree. Whatever is wrong with it (it is not there, damaged, another
//! program's, or cannot be written) costs time and nothing else: see [`Kept`]. What decides about deployments, the
//! build, does not know of it.

use std::fs;
use std::io::Write as _;
use std::path::{Path, PathBuf};
use std::time::{Duration, SystemTime};

use sha2::{Digest as _, Sha256};
use turnpike_policy::source::{Kept, Loaded};

/// Names another folder for it, or none with `no`.
const VARIABLE: &str = "TURNPIKE_CACHE";
const ENDING: &str = "kept";
/// Smaller trees are read at once.
const LEAST: u64 = 1 << 20;
/// Larger than what the largest tree leaves.
const MOST: u64 = 1 << 30;
/// All that is kept has so much at the most, as each copy of a tree leaves a file: a clone for every run, too.
const MOST_IN_ALL: u64 = 128 << 20;
/// What nobody has changed for so long is of a tree that nobody checks.
const OLD: Duration = Duration::from_hours(30 * 24);

/// Reads a tree, and keeps what was found in it.
pub(crate) fn load(root: &Path) -> Loaded {
    let Some(file) = file_of(root) else {
        return Loaded::read(root);
    };
    let (kept, known) = open(&file);
    let loaded = Loaded::read_kept(root, &kept);
    if loaded.size() >= LEAST
        && let Some(program) = known.or_else(program)
        && let Some(bytes) = loaded.kept(&kept, &program)
    {
        // That nothing could be kept is said by the clock alone.
        let _ = write(&file, &bytes);
    }
    loaded
}

/// Reads a tree that is much like another one, such as that was at another revision. Nothing is kept of it.
pub(crate) fn load_like(root: &Path, other: &Path) -> Loaded {
    match file_of(other) {
        Some(file) => Loaded::read_kept(root, &open(&file).0),
        None => Loaded::read(root),
    }
}

/// What is kept in a file, and which program this is, where that had to be found out.
fn open(file: &Path) -> (Kept, Option<Vec<u8>>) {
    let small = fs::metadata(file).is_ok_and(|metadata| metadata.is_file() && metadata.len() <= MOST);
    let bytes = small.then(|| fs::read(file).ok()).flatten();
    let known = bytes.as_ref().and_then(|_| program());
    match (bytes, &known) {
        (Some(bytes), Some(program)) => (Kept::read(bytes, program), known),
        _ => (Kept::default(), None),
    }
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

/// Tells this program from any other that was built, by all of it: its version, size and day may be another's. Some ten
/// milliseconds, where a tree is large. Where it cannot be read, nothing is kept.
fn program() -> Option<Vec<u8>> {
    let bytes = fs::read(std::env::current_exe().ok()?).ok()?;
    Some(Sha256::digest(bytes).to_vec())
}

fn write(file: &Path, bytes: &[u8]) -> std::io::Result<()> {
    let folder = file.parent().unwrap_or(Path::new("."));
    fs::create_dir_all(folder)?;
    // Two runs at once: each writes its own, and the later one counts.
    let mut new = tempfile::NamedTempFile::new_in(folder)?;
    new.write_all(bytes)?;
    new.persist(file)?;
    tidy(folder, file, MOST_IN_ALL)
}

/// Removes what is old, and of the rest the oldest, until all has so many bytes at the most. What was written just now
/// stays, and counts first.
fn tidy(folder: &Path, now: &Path, most: u64) -> std::io::Result<()> {
    let mut all: Vec<(bool, SystemTime, u64, PathBuf)> = Vec::new();
    for entry in fs::read_dir(folder)?.filter_map(Result::ok) {
        let its = is_ours(&entry.file_name().to_string_lossy());
        // One that has gone meanwhile is another run's doing.
        if let Some(metadata) = entry.metadata().ok().filter(|metadata| its && metadata.is_file()) {
            let path = entry.path();
            all.push((path == now, metadata.modified()?, metadata.len(), path));
        }
    }
    all.sort_unstable();
    let mut bytes = 0_u64;
    for (is_now, written, size, path) in all.into_iter().rev() {
        bytes = bytes.saturating_add(size);
        let old = written.elapsed().is_ok_and(|age| age > OLD);
        if !is_now && (old || bytes > most) {
            let _ = fs::remove_file(path);
        }
    }
    Ok(())
}

/// Whether a file is called as those are that are written here: the folder may be another's as well.
fn is_ours(name: &str) -> bool {
    let stem = name.strip_suffix(ENDING).and_then(|name| name.strip_suffix('.'));
    stem.is_some_and(|stem| stem.len() == 16 && stem.bytes().all(|byte| byte.is_ascii_hexdigit()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_what_is_written_here_is_removed() {
        assert!(is_ours("665d0abd57ca2358.kept"));
        for other in ["best.kept", "665d0abd57ca2358", "665d0abd57ca235g.kept", ".kept"] {
            assert!(!is_ours(other), "{other}");
        }
    }

    #[test]
    fn the_oldest_goes_where_it_is_too_much() {
        let folder = tempfile::tempdir().unwrap();
        let named = |number: u64| folder.path().join(format!("{number:016x}.{ENDING}"));
        let made = |number: u64, bytes: usize, age: Duration| {
            fs::write(named(number), vec![0; bytes]).unwrap();
            let file = fs::File::options().write(true).open(named(number)).unwrap();
            let now = file.metadata().unwrap().modified().unwrap();
            file.set_modified(now - age).unwrap();
        };
        let minutes = |count: u64| Duration::from_mins(count);
        // Somebody else's, which is never counted.
        fs::write(folder.path().join("best.kept"), vec![0; 500]).unwrap();
        for (number, age) in [(1, minutes(4)), (2, minutes(1)), (3, minutes(3)), (4, minutes(2))] {
            made(number, 40, age);
        }
        let there = || {
            (1..=5)
                .filter(|number| named(*number).exists())
                .collect::<Vec<_>>()
        };
        tidy(folder.path(), &named(2), 160).unwrap();
        assert_eq!(there(), [1, 2, 3, 4]);
        tidy(folder.path(), &named(2), 100).unwrap();
        assert_eq!(there(), [2, 4]);
        // What was written just now stays, whatever its size and the clock that it was written by.
        made(5, 400, minutes(9));
        tidy(folder.path(), &named(5), 100).unwrap();
        assert_eq!(there(), [5]);
        made(1, 1, OLD + minutes(1));
        tidy(folder.path(), &named(5), 1_000).unwrap();
        assert_eq!(there(), [5]);
        assert!(folder.path().join("best.kept").exists());
    }

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
