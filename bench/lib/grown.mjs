// Whether a request through the built Worker takes longer where the tree is larger: the Workers of two trees beside
// each other, asked in turn for the same operation, and for one operation after the other.
//
// The upstream is nginx, whatever host the policies name (lib/workerd.mjs). Of the tree only what would refuse a
// benchmark is another in the copy that is measured: rates, which isolates keep here, so that no object is asked;
// and a consumer whose key is known.

import { createHash } from "node:crypto";
import { readFileSync, readdirSync, writeFileSync } from "node:fs";
import { request as ask } from "node:http";
import { join } from "node:path";
import { measure } from "./load.mjs";
import { PETS } from "./payloads.mjs";
import { freePorts, lastLines, sleep } from "./processes.mjs";
import { median } from "./report.mjs";
import { Trouble } from "./settings.mjs";
import { objectStorage, startWorker } from "./systems.mjs";
import { findNginx, findWorkerd, findWrk } from "./tools.mjs";
import { modulesOf, secretsOf } from "./turnpike.mjs";
import { startUpstreams } from "./upstream.mjs";

// No secret: it opens what is made for a benchmark, and is gone with it.
const KEY = "tpk_bench_not-a-secret-of-anybody";
const RATE = "rate: 1000000/s";

/** Has a generated tree let the benchmark pass. */
export function open(tree) {
  const apis = readdirSync(join(tree, "apis")).map((name) => `apis/${name}/api.yaml`);
  const templates = readdirSync(join(tree, "templates")).map((name) => `templates/${name}`);
  for (const file of [...apis, ...templates]) {
    const text = readFileSync(join(tree, file), "utf8");
    writeFileSync(join(tree, file), text.replace(/\brate: \d+\/s/g, `${RATE}, precision: local`));
  }
  const gateway = join(tree, "gateway.yaml");
  writeFileSync(gateway, readFileSync(gateway, "utf8").replace(/^shield: .*$/m, `shield: { ${RATE} }`));
  // A plan has a limit: this one is for models.
  writeFileSync(join(tree, "plans/bench.yaml"), `plan: bench\nlimits:\n  - { ${RATE}, subject: [consumer, model], precision: local }\n`);
  const hash = createHash("sha256").update(KEY).digest("hex");
  const end = new Date(Date.now() + 300 * 86_400_000).toISOString().slice(0, 10);
  writeFileSync(join(tree, "consumers/bench.yaml"), `consumer: bench
owner: team-bench
plan: bench
credentials:
  - key: { sha256: ${hash}, expires: ${end} }
may:
  - { apis: all }
`);
}

// What the gateway is asked for: where it listens, by the host that its policies name.
function requestsOf({ urls }, port, folder, name) {
  const { host } = new URL(urls[0]);
  const paths = join(folder, `${name}.paths`);
  writeFileSync(paths, urls.map((url) => `${new URL(url).pathname}\n`).join(""));
  // wrk adds the one of the URL where it finds none that is written so.
  const headers = { Host: host, "x-api-key": KEY, accept: "application/json" };
  const request = { kind: "api", method: "GET", body: null, headers };
  const at = (url) => `http://127.0.0.1:${port}${new URL(url).pathname}`;
  return { one: (url) => ({ ...request, url: at(url) }), spread: { ...request, url: at(urls[0]), paths } };
}

// Nothing is measured that is not right to begin with. (`fetch` names the host by itself.)
function check({ url, headers }) {
  return new Promise((resolve, reject) => {
    ask(url, { headers }, async (answer) => {
      const text = Buffer.concat(await answer.toArray()).toString();
      if (answer.statusCode === 200 && text === PETS) resolve();
      else reject(new Trouble(`${url}: status ${answer.statusCode}: ${text.slice(0, 300)}`));
    }).on("error", reject).end();
  });
}

/**
 * Measures two Workers in turn. Each is { name, tree, urls }, and lies in FOLDER/NAME; the small one comes first.
 * Resolves to what each took, in the same order, and to the medians of the ratios within a round, large to small.
 */
export async function compare(workers, folder) {
  const rounds = Math.floor(Number(process.env.ROUNDS || 5));
  const seconds = Math.floor(Number(process.env.SECONDS_PER_RUN || 4));
  const [nginx, wrk, workerd] = [await findNginx(), await findWrk(), await findWorkerd()];
  const [plain, stream, ...listen] = await freePorts(2 + 2 * workers.length);
  const upstreams = { plain, stream };
  const conditions = { wrk, folder, seconds, connections: 16 };
  const running = await startUpstreams({ nginx, folder, ports: upstreams, chunkMs: 2 });
  try {
    const asked = [];
    for (const [at, worker] of workers.entries()) {
      const { name, tree, urls } = worker;
      const ports = { plain: listen[2 * at], stream: listen[2 * at + 1] };
      const started = await startWorker({
        name, modules: modulesOf(folder, name), bindings: secretsOf(tree), workerd, folder, ports, upstreams,
        object: { binding: "METER", className: "Meter", storage: objectStorage(folder) },
      });
      running.push(started);
      const { one, spread } = requestsOf(worker, ports.plain, folder, name);
      // The small tree's first API is the large tree's as well.
      asked.push({ started, requests: { request: one(workers[0].urls[0]), request_spread: spread } });
      for (const url of [workers[0].urls[0], ...urls]) await check(one(url));
    }
    const kinds = ["request", "request_spread"];
    const run = async ({ started, requests }, kind) => {
      const seen = await measure(requests[kind], started.pid, conditions);
      const fault = started.ended ?? seen.faults[0];
      if (fault !== undefined) throw new Trouble(`the Worker of ${started.name}: ${fault}\n${lastLines(started.log)}`);
      return seen;
    };
    for (const worker of asked) for (const kind of kinds) await run(worker, kind);
    const seen = asked.map(() => ({ request: [], request_spread: [] }));
    for (let round = 0; round < rounds; round++) {
      console.error(`bench: Workers of both trees, round ${round + 1} of ${rounds}`);
      for (const kind of kinds) {
        // Each round begins with the other one.
        const order = round % 2 === 0 ? [0, 1] : [1, 0];
        for (const at of order) {
          await sleep(300);
          seen[at][kind].push(await run(asked[at], kind));
        }
      }
    }
    const rows = seen.map((of) => Object.fromEntries(kinds.flatMap((kind) => [
      [`worker_${kind}_cpu_us`, median(of[kind].map(({ cpu_us }) => cpu_us))],
      [`worker_${kind}_p50_ms`, median(of[kind].map(({ p50_ms }) => p50_ms))],
    ])));
    const [small, large] = seen;
    const ratio = (kind, figure) => median(small[kind].map((run, round) => large[kind][round][figure] / run[figure]));
    return { rounds, seconds, rows, ratio };
  } finally {
    for (const started of running.reverse()) await started.stop();
  }
}
