// Tokens that are granted, as many isolates and one object see them, under a clock that the test holds: what is
// kept, for how long, who asks how often, and what becomes of answers that come late. The same through the built
// Worker: tests/upstream-tokens.test.mjs.

import assert from "node:assert/strict";
import { afterEach, beforeEach, describe, test } from "node:test";
import { createGrant, read } from "../src/grant.js";

const T0 = Date.parse("2026-11-23T12:00:00Z");
const GRANT = { object: "grant:1", endpoint: "https://login.test/token", clientId: "gw", secret: "S", post: true, form: [] };
const bytes = (value) => new TextEncoder().encode(JSON.stringify(value));

const realFetch = globalThis.fetch;
let now;
let lines;
// What was sent to the token endpoint, and what it answers.
let asked;
let answers;
// The objects: each has a store that outlives it.
let stores;
let objects;
let calls;

beforeEach(() => {
  [now, lines, asked, calls] = [T0, [], [], []];
  [stores, objects] = [new Map(), new Map()];
  answers = () => ({ access_token: `t${asked.length}`, token_type: "Bearer", expires_in: 100 });
  globalThis.fetch = async (url, init) => {
    asked.push(Object.fromEntries(new URLSearchParams(init.body)));
    const answer = await answers();
    return answer instanceof Response ? answer : Response.json(answer);
  };
});
afterEach(() => { globalThis.fetch = realFetch; });

const log = (line) => lines.push(JSON.parse(line));
const clock = () => now;

function objectOf(name) {
  if (!stores.has(name)) stores.set(name, { value: null });
  const store = stores.get(name);
  if (!objects.has(name)) {
    objects.set(name, createGrant({ get: () => store.value, put: (value) => { store.value = value; } }, clock, log));
  }
  return objects.get(name);
}
// The platform forgets what objects have in memory.
const evict = () => objects.clear();

let isolates = 0;
// Another isolate: a module of its own, so that nothing is shared but the objects.
async function isolate(secret = "one") {
  const { granted } = await import(`../src/grant.js?${isolates++}`);
  const METER = {
    getByName: (name) => ({
      granted: (question) => {
        calls.push(name);
        return objectOf(name).token(structuredClone(question));
      },
    }),
  };
  const waiting = [];
  const call = { env: { METER }, ctx: { waitUntil: (promise) => waiting.push(promise) } };
  const token = async (refused = null, grant = GRANT, value = secret) => {
    const got = await granted(grant, value, refused, call, clock, log);
    await Promise.all(waiting.splice(0));
    return got;
  };
  return token;
}

describe("a granted token", () => {
  test("is asked for once by many isolates, and so is one that is refused", async () => {
    const tokens = await Promise.all(Array.from({ length: 50 }, () => isolate()));
    assert.deepEqual(new Set(await Promise.all(tokens.map((token) => token()))), new Set(["t1"]));
    assert.equal(asked.length, 1);
    answers = () => Response.json({ error: "invalid_client" }, { status: 401 });
    now += 200_000;
    for (const token of tokens) {
      evict();
      assert.equal(await token(), null);
    }
    assert.equal(asked.length, 2, "the brake is the object's, and outlives its memory");
    now += 10_000;
    for (const token of tokens) assert.equal(await token(), null);
    assert.equal(asked.length, 3);
  });

  test("that an upstream does not take is still everybody's until there is another", async () => {
    const [one, other] = [await isolate(), await isolate()];
    assert.deepEqual([await one(), await other()], ["t1", "t1"]);
    answers = () => Response.json({}, { status: 500 });
    // A 401 that is not about the token, again and again.
    for (let times = 0; times < 1000; times++) assert.equal(await one("t1"), null);
    assert.deepEqual([asked.length, calls.length], [2, 3]);
    assert.deepEqual([await one(), await other()], ["t1", "t1"]);
    assert.equal(await (await isolate())(), "t1", "nor has the object lost it");
    now += 9_999;
    assert.equal(await one("t1"), null);
    assert.equal(asked.length, 2);
    // Then it is replaced, and who still has it learns so.
    answers = () => ({ access_token: "better", token_type: "Bearer", expires_in: 100 });
    now += 1;
    assert.equal(await one("t1"), "better");
    assert.deepEqual([await one(), await other("t1"), await other()], ["better", "better", "better"]);
    assert.equal(asked.length, 3);
    // One that is refused as well is not replaced by the next at once.
    assert.equal(await other("better"), null);
    assert.equal(await (await isolate())("better"), null);
    assert.equal(asked.length, 3);
  });

  test("that many requests find refused at once is replaced for all of them by one", async () => {
    const token = await isolate();
    await token();
    assert.deepEqual(new Set(await Promise.all(Array.from({ length: 20 }, () => token("t1")))), new Set(["t2"]));
    assert.deepEqual([asked.length, calls.length], [2, 2]);
  });

  test("does not outlive a change of the secret", async () => {
    const before = await isolate("before");
    assert.equal(await before(), "t1");
    const after = await isolate("after");
    assert.equal(await after(), "t2");
    assert.deepEqual(asked.map(({ client_secret: secret }) => secret), ["before", "after"]);
    // Also under an isolate that lives on; nor is a brake for the wrong one that of the right one.
    answers = () => (asked.at(-1).client_secret === "right" ? { access_token: "r", token_type: "Bearer" } : new Response(null, { status: 401 }));
    assert.equal(await before(null, GRANT, "wrong"), null);
    assert.equal(await before(null, GRANT, "right"), "r");
    assert.ok(![...stores.keys()].some((name) => /before|after|right|wrong/.test(name)));
    assert.ok([...stores.keys()].every((name) => /^grant:1:[0-9a-f]{8}$/.test(name)));
    assert.ok(!JSON.stringify([...stores.values()]).includes("right"));
  });

  test("is not asked for without a secret, whichever version asks", async () => {
    for (const secret of [undefined, null, "", 7]) {
      const { token } = await objectOf("grant:1").token({ grant: GRANT, secret, refused: null });
      assert.equal(token, null);
    }
    assert.equal(asked.length, 0);
  });

  test("is not replaced by an older answer that comes later", async () => {
    const open = [];
    answers = () => new Promise((resolve) => open.push(resolve));
    const grant = objectOf("grant:1");
    const question = { grant: GRANT, secret: "one", refused: null };
    const first = grant.token(question);
    now += 7_000;
    const second = grant.token(question);
    while (open.length < 2) await new Promise(setImmediate);
    open[1]({ access_token: "newer", token_type: "Bearer", expires_in: 100 });
    assert.equal((await second).token, "newer");
    open[0]({ access_token: "older", token_type: "Bearer", expires_in: 100 });
    assert.equal((await first).token, "newer");
    assert.equal(stores.get("grant:1").value.token, "newer");
  });

  test("has a lifetime that is believed within bounds", () => {
    const lifetime = (said) => {
      const got = read(bytes({ access_token: "t", token_type: "Bearer", ...said }), 0);
      return typeof got === "string" ? got : got.good;
    };
    const day = 86_400_000 - 5_000;
    for (const [said, good] of [
      [undefined, 55_000], [null, 55_000], [100, 95_000], ["100", 95_000], [1, 900], [1.5, 1350],
      [86_401, day], [1e300, day], ["999999999999999", day],
      [0, "bad_lifetime"], [0.5, "bad_lifetime"], [-1, "bad_lifetime"], [-1e300, "bad_lifetime"], ["", "bad_lifetime"],
      ["-1", "bad_lifetime"], ["1e3", "bad_lifetime"], [true, "bad_lifetime"], [[100], "bad_lifetime"], [{}, "bad_lifetime"],
    ]) assert.equal(lifetime(said === undefined ? {} : { expires_in: said }), good, JSON.stringify(said));
  });

  test("that is used is kept, whatever else comes", async () => {
    const token = await isolate();
    for (let other = 0; other < 600; other++) {
      await token();
      await token(null, { ...GRANT, object: `grant:other-${other}` });
    }
    assert.equal(calls.filter((name) => name.startsWith("grant:1:")).length, 1);
  });
});
