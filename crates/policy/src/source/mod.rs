//! The policy language as it is written: parsed with its places, checked as a whole, compiled.
//!
//! [`build`] does it all. Nothing here panics on what an operator writes, and nothing stops at the
//! first fault: a tree with 500 of them gets 500 diagnostics.

mod addresses;
mod apis;
mod authorize;
pub mod beside;
mod blanks;
mod budgets;
#[cfg(test)]
mod canonical_tests;
mod cases;
mod catalogue;
mod certificates;
mod claims;
mod codes;
mod comments;
mod compile;
pub mod conditions;
mod consumers;
mod containers;
pub mod contract;
mod credentials;
mod declare;
pub mod development;
mod diagnostic;
mod examples;
mod exceptions;
mod files;
mod gateway;
mod governance;
mod governing;
mod headers;
mod hidden;
mod introspection;
mod issuers;
mod json;
mod limits;
mod lines;
mod look_alikes;
mod mocks;
mod models;
mod names;
mod narrowed;
mod openapi;
mod overlays;
mod plans;
mod presented;
mod providers;
mod reader;
pub mod reference;
mod relations;
mod routes;
mod runner;
mod scalars;
pub mod schema;
mod secrets;
mod shards;
mod signing;
mod subjects;
mod syntax;
mod tally;
mod templates;
mod tighten;
mod units;
mod unused;
mod upstream_credential;
mod upstream_headers;
mod versions;
mod yaml;
mod zones;

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

pub use addresses::{authority, host};
pub use cases::{
    Caller, Case, CaseRequest, CaseStep, Expected, ExpectedCall, ExpectedCalls, REFUSALS, ScriptedAnswer,
    UpstreamFailure,
};
pub use diagnostic::{Code, Diagnostic, Label, Severity};
pub use files::{Kept, MAX_FILE, MAX_FILES, MAX_FOLDERS, MAX_TOTAL};
pub use governance::{About, RULES, Rule};
pub use governing::{Governing, Said};
pub use openapi::{Earlier, Unnamed, operation_ids, unnamed};
pub use runner::harmless;

use crate::{Bundle, Compiled, Stamp, Timestamp};
use diagnostic::{Report, Span};
use files::{Files, Tree};

/// For which environment, and as of when, a tree is built.
#[derive(Clone, Debug, Default)]
pub struct Options {
    /// The environment, one of those that `gateway.yaml` lists.
    pub environment: String,
    /// The instant that dates are compared with. It decides about diagnostics only, never about the
    /// bundle.
    pub as_of: Timestamp,
    /// The public key of the development issuer, as a JWK. Only trees with such an issuer need it:
    /// see [`needs_development_key`].
    pub development_key: Option<String>,
}

/// What came of a build.
#[derive(Clone, Debug, Default)]
pub struct Outcome {
    /// The bundle and its hash; nothing if there is an error. It has no stamp: what a build knows of where
    /// it comes from, [`Bundle::write`] takes.
    pub bundle: Option<(Vec<u8>, [u8; 32])>,
    /// What the bundle holds; nothing if there is an error.
    pub compiled: Option<Compiled>,
    /// The tests of the tree, for `turnpike test`; nothing of them is in the bundle.
    pub cases: Vec<Case>,
    /// Everything found, in the order of file and line.
    pub diagnostics: Vec<Diagnostic>,
    /// How often something was found that is not shown, by the file as diagnostics name it, what it is about, and how bad
    /// it is: of what is in there, nobody can tell by the diagnostics that it is not concerned.
    pub hidden: BTreeMap<(String, Code, Severity), usize>,
    /// The files that were read.
    pub files: Vec<PathBuf>,
    /// What was compiled although there is an error.
    partial: Option<Compiled>,
    /// What the rules of governance weigh here, as far as the tree says.
    levels: BTreeMap<Code, Option<Severity>>,
}

impl Outcome {
    /// Who issues tokens and who calls: `issuers`, `consumers` and `identities` of what comes back, and nothing else of it,
    /// are right even if there are errors elsewhere. If what decides about them has errors, these; it is `gateway.yaml`, the
    /// file of the environment, and all consumers, as no two may be known by the same.
    pub fn callers(&self, root: &Path, environment: &str) -> Result<&Compiled, Vec<Diagnostic>> {
        let prefix = prefix(root);
        let overlay = format!("environments/{environment}.");
        let decides = |file: &str| {
            // What is no file of the tree may be about all of it.
            let below = file.strip_prefix(&prefix);
            below.is_none_or(|below| {
                ["gateway.", "consumers/", &overlay]
                    .iter()
                    .any(|begin| below.starts_with(begin))
            })
        };
        let errors = self.diagnostics.iter().filter(|found| found.is_error());
        let stops: Vec<_> = errors.filter(|found| decides(&found.file)).cloned().collect();
        match self.compiled.as_ref().or(self.partial.as_ref()) {
            Some(compiled) if stops.is_empty() => Ok(compiled),
            _ => Err(stops),
        }
    }

    /// How bad it is that a rule of governance is not met, as the tree says; nothing: it is off.
    pub fn level(&self, rule: Code) -> Option<Severity> {
        let level = self.levels.get(&rule).copied();
        level.unwrap_or_else(|| rule.rule().map(|rule| rule.severity))
    }
}

/// Checks and compiles the tree below `root`. Places in diagnostics begin with `root` as it is given.
pub fn build(root: &Path, options: &Options) -> Outcome {
    Loaded::read(root).build(options)
}

/// A tree that was read and parsed, to be built for one environment or several.
#[derive(Debug)]
pub struct Loaded {
    /// What stands before the paths of its files, as they are shown.
    prefix: String,
    report: Report,
    /// Nothing if the folder cannot be read at all.
    read: Option<(Files, Tree)>,
}

impl Loaded {
    /// Reads the tree below `root`, on every core.
    pub fn read(root: &Path) -> Self {
        Self::read_with(root, None)
    }

    /// As [`Loaded::read`], but for files whose text is known: what was found in them is taken as it was.
    pub fn read_kept(root: &Path, kept: &Kept) -> Self {
        Self::read_with(root, Some(kept))
    }

    /// What is to be kept of it beside what is, for the next time, by this `program`; nothing if that is the same.
    pub fn kept(&self, kept: &Kept, program: &[u8]) -> Option<Vec<u8>> {
        self.read
            .as_ref()
            .and_then(|(files, _)| files.keep(kept, program))
    }

    fn read_with(root: &Path, kept: Option<&Kept>) -> Self {
        let mut report = Report::new(&folder(root));
        let read = Files::find(root, &mut report).map(|mut files| {
            files.read_ahead(kept, &mut report);
            let tree = files.items(&mut report);
            (files, tree)
        });
        Self {
            prefix: prefix(root),
            report,
            read,
        }
    }

    /// Shows its places with this before the paths of its files, where the tree lies somewhere that says nothing to people.
    #[must_use]
    pub fn shown_as(mut self, prefix: impl Into<String>) -> Self {
        self.prefix = prefix.into();
        self
    }

    /// Checks and compiles it. Builds for several environments may be made at the same time.
    pub fn build(&self, options: &Options) -> Outcome {
        let Some((files, tree)) = &self.read else {
            return Outcome {
                hidden: self.report.hidden(&self.prefix),
                diagnostics: self.report.clone().finish(&self.prefix),
                ..Outcome::default()
            };
        };
        let (compiled, cases, mut report, files) =
            compile::compile(files.clone(), tree, self.report.clone(), options);
        let mut bundle = None;
        if !report.failed() {
            match Bundle::write(&compiled, &Stamp::default()) {
                Ok(written) => bundle = Some(written),
                Err(error) => {
                    report.error(
                        Code::TooLarge,
                        Span::new(u32::MAX, 0, 0),
                        format!("the bundle cannot be written: {error}"),
                    );
                }
            }
        }
        let (compiled, partial) = if bundle.is_some() {
            (Some(compiled), None)
        } else {
            (None, Some(compiled))
        };
        Outcome {
            compiled,
            partial,
            bundle,
            cases,
            levels: report.levels().clone(),
            hidden: report.hidden(&self.prefix),
            diagnostics: report.finish(&self.prefix),
            files: files.into_read(),
        }
    }

    /// How large the files are that may belong to it, in bytes.
    pub fn size(&self) -> u64 {
        self.read.as_ref().map_or(0, |(files, _)| files.size())
    }

    /// What a file of it says, such as an API's document, by its path below the root; nothing if it cannot be read.
    /// It is read as the build reads it.
    pub fn document(&self, path: &str) -> Option<serde_json::Value> {
        let (files, _) = self.read.as_ref()?;
        let mut report = self.report.clone();
        let node = files
            .clone()
            .document(path, Span::new(u32::MAX, 0, 0), &mut report)?;
        Some(json::told(&node))
    }

    /// What governs it in an environment, as it is written there: what no bundle holds.
    pub fn governing(&self, environment: &str) -> Governing {
        let Some((_, tree)) = &self.read else {
            return Governing::default();
        };
        governing::read(tree, &mut reader::Reader::new(self.report.clone(), environment))
    }

    /// The environments that it lists, in the order written; none if that cannot be read.
    pub fn environments(&self) -> Vec<String> {
        let gateway = self.read.as_ref().and_then(|(_, tree)| tree.gateway.as_ref());
        compile::environment_names(gateway).unwrap_or_default()
    }

    /// Whether it has an issuer with `jwks: development` in an environment, so that the build needs
    /// [`Options::development_key`].
    pub fn needs_development_key(&self, environment: &str) -> bool {
        let gateway = self.read.as_ref().and_then(|(_, tree)| tree.gateway.as_ref());
        let mut reader = reader::Reader::new(Report::default(), environment);
        compile::needs_development_key(gateway, &mut reader)
    }
}

/// The environments that the tree lists, in the order written; none if that cannot be read.
pub fn environments(root: &Path) -> Vec<String> {
    let mut report = Report::default();
    let Some(mut files) = Files::find(root, &mut report) else {
        return Vec::new();
    };
    let gateway = files.gateway(&mut report);
    compile::environment_names(gateway.as_ref()).unwrap_or_default()
}

/// Whether a tree has an issuer with `jwks: development` in an environment, so that the build needs
/// [`Options::development_key`].
pub fn needs_development_key(root: &Path, environment: &str) -> bool {
    let mut report = Report::default();
    let Some(mut files) = Files::find(root, &mut report) else {
        return false;
    };
    let gateway = files.gateway(&mut report);
    compile::needs_development_key(gateway.as_ref(), &mut reader::Reader::new(report, environment))
}

/// Why a text is no YAML, and where.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Unparsed {
    /// The line, from 1.
    pub line: u32,
    /// The column in characters, from 1.
    pub column: u32,
    /// What is wrong.
    pub message: String,
    /// What would help.
    pub help: Option<String>,
}

impl std::fmt::Display for Unparsed {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let Self {
            line,
            column,
            message,
            help,
        } = self;
        write!(f, "line {line}, column {column}: {message}")?;
        help.iter().try_for_each(|help| write!(f, "\n{help}"))
    }
}

/// Reads a text of YAML or JSON as the files of a tree are read, within the same bounds.
pub fn parse_document(text: &str) -> Result<serde_json::Value, Unparsed> {
    let text = text.strip_prefix('\u{feff}').unwrap_or(text);
    let mut report = Report::default();
    let file = report.add_file(String::new(), text);
    let node = yaml::parse(file, text, &mut report);
    let found = report.finish("");
    match found.into_iter().find(|found| found.severity == Severity::Error) {
        Some(found) => Err(Unparsed {
            line: found.line,
            column: found.column,
            message: found.message,
            help: found.help,
        }),
        None => Ok(node.as_ref().map(json::told).unwrap_or_default()),
    }
}

/// Why a document is none that the gateway reads, by what it says that it is; nothing where it may be one.
pub fn other_document(document: &serde_json::Value) -> Option<(String, &'static str)> {
    openapi::other(document)
}

/// Whether a character is not seen, or turns the order of those around it, so that a text with it says something else
/// than it shows.
pub fn is_hidden(c: char) -> bool {
    hidden::is_hidden(c)
}

/// Why a request header never reaches an upstream whatever the policies say, if that is so; its name in lower case.
pub fn never_forwarded(name: &str) -> Option<&'static str> {
    headers::never_forwarded(name)
}

/// Reads an amount of money such as `12.50 USD`, in nano-USD.
pub fn parse_money(text: &str) -> Option<u64> {
    units::money(text)
}

/// Reads a span of time such as `15m`, in milliseconds.
pub fn parse_duration(text: &str) -> Option<crate::Millis> {
    units::duration(text).ok()
}

/// Reads a day (`2027-06-30`: its first instant in UTC) or an instant (`2027-06-30T12:00:00Z`), as
/// dates are written in policies.
pub fn parse_date(text: &str) -> Result<Timestamp, String> {
    units::date(text).map_err(|(why, help)| help.map_or(why.clone(), |help| format!("{why}: {help}")))
}

/// An instant as [`parse_date`] reads it.
pub fn show_instant(at: Timestamp) -> String {
    units::show_instant(at)
}

/// The name of the tree's folder, which origins in the bundle begin with: the same wherever the tree
/// lies.
pub fn folder(root: &Path) -> String {
    let name = root.file_name().map(|name| name.to_string_lossy().into_owned());
    name.unwrap_or_else(|| "policies".to_owned())
}

/// A place as the bundle knows it (`policies/plans/free.yaml:4`), as diagnostics name it: as a path from where
/// `root` begins.
pub fn place(root: &Path, origin: &str) -> String {
    match origin.split_once('/') {
        Some((_, below)) => prefix(root) + below,
        None => origin.to_owned(),
    }
}

fn prefix(root: &Path) -> String {
    let shown = root.to_string_lossy();
    let shown = shown.strip_prefix("./").unwrap_or(&shown);
    format!("{}/", shown.trim_end_matches('/'))
}
