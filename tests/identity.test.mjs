// Who calls, end to end: tokens through the Worker's own WebCrypto, keys from a file and from a URL, shared
// secrets, API keys. What a client is told of a refusal is little; the log says why.

import assert from "node:assert/strict";
import { mkdir, writeFile } from "node:fs/promises";
import { join } from "node:path";
import { after, before, beforeEach, describe, test } from "node:test";
import { SECRETS, key, startE2e } from "./harness/e2e.mjs";
import { ROOT } from "./harness/gateway.mjs";
import { ALGORITHMS as ALL, claims, compact, hmac, keys, newKeys, sign } from "./harness/token.mjs";
import { PORTS, json, startUpstream } from "./harness/upstream.mjs";

const ALGORITHMS = Object.keys(ALL);
let gateway;
let pairs;

// The gateway of the tree, with a count of what its WebCrypto verified at `/__verified`, and at `/__memory` how many
// bytes the memory of its core has: of all cores, where a fault had one replaced.
const ENTRY = `// Made by tests/identity.test.mjs.
import entry, { Meter } from "HELD";
let verified = 0;
const verify = crypto.subtle.verify.bind(crypto.subtle);
crypto.subtle.verify = (...args) => { verified++; return verify(...args); };
const cores = [];
WebAssembly.Instance = class extends WebAssembly.Instance {
  constructor(module, imports) {
    super(module, imports);
    if ("panic_message" in this.exports) cores.push(this.exports.memory);
  }
};
const told = {
  "/__verified": () => verified,
  "/__memory": () => cores.reduce((sum, { buffer }) => sum + buffer.byteLength, 0),
};
export { Meter };
export default {
  ...entry,
  fetch(request, env, ctx) {
    const tell = told[new URL(request.url).pathname];
    return tell === undefined ? entry.fetch(request, env, ctx) : Response.json(tell());
  },
};
`;
before(async () => {
  const entry = join(ROOT, "build/trees/entry-counting.js");
  await mkdir(join(ROOT, "build/trees"), { recursive: true });
  await writeFile(entry, ENTRY.replace("HELD", join(ROOT, "tests/harness/entry-held-clock.js")));
  gateway = await startE2e({ clock: true, entry });
  pairs = Object.fromEntries(await Promise.all(ALGORITHMS.map(async (alg) => [alg, await keys(alg)])));
});
after(() => gateway?.stop());

const verified = async () => (await gateway.fetch("/__verified")).json();
const memory = async () => (await gateway.fetch("/__memory")).json();
async function call(headers, from = gateway) {
  const response = await from.fetch("/petstore/v2/pets", { headers });
  const body = await response.json();
  return { status: response.status, code: body.code, headers: response.headers, body, line: await from.line(response.headers.get("x-request-id")) };
}
const withToken = (token, from) => call({ authorization: `Bearer ${token}` }, from);
// Whole words, so that a failure says what was expected of whom.
async function passes(token, name = "") {
  const answer = await withToken(token);
  assert.equal(answer.status, 200, `${name} ${answer.line.reason}`);
  assert.equal(answer.line.decision, "passed");
  return answer;
}
async function refused(token, name, code = "credential_invalid", status = 401) {
  const answer = await withToken(token);
  assert.deepEqual([answer.status, answer.code], [status, code], `${name}: ${answer.line.reason}`);
  if (status === 401) assert.match(answer.headers.get("www-authenticate"), /^Bearer error="invalid_token"/, name);
  assert.equal(answer.line.consumer, undefined, `${name}: nobody is named who did not prove it`);
  assert.ok(!JSON.stringify(answer.body).includes(token), name);
  assert.equal(typeof answer.line.reason, "string", `${name}: the log says why`);
  return answer;
}

describe("keys from a file", () => {
  for (const alg of ALGORITHMS) {
    test(`${alg}: passes, names its consumer and subject; the second time needs no WebCrypto`, async () => {
      const token = await sign(pairs[alg], claims("e2e-jwks", "wide", { sub: `user-of-${alg}` }));
      const before = await verified();
      const { line } = await passes(token);
      assert.deepEqual([line.consumer, line.subject], ["wide", `user-of-${alg}`]);
      assert.equal(await verified(), before + 1, "the real WebCrypto was asked");
      for (let i = 0; i < 5; i++) await passes(token);
      assert.equal(await verified(), before + 1, "and not again");
      // What was verified is this token, to the last bit.
      const other = token.slice(0, -6) + (token.at(-6) === "A" ? "B" : "A") + token.slice(-5);
      await refused(other, "one bit further");
      // Without `kid`, the only key that fits.
      await passes(await sign(pairs[alg], claims("e2e-jwks", "wide"), { kid: undefined, typ: "JWT" }));
    });
  }

  test("what is wrong with a token", async () => {
    const pair = pairs.ES256;
    const now = Math.floor(Date.now() / 1000);
    const say = (more, header) => sign(pair, claims("e2e-jwks", "wide", more), header);
    const stranger = await newKeys("ES256", pair.kid);
    const good = await say();
    const [head, payload, signature] = good.split(".");
    const forged = compact({ alg: "ES256", kid: pair.kid, typ: "at+jwt" }, claims("e2e-jwks", "closed"));
    const asSecret = JSON.stringify(pair.publicJwk);
    for (const [name, token] of Object.entries({
      "audience of another": await say({ aud: "https://other.test" }),
      "no audience": await say({ aud: undefined }),
      "issuer of another": await say({ iss: "https://other.test" }),
      "issuer with a slash": await say({ iss: "https://e2e-jwks.test/" }),
      "no issuer": await say({ iss: undefined }),
      "issuer of the same gateway, other keys": await sign(pair, claims("e2e-hmac", "wide")),
      "no expiry": await say({ exp: undefined }),
      "too long a life": await say({ exp: now + 3 * 3600 }),
      "not yet": await say({ nbf: now + 600, exp: now + 1200 }),
      "issued in the future": await say({ iat: now + 600, exp: now + 1200 }),
      "nobody's consumer": await say({ client_id: "somebody" }),
      "no consumer": await say({ client_id: undefined }),
      "a consumer that is a number": await say({ client_id: 7 }),
      "another's signature, same kid": await sign(stranger, claims("e2e-jwks", "wide")),
      "unknown kid": await sign(await newKeys("ES256", "nobody"), claims("e2e-jwks", "wide")),
      "kid of a key for another algorithm": await say({}, { kid: pairs.RS256.kid }),
      "other claims under the signature": `${forged}.${signature}`,
      "no signature": `${head}.${payload}.`,
      "a signature of zeros": `${head}.${payload}.${"A".repeat(86)}`,
      "two parts": `${head}.${payload}`,
      "four parts": `${good}.x`,
      "none": `${compact({ alg: "none" }, claims("e2e-jwks", "wide"))}.`,
      "None, with a signature": `${compact({ alg: "None" }, claims("e2e-jwks", "wide"))}.${signature}`,
      "the public key as a shared secret": await hmac(asSecret, claims("e2e-jwks", "wide"), { kid: pair.kid }),
      "its own key in the header": await sign(stranger, claims("e2e-jwks", "wide"), { jwk: stranger.publicJwk }),
      "an unknown critical extension": await say({}, { crit: ["exp"] }),
      "a type that is no access token": await say({}, { typ: "dpop+jwt" }),
      "not JSON": `${Buffer.from("{").toString("base64url")}.${payload}.${signature}`,
      "not a token": "abc",
    })) await refused(token, name);
    await refused(await say({ iat: now - 900, exp: now - 300 }), "expired", "credential_expired");
    // And the good one still passes, among others for a second audience.
    await passes(good);
    await passes(await say({ aud: ["https://other.test", "https://gateway.test"] }));
  });

  test("a token that was verified expires all the same", async () => {
    const now = Date.now();
    await gateway.clock(now);
    const token = await sign(pairs.EdDSA, claims("e2e-jwks", "wide", { exp: Math.floor(now / 1000) + 600 }));
    await passes(token);
    await gateway.clock(now + 3600_000);
    await refused(token, "an hour later", "credential_expired");
    await gateway.clock();
  });
});

describe("keys from a URL", () => {
  let server;
  const HOUR = 3600_000;
  let day = 0;
  let now;
  before(async () => { server = await startUpstream(PORTS.jwks, null); });
  after(() => server?.stop());
  // Each test begins when everything that is known of the keys is too old to be used.
  beforeEach(async () => {
    server.requests.length = 0;
    serve(Object.values(pairs));
    await at(Date.now() + ++day * 24 * HOUR);
  });
  const serve = (list) => { server.answer = (request, response) => json(response, { keys: list.map((one) => one.publicJwk ?? one) }); };
  const at = (ms) => { now = ms; return gateway.clock(ms); };
  const later = (ms) => at(now + ms);
  const say = (pair, more = {}) => {
    const seconds = Math.floor(now / 1000);
    return sign(pair, claims("e2e-url", "wide", { iat: seconds, exp: seconds + 900, jti: `${Math.random()}`, ...more }));
  };
  const fetched = () => server.requests.length;

  test("they are fetched once, for all algorithms", async () => {
    for (const alg of ALGORITHMS) await passes(await say(pairs[alg]), alg);
    for (let i = 0; i < 5; i++) await passes(await say(pairs.ES256));
    assert.equal(fetched(), 1);
    const [{ method, url, headers }] = server.requests;
    assert.deepEqual([method, url], ["GET", "/jwks.json"]);
    assert.equal(headers.authorization, undefined, "the caller's token is not shown to anybody");
    await later(11 * 60_000);
    await passes(await say(pairs.ES256));
    assert.equal(fetched(), 2, "again after ten minutes");
  });

  test("an unknown key is asked for once in a cool-down, however many tokens name one", async () => {
    await passes(await say(pairs.ES256));
    assert.equal(fetched(), 1);
    const unknown = await newKeys("ES256", "new-key");
    for (let i = 0; i < 5; i++) await refused(await say(unknown), "just fetched");
    assert.equal(fetched(), 1);
    await later(31_000);
    const tokens = await Promise.all(Array.from({ length: 20 }, () => say(unknown)));
    await Promise.all(tokens.map((token) => refused(token, "unknown")));
    for (let i = 0; i < 5; i++) await refused(await say(unknown), "unknown");
    assert.equal(fetched(), 2);
    await passes(await say(pairs.ES256));
    // A new key is found then.
    serve([pairs.ES256, unknown]);
    await later(31_000);
    await passes(await say(unknown), "the new key");
    assert.equal(fetched(), 3);
    // And one that was withdrawn is not believed any more, nor what it had let pass.
    const token = await say(pairs.ES256);
    await passes(token);
    serve([unknown]);
    await later(11 * 60_000);
    await refused(token, "withdrawn");
  });

  test("a hundred calls at once on a gateway that knows no keys: one fetch, and all pass", async () => {
    const answer = server.answer;
    server.answer = async (...args) => {
      await new Promise((resolve) => { setTimeout(resolve, 300); });
      answer(...args);
    };
    const tokens = await Promise.all(Array.from({ length: 100 }, (_, i) => say(Object.values(pairs)[i % ALGORITHMS.length])));
    const began = performance.now();
    await Promise.all(tokens.map((token) => passes(token, "while others ask")));
    assert.equal(fetched(), 1);
    assert.ok(performance.now() - began < 5000, "they waited no longer than that took");
  });

  test("an issuer that hangs is asked by one call at a time, and keeps nobody", async () => {
    server.answer = () => {};
    const token = await say(pairs.ES256);
    const began = performance.now();
    await Promise.all(Array.from({ length: 40 }, () => refused(token, "hangs", "keys_unavailable", 503)));
    assert.ok(performance.now() - began < 9000);
    assert.equal(fetched(), 1);
  });

  test("keys that grow old are fetched beside a call, which does not wait for them", async () => {
    const token = await say(pairs.ES256);
    await passes(token);
    let release;
    const answer = server.answer;
    server.answer = async (...args) => {
      await new Promise((resolve) => { release = resolve; });
      answer(...args);
    };
    await later(8 * 60_000);
    await passes(token, "they are asked for");
    for (let i = 0; i < 100 && fetched() < 2; i++) await new Promise((resolve) => { setTimeout(resolve, 20); });
    assert.equal(fetched(), 2);
    await passes(token, "and nobody waits");
    await passes(await say(pairs.ES256), "for a token that is new neither");
    release();
    server.answer = answer;
    await later(2 * 60_000 + 1);
    for (let i = 0; i < 5; i++) await passes(await say(pairs.ES256), "ten minutes after the first");
    assert.equal(fetched(), 2, "what came beside is what is used");
  });

  test("10,000 bad tokens push out no good one, take no memory, and have keys fetched once in a cool-down", async (t) => {
    const [FLOOD, FIRST] = [10_000, 1_000];
    const good = [await say(pairs.ES256), await say(pairs.EdDSA)];
    for (const token of good) await passes(token);
    const [head, payload, signature] = good[0].split(".");
    const bad = (n) => {
      const number = Buffer.from([n >> 8, n & 255, 0x5a]).toString("base64url");
      switch (n % 4) {
        case 0: return `${head}.${payload}.${number}${signature.slice(4)}`;
        case 1: return `${compact({ alg: "ES256", kid: `none-${n}`, typ: "at+jwt" }, {}).split(".")[0]}.${payload}.${signature}`;
        case 2: return `${head}.${compact({}, { ...JSON.parse(Buffer.from(payload, "base64url")), sub: `${n}` }).split(".")[1]}.${signature}`;
        default: return `${head}.${payload}${n}.${signature}`;
      }
    };
    const tokens = Array.from({ length: FLOOD + FIRST }, (_, n) => bad(n));
    assert.equal(new Set(tokens).size, FLOOD + FIRST, "none is like another");
    const flood = async (from, to) => {
      const counts = {};
      let next = from;
      await Promise.all(Array.from({ length: 32 }, async () => {
        for (let n = next++; n < to; n = next++) {
          const headers = { authorization: `Bearer ${tokens[n]}`, "cf-connecting-ip": `10.1.${n >> 8 & 255}.${n & 255}` };
          const response = await gateway.fetch("/petstore/v2/pets", { headers });
          await response.arrayBuffer();
          counts[response.status] = (counts[response.status] ?? 0) + 1;
        }
      }));
      assert.deepEqual(counts, { 401: to - from });
    };
    // So many at one time need some memory, once.
    await flood(FLOOD, FLOOD + FIRST);
    await later(31_000);
    const [before, needed] = [await verified(), await memory()];
    await flood(0, FLOOD);
    const grown = (await memory()) - needed;
    t.diagnostic(`the core's memory: ${needed} bytes, and ${grown} more after ${FLOOD} bad tokens`);
    assert.ok(needed > 0, "there is a core");
    // A tenth of what the tokens are long.
    const long = tokens.slice(0, FLOOD).reduce((sum, token) => sum + token.length, 0);
    assert.ok(grown < long / 10, `${grown} bytes after ${long} bytes of bad tokens`);
    assert.equal(fetched(), 2, "the first, and one for the keys that nobody knows");
    const looked = await verified();
    // Every other one has the form of a token that its issuer could have signed.
    assert.equal(looked - before, FLOOD / 2, "signatures");
    for (const token of good) await passes(token, "as before");
    assert.equal(await verified(), looked, "they are remembered");
    assert.equal(fetched(), 2, "and their keys are not fetched anew");
  });

  test("the server is down: 503 keys_unavailable, and it is not asked in every request", async () => {
    await server.stop();
    for (let i = 0; i < 5; i++) {
      const answer = await refused(await say(pairs.ES256), "down", "keys_unavailable", 503);
      assert.ok(Number(answer.headers.get("retry-after")) > 0);
      assert.match(answer.line.reason, /e2e-url/, "the log names the issuer");
      assert.ok(!JSON.stringify(answer.body).includes("127.0.0.1"), "the client is not told where the keys lie");
    }
    server = await startUpstream(PORTS.jwks, null);
    serve([pairs.ES256]);
    await refused(await say(pairs.ES256), "too early", "keys_unavailable", 503);
    assert.equal(fetched(), 0);
    await later(6000);
    await passes(await say(pairs.ES256), "it is back");
    assert.equal(fetched(), 1);
    // Other issuers do not need it.
    await passes(await sign(pairs.ES256, claims("e2e-jwks", "wide", { iat: Math.floor(now / 1000), exp: Math.floor(now / 1000) + 600 })));
  });

  test("down for a while: what is known is used for an hour, and no longer", async () => {
    await passes(await say(pairs.RS256));
    server.answer = (request, response) => json(response, {}, 500);
    await later(30 * 60_000);
    for (let i = 0; i < 5; i++) await passes(await say(pairs.RS256), "stale, but usable");
    assert.equal(fetched(), 2, "and asked for anew, once");
    await later(31 * 60_000);
    await refused(await say(pairs.RS256), "too old", "keys_unavailable", 503);
  });

  const useless = {
    "redirects": (request, response) => request.url === "/jwks.json"
      ? json(response, {}, 302, { location: "/elsewhere.json" })
      : json(response, { keys: [pairs.ES256.publicJwk] }),
    "fails, with keys in its error": (request, response) => json(response, { keys: [pairs.ES256.publicJwk] }, 500),
    "answers a page": (request, response) => response.end("<html>"),
    "answers nothing": (request, response) => response.end(),
    "has no keys": (request, response) => json(response, { keys: [] }),
    "has private keys": async (request, response) => json(response, { keys: [{ ...pairs.ES256.publicJwk, d: "AAAA" }] }),
    "answers too much": (request, response) => response.end(`{"keys":[${JSON.stringify(pairs.ES256.publicJwk)}],"x":"${"x".repeat(300_000)}"}`),
    "is lost": (request, response) => response.socket.destroy(),
    "never answers": () => {},
  };
  for (const [name, answer] of Object.entries(useless)) {
    test(`a server that ${name}: 503 keys_unavailable`, async () => {
      server.answer = answer;
      const began = performance.now();
      await refused(await say(pairs.ES256), name, "keys_unavailable", 503);
      assert.ok(performance.now() - began < 8000);
      // A connection that is lost before an answer, the platform may try anew by itself.
      assert.deepEqual([...new Set(server.requests.map(({ url }) => url))], ["/jwks.json"], "nothing is followed");
      assert.ok(server.requests.length <= (name === "is lost" ? 2 : 1));
    });
  }

  test("a symmetric key in a key set verifies nothing", async () => {
    const secret = "a-secret-that-everybody-can-read-0123456789";
    const oct = { kty: "oct", kid: "shared", alg: "HS256", k: Buffer.from(secret).toString("base64url") };
    serve([oct, pairs.ES256]);
    const seconds = Math.floor(now / 1000);
    const forged = await hmac(secret, claims("e2e-url", "wide", { iat: seconds, exp: seconds + 600 }), { kid: "shared" });
    await refused(forged, "signed with it");
    assert.equal(fetched(), 0, "its algorithm alone is enough to refuse it");
    await passes(await say(pairs.ES256), "the others in it can be used");
    await refused(await say(pairs.ES256, {}).then(async () => sign(pairs.ES256, claims("e2e-url", "wide", { iat: seconds, exp: seconds + 600 }), { kid: "shared" })), "named by another");
    await later(25 * HOUR);
    serve([oct]);
    await refused(await say(pairs.ES256), "it alone", "keys_unavailable", 503);
  });
});

describe("a shared secret", () => {
  test("HS256, HS384 and HS512 pass; another secret or algorithm does not", async () => {
    await gateway.clock();
    const secret = SECRETS.E2E_HMAC_SECRET;
    for (const alg of ["HS256", "HS384", "HS512"]) {
      const before = await verified();
      const { line } = await passes(await hmac(secret, claims("e2e-hmac", "wide"), { alg }), alg);
      assert.equal(line.consumer, "wide");
      assert.equal(await verified(), before, "without WebCrypto");
    }
    await refused(await hmac(`${secret}.`, claims("e2e-hmac", "wide")), "another secret");
    await refused(await hmac(secret, claims("e2e-jwks", "wide")), "for an issuer with keys");
    await refused(await sign(pairs.RS256, claims("e2e-hmac", "wide")), "signed with a key");
    await refused(await hmac(secret, claims("e2e-hmac", "wide", { exp: 1, iat: 0 })), "expired", "credential_expired");
  });

  // An empty one is as good as none; the harness cannot leave one out.
  for (const [name, value] of [["is missing", ""], ["is too short", "short"]]) {
    test(`one that ${name}: 503, named in the log, not to the client`, async (t) => {
      const own = await startE2e({ secrets: { E2E_HMAC_SECRET: value } });
      t.after(() => own.stop());
      const token = await hmac(SECRETS.E2E_HMAC_SECRET, claims("e2e-hmac", "wide"));
      const { status, code, headers, body, line } = await withToken(token, own);
      assert.deepEqual([status, code], [503, "secret_missing"]);
      assert.ok(Number(headers.get("retry-after")) > 0);
      assert.ok(!JSON.stringify(body).includes("E2E_HMAC_SECRET"));
      assert.match(line.reason, /E2E_HMAC_SECRET/);
      assert.equal((await call({ "x-api-key": key("wide") }, own)).status, 200, "other credentials do not need it");
      const health = await own.fetch("/_turnpike/health");
      assert.equal(health.status, 503);
      if (value !== "short") assert.ok((await health.json()).missing.includes("E2E_HMAC_SECRET"));
    });
  }

  test("a provider's secret that no header can carry is the gateway's fault, not its upstream's", async (t) => {
    // What stands around it, as a line that was pasted with its end, does no harm.
    for (const [secret, status] of [["two\nlines", 503], ["a \u20ac", 503], ["pasted\n", 502]]) {
      const own = await startE2e({ secrets: { E2E_CHAT_KEY: secret } });
      t.after(() => own.stop());
      const response = await own.fetch("/v1/chat/completions", {
        method: "POST",
        headers: { "x-api-key": key("wide"), "content-type": "application/json" },
        body: JSON.stringify({ model: "plain", messages: [{ role: "user", content: "hi" }] }),
      });
      const body = await response.json();
      assert.deepEqual([response.status, body.error.code], [status, status === 503 ? "secret_missing" : "upstream_unreachable"]);
      const told = own.logs.filter(({ event }) => event === "secret_malformed").map(({ secret: name }) => name);
      assert.deepEqual(told, status === 503 ? ["E2E_CHAT_KEY"] : []);
      assert.ok(!JSON.stringify([body, own.logs]).includes(secret.trim()));
    }
  });

  test("a provider's missing secret: 503, and not ready; its name is for the log and for dev", async (t) => {
    const strict = await startE2e({ env: "strict", secrets: { E2E_CHAT_KEY: "" } });
    t.after(() => strict.stop());
    const response = await strict.fetch("/v1/chat/completions", {
      method: "POST",
      headers: { "x-api-key": key("wide"), "content-type": "application/json" },
      body: JSON.stringify({ model: "plain", messages: [{ role: "user", content: "hi" }] }),
    });
    const body = await response.json();
    assert.deepEqual([response.status, body.error.code], [503, "secret_missing"]);
    const health = await strict.fetch("/_turnpike/health");
    assert.equal(health.status, 503);
    assert.equal(health.headers.get("retry-after"), "30");
    const unready = await health.json();
    assert.equal(unready.code, "secret_missing");
    for (const told of [body, unready, [...response.headers]]) {
      assert.ok(!/E2E_[A-Z_]*(KEY|SECRET|SET)/.test(JSON.stringify(told)), "the world is not told which");
    }
    const log = strict.logs.map((line) => JSON.stringify(line)).join("\n");
    assert.match(log, /"secret_missing".*E2E_CHAT_KEY/, "by the call that needed it");
    const { missing: named } = strict.logs.find(({ event }) => event === "secrets");
    assert.deepEqual(named, ["E2E_CHAT_KEY", "E2E_NEVER_SET"], "by the health: all");
    // In dev, whoever asks for the health is told.
    const { missing } = await (await gateway.fetch("/_turnpike/health")).json();
    assert.deepEqual(missing, ["E2E_NEVER_SET"]);
  });
});

test("API keys: in one of four headers, and only one", async () => {
  const good = key("wide");
  for (const headers of [{ "x-api-key": good }, { "api-key": good }, { "x-goog-api-key": good }, { authorization: `Bearer ${good}` }, { authorization: `bearer ${good}`, "x-api-key": good }]) {
    const { status, line } = await call(headers);
    assert.deepEqual([status, line.consumer], [200, "wide"], JSON.stringify(headers));
  }
  for (const [headers, status, code] of [
    [{}, 401, "credential_missing"],
    [{ "x-api-key": good, "api-key": key("open") }, 400, "credential_ambiguous"],
    [{ authorization: `Bearer ${good}`, "x-api-key": key("open") }, 400, "credential_ambiguous"],
    [{ authorization: `Basic ${Buffer.from(`wide:${good}`).toString("base64")}` }, 401, "credential_invalid"],
    [{ authorization: good }, 401, "credential_invalid"],
    [{ "x-api-key": `${good}x` }, 401, "credential_invalid"],
    [{ "x-api-key": good.slice(0, -1) }, 401, "credential_invalid"],
    [{ "x-api-key": good.toUpperCase() }, 401, "credential_invalid"],
    [{ "x-api-key": "3f" }, 401, "credential_invalid"],
  ]) {
    const answer = await call(headers);
    assert.deepEqual([answer.status, answer.code], [status, code], JSON.stringify(headers));
    if (status === 401) assert.match(answer.headers.get("www-authenticate"), /^Bearer/);
  }
  // Where this gateway's policies say besides: a header, a scheme, and a query by exception.
  for (const headers of [{ "x-acme-key": good }, { authorization: `ApiKey ${good}` }, { authorization: `apikey ${good}`, "x-acme-key": good }]) {
    const { status, line } = await call(headers);
    assert.deepEqual([status, line.consumer], [200, "wide"], JSON.stringify(headers));
  }
  for (const [headers, status, code] of [
    [{ "x-acme-key": good, "x-api-key": key("open") }, 400, "credential_ambiguous"],
    [{ "x-other-key": good }, 401, "credential_missing"],
    [{ authorization: `Token ${good}` }, 401, "credential_invalid"],
    [{ "x-acme-key": await sign(pairs.ES256, claims("e2e-jwks", "wide")) }, 401, "credential_invalid"],
  ]) {
    const answer = await call(headers);
    assert.deepEqual([answer.status, answer.code], [status, code], JSON.stringify(headers));
  }
  await gateway.clock(Date.UTC(2089, 11, 31, 23));
  assert.equal((await call({ "x-api-key": key("expiring") })).status, 200);
  await gateway.clock(Date.UTC(2090, 0, 1));
  const answer = await call({ "x-api-key": key("expiring") });
  assert.deepEqual([answer.status, answer.code], [401, "credential_expired"]);
});

test("an API key in a query: by exception, until its end, in no log line and no upstream's sight", async (t) => {
  await gateway.clock();
  const upstream = await startUpstream(PORTS.rest, (request, response) => json(response, []));
  t.after(() => upstream.stop());
  const good = key("wide");
  const get = async (path, headers = {}) => {
    const response = await gateway.fetch(path, { headers });
    await response.arrayBuffer();
    return { status: response.status, line: await gateway.line(response.headers.get("x-request-id")) };
  };
  const { status, line } = await get(`/orders/v1/orders?limit=5&key=${good}`);
  assert.deepEqual([status, line.consumer], [200, "wide"]);
  assert.equal(upstream.requests.length, 1);
  const [{ url, headers }] = upstream.requests;
  assert.ok(!`${url} ${JSON.stringify(headers)}`.includes("tpk_"), url);
  assert.equal((await get(`/orders/v1/orders?key=${good}&key=${good}`)).status, 400);
  assert.equal((await get(`/orders/v1/orders?key=${good}`, { "x-api-key": key("open") })).status, 400);
  assert.equal((await get(`/orders/v1/orders?access_token=${good}`)).status, 401);
  assert.equal((await get(`/orders/v1/orders?key=${await sign(pairs.ES256, claims("e2e-jwks", "wide"))}`)).status, 401);
  await gateway.clock(Date.UTC(2096, 0, 1));
  assert.equal((await get(`/orders/v1/orders?key=${good}`)).status, 401);
  assert.equal((await get("/orders/v1/orders", { "x-api-key": good })).status, 200);
  await gateway.clock();
  const log = gateway.logs.map((one) => JSON.stringify(one)).join("\n");
  assert.ok(!log.includes(good), "it is in no line");
});
