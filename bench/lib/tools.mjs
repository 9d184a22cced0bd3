// Finds what a run needs, and fetches what is missing into the user's cache: pinned, once per machine.
// Nothing is installed into the system, and nobody needs to be root.

import { createHash } from "node:crypto";
import { accessSync, constants, cpSync, existsSync, mkdirSync, readFileSync, readdirSync, renameSync, rmSync, writeFileSync } from "node:fs";
import { createRequire } from "node:module";
import { delimiter, join } from "node:path";
import { run } from "./processes.mjs";
import { BENCH, CACHE, ROOT, Trouble } from "./settings.mjs";

const WORKERD = "1.20261117.1";
const LITELLM = "1.102.4";

const say = (text) => console.error(`bench: ${text}`);
const fingerprint = (...texts) => createHash("sha256").update(texts.join("\n")).digest("hex").slice(0, 12);

function executable(path) {
  try {
    accessSync(path, constants.X_OK);
    return true;
  } catch {
    return false;
  }
}

// --- nginx and wrk -------------------------------------------------------------------------------------

// Debian puts servers where an ordinary user's PATH does not look.
const FOLDERS = [...(process.env.PATH ?? "").split(delimiter), "/usr/sbin", "/usr/local/sbin"];

function installed(name) {
  const folder = FOLDERS.find((folder) => executable(join(folder, name)));
  return folder === undefined ? null : { path: join(folder, name), env: {} };
}

// A program unpacked into the cache, and where its shared libraries lie.
function unpacked(root, name) {
  const path = ["usr/bin", "usr/sbin"].map((folder) => join(root, folder, name)).find(executable);
  if (path === undefined) return null;
  const libraries = ["usr/lib", "lib"].flatMap((lib) => [join(root, lib), ...triplets(join(root, lib))]);
  return { path, env: { LD_LIBRARY_PATH: libraries.join(":") } };
}

function triplets(folder) {
  return existsSync(folder) ? readdirSync(folder).filter((name) => name.includes("-linux-")).map((name) => join(folder, name)) : [];
}

async function debianTool(name, packageName) {
  const found = installed(name);
  if (found !== null) return found;
  const root = join(CACHE, `debian-${packageName}-${process.arch}`);
  const before = unpacked(root, name);
  if (before !== null && existsSync(join(root, "ready"))) return before;
  say(`${name} is not installed: unpacking Debian's package ${packageName} into the cache`);
  const advice = `Install it, on Debian by: apt install ${packageName}`;
  rmSync(root, { recursive: true, force: true });
  mkdirSync(root, { recursive: true });
  try {
    await run(join(ROOT, "scripts", "debian-packages"), [root, packageName], { seconds: 300, cwd: ROOT });
  } catch (error) {
    throw new Trouble(`${name} is missing, and Debian's package could not be had. ${advice}\n${error.message}`);
  }
  const after = unpacked(root, name);
  if (after === null) throw new Trouble(`${name} is missing. ${advice}`);
  writeFileSync(join(root, "ready"), "");
  return after;
}

async function versionOf(tool, ...args) {
  // wrk prints its version with status 1, nginx to stderr.
  const said = await run("sh", ["-c", '"$@" 2>&1 || true', "sh", tool.path, ...args], { env: { ...process.env, ...tool.env }, seconds: 10 });
  return /(\d+\.\d+[\w.+-]*)/.exec(said)?.[1] ?? "unknown";
}

export async function findNginx() {
  const tool = await debianTool("nginx", "nginx");
  return { ...tool, version: await versionOf(tool, "-v") };
}

export async function findWrk() {
  const tool = await debianTool("wrk", "wrk");
  return { ...tool, version: await versionOf(tool, "-v") };
}

// --- packages of npm -----------------------------------------------------------------------------------

async function npmFolder(name, prepare, command) {
  const folder = join(CACHE, name);
  if (existsSync(join(folder, "ready"))) return folder;
  const partial = `${folder}.partial-${process.pid}`;
  rmSync(partial, { recursive: true, force: true });
  mkdirSync(partial, { recursive: true });
  prepare(partial);
  await run("npm", [command, "--ignore-scripts", "--no-audit", "--no-fund", "--loglevel=error"], { cwd: partial, seconds: 600 });
  writeFileSync(join(partial, "ready"), "");
  rmSync(folder, { recursive: true, force: true });
  renameSync(partial, folder);
  return folder;
}

// The binary itself: the package's launcher would stand between us and the process that is measured.
function workerdIn(folder) {
  try {
    const workerd = createRequire(join(folder, "package.json"))("workerd");
    return { path: workerd.default, version: workerd.version };
  } catch {
    return null;
  }
}

export async function findWorkerd() {
  const ours = workerdIn(ROOT);
  if (ours !== null) return ours;
  say(`workerd ${WORKERD}: from npm, into the cache`);
  const folder = await npmFolder(`workerd-${WORKERD}-${process.arch}`, (partial) => {
    writeFileSync(join(partial, "package.json"), JSON.stringify({ private: true, dependencies: { workerd: WORKERD } }));
  }, "install");
  const found = workerdIn(folder);
  if (found === null) throw new Trouble("npm's package workerd has no binary for this machine");
  return found;
}

export async function findPortkey() {
  const source = join(BENCH, "peers", "portkey");
  const lock = readFileSync(join(source, "package-lock.json"), "utf8");
  const name = `portkey-${fingerprint(lock)}`;
  if (!existsSync(join(CACHE, name, "ready"))) say("Portkey's gateway: from npm, 25 MB, into the cache");
  const folder = await npmFolder(name, (partial) => cpSync(source, partial, { recursive: true }), "ci");
  const version = (name) => JSON.parse(readFileSync(join(folder, "node_modules", name, "package.json"), "utf8")).version;
  return {
    path: join(folder, "node_modules", "@portkey-ai", "gateway", "build", "start-server.js"),
    version: version("@portkey-ai/gateway"),
    server: version("@hono/node-server"),
  };
}

// --- packages of PyPI ----------------------------------------------------------------------------------

async function virtualEnvironment(folder) {
  try {
    await run("python3", ["-m", "venv", folder], { seconds: 120 });
    return {};
  } catch {
    // Debian's python3 comes without the wheel of pip; the package that has it can be unpacked.
  }
  try {
    const wheels = join(CACHE, "python3-pip-whl");
    rmSync(folder, { recursive: true, force: true });
    mkdirSync(wheels, { recursive: true });
    await run("python3", ["-m", "venv", "--without-pip", folder], { seconds: 120 });
    await run(join(ROOT, "scripts", "debian-packages"), [wheels, "python3-pip-whl"], { seconds: 300, cwd: ROOT });
    const path = join(wheels, "usr", "share", "python-wheels");
    return { PYTHONPATH: join(path, readdirSync(path).find((name) => name.startsWith("pip-"))) };
  } catch (error) {
    throw new Trouble(`python3 cannot make a virtual environment. Install it: apt install python3-venv\n${error.message}`);
  }
}

export async function findLitellm() {
  const requirements = join(BENCH, "peers", "litellm", "requirements.txt");
  const wanted = readFileSync(requirements, "utf8");
  if (!wanted.includes(`\nlitellm==${LITELLM} `)) throw new Trouble(`${requirements} is not of LiteLLM ${LITELLM}`);
  const python = (await run("python3", ["-c", "import platform; print(platform.python_version())"])).trim();
  const folder = join(CACHE, `litellm-${fingerprint(wanted, python, process.arch)}`);
  if (!existsSync(join(folder, "ready"))) {
    say(`LiteLLM ${LITELLM}: from PyPI, 700 MB on disk, into the cache; a few minutes`);
    // A virtual environment cannot be moved, so it is made in place, and marked when it is whole.
    rmSync(folder, { recursive: true, force: true });
    mkdirSync(CACHE, { recursive: true });
    const env = { ...process.env, ...await virtualEnvironment(folder) };
    await run(join(folder, "bin", "python"), ["-m", "pip", "install", "--quiet", "--disable-pip-version-check", "--no-input",
      "--only-binary", ":all:", "--require-hashes", "--no-deps", "-r", requirements], { env, seconds: 1200 });
    writeFileSync(join(folder, "ready"), "");
  }
  return { path: join(folder, "bin", "litellm"), version: LITELLM, python };
}
