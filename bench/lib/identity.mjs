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

// Every algorithm that the gateway takes.
export const ALGORITHMS = [
  "HS256", "HS384", "HS512", "RS256", "RS384", "RS512", "PS256", "PS384", "PS512", "ES256", "ES384", "EdDSA",
];
// The cache holds 4,096.
const RING = 6_000;
const FLOOD = 10_000;
const CONSUMER = "bench-none";
const SECRET = "BENCH_HMAC_SECRET";
const AUDIENCE = "turnpike";
const isSecret = (alg) => alg.startsWith("HS");
const keysOf = (name) => `https://${name}.turnpike.invalid/`;

const KEYED = ALGORITHMS.filter((alg) => !isSecret(alg));
const SECRETS = ALGORITHMS.filter(isSecret);

// How WebCrypto makes a key of an algorithm, and signs with it (RFC 7518, section 3.1; RFC 8037).
function kindOf(alg) {
  if (alg === "EdDSA") return { key: { name: "Ed25519" }, sign: "Ed25519" };
  const hash = `SHA-${alg.slice(2)}`;
  const rsa = (name) => ({ name, hash, modulusLength: 2048, publicExponent: new Uint8Array([1, 0, 1]) });
  switch (alg.slice(0, 2)) {
    case "HS": return { key: { name: "HMAC", hash }, sign: "HMAC" };
    case "RS": return { key: rsa("RSASSA-PKCS1-v1_5"), sign: "RSASSA-PKCS1-v1_5" };
    case "PS": return { key: rsa("RSA-PSS"), sign: { name: "RSA-PSS", saltLength: Number(alg.slice(2)) / 8 } };
    default: return { key: { name: "ECDSA", namedCurve: `P-${alg.slice(2)}` }, sign: { name: "ECDSA", hash } };
  }
}

let made = null;

/** The issuers' keys, made once in a run. */
export function issuers() {
  made ??= make();
  return made;
}

async function make() {
  const keys = {};
  const open = [];
  for (const alg of KEYED) {
    const pair = await subtle.generateKey(kindOf(alg).key, true, ["sign", "verify"]);
    keys[alg] = pair.privateKey;
    const { kty, crv, x, y, n, e } = await subtle.exportKey("jwk", pair.publicKey);
    open.push({ kty, crv, x, y, n, e, alg, kid: alg, use: "sig" });
  }
  // A Worker secret is text, so the key is the text and not what it encodes.
  const secret = Buffer.from(webcrypto.getRandomValues(new Uint8Array(64))).toString("base64url");
  for (const alg of SECRETS) keys[alg] = await subtle.importKey("raw", encoder.encode(secret), kindOf(alg).key, false, ["sign"]);
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
    algorithms: [${algorithms.join(", ")}]
    max_lifetime: 12h
    ${keys}
`;
  add(join(into, "gateway.yaml"), "issuers:\n",
    issuer("bench-keys", KEYED, "jwks: keys.json") + issuer("bench-secret", SECRETS, `secret: ${SECRET}`));
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
    iss: keysOf(isSecret(alg) ? "bench-secret" : "bench-keys"), aud: AUDIENCE, client_id: CONSUMER, sub: `user-${number}`,
    iat: now - 5, exp: now + 6 * 3600, jti: `${alg}-${number}`,
  };
}

async function sign(alg, number, header = {}) {
  const { keys } = await issuers();
  const input = `${part({ alg, kid: isSecret(alg) ? undefined : alg, typ: "at+jwt", ...header })}.${part(claims(alg, number))}`;
  const signature = await subtle.sign(kindOf(alg).sign, keys[alg], encoder.encode(input));
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
