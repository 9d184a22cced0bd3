// Opaque tokens: what their issuer is asked, and what becomes of a request while it misbehaves on purpose; and those of
// an OpenID provider that is not ours, `oidc-provider` of npm. The tree is tests/trees/introspection.

import assert from "node:assert/strict";
import { after, before, beforeEach, describe, test } from "node:test";
import { setTimeout as sleep } from "node:timers/promises";
import { Provider } from "oidc-provider";
import { buildTree } from "./harness/build.mjs";
import { bearer, key } from "./harness/e2e.mjs";
import { startGateway } from "./harness/gateway.mjs";
import { PORTS, json, startUpstream } from "./harness/upstream.mjs";

const ISSUER = `http://127.0.0.1:${PORTS.oidc}`;
const GATEWAY = "https://gateway.test";
const SECRETS = { INTROSPECTION_SECRET: "of the gateway: +/&=%", PREFIXED_SECRET: "an other & one" };

let build;
let gateway;
let upstream;
let endpoint;
let answer;

before(async () => {
  build = await buildTree("tests/trees/introspection");
  upstream = await startUpstream(PORTS.rest, (request, response) => json(response, { ok: true }));
  endpoint = await startUpstream(PORTS.oidc, (request, response, body) => answer(request, response, body));
});
// Each test begins with a gateway that knows no token.
beforeEach(async () => {
  await start();
  upstream.requests.length = 0;
  endpoint.requests.length = 0;
  endpoint.whole = true;
  answer = (request, response) => json(response, active());
});
after(async () => {
  await gateway?.stop();
  await upstream?.stop();
  await endpoint?.stop();
});

async function start(secrets = SECRETS) {
  await gateway?.stop();
  gateway = await startGateway({ build, secrets });
}

const seconds = () => Math.floor(Date.now() / 1000);
const active = (more = {}) => ({
  active: true, iss: ISSUER, aud: GATEWAY, client_id: "wide", sub: "mia lee", scope: "pets:read",
  iat: seconds() - 5, exp: seconds() + 600, token_type: "Bearer", ...more,
});

async function call(token, { method = "GET", headers = { authorization: `Bearer ${token}` } } = {}) {
  const body = method === "GET" ? undefined : "{}";
  const type = body === undefined ? {} : { "content-type": "application/json" };
  const response = await gateway.fetch("/pets/v1/7", { method, body, headers: { ...headers, ...type } });
  const said = await response.json();
  return {
    status: response.status, code: said.code, said, headers: response.headers,
    line: await gateway.line(response.headers.get("x-request-id")),
  };
}
async function passes(token, init) {
  const { status, line } = await call(token, init);
  assert.equal(status, 200, line.reason);
  return line;
}
async function refused(token, status, code, init) {
  const reached = upstream.requests.length;
  const got = await call(token, init);
  assert.deepEqual([got.status, got.code], [status, code], got.line.reason);
  assert.equal(upstream.requests.length, reached, "nothing is sent on");
  if (status !== 403) assert.equal(got.headers.has("www-authenticate"), status === 401);
  return got;
}

describe("an issuer", () => {
  test("is asked as RFC 7662 has it, by its client, and its answer is remembered", async () => {
    for (let times = 0; times < 3; times++) {
      const line = await passes("opaque.a~b-c_d");
      assert.deepEqual([line.consumer, line.subject], ["wide", "mia lee"]);
    }
    const [{ method, url, headers, body }, ...more] = endpoint.requests;
    assert.equal(more.length, 0);
    assert.deepEqual([method, url], ["POST", "/token/introspection"]);
    assert.equal(headers["content-type"], "application/x-www-form-urlencoded");
    assert.equal(headers.accept, "application/json");
    // RFC 6749, 2.3.1: both parts are encoded as in a form.
    const [scheme, pair] = headers.authorization.split(" ");
    const [id, secret] = Buffer.from(pair, "base64").toString().split(":").map((part) => new URLSearchParams(`x=${part}`).get("x"));
    assert.deepEqual([scheme, id, secret], ["Basic", "the+gateway", SECRETS.INTROSPECTION_SECRET]);
    assert.deepEqual(Object.fromEntries(new URLSearchParams(`${body}`)), { token: "opaque.a~b-c_d", token_type_hint: "access_token" });
    assert.equal(upstream.requests.at(-1).headers["x-user"], "mia%20lee");
    assert.equal(upstream.requests.at(-1).headers.authorization, undefined, "the token goes no further");
    const told = JSON.stringify(gateway.logs);
    for (const secret of ["opaque.a~b", SECRETS.INTROSPECTION_SECRET]) assert.ok(!told.includes(secret));
    await sleep(2_100);
    await passes("opaque.a~b-c_d");
    assert.equal(endpoint.requests.length, 2, "after its time it is asked about again");
  });

  test("with a prefix is asked about its own tokens, with its secret in the form", async () => {
    answer = (request, response) => json(response, active({ iss: "https://prefixed.test" }));
    for (let times = 0; times < 2; times++) await passes("pre_a+b/c==");
    assert.equal(endpoint.requests.length, 2, "nothing is remembered");
    const [{ url, headers, body }] = endpoint.requests;
    assert.deepEqual([url, headers.authorization], ["/prefixed", undefined]);
    assert.deepEqual(Object.fromEntries(new URLSearchParams(`${body}`)), {
      token: "pre_a+b/c==", token_type_hint: "access_token", client_id: "g&w", client_secret: SECRETS.PREFIXED_SECRET,
    });
    const { line } = await refused("other", 401, "credential_invalid");
    assert.match(line.reason, /no issuer is `https:\/\/prefixed\.test`/, "what it says is said of it alone");
  });

  test("is not asked about JWTs and API keys", async () => {
    await passes(null, { headers: { authorization: await bearer("wide") } });
    await passes(null, { headers: { "x-api-key": key("wide") } });
    const forged = (await bearer("wide")).slice(7, -4);
    for (const token of [`${forged}AAAA`, "a.b.c", "a.b.c.d.e", "tpk_wide_wrong"]) await refused(token, 401, "credential_invalid");
    assert.equal(endpoint.requests.length, 0);
  });

  test("decides scopes, conditions and models by what it says", async () => {
    const put = { method: "PUT" };
    const says = (more) => { answer = (request, response) => json(response, active(more)); };
    says({ scope: "pets:write", department: "stores" });
    await passes("one", put);
    says({ scope: "pets:write", department: "hq" });
    await refused("two", 403, "condition_not_met", put);
    says({ scope: "pets:read", department: "stores" });
    const { headers } = await call("three", put);
    assert.match(headers.get("www-authenticate"), /insufficient_scope/);
    const response = await gateway.fetch("/v1/chat/completions", {
      method: "POST", headers: { "api-key": "four", "content-type": "application/json" },
      body: JSON.stringify({ model: "scripted", messages: [{ role: "user", content: "hi" }] }),
    });
    assert.equal(response.status, 200, "also where SDKs put what they call a key");
  });

  const long = "x".repeat(70_000);
  for (const [what, says, why] of [
    ["hangs", () => {}, /did not answer in time/],
    ["hangs in its answer", (response) => { response.writeHead(200, { "content-type": "application/json" }); response.write('{"active":'); }, /did not answer in time|cannot be reached/],
    ["fails", (response) => json(response, active(), 500), /answered 500/],
    ["refuses the gateway", (response) => json(response, active(), 401), /answered 401/],
    ["redirects", (response) => response.writeHead(307, { location: `${ISSUER}/yes` }).end(), /answered 307/],
    ["answers nothing", (response) => response.writeHead(204).end(), /answered 204/],
    ["answers a page", (response) => response.writeHead(200, { "content-type": "text/html" }).end(JSON.stringify(active())), /not in JSON/],
    ["answers a JWT", (response) => response.writeHead(200, { "content-type": "application/token-introspection+jwt" }).end(JSON.stringify(active())), /not in JSON/],
    ["answers nonsense", (response) => json(response, "yes"), /RFC 7662/],
    ["says it twice", (response) => response.writeHead(200, { "content-type": "application/json" }).end(JSON.stringify(active()).replace("{", '{"active":false,')), /RFC 7662/],
    ["says it in a text", (response) => json(response, active({ active: "true" })), /`active`/],
    ["says no time", (response) => json(response, active({ exp: `${seconds() + 60}` })), /RFC 7662/],
    ["names no client", (response) => json(response, active({ client_id: undefined })), /`client_id` of its answer is missing/],
    ["answers too much", (response) => json(response, active({ context: long })), /too large/],
    ["hangs up", (response) => response.destroy(), /cannot be reached/],
  ]) {
    test(`that ${what} lets nobody pass, and is asked again`, async () => {
      await passes("known");
      answer = (request, response) => says(response);
      const began = performance.now();
      const { headers, line } = await refused("new", 503, "introspection_unavailable");
      assert.match(line.reason, why);
      assert.ok(headers.has("retry-after"));
      assert.ok(performance.now() - began < 2_000);
      await passes("known");
      answer = (request, response) => json(response, active());
      await passes("new");
      assert.equal(endpoint.requests.length, 3);
    });
  }

  for (const [what, more, reason] of [
    ["is not active", { active: false }, /says that it is not active/],
    ["is for others", { aud: "https://other.test" }, /`aud`/],
    ["is for nobody", { aud: undefined }, /`aud`/],
    ["is another issuer's", { iss: "https://e2e-jwks.test" }, /no issuer is/],
    ["is bound to a key", { cnf: { jkt: "x" } }, /proof/],
    ["is bound by DPoP", { token_type: "DPoP" }, /`token_type`/],
    ["is no consumer's", { client_id: "stranger" }, /no consumer/],
    ["begins later", { nbf: 9_999_999_999 }, /not valid yet/],
  ]) {
    test(`a token that ${what} is refused, and not asked about again for a moment`, async () => {
      answer = (request, response) => json(response, active(more));
      const { line, said } = await refused("wrong", 401, "credential_invalid");
      assert.match(line.reason, reason);
      assert.ok(!JSON.stringify(said).includes("wrong"));
      for (let times = 0; times < 3; times++) await refused("wrong", 401, "credential_invalid");
      assert.equal(endpoint.requests.length, 1);
      await sleep(1_100);
      await refused("wrong", 401, "credential_invalid");
      assert.equal(endpoint.requests.length, 2);
    });
  }

  test("is not asked without the secret", async () => {
    await start({ PREFIXED_SECRET: "x" });
    const { line } = await refused("opaque", 503, "introspection_unavailable");
    assert.match(line.reason, /secret/);
    assert.equal(endpoint.requests.length, 0);
  });

  test("is asked once about a token that many requests bring at one time", async () => {
    answer = async (request, response) => { await sleep(200); json(response, active()); };
    const all = await Promise.all(Array.from({ length: 20 }, () => call("opaque")));
    assert.deepEqual([...new Set(all.map(({ status }) => status))], [200]);
    assert.equal(endpoint.requests.length, 1);
  });

  test("is not flooded with bad tokens, and good ones pass on", async () => {
    answer = (request, response, body) =>
      json(response, new URLSearchParams(`${body}`).get("token").startsWith("bad") ? { active: false } : active());
    await passes("known");
    const began = performance.now();
    // From many addresses, so that the shield lets it pass.
    const flood = Array.from({ length: 300 }, async (_, n) => {
      const headers = { authorization: `Bearer bad-${n}`, "cf-connecting-ip": `192.0.2.${n % 250}` };
      return (await call(null, { headers })).status;
    });
    await passes("known");
    const statuses = await Promise.all(flood);
    const asked = endpoint.requests.filter(({ body }) => `${body}`.startsWith("token=bad")).length;
    const most = 20 + Math.ceil((performance.now() - began) / 1000 * 20) + 1;
    assert.ok(asked <= most, `${asked} of at most ${most}`);
    assert.ok(statuses.every((status) => status === 401 || status === 503));
    assert.ok(statuses.includes(503));
    // Whoever could not be asked about need only wait a moment.
    await sleep(1_100);
    await passes("new");
  });

  test("hears out a client that leaves, and the next one need not ask", async () => {
    answer = async (request, response) => { await sleep(200); json(response, active()); };
    const controller = new AbortController();
    const left = gateway.fetch("/pets/v1/7", { headers: { authorization: "Bearer opaque" }, signal: controller.signal });
    await sleep(100);
    controller.abort();
    await assert.rejects(left);
    await sleep(400);
    await passes("opaque");
    assert.equal(endpoint.requests.length, 1);
  });
});

describe("oidc-provider", () => {
  let provider;
  let ttl;
  let department;
  beforeEach(() => {
    ttl = 600;
    department = "stores";
    provider = new Provider(ISSUER, {
      clients: [
        { client_id: "wide", client_secret: "s", grant_types: ["client_credentials"], redirect_uris: [], response_types: [] },
        { client_id: "the+gateway", client_secret: SECRETS.INTROSPECTION_SECRET, grant_types: [], redirect_uris: [], response_types: [] },
      ],
      cookies: { keys: ["a-key-of-the-tests"] },
      extraTokenClaims: () => ({ department }),
      features: {
        clientCredentials: { enabled: true },
        introspection: { enabled: true, allowedPolicy: (ctx, client) => client.clientId === "the+gateway" },
        revocation: { enabled: true },
        resourceIndicators: {
          enabled: true,
          defaultResource: () => GATEWAY,
          getResourceServerInfo: (ctx, audience) => ({ scope: "pets:read pets:write", audience, accessTokenFormat: "opaque", accessTokenTTL: ttl }),
        },
      },
    });
    const handle = provider.callback();
    endpoint.whole = false;
    answer = (request, response) => handle(request, response);
  });
  const asked = () => endpoint.requests.filter(({ url }) => url === "/token/introspection").length;

  async function post(path, form) {
    const authorization = `Basic ${Buffer.from("wide:s").toString("base64")}`;
    const response = await fetch(`${ISSUER}${path}`, { method: "POST", headers: { authorization }, body: new URLSearchParams(form) });
    const text = await response.text();
    assert.equal(response.status, 200, text);
    return text;
  }
  const tokenOf = async (scope = "pets:write", resource = GATEWAY) =>
    JSON.parse(await post("/token", { grant_type: "client_credentials", scope, resource })).access_token;

  test("its opaque token opens what its scopes and claims do, and is asked about once", async () => {
    const token = await tokenOf();
    assert.ok(!token.includes("."), token);
    for (let times = 0; times < 3; times++) {
      const line = await passes(token, { method: "PUT" });
      assert.deepEqual([line.consumer, line.subject], ["wide", "wide"]);
    }
    assert.equal(asked(), 1);
    await refused(await tokenOf("pets:read"), 403, "insufficient_scope", { method: "PUT" });
    department = "hq";
    await refused(await tokenOf(), 403, "condition_not_met", { method: "PUT" });
  });

  test("its token for another audience opens nothing", async () => {
    const { line } = await refused(await tokenOf("pets:read", "https://other.test"), 401, "credential_invalid");
    assert.match(line.reason, /`aud`/);
  });

  test("a token that it revokes stops working within the stated time", async () => {
    const token = await tokenOf();
    await passes(token);
    await post("/token/revocation", { token });
    await sleep(2_100);
    const { line } = await refused(token, 401, "credential_invalid");
    assert.match(line.reason, /not active/);
  });

  test("a token ends when it says, also one that is remembered", async () => {
    ttl = 1;
    const token = await tokenOf();
    const { status } = await call(token);
    assert.ok([200, 401].includes(status));
    await sleep(2_100);
    assert.equal((await call(token)).status, 401);
  });

  test("a refresh token is none that opens anything", async () => {
    const client = await provider.Client.find("wide");
    const grant = new provider.Grant({ clientId: "wide", accountId: "wide" });
    const grantId = await grant.save();
    const refresh = await new provider.RefreshToken({ client, accountId: "wide", grantId, scope: "pets:write", gty: "authorization_code" }).save();
    await refused(refresh, 401, "credential_invalid");
    assert.equal(asked(), 1);
  });

  test("a token that nobody made is not active", async () => {
    const { line } = await refused("nobody-made-this-one", 401, "credential_invalid");
    assert.match(line.reason, /says that it is not active/);
  });
});
