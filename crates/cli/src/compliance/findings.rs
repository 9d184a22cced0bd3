//! What the rules of governance found, by what it is about: one operation, one model, or neither.
//!
//! A finding in a document is an operation's where it lies within that, and one that speaks of many places is that of each
//! operation that has one of them. What no operation and no model has is of the API, or of the tree, as a whole, and is
//! told once.

use std::cell::Cell;
use std::collections::{BTreeMap, BTreeSet};
use std::fmt::Write as _;
use std::ops::Range;
use std::path::Path;
use std::rc::Rc;

use turnpike_policy::source::{About, Code, Diagnostic, Outcome, RULES, folder};
use turnpike_policy::{Api, Compiled, Model, Operation};

use super::{Record, Row, Weaker};
use crate::lines::Lines;
use crate::words::at;

/// What was found, by the file that it is in, as the bundle names it.
#[derive(Debug)]
pub(super) struct Findings<'a> {
    files: BTreeMap<String, Vec<Found<'a>>>,
    /// Where each operation is in its document; nowhere, if it cannot be told from those beside it.
    operations: Vec<Range<usize>>,
    /// The rules of which more was found than is told, by the file, as the bundle names it.
    hidden: BTreeMap<String, BTreeSet<Code>>,
    /// What was found and is too much to be told.
    untold: Vec<&'a Diagnostic>,
}

/// A finding in one of the places that it speaks of.
#[derive(Debug)]
struct Found<'a> {
    finding: &'a Diagnostic,
    bytes: Range<usize>,
    /// Whether it lies within an operation.
    within: bool,
    /// Whether it is a route's or a model's.
    taken: Cell<bool>,
}

impl<'a> Findings<'a> {
    pub(super) fn new(outcome: &'a Outcome, root: &Path, compiled: &Compiled, lines: &Lines) -> Self {
        let diagnostics = &outcome.diagnostics;
        let place = |operation| lines.bytes(operation).unwrap_or_default();
        let operations: Vec<_> = compiled.operations.iter().map(place).collect();
        let mut documents: BTreeMap<&str, Vec<&Range<usize>>> = BTreeMap::new();
        for (operation, its) in compiled.operations.iter().zip(&operations) {
            documents.entry(file_of(&operation.origin)).or_default().push(its);
        }
        let shown = root.to_string_lossy();
        let shown = shown.strip_prefix("./").unwrap_or(&shown).trim_end_matches('/');
        let named = |path: &str| {
            let below = path.strip_prefix(shown).unwrap_or(path);
            format!("{}/{}", folder(root), below.trim_start_matches('/'))
        };
        let mut hidden: BTreeMap<String, BTreeSet<Code>> = BTreeMap::new();
        for (path, code, _) in outcome.hidden.keys() {
            hidden.entry(named(path)).or_default().insert(*code);
        }
        let mut files: BTreeMap<String, Vec<Found<'a>>> = BTreeMap::new();
        for finding in diagnostics.iter().filter(|one| one.code.rule().is_some()) {
            let file = named(&finding.file);
            let own = std::slice::from_ref(&finding.span);
            let places = if finding.places.is_empty() {
                own
            } else {
                &finding.places
            };
            let within = |bytes: &Range<usize>| {
                let all = documents.get(file.as_str());
                all.is_some_and(|all| all.iter().any(|its| its.contains(&bytes.start)))
            };
            let found: Vec<_> = places
                .iter()
                .map(|bytes| Found {
                    finding,
                    bytes: bytes.clone(),
                    within: within(bytes),
                    taken: Cell::new(false),
                })
                .collect();
            files.entry(file).or_default().extend(found);
        }
        let untold = diagnostics.iter().filter(|one| one.code == Code::TooManyErrors);
        Self {
            files,
            operations,
            hidden,
            untold: untold.collect(),
        }
    }

    fn of(&self, file: &str) -> &[Found<'a>] {
        self.files.get(file).map_or(&[], Vec::as_slice)
    }

    /// The rules that may not be met by what is in these files, though nothing tells.
    fn hidden<'b>(&'b self, files: &'b [&str]) -> impl Iterator<Item = Code> + 'b {
        files
            .iter()
            .filter_map(|file| self.hidden.get(*file))
            .flatten()
            .copied()
    }
}

impl Record<'_> {
    /// What the rules of governance say of an operation.
    pub(super) fn of_operation(&self, index: u32, api: &Api, operation: &Operation) -> Vec<Row> {
        let (own, document) = (file_of(&api.origin), file_of(&operation.origin));
        let its = at(&self.findings.operations, index).cloned().unwrap_or_default();
        let inside = |found: &&Found<'_>| its.contains(&found.bytes.start);
        let (found, beside): (Vec<_>, Vec<_>) = self.findings.of(document).iter().partition(inside);
        // What is said of the API is said of each of its operations, and told once.
        let whole = beside.into_iter().filter(|found| !found.within);
        let whole = whole.chain(self.findings.of(own)).map(|found| found.finding.code);
        self.governance(About::Api, &[document, own], &found, &whole.collect())
    }

    /// What they say of a model, whose file is about it alone.
    pub(super) fn of_model(&self, model: &Model) -> Vec<Row> {
        let file = file_of(&model.origin);
        let found: Vec<_> = self.findings.of(file).iter().collect();
        self.governance(About::Model, &[file], &found, &BTreeSet::new())
    }

    /// How many of the rules that are about such a thing it meets, and those that it does not; `whole` are those that
    /// what it is part of does not meet.
    ///
    /// The `files` are those that say what it is, the first of them that of what was found.
    fn governance(
        &self,
        about: About,
        files: &[&str],
        found: &[&Found<'_>],
        whole: &BTreeSet<Code>,
    ) -> Vec<Row> {
        let about_it: BTreeSet<Code> = RULES
            .iter()
            .filter(|rule| [about, About::Any].contains(&rule.about()))
            .map(|rule| rule.code)
            .collect();
        let is = |one: &Weaker, code: &Code| one.code == code.number();
        let judged: BTreeSet<Code> = about_it
            .iter()
            .copied()
            .filter(|code| !self.off().any(|off| is(off, code)))
            .collect();
        let mut own = BTreeMap::new();
        for found in found {
            found.taken.set(true);
            let key = (found.finding.line, found.finding.code, &found.finding.message);
            own.entry(key).or_insert(*found);
        }
        let broken: BTreeSet<Code> = own.keys().map(|(_, code, _)| *code).collect();
        let above = whole
            .difference(&broken)
            .filter(|code| judged.contains(code))
            .count();
        // Of what is found too often to be told, nobody knows where else it is.
        let unknown: BTreeSet<Code> = self
            .findings
            .hidden(files)
            .filter(|code| judged.contains(code) && !broken.contains(code) && !whole.contains(code))
            .collect();
        let broken = broken.iter().filter(|code| judged.contains(code)).count();
        let unmet = broken.saturating_add(above);
        let met = judged.len().saturating_sub(unmet).saturating_sub(unknown.len());
        let mut more = match above {
            0 => String::new(),
            some => format!("; {some} more not met by the API as a whole"),
        };
        if !unknown.is_empty() {
            let codes: Vec<_> = unknown.iter().map(|code| code.number()).collect();
            let _ = write!(
                more,
                "; {} not known, as more is found in the file than is shown",
                codes.join(", ")
            );
        }
        // What nobody judges, or takes less seriously, is not met by that.
        let weaker: Vec<String> = self
            .weaker
            .iter()
            .filter(|one| about_it.iter().any(|code| is(one, code)))
            .map(|one| match one.level {
                None => format!("{} is off", one.code),
                Some(level) => format!("{} is a {level} only", one.code),
            })
            .collect();
        let weak = if weaker.is_empty() {
            String::new()
        } else {
            format!("; {}", weaker.join(", "))
        };
        let count = format!("{met} of {} rules{more}{weak}", judged.len());
        let mut rows = vec![Row {
            met: match (unmet, unknown.is_empty(), weaker.is_empty()) {
                (1.., ..) => "no",
                (0, false, _) => "not known",
                (0, true, false) => "in part",
                (0, true, true) => "yes",
            },
            ..Row::met("governance", &count, "")
        }];
        let file = files.first().copied().unwrap_or_default();
        rows.extend(own.into_values().map(|found| self.row(file, found)));
        rows
    }

    /// What is of no route and no model, each finding once.
    pub(super) fn rest(&self) -> Vec<Row> {
        let mut rows = Vec::new();
        for (file, found) in &self.findings.files {
            let mut seen = BTreeSet::new();
            for found in found.iter().filter(|found| !found.taken.get()) {
                if seen.insert((found.finding.line, found.finding.code, &found.finding.message)) {
                    rows.push(self.row(file, found));
                }
            }
        }
        rows.extend(self.findings.untold.iter().map(|finding| Row {
            rule: format!("{} ({})", finding.code.number(), finding.severity),
            met: "no",
            by: finding.message.clone(),
            origin: String::new(),
            behind: Rc::default(),
        }));
        rows
    }

    fn row(&self, file: &str, found: &Found<'_>) -> Row {
        let Diagnostic {
            code,
            severity,
            message,
            line,
            places,
            ..
        } = found.finding;
        // One that speaks of many places counts them, which says nothing of this one.
        let by = if places.len() > 1 { code.meaning() } else { message };
        let here = self.lines.line_at(file, found.bytes.start);
        Row {
            rule: format!("{} ({severity})", code.number()),
            met: "no",
            by: by.to_owned(),
            origin: here.unwrap_or_else(|| format!("{file}:{line}")),
            behind: Rc::default(),
        }
    }
}

/// The file of a place, as the bundle names it.
fn file_of(origin: &str) -> &str {
    origin.rsplit_once(':').map_or(origin, |(file, _)| file)
}
