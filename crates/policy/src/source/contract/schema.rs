//! JSON Schemas, compared as what callers send or get: the walk over two of them. Two schemas are compared once below
//! one root, so that those which contain themselves come to an end.

use std::collections::{BTreeMap, BTreeSet};

use serde_json::Value as Json;

use super::budget::Budget;
use super::flat::{Document, Flat, Key};
use super::links::{self, Ids};
use super::{Difference, Weight};

/// How deep schemas are looked at.
const DEPTH: usize = 64;

/// What it costs to compare two schemas, however little they say.
const STEP: usize = 16;

/// What holds where there is no schema: every value is right.
pub(super) static ANY: Json = Json::Bool(true);

/// In which direction values go.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Way {
    Request,
    Response,
}

impl Way {
    /// What it means that values are allowed which were not (wider), or that some are not any more; `otherwise` where
    /// a caller need not notice.
    pub(super) const fn weigh(self, wider: bool, narrower: Weight, wider_answer: Weight) -> Weight {
        match (self, wider) {
            (Self::Request, false) => narrower,
            (Self::Response, true) => wider_answer,
            _ => Weight::Safe,
        }
    }

    /// Which way the answers go.
    pub(super) const fn back(self) -> Self {
        match self {
            Self::Request => Self::Response,
            Self::Response => Self::Request,
        }
    }
}

/// What is known of two documents, from one operation to the next.
#[derive(Default)]
pub(super) struct Known {
    pub(super) budget: Budget,
    /// Schemas that say the same, whatever way they go.
    same: BTreeSet<Key>,
    /// Whether the servers of the documents were compared.
    pub(super) servers: bool,
    /// Where the operations of both are, once that was asked.
    ids: Option<(Ids, Ids)>,
}

impl Known {
    /// Where the operations of both documents are.
    pub(super) fn ids(&mut self, (old, new): (Document<'_>, Document<'_>)) -> &(Ids, Ids) {
        self.ids.get_or_insert_with(|| (links::ids(old), links::ids(new)))
    }
}

/// An operation in two documents, and what is found of it.
pub(super) struct Walk<'d, 'k> {
    pub(super) old: Document<'d>,
    pub(super) new: Document<'d>,
    pub(super) known: &'k mut Known,
    part: &'static str,
    pub(super) differences: Vec<Difference>,
    /// What was compared below this root.
    told: BTreeSet<Key>,
    /// What of that contains the place that is looked at.
    open: Vec<Key>,
    /// While it is only asked whether schemas differ: whether they do.
    asked: Option<bool>,
    /// What was asked of before, below this root.
    answers: BTreeMap<Key, bool>,
    /// Those of which it is only assumed that they are the same, in the order in which that was.
    assumed: Vec<Key>,
    depth: usize,
    /// The callbacks that were compared, by where their operations lie.
    called: BTreeSet<(usize, usize, Way)>,
    /// How many of them contain the place that is looked at.
    calls: usize,
}

impl<'d, 'k> Walk<'d, 'k> {
    pub(super) const fn new((old, new): (Document<'d>, Document<'d>), known: &'k mut Known) -> Self {
        Self {
            old,
            new,
            known,
            part: "",
            differences: Vec::new(),
            told: BTreeSet::new(),
            open: Vec::new(),
            asked: None,
            answers: BTreeMap::new(),
            assumed: Vec::new(),
            depth: 0,
            called: BTreeSet::new(),
            calls: 0,
        }
    }

    /// What follows is in a callback, until [`Self::end`]; not if it was compared before.
    pub(super) fn begin(&mut self, (was, is): (&'d Json, &'d Json), way: Way) -> bool {
        let address = |part: &'d Json| std::ptr::from_ref(part) as usize;
        let new = self.called.insert((address(was), address(is), way));
        self.calls += usize::from(new);
        new
    }

    /// What follows is not in the callback any more.
    pub(super) const fn end(&mut self) {
        self.calls = self.calls.saturating_sub(1);
    }

    /// How many callbacks contain the place that is looked at.
    pub(super) const fn calls(&self) -> usize {
        self.calls
    }

    /// What follows is in this field of the operation.
    pub(super) const fn at(&mut self, part: &'static str) {
        self.part = part;
    }

    pub(super) fn add(&mut self, weight: Weight, text: impl Into<String>) {
        if let Some(differs) = &mut self.asked {
            *differs = true;
            return;
        }
        self.differences.push(Difference {
            weight,
            part: self.part,
            text: text.into(),
        });
    }

    /// Compares what is said of a parameter, a body, an answer or a header.
    pub(super) fn root(&mut self, pair: (Option<&'d Json>, Option<&'d Json>), way: Way, what: &str) {
        self.told.clear();
        self.answers.clear();
        self.assumed.clear();
        let before = self.differences.len();
        self.maybe((&list(pair.0), &list(pair.1)), way, what);
        if self.differences.len() == before && !self.known.budget.is_spent() {
            self.known.same.append(&mut self.told);
        }
    }

    /// Compares schemas that need not be there.
    pub(super) fn maybe(&mut self, (was, is): (&[&'d Json], &[&'d Json]), way: Way, what: &str) {
        match (was.is_empty(), is.is_empty()) {
            (true, false) if self.differ(&[&ANY], is) => {
                let weight = way.weigh(false, Weight::Risky, Weight::Risky);
                self.add(weight, format!("{what} has a schema now"));
            }
            (false, true) if self.differ(was, &[&ANY]) => {
                let weight = way.weigh(true, Weight::Risky, Weight::Risky);
                self.add(weight, format!("{what} has no schema any more"));
            }
            (false, false) => self.schemas((was, is), way, what),
            _ => {}
        }
    }

    pub(super) fn schemas(&mut self, (was, is): (&[&'d Json], &[&'d Json]), way: Way, what: &str) {
        if self.asked == Some(true) {
            return;
        }
        if self.depth >= DEPTH {
            return self.known.budget.too_deep(what);
        }
        let budget = &mut self.known.budget;
        budget.spend(STEP + what.len() / 32);
        let was = Flat::of(self.old, was, budget);
        let is = Flat::of(self.new, is, budget);
        if budget.is_spent() {
            return;
        }
        if was.never || is.never {
            if was.never != is.never {
                let weight = way.weigh(was.never, Weight::Breaks, Weight::Risky);
                let no = if is.never { "no value" } else { "values" };
                self.add(weight, format!("{what} takes {no} now"));
            }
            return;
        }
        let key = (was.key(), is.key());
        if self.known.same.contains(&key) {
            return;
        }
        if self.asked.is_some() {
            if self.open.contains(&key) {
                return;
            }
            if let Some(differs) = self.answers.get(&key) {
                self.asked = Some(*differs);
                return;
            }
            self.answers.insert(key.clone(), false);
            self.assumed.push(key.clone());
        } else if !self.told.insert(key.clone()) {
            return;
        } else {
            self.open.push(key.clone());
        }
        self.depth += 1;
        self.keywords((&was, &is), way, what);
        self.depth -= 1;
        match self.asked {
            Some(true) => {
                self.answers.insert(key, true);
            }
            Some(false) => {}
            None => {
                self.open.pop();
            }
        }
    }

    /// Whether every value is right for schemas, as far as that is written plainly.
    pub(super) fn is_any(&mut self, document: Document<'d>, schemas: &[&'d Json]) -> bool {
        let flat = Flat::of(document, schemas, &mut self.known.budget);
        flat.is_any()
    }

    /// Whether schemas say different things.
    pub(super) fn differ(&mut self, was: &[&'d Json], is: &[&'d Json]) -> bool {
        let around = self.asked.replace(false);
        let assumed = self.assumed.len();
        self.maybe((was, is), Way::Request, "");
        let differ = self.asked == Some(true);
        self.asked = around;
        if differ {
            // What was held to be the same may have been so only if these were.
            for key in self.assumed.drain(assumed..) {
                if self.answers.get(&key) == Some(&false) {
                    self.answers.remove(&key);
                }
            }
        }
        differ
    }
}

fn list(schema: Option<&Json>) -> Vec<&Json> {
    schema.into_iter().collect()
}
