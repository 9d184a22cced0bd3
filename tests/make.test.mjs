// Commands of the Makefile that run several things: what each of them comes to is what the command comes to.
// The tools are stand-ins.

import assert from "node:assert/strict";
import { spawnSync } from "node:child_process";
import { chmod, readFile, writeFile } from "node:fs/promises";
import { join } from "node:path";
import { describe, test } from "node:test";
import { ROOT } from "./harness/gateway.mjs";
import { folder } from "./harness/wrangler.mjs";

// A cargo that writes down what it is asked, and fails where it is asked about a certain package.
async function standIn(t, fails) {
  const tools = await folder(t, "tools");
  const asked = join(tools, "asked");
  const cargo = join(tools, "cargo");
  await writeFile(cargo, `#!/bin/sh\necho "$FUZZ_MINUTES $FUZZ_SEED $*" >>"${asked}"\ncase "$*" in *"${fails}"*) exit 101 ;; esac\n`);
  await chmod(cargo, 0o755);
  return { env: { ...process.env, PATH: `${tools}:${process.env.PATH}`, MAKEFLAGS: "" }, asked: () => readFile(asked, "utf8") };
}

describe("make fuzz plays the targets of both crates, and fails", () => {
  const crates = ["turnpike-policy", "turnpike-engine"];
  for (const [name, fails, status] of [
    ["not, when none did", "nothing of that name", 0],
    ["when the first did", crates[0], 2],
    ["when the second did", crates[1], 2],
    ["when both did", "turnpike-", 2],
  ]) {
    test(name, async (t) => {
      const { env, asked } = await standIn(t, fails);
      const made = spawnSync("make", ["fuzz", "MINUTES=3", "SEED=7"], { cwd: ROOT, env, encoding: "utf8" });
      assert.equal(made.status, status, made.stdout + made.stderr);
      const played = (await asked()).trim().split("\n");
      assert.deepEqual(played.map((line) => /--package (\S+)/.exec(line)?.[1]), crates);
      for (const line of played) assert.match(line, /^3 7 test /);
    });
  }
});
