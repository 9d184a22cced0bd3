// The gateway of the tree `e2e` (tests/trees/e2e/README.md), and its callers.
//
//   import { SECRETS, bearer, key, startE2e } from "./harness/e2e.mjs";
//
//   const gateway = await startE2e();                  // as startGateway, which see; also:
//   const gateway = await startE2e({ clock: true });   // with the clock that a test holds
//   const gateway = await startE2e({ deployed: true }); // compiled as what is deployed
//   const gateway = await startE2e({ env: "strict", faults: false, secrets: { E2E_CHAT_KEY: "" } });
//
//   key("minute-a")                    // the API key of a consumer
//   await bearer("minute-a", claims)   // `Bearer <token>` of the issuer e2e-jwks, ES256
//   chat(gateway, { model, as, stream, messages, headers, signal, ... })  // a chat call by fetch

import { E2E, buildTree } from "./build.mjs";
import { startGateway } from "./gateway.mjs";
import { claims, keys, sign } from "./token.mjs";

/** The Worker secrets that the tree names, but for E2E_NEVER_SET. */
export const SECRETS = {
  E2E_HMAC_SECRET: "a-shared-secret-of-the-tests-that-is-long-enough-for-hs512-as-well-0123456789",
  E2E_CHAT_KEY: "the-key-of-the-chat-upstream",
  E2E_BACKUP_KEY: "the-key-of-the-backup-upstream",
  E2E_AIMOCK_KEY: "the-key-of-aimock",
  E2E_REST_KEY: "the-key-of-the-rest-upstream",
};

export async function startE2e({ clock = false, env, deployed, faults, secrets = {}, ...options } = {}) {
  const build = await buildTree(E2E, { env, deployed, faults });
  const entry = clock ? { entry: "tests/harness/entry-held-clock.js" } : {};
  return startGateway({ build, ...entry, secrets: { ...SECRETS, ...secrets }, ...options });
}

export const key = (consumer) => `tpk_${consumer.replaceAll("-", "")}_not-a-secret`;

export async function bearer(consumer, more = {}) {
  return `Bearer ${await sign(await keys("ES256"), claims("e2e-jwks", consumer, more))}`;
}

export function chat(gateway, { as = "wide", headers = {}, signal, ...body } = {}) {
  return gateway.fetch("/v1/chat/completions", {
    method: "POST",
    headers: { "content-type": "application/json", "x-api-key": key(as), ...headers },
    body: JSON.stringify({ model: "plain", messages: [{ role: "user", content: "hi" }], ...body }),
    signal,
  });
}
