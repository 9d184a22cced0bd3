// Operators, with the command that they use: what they see of a consumer's limits, and what they give back.

import assert from "node:assert/strict";
import { execFile } from "node:child_process";
import { mkdtemp, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { test } from "node:test";
import { setTimeout as sleep } from "node:timers/promises";
import { chat, key, startE2e } from "./harness/e2e.mjs";
import { parseList } from "./harness/fields.mjs";
import { command } from "./harness/token.mjs";
import { PORTS, completion, json, startUpstream } from "./harness/upstream.mjs";

const NOON = Date.UTC(2042, 5, 15, 12);

/** Runs `turnpike limits` as a consumer. */
function limits(gateway, consumer, args, credential = key("oncall")) {
  const all = ["limits", args[0], "--url", gateway.url, "--consumer", consumer, ...args.slice(1)];
  const env = { ...process.env, TURNPIKE_TOKEN: credential, NO_COLOR: "1" };
  return new Promise((done) => {
    execFile(command(), all, { env }, (error, stdout, stderr) => done({ code: error?.code ?? 0, stdout, stderr }));
  });
}

async function pass(gateway, consumer, count) {
  let passed = 0;
  for (let i = 0; i < count; i++) {
    const response = await gateway.fetch("/petstore/v2/pets", { headers: { "x-api-key": key(consumer) } });
    await response.arrayBuffer();
    passed += Number(response.status === 200);
  }
  return passed;
}

test("a credit is booked once, seen, kept across a restart, and logged", async (t) => {
  const persist = await mkdtemp(join(tmpdir(), "turnpike-objects-"));
  t.after(() => rm(persist, { recursive: true, force: true }));
  const round = async (work) => {
    const gateway = await startE2e({ clock: true, persist });
    try {
      await gateway.clock(NOON);
      return await work(gateway);
    } finally {
      await gateway.stop();
    }
  };
  const credit = ["credit", "--limit", "daily:quota-day", "--amount", "4", "--reason", "our outage", "--id", "inc-1"];
  let name;
  await round(async (gateway) => {
    assert.equal(await pass(gateway, "daily", 21), 20);
    const page = JSON.parse((await limits(gateway, "daily", ["show", "--format", "json"])).stdout);
    assert.deepEqual([page.limits[0].remaining, page.limits[0].limit, page.credits], [0, 20, []]);
    name = page.limits[0].name;
    credit[2] = name;
    const given = await limits(gateway, "daily", credit);
    assert.equal(given.code, 0, given.stderr);
    assert.match(given.stdout, /^4 requests given back to daily of .*; it has 4 requests of 20 requests left\n$/);
    const line = gateway.logs.find((known) => known.credit !== undefined);
    assert.deepEqual(line.credit, { consumer: "daily", limit: name, asked: 4, booked: 4, reason: "our outage", id: "inc-1" });
    assert.deepEqual([line.consumer, line.operation, line.status], ["oncall", "limits.credit", 200]);
    assert.equal(await pass(gateway, "daily", 1), 1);
  });
  await round(async (gateway) => {
    const again = await limits(gateway, "daily", credit);
    assert.match(again.stdout, /^4 requests given back .*; it has 3 requests of/);
    assert.equal(await pass(gateway, "daily", 10), 3);
    const shown = await limits(gateway, "daily", ["show"]);
    assert.match(shown.stdout, new RegExp(`4 requests +${name} +oncall +2042-06-15T12:00:00Z +inc-1 +our outage`));
    // Six of the ten are left to give.
    const more = await limits(gateway, "daily", [...credit.slice(0, 4), "7", ...credit.slice(5, 7)]);
    assert.equal(more.code, 2);
    assert.match(more.stderr, /429 credit_exceeded: .* 6 more requests in this window.* It may pass in 43200 s/s);
    assert.match(more.stderr, /add `--id [0-9a-f]{16}`/);
  });
});

test("a credit of money is given in dollars, and the books balance to the nano-dollar", async (t) => {
  // 500 tokens at 2 USD and 100 at 10 USD for a million: 0.002 USD.
  const usage = { prompt_tokens: 500, completion_tokens: 100, total_tokens: 600 };
  const upstream = await startUpstream(PORTS.chat, (request, response) => json(response, completion("priced-model", "ok", usage)));
  t.after(() => upstream.stop());
  const gateway = await startE2e({ clock: true });
  t.after(() => gateway.stop());
  await gateway.clock(NOON);
  const limit = "spend:spend-day";
  const credit = (amount, id) => limits(gateway, "spender", ["credit", "--limit", limit, "--amount", amount, "--reason", "as agreed", "--id", id]);
  const row = async () => {
    const page = JSON.parse((await limits(gateway, "spender", ["show", "--format", "json"])).stdout);
    return page.limits.find(({ name }) => name === limit);
  };
  for (let i = 0; i < 4; i++) {
    const response = await chat(gateway, { as: "spender", model: "priced" });
    assert.equal(response.status, 200, await response.text());
  }
  // Each is settled after its answer.
  const until = Date.now() + 5_000;
  while ((await row()).remaining !== 82_000_000 && Date.now() < until) await sleep(50);
  assert.deepEqual(await row(), {
    name: limit, kind: "spend", unit: "nano_usd", limit: 90_000_000, remaining: 82_000_000, window_seconds: 86_400, reset_seconds: 43_200,
  });
  const given = await credit("0.004 USD", "inc-2");
  assert.equal(given.code, 0, given.stderr);
  assert.equal(given.stdout, `0.004 USD given back to spender of ${limit}; it has 0.086 USD of 0.09 USD left\n`);
  const again = await credit("0.004 USD", "inc-2");
  assert.equal(again.stdout, given.stdout, "the same one is given once");
  const lines = () => gateway.logs.filter((known) => known.credit !== undefined);
  for (let i = 0; i < 100 && lines().length < 2; i++) await sleep(20);
  const booked = { consumer: "spender", limit, asked: 4_000_000, booked: 4_000_000, reason: "as agreed", id: "inc-2" };
  assert.deepEqual(lines().map((line) => line.credit), [booked, booked]);
  const least = await credit("0.000000001 USD", "inc-3");
  assert.match(least.stdout, /^0\.000000001 USD given back .*; it has 0\.086000001 USD of 0\.09 USD left\n$/);
  // Of its cent a day it has given so much.
  const more = await credit("0.006 USD", "inc-4");
  assert.equal(more.code, 2, more.stdout);
  assert.match(more.stderr, /429 credit_exceeded: `oncall` may give back 5999999 more nano-USD in this window\./);
  const shown = await limits(gateway, "spender", ["show"]);
  assert.match(shown.stdout, new RegExp(`${limit} +spend +0\\.086000001 USD +0\\.09 USD`));
  assert.match(shown.stdout, new RegExp(`0\\.004 USD +${limit} +oncall +2042-06-15T12:00:00Z +inc-2 +as agreed`));
  // What was given back is there for calls, and no more than that.
  const response = await chat(gateway, { as: "spender", model: "priced", max_tokens: 1 });
  const said = parseList(response.headers.get("ratelimit")).find(({ name }) => name === limit);
  assert.ok(said.r > 82_000_000 && said.r < 86_000_001, `${said.r}`);
});

test("what is wrong is told with its remedy, and changes nothing", async (t) => {
  const gateway = await startE2e({ clock: true });
  t.after(() => gateway.stop());
  await gateway.clock(NOON);
  await pass(gateway, "daily", 5);
  const credit = (limit, amount) => ["credit", "--limit", limit, "--amount", amount, "--reason", "x"];
  const page = JSON.parse((await limits(gateway, "daily", ["show", "--format", "json"])).stdout);
  const { name } = page.limits[0];
  const rows = [
    [["daily", ["show"], key("wide")], /403 operator_required: `wide` is no operator of this gateway/],
    [["daily", ["show"], key("no-such")], /401 credential_invalid/],
    [["daily", ["show"], ""], /\$TURNPIKE_TOKEN is not set/],
    [["dayly", ["show"]], /404 not_found: There is no consumer `dayly`/],
    [["a b", ["show"]], /`a b` is not the name of a consumer/],
    [["daily", credit("tokens-day", "1")], new RegExp(`has no limit \`tokens-day\` .*, but ${name}`)],
    [["daily", credit(name, "1 USD")], /`1 USD` is not a number of requests/],
    [["daily", credit(name, "0")], /`0` is not a number of requests/],
    [["spender", credit("spend:spend-day", "5")], /`5` is not an amount such as `12.50 USD`/],
    [["tokens", credit("tokens:tokens-day", "5")], /403 operator_required: `oncall` may not give back tokens/],
  ];
  for (const [args, says] of rows) {
    const said = await limits(gateway, ...args);
    assert.equal(said.code, 2, said.stdout);
    assert.match(said.stderr, says);
  }
  const after = JSON.parse((await limits(gateway, "daily", ["show", "--format", "json"])).stdout);
  assert.deepEqual(after, page);
  const wrong = await limits({ url: "http://127.0.0.1:9" }, "daily", ["show"]);
  assert.equal(wrong.code, 2);
  assert.match(wrong.stderr, /http:\/\/127\.0\.0\.1:9: /);
});
