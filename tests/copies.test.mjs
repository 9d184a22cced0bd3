// Key sets that isolates of one point of presence share through the platform's cache: a fresh one need not ask the
// issuer, nothing lives on for longer than it would without, and a cache that fails is as if it were empty. Each
// gateway here is a fresh isolate; what they share is a folder. The clock is held.

import assert from "node:assert/strict";
import { mkdtemp, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { after, before, beforeEach, describe, test } from "node:test";
import { setTimeout as sleep } from "node:timers/promises";
import { copyOf, share } from "../src/copies.js";
import { startE2e } from "./harness/e2e.mjs";
import { claims, newKeys, sign } from "./harness/token.mjs";
import { PORTS, json, startUpstream } from "./harness/upstream.mjs";

const MINUTE = 60_000;

let issuer;
let upstream;
let one;
let two;
let folder;
let gateway;
let began;
let answer;

before(async () => {
  upstream = await startUpstream(PORTS.rest, (request, response) => json(response, { ok: true }));
  issuer = await startUpstream(PORTS.jwks, (request, response) => answer(response));
  [one, two] = [await newKeys("ES256", "one"), await newKeys("ES256", "two")];
});
beforeEach(async () => {
  await gateway?.stop();
  gateway = null;
  if (folder !== undefined) await rm(folder, { recursive: true, force: true });
  folder = await mkdtemp(join(tmpdir(), "turnpike-copies-"));
  began = Date.now();
  issuer.requests.length = 0;
  publish(one);
});
after(async () => {
  await gateway?.stop();
  await upstream?.stop();
  await issuer?.stop();
  if (folder !== undefined) await rm(folder, { recursive: true, force: true });
});

const publish = (...pairs) => { answer = (response) => json(response, { keys: pairs.map(({ publicJwk }) => publicJwk) }); };
const asked = () => issuer.requests.length;

// A fresh isolate, so many milliseconds after the test began.
async function isolate(at) {
  await gateway?.stop();
  gateway = await startE2e({ clock: true, persist: folder });
  await gateway.clock(began + at);
}
async function call(pair, at) {
  const iat = Math.floor((began + at) / 1000) - 1;
  const token = await sign(pair, claims("e2e-url", "wide", { iat, exp: iat + 120 }));
  const response = await gateway.fetch("/staff/v1/lunch", { headers: { authorization: `Bearer ${token}` } });
  const body = await response.json();
  return response.status === 200 ? "passes" : body.code;
}
// The first isolate, whose keys are shared by the time that this is over.
async function first(pair = one) {
  await isolate(0);
  assert.equal(await call(pair, 0), "passes");
  assert.equal(asked(), 1);
  await sleep(300);
}

describe("isolates of one place", () => {
  test("share what their issuer answered, as old as it is", async () => {
    await first();
    await isolate(7 * MINUTE);
    assert.equal(await call(one, 7 * MINUTE), "passes");
    assert.equal(asked(), 1, "a fresh isolate does not ask");
    // Ten minutes after the first one asked, not after this one came to life.
    await gateway.clock(began + 10 * MINUTE + 1_000);
    assert.equal(await call(one, 10 * MINUTE), "passes");
    assert.equal(asked(), 2);
  });

  test("ask when a copy would soon be too old", async () => {
    await first();
    await isolate(8 * MINUTE);
    assert.equal(await call(one, 8 * MINUTE), "passes");
    assert.equal(asked(), 2);
  });

  test("let a key that was withdrawn pass for the stated time, and no longer", async () => {
    await first();
    publish(two);
    await isolate(7 * MINUTE);
    assert.equal(await call(one, 7 * MINUTE), "passes");
    await gateway.clock(began + 10 * MINUTE + 1_000);
    assert.equal(await call(one, 10 * MINUTE), "credential_invalid");
    assert.equal(asked(), 2);
    // And a fresh one has what the issuer said last.
    await sleep(300);
    await isolate(11 * MINUTE);
    assert.equal(await call(one, 11 * MINUTE), "credential_invalid");
    assert.equal(await call(two, 11 * MINUTE), "passes");
  });

  test("ask the issuer itself for a key that a copy lacks", async () => {
    await first();
    publish(one, two);
    await isolate(MINUTE);
    assert.equal(await call(two, MINUTE), "passes");
    assert.equal(asked(), 2);
    await sleep(300);
    await isolate(2 * MINUTE);
    assert.equal(await call(two, 2 * MINUTE), "passes");
    assert.equal(asked(), 2, "the copy is the newer one");
  });

  test("do with an older copy while the issuer is gone, within its bound", async () => {
    await first();
    answer = (response) => json(response, {}, 500);
    await isolate(55 * MINUTE);
    assert.equal(await call(one, 55 * MINUTE), "passes");
    assert.equal(asked(), 2, "it was asked first");
    await isolate(60 * MINUTE);
    assert.equal(await call(one, 60 * MINUTE), "keys_unavailable");
  });

  for (const [what, useless] of [
    ["a page", (response) => response.writeHead(200, { "content-type": "text/html" }).end("<html>Back soon</html>")],
    ["no keys", (response) => json(response, { keys: [] })],
    ["keys of which nothing is clear", (response) => response.writeHead(200, { "content-type": "application/json" }).end('{"keys":[],"keys":[{}]}')],
  ]) {
    test(`do with an older copy while the issuer answers ${what} with status 200, within the same bound`, async () => {
      await first();
      answer = useless;
      await isolate(55 * MINUTE);
      assert.equal(await call(one, 55 * MINUTE), "passes");
      assert.equal(asked(), 2, "it was asked first, and once");
      assert.equal(await call(two, 55 * MINUTE), "credential_invalid", "the copy lets nobody else pass");
      assert.equal(asked(), 2, "nor is it asked again for another key so soon");
      await isolate(60 * MINUTE);
      assert.equal(await call(one, 60 * MINUTE), "keys_unavailable");
      assert.equal(asked(), 3);
      // And it is well again.
      publish(two);
      await gateway.clock(began + 60 * MINUTE + 6_000);
      assert.equal(await call(two, 60 * MINUTE), "passes");
    });
  }

  for (const [what, bad] of [
    ["fails", (response) => json(response, { keys: [one.publicJwk] }, 500)],
    ["has no keys", (response) => json(response, { keys: [] })],
    ["answers a page", (response) => response.writeHead(200, { "content-type": "text/html" }).end("<html>")],
    ["hangs up", (response) => response.destroy()],
  ]) {
    test(`share nothing of an issuer that ${what}`, async () => {
      answer = bad;
      await isolate(0);
      assert.equal(await call(one, 0), "keys_unavailable");
      await sleep(300);
      publish(one);
      await isolate(MINUTE);
      assert.equal(await call(one, MINUTE), "passes");
      assert.equal(asked(), 2);
    });
  }
});

describe("a cache", () => {
  const URL_OF = "https://issuer.test/jwks.json";
  const bytes = new TextEncoder().encode('{"keys":[]}');
  const now = () => 1_000_000;
  const kept = (fetched, body = bytes) => new Response(body, { headers: { "x-turnpike-fetched": String(fetched) } });
  function has(cache) {
    globalThis.caches = { open: async () => cache };
  }
  after(() => { delete globalThis.caches; });

  test("gives back what it was given, under the URL alone, with its age", async () => {
    const map = new Map();
    has({ put: async (key, response) => void map.set(key, response), match: async (key) => map.get(key)?.clone() });
    await share(URL_OF, bytes, 940_000);
    const [[key, response]] = map;
    assert.ok(new URL(key).hostname.endsWith(".invalid"));
    assert.match(response.headers.get("cache-control"), /^max-age=3600$/);
    assert.deepEqual(await copyOf(URL_OF, 100, now), { bytes, age: 60_000 });
    for (const other of [`${URL_OF}?`, `${URL_OF}%2F`, URL_OF.replace("https", "http"), URL_OF.toUpperCase()]) {
      assert.equal(await copyOf(other, 100, now), null, other);
    }
  });

  test("that has a copy without an age, from the future, or too large has none", async () => {
    for (const copy of [new Response(bytes), kept("soon"), kept(""), kept("NaN"), kept("Infinity"), kept(1_000_001), kept(900_000, new Uint8Array(101))]) {
      has({ match: async () => copy });
      assert.equal(await copyOf(URL_OF, 100, now), null, copy.headers.get("x-turnpike-fetched"));
    }
    has({ match: async () => kept(1_000_000) });
    assert.deepEqual(await copyOf(URL_OF, 100, now), { bytes, age: 1 }, "a copy is never as new as an answer");
  });

  test("that fails, hangs or is not there is as if it were empty", async () => {
    const fails = async () => { throw new Error("no"); };
    const hangs = () => new Promise(() => {});
    for (const cache of [{ match: fails, put: fails }, { match: hangs, put: hangs }, {}]) {
      has(cache);
      const since = performance.now();
      assert.equal(await copyOf(URL_OF, 100, now), null);
      await share(URL_OF, bytes, 1);
      assert.ok(performance.now() - since < 2_000);
    }
    globalThis.caches = { open: fails };
    assert.equal(await copyOf(URL_OF, 100, now), null);
    delete globalThis.caches;
    assert.equal(await copyOf(URL_OF, 100, now), null);
    await share(URL_OF, bytes, 1);
  });
});
