//! Answers in one piece, errors, mocks and the list of models.
#![expect(clippy::unwrap_used, clippy::indexing_slicing, reason = "these are tests")]

use proptest::prelude::*;
use serde_json::{Value, json};
use turnpike_llm::answer::{AnswerError, Finish, scan};
use turnpike_llm::mock::{
    MockOutput, MockRequest, OutputEnd, Script, ScriptEnd, ToolCall, count_tokens, render,
};
use turnpike_llm::stream::{End, Failure, Filter, Watch};
use turnpike_llm::{error, models};

#[test]
fn scans_completions() {
    let body = json!({"choices": [
        {"message": {"role": "assistant", "content": "héllo"}, "finish_reason": "stop"},
        {"message": {"content": null, "tool_calls": [{"function": {"name": "f", "arguments": "{}"}}]},
         "finish_reason": "tool_calls"},
        {"message": {}},
    ], "usage": {"prompt_tokens": 3, "completion_tokens": 4, "total_tokens": 7}});
    let answer = scan(body.to_string().as_bytes()).unwrap();
    assert_eq!(
        answer.finish_reasons,
        [Finish::Stop, Finish::ToolCalls, Finish::Missing]
    );
    assert_eq!(answer.characters, 8);
    assert_eq!(answer.usage.unwrap().total(), 7);
    let malformed: &[&str] = &[
        "",
        "[]",
        "[[],null,null]",
        "\"x\"",
        "<html>",
        r#"{"choices":{}}"#,
        r#"{"choices":[{}]}"#,
        r#"{"choices":[5]}"#,
        r#"{"choices":[{"message":{}}]"#,
        r#"{"choices":[{"message":{}}]} x"#,
    ];
    for body in malformed {
        assert!(
            matches!(scan(body.as_bytes()), Err(AnswerError::Malformed { .. })),
            "{body}"
        );
    }
    assert_eq!(scan(b"{}"), Err(AnswerError::NoChoices));
    assert_eq!(
        scan(br#"{"choices":[],"error":null}"#),
        Err(AnswerError::NoChoices)
    );
    let reported = AnswerError::Reported {
        code: "overloaded".to_owned(),
    };
    assert_eq!(
        scan(br#"{"error":{"message":"x","code":"overloaded"}}"#),
        Err(reported)
    );
}

#[test]
fn scans_the_recorded_answers() {
    let root = std::env::var_os("TURNPIKE_DATA").map_or_else(
        || std::path::Path::new(env!("CARGO_MANIFEST_DIR")).join("../../../shared/data"),
        std::path::PathBuf::from,
    );
    let dir = root.join("translation/response/completions");
    if !dir.is_dir() {
        println!(
            "SKIPPED: no recorded answers in {} (set TURNPIKE_DATA)",
            dir.display()
        );
        return;
    }
    for (name, total, finish) in [
        ("basic.json", 40, Finish::Stop),
        ("tool_call.json", 43, Finish::ToolCalls),
        ("openrouter_reasoning.json", 819, Finish::Stop),
        ("audio.json", 0, Finish::Stop),
    ] {
        let answer = scan(&std::fs::read(dir.join(name)).unwrap()).unwrap();
        assert_eq!(answer.finish_reasons, [finish], "{name}");
        let usage = answer.usage.unwrap();
        if total > 0 {
            assert_eq!(usage.total(), total, "{name}");
            assert!(answer.characters > 0);
        }
    }
}

#[test]
fn errors_have_the_shape_that_sdks_read() {
    let body = error::body(
        429,
        "rate_limited",
        "slow \"down\"\n",
        "r1",
        Some("model"),
        Some("p:3"),
    );
    let value: Value = serde_json::from_slice(&body).unwrap();
    assert_eq!(
        value,
        json!({"error": {"message": "slow \"down\"\n", "type": "rate_limit_error", "param": "model",
            "code": "rate_limited", "request_id": "r1", "policy": "p:3"}})
    );
    assert!(error::is_error(&body));
    for no in [
        "{}",
        "[[\"x\"]]",
        "{\"error\":\"x\"}",
        "{\"error\":{\"message\":5}}",
        "x",
    ] {
        assert!(!error::is_error(no.as_bytes()), "{no}");
    }
    let body: Value = serde_json::from_slice(&error::body(401, "c", "m", "r", None, None)).unwrap();
    assert_eq!(body["error"]["param"], Value::Null);
    assert!(body["error"].get("policy").is_none());
    for (status, kind) in [
        (400, "invalid_request_error"),
        (401, "authentication_error"),
        (403, "permission_error"),
        (404, "not_found_error"),
        (413, "invalid_request_error"),
        (429, "rate_limit_error"),
        (500, "server_error"),
        (503, "server_error"),
    ] {
        assert_eq!(error::kind(status), kind);
    }
    let event = error::event(502, "stream_cut", "a\nb", "r1");
    let mut watch = Watch::new();
    watch.feed(&event);
    let failure = Failure::Reported {
        code: "stream_cut".to_owned(),
    };
    assert_eq!(watch.failure(), Some(&failure));
}

#[test]
fn lists_models() {
    let list: Value = serde_json::from_slice(&models::list([("a\"b", "team"), ("c", "t")])).unwrap();
    assert_eq!(list["object"], "list");
    assert_eq!(
        list["data"][0],
        json!({"id": "a\"b", "object": "model", "created": 0, "owned_by": "team"})
    );
    let one: Value = serde_json::from_slice(&models::one("c", "t")).unwrap();
    assert_eq!(list["data"][1], one);
    assert_eq!(models::list([]), br#"{"object":"list","data":[]}"#);
}

const fn request(user_text: &str, stream: bool) -> MockRequest<'_> {
    MockRequest {
        model: "fast",
        user_text,
        stream,
        usage_wanted: true,
        seed: 7,
        created: 1000,
    }
}

fn bytes(output: &MockOutput) -> Vec<u8> {
    output
        .pieces
        .iter()
        .flat_map(|(_, piece)| piece.clone())
        .collect()
}

/// Puts a stream together as an SDK does: text, and each call's id, name and arguments by index.
fn assemble(stream: &[u8]) -> (String, Vec<[String; 3]>, Value, String) {
    let (mut text, mut calls, mut usage) = (String::new(), Vec::<[String; 3]>::new(), Value::Null);
    let mut finish = String::new();
    for line in str::from_utf8(stream)
        .unwrap()
        .lines()
        .filter(|line| !line.is_empty())
    {
        let data = line.strip_prefix("data: ").unwrap();
        if data == "[DONE]" {
            continue;
        }
        let chunk: Value = serde_json::from_str(data).unwrap();
        assert_eq!(chunk["object"], "chat.completion.chunk");
        assert_eq!(chunk["model"], "fast");
        if chunk["usage"].is_object() {
            usage = chunk["usage"].clone();
        }
        let Some(choice) = chunk["choices"].get(0) else {
            continue;
        };
        text.push_str(choice["delta"]["content"].as_str().unwrap_or_default());
        for call in choice["delta"]["tool_calls"].as_array().unwrap_or(&Vec::new()) {
            let index = usize::try_from(call["index"].as_u64().unwrap()).unwrap();
            if index == calls.len() {
                assert_eq!(call["type"], "function");
                calls.push([
                    call["id"].as_str().unwrap().to_owned(),
                    call["function"]["name"].as_str().unwrap().to_owned(),
                    String::new(),
                ]);
            } else {
                assert!(call.get("id").is_none() && index + 1 == calls.len());
            }
            calls[index][2].push_str(call["function"]["arguments"].as_str().unwrap());
        }
        if let Some(reason) = choice["finish_reason"].as_str() {
            reason.clone_into(&mut finish);
        }
    }
    (text, calls, usage, finish)
}

#[test]
fn a_mock_says_the_same_in_both_modes() {
    let call = |name: &str, arguments: &str| ToolCall {
        name: name.to_owned(),
        arguments: arguments.to_owned(),
    };
    let scripts = [
        Script {
            text: "Hello there, {{model}}: {{last_user_message}}!  \n".to_owned(),
            ..Script::default()
        },
        Script {
            text: "x".to_owned(),
            usage: Some((5, 6)),
            ..Script::default()
        },
        Script {
            tool_calls: vec![call("get", r#"{"city":"Zürich","n":1}"#), call("b", "{}")],
            ..Script::default()
        },
        Script {
            text: "Wait".to_owned(),
            tool_calls: vec![call("c", "")],
            ..Script::default()
        },
        Script::default(),
    ];
    for script in scripts {
        let user = "say \"{{model}}\" {{last_user_message}}";
        let whole = render(&script, &request(user, false));
        assert_eq!(whole, render(&script, &request(user, false)));
        assert_eq!((whole.status, whole.content_type), (200, "application/json"));
        let body: Value = serde_json::from_slice(&bytes(&whole)).unwrap();
        let answer = scan(&bytes(&whole)).unwrap();
        let streamed = render(&script, &request(user, true));
        assert_eq!(streamed.content_type, "text/event-stream");
        let (text, calls, usage, finish) = assemble(&bytes(&streamed));
        let message = &body["choices"][0]["message"];
        assert_eq!(message["content"].as_str().unwrap_or_default(), text);
        assert_eq!(body["choices"][0]["finish_reason"], finish.as_str());
        assert_eq!(body["usage"], usage);
        let whole_calls: Vec<[String; 3]> = message["tool_calls"]
            .as_array()
            .unwrap_or(&Vec::new())
            .iter()
            .map(|call| {
                let of = |value: &Value| value.as_str().unwrap().to_owned();
                [
                    of(&call["id"]),
                    of(&call["function"]["name"]),
                    of(&call["function"]["arguments"]),
                ]
            })
            .collect();
        assert_eq!(whole_calls, calls);
        let mut watch = Watch::new();
        watch.feed(&bytes(&streamed));
        assert_eq!(watch.end(), End::Whole);
        assert_eq!(watch.usage(), answer.usage);
        assert_eq!(watch.characters(), answer.characters);
        if script.text.contains("{{") {
            assert_eq!(text, format!("Hello there, fast: {user}!  \n"));
        }
        if script.usage.is_some() {
            assert_eq!(watch.usage().unwrap().total(), 11);
        }
        // Without usage wanted there is none, and the filter takes it out where there is.
        let bare = render(
            &script,
            &MockRequest {
                usage_wanted: false,
                ..request(user, true)
            },
        );
        let bare = String::from_utf8(bytes(&bare)).unwrap();
        let (mut filter, mut out) = (Filter::new(), Vec::new());
        filter.feed(&bytes(&streamed), &mut out);
        assert_eq!(
            String::from_utf8(out).unwrap().replace(",\"usage\":null", ""),
            bare
        );
    }
}

#[test]
fn mocks_fail_as_they_are_told() {
    let script = Script {
        text: "a b c".to_owned(),
        first_delay: 30,
        delay: 5,
        ..Script::default()
    };
    let play = |end, stream| {
        render(
            &Script {
                end,
                ..script.clone()
            },
            &request("", stream),
        )
    };
    let clean = play(ScriptEnd::Clean, true);
    let delays: Vec<u64> = clean.pieces.iter().map(|(delay, _)| *delay).collect();
    assert_eq!(delays, [30, 5, 5, 5, 5, 5, 5]);
    assert_eq!(clean.end, OutputEnd::Close);
    for sent in [1, 3, 100] {
        for (end, expected) in [
            (ScriptEnd::Cut(sent), OutputEnd::Abort),
            (ScriptEnd::Stall(sent), OutputEnd::Hang),
            (ScriptEnd::NoTerminator(sent), OutputEnd::Close),
        ] {
            let output = play(end, true);
            assert_eq!(output.end, expected);
            let count = usize::try_from(sent).unwrap().min(6);
            assert_eq!(output.pieces, clean.pieces[..count]);
            let mut watch = Watch::new();
            watch.feed(&bytes(&output));
            assert_eq!(watch.end(), End::NoTerminator);
            let half = play(end, false);
            assert!(scan(&bytes(&half)).is_err());
            assert_eq!(half.pieces[0].0, 30);
        }
    }
    assert_eq!(play(ScriptEnd::Cut(0), true).pieces, [(30, Vec::new())]);
    assert_eq!(play(ScriptEnd::Stall(0), false).pieces, [(30, Vec::new())]);

    let failing = Script {
        status: 429,
        retry_after: Some(3),
        ..Script::default()
    };
    for stream in [false, true] {
        let output = render(&failing, &request("", stream));
        assert_eq!((output.status, output.retry_after), (429, Some(3)));
        assert_eq!(output.content_type, "application/json");
        assert!(error::is_error(&bytes(&output)));
    }
}

#[test]
fn counts_tokens() {
    for (text, tokens) in [
        ("", 0),
        ("  ", 0),
        ("a", 1),
        ("abcd e", 2),
        ("abcde", 2),
        ("é é é", 3),
    ] {
        assert_eq!(count_tokens(text), tokens, "{text}");
    }
}

proptest! {
    #[test]
    fn any_text_survives_a_mock(text in ".{0,80}", user in ".{0,20}", seed in any::<u64>()) {
        let script = Script { text, ..Script::default() };
        let of = |stream| MockRequest { seed, ..request(&user, stream) };
        let body: Value = serde_json::from_slice(&bytes(&render(&script, &of(false)))).unwrap();
        let (text, _, usage, _) = assemble(&bytes(&render(&script, &of(true))));
        prop_assert_eq!(body["choices"][0]["message"]["content"].as_str().unwrap(), text.as_str());
        prop_assert_eq!(&body["usage"], &usage);
    }

    #[test]
    fn arbitrary_answers_never_panic(bytes in prop::collection::vec(any::<u8>(), 0..200)) {
        let _ = scan(&bytes);
        let _ = error::is_error(&bytes);
    }
}

#[test]
fn what_was_written_to_a_cache_is_read_as_each_provider_says_it() {
    for (details, expected) in [
        (
            r#""prompt_tokens_details":{"cached_tokens":40,"cache_write_tokens":30}"#,
            (40, 30),
        ),
        (
            r#""prompt_tokens_details":{"cached_tokens":40,"cache_creation_tokens":30},"cache_creation_input_tokens":30"#,
            (40, 30),
        ),
        (
            r#""prompt_tokens_details":{"cache_creation_input_tokens":30}"#,
            (0, 30),
        ),
        (
            r#""prompt_tokens_details":null,"cache_creation_input_tokens":7"#,
            (0, 7),
        ),
        // No more than what was read and did not come from the cache.
        (
            r#""prompt_tokens_details":{"cached_tokens":40,"cache_write_tokens":99}"#,
            (40, 60),
        ),
        (r#""prompt_tokens_details":{"cached_tokens":0}"#, (0, 0)),
    ] {
        let answer = format!(
            r#"{{"id":"c1","object":"chat.completion","created":1,"model":"m","choices":[{{"index":0,"message":{{"role":"assistant","content":"Hi"}},"finish_reason":"stop"}}],"usage":{{"prompt_tokens":100,"completion_tokens":5,"total_tokens":105,{details}}}}}"#
        );
        let usage = scan(answer.as_bytes()).expect("an answer").usage.expect("usage");
        assert_eq!(
            (usage.cached_tokens, usage.cache_write_tokens),
            expected,
            "{details}"
        );
    }
}
