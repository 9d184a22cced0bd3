// Documents that others wrote, and configurations that another gateway's own tool writes of them: imported, each becomes a
// tree that passes `check`, or is refused with a reason; nothing panics, and nothing takes ten seconds.
//
// Neither is part of this repository: npm fetches both, once, into its cache. Where it cannot, `make test` says so aloud
// and goes on; `make real-documents` (FETCH=1) fails then. Both print the table.

import assert from "node:assert/strict";
import { spawnSync } from "node:child_process";
import { existsSync, mkdtempSync, readFileSync, readdirSync, rmSync, writeFileSync } from "node:fs";
import { createRequire } from "node:module";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { after, before, describe, test } from "node:test";
import { ROOT } from "./harness/gateway.mjs";

const PACKAGES = ["openapi-2-kong@3.6.0", "@readme/oas-examples@8.2.2"];
// What is read, how many routes Kong has for it, and how many operations come of them.
const DOCUMENTS = {
  "star-trek": { routes: 120, operations: 120 },
  petstore: { routes: 20, operations: 20 },
  "complex-nesting": { routes: 5, operations: 5 },
};
// Documents that are imported themselves: so many operations come of each, so many of which had no id, or it is refused
// with this code.
const THEMSELVES = {
  "3.1/json/readme.json": { operations: 54, given: 0 },
  "3.1/yaml/train-travel.yaml": { operations: 7, given: 0 },
  "3.0/json/complex-nesting.json": { operations: 5, given: 5 },
  "3.0/yaml/complex-nesting.yaml": { operations: 5, given: 5 },
  // A parameter of nearly all of its operations is a credential in the URL.
  "3.0/json/star-trek.json": { refused: "P1202" },
};
// How many of all that the package has are imported; and why the others are not.
const ALL = { imported: 79, P0602: 2, P0603: 2, P0605: 6, P1202: 10, "names no server": 6 };
const TURNPIKE = join(process.env.CARGO_TARGET_DIR || join(ROOT, "target"), "release/turnpike");
const needed = process.env.FETCH === "1";

function turnpike(args) {
  const began = performance.now();
  const ran = spawnSync(TURNPIKE, args, { encoding: "utf8", maxBuffer: 1 << 30, env: { ...process.env, NO_COLOR: "1" } });
  assert.doesNotMatch(ran.stderr, /panicked/);
  return { ...ran, ms: performance.now() - began };
}

describe("what others wrote, imported", () => {
  let folder, missing;
  const rows = [];
  before(() => {
    folder = mkdtempSync(join(tmpdir(), "turnpike-imports-"));
    writeFileSync(join(folder, "package.json"), "{}");
    // A registry that does not answer is not waited for.
    const fetching = ["--prefer-offline", "--fetch-retries=1", "--fetch-timeout=60000", "--ignore-scripts", "--no-audit", "--no-fund"];
    const installed = spawnSync("npm", ["install", ...PACKAGES, ...fetching], { encoding: "utf8", cwd: folder });
    if (installed.status !== 0) missing = installed.stderr;
  });
  after(() => {
    rmSync(folder, { recursive: true, force: true });
    if (rows.length === 0) return;
    console.log("| document | from | operations | listed | import |\n|---|---|---|---|---|");
    for (const row of rows) console.log(`| ${row.join(" | ")} |`);
  });

  function there(t) {
    if (missing === undefined) return true;
    assert.ok(!needed, missing);
    console.error(`*** SKIPPED: ${PACKAGES.join(" and ")} are not in npm's cache, and no registry has them: ${missing.split("\n", 1)[0]}`);
    t.skip("not to be had");
    return false;
  }

  const document = (path) => join(folder, "node_modules/@readme/oas-examples", path);

  function imported(name, from, file, expected, given = 0) {
    const tree = join(folder, name.replace(/\W+/g, "-"));
    const ran = turnpike(["import", from, file, "--into", tree, "--owner", "team", "--format", "json"]);
    assert.ok(ran.ms < 10_000, `it took ${ran.ms} ms`);
    const time = `${(ran.ms / 1000).toFixed(2)} s`;
    if (typeof expected === "string") {
      assert.equal(ran.status, 1, ran.stderr);
      assert.deepEqual([...new Set(ran.stderr.match(/(?<=error\[)P\d{4}/g))], [expected]);
      assert.ok(!existsSync(tree));
      rows.push([name, from, `refused: ${expected}`, "", time]);
      return;
    }
    assert.equal(ran.status, 0, ran.stderr);
    const checked = turnpike(["check", "--policies", tree, "--format", "json"]);
    assert.equal(checked.status, 0, checked.stdout);
    const { ids, left } = JSON.parse(ran.stdout);
    assert.equal(ids.length, given);
    const published = turnpike(["show", "routes", "--policies", tree, "--env", "production", "--format", "json"]);
    assert.equal(JSON.parse(published.stdout).length, expected, JSON.stringify(left, null, 1));
    rows.push([name, from, expected, left.length, time]);
  }

  for (const [path, { operations, given, refused }] of Object.entries(THEMSELVES)) {
    test(path, (t) => there(t) && imported(path, "openapi", document(path), refused ?? operations, given));
  }

  test("all documents of the package", (t) => {
    if (!there(t)) return;
    const all = ["3.0/json", "3.0/yaml", "3.1/json", "3.1/yaml"].flatMap((part) =>
      readdirSync(document(part)).filter((name) => /\.(json|ya?ml)$/.test(name)).map((name) => `${part}/${name}`));
    const ended = {};
    for (const path of all) {
      const tree = join(folder, `all-${path.replace(/\W+/g, "-")}`);
      const ran = turnpike(["import", "openapi", document(path), "--into", tree, "--owner", "team"]);
      // What has no id gets one: at most those are refused that are no ids.
      assert.doesNotMatch(ran.stderr, /has no `operationId`/);
      let how = "imported";
      if (ran.status === 0) {
        assert.equal(turnpike(["check", "--policies", tree]).status, 0, path);
      } else {
        how = ran.stderr.match(/(?<=error\[)P\d{4}|names no server/)?.[0] ?? ran.stderr;
      }
      ended[how] = (ended[how] ?? 0) + 1;
    }
    assert.deepEqual(ended, ALL);
  });
  for (const [name, { routes, operations }] of Object.entries(DOCUMENTS)) {
    test(`${name}, by way of Kong`, async (t) => {
      if (!there(t)) return;
      const { generateFromString } = createRequire(join(folder, "package.json"))("openapi-2-kong");
      const text = readFileSync(document(`3.0/json/${name}.json`), "utf8");
      const { documents: [kong] } = await generateFromString(text, "kong-declarative-config", ["others"]);
      assert.equal(kong.services.flatMap((service) => service.routes).length, routes);
      const file = join(folder, `${name}.json`);
      writeFileSync(file, JSON.stringify(kong));
      imported(name, "kong", file, operations);
    });
  }
});
