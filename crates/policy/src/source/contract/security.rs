//! Which credentials a document asks for: those of any one of its demands, which is all schemes that it names, each with
//! all its scopes. Who meets a demand meets every one that asks for no more.

use std::collections::BTreeSet;

use serde_json::Value as Json;

use super::Weight;
use super::call::{Both, Part};
use super::flat::Document;
use super::schema::Walk;

/// Schemes, and scopes of schemes.
type Demand<'d> = BTreeSet<(&'d str, Option<&'d str>)>;

/// Compares what two documents ask of the callers of an operation.
pub(super) fn compare<'d>((was, is): Both<'_, 'd>, walk: &mut Walk<'d, '_>) {
    let (before, after) = (said(walk.old, was), said(walk.new, is));
    if before == after {
        return;
    }
    let (Some(old), Some(new)) = (demands(before), demands(after)) else {
        return walk.add(
            Weight::Risky,
            "the document asks for other credentials (`security`)",
        );
    };
    walk.known.budget.spend(old.len().saturating_mul(new.len()));
    if walk.known.budget.is_spent() {
        return;
    }
    let met = |demand: &Demand<'_>, others: &[Demand<'_>]| others.iter().any(|other| other.is_subset(demand));
    if old.iter().any(|demand| !met(demand, &new)) {
        walk.add(
            Weight::Breaks,
            "the document asks for credentials that it did not ask for (`security`)",
        );
    }
    if new.iter().any(|demand| !met(demand, &old)) {
        walk.add(
            Weight::Loosens,
            "the document takes callers with less credentials than it did (`security`)",
        );
    }
}

/// What is written for an operation, else for all of them.
fn said<'d>(document: Document<'d>, part: &Part<'d>) -> Option<&'d Json> {
    let own = part.operation.get("security");
    own.or_else(|| document.0.get("security"))
}

/// The demands of which one must be met, where that is how it is written. Where nothing is asked, that is one which
/// everybody meets.
fn demands(said: Option<&Json>) -> Option<Vec<Demand<'_>>> {
    let list = match said {
        None => return Some(vec![Demand::new()]),
        Some(said) => said.as_array()?,
    };
    if list.is_empty() {
        return Some(vec![Demand::new()]);
    }
    list.iter().map(demand).collect()
}

fn demand(said: &Json) -> Option<Demand<'_>> {
    let mut demand = Demand::new();
    for (scheme, scopes) in said.as_object()? {
        demand.insert((scheme.as_str(), None));
        for scope in scopes.as_array()? {
            demand.insert((scheme.as_str(), Some(scope.as_str()?)));
        }
    }
    Some(demand)
}
