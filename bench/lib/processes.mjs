// Processes of ours: started here, measured here, and ended here by the id that they were started with.

import { spawn } from "node:child_process";
import { closeSync, openSync, readFileSync } from "node:fs";
import { createServer } from "node:net";
import { join } from "node:path";
import { Trouble } from "./settings.mjs";

const running = new Set();

// However this process ends, short of being killed itself, the others go with it.
process.on("exit", () => {
  for (const { pid } of running) kill(pid, "SIGKILL");
});
for (const signal of ["SIGINT", "SIGTERM", "SIGHUP"]) {
  process.on(signal, () => process.exit(130));
}

function kill(pid, signal) {
  try {
    process.kill(pid, signal);
  } catch {
    // It has ended already.
  }
}

export const sleep = (ms) => new Promise((resolve) => setTimeout(resolve, ms));

// What a peer needs of the environment, and no proxy between it and the loopback.
export function plainEnvironment(home, extra = {}) {
  return { PATH: process.env.PATH, LANG: "C.UTF-8", HOME: home, TMPDIR: home, ...extra };
}

// Starts a process that stays. What it says on stdout is thrown away: a gateway that logs each
// request pays for writing the line, not for a disk.
export function startProcess(name, command, args, { env, cwd, folder }) {
  const log = join(folder, `${name}.log`);
  const stderr = openSync(log, "w");
  const child = spawn(command, args, { env, cwd, stdio: ["ignore", "ignore", stderr] });
  closeSync(stderr);
  const started = { name, pid: child.pid, log, ended: null };
  child.on("error", (error) => { started.ended = error.message; });
  child.on("exit", (code, signal) => {
    started.ended ??= signal === null ? `it ended with status ${code}` : `it was ended by ${signal}`;
    running.delete(started);
  });
  if (child.pid !== undefined) running.add(started);
  started.stop = async () => {
    if (started.ended !== null) return;
    kill(child.pid, "SIGTERM");
    for (let i = 0; i < 50 && started.ended === null; i++) await sleep(100);
    if (started.ended === null) kill(child.pid, "SIGKILL");
  };
  return started;
}

// Waits until `ready` is content (does not throw), for so many seconds at most.
export async function untilReady(started, seconds, ready) {
  const deadline = Date.now() + seconds * 1000;
  for (;;) {
    let why;
    try {
      return await ready();
    } catch (error) {
      why = error.message;
    }
    if (started.ended === null && Date.now() < deadline) {
      await sleep(100);
      continue;
    }
    const what = started.ended ?? `it was not ready within ${seconds} s (${why})`;
    throw new Trouble(`${started.name} did not start: ${what}\n${lastLines(started.log)}`);
  }
}

export function lastLines(log, count = 12) {
  try {
    return readFileSync(log, "utf8").trimEnd().split("\n").slice(-count).map((line) => `    | ${line}`).join("\n");
  } catch {
    return "";
  }
}

// Runs a command to its end; resolves to what it printed. Rejects with the end of what it said.
export function run(command, args, { seconds = 60, ...options } = {}) {
  return new Promise((resolve, reject) => {
    const child = spawn(command, args, { stdio: ["ignore", "pipe", "pipe"], ...options });
    const entry = { pid: child.pid };
    if (child.pid !== undefined) running.add(entry);
    let out = "";
    let all = "";
    let late = false;
    child.stdout.on("data", (data) => { out += data; all += data; });
    child.stderr.on("data", (data) => { all += data; });
    const timer = setTimeout(() => {
      late = true;
      kill(child.pid, "SIGKILL");
    }, seconds * 1000);
    const failed = (why) => {
      const said = all.trimEnd().split("\n").slice(-15).map((line) => `    | ${line}`).join("\n");
      reject(new Trouble(`${command.split("/").pop()} failed: ${why}\n${said}`));
    };
    child.on("error", (error) => failed(error.message));
    child.on("close", (code, signal) => {
      clearTimeout(timer);
      running.delete(entry);
      if (late) failed(`not done within ${seconds} s`);
      else if (code !== 0) failed(signal ?? `status ${code}`);
      else resolve(out);
    });
  });
}

// Free ports of the loopback, all different: they are held until all are found.
export async function freePorts(count) {
  const servers = await Promise.all(Array.from({ length: count }, () => new Promise((resolve, reject) => {
    const server = createServer().on("error", reject);
    server.listen(0, "127.0.0.1", () => resolve(server));
  })));
  const ports = servers.map((server) => server.address().port);
  await Promise.all(servers.map((server) => new Promise((resolve) => server.close(resolve))));
  return ports;
}
