// Decision points: what they are asked, and what becomes of a request while one misbehaves on purpose. The tree is
// tests/trees/decisions.

import assert from "node:assert/strict";
import { after, before, beforeEach, describe, test } from "node:test";
import { setTimeout as sleep } from "node:timers/promises";
import { buildTree } from "./harness/build.mjs";
import { bearer } from "./harness/e2e.mjs";
import { startGateway } from "./harness/gateway.mjs";
import { PORTS, json, startUpstream } from "./harness/upstream.mjs";

const SECRET = "of the decision point";
let build;
let gateway;
let upstream;
let point;
let decide;

before(async () => {
  build = await buildTree("tests/trees/decisions");
  upstream = await startUpstream(PORTS.rest, (request, response) => json(response, { ok: true }));
  point = await startUpstream(PORTS.oidc, (request, response, body) => decide(request, response, body));
});
beforeEach(async () => {
  await start();
  upstream.requests.length = 0;
  point.requests.length = 0;
  decide = (request, response) => json(response, { decision: true });
});
after(async () => {
  await gateway?.stop();
  await upstream?.stop();
  await point?.stop();
});

async function start(secrets = { POINT_SECRET: SECRET }) {
  await gateway?.stop();
  gateway = await startGateway({ build, secrets });
}
const call = async (path, { sub = "mia", ...init } = {}) =>
  gateway.fetch(path, { ...init, headers: { authorization: await bearer("wide", { sub }), "content-type": "application/json" } });
async function refused(answer, status, code) {
  const body = await answer.json();
  assert.deepEqual([answer.status, body.code], [status, code], JSON.stringify(body));
  assert.equal(upstream.requests.length, 0);
  return gateway.line(answer.headers.get("x-request-id"));
}

describe("a decision point", () => {
  test("is asked by AuthZEN, with its own credential, and its yes is remembered", async () => {
    for (let times = 0; times < 3; times++) assert.equal((await call("/pets/v1/7%20a")).status, 200);
    assert.equal(upstream.requests.length, 3);
    const [{ method, url, headers, body }, ...more] = point.requests;
    assert.equal(more.length, 0);
    assert.deepEqual([method, url], ["POST", "/access/v1/evaluation"]);
    assert.deepEqual([headers.authorization, headers["content-type"]], [`Bearer ${SECRET}`, "application/json"]);
    assert.deepEqual(JSON.parse(body), {
      subject: { type: "user", id: "mia" }, action: { name: "read" }, resource: { type: "pet", id: "7 a" },
    });
    assert.ok(!JSON.stringify(gateway.logs).includes(SECRET));
  });

  test("is asked as OpenFGA wants it, each time where nothing is remembered", async () => {
    decide = (request, response) => json(response, { allowed: true });
    for (let times = 0; times < 2; times++) {
      assert.equal((await call("/pets/v1/7", { method: "PUT", body: "{}" })).status, 200);
    }
    assert.equal(point.requests.length, 2);
    const [{ url, headers, body }] = point.requests;
    assert.deepEqual([url, headers.authorization], ["/stores/s/check", undefined]);
    assert.deepEqual(JSON.parse(body), {
      tuple_key: { user: "user:mia", relation: "writer", object: "pet:7" }, authorization_model_id: "m1",
    });
    assert.equal(`${upstream.requests[1].body}`, "{}");
  });

  test("says no, of this caller alone", async () => {
    decide = (request, response, body) => json(response, { decision: JSON.parse(body).subject.id === "mia" });
    const line = await refused(await call("/pets/v1/7", { sub: "tom" }), 403, "relation_missing");
    assert.equal(line.reason, "the decision point said no");
    assert.match(line.policy_line, /apis\/pets\/api\.yaml:\d+$/);
    assert.equal((await call("/pets/v1/7")).status, 200);
  });

  const long = "x".repeat(20_000);
  for (const [what, answer, why] of [
    ["hangs", () => {}, /did not answer in time/],
    ["hangs in its answer", (response) => { response.writeHead(200, { "content-type": "application/json" }); response.write('{"decision":'); }, /did not answer in time|cannot be reached/],
    ["fails", (response) => json(response, { decision: true }, 500), /answered 500/],
    ["refuses the gateway", (response) => json(response, { decision: true }, 401), /answered 401/],
    ["redirects", (response) => response.writeHead(307, { location: `http://127.0.0.1:${PORTS.oidc}/yes` }).end(), /answered 307/],
    ["answers a page", (response) => response.writeHead(200, { "content-type": "text/html" }).end('{"decision":true}'), /not in JSON/],
    ["says no type", (response) => response.writeHead(200).end('{"decision":true}'), /not in JSON/],
    ["answers nonsense", (response) => json(response, "yes"), /no sense/],
    ["answers in a text", (response) => json(response, { decision: "true" }), /no sense/],
    ["answers too much", (response) => json(response, { decision: true, context: long }), /too large/],
    ["hangs up", (response) => response.destroy(), /cannot be reached/],
    ["is another kind of point", (response) => json(response, { allowed: true }), /no sense/],
  ]) {
    test(`that ${what} allows nothing`, async () => {
      decide = (request, response) => answer(response);
      const began = performance.now();
      const answered = await call("/pets/v1/7");
      assert.equal(answered.headers.get("retry-after"), "1");
      assert.match((await refused(answered, 503, "decision_unavailable")).reason, why);
      assert.ok(performance.now() - began < 2_000);
      // It is left alone for a moment; then it is asked again.
      decide = (request, response) => json(response, { decision: true });
      await sleep(1_100);
      assert.equal((await call("/pets/v1/7")).status, 200);
      assert.equal(point.requests.length, 2);
    });
  }

  test("is not asked without its secret", async () => {
    await start({});
    assert.match((await refused(await call("/pets/v1/7"), 503, "decision_unavailable")).reason, /secret/);
    assert.equal(point.requests.length, 0);
  });

  test("is asked nothing that means something else to it", async () => {
    decide = (request, response) => json(response, { allowed: true });
    for (const id of ["a%3Ab", "a%23member", "%2A"]) {
      await refused(await call(`/pets/v1/${id}`, { method: "PUT", body: "{}" }), 403, "condition_not_met");
    }
    assert.equal(point.requests.length, 0);
  });
});
