// A limit is a limit: never exceeded by concurrency or by a restart, and what clients are told about it
// is true. Most tests hold the clock, so that they can count exactly. Each has a consumer, or a time, of
// its own.

import assert from "node:assert/strict";
import { mkdtemp, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { after, before, describe, test } from "node:test";
import { setTimeout as sleep } from "node:timers/promises";
import { key, startE2e } from "./harness/e2e.mjs";
import { parseList } from "./harness/fields.mjs";

const PETS = "/petstore/v2/pets";
const DAY = 24 * 60 * 60 * 1000;
// Tests that use the same consumer do so on days of their own, when all it owed is paid.
const NOON = Date.UTC(2040, 5, 15, 12);
let day = 0;
const nextDay = () => NOON + DAY * day++;

// Sends so many requests at once, from an address of its own; answers their statuses and headers.
let addresses = 0;
async function send(gateway, consumer, count = 1, { path = PETS, init = {} } = {}) {
  const address = `198.51.100.${1 + (addresses++ % 250)}`;
  return Promise.all(Array.from({ length: count }, async () => {
    const response = await gateway.fetch(path, {
      ...init,
      headers: { "x-api-key": key(consumer), "cf-connecting-ip": address, ...init.headers },
    });
    const text = await response.text();
    return { status: response.status, headers: response.headers, body: text === "" ? null : JSON.parse(text) };
  }));
}
const passed = (answers) => answers.filter(({ status }) => status === 200).length;

describe("with the clock held", () => {
  let gateway;
  before(async () => { gateway = await startE2e({ clock: true, deployed: true }); });
  after(() => gateway?.stop());

  test("1,022 requests at once against 100 a minute: exactly 100 pass", async () => {
    await gateway.clock(nextDay());
    const answers = await send(gateway, "minute-a", 1022);
    assert.equal(passed(answers), 100);
    const refused = answers.filter(({ status }) => status !== 200);
    assert.equal(refused.length, 922);
    for (const { status, body } of refused) assert.deepEqual([status, body.code], [429, "rate_limited"]);
    // Each that passed was told another number: none was admitted twice.
    const left = answers.filter(({ status }) => status === 200).map(({ headers }) => parseList(headers.get("ratelimit"))[0].r);
    assert.deepEqual(left.sort((a, b) => a - b), Array.from({ length: 100 }, (_, i) => i));
    // Another consumer on the same plan is not affected.
    assert.equal(passed(await send(gateway, "minute-b", 50)), 50);
  });

  test("limits in two objects, 300 requests at once from three addresses: each keeps its own, and refusals cost nothing", async () => {
    await gateway.clock(nextDay());
    const from = (address, count, path) => send(gateway, "shared", count, { path, init: { headers: { "cf-connecting-ip": address } } });
    const answers = await Promise.all(["203.0.113.1", "203.0.113.2", "203.0.113.3"].map((address) => from(address, 100)));
    for (const each of answers) assert.ok(passed(each) <= 40, `${passed(each)}`);
    const all = passed(answers.flat());
    assert.ok(all <= 70, `${all}`);
    // What was tried while others came may have kept them out; nothing of it is left when all is decided.
    await sleep(200);
    const rest = [];
    for (const address of ["203.0.113.1", "203.0.113.2", "203.0.113.3"]) {
      const one = await from(address, 1);
      rest.push(...one);
      if (one[0].status === 200) rest.push(...await from(address, 40));
    }
    for (let i = 0; i < 70; i++) rest.push(...await from("203.0.113.4", 1));
    const codes = new Set(rest.filter(({ status }) => status !== 200).map(({ body }) => body.code));
    assert.ok(codes.has("quota_exceeded"), [...codes].join());
    assert.equal(all + passed(rest), 70, "who was refused was not charged, and who was charged passed");
    // The quota is at its end, exactly: whoever comes is refused for it, and from no address is anything gone.
    const looked = await from("203.0.113.9", 1, "/_turnpike/limits");
    const left = Object.fromEntries(looked[0].body.limits.map(({ name, remaining }) => [name, remaining]));
    assert.deepEqual([left["shared:quota-day"], left["shared:rate-60s-address"]], [0, 40]);
  });

  test("a caller that changes its address inside its network, or how it is written, is one caller", async () => {
    await gateway.clock(nextDay());
    const from = (addresses) => Promise.all(addresses.map(async (address) => {
      const [answer] = await send(gateway, "shared", 1, { init: { headers: { "cf-connecting-ip": address } } });
      return answer;
    }));
    const network = Array.from({ length: 60 }, (_, i) => `2001:db8:7:8:${i.toString(16)}::${(i * 977).toString(16)}`);
    assert.equal(passed(await from(network)), 40, "40 a minute for each address, and a network of 64 bits is one");
    assert.equal(passed(await from(["2001:0DB8:0007:0008::1", "2001:db8:7:8::192.0.2.1"])), 0);
    const written = ["192.0.2.7", "::ffff:192.0.2.7", "::FFFF:c000:207"];
    assert.equal(passed(await from(Array.from({ length: 30 }, (_, i) => written[i % 3]))), 30);
    const [{ body }] = await send(gateway, "shared", 1, { path: "/_turnpike/limits", init: { headers: { "cf-connecting-ip": "192.0.2.7" } } });
    const left = Object.fromEntries(body.limits.map(({ name, remaining }) => [name, remaining]));
    assert.deepEqual([left["shared:quota-day"], left["shared:rate-60s-address"]], [0, 10]);
  });

  test("a limit in the shadow is in the log, and holds nobody back", async () => {
    await gateway.clock(nextDay());
    const answers = await send(gateway, "shared", 8);
    assert.equal(passed(answers), 8);
    const lines = await Promise.all(answers.map(({ headers }) => gateway.line(headers.get("x-request-id"))));
    const reported = lines.filter(({ shadow_limits: named }) => named !== undefined);
    assert.equal(reported.length, 3);
    assert.deepEqual(reported[0].shadow_limits, ["shared:rate-60s-consumer-operation"]);
    assert.ok(!answers[0].headers.get("ratelimit").includes("operation"));
  });

  test("1,022 requests at once against 600 a minute, of which portions are taken in advance: never more", async () => {
    const now = nextDay();
    await gateway.clock(now);
    const count = passed(await send(gateway, "leased", 1022));
    // While portions are out, what the rate emits in a second is set aside: ten. A portion that is asked for
    // while others ask may come too late for them.
    assert.ok(count <= 600 && count >= 500, `${count}`);
    await gateway.clock(now + 6_000);
    const more = passed(await send(gateway, "leased", 1022));
    assert.ok(count + more <= 660, `${count} and ${more}`);
    await gateway.clock(now + 30_000);
    // One after another: nearly all are admitted without asking, and told so.
    for (let i = 0; i < 100; i++) {
      const [{ status, headers }] = await send(gateway, "leased");
      assert.equal(status, 200);
      assert.ok(parseList(headers.get("ratelimit"))[0].r <= 600);
    }
  });

  test("a caller sees its own standing, and pays nothing for it", async () => {
    await gateway.clock(nextDay());
    await send(gateway, "minute-b", 3);
    for (let i = 0; i < 2; i++) {
      const [{ status, body }] = await send(gateway, "minute-b", 1, { path: "/_turnpike/limits" });
      assert.equal(status, 200);
      assert.deepEqual(body, {
        consumer: "minute-b",
        plan: "minute",
        limits: [{
          name: "minute:rate-60s", kind: "rate", unit: "requests",
          limit: 100, remaining: 97, window_seconds: 60, reset_seconds: 1,
        }],
      });
    }
    assert.equal((await gateway.fetch("/_turnpike/limits")).status, 401);
  });

  test("what clients are told: parseable, never rising while time stands, and true", async () => {
    const now = nextDay();
    await gateway.clock(now);
    let before = 101;
    for (let i = 0; i < 100; i++) {
      const [{ status, headers }] = await send(gateway, "minute-a");
      assert.equal(status, 200);
      const [stated] = parseList(headers.get("ratelimit-policy"));
      assert.deepEqual([stated.q, stated.w], [100, 60]);
      const [left] = parseList(headers.get("ratelimit"));
      assert.equal(left.name, stated.name);
      assert.ok(left.r < before, `${left.r} after ${before}`);
      assert.ok(left.t === undefined || left.t > 0);
      before = left.r;
    }
    assert.equal(before, 0);
    const [{ status, headers, body }] = await send(gateway, "minute-a");
    assert.equal(status, 429);
    const wait = Number(headers.get("retry-after"));
    assert.equal(wait, 1, "100 a minute are one in 600 ms, in whole seconds");
    assert.equal(body.type, "https://iana.org/assignments/http-problem-types#quota-exceeded");
    assert.match(headers.get("content-type"), /^application\/problem\+json/);
    await gateway.clock(now + 599);
    assert.equal((await send(gateway, "minute-a"))[0].status, 429, "not a millisecond too early");
    await gateway.clock(now + wait * 1000);
    assert.equal((await send(gateway, "minute-a"))[0].status, 200, "as it was told");
    await gateway.clock(now + 60_000 + 600);
    assert.equal(passed(await send(gateway, "minute-a", 150)), 100, "a minute later all is paid");
  });

  test("two limits at once: both are charged or none", async () => {
    const now = nextDay();
    await gateway.clock(now);
    const named = (headers, q) => {
      const { name } = parseList(headers.get("ratelimit-policy")).find((item) => item.q === q);
      return parseList(headers.get("ratelimit")).find((item) => item.name === name).r;
    };
    const first = await send(gateway, "both", 30);
    assert.equal(passed(first), 10, "10 a minute");
    const [{ status, body, headers }] = await send(gateway, "both");
    assert.deepEqual([status, body.code], [429, "rate_limited"]);
    assert.equal(named(headers, 15), 5, "what the rate refuses is not charged to the quota");
    await gateway.clock(now + 60_000);
    const second = await send(gateway, "both", 30);
    assert.equal(passed(second), 5, "15 a day");
    const refusal = second.find(({ body }) => body.code === "quota_exceeded");
    assert.ok(refusal, "the quota refuses, and says so");
    assert.equal(named((await send(gateway, "both"))[0].headers, 10), 5, "nor the other way round");
    // Until midnight (UTC), to the second.
    assert.equal(Number(refusal.headers.get("retry-after")), 12 * 60 * 60 - 60);
  });

  test("a quota is exact, and opens at midnight UTC", async () => {
    const noon = nextDay();
    await gateway.clock(noon);
    assert.equal(passed(await send(gateway, "daily", 100)), 20);
    await gateway.clock(noon + DAY / 2 - 1);
    assert.equal(passed(await send(gateway, "daily", 10)), 0);
    await gateway.clock(noon + DAY / 2);
    assert.equal(passed(await send(gateway, "daily", 100)), 20);
  });

  test("a clock that goes back opens nothing", async () => {
    const now = nextDay();
    await gateway.clock(now);
    assert.equal(passed(await send(gateway, "minute-b", 120)), 100);
    await gateway.clock(now - 30_000);
    assert.equal(passed(await send(gateway, "minute-b", 20)), 0);
  });

  test("a request that is refused for another reason is charged nowhere", async () => {
    await gateway.clock(nextDay());
    const refusals = [
      ["/petstore/v2/nothing", 404],
      ["/petstore/v0/pets", 410],
      ["/petstore/v2/pets/1", 403, { method: "DELETE" }],
      ["/v1/models/no-such-model", 404],
      ["/v1/chat/completions", 400, { method: "POST", headers: { "content-type": "application/json" }, body: "{" }],
    ];
    for (const [path, expected, init] of refusals) {
      const answers = await send(gateway, "minute-b", 3, { path, init });
      assert.deepEqual(answers.map(({ status }) => status), [expected, expected, expected], path);
    }
    const [{ headers }] = await send(gateway, "minute-b");
    assert.equal(parseList(headers.get("ratelimit"))[0].r, 99);
  });

  test("a model's and an API's own limit stand on top of the plan's", async () => {
    await gateway.clock(nextDay());
    const call = { path: "/v1/chat/completions" };
    const body = (model) => ({
      init: {
        method: "POST",
        headers: { "content-type": "application/json" },
        body: JSON.stringify({ model, messages: [{ role: "user", content: "hi" }] }),
      },
    });
    // Nobody answers on the other side: what was admitted fails there, and is charged nevertheless.
    const answers = [];
    for (let i = 0; i < 5; i++) answers.push(...await send(gateway, "wide", 1, { ...call, ...body("own-limit") }));
    assert.deepEqual(answers.map(({ status }) => status), [502, 502, 502, 429, 429]);
    const { body: refusal, headers } = answers[3];
    assert.equal(refusal.error.code, "quota_exceeded");
    assert.match(refusal.error.policy, /^policies\/models\/own-limit\.yaml:\d+$/);
    assert.equal(headers.get("x-should-retry"), "false", "an SDK shall not wait for tomorrow");
    assert.equal((await send(gateway, "wide", 1, { ...call, ...body("scripted") }))[0].status, 200, "other models go on");
    assert.equal((await send(gateway, "daily", 1, { ...call, ...body("own-limit") }))[0].status, 502, "other consumers too");
    const invoices = await send(gateway, "wide", 9, { path: "/billing/v1/invoices" });
    assert.deepEqual(invoices.map(({ status }) => status).sort(), [429, 429, 429, 429, 502, 502, 502, 502, 502]);
  });

  test("the shield: what is refused counts for its address as well, and for nobody else's", async () => {
    await gateway.clock(nextDay());
    const from = (address, path, headers = {}) => gateway.fetch(path, { headers: { "cf-connecting-ip": address, ...headers } })
      .then(async (response) => ({ status: response.status, retry: response.headers.get("retry-after"), body: await response.json() }));
    const flood = (address) => Promise.all(Array.from({ length: 2100 }, (_, i) => (
      i % 2 === 0 ? from(address, "/nothing/here") : from(address, PETS, { "x-api-key": `tpk_wrong_${i}` }))));
    const answers = await flood("203.0.113.77");
    const count = (wanted) => answers.filter(({ status }) => status === wanted).length;
    assert.deepEqual([count(404) + count(401), count(429)], [2000, 100]);
    const refused = answers.find(({ status }) => status === 429);
    assert.deepEqual([refused.body.code, refused.retry], ["too_many_requests", "1"]);
    // Also who has a key, as long as it comes from there.
    const good = { "x-api-key": key("open") };
    assert.equal((await from("203.0.113.77", PETS, good)).status, 429);
    assert.equal((await from("203.0.113.78", PETS, good)).status, 200);
  });

  test("local precision: the same law within one isolate, without asking anyone", async () => {
    const now = nextDay();
    await gateway.clock(now);
    const answers = await send(gateway, "local-a", 100);
    assert.equal(passed(answers), 30);
    assert.equal(Number(answers.find(({ status }) => status === 429).headers.get("retry-after")), 2);
    assert.equal(passed(await send(gateway, "local-b", 20)), 20, "another consumer is not affected");
    const [{ body }] = await send(gateway, "local-a", 1, { path: "/_turnpike/limits" });
    assert.deepEqual(body.limits, [{
      name: "local:rate-60s", kind: "rate", unit: "requests",
      limit: 30, remaining: 0, window_seconds: 60, reset_seconds: 2, approximate: true,
    }]);
    await gateway.clock(now + 2000);
    assert.equal(passed(await send(gateway, "local-a", 10)), 1);
  });
});

describe("in real time, 1,022 requests against 100 a minute: 100 pass, and what flows back meanwhile", () => {
  let gateway;
  before(async () => { gateway = await startE2e({ deployed: true }); });
  after(() => gateway?.stop());
  const flow = 100 / 60;

  test("all of them at once", async (t) => {
    const began = Date.now();
    const answers = await send(gateway, "minute-a", 1022);
    const elapsed = (Date.now() - began) / 1000;
    const admitted = passed(answers);
    const most = 100 + Math.ceil(elapsed * flow);
    t.diagnostic(`${admitted} of 1,022 passed in ${elapsed} s; 100 to ${most} may`);
    for (const { status, body } of answers) {
      if (status !== 200) assert.deepEqual([status, body.code], [429, "rate_limited"]);
    }
    assert.ok(admitted >= 100 && admitted <= most, `${admitted} passed in ${elapsed} s; 100 to ${most} may`);
  });

  test("in waves", async (t) => {
    const began = Date.now();
    let admitted = 0;
    let sent = 0;
    let first;
    let last;
    // In waves, so that there is a meanwhile: each takes what has flowed back since the one before.
    while (sent < 1022) {
      if (first !== undefined) await sleep(300);
      last = Date.now();
      const answers = await send(gateway, "minute-b", 73);
      first ??= Date.now();
      sent += answers.length;
      admitted += passed(answers);
      for (const { status, body } of answers) {
        if (status !== 200) assert.deepEqual([status, body.code], [429, "rate_limited"]);
      }
    }
    const elapsed = (Date.now() - began) / 1000;
    const most = 100 + Math.ceil(elapsed * flow);
    const least = 100 + Math.floor(((last - first) / 1000) * flow);
    t.diagnostic(`${admitted} of ${sent} passed in ${elapsed} s; ${least} to ${most} may`);
    assert.equal(sent, 1022);
    assert.ok(admitted >= least && admitted <= most, `${admitted} passed in ${elapsed} s; ${least} to ${most} may`);
  });
});

test("what was spent survives a restart", async (t) => {
  const persist = await mkdtemp(join(tmpdir(), "turnpike-objects-"));
  t.after(() => rm(persist, { recursive: true, force: true }));
  const now = nextDay();
  const round = async (work) => {
    const gateway = await startE2e({ clock: true, deployed: true, persist });
    try {
      await gateway.clock(now);
      return await work(gateway);
    } finally {
      await gateway.stop();
    }
  };
  const spent = await round(async (gateway) => ({
    rate: passed(await send(gateway, "minute-a", 60)),
    quota: passed(await send(gateway, "daily", 13)),
    both: passed(await send(gateway, "both", 4)),
  }));
  assert.deepEqual(spent, { rate: 60, quota: 13, both: 4 });
  const rest = await round(async (gateway) => ({
    rate: passed(await send(gateway, "minute-a", 100)),
    quota: passed(await send(gateway, "daily", 100)),
    both: passed(await send(gateway, "both", 100)),
  }));
  assert.equal(rest.quota, 7, "a quota is exact across a restart");
  assert.equal(rest.both, 6, "so is a rate that is asked together with a quota");
  assert.ok(rest.rate <= 40, `never more than the limit: ${rest.rate} after 60 of 100`);
  // A rate alone is stored a little ahead of the truth: a tenth of its burst at the most.
  assert.ok(rest.rate >= 30, `and hardly less: ${rest.rate}`);
});
