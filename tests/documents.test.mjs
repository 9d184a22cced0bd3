// Documents that others wrote: large ones, from packages of the npm registry. Each becomes routes, or is
// refused with a reason and a place; nothing panics, and nothing takes ten seconds.
//
// They are not part of this repository: npm fetches them, once, into its cache. Where it cannot, `make test` says so
// aloud and goes on; `make real-documents` (FETCH=1) fails then. Both print the table.

import assert from "node:assert/strict";
import { execFileSync, spawnSync } from "node:child_process";
import { mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { mkdir, readFile } from "node:fs/promises";
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
  const rows = [];
  before(() => { folder = mkdtempSync(join(tmpdir(), "turnpike-documents-")); });
  after(() => {
    rmSync(folder, { recursive: true, force: true });
    if (rows.length === 0) return;
    console.log("| document | MB | operations | findings | check | |\n|---|---|---|---|---|---|");
    for (const row of rows) console.log(`| ${row.join(" | ")} |`);
  });

  for (const [name, documents] of Object.entries(PACKAGES)) {
    test(name, async (t) => {
      const into = join(folder, name.replace(/\W+/g, "-"));
      await mkdir(into);
      const pack = ["pack", name, "--pack-destination", into, ...FETCHING];
      const packed = spawnSync("npm", pack, { encoding: "utf8", cwd: into });
      if (packed.status !== 0) {
        assert.ok(!needed, packed.stderr);
        console.error(`*** SKIPPED: ${name} is not in npm's cache, and no registry has it: ${packed.stderr.split("\n", 1)[0]}`);
        t.skip("not to be had");
        return;
      }
      execFileSync("tar", ["-xzf", join(into, packed.stdout.trim().split("\n").at(-1)), "-C", into]);
      for (const [path, { refused, operations, mended }] of Object.entries(documents)) {
        const file = join(into, "package", path);
        await t.test(path, async () => read(name, path, await readFile(file), refused ?? operations));
        if (mended !== undefined) {
          await t.test(`${path}, mended`, async () => read(`${name}, mended:`, path, mend(await readFile(file, "utf8")), mended));
        }
      }
    });
  }

  // Takes out what looks like a token, and the paths with a parameter that is not a whole segment.
  function mend(text) {
    const whole = (path) => path.split("/").every((part) => /^(\{[^{}]+\}|[^{}]*)$/.test(part));
    const document = JSON.parse(text, (_, value) =>
      typeof value === "string" && /\bgh[a-z]_\w{16}|github_pat_|\beyJ|glpat-|-----BEGIN|AKIA/.test(value) ? "example" : value);
    for (const path of Object.keys(document.paths)) if (!whole(path)) delete document.paths[path];
    return JSON.stringify(document, null, 2);
  }

  async function read(name, path, content, expected) {
    const api = basename(path).replace(/\.(json|yaml)$/, "").toLowerCase().replace(/[^a-z0-9]+/g, "-");
    const tree = mkdtempSync(join(folder, "tree-"));
    const policies = join(tree, "policies");
    await mkdir(join(policies, "apis", api), { recursive: true });
    const kind = path.split(".").at(-1);
    writeFileSync(join(policies, "gateway.yaml"), "gateway: real\nenvironments:\n  dev: {}\n");
    writeFileSync(join(policies, "apis", api, "api.yaml"),
      `api: ${api}\ntitle: Somebody's\nowner: team\npath: /${api}\nversions:\n  v1: { openapi: v1.${kind}, state: active, upstream: https://api.example.com }\n`);
    writeFileSync(join(policies, "apis", api, `v1.${kind}`), content);
    const checked = turnpike(["check", "--policies", policies, "--format", "json"]);
    assert.ok(checked.ms < 10_000, `it took ${checked.ms} ms`);
    assert.doesNotMatch(checked.stderr, /panicked/);
    assert.ok(checked.status === 0 || checked.status === 1, checked.stderr);
    const { findings, errors, warnings } = JSON.parse(checked.stdout);
    const row = [`${name.replace(/@[\d.]+(?=,|$)/, "")} ${path}`, (content.length / 1e6).toFixed(1)];
    const time = `${(checked.ms / 1000).toFixed(2)} s`;
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
    const routes = turnpike(["show", "routes", "--policies", policies, "--env", "dev", "--format", "json"]);
    assert.equal(routes.status, 0, routes.stderr);
    const published = JSON.parse(routes.stdout).filter((route) => JSON.stringify(route).includes(`/${api}/v1`));
    assert.equal(published.length, expected);
    rows.push([...row, published.length, `${warnings} warnings`, time, ""]);
  }
});
