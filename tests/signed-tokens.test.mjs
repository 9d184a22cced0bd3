// Tokens that the gateway signs, as one isolate makes and keeps them. The same through the built Worker:
// tests/upstream-tokens.test.mjs.

import assert from "node:assert/strict";
import { describe, test } from "node:test";
import { exportJWK, generateKeyPair } from "jose";
import { signed } from "../src/sign.js";

const T0 = Date.parse("2026-11-23T12:00:00Z");

describe("a signed token", () => {
  const key = async (alg, kid = "k") => JSON.stringify({ ...(await exportJWK((await generateKeyPair(alg, { extractable: true })).privateKey)), kid });
  const claims = (more = "") => `{"iss":"a","aud":"b"${more}}`;
  const parts = (token) => token.split(".").slice(0, 2).map((part) => JSON.parse(Buffer.from(part, "base64url")));

  test("is signed with the algorithm that is asked for, or not at all", async () => {
    const env = { K: await key("ES256") };
    const asked = { key: "K", claims: claims(), lifetime: 60_000 };
    const reports = [];
    const report = (event, name) => reports.push(`${event} ${name}`);
    assert.equal(parts(await signed({ ...asked, algorithm: "ES256" }, env, T0, report))[0].alg, "ES256");
    for (const algorithm of ["EdDSA", "ES384"]) assert.equal(await signed({ ...asked, algorithm }, env, T0, report), null);
    assert.deepEqual(reports, ["secret_malformed K", "secret_malformed K"]);
  });

  test("is none where signing fails", async () => {
    const env = { FAILS: await key("ES256") };
    const asked = { algorithm: "ES256", key: "FAILS", claims: claims(), lifetime: 60_000 };
    await signed(asked, env, T0, assert.fail);
    const reports = [];
    const sign = crypto.subtle.sign;
    crypto.subtle.sign = () => Promise.reject(new Error("no"));
    try {
      assert.equal(await signed({ ...asked, claims: claims(',"c":1') }, env, T0, (event) => reports.push(event)), null);
    } finally {
      crypto.subtle.sign = sign;
    }
    assert.deepEqual(reports, ["signing_failed"]);
  });

  test("allows for clocks, and is good for no longer than was written", async () => {
    const env = { K: await key("EdDSA") };
    for (const [lifetime, back] of [[10_000, 1], [20_000, 2], [60_000, 5], [3_600_000, 5]]) {
      const token = await signed({ algorithm: "EdDSA", key: "K", claims: claims(), lifetime }, env, T0, assert.fail);
      const [, { iat, exp }] = parts(token);
      assert.deepEqual([T0 / 1000 - iat, (exp - iat) * 1000], [back, lifetime]);
    }
  });

  test("that is used is kept, whatever else comes", async () => {
    const env = { K: await key("EdDSA") };
    const sign = (place, at) => signed({ algorithm: "EdDSA", key: "K", claims: claims(`,"p":${place}`), lifetime: 60_000 }, env, at, assert.fail);
    const first = await sign(0, T0 + 1_000);
    for (let place = 1; place < 1500; place++) {
      await sign(place, T0 + 1_000);
      await sign(0, T0 + 1_000);
    }
    // A second later it would say another `iat`, were it signed again.
    assert.equal(await sign(0, T0 + 2_000), first);
  });
});
