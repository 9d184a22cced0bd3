// The Worker's entry: it puts the two halves together and hands them time and randomness.

import coreModule from "../build/core.wasm";
import * as cold from "../build/cold.js";
import { createCore } from "./core.js";
import { createGateway } from "./gateway.js";
import { createMeter } from "./meter.js";

const log = (line) => console.log(line);
const core = createCore(coreModule, {
  now: () => Date.now(),
  fill: (bytes) => crypto.getRandomValues(bytes),
  report: (event) => console.error(JSON.stringify(event)),
});
const gateway = createGateway(core, cold, log);

export default {
  fetch: gateway.fetch,
  scheduled: (event, env, ctx) => cold.scheduled(event, env, ctx),
};
export const Meter = createMeter(core, log);
