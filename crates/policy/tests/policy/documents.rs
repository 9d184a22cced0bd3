//! OpenAPI documents: what is certainly wrong is said, once, and nothing else is.

use crate::common::{Files, base, build, lines, sample};
use turnpike_policy::Handler;

/// The tree without faults, with another document; `listPets` is still there to be granted.
fn with(document: &str, mocked: bool) -> Files {
    let mut files = base();
    files.insert("apis/pets/v1.yaml".to_owned(), document.to_owned());
    if mocked {
        let api = files.get_mut("apis/pets/api.yaml").unwrap();
        *api = api.replace("upstream: https://pets.example", "mock: openapi");
    }
    files
}

/// A document: what stands beside `get` of `/list`, in its operation, in other paths, and elsewhere.
fn document(item: &str, operation: &str, paths: &str, rest: &str) -> String {
    format!(
        "openapi: 3.1.0\ninfo: {{ title: Pets, version: '1' }}\npaths:\n  /list:\n    {item}\n    get:\n      operationId: listPets\n      {operation}\n  {paths}\n{rest}\n"
    )
}

/// Everything said about a document, each with what would help.
fn said(document: &str, mocked: bool) -> Vec<(String, String)> {
    let outcome = build(&with(document, mocked), "dev");
    let help = outcome
        .diagnostics
        .iter()
        .map(|found| found.help.clone().unwrap_or_default());
    lines(&outcome).into_iter().zip(help).collect()
}

/// Where the case stands, what is written, and (the beginning of) each line and its help.
type Case = (Part, &'static str, &'static [(&'static str, &'static str)]);

#[derive(Clone, Copy, Debug)]
enum Part {
    /// Line 5, column 5.
    Item,
    /// Line 8, column 7.
    Operation,
    /// Line 9, column 3.
    Paths,
    /// Line 10, column 1.
    Rest,
}

fn written(part: Part, text: &str) -> String {
    let (mut item, mut operation, mut paths, mut rest) = ("summary: x", "deprecated: false", "x-a: 1", "");
    // What is not indented stands at the end of the document.
    let text = match text.split_once('\n') {
        Some((text, more)) if !more.starts_with(' ') && !matches!(part, Part::Rest) => {
            rest = more;
            text
        }
        _ => text,
    };
    match part {
        Part::Item => item = text,
        Part::Operation => operation = text,
        Part::Paths => paths = text,
        Part::Rest => rest = text,
    }
    document(item, operation, paths, rest)
}

use Part::{Item, Operation, Paths, Rest};

#[rustfmt::skip]
const FAULTS: &[Case] = &[
    // Keys that nothing knows.
    (Rest, "pathes: {}", &[("10:1: error[P0201]: unknown field `pathes` in an OpenAPI document", "did you mean `paths`?")]),
    (Rest, "definitions: {}", &[("10:1: error[P0201]: unknown field `definitions`", "write them under `components`")]),
    (Rest, "components: { schema: {} }", &[("10:15: error[P0201]: unknown field `schema` in `components`", "did you mean `schemas`?")]),
    (Item, "psot: { operationId: createPet }", &[("5:5: error[P0201]: unknown field `psot` in a path item", "did you mean `post`?")]),
    (Item, "parameter: []", &[("5:5: error[P0201]: unknown field `parameter`", "did you mean `parameters`?")]),
    (Item, "connect: {}", &[("5:5: error[P0201]: unknown field `connect` in a path item", "a path item has `summary`")]),
    (Operation, "requestbody: {}", &[("8:7: error[P0201]: unknown field `requestbody` in an operation", "did you mean `requestBody`?")]),
    (Operation, "reponses: {}", &[("8:7: error[P0201]", "did you mean `responses`?")]),
    (Operation, "consumes: [text/plain]", &[("8:7: error[P0201]", "write the types under `requestBody")]),
    (Operation, "parameters: [{ name: a, in: query, requried: true }]", &[("8:42: error[P0201]: unknown field `requried` in a parameter", "did you mean `required`?")]),
    (Operation, "parameters: [{ name: a, in: query, type: string }]", &[("8:42: error[P0201]: unknown field `type`", "it belongs under `schema`")]),
    (Operation, "parameters: [{ nam: a, in: query }]", &[("8:22: error[P0201]: unknown field `nam`", "did you mean `name`?")]),
    (Operation, "parameters: [{ $reff: '#/x', name: a, in: query }]", &[("8:22: error[P0201]: unknown field `$reff`", "did you mean `$ref`?")]),
    (Operation, "parameters: [{ name: a, in: query, content: { a/b: { shema: {} } } }]", &[("8:60: error[P0201]: unknown field `shema` in a media type", "did you mean `schema`?")]),
    (Operation, "requestBody: { contents: { a/b: {} } }", &[("8:22: error[P0201]: unknown field `contents` in a request body", "did you mean `content`?")]),
    (Operation, "requestBody: { content: { a/b: { exmaple: 1 } } }", &[("8:40: error[P0201]: unknown field `exmaple` in a media type", "did you mean `example`?")]),
    (Operation, "responses: { 200: { description: a, contnt: {} } }", &[("8:43: error[P0201]: unknown field `contnt` in a response", "did you mean `content`?")]),
    (Operation, "responses: { 200: { description: a, schema: {} } }", &[("8:43: error[P0201]: unknown field `schema` in a response", "write it below a media type")]),
    (Operation, "responses: { 200: { description: a, headers: { x-a: { content: { a/b: { exampl: 1 } } } } } }", &[("8:79: error[P0201]", "did you mean `example`?")]),
    (Operation, "responses: { 200: { description: a, content: { a/b: { examples: { one: { vlaue: 1 } } } } } }", &[("8:80: error[P0201]: unknown field `vlaue` in an example", "did you mean `value`?")]),
    (Operation, "responses: { defualt: { description: a } }", &[("8:20: error[P0204]: expected a status such as `200`, a class such as `2XX`, or `default`, found `defualt`", "did you mean `default`?")]),
    (Operation, "responses: { 20O: { description: a } }", &[("8:20: error[P0204]", "a status is three digits")]),
    (Operation, "callbacks: { on: { '{$url}': { psot: {} } } }", &[("8:38: error[P0201]", "did you mean `post`?")]),
    (Rest, "webhooks: { x-new: { psot: {} } }", &[("10:22: error[P0201]", "did you mean `post`?")]),
    (Rest, "components: { parameters: { x-unused: { name: a, in: query, requird: true } } }", &[("10:61: error[P0201]", "did you mean `required`?")]),
    // What a `$ref` leads to is judged, wherever that is, and once.
    (Operation, "parameters: [{ $ref: '#/x-b' }, { $ref: '#/x-c' }]\nx-b: { name: a, in: qurey }\nx-c: { name: b, in: query }", &[("10:21: error[P0204]", "did you mean `query`?")]),

    // Shapes.
    (Item, "parameters: { name: a, in: query }", &[("5:17: error[P0608]: expected a list under `parameters`, found a map", "the shape of each object")]),
    (Operation, "parameters:", &[("8:17: error[P0608]: expected a list under `parameters`, found nothing", "leave the key out")]),
    (Operation, "parameters: [a]", &[("8:20: error[P0608]: expected a parameter, found text", "the shape")]),
    (Operation, "requestBody: { content: [application/json] }", &[("8:31: error[P0608]: expected a map under `content`, found a list", "the shape")]),
    (Operation, "requestBody: { required: true }", &[("8:20: error[P0608]: a request body needs `content`", "write for example `content: { application/json: {} }`")]),
    (Operation, "responses: [200]", &[("8:18: error[P0608]: expected a map of responses, found a list", "the shape")]),
    (Operation, "responses: { 200: ok }", &[("8:25: error[P0608]: expected a response, found text", "the shape")]),
    (Paths, "/b: get", &[("9:7: error[P0608]: expected a path item, found text", "the shape")]),
    (Paths, "/b: { post: createPet }", &[("9:15: error[P0608]: expected an operation, found text", "the shape")]),

    // Parameters.
    (Operation, "parameters: [{ name: a, in: qurey }]", &[("8:35: error[P0204]: expected `query`, `header`, `path` or `cookie`, found `qurey`", "did you mean `query`?")]),
    (Operation, "parameters: [{ name: a, in: Header }]", &[("8:35: error[P0204]", "did you mean `header`?")]),
    (Operation, "parameters: [{ name: a, in: body }]", &[("8:35: error[P0204]", "OpenAPI 3 has `requestBody`")]),
    (Operation, "parameters: [{ name: a, in: [query] }]", &[("8:35: error[P0203]: expected `query`, `header`, `path` or `cookie`, found a list", "write for example `in: query`")]),
    (Operation, "parameters: [{ name: a }]", &[("8:20: error[P0608]: a parameter has `name` and `in`", "write for example")]),
    (Operation, "parameters: [{ name: [a], in: query }]", &[("8:28: error[P0608]: the name of a parameter is text", "write for example")]),
    (Operation, "parameters: [{ name: a, in: query }, { name: b, in: query }, { in: query, name: a }]", &[("8:68: error[P0209]: the query parameter `a` is listed twice", "remove one")]),
    (Operation, "parameters: [{ name: X-A, in: header }, { name: x-a, in: header }]", &[("8:47: error[P0209]: the header parameter `x-a` is listed twice", "remove one")]),
    (Operation, "parameters: [{ $ref: '#/x-p' }, { name: p, in: query }]\nx-p: { name: p, in: query }", &[("8:39: error[P0209]", "remove one")]),
    (Item, "parameters: [{ name: a, in: query }, { name: a, in: query }]", &[("5:42: error[P0209]", "remove one")]),

    // Ids: those that are missing are named as they would be given, each its own.
    (Item, "post: {}", &[("5:5: error[P0602]: the operation POST `/list` has no `operationId`", "grants and rules name it by that: write `operationId: postList`, as `turnpike new api`")]),
    (Paths, "/b-c: { get: { callbacks: { on: { x: { post: { operationId: getBC2 } } } } } }\n  /b/c: { get: {} }", &[("9:11: error[P0602]", "grants and rules name it by that: write `operationId: getBC_ffac24ea`,"), ("10:11: error[P0602]", "grants and rules name it by that: write `operationId: getBC_9e2ed8ea`,")]),
    (Paths, "/b/{c}: { parameters: [{ name: c, in: path, required: true }], put: { operationId: all } }", &[("9:86: error[P0602]: an operation cannot be called `all`", "write for example `operationId: putBByC`")]),

    // Paths and their parameters.
    (Paths, "/b/{id}: { get: { operationId: b } }", &[("9:3: error[P0609]: the path parameter `id` is not declared", "write under `parameters` of the path: `{ name: id, in: path, required: true, schema: { type: string } }`")]),
    (Paths, "/b/{id}: { get: { operationId: b }, put: { operationId: c, parameters: [{ name: id, in: path, required: true }] } }", &[("9:14: error[P0609]: the path parameter `id` is not declared", "write under")]),
    (Paths, "/b/{id}/{to}: { get: { operationId: b }, put: { operationId: c } }", &[("9:3: error[P0609]: the path parameter `id` is not declared", "write under"), ("9:3: error[P0609]: the path parameter `to` is not declared", "write under")]),
    (Item, "parameters: [{ name: id, in: path, required: true }]", &[("5:26: error[P0609]: the path `/list` has no parameter `id`", "write it in the path")]),
    (Operation, "parameters: [{ $ref: '#/x-p' }]\nx-p: { name: id, in: path, required: true }", &[("8:28: error[P0609]: the path `/list` has no parameter `id`", "write it in the path")]),
    (Paths, "/b/{petId}: { parameters: [{ name: petid, in: path, required: true }], get: { operationId: b } }", &[("9:38: error[P0609]: the path `/b/{petId}` has no parameter `petid`", "did you mean `petId`?")]),
    (Paths, "/b/{petId}: { get: { operationId: b, parameters: [{ name: petid, in: path, required: true }] }, put: { operationId: c } }", &[("9:61: error[P0609]", "did you mean `petId`?"), ("9:99: error[P0609]: the path parameter `petId` is not declared", "write under")]),
    (Paths, "/b/{id}: { paramters: [{ name: id, in: path, required: true }], get: { operationId: b } }", &[("9:14: error[P0201]", "did you mean `parameters`?")]),
    (Paths, "/b: { get: { $ref: '#/paths/~1list/get' } }", &[("9:16: error[P0201]: unknown field `$ref` in an operation", "a `$ref` may stand for a whole path item")]),
    (Paths, "/b: { get: { operationID: b } }", &[("9:16: error[P0201]", "did you mean `operationId`?")]),
    (Paths, "/b/{id}: { parameters: [{ name: id, in: path }], get: { operationId: b } }", &[("9:35: error[P0608]: the path parameter `id` is not `required: true`", "write `required: true`")]),
    (Paths, "/b/{id}: { parameters: [{ name: id, in: path, required: false }], get: { operationId: b } }", &[("9:59: error[P0608]: the path parameter `id` is not `required: true`", "write `required: true`")]),
    (Paths, "/b/{id}: { parameters: [{ name: id, in: path, required: 'true' }], get: { operationId: b } }", &[("9:59: error[P0608]", "write `required: true`")]),
    (Paths, "/b/{id}: { parameters: [{ name: id, in: path, requred: true }], get: { operationId: b } }", &[("9:49: error[P0201]", "did you mean `required`?")]),
    (Paths, "/b/{id}: { parameters: [{ name: id, in: pth, required: true }], get: { operationId: b } }", &[("9:43: error[P0204]", "did you mean `path`?")]),

    // References.
    (Operation, "parameters: [{ $ref: '#/components/parameters/Limt' }]\ncomponents: { parameters: { Limit: { name: limit, in: query } } }", &[("8:28: error[P0604]: `#/components/parameters/Limt` leads nowhere", "did you mean `#/components/parameters/Limit`?")]),
    (Operation, "requestBody: { $ref: '#/components/requestBodies/No' }", &[("8:28: error[P0604]: `#/components/requestBodies/No` leads nowhere", "it must be a path of keys")]),
    (Operation, "responses: { 200: { $ref: '#/components/responses/No' } }", &[("8:33: error[P0604]", "it must be")]),
    (Operation, "responses: { 200: { description: a, content: { a/b: { examples: { one: { $ref: '#/x' } } } } } }", &[("8:86: error[P0604]", "it must be")]),
    (Operation, "responses: { 200: { description: a, headers: { x-a: { $ref: '#/components/headers/No' } } } }", &[("8:67: error[P0604]", "it must be")]),
    (Operation, "responses: { 200: { description: a, content: { a/b: { schema: { type: array, items: { $ref: '#/components/schemas/Pett' } } } } } }\ncomponents: { schemas: { Pet: {} } }", &[("8:99: error[P0604]", "did you mean `#/components/schemas/Pet`?")]),
    (Rest, "components: { schemas: { A: { allOf: [{ $ref: '#/components/schemas/B' }], properties: { default: { $ref: '#/no' } } } } }", &[("10:47: error[P0604]", ""), ("10:107: error[P0604]", "")]),
    (Rest, "components: { schemas: { A: { $ref: [b] } } }", &[("10:37: error[P0604]: a `$ref` is text, this is a list", "write for example")]),
    // Out of the document, wherever a reference may stand.
    (Rest, "components: { schemas: { A: { $ref: 'https://json-schema.org/draft/2020-12/schema' }, B: { items: { $ref: 'http://json-schema.org/draft-07/schema#' } } } }", &[]),
    (Rest, "components: { schemas: { A: { $ref: 'common.yaml#/A' }, B: { properties: { a: { $ref: https://a.example/b.json } } }, C: { allOf: [{ not: { items: { $ref: ./c.json } } }] } } }", &[("10:37: error[P0604]: `common.yaml#/A` leads out of the document: bundle it into one file", "tools such as"), ("10:87: error[P0604]: `https://a.example/b.json` leads out", "tools such as"), ("10:156: error[P0604]: `./c.json` leads out", "tools such as")]),
    (Operation, "responses: { 200: { $ref: r.yaml }, 400: { description: a, headers: { X-A: { $ref: h.yaml }, X-B: { schema: { $ref: s.yaml } } }, links: { n: { $ref: l.yaml } }, content: { a/b: { schema: { $ref: t.yaml }, examples: { e: { $ref: e.yaml } }, encoding: { a: { headers: { X: { $ref: i.yaml } } } } } } } }", &[("8:33: error[P0604]: `r.yaml`", ""), ("8:90: error[P0604]: `h.yaml`", ""), ("8:123: error[P0604]: `s.yaml`", ""), ("8:157: error[P0604]: `l.yaml`", ""), ("8:203: error[P0604]: `t.yaml`", ""), ("8:236: error[P0604]: `e.yaml`", ""), ("8:287: error[P0604]: `i.yaml`", "")]),
    (Operation, "parameters: [{ $ref: p.yaml }, { name: a, in: query, schema: { $ref: s.yaml } }]\n      requestBody: { $ref: b.yaml }\n      callbacks: { c: { $ref: c.yaml } }", &[("8:28: error[P0604]: `p.yaml`", ""), ("8:76: error[P0604]: `s.yaml`", ""), ("9:28: error[P0604]: `b.yaml`", ""), ("10:31: error[P0604]: `c.yaml`", "")]),
    (Rest, "components: { securitySchemes: { k: { $ref: k.yaml } }, links: { l: { $ref: l.yaml } }, pathItems: { p: { $ref: p.yaml } }, headers: { h: { $ref: h.yaml } } }\nwebhooks: { w: { $ref: w.yaml } }", &[("10:45: error[P0604]: `k.yaml`", ""), ("10:77: error[P0604]: `l.yaml`", ""), ("10:113: error[P0604]: `p.yaml`", ""), ("10:147: error[P0604]: `h.yaml`", ""), ("11:24: error[P0604]: `w.yaml`", "")]),
    // Where only a reference leads, and where references begin elsewhere.
    (Rest, "x-s: { a: { items: { $ref: a.yaml } } }\ncomponents: { schemas: { A: { $ref: '#/x-s/a' }, B: { $id: https://a.example/b, items: { $ref: b.yaml } } } }", &[("10:28: error[P0604]: `a.yaml`", ""), ("11:96: error[P0604]: `b.yaml`", "")]),
    (Rest, "components: { schemas: { A: { $ref: '#anchr' }, B: { $anchor: anchor } } }", &[("10:37: error[P0604]: `#anchr` leads nowhere", "it must be")]),
    // In circles that say nothing.
    (Rest, "components: { schemas: { A: { $ref: '#/components/schemas/A' } } }", &[("10:37: error[P0604]: this `$ref` leads in a circle, by nothing but `$ref` and `allOf`", "write in one of the schemas what the value is")]),
    (Rest, "components: { schemas: { A: { $ref: '#/components/schemas/B' }, B: { allOf: [{ $ref: '#/components/schemas/C' }] }, C: { allOf: [{ description: c }, { $ref: '#/components/schemas/A' }] } } }", &[("10:158: error[P0604]: this `$ref` leads in a circle", "write in one")]),
    (Operation, "requestBody: { content: { a/b: { schema: { allOf: [{ $ref: '#/x-a' }] } } } }\nx-a: { allOf: [{ $ref: '#/x-b' }, { $ref: '#/x-c' }] }\nx-b: { type: string }\nx-c: { $ref: '#/x-a' }", &[("12:14: error[P0604]: this `$ref` leads in a circle", "write in one")]),
    (Rest, "components: { responses: { A: { $ref: '#/components/responses/B' }, B: { $ref: '#/components/responses/A' } } }", &[("10:80: error[P0604]: this `$ref` leads in a circle", "write out what it stands for")]),
    (Operation, "parameters: [{ $ref: '#/x-p' }]\nx-p: { $ref: '#/x-p' }", &[("10:14: error[P0604]: this `$ref` leads in a circle", "write out what it stands for")]),
    (Paths, "/b: { $ref: '#/components/pathItems/No' }", &[("9:15: error[P0604]", "it must be")]),
    (Paths, "/b: { $ref: '#/components/pathItems/B', put: { operationId: c } }\ncomponents: { pathItems: { B: { get: { operationId: b } } } }", &[("9:43: error[P0901]: `put` beside the `$ref` of a path is not built yet", "write it where the `$ref` leads")]),
    (Paths, "/b: { $ref: '#/paths/~1list' }", &[("9:3: error[P0603]: the operations of `/b` are those of another path", "write the operations out")]),
];

#[test]
fn every_fault_of_a_document_is_named_with_its_remedy() {
    let mut wrong = String::new();
    for (part, text, expected) in FAULTS {
        let found = said(&written(*part, text), false);
        let fits = found.len() == expected.len()
            && found
                .iter()
                .zip(*expected)
                .all(|((line, help), (start, remedy))| {
                    line.strip_prefix("apis/pets/v1.yaml:")
                        .is_some_and(|line| line.starts_with(start))
                        && help.starts_with(remedy)
                        && !help.is_empty()
                });
        if !fits {
            wrong += &format!("{part:?} {text}\nexpected {expected:#?}\nfound {found:#?}\n\n");
        }
    }
    assert!(wrong.is_empty(), "{wrong}");
}

#[rustfmt::skip]
const FINE: &[(Part, &str)] = &[
    (Rest, "x-anything: { $ref: '#/nowhere' }"),
    (Rest, "servers: [{ url: https://a.example, x: 1 }]\nsecurity: []\ntags: [{ name: a, colour: red }]\nexternalDocs: { url: 'https://a.example' }\njsonSchemaDialect: https://json-schema.org/draft/2020-12/schema\nwebhooks: { new: { post: { responses: { 200: { description: ok } } } } }"),
    (Item, "x-a: 1\n    description: a\n    servers: []"),
    (Operation, "tags: [a]\n      description: a\n      externalDocs: {}\n      security: []\n      servers: []\n      x-a: { requestbody: 1 }"),
    (Operation, "parameters: [{ name: a, in: query, description: a, required: false, deprecated: false, allowEmptyValue: true, style: form, explode: true, allowReserved: true, schema: { tpye: x }, example: 1, x-a: 1 }]"),
    (Operation, "requestBody: { required: true, description: a, content: { a/b: { encoding: { a: { contentType: a/b, headers: { X-A: {} } } } } } }"),
    (Operation, "responses: { default: { description: a, links: { next: { operationId: x, paramters: {} } } }, 4XX: { description: b }, x-a: 1 }"),
    // An operation may override a parameter of its path; the same name in two places is two parameters.
    (Paths, "/b/{id}: { parameters: [{ name: id, in: path, required: true }, { name: a, in: query }], get: { operationId: b, parameters: [{ name: a, in: query }, { name: a, in: header }, { name: id, in: path, required: true }] } }"),
    (Paths, "/b/{id}: { get: { operationId: b, parameters: [{ name: id, in: path, required: true }] } }"),
    (Paths, "/b/{id}: { parameters: [{ $ref: '#/x-p' }], get: { operationId: b } }\nx-p: { name: id, in: path, required: true }"),
    (Paths, "/b/{id}: { summary: Nothing is here yet. }"),
    (Paths, "/b: { $ref: '#/components/pathItems/B', summary: b }\ncomponents: { pathItems: { B: { get: { operationId: b } } } }"),
    // What is data is not looked into, whatever it looks like.
    (Rest, "components: { schemas: { A: { example: { $ref: '#/no' }, default: { $ref: '#/no' }, enum: [{ $ref: '#/no' }], const: { $ref: '#/no' }, examples: [{ $ref: '#/no' }] } }, examples: { E: { value: { $ref: '#/no' } } } }"),
    (Rest, "components: { schemas: { A: { properties: { $ref: { type: string }, x-a: { type: string } } }, x-b: {} } }"),
    (Operation, "parameters: [{ name: a, in: query, example: { $ref: a.yaml }, examples: { e: { value: { $ref: a.yaml }, externalValue: a.yaml } } }]\n      responses: { 200: { description: a, links: { n: { operationRef: 'a.yaml#/x', parameters: { a: { $ref: a.yaml } } } }, content: { a/b: { example: { $ref: a.yaml }, schema: { default: { $ref: a.yaml }, discriminator: { propertyName: a, mapping: { a: a.yaml } }, x-a: { $ref: a.yaml } } } } } }"),
    // Schemas that are named, and other bases.
    (Rest, "components: { schemas: { A: { $ref: '#anchor' }, B: { $anchor: anchor }, C: { $id: 'https://a.example/c', $defs: { D: { $id: d.json } }, $ref: '#/$defs/D', not: { $ref: d.json } }, E: { $ref: 'https://a.example/c#/$defs/D' } } }"),
    // What holds itself and ends, and what is listed in what it belongs to.
    (Rest, "components: { schemas: { A: { properties: { a: { $ref: '#/components/schemas/A' } }, items: { allOf: [{ $ref: '#/components/schemas/A' }] } }, P: { oneOf: [{ $ref: '#/components/schemas/Q' }] }, Q: { allOf: [{ $ref: '#/components/schemas/P' }, { $ref: '#/components/schemas/A' }] } } }"),
    (Rest, "components: { schemas: { a/b: {}, 'c d': {}, E: { anyOf: [{ $ref: '#/components/schemas/a~1b' }, { $ref: '#/components/schemas/c%20d' }, { $ref: '#/components/schemas/E/anyOf/0' }, { $ref: '#' }] } } }"),
    (Rest, "components: { schemas: { A: { items: [{ $ref: '#/components/schemas/B' }], additionalProperties: false }, B: true }, securitySchemes: { k: { type: apiKey, in: header, name: x } }, links: {}, callbacks: {} }"),
];

#[test]
fn what_openapi_allows_is_not_judged() {
    for (part, text) in FINE {
        for version in ["3.0.4", "3.1.1"] {
            let document = written(*part, text).replace("3.1.0", version);
            assert_eq!(said(&document, false), Vec::new(), "{document}");
        }
    }
}

#[test]
fn a_mock_adds_nothing_to_what_was_said() {
    let responses = |content: &str| {
        written(
            Operation,
            &format!("responses: {{ 200: {{ description: a, content: {{ a/b: {content} }} }} }}"),
        )
    };
    for (content, start) in [
        (
            "{ schema: { $ref: '#/components/schemas/No' } }",
            "8:77: error[P0604]",
        ),
        (
            "{ schema: { properties: { a: { $ref: '#/no' } } } }",
            "8:96: error[P0604]",
        ),
        ("{ schema: { $ref: no.yaml } }", "8:77: error[P0604]"),
        (
            "{ schema: { properties: { a: { $ref: no.yaml } } } }",
            "8:96: error[P0604]",
        ),
        (
            "{ schema: { $ref: '#/paths/~1list/get/responses/200/content/a~1b/schema' } }",
            "8:77: error[P0604]",
        ),
        ("{ schema: { $ref: '#a', $anchor: a } }", "8:54: error[P0606]"),
        ("{ exmaple: 1 }", "8:61: error[P0201]"),
        ("{ examples: { one: { vlaue: 1 } } }", "8:80: error[P0201]"),
        ("{ examples: { one: { $ref: '#/no' } } }", "8:86: error[P0604]"),
    ] {
        let found = said(&responses(content), true);
        assert_eq!(found.len(), 1, "{content}: {found:#?}");
        assert!(found[0].0.contains(start), "{content}: {found:#?}");
    }
    let found = said(
        &written(Operation, "responses: { 20O: { description: a } }"),
        true,
    );
    assert_eq!(found.len(), 1, "{found:#?}");
    let found = said(
        &written(Operation, "responses: { 101: { description: a } }"),
        true,
    );
    assert!(
        found[0]
            .0
            .contains("8:20: error[P0608]: `101` is no status that a mock can answer"),
        "{found:#?}"
    );
}

#[test]
fn a_status_wins_over_its_class_in_whatever_order() {
    let example = |status: &str, of: &str, value: u8| {
        format!("{status}: {{ description: a, content: {{ {of}: {{ example: {value} }} }} }}")
    };
    let exact = example("200", "application/json", 1);
    let class = example("2XX", "application/json", 2);
    let with_charset = example("201", "'a/b;charset=utf-8', a/b", 3).replace(
        "{ 'a/b;charset=utf-8', a/b: { example: 3 } }",
        "{ 'a/b;charset=utf-8': { example: 3 }, a/b: { example: 4 } }",
    );
    let turned = with_charset.replace('3', "5").replace('4', "3").replace('5', "4");
    let answers = |parts: [&str; 3]| {
        let document = written(Operation, &format!("responses: {{ {} }}", parts.join(", ")));
        let compiled = build(&with(&document, true), "dev").compiled.unwrap();
        let Handler::Mock(answers) = compiled.operations[0].handler.clone() else {
            panic!("not a mock")
        };
        answers
    };
    let first = answers([&exact, &class, &with_charset]);
    assert_eq!(first, answers([&turned, &class, &exact]));
    let bodies: Vec<_> = first
        .iter()
        .map(|answer| (answer.status, answer.body.as_slice()))
        .collect();
    assert_eq!(bodies, [(200, &b"1"[..]), (201, b"3"), (201, b"4")]);
}

/// The sample document, each of its keys misspelt in turn: one fault, whether it is mocked or not.
#[test]
fn a_misspelt_key_of_a_document_is_one_fault() {
    let sample = sample();
    let text = sample["apis/petstore/v1.yaml"].clone();
    let lines_of: Vec<&str> = text.lines().collect();
    let indent = |line: &str| line.len() - line.trim_start().len();
    let mut wrong = Vec::new();
    let mut tried = 0;
    for (at, line) in lines_of.iter().enumerate() {
        let rest = line.trim_start().trim_start_matches("- ");
        let Some((key, _)) = rest.split_once(':') else {
            continue;
        };
        let column = line.len() - rest.len();
        // What stands around it decides whether it is a key of OpenAPI, or a name or data.
        let mut around = Vec::new();
        let mut depth = indent(line);
        for before in lines_of[..at].iter().rev() {
            if !before.trim().is_empty() && indent(before) < depth {
                depth = indent(before);
                around.push(before.trim());
            }
        }
        let data = around
            .iter()
            .any(|around| ["info:", "schema:", "schemas:", "example:"].contains(around));
        let named = around
            .first()
            .is_some_and(|parent| ["paths:", "responses:", "content:", "parameters:"].contains(parent));
        if data
            || named && !line.trim_start().starts_with("- ")
            || !key.bytes().all(|b| b.is_ascii_alphabetic())
        {
            continue;
        }
        // These are not judged, or may be missing.
        if ["openapi", "info"].contains(&key) {
            continue;
        }
        tried += 1;
        let spoilt = format!("{}{key}z{}", &line[..column], &line[column + key.len()..]);
        let mut document = lines_of.clone();
        document[at] = &spoilt;
        for mock in ["mock: openapi", "upstream: https://pets.example"] {
            let mut files = sample.clone();
            files.insert("apis/petstore/v1.yaml".to_owned(), document.join("\n"));
            let api = files.get_mut("apis/petstore/api.yaml").unwrap();
            assert!(api.contains("mock: openapi"));
            *api = api.replace("mock: openapi", mock);
            let found = lines(&build(&files, "dev"));
            let start = format!("apis/petstore/v1.yaml:{}:{}: error[P0201]", at + 1, column + 1);
            if found.len() != 1 || !found[0].starts_with(&start) {
                wrong.push(format!("{spoilt} ({mock}): expected {start}, found {found:#?}"));
            }
        }
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
    assert!(tried > 30, "{tried}");
}

#[test]
fn a_document_of_two_versions_is_judged_once() {
    let mut files = with(&written(Item, "psot: {}"), false);
    let api = files.get_mut("apis/pets/api.yaml").unwrap();
    *api += "  v2: { openapi: v1.yaml, state: active, upstream: https://pets.example }\n";
    // What was meant to be `post` may be the operation that is granted.
    let consumer = files.get_mut("consumers/app.yaml").unwrap();
    *consumer = consumer.replace("[listPets]", "[listPets, createPet]");
    let found = lines(&build(&files, "dev"));
    assert_eq!(found.len(), 1, "{found:#?}");
}

#[test]
fn a_name_twice_points_to_the_first() {
    let outcome = build(
        &with(
            &written(
                Operation,
                "parameters: [{ name: a, in: query }, { name: a, in: query }]",
            ),
            false,
        ),
        "dev",
    );
    let label = &outcome.diagnostics[0].labels[0];
    assert_eq!(
        (label.line, label.column, label.message.as_str()),
        (8, 20, "first listed here")
    );
}

/// A mock whose answer is a schema that refers to others, so many levels deep: each to the next one as often as it has
/// these properties, all required; the last one refers to what is given.
fn nested(levels: usize, properties: &[&str], last: &str) -> String {
    let mut schemas = String::new();
    for level in 0..levels {
        let next = format!("{{ $ref: '#/components/schemas/S{}' }}", level + 1);
        let members: Vec<_> = properties.iter().map(|name| format!("{name}: {next}")).collect();
        let (required, members) = (properties.join(", "), members.join(", "));
        schemas += &format!(
            "    S{level}: {{ type: object, required: [{required}], properties: {{ {members} }} }}\n"
        );
    }
    schemas += &format!("    S{levels}: {last}\n");
    written(
        Operation,
        &format!(
            "responses: {{ 200: {{ description: a, content: {{ application/json: {{ schema: {{ $ref: '#/components/schemas/S0' }} }} }} }} }}\ncomponents:\n  schemas:\n{schemas}"
        ),
    )
}

#[test]
fn a_schema_that_does_not_contain_itself_is_not_said_to() {
    let deep = build(&with(&nested(18, &["a"], "{ type: integer }"), true), "dev");
    assert_eq!(lines(&deep), Vec::<String>::new());
    let Handler::Mock(answers) = deep.compiled.unwrap().operations[0].handler.clone() else {
        panic!("not a mock")
    };
    let body = format!("{}1{}", "{\"a\":".repeat(18), "}".repeat(18));
    assert_eq!(String::from_utf8(answers[0].body.clone()).unwrap(), body);

    let why = |document: &str| {
        let found = said(document, true);
        assert_eq!(found.len(), 1, "{found:#?}");
        assert!(found[0].0.contains("error[P0606]"), "{found:#?}");
        found[0].0.rsplit_once(": ").unwrap().1.to_owned()
    };
    // Each level twice the one before: no example of it could be read.
    let wide = nested(18, &["a", "b"], "{ type: integer }");
    assert_eq!(why(&wide), "its schema is too large to make one from");
    let deeper = nested(100, &["a"], "{ type: integer }");
    assert_eq!(why(&deeper), "its schema is nested more than 64 levels deep");
    for levels in [1, 18, 40] {
        let itself = nested(levels, &["a"], "{ $ref: '#/components/schemas/S0' }");
        assert_eq!(why(&itself), "its schema contains itself", "{levels}");
    }
}
