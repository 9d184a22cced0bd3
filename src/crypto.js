// Signatures by the platform's WebCrypto. Which algorithm and which key was decided by the core.

const ALGORITHMS = {
  RS256: { import: { name: "RSASSA-PKCS1-v1_5", hash: "SHA-256" }, verify: "RSASSA-PKCS1-v1_5" },
  ES256: {
    import: { name: "ECDSA", namedCurve: "P-256" },
    verify: { name: "ECDSA", hash: "SHA-256" },
  },
  EdDSA: { import: { name: "Ed25519" }, verify: { name: "Ed25519" } },
};

const MAX_KEYS = 256;
// Imported keys, by the text of their JWK. A key is not bound to the request that imported it.
const imported = new Map();

async function importKey(algorithm, text) {
  const known = imported.get(text);
  if (known !== undefined) return known;
  const { kty, crv, x, y, n, e } = JSON.parse(text);
  const jwk = { kty, crv, x, y, n, e };
  const key = await crypto.subtle.importKey("jwk", jwk, algorithm.import, false, ["verify"]);
  if (imported.size >= MAX_KEYS) imported.delete(imported.keys().next().value);
  imported.set(text, key);
  return key;
}

// Whether a signature is right. A key or a signature that cannot be read makes it wrong.
export async function verify({ algorithm, key, input, signature }) {
  const how = ALGORITHMS[algorithm];
  if (how === undefined) return false;
  try {
    const usable = await importKey(how, key);
    return await crypto.subtle.verify(how.verify, usable, signature, input);
  } catch {
    return false;
  }
}
