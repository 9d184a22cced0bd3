// The Worker as wrangler deploys it: with wrangler.toml, and the build command that stands there. How it
// is served while one works on it is for dev.test.mjs.

import assert from "node:assert/strict";
import { readFile } from "node:fs/promises";
import { join } from "node:path";
import { test } from "node:test";
import { copyProject, start } from "./harness/wrangler.mjs";

test("wrangler deploy --dry-run takes the Worker, for each environment", async (t) => {
  const { directory, env } = await copyProject(t);
  for (const environment of ["staging", "production"]) {
    // As a pipeline does it (docs/ci.md).
    const out = join(directory, "build/dry-run", environment);
    const run = start(t, "scripts/ci", ["deploy", environment, "--dry-run"], {
      directory,
      env: { ...env, TURNPIKE: "true", TURNPIKE_BUILD: "dev" },
    });
    assert.equal(await run.closed, 0, run.said);
    assert.match(run.said, /METER/, "the binding of the limits' objects");
    assert.match(run.said, /--dry-run: exiting now/);
    const uploaded = await readFile(join(out, "entry.js"), "utf8");
    assert.match(uploaded, /core\.wasm/);
    // It was built for this environment, and not left over.
    assert.match(await readFile(join(directory, "build/.of"), "utf8"), new RegExp(` ${environment} `));
  }
});
