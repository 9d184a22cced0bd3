// `make dev`, as one who works on policies uses it: another port, policies of one's own, changes that are
// right and changes that are wrong, and Ctrl-C.

import assert from "node:assert/strict";
import { once } from "node:events";
import { cp, readFile, writeFile } from "node:fs/promises";
import { createServer } from "node:net";
import { join } from "node:path";
import { describe, test } from "node:test";
import { setTimeout as sleep } from "node:timers/promises";
import OpenAI from "openai";
import { ROOT } from "./harness/gateway.mjs";
import { checkPython } from "./harness/python.mjs";
import { WEATHER_TOOLS } from "./harness/sample.mjs";
import { developmentToken } from "./harness/token.mjs";
import { copyProject, folder, freePort, hears, left, start, until } from "./harness/wrangler.mjs";

// The sample's policies somewhere else, with a space on the way: `POLICIES` may name any folder.
async function policiesElsewhere(t) {
  const policies = join(await folder(t, "my policies"), "policies");
  await cp(join(ROOT, "policies"), policies, { recursive: true });
  return policies;
}

const ask = (content, more = {}) => ({ model: "fast", messages: [{ role: "user", content }], ...more });
const GREETING = "Hello from fast! You said: Hello";

test("make dev: calls by the SDK, changes that are served, a change that is not, and an end", { timeout: 1_200_000 }, async (t) => {
  const project = await copyProject(t);
  const policies = await policiesElsewhere(t);
  const port = await freePort();
  const dev = start(t, "make", ["dev", `PORT=${port}`, `POLICIES=${policies}`], project);
  const url = `http://127.0.0.1:${port}`;
  const began = Date.now();
  const took = (what, since) => t.diagnostic(`${what}: ${((Date.now() - since) / 1000).toFixed(1)} s`);
  await hears(dev, new RegExp(`Ready on ${url}`));
  took("from make dev to ready", began);

  const client = (apiKey) => new OpenAI({ apiKey, baseURL: `${url}/v1`, maxRetries: 0 });
  const token = await developmentToken("demo", { policies });
  const demo = client(token).chat.completions;
  const trial = client(await developmentToken("trial", { policies })).chat.completions;
  const said = async () => (await demo.create(ask("Hello"))).choices[0].message.content;
  const pets = (headers) => fetch(`${url}/petstore/v1/pets`, { headers });
  const mock = join(policies, "mocks/fast.yaml");
  const good = await readFile(mock, "utf8");

  await t.test("what it answers", async () => {
    assert.equal(await said(), GREETING);
    let streamed = "";
    for await (const chunk of await demo.create(ask("Hello", { stream: true }))) {
      streamed += chunk.choices[0].delta.content ?? "";
    }
    assert.equal(streamed, GREETING);
    const { message, finish_reason } = (await demo.create(ask("weather in Paris?", { tools: WEATHER_TOOLS }))).choices[0];
    assert.equal(finish_reason, "tool_calls");
    const [{ function: called }] = message.tool_calls;
    assert.deepEqual([called.name, JSON.parse(called.arguments)], ["get_weather", { city: "Paris" }]);
    assert.equal((await pets({ authorization: `Bearer ${token}` })).status, 200);
  });

  await t.test("what it refuses, as the SDK's own errors", async () => {
    await assert.rejects(() => client(`${token}x`).chat.completions.create(ask("Hello")), OpenAI.AuthenticationError);
    await assert.rejects(() => trial.create(ask("Hello", { model: "smart" })), OpenAI.PermissionDeniedError);
    assert.equal((await pets({})).status, 401);
    // Its plan admits five at once, and five a second after that.
    const calls = await Promise.allSettled(Array.from({ length: 30 }, () => trial.create(ask("Hello"))));
    const refused = calls.filter(({ status }) => status === "rejected").map(({ reason }) => reason);
    assert.ok(refused.length > 0 && refused.length <= 25, `${refused.length} of 30 were refused`);
    for (const error of refused) assert.ok(error instanceof OpenAI.RateLimitError, String(error));
  });

  await t.test("the package of PyPI: what it answers, and what it refuses", async (t) => {
    await checkPython(t, "sdk_openai.py", {
      PLAIN_URL: url, DEMO_TOKEN: token, TRIAL_TOKEN: await developmentToken("trial", { policies }),
    }, 10);
  });

  await t.test("a change of a policy is served", async () => {
    const since = Date.now();
    await writeFile(mock, good.replaceAll("Hello from fast!", "Changed!"));
    await until(said, (now) => now === "Changed! You said: Hello");
    took("from the change of one file to its being served", since);
  });

  await t.test("a change that is wrong is explained, and what was served is served on", async () => {
    const version = async () => (await (await fetch(`${url}/_turnpike/version`)).json()).bundle;
    const before = await version();
    const line = 1 + good.split("\n").findIndex((text) => text.includes("usage:"));
    const from = dev.said.length;
    await writeFile(mock, good.replaceAll("usage:", "usgae:"));
    await hears(dev, new RegExp(`mocks/fast\\.yaml:${line}:\\d+: .*usgae`), { from, within: 120_000 });
    await hears(dev, /did you mean `usage`/, { from, within: 120_000 });
    await hears(dev, /still serving the last one/, { from, within: 120_000 });
    assert.equal(await said(), "Changed! You said: Hello");
    assert.equal(await version(), before);
  });

  await t.test("mended, it is served", async () => {
    await writeFile(mock, good);
    await until(said, (now) => now === GREETING);
  });

  await t.test("nothing is left running, not even of a build under way", async () => {
    assert.ok((await left(dev)).length > 2, "they are found while they run");
    const from = dev.said.length;
    await writeFile(mock, good.replaceAll("Hello from fast!", "Too late!"));
    await hears(dev, /restarting build/, { from, within: 120_000 });
    // Ctrl-C: everything that belongs to the terminal is told.
    dev.signal("SIGINT");
    await dev.closed;
    await until(() => left(dev), (list) => list.length === 0, 15_000);
    await assert.rejects(() => fetch(url), "nobody listens any more");
  });
});

describe("make dev where it cannot listen", () => {
  for (const [name, port, says] of [
    ["because something else does", async (t) => {
      const server = createServer().listen(0, "127.0.0.1");
      await once(server, "listening");
      t.after(() => server.close());
      return server.address().port;
    }, (port) => `something listens on 127.0.0.1:${port} already\n`],
    ["because that is no port", () => "eight", () => "PORT is 'eight', which is no port\n"],
    ["because there is no such port", () => "65536", () => "PORT is '65536', which is no port\n"],
  ]) {
    test(`${name}: says so, and what to do, before anything is built`, async (t) => {
      const project = await copyProject(t);
      const wanted = await port(t);
      const dev = start(t, "make", ["dev", `PORT=${wanted}`], project);
      assert.notEqual(await dev.closed, 0);
      assert.ok(dev.said.includes(says(wanted)), dev.said);
      assert.match(dev.said, /make dev PORT=8788/);
      assert.ok(!/building/.test(dev.said), dev.said);
    });
  }
});

test("the set-up takes no package whose checksum is not written down, on any machine", async () => {
  const { packages } = JSON.parse(await readFile(join(ROOT, "package-lock.json"), "utf8"));
  const installed = Object.entries(packages).filter(([name]) => name !== "");
  assert.ok(installed.length > 100);
  assert.deepEqual(installed.filter(([, { integrity }]) => !/^sha512-/.test(integrity ?? "")).map(([name]) => name), []);
});

test("a cache that cannot be written is told with its remedy", async (t) => {
  const file = join(await folder(t, "cache"), "file");
  await writeFile(file, "");
  const run = start(t, "scripts/bootstrap", ["build"], { directory: ROOT, env: { XDG_CACHE_HOME: file } });
  assert.equal(await run.closed, 1);
  assert.match(run.said, /^turnpike: cannot go on: the folder .* cannot be written\n +Set XDG_CACHE_HOME/);
});

// What the first lines of the set-up say, which begins with the packages of npm in an empty cache.
test("Ctrl-C in the set-up: what is kept is said, nothing is left running, and it goes on from there", { timeout: 300_000 }, async (t) => {
  const directory = await folder(t, "set-up");
  for (const name of ["scripts/bootstrap", "scripts/tools/Cargo.toml", "scripts/tools/Cargo.lock", "package.json", "package-lock.json", "Cargo.lock"]) {
    await cp(join(ROOT, name), join(directory, name));
  }
  // A registry that takes its time.
  const registry = createServer().listen(0, "127.0.0.1");
  await once(registry, "listening");
  t.after(() => registry.close());
  const env = { XDG_CACHE_HOME: join(directory, "cache"), npm_config_registry: `http://127.0.0.1:${registry.address().port}/` };
  const bootstrap = () => start(t, "scripts/bootstrap", ["build"], { directory, env });
  const first = bootstrap();
  await hears(first, /npm packages .*: fetching/);
  await sleep(300);
  first.signal("SIGINT");
  assert.equal(await first.closed, 130);
  assert.match(first.said, /interrupted\. What was fetched and compiled is kept: the same command goes on from there\n$/);
  assert.ok(!/cannot go on|failed/.test(first.said), first.said);
  assert.deepEqual(await left(first), []);
  // Its lock is gone with it.
  const second = bootstrap();
  await hears(second, /npm packages .*: fetching/);
  second.signal("SIGINT");
  assert.equal(await second.closed, 130);
  assert.ok(!/another set-up is running/.test(second.said), second.said);
});

describe("make dev with policies that are wrong from the start", () => {
  test("says so and ends, although there is an older build", { timeout: 600_000 }, async (t) => {
    const project = await copyProject(t);
    const policies = await policiesElsewhere(t);
    const build = () => start(t, "scripts/build", ["--dev"], project).closed;
    assert.equal(await build(), 0);
    const plan = join(policies, "plans/free.yaml");
    await writeFile(plan, (await readFile(plan, "utf8")).replace("rate: 5/s", "rate: five/s"));
    const dev = start(t, "make", ["dev", `PORT=${await freePort()}`, `POLICIES=${policies}`], project);
    assert.notEqual(await dev.closed, 0);
    assert.match(dev.said, /plans\/free\.yaml:4:\d+: /);
    assert.ok(!/Ready on|still serving/.test(dev.said), dev.said);
    assert.deepEqual(await left(dev), []);
  });
});
