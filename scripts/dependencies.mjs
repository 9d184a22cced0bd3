// Holds what deny.toml says of dependencies, with nothing but cargo: node scripts/dependencies.mjs
//
// deny.toml is cargo-deny's, which few machines have and which takes minutes to build. Its rules about licences,
// bans and sources need no more than `cargo metadata` tells, so they are held here, on every machine; advisories
// need a database that others keep, and are cargo-deny's (`make lint` runs it where it is installed).
// A rule in deny.toml that is not known here is refused, not passed over.
//
// The tools that build the Worker (scripts/tools) are held to bans and sources: nothing of them is deployed.
import { execFileSync } from "node:child_process";
import { readFileSync } from "node:fs";
import { dirname, join } from "node:path";
import { fileURLToPath } from "node:url";

const CRATES_IO = "registry+https://github.com/rust-lang/crates.io-index";

/**
 * The rules of a deny.toml. Throws an error that names the line, or the rule, that cannot be held.
 * @param {string} text
 * @returns {{ denied: Map<string, string>, licences: Set<string> }} names that are banned with their reasons; SPDX ids
 */
export function readRules(text) {
  const found = readToml(text);
  const expected = {
    "graph.all-features": (value) => value === true,
    "bans.multiple-versions": (value) => value === "warn",
    "bans.wildcards": (value) => value === "deny",
    "bans.allow-wildcard-paths": (value) => value === true,
    "bans.deny": (value) => value.every(({ name, reason, ...more }) => name && reason && Object.keys(more).length === 0),
    "licenses.allow": (value) => value.length > 0,
    "licenses.private": ({ ignore, ...more }) => ignore === true && Object.keys(more).length === 0,
    "sources.unknown-registry": (value) => value === "deny",
    "sources.unknown-git": (value) => value === "deny",
  };
  for (const [key, value] of found) {
    if (!(key in expected) || !expected[key](value)) {
      throw new Error(`deny.toml: ${key} = ${JSON.stringify(value)} is no rule that scripts/dependencies.mjs holds: teach it, or take it out`);
    }
  }
  const missing = Object.keys(expected).filter((key) => !found.has(key));
  if (missing.length > 0) throw new Error(`deny.toml says nothing of ${missing.join(", ")}`);
  return {
    denied: new Map(found.get("bans.deny").map(({ name, reason }) => [name, reason])),
    licences: new Set(found.get("licenses.allow")),
  };
}

// As much of TOML as deny.toml is written in: tables, strings, booleans, lists, inline tables.
function readToml(text) {
  const found = new Map();
  let rest = text;
  let table = "";
  const fail = () => {
    const line = text.slice(0, text.length - rest.length).split("\n").length;
    throw new Error(`deny.toml:${line}: this is no TOML that scripts/dependencies.mjs reads: ${rest.split("\n")[0]}`);
  };
  const take = (pattern) => {
    rest = rest.replace(/^(?:\s|#[^\n]*)+/, "");
    const match = pattern.exec(rest);
    if (match !== null) rest = rest.slice(match[0].length);
    return match;
  };
  const items = (end, item) => {
    const list = [];
    while (take(end) === null) {
      list.push(item());
      if (take(/^,/) === null) return take(end) === null ? fail() : list;
    }
    return list;
  };
  const pair = () => {
    const key = take(/^([\w-]+)\s*=/) ?? fail();
    return [key[1], value()];
  };
  const value = () => {
    const plain = take(/^(?:"([^"\\\n]*)"|(true|false)\b)/);
    if (plain !== null) return plain[1] ?? plain[2] === "true";
    if (take(/^\[/) !== null) return items(/^\]/, value);
    if (take(/^\{/) !== null) return Object.fromEntries(items(/^\}/, pair));
    return fail();
  };
  while (take(/^$/) === null) {
    const header = take(/^\[([\w-]+)\]/);
    if (header !== null) table = header[1];
    else {
      const [key, what] = pair();
      found.set(`${table}.${key}`, what);
    }
  }
  return found;
}

/**
 * Whether an SPDX expression can be met with licences of a set. `WITH` names a licence of its own, and `/` is how
 * older packages write `OR`. Nothing that cannot be read is met.
 */
export function isMet(expression, licences) {
  const words = expression.replaceAll("/", " OR ").match(/[()]|[\w.+-]+/g) ?? [];
  const some = () => {
    let met = every();
    while (words[0] === "OR") {
      words.shift();
      met = every() || met;
    }
    return met;
  };
  const every = () => {
    let met = one();
    while (words[0] === "AND") {
      words.shift();
      met = one() && met;
    }
    return met;
  };
  let readable = true;
  const one = () => {
    let word = words.shift();
    if (word === undefined) readable = false;
    if (word === "(") {
      const met = some();
      return words.shift() === ")" && met;
    }
    if (words[0] === "WITH") word = `${word} ${words.shift()} ${words.shift()}`;
    return licences.has(word);
  };
  const met = some();
  return met && readable && words.length === 0;
}

/**
 * What a graph of packages has against the rules.
 * @param {object} metadata as `cargo metadata --format-version 1` prints it
 * @param {{ denied: Map<string, string>, licences?: Set<string> }} rules without `licences`, any will do
 * @returns {string[]} one line for each fault
 */
export function faults({ packages }, { denied, licences }) {
  const told = [];
  for (const { name, version, source, license, license_file, publish, dependencies } of packages) {
    const fault = (what) => told.push(`${name} ${version}: ${what}`);
    if (denied.has(name)) fault(`is banned: ${denied.get(name)}`);
    if (source !== null && source !== CRATES_IO) fault(`comes from ${source}, and may from crates.io only`);
    const own = source === null && publish?.length === 0;
    if (licences !== undefined && !own && !isMet(license ?? "", licences)) {
      fault(license ? `its licence, ${license}, is not among those allowed` : `names no licence${license_file ? ` but in ${license_file}` : ""}`);
    }
    for (const { name: of, req, path } of dependencies) {
      if (req === "*" && !path) fault(`takes any version of ${of}: name one`);
    }
  }
  return told;
}

/** The names of which there are several versions, with them. */
export function severalVersions({ packages }) {
  const versions = Map.groupBy(packages, ({ name }) => name);
  return [...versions].filter(([, all]) => all.length > 1).map(([name, all]) => `${name} ${all.map(({ version }) => version).join(" and ")}`);
}

function main() {
  const root = join(dirname(fileURLToPath(import.meta.url)), "..");
  const rules = readRules(readFileSync(join(root, "deny.toml"), "utf8"));
  const graph = (manifest) => JSON.parse(execFileSync(
    "cargo",
    ["metadata", "--locked", "--all-features", "--format-version", "1", "--manifest-path", join(root, manifest)],
    { maxBuffer: 1 << 28, stdio: ["ignore", "pipe", "inherit"] },
  ));
  const deployed = graph("Cargo.toml");
  const tools = graph("scripts/tools/Cargo.toml");
  const told = [...faults(deployed, rules), ...faults(tools, { denied: rules.denied })];
  for (const line of told) console.error(line);
  if (told.length > 0) {
    console.error(`deny.toml says what may enter the build (scripts/dependencies.mjs); \`cargo tree -i NAME\` tells who wants it.`);
    process.exit(1);
  }
  console.log(`dependencies: ${deployed.packages.length} packages, and ${tools.packages.length} of the tools, are as deny.toml wants them`);
  console.log(`  in several versions: ${severalVersions(deployed).join(", ") || "none"}`);
}

if (process.argv[1] === fileURLToPath(import.meta.url)) main();
