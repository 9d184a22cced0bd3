// The built Worker in Miniflare, on a loopback port, so that real SDKs can call it over HTTP.
//
//   import { startGateway } from "./harness/gateway.mjs";
//
//   const gateway = await startGateway({
//     build: "build",              // a folder made by scripts/build: absolute, or in the repository
//     entry: "src/entry.js",       // or one of tests/harness/entry-*.js
//     artifact: directory,         // instead of both: a folder that `make artifact` wrote
//     secrets: { NAME: "value" },  // Worker secrets
//     persist: directory,          // keeps Durable Objects there; left out: in memory only
//     cf: { country: "DE" },       // what the platform says of every request; left out: nothing
//     log: true,                   // also prints what the Worker logs (TEST_LOG=1 does so everywhere)
//   });
//   gateway.url                    // http://127.0.0.1:PORT, without a trailing slash
//   gateway.fetch(path, init)      // Node's fetch under that URL
//   gateway.fetchAs(cf, path, init)  // the same, of a client of whom the platform says `cf`; not over HTTP
//   gateway.logs                   // what the Worker logged: parsed JSON lines, or { text }
//   gateway.line(requestId)        // waits for the log line of one request (x-request-id)
//   gateway.clock(ms)              // holds the clock at `ms`, or frees it: only with entry-held-clock.js
//   await gateway.scheduled()      // what the platform does by the clock
//   await gateway.stop()
//
// A client's address is what it says in `cf-connecting-ip`; left out: 127.0.0.1. So a test can be as
// many clients as it likes, and one that sends a flood from one address meets the shield.

import { readFile, readdir } from "node:fs/promises";
import { dirname, join, resolve } from "node:path";
import { fileURLToPath } from "node:url";
import { build as bundle } from "esbuild";
import { Log, LogLevel, Miniflare, convertV4MiniflareOptions } from "miniflare";

// Miniflare asks Cloudflare for a sample of `request.cf`, unless it is told not to.
process.env.CLOUDFLARE_CF_FETCH_ENABLED = "false";
// What the command keeps of large trees lies in the user's cache, which is not ours to fill.
process.env.TURNPIKE_CACHE = "no";

export const ROOT = resolve(dirname(fileURLToPath(import.meta.url)), "../..");

// The compatibility date and flags have one source: what is deployed.
async function compatibility() {
  const text = await readFile(join(ROOT, "wrangler.toml"), "utf8");
  const plain = text.replace(/^\s*#.*$/gm, "");
  const date = /^compatibility_date = "([\d-]+)"$/m.exec(plain);
  const flags = /^compatibility_flags = \[([^\]]*)\]/m.exec(plain);
  if (date === null || flags === null) throw new Error("wrangler.toml has no compatibility date or flags");
  return {
    compatibilityDate: date[1],
    compatibilityFlags: [...flags[1].matchAll(/"([^"]+)"/g)].map(([, flag]) => flag),
  };
}

// The modules of the Worker, as wrangler would upload them: one script, and Wasm beside it.
async function modules(entry, build) {
  const wasm = new Map();
  const built = {
    name: "built",
    setup({ onResolve }) {
      // Entries say `../build/...`; the test says which build that is.
      onResolve({ filter: /\/build\/cold\.js$/ }, () => ({ path: join(build, "cold.js") }));
      onResolve({ filter: /\.wasm$/ }, ({ path, resolveDir }) => {
        const file = path.includes("/build/") ? join(build, path.split("/build/")[1]) : join(resolveDir, path);
        const name = file.slice(file.lastIndexOf("/") + 1);
        wasm.set(name, file);
        return { path: `./${name}`, external: true };
      });
    },
  };
  const result = await bundle({
    entryPoints: [resolve(ROOT, entry)],
    bundle: true,
    format: "esm",
    target: "es2024",
    external: ["cloudflare:*"],
    plugins: [built],
    write: false,
    logLevel: "warning",
  });
  const list = [{ type: "ESModule", path: "entry.js", contents: result.outputFiles[0].text }];
  for (const [path, file] of wasm) {
    list.push({ type: "CompiledWasm", path, contents: await readFile(file) });
  }
  return list;
}

// The modules of a Worker that `make artifact` has stored.
async function stored(folder) {
  const list = [{ type: "ESModule", path: "entry.js", contents: await readFile(join(folder, "entry.js"), "utf8") }];
  for (const path of (await readdir(folder)).filter((name) => name.endsWith(".wasm"))) {
    list.push({ type: "CompiledWasm", path, contents: await readFile(join(folder, path)) });
  }
  return list;
}

export async function startGateway({
  build = "build",
  artifact,
  entry = "src/entry.js",
  bindings = {},
  secrets = {},
  persist,
  cf = false,
  port = 0,
  log = process.env.TEST_LOG === "1",
} = {}) {
  const logs = [];
  const waiting = new Set();
  function heard({ level, message }) {
    if (log) console.error(`[${level}] ${message}`);
    for (const text of message.split("\n")) {
      if (text === "") continue;
      let line;
      try {
        line = JSON.parse(text);
      } catch {
        line = { text };
      }
      logs.push(line);
      for (const look of waiting) look(line);
    }
  }

  const runtime = new Miniflare(convertV4MiniflareOptions({
    name: "turnpike",
    host: "127.0.0.1",
    port,
    modules: artifact === undefined ? await modules(entry, resolve(ROOT, build)) : await stored(artifact),
    ...(await compatibility()),
    bindings: { ...bindings, ...secrets },
    durableObjects: { METER: { className: "Meter", useSQLite: true } },
    ...(persist === undefined ? {} : { resourcePersistencePath: resolve(persist) }),
    handleStructuredLogs: heard,
    log: new Log(LogLevel.ERROR),
    logRequests: false,
    cf,
    // Upstreams shall see what the Worker sends, and no more.
    stripCfConnectingIp: false,
    // The Worker's errors as they are, not as a page.
    stripDisablePrettyError: false,
  }));
  const url = (await runtime.ready).href.replace(/\/$/, "");

  function line(requestId, within = 5000) {
    const found = logs.find((known) => known.request_id === requestId);
    if (found !== undefined) return Promise.resolve(found);
    return new Promise((resolve, reject) => {
      const timer = setTimeout(() => {
        waiting.delete(look);
        reject(new Error(`no log line for the request ${requestId} within ${within} ms`));
      }, within);
      function look(known) {
        if (known.request_id !== requestId) return;
        clearTimeout(timer);
        waiting.delete(look);
        resolve(known);
      }
      waiting.add(look);
    });
  }

  return {
    url,
    logs,
    line,
    fetch: (path, init = {}) => fetch(url + path, { redirect: "manual", ...init }),
    fetchAs: (as, path, init = {}) => runtime.dispatchFetch(url + path, { redirect: "manual", cf: as, ...init }),
    async clock(ms) {
      const answer = await fetch(`${url}/__clock${ms === undefined ? "" : `?ms=${ms}`}`);
      if (answer.status !== 204) throw new Error("this gateway's clock cannot be held: use entry-held-clock.js");
    },
    scheduled: async () => (await runtime.getWorker()).scheduled({ cron: "17 * * * *" }),
    stop: () => runtime.dispose(),
  };
}
