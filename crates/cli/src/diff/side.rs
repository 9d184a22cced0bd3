//! One side of a comparison: a folder, a revision of Git, or a bundle.

use std::fs;
use std::path::{Path, PathBuf};

use serde_json::Value as Json;
use tempfile::TempDir;
use turnpike_policy::source::{Case, Code, Governing, Loaded, Outcome, Severity};
use turnpike_policy::{Bundle, Compiled};

use crate::revision::{Unpacked, at_revision, is_revision};
use crate::{Failure, disk, git, kept, say, tree};

/// One side of a comparison.
pub(super) struct Side {
    /// As it was named.
    pub(super) name: String,
    kind: Kind,
    /// The day of its commit, of what was.
    date: Option<tree::Date>,
    /// Where a revision was unpacked, for as long as it is looked at.
    _folder: Option<TempDir>,
}

enum Kind {
    /// Read once, for all environments. The process ends soon: what it holds of a large tree is not taken apart first.
    Folder(PathBuf, &'static Loaded),
    Bundle(Box<Compiled>),
}

/// What a side is in an environment.
pub(super) struct Form {
    pub(super) compiled: Compiled,
    /// How bad it is there to break what the number of a version promises; nothing: that rule is off.
    pub(super) drift: Option<Severity>,
    /// The tests of the tree; a bundle has none.
    pub(super) cases: Option<Vec<Case>>,
}

impl Kind {
    fn folder(root: PathBuf, loaded: Loaded) -> Self {
        Self::Folder(root, Box::leak(Box::new(loaded)))
    }
}

/// Whether a name can only be that of a file or a folder: no revision begins so, or ends so.
fn is_path(name: &str) -> bool {
    ["./", "../", "/"].iter().any(|start| name.starts_with(start))
        || name.ends_with('/')
        || name == "."
        || name == ".."
}

/// A commit as people write it: its whole hash is for programs.
fn shown(name: &str) -> String {
    let whole = matches!(name.len(), 40 | 64) && name.bytes().all(|byte| byte.is_ascii_hexdigit());
    name.get(..12).filter(|_| whole).unwrap_or(name).to_owned()
}

impl Side {
    /// The policies of a folder.
    pub(super) fn folder(root: PathBuf) -> Self {
        let loaded = kept::load(&root);
        Self {
            name: root.display().to_string(),
            kind: Kind::folder(root, loaded),
            date: None,
            _folder: None,
        }
    }

    /// The rules of a bundle.
    pub(super) fn bundle(name: &str, compiled: Compiled) -> Self {
        Self {
            name: name.to_owned(),
            kind: Kind::Bundle(Box::new(compiled)),
            date: None,
            _folder: None,
        }
    }

    /// What a name stands for. `root` is where the policies lie, of which Git has revisions.
    pub(super) fn open(name: &str, root: Option<&Path>) -> Result<Self, Failure> {
        let path = Path::new(name);
        // Whoever proposes a change can give a file of it the name of what it is compared with.
        if path.exists() && !is_path(name) && root.is_some_and(|root| is_revision(root, name)) {
            return Err(Failure::refused(format!(
                "`{name}` is a revision of Git, and there is a file or a folder of that name\n\
                 write `./{name}` for what lies there, or the commit in full for the revision"
            )));
        }
        if path.is_dir() {
            return Ok(Self::folder(path.to_owned()));
        }
        if path.is_file() {
            let bytes = fs::read(path).map_err(|error| disk::unreadable(path, &error))?;
            let bundle =
                Bundle::verified(&bytes).map_err(|error| Failure::refused(format!("{name}: {error}")))?;
            return Ok(Self::bundle(name, bundle.compiled));
        }
        let root = root.ok_or_else(|| {
            Failure::refused(format!(
                "`{name}` is no folder and no bundle, and there are no policies here of which it could be a revision"
            ))
        })?;
        let Unpacked { folder, prefix } = at_revision(root, name)?;
        let unpacked = fs::read_dir(folder.path())
            .ok()
            .and_then(|mut entries| entries.next()?.ok())
            .map(|entry| entry.path())
            .ok_or_else(|| Failure::refused(format!("`{name}` has no policies")))?;
        // Most of its files are as they are now.
        let loaded = kept::load_like(&unpacked, root).shown_as(prefix);
        Ok(Self {
            name: shown(name),
            kind: Kind::folder(unpacked, loaded),
            date: git::day_of(root, name).and_then(|day| tree::date(&day).ok()),
            _folder: Some(folder),
        })
    }

    /// Its environments.
    pub(super) fn environments(&self) -> Vec<String> {
        match &self.kind {
            Kind::Folder(_, loaded) => tree::environments_of(loaded),
            Kind::Bundle(compiled) => vec![compiled.gateway.environment.clone()],
        }
    }

    /// Whether it can be looked at in an environment.
    pub(super) fn has(&self, environment: &str) -> bool {
        self.environments().iter().any(|name| name == environment)
    }

    /// Whether it is a bundle, which is of one environment.
    pub(super) const fn is_bundle(&self) -> bool {
        matches!(self.kind, Kind::Bundle(_))
    }

    /// The folder of its policies; a bundle has none.
    pub(super) fn root(&self) -> Option<&Path> {
        match &self.kind {
            Kind::Folder(root, _) => Some(root),
            Kind::Bundle(_) => None,
        }
    }

    /// What governs it in an environment without being in a bundle, which knows nothing of that.
    pub(super) fn governing(&self, environment: &str) -> Option<Governing> {
        match &self.kind {
            Kind::Folder(_, loaded) => Some(loaded.governing(environment)),
            Kind::Bundle(_) => None,
        }
    }

    /// Its normal form in each of these environments, which it has. A revision of which something has expired since
    /// is read as of the day of its commit, which is said.
    pub(super) fn forms(
        &self,
        environments: &[String],
        as_of: Option<&tree::Date>,
    ) -> Result<Vec<Form>, Failure> {
        match &self.kind {
            Kind::Bundle(compiled) => {
                let form = || Form {
                    compiled: (**compiled).clone(),
                    drift: Outcome::default().level(Code::BrokenPromise),
                    cases: None,
                };
                Ok(environments.iter().map(|_| form()).collect())
            }
            Kind::Folder(_, loaded) => {
                let outcomes = tree::build_all(loaded, environments, as_of)?;
                let pairs = environments.iter().zip(outcomes);
                pairs
                    .map(|(environment, outcome)| self.form(loaded, environment, outcome, as_of))
                    .collect()
            }
        }
    }

    fn form(
        &self,
        loaded: &Loaded,
        environment: &String,
        mut outcome: Outcome,
        as_of: Option<&tree::Date>,
    ) -> Result<Form, Failure> {
        if let (None, None, Some(date)) = (&outcome.compiled, as_of, &self.date) {
            let then = tree::build_all(loaded, std::slice::from_ref(environment), Some(date))?;
            if let Some(then) = then.into_iter().find(|then| then.compiled.is_some()) {
                say::note(&format!(
                    "{} is read as of {}, the day of its commit: something in it has expired since",
                    self.name, date.text
                ));
                outcome = then;
            }
        }
        let drift = outcome.level(Code::BrokenPromise);
        let cases = Some(std::mem::take(&mut outcome.cases));
        let compiled = outcome.compiled.ok_or_else(|| {
            say::findings(&outcome.diagnostics);
            say::error(&format!(
                "{} has errors in `{environment}`, so that nothing can be said of it\n\
                 if it is an older one in which something has expired since, pass --as-of DATE",
                self.name
            ));
            Failure::Findings
        })?;
        Ok(Form {
            compiled,
            drift,
            cases,
        })
    }

    /// The text of a file, named as the bundle names places (`policies/a.yaml:3`); nothing for a
    /// bundle, which has no documents.
    pub(super) fn text(&self, origin: &str) -> Option<String> {
        let Kind::Folder(root, _) = &self.kind else {
            return None;
        };
        fs::read_to_string(root.join(below(origin)?)).ok()
    }

    /// What that file says, read as the build reads it; nothing for a bundle.
    pub(super) fn document(&self, origin: &str) -> Result<Option<Json>, Failure> {
        let Kind::Folder(_, loaded) = &self.kind else {
            return Ok(None);
        };
        let document = below(origin).and_then(|file| loaded.document(file));
        // It was read when the tree was built.
        let cannot = || Failure::refused(format!("{}: cannot read the document at {origin}", self.name));
        document.map(Some).ok_or_else(cannot)
    }
}

/// The file of a place, from the root of the tree.
fn below(origin: &str) -> Option<&str> {
    let (_, below) = origin.split_once('/')?;
    Some(below.rsplit_once(':').map_or(below, |(file, _)| file))
}
