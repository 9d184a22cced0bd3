// One object of the limiter, asked as fast as it answers, with nothing of a gateway before it. What an ask is says
// Turnpike itself: the first request of a consumer goes its whole way, and what it would ask is kept. Each later one
// asks the same under an id of its own, since an ask that is repeated is not charged again.

import turnpike, { Meter } from "./src/entry.js";

export { Meter };

const DIGITS = 32;
const asks = new Map();
let count = 0;

async function askOf(request, env, ctx) {
  let bytes = null;
  const listens = { decide: async (ask) => { bytes = ask.slice(); throw new Error("it is only listened to"); } };
  await turnpike.fetch(request, { ...env, METER: { getByName: () => listens } }, ctx);
  if (bytes === null) throw new Error("no object is asked for this request");
  const at = /[0-9a-f]{32}/.exec(new TextDecoder("latin1").decode(bytes)).index;
  return { bytes, at };
}

export default {
  async fetch(request, env, ctx) {
    const who = request.headers.get("authorization");
    if (!asks.has(who)) asks.set(who, await askOf(request, env, ctx));
    const { bytes, at } = asks.get(who);
    const ask = bytes.slice();
    ask.set(new TextEncoder().encode((count++).toString(16).padStart(DIGITS, "0")), at);
    const decided = new Uint8Array(await env.METER.getByName(who.slice(-16)).decide(ask));
    // After the version comes what was decided: 0 is that it passes.
    return new Response(decided[1] === 0 ? "admitted" : "refused", { status: decided[1] === 0 ? 200 : 429 });
  },
};
