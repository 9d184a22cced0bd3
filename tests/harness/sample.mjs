// The gateway of the sample tree (policies/), as `make build` has built it, and its two consumers.
//
//   const gateway = await startSample();                  // as startGateway, which see
//   const gateway = await startSample({ clock: true });   // with the clock that a test holds
//   await tokenOf("demo")                                 // or "trial": by the turnpike command
//   WEATHER_TOOLS                                         // what its mock `fast` calls when asked about the weather

import { readFile } from "node:fs/promises";
import { join } from "node:path";
import { ROOT, startGateway } from "./gateway.mjs";
import { developmentToken } from "./token.mjs";

export async function startSample({ clock = false, ...options } = {}) {
  const built = await readFile(join(ROOT, "build/.of"), "utf8").catch(() => "");
  if (!built.endsWith(" dev policies\n")) {
    throw new Error(`build/ does not hold the sample tree for dev, but "${built.trim()}": make build`);
  }
  const entry = clock ? { entry: "tests/harness/entry-held-clock.js" } : {};
  return startGateway({ ...entry, ...options });
}

const tokens = new Map();

/** A token for a consumer of the sample tree; one for each test file. */
export function tokenOf(consumer, scope = []) {
  const name = `${consumer} ${scope}`;
  if (!tokens.has(name)) tokens.set(name, developmentToken(consumer, { scope }));
  return tokens.get(name);
}

/** Tools as a client offers them. */
export const WEATHER_TOOLS = [{
  type: "function",
  function: {
    name: "get_weather",
    description: "The weather in a city.",
    parameters: { type: "object", properties: { city: { type: "string" } }, required: ["city"] },
  },
}];
