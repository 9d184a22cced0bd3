//! Operations without an `operationId`: each gets one in the text of its document, and nothing else of it changes.

use serde_json::Value;

use crate::ids::{BLOCK, BLOCK_NAMED, HEAD, imported};

#[test]
fn as_json_is_written() {
    let pretty = r#"{
  "openapi": "3.1.1",
  "info": { "title": "Pets", "version": "1" },
  "servers": [{ "url": "https://pets.example" }],
  "paths": {
    "/pets": {
	  "get": {
		"summary": "All {\"get\": {}}",
        "responses": {}
      },
      "put": {},
      "post": { "responses": {} }
    }
  }
}
"#;
    let named = pretty
        .replace("\"summary\"", "\"operationId\": \"getPets\",\n\t\t\"summary\"")
        .replace("\"put\": {}", "\"put\": { \"operationId\": \"putPets\" }")
        .replace(
            "{ \"responses\"",
            "{ \"operationId\": \"postPets\", \"responses\"",
        );
    assert_eq!(imported(pretty), named);

    let tight = r#"{"openapi":"3.1.1","info":{"title":"Pets","version":"1"},"servers":[{"url":"https://pets.example"}],"paths":{"/pets":{"get":{"summary":"a"},"put":{}}}}"#;
    let named = tight
        .replace("{\"summary\"", "{\"operationId\":\"getPets\",\"summary\"")
        .replace("\"put\":{}", "\"put\":{\"operationId\":\"putPets\"}");
    assert_eq!(imported(tight), named);
    serde_json::from_str::<Value>(&named).unwrap();
}

/// Lines end as they do, and a mark of the order of bytes stays.
#[test]
fn as_other_systems_write_lines() {
    let lines = |text: &str| text.replace('\n', "\r\n");
    assert_eq!(imported(&lines(BLOCK)), lines(BLOCK_NAMED));
    let marked = format!("\u{feff}{BLOCK}");
    assert_eq!(imported(&marked), format!("\u{feff}{BLOCK_NAMED}"));
    let json = "\u{feff}{\r\n\"openapi\": \"3.1.1\", \"info\": {\"title\": \"Pets\", \"version\": \"1\"}, \"servers\": [{\"url\": \"https://pets.example\"}],\r\n\"paths\": {\"/a\": {\"get\": {\r\n  \"tags\": []}}}}";
    let named = json.replace("\"tags\"", "\"operationId\": \"getA\",\r\n  \"tags\"");
    assert_eq!(imported(json), named);
}

#[test]
fn in_each_way_to_write_an_operation() {
    for (paths, named) in [
        // Without a line's end after it, and without a space.
        (
            "paths: { /a: { get: {summary: x} } }",
            "paths: { /a: { get: {operationId: getA, summary: x} } }",
        ),
        (
            "paths:\n  /a:\n    get:\n      summary: x",
            "paths:\n  /a:\n    get:\n      operationId: getA\n      summary: x",
        ),
        (
            "paths:\n  /a:\n    get:\n      { }\n",
            "paths:\n  /a:\n    get:\n      { operationId: getA }\n",
        ),
        (
            "paths:\n  /a:\n    get: { # none\n    }\n",
            "paths:\n  /a:\n    get: { operationId: getA # none\n    }\n",
        ),
        (
            "paths:\n  /a: { \"get\":{} }\n",
            "paths:\n  /a: { \"get\":{\"operationId\":\"getA\"} }\n",
        ),
        (
            "paths:\n  /a:\n    get: {'tags': [a]}\n",
            "paths:\n  /a:\n    get: {operationId: getA, 'tags': [a]}\n",
        ),
        // An anchor stays with what it names; what else it stands for has the same id.
        (
            "paths:\n  /a:\n    get: &one\n      tags: [a]\nx-one: *one\n",
            "paths:\n  /a:\n    get: &one\n      operationId: getA\n      tags: [a]\nx-one: *one\n",
        ),
        (
            "paths:\n  /a: { get: &one {} }\n",
            "paths:\n  /a: { get: &one { operationId: getA } }\n",
        ),
        // Aliases elsewhere are nobody's business.
        (
            "paths:\n  /a:\n    get:\n      tags: &tags [a]\n    put:\n      tags: *tags\n",
            "paths:\n  /a:\n    get:\n      operationId: getA\n      tags: &tags [a]\n    put:\n      operationId: putA\n      tags: *tags\n",
        ),
        // A path that is a reference: where it leads, after what is told before it.
        (
            "components:\n  pathItems:\n    A:\n      get:\n        tags: [a]\npaths:\n  /b: { get: {} }\n  /a: { $ref: '#/components/pathItems/A' }\n",
            "components:\n  pathItems:\n    A:\n      get:\n        operationId: getA\n        tags: [a]\npaths:\n  /b: { get: { operationId: getB } }\n  /a: { $ref: '#/components/pathItems/A' }\n",
        ),
        // An id that is there, even of what is not published, is left to it.
        (
            "paths:\n  /a: { get: {}, head: { operationId: getA }, put: { operationId: getA2 } }\n",
            "paths:\n  /a: { get: { operationId: getA_f302dfbc }, head: { operationId: getA }, put: { operationId: getA2 } }\n",
        ),
        (
            "paths:\n  /a-b: { get: {} }\n  /a/b: { get: {} }\n",
            "paths:\n  /a-b: { get: { operationId: getAB_3c8680cc } }\n  /a/b: { get: { operationId: getAB_840b7118 } }\n",
        ),
        (
            "paths:\n  /: { get: {} }\n",
            "paths:\n  /: { get: { operationId: getRoot } }\n",
        ),
        // What the gateway answers itself needs none.
        (
            "paths:\n  /a: { head: {}, options: {}, trace: {}, x-get: {} }\n  x-b: { get: {} }\n",
            "",
        ),
    ] {
        let expected = if named.is_empty() { paths } else { named };
        assert_eq!(imported(&format!("{HEAD}{paths}")), format!("{HEAD}{expected}"));
    }
}
