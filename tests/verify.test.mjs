// `turnpike verify` against the Worker as it was built: the same policies, other policies, doors that do not hold, keys
// that cannot be had, and nobody there.

import assert from "node:assert/strict";
import { execFile } from "node:child_process";
import { cp, mkdtemp, readFile, rm, writeFile } from "node:fs/promises";
import { createServer } from "node:http";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { after, before, test } from "node:test";
import { buildTree } from "./harness/build.mjs";
import { ROOT, startGateway } from "./harness/gateway.mjs";
import { startSample } from "./harness/sample.mjs";
import { command, newKeys } from "./harness/token.mjs";
import { PORTS, json, startUpstream } from "./harness/upstream.mjs";

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

// A door beside the gateway: what `passes` says is answered to everybody, all else by the gateway.
async function besides(t, passes) {
  const server = createServer(async (request, response) => {
    const { host, connection, ...headers } = request.headers;
    const theirs = passes(request) ? new Response("[]")
      : await fetch(new URL(request.url, gateway.url), { method: request.method, headers });
    response.writeHead(theirs.status, Object.fromEntries(theirs.headers));
    response.end(Buffer.from(await theirs.arrayBuffer()));
  });
  await new Promise((done) => server.listen(0, "127.0.0.1", done));
  t.after(() => new Promise((done) => server.close(done)));
  return `http://127.0.0.1:${server.address().port}`;
}

test("a route that does not refuse is named", async (t) => {
  const url = await besides(t, ({ url, method }) => url.startsWith("/petstore/v1/pets") && method === "GET");
  const { code, said } = await verify(url, "policies");
  assert.equal(code, 1, JSON.stringify(said));
  assert.match(JSON.stringify(said.wrong), /\/petstore\/v1\/pets/);
  assert.doesNotMatch(JSON.stringify(said.wrong), /chat\/completions/);
});

test("so is one that takes any key in a header", async (t) => {
  const url = await besides(t, (request) => request.method === "GET" && request.headers["api-key"]?.startsWith("tpk_turnpike"));
  const { code, said } = await verify(url, "policies");
  assert.equal(code, 1, JSON.stringify(said));
  assert.notDeepEqual(said.wrong, []);
  for (const line of said.wrong) assert.match(line, /^GET .*: with a key that nobody has in `api-key` it answers 200; it must refuse, with 401 credential_invalid$/);
});

test("proofs of others are refused, what cannot be tried is told, and whose keys cannot be had", async (t) => {
  const build = await buildTree("tests/trees/bound");
  const upstream = await startUpstream(PORTS.rest, (request, response) => json(response, { ok: true }));
  t.after(() => upstream.stop());
  const issuer = `http://127.0.0.1:${PORTS.oidc}`;
  const { publicJwk } = await newKeys("ES256", "one");
  const provider = await startUpstream(PORTS.oidc, (request, response) => {
    json(response, request.url === "/keys" ? { keys: [publicJwk] } : { issuer, jwks_uri: `${issuer}/keys` });
  });
  let standing = true;
  t.after(() => standing && provider.stop());
  const judge = async () => {
    const bound = await startGateway({ build });
    try {
      return await verify(bound.url, join(build, "policies"));
    } finally {
      await bound.stop();
    }
  };
  const { code, stderr, said } = await judge();
  assert.equal(code, 0, stderr + JSON.stringify(said));
  assert.deepEqual([said.same, said.wrong], [true, []]);
  // Two operations and four operator's pages; on each nobody's credential, and of two issuers a token alone, and with
  // either proof.
  assert.match(JSON.stringify(said.right), /"96 calls refused as the policies say, on 6 routes"/);
  assert.match(JSON.stringify(said.skipped), /client certificates \(of `billing` and `reports`, to which tokens of `e2e-jwks` are bound\)/);
  await provider.stop();
  standing = false;
  const without = await judge();
  assert.equal(without.code, 1, without.stderr + JSON.stringify(without.said));
  assert.equal(without.said.wrong.length, 1, JSON.stringify(without.said.wrong));
  assert.match(without.said.wrong[0], /^it cannot get the keys of `e2e-oidc` from http:\/\/127\.0\.0\.1:18185\/.*503 keys_unavailable.* on 6 routes/);
  assert.equal(upstream.requests.length, 0, "something reached an upstream");
});

test("nobody there is told, and is no finding", async () => {
  const { code, stderr } = await verify("http://127.0.0.1:9", "policies");
  assert.equal(code, 2);
  assert.match(stderr, /127\.0\.0\.1:9/);
});
