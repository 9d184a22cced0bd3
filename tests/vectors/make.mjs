// Makes signatures.json anew: right and wrong signatures by every algorithm of public keys. The native
// tests of the engine and signatures.test.mjs read the same file, so that both say the same of each.
//
//   node tests/vectors/make.mjs > tests/vectors/signatures.json
//
// The private keys are forgotten; nothing here opens anything.

import { webcrypto } from "node:crypto";
import { ALGORITHMS, compact, newKeys } from "../harness/token.mjs";

const { subtle } = webcrypto;
const bytes = (text) => new TextEncoder().encode(text);
const text = (buffer) => Buffer.from(buffer).toString("base64url");
const flipped = (buffer, at, bit = 1) => { const copy = new Uint8Array(buffer.slice(0)); copy[at < 0 ? copy.length + at : at] ^= bit; return copy; };

// ECDSA as ASN.1 has it, which RFC 7518, 3.4, does not.
function der(signature) {
  const half = signature.byteLength / 2;
  const number = (from) => {
    let digits = [...new Uint8Array(signature.slice(from, from + half))];
    while (digits.length > 1 && digits[0] === 0) digits = digits.slice(1);
    if (digits[0] > 127) digits = [0, ...digits];
    return [2, digits.length, ...digits];
  };
  const both = [...number(0), ...number(half)];
  return new Uint8Array([48, both.length, ...both]);
}

const vectors = [];
for (const algorithm of Object.keys(ALGORITHMS)) {
  const own = await newKeys(algorithm, "own");
  const other = await newKeys(algorithm, "other");
  const { kty, crv, x, y, n, e } = own.publicJwk;
  const key = JSON.stringify({ crv, e, kty, n, x, y });
  const input = compact({ alg: algorithm }, { sub: "vector" });
  const how = ALGORITHMS[algorithm].sign;
  const signed = (pair, what = input, by = how) => subtle.sign(by, pair.privateKey, bytes(what));
  const signature = await signed(own);
  const size = signature.byteLength;
  const add = (name, right, wrong, signedInput = input, by = algorithm) =>
    vectors.push({ name, algorithm: by, key, input: signedInput, signature: text(wrong), right });
  add("right", true, signature);
  add("signed once more", true, await signed(own));
  add("first bit", false, flipped(signature, 0, 128));
  add("last bit", false, flipped(signature, -1));
  add("a bit of the middle", false, flipped(signature, size >> 1));
  add("other input", false, signature, `${input}A`);
  add("no input", false, signature, "");
  add("another's key", false, await signed(other));
  add("nothing", false, new Uint8Array(0));
  add("zeros", false, new Uint8Array(size));
  add("ones", false, new Uint8Array(size).fill(255));
  add("cut off", false, signature.slice(0, size - 1));
  add("one byte more", false, new Uint8Array([...new Uint8Array(signature), 0]));
  if (kty === "EC") {
    const half = size / 2;
    add("as ASN.1", false, der(signature));
    add("r is zero", false, new Uint8Array([...new Uint8Array(half), ...new Uint8Array(signature.slice(half))]));
    add("s is zero", false, new Uint8Array([...new Uint8Array(signature.slice(0, half)), ...new Uint8Array(half)]));
    add("r and s exchanged", false, new Uint8Array([...new Uint8Array(signature.slice(half)), ...new Uint8Array(signature.slice(0, half))]));
  }
  if (how.name === "RSA-PSS") {
    for (const saltLength of [0, how.saltLength - 1, how.saltLength + 1]) {
      add(`a salt of ${saltLength} bytes`, false, await signed(own, input, { name: "RSA-PSS", saltLength }));
    }
  }
  // The same key by every other algorithm.
  for (const by of Object.keys(ALGORITHMS)) if (by !== algorithm) add(`of ${algorithm}`, false, signature, input, by);
}
process.stdout.write(`${JSON.stringify(vectors, null, 1)}\n`);
