// Tokens of an OpenID provider that is not ours, `oidc-provider` of npm: its metadata lead to its keys, its
// flows to its tokens, and its keys are changed under traffic. The gateway's clock is held where a test wants
// to be later; the provider's own is not.

import assert from "node:assert/strict";
import { createHash, randomBytes } from "node:crypto";
import { after, before, beforeEach, describe, test } from "node:test";
import { setTimeout as sleep } from "node:timers/promises";
import { Provider } from "oidc-provider";
import { startE2e } from "./harness/e2e.mjs";
import { ALGORITHMS } from "./harness/token.mjs";
import { PORTS, startUpstream } from "./harness/upstream.mjs";

const ISSUER = `http://127.0.0.1:${PORTS.oidc}`;
const GATEWAY = "https://gateway.test";
const CALLBACK = "https://app.test/callback";
const MINUTE = 60_000;
const METADATA = "/.well-known/openid-configuration";

let gateway;
let server;
// What the provider is now, and by which of its keys it signs what for how long.
let handle;
let signs = { alg: "RS256", kid: "one" };
let lifetime = 3600;
let now;
const pairs = {};

before(async () => {
  for (const [kid, alg] of [["one", "RS256"], ["two", "RS256"], ["three", "ES256"], ["stranger", "RS256"]]) {
    const { privateKey } = await crypto.subtle.generateKey(ALGORITHMS[alg].key, true, ["sign", "verify"]);
    const { key_ops, ext, ...jwk } = await crypto.subtle.exportKey("jwk", privateKey);
    pairs[kid] = { ...jwk, kid, alg, use: "sig" };
  }
  server = await startUpstream(PORTS.oidc, (request, response) => handle(request, response), { whole: false });
});
// Each test begins with a gateway that knows no keys, and with one key of the provider's.
beforeEach(async () => {
  await gateway?.stop();
  gateway = await startE2e({ clock: true });
  server.requests.length = 0;
  publish("one");
  signs = { alg: "RS256", kid: "one" };
  lifetime = 3600;
  await at(Date.now());
});
after(async () => {
  await gateway?.stop();
  await server?.stop();
});

const client = (name) => ({
  client_id: name,
  client_secret: `the-secret-of-${name}`,
  grant_types: ["client_credentials", "authorization_code"],
  redirect_uris: [CALLBACK],
});
const resource = (audience) => ({ scope: "pets:read pets:write", audience, accessTokenFormat: "jwt", accessTokenTTL: lifetime, jwt: { sign: signs } });

// A provider with these keys. It is replaced as a whole: what it knows of anybody is in the flow at hand.
function publish(...kids) {
  const provider = new Provider(ISSUER, {
    clients: [client("wide"), client("narrow"), client("stranger")],
    jwks: { keys: kids.map((kid) => pairs[kid]) },
    cookies: { keys: ["a-key-of-the-tests"] },
    // Whoever comes, logs in and agrees.
    loadExistingGrant: async (ctx) => {
      const grant = new provider.Grant({ clientId: ctx.oidc.client.clientId, accountId: ctx.oidc.session.accountId });
      grant.addOIDCScope("openid");
      grant.addResourceScope(GATEWAY, "pets:read pets:write");
      await grant.save();
      return grant;
    },
    findAccount: (ctx, id) => ({ accountId: id, claims: () => ({ sub: id }) }),
    features: {
      clientCredentials: { enabled: true },
      resourceIndicators: {
        enabled: true,
        defaultResource: () => GATEWAY,
        useGrantedResource: () => true,
        getResourceServerInfo: (ctx, audience) => resource(audience),
      },
    },
  });
  handle = provider.callback();
}

const at = (ms) => { now = ms; return gateway.clock(ms); };
const later = (ms) => at(now + ms);
const asked = (path) => server.requests.filter(({ url }) => url.startsWith(path)).length;

async function post(path, form, name) {
  const response = await fetch(`${ISSUER}${path}`, {
    method: "POST",
    headers: {
      "content-type": "application/x-www-form-urlencoded",
      authorization: `Basic ${Buffer.from(`${name}:the-secret-of-${name}`).toString("base64")}`,
    },
    body: new URLSearchParams(form),
  });
  const answer = await response.json();
  assert.equal(response.status, 200, JSON.stringify(answer));
  return answer;
}
async function tokenOf(name, { scope = "pets:read", resource: of = GATEWAY } = {}) {
  return (await post("/token", { grant_type: "client_credentials", scope, resource: of }, name)).access_token;
}

async function call(token, { method = "GET", path = "/petstore/v2/pets", body } = {}) {
  const headers = { authorization: `Bearer ${token}`, ...(body === undefined ? {} : { "content-type": "application/json" }) };
  const response = await gateway.fetch(path, { method, headers, body: body && JSON.stringify(body) });
  const answer = await response.json();
  return { status: response.status, code: answer.code, headers: response.headers, line: await gateway.line(response.headers.get("x-request-id")) };
}
async function passes(token, why = "") {
  const answer = await call(token);
  assert.equal(answer.status, 200, `${why}: ${answer.line.reason}`);
  return answer.line;
}
async function refused(token, code, status = 401, why = code) {
  const answer = await call(token);
  assert.deepEqual([answer.status, answer.code], [status, code], `${why}: ${answer.line.reason}`);
  return answer.line;
}
const header = (token) => JSON.parse(Buffer.from(token.split(".")[0], "base64url"));

describe("client credentials", () => {
  test("metadata lead to the keys, a token to its consumer, and its scopes to what it may", async () => {
    const token = await tokenOf("wide");
    assert.deepEqual(header(token), { alg: "RS256", typ: "at+jwt", kid: "one" });
    const line = await passes(token);
    assert.deepEqual([line.consumer, line.subject], ["wide", "wide"]);
    assert.deepEqual([asked(METADATA), asked("/jwks")], [1, 1]);
    for (let i = 0; i < 5; i++) await passes(await tokenOf("wide"), "another one");
    assert.deepEqual([asked(METADATA), asked("/jwks")], [1, 1], "no token leads to another fetch");

    const create = { method: "POST", body: { name: "Rex" } };
    const under = await call(token, create);
    assert.deepEqual([under.status, under.code], [403, "insufficient_scope"]);
    assert.match(under.headers.get("www-authenticate"), /scope="pets:write"/);
    assert.equal((await call(await tokenOf("wide", { scope: "pets:read pets:write" }), create)).status, 201);
    const narrow = await call(await tokenOf("narrow", { scope: "pets:write" }), create);
    assert.equal(narrow.status, 403, "a scope grants nothing that its consumer may not");
  });

  test("what the provider signs, but not for us", async () => {
    await passes(await tokenOf("wide"));
    await refused(await tokenOf("wide", { resource: "https://other.test" }), "credential_invalid", 401, "another audience");
    const line = await refused(await tokenOf("stranger"), "credential_invalid", 401, "a client that is no consumer");
    assert.match(line.reason, /consumer/);
    lifetime = 2 * 3600;
    await refused(await tokenOf("wide"), "credential_invalid", 401, "too long a life");
    signs = { alg: "PS256", kid: "plus" };
    pairs.plus = { ...pairs.two, kid: "plus", alg: "PS256" };
    publish("one", "plus");
    await later(31_000);
    await refused(await tokenOf("wide"), "credential_invalid", 401, "an algorithm that the policy does not list");
  });

  test("a token ends when it says, also one that was let through", async () => {
    lifetime = 600;
    const token = await tokenOf("wide");
    await passes(token);
    await later(9 * MINUTE);
    await passes(token, "not yet");
    // And half a minute for clocks that differ.
    await later(MINUTE + 31_000);
    await refused(token, "credential_expired");
  });
});

test("the code flow: the access token opens, the ID token does not", async () => {
  const cookies = new Map();
  async function browse(url, form) {
    const response = await fetch(new URL(url, ISSUER), {
      redirect: "manual",
      headers: { cookie: [...cookies].map(([name, value]) => `${name}=${value}`).join("; ") },
      ...(form === undefined ? {} : { method: "POST", body: new URLSearchParams(form) }),
    });
    for (const cookie of response.headers.getSetCookie()) {
      const [, name, value] = /^([^=]+)=([^;]*)/.exec(cookie);
      cookies.set(name, value);
    }
    return { location: response.headers.get("location"), page: await response.text() };
  }
  const verifier = randomBytes(32).toString("base64url");
  const asks = new URLSearchParams({
    client_id: "wide", response_type: "code", redirect_uri: CALLBACK, scope: "openid pets:read", resource: GATEWAY,
    code_challenge: createHash("sha256").update(verifier).digest("base64url"), code_challenge_method: "S256",
  });
  let { location } = await browse(`/auth?${asks}`);
  assert.match(location, /\/interaction\//, "somebody must log in");
  for (let i = 0; i < 8 && !location.startsWith(CALLBACK); i++) {
    // A page that asks for something has it as a form; every other one leads on.
    const { location: next, page } = await browse(location);
    const prompt = /name="prompt" value="(\w+)"/.exec(page)?.[1];
    assert.ok(next ?? prompt, page);
    location = next ?? (await browse(location, { prompt, login: "ada", password: "any" })).location;
  }
  const { code, iss } = Object.fromEntries(new URL(location).searchParams);
  assert.equal(iss, ISSUER, location);
  const form = { grant_type: "authorization_code", code, redirect_uri: CALLBACK, code_verifier: verifier };
  const { access_token, id_token } = await post("/token", form, "wide");
  const line = await passes(access_token);
  assert.deepEqual([line.consumer, line.subject], ["wide", "ada"], "the consumer is the client, the subject who logged in");
  assert.equal(header(id_token).kid, "one");
  const wrong = await refused(id_token, "credential_invalid");
  assert.match(wrong.reason, /at\+jwt/);
});

describe("keys that change", () => {
  test("under traffic: old tokens go on, new ones pass at once, and nobody is refused", async () => {
    const old = await tokenOf("wide");
    await passes(old);
    // Callers that do not stop while the provider changes its keys.
    let going = true;
    let calls = 0;
    const failed = [];
    const traffic = Array.from({ length: 4 }, async () => {
      while (going) {
        const answer = await call(old);
        calls++;
        if (answer.status !== 200) failed.push(answer.line);
      }
    });
    // The next key, of another algorithm as well, stands beside the first and signs from then on.
    await later(31_000);
    publish("one", "two", "three");
    for (const [alg, kid] of [["RS256", "two"], ["ES256", "three"]]) {
      signs = { alg, kid };
      const tokens = await Promise.all(Array.from({ length: 20 }, () => tokenOf("wide")));
      for (const token of tokens) assert.equal(header(token).kid, kid);
      // All at once: one of them has the keys fetched, the others wait for that.
      const answers = await Promise.all(tokens.map((token) => call(token)));
      assert.deepEqual(answers.filter(({ status }) => status !== 200).map(({ line }) => line.reason), [], kid);
    }
    assert.equal(asked("/jwks"), 2);
    await sleep(200);
    going = false;
    await Promise.all(traffic);
    assert.deepEqual(failed, []);
    assert.ok(calls > 10, `${calls} calls meanwhile`);
    await passes(old, "its key is still published");
  });

  test("a key that is taken back stops within ten minutes, and what it had let through with it", async () => {
    publish("one", "two");
    const old = await tokenOf("wide");
    signs = { alg: "RS256", kid: "two" };
    const kept = await tokenOf("wide");
    await passes(old);
    await passes(kept);
    publish("two");
    await passes(old, "the gateway cannot know yet");
    await later(10 * MINUTE);
    await refused(old, "credential_invalid", 401, "ten minutes later");
    await passes(kept, "the other one stays");
    await passes(await tokenOf("wide"));
    assert.equal(asked("/jwks"), 2);
  });

  test("at once, where somebody uses the key that came instead", async () => {
    const old = await tokenOf("wide");
    await passes(old);
    await later(31_000);
    publish("two");
    signs = { alg: "RS256", kid: "two" };
    await passes(await tokenOf("wide"));
    await refused(old, "credential_invalid", 401, "its key is gone");
  });

  test("a key of the same name that is another: what it signed before is refused", async () => {
    const old = await tokenOf("wide");
    await passes(old);
    const { kid } = pairs.one;
    const mine = pairs.one;
    pairs.one = { ...pairs.stranger, kid };
    try {
      publish("one");
      await later(10 * MINUTE);
      await refused(old, "credential_invalid");
      await passes(await tokenOf("wide"));
    } finally {
      pairs.one = mine;
    }
  });

  test("a provider that is down: what is known serves for an hour", async () => {
    const token = await tokenOf("wide");
    await passes(token);
    const up = handle;
    handle = (request, response) => response.socket.destroy();
    await later(30 * MINUTE);
    await passes(token, "half an hour later");
    await later(29 * MINUTE);
    await passes(token, "just below an hour");
    await later(MINUTE);
    await refused(token, "keys_unavailable", 503);
    // It is asked again when the failure is some seconds old.
    handle = up;
    await later(6000);
    await passes(token, "it is back");
  });

  test("metadata that speak for another issuer, or send elsewhere, are not believed", async () => {
    const token = await tokenOf("wide");
    const real = handle;
    const metadata = await (await fetch(`${ISSUER}${METADATA}`)).json();
    for (const wrong of [
      { ...metadata, issuer: "http://127.0.0.1:18189" },
      { ...metadata, jwks_uri: `http://127.0.0.1:${PORTS.jwks}/jwks.json` },
      { ...metadata, jwks_uri: undefined },
    ]) {
      handle = (request, response) => {
        if (request.url !== METADATA) return real(request, response);
        response.writeHead(200, { "content-type": "application/json" });
        response.end(JSON.stringify(wrong));
      };
      const line = await refused(token, "keys_unavailable", 503);
      assert.match(line.reason, /metadata/);
      await later(6000);
    }
    assert.equal(asked("/jwks"), 0, "nothing was fetched from where they lead");
    handle = real;
    await passes(token);
  });
});
