//! Streams: cut anywhere, from several providers, broken in the ways that they break.
#![expect(clippy::unwrap_used, clippy::indexing_slicing, reason = "these are tests")]

use proptest::prelude::*;
use turnpike_llm::sse::{Decoder, TooLarge};
use turnpike_llm::stream::{End, Failure, Filter, Usage, Watch};

type Events = Vec<(String, String)>;

fn decode(pieces: &[&[u8]], limit: u32) -> (Events, Vec<u8>, Result<(), TooLarge>) {
    let mut decoder = Decoder::with_limit(limit);
    let (mut events, mut raw) = (Vec::new(), Vec::new());
    for piece in pieces {
        let fed = decoder.feed(piece, |block| {
            assert_eq!(block.position, raw.len() as u64);
            raw.extend_from_slice(block.raw);
            if let Some(event) = block.event {
                if let Some(at) = event.data_at {
                    assert_eq!(&block.raw[at..at + event.data.len()], event.data);
                }
                let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
                events.push((text(event.name), text(event.data)));
            }
        });
        if fed.is_err() {
            return (events, raw, fed);
        }
        let packed = postcard::to_allocvec(&decoder).unwrap();
        decoder = postcard::from_bytes(&packed).unwrap();
    }
    raw.extend_from_slice(decoder.pending());
    (events, raw, Ok(()))
}

/// The bytes cut at places drawn from `cuts`.
fn split<'a>(bytes: &'a [u8], cuts: &[usize]) -> Vec<&'a [u8]> {
    let mut places: Vec<usize> = cuts.iter().map(|cut| cut % (bytes.len() + 1)).collect();
    places.sort_unstable();
    places.insert(0, 0);
    places.push(bytes.len());
    places.windows(2).map(|pair| &bytes[pair[0]..pair[1]]).collect()
}

#[test]
fn reads_events_as_the_standard_says() {
    let cases: &[(&str, &[(&str, &str)])] = &[
        ("data: a\n\n", &[("", "a")]),
        ("data:a\r\rdata:b\r\r", &[("", "a"), ("", "b")]),
        ("data: a\r\n\r\ndata: b\r\n\r\n", &[("", "a"), ("", "b")]),
        ("\u{FEFF}data: a\n\n", &[("", "a")]),
        ("\u{FEFF}\ndata: a\n\n", &[("", "a")]),
        ("\u{FEFF}:c\ndata: a\n\n", &[("", "a")]),
        ("data: a\n\n\u{FEFF}data: b\n\n", &[("", "a")]),
        ("data:  a\ndata\ndata: b\n\n", &[("", " a\n\nb")]),
        ("data\ndata\n\n", &[("", "\n")]),
        ("data\n\ndata:\n\n", &[]),
        ("event: x\ndata: a\nid: 1\nretry: 5\n\n", &[("x", "a")]),
        ("event: x\n\ndata: a\n\n", &[("", "a")]),
        (": comment\n\n:\ndata: a\n: inside\ndata: b\n\n", &[("", "a\nb")]),
        ("data: a\n", &[]),
        ("database: a\nDATA: b\n data: c\n\n", &[]),
        ("\n\n\r\n\rdata: a\n\n", &[("", "a")]),
    ];
    for (stream, expected) in cases {
        let expected: Events = expected
            .iter()
            .map(|(name, data)| ((*name).to_owned(), (*data).to_owned()))
            .collect();
        let bytes = stream.as_bytes();
        let single: Vec<&[u8]> = bytes.chunks(1).collect();
        for pieces in [vec![bytes], single, bytes.chunks(3).collect()] {
            let (events, raw, fed) = decode(&pieces, 1000);
            assert_eq!(
                (events, raw.as_slice(), fed),
                (expected.clone(), bytes, Ok(())),
                "{stream:?}"
            );
        }
    }
}

#[test]
fn comments_are_handed_out_at_once() {
    let mut decoder = Decoder::default();
    let mut seen = Vec::new();
    decoder
        .feed(b": ping\n", |block| seen.extend_from_slice(block.raw))
        .unwrap();
    assert_eq!(seen, b": ping\n");
}

#[test]
fn bounds_an_event() {
    let fits = format!("data: {}\n\n", "x".repeat(93));
    let more = format!("data: {}\n\n", "x".repeat(94));
    for size in [1, 7, 1000] {
        let fits: Vec<&[u8]> = fits.as_bytes().chunks(size).collect();
        assert_eq!(decode(&fits, 100).2, Ok(()));
        let more: Vec<&[u8]> = more.as_bytes().chunks(size).collect();
        assert_eq!(decode(&more, 100).2, Err(TooLarge));
    }
    // An event of a mebibyte, byte by byte, costs no more than its bytes.
    let large = format!("data: {}\ndata: y\n\n", "x".repeat(1_000_000));
    let mut decoder = Decoder::default();
    let mut count = 0;
    for byte in large.as_bytes().chunks(1) {
        decoder.feed(byte, |_| count += 1).unwrap();
    }
    assert_eq!(count, 1);
}

/// Follows a stream in one piece and byte by byte; both must agree.
fn watch(stream: &str) -> Watch {
    let mut whole = Watch::new();
    whole.feed(stream.as_bytes());
    let mut state = postcard::to_allocvec(&Watch::new()).unwrap();
    for byte in stream.as_bytes().chunks(1) {
        let mut watch: Watch = postcard::from_bytes(&state).unwrap();
        watch.feed(byte);
        state = postcard::to_allocvec(&watch).unwrap();
    }
    let single: Watch = postcard::from_bytes(&state).unwrap();
    assert_eq!(
        (
            whole.started(),
            whole.usage(),
            whole.finished(),
            whole.events(),
            whole.characters()
        ),
        (
            single.started(),
            single.usage(),
            single.finished(),
            single.events(),
            single.characters()
        ),
    );
    assert_eq!(whole.end(), single.end());
    whole
}

/// Filters a stream in one piece and byte by byte; both must agree.
fn filter(stream: &str) -> String {
    let mut out = Vec::new();
    let mut whole = Filter::new();
    whole.feed(stream.as_bytes(), &mut out);
    whole.finish(&mut out);
    let (mut single, mut bytes) = (Filter::new(), Vec::new());
    for byte in stream.as_bytes().chunks(1) {
        single.feed(byte, &mut bytes);
        let packed = postcard::to_allocvec(&single).unwrap();
        single = postcard::from_bytes(&packed).unwrap();
    }
    single.finish(&mut bytes);
    assert_eq!(String::from_utf8_lossy(&out), String::from_utf8_lossy(&bytes));
    assert_eq!(whole.end(), single.end());
    String::from_utf8(out).unwrap()
}

fn events(events: &[&str]) -> String {
    events
        .iter()
        .flat_map(|event| ["data: ", event, "\n\n"])
        .collect()
}

const HEAD: &str = r#""id":"c1","object":"chat.completion.chunk","created":1,"model":"m""#;

fn chunk(choice: &str, rest: &str) -> String {
    format!(r#"{{{HEAD},"choices":[{choice}]{rest}}}"#)
}

const fn usage(prompt: u64, completion: u64, cached: u64, reasoning: u64) -> Usage {
    Usage {
        prompt_tokens: prompt,
        completion_tokens: completion,
        cached_tokens: cached,
        cache_write_tokens: 0,
        reasoning_tokens: reasoning,
    }
}

struct Provider {
    name: &'static str,
    events: Vec<String>,
    /// Which event is the first token, which are left out for a client.
    first: usize,
    dropped: Option<usize>,
    usage: Option<Usage>,
    characters: u64,
}

fn providers() -> Vec<Provider> {
    let role = r#"{"index":0,"delta":{"role":"assistant","content":"","refusal":null},"finish_reason":null}"#;
    let hi = r#"{"index":0,"delta":{"content":"Hi \"é\u00e9"},"finish_reason":null}"#;
    let stop = r#"{"index":0,"delta":{},"logprobs":null,"finish_reason":"stop"}"#;
    let null = r#","usage":null"#;
    let done = "[DONE]".to_owned();
    let openai_usage = r#","usage":{"prompt_tokens":18,"completion_tokens":286,"total_tokens":304,"prompt_tokens_details":{"cached_tokens":4,"audio_tokens":0},"completion_tokens_details":{"reasoning_tokens":192,"audio_tokens":0}},"obfuscation":"Od""#;
    vec![
        Provider {
            name: "openai",
            events: vec![
                chunk(role, null),
                chunk(hi, r#","usage":null,"obfuscation":"9AL\"59""#),
                chunk(stop, null),
                chunk("", openai_usage),
                done.clone(),
            ],
            first: 1,
            dropped: Some(3),
            usage: Some(usage(18, 286, 4, 192)),
            characters: 6,
        },
        Provider {
            name: "azure",
            events: vec![
                r#"{"choices":[],"created":0,"id":"","model":"","object":"","prompt_filter_results":[{"prompt_index":0,"content_filter_results":{"hate":{"filtered":false,"severity":"safe"}}}]}"#.to_owned(),
                chunk(role, null),
                chunk(r#"{"content_filter_results":{"hate":{"filtered":false}},"delta":{"content":"Hi"},"finish_reason":null,"index":0,"logprobs":null}"#, null),
                chunk(stop, null),
                chunk("", r#","usage":{"completion_tokens":3,"prompt_tokens":8,"total_tokens":11}"#),
                done.clone(),
            ],
            first: 2,
            dropped: Some(4),
            usage: Some(usage(8, 3, 0, 0)),
            characters: 2,
        },
        Provider {
            name: "vllm with reasoning",
            events: vec![
                chunk(r#"{"index":0,"delta":{"role":"assistant","content":""},"logprobs":null,"finish_reason":null}"#, ""),
                chunk(r#"{"index":0,"delta":{"reasoning_content":"Hm"},"logprobs":null,"finish_reason":null}"#, ""),
                chunk(r#"{"index":0,"delta":{"content":"ok"},"logprobs":null,"finish_reason":"stop","stop_reason":null}"#, ""),
                r#"{"id":"c1","object":"chat.completion.chunk","created":1,"model":"m","choices":[],"usage":{"prompt_tokens":11,"total_tokens":21,"completion_tokens":10,"prompt_tokens_details":null}}"#.to_owned(),
                done.clone(),
            ],
            first: 1,
            dropped: Some(3),
            usage: Some(usage(11, 10, 0, 0)),
            characters: 4,
        },
        Provider {
            name: "mistral, a tool call, usage beside choices",
            events: vec![
                chunk(r#"{"index":0,"delta":{"role":"assistant","content":""},"finish_reason":null}"#, ""),
                chunk(r#"{"index":0,"delta":{"content":"","tool_calls":[{"id":"D681","function":{"name":"f","arguments":"{\"a\": 1}"},"index":0}]},"finish_reason":"tool_calls"}"#, r#","usage":{"prompt_tokens":94,"total_tokens":119,"completion_tokens":25}"#),
                done.clone(),
            ],
            first: 1,
            dropped: None,
            usage: Some(usage(94, 25, 0, 0)),
            characters: 9,
        },
        Provider {
            name: "groq without stream_options",
            events: vec![
                chunk(role, r#","x_groq":{"id":"req_1"}"#),
                chunk(hi, ""),
                chunk(stop, r#","x_groq":{"id":"req_1","usage":{"queue_time":0.02,"prompt_tokens":9,"prompt_time":0.001,"completion_tokens":2,"completion_time":0.01,"total_tokens":11,"total_time":0.011}}"#),
                done.clone(),
            ],
            first: 1,
            dropped: None,
            usage: Some(usage(9, 2, 0, 0)),
            characters: 6,
        },
        Provider {
            name: "xai, reasoning outside completion_tokens",
            events: vec![
                chunk(stop, ""),
                chunk("", r#","usage":{"prompt_tokens":10,"completion_tokens":5,"total_tokens":115,"completion_tokens_details":{"reasoning_tokens":100}}"#),
                done,
            ],
            first: 0,
            dropped: Some(1),
            usage: Some(usage(10, 105, 0, 100)),
            characters: 0,
        },
    ]
}

#[test]
fn follows_the_providers() {
    for provider in providers() {
        let lines: Vec<&str> = provider.events.iter().map(String::as_str).collect();
        let all = watch(&events(&lines));
        assert_eq!(all.end(), End::Whole, "{}", provider.name);
        assert!(all.started() && all.finished() && all.done());
        assert_eq!(all.usage(), provider.usage, "{}", provider.name);
        assert_eq!(all.events(), lines.len() as u64);
        assert_eq!(all.characters(), provider.characters, "{}", provider.name);
        assert!(
            !watch(&events(&lines[..provider.first])).started(),
            "{}",
            provider.name
        );
        assert!(
            watch(&events(&lines[..=provider.first])).started(),
            "{}",
            provider.name
        );
        assert_eq!(watch(&events(&lines[..lines.len() - 1])).end(), End::NoTerminator);
        let mut kept = lines.clone();
        let mistral = provider.events[1].replace(
            r#","usage":{"prompt_tokens":94,"total_tokens":119,"completion_tokens":25}"#,
            "",
        );
        if provider.name.starts_with("mistral") {
            kept[1] = &mistral;
        }
        if let Some(dropped) = provider.dropped {
            kept.remove(dropped);
        }
        assert_eq!(filter(&events(&lines)), events(&kept), "{}", provider.name);
        for (end, other) in [("\r\n", "\r\n\r\n"), ("\r", "\r\r")] {
            let lines = events(&lines).replace("\n\n", other);
            assert_eq!(filter(&lines), events(&kept).replace("\n\n", other), "{end:?}");
        }
    }
}

#[test]
fn usage_is_taken_out_of_a_chunk_with_choices() {
    let choice = r#"{"index":0,"delta":{"content":"a"},"finish_reason":null}"#;
    let u = r#"{"prompt_tokens":1,"completion_tokens":2}"#;
    let cases = [
        (
            format!(r#"{{"choices":[{choice}],"usage":{u}}}"#),
            format!(r#"{{"choices":[{choice}]}}"#),
        ),
        (
            format!(r#"{{"usage":{u},"choices":[{choice}]}}"#),
            format!(r#"{{"choices":[{choice}]}}"#),
        ),
        (
            format!(r#"{{ "us\u0061ge" : {u} , "choices":[{choice}] }}"#),
            format!(r#"{{  "choices":[{choice}] }}"#),
        ),
        (
            format!(r#"{{"a":"\"usage\":{{}}", "choices":[{choice}] , "usage": {u} }}"#),
            format!(r#"{{"a":"\"usage\":{{}}", "choices":[{choice}]  }}"#),
        ),
    ];
    for (event, expected) in cases {
        assert_eq!(filter(&events(&[&event])), events(&[&expected]));
        assert_eq!(watch(&events(&[&event])).usage(), Some(usage(1, 2, 0, 0)));
    }
    // Data over several lines is written anew.
    let lines = format!(
        "event: x\r\ndata: {{\"choices\":[{choice}],\r\ndata: \"usage\":{u}\r\ndata: }}\r\n\r\ndata: [DONE]\n\n"
    );
    assert_eq!(
        filter(&lines),
        format!("event: x\ndata: {{\"choices\":[{choice}]\ndata: }}\n\ndata: [DONE]\n\n")
    );
}

#[test]
fn is_not_fooled() {
    for content in [
        r#""\"usage\":{\"prompt_tokens\":1,\"completion_tokens\":1}""#,
        r#""data: [DONE]\n\n""#,
        r#""\",\"usage\":{\"prompt_tokens\":1""#,
        r#""\",\"error\":{""#,
        r#""\\""#,
        r#""\ud83d""#,
    ] {
        let one = chunk(r#"{"index":0,"delta":{"content":"x"},"finish_reason":null}"#, "");
        let event = chunk(
            &format!(r#"{{"index":0,"delta":{{"content":{content}}},"finish_reason":null}}"#),
            "",
        );
        let stream = events(&[&one, &event, &one, &event]);
        let seen = watch(&stream);
        assert_eq!(
            (seen.usage(), seen.failure(), seen.done()),
            (None, None, false),
            "{content}"
        );
        assert!(seen.started() && !seen.finished());
        assert_eq!(filter(&stream), stream);
    }
}

#[test]
fn notices_failures() {
    let good = chunk(r#"{"index":0,"delta":{"content":"x"},"finish_reason":null}"#, "");
    let reported = |code: &str| Failure::Reported {
        code: code.to_owned(),
    };
    let cases = [
        (
            r#"{"error":{"message":"no","type":"server_error","code":null}}"#,
            reported("server_error"),
        ),
        (r#"{"error":{"message":"no","code":429}}"#, reported("429")),
        (r#"{"error":"gone"}"#, reported("")),
        (
            r#"{"choices":[{"delta":{},"finish_reason":"error"}]}"#,
            reported(""),
        ),
        (
            r#"{"choices":[],"usage":{"prompt_tokens":1},"error":{"code":"x"}}"#,
            reported("x"),
        ),
        (r#"{"choices":"#, Failure::Malformed),
        (r#"{"choices":[]} x"#, Failure::Malformed),
        (r#"{"choices":[]}}"#, Failure::Malformed),
        (r#"{"choices":{}}"#, Failure::Malformed),
        ("[]", Failure::Malformed),
        ("5", Failure::Malformed),
        ("oops", Failure::Malformed),
        (
            r#"{"id":"c1","object":"chat.completion.chunk","created":1,"model":"m","choices":[{"index":0,"delta":{"content":"a	b"},"finish_reason":null}]}"#,
            Failure::Malformed,
        ),
        (
            r#"{"id":"c1","object":"chat.completion.chunk","created":1,"model":"m","choices":[{"index":0,"delta":{"content":"a\x"},"finish_reason":null}]}"#,
            Failure::Malformed,
        ),
        (
            r#"{"id":"c1","object":"chat.completion.chunk","created":1,"model":"m","choices":[{"index":0,"delta":{"content":"a\u12"},"finish_reason":null}]}"#,
            Failure::Malformed,
        ),
    ];
    for (event, failure) in cases {
        let stream = events(&[&good, &good, event, &good, "[DONE]"]);
        let seen = watch(&stream);
        assert_eq!(seen.failure(), Some(&failure), "{event}");
        assert_eq!(seen.end(), End::Failed(failure.clone()));
        let passed = filter(&stream);
        let reported = matches!(failure, Failure::Reported { .. });
        let expected = if !reported {
            events(&[&good, &good])
        } else if event.contains("usage") {
            events(&[&good, &good, r#"{"choices":[],"error":{"code":"x"}}"#])
        } else {
            events(&[&good, &good, event])
        };
        assert_eq!(passed, expected);
    }
    let named = "event: error\ndata: {\"message\":\"x\"}\n\n";
    assert_eq!(watch(named).failure(), Some(&reported("")));
    let mut seen = Watch::new();
    seen.feed(b"data: {\"choices\":[{\"delta\":{\"content\":\"\xff\"}}]}\n\n");
    assert_eq!(seen.failure(), Some(&Failure::Malformed));
    let mut seen = Watch::new();
    seen.feed(&vec![b'x'; 2 << 20]);
    assert_eq!(seen.failure(), Some(&Failure::EventTooLarge));
    // No error: what JavaScript takes for false.
    for none in ["null", "false", "\"\"", "0"] {
        assert_eq!(
            watch(&events(&[&format!("{{\"error\":{none}}}")])).failure(),
            None
        );
    }
    // After the terminator nothing counts.
    assert_eq!(watch(&events(&[&good, "[DONE]", "oops"])).end(), End::Whole);
}

#[test]
fn ends() {
    let good = chunk(r#"{"index":0,"delta":{"content":"x"},"finish_reason":null}"#, "");
    for tail in ["data: [DONE]", "data: [DONE]\n", "data:[DONE]\r\n"] {
        let stream = events(&[&good]) + tail;
        assert_eq!(watch(&stream).end(), End::Whole);
        assert!(filter(&stream).ends_with("[DONE]\n\n"));
    }
    for tail in ["data: [DON", "data: {", ""] {
        let stream = events(&[&good]) + tail;
        assert_eq!(watch(&stream).end(), End::NoTerminator);
        assert_eq!(filter(&stream), events(&[&good]));
    }
    assert_eq!(watch("").end(), End::NoTerminator);
    assert!(!watch(": OPENROUTER PROCESSING\n\n").started());
}

#[test]
fn a_chunk_is_passed_on_when_it_is_whole() {
    let mut filter = Filter::new();
    let mut out = Vec::new();
    filter.feed(b"data: {\"choices\":[", &mut out);
    assert!(out.is_empty());
    filter.feed(b"]}\n\ndata: {", &mut out);
    assert_eq!(out, b"data: {\"choices\":[]}\n\n");
}

#[test]
fn odd_usage_counts_as_none() {
    for odd in [
        "{}",
        "{\"prompt_tokens\":1}",
        "{\"prompt_tokens\":-1,\"completion_tokens\":1}",
        "[]",
    ] {
        let seen = watch(&events(&[&format!(r#"{{"choices":[],"usage":{odd}}}"#)]));
        assert_eq!((seen.usage(), seen.failure()), (None, None), "{odd}");
    }
    let float =
        r#"{"choices":[],"usage":{"prompt_tokens":3.0,"completion_tokens":4.0,"prompt_cache_hit_tokens":9}}"#;
    assert_eq!(watch(&events(&[float])).usage(), Some(usage(3, 4, 3, 0)));
    let huge = format!(
        r#"{{"usage":{{"prompt_tokens":{0},"completion_tokens":{0}}}}}"#,
        u64::MAX
    );
    assert_eq!(watch(&events(&[&huge])).usage().unwrap().total(), u64::MAX);
}

#[test]
fn the_recorded_streams() {
    let Some(dir) = data() else { return };
    for (name, expected) in [
        ("stream.json", usage(18, 286, 0, 192)),
        ("stream_tool_empty_content.json", usage(12, 9, 0, 0)),
    ] {
        let stream = std::fs::read_to_string(dir.join(name)).unwrap();
        let seen = watch(&stream);
        assert_eq!(seen.end(), End::Whole);
        assert!(seen.finished() && seen.started() && seen.characters() > 0);
        assert_eq!(
            seen.usage().unwrap().prompt_tokens,
            expected.prompt_tokens,
            "{name}"
        );
        let dropped = stream
            .lines()
            .find(|line| line.contains(r#""choices":[]"#))
            .unwrap();
        assert_eq!(filter(&stream), stream.replace(&format!("{dropped}\n\n"), ""));
        if name == "stream.json" {
            assert_eq!(seen.usage(), Some(expected));
        }
    }
}

#[expect(clippy::print_stdout, reason = "a test that is skipped says so")]
fn data() -> Option<std::path::PathBuf> {
    let root = std::env::var_os("TURNPIKE_DATA").map_or_else(
        || std::path::Path::new(env!("CARGO_MANIFEST_DIR")).join("../../../shared/data"),
        std::path::PathBuf::from,
    );
    let dir = root.join("translation/response/completions");
    if !dir.is_dir() {
        println!(
            "SKIPPED: no recorded streams in {} (set TURNPIKE_DATA)",
            dir.display()
        );
        return None;
    }
    Some(dir)
}

proptest! {
    #[test]
    fn any_split_decodes_the_same(
        lines in prop::collection::vec(
            ("(data|event|id|:|dat|data:|\u{FEFF}data)?(:| |: )?[a-zé{}\"]{0,4}", "\n|\r|\r\n|\n\n|\r\r\r"), 0..12),
        cuts in prop::collection::vec(any::<usize>(), 0..8),
        limit in prop_oneof![Just(1000_u32), 1_u32..30],
    ) {
        let stream: String = lines.into_iter().map(|(line, end)| line + &end).collect();
        let whole = decode(&[stream.as_bytes()], limit);
        let cut = decode(&split(stream.as_bytes(), &cuts), limit);
        prop_assert_eq!(&whole.0, &cut.0);
        prop_assert_eq!(whole.2, cut.2);
        if whole.2.is_ok() {
            prop_assert_eq!(&whole.1, stream.as_bytes());
            prop_assert_eq!(&cut.1, stream.as_bytes());
        }
    }

    #[test]
    fn any_split_filters_the_same(
        provider in 0_usize..6,
        failing in prop::option::of(prop_oneof![Just("{\"error\":{}}"), Just("oops"), Just("{}")]),
        ends in "\n|\r|\r\n",
        cuts in prop::collection::vec(any::<usize>(), 0..12),
    ) {
        let mut lines = providers().swap_remove(provider).events;
        if let Some(failing) = failing {
            lines.insert(2, failing.to_owned());
        }
        let lines: Vec<&str> = lines.iter().map(String::as_str).collect();
        let stream = format!(": hello\n\n{}", events(&lines)).replace('\n', &ends);
        let (mut filter, mut whole) = (Filter::new(), Vec::new());
        filter.feed(stream.as_bytes(), &mut whole);
        let (mut other, mut cut) = (Filter::new(), Vec::new());
        for piece in split(stream.as_bytes(), &cuts) {
            other.feed(piece, &mut cut);
        }
        prop_assert_eq!(String::from_utf8_lossy(&whole), String::from_utf8_lossy(&cut));
        prop_assert_eq!(filter.end(), other.end());
        prop_assert_eq!(filter.watch().usage(), other.watch().usage());
        prop_assert_eq!(filter.watch().characters(), other.watch().characters());
    }

    #[test]
    fn without_usage_the_output_is_the_input(
        texts in prop::collection::vec(".{0,12}", 1..12),
        fields in prop::collection::vec(0_usize..5, 12),
        cuts in prop::collection::vec(any::<usize>(), 0..12),
    ) {
        let lines: Vec<String> = texts
            .iter()
            .zip(fields)
            .map(|(text, field)| {
                let text = serde_json::to_string(text).unwrap();
                let delta = ["content", "reasoning", "refusal", "role", "other"][field];
                chunk(
                    &format!(r#"{{"index":0,"delta":{{"{delta}":{text}}},"finish_reason":null}}"#),
                    &format!(r#","usage":null,"obfuscation":{text}"#),
                )
            })
            .collect();
        let mut lines: Vec<&str> = lines.iter().map(String::as_str).collect();
        lines.push("[DONE]");
        let stream = events(&lines);
        let (mut filter, mut out) = (Filter::new(), Vec::new());
        for piece in split(stream.as_bytes(), &cuts) {
            filter.feed(piece, &mut out);
        }
        prop_assert_eq!(String::from_utf8_lossy(&out), stream.as_str());
        prop_assert_eq!(filter.end(), End::Whole);
        // What the quick way says of each event is what a fresh look says of it.
        let sum: u64 = lines.iter().map(|line| {
            let mut watch = Watch::new();
            watch.feed(events(&[line]).as_bytes());
            watch.characters()
        }).sum();
        prop_assert_eq!(filter.watch().characters(), sum);
    }

    #[test]
    fn arbitrary_bytes_never_panic(
        pieces in prop::collection::vec(prop::collection::vec(any::<u8>(), 0..60), 0..6),
    ) {
        let (mut filter, mut out) = (Filter::new(), Vec::new());
        for piece in &pieces {
            filter.feed(piece, &mut out);
            filter.feed(b"\n\ndata: {\"choices\":[{\"delta\":{\"content\":\"", &mut out);
            filter.feed(piece, &mut out);
            filter.feed(b"\"}}],\"usage\":{\"prompt_tokens\":1}}\n\n", &mut out);
        }
        filter.finish(&mut out);
        let _ = turnpike_llm::answer::scan(&out);
    }

    /// The quick way is exact: after a chunk of the same shape, a chunk with any bytes changed is
    /// judged as if it came alone.
    #[test]
    fn the_quick_way_is_exact(
        base in 0_usize..8,
        changes in prop::collection::vec(
            (any::<prop::sample::Index>(), 0_usize..3,
             prop_oneof![any::<u8>(), "[\"\\\\{}:,u0nux\u{7f}]".prop_map(|text| text.as_bytes()[0])]),
            1..4,
        ),
    ) {
        let deltas = [
            r#"{"content":"Hi"}"#,
            r#"{"content":"a\n\u00e9 é\"\\"}"#,
            r#"{"role":"assistant","content":"","reasoning":"x"}"#,
            r#"{"content":null,"refusal":"no"}"#,
            r#"{"tool_calls":[{"index":0,"function":{"arguments":"{\"a\":"}}]}"#,
            r#"{"content":"","tool_calls":[{"index":0,"id":"x","function":{"name":"f","arguments":""}}]}"#,
            r#"{"content":[{"type":"text","text":"x"}]}"#,
            r#"{"reasoning_content":"","content":""}"#,
        ];
        let choice = format!(r#"{{"index":0,"delta":{},"finish_reason":null}}"#, deltas[base]);
        let rest = [r#","usage":null"#, r#","usage":null,"obfuscation":"abc""#, r#","p":"xyz""#, ""];
        let base = chunk(&choice, rest[base % 4]);
        let mut changed = base.clone().into_bytes();
        for (index, kind, byte) in changes {
            let at = index.index(changed.len());
            match kind {
                0 => changed[at] = byte,
                1 => changed.insert(at, byte),
                _ => { changed.remove(at); }
            }
        }
        let event = [b"data: ".as_slice(), &changed, b"\n\n"].concat();
        let mut warm = Watch::new();
        warm.feed(events(&[&base]).as_bytes());
        let before = (warm.started(), warm.characters());
        warm.feed(&event);
        let mut cold = Watch::new();
        cold.feed(&event);
        prop_assert_eq!(warm.started(), before.0 || cold.started());
        prop_assert_eq!(warm.characters() - before.1, cold.characters());
        prop_assert_eq!(warm.failure(), cold.failure());
        prop_assert_eq!(
            (warm.usage(), warm.finished(), warm.done(), warm.events() - 1),
            (cold.usage(), cold.finished(), cold.done(), cold.events()),
        );
    }
}
