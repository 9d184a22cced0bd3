//! Tests against a gateway that runs.
//!
//! What cannot be known from outside is not pretended: such tests are skipped, with the reason.

use std::collections::BTreeMap;
use std::path::Path;

use base64ct::{Base64UrlUnpadded, Encoding as _};
use turnpike_policy::source::{Caller, Case, CaseRequest};

use super::{Outcome, compare, request};
use crate::outline::{Kind, Node, outline};
use crate::{Failure, disk, tree, web};

/// A gateway that runs.
pub(super) struct Gateway {
    base: String,
    credentials: BTreeMap<String, Vec<Credential>>,
}

/// A credential, and the scopes for which it is taken; none: for all.
struct Credential {
    scopes: Option<Vec<String>>,
    value: String,
}

impl Gateway {
    pub(super) fn new(url: &str, credentials: Option<&Path>) -> Result<Self, Failure> {
        let base = web::address(url)?;
        let credentials = match credentials {
            Some(file) => read(file)?,
            None => BTreeMap::new(),
        };
        Ok(Self { base, credentials })
    }

    pub(super) fn run(&self, case: &Case, root: &Path) -> (Outcome, Vec<String>) {
        if let Some(why) = needs_more(case) {
            return (Outcome::Skipped(why.to_owned()), Vec::new());
        }
        // All of them first: a test that cannot be played to its end is not begun.
        let mut requests = Vec::with_capacity(case.steps.len());
        for step in &case.steps {
            let mut request = request(&step.request, &self.base);
            if let Some(caller) = request.caller.take() {
                let Some(value) = self.credential(&caller) else {
                    let why = format!(
                        "--credentials has none for `{}`{}",
                        caller.consumer,
                        scopes_of(&caller)
                    );
                    return (Outcome::Skipped(why), Vec::new());
                };
                request
                    .headers
                    .push(("authorization".to_owned(), format!("Bearer {value}")));
            }
            requests.push(request);
        }
        let mut wrong = Vec::new();
        for (step, request) in case.steps.iter().zip(&requests) {
            match web::send(request) {
                Ok(answer) => wrong.extend(compare::compare(&step.expect, &[answer], root)),
                Err(why) => wrong.push(format!("{}: {why}", tree::place(root, &case.origin))),
            }
        }
        let outcome = if wrong.is_empty() {
            Outcome::Passed
        } else {
            Outcome::Failed(wrong)
        };
        (outcome, Vec::new())
    }

    fn credential(&self, caller: &Caller) -> Option<&str> {
        let all = self.credentials.get(&caller.consumer)?;
        let exact = all
            .iter()
            .find(|one| one.scopes.as_ref().is_some_and(|scopes| *scopes == caller.scopes));
        let any = || {
            all.iter()
                .find(|one| one.scopes.is_none() && holds(&one.value, &caller.scopes))
        };
        exact.or_else(any).map(|one| one.value.as_str())
    }
}

/// Whether a credential has these scopes, as far as it says so itself: a token tells (`scope` of RFC 9068), a key does not.
fn holds(value: &str, scopes: &[String]) -> bool {
    let claims = || {
        let payload = value.split('.').nth(1)?;
        let bytes = Base64UrlUnpadded::decode_vec(payload).ok()?;
        serde_json::from_slice::<serde_json::Value>(&bytes).ok()
    };
    let Some(claims) = claims() else {
        return true;
    };
    let held: Vec<&str> = match claims.get("scope") {
        Some(serde_json::Value::String(text)) => text.split(' ').collect(),
        Some(serde_json::Value::Array(list)) => list.iter().filter_map(|one| one.as_str()).collect(),
        _ => Vec::new(),
    };
    scopes.iter().all(|scope| held.contains(&scope.as_str()))
}

fn scopes_of(caller: &Caller) -> String {
    if caller.scopes.is_empty() {
        String::new()
    } else {
        format!(" with the scopes {}", caller.scopes.join(" "))
    }
}

/// Why a test can only be played.
fn needs_more(case: &Case) -> Option<&'static str> {
    if case.at.is_some() {
        return Some("needs a virtual clock (`at`)");
    }
    case.steps.iter().find_map(|step| {
        let request = &step.request;
        if step.after > 0 {
            Some("needs a virtual clock (`after`)")
        } else if request.over.is_some() {
            Some("needs a virtual clock (`over`)")
        } else if request.times > 1 {
            Some("needs a virtual clock (`times`: all at one instant)")
        } else if !step.upstream.is_empty() {
            Some("says what an upstream answers")
        } else if step.expect.iter().any(|expected| expected.upstream.is_some()) {
            Some("looks at what an upstream gets")
        } else if step.expect.iter().any(|expected| expected.policy.is_some()) {
            Some("looks at the policy line, which only the log has")
        } else if request.from.is_some() {
            Some("plays a client's address")
        } else if request.country.is_some() {
            Some("plays the country of a client")
        } else if announces_otherwise(request) {
            Some("announces another body than it sends")
        } else if !request.target.starts_with('/') {
            Some("names a host of its own")
        } else if request
            .caller
            .as_ref()
            .is_some_and(|caller| !caller.claims.is_empty())
        {
            Some("makes claims of its own")
        } else {
            None
        }
    })
}

/// Whether it says of itself how long its body is, and is not: over a connection the rest would be waited for.
fn announces_otherwise(request: &CaseRequest) -> bool {
    let length = request.body.as_ref().map_or(0, Vec::len).to_string();
    request
        .headers
        .iter()
        .any(|(name, value)| name.eq_ignore_ascii_case("content-length") && *value != length)
}

/// The credentials of a file.
fn read(file: &Path) -> Result<BTreeMap<String, Vec<Credential>>, Failure> {
    let bad = |why: &str| Failure::refused(format!("{}: {why}", file.display()));
    let text = disk::text(file)?;
    let root = outline(&text).ok_or_else(|| bad("it is not one plain YAML document"))?;
    let Kind::Map { entries, .. } = &root.kind else {
        return Err(bad(
            "it is not a map from consumers to credentials: write for example `demo: $DEMO_TOKEN`",
        ));
    };
    let mut all = BTreeMap::new();
    for (key, value) in entries {
        let name = key.text().unwrap_or_default();
        let list: Vec<&Node> = match &value.kind {
            Kind::List { items, .. } => items.iter().collect(),
            _ => vec![value],
        };
        let list: Option<Vec<_>> = list.into_iter().map(one).collect();
        let wrong = || {
            bad(&format!(
                "`{name}` has no credential: write `{name}: $VARIABLE`, or a list of \
                 `{{ scopes: [...], credential: $VARIABLE }}`"
            ))
        };
        let list = list.ok_or_else(wrong)?;
        let filled: Result<Vec<_>, Failure> = list
            .into_iter()
            .map(|credential| match credential.value.strip_prefix('$') {
                None => Ok(credential),
                Some(variable) => match std::env::var(variable) {
                    Ok(value) if !value.is_empty() => Ok(Credential { value, ..credential }),
                    _ => Err(bad(&format!(
                        "the credential of `{name}` is in ${variable}, which is not set: export it, or leave `{name}` out"
                    ))),
                },
            })
            .collect();
        all.insert(name.to_owned(), filled?);
    }
    Ok(all)
}

fn one(node: &Node) -> Option<Credential> {
    if let Some(text) = node.text() {
        return (!text.is_empty()).then(|| Credential {
            scopes: None,
            value: text.to_owned(),
        });
    }
    let field = |name: &str| {
        let mut all = node.entries().iter();
        all.find(|(key, _)| key.text() == Some(name))
            .map(|(_, value)| value)
    };
    let scopes = match field("scopes").map(|scopes| &scopes.kind) {
        Some(Kind::List { items, .. }) => Some(
            items
                .iter()
                .filter_map(|item| item.text().map(str::to_owned))
                .collect(),
        ),
        Some(_) => return None,
        None => None,
    };
    Some(Credential {
        scopes,
        value: field("credential")?.text()?.to_owned(),
    })
}
