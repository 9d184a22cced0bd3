//! The sample tree: what it promises, it holds.

use std::path::Path;

use turnpike_policy::{
    Bundle, BundleError, FORMAT, Grant, Handler, LimitKind, Method, MockEnd, OnError, Precision,
    ProviderKind, Rate, Route, Stamp, Surface, Window,
};

use crate::common::{build, build_at, build_with_rules, lines, sample};

fn root() -> std::path::PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../../policies")
}

#[test]
fn it_builds_for_every_environment() {
    assert_eq!(
        turnpike_policy::source::environments(&root()),
        ["dev", "staging", "production"]
    );
    for environment in ["dev", "staging", "production"] {
        // It is the first tree that anybody checks: no rule has anything to say, not even a note.
        let outcome = build_with_rules(&sample(), environment);
        assert_eq!(lines(&outcome), Vec::<String>::new(), "{environment}");
        assert!(outcome.bundle.is_some());
        assert_eq!(lines(&build_at(&root(), environment)), Vec::<String>::new());
    }
    let outcome = build_at(&root(), "production");
    let compiled = outcome.compiled.unwrap();
    assert!(compiled.consumers.is_empty() && compiled.operations.is_empty() && compiled.models.is_empty());
    assert!(compiled.mocks.is_empty() && compiled.issuers.is_empty() && !compiled.gateway.mocks);
}

#[test]
fn it_holds_what_was_promised() {
    let compiled = build(&sample(), "dev").compiled.unwrap();
    let names: Vec<_> = compiled
        .consumers
        .iter()
        .map(|consumer| consumer.name.as_str())
        .collect();
    assert_eq!(names, ["demo", "trial"]);
    let (demo, trial) = (&compiled.consumers[0], &compiled.consumers[1]);
    assert_eq!(
        (&demo.operations, &demo.models),
        (&Grant::Only(vec![0, 1, 2, 3]), &Grant::Only(vec![0, 1]))
    );
    assert_eq!(
        (&trial.operations, &trial.models),
        (&Grant::Only(vec![]), &Grant::Only(vec![0]))
    );
    let models: Vec<_> = compiled.models.iter().map(|model| model.name.as_str()).collect();
    assert_eq!(models, ["fast", "smart"]);

    let plan = |index: u32| &compiled.plans[index as usize];
    let (standard, free) = (plan(demo.plan), plan(trial.plan));
    let limits: Vec<_> = free
        .limits
        .iter()
        .map(|limit| (limit.id.as_str(), limit.kind))
        .collect();
    let rate = |count, period, burst| LimitKind::Rate(Rate { count, period, burst });
    assert_eq!(
        limits,
        [
            ("free:rate-1s", rate(5, 1000, 5)),
            ("free:rate-60s", rate(100, 60_000, 100))
        ]
    );
    let quota = LimitKind::Quota {
        count: 1_000_000,
        window: Window::Month,
    };
    let kinds: Vec<_> = standard.limits.iter().map(|limit| limit.kind).collect();
    assert_eq!(kinds, [quota, rate(600, 60_000, 600)]);
    assert_eq!(
        (standard.precision, standard.on_error),
        (Precision::Exact, OnError::Closed)
    );
    assert_eq!(free.limits[0].origin, "policies/plans/free.yaml:4");

    assert_eq!(compiled.issuers.len(), 1);
    let identities: Vec<_> = compiled
        .identities
        .iter()
        .map(|one| (one.value.as_str(), one.consumer))
        .collect();
    assert_eq!(identities, [("demo", 0), ("trial", 1)]);
    assert_eq!(compiled.providers[0].kind, ProviderKind::Mock);
    assert!(compiled.secrets.is_empty());
    assert_eq!(compiled.gateway.max_body, 10 << 20);
    assert!(
        compiled
            .gateway
            .answer_headers
            .contains(&"content-type".to_owned())
    );
    let ends: Vec<_> = compiled.mocks[1]
        .rules
        .iter()
        .map(|rule| rule.answer.end)
        .collect();
    assert!(ends.contains(&MockEnd::Cut(3)));
    assert_eq!(
        compiled.mocks[0].rules[1].answer.tool_calls[0].arguments,
        r#"{"city":"Paris"}"#
    );
}

#[test]
fn its_operations_are_mocked_and_routed() {
    let compiled = build(&sample(), "dev").compiled.unwrap();
    let api = &compiled.apis[0];
    assert_eq!((api.base.as_str(), api.version.as_str()), ("/petstore/v1", "v1"));
    let ids: Vec<_> = compiled
        .operations
        .iter()
        .map(|operation| operation.id.as_str())
        .collect();
    assert_eq!(ids, ["createPet", "deletePet", "getPet", "listPets"]);
    let (create, list) = (&compiled.operations[0], &compiled.operations[3]);
    assert_eq!(
        (create.method, create.scopes.as_slice()),
        (Method::Post, &["pets:write".to_owned()][..])
    );
    assert!(create.accepts_body && create.content_types == ["application/json"]);
    assert_eq!(
        (list.forward_query.as_slice(), list.accepts_body),
        (&["limit".to_owned()][..], false)
    );
    assert_eq!(create.max_body, 64 << 10);
    for operation in &compiled.operations {
        let Handler::Mock(answers) = &operation.handler else {
            panic!("not mocked")
        };
        assert!(answers[0].status < 300 && answers.last().unwrap().status >= 400);
        let problem = answers.last().unwrap();
        assert_eq!(problem.content_type, "application/problem+json");
        let body: serde_json::Value = serde_json::from_slice(&problem.body).unwrap();
        assert_eq!(body["status"], problem.status);
    }
    let Handler::Mock(answers) = &compiled.operations[2].handler else {
        panic!("not mocked")
    };
    assert_eq!(
        answers[0].body,
        br#"{"id":"pet_7hq2vx9mkd4t","name":"Rex","tag":"dog"}"#
    );

    let walk = |method: Method, path: &str| {
        let mut node = &compiled.routes.nodes[0];
        for segment in path.split('/').skip(1) {
            let literal = node
                .literals
                .iter()
                .find(|(literal, _)| literal == segment)
                .map(|(_, next)| *next);
            node = &compiled.routes.nodes[literal.or(node.parameter)? as usize];
        }
        node.methods
            .iter()
            .find(|(known, _)| *known == method)
            .map(|(_, route)| *route)
    };
    assert_eq!(
        walk(Method::Get, "/petstore/v1/pets/pet_7hq2vx9mkd4t"),
        Some(Route::Operation(2))
    );
    assert_eq!(walk(Method::Post, "/petstore/v1/pets"), Some(Route::Operation(0)));
    assert_eq!(
        walk(Method::Post, "/v1/chat/completions"),
        Some(Route::Surface(Surface::ChatCompletions))
    );
    assert_eq!(
        walk(Method::Get, "/v1/models"),
        Some(Route::Surface(Surface::Models))
    );
    assert_eq!(
        walk(Method::Get, "/v1/models/fast"),
        Some(Route::Surface(Surface::Model))
    );
    assert_eq!(walk(Method::Put, "/petstore/v1/pets"), None);
}

#[test]
fn a_bundle_is_read_as_it_was_written() {
    let outcome = build(&sample(), "dev");
    let (bytes, hash) = outcome.bundle.unwrap();
    let bundle = Bundle::from_bytes(&bytes).unwrap();
    assert_eq!((bundle.hash, Some(bundle.compiled)), (hash, outcome.compiled));
    for cut in 0..bytes.len() {
        assert!(Bundle::from_bytes(&bytes[..cut]).is_err());
    }
    assert!(
        outcome
            .files
            .iter()
            .any(|file| file.ends_with("apis/petstore/v1.yaml"))
    );
}

/// The examples of `docs/policy.md`, which are a tree of their own.
#[test]
fn what_the_reference_shows_can_be_built() {
    let files = crate::common::shown();
    assert!(files.len() > 12);
    for environment in ["dev", "production"] {
        let outcome = build(&files, environment);
        assert_eq!(lines(&outcome), Vec::<String>::new(), "{environment}");
        let compiled = outcome.compiled.unwrap();
        assert_eq!((compiled.apis.len(), compiled.consumers.len()), (3, 2));
        let mocked = compiled
            .operations
            .iter()
            .filter(|o| matches!(o.handler, Handler::Mock(_)))
            .count();
        assert_eq!(mocked, if environment == "dev" { 2 } else { 0 });
        assert_eq!(
            compiled.models[0].targets.len(),
            if environment == "dev" { 3 } else { 2 }
        );
        assert_eq!(
            compiled.issuers[1].max_lifetime,
            Some(if environment == "dev" { 3600 } else { 900 })
        );
        assert_eq!(
            compiled.secrets,
            ["BATCH_HMAC_KEY", "HOUSE_KEY", "OPENAI_API_KEY", "PETS_TOKEN"]
        );
    }
}

#[test]
fn a_bundle_tells_where_it_comes_from_and_its_hash_does_not_cover_that() {
    let compiled = build(&sample(), "dev").compiled.unwrap();
    let stamp = Stamp {
        commit: "0123456789abcdef0123456789abcdef01234567".to_owned(),
        dirty: true,
        built: Some(1_795_380_311_000),
    };
    let (plain, hash) = Bundle::write(&compiled, &Stamp::default()).unwrap();
    let (stamped, same) = Bundle::write(&compiled, &stamp).unwrap();
    assert_eq!((hash, Bundle::hash(&compiled).unwrap()), (same, hash));
    assert_ne!(plain, stamped);
    assert_eq!((stamped.clone(), hash), Bundle::write(&compiled, &stamp).unwrap());
    let read = Bundle::from_bytes(&stamped).unwrap();
    assert_eq!(
        (read.stamp, read.compiled.gateway.environment.as_str()),
        (stamp, "dev")
    );
}

#[test]
fn a_bundle_of_another_format_is_refused_and_says_which() {
    let compiled = build(&sample(), "dev").compiled.unwrap();
    let (mut bytes, _) = Bundle::write(&compiled, &Stamp::default()).unwrap();
    for found in [0, FORMAT - 1, FORMAT + 1, u16::MAX] {
        bytes[4..6].copy_from_slice(&found.to_le_bytes());
        let error = Bundle::from_bytes(&bytes).unwrap_err();
        assert_eq!(error, BundleError::OtherFormat { found });
        let said = error.to_string();
        assert!(said.contains(&format!("of format {found}, this gateway reads format {FORMAT}")));
    }
    bytes[0] = b'X';
    assert_eq!(Bundle::from_bytes(&bytes).unwrap_err(), BundleError::NotABundle);
}
