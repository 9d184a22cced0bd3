// A deployment that was stored can be deployed again: what answers is then what answered before, and what
// was counted in between is not forgotten. And a bundle that the gateway cannot read is refused as a whole.

import assert from "node:assert/strict";
import { createHash } from "node:crypto";
import { cp, mkdir, readFile, readdir, rm, stat, writeFile } from "node:fs/promises";
import { dirname, join } from "node:path";
import { after, before, describe, test } from "node:test";
import { ROOT, startGateway } from "./harness/gateway.mjs";
import { copyProject, folder, start } from "./harness/wrangler.mjs";

const WRANGLER = join(ROOT, "node_modules/.bin/wrangler");
const sha256 = (content) => createHash("sha256").update(content).digest("hex");
const KEY = "tpk_rollback_not-a-secret";

const DOCUMENT = `openapi: 3.1.1
info: { title: Notes, version: 1.0.0 }
paths:
  /notes:
    get:
      operationId: listNotes
      responses: { "200": { description: All notes., content: { application/json: { example: [] } } } }
`;
// Two trees: the second adds a version and allows more a day.
const tree = (quota, ...versions) => ({
  "gateway.yaml": "gateway: rollback\npolicy_hash: shown\nenvironments:\n  dev: { mocks: allowed }\n",
  "plans/daily.yaml": `plan: daily\nlimits: [{ quota: ${quota}/day, id: daily }]\n`,
  "consumers/reader.yaml": `consumer: reader
owner: team
plan: daily
credentials: [{ key: { sha256: ${sha256(KEY)}, expires: 2099-01-01 } }]
may: [{ apis: all }]
`,
  "apis/notes/api.yaml": `api: notes\ntitle: Notes\nowner: team\npath: /notes\nversions:\n${
    versions.map((version) => `  ${version}: { openapi: v1.yaml, state: active, mock: openapi }\n`).join("")}`,
  "apis/notes/v1.yaml": DOCUMENT,
});

describe("what `make artifact` stores", () => {
  let t;
  let project;
  const stored = {};
  const cleanUp = [];

  // Builds a tree as its commit, and stores it.
  async function store(name, files) {
    const policies = join(project.directory, "policies");
    await rm(policies, { recursive: true });
    for (const [path, text] of Object.entries(files)) {
      await mkdir(dirname(join(policies, path)), { recursive: true });
      await writeFile(join(policies, path), text);
    }
    for (const args of [["add", "--all", "policies"], ["commit", "--quiet", "--message", name]]) {
      const git = start(t, "git", ["-c", "user.name=a", "-c", "user.email=a@example.com", ...args], project);
      assert.equal(await git.closed, 0, git.said);
    }
    const head = start(t, "git", ["rev-parse", "HEAD"], project);
    assert.equal(await head.closed, 0, head.said);
    const env = { ...project.env, TURNPIKE_BUILD: "", ARTIFACTS: join(project.directory, "artifacts") };
    const make = async () => {
      const made = start(t, "make", ["artifact"], { ...project, env: { ...env, TURNPIKE_BUILD: "dev" } });
      assert.equal(await made.closed, 0, made.said);
      const written = /^(\/.*)\.tar\.gz$/m.exec(made.said)?.[1];
      assert.ok(written, made.said);
      return written;
    };
    const path = await make();
    const hash = sha256(await readFile(`${path}.tar.gz`));
    assert.equal(await make(), path);
    assert.equal(sha256(await readFile(`${path}.tar.gz`)), hash, "the same commit makes the same bytes");
    const facts = JSON.parse(await readFile(join(path, "manifest.json"), "utf8"));
    stored[name] = { path, facts, commit: head.said.trim() };
  }

  before(async () => {
    t = { after: (end) => cleanUp.push(end) };
    project = await copyProject(t);
    await writeFile(join(project.directory, ".gitignore"), "/*\n!/policies\n");
    const init = start(t, "git", ["init", "--quiet"], project);
    assert.equal(await init.closed, 0, init.said);
    await store("first", tree(5, "v1"));
    await store("second", tree(50, "v1", "v2"));
  });
  after(async () => {
    for (const end of cleanUp.reverse()) await end();
  });

  test("is named by what it holds", async () => {
    for (const { path, facts, commit } of Object.values(stored)) {
      assert.equal(facts.commit, commit);
      assert.deepEqual([facts.dirty, facts.environment], [false, "dev"]);
      assert.ok(path.endsWith(`/turnpike-dev-${facts.bundle.slice(0, 12)}-${commit.slice(0, 12)}`), path);
      assert.equal(Object.keys(facts.files).filter((file) => /^(entry\.js|policy\.bundle|wrangler\.toml)$/.test(file)).length, 3);
      for (const [file, hash] of Object.entries(facts.files)) assert.equal(sha256(await readFile(join(path, file))), hash, file);
      assert.ok((await stat(`${path}.tar.gz`)).size > 100_000);
    }
    assert.notEqual(stored.first.facts.bundle, stored.second.facts.bundle);
  });

  test("is taken by wrangler deploy --no-bundle, and nothing is built", async () => {
    const args = ["deploy", "--dry-run", "--no-bundle", "--env", "", "--outdir", join(project.directory, "out")];
    const run = start(t, process.execPath, [WRANGLER, ...args], { directory: stored.first.path, env: {} });
    assert.equal(await run.closed, 0, run.said);
    assert.match(run.said, /core\.wasm/);
    assert.match(run.said, /cold\.wasm/);
    assert.match(run.said, /METER/, "the binding of the limits' objects");
    assert.doesNotMatch(run.said, /custom build|policy\.bundle|manifest/);
    const uploaded = (await readdir(join(project.directory, "out"))).filter((name) => name.endsWith(".wasm"));
    assert.equal(uploaded.length, 2);
  });

  test("answers as it did when it is deployed again, and what was counted is not forgotten", async () => {
    const persist = await folder(t, "objects");
    const address = { "x-api-key": KEY };
    const called = async (name, path, count) => {
      const gateway = await startGateway({ artifact: stored[name].path, persist });
      try {
        const version = await (await gateway.fetch("/_turnpike/version")).json();
        assert.deepEqual([version.bundle, version.commit], [stored[name].facts.bundle, stored[name].commit]);
        const statuses = [];
        for (let call = 0; call < count; call++) {
          const answer = await gateway.fetch(path, { headers: address });
          await answer.arrayBuffer();
          assert.equal(answer.headers.get("x-turnpike-policy"), stored[name].facts.bundle);
          statuses.push(answer.status);
        }
        return statuses;
      } finally {
        await gateway.stop();
      }
    };
    // Five a day; three are used, and the fourth under the next deployment.
    assert.deepEqual(await called("first", "/notes/v1/notes", 3), [200, 200, 200]);
    assert.deepEqual(await called("second", "/notes/v2/notes", 1), [200]);
    // Rolled back: the version is gone, one call is left of the day, and no more.
    assert.deepEqual(await called("first", "/notes/v2/notes", 1), [404]);
    assert.deepEqual(await called("first", "/notes/v1/notes", 3), [200, 429, 429]);
    assert.deepEqual(await called("second", "/notes/v2/notes", 1), [200], "the later tree allows more");
  });

  test("of another format of bundle is refused as a whole, and says why", async () => {
    const broken = join(await folder(t, "format"), "artifact");
    await cp(stored.first.path, broken, { recursive: true });
    const name = (await readdir(broken)).find((file) => file.endsWith("core.wasm"));
    const wasm = await readFile(join(broken, name));
    const bundle = await readFile(join(broken, "policy.bundle"));
    const at = wasm.indexOf(bundle.subarray(0, 38));
    assert.ok(at > 0 && wasm.indexOf(bundle.subarray(0, 38), at + 1) < 0, "the bundle is embedded once");
    wasm.writeUInt16LE(77, at + 4);
    await writeFile(join(broken, name), wasm);
    const gateway = await startGateway({ artifact: broken });
    try {
      for (const path of ["/notes/v1/notes", "/nothing", "/v1/models"]) {
        const answer = await gateway.fetch(path, { headers: { "x-api-key": KEY } });
        assert.equal(answer.status, 503, path);
        assert.equal(answer.headers.get("content-type"), "application/problem+json");
        const body = await answer.json();
        assert.deepEqual([body.code, body.error.code, body.request_id], ["not_ready", "not_ready", answer.headers.get("x-request-id")]);
        const line = await gateway.line(body.request_id);
        assert.deepEqual([line.decision, line.status, line.code], ["failed", 503, "not_ready"]);
      }
      const said = JSON.stringify(gateway.logs);
      assert.match(said, /the policy bundle is of format 77, this gateway reads format \d+: build both from the same commit/);
    } finally {
      await gateway.stop();
    }
  });
});
