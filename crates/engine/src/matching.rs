//! Phase 2, match: one operation, one model surface, or one page of the gateway's own.
//!
//! Routes are a tree of path segments, so a look-up costs as much as the path is long, however many
//! routes there are. At each segment a literal is tried before a parameter; if the rest of the path
//! does not fit below the literal, the parameter is tried.

use serde::{Deserialize, Serialize};
use turnpike_policy::{Compiled, Lifecycle, Method, Route, RouteNode, Routes, State};

use crate::accept::Accepted;
use crate::error::{Code, Refusal};
use crate::{look, sorted};

/// Where a request leads that was accepted. Only [`find`] makes it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Matched(Destination);

impl Matched {
    /// Where that is.
    pub(crate) const fn to(self) -> Destination {
        self.0
    }

    /// Refuses what leads elsewhere: nobody asks for the right to one thing by what was matched for another.
    pub(crate) fn leads(self, to: Destination) -> Result<(), Refusal> {
        if to == self.0 { Ok(()) } else { Err(elsewhere()) }
    }

    /// The operation that it leads to (index into the policy's list).
    pub(crate) fn operation(self) -> Result<u32, Refusal> {
        match self.0 {
            Destination::Route(Route::Operation(index)) => Ok(index),
            _ => Err(elsewhere()),
        }
    }
}

fn elsewhere() -> Refusal {
    look::broken("the request leads elsewhere")
}

/// Where a request leads.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) enum Destination {
    /// An operation or a model surface.
    Route(Route),
    /// A page of the gateway's own.
    Operator,
    /// What the caller may still do, or, for operators, what another may.
    Limits,
    /// What an operator gives back.
    Credits,
    /// What operators have denied.
    Denials,
    /// What an operator denies, or lifts.
    Deny,
    /// Nobody but the question which methods there are (`OPTIONS`).
    Options,
}

/// The methods that are published at a path.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Methods(Vec<Method>);

impl Methods {
    /// The value of `Allow`, with what the gateway adds.
    pub(crate) fn allow(&self) -> String {
        let mut all = self.0.clone();
        all.push(Method::Options);
        if all.contains(&Method::Get) {
            all.push(Method::Head);
        }
        let mut all = sorted::by(all, Ord::cmp);
        all.dedup();
        let names: Vec<_> = all.into_iter().map(Method::name).collect();
        names.join(", ")
    }
}

/// Finds what answers a request. `now` decides whether a version has ended.
pub(crate) fn find(policy: &Compiled, request: &Accepted, now: u64) -> Result<Matched, Refusal> {
    check_host(policy, request)?;
    let method = request.method();
    if let Some((shown, ordered)) = own(request.path()) {
        return match method {
            Method::Get | Method::Head => Ok(Matched(shown)),
            Method::Post => Ok(Matched(ordered)),
            Method::Options => Ok(Matched(Destination::Options)),
            _ => {
                let allow = own_methods().allow();
                let detail = format!("{} takes {allow}.", request.path());
                Err(Refusal::new(Code::MethodNotAllowed, detail).header("allow", allow))
            }
        };
    }
    if is_cold(request) {
        return Ok(Matched(Destination::Operator));
    }
    let wanted = if method == Method::Head {
        Method::Get
    } else {
        method
    };
    let mut seen = Methods::default();
    let route = descend(&policy.routes, 0, &segments(request), wanted, &mut seen);
    if let Some(route) = route {
        check_lifecycle(policy, route, now)?;
        return Ok(Matched(Destination::Route(route)));
    }
    if seen.0.is_empty() {
        return Err(nothing(request));
    }
    if method == Method::Options {
        return Ok(Matched(Destination::Options));
    }
    let allow = seen.allow();
    let detail = format!("{} takes {allow}.", shown(request.path()));
    Err(Refusal::new(Code::MethodNotAllowed, detail).header("allow", allow))
}

/// The methods published at the path of a request, for `OPTIONS` and preflights. Of the other half's pages, which it
/// knows alone, those that each of them has.
pub(crate) fn methods(policy: &Compiled, request: &Accepted) -> Result<Methods, Refusal> {
    check_host(policy, request)?;
    if own(request.path()).is_some() {
        return Ok(own_methods());
    }
    if is_cold(request) {
        return Ok(cold_methods());
    }
    let mut seen = Methods::default();
    // No operation has OPTIONS: the look-up visits every node that fits and finds nothing.
    let _ = descend(&policy.routes, 0, &segments(request), Method::Options, &mut seen);
    if seen.0.is_empty() {
        Err(nothing(request))
    } else {
        Ok(seen)
    }
}

/// Where a page leads that the core itself answers: when it is asked, and when it is told something.
fn own(path: &str) -> Option<(Destination, Destination)> {
    match path {
        "/_turnpike/limits" => Some((Destination::Limits, Destination::Credits)),
        "/_turnpike/denials" => Some((Destination::Denials, Destination::Deny)),
        _ => None,
    }
}

fn own_methods() -> Methods {
    Methods(vec![Method::Get, Method::Post])
}

/// Whether the other half of the Worker answers at the path of a request.
pub(crate) fn is_cold(request: &Accepted) -> bool {
    request.path().starts_with("/_turnpike/") || request.path().starts_with("/.well-known/")
}

/// What its pages take: each can be read, and no more.
pub(crate) fn cold_methods() -> Methods {
    Methods(vec![Method::Get])
}

fn check_host(policy: &Compiled, request: &Accepted) -> Result<(), Refusal> {
    let hosts = &policy.gateway.hosts;
    if hosts.is_empty() || hosts.iter().any(|host| host == request.host()) {
        return Ok(());
    }
    let detail = format!("The host `{}` is not one of this gateway's.", request.host());
    Err(Refusal::new(Code::UnknownHost, detail))
}

/// The segments of a path; of `/` there are none.
fn segments(request: &Accepted) -> Vec<&str> {
    let rest = request.path().strip_prefix('/').unwrap_or_default();
    if rest.is_empty() {
        Vec::new()
    } else {
        rest.split('/').collect()
    }
}

/// The refusal for a path at which nothing is published.
fn nothing(request: &Accepted) -> Refusal {
    let detail = format!(
        "There is no {} {}.",
        request.method().name(),
        shown(request.path())
    );
    Refusal::new(Code::NotFound, detail)
}

/// A path fit for a message: bounded.
fn shown(path: &str) -> &str {
    path.char_indices()
        .nth(120)
        .map_or(path, |(end, _)| path.get(..end).unwrap_or(path))
}

fn descend(
    routes: &Routes,
    node: u32,
    segments: &[&str],
    wanted: Method,
    seen: &mut Methods,
) -> Option<Route> {
    let node: &RouteNode = routes.nodes.get(usize::try_from(node).ok()?)?;
    let Some((segment, rest)) = segments.split_first() else {
        seen.0.extend(node.methods.iter().map(|(method, _)| *method));
        let place = node
            .methods
            .binary_search_by_key(&wanted, |(method, _)| *method)
            .ok()?;
        return node.methods.get(place).map(|(_, route)| *route);
    };
    let literal = node
        .literals
        .binary_search_by(|(text, _)| text.as_str().cmp(segment))
        .ok()
        .and_then(|place| node.literals.get(place))
        .and_then(|(_, next)| descend(routes, *next, rest, wanted, seen));
    if literal.is_some() || segment.is_empty() {
        return literal;
    }
    descend(routes, node.parameter?, rest, wanted, seen)
}

fn check_lifecycle(policy: &Compiled, route: Route, now: u64) -> Result<(), Refusal> {
    let Route::Operation(index) = route else {
        return Ok(());
    };
    let Some(api) = operation_api(policy, index) else {
        return Ok(());
    };
    if !ended(&api.lifecycle, now) {
        return Ok(());
    }
    let mut refusal = Refusal::new(
        Code::Gone,
        match &api.lifecycle.successor {
            Some(path) => format!("{} {} has ended. Use {path}.", api.title, api.version),
            None => format!("{} {} has ended.", api.title, api.version),
        },
    )
    .by(&api.origin);
    if let Some(path) = &api.lifecycle.successor {
        refusal = refusal.header("link", format!("<{path}>; rel=\"successor-version\""));
    }
    Err(refusal)
}

/// Whether what has this life has ended by `now`.
pub(crate) fn ended(lifecycle: &Lifecycle, now: u64) -> bool {
    lifecycle.state == State::Retired || lifecycle.sunset.is_some_and(|sunset| sunset <= now)
}

/// The API of an operation.
pub(crate) fn operation_api(policy: &Compiled, operation: u32) -> Option<&turnpike_policy::Api> {
    let operation = policy.operations.get(usize::try_from(operation).ok()?)?;
    policy.apis.get(usize::try_from(operation.api).ok()?)
}

#[cfg(test)]
mod tests {
    use super::*;
    use turnpike_policy::Surface;

    /// `/a/b/c`, `/a/{x}/d` and `/v1/models`.
    fn routes() -> Routes {
        let node = |literals: &[(&str, u32)], parameter, methods: &[(Method, Route)]| RouteNode {
            literals: literals
                .iter()
                .map(|(text, at)| ((*text).to_owned(), *at))
                .collect(),
            parameter,
            methods: methods.to_vec(),
        };
        Routes {
            nodes: vec![
                node(&[("a", 1), ("v1", 6)], None, &[]),
                node(&[("b", 2)], Some(4), &[]),
                node(&[("c", 3)], None, &[]),
                node(&[], None, &[(Method::Get, Route::Operation(0))]),
                node(&[("d", 5)], None, &[]),
                node(
                    &[],
                    None,
                    &[
                        (Method::Get, Route::Operation(1)),
                        (Method::Post, Route::Operation(2)),
                    ],
                ),
                node(&[("models", 7)], None, &[]),
                node(&[], None, &[(Method::Get, Route::Surface(Surface::Models))]),
            ]
            .into(),
        }
    }

    #[expect(clippy::unwrap_in_result, reason = "a test's helper")]
    fn look(method: &str, path: &str) -> Result<Matched, Refusal> {
        let policy = Compiled {
            routes: routes(),
            ..Compiled::default()
        };
        let url = format!("https://gateway.example{path}");
        let head = crate::step::Head {
            method,
            url: &url,
            ..Default::default()
        };
        let accepted = crate::accept::accept(&head, &crate::accept::Random::default()).expect("accepted");
        find(&policy, &accepted, 0)
    }

    fn operation(route: Route) -> Option<u32> {
        match route {
            Route::Operation(index) => Some(index),
            Route::Surface(_) => None,
        }
    }

    #[test]
    fn a_literal_wins_and_a_parameter_catches_the_rest() {
        for (method, path, route) in [
            ("GET", "/a/b/c", Route::Operation(0)),
            ("GET", "/a/b/d", Route::Operation(1)),
            ("GET", "/a/x/d", Route::Operation(1)),
            ("POST", "/a/x/d", Route::Operation(2)),
            ("HEAD", "/a/b/c", Route::Operation(0)),
            ("GET", "/v1/models", Route::Surface(Surface::Models)),
        ] {
            let matched = look(method, path).expect(path);
            assert_eq!(matched.to(), Destination::Route(route), "{method} {path}");
            assert_eq!(matched.operation().ok(), operation(route), "{method} {path}");
        }
    }

    #[test]
    fn what_is_not_published_is_refused() {
        for path in ["/", "/a", "/a/b", "/a/b/c/", "/a/b/c/e", "/A/b/c", "/_turnpikes"] {
            assert_eq!(look("GET", path).expect_err(path).code, Code::NotFound, "{path}");
        }
        let refusal = look("DELETE", "/a/x/d").expect_err("method");
        assert_eq!(refusal.code, Code::MethodNotAllowed);
        assert_eq!(refusal.headers[0].1, "GET, HEAD, OPTIONS, POST");
        assert_eq!(
            look("OPTIONS", "/a/x/d").expect("options").to(),
            Destination::Options
        );
        assert_eq!(
            look("OPTIONS", "/nothing").expect_err("options").code,
            Code::NotFound
        );
    }

    #[test]
    fn the_gateways_own_pages_are_apart() {
        assert_eq!(
            look("GET", "/_turnpike/health").expect("page").to(),
            Destination::Operator
        );
    }
}
