//! Requests: what is read of them, what is changed in them, what is refused.
#![expect(clippy::panic, clippy::string_slice, reason = "these are tests")]

use proptest::prelude::*;
use serde_json::{Value, json};
use turnpike_llm::chat::{
    CapMember, LAST_MESSAGE_LIMIT, OutputCap, Peek, PeekErrorKind, apply, edits, edits_capped, last_message,
    peek, unseen,
};

fn ok(body: &str) -> Peek {
    peek(body.as_bytes()).unwrap_or_else(|error| panic!("{body}: {error}"))
}

/// What a call may come to that its bytes do not show.
#[test]
fn unseen_is_what_bytes_do_not_show() {
    let read = |body: &str| unseen(body.as_bytes()).map(|unseen| (unseen.media, unseen.tier));
    for (body, expected) in [
        (
            r#"{"messages":[{"role":"user","content":"hi"}]}"#,
            Some((0, false)),
        ),
        (
            r#"{"messages":[{"content":[{"type":"text","text":"a"},{"type":"image_url"},{}]}]}"#,
            Some((2, false)),
        ),
        // An answer that was spoken is named, and read again.
        (
            r#"{"messages":[{"role":"assistant","audio":{"id":"a"}},{"audio":null}]}"#,
            Some((1, false)),
        ),
        (r#"{"messages":[],"service_tier":"default"}"#, Some((0, false))),
        (r#"{"messages":[],"service_tier":"priority"}"#, Some((0, true))),
        (
            r#"{"messages":[],"service_tier":"default","service_tier":"priority"}"#,
            None,
        ),
        (r#"{"messages":[{"content":"a","content":[]}]}"#, None),
        (r#"{"messages":{}}"#, None),
        (r"{}", None),
    ] {
        assert_eq!(read(body), expected, "{body}");
    }
}

#[test]
fn reads_what_is_asked_for() {
    let body = r#" {"messages":[{"role":"user","content":"\"model\":\"no\""}],
        "model" : "fast", "stream":true,"max_tokens":7,"max_completion_tokens":9,"n":2,
        "tools":[{"type":"function"}],"x":{"model":"other","stream":false}} "#;
    let found = ok(body);
    assert_eq!(found.model, "fast");
    let span = found.model_span;
    assert_eq!(&body[span.start as usize..span.end as usize], "\"fast\"");
    assert!(found.stream && found.has_tools && !found.usage_wanted);
    assert_eq!((found.max_tokens, found.n), (Some(7), 2));
    assert_eq!((found.insert_at, found.body_len as usize), (2, body.len()));

    let plain = ok(r#"{"model":"m","stream":null,"max_tokens":null,"n":null,"tools":[ ]}"#);
    assert!(!plain.stream && !plain.has_tools);
    assert_eq!((plain.max_tokens, plain.n), (None, 1));
    assert_eq!(ok(r#"{"model":"\u0066ast"}"#).model, "fast");
    assert_eq!(ok("{\"mod\\u0065l\":\"fast\"}").model, "fast");
    assert!(ok(r#"{"model":"m","functions":[{}]}"#).has_tools);
    assert!(ok(r#"{"model":"m","stream_options":{"include_usage":true}}"#).usage_wanted);
    // Numbers and escapes that nobody reads are the upstream's matter.
    ok(r#"{"model":"m","temperature":1e999999,"seed":123456789012345678901234567890,"s":"\ud800"}"#);
}

#[test]
#[expect(clippy::too_many_lines, reason = "a table")]
fn refuses_with_place_and_remedy() {
    let long = format!("{{\"model\":\"{}\"}}", "x".repeat(257));
    let cases: &[(&[u8], &str)] = &[
        (b"", "the body is empty: send a JSON object"),
        (b" \n ", "the body is empty: send a JSON object"),
        (b"[1]", "the body must be a JSON object (at line 1 column 1)"),
        (
            b"\"secret\"",
            "the body must be a JSON object (at line 1 column 1)",
        ),
        (b"hello", "invalid JSON at line 1 column 1: expected value"),
        (
            b"{\"model\":\"m\"} {",
            "invalid JSON at line 1 column 15: trailing characters",
        ),
        (
            b"{\"model\":\n\"m\",}",
            "invalid JSON at line 2 column 5: trailing comma",
        ),
        (
            b"{\"model\":\"m\"",
            "invalid JSON at line 1 column 12: EOF while parsing an object",
        ),
        (
            b"{\"model\":\"m\",\"a\":01}",
            "invalid JSON at line 1 column 19: invalid number",
        ),
        (
            b"{\"model\":\"m\",\"a\":NaN}",
            "invalid JSON at line 1 column 18: expected value",
        ),
        (
            b"{\"model\":\"a\xff\"}",
            "invalid UTF-8 at line 1 column 12: send JSON as UTF-8",
        ),
        (
            b"\xEF\xBB\xBF{}",
            "invalid JSON at line 1 column 1: send it without a byte order mark",
        ),
        (b"{}", "`model` is missing: add it"),
        (b"{\"model\":5}", "`model` must be a string (at line 1 column 10)"),
        (
            b"{\"model\":null}",
            "`model` must be a string (at line 1 column 10)",
        ),
        (
            b"{\"model\":\"\\ud800\"}",
            "`model` must be a string (at line 1 column 10)",
        ),
        (
            b"{\"model\":\"\"}",
            "`model` must be a name of 1 to 256 bytes (at line 1 column 10)",
        ),
        (
            long.as_bytes(),
            "`model` must be a name of 1 to 256 bytes (at line 1 column 10)",
        ),
        (
            b"{\"model\":\"m\",\n \"stream\":1}",
            "`stream` must be true or false (at line 2 column 11)",
        ),
        (
            b"{\"model\":\"m\",\"model\":\"secret\"}",
            "`model` is given twice (again at line 1 column 22): give it once",
        ),
        (
            b"{\"model\":\"m\",\"mo\\u0064el\":\"x\"}",
            "`model` is given twice (again at line 1 column 27): give it once",
        ),
        (
            b"{\"model\":\"m\",\"n\":1,\"n\":9}",
            "`n` is given twice (again at line 1 column 24): give it once",
        ),
        (
            "{\"model\":\"m\",\"ſtream\":true}".as_bytes(),
            "a member at line 1 column 24 differs from `stream` only in the case of its letters: write `stream`",
        ),
        (
            b"{\"model\":\"m\",\"n\":0}",
            "`n` must be a whole number of at least 1 (at line 1 column 18)",
        ),
        (
            b"{\"model\":\"m\",\"max_tokens\":1e3}",
            "`max_tokens` must be a whole number of tokens, written in digits (at line 1 column 27)",
        ),
        (
            b"{\"model\":\"m\",\"max_tokens\":-1}",
            "`max_tokens` must be a whole number of tokens, written in digits (at line 1 column 27)",
        ),
        (
            b"{\"model\":\"m\",\"stream_options\":[]}",
            "`stream_options` must be an object (at line 1 column 31)",
        ),
        (
            b"{\"model\":\"m\",\"stream_options\":{\"include_usage\":\"yes\"}}",
            "`stream_options.include_usage` must be true or false (at line 1 column 48)",
        ),
        (
            b"{\"model\":\"m\",\"stream_options\":{\"include_usage\":true,\"include_usage\":false}}",
            "`stream_options.include_usage` is given twice (again at line 1 column 69): give it once",
        ),
    ];
    for (body, expected) in cases {
        let error = peek(body).expect_err(&String::from_utf8_lossy(body));
        assert_eq!(error.to_string(), *expected, "{}", String::from_utf8_lossy(body));
        assert!(!error.to_string().contains("secret"));
        assert!(error.offset <= body.len());
    }
    let error = peek(br#"{"model":"m","MODEL":"x"}"#).unwrap_err();
    assert_eq!(error.kind, PeekErrorKind::Lookalike("model"));
    assert_eq!(error.kind.param(), Some("model"));
}

#[test]
fn members_that_would_lead_the_call_elsewhere_are_refused() {
    for (member, name) in [
        (r#""models":["other"]"#, "models"),
        (r#""route":"fallback""#, "route"),
        (r#""provider":{"order":["other"]}"#, "provider"),
        (r#""Fallbacks":[]"#, "fallbacks"),
        (r#""api_base":"https://elsewhere.example""#, "api_base"),
        (r#""api_\u006bey":"k""#, "api_key"),
    ] {
        let body = format!(r#"{{"model":"m",{member},"messages":[]}}"#);
        let error = peek(body.as_bytes()).expect_err(member);
        assert_eq!(error.kind, PeekErrorKind::Steering(name), "{member}");
        assert!(error.to_string().contains("leave it out"), "{error}");
    }
    // A member of another kind may bear such a name.
    let body = br#"{"model":"m","messages":[],"metadata":{"route":"A7"}}"#;
    assert!(peek(body).is_ok());
}

#[test]
fn depth_is_harmless() {
    for open in ["[", "{\"a\":"] {
        let deep = format!("{{\"model\":\"m\",\"x\":{}", open.repeat(200_000));
        assert!(peek(deep.as_bytes()).is_err());
        last_message(deep.as_bytes());
    }
    let deep = format!(
        "{{\"model\":\"m\",\"x\":{}{}}}",
        "[".repeat(200_000),
        "]".repeat(200_000)
    );
    assert_eq!(ok(&deep).model, "m");
    let deep = format!(
        "{{\"messages\":[{}{}]}}",
        "[".repeat(200_000),
        "]".repeat(200_000)
    );
    last_message(deep.as_bytes());
}

#[test]
fn edits_change_only_what_they_must() {
    let cases = [
        (r#"{"model":"m"}"#, r#"{"model":"up"}"#),
        (r#"{"model":"\u0075p"}"#, r#"{"model":"\u0075p"}"#),
        (
            r#"{"model":"m","stream":true}"#,
            r#"{"stream_options":{"include_usage":true},"model":"up","stream":true}"#,
        ),
        (
            r#"{"stream":true,"stream_options":null,"model":"up"}"#,
            r#"{"stream":true,"stream_options":{"include_usage":true},"model":"up"}"#,
        ),
        (
            r#"{"stream":true,"stream_options":{ },"model":"m"}"#,
            r#"{"stream":true,"stream_options":{"include_usage":true },"model":"up"}"#,
        ),
        (
            r#"{"stream":true,"model":"up","stream_options":{"include_obfuscation":false}}"#,
            r#"{"stream":true,"model":"up","stream_options":{"include_usage":true,"include_obfuscation":false}}"#,
        ),
        (
            r#"{"stream":true,"model":"up","stream_options":{"a":1, "include_usage" : false}}"#,
            r#"{"stream":true,"model":"up","stream_options":{"a":1, "include_usage" : true}}"#,
        ),
        (
            r#"{"stream":true,"model":"up","stream_options":{"include_usage":true}}"#,
            r#"{"stream":true,"model":"up","stream_options":{"include_usage":true}}"#,
        ),
    ];
    for (body, expected) in cases {
        let edits = edits(&ok(body), "up");
        assert_eq!(
            String::from_utf8(apply(body.as_bytes(), &edits)).unwrap(),
            expected
        );
    }
}

#[test]
fn caps_the_output() {
    let cases = [
        (r#"{"model":"m"}"#, r#"{"max_tokens":100,"model":"m"}"#),
        (
            r#"{"model":"m","max_tokens":null}"#,
            r#"{"model":"m","max_tokens":100}"#,
        ),
        (
            r#"{"model":"m","max_tokens":99}"#,
            r#"{"model":"m","max_tokens":99}"#,
        ),
        (
            r#"{"model":"m","max_tokens":101}"#,
            r#"{"model":"m","max_tokens":100}"#,
        ),
        (
            r#"{"model":"m","max_tokens":500,"max_completion_tokens":50}"#,
            r#"{"model":"m","max_tokens":50,"max_completion_tokens":null}"#,
        ),
        (
            r#"{"model":"m","max_completion_tokens":500}"#,
            r#"{"max_tokens":100,"model":"m","max_completion_tokens":null}"#,
        ),
        (
            r#"{"model":"m","max_completion_tokens":7,"max_tokens":null}"#,
            r#"{"model":"m","max_completion_tokens":null,"max_tokens":7}"#,
        ),
    ];
    for (body, expected) in cases {
        let cap = OutputCap {
            tokens: 100,
            member: CapMember::MaxTokens,
        };
        let edits = edits_capped(&ok(body), "m", Some(cap));
        assert_eq!(
            String::from_utf8(apply(body.as_bytes(), &edits)).unwrap(),
            expected
        );
    }
}

#[test]
fn finds_what_was_said_last() {
    let body = json!({"tools": [{}], "messages": [
        {"role": "system", "content": "be brief"},
        {"role": "user", "content": "first"},
        {"role": "user", "content": [
            {"type": "text", "text": "one \"two\""},
            {"type": "image_url", "image_url": {"url": "data:", "text": "no"}},
            {"type": "text", "text": "três 🎉"},
        ]},
        {"role": "assistant", "content": null, "tool_calls": []},
        {"role": "tool", "tool_call_id": "x", "content": "42"},
    ]});
    let last = last_message(body.to_string().as_bytes()).unwrap();
    assert_eq!(last.user_text, "one \"two\"\ntrês 🎉");
    assert!(last.tool_result && last.has_tools);

    let long = json!({"messages": [{"role": "user", "content": "é".repeat(LAST_MESSAGE_LIMIT)}]});
    let last = last_message(long.to_string().as_bytes()).unwrap();
    assert_eq!(last.user_text.len(), LAST_MESSAGE_LIMIT);
    assert!(!last.tool_result && !last.has_tools);
    for odd in [
        "",
        "[]",
        "{}",
        r#"{"messages":5}"#,
        r#"{"messages":[5]}"#,
        r#"{"messages":[]}"#,
        r#"{"messages":[{}]}"#,
        r#"{"messages":[{"role":7,"content":"hi"}]}"#,
        r#"{"messages":[{"role":"user","content":"hi"},"hi"]}"#,
        r#"{"messages":[{"role":"user","content":"hi"},{"content":"hi"}]}"#,
    ] {
        assert_eq!(last_message(odd.as_bytes()), None, "{odd}");
    }
}

fn value() -> impl Strategy<Value = Value> {
    let leaf = prop_oneof![
        Just(Value::Null),
        any::<bool>().prop_map(Value::from),
        any::<i64>().prop_map(Value::from),
        ".{0,12}".prop_map(Value::from),
    ];
    leaf.prop_recursive(3, 24, 4, |inner| {
        prop_oneof![
            prop::collection::vec(inner.clone(), 0..4).prop_map(Value::from),
            prop::collection::btree_map("[a-z_\"\\\\]{0,6}", inner, 0..4)
                .prop_map(|map| Value::Object(map.into_iter().collect())),
        ]
    })
}

proptest! {
    #[test]
    fn edited_bodies_differ_only_there(
        others in prop::collection::btree_map("x[a-z\"é]{1,6}", value(), 0..5),
        model in "[^\u{0}]{1,20}",
        upstream in ".{1,20}",
        stream in prop::option::of(any::<bool>()),
        options in prop_oneof![
            Just(None),
            Just(Some(Value::Null)),
            prop::collection::btree_map("[a-z]{3}", value(), 0..3)
                .prop_map(|map| Some(Value::Object(map.into_iter().collect()))),
            any::<bool>().prop_map(|usage| Some(json!({"a": 1, "include_usage": usage, "z": {}}))),
        ],
        pretty in any::<bool>(),
    ) {
        let mut body = Value::Object(others.into_iter().collect());
        body["model"] = model.into();
        if let Some(stream) = stream {
            body["stream"] = stream.into();
        }
        if let Some(options) = options {
            body["stream_options"] = options;
        }
        let text =
            if pretty { serde_json::to_string_pretty(&body) } else { serde_json::to_string(&body) }
                .unwrap();
        let found = peek(text.as_bytes()).unwrap();
        let packed = postcard::to_allocvec(&found).unwrap();
        prop_assert_eq!(&postcard::from_bytes::<Peek>(&packed).unwrap(), &found);
        let edits = edits(&found, &upstream);
        for pair in edits.windows(2) {
            prop_assert!(pair[0].at + pair[0].remove <= pair[1].at);
        }
        let edited: Value = serde_json::from_slice(&apply(text.as_bytes(), &edits)).unwrap();
        body["model"] = upstream.into();
        if stream == Some(true) {
            if body["stream_options"].is_null() {
                body["stream_options"] = json!({});
            }
            body["stream_options"]["include_usage"] = true.into();
        }
        prop_assert_eq!(edited, body);
    }

    #[test]
    fn arbitrary_bytes_never_panic(bytes in prop::collection::vec(any::<u8>(), 0..200)) {
        let _ = peek(&bytes).map_err(|error| error.to_string());
        let _ = last_message(&bytes);
        let mut wrapped = b"{\"model\":\"m\",\"stream_options\":{".to_vec();
        wrapped.extend_from_slice(&bytes);
        let _ = peek(&wrapped).map_err(|error| error.to_string());
    }

    #[test]
    fn what_is_taken_is_json(text in "[\\{\\}\\[\\]\",:a-z0-9\\\\ ]{0,60}") {
        let body = format!("{{\"model\":\"m\",{text}}}");
        if peek(body.as_bytes()).is_ok() {
            prop_assert!(serde_json::from_str::<serde::de::IgnoredAny>(&body).is_ok());
        }
    }
}
