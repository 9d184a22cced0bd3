// The things that a generated document is about, as schemas and as examples of them.
//
// Not every document says the same in the same way: a third of the things have an owner of one of two kinds (`oneOf`
// with a discriminator), parts that have parts (a schema that contains itself), a price written in one of two ways
// (`anyOf`); half are put together (`allOf`); all have members of several formats and some that may be null, which
// OpenAPI 3.0 and 3.1 write differently.
import { capital, indent, plural } from "./words.mjs";

const STATES = ["open", "draft", "approved", "rejected", "paused", "closed", "archived"];
const TEXTS = ["title", "reference", "remark", "city", "street", "contactName", "department", "colour", "origin",
  "destination", "brand", "material"];
const NUMBERS = ["quantity", "priority", "amountCents", "weightGrams", "position", "durationSeconds", "capacity"];
const DATES = ["createdAt", "updatedAt", "dueAt", "startsAt", "endsAt"];
const FORMATS = [["mail", "email", "ada.obi@acme.example"], ["homepage", "uri", "https://acme.example/about"],
  ["validFrom", "date", "2026-03-01"], ["host", "hostname", "north.acme.example"], ["address", "ipv4", "192.0.2.17"],
  ["thumbnail", "byte", "aGVsbG8="], ["lasts", "duration", "PT15M"]];

const ref = (name) => `{ $ref: "#/components/schemas/${name}" }`;

export function thing(name, random) {
  return {
    name,
    type: capital(name),
    many: plural(name),
    texts: random.some(TEXTS, 2 + random.below(3)),
    numbers: random.some(NUMBERS, 1 + random.below(3)),
    dates: random.some(DATES, 1 + random.below(2)),
    states: random.some(STATES, 3 + random.below(3)),
    formats: random.some(FORMATS, 1 + random.below(2)),
    owned: random.oneIn(3),
    made: random.oneIn(3),
    priced: random.oneIn(3),
    composed: random.oneIn(2),
    // Its examples stand among the components.
    shared: random.oneIn(2),
    // Who adds one may be called back.
    told: random.oneIn(6),
    linked: random.oneIn(4),
  };
}

function nullable(old, rest) {
  return old ? `{ type: string, nullable: true, ${rest} }` : `{ type: [string, "null"], ${rest} }`;
}

function properties(here, old) {
  const { type, texts, numbers, dates, states, formats, owned, made, priced } = here;
  return [
    ...texts.map((text) => `${text}: { type: string, description: "The ${text}, as people read it.", minLength: 1, maxLength: 200, pattern: "^[^<>]*$" }`),
    ...numbers.map((number) => `${number}: { type: integer, format: int64, minimum: 0, maximum: 1000000000 }`),
    ...dates.map((date) => `${date}: { type: string, format: date-time, maxLength: 40 }`),
    ...formats.map(([name, format]) => `${name}: ${nullable(old, `format: ${format}, maxLength: 250`)}`),
    `share: { type: number, format: double, ${old ? "minimum: 0, exclusiveMinimum: true" : "exclusiveMinimum: 0"}, maximum: 100 }`,
    `state: { type: string, enum: [${states.join(", ")}] }`,
    'tags: { type: array, maxItems: 20, uniqueItems: true, items: { type: string, maxLength: 40, pattern: "^[a-z0-9-]+$" } }',
    ...(owned ? [`owner: ${ref("Party")}`] : []),
    ...(made ? [`parts: { type: array, maxItems: 50, items: ${ref(`${type}Part`)} }`] : []),
    ...(priced ? [`price: ${ref("Money")}`] : []),
  ].join("\n");
}

export function example(here, random) {
  const { texts, numbers, dates, states, formats, owned, made, priced } = here;
  const owner = random.oneIn(2)
    ? "{ kind: person, name: Ada Obi, mail: ada.obi@acme.example }"
    : '{ kind: company, name: Acme, site: "https://acme.example", taxId: "DE123456789" }';
  return [
    ...texts.map((text) => `${text}: Some ${text}`),
    ...numbers.map((number) => `${number}: ${random.below(5000)}`),
    ...dates.map((date) => `${date}: "2026-0${1 + random.below(9)}-1${random.below(9)}T08:30:00Z"`),
    ...formats.map(([name, , shown]) => `${name}: ${random.oneIn(5) ? "null" : `"${shown}"`}`),
    `share: ${1 + random.below(99)}.5`,
    `state: ${random.pick(states)}`,
    ...(owned ? [`owner: ${owner}`] : []),
    ...(made ? [`parts: [{ label: Frame, count: 1, parts: [{ label: Bolt, count: ${2 + random.below(9)} }] }]`] : []),
    ...(priced ? [`price: ${random.oneIn(2) ? random.below(5000) : `"${random.below(500)}.90"`}`] : []),
  ].join(", ");
}

// What several things have in common, as far as any of them has it.
function common(things, old) {
  const parts = [];
  if (things.some(({ composed }) => composed)) {
    parts.push(`Stored:
  type: object
  description: What everything has that is stored.
  required: [id]
  properties:
    id: { type: string, format: uuid, maxLength: 36, readOnly: true }
    revision: { type: integer, format: int32, minimum: 1, maximum: 1000000, readOnly: true }
    replacedBy: ${nullable(old, "format: uuid, maxLength: 36")}
`);
  }
  if (things.some(({ owned }) => owned)) {
    parts.push(`Party:
  description: Who answers for it.
  oneOf:
    - ${ref("Person")}
    - ${ref("Company")}
  discriminator:
    propertyName: kind
    mapping: { person: "#/components/schemas/Person", company: "#/components/schemas/Company" }
Person:
  type: object
  required: [kind, name]
  additionalProperties: false
  properties:
    kind: { type: string, enum: [person] }
    name: { type: string, maxLength: 200, pattern: "^[^<>]*$" }
    mail: ${nullable(old, "format: email, maxLength: 250")}
Company:
  type: object
  required: [kind, name, taxId]
  additionalProperties: false
  properties:
    kind: { type: string, enum: [company] }
    name: { type: string, maxLength: 200, pattern: "^[^<>]*$" }
    site: { type: string, format: uri, maxLength: 250 }
    taxId: { type: string, maxLength: 20, pattern: "^[A-Z]{2}[A-Z0-9]+$" }
`);
  }
  if (things.some(({ priced }) => priced)) {
    parts.push(`Money:
  description: Cents, or a decimal.
  anyOf:
    - { type: integer, format: int64, minimum: 0, maximum: 1000000000 }
    - { type: string, maxLength: 15, pattern: "^[0-9]{1,12}[.][0-9]{2}$" }
`);
  }
  return parts.join("");
}

function described(here, old) {
  const { type, name, many } = here;
  const required = [here.texts[0], here.numbers[0], "state"].join(", ");
  const stored = here.composed
    ? `  allOf:
    - ${ref("Stored")}
    - type: object
      required: [${required}]
      properties:
${indent(properties(here, old), 8)}
${old ? "" : "  unevaluatedProperties: false\n"}`
    : `  type: object
  required: [id, ${required}]
  additionalProperties: false
  properties:
    id: { type: string, format: uuid, maxLength: 36, readOnly: true }
${indent(properties(here, old), 4)}
`;
  const parts = here.made
    ? `${type}Part:
  type: object
  description: A part, which may have parts.
  required: [label]
  additionalProperties: false
  properties:
    label: { type: string, maxLength: 80, pattern: "^[^<>]*$" }
    count: { type: integer, format: int32, minimum: 1, maximum: 10000 }
    parts: { type: array, maxItems: 50, items: ${ref(`${type}Part`)} }
`
    : "";
  return `New${type}:
  type: object
  description: What there is to say about a new ${name}.
  required: [${required}]
  additionalProperties: false
  properties:
${indent(properties(here, old), 4)}
${type}:
  description: One of the ${many}, as it is stored.
${stored}${parts}${type}Page:
  type: object
  required: [items]
  additionalProperties: false
  properties:
    items: { type: array, maxItems: 100, items: ${ref(type)} }
    next: ${nullable(old, 'description: "Where the next page begins.", maxLength: 200, pattern: "^[A-Za-z0-9_=-]*$"')}
`;
}

export function schemas(things, old) {
  return common(things, old) + things.map((here) => described(here, old)).join("");
}
