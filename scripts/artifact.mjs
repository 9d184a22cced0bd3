// Writes what can be deployed into a folder and a tarball: node scripts/artifact.mjs
//
// They are named by environment, hash of the policies and commit. Everything is in them: deploying one needs
// wrangler and an account, and neither Rust nor this repository at the commit it came from:
//
//   cd turnpike-production-<hash>-<commit> && wrangler deploy --no-bundle --env production
//
// So a rollback deploys an older one. `policy.bundle` is for `turnpike diff`, `manifest.json` for people
// and pipelines: what was built, and the SHA-256 of each file. wrangler uploads neither. The same commit makes
// the same tarball, byte for byte, with the same tools.
//
// TURNPIKE_ENV names the environment (default: dev), ARTIFACTS the folder to write into (default:
// build/artifacts), TURNPIKE_BUILD how it is built (see scripts/build).
import { execFileSync } from "node:child_process";
import { createHash } from "node:crypto";
import { chmodSync, cpSync, mkdirSync, mkdtempSync, readFileSync, readdirSync, renameSync, rmSync, writeFileSync } from "node:fs";
import { dirname, join, resolve } from "node:path";

const environment = process.env.TURNPIKE_ENV || "dev";
const build = resolve(process.env.BUILD_DIR || "build");
const artifacts = resolve(process.env.ARTIFACTS || join(build, "artifacts"));
// wrangler's word for its top level, which is this project's `dev`.
const section = environment === "dev" ? "" : environment;

function run(command, args, env = {}) {
  execFileSync(command, args, { env: { ...process.env, ...env }, stdio: ["ignore", "inherit", "inherit"] });
}

// The configuration without what builds: all that is in the folder was built.
function configuration() {
  const kept = [];
  let inBuild = false;
  for (const line of readFileSync("wrangler.toml", "utf8").split("\n")) {
    if (/^\[/.test(line)) inBuild = line === "[build]";
    if (inBuild || /^build\./.test(line)) continue;
    kept.push(/^main = /.test(line) ? 'main = "entry.js"\nno_bundle = true' : line);
  }
  const text = `# Made by scripts/artifact.mjs from wrangler.toml.\n${kept.join("\n")}`;
  if (!/^main = "entry.js"$/m.test(text) || /^[^#]*scripts\/build/m.test(text)) {
    throw new Error("wrangler.toml is not written as scripts/artifact.mjs knows it");
  }
  return text;
}

run("scripts/build", ["--env", environment]);
mkdirSync(artifacts, { recursive: true });
const stage = mkdtempSync(join(artifacts, ".stage-"));
try {
  run("wrangler", ["deploy", "--dry-run", "--env", section, "--outdir", stage], { TURNPIKE_BUILD: "done" });
  for (const name of readdirSync(stage)) if (!/\.(js|wasm)$/.test(name)) rmSync(join(stage, name), { recursive: true });
  writeFileSync(join(stage, "wrangler.toml"), configuration());
  // Not called `.bin`: wrangler would upload it.
  cpSync(join(build, "policy.bin"), join(stage, "policy.bundle"));
  chmodSync(stage, 0o755);
  const facts = JSON.parse(readFileSync(join(build, "facts.json"), "utf8"));
  if (facts.environment !== environment) throw new Error(`build/ holds ${facts.environment}, not ${environment}`);
  const hash = (name) => createHash("sha256").update(readFileSync(join(stage, name))).digest("hex");
  const files = Object.fromEntries(readdirSync(stage).sort().map((name) => [name, hash(name)]));
  writeFileSync(join(stage, "manifest.json"), `${JSON.stringify({ ...facts, files }, null, 2)}\n`);
  const dirty = facts.dirty ? "-dirty" : "";
  const name = `turnpike-${environment}-${facts.bundle.slice(0, 12)}-${facts.commit.slice(0, 12)}${dirty}`;
  const folder = join(artifacts, name);
  rmSync(folder, { recursive: true, force: true });
  renameSync(stage, folder);
  // Nothing in it is of this day or this person.
  const date = facts.built === "unknown" ? "@0" : facts.built;
  const same = ["--sort=name", `--mtime=${date}`, "--owner=0", "--group=0", "--numeric-owner", "--mode=u+rwX,go=rX"];
  run("tar", [...same, "-cf", `${folder}.tar`, "-C", dirname(folder), name]);
  run("gzip", ["--no-name", "--force", `${folder}.tar`]);
  console.log(`${folder}\n${folder}.tar.gz`);
} catch (error) {
  rmSync(stage, { recursive: true, force: true });
  throw error;
}
