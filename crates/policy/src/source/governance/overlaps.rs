//! Paths of one document that could match the same request. Which of them answers is decided (the
//! literal wins, segment by segment); whether that was meant is asked here.

use std::collections::BTreeMap;

use super::super::diagnostic::Code;
use super::super::secrets::quote;
use super::documents::{Described, Opened};
use super::notes::Notes;

/// How many steps are taken for a document: paths are compared in a tree, so this is far above what
/// a document needs that somebody wrote.
const MOST_STEPS: usize = 200_000;

#[derive(Default)]
struct Branch {
    literals: BTreeMap<String, Self>,
    parameter: Option<Box<Self>>,
    /// Operations that end here.
    ends: Vec<usize>,
}

fn is_parameter(segment: &str) -> bool {
    segment.starts_with('{')
}

pub(super) fn judge(opened: &Opened<'_>, notes: &mut Notes) {
    let mut root = Branch::default();
    for (index, operation) in opened.operations.iter().enumerate() {
        let mut branch = &mut root;
        for segment in operation.path.split('/').skip(1) {
            branch = if is_parameter(segment) {
                branch.parameter.get_or_insert_default()
            } else {
                branch.literals.entry(segment.to_owned()).or_default()
            };
        }
        branch.ends.push(index);
    }
    let mut steps = 0;
    for (index, operation) in opened.operations.iter().enumerate() {
        let segments: Vec<&str> = operation.path.split('/').skip(1).collect();
        if !segments.iter().any(|segment| is_parameter(segment)) {
            continue;
        }
        let mut met = Vec::new();
        walk(&root, &segments, &mut met, &mut steps);
        for other in met.into_iter().filter(|other| *other != index) {
            if let Some(other) = opened.operations.get(other) {
                compare(operation, other, notes);
            }
        }
    }
}

/// The operations whose paths could match what a path matches.
fn walk(branch: &Branch, rest: &[&str], met: &mut Vec<usize>, steps: &mut usize) {
    *steps += 1;
    if *steps > MOST_STEPS {
        return;
    }
    let Some((first, rest)) = rest.split_first() else {
        met.extend(&branch.ends);
        return;
    };
    if is_parameter(first) {
        for below in branch.literals.values() {
            walk(below, rest, met, steps);
        }
    } else if let Some(below) = branch.literals.get(*first) {
        walk(below, rest, met, steps);
    }
    if let Some(below) = &branch.parameter {
        walk(below, rest, met, steps);
    }
}

/// Judges two paths of the same length, the first of which has a parameter.
fn compare(one: &Described<'_>, other: &Described<'_>, notes: &mut Notes) {
    if one.method != other.method {
        return;
    }
    let pairs = || one.path.split('/').zip(other.path.split('/'));
    let wider = pairs().any(|(one, other)| is_parameter(one) && !is_parameter(other));
    let narrower = pairs().any(|(one, other)| !is_parameter(one) && is_parameter(other));
    match (wider, narrower) {
        // Said once for the two.
        (true, true) if one.path < other.path => {
            notes
                .say(
                    Code::CrossedPaths,
                    other.at,
                    format!(
                        "{} and {} could match the same request",
                        quote(one.path),
                        quote(other.path)
                    ),
                )
                .label(one.at, "the other one")
                .help("the one with the earlier literal answers; give one of them another path");
        }
        (true, false) => {
            notes
                .say(
                    Code::ShadowedPath,
                    other.at,
                    format!("{} answers what {} would", quote(other.path), quote(one.path)),
                )
                .label(one.at, "this one is not asked then")
                .help("give it a path that is no value of the parameter, or see to it that it is none");
        }
        _ => {}
    }
}
