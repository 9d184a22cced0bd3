// What `make lint` holds of dependencies (scripts/dependencies.mjs): each rule of deny.toml against a graph that
// breaks it, and a rule that it does not know.

import assert from "node:assert/strict";
import { readFile } from "node:fs/promises";
import { join } from "node:path";
import { describe, test } from "node:test";
import { faults, isMet, readRules, severalVersions } from "../scripts/dependencies.mjs";
import { ROOT } from "./harness/gateway.mjs";

const text = await readFile(join(ROOT, "deny.toml"), "utf8");
const rules = readRules(text);
const CRATES_IO = "registry+https://github.com/rust-lang/crates.io-index";
const good = { name: "good", version: "1.2.3", source: CRATES_IO, license: "MIT OR Apache-2.0", publish: null, dependencies: [] };
const of = (...packages) => ({ packages: packages.map((more) => ({ ...good, ...more })) });

test("a graph that breaks no rule", () => {
  assert.deepEqual(faults(of({}, { source: null, license: null, publish: [] }), rules), []);
});

for (const [name, broken, says] of [
  ["a licence that is not allowed", { license: "GPL-3.0-only" }, /its licence, GPL-3\.0-only, is not among those allowed/],
  ["no licence", { license: null }, /names no licence$/],
  ["a licence in a file only", { license: null, license_file: "COPYING" }, /names no licence but in COPYING/],
  ["a package of ours that is published without a licence", { source: null, license: null }, /names no licence/],
  ["a banned package", { name: "ring" }, /^ring 1\.2\.3: is banned: does not build for Wasm/],
  ["a package from a repository", { source: "git+https://git.example/good#0123" }, /comes from git\+https:/],
  ["another registry", { source: "registry+https://registry.example/index" }, /comes from registry\+https:\/\/registry/],
  ["any version of a dependency", { dependencies: [{ name: "other", req: "*" }] }, /takes any version of other: name one/],
]) {
  test(`${name} is told, and nothing else`, () => {
    const told = faults(of({}, broken), rules);
    assert.equal(told.length, 1, told.join("\n"));
    assert.match(told[0], says);
  });
}

test("any version of a package beside it is its own", () => {
  assert.deepEqual(faults(of({ dependencies: [{ name: "other", req: "*", path: "/other" }] }), rules), []);
});

test("the licences of the tools are their own, their sources are not", () => {
  const { denied } = rules;
  assert.deepEqual(faults(of({ license: "Zlib" }), { denied }), []);
  assert.equal(faults(of({ source: "git+https://git.example/good#0123" }), { denied }).length, 1);
});

describe("expressions of licences", () => {
  const licences = new Set(["MIT", "Apache-2.0", "BSD-3-Clause"]);
  for (const [expression, met] of [
    ["MIT", true],
    ["GPL-3.0-only", false],
    ["GPL-3.0-only OR MIT", true],
    ["GPL-3.0-only/MIT", true],
    ["MIT AND GPL-3.0-only", false],
    ["(MIT OR GPL-3.0-only) AND BSD-3-Clause", true],
    ["(MIT OR Apache-2.0) AND Unicode-3.0", false],
    // AND binds tighter than OR.
    ["MIT OR Apache-2.0 AND GPL-3.0-only", true],
    ["GPL-3.0-only AND MIT OR GPL-2.0-only", false],
    ["Apache-2.0 WITH LLVM-exception", false],
    ["Apache-2.0 WITH LLVM-exception OR MIT", true],
    // Nothing that cannot be read is met.
    ["", false],
    ["(MIT", false],
    ["MIT)", false],
    ["MIT MIT", false],
    ["MIT OR", false],
    ["MIT AND", false],
  ]) test(`${expression || "none"}: ${met}`, () => assert.equal(isMet(expression, licences), met));
});

describe("a deny.toml that cannot be held is refused", () => {
  for (const [name, from, to, says] of [
    ["a rule that is not known", "[bans]", '[bans]\nhighlight = "all"', /bans\.highlight = "all" is no rule that scripts\/dependencies\.mjs holds/],
    ["a value that is not known", 'wildcards = "deny"', 'wildcards = "warn"', /bans\.wildcards = "warn" is no rule/],
    ["a ban that is narrower", '{ name = "ring",', '{ name = "ring", version = "1",', /bans\.deny = .* is no rule/],
    ["a rule that is missing", 'unknown-git = "deny"', "", /says nothing of sources\.unknown-git/],
    ["what is no TOML", "[sources]", "[sources", /^Error: deny\.toml:\d+: this is no TOML .*: \[sources$/],
  ]) {
    test(name, () => {
      assert.ok(text.includes(from));
      assert.throws(() => readRules(text.replace(from, to)), says);
    });
  }
});

test("the rules are those that are written there", () => {
  assert.deepEqual([...rules.denied.keys()], ["openssl-sys", "ring"]);
  assert.deepEqual([...rules.licences], ["Apache-2.0", "BSD-3-Clause", "MIT", "Unicode-3.0"]);
});

test("several versions of one package are told", () => {
  assert.deepEqual(severalVersions(of({}, { version: "2.0.0" }, { name: "other" })), ["good 1.2.3 and 2.0.0"]);
});
