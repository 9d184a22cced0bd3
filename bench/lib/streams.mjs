// A client of streams: keeps so many open, and notes when the first chunk and the end arrive.

import { Agent, request as send } from "node:http";
import { faultOfStream, isFirstToken } from "./cases.mjs";
import { sleep } from "./processes.mjs";

// A stream that takes longer is broken.
const LONGEST_MS = 60_000;

const DONE = Buffer.from("data: [DONE]");

export function percentile(values, share) {
  const sorted = [...values].sort((a, b) => a - b);
  return sorted.length === 0 ? NaN : sorted[Math.min(sorted.length - 1, Math.floor(sorted.length * share))];
}

function once(ask, agent, keep) {
  return new Promise((resolve) => {
    const began = performance.now();
    const since = () => performance.now() - began;
    const seen = { first: NaN, token: NaN, whole: NaN, text: "", fault: null };
    let settled = false;
    const end = (fault) => {
      if (settled) return;
      settled = true;
      clearTimeout(timer);
      seen.fault = fault;
      seen.whole = since();
      resolve(seen);
    };
    const request = send(ask.url, { method: ask.method, headers: ask.headers, agent }, (response) => {
      const chunks = [];
      let last = Buffer.alloc(0);
      response.on("data", (chunk) => {
        if (Number.isNaN(seen.first)) seen.first = since();
        if (Number.isNaN(seen.token) && isFirstToken(chunk)) seen.token = since();
        if (keep) chunks.push(chunk);
        last = chunk.length < 64 ? Buffer.concat([last.subarray(-64), chunk]) : chunk;
      });
      response.on("error", (error) => end(error.message));
      response.on("end", () => {
        if (keep) seen.text = Buffer.concat(chunks).toString("utf8");
        if (response.statusCode !== 200) end(`status ${response.statusCode}`);
        else end(last.includes(DONE) ? null : "no terminator");
      });
    });
    const timer = setTimeout(() => request.destroy(new Error("it never ended")), LONGEST_MS);
    request.on("error", (error) => end(error.message));
    request.end(ask.body);
  });
}

export async function runStreams(ask, { seconds, streams, chunkMs }) {
  const agent = new Agent({ keepAlive: true, maxSockets: streams });
  const headers = { ...ask.headers, "content-length": Buffer.byteLength(ask.body) };
  const seen = [];
  const began = performance.now();
  const deadline = began + seconds * 1000;

  async function keepOne(index) {
    // They begin spread over the length of one stream: in step, they would share every wake-up.
    await sleep((index / streams) * 200 * chunkMs);
    do {
      seen.push(await once({ ...ask, headers }, agent, index === 0));
    } while (performance.now() < deadline);
  }
  await Promise.all(Array.from({ length: streams }, (_, index) => keepOne(index)));
  const took = (performance.now() - began) / 1000;
  agent.destroy();

  const whole = seen.filter((stream) => stream.fault === null);
  const faults = [...new Set([
    ...seen.map((stream) => stream.fault),
    ...whole.map((stream) => (stream.text === "" ? null : faultOfStream(stream.text, ask.usage))),
  ].filter((fault) => fault !== null))];
  return {
    requests: whole.length,
    seconds: took,
    p50_ms: percentile(whole.map((stream) => stream.whole), 0.5),
    p99_ms: percentile(whole.map((stream) => stream.whole), 0.99),
    ttfb_ms: percentile(whole.map((stream) => stream.first), 0.5),
    ttft_ms: percentile(whole.map((stream) => stream.token), 0.5),
    faults,
  };
}

// One whole stream, as text.
export async function oneStream(ask) {
  const agent = new Agent();
  const seen = await once({ ...ask, headers: { ...ask.headers, "content-length": Buffer.byteLength(ask.body) } }, agent, true);
  agent.destroy();
  return seen;
}
