//! What commands share by which an operator speaks to a gateway that runs.

use clap::Args;
use serde_json::Value as Json;

use crate::play::{Answer, Request};
use crate::{Failure, web};

/// Where, and by whom.
#[derive(Debug, Args)]
pub(crate) struct Operator {
    /// The gateway's address
    #[arg(long, value_name = "URL")]
    url: String,
    /// The environment variable that holds the operator's credential: an API key, or a token
    #[arg(long, value_name = "NAME", default_value = "TURNPIKE_TOKEN")]
    credential: String,
}

impl Operator {
    /// Sends a request as the operator; an answer that is none is told as the gateway tells it.
    pub(crate) fn ask(&self, method: &str, path: &str, body: Option<&Json>) -> Result<Json, Failure> {
        let base = web::address(&self.url)?;
        let credential = credential(&self.credential).ok_or_else(|| {
            Failure::refused(format!(
                "${} is not set: it holds the operator's credential",
                self.credential
            ))
        })?;
        ask(&base, &credential, method, path, body)
    }
}

/// The credential that an environment variable holds.
pub(crate) fn credential(name: &str) -> Option<String> {
    let credential = std::env::var(name).unwrap_or_default().trim().to_owned();
    (!credential.is_empty()).then_some(credential)
}

/// Sends a request with a credential.
pub(crate) fn ask(
    base: &str,
    credential: &str,
    method: &str,
    path: &str,
    body: Option<&Json>,
) -> Result<Json, Failure> {
    let mut headers = vec![("authorization".to_owned(), format!("Bearer {credential}"))];
    if body.is_some() {
        headers.push(("content-type".to_owned(), "application/json".to_owned()));
    }
    let request = Request {
        method: method.to_owned(),
        url: format!("{base}{path}"),
        headers,
        body: body.map(|body| body.to_string().into_bytes()),
        ..Request::default()
    };
    let answer = web::send(&request).map_err(|why| Failure::refused(format!("{base}: {why}")))?;
    read(base, &answer)
}

/// The page that an answer brings.
fn read(base: &str, answer: &Answer) -> Result<Json, Failure> {
    let page: Option<Json> = serde_json::from_slice(&answer.body).ok();
    match (answer.status, page) {
        (200, Some(page)) if page.is_object() => Ok(page),
        (status, Some(problem)) if of(&problem, "code").is_string() => {
            let wait = answer.header("retry-after");
            let wait = wait.map_or_else(String::new, |seconds| format!(" It may pass in {seconds} s."));
            Err(Failure::refused(format!(
                "{base} answers {status} {}: {}{wait}",
                text(of(&problem, "code")),
                text(of(&problem, "detail"))
            )))
        }
        (status, _) => Err(Failure::refused(format!(
            "{base} answers {status}, and not as this gateway does: is it the right address?"
        ))),
    }
}

/// An id for what is to be done once.
pub(crate) fn random() -> Result<String, Failure> {
    let mut bytes = [0_u8; 8];
    getrandom::fill(&mut bytes).map_err(|error| Failure::refused(format!("no random numbers: {error}")))?;
    Ok(format!("{:016x}", u64::from_be_bytes(bytes)))
}

/// A member of an object; null, where there is none.
pub(crate) fn of<'a>(object: &'a Json, member: &str) -> &'a Json {
    object.get(member).unwrap_or(&Json::Null)
}

/// A text of the gateway's, without what could steer a terminal.
pub(crate) fn text(value: &Json) -> &str {
    let text = value.as_str().unwrap_or_default();
    if text.chars().any(char::is_control) {
        "?"
    } else {
        text
    }
}
