//! Operations without an `operationId`: which one `turnpike import openapi` and `turnpike new api` give each in the copy
//! of its document, and what `turnpike check` says of it.

use std::fs;

use serde_json::Value;

use crate::common::{Output, Tree};
use crate::import::Imported;

pub(crate) const HEAD: &str =
    "openapi: 3.1.1\ninfo: { title: Pets, version: '1' }\nservers: [{ url: https://pets.example }]\n";

pub(crate) const BLOCK: &str = "\
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

pub(crate) const BLOCK_NAMED: &str = "\
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
pub(crate) fn imported(document: &str) -> String {
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

/// What is missing in the document of one version is named by what the others have, as a command would write it.
#[test]
fn check_names_the_id_of_other_versions() {
    let tree = Tree::new();
    let document = |paths: &str| format!("{HEAD}paths:\n{paths}");
    let version = |file: &str| format!("{{ openapi: {file}, state: active, upstream: 'https://a.example' }}");
    let api = format!(
        "api: more\ntitle: More\nowner: team\npath: /more\nversions:\n  v1: {}\n  v2: {}\n",
        version("v1.yaml"),
        version("v2.yaml")
    );
    tree.write("apis/more/api.yaml", &api);
    let named = "  /a/b: { get: { operationId: getAB } }\n  /c: { get: { operationId: theC } }\n";
    tree.write("apis/more/v1.yaml", &document(named));
    let unnamed = "  /a-b: { get: {} }\n  /c: { get: {} }\n  /d: { get: {} }\n";
    tree.write("apis/more/v2.yaml", &document(unnamed));
    let Output { code, out, err } = tree.run(&["check"]);
    assert_eq!(code, 1, "{out}");
    let said = out + &err;
    for part in [
        "write `operationId: getAB_3c8680cc`, as `turnpike new api` and `turnpike import openapi` do in their copy of a document; `getAB` would be the id of another operation too",
        "write `operationId: theC`, as `turnpike new api` and `turnpike import openapi` do in their copy of a document; another version of the API calls it so",
        "write `operationId: getD`, as `turnpike new api` and `turnpike import openapi` do in their copy of a document\n",
    ] {
        assert!(said.contains(part), "{part}\n{said}");
    }
    // A command writes the same ones.
    tree.write(
        "apis/more/api.yaml",
        &api.replace(&format!("  v2: {}\n", version("v2.yaml")), ""),
    );
    fs::remove_file(tree.path("apis/more/v2.yaml")).unwrap();
    fs::write(tree.folder.path().join("in.yaml"), document(unnamed)).unwrap();
    let arguments = [
        "new",
        "api",
        "more",
        "--from",
        "in.yaml",
        "--version",
        "v2",
        "--upstream",
    ];
    let written = tree.good(&[&arguments[..], &["https://a.example"]].concat());
    for id in ["getAB_3c8680cc: GET /a-b", "theC: GET /c", "getD: GET /d"] {
        assert!(written.contains(id), "{id}\n{written}");
    }
}
