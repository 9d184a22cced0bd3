//! Upstreams, played: mocks as the policies script them, others as a test does. Nothing leaves.

use turnpike_engine::step::{Attempt, Ending, Failure, Outgoing, Upstream, Value};
use turnpike_llm::mock::{MockRequest, Script, ScriptEnd};
use turnpike_policy::Timestamp;
use turnpike_policy::source::{ScriptedAnswer, UpstreamFailure};

use super::World;
use super::client::{Answer, Request, Sent};

/// What an upstream does with one call.
#[derive(Clone, Debug)]
pub(super) enum Does {
    Fails(Failure),
    Answers {
        status: u16,
        headers: Vec<(String, String)>,
        /// What it consists of: how long to wait, then which bytes.
        pieces: Vec<(u64, Vec<u8>)>,
        end: Ending,
    },
}

impl World {
    /// Asks an upstream. Says how long it takes, and what comes of it.
    pub(super) fn attempt(
        &mut self,
        attempt: &Attempt,
        request: &Request,
        answer: &mut Answer,
        now: Timestamp,
    ) -> (u64, Does) {
        let (after, does) = match &attempt.to {
            Upstream::Mock {
                status,
                headers,
                pieces,
                end,
            } => {
                let streams = headers
                    .iter()
                    .any(|(_, value)| value.starts_with("text/event-stream"));
                let mut pieces = pieces.clone();
                let mut after = 0;
                if let Some((wait, _)) = pieces.first_mut().filter(|_| !streams) {
                    after = std::mem::take(wait);
                }
                let headers = headers
                    .iter()
                    .map(|(name, value)| (name.to_string(), value.clone()))
                    .collect();
                let does = Does::Answers {
                    status: *status,
                    headers,
                    pieces,
                    end: *end,
                };
                (after, does)
            }
            Upstream::Http {
                url,
                method,
                set,
                credential,
                copy,
                body,
            } => {
                let mut headers: Vec<(String, String)> = Vec::new();
                let mut put = |name: &str, value: String| {
                    headers.retain(|(known, _)| known != name);
                    headers.push((name.to_owned(), value));
                };
                for name in copy.iter().flat_map(|list| self.engine.names(*list)) {
                    if let Some(value) = Request::value(&answer.request_headers, name) {
                        put(name, value);
                    }
                }
                for (name, value) in set {
                    put(name, value.clone());
                }
                // Its value is nobody's business here.
                if let Some(carried) = credential {
                    let value = match &carried.value {
                        Value::Secret(name) => name.clone(),
                        Value::Signed { claims, .. } => format!("token that says {claims}"),
                        Value::Granted(token) => format!("token of {}", token.endpoint),
                    };
                    put(&carried.header, format!("{}<{value}>", carried.prefix));
                }
                headers.sort();
                let client = request.body.clone().unwrap_or_default();
                let body = match body {
                    Outgoing::None => Vec::new(),
                    Outgoing::Client => client,
                    Outgoing::Held(edits) => turnpike_llm::chat::apply(&client, edits),
                };
                let scripted = self.scripted();
                let is_model = matches!(
                    attempt.to,
                    Upstream::Http {
                        body: Outgoing::Held(_),
                        ..
                    }
                );
                let played = match &scripted {
                    Some(answer) => play(answer),
                    None if is_model => (0, completes(&body, now)),
                    None => (0, empty()),
                };
                answer.sent.push(Sent {
                    url: url.clone(),
                    method: (*method).to_owned(),
                    headers,
                    body,
                    scripted: scripted.is_some(),
                });
                played
            }
        };
        match does {
            Does::Fails(Failure::Timeout) => (attempt.within, does),
            Does::Answers { .. } if after > attempt.within => (attempt.within, Does::Fails(Failure::Timeout)),
            _ => (after, does),
        }
    }
}

fn play(answer: &ScriptedAnswer) -> (u64, Does) {
    let does = match answer.fails {
        Some(UpstreamFailure::Unreachable) => Does::Fails(Failure::Unreachable),
        Some(UpstreamFailure::Timeout) => Does::Fails(Failure::Timeout),
        None => Does::Answers {
            status: answer.status,
            headers: answer.headers.clone(),
            pieces: vec![(0, answer.body.clone())],
            end: Ending::Close,
        },
    };
    (answer.after, does)
}

/// What an API answers of which nothing was said.
fn empty() -> Does {
    Does::Answers {
        status: 200,
        headers: vec![("content-type".to_owned(), "application/json".to_owned())],
        pieces: vec![(0, b"{}".to_vec())],
        end: Ending::Close,
    }
}

/// What a model answers of which nothing was said: a completion that says `ok`.
fn completes(body: &[u8], now: Timestamp) -> Does {
    let asked: serde_json::Value = serde_json::from_slice(body).unwrap_or_default();
    let script = Script {
        status: 200,
        retry_after: None,
        text: "ok".to_owned(),
        tool_calls: Vec::new(),
        usage: None,
        first_delay: 0,
        delay: 0,
        end: ScriptEnd::Clean,
    };
    let output = turnpike_llm::mock::render(
        &script,
        &MockRequest {
            model: asked
                .get("model")
                .and_then(|model| model.as_str())
                .unwrap_or("model"),
            user_text: "",
            stream: asked.get("stream") == Some(&true.into()),
            usage_wanted: true,
            seed: 1,
            created: now / 1000,
        },
    );
    Does::Answers {
        status: output.status,
        headers: vec![("content-type".to_owned(), output.content_type.to_owned())],
        pieces: output.pieces,
        end: Ending::Close,
    }
}

/// Reads an answer whole. Says how long that takes.
pub(super) fn read_answer(does: Option<&Does>, max: u64, within: u64) -> (u64, Result<Vec<u8>, Failure>) {
    let Some(Does::Answers { pieces, end, .. }) = does else {
        return (0, Err(Failure::Unreachable));
    };
    let mut took: u64 = 0;
    let mut body = Vec::new();
    for (wait, piece) in pieces {
        took = took.saturating_add(*wait);
        if took > within {
            return (within, Err(Failure::Timeout));
        }
        body.extend_from_slice(piece);
        if u64::try_from(body.len()).is_ok_and(|length| length > max) {
            return (took, Err(Failure::TooLarge));
        }
    }
    match end {
        Ending::Close => (took, Ok(body)),
        Ending::Lose => (took, Err(Failure::Unreachable)),
        Ending::Stall => (within, Err(Failure::Timeout)),
    }
}
