// The package `openai` of PyPI, pointed at the gateway of the sample tree.

import { test } from "node:test";
import { checkPython } from "./harness/python.mjs";
import { startSample, tokenOf } from "./harness/sample.mjs";

test("PyPI openai", async (t) => {
  const [plain, held] = await Promise.all([startSample(), startSample({ clock: true })]);
  t.after(() => Promise.all([plain.stop(), held.stop()]));
  const [demo, trial] = await Promise.all([tokenOf("demo"), tokenOf("trial")]);
  await checkPython(t, "sdk_openai.py", { PLAIN_URL: plain.url, HELD_URL: held.url, DEMO_TOKEN: demo, TRIAL_TOKEN: trial }, 13);
});
