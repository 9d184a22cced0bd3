// Every route of the sample tree, and of a generated one of 1,000 operations, asked with every kind of wrong
// credential: tokens, API keys, opaque tokens that their issuer is asked about, client certificates, and tokens with
// proofs. What must not pass does not pass, and nothing ends in a 500; that the routes are there, and that it is the
// credential that they wait for, is shown by asking them with a right one of each.

import assert from "node:assert/strict";
import { execFile } from "node:child_process";
import { createHash, randomBytes } from "node:crypto";
import { readFile, readdir, rm, writeFile } from "node:fs/promises";
import { join } from "node:path";
import { test } from "node:test";
import { promisify } from "node:util";
import { buildTree } from "./harness/build.mjs";
import { BILLING, REPORTS, shown, spkiOf } from "./harness/certificates.mjs";
import { ROOT, startGateway } from "./harness/gateway.mjs";
import { startSample } from "./harness/sample.mjs";
import { command, compact, developmentToken, hmac, keys, newKeys, sign } from "./harness/token.mjs";
import { PORTS, json, startUpstream } from "./harness/upstream.mjs";

const run = promisify(execFile);
// 100 APIs of ten operations each.
const APIS = 100;
const AT_ONCE = 24;

// What a refusal of each kind may be: status and code.
const UNKNOWN = ["401 credential_missing"];
const WRONG = ["401 credential_invalid"];
const MALFORMED = [...WRONG, "400 credential_ambiguous", "400 ambiguous_header"];
const EXPIRED = ["401 credential_expired"];
const UNDER = ["403 insufficient_scope"];
const UNGRANTED = ["403 operation_not_allowed", "403 model_not_allowed"];
const NO_OPERATOR = ["403 operator_required"];
const WITHOUT_PROOF = [...WRONG, "401 dpop_proof_invalid"];

// All that is asked without being an operation's: the surfaces of models, and what callers and operators may ask.
const OTHERS = [
  { method: "POST", path: "/v1/chat/completions", scopes: [], model: true },
  { method: "GET", path: "/v1/models", scopes: [], own: true },
  { method: "GET", path: "/v1/models/fast", scopes: [], model: true },
  { method: "GET", path: "/_turnpike/limits", scopes: [], own: true },
  { method: "POST", path: "/_turnpike/limits", scopes: [], operator: true },
  { method: "GET", path: "/_turnpike/denials", scopes: [], operator: true },
  { method: "POST", path: "/_turnpike/denials", scopes: [], operator: true },
];
const OPERATORS = OTHERS.filter(({ operator }) => operator);

async function routesOf(policies) {
  const { stdout } = await run(command(), ["show", "routes", "--format", "json", "--policies", policies], { cwd: ROOT, maxBuffer: 64 << 20 });
  const operations = JSON.parse(stdout).filter(({ operation }) => operation !== undefined);
  for (const { authentication } of operations) assert.equal(authentication, "required");
  return operations.map(({ method, path, scopes }) => ({
    method, scopes, path: path.replace(/\{[^}]+\}/g, "7c1e4711-2a4b-4f6d-8e0f-1a2b3c4d5e6f"),
  }));
}

let asked = 0;
async function ask(gateway, { method, path }, { cf, ...headers }) {
  const body = ["POST", "PUT", "PATCH"].includes(method) ? '{"model":"fast","messages":[{"role":"user","content":"hi"}]}' : undefined;
  // From so many addresses that no shield is met.
  const address = `10.${asked >> 16 & 255}.${asked >> 8 & 255}.${asked & 255}`;
  asked++;
  const type = body === undefined ? {} : { "content-type": "application/json" };
  const init = { method, body, headers: { "cf-connecting-ip": address, ...type, ...headers } };
  const response = await (cf === undefined ? gateway.fetch(path, init) : gateway.fetchAs(cf, path, init));
  const text = await response.text();
  let code;
  try {
    const answer = JSON.parse(text);
    code = answer.code ?? answer.error?.code;
  } catch {
    code = undefined;
  }
  return { status: response.status, code };
}

// Asks all routes with one kind of credential, the headers of each and what the platform says of it (`cf`); what they
// answered, by its number.
async function probe(gateway, routes, { name, headers, may }) {
  const counts = {};
  const faults = [];
  const queue = [...routes.entries()];
  const began = performance.now();
  await Promise.all(Array.from({ length: AT_ONCE }, async () => {
    for (let next = queue.pop(); next !== undefined; next = queue.pop()) {
      const [i, route] = next;
      const { status, code } = await ask(gateway, route, await headers(i, route));
      const said = `${status} ${code ?? ""}`.trim();
      counts[said] = (counts[said] ?? 0) + 1;
      const right = typeof may === "function" ? may(status, code, route) : may.includes(said);
      if (!right && faults.length < 5) faults.push(`${route.method} ${route.path}: ${said}`);
    }
  }));
  const all = Object.entries(counts).sort(([a], [b]) => (a < b ? -1 : 1)).map(([said, count]) => `${said}: ${count}`);
  console.log(`${String(routes.length).padStart(5)} routes, ${name}: ${all.join(", ")} (${Math.round(performance.now() - began)} ms)`);
  assert.deepEqual(faults, [], name);
  return routes.length;
}

const bearer = (token) => ({ authorization: `Bearer ${token}` });
const strangersKey = () => `tpk_stranger_${randomBytes(20).toString("hex")}`;
const good = (status) => status >= 200 && status < 300;

// Values that are no credential, one after the other.
const MALFORMATIONS = [
  { authorization: "Bearer" }, { authorization: "Bearer " }, { authorization: "Bearer a.b.c" }, { authorization: "Bearer ..." },
  { authorization: `Basic ${btoa("probe:probe")}` }, { authorization: "bearer\ttoken" }, { authorization: "Negotiate abcd" },
  { authorization: `Bearer ${"a".repeat(8000)}` }, { authorization: "Bearer e30.e30." }, { authorization: "Bearer e30.e30.e30.e30.e30" },
  { "x-api-key": "tpk_" }, { "x-api-key": "tpk_a" }, { "x-api-key": "tpk__b" }, { "api-key": "null" }, { "x-goog-api-key": "undefined" },
  { "x-api-key": "tpk_a_b", "api-key": "tpk_a_c" }, { authorization: "Bearer a.b.c", "x-api-key": "tpk_a_b" }, { "x-api-key": "" },
  { authorization: `Bearer ${compact({ alg: "none" }, { sub: "probe" })}.` }, { authorization: "Bearer tpk_a_b, Bearer tpk_a_b" },
  { authorization: "DPoP" }, { authorization: "DPoP a.b.c", dpop: "a.b.c" }, { authorization: "DPoP opaque", dpop: "e30.e30.e30" },
  { authorization: "DPoP tpk_a_b" }, { authorization: "Bearer opaque token" }, { authorization: "Bearer \u00fc" },
  { dpop: "a.b.c", "x-api-key": "tpk_a_b" },
];

async function notLogged(gateway, secrets) {
  const lines = gateway.logs.map((line) => JSON.stringify(line)).join("\n");
  for (const secret of secrets) assert.ok(!lines.includes(secret), "a credential is in the log");
}

test("the sample tree", async (t) => {
  const gateway = await startSample({ clock: true });
  t.after(() => gateway.stop());
  const routes = [...(await routesOf("policies")), ...OTHERS];
  const now = Math.floor(Date.now() / 1000);
  const claims = (more) => ({ iss: "https://development.turnpike.invalid/", aud: "turnpike", client_id: "demo", sub: "demo", iat: now, exp: now + 600, ...more });
  const [demo, trial] = [await developmentToken("demo"), await developmentToken("trial")];
  const kid = JSON.parse(Buffer.from(demo.split(".")[0], "base64url")).kid;
  const another = await newKeys("EdDSA", kid);
  const e2e = await newKeys("ES256", "e2e-ES256");
  const foreign = [
    bearer(await sign(another, claims())), bearer(await hmac("turnpike", claims())),
    bearer(await sign(e2e, claims({ iss: "https://e2e-jwks.test", aud: "https://gateway.test" }))),
    { "x-api-key": strangersKey() }, { "x-api-key": "tpk_wide_not-a-secret" },
  ];
  let count = await probe(gateway, routes, { name: "without a credential", headers: () => ({}), may: UNKNOWN });
  // Few routes: each with all of them.
  for (const [i, headers] of [...MALFORMATIONS, ...foreign].entries()) {
    const [name, may] = i < MALFORMATIONS.length ? ["malformed", MALFORMED] : ["foreign", WRONG];
    count += await probe(gateway, routes, { name: `${name} (${i + 1})`, headers: () => headers, may });
  }
  const scoped = routes.filter(({ scopes }) => scopes.length > 0);
  assert.ok(scoped.length > 0);
  count += await probe(gateway, scoped, { name: "without the scope", headers: () => bearer(demo), may: UNDER });
  const granted = routes.filter(({ model, own, operator }) => !model && !own && !operator);
  count += await probe(gateway, granted, { name: "without the grant", headers: () => bearer(trial), may: UNGRANTED });
  for (const token of [demo, trial]) {
    count += await probe(gateway, OPERATORS, { name: "of nobody who operates", headers: () => bearer(token), may: NO_OPERATOR });
  }
  const right = await developmentToken("demo", { scope: ["pets:write"] });
  const open = routes.filter(({ operator }) => !operator);
  await probe(gateway, open, { name: "with a right one", headers: () => bearer(right), may: good });
  await gateway.clock(Date.now() + 13 * 3600_000);
  count += await probe(gateway, routes, { name: "expired", headers: () => bearer(right), may: EXPIRED });
  await notLogged(gateway, [demo, trial, right]);
  console.log(`the sample tree: ${count} refused, 0 let in, 0 of status 500`);
});

// The generated tree with what a test must have: issuers of each kind, whose keys are at hand, answers of its own,
// callers with every grant and with none, and no limit that is met.
async function generated() {
  const folder = `build/trees/operations-${APIS * 10}-tree`;
  await rm(join(ROOT, folder), { recursive: true, force: true });
  await run(process.execPath, ["scripts/tree.mjs", "--apis", String(APIS), "--out", folder], { cwd: ROOT });
  const change = async (path, ...pairs) => {
    const file = join(ROOT, folder, path);
    let text = await readFile(file, "utf8");
    for (const [from, to] of pairs) text = text.replace(from, to);
    await writeFile(file, text);
  };
  await change("gateway.yaml",
    ["jwks: https://login.acme.example/jwks.json", "jwks: keys.json\n    dpop: accepted\n    certificate_bound: accepted"],
    ["issuers:\n", `issuers:
  opaque:
    issuer: ${OPAQUE}
    audience: [https://api.acme.example]
    introspection:
      endpoint: http://127.0.0.1:${PORTS.oidc}/introspect
      client_id: gateway
      secret: INTROSPECTION_SECRET
      rate: 100_000/s
`],
    ["dev: {", "dev: { mocks: allowed, http_upstreams: allowed,"]);
  for (const name of await readdir(join(ROOT, folder, "environments"))) await change(`environments/${name}`, [/^hosts:.*\n/, ""]);
  for (const name of await readdir(join(ROOT, folder, "apis"))) {
    await change(`apis/${name}/api.yaml`, [/^ {4}upstream: .*\n {4}upstream_credential: .*\n/gm, "    mock: openapi\n"], [/^limits:\n.*\n/m, ""]);
  }
  for (const name of await readdir(join(ROOT, folder, "templates"))) {
    await change(`templates/${name}`, [/rate: \d+\/s/, "rate: 100_000/s"], [/^ +timeouts: \{ first_byte.*\n/m, ""]);
  }
  await writeFile(join(ROOT, folder, "plans/probe.yaml"), "plan: probe\nlimits: [{ rate: 1_000_000/s }]\nprecision: local\n");
  const keyOf = (name) => createHash("sha256").update(`tpk_${name}_not-a-secret`).digest("hex");
  const expires = new Date(Date.now() + 200 * 86_400_000).toISOString().slice(0, 10);
  const consumer = (name, more) => writeFile(join(ROOT, folder, `consumers/${name}.yaml`),
    `consumer: ${name}\nowner: team-tests\nplan: probe\ncredentials:\n  - jwt: { issuer: workforce, is: ${name} }\n  - jwt: { issuer: opaque, is: ${name} }\n${more}`);
  await consumer("probe", `  - key: { sha256: ${keyOf("probe")}, expires: ${expires} }
  - certificate: { spki_sha256: ${spkiOf(REPORTS)} }
may:\n  - { apis: all }\n  - { models: all }\n`);
  await consumer("probe-nothing", "may: []\n");
  await consumer("probe-operator", `  - key: { sha256: ${keyOf("operator")}, expires: ${expires} }\nmay: []\noperator: { credit: { requests: 10/day }, deny: 1d }\n`);
  return folder;
}

const OPAQUE = "https://opaque.acme.example/";
// An opaque token of this test's own says itself what its issuer says of it; of all others it says that they are none.
const opaque = (said) => bearer(`op_${Buffer.from(JSON.stringify(said)).toString("base64url")}`);
function introspect(request, response, body) {
  const token = new URLSearchParams(`${body}`).get("token") ?? "";
  json(response, token.startsWith("op_") ? JSON.parse(Buffer.from(token.slice(3), "base64url")) : { active: false });
}

// A proof for one request, `more` in place of what it claims.
function proving(gateway, pair) {
  const { kty, crv, x, y } = pair.publicJwk;
  const jkt = createHash("sha256").update(JSON.stringify({ crv, kty, x, y })).digest("base64url");
  const proof = (token, { method, path }, more = {}) => sign(pair, {
    htm: method, htu: gateway.url + path, jti: randomBytes(12).toString("hex"), iat: Math.floor(Date.now() / 1000),
    ath: createHash("sha256").update(token).digest("base64url"), ...more,
  }, { typ: "dpop+jwt", jwk: { kty, crv, x, y } });
  const headers = async (token, route, more) => ({ authorization: `DPoP ${token}`, dpop: await proof(token, route, more) });
  return { jkt, proof, headers };
}

// So that each route gets so many of a list, and all of the list are had.
const ROUNDS = 5;
const rounds = (list) => Array.from({ length: ROUNDS }, (_, round) => (i, route) => {
  const one = list[(i + Math.floor((round * list.length) / ROUNDS)) % list.length];
  return typeof one === "function" ? one(route) : one;
});

test("a generated tree of 1,000 operations", async (t) => {
  const build = await buildTree(await generated(), { faults: false });
  const issuer = await startUpstream(PORTS.oidc, introspect);
  t.after(() => issuer.stop());
  const gateway = await startGateway({ build, secrets: { INTROSPECTION_SECRET: "of the gateway" } });
  t.after(() => gateway.stop());
  // With the public keys in it.
  const operations = await routesOf(`${build}/policies`);
  assert.equal(operations.length, APIS * 10);
  const routes = [...operations, ...OTHERS];
  const scoped = operations.filter(({ scopes }) => scopes.length > 0);
  const plain = operations.filter(({ scopes }) => scopes.length === 0);
  assert.ok(scoped.length > operations.length / 3 && plain.length > operations.length / 3);
  const began = performance.now();

  const now = Math.floor(Date.now() / 1000);
  const claims = (more) => ({ iss: "https://login.acme.example/", aud: "https://api.acme.example", client_id: "probe", sub: "probe", iat: now, exp: now + 900, ...more });
  const said = (more) => ({ ...claims(), active: true, iss: OPAQUE, ...more });
  const pair = await keys("ES256");
  const [stolen, unknown] = [await newKeys("ES256", pair.kid), await newKeys("ES256", "unknown")];
  const [own, thief] = [proving(gateway, await newKeys("ES256", "own")), proving(gateway, await newKeys("ES256", "thief"))];
  const toCertificate = (certificate) => ({ cnf: { "x5t#S256": createHash("sha256").update(Buffer.from(certificate, "base64")).digest("base64url") } });
  const [token, bound, mutual] = await Promise.all([{}, { cnf: { jkt: own.jkt } }, toCertificate(REPORTS)].map((more) => sign(pair, claims(more))));
  const stranger = strangersKey();

  const malformed = [
    ...MALFORMATIONS,
    { authorization: `DPoP ${bound}`, dpop: "" }, { authorization: `DPoP ${bound}`, dpop: bound },
    async (route) => ({ authorization: `DPoP ${bound}`, dpop: `${await own.proof(bound, route)}, ${await own.proof(bound, route)}` }),
    async (route) => ({ authorization: `DPoP ${bound}`, dpop: (await own.proof(bound, route)).slice(0, -4) }),
    async (route) => ({ authorization: `DPoP ${bound}`, dpop: await own.proof(bound, route, { jti: undefined }) }),
    { cf: shown(REPORTS, { certVerified: "FAILED:self signed certificate" }) }, { cf: shown(REPORTS, { certRevoked: "1" }) },
    { cf: shown(REPORTS, { certRFC9440: REPORTS }) }, { cf: shown(REPORTS, { certRFC9440: `:${REPORTS.slice(8)}:` }) },
    { cf: shown(REPORTS, { certRFC9440: "", certRFC9440TooLarge: true }) },
  ];
  const foreign = [
    bearer(await sign(stolen, claims())), bearer(await sign(unknown, claims())),
    bearer(await sign(pair, claims({ iss: "https://login.other.example/" }))),
    bearer(await sign(pair, claims({ aud: "https://api.other.example" }))),
    bearer(await sign(pair, claims({ client_id: "somebody" }))), bearer(await hmac("probe", claims())),
    bearer(await sign(pair, claims({ iss: OPAQUE }))),
    { "x-api-key": stranger }, { "x-goog-api-key": "tpk_wide_not-a-secret" }, { authorization: "Bearer tpk_probe_another-secret" },
    // Opaque ones: not active, of another audience, issuer or consumer, or bound to what is not looked at.
    bearer("another-issuers"), opaque(said({ active: false })), opaque(said({ aud: "https://api.other.example" })),
    opaque(said({ iss: "https://login.acme.example/" })), opaque(said({ client_id: "somebody" })), opaque(said({ cnf: { jkt: own.jkt } })),
    opaque(said({ token_type: "refresh_token" })),
    // Certificates: of nobody, of another issuer's subject; tokens that are bound to one, without it or with another.
    { cf: shown(BILLING) }, { cf: shown(BILLING, { certSubjectDNRFC2253: "CN=reports,O=Acme" }) },
    bearer(mutual), { ...bearer(mutual), cf: shown(BILLING) }, { ...bearer(mutual), cf: shown(REPORTS, { certVerified: "NONE" }) },
    // Proofs: none, of another key, for another request, token or time.
    bearer(bound), { authorization: `DPoP ${bound}` }, { authorization: `DPoP ${token}`, dpop: bound },
    (route) => thief.headers(bound, route), (route) => own.headers(bound, { ...route, method: "TRACE" }),
    (route) => own.headers(bound, { ...route, path: `${route.path}/more` }), (route) => own.headers(bound, route, { ath: stolen.kid }),
    (route) => own.headers(bound, route, { iat: now - 600 }), (route) => own.headers(bound, route, { iat: now + 600 }),
  ];
  const over = { iat: now - 1200, exp: now - 120 };
  const [late, lateBound] = [await sign(pair, claims(over)), await sign(pair, claims({ ...over, cnf: { jkt: own.jkt } }))];
  const expired = [bearer(late), (route) => own.headers(lateBound, route)];
  const partner = bearer(await sign(pair, claims({ iss: "https://partners.acme.example/", azp: "probe" })));
  const nobody = { client_id: "probe-nothing", scope: operations.flatMap(({ scopes }) => scopes).slice(0, 3).join(" ") };
  const nothing = [bearer(await sign(pair, claims(nobody))), opaque(said(nobody))];
  const known = [bearer(token), { "x-api-key": "tpk_probe_not-a-secret" }, opaque(said()), { cf: shown(REPORTS) }, { ...bearer(mutual), cf: shown(REPORTS) }, (route) => own.headers(bound, route)];

  let count = await probe(gateway, routes, { name: "without a credential", headers: () => ({}), may: UNKNOWN });
  for (const [name, list, may] of [
    ["malformed", malformed, [...MALFORMED, "401 dpop_proof_invalid"]],
    ["foreign", foreign, WITHOUT_PROOF],
  ]) {
    assert.ok(list.length > ROUNDS);
    for (const [round, headers] of rounds(list).entries()) {
      count += await probe(gateway, routes, { name: `${name}, ${list.length} kinds in turn (${round + 1})`, headers, may });
    }
  }
  const each = (list) => list.map((one) => (typeof one === "function" ? (i, route) => one(route) : () => one));
  for (const [name, asked, list, may] of [
    ["of an issuer whose keys are out of reach", routes, [partner], ["503 keys_unavailable"]],
    ["of an issuer whose answer is of no use", routes, [opaque({ active: "yes" })], ["503 introspection_unavailable"]],
    ["expired", routes, expired, EXPIRED],
    // Of one that was no good a moment ago is remembered that, and not why.
    ["opaque and expired", routes, [opaque(said(over))], [...EXPIRED, ...WRONG]],
    ["of a consumer that may nothing", operations, nothing, UNGRANTED],
    ["without the scope", scoped, known, UNDER],
    ["of nobody who operates", OPERATORS, known, NO_OPERATOR],
  ]) {
    for (const [kind, headers] of each(list).entries()) {
      count += await probe(gateway, asked, { name: `${name} (${kind + 1} of ${list.length})`, headers, may });
    }
  }
  // Neither does another method, nor what lies beside a route.
  const beside = operations.flatMap(({ path }) => ["GET", "POST", "PUT", "PATCH", "DELETE", "HEAD"].map((method) => ({ method, path })));
  const places = [...new Map(beside.map((one) => [`${one.method} ${one.path}`, one])).values()];
  count += await probe(gateway, places, { name: "any method, without a credential", headers: () => ({}), may: (status) => [401, 405].includes(status) });

  // With right ones all pass: scopes by a token and by an opaque one, the rest by every kind. A proof is good once.
  const whole = new Map();
  for (const { scopes } of scoped) {
    const scope = scopes.join(" ");
    if (!whole.has(scope)) whole.set(scope, [bearer(await sign(pair, claims({ scope }))), opaque(said({ scope }))]);
  }
  for (const [kind, name] of ["tokens", "opaque tokens"].entries()) {
    await probe(gateway, scoped, { name: `with right ${name}`, headers: (i, { scopes }) => whole.get(scopes.join(" "))[kind], may: good });
  }
  for (const [kind, headers] of each(known).entries()) {
    await probe(gateway, plain, { name: `with a right one (${kind + 1} of ${known.length})`, headers, may: good });
  }
  const proofs = new Map();
  for (const route of plain) proofs.set(route, await own.headers(bound, route));
  await probe(gateway, plain, { name: "with a proof", headers: (i, route) => proofs.get(route), may: good });
  count += await probe(gateway, plain, { name: "with the same proof again", headers: (i, route) => proofs.get(route), may: ["401 dpop_proof_invalid"] });
  const operator = { "x-api-key": "tpk_operator_not-a-secret" };
  await probe(gateway, OPERATORS, { name: "of an operator", headers: () => operator, may: (status) => [200, 400].includes(status) });
  await probe(gateway, OTHERS.filter(({ own }) => own), { name: "of a caller's own", headers: () => bearer(token), may: good });

  await notLogged(gateway, [token, bound, mutual, late, stranger, "tpk_probe_not-a-secret", opaque(said()).authorization.slice("Bearer ".length)]);
  const seconds = (performance.now() - began) / 1000;
  console.log(`${operations.length} operations: ${count} refused, 0 let in, 0 of status 500, in ${seconds.toFixed(1)} s`);
});
