//! From a script to the bytes of its answer.

use super::text::{count_tokens, fill, fragments, id, words};
use super::{MockOutput, MockRequest, OutputEnd, Script, ScriptEnd};
use crate::error;
use crate::json::{push_number, push_string};
use crate::usage::Usage;

/// Plays `script` as the answer to `request`.
pub fn render(script: &Script, request: &MockRequest<'_>) -> MockOutput {
    let answer = Answer {
        script,
        request,
        text: fill(&script.text, request.model, request.user_text),
        id: id("chatcmpl-", request.seed, 29),
    };
    let status = if script.status == 0 { 200 } else { script.status };
    let (pieces, streamed) = match status {
        400.. => (vec![answer.failure(status)], false),
        _ if request.stream => (answer.chunks(), true),
        _ => (vec![answer.whole()], false),
    };
    let (pieces, end) = cut(pieces, streamed, script.end);
    let delays = std::iter::once(script.first_delay).chain(std::iter::repeat(script.delay));
    MockOutput {
        status,
        content_type: if streamed {
            "text/event-stream"
        } else {
            "application/json"
        },
        retry_after: script.retry_after.filter(|_| status >= 400),
        pieces: delays.zip(pieces).collect(),
        end,
    }
}

/// The pieces that are sent before the scripted end.
fn cut(mut pieces: Vec<Vec<u8>>, streamed: bool, end: ScriptEnd) -> (Vec<Vec<u8>>, OutputEnd) {
    let (sent, end) = match end {
        ScriptEnd::Clean => return (pieces, OutputEnd::Close),
        ScriptEnd::Cut(sent) => (sent, OutputEnd::Abort),
        ScriptEnd::Stall(sent) => (sent, OutputEnd::Hang),
        ScriptEnd::NoTerminator(sent) => (sent, OutputEnd::Close),
    };
    let sent = usize::try_from(sent).unwrap_or(usize::MAX);
    if sent == 0 {
        return (vec![Vec::new()], end);
    }
    if streamed {
        pieces.truncate(sent.min(pieces.len().saturating_sub(1)));
    } else if let Some(body) = pieces.first_mut() {
        body.truncate(body.len() / 2);
    }
    (pieces, end)
}

/// An answer being written.
struct Answer<'a> {
    script: &'a Script,
    request: &'a MockRequest<'a>,
    text: String,
    id: String,
}

impl Answer<'_> {
    fn usage(&self) -> Usage {
        let counted = || {
            let calls = self.script.tool_calls.iter();
            let calls = calls.map(|call| count_tokens(&call.name) + count_tokens(&call.arguments));
            (
                count_tokens(self.request.user_text),
                count_tokens(&self.text) + calls.sum::<u64>(),
            )
        };
        let given = self
            .script
            .usage
            .map(|(input, output)| (input.into(), output.into()));
        let (prompt_tokens, completion_tokens) = given.unwrap_or_else(counted);
        Usage {
            prompt_tokens,
            completion_tokens,
            ..Usage::default()
        }
    }

    fn finish_reason(&self) -> &'static str {
        if self.script.tool_calls.is_empty() {
            "stop"
        } else {
            "tool_calls"
        }
    }

    /// The id of a call, each its own.
    fn call_id(&self, index: u64) -> String {
        id(
            "call_",
            self.request.seed.rotate_left(32) ^ 0x746F_6F6C ^ index,
            24,
        )
    }

    /// An error body.
    fn failure(&self, status: u16) -> Vec<u8> {
        let (code, message) = match status {
            401 => ("invalid_api_key", "The mock refuses the API key."),
            403 => ("permission_denied", "The mock refuses access."),
            404 => ("model_not_found", "The mock does not know the model."),
            429 => ("rate_limit_exceeded", "The mock plays a rate limit."),
            503 | 529 => ("overloaded", "The mock plays an overload."),
            500.. => ("server_error", "The mock plays a failure."),
            _ => ("invalid_request", "The mock refuses the request."),
        };
        let message = if self.text.is_empty() { message } else { &self.text };
        error::body(status, code, message, &self.id, None, None)
    }

    /// What every object begins with.
    fn head(&self, object: &str, out: &mut Vec<u8>) {
        out.extend_from_slice(br#"{"id":"#);
        push_string(out, &self.id);
        out.extend_from_slice(br#","object":"#);
        push_string(out, object);
        out.extend_from_slice(br#","created":"#);
        push_number(out, self.request.created);
        out.extend_from_slice(br#","model":"#);
        push_string(out, self.request.model);
        out.extend_from_slice(br#","service_tier":"default","system_fingerprint":"fp_mock""#);
    }

    /// The answer in one piece.
    fn whole(&self) -> Vec<u8> {
        let mut out = Vec::with_capacity(768 + self.text.len());
        self.head("chat.completion", &mut out);
        out.extend_from_slice(br#","choices":[{"index":0,"message":{"role":"assistant","content":"#);
        let calls = &self.script.tool_calls;
        if self.text.is_empty() && !calls.is_empty() {
            out.extend_from_slice(b"null");
        } else {
            push_string(&mut out, &self.text);
        }
        for (index, call) in (0..).zip(calls) {
            let open: &[u8] = if index == 0 { br#","tool_calls":["# } else { b"," };
            out.extend_from_slice(open);
            out.extend_from_slice(br#"{"id":"#);
            push_string(&mut out, &self.call_id(index));
            out.extend_from_slice(br#","type":"function","function":{"name":"#);
            push_string(&mut out, &call.name);
            out.extend_from_slice(br#","arguments":"#);
            push_string(&mut out, &call.arguments);
            out.extend_from_slice(b"}}");
        }
        if !calls.is_empty() {
            out.push(b']');
        }
        out.extend_from_slice(br#","refusal":null,"annotations":[]},"logprobs":null,"finish_reason":"#);
        push_string(&mut out, self.finish_reason());
        out.extend_from_slice(br#"}],"usage":"#);
        self.usage().write(&mut out);
        out.push(b'}');
        out
    }

    /// The answer as the events of a stream.
    fn chunks(&self) -> Vec<Vec<u8>> {
        let mut head = b"data: ".to_vec();
        self.head("chat.completion.chunk", &mut head);
        let usage: &[u8] = if self.request.usage_wanted {
            br#","usage":null}"#
        } else {
            b"}"
        };
        let chunk = |delta: &[u8], finish_reason: &[u8]| -> Vec<u8> {
            [
                head.as_slice(),
                br#","choices":[{"index":0,"delta":"#,
                delta,
                br#","logprobs":null,"finish_reason":"#,
                finish_reason,
                b"}]",
                usage,
                b"\n\n",
            ]
            .concat()
        };
        let calls = &self.script.tool_calls;
        let role: &[u8] = if self.text.is_empty() && !calls.is_empty() {
            br#"{"role":"assistant","content":null,"refusal":null}"#
        } else {
            br#"{"role":"assistant","content":"","refusal":null}"#
        };
        let mut pieces = vec![chunk(role, b"null")];
        let mut delta = Vec::new();
        for word in words(&self.text) {
            delta.clear();
            delta.extend_from_slice(br#"{"content":"#);
            push_string(&mut delta, word);
            delta.push(b'}');
            pieces.push(chunk(&delta, b"null"));
        }
        for (index, call) in (0..).zip(calls) {
            delta.clear();
            delta.extend_from_slice(br#"{"tool_calls":[{"index":"#);
            push_number(&mut delta, index);
            let same = delta.len();
            delta.extend_from_slice(br#","id":"#);
            push_string(&mut delta, &self.call_id(index));
            delta.extend_from_slice(br#","type":"function","function":{"name":"#);
            push_string(&mut delta, &call.name);
            delta.extend_from_slice(br#","arguments":""}}]}"#);
            pieces.push(chunk(&delta, b"null"));
            for fragment in fragments(&call.arguments) {
                delta.truncate(same);
                delta.extend_from_slice(br#","function":{"arguments":"#);
                push_string(&mut delta, fragment);
                delta.extend_from_slice(b"}}]}");
                pieces.push(chunk(&delta, b"null"));
            }
        }
        let reason = format!("\"{}\"", self.finish_reason());
        pieces.push(chunk(b"{}", reason.as_bytes()));
        if self.request.usage_wanted {
            let mut last = head.clone();
            last.extend_from_slice(br#","choices":[],"usage":"#);
            self.usage().write(&mut last);
            last.extend_from_slice(b"}\n\n");
            pieces.push(last);
        }
        pieces.push(b"data: [DONE]\n\n".to_vec());
        pieces
    }
}
