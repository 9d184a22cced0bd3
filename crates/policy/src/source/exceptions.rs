//! Dated exceptions to the floor: who needs one, and which nobody needs.

use super::compile::{Checker, Known};
use super::declare::{choice, record};
use super::diagnostic::{Code, Span};
use super::gateway::DAY;
use super::names::nearest;
use super::reader::Spanned;
use super::scalars::{Date, Text};
use super::secrets::quote;
use crate::Timestamp;

record! {
    /// A dated exception to the floor.
    ExceptionFields = "exceptions" {
        /// The rule that does not hold: `authentication` for an API that is open to everybody,
        /// `upstreams` for one that is reached without TLS, `on_error` for a plan that lets pass what its
        /// quotas and budgets cannot be checked for, `query_credentials` for API keys in a query.
        rule: required ExceptionRule,
        /// For what: `apis/<name>`, `providers/<name>`, `plans/<name>`, or `gateway` as a whole.
        target as "for": required Text,
        /// Why, for whoever reads this in a year.
        reason: required Text,
        /// Its last day. After it the build fails.
        until: required Date,
    }
}

/// The rules that an exception can be made to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum ExceptionRule {
    Authentication,
    OnError,
    QueryCredentials,
    Upstreams,
}
choice!(ExceptionRule: "authentication" => Self::Authentication, "on_error" => Self::OnError,
    "query_credentials" => Self::QueryCredentials, "upstreams" => Self::Upstreams;
    later "owner", "limits", "lifecycle", "max_body");

/// An exception, and whether something needed it.
#[derive(Debug)]
pub(crate) struct Exception {
    rule: ExceptionRule,
    target: String,
    span: Span,
    /// Where that is written.
    at: Span,
    /// From then on it is none.
    end: Timestamp,
    used: bool,
}

/// What an exception is for that is for the gateway as a whole.
pub(crate) const GATEWAY: &str = "gateway";

/// Checks an exception, and keeps it for whatever needs it.
pub(crate) fn compile(exception: &Spanned<ExceptionFields>, checker: &mut Checker) {
    let mut end = Timestamp::MAX;
    if let Some(until) = &exception.until {
        // Its last day is still part of it.
        end = if until.0.is_multiple_of(DAY) {
            until.0.saturating_add(DAY)
        } else {
            until.0
        };
        let reason = exception.reason.as_ref().map_or("", |reason| reason.0.as_str());
        checker.check_last_day(&format!("this exception ({reason})"), (end, until.0), until.span);
    }
    let (Some(rule), Some(target)) = (&exception.rule, &exception.target) else {
        return;
    };
    let kinds: &[&str] = match rule.value {
        ExceptionRule::Authentication => &["apis"],
        ExceptionRule::OnError => &["plans"],
        ExceptionRule::Upstreams => &["apis", "providers"],
        ExceptionRule::QueryCredentials => &[],
    };
    let whole = rule.value == ExceptionRule::QueryCredentials && target.0 == GATEWAY;
    let known = whole
        || target
            .0
            .split_once('/')
            .is_some_and(|(kind, name)| kinds.contains(&kind) && !name.is_empty());
    if !known {
        let mut forms: Vec<_> = kinds.iter().map(|kind| format!("`{kind}/<name>`")).collect();
        if forms.is_empty() {
            forms.push(format!("`{GATEWAY}`"));
        }
        checker
            .report()
            .error(
                Code::UnknownReference,
                target.span,
                format!("{} is nothing that this exception can be for", quote(&target.0)),
            )
            .help(format!("write {}", forms.join(" or ")));
        return;
    }
    let twin = checker
        .exceptions
        .iter()
        .find(|other| other.rule == rule.value && other.target == target.0);
    if let Some(span) = twin.map(|twin| twin.span) {
        checker
            .report()
            .error(Code::Repeated, target.span, "there is such an exception already")
            .help("remove one")
            .label(span, "here");
        return;
    }
    checker.exceptions.push(Exception {
        rule: rule.value,
        target: target.0.clone(),
        span: exception.span,
        at: target.span,
        end,
        used: false,
    });
}

impl Checker {
    /// Until when an exception allows something, if one does; it then counts as used.
    pub(crate) fn excepted(&mut self, rule: ExceptionRule, target: &str) -> Option<Timestamp> {
        let found = self
            .exceptions
            .iter_mut()
            .find(|exception| exception.rule == rule && exception.target == target);
        match found {
            Some(exception) => {
                exception.used = true;
                Some(exception.end)
            }
            // It may be among those that cannot be read.
            None if !self.exceptions_known => Some(Timestamp::MAX),
            None => None,
        }
    }

    /// Reports exceptions that nothing needed.
    pub(crate) fn report_unused_exceptions(&mut self, known: &Known<'_>) {
        for exception in std::mem::take(&mut self.exceptions) {
            match elsewhere(&exception.target, known) {
                _ if exception.used => {}
                Elsewhere::Yes => {}
                // What needs it may be what is broken.
                Elsewhere::No if self.report().failed() => {}
                Elsewhere::No => {
                    self.report()
                        .warning(
                            Code::UnusedException,
                            exception.span,
                            format!("nothing needs this exception for {}", quote(&exception.target)),
                        )
                        .help("remove it: what is not needed should not be allowed");
                }
                Elsewhere::Missing => {
                    let all = all_of(&exception.target, known);
                    let near = nearest(&exception.target, all.iter().map(String::as_str));
                    let help = near.map_or_else(
                        || "name what it is for, or remove it".to_owned(),
                        |near| format!("did you mean {}?", quote(near)),
                    );
                    self.report()
                        .error(
                            Code::UnknownReference,
                            exception.at,
                            format!("there is no {}", quote(&exception.target)),
                        )
                        .help(help);
                }
            }
        }
    }
}

/// Where something that an exception names exists.
enum Elsewhere {
    /// In another environment, or its file is broken: nothing can be said about it here.
    Yes,
    /// In this one.
    No,
    /// Nowhere.
    Missing,
}

/// What exceptions of a kind can name: `apis/pets`.
fn all_of(target: &str, known: &Known<'_>) -> Vec<String> {
    let kind = target.split_once('/').map_or("", |(kind, _)| kind);
    let names: Vec<&str> = match kind {
        "apis" => known.apis.names().collect(),
        "plans" => known.plans.names().collect(),
        _ => known.providers.names().collect(),
    };
    names.into_iter().map(|name| format!("{kind}/{name}")).collect()
}

fn elsewhere(target: &str, known: &Known<'_>) -> Elsewhere {
    let (kind, name) = target.split_once('/').unwrap_or(("", ""));
    let (here, anywhere) = match kind {
        _ if target == GATEWAY => (true, true),
        "apis" => (known.apis.position(name).is_some(), known.apis.knows(name)),
        "plans" => (known.plans.position(name).is_some(), known.plans.knows(name)),
        _ => {
            let providers = known.providers;
            (providers.position(name).is_some(), providers.knows(name))
        }
    };
    match (here, anywhere) {
        (true, _) => Elsewhere::No,
        (false, true) => Elsewhere::Yes,
        (false, false) => Elsewhere::Missing,
    }
}
