// What limits count apart, what they count, and in which windows: each to its 429 through the built Worker, with
// the clock held. The limit that refuses is the one that is named, and what it does not count goes on.

import assert from "node:assert/strict";
import { readFile } from "node:fs/promises";
import { after, before, beforeEach, describe, test } from "node:test";
import { setTimeout as sleep } from "node:timers/promises";
import { bearer, key, startE2e } from "./harness/e2e.mjs";
import { parseList } from "./harness/fields.mjs";
import { PORTS, completion, json, startUpstream } from "./harness/upstream.mjs";

const SECOND = 1000;
const MINUTE = 60 * SECOND;
const HOUR = 60 * MINUTE;
const DAY = 24 * HOUR;
let day = Date.UTC(2043, 5, 15, 12);

let gateway;
let upstream;
before(async () => {
  upstream = await startUpstream(PORTS.chat, null);
  gateway = await startE2e({ clock: true });
});
after(async () => {
  await gateway?.stop();
  await upstream?.stop();
});
// Each test has a day, and so a window, of its own.
beforeEach(async () => {
  day += DAY;
  await gateway.clock(day);
  upstream.answer = (request, response) => json(response, completion("upstream-model", "ok"));
});

async function answerOf(response) {
  return { status: response.status, headers: response.headers, body: JSON.parse(await response.text()) };
}
const pets = async (headers, init = {}) => answerOf(await gateway.fetch("/petstore/v2/pets", { ...init, headers: { ...headers, ...init.headers } }));
const pet = async (headers) => answerOf(await gateway.fetch("/petstore/v2/pets/1", { headers }));
const ask = async (headers, model, messages = [{ role: "user", content: "hi" }]) => answerOf(await gateway.fetch("/v1/chat/completions", {
  method: "POST",
  headers: { "content-type": "application/json", ...headers },
  body: JSON.stringify({ model, messages }),
}));

// That a plan's limit refused, the one that is so written in its file, and under this name.
async function isRefused({ status, headers, body }, plan, written, id, code) {
  const problem = body.error ?? body;
  assert.deepEqual([status, problem.code], [429, code], JSON.stringify(body));
  const lines = (await readFile(new URL(`trees/e2e/plans/${plan}.yaml`, import.meta.url), "utf8")).split("\n");
  assert.equal(problem.policy, `policies/plans/${plan}.yaml:${1 + lines.findIndex((line) => line.includes(written))}`);
  // The error object of models has no member for it.
  if (body.error === undefined) assert.deepEqual(body["violated-policies"], [id]);
  else assert.ok(body.error.message.includes(`\`${id}\``), body.error.message);
  assert.ok(parseList(headers.get("ratelimit")).some(({ name }) => name === id), headers.get("ratelimit"));
  assert.ok(Number(headers.get("retry-after")) >= 1);
}
// How much that limit has left.
const left = ({ headers }, id) => parseList(headers.get("ratelimit")).find(({ name }) => name === id)?.r;

describe("three a minute for each", () => {
  const by = (consumer, more = {}) => ({ "x-api-key": key(consumer), ...more });
  // Of the time at which the clock stands.
  const token = async (consumer, claims) => {
    const [iat, exp] = [day / SECOND, day / SECOND + 600];
    return { authorization: await bearer(consumer, { iat, exp, ...claims }) };
  };
  const all = [
    {
      what: "value of a claim",
      plan: "by-claim",
      id: "by-claim:rate-60s-claim",
      one: async () => pets(await token("by-claim", { department: "stores" })),
      others: {
        "another value": async () => pets(await token("by-claim", { department: "sales" })),
        "an API key, which has no claims": () => pets(by("by-claim")),
      },
      same: {
        "another subject's token with that value": async () => pets(await token("by-claim", { department: "stores", sub: "somebody" })),
      },
    },
    {
      what: "value of a header",
      plan: "by-header",
      id: "by-header:rate-60s-consumer-header",
      one: () => pets(by("by-header", { "x-tenant": "acme" })),
      others: {
        "another value": () => pets(by("by-header", { "x-tenant": "other" })),
        "none at all": () => pets(by("by-header")),
      },
      same: { "the same value, for another operation": () => pet(by("by-header", { "x-tenant": "acme" })) },
    },
    {
      what: "credential",
      plan: "by-credential",
      id: "by-credential:rate-60s-credential",
      one: async () => pets(await token("by-credential", { sub: "alice" })),
      others: {
        "another subject's token": async () => pets(await token("by-credential", { sub: "bob" })),
        "the consumer's key": () => pets(by("by-credential")),
      },
      same: { "another token of that subject": async () => pets(await token("by-credential", { sub: "alice", jti: "another" })) },
    },
    {
      what: "operation",
      plan: "by-operation",
      id: "by-operation:rate-60s-operation",
      one: () => pets(by("by-operation")),
      others: { "another operation": () => pet(by("by-operation")) },
      same: { "the same one, with a parameter": async () => answerOf(await gateway.fetch("/petstore/v2/pets?limit=1", { headers: by("by-operation") })) },
    },
    {
      what: "model",
      plan: "by-model",
      id: "by-model:rate-60s-model",
      one: () => ask(by("by-model"), "plain"),
      others: { "another model": () => ask(by("by-model"), "scripted") },
      same: { "the same model, asked something else": () => ask(by("by-model"), "plain", [{ role: "user", content: "what?" }]) },
    },
    {
      what: "upstream of models",
      plan: "by-upstream",
      id: "by-upstream:rate-60s-upstream",
      one: () => ask(by("by-upstream"), "plain"),
      others: {
        "another provider": () => ask(by("by-upstream"), "scripted"),
        "an API": () => pets(by("by-upstream")),
      },
      same: {},
    },
    {
      what: "upstream of APIs",
      plan: "by-upstream",
      id: "by-upstream:rate-60s-upstream",
      one: () => pets(by("by-upstream")),
      others: { "a provider of models": () => ask(by("by-upstream"), "plain") },
      same: {
        "another operation of that version": () => pet(by("by-upstream")),
      },
    },
  ];
  for (const { what, plan, id, one, others, same } of all) {
    test(what, async () => {
      for (let i = 0; i < 3; i++) assert.equal((await one()).status, 200, `the ${i + 1}. of 3`);
      const asked = upstream.requests.length;
      await isRefused(await one(), plan, "rate: 3/min", id, "rate_limited");
      for (const [name, call] of Object.entries(same)) {
        const { status } = await call();
        assert.equal(status, 429, name);
      }
      assert.equal(upstream.requests.length, asked, "who is refused reaches no upstream");
      for (const [name, call] of Object.entries(others)) {
        const passes = await call();
        assert.equal(passes.status, 200, `${name}: ${JSON.stringify(passes.body)}`);
        assert.equal(left(passes, id), 2, `${name} has three of its own`);
      }
      await gateway.clock(day + 20 * SECOND);
      assert.equal((await one()).status, 200, "one in twenty seconds");
      assert.equal((await one()).status, 429);
    });
  }
});

test("bytes of bodies, as they are announced or read; what has none goes on, and what fits", async () => {
  const headers = { "x-api-key": key("in-bytes"), "content-type": "application/json" };
  const id = "in-bytes:bytes-day";
  const text = (length) => JSON.stringify({ name: "x".repeat(length - '{"name":""}'.length) });
  const post = (body) => pets(headers, { method: "POST", body, ...(typeof body === "string" ? {} : { duplex: "half" }) });
  const first = await post(text(400));
  assert.deepEqual([first.status, left(first, id)], [201, 624]);
  // Of this one nobody says how long it is.
  const chunked = await post(new Blob([text(400)]).stream());
  assert.deepEqual([chunked.status, left(chunked, id)], [201, 224]);
  await isRefused(await post(text(225)), "in-bytes", "bytes: 1KiB/day", id, "budget_exceeded");
  assert.equal((await pets(headers)).status, 200);
  const last = await post(text(224));
  assert.deepEqual([last.status, left(last, id)], [201, 0]);
  assert.equal((await post(text(20))).status, 429);
  assert.equal((await pets(headers)).status, 200);
  // What is larger than the whole is told so, and not when to come again.
  const never = await post(text(1025));
  assert.deepEqual([never.status, never.body.code, never.body["violated-policies"]], [429, "budget_exceeded", [id]]);
  assert.deepEqual(["retry-after", "ratelimit", "ratelimit-policy"].map((name) => never.headers.get(name)), [null, null, null]);
  await gateway.clock(day + 12 * HOUR);
  assert.equal((await post(text(1024))).status, 201, "the next day has a whole one");
});

test("days of a place: from its midnight, by its clocks", async () => {
  const headers = { "x-api-key": key("in-berlin") };
  const id = "in-berlin:quota-day";
  const written = "quota: 3/day";
  // Midnight there is at 22:00 UTC in summer, and at 23:00 in winter; what follows is in winter too.
  for (const [noon, midnight] of [[day, 22], [Date.UTC(2043, 11, 15, 12), 23]]) {
    day = noon;
    await gateway.clock(noon);
    for (let i = 0; i < 3; i++) assert.equal((await pets(headers)).status, 200);
    const refused = await pets(headers);
    await isRefused(refused, "in-berlin", written, id, "quota_exceeded");
    assert.equal(Number(refused.headers.get("retry-after")), (midnight - 12) * 60 * 60);
    await gateway.clock(noon + (midnight - 12) * HOUR - 1);
    assert.equal((await pets(headers)).status, 429);
    await gateway.clock(noon + (midnight - 12) * HOUR);
    const opened = await pets(headers);
    assert.deepEqual([opened.status, left(opened, id)], [200, 2]);
    // Midnight in UTC is none there.
    await gateway.clock(noon + 12 * HOUR);
    assert.equal(left(await pets(headers), id), 1);
  }
});

test("a rolling window: never more in any hour, whatever the calendar says", async () => {
  const headers = { "x-api-key": key("in-rolling-hours") };
  const id = "in-rolling-hours:quota-rolling-h";
  const begin = day + 50 * MINUTE;
  await gateway.clock(begin);
  assert.equal((await pets(headers)).status, 200);
  await gateway.clock(begin + 5 * MINUTE);
  for (let i = 0; i < 2; i++) assert.equal((await pets(headers)).status, 200);
  const refused = await pets(headers);
  await isRefused(refused, "in-rolling-hours", "window: rolling", id, "quota_exceeded");
  // An hour of the calendar begins, and nothing comes back.
  for (const minutes of [10, 11, 40, 59]) {
    await gateway.clock(begin + minutes * MINUTE);
    assert.equal((await pets(headers)).status, 429, `${minutes} minutes later`);
  }
  // The first one comes back after its hour, at most a twentieth of it late; the others do not yet.
  const wait = Number(refused.headers.get("retry-after")) * SECOND;
  assert.ok(wait >= 55 * MINUTE && wait <= 58 * MINUTE, `${wait}`);
  await gateway.clock(begin + 5 * MINUTE + wait);
  assert.equal((await pets(headers)).status, 200);
  assert.equal((await pets(headers)).status, 429);
  await gateway.clock(begin + 5 * MINUTE + 63 * MINUTE);
  for (let i = 0; i < 2; i++) assert.equal((await pets(headers)).status, 200);
  assert.equal((await pets(headers)).status, 429);
});

// A call reserves what its body may be (its bytes and 512) of the input, and 100 of the output; it is settled at what
// the upstream counts.
const CALLS = 2;
for (const { half, usage, id, other } of [
  { half: "input", usage: [500, 1], id: "in-halves:input-tokens-day", other: "in-halves:output-tokens-day" },
  { half: "output", usage: [3, 90], id: "in-halves:output-tokens-day", other: "in-halves:input-tokens-day" },
]) {
  test(`tokens of ${half} alone: they are used up, and of the others nearly all is left`, async () => {
    const [input, output] = usage;
    upstream.answer = (request, response) => json(response, completion("priced-model", "ok", {
      prompt_tokens: input, completion_tokens: output, total_tokens: input + output,
    }));
    const call = () => ask({ "x-api-key": key("in-halves") }, "priced", [{ role: "user", content: "x".repeat(140) }]);
    for (let i = 0; i < CALLS; i++) {
      const answer = await call();
      assert.equal(answer.status, 200, JSON.stringify(answer.body));
      // A settlement is made after the answer.
      await sleep(200);
    }
    const asked = upstream.requests.length;
    const refused = await call();
    await isRefused(refused, "in-halves", `of: ${half}`, id, "budget_exceeded");
    assert.equal(refused.headers.get("x-should-retry"), "false");
    assert.equal(upstream.requests.length, asked);
    const limits = { "in-halves:input-tokens-day": [1500, input], "in-halves:output-tokens-day": [250, output] };
    for (const name of [id, other]) {
      const [limit, each] = limits[name];
      assert.equal(left(refused, name), limit - CALLS * each, name);
    }
    // Another day, which is nobody else's.
    await gateway.clock(day + 12 * HOUR);
    assert.equal((await call()).status, 200);
    day += DAY;
  });
}
