// `make dev`, as one who works on policies uses it: another port, policies of one's own, changes that are
// right and changes that are wrong, and Ctrl-C.

import assert from "node:assert/strict";
import { once } from "node:events";
import { cp, mkdir, readFile, rename, rm, writeFile } from "node:fs/promises";
import { createServer } from "node:net";
import { join } from "node:path";
import { describe, test } from "node:test";
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

// In seconds: the goals for a machine that does nothing else, of which a busy one may take three times as much.
const WARM_START = 30;
const CHANGE_SERVED = 20;
const SLACK = 3;

const ask = (content, more = {}) => ({ model: "fast", messages: [{ role: "user", content }], ...more });
const GREETING = "Hello from fast! You said: Hello";

test("make dev: calls by the SDK, changes that are served, a change that is not, and an end", { timeout: 1_200_000 }, async (t) => {
  const project = await copyProject(t);
  const policies = await policiesElsewhere(t);
  const port = await freePort();
  const dev = start(t, "make", ["dev", `PORT=${port}`, `POLICIES=${policies}`], project);
  const url = `http://127.0.0.1:${port}`;
  const began = Date.now();
  const took = (what, since, goal = Infinity) => {
    const seconds = (Date.now() - since) / 1000;
    t.diagnostic(`${what}: ${seconds.toFixed(1)} s`);
    assert.ok(seconds <= goal * SLACK, `${what}: ${seconds.toFixed(1)} s, where the goal is ${goal} s`);
  };
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
    took("from the change of one file to its being served", since, CHANGE_SERVED);
  });

  const version = async () => (await (await fetch(`${url}/_turnpike/version`)).json()).bundle;
  await t.test("a change that is wrong is explained, and what was served is served on", async () => {
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

  await t.test("a call that is on its way notices nothing of changes that are wrong, or change nothing", async () => {
    const before = await version();
    // Longer than anything here takes: it is left when enough was seen.
    const slow = good.replace("usage: { input: 12, output: 10 }", "usage: { input: 12, output: 10 }\n      delay: 100ms");
    assert.notEqual(slow, good);
    await writeFile(mock, slow);
    await until(version, (now) => now !== before && /^[0-9a-f]+$/.test(now));
    const leave = new AbortController();
    const long = ask("on ".repeat(3_000), { stream: true });
    const stream = await demo.create(long, { signal: leave.signal });
    let pieces = 0;
    let cut = null;
    const read = (async () => {
      for await (const chunk of stream) pieces += chunk.choices.length;
    })().then(() => "it came to its end", (error) => String(error)).then((why) => (cut ??= why));
    const goesOn = async () => {
      const from = pieces;
      // wrangler would take a moment to start the Worker anew.
      await until(async () => pieces, (now) => now > from + 30 || cut !== null, 30_000);
      assert.equal(cut, null, `after ${pieces} pieces`);
    };
    await goesOn();

    const from = dev.said.length;
    await writeFile(mock, slow.replaceAll("usage:", "usgae:"));
    await hears(dev, /mocks\/fast\.yaml has changed: building/, { from, within: 120_000 });
    const since = Date.now();
    assert.equal((await pets({})).status, 401);
    took("an answer while a build is under way", since, 1);
    await hears(dev, /still serving the last one/, { from, within: 120_000 });
    await goesOn();

    // As it was, and with another comment at its end: nothing of that is deployed.
    for (const same of [slow, `${slow}# Nothing.\n`]) {
      const from = dev.said.length;
      await writeFile(mock, same);
      await hears(dev, /what was built is what is served already/, { from, within: 120_000 });
      await goesOn();
    }
    leave.abort();
    await read;
  });

  await t.test("of two changes soon after each other the last one is served", async () => {
    const from = dev.said.length;
    await writeFile(mock, good.replaceAll("Hello from fast!", "First!"));
    await hears(dev, /has changed: building\n/, { from, within: 120_000 });
    await writeFile(mock, good.replaceAll("Hello from fast!", "Second!"));
    await hears(dev, /has changed: building from the start/, { from, within: 120_000 });
    const since = Date.now();
    await until(said, (now) => now === "Second! You said: Hello");
    took("from the second change to its being served", since, CHANGE_SERVED);
  });

  await t.test("a folder that is new, and one that takes another's place, are watched", async () => {
    const served = async (change, ...told) => {
      const from = dev.said.length;
      await change();
      await hears(dev, new RegExp(told.join("[^]*")), { from, within: 120_000 });
    };
    const [apis, aside] = [join(policies, "apis"), join(policies, "../aside")];
    await served(() => rename(apis, aside), "still serving the last one");
    await served(() => cp(aside, apis, { recursive: true }), "what was built is what is served already");
    const api = join(apis, "petstore/api.yaml");
    const text = await readFile(api, "utf8");
    await served(() => writeFile(api, text.replace("title:", "tilte:")), "apis/petstore/api.yaml has changed", "still serving the last one");
    await served(() => writeFile(api, text), "what was built is what is served already");
  });

  await t.test("mended, it is served", async () => {
    await writeFile(mock, good);
    await until(said, (now) => now === GREETING);
  });

  await t.test("nothing is left running, not even of a build under way", async () => {
    assert.ok((await left(dev)).length > 2, "they are found while they run");
    const from = dev.said.length;
    await writeFile(mock, good.replaceAll("Hello from fast!", "Too late!"));
    await hears(dev, /has changed: building/, { from, within: 120_000 });
    // Ctrl-C: everything that belongs to the terminal is told.
    dev.signal("SIGINT");
    await dev.closed;
    await until(() => left(dev), (list) => list.length === 0, 15_000);
    await assert.rejects(() => fetch(url), "nobody listens any more");
    await writeFile(mock, good);
  });

  await t.test("the next time it serves soon", async (t) => {
    const since = Date.now();
    start(t, "make", ["dev", `PORT=${port}`, `POLICIES=${policies}`], project);
    await until(() => pets({}), ({ status }) => status === 401);
    took("from make dev to the first answer, with all that it needs there", since, WARM_START);
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

// What is around the policies goes wrong, too: with stand-ins for the build and for wrangler, as nothing of either matters.
describe("make dev while what it needs is away, or otherwise than it should be", () => {
  async function serving(t) {
    const directory = await folder(t, "stand-ins");
    const at = (name) => join(directory, name);
    const [rule, broken, configuration] = ["policies/rule", "policies/broken", "wrangler.toml"].map(at);
    for (const name of ["scripts", "tools", "src", "policies"]) await mkdir(at(name));
    for (const name of ["scripts/dev.mjs", "wrangler.toml", "src/entry.js"]) await cp(join(ROOT, name), at(name));
    // A build that loses a part of what it made says nothing of it.
    const build = "mkdir -p build; touch build/cold.js build/cold.wasm; cp policies/rule build/core.wasm; [ ! -e policies/broken ] || rm build/core.wasm";
    for (const [name, script] of [["scripts/build", build], ["tools/wrangler", "exec sleep 600"]]) {
      await writeFile(at(name), `#!/bin/sh\n${script}\n`, { mode: 0o755 });
    }
    await writeFile(rule, "1");
    const env = { PATH: `${at("tools")}:${process.env.PATH}`, POLICIES: "policies" };
    const dev = start(t, "sh", ["-c", 'PORT=8787 exec "$0" scripts/dev.mjs', process.execPath], { directory, env });
    await hears(dev, /http:\/\/127\.0\.0\.1:8787/);
    const served = () => readFile(at("build/.served"), "utf8");
    // What it says of a change, and that it serves what it served.
    const goesOn = async (change, ...told) => {
      const [from, before] = [dev.said.length, await served()];
      await change();
      await hears(dev, new RegExp(told.join("[^]*")), { from, within: 30_000 });
      assert.equal(await served(), before);
      assert.ok(!dev.ended, dev.said);
    };
    let rules = 1;
    const follows = async (change = () => writeFile(rule, String(++rules))) => {
      const before = await served();
      await change();
      await until(served, (now) => now !== before && now.length === 65, 30_000);
    };
    await follows();
    return { at, rule, broken, configuration, goesOn, follows };
  }
  const STILL = "still serving the last build";

  test("wrangler.toml is away for a moment, as when Git goes from branch to branch", async (t) => {
    const { at, rule, configuration, goesOn, follows } = await serving(t);
    await goesOn(() => rename(configuration, at("aside")), "wrangler.toml cannot be read", STILL);
    await goesOn(() => writeFile(rule, "meanwhile"), "policies/rule has changed: building", "wrangler.toml cannot be read", STILL);
    await follows(() => rename(at("aside"), configuration));
    await follows();
  });

  test("the list of what is watched is written over several lines, or is none", async (t) => {
    const { at, rule, configuration, goesOn, follows } = await serving(t);
    const text = await readFile(configuration, "utf8");
    const list = /^watch_dir = .*$/m;
    assert.match(text, list);
    const change = (to) => writeFile(configuration, text.replace(list, to));
    await goesOn(() => change("watch_dir = [\n  'src', # JavaScript\n  \"policies\",\n]"), "what was built is what is served already");
    assert.match(await readFile(at("wrangler.dev.toml"), "utf8"), /^watch_dir = \["build\/.served"\]\n/m);
    await follows();
    await goesOn(() => change('watch_dir = "src"'), "wrangler.toml has no `watch_dir", STILL);
    await goesOn(() => writeFile(rule, "meanwhile"), "policies/rule has changed: building", STILL);
    await follows(() => writeFile(configuration, text));
  });

  test("a build ends well, and not all of it is there", async (t) => {
    const { broken, goesOn, follows } = await serving(t);
    await goesOn(() => writeFile(broken, ""), "core.wasm", STILL);
    await goesOn(() => rm(broken), "what was built is what is served already");
    await follows();
  });
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
