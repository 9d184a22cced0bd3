//! A stream tells the truth: how it ends, what it used, whose it is.

use serde_json::{Value, json};
use turnpike_engine::step::Ending;

use crate::policy::{FIRST, IDLE, SECOND, TOTAL};
use crate::world::{Answer, Does, Request, World, ask_stream, chat};

pub(crate) const ROLE: &str = "data: {\"id\":\"c\",\"choices\":[{\"index\":0,\"delta\":{\"role\":\"assistant\",\"content\":\"\"},\"finish_reason\":null}],\"usage\":null}\n\n";
pub(crate) const TOKEN: &str = "data: {\"id\":\"c\",\"choices\":[{\"index\":0,\"delta\":{\"content\":\"hi\"},\"finish_reason\":null}],\"usage\":null}\n\n";
pub(crate) const STOP: &str = "data: {\"id\":\"c\",\"choices\":[{\"index\":0,\"delta\":{},\"finish_reason\":\"stop\"}],\"usage\":null}\n\n";
pub(crate) const USAGE: &str = "data: {\"id\":\"c\",\"choices\":[],\"usage\":{\"prompt_tokens\":9,\"completion_tokens\":3,\"total_tokens\":12}}\n\n";
pub(crate) const DONE: &str = "data: [DONE]\n\n";
const ERROR: &str = "data: {\"error\":{\"message\":\"the upstream's words\",\"code\":\"boom\"}}\n\n";
const WHOLE: [&str; 5] = [ROLE, TOKEN, STOP, USAGE, DONE];

fn with_usage(model: &str) -> Request {
    chat(&json!({
        "model": model, "stream": true, "stream_options": { "include_usage": true },
        "messages": [{ "role": "user", "content": "hello there" }],
    }))
}

fn one(request: &Request, does: Does) -> Answer {
    World::new().tap(does).send(request)
}

impl World {
    /// With one answer of `alpha`.
    fn tap(mut self, does: Does) -> Self {
        self.expect("alpha", [does]);
        self
    }
}

/// The error object that ends a stream.
fn last_error(answer: &Answer) -> Value {
    let events = answer.events();
    let last: Value = serde_json::from_str(events.last().expect("an event")).unwrap_or_default();
    last["error"].clone()
}

fn counted() -> Value {
    json!({ "input_tokens": 9, "output_tokens": 3, "settled": "counted" })
}

#[test]
fn a_whole_stream_is_passed_on_and_settled_as_counted() {
    let answer = one(&ask_stream("lone"), Does::streams(&WHOLE, Ending::Close));
    assert_eq!(answer.status, 200);
    assert_eq!(
        answer.header("content-type"),
        Some("text/event-stream; charset=utf-8")
    );
    assert_eq!(answer.events().last().map(String::as_str), Some("[DONE]"));
    assert_eq!(answer.log()["usage"], counted());
    assert_eq!(answer.log()["decision"], "passed");
    assert_eq!(answer.log().get("client_gone"), None);
}

#[test]
fn usage_is_always_asked_for_and_shown_only_to_whom_asked() {
    for (request, shown) in [(ask_stream("lone"), false), (with_usage("lone"), true)] {
        let answer = one(&request, Does::streams(&WHOLE, Ending::Close));
        let sent: Value = serde_json::from_slice(&answer.sent[0].body).expect("JSON");
        assert_eq!(sent["stream_options"]["include_usage"], true);
        assert_eq!(answer.text().contains("prompt_tokens"), shown);
        assert_eq!(answer.log()["usage"], counted());
        if shown {
            assert_eq!(answer.text(), WHOLE.concat(), "not a byte is changed");
        }
    }
}

#[test]
fn the_first_token_does_not_wait_for_the_last() {
    let does = Does::streams(&WHOLE, Ending::Close).waiting(&[0, 100, 5000, 5000, 5000]);
    for model in ["lone", "smart"] {
        let answer = one(&ask_stream(model), does.clone());
        assert!(
            answer.first_byte.is_some_and(|at| at < 1000),
            "{model}: {:?}",
            answer.first_byte
        );
        assert!(answer.took > 15_000);
    }
}

#[test]
fn a_stream_that_ends_wrongly_ends_with_an_error_event() {
    let malformed = "data: {\"choi\n\n";
    let long = Does::streams(
        &[
            ROLE, TOKEN, TOKEN, TOKEN, TOKEN, TOKEN, TOKEN, TOKEN, TOKEN, TOKEN,
        ],
        Ending::Close,
    )
    .waiting(&[
        0,
        1,
        15 * SECOND,
        15 * SECOND,
        15 * SECOND,
        15 * SECOND,
        15 * SECOND,
        15 * SECOND,
        15 * SECOND,
        19 * SECOND,
    ]);
    for (what, does, code, by) in [
        (
            "cut before the first token",
            Does::streams(&[ROLE], Ending::Lose),
            "stream_cut",
            SECOND,
        ),
        (
            "cut after it",
            Does::streams(&[ROLE, TOKEN], Ending::Lose),
            "stream_cut",
            SECOND,
        ),
        (
            "no terminator",
            Does::streams(&[ROLE, TOKEN, STOP, USAGE], Ending::Close),
            "stream_cut",
            SECOND,
        ),
        (
            "nothing at all",
            Does::streams(&[], Ending::Close),
            "stream_cut",
            SECOND,
        ),
        (
            "no first token",
            Does::streams(&[ROLE], Ending::Stall),
            "stream_stalled",
            FIRST,
        ),
        (
            "silence",
            Does::streams(&[ROLE, TOKEN], Ending::Stall),
            "stream_stalled",
            IDLE + SECOND,
        ),
        ("too long in all", long, "stream_stalled", TOTAL),
        (
            "an error inside",
            Does::streams(&[ROLE, TOKEN, ERROR, DONE], Ending::Close),
            "stream_failed",
            SECOND,
        ),
        (
            "nonsense inside",
            Does::streams(&[ROLE, TOKEN, malformed, DONE], Ending::Close),
            "stream_failed",
            SECOND,
        ),
    ] {
        for request in [ask_stream("lone"), with_usage("lone")] {
            let answer = one(&request, does.clone());
            assert_eq!(answer.status, 200, "{what}");
            assert_eq!(last_error(&answer)["code"], code, "{what}: {}", answer.text());
            assert_eq!(answer.log()["code"], code, "{what}");
            assert!(answer.took <= by, "{what}: {}", answer.took);
            assert_eq!(answer.log()["decision"], "failed");
            assert!(answer.log()["attempts"][0]["failed"].is_string());
        }
    }
}

#[test]
fn an_error_event_stands_alone_after_half_an_event() {
    // Untouched, half an event is already with the client when the connection is lost.
    let half = "data: {\"id\":\"c\",\"choices\":[{\"del";
    for request in [ask_stream("lone"), with_usage("lone")] {
        for cut in [half, "data: ", "data: {}\n", "data: {}\r"] {
            let answer = one(&request, Does::streams(&[ROLE, TOKEN, cut], Ending::Lose));
            assert_eq!(
                last_error(&answer)["code"],
                "stream_cut",
                "{cut:?}: {}",
                answer.text()
            );
        }
        // A client that reads events in order learns it of the half one: no event before it is none.
        let answer = one(&request, Does::streams(&[ROLE, TOKEN, half], Ending::Lose));
        let events: Vec<serde_json::Value> = answer
            .events()
            .iter()
            .map(|event| serde_json::from_str(event).expect("JSON"))
            .collect();
        let first = events.iter().find(|event| event["error"].is_object());
        assert_eq!(first.expect("an error")["error"]["code"], "stream_cut");
    }
}

#[test]
fn a_cut_after_the_terminator_changes_nothing() {
    for end in [Ending::Lose, Ending::Stall] {
        let answer = one(&ask_stream("lone"), Does::streams(&WHOLE, end));
        assert_eq!(answer.events().last().map(String::as_str), Some("[DONE]"));
        assert_eq!(answer.log().get("code"), None);
    }
    // The terminator's own line ends may be missing.
    let answer = one(
        &ask_stream("lone"),
        Does::streams(&[ROLE, TOKEN, "data: [DONE]"], Ending::Close),
    );
    assert_eq!(answer.events().last().map(String::as_str), Some("[DONE]"));
    assert_eq!(answer.log().get("code"), None);
}

#[test]
fn what_was_not_counted_is_settled_at_the_bound() {
    for (request, output) in [
        (with_usage("lone"), json!(1000)),
        (
            chat(
                &json!({ "model": "lone", "stream": true, "max_tokens": 50, "n": 2,
                "messages": [{ "role": "user", "content": "hello" }] }),
            ),
            json!(100),
        ),
    ] {
        let answer = one(&request, Does::streams(&[ROLE, TOKEN], Ending::Lose));
        let usage = &answer.log()["usage"];
        assert_eq!(
            (&usage["settled"], &usage["output_tokens"]),
            (&json!("bound"), &output)
        );
        assert_eq!(usage["input_tokens"], request.body.as_ref().unwrap().len());
    }
    // Nothing was produced: nothing is settled.
    let answer = one(&with_usage("lone"), Does::streams(&[ROLE], Ending::Lose));
    assert_eq!(answer.log().get("usage"), None);
    // But who was cut after a while may have been thinking, and billed it.
    let thinks = Does::streams(&[ROLE, ROLE], Ending::Lose).waiting(&[0, 2_000]);
    let answer = one(&with_usage("lone"), thinks);
    assert_eq!(answer.log()["usage"]["settled"], "bound", "{:?}", answer.log());
}

#[test]
fn what_is_counted_on_the_way_is_not_the_end() {
    let running = concat!(
        "data: ",
        r#"{"id":"c","object":"chat.completion.chunk","created":1,"model":"m","choices":[{"index":0,"delta":{"content":"a"},"finish_reason":null}],"usage":{"prompt_tokens":10,"completion_tokens":1,"total_tokens":11}}"#,
        "\n\n"
    );
    let answer = one(
        &with_usage("lone"),
        Does::streams(&[ROLE, running, TOKEN], Ending::Lose),
    );
    assert_eq!(answer.log()["usage"]["settled"], "bound");
    // What was said at the end counts, and a later nothing takes nothing back.
    let nothing = concat!(
        "data: ",
        r#"{"id":"c","object":"chat.completion.chunk","created":1,"model":"m","choices":[],"usage":{"prompt_tokens":0,"completion_tokens":0,"total_tokens":0}}"#,
        "\n\n"
    );
    let events = [ROLE, running, STOP, nothing, DONE];
    let answer = one(&with_usage("lone"), Does::streams(&events, Ending::Close));
    assert_eq!(
        answer.log()["usage"],
        json!({ "input_tokens": 10, "output_tokens": 1, "settled": "counted" })
    );
}

#[test]
fn a_client_that_leaves_is_settled_and_flagged() {
    let mut request = ask_stream("lone");
    request.leaves = Some(100);
    // The upstream ends within the time for draining.
    let answer = one(
        &request,
        Does::streams(&WHOLE, Ending::Close).waiting(&[0, 10, 10_000, 5000, 5000]),
    );
    assert_eq!(
        (&answer.log()["client_gone"], &answer.log()["usage"]),
        (&json!(true), &counted())
    );
    assert_eq!(answer.log().get("code"), None);
    assert!(!answer.text().contains("[DONE]"), "nothing is sent to nobody");
    // It does not.
    let answer = one(
        &request,
        Does::streams(&WHOLE, Ending::Close).waiting(&[0, 10, 15_000, 9000, 9000]),
    );
    assert_eq!(answer.log()["usage"]["settled"], "bound");
    // Nobody's fault: its upstream was heard out as long as may be.
    assert_eq!(answer.log()["client_gone"], true);
    assert_eq!(answer.log().get("code"), None);
    assert!(answer.took <= 100 + 25_000, "{}", answer.took);
}

#[test]
fn a_client_that_leaves_before_the_first_token_is_settled_at_the_bound() {
    // What the upstream thought before it was left alone was not free.
    let mut request = ask_stream("lone");
    request.leaves = Some(100);
    let answer = one(&request, Does::streams(&[ROLE], Ending::Stall));
    assert_eq!(answer.log()["client_gone"], true);
    assert_eq!(answer.log()["usage"]["settled"], "bound");
}

#[test]
fn before_the_first_token_somebody_else_may_answer() {
    for does in [
        Does::streams(&[ROLE], Ending::Lose),
        Does::streams(&[], Ending::Close),
        Does::streams(&[ROLE], Ending::Stall),
    ] {
        let mut world = World::new();
        world.expect("alpha", [does.clone(), does.clone(), does.clone()]);
        world.expect("beta", [Does::streams(&WHOLE, Ending::Close)]);
        let answer = world.send(&ask_stream("smart"));
        assert_eq!(answer.log().get("code"), None, "{}", answer.text());
        assert_eq!(answer.sent.len(), 4);
        assert_eq!(answer.events().last().map(String::as_str), Some("[DONE]"));
        assert_eq!(
            answer.text().matches("assistant").count(),
            1,
            "the client sees one answer only"
        );
    }
}

#[test]
fn after_the_first_token_nobody_else_answers() {
    for end in [Ending::Lose, Ending::Stall, Ending::Close] {
        let answer = one(&ask_stream("smart"), Does::streams(&[ROLE, TOKEN], end));
        assert_eq!(answer.sent.len(), 1);
        assert!(
            last_error(&answer)["code"]
                .as_str()
                .unwrap()
                .starts_with("stream_")
        );
    }
}

#[test]
fn a_complete_answer_is_held_until_it_is_whole() {
    // Cut after the first token: the client sees nothing of it, but the other target's answer.
    let mut world = World::new().tap(Does::streams(&[ROLE, TOKEN, TOKEN], Ending::Lose));
    world.expect("beta", [Does::streams(&WHOLE, Ending::Close)]);
    let answer = world.send(&ask_stream("complete"));
    assert_eq!(answer.sent.len(), 2);
    assert_eq!(answer.text().matches("hi").count(), 1);
    assert_eq!(answer.first_byte, None, "nothing comes before the end");
    assert_eq!(answer.log()["usage"], counted());
}

#[test]
fn what_a_refused_stream_used_is_recorded() {
    // Both targets are cut after tokens that nobody sees: they were not free.
    let mut world = World::new().tap(Does::streams(&[ROLE, TOKEN], Ending::Lose));
    world.expect("beta", [Does::streams(&[ROLE, TOKEN, STOP, USAGE], Ending::Lose)]);
    let answer = world.send(&ask_stream("complete"));
    assert_eq!(
        (answer.status, answer.code().as_str()),
        (502, "upstream_unreachable")
    );
    assert_eq!(answer.log()["usage"], counted());
}

#[test]
fn an_answer_that_cannot_be_held_is_refused() {
    let big = format!(
        "data: {{\"choices\":[{{\"delta\":{{\"content\":\"{}\"}}}}]}}\n\n",
        "x".repeat(900_000)
    );
    let pieces = vec![big.as_str(); 6];
    let mut world = World::new().tap(Does::streams(&pieces, Ending::Close));
    world.expect("beta", [Does::streams(&pieces, Ending::Close)]);
    let answer = world.send(&ask_stream("complete"));
    assert_eq!((answer.status, answer.code().as_str()), (502, "upstream_invalid"));
}

#[test]
fn a_stream_was_asked_for_and_something_else_came() {
    let answer = one(&ask_stream("lone"), Does::completes());
    assert_eq!((answer.status, answer.code().as_str()), (502, "upstream_invalid"));
}

#[test]
fn mocks_stream_and_fail_like_the_real_thing() {
    let stream = |text: &str| {
        World::new().send(&chat(&json!({
            "model": "fast", "stream": true, "messages": [{ "role": "user", "content": text }],
        })))
    };
    let answer = stream("good morning");
    assert_eq!(answer.events().last().map(String::as_str), Some("[DONE]"));
    assert!(!answer.text().contains("\"usage\":{"), "nobody asked for it");
    assert_eq!(
        answer.log()["usage"],
        json!({ "input_tokens": 11, "output_tokens": 7, "settled": "counted" })
    );
    let said: String = answer
        .events()
        .iter()
        .filter_map(|event| {
            let event: Value = serde_json::from_str(event).ok()?;
            Some(event["choices"][0]["delta"]["content"].as_str()?.to_owned())
        })
        .collect();
    assert_eq!(said, "You said: good morning");
    assert_eq!(last_error(&stream("please cut"))["code"], "stream_cut");
    assert_eq!(last_error(&stream("please stall"))["code"], "stream_stalled");
    assert_eq!(last_error(&stream("please end early"))["code"], "stream_cut");
    assert_eq!(stream("please fail").code(), "upstream_error");
    // Its head comes at once, but no token in time.
    assert_eq!(last_error(&stream("please be late"))["code"], "stream_stalled");
}

#[test]
fn a_stream_for_which_there_is_no_room_is_nobody_elses_to_answer() {
    let mut world = World::new();
    world.full = true;
    world.expect(
        "alpha",
        [Does::streams(&[ROLE, TOKEN, STOP, DONE], Ending::Close)],
    );
    let answer = world.send(&ask_stream("smart"));
    assert_eq!(answer.code(), "overloaded", "{}", answer.text());
    assert_eq!(answer.header("retry-after"), Some("1"));
    let attempts = answer.log()["attempts"].as_array().unwrap();
    assert_eq!(
        attempts.len(),
        1,
        "another would find no room either: {attempts:?}"
    );
    assert_eq!(attempts[0]["failed"], "overloaded");
}
