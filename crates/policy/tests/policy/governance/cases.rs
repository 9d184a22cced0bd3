//! A tree that no rule has anything to say against, and for each rule a change to it that one has.

/// The clean tree.
const CLEAN: &[(&str, &str)] = &[
    (
        "gateway.yaml",
        "\
gateway: test
hosts: [api.gate.test]
issuers:
  acme:
    issuer: https://login.acme.test/
    audience: [acme]
    algorithms: [RS256]
    max_lifetime: 1h
    jwks: https://login.acme.test/jwks
environments:
  dev: { mocks: allowed }
  production: {}
",
    ),
    (
        "plans/gold.yaml",
        "plan: gold\nlimits:\n  - rate: 10/s\n  - tokens: 1_000/day\n",
    ),
    (
        "consumers/app.yaml",
        "\
consumer: app
owner: team
plan: gold
credentials:
  - jwt: { issuer: acme, is: app }
may:
  - { api: pets, operations: all }
  - { models: [chat] }
",
    ),
    (
        "apis/pets/api.yaml",
        "\
api: pets
title: Pets
owner: team
path: /pets
versions:
  v1:
    openapi: v1.yaml
    state: active
    upstream: https://pets.acme.test
    upstream_credential: { secret: PETS }
    timeouts: { first_byte: 5s }
authorize: [{ operations: [addPet], scopes: [pets:write] }]
",
    ),
    (
        "apis/pets/v1.yaml",
        "\
openapi: 3.1.0
info: { title: Pets, version: '1', description: All about pets. }
paths:
  /list:
    get:
      operationId: listPets
      summary: All pets.
      parameters:
        - { name: tag, in: query, description: Which ones., schema: { type: string, enum: [a, b] } }
      responses:
        '200': { description: ok, content: { application/json: { schema: { type: object } } } }
        default: { $ref: '#/components/responses/Problem' }
    post:
      operationId: addPet
      summary: Add a pet.
      requestBody: { content: { application/json: { schema: { type: object } } } }
      responses:
        '204': { description: It is there. }
        default: { $ref: '#/components/responses/Problem' }
components:
  responses:
    Problem:
      description: What went wrong.
      content: { application/problem+json: { schema: { type: object } } }
",
    ),
    (
        "models/chat.yaml",
        "\
model: chat
owner: team
targets:
  - { to: openai/gpt, price: { input: 1 USD/Mtok, output: 2 USD/Mtok } }
fallback:
  - { to: other/gpt, price: { input: 1 USD/Mtok, output: 2 USD/Mtok } }
max_output_tokens: 100
",
    ),
    (
        "providers/openai.yaml",
        "provider: openai\nwire: openai\nbase_url: https://api.openai.test/v1\nsecret: OPENAI_KEY\n",
    ),
    (
        "providers/other.yaml",
        "provider: other\nwire: openai\nbase_url: https://other.test/v1\nsecret: OTHER_KEY\n",
    ),
    (
        "tests/pets.yaml",
        "tests:\n  - name: nobody\n    request: { get: /pets/v1/list }\n    expect: { status: 401 }\n",
    ),
];

/// The files of the clean tree.
pub(crate) fn clean() -> crate::common::Files {
    let files = CLEAN.iter();
    files
        .map(|(path, content)| ((*path).to_owned(), (*content).to_owned()))
        .collect()
}

/// A change to the clean tree (a text of a file that is replaced, or a file as a whole), and all that is
/// then said.
pub(super) struct Case(
    pub(super) &'static [(&'static str, &'static str, &'static str)],
    pub(super) &'static [&'static str],
);

pub(super) const WHOLE: &str = "";
pub(super) const API: &str = "apis/pets/api.yaml";
pub(super) const DOC: &str = "apis/pets/v1.yaml";
pub(super) const GATE: &str = "gateway.yaml";
pub(super) const PLAN: &str = "plans/gold.yaml";
pub(super) const APP: &str = "consumers/app.yaml";
pub(super) const CHAT: &str = "models/chat.yaml";
const OTHER: &str = "api: other\ntitle: O\nowner: others\npath: /other\nversions:\n  v1:\n    openapi: v1.yaml\n    state: active\n    upstream: https://pets.acme.test\n    upstream_credential: { secret: PETS }\n    timeouts: { first_byte: 5s }\n";
const OTHER_DOC: &str = "openapi: 3.1.0\ninfo: { title: O, version: '1', description: Others. }\npaths:\n  /o:\n    get:\n      operationId: other\n      summary: Another.\n      responses:\n        '204': { description: ok }\n        default: { description: What went wrong. }\n";
#[rustfmt::skip]
pub(super) const CASES: &[Case] = &[
    Case(&[("environments/dev.yaml", WHOLE, "vars: { x: 1 }")],
        &["environments/dev.yaml:1:9: warning[P0010]"]),
    Case(&[(APP, "credentials:\n  - jwt: { issuer: acme, is: app }\n", "")],
        &["consumers/app.yaml:1:1: warning[P0410]", "gateway.yaml:4:3: warning[P1104]"]),
    Case(&[(API, "state: active", "state: deprecated\n    deprecated: 2026-01-01\n    sunset: 2026-12-01\n    successor: v2"), (API, "authorize:", "  v2: { openapi: v2.yaml, state: active, upstream: https://pets2.acme.test, upstream_credential: { secret: PETS }, timeouts: { first_byte: 5s } }\nauthorize:"), ("apis/pets/v2.yaml", WHOLE, "openapi: 3.1.0\ninfo: { title: Two, version: '2', description: More. }\npaths:\n  /more:\n    get: { operationId: more2, summary: More., responses: { '204': { description: ok }, default: { description: What went wrong. } } }\n")],
        &["apis/pets/api.yaml:10:13: warning[P0502]"]),
    Case(&[(GATE, "environments:", "exceptions: [{ rule: upstreams, for: apis/pets, reason: r, until: 2027-06-30 }]\nenvironments:")],
        &["gateway.yaml:10:14: warning[P0504]"]),
    Case(&[(DOC, "    post:", "    head: { responses: {} }\n    post:")],
        &["apis/pets/v1.yaml:13:5: warning[P0607]"]),
    Case(&[(GATE, "hosts: [api.gate.test]\n", "")],
        &["gateway.yaml:1:10: note[P1001]"]),
    // Where things are tried out, any name will do.
    Case(&[(GATE, "hosts: [api.gate.test]\n", ""), (GATE, "dev: { mocks: allowed }", "dev: { mocks: allowed, development_issuer: allowed }")],
        &[]),
    Case(&[(GATE, "environments:", "shield: { rate: 5000/s }\nenvironments:")],
        &["gateway.yaml:10:17: warning[P1002]"]),
    Case(&[(GATE, "environments:", "cors: { origins: [\"*\"] }\nenvironments:")],
        &["gateway.yaml:10:19: warning[P1003]"]),
    Case(&[(GATE, "production: {}", "production: { explain: allowed }")],
        &["gateway.yaml:12:26: warning[P1004]"]),
    Case(&[(GATE, "environments:", "floor: { answer_headers: [content-type, set-cookie] }\nenvironments:")],
        &["gateway.yaml:10:41: warning[P1005]"]),
    Case(&[(GATE, "environments:", "log: { requests: failures }\nenvironments:")],
        &["gateway.yaml:10:18: note[P1006]"]),
    Case(&[("tests/pets.yaml", WHOLE, "REMOVED")],
        &["gateway.yaml:1:10: note[P1007]"]),
    Case(&[("tests/pets.yaml", WHOLE, "[]")],
        &["gateway.yaml:1:10: note[P1007]"]),
    Case(&[("tests/pets.yaml", WHOLE, "tests: []")],
        &["gateway.yaml:1:10: note[P1007]"]),
    Case(&[(GATE, "environments:", "floor: { max_body: 50MiB }\nenvironments:")],
        &["gateway.yaml:10:20: warning[P1008]"]),
    Case(&[(GATE, "max_lifetime: 1h", "max_lifetime: 30d")],
        &["gateway.yaml:8:19: warning[P1101]"]),
    Case(&[(GATE, "    max_lifetime: 1h\n", "")],
        &["gateway.yaml:4:3: warning[P1102]"]),
    Case(&[(GATE, "[RS256]", "[HS256]"), (GATE, "jwks: https://login.acme.test/jwks", "secret: HMAC")],
        &["gateway.yaml:7:18: warning[P1103]"]),
    Case(&[(GATE, "environments:", "  batch:\n    issuer: https://batch.test/\n    audience: [acme]\n    algorithms: [RS256]\n    max_lifetime: 1h\n    jwks: https://batch.test/jwks\nenvironments:")],
        &["gateway.yaml:10:3: warning[P1104]"]),
    Case(&[(GATE, "https://login.acme.test/\n", "http://login.acme.test/\n")],
        &["gateway.yaml:5:13: warning[P1105]"]),
    Case(&[(DOC, "/list:", "/list/{petId}:\n    parameters: [{ name: petId, in: path, required: true, description: d, schema: { type: integer, enum: [1] } }]")],
        &["apis/pets/v1.yaml:5:26: note[P1201]"]),
    Case(&[(DOC, "name: tag", "name: api_key")],
        &["apis/pets/v1.yaml:9:19: error[P1202]"]),
    Case(&[(DOC, "components:", "components:\n  securitySchemes: { a: { type: http, scheme: basic } }")],
        &["apis/pets/v1.yaml:21:22: warning[P1203]"]),
    Case(&[(DOC, "components:", "components:\n  securitySchemes:\n    a: { type: apiKey, in: query, name: k }\n    b: { type: http, scheme: digest }\n    c: { type: oauth2, flows: { implicit: { authorizationUrl: \"https://a.test\", scopes: {} } } }")],
        &["apis/pets/v1.yaml:22:5: warning[P1204]", "apis/pets/v1.yaml:23:5: warning[P1204]", "apis/pets/v1.yaml:24:33: warning[P1204]"]),
    Case(&[(DOC, "paths:", "servers: [{ url: \"http://pets.acme.test\" }]\npaths:")],
        &["apis/pets/v1.yaml:3:18: warning[P1205]"]),
    Case(&[(DOC, "components:", "components:\n  securitySchemes: { a: { type: oauth2, flows: { clientCredentials: { tokenUrl: \"http://a.test\", scopes: {} } } } }")],
        &["apis/pets/v1.yaml:21:81: warning[P1206]"]),
    Case(&[(DOC, "name: tag", "name: callback_url")],
        &["apis/pets/v1.yaml:9:19: note[P1207]"]),
    Case(&[(API, "operations: [addPet]", "operations: [listPets]")],
        &["apis/pets/v1.yaml:13:5: note[P1208]"]),
    Case(&[(DOC, "/list:", "/admin/list:")],
        &["apis/pets/v1.yaml:5:5: warning[P1209]"]),
    Case(&[(DOC, "type: string, enum: [a, b]", "type: array, items: { type: string, format: uuid }")],
        &["apis/pets/v1.yaml:9:77: note[P1210]"]),
    Case(&[(DOC, "type: string, enum: [a, b]", "type: string, pattern: \"^a+$\"")],
        &["apis/pets/v1.yaml:9:77: note[P1211]"]),
    Case(&[(DOC, "type: string, enum: [a, b]", "type: string, maxLength: 9")],
        &["apis/pets/v1.yaml:9:77: note[P1212]"]),
    Case(&[(DOC, "type: string, enum: [a, b]", "type: integer, format: int32, minimum: 1")],
        &["apis/pets/v1.yaml:9:77: note[P1213]"]),
    Case(&[(DOC, "type: string, enum: [a, b]", "type: integer, minimum: 1, maximum: 9")],
        &["apis/pets/v1.yaml:9:77: note[P1214]"]),
    Case(&[(DOC, "requestBody: { content: { application/json: { schema: { type: object } } } }", "requestBody: { content: { application/json: { schema: { type: object, properties: { a: { type: boolean } } } } } }")],
        &["apis/pets/v1.yaml:16:69: note[P1215]"]),
    Case(&[(DOC, "        default: { $ref: '#/components/responses/Problem' }\n    post:", "        '403': { $ref: '#/components/responses/Problem' }\n        '429': { $ref: '#/components/responses/Problem' }\n        '500': { $ref: '#/components/responses/Problem' }\n    post:")],
        &["apis/pets/v1.yaml:5:5: note[P1216]"]),
    Case(&[(DOC, "        default: { $ref: '#/components/responses/Problem' }\n    post:", "        '401': { $ref: '#/components/responses/Problem' }\n        '500': { $ref: '#/components/responses/Problem' }\n    post:")],
        &["apis/pets/v1.yaml:5:5: note[P1217]"]),
    Case(&[(DOC, "        default: { $ref: '#/components/responses/Problem' }\n    post:", "        '4XX': { $ref: '#/components/responses/Problem' }\n    post:")],
        &["apis/pets/v1.yaml:5:5: note[P1218]"]),
    Case(&[(DOC, "operationId: listPets", "operationId: listPets\n      security: [{ nothing: [] }]")],
        &["apis/pets/v1.yaml:7:20: warning[P1219]"]),
    Case(&[(DOC, "operationId: listPets", "operationId: listPets\n      security: []")],
        &["apis/pets/v1.yaml:7:17: note[P1220]"]),
    Case(&[(API, "authorize: [{ operations: [addPet], scopes: [pets:write] }]", "authentication: none\nlimits: [{ rate: 1/s }]"), (GATE, "environments:", "exceptions: [{ rule: authentication, for: apis/pets, reason: r, until: 2027-06-30 }]\nenvironments:")],
        &["apis/pets/v1.yaml:13:5: warning[P1221]"]),
    Case(&[(DOC, "      summary: All pets.\n", "")],
        &["apis/pets/v1.yaml:5:5: warning[P1301]"]),
    Case(&[(DOC, "        '204': { description: It is there. }\n", "")],
        &["apis/pets/v1.yaml:13:5: warning[P1302]"]),
    Case(&[(DOC, "        default: { $ref: '#/components/responses/Problem' }\n    post:", "        '500': { $ref: '#/components/responses/Problem' }\n    post:")],
        &["apis/pets/v1.yaml:5:5: note[P1216]", "apis/pets/v1.yaml:5:5: note[P1217]", "apis/pets/v1.yaml:5:5: warning[P1303]"]),
    Case(&[(DOC, "application/problem+json", "application/json")],
        &["apis/pets/v1.yaml:23:7: warning[P1304]"]),
    Case(&[(DOC, "operationId: listPets", "operationId: listPets\n      tags: [pets]")],
        &["apis/pets/v1.yaml:7:14: note[P1305]"]),
    Case(&[(DOC, ", description: All about pets.", "")],
        &["apis/pets/v1.yaml:2:7: note[P1306]"]),
    Case(&[(DOC, "enum: [a, b]", "enum: [a, a]")],
        &["apis/pets/v1.yaml:9:95: warning[P1307]"]),
    Case(&[(DOC, "enum: [a, b]", "enum: [a, 1]")],
        &["apis/pets/v1.yaml:9:95: warning[P1308]"]),
    Case(&[(DOC, "type: string, enum: [a, b]", "type: array, maxItems: 3")],
        &["apis/pets/v1.yaml:9:69: warning[P1309]"]),
    Case(&[(DOC, " description: Which ones.,", "")],
        &["apis/pets/v1.yaml:9:11: note[P1310]"]),
    Case(&[(DOC, "components:", "components:\n  schemas: { Idle: { type: object } }")],
        &["apis/pets/v1.yaml:21:14: note[P1311]"]),
    Case(&[(DOC, "All about pets.", "\"All \u{202e}step\u{202c}.\"")],
        &["apis/pets/v1.yaml:2:49: warning[P1803]: `All \\u{202e}step\\u{202c}.` holds U+202E, which turns the order of what is shown"]),
    Case(&[(DOC, "name: tag, in: query", "name: \"t\\u200bag\", in: query")],
        &["apis/pets/v1.yaml:9:19: warning[P1803]: `t\\u{200b}ag` holds U+200B, which is not seen"]),
    Case(&[(DOC, "All about pets.", "\"<script>alert(1)</script>\"")],
        &["apis/pets/v1.yaml:2:49: warning[P1312]"]),
    Case(&[(DOC, "/list:", "/list/getAll:")],
        &["apis/pets/v1.yaml:4:3: note[P1313]", "apis/pets/v1.yaml:4:3: note[P1314]"]),
    Case(&[(DOC, "/list:", "/pet_list:")],
        &["apis/pets/v1.yaml:4:3: note[P1314]"]),
    Case(&[(DOC, "components:\n", "  /a/{x}:\n    get:\n      operationId: a\n      summary: s\n      parameters: [{ name: x, in: path, required: true, description: d, schema: { type: string, format: uuid } }]\n      responses: { '204': { description: d }, default: { $ref: '#/components/responses/Problem' } }\n  /{y}/b:\n    get:\n      operationId: b\n      summary: s\n      parameters: [{ name: y, in: path, required: true, description: d, schema: { type: string, format: uuid } }]\n      responses: { '204': { description: d }, default: { $ref: '#/components/responses/Problem' } }\ncomponents:\n")],
        &["apis/pets/v1.yaml:27:5: warning[P1315]"]),
    Case(&[(DOC, "components:\n", "  /{x}:\n    get:\n      operationId: a\n      summary: s\n      parameters: [{ name: x, in: path, required: true, description: d, schema: { type: string, format: uuid } }]\n      responses: { '204': { description: d }, default: { $ref: '#/components/responses/Problem' } }\ncomponents:\n")],
        &["apis/pets/v1.yaml:5:5: note[P1316]"]),
    Case(&[(DOC, "requestBody: { content: { application/json: { schema: { type: object } } } }", "requestBody: { content: { application/json: {} } }")],
        &["apis/pets/v1.yaml:16:33: warning[P1317]"]),
    Case(&[(DOC, "      summary: All pets.\n", "      summary: All pets.\n      requestBody: { content: { application/json: { schema: { type: object } } } }\n")],
        &["apis/pets/v1.yaml:8:20: warning[P1318]"]),
    Case(&[(DOC, "version: '1'", "version: 2.1.0")],
        &["apis/pets/v1.yaml:2:31: warning[P1319]"]),
    Case(&[(DOC, "'200': { description: ok, content: { application/json: { schema: { type: object } } } }", "'200': { description: ok, content: { application/json: { schema: { type: object, required: [nmae], properties: { name: { type: string } } } } } }")],
        &["apis/pets/v1.yaml:11:101: warning[P1320]"]),
    Case(&[(DOC, "'200': { description: ok, content: { application/json: { schema: { type: object } } } }", "'200': { description: ok, content: { application/json: { schema: { type: object, properties: { id: { type: integer } } }, example: { id: x } } } }")],
        &["apis/pets/v1.yaml:11:146: warning[P1321]"]),
    Case(&[(DOC, "operationId: listPets", "operationId: list/Pets")],
        &["apis/pets/v1.yaml:6:20: note[P1322]"]),
    Case(&[(DOC, "paths:", "servers: [{ url: \"http://localhost:8080\" }]\npaths:")],
        &["apis/pets/v1.yaml:3:18: note[P1323]"]),
    Case(&[(DOC, "'200': { description: ok, content: { application/json: { schema: { type: object } } } }", "'200': { description: ok, content: { application/json: { example: {} } } }")],
        &["apis/pets/v1.yaml:11:46: note[P1324]"]),
    Case(&[(API, "authorize:", "  v1.2: { openapi: v2.yaml, state: active, upstream: https://pets2.acme.test, upstream_credential: { secret: PETS }, timeouts: { first_byte: 5s } }\nauthorize:"), ("apis/pets/v2.yaml", WHOLE, "openapi: 3.1.0\ninfo: { title: Two, version: 1.2.0, description: More. }\npaths:\n  /more:\n    get: { operationId: more2, summary: More., responses: { '204': { description: ok }, default: { description: What went wrong. } } }\n")],
        &["apis/pets/v2.yaml:2:30: warning[P1325]"]),
    Case(&[(GATE, "environments:", "  batch:\n    issuer: https://batch.test/\n    audience: [acme]\n    algorithms: [RS256]\n    max_lifetime: 1h\n    jwks: https://batch.test/jwks\nenvironments:"), (APP, "is: app }\n", "is: app }\n  - jwt: { issuer: batch, is: app }\n"), (API, "scopes: [pets:write] }]", "scopes: [pets:write], when: claims.sub == 'a' }]\nupstream_headers: { x-user: claims.sub }"), (CHAT, "max_output_tokens: 100", "max_output_tokens: 100\nauthorize: [{ when: claims.sub == 'a' }]")],
        &["apis/pets/api.yaml:12:65: warning[P1326]", "apis/pets/api.yaml:13:29: warning[P1326]", "models/chat.yaml:8:21: warning[P1326]"]),
    Case(&[(DOC, "requestBody: { content: { application/json: {", "requestBody: { content: { 'application/json; charset=utf-16': {"), (DOC, "ok, content: { application/json: {", "ok, content: { 'application/json; charset=\"UTF-8\"': {")],
        &["apis/pets/v1.yaml:16:33: warning[P1327]: `application/json; charset=utf-16` is not text in UTF-8"]),
    Case(&[(API, "https://pets.acme.test", "http://pets.acme.test"), (GATE, "dev: { mocks: allowed }", "dev: { mocks: allowed, http_upstreams: allowed }")],
        &["apis/pets/api.yaml:9:15: warning[P1401]"]),
    Case(&[(API, "    timeouts: { first_byte: 5s }\n", "")],
        &["apis/pets/api.yaml:6:3: note[P1402]"]),
    Case(&[(API, "first_byte: 5s", "first_byte: 2m")],
        &["apis/pets/api.yaml:11:29: warning[P1403]"]),
    Case(&[(API, "https://pets.acme.test", "https://192.0.2.7")],
        &["apis/pets/api.yaml:9:15: warning[P1404]"]),
    Case(&[(API, "    upstream_credential: { secret: PETS }\n", "")],
        &["apis/pets/api.yaml:9:15: note[P1405]"]),
    Case(&[(API, "https://pets.acme.test", "https://api.gate.test")],
        &["apis/pets/api.yaml:9:15: error[P1406]"]),
    Case(&[(API, "https://pets.acme.test", "https://localhost")],
        &["apis/pets/api.yaml:9:15: warning[P1407]"]),
    Case(&[("providers/other.yaml", "https://other.test", "https://127.0.0.1:8443")],
        &["providers/other.yaml:3:11: warning[P1407]"]),
    // Whose address is inside is not told besides that it is an address.
    Case(&[(API, "https://pets.acme.test", "https://169.254.169.254")],
        &["apis/pets/api.yaml:9:15: warning[P1411]: this upstream: `169.254.169.254` is where a cloud tells its machines their secrets"]),
    Case(&[("providers/other.yaml", "https://other.test", "https://orders")],
        &["providers/other.yaml:3:11: warning[P1411]: this upstream: `orders` is a name that only a network of its own knows"]),
    Case(&[("providers/other.yaml", "https://other.test", "https://224.0.0.1")],
        &["providers/other.yaml:3:11: warning[P1411]: this upstream: `224.0.0.1` is the address of no host, and nothing that a gateway calls is there"]),
    Case(&[("providers/other.yaml", "https://other.test", "https://[fd00::1]")],
        &["providers/other.yaml:3:11: warning[P1411]"]),
    Case(&[("providers/other.yaml", "secret: OTHER_KEY", "grant: { endpoint: https://127.0.0.1/token, client_id: g, secret: OTHER_KEY }")],
        &["providers/other.yaml:4:20: warning[P1411]"]),
    Case(&[(GATE, "jwks: https://login.acme.test/jwks", "jwks: https://localhost/jwks")],
        &["gateway.yaml:9:11: warning[P1411]"]),
    Case(&[(GATE, "    jwks: https://login.acme.test/jwks\n", "    key_origins: [\"https://10.0.0.1\"]\n"), (GATE, "https://login.acme.test/", "https://login.internal/")],
        &["gateway.yaml:5:13: warning[P1411]", "gateway.yaml:9:19: warning[P1411]"]),
    Case(&[(GATE, "environments:", "    introspection: { endpoint: \"https://192.168.1.1/i\", client_id: g, secret: ASK }\nenvironments:")],
        &["gateway.yaml:10:32: warning[P1411]"]),
    Case(&[(GATE, "environments:", "decision_points: { who: { kind: authzen, endpoint: \"https://[::1]/ask\" } }\nenvironments:")],
        &["gateway.yaml:10:52: warning[P1411]"]),
    // Where upstreams without TLS are allowed, something is tried out: on the machine, or beside it.
    Case(&[(API, "https://pets.acme.test", "https://10.0.0.1"), ("providers/other.yaml", "https://other.test", "https://localhost"), (GATE, "jwks: https://login.acme.test/jwks", "jwks: http://127.0.0.1:8080/jwks"), (GATE, "dev: { mocks: allowed }", "dev: { mocks: allowed, http_upstreams: allowed }")],
        &["apis/pets/api.yaml:9:15: warning[P1404]"]),
    Case(&[("apis/other/api.yaml", WHOLE, OTHER), ("apis/other/v1.yaml", WHOLE, OTHER_DOC), (APP, "may:", "may:\n  - { api: other, operations: all }")],
        &["apis/pets/api.yaml:9:15: note[P1408]"]),
    Case(&[(APP, "  - { api: pets, operations: all }\n", "")],
        &["apis/pets/api.yaml:1:6: warning[P1409]"]),
    Case(&[("plans/g-old.yaml", WHOLE, "plan: g-old\nlimits: [{ rate: 5/s }, { tokens: 10/day }]"), ("consumers/b.yaml", WHOLE, "consumer: b\nowner: b\nplan: g-old\ncredentials: [{ jwt: { issuer: acme, is: b } }]\nmay: [{ models: [chat] }]")],
        &["plans/gold.yaml:1:7: note[P1410]"]),
    Case(&[(CHAT, "fallback:\n  - { to: other/gpt, price: { input: 1 USD/Mtok, output: 2 USD/Mtok } }\n", ""), ("providers/other.yaml", WHOLE, "REMOVED")],
        &["models/chat.yaml:1:8: warning[P1501]"]),
    Case(&[(CHAT, "{ to: openai/gpt, price: { input: 1 USD/Mtok, output: 2 USD/Mtok } }", "openai/gpt")],
        &["models/chat.yaml:4:5: warning[P1502]"]),
    Case(&[(CHAT, "max_output_tokens: 100\n", ""), (PLAN, "  - tokens: 1_000/day\n", "")],
        &["consumers/app.yaml:1:11: note[P1508]", "models/chat.yaml:1:8: note[P1503]"]),
    Case(&[(CHAT, "other/gpt", "openai/gpt-mini"), ("providers/other.yaml", WHOLE, "REMOVED")],
        &["models/chat.yaml:6:11: note[P1504]"]),
    Case(&[("providers/other.yaml", "\nsecret: OTHER_KEY", "")],
        &["providers/other.yaml:1:11: warning[P1505]"]),
    Case(&[(CHAT, "other/gpt", "openai/gpt"), ("providers/other.yaml", WHOLE, "REMOVED")],
        &["models/chat.yaml:6:11: warning[P1506]"]),
    Case(&[(CHAT, "fallback:\n  - { to: other/gpt, price: { input: 1 USD/Mtok, output: 2 USD/Mtok } }\n", "fallback: [mock/canned]\n"), ("providers/other.yaml", WHOLE, "REMOVED"), ("providers/mock.yaml", WHOLE, "provider: mock\nwire: mock"), ("mocks/canned.yaml", WHOLE, "mock: canned\nrules: [{ answer: { text: hi } }]")],
        &["models/chat.yaml:5:12: warning[P1507]"]),
    Case(&[(PLAN, "  - tokens: 1_000/day\n", "")],
        &["consumers/app.yaml:1:11: note[P1508]"]),
    Case(&[(CHAT, "max_output_tokens: 100\n", "max_output_tokens: 100\ntimeouts: { total: 20m }\n")],
        &["models/chat.yaml:8:20: note[P1509]"]),
    Case(&[(APP, "  - { models: [chat] }\n", "")],
        &["models/chat.yaml:1:8: warning[P1510]"]),
    Case(&[("providers/other.yaml", "https://other.test/v1\nsecret: OTHER_KEY", "https://api.openai.test/v1\nsecret: OPENAI_KEY")],
        &["providers/other.yaml:3:11: note[P1511]"]),
    Case(&[("consumers/b.yaml", WHOLE, "consumer: b\nowner: b\nplan: gold\ncredentials: [{ jwt: { issuer: acme, is: b } }]")],
        &["consumers/b.yaml:1:11: warning[P1601]"]),
    Case(&[(APP, "{ models: [chat] }", "{ models: all }")],
        &["consumers/app.yaml:8:15: note[P1602]"]),
    Case(&[(APP, "  - jwt:", "  - key: { sha256: 9f86d081884c7d659a2feaa0c55ad015a3bf4f1b2b0b822cd15d6c15b0f00a08 }\n  - jwt:")],
        &["consumers/app.yaml:5:10: warning[P1603]"]),
    Case(&[(APP, "  - jwt:", "  - key: { sha256: 9f86d081884c7d659a2feaa0c55ad015a3bf4f1b2b0b822cd15d6c15b0f00a08, expires: 2099-01-01 }\n  - jwt:")],
        &["consumers/app.yaml:5:95: warning[P1604]"]),
    Case(&[("consumers/b.yaml", WHOLE, "consumer: b\nowner: b\nplan: gold\ncredentials: [{ key: { sha256: 9f86d081884c7d659a2feaa0c55ad015a3bf4f1b2b0b822cd15d6c15b0f00a08, expires: 2027-06-30 } }]\nmay: [{ models: [chat] }]")],
        &["consumers/b.yaml:4:22: note[P1605]"]),
    Case(&[(PLAN, "plan: gold", "plan: gold\non_error: open"), (PLAN, "  - tokens: 1_000/day\n", ""), (CHAT, "max_output", "limits: [{ tokens: 1_000/day }]\nmax_output")],
        &["plans/gold.yaml:2:11: warning[P1606]"]),
    Case(&[(PLAN, "  - tokens: 1_000/day\n", "precision: local\n"), (CHAT, "max_output", "limits: [{ tokens: 1_000/day }]\nmax_output")],
        &["plans/gold.yaml:4:12: note[P1607]"]),
    Case(&[("plans/blue.yaml", WHOLE, "plan: blue\nlimits: [{ tokens: 1_000/day }, { rate: 10/s }]"), ("consumers/b.yaml", WHOLE, "consumer: b\nowner: b\nplan: blue\ncredentials: [{ jwt: { issuer: acme, is: b } }]\nmay: [{ models: [chat] }]")],
        &["plans/gold.yaml:1:7: note[P1608]"]),
    Case(&[(PLAN, "rate: 10/s", "rate: 10/s\n  - rate: 20/s\n  - quota: 100_000_000/day")],
        &["plans/gold.yaml:4:5: warning[P1609]", "plans/gold.yaml:5:5: warning[P1609]"]),
    Case(&[(APP, "  - jwt:", "  - certificate: { subject: 'CN=app,O=Acme', issuer: 'CN=CA,O=Acme' }\n  - jwt:")],
        &["consumers/app.yaml:5:29: note[P1610]"]),
    Case(&[(API, "state: active", "state: deprecated\n    deprecated: 2026-01-01\n    successor: v2"), (API, "authorize:", "  v2: { openapi: v2.yaml, state: active, upstream: https://pets2.acme.test, upstream_credential: { secret: PETS }, timeouts: { first_byte: 5s } }\nauthorize:"), ("apis/pets/v2.yaml", WHOLE, "openapi: 3.1.0\ninfo: { title: Two, version: '2', description: More. }\npaths:\n  /more:\n    get: { operationId: more2, summary: More., responses: { '204': { description: ok }, default: { description: What went wrong. } } }\n")],
        &["apis/pets/api.yaml:8:12: warning[P1701]"]),
    Case(&[(API, "state: active", "state: deprecated\n    deprecated: 2026-01-01\n    sunset: 2027-06-01"), (API, "authorize:", "  v2: { openapi: v2.yaml, state: active, upstream: https://pets2.acme.test, upstream_credential: { secret: PETS }, timeouts: { first_byte: 5s } }\nauthorize:"), ("apis/pets/v2.yaml", WHOLE, "openapi: 3.1.0\ninfo: { title: Two, version: '2', description: More. }\npaths:\n  /more:\n    get: { operationId: more2, summary: More., responses: { '204': { description: ok }, default: { description: What went wrong. } } }\n")],
        &["apis/pets/api.yaml:8:12: warning[P1702]"]),
    Case(&[(API, "state: active", "state: deprecated\n    deprecated: 2026-11-01\n    sunset: 2027-01-01\n    successor: v2"), (API, "authorize:", "  v2: { openapi: v2.yaml, state: active, upstream: https://pets2.acme.test, upstream_credential: { secret: PETS }, timeouts: { first_byte: 5s } }\nauthorize:"), ("apis/pets/v2.yaml", WHOLE, "openapi: 3.1.0\ninfo: { title: Two, version: '2', description: More. }\npaths:\n  /more:\n    get: { operationId: more2, summary: More., responses: { '204': { description: ok }, default: { description: What went wrong. } } }\n")],
        &["apis/pets/api.yaml:10:13: warning[P1703]"]),
    Case(&[(API, "state: active", "state: retired\n    sunset: 2025-01-01"), (APP, "  - { api: pets, operations: all }\n", "  - { api: pets, operations: all }\n"), (API, "authorize:", "  v2: { openapi: v2.yaml, state: active, upstream: https://pets2.acme.test, upstream_credential: { secret: PETS }, timeouts: { first_byte: 5s } }\nauthorize:"), ("apis/pets/v2.yaml", WHOLE, "openapi: 3.1.0\ninfo: { title: Two, version: '2', description: More. }\npaths:\n  /more:\n    get: { operationId: more2, summary: More., responses: { '204': { description: ok }, default: { description: What went wrong. } } }\n")],
        &["apis/pets/api.yaml:9:13: note[P1704]"]),
    Case(&[(API, "state: active", "state: deprecated\n    deprecated: 2026-01-01\n    sunset: 2027-06-01\n    successor: v2"), (API, "authorize:", "  v2: { openapi: v2.yaml, state: deprecated, deprecated: 2026-01-01, sunset: 2027-06-01, successor: v3, upstream: https://pets2.acme.test, upstream_credential: { secret: PETS }, timeouts: { first_byte: 5s } }\n  v3: { openapi: v3.yaml, state: active, upstream: https://pets3.acme.test, upstream_credential: { secret: PETS }, timeouts: { first_byte: 5s } }\nauthorize:"), ("apis/pets/v2.yaml", WHOLE, "openapi: 3.1.0\ninfo: { title: Two, version: '2', description: More. }\npaths:\n  /more:\n    get: { operationId: more2, summary: More., responses: { '204': { description: ok }, default: { description: What went wrong. } } }\n"), ("apis/pets/v3.yaml", WHOLE, "openapi: 3.1.0\ninfo: { title: Two, version: '3', description: More. }\npaths:\n  /more:\n    get: { operationId: more3, summary: More., responses: { '204': { description: ok }, default: { description: What went wrong. } } }\n")],
        &["apis/pets/api.yaml:11:16: warning[P1705]"]),
    Case(&[(API, "authorize:", "  v2: { openapi: v2.yaml, state: active, upstream: https://pets2.acme.test, upstream_credential: { secret: PETS }, timeouts: { first_byte: 5s } }\n  v3: { openapi: v3.yaml, state: active, upstream: https://pets3.acme.test, upstream_credential: { secret: PETS }, timeouts: { first_byte: 5s } }\nauthorize:"), ("apis/pets/v2.yaml", WHOLE, "openapi: 3.1.0\ninfo: { title: Two, version: '2', description: More. }\npaths:\n  /more:\n    get: { operationId: more2, summary: More., responses: { '204': { description: ok }, default: { description: What went wrong. } } }\n"), ("apis/pets/v3.yaml", WHOLE, "openapi: 3.1.0\ninfo: { title: Two, version: '3', description: More. }\npaths:\n  /more:\n    get: { operationId: more3, summary: More., responses: { '204': { description: ok }, default: { description: What went wrong. } } }\n")],
        &["apis/pets/api.yaml:5:1: note[P1706]"]),
    Case(&[(API, "state: active", "state: deprecated\n    deprecated: 2026-01-01\n    sunset: 2027-06-01\n    successor: v2"), (API, "authorize:", "  v2: { openapi: v2.yaml, state: deprecated, deprecated: 2026-01-01, sunset: 2027-06-01, upstream: https://pets2.acme.test, upstream_credential: { secret: PETS }, timeouts: { first_byte: 5s } }\nauthorize:"), ("apis/pets/v2.yaml", WHOLE, "openapi: 3.1.0\ninfo: { title: Two, version: '2', description: More. }\npaths:\n  /more:\n    get: { operationId: more2, summary: More., responses: { '204': { description: ok }, default: { description: What went wrong. } } }\n")],
        &["apis/pets/api.yaml:5:1: warning[P1707]", "apis/pets/api.yaml:11:16: warning[P1705]", "apis/pets/api.yaml:15:34: warning[P1702]"]),
    Case(&[(GATE, "environments:", "exceptions: [{ rule: upstreams, for: apis/pets, reason: r, until: 2099-06-30 }]\nenvironments:"), (API, "https://pets.acme.test", "http://pets.acme.test")],
        &["apis/pets/api.yaml:9:15: warning[P1401]", "gateway.yaml:10:67: warning[P1708]"]),
    Case(&[(DOC, "description: Which ones.", "description: xV3kQ9zT1pLw8RbN5sYc2HfD")],
        &["apis/pets/v1.yaml:9:48: warning[P1801]"]),
    Case(&[(API, "owner: team", "owner: TODO")],
        &["apis/pets/api.yaml:3:8: warning[P1802]"]),
    Case(&[("governance/owner.yaml", WHOLE, "rule: owner\nfor: apis\nfield: owner\nmust: { matches: \"^team-\" }\nmessage: An owner is a team.\nseverity: error")],
        &["apis/pets/api.yaml:3:8: error[P1901]"]),
    Case(&[(APP, "consumer: app", "environments: [production]\nconsumer: app"), (API, "api: pets", "environments: [production]\napi: pets"), (CHAT, "model: chat", "environments: [production]\nmodel: chat"), (PLAN, "plan: gold", "environments: [production]\nplan: gold"), ("providers/openai.yaml", "provider: openai", "environments: [production]\nprovider: openai"), ("providers/other.yaml", "provider: other", "environments: [production]\nprovider: other"), ("tests/pets.yaml", "tests:", "environments: [production]\ntests:")],
        &["gateway.yaml:1:10: warning[P0009]"]),
];
