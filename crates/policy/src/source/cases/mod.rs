//! `tests/<name>.yaml`: requests, and what the policies must answer.
//!
//! Tests are checked with the tree that they are of, so that one that names a consumer which is gone
//! is found by the build; they are run by `turnpike test`. Nothing of them is in the bundle: a tree
//! has the same hash with and without them.

mod check;
mod fields;
mod refusals;
mod times;

use serde_json::Value as Json;

use crate::{Millis, Timestamp};

pub use fields::UpstreamFailure;
pub use refusals::REFUSALS;

pub(crate) use check::compile;
pub(crate) use fields::TestFile;

/// A test, checked.
#[derive(Clone, Debug, PartialEq)]
pub struct Case {
    /// What it shows.
    pub name: String,
    /// Its file below the tree, without its ending: `tests/plans`.
    pub file: String,
    /// Where it was written: `policies/tests/plans.yaml:4`.
    pub origin: String,
    /// When it plays; none: on the day on which it is run.
    pub at: Option<Timestamp>,
    /// Its requests, one after another; never empty.
    pub steps: Vec<CaseStep>,
}

/// One request of a test, and what must be answered.
#[derive(Clone, Debug, PartialEq)]
pub struct CaseStep {
    /// How long after the step before.
    pub after: Millis,
    /// The request.
    pub request: CaseRequest,
    /// What upstreams answer, each call the next, and the last one from then on; empty: nothing was
    /// said of it.
    pub upstream: Vec<ScriptedAnswer>,
    /// What must be answered; never empty.
    pub expect: Vec<Expected>,
}

/// A request of a test.
#[derive(Clone, Debug, PartialEq)]
pub struct CaseRequest {
    /// Its method.
    pub method: &'static str,
    /// Its path and query, or a URL.
    pub target: String,
    /// Who sends it; none: somebody without a credential.
    pub caller: Option<Caller>,
    /// Its headers, lower case.
    pub headers: Vec<(String, String)>,
    /// Its body.
    pub body: Option<Vec<u8>>,
    /// The address that it comes from.
    pub from: Option<String>,
    /// The country that it comes from.
    pub country: Option<String>,
    /// How many such requests.
    pub times: u32,
    /// From the first to the last of them; none: all at one instant.
    pub over: Option<Millis>,
}

/// Who sends a request.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Caller {
    /// The consumer.
    pub consumer: String,
    /// Scopes of its token.
    pub scopes: Vec<String>,
    /// By which of its credentials: an issuer's name, `key` or `certificate`; none: whichever it has.
    pub with: Option<String>,
    /// Further claims of its token.
    pub claims: Vec<(String, Json)>,
}

/// What an upstream is said to answer.
#[derive(Clone, Debug, PartialEq)]
pub struct ScriptedAnswer {
    /// Its status.
    pub status: u16,
    /// Its headers, lower case.
    pub headers: Vec<(String, String)>,
    /// Its body.
    pub body: Vec<u8>,
    /// How long it takes.
    pub after: Millis,
    /// It fails so instead.
    pub fails: Option<UpstreamFailure>,
}

/// What must be answered: all that is said must hold.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Expected {
    /// Where it was written.
    pub origin: String,
    /// How many answers must look like this.
    pub times: u32,
    /// The status.
    pub status: Option<u16>,
    /// The stable code of a refusal; `none`: no refusal.
    pub code: Option<String>,
    /// Headers with exactly these values, lower case.
    pub headers: Vec<(String, String)>,
    /// Headers that must not be there, lower case.
    pub no_headers: Vec<String>,
    /// What the body must hold as JSON.
    pub json: Option<Json>,
    /// A text that the body must hold.
    pub contains: Option<String>,
    /// The policy line that decided, or its file.
    pub policy: Option<String>,
    /// What reached upstreams.
    pub upstream: Option<ExpectedCalls>,
}

/// What must have reached upstreams.
#[derive(Clone, Debug, PartialEq)]
pub enum ExpectedCalls {
    /// Nothing.
    Nothing,
    /// A call that looks like this.
    Call(Box<ExpectedCall>),
}

/// What a call of an upstream must look like.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct ExpectedCall {
    /// Its URL.
    pub url: Option<String>,
    /// Its method.
    pub method: Option<String>,
    /// Headers with exactly these values, lower case.
    pub headers: Vec<(String, String)>,
    /// Headers that must not be there, lower case.
    pub no_headers: Vec<String>,
    /// What its body must hold as JSON.
    pub json: Option<Json>,
    /// How many calls there must have been in all.
    pub calls: Option<u32>,
}
