// The Worker as wrangler serves and deploys it: with wrangler.toml, its build command and its watcher.
// Everything is in a copy of what wrangler reads, so that the clone's own build/ is left alone.

import assert from "node:assert/strict";
import { spawn } from "node:child_process";
import { cp, mkdtemp, readFile, rm, symlink, writeFile } from "node:fs/promises";
import { createServer } from "node:net";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { test } from "node:test";
import OpenAI from "openai";
import { ROOT } from "./harness/gateway.mjs";
import { developmentToken } from "./harness/token.mjs";

const WRANGLER = join(ROOT, "node_modules/.bin/wrangler");

// wrangler.toml, src/ and policies/ as they are, but building beside the copy.
async function copy(t) {
  const directory = await mkdtemp(join(tmpdir(), "turnpike-wrangler-"));
  t.after(() => rm(directory, { recursive: true, force: true }));
  for (const name of ["src", "policies"]) await cp(join(ROOT, name), join(directory, name), { recursive: true });
  await symlink(join(ROOT, "node_modules"), join(directory, "node_modules"));
  const text = await readFile(join(ROOT, "wrangler.toml"), "utf8");
  assert.ok(text.includes('"scripts/build'), "wrangler.toml builds in another way");
  await writeFile(join(directory, "wrangler.toml"), text.replaceAll('"scripts/build', `"${join(ROOT, "scripts/build")}`));
  // Absolute: scripts/build goes to its own clone first.
  return { directory, env: { BUILD_DIR: join(directory, "build"), POLICIES: join(directory, "policies") } };
}

// A child in a group of its own, so that all that it started can be ended with it, and nothing else.
function start(t, args, { directory, env }) {
  // By the Node that runs this: wrangler is particular about it, and the system's may be older.
  const child = spawn(process.execPath, [WRANGLER, ...args], {
    cwd: directory,
    detached: true,
    env: {
      ...process.env,
      ...env,
      TURNPIKE_BUILD: "dev",
      TURNPIKE_ENV: undefined,
      WRANGLER_SEND_METRICS: "false",
      CLOUDFLARE_CF_FETCH_ENABLED: "false",
      NO_COLOR: "1",
      FORCE_COLOR: "0",
      CI: "true",
    },
    stdio: ["ignore", "pipe", "pipe"],
  });
  const running = { said: "", ended: false, heard: new Set() };
  for (const stream of [child.stdout, child.stderr]) {
    stream.on("data", (chunk) => {
      running.said += chunk;
      for (const look of running.heard) look();
    });
  }
  running.closed = new Promise((resolve) => {
    child.on("close", (code) => {
      running.ended = true;
      for (const look of running.heard) look();
      resolve(code);
    });
  });
  t.after(async () => {
    if (running.ended) return;
    process.kill(-child.pid, "SIGTERM");
    const timer = setTimeout(() => process.kill(-child.pid, "SIGKILL"), 10_000);
    await running.closed;
    clearTimeout(timer);
  });
  return running;
}

// Waits until what was said since `from` matches.
function hears(running, pattern, from = 0, within = 600_000) {
  return new Promise((resolve, reject) => {
    const done = (settle, value) => {
      clearTimeout(timer);
      running.heard.delete(look);
      settle(value);
    };
    const timer = setTimeout(() => done(reject, new Error(`wrangler did not say ${pattern}:\n${running.said}`)), within);
    const look = () => {
      const found = pattern.exec(running.said.slice(from));
      if (found !== null) done(resolve, found);
      else if (running.ended) done(reject, new Error(`wrangler ended before it said ${pattern}:\n${running.said}`));
    };
    running.heard.add(look);
    look();
  });
}

function freePort() {
  return new Promise((resolve, reject) => {
    const server = createServer();
    server.on("error", reject);
    server.listen(0, "127.0.0.1", () => {
      const { port } = server.address();
      server.close(() => resolve(port));
    });
  });
}

// Asks until the answer is as it should be: a reload takes its time.
async function until(ask, good, within = 120_000) {
  const end = Date.now() + within;
  for (;;) {
    const answer = await ask().catch((error) => error);
    if (good(answer)) return answer;
    if (Date.now() > end) assert.fail(`it never came: ${JSON.stringify(answer) ?? answer}`);
    await new Promise((resolve) => setTimeout(resolve, 200));
  }
}

test("wrangler dev serves the sample, and again after each change", async (t) => {
  const project = await copy(t);
  const port = await freePort();
  const dev = start(t, ["dev", "--ip", "127.0.0.1", "--port", String(port), "--inspector-port", String(await freePort())], project);
  const url = `http://127.0.0.1:${port}`;
  await hears(dev, /Ready on/);

  const token = await developmentToken("demo");
  const client = new OpenAI({ apiKey: token, baseURL: `${url}/v1`, maxRetries: 0 });
  const ask = { model: "fast", messages: [{ role: "user", content: "Hello" }] };
  assert.equal((await client.chat.completions.create(ask)).choices[0].message.content, "Hello from fast! You said: Hello");
  let streamed = "";
  for await (const chunk of await client.chat.completions.create({ ...ask, stream: true })) {
    streamed += chunk.choices[0].delta.content ?? "";
  }
  assert.equal(streamed, "Hello from fast! You said: Hello");
  const trial = new OpenAI({ apiKey: await developmentToken("trial"), baseURL: `${url}/v1`, maxRetries: 0 });
  await assert.rejects(() => trial.chat.completions.create({ ...ask, model: "smart" }), OpenAI.PermissionDeniedError);
  const pets = () => fetch(`${url}/petstore/v1/pets`, { headers: { authorization: `Bearer ${token}` } });
  assert.equal((await pets()).status, 200);
  assert.equal((await fetch(`${url}/petstore/v1/pets`)).status, 401);
  const version = async () => (await fetch(`${url}/_turnpike/version`)).json();
  const { bundle } = await version();

  // A policy that is wrong: the build says where, and what was served goes on being served.
  const mock = join(project.directory, "policies/mocks/fast.yaml");
  const good = await readFile(mock, "utf8");
  let from = dev.said.length;
  await writeFile(mock, good.replaceAll("usage:", "usgae:"));
  await hears(dev, /mocks\/fast\.yaml:\d+/, from);
  await hears(dev, /did you mean `usage`/, from);
  assert.equal((await pets()).status, 200);
  assert.equal((await version()).bundle, bundle);

  // And one that is right: it is served, without a restart by hand.
  from = dev.said.length;
  await writeFile(mock, good.replaceAll("Hello from fast!", "Changed!"));
  const changed = await until(version, (now) => now.bundle !== undefined && now.bundle !== bundle);
  assert.match(changed.bundle, /^[0-9a-f]{64}$/);
  const { content } = (await client.chat.completions.create(ask)).choices[0].message;
  assert.equal(content, "Changed! You said: Hello");
});

test("wrangler deploy --dry-run takes the Worker, for each environment", async (t) => {
  const project = await copy(t);
  for (const environment of ["staging", "production"]) {
    const out = join(project.directory, "out", environment);
    const run = start(t, ["deploy", "--dry-run", "--env", environment, "--outdir", out], project);
    assert.equal(await run.closed, 0, run.said);
    assert.match(run.said, /METER/, "the binding of the limits' objects");
    assert.match(run.said, /--dry-run: exiting now/);
    const uploaded = await readFile(join(out, "entry.js"), "utf8");
    assert.match(uploaded, /core\.wasm/);
    // It was built for this environment, and not left over.
    assert.match(await readFile(join(project.directory, "build/.of"), "utf8"), new RegExp(` ${environment} `));
  }
});
