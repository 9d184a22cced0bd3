//! Contracts of operations: what a difference between two schemas means, keyword by keyword, wherever it stands; and
//! documents that would be compared for ever.
#![expect(
    clippy::disallowed_methods,
    reason = "what takes for ever is told by the clock"
)]

use std::sync::Arc;
use std::time::{Duration, Instant};

use serde_json::{Value as Json, json};
use turnpike_policy::Operation;
use turnpike_policy::source::contract::{Contracts, Difference, Weight};

use crate::common::{base, build, build_with_rules, lines};

/// The operation that all these documents have: `GET /list`.
fn operation() -> Operation {
    let compiled = build(&base(), "dev").compiled.unwrap();
    compiled.operations[0].clone()
}

/// What is told of a request body, and of an answer, with these schemas.
fn told(operation: &Operation, (old, new): (&Json, &Json)) -> [Vec<Difference>; 2] {
    let of = |schemas: &Json, part: &str| {
        let content =
            json!({ "content": { "application/json": { "schema": { "$ref": "#/components/schemas/S" } } } });
        let call = match part {
            "request" => json!({ "requestBody": content }),
            _ => json!({ "responses": { "200": content } }),
        };
        Arc::new(json!({ "paths": { "/list": { "get": call } }, "components": { "schemas": schemas } }))
    };
    ["request", "answer"]
        .map(|part| Contracts::new(of(old, part), of(new, part)).compare(operation, operation))
}

fn read(schema: &str) -> Json {
    serde_json::from_str(schema).unwrap_or_else(|error| panic!("{schema}: {error}"))
}

/// Every keyword that allows or refuses something, with two values that differ.
const KEYWORDS: &[(&str, &str)] = &[
    (r#"{"type":"string"}"#, r#"{"type":"integer"}"#),
    (r#"{"type":"string"}"#, r#"{"type":"string","nullable":true}"#),
    (r#"{"nullable":false}"#, r#"{"nullable":true}"#),
    (r#"{"enum":["a"]}"#, r#"{"enum":["a","b"]}"#),
    (r#"{"const":"a"}"#, r#"{"const":"b"}"#),
    (r#"{"minimum":1}"#, r#"{"minimum":2}"#),
    (r#"{"maximum":1}"#, r#"{"maximum":2}"#),
    (r#"{"exclusiveMinimum":1}"#, r#"{"exclusiveMinimum":2}"#),
    (r#"{"exclusiveMaximum":1}"#, r#"{"exclusiveMaximum":2}"#),
    (r#"{"minimum":1}"#, r#"{"minimum":1,"exclusiveMinimum":true}"#),
    (r#"{"maximum":1}"#, r#"{"maximum":1,"exclusiveMaximum":true}"#),
    (r#"{"minLength":1}"#, r#"{"minLength":2}"#),
    (r#"{"maxLength":1}"#, r#"{"maxLength":2}"#),
    (r#"{"minItems":1}"#, r#"{"minItems":2}"#),
    (r#"{"maxItems":1}"#, r#"{"maxItems":2}"#),
    (r#"{"minProperties":1}"#, r#"{"minProperties":2}"#),
    (r#"{"maxProperties":1}"#, r#"{"maxProperties":2}"#),
    (r#"{"multipleOf":2}"#, r#"{"multipleOf":3}"#),
    ("{}", r#"{"uniqueItems":true}"#),
    ("{}", r#"{"pattern":"^a"}"#),
    (r#"{"format":"date"}"#, r#"{"format":"date-time"}"#),
    (r#"{"contentEncoding":"base64"}"#, "{}"),
    (
        r#"{"contentMediaType":"image/png"}"#,
        r#"{"contentMediaType":"image/gif"}"#,
    ),
    (
        r#"{"contentSchema":{"type":"string"}}"#,
        r#"{"contentSchema":{"type":"object"}}"#,
    ),
    (r#"{"required":["a"]}"#, r#"{"required":["a","b"]}"#),
    (r#"{"properties":{"a":{}}}"#, r#"{"properties":{"a":{},"b":{}}}"#),
    (
        r#"{"properties":{"a":{"type":"string"}}}"#,
        r#"{"properties":{"a":{"type":"object"}}}"#,
    ),
    (
        r#"{"patternProperties":{"^a":{"type":"string"}}}"#,
        r#"{"patternProperties":{"^a":{"type":"object"}}}"#,
    ),
    (
        r#"{"patternProperties":{"^a":{}}}"#,
        r#"{"patternProperties":{"^b":{}}}"#,
    ),
    (
        r#"{"propertyNames":{"maxLength":1}}"#,
        r#"{"propertyNames":{"maxLength":2}}"#,
    ),
    ("{}", r#"{"additionalProperties":false}"#),
    (
        r#"{"additionalProperties":{"type":"string"}}"#,
        r#"{"additionalProperties":{"type":"object"}}"#,
    ),
    (
        r#"{"unevaluatedProperties":true}"#,
        r#"{"unevaluatedProperties":false}"#,
    ),
    (
        r#"{"dependentRequired":{"a":["b"]}}"#,
        r#"{"dependentRequired":{"a":["b","c"]}}"#,
    ),
    (
        r#"{"dependentSchemas":{"a":{"minProperties":1}}}"#,
        r#"{"dependentSchemas":{"a":{"minProperties":2}}}"#,
    ),
    (r#"{"items":{"type":"string"}}"#, r#"{"items":{"type":"object"}}"#),
    (r#"{"items":{"type":"string"}}"#, "{}"),
    (
        r#"{"prefixItems":[{"type":"string"}]}"#,
        r#"{"prefixItems":[{"type":"object"}]}"#,
    ),
    (r#"{"prefixItems":[{}]}"#, r#"{"prefixItems":[{},{}]}"#),
    (r#"{"unevaluatedItems":true}"#, r#"{"unevaluatedItems":false}"#),
    (r#"{"contains":{"const":1}}"#, r#"{"contains":{"const":2}}"#),
    (r#"{"minContains":1}"#, r#"{"minContains":2}"#),
    (r#"{"maxContains":1}"#, r#"{"maxContains":2}"#),
    (
        r#"{"oneOf":[{"type":"string"}]}"#,
        r#"{"oneOf":[{"type":"object"}]}"#,
    ),
    (
        r#"{"anyOf":[{"type":"string"}]}"#,
        r#"{"anyOf":[{"type":"string"},{"type":"object"}]}"#,
    ),
    (
        r#"{"allOf":[{"type":"string"}]}"#,
        r#"{"allOf":[{"type":"object"}]}"#,
    ),
    (r#"{"not":{"type":"string"}}"#, r#"{"not":{"type":"object"}}"#),
    (r#"{"if":{"const":1}}"#, r#"{"if":{"const":2}}"#),
    (r#"{"then":{"const":1}}"#, r#"{"then":{"const":2}}"#),
    (r#"{"else":{"const":1}}"#, r#"{"else":{"const":2}}"#),
    (
        r#"{"discriminator":{"propertyName":"a"}}"#,
        r#"{"discriminator":{"propertyName":"b"}}"#,
    ),
    ("{}", r#"{"readOnly":true}"#),
    ("{}", r#"{"writeOnly":true}"#),
    (r#"{"default":1}"#, r#"{"default":2}"#),
    (r#"{"xml":{"name":"a"}}"#, r#"{"xml":{"name":"b"}}"#),
    ("{}", r#"{"a-keyword-of-tomorrow":1}"#),
    ("true", "false"),
    (r##"{"$ref":"#/nowhere"}"##, r##"{"$ref":"#/elsewhere"}"##),
];

#[test]
fn no_keyword_that_differs_is_silent_wherever_it_stands() {
    let operation = operation();
    for (old, new) in KEYWORDS {
        let (old, new) = (read(old), read(new));
        // `T` is what differs, and `S` leads to it.
        for way in [
            r##"{"$ref":"#/components/schemas/T"}"##,
            r##"{"allOf":[{"$ref":"#/components/schemas/T"}]}"##,
            r##"{"oneOf":[{"type":"null"},{"$ref":"#/components/schemas/T"}]}"##,
            r##"{"anyOf":[{"type":"null"},{"$ref":"#/components/schemas/T"}]}"##,
            r##"{"not":{"$ref":"#/components/schemas/T"}}"##,
            r##"{"items":{"$ref":"#/components/schemas/T"}}"##,
            r##"{"prefixItems":[{"$ref":"#/components/schemas/T"}]}"##,
            r##"{"allOf":[{"prefixItems":[{}]},{"prefixItems":[{"$ref":"#/components/schemas/T"}]}]}"##,
            r##"{"properties":{"m":{"oneOf":[{"$ref":"#/components/schemas/T"}]}}}"##,
            r##"{"additionalProperties":{"items":{"$ref":"#/components/schemas/T"}}}"##,
            r##"{"patternProperties":{"^p":{"$ref":"#/components/schemas/T"}}}"##,
            r##"{"dependentSchemas":{"d":{"$ref":"#/components/schemas/T"}}}"##,
            r##"{"if":{"$ref":"#/components/schemas/T"}}"##,
            r##"{"contains":{"$ref":"#/components/schemas/T"}}"##,
            r##"{"propertyNames":{"$ref":"#/components/schemas/T"}}"##,
        ] {
            let with = |schema: &Json| json!({ "S": read(way), "T": schema });
            for found in told(&operation, (&with(&old), &with(&new))) {
                assert!(!found.is_empty(), "{old} → {new} behind {way}");
            }
            for found in told(&operation, (&with(&old), &with(&old))) {
                assert!(found.is_empty(), "{old} behind {way}: {found:?}");
            }
        }
    }
    // What is wrong in one place is not taken for what was right in another.
    let places = |kind: &str| read(&format!(r#"{{"S":{{"properties":{{"a":true,"b":{kind}}}}}}}"#));
    for [old, new] in [
        ["true", "false"],
        [r##"{"$ref":"#/nowhere"}"##, r##"{"$ref":"#/elsewhere"}"##],
    ] {
        for found in told(&operation, (&places(old), &places(new))) {
            assert_eq!(found.len(), 1, "{old} → {new}: {found:?}");
        }
    }
    for word in [
        "title",
        "description",
        "example",
        "examples",
        "externalDocs",
        "deprecated",
        "$comment",
        "x-a",
    ] {
        let (old, new) = (
            json!({ "S": { "type": "string" } }),
            json!({ "S": { "type": "string", word: true } }),
        );
        for found in told(&operation, (&old, &new)) {
            assert!(found.is_empty(), "{word}: {found:?}");
        }
    }
}

#[test]
fn what_says_the_same_otherwise_is_the_same() {
    let operation = operation();
    for (old, new) in [
        (
            r#"{"oneOf":[{"type":"string"},{"type":"object"}]}"#,
            r#"{"oneOf":[{"type":"object"},{"type":"string"}]}"#,
        ),
        (
            r#"{"minimum":1,"exclusiveMinimum":true}"#,
            r#"{"exclusiveMinimum":1}"#,
        ),
        (
            r#"{"type":"string","nullable":true}"#,
            r#"{"type":["null","string"]}"#,
        ),
        (r#"{"enum":["a"]}"#, r#"{"const":"a"}"#),
        (
            r#"{"enum":["a","b"]}"#,
            r#"{"allOf":[{"enum":["a","b","c"]},{"enum":["b","a"]}]}"#,
        ),
        (
            "{}",
            r#"{"additionalProperties":true,"items":{},"minLength":0,"readOnly":false}"#,
        ),
        (
            "{}",
            r#"{"items":{"description":"Any."},"additionalProperties":{"allOf":[{}]}}"#,
        ),
        (
            r#"{"additionalProperties":true}"#,
            r#"{"additionalProperties":{"minLength":0,"readOnly":false}}"#,
        ),
        (
            r#"{"type":"integer","multipleOf":3}"#,
            r#"{"type":"integer","multipleOf":1,"allOf":[{"multipleOf":3}]}"#,
        ),
        (
            r#"{"required":["b"]}"#,
            r#"{"required":["b"],"dependentRequired":{"a":["b"]}}"#,
        ),
        (
            r##"{"$ref":"#/components/schemas/T"}"##,
            r#"{"allOf":[{"type":"string"}]}"#,
        ),
        (
            r##"{"anyOf":[{"$ref":"#/components/schemas/T"}]}"##,
            r#"{"anyOf":[{"type":"string"}]}"#,
        ),
    ] {
        let with = |schema: &str| json!({ "S": read(schema), "T": { "type": "string" } });
        for found in told(&operation, (&with(old), &with(new))) {
            assert!(found.is_empty(), "{old} → {new}: {found:?}");
        }
    }
}

#[test]
#[expect(clippy::too_many_lines, reason = "a table")]
fn the_direction_decides_what_breaks() {
    use Weight::{Breaks, Risky, Safe};
    let operation = operation();
    for (old, new, weights, text) in [
        (
            "{}",
            r#"{"required":["id"]}"#,
            [Breaks, Safe],
            "the body.id is required",
        ),
        (
            r#"{"properties":{"a":{}}}"#,
            r#"{"required":["a"]}"#,
            [Breaks, Breaks],
            "the body.a is required",
        ),
        (
            r#"{"minimum":5}"#,
            r#"{"exclusiveMinimum":4}"#,
            [Safe, Risky],
            "the body: minimum 5 → exclusiveMinimum 4",
        ),
        (
            r#"{"maximum":5}"#,
            r#"{"maximum":5,"exclusiveMaximum":true}"#,
            [Breaks, Safe],
            "the body: maximum 5 → exclusiveMaximum 5",
        ),
        (
            r#"{"allOf":[{"enum":["a","b"]},{"enum":["a","b"]}]}"#,
            r#"{"allOf":[{"enum":["a","b"]},{"enum":["a"]}]}"#,
            [Breaks, Safe],
            "the body is never \"b\" any more",
        ),
        (
            r#"{"additionalProperties":{"type":"string"}}"#,
            r#"{"additionalProperties":{"type":"integer"}}"#,
            [Breaks, Breaks],
            "the body.* is integer, was string",
        ),
        (
            r#"{"additionalProperties":true}"#,
            r#"{"additionalProperties":false}"#,
            [Breaks, Safe],
            "the body: `additionalProperties` is another one",
        ),
        (
            r#"{"additionalProperties":false}"#,
            "{}",
            [Safe, Risky],
            "the body: `additionalProperties` is another one",
        ),
        (
            "{}",
            r#"{"unevaluatedProperties":{"type":"string"}}"#,
            [Breaks, Safe],
            "the body: `unevaluatedProperties` is another one",
        ),
        (
            "{}",
            r#"{"multipleOf":2}"#,
            [Breaks, Safe],
            "the body: multipleOf none → 2",
        ),
        (
            r#"{"multipleOf":6}"#,
            r#"{"multipleOf":3}"#,
            [Safe, Risky],
            "the body: multipleOf 6 → 3",
        ),
        (
            r#"{"multipleOf":0.1}"#,
            r#"{"multipleOf":0.01}"#,
            [Safe, Risky],
            "the body: multipleOf 0.1 → 0.01",
        ),
        (
            r#"{"multipleOf":2}"#,
            r#"{"multipleOf":3}"#,
            [Breaks, Risky],
            "the body: multipleOf 2 → 3",
        ),
        (
            r#"{"type":"integer"}"#,
            r#"{"type":"integer","allOf":[{"multipleOf":2},{"multipleOf":5}]}"#,
            [Breaks, Safe],
            "the body: multipleOf none → 2 and 5",
        ),
        (
            "{}",
            r#"{"dependentRequired":{"a":["b"]}}"#,
            [Breaks, Safe],
            "the body.b is required where a is there",
        ),
        (
            r#"{"dependentRequired":{"a":["b","c"]}}"#,
            r#"{"dependentRequired":{"a":["c"]}}"#,
            [Safe, Breaks],
            "the body.b is optional where a is there",
        ),
        (
            r#"{"prefixItems":[{"type":"string"}]}"#,
            r#"{"prefixItems":[{"type":"integer"}]}"#,
            [Breaks, Breaks],
            "the body[0] is integer, was string",
        ),
        (
            r#"{"const":1}"#,
            r#"{"const":2}"#,
            [Breaks, Risky],
            "the body is never 1 any more",
        ),
        (
            "{}",
            r#"{"uniqueItems":true}"#,
            [Breaks, Safe],
            "the body: no item may be there twice now",
        ),
        (
            "{}",
            r#"{"default":1}"#,
            [Risky, Risky],
            "the body: `default` is another one",
        ),
    ] {
        let with = |schema: &str| json!({ "S": read(schema) });
        let found = told(&operation, (&with(old), &with(new)));
        let worst = found.each_ref().map(|found| {
            let order = |weight: &Weight| [Safe, Risky, Breaks].iter().position(|known| known == weight);
            found.iter().map(|one| one.weight).max_by_key(order).unwrap()
        });
        assert_eq!(worst, weights, "{old} → {new}: {found:?}");
        assert!(found[0].iter().any(|one| one.text == text), "{text}: {found:?}");
    }
}

#[test]
fn how_a_parameter_is_written_is_part_of_the_contract() {
    use Weight::{Breaks, Risky, Safe};
    let operation = operation();
    let of = |parameter: &str| {
        let mut all = json!({ "name": "p", "in": "query", "schema": { "type": "array" } });
        let more = read(parameter);
        all.as_object_mut()
            .unwrap()
            .extend(more.as_object().unwrap().clone());
        Arc::new(json!({ "paths": { "/list": { "get": { "parameters": [all] } } } }))
    };
    for (old, new, told) in [
        (
            "{}",
            r#"{"style":"form","explode":true,"allowReserved":false,"description":"P."}"#,
            &[][..],
        ),
        ("{}", r#"{"explode":false}"#, &[(Breaks, "explode true → false")]),
        (
            r#"{"explode":true}"#,
            r#"{"style":"spaceDelimited","explode":true}"#,
            &[(Breaks, "style form → spaceDelimited")],
        ),
        // One word is written in one way, unless the style puts something before it.
        (
            r#"{"schema":{"type":"integer"}}"#,
            r#"{"schema":{"type":"integer"},"explode":false}"#,
            &[(Safe, "explode true → false")],
        ),
        (
            r#"{"schema":{"type":"string"},"explode":true}"#,
            r#"{"schema":{"type":"string"},"explode":true,"style":"pipeDelimited"}"#,
            &[(Safe, "style form → pipeDelimited")],
        ),
        (
            r#"{"schema":{"type":"string"},"explode":true}"#,
            r#"{"schema":{"type":"string"},"explode":true,"style":"matrix"}"#,
            &[(Breaks, "style form → matrix")],
        ),
        // What it is is not told: it may be a list.
        (
            r#"{"schema":{}}"#,
            r#"{"schema":{},"explode":false}"#,
            &[(Breaks, "explode true → false")],
        ),
        (
            r#"{"schema":{"type":["string","array"]}}"#,
            r#"{"schema":{"type":["string","array"]},"explode":false}"#,
            &[(Breaks, "explode true → false")],
        ),
        (
            r#"{"content":{"application/json":{}}}"#,
            r#"{"content":{"text/plain":{}}}"#,
            &[(Breaks, "application/json → text/plain")],
        ),
        (
            "{}",
            r#"{"allowReserved":true}"#,
            &[(Risky, "`allowReserved` is another one")],
        ),
    ] {
        let found = Contracts::new(of(old), of(new)).compare(&operation, &operation);
        let told: Vec<_> = told
            .iter()
            .map(|(weight, text)| (*weight, format!("the query parameter `p`: {text}")))
            .collect();
        assert_eq!(
            found
                .into_iter()
                .map(|one| (one.weight, one.text))
                .collect::<Vec<_>>(),
            told,
            "{old} → {new}"
        );
    }
}

/// Schemas that contain themselves several times, and such as double with each step. `more` is what is asked of a
/// request at the end of each.
fn endless(more: &str) -> Vec<Json> {
    let reference = |name: String| json!({ "$ref": format!("#/components/schemas/{name}") });
    let itself = || reference("S".to_owned());
    let node = json!({
        "type": "object",
        "required": [more],
        "properties": { "id": {}, "left": itself(), "right": itself(), "parent": itself(), "all": { "oneOf": [itself()] } },
        "oneOf": [{ "items": itself() }, { "not": itself() }],
    });
    let chain = |of: &dyn Fn(Json) -> Json| {
        let mut schemas = json!({ "S": of(reference("S1".to_owned())), "S50": { "required": [more] } });
        for at in 1..50 {
            schemas[format!("S{at}")] = of(reference(format!("S{}", at + 1)));
        }
        schemas
    };
    let circle = json!({ "S": { "required": [more], "allOf": [itself(), itself()] } });
    vec![
        json!({ "S": node }),
        circle,
        chain(&|next| json!({ "allOf": [next, next] })),
        chain(&|next| json!({ "oneOf": [next, next] })),
        chain(&|next| json!({ "properties": { "a": next, "b": next }, "items": next })),
    ]
}

/// What takes for ever takes longer, and a build without optimization on a busy machine does not.
const SOON: Duration = Duration::from_mins(1);

#[test]
fn schemas_that_contain_themselves_are_compared_in_time() {
    let operation = operation();
    for (old, new) in endless("id").iter().zip(&endless("other")) {
        let start = Instant::now();
        let [request, _] = told(&operation, (old, new));
        assert!(
            !request.is_empty() && start.elapsed() < SOON,
            "{:?}: {new}",
            start.elapsed()
        );
        let [request, answer] = told(&operation, (old, old));
        assert!(request.is_empty() && answer.is_empty(), "{request:?} {old}");
    }
    let start = Instant::now();
    // Each way to the end is another set of schemas.
    let mut schemas = json!({ "S": { "$ref": "#/components/schemas/L0" } });
    let reference = |name: &str, at: u32| json!({ "$ref": format!("#/components/schemas/{name}{at}") });
    for at in 0..60 {
        schemas[format!("L{at}")] = json!({ "properties": {
            "a": reference("L", at + 1),
            "b": { "allOf": [reference("L", at + 1), reference("Y", at)] },
        } });
        schemas[format!("Y{at}")] =
            json!({ "properties": { "a": reference("Y", at), "b": reference("Y", at) } });
    }
    let [request, _] = told(&operation, (&schemas, &schemas));
    let why = "the schemas of the document are too many and too large to be compared further: what else changed is not told";
    assert!(
        request
            .iter()
            .any(|one| one.text == why && one.weight == Weight::Risky),
        "{request:?}"
    );
    assert!(start.elapsed() < 4 * SOON, "{:?}", start.elapsed());
}

#[test]
fn what_is_too_large_or_too_deep_to_be_compared_is_told_once() {
    let operation = operation();
    let document = |kind: &str| {
        let members: Json = (0..2_000)
            .map(|at| (format!("m{at}"), json!({ "type": kind })))
            .collect();
        let schema = json!({ "schema": { "properties": members } });
        let call = json!({ "requestBody": { "content": { "application/json": schema } } });
        Arc::new(json!({ "paths": { "/list": { "get": call } } }))
    };
    let mut contracts = Contracts::new(document("string"), document("integer"));
    let (mut breaks, mut risks, start) = (0, 0, Instant::now());
    for _ in 0..500 {
        for found in contracts.compare(&operation, &operation) {
            match found.weight {
                Weight::Breaks => breaks += 1,
                _ => risks += 1,
            }
        }
    }
    assert_eq!(risks, 1);
    assert!((10_000..500_000).contains(&breaks), "{breaks}");
    assert!(start.elapsed() < 4 * SOON, "{:?}", start.elapsed());

    let deep = |end: &str| (0..200).fold(json!({ "type": end }), |inner, _| json!({ "items": inner }));
    let found = told(
        &operation,
        (&json!({ "S": deep("string") }), &json!({ "S": deep("object") })),
    );
    for found in found {
        assert_eq!(found.len(), 1, "{found:?}");
        assert!(
            found[0].weight == Weight::Risky && found[0].text.contains("nested too deep"),
            "{found:?}"
        );
    }
}

/// As a whole tree: two versions that promise the same, and a schema that contains itself three times.
#[test]
fn versions_with_schemas_that_contain_themselves_are_checked_in_time() {
    let document = |number: &str, more: &str| {
        format!(
            "openapi: 3.1.0\ninfo: {{ title: Pets, version: {number} }}\npaths:\n  /list:\n    post:\n      operationId: listPets\n      requestBody: {{ content: {{ application/json: {{ schema: {{ $ref: '#/components/schemas/Node' }} }} }} }}\n      responses: {{ '204': {{ description: ok }} }}\ncomponents:\n  schemas:\n    Node:\n      type: object\n      required: [{more}]\n      properties:\n        id: {{ type: string }}\n        left: {{ $ref: '#/components/schemas/Node' }}\n        right: {{ $ref: '#/components/schemas/Node' }}\n        parent: {{ $ref: '#/components/schemas/Node' }}\n"
        )
    };
    let mut files = base();
    files
        .get_mut("apis/pets/api.yaml")
        .unwrap()
        .push_str("  v1.2:\n    openapi: v2.yaml\n    state: active\n    upstream: https://pets.example\n");
    files.insert("apis/pets/v1.yaml".to_owned(), document("1.0.0", "id"));
    files.insert("apis/pets/v2.yaml".to_owned(), document("1.2.0", "id, left"));
    let start = Instant::now();
    let said = lines(&build_with_rules(&files, "dev"));
    assert!(start.elapsed() < SOON, "{:?}", start.elapsed());
    assert!(
        said.iter()
            .any(|line| line.contains("[P1325]") && line.contains("listPets: the body.left is required")),
        "{said:#?}"
    );
    // Where the rule is off nothing is compared.
    let gateway = files.get_mut("gateway.yaml").unwrap();
    *gateway = gateway.replace("environments:", "governance: { P1325: off }\nenvironments:");
    let said = lines(&build_with_rules(&files, "dev"));
    assert!(!said.iter().any(|line| line.contains("[P1325]")), "{said:#?}");
}
