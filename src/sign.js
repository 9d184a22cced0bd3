// The gateway's own tokens for upstreams. What they say and how long they are good was decided by the core;
// here they are signed, by WebCrypto, and used again in the first half of their lifetime: a signature costs
// more than most decisions do.

import { ALGORITHMS } from "./crypto.js";

// How many tokens are kept; the one that was used least recently goes first.
const MAX_TOKENS = 1_000;
// The text of a header is ASCII, that of claims may not be.
const encoder = new TextEncoder();
const tokens = new Map();
// How far the clock of who verifies may be behind, in seconds, or a tenth of a token's lifetime where that is
// less: `iat` lies so far back. `exp` lies a lifetime after `iat`, so no token is good for longer than was written.
const SKEW = 5;
// Imported keys by algorithm and the name of their secret, each with the text that it was made of.
const imported = new Map();

// A token, or null: its key is not there, or not what it should be; `report` is told which.
export async function signed({ algorithm, key: name, claims, lifetime }, env, now, report) {
  const text = env[name];
  if (typeof text !== "string" || text === "") {
    report("secret_missing", name);
    return null;
  }
  const place = `${algorithm} ${name} ${lifetime} ${claims}`;
  const known = tokens.get(place);
  if (known !== undefined && known.text === text && now >= known.from && now < known.until) {
    tokens.delete(place);
    tokens.set(place, known);
    return known.token;
  }
  const key = await keyOf(algorithm, name, text);
  if (key === null) {
    report("secret_malformed", name);
    return null;
  }
  const made = Math.floor(now / 1000);
  const iat = made - Math.min(SKEW, Math.floor(lifetime / 10_000));
  const head = base64url(encoder.encode(JSON.stringify({ alg: algorithm, typ: "JWT", kid: key.kid })));
  // The core's text is an object with at least `iss` and `aud`.
  const body = `${claims.slice(0, -1)},"iat":${iat},"exp":${iat + lifetime / 1000}}`;
  const input = `${head}.${base64url(encoder.encode(body))}`;
  let signature;
  try {
    signature = await crypto.subtle.sign(ALGORITHMS[algorithm].verify, key.signs, encoder.encode(input));
  } catch {
    report("signing_failed", name);
    return null;
  }
  const token = `${input}.${base64url(new Uint8Array(signature))}`;
  tokens.delete(place);
  if (tokens.size >= MAX_TOKENS) tokens.delete(tokens.keys().next().value);
  tokens.set(place, { token, text, from: made * 1000, until: made * 1000 + lifetime / 2 });
  return token;
}

// The private key of a JWK; null if it is none of the algorithm. A bad one is tried again with each request
// that needs it: it costs no more than one that is good.
async function keyOf(algorithm, name, text) {
  const place = `${algorithm} ${name}`;
  const known = imported.get(place);
  if (known !== undefined && known.text === text) return known;
  try {
    const { kty, crv, x, y, d, kid } = JSON.parse(text);
    if (typeof kid !== "string" || kid === "" || typeof d !== "string") return null;
    const how = ALGORITHMS[algorithm];
    const open = kty === "OKP" ? { kty, crv, x } : { kty, crv, x, y };
    const signs = await crypto.subtle.importKey("jwk", { ...open, d }, how.import, false, ["sign"]);
    // Halves of two pairs would sign what nobody can verify.
    const opens = await crypto.subtle.importKey("jwk", open, how.import, false, ["verify"]);
    const probe = encoder.encode(name);
    const signature = await crypto.subtle.sign(how.verify, signs, probe);
    if (!(await crypto.subtle.verify(how.verify, opens, signature, probe))) return null;
    const key = { text, kid, signs };
    imported.set(place, key);
    return key;
  } catch {
    return null;
  }
}

function base64url(bytes) {
  let text = "";
  for (const byte of bytes) text += String.fromCharCode(byte);
  return btoa(text).replaceAll("+", "-").replaceAll("/", "_").replaceAll("=", "");
}
