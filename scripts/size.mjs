// What a deployment weighs, and what it costs to start: node scripts/size.mjs [--project DIR] [--json]
//
// The sizes are of the files that `wrangler deploy` would upload, as it makes them (--dry-run). The
// start-up time is that of workerd from its start to its first answer with these files, less the same with
// an empty Worker that carries the same files and imports none of them: compiling and instantiating the Wasm,
// the Worker's global scope, and the first request. The configuration was compiled before: to parse one in text
// with megabytes in it takes workerd longer than all of that, and no platform does so at a start. What it takes to have
// these files at all is the difference to an empty Worker that carries nothing. It is measured in turns, and the
// median is given; on a busy machine it is a guess.
//
// Fails when all that is uploaded is larger, compressed, than the budget. With --json nothing is judged: it
// prints one line for a program (bench/tree.mjs). --project names another folder with wrangler.toml, src and build.
import { execFileSync, spawn } from "node:child_process";
import { mkdirSync, mkdtempSync, readFileSync, readdirSync, rmSync, writeFileSync } from "node:fs";
import { createServer, request } from "node:http";
import { createRequire } from "node:module";
import { tmpdir } from "node:os";
import { dirname, join, resolve } from "node:path";
import { fileURLToPath } from "node:url";
import { parseArgs } from "node:util";
import { gzipSync } from "node:zlib";

// In bytes. A KB is 1,000 bytes here, as in everything that is said about size.
const BUDGET = 450_000;
const RUNS = 7;

const { values } = parseArgs({ options: { project: { type: "string" }, json: { type: "boolean", default: false } } });
const root = resolve(values.project ?? join(dirname(fileURLToPath(import.meta.url)), ".."));
const bundle = join(root, "build/deploy/dev");

function prepare() {
  rmSync(bundle, { recursive: true, force: true });
  try {
    execFileSync("wrangler", ["deploy", "--dry-run", "--env", "", "--outdir", bundle], {
      cwd: root,
      env: { ...process.env, TURNPIKE_BUILD: "done" },
      stdio: ["ignore", "pipe", "pipe"],
    });
  } catch (error) {
    console.error(String(error.stdout), String(error.stderr));
    throw new Error("wrangler deploy --dry-run failed");
  }
  return readdirSync(bundle).filter((name) => /\.(js|wasm)$/.test(name)).sort();
}

// --- start-up ------------------------------------------------------------------------------------------

// The program itself: workerd/bin/workerd may be a script around it, which would not die with it.
const workerd = createRequire(import.meta.url)("workerd").default;
const CONFIGURATION = "workerd.bin";
const EMPTY = "export default { fetch() { return new Response() } };";

// A folder with the files of a Worker, the main one first, and workerd's configuration for them, compiled. `meter`: with the
// objects of this Worker.
function worker(folder, files, meter = false) {
  mkdirSync(folder, { recursive: true });
  const modules = files.map(({ name, content }) => {
    writeFileSync(join(folder, name), content);
    const kind = name.endsWith(".wasm") ? "wasm" : "esModule";
    return `(name = ${JSON.stringify(name.endsWith(".wasm") ? `./${name}` : name)}, ${kind} = embed ${JSON.stringify(name)})`;
  });
  const [date, flags] = compatibility();
  writeFileSync(join(folder, "workerd.capnp"), `
using Workerd = import "/workerd/workerd.capnp";
const config :Workerd.Config = (
  services = [(name = "main", worker = .worker)],
  sockets = [(name = "http", http = (), service = "main")]
);
const worker :Workerd.Worker = (
  modules = [${modules.join(", ")}],
  compatibilityDate = ${JSON.stringify(date)},
  compatibilityFlags = ${flags},
  ${meter ? `durableObjectNamespaces = [(className = "Meter", uniqueKey = "meter", enableSql = true)],
  durableObjectStorage = (inMemory = void),
  bindings = [(name = "METER", durableObjectNamespace = "Meter")]` : ""}
);
`);
  const compiled = execFileSync(workerd, ["compile", "--config-only", "workerd.capnp"], { cwd: folder, maxBuffer: 1 << 28 });
  writeFileSync(join(folder, CONFIGURATION), compiled);
  return folder;
}

// Their one source is the configuration of the deployment.
function compatibility() {
  const text = readFileSync(join(root, "wrangler.toml"), "utf8");
  const date = /^compatibility_date = "([\d-]+)"/m.exec(text);
  const flags = /^compatibility_flags = (\[[^\]]*\])/m.exec(text);
  if (!date || !flags) throw new Error("wrangler.toml names no compatibility date or flags");
  return [date[1], flags[1]];
}

function freePort() {
  return new Promise((done, fail) => {
    const server = createServer().on("error", fail);
    server.listen(0, "127.0.0.1", () => {
      const { port } = server.address();
      server.close(() => done(port));
    });
  });
}

function answers(port) {
  return new Promise((done) => {
    const asked = request({ host: "127.0.0.1", port, path: "/", agent: false }, (answer) => {
      answer.resume().on("end", () => done(true));
    });
    asked.on("error", () => done(false)).end();
  });
}

async function timeToFirstAnswer(folder) {
  const port = await freePort();
  const began = performance.now();
  const child = spawn(
    workerd,
    ["serve", "--binary", CONFIGURATION, "--socket-addr", `http=127.0.0.1:${port}`],
    { cwd: folder, stdio: ["ignore", "ignore", "pipe"] },
  );
  let said = "";
  let ended = false;
  child.stderr.on("data", (chunk) => (said += chunk));
  const end = new Promise((done) => child.on("close", done)).then(() => (ended = true));
  try {
    while (!(await answers(port))) {
      if (ended || performance.now() - began > 30_000) throw new Error(`workerd does not answer:\n${said}`);
      await new Promise((done) => setTimeout(done, 1));
    }
    return performance.now() - began;
  } finally {
    child.kill();
    await end;
  }
}

function median(numbers) {
  return numbers.sort((a, b) => a - b)[Math.floor(numbers.length / 2)];
}

async function startUp(names) {
  const folder = mkdtempSync(join(tmpdir(), "turnpike-size-"));
  try {
    // The entry comes first: workerd takes the first module for the main one.
    const entryFirst = [...names].sort((a, b) => a.endsWith(".wasm") - b.endsWith(".wasm"));
    const files = entryFirst.map((name) => ({ name, content: readFileSync(join(bundle, name)) }));
    const main = { name: "main.js", content: EMPTY };
    const folders = {
      empty: worker(join(folder, "empty"), [main]),
      carrying: worker(join(folder, "carrying"), [main, ...files]),
      full: worker(join(folder, "full"), files, true),
    };
    await timeToFirstAnswer(folders.empty); // so that the first one does not pay for reading workerd from disk
    const times = Object.fromEntries(Object.keys(folders).map((name) => [name, []]));
    for (let run = 0; run < RUNS; run++) {
      for (const name in folders) times[name].push(await timeToFirstAnswer(folders[name]));
    }
    return Object.fromEntries(Object.entries(times).map(([name, all]) => [name, median(all)]));
  } finally {
    rmSync(folder, { recursive: true, force: true });
  }
}

// --- the table -----------------------------------------------------------------------------------------

const kb = (bytes) => (bytes / 1000).toFixed(1);
const row = (...cells) => console.log(cells[0].padEnd(34) + cells.slice(1).map((cell) => String(cell).padStart(12)).join(""));

const names = prepare();
const files = names.map((name) => {
  const content = readFileSync(join(bundle, name));
  // wrangler puts a hash before the name of a module.
  return { name: name.replace(/^[0-9a-f]{40}-/, ""), raw: content.length, gzip: gzipSync(content).length };
});
const sum = { raw: 0, gzip: 0 };
for (const { raw, gzip } of files) {
  sum.raw += raw;
  sum.gzip += gzip;
}

function table({ full, carrying, empty }) {
  row("what wrangler would upload", "KB", "KB gzip");
  for (const { name, raw, gzip } of files) row(`  ${name}`, kb(raw), kb(gzip));
  row("  in all", kb(sum.raw), kb(sum.gzip));
  row("  budget", "", kb(BUDGET));
  console.log();
  row("start of workerd to first answer", "ms");
  row("  this Worker", full.toFixed(1));
  row("  an empty one with the same files", carrying.toFixed(1));
  row("  an empty one", empty.toFixed(1));
  row("  start-up of this Worker", (full - carrying).toFixed(1));
}

const times = await startUp(names);
if (values.json) {
  console.log(JSON.stringify({ files, ...sum, start_ms: times.full, carrying_start_ms: times.carrying, empty_start_ms: times.empty }));
} else {
  table(times);
  if (sum.gzip > BUDGET) {
    console.error(`\nToo large: ${kb(sum.gzip)} KB compressed; the budget is ${kb(BUDGET)} KB (scripts/size.mjs).`);
    console.error("What grew? For Wasm, cargo tree tells of a new dependency; compare with the table of an older commit.");
    process.exit(1);
  }
}
