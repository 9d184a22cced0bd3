//! The tree of paths, built so that no request can mean two operations.
//!
//! A segment is a literal or a parameter. Two routes with the same method and the same shape
//! (literals and parameters in the same places, whatever the parameters are called) could match the
//! same request: an error. Where a literal and a parameter could both match, the literal wins, and
//! the look-up comes back to the parameter only if nothing below the literal answers. So `/a/{x}/c`
//! and `/{y}/b/c` may stand side by side, and `/a/b/c` is the first one's.

use std::collections::BTreeMap;

use super::diagnostic::{Code, Report, Span};
use crate::{Method, Route, RouteNode, Routes, Surface};

/// A tree of paths in the making.
#[derive(Debug, Default)]
pub(crate) struct RouteBuilder {
    root: Branch,
}

#[derive(Debug, Default)]
struct Branch {
    literals: BTreeMap<String, Branch>,
    parameter: Option<Box<Branch>>,
    methods: BTreeMap<Method, Place>,
}

/// A route, and what to say when another wants its place.
#[derive(Debug)]
struct Place {
    route: Route,
    label: String,
    span: Option<Span>,
}

impl RouteBuilder {
    /// Adds the paths on which models are called.
    pub(crate) fn add_surfaces(&mut self, report: &mut Report) {
        for (method, path, surface) in [
            (Method::Post, "/v1/chat/completions", Surface::ChatCompletions),
            (Method::Get, "/v1/models", Surface::Models),
            (Method::Get, "/v1/models/{model}", Surface::Model),
        ] {
            let label = format!("{} {path}", method.name());
            self.insert(path, method, Route::Surface(surface), &label, None, report);
        }
    }

    /// Adds a route; reports one that could match what another matches.
    pub(crate) fn insert(
        &mut self,
        path: &str,
        method: Method,
        route: Route,
        label: &str,
        span: Option<Span>,
        report: &mut Report,
    ) {
        let mut branch = &mut self.root;
        for segment in crate::path::segments(path) {
            branch = if segment.starts_with('{') {
                branch.parameter.get_or_insert_default()
            } else {
                branch.literals.entry(segment.to_owned()).or_default()
            };
        }
        if let Some(first) = branch.methods.get(&method) {
            let at = span.or(first.span).unwrap_or_default();
            let draft = report
                .error(
                    Code::Ambiguous,
                    at,
                    format!("`{label}` and `{}` could match the same request", first.label),
                )
                .help("give one of them another path");
            if let Some(first) = first.span {
                draft.label(first, "the other one");
            }
            return;
        }
        branch.methods.insert(
            method,
            Place {
                route,
                label: label.to_owned(),
                span,
            },
        );
    }

    /// The tree as it is run: nodes in the order of a walk, literals before the parameter.
    pub(crate) fn finish(self) -> Routes {
        let root = self.root;
        if root.literals.is_empty() && root.parameter.is_none() && root.methods.is_empty() {
            return Routes::default();
        }
        let mut nodes = Vec::new();
        root.write(&mut nodes);
        Routes { nodes: nodes.into() }
    }
}

impl Branch {
    fn write(self, nodes: &mut Vec<RouteNode>) -> u32 {
        let at = nodes.len();
        nodes.push(RouteNode::default());
        let literals = self
            .literals
            .into_iter()
            .map(|(segment, branch)| (segment, branch.write(nodes)))
            .collect();
        let parameter = self.parameter.map(|branch| branch.write(nodes));
        let methods = self
            .methods
            .into_iter()
            .map(|(method, place)| (method, place.route))
            .collect();
        if let Some(node) = nodes.get_mut(at) {
            *node = RouteNode {
                literals,
                parameter,
                methods,
            };
        }
        u32::try_from(at).unwrap_or(u32::MAX)
    }
}
