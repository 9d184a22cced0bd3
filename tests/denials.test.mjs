// What operators deny, with the command that they use: at once in the isolate that takes the order, within a minute
// in every other, and reported by `turnpike verify`. The entry is the Worker eight times; the test holds the clock.

import assert from "node:assert/strict";
import { execFile } from "node:child_process";
import { join } from "node:path";
import { after, before, test } from "node:test";
import { E2E, buildTree } from "./harness/build.mjs";
import { key, startE2e } from "./harness/e2e.mjs";
import { ROOT } from "./harness/gateway.mjs";
import { command, keys } from "./harness/token.mjs";
import { PORTS, json, startUpstream } from "./harness/upstream.mjs";

const NOON = Date.UTC(2042, 5, 15, 12);
const ISOLATES = 8;

let gateway;
before(async () => {
  gateway = await startE2e({ entry: "tests/harness/entry-limiter.js", env: "denials" });
  await gateway.clock(NOON);
});
after(() => gateway?.stop());

/** Runs the command as an operator. */
function turnpike(args, credential) {
  const env = { ...process.env, TURNPIKE_TOKEN: credential, NO_COLOR: "1" };
  return new Promise((done) => {
    execFile(command(), args, { env }, (error, stdout, stderr) => done({ code: error?.code ?? 0, stdout, stderr }));
  });
}
const deny = (args, credential = key("denier"), { url } = gateway) => turnpike(["deny", ...args, "--url", url], credential);

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

test("`turnpike verify` finds what is denied beside the policies, as long as it is", async (t) => {
  // As it is deployed, and with every secret: else it would not be ready, which is a finding too.
  const plain = await startE2e({ env: "denials", secrets: { E2E_NEVER_SET: "set" } });
  t.after(() => plain.stop());
  // Its issuers answer: without their keys, a forged token would be refused otherwise than it must.
  const set = { keys: await Promise.all(["RS256", "ES256"].map(async (alg) => (await keys(alg)).publicJwk)) };
  const issuer = `http://127.0.0.1:${PORTS.oidc}`;
  for (const port of [PORTS.jwks, PORTS.oidc]) {
    const server = await startUpstream(port, ({ url }, response) => {
      json(response, url.startsWith("/.well-known/") ? { issuer, jwks_uri: `${issuer}/jwks.json` } : set);
    });
    t.after(() => server.stop());
  }
  const policies = join(ROOT, await buildTree(E2E, { env: "denials" }), "policies");
  const verify = async (credential = key("denier")) => {
    const { code, stdout, stderr } = await turnpike(["verify", plain.url, "--policies", policies, "--format", "json"], credential);
    assert.notEqual(stdout, "", stderr);
    const { same, right, wrong, skipped } = JSON.parse(stdout);
    assert.equal(same, true);
    return { code, wrong, right: right.join("\n"), skipped: skipped.join("\n") };
  };
  const NONE = /^nothing is denied on it beside the policies$/m;
  const sound = await verify();
  assert.deepEqual([sound.code, sound.wrong], [0, []]);
  assert.match(sound.right, NONE);
  const made = await deny(["consumer", "minute-a", "--reason", "INC-4711", "--until", "1h", "--id", "inc-1"], key("denier"), plain);
  assert.equal(made.code, 0, made.stderr);
  const [until] = /\d{4}-\d\d-\d\dT\d\d:\d\d:\d\dZ/.exec(made.stdout);
  const drifted = await verify();
  assert.deepEqual(
    [drifted.code, drifted.wrong],
    [1, [`consumer minute-a is denied until ${until}, by denier: INC-4711; the policies do not say so`]],
  );
  assert.doesNotMatch(drifted.right, NONE);
  // Without a credential it cannot be seen, and that is said.
  const blind = await verify("");
  assert.deepEqual([blind.code, blind.wrong], [0, []]);
  assert.match(blind.skipped, /what is denied on it: set \$TURNPIKE_TOKEN to an operator's credential/);
  assert.doesNotMatch(blind.right, NONE);
  const lifted = await deny(["lift", "inc-1", "--reason", "mended"], key("denier"), plain);
  assert.equal(lifted.code, 0, lifted.stderr);
  const mended = await verify();
  assert.deepEqual([mended.code, mended.wrong], [0, []]);
  assert.match(mended.right, NONE);
});
