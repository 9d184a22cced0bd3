// Signatures by the platform's WebCrypto. Which algorithm and which key was decided by the core.

const rsa = (bits) => {
  const name = "RSASSA-PKCS1-v1_5";
  return { import: { name, hash: `SHA-${bits}` }, verify: name };
};
// RFC 7518, 3.5: the salt is as long as the hash.
const pss = (bits) => {
  const name = "RSA-PSS";
  return { import: { name, hash: `SHA-${bits}` }, verify: { name, saltLength: bits / 8 } };
};
const ecdsa = (namedCurve, bits) => {
  const name = "ECDSA";
  return { import: { name, namedCurve }, verify: { name, hash: `SHA-${bits}` } };
};
export const ALGORITHMS = {
  RS256: rsa(256), RS384: rsa(384), RS512: rsa(512),
  PS256: pss(256), PS384: pss(384), PS512: pss(512),
  ES256: ecdsa("P-256", 256), ES384: ecdsa("P-384", 384),
  EdDSA: { import: { name: "Ed25519" }, verify: { name: "Ed25519" } },
};

const MAX_KEYS = 256;
// Imported keys, by algorithm and the text of their JWK. A key is not bound to the request that imported it.
const imported = new Map();

async function importKey(algorithm, text) {
  const place = `${algorithm} ${text}`;
  const known = imported.get(place);
  if (known !== undefined) return known;
  const { kty, crv, x, y, n, e } = JSON.parse(text);
  const jwk = { kty, crv, x, y, n, e };
  const key = await crypto.subtle.importKey("jwk", jwk, ALGORITHMS[algorithm].import, false, ["verify"]);
  if (imported.size >= MAX_KEYS) imported.delete(imported.keys().next().value);
  imported.set(place, key);
  return key;
}

// Whether a signature is right. A key or a signature that cannot be read makes it wrong.
export async function verify({ algorithm, key, input, signature }) {
  const how = ALGORITHMS[algorithm];
  if (how === undefined) return false;
  try {
    const usable = await importKey(algorithm, key);
    return await crypto.subtle.verify(how.verify, usable, signature, input);
  } catch {
    return false;
  }
}
