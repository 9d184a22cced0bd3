//! Callers on the whole road: tokens of each kind of issuer, keys, and what may vanish in between.

use turnpike_engine::step::{Event, Step};

use crate::policy::{INLINE, NOW, PUBLIC, REMOTE, SECRET, key};
use crate::world::{Does, Request, World, token};

fn by_token(token: &str) -> Request {
    Request::get("/petstore/v2/pets").header("authorization", &format!("Bearer {token}"))
}

#[test]
fn tokens_of_every_kind_of_issuer_are_known() {
    let mut world = World::new();
    world.replaces = false;
    world.keys = Some(format!(r#"{{"keys":[{PUBLIC}]}}"#).into_bytes());
    for (issuer, first) in [
        (INLINE, vec!["verify", "finish"]),
        (SECRET, vec!["finish"]),
        (REMOTE, vec!["keys", "verify", "finish"]),
    ] {
        let request = by_token(&token(issuer, |_| {}));
        let answer = world.send(&request);
        assert_eq!(
            (answer.status, &answer.steps),
            (200, &first),
            "{issuer}: {}",
            answer.text()
        );
        assert_eq!(
            (&answer.log()["consumer"], &answer.log()["subject"]),
            (&"demo".into(), &"somebody".into())
        );
        // Known from now on, without a question.
        assert_eq!(world.send(&request).steps, ["finish"]);
    }
    assert_eq!(world.keys_fetched, 1);
}

#[test]
fn a_wrong_signature_is_refused_however_often_it_comes() {
    let mut world = World::new();
    for issuer in [INLINE, SECRET] {
        let good = token(issuer, |_| {});
        let (rest, signature) = good.rsplit_once('.').unwrap();
        let last = if signature.starts_with('A') { "B" } else { "A" };
        let forged = format!("{rest}.{last}{}", signature.split_at(1).1);
        for _ in 0..2 {
            let answer = world.send(&by_token(&forged));
            assert_eq!(
                (answer.status, answer.code().as_str()),
                (401, "credential_invalid")
            );
            assert_eq!(answer.log().get("consumer"), None);
        }
    }
}

#[test]
fn claims_decide() {
    for (change, code) in [
        (
            (|c| {
                c["iat"] = (NOW / 1000 - 700).into();
                c["exp"] = (NOW / 1000 - 100).into();
            }) as fn(&mut serde_json::Value),
            "credential_expired",
        ),
        (
            |c| c["aud"] = "https://other.example".into(),
            "credential_invalid",
        ),
        (
            |c| c["iss"] = "https://evil.example/".into(),
            "credential_invalid",
        ),
        (|c| c["client_id"] = "stranger".into(), "credential_invalid"),
        (|c| c["exp"] = 4_000_000_000_u64.into(), "credential_invalid"),
    ] {
        assert_eq!(World::new().send(&by_token(&token(INLINE, change))).code(), code);
    }
}

#[test]
fn scopes_of_a_token_are_asked_for() {
    let create = |scope: &'static str| {
        let token = token(INLINE, |claims| claims["scope"] = scope.into());
        World::new().send(
            &Request::new("POST", "/petstore/v2/pets").header("authorization", &format!("Bearer {token}")),
        )
    };
    assert_eq!(create("pets:read pets:write").status, 200);
    let answer = create("pets:read");
    assert_eq!(
        (answer.status, answer.code().as_str()),
        (403, "insufficient_scope")
    );
    assert_eq!(
        answer.header("www-authenticate"),
        Some(
            "Bearer error=\"insufficient_scope\", scope=\"pets:write\", \
             resource_metadata=\"https://api.example/.well-known/oauth-protected-resource/petstore/v2\""
        )
    );
}

#[test]
fn a_challenge_says_where_to_learn_more() {
    let challenge = |world: &mut World, request: &Request| {
        let answer = world.send(request);
        answer.header("www-authenticate").map(str::to_owned)
    };
    let mut world = World::new();
    let metadata = "resource_metadata=\"https://api.example/.well-known/oauth-protected-resource";
    let none = challenge(&mut world, &Request::get("/petstore/v2/pets"));
    assert_eq!(none, Some(format!("Bearer {metadata}/petstore/v2\"")));
    let models = challenge(
        &mut world,
        &Request::get("/v1/models").header("x-api-key", "tpk_a_b"),
    );
    assert_eq!(
        models,
        Some(format!("Bearer error=\"invalid_token\", {metadata}\""))
    );
    // Whom nobody can ask for a token is told of no one.
    let mut world = World::with(|compiled| compiled.issuers.retain(|issuer| issuer.issuer == SECRET));
    let none = challenge(&mut world, &Request::get("/petstore/v2/pets"));
    assert_eq!(none.as_deref(), Some("Bearer"));
}

#[test]
fn a_key_may_come_in_any_of_its_headers_but_only_one() {
    for name in ["x-api-key", "api-key", "x-goog-api-key"] {
        let answer = World::new().send(&Request::get("/petstore/v2/pets").header(name, &key("demo")));
        assert_eq!(answer.status, 200);
        assert_eq!(answer.log()["subject"], "demo", "its public part");
        let twice = Request::get("/petstore/v2/pets")
            .by("demo")
            .header(name, &key("demo"));
        assert_eq!(World::new().send(&twice).status, 200, "the same one");
        let other = Request::get("/petstore/v2/pets")
            .by("trial")
            .header(name, &key("demo"));
        assert_eq!(World::new().send(&other).code(), "credential_ambiguous");
    }
}

#[test]
fn a_replaced_instance_changes_no_answer() {
    let token = token(INLINE, |_| {});
    for replaces in [false, true] {
        for _ in 0..8 {
            let mut world = World::new();
            world.replaces = replaces;
            world.keys = Some(format!(r#"{{"keys":[{PUBLIC}]}}"#).into_bytes());
            let answer = world.send(&by_token(&token));
            assert_eq!((answer.status, answer.text().as_str()), (200, r#"["Tom"]"#));
        }
    }
}

#[test]
fn keys_are_fetched_once_for_many_and_anew_beside_them() {
    let mut world = World::new();
    world.replaces = false;
    world.keys = Some(format!(r#"{{"keys":[{PUBLIC}]}}"#).into_bytes());
    let request = by_token(&token(REMOTE, |_| {}));
    // The first asks for the keys, and while it does, another waits.
    let first = world.begin(&request);
    assert!(matches!(first.step, Step::FetchKeys(_)));
    let other = world.begin(&request);
    assert!(matches!(other.step, Step::Pause { ms: 20 }));
    let again = world.resume(other.flight, Event::Paused);
    assert!(matches!(again.step, Step::Pause { ms: 20 }));
    let keys = world.keys.clone();
    let first = world.resume(first.flight, Event::Keys(keys.as_deref()));
    assert!(matches!(first.step, Step::Verify { .. }));
    let again = world.resume(again.flight, Event::Paused);
    assert!(matches!(again.step, Step::Verify { .. }));
    assert_eq!((world.keys_fetched, world.refreshed), (0, 0));
    // Eight minutes later they are fetched beside a request, and two minutes after that nobody waits for them.
    world.now += 8 * 60_000;
    let young = by_token(&token(REMOTE, |claims| {
        claims["sub"] = "another".into();
        claims["exp"] = (NOW / 1000 + 1500).into();
    }));
    assert_eq!(world.send(&young).steps, ["verify", "finish"]);
    assert_eq!((world.keys_fetched, world.refreshed), (0, 1));
    world.now += 3 * 60_000;
    assert_eq!(world.send(&young).steps, ["finish"]);
    assert_eq!((world.keys_fetched, world.refreshed), (0, 1));
}

#[test]
fn a_key_may_come_in_a_header_of_the_policys_and_in_no_other() {
    let mut world = World::new();
    let get = |name: &str, value: &str| Request::get("/petstore/v2/pets").header(name, value);
    let answer = world.send(&get("x-acme-key", &key("demo")));
    assert_eq!((answer.status, &answer.log()["consumer"]), (200, &"demo".into()));
    assert_eq!(
        world.send(&get("x-other-key", &key("demo"))).code(),
        "credential_missing"
    );
    let both = get("x-acme-key", &key("demo")).header("x-api-key", &key("trial"));
    assert_eq!(world.send(&both).code(), "credential_ambiguous");
    let twice = format!("{}, {}", key("demo"), key("trial"));
    assert_eq!(world.send(&get("x-acme-key", &twice)).code(), "ambiguous_header");
    let good = token(INLINE, |_| {});
    assert_eq!(world.send(&get("x-acme-key", &good)).code(), "credential_invalid");
    // Those that the policy does not list are no credentials.
    let mut world = World::with(|compiled| {
        let keys = &mut compiled.gateway.api_keys;
        keys.headers = vec!["x-acme-key".to_owned()];
        keys.schemes = vec!["apikey".to_owned()];
    });
    for name in ["x-api-key", "api-key", "x-goog-api-key"] {
        assert_eq!(world.send(&get(name, &key("demo"))).code(), "credential_missing");
    }
    let scheme = get("authorization", &format!("ApiKey {}", key("demo")));
    assert_eq!(world.send(&scheme).status, 200);
    // A cache beside the gateway learns by what an answer differs.
    world.expect("pets", [Does::status(200, "[]")]);
    let create = Request::new("POST", "/petstore/v2/pets").header("x-acme-key", &key("demo"));
    let answer = world.send(&create.body("application/json", b"{}"));
    let vary: Vec<&str> = answer
        .headers
        .iter()
        .filter(|(name, _)| name == "vary")
        .map(|(_, value)| value.as_str())
        .collect();
    assert_eq!(vary, ["Origin", "authorization, x-acme-key"]);
    assert!(!answer.sent[0].headers.contains_key("x-acme-key"));
}

#[test]
fn a_key_in_a_query_passes_by_exception_until_its_end_and_goes_no_further() {
    let end = NOW + 86_400_000;
    let world = || {
        World::with(|compiled| {
            compiled.gateway.api_keys.query = vec!["key".to_owned(), "limit".to_owned()];
            compiled.gateway.api_keys.query_until = end;
        })
    };
    let demo = key("demo");
    let at = |query: &str| Request::get(&format!("/petstore/v2/pets?{query}"));
    for query in [
        format!("key={demo}"),
        format!("a=b&key={demo}"),
        format!("%6Bey={demo}&x"),
        format!("limit={demo}"),
    ] {
        let answer = world().send(&at(&query));
        assert_eq!(
            (answer.status, &answer.log()["consumer"]),
            (200, &"demo".into()),
            "{query}"
        );
        assert!(!answer.log_text.contains(&demo));
    }
    for (query, code) in [
        (format!("key={demo}&key={demo}"), "credential_ambiguous"),
        (format!("key={demo}&limit={demo}"), "credential_ambiguous"),
        (format!("key={demo}&key="), "credential_ambiguous"),
        ("key=".to_owned(), "credential_invalid"),
        ("key".to_owned(), "credential_invalid"),
        (format!("key={}", token(INLINE, |_| {})), "credential_invalid"),
        (format!("key={}", demo.replace('_', "%5F")), "credential_invalid"),
        (format!("key={demo};a=b"), "credential_invalid"),
        (format!("Key={demo}"), "credential_missing"),
        (format!("a=b;key={demo}"), "credential_missing"),
        (String::new(), "credential_missing"),
    ] {
        let answer = world().send(&at(&query));
        assert_eq!(answer.code(), code, "{query}");
        assert!(!answer.log_text.contains(&demo) && !answer.text().contains(&demo));
    }
    let other = at(&format!("key={demo}")).header("x-api-key", &key("trial"));
    assert_eq!(world().send(&other).code(), "credential_ambiguous");
    let same = at(&format!("key={demo}")).header("x-api-key", &demo);
    assert_eq!(world().send(&same).status, 200);
    // An upstream never sees it, though the document names a parameter of that name; nor what hides behind a `;`.
    let mut proxied = world();
    proxied.expect("pets", [Does::status(201, "{}")]);
    let answer = proxied.send(
        &Request::new(
            "POST",
            &format!("/petstore/v2/pets?dry%20run=y&limit={demo}&dry+run=1;key={demo}"),
        )
        .body("application/json", b"{}"),
    );
    assert_eq!(answer.sent[0].url, "https://pets.example/base/pets?dry%20run=y");
    // The exception ends: it is no credential any more, and still kept from the log.
    let mut late = world();
    late.now = end;
    let answer = late.send(&at(&format!("key={demo}")));
    assert_eq!(answer.code(), "credential_missing");
    assert!(!answer.log_text.contains(&demo));
}
