// Builds of other policy trees than the one that is deployed, each in a folder of its own.
//
//   import { buildTree, E2E } from "./harness/build.mjs";
//
//   const build = await buildTree(E2E);     // the folder, for startGateway({ build })
//   await buildTree("tests/trees/other", { env: "staging", faults: false });
//   await buildTree(E2E, { deployed: true });
//
// What was built is kept until the policies, the sources or the development key change, also across
// runs; of tests that run at the same time, one builds and the others wait. The builds are quick ones
// (`--dev`), and with the feature `faults`: what a test can only ask of such a build is written where
// it is done (crates/core, src/lib.rs). `deployed` is compiled as what is deployed, for tests that need no fault.
//
// TEST_BUILDS=kept takes what was built before, however old: for work on the tests themselves.
//
// A tree that refers to `keys.json` gets one: the public halves of the test issuers' keys, which are
// made here once, outside Git. `keys()` of token.mjs has the private ones.

import { spawn } from "node:child_process";
import { createHash } from "node:crypto";
import { existsSync } from "node:fs";
import { cp, mkdir, open, readFile, readdir, rename, rm, writeFile } from "node:fs/promises";
import { homedir } from "node:os";
import { basename, dirname, join } from "node:path";
import { setTimeout as sleep } from "node:timers/promises";
import { ROOT } from "./gateway.mjs";
import { ALGORITHMS, KEYS_FILE, newKeys } from "./token.mjs";

/** The tree that end-to-end tests share: see its README. */
export const E2E = "tests/trees/e2e";

// What a build is made of, besides its policies.
const SOURCES = ["crates", "src", "scripts", "build.rs", "Cargo.toml", "Cargo.lock"];
// And what lies beside it: native tests, notes; the shell (src/*.js) is bundled when a gateway starts.
const APART = /^(target|tests|examples|benches)$|\.md$|(?<!^cold)\.js$/;

export async function buildTree(tree, { env = "dev", deployed = false, faults = !deployed } = {}) {
  const out = join("build", "trees", `${basename(tree)}-${env}${deployed ? "-deployed" : faults ? "" : "-plain"}`);
  await makeKeys();
  const wanted = await fingerprint([...SOURCES, tree], `${env} ${faults} ${deployed}`);
  const stamp = join(ROOT, out, ".fingerprint");
  const kept = process.env.TEST_BUILDS === "kept";
  const isThere = async () => existsSync(stamp) && (kept || (await readFile(stamp, "utf8")) === wanted);
  if (await isThere()) return out;
  await mkdir(join(ROOT, out), { recursive: true });
  const release = await lock(join(ROOT, out, ".building"));
  try {
    // Another test may have built it while this one waited.
    if (await isThere()) return out;
    await rm(stamp, { force: true });
    const kind = [...(deployed ? [] : ["--dev"]), ...(faults ? ["--faults"] : [])];
    await scriptsBuild(await withKeys(tree, out), out, env, kind);
    await writeFile(stamp, wanted);
  } finally {
    await release();
  }
  return out;
}

// The pairs of the test issuers: made once, and part of every build.
async function makeKeys() {
  const whole = async () => {
    const names = existsSync(KEYS_FILE) ? JSON.parse(await readFile(KEYS_FILE, "utf8")).keys.map((key) => key.alg) : [];
    return Object.keys(ALGORITHMS).every((alg) => names.includes(alg));
  };
  if (await whole()) return;
  await mkdir(dirname(KEYS_FILE), { recursive: true });
  const release = await lock(`${KEYS_FILE}.making`);
  try {
    if (await whole()) return;
    const pairs = await Promise.all(Object.keys(ALGORITHMS).map((alg) => newKeys(alg, `e2e-${alg}`)));
    const keys = await Promise.all(pairs.map(async ({ privateKey, publicJwk }) => {
      return { ...(await crypto.subtle.exportKey("jwk", privateKey)), ...publicJwk };
    }));
    await writeFile(`${KEYS_FILE}.new`, JSON.stringify({ keys }), { mode: 0o600 });
    await rename(`${KEYS_FILE}.new`, KEYS_FILE);
  } finally {
    await release();
  }
}

// A copy of the tree with the public keys of the test issuers in it.
async function withKeys(tree, out) {
  const copy = join(out, "policies");
  await rm(join(ROOT, copy), { recursive: true, force: true });
  await cp(join(ROOT, tree), join(ROOT, copy), { recursive: true });
  if ((await readFile(join(ROOT, tree, "gateway.yaml"), "utf8")).includes("keys.json")) {
    const { keys } = JSON.parse(await readFile(KEYS_FILE, "utf8"));
    const open = keys.map(({ kty, crv, x, y, n, e, alg, kid, use }) => ({ kty, crv, x, y, n, e, alg, kid, use }));
    await writeFile(join(ROOT, copy, "keys.json"), JSON.stringify({ keys: open }));
  }
  return copy;
}

async function scriptsBuild(tree, out, env, kind) {
  const child = spawn(join(ROOT, "scripts/build"), ["--env", env, ...kind], {
    cwd: ROOT,
    env: { ...process.env, POLICIES: tree, BUILD_DIR: out },
    stdio: ["ignore", "pipe", "pipe"],
  });
  let said = "";
  for (const stream of [child.stdout, child.stderr]) stream.on("data", (chunk) => (said += chunk));
  const code = await new Promise((resolve, reject) => {
    child.on("error", reject);
    child.on("close", resolve);
  });
  if (code !== 0) throw new Error(`scripts/build of ${tree} failed (${code}):\n${said}`);
}

// One at a time, also among processes. A lock whose owner is gone is taken over.
async function lock(path) {
  for (;;) {
    try {
      const file = await open(path, "wx");
      await file.write(String(process.pid));
      await file.close();
      return () => rm(path, { force: true });
    } catch (error) {
      if (error.code !== "EEXIST") throw error;
    }
    const owner = Number(await readFile(path, "utf8").catch(() => ""));
    if (owner > 0 && !alive(owner)) await rm(path, { force: true });
    await sleep(100);
  }
}

function alive(pid) {
  try {
    process.kill(pid, 0);
    return true;
  } catch (error) {
    return error.code === "EPERM";
  }
}

async function fingerprint(paths, words) {
  const hash = createHash("sha256").update(words);
  for (const path of paths) await add(hash, path);
  hash.update(await readFile(KEYS_FILE));
  // The public half of this machine's development key is part of a build. Its `kid` names the pair.
  const key = process.env.TURNPIKE_DEVELOPMENT_KEY ||
    join(process.env.XDG_DATA_HOME || join(homedir(), ".local/share"), "turnpike/development-issuer.json");
  if (existsSync(key)) hash.update(JSON.parse(await readFile(key, "utf8")).kid);
  return hash.digest("hex");
}

async function add(hash, path) {
  const entries = await readdir(join(ROOT, path), { withFileTypes: true }).catch(() => null);
  if (entries === null) {
    hash.update(`${path}\n`).update(await readFile(join(ROOT, path)));
    return;
  }
  for (const { name } of entries.sort((a, b) => (a.name < b.name ? -1 : 1))) {
    if (!name.startsWith(".") && !APART.test(name)) await add(hash, join(path, name));
  }
}
