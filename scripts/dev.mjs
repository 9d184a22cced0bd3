// Builds, serves, and builds again: what scripts/dev runs when the machine is ready and the port is free.
//
//   node scripts/dev.mjs [ARGUMENT FOR wrangler dev...]      POLICIES, TURNPIKE_ENV and PORT are set
//
// It watches the sources and policies itself. wrangler would: but it lets new calls wait while its build command
// runs, and starts the Worker anew whatever comes of it, which cuts the calls that are on their way. So wrangler
// watches one file only, and that is written when a build has come to its end and made something else than what is
// served: a change that does not build is explained, and nobody who calls notices.
import { execFile, spawn } from "node:child_process";
import { createHash } from "node:crypto";
import { existsSync, readFileSync, readdirSync, realpathSync, statSync, watch, writeFileSync } from "node:fs";
import { constants } from "node:os";
import { dirname, join, relative } from "node:path";
import { setTimeout as sleep } from "node:timers/promises";
import { fileURLToPath } from "node:url";
import { promisify } from "node:util";

process.chdir(join(dirname(fileURLToPath(import.meta.url)), ".."));
const { POLICIES, PORT } = process.env;
// One save is often several changes.
const QUIET_MS = 100;
// How long somebody who was told to end has for it.
const PATIENCE_MS = 5_000;
// wrangler serves what lies in build/ when this was written.
const SERVED = "build/.served";
const CONFIG = "wrangler.dev.toml";

const say = (text) => console.error(`turnpike: ${text}`);
let ending = false;

// --- what is served ------------------------------------------------------------------------------------

const textOf = (path) => (existsSync(path) ? readFileSync(path, "utf8") : "");

// wrangler.toml has the list of what a build is made of. wrangler takes each path there for one below the
// configuration's folder, and what it watches can be said in a configuration only.
const LIST = /^watch_dir\s*=\s*\[([^\]]*)\]/m;
const ITEM = /"([^"\\]*)"|'([^']*)'|#.*$/gm;

/** wrangler.toml, and its list. It may be away for a moment, as when Git goes from branch to branch. */
function configuration() {
  let text;
  try {
    text = readFileSync("wrangler.toml", "utf8");
  } catch (error) {
    throw new Error(`wrangler.toml cannot be read: ${error.message}`, { cause: error });
  }
  const found = LIST.exec(text);
  if (found === null) throw new Error("wrangler.toml has no `watch_dir = [...]`");
  const items = [...found[1].matchAll(ITEM)].map(([, one, other]) => one ?? other);
  return { text, list: items.filter((item) => item !== undefined) };
}

// What it said last, and what was wrong with it since.
let known = null;
let wrong = null;

/** What a build is made of, and the one tree of policies that it is made of; what it was, where that cannot be read. */
function sources() {
  try {
    known = configuration().list;
    wrong = null;
  } catch (error) {
    if (known === null) throw error;
    if (wrong !== error.message) say(`${error.message}: watching what it said before`);
    wrong = error.message;
  }
  return [...known.map((path) => (path === "policies" ? POLICIES : path)), "wrangler.toml"];
}

/** wrangler.toml, but that wrangler watches one file. */
function configure() {
  const changed = configuration().text.replace(LIST, `watch_dir = ${JSON.stringify([SERVED])}`);
  const text = `# Made by scripts/dev.mjs.\n${changed}`;
  if (textOf(CONFIG) !== text) writeFileSync(CONFIG, text);
}

/** What is deployed of what was built: the Wasm, and the JavaScript around it. */
function digest() {
  const scripts = readdirSync("src").filter((name) => name.endsWith(".js")).sort().map((name) => join("src", name));
  const hash = createHash("sha256");
  for (const path of ["build/core.wasm", "build/cold.wasm", "build/cold.js", ...scripts]) {
    const content = readFileSync(path);
    hash.update(`${path} ${content.length}\n`).update(content);
  }
  return hash.digest("hex");
}

/** Has wrangler serve what was built, if it is not what is served. Where something is wrong with that, nothing changes. */
function serve() {
  const built = `${digest()}\n`;
  configure();
  if (textOf(SERVED) === built) return false;
  writeFileSync(SERVED, built);
  return true;
}

// --- what changes --------------------------------------------------------------------------------------

// Watchers of folders and of single files, by inode and path: another folder may come to stand at the same place.
const watchers = new Map();
// Whether something of the sources is not there.
let missing = false;

/** A folder and those below it. What is hidden is no policy and no source, and links lead nowhere else. */
function foldersBelow(path) {
  const below = readdirSync(path, { withFileTypes: true }).filter((entry) => entry.isDirectory() && !entry.name.startsWith("."));
  return [path, ...below.flatMap(({ name }) => {
    try {
      return foldersBelow(join(path, name));
    } catch {
      // It has gone meanwhile, which is a change of this folder.
      return [];
    }
  })];
}

/** Watches all that is there now, and nothing that is gone; resolves to a path that was not watched before, if any. */
function look() {
  const there = new Map();
  missing = false;
  for (const source of sources()) {
    try {
      const real = realpathSync(source);
      const folder = statSync(real).isDirectory();
      for (const path of folder ? foldersBelow(real) : [real]) there.set(`${statSync(path).ino} ${path}`, { path, folder });
    } catch {
      missing = true;
    }
  }
  for (const [key, watcher] of watchers) {
    if (there.has(key)) continue;
    watcher.close();
    watchers.delete(key);
  }
  let found;
  for (const [key, { path, folder }] of there) {
    if (watchers.has(key)) continue;
    try {
      const watcher = watch(path, (_event, name) => {
        if (!folder || name === null) noticed(path);
        // Editors keep their own things hidden.
        else if (!name.startsWith(".")) noticed(join(path, name));
      });
      watcher.on("error", () => noticed(path));
      watchers.set(key, watcher);
      found ??= path;
    } catch (error) {
      if (error.code !== "ENOENT") say(`changes of ${path} are not noticed: ${error.message}`);
    }
  }
  return found;
}

/** Whatever goes wrong once it serves: it is said, and what is served is served on. */
const goOn = (error) => say(`${error.message}; still serving the last build that could be served`);

let timer;
function noticed(path) {
  clearTimeout(timer);
  timer = setTimeout(() => changed(path).catch(goOn), QUIET_MS);
}

// --- builds --------------------------------------------------------------------------------------------

/** A process and all that it has started, as they are now; it alone where there is no `ps`. */
async function familyOf(pid) {
  const { stdout } = await promisify(execFile)("ps", ["-A", "-o", "ppid=,pid="]).catch(() => ({ stdout: "" }));
  const pairs = stdout.trim().split("\n").map((line) => line.trim().split(/\s+/).map(Number));
  const family = [pid];
  for (const member of family) family.push(...pairs.filter(([parent]) => parent === member).map(([, child]) => child));
  return family;
}

function signal(pid, name) {
  try {
    return process.kill(pid, name);
  } catch {
    // It has ended.
    return false;
  }
}

/** Ends a process and all that it has started; not its group, which is ours and the terminal's. */
async function end({ pid, closed }) {
  const family = await familyOf(pid);
  for (const member of family) signal(member, "SIGTERM");
  const patience = Date.now() + PATIENCE_MS;
  while (family.some((member) => signal(member, 0)) && Date.now() < patience) await sleep(20);
  for (const member of family) signal(member, "SIGKILL");
  await closed;
}

function start(command, args, env) {
  const child = spawn(command, args, { stdio: "inherit", env: { ...process.env, ...env } });
  const closed = new Promise((resolve) => {
    child.on("error", (error) => { say(`${command}: ${error.message}`); resolve(127); });
    child.on("exit", (code, name) => resolve(code ?? name));
  });
  return { pid: child.pid, closed };
}

// The build under way; and its end, if there were changes since it began.
let building = null;
let stopping = null;

/** Builds until nothing has changed meanwhile; resolves to whether the last build succeeded. */
async function build() {
  for (;;) {
    stopping = null;
    building = start("scripts/build", ["--dev"], { TURNPIKE_BUILD: "" });
    const code = await building.closed;
    building = null;
    if (ending || stopping === null) return code === 0;
    await stopping;
  }
}

async function changed(path) {
  if (ending) return;
  look();
  const file = relative(process.cwd(), path);
  const name = file.startsWith("..") ? path : file;
  if (stopping !== null) return;
  if (building !== null) {
    say(`${name} has changed: building from the start`);
    stopping = end(building);
    return;
  }
  say(`${name} has changed: building`);
  const good = await build();
  if (ending) return;
  if (!good) say("the build failed, for the reasons above; still serving the last one that did not");
  else if (!serve()) say("what was built is what is served already");
}

// --- from the start to the end -------------------------------------------------------------------------

let wrangler = null;
function finish() {
  ending = true;
  clearTimeout(timer);
  for (const watcher of watchers.values()) watcher.close();
  watchers.clear();
}
for (const name of ["SIGINT", "SIGTERM", "SIGHUP"]) {
  process.on(name, async () => {
    if (ending) return;
    finish();
    // Whom a terminal tells, it tells all: they end by themselves, and say what they have to say.
    const alone = name === "SIGTERM" ? 0 : PATIENCE_MS;
    await Promise.race([sleep(alone, undefined, { ref: false }), Promise.all([building?.closed, wrangler?.closed])]);
    for (const started of [building, wrangler]) if (started !== null) await end(started);
  });
}
// However this ends, nothing is left that serves and does not follow changes.
process.on("exit", () => wrangler !== null && signal(wrangler.pid, "SIGTERM"));

/** Builds, and gives wrangler what it is to serve; whether there is something. */
async function first() {
  try {
    look();
    if (!existsSync("build/cold.js")) say("building the Worker; the first time takes a minute or two");
    if (!(await build())) return false;
    serve();
    return true;
  } catch (error) {
    say(error.message);
    return false;
  }
}

// What cannot be built now has nothing to be served instead: an older build may be of other policies.
if (!(await first())) {
  finish();
  process.exitCode = 1;
} else {
  say(`http://127.0.0.1:${PORT}`);
  // The empty environment is wrangler.toml's top level.
  const args = ["dev", "--config", CONFIG, "--env", "", "--ip", "127.0.0.1", "--port", PORT, "--show-interactive-dev-session=false"];
  wrangler = start("wrangler", [...args, ...process.argv.slice(2)], { TURNPIKE_BUILD: "done" });
  // What was taken away may come back, as when Git goes from branch to branch.
  const seek = setInterval(() => {
    try {
      const found = missing ? look() : undefined;
      if (found !== undefined) noticed(found);
    } catch (error) {
      goOn(error);
    }
  }, 2_000);
  const code = await wrangler.closed;
  wrangler = null;
  clearInterval(seek);
  finish();
  if (building !== null) await end(building);
  process.exitCode = typeof code === "number" ? code : 128 + constants.signals[code];
}
