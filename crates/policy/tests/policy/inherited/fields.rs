//! How each inherited field is tried: where it may be written, which values it takes, and what then holds.

use std::collections::BTreeSet;

use serde_json::{Value as Json, json};
use turnpike_policy::{Commit, Handler, LimitKind, Reason};

use super::{API, Built, DOCUMENT, Field, GATEWAY, MODEL, Order, TEMPLATE};

/// The names of a set of bits.
fn set(bits: u8, names: [&'static str; 3]) -> BTreeSet<&'static str> {
    let all = names.into_iter().enumerate();
    all.filter(|(bit, _)| bits >> bit & 1 == 1)
        .map(|(_, name)| name)
        .collect()
}

const HEADERS: [&str; 3] = ["x-a", "x-b", "x-c"];
const SCOPES: [&str; 3] = ["pets:a", "pets:b", "pets:c"];
const REASONS: [&str; 3] = ["overloaded", "rate_limited", "unreachable"];
const ANSWERS: [&str; 3] = ["etag", "x-one", "x-two"];
const SEVERITIES: [&str; 3] = ["off", "note", "warning"];

/// Numbers that are tighter when they are smaller.
fn down(value: u8) -> u64 {
    8 - u64::from(value)
}

fn required(value: u8) -> Option<Json> {
    (value > 0).then(|| json!("team"))
}

fn first_byte(built: &Built<'_>) -> u64 {
    match &built.operation.handler {
        Handler::Proxy { timeouts, .. } => timeouts.first,
        Handler::Mock(_) => 0,
    }
}

const NAMED: &[Field] = &[
    Field {
        row: "owner",
        levels: &[(API, &["owner"])],
        write: required,
        order: Order::Always,
        holds: |built, _| !built.api.owner.is_empty(),
    },
    Field {
        row: "owner",
        levels: &[(MODEL, &["owner"])],
        write: required,
        order: Order::Always,
        holds: |built, _| !built.model.owner.is_empty(),
    },
    Field {
        row: "owner",
        levels: &[("consumers/app.yaml", &["owner"])],
        write: required,
        order: Order::Always,
        holds: |built, _| built.compiled.consumers.iter().all(|one| !one.owner.is_empty()),
    },
    Field {
        row: "lifecycle",
        levels: &[(API, &["versions", "v1", "state"])],
        write: |value| (value > 0).then(|| json!("active")),
        order: Order::Always,
        holds: |_, _| true,
    },
    Field {
        row: "upstreams",
        levels: &[(API, &["versions", "v1", "upstream"])],
        write: |value| {
            Some(json!(if value > 0 {
                "https://pets.example"
            } else {
                "http://pets.example"
            }))
        },
        order: Order::Always,
        holds: |built, _| matches!(&built.operation.handler, Handler::Proxy { url, .. } if url.starts_with("https:")),
    },
    Field {
        row: "upstreams",
        levels: &[("providers/openai.yaml", &["base_url"])],
        write: |value| {
            Some(json!(if value > 0 {
                "https://api.example"
            } else {
                "http://api.example"
            }))
        },
        order: Order::Always,
        holds: |_, _| true,
    },
    Field {
        row: "authentication",
        levels: &[(TEMPLATE, &["api", "authentication"]), (API, &["authentication"])],
        // A template can only say `required`.
        write: |value| Some(json!(if value > 0 { "required" } else { "none" })),
        order: Order::Larger,
        holds: |built, value| value == 0 || built.operation.open_until.is_none(),
    },
    Field {
        row: "governance",
        levels: &[
            (GATEWAY, &["floor", "governance", "P1301"]),
            (GATEWAY, &["governance", "P1301"]),
        ],
        write: |value| Some(json!(SEVERITIES[usize::from(value.min(2))])),
        order: Order::Larger,
        holds: |built, value| {
            let mut found = built.outcome.diagnostics.iter();
            let found = found.find(|one| one.code.number() == "P1301");
            let severity = found.map_or_else(|| "off".to_owned(), |one| one.severity.to_string());
            SEVERITIES.iter().position(|one| *one == severity) >= Some(usize::from(value.min(2)))
        },
    },
    Field {
        row: "max_lifetime",
        levels: &[
            (GATEWAY, &["environments", "dev", "max_lifetime"]),
            (GATEWAY, &["issuers", "acme", "max_lifetime"]),
        ],
        write: |value| Some(json!(format!("{}m", down(value)))),
        // The strictest of both holds; neither is refused.
        order: Order::Adds,
        holds: |built, value| {
            let longest = built.compiled.issuers.iter().filter_map(|one| one.max_lifetime);
            longest
                .max()
                .is_some_and(|longest| u64::from(longest) <= 60 * down(value))
        },
    },
];

const BOUNDS: &[Field] = &[
    Field {
        row: "max_body",
        levels: &[
            (GATEWAY, &["floor", "max_body"]),
            (TEMPLATE, &["api", "max_body"]),
            (API, &["max_body"]),
            (API, &["operations", "max_body"]),
        ],
        write: |value| Some(json!(format!("{}KiB", down(value)))),
        order: Order::Larger,
        holds: |built, value| built.operation.max_body <= down(value) << 10,
    },
    Field {
        row: "max_body",
        levels: &[(TEMPLATE, &["model", "max_body"]), (MODEL, &["max_body"])],
        write: |value| Some(json!(format!("{}B", down(value) * 100))),
        order: Order::Larger,
        holds: |built, value| built.model.max_body <= down(value) * 100,
    },
    Field {
        row: "timeouts.first_byte",
        levels: &[
            (TEMPLATE, &["api", "timeouts", "first_byte"]),
            (API, &["versions", "v1", "timeouts", "first_byte"]),
            (API, &["operations", "timeouts", "first_byte"]),
        ],
        write: |value| Some(json!(format!("{}s", down(value)))),
        order: Order::Larger,
        holds: |built, value| first_byte(built) <= down(value) * 1_000,
    },
    Field {
        row: "timeouts.first_token",
        levels: &[
            (TEMPLATE, &["model", "timeouts", "first_token"]),
            (MODEL, &["timeouts", "first_token"]),
        ],
        write: |value| Some(json!(format!("{}s", down(value)))),
        order: Order::Larger,
        holds: |built, value| built.model.timeouts.first <= down(value) * 1_000,
    },
    Field {
        row: "timeouts.idle",
        levels: &[
            (TEMPLATE, &["model", "timeouts", "idle"]),
            (MODEL, &["timeouts", "idle"]),
        ],
        write: |value| Some(json!(format!("{}s", down(value)))),
        order: Order::Larger,
        holds: |built, value| built.model.timeouts.idle <= down(value) * 1_000,
    },
    Field {
        row: "timeouts.total",
        levels: &[
            (TEMPLATE, &["model", "timeouts", "total"]),
            (MODEL, &["timeouts", "total"]),
        ],
        write: |value| Some(json!(format!("{}s", down(value) * 10))),
        order: Order::Larger,
        holds: |built, value| built.model.timeouts.total <= down(value) * 10_000,
    },
    Field {
        row: "max_output_tokens",
        levels: &[
            (TEMPLATE, &["model", "max_output_tokens"]),
            (MODEL, &["max_output_tokens"]),
        ],
        write: |value| Some(json!(down(value))),
        order: Order::Larger,
        holds: |built, value| {
            built
                .model
                .max_output_tokens
                .is_some_and(|most| u64::from(most) <= down(value))
        },
    },
    Field {
        row: "retry.attempts",
        levels: &[
            (TEMPLATE, &["model", "retry", "attempts"]),
            (MODEL, &["retry", "attempts"]),
        ],
        write: |value| Some(json!(5 - u64::from(value / 2))),
        order: Order::Larger,
        holds: |built, value| built.model.retry.attempts <= 5 - u32::from(value / 2),
    },
    Field {
        row: "stream.commit",
        levels: &[
            (TEMPLATE, &["model", "stream", "commit"]),
            (MODEL, &["stream", "commit"]),
        ],
        write: |value| Some(json!(if value > 3 { "complete" } else { "first_token" })),
        order: Order::Larger,
        holds: |built, value| value <= 3 || built.model.commit == Commit::Complete,
    },
];

/// Of every kind of limit one with a name, that what is below has too.
const LIMITS: &[Field] = &[
    Field {
        row: "limits",
        levels: &[("plans/gold.yaml", &["limits"])],
        write: |value| {
            Some(if value > 0 {
                json!([{ "rate": "9/s" }])
            } else {
                json!([])
            })
        },
        order: Order::Always,
        holds: |built, _| built.compiled.plans.iter().all(|plan| !plan.limits.is_empty()),
    },
    Field {
        row: "limits",
        levels: &[(TEMPLATE, &["api", "limits", "+"]), (API, &["limits", "+"])],
        write: |value| Some(json!({ "id": "most", "concurrency": down(value) })),
        order: Order::Larger,
        holds: |built, value| {
            holds(
                &built.api.limits,
                |kind| matches!(kind, LimitKind::Concurrency { count } if u64::from(*count) <= down(value)),
            )
        },
    },
    Field {
        row: "limits",
        levels: &[(TEMPLATE, &["api", "limits", "+"]), (API, &["limits", "+"])],
        write: |value| Some(json!({ "id": "pace", "rate": format!("{}/min", down(value)) })),
        order: Order::Larger,
        holds: |built, value| {
            holds(
                &built.api.limits,
                |kind| matches!(kind, LimitKind::Rate(rate) if rate.period == 60_000 && u64::from(rate.count) <= down(value)),
            )
        },
    },
    Field {
        row: "limits",
        levels: &[(TEMPLATE, &["api", "limits", "+"]), (API, &["limits", "+"])],
        write: |value| Some(json!({ "id": "share", "quota": format!("{}/day", down(value)) })),
        order: Order::Larger,
        holds: |built, value| {
            holds(
                &built.api.limits,
                |kind| matches!(kind, LimitKind::Quota { count, .. } if *count <= down(value)),
            )
        },
    },
    Field {
        row: "limits",
        levels: &[(TEMPLATE, &["model", "limits", "+"]), (MODEL, &["limits", "+"])],
        write: |value| Some(json!({ "id": "words", "tokens": format!("{}/day", down(value)) })),
        order: Order::Larger,
        holds: |built, value| {
            holds(
                &built.model.limits,
                |kind| matches!(kind, LimitKind::Budget { count, .. } if *count <= down(value)),
            )
        },
    },
    Field {
        row: "limits",
        levels: &[(TEMPLATE, &["model", "limits", "+"]), (MODEL, &["limits", "+"])],
        write: |value| Some(json!({ "id": "money", "spend": format!("{} USD/month", down(value)) })),
        order: Order::Larger,
        holds: |built, value| {
            holds(
                &built.model.limits,
                |kind| matches!(kind, LimitKind::Budget { count, .. } if *count > 1_000_000 && *count <= down(value) * 1_000_000_000),
            )
        },
    },
];

fn holds(limits: &[turnpike_policy::Limit], fits: impl Fn(&LimitKind) -> bool) -> bool {
    limits.iter().any(|limit| fits(&limit.kind))
}

const SETS: &[Field] = &[
    Field {
        row: "forward_headers",
        levels: &[(GATEWAY, &["floor", "forward_headers"])],
        write: |value| Some(json!(set(value, ["x-one", "x-two", "x-three"]))),
        order: Order::Adds,
        // What it names reaches every upstream, and nothing else by it.
        holds: |built, value| {
            let known = built.compiled.gateway.forward_headers.iter().map(String::as_str);
            known.collect::<BTreeSet<_>>() == set(value, ["x-one", "x-two", "x-three"])
        },
    },
    Field {
        row: "never_forward",
        levels: &[
            (GATEWAY, &["floor", "never_forward"]),
            (TEMPLATE, &["api", "never_forward"]),
            (API, &["never_forward"]),
            (DOCUMENT, &["paths", "/list", "post", "parameters"]),
        ],
        write: |value| Some(json!(set(value, HEADERS))),
        order: Order::Bars,
        holds: |built, value| {
            let mut passed = built.operation.forward_headers.iter();
            !passed.any(|header| set(value, HEADERS).contains(header.as_str()))
        },
    },
    Field {
        row: "answer_headers",
        levels: &[(GATEWAY, &["floor", "answer_headers"])],
        write: |value| Some(json!(set(value, ANSWERS))),
        order: Order::Adds,
        holds: |built, value| {
            let mut passed = built.compiled.gateway.answer_headers.iter();
            passed.all(|header| set(value, ANSWERS).contains(header.as_str()))
        },
    },
    Field {
        row: "authorize",
        levels: &[(TEMPLATE, &["api", "authorize", "+"]), (API, &["authorize", "+"])],
        write: |value| Some(json!({ "operations": "all", "scopes": set(value.max(1), SCOPES) })),
        order: Order::Adds,
        holds: |built, value| {
            let asked: BTreeSet<_> = built.operation.scopes.iter().map(String::as_str).collect();
            set(value.max(1), SCOPES).is_subset(&asked)
        },
    },
    Field {
        row: "authorize",
        levels: &[(TEMPLATE, &["api", "authorize", "+"]), (API, &["authorize", "+"])],
        write: |value| Some(json!({ "operations": "all", "when": format!("claims.level == '{value}'") })),
        order: Order::Adds,
        holds: |built, value| {
            let wanted = format!("'{value}'");
            let mut rules = built.operation.rules.iter();
            rules.any(|rule| rule.when.to_string().replace('"', "'").contains(&wanted))
        },
    },
    Field {
        row: "retry.on",
        levels: &[(TEMPLATE, &["model", "retry", "on"]), (MODEL, &["retry", "on"])],
        write: |value| Some(json!(set(value.max(1), REASONS))),
        order: Order::Fewer,
        holds: |built, value| {
            let name = |reason: &Reason| match reason {
                Reason::Overloaded => "overloaded",
                Reason::RateLimited => "rate_limited",
                Reason::Unreachable => "unreachable",
                _ => "another",
            };
            let mut reasons = built.model.retry.on.iter();
            reasons.all(|reason| set(value.max(1), REASONS).contains(name(reason)))
        },
    },
];

pub(super) fn fields() -> impl Iterator<Item = &'static Field> {
    [NAMED, BOUNDS, LIMITS, SETS].into_iter().flatten()
}
