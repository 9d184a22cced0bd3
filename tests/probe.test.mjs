// Every route of the sample tree, and of a generated one of 1,000 operations, asked with every kind of wrong
// credential. What must not pass does not pass, and nothing ends in a 500; that the routes are there, and that
// it is the credential that they wait for, is shown by asking them with a right one.

import assert from "node:assert/strict";
import { execFile } from "node:child_process";
import { createHash, randomBytes } from "node:crypto";
import { readFile, readdir, rm, writeFile } from "node:fs/promises";
import { join } from "node:path";
import { test } from "node:test";
import { promisify } from "node:util";
import { buildTree } from "./harness/build.mjs";
import { ROOT, startGateway } from "./harness/gateway.mjs";
import { startSample } from "./harness/sample.mjs";
import { command, compact, developmentToken, hmac, keys, newKeys, sign } from "./harness/token.mjs";

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

// All that is asked without being an operation's: the surfaces of models, and what callers and operators may ask.
const OTHERS = [
  { method: "POST", path: "/v1/chat/completions", scopes: [], model: true },
  { method: "GET", path: "/v1/models", scopes: [], own: true },
  { method: "GET", path: "/v1/models/fast", scopes: [], model: true },
  { method: "GET", path: "/_turnpike/limits", scopes: [], own: true },
];

async function routesOf(policies) {
  const { stdout } = await run(command(), ["show", "routes", "--format", "json", "--policies", policies], { cwd: ROOT, maxBuffer: 64 << 20 });
  const operations = JSON.parse(stdout).filter(({ operation }) => operation !== undefined);
  for (const { authentication } of operations) assert.equal(authentication, "required");
  return operations.map(({ method, path, scopes }) => ({
    method, scopes, path: path.replace(/\{[^}]+\}/g, "7c1e4711-2a4b-4f6d-8e0f-1a2b3c4d5e6f"),
  }));
}

let asked = 0;
async function ask(gateway, { method, path }, headers) {
  const body = ["POST", "PUT", "PATCH"].includes(method) ? '{"model":"fast","messages":[{"role":"user","content":"hi"}]}' : undefined;
  // From so many addresses that no shield is met.
  const address = `10.${asked >> 16 & 255}.${asked >> 8 & 255}.${asked & 255}`;
  asked++;
  const type = body === undefined ? {} : { "content-type": "application/json" };
  const response = await gateway.fetch(path, { method, body, headers: { "cf-connecting-ip": address, ...type, ...headers } });
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

// Asks all routes with one kind of credential; what they answered, by its number.
async function probe(gateway, routes, { name, headers, may }) {
  const counts = {};
  const faults = [];
  const queue = [...routes.entries()];
  const began = performance.now();
  await Promise.all(Array.from({ length: AT_ONCE }, async () => {
    for (let next = queue.pop(); next !== undefined; next = queue.pop()) {
      const [i, route] = next;
      const { status, code } = await ask(gateway, route, headers(i, route));
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
  const granted = routes.filter(({ model, own }) => !model && !own);
  count += await probe(gateway, granted, { name: "without the grant", headers: () => bearer(trial), may: UNGRANTED });
  const right = await developmentToken("demo", { scope: ["pets:write"] });
  await probe(gateway, routes, { name: "with a right one", headers: () => bearer(right), may: good });
  await gateway.clock(Date.now() + 13 * 3600_000);
  count += await probe(gateway, routes, { name: "expired", headers: () => bearer(right), may: EXPIRED });
  await notLogged(gateway, [demo, trial, right]);
  console.log(`the sample tree: ${count} refused, 0 let in, 0 of status 500`);
});

// The generated tree with what a test must have: an issuer whose keys are at hand, answers of its own, callers
// with every grant and with none, and no limit that is met.
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
  await change("gateway.yaml", ["jwks: https://login.acme.example/jwks.json", "jwks: keys.json"], ["dev: {", "dev: { mocks: allowed,"]);
  for (const name of await readdir(join(ROOT, folder, "environments"))) await change(`environments/${name}`, [/^hosts:.*\n/, ""]);
  for (const name of await readdir(join(ROOT, folder, "apis"))) {
    await change(`apis/${name}/api.yaml`, [/^ {4}upstream: .*\n {4}upstream_credential: .*\n/gm, "    mock: openapi\n"], [/^limits:\n.*\n/m, ""]);
  }
  for (const name of await readdir(join(ROOT, folder, "templates"))) {
    await change(`templates/${name}`, [/rate: \d+\/s/, "rate: 100_000/s"], [/^ +timeouts: \{ first_byte.*\n/m, ""]);
  }
  await writeFile(join(ROOT, folder, "plans/probe.yaml"), "plan: probe\nlimits: [{ rate: 1_000_000/s }]\nprecision: local\n");
  const key = `tpk_probe_${randomBytes(20).toString("hex")}`;
  const sha256 = createHash("sha256").update("tpk_probe_not-a-secret").digest("hex");
  const consumer = (name, more) => writeFile(join(ROOT, folder, `consumers/${name}.yaml`),
    `consumer: ${name}\nowner: team-tests\nplan: probe\ncredentials:\n  - jwt: { issuer: workforce, is: ${name} }\n${more}`);
  await consumer("probe", `  - key: { sha256: ${sha256}, expires: ${new Date(Date.now() + 200 * 86_400_000).toISOString().slice(0, 10)} }\nmay:\n  - { apis: all }\n  - { models: all }\n`);
  await consumer("probe-nothing", "may: []\n");
  return { folder, stranger: key };
}

test("a generated tree of 1,000 operations", async (t) => {
  const { folder, stranger } = await generated();
  const build = await buildTree(folder, { faults: false });
  const gateway = await startGateway({ build });
  t.after(() => gateway.stop());
  // With the public keys in it.
  const routes = await routesOf(`${build}/policies`);
  assert.ok(routes.length >= 950, `${routes.length} operations`);
  const began = performance.now();

  const now = Math.floor(Date.now() / 1000);
  const claims = (more) => ({ iss: "https://login.acme.example/", aud: "https://api.acme.example", client_id: "probe", sub: "probe", iat: now, exp: now + 600, ...more });
  const pair = await keys("ES256");
  const [stolen, unknown] = [await newKeys("ES256", pair.kid), await newKeys("ES256", "unknown")];
  const foreign = [
    bearer(await sign(stolen, claims())), bearer(await sign(unknown, claims())),
    bearer(await sign(pair, claims({ iss: "https://login.other.example/" }))),
    bearer(await sign(pair, claims({ aud: "https://api.other.example" }))),
    bearer(await sign(pair, claims({ client_id: "somebody" }))), bearer(await hmac("probe", claims())),
    { "x-api-key": stranger }, { "x-goog-api-key": "tpk_wide_not-a-secret" }, { authorization: "Bearer tpk_probe_another-secret" },
  ];
  const late = bearer(await sign(pair, claims({ iat: now - 1200, exp: now - 60 })));
  const partner = bearer(await sign(pair, claims({ iss: "https://partners.acme.example/", azp: "probe" })));
  const [plain, nothing] = [await sign(pair, claims()), await sign(pair, claims({ client_id: "probe-nothing", scope: routes.flatMap(({ scopes }) => scopes).slice(0, 3).join(" ") }))];
  let count = 0;
  for (const kind of [
    { name: "without a credential", headers: () => ({}), may: UNKNOWN },
    { name: "malformed", headers: (i) => MALFORMATIONS[i % MALFORMATIONS.length], may: MALFORMED },
    { name: "foreign", headers: (i) => foreign[i % foreign.length], may: WRONG },
    { name: "of an issuer whose keys are out of reach", headers: () => partner, may: ["503 keys_unavailable"] },
    { name: "expired", headers: () => late, may: EXPIRED },
    { name: "of a consumer that may nothing", headers: () => bearer(nothing), may: UNGRANTED },
  ]) count += await probe(gateway, routes, kind);
  const scoped = routes.filter(({ scopes }) => scopes.length > 0);
  assert.ok(scoped.length > routes.length / 3);
  for (const [name, headers] of [["a token", bearer(plain)], ["a key", { "x-api-key": "tpk_probe_not-a-secret" }]]) {
    count += await probe(gateway, scoped, { name: `${name} without the scope`, headers: () => headers, may: UNDER });
  }
  // Neither does another method, nor what lies beside a route.
  const beside = routes.flatMap(({ path }) => ["GET", "POST", "PUT", "PATCH", "DELETE", "HEAD"].map((method) => ({ method, path })));
  const places = [...new Map(beside.map((one) => [`${one.method} ${one.path}`, one])).values()];
  count += await probe(gateway, places, { name: "any method, without a credential", headers: () => ({}), may: (status) => [401, 405].includes(status) });

  const whole = new Map();
  for (const { scopes } of scoped) {
    const scope = scopes.join(" ");
    if (!whole.has(scope)) whole.set(scope, bearer(await sign(pair, claims({ scope }))));
  }
  const right = (i, { scopes }) => (scopes.length === 0 ? bearer(plain) : whole.get(scopes.join(" ")));
  await probe(gateway, routes, { name: "with a right one", headers: right, may: good });
  await notLogged(gateway, [plain, nothing, stranger, "tpk_probe_not-a-secret"]);
  const seconds = (performance.now() - began) / 1000;
  console.log(`${routes.length} operations: ${count} refused, 0 let in, 0 of status 500, in ${seconds.toFixed(1)} s`);
});
