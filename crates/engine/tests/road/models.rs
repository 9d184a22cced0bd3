//! Calls of models: what is sent, who is tried, what is answered.

use serde_json::{Value, json};
use turnpike_engine::step::{Ending, Failure};
use turnpike_policy::{Reason, State};

use crate::policy::{FIRST, NOW, TOTAL};
use crate::streams::{DONE, TOKEN};
use crate::world::{Answer, Does, Request, World, ask, ask_stream, chat};

fn lone(does: Does) -> Answer {
    let mut world = World::new();
    world.expect("alpha", [does]);
    world.send(&ask("lone"))
}

fn hosts(answer: &Answer) -> Vec<&str> {
    answer
        .sent
        .iter()
        .map(|sent| sent.url.split(['/', '.']).nth(2).unwrap())
        .collect()
}

#[test]
fn the_model_is_renamed_and_nothing_else_is_changed() {
    let body = r#"{ "temperature":1.50,  "model" : "limited", "messages":[{"role":"user","content":"\u00e9 \"model\""}], "x-own": [1e3] }"#;
    let request = Request::new("POST", "/v1/chat/completions")
        .by("demo")
        .body("application/json; charset=utf-8", body.as_bytes());
    let answer = World::new().send(&request);
    assert_eq!(answer.status, 200);
    let sent = &answer.sent[0];
    assert_eq!(sent.url, "https://alpha.example/v1/chat/completions");
    assert_eq!(sent.method, "POST");
    assert_eq!(
        String::from_utf8_lossy(&sent.body),
        body.replace("\"limited\"", "\"alpha-1\"")
    );
    assert_eq!(answer.json()["choices"][0]["message"]["content"], "ok");
    assert_eq!(answer.header("content-type"), Some("application/json"));
    assert_eq!(
        answer.log()["usage"],
        json!({ "input_tokens": 9, "output_tokens": 3, "settled": "counted" })
    );
    assert_eq!(
        (&answer.log()["model"], &answer.log()["consumer"]),
        (&json!("limited"), &json!("demo"))
    );
}

#[test]
fn a_provider_gets_its_own_credential_and_never_the_client_s() {
    let request = ask("keyed")
        .header("x-secret-thing", "1")
        .header("cookie", "a=b")
        .header("accept", "text/html");
    let answer = World::new().send(&request);
    let headers = &answer.sent[0].headers;
    assert!(headers["authorization"].ends_with(crate::world::SECRET_VALUE));
    assert!(!headers.values().any(|value| value.contains("tpk_")));
    let names: Vec<_> = headers.keys().map(String::as_str).collect();
    assert_eq!(
        names,
        [
            "accept",
            "authorization",
            "content-type",
            "traceparent",
            "x-request-id"
        ]
    );
    assert_eq!(headers["accept"], "application/json");
    assert_eq!(headers["x-request-id"], answer.header("x-request-id").unwrap());
    // Without a credential of its own, it gets none.
    let answer = World::new().send(&ask("lone"));
    assert!(!answer.sent[0].headers.contains_key("authorization"));
}

#[test]
fn weights_share_out_the_first_choice() {
    let mut world = World::new();
    world.replaces = false;
    let mut counts = [0; 3];
    for _ in 0..2000 {
        let answer = world.send(&ask("weighted"));
        let host = hosts(&answer)[0].to_owned();
        counts[["alpha", "beta", "gamma"]
            .iter()
            .position(|name| *name == host)
            .unwrap()] += 1;
    }
    // 80, 15 and 5 of a hundred.
    assert!((1500..1700).contains(&counts[0]), "{counts:?}");
    assert!((230..370).contains(&counts[1]), "{counts:?}");
    assert!((60..150).contains(&counts[2]), "{counts:?}");
}

#[test]
fn only_a_reason_of_the_policy_leads_to_another_try() {
    for (reason, does) in [
        (Reason::RateLimited, Does::status(429, "{}")),
        (Reason::Overloaded, Does::status(503, "{}")),
        (Reason::Overloaded, Does::status(529, "{}")),
        (Reason::ServerError, Does::status(500, "{}")),
        (Reason::ServerError, Does::status(408, "{}")),
        (Reason::Unreachable, Does::Fails(Failure::Unreachable)),
        (Reason::NoFirstToken, Does::Fails(Failure::Timeout)),
        (Reason::InvalidAnswer, Does::status(302, "{}")),
        (Reason::InvalidAnswer, Does::status(200, "{}")),
        (
            Reason::InvalidAnswer,
            Does::status(200, r#"{"error":{"message":"no"}}"#),
        ),
    ] {
        for on in Reason::ALL {
            let mut world = World::with(|policy| {
                let smart = policy
                    .models
                    .iter_mut()
                    .find(|model| model.name == "smart")
                    .unwrap();
                smart.retry.on = vec![on];
                smart.retry.attempts = 1;
            });
            world.expect("alpha", [does.clone()]);
            let streamed = matches!(does, Does::Fails(Failure::Timeout));
            if streamed {
                world.expect("beta", [Does::streams(&[TOKEN, DONE], Ending::Close)]);
            }
            // A plain call that hangs uses up the whole time; a streamed one does not.
            let answer = world.send(&if streamed {
                ask_stream("smart")
            } else {
                ask("smart")
            });
            let context = format!("{reason:?} with {on:?}: {}", answer.text());
            if on == reason {
                assert_eq!(
                    (answer.status, hosts(&answer)),
                    (200, vec!["alpha", "beta"]),
                    "{context}"
                );
                assert_eq!(answer.log()["attempts"][0]["failed"], reason.name(), "{context}");
                assert_eq!(answer.log()["attempts"][1].get("failed"), None);
            } else {
                assert!(answer.status >= 429, "{context}");
                assert_eq!(hosts(&answer), ["alpha"], "{context}");
            }
        }
    }
}

#[test]
fn fallbacks_come_in_their_order_each_tried_as_often_as_the_policy_says() {
    let mut world = World::new();
    for host in ["alpha", "beta", "gamma"] {
        world.expect(host, std::iter::repeat_n(Does::status(503, "{}"), 3));
    }
    let answer = world.send(&ask("smart"));
    assert_eq!(
        hosts(&answer),
        [
            "alpha", "alpha", "alpha", "beta", "beta", "beta", "gamma", "gamma", "gamma"
        ]
    );
    assert_eq!(
        (answer.status, answer.code().as_str()),
        (503, "upstream_overloaded")
    );
    assert_eq!(answer.log()["attempts"].as_array().unwrap().len(), 9);
    // After all but one something may follow. A stream may be ended before its request is.
    let last: Vec<bool> = answer.sent.iter().map(|sent| sent.last).collect();
    assert_eq!(last, [vec![false; 8], vec![true]].concat());
    for stream in world.send(&ask_stream("smart")).sent {
        assert!(!stream.last);
    }
    let models: Vec<Value> = answer
        .sent
        .iter()
        .map(|sent| serde_json::from_slice(&sent.body).unwrap())
        .collect();
    assert!(models.iter().zip(&answer.sent).all(|(body, sent)| {
        sent.url
            .contains(body["model"].as_str().unwrap().trim_end_matches("-1"))
    }));
}

#[test]
fn who_is_reached_without_tls_is_asked_no_longer_than_the_exception_lasts() {
    let until = NOW + 60_000;
    let mut world = World::with(|compiled| {
        for provider in &mut compiled.providers {
            provider.until = ["alpha", "gamma"]
                .contains(&provider.name.as_str())
                .then_some(until);
        }
    });
    assert_eq!(hosts(&world.send(&ask("smart"))), ["alpha"]);
    // From then on nothing is sent there: somebody else is asked, where the policy lets an unreachable one be followed.
    world.now = until;
    assert_eq!(hosts(&world.send(&ask("smart"))), ["beta"]);
    world.expect("beta", std::iter::repeat_n(Does::status(503, "{}"), 3));
    let answer = world.send(&ask("smart"));
    assert_eq!(hosts(&answer), ["beta", "beta", "beta"]);
    assert_eq!(
        (answer.status, answer.code().as_str()),
        (502, "upstream_unreachable")
    );
    assert!(
        answer.log().to_string().contains("the exception"),
        "{}",
        answer.log()
    );
    let alone = world.send(&ask_stream("fast"));
    assert!(
        hosts(&alone).is_empty() || hosts(&alone) == ["beta"],
        "{:?}",
        hosts(&alone)
    );
}

#[test]
fn a_mock_may_be_the_fallback_of_a_real_target() {
    let mut world = World::new();
    world.expect(
        "alpha",
        [
            Does::Fails(Failure::Unreachable),
            Does::Fails(Failure::Unreachable),
        ],
    );
    let answer = world.send(&ask("rescued"));
    assert_eq!(
        answer.json()["choices"][0]["message"]["content"],
        "You said: hello there"
    );
    assert_eq!(
        answer.steps.iter().filter(|step| **step == "body").count(),
        2,
        "the script looks at the body"
    );
    let answer = world.send(&ask_stream("rescued"));
    assert!(answer.text().ends_with("data: [DONE]\n\n"));
}

#[test]
fn retries_wait_a_little_and_not_all_the_same() {
    let mut seen = Vec::new();
    for seed in 0..40 {
        let mut world = World::new();
        (0..seed).for_each(|_| {
            world.rand();
        });
        world.expect("alpha", [Does::status(503, "{}"), Does::status(503, "{}")]);
        let answer = world.send(&ask("smart"));
        assert_eq!(answer.pauses.len(), 2);
        assert!(
            answer.pauses[0] < 250 && answer.pauses[1] < 500,
            "{:?}",
            answer.pauses
        );
        seen.extend(answer.pauses);
    }
    let (least, most) = (seen.iter().min().unwrap(), seen.iter().max().unwrap());
    assert!(most - least > 200, "they are spread: {least} to {most}");
}

#[test]
fn retry_after_is_obeyed_and_a_long_one_leads_to_the_next_target() {
    for (name, value, range) in [
        ("retry-after", "2", 2000..2300),
        ("retry-after-ms", "700", 700..820),
    ] {
        let mut world = World::new();
        world.expect("alpha", [Does::status(429, "{}").header(name, value)]);
        let answer = world.send(&ask("smart"));
        assert_eq!(hosts(&answer), ["alpha", "alpha"]);
        assert!(range.contains(&answer.pauses[0]), "{name}: {:?}", answer.pauses);
    }
    let mut world = World::new();
    world.expect("alpha", [Does::status(429, "{}").header("retry-after", "60")]);
    let answer = world.send(&ask("smart"));
    assert_eq!(hosts(&answer), ["alpha", "beta"], "nobody waits a minute");
    assert!(answer.pauses.is_empty());
    // With nobody else, the client is told how long.
    for (value, told) in [
        ("60", Some(("60", "true"))),
        // Beyond a minute the SDKs of models would ask again at once, so they are told not to.
        ("61", Some(("61", "false"))),
        // As a date, by the gateway's clock; one that has passed asks for nothing.
        ("Sat, 16 Jan 2027 00:01:00 GMT", Some(("60", "true"))),
        ("Fri, 15 Jan 2027 23:59:00 GMT", Some(("1", "true"))),
        // A day at the most, whatever is said.
        ("86400", Some(("86400", "false"))),
        ("86401", Some(("86400", "false"))),
        ("18446744073709551615", Some(("86400", "false"))),
        ("Thu, 31 Dec 2099 23:59:59 GMT", Some(("86400", "false"))),
        // What it does not say is not made up.
        ("soon", None),
        ("-1", None),
    ] {
        for status in [429, 503] {
            let answer = lone(Does::status(status, "{}").header("retry-after", value));
            let header = |name| answer.header(name);
            let found = header("retry-after").zip(header("x-should-retry"));
            assert_eq!(found, told, "{value}");
            let ms = header("retry-after-ms").map(|ms| ms.parse::<u64>().unwrap());
            let seconds = ms.map(|ms| ms.div_ceil(1000).to_string());
            assert_eq!(seconds.as_deref(), header("retry-after"), "{value}: {ms:?}");
        }
    }
}

#[test]
fn one_deadline_bounds_all_attempts() {
    // Each try hangs; streamed, each may take as long as a first token may.
    let mut world = World::new();
    for host in ["alpha", "beta", "gamma"] {
        world.expect(host, std::iter::repeat_n(Does::Fails(Failure::Timeout), 9));
    }
    let answer = world.send(&ask_stream("smart"));
    assert_eq!(answer.code(), "upstream_timeout");
    assert!(
        answer.took <= TOTAL && answer.took > 9 * FIRST - 1,
        "{}",
        answer.took
    );
    assert!(answer.sent.iter().all(|sent| sent.within <= FIRST));
    // Plain, the first one may take all the time, and then none is left.
    let mut world = World::new();
    world.expect("alpha", [Does::Fails(Failure::Timeout)]);
    let answer = world.send(&ask("smart"));
    assert_eq!((answer.took, answer.sent.len()), (TOTAL, 1));
    // A slow failure leaves the rest to the next one.
    let mut world = World::new();
    world.expect(
        "alpha",
        std::iter::repeat_n(Does::status(503, "{}").after(50_000), 3),
    );
    world.expect("beta", [Does::Fails(Failure::Timeout)]);
    let answer = world.send(&ask("smart"));
    assert!(answer.took <= TOTAL, "{}", answer.took);
    let last = answer.sent.last().unwrap();
    assert!(last.at + last.within <= crate::policy::NOW + TOTAL);
}

#[test]
fn what_a_provider_says_of_the_gateway_is_not_said_of_the_client() {
    for status in [401, 402, 403, 404, 407] {
        let body = r#"{"error":{"message":"Incorrect API key provided: sk-1234","code":"invalid_api_key"}}"#;
        let answer = lone(Does::status(status, body).header("www-authenticate", "Basic"));
        assert_eq!((answer.status, answer.code().as_str()), (502, "upstream_refused"));
        assert!(!answer.text().contains("sk-1234"));
        assert_eq!(answer.header("www-authenticate"), None);
        assert_eq!(answer.log()["attempts"][0]["status"], status);
        assert_eq!(answer.log()["attempts"][0]["failed"], "refused");
        // Nothing that another try would mend.
        let mut world = World::new();
        world.expect("alpha", [Does::status(status, body)]);
        assert_eq!(world.send(&ask("smart")).sent.len(), 1);
    }
}

#[test]
fn what_a_provider_says_of_the_request_is_passed_on_if_it_is_an_error() {
    for status in [400, 413, 422] {
        let body = r#"{"error":{"message":"'temperature' is too high","type":"invalid_request_error","param":"temperature","code":"bad"}}"#;
        let answer = lone(Does::status(status, body));
        assert_eq!((answer.status, answer.text().as_str()), (status, body));
        assert_eq!(answer.header("content-type"), Some("application/json"));
        assert_eq!(
            (&answer.log()["code"], &answer.log()["status"]),
            (&json!("invalid_request"), &json!(status))
        );
    }
    for body in ["<html>nginx</html>", "", "{}", r#"{"error":"bad"}"#, "[1]"] {
        let answer = lone(Does::status(400, body));
        assert_eq!((answer.status, answer.code().as_str()), (400, "invalid_request"));
        assert!(!answer.text().contains("nginx"));
    }
}

#[test]
fn an_answer_without_usage_is_settled_at_the_bound() {
    let answer = lone(Does::status(200, r#"{"choices":[{"message":{"content":"x"}}]}"#));
    assert_eq!(answer.status, 200);
    assert_eq!(answer.log()["usage"]["settled"], "bound");
    assert_eq!(answer.log()["usage"]["output_tokens"], 1000);
}

#[test]
fn the_list_shows_only_what_the_caller_may_call() {
    let list = |consumer: &str| {
        let answer = World::new().send(&Request::get("/v1/models").by(consumer));
        assert_eq!(answer.status, 200);
        let data = answer.json()["data"].clone();
        data.as_array()
            .unwrap()
            .iter()
            .map(|model| model["id"].as_str().unwrap().to_owned())
            .collect::<Vec<_>>()
    };
    assert_eq!(list("trial"), ["fast"]);
    assert!(list("idle").is_empty());
    let all = list("demo");
    assert!(all.contains(&"smart".to_owned()));
    assert!(
        !all.contains(&"retired".to_owned()),
        "what has ended is not offered"
    );
    let card = |consumer: &str, name: &str| {
        World::new().send(&Request::get(&format!("/v1/models/{name}")).by(consumer))
    };
    assert_eq!(card("trial", "fast").json()["id"], "fast");
    assert_eq!(card("trial", "smart").code(), "model_not_allowed");
    assert_eq!(card("demo", "none").code(), "model_not_found");
    assert_eq!(card("demo", "retired").code(), "gone");
    let mut request = Request::get("/v1/models").by("demo");
    request.method = "HEAD".to_owned();
    let answer = World::new().send(&request);
    assert_eq!((answer.status, answer.body.len()), (200, 0));
}

#[test]
fn mocks_answer_like_the_real_thing() {
    let call = |body: Value| World::new().send(&chat(&body));
    let user = |text: &str| json!([{ "role": "user", "content": text }]);
    let answer = call(json!({ "model": "fast", "messages": user("hello there") }));
    let body = answer.json();
    assert_eq!(body["choices"][0]["message"]["content"], "You said: hello there");
    assert_eq!(
        (&body["model"], &body["usage"]["total_tokens"]),
        (&json!("fast"), &json!(18))
    );
    assert_eq!(answer.log()["usage"]["input_tokens"], 11);
    let tools = json!([{ "type": "function", "function": { "name": "weather" } }]);
    let answer = call(json!({ "model": "fast", "messages": user("weather?"), "tools": tools }));
    assert_eq!(
        answer.json()["choices"][0]["message"]["tool_calls"][0]["function"]["name"],
        "weather"
    );
    let told = json!([{ "role": "user", "content": "weather?" }, { "role": "tool", "content": "rain" }]);
    let answer = call(json!({ "model": "fast", "messages": told, "tools": tools }));
    assert_eq!(answer.json()["choices"][0]["message"]["content"], "It rains.");
    for (text, code) in [
        ("please fail", "upstream_error"),
        ("please cut", "upstream_unreachable"),
        ("please end early", "upstream_invalid"),
        ("please stall", "upstream_timeout"),
    ] {
        assert_eq!(
            call(json!({ "model": "fast", "messages": user(text) })).code(),
            code,
            "{text}"
        );
    }
}

#[test]
fn mocks_take_no_messages_that_the_real_thing_would_refuse() {
    for messages in [
        json!([]),
        json!(["hi"]),
        json!([{ "content": "hi" }]),
        json!([{ "role": null, "content": "hi" }]),
        json!([{ "role": "user", "content": "hi" }, 7]),
    ] {
        for stream in [false, true] {
            let body = json!({ "model": "fast", "messages": messages, "stream": stream });
            let answer = World::new().send(&chat(&body));
            assert_eq!(
                (answer.status, answer.code().as_str()),
                (400, "invalid_request"),
                "{body}"
            );
            assert_eq!(answer.json()["error"]["param"], "messages", "{body}");
        }
    }
}

#[test]
fn a_model_in_preview_is_called_like_any_other() {
    let mut world = World::with(|policy| {
        for model in &mut policy.models {
            model.lifecycle.state = State::Preview;
        }
    });
    assert_eq!(world.send(&ask("retired")).status, 200);
}
