//! What operators deny on a gateway that runs, and lift: the orders, and the page that lists them.
//!
//! An operator may deny for as long as the policy lets it ([`turnpike_policy::Operator::deny`]). Lifting takes
//! away what a denial added and nothing else, so every operator that may deny may lift any of them.

use serde::{Deserialize, Serialize};
use turnpike_policy::{CertificateCredential, CertificateName, Compiled, Millis, Timestamp};

use crate::denials::{self, BOUND};
use crate::error::{Code, Refusal};
use crate::identify::Principal;
use crate::meter::denials::{Denial, LONGEST, Lifted, MAX_NAME, OBJECT, Order, Outcome, Report, Target};
use crate::{look, operate};
use turnpike_policy::hex;

/// The body of an order, as it is sent: a denial (`deny`, `value`), or the end of one (`lift`).
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Body {
    deny: Option<String>,
    value: Option<String>,
    issuer: Option<String>,
    /// For how long, in seconds.
    seconds: Option<u64>,
    /// Or until when, in Unix seconds.
    until: Option<u64>,
    lift: Option<String>,
    reason: String,
    id: Option<String>,
}

/// What an operator did, for the log and for its answer.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Note {
    /// `deny` or `lift`.
    pub action: String,
    /// The denial's id.
    pub id: String,
    /// What is denied, where that was said.
    pub target: Option<String>,
    /// Why.
    pub reason: String,
    /// Until when, in Unix milliseconds.
    pub until: Option<Timestamp>,
    /// Whether it was done; none: that is not known.
    pub done: Option<bool>,
}

/// Refuses whoever may not deny; how long the others may, in milliseconds.
pub(crate) fn right(policy: &Compiled, caller: &Principal) -> Result<Millis, Refusal> {
    let right = operate::right(policy, caller)?;
    let consumer = look::consumer(policy, caller.consumer())?;
    right.deny.ok_or_else(|| {
        let detail = format!(
            "`{}` may not deny anything: its `operator` has no `deny`.",
            consumer.name
        );
        Refusal::new(Code::OperatorRequired, detail).by(&consumer.origin)
    })
}

fn invalid(detail: impl Into<std::borrow::Cow<'static, str>>, member: &'static str) -> Refusal {
    Refusal::new(Code::InvalidRequest, detail).about(member)
}

/// The order that a body gives. `id` is that of the request.
pub(crate) fn read(
    policy: &Compiled,
    caller: &Principal,
    body: &[u8],
    id: &str,
    now: Timestamp,
) -> Result<Order, Refusal> {
    let longest = right(policy, caller)?.min(LONGEST);
    let by = look::consumer(policy, caller.consumer())?.name.clone();
    let body: Body = serde_json::from_slice(body).map_err(|error| {
        let code = if error.is_data() {
            Code::InvalidRequest
        } else {
            Code::InvalidJson
        };
        Refusal::new(code, format!("This is no order of a denial: {error}."))
    })?;
    let reason = operate::reason(&body.reason)?.to_owned();
    let id = operate::id(body.id.as_deref().unwrap_or(id))?;
    match (&body.deny, &body.lift) {
        (None, Some(lift)) => {
            let only = [&body.value, &body.issuer, &body.id]
                .iter()
                .all(|member| member.is_none());
            if !only || body.seconds.is_some() || body.until.is_some() {
                return Err(invalid("`lift` takes a `reason` and nothing else.", "lift"));
            }
            let lifted = Lifted { by, reason, at: now };
            Ok(Order::Lift(operate::id(lift)?.to_owned(), lifted))
        }
        (Some(what), None) => {
            let value = body.value.as_deref().unwrap_or_default();
            let target = target(policy, what, value, body.issuer.as_deref())?;
            let until = match (body.seconds, body.until) {
                (Some(seconds), None) => now.saturating_add(seconds.saturating_mul(1_000)),
                (None, Some(until)) => until.saturating_mul(1_000),
                _ => {
                    return Err(invalid(
                        "Say for how long: `seconds`, or `until` in Unix seconds.",
                        "until",
                    ));
                }
            };
            if until <= now || until - now > longest {
                let days = longest / 86_400_000;
                let bound = if days > 0 {
                    format!("{days} days")
                } else {
                    format!("{} seconds", longest / 1_000)
                };
                return Err(invalid(
                    format!("`{by}` may deny until a time to come, {bound} away at most."),
                    "until",
                ));
            }
            Ok(Order::Deny(Denial {
                id: id.to_owned(),
                target,
                by,
                reason,
                at: now,
                until,
                lifted: None,
            }))
        }
        _ => Err(invalid("Say what to `deny`, or which denial to `lift`.", "deny")),
    }
}

/// What is to be denied. What the policy knows by name must be there: a slip would deny nothing.
fn target(policy: &Compiled, what: &str, value: &str, issuer: Option<&str>) -> Result<Target, Refusal> {
    let plain = !value.is_empty() && value.len() <= MAX_NAME && !value.chars().any(char::is_control);
    if !plain {
        return Err(invalid(
            format!("`value` is a text of 1 to {MAX_NAME} bytes."),
            "value",
        ));
    }
    if issuer.is_some() != (what == "subject") {
        return Err(invalid(
            "A `subject` has an `issuer`, and nothing else has.",
            "issuer",
        ));
    }
    let shown: String = value.chars().take(80).collect();
    let unknown = |what: &str| {
        let detail = format!("There is no {what} `{shown}` in the policies of this gateway.");
        Refusal::new(Code::NotFound, detail).about("value")
    };
    match what {
        "key" => {
            // Whoever pastes a whole key must not find it in a list.
            let word = |byte: u8| byte.is_ascii_alphanumeric() || byte == b'-';
            if value.len() > 64 || !value.bytes().all(word) {
                return Err(invalid(
                    "A key is named by its id: of `tpk_<id>_<secret>`, the `<id>`.",
                    "value",
                ));
            }
            Ok(Target::Key(value.to_owned()))
        }
        "certificate" => {
            let named = |known: &CertificateCredential| match &known.by {
                CertificateName::Key(key) => hex(key) == value,
                CertificateName::Subject(_, subject) => subject == value,
            };
            let known = policy.certificates.iter().any(named);
            known
                .then(|| Target::Certificate(value.to_owned()))
                .ok_or_else(|| unknown("certificate"))
        }
        "subject" => {
            let named = issuer.unwrap_or_default();
            let issuer = policy
                .issuers
                .iter()
                .find(|known| known.name == named || known.issuer == named);
            let issuer = issuer.ok_or_else(|| {
                let shown: String = named.chars().filter(|c| !c.is_control()).take(80).collect();
                Refusal::new(Code::NotFound, format!("There is no issuer `{shown}`.")).about("issuer")
            })?;
            Ok(Target::Subject(issuer.issuer.clone(), value.to_owned()))
        }
        "consumer" => {
            let known = policy.consumers.iter().any(|known| known.name == value);
            known
                .then(|| Target::Consumer(value.to_owned()))
                .ok_or_else(|| unknown("consumer"))
        }
        "operation" => operation(policy, value).ok_or_else(|| unknown("operation")),
        "model" => {
            let known = policy.models.iter().any(|known| known.name == value);
            known
                .then(|| Target::Model(value.to_owned()))
                .ok_or_else(|| unknown("model"))
        }
        _ => Err(invalid(
            "`deny` is `key`, `certificate`, `subject`, `consumer`, `operation` or `model`.",
            "deny",
        )),
    }
}

/// `petstore/v1#listPets`, also written `petstore/v1/listPets`.
fn operation(policy: &Compiled, value: &str) -> Option<Target> {
    let name = match value.rsplit_once('/') {
        Some((version, id)) if !value.contains('#') => format!("{version}#{id}"),
        _ => value.to_owned(),
    };
    let known = denials::operations(policy, &name).next().is_some();
    known.then_some(Target::Operation(name))
}

/// The object's name, and the question.
pub(crate) fn ask(order: &Order) -> Result<(String, Vec<u8>), Refusal> {
    let ask = order
        .encode()
        .map_err(|_| look::broken("the order cannot be written"))?;
    Ok((OBJECT.to_owned(), ask))
}

/// What is logged of an order; `outcome`: what became of it, if that is known.
pub(crate) fn note(order: &Order, outcome: Option<Outcome>) -> Option<Note> {
    let done = outcome.map(|outcome| matches!(outcome, Outcome::Denied | Outcome::Lifted | Outcome::Before));
    let (action, id, reason, target, until) = match order {
        Order::Look => return None,
        Order::Deny(denial) => {
            let (what, value, _) = words(&denial.target);
            let target = Some(format!("{what} {value}"));
            ("deny", &denial.id, &denial.reason, target, Some(denial.until))
        }
        Order::Lift(id, lifted) => ("lift", id, &lifted.reason, None, None),
    };
    Some(Note {
        action: action.to_owned(),
        id: id.clone(),
        target,
        reason: reason.clone(),
        until,
        done,
    })
}

/// Refuses an order that was not carried out for a reason that its author can mend.
pub(crate) fn done(outcome: Outcome) -> Result<(), Refusal> {
    match outcome {
        Outcome::Looked | Outcome::Denied | Outcome::Lifted | Outcome::Before => Ok(()),
        Outcome::Taken => {
            let detail = "Another denial has this `id`: choose a new one.";
            Err(Refusal::new(Code::DenialConflict, detail).about("id"))
        }
        Outcome::Full => {
            let detail = "As many denials stand as are kept: lift some, or put them into the policies.";
            Err(Refusal::new(Code::DenialConflict, detail))
        }
        Outcome::Unknown => {
            let detail = "There is no denial of this id; it may be over. See /_turnpike/denials.";
            Err(Refusal::new(Code::NotFound, detail).about("lift"))
        }
    }
}

/// The refusal when the object cannot be asked.
pub(crate) fn unavailable() -> Refusal {
    let detail = "The denials cannot be reached now. Try again with the same `id`: it is done once.";
    Refusal::new(Code::LimiterUnavailable, detail).header("retry-after", "1")
}

/// What a client is told that is denied: the same for whatever is denied, and nothing of why.
pub(crate) fn refusal() -> Refusal {
    let detail = "This is denied for now. Whoever runs this gateway knows more, by the request's id.";
    Refusal::new(Code::Denied, detail)
}

fn words(target: &Target) -> (&str, &str, Option<&str>) {
    match target {
        Target::Key(id) => ("key", id, None),
        Target::Subject(issuer, subject) => ("subject", subject, Some(issuer)),
        Target::Consumer(name) => ("consumer", name, None),
        Target::Operation(name) => ("operation", name, None),
        Target::Model(name) => ("model", name, None),
        Target::Certificate(name) => ("certificate", name, None),
        Target::Other(kind, name) => (kind, name, None),
    }
}

#[derive(Serialize)]
struct Row<'a> {
    id: &'a str,
    what: &'a str,
    value: &'a str,
    #[serde(skip_serializing_if = "Option::is_none")]
    issuer: Option<&'a str>,
    by: &'a str,
    reason: &'a str,
    /// Since when, in Unix milliseconds.
    time: Timestamp,
    /// Until when, in Unix milliseconds.
    until: Timestamp,
    /// Whether it is neither over nor lifted.
    stands: bool,
    /// This build does not know what it names, and refuses nothing by it.
    #[serde(skip_serializing_if = "std::ops::Not::not")]
    unknown: bool,
    #[serde(skip_serializing_if = "Option::is_none")]
    lifted: Option<LiftedRow<'a>>,
}

#[derive(Serialize)]
struct LiftedRow<'a> {
    by: &'a str,
    reason: &'a str,
    time: Timestamp,
}

#[derive(Serialize)]
struct Page<'a> {
    #[serde(skip_serializing_if = "Option::is_none")]
    order: Option<&'a Note>,
    /// Within how many seconds a change holds everywhere.
    within_seconds: u64,
    denials: Vec<Row<'a>>,
}

/// What an operator is told: the list, and of an order what became of it.
pub(crate) fn page(report: &Report, note: Option<&Note>, now: Timestamp) -> Vec<u8> {
    let shown = |denial: &&Denial| note.is_none_or(|note| note.id == denial.id);
    let rows = report.denials.iter().filter(shown).map(|denial| {
        let (what, value, issuer) = words(&denial.target);
        let lifted = denial.lifted.as_ref().map(|lifted| LiftedRow {
            by: &lifted.by,
            reason: &lifted.reason,
            time: lifted.at,
        });
        Row {
            id: &denial.id,
            what,
            value,
            issuer,
            by: &denial.by,
            reason: &denial.reason,
            time: denial.at,
            until: denial.until,
            stands: denial.stands(now),
            unknown: matches!(denial.target, Target::Other(..)),
            lifted,
        }
    });
    let page = Page {
        order: note,
        within_seconds: BOUND / 1_000,
        denials: rows.collect(),
    };
    // Strings and numbers always serialize.
    serde_json::to_vec(&page).unwrap_or_default()
}
