// Tokens that authorization servers grant to the gateway by its client credentials (RFC 6749, 4.4): asked for
// by one object for all isolates, and kept by each isolate for as long as they are fresh.
//
// A token is fresh for four fifths of its lifetime, and good until shortly before its end. One that is good
// but not fresh is used while another is asked for beside the request. One flight at a time: it is claimed with
// a deadline, and nobody waits for another's promise; who finds the claim taken uses what is good, or looks
// again. After a failure the server is left alone for a while, by all isolates.
//
// A token that an upstream does not take is not fresh any more, but still there: a 401 may be about anything, and
// whoever can cause one must not take the token from everybody else.

import { createHold, readWhole } from "./bodies.js";
import { createWatch } from "./watch.js";

// How long a server may take, in milliseconds.
const DEADLINE = 5_000;
// How long it is left alone after a failure, in milliseconds (`TOKEN_COOL_DOWN` in crates/engine/src/answer.rs);
// and the least time between two tokens that are replaced because an upstream would not take them.
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
// How many grants an isolate keeps tokens of; the one that was used least recently goes first.
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
  // Some servers say the number as a text, or write that they say none.
  const digits = typeof said === "string" && /^[0-9]{1,15}$/.test(said) ? Number(said) : said;
  const seconds = said === undefined || said === null ? USUAL : digits;
  if (typeof seconds !== "number" || !(seconds >= 1)) return "bad_lifetime";
  const lifetime = Math.min(seconds, LONGEST) * 1000;
  const good = asked + lifetime - Math.min(MARGIN, lifetime / 10);
  return { token, fresh: Math.min(asked + lifetime * 0.8, good), good };
}

// Asks for a token; as `read`.
async function ask({ endpoint, clientId, post, form }, secret, now) {
  const body = new URLSearchParams({ grant_type: "client_credentials" });
  for (let i = 0; i < form.length; i += 2) body.append(form[i], form[i + 1]);
  const headers = { accept: "application/json", "content-type": "application/x-www-form-urlencoded" };
  if (post) {
    body.append("client_id", clientId);
    body.append("client_secret", secret);
  } else {
    headers.authorization = `Basic ${basic(clientId, secret)}`;
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
export function basic(id, secret) {
  const form = (text) => new URLSearchParams([["", text]]).toString().slice(1);
  return btoa(`${form(id)}:${form(secret)}`);
}

// What the object of a grant has before anything was granted. `serial` grows from token to token; until
// `resting` the server is left alone, and until `doubted` no other token is replaced because it was refused.
const NOTHING = { token: null, fresh: 0, good: 0, serial: 0, resting: 0, doubted: 0 };

// What the object of a grant keeps and does; `store` is where what it knows outlives it.
export function createGrant(store, now, log) {
  // undefined: not looked for yet.
  let state;
  let claimed = 0;
  let flights = 0;

  function change(more) {
    state = { ...state, ...more };
    store.put(state);
  }

  async function renew(grant, secret) {
    const mine = ++flights;
    claimed = now() + DEADLINE + 1_000;
    const got = await ask(grant, secret, now);
    // Another flight has begun since: this answer is older than that one's will be.
    if (flights !== mine) return;
    claimed = 0;
    if (typeof got === "string") {
      change({ resting: now() + COOL_DOWN });
      log(JSON.stringify({ event: "upstream_token_failed", host: new URL(grant.endpoint).host, client_id: grant.clientId, why: got }));
      return;
    }
    change({ ...got, serial: Math.max(now(), state.serial + 1), resting: 0 });
  }

  return {
    // What there is: a token that is good, or null as `token`. `refused` is one that an upstream did not take.
    // The secret comes with the question: this object may run another version of the Worker than who asks.
    async token({ grant, secret, refused }) {
      state ??= { ...NOTHING, ...store.get() };
      const answer = () => (now() < state.good ? state : { ...state, token: null });
      if (typeof secret !== "string" || secret === "") return { ...state, token: null };
      if (refused !== null && state.token === refused && now() >= state.doubted) {
        change({ fresh: 0, doubted: now() + COOL_DOWN });
      }
      for (const until = now() + DEADLINE + 1_000; ;) {
        const at = now();
        const good = at < state.good;
        if (good && at < state.fresh) return state;
        if (at < claimed) {
          if ((good && state.token !== refused) || at >= until) return answer();
          await new Promise((resolve) => setTimeout(resolve, LOOK));
          continue;
        }
        if (at >= state.resting) await renew(grant, secret);
        return answer();
      }
    },
  };
}

// What an isolate keeps of grants, by what they ask for.
const known = new Map();
const encoder = new TextEncoder();

// A secret that was changed must not be served by what the one before was granted: its object is another one.
// So many bits tell two secrets apart, and are too few to try guesses on.
async function nameOf(grant, secret) {
  const digest = await crypto.subtle.digest("SHA-256", encoder.encode(`${grant.object}\n${secret}`));
  return `${grant.object}:${new DataView(digest).getUint32(0).toString(16).padStart(8, "0")}`;
}

async function entryOf(grant, secret) {
  let entry = known.get(grant.object);
  if (entry?.secret !== secret) {
    const name = await nameOf(grant, secret);
    entry = known.get(grant.object);
    if (entry?.secret !== secret) {
      entry = { secret, name, kept: null, claimed: 0, resting: 0, doubted: 0, asking: 0 };
    }
  }
  known.delete(grant.object);
  if (known.size >= MAX_KEPT) known.delete(known.keys().next().value);
  known.set(grant.object, entry);
  return entry;
}

async function fetchToken(entry, grant, refused, env, now, log) {
  let late;
  const deadline = new Promise((resolve) => { late = setTimeout(() => resolve(null), DEADLINE + 2_000); });
  try {
    const object = env.METER.getByName(entry.name);
    const got = await Promise.race([object.granted({ grant, secret: entry.secret, refused }), deadline]);
    const at = now();
    entry.resting = Math.min(got === null ? Infinity : got.resting, at + COOL_DOWN);
    if (got === null || got.token === null) return;
    // Answers may come in another order than they were given in.
    if (entry.kept === null || got.serial >= entry.kept.serial || at >= entry.kept.good) entry.kept = got;
  } catch (error) {
    log(JSON.stringify({ event: "upstream_token_failed", why: "object", message: String(error) }));
    entry.resting = now() + 1_000;
  } finally {
    clearTimeout(late);
    entry.claimed = 0;
  }
}

// Another token than the one that was refused, or null. One request of an isolate asks for it; those that find
// it asking look whether it has come.
async function replaced(entry, grant, refused, env, now, log) {
  if (now() >= entry.doubted) {
    entry.doubted = now() + COOL_DOWN;
    entry.asking = now() + DEADLINE + 2_000;
    await fetchToken(entry, grant, refused, env, now, log);
    entry.asking = 0;
  }
  for (let looks = 0; looks < (DEADLINE + 2_000) / LOOK && now() < entry.asking; looks++) {
    await new Promise((resolve) => setTimeout(resolve, LOOK));
  }
  const { kept } = entry;
  return kept !== null && kept.token !== refused && now() < kept.good ? kept.token : null;
}

// A token of a grant, or null. `refused` is one that the upstream has not taken, or null.
export async function granted(grant, secret, refused, { env, ctx }, now, log) {
  const entry = await entryOf(grant, secret);
  const at = now();
  const { kept } = entry;
  const good = kept !== null && at < kept.good;
  if (refused !== null && (!good || kept.token === refused)) {
    return replaced(entry, grant, refused, env, now, log);
  }
  if (good) {
    if (at >= kept.fresh && at >= entry.resting && at >= entry.claimed) {
      entry.claimed = at + DEADLINE + 2_000;
      ctx.waitUntil(fetchToken(entry, grant, null, env, now, log));
    }
    return kept.token;
  }
  if (at < entry.resting) return null;
  await fetchToken(entry, grant, null, env, now, log);
  return entry.kept !== null && now() < entry.kept.good ? entry.kept.token : null;
}
