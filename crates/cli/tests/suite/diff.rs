//! `turnpike diff`.

use std::fs;
use std::path::Path;

use crate::common::Tree;

/// Two trees beside each other: `old`, and the one that is changed.
pub(crate) fn changed(edits: &[(&str, &str, &str)]) -> Tree {
    let tree = Tree::new();
    copy(&tree.path(""), &tree.folder.path().join("old"));
    for (file, from, to) in edits {
        tree.change(file, from, to);
    }
    tree
}

pub(crate) fn copy(from: &Path, to: &Path) {
    fs::create_dir_all(to).unwrap();
    for entry in fs::read_dir(from).unwrap() {
        let entry = entry.unwrap();
        let target = to.join(entry.file_name());
        if entry.path().is_dir() {
            copy(&entry.path(), &target);
        } else {
            fs::copy(entry.path(), target).unwrap();
        }
    }
}

/// A file, what is there, what comes in its place, and what is said.
type Case = (&'static str, &'static str, &'static str, &'static [&'static str]);

const CASES: &[Case] = &[
    // What means nothing.
    (
        "plans/gold.yaml",
        "plan: gold\n",
        "# A comment.\nplan: gold\non_error: closed\n",
        &[],
    ),
    // Access.
    (
        "consumers/trial.yaml",
        "[listPets, createPet]",
        "[listPets]",
        &["consumer trial", "tightening  loses pets/v1#createPet"],
    ),
    (
        "consumers/trial.yaml",
        "[listPets, createPet]",
        "all",
        &["loosening   gains pets/v1#getPet (GET /pets/{petId})  [policies/consumers/trial.yaml:6]"],
    ),
    (
        "consumers/trial.yaml",
        "[chat]",
        "all",
        &["loosening   gains the model large"],
    ),
    (
        "consumers/trial.yaml",
        "plan: free",
        "plan: gold",
        &["risky       plan: free → gold"],
    ),
    (
        "consumers/trial.yaml",
        "2099-01-01",
        "2098-01-01",
        &["tightening  the key 9f86d081… ends: 2099-01-01"],
    ),
    (
        "consumers/trial.yaml",
        "scopes: [pets:write]",
        "scopes: [pets:write, admin]",
        &["loosening   scope of the key 9f86d081… `admin` is added"],
    ),
    (
        "consumers/app.yaml",
        "is: app-1",
        "is: app-2",
        &[
            "loosening   token `app-2 of acme` is added",
            "tightening  token `app-1 of acme` is removed",
        ],
    ),
    (
        "gateway.yaml",
        "max_lifetime: 15m",
        "max_lifetime: 1h",
        &["issuer acme", "loosening   max_lifetime: 15m → 1h"],
    ),
    // Whoever has the keys issues tokens.
    (
        "gateway.yaml",
        "jwks: https://login.acme.example/jwks.json",
        "jwks: https://keys.example/jwks.json",
        &["loosening   keys: https://login.acme.example/jwks.json → https://keys.example/jwks.json"],
    ),
    (
        "gateway.yaml",
        "issuer: batch.acme.example",
        "issuer: other.example",
        &[
            "breaking    issuer: batch.acme.example → other.example",
            "loosening   tokens of other.example are trusted now",
        ],
    ),
    (
        "gateway.yaml",
        "consumer: client_id",
        "consumer: sub",
        &[
            "breaking    claim that names the consumer: client_id → sub",
            "loosening   claim by which tokens are a consumer's: client_id → sub",
        ],
    ),
    (
        "gateway.yaml",
        "[RS256]",
        "[RS256, ES256]",
        &["loosening   algorithm `ES256` is added"],
    ),
    (
        "gateway.yaml",
        "hosts: [api.acme.example]",
        "hosts: [api2.acme.example]",
        &[
            "breaking    host `api.acme.example` is removed",
            "safe        host `api2.acme.example` is added",
        ],
    ),
    (
        "gateway.yaml",
        "hosts: [api.acme.example]",
        "hosts: [api.acme.example]\napi_keys: { headers: [x-api-key, x-acme-key], schemes: [ApiKey] }",
        &[
            "breaking    header of API keys `api-key` is removed",
            "breaking    header of API keys `x-goog-api-key` is removed",
            "loosening   header of API keys `x-acme-key` is added",
            "loosening   scheme of API keys `apikey` is added",
        ],
    ),
    (
        "gateway.yaml",
        "[accept, content-type]",
        "[accept, content-type, x-a]",
        &["loosening   request header to upstreams `x-a` is added"],
    ),
    // Limits.
    (
        "plans/gold.yaml",
        "600/min, burst: 50",
        "300/min, burst: 50",
        &[
            "plan gold",
            "tightening  limit: 600/min, burst 50 → 300/min, burst 50  [policies/plans/gold.yaml:3]",
        ],
    ),
    (
        "plans/gold.yaml",
        "burst: 50",
        "burst: 60",
        &["loosening   limit: 600/min, burst 50 → 600/min, burst 60"],
    ),
    (
        "plans/gold.yaml",
        "1_000/day",
        "2_000/day",
        &["loosening   limit: 1000/day (quota) → 2000/day (quota)"],
    ),
    (
        "plans/gold.yaml",
        "  - { quota: 1_000/day }\n",
        "",
        &["loosening   limit 1000/day (quota) is removed"],
    ),
    (
        "plans/gold.yaml",
        "{ quota: 1_000/day }",
        "{ quota: 1_000/day, shards: 4 }",
        &["risky       limit 1000/day (quota) over 4 objects lies in other objects now"],
    ),
    (
        "plans/free.yaml",
        "plan: free",
        "plan: free\non_error: open",
        &["loosening   on_error is open"],
    ),
    (
        "apis/pets/api.yaml",
        "limits: [{ rate: 3/s }]",
        "limits: [{ rate: 3/s }, { quota: 9/day }]",
        &["API pets/v1", "tightening  limit 9/day (quota) is added"],
    ),
    // APIs.
    (
        "apis/pets/api.yaml",
        "scopes: [pets:write]",
        "scopes: [pets:write, admin]",
        &["tightening  createPet: the scope `admin` is added"],
    ),
    (
        "apis/pets/api.yaml",
        "operations: [createPet]",
        "operations: [createPet, getPet]",
        &["tightening  getPet: the scope `pets:write` is added"],
    ),
    (
        "apis/pets/api.yaml",
        "path: /pets",
        "path: /animals",
        &["breaking    path: /pets/v1 → /animals/v1"],
    ),
    (
        "apis/pets/api.yaml",
        "internal.example/api",
        "internal.example/v2",
        &[
            "risky       listPets: upstream: https://pets.internal.example/api → https://pets.internal.example/v2",
        ],
    ),
    (
        "apis/pets/api.yaml",
        "state: active",
        "state: retired",
        &["breaking    state: active → retired"],
    ),
    (
        "apis/pets/api.yaml",
        "owner: team-pets",
        "owner: team-animals",
        &["safe        owner: team-pets → team-animals"],
    ),
    // The contract.
    (
        "apis/pets/v1.yaml",
        "      operationId: getPet\n",
        "      operationId: readPet\n",
        &[
            "risky       getPet is called readPet now",
            "1 change from old to policies: 1 risky",
        ],
    ),
    // Renamed, and another contract at once.
    (
        "apis/pets/v1.yaml",
        "operationId: getPet\n      parameters: [{ name: petId, in: path, required: true, schema: { type: string } }]",
        "operationId: readPet\n      parameters: [{ name: petId, in: path, required: true, schema: { type: integer } }]",
        &[
            "risky       getPet is called readPet now",
            "breaking    readPet: the path parameter `petId` is integer, was string",
        ],
    ),
    (
        "apis/pets/v1.yaml",
        "  /pets/{petId}:\n    get:\n      operationId: getPet\n",
        "  /animals/{petId}:\n    get:\n      operationId: readPet\n",
        &[
            "breaking    the operation getPet is gone",
            "safe        the operation readPet is new",
        ],
    ),
    (
        "apis/pets/v1.yaml",
        "in: query, schema",
        "in: query, required: true, schema",
        &["breaking    listPets: the query parameter `limit` is required"],
    ),
    (
        "apis/pets/v1.yaml",
        "schema: { type: integer } }]",
        "schema: { type: integer } }, { name: tag, in: query, schema: {} }]",
        &["safe        listPets: the query parameter `tag` is new and optional"],
    ),
    (
        "apis/pets/v1.yaml",
        "schema: { type: integer }",
        "schema: { type: integer, maximum: 100 }",
        &["breaking    listPets: the query parameter `limit`: maximum none → 100"],
    ),
    (
        "apis/pets/v1.yaml",
        "schema: { type: integer }",
        "schema: { type: string }",
        &["breaking    listPets: the query parameter `limit` is string, was integer"],
    ),
    (
        "apis/pets/v1.yaml",
        "schema: { type: integer }",
        "schema: { type: number }",
        &["safe        listPets: the query parameter `limit` is number, was integer"],
    ),
    (
        "apis/pets/v1.yaml",
        "schema: { type: object }",
        "schema: { type: object, required: [name], properties: { name: { type: string } } }",
        &["breaking    createPet: the body.name is new and required"],
    ),
    (
        "apis/pets/v1.yaml",
        "schema: { type: object }",
        "schema: { type: object, additionalProperties: false }",
        &["breaking    createPet: the body: `additionalProperties` is another one"],
    ),
    (
        "apis/pets/v1.yaml",
        "schema: { type: integer }",
        "schema: { type: integer, multipleOf: 10 }",
        &["breaking    listPets: the query parameter `limit`: multipleOf none → 10"],
    ),
    (
        "apis/pets/v1.yaml",
        "info: { title: Pets, version: 1.0.0 }",
        "info: { title: Pets, version: 1.0.0 }\nsecurity: [{ key: [] }]\ncomponents: { securitySchemes: { key: { type: apiKey, in: header, name: x-key } } }",
        &["breaking    getPet: the document asks for credentials that it did not ask for (`security`)"],
    ),
    (
        "apis/pets/v1.yaml",
        "requestBody: {",
        "requestBody: { required: true,",
        &["breaking    createPet: the body is required"],
    ),
    (
        "apis/pets/v1.yaml",
        "'204': { description: There. }",
        "'201': { description: There. }",
        &[
            "breaking    createPet: the answer 204 is gone",
            "risky       createPet: the answer 201 is new",
        ],
    ),
    // Models.
    (
        "models/chat.yaml",
        "targets: [openai/gpt-5]",
        "targets: [openai/gpt-5.1]",
        &[
            "model chat",
            "risky       the target openai/gpt-5 ×1 is gone",
            "risky       the target openai/gpt-5.1 ×1 is new",
            "2 changes from old to policies: 2 risky",
        ],
    ),
    (
        "models/chat.yaml",
        "fallback: [openai/gpt-5-mini]\n",
        "",
        &["risky       fallback: openai/gpt-5-mini → none"],
    ),
    (
        "models/chat.yaml",
        "retry: { attempts: 1 }",
        "retry: { attempts: 2, on: [overloaded, server_error, unreachable, no_first_token] }\nstream: { commit: complete }",
        &[
            "risky       attempts on each target: 1 → 2",
            "risky       the reason for another try `rate_limited` is removed",
            "risky       stream commit: first_token → complete",
        ],
    ),
    (
        "models/chat.yaml",
        "targets: [openai/gpt-5]",
        "targets: [{ to: openai/gpt-5, weight: 3, price: { input: 1 USD/Mtok, output: 2 USD/Mtok } }]",
        &[
            "risky       the weight of openai/gpt-5: 1 → 3",
            "risky       the price of openai/gpt-5: none → ",
        ],
    ),
    (
        "models/chat.yaml",
        "owner: team-ai",
        "owner: team-ai\nstate: retired",
        &["breaking    state: active → retired"],
    ),
    // A secret in other hands: one that was sent to others, and one that was sent nowhere.
    (
        "apis/pets/api.yaml",
        "PETS_TOKEN",
        "OPENAI_KEY",
        &[
            "risky       the secret `OPENAI_KEY` is sent to pets.internal.example, which did not get it before  [policies/apis/pets/api.yaml:10]",
        ],
    ),
    (
        "apis/pets/api.yaml",
        "PETS_TOKEN",
        "BATCH_KEY",
        &["risky       the secret `BATCH_KEY` is sent to pets.internal.example, which did not get it before"],
    ),
    (
        "providers/openai.yaml",
        "OPENAI_KEY",
        "OTHER_KEY",
        &[
            "risky       secret `OTHER_KEY` is added",
            "provider openai",
            "risky       credential: authorization: Bearer <OPENAI_KEY> → authorization: Bearer <OTHER_KEY>",
        ],
    ),
    (
        "providers/openai.yaml",
        "https://api.openai.example/v1",
        "https://eu.openai.example/v1",
        &[
            "risky       base_url: https://api.openai.example/v1 → https://eu.openai.example/v1",
            "risky       the secret `OPENAI_KEY` is sent to eu.openai.example, which did not get it before",
        ],
    ),
];

#[test]
fn each_change_by_its_weight() {
    for (file, from, to, said) in CASES {
        let tree = changed(&[(file, from, to)]);
        let output = tree.run(&["diff", "old", "--as-of", "2026-01-01"]);
        assert_eq!(output.code, 0, "{file}: {to}\n{}{}", output.out, output.err);
        if said.is_empty() {
            assert_eq!(
                output.out, "old and policies have the same rules\n",
                "{file}: {to}"
            );
        }
        for part in *said {
            assert!(
                output.out.contains(part),
                "{file}: {from} -> {to}: {part}\n{}",
                output.out
            );
        }
    }
}

/// A budget in money lets pass more of what costs less.
#[test]
fn a_lower_price_loosens() {
    let tree = Tree::new();
    let price = |input: &str, output: &str| {
        format!(
            "targets: [{{ to: openai/gpt-5, price: {{ input: {input} USD/Mtok, output: {output} USD/Mtok }} }}]"
        )
    };
    tree.change("models/chat.yaml", "targets: [openai/gpt-5]", &price("1", "10"));
    copy(&tree.path(""), &tree.folder.path().join("old"));
    let mut was = price("1", "10");
    for (input, output, class) in [
        ("0.5", "10", "loosening"),
        ("2", "0", "loosening"),
        ("2", "20", "risky"),
    ] {
        tree.change("models/chat.yaml", &was, &price(input, output));
        was = price(input, output);
        let out = tree.good(&["diff", "old", "--as-of", "2026-01-01"]);
        let told = out
            .lines()
            .find(|line| line.contains("the price of openai/gpt-5"));
        assert!(told.is_some_and(|line| line.contains(class)), "{class}\n{out}");
    }
}

/// What an answer may be, seen by whom it is given to.
#[test]
fn answers_are_compared_the_other_way() {
    let answer = |schema: &str| {
        format!(
            "'200': {{ description: Pets., content: {{ application/json: {{ schema: {{ $ref: '#/components/schemas/Pet' }} }} }} }} }}\ncomponents:\n  schemas:\n    Base: {{ type: object, properties: {{ id: {{ type: integer }} }}, required: [id] }}\n    Pet: {{ allOf: [{{ $ref: '#/components/schemas/Base' }}, {schema}] }}\n"
        )
    };
    let was = "{ properties: { kind: { enum: [dog, cat] }, tag: { type: string } }, required: [kind] }";
    for (is, said) in [
        (was, "same rules"),
        (
            "{ properties: { kind: { enum: [dog, cat, fox] }, tag: { type: string } }, required: [kind] }",
            "risky       getPet: the answer 200.kind may be \"fox\"",
        ),
        (
            "{ properties: { kind: { enum: [dog] }, tag: { type: string } }, required: [kind] }",
            "safe        getPet: the answer 200.kind is never \"cat\" any more",
        ),
        (
            "{ properties: { kind: { enum: [dog, cat] } }, required: [kind] }",
            "breaking    getPet: the answer 200.tag is gone",
        ),
        (
            "{ properties: { kind: { enum: [dog, cat] }, tag: { type: string } } }",
            "breaking    getPet: the answer 200.kind is not always there",
        ),
        (
            "{ properties: { kind: { enum: [dog, cat] }, tag: { type: [string, 'null'] } }, required: [kind] }",
            "breaking    getPet: the answer 200.tag is null or string, was string",
        ),
        (
            "{ properties: { kind: { enum: [dog, cat] }, tag: { type: string }, age: { type: integer } }, required: [kind] }",
            "safe        getPet: the answer 200.age is new",
        ),
    ] {
        let tree = Tree::new();
        tree.change(
            "apis/pets/v1.yaml",
            "'200': { description: A pet. } }\n",
            &answer(was),
        );
        copy(&tree.path(""), &tree.folder.path().join("old"));
        tree.change("apis/pets/v1.yaml", was, is);
        let out = tree.good(&["diff", "old"]);
        assert!(out.contains(said), "{is}: {said}\n{out}");
    }
}

/// What a document asks for less is somebody's gain, and a gate may ask for that.
#[test]
fn a_document_that_asks_for_less_loosens() {
    let tree = changed(&[(
        "apis/pets/v1.yaml",
        "info: { title: Pets, version: 1.0.0 }",
        "info: { title: Pets, version: 1.0.0 }\nsecurity: [{ key: [] }]\ncomponents: { securitySchemes: { key: { type: apiKey, in: header, name: x-key } } }",
    )]);
    let output = tree.run(&["diff", "policies", "old", "--fail-on", "loosening"]);
    let said =
        "loosening   getPet: the document takes callers with less credentials than it did (`security`)";
    assert!(output.out.contains(said), "{}", output.out);
    assert_eq!(output.code, 1);
}

/// What is not promised yet, or has ended, does not break.
#[test]
fn where_a_version_is_in_its_life_decides() {
    for (state, as_of, class) in [
        ("state: preview", "2026-01-01", "risky "),
        ("state: active", "2026-01-01", "breaking"),
        (
            "state: deprecated, deprecated: 2026-01-01, sunset: 2027-01-01",
            "2026-06-01",
            "breaking",
        ),
        (
            "state: deprecated, deprecated: 2026-01-01, sunset: 2027-01-01",
            "2026-12-31",
            "breaking",
        ),
    ] {
        let tree = Tree::new();
        tree.write(
            "apis/pets/api.yaml",
            &format!("api: pets\ntitle: Pets\nowner: team\npath: /pets\nversions:\n  v1: {{ openapi: v1.yaml, {state}, upstream: 'https://a.example' }}\n"),
        );
        copy(&tree.path(""), &tree.folder.path().join("old"));
        tree.change(
            "apis/pets/v1.yaml",
            "in: query, schema",
            "in: query, required: true, schema",
        );
        let out = tree.good(&["diff", "old", "--as-of", as_of]);
        assert!(
            out.contains(&format!("  {class}")) && out.contains("`limit` is required"),
            "{state}\n{out}"
        );
    }
}
