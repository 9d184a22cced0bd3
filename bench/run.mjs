// Measures Turnpike beside the platform's floor and its peers, in one run. See README.md.
//
//   node bench/run.mjs       ROUNDS=5 SECONDS_PER_RUN=4 CASES=api,chat SYSTEMS=turnpike,portkey ...

import { mkdirSync, mkdtempSync, readFileSync, renameSync, rmSync, writeFileSync } from "node:fs";
import { cpus, loadavg, release, tmpdir } from "node:os";
import { dirname, join } from "node:path";
import { CASES, CONTENDERS, MODEL, faultOfStream } from "./lib/cases.mjs";
import { repeated, ringFile, ringName } from "./lib/identity.mjs";
import { measure } from "./lib/load.mjs";
import { API_PATH, CHAT_PATH, chatBody } from "./lib/payloads.mjs";
import { freePorts, lastLines, sleep } from "./lib/processes.mjs";
import { goalsOf, printReport, rowsOf } from "./lib/report.mjs";
import { Trouble, readSettings } from "./lib/settings.mjs";
import { oneStream } from "./lib/streams.mjs";
import { SYSTEMS } from "./lib/systems.mjs";
import { findNginx, findWorkerd, findWrk } from "./lib/tools.mjs";
import { knowsIssuers, token } from "./lib/turnpike.mjs";
import { startUpstreams } from "./lib/upstream.mjs";

const say = (text) => console.error(`bench: ${text}`);

async function main() {
  if (process.platform !== "linux") throw new Trouble("CPU time is read from /proc: this needs Linux");
  const grouped = (of) => CASES.filter(({ group }) => group === of).map(({ name }) => name);
  const groups = { identity: grouped("identity"), leases: grouped("leases") };
  const settings = readSettings(CASES.map((entry) => entry.name), SYSTEMS.map((system) => system.name), groups);
  const folder = mkdtempSync(join(tmpdir(), "turnpike-bench-"));
  process.on("exit", () => rmSync(folder, { recursive: true, force: true }));
  const loadBefore = loadavg()[0];

  const [nginx, wrk, workerd] = [await findNginx(), await findWrk(), await findWorkerd()];
  const versions = { node: process.versions.node, workerd: workerd.version, nginx: nginx.version, wrk: wrk.version };
  const missing = [];
  const systems = [];
  const miss = (name, error) => {
    if (!(error instanceof Trouble)) throw error;
    missing.push({ system: name, why: error.message.split("\n")[0] });
    say(`without ${name}: ${error.message}`);
  };
  for (const system of SYSTEMS.filter(({ name }) => settings.systems.includes(name))) {
    try {
      Object.assign(versions, await system.prepare?.({ folder }));
      systems.push(system);
    } catch (error) {
      miss(system.name, error);
    }
  }

  const names = ["plain", "stream"];
  const wanted = [...names.map((name) => ["upstream", name]), ...systems.flatMap(({ name, ports }) => ports.map((port) => [name, port]))];
  const found = await freePorts(wanted.length);
  const portsOf = (owner) => Object.fromEntries(wanted.flatMap(([who, name], i) => (who === owner ? [[name, found[i]]] : [])));
  const upstreams = portsOf("upstream");
  const stopping = await startUpstreams({ nginx, folder, ports: upstreams, chunkMs: settings.chunkMs });

  const gateways = new Map();
  for (const system of systems) {
    try {
      const ports = portsOf(system.name);
      const started = await system.start({ workerd, folder, ports, upstreams });
      stopping.push(started);
      gateways.set(system.name, { started, request: system.request(ports, upstreams) });
    } catch (error) {
      miss(system.name, error);
    }
  }
  if (!gateways.has("bare")) throw new Trouble("without the bare pass-through there is nothing to compare with");

  const tokens = new Map();
  async function renewTokens() {
    for (const { system, consumer } of CONTENDERS) {
      if (consumer !== undefined && gateways.has(system)) tokens.set(consumer, await token(consumer));
    }
  }
  function requestOf(entry, contender) {
    const token = tokens.get(contender.repeated ?? contender.consumer);
    const ask = gateways.get(contender.system).request(entry.kind, { model: MODEL, token });
    const request = { ...ask, kind: entry.kind, paced: entry.paced, counts: entry.counts, usage: entry.usage, method: entry.method, body: entry.body(ask.model) };
    if (contender.ring === undefined) return request;
    const { authorization, ...headers } = ask.headers;
    return { ...request, headers, ring: join(folder, ringName(contender.ring)), refused: entry.refused };
  }

  // Nothing is measured that is not right to begin with.
  async function check(entry, contender) {
    const request = requestOf(entry, contender);
    if (entry.kind === "stream") {
      const { text, fault } = await oneStream(request);
      return fault ?? faultOfStream(text, entry.usage);
    }
    const { method, body } = request;
    const first = request.ring && readFileSync(request.ring, "utf8").split("\n", 1)[0];
    const headers = first ? { ...request.headers, authorization: `Bearer ${first}` } : request.headers;
    const response = await fetch(request.url, { method, headers, body, signal: AbortSignal.timeout(30_000) });
    const text = await response.text();
    if (request.refused) return response.status === 401 ? null : `status ${response.status}, not 401`;
    if (response.status !== 200) return `status ${response.status}: ${text.slice(0, 300)}`;
    return entry.right(text) ? null : `not the upstream's answer: ${text.slice(0, 300)}`;
  }

  // Those of the benchmark's own issuers last for the whole run.
  async function makeTokens(contenders) {
    const wanted = contenders.filter(({ repeated: alg, ring }) => alg ?? ring);
    if (wanted.length > 0 && !knowsIssuers()) throw new Trouble("a Worker from elsewhere does not know the issuers of lib/identity.mjs");
    for (const { repeated: alg, ring } of wanted) {
      if (alg !== undefined) tokens.set(alg, await repeated(alg));
      else await ringFile(ring, folder);
    }
  }

  try {
    await renewTokens();
  } catch (error) {
    miss("turnpike", error);
    gateways.delete("turnpike");
  }

  const plan = [];
  for (const entry of CASES.filter(({ name }) => settings.cases.includes(name))) {
    const contenders = [];
    for (const contender of CONTENDERS) {
      if (!contender.cases.includes(entry.name) || !gateways.has(contender.system)) continue;
      const fault = await makeTokens([contender]).then(() => check(entry, contender)).catch((error) => error.message);
      // A stream that is right but for the usage is measured, and the row says so.
      if (fault === null || fault.startsWith("usage,") || fault.startsWith("no usage,")) {
        contenders.push(contender);
        continue;
      }
      missing.push({ system: contender.label, case: entry.name, why: fault });
      say(`without ${contender.label} in ${entry.name}: ${fault}\n${lastLines(gateways.get(contender.system).started.log)}`);
    }
    plan.push({ entry, contenders });
  }

  let refuses = null;
  if (gateways.has("turnpike")) {
    const { url } = gateways.get("turnpike").request("api", { model: MODEL });
    const answer = await fetch(url);
    await answer.arrayBuffer();
    refuses = answer.status;
    if (refuses !== 401) say(`Turnpike answers ${refuses}, not 401, to a request without a token`);
  }

  const tools = { wrk, folder, seconds: settings.seconds, connections: settings.connections, streams: settings.streams, chunkMs: settings.chunkMs, pace: settings.pace };
  const runs = [];
  const alone = await upstreamAlone(settings, upstreams, tools);

  const total = plan.reduce((sum, { contenders }) => sum + contenders.length, 0);
  const minutes = (total * (settings.warmup + 0.3 + settings.rounds * (settings.seconds + 0.8))) / 60;
  say(`${settings.rounds} rounds of ${total} runs, about ${Math.ceil(minutes)} min`);
  for (const { entry, contenders } of plan) {
    for (const contender of contenders) {
      await measure(requestOf(entry, contender), null, { ...tools, seconds: settings.warmup });
    }
  }
  for (let round = 0; round < settings.rounds; round++) {
    say(`round ${round + 1} of ${settings.rounds}`);
    if (round > 0 && gateways.has("turnpike")) await renewTokens();
    for (const { entry, contenders } of plan) {
      for (let i = 0; i < contenders.length; i++) {
        // Each round begins with another one, so that none is always the first or after the same.
        const contender = contenders[(i + round) % contenders.length];
        // What the last run left behind settles before the next is measured.
        await sleep(300);
        const { started } = gateways.get(contender.system);
        const seen = await measure(requestOf(entry, contender), started.pid, tools);
        if (started.ended !== null) throw new Trouble(`${contender.label} died: ${started.ended}\n${lastLines(started.log)}`);
        runs.push({ case: entry.name, system: contender.label, round: round + 1, ...seen });
      }
    }
  }
  for (const started of stopping.reverse()) await started.stop();

  const rows = rowsOf(runs);
  const goals = goalsOf(rows);
  const report = {
    generated: new Date().toISOString(),
    versions,
    conditions: {
      cpu: cpus()[0]?.model.trim() ?? "unknown",
      cores: cpus().length,
      kernel: release().split("-")[0],
      load_before: Number(loadBefore.toFixed(2)),
      rounds: settings.rounds,
      seconds_per_run: settings.seconds,
      warmup_seconds: settings.warmup,
      connections: settings.connections,
      concurrent_streams: settings.streams,
      ms_between_chunks: settings.chunkMs,
      paced_per_second: settings.pace,
      upstream_alone_rps: alone,
      turnpike_without_token: refuses,
      complete: missing.length === 0 && settings.cases.length === CASES.length && settings.systems.length === SYSTEMS.length,
    },
    goals,
    missing,
    rows,
  };
  mkdirSync(dirname(settings.output), { recursive: true });
  writeFileSync(`${settings.output}.partial`, `${JSON.stringify(report, null, 1)}\n`);
  renameSync(`${settings.output}.partial`, settings.output);
  printReport(report, CASES);
  for (const { system, case: entry, why } of missing) console.log(`NOT MEASURED: ${system}${entry ? ` in ${entry}` : ""}: ${why}`);
  // What a peer does wrong is shown; it is no failure of the run.
  return missing.length === 0 && rows.every((row) => row.faults.length === 0 || /^(portkey|litellm)/.test(row.system));
}

// How fast the upstream answers without a gateway: what no gateway here could exceed.
async function upstreamAlone(settings, upstreams, tools) {
  const ask = (kind, path, method, body) =>
    measure({ kind, method, body, url: `http://127.0.0.1:${upstreams.plain}${path}`, headers: { "content-type": "application/json" } },
      null, { ...tools, seconds: settings.warmup });
  const api = await ask("api", API_PATH, "GET", null);
  const chat = await ask("chat", CHAT_PATH, "POST", chatBody(MODEL));
  return { api: Math.round(api.rps), chat: Math.round(chat.rps) };
}

main().then((whole) => process.exit(whole ? 0 : 1), (error) => {
  console.error(error instanceof Trouble ? `bench: ${error.message}` : error);
  process.exit(2);
});
