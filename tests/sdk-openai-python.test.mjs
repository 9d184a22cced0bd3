// The package `openai` of PyPI, pointed at the gateway of the sample tree: the checks are in
// python/sdk_openai.py, each one a test here. scripts/bootstrap makes the environment with the package.

import assert from "node:assert/strict";
import { execFileSync, spawn } from "node:child_process";
import { join } from "node:path";
import { createInterface } from "node:readline";
import { test } from "node:test";
import { ROOT } from "./harness/gateway.mjs";
import { startSample, tokenOf } from "./harness/sample.mjs";

// The interpreter that has the package; nothing, if there is none.
function python() {
  if (process.env.TURNPIKE_PYTHON) return process.env.TURNPIKE_PYTHON;
  try {
    const environment = execFileSync(join(ROOT, "scripts/bootstrap"), ["--env"], { encoding: "utf8" });
    return /^export TURNPIKE_PYTHON=(.+)$/m.exec(environment)?.[1] ?? null;
  } catch {
    return null;
  }
}

test("PyPI openai", async (t) => {
  const interpreter = python();
  if (interpreter === null) {
    const why = "the Python package `openai` is not there: scripts/bootstrap test";
    assert.notEqual(process.env.CI, "true", why);
    console.error(`\n*** NOT TESTED: ${why} ***\n`);
    return t.skip(why);
  }
  const [plain, held] = await Promise.all([startSample(), startSample({ clock: true })]);
  t.after(() => Promise.all([plain.stop(), held.stop()]));
  const child = spawn(interpreter, [join(ROOT, "tests/python/sdk_openai.py")], {
    env: {
      ...process.env,
      PLAIN_URL: plain.url,
      HELD_URL: held.url,
      DEMO_TOKEN: await tokenOf("demo"),
      TRIAL_TOKEN: await tokenOf("trial"),
      PYTHONDONTWRITEBYTECODE: "1",
    },
    stdio: ["ignore", "pipe", "pipe"],
  });
  let complaint = "";
  child.stderr.on("data", (chunk) => (complaint += chunk));
  const ended = new Promise((resolve) => child.on("close", resolve));
  let checks = 0;
  for await (const line of createInterface({ input: child.stdout })) {
    const { name, ok, error } = JSON.parse(line);
    checks++;
    await t.test(name, () => assert.ok(ok, error));
  }
  assert.equal(await ended, 0, complaint);
  assert.ok(checks >= 12, `only ${checks} checks ran\n${complaint}`);
});
