// The set-up (scripts/bootstrap): what it says of a machine that lacks something, that it does nothing twice, that
// what was fetched is kept when it is interrupted, and that nothing is kept that is not what was asked for.
//
// The tools are stand-ins here (harness/machine.mjs), but npm and apt where it is about what they fetch. `make
// test-cold` does all of it for real.

import assert from "node:assert/strict";
import { execFile } from "node:child_process";
import { createHash } from "node:crypto";
import { existsSync } from "node:fs";
import { mkdir, readFile, readdir, readlink, symlink, utimes, writeFile } from "node:fs/promises";
import { join } from "node:path";
import { describe, test } from "node:test";
import { setTimeout as sleep } from "node:timers/promises";
import { promisify } from "node:util";
import { ROOT } from "./harness/gateway.mjs";
import { newMachine, serve } from "./harness/machine.mjs";
import { folder, hears, left, start, until } from "./harness/wrangler.mjs";

const run = promisify(execFile);
const KEPT = /interrupted\. What was fetched whole and what was compiled is kept: the same command goes on from there\n$/;

async function ends(process, code) {
  assert.equal(await process.closed, code, process.said);
  return process.said;
}

describe("what a machine lacks is told with its remedy, before anything is fetched", () => {
  const old = (version) => `case $1 in --version) echo 'rustc ${version} (0123abcd 2025-01-01)' ;; esac`;
  for (const [name, machine, says, wants = "build"] of [
    ["no cargo", { without: ["cargo"] }, /Rust is missing \(cargo and rustc\)\n +Install it from https:\/\/rustup\.rs \(stable, 1\.\d+ or later\)/],
    ["no rustc", { without: ["rustc"] }, /Rust is missing/],
    ["an old Rust", { fakes: { rustc: old("1.80.1") } }, /rustc 1\.80\.1 .* is too old\n +Turnpike needs Rust 1\.\d+ or later: rustup update stable/],
    ["no Node", { without: ["node"] }, /Node\.js is missing \(node and npm\)\n +Install Node 20 or later: https:\/\/nodejs\.org/],
    ["no npm", { without: ["npm"] }, /Node\.js is missing \(node and npm\)/],
    ["an old Node", { fakes: { node: "case $1 in -p) echo 18 ;; *) echo v18.20.0 ;; esac" } }, /Node v18\.20\.0 is too old\n +Turnpike needs Node 20/],
    ["no Python", { without: ["python3"] }, /Python 3 is missing\n +Install python3/],
    ["an old Python", { fakes: { python3: 'case $* in *version_info*) exit 1 ;; --version) echo "Python 3.8.2" ;; esac' } }, /Python 3\.8\.2 is too old\n +Turnpike needs Python 3\.9/],
    ["no cc, though there is a gcc", { without: ["cc"], fakes: { gcc: "exit 0" } }, /a C compiler is missing: rustc links with `cc`\n +Install gcc or clang .*\n +.* ln -s /],
    ["a cc that cannot link", { fakes: { cc: "echo 'cannot find crt1.o' >&2; exit 1" } }, /`cc` cannot link a program.*\n +It says: cannot find crt1\.o\n +Install what it lacks/],
    ["no make, for the tests", { without: ["make"] }, /make is missing\n +Install it/, "build test"],
  ]) {
    test(name, async (t) => {
      const there = await newMachine(t, machine);
      const said = await ends(there.bootstrap(wants), 1);
      assert.match(said, /^turnpike: cannot go on: /m);
      assert.match(said, says);
      for (const tool of ["npm", "rustup"]) assert.deepEqual(await there.calls(tool), [], `${tool} was not called`);
    });
  }

  test("a cache that cannot be written", async (t) => {
    const there = await newMachine(t);
    await writeFile(join(there.here, "cache"), "");
    assert.match(await ends(there.bootstrap("build"), 1), /^turnpike: cannot go on: the folder .* cannot be written\n +Set XDG_CACHE_HOME/);
  });

  test("what it does not know", async (t) => {
    const there = await newMachine(t);
    assert.match(await ends(there.bootstrap("everything"), 1), /does not know 'everything'\n +It knows: build, test, lint, --env/);
    assert.match(await ends(there.bootstrap("build", { TURNPIKE_WASM_STD: "fedora" }), 1), /TURNPIKE_WASM_STD is 'fedora'\n +It may be 'debian' or 'rustup'/);
  });
});

test("the second time nothing is done, at once, and nothing changes", async (t) => {
  const there = await newMachine(t);
  const said = await ends(there.bootstrap("build test"), 0);
  for (const step of ["npm packages", "wasm-bindgen", "rustup target add"]) assert.ok(said.includes(step), said);
  const before = await there.listing();
  assert.ok(before.length > 10);
  const began = performance.now();
  assert.equal(await ends(there.bootstrap("build test"), 0), "");
  const took = performance.now() - began;
  assert.ok(took < 3000, `${took.toFixed()} ms`);
  assert.deepEqual(await there.listing(), before);
  assert.deepEqual((await there.calls("npm")).length, 1);
  assert.deepEqual((await there.calls("cargo")).length, 1);
});

test("of two at once, one does it and the other waits", async (t) => {
  const there = await newMachine(t);
  await there.fake("npm", `while [ ! -e "$here/go" ]; do sleep 0.1; done; mkdir -p node_modules/.bin; for name in node wrangler; do echo >node_modules/.bin/$name; chmod +x node_modules/.bin/$name; done`);
  const first = there.bootstrap("build");
  await hears(first, /npm packages .*: fetching/);
  const second = there.bootstrap("build");
  await hears(second, /another set-up is running; waiting for it/);
  await writeFile(join(there.here, "go"), "");
  await ends(first, 0);
  const said = await ends(second, 0);
  assert.ok(!/npm packages|compiling/.test(said), said);
  assert.equal((await there.calls("npm")).length, 1);
  assert.equal((await there.calls("cargo")).length, 1);
});

describe("rustup cannot install the target", () => {
  const refuses = { fakes: { rustup: "echo 'could not download file' >&2; exit 1", "apt-get": "exit 1" } };

  test("its refusal is remembered, and both ways are told", async (t) => {
    const there = await newMachine(t, refuses);
    const first = await ends(there.bootstrap("build"), 1);
    assert.match(first, /could not download file/);
    assert.match(first, /there is no Rust standard library for wasm32-unknown-unknown\n +The ordinary way is: rustup target add/);
    const second = await ends(there.bootstrap("build"), 1);
    assert.match(second, /earlier today: not asking again \(TURNPIKE_WASM_STD=rustup does\)/);
    assert.equal((await there.calls("rustup")).length, 1);
    // Asked for, it is asked again; and Debian is left alone.
    const third = await ends(there.bootstrap("build", { TURNPIKE_WASM_STD: "rustup" }), 1);
    assert.match(third, /cannot go on: rustup could not install the target/);
    assert.equal((await there.calls("rustup")).length, 2);
  });

  test("a refusal of yesterday, or of another toolchain, says nothing of today", async (t) => {
    const there = await newMachine(t, refuses);
    await ends(there.bootstrap("build"), 1);
    const [refusal] = (await readdir(there.cache)).filter((name) => name.startsWith("rustup-refused-"));
    const before = Date.now() / 1000 - 3 * 86_400;
    await utimes(join(there.cache, refusal), before, before);
    await ends(there.bootstrap("build"), 1);
    assert.equal((await there.calls("rustup")).length, 2);
  });
});

describe("the target from Debian", () => {
  // What it makes is the business of scripts/wasm-std-from-debian.
  const STANDS_IN = '#!/bin/sh\necho "$2" >>"$(dirname "$0")/../../made"\nmkdir -p "$1" && echo "debian $2" >"$1/ready"\n';

  test("is made where it is asked for, once for each version that Turnpike needs", async (t) => {
    const there = await newMachine(t, { env: { TURNPIKE_WASM_STD: "debian" } });
    await writeFile(join(there.clone, "scripts/wasm-std-from-debian"), STANDS_IN);
    const made = async () => (await readFile(join(there.here, "made"), "utf8")).trim().split("\n");
    const [, needs] = /^rust-version = "([\d.]+)"$/m.exec(await readFile(join(ROOT, "Cargo.toml"), "utf8"));
    assert.match(await ends(there.bootstrap("--env"), 0), /export RUSTC=\S+wasm-std-debian-\S+\/rustc/);
    assert.deepEqual(await there.calls("rustup"), []);
    await ends(there.bootstrap("build"), 0);
    assert.deepEqual(await made(), [needs]);
    // A compiler that was new enough before is not so any more.
    await there.replace("Cargo.toml", `rust-version = "${needs}"`, 'rust-version = "1.94"');
    await ends(there.bootstrap("build"), 0);
    assert.deepEqual(await made(), [needs, "1.94"]);
  });
});

describe("the library that is compiled of Debian's packages", { skip: process.platform !== "linux" }, () => {
  // The packages are not real, nor is what compiles: it stops in the middle the first time, and looks for what it left.
  async function newDebian(t, version) {
    const there = await newMachine(t, { env: { TURNPIKE_WASM_STD: "debian" } });
    await writeFile(join(there.clone, "scripts/debian-packages"), `#!/bin/sh
echo unpacked >>'${there.here}/steps'
mkdir -p "$1/usr/bin"
printf '#!/bin/sh\\ncase $* in --version) echo "rustc ${version}" ;; *sysroot*) echo "%s" ;; esac\\n' "$1/usr" >"$1/usr/bin/rustc"
chmod +x "$1/usr/bin/rustc"
`);
    await there.fake("cargo", `
case $* in
  *build-std*)
    deps=$CARGO_TARGET_DIR/wasm32-unknown-unknown/release/deps
    if [ -e "$deps/half" ]; then
      echo resumed >>"$here/steps"
    else
      mkdir -p "$deps" && echo >"$deps/half"
      echo begun >>"$here/steps"
      sleep 60
    fi
    echo >"$deps/libstd-0.rlib" ;;
  *)
    mkdir -p "$CARGO_TARGET_DIR/release"
    for name in wasm-bindgen wasm-bindgen-test-runner; do echo >"$CARGO_TARGET_DIR/release/$name"; chmod +x "$CARGO_TARGET_DIR/release/$name"; done ;;
esac`);
    const steps = () => readFile(join(there.here, "steps"), "utf8").then((text) => text.trim().split("\n"), () => []);
    return { there, steps };
  }
  const made = async (there) => (await readdir(there.cache)).filter((name) => name.startsWith("wasm-std-debian-"));

  test("interrupted, it goes on with what was unpacked and compiled", async (t) => {
    const { there, steps } = await newDebian(t, "1.96.0");
    const first = there.bootstrap("build");
    await until(steps, (all) => all.includes("begun"));
    first.signal("SIGINT");
    assert.match(await ends(first, 130), KEPT);
    assert.deepEqual((await made(there)).map((name) => name.endsWith(".partial")), [true]);
    await ends(there.bootstrap("build"), 0);
    assert.deepEqual(await steps(), ["unpacked", "begun", "resumed"]);
    const [name, ...more] = await made(there);
    assert.deepEqual(more, []);
    assert.match(await readFile(join(there.cache, name, "ready"), "utf8"), /^debian 1\.96\.0 /);
    assert.ok(existsSync(join(there.cache, name, "root/usr/lib/rustlib/wasm32-unknown-unknown/lib/libstd-0.rlib")));
  });

  test("of a compiler that is too old it is not, and the next time Debian may have another", async (t) => {
    const { there } = await newDebian(t, "1.80.0");
    assert.match(await ends(there.bootstrap("build"), 1), /Debian's compiler is too old for Turnpike, which needs 1\.\d+/);
    assert.deepEqual(await made(there), []);
  });
});

describe("a folder node_modules that npm left in the clone", () => {
  test("is set aside with all that is in it, and the link is back", async (t) => {
    const there = await newMachine(t);
    await ends(there.bootstrap("build"), 0);
    const link = join(there.clone, "node_modules");
    const into = await readlink(link);
    for (const aside of ["node_modules.aside", "node_modules.aside-2"]) {
      await run("rm", [link]);
      await mkdir(join(link, "mine"), { recursive: true });
      await writeFile(join(link, "mine/index.js"), "mine");
      const said = await ends(there.bootstrap("build"), 0);
      assert.ok(said.includes(`node_modules was a folder, as npm leaves one; it is ${aside} now`), said);
      assert.equal(await readFile(join(there.clone, aside, "mine/index.js"), "utf8"), "mine");
      assert.equal(await readlink(link), into);
    }
    assert.equal(await ends(there.bootstrap("build"), 0), "");
  });

  test("and what npm wrote into package.json is told, with how to take it back", async (t) => {
    const there = await newMachine(t);
    const git = (...args) => run("git", ["-c", "user.name=t", "-c", "user.email=t@example.com", ...args], { cwd: there.clone });
    await git("init", "--quiet");
    await git("add", "package.json", "package-lock.json");
    await git("commit", "--quiet", "--message", "all");
    await mkdir(join(there.clone, "node_modules"));
    assert.ok(!(await ends(there.bootstrap("build"), 0)).includes("is not as committed"));
    await run("rm", [join(there.clone, "node_modules")]);
    await mkdir(join(there.clone, "node_modules"));
    await there.replace("package.json", '"devDependencies"', '"dependencies": {}, "devDependencies"');
    assert.match(await ends(there.bootstrap("build"), 0), /is not as committed\. Was it npm\? git checkout package\.json package-lock\.json/);
  });

  test("a link that leads elsewhere is set right", async (t) => {
    const there = await newMachine(t);
    await symlink("/nowhere", join(there.clone, "node_modules"));
    await ends(there.bootstrap("build"), 0);
    assert.match(await readlink(join(there.clone, "node_modules")), /cache\/turnpike\/npm-[^/]+\/node_modules$/);
  });
});

test("what nobody has used for 30 days goes when something newer is made", async (t) => {
  const there = await newMachine(t);
  const long = Date.now() / 1000 - 40 * 86_400;
  const part = async (name, { used = false, at = long } = {}) => {
    await mkdir(join(there.cache, name), { recursive: true });
    if (used) await writeFile(join(there.cache, name, ".used"), "");
    await utimes(join(there.cache, name), at, at);
  };
  const gone = ["npm-any-0", "npm-any-1.partial", "wasm-bindgen-any-0", "python-any-0", "wasm-std-debian-any"];
  for (const name of gone) await part(name);
  await part("npm-any-used", { used: true });
  await part("npm-any-young", { at: Date.now() / 1000 - 86_400 });
  await part("bench");
  const said = await ends(there.bootstrap("build"), 0);
  const now = await readdir(there.cache);
  for (const name of gone) assert.ok(!now.includes(name), name);
  for (const name of ["npm-any-used", "npm-any-young", "bench"]) assert.ok(now.includes(name), name);
  assert.match(said, /removing npm-any-0 from the cache: nobody has used it for 30 days/);
  // What is in use says so.
  const own = now.filter((name) => /^(npm|wasm-bindgen)-linux|^(npm|wasm-bindgen)-darwin/.test(name));
  assert.equal(own.length, 2);
  for (const name of own) assert.ok(existsSync(join(there.cache, name, ".used")), name);
});

test("the set-up takes no package whose checksum is not written down, on any machine", async () => {
  const { packages } = JSON.parse(await readFile(join(ROOT, "package-lock.json"), "utf8"));
  const installed = Object.entries(packages).filter(([name]) => name !== "");
  assert.ok(installed.length > 100);
  assert.deepEqual(installed.filter(([, { integrity }]) => !/^sha512-/.test(integrity ?? "")).map(([name]) => name), []);
});

describe("what npm fetches", () => {
  // A package of npm, as a registry has it.
  async function packed(t, name, more) {
    const directory = await folder(t, "package");
    await mkdir(join(directory, "package"));
    await writeFile(join(directory, "package/package.json"), JSON.stringify({ name, version: "1.0.0", ...more }));
    await writeFile(join(directory, "package/run.js"), "");
    await run("tar", ["-czf", "package.tgz", "package"], { cwd: directory });
    return readFile(join(directory, "package.tgz"));
  }

  // A clone whose packages are two, and npm's own cache empty.
  async function clone(t) {
    const bin = { bin: { wrangler: "run.js" } };
    const files = { "/first.tgz": await packed(t, "first"), "/wrangler.tgz": await packed(t, "wrangler", bin) };
    const registry = await serve(t, files);
    // The machine's own npm, and the Node that it runs with.
    const there = await newMachine(t, { without: ["npm", "node"] });
    const dependencies = { first: "1.0.0", wrangler: "1.0.0" };
    const of = (name, more) => ({
      version: "1.0.0",
      resolved: `${registry.url}/${name}.tgz`,
      integrity: `sha512-${createHash("sha512").update(files[`/${name}.tgz`]).digest("base64")}`,
      ...more,
    });
    const own = { name: "clone", version: "0.0.0", dependencies };
    await writeFile(join(there.clone, "package.json"), JSON.stringify(own));
    await writeFile(join(there.clone, "package-lock.json"), JSON.stringify({
      ...own, lockfileVersion: 3, packages: { "": own, "node_modules/first": of("first"), "node_modules/wrangler": of("wrangler", bin) },
    }));
    const env = {
      PATH: `${there.bin}:${process.env.PATH}`, npm_config_cache: join(there.here, "npm"), npm_config_registry: `${registry.url}/`,
      npm_config_fetch_retries: "0",
    };
    return { there, registry, setUp: () => there.bootstrap("build", env) };
  }

  test("interrupted in the middle, it goes on, and what was fetched is not fetched again", { timeout: 120_000 }, async (t) => {
    const { there, registry, setUp } = await clone(t);
    registry.half = "/wrangler.tgz";
    const first = setUp();
    await hears(first, /npm packages .*: fetching/);
    const content = join(there.here, "npm/_cacache/content-v2");
    await until(() => readdir(content, { recursive: true }).then((names) => names.some((name) => name.length > 100), () => false), Boolean);
    await until(async () => registry.asked.includes("/wrangler.tgz"), Boolean);
    await sleep(200);
    first.signal("SIGINT");
    assert.match(await ends(first, 130), KEPT);
    assert.ok(!/cannot go on|failed/.test(first.said), first.said);
    assert.deepEqual(await left(first), []);
    registry.half = null;
    const said = await ends(setUp(), 0);
    // Its lock was gone with it.
    assert.ok(!/another set-up is running/.test(said), said);
    assert.ok(existsSync(join(there.clone, "node_modules/.bin/wrangler")));
    assert.deepEqual(registry.asked.toSorted(), ["/first.tgz", "/wrangler.tgz", "/wrangler.tgz"]);
  });

  test("a package of another checksum is refused, and not kept", { timeout: 120_000 }, async (t) => {
    const { there, registry, setUp } = await clone(t);
    registry.spoilt = "/wrangler.tgz";
    const said = await ends(setUp(), 1);
    assert.match(said, /npm was sent a package that is not the one of package-lock\.json\n +Nothing of it was kept/);
    assert.deepEqual((await readdir(there.cache)).filter((name) => name.startsWith("npm-")), []);
    assert.ok(!existsSync(join(there.clone, "node_modules")));
    registry.spoilt = null;
    await ends(setUp(), 0);
    assert.equal(await readFile(join(there.clone, "node_modules/wrangler/run.js"), "utf8"), "");
  });
});

describe("what apt fetches for the target from Debian", async () => {
  const skip = await run("sh", ["-c", "command -v apt-get && command -v dpkg-deb && command -v sha256sum"]).then(() => false, () => "this machine has no apt");

  // Two packages in a repository of their own.
  async function repository(t) {
    const here = await folder(t, "apt");
    const files = {};
    let index = "";
    for (const name of ["alpha", "beta"]) {
      await mkdir(join(here, name, "DEBIAN"), { recursive: true });
      await mkdir(join(here, name, "usr/share"), { recursive: true });
      const control = `Package: ${name}\nVersion: 1:1.0\nArchitecture: all\nMaintainer: nobody <nobody@example.com>\nDescription: nothing\n`;
      await writeFile(join(here, name, "DEBIAN/control"), control);
      await writeFile(join(here, name, "usr/share", name), name.repeat(50_000));
      await run("dpkg-deb", ["-Znone", "-b", join(here, name), join(here, `${name}.deb`)]);
      const content = await readFile(join(here, `${name}.deb`));
      files[`/${name}.deb`] = content;
      index += `${control}Filename: ./${name}.deb\nSize: ${content.length}\nSHA256: ${createHash("sha256").update(content).digest("hex")}\n\n`;
    }
    files["/Packages"] = Buffer.from(index);
    const server = await serve(t, files);
    await writeFile(join(here, "sources.list"), `deb [trusted=yes] ${server.url}/ ./\n`);
    await writeFile(join(here, "apt.conf"), `Dir::Etc::SourceList "${here}/sources.list";\nDir::Etc::SourceParts "/dev/null";\nAcquire::http::Proxy "DIRECT";\n`);
    const into = join(here, "into");
    const get = () => start(t, join(ROOT, "scripts/debian-packages"), [into, "alpha", "beta"], { directory: here, env: { APT_CONFIG: join(here, "apt.conf") } });
    const asked = (name) => server.asked.filter((path) => path.endsWith(`/${name}.deb`)).length;
    return { server, into, get, asked, fetched: join(into, ".apt/deb") };
  }
  const unpacked = (into, name) => readFile(join(into, "usr/share", name), "utf8");

  test("interrupted in the middle, it goes on, and what was fetched is not fetched again", { skip, timeout: 120_000 }, async (t) => {
    const { server, into, get, asked, fetched } = await repository(t);
    server.half = "/beta.deb";
    const first = get();
    await until(async () => asked("beta"), (count) => count > 0);
    await sleep(500);
    first.signal("SIGINT");
    assert.notEqual(await first.closed, 0);
    // One that grew old in the meantime, and one that is damaged.
    await writeFile(join(fetched, "alpha_0.9_all.deb"), "old");
    server.half = null;
    await ends(get(), 0);
    assert.equal(await unpacked(into, "alpha"), "alpha".repeat(50_000));
    assert.equal(await unpacked(into, "beta"), "beta".repeat(50_000));
    assert.deepEqual([asked("alpha"), asked("beta")], [1, 2]);
    assert.ok(!existsSync(join(into, ".apt")), "what is unpacked is not kept twice");
  });

  test("what lies there is taken by its checksum only", { skip, timeout: 120_000 }, async (t) => {
    const { server, into, get, asked, fetched } = await repository(t);
    await mkdir(fetched, { recursive: true });
    const spoilt = server.files["/alpha.deb"].map((byte) => byte ^ 1);
    await writeFile(join(fetched, "alpha_1%3a1.0_all.deb"), spoilt);
    await writeFile(join(fetched, "beta_1%3a1.0_all.deb"), server.files["/beta.deb"]);
    await ends(get(), 0);
    assert.equal(await unpacked(into, "alpha"), "alpha".repeat(50_000));
    assert.deepEqual([asked("alpha"), asked("beta")], [1, 0]);
  });

  test("a package of another checksum is refused, and not kept", { skip, timeout: 120_000 }, async (t) => {
    const { server, into, get, fetched } = await repository(t);
    server.spoilt = "/beta.deb";
    assert.match(await ends(get(), 1), /Hash Sum mismatch/);
    assert.deepEqual((await readdir(fetched)).filter((name) => name.startsWith("beta")), []);
    assert.ok(!existsSync(join(into, "usr")), "nothing is unpacked");
    server.spoilt = null;
    await ends(get(), 0);
    assert.equal(await unpacked(into, "beta"), "beta".repeat(50_000));
  });
});
