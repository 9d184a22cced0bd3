// Configurations for raw workerd: the runtime of Workers with nothing of a development server around it.

import { readFileSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { ROOT, Trouble } from "./settings.mjs";

// Every Worker here runs as Turnpike is deployed.
function compatibility() {
  const toml = readFileSync(join(ROOT, "wrangler.toml"), "utf8").replace(/^\s*#.*$/gm, "");
  const date = /^compatibility_date\s*=\s*"([^"]+)"/m.exec(toml)?.[1];
  if (date === undefined) throw new Trouble("wrangler.toml has no compatibility_date");
  const list = /^compatibility_flags\s*=\s*\[([^\]]*)\]/m.exec(toml)?.[1] ?? "";
  return { date, flags: [...list.matchAll(/"([^"]+)"/g)].map((match) => match[1]) };
}

const quoted = (text) => JSON.stringify(text);

// One Worker twice in one process, as two services that differ in where their `fetch` leads: to nginx,
// or to the server of streams. So neither an address nor a choice between two is in any Worker, and
// upstreams are named by https URLs, as a policy wants them.
//
//   modules    [{ name, kind: "esModule" | "wasm" | ..., file }]; the first is the entry; files are
//              named as seen from `folder`, since workerd embeds nothing by an absolute path
//   bindings   { NAME: text }
//   object     the class of a Durable Object with SQLite, bound as `binding`; or null
export function workerdConfig({ folder, name, modules, bindings = {}, object = null, listen, upstreams }) {
  const { date, flags } = compatibility();
  const file = join(folder, `${name}.capnp`);
  const listed = modules.map((module) => `    (name = ${quoted(module.name)}, ${module.kind} = embed ${quoted(module.file)}),`);
  const bound = Object.entries(bindings).map(([key, text]) => `    (name = ${quoted(key)}, text = ${quoted(text)}),`);
  if (object !== null) bound.push(`    (name = ${quoted(object.binding)}, durableObjectNamespace = ${quoted(object.className)}),`);

  const worker = (kind) => `const ${kind}Worker :Workerd.Worker = (
  modules = [
${listed.join("\n")}
  ],
  bindings = [
${bound.join("\n")}
  ],
  compatibilityDate = ${quoted(date)},
  compatibilityFlags = [${flags.map(quoted).join(", ")}],
  globalOutbound = "${kind}-upstream",${object === null ? "" : `
  durableObjectNamespaces = [(className = ${quoted(object.className)}, uniqueKey = "bench-${kind}", enableSql = true)],
  durableObjectStorage = (localDisk = "disk"),`}
);
`;
  const service = (kind) => `    (name = "${kind}", worker = .${kind}Worker),
    (name = "${kind}-upstream", external = (address = "127.0.0.1:${upstreams[kind]}", http = ())),`;
  const socket = (kind) => `    (name = "${kind}", address = "127.0.0.1:${listen[kind]}", http = (), service = "${kind}"),`;

  writeFileSync(file, `using Workerd = import "/workerd/workerd.capnp";

const config :Workerd.Config = (
  services = [
${service("plain")}
${service("stream")}${object === null ? "" : `
    (name = "disk", disk = (path = ${quoted(object.storage)}, writable = true)),`}
  ],
  sockets = [
${socket("plain")}
${socket("stream")}
  ],
);

${worker("plain")}
${worker("stream")}`);
  return file;
}
