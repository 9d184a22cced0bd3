//! Tokens, money and places through the whole engine: reserved before a call, settled after it.

use serde_json::{Value, json};
use turnpike_engine::step::{AnswerHead, Ending, Event, Failure, Step};
use turnpike_engine::{Flight, Next};
use turnpike_policy::{LimitKind, LogRequests, Unit, Window};

use crate::policy::budget;
use crate::streams::{DONE, ROLE, STOP, TOKEN, USAGE};
use crate::world::{Answer, Does, Request, World, ask, ask_stream, chat};

/// What a limit has left, as an answer says it.
fn left(answer: &Answer, id: &str) -> u64 {
    let said = answer.header("ratelimit").expect("a header");
    let item = said
        .split(", ")
        .find(|item| item.starts_with(&format!("\"{id}\"")))
        .unwrap_or_else(|| panic!("{said}"));
    let number = item.split(";r=").nth(1).expect("what is left");
    number.split(';').next().unwrap().parse().expect("a number")
}

/// What is left of the tokens now: what the next call finds, and what it reserves itself.
fn tokens_left(world: &mut World) -> u64 {
    world.expect("alpha", [Does::status(503, "{}")]);
    world.expect("beta", [Does::status(503, "{}")]);
    let answer = world.send(&ask("priced").by("money"));
    assert_eq!(answer.status, 503, "{}", answer.text());
    left(&answer, "budget:tokens-day") + bound(&ask("priced"))
}

/// The tokens that a call of `priced` reserves.
fn bound(request: &Request) -> u64 {
    request.body.as_ref().map_or(0, |body| body.len() as u64) + 512 + 1000
}

fn usage(prompt: u64, completion: u64, cached: u64) -> Does {
    let body = json!({
        "id": "c", "object": "chat.completion",
        "choices": [{ "index": 0, "message": { "role": "assistant", "content": "ok" }, "finish_reason": "stop" }],
        "usage": {
            "prompt_tokens": prompt, "completion_tokens": completion, "total_tokens": prompt + completion,
            "prompt_tokens_details": { "cached_tokens": cached },
        },
    });
    Does::status(200, &body.to_string())
}

/// Carries a call on until its upstream is asked; `None`: it was refused.
fn until_asked(world: &mut World, request: &Request) -> Option<Flight> {
    let next = world.begin(request);
    let Next { step, flight } = world.read(request, next);
    let Step::Meter { object, ask } = step else {
        panic!("{step:?}")
    };
    let decided = world.decide(&object, &ask);
    let next = world.resume(flight, Event::Metered(decided.as_deref()));
    match next.step {
        Step::Attempt(_) => next.flight,
        Step::Finish(finish) => {
            assert_eq!(finish.status, 429);
            assert!(finish.settle.is_empty(), "nothing was reserved");
            None
        }
        other => panic!("{other:?}"),
    }
}

/// The upstream of a call that waits for it answers now.
fn answer(world: &mut World, flight: Flight, does: &Does) {
    let Does::Answers { pieces, .. } = does else {
        return;
    };
    let head = AnswerHead {
        status: 200,
        headers: [Some("application/json"), None, None, None],
    };
    let next = world.resume(Some(flight), Event::Answered(Ok(head)));
    let next = world.resume(next.flight, Event::Answer(Ok(&pieces[0].1)));
    let Step::Finish(finish) = next.step else {
        panic!("{:?}", next.step)
    };
    world.settle(&finish.settle);
}

#[test]
fn of_200_calls_at_once_exactly_as_many_pass_as_can_be_reserved_for() {
    for unit in [Unit::Tokens, Unit::NanoUsd] {
        let request = ask("priced").by("money");
        let input = bound(&request) - 1000;
        // In nano-dollars: 2 and 10 dollars for a million tokens.
        let one = if unit == Unit::Tokens {
            bound(&request)
        } else {
            input * 2_000 + 1000 * 10_000
        };
        let mut world = World::with(|compiled| {
            let plan = compiled
                .plans
                .iter_mut()
                .find(|plan| plan.name == "budget")
                .unwrap();
            plan.limits.truncate(1);
            // One short of the 38th.
            plan.limits[0].kind = budget(one * 38 - 1, unit);
        });
        let waiting: Vec<_> = (0..200)
            .filter_map(|_| until_asked(&mut world, &request))
            .collect();
        assert_eq!(waiting.len(), 37);
        // The books balance: what was used is gone, and nothing else.
        let mut used = 0;
        for (index, flight) in (0_u64..).zip(waiting) {
            let (prompt, completion, cached) = (10 + index, 20 * index, index / 2);
            answer(&mut world, flight, &usage(prompt, completion, cached));
            used += match unit {
                Unit::Tokens => prompt + completion,
                _ => (prompt - cached) * 2_000 + cached * 200 + completion * 10_000,
            };
        }
        let now = world.send(&request);
        let last = match unit {
            Unit::Tokens => 12,
            _ => 9 * 2_000 + 3 * 10_000,
        };
        let id = "budget:tokens-day";
        assert_eq!(left(&now, id), one * 38 - 1 - used - one);
        let after = world.send(&request);
        assert_eq!(left(&after, id), one * 38 - 1 - used - last - one);
    }
}

#[test]
fn a_call_is_settled_at_what_it_used() {
    let mut world = World::new();
    let before = tokens_left(&mut world);
    assert_eq!(before, 100_000, "a target that failed is not paid");
    for (does, used) in [
        (usage(100, 50, 0), 150),
        (usage(0, 0, 0), 0),
        // A provider that counts more than any bound is booked all the same.
        (usage(5_000, 1_200, 0), 6_200),
        // What says nothing of usage is settled at the bound.
        (
            Does::status(
                200,
                r#"{"choices":[{"index":0,"message":{"content":"x"},"finish_reason":"stop"}]}"#,
            ),
            bound(&ask("priced")),
        ),
        // A complaint costs nothing.
        (Does::status(400, r#"{"error":{"message":"no"}}"#), 0),
    ] {
        let before = tokens_left(&mut world);
        world.expect("alpha", [does]);
        world.send(&ask("priced").by("money"));
        assert_eq!(before - tokens_left(&mut world), used);
    }
    // Once for each call, also those that nothing was used by.
    assert_eq!(world.settled, 5 + 11);
}

#[test]
fn a_stream_is_settled_at_what_it_used() {
    let all = bound(&ask_stream("priced"));
    for (pieces, end, leaves, used) in [
        (vec![ROLE, TOKEN, STOP, USAGE, DONE], Ending::Close, None, 12),
        // Its client has left: the rest is heard out.
        (vec![ROLE, TOKEN, STOP, USAGE, DONE], Ending::Close, Some(12), 12),
        // It is cut: nobody knows what it used.
        (vec![ROLE, TOKEN], Ending::Lose, None, all),
        (vec![ROLE, TOKEN], Ending::Stall, Some(12), all),
    ] {
        let mut world = World::new();
        world.expect("alpha", [Does::streams(&pieces, end)]);
        let mut request = ask_stream("priced").by("money");
        request.leaves = leaves;
        world.send(&request);
        assert_eq!(100_000 - tokens_left(&mut world), used, "{pieces:?} {end:?}");
    }
}

#[test]
fn another_attempt_is_reserved_for_or_not_made() {
    let streamed = ask_stream("priced").by("money");
    let all = bound(&streamed);
    // The first target is left while it may have been thinking: both are paid.
    let mut world = World::new();
    world.expect("alpha", [Does::Fails(Failure::Timeout)]);
    world.expect(
        "beta",
        [Does::streams(&[ROLE, TOKEN, STOP, USAGE, DONE], Ending::Close)],
    );
    let answer = world.send(&streamed);
    assert_eq!((answer.status, answer.sent.len()), (200, 2), "{}", answer.text());
    assert_eq!(answer.steps.iter().filter(|step| **step == "meter").count(), 2);
    assert_eq!(100_000 - tokens_left(&mut world), all + 12);
    // A target that answered an error is not paid; the other one is dearer, so more is reserved all the same.
    let mut world = World::new();
    world.expect("alpha", [Does::status(500, "{}")]);
    let answer = world.send(&ask("priced").by("money"));
    assert_eq!(
        (
            answer.status,
            answer.steps.iter().filter(|s| **s == "meter").count()
        ),
        (200, 2)
    );
    assert_eq!(100_000 - tokens_left(&mut world), 12);
    // There is enough for one attempt only.
    let mut world = World::with(|compiled| {
        let plan = compiled
            .plans
            .iter_mut()
            .find(|plan| plan.name == "budget")
            .unwrap();
        plan.limits.truncate(1);
        plan.limits[0].kind = budget(all * 2 - 1, Unit::Tokens);
    });
    world.expect("alpha", [Does::Fails(Failure::Timeout)]);
    let answer = world.send(&streamed);
    assert_eq!((answer.status, answer.sent.len()), (504, 1), "{}", answer.text());
    assert_eq!(
        answer.log()["reason"],
        "another attempt could not be reserved for"
    );
    let refused = world.send(&streamed);
    assert_eq!(refused.code(), "budget_exceeded");
    assert_eq!(refused.header("x-should-retry"), Some("false"));
}

#[test]
fn targets_are_asked_to_keep_the_bound() {
    for (body, alpha, beta) in [
        (
            json!({}),
            json!({ "max_tokens": 1000 }),
            json!({ "max_completion_tokens": 1000 }),
        ),
        (
            json!({ "max_tokens": 7 }),
            json!({ "max_tokens": 7 }),
            json!({ "max_tokens": null, "max_completion_tokens": 7 }),
        ),
        (
            json!({ "max_tokens": 70_000 }),
            json!({ "max_tokens": 1000 }),
            json!({ "max_tokens": null, "max_completion_tokens": 1000 }),
        ),
        // An upstream that does not know the member would not be bound by it.
        (
            json!({ "max_tokens": 900, "max_completion_tokens": 1 }),
            json!({ "max_tokens": 1, "max_completion_tokens": null }),
            json!({ "max_tokens": null, "max_completion_tokens": 1 }),
        ),
    ] {
        let mut asked = json!({ "model": "priced", "messages": [{ "role": "user", "content": "hi" }] });
        asked
            .as_object_mut()
            .unwrap()
            .extend(body.as_object().unwrap().clone());
        let mut world = World::new();
        world.expect("alpha", [Does::status(503, "{}")]);
        let answer = world.send(&chat(&asked).by("demo"));
        for (sent, expected) in answer.sent.iter().zip([alpha, beta]) {
            let sent: Value = serde_json::from_slice(&sent.body).unwrap();
            for member in ["max_tokens", "max_completion_tokens"] {
                assert_eq!(sent.get(member), expected.get(member), "{member}");
            }
        }
        assert_eq!(answer.sent.len(), 2);
    }
}

#[test]
fn what_a_call_may_use_counts_its_answers_its_tools_and_its_images() {
    let tool = |name: &str| {
        let parameters = json!({ "type": "object", "properties": { "city": { "type": "string" } } });
        json!({ "type": "function", "function": { "name": name, "parameters": parameters } })
    };
    for (member, value, more) in [
        ("n", json!(3), 2_000),
        ("max_tokens", json!(10), -990),
        // Their bytes are the body's, and what a provider writes around them is among the 512.
        ("tools", json!([tool("weather"), tool("time")]), 0),
        (
            "messages",
            json!([
                { "role": "user", "content": "hello there" },
                { "role": "assistant", "content": null, "tool_calls": [
                    { "id": "c", "type": "function", "function": { "name": "time", "arguments": "{}" } },
                ] },
                { "role": "tool", "tool_call_id": "c", "content": [{ "type": "text", "text": "noon" }] },
            ]),
            0,
        ),
        // What was spoken is not in the body.
        (
            "messages",
            json!([{ "role": "user", "content": "hi" }, { "role": "assistant", "audio": { "id": "spoken" } }]),
            50_000,
        ),
        (
            "messages",
            json!([{ "role": "assistant", "content": [{ "type": "refusal", "refusal": "no" }] },
                { "role": "user", "content": [{ "type": "input_audio", "input_audio": { "data": "AA==", "format": "wav" } }] }]),
            50_000,
        ),
        (
            "messages",
            json!([{ "role": "user", "content": [
                { "type": "text", "text": "hello there" },
                { "type": "image_url", "image_url": { "url": "https://x.example/a.png" } },
                { "type": "file", "file": { "file_id": "f" } },
            ] }]),
            100_000,
        ),
    ] {
        let mut asked =
            json!({ "model": "priced", "messages": [{ "role": "user", "content": "hello there" }] });
        asked[member] = value;
        let request = chat(&asked).by("money");
        let mut world = World::with(|compiled| {
            let plan = compiled
                .plans
                .iter_mut()
                .find(|plan| plan.name == "budget")
                .unwrap();
            plan.limits[0].kind = budget(1_000_000, Unit::Tokens);
        });
        let answer = world.send(&request);
        assert_eq!(answer.status, 200, "{}", answer.text());
        let plain = i64::try_from(bound(&request)).unwrap();
        let taken = 1_000_000 - i64::try_from(left(&answer, "budget:tokens-day")).unwrap();
        assert_eq!(taken, plain + more, "{member}");
    }
}

#[test]
fn messages_that_cannot_be_read_cannot_be_reserved_for() {
    let mut request = chat(&json!({})).by("money");
    let body = r#"{"model":"priced","messages":[{"role":"user","content":"a","content":[]}]}"#;
    request.body = Some(body.as_bytes().to_vec());
    request = request.header("content-length", &body.len().to_string());
    let answer = World::new().send(&request);
    assert_eq!(
        (answer.status, answer.code().as_str()),
        (400, "invalid_request"),
        "{}",
        answer.text()
    );
}

#[test]
fn an_admission_that_was_not_heard_of_is_given_back() {
    let mut world = World::new();
    let request = ask("priced").by("money");
    let next = world.begin(&request);
    let Next { step, flight } = world.read(&request, next);
    let Step::Meter { object, ask } = step else {
        panic!("{step:?}")
    };
    // The object decides, and its answer is lost.
    world.decide(&object, &ask).expect("a decision");
    let next = world.resume(flight, Event::Metered(None));
    let Step::Finish(finish) = next.step else {
        panic!("{:?}", next.step)
    };
    assert_eq!(finish.status, 503);
    world.settle(&finish.settle);
    assert_eq!(tokens_left(&mut world), 100_000);
}

#[test]
fn a_settlement_that_is_lost_is_charged_in_full() {
    let mut world = World::new();
    world.loses_settlements = true;
    world.send(&ask("priced").by("money"));
    world.loses_settlements = false;
    world.now += 3_600_000;
    assert_eq!(100_000 - tokens_left(&mut world), bound(&ask("priced")));
}

#[test]
fn a_fault_settles_at_the_bound() {
    let mut world = World::new();
    let request = ask("priced").by("money");
    let flight = until_asked(&mut world, &request).expect("a place");
    let head = AnswerHead {
        status: 200,
        headers: [Some("application/json"), None, None, None],
    };
    let next = world.resume(Some(flight), Event::Answered(Ok(head)));
    let lost = turnpike_engine::Lost {
        method: "POST",
        url: &request.url,
        committed: false,
    };
    let random = turnpike_engine::accept::Random {
        trace: [1; 16],
        id: [2; 16],
        span: [3; 8],
        choice: 4,
    };
    let now = world.now;
    let Step::Finish(finish) = world.engine().fault(&lost, next.flight, now, &random) else {
        panic!("no answer")
    };
    world.settle(&finish.settle);
    assert_eq!(100_000 - tokens_left(&mut world), bound(&request));
}

#[test]
fn places_are_taken_until_the_last_byte() {
    let mut world = World::new();
    let request = ask("lone").by("places");
    let first = until_asked(&mut world, &request).expect("a place");
    let second = until_asked(&mut world, &request).expect("a place");
    for evicts in [false, true] {
        world.evicts = evicts;
        let refused = world.send(&request);
        assert_eq!(
            (refused.status, refused.code().as_str()),
            (429, "concurrency_limited")
        );
        assert_eq!(refused.header("x-should-retry"), Some("true"));
        assert_eq!(left(&refused, "places:concurrency"), 0);
    }
    answer(&mut world, first, &Does::completes());
    assert_eq!(world.send(&request).status, 200);
    let third = until_asked(&mut world, &request).expect("the place is free again");
    assert!(until_asked(&mut world, &request).is_none());
    // Those that never end are over some time.
    drop((second, third));
    world.now += 20 * 60_000;
    assert_eq!(world.send(&request).status, 200);
    // An API's calls take places too, whether they are answered or fail.
    for does in [Does::status(200, "{}"), Does::Fails(Failure::Unreachable)] {
        for _ in 0..5 {
            world.expect("pets", [does.clone()]);
            let answer = world.send(&Request::get("/petstore/v2/pets/7").by("places"));
            assert_ne!(answer.status, 429, "{}", answer.text());
        }
    }
}

/// What gives a place back is told apart from what says what was used: it waits for the answer's last byte.
#[test]
fn only_what_gives_a_place_back_waits_for_the_last_byte() {
    for (consumer, place) in [("places", true), ("money", false)] {
        let mut world = World::new();
        let request = ask("priced").by(consumer);
        let waiting = until_asked(&mut world, &request);
        let next = world.resume(
            waiting,
            Event::Answered(Ok(AnswerHead {
                status: 200,
                headers: [Some("application/json"), None, None, None],
            })),
        );
        let Does::Answers { pieces, .. } = usage(1, 1, 0) else {
            return;
        };
        let next = world.resume(next.flight, Event::Answer(Ok(&pieces[0].1)));
        let Step::Finish(finish) = next.step else {
            panic!("{:?}", next.step)
        };
        let places: Vec<bool> = finish.settle.iter().map(|told| told.place).collect();
        assert_eq!(places, [place], "{consumer}");
    }
}

/// It would not pass later either: nobody is asked, and nobody is told when to come again.
#[test]
fn a_call_that_may_use_more_than_a_whole_budget_is_told_so() {
    let count = 100_000;
    let with = |member: &Value| {
        let mut body = json!({ "model": "priced", "messages": [{ "role": "user", "content": "hi" }] });
        body.as_object_mut()
            .unwrap()
            .extend(member.as_object().unwrap().clone());
        chat(&body).by("money")
    };
    for giant in [
        json!({ "n": 1_000 }),
        json!({ "n": u32::MAX, "max_tokens": u64::MAX }),
    ] {
        let mut world = World::new();
        let answer = world.send(&with(&giant));
        assert_eq!(
            (answer.status, answer.code().as_str()),
            (429, "budget_exceeded"),
            "{giant}"
        );
        assert!(
            answer.text().contains("more than the whole budget"),
            "{}",
            answer.text()
        );
        assert_eq!(answer.header("x-should-retry"), Some("false"));
        assert_eq!(
            (answer.header("retry-after"), answer.header("retry-after-ms")),
            (None, None)
        );
        assert!(!answer.steps.contains(&"meter"), "{:?}", answer.steps);
        assert_eq!(tokens_left(&mut world), count);
    }
    // What fits into it when it is whole is told when that is.
    let mut world = World::new();
    world.expect("alpha", [usage(90_000, 0, 0)]);
    world.send(&with(&json!({})));
    let answer = world.send(&with(&json!({ "n": 20 })));
    assert_eq!(answer.code(), "budget_exceeded");
    assert!(answer.header("retry-after").is_some());
}

#[test]
fn what_a_provider_counts_beyond_the_bound_is_reported() {
    for (consumer, prompt, completion, beyond) in [
        ("money", 100, 50, false),
        ("money", 100, 1_001, true),
        ("money", 5_000, 50, true),
        // Nothing was reserved, so nothing was exceeded.
        ("demo", 5_000, 1_200, false),
    ] {
        let mut world = World::with(|compiled| compiled.gateway.log = LogRequests::Failures);
        world.expect("alpha", [usage(prompt, completion, 0)]);
        let answer = world.send(&ask("priced").by(consumer));
        assert_eq!(answer.status, 200, "{}", answer.text());
        let said = answer
            .log
            .as_ref()
            .map(|log| log["usage"]["beyond_bound"].clone());
        assert_eq!(
            said,
            beyond.then_some(json!(true)),
            "{consumer} {prompt} {completion}"
        );
    }
}

/// A dearer service tier has another price than the one that is known.
#[test]
fn a_service_tier_without_a_price_is_not_called_for_money() {
    let with = |tier: Value, consumer| {
        let body = json!({ "model": "priced", "messages": [{ "role": "user", "content": "hi" }], "service_tier": tier });
        World::new().send(&chat(&body).by(consumer))
    };
    for usual in [json!(null), json!("auto"), json!("default"), json!("flex")] {
        assert_eq!(with(usual.clone(), "money").status, 200, "{usual}");
    }
    for dear in [json!("priority"), json!("scale"), json!(1)] {
        let answer = with(dear.clone(), "money");
        assert_eq!(
            (answer.status, answer.code().as_str()),
            (400, "invalid_request"),
            "{dear}"
        );
        assert!(answer.text().contains("service_tier"), "{}", answer.text());
        assert_eq!(with(dear, "demo").status, 200);
    }
}

#[test]
fn an_upstream_that_dies_while_it_may_be_thinking_is_paid_in_full() {
    let spent = |after: u64| {
        let mut world = World::new();
        world.expect("alpha", vec![Does::Dies { after }; 3]);
        let answer = world.send(&ask("lone").by("money"));
        assert_eq!(answer.code(), "upstream_unreachable", "{}", answer.text());
        let after = world.send(&Request::get("/_turnpike/limits").by("money")).json();
        100_000 - after["limits"][0]["remaining"].as_u64().unwrap()
    };
    // A connection that cannot be made is told at once.
    assert_eq!((spent(0), spent(900)), (0, 0));
    for after in [1_000, 5_000] {
        let spent = spent(after);
        assert!(spent > 500, "{spent} after {after} ms");
    }
}

#[test]
fn who_gave_up_on_a_model_that_was_thinking_may_have_paid_for_it() {
    let spent = |status: u16, after: u64| {
        let mut world = World::new();
        let slow = || match Does::status(status, "{}") {
            Does::Answers {
                headers, pieces, end, ..
            } => Does::Answers {
                after,
                status,
                headers,
                pieces,
                end,
            },
            other => other,
        };
        world.expect("alpha", [slow(), slow(), slow()]);
        assert_ne!(world.send(&ask("lone").by("money")).status, 200);
        let after = world.send(&Request::get("/_turnpike/limits").by("money")).json();
        100_000 - after["limits"][0]["remaining"].as_u64().unwrap()
    };
    for status in [502, 504, 524] {
        assert_eq!(spent(status, 900), 0, "{status}");
        assert!(spent(status, 5_000) > 500, "{status}");
    }
    // The provider itself says that it has failed.
    assert_eq!((spent(500, 5_000), spent(503, 5_000)), (0, 0));
}

#[test]
fn only_calls_of_models_are_charged_to_budgets() {
    let mut world = World::new();
    let answer = world.send(&Request::get("/petstore/v2/pets").by("money"));
    assert_eq!((answer.status, answer.header("ratelimit")), (200, None));
    assert_eq!(world.asked, 0);
}

#[test]
fn what_a_call_cost_is_in_the_log() {
    let mut world = World::new();
    world.expect("alpha", [usage(100, 50, 40)]);
    let answer = world.send(&ask("priced"));
    // 60 * 2000 + 40 * 200 + 50 * 10000
    assert_eq!(answer.log()["cost_nano_usd"], 628_000);
    let answer = world.send(&ask("lone"));
    assert_eq!(answer.log().get("cost_nano_usd"), None);
}

#[test]
fn a_budget_that_is_raised_goes_on_counting() {
    let mut world = World::new();
    world.expect("alpha", [usage(40_000, 0, 0)]);
    world.send(&ask("priced").by("money"));
    let raise = |count| LimitKind::Budget {
        count,
        window: Window::Day,
        unit: Unit::Tokens,
    };
    let mut raised = World::with(|compiled| {
        let plan = compiled
            .plans
            .iter_mut()
            .find(|plan| plan.name == "budget")
            .unwrap();
        let limit = plan
            .limits
            .iter_mut()
            .find(|limit| limit.id.ends_with("tokens-day"))
            .unwrap();
        limit.kind = raise(150_000);
    });
    raised.take_meters(&mut world);
    let answer = raised.send(&ask("priced").by("money"));
    assert_eq!(
        left(&answer, "budget:tokens-day"),
        150_000 - 40_000 - bound(&ask("priced"))
    );
}
