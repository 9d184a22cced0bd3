// Signatures of every algorithm by WebCrypto, as the Worker asks it: what it says of each is what the native
// tests of the engine say of it (they read the same file).

import assert from "node:assert/strict";
import { readFile } from "node:fs/promises";
import { test } from "node:test";
import { verify } from "../src/crypto.js";

const vectors = JSON.parse(await readFile(new URL("vectors/signatures.json", import.meta.url), "utf8"));

test("every signature is what it is", async () => {
  for (const { name, algorithm, key, input, signature, right } of vectors) {
    const step = { algorithm, key, input: new TextEncoder().encode(input), signature: Buffer.from(signature, "base64url") };
    assert.equal(await verify(step), right, `${algorithm}: ${name}`);
  }
});

test("what is no algorithm, no key or a private one is never right", async () => {
  const [{ key, input, signature }] = vectors;
  const step = { key, input: new TextEncoder().encode(input), signature: Buffer.from(signature, "base64url") };
  for (const algorithm of ["none", "HS256", "toString", "__proto__", "ES512", ""]) {
    assert.equal(await verify({ ...step, algorithm }), false, algorithm);
  }
  for (const wrong of ["", "{", "null", "{}", '{"kty":"oct","k":"AAAA"}']) {
    assert.equal(await verify({ ...step, algorithm: "RS256", key: wrong }), false, wrong);
  }
});
