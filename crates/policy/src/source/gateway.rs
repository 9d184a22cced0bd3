//! `gateway.yaml`: the gateway as a whole, what stands under everything, and its environments.

use std::collections::BTreeSet;

use super::compile::Checker;
use super::containers::{List, Map};
use super::declare::{choice, record};
use super::diagnostic::{Code, Span};
use super::exceptions::{self, ExceptionFields};
use super::governance::Levels;
use super::headers;
use super::issuers::Issuer;
use super::presented::{self, ApiKeyFields};
use super::reader::{Field, Spanned};
use super::relations::PointFields;
use super::scalars::{Duration, Header, Host, Name, Number, Origin, PerPeriod, Size};
use super::secrets::quote;
use super::signing::{self, SigningFields};
use super::units::show_day;
use crate::{Cors, LogRequests, Rate, Timestamp};

/// A day, and how long before its end an expiry is announced.
pub(crate) const DAY: u64 = 24 * 60 * 60 * 1000;
const NOTICE: u64 = 30 * DAY;

record! {
    /// The gateway as a whole: its name and hosts, who may issue tokens, what stands under
    /// everything, and the environments that there are.
    GatewayFile = "gateway" {
        /// Its name, as it appears in logs.
        gateway: required Name,
        /// The host names that it answers; none: every one that leads to it.
        hosts: optional List<Host>,
        /// Who may issue tokens, by a name that credentials refer to.
        issuers: default "{}" Map<Issuer>,
        /// What stands under everything; children only add or narrow.
        floor: default "{}" FloorFields,
        /// The limit for one client address. It is taken before a caller is identified, and counts
        /// refused requests too, so that a flood of them is cheap.
        shield: default "{ rate: 100/s, burst: 200 }" Shield,
        /// Which web pages may call. Left out: none of another origin.
        cors: optional CorsFields,
        /// Which answers say how the caller's limits stand (`RateLimit`, `RateLimit-Policy`): `all`, or
        /// those that are `refused` by a limit.
        limit_headers: default "all" LimitHeaders,
        /// Where an API key may come, besides `Authorization: Bearer`.
        api_keys: default "{}" ApiKeyFields,
        /// What signs the gateway's own tokens for upstreams (`signed` of an `upstream_credential`). The public
        /// halves of its keys are at `/.well-known/jwks.json`.
        signing: optional SigningFields,
        /// Services that are asked how callers and resources are related (`relation` of an API's `authorize`).
        decision_points: default "{}" Map<PointFields>,
        /// What is logged.
        log: default "{}" Log,
        /// Whether every answer carries the hash of the policies that made it, as `x-turnpike-policy`. It is
        /// the one that `/_turnpike/version` tells.
        policy_hash: default "hidden" PolicyHash,
        /// Dated exceptions to the floor, each with a reason.
        exceptions: default "[]" List<ExceptionFields>,
        /// How bad it is that a rule of governance is not met, by its code: `off`, `note`, `warning`
        /// or `error`. The reference lists the rules.
        governance: default "{}" Levels,
        /// The environments that exist, and what each allows.
        environments: required Map<EnvironmentFields>,
    }
    later { guardrails }
}

record! {
    /// What stands under every API and model. The first four say `required`, and cannot say
    /// anything else: they are there to be read.
    FloorFields = "floor" {
        /// Every API, model and consumer names who answers for it.
        owner: default "required" Required,
        /// Every caller identifies, but for an exception.
        authentication: default "required" Required,
        /// Every plan has a limit.
        limits: default "required" Required,
        /// Every version of an API has a state.
        lifecycle: default "required" Required,
        /// The upper bound of a request body; APIs and models may be lower, never higher.
        max_body: default "10MiB" Size,
        /// Request headers that reach every upstream. Operations add those that their document
        /// names; nothing else passes, and credentials never do.
        forward_headers: default "[accept, content-type, idempotency-key, traceparent, tracestate]" List<Header>,
        /// Request headers that no operation may add.
        never_forward: default "[]" List<Header>,
        /// Headers of upstream answers that reach the client; nothing else passes.
        answer_headers: default "[cache-control, content-disposition, content-language, content-type, deprecation, etag, expires, last-modified, link, location, retry-after, sunset, vary]" List<Header>,
        /// Upstreams are reached with TLS, but for an exception.
        upstreams: default "https" UpstreamFloor,
        /// How bad it is at least that a rule of governance is not met, by its code.
        governance: default "{}" Levels,
    }
}

record! {
    /// The limit for one client address.
    Shield = "shield" {
        /// How many requests in which period.
        rate: required PerPeriod,
        /// How many may come at one instant; left out: as many as the rate counts.
        burst: optional Number<1, 1_000_000>,
    }
}

record! {
    /// Which web pages may call from a browser (cross-origin resource sharing).
    CorsFields = "cors" {
        /// The origins that may call, exactly as a browser sends them; `*` alone: all.
        origins: required List<Origin>,
        /// Request headers that a page may send.
        headers: default "[authorization, content-type]" List<Header>,
        /// Answer headers that a page may read.
        expose: default "[]" List<Header>,
        /// How long a browser may keep the answer to a preflight; at most 24h.
        max_age: default "10m" Duration,
    }
}

record! {
    /// What is logged.
    Log = "log" {
        /// `all` requests, or the `failures` only: refused, failed, or a broken stream.
        requests: default "all" LogRequests,
    }
}

record! {
    /// What an environment allows. What is not written is forbidden.
    EnvironmentFields = "environments" {
        /// Whether mocks may exist, and whether a request may steer them by `Prefer`.
        mocks: default "forbidden" Allowed,
        /// Whether refusals name the policy line that decided.
        explain: default "forbidden" Allowed,
        /// Whether an issuer may have `jwks: development`.
        development_issuer: default "forbidden" Allowed,
        /// Whether upstreams may be reached without TLS.
        http_upstreams: default "forbidden" Allowed,
        /// The longest lifetime of a token; issuers may be lower, and this lowers those that are not.
        max_lifetime: optional Duration,
    }
}

/// The only thing that some fields can say.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Required;
choice!(Required: "required" => Self);

/// How upstreams are reached.
#[derive(Clone, Copy, Debug)]
pub(crate) struct UpstreamFloor;
choice!(UpstreamFloor: "https" => Self);

/// Whether answers carry the hash of the policies.
#[derive(Clone, Copy, Debug)]
pub(crate) struct PolicyHash(bool);
choice!(PolicyHash: "hidden" => Self(false), "shown" => Self(true));

/// Whether an environment allows something.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Allowed(bool);

impl Spanned<Allowed> {
    /// Whether it does.
    pub(crate) fn is_allowed(&self) -> bool {
        self.value.0
    }
}

choice!(Allowed: "allowed" => Self(true), "forbidden" => Self(false));

/// Which answers say how limits stand.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct LimitHeaders(bool);

choice!(LimitHeaders: "all" => Self(true), "refused" => Self(false));
choice!(LogRequests: "all" => Self::All, "failures" => Self::Failures);

/// What the environment that is built allows.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Rules {
    pub(crate) mocks: bool,
    pub(crate) explain: bool,
    pub(crate) development_issuer: bool,
    pub(crate) http_upstreams: bool,
    /// Milliseconds.
    pub(crate) max_lifetime: Option<u64>,
}

/// Whether an environment is meant for production, by its name.
pub(crate) fn is_production(environment: &str) -> bool {
    matches!(environment, "prod" | "live") || environment.starts_with("production")
}

impl Rules {
    /// The rules of an environment that cannot be read: what it forbids is not known.
    pub(crate) fn unknown() -> Self {
        Self {
            mocks: true,
            explain: true,
            development_issuer: true,
            http_upstreams: true,
            max_lifetime: None,
        }
    }

    pub(crate) fn of(fields: &EnvironmentFields) -> Self {
        // What was written and cannot be read was reported; what follows from it need not be.
        let allowed = |field: &Field<Allowed>| field.as_ref().is_none_or(|field| field.0);
        Self {
            mocks: allowed(&fields.mocks),
            explain: allowed(&fields.explain),
            development_issuer: allowed(&fields.development_issuer),
            http_upstreams: allowed(&fields.http_upstreams),
            max_lifetime: fields.max_lifetime.as_ref().map(|limit| limit.0),
        }
    }
}

/// What stands under everything, ready to be compared with.
#[derive(Debug, Default)]
pub(crate) struct Floor {
    pub(crate) max_body: u64,
    pub(crate) max_body_at: Span,
    pub(crate) forward: BTreeSet<String>,
    pub(crate) never_forward: Vec<(String, Span)>,
}

/// Checks the gateway's own rules, and leaves in the checker what others are compared with.
pub(crate) fn compile(file: &GatewayFile, checker: &mut Checker) -> crate::Gateway {
    let mut gateway = crate::Gateway {
        name: file
            .gateway
            .as_ref()
            .map(|name| name.0.clone())
            .unwrap_or_default(),
        environment: checker.reader.environment.clone(),
        explain: checker.rules.explain,
        mocks: checker.rules.mocks,
        show_hash: file.policy_hash.as_ref().is_some_and(|hash| hash.value.0),
        ..crate::Gateway::default()
    };
    if let Some(hosts) = &file.hosts {
        if checker.lacks_items(hosts) {
            checker
                .report()
                .error(Code::EmptyList, hosts.span, "no host is named")
                .help("leave `hosts` out to answer every host");
        }
        gateway.hosts = checker.sorted(&hosts.0, |host| host.0.clone());
    }
    if let Some(floor) = &file.floor {
        never_forward(floor, checker);
    }
    // They are never forwarded either.
    let key_headers = file
        .api_keys
        .as_ref()
        .map(|keys| presented::headers(keys, checker));
    if let Some(floor) = &file.floor {
        compile_floor(floor, &mut gateway, checker);
    }
    if let Some(shield) = &file.shield
        && let Some(rate) = rate_of(shield.rate.as_ref(), shield.burst.as_ref().map(|burst| burst.0))
    {
        gateway.shield = rate;
    }
    gateway.limit_headers = file.limit_headers.as_ref().is_none_or(|said| said.value.0);
    if let Some(log) = file.log.as_ref().and_then(|log| log.requests.clone()) {
        gateway.log = log.value;
    }
    gateway.signing = file
        .signing
        .as_ref()
        .and_then(|fields| signing::compile(fields, checker));
    gateway.cors = file.cors.as_ref().map(|cors| compile_cors(cors, checker));
    checker.exceptions_known = file
        .exceptions
        .as_ref()
        .is_some_and(|list| !checker.reader.reported_within(list.span));
    for exception in file.exceptions.iter().flat_map(|list| &list.0) {
        exceptions::compile(exception, checker);
    }
    if let (Some(fields), Some(headers)) = (&file.api_keys, key_headers) {
        gateway.api_keys = presented::compile(fields, headers, checker);
    }
    gateway
}

/// A rate with its burst, which is as large as the rate's count unless it is written.
pub(crate) fn rate_of(rate: Option<&Spanned<PerPeriod>>, burst: Option<u32>) -> Option<Rate> {
    let (count, period) = rate?.0;
    Some(Rate {
        count,
        period,
        burst: burst.unwrap_or(count),
    })
}

fn compile_floor(floor: &FloorFields, gateway: &mut crate::Gateway, checker: &mut Checker) {
    // These say what holds in any case; that they can say nothing else was checked as they were read.
    let _ = (
        &floor.owner,
        &floor.authentication,
        &floor.limits,
        &floor.lifecycle,
        &floor.upstreams,
    );
    if let Some(max_body) = &floor.max_body {
        if (1..=100 << 20).contains(&max_body.0) {
            gateway.max_body = max_body.0;
            checker.floor.max_body = max_body.0;
            checker.floor.max_body_at = max_body.span;
        } else {
            checker
                .report()
                .error(
                    Code::OutOfRange,
                    max_body.span,
                    "expected a size from 1B to 100MiB",
                )
                .help("write for example `10MiB`");
        }
    }
    if let Some(forward) = &floor.forward_headers {
        for header in &forward.0 {
            headers::check_forward(header, checker);
        }
        gateway.forward_headers = gateway_list(&forward.0, checker);
        checker.floor.forward = gateway.forward_headers.iter().cloned().collect();
    }
    if let Some(answer) = &floor.answer_headers {
        for header in &answer.0 {
            if let Some(why) = headers::never_answered(&header.0) {
                checker
                    .report()
                    .error(
                        Code::BadHeader,
                        header.span,
                        format!("`{}` never reaches a client: {why}", header.0),
                    )
                    .help("remove it from the list");
            }
        }
        gateway.answer_headers = gateway_list(&answer.0, checker);
    }
}

fn never_forward(floor: &FloorFields, checker: &mut Checker) {
    if let Some(never) = &floor.never_forward {
        gateway_list(&never.0, checker);
        checker.floor.never_forward = never
            .0
            .iter()
            .map(|header| (header.0.clone(), header.span))
            .collect();
    }
}

fn gateway_list(list: &[Spanned<Header>], checker: &mut Checker) -> Vec<String> {
    checker.sorted(list, |header| header.0.clone())
}

fn compile_cors(cors: &CorsFields, checker: &mut Checker) -> Cors {
    let mut compiled = Cors::default();
    if let Some(origins) = &cors.origins {
        compiled.origins = checker.sorted(&origins.0, |origin| origin.0.clone());
        if checker.lacks_items(origins) {
            checker
                .report()
                .error(Code::EmptyList, origins.span, "no origin is named")
                .help("leave `cors` out to let no page of another origin call");
        }
        if let Some(any) = origins
            .0
            .iter()
            .find(|origin| origin.0 == "*")
            .filter(|_| origins.0.len() > 1)
        {
            checker
                .report()
                .error(
                    Code::Conflict,
                    any.span,
                    "`*` stands alone: it names every origin already",
                )
                .help("write `[\"*\"]`, or the origins without it");
        }
    }
    if let Some(list) = &cors.headers {
        compiled.headers = gateway_list(&list.0, checker);
    }
    if let Some(list) = &cors.expose {
        compiled.expose = gateway_list(&list.0, checker);
    }
    if let Some(max_age) = &cors.max_age {
        compiled.max_age = checker.seconds(max_age, 24 * 60 * 60);
    }
    compiled
}

impl Checker {
    /// Reports a date that has passed, or soon will.
    pub(crate) fn check_expiry(&mut self, what: &str, end: Timestamp, span: Span) {
        self.check_last_day(what, (end, end), span);
    }

    /// As [`Checker::check_expiry`], with the day that is shown: of what holds for the whole of its last day, that is
    /// the one before its end.
    pub(crate) fn check_last_day(&mut self, what: &str, (end, last): (Timestamp, Timestamp), span: Span) {
        let (now, day) = (self.as_of, show_day(last));
        if end <= now {
            self.report()
                .error(Code::Expired, span, format!("{what} ended on {day}"))
                .help("renew or remove it; an older commit can be built as of an older date");
        } else if end - now <= NOTICE {
            self.report()
                .warning(Code::ExpiresSoon, span, format!("{what} ends on {day}"))
                .help("renew it in time: once it has ended, the build fails");
        }
    }

    /// A duration in whole seconds, not above a bound.
    pub(crate) fn seconds(&mut self, duration: &Spanned<Duration>, most: u32) -> u32 {
        let seconds = u32::try_from(duration.0 / 1000)
            .ok()
            .filter(|seconds| *seconds <= most);
        match seconds {
            Some(seconds) if duration.0.is_multiple_of(1000) => seconds,
            Some(_) => {
                self.report()
                    .error(Code::OutOfRange, duration.span, "expected whole seconds")
                    .help("write for example `30s`");
                0
            }
            None => {
                self.report()
                    .error(
                        Code::OutOfRange,
                        duration.span,
                        format!("this is longer than {}", show_seconds(most)),
                    )
                    .help(format!("write {} or less", show_seconds(most)));
                0
            }
        }
    }

    /// Whether a list has no items, and not because those it has are wrong.
    pub(crate) fn lacks_items<T>(&self, list: &Spanned<List<T>>) -> bool {
        list.0.is_empty() && !self.reader.reported_within(list.span)
    }

    /// The items of a list, sorted, each once; reports those that are listed twice.
    pub(crate) fn sorted<T, K: Ord + Clone + AsRef<str>>(
        &mut self,
        list: &[Spanned<T>],
        key: impl Fn(&T) -> K,
    ) -> Vec<K> {
        let mut seen: std::collections::BTreeMap<K, Span> = std::collections::BTreeMap::new();
        for item in list {
            let key = key(&item.value);
            if let Some(first) = seen.get(&key) {
                let message = format!("{} is listed twice", quote(key.as_ref()));
                self.reader
                    .report
                    .error(Code::Repeated, item.span, message)
                    .label(*first, "first listed here")
                    .help("remove one");
            } else {
                seen.insert(key, item.span);
            }
        }
        seen.into_keys().collect()
    }
}

fn show_seconds(seconds: u32) -> String {
    if seconds.is_multiple_of(3600) {
        format!("{}h", seconds / 3600)
    } else if seconds.is_multiple_of(60) {
        format!("{}m", seconds / 60)
    } else {
        format!("{seconds}s")
    }
}
