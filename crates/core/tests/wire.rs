//! What crosses between the shell and the core: whole roads through bytes, and bytes of any kind.
#![expect(clippy::panic, clippy::unwrap_used, reason = "these are tests")]

use proptest::prelude::*;
use turnpike_core::wire::{Reader, Writer};
use turnpike_core::{Core, ask, dispatch, tell};
use turnpike_engine::step::HEAD_NAMES;
use turnpike_policy::{
    Compiled, Consumer, FORMAT, Gateway, Grant, Handler, KeyCredential, Lifecycle, Limit, LimitKind, Method,
    MockResponse, Model, OnError, Operation, Plan, Precision, Provider, ProviderKind, Rate, Retry, Route,
    RouteNode, Routes, Stamp, State, Surface, Target, Timeouts,
};

const NOW: u64 = 1_800_000_000_000;
const BEARER: &str = "Bearer tpk_demo_0123456789abcdefghij";
/// The SHA-256 of that key.
const DIGEST: [u8; 32] = [
    0x3d, 0xe4, 0xbe, 0x97, 0x37, 0x56, 0xc3, 0x04, 0x70, 0x84, 0xa4, 0xca, 0x9a, 0x66, 0xe2, 0x22, 0x96,
    0xfa, 0x70, 0x4e, 0xd1, 0xa1, 0xea, 0xf7, 0xcc, 0x72, 0xba, 0x05, 0xe9, 0x85, 0x35, 0xb7,
];
const TOKEN: &str = "data: {\"choices\":[{\"index\":0,\"delta\":{\"content\":\"hi\"}}]}\n\n";

#[expect(clippy::too_many_lines, reason = "a whole policy")]
/// `GET /ping` for everybody, `GET /pets` and chat completions for one consumer.
fn compiled() -> Compiled {
    let operation = |id: &str, open_until, handler| Operation {
        id: id.to_owned(),
        api: 0,
        method: Method::Get,
        path: String::new(),
        open_until,
        scopes: Vec::new(),
        scopes_origin: String::new(),
        relation: None,
        rules: Vec::new(),
        max_body: 100,
        accepts_body: false,
        content_types: Vec::new(),
        forward_headers: vec!["x-pet".to_owned()],
        forward_query: Vec::new(),
        handler,
        origin: String::new(),
    };
    let timeouts = Timeouts {
        first: 1000,
        idle: 1000,
        total: 10_000,
    };
    let example = MockResponse {
        status: 200,
        name: String::new(),
        content_type: "application/json".to_owned(),
        body: b"{}".to_vec(),
    };
    let leaf = |method, route| RouteNode {
        methods: vec![(method, route)],
        ..RouteNode::default()
    };
    let inner = |literals: &[(&str, u32)]| RouteNode {
        literals: literals
            .iter()
            .map(|(text, node)| ((*text).to_owned(), *node))
            .collect(),
        ..RouteNode::default()
    };
    let lifecycle = Lifecycle {
        state: State::Active,
        deprecated: None,
        sunset: None,
        successor: None,
    };
    Compiled {
        gateway: Gateway {
            forward_headers: vec!["accept".to_owned()],
            answer_headers: vec!["etag".to_owned()],
            max_body: 1000,
            ..Gateway::default()
        },
        plans: vec![Plan {
            name: "plan".to_owned(),
            limits: vec![Limit {
                subject: vec![turnpike_policy::SubjectPart::Consumer],
                models: Vec::new(),
                precision: turnpike_policy::Precision::Exact,
                split: None,
                shadow: false,
                zone: None,
                id: "plan:two".to_owned(),
                kind: LimitKind::Rate(Rate {
                    count: 2,
                    period: 60_000,
                    burst: 2,
                }),
                origin: String::new(),
            }],
            precision: Precision::Exact,
            on_error: OnError::Closed,
            open_until: None,
        }],
        consumers: vec![Consumer {
            name: "demo".to_owned(),
            owner: "team".to_owned(),
            plan: 0,
            operations: Grant::All,
            models: Grant::All,
            operator: None,
            origin: String::new(),
        }]
        .into(),
        keys: vec![KeyCredential {
            sha256: DIGEST,
            consumer: 0,
            expires: None,
            scopes: Vec::new(),
        }],
        apis: vec![turnpike_policy::Api {
            name: "pets".to_owned(),
            version: "v1".to_owned(),
            title: "Pets".to_owned(),
            owner: "team".to_owned(),
            base: String::new(),
            lifecycle: lifecycle.clone(),
            limits: Vec::new(),
            upstream_headers: Vec::new(),
            until: None,
            origin: String::new(),
        }]
        .into(),
        operations: vec![
            operation("ping", Some(u64::MAX), Handler::Mock(vec![example])),
            operation(
                "pets",
                None,
                Handler::Proxy {
                    url: "https://pets.example".to_owned(),
                    timeouts,
                    credential: None,
                },
            ),
        ]
        .into(),
        routes: Routes {
            nodes: vec![
                inner(&[("pets", 1), ("ping", 2), ("v1", 3)]),
                leaf(Method::Get, Route::Operation(1)),
                leaf(Method::Get, Route::Operation(0)),
                inner(&[("chat", 4)]),
                inner(&[("completions", 5)]),
                leaf(Method::Post, Route::Surface(Surface::ChatCompletions)),
            ]
            .into(),
        },
        models: vec![Model {
            name: "m".to_owned(),
            owner: "team".to_owned(),
            lifecycle,
            targets: vec![Target {
                provider: 0,
                model: "upstream-m".to_owned(),
                weight: 1,
                price: None,
            }],
            fallback: Vec::new(),
            retry: Retry {
                attempts: 1,
                on: Vec::new(),
            },
            timeouts,
            commit: turnpike_policy::Commit::FirstToken,
            max_body: 1000,
            max_output_tokens: None,
            max_media_tokens: 50_000,
            limits: Vec::new(),
            scopes: Vec::new(),
            scopes_origin: String::new(),
            rules: Vec::new(),
            origin: String::new(),
        }],
        providers: vec![Provider {
            name: "p".to_owned(),
            kind: ProviderKind::OpenAi {
                base_url: "https://p.example/v1".to_owned(),
                credential: None,
                output_cap: turnpike_policy::OutputCap::MaxTokens,
            },
            until: None,
            origin: String::new(),
        }],
        ..Compiled::default()
    }
}

fn bundle() -> Vec<u8> {
    let body = postcard::to_allocvec(&(Stamp::default(), compiled())).unwrap();
    [b"TPKB".as_slice(), &FORMAT.to_le_bytes(), &[5; 32], &body].concat()
}

/// A core and its bundle, asked as the shell asks.
struct Shell {
    core: Core,
    bundle: Vec<u8>,
    output: Writer,
    /// Requests so far: each has other random numbers.
    requests: u8,
}

impl Shell {
    fn new() -> Self {
        Self {
            core: Core::Fresh,
            bundle: bundle(),
            output: Writer::new(),
            requests: 0,
        }
    }

    fn started() -> Self {
        let mut shell = Self::new();
        shell.start();
        shell
    }

    /// A fresh instance takes over, as after a trap.
    fn start(&mut self) {
        self.core = Core::Fresh;
        let answer = self.ask(ask::START, |out| {
            raw(out, &[7; 16]);
            out.u32(0);
        });
        let told = Reader::new(&answer).u8();
        assert_eq!(told, Some(tell::DATA), "{}", String::from_utf8_lossy(&answer));
    }

    fn ask(&mut self, op: u8, write: impl FnOnce(&mut Writer)) -> Vec<u8> {
        self.send(&message(op, write))
    }

    fn send(&mut self, message: &[u8]) -> Vec<u8> {
        dispatch(&mut self.core, &self.bundle, message, &mut self.output);
        self.output.seal().to_vec()
    }

    fn begin(&mut self, method: &str, url: &str, has_body: bool, headers: &[(usize, &str)]) -> Vec<u8> {
        self.requests += 1;
        let random = [self.requests; 48];
        self.ask(ask::BEGIN, |out| {
            out.ms(NOW);
            raw(out, &random);
            out.flag(has_body);
            out.text(method);
            out.text(url);
            for place in 0..HEAD_NAMES.len() {
                let value = headers.iter().find(|(index, _)| *index == place);
                out.optional_text(value.map(|(_, value)| *value));
            }
        })
    }

    /// Tells what followed a step, to a fresh instance.
    fn event(&mut self, op: u8, flight: &[u8], write: impl FnOnce(&mut Writer)) -> Vec<u8> {
        self.start();
        self.ask(op, |out| {
            out.ms(NOW + 1);
            raw(out, &[1; 8]);
            out.bytes(flight);
            out.flag(false);
            write(out);
        })
    }
}

fn message(op: u8, write: impl FnOnce(&mut Writer)) -> Vec<u8> {
    let mut writer = Writer::new();
    writer.clear();
    writer.u8(op);
    write(&mut writer);
    writer.seal().to_vec()
}

fn raw(out: &mut Writer, bytes: &[u8]) {
    for byte in bytes {
        out.u8(*byte);
    }
}

/// A step as the shell reads it (`readStep` of `src/core.js`).
#[derive(Debug, Default)]
struct Told {
    kind: u8,
    text: String,
    status: u16,
    headers: Vec<(String, String)>,
    body: Vec<u8>,
    body_kind: u8,
    log: Option<String>,
    settle: Option<(String, Vec<u8>)>,
    flight: Vec<u8>,
    tracking: Vec<u8>,
    ask: Vec<u8>,
}

/// Whom to tell what was used.
fn settle(reader: &mut Reader<'_>, told: &mut Told) -> Option<()> {
    while let Some(object) = reader.optional_text()?.map(str::to_owned) {
        told.settle = Some((object, reader.bytes()?.to_vec()));
        // Whether a place goes back with it.
        reader.flag()?;
    }
    Some(())
}

#[expect(clippy::too_many_lines, reason = "one arm for each step")]
/// Reads an answer to BEGIN, an event or FAULT to its last byte; none, if it is not lawful.
fn step(answer: &[u8]) -> Option<Told> {
    let mut reader = Reader::new(answer);
    let mut told = Told {
        kind: reader.u8()?,
        ..Told::default()
    };
    let headers = |reader: &mut Reader<'_>| {
        let count = reader.u32()?;
        (0..count)
            .map(|_| Some((reader.text()?.to_owned(), reader.text()?.to_owned())))
            .collect::<Option<Vec<_>>>()
    };
    let mut flies = true;
    match told.kind {
        tell::ERROR => {
            reader.text()?.clone_into(&mut told.text);
            flies = false;
        }
        tell::VERIFY => {
            reader.text()?;
            reader.text()?;
            reader.bytes()?;
            reader.bytes()?;
        }
        tell::FETCH_KEYS => {
            reader.text()?;
            reader.u32()?;
            reader.ms()?;
            reader.ms()?;
        }
        tell::PAUSE => {
            reader.ms()?;
        }
        tell::METER => {
            reader.text()?.clone_into(&mut told.text);
            told.ask = reader.bytes()?.to_vec();
        }
        tell::ATTEMPT => {
            reader.ms()?;
            reader.ms()?;
            if reader.flag()? {
                headers(&mut reader)?;
                reader.flag()?;
                reader.ms()?;
                reader.ms()?;
                (reader.u32()? == 5).then_some(())?;
                let line: Option<String> = (0..5).map(|_| reader.text()).collect();
                told.log = line;
                reader.flag()?;
            }
            if reader.u8()? == 0 {
                reader.text()?.clone_into(&mut told.text);
                reader.text()?;
                told.headers = headers(&mut reader)?;
                if reader.flag()? {
                    reader.text()?;
                    reader.text()?;
                    reader.text()?;
                }
                for _ in 0..reader.u32()? {
                    reader.u32()?;
                }
                told.body_kind = reader.u8()?;
                if told.body_kind == 2 {
                    reader.flag()?;
                    for _ in 0..reader.u32()? {
                        reader.u32()?;
                        reader.u32()?;
                        reader.bytes()?;
                    }
                }
            } else {
                told.status = reader.u16()?;
                told.headers = headers(&mut reader)?;
                for _ in 0..reader.u32()? {
                    reader.ms()?;
                    reader.bytes()?;
                }
                (reader.u8()? <= 2).then_some(())?;
            }
        }
        tell::READ_BODY | tell::READ_ANSWER => {
            reader.ms()?;
            reader.ms()?;
        }
        tell::RELAY => {
            told.status = reader.u16()?;
            told.headers = headers(&mut reader)?;
            reader.flag()?;
            (reader.u8()? <= 2).then_some(())?;
            reader.u32()?;
            reader.ms()?;
            told.tracking = reader.bytes()?.to_vec();
        }
        tell::FINISH => {
            told.status = reader.u16()?;
            told.headers = headers(&mut reader)?;
            reader.flag()?;
            told.body_kind = reader.u8()?;
            if told.body_kind == 1 {
                told.body = reader.bytes()?.to_vec();
            }
            told.log = reader.optional_text()?.map(str::to_owned);
            settle(&mut reader, &mut told)?;
            flies = false;
        }
        tell::END => {
            told.body = reader.bytes()?.to_vec();
            told.log = reader.optional_text()?.map(str::to_owned);
            settle(&mut reader, &mut told)?;
            flies = false;
        }
        tell::COLD => {
            reader.text()?;
        }
        _ => return None,
    }
    if flies {
        told.flight = reader.bytes()?.to_vec();
    }
    // What is to be done beside the request.
    if told.kind != tell::ERROR && reader.u8()? & 1 != 0 {
        reader.text()?;
        reader.u32()?;
        reader.ms()?;
        reader.ms()?;
        reader.bytes()?;
    }
    // Nothing may be left over.
    reader.u8().is_none().then_some(told)
}

fn must(answer: &[u8], kind: u8) -> Told {
    let told = step(answer).unwrap_or_else(|| panic!("not lawful: {answer:?}"));
    assert_eq!(told.kind, kind, "{told:?}");
    told
}

#[test]
fn facts_are_told_before_anything_is_started() {
    let answer = Shell::new().ask(ask::FACTS, |_| {});
    let mut reader = Reader::new(&answer);
    assert_eq!(reader.u8(), Some(tell::DATA));
    assert_eq!(reader.u32(), Some(turnpike_core::WIRE));
    let mut list = || -> Vec<String> {
        (0..reader.u32().unwrap())
            .map(|_| reader.text().unwrap().to_owned())
            .collect()
    };
    assert_eq!(list()[0], "authorization");
    assert_eq!(list()[0], "content-type");
    assert_eq!(list(), ["etag"]);
    assert!(list().is_empty());
}

#[test]
fn who_was_asked_for_facts_starts_all_the_same_and_goes_on_when_asked_again() {
    let mut shell = Shell::new();
    shell.ask(ask::FACTS, |_| {});
    let told = Reader::new(&shell.begin("GET", "https://api.example/ping", false, &[])).u8();
    assert_eq!(told, Some(tell::ERROR), "it was not started");
    let start = |out: &mut Writer| {
        raw(out, &[7; 16]);
        out.u32(0);
    };
    assert_eq!(Reader::new(&shell.ask(ask::START, start)).u8(), Some(tell::DATA));
    must(
        &shell.begin("GET", "https://api.example/ping", false, &[]),
        tell::FINISH,
    );
    shell.ask(ask::FACTS, |_| {});
    must(
        &shell.begin("GET", "https://api.example/ping", false, &[]),
        tell::FINISH,
    );
}

#[test]
fn a_call_travels_from_begin_to_finish_through_fresh_instances() {
    let mut shell = Shell::started();
    let answer = shell.begin("GET", "https://api.example/ping", false, &[]);
    let finish = must(&answer, tell::FINISH);
    assert_eq!((finish.status, finish.body.as_slice()), (200, b"{}".as_slice()));
    assert!(
        finish
            .headers
            .iter()
            .any(|(name, value)| name == "x-request-id" && value.len() == 32)
    );
    assert!(finish.log.expect("a line").contains("pets/v1#ping"));

    let mut state: Option<Vec<u8>> = None;
    for round in 0..3 {
        let answer = shell.begin("GET", "https://api.example/pets", false, &[(0, BEARER)]);
        let meter = must(&answer, tell::METER);
        assert_eq!(meter.text, "consumer:demo");
        let decided = shell.ask(ask::METER, |out| {
            out.ms(NOW);
            out.flag(false);
            out.optional(state.as_deref());
            out.bytes(&meter.ask);
        });
        let mut reader = Reader::new(&decided);
        assert_eq!(reader.u8(), Some(tell::DATA));
        state = reader.bytes().map(<[u8]>::to_vec);
        let said = reader.bytes().expect("an answer").to_vec();
        let answer = shell.event(ask::METERED, &meter.flight, |out| out.optional(Some(&said)));
        if round == 2 {
            assert_eq!(must(&answer, tell::FINISH).status, 429);
            continue;
        }
        let attempt = must(&answer, tell::ATTEMPT);
        assert_eq!(
            (attempt.text.as_str(), attempt.body_kind),
            ("https://pets.example/pets", 0)
        );
        // What the log will say is told with it, but for times and status.
        let line = attempt.log.expect("a line in pieces");
        assert!(
            line.contains(r#""ms":,"#) && line.ends_with(r#""ms":,"status":}]}"#),
            "{line}"
        );
        let answer = shell.event(ask::ANSWERED, &attempt.flight, |out| {
            out.ms(0);
            out.u8(0);
            out.u16(200);
            for _ in 0..4 {
                out.optional_text(None);
            }
        });
        let finish = must(&answer, tell::FINISH);
        assert_eq!((finish.status, finish.body_kind), (200, 2));
    }
}

/// A chat call, up to the attempt on its target.
fn attempted(shell: &mut Shell, body: &[u8]) -> Told {
    let headers = [(0, BEARER), (3, "application/json")];
    let answer = shell.begin("POST", "https://api.example/v1/chat/completions", true, &headers);
    let read = must(&answer, tell::READ_BODY);
    let answer = shell.event(ask::BODY, &read.flight, |out| {
        out.u8(0);
        out.bytes(body);
    });
    let meter = must(&answer, tell::METER);
    // The object cannot be asked: refused, as the plan says.
    let refused = shell.event(ask::METERED, &meter.flight, |out| out.optional(None));
    assert_eq!(must(&refused, tell::FINISH).status, 503);
    let decided = shell.ask(ask::METER, |out| {
        out.ms(NOW);
        out.flag(false);
        out.optional(None);
        out.bytes(&meter.ask);
    });
    let mut reader = Reader::new(&decided);
    let _ = (reader.u8(), reader.bytes());
    let said = reader.bytes().unwrap_or_default().to_vec();
    let answer = shell.event(ask::METERED, &meter.flight, |out| out.optional(Some(&said)));
    must(&answer, tell::ATTEMPT)
}

fn head(out: &mut Writer, status: u16, kind: &str) {
    out.u16(status);
    out.optional_text(Some(kind));
    for _ in 0..3 {
        out.optional_text(None);
    }
}

#[test]
fn an_answer_that_was_read_at_once_is_judged_as_one_that_was_read_when_asked_for() {
    let good = br#"{"choices":[],"usage":{"prompt_tokens":1,"completion_tokens":2,"total_tokens":3}}"#;
    for (status, answer) in [
        (200, Ok(good.as_slice())),
        (200, Ok(b"nonsense".as_slice())),
        // Unreachable: lost on the way.
        (200, Err(1)),
    ] {
        let tell = |out: &mut Writer| match answer {
            Ok(bytes) => {
                out.u8(0);
                out.bytes(bytes);
            }
            Err(failure) => out.u8(failure),
        };
        let mut shell = Shell::started();
        let attempt = attempted(&mut shell, br#"{"model":"m","messages":[]}"#);
        let whole = shell.event(ask::WHOLE, &attempt.flight, |out| {
            out.ms(0);
            head(out, status, "application/json");
            tell(out);
        });
        let read = shell.event(ask::ANSWERED, &attempt.flight, |out| {
            out.ms(0);
            out.u8(0);
            head(out, status, "application/json");
        });
        let read = must(&read, tell::READ_ANSWER);
        let apart = shell.event(ask::ANSWER, &read.flight, tell);
        assert_eq!(whole, apart, "{status} {answer:?}");
    }
    // What is not read is judged by its head.
    let mut shell = Shell::started();
    let attempt = attempted(&mut shell, br#"{"model":"m","messages":[]}"#);
    let whole = shell.event(ask::WHOLE, &attempt.flight, |out| {
        out.ms(0);
        head(out, 500, "text/plain");
        out.u8(0);
        out.bytes(b"oops");
    });
    let answered = shell.event(ask::ANSWERED, &attempt.flight, |out| {
        out.ms(0);
        out.u8(0);
        head(out, 500, "text/plain");
    });
    assert_eq!(whole, answered);
}

#[test]
fn a_stream_travels_through_fresh_instances() {
    let mut shell = Shell::started();
    let body = br#"{"model":"m","stream":true,"messages":[]}"#;
    let attempt = attempted(&mut shell, body);
    let answer = shell.event(ask::ANSWERED, &attempt.flight, |out| {
        out.ms(0);
        out.u8(0);
        head(out, 200, "text/event-stream");
    });
    let relay = must(&answer, tell::RELAY);
    let mut tracking = relay.tracking;
    for chunk in [TOKEN, "data: [DONE]\n\n"] {
        shell.start();
        let answer = shell.ask(ask::FOLLOW, |out| {
            out.ms(NOW + 2);
            out.bytes(&tracking);
            out.bytes(chunk.as_bytes());
        });
        let mut reader = Reader::new(&answer);
        assert_eq!(reader.u8(), Some(tell::DATA));
        let flags = reader.u8().expect("flags");
        assert_eq!(flags, if chunk == TOKEN { 1 } else { 3 });
        assert!(reader.ms().is_some_and(|within| within > 0));
        tracking = reader.bytes().expect("what is known").to_vec();
        assert_eq!(reader.bytes(), Some(chunk.as_bytes()));
    }
    let answer = shell.event(ask::STREAMED, &relay.flight, |out| {
        raw(out, &[0, 0, 1]);
        out.bytes(&tracking);
    });
    let end = must(&answer, tell::END);
    assert!(end.body.is_empty());
    assert!(end.log.expect("a line").contains("\"decision\":\"passed\""));
}

#[test]
fn what_needs_a_started_core_says_so() {
    let mut shell = Shell::new();
    for op in [ask::BEGIN, ask::NAMES, ask::FAULT, ask::PAUSED] {
        let told = must(&shell.ask(op, |_| {}), tell::ERROR);
        assert_eq!(told.text, "the core was not started");
    }
    shell.start();
    for op in [
        ask::BEGIN,
        ask::NAMES,
        ask::FAULT,
        ask::PAUSED,
        ask::METER,
        ask::FOLLOW,
        99,
    ] {
        let told = must(&shell.ask(op, |_| {}), tell::ERROR);
        assert_eq!(told.text, "the shell and the core are not of one build");
    }
    shell.bundle.truncate(40);
    assert!(
        must(&shell.ask(ask::FACTS, |_| {}), tell::ERROR)
            .text
            .contains("bundle")
    );
}

#[test]
fn names_of_lists_are_told_and_never_hold_a_credential_s() {
    let mut shell = Shell::started();
    for (list, names) in [
        (0, vec!["accept"]),
        (1, vec!["tracestate"]),
        (3, vec!["x-pet"]),
        (99, vec![]),
    ] {
        let answer = shell.ask(ask::NAMES, |out| out.u32(list));
        let mut reader = Reader::new(&answer);
        assert_eq!(reader.u8(), Some(tell::DATA));
        let told: Vec<_> = (0..reader.u32().unwrap())
            .map(|_| reader.text().unwrap())
            .collect();
        assert_eq!(told, names, "{list}");
    }
}

#[test]
fn numbers_that_are_none_are_harmless() {
    for number in [f64::NAN, f64::NEG_INFINITY, -1.0, f64::INFINITY, 1e300] {
        let message = message(ask::BEGIN, |out| {
            raw(out, &number.to_le_bytes());
            raw(out, &[0; 49]);
            out.text("GET");
            out.text("https://api.example/ping");
            raw(out, &[0xff; 4 * HEAD_NAMES.len()]);
        });
        must(&Shell::started().send(&message), tell::FINISH);
    }
}

/// Messages that begin as lawful ones do.
fn seeds() -> Vec<Vec<u8>> {
    let mut shell = Shell::started();
    let begin = |url: &str| {
        message(ask::BEGIN, |out| {
            out.ms(NOW);
            raw(out, &[9; 48]);
            out.flag(true);
            out.text("POST");
            out.text(url);
            for place in 0..HEAD_NAMES.len() {
                out.optional_text(match place {
                    0 => Some(BEARER),
                    3 => Some("application/json"),
                    _ => None,
                });
            }
        })
    };
    let chat = begin("https://api.example/v1/chat/completions");
    let read = must(&shell.send(&chat), tell::READ_BODY);
    let resumed = message(ask::BODY, |out| {
        out.ms(NOW);
        raw(out, &[1; 8]);
        out.bytes(&read.flight);
        out.flag(false);
        out.u8(0);
        out.bytes(br#"{"model":"m","messages":[]}"#);
    });
    let meter = must(&shell.send(&resumed), tell::METER);
    let asked = message(ask::METER, |out| {
        out.ms(NOW);
        out.flag(false);
        out.optional(None);
        out.bytes(&meter.ask);
    });
    vec![
        chat,
        begin("https://api.example/ping"),
        resumed,
        asked,
        message(ask::FACTS, |_| {}),
        message(ask::NAMES, |out| out.u32(0)),
    ]
}

/// Whether an answer is one that the shell can read: an error, data, or a step.
fn readable(answer: &[u8]) -> bool {
    Reader::new(answer).u8() == Some(tell::DATA) || step(answer).is_some()
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 1000, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn any_message_is_answered(messages in prop::collection::vec(prop::collection::vec(any::<u8>(), 0..200), 1..4)) {
        let mut shell = Shell::new();
        for message in &messages {
            prop_assert!(readable(&shell.send(message)));
        }
    }

    #[test]
    fn any_message_to_a_started_core_is_answered(op in 0..20_u8, rest in prop::collection::vec(any::<u8>(), 0..300)) {
        let mut shell = Shell::started();
        let answer = shell.ask(op, |out| raw(out, &rest));
        prop_assert!(readable(&answer), "{answer:?}");
    }

    #[test]
    fn damaged_messages_are_answered(
        which in any::<prop::sample::Index>(),
        damage in prop::collection::vec((any::<prop::sample::Index>(), any::<u8>()), 0..5),
        cut in prop::option::of(any::<prop::sample::Index>()),
    ) {
        let seeds = SEEDS.with(Clone::clone);
        let mut message = seeds[which.index(seeds.len())].clone();
        for (place, byte) in &damage {
            let place = place.index(message.len());
            message[place] = *byte;
        }
        if let Some(cut) = cut {
            message.truncate(cut.index(message.len()));
        }
        let answer = Shell::started().send(&message);
        prop_assert!(readable(&answer), "{answer:?}");
    }

    #[test]
    fn what_is_written_is_read(
        numbers in (any::<u8>(), any::<u16>(), any::<u32>(), 0..1_u64 << 53),
        text in any::<String>(),
        bytes in prop::option::of(prop::collection::vec(any::<u8>(), 0..40)),
        headers in prop::collection::vec((any::<String>(), any::<String>()), 0..4),
    ) {
        let mut out = Writer::new();
        out.clear();
        out.u8(numbers.0);
        out.u16(numbers.1);
        out.u32(numbers.2);
        out.ms(numbers.3);
        out.text(&text);
        out.optional(bytes.as_deref());
        out.headers(&headers);
        out.filled(|buffer| buffer.extend_from_slice(text.as_bytes()));
        let mut reader = Reader::new(out.seal());
        prop_assert_eq!(reader.u8(), Some(numbers.0));
        prop_assert_eq!(reader.u16(), Some(numbers.1));
        prop_assert_eq!(reader.u32(), Some(numbers.2));
        prop_assert_eq!(reader.ms(), Some(numbers.3));
        prop_assert_eq!(reader.text(), Some(text.as_str()));
        prop_assert_eq!(reader.optional(), Some(bytes.as_deref()));
        prop_assert_eq!(reader.u32(), u32::try_from(headers.len()).ok());
        for (name, value) in &headers {
            prop_assert_eq!((reader.text(), reader.text()), (Some(name.as_str()), Some(value.as_str())));
        }
        prop_assert_eq!(reader.bytes(), Some(text.as_bytes()));
        prop_assert_eq!(reader.u8(), None);
    }
}

thread_local! {
    static SEEDS: Vec<Vec<u8>> = seeds();
}
