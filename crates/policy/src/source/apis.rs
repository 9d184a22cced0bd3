//! `apis/<name>/api.yaml`: versions, lifecycle, upstreams and rules of an API.

use std::collections::BTreeMap;
use std::sync::Arc;

use super::authorize::{AuthorizeFields, authorize};
use super::compile::Checker;
use super::conditions::ClaimText;
use super::containers::{List, Map};
use super::declare::{choice, record, unknown_word};
use super::diagnostic::{Code, Span};
use super::exceptions::ExceptionRule;
use super::limits::LimitFields;
use super::names::nearest;
use super::narrowed::{self, OperationFields};
use super::openapi::Earlier;
use super::overlays::Upstream;
use super::reader::{Fault, Read, Reader, Scalar, Spanned};
use super::routes::RouteBuilder;
use super::scalars::{BasePath, Date, Duration, FilePath, Header, Name, Size, Text};
use super::secrets::quote;
use super::templates::With;
use super::upstream_credential::CredentialFields;
use super::upstream_headers;
use super::versions;
use super::yaml::{Node, Value};
use crate::{Operation, State, Timestamp, UpstreamHeader};

record! {
    /// An API: its versions, who answers for it, and the rules for its operations.
    ApiFile = "api" {
        /// Its name, as its folder is called.
        api: required Name,
        /// What people call it.
        title: required Text,
        /// Who answers for it.
        owner: required Text,
        /// The path under which it lies; its version follows: `/petstore` and `v1` make
        /// `/petstore/v1`.
        path: required BasePath,
        /// The template that it builds on.
        template: optional Name,
        /// Values for the parameters of the template.
        with: optional With,
        /// Its versions by name.
        versions: required Map<VersionFields>,
        /// Limits of each consumer on this API, over all of its versions, on top of its plan.
        limits: default "[]" List<LimitFields>,
        /// The upper bound of a request body; left out: that of the floor.
        max_body: optional Size,
        /// What a caller must have for some operations, and what must hold.
        authorize: default "[]" List<AuthorizeFields>,
        /// Request headers that none of its operations may add, besides those of the floor.
        never_forward: default "[]" List<Header>,
        /// Headers that tell its upstream what the caller's token says: `{ x-user: claims.sub }`. A client's
        /// own of these names never pass, and what a token does not say is not told. Values are
        /// percent-encoded, but for visible ASCII without `%` and `,`; lists have `,` between their items.
        upstream_headers: default "{}" Map<ClaimText>,
        /// Bounds of single operations, below those of the API.
        operations: default "[]" List<OperationFields>,
        /// `required`, or `none` for an API that is open to everybody; that needs an exception in
        /// `gateway.yaml`, and limits of its own.
        authentication: default "required" Authentication,
    }
    later { cache, cors, guardrails, hosts, transform, validate }
}

record! {
    /// One version of an API: its document, where it is in its life, and what answers.
    VersionFields = "version" {
        /// Its OpenAPI document (3.0 or 3.1), a file beside `api.yaml`.
        openapi: required FilePath,
        /// Where it is in its life: `preview`, `active`, `deprecated` or `retired` (answers 410).
        state: required State,
        /// When it is or will be deprecated.
        deprecated: optional Date,
        /// When it ends; from then on it answers 410.
        sunset: optional Date,
        /// The version to use instead.
        successor: optional Name,
        /// What answers: a URL, to which the operation's path is added.
        upstream: optional Upstream,
        /// What answers: `openapi`, the examples of the document. Beside an `upstream` it is limited
        /// to environments and answers there instead: `{ from: openapi, environments: [dev] }`.
        mock: optional MockFields,
        /// How the gateway identifies itself to the upstream: by a `secret`, by a token that it signs
        /// itself (`signed`), or by one that it is granted (`grant`); one of the three.
        upstream_credential: optional CredentialFields,
        /// How long the upstream may take.
        timeouts: default "{}" ApiTimeouts,
    }
    later { limits, upstreams, validate, weight }
}

record! {
    /// How long an upstream may take.
    ApiTimeouts = "timeouts" {
        /// Until the head of its answer.
        first_byte: default "30s" Duration,
    }
    later { idle, total }
}

/// Whether callers identify.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Authentication {
    Required,
    None,
}
choice!(Authentication: "required" => Self::Required, "none" => Self::None);

record! {
    /// A mock that exists in some environments only.
    MockMap = "mock" {
        /// Where its answers come from: `openapi`.
        source as "from": required MockSource,
    }
}

/// A mock, in its long or its short form.
#[derive(Clone, Copy, Debug)]
pub(crate) struct MockFields {
    /// Whether it exists in this environment.
    pub(crate) here: bool,
    /// Whether it says in which environments it exists.
    pub(crate) limited: bool,
}

impl Read for MockFields {
    fn expects() -> String {
        "`openapi`, or a map with `from` and `environments`".to_owned()
    }

    fn schema() -> serde_json::Value {
        super::schema::either([<MockSource as Read>::schema(), MockMap::item_schema()])
    }

    fn read(node: &Node, reader: &mut Reader) -> Option<Self> {
        if matches!(node.value, Value::Map(_)) {
            let before = reader.report.count();
            let here = reader
                .item::<MockMap>(node)
                .is_some_and(|mock| mock.source.is_some());
            let whole = reader.report.count() == before;
            return whole.then_some(Self {
                here,
                limited: node.get("environments").is_some(),
            });
        }
        MockSource::read(node, reader).map(|_| Self {
            here: true,
            limited: false,
        })
    }

    fn shapes(out: &mut Vec<&'static super::declare::Shape>) {
        MockMap::shapes(out);
    }

    fn later() -> &'static [&'static str] {
        MockSource::LATER
    }
}

/// Where the answers of a mocked API come from.
#[derive(Clone, Copy, Debug)]
pub(crate) struct MockSource;

impl Scalar for MockSource {
    const EXPECTS: &'static str = "`openapi`";
    const LATER: &'static [&'static str] = &["the name of a script"];

    fn schema() -> serde_json::Value {
        super::schema::words(&["openapi"])
    }

    fn parse(text: &str) -> Result<Self, Fault> {
        if text == "openapi" {
            return Ok(Self);
        }
        if nearest(text, ["openapi"].into_iter()).is_none() && Name::parse(text).is_ok() {
            let message = format!(
                "the script {} as the mock of an API is not built yet",
                quote(text)
            );
            return Err(Fault::new(Code::NotBuilt, message).help(
                "write `mock: openapi`, and what it answers as an `example` in its document; scripts answer models",
            ));
        }
        Err(unknown_word(text, Self::EXPECTS, &["openapi"], &[]))
    }
}

/// The operations of an API over all of its versions.
#[derive(Debug, Default)]
pub(crate) struct ApiOperations {
    /// Places in the compiled list, by operation id.
    pub(crate) ids: BTreeMap<String, Vec<u32>>,
    /// A document could not be read, so that there may be more.
    pub(crate) broken: bool,
    /// The ids that its documents name, once one of them lacks some.
    pub(crate) versions: Option<Arc<Earlier>>,
}

/// The APIs, compiled.
#[derive(Debug, Default)]
pub(crate) struct Apis {
    pub(crate) apis: Vec<crate::Api>,
    pub(crate) operations: Vec<Operation>,
    pub(crate) by_api: BTreeMap<String, ApiOperations>,
    /// The documents that were checked, each with whether something in it may hide operations.
    pub(crate) checked: BTreeMap<String, bool>,
}

/// Checks every API and routes its operations.
pub(crate) fn compile(
    apis: &[(String, Spanned<ApiFile>)],
    routes: &mut RouteBuilder,
    checker: &mut Checker,
) -> Apis {
    let mut compiled = Apis::default();
    let mut paths: BTreeMap<String, Span> = BTreeMap::new();
    for (name, api) in apis {
        if let Some(path) = &api.path
            && let Some(first) = paths.insert(path.0.clone(), path.span)
        {
            checker
                .report()
                .error(
                    Code::Ambiguous,
                    path.span,
                    format!("two APIs lie under {}", quote(&path.0)),
                )
                .help("give each a `path` of its own")
                .label(first, "the other one");
        }
        compile_one(name, api, &mut compiled, routes, checker);
    }
    compiled
}

/// Everything about an API that its versions share.
pub(crate) struct Shared<'a> {
    pub(crate) name: &'a str,
    pub(crate) file: &'a ApiFile,
    /// Until when it is open to everybody.
    pub(crate) open: Option<Timestamp>,
    pub(crate) max_body: u64,
    pub(crate) limits: Vec<crate::Limit>,
    /// What its upstream is told of the caller, each with where its name is written.
    pub(crate) upstream_headers: Vec<(UpstreamHeader, Span)>,
}

impl Shared<'_> {
    /// What its upstream is told of the caller.
    pub(crate) fn told(&self) -> Vec<UpstreamHeader> {
        self.upstream_headers
            .iter()
            .map(|(told, _)| told.clone())
            .collect()
    }
}

fn compile_one(
    name: &str,
    api: &Spanned<ApiFile>,
    compiled: &mut Apis,
    routes: &mut RouteBuilder,
    checker: &mut Checker,
) {
    let limits = checker.limits(api.limits.as_ref(), &format!("apis/{name}"));
    let open = authentication(name, api, limits.iter().all(|limit| limit.shadow), checker);
    let max_body = checker.max_body(api.max_body.as_ref());
    let shared = Shared {
        name,
        file: api,
        open,
        max_body,
        limits,
        upstream_headers: upstream_headers::compile(api, open.is_some(), checker),
    };
    if let Some(versions) = api
        .versions
        .as_ref()
        .filter(|map| map.here.is_empty() && map.others.is_empty())
    {
        checker
            .report()
            .error(Code::EmptyList, versions.span, "an API must have a version")
            .help("write for example `v1: { openapi: v1.yaml, state: active, upstream: https://... }`");
    }
    let mut operations = ApiOperations::default();
    let mut versions: Vec<_> = api.versions.iter().flat_map(|map| &map.here).collect();
    versions.sort_by(|(a, _), (b, _)| a.value.cmp(&b.value));
    for (version, fields) in versions {
        versions::compile(
            &shared,
            version,
            fields,
            &mut operations,
            compiled,
            routes,
            checker,
        );
    }
    // An operation that this environment lacks may exist in another.
    let elsewhere = api.versions.as_ref().is_some_and(|map| !map.others.is_empty());
    operations.broken |= elsewhere || api.versions.is_none();
    authorize(&shared, &operations, compiled, checker);
    narrowed::narrow(&shared, &operations, compiled, checker);
    compiled.by_api.insert(name.to_owned(), operations);
}

/// Until when the API is open to everybody, if it is.
fn authentication(name: &str, api: &ApiFile, unlimited: bool, checker: &mut Checker) -> Option<Timestamp> {
    let field = api
        .authentication
        .as_ref()
        .filter(|field| field.value == Authentication::None)?;
    let target = format!("apis/{name}");
    let excepted = checker.excepted(ExceptionRule::Authentication, &target);
    if excepted.is_none() {
        checker
            .report()
            .error(Code::NoAuthentication, field.span, format!("the API {} would be open to everybody", quote(name)))
            .help(format!("that needs an exception in `gateway.yaml`: `{{ rule: authentication, for: {target}, reason: ..., until: ... }}`"));
    }
    if unlimited {
        checker
            .report()
            .error(
                Code::NoLimit,
                field.span,
                "an open API has no plan, so it needs limits of its own",
            )
            .help("write for example `limits: [{ rate: 10/s }]`");
    }
    excepted
}
