// What a run can be told, all of it by environment variables.

import { homedir } from "node:os";
import { dirname, join } from "node:path";
import { fileURLToPath } from "node:url";

export const BENCH = join(dirname(fileURLToPath(import.meta.url)), "..");
export const ROOT = join(BENCH, "..");
export const CACHE = join(process.env.XDG_CACHE_HOME || join(homedir(), ".cache"), "turnpike", "bench");

// Fewer rounds than this are a look, not a verdict.
export const ROUNDS_FOR_A_VERDICT = 5;

export class Trouble extends Error {}

function number(name, standard, least = 1) {
  const text = process.env[name];
  if (text === undefined || text === "") return standard;
  const value = Number(text);
  if (!Number.isFinite(value) || value < least) throw new Trouble(`${name}=${text}: at least ${least} is wanted`);
  return value;
}

// `groups` are names that stand for several.
function choice(name, known, groups = {}) {
  const text = process.env[name];
  if (text === undefined || text.trim() === "") return known;
  const chosen = text.split(",").map((word) => word.trim()).filter(Boolean).flatMap((word) => groups[word] ?? [word]);
  for (const word of chosen) {
    if (!known.includes(word)) throw new Trouble(`${name}: there is no ${word}; there are ${[...Object.keys(groups), ...known].join(", ")}`);
  }
  return chosen;
}

export function readSettings(caseNames, systemNames, groups) {
  return {
    rounds: Math.floor(number("ROUNDS", 5)),
    seconds: Math.floor(number("SECONDS_PER_RUN", 4)),
    warmup: Math.floor(number("WARMUP_SECONDS", 3)),
    connections: Math.floor(number("CONNECTIONS", 16)),
    streams: Math.floor(number("STREAMS", 16)),
    pace: Math.floor(number("PACE", 200)),
    chunkMs: Math.floor(number("CHUNK_MS", 2)),
    cases: choice("CASES", caseNames, groups),
    // Every ratio is to the bare pass-through, so it always takes part.
    systems: [...new Set(["bare", ...choice("SYSTEMS", systemNames)])],
    output: process.env.OUTPUT || join(BENCH, "results", "latest.json"),
  };
}
