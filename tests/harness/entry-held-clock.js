// The Worker with a clock that a test holds: the pieces of src/entry.js, put together with another
// `now`. Nothing of this is part of a build that is deployed.
//
//   GET /__clock?ms=N   the clock stands at N (Unix milliseconds), for the gateway and its objects
//   GET /__clock        it runs again
//
// Timers are not held: a pause or a time-out takes its real time.

import coreModule from "../../build/core.wasm";
import * as cold from "../../build/cold.js";
import { createCore } from "../../src/core.js";
import { createGateway } from "../../src/gateway.js";
import { createMeter } from "../../src/meter.js";

let held = null;

const core = createCore(coreModule, {
  now: () => held ?? Date.now(),
  fill: (bytes) => crypto.getRandomValues(bytes),
  report: (event) => console.error(JSON.stringify(event)),
});
const gateway = createGateway(core, cold, (line) => console.log(line));

export default {
  fetch(request, env, ctx) {
    const url = new URL(request.url);
    if (url.pathname !== "/__clock") return gateway.fetch(request, env, ctx);
    const ms = url.searchParams.get("ms");
    held = ms === null ? null : Number(ms);
    return new Response(null, { status: 204 });
  },
  scheduled: (event, env, ctx) => cold.scheduled(event, env, ctx),
};
export const Meter = createMeter(core, (line) => console.log(line));
