//! References that lead back to where they came from, with nothing on the way that says more: no value is read by
//! going round. A schema that holds itself in a property or in its items is none of these: its values end.
//!
//! Only `$ref` and `allOf` are followed. Round `oneOf` and `anyOf` lead many documents, where what a schema may be
//! is listed in it and says by `allOf` what it belongs to.

use std::collections::BTreeMap;

use super::super::diagnostic::{Code, Report, Span};
use super::super::yaml::Node;
use super::Document;
use super::grammar::{self, Kind};

/// The references that may be part of a circle: what they lead to leads on.
#[derive(Default)]
pub(super) struct Circles<'d> {
    open: Vec<(&'d Node, bool)>,
}

/// A step from one node to another.
struct Way<'d> {
    to: &'d Node,
    /// Where it is written.
    at: Span,
}

impl<'d> Circles<'d> {
    /// Remembers a reference, by what holds it and what it leads to.
    pub(super) fn note(&mut self, node: &'d Node, found: &'d Node, kind: &'static Kind) {
        let schema = std::ptr::eq(kind, &raw const grammar::SCHEMA);
        if leads_on(found, schema) {
            self.open.push((node, schema));
        }
    }

    /// Reports each circle once, where it closes.
    pub(super) fn say(mut self, document: &Document<'d>, report: &mut Report) {
        self.open.sort_by_key(|(node, _)| node.span);
        // Whether all was followed that leads on from a node, or it lies on the way that is followed.
        let mut done: BTreeMap<*const Node, bool> = BTreeMap::new();
        for (first, schema) in self.open {
            if done.contains_key(&std::ptr::from_ref(first)) {
                continue;
            }
            done.insert(std::ptr::from_ref(first), false);
            let mut road = vec![(first, ways(document, first, schema))];
            while let Some((node, rest)) = road.last_mut() {
                let Some(way) = rest.pop() else {
                    done.insert(std::ptr::from_ref(*node), true);
                    road.pop();
                    continue;
                };
                let to = std::ptr::from_ref(way.to);
                match done.get(&to) {
                    Some(true) => {}
                    Some(false) => closed(&way, schema, report),
                    None => {
                        done.insert(to, false);
                        road.push((way.to, ways(document, way.to, schema)));
                    }
                }
            }
        }
    }
}

/// Whether a node says that it is what stands elsewhere.
fn leads_on(node: &Node, schema: bool) -> bool {
    node.get("$ref").is_some() || (schema && node.get("allOf").is_some())
}

/// The steps from a node that lead on, the first one last.
fn ways<'d>(document: &Document<'d>, node: &'d Node, schema: bool) -> Vec<Way<'d>> {
    let parts = schema.then(|| node.get("allOf")).flatten();
    let parts = parts.map(Node::items).unwrap_or_default().iter().rev();
    let parts = parts.map(|part| Way {
        to: part,
        at: part.get("$ref").map_or(part.span, |reference| reference.span),
    });
    let reference = node.get("$ref").and_then(|reference| {
        let to = document.step(reference).ok()?;
        let at = reference.span;
        Some(Way { to, at })
    });
    let all = parts.chain(reference);
    all.filter(|way| leads_on(way.to, schema)).collect()
}

fn closed(way: &Way<'_>, schema: bool, report: &mut Report) {
    let (message, help) = if schema {
        (
            "this `$ref` leads in a circle, by nothing but `$ref` and `allOf`",
            "write in one of the schemas what the value is; one may hold itself under `properties` or `items`",
        )
    } else {
        (
            "this `$ref` leads in a circle",
            "write out what it stands for in one of the places that it leads to",
        )
    };
    let draft = report.error(Code::BadReference, way.at, message).help(help);
    // Of itself there is nothing else to show.
    let itself = way.to.span;
    if !(itself.start <= way.at.start && way.at.end <= itself.end) {
        draft.label(itself, "back to here");
    }
}
