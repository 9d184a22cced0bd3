// One run: one system, one case, a few seconds. Whole answers are wrk's to ask for, at a pace or as fast as they come.

import { mkdtempSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { cpuBetween, readCpu } from "./cpu.mjs";
import { runPaced } from "./paced.mjs";
import { run } from "./processes.mjs";
import { BENCH } from "./settings.mjs";
import { runStreams } from "./streams.mjs";

async function runWrk(request, { wrk, seconds, connections, folder }) {
  const ring = request.ring ? ["tokens", request.ring] : request.paths ? ["paths", request.paths] : [];
  const script = join(BENCH, ring.length > 0 ? "wrk-ring.lua" : "wrk.lua");
  const args = ["-t1", `-c${connections}`, `-d${seconds}s`, "--timeout", "10s", "-s", script];
  for (const [name, value] of Object.entries(request.headers)) args.push("-H", `${name}: ${value}`);
  args.push(request.url, "--", request.method);
  args.push(...ring);
  if (request.body !== null) {
    const file = join(mkdtempSync(join(folder, "body-")), "body.json");
    writeFileSync(file, request.body);
    args.push(file);
  }
  const said = await run(wrk.path, args, { env: { ...process.env, ...wrk.env }, seconds: seconds + 30 });
  const line = said.split("\n").find((text) => text.startsWith("{"));
  const seen = JSON.parse(line);
  const faults = [];
  if (request.refused) {
    if (seen.status !== seen.requests) faults.push(`${seen.requests - seen.status} of ${seen.requests} bad tokens were let in`);
  } else if (seen.status > 0) faults.push(`${seen.status} of ${seen.requests} answers were refusals or errors`);
  if (seen.socket > 0) faults.push(`${seen.socket} connections broke`);
  if (seen.timeout > 0) faults.push(`${seen.timeout} requests took longer than 10 s`);
  return { ...seen, faults };
}

// `pid` is null when there is no gateway, as when the upstream is asked directly.
export async function measure(request, pid, conditions) {
  const calls = async () => (request.counts ? (await fetch(new URL("/__calls", request.url))).json() : 0);
  await calls();
  const before = pid === null ? null : readCpu(pid);
  const client = request.kind === "stream" ? runStreams : request.paced ? runPaced : runWrk;
  const seen = await client(request, conditions);
  const cpu = pid === null ? NaN : cpuBetween(before, readCpu(pid));
  const { requests, seconds, p50_ms, p99_ms, ttfb_ms, ttft_ms, faults } = seen;
  if (requests === 0) faults.push("nothing was answered");
  return {
    ...(request.counts ? { round_trips: (await calls()) * 1000 / requests } : {}),
    rps: requests / seconds,
    cpu_us: cpu / requests,
    p50_ms, p99_ms,
    ...(ttfb_ms === undefined ? {} : { ttfb_ms, ttft_ms }),
    requests,
    faults,
  };
}
