// Turnpike as it is deployed: its modules, its tokens, and the secrets that its policies name.
//
// Built from this tree with the policies of bench/policies, in the environment `bench`; or taken from
// TURNPIKE_DIR: what `wrangler deploy --dry-run --outdir DIR` writes, or src/ and build/ side by side.

import { cpSync, existsSync, mkdirSync, readFileSync, readdirSync, statSync } from "node:fs";
import { join, resolve } from "node:path";
import { withIssuers } from "./identity.mjs";
import { run } from "./processes.mjs";
import { BENCH, ROOT, Trouble } from "./settings.mjs";

const SOURCE = join(BENCH, "policies");
// Where the policies are that are built: a copy with the issuers of lib/identity.mjs.
let policies = SOURCE;
let added = {};
const ENVIRONMENT = "bench";

const KINDS = { js: "esModule", mjs: "esModule", wasm: "wasm", json: "json", txt: "text", bin: "data" };

function filesIn(folder, under = "") {
  return readdirSync(join(folder, under)).flatMap((name) => {
    const path = join(under, name);
    return statSync(join(folder, path)).isDirectory() ? filesIn(folder, path) : [path];
  });
}

let modules = null;

// Puts Turnpike's modules into FOLDER/turnpike, once, and lists them, the entry first.
export function turnpikeModules(folder) {
  modules ??= modulesIn(folder);
  return modules;
}

async function modulesIn(folder) {
  const target = join(folder, "turnpike");
  mkdirSync(target);
  if (process.env.TURNPIKE_DIR) cpSync(process.env.TURNPIKE_DIR, target, { recursive: true });
  else await buildInto(target);

  return modulesOf(folder, "turnpike");
}

// The modules of a Worker that lies in FOLDER/NAME, the entry first.
export function modulesOf(folder, name) {
  const target = join(folder, name);
  const entry = ["src/entry.js", "entry.js"].find((path) => existsSync(join(target, path)));
  if (entry === undefined) throw new Trouble("there is neither src/entry.js nor entry.js among Turnpike's modules");
  return filesIn(target)
    .filter((path) => path.split("/").every((part) => !part.startsWith(".")) && KINDS[path.split(".").pop()] !== undefined)
    .sort((a, b) => (b === entry) - (a === entry))
    .map((path) => ({ name: path, kind: KINDS[path.split(".").pop()], file: `${name}/${path}` }));
}

async function buildInto(target) {
  if (!existsSync(SOURCE)) throw new Trouble("there is no bench/policies: its gateway cannot be built");
  console.error("bench: building Turnpike with bench/policies; the first time takes a minute or two");
  policies = join(target, "..", "policies");
  added = await withIssuers(SOURCE, policies);
  const env = { ...process.env, ...policyEnvironment(), BUILD_DIR: join(target, "build") };
  delete env.TURNPIKE_BUILD;
  await run(join(ROOT, "scripts", "build"), [], { cwd: ROOT, env, seconds: 1800 });
  cpSync(join(ROOT, "src"), join(target, "src"), { recursive: true, filter: (path) => !/\.(rs|test\.\w+)$/.test(path) });
}

const policyEnvironment = () => ({ POLICIES: policies, TURNPIKE_ENV: ENVIRONMENT });

// Whether what is measured knows the issuers of lib/identity.mjs.
export const knowsIssuers = () => policies !== SOURCE;

// Every secret that the policies name, with a value that says what it is.
export const secrets = () => ({ ...secretsOf(policies), ...added });

export function secretsOf(tree) {
  const named = {};
  if (!existsSync(tree)) return named;
  for (const path of filesIn(tree)) {
    if (!/\.ya?ml$/.test(path)) continue;
    const text = readFileSync(join(tree, path), "utf8").replace(/(^|\s)#.*$/gm, "");
    for (const [, name] of text.matchAll(/\bsecret:\s*["']?([A-Za-z_][A-Za-z0-9_]*)/g)) named[name] = "bench-secret";
  }
  return named;
}

// The command is made first each time (at once, when nothing has changed): one that is older than the
// policies' language would refuse what the Worker was built with.
async function commandForTokens() {
  // The compiler that the Worker is built with may not be one for native code.
  const env = { ...process.env, ...policyEnvironment() };
  delete env.RUSTC;
  console.error("bench: building the command `turnpike`, for its tokens");
  await run("make", ["cli"], { cwd: ROOT, env, seconds: 1800 });
  return { path: join(resolve(ROOT, process.env.CARGO_TARGET_DIR || "target"), "release", "turnpike"), env };
}

let command = null;

// A token of the development issuer for a consumer; or BENCH_TOKEN, for all. New ones are asked for in
// each round, so that no run outlives them.
export async function token(consumer) {
  if (process.env.BENCH_TOKEN) return process.env.BENCH_TOKEN;
  if (process.env.TURNPIKE_DIR && !existsSync(policies)) return null;
  command ??= await commandForTokens();
  const said = await run(command.path, ["token", "--consumer", consumer, "--env", ENVIRONMENT],
    { cwd: ROOT, env: command.env, seconds: 60 });
  return said.trim();
}

export async function turnpikeVersion() {
  if (process.env.TURNPIKE_DIR) return "from TURNPIKE_DIR";
  const { version } = JSON.parse(readFileSync(join(ROOT, "package.json"), "utf8"));
  const commit = await run("git", ["describe", "--always", "--dirty"], { cwd: ROOT }).catch(() => "");
  return commit === "" ? version : `${version} (${commit.trim()})`;
}
