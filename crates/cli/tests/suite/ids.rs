//! Operations without an `operationId`: `turnpike import openapi` and `turnpike new api` give each one in the copy of
//! its document, and change nothing else in it.

use std::fs;

use serde_json::Value;

use crate::common::{Output, Tree};
use crate::import::Imported;

const HEAD: &str =
    "openapi: 3.1.1\ninfo: { title: Pets, version: '1' }\nservers: [{ url: https://pets.example }]\n";

const BLOCK: &str = "\
# Of the team of the pets.
openapi: 3.1.1
info: { title: Pets, version: '1' }   # one
servers: [{ url: https://pets.example }]
paths:

  /pets/{petId}:   # one of them
    parameters:
      - { name: petId, in: path, required: true, schema: { type: string } }
    get:   # reads

      # What it is.
      # And where.
      summary: A pet.
      responses: { '200': { description: A pet. } }
    delete: { summary: 'Gone: it is', responses: {} }   # for ever
    put:
        \"summary\": |
          operationId: none
        responses: {}
    head: {}
    x-get: { tags: [a] }
  /pets:
    get: { operationId: listPets, responses: {} }
    post: {}
    options:
      summary: x
    patch:
      {

        tags: [a], # some
      }
    trace: {}
  x-more: { get: {} }
";

const BLOCK_NAMED: &str = "\
# Of the team of the pets.
openapi: 3.1.1
info: { title: Pets, version: '1' }   # one
servers: [{ url: https://pets.example }]
paths:

  /pets/{petId}:   # one of them
    parameters:
      - { name: petId, in: path, required: true, schema: { type: string } }
    get:   # reads

      operationId: getPetsByPetId
      # What it is.
      # And where.
      summary: A pet.
      responses: { '200': { description: A pet. } }
    delete: { operationId: deletePetsByPetId, summary: 'Gone: it is', responses: {} }   # for ever
    put:
        operationId: putPetsByPetId
        \"summary\": |
          operationId: none
        responses: {}
    head: {}
    x-get: { tags: [a] }
  /pets:
    get: { operationId: listPets, responses: {} }
    post: { operationId: postPets }
    options:
      summary: x
    patch:
      {

        operationId: patchPets,
        tags: [a], # some
      }
    trace: {}
  x-more: { get: {} }
";

/// The copy of a document in the tree that was made of it.
#[track_caller]
fn imported(document: &str) -> String {
    let imported = Imported::of("openapi", document);
    assert_eq!(imported.output.code, 0, "{document}\n{}", imported.output.err);
    imported.run(&["check"]);
    let ending = if document.trim_start_matches('\u{feff}').starts_with('{') {
        "json"
    } else {
        "yaml"
    };
    imported.read(&format!("apis/pets/v1.{ending}"))
}

#[test]
fn import_gives_them_and_says_so() {
    let imported = Imported::of("openapi", BLOCK);
    assert_eq!(imported.output.code, 0, "{}", imported.output.err);
    assert_eq!(imported.read("apis/pets/v1.yaml"), BLOCK_NAMED);
    let json: Value = serde_json::from_str(&imported.output.out).unwrap();
    let ids: Vec<_> = json["ids"]
        .as_array()
        .unwrap()
        .iter()
        .map(|one| format!("{} {} {}", one["id"], one["method"], one["path"]).replace('"', ""))
        .collect();
    assert_eq!(
        ids,
        [
            "getPetsByPetId GET /pets/{petId}",
            "deletePetsByPetId DELETE /pets/{petId}",
            "putPetsByPetId PUT /pets/{petId}",
            "postPets POST /pets",
            "patchPets PATCH /pets",
        ]
    );
    let routes = imported.run(&["show", "routes", "--env", "production"]);
    for id in ["getPetsByPetId", "patchPets", "listPets"] {
        assert!(routes.contains(id), "{routes}");
    }
    // What has all of its ids stays as it is.
    assert_eq!(self::imported(BLOCK_NAMED), BLOCK_NAMED);
}

#[test]
fn new_api_gives_them_and_says_so() {
    let tree = Tree::new();
    fs::write(tree.folder.path().join("in.yaml"), BLOCK).unwrap();
    let arguments = ["new", "api", "more", "--from", "in.yaml", "--owner", "team"];
    let said = tree.good(&[&arguments[..], &["--upstream", "https://pets.example"]].concat());
    assert_eq!(
        said,
        "wrote policies/apis/more/api.yaml\nwrote policies/apis/more/v1.yaml\n\n\
         5 operations had no `operationId`, and have one in policies/apis/more/v1.yaml:\n\
         \x20 getPetsByPetId: GET /pets/{petId}\n\
         \x20 deletePetsByPetId: DELETE /pets/{petId}\n\
         \x20 putPetsByPetId: PUT /pets/{petId}\n\
         \x20 postPets: POST /pets\n\
         \x20 patchPets: PATCH /pets\n"
    );
    assert_eq!(tree.read("apis/more/v1.yaml"), BLOCK_NAMED);
    // The file of its authors is theirs.
    let own = fs::read_to_string(tree.folder.path().join("in.yaml")).unwrap();
    assert_eq!(own, BLOCK);
    // A version more gets the same.
    tree.good(&[
        "new",
        "api",
        "more",
        "--from",
        "in.yaml",
        "--version",
        "v2",
        "--state",
        "preview",
        "--upstream",
        "https://pets.example",
    ]);
    assert_eq!(tree.read("apis/more/v2.yaml"), BLOCK_NAMED);
    tree.good(&["check"]);
    tree.good(&[
        "new",
        "consumer",
        "reader",
        "--owner",
        "team",
        "--plan",
        "gold",
        "--api",
        "more:getPetsByPetId",
    ]);
}

/// A grant of one version does not come to mean another path in the next one.
#[test]
fn a_version_more_gives_no_id_to_another_path() {
    let tree = Tree::new();
    let folder = tree.folder.path();
    let add = |version: &str, paths: &str, more: &[&str]| {
        fs::write(folder.join("in.yaml"), format!("{HEAD}paths:\n{paths}")).unwrap();
        let arguments = ["new", "api", "more", "--from", "in.yaml", "--version", version];
        let upstream = ["--upstream", "https://pets.example"];
        tree.good(&[&arguments[..], &upstream, more].concat());
        tree.read(&format!("apis/more/{version}.yaml"))
    };
    add("v1", "  /a/b: { get: {} }\n", &["--owner", "team"]);
    tree.write(
        "consumers/reader.yaml",
        "consumer: reader\nowner: team\nplan: gold\ncredentials: [{ jwt: { issuer: acme, is: reader } }]\nmay: [{ api: more, operations: [getAB] }]\n",
    );
    assert_eq!(
        add("v2", "  /a-b: { get: {} }\n  /a/b: { get: {} }\n", &[]),
        format!(
            "{HEAD}paths:\n  /a-b: {{ get: {{ operationId: getAB_3c8680cc }} }}\n  /a/b: {{ get: {{ operationId: getAB }} }}\n"
        )
    );
    let called = |path: &str| {
        let output = tree.run(&["explain", "GET", path, "--as", "reader", "--env", "dev"]);
        output.out + &output.err
    };
    let (other, granted) = (called("/more/v2/a-b"), called("/more/v2/a/b"));
    assert!(other.contains("operation_not_allowed"), "{other}");
    assert!(!granted.contains("operation_not_allowed"), "{granted}");
    // Nor where the one that had it is gone.
    assert_eq!(
        add("v3", "  /a.b: { get: {} }\n", &[]),
        format!("{HEAD}paths:\n  /a.b: {{ get: {{ operationId: getAB_ed734d13 }} }}\n")
    );
    // What authors call it stays too, whatever the parameters are called now, and quoted where it must be.
    add(
        "v4",
        "  '/c/{id}': { parameters: [{ name: id, in: path, required: true, schema: {} }], get: { operationId: '7' } }\n",
        &[],
    );
    let found = add(
        "v5",
        "  '/c/{key}': { parameters: [{ name: key, in: path, required: true, schema: {} }], get: {} }\n  /a-b: { get: {} }\n",
        &[],
    );
    assert!(found.contains("get: { operationId: \"7\" }"), "{found}");
    assert!(
        found.contains("/a-b: { get: { operationId: getAB_3c8680cc }"),
        "{found}"
    );
}

#[test]
fn a_long_list_is_cut_for_people_and_whole_for_programs() {
    use std::fmt::Write as _;
    let mut document = format!("{HEAD}paths:\n");
    for number in 0..50 {
        let _ = writeln!(document, "  /a{number}: {{ get: {{}} }}");
    }
    let imported = Imported::of("openapi", &document);
    let json: Value = serde_json::from_str(&imported.output.out).unwrap();
    assert_eq!(json["ids"].as_array().unwrap().len(), 50);
    let again = ["import", "openapi", "in", "--into", "again", "--owner", "a"];
    let said = crate::common::finish(crate::common::command(imported.folder.path(), &again));
    for part in [
        "\n50 operations had no `operationId`, and have one in again/apis/pets/v1.yaml:\n  getA0: GET /a0\n",
        "\n  getA19: GET /a19\n  and 30 more\n",
        "\n1 thing not carried over as it was:\n",
    ] {
        assert!(said.out.contains(part), "{part}\n{}", said.out);
    }
}

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

/// What cannot get an id, or has one that is none, is refused with its place and a remedy.
#[test]
fn what_is_refused() {
    for (paths, code, parts) in [
        (
            "paths:\n  /a:\n    get: &one { tags: [a] }\n    put: *one\n    post: *one\n",
            2,
            &[
                "in: line 7, column 10: PUT /a is written as an alias",
                "write out here what it stands for; 1 more",
            ][..],
        ),
        (
            "paths:\n  /a: &a { get: {} }\n  /b: *a\n",
            2,
            &[
                "line 6, column 7: GET /b is written as an alias",
                "write out here",
            ],
        ),
        (
            "paths:\n  /a:\n    get:\n      ? tags\n      : [a]\n",
            2,
            &["in which none can be added: write these yourself\n  getA: GET /a\n"],
        ),
        // Two paths cannot have the same operations.
        (
            "paths:\n  /a: { $ref: '#/components/pathItems/A' }\n  /b: { $ref: '#/components/pathItems/A' }\ncomponents: { pathItems: { A: { get: {} } } }\n",
            1,
            &["error[P0603]", "write the operations out"],
        ),
        (
            "paths:\n  /a: { get: { operationId: x }, put: { operationId: x } }\n  /b: { get: {} }\n",
            1,
            &[
                "error[P0603]: there is an operation `x` already",
                ":5:34\n",
                "the other one",
            ],
        ),
        (
            "paths:\n  /a: { get: { operationId: a b } }\n",
            1,
            &["error[P0602]", "write for example `operationId: getA`"],
        ),
        (
            "paths:\n  /a: { get: { operationId: '' } }\n",
            1,
            &["error[P0602]", "getA"],
        ),
        (
            "paths:\n  /a: { get: { operationID: a } }\n",
            1,
            &["error[P0201]", "did you mean `operationId`?"],
        ),
        (
            "paths:\n  /a: { get: }\n",
            1,
            &["error[P0608]: expected an operation, found nothing"],
        ),
        (
            "paths:\n  /a: { get: { $ref: '#/x-a' } }\n",
            1,
            &["error[P0201]", "a `$ref` may stand for a whole path"],
        ),
        (
            "paths:\n  /a: { $ref: 'other.yaml#/a' }\n",
            1,
            &["error[P0604]", "bundle it into one file"],
        ),
    ] {
        let imported = Imported::of("openapi", &format!("{HEAD}{paths}"));
        let Output { code: was, err, .. } = &imported.output;
        assert_eq!(*was, code, "{paths}\n{err}");
        for part in parts {
            assert!(err.contains(part), "{paths}: {part}\n{err}");
        }
        assert!(!imported.folder.path().join("tree").exists(), "{paths}");
    }
}

/// Ids add lines: what else is wrong is told by the lines that its authors know.
#[test]
fn other_faults_are_told_by_the_lines_of_the_authors() {
    let tree = Tree::new();
    let document = "\
openapi: 3.1.1
info: { title: a, version: '1' }
paths:
  /a:
    get:
      tags: [a]
  /a/{id}:
    get:
      tags: [a]
  /b/{x}.json:
    get:
      tags: [a]
";
    fs::write(tree.folder.path().join("in.yaml"), document).unwrap();
    let new = |from: &str| {
        let arguments = ["new", "api", "more", "--from", from, "--owner", "a", "--upstream"];
        tree.run(&[&arguments[..], &["https://a.example"]].concat())
    };
    let Output { code, err, .. } = new("in.yaml");
    assert_eq!(code, 1, "{err}");
    for part in [
        "error[P0609]: the path parameter `id` is not declared\n --> policies/apis/more/v1.yaml:7:3\n",
        "error[P0605]: the parameter in `{x}.json` is not a whole segment\n  --> policies/apis/more/v1.yaml:10:3\n",
    ] {
        assert!(err.contains(part), "{part}\n{err}");
    }
    assert!(!err.contains("P0602") && !err.contains("are counted"), "{err}");
    assert!(!tree.path("apis/more").exists());

    // What only shows once there are ids is told as it stands then.
    let two = "parameters: [{ name: a, in: path, required: true }, { name: b, in: path, required: true }]";
    let document = format!(
        "openapi: 3.1.1\ninfo: {{ title: a, version: '1' }}\npaths:\n  '/{{a}}/x/{{b}}':\n    {two}\n    get:\n      tags: [a]\n  '/{{b}}/x/{{a}}':\n    {two}\n    get:\n      tags: [a]\n"
    );
    fs::write(tree.folder.path().join("two.yaml"), document).unwrap();
    let Output { code, err, .. } = new("two.yaml");
    assert_eq!(code, 1, "{err}");
    assert!(err.contains("error[P0701]"), "{err}");
    assert!(
        err.contains("some lines of v1.yaml are counted with the ids that it was to get\n"),
        "{err}"
    );
    tree.good(&["check"]);
}

/// The build asks for ids as before, and names the ones that a command would write.
#[test]
fn check_names_the_id() {
    let tree = Tree::new();
    tree.change(
        "apis/pets/v1.yaml",
        "      operationId: listPets\n",
        "      tags: [getPets]\n",
    );
    tree.change(
        "apis/pets/v1.yaml",
        "operationId: getPet\n",
        "operationId: getPets\n",
    );
    let Output { code, out, err } = tree.run(&["check"]);
    assert_eq!(code, 1, "{out}");
    let said = out + &err;
    for part in [
        "error[P0602]: the operation GET `/pets` has no `operationId`",
        "write `operationId: getPets_b0bd07bf`, as `turnpike new api` and `turnpike import openapi` do",
    ] {
        assert!(said.contains(part), "{part}\n{said}");
    }
}
