//! The limits that plans, APIs and models share: what is limited, and how exactly.

use std::collections::{BTreeMap, BTreeSet};

use super::catalogue::Catalogue;
use super::compile::Checker;
use super::containers::List;
use super::declare::{choice, record};
use super::diagnostic::{Code, Span};
use super::gateway::rate_of;
use super::models::ModelFile;
use super::reader::Spanned;
use super::scalars::{BytesPerWindow, Flag, MoneyPerWindow, Name, Number, PerPeriod, PerWindow};
use super::secrets::quote;
use super::shards::{self, Shards};
use super::subjects::{self, Subject};
use super::zones::{self, ZoneName};
use crate::{Limit, LimitKind, Millis, Precision, SubjectPart, Unit, Window, Zone};

/// The longest name of a limit, in bytes: what objects keep, less what tells its subjects apart there.
const MAX_LIMIT_ID: usize = 96;
/// The most limits of a plan, an API or a model: those of two together are asked in one question, of at most 32.
const MAX_LIMITS: usize = 16;

record! {
    /// One limit: a `rate`, a `quota`, `tokens`, a `spend`, a `concurrency` or `bytes`.
    LimitFields = "limit" {
        /// Requests in a period, by GCRA: in any interval as long as `n` periods, at most `burst`
        /// plus `n` times the count pass.
        rate: optional PerPeriod,
        /// How many may come at one instant; left out: as many as the rate counts.
        burst: optional Number<1, 1_000_000_000>,
        /// Requests in a window, exactly: of the calendar in UTC, unless `window` or `zone` says otherwise.
        quota: optional PerWindow,
        /// Tokens of models in a window (of the calendar in UTC, unless `window` or `zone` says otherwise), as
        /// the providers count them. Reserved at their upper bound before a call, and settled at what was used.
        tokens: optional PerWindow,
        /// Which tokens count: `all`, `input` or `output`.
        of: optional CountedTokens,
        /// Money in a window (of the calendar in UTC, unless `window` or `zone` says otherwise), by the prices of
        /// the targets. Reserved and settled like tokens.
        spend: optional MoneyPerWindow,
        /// Requests at one time, each until its last byte.
        concurrency: optional Number<1, 1_000>,
        /// Bytes of request bodies in a window (of the calendar in UTC, unless `window` or `zone` says otherwise),
        /// as they are announced or read.
        bytes: optional BytesPerWindow,
        /// Whether a window is one of the `calendar`, or `rolling`: the last minute, hour, day or 30 days at
        /// every instant. What was used of a rolling one comes back at most a twentieth of it late.
        window: default "calendar" WindowKind,
        /// Where days and months begin and end at midnight; left out: in UTC.
        zone: optional ZoneName,
        /// What is counted separately: `consumer`, `credential`, `address`, `api`, `operation`, `model`,
        /// `upstream`, a claim of the caller's token (`{ claim: tenant }`), a header of the request
        /// (`{ header: x-tenant }`), or several of these together.
        subject: default "[consumer]" Subject,
        /// The models that it is for; left out: all of them, and APIs. In plans only.
        models: default "[]" List<Name>,
        /// As the plan's, for this limit alone.
        precision: optional Precision,
        /// Over how many objects a subject is spread that is too hot for one: from some 500 requests a second,
        /// from 150 where each of them writes. Each has an equal part of the limit. `4 of 8`: of eight parts
        /// four are in use.
        shards: optional Shards,
        /// Whether it is only counted and reported in the log, and holds nobody back.
        shadow: default "false" Flag,
        /// Its name, if the one that is made from its values will not do. What was spent is kept
        /// under this name, so a limit whose name changes starts anew.
        id: optional Name,
    }
}

/// Which tokens count.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct CountedTokens(Unit);

/// What a window is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum WindowKind {
    Calendar,
    Rolling,
}

choice!(WindowKind: "calendar" => Self::Calendar, "rolling" => Self::Rolling);
choice!(CountedTokens: "all" => Self(Unit::Tokens), "input" => Self(Unit::InputTokens),
    "output" => Self(Unit::OutputTokens));

/// Checks the limits of an API or a model; `prefix` is what their names begin with.
pub(crate) fn limits(list: &List<LimitFields>, prefix: &str, checker: &mut Checker) -> Vec<Limit> {
    of(list, prefix, Precision::Exact, checker)
}

/// The same for a plan, whose limits are as precise as it says, unless they say it themselves.
pub(crate) fn of(
    list: &List<LimitFields>,
    prefix: &str,
    precision: Precision,
    checker: &mut Checker,
) -> Vec<Limit> {
    let mut limits: BTreeMap<String, (Limit, Span)> = BTreeMap::new();
    for item in &list.0 {
        let Some(kind) = kind(item, checker) else { continue };
        let subject = subjects::of(item, kind, prefix, checker);
        let precision = item.precision.as_ref().map_or(precision, |own| own.value);
        check_precision(item, precision, checker);
        let split = shards::split(item, kind, precision, checker);
        let own = item.id.as_ref().map(|id| id.0.clone());
        let default = || {
            let id = default_id(kind, &subject, false);
            // A second one over the same time is told apart by its number.
            match limits.get(&format!("{prefix}:{id}")) {
                Some((other, _)) if other.kind != kind => default_id(kind, &subject, true),
                _ => id,
            }
        };
        let id = format!("{prefix}:{}", own.unwrap_or_else(default));
        if let Some((_, first)) = limits.get(&id) {
            checker
                .report()
                .error(
                    Code::Repeated,
                    item.span,
                    format!("there is a limit {} already", quote(&id)),
                )
                .help("remove one, or give each an `id` of its own")
                .label(*first, "the other one");
            continue;
        }
        if id.len() > MAX_LIMIT_ID {
            let at = item.id.as_ref().map_or(item.span, |own| own.span);
            checker
                .report()
                .error(
                    Code::OutOfRange,
                    at,
                    format!(
                        "the name of this limit, {}, is longer than {MAX_LIMIT_ID} bytes",
                        quote(&id)
                    ),
                )
                .help("write a shorter `id`, or give what it stands in a shorter name");
            continue;
        }
        let origin = checker.report().origin(item.span);
        let mut models: Vec<_> = item
            .models
            .iter()
            .flat_map(|list| &list.0)
            .map(|name| name.0.clone())
            .collect();
        models.sort();
        models.dedup();
        let shadow = item.shadow.as_ref().is_some_and(|shadow| shadow.0);
        let limit = Limit {
            id: id.clone(),
            kind,
            zone: item.zone.as_ref().map(|zone| zone.0.clone()),
            subject,
            models,
            precision,
            split,
            shadow,
            origin,
        };
        limits.insert(id, (limit, item.span));
    }
    if let Some(more) = list.0.get(MAX_LIMITS) {
        checker
            .report()
            .error(
                Code::OutOfRange,
                more.span,
                format!("this is one limit more than {MAX_LIMITS}, which may stand in one place"),
            )
            .help("all of them are asked for with every request: keep those that matter");
    }
    let limits: Vec<Limit> = limits.into_values().map(|(limit, _)| limit).collect();
    subjects::check_headers(list, &limits, checker);
    limits
}

/// Reports a limit that cannot be kept as its precision says.
fn check_precision(item: &Spanned<LimitFields>, precision: Precision, checker: &mut Checker) {
    let upstream = |subject: &&Spanned<Subject>| subject.has_upstream();
    if let Some(subject) = item.subject.as_ref().filter(upstream)
        && precision == Precision::Local
    {
        checker
            .report()
            .error(
                Code::Conflict,
                subject.span,
                "calls of an `upstream` are not counted by isolates alone",
            )
            .help("write `precision: exact` here");
    }
    let kept_so = |what: &str| match precision {
        Precision::Local => what == "rate",
        Precision::Leased => matches!(what, "rate" | "quota"),
        Precision::Exact => true,
    };
    let rolling = item
        .window
        .as_ref()
        .filter(|window| window.value == WindowKind::Rolling);
    let rolling = rolling.filter(|_| precision == Precision::Leased);
    let rolling = rolling.map(|window| ("window: rolling", window.span));
    let Some((what, at)) = item.written().find(|(what, _)| !kept_so(what)).or(rolling) else {
        return;
    };
    let (word, why) = match precision {
        Precision::Leased => ("leased", "cannot be handed out in advance"),
        _ => ("local", "is kept exactly"),
    };
    let who = if item.precision.is_some() {
        "the limit"
    } else {
        "the plan"
    };
    checker
        .report()
        .error(
            Code::Conflict,
            at,
            format!("`{what}` {why}, and {who} says `precision: {word}`"),
        )
        .help("write `precision: exact`, here if others can be kept so");
}

/// Whether there are limits, and none of them holds anybody back.
pub(crate) fn hold_nobody_back(list: &List<LimitFields>) -> bool {
    let shadow = |limit: &Spanned<LimitFields>| limit.shadow.as_ref().is_some_and(|shadow| shadow.0);
    !list.0.is_empty() && list.0.iter().all(shadow)
}

/// Reports models that limits name and that are not there.
pub(crate) fn refer_models(list: &List<LimitFields>, known: &Catalogue<ModelFile>, checker: &mut Checker) {
    for name in list
        .0
        .iter()
        .filter_map(|item| item.models.as_ref())
        .flat_map(|models| &models.0)
    {
        known.refer("model", &name.0, name.span, &mut checker.reader);
    }
}

impl LimitFields {
    /// What it limits, as written.
    pub(crate) fn written(&self) -> impl Iterator<Item = (&'static str, Span)> {
        [
            ("rate", self.rate.as_ref().map(|field| field.span)),
            ("quota", self.quota.as_ref().map(|field| field.span)),
            ("tokens", self.tokens.as_ref().map(|field| field.span)),
            ("spend", self.spend.as_ref().map(|field| field.span)),
            ("concurrency", self.concurrency.as_ref().map(|field| field.span)),
            ("bytes", self.bytes.as_ref().map(|field| field.span)),
        ]
        .into_iter()
        .filter_map(|(what, span)| Some((what, span?)))
    }
}

fn kind(item: &Spanned<LimitFields>, checker: &mut Checker) -> Option<LimitKind> {
    let mut written = item.written();
    let Some((what, at)) = written.next() else {
        // A wrong or unbuilt field was reported where it stands.
        if !checker.reader.reported_within(item.span) {
            checker
                .report()
                .error(
                    Code::MissingField,
                    item.span,
                    "a limit has a `rate`, a `quota`, `tokens`, a `spend`, a `concurrency` or `bytes`",
                )
                .help("write for example `rate: 10/s` or `quota: 1000/day`");
        }
        return None;
    };
    if let Some((other, other_at)) = written.next() {
        checker
            .report()
            .error(
                Code::Conflict,
                other_at,
                format!("one limit is a `{what}` or a `{other}`, not both"),
            )
            .label(at, format!("`{what}` is here"))
            .help("make it two items: all limits of a plan hold at once");
        return None;
    }
    let burst = item.burst.as_ref();
    for (field, field_at, of) in [
        ("burst", burst.map(|field| field.span), "rate"),
        ("of", item.of.as_ref().map(|field| field.span), "tokens"),
    ] {
        if let Some(field_at) = field_at.filter(|_| what != of) {
            checker
                .report()
                .error(Code::Conflict, field_at, format!("only `{of}` has `{field}`"))
                .help(format!(
                    "remove `{field}`, or write a limit of `{of}` in an item of its own"
                ))
                .label(at, format!("this is `{what}`"));
        }
    }
    let budget = |(count, window): (u64, Window), unit| LimitKind::Budget { count, window, unit };
    if let Some(rate) = &item.rate {
        let rate = rate_of(Some(rate), burst.map(|burst| burst.0))?;
        return windowed(item, LimitKind::Rate(rate), checker);
    }
    let of = item.of.as_ref().map_or(Unit::Tokens, |of| of.value.0);
    let quota = item.quota.as_ref().map(|quota| {
        let (count, window) = quota.0;
        LimitKind::Quota { count, window }
    });
    let kind = quota
        .or_else(|| item.tokens.as_ref().map(|tokens| budget(tokens.0, of)))
        .or_else(|| item.spend.as_ref().map(|spend| budget(spend.0, Unit::NanoUsd)))
        .or_else(|| item.bytes.as_ref().map(|bytes| budget(bytes.0, Unit::Bytes)))
        .or_else(|| {
            item.concurrency
                .as_ref()
                .map(|most| LimitKind::Concurrency { count: most.0 })
        });
    windowed(item, kind?, checker)
}

/// The limit in the window that is meant: of the calendar, somewhere, or rolling.
fn windowed(item: &Spanned<LimitFields>, kind: LimitKind, checker: &mut Checker) -> Option<LimitKind> {
    let rolling = item
        .window
        .as_ref()
        .filter(|window| window.value == WindowKind::Rolling);
    let mut wrong = |at: Span, message: &str, help: &str| {
        checker
            .report()
            .error(Code::Conflict, at, message.to_owned())
            .help(help);
    };
    let window = match kind {
        LimitKind::Quota { window, .. } | LimitKind::Budget { window, .. } => window,
        LimitKind::Rate(_) | LimitKind::Concurrency { .. } => {
            if let Some(rolling) = rolling {
                wrong(rolling.span, "this limit has no window", "remove `window`");
            }
            if let Some(zone) = &item.zone {
                wrong(zone.span, "this limit has no window", "remove `zone`");
            }
            return Some(kind);
        }
    };
    let window = match (rolling, &item.zone, window) {
        (Some(_), Some(zone), _) => {
            wrong(
                zone.span,
                "a rolling window is the same everywhere",
                "remove `zone`",
            );
            return None;
        }
        (Some(_), None, window) => Window::Rolling(length(window)),
        (None, Some(_), Window::Day) => Window::DayAt(0),
        (None, Some(_), Window::Month) => Window::MonthAt(0),
        (None, Some(zone), _) => {
            let message = "minutes and hours are the same everywhere";
            wrong(zone.span, message, "remove `zone`, or count by `day` or `month`");
            return None;
        }
        (None, None, window) => window,
    };
    Some(match kind {
        LimitKind::Quota { count, .. } => LimitKind::Quota { count, window },
        LimitKind::Budget { count, unit, .. } => LimitKind::Budget { count, window, unit },
        other => other,
    })
}

/// How long a rolling window is that is named after one of the calendar.
const fn length(window: Window) -> Millis {
    match window {
        Window::Minute => 60_000,
        Window::Hour => 3_600_000,
        Window::Day | Window::DayAt(_) => 86_400_000,
        Window::Month | Window::MonthAt(_) => 30 * 86_400_000,
        Window::Rolling(length) => length,
    }
}

/// The time zones that limits name, for the gateway.
pub(crate) fn zones<'a>(limits: impl Iterator<Item = &'a Limit>) -> Vec<Zone> {
    let names: BTreeSet<&str> = limits.filter_map(|limit| limit.zone.as_deref()).collect();
    names.into_iter().filter_map(zones::zone).collect()
}

/// The name of a limit that gives itself none: what it counts, and for whom where that is not the consumer; and how
/// much, where another has that name.
///
/// What is counted is the name, not how much of it: a limit that is raised goes on counting, and two versions of a
/// policy that run side by side share it.
fn default_id(kind: LimitKind, subject: &[SubjectPart], numbered: bool) -> String {
    let mut id = kind_id(kind, numbered);
    for part in subject.iter().filter(|_| *subject != [SubjectPart::Consumer]) {
        id.push('-');
        id.push_str(subjects::part_name(part));
    }
    id
}

fn kind_id(kind: LimitKind, numbered: bool) -> String {
    let number = |count: u64| {
        if numbered {
            format!("{count}-")
        } else {
            String::new()
        }
    };
    match kind {
        LimitKind::Rate(rate) if rate.period.is_multiple_of(1000) => {
            format!("rate-{}{}s", number(rate.count.into()), rate.period / 1000)
        }
        LimitKind::Rate(rate) => format!("rate-{}{}ms", number(rate.count.into()), rate.period),
        LimitKind::Quota { count, window } => format!("quota-{}{}", number(count), window_name(window)),
        LimitKind::Budget { window, unit, .. } => {
            let what = match unit {
                Unit::Tokens => "tokens",
                Unit::InputTokens => "input-tokens",
                Unit::OutputTokens => "output-tokens",
                Unit::NanoUsd => "spend",
                Unit::Bytes => "bytes",
            };
            format!("{what}-{}", window_name(window))
        }
        LimitKind::Concurrency { .. } => "concurrency".to_owned(),
    }
}

const fn window_name(window: Window) -> &'static str {
    match window {
        Window::Minute => "min",
        Window::Hour => "h",
        Window::Day | Window::DayAt(_) => "day",
        Window::Month | Window::MonthAt(_) => "month",
        Window::Rolling(60_000) => "rolling-min",
        Window::Rolling(3_600_000) => "rolling-h",
        Window::Rolling(86_400_000) => "rolling-day",
        Window::Rolling(_) => "rolling-month",
    }
}
