// Documents that others wrote: large ones, from packages of the npm registry. Each becomes routes, or is
// refused with a reason and a place; two of them are compared, and what is found is what they differ in; nothing
// panics, and nothing takes ten seconds.
//
// They are not part of this repository: npm fetches them, once, into its cache. Where it cannot, `make test` says so
// aloud and goes on; `make real-documents` (FETCH=1) fails then. Both print the table.

import assert from "node:assert/strict";
import { execFileSync, spawnSync } from "node:child_process";
import { mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { mkdir, readFile, readdir, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { basename, join } from "node:path";
import { after, before, describe, test } from "node:test";
import { ROOT } from "./harness/gateway.mjs";

// What is read of each package, and how it ends: with so many operations, or refused with these codes. What is
// refused in GitHub's is taken out (`mended`): then the rest becomes routes.
const PACKAGES = {
  "@octokit/openapi@23.0.2": {
    "generated/api.github.com.json": { refused: "P0215, P0605", mended: 1222 },
    "generated/ghec.json": { refused: "P0215, P0605", mended: 1470 },
    "generated/ghes-3.17.json": { refused: "P0215, P0605", mended: 965 },
    "generated/api.github.com.deref.json": { refused: "P0002" },
  },
  "@readme/oas-examples@8.2.2": {
    "3.0/json/star-trek.json": { refused: "P0602" },
    "3.0/json/petstore.json": { refused: "P1202" },
    "3.0/json/complex-nesting.json": { refused: "P0602" },
    "3.0/json/callbacks.json": { refused: "P0602" },
    "3.1/json/readme.json": { operations: 54 },
    "3.1/json/train-travel.json": { operations: 7 },
    // Webhooks are what an API calls, not what it answers.
    "3.1/json/webhooks.json": { operations: 0 },
    "2.0/json/petstore.json": { refused: "P0601" },
  },
  "@scalar/galaxy@0.2.20": { "dist/latest.json": { refused: "P0215" }, "dist/latest.yaml": { refused: "P0215" } },
};
// The largest of them, two versions of it, and what nearly all of its operations answer with.
const GITHUB = {
  name: "@octokit/openapi@23.0.2",
  document: "generated/api.github.com.json",
  versions: ["generated/ghes-3.17.json", "generated/ghes-3.19.json"],
  schema: "simple-user",
  member: "login",
};
const TURNPIKE = join(process.env.CARGO_TARGET_DIR || join(ROOT, "target"), "release/turnpike");
const needed = process.env.FETCH === "1";
// A registry that does not answer is not waited for.
const FETCHING = ["--prefer-offline", "--fetch-retries=1", "--fetch-timeout=60000"];

function turnpike(args) {
  const began = performance.now();
  const ran = spawnSync(TURNPIKE, args, { encoding: "utf8", maxBuffer: 1 << 30, env: { ...process.env, NO_COLOR: "1" } });
  return { ...ran, ms: performance.now() - began };
}

describe("documents that others wrote", () => {
  let folder;
  const [rows, others] = [[], []];
  const seconds = (ms) => `${(ms / 1000).toFixed(2)} s`;
  before(() => { folder = mkdtempSync(join(tmpdir(), "turnpike-documents-")); });
  after(() => {
    rmSync(folder, { recursive: true, force: true });
    if (rows.length === 0) return;
    console.log("| document | MB | operations | findings | check | |\n|---|---|---|---|---|---|");
    for (const row of rows) console.log(`| ${row.join(" | ")} |`);
    for (const other of others) console.log(other);
  });

  // Where a package lies, once it is fetched; nothing where it cannot be.
  const unpacked = new Map();
  async function unpack(name, t) {
    if (unpacked.has(name)) return unpacked.get(name);
    const into = join(folder, name.replace(/\W+/g, "-"));
    await mkdir(into, { recursive: true });
    const pack = ["pack", name, "--pack-destination", into, ...FETCHING];
    const packed = spawnSync("npm", pack, { encoding: "utf8", cwd: into });
    if (packed.status !== 0) {
      assert.ok(!needed, packed.stderr);
      console.error(`*** SKIPPED: ${name} is not in npm's cache, and no registry has it: ${packed.stderr.split("\n", 1)[0]}`);
      t.skip("not to be had");
      return undefined;
    }
    execFileSync("tar", ["-xzf", join(into, packed.stdout.trim().split("\n").at(-1)), "-C", into]);
    unpacked.set(name, into);
    return into;
  }

  for (const [name, documents] of Object.entries(PACKAGES)) {
    test(name, async (t) => {
      const into = await unpack(name, t);
      if (into === undefined) return;
      for (const [path, { refused, operations, mended }] of Object.entries(documents)) {
        const file = join(into, "package", path);
        await t.test(path, async () => read(name, path, await readFile(file), refused ?? operations));
        if (mended !== undefined) {
          await t.test(`${path}, mended`, async () => read(`${name}, mended:`, path, mend(await readFile(file, "utf8")), mended));
        }
      }
    });
  }

  // A tree with one API, whose document this is.
  async function tree(api, kind, content) {
    const policies = join(mkdtempSync(join(folder, "tree-")), "policies");
    await mkdir(join(policies, "apis"), { recursive: true });
    writeFileSync(join(policies, "gateway.yaml"), "gateway: real\nenvironments:\n  dev: {}\n");
    if (content === undefined) return policies;
    await mkdir(join(policies, "apis", api));
    writeFileSync(join(policies, "apis", api, "api.yaml"),
      `api: ${api}\ntitle: Somebody's\nowner: team\npath: /${api}\nversions:\n  v1: { openapi: v1.${kind}, state: active, upstream: https://api.example.com }\n`);
    writeFileSync(join(policies, "apis", api, `v1.${kind}`), content);
    return policies;
  }

  test("versions of a document are compared, and every operation that came or went is named", async (t) => {
    const into = await unpack(GITHUB.name, t);
    if (into === undefined) return;
    const [was, is] = await Promise.all(GITHUB.versions.map((path) => readFile(join(into, "package", path), "utf8")));
    const [old, now] = [mend(was), mend(is)];
    const changes = await compare(`${GITHUB.versions.join(" → ")}`, old, now);
    const [before, after] = [operations(JSON.parse(old)), operations(JSON.parse(now))];
    const without = (some, others) => some.filter(({ id, shape }) => !others.some((other) => other.id === id || other.shape === shape));
    const named = (pattern) => changes.map(({ change }) => pattern.exec(change)?.[1]).filter(Boolean).sort();
    assert.deepEqual(named(/^the operation (.*) is gone$/), without(before, after).map(({ id }) => id).sort());
    assert.deepEqual(named(/^the operation (.*) is new$/), without(after, before).map(({ id }) => id).sort());
    assert.ok(changes.every(({ change }) => !change.includes("not told")), "all was compared");
  });

  test("what was changed in a large document is named, and nothing else", async (t) => {
    const into = await unpack(GITHUB.name, t);
    if (into === undefined) return;
    const text = mend(await readFile(join(into, "package", GITHUB.document), "utf8"));

    // Spread over the whole of it, the last operations too.
    const document = JSON.parse(text);
    const all = operations(document);
    const expected = [];
    const every = Math.floor(all.length / 40);
    for (const [at, { id, operation }] of all.toReversed().filter((_, index) => index % every === 0).entries()) {
      const success = Object.keys(operation.responses).find((status) => status.startsWith("2"));
      if (at % 2 === 0 || success === undefined) {
        operation.parameters = [...(operation.parameters ?? []), { in: "query", name: "sudden", required: true, schema: { type: "string" } }];
        expected.push(`${id}: the query parameter \`sudden\` is new and required`);
      } else {
        delete operation.responses[success];
        expected.push(`${id}: the answer ${success} is gone`);
      }
    }
    const found = await compare(`${GITHUB.document}, ${expected.length} operations changed`, text, JSON.stringify(document, null, 2));
    const told = found.filter(({ rule }) => rule === null);
    // A parameter that the document now has is passed on, which is a change of the gateway's.
    const ofCallers = told.filter(({ change }) => !change.includes("passing on the query parameter"));
    assert.deepEqual(ofCallers.map(({ change }) => change).sort(), expected.sort());
    assert.ok(ofCallers.every((change) => change.class === "breaking"));

    // One member of one schema, which many operations refer to.
    const shared = JSON.parse(text);
    delete shared.components.schemas[GITHUB.schema].properties[GITHUB.member];
    const reached = operations(shared).filter(({ operation }) => reaches(shared, operation.responses, GITHUB.schema));
    assert.ok(reached.length > 100, `${reached.length}`);
    const gone = await compare(`${GITHUB.document}, a member of a schema gone`, text, JSON.stringify(shared, null, 2));
    const callers = gone.filter(({ rule }) => rule === null);
    // Nobody else is named; who is not, stands where the comparison said that its budget was spent.
    const [members, limits] = [callers.filter(({ change }) => !change.endsWith("is not told")), callers.filter(({ change }) => change.endsWith("is not told"))];
    const named = new Set(members.map(({ change }) => change.split(": ", 1)[0]));
    const ids = reached.map(({ id }) => id);
    assert.deepEqual([...named].filter((id) => !ids.includes(id)), []);
    assert.ok(named.size === ids.length || (limits.length === 1 && named.size > 100), `${named.size} of ${ids.length} are named`);
    assert.ok(callers.every((change) => change.class === "breaking" || change.class === "risky"));
  });

  test("a large document is published by a command, or refused as a whole", async (t) => {
    const into = await unpack(GITHUB.name, t);
    if (into === undefined) return;
    const file = join(into, "package", GITHUB.document);
    const policies = await tree("github");
    const publish = (from) => turnpike(["new", "api", "github", "--from", from, "--owner", "team", "--version", "v1",
      "--upstream", "https://api.example.com", "--policies", policies]);
    const refused = publish(file);
    assert.equal(refused.status, 1, refused.stderr);
    assert.doesNotMatch(refused.stderr, /panicked/);
    assert.match(refused.stdout + refused.stderr, /error\[P0605\]: [^\n]*\n +--> \S*api\.github\.com\.json:\d+:\d+/);
    assert.deepEqual(await readdir(join(policies, "apis")), []);
    const mended = join(into, "mended.json");
    await writeFile(mended, mend(await readFile(file, "utf8")));
    const published = publish(mended);
    assert.equal(published.status, 0, published.stderr);
    for (const { ms } of [refused, published]) assert.ok(ms < 10_000, `it took ${ms} ms`);
    assert.equal(routes(policies, "github").length, PACKAGES[GITHUB.name][GITHUB.document].mended);
    others.push(`new api --from ${GITHUB.document}: ${seconds(published.ms)}; refused unmended: ${seconds(refused.ms)}`);
  });

  async function compare(what, old, now) {
    const [before, after] = [await tree("github", "json", old), await tree("github", "json", now)];
    const compared = turnpike(["diff", before, after, "--env", "dev", "--format", "json"]);
    assert.ok(compared.ms < 10_000, `it took ${compared.ms} ms`);
    assert.doesNotMatch(compared.stderr, /panicked/);
    assert.ok(compared.status === 0 || compared.status === 1, compared.stderr);
    const { changes } = JSON.parse(compared.stdout);
    others.push(`diff of ${what}: ${changes.length} changes in ${seconds(compared.ms)}`);
    return changes;
  }

  function routes(policies, api) {
    const shown = turnpike(["show", "routes", "--policies", policies, "--env", "dev", "--format", "json"]);
    assert.equal(shown.status, 0, shown.stderr);
    return JSON.parse(shown.stdout).filter((route) => JSON.stringify(route).includes(`/${api}/v1`));
  }

  // Takes out what looks like a token, and the paths with a parameter that is not a whole segment.
  function mend(text) {
    const whole = (path) => path.split("/").every((part) => /^(\{[^{}]+\}|[^{}]*)$/.test(part));
    const document = JSON.parse(text, (_, value) =>
      typeof value === "string" && /\bgh[a-z]_\w{16}|github_pat_|\beyJ|glpat-|-----BEGIN|AKIA/.test(value) ? "example" : value);
    for (const path of Object.keys(document.paths)) if (!whole(path)) delete document.paths[path];
    return JSON.stringify(document, null, 2);
  }

  // Every operation, with what its requests look like.
  function operations(document) {
    const methods = ["get", "put", "post", "delete", "options", "head", "patch", "trace"];
    return Object.entries(document.paths).flatMap(([path, item]) =>
      methods.filter((method) => item[method]).map((method) => ({
        id: item[method].operationId, shape: `${method} ${path.replace(/\{[^}]*\}/g, "{}")}`, operation: item[method],
      })));
  }

  // Whether references lead from a part of a document to a schema.
  function reaches(document, part, name, seen = new Set()) {
    if (typeof part !== "object" || part === null) return false;
    if (typeof part.$ref === "string") {
      if (part.$ref === `#/components/schemas/${name}`) return true;
      if (seen.has(part.$ref)) return false;
      seen.add(part.$ref);
      const target = part.$ref.slice(2).split("/").reduce((at, key) => at?.[key.replaceAll("~1", "/").replaceAll("~0", "~")], document);
      return reaches(document, target, name, seen);
    }
    // Examples are no schemas.
    return Object.entries(part).some(([key, value]) => !["example", "examples"].includes(key) && reaches(document, value, name, seen));
  }

  async function read(name, path, content, expected) {
    const api = basename(path).replace(/\.(json|yaml)$/, "").toLowerCase().replace(/[^a-z0-9]+/g, "-");
    const policies = await tree(api, path.split(".").at(-1), content);
    const checked = turnpike(["check", "--policies", policies, "--format", "json"]);
    assert.ok(checked.ms < 10_000, `it took ${checked.ms} ms`);
    assert.doesNotMatch(checked.stderr, /panicked/);
    assert.ok(checked.status === 0 || checked.status === 1, checked.stderr);
    const { findings, errors, warnings } = JSON.parse(checked.stdout);
    const row = [`${name.replace(/@[\d.]+(?=,|$)/, "")} ${path}`, (content.length / 1e6).toFixed(1)];
    const time = seconds(checked.ms);
    if (typeof expected === "string") {
      const told = findings.filter(({ severity }) => severity === "error");
      assert.equal(told.length, errors);
      for (const { file: at, line, column, message } of told) {
        assert.ok(at.includes("policies") && line > 0 && column > 0 && message !== "", message);
      }
      assert.equal([...new Set(told.map(({ code }) => code))].sort().join(", "), expected);
      const { line, message } = told[0];
      rows.push([...row, "refused", `${errors} of ${expected}`, time, `line ${line}: ${message.slice(0, 120)}`]);
      return;
    }
    assert.equal(errors, 0, JSON.stringify(findings.filter(({ severity }) => severity === "error").slice(0, 5), null, 1));
    const published = routes(policies, api);
    assert.equal(published.length, expected);
    rows.push([...row, published.length, `${warnings} warnings`, time, ""]);
  }
});
