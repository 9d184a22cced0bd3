//! One version of an API: what answers, where it is in its life, and its operations.

use std::sync::Arc;

use super::apis::{ApiOperations, Apis, Shared, VersionFields};
use super::compile::Checker;
use super::diagnostic::Code;
use super::headers::never_forwarded;
use super::openapi::{self, Document, Earlier};
use super::reader::Spanned;
use super::routes::RouteBuilder;
use super::scalars::{Date, FilePath};
use super::secrets::quote;
use super::upstream_credential;
use super::upstream_headers::same;
use crate::{Handler, Lifecycle, MockResponse, Operation, Route, State};

/// Checks a version and routes its operations.
pub(crate) fn compile(
    shared: &Shared<'_>,
    version: &Spanned<String>,
    fields: &Spanned<VersionFields>,
    known: &mut ApiOperations,
    compiled: &mut Apis,
    routes: &mut RouteBuilder,
    checker: &mut Checker,
) {
    let lifecycle = lifecycle(shared, version, fields, checker);
    checker.without_tls = None;
    let handler = handler(shared, version, fields, checker);
    let until = checker.without_tls;
    let mocked = matches!(handler, Some(HandlerKind::Mock));
    let parsed = fields
        .openapi
        .as_ref()
        .and_then(|path| parse(path, mocked, shared, known, compiled, checker));
    let Some(parsed) = parsed else {
        known.broken = true;
        return;
    };
    known.broken |= parsed.broken;
    let base = format!(
        "{}/{}",
        shared.file.path.as_ref().map_or("", |path| path.0.as_str()),
        version.value
    );
    reserved(&base, shared, version, checker);
    let api = u32::try_from(compiled.apis.len()).unwrap_or(u32::MAX);
    let file = shared.file;
    compiled.apis.push(crate::Api {
        name: shared.name.to_owned(),
        version: version.value.clone(),
        title: file
            .title
            .as_ref()
            .map_or_else(String::new, |title| title.0.clone()),
        owner: file
            .owner
            .as_ref()
            .map_or_else(String::new, |owner| owner.0.clone()),
        base: base.clone(),
        lifecycle,
        limits: shared.limits.clone(),
        upstream_headers: shared.told(),
        until,
        origin: checker.report().origin(version.span),
    });
    for mut found in parsed.list {
        let at = u32::try_from(compiled.operations.len()).unwrap_or(u32::MAX);
        filter_headers(&mut found, shared, checker);
        let path = crate::called(&base, &found.path);
        let label = format!("{} {path}", found.method.name());
        routes.insert(
            &path,
            found.method,
            Route::Operation(at),
            &label,
            Some(found.span),
            checker.report(),
        );
        known.ids.entry(found.id.clone()).or_default().push(at);
        let origin = checker.report().origin(found.span);
        compiled.operations.push(Operation {
            id: found.id,
            api,
            method: found.method,
            path: found.path,
            open_until: shared.open,
            scopes: Vec::new(),
            scopes_origin: String::new(),
            rules: Vec::new(),
            relation: None,
            max_body: shared.max_body,
            accepts_body: found.accepts_body,
            content_types: found.content_types,
            forward_headers: found.headers.into_iter().map(|(name, _)| name).collect(),
            forward_query: found.query,
            handler: match &handler {
                Some(HandlerKind::Proxy(proxy)) => proxy.clone(),
                Some(HandlerKind::Mock) => Handler::Mock(found.responses),
                // Its operations answer 410 before any handler is asked.
                Some(HandlerKind::Gone) | None => Handler::Mock(vec![MockResponse {
                    status: 410,
                    name: String::new(),
                    content_type: String::new(),
                    body: Vec::new(),
                }]),
            },
            origin,
        });
    }
}

/// What answers a version.
enum HandlerKind {
    Proxy(Handler),
    Mock,
    Gone,
}

fn handler(
    shared: &Shared<'_>,
    version: &Spanned<String>,
    fields: &Spanned<VersionFields>,
    checker: &mut Checker,
) -> Option<HandlerKind> {
    let timeouts = fields.timeouts.as_ref().and_then(|t| {
        let first = t.first_byte.as_ref()?;
        Some(checker.timeouts("first_byte", 30_000, Some(first), None, first))
    });
    let credential = fields
        .upstream_credential
        .as_ref()
        .map(|credential| upstream_credential::compile(shared, credential, checker));
    if let (Some(credential), None) = (&fields.upstream_credential, &fields.upstream)
        && fields.mock.is_some()
    {
        checker
            .report()
            .error(Code::Conflict, credential.span, "a mock needs no credential")
            .help("remove `upstream_credential`, or add the `upstream` that it is for");
    }
    let mock = fields.mock.as_ref().filter(|mock| mock.here);
    match (&fields.upstream, mock) {
        (Some(url), Some(mock)) if !mock.limited => {
            checker
                .report()
                .error(Code::Conflict, mock.span, "a version has an `upstream` or a `mock`, not both")
                .label(url.span, "the upstream is here")
                .help("limit the mock, and it answers there instead: `mock: { from: openapi, environments: [dev] }`");
            None
        }
        (Some(url), None) => {
            checker.check_tls(url, &format!("apis/{}", shared.name));
            let credential = match credential {
                Some(credential) => Some(credential?),
                None => None,
            };
            Some(HandlerKind::Proxy(Handler::Proxy {
                url: url.0.clone(),
                timeouts: timeouts?,
                credential,
            }))
        }
        (_, Some(mock)) => {
            checker.check_mock(&format!("`apis/{}` {}", shared.name, version.value), mock.span);
            Some(HandlerKind::Mock)
        }
        (None, None) => {
            if fields
                .state
                .as_ref()
                .is_some_and(|state| state.value == State::Retired)
            {
                return Some(HandlerKind::Gone);
            }
            if !checker.reader.reported_within(fields.span) {
                checker
                    .report()
                    .error(
                        Code::MissingField,
                        version.span,
                        format!("nothing answers {}", quote(&version.value)),
                    )
                    .help("give it an `upstream: https://...`, or `mock: openapi`");
            }
            None
        }
    }
}

fn lifecycle(
    shared: &Shared<'_>,
    version: &Spanned<String>,
    fields: &Spanned<VersionFields>,
    checker: &mut Checker,
) -> Lifecycle {
    let date = |field: &Option<Spanned<Date>>| field.as_ref().map(|date| (date.0, date.span));
    let (deprecated, sunset) = (date(&fields.deprecated), date(&fields.sunset));
    let state = fields.state.as_ref().map(|state| state.value);
    if let (Some((start, start_at)), Some((end, end_at))) = (deprecated, sunset)
        && end < start
    {
        checker
            .report()
            .error(Code::DatesDisagree, end_at, "it ends before it is deprecated")
            .help("a version is deprecated first and ends later")
            .label(start_at, "deprecated here");
    }
    // One that is written and no date was reported.
    if let (Some(State::Deprecated), None, Some(at)) = (state, deprecated, &fields.state)
        && !checker.reader.reported_within(fields.span)
    {
        checker
            .report()
            .error(
                Code::DatesDisagree,
                at.span,
                "a deprecated version says since when",
            )
            .help("write `deprecated: <date>`; clients are told by a header (RFC 9745)");
    }
    if let (Some(State::Preview | State::Active), Some((start, span))) = (state, deprecated)
        && start <= checker.as_of
    {
        checker
            .report()
            .warning(Code::DatesDisagree, span, "this day has come")
            .help("write `state: deprecated`");
    }
    match (state, sunset) {
        (Some(State::Retired), Some((end, span))) if end > checker.as_of => {
            checker
                .report()
                .error(
                    Code::DatesDisagree,
                    span,
                    "a retired version cannot end in the future",
                )
                .help("write the day on which it ended, or another `state`");
        }
        (Some(State::Retired), _) => {}
        (_, Some((end, span))) => {
            checker.check_expiry(&format!("{} {}", quote(shared.name), version.value), end, span);
        }
        _ => {}
    }
    Lifecycle {
        state: state.unwrap_or(State::Active),
        deprecated: deprecated.map(|(at, _)| at),
        sunset: sunset.map(|(at, _)| at),
        successor: successor(shared, version, fields, checker),
    }
}

fn successor(
    shared: &Shared<'_>,
    version: &Spanned<String>,
    fields: &VersionFields,
    checker: &mut Checker,
) -> Option<String> {
    let successor = fields.successor.as_ref()?;
    let versions = shared.file.versions.as_ref()?;
    if successor.0 == version.value {
        checker
            .report()
            .error(Code::Conflict, successor.span, "a version cannot succeed itself")
            .help("name another version, or leave `successor` out");
        return None;
    }
    let found = versions.here.iter().find(|(name, _)| name.value == successor.0);
    let Some((_, found)) = found else {
        match versions.others.iter().find(|name| name.value == successor.0) {
            Some(other) => {
                let message = format!(
                    "the version {} does not exist in {}",
                    quote(&successor.0),
                    quote(&checker.reader.environment)
                );
                checker
                    .report()
                    .error(Code::OtherEnvironment, successor.span, message)
                    .label(other.span, "it is here");
            }
            None => {
                let names = versions.here.iter().map(|(name, _)| name.value.as_str());
                checker
                    .reader
                    .unknown(successor.span, "version", &successor.0, names);
            }
        }
        return None;
    };
    if found
        .state
        .as_ref()
        .is_some_and(|state| state.value == State::Retired)
    {
        checker
            .report()
            .error(
                Code::DatesDisagree,
                successor.span,
                "the successor is retired itself",
            )
            .help("name a version that can be called");
    }
    Some(format!("{}/{}", shared.file.path.as_ref()?.0, successor.0))
}

/// Paths that the gateway answers itself.
fn reserved(base: &str, shared: &Shared<'_>, version: &Spanned<String>, checker: &mut Checker) {
    for surface in ["/v1/chat/completions", "/v1/models"] {
        let below = base
            .strip_prefix(surface)
            .is_some_and(|rest| rest.is_empty() || rest.starts_with('/'));
        if below {
            let span = shared.file.path.as_ref().map_or(version.span, |path| path.span);
            checker
                .report()
                .error(
                    Code::ReservedPath,
                    span,
                    format!("{} is where models are called", quote(surface)),
                )
                .help("choose another path");
        }
    }
}

/// The operations of a version's document, if it can be read.
fn parse(
    path: &Spanned<FilePath>,
    mocked: bool,
    shared: &Shared<'_>,
    known: &mut ApiOperations,
    compiled: &mut Apis,
    checker: &mut Checker,
) -> Option<openapi::Operations> {
    let full = format!("apis/{}/{}", shared.name, path.0);
    let node = checker
        .files
        .document(&full, path.span, &mut checker.reader.report)?;
    let mut document = Document::open(&node, path.span, &mut checker.reader.report)?;
    if document.lacks_ids() {
        let versions = known.versions.get_or_insert_with(|| ids(shared, checker));
        document = document.among(Arc::clone(versions));
    }
    // Versions may share a document; what is wrong in it is said once.
    let hidden = match compiled.checked.get(&full) {
        Some(hidden) => *hidden,
        None => match checker.files.checked(&full) {
            Some(ahead) => {
                checker.reader.report.take_over(&ahead.found);
                ahead.hides
            }
            None => openapi::check(&document, checker.report()),
        },
    };
    compiled.checked.insert(full, hidden);
    let mut operations = openapi::operations(&document, mocked, checker.report());
    operations.broken |= hidden;
    Some(operations)
}

/// The ids that the versions of an API have; the last one was added last.
fn ids(shared: &Shared<'_>, checker: &Checker) -> Arc<Earlier> {
    let mut ids = Earlier::default();
    let versions = shared.file.versions.iter().flat_map(|map| map.here.iter().rev());
    for path in versions.filter_map(|(_, version)| version.openapi.as_ref()) {
        let full = format!("apis/{}/{}", shared.name, path.0);
        if let Some(root) = checker.files.known(&full) {
            ids.add_read(&root);
        }
    }
    Arc::new(ids)
}

/// Drops headers that never pass; refuses those that the floor bars.
fn filter_headers(operation: &mut openapi::Found, shared: &Shared<'_>, checker: &mut Checker) {
    let own = shared.file.never_forward.iter().flat_map(|list| &list.0);
    let mut kept = Vec::new();
    for (name, span) in std::mem::take(&mut operation.headers) {
        if checker.floor.forward.contains(&name) {
            continue;
        }
        if let Some(why) = never_forwarded(&name) {
            // OpenAPI 3.0.3 (4.7.12.1): these three in `parameters` mean nothing.
            if !matches!(name.as_str(), "accept" | "authorization" | "content-type") {
                checker
                    .report()
                    .warning(
                        Code::NotPublished,
                        span,
                        format!("the header `{name}` never reaches an upstream: {why}"),
                    )
                    .help("remove it from the document to be rid of this warning");
            }
            continue;
        }
        if let Some(at) = upstream_credential::carrier(shared, &name) {
            checker
                .report()
                .error(
                    Code::Widens,
                    span,
                    format!("the header `{name}` carries the gateway's own credential, and a client must not send it"),
                )
                .help("remove it from the document, or send the credential in another header")
                .label(at, "sent here");
            continue;
        }
        let told = shared.upstream_headers.iter();
        if let Some((_, at)) = told.clone().find(|(told, _)| same(&told.header, &name)) {
            checker
                .report()
                .error(
                    Code::Widens,
                    span,
                    format!("the gateway itself tells the header `{name}`, and a client must not"),
                )
                .help("remove it from the document, or from `upstream_headers`")
                .label(*at, "told here");
            continue;
        }
        let denied = checker
            .floor
            .never_forward
            .iter()
            .find(|(denied, _)| *denied == name)
            .map(|(_, at)| *at)
            .or_else(|| {
                own.clone()
                    .find(|denied| denied.0 == name)
                    .map(|denied| denied.span)
            });
        if let Some(denied) = denied {
            checker
                .report()
                .error(
                    Code::Widens,
                    span,
                    format!("the header `{name}` is never forwarded here"),
                )
                .help("remove it from the document, or from `never_forward`")
                .label(denied, "never forwarded here");
            continue;
        }
        kept.push((name, span));
    }
    operation.headers = kept;
}
