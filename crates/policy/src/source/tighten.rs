//! Floor, template, API or model, operation: what stands below may add and narrow, never drop or widen.
//!
//! Whatever can be inherited is compared here, and [`INHERITED`] says for each field what narrower
//! means; the reference is made from it, and a test holds it against the declarations.

use std::collections::{BTreeMap, BTreeSet};

use super::apis::{ApiFile, VersionFields};
use super::authorize::AuthorizeFields;
use super::compile::Checker;
use super::containers::{AllOr, List};
use super::diagnostic::{Code, Span};
use super::limits::{self, LimitFields};
use super::models::{ModelFile, ModelTimeouts};
use super::reader::{Field, Spanned};
use super::scalars::{Duration, Size};
use super::secrets::quote;
use super::templates::{ApiRules, ModelRules};
use crate::{Commit, Limit, LimitKind, Precision};

/// A field that is inherited: which it is, where it may stand, from above to below, and what it means to
/// be tighter.
pub(crate) struct Inherited {
    pub(crate) field: &'static str,
    pub(crate) levels: &'static str,
    pub(crate) tighter: &'static str,
}

const fn inherited(field: &'static str, levels: &'static str, tighter: &'static str) -> Inherited {
    Inherited {
        field,
        levels,
        tighter,
    }
}

/// Every field that is inherited.
pub(crate) const INHERITED: &[Inherited] = &[
    inherited(
        "owner",
        "floor; API, model and consumer",
        "It is always `required`; nothing can drop it.",
    ),
    inherited(
        "authentication",
        "floor; template; API",
        "`required` is tighter than `none`. Below a floor, `none` needs a dated exception; below a template that says `required` there is none.",
    ),
    inherited(
        "limits",
        "floor; template; API, model",
        "The floor's `required` cannot be dropped. Limits are added, and all hold. One with the `id` of one above it must be as small: of a rate, `burst` and the count in the same time; of the others, the count in the same window.",
    ),
    inherited(
        "lifecycle",
        "floor; version of an API",
        "It is always `required`; nothing can drop it.",
    ),
    inherited(
        "upstreams",
        "floor; version of an API, provider",
        "It is always `https`; only a dated exception or the environment allows `http`.",
    ),
    inherited("max_body", "floor; template; API, model; operation", "Smaller."),
    inherited(
        "forward_headers",
        "floor; operation",
        "What the floor names reaches every upstream. An operation's document adds those that it names; what it may add is bounded by `never_forward`.",
    ),
    inherited(
        "never_forward",
        "floor; template; API",
        "Longer: what is named above is named below.",
    ),
    inherited("answer_headers", "floor", "Nothing below can add to it."),
    inherited(
        "governance",
        "floor; gateway",
        "More severe: `off`, `note`, `warning`, `error`.",
    ),
    inherited(
        "authorize",
        "template; API, model",
        "Scopes and conditions are added, and all of them hold.",
    ),
    inherited(
        "timeouts.first_byte",
        "template; version of an API; operation",
        "Shorter.",
    ),
    inherited("timeouts.first_token", "template; model", "Shorter."),
    inherited("timeouts.idle", "template; model", "Shorter."),
    inherited("timeouts.total", "template; model", "Shorter."),
    inherited("max_output_tokens", "template; model", "Smaller."),
    inherited("retry.attempts", "template; model", "Fewer."),
    inherited(
        "retry.on",
        "template; model",
        "Fewer reasons, each of them among those above.",
    ),
    inherited(
        "stream.commit",
        "template; model",
        "`complete` is tighter than `first_token`.",
    ),
    inherited("max_lifetime", "environment; issuer", "Shorter."),
];

/// Limits that templates say hold for an API or a model, by `apis/<name>` or `models/<name>`.
pub(crate) type InheritedLimits = BTreeMap<String, Spanned<List<LimitFields>>>;

/// Puts what a template says above what an API says.
pub(crate) fn api(name: &str, api: &mut Spanned<ApiFile>, rules: &Spanned<ApiRules>, checker: &mut Checker) {
    use super::apis::Authentication;
    if let (Some(above), Some(own)) = (&rules.authentication, &api.authentication)
        && own.value == Authentication::None
    {
        let (above, own) = (above.span, own.span);
        widens("`authentication`", "drops what", own, above, checker);
        // As if it had not been written: what follows from it need not be said.
        api.value.authentication = None;
    }
    // That the template itself is wider than the floor is said of the template, or of the value that it was given.
    let above = bounded(rules.max_body.as_ref(), checker);
    inherit(
        "`max_body`",
        "is larger than",
        &mut api.value.max_body,
        above.as_ref(),
        |own, above| own.0 <= above.0,
        checker,
    );
    if let Some(above) = &rules.timeouts {
        for (_, version) in api.value.versions.iter_mut().flat_map(|map| &mut map.value.here) {
            first_byte(version, above.first_byte.as_ref(), checker);
        }
    }
    check_scopes(rules, checker);
    prepend(&mut api.value.authorize, rules.authorize.as_ref());
    prepend(&mut api.value.never_forward, rules.never_forward.as_ref());
    if let Some(limits) = &rules.limits {
        checker.inherited.insert(format!("apis/{name}"), limits.clone());
    }
}

fn first_byte(
    version: &mut Spanned<VersionFields>,
    above: Option<&Spanned<Duration>>,
    checker: &mut Checker,
) {
    if let Some(timeouts) = &mut version.value.timeouts {
        inherit(
            "`first_byte`",
            "is longer than",
            &mut timeouts.value.first_byte,
            above,
            |own, above| own.0 <= above.0,
            checker,
        );
    }
}

/// Puts what a template says above what a model says.
pub(crate) fn model(
    name: &str,
    model: &mut Spanned<ModelFile>,
    rules: &Spanned<ModelRules>,
    checker: &mut Checker,
) {
    let model = &mut model.value;
    let above = bounded(rules.max_body.as_ref(), checker);
    inherit(
        "`max_body`",
        "is larger than",
        &mut model.max_body,
        above.as_ref(),
        |own, above| own.0 <= above.0,
        checker,
    );
    inherit(
        "`max_output_tokens`",
        "is larger than",
        &mut model.max_output_tokens,
        rules.max_output_tokens.as_ref(),
        |own, above| own.0 <= above.0,
        checker,
    );
    if let (Some(own), Some(above)) = (&mut model.timeouts, &rules.timeouts) {
        timeouts(&mut own.value, above, checker);
    }
    if let (Some(own), Some(above)) = (&mut model.retry, &rules.retry) {
        inherit(
            "`attempts`",
            "is more than",
            &mut own.value.attempts,
            above.attempts.as_ref(),
            |own, above| own.0 <= above.0,
            checker,
        );
        let among = |own: &List<crate::Reason>, above: &List<crate::Reason>| {
            own.0
                .iter()
                .all(|reason| above.0.iter().any(|other| other.value == reason.value))
        };
        inherit(
            "`on`",
            "has a reason that is not among what",
            &mut own.value.on,
            above.on.as_ref(),
            among,
            checker,
        );
    }
    if let (Some(own), Some(above)) = (&mut model.stream, &rules.stream) {
        let tighter = |own: &Commit, above: &Commit| *own == Commit::Complete || *above == Commit::FirstToken;
        inherit(
            "`commit`",
            "comes before what",
            &mut own.value.commit,
            above.commit.as_ref(),
            tighter,
            checker,
        );
    }
    prepend(&mut model.authorize, rules.authorize.as_ref());
    if let Some(limits) = &rules.limits {
        checker.inherited.insert(format!("models/{name}"), limits.clone());
    }
}

fn timeouts(own: &mut ModelTimeouts, above: &ModelTimeouts, checker: &mut Checker) {
    let shorter = |own: &Duration, above: &Duration| own.0 <= above.0;
    inherit(
        "`total`",
        "is longer than",
        &mut own.total,
        above.total.as_ref(),
        shorter,
        checker,
    );
    inherit(
        "`first_token`",
        "is longer than",
        &mut own.first_token,
        above.first_token.as_ref(),
        shorter,
        checker,
    );
    inherit(
        "`idle`",
        "is longer than",
        &mut own.idle,
        above.idle.as_ref(),
        shorter,
        checker,
    );
    // A shorter `total` shortens what it did not speak of.
    let total = own.total.as_ref().map(|total| (total.0, total.span));
    for (field, above) in [
        (&mut own.first_token, &above.first_token),
        (&mut own.idle, &above.idle),
    ] {
        if let (Some(field), Some(above), Some((total, _))) = (field, above, total)
            && field.span == above.span
        {
            field.value.0 = field.value.0.min(total);
        }
    }
}

/// What a template says of bodies, as far as the floor allows it.
fn bounded(above: Option<&Spanned<Size>>, checker: &mut Checker) -> Field<Size> {
    let mut above = above?.clone();
    above.value.0 = checker.max_body(Some(&above));
    Some(above)
}

/// Takes over what stands above a field that is not written; reports one that is wider.
fn inherit<T: Clone>(
    what: &str,
    wider: &str,
    own: &mut Field<T>,
    above: Option<&Spanned<T>>,
    tighter: impl Fn(&T, &T) -> bool,
    checker: &mut Checker,
) {
    let Some(above) = above.filter(|above| above.is_written()) else {
        return;
    };
    match own.as_ref().filter(|own| own.is_written()) {
        Some(written) if !tighter(&written.value, &above.value) => {
            widens(what, wider, written.span, above.span, checker);
            *own = Some(above.clone());
        }
        Some(_) => {}
        None => *own = Some(above.clone()),
    }
}

fn widens(what: &str, wider: &str, own: Span, above: Span, checker: &mut Checker) {
    checker
        .report()
        .error(
            Code::Widens,
            own,
            format!("this {what} {wider} its template says"),
        )
        .label(above, "the template")
        .help("what builds on a template can only add to it and narrow it");
}

fn prepend<T: Clone>(own: &mut Field<List<T>>, above: Option<&Spanned<List<T>>>) {
    let Some(above) = above.filter(|above| !above.0.is_empty()) else {
        return;
    };
    match own {
        Some(own) => {
            own.value.0.splice(0..0, above.0.iter().cloned());
        }
        // What was written cannot be read, and that was reported.
        None => *own = Some(above.clone()),
    }
}

/// A template does not know the operations of those that build on it.
pub(crate) fn check_scopes(rules: &ApiRules, checker: &mut Checker) {
    let entries = rules.authorize.iter().flat_map(|list| &list.0);
    let named = |entry: &&Spanned<AuthorizeFields>| {
        entry
            .operations
            .as_ref()
            .is_some_and(|operations| matches!(operations.value, AllOr::Only(_)))
    };
    for operations in entries
        .filter(named)
        .filter_map(|entry| entry.operations.as_ref())
    {
        checker
            .report()
            .error(
                Code::Conflict,
                operations.span,
                "a template does not know the operations of an API",
            )
            .help("write `operations: all` here, and name operations in the API");
    }
}

impl Checker {
    /// The limits of an API or a model: those of its template and its own.
    pub(crate) fn limits(&mut self, own: Option<&Spanned<List<LimitFields>>>, prefix: &str) -> Vec<Limit> {
        let Some(above) = self
            .inherited
            .get(prefix)
            .cloned()
            .filter(|above| !above.0.is_empty())
        else {
            return own
                .map(|list| limits::limits(list, prefix, self))
                .unwrap_or_default();
        };
        let Some(own) = own.filter(|own| !own.0.is_empty()) else {
            return limits::limits(&above, prefix, self);
        };
        let first = self.one_by_one(&above, prefix);
        let mut together = Spanned::new(List(Vec::new()), own.span);
        let mut narrowed = BTreeSet::new();
        for (item, limit) in self.one_by_one(own, prefix) {
            let twin = first.iter().find(|(_, above)| above.id == limit.id);
            match twin
                .filter(|(_, above)| !(is_tighter(limit.kind, above.kind) && counts_alike(&limit, above)))
            {
                Some((above, _)) => {
                    let message = format!("the limit {} is larger than its template says", quote(&limit.id));
                    self.report()
                        .error(Code::Widens, item.span, message)
                        .label(above.span, "the template")
                        .help("make it smaller, or give it an `id` of its own: then both hold");
                }
                None => {
                    narrowed.extend(twin.map(|(_, above)| above.id.clone()));
                    together.value.0.push(item);
                }
            }
        }
        let kept = first
            .into_iter()
            .filter(|(_, limit)| !narrowed.contains(&limit.id));
        together.value.0.extend(kept.map(|(item, _)| item));
        // What holds of a list holds of the two together: how many there may be, and that each has a
        // name of its own.
        limits::limits(&together, prefix, self)
    }

    /// The limits of a list, each with where it is written.
    fn one_by_one(&mut self, list: &List<LimitFields>, prefix: &str) -> Vec<(Spanned<LimitFields>, Limit)> {
        let mut limits = Vec::new();
        for item in &list.0 {
            let alone = Spanned::new(List(vec![item.clone()]), item.span);
            let limit = limits::limits(&alone, prefix, self).pop();
            limits.extend(limit.map(|limit| (item.clone(), limit)));
        }
        limits
    }
}

/// Whether both count the same things, and the one holds back where the other does.
fn counts_alike(own: &Limit, above: &Limit) -> bool {
    own.subject == above.subject
        && (own.shadow <= above.shadow)
        && (own.precision != Precision::Local || above.precision == Precision::Local)
}

/// Whether whatever the one lets pass, the other lets pass too.
fn is_tighter(own: LimitKind, above: LimitKind) -> bool {
    match (own, above) {
        (LimitKind::Rate(own), LimitKind::Rate(above)) => {
            own.burst <= above.burst
                && u128::from(own.count) * u128::from(above.period)
                    <= u128::from(above.count) * u128::from(own.period)
        }
        (
            LimitKind::Quota { count, window },
            LimitKind::Quota {
                count: most,
                window: of,
            },
        ) => count <= most && window == of,
        (
            LimitKind::Budget { count, window, unit },
            LimitKind::Budget {
                count: most,
                window: of,
                unit: in_unit,
            },
        ) => count <= most && (window, unit) == (of, in_unit),
        (LimitKind::Concurrency { count }, LimitKind::Concurrency { count: most }) => count <= most,
        (own, above) => own == above,
    }
}

#[cfg(test)]
mod tests {
    use super::super::declare::Shape;
    use super::super::gateway::FloorFields;
    use super::super::reader::Read;
    use super::*;

    /// The fields of a record, those of the records in it after a `.`; lists are fields themselves.
    fn fields<T: Read>() -> Vec<String> {
        let mut shapes: Vec<&'static Shape> = Vec::new();
        T::shapes(&mut shapes);
        let own = shapes.first().map(|shape| shape.fields).unwrap_or_default();
        let below = |title: String| {
            shapes
                .iter()
                .find(|shape| title == format!("a map ({})", shape.name))
        };
        let named = own.iter().flat_map(|field| match below((field.expects)()) {
            Some(shape) => shape
                .fields
                .iter()
                .map(|one| format!("{}.{}", field.name, one.name))
                .collect(),
            None => vec![field.name.to_owned()],
        });
        named.collect()
    }

    #[test]
    fn the_table_tells_of_every_field_that_is_inherited() {
        let mut known = fields::<FloorFields>();
        known.extend(fields::<ApiRules>());
        known.extend(fields::<ModelRules>());
        let told: Vec<&str> = INHERITED.iter().map(|one| one.field).collect();
        for field in &known {
            assert!(
                told.contains(&field.as_str()),
                "the table does not tell of {field}"
            );
        }
        // An environment's bound on tokens stands above those of issuers, and is no part of the floor.
        known.push("max_lifetime".to_owned());
        for field in told {
            assert!(known.iter().any(|one| one == field), "there is no {field}");
        }
    }
}
