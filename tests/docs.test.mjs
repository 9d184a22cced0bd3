// What is written leads where it says: every link of the documents of this repository to a file of it, to one of
// its headings, or to a decision by its number.

import assert from "node:assert/strict";
import { existsSync } from "node:fs";
import { readFile, readdir } from "node:fs/promises";
import { dirname, join, relative } from "node:path";
import { test } from "node:test";
import { ROOT } from "./harness/gateway.mjs";

async function documents() {
  const docs = (await readdir(join(ROOT, "docs"), { recursive: true })).map((name) => join("docs", name));
  const others = ["README.md", "CONTRIBUTING.md", "CHANGELOG.md", "bench/README.md", "tests/README.md"];
  return [...others, ...docs].filter((name) => name.endsWith(".md"));
}

// What stands in blocks of code is no text, and no heading.
const proseOf = async (path) => (await readFile(path, "utf8")).replace(/^```[\s\S]*?^```/gm, "");

// As GitHub names a heading's anchor.
const anchor = (heading) => heading.trim().toLowerCase().replace(/[^\p{L}\p{N}_\- ]/gu, "").replaceAll(" ", "-");

test("every link leads somewhere, and the number in its text is that of the decision", async () => {
  const wrong = [];
  let links = 0;
  for (const name of await documents()) {
    const prose = await proseOf(join(ROOT, name));
    for (const [whole, text, target] of prose.matchAll(/\[([^\]]+)\]\(([^)\s]+)\)/g)) {
      if (/^[a-z]+:/.test(target)) continue;
      links += 1;
      const [path, part] = target.split("#");
      const file = path === "" ? join(ROOT, name) : join(ROOT, dirname(name), path);
      const number = /\bdecision (\d+)$|\b(0\d{3})$/.exec(text)?.slice(1).find(Boolean);
      if (!existsSync(file)) wrong.push(`${name}: ${whole}: there is no such file`);
      else if (part !== undefined && file.endsWith(".md")) {
        const headings = [...(await proseOf(file)).matchAll(/^#+ (.*)$/gm)].map(([, heading]) => anchor(heading));
        if (!headings.includes(part)) wrong.push(`${name}: ${whole}: ${relative(ROOT, file)} has no such heading`);
      }
      if (number !== undefined && !target.includes(number.padStart(4, "0"))) wrong.push(`${name}: ${whole}: another decision`);
    }
  }
  assert.deepEqual(wrong, []);
  assert.ok(links > 100, `${links} links: are they still read?`);
});

test("decisions have numbers without a gap, and each says its own", async () => {
  const files = (await readdir(join(ROOT, "docs/decisions"))).sort();
  for (const [index, file] of files.entries()) {
    const number = index + 1;
    assert.equal(file.slice(0, 5), `${String(number).padStart(4, "0")}-`, `docs/decisions/${file}`);
    const [first] = (await readFile(join(ROOT, "docs/decisions", file), "utf8")).split("\n");
    assert.equal(Number(/^# (\d+)/.exec(first)?.[1]), number, `docs/decisions/${file} begins with "${first}"`);
  }
});

test("nobody is sent to npx, which takes the system's Node, nor told to install in the clone what is there", async () => {
  for (const name of [...await documents(), "policies/models/fast.yaml", "wrangler.toml"]) {
    const text = await readFile(join(ROOT, name), "utf8");
    assert.doesNotMatch(text, /\bnpx /, name);
    const blocks = [...text.matchAll(/^```(?:console|sh)\n([\s\S]*?)^```/gm)].map(([, block]) => block);
    for (const block of blocks) assert.doesNotMatch(block, /\bnpm (?:install|i|ci|add)\b/, name);
  }
});

test("tests/README.md has a line for every end-to-end test, and for none that is gone", async () => {
  const rows = (await readFile(join(ROOT, "tests/README.md"), "utf8")).split("\n").filter((line) => line.startsWith("| `"));
  const told = rows.flatMap((row) => [...row.split("|")[1].matchAll(/`([^`]+)`/g)].map(([, name]) => name));
  const files = (await readdir(join(ROOT, "tests"))).filter((name) => name.endsWith(".test.mjs")).map((name) => name.slice(0, -9));
  const means = (name) => (name.endsWith("*") ? (file) => file.startsWith(name.slice(0, -1)) : (file) => file === name);
  assert.deepEqual(files.filter((file) => !told.some((name) => means(name)(file))), [], "not told");
  assert.deepEqual(told.filter((name) => !files.some(means(name))), [], "gone");
});
