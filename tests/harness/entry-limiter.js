// The Worker as several isolates, with objects of the limiter that fail when a test wants it: the pieces of
// src/entry.js, put together more than once. Nothing of this is part of a build that is deployed.
//
//   GET /__clock?ms=N             the clock stands at N, for all; without `ms` it runs again (entry-held-clock.js)
//   GET /__meter?fault=F&count=N  the next N calls of objects fail so (more asks of one request are more calls):
//                                 `throw`  before anything is decided
//                                 `lose`   it is decided and kept, and the answer is lost
//                                 `hang`   it is decided and kept, and the answer comes after 7 s
//                                 `late`   it comes to the object after 7 s, and is decided then
//                                 `overload`  nothing is decided, and the caller sees `.overloaded`, as the platform
//                                             has it where too many wait for an object
//   GET /__meter?restart=NAME     the object of that name is restarted: what it did not store is lost
//   GET /__meter?kept=NAME        how many rows the object of that name keeps, its alarm among them
//   GET /__meter                  { calls: { NAME: N }, begun: { NAME: N } } since the last such question: how often
//                                 objects were called, and how often they entered memory
//
// A request goes to the isolate that `x-test-isolate` names (0 to 7); each keeps its own leases and local limits, and
// all of them ask the same objects.

import coreModule from "../../build/core.wasm";
import * as cold from "../../build/cold.js";
import { createCore } from "../../src/core.js";
import { createGateway } from "../../src/gateway.js";
import { createMeter } from "../../src/meter.js";

const ISOLATES = 8;
const HANG = 7_000;
const OVERLOAD = "overload";

let held = null;
let fault = null;
let failures = 0;
let calls = {};
let begun = {};

// How the next call fails, if it does.
function fails() {
  if (failures <= 0) return null;
  failures -= 1;
  return fault;
}

// Objects as an isolate sees them. What too many wait for is turned away before it, by the platform.
function objectsOf({ METER }) {
  return {
    getByName(name) {
      const object = METER.getByName(name);
      return {
        async decide(ask) {
          if (fault !== OVERLOAD || fails() === null) return object.decide(ask);
          calls[name] = (calls[name] ?? 0) + 1;
          throw Object.assign(new Error("Durable Object is overloaded. Too many requests queued."), { overloaded: true });
        },
      };
    },
  };
}

const newCore = () => createCore(coreModule, {
  now: () => held ?? Date.now(),
  fill: (bytes) => crypto.getRandomValues(bytes),
  report: (event) => console.error(JSON.stringify(event)),
});
const isolates = Array.from({ length: ISOLATES }, () => createGateway(newCore(), cold, (line) => console.log(line)));

const Sound = createMeter(newCore(), (line) => console.log(line));

export class Meter extends Sound {
  constructor(ctx, env) {
    super(ctx, env);
    begun[ctx.id.name] = (begun[ctx.id.name] ?? 0) + 1;
  }

  async decide(ask) {
    const name = this.ctx.id.name;
    calls[name] = (calls[name] ?? 0) + 1;
    const mine = fails();
    if (mine === "throw") throw new Error("the test wants it");
    if (mine === "late") await new Promise((resolve) => setTimeout(resolve, HANG));
    const answer = super.decide(ask);
    if (mine === "lose") throw new Error("the answer is lost");
    if (mine === "hang") await new Promise((resolve) => setTimeout(resolve, HANG));
    return answer;
  }

  async kept() {
    return [...this.ctx.storage.kv.list()].length + Number((await this.ctx.storage.getAlarm()) !== null);
  }

  restart() {
    this.ctx.abort("restarted by the test");
  }
}

async function control({ searchParams: asked }, env) {
  const name = asked.get("restart");
  if (asked.has("kept")) return Response.json(await env.METER.getByName(asked.get("kept")).kept());
  if (name !== null) {
    await env.METER.getByName(name).restart().catch(() => {});
  } else if (asked.has("fault")) {
    fault = asked.get("fault");
    failures = Number(asked.get("count"));
  } else {
    const said = Response.json({ calls, begun });
    [calls, begun] = [{}, {}];
    return said;
  }
  return new Response(null, { status: 204 });
}

export default {
  fetch(request, env, ctx) {
    const url = new URL(request.url);
    if (url.pathname === "/__meter") return control(url, env);
    if (url.pathname === "/__clock") {
      const ms = url.searchParams.get("ms");
      held = ms === null ? null : Number(ms);
      return new Response(null, { status: 204 });
    }
    const isolate = isolates[Number(request.headers.get("x-test-isolate") ?? 0)];
    return isolate.fetch(request, { ...env, METER: objectsOf(env) }, ctx);
  },
  scheduled: (event, env, ctx) => cold.scheduled(event, env, ctx),
};
