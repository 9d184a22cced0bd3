// Checks of the package `openai` of PyPI (python/*.py), each one a test. scripts/bootstrap makes the environment with
// the package.
//
//   await checkPython(t, "sdk_openai.py", { PLAIN_URL: ... }, 13)   // at least so many checks

import assert from "node:assert/strict";
import { execFileSync, spawn } from "node:child_process";
import { join } from "node:path";
import { createInterface } from "node:readline";
import { ROOT } from "./gateway.mjs";

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

export async function checkPython(t, script, settings, least) {
  const interpreter = python();
  if (interpreter === null) {
    const why = "the Python package `openai` is not there: scripts/bootstrap test";
    assert.notEqual(process.env.CI, "true", why);
    console.error(`\n*** NOT TESTED: ${why} ***\n`);
    return t.skip(why);
  }
  const child = spawn(interpreter, [join(ROOT, "tests/python", script)], {
    env: { ...process.env, ...settings, PYTHONDONTWRITEBYTECODE: "1" },
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
  assert.ok(checks >= least, `only ${checks} checks ran\n${complaint}`);
}
