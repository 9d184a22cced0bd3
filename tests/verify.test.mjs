// `turnpike verify` against the Worker as it was built: the same policies, other policies, a door that does not hold,
// and nobody there.

import assert from "node:assert/strict";
import { execFile } from "node:child_process";
import { cp, mkdtemp, readFile, rm, writeFile } from "node:fs/promises";
import { createServer } from "node:http";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { after, before, test } from "node:test";
import { ROOT } from "./harness/gateway.mjs";
import { startSample } from "./harness/sample.mjs";
import { command } from "./harness/token.mjs";

let gateway;
before(async () => {
  gateway = await startSample();
});
after(() => gateway.stop());

// What `verify` says of a gateway, and its exit code.
function verify(url, policies) {
  const args = ["verify", String(url), "--policies", policies, "--format", "json"];
  return new Promise((resolve) => {
    execFile(command(), args, { cwd: ROOT }, (error, stdout, stderr) => {
      resolve({ code: error?.code ?? 0, stderr, said: stdout.trim() === "" ? null : JSON.parse(stdout) });
    });
  });
}

async function copy(t) {
  const folder = await mkdtemp(join(tmpdir(), "turnpike-verify-"));
  t.after(() => rm(folder, { recursive: true }));
  await cp(join(ROOT, "policies"), join(folder, "policies"), { recursive: true });
  return join(folder, "policies");
}

test("a gateway that serves these policies is found to, and every route refuses what it must", async () => {
  const { code, stderr, said } = await verify(gateway.url, "policies");
  assert.equal(code, 0, stderr + JSON.stringify(said));
  assert.deepEqual([said.same, said.wrong], [true, []]);
  assert.notDeepEqual(said.right, [], "nothing was looked at");
});

test("drift from the policies is a finding", async (t) => {
  const policies = await copy(t);
  const file = join(policies, "plans/free.yaml");
  const plan = await readFile(file, "utf8");
  const other = plan.replace(/100\/min/, "99/min");
  assert.notEqual(other, plan);
  await writeFile(file, other);
  const { code, said } = await verify(gateway.url, policies);
  assert.equal(code, 1);
  assert.equal(said.same, false);
  assert.notEqual(said.gateway.bundle, said.tree.bundle);
  assert.equal(said.wrong.length, 1, JSON.stringify(said.wrong));
});

test("a route that does not refuse is named", async (t) => {
  // All that is asked of one operation passes the gateway by.
  const server = createServer(async (request, response) => {
    const open = request.url.startsWith("/petstore/v1/pets") && request.method === "GET";
    const theirs = open ? new Response("[]") : await fetch(new URL(request.url, gateway.url), {
      method: request.method, headers: request.headers.authorization ? { authorization: request.headers.authorization } : {},
    });
    response.writeHead(theirs.status, Object.fromEntries(theirs.headers));
    response.end(Buffer.from(await theirs.arrayBuffer()));
  });
  await new Promise((done) => server.listen(0, "127.0.0.1", done));
  t.after(() => new Promise((done) => server.close(done)));
  const { code, said } = await verify(`http://127.0.0.1:${server.address().port}`, "policies");
  assert.equal(code, 1, JSON.stringify(said));
  assert.match(JSON.stringify(said.wrong), /\/petstore\/v1\/pets/);
  assert.doesNotMatch(JSON.stringify(said.wrong), /chat\/completions/);
});

test("nobody there is told, and is no finding", async () => {
  const { code, stderr } = await verify("http://127.0.0.1:9", "policies");
  assert.equal(code, 2);
  assert.match(stderr, /127\.0\.0\.1:9/);
});
