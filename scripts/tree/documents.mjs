// OpenAPI documents of a generated tree: about one or two things, with all that is done with them. A fifth are of
// OpenAPI 3.0, the others of 3.1; examples stand where they are shown or among the components; some that add a thing
// call back or link to where it is.
import { example, schemas } from "./schemas.mjs";
import { capital, indent } from "./words.mjs";

const errors = (...codes) => codes.map((code) => `"${code}": { $ref: "#/components/responses/E${code}" }`).join("\n");

function content(schema, shown) {
  const examples = shown.startsWith("#") ? `examples: { usual: { $ref: "${shown}" } }` : `example: ${shown}`;
  return `content:\n  application/json:\n    schema: { $ref: "#/components/schemas/${schema}" }\n    ${examples}`;
}

// Where an example of it stands: here, or among the components.
const shownAs = (here, id, random) => (here.shared ? `#/components/examples/${here.type}` : `{ id: ${id}, ${example(here, random)} }`);

function collection(at, here, above, random) {
  const { name, type, many } = here;
  const id = `0b3f${random.below(9000) + 1000}-6f0e-4c0e-9d3a-5a1f2b3c4d5e`;
  const shown = `{ id: ${id}, ${example(here, random)} }`;
  const parent = above ? `parameters:\n  - { $ref: "#/components/parameters/${above.type}Id" }\n` : "";
  const notify = here.told
    ? `    parameters:
      - name: notify
        in: query
        description: What is to be called when it is stored.
        schema: { type: string, format: uri, maxLength: 250 }
    callbacks:
      stored:
        "{$request.query.notify}":
          post:
            summary: It is stored.
            requestBody:
              required: true
              content: { application/json: { schema: { $ref: "#/components/schemas/${type}" } } }
            responses:
              "204": { description: It is taken note of. }
`
    : "";
  const upper = above ? `${above.name}Id: "$request.path.${above.name}Id", ` : "";
  const links = here.linked
    ? `        links:\n          one: { operationId: get${type}, parameters: { ${upper}${name}Id: "$response.body#/id" } }\n`
    : "";
  return `${at}:
${indent(parent, 2)}  get:
    operationId: list${capital(many)}
    tags: [${many}]
    summary: The ${many}, a page at a time, newest first.
    parameters:
      - { $ref: "#/components/parameters/Limit" }
      - { $ref: "#/components/parameters/Cursor" }
      - name: state
        in: query
        description: Only ${many} in this state.
        schema: { type: string, enum: [${here.states.join(", ")}] }
    responses:
      "200":
        description: A page of ${many}.
${indent(content(`${type}Page`, `{ items: [${shown}], next: null }`), 8)}
${indent(errors(400, 401, 429, 500), 6)}
  post:
    operationId: create${type}
    tags: [${many}]
    summary: Add one to the ${many}.
    description: |
      Answers when it is stored. Send an \`idempotency-key\` to be able to ask again
      without adding a second one.
${notify}    requestBody:
      required: true
${indent(content(`New${type}`, `{ ${example(here, random)} }`), 6)}
    responses:
      "201":
        description: It is stored, and has an id.
${indent(content(type, shownAs(here, id, random)), 8)}
${links}${indent(errors(400, 401, 429, 500), 6)}
`;
}

function single(at, here, above, change, random) {
  const { name, type, many } = here;
  const shown = shownAs(here, `7c1e${random.below(9000) + 1000}-2a4b-4f6d-8e0f-1a2b3c4d5e6f`, random);
  const parent = above ? `  - { $ref: "#/components/parameters/${above.type}Id" }\n` : "";
  return `${at}/{${name}Id}:
  parameters:
${indent(parent, 2)}    - { $ref: "#/components/parameters/${type}Id" }
  get:
    operationId: get${type}
    tags: [${many}]
    summary: One of the ${many}.
    responses:
      "200":
        description: It, as it is now.
${indent(content(type, shown), 8)}
${indent(errors(401, 404, 429, 500), 6)}
  ${change}:
    operationId: ${change === "put" ? "replace" : "change"}${type}
    tags: [${many}]
    summary: ${change === "put" ? "Replace it as a whole." : "Change what is named, and nothing else."}
    requestBody:
      required: true
${indent(content(`New${type}`, `{ ${example(here, random)} }`), 6)}
    responses:
      "200":
        description: It, as it is now.
${indent(content(type, shown), 8)}
${indent(errors(400, 401, 404, 429, 500), 6)}
  delete:
    operationId: delete${type}
    tags: [${many}]
    summary: Remove it for good.
    responses:
      "204":
        description: It is gone.
${indent(errors(401, 404, 429, 500), 6)}
`;
}

function parameter({ name, type }) {
  return `${type}Id:
  name: ${name}Id
  in: path
  required: true
  description: The id of the ${name}.
  schema: { type: string, format: uuid, maxLength: 36 }
`;
}

function examples(things, random) {
  const shared = things.filter(({ shared }) => shared);
  if (shared.length === 0) return "";
  const one = (here) => {
    const id = `3d9a${random.below(9000) + 1000}-1b2c-4d5e-8f60-7a8b9c0d1e2f`;
    return `    ${here.type}: { summary: "One of the ${here.many}, as most are.", value: { id: ${id}, ${example(here, random)} } }\n`;
  };
  return `  examples:\n${shared.map(one).join("")}`;
}

export function document(title, number, things, random) {
  const [first, second] = things;
  const old = random.oneIn(5);
  const paths = [collection(`/${first.many}`, first, null, random), single(`/${first.many}`, first, null, "put", random)];
  if (second) {
    const at = `/${first.many}/{${first.name}Id}/${second.many}`;
    paths.push(collection(at, second, first, random), single(at, second, first, "patch", random));
  }
  const responses = [[400, "The request is wrong."], [401, "The caller is not known."], [404, "There is no such thing."],
    [429, "The caller is over its limits."], [500, "Something failed."]];
  const told = responses.map(([code, text]) => `E${code}: { description: ${text}, content: { application/problem+json: { schema: { $ref: "#/components/schemas/Problem" } } } }`);
  return `openapi: ${old ? "3.0.4" : "3.1.1"}
info:
  title: ${title}
  version: ${number}.2.0
  description: |
    Everything there is to do with ${things.map(({ many }) => many).join(" and ")}: find, add, change and remove them.
  contact: { name: The team, url: "https://developers.example.com" }
servers:
  - { url: "https://api.acme.example" }
tags:
${things.map(({ many }) => `  - { name: ${many}, description: All about ${many}. }`).join("\n")}
security:
  - token: []
paths:
${indent(paths.join(""), 2)}components:
  securitySchemes:
    token: { type: http, scheme: bearer, bearerFormat: JWT }
  parameters:
    Limit:
      name: limit
      in: query
      description: How many at most.
      schema: { type: integer, format: int32, minimum: 1, maximum: 100, default: 20 }
    Cursor:
      name: cursor
      in: query
      description: Where the page begins.
      schema: { type: string, maxLength: 200, pattern: "^[A-Za-z0-9_=-]*$" }
${indent(things.map(parameter).join(""), 4)}${examples(things, random)}  responses:
${indent(told.join("\n"), 4)}
  schemas:
    Problem:
      type: object
      description: What went wrong (RFC 9457).
      required: [type, title, status]
      properties:
        type: { type: string, format: uri-reference, maxLength: 200 }
        title: { type: string, maxLength: 200, pattern: "^[^<>]*$" }
        status: { type: integer, format: int32, minimum: 100, maximum: 599 }
        detail: { type: string, maxLength: 2000, pattern: "^[^<>]*$" }
${indent(schemas(things, old), 4)}`;
}
