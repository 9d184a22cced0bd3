//! Governance: what a tree may say and should not.
//!
//! A rule judges what was read and found to be right; it never decides what a bundle holds. So it has
//! a severity that the gateway sets ([`settings`]), and is judged last: of files without an error,
//! and, where a rule speaks of several files at once, of trees without one, so that nothing is said
//! that only follows from a fault. Every rule stands in one table, [`registry`]; what it looks at, in the
//! module of its subject.

mod apis;
mod consumers;
mod custom;
mod documents;
mod gateway;
mod inside;
mod models;
mod notes;
mod operations;
mod overlaps;
mod places;
mod plans;
mod promises;
mod registry;
mod samples;
mod schemas;
mod security;
mod settings;
mod subjects;
mod texts;
mod used;
mod versions;

use std::collections::BTreeSet;

pub(crate) use custom::{GovernanceFile, check};
pub(crate) use notes::Notes;
pub(crate) use places::Lost;
pub(crate) use registry::rule;
pub use registry::{About, RULES, Rule};
pub(crate) use settings::{Level, Levels, apply};
pub(crate) use texts::holds_random;

use super::addresses::{self, Inside, host};
use super::catalogue::Catalogue;
use super::compile::Checker;
use super::compile::Known;
use super::consumers::ConsumerFile;
use super::diagnostic::{Code, Draft, Report, Severity, Span};
use super::files::{Files, Tree};
use super::gateway::GatewayFile;
use super::reader::Spanned;
use super::secrets::quote;
use crate::{Compiled, Timestamp};

/// What is judged.
pub(crate) struct Subject<'a> {
    pub(crate) tree: &'a Tree,
    pub(crate) gateway: Option<&'a Spanned<GatewayFile>>,
    pub(crate) known: &'a Known<'a>,
    pub(crate) consumers: &'a Catalogue<ConsumerFile>,
    pub(crate) custom: &'a Catalogue<GovernanceFile>,
    pub(crate) compiled: &'a Compiled,
}

/// Judges a tree, and keeps what is to be said.
struct Judge<'a> {
    subject: &'a Subject<'a>,
    files: &'a Files,
    report: &'a mut Report,
    /// Files with an error.
    faulty: BTreeSet<u32>,
    as_of: Timestamp,
    environment: String,
    /// Whether upstreams may be reached without TLS here.
    http_upstreams: bool,
}

/// Applies every rule.
pub(crate) fn judge(subject: &Subject<'_>, checker: &mut Checker) {
    let whole = !checker.reader.report.failed();
    let mut judge = Judge {
        subject,
        files: &checker.files,
        faulty: checker.reader.report.faulty(),
        report: &mut checker.reader.report,
        as_of: checker.as_of,
        environment: checker.reader.environment.clone(),
        http_upstreams: checker.rules.http_upstreams,
    };
    texts::judge(&mut judge);
    documents::judge(&mut judge);
    versions::judge(&mut judge);
    models::judge(&mut judge);
    plans::judge(&mut judge);
    gateway::judge(&mut judge);
    inside::judge(&mut judge);
    custom::judge(&mut judge);
    // These compare files with one another.
    if whole {
        apis::judge(&mut judge);
        promises::judge(&mut judge);
        subjects::judge(&mut judge);
        consumers::judge(&mut judge);
        used::judge(&mut judge);
    }
}

impl Judge<'_> {
    /// Says that a rule is not met.
    fn say(&mut self, code: Code, span: Span, message: impl Into<String>) -> &mut Draft {
        match self.report.level(code) {
            Some(severity) => self.weigh(severity, code, span, message),
            None => self.report.nowhere(),
        }
    }

    /// As [`Judge::say`], with a severity that is known already.
    fn weigh(
        &mut self,
        severity: Severity,
        code: Code,
        span: Span,
        message: impl Into<String>,
    ) -> &mut Draft {
        if self.faulty.contains(&span.file) {
            return self.report.nowhere();
        }
        self.report.found(severity, code, span, message)
    }
}

impl Judge<'_> {
    /// Says once for a file what is not met in many places of it, and shows the first of them.
    fn say_once(&mut self, code: Code, places: &[Span], message: impl FnOnce(&str) -> String) -> &mut Draft {
        let Some((first, count)) = counted(places) else {
            return self.report.nowhere();
        };
        let draft = self.say(code, first, message(&count));
        point_to_more(draft, places);
        draft
    }
}

/// The first of many places, and how many there are in words.
fn counted(places: &[Span]) -> Option<(Span, String)> {
    let count = match places.len() {
        1 => "one place".to_owned(),
        many => format!("{many} places"),
    };
    Some((*places.first()?, count))
}

/// Keeps all of the places, and shows some of them after the first.
fn point_to_more(draft: &mut Draft, places: &[Span]) {
    draft.speaks_of(places);
    for place in places.iter().skip(1).take(SHOWN) {
        draft.label(*place, "and here");
    }
}

/// How many places are shown beside the first where a rule is not met in many.
const SHOWN: usize = 2;

/// A year, as far as dates are judged.
const YEAR: Timestamp = 366 * super::gateway::DAY;

/// Whether a host is the machine itself.
fn is_local(host: &str) -> bool {
    addresses::inside(host) == Some(Inside::Itself)
}
