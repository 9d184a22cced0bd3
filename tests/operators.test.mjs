// Operators, with the command that they use: what they see of a consumer's limits, and what they give back.

import assert from "node:assert/strict";
import { execFile } from "node:child_process";
import { mkdtemp, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { test } from "node:test";
import { key, startE2e } from "./harness/e2e.mjs";
import { command } from "./harness/token.mjs";

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
