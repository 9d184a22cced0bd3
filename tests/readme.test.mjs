// What README.md shows of the SDK is what its reader gets: its code is run as it stands there.

import assert from "node:assert/strict";
import { execFile } from "node:child_process";
import { readFile, symlink, writeFile } from "node:fs/promises";
import { join } from "node:path";
import { test } from "node:test";
import { promisify } from "node:util";
import { ROOT } from "./harness/gateway.mjs";
import { startSample, tokenOf } from "./harness/sample.mjs";
import { folder } from "./harness/wrangler.mjs";

test("the first call with the SDK prints what is said there", async (t) => {
  const readme = await readFile(join(ROOT, "README.md"), "utf8");
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
  const { stdout, stderr } = await promisify(execFile)(
    process.execPath,
    ["--import", `data:text/javascript,${encodeURIComponent(elsewhere)}`, "hello.mjs"],
    { cwd: directory, env: { ...process.env, TOKEN: await tokenOf("demo") } },
  );
  assert.equal(stdout, `${printed}\n`);
  assert.equal(stderr, "");
});
