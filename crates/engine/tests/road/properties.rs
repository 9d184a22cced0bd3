//! Whatever comes, and in whatever order: no panic, a lawful end, nothing smuggled.

use proptest::prelude::*;
use turnpike_engine::accept::{Random, accept};
use turnpike_engine::relay::Tracking;
use turnpike_engine::step::{
    ANSWER_NAMES, AnswerHead, BodyFailure, Ending, Event, Failure, HEAD_NAMES, Head, Step, StreamEnd,
};
use turnpike_engine::{Flight, Next};

use crate::policy::{INLINE, key};
use crate::streams::{DONE, ROLE, TOKEN, USAGE};
use crate::world::{Does, Request, World, ask, ask_stream, token};

/// Words that mean something to the engine, and some that should not.
const WORDS: [&str; 24] = [
    "petstore",
    "v0",
    "v1",
    "v2",
    "pets",
    "latest",
    "status",
    "ping",
    "chat",
    "completions",
    "models",
    "fast",
    "",
    ".",
    "..",
    "%2e",
    "%2F",
    "%c3%a9",
    "%FF",
    "%00",
    "a;b",
    "é",
    "_turnpike",
    ".well-known",
];

fn method() -> impl Strategy<Value = String> {
    prop_oneof![
        4 => prop::sample::select(vec!["GET", "POST", "HEAD", "OPTIONS", "DELETE"]).prop_map(str::to_owned),
        1 => any::<String>(),
    ]
}

fn url() -> impl Strategy<Value = String> {
    let segment =
        prop_oneof![6 => prop::sample::select(WORDS.to_vec()).prop_map(str::to_owned), 1 => ".{0,8}"];
    let path = prop::collection::vec(segment, 0..6).prop_map(|segments| format!("/{}", segments.join("/")));
    let known = prop::sample::select(vec![
        "/petstore/v2/pets",
        "/petstore/v2/pets/1",
        "/status/v1/ping",
        "/v1/chat/completions",
        "/v1/models",
        "/v1/models/fast",
    ])
    .prop_map(str::to_owned);
    let query = prop_oneof![2 => Just(String::new()), 1 => "\\PC{0,20}".prop_map(|text| format!("?limit={text}")),
        1 => any::<String>().prop_map(|text| format!("?{text}"))];
    let host = prop_oneof![9 => Just("https://api.example".to_owned()), 1 => "[a-z:/@\\[\\]]{0,12}"];
    prop_oneof![
        9 => (host, prop_oneof![known, path], query).prop_map(|(host, path, query)| format!("{host}{path}{query}")),
        1 => any::<String>(),
    ]
}

fn value() -> impl Strategy<Value = String> {
    prop_oneof![
        3 => Just(format!("Bearer {}", key("demo"))),
        2 => Just(key("demo")),
        1 => Just(format!("Bearer {}", token(INLINE, |_| {}))),
        2 => Just("application/json".to_owned()),
        1 => Just("12".to_owned()),
        1 => Just("code=404".to_owned()),
        1 => Just("00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01".to_owned()),
        2 => any::<String>(),
        1 => "[ -~]{0,40}",
    ]
}

/// Any request: any method and URL, some of the headers that the engine reads, and others.
fn request() -> impl Strategy<Value = Request> {
    let names: Vec<&str> = HEAD_NAMES
        .iter()
        .copied()
        .chain(["x-pet", "x-evil", "cookie", "host", "tracestate", "accept"])
        .collect();
    let headers = prop::collection::vec((prop::sample::select(names), value()), 0..8);
    let body = prop::option::of(prop_oneof![
        Just(ask("fast").body.unwrap()),
        Just(ask_stream("lone").body.unwrap()),
        prop::collection::vec(any::<u8>(), 0..50),
    ]);
    (
        method(),
        url(),
        headers,
        body,
        any::<bool>(),
        prop::option::of(0..60_000_u64),
    )
        .prop_map(|(method, url, headers, body, identified, leaves)| {
            let mut request = Request {
                method,
                url,
                body,
                leaves,
                ..Request::default()
            };
            if request.body.is_some() {
                request = request.header("content-type", "application/json");
            }
            if identified {
                request = request.by("demo");
            }
            for (name, value) in headers {
                request = request.header(name, &value);
            }
            request
        })
}

/// What an upstream may do: anything.
fn does() -> impl Strategy<Value = Does> {
    let failure = prop::sample::select(vec![
        Failure::Unreachable,
        Failure::Timeout,
        Failure::TooLarge,
        Failure::Busy,
    ]);
    let piece = prop_oneof![
        4 => prop::sample::select(vec![ROLE, TOKEN, USAGE, DONE, "data: {}\n\n", ": ping\n\n"])
            .prop_map(|piece| piece.as_bytes().to_vec()),
        1 => prop::collection::vec(any::<u8>(), 0..30),
    ];
    let end = prop::sample::select(vec![Ending::Close, Ending::Lose, Ending::Stall]);
    let pieces = prop::collection::vec((0..15_000_u64, piece), 0..8);
    let status = prop_oneof![5 => Just(200_u16), 3 => 100..600_u16, 1 => any::<u16>()];
    let kind = prop::sample::select(vec!["text/event-stream", "application/json", "text/html"]);
    let answers = (0..20_000_u64, status, kind, value(), pieces, end).prop_map(
        |(after, status, kind, retry, pieces, end)| Does::Answers {
            after,
            status,
            headers: vec![
                ("content-type".to_owned(), kind.to_owned()),
                ("retry-after".to_owned(), retry),
            ],
            pieces,
            end,
        },
    );
    prop_oneof![1 => failure.prop_map(Does::Fails), 5 => answers]
}

/// What a header's value may not hold on the wire.
fn breaks_out(text: &str) -> bool {
    text.chars().any(|c| matches!(c, '\r' | '\n' | '\0'))
}

/// Headers that some upstream may get: those that the gateway sets, and those that a list names.
const MAY_ARRIVE: [&str; 9] = [
    "accept",
    "authorization",
    "content-type",
    "traceparent",
    "tracestate",
    "x-pet",
    "x-pets-key",
    "x-request-id",
    "",
];

proptest! {
    #![proptest_config(ProptestConfig { cases: 500, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn every_request_comes_to_a_lawful_end(
        request in request(),
        upstreams in prop::collection::vec(does(), 3),
    ) {
        let mut world = World::new();
        world.replaces = false;
        for host in ["alpha", "beta", "pets"] {
            world.expect(host, upstreams.clone());
        }
        let answer = world.send(&request);
        prop_assert!((200..600).contains(&answer.status), "{}", answer.status);
        prop_assert!(answer.log.is_some());
        for (name, value) in &answer.headers {
            let theirs = ["content-type", "etag", "vary"].contains(&name.as_str());
            prop_assert!(theirs || !breaks_out(value), "{name}: {value:?}");
        }
        for sent in &answer.sent {
            prop_assert!(!breaks_out(&sent.url) && !sent.url.contains(' '), "{:?}", sent.url);
            for (name, value) in &sent.headers {
                prop_assert!(MAY_ARRIVE.contains(&name.as_str()), "{name}");
                // What is copied was checked by the platform; what is set is the engine's.
                if !["accept", "content-type", "tracestate", "x-pet"].contains(&name.as_str()) {
                    prop_assert!(!breaks_out(value) && !value.contains("tpk_"), "{name}: {value:?}");
                }
            }
        }
    }

    #[test]
    fn what_is_accepted_is_accepted_again_in_the_same_form(url in url()) {
        let random = Random::default();
        let take = |url: &str| accept(&Head { method: "GET", url, ..Head::default() }, &random);
        if let Ok(first) = take(&url) {
            let mark = if first.query().is_empty() { "" } else { "?" };
            let again = take(&format!("https://{}{}{mark}{}", first.host(), first.path(), first.query()));
            prop_assert_eq!(again, Ok(first));
        }
    }

    #[test]
    fn any_head_is_answered(
        method in any::<String>(),
        url in any::<String>(),
        values in prop::collection::vec(prop::option::of(any::<String>()), HEAD_NAMES.len()),
        has_body in any::<bool>(),
        now in any::<u64>(),
    ) {
        let mut world = World::new();
        let mut head = Head { method: &method, url: &url, has_body, ..Head::default() };
        for (slot, value) in head.headers.iter_mut().zip(&values) {
            *slot = value.as_deref();
        }
        let next = world.engine().begin(&head, now, &Random::default());
        prop_assert_eq!(matches!(next.step, Step::Finish(_)), next.flight.is_none());
        let lost = turnpike_engine::Lost { method: &method, url: &url, committed: false };
        let step = world.engine().fault(&lost, next.flight, now, &Random::default());
        prop_assert!(matches!(step, Step::Finish(finish) if finish.status == 500));
    }
}

/// An event without what it borrows.
#[derive(Clone, Debug)]
enum Anything {
    Verified(bool),
    Keys(Option<Vec<u8>>),
    Body(Result<Vec<u8>, BodyFailure>),
    Metered(Option<Vec<u8>>),
    Answered(Result<(u16, String), Failure>),
    Answer(Result<Vec<u8>, Failure>),
    Paused,
    Streamed(Vec<u8>, StreamEnd, bool, bool),
}

fn failure() -> impl Strategy<Value = Failure> {
    prop::sample::select(vec![
        Failure::Unreachable,
        Failure::Timeout,
        Failure::TooLarge,
        Failure::SecretMissing,
        Failure::Busy,
    ])
}

fn bytes() -> impl Strategy<Value = Vec<u8>> {
    prop_oneof![
        prop::collection::vec(any::<u8>(), 0..40),
        Just(ask("lone").body.unwrap()),
        Just(ask_stream("smart").body.unwrap()),
    ]
}

fn anything() -> impl Strategy<Value = Anything> {
    let end = prop::sample::select(vec![
        StreamEnd::Closed,
        StreamEnd::Lost,
        StreamEnd::Late,
        StreamEnd::Abandoned,
        StreamEnd::TooLarge,
        StreamEnd::Busy,
    ]);
    let body = prop::sample::select(vec![
        BodyFailure::TooLarge,
        BodyFailure::Incomplete,
        BodyFailure::Busy,
        BodyFailure::Share,
    ]);
    let kind = prop::sample::select(vec!["text/event-stream", "application/json"]).prop_map(str::to_owned);
    let status = prop_oneof![Just(200_u16), any::<u16>()];
    prop_oneof![
        any::<bool>().prop_map(Anything::Verified),
        prop::option::of(bytes()).prop_map(Anything::Keys),
        prop_oneof![bytes().prop_map(Ok), body.prop_map(Err)].prop_map(Anything::Body),
        prop::option::of(bytes()).prop_map(Anything::Metered),
        prop_oneof![3 => (status, kind).prop_map(Ok), 1 => failure().prop_map(Err)]
            .prop_map(Anything::Answered),
        prop_oneof![3 => bytes().prop_map(Ok), 1 => failure().prop_map(Err)].prop_map(Anything::Answer),
        Just(Anything::Paused),
        (bytes(), end, any::<bool>(), any::<bool>())
            .prop_map(|(tracking, end, gone, committed)| Anything::Streamed(tracking, end, gone, committed)),
    ]
}

fn feed(world: &mut World, flight: Flight, event: &Anything) -> Next {
    let flight = Some(flight);
    match event {
        Anything::Verified(right) => world.resume(flight, Event::Verified(*right)),
        Anything::Keys(keys) => world.resume(flight, Event::Keys(keys.as_deref())),
        Anything::Body(body) => {
            world.resume(flight, Event::Body(body.as_deref().map_err(|failure| *failure)))
        }
        Anything::Metered(answer) => world.resume(flight, Event::Metered(answer.as_deref())),
        Anything::Answered(Err(failure)) => world.resume(flight, Event::Answered(Err(*failure))),
        Anything::Answered(Ok((status, kind))) => {
            let mut head = AnswerHead {
                status: *status,
                ..AnswerHead::default()
            };
            head.headers[ANSWER_NAMES
                .iter()
                .position(|name| *name == "content-type")
                .unwrap()] = Some(kind);
            world.resume(flight, Event::Answered(Ok(head)))
        }
        Anything::Answer(body) => {
            world.resume(flight, Event::Answer(body.as_deref().map_err(|failure| *failure)))
        }
        Anything::Paused => world.resume(flight, Event::Paused),
        Anything::Streamed(tracking, end, client_gone, committed) => world.resume(
            flight,
            Event::Streamed {
                tracking,
                end: *end,
                client_gone: *client_gone,
                committed: *committed,
            },
        ),
    }
}

fn begins() -> impl Strategy<Value = Request> {
    let signed = format!("Bearer {}", token(INLINE, |_| {}));
    let remote = format!("Bearer {}", token(crate::policy::REMOTE, |_| {}));
    prop::sample::select(vec![
        ask("lone"),
        ask("smart").by("minute"),
        ask_stream("complete"),
        ask_stream("rescued").by("open"),
        Request::get("/petstore/v2/pets/1").by("minute"),
        Request::new("POST", "/petstore/v2/pets")
            .by("demo")
            .chunked("application/json", b"{}"),
        Request::get("/petstore/v2/pets").header("authorization", &signed),
        Request::get("/petstore/v2/pets").header("authorization", &remote),
        Request::get("/_turnpike/health"),
    ])
}

/// Whether a step is one that ends a request, or one that leaves something in flight.
fn lawful(next: &Next) -> bool {
    match &next.step {
        Step::Finish(finish) => next.flight.is_none() && finish.log.is_some(),
        Step::End { log, .. } => next.flight.is_none() && log.is_some(),
        _ => next.flight.is_some(),
    }
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 500, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn events_that_nothing_waited_for_end_a_request_and_harm_nothing(
        request in begins(),
        events in prop::collection::vec(anything(), 1..12),
        waits in prop::collection::vec(0..30_000_u64, 12),
    ) {
        let mut world = World::new();
        let mut next = world.begin(&request);
        for (event, wait) in events.iter().zip(waits) {
            prop_assert!(lawful(&next));
            let Some(flight) = next.flight.take() else { break };
            world.now += wait;
            next = feed(&mut world, flight, event);
        }
        prop_assert!(lawful(&next));
        // The other half's answers are passed on as they are.
        if let Step::Finish(finish) = &next.step && !request.url.contains("/_turnpike/") {
            prop_assert!((200..600).contains(&finish.status), "{}", finish.status);
        }
    }

    #[test]
    fn damaged_flights_end_a_request_and_harm_nothing(
        request in begins(),
        first in anything(),
        then in anything(),
        damage in prop::collection::vec((any::<prop::sample::Index>(), any::<u8>()), 1..6),
        cut in prop::option::of(any::<prop::sample::Index>()),
    ) {
        let mut world = World::new();
        let mut next = world.begin(&request);
        for event in [&first, &then] {
            let Some(flight) = next.flight.take() else { break };
            let mut bytes = postcard::to_allocvec(&flight).unwrap();
            for (place, byte) in &damage {
                let place = place.index(bytes.len());
                bytes[place] = *byte;
            }
            if let Some(cut) = cut {
                bytes.truncate(cut.index(bytes.len()));
            }
            // What cannot be read is refused before the engine sees it.
            let Ok(flight) = postcard::from_bytes::<Flight>(&bytes) else { break };
            next = feed(&mut world, flight, event);
            prop_assert!(lawful(&next));
        }
    }

    #[test]
    fn damaged_knowledge_of_a_stream_harms_nothing(
        filter in any::<bool>(),
        pieces in prop::collection::vec(prop_oneof![
            prop::sample::select(vec![ROLE, TOKEN, USAGE, DONE, "data: {\"ch", "\r", "\n"]).prop_map(|p| p.as_bytes().to_vec()),
            prop::collection::vec(any::<u8>(), 0..30),
        ], 1..6),
        damage in prop::collection::vec((any::<prop::sample::Index>(), any::<u8>()), 0..4),
        now in any::<u64>(),
    ) {
        let timeouts = turnpike_policy::Timeouts { first: 10, idle: 20, total: 30 };
        let mut tracking = Tracking::new(filter, &timeouts, 5, 40);
        let mut out = Vec::new();
        for piece in &pieces {
            tracking.feed(piece, now, &mut out);
            let mut bytes = postcard::to_allocvec(&tracking).unwrap();
            for (place, byte) in &damage {
                let place = place.index(bytes.len());
                bytes[place] = *byte;
            }
            let Ok(read) = postcard::from_bytes(&bytes) else { break };
            tracking = read;
        }
        let _ = tracking.fault(StreamEnd::Closed, now);
    }
}
