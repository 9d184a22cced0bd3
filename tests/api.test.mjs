// APIs: a mocked one, and one that is proxied to a loopback upstream, through the gateway of the tree `e2e`.

import assert from "node:assert/strict";
import { once } from "node:events";
import { createHash, randomBytes } from "node:crypto";
import { after, before, beforeEach, describe, test } from "node:test";
import { gzipSync } from "node:zlib";
import { SECRETS, bearer, key, startE2e } from "./harness/e2e.mjs";
import { open, raw } from "./harness/raw.mjs";
import { PORTS, json, startUpstream } from "./harness/upstream.mjs";

const PETS = "/petstore/v2/pets";
let gateway;
before(async () => { gateway = await startE2e(); });
after(() => gateway?.stop());

// A call as a consumer with its API key.
function call(path, { as = "wide", headers = {}, ...init } = {}) {
  return gateway.fetch(path, { ...init, headers: { "x-api-key": key(as), ...headers } });
}

// Problem details as RFC 9457 has them, with the members of ours.
async function problem(response, status, code) {
  assert.equal(response.status, status);
  assert.match(response.headers.get("content-type"), /^application\/problem\+json\b/);
  assert.equal(response.headers.get("cache-control"), "no-store");
  const body = await response.json();
  assert.deepEqual([body.status, body.code], [status, code]);
  for (const member of ["type", "title", "detail"]) assert.equal(typeof body[member], "string", member);
  assert.ok(URL.canParse(body.type), "`type` is a URI");
  assert.match(body.request_id, /^[0-9a-f]{32}$/);
  assert.equal(response.headers.get("x-request-id"), body.request_id);
  return body;
}

describe("a mocked API", () => {
  test("answers with the examples of its document", async () => {
    const list = await call(PETS);
    assert.equal(list.status, 200);
    assert.match(list.headers.get("content-type"), /^application\/json\b/);
    assert.deepEqual(await list.json(), [{ id: 1, name: "Rex" }, { id: 2, name: "Tom" }]);
    assert.deepEqual(await (await call(`${PETS}/1`)).json(), { id: 1, name: "Rex" });
    const created = await call(PETS, { method: "POST", headers: { "content-type": "application/json" }, body: '{"name":"Kit"}' });
    assert.equal(created.status, 201);
    assert.deepEqual(await created.json(), { id: 3, name: "Kit" });
    const gone = await call(`${PETS}/3`, { method: "DELETE" });
    assert.deepEqual([gone.status, await gone.text()], [204, ""]);
  });

  test("answers as `Prefer` asks, where mocks may be steered", async () => {
    const prefer = (value) => call(PETS, { headers: { prefer: value } });
    const none = await prefer("example=none");
    assert.deepEqual(await none.json(), []);
    assert.equal(none.headers.get("preference-applied"), "example=none");
    const broken = await prefer("code=500");
    assert.equal(broken.status, 500);
    assert.deepEqual(await broken.json(), { error: "broken" });
    await problem(await prefer("code=418"), 400, "preference_invalid");
    assert.equal((await prefer("respond-async, wait=10")).status, 200, "preferences of others are ignored");
  });

  test("asks for scopes", async () => {
    const init = { method: "POST", headers: { "content-type": "application/json" }, body: "{}" };
    const refused = await call(PETS, { ...init, as: "minute-b" });
    assert.match(
      refused.headers.get("www-authenticate"),
      /^Bearer .*error="insufficient_scope".*scope="pets:write"/,
    );
    await problem(refused, 403, "insufficient_scope");
    const authorization = await bearer("minute-b", { scope: "pets:read pets:write" });
    const { status } = await gateway.fetch(PETS, { ...init, headers: { ...init.headers, authorization } });
    assert.equal(status, 201, "a token that carries it");
  });

  test("says where to learn who gives out tokens, and for what", async () => {
    const refused = await gateway.fetch(PETS);
    const [, place] = refused.headers.get("www-authenticate").match(/^Bearer resource_metadata="([^"]+)"$/);
    const { origin, pathname } = new URL(place);
    const answer = await gateway.fetch(pathname);
    assert.equal(answer.status, 200);
    const metadata = await answer.json();
    assert.ok(PETS.startsWith(metadata.resource.slice(origin.length)), metadata.resource);
    assert.ok(metadata.authorization_servers.includes("https://e2e-jwks.test"));
    assert.ok(!metadata.authorization_servers.includes("https://e2e-hmac.test"), "a secret is nobody's to ask");
    assert.deepEqual(metadata.scopes_supported, ["pets:write"]);
    assert.equal((await gateway.fetch(`${pathname}/nothing`)).status, 404);
    const whole = await gateway.fetch("/.well-known/oauth-protected-resource");
    assert.equal(whole.status, 200);
  });

  test("grants nothing that is not written", async () => {
    assert.equal((await call(PETS, { as: "narrow" })).status, 200);
    await problem(await call(`${PETS}/1`, { as: "narrow" }), 403, "operation_not_allowed");
    await problem(await call(PETS, { as: "nothing" }), 403, "operation_not_allowed");
    await problem(await gateway.fetch(PETS), 401, "credential_missing");
    await problem(await gateway.fetch(PETS, { headers: { "x-api-key": "tpk_wide_wrong" } }), 401, "credential_invalid");
    assert.equal((await gateway.fetch("/status/v1/now")).status, 200, "what is open to everybody asks nobody");
  });

  test("explains itself by the policy line, where that is allowed", async () => {
    const { policy } = await problem(await call(PETS, { as: "nothing" }), 403, "operation_not_allowed");
    assert.match(policy, /^policies\/consumers\/nothing\.yaml:\d+$/);
  });

  test("404, 405, 410, 415, 413, 400", async () => {
    await problem(await call("/petstore/v2/owners"), 404, "not_found");
    await problem(await call("/petstore"), 404, "not_found");
    const wrong = await call(PETS, { method: "DELETE" });
    assert.deepEqual(wrong.headers.get("allow").split(", ").sort(), ["GET", "HEAD", "OPTIONS", "POST"]);
    await problem(wrong, 405, "method_not_allowed");
    const retired = await call("/petstore/v0/pets");
    assert.match(retired.headers.get("link"), /<\/petstore\/v2>; rel="successor-version"/);
    await problem(retired, 410, "gone");
    const post = (type, body) => call(PETS, { method: "POST", headers: { "content-type": type }, body });
    await problem(await post("text/plain", "a"), 415, "unsupported_media_type");
    await problem(await post("application/json", " ".repeat(64 * 1024 + 1)), 413, "body_too_large");
    const unasked = await call(`${PETS}/1`, { method: "DELETE", body: "x", headers: { "content-type": "text/plain" } });
    await problem(unasked, 400, "body_unexpected");
  });

  test("HEAD is GET without a body; OPTIONS names the methods", async () => {
    const head = await call(PETS, { method: "HEAD" });
    assert.deepEqual([head.status, await head.text()], [200, ""]);
    assert.match(head.headers.get("content-type"), /^application\/json\b/);
    const missing = await call("/petstore/v2/owners", { method: "HEAD" });
    assert.deepEqual([missing.status, await missing.text()], [404, ""]);
    const options = await gateway.fetch(PETS, { method: "OPTIONS" });
    assert.equal(options.status, 204);
    assert.deepEqual(options.headers.get("allow").split(", ").sort(), ["GET", "HEAD", "OPTIONS", "POST"]);
  });

  test("OPTIONS and HEAD of pages of the gateway's own, and of what is not there", async () => {
    for (const path of ["/_turnpike/health", "/_turnpike/version", "/.well-known/api-catalog",
      "/.well-known/oauth-protected-resource", "/.well-known/oauth-protected-resource/petstore/v2"]) {
      const options = await gateway.fetch(path, { method: "OPTIONS" });
      assert.deepEqual([options.status, await options.text()], [204, ""], path);
      assert.equal(options.headers.get("allow"), "GET, HEAD, OPTIONS", path);
      assert.equal(options.headers.get("content-type"), null, path);
      const [got, head] = [await gateway.fetch(path), await gateway.fetch(path, { method: "HEAD" })];
      assert.deepEqual([head.status, await head.text()], [got.status, ""], path);
      assert.equal(head.headers.get("content-type"), got.headers.get("content-type"), path);
      await got.text();
      const wrong = await gateway.fetch(path, { method: "POST" });
      assert.equal(wrong.headers.get("allow"), "GET, HEAD, OPTIONS", path);
      await problem(wrong, 405, "method_not_allowed");
      // As of anything that is published: a page of an allowed origin may ask whether it may call, no other one.
      for (const [origin, status] of [["https://app.test", 204], ["https://evil.test", 403]]) {
        const asked = await raw(gateway.url, { method: "OPTIONS", path, headers: { origin, "access-control-request-method": "GET" } });
        assert.equal(asked.status, status, path);
        assert.equal(asked.headers["access-control-allow-origin"], status === 204 ? origin : undefined, path);
        assert.equal(asked.headers["access-control-allow-methods"], status === 204 ? "GET, HEAD, OPTIONS" : undefined, path);
      }
    }
    for (const path of ["/_turnpike/none", "/.well-known/none", "/none"]) {
      for (const headers of [{}, { origin: "https://app.test", "access-control-request-method": "GET" }]) {
        const { status } = await raw(gateway.url, { method: "OPTIONS", path, headers });
        assert.equal(status, 404, path);
      }
    }
  });

  test("a version that is on its way out says so", async () => {
    const old = await call("/petstore/v1/pets");
    assert.equal(old.headers.get("deprecation"), `@${Date.UTC(2026, 0, 1) / 1000}`);
    assert.equal(old.headers.get("sunset"), new Date(Date.UTC(2095, 0, 1)).toUTCString());
    assert.match(old.headers.get("link"), /<\/petstore\/v2>; rel="successor-version"/);
    const current = await call(PETS);
    for (const name of ["deprecation", "sunset", "link"]) assert.equal(current.headers.get(name), null);
  });

  test("pages of the allowed origin may call, and no others", async () => {
    const preflight = (origin, method = "POST") => raw(gateway.url, {
      method: "OPTIONS",
      path: PETS,
      headers: {
        origin,
        "access-control-request-method": method,
        "access-control-request-headers": "authorization, content-type",
      },
    });
    const allowed = await preflight("https://app.test");
    assert.equal(allowed.status, 204);
    assert.equal(allowed.headers["access-control-allow-origin"], "https://app.test");
    assert.match(allowed.headers["access-control-allow-methods"], /\bPOST\b/);
    assert.match(allowed.headers["access-control-allow-headers"], /\bauthorization\b.*\bcontent-type\b/);
    assert.equal(allowed.headers["access-control-max-age"], "300");
    assert.match(allowed.headers.vary, /\bOrigin\b/);
    assert.equal(allowed.headers["access-control-allow-credentials"], undefined);
    for (const origin of ["https://evil.test", "https://app.test.evil.test", "http://app.test", "null"]) {
      const denied = await preflight(origin);
      assert.equal(denied.status, 403, origin);
      assert.equal(denied.headers["access-control-allow-origin"], undefined);
      assert.equal(denied.json().code, "origin_not_allowed");
    }
    assert.equal((await preflight("https://app.test", "DELETE")).status, 405);

    const page = await call(PETS, { headers: { origin: "https://app.test" } });
    assert.equal(page.headers.get("access-control-allow-origin"), "https://app.test");
    assert.match(page.headers.get("access-control-expose-headers"), /\bx-request-id\b/);
    assert.match(page.headers.get("vary"), /\bOrigin\b/);
    const stranger = await call(PETS, { headers: { origin: "https://evil.test" } });
    assert.equal(stranger.headers.get("access-control-allow-origin"), null, "its browser will not show the answer");
    const refused = await gateway.fetch(PETS, { headers: { origin: "https://app.test" } });
    assert.equal(refused.status, 401);
    assert.equal(refused.headers.get("access-control-allow-origin"), "https://app.test", "a page can read why");
  });
});

describe("a proxied API", () => {
  const ORDERS = "/orders/v1/orders";
  let upstream;
  const answerOk = (request, response) => json(response, { ok: true });
  before(async () => { upstream = await startUpstream(PORTS.rest, answerOk); });
  after(() => upstream?.stop());
  beforeEach(() => {
    upstream.requests.length = 0;
    upstream.whole = true;
    upstream.answer = answerOk;
  });

  test("sends what the policy names, and nothing else", async () => {
    const answer = await raw(gateway.url, {
      path: `${ORDERS}?limit=5&secret=1&tag=a&tag=b%20c&%6Cimit=6&limit`,
      headers: {
        authorization: await bearer("wide"),
        cookie: "session=1",
        accept: "application/json",
        "accept-encoding": "identity",
        "x-tenant": "acme",
        "x-internal": "1",
        "x-upstream-key": "forged",
        "x-forwarded-for": "203.0.113.9",
        "x-forwarded-host": "evil.test",
        forwarded: "for=203.0.113.9",
        "x-real-ip": "203.0.113.9",
        "cf-connecting-ip": "203.0.113.10",
        "proxy-authorization": "Basic eDp5",
        "x-unknown": "1",
        "x-request-id": "forged",
        te: "trailers",
      },
    });
    assert.equal(answer.status, 200);
    const [sent] = upstream.requests;
    assert.equal(sent.method, "GET");
    assert.equal(sent.url, "/base/orders?limit=5&tag=a&tag=b%20c&%6Cimit=6&limit", "only the document's parameters");
    const { host, ...headers } = sent.headers;
    assert.equal(host, `127.0.0.1:${PORTS.rest}`);
    assert.equal(headers["x-upstream-key"], SECRETS.E2E_REST_KEY, "the gateway's own credential");
    assert.equal(headers["x-tenant"], "acme");
    assert.equal(headers.accept, "application/json");
    const names = Object.keys(headers).sort();
    // What the runtime itself adds (two of them for `cache: no-store`), and what the policy names.
    const runtime = ["accept-encoding", "cache-control", "connection", "pragma"];
    const known = [...runtime, "accept", "traceparent", "x-request-id", "x-tenant", "x-upstream-key"];
    assert.deepEqual(names.filter((name) => !known.includes(name)), []);
    assert.notEqual(headers["x-request-id"], "forged");
  });

  test("continues the caller's trace", async () => {
    const id = randomBytes(16).toString("hex");
    const parent = randomBytes(8).toString("hex");
    await call(ORDERS, { headers: { traceparent: `00-${id}-${parent}-01`, tracestate: "a=1" } });
    await call(ORDERS, { headers: { traceparent: "00-nonsense", tracestate: "a=1" } });
    const [first, second] = upstream.requests.map(({ headers }) => headers);
    const [, traceId, span, flags] = first.traceparent.split("-");
    assert.deepEqual([traceId, flags], [id, "01"]);
    assert.notEqual(span, parent, "the gateway is a span of its own");
    assert.equal(first.tracestate, "a=1");
    assert.match(second.traceparent, /^00-[0-9a-f]{32}-[0-9a-f]{16}-0[0-3]$/, "a new trace");
    assert.equal(second.tracestate, undefined, "the state of a trace that is not continued goes");
  });

  test("gives back what the policy names, and nothing else", async () => {
    upstream.answer = (request, response) => json(response, { ok: true }, 200, {
      server: "inside/1.0",
      "x-powered-by": "inside",
      "set-cookie": ["a=1", "b=2"],
      "x-internal": "1",
      via: "1.1 inside",
      "x-request-id": "of the upstream",
      "access-control-allow-origin": "*",
      "www-authenticate": "Basic",
      ratelimit: '"inside";r=1',
      etag: '"v1"',
      "cache-control": "max-age=5",
      link: '<https://inside.test>; rel="self"',
    });
    const answer = await raw(gateway.url, { path: ORDERS, headers: { "x-api-key": key("wide") } });
    assert.equal(answer.status, 200);
    assert.deepEqual(answer.json(), { ok: true });
    assert.equal(answer.headers.etag, '"v1"');
    assert.equal(answer.headers["cache-control"], "max-age=5");
    for (const name of ["server", "x-powered-by", "set-cookie", "x-internal", "via", "access-control-allow-origin", "www-authenticate"]) {
      assert.equal(answer.headers[name], undefined, name);
    }
    assert.match(answer.headers["x-request-id"], /^[0-9a-f]{32}$/);
    assert.ok(!answer.headers.ratelimit.includes("inside"));
  });

  test("passes the upstream's own errors on", async () => {
    upstream.answer = (request, response) => json(response, { mine: 1 }, 409);
    const answer = await call(ORDERS);
    assert.deepEqual([answer.status, await answer.json()], [409, { mine: 1 }]);
  });

  test("does not follow redirects", async () => {
    for (const status of [301, 302, 307, 308]) {
      upstream.answer = (request, response) => {
        response.writeHead(status, { location: `http://127.0.0.1:${PORTS.rest}/elsewhere` });
        response.end();
      };
      const answer = await call(ORDERS);
      assert.equal(answer.status, status);
      assert.equal(answer.headers.get("location"), `http://127.0.0.1:${PORTS.rest}/elsewhere`);
    }
    assert.deepEqual(upstream.requests.map(({ url }) => url), Array(4).fill("/base/orders"));
  });

  test("encodes and decodes nothing on the way: paths, bodies, compression", async () => {
    upstream.answer = (request, response) => {
      response.writeHead(200, { "content-type": "application/json", "content-encoding": "gzip" });
      response.end(gzipSync('{"zipped":true}'));
    };
    const path = "/orders/v1/orders/a%20b%C3%A9+c";
    assert.deepEqual(await (await call(path)).json(), { zipped: true });
    assert.equal(upstream.requests[0].url, "/base/orders/a%20b%C3%A9+c");
    upstream.answer = (request, response) => {
      response.writeHead(204);
      response.end();
    };
    const gone = await call(`${ORDERS}/1`, { method: "DELETE" });
    assert.deepEqual([gone.status, await gone.text()], [204, ""]);
    upstream.answer = (request, response) => {
      response.writeHead(200, { etag: '"9"' });
      response.end();
    };
    const head = await raw(gateway.url, { method: "HEAD", path: ORDERS, headers: { "x-api-key": key("wide") } });
    assert.deepEqual([head.status, head.headers.etag, head.body.length], [200, '"9"', 0]);
    assert.equal(upstream.requests.at(-1).method, "HEAD");
  });

  test("an upload of announced length streams through", async () => {
    const half = randomBytes(4 * 1024 * 1024);
    let begun;
    const first = new Promise((resolve) => { begun = resolve; });
    upstream.whole = false;
    upstream.answer = async (request, response) => {
      const hash = createHash("sha256");
      let length = 0;
      for await (const chunk of request) {
        begun();
        hash.update(chunk);
        length += chunk.length;
      }
      json(response, { length, hash: hash.digest("hex"), announced: request.headers["content-length"] ?? null });
    };
    const upload = open(gateway.url, {
      method: "PUT",
      path: "/orders/v1/files/large",
      headers: { "x-api-key": key("wide"), "content-type": "application/octet-stream", "content-length": half.length * 2 },
    });
    upload.request.write(half);
    // The second half leaves only when the first has arrived at the other end.
    await first;
    upload.request.end(half);
    const answer = await upload.response;
    const body = JSON.parse(Buffer.concat(await answer.toArray()).toString());
    const whole = createHash("sha256").update(half).update(half).digest("hex");
    assert.deepEqual(body, { length: half.length * 2, hash: whole, announced: String(half.length * 2) });

    // Without a length it is read under its cap, and then arrives whole, too.
    const chunked = open(gateway.url, {
      method: "PUT",
      path: "/orders/v1/files/large",
      headers: { "x-api-key": key("wide"), "content-type": "application/octet-stream", "transfer-encoding": "chunked" },
    });
    chunked.request.write(half);
    chunked.request.end(half);
    const second = await chunked.response;
    const { length, hash } = JSON.parse(Buffer.concat(await second.toArray()).toString());
    assert.deepEqual([length, hash], [half.length * 2, whole]);

    const tooLarge = open(gateway.url, {
      method: "PUT",
      path: "/orders/v1/files/large",
      headers: { "x-api-key": key("wide"), "content-type": "application/octet-stream", "transfer-encoding": "chunked" },
    });
    tooLarge.request.on("error", () => {});
    for (let i = 0; i < 3; i++) tooLarge.request.write(half);
    tooLarge.request.end();
    const refused = await tooLarge.response;
    assert.equal(refused.statusCode, 413);
    assert.equal(upstream.requests.length, 2, "the upstream never saw it");
  });

  test("a download streams through", async () => {
    const release = {};
    release.promise = new Promise((resolve) => { release.now = resolve; });
    upstream.answer = async (request, response) => {
      response.writeHead(200, { "content-type": "text/plain" });
      response.write("first");
      await release.promise;
      response.end("last");
    };
    // Not by fetch: that takes gzip, and Miniflare compresses as the edge does, holding bytes back.
    const { request, response } = open(gateway.url, { path: "/orders/v1/files/slow", headers: { "x-api-key": key("wide") } });
    request.end();
    const chunks = (await response).iterator();
    const { value } = await chunks.next();
    assert.equal(value.toString(), "first", "before the upstream has sent the rest");
    release.now();
    let rest = "";
    for await (const chunk of chunks) rest += chunk;
    assert.equal(rest, "last");
  });

  test("an upstream that is slow, absent or not ready", async () => {
    let closed;
    upstream.answer = (request, response) => { closed = once(response, "close"); };
    const began = performance.now();
    await problem(await call(ORDERS), 504, "upstream_timeout");
    assert.ok(performance.now() - began < 5000, "after one second, not when the upstream likes");
    await closed;
    await problem(await call("/billing/v1/invoices"), 502, "upstream_unreachable");
    const unready = await call("/billing/v2/invoices");
    assert.equal(unready.headers.get("retry-after"), "30");
    const body = await problem(unready, 503, "secret_missing");
    assert.ok(!JSON.stringify(body).includes("E2E_NEVER_SET"), "operators are told which, not the world");
  });
});

describe("the gateway's own pages", () => {
  test("health, and what it lacks", async () => {
    const lacking = await gateway.fetch("/_turnpike/health");
    assert.equal(lacking.headers.get("retry-after"), "30");
    const { missing } = await problem(lacking, 503, "secret_missing");
    assert.deepEqual(missing, ["E2E_NEVER_SET"], "named where explaining is allowed");
    const whole = await startE2e({ secrets: { E2E_NEVER_SET: "set" } });
    try {
      const ready = await whole.fetch("/_turnpike/health");
      assert.deepEqual([ready.status, await ready.json()], [200, { status: "ready" }]);
    } finally {
      await whole.stop();
    }
  });

  test("pages of the allowed origin may read them, and no others", async () => {
    for (const path of ["/_turnpike/version", "/_turnpike/health", "/.well-known/api-catalog", "/_turnpike/none"]) {
      const from = async (origin) => (await gateway.fetch(path, { headers: { origin } })).headers;
      const allowed = await from("https://app.test");
      assert.equal(allowed.get("access-control-allow-origin"), "https://app.test", path);
      assert.match(allowed.get("x-request-id"), /^[0-9a-f]{32}$/);
      const stranger = await from("https://evil.test");
      assert.equal(stranger.get("access-control-allow-origin"), null, path);
      for (const headers of [allowed, stranger]) assert.match(headers.get("vary"), /\bOrigin\b/);
    }
  });

  test("version and catalog", async () => {
    const version = await gateway.fetch("/_turnpike/version");
    assert.equal(version.status, 200);
    assert.equal(version.headers.get("cache-control"), "no-store");
    const { gateway: name, environment, bundle, commit, built } = await version.json();
    assert.deepEqual([name, environment], ["e2e", "dev"]);
    assert.match(bundle, /^[0-9a-f]{64}$/);
    assert.equal(typeof commit, "string");
    assert.ok(!Number.isNaN(Date.parse(built)), built);
    const head = await gateway.fetch("/_turnpike/version", { method: "HEAD" });
    assert.deepEqual([head.status, await head.text()], [200, ""]);
    const catalog = await gateway.fetch("/.well-known/api-catalog");
    assert.match(catalog.headers.get("content-type"), /^application\/linkset\+json/);
    const { linkset: [{ anchor, item }] } = await catalog.json();
    assert.equal(anchor, `${gateway.url}/.well-known/api-catalog`);
    assert.ok(item.some(({ href }) => href === `${gateway.url}/petstore/v2`), JSON.stringify(item));
    await problem(await gateway.fetch("/_turnpike/nothing"), 404, "not_found");
    const post = await gateway.fetch("/_turnpike/version", { method: "POST" });
    assert.equal(post.headers.get("allow"), "GET, HEAD, OPTIONS");
    await problem(post, 405, "method_not_allowed");
    // What runs is also in each line of the log.
    const answer = await call(PETS);
    const line = await gateway.line(answer.headers.get("x-request-id"));
    assert.ok(line.policy.length >= 16 && bundle.startsWith(line.policy), line.policy);
  });
});
