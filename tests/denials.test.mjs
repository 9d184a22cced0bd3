// What operators deny, with the command that they use: at once in the isolate that takes the order, within a minute
// in every other, and reported by `turnpike verify`. The entry is the Worker eight times; the test holds the clock.

import assert from "node:assert/strict";
import { execFile } from "node:child_process";
import { after, before, test } from "node:test";
import { key, startE2e } from "./harness/e2e.mjs";
import { command } from "./harness/token.mjs";

const NOON = Date.UTC(2042, 5, 15, 12);
const ISOLATES = 8;

let gateway;
before(async () => {
  gateway = await startE2e({ entry: "tests/harness/entry-limiter.js", env: "denials" });
  await gateway.clock(NOON);
});
after(() => gateway?.stop());

/** Runs `turnpike deny` as an operator. */
function deny(args, credential = key("denier")) {
  const all = ["deny", ...args, "--url", gateway.url];
  const env = { ...process.env, TURNPIKE_TOKEN: credential, NO_COLOR: "1" };
  return new Promise((done) => {
    execFile(command(), all, { env }, (error, stdout, stderr) => done({ code: error?.code ?? 0, stdout, stderr }));
  });
}

async function pets(as, isolate) {
  const response = await gateway.fetch("/petstore/v2/pets", {
    headers: { "x-api-key": key(as), "x-test-isolate": String(isolate) },
  });
  return { status: response.status, text: await response.text() };
}
const everywhere = (as) => Promise.all(Array.from({ length: ISOLATES }, (_, isolate) => pets(as, isolate)));

test("a denial holds at once where it is made, within a minute everywhere, and ends by itself", async () => {
  assert.deepEqual((await everywhere("wide")).map(({ status }) => status), Array(ISOLATES).fill(200));
  const args = ["key", "wide", "--reason", "leaked, INC-4711", "--until", "1h", "--id", "inc-1"];
  for (let i = 0; i < 2; i++) {
    const made = await deny(args);
    assert.equal(made.code, 0, made.stderr);
    assert.match(made.stdout, /^key wide is denied until 2042-06-15T13:00:00Z, .* within 60 s everywhere; to lift it: turnpike deny lift inc-1\n$/);
  }
  // The command speaks to the first isolate.
  const here = await pets("wide", 0);
  assert.equal(here.status, 403);
  assert.equal(JSON.parse(here.text).code, "denied");
  assert.doesNotMatch(here.text, /leaked|denier/);
  const line = gateway.logs.find((known) => known.denial?.done === true);
  assert.deepEqual(
    [line.consumer, line.operation, line.denial.action, line.denial.id, line.denial.reason, line.denial.target],
    ["denier", "denials.order", "deny", "inc-1", "leaked, INC-4711", "key wide"],
  );
  assert.equal(gateway.logs.find((known) => known.code === "denied").denied, "inc-1");
  // The others know what they have looked at; a minute later they have looked again.
  assert.equal((await pets("wide", 5)).status, 200);
  await gateway.clock(NOON + 60_000);
  assert.deepEqual((await everywhere("wide")).map(({ status }) => status), Array(ISOLATES).fill(403));
  assert.deepEqual((await everywhere("minute-a")).map(({ status }) => status), Array(ISOLATES).fill(200));
  const listed = await deny(["list"], key("oncall"));
  assert.match(listed.stdout, /key wide +2042-06-15T13:00:00Z +denier +2042-06-15T12:00:00Z +inc-1 +leaked, INC-4711/);
  await gateway.clock(NOON + 3_600_000);
  assert.deepEqual((await everywhere("wide")).map(({ status }) => status), Array(ISOLATES).fill(200));
});

test("a denial is lifted before its time, and what is wrong is told", async () => {
  await gateway.clock(NOON + 7_200_000);
  const made = await deny(["operation", "petstore/v2/listPets", "--reason", "slow", "--until", "2h", "--id", "inc-2"]);
  assert.equal(made.code, 0, made.stderr);
  assert.equal((await pets("wide", 0)).status, 403);
  const lifted = await deny(["lift", "inc-2", "--reason", "mended"]);
  assert.match(lifted.stdout, /^lifted inc-2, at once/);
  assert.equal((await pets("wide", 0)).status, 200);
  const rows = [
    [[["consumer", "nobody", "--reason", "x", "--until", "1h"]], /404 not_found: There is no consumer `nobody`/],
    [[["key", "wide", "--reason", "x", "--until", "8d"]], /400 invalid_request: .* 7 days away at most.*add `--id [0-9a-f]{16}`/s],
    [[["key", "tpk_wide_secret", "--reason", "x", "--until", "1h"]], /A key is named by its id/],
    [[["key", "wide", "--reason", "x", "--until", "soon"]], /write how long/],
    [[["lift", "inc-9", "--reason", "x"]], /404 not_found: There is no denial of this id/],
    [[["key", "wide", "--reason", "x", "--until", "1h"], key("oncall")], /403 operator_required: `oncall` may not deny/],
    [[["list"], key("wide")], /403 operator_required/],
  ];
  for (const [args, says] of rows) {
    const said = await deny(...args);
    assert.equal(said.code, 2, said.stdout);
    assert.match(said.stderr, says);
  }
});
