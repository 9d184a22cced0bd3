//! The contract of an operation, as its OpenAPI document says it: what a caller must and may send,
//! and what it gets. The direction decides: of a request it breaks to ask for more, of an answer to
//! give less.

mod budget;
mod call;
mod callbacks;
mod flat;
mod keywords;
mod links;
mod members;
mod parts;
mod schema;
mod security;
mod servers;
mod values;

use std::sync::Arc;

use serde_json::Value as Json;

use crate::Operation;
use flat::Document;
use schema::{Known, Walk};

/// What a difference means to a caller who relied on what was.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Weight {
    /// A call that worked fails, or its answer cannot be read.
    Breaks,
    /// Its author alone can say.
    Risky,
    /// Less is asked of callers than was: there may be others.
    Loosens,
    /// Nothing.
    Safe,
}

/// A difference between two contracts.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Difference {
    /// What it means.
    pub weight: Weight,
    /// The field of the operation in which it is: `parameters`, `responses`.
    pub part: &'static str,
    /// What it is: `the query parameter `limit` is required`.
    pub text: String,
}

/// Two documents, whose operations are compared. What one comparison learns of their schemas serves the next.
pub struct Contracts {
    old: Arc<Json>,
    new: Arc<Json>,
    known: Known,
}

impl Contracts {
    /// Of the documents before and after.
    pub fn new(old: Arc<Json>, new: Arc<Json>) -> Self {
        Self {
            old,
            new,
            known: Known::default(),
        }
    }

    /// Compares an operation in both: what the second one says otherwise. Documents that are too large to be compared
    /// as a whole are not from some operation on, which is said once, as a risk.
    pub fn compare(&mut self, old_operation: &Operation, new_operation: &Operation) -> Vec<Difference> {
        let (old, new) = (Document(&self.old), Document(&self.new));
        let mut walk = Walk::new((old, new), &mut self.known);
        if !walk.known.budget.is_spent() {
            parts::operation((old_operation, new_operation), &mut walk);
        }
        if let Some(why) = walk.known.budget.why() {
            walk.add(Weight::Risky, why);
        }
        walk.differences
    }
}

/// What callers who know a version by its number may rely on: its first part (of `0.3`, which promises nothing else,
/// the second too).
pub fn promise(number: &str) -> String {
    let mut parts = number.trim_start_matches('v').split('.');
    match (parts.next().unwrap_or_default(), parts.next()) {
        ("0", Some(second)) => format!("0.{second}"),
        (first, _) => first.to_owned(),
    }
}

/// Whether callers are told by a number that they need not change: it promises what the one before did, or is a lower
/// one, which nobody takes for news. Days (`2027-06-30`) are in their order, too.
pub fn is_no_news(was: &str, is: &str) -> bool {
    let day =
        |number: &str| -> Option<Vec<u32>> { number.split('-').map(|part| part.parse().ok()).collect() };
    let order = |number: &str| numbers(number).or_else(|| day(number));
    let falls = |(was, is): (Vec<u32>, Vec<u32>)| is < was;
    promise(was) == promise(is) || order(was).zip(order(is)).is_some_and(falls)
}

/// The parts of a number: of `v2.1.0-rc.1` 2, 1 and 0. Nothing of what is no number of a version: a year is none.
pub(crate) fn numbers(number: &str) -> Option<Vec<u32>> {
    let number = number.strip_prefix('v').unwrap_or(number);
    let core = number.split(['-', '+']).next().unwrap_or(number);
    let parts: Vec<u32> = core
        .split('.')
        .map(|part| part.parse().ok())
        .collect::<Option<_>>()?;
    parts.first().is_some_and(|first| *first < 1900).then_some(parts)
}

/// The version of an API that a document of this number (`2.4.0`) is: `v2`; nothing where that is no number of a version.
pub fn version_of(number: &str) -> Option<String> {
    let first = *numbers(number)?.first()?;
    Some(format!("v{first}"))
}

/// Whether two numbers can be of one version: `v2` and `2.1.0` can, and `v2.1` and `2.1.0`; `v2` and `1.4.0` cannot.
pub(crate) fn agree(one: &[u32], other: &[u32]) -> bool {
    one.iter().zip(other).all(|(one, other)| one == other)
}

/// A path without the names of its parameters, which no caller sends.
pub fn shape(path: &str) -> String {
    let mut shape = String::with_capacity(path.len());
    let mut inside = false;
    for character in path.chars() {
        match character {
            '{' => inside = true,
            '}' => inside = false,
            _ if inside => continue,
            _ => {}
        }
        shape.push(character);
    }
    shape
}
