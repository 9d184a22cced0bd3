// Tokens, valid and not.
//
//   import { developmentToken, keys, sign, hmac } from "./harness/token.mjs";
//
//   // Of the development issuer, by the command that people use (`make cli` builds it):
//   const token = await developmentToken("mobile-app", { scope: ["pets:write"] });
//
//   // Of issuers of a test's own. `keys` are pairs that the tree `e2e` trusts; its build made them:
//   const pair = await keys("RS256");             // or another of ALGORITHMS: { alg, kid, privateKey, publicJwk }
//   const other = await newKeys("ES256", "kid");  // a pair that nobody knows yet
//   await sign(pair, claims("e2e-jwks", "app-a", { scope: "pets:write" }))   // header as third argument
//   await hmac("secret", claims("e2e-hmac", "app-a"))
//
// `claims(issuer, consumer, more)` are those of an access token that the tree `e2e` accepts; `more`
// replaces members, and a member that is `undefined` is left out.

import { execFile } from "node:child_process";
import { webcrypto } from "node:crypto";
import { statSync } from "node:fs";
import { readFile } from "node:fs/promises";
import { join } from "node:path";
import { promisify } from "node:util";
import { ROOT } from "./gateway.mjs";

const { subtle } = webcrypto;
const run = promisify(execFile);

// --- the development issuer ----------------------------------------------------------------------------

/** Where `make cli` leaves the command. */
export function command() {
  const named = process.env.TURNPIKE_CLI;
  if (named) return named;
  const target = process.env.CARGO_TARGET_DIR || join(ROOT, "target");
  // `cargo test` leaves one as well: the newest knows the language best.
  const made = (path) => statSync(path, { throwIfNoEntry: false })?.mtimeMs ?? 0;
  const all = ["cli", "release", "debug"].map((profile) => join(target, profile, "turnpike"));
  const newest = all.filter(made).sort((a, b) => made(b) - made(a))[0];
  if (newest !== undefined) return newest;
  throw new Error(`there is no turnpike command under ${target}: make cli`);
}

/** A token of the development issuer for a consumer of a tree. */
export async function developmentToken(consumer, { policies, env, scope = [], expires, claims: more = {} } = {}) {
  const args = ["token", "--consumer", consumer];
  if (policies !== undefined) args.push("--policies", policies);
  if (env !== undefined) args.push("--env", env);
  for (const one of scope) args.push("--scope", one);
  if (expires !== undefined) args.push("--expires", expires);
  for (const [name, value] of Object.entries(more)) args.push("--claim", `${name}:=${JSON.stringify(value)}`);
  const { stdout } = await run(command(), args, { cwd: ROOT });
  return stdout.trim();
}

// --- issuers of a test's own ---------------------------------------------------------------------------

const rsa = (name, bits) => ({ name, hash: `SHA-${bits}`, modulusLength: 2048, publicExponent: new Uint8Array([1, 0, 1]) });
const pkcs1 = (bits) => ({ key: rsa("RSASSA-PKCS1-v1_5", bits), sign: "RSASSA-PKCS1-v1_5" });
const pss = (bits) => ({ key: rsa("RSA-PSS", bits), sign: { name: "RSA-PSS", saltLength: bits / 8 } });
const ecdsa = (namedCurve, bits) => ({ key: { name: "ECDSA", namedCurve }, sign: { name: "ECDSA", hash: `SHA-${bits}` } });
export const ALGORITHMS = {
  RS256: pkcs1(256), RS384: pkcs1(384), RS512: pkcs1(512),
  PS256: pss(256), PS384: pss(384), PS512: pss(512),
  ES256: ecdsa("P-256", 256), ES384: ecdsa("P-384", 384),
  EdDSA: { key: { name: "Ed25519" }, sign: "Ed25519" },
};
const HASHES = { HS256: "SHA-256", HS384: "SHA-384", HS512: "SHA-512" };

/** Where the pairs lie that buildTree made: beside what it builds, never in Git. */
export const KEYS_FILE = join(ROOT, "build/trees/keys.json");

/** A new pair. */
export async function newKeys(alg, kid) {
  const { privateKey, publicKey } = await subtle.generateKey(ALGORITHMS[alg].key, true, ["sign", "verify"]);
  const { kty, crv, x, y, n, e } = await subtle.exportKey("jwk", publicKey);
  return { alg, kid, privateKey, publicJwk: defined({ kty, crv, x, y, n, e, alg, kid, use: "sig" }) };
}

/** The pair of an algorithm whose public half stands in the tree `e2e`. They open no other gateway. */
export async function keys(alg) {
  const jwk = JSON.parse(await readFile(KEYS_FILE, "utf8")).keys.find((key) => key.alg === alg);
  const { kty, crv, x, y, n, e, d, p, q, dp, dq, qi, kid, use } = jwk;
  const whole = defined({ kty, crv, x, y, n, e, d, p, q, dp, dq, qi });
  const privateKey = await subtle.importKey("jwk", whole, ALGORITHMS[alg].key, false, ["sign"]);
  return { alg, kid, privateKey, publicJwk: defined({ kty, crv, x, y, n, e, alg, kid, use }) };
}

/** What `e2e` calls its issuers, and what their tokens say. */
export function claims(issuer, consumer, more = {}) {
  const now = Math.floor(Date.now() / 1000);
  return {
    iss: `https://${issuer}.test`,
    aud: "https://gateway.test",
    client_id: consumer,
    sub: consumer,
    iat: now,
    exp: now + 600,
    ...more,
  };
}

/** A token signed with a private key (compact serialization of RFC 7515). */
export async function sign(pair, payload, header = {}) {
  const input = compact({ alg: pair.alg, kid: pair.kid, typ: "at+jwt", ...header }, payload);
  const signature = await subtle.sign(ALGORITHMS[pair.alg].sign, pair.privateKey, new TextEncoder().encode(input));
  return `${input}.${Buffer.from(signature).toString("base64url")}`;
}

/** A token signed with a shared secret. */
export async function hmac(secret, payload, header = {}) {
  const { alg = "HS256" } = header;
  const algorithm = { name: "HMAC", hash: HASHES[alg] };
  const key = await subtle.importKey("raw", new TextEncoder().encode(secret), algorithm, false, ["sign"]);
  const input = compact({ alg, typ: "at+jwt", ...header }, payload);
  const signature = await subtle.sign("HMAC", key, new TextEncoder().encode(input));
  return `${input}.${Buffer.from(signature).toString("base64url")}`;
}

/** The first two parts of a token, for one whose third is a test's own. */
export function compact(header, payload) {
  return [header, payload].map((part) => Buffer.from(JSON.stringify(defined(part))).toString("base64url")).join(".");
}

function defined(object) {
  return Object.fromEntries(Object.entries(object).filter(([, value]) => value !== undefined));
}
