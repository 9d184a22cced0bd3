// The door to the cold half of the Worker: the Wasm module that serves what is off the hot path.
//
// It is instantiated at first use, and afresh after a panic: the instance that panicked is lost with
// everything in flight in it, so those calls are failed at once instead of being left to hang.
import { __wbg_reset_state, fetch as coldFetch, scheduled as coldScheduled } from "./cold.js";

let usable = false;
const inFlight = new Set();

function died(why) {
  usable = false;
  const error = new Error("the cold half of the Worker stopped and will be started afresh", { cause: why });
  for (const fail of inFlight) fail(error);
  inFlight.clear();
}

// The `worker` crate's panic hook sets `criticalError`; other traps (memory, stack) surface as errors.
Object.defineProperty(globalThis.__worker_init_state, "criticalError", {
  get: () => !usable,
  set: (critical) => {
    if (critical) died();
  },
});
addEventListener("error", (event) => {
  if (event.error instanceof WebAssembly.RuntimeError) died(event.error);
});

function call(handler, args, ctx) {
  const result = run(handler, args);
  // When the client leaves, the work still comes to its end: Rust would never hear of it, and leak.
  ctx.waitUntil(result.catch(() => {}));
  return result;
}

async function run(handler, args) {
  if (!usable) {
    __wbg_reset_state();
    usable = true;
  }
  let fail;
  const death = new Promise((_, reject) => (fail = reject));
  inFlight.add(fail);
  try {
    return await Promise.race([handler(...args), death]);
  } catch (error) {
    if (error instanceof WebAssembly.RuntimeError) died(error);
    throw error;
  } finally {
    inFlight.delete(fail);
  }
}

/** Answers a request. Rejects when the instance panics; the next call has a new one. */
export const fetch = (request, env, ctx) => call(coldFetch, [request, env, ctx], ctx);

/** Does scheduled work. Rejects as `fetch` does. */
export const scheduled = (event, env, ctx) => call(coldScheduled, [event, env, ctx], ctx);
