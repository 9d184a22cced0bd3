//! Decision points: part of the phase authorize, where a service outside the gateway must say yes.
//!
//! Only a yes makes a permit: a no, an answer that is not understood, and none at all end the request. What was
//! said is remembered for as long as the policy says, a no in a table of its own, so that a flood of them pushes out
//! no yes; and a point that failed is left alone for a moment, so that requests do not pile up before it. No
//! request waits for another's question: two that ask the same at once both ask.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};
use serde_json::json;
use sha2::{Digest as _, Sha256};
use turnpike_policy::{Compiled, DecisionPoint, Entity, PointKind, Relation, Timestamp};

use crate::conditions::Facts;
use crate::error::{Code, Refusal};
use crate::known::Known;
use crate::look;
use crate::step::{Decide, Undecided};

/// The most bytes of an answer, and of what names a subject or a resource (of `OpenFGA`: with its type, which is what
/// `OpenFGA` itself takes at the most).
const MAX_ANSWER: u32 = 16 * 1024;
const MAX_ID: usize = 256;
/// How long a point that failed is left alone, in milliseconds.
const REST: u64 = 1_000;

/// A yes. Only this module makes it.
#[derive(Debug)]
pub(crate) struct Yes(());

/// What is asked, and what it is remembered by.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub(crate) struct Question {
    point: u32,
    body: String,
    key: [u8; 32],
    operation: String,
    origin: String,
}

/// What must happen for an answer.
pub(crate) enum Outcome {
    /// It is known.
    Known(Yes),
    /// The point is to be asked.
    Ask(Decide),
}

/// What an isolate remembers of decision points.
#[derive(Debug, Default)]
pub(crate) struct Decisions {
    allowed: Known,
    denied: Known,
    /// Until when points are left alone, by their index.
    resting: BTreeMap<u32, Timestamp>,
}

/// The question of an operation about a request; refused where a part of it is not known, or would mean something
/// else to the point.
pub(crate) fn question(
    policy: &Compiled,
    relation: &Relation,
    facts: &Facts<'_>,
    operation: &str,
) -> Result<Question, Refusal> {
    let point = point(policy, relation.point)?;
    let subject = id(&relation.subject, facts, relation, operation, &point.kind)?;
    let resource = id(&relation.resource, facts, relation, operation, &point.kind)?;
    let (subject_kind, resource_kind) = (&relation.subject.kind, &relation.resource.kind);
    let body = match &point.kind {
        PointKind::AuthZen => json!({
            "subject": { "type": subject_kind, "id": subject },
            "action": { "name": relation.action },
            "resource": { "type": resource_kind, "id": resource },
        }),
        PointKind::OpenFga { model } => {
            let mut body = json!({ "tuple_key": {
                "user": format!("{subject_kind}:{subject}"),
                "relation": relation.action,
                "object": format!("{resource_kind}:{resource}"),
            } });
            if let (Some(model), Some(body)) = (model, body.as_object_mut()) {
                body.insert("authorization_model_id".to_owned(), model.as_str().into());
            }
            body
        }
    };
    let body = body.to_string();
    let digest = Sha256::new().chain_update(relation.point.to_le_bytes());
    Ok(Question {
        point: relation.point,
        key: digest.chain_update(&body).finalize().into(),
        body,
        operation: operation.to_owned(),
        origin: relation.origin.clone(),
    })
}

/// What names a subject or a resource.
fn id(
    entity: &Entity,
    facts: &Facts<'_>,
    relation: &Relation,
    operation: &str,
    kind: &PointKind,
) -> Result<String, Refusal> {
    let refused = |why: String| {
        let detail = format!("`{operation}` is not allowed to this caller in this way.");
        Refusal::new(Code::ConditionNotMet, detail)
            .because(why)
            .by(&relation.origin)
    };
    let text = facts
        .text(&entity.id)
        .filter(|text| !text.is_empty())
        .ok_or_else(|| refused(format!("`{}` is missing, or no text", entity.id)))?;
    // `#` would name a set of users, `*` everybody, and `:` another type (OpenFGA).
    let means = |c: char| c.is_whitespace() || matches!(c, ':' | '#');
    let of_fga = matches!(kind, PointKind::OpenFga { .. });
    let special = of_fga && (text.contains(means) || text == "*");
    // OpenFGA counts `type:id`.
    let own = if of_fga { entity.kind.len() + 1 } else { 0 };
    if special || text.len() + own > MAX_ID || text.chars().any(char::is_control) {
        return Err(refused(format!(
            "`{}` would mean something else to the decision point",
            entity.id
        )));
    }
    Ok(text.into_owned())
}

fn point(policy: &Compiled, index: u32) -> Result<&DecisionPoint, Refusal> {
    let place = usize::try_from(index).ok();
    place
        .and_then(|place| policy.points.get(place))
        .ok_or_else(|| look::broken("the bundle has no such decision point"))
}

impl Decisions {
    /// What is known of a question, or whom to ask.
    pub(crate) fn begin(
        &self,
        policy: &Compiled,
        question: &Question,
        now: Timestamp,
    ) -> Result<Outcome, Refusal> {
        if self.denied.holds(&question.key, now) {
            return Err(no(question));
        }
        if self.allowed.holds(&question.key, now) {
            return Ok(Outcome::Known(Yes(())));
        }
        let point = point(policy, question.point)?;
        if self
            .resting
            .get(&question.point)
            .is_some_and(|until| now < *until)
        {
            return Err(unavailable(question, "it failed a moment ago"));
        }
        Ok(Outcome::Ask(Decide {
            url: point.endpoint.clone(),
            body: question.body.clone(),
            secret: point.secret.clone(),
            client: None,
            max: MAX_ANSWER,
            within: point.timeout,
        }))
    }

    /// What the answer comes to.
    pub(crate) fn decided(
        &mut self,
        policy: &Compiled,
        question: &Question,
        answer: Result<&[u8], Undecided>,
        now: Timestamp,
    ) -> Result<Yes, Refusal> {
        let point = point(policy, question.point)?;
        // What is wrong with one question is no reason to refuse others: whoever finds one that makes the point stumble
        // could close it to everybody.
        let rests = answer.is_err_and(Undecided::is_of_the_point);
        let said = answer
            .map_err(Undecided::why)
            .and_then(|answer| read(&point.kind, answer).ok_or("its answer makes no sense".into()));
        match said {
            Ok(true) => {
                self.resting.remove(&question.point);
                self.denied.forget(&question.key);
                if point.allowed_for > 0 {
                    self.allowed
                        .keep(question.key, now.saturating_add(point.allowed_for));
                }
                Ok(Yes(()))
            }
            Ok(false) => {
                self.resting.remove(&question.point);
                self.allowed.forget(&question.key);
                if point.denied_for > 0 {
                    self.denied
                        .keep(question.key, now.saturating_add(point.denied_for));
                }
                Err(no(question))
            }
            Err(why) => {
                if rests {
                    self.resting.insert(question.point, now.saturating_add(REST));
                }
                Err(unavailable(question, &why))
            }
        }
    }
}

#[derive(Deserialize)]
struct AuthZenAnswer {
    decision: bool,
}

#[derive(Deserialize)]
struct OpenFgaAnswer {
    allowed: bool,
}

/// What a point says; none: it cannot be understood.
fn read(kind: &PointKind, answer: &[u8]) -> Option<bool> {
    match kind {
        PointKind::AuthZen => {
            let answer: AuthZenAnswer = serde_json::from_slice(answer).ok()?;
            Some(answer.decision)
        }
        PointKind::OpenFga { .. } => {
            let answer: OpenFgaAnswer = serde_json::from_slice(answer).ok()?;
            Some(answer.allowed)
        }
    }
}

fn no(question: &Question) -> Refusal {
    let detail = format!("`{}` is not allowed to this caller.", question.operation);
    Refusal::new(Code::RelationMissing, detail)
        .because("the decision point said no")
        .by(&question.origin)
}

fn unavailable(question: &Question, why: &str) -> Refusal {
    Refusal::new(
        Code::DecisionUnavailable,
        "Whether this is allowed cannot be found out now.",
    )
    .because(format!("the decision point was not asked with success: {why}"))
    .by(&question.origin)
    .header("retry-after", "1")
}
