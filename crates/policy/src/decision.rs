//! Decision points: services outside the gateway that know how callers and resources are related.
//!
//! An operation may ask one whether its caller may do this to that. The gateway asks once for the same question
//! within a stated time, and a question that is not answered is a no.

use std::fmt;

use serde::{Deserialize, Serialize};

use crate::Millis;
use crate::rule::Operand;

/// A service that decides.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct DecisionPoint {
    /// Its name in the policy.
    pub name: String,
    /// How it is spoken to.
    pub kind: PointKind,
    /// The URL that questions are sent to.
    pub endpoint: String,
    /// The Worker secret that is sent as a bearer token, if it wants one.
    pub secret: Option<String>,
    /// How long an answer may take, whole.
    pub timeout: Millis,
    /// How long a yes is remembered; 0: it is not.
    pub allowed_for: Millis,
    /// How long a no is remembered; 0: it is not.
    pub denied_for: Millis,
    /// Where it was written.
    pub origin: String,
}

/// How a decision point is spoken to.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum PointKind {
    /// The Access Evaluation API of `AuthZEN` 1.0.
    AuthZen,
    /// The Check API of `OpenFGA`.
    OpenFga {
        /// The authorization model that questions are about; none: the latest.
        model: Option<String>,
    },
}

/// What an operation asks: whether a subject may do something to a resource.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Relation {
    /// Whom: index into [`crate::Compiled::points`].
    pub point: u32,
    /// Who does it.
    pub subject: Entity,
    /// What is done; the relation, for `OpenFGA`.
    pub action: String,
    /// What it is done to.
    pub resource: Entity,
    /// Where it was written.
    pub origin: String,
}

/// A subject or a resource.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Entity {
    /// Its type, as the decision point names it.
    pub kind: String,
    /// Which one it is: a claim, a parameter of the path, or a text.
    pub id: Operand,
}

/// In words, without whom it asks: `user claims.sub, reader, pet request.params.petId`.
impl fmt::Display for Relation {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (subject, resource) = (&self.subject, &self.resource);
        let action = &self.action;
        write!(
            f,
            "{} {}, {action}, {} {}",
            subject.kind, subject.id, resource.kind, resource.id
        )
    }
}
