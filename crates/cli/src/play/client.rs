//! The client's side: what is sent, and what came back.

use std::borrow::Cow;

use serde_json::Value as Json;
use turnpike_engine::Flight;
use turnpike_engine::step::{Finish, Reply};
use turnpike_policy::source::Caller;
use turnpike_policy::{Compiled, Timestamp};

use super::Mint;
use super::certificate::Certificate;
use super::outside::Does;
use super::resolved;

/// Headers, lower case, and their values.
type Headers = Vec<(String, String)>;

/// A request of a client.
#[derive(Clone, Debug, Default)]
pub(crate) struct Request {
    pub(crate) method: String,
    pub(crate) url: String,
    /// Its headers, lower case.
    pub(crate) headers: Vec<(String, String)>,
    pub(crate) body: Option<Vec<u8>>,
    /// The country that it comes from.
    pub(crate) country: Option<String>,
    /// Who sends it, with a credential of theirs.
    pub(crate) caller: Option<Caller>,
}

impl Request {
    pub(super) fn value(headers: &[(String, String)], name: &str) -> Option<String> {
        headers
            .iter()
            .find(|(known, _)| known == name)
            .map(|(_, value)| value.clone())
    }

    /// The headers as they are sent, with the credential and with what HTTP adds for a body; and the certificate of
    /// the connection.
    pub(super) fn sent_headers(
        &self,
        mint: &mut Mint,
        policy: &Compiled,
        now: Timestamp,
    ) -> Result<(Headers, Option<Certificate>), String> {
        let mut headers = self.headers.clone();
        let mut certificate = None;
        let mut add = |name: &str, value: String| {
            if !headers.iter().any(|(known, _)| known == name) {
                headers.push((name.to_owned(), value));
            }
        };
        if let Some(caller) = &self.caller {
            // A client makes its proof for the URL that it calls, whose dots it has resolved.
            let url = resolved(&self.url);
            let credential = mint.credential(policy, (caller, &self.method, &url), now)?;
            if let Some((scheme, value)) = credential.authorization {
                add("authorization", format!("{scheme} {value}"));
            }
            if let Some(proof) = credential.proof {
                add("dpop", proof);
            }
            certificate = credential.certificate;
        }
        if let Some(body) = &self.body {
            add("content-length", body.len().to_string());
        }
        add("cf-connecting-ip", "192.0.2.1".to_owned());
        Ok((headers, certificate))
    }
}

/// A call as an upstream saw it.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Sent {
    pub(crate) url: String,
    pub(crate) method: String,
    /// Its headers; a secret is shown by its name.
    pub(crate) headers: Vec<(String, String)>,
    pub(crate) body: Vec<u8>,
    /// Whether a test said what is answered.
    pub(crate) scripted: bool,
}

/// What a client got, and how it came about.
#[derive(Debug, Default)]
pub(crate) struct Answer {
    pub(crate) status: u16,
    pub(crate) headers: Vec<(String, String)>,
    pub(crate) body: Vec<u8>,
    /// The log line of the request; null where the policies want none.
    pub(crate) log: Json,
    /// The calls that would have left for upstreams.
    pub(crate) sent: Vec<Sent>,
    /// How long it took, in milliseconds.
    pub(crate) took: u64,
    /// It would be answered by an operator page, which is not played.
    pub(crate) cold: bool,
    /// What was in flight at each step.
    pub(crate) trace: Vec<Flight>,
    pub(super) steps: usize,
    pub(super) request_headers: Vec<(String, String)>,
    pub(super) stream: Option<Streamed>,
}

/// What a client has of a stream so far.
#[derive(Debug, Default)]
pub(super) struct Streamed {
    pub(super) status: u16,
    pub(super) headers: Vec<(String, String)>,
    pub(super) body: Vec<u8>,
}

impl Answer {
    /// One of which nothing else is known.
    pub(crate) fn of(status: u16, headers: Vec<(String, String)>, body: Vec<u8>) -> Self {
        Self {
            status,
            headers,
            body,
            ..Self::default()
        }
    }

    pub(crate) fn header(&self, name: &str) -> Option<&str> {
        self.headers
            .iter()
            .find(|(known, _)| known == name)
            .map(|(_, value)| value.as_str())
    }

    pub(crate) fn json(&self) -> Option<Json> {
        serde_json::from_slice(&self.body).ok()
    }

    /// The stable code of a refusal or failure, wherever the shape has it; of a stream, that of its
    /// error event.
    pub(crate) fn code(&self) -> Option<String> {
        let logged = self.log.get("code").and_then(Json::as_str);
        // Of an answer that is no refusal, a `code` is the upstream's own.
        let body = || {
            (self.log.is_null() && self.status >= 400).then_some(())?;
            let body = self.json()?;
            let code = body.get("code").or_else(|| body.get("error")?.get("code"))?;
            Some(code.as_str()?.to_owned())
        };
        // A stream that has begun ends with an event of its own.
        let event = || {
            let stream = self
                .header("content-type")
                .filter(|_| self.log.is_null())?
                .starts_with("text/event-stream");
            let text = std::str::from_utf8(&self.body).ok().filter(|_| stream)?;
            let mut events = text.lines().rev().filter_map(|line| line.strip_prefix("data: "));
            events.find_map(|data| {
                let event: Json = serde_json::from_str(data).ok()?;
                Some(event.get("error")?.get("code")?.as_str()?.to_owned())
            })
        };
        logged.map(str::to_owned).or_else(body).or_else(event)
    }

    /// The policy line that decided.
    pub(crate) fn policy(&self) -> Option<String> {
        let body = || {
            let body = self.json()?;
            let line = body.get("policy").or_else(|| body.get("error")?.get("policy"))?;
            Some(line.as_str()?.to_owned())
        };
        let logged = self.log.get("policy_line").and_then(Json::as_str);
        logged.map(str::to_owned).or_else(body)
    }

    /// What a refusal says to people.
    pub(crate) fn detail(&self) -> Option<String> {
        let body = self.json()?;
        let detail = body.get("detail").or_else(|| body.get("error")?.get("message"))?;
        Some(detail.as_str()?.to_owned())
    }

    pub(super) fn finish(&mut self, finish: Finish, does: Option<Does>, held: Vec<u8>, allowed: &[String]) {
        let mut headers = Vec::new();
        let mut body = Vec::new();
        if let Some(Does::Answers {
            headers: theirs,
            pieces,
            ..
        }) = does
        {
            if finish.copy {
                headers = theirs
                    .into_iter()
                    .filter(|(name, _)| allowed.contains(name))
                    .collect();
            }
            body = pieces.into_iter().flat_map(|(_, piece)| piece).collect();
        }
        for (name, value) in owned(finish.set) {
            if !matches!(name.as_str(), "vary" | "link") {
                headers.retain(|(known, _)| *known != name);
            }
            headers.push((name, value));
        }
        self.status = finish.status;
        self.headers = headers;
        self.body = match finish.body {
            Reply::None => Vec::new(),
            Reply::Bytes(bytes) => bytes,
            Reply::Upstream => body,
            Reply::Held => held,
        };
        self.note(finish.log.as_deref());
    }

    /// Ends a stream that has begun.
    pub(super) fn end(&mut self, tail: &[u8], log: Option<&str>) {
        let Streamed {
            status,
            headers,
            mut body,
        } = self.stream.take().unwrap_or_default();
        body.extend_from_slice(tail);
        (self.status, self.headers, self.body) = (status, headers, body);
        self.note(log);
    }

    fn note(&mut self, log: Option<&str>) {
        self.log = log
            .and_then(|line| serde_json::from_str(line).ok())
            .unwrap_or_default();
    }
}

pub(super) fn owned(set: Vec<(Cow<'static, str>, String)>) -> Vec<(String, String)> {
    set.into_iter()
        .map(|(name, value)| (name.into_owned(), value))
        .collect()
}

/// Whether a value holds what is expected: of maps the members that are written, of lists all items.
/// The error names the first place that differs.
pub(crate) fn json_holds(found: &Json, expected: &Json, place: &str) -> Result<(), String> {
    let name = || if place.is_empty() { "the body" } else { place };
    match (found, expected) {
        (Json::Object(found), Json::Object(expected)) => expected.iter().try_for_each(|(key, value)| {
            let place = format!("{place}/{key}");
            match found.get(key) {
                Some(found) => json_holds(found, value, &place),
                None => Err(format!("{place} is not there")),
            }
        }),
        (Json::Array(found), Json::Array(expected)) if found.len() != expected.len() => Err(format!(
            "{} has {} items, expected {}",
            name(),
            found.len(),
            expected.len()
        )),
        (Json::Array(found), Json::Array(expected)) => {
            found
                .iter()
                .zip(expected)
                .enumerate()
                .try_for_each(|(index, (found, expected))| {
                    json_holds(found, expected, &format!("{place}/{index}"))
                })
        }
        _ if found == expected || same_number(found, expected) => Ok(()),
        _ => Err(format!("{} is {found}, expected {expected}", name())),
    }
}

/// `1` and `1.0` are one number.
fn same_number(found: &Json, expected: &Json) -> bool {
    match (found.as_f64(), expected.as_f64()) {
        (Some(found), Some(expected)) => (found - expected).abs() <= f64::EPSILON * expected.abs(),
        _ => false,
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn a_part_of_a_body() {
        let found = json!({ "a": 1, "b": [{ "c": "x", "d": null }, 2.0] });
        for (expected, why) in [
            (json!({}), None),
            (json!({ "a": 1.0 }), None),
            (json!({ "b": [{ "c": "x" }, 2] }), None),
            (json!({ "b": [{}] }), Some("/b has 2 items, expected 1")),
            (
                json!({ "b": [{ "c": "y" }, 2] }),
                Some("/b/0/c is \"x\", expected \"y\""),
            ),
            (json!({ "e": null }), Some("/e is not there")),
            (json!([]), Some("the body is")),
        ] {
            match (json_holds(&found, &expected, ""), why) {
                (Ok(()), None) => {}
                (Err(said), Some(why)) if said.starts_with(why) => {}
                (said, _) => panic!("{expected}: {said:?}"),
            }
        }
    }
}
