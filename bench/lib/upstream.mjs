// The upstreams: nginx for whole answers, a server of ours for streams.

import { mkdirSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { CHAT_PATH, COMPLETION, PETS } from "./payloads.mjs";
import { plainEnvironment, startProcess, untilReady } from "./processes.mjs";
import { BENCH } from "./settings.mjs";

// One process, no log, connections that last: it must never be what a gateway waits for.
function nginxConf(port, folder) {
  const paths = ["client_body", "proxy", "fastcgi", "uwsgi", "scgi"]
    .map((kind) => `  ${kind}_temp_path ${folder}/${kind};`).join("\n");
  return `daemon off;
master_process off;
worker_processes 1;
pid ${folder}/nginx.pid;
error_log stderr crit;
events { worker_connections 2048; }
http {
${paths}
  access_log off;
  server_tokens off;
  keepalive_timeout 1h;
  keepalive_requests 1000000000;
  client_body_buffer_size 128k;
  server {
    listen 127.0.0.1:${port};
    default_type application/json;
    location = ${CHAT_PATH} { return 200 '${COMPLETION}'; }
    location / { return 200 '${PETS}'; }
  }
}
`;
}

async function answers(url) {
  const response = await fetch(url);
  if (!response.ok) throw new Error(`${url}: ${response.status}`);
  await response.arrayBuffer();
}

export async function startUpstreams({ nginx, folder, ports, chunkMs }) {
  const home = join(folder, "nginx");
  mkdirSync(home);
  writeFileSync(join(home, "nginx.conf"), nginxConf(ports.plain, home));
  const env = plainEnvironment(folder, nginx.env);
  const plain = startProcess("nginx", nginx.path, ["-p", home, "-e", "stderr", "-c", join(home, "nginx.conf")], { env, folder });
  const stream = startProcess("stream-server", process.execPath,
    [join(BENCH, "lib", "stream-server.mjs"), String(ports.stream), String(chunkMs)], { env, folder });
  await untilReady(plain, 10, () => answers(`http://127.0.0.1:${ports.plain}/`));
  await untilReady(stream, 10, () => answers(`http://127.0.0.1:${ports.stream}/`));
  return [plain, stream];
}
