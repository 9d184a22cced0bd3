//! Contracts of operations: what stands beside their schemas. Callbacks go the other way, links are not on the wire,
//! and servers are where clients call.

use std::sync::Arc;

use serde_json::{Value as Json, json};
use turnpike_policy::Operation;
use turnpike_policy::source::contract::Weight::{Breaks, Loosens, Risky, Safe};
use turnpike_policy::source::contract::{Contracts, Difference, Weight};

use crate::common::{base, build};

/// The operation that all these documents have: `GET /list`.
fn operation() -> Operation {
    let compiled = build(&base(), "dev").compiled.unwrap();
    compiled.operations[0].clone()
}

fn compared((old, new): (Json, Json)) -> Vec<Difference> {
    let operation = operation();
    Contracts::new(Arc::new(old), Arc::new(new)).compare(&operation, &operation)
}

/// Compares two operations, or what is around them, and says what is found: nothing between either and itself.
fn told(document: &dyn Fn(&Json) -> Json, (old, new): (&str, &str)) -> Vec<(Weight, String)> {
    let read =
        |text: &str| -> Json { serde_json::from_str(text).unwrap_or_else(|why| panic!("{text}: {why}")) };
    let (old, new) = (document(&read(old)), document(&read(new)));
    for same in [&old, &new] {
        let found = compared((same.clone(), same.clone()));
        assert!(found.is_empty(), "{same}: {found:?}");
    }
    let found = compared((old, new)).into_iter();
    found.map(|one| (one.weight, one.text)).collect()
}

/// What is before, what is after, and what is told of it.
type Case<'a> = (&'a str, &'a str, &'a [(Weight, &'a str)]);

/// As [`Case`], of texts that are put together.
type Owned<'a> = (String, String, &'a [(Weight, &'a str)]);

fn all_are_told(document: &dyn Fn(&Json) -> Json, part: &str, cases: &[Case<'_>]) {
    for (old, new, expected) in cases {
        let found = told(document, (old, new));
        let found: Vec<_> = found
            .iter()
            .map(|(weight, text)| (*weight, text.as_str()))
            .collect();
        assert_eq!(found, *expected, "{part}: {old} → {new}");
    }
}

#[test]
#[expect(clippy::too_many_lines, reason = "a table")]
fn what_a_callback_brings_is_compared_as_an_answer_is() {
    // `given` are the callbacks of the operation; components refer to each other.
    let document = |given: &Json| {
        json!({
            "paths": { "/list": { "get": { "callbacks": given } } },
            "components": {
                "callbacks": {
                    "Round": { "{$url}": { "post": { "callbacks": { "again": { "$ref": "#/components/callbacks/Round" } } } } },
                    "Told": { "{$url}": { "post": { "requestBody": { "content": {} } } } },
                },
                "pathItems": { "Item": { "post": { "responses": { "204": {} } } } },
            },
        })
    };
    let of = |what: &str| format!(r#"{{"done":{{"{{$url}}":{{"post":{{{what}}}}}}}}}"#);
    let body = |schema: &str| {
        of(&format!(
            r#""requestBody":{{"content":{{"text/json":{{"schema":{schema}}}}}}}"#
        ))
    };
    let kinds = |kinds: &str| of(&format!(r#""requestBody":{{"content":{{{kinds}}}}}"#));
    let parameter = |more: &str| of(&format!(r#""parameters":[{{"in":"query","name":"p"{more}}}]"#));
    let answers = |answers: &str| of(&format!(r#""responses":{{{answers}}}"#));
    let answer = |schema: &str| {
        answers(&format!(
            r#""200":{{"content":{{"text/json":{{"schema":{schema}}}}}}}"#
        ))
    };
    let nested = |way: &str| {
        of(&format!(
            r#""callbacks":{{"more":{{"{{$next}}":{{"post":{{{way}}}}}}}}}"#
        ))
    };
    let bare = of("");
    let cases: &[Owned<'_>] = &[
        // Which there are, and where they go.
        (
            bare.clone(),
            "{}".to_owned(),
            &[(Breaks, "the callback `done` (POST {$url}) is gone")],
        ),
        (
            "{}".to_owned(),
            bare.clone(),
            &[(Risky, "the callback `done` (POST {$url}) is new")],
        ),
        (
            bare.clone(),
            bare.replace("$url", "$other"),
            &[
                (Breaks, "the callback `done` (POST {$url}) is gone"),
                (Risky, "the callback `done` (POST {$other}) is new"),
            ],
        ),
        (
            bare.clone(),
            bare.replace("post", "put"),
            &[
                (Breaks, "the callback `done` (POST {$url}) is gone"),
                (Risky, "the callback `done` (PUT {$url}) is new"),
            ],
        ),
        // What they carry is what the caller gets.
        (
            body(r#"{"properties":{"a":{}}}"#),
            body("{}"),
            &[(Breaks, "the body of the callback `done` (POST {$url}).a is gone")],
        ),
        (
            body("{}"),
            body(r#"{"required":["a"]}"#),
            &[(
                Safe,
                "the body of the callback `done` (POST {$url}).a is always there",
            )],
        ),
        (
            body(r#"{"enum":["a"]}"#),
            body(r#"{"enum":["a","b"]}"#),
            &[(
                Risky,
                "the body of the callback `done` (POST {$url}) may be \"b\"",
            )],
        ),
        (
            bare.clone(),
            body("{}"),
            &[(Safe, "the body of the callback `done` (POST {$url}) is new")],
        ),
        (
            body("{}"),
            bare.clone(),
            &[(Breaks, "the body of the callback `done` (POST {$url}) is gone")],
        ),
        (
            of(r#""requestBody":{"required":true}"#),
            of(r#""requestBody":{}"#),
            &[(
                Breaks,
                "the body of the callback `done` (POST {$url}) is not always there",
            )],
        ),
        (
            kinds(r#""text/json":{}"#),
            kinds(r#""text/json":{},"text/xml":{}"#),
            &[(
                Risky,
                "the body of the callback `done` (POST {$url}) is given as text/xml too",
            )],
        ),
        (
            kinds(r#""text/json":{}"#),
            kinds(""),
            &[(
                Breaks,
                "the body of the callback `done` (POST {$url}) is no more given as text/json",
            )],
        ),
        (
            parameter(""),
            bare.clone(),
            &[(
                Breaks,
                "the query parameter `p` of the callback `done` (POST {$url}) is gone",
            )],
        ),
        (
            bare.clone(),
            parameter(r#","required":true"#),
            &[(
                Safe,
                "the query parameter `p` of the callback `done` (POST {$url}) is new",
            )],
        ),
        (
            parameter(r#","required":true"#),
            parameter(""),
            &[(
                Breaks,
                "the query parameter `p` of the callback `done` (POST {$url}) is not always there",
            )],
        ),
        // What it answers is what the caller sends.
        (
            answer("{}"),
            answer(r#"{"required":["a"]}"#),
            &[(
                Breaks,
                "the answer 200 of the callback `done` (POST {$url}).a is required",
            )],
        ),
        (
            answer(r#"{"properties":{"a":{}}}"#),
            answer("{}"),
            &[(
                Risky,
                "the answer 200 of the callback `done` (POST {$url}).a is gone",
            )],
        ),
        (
            answers(r#""200":{},"410":{}"#),
            bare.clone(),
            &[
                (
                    Breaks,
                    "the answer 200 of the callback `done` (POST {$url}) is gone",
                ),
                (
                    Risky,
                    "the answer 410 of the callback `done` (POST {$url}) is gone",
                ),
            ],
        ),
        (
            bare.clone(),
            answers(r#""200":{}"#),
            &[(Safe, "the answer 200 of the callback `done` (POST {$url}) is new")],
        ),
        (
            answer("{}"),
            answers(r#""200":{"content":{}}"#),
            &[(
                Breaks,
                "the answer 200 of the callback `done` (POST {$url}) is no more taken as text/json",
            )],
        ),
        (
            answers(r#""200":{}"#),
            answers(r#""200":{"headers":{"Seen":{"required":true}}}"#),
            &[(
                Breaks,
                "the header `seen` of the answer 200 of the callback `done` (POST {$url}) is new and required",
            )],
        ),
        // Whatever else: who signs it, where its own callbacks go.
        (
            bare.clone(),
            of(r#""security":[{"signed":[]}],"summary":"Told.","operationId":"told","tags":["a"]"#),
            &[(
                Risky,
                "the callback `done` (POST {$url}): `security` is another one",
            )],
        ),
        (
            nested(""),
            nested(r#""requestBody":{"required":true}"#),
            &[(
                Breaks,
                "a body of the callback `more` (POST {$next}) of the callback `done` (POST {$url}) is required",
            )],
        ),
        (
            bare.clone(),
            nested(""),
            &[(
                Safe,
                "the callback `more` (POST {$next}) of the callback `done` (POST {$url}) is new",
            )],
        ),
        // References, and callbacks that contain themselves.
        (
            r##"{"done":{"$ref":"#/components/callbacks/Told"}}"##.to_owned(),
            kinds(""),
            &[],
        ),
        (
            r##"{"done":{"{$url}":{"$ref":"#/components/pathItems/Item"}}}"##.to_owned(),
            bare,
            &[(
                Breaks,
                "the answer 204 of the callback `done` (POST {$url}) is gone",
            )],
        ),
        (
            r##"{"done":{"$ref":"#/components/callbacks/Round"}}"##.to_owned(),
            of(r#""callbacks":{}"#),
            &[(
                Breaks,
                "the callback `again` (POST {$url}) of the callback `done` (POST {$url}) is gone",
            )],
        ),
    ];
    let cases: Vec<Case<'_>> = cases
        .iter()
        .map(|(old, new, told)| (old.as_str(), new.as_str(), *told))
        .collect();
    all_are_told(&document, "callbacks", &cases);
}

#[test]
fn callbacks_of_callbacks_are_compared_in_bounds() {
    // Each round is another pair: rings of callbacks with 7 and 11 of them.
    let ring = |count: usize, schema: Json| {
        let mut callbacks = json!({});
        for at in 0..count {
            let next = json!({ "$ref": format!("#/components/callbacks/C{}", (at + 1) % count) });
            let body = json!({ "content": { "text/json": { "schema": schema } } });
            callbacks[format!("C{at}")] = json!({ "{$url}": { "post": { "requestBody": body, "callbacks": { "a": next, "b": next } } } });
        }
        let first = json!({ "a": { "$ref": "#/components/callbacks/C0" } });
        json!({ "paths": { "/list": { "get": { "callbacks": first } } }, "components": { "callbacks": callbacks } })
    };
    let found = compared((ring(7, json!({})), ring(11, json!({}))));
    let texts: Vec<_> = found.iter().map(|one| one.text.as_str()).collect();
    assert!(
        texts.len() == 1
            && texts[0].starts_with("the document is nested too deep to be compared beyond the callback"),
        "{texts:?}"
    );
    let found = compared((ring(3, json!({})), ring(3, json!({ "required": ["x"] }))));
    // Each of the three once in either direction, not once for each way to it.
    assert_eq!(found.len(), 6, "{found:#?}");
    let broken = found.iter().filter(|one| one.weight == Breaks);
    assert_eq!(broken.count(), 3, "{found:#?}");
}

#[test]
fn a_link_is_where_it_leads_to() {
    let document = |links: &Json| {
        json!({
            "paths": {
                "/list": { "get": { "operationId": "list", "responses": { "200": { "links": links } } } },
                "/pets/{id}": { "get": { "operationId": "getPet" }, "delete": { "operationId": "removePet" } },
            },
            "components": { "links": { "Pet": { "operationId": "getPet" } } },
        })
    };
    let pet = r#"{"pet":{"operationId":"getPet"}}"#;
    all_are_told(
        &document,
        "links",
        &[
            (pet, "{}", &[(Risky, "the link `pet` of the answer 200 is gone")]),
            ("{}", pet, &[(Safe, "the link `pet` of the answer 200 is new")]),
            (
                pet,
                r#"{"pet":{"operationId":"removePet"}}"#,
                &[(
                    Risky,
                    "the link `pet` of the answer 200 leads to DELETE /pets/{}, was GET /pets/{}",
                )],
            ),
            (
                pet,
                r#"{"pet":{"operationId":"nobody"}}"#,
                &[(
                    Risky,
                    "the link `pet` of the answer 200 leads to nobody, was GET /pets/{}",
                )],
            ),
            (
                r#"{"pet":{"operationRef":"https://a.example/x.yaml#/paths/~1a/get"}}"#,
                r#"{"pet":{}}"#,
                &[(
                    Risky,
                    "the link `pet` of the answer 200 leads to nothing, was https://a.example/x.yaml#/paths/~1a/get",
                )],
            ),
            (
                r#"{"pet":{"operationId":"getPet","parameters":{"id":"$response.body#/id"}}}"#,
                r#"{"pet":{"operationId":"getPet","parameters":{"id":"$response.body#/pet"},"description":"It."}}"#,
                &[(
                    Risky,
                    "the link `pet` of the answer 200: `parameters` is another one",
                )],
            ),
            // The same, written otherwise.
            (
                pet,
                r##"{"pet":{"operationRef":"#/paths/~1pets~1{id}/get"}}"##,
                &[],
            ),
            (
                pet,
                r##"{"pet":{"operationRef":"#/paths/~1pets~1{petId}/get"}}"##,
                &[],
            ),
            (pet, r##"{"pet":{"$ref":"#/components/links/Pet"}}"##, &[]),
        ],
    );
    // The operation that it leads to is called otherwise.
    let of = |id: &str| {
        json!({ "paths": {
            "/list": { "get": { "responses": { "200": { "links": { "pet": { "operationId": id } } } } } },
            "/pets/{id}": { "get": { "operationId": id } },
        } })
    };
    assert_eq!(compared((of("getPet"), of("onePet"))), []);
}

#[test]
#[expect(clippy::too_many_lines, reason = "a table")]
fn servers_are_those_of_the_operation_or_else_of_what_is_around_it() {
    /// What is around the operation (`of`), around its path (`item`), and its own.
    fn document(parts: &Json) -> Json {
        let mut get = json!({});
        let mut item = json!({});
        let mut all = json!({});
        for (name, part) in [("of", &mut all), ("item", &mut item), ("own", &mut get)] {
            if let Some(servers) = parts.get(name) {
                part["servers"] = servers.clone();
            }
        }
        item["get"] = get;
        all["paths"] = json!({ "/list": item });
        all
    }
    let a = r#"{"own":[{"url":"https://a.example"}]}"#;
    let variable = |variable: &str| {
        format!(r#"{{"own":[{{"url":"https://{{v}}.example","variables":{{"v":{variable}}}}}]}}"#)
    };
    let (any, listed) = (
        variable(r#"{"default":"a"}"#),
        variable(r#"{"default":"a","enum":["a","b"]}"#),
    );
    let (other, shorter) = (
        variable(r#"{"default":"b"}"#),
        variable(r#"{"default":"a","enum":["a"]}"#),
    );
    let none = r#"{"own":[{"url":"https://{v}.example"}]}"#;
    all_are_told(
        &document,
        "servers",
        &[
            (
                a,
                r#"{"own":[{"url":"https://b.example"}]}"#,
                &[
                    (
                        Risky,
                        "the first server is `https://b.example`, was `https://a.example`",
                    ),
                    (Risky, "the server `https://a.example` is gone"),
                    (Safe, "the server `https://b.example` is new"),
                ],
            ),
            (
                a,
                r#"{"own":[{"url":"https://a.example","description":"First."},{"url":"/b"}]}"#,
                &[(Safe, "the server `/b` is new")],
            ),
            (
                r#"{"own":[{"url":"/a"},{"url":"/b"}]}"#,
                r#"{"own":[{"url":"/b"},{"url":"/a"}]}"#,
                &[(Risky, "the first server is `/b`, was `/a`")],
            ),
            // Nothing, and nothing listed, is the place of the document.
            ("{}", r#"{"own":[{"url":"/"}]}"#, &[]),
            ("{}", r#"{"of":[]}"#, &[]),
            // Who wins.
            (a, &a.replace("own", "item"), &[]),
            (a, &a.replace("own", "of"), &[]),
            (
                r#"{"of":[{"url":"/a"}],"own":[{"url":"/o"}]}"#,
                r#"{"of":[{"url":"/b"}],"own":[{"url":"/o"}]}"#,
                &[],
            ),
            (
                r#"{"of":[{"url":"/a"}],"item":[{"url":"/a"}]}"#,
                r#"{"of":[{"url":"/a"}],"item":[{"url":"/a"}],"own":[{"url":"/b"},{"url":"/a"}]}"#,
                &[
                    (Risky, "the first server is `/b`, was `/a`"),
                    (Safe, "the server `/b` is new"),
                ],
            ),
            (
                r#"{"of":[{"url":"/a"}]}"#,
                r#"{"of":[{"url":"/a"},{"url":"/b"}]}"#,
                &[(Safe, "the server `/b` of the document is new")],
            ),
            // Variables.
            (
                &any,
                &other,
                &[(
                    Risky,
                    "the server `https://{v}.example`: the variable `v` is \"b\" by default, was \"a\"",
                )],
            ),
            (
                &any,
                &listed,
                &[(
                    Risky,
                    "the server `https://{v}.example`: the variable `v` is one of a list now",
                )],
            ),
            (
                &listed,
                &any,
                &[(
                    Safe,
                    "the server `https://{v}.example`: the variable `v` is not one of a list any more",
                )],
            ),
            (
                &listed,
                &shorter,
                &[(
                    Risky,
                    "the server `https://{v}.example`: the variable `v` is never \"b\" any more",
                )],
            ),
            (
                &shorter,
                &listed,
                &[(
                    Safe,
                    "the server `https://{v}.example`: the variable `v` may be \"b\"",
                )],
            ),
            (
                none,
                &any,
                &[(Risky, "the server `https://{v}.example`: the variable `v` is new")],
            ),
            (
                &any,
                none,
                &[(
                    Risky,
                    "the server `https://{v}.example`: the variable `v` is gone",
                )],
            ),
            (
                a,
                r#"{"own":[{"url":"https://a.example","protocol":"2"}]}"#,
                &[(Risky, "the server `https://a.example`: `protocol` is another one")],
            ),
        ],
    );
    // What changed for all operations is said once.
    let operation = operation();
    let of = |url: &str| Arc::new(document(&json!({ "of": [{ "url": url }] })));
    let mut contracts = Contracts::new(of("/a"), of("/b"));
    assert_eq!(contracts.compare(&operation, &operation).len(), 3);
    assert_eq!(contracts.compare(&operation, &operation), []);
}

/// Who meets one demand of a document may call; less of them, or of one, leaves callers out.
#[test]
fn what_a_document_asks_of_its_callers_has_a_direction() {
    const MORE: (Weight, &str) = (
        Breaks,
        "the document asks for credentials that it did not ask for (`security`)",
    );
    const LESS: (Weight, &str) = (
        Loosens,
        "the document takes callers with less credentials than it did (`security`)",
    );
    let document =
        |operation: &Json| json!({ "security": [{ "key": [] }], "paths": { "/list": { "get": operation } } });
    all_are_told(
        &document,
        "security",
        &[
            ("{}", r#"{"security":[{"key":[]}]}"#, &[]),
            ("{}", r#"{"security":[{"key":[]},{"key":[],"token":[]}]}"#, &[]),
            (r#"{"security":[]}"#, r#"{"security":[{}]}"#, &[]),
            (r#"{"security":[]}"#, "{}", &[MORE]),
            ("{}", r#"{"security":[]}"#, &[LESS]),
            ("{}", r#"{"security":[{"key":[],"token":[]}]}"#, &[MORE]),
            ("{}", r#"{"security":[{"key":[]},{"token":[]}]}"#, &[LESS]),
            ("{}", r#"{"security":[{"token":[]}]}"#, &[MORE, LESS]),
            ("{}", r#"{"security":[{"key":["write"]}]}"#, &[MORE]),
            (
                r#"{"security":[{"token":["read","write"]}]}"#,
                r#"{"security":[{"token":["read"]}]}"#,
                &[LESS],
            ),
            (
                "{}",
                r#"{"security":"none"}"#,
                &[(Risky, "the document asks for other credentials (`security`)")],
            ),
        ],
    );
}
