// The systems that are compared: how each is started, and how it wants to be asked.
//
// `prepare` fetches or builds and may take minutes; `start` resolves to a process that answers.
// `request(kind, ask)` is the request of a case as this system wants it.

import { cpSync, mkdirSync, mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { API_PATH, CHAT_PATH } from "./payloads.mjs";
import { plainEnvironment, startProcess, untilReady } from "./processes.mjs";
import { findLitellm, findPortkey } from "./tools.mjs";
import { secrets, turnpikeModules, turnpikeVersion } from "./turnpike.mjs";
import { BENCH } from "./settings.mjs";
import { workerdConfig } from "./workerd.mjs";

// Of about the length of a real one, for systems that do not look.
const SOME_TOKEN = `eyJhbGciOiJFZERTQSJ9.${"x".repeat(400)}.${"y".repeat(86)}`;

const bearer = (token) => ({ authorization: `Bearer ${token ?? SOME_TOKEN}` });
const json = { "content-type": "application/json" };

function workerRequest(ports) {
  return (kind, ask) => ({
    url: `http://127.0.0.1:${kind === "stream" ? ports.stream : ports.plain}${kind === "api" ? API_PATH : CHAT_PATH}`,
    headers: { ...bearer(ask.token), accept: "application/json", ...(kind === "api" ? {} : json) },
    model: ask.model,
  });
}

// Both Workers are started alike, so that they differ in their code alone.
export async function startWorker({ name, modules, bindings, object, workerd, folder, ports, upstreams }) {
  const config = workerdConfig({ folder, name, modules, bindings, object, listen: ports, upstreams });
  const args = ["serve", config, "config"];
  const started = startProcess(name, workerd.path, args, { env: plainEnvironment(folder), folder, cwd: folder });
  await untilReady(started, 20, () => fetch(`http://127.0.0.1:${ports.plain}/`).then((answer) => answer.arrayBuffer()));
  return started;
}

// A Worker of one file that decides nothing.
const plain = (name) => ({
  name,
  ports: ["plain", "stream"],
  async start({ workerd, folder, ports, upstreams }) {
    const file = `${name}.js`;
    cpSync(join(BENCH, file), join(folder, file));
    return startWorker({ name, modules: [{ name: file, kind: "esModule", file }], workerd, folder, ports, upstreams });
  },
  request: workerRequest,
});

export const bare = plain("bare");
export const floor = plain("floor");

// What objects store goes to memory where Linux has it: the disk of this machine tells nothing of the
// platform's, and it would be most of what an exact limit is measured by.
export function objectStorage(folder) {
  try {
    const storage = mkdtempSync("/dev/shm/turnpike-bench-");
    process.on("exit", () => rmSync(storage, { recursive: true, force: true }));
    return storage;
  } catch {
    const storage = join(folder, "objects");
    mkdirSync(storage);
    return storage;
  }
}

export const turnpike = {
  name: "turnpike",
  ports: ["plain", "stream"],
  async prepare({ folder }) {
    this.modules = await turnpikeModules(folder);
    return { turnpike: await turnpikeVersion() };
  },
  async start({ workerd, folder, ports, upstreams }) {
    return startWorker({
      name: "turnpike", modules: this.modules, bindings: secrets(), workerd, folder, ports, upstreams,
      object: { binding: "METER", className: "Meter", storage: objectStorage(folder) },
    });
  },
  request: workerRequest,
};

// Turnpike's modules behind another entry.
const entered = (name) => ({
  name,
  ports: ["plain", "stream"],
  async prepare({ folder }) {
    const file = `${name}.js`;
    cpSync(join(BENCH, file), join(folder, file));
    this.modules = [{ name: file, kind: "esModule", file }, ...(await turnpikeModules(folder))];
  },
  async start({ workerd, folder, ports, upstreams }) {
    return startWorker({
      name, modules: this.modules, bindings: secrets(), workerd, folder, ports, upstreams,
      object: { binding: "METER", className: "Meter", storage: objectStorage(folder) },
    });
  },
  request: workerRequest,
});

// The object of Turnpike's limiter alone.
export const object = entered("object");
// Several isolates, whose calls of objects are counted.
export const portions = entered("portions");

export const portkey = {
  name: "portkey",
  ports: ["all"],
  async prepare() {
    this.program = await findPortkey();
    const { version, server } = this.program;
    return { portkey: `${version} (its published bundle, under Node ${process.versions.node}, with @hono/node-server ${server})` };
  },
  async start({ folder, ports }) {
    const env = plainEnvironment(folder, { NODE_ENV: "production" });
    const args = ["--import", join(BENCH, "loopback.mjs"), this.program.path, "--headless", `--port=${ports.all}`];
    const started = startProcess("portkey", process.execPath, args, { env, folder });
    await untilReady(started, 30, () => fetch(`http://127.0.0.1:${ports.all}/`).then((answer) => answer.arrayBuffer()));
    return started;
  },
  request: (ports, upstreams) => (kind, ask) => ({
    url: `http://127.0.0.1:${ports.all}${CHAT_PATH}`,
    headers: {
      ...bearer(null), ...json,
      "x-portkey-provider": "openai",
      "x-portkey-custom-host": `http://127.0.0.1:${kind === "stream" ? upstreams.stream : upstreams.plain}/v1`,
    },
    model: ask.model,
  }),
};

export const litellm = {
  name: "litellm",
  ports: ["all"],
  async prepare() {
    this.program = await findLitellm();
    return { litellm: `${this.program.version} (Python ${this.program.python}, one worker)` };
  },
  async start({ folder, ports, upstreams }) {
    const config = join(folder, "litellm.yaml");
    const model = (name, port) => `  - model_name: ${name}
    litellm_params: { model: openai/fast, api_base: "http://127.0.0.1:${port}/v1", api_key: bench }
`;
    writeFileSync(config, `model_list:
${model("fast", upstreams.plain)}${model("fast-stream", upstreams.stream)}litellm_settings: { telemetry: false }
`);
    const env = plainEnvironment(folder, {
      LITELLM_MODE: "PRODUCTION", LITELLM_LOG: "ERROR", LITELLM_TELEMETRY: "False",
      // Otherwise it asks the internet for prices before it starts.
      LITELLM_LOCAL_MODEL_COST_MAP: "True",
    });
    const args = ["--config", config, "--host", "127.0.0.1", "--port", String(ports.all), "--num_workers", "1", "--telemetry", "False"];
    const started = startProcess("litellm", this.program.path, args, { env, folder, cwd: folder });
    await untilReady(started, 240, async () => {
      const answer = await fetch(`http://127.0.0.1:${ports.all}/health/liveliness`);
      if (!answer.ok) throw new Error(`it answers ${answer.status}`);
    });
    return started;
  },
  request: (ports) => (kind, ask) => ({
    url: `http://127.0.0.1:${ports.all}${CHAT_PATH}`,
    headers: { ...bearer(null), ...json },
    // Which upstream a call goes to is the model's affair here.
    model: kind === "stream" ? `${ask.model}-stream` : ask.model,
  }),
};

export const SYSTEMS = [bare, floor, portkey, litellm, turnpike, object, portions];
