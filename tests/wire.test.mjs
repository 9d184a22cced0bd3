// The shell and the core number their messages alike.

import assert from "node:assert/strict";
import { readFile } from "node:fs/promises";
import { join } from "node:path";
import { test } from "node:test";
import { ASK, TELL, WIRE } from "../src/wire.js";
import { ROOT } from "./harness/gateway.mjs";

const source = await readFile(join(ROOT, "crates/core/src/dispatch.rs"), "utf8");

function constants(module) {
  const body = new RegExp(`\\bpub mod ${module} \\{([^}]*)\\}`).exec(source);
  assert.ok(body, `crates/core/src/dispatch.rs has no module ${module}`);
  const found = [...body[1].matchAll(/\bpub const ([A-Z_]+): u8 = (\d+);/g)];
  assert.ok(found.length > 5, `the constants of ${module} are written in another way`);
  return Object.fromEntries(found.map(([, name, value]) => [name, Number(value)]));
}

test("src/wire.js and the core agree on how messages are written", () => {
  assert.equal(WIRE, Number(/\bpub const WIRE: u32 = (\d+);/.exec(source)[1]));
});

for (const [module, ours] of [["ask", ASK], ["tell", TELL]]) {
  test(`src/wire.js and the core agree on what they ${module}`, () => {
    assert.deepEqual(ours, constants(module));
    assert.equal(new Set(Object.values(ours)).size, Object.keys(ours).length, "a number is used twice");
  });
}
