//! The bound on all files of a tree together, with trees that are smaller than those it is for.

use std::path::PathBuf;
use std::{env, fs, process};

use super::*;

/// A folder that is removed when the test ends.
struct Folder(PathBuf);

impl Drop for Folder {
    fn drop(&mut self) {
        let _ = fs::remove_dir_all(&self.0);
    }
}

/// What is said of three plans of 400 KiB each and a gateway, where all of them may have `most`.
fn said(name: &str, most: u64, ahead: bool) -> Vec<String> {
    let folder = Folder(env::temp_dir().join(format!("turnpike-files-{name}-{}", process::id())));
    fs::create_dir_all(folder.0.join("plans")).unwrap();
    fs::write(folder.0.join("gateway.yaml"), "gateway: a\n").unwrap();
    for name in ["a", "b", "c"] {
        let text = format!("plan: {name}\n#{}\n", "-".repeat(400 << 10));
        fs::write(folder.0.join(format!("plans/{name}.yaml")), text).unwrap();
    }
    let mut report = Report::default();
    let mut files = Files::find(&folder.0, &mut report).unwrap();
    assert_eq!(files.most, 256 << 20);
    files.most = most;
    if ahead {
        files.read_ahead(None, &mut report);
    }
    let tree = files.items(&mut report);
    let read = tree.kinds["plans"].iter().filter(|plan| plan.node.is_some());
    let read = read.count();
    let mut said: Vec<_> = report
        .finish("")
        .into_iter()
        .map(|found| found.one_line())
        .collect();
    said.push(format!("{read} read"));
    said
}

#[test]
fn all_files_together_are_bounded() {
    let refused = "plans/c.yaml:1:1: error[P0002]: the files have more than 1 MiB in all";
    for ahead in [false, true] {
        assert_eq!(said("within", 2 << 20, ahead), ["3 read"]);
        assert_eq!(said("beyond", 1 << 20, ahead), [refused, "2 read"]);
    }
}
