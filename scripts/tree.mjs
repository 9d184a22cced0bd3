// Writes a policy tree of any size, to measure with: node scripts/tree.mjs --apis 1000 --out DIR [--seed 1]
//
// For each API there are ten operations, two consumers and a fifth of a model, beside plans, templates,
// providers, environments and tests. It is what people write, not the least that builds: documents with
// schemas of many kinds (scripts/tree/schemas.mjs), examples and problem responses, prices, fallbacks, scopes,
// dated keys; `turnpike check` has nothing to say about it, in any environment. The same seed writes the same bytes.
import { createHash } from "node:crypto";
import { mkdirSync, readdirSync, writeFileSync } from "node:fs";
import { dirname, join } from "node:path";
import { parseArgs } from "node:util";
import { document } from "./tree/documents.mjs";
import { thing } from "./tree/schemas.mjs";
import { capital, generator, plural } from "./tree/words.mjs";

const AREAS = ["account", "audit", "billing", "booking", "campaign", "cargo", "catalog", "claim", "clinic", "contract",
  "course", "credit", "customs", "delivery", "device", "energy", "event", "factory", "finance", "fleet", "freight",
  "grant", "harbour", "hotel", "import", "insurance", "kitchen", "ledger", "library", "loan", "market", "media",
  "member", "meter", "museum", "network", "parcel", "payroll", "pension", "permit", "pharmacy", "pricing",
  "purchase", "rail", "recruiting", "refund", "rental", "reward", "safety", "school", "service", "shipping", "stock",
  "storage", "supplier", "ticket", "travel", "vehicle", "warehouse", "weather"];
const THINGS = ["agreement", "appointment", "article", "assignment", "badge", "batch", "bill", "card", "category",
  "certificate", "charge", "comment", "contact", "container", "coupon", "course", "deposit", "discount", "document",
  "driver", "entry", "estimate", "forecast", "group", "guest", "incident", "invoice", "item", "label", "lease",
  "letter", "licence", "line", "location", "manifest", "message", "note", "notice", "offer", "order", "package",
  "partner", "patient", "payment", "phase", "place", "plan", "policy", "product", "profile", "project", "quote",
  "reading", "receipt", "record", "report", "request", "reservation", "return", "review", "route", "schedule",
  "seat", "sensor", "session", "shift", "site", "statement", "task", "transfer", "trip", "unit", "visit", "voucher"];

// --- APIs ----------------------------------------------------------------------------------------------

function operations(things) {
  return things.flatMap(({ type, many }, at) => ({
    read: [`list${capital(many)}`, `get${type}`],
    write: [`create${type}`, `${at === 0 ? "replace" : "change"}${type}`, `delete${type}`],
  }));
}

function api(index, random, write) {
  const area = AREAS[index % AREAS.length];
  const kind = THINGS[Math.floor(index / AREAS.length) % THINGS.length];
  const round = Math.floor(index / (AREAS.length * THINGS.length));
  const name = `${area}-${plural(kind)}${round > 0 ? `-${round + 1}` : ""}`;
  const title = `${capital(area)} ${plural(kind)}${round > 0 ? ` ${round + 1}` : ""}`;
  const other = random.pick(THINGS.filter((known) => known !== kind));
  const things = [thing(kind, random), thing(other, random)];
  // Every twentieth has an older version that ends, with half of the operations each.
  const two = index % 20 === 7;
  const known = operations(two ? things.slice(0, 1) : things);
  const secret = `${area.toUpperCase()}_TOKEN`;
  const answers = (version) => `    upstream: https://${area}.\${cluster}.example.com/${name}/${version}\n    upstream_credential: { secret: ${secret} }\n`;
  const current = two ? "v2" : "v1";
  const versions = [];
  if (two) {
    versions.push(`  v1:\n    openapi: v1.yaml\n    state: deprecated\n    deprecated: 2026-06-01\n    sunset: 2099-06-01\n    successor: v2\n${answers("v1")}`);
    write(`apis/${name}/v1.yaml`, document(title, 1, things.slice(0, 1), random));
  }
  versions.push(`  ${current}:\n    openapi: ${current}.yaml\n    state: ${index % 9 === 4 && !two ? "preview" : "active"}\n${answers(current)}`);
  write(`apis/${name}/${current}.yaml`, document(title, two ? 2 : 1, two ? things.slice(0, 1) : things, random));
  const template = random.pick(["standard", "bulk", "strict"]);
  write(`apis/${name}/api.yaml`, `# ${title}: owned by the ${area} team.
api: ${name}
title: ${title}
owner: team-${area}
path: /${name}
template: ${template}
with: { body: ${random.pick([32, 64, 128, 256])}KiB }
versions:
${versions.join("")}authorize:
  - { operations: [${known.flatMap(({ write }) => write).join(", ")}], scopes: ["${name}:write"] }
${index % 3 === 0 ? `operations:\n  - { for: [${known[0].write[0]}], max_body: 16KiB }\n` : ""}${index % 4 === 0 ? `limits:\n  - { rate: ${5 + random.below(35)}/s, id: ${name}-own }\n` : ""}`);
  return { name, read: known.flatMap(({ read }) => read), write: known.flatMap(({ write }) => write) };
}

// --- the rest ------------------------------------------------------------------------------------------

function gateway(write) {
  write("gateway.yaml", `# A generated gateway, to measure with.
gateway: acme
issuers:
  workforce:
    issuer: https://login.acme.example/
    audience: [https://api.acme.example]
    algorithms: [RS256, ES256]
    consumer: client_id
    max_lifetime: 1h
    jwks: https://login.acme.example/jwks.json
  partners:
    issuer: https://partners.acme.example/
    audience: [https://api.acme.example]
    algorithms: [ES256]
    consumer: azp
    max_lifetime: 15m
    jwks: https://partners.acme.example/jwks.json
shield: { rate: 100/s, burst: 200 }
environments:
  dev: { explain: allowed }
  staging: {}
  production: { max_lifetime: 30m }
`);
  for (const [environment, host] of [["dev", "dev.acme.example"], ["staging", "staging.acme.example"], ["production", "api.acme.example"]]) {
    write(`environments/${environment}.yaml`, `hosts: [${host}]
vars: { cluster: ${environment}.internal }
upstreams:
  north: https://north.${environment}.models.example.com/v1
  south: https://south.${environment}.models.example.com/v1
  east: https://east.${environment}.models.example.com/v1
  west: https://west.${environment}.models.example.com/v1
`);
  }
  for (const [name, rate, body, wait] of [["standard", "50/s", "256KiB", "10s"], ["bulk", "200/s", "1MiB", "30s"], ["strict", "40/s", "256KiB", "5s"]]) {
    write(`templates/${name}.yaml`, `template: ${name}
parameters:
  body: { type: size, default: ${body}, description: The largest body that is taken. }
api:
  authentication: required
  limits: [{ rate: ${rate} }]
  max_body: \${body}
  timeouts: { first_byte: ${wait} }
`);
  }
  write("templates/model.yaml", `template: model
parameters:
  longest: { type: number, default: 8000, description: The most tokens of an answer. }
model:
  max_output_tokens: \${longest}
  retry: { attempts: 2, on: [rate_limited, overloaded, unreachable, no_first_token] }
  timeouts: { first_token: 15s, idle: 20s, total: 4m }
`);
}

const PROVIDERS = ["north", "south", "east", "west"];
const PLANS = ["trial", "bronze", "silver", "gold", "platinum", "batch", "partner", "internal"];

function plans(write) {
  PLANS.forEach((plan, at) => {
    write(`plans/${plan}.yaml`, `plan: ${plan}
limits:
  - { rate: ${60 * (at + 1)}/min, burst: ${10 + 5 * at} }
  - { quota: ${(at + 1) * 50}_000/month }
  - { tokens: ${(at + 1) * 100}_000/day }
  - { spend: ${(at + 1) * 10} USD/month }
  - { concurrency: ${4 + at} }
precision: exact
`);
  });
  for (const provider of PROVIDERS) {
    write(`providers/${provider}.yaml`, `provider: ${provider}\nwire: openai\nbase_url: ${provider}\nsecret: ${provider.toUpperCase()}_KEY\n`);
  }
}

function model(index, random, write) {
  const area = AREAS[index % AREAS.length];
  const name = `${area}-${["writer", "reader", "helper", "coder", "judge"][Math.floor(index / AREAS.length) % 5]}${index >= 300 ? `-${index}` : ""}`;
  const [first, second, third] = random.some(PROVIDERS, 3);
  const price = () => `price: { input: 0.${10 + random.below(80)} USD/Mtok, output: ${1 + random.below(9)} USD/Mtok }`;
  write(`models/${name}.yaml`, `model: ${name}
owner: team-${area}
template: model
with: { longest: ${[2, 4, 8][random.below(3)]}000 }
targets:
  - { to: ${first}/large-${1 + random.below(5)}, weight: 80, ${price()} }
  - { to: ${second}/large-${1 + random.below(5)}, weight: 20, ${price()} }
fallback:
  - { to: ${third}/small-${1 + random.below(5)}, ${price()} }
max_body: 1MiB
`);
  return name;
}

function consumer(index, apis, models, random, write) {
  const area = AREAS[index % AREAS.length];
  const name = `${area}-${["web", "mobile", "batch", "partner", "desk"][random.below(5)]}-${index}`;
  const issuer = random.below(3) === 0 ? "partners" : "workforce";
  const hash = createHash("sha256").update(`not a key: ${name}`).digest("hex");
  // So that every API and model has a caller: two consumers an API, ten a model.
  const granted = new Set([apis[index % apis.length], ...random.some(apis, Math.min(apis.length, 2 + random.below(5)))]);
  const grants = [...granted].map(({ name, read, write }) => {
    const ids = random.below(4) === 0 ? "all" : `[${[...read, ...(random.below(2) === 0 ? write.slice(0, 2) : [])].join(", ")}]`;
    return `  - { api: ${name}, operations: ${ids} }`;
  });
  const usable = models.length === 0 ? [] : [...new Set([models[index % models.length], random.pick(models)])].sort();
  if (usable.length > 0) grants.push(`  - { models: [${usable.join(", ")}] }`);
  write(`consumers/${name}.yaml`, `consumer: ${name}
owner: team-${area}
plan: ${random.pick(PLANS)}
credentials:
  - jwt: { issuer: ${issuer}, is: ${name} }
${index % 4 === 0 ? `  - key: { sha256: ${hash}, expires: ${KEY_END}, scopes: ["${[...granted][0].name}:write"] }\n` : ""}may:
${grants.join("\n")}
`);
  return { name, api: [...granted][0] };
}

// Less than a year ahead, so that no rule finds it long: the one thing that is not the seed's.
const KEY_END = new Date(Date.now() + 300 * 86_400_000).toISOString().slice(0, 10);

function tests(callers, write) {
  const cases = callers.slice(0, 5).map(({ name, api }) => `- name: without a credential ${api.name} is closed to ${name}
  request: { get: /${api.name}/v1 }
  expect: { status: 404 }
`);
  write("tests/closed.yaml", cases.join(""));
}

// --- all of it -----------------------------------------------------------------------------------------

const { values } = parseArgs({ options: { apis: { type: "string" }, out: { type: "string" }, seed: { type: "string", default: "1" } } });
const count = Number(values.apis);
const seed = Number(values.seed);
if (!Number.isInteger(count) || count < 1 || count > 4_000 || !Number.isInteger(seed) || !values.out) {
  console.error("usage: node scripts/tree.mjs --apis 1..4000 --out DIR [--seed NUMBER]");
  process.exit(2);
}
mkdirSync(values.out, { recursive: true });
if (readdirSync(values.out).length > 0) {
  console.error(`${values.out} is not empty: name a folder that is, or that is not there`);
  process.exit(2);
}
let files = 0;
let bytes = 0;
function write(path, text) {
  const full = join(values.out, path);
  mkdirSync(dirname(full), { recursive: true });
  writeFileSync(full, text);
  files += 1;
  bytes += Buffer.byteLength(text);
}
const random = generator(seed);
gateway(write);
plans(write);
const apis = Array.from({ length: count }, (_, index) => api(index, random, write));
const models = Array.from({ length: Math.max(1, Math.floor(count / 5)) }, (_, index) => model(index, random, write));
const callers = Array.from({ length: 2 * count }, (_, index) => consumer(index, apis, models, random, write));
tests(callers, write);
console.log(`${values.out}: ${count} APIs, ${10 * count} operations, ${models.length} models, ${callers.length} consumers in ${files} files of ${bytes} bytes`);
