//! What the gateway does with an operation: by which rules, with which bounds, and who answers.

use turnpike_policy::source::contract::shape;
use turnpike_policy::{
    Api, DecisionPoint, Handler, Operation, Relation, Timeouts, UpstreamHeader, claim_name,
};

use super::change::{Changes, Class};
use super::place::Places;
use crate::lines::Lines;
use crate::words;

/// What the gateway does with an operation.
pub(super) fn compare(
    (was, was_api): (&Operation, &Api),
    (is, is_api): (&Operation, &Api),
    points: (&[DecisionPoint], &[DecisionPoint]),
    breaks: Class,
    places: &Places,
    changes: &mut Changes,
) {
    let told = changes.told();
    relation(was, is, points, changes);
    // Most are what they were, wherever they stand: where their rules are need not be looked for.
    let mut moved = Operation {
        api: is.api,
        origin: is.origin.clone(),
        scopes_origin: is.scopes_origin.clone(),
        ..was.clone()
    };
    if moved == *is {
        return;
    }
    let Operation {
        id,
        api: _,
        method: _,
        path: _,
        open_until: _,
        scopes: _,
        scopes_origin: _,
        rules: _,
        relation: asked,
        max_body: _,
        accepts_body: _,
        content_types: _,
        forward_headers: _,
        forward_query: _,
        handler: _,
        origin,
    } = is;
    let route = |operation: &Operation| format!("{} {}", operation.method.name(), operation.path);
    // Nobody sends the name of a parameter of the path.
    let shape = |operation: &Operation| (operation.method, shape(&operation.path));
    let class = if shape(was) == shape(is) {
        Class::Safe
    } else {
        breaks
    };
    changes.value(class, origin, id, (&route(was), &route(is)), Clone::clone);
    for scope in is.scopes.iter().filter(|scope| !was.scopes.contains(scope)) {
        let at = places.now(&is.scopes_origin, |lines| lines.scope(is_api, is, scope));
        changes.add(
            Class::Tightening,
            &at,
            format!("{id}: the scope `{scope}` is added"),
        );
    }
    for scope in was.scopes.iter().filter(|scope| !is.scopes.contains(scope)) {
        let at = places.before(&was.scopes_origin, |lines| lines.scope(was_api, was, scope));
        changes.add(
            Class::Loosening,
            &at,
            format!("{id}: the scope `{scope}` is removed"),
        );
    }
    changes.conditions(&format!("{id}: "), (&was.rules, &is.rules));
    match (was.open_until, is.open_until) {
        (None, Some(until)) => changes.add(
            Class::Loosening,
            origin,
            format!("{id} is open to everybody until {}", words::last(until)),
        ),
        (Some(_), None) => changes.add(Class::Tightening, origin, format!("{id} needs a credential")),
        (Some(was), Some(is)) => {
            changes.bound(origin, &format!("{id} is open until"), (was, is), words::last);
        }
        (None, None) => {}
    }
    let size = |lines: &Lines| {
        lines
            .operation(is_api, is, &["max_body"])
            .or_else(|| lines.api(is_api, &["max_body"]))
            .or_else(|| lines.gateway(&["floor", "max_body"]))
    };
    changes.bound(
        &places.now(origin, size),
        &format!("{id}: max_body"),
        (was.max_body, is.max_body),
        words::size,
    );
    body(was, is, breaks, places, changes);
    if (&was.forward_headers, &was.forward_query) != (&is.forward_headers, &is.forward_query) {
        let passed = (newly_reaches(is), Class::Risky);
        let named = places.now(origin, |lines| lines.document(is, "parameters"));
        let what = format!("{id}: passing on the header");
        // Of those that the gateway told before, more is told than that they pass.
        let own = is.forward_headers.iter();
        let own = own.filter(|header| taken_over(was_api, is_api, header).is_none());
        let own: Vec<_> = own.cloned().collect();
        changes.list(&named, &what, (&was.forward_headers, &own), passed);
        let what = format!("{id}: passing on the query parameter");
        changes.list(&named, &what, (&was.forward_query, &is.forward_query), passed);
    }
    handler(was, (is, is_api), places, changes);
    // What it is called was told; whom it asks is a number, of which the name was compared.
    moved.id.clone_from(id);
    if let (Some(was), Some(is)) = (&mut moved.relation, asked) {
        was.point = is.point;
    }
    changes.rest(told, origin, id, (&moved, is));
}

/// What it is that callers may send something to the upstream that was kept from it: they may do more. A mock looks at
/// nothing of it.
const fn newly_reaches(operation: &Operation) -> Class {
    match operation.handler {
        Handler::Proxy { .. } => Class::Loosening,
        Handler::Mock(_) => Class::Safe,
    }
}

/// Headers that told the upstream what the caller's token says, and that callers send themselves now: each says of
/// itself what it likes, to an upstream that may decide by it.
pub(super) fn own_words(
    was_api: &Api,
    (is, is_api): (&Operation, &Api),
    places: &Places,
    changes: &mut Changes,
) {
    for header in &is.forward_headers {
        if let Some(told) = taken_over(was_api, is_api, header) {
            let at = places.now(&is.origin, |lines| lines.document(is, "parameters"));
            let what = format!(
                "{}: callers send the header `{header}` themselves, which told the upstream their `{}`",
                is.id,
                claim_name(&told.claim)
            );
            changes.add(Class::Loosening, &at, what);
        }
    }
}

/// What the gateway told by a header, or by one that some upstreams take for it, and does not tell any more.
fn taken_over<'a>(was: &'a Api, is: &Api, header: &str) -> Option<&'a UpstreamHeader> {
    let plain = |name: &str| name.replace('_', "-");
    let tells = |told: &UpstreamHeader| plain(&told.header) == plain(header);
    let before = was.upstream_headers.iter().find(|told| tells(told))?;
    let still = is.upstream_headers.iter().any(tells);
    (!still).then_some(before)
}

/// Whether a body is taken, and of which media types.
fn body(was: &Operation, is: &Operation, breaks: Class, places: &Places, changes: &mut Changes) {
    let (id, origin) = (&is.id, &is.origin);
    if was.accepts_body != is.accepts_body {
        let (class, takes) = if is.accepts_body {
            (newly_reaches(is), "takes a body")
        } else {
            (breaks, "takes no body")
        };
        let at = places.now(origin, |lines| lines.document(is, "requestBody"));
        changes.add(class, &at, format!("{id} {takes} now"));
    } else if was.content_types != is.content_types {
        let what = format!("{id}: the media type of bodies");
        changes.list(
            &places.now(origin, |lines| lines.document(is, "requestBody")),
            &what,
            (&was.content_types, &is.content_types),
            (newly_reaches(is), breaks),
        );
    }
}

/// What a decision point is asked, and which one.
fn relation(
    was: &Operation,
    is: &Operation,
    points: (&[DecisionPoint], &[DecisionPoint]),
    changes: &mut Changes,
) {
    let id = &is.id;
    // Subject, action and resource are what it says.
    let name = |points: &[DecisionPoint], relation: &Relation| {
        let Relation {
            point,
            subject: _,
            action: _,
            resource: _,
            origin: _,
        } = relation;
        let point = usize::try_from(*point).ok().and_then(|at| points.get(at));
        point.map_or_else(String::new, |point| point.name.clone())
    };
    match (&was.relation, &is.relation) {
        (None, Some(new)) => changes.add(
            Class::Tightening,
            &new.origin,
            format!("{id}: the relation `{new}` is asked for"),
        ),
        (Some(old), None) => changes.add(
            Class::Loosening,
            &old.origin,
            format!("{id}: the relation `{old}` is not asked for any more"),
        ),
        (Some(old), Some(new)) => {
            if old.to_string() != new.to_string() {
                let what = format!("{id}: the relation `{old}` → `{new}`");
                changes.add(Class::Risky, &new.origin, what);
            }
            // Another one may let in whom this one refuses.
            changes.value(
                Class::Loosening,
                &new.origin,
                &format!("{id}: who decides"),
                (&name(points.0, old), &name(points.1, new)),
                Clone::clone,
            );
        }
        (None, None) => {}
    }
}

fn handler(was: &Operation, (is, api): (&Operation, &Api), places: &Places, changes: &mut Changes) {
    let id = &is.id;
    let version = |field: &str| places.now(&is.origin, |lines| lines.version(api, field));
    let origin = &match &is.handler {
        Handler::Mock(_) => version("mock"),
        Handler::Proxy { .. } => version("upstream"),
    };
    match (&was.handler, &is.handler) {
        (
            Handler::Proxy {
                url: old_url,
                timeouts: old_timeouts,
                credential: old_credential,
            },
            Handler::Proxy {
                url,
                timeouts,
                credential,
            },
        ) => {
            changes.value(
                Class::Risky,
                origin,
                &format!("{id}: upstream"),
                (old_url, url),
                Clone::clone,
            );
            let Timeouts {
                first: _,
                idle,
                total,
            } = timeouts;
            let what = format!("{id}: timeout");
            let first = ["timeouts", "first_byte"];
            let line = |lines: &Lines| {
                let version = ["versions", &api.version, "timeouts", "first_byte"];
                lines
                    .operation(api, is, &first)
                    .or_else(|| lines.field(&api.origin, &version))
                    .or_else(|| lines.api(api, &first))
            };
            changes.value(
                Class::Risky,
                &places.now(&is.origin, line),
                &what,
                (&old_timeouts.first, &timeouts.first),
                |ms| words::duration(*ms),
            );
            // Those of streams, which operations do not have as yet.
            let show = |(idle, total): &(u64, u64)| {
                format!("{}/{}", words::duration(*idle), words::duration(*total))
            };
            changes.value(
                Class::Risky,
                origin,
                &format!("{id}: timeouts of a stream"),
                (&(old_timeouts.idle, old_timeouts.total), &(*idle, *total)),
                show,
            );
            if old_credential != credential {
                changes.add(
                    Class::Risky,
                    &version("upstream_credential"),
                    format!("{id}: another credential is sent to the upstream"),
                );
            }
        }
        (Handler::Mock(old), Handler::Mock(new)) => {
            if old != new {
                changes.add(
                    Class::Safe,
                    origin,
                    format!("{id}: its examples answer otherwise"),
                );
            }
        }
        (Handler::Mock(_), Handler::Proxy { url, .. }) => {
            changes.add(
                Class::Risky,
                origin,
                format!("{id}: answered by {url}, no more by a mock"),
            );
        }
        (Handler::Proxy { url, .. }, Handler::Mock(_)) => {
            changes.add(
                Class::Risky,
                origin,
                format!("{id}: answered by a mock, no more by {url}"),
            );
        }
    }
}
