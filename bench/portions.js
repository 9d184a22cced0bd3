// Turnpike as several isolates, with the calls of objects that they make counted: `GET /__calls` says how many there
// were since it was asked last. A request goes to the isolate that `x-bench-isolate` names; each takes its portions by
// itself, as isolates do, and all of them ask the same objects.

import coreModule from "./build/core.wasm";
import * as cold from "./build/cold.js";
import { createCore } from "./src/core.js";
import { createGateway } from "./src/gateway.js";
import { createMeter } from "./src/meter.js";

const ISOLATES = 8;
const log = (line) => console.log(line);
const newCore = () => createCore(coreModule, {
  now: () => Date.now(),
  fill: (bytes) => crypto.getRandomValues(bytes),
  report: (event) => console.error(JSON.stringify(event)),
});
const isolates = Array.from({ length: ISOLATES }, () => createGateway(newCore(), cold, log));
let calls = 0;

export const Meter = createMeter(newCore(), log);

export default {
  fetch(request, env, ctx) {
    if (request.url.endsWith("/__calls")) {
      const said = calls;
      calls = 0;
      return Response.json(said);
    }
    const METER = {
      getByName(name) {
        calls += 1;
        return env.METER.getByName(name);
      },
    };
    const isolate = isolates[Number(request.headers.get("x-bench-isolate") ?? 0) % ISOLATES];
    return isolate.fetch(request, { ...env, METER }, ctx);
  },
};
