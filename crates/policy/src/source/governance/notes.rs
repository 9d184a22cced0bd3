//! What rules find in a document by itself. It is the same in every environment, so it is found once, and
//! weighed where it is said: a severity is the gateway's to set.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use super::super::diagnostic::{Code, Draft, Report, Severity, Span};
use super::super::openapi::Document;
use super::super::tally::Seen;
use super::super::yaml::Node;
use super::documents::{self, Opened};
use super::{Judge, counted, operations, overlaps, point_to_more, samples, schemas, texts};

/// More than this are counted, and not kept.
const MAX_KEPT: usize = 10_000;

/// As many of each rule are kept all the same, so that none hides that another is not met.
const ALWAYS_KEPT: usize = 10;

/// What was found in one file.
#[derive(Debug, Default, Serialize, Deserialize)]
pub(crate) struct Notes {
    kept: Vec<Draft>,
    /// How often else a rule is not met.
    more: BTreeMap<Code, usize>,
    /// Every place that looks like a secret: what is not kept of them must not be shown by others either.
    secrets: Vec<Span>,
    /// How often one is among those that are kept; what is read again is whole, and nothing is added to it.
    #[serde(skip)]
    rules: BTreeMap<Code, usize>,
    #[serde(skip)]
    seen: Seen,
    #[serde(skip)]
    spare: Draft,
}

impl Notes {
    /// What is found in a document of which no operation is open to everybody.
    pub(crate) fn of(root: &Node) -> Self {
        let mut notes = Self::default();
        // That it is a document is for its check to say.
        if let Some(document) = Document::open(root, root.span, &mut Report::default()) {
            notes.judge(&documents::open(document, root, &BTreeMap::new()));
        }
        notes
    }

    /// What its texts and comments hold that should not be there.
    pub(crate) fn of_texts(root: &Node, text: &str) -> Self {
        let mut notes = Self::default();
        texts::search(root, &mut notes);
        texts::search_comments(root, text, &mut notes);
        notes
    }

    /// The same of another file that says the same.
    pub(crate) fn of_file(mut self, file: u32) -> Self {
        self.kept = self.kept.into_iter().map(|draft| draft.of_file(file)).collect();
        for secret in &mut self.secrets {
            secret.file = file;
        }
        self
    }

    pub(super) fn judge(&mut self, opened: &Opened<'_>) {
        operations::judge(opened, self);
        overlaps::judge(opened, self);
        schemas::judge(opened, self);
        samples::judge(opened, self);
    }

    /// Notes that a rule is not met.
    pub(super) fn say(&mut self, code: Code, span: Span, message: impl Into<String>) -> &mut Draft {
        if code == Code::HighEntropy {
            self.secrets.push(span);
        }
        let message = message.into();
        if !self.seen.is_new(code, span, &message) {
            self.spare = Draft::default();
            return &mut self.spare;
        }
        let its = self.rules.entry(code).or_default();
        if self.kept.len() >= MAX_KEPT && *its >= ALWAYS_KEPT {
            *self.more.entry(code).or_default() += 1;
            self.spare = Draft::default();
            return &mut self.spare;
        }
        *its += 1;
        self.kept.push(Draft::new(Severity::Note, code, span, message));
        self.kept.last_mut().unwrap_or(&mut self.spare)
    }

    /// Notes once for a file what is not met in many places of it, with the first of them.
    pub(super) fn say_once(
        &mut self,
        code: Code,
        places: &[Span],
        message: impl FnOnce(&str) -> String,
    ) -> &mut Draft {
        let Some((first, count)) = counted(places) else {
            self.spare = Draft::default();
            return &mut self.spare;
        };
        let draft = self.say(code, first, message(&count));
        point_to_more(draft, places);
        draft
    }
}

impl Judge<'_> {
    /// Says what was found in a file, as it weighs here.
    pub(super) fn take(&mut self, notes: &Notes) {
        // Those of files with an error too: what is said of the error shows the lines around it.
        if self.report.level(Code::HighEntropy).is_some() {
            for secret in &notes.secrets {
                self.report.redact(*secret);
            }
        }
        for draft in &notes.kept {
            if self.faulty.contains(&draft.span().file) {
                continue;
            }
            if let Some(severity) = self.report.level(draft.code()) {
                self.report.take(draft, severity);
            }
        }
        // There is more only where something is kept, and all of it is in one file.
        let file = notes.kept.first().map(|draft| draft.span().file);
        let Some(file) = file.filter(|file| !self.faulty.contains(file)) else {
            return;
        };
        for (code, count) in &notes.more {
            if let Some(severity) = self.report.level(*code) {
                self.report.count_more(severity, file, *code, *count);
            }
        }
    }
}
