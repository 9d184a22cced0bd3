// What serves and deploys the Worker, run as people run it, but in a copy: so the clone's own build/ is
// left alone.
//
//   import { copyProject, freePort, hears, start, until } from "./harness/wrangler.mjs";
//
//   const project = await copyProject(t);              // { directory, env }; removed after the test
//   const run = start(t, "make", ["dev"], project);    // ended after the test, with all that it started
//   run.said                         // what it has said so far, on both of its streams
//   await hears(run, /Ready on/)     // waits until it says so; { from: run.said.length } for what comes now
//   await run.closed                 // its exit code, or the signal that ended it
//   run.pid, run.signal("SIGINT")    // to its whole group, as a terminal does it
//   await left(run)                  // the processes of that run that are still there
//   await until(ask, good)           // asks until the answer is good

import assert from "node:assert/strict";
import { execFile, spawn } from "node:child_process";
import { chmod, cp, mkdir, mkdtemp, rm, symlink, writeFile } from "node:fs/promises";
import { createServer } from "node:net";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { setTimeout as sleep } from "node:timers/promises";
import { promisify } from "node:util";
import { ROOT } from "./gateway.mjs";

const PROJECT = [
  "Makefile", "wrangler.toml", "scripts/artifact.mjs", "scripts/ci", "scripts/dev", "scripts/dev.mjs", "src", "policies",
];

/** A folder that is gone after the test. */
export async function folder(t, name) {
  const directory = await mkdtemp(join(tmpdir(), `turnpike-${name}-`));
  t.after(() => rm(directory, { recursive: true, force: true }));
  return directory;
}

/** What wrangler and `make dev` read, as it is; builds go beside the copy. */
export async function copyProject(t) {
  const directory = await folder(t, "project");
  await mkdir(join(directory, "scripts"));
  for (const name of PROJECT) await cp(join(ROOT, name), join(directory, name), { recursive: true });
  await symlink(join(ROOT, "node_modules"), join(directory, "node_modules"));
  // The clone's own, as they go to their clone first: its objects need not be compiled once more.
  for (const name of ["build", "bootstrap"]) {
    const script = join(directory, "scripts", name);
    await writeFile(script, `#!/bin/sh\nexec "${join(ROOT, "scripts", name)}" "$@"\n`);
    await chmod(script, 0o755);
  }
  // Absolute, for the same reason.
  return { directory, env: { BUILD_DIR: join(directory, "build"), POLICIES: join(directory, "policies") } };
}

// Groups that a test which is ended from outside would leave behind.
const groups = new Set();
for (const name of ["SIGINT", "SIGTERM"]) {
  process.once(name, () => {
    for (const run of groups) run.signal("SIGTERM");
    process.exit(1);
  });
}

/** Starts a command in the copy, in a group of its own. */
export function start(t, command, args, { directory, env }) {
  const child = spawn(command, args, {
    cwd: directory,
    detached: true,
    env: {
      ...process.env,
      ...env,
      // Those of a `make` that runs this test are not meant.
      TURNPIKE_ENV: undefined,
      PORT: undefined,
      MAKEFLAGS: undefined,
      MAKEOVERRIDES: undefined,
      WRANGLER_SEND_METRICS: "false",
      CLOUDFLARE_CF_FETCH_ENABLED: "false",
      NO_COLOR: "1",
      FORCE_COLOR: "0",
      CI: "true",
    },
    stdio: ["ignore", "pipe", "pipe"],
  });
  const run = { pid: child.pid, said: "", ended: false, heard: new Set() };
  run.signal = (name) => process.kill(-child.pid, name);
  groups.add(run);
  for (const stream of [child.stdout, child.stderr]) {
    stream.on("data", (chunk) => {
      run.said += chunk;
      for (const look of run.heard) look();
    });
  }
  run.closed = new Promise((resolve) => {
    child.on("error", (error) => (run.said += error));
    child.on("close", (code, signal) => {
      run.ended = true;
      groups.delete(run);
      for (const look of run.heard) look();
      resolve(code ?? signal);
    });
  });
  t.after(async () => {
    if ((await left(run)).length === 0) return;
    run.signal("SIGTERM");
    const timer = setTimeout(() => run.signal("SIGKILL"), 10_000);
    await run.closed;
    clearTimeout(timer);
  });
  return run;
}

/** Waits until what was said since `from` matches. */
export function hears(run, pattern, { from = 0, within = 600_000 } = {}) {
  return new Promise((resolve, reject) => {
    const done = (settle, value) => {
      clearTimeout(timer);
      run.heard.delete(look);
      settle(value);
    };
    const fails = (why) => done(reject, new Error(`${why} ${pattern}:\n${run.said}`));
    const timer = setTimeout(() => fails("it did not say"), within);
    const look = () => {
      const found = pattern.exec(run.said.slice(from));
      if (found !== null) done(resolve, found);
      else if (run.ended) fails("it ended before it said");
    };
    run.heard.add(look);
    look();
  });
}

/** Asks until the answer is as it should be: a reload takes its time. */
export async function until(ask, good, within = 120_000) {
  const end = Date.now() + within;
  for (;;) {
    const answer = await ask().catch((error) => error);
    if (good(answer)) return answer;
    if (Date.now() > end) assert.fail(`it never came: ${JSON.stringify(answer) ?? answer}`);
    await sleep(200);
  }
}

/** The processes of a run that are there, as `ps` shows them: those of its group. */
export async function left(run) {
  const { stdout } = await promisify(execFile)("ps", ["-A", "-o", "pgid=,pid=,stat=,args="]);
  // One that has ended and is not yet taken note of does nothing more.
  return stdout.split("\n").map((line) => line.trim()).filter((line) => new RegExp(`^${run.pid} +\\d+ +[^Z ]`).test(line));
}

/** A port on loopback that nobody listens on. */
export function freePort() {
  return new Promise((resolve, reject) => {
    const server = createServer();
    server.on("error", reject);
    server.listen(0, "127.0.0.1", () => {
      const { port } = server.address();
      server.close(() => resolve(port));
    });
  });
}
