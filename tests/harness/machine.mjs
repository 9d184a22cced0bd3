// A machine for scripts/bootstrap to set up, in seconds and without a network: a clone that holds what the set-up
// reads, an empty cache, and a PATH of stand-ins that write down how they were called.
//
//   const machine = await newMachine(t);                       // all is there, and does what it should
//   await newMachine(t, { without: ["cc"], fakes: { rustc: OLD_RUST } });
//   const run = machine.bootstrap("build");                    // as `start` of wrangler.mjs; await run.closed
//   await machine.calls("npm")                                 // how it was called, so far
//   await machine.listing()                                    // clone and cache: names, sizes, times
//
//   const server = await serve(t, { "/a.tgz": bytes });        // files over HTTP; server.url, server.asked
//   server.half = "/a.tgz";                                    // sends half of that one, and then nothing
//   server.spoilt = "/a.tgz";                                  // sends something else of the same size

import { spawnSync } from "node:child_process";
import { once } from "node:events";
import { existsSync } from "node:fs";
import { chmod, cp, lstat, mkdir, readFile, readdir, symlink, writeFile } from "node:fs/promises";
import { createServer } from "node:http";
import { delimiter, join } from "node:path";
import { ROOT } from "./gateway.mjs";
import { folder, start } from "./wrangler.mjs";

const READ = [
  "scripts/bootstrap", "scripts/wasm-std-from-debian", "scripts/debian-packages", "scripts/tools/Cargo.toml", "scripts/tools/Cargo.lock",
  "package.json", "package-lock.json", "Cargo.toml", "Cargo.lock",
];

// What the script itself is written in terms of: the machine's own.
const TOOLS = [
  "awk", "bash", "cat", "chmod", "cp", "cut", "date", "dirname", "env", "find", "git", "grep", "head", "ln", "ls", "mkdir", "mktemp",
  "mv", "paste", "ps", "python3", "readlink", "rm", "sed", "sh", "sha256sum", "shasum", "sleep", "sort", "tail", "timeout", "touch", "tr",
  "uname",
];

const HOST = "x86_64-unknown-linux-gnu";

// `$here` is where the stand-ins keep what they make.
const FAKES = {
  cc: "exit 0",
  make: "exit 0",
  node: 'case $1 in -p) echo 22 ;; --version) echo v22.12.0 ;; esac',
  npm: "mkdir -p node_modules/.bin; for name in node wrangler; do echo >node_modules/.bin/$name; chmod +x node_modules/.bin/$name; done",
  cargo: `
    [ "$1" = build ] || exit 0
    mkdir -p "$CARGO_TARGET_DIR/release"
    for name in wasm-bindgen wasm-bindgen-test-runner; do echo >"$CARGO_TARGET_DIR/release/$name"; chmod +x "$CARGO_TARGET_DIR/release/$name"; done`,
  rustc: `
    case $* in
      --version) echo 'rustc 1.95.0 (0123abcd 2026-01-01)' ;;
      -vV) printf 'rustc 1.95.0\\nhost: ${HOST}\\n' ;;
      *target-libdir*) echo "$here/libs" ;;
      *sysroot*) echo "$here/sysroot" ;;
    esac`,
  rustup: 'mkdir -p "$here/libs"; echo >"$here/libs/libstd-0.rlib"',
};

// Python is asked for itself: what is in the PATH may be a script of a manager of versions, with needs of its own.
const python = spawnSync("python3", ["-c", "import sys; print(sys.executable)"], { encoding: "utf8" }).stdout.trim();
const found = (tool) => tool === "python3" ? python : process.env.PATH.split(delimiter).map((path) => join(path, tool)).find((path) => existsSync(path));

/** A script in the machine's PATH; `body` is plain shell. */
async function fake(machine, name, body) {
  const path = join(machine.bin, name);
  await writeFile(path, `#!/bin/sh\nhere='${machine.here}'\necho "$*" >>"$here/calls-${name}"\n${body}\n`);
  await chmod(path, 0o755);
}

export async function newMachine(t, { without = [], fakes = {}, env = {} } = {}) {
  const here = await folder(t, "machine");
  const machine = { here, bin: join(here, "bin"), clone: join(here, "clone"), cache: join(here, "cache/turnpike") };
  for (const name of READ) await cp(join(ROOT, name), join(machine.clone, name));
  await mkdir(machine.bin);
  for (const tool of TOOLS) {
    const path = found(tool);
    if (path !== undefined && !without.includes(tool) && !(tool in fakes)) await symlink(path, join(machine.bin, tool));
  }
  for (const [name, body] of Object.entries({ ...FAKES, ...fakes })) {
    if (!without.includes(name)) await fake(machine, name, body);
  }
  const lld = join(here, "sysroot/lib/rustlib", HOST, "bin");
  await mkdir(lld, { recursive: true });
  await writeFile(join(lld, "rust-lld"), "", { mode: 0o755 });
  const environment = {
    PATH: machine.bin, HOME: here, XDG_CACHE_HOME: join(here, "cache"),
    RUSTC: undefined, CARGO_HOME: undefined, CARGO_TARGET_DIR: undefined, TURNPIKE_WASM_STD: undefined, ...env,
  };
  machine.bootstrap = (want, more = {}) => {
    return start(t, "scripts/bootstrap", want.split(" "), { directory: machine.clone, env: { ...environment, ...more } });
  };
  machine.calls = async (name) => {
    const text = await readFile(join(here, `calls-${name}`), "utf8").catch(() => "");
    return text.split("\n").slice(0, -1);
  };
  machine.listing = async () => {
    const names = await Promise.all([machine.clone, join(here, "cache")].map((path) => readdir(path, { recursive: true })
      .then((list) => list.map((name) => join(path, name)), () => [])));
    const rows = names.flat().sort().map(async (path) => {
      const { mtimeMs, size, ino } = await lstat(path);
      return `${path} ${ino} ${size} ${mtimeMs}`;
    });
    return Promise.all(rows);
  };
  machine.replace = async (name, from, to) => {
    const path = join(machine.clone, name);
    await writeFile(path, (await readFile(path, "utf8")).replace(from, to));
  };
  machine.fake = (name, body) => fake(machine, name, body);
  return machine;
}

/** A server of files on loopback. */
export async function serve(t, files) {
  const server = { asked: [], half: null, spoilt: null };
  const http = createServer((request, response) => {
    server.asked.push(request.url);
    const path = request.url.replace("/./", "/");
    const content = files[path];
    if (content === undefined) return response.writeHead(404).end();
    response.writeHead(200, { "content-length": content.length, "last-modified": "Mon, 02 Nov 2026 00:00:00 GMT" });
    if (path === server.half) return response.write(content.subarray(0, content.length / 2));
    return response.end(path === server.spoilt ? content.map((byte) => byte ^ 1) : content);
  });
  http.listen(0, "127.0.0.1");
  await once(http, "listening");
  t.after(() => {
    http.close();
    http.closeAllConnections();
  });
  server.url = `http://127.0.0.1:${http.address().port}`;
  server.files = files;
  return server;
}
