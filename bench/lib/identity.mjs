// Issuers of the benchmark's own, and their tokens: good ones of each kind of algorithm, and bad ones.
//
// The policies are a copy of bench/policies with these issuers added, as their keys are made for each run: no
// private key lies in Git. A ring of tokens is sent in turn, and is longer than the gateway's cache: when one comes
// again, it has long been pushed out, so each is as good as new.

import { webcrypto } from "node:crypto";
import { cpSync, readFileSync, writeFileSync } from "node:fs";
import { join } from "node:path";

const { subtle } = webcrypto;
const encoder = new TextEncoder();

export const ALGORITHMS = ["HS256", "RS256", "PS256", "ES256", "EdDSA"];
// The cache holds 4,096.
const RING = 6_000;
const FLOOD = 10_000;
const CONSUMER = "bench-none";
const SECRET = "BENCH_HMAC_SECRET";
const AUDIENCE = "turnpike";
const keysOf = (name) => `https://${name}.turnpike.invalid/`;

const rsa = (name) => ({ name, hash: "SHA-256", modulusLength: 2048, publicExponent: new Uint8Array([1, 0, 1]) });
const KINDS = {
  RS256: { key: rsa("RSASSA-PKCS1-v1_5"), sign: "RSASSA-PKCS1-v1_5" },
  PS256: { key: rsa("RSA-PSS"), sign: { name: "RSA-PSS", saltLength: 32 } },
  ES256: { key: { name: "ECDSA", namedCurve: "P-256" }, sign: { name: "ECDSA", hash: "SHA-256" } },
  EdDSA: { key: { name: "Ed25519" }, sign: "Ed25519" },
  HS256: { key: { name: "HMAC", hash: "SHA-256" }, sign: "HMAC" },
};

let made = null;

/** The issuers' keys, made once in a run. */
export function issuers() {
  made ??= make();
  return made;
}

async function make() {
  const keys = {};
  for (const alg of ALGORITHMS) {
    const pair = await subtle.generateKey(KINDS[alg].key, true, ["sign", "verify"]);
    keys[alg] = pair.privateKey ?? pair;
  }
  const open = [];
  for (const alg of ALGORITHMS.filter((name) => name !== "HS256")) {
    const { kty, crv, x, y, n, e } = await subtle.exportKey("jwk", keys[alg]);
    open.push({ kty, crv, x, y, n, e, alg, kid: alg, use: "sig" });
  }
  // A Worker secret is text, so the key is the text and not what it encodes.
  const secret = Buffer.from(await subtle.exportKey("raw", keys.HS256)).toString("base64url");
  keys.HS256 = await subtle.importKey("raw", encoder.encode(secret), KINDS.HS256.key, false, ["sign"]);
  return { keys, open, secret };
}

/** A copy of the policies with the issuers in it; the Worker secrets that it needs besides. */
export async function withIssuers(policies, into) {
  const { open, secret } = await issuers();
  cpSync(policies, into, { recursive: true });
  writeFileSync(join(into, "keys.json"), JSON.stringify({ keys: open }));
  const issuer = (name, algorithms, keys) => `  ${name}:
    issuer: ${keysOf(name)}
    audience: [${AUDIENCE}]
    algorithms: [${algorithms}]
    max_lifetime: 12h
    ${keys}
`;
  add(join(into, "gateway.yaml"), "issuers:\n",
    issuer("bench-keys", "RS256, PS256, ES256, EdDSA", "jwks: keys.json") + issuer("bench-secret", "HS256", `secret: ${SECRET}`));
  add(join(into, `consumers/${CONSUMER}.yaml`), "credentials:\n",
    ["bench-keys", "bench-secret"].map((name) => `  - jwt: { issuer: ${name}, is: ${CONSUMER} }\n`).join(""));
  return { [SECRET]: secret };
}

function add(file, behind, what) {
  const text = readFileSync(file, "utf8");
  if (!text.includes(behind)) throw new Error(`${file} has no line ${behind.trim()}`);
  writeFileSync(file, text.replace(behind, behind + what));
}

const part = (value) => Buffer.from(JSON.stringify(value)).toString("base64url");

function claims(alg, number) {
  const now = Math.floor(Date.now() / 1000);
  return {
    iss: keysOf(alg === "HS256" ? "bench-secret" : "bench-keys"), aud: AUDIENCE, client_id: CONSUMER, sub: `user-${number}`,
    iat: now - 5, exp: now + 6 * 3600, jti: `${alg}-${number}`,
  };
}

async function sign(alg, number, header = {}) {
  const { keys } = await issuers();
  const input = `${part({ alg, kid: alg === "HS256" ? undefined : alg, typ: "at+jwt", ...header })}.${part(claims(alg, number))}`;
  const signature = await subtle.sign(KINDS[alg].sign, keys[alg], encoder.encode(input));
  return `${input}.${Buffer.from(signature).toString("base64url")}`;
}

async function many(count, one) {
  const tokens = [];
  while (tokens.length < count) {
    const next = Array.from({ length: Math.min(200, count - tokens.length) }, (_, i) => one(tokens.length + i));
    tokens.push(...(await Promise.all(next)));
  }
  return tokens;
}

// The first characters of a signature hold no bits that are cut off: another one is another signature.
const spoilt = (token, number) => {
  const at = token.lastIndexOf(".") + 1;
  return token.slice(0, at) + Buffer.from([number >> 8 & 255, number & 255, 0x5a]).toString("base64url") + token.slice(at + 4);
};

/** What can be sent in turn, by name. */
const RINGS = {
  ...Object.fromEntries(ALGORITHMS.map((alg) => [`fresh ${alg}`, () => many(RING, (number) => sign(alg, number))])),
  async "wrong signature"() {
    const token = await sign("ES256", "flood");
    return many(FLOOD, async (number) => spoilt(token, number));
  },
  async "wrong MAC"() {
    const token = await sign("HS256", "flood");
    return many(FLOOD, async (number) => spoilt(token, number));
  },
  async "unknown key"() {
    const [, payload, signature] = (await sign("ES256", "flood")).split(".");
    return many(FLOOD, async (number) => `${part({ alg: "ES256", kid: `none-${number}`, typ: "at+jwt" })}.${payload}.${signature}`);
  },
  "no token": () => many(FLOOD, async (number) => `${part({ alg: "ES256" })}.${part({ number })}x.${part(number)}`),
};

/** The one token of an algorithm that is sent again and again. */
export const repeated = (alg) => sign(alg, "repeated");

/** What the file of a ring is called. */
export const ringName = (name) => `tokens-${name.replaceAll(" ", "-")}.txt`;

/** Writes the file of a ring, one token in a line, once in a run. */
export async function ringFile(name, folder) {
  const file = join(folder, ringName(name));
  files[file] ??= RINGS[name]().then((tokens) => writeFileSync(file, `${tokens.join("\n")}\n`));
  await files[file];
}
const files = {};
