//! Phase 6, authorize: may this caller do this?
//!
//! A consumer may use what its `may` names and nothing else; a scope that an operation asks for
//! must be among the credential's. What does not depend on the body is decided before the body is
//! read. The result is a [`Permit`], without which no later phase can be entered.

use serde::{Deserialize, Serialize};
use turnpike_llm::chat::Peek;
use turnpike_policy::{Compiled, Consumer, Grant, Method, Model, Operation, Route, Surface};

use crate::conditions::Facts;
use crate::decide::{self, Question, Yes};
use crate::error::{Code, Refusal};
use crate::identify::Principal;
use crate::inspect::{Chat, Inspected};
use crate::look::{self, consumer, model, operation};
use crate::matching::{Destination, Matched};
use crate::shield::Shielded;
use crate::told;

/// The right to have one thing answered. Only this module makes it.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub(crate) struct Permit {
    caller: Option<Principal>,
    to: Permitted,
}

impl Permit {
    /// Who has it; nobody where an exception makes an operation public.
    pub(crate) const fn caller(&self) -> Option<&Principal> {
        self.caller.as_ref()
    }

    /// What for.
    pub(crate) const fn to(&self) -> &Permitted {
        &self.to
    }
}

/// The right to call an operation whose body was not inspected. Nothing else can be done with it.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub(crate) struct Uninspected(Permit);

impl Uninspected {
    /// The permit, once the body is known to be one that the operation takes.
    pub(crate) fn inspected(self, _body: Inspected) -> Permit {
        self.0
    }
}

/// What a caller has whom the policy itself allows an operation: the right to it, or less while a decision point
/// must be asked.
#[derive(Debug)]
pub(crate) enum Granted {
    /// All is decided.
    Permit(Uninspected),
    /// [`crate::decide`] makes a permit of it.
    Ask(Unproven, Box<Question>),
}

/// A permit that a decision point has not confirmed. Nothing can be done with it but to ask.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub(crate) struct Unproven(Uninspected);

impl Unproven {
    /// The permit, once a decision point has said yes.
    pub(crate) fn proven(self, _yes: &Yes) -> Uninspected {
        self.0
    }
}

/// What a permit is for.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub(crate) enum Permitted {
    /// An operation (index into the policy's list).
    Operation(u32),
    /// A call of a model (index into the policy's list).
    Model(u32, Box<Peek>),
    /// The list of the caller's models.
    Models,
    /// The description of one model.
    ModelCard(u32),
    /// What the caller may still do: by its plan, or in calls of this.
    Standing(Option<Seen>),
}

/// Something whose limits are looked at (indices into the policy's lists).
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) enum Seen {
    /// A version of an API.
    Api(u32),
    /// A model.
    Model(u32),
}

/// What is asked for, and what conditions may ask of it.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Requested<'a> {
    /// Where it leads.
    pub matched: Matched,
    /// Its canonical path.
    pub path: &'a str,
    /// The country that it comes from, if that is known.
    pub country: Option<&'a str>,
    /// The time, in Unix milliseconds.
    pub now: u64,
}

/// Where calls of models lead.
const CHAT: Destination = Destination::Route(Route::Surface(Surface::ChatCompletions));

/// Whether an exception opens an operation to everybody. The gateway keeps its date by itself: an
/// older build closes when the exception ends.
pub(crate) fn is_open(operation: &Operation, now: u64) -> bool {
    operation.open_until.is_some_and(|until| now < until)
}

/// The right to call an operation that is open to everybody.
pub(crate) fn for_everybody(
    policy: &Compiled,
    matched: Matched,
    _by: Shielded,
    now: u64,
) -> Result<Uninspected, Refusal> {
    let index = matched.operation()?;
    let wanted = operation(policy, index)?;
    // A decision point is asked about a caller: where there is none, it has allowed nothing.
    if !is_open(wanted, now) || wanted.relation.is_some() {
        return Err(Refusal::new(Code::CredentialMissing, "Send a credential."));
    }
    Ok(Uninspected(Permit {
        caller: None,
        to: Permitted::Operation(index),
    }))
}

/// The right to call an operation.
pub(crate) fn for_operation(
    policy: &Compiled,
    caller: Principal,
    request: Requested<'_>,
) -> Result<Granted, Refusal> {
    let index = request.matched.operation()?;
    let wanted = operation(policy, index)?;
    let consumer = consumer(policy, caller.consumer())?;
    if !consumer.operations.allows(index) {
        let detail = format!("`{}` may not call `{}`.", consumer.name, wanted.id);
        return Err(Refusal::new(Code::OperationNotAllowed, detail).by(&consumer.origin));
    }
    scoped(&caller, (&wanted.scopes, &wanted.scopes_origin), &wanted.id)?;
    let api = look::api(policy, wanted.api)?;
    let path = request.path.strip_prefix(api.base.as_str());
    let facts = Facts {
        policy,
        caller: &caller,
        method: wanted.method,
        template: &wanted.path,
        path: path.unwrap_or(request.path),
        country: request.country,
        now: request.now,
    };
    if !wanted.rules.is_empty() {
        facts.check(&wanted.rules, &wanted.id)?;
    }
    told::check(policy, api, &caller)?;
    let relation = wanted.relation.as_ref();
    let question = relation
        .map(|relation| decide::question(policy, relation, &facts, &wanted.id))
        .transpose()?;
    let permit = Uninspected(Permit {
        caller: Some(caller),
        to: Permitted::Operation(index),
    });
    Ok(match question {
        Some(question) => Granted::Ask(Unproven(permit), Box::new(question)),
        None => Granted::Permit(permit),
    })
}

/// Refuses a caller that does not have all of these scopes, which this line asks for.
fn scoped(caller: &Principal, (scopes, origin): (&[String], &str), what: &str) -> Result<(), Refusal> {
    let Some(missing) = scopes.iter().find(|scope| !caller.scopes().contains(scope)) else {
        return Ok(());
    };
    let detail = format!("`{what}` needs the scope `{missing}`.");
    let scopes = scopes.join(" ");
    let challenge = format!("Bearer error=\"insufficient_scope\", scope=\"{scopes}\"");
    Err(Refusal::new(Code::InsufficientScope, detail)
        .by(origin)
        .header("www-authenticate", challenge))
}

/// Refuses a caller that no model is granted to, before its body is read.
pub(crate) fn any_model(policy: &Compiled, caller: &Principal, matched: Matched) -> Result<(), Refusal> {
    matched.leads(CHAT)?;
    let consumer = consumer(policy, caller.consumer())?;
    if consumer.models == Grant::Only(Vec::new()) {
        let detail = format!("`{}` may not call any model.", consumer.name);
        return Err(Refusal::new(Code::ModelNotAllowed, detail).by(&consumer.origin));
    }
    Ok(())
}

/// The right to call the model that a request names.
pub(crate) fn for_model(
    policy: &Compiled,
    caller: Principal,
    chat: Chat,
    request: Requested<'_>,
) -> Result<Permit, Refusal> {
    request.matched.leads(CHAT)?;
    let peek = chat.said();
    let index = granted(policy, &caller, &peek.model, request)?;
    Ok(Permit {
        caller: Some(caller),
        to: Permitted::Model(index, Box::new(peek)),
    })
}

/// The right to see the description of a model.
pub(crate) fn for_model_card(
    policy: &Compiled,
    caller: Principal,
    name: &str,
    request: Requested<'_>,
) -> Result<Permit, Refusal> {
    request
        .matched
        .leads(Destination::Route(Route::Surface(Surface::Model)))?;
    let index = granted(policy, &caller, name, request)?;
    Ok(Permit {
        caller: Some(caller),
        to: Permitted::ModelCard(index),
    })
}

/// The right to see the list of models, which shows only those that are granted.
pub(crate) fn for_model_list(caller: Principal, matched: Matched) -> Result<Permit, Refusal> {
    matched.leads(Destination::Route(Route::Surface(Surface::Models)))?;
    Ok(Permit {
        caller: Some(caller),
        to: Permitted::Models,
    })
}

/// The right to see what one may still do, which everybody has who is known.
pub(crate) fn for_standing(caller: Principal, matched: Matched) -> Result<Permit, Refusal> {
    looking(caller, None, matched)
}

/// The right to see what one may still do with a model, which everybody has who may call it.
pub(crate) fn for_standing_of_model(
    policy: &Compiled,
    caller: Principal,
    name: &str,
    request: Requested<'_>,
) -> Result<Permit, Refusal> {
    let index = granted(policy, &caller, name, request)?;
    looking(caller, Some(Seen::Model(index)), request.matched)
}

/// The right to see what one may still do with a version of an API (`petstore/v1`), which everybody has who may call
/// one of its operations.
pub(crate) fn for_standing_of_api(
    policy: &Compiled,
    caller: Principal,
    name: &str,
    matched: Matched,
) -> Result<Permit, Refusal> {
    let consumer = consumer(policy, caller.consumer())?;
    let is = |api: &turnpike_policy::Api| name.split_once('/') == Some((&*api.name, &*api.version));
    let places = (0_u32..).zip(&policy.apis);
    let index = places.clone().find_map(|(index, api)| is(api).then_some(index));
    let allowed = index.filter(|index| {
        let (first, end) = (first_of(policy, *index), first_of(policy, index + 1));
        (first..end).any(|operation| consumer.operations.allows(operation))
    });
    match allowed {
        Some(index) => looking(caller, Some(Seen::Api(index)), matched),
        // What one may not call is not told apart from what does not exist.
        None => Err(Refusal::new(
            Code::NotFound,
            "There is no such version of an API here that you may call: name it as in `petstore/v1`.",
        )
        .about("api")),
    }
}

/// Where the operations of a version begin; they lie in the order of the versions.
fn first_of(policy: &Compiled, api: u32) -> u32 {
    let (mut low, mut high) = (0, policy.operations.len());
    while low < high {
        let middle = low + (high - low) / 2;
        if policy
            .operations
            .get(middle)
            .is_some_and(|operation| operation.api < api)
        {
            low = middle + 1;
        } else {
            high = middle;
        }
    }
    u32::try_from(low).unwrap_or(u32::MAX)
}

fn looking(caller: Principal, at: Option<Seen>, matched: Matched) -> Result<Permit, Refusal> {
    matched.leads(Destination::Limits)?;
    Ok(Permit {
        caller: Some(caller),
        to: Permitted::Standing(at),
    })
}

/// The models that a caller may call now.
pub(crate) fn granted_models<'a>(
    policy: &'a Compiled,
    consumer: &'a Consumer,
    caller: &'a Principal,
    request: Requested<'a>,
) -> impl Iterator<Item = &'a Model> {
    (0u32..)
        .zip(&policy.models)
        .filter(|(index, _)| consumer.models.allows(*index))
        .map(|(_, model)| model)
        .filter(move |model| demanded(policy, caller, model, request).is_ok())
}

/// Refuses a caller that does not have what a model demands beside a grant.
fn demanded(
    policy: &Compiled,
    caller: &Principal,
    model: &Model,
    request: Requested<'_>,
) -> Result<(), Refusal> {
    scoped(caller, (&model.scopes, &model.scopes_origin), &model.name)?;
    if model.rules.is_empty() {
        return Ok(());
    }
    // Its conditions ask for no method and no path: the build sees to that.
    let facts = Facts {
        policy,
        caller,
        method: Method::Post,
        template: "",
        path: "",
        country: request.country,
        now: request.now,
    };
    facts.check(&model.rules, &model.name)
}

/// The index of a model that exists, is granted to the caller, and demands nothing that the caller does not have.
fn granted(
    policy: &Compiled,
    caller: &Principal,
    name: &str,
    request: Requested<'_>,
) -> Result<u32, Refusal> {
    let consumer = consumer(policy, caller.consumer())?;
    let found = policy
        .models
        .binary_search_by(|model| model.name.as_str().cmp(name));
    let index = found
        .ok()
        .and_then(|index| u32::try_from(index).ok())
        .ok_or_else(|| {
            let detail = format!("The model `{}` does not exist.", shown(name));
            Refusal::new(Code::ModelNotFound, detail).about("model")
        })?;
    if !consumer.models.allows(index) {
        let detail = format!("`{}` may not call the model `{name}`.", consumer.name);
        let refusal = Refusal::new(Code::ModelNotAllowed, detail).about("model");
        return Err(refusal.by(&consumer.origin));
    }
    // A grant beyond the list of models would be the compiler's fault; it is no permit.
    demanded(policy, caller, model(policy, index)?, request).map_err(|refusal| refusal.about("model"))?;
    Ok(index)
}

/// A client's word, fit for a message: bounded, without control characters.
fn shown(text: &str) -> String {
    text.chars().filter(|c| !c.is_control()).take(80).collect()
}
