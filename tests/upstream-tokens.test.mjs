// What upstreams are sent as the gateway's own credential: tokens that it signs, verified by `jose` against
// /.well-known/jwks.json, and tokens that it is granted by a token endpoint that misbehaves on purpose. The
// tree is tests/trees/upstream-tokens.

import assert from "node:assert/strict";
import { after, before, beforeEach, describe, test } from "node:test";
import { setTimeout as sleep } from "node:timers/promises";
import { createLocalJWKSet, decodeProtectedHeader, exportJWK, generateKeyPair, jwtVerify } from "jose";
import { signed } from "../src/sign.js";
import { buildTree } from "./harness/build.mjs";
import { bearer, key } from "./harness/e2e.mjs";
import { startGateway } from "./harness/gateway.mjs";
import { PORTS, json, startUpstream } from "./harness/upstream.mjs";

const SECRET = "the secret: of the gateway+&";
const T0 = Date.parse("2026-11-23T12:00:00Z");

async function newKey(kid, alg = "ES256") {
  const { privateKey } = await generateKeyPair(alg, { extractable: true });
  return JSON.stringify({ ...(await exportJWK(privateKey)), kid });
}

let build;
let gateway;
let upstream;
let server;
let secrets;
// What the upstream and the token endpoint answer.
let serve;
let grant;
let grants;

before(async () => {
  build = await buildTree("tests/trees/upstream-tokens");
  secrets = { SIGNING_KEY: await newKey("now"), SIGNING_KEY_BEFORE: await newKey("before"), GRANT_SECRET: SECRET };
  upstream = await startUpstream(PORTS.rest, (request, response, body) => serve(request, response, body));
  server = await startUpstream(PORTS.oidc, (request, response, body) => grant(request, response, body));
});
beforeEach(async () => {
  await start();
  upstream.requests.length = 0;
  server.requests.length = 0;
  serve = (request, response) => json(response, { ok: true });
  grants = 0;
  grant = (request, response) => json(response, { access_token: `granted-${++grants}`, token_type: "Bearer", expires_in: 100 });
});
after(async () => {
  await gateway?.stop();
  await upstream?.stop();
  await server?.stop();
});

async function start(more = {}) {
  await gateway?.stop();
  gateway = await startGateway({ build, entry: "tests/harness/entry-held-clock.js", secrets: { ...secrets, ...more } });
  await gateway.clock(T0);
}

const by = { "x-api-key": key("wide") };
const get = (path, headers = by) => gateway.fetch(path, { headers });
const post = (path, headers = by) =>
  gateway.fetch(path, { method: "POST", body: "{}", headers: { "content-type": "application/json", ...headers } });
const sent = (header = "authorization") => upstream.requests.at(-1).headers[header];
const logged = () => JSON.stringify(gateway.logs);
async function refused(answer, status, code) {
  const body = await answer.json();
  assert.deepEqual([answer.status, body.code ?? body.error?.code], [status, code], JSON.stringify(body));
  return answer;
}

describe("a token that the gateway signs", () => {
  const token = () => sent().replace(/^Bearer /, "");
  async function verified() {
    const set = await (await get("/.well-known/jwks.json", {})).json();
    return jwtVerify(token(), createLocalJWKSet(set), {
      issuer: "https://gateway.test", audience: "https://signed.test", algorithms: ["ES256"], currentDate: new Date(T0),
    });
  }
  // The clock of the gateway decides about tokens of callers as well.
  const caller = (more) => bearer("wide", { iat: T0 / 1000, nbf: undefined, exp: T0 / 1000 + 600, ...more });

  test("says who calls, and verifies against the published keys", async () => {
    const claims = { sub: "mia", email: "mia@acme.test", level: 3, groups: ["a", "b"], staff: true, secret: "no" };
    const answer = await get("/signed/v1/it", { authorization: await caller(claims) });
    assert.equal(answer.status, 200);
    const { payload, protectedHeader } = await verified();
    assert.deepEqual(protectedHeader, { alg: "ES256", typ: "JWT", kid: "now" });
    assert.deepEqual(payload, {
      iss: "https://gateway.test", aud: "https://signed.test", sub: "mia", consumer: "wide",
      sub_id: { format: "iss_sub", iss: "https://e2e-jwks.test", sub: "mia" },
      email: "mia@acme.test", rank: 3, groups: ["a", "b"], staff: true, iat: T0 / 1000 - 2, exp: T0 / 1000 + 18,
    });
    assert.ok(!logged().includes(token()));
  });

  test("says nothing that the caller's token does not say, or says as another kind", async () => {
    await get("/signed/v1/it", { authorization: await caller({ sub: "mia", email: ["mia"], level: "3" }) });
    const { payload } = await verified();
    assert.deepEqual([payload.email, payload.rank, payload.sub], [undefined, undefined, "mia"]);
    await get("/signed/v1/it");
    const byKey = (await verified()).payload;
    assert.deepEqual(byKey.sub_id, { format: "opaque", id: byKey.sub });
    assert.equal(byKey.consumer, "wide");
  });

  test("is the only one that passes, whatever a client sends", async () => {
    const forged = await caller({ sub: "forged" });
    await get("/signed/v1/it", { authorization: forged });
    assert.notEqual(sent(), forged);
    const { rawHeaders } = upstream.requests.at(-1);
    const names = rawHeaders.filter((_, place) => place % 2 === 0).map((name) => name.toLowerCase().replaceAll("_", "-"));
    assert.equal(names.filter((name) => name === "authorization").length, 1);
  });

  test("is used again for half of its lifetime, for the same caller alone", async () => {
    await get("/signed/v1/it");
    const first = token();
    await gateway.clock(T0 + 9_999);
    await get("/signed/v1/it");
    assert.equal(token(), first);
    await get("/signed/v1/it", { authorization: await caller({ sub: "tom" }) });
    assert.notEqual(token(), first);
    await gateway.clock(T0 + 10_000);
    await get("/signed/v1/it");
    assert.notEqual(token(), first);
  });

  test("changes its key with an overlap, and shows no private half", async () => {
    const answer = await get("/.well-known/jwks.json", {});
    assert.equal(answer.headers.get("content-type"), "application/jwk-set+json");
    const { keys } = await answer.json();
    assert.deepEqual(keys.map(({ kid }) => kid), ["now", "before"]);
    for (const one of keys) assert.deepEqual(Object.keys(one).sort(), ["alg", "crv", "kid", "kty", "use", "x", "y"]);
    await get("/signed/v1/it");
    const old = token();
    await start({ SIGNING_KEY: await newKey("next"), SIGNING_KEY_BEFORE: secrets.SIGNING_KEY });
    await get("/signed/v1/it");
    assert.equal(decodeProtectedHeader(token()).kid, "next");
    await verified();
    const set = createLocalJWKSet(await (await get("/.well-known/jwks.json", {})).json());
    await jwtVerify(old, set, { currentDate: new Date(T0) });
  });

  test("is not made of a key that is missing or none, and health says which", async () => {
    const halves = { ...JSON.parse(secrets.SIGNING_KEY), d: JSON.parse(secrets.SIGNING_KEY_BEFORE).d };
    for (const [value, shown] of [
      ["", true], ["a secret", true], ["{}", true], [await newKey("now", "EdDSA"), true],
      [secrets.SIGNING_KEY.replace('"kid":"now"', '"kid":""'), true],
      // Only who signs with it can see this.
      [JSON.stringify(halves), false],
    ]) {
      await start({ SIGNING_KEY: value });
      const answer = await refused(await get("/signed/v1/it"), 503, "secret_missing");
      assert.equal(answer.headers.get("retry-after"), "30");
      assert.ok(gateway.logs.some(({ event, secret }) => /^secret_(missing|malformed)$/.test(event) && secret === "SIGNING_KEY"));
      if (shown) {
        const health = await get("/_turnpike/health", {});
        assert.equal(health.status, 503);
        assert.deepEqual((await health.json()).missing, ["SIGNING_KEY"]);
        await refused(await get("/.well-known/jwks.json", {}), 503, "secret_missing");
      }
    }
    assert.equal(upstream.requests.length, 0);
  });

  test("is one of EdDSA where that is asked for", async () => {
    const text = await newKey("ed", "EdDSA");
    const asked = { algorithm: "EdDSA", key: "ED", claims: '{"iss":"a","aud":"b"}', lifetime: 20_000 };
    const made = await signed(asked, { ED: text }, T0, assert.fail);
    const { d, ...open } = JSON.parse(text);
    const { payload } = await jwtVerify(made, createLocalJWKSet({ keys: [{ ...open, alg: "EdDSA" }] }), { currentDate: new Date(T0) });
    assert.deepEqual(payload, { iss: "a", aud: "b", iat: T0 / 1000 - 2, exp: T0 / 1000 + 18 });
    // A key that was replaced under a running isolate signs at once.
    const other = await signed(asked, { ED: await newKey("other", "EdDSA") }, T0, assert.fail);
    assert.equal(decodeProtectedHeader(other).kid, "other");
  });
});

describe("a token that the gateway is granted", () => {
  test("is asked for once for many requests, by a header or by the form", async () => {
    grant = async (request, response) => {
      await sleep(200);
      json(response, { access_token: `granted-${++grants}`, token_type: "bearer", expires_in: "100" });
    };
    const answers = await Promise.all(Array.from({ length: 20 }, () => get("/granted/v1/it")));
    assert.ok(answers.every(({ status }) => status === 200));
    assert.equal(server.requests.length, 1);
    assert.deepEqual([...new Set(upstream.requests.map(({ headers }) => headers.authorization))], ["Bearer granted-1"]);
    const [{ headers, body }] = server.requests;
    const encoded = (text) => new URLSearchParams([["", text]]).toString().slice(1);
    assert.equal(headers.authorization, `Basic ${btoa(`${encoded("gateway:1")}:${encoded(SECRET)}`)}`);
    assert.equal(`${body}`, "grant_type=client_credentials&scope=read+write&audience=https%3A%2F%2Fgranted.test");

    await get("/posted/v1/it");
    assert.equal(sent("x-upstream-token"), "granted-2");
    assert.equal(sent(), undefined);
    const form = Object.fromEntries(new URLSearchParams(`${server.requests.at(-1).body}`));
    assert.deepEqual(form, {
      grant_type: "client_credentials", resource: "https://posted.test/", client_id: "gateway:1", client_secret: SECRET,
    });
    assert.ok(!/granted-\d/.test(logged()) && !logged().includes(SECRET));
  });

  test("is renewed beside the requests before it ends, and never used after", async () => {
    await get("/granted/v1/it");
    await gateway.clock(T0 + 79_999);
    await get("/granted/v1/it");
    assert.equal(server.requests.length, 1);
    // The server takes its time, and no request waits for it.
    let go;
    grant = async (request, response) => {
      await new Promise((resolve) => { go = resolve; });
      json(response, { access_token: "later", token_type: "Bearer", expires_in: 100 });
    };
    await gateway.clock(T0 + 80_000);
    for (let times = 0; times < 5; times++) {
      await get("/granted/v1/it");
      assert.equal(sent(), "Bearer granted-1");
    }
    while (server.requests.length < 2) await sleep(20);
    assert.equal(server.requests.length, 2);
    go();
    for (let times = 0; times < 100 && sent() !== "Bearer later"; times++) {
      await sleep(20);
      await get("/granted/v1/it");
    }
    assert.equal(sent(), "Bearer later");
    // It ends, and there is none.
    grant = (request, response) => json(response, { error: "no" }, 500);
    await gateway.clock(T0 + 80_000 + 80_000);
    await get("/granted/v1/it");
    assert.equal(sent(), "Bearer later", "it is good still");
    await gateway.clock(T0 + 80_000 + 95_000);
    const before = upstream.requests.length;
    await refused(await get("/granted/v1/it"), 503, "upstream_token_unavailable");
    assert.equal(upstream.requests.length, before);
  });

  const long = "x".repeat(70_000);
  const good = { access_token: "good", token_type: "Bearer", expires_in: 100 };
  for (const [what, answer, why] of [
    ["fails", (response) => json(response, good, 500), "status_500"],
    ["refuses the gateway", (response) => json(response, { error: "invalid_client" }, 401), "status_401"],
    ["redirects", (response) => { response.writeHead(302, { location: `http://127.0.0.1:${PORTS.rest}/token` }).end(); }, "status_302"],
    ["redirects with its body", (response) => { response.writeHead(307, { location: `http://127.0.0.1:${PORTS.rest}/token` }).end(); }, "status_307"],
    ["answers garbage", (response) => response.end("<html>"), "not_json"],
    ["answers a list", (response) => json(response, [good]), "not_json"],
    ["answers too much", (response) => json(response, { ...good, more: long }), "answer_large"],
    ["has no token", (response) => json(response, { ...good, access_token: undefined }), "no_token"],
    ["ends a header", (response) => json(response, { ...good, access_token: "a\r\nx-admin: 1" }), "no_token"],
    ["grants too long a token", (response) => json(response, { ...good, access_token: long.slice(0, 9_000) }), "no_token"],
    ["grants another kind of token", (response) => json(response, { ...good, token_type: "DPoP" }), "not_bearer"],
    ["grants one that has ended", (response) => json(response, { ...good, expires_in: -5 }), "bad_lifetime"],
    ["says its end in words", (response) => json(response, { ...good, expires_in: "soon" }), "bad_lifetime"],
    ["hangs up", (response) => response.destroy(), "unreachable"],
    ["says nothing", () => {}, "late"],
  ]) {
    test(`is not had from a server that ${what}`, async () => {
      grant = (request, response) => answer(response);
      const headers = { authorization: "Bearer tpk_wide_not-a-secret" };
      const answered = await refused(await get("/granted/v1/it", headers), 503, "upstream_token_unavailable");
      assert.equal(answered.headers.get("retry-after"), "10");
      const line = gateway.logs.find(({ event }) => event === "upstream_token_failed");
      assert.deepEqual(line, { event: "upstream_token_failed", host: `127.0.0.1:${PORTS.oidc}`, client_id: "gateway:1", why });
      // It is left alone for a while, and then asked again.
      grant = (request, response) => json(response, good);
      await gateway.clock(T0 + 9_000);
      await refused(await get("/granted/v1/it"), 503, "upstream_token_unavailable");
      assert.equal(server.requests.length, 1);
      assert.equal(upstream.requests.length, 0, "nothing passes, least of all the client's credential");
      await gateway.clock(T0 + 10_000);
      assert.equal((await get("/granted/v1/it")).status, 200);
      assert.equal(sent(), "Bearer good");
    });
  }

  test("is believed for a minute where nothing is said of its end, and for a day at the most", async () => {
    grant = (request, response) => json(response, { access_token: "short", token_type: "Bearer" });
    await get("/granted/v1/it");
    grant = (request, response) => json(response, { access_token: "long", token_type: "Bearer", expires_in: 1e300 });
    await gateway.clock(T0 + 60_000);
    await get("/granted/v1/it");
    assert.equal(sent(), "Bearer long");
    grant = (request, response) => json(response, good);
    await gateway.clock(T0 + 60_000 + 24 * 3_600_000);
    await get("/granted/v1/it", { ...by });
    assert.equal(sent(), "Bearer good");
  });

  test("is replaced once when the upstream does not take it", async () => {
    serve = (request, response) => json(response, {}, request.headers.authorization === "Bearer granted-1" ? 401 : 200);
    const answer = await get("/granted/v1/it");
    assert.equal(answer.status, 200);
    assert.deepEqual(upstream.requests.map(({ headers }) => headers.authorization), ["Bearer granted-1", "Bearer granted-2"]);
    const { attempts } = await gateway.line(answer.headers.get("x-request-id"));
    assert.deepEqual(attempts.map(({ status, failed }) => [status, failed]), [[401, "refused"], [200, undefined]]);
    // An upstream that takes none of them is asked twice at the most, and the server is left alone.
    upstream.requests.length = 0;
    serve = (request, response) => json(response, {}, 401);
    await gateway.clock(T0 + 20_000);
    for (let times = 0; times < 5; times++) assert.equal((await get("/granted/v1/it")).status, 401);
    assert.equal(server.requests.length, 3);
    assert.equal(upstream.requests.length, 6);
  });

  test("is not taken from others by a 401 that is about something else", async () => {
    await get("/granted/v1/it");
    serve = (request, response) => json(response, {}, 401);
    grant = (request, response) => json(response, {}, 500);
    for (let times = 0; times < 5; times++) assert.equal((await get("/granted/v1/it")).status, 401);
    assert.equal(server.requests.length, 2);
    serve = (request, response) => json(response, {});
    assert.equal((await get("/granted/v1/it")).status, 200);
    assert.equal(sent(), "Bearer granted-1");
  });

  test("is waited for no longer than its call may take, which is not made then", async () => {
    grant = async (request, response) => {
      await sleep(2_000);
      json(response, { access_token: "late", token_type: "Bearer" });
    };
    const began = performance.now();
    await refused(await get("/hurried/v1/it"), 503, "upstream_token_unavailable");
    assert.ok(performance.now() - began < 1_900);
    await sleep(1_500);
    assert.equal(upstream.requests.length, 0);
    // It came for the next one.
    assert.equal((await get("/hurried/v1/it")).status, 200);
    assert.deepEqual([sent(), server.requests.length], ["Bearer late", 1]);
  });

  test("is replaced for the next request where the body is gone", async () => {
    serve = (request, response) => json(response, {}, request.headers.authorization === "Bearer granted-1" ? 401 : 200);
    assert.equal((await post("/granted/v1/it")).status, 401);
    assert.equal(upstream.requests.length, 1);
    for (let times = 0; times < 50 && server.requests.length < 2; times++) await sleep(20);
    await sleep(50);
    assert.equal((await post("/granted/v1/it")).status, 200);
    assert.equal(sent(), "Bearer granted-2");
  });

  test("is sent to a model's provider, also with a body that is sent again", async () => {
    const completion = {
      id: "c", object: "chat.completion", created: 1, model: "m",
      choices: [{ index: 0, message: { role: "assistant", content: "hi" }, finish_reason: "stop" }],
      usage: { prompt_tokens: 1, completion_tokens: 1, total_tokens: 2 },
    };
    serve = (request, response) => json(response, completion, request.headers.authorization === "Bearer granted-1" ? 401 : 200);
    const ask = () => gateway.fetch("/v1/chat/completions", {
      method: "POST",
      headers: { "content-type": "application/json", ...by },
      body: JSON.stringify({ model: "granted", messages: [{ role: "user", content: "hi" }] }),
    });
    assert.equal((await ask()).status, 200);
    assert.equal(upstream.requests.length, 2);
    assert.equal(`${upstream.requests[0].body}`, `${upstream.requests[1].body}`);
    await start();
    grant = (request, response) => json(response, {}, 500);
    await refused(await ask(), 503, "upstream_token_unavailable");
  });

  test("is not asked for without the gateway's own secret", async () => {
    await start({ GRANT_SECRET: "" });
    await refused(await get("/granted/v1/it"), 503, "secret_missing");
    assert.equal(server.requests.length, 0);
    assert.equal(gateway.logs.find(({ event }) => event === "secret_missing").secret, "GRANT_SECRET");
  });
});
