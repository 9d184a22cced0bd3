//! APIs beside one another: what they share, and what they are called.

use std::collections::BTreeMap;

use super::super::diagnostic::{Code, Span};
use super::super::secrets::quote;
use super::Judge;

pub(super) fn judge(judge: &mut Judge<'_>) {
    shared_upstreams(judge);
    similar_names(judge);
}

fn shared_upstreams(judge: &mut Judge<'_>) {
    let mut first: BTreeMap<&str, (&str, &str, Span)> = BTreeMap::new();
    for (name, api) in &judge.subject.known.apis.here {
        let Some(owner) = &api.owner else { continue };
        for (_, fields) in api.versions.iter().flat_map(|map| &map.here) {
            let Some(url) = &fields.upstream else { continue };
            let (other, its_owner, at) = *first.entry(&url.0).or_insert((name, &owner.0, url.span));
            if its_owner != owner.0 {
                judge
                    .say(
                        Code::SharedUpstream,
                        url.span,
                        format!(
                            "{} and {} have the same upstream and different owners",
                            quote(other),
                            quote(name)
                        ),
                    )
                    .label(at, "the other one")
                    .help("let one of them own it, or give each a path of its own there");
            }
        }
    }
}

fn similar_names(judge: &mut Judge<'_>) {
    let known = judge.subject.known;
    let plain = |name: &str| name.replace(['-', '_', '.'], "");
    let mut names: Vec<(&str, &str, Span)> = Vec::new();
    for (name, item) in &known.apis.here {
        names.push((
            "API",
            name,
            item.api.as_ref().map_or(item.span, |field| field.span),
        ));
    }
    for (name, item) in &known.models.here {
        names.push((
            "model",
            name,
            item.model.as_ref().map_or(item.span, |field| field.span),
        ));
    }
    for (name, item) in &judge.subject.consumers.here {
        names.push((
            "consumer",
            name,
            item.consumer.as_ref().map_or(item.span, |field| field.span),
        ));
    }
    for (name, item) in &known.plans.here {
        names.push((
            "plan",
            name,
            item.plan.as_ref().map_or(item.span, |field| field.span),
        ));
    }
    let mut seen: BTreeMap<(&str, String), (&str, Span)> = BTreeMap::new();
    for (kind, name, at) in names {
        let Some((other, other_at)) = seen.insert((kind, plain(name)), (name, at)) else {
            continue;
        };
        judge
            .say(
                Code::SimilarNames,
                at,
                format!("{} and {} differ by punctuation only", quote(other), quote(name)),
            )
            .label(other_at, "the other one")
            .help("tell in the name what sets them apart");
    }
}
