// Every request leaves one structured line that tells who, what, what was decided and why, what was tried
// and what was used. No line holds a credential, a secret, a body or a query.

import assert from "node:assert/strict";
import { after, before, test } from "node:test";
import { SECRETS, bearer, chat, key, startE2e } from "./harness/e2e.mjs";
import { hmac, claims } from "./harness/token.mjs";
import { PORTS, chunks, completion, event, json, startUpstream } from "./harness/upstream.mjs";

const PROMPT = "the-words-of-the-prompt";
const ANSWER = "the-words-of-the-answer";
let gateway;
let upstream;
// What must be in no line.
const forbidden = [...Object.values(SECRETS), key("wide"), PROMPT, ANSWER, "hidden-in-the-query", "hidden-in-a-cookie"];

before(async () => {
  upstream = await startUpstream(PORTS.chat, (request, response, body) => {
    const asked = JSON.parse(body);
    const usage = { prompt_tokens: 11, completion_tokens: 4, total_tokens: 15, prompt_tokens_details: { cached_tokens: 2 } };
    if (asked.stream !== true) return json(response, completion(asked.model, ANSWER, usage));
    response.writeHead(200, { "content-type": "text/event-stream" });
    for (const data of chunks(asked.model, [ANSWER], { usage })) response.write(event(data));
    response.end(event("[DONE]"));
  });
  gateway = await startE2e();
});
after(async () => {
  await gateway?.stop();
  await upstream?.stop();
});

async function lineOf(response) {
  await response.text();
  return gateway.line(response.headers.get("x-request-id"));
}
const say = { messages: [{ role: "user", content: PROMPT }] };

test("a call of a model", async () => {
  const began = Date.now();
  const trace = "4bf92f3577b34da6a3ce929d0e0e4736";
  const line = await lineOf(await chat(gateway, { ...say, headers: { traceparent: `00-${trace}-00f067aa0ba902b7-01` } }));
  const { time, ms, request_id, policy, attempts: [{ ms: took, ...attempt }], ...rest } = line;
  assert.ok(time >= began && time <= Date.now() && ms >= 0 && took >= 0 && took <= ms);
  assert.match(request_id, /^[0-9a-f]{32}$/);
  assert.match(policy, /^[0-9a-f]{16,64}$/);
  assert.deepEqual(rest, {
    event: "request",
    trace_id: trace,
    gateway: "e2e",
    environment: "dev",
    method: "POST",
    operation: "chat.completions",
    model: "plain",
    consumer: "wide",
    subject: "wide",
    status: 200,
    decision: "passed",
    usage: { input_tokens: 11, output_tokens: 4, cached_tokens: 2, settled: "counted" },
  });
  assert.deepEqual(attempt, { to: "chat/upstream-model", status: 200 });
  assert.equal(line.attempts.length, 1);
});

test("a streamed call", async () => {
  const line = await lineOf(await chat(gateway, { ...say, stream: true }));
  assert.deepEqual(line.usage, { input_tokens: 11, output_tokens: 4, cached_tokens: 2, settled: "counted" });
  assert.deepEqual([line.status, line.decision, line.client_gone], [200, "passed", undefined]);
});

test("a call of an API", async () => {
  const line = await lineOf(await gateway.fetch("/petstore/v2/pets?limit=hidden-in-the-query", {
    headers: { authorization: await bearer("wide"), cookie: "a=hidden-in-a-cookie" },
  }));
  assert.deepEqual(
    [line.operation, line.consumer, line.status, line.decision, line.usage, line.attempts],
    ["petstore/v2#listPets", "wide", 200, "passed", undefined, undefined],
  );
});

test("refusals say which rule, and why; the reason is for the log alone", async () => {
  const lines = {};
  const garbage = "tpk_some_garbage-that-is-no-key";
  const wrong = await hmac("another-secret-that-is-long-enough-for-this-0123456789abcdef", claims("e2e-hmac", "wide"));
  forbidden.push(garbage, wrong, wrong.split(".")[2]);
  const get = (path, headers) => gateway.fetch(path, { headers });
  for (const [name, call, status, code] of [
    ["no credential", () => get("/petstore/v2/pets"), 401, "credential_missing"],
    ["no key", () => get("/petstore/v2/pets", { "x-api-key": garbage }), 401, "credential_invalid"],
    ["wrong signature", () => get("/petstore/v2/pets", { authorization: `Bearer ${wrong}` }), 401, "credential_invalid"],
    ["not granted", () => get("/petstore/v2/pets", { "x-api-key": key("nothing") }), 403, "operation_not_allowed"],
    ["no route", () => get("/nothing/hidden?x=hidden-in-the-query"), 404, "not_found"],
    ["no model", () => chat(gateway, { ...say, model: "no-such-model" }), 404, "model_not_found"],
    ["no JSON", () => gateway.fetch("/v1/chat/completions", {
      method: "POST", headers: { "x-api-key": key("wide"), "content-type": "application/json" }, body: `{"${PROMPT}`,
    }), 400, "invalid_json"],
  ]) {
    const response = await call();
    assert.equal(response.status, status, name);
    const line = await lineOf(response);
    assert.deepEqual([line.status, line.code, line.decision], [status, code, "refused"], name);
    lines[name] = line;
  }
  assert.equal(typeof lines["wrong signature"].reason, "string");
  assert.match(lines["not granted"].policy_line, /^policies\/consumers\/nothing\.yaml:\d+/);
  assert.equal(lines["not granted"].consumer, "nothing");
  assert.equal(lines["no model"].model, "no-such-model");
});

test("failures name each attempt", async () => {
  const line = await lineOf(await chat(gateway, { ...say, model: "unreachable" }));
  assert.deepEqual([line.status, line.code, line.decision], [502, "upstream_unreachable", "failed"]);
  assert.deepEqual(line.attempts.map(({ to, failed }) => [to, failed]), [["nobody/any-model", "unreachable"]]);
  const rescued = await lineOf(await chat(gateway, { ...say, model: "rescued" }));
  assert.deepEqual(
    rescued.attempts.map(({ to, failed, status }) => [to, failed, status]),
    [["nobody/any-model", "unreachable", undefined], ["backup/secondary-model", undefined, 200]],
  );
  const unready = await lineOf(await chat(gateway, { ...say, model: "unready" }));
  assert.deepEqual([unready.status, unready.code], [503, "secret_missing"]);
});

test("pages of the gateway's own, preflights and OPTIONS leave a line as well", async () => {
  const before = gateway.logs.filter(({ event }) => event === "request").length;
  await (await gateway.fetch("/_turnpike/version")).text();
  await (await gateway.fetch("/petstore/v2/pets", { method: "OPTIONS" })).text();
  const answer = await gateway.fetch("/nothing");
  await lineOf(answer);
  const lines = gateway.logs.filter(({ event }) => event === "request").slice(before);
  assert.deepEqual(lines.map(({ method, status }) => `${method} ${status}`), ["GET 200", "OPTIONS 204", "GET 404"]);
});

test("the id that a page of the gateway's own shows is that of its line", async () => {
  const line = await lineOf(await gateway.fetch("/_turnpike/version"));
  assert.deepEqual([line.operation, line.status, line.decision], ["/_turnpike/version", 200, "passed"]);
});

test("one line for each request, and nothing in any that must not be there", () => {
  const lines = gateway.logs.filter(({ event }) => event === "request");
  assert.equal(new Set(lines.map(({ request_id }) => request_id)).size, lines.length, "no request has two lines");
  assert.ok(gateway.logs.every((line) => typeof line.event === "string"), "every line is structured");
  const text = gateway.logs.map((line) => JSON.stringify(line)).join("\n");
  for (const secret of forbidden) assert.ok(!text.includes(secret), `the log holds ${secret}`);
  assert.ok(!/eyJ[\w-]+\.eyJ/.test(text), "the log holds a token");
});

test("a failure of the half that is off the hot path is one line, too", async () => {
  const response = await gateway.fetch("/_turnpike/panic");
  assert.equal(response.status, 500);
  const line = await lineOf(response);
  assert.deepEqual([line.operation, line.status, line.code, line.decision], ["/_turnpike/panic", 500, "internal", "failed"]);
  await lineOf(await gateway.fetch("/_turnpike/version"));
  const lines = gateway.logs.filter(({ event, operation }) => event === "request" && operation === "/_turnpike/panic");
  assert.equal(lines.length, 1);
});

test("a secret that went missing is in the log before a request needs it, and costs none", async (t) => {
  const poor = await startE2e({ secrets: { E2E_CHAT_KEY: "" } });
  t.after(() => poor.stop());
  assert.equal((await poor.scheduled()).outcome, "ok");
  const told = poor.logs.filter(({ event }) => event === "secrets");
  assert.deepEqual(told, [{ event: "secrets", missing: ["E2E_CHAT_KEY", "E2E_NEVER_SET"] }]);
  assert.equal((await poor.fetch("/_turnpike/version")).status, 200);
});
