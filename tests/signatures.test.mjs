// Signatures of every algorithm by WebCrypto, as the Worker asks it: by Node's, and by that of the runtime in which
// the Worker is deployed. What they say of each is what the native tests of the engine say of it (they read the same
// files): of our own vectors, and of Project Wycheproof's.

import assert from "node:assert/strict";
import { readFile } from "node:fs/promises";
import { join } from "node:path";
import { after, before, describe, test } from "node:test";
import { ROOT, startGateway } from "./harness/gateway.mjs";
import { verify } from "../src/crypto.js";

const vectors = JSON.parse(await readFile(new URL("vectors/signatures.json", import.meta.url), "utf8"));
const bytesOf = (base64url) => Buffer.from(base64url, "base64url");
const stepOf = ({ algorithm, key, input, signature }) => ({ algorithm, key, input, signature: bytesOf(signature) });

async function byNode(steps) {
  const said = [];
  for (const step of steps) said.push(await verify({ ...step, input: new TextEncoder().encode(step.input) }));
  return said;
}

let runtime;
before(async () => { runtime = await startGateway({ entry: "tests/harness/entry-verify.js" }); });
after(() => runtime?.stop());

async function byWorkerd(steps) {
  const body = steps.map((step) => ({ ...step, signature: step.signature.toString("base64") }));
  const response = await runtime.fetch("/", { method: "POST", body: JSON.stringify(body) });
  assert.equal(response.status, 200);
  const { runtime: name, said } = await response.json();
  assert.equal(name, "Cloudflare-Workers");
  assert.equal(said.length, steps.length);
  return said;
}

for (const [name, ask] of [["Node", byNode], ["workerd", byWorkerd]]) {
  describe(`by the WebCrypto of ${name}`, () => {
    test("every signature is what it is", async () => {
      const said = await ask(vectors.map(stepOf));
      vectors.forEach((vector, i) => assert.equal(said[i], vector.right, `${vector.algorithm}: ${vector.name}`));
    });

    test("what is no algorithm, no key or a private one is never right", async () => {
      const step = stepOf(vectors[0]);
      const steps = [
        ...["none", "HS256", "toString", "__proto__", "ES512", ""].map((algorithm) => ({ ...step, algorithm })),
        ...["", "{", "null", "{}", '{"kty":"oct","k":"AAAA"}'].map((key) => ({ ...step, algorithm: "RS256", key })),
      ];
      const said = await ask(steps);
      steps.forEach(({ algorithm, key }, i) => assert.equal(said[i], false, `${algorithm} ${key}`));
    });
  });
}

// --- Project Wycheproof --------------------------------------------------------------------------------

// The kind of key of each algorithm, and how long half a signature of ECDSA is.
const PUBLIC = { RS256: "RSA", RS384: "RSA", RS512: "RSA", PS256: "RSA", PS384: "RSA", PS512: "RSA", ES256: "P-256", ES384: "P-384" };
const HALF = { "P-256": 32, "P-384": 48 };
const FOREIGN = "by secrets and by ES512";
// Called valid, with a key that names another algorithm (docs/security.md has why).
const DISAGREEING = [346, 350];

// The bytes of canonical base64url, or null.
function decoded(text) {
  const bytes = bytesOf(text);
  return bytes.toString("base64url") === text ? bytes : null;
}

function headerOf(bytes) {
  try {
    return JSON.parse(bytes.toString());
  } catch {
    return null;
  }
}

// The step that the core makes of a token and a key, or why it refuses them before anybody looks at the signature: the
// native test `wycheproof` shows that it does. Where it is the form of the signature, WebCrypto can be asked all the same.
function read(jws, key) {
  const kind = key.kty === "RSA" ? "RSA" : key.crv;
  if (key.kty === "oct" || (key.alg !== undefined && PUBLIC[key.alg] !== kind)) return { refused: FOREIGN };
  if (typeof jws !== "string") return { refused: "not in compact serialization" };
  const parts = jws.split(".");
  if (parts.length !== 3) return { refused: "not of three parts" };
  const [head, , signature] = parts.map(decoded);
  if (parts.map(decoded).includes(null)) return { refused: "not in canonical base64url" };
  const header = headerOf(head);
  if (header === null) return { refused: "without a header" };
  if (header.jwk !== undefined) return { refused: "with a key of its own" };
  const usable = (key.use ?? "sig") === "sig" && (key.key_ops ?? ["verify"]).includes("verify");
  if (!usable) return { refused: "by a key for another use" };
  if (header.kid !== key.kid) return { refused: "by a key of another name" };
  if (PUBLIC[header.alg] !== kind || (key.alg ?? header.alg) !== header.alg) return { refused: "by a key for another algorithm" };
  const { kty, crv, x, y, n, e } = key;
  const required = kind === "RSA" ? { e, kty, n } : { crv, kty, x, y };
  const step = { algorithm: header.alg, key: JSON.stringify(required), input: parts.slice(0, 2).join("."), signature };
  const half = HALF[kind];
  if (signature.length !== (half === undefined ? bytesOf(n).length : 2 * half)) return { step, refused: "of another length" };
  const zero = (bytes) => bytes.every((byte) => byte === 0);
  if (half !== undefined && (zero(signature.subarray(0, half)) || zero(signature.subarray(half)))) return { step, refused: "with a zero" };
  return { step };
}

test("Project Wycheproof's vectors by public keys, by the WebCrypto of workerd", async (t) => {
  const path = join(process.env.TURNPIKE_DATA ?? join(ROOT, "../shared/data"), "jose/json_web_signature_test.json");
  const text = await readFile(path, "utf8").catch(() => null);
  if (text === null) {
    console.error(`*** SKIPPED: no vectors at ${path} (set TURNPIKE_DATA)`);
    t.skip(`no vectors at ${path} (set TURNPIKE_DATA)`);
    return;
  }
  const file = JSON.parse(text);
  const all = file.testGroups.flatMap((group) => group.tests.map((vector) => {
    return { ...vector, valid: vector.result === "valid", ...read(vector.jws, group.public ?? group.private) };
  }));
  assert.equal(all.length, file.numberOfTests);

  const asked = all.filter(({ step }) => step !== undefined);
  const said = await byWorkerd(asked.map(({ step }) => step));
  const wrong = asked.filter(({ valid }, i) => said[i] !== valid).map(({ tcId, comment }) => `${tcId} ${comment}`);
  const before = new Map();
  for (const { refused } of all) if (refused !== undefined) before.set(refused, (before.get(refused) ?? 0) + 1);
  const known = asked.filter(({ refused }) => refused === undefined);
  const right = known.filter(({ valid }) => valid).length;
  t.diagnostic(
    `Wycheproof JWS in workerd: ${all.length} vectors; ${right} valid accepted, ${known.length - right} invalid refused by WebCrypto; ` +
      `refused by the core before: ${[...before].map(([why, count]) => `${count} ${why}`).join(", ")}; ` +
      `of these, ${asked.length - known.length} refused by WebCrypto too`,
  );
  assert.deepEqual(wrong, []);
  // What is refused before is none that ought to pass, but for those that are listed.
  const kept = all.filter(({ refused, valid }) => valid && refused !== undefined && refused !== FOREIGN);
  assert.deepEqual(kept.map(({ tcId }) => tcId), DISAGREEING);
  assert.ok(right >= 30 && known.length - right >= 270, `${right} of ${known.length}`);
});
