// Conditions on claims and requests, and claims that become headers, through the built Worker.

import assert from "node:assert/strict";
import { after, before, beforeEach, test } from "node:test";
import { SECRETS, bearer, key, startE2e } from "./harness/e2e.mjs";
import { raw } from "./harness/raw.mjs";
import { claims, hmac } from "./harness/token.mjs";
import { PORTS, json, startUpstream } from "./harness/upstream.mjs";

let gateway;
let upstream;
before(async () => {
  upstream = await startUpstream(PORTS.rest, (request, response) => json(response, { ok: true }));
  gateway = await startE2e({ cf: { country: "DE" } });
});
after(async () => {
  await gateway?.stop();
  await upstream?.stop();
});
beforeEach(() => { upstream.requests.length = 0; });

const as = async (more) => ({ authorization: await bearer("wide", more) });
const call = (path, headers, init = {}) => gateway.fetch(`/staff/v1${path}`, { headers, ...init });

// Status, and code where it is a refusal.
async function outcome(path, headers, init) {
  const answer = await call(path, headers, init);
  const body = await answer.json();
  return { status: answer.status, code: body.code, body, line: await gateway.line(answer.headers.get("x-request-id")) };
}

test("a condition lets pass whom it is true for", async () => {
  const good = await as({ department: "stores", level: 2 });
  for (let times = 0; times < 2; times++) {
    assert.equal((await outcome("/shelves", good)).status, 200, "also of a token that is known already");
  }
  for (const more of [
    {},
    { department: "stores" },
    { department: "stores", level: 1 },
    { department: "stores", level: "2" },
    { department: ["stores"], level: 2 },
    { department: "Stores", level: 2 },
  ]) {
    const { status, code } = await outcome("/shelves", await as(more));
    assert.deepEqual([status, code], [403, "condition_not_met"], JSON.stringify(more));
  }
  assert.equal(upstream.requests.length, 2);
});

test("what is missing proves nothing, also where it is negated", async () => {
  const post = { method: "POST" };
  const roles = (list) => as({ realm_access: { roles: list } });
  assert.equal((await outcome("/shelves", await roles(["clerk"]), post)).status, 200);
  for (const headers of [
    await roles(["clerk", "visitor"]),
    await roles("clerk"),
    await roles([1]),
    await as({}),
    await as({ realm_access: ["clerk"] }),
    // Another issuer does not declare it, and a key has no claims.
    { authorization: `Bearer ${await hmac(SECRETS.E2E_HMAC_SECRET, claims("e2e-hmac", "wide", { realm_access: { roles: ["clerk"] } }))}` },
    { "x-api-key": key("wide") },
  ]) {
    const { status, code } = await outcome("/shelves", headers, post);
    assert.deepEqual([status, code], [403, "condition_not_met"]);
  }
});

test("the client is not told what was asked, the log is", async () => {
  const { body, line } = await outcome("/shelves", await as({ department: "hq", level: 7 }));
  assert.doesNotMatch(body.detail, /department|stores|level/);
  assert.match(body.policy, /\/apis\/staff\/api\.yaml:8$/, "this environment explains by the line");
  assert.equal(line.code, "condition_not_met");
  assert.match(line.policy_line, /\/apis\/staff\/api\.yaml:8$/);
  assert.equal(line.reason, "the condition does not hold");
  const missing = await outcome("/shelves", await as({ level: 7 }));
  assert.match(missing.line.reason, /`claims\.department` is missing/);
});

test("a parameter of the path is compared as it is read", async () => {
  const mia = await as({ sub: "mia lee" });
  assert.equal((await outcome("/desks/mia%20lee", mia)).status, 200);
  assert.equal((await outcome("/desks/%6Dia%20lee", mia)).status, 200);
  assert.equal((await outcome("/desks/tom", mia)).code, "condition_not_met");
});

test("the country is the platform's word, never the client's", async () => {
  const headers = { "x-api-key": key("wide") };
  assert.equal((await outcome("/flags", headers)).status, 200);
  const unknown = await startE2e();
  try {
    const answer = await unknown.fetch("/staff/v1/flags", { headers: { ...headers, "cf-ipcountry": "DE" } });
    assert.equal(answer.status, 403);
    assert.equal((await answer.json()).code, "condition_not_met");
  } finally {
    await unknown.stop();
  }
});

// What reached the upstream, of everything that could be taken for one of these headers.
function told() {
  const { rawHeaders } = upstream.requests.at(-1);
  const found = {};
  for (let i = 0; i < rawHeaders.length; i += 2) {
    const name = rawHeaders[i].toLowerCase().replaceAll("_", "-");
    if (/^x-(user|roles|level)$/.test(name)) (found[name] ??= []).push(rawHeaders[i + 1]);
  }
  return found;
}

const FORGED = [
  "x-user", "root", "X-User", "root", "X_USER", "root", "x_user", "root", "x-roles", "admin", "X-ROLES", "admin",
  "x_level", "9", "X-Level", "9",
];

test("an upstream is told what the token says, whatever the client sends", async () => {
  const ask = async (credential) => {
    const answer = await raw(gateway.url, { path: "/staff/v1/lunch", headers: [...FORGED, ...Object.entries(credential).flat(), "host", "gateway.test"] });
    assert.equal(answer.status, 200);
    return told();
  };
  const token = await as({ sub: "Mia Lee", level: 2.5, realm_access: { roles: ["a,b", "ü", "c\r\nx-admin: 1"] } });
  assert.deepEqual(await ask(token), {
    "x-user": ["Mia%20Lee"],
    "x-level": ["2.5"],
    "x-roles": ["a%2Cb,%C3%BC,c%0D%0Ax-admin:%201"],
  });
  assert.deepEqual(await ask(await as({ sub: "tom", level: "9", realm_access: { roles: [] } })), { "x-user": ["tom"] });
  assert.deepEqual(await ask({ "x-api-key": key("wide") }), {}, "of a key nothing is known that could be told");
});

const ROLES = { realm_access: { roles: ["clerk"] } };
const GOOD = { scope: "models:use", department: "stores", ...ROLES };

test("a model asks for scopes and conditions as an operation does, in the SDK's own shape", async () => {
  const call = async (more) => {
    const headers = { "content-type": "application/json", ...(await as(more)) };
    const body = JSON.stringify({ model: "asking", messages: [{ role: "user", content: "hi" }] });
    const answer = await gateway.fetch("/v1/chat/completions", { method: "POST", headers, body });
    return { status: answer.status, challenge: answer.headers.get("www-authenticate"), body: await answer.json() };
  };
  for (let times = 0; times < 2; times++) {
    const { status, body } = await call(GOOD);
    assert.equal(status, 200, "also of a token that is known already");
    assert.equal(body.object, "chat.completion");
  }
  for (const more of [
    { ...GOOD, department: "hq" },
    { ...GOOD, department: ["stores"] },
    { scope: "models:use", ...ROLES },
    { scope: "models:use", department: "stores" },
    { ...GOOD, realm_access: { roles: ["visitor"] } },
    { ...GOOD, realm_access: ["clerk"] },
  ]) {
    const { status, body } = await call(more);
    assert.deepEqual([status, body.error.code, body.error.type], [403, "condition_not_met", "permission_error"], JSON.stringify(more));
    assert.doesNotMatch(body.error.message, /department|stores|visitor/);
    assert.match(body.error.policy, /models\/asking\.yaml:6$/);
  }
  const { status, challenge, body } = await call({ ...GOOD, scope: "models" });
  assert.deepEqual([status, body.error.code], [403, "insufficient_scope"]);
  assert.match(challenge, /^Bearer error="insufficient_scope", scope="models:use"/);
});

test("the list of models shows what its caller may call now", async () => {
  const listed = async (more) => {
    const answer = await gateway.fetch("/v1/models", { headers: await as(more) });
    return (await answer.json()).data.some((model) => model.id === "asking");
  };
  assert.equal(await listed(GOOD), true);
  assert.equal(await listed({ ...GOOD, department: "hq" }), false);
  assert.equal(await listed({ ...GOOD, scope: "pets:write" }), false);
});
