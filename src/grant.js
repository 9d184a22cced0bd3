// Tokens that authorization servers grant to the gateway by its client credentials (RFC 6749, 4.4): asked for
// by one object for all isolates, and kept by each isolate for as long as they are fresh.
//
// A token is fresh for four fifths of its lifetime, and good until shortly before its end. One that is good
// but not fresh is used while another is asked for beside the request. One flight at a time: it is claimed with
// a deadline, and nobody waits for another's promise; who finds the claim taken uses what is good, or looks
// again. After a failure the server is left alone for a while.

import { createHold, readWhole } from "./bodies.js";
import { createWatch } from "./watch.js";

// How long a server may take, in milliseconds.
const DEADLINE = 5_000;
// How long it is left alone after a failure, and after a token that an upstream would not take, in milliseconds
// (`TOKEN_COOL_DOWN` in crates/engine/src/answer.rs).
const COOL_DOWN = 10_000;
// How long before its end a token is not used any more, in milliseconds: it must arrive, and clocks differ.
const MARGIN = 5_000;
// How often it is looked whether the flight of another is over, in milliseconds.
const LOOK = 50;
// The most bytes of an answer, and of a token in it.
const MAX_ANSWER = 64 * 1024;
const MAX_TOKEN = 8 * 1024;
// The lifetime of a token of which none is said, and the longest that is believed, in seconds.
const USUAL = 60;
const LONGEST = 24 * 60 * 60;
// How many grants an isolate keeps tokens of.
const MAX_KEPT = 256;

// A token as RFC 6750 (2.1) has it: nothing that could end a header.
const TOKEN = /^[A-Za-z0-9\-._~+/]+=*$/;

// What an answer grants, from the moment it was asked for; or, as a text, why it grants nothing.
export function read(bytes, asked) {
  let answer;
  try {
    answer = JSON.parse(new TextDecoder("utf-8", { fatal: true }).decode(bytes));
  } catch {
    return "not_json";
  }
  if (answer === null || typeof answer !== "object" || Array.isArray(answer)) return "not_json";
  const { access_token: token, token_type: type, expires_in: said } = answer;
  if (typeof token !== "string" || token.length > MAX_TOKEN || !TOKEN.test(token)) return "no_token";
  if (typeof type !== "string" || type.toLowerCase() !== "bearer") return "not_bearer";
  // Some servers say the number as a text.
  const digits = typeof said === "string" && /^[0-9]{1,9}$/.test(said) ? Number(said) : said;
  const seconds = said === undefined ? USUAL : digits;
  if (typeof seconds !== "number" || !(seconds >= 1)) return "bad_lifetime";
  const lifetime = Math.min(seconds, LONGEST) * 1000;
  const good = asked + lifetime - Math.min(MARGIN, lifetime / 10);
  return { token, fresh: Math.min(asked + lifetime * 0.8, good), good };
}

// Asks for a token; as `read`.
async function ask({ endpoint, clientId, secret, post, form }, env, now) {
  const value = env[secret];
  const body = new URLSearchParams({ grant_type: "client_credentials" });
  for (let i = 0; i < form.length; i += 2) body.append(form[i], form[i + 1]);
  const headers = { accept: "application/json", "content-type": "application/x-www-form-urlencoded" };
  if (post) {
    body.append("client_id", clientId);
    body.append("client_secret", value);
  } else {
    headers.authorization = `Basic ${basic(clientId, value)}`;
  }
  const asked = now();
  const hold = createHold();
  const watch = createWatch(() => false);
  const controller = new AbortController();
  let late = false;
  watch.within(DEADLINE, () => {
    late = true;
    controller.abort();
  });
  try {
    const response = await globalThis.fetch(endpoint, {
      method: "POST", headers, body: body.toString(), redirect: "manual", cache: "no-store", signal: controller.signal,
    });
    if (response.status !== 200) {
      response.body?.cancel().catch(() => {});
      return `status_${response.status}`;
    }
    const left = Math.max(1, DEADLINE - (now() - asked));
    const answer = await readWhole(response, null, MAX_ANSWER, left, hold, watch, controller);
    return typeof answer === "string" ? `answer_${answer}` : read(answer, asked);
  } catch {
    return late ? "late" : "unreachable";
  } finally {
    watch.stop();
    hold.release();
  }
}

// RFC 6749, 2.3.1: both are encoded as in a form before they are joined.
function basic(id, secret) {
  const form = (text) => new URLSearchParams([["", text]]).toString().slice(1);
  return btoa(`${form(id)}:${form(secret)}`);
}

// What the object of a grant keeps and does; `store` is where a token outlives it.
export function createGrant(store, env, now, log) {
  // undefined: not looked for yet.
  let kept;
  let claimed = 0;
  let resting = 0;
  let dropped = -Infinity;

  async function renew(grant) {
    claimed = now() + DEADLINE + 1_000;
    const mine = claimed;
    const got = await ask(grant, env, now);
    // A flight that outlived its claim is nobody's any more.
    if (claimed !== mine) return;
    claimed = 0;
    if (typeof got === "string") {
      resting = now() + COOL_DOWN;
      log(JSON.stringify({ event: "upstream_token_failed", host: new URL(grant.endpoint).host, client_id: grant.clientId, why: got }));
      return;
    }
    kept = got;
    store.put(got);
  }

  return {
    // A token that is good; or null and when to ask again. `refused` is one that an upstream did not take.
    async token(grant, refused) {
      if (kept === undefined) kept = store.get();
      if (refused !== null && kept?.token === refused && now() >= dropped + COOL_DOWN) {
        dropped = now();
        kept = null;
        store.put(null);
      }
      for (const until = now() + DEADLINE + 1_000; ;) {
        const at = now();
        const good = kept !== null && at < kept.good;
        if (good && at < kept.fresh) return kept;
        if (at < claimed) {
          if (good) return kept;
          if (at >= until) return null;
          await new Promise((resolve) => setTimeout(resolve, LOOK));
          continue;
        }
        if (at < resting) return good ? kept : null;
        await renew(grant);
        return kept !== null && now() < kept.good ? kept : null;
      }
    },
  };
}

// What an isolate keeps of grants, by the names of their objects.
const known = new Map();

function keep(object, entry) {
  if (!known.has(object) && known.size >= MAX_KEPT) known.delete(known.keys().next().value);
  known.set(object, entry);
}

async function fetchToken(grant, refused, env, now, log) {
  let late;
  const deadline = new Promise((resolve) => { late = setTimeout(() => resolve(null), DEADLINE + 2_000); });
  try {
    const object = env.METER.getByName(grant.object);
    const got = await Promise.race([object.token(grant, refused), deadline]);
    const last = known.get(grant.object)?.kept ?? null;
    const usable = got ?? (last !== null && last.token !== refused ? last : null);
    keep(grant.object, { kept: usable, claimed: 0, resting: got === null ? now() + COOL_DOWN : 0 });
    return got;
  } catch (error) {
    log(JSON.stringify({ event: "upstream_token_failed", why: "object", message: String(error) }));
    keep(grant.object, { kept: known.get(grant.object)?.kept ?? null, claimed: 0, resting: now() + 1_000 });
    return null;
  } finally {
    clearTimeout(late);
  }
}

// A token of a grant, or null. `refused` is one that the upstream has not taken, or null.
export async function granted(grant, refused, { env, ctx }, now, log) {
  const at = now();
  const entry = known.get(grant.object);
  if (refused === null && entry !== undefined) {
    const { kept } = entry;
    const good = kept !== null && at < kept.good;
    if (good && at < kept.fresh) return kept.token;
    if (at < entry.resting) return good ? kept.token : null;
    if (good) {
      if (at >= entry.claimed) {
        entry.claimed = at + DEADLINE + 2_000;
        ctx.waitUntil(fetchToken(grant, null, env, now, log));
      }
      return kept.token;
    }
  }
  const got = await fetchToken(grant, refused, env, now, log);
  return got === null ? null : got.token;
}
