// What README.md shows is what its reader gets: its commands and its code are run as they stand there, and what they
// print is compared with what is printed there. What differs each time (`…`, ids) may.

import assert from "node:assert/strict";
import { execFile } from "node:child_process";
import { access, cp, mkdir, readFile, symlink, writeFile } from "node:fs/promises";
import { dirname, join } from "node:path";
import { test } from "node:test";
import { promisify } from "node:util";
import { ROOT } from "./harness/gateway.mjs";
import { startSample, tokenOf } from "./harness/sample.mjs";
import { command } from "./harness/token.mjs";
import { folder } from "./harness/wrangler.mjs";

const run = promisify(execFile);
const readme = await readFile(join(ROOT, "README.md"), "utf8");

// The commands of its `console` blocks, each with what it prints there.
function commands() {
  const found = [];
  for (const [, block] of readme.matchAll(/^```console\n([\s\S]*?)^```/gm)) {
    let open = null;
    for (const line of block.trimEnd().split("\n")) {
      if (open !== null) open.command += `\n${line}`;
      else if (line.startsWith("$ ")) found.push(open = { command: line.slice(2), printed: "" });
      else found.at(-1).printed += `${line}\n`;
      if (!open?.command.endsWith("\\")) open = null;
    }
  }
  return found;
}

// The sample tree with all that is added to it there, in a folder of its own.
async function extended(t) {
  const directory = await folder(t, "readme");
  await cp(join(ROOT, "policies"), join(directory, "policies"), { recursive: true });
  for (const [, block] of readme.matchAll(/^```yaml\n([\s\S]*?)^```/gm)) {
    const named = /^# (policies\/\S+)\n/.exec(block)?.[1] ?? "policies/apis/orders/api.yaml";
    await mkdir(dirname(join(directory, named)), { recursive: true });
    await writeFile(join(directory, named), block);
  }
  const document = { openapi: "3.1.0", info: { title: "Orders", version: "1" }, paths: { "/orders": { get: { operationId: "listOrders", responses: { 200: { description: "Orders." } } } } } };
  await writeFile(join(directory, "policies/apis/orders/v1.yaml"), JSON.stringify(document));
  return directory;
}

// What is printed there, as a pattern. Of an id that is cut short (`f2c8…`) nothing is known.
function pattern(printed) {
  const plain = printed.replace(/[\\^$.*+?()[\]{}|]/g, "\\$&");
  return new RegExp(`^${plain.replace(/[0-9a-f]{32}/g, "[0-9a-f]{32}").replace(/[0-9a-f]*…/g, "[^\\n]+?")}$`);
}

test("every command prints what is said there", async (t) => {
  const gateway = await startSample();
  t.after(() => gateway.stop());
  const list = commands();
  assert.ok(list.filter(({ command: text }) => text.startsWith("curl ")).length >= 3, "its calls are still found");
  const tree = await extended(t);
  await run(command(), ["check"], { cwd: tree });
  // One shell after the other, and each knows what the ones before it have set.
  let known = "";
  for (const { command: text, printed } of list) {
    if (text === "make cli") {
      await access(command());
      continue;
    }
    const asked = text.replaceAll("target/release/turnpike", command()).replaceAll("http://127.0.0.1:8787/", `${gateway.url}/`);
    const cwd = text.includes(" mobile") ? tree : ROOT;
    const { stdout, stderr } = await run("bash", ["-euc", `${known}\n${asked}`], { cwd });
    if (text.startsWith("export ")) known += `${asked}\n`;
    // What a call answers may end without a line's end.
    assert.match(stdout === "" || stdout.endsWith("\n") ? stdout : `${stdout}\n`, pattern(printed), `$ ${text}`);
    if (text.startsWith("curl ")) assert.equal(stderr, "", text);
  }
});

test("the first call with the SDK prints what is said there", async (t) => {
  const [, script] = /^```js\n(\/\/ hello\.mjs\n[\s\S]*?)^```/m.exec(readme);
  const [, printed] = /\n\/\/ (.*)\n$/.exec(script);
  const gateway = await startSample();
  t.after(() => gateway.stop());
  const directory = await folder(t, "readme");
  await writeFile(join(directory, "hello.mjs"), script);
  await symlink(join(ROOT, "node_modules"), join(directory, "node_modules"));
  // Not a letter of it is changed: what goes to the port of `make dev` is sent to that of this gateway.
  const elsewhere = `
    const there = globalThis.fetch;
    globalThis.fetch = (url, init) => there(String(url).replace("http://127.0.0.1:8787/", "${gateway.url}/"), init);`;
  const { stdout, stderr } = await run(
    process.execPath,
    ["--import", `data:text/javascript,${encodeURIComponent(elsewhere)}`, "hello.mjs"],
    { cwd: directory, env: { ...process.env, TOKEN: await tokenOf("demo") } },
  );
  assert.equal(stdout, `${printed}\n`);
  assert.equal(stderr, "");
});
