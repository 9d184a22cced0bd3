//! Diagnostics: collected as they are found, shown as a compiler would.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt;
use std::ops::Range;
use std::sync::Arc;

use annotate_snippets::{AnnotationKind, Level, Renderer, Snippet};
use serde::{Deserialize, Serialize};

pub use super::codes::Code;
use super::lines::Source;
use super::tally::{Hidden, MAX_SHOWN, Tally};

/// A place in a file of the tree.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub(crate) struct Span {
    /// Index of the file in [`Report`].
    pub(crate) file: u32,
    /// Its first byte.
    pub(crate) start: usize,
    /// The byte after its last.
    pub(crate) end: usize,
}

impl Span {
    pub(crate) const fn new(file: u32, start: usize, end: usize) -> Self {
        Self { file, start, end }
    }
}

/// How bad it is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub enum Severity {
    /// The tree cannot be built.
    Error,
    /// It can, and somebody should look.
    Warning,
    /// It can, and somebody may want to know.
    Note,
}

/// One fault, with its place and what to do about it.
///
/// Its `Display` is the whole picture, with the lines concerned; [`Diagnostic::one_line`] is what
/// fits where only a line fits.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Diagnostic {
    /// What it is about.
    pub code: Code,
    /// How bad it is.
    pub severity: Severity,
    /// The file, as the tree's path was given: `policies/gateway.yaml`.
    pub file: String,
    /// The line, from 1.
    pub line: u32,
    /// The column in characters, from 1.
    pub column: u32,
    /// The bytes of the file concerned.
    pub span: Range<usize>,
    /// Where one speaks of many places of the file: the bytes of each, that of `span` included.
    pub places: Vec<Range<usize>>,
    /// What is wrong.
    pub message: String,
    /// Other places that belong to it.
    pub labels: Vec<Label>,
    /// What would help.
    pub help: Option<String>,
    rendered: String,
}

/// Another place that belongs to a diagnostic.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Label {
    /// The file.
    pub file: String,
    /// The line, from 1.
    pub line: u32,
    /// The column in characters, from 1.
    pub column: u32,
    /// The bytes of the file concerned.
    pub span: Range<usize>,
    /// What is there.
    pub message: String,
}

impl Diagnostic {
    /// `policies/gateway.yaml:14:5: error[P0201]: message`.
    pub fn one_line(&self) -> String {
        let Self {
            file,
            line,
            column,
            severity,
            code,
            message,
            ..
        } = self;
        format!("{file}:{line}:{column}: {severity}[{code}]: {message}")
    }

    /// The same, with a file called as it is elsewhere: of a copy that is not kept, as the one that was copied.
    pub fn call(&mut self, file: &str, name: &str) {
        let called = self.labels.iter_mut().map(|label| &mut label.file);
        for called in called.chain([&mut self.file]).filter(|called| *called == file) {
            name.clone_into(called);
        }
        let lines = self.rendered.split_inclusive('\n').map(|line| {
            let place = ["--> ", "::: "].iter().find_map(|mark| {
                let (margin, rest) = line.split_once(mark)?;
                let rest = rest.strip_prefix(file).filter(|_| margin.trim().is_empty())?;
                // Another file's name may begin so.
                rest.starts_with([':', '\n']).then_some(())?;
                Some(format!("{margin}{mark}{name}{rest}"))
            });
            place.unwrap_or_else(|| line.to_owned())
        });
        self.rendered = lines.collect();
    }

    /// Whether it keeps the tree from being built.
    pub fn is_error(&self) -> bool {
        self.severity == Severity::Error
    }
}

impl fmt::Display for Diagnostic {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.rendered)
    }
}

impl fmt::Display for Severity {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Error => "error",
            Self::Warning => "warning",
            Self::Note => "note",
        })
    }
}

/// A diagnostic in the making.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Draft {
    code: Code,
    severity: Severity,
    span: Span,
    message: String,
    places: Vec<Span>,
    labels: Vec<(Span, String)>,
    help: Option<String>,
}

impl Default for Draft {
    fn default() -> Self {
        Self {
            code: Code::TooManyErrors,
            severity: Severity::Error,
            span: Span::default(),
            message: String::new(),
            places: Vec::new(),
            labels: Vec::new(),
            help: None,
        }
    }
}

/// What was found in a file that was read by itself.
#[derive(Debug, Default)]
pub(crate) struct Found {
    drafts: Vec<Draft>,
    /// How much was found and not kept.
    hidden: Hidden,
}

impl Found {
    pub(crate) fn is_empty(&self) -> bool {
        self.drafts.is_empty() && self.hidden.is_empty()
    }
}

impl Draft {
    pub(crate) fn new(severity: Severity, code: Code, span: Span, message: String) -> Self {
        Self {
            code,
            severity,
            span,
            message,
            places: Vec::new(),
            labels: Vec::new(),
            help: None,
        }
    }

    /// Where it is.
    pub(crate) fn span(&self) -> Span {
        self.span
    }

    /// The same of a file of as many bytes: all of its places are moved there.
    pub(crate) fn of_file(mut self, file: u32) -> Self {
        let places = self.places.iter_mut();
        let labels = self.labels.iter_mut().map(|(place, _)| place);
        for place in places.chain(labels).chain([&mut self.span]) {
            place.file = file;
        }
        self
    }

    /// What it is about.
    pub(crate) fn code(&self) -> Code {
        self.code
    }

    /// Says what would help.
    pub(crate) fn help(&mut self, help: impl Into<String>) -> &mut Self {
        self.help = Some(help.into());
        self
    }

    /// Says what would help, if anything is known.
    pub(crate) fn maybe_help(&mut self, help: Option<String>) -> &mut Self {
        if help.is_some() {
            self.help = help;
        }
        self
    }

    /// Says that it speaks of all of these places of one file.
    pub(crate) fn speaks_of(&mut self, places: &[Span]) -> &mut Self {
        places.clone_into(&mut self.places);
        self
    }

    /// Points to another place that belongs to it.
    pub(crate) fn label(&mut self, span: Span, message: impl Into<String>) -> &mut Self {
        self.labels.push((span, message.into()));
        self
    }
}

/// Collects what is found, and knows the files it was found in.
#[derive(Clone, Debug, Default)]
pub(crate) struct Report {
    /// The name of the tree's folder and a slash: what origins begin with.
    folder: String,
    sources: Vec<Source>,
    /// The index of the first of them; not 0 only where a file is read by itself.
    first: u32,
    drafts: Vec<Draft>,
    /// The errors that were found.
    errors: Tally,
    /// What else was.
    others: Tally,
    /// What of both is not shown.
    hidden: Hidden,
    /// What the rules of governance weigh here; those that are not named weigh what they do by
    /// themselves.
    levels: BTreeMap<Code, Option<Severity>>,
    /// Takes what is not kept.
    spare: Draft,
}

impl Report {
    /// For a tree whose folder has this name.
    pub(crate) fn new(folder: &str) -> Self {
        Self {
            folder: format!("{folder}/"),
            ..Self::default()
        }
    }

    /// Makes a file known, so that spans can point into it.
    pub(crate) fn add_file(&mut self, path: String, text: &str) -> u32 {
        self.sources.push(Source::new(path, Arc::new(text.to_owned())));
        u32::try_from(self.sources.len() - 1).unwrap_or(u32::MAX)
    }

    /// For one file, which will have this index among others.
    pub(crate) fn of_file(index: u32, path: String, text: Arc<String>) -> Self {
        Self {
            sources: vec![Source::new(path, text)],
            first: index,
            ..Self::default()
        }
    }

    /// What was found in a file that was read by itself, and the file.
    pub(crate) fn into_parts(mut self) -> (Option<Source>, Found) {
        let found = Found {
            drafts: self.drafts,
            hidden: self.hidden,
        };
        (self.sources.pop(), found)
    }

    /// How many files are known: the index of the next one.
    pub(crate) fn count_sources(&self) -> usize {
        self.sources.len()
    }

    /// Takes over a file that was read by itself. Its index is the next one.
    pub(crate) fn add_source(&mut self, source: Source) {
        self.sources.push(source);
    }

    /// Takes over what was found in a file by itself, by the weights that hold here.
    pub(crate) fn take_over(&mut self, found: &Found) {
        for draft in &found.drafts {
            if let Some(severity) = self.weight(draft.severity, draft.code) {
                self.take(draft, severity);
            }
        }
        for ((severity, file), codes) in &found.hidden {
            for (code, count) in codes {
                if let Some(severity) = self.weight(*severity, *code) {
                    self.count_more(severity, *file, *code, *count);
                }
            }
        }
    }

    /// What something weighs here that by itself is as bad: the weight of a warning may be the gateway's to set.
    fn weight(&self, severity: Severity, code: Code) -> Option<Severity> {
        let level = self.levels.get(&code).copied();
        level
            .filter(|_| severity == Severity::Warning)
            .unwrap_or(Some(severity))
    }

    /// Takes over one of them, as this severe.
    pub(crate) fn take(&mut self, draft: &Draft, severity: Severity) {
        let kept = Draft {
            severity,
            ..draft.clone()
        };
        *self.push(severity, draft.code, draft.span, draft.message.clone()) = kept;
    }

    /// Counts what was found and is not shown.
    pub(crate) fn count_more(&mut self, severity: Severity, file: u32, code: Code, count: usize) {
        self.tally(severity).found += count;
        let of_file = self.hidden.entry((severity, file)).or_default();
        *of_file.entry(code).or_default() += count;
    }

    fn tally(&mut self, severity: Severity) -> &mut Tally {
        if severity == Severity::Error {
            &mut self.errors
        } else {
            &mut self.others
        }
    }

    /// An error.
    pub(crate) fn error(&mut self, code: Code, span: Span, message: impl Into<String>) -> &mut Draft {
        self.push(Severity::Error, code, span, message.into())
    }

    /// A warning, or what the gateway wants it to be: some are rules whose severity is its to set.
    pub(crate) fn warning(&mut self, code: Code, span: Span, message: impl Into<String>) -> &mut Draft {
        match self.weight(Severity::Warning, code) {
            Some(severity) => self.push(severity, code, span, message.into()),
            None => self.nowhere(),
        }
    }

    /// Something of this severity.
    pub(crate) fn found(
        &mut self,
        severity: Severity,
        code: Code,
        span: Span,
        message: impl Into<String>,
    ) -> &mut Draft {
        self.push(severity, code, span, message.into())
    }

    /// Takes what is said about something that is not to be reported.
    pub(crate) fn nowhere(&mut self) -> &mut Draft {
        self.spare = Draft::default();
        &mut self.spare
    }

    /// What rules weigh; nothing: off.
    pub(crate) const fn levels(&self) -> &BTreeMap<Code, Option<Severity>> {
        &self.levels
    }

    /// Sets what rules weigh.
    pub(crate) fn set_levels(&mut self, levels: BTreeMap<Code, Option<Severity>>) {
        self.levels = levels;
    }

    /// What a rule weighs; nothing: it is off.
    pub(crate) fn level(&self, code: Code) -> Option<Severity> {
        self.levels.get(&code).copied().flatten()
    }

    /// The files in which there is an error.
    pub(crate) fn faulty(&self) -> BTreeSet<u32> {
        let errors = self
            .drafts
            .iter()
            .filter(|draft| draft.severity == Severity::Error);
        let hidden = self.hidden.keys();
        let hidden = hidden.filter(|(severity, _)| *severity == Severity::Error);
        errors
            .map(|draft| draft.span.file)
            .chain(hidden.map(|(_, file)| *file))
            .collect()
    }

    fn push(&mut self, severity: Severity, code: Code, span: Span, message: String) -> &mut Draft {
        let tally = self.tally(severity);
        tally.found += 1;
        let new = tally.seen.is_new(code, span, &message);
        let shows = new && tally.shows(span.file, code);
        let draft = Draft::new(severity, code, span, message);
        if new && !shows {
            let of_file = self.hidden.entry((severity, span.file)).or_default();
            *of_file.entry(code).or_default() += 1;
        }
        if !shows {
            self.spare = draft;
            return &mut self.spare;
        }
        self.drafts.push(draft);
        self.drafts.last_mut().unwrap_or(&mut self.spare)
    }

    /// Whether anything so far keeps the tree from being built.
    pub(crate) fn failed(&self) -> bool {
        self.errors.found > 0
    }

    /// How much was found so far, the same as often as it was.
    pub(crate) fn count(&self) -> usize {
        self.errors.found + self.others.found
    }

    /// Whether what is found from now on is counted and hardly shown, so that it needs no remedy.
    pub(crate) fn is_full(&self) -> bool {
        self.errors.shown >= MAX_SHOWN
    }

    /// How often something was found that is not shown, by its file, what it is about, and how bad it is.
    pub(crate) fn hidden(&self, prefix: &str) -> BTreeMap<(String, Code, Severity), usize> {
        let mut all = BTreeMap::new();
        for ((severity, file), codes) in &self.hidden {
            let (path, ..) = self.place(Span::new(*file, 0, 0), prefix);
            for (code, count) in codes {
                *all.entry((path.clone(), *code, *severity)).or_default() += count;
            }
        }
        all
    }

    /// Whether an error was found inside a place.
    pub(crate) fn any_within(&self, span: Span) -> bool {
        self.hidden.contains_key(&(Severity::Error, span.file))
            || self.drafts.iter().any(|draft| {
                draft.severity == Severity::Error
                    && draft.span.file == span.file
                    && draft.span.start >= span.start
                    && draft.span.end <= span.end
            })
    }

    /// Keeps a place from ever being shown.
    pub(crate) fn redact(&mut self, span: Span) {
        let at = span.file.checked_sub(self.first);
        let Some(source) = at
            .and_then(|at| usize::try_from(at).ok())
            .and_then(|at| self.sources.get_mut(at))
        else {
            return;
        };
        let Some(secret) = source.text.get(span.start..span.end) else {
            return;
        };
        // As many bytes as before, so that every span stays right; lines stay lines.
        let mask = |byte: u8| {
            if matches!(byte, b'\n' | b'\r') {
                char::from(byte)
            } else {
                '*'
            }
        };
        let masked: String = secret.bytes().map(mask).collect();
        source.replace(span.start..span.end, &masked);
    }

    /// `policies/plans/free.yaml:4`: where something was written.
    pub(crate) fn origin(&self, span: Span) -> String {
        match self.source(span) {
            Some(source) => format!("{}{}:{}", self.folder, source.path, source.place(span.start).0),
            None => String::new(),
        }
    }

    /// What is written in a place.
    pub(crate) fn text(&self, span: Span) -> Option<&str> {
        self.source(span)?.text.get(span.start..span.end)
    }

    /// What is written in a file, with what must not be shown masked.
    pub(crate) fn text_of(&self, file: u32) -> Option<Arc<String>> {
        let source = self.source(Span::new(file, 0, 0))?;
        Some(Arc::clone(&source.text))
    }

    fn source(&self, span: Span) -> Option<&Source> {
        let at = span.file.checked_sub(self.first)?;
        self.sources.get(usize::try_from(at).ok()?)
    }

    /// Everything found, in the order of file, line and column. `prefix` is put before each path.
    pub(crate) fn finish(mut self, prefix: &str) -> Vec<Diagnostic> {
        let hidden = |severity| {
            let these = self.hidden.iter().filter(|((its, _), _)| *its == severity);
            these.flat_map(|(_, codes)| codes.values()).sum::<usize>()
        };
        let [errors, warnings, notes] = [Severity::Error, Severity::Warning, Severity::Note].map(hidden);
        let others = if warnings > 0 {
            Severity::Warning
        } else {
            Severity::Note
        };
        for (severity, count, what) in [
            (Severity::Error, errors, "faults"),
            (others, warnings + notes, "warnings and notes"),
        ] {
            if count > 0 {
                self.drafts.push(Draft {
                    code: Code::TooManyErrors,
                    severity,
                    span: Span::new(u32::MAX, 0, 0),
                    message: format!("{count} more {what} are not shown"),
                    places: Vec::new(),
                    labels: Vec::new(),
                    help: Some("mend those that are shown first".to_owned()),
                });
            }
        }
        let mut drafts = std::mem::take(&mut self.drafts);
        let key = |draft: &Draft| {
            let path = self.source(draft.span).map(|source| source.path.clone());
            (
                path.is_none(),
                path,
                draft.span.start,
                draft.code,
                draft.message.clone(),
            )
        };
        drafts.sort_by_cached_key(key);
        drafts.into_iter().map(|draft| self.show(draft, prefix)).collect()
    }

    fn show(&self, draft: Draft, prefix: &str) -> Diagnostic {
        let rendered = self.render(&draft, prefix);
        let (file, line, column) = self.place(draft.span, prefix);
        let labels = draft.labels.into_iter().map(|(span, message)| {
            let (file, line, column) = self.place(span, prefix);
            Label {
                file,
                line,
                column,
                span: span.start..span.end,
                message,
            }
        });
        Diagnostic {
            code: draft.code,
            severity: draft.severity,
            file,
            line,
            column,
            span: draft.span.start..draft.span.end,
            places: draft.places.iter().map(|place| place.start..place.end).collect(),
            labels: labels.collect(),
            message: draft.message,
            help: draft.help,
            rendered,
        }
    }

    fn place(&self, span: Span, prefix: &str) -> (String, u32, u32) {
        match self.source(span) {
            Some(source) => {
                let (line, column) = source.place(span.start);
                (format!("{prefix}{}", source.path), line, column)
            }
            None => (prefix.trim_end_matches('/').to_owned(), 1, 1),
        }
    }

    fn render(&self, draft: &Draft, prefix: &str) -> String {
        let level = match draft.severity {
            Severity::Error => Level::ERROR,
            Severity::Warning => Level::WARNING,
            Severity::Note => Level::NOTE,
        };
        let number = draft.code.number();
        let mut group = level
            .primary_title(draft.message.as_str())
            .id(number)
            .elements([] as [annotate_snippets::Element<'_>; 0]);
        // Places of one file go into one picture, others into pictures of their own.
        let mut files = vec![draft.span.file];
        for (span, _) in &draft.labels {
            if !files.contains(&span.file) {
                files.push(span.file);
            }
        }
        for file in files {
            let primary = (draft.span.file == file).then_some((draft.span, "", AnnotationKind::Primary));
            let others = draft.labels.iter().filter(|(span, _)| span.file == file);
            let marks: Vec<_> = primary
                .into_iter()
                .chain(others.map(|(span, text)| (*span, text.as_str(), AnnotationKind::Context)))
                .collect();
            let Some(source) = marks.first().and_then(|(span, ..)| self.source(*span)) else {
                let path = prefix.trim_end_matches('/').to_owned();
                group = group.element(annotate_snippets::Origin::path(path));
                continue;
            };
            let path = format!("{prefix}{}", source.path);
            if source.text.is_empty() {
                group = group.element(annotate_snippets::Origin::path(path));
                continue;
            }
            for picture in source.pictures(&marks) {
                let mut snippet = Snippet::source(picture.text)
                    .line_start(picture.first_line)
                    .path(path.clone())
                    .fold(true);
                for (range, text, kind) in picture.marks {
                    let mark = kind.span(range);
                    snippet = snippet.annotation(if text.is_empty() { mark } else { mark.label(text) });
                }
                group = group.element(snippet);
            }
        }
        if let Some(help) = &draft.help {
            group = group.element(Level::HELP.message(help.as_str()));
        }
        Renderer::plain().render(&[group])
    }
}
