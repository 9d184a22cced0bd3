// Tokens that come with a DPoP proof (RFC 9449), through the built Worker: from a provider that is not ours,
// `oidc-provider` of npm, with proofs that `jose` signs; and proofs that are wrong on purpose. The tree is
// tests/trees/bound.

import assert from "node:assert/strict";
import { createHash, randomUUID } from "node:crypto";
import { after, before, beforeEach, describe, test } from "node:test";
import { SignJWT, calculateJwkThumbprint, exportJWK, generateKeyPair } from "jose";
import { Provider } from "oidc-provider";
import { buildTree } from "./harness/build.mjs";
import { bearer, key } from "./harness/e2e.mjs";
import { startGateway } from "./harness/gateway.mjs";
import { raw } from "./harness/raw.mjs";
import { PORTS, json, startUpstream } from "./harness/upstream.mjs";

const ISSUER = `http://127.0.0.1:${PORTS.oidc}`;
const AUDIENCE = "https://gateway.test";

let build;
let gateway;
let upstream;
let server;
before(async () => {
  build = await buildTree("tests/trees/bound");
  upstream = await startUpstream(PORTS.rest, (request, response) => json(response, { ok: true }));
  const signing = await generateKeyPair("ES256", { extractable: true });
  const jwk = { ...(await exportJWK(signing.privateKey)), kid: "one", alg: "ES256", use: "sig" };
  const provider = new Provider(ISSUER, {
    clients: [{ client_id: "wide", client_secret: "the-secret-of-wide", grant_types: ["client_credentials"], redirect_uris: [], response_types: [], id_token_signed_response_alg: "ES256" }],
    jwks: { keys: [jwk] },
    cookies: { keys: ["a-key-of-the-tests"] },
    features: {
      clientCredentials: { enabled: true },
      dPoP: { enabled: true },
      resourceIndicators: {
        enabled: true,
        defaultResource: () => AUDIENCE,
        useGrantedResource: () => true,
        getResourceServerInfo: () => ({
          scope: "pets:read", audience: AUDIENCE, accessTokenFormat: "jwt", accessTokenTTL: 600,
          jwt: { sign: { alg: "ES256", kid: "one" } },
        }),
      },
    },
  });
  const handle = provider.callback();
  server = await startUpstream(PORTS.oidc, (request, response) => handle(request, response), { whole: false });
  gateway = await startGateway({ build });
});
after(async () => {
  await gateway?.stop();
  await upstream?.stop();
  await server?.stop();
});
beforeEach(() => { upstream.requests.length = 0; });

async function newPair(alg = "ES256") {
  const pair = await generateKeyPair(alg, { extractable: true });
  const jwk = await exportJWK(pair.publicKey);
  return { alg, privateKey: pair.privateKey, jwk, jkt: await calculateJwkThumbprint(jwk) };
}
const hash = (token) => createHash("sha256").update(token).digest("base64url");

// A proof for a request; `claims` and `header` replace members.
function prove(pair, { token, method = "GET", url, claims = {}, header = {} }) {
  const said = {
    htm: method, htu: url, jti: randomUUID(), iat: Math.floor(Date.now() / 1000),
    ...(token === undefined ? {} : { ath: hash(token) }), ...claims,
  };
  return new SignJWT(said).setProtectedHeader({ typ: "dpop+jwt", alg: pair.alg, jwk: pair.jwk, ...header }).sign(pair.privateKey);
}

// A token of the provider's that is bound to a key.
async function granted(pair) {
  const url = `${ISSUER}/token`;
  const response = await fetch(url, {
    method: "POST",
    headers: {
      "content-type": "application/x-www-form-urlencoded",
      authorization: `Basic ${Buffer.from("wide:the-secret-of-wide").toString("base64")}`,
      dpop: await prove(pair, { method: "POST", url }),
    },
    body: new URLSearchParams({ grant_type: "client_credentials", scope: "pets:read", resource: AUDIENCE }),
  });
  const answer = await response.json();
  assert.deepEqual([response.status, answer.token_type], [200, "DPoP"], JSON.stringify(answer));
  return answer.access_token;
}
// One of the issuer that takes others as well.
const own = async (pair, more = {}) => (await bearer("wide", { scope: "pets:read", cnf: { jkt: pair.jkt }, ...more })).slice("Bearer ".length);

const URL_OF = (path) => gateway.url + path;
async function send(token, proof, { path = "/pets/v1/7", scheme = "DPoP", method = "GET", headers = {} } = {}) {
  const answer = await gateway.fetch(path, {
    method, headers: { authorization: `${scheme} ${token}`, ...(proof === undefined ? {} : { dpop: proof }), ...headers },
  });
  const body = await answer.json();
  return {
    status: answer.status, code: body.code, body, challenge: answer.headers.get("www-authenticate"),
    line: await gateway.line(answer.headers.get("x-request-id")),
  };
}

describe("a token of a provider", () => {
  for (const alg of ["ES256", "EdDSA"]) {
    test(`passes with a proof signed by ${alg}`, async () => {
      const pair = await newPair(alg);
      await passesOnce(pair, await granted(pair));
    });
  }

  test("is no bearer token, and a plain one of a provider that must bind them none at all", async () => {
    const pair = await newPair();
    const token = await granted(pair);
    const stolen = await send(token, undefined, { scheme: "Bearer" });
    assert.deepEqual([stolen.status, stolen.code], [401, "credential_invalid"]);
    assert.match(stolen.challenge, /^Bearer error="invalid_token", resource_metadata="[^"]+", DPoP algs="/);
    const copied = await send(token, await prove(pair, { token, url: URL_OF("/pets/v1/7") }), { scheme: "Bearer" });
    assert.equal(copied.status, 401);
    const response = await fetch(`${ISSUER}/token`, {
      method: "POST",
      headers: { "content-type": "application/x-www-form-urlencoded", authorization: `Basic ${Buffer.from("wide:the-secret-of-wide").toString("base64")}` },
      body: new URLSearchParams({ grant_type: "client_credentials", scope: "pets:read", resource: AUDIENCE }),
    });
    const plain = (await response.json()).access_token;
    const refused = await send(plain, undefined, { scheme: "Bearer" });
    assert.deepEqual([refused.status, refused.code], [401, "credential_invalid"]);
    assert.match(refused.line.reason, /does not bind the token to a key/);
  });
});

// With each proof once, and its upstream sees neither.
async function passesOnce(pair, token) {
  const url = URL_OF("/pets/v1/7");
  for (let times = 0; times < 3; times++) {
    const proof = await prove(pair, { token, url });
    const first = await send(token, proof, { path: "/pets/v1/7?a=b" });
    assert.deepEqual([first.status, first.line.consumer], [200, "wide"], JSON.stringify(first.body));
    const replayed = await send(token, proof);
    assert.deepEqual([replayed.status, replayed.code], [401, "dpop_proof_invalid"]);
    assert.match(replayed.line.reason, /used before/);
    assert.match(replayed.challenge, /^DPoP error="invalid_dpop_proof", algs="RS256 .* EdDSA"/);
  }
  assert.equal(upstream.requests.length, 3);
  for (const { headers } of upstream.requests) assert.deepEqual([headers.dpop, headers.authorization], [undefined, undefined]);
}

describe("a proof", () => {
  for (const alg of ["RS256", "RS384", "RS512", "PS256", "PS384", "PS512", "ES256", "ES384", "EdDSA"]) {
    test(`may be signed by ${alg}`, async () => {
      const pair = await newPair(alg);
      await passesOnce(pair, await own(pair));
    });
  }

  test("is held against the request, the token and the time", async () => {
    const pair = await newPair();
    const thief = await newPair();
    const token = await own(pair);
    const other = await own(pair, { jti: "another" });
    const url = URL_OF("/pets/v1/7");
    const now = Math.floor(Date.now() / 1000);
    const { d, ...rest } = await exportJWK(pair.privateKey);
    for (const [proof, reason] of [
      [await prove(pair, { token, url, method: "PUT" }), /`htm`/],
      [await prove(pair, { token, url: URL_OF("/pets/v1/8") }), /`htu`/],
      [await prove(pair, { token, url: "https://gateway.test/pets/v1/7" }), /`htu`/],
      [await prove(pair, { token: other, url }), /`ath`/],
      [await prove(pair, { url }), /`ath`/],
      [await prove(pair, { token, url, claims: { iat: now - 120 } }), /`iat` is too long ago/],
      [await prove(pair, { token, url, claims: { iat: now + 120 } }), /`iat` is in the future/],
      [await prove(pair, { token, url, claims: { jti: undefined } }), /`jti`/],
      [await prove(pair, { token, url, claims: { jti: "x".repeat(300) } }), /`jti`/],
      [await prove(thief, { token, url }), /not the one that the token is bound to/],
      [await prove({ ...thief, jwk: pair.jwk }, { token, url }), /signature is wrong/],
      [await prove(pair, { token, url, header: { jwk: { ...rest, d } } }), /`jwk` is not a public key/],
      [await prove(pair, { token, url, header: { jwk: { kty: "oct", k: "AAAA" } } }), /`jwk` is not a public key/],
      [await prove(pair, { token, url, header: { typ: "JWT" } }), /`typ`/],
      [token, /`typ`/],
      ["x".repeat(12_000), /longer than 8 KiB/],
      ["", /not what RFC 7515|no `DPoP` header/],
      [undefined, /no `DPoP` header/],
    ]) {
      const { status, code, line } = await send(token, proof);
      assert.deepEqual([status, code], [401, "dpop_proof_invalid"], String(reason));
      assert.match(line.reason, reason);
    }
    assert.equal(upstream.requests.length, 0);
    assert.ok(!JSON.stringify(gateway.logs).includes(token.split(".")[2]), "no token is in a log line");
  });

  test("comes in one header", async () => {
    const pair = await newPair();
    const token = await own(pair);
    const proofs = await Promise.all([1, 2].map(() => prove(pair, { token, url: URL_OF("/pets/v1/7") })));
    const twice = await raw(gateway.url, { path: "/pets/v1/7", headers: { authorization: `DPoP ${token}`, dpop: proofs } });
    assert.deepEqual([twice.status, twice.json().code], [401, "dpop_proof_invalid"]);
    const { status, code, line } = await send(token, `${proofs[0]}, ${proofs[1]}`);
    assert.deepEqual([status, code], [401, "dpop_proof_invalid"]);
    assert.match(line.reason, /more than one/);
    // Neither was used up by that.
    assert.equal((await send(token, proofs[0])).status, 200);
    const both = await send(`${token}, Bearer ${token}`, proofs[1]);
    assert.deepEqual([both.status, both.code], [400, "credential_ambiguous"]);
  });

  test("passes once of many at a time", async () => {
    const pair = await newPair();
    const token = await own(pair);
    const proof = await prove(pair, { token, url: URL_OF("/pets/v1/7") });
    const all = await Promise.all(Array.from({ length: 20 }, () => send(token, proof)));
    assert.equal(all.filter(({ status }) => status === 200).length, 1);
    assert.equal(all.filter(({ code }) => code === "dpop_proof_invalid").length, 19);
  });
});

test("keys and plain tokens go on as before, and challenges and metadata offer proofs", async () => {
  const plain = await bearer("wide", { scope: "pets:read" });
  assert.equal((await gateway.fetch("/pets/v1/7", { headers: { authorization: plain } })).status, 200);
  const put = { method: "PUT", headers: { "x-api-key": key("wide"), "content-type": "application/json" }, body: "{}" };
  assert.equal((await gateway.fetch("/pets/v1/7", put)).status, 200);
  const asked = await gateway.fetch("/pets/v1/7");
  assert.equal(asked.status, 401);
  assert.match(asked.headers.get("www-authenticate"), /^Bearer resource_metadata="[^"]+", DPoP algs="[^"]*ES256[^"]*"$/);
  const metadata = await (await gateway.fetch("/.well-known/oauth-protected-resource")).json();
  assert.ok(metadata.dpop_signing_alg_values_supported.includes("ES256"));
  assert.equal(metadata.dpop_bound_access_tokens_required, undefined);
});

test("what was used is known in every isolate, outlives its object's memory, and must be known", async () => {
  const pair = await newPair();
  const token = await own(pair);
  await gateway.stop();
  gateway = await startGateway({ build, entry: "tests/harness/entry-limiter.js" });
  const url = URL_OF("/pets/v1/7");
  const meter = async (query = "") => (await fetch(`${gateway.url}/__meter${query}`)).json().catch(() => null);
  const isolate = (at) => ({ headers: { "x-test-isolate": String(at) } });
  await meter();
  const proof = await prove(pair, { token, url });
  assert.equal((await send(token, proof, isolate(0))).status, 200);
  for (let at = 0; at < 4; at++) assert.equal((await send(token, proof, isolate(at))).code, "dpop_proof_invalid");
  const names = Object.keys((await meter()).calls).filter((name) => name.startsWith("dpop:"));
  assert.equal(names.length, 1, String(names));
  await meter(`?restart=${encodeURIComponent(names[0])}`);
  assert.equal((await send(token, proof, isolate(1))).code, "dpop_proof_invalid");
  // An object that cannot be asked is asked once more, and then nobody passes.
  await meter("?fault=throw&count=2");
  const closed = await send(token, await prove(pair, { token, url }));
  assert.deepEqual([closed.status, closed.code], [503, "dpop_unavailable"]);
  // An answer that is lost on the way is none: the same request asks again, and its proof is still its own.
  await meter("?fault=lose&count=1");
  const last = await prove(pair, { token, url });
  assert.equal((await send(token, last)).status, 200);
  assert.equal((await send(token, last)).code, "dpop_proof_invalid");
});
