//! Decision points of the gateway, and what operations ask them.
//!
//! A point that does not answer allows nothing: there is no other way to write it.

use super::compile::Checker;
use super::conditions::FactText;
use super::containers::Map;
use super::declare::{choice, record};
use super::diagnostic::{Code, Span};
use super::names;
use super::reader::Spanned;
use super::scalars::{Duration, Name, SecretName, Token, Url};
use super::secrets::quote;
use crate::{DecisionPoint, Entity, Operand, Operation, PointKind, Relation};

/// How long an answer may take, and how long one may be remembered, in milliseconds.
const TIMEOUTS: std::ops::RangeInclusive<u64> = 10..=5_000;
const MAX_REMEMBERED: u64 = 300_000;

record! {
    /// A service that knows how callers and resources are related, and says whether an operation may go on.
    PointFields = "decision point" {
        /// How it is spoken to: `authzen` (Access Evaluation API 1.0) or `openfga` (Check API).
        kind: required Kind,
        /// The URL that questions are sent to.
        endpoint: required Url,
        /// The authorization model that questions are about, for `openfga`. Left out: the latest.
        model: optional Token,
        /// The name of the Worker secret that is sent as a bearer token. Left out: none is.
        secret: optional SecretName,
        /// How long an answer may take: 10ms to 5s.
        timeout: default "1s" Duration,
        /// How long an isolate remembers a yes; at most 5m. `0s`: not at all.
        cache: default "30s" Duration,
        /// The same for a no; no longer than a yes.
        cache_denied: default "5s" Duration,
        /// What follows when it does not answer: `closed`, which is a 503. There is nothing else.
        on_error: default "closed" OnError,
    }
}

record! {
    /// What a decision point is asked: whether a subject may do something to a resource.
    RelationFields = "relation" {
        /// Which of the `decision_points` of `gateway.yaml`.
        point: required Name,
        /// Who does it.
        subject: required EntityFields,
        /// What is done; the relation, for `openfga`.
        action: required Token,
        /// What it is done to.
        resource: required EntityFields,
    }
}

record! {
    /// A subject or a resource.
    EntityFields = "entity" {
        /// Its type, as the decision point names it.
        kind: required Token,
        /// Which one it is: a claim that is a text (`claims.sub`), or a parameter of the path
        /// (`request.params.petId`).
        id: required FactText,
    }
}

/// How a point is spoken to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Kind {
    AuthZen,
    OpenFga,
}
choice!(Kind: "authzen" => Self::AuthZen, "openfga" => Self::OpenFga);

/// What follows when a point does not answer.
#[derive(Clone, Copy, Debug)]
pub(crate) struct OnError;
choice!(OnError: "closed" => Self);

/// The names of the decision points that are written, sorted, also of those that are broken: these were reported.
pub(crate) fn names_of(map: Option<&Spanned<Map<PointFields>>>) -> Vec<String> {
    let written = map.into_iter().flat_map(|map| {
        let here = map.here.iter().map(|(name, _)| &name.value);
        here.chain(map.others.iter().map(|name| &name.value))
    });
    let mut names: Vec<_> = written.cloned().collect();
    names.sort();
    names
}

/// Checks the decision points, sorted by name.
pub(crate) fn points(map: Option<&Spanned<Map<PointFields>>>, checker: &mut Checker) -> Vec<DecisionPoint> {
    let written = map.into_iter().flat_map(|map| &map.here);
    let mut points: Vec<_> = written
        .filter_map(|(name, fields)| point(name, fields, checker))
        .collect();
    points.sort_by(|a, b| a.name.cmp(&b.name));
    points
}

fn point(
    name: &Spanned<String>,
    fields: &Spanned<PointFields>,
    checker: &mut Checker,
) -> Option<DecisionPoint> {
    let endpoint = fields.endpoint.as_ref()?;
    if !endpoint.is_https() && !checker.rules.http_upstreams {
        checker
            .report()
            .error(
                Code::PlainHttp,
                endpoint.span,
                "an answer that comes without TLS proves nothing",
            )
            .help("write `https://`");
    }
    let kind = fields.kind.as_ref()?.value;
    let kind = match (kind, &fields.model) {
        (Kind::OpenFga, model) => PointKind::OpenFga {
            model: model.as_ref().map(|model| model.0.clone()),
        },
        (Kind::AuthZen, None) => PointKind::AuthZen,
        (Kind::AuthZen, Some(model)) => {
            checker
                .report()
                .error(Code::Conflict, model.span, "AuthZEN has no authorization models")
                .help("remove it, or write `kind: openfga`");
            PointKind::AuthZen
        }
    };
    if let Some(secret) = &fields.secret {
        checker.secrets.insert(secret.0.clone());
    }
    // It says one thing, and must say that.
    fields.on_error.as_ref()?;
    let (timeout, allowed, denied) = (
        fields.timeout.as_ref()?,
        fields.cache.as_ref()?,
        fields.cache_denied.as_ref()?,
    );
    let mut wrong = |span: Span, message: &str, help: &str| {
        checker.report().error(Code::OutOfRange, span, message).help(help);
    };
    if !TIMEOUTS.contains(&timeout.0) {
        wrong(
            timeout.span,
            "expected 10ms to 5s",
            "each request that asks waits for it",
        );
    }
    if allowed.0 > MAX_REMEMBERED {
        wrong(
            allowed.span,
            "expected at most 5m",
            "who loses a relation keeps it for that long",
        );
    }
    if denied.0 > allowed.0 {
        wrong(
            denied.span,
            "a no is remembered for longer than a yes",
            "who is given a relation waits for it: write a shorter time than `cache`",
        );
    }
    Some(DecisionPoint {
        name: name.value.clone(),
        kind,
        endpoint: endpoint.0.clone(),
        secret: fields.secret.as_ref().map(|secret| secret.0.clone()),
        timeout: timeout.0,
        allowed_for: allowed.0,
        denied_for: denied.0,
        origin: checker.report().origin(name.span),
    })
}

/// A relation that is right, as far as it is the same for all operations.
pub(crate) struct Checked {
    relation: Relation,
    parameters: Vec<(String, Span)>,
}

/// Checks what is asked.
pub(crate) fn check(fields: &Spanned<RelationFields>, checker: &mut Checker) -> Option<Checked> {
    let point = fields.point.as_ref()?;
    let place = checker.points.iter().position(|known| *known == point.0);
    if place.is_none() {
        let names: Vec<&str> = checker.points.iter().map(String::as_str).collect();
        let help = names::remedy(&point.0, "decision point", names.into_iter());
        let message = format!("there is no decision point {}", quote(&point.0));
        checker
            .report()
            .error(Code::UnknownReference, point.span, message)
            .help(help);
    }
    let mut parameters = Vec::new();
    let subject = entity(fields.subject.as_ref()?, &mut parameters, checker);
    let resource = entity(fields.resource.as_ref()?, &mut parameters, checker);
    Some(Checked {
        relation: Relation {
            point: u32::try_from(place?).ok()?,
            subject: subject?,
            action: fields.action.as_ref()?.0.clone(),
            resource: resource?,
            origin: checker.report().origin(fields.span),
        },
        parameters,
    })
}

fn entity(
    fields: &Spanned<EntityFields>,
    parameters: &mut Vec<(String, Span)>,
    checker: &mut Checker,
) -> Option<Entity> {
    let id = fields.id.as_ref()?;
    let operand = id
        .value
        .check(checker.declared.as_ref(), &mut checker.reader.report)?;
    if let Operand::Parameter(name) = &operand {
        parameters.push((name.clone(), id.span));
    }
    Some(Entity {
        kind: fields.kind.as_ref()?.0.clone(),
        id: operand,
    })
}

/// Gives an operation its relation; false if it does not fit, which was reported.
pub(crate) fn add(operation: &mut Operation, asked: &Checked, span: Span, checker: &mut Checker) -> bool {
    for (name, at) in &asked.parameters {
        let known = || {
            let segments = operation.path.split('/');
            segments.filter_map(|segment| segment.strip_prefix('{')?.strip_suffix('}'))
        };
        if !known().any(|one| one == name) {
            let known: Vec<_> = known().collect();
            let message = format!(
                "the path of {} has no parameter {}",
                quote(&operation.id),
                quote(name)
            );
            checker
                .report()
                .error(Code::UnknownReference, *at, message)
                .help(names::remedy(name, "parameter", known.into_iter()));
            return false;
        }
    }
    if operation.relation.is_some() {
        let message = format!("{} asks for two relations", quote(&operation.id));
        checker
            .report()
            .error(Code::Conflict, span, message)
            .help("keep one of them: a decision point can join several");
        return false;
    }
    operation.relation = Some(asked.relation.clone());
    true
}
