// What a large policy tree costs: node bench/tree.mjs (or `make bench-tree`).
//
// It writes a tree of APIS (1000) and one of a single API with ten operations (scripts/tree.mjs), and measures
// with both: `turnpike check` and `turnpike diff` as commands, from start to end (the least of RUNS, 7) and on the
// cores (`cpu`), with nothing kept of them and again, with what the check before has kept; what the reading of a bundle, the start of an engine and a request cost natively
// (crates/cli/examples/tree.rs: to four operations, and spread over all that read); and the Worker made of each: size,
// the start-up of workerd (scripts/size.mjs), and what a request through it costs, both in turn (lib/grown.mjs).
// Prints a table and writes bench/results/tree.json. WORKER=no leaves the Workers out.
import { cpSync, mkdirSync, mkdtempSync, readFileSync, readdirSync, rmSync, statSync, writeFileSync } from "node:fs";
import { cpus, loadavg, tmpdir } from "node:os";
import { join, resolve } from "node:path";
import { spawnSync } from "node:child_process";
import { compare, open } from "./lib/grown.mjs";
import { BENCH, ROOT } from "./lib/settings.mjs";
import { startUp, told } from "./lib/startup.mjs";

const APIS = Number(process.env.APIS || 1000);
const RUNS = Number(process.env.RUNS || 7);
const TARGET = resolve(ROOT, process.env.CARGO_TARGET_DIR || "target");
const TURNPIKE = join(TARGET, "release", "turnpike");

function run(command, args, options = {}) {
  const ran = spawnSync(command, args, { encoding: "utf8", maxBuffer: 1 << 28, cwd: ROOT, ...options });
  if (ran.error) throw ran.error;
  return ran;
}

function good(command, args, options) {
  const ran = run(command, args, options);
  if (ran.status !== 0) throw new Error(`${command} ${args.join(" ")}: status ${ran.status}\n${ran.stdout}\n${ran.stderr}`);
  return ran.stdout;
}

// The compiler that the Worker is built with may not be one for native code.
const native = { ...process.env };
delete native.RUSTC;

// Milliseconds of a command from start to end, and of the cores. `cache`: where it keeps what it has found, if it may.
function timed(name, args, { cache = "no", before = () => {} } = {}) {
  const times = Array.from({ length: RUNS }, (_, at) => {
    before(at);
    const ran = run("bash", ["-c", 'TIMEFORMAT="%R %U %S"; time "$@" >/dev/null', "bash", TURNPIKE, ...args],
      { env: { ...process.env, TURNPIKE_CACHE: cache } });
    if (ran.status !== 0) throw new Error(`turnpike ${args.join(" ")}: status ${ran.status}\n${ran.stderr}`);
    return ran.stderr.trim().split("\n").at(-1).split(" ").map((seconds) => Number(seconds) * 1000);
  });
  const least = (of) => Math.round(Math.min(...times.map(of)));
  return { [`${name}_ms`]: least(([real]) => real), [`${name}_cpu_ms`]: least(([, user, system]) => user + system) };
}

function weigh(folder) {
  const all = readdirSync(folder, { recursive: true, withFileTypes: true }).filter((entry) => entry.isFile());
  return { files: all.length, bytes: all.reduce((sum, entry) => sum + statSync(join(entry.parentPath, entry.name)).size, 0) };
}

function commands(tree, scratch) {
  const changed = join(scratch, "changed");
  cpSync(tree, changed, { recursive: true });
  const plan = join(changed, "plans/gold.yaml");
  writeFileSync(plan, readFileSync(plan, "utf8").replace(/quota: .*\/month/, "quota: 7/month"));
  const times = {
    ...timed("check", ["check", "--policies", tree]),
    ...timed("check_one", ["check", "--env", "production", "--policies", tree]),
    ...timed("diff", ["diff", tree, changed]),
    ...timed("diff_one", ["diff", tree, changed, "--env", "production"]),
  };
  // The next check of one who works on the tree: another document has changed each time.
  const cache = join(scratch, "cache");
  const documents = readdirSync(join(changed, "apis")).map((api) => join(changed, "apis", api, "v1.yaml"));
  const before = (at) => {
    const document = documents[at % documents.length];
    writeFileSync(document, "# Again.\n", { flag: "a" });
  };
  const again = { cache, before };
  timed("first", ["check", "--policies", changed], { cache });
  Object.assign(times, timed("check_again", ["check", "--policies", changed], again));
  Object.assign(times, timed("check_one_again", ["check", "--env", "production", "--policies", changed], again));
  Object.assign(times, timed("diff_one_again", ["diff", tree, changed, "--env", "production"], { cache }));
  rmSync(cache, { recursive: true, force: true });
  rmSync(changed, { recursive: true });
  return times;
}

// The Worker made of a tree, in a folder that looks like this project to wrangler.
function worker(tree, project) {
  mkdirSync(join(project, "scripts"), { recursive: true });
  good(join(ROOT, "scripts/build"), ["--env", "production"],
    { env: { ...process.env, POLICIES: tree, BUILD_DIR: join(project, "build"), TURNPIKE_BUILD: "" } });
  for (const path of ["src", "wrangler.toml", "scripts/build"]) cpSync(join(ROOT, path), join(project, path), { recursive: true });
  const { gzip, raw, start_ms, carrying_start_ms, empty_start_ms } = JSON.parse(good("node", ["scripts/size.mjs", "--json", "--project", project]));
  // What wrangler would upload: no part of the Worker as it lies there.
  rmSync(join(project, "build/deploy"), { recursive: true });
  return { worker_bytes: raw, worker_gzip_bytes: gzip, start_ms, carrying_start_ms, empty_start_ms };
}

good("make", ["cli"], { env: native });
good("cargo", ["build", "--package", "turnpike-cli", "--profile", "cli", "--example", "tree"], { env: native });
const scratch = mkdtempSync(join(tmpdir(), "turnpike-tree-"));
const rows = [];
const workers = [];
let compared = null;
try {
  for (const apis of [1, APIS]) {
    const tree = join(scratch, `apis-${apis}`);
    console.error(`bench: a tree of ${apis} APIs`);
    good("node", ["scripts/tree.mjs", "--apis", String(apis), "--out", tree]);
    const natively = JSON.parse(good(join(TARGET, "cli/examples/tree"), [tree]));
    const { operations, consumers, build_ms, bundle_bytes, read_ms, start_ms, request_us, request_spread_us, urls } = natively;
    const name = `worker-${apis}`;
    const opened = join(scratch, `opened-${apis}`);
    if (process.env.WORKER !== "no") {
      cpSync(tree, opened, { recursive: true });
      open(opened);
      workers.push({ name, tree: opened, urls });
    }
    rows.push({
      apis, operations, consumers, ...weigh(tree), ...commands(tree, scratch), bundle_build_ms: build_ms, bundle_bytes,
      native_read_ms: read_ms, native_start_ms: start_ms, native_request_us: request_us, native_request_spread_us: request_spread_us,
      ...(process.env.WORKER === "no" ? {} : worker(opened, join(scratch, name))),
    });
  }
  if (process.env.WORKER !== "no") {
    compared = await compare(workers, scratch);
    rows.forEach((row, at) => Object.assign(row, compared.rows[at]));
  }
} finally {
  rmSync(scratch, { recursive: true, force: true });
}

const [small, large] = rows;
const thousands = (large.operations - small.operations) / 1000;
const atMost = (goal, value, bound) => ({ goal, value, met: value <= bound });
const goals = [
  atMost("s for a check of all environments after one document has changed, at most 1", large.check_again_ms / 1000, 1),
  atMost("s for a check of one environment after one document has changed, at most 1", large.check_one_again_ms / 1000, 1),
  atMost("s for the first check of all environments, at most 1", large.check_ms / 1000, 1),
  atMost("s for the first check of one environment, at most 1", large.check_one_ms / 1000, 1),
  atMost("ms to read and start 1,000 operations natively, at most 1", (large.native_start_ms - small.native_start_ms) / thousands, 1),
  atMost("times as long for a request to one of a few operations, at most 1.2", large.native_request_us / small.native_request_us, 1.2),
  atMost("times as long for requests spread over all operations, at most 1.2", large.native_request_spread_us / small.native_request_spread_us, 1.2),
];
if (large.start_ms !== undefined) goals.push(startUp(small, large));
if (compared !== null) {
  for (const [kind, what] of [["request", "to one operation"], ["request_spread", "spread over all operations"]]) {
    for (const [figure, unit] of [["cpu_us", "the CPU"], ["p50_ms", "the time (p50)"]]) {
      goals.push(atMost(`times ${unit} for requests through the Worker ${what}, at most 1.2`, compared.ratio(kind, figure), 1.2));
    }
  }
}
const cpu = cpus();
const result = {
  generated: new Date().toISOString(),
  conditions: { cores: cpu.length, cpu: cpu[0]?.model, load: loadavg()[0], runs: RUNS,
    ...(compared === null ? {} : { rounds: compared.rounds, seconds_per_run: compared.seconds }) },
  rows,
  goals,
};
writeFileSync(join(BENCH, "results/tree.json"), `${JSON.stringify(result, null, 2)}\n`);
for (const key of Object.keys(small)) {
  const show = (value) => (Number.isInteger(value) ? String(value) : value.toFixed(2)).padStart(14);
  console.log(key.padEnd(30) + rows.map((row) => show(row[key])).join(""));
}
for (const goal of goals) console.log(`${told(goal)} ${goal.value.toFixed(2)} ${goal.goal}`);
