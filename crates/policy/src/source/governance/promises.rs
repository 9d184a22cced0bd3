//! Versions of one API beside one another: whether the later one keeps what their numbers promise.
//!
//! Between two revisions of the tree `turnpike diff` tells the same, under the same code.

use std::collections::BTreeMap;
use std::sync::Arc;

use super::super::apis::{ApiFile, VersionFields};
use super::super::contract::{self, Contracts, Weight, agree, numbers, promise};
use super::super::diagnostic::{Code, Span};
use super::super::json;
use super::super::reader::Spanned;
use super::super::secrets::quote;
use super::super::yaml::Node;
use super::{Judge, SHOWN};
use crate::{Operation, State};

/// A version that promises something, by its number.
struct Version<'a> {
    name: &'a str,
    number: String,
    /// Where that is written.
    at: Span,
    parts: Vec<u32>,
    document: Arc<Node>,
}

/// What a later version breaks, and where, as far as that is written.
struct Break {
    text: String,
    at: Option<Span>,
}

pub(super) fn judge(judge: &mut Judge<'_>) {
    if judge.report.level(Code::BrokenPromise).is_none() {
        return;
    }
    for (name, api) in &judge.subject.known.apis.here {
        let mut versions = versions(name, api, judge);
        versions.sort_by(|a, b| a.parts.cmp(&b.parts));
        for pair in versions.windows(2) {
            if let [earlier, later] = pair
                && promise(&earlier.number) == promise(&later.number)
                && earlier.document.span.file != later.document.span.file
            {
                beside(name, earlier, later, judge);
            }
        }
    }
}

/// The versions that callers may rely on, with their numbers.
fn versions<'a>(name: &str, api: &'a ApiFile, judge: &Judge<'_>) -> Vec<Version<'a>> {
    let all = api.versions.iter().flat_map(|map| &map.here);
    all.filter_map(|(version, fields)| numbered(name, version, fields, judge))
        .collect()
}

fn numbered<'a>(
    api: &str,
    version: &'a Spanned<String>,
    fields: &VersionFields,
    judge: &Judge<'_>,
) -> Option<Version<'a>> {
    let state = fields.state.as_ref()?.value;
    // What is in preview promises nothing yet, and what is retired nothing any more.
    matches!(state, State::Active | State::Deprecated).then_some(())?;
    let path = fields.openapi.as_ref()?;
    let document = judge.files.read_document(&format!("apis/{api}/{}", path.0))?;
    if judge.faulty.contains(&document.span.file) {
        return None;
    }
    let info = document.get("info").and_then(|info| info.get("version"));
    let its = info.and_then(|node| {
        let text = node.text()?;
        Some((text.to_owned(), node.span, numbers(text)?))
    });
    let own = numbers(&version.value);
    if let (Some(own), Some((.., its))) = (&own, &its)
        && !agree(own, its)
    {
        // That they differ is said by itself.
        return None;
    }
    let (number, at, parts) = match (its, own) {
        (Some(its), _) => its,
        (None, Some(own)) => (version.value.clone(), version.span, own),
        (None, None) => return None,
    };
    Some(Version {
        name: &version.value,
        number,
        at,
        parts,
        document,
    })
}

fn beside(api: &str, earlier: &Version<'_>, later: &Version<'_>, judge: &mut Judge<'_>) {
    let breaks = breaks(api, earlier, later, judge);
    let Some(first) = breaks.first() else { return };
    let more = match breaks.len() {
        1 => String::new(),
        count => format!(", and {} more", count - 1),
    };
    let message = format!(
        "{} breaks what {} promises under the same first number: {}{more}",
        quote(later.name),
        quote(earlier.name),
        first.text
    );
    let draft = judge.say(Code::BrokenPromise, later.at, message);
    draft.label(earlier.at, "the number that promised it");
    for (at, broken) in breaks.iter().filter_map(|one| Some((one.at?, one))).take(SHOWN) {
        draft.label(at, broken.text.clone());
    }
    draft.help("give the later one another first number, or take back what breaks");
}

/// What fails for a caller of the earlier version that calls the later one instead.
fn breaks(api: &str, earlier: &Version<'_>, later: &Version<'_>, judge: &Judge<'_>) -> Vec<Break> {
    let (was, is) = (json::told(&earlier.document), json::told(&later.document));
    let mut contracts = Contracts::new(Arc::new(was), Arc::new(is));
    let requests = |operation: &Operation| (operation.method.name(), contract::shape(&operation.path));
    let after = operations(api, later.name, judge);
    let after: BTreeMap<_, _> = after.into_iter().map(|one| (requests(one), one)).collect();
    let mut breaks = Vec::new();
    for old in operations(api, earlier.name, judge) {
        let Some(new) = after.get(&requests(old)) else {
            breaks.push(Break {
                text: format!("{} {} is gone", old.method.name(), old.path),
                at: None,
            });
            continue;
        };
        let differences = contracts.compare(old, new);
        let broken = differences.into_iter().filter(|one| one.weight == Weight::Breaks);
        breaks.extend(broken.map(|one| Break {
            text: format!("{}: {}", new.id, one.text),
            at: place(&later.document, new, one.part),
        }));
    }
    breaks
}

/// The operations that a version publishes.
fn operations<'a>(api: &str, version: &str, judge: &Judge<'a>) -> Vec<&'a Operation> {
    let compiled = judge.subject.compiled;
    let mut apis = (0..).zip(&compiled.apis);
    let found = apis.find(|(_, one)| one.name == api && one.version == version);
    let all = compiled.operations.iter();
    all.filter(|operation| found.is_some_and(|(index, _)| operation.api == index))
        .collect()
}

/// The key of a field of an operation in its document.
fn place(document: &Node, operation: &Operation, field: &str) -> Option<Span> {
    let item = document.get("paths")?.get(&operation.path)?;
    let own = item.get(&operation.method.name().to_ascii_lowercase())?;
    let key = |node: &Node| {
        let mut keys = node.entries().iter().map(|(key, _)| key);
        keys.find(|key| key.text() == Some(field)).map(|key| key.span)
    };
    key(own).or_else(|| key(item))
}
