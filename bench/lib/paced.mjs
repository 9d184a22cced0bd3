// A client that sends at a fixed pace, whatever has been answered: so a system is not spared while it is slow, and
// what it adds to a request shows, since it has time for each.

import { Agent, request as send } from "node:http";
import { sleep } from "./processes.mjs";
import { percentile } from "./streams.mjs";

const LONGEST_MS = 10_000;

function once(ask, headers, agent) {
  return new Promise((resolve) => {
    const sent = performance.now();
    const end = (fault) => resolve({ ms: performance.now() - sent, fault });
    const request = send(ask.url, { method: ask.method, headers, agent, timeout: LONGEST_MS }, (response) => {
      response.on("error", (error) => end(error.message));
      response.on("end", () => end(response.statusCode === 200 ? null : `status ${response.statusCode}`));
      response.resume();
    });
    request.on("timeout", () => request.destroy(new Error("it took longer than 10 s")));
    request.on("error", (error) => end(error.message));
    request.end(ask.body ?? undefined);
  });
}

// In bursts, so many are sent at once and so much seldomer; over several isolates, each is sent to the next one.
export async function runPaced(ask, { seconds, pace: usual }) {
  const { pace = usual, burst = 1, isolates = 1 } = ask.paced;
  const agent = new Agent({ keepAlive: true, maxSockets: Infinity });
  const began = performance.now();
  const sent = [];
  for (let i = 0; i < seconds * pace; i++) {
    const early = began + ((i - (i % burst)) * 1000) / pace - performance.now();
    if (early > 0) await sleep(early);
    const headers = isolates > 1 ? { ...ask.headers, "x-bench-isolate": String(i % isolates) } : ask.headers;
    sent.push(once(ask, headers, agent));
  }
  const seen = await Promise.all(sent);
  const took = (performance.now() - began) / 1000;
  agent.destroy();
  const whole = seen.filter(({ fault }) => fault === null).map(({ ms }) => ms);
  const faults = [...new Set(seen.map(({ fault }) => fault).filter((fault) => fault !== null))];
  return { requests: whole.length, seconds: took, p50_ms: percentile(whole, 0.5), p99_ms: percentile(whole, 0.99), faults };
}
